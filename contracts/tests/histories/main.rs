//! The rules in Rust and the contracts do the same: random histories of jobs and claims on both, compared after each call.
//! `HEADFRAME_HISTORIES=100000 cargo test -p headframe-contracts --test histories -- --nocapture` replays that many;
//! `HEADFRAME_HISTORIES_FROM=N` begins with another one, so that a run can be cut into parts or one history be repeated.

#![allow(clippy::unwrap_used)]

mod abi;
mod chance;
mod choose;
mod compare;
mod deploy;
mod dice;
mod evm;
mod headers;
mod history;
mod spoil;
mod work;

use headframe_market::rules::Refusal;
use history::{History, Tally};
use std::sync::atomic::{AtomicU64, Ordering};

/// Calls in each history.
const STEPS: usize = 32;
/// Histories of a run of this many and fewer are compared whole after each call.
const FEW: u64 = 2_000;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn rules_and_contracts_agree_on_random_histories() {
    let (site, state) = deploy::deploy();
    let errors = evm::Errors::load();
    let (from, count) = (number("HEADFRAME_HISTORIES_FROM", 1), number("HEADFRAME_HISTORIES", 300));
    let next = AtomicU64::new(0);
    let part = || {
        let mut tally = Tally::default();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return tally;
            }
            tally.add(History::new(&site, &state, &errors, from + n, count <= FEW).run(STEPS));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tally = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(part)).collect();
        let mut all = Tally::default();
        for thread in running {
            all.add(thread.join().unwrap());
        }
        all
    });
    for (name, [done, refused]) in &tally.calls {
        println!("{name:26} {done:9} done {refused:9} refused");
    }
    for (refusal, times) in &tally.refusals {
        println!("{:34} {times:9}", refusal.name());
    }
    let never: Vec<_> = Refusal::ALL.iter().filter(|refusal| !tally.refusals.contains_key(refusal)).collect();
    println!("{count} histories; refusals that never came: {never:?}");
    if count >= 200 {
        let idle: Vec<_> = tally.calls.iter().filter(|(_, [done, _])| *done == 0).map(|(name, _)| name).collect();
        assert!(idle.is_empty(), "never succeeded: {idle:?}");
        assert_eq!(tally.calls.len(), KINDS, "kinds of calls that were tried");
    }
}

/// Kinds of calls that [`headframe_market::rules::Call::name`] tells apart.
const KINDS: usize = 47;
