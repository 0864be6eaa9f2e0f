//! Several providers as one: fail-over, rest, recovery, and no patience with a wrong chain.
#![allow(clippy::unwrap_used)]

mod common;

use alloy::primitives::{Address, B256, Bytes};
use common::mock::{Manner, Mock};
use common::{Anvil, rpc_settings};
use headframe_chain::provider::Settings;
use headframe_chain::provider::views::Nonces;
use headframe_chain::{Class, Pin, Rpc, RpcError, Watcher, watcher};
use headframe_market::BlockNo;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const PIN: Pin = Pin { chain_id: 9, genesis: B256::repeat_byte(7) };

fn urls(mocks: &[&Mock]) -> Vec<String> {
    mocks.iter().map(|mock| mock.url.clone()).collect()
}

#[tokio::test]
async fn the_next_provider_steps_in_and_the_first_returns_when_it_is_well() {
    let (first, second) = (Mock::start(9).await, Mock::start(9).await);
    second.set(|chain| chain.head = 50);
    let rpc = Rpc::connect_with(&urls(&[&first, &second]), Some(PIN), rpc_settings()).await.unwrap();
    assert_eq!(rpc.head().await.unwrap().number, BlockNo(1));
    for manner in [
        Manner::Hanging,
        Manner::Says(200, "<html>busy</html>"),
        Manner::Says(200, r#"{"jsonrpc":"2.0","id":1000000,"result":"0x1"}"#),
        Manner::Says(200, r#"{"jsonrpc":"2.0","id":1}"#),
        Manner::Says(200, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"limit exceeded"}}"#),
        Manner::Says(429, "slow down"),
        Manner::Says(500, ""),
    ] {
        first.set(|chain| chain.manner = manner.clone());
        assert_eq!(rpc.head().await.unwrap().number, BlockNo(50), "{manner:?}");
        assert!(rpc.stats()[0].resting, "{manner:?}");
        first.set(|chain| chain.manner = Manner::Honest);
        let back = async {
            while rpc.head().await.unwrap().number != BlockNo(1) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), back).await.unwrap();
    }
    let stats = &rpc.stats()[0];
    assert_eq!((stats.timeouts, stats.garbage, stats.rate_limited, stats.transport), (1, 3, 2, 1));
    assert!(stats.answered > 0 && !stats.resting);
}

#[tokio::test]
async fn nobody_answering_is_a_quick_clear_error_without_a_pile_of_requests() {
    let (first, second) = (Mock::start(9).await, Mock::start(9).await);
    let settings = Settings { in_flight: 4, backoff_max: Duration::from_millis(300), ..rpc_settings() };
    let rpc = Rpc::connect_with(&urls(&[&first, &second]), Some(PIN), settings).await.unwrap();
    for mock in [&first, &second] {
        mock.set(|chain| (chain.manner, chain.requests, chain.most_open) = (Manner::Hanging, 0, 0));
    }
    let start = Instant::now();
    let all = futures::future::join_all((0..100).map(|_| rpc.head())).await;
    assert!(all.iter().all(|one| matches!(one, Err(RpcError::Unavailable { .. }))));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let error = all[0].as_ref().unwrap_err();
    assert_eq!(error.class(), Class::Retry);
    assert!(error.to_string().contains("no answer within 500ms"), "{error}");
    assert!(first.get(|chain| chain.most_open) <= 4);

    // From now on one probe at a time, however many ask.
    first.set(|chain| (chain.requests, chain.most_open) = (0, 0));
    let until = Instant::now() + Duration::from_millis(1500);
    let mut asked = 0u32;
    while Instant::now() < until {
        assert!(futures::future::join_all((0..20).map(|_| rpc.head())).await.iter().all(Result::is_err));
        asked += 20;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (requests, most) = first.get(|chain| (chain.requests, chain.most_open));
    assert!(most <= 1 && requests <= 5, "{requests} requests, {most} at once, for {asked} questions");

    first.set(|chain| chain.manner = Manner::Honest);
    let back = async {
        while rpc.head().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), back).await.unwrap();
}

#[tokio::test]
async fn the_wrong_chain_is_fatal_at_the_start_and_later() {
    let (right, wrong, renewed) = (Mock::start(9).await, Mock::start(10).await, Mock::start(9).await);
    renewed.set(|chain| chain.genesis = B256::repeat_byte(8));
    let connect = |mocks: &[&Mock], pin| {
        let urls = urls(mocks);
        async move { Rpc::connect_with(&urls, pin, rpc_settings()).await }
    };
    let error = connect(&[&right, &wrong], Some(PIN)).await.unwrap_err();
    assert!(matches!(error, RpcError::WrongChain { expected: 9, found: 10, .. }), "{error}");
    assert_eq!(error.class(), Class::Unsafe);
    let error = connect(&[&right, &renewed], None).await.unwrap_err(); // the first one decides
    assert!(matches!(error, RpcError::WrongGenesis { .. }), "{error}");

    // One provider that is down does not keep the other from working, nor from being checked when it comes up.
    wrong.set(|chain| chain.manner = Manner::Says(503, ""));
    let rpc = connect(&[&wrong, &right], None).await.unwrap();
    assert_eq!(rpc.pin(), PIN);
    rpc.head().await.unwrap();
    wrong.set(|chain| chain.manner = Manner::Honest);
    let found = async {
        loop {
            match rpc.head().await {
                Err(error) if error.class() == Class::Unsafe => return,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), found).await.unwrap();
    assert_eq!(rpc.broadcast(&Bytes::new()).await.unwrap_err().class(), Class::Unsafe, "once wrong, always refused");

    // A chain that changes under us without ever failing.
    let settings = Settings { reverify: Duration::from_millis(50), ..rpc_settings() };
    let rpc = Rpc::connect_with(&urls(&[&right]), Some(PIN), settings).await.unwrap();
    rpc.head().await.unwrap();
    right.set(|chain| chain.chain_id = 11);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(rpc.head().await.unwrap_err().class(), Class::Unsafe);
}

#[tokio::test]
async fn a_start_without_any_provider_is_possible_when_the_chain_is_known() {
    let mock = Mock::start(9).await;
    mock.set(|chain| chain.manner = Manner::Says(503, ""));
    let error = Rpc::connect_with(&urls(&[&mock]), Some(PIN), rpc_settings()).await.unwrap_err();
    assert_eq!(error.class(), Class::Retry);
    let rpc = Rpc::offline(&urls(&[&mock]), PIN, rpc_settings()).unwrap();
    assert_eq!(rpc.head().await.unwrap_err().class(), Class::Retry);
    mock.set(|chain| chain.manner = Manner::Honest);
    tokio::time::sleep(Duration::from_millis(120)).await;
    rpc.head().await.unwrap();
    assert!(matches!(Rpc::connect(&[], None).await, Err(RpcError::BadUrl { .. })));
}

#[tokio::test]
async fn a_slow_provider_that_failed_once_counts_again() {
    let mock = Mock::start(9).await;
    // Which chain it serves takes two questions: one after the other, the third would come too late.
    let settings = Settings { timeout: Duration::from_secs(1), ..rpc_settings() };
    let rpc = Rpc::connect_with(&urls(&[&mock]), Some(PIN), settings).await.unwrap();
    mock.set(|chain| chain.manner = Manner::Says(503, ""));
    assert_eq!(rpc.head().await.unwrap_err().class(), Class::Retry);
    mock.set(|chain| chain.manner = Manner::Slow(Duration::from_millis(400)));
    tokio::time::sleep(Duration::from_millis(120)).await;
    rpc.head().await.unwrap();
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let mock = Mock::start(9).await;
    let settings = Settings { max_body: 4096, ..rpc_settings() };
    let rpc = Rpc::connect_with(&urls(&[&mock]), Some(PIN), settings).await.unwrap();
    mock.set(|chain| chain.manner = Manner::Says(200, Box::leak("[".repeat(100_000).into_boxed_str())));
    let error = rpc.head().await.unwrap_err();
    assert!(error.to_string().contains("more than 4096 bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_and_reorganisations_seen() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let rpc = Rpc::connect_with(std::slice::from_ref(&anvil.url), None, rpc_settings()).await.unwrap();
    let at = Address::repeat_byte(0x44);
    anvil.ask("anvil_setBalance", json!([at, "0x7"])).await;
    anvil.ask("anvil_setCode", json!([at, "0x60056000526020601ff3"])).await; // answers the byte 5, then zeros
    assert_eq!(rpc.balance(at).await.unwrap().0, 7);
    assert_eq!(rpc.code(at).await.unwrap().len(), 10);
    assert_eq!(rpc.call(at, Bytes::new()).await.unwrap()[0], 5);
    assert_eq!(rpc.nonces(at).await.unwrap().value, Nonces { mined: 0, pending: 0, most: 0 });
    assert!(rpc.logs(&Default::default()).await.unwrap().is_empty());
    let receipt = rpc.agreed_receipt(B256::ZERO).await.unwrap();
    assert!(receipt.value.is_none() && receipt.quorum && rpc.holders(B256::ZERO).await.unwrap() == 0);
    assert!(rpc.header(BlockNo(1000)).await.unwrap().is_none());

    let settings = watcher::Settings {
        poll: Duration::from_millis(20),
        ring: 16,
        stale_after: Duration::from_millis(400),
        ..watcher::Settings::default()
    };
    let (watcher, mut head) = Watcher::new(rpc, settings);
    let stop = CancellationToken::new();
    let task = tokio::spawn(watcher.run(stop.clone()));
    assert!(head.borrow().healthy.is_err());
    let mut see = async |number: u64, reorgs: u64| {
        let seen = head.wait_for(|head| head.healthy.is_ok() && head.number.0 == number && head.reorgs == reorgs);
        tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap().unwrap().clone()
    };
    see(0, 0).await;
    anvil.mine(5).await;
    let five = see(5, 0).await;
    assert!(five.healthy.is_ok() && five.age() < Duration::from_secs(5));
    anvil.ask("anvil_setCoinbase", json!([at])).await; // or the first new block would be the old one
    anvil.ask("anvil_reorg", json!([2, []])).await;
    let other = see(5, 1).await;
    assert_ne!(other.hash, five.hash);
    assert_eq!(other.last_reorg.map(|reorg| (reorg.fork, reorg.depth)), Some((Some(BlockNo(3)), 2)));
    anvil.mine(100).await; // further than the ring reaches
    see(105, 1).await;
    anvil.mine(5).await;
    see(110, 1).await;
    anvil.ask("anvil_rollback", json!([3])).await;
    anvil.ask("evm_increaseTime", json!([77])).await;
    anvil.mine(1).await;
    let back = see(108, 2).await;
    assert_eq!(back.last_reorg.map(|reorg| (reorg.fork, reorg.depth)), Some((Some(BlockNo(107)), 3)));

    let old = tokio::time::timeout(Duration::from_secs(10), head.wait_for(|head| head.healthy.is_err())).await;
    let why = old.unwrap().unwrap().healthy.clone().unwrap_err();
    assert!(why.contains("no new block"), "{why}");
    anvil.ask("anvil_setChainId", json!([5])).await;
    stop.cancel();
    task.await.unwrap().unwrap();
}
