//! Two agents with one key on one chain: the second halts before its next signature, whatever it knew before.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Anvil, LONG, Node, TestSigner, keep_mining, nonce, settings, start_job, withdraw};
use headframe_chain::{OutboxError, State, TxSigner, Until};
use std::path::Path;
use std::sync::Arc;

/// Runs until the worker ends, and says why; nothing may have been signed.
async fn halted(node: Node, signer: &Arc<TestSigner>) -> OutboxError {
    let error = tokio::time::timeout(LONG, node.worker).await.unwrap().unwrap().unwrap_err();
    assert!(error.is_unsafe(), "{error}");
    assert!(signer.signed.lock().unwrap().is_empty(), "signed before it halted");
    error
}

/// The files of a store, as a careless copy takes them.
fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_with_one_key_on_one_chain_the_second_halts_before_its_first_signature() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let (home, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let first = Node::start(home.path(), &anvil.url, &signer, settings()).await;
    first.outbox.submit(withdraw(0)).await.unwrap();
    first.reach("withdraw:0", &[State::Sent]).await;

    // With a state directory of its own, while the first one's transaction still waits.
    let (other, twin) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let second = Node::start(other.path(), &anvil.url, &twin, settings()).await;
    second.outbox.submit(start_job(1)).await.unwrap();
    let error = halted(second, &twin).await;
    assert!(matches!(error, OutboxError::UnknownPast { count: 1, .. }), "{error}");
    for word in ["another instance", "stop the other instance", "--take-over-account"] {
        assert!(error.to_string().contains(word), "{error}");
    }

    // And when it is mined.
    anvil.mine(3).await;
    first.outbox.wait("withdraw:0", Until::Safe, LONG).await.unwrap();
    let (other, twin) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let second = Node::start(other.path(), &anvil.url, &twin, settings()).await;
    let waiting = second.outbox.submit(start_job(1)).await.unwrap().key;
    let error = halted(second, &twin).await;
    assert!(matches!(error, OutboxError::UnknownPast { .. }), "{error}");
    assert_eq!(waiting, "start_job:1");

    // With a copy of the first one's state, which was the truth when it was made.
    first.crash().await;
    let copied = tempfile::tempdir().unwrap();
    copy(home.path(), copied.path());
    let first = Node::start(home.path(), &anvil.url, &signer, settings()).await;
    first.outbox.submit(withdraw(1)).await.unwrap();
    first.reach("withdraw:1", &[State::Sent]).await;
    let twin = TestSigner::new(0);
    let second = Node::start(copied.path(), &anvil.url, &twin, settings()).await;
    second.outbox.submit(start_job(1)).await.unwrap();
    let error = halted(second, &twin).await;
    assert!(matches!(error, OutboxError::ForeignNonce { nonce: 1, .. }), "{error}");

    // The first one goes on.
    anvil.mine(1).await;
    first.reach("withdraw:1", &[State::Mined]).await;
    assert_eq!(nonce(&anvil, signer.address()).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_new_and_at_once_only_one_goes_on() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let signers = [TestSigner::new(0), TestSigner::new(0)];
    let mut nodes = Vec::new();
    for (dir, signer) in dirs.iter().zip(&signers) {
        nodes.push(Node::start(dir.path(), &anvil.url, signer, settings()).await);
    }
    let (second, first) = (nodes.pop().unwrap(), nodes.pop().unwrap());
    let (a, b) = tokio::join!(first.outbox.submit(withdraw(0)), second.outbox.submit(start_job(7)));
    a.unwrap();
    b.unwrap();
    let (mut one, mut two) = (first.worker, second.worker);
    let ended = async {
        tokio::select! {
            ended = &mut one => (ended, 1, two),
            ended = &mut two => (ended, 0, one),
        }
    };
    let (ended, winner, left) = tokio::select! {
        () = keep_mining(&anvil, std::time::Duration::from_millis(30)) => unreachable!("blocks go on for ever"),
        ended = tokio::time::timeout(LONG, ended) => ended.unwrap(),
    };
    let error = ended.unwrap().unwrap_err();
    assert!(error.is_unsafe(), "{error}");
    anvil.mine(3).await;
    let outboxes = [first.outbox, second.outbox];
    let key = ["withdraw:0", "start_job:7"][winner];
    let done = outboxes[winner].wait(key, Until::Mined, LONG).await.unwrap();
    assert!(matches!(done.state, State::Mined | State::Safe), "{done:?}");
    assert_eq!(nonce(&anvil, signers[0].address()).await, 1, "the loser's transaction had an effect");
    assert!(!left.is_finished());
}
