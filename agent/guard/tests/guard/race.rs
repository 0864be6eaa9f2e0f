//! Many ask at once.

use crate::support::*;
use headframe_guard::rules::{NotSafe, Rule};
use headframe_market::{Action, B256, Role};
use std::sync::Barrier;

/// Runs `body` on `count` threads that start together.
fn together<T: Send>(count: u64, body: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(count as usize);
    std::thread::scope(|scope| {
        let one = |nth| {
            let (start, body) = (&start, &body);
            scope.spawn(move || {
                start.wait();
                body(nth)
            })
        };
        let threads: Vec<_> = (0..count).map(one).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn winners<T>(outcomes: &[Result<T, NotSafe>], rule: Rule) -> usize {
    let refused = |one: &&Result<T, NotSafe>| matches!(one, Err(NotSafe::Refused { rule: by, .. }) if *by == rule);
    let won = outcomes.iter().filter(|one| one.is_ok()).count();
    assert_eq!(won + outcomes.iter().filter(refused).count(), outcomes.len());
    won
}

#[test]
fn of_64_claims_for_one_range_exactly_one_wins() {
    let rig = Rig::with_receipts(64);
    let outcomes = together(64, |nth| rig.transaction(claim(JOB, 0, 1 + nth as u32), nth));
    assert_eq!(winners(&outcomes, Rule::DoubleClaim), 1);
    assert_eq!(rig.store.counts().claims, 1);
}

#[test]
fn of_32_contents_for_one_segment_exactly_one_wins() {
    let rig = Rig::new(Role::Operator);
    let outcomes = together(32, |nth| {
        let mut ask = ask(JOB, 0);
        ask.receipt.out_root = B256::repeat_byte(nth as u8);
        rig.receipt(ask)
    });
    assert_eq!(winners(&outcomes, Rule::Equivocation), 1);
    assert_eq!(rig.store.counts().segments, 1);
}

#[test]
fn of_32_calls_for_one_nonce_exactly_one_wins() {
    let rig = Rig::new(Role::Operator);
    let outcomes = together(32, |nth| rig.transaction(Action::Bond { amount: u128::from(nth), nth: 0 }, 0));
    assert_eq!(winners(&outcomes, Rule::NonceReuse), 1);
}

#[test]
fn a_refusal_in_a_batch_touches_no_other() {
    let rig = Rig::with_receipts(1);
    let outcomes = together(32, |nth| {
        let mut ask = ask(JOB, nth / 2);
        ask.receipt.out_bytes += nth % 2; // the odd one of each pair contradicts the even one
        rig.receipt(ask)
    });
    assert_eq!(winners(&outcomes, Rule::Equivocation), 16);
    assert_eq!(rig.store.counts().segments, 16);
    let rig = rig.reopened();
    assert_eq!(rig.store.counts().segments, 16);
}
