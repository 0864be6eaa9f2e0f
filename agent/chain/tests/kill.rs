//! A process that sends through the outbox is killed again and again, at any moment, while the chain drops transactions and
//! reorganises: each effect happens once, and none is lost.
//!
//! The ordinary run kills a few times; `scripts/chain-faults kills` does it 200 times. A failed run names its seed.
#![allow(clippy::unwrap_used)]

mod common;

use alloy::primitives::U256;
use common::{Anvil, LONG, MARKET, Node, TestSigner, keep_mining, nonce, settings};
use headframe_chain::outbox::Settings;
use headframe_chain::{TxSigner, Until};
use headframe_market::{Action, JobId};
use serde_json::json;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where the child keeps its store, where its chain is, and how many effects it asks for.
const CHILD: [&str; 3] = ["HEADFRAME_KILL_DIR", "HEADFRAME_KILL_URL", "HEADFRAME_KILL_JOBS"];
/// A file that it notes in which effects were taken (`scripts/outbox-power` looks whether they still are after a cut), and what
/// makes it end when all effects are safe.
const NOTES: &str = "HEADFRAME_KILL_NOTES";
const FINISH: &str = "HEADFRAME_KILL_FINISH";
/// Counts the calls for each job in its own slot: `storage[calldata[4..36]] += 1`.
const COUNTER: &str = "0x6004358054600101905500";

fn effect(job: u64) -> Action {
    Action::CloseJob { job: JobId(job) }
}

fn quick() -> Settings {
    Settings { poll: Duration::from_millis(15), ..settings() }
}

/// The process that is killed: asks for all effects and looks after them until it dies. Alone it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn sends_until_it_is_killed() {
    let [Ok(dir), Ok(url), Ok(jobs)] = CHILD.map(std::env::var) else { return };
    let jobs: u64 = jobs.parse().unwrap();
    let node = Node::start(&PathBuf::from(dir), &url, &TestSigner::new(0), quick()).await;
    let mut notes = std::env::var(NOTES).ok().map(|path| File::options().append(true).create(true).open(path).unwrap());
    for job in 1..=jobs {
        node.outbox.submit(effect(job)).await.unwrap();
        if let Some(notes) = &mut notes {
            writeln!(notes, "{}", effect(job).key()).unwrap();
        }
    }
    if std::env::var_os(FINISH).is_some() {
        for job in 1..=jobs {
            let done = node.outbox.wait(&effect(job).key(), Until::Safe, LONG * 6).await.unwrap();
            assert_eq!(done.error, None, "job {job}");
        }
        return;
    }
    let ended = node.worker.await;
    panic!("the worker ended by itself: {ended:?}");
}

/// Small, and good enough to spread moments: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_moment_has_each_effect_once() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let kills = number("HEADFRAME_KILLS", 12);
    let seed = number("HEADFRAME_SEED", RandomState::new().hash_one("seed"));
    println!("{kills} kills, HEADFRAME_SEED={seed}");
    let mut dice = Dice(seed | 1);
    anvil.ask("anvil_setCode", json!([MARKET, COUNTER])).await;
    anvil.mine(8).await;
    let dir = tempfile::tempdir().unwrap();
    let account = TestSigner::new(0).address();
    let mut beginnings = 0;
    for life in 1..=kills {
        let jobs = life.to_string();
        let values = [dir.path().to_str().unwrap(), anvil.url.as_str(), jobs.as_str()];
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sends_until_it_is_killed", "--nocapture"])
            .envs(CHILD.into_iter().zip(values))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = tokio::time::Instant::now() + Duration::from_millis(20 + dice.below(480));
        while tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5 + dice.below(40))).await;
            match dice.below(40) {
                0 => drop(anvil.ask("anvil_dropAllTransactions", json!([])).await),
                1 => drop(anvil.ask("anvil_reorg", json!([1 + dice.below(4), []])).await),
                2..12 => anvil.mine(1).await,
                _ => {}
            }
        }
        assert!(child.try_wait().unwrap().is_none(), "life {life} ended by itself, seed {seed}");
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        beginnings += u64::from(nonce(&anvil, account).await > 0);
    }
    assert!(beginnings > 0, "no life ever sent anything: the moments are too short");

    // One that is not killed brings everything to its end.
    let node = Node::start(dir.path(), &anvil.url, &TestSigner::new(0), quick()).await;
    for job in 1..=kills {
        node.outbox.submit(effect(job)).await.unwrap();
    }
    let end = async {
        for job in 1..=kills {
            let done = node.outbox.wait(&effect(job).key(), Until::Safe, LONG * 6).await;
            let done = done.unwrap_or_else(|why| panic!("{why}, seed {seed}"));
            assert_eq!(done.error, None, "job {job}, seed {seed}");
        }
    };
    tokio::select! {
        () = end => {}
        () = keep_mining(&anvil, Duration::from_millis(20)) => unreachable!("blocks go on for ever"),
    }
    for job in 1..=kills {
        let slot = json!([MARKET, U256::from(job), "latest"]);
        let times: U256 = serde_json::from_value(anvil.ask("eth_getStorageAt", slot).await).unwrap();
        assert_eq!(times, U256::from(1), "the effect of job {job} happened {times} times, seed {seed}");
    }
    assert_eq!(nonce(&anvil, account).await, kills, "seed {seed}");
    assert_eq!(node.outbox.gas_totals().await.unwrap()["close_job"].transactions, kills, "seed {seed}");
}
