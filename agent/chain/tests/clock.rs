//! A wrong clock of the machine: deadlines are the chain's. libfaketime (Debian: faketime) shows the process another time;
//! without it the test is skipped and says so.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Anvil, LONG, Node, TestSigner, keep_mining, settings, withdraw};
use headframe_chain::{Deadline, State, Until};
use headframe_market::Timestamp;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// Where the child's chain is, and the first number of its effects.
const CHILD: [&str; 2] = ["HEADFRAME_CLOCK_URL", "HEADFRAME_CLOCK_FIRST"];

/// The process whose clock is wrong. Alone it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn sends_with_a_wrong_clock() {
    let [Ok(url), Ok(first)] = CHILD.map(std::env::var) else { return };
    let first: u64 = first.parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let settings = headframe_chain::outbox::Settings { take_over: true, ..settings() };
    let mut node = Node::start(dir.path(), &url, &TestSigner::new(0), settings).await;
    node.see(1).await;
    let chain = node.head.borrow().timestamp;
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(clock.abs_diff(chain) > 300 * 86_400, "the clock is right, so this shows nothing: {clock}, chain {chain}");

    node.outbox.submit_by(withdraw(first), Deadline::time(Timestamp(chain + 3600))).await.unwrap();
    let done = node.outbox.wait(&withdraw(first).key(), Until::Mined, LONG).await.unwrap();
    assert_eq!(done.state, State::Mined, "{done:?}");
    node.outbox.submit_by(withdraw(first + 1), Deadline::time(Timestamp(chain.saturating_sub(600)))).await.unwrap();
    let late = node.outbox.wait(&withdraw(first + 1).key(), Until::Mined, LONG).await.unwrap();
    assert_eq!((late.state, late.nonce), (State::Failed, None), "{late:?}");
}

fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    folders.flatten().map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_clock_is_wrong_keeps_the_chains_deadlines() {
    let Some(library) = faketime() else {
        println!("skipped: libfaketime is not there (Debian: faketime)");
        return;
    };
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    anvil.mine(2).await;
    for (nth, clock) in ["-3650d", "+3650d", "2001-01-01 00:00:00"].into_iter().enumerate() {
        let first = (2 * nth).to_string();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sends_with_a_wrong_clock", "--nocapture"])
            .envs(CHILD.into_iter().zip([anvil.url.as_str(), first.as_str()]))
            .env("LD_PRELOAD", &library)
            .env("FAKETIME", clock)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let ended = tokio::task::spawn_blocking(|| child.wait_with_output());
        tokio::select! {
            output = ended => {
                let output = output.unwrap().unwrap();
                let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{clock}: {said}");
            }
            () = keep_mining(&anvil, Duration::from_millis(20)) => unreachable!("blocks go on for ever"),
        }
    }
}
