//! The outbox against a pool that enforces what real ones do: a replacement must raise both fees by a tenth.
#![allow(clippy::unwrap_used)]

mod common;

use common::mock::Mock;
use common::{LONG, Node, TestSigner, settings, withdraw};
use headframe_chain::outbox::{FeePolicy, Settings};
use headframe_chain::{State, Until};

/// Mines, and waits until the node has seen it.
async fn mine(mock: &Mock, node: &mut Node) {
    mock.set(|chain| chain.mine());
    node.see(mock.get(|chain| chain.head)).await;
}

#[tokio::test]
async fn fees_rise_as_the_pool_wants_until_somebody_takes_it() {
    let mock = Mock::start(9).await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let fees = FeePolicy { max_fee: 1_000_000, min_priority: 100, max_priority: 1_000 };
    let settings = Settings { fees, bump_after: 2, ..settings() };
    let mut node = Node::start(dir.path(), &mock.url, &signer, settings.clone()).await;
    mock.set(|chain| chain.wants = 150);
    let key = node.outbox.submit(withdraw(0)).await.unwrap().key;
    node.reach(&key, &[State::Sent]).await;
    let mut blocks = 0;
    while node.outbox.status(&key).await.unwrap().unwrap().state == State::Sent {
        mine(&mock, &mut node).await;
        blocks += 1;
        assert!(blocks < 40, "never included");
        let attempts = node.outbox.status(&key).await.unwrap().unwrap().attempts;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        if blocks == 5 {
            // A restart in the middle goes on with the newest fees, not with the first.
            node.crash().await;
            node = Node::start(dir.path(), &mock.url, &signer, settings.clone()).await;
            assert!(node.outbox.status(&key).await.unwrap().unwrap().attempts >= attempts);
        }
    }
    mine(&mock, &mut node).await;
    mine(&mock, &mut node).await;
    let safe = node.outbox.wait(&key, Until::Safe, LONG).await.unwrap();
    // 100, 113, 128, 144, 162: the fifth tips enough.
    assert_eq!((safe.state, safe.attempts), (State::Safe, 5));
    assert_eq!(mock.get(|chain| (chain.underpriced, chain.accepted)), (0, 5), "the pool refused a replacement");
    let signed = signer.signed.lock().unwrap()[&0].1.clone();
    assert_eq!(signed.len(), 5);
    assert_eq!(safe.hash, Some(signed[4].hash));
}

#[tokio::test]
async fn a_transaction_at_the_cap_waits_and_is_not_signed_for_ever() {
    let mock = Mock::start(9).await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let fees = FeePolicy { max_fee: 2_500, min_priority: 100, max_priority: 1_000 };
    let mut node = Node::start(dir.path(), &mock.url, &signer, Settings { fees, bump_after: 1, ..settings() }).await;
    mock.set(|chain| chain.wants = 100_000);
    let key = node.outbox.submit(withdraw(0)).await.unwrap().key;
    node.reach(&key, &[State::Sent]).await;
    for _ in 0..8 {
        mine(&mock, &mut node).await;
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }
    let stuck = node.outbox.status(&key).await.unwrap().unwrap();
    assert_eq!((stuck.state, stuck.attempts), (State::Sent, 2), "{stuck:?}");
    assert!(stuck.error.unwrap().contains("highest fee"));
    mock.set(|chain| chain.wants = 0);
    mine(&mock, &mut node).await;
    assert_eq!(node.outbox.wait(&key, Until::Mined, LONG).await.unwrap().state, State::Mined);
}
