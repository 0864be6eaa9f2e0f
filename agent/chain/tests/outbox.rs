//! The outbox against a real development chain: every effect happens once, whatever is cut off, dropped or
//! reorganised on the way.
#![allow(clippy::unwrap_used)]

mod common;

use alloy::primitives::Bytes;
use alloy::sol_types::{Revert, SolError};
use common::{Anvil, Fault, LONG, MARKET, Mood, Node, Proxy, TestSigner, nonce, settings, withdraw};
use headframe_chain::outbox::{FeePolicy, Settings, StoreError};
use headframe_chain::{Event, Outbox, OutboxError, Rpc, State, TxSigner, Until};
use headframe_market::Action;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_happens_once_whichever_step_a_crash_cuts_off() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let proxy = Proxy::start(&anvil.url).await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    type Cut = (&'static str, fn(&Proxy, &TestSigner), &'static [State], bool);
    const SEND: &str = "eth_sendRawTransaction";
    let cuts: [Cut; 8] = [
        ("before it is rehearsed", |proxy, _| proxy.set("eth_estimateGas", Fault::Lost), &[State::Queued], false),
        ("before it is signed", |_, signer| signer.mood(Mood::Down), &[State::Reserved], false),
        ("between signing and storing", |_, signer| signer.mood(Mood::Mute), &[State::Reserved], false),
        ("before it is sent", |proxy, _| proxy.set(SEND, Fault::Lost), &[State::Signed], false),
        ("before sending is noted", |proxy, _| proxy.set(SEND, Fault::AnswerLost), &[State::Signed], false),
        ("while it waits in the pool", |_, _| {}, &[State::Sent], false),
        (
            "before its receipt is read",
            |proxy, _| proxy.set("eth_getTransactionReceipt", Fault::Lost),
            &[State::Sent],
            true,
        ),
        ("before it is deep", |_, _| {}, &[State::Mined], true),
    ];
    let first = nonce(&anvil, signer.address()).await;
    for (nth, (name, cut, states, mine)) in cuts.into_iter().enumerate() {
        let (action, nth) = (withdraw(nth as u64), nth as u64);
        let node = Node::start(dir.path(), &proxy.url, &signer, settings()).await;
        if !mine {
            cut(&proxy, &signer);
        }
        node.outbox.submit(action.clone()).await.unwrap();
        if mine {
            node.reach(&action.key(), &[State::Sent]).await;
            cut(&proxy, &signer);
            anvil.mine(1).await;
        }
        let before = node.reach(&action.key(), states).await;
        if states == [State::Signed] || states == [State::Reserved] {
            // Let it try, fail and try again.
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        node.crash().await;
        proxy.heal();
        signer.mood(Mood::Willing);
        if states == [State::Reserved] {
            anvil.mine(1).await; // another base fee, so that only what was reserved gives the same bytes
        }

        let node = Node::start(dir.path(), &proxy.url, &signer, settings()).await;
        assert_eq!(node.outbox.submit(action.clone()).await.unwrap().key, action.key());
        node.reach(&action.key(), &[State::Sent, State::Mined]).await;
        anvil.mine(1).await;
        node.reach(&action.key(), &[State::Mined]).await;
        anvil.mine(2).await;
        let after = node.outbox.wait(&action.key(), Until::Safe, LONG).await.unwrap();
        assert_eq!((after.state, after.nonce), (State::Safe, Some(first + nth)), "{name}");
        assert_eq!(nonce(&anvil, signer.address()).await, first + nth + 1, "{name}");
        assert!(before.hash.is_none() || before.hash == after.hash, "{name}: other bytes were sent");
        let signed = signer.signed.lock().unwrap()[&(first + nth)].1.len();
        assert_eq!(signed, 1, "{name}: two different transactions were signed");
        node.crash().await;
    }
    let node = Node::start(dir.path(), &proxy.url, &signer, settings()).await;
    let totals = node.outbox.gas_totals().await.unwrap()["withdraw"];
    assert_eq!(totals.transactions, 8);
    assert!(totals.gas_used >= 8 * 21_000 && totals.fee.0 > 0);
    assert_eq!(node.outbox.counts().await.unwrap()[&State::Safe], 8);
    assert_eq!(node.outbox.list(3).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_answering_for_a_while_loses_nothing() {
    let Some(anvil) = Anvil::start(&[]) else { return };
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start(dir.path(), &anvil.url, &signer, settings()).await;
    node.see(0).await;
    anvil.signal("STOP");
    for nth in 0..3 {
        node.outbox.submit(withdraw(nth)).await.unwrap();
    }
    let error = node.outbox.wait("withdraw:0", Until::Mined, Duration::from_secs(2)).await.unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
    assert!(!error.is_unsafe());
    node.head.wait_for(|head| head.healthy.is_err()).await.unwrap();
    anvil.signal("CONT");
    for nth in 0..3 {
        let key = withdraw(nth).key();
        assert_eq!(node.outbox.wait(&key, Until::Mined, LONG).await.unwrap().state, State::Mined);
    }
    assert_eq!(nonce(&anvil, signer.address()).await, 3);
    assert!(node.outbox.health().is_ok());
    node.head.wait_for(|head| head.healthy.is_ok()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_transaction_is_sent_again_as_it_was() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let node = Node::start(dir.path(), &anvil.url, &signer, settings()).await;
    let key = node.outbox.submit(withdraw(0)).await.unwrap().key;
    let hash = node.reach(&key, &[State::Sent]).await.hash;
    anvil.ask("anvil_dropAllTransactions", json!([])).await;
    let back = async {
        while anvil.ask("eth_getTransactionByHash", json!([hash])).await.is_null() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, back).await.unwrap();
    anvil.mine(3).await;
    let safe = node.outbox.wait(&key, Until::Safe, LONG).await.unwrap();
    assert_eq!((safe.hash, safe.attempts), (hash, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_of_any_depth_sends_the_same_bytes_again() {
    let Some(anvil) = Anvil::start(&[]) else { return };
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start(dir.path(), &anvil.url, &signer, settings()).await;
    let mut events = node.outbox.events();
    let mut unmined = 0;
    // One shallow, while it is merely mined; one deep, after it was called safe.
    for (nth, blocks, until) in [(0, 1, Until::Mined), (1, 6, Until::Safe)] {
        let key = node.outbox.submit(withdraw(nth)).await.unwrap().key;
        let mined = node.outbox.wait(&key, Until::Mined, LONG).await.unwrap();
        anvil.mine(blocks).await;
        node.see(mined.block.unwrap().0 + blocks).await;
        node.outbox.wait(&key, until, LONG).await.unwrap();
        anvil.ask("anvil_reorg", json!([blocks + 1, []])).await;
        anvil.mine(1).await;
        let seen = async {
            loop {
                match events.recv().await.unwrap() {
                    Event::Unmined(intent) if intent.key == key => return,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(LONG, seen).await.unwrap();
        unmined += 1;
        node.reach(&key, &[State::Mined, State::Safe]).await;
        anvil.mine(3).await;
        let safe = node.outbox.wait(&key, Until::Safe, LONG).await.unwrap();
        assert_eq!((safe.state, safe.hash, safe.attempts), (State::Safe, mined.hash, 1));
        assert!(safe.block > mined.block);
    }
    assert_eq!(nonce(&anvil, signer.address()).await, 2);
    assert_eq!(node.outbox.gas_totals().await.unwrap()["withdraw"].transactions, 2, "counted twice");
    assert_eq!(unmined, 2);
    let head = node.head.borrow_and_update().clone();
    assert_eq!((head.reorgs, head.last_reorg.unwrap().depth), (2, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_ours_that_is_not_ours_halts_everything() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let signer = TestSigner::new(0);
    let foreign = |nonce: u64| {
        json!([{ "from": signer.address(), "to": MARKET, "value": "0x1", "nonce": nonce, "maxFeePerGas": "0x3b9aca0000",
        "maxPriorityFeePerGas": "0x3b9aca000" }])
    };

    // A person took the account over: its past is not ours to judge, but what is pending must settle.
    let dir = tempfile::tempdir().unwrap();
    anvil.ask("eth_sendTransaction", foreign(0)).await;
    let take_over = Settings { take_over: true, ..settings() };
    let node = Node::start(dir.path(), &anvil.url, &signer, take_over.clone()).await;
    let key = node.outbox.submit(withdraw(0)).await.unwrap().key;
    let error = node.outbox.wait(&key, Until::Mined, Duration::from_millis(400)).await.unwrap_err();
    assert!(error.to_string().contains("does not know"), "{error}");
    anvil.mine(1).await;
    assert_eq!(node.reach(&key, &[State::Sent]).await.nonce, Some(1));

    // Another holder of the key replaces what we sent.
    anvil.ask("eth_sendTransaction", foreign(1)).await;
    anvil.mine(1).await;
    let error = tokio::time::timeout(LONG, node.worker).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, OutboxError::ForeignNonce { nonce: 1, .. }) && error.is_unsafe(), "{error}");
    let halted = node.outbox.submit(withdraw(1)).await.unwrap_err();
    assert!(halted.is_unsafe() && halted.to_string().contains("another instance"), "{halted}");
    assert!(node.outbox.wait(&key, Until::Mined, LONG).await.unwrap_err().is_unsafe());

    // While we have nothing to do.
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start(dir.path(), &anvil.url, &signer, take_over).await;
    signer.signed.lock().unwrap().clear();
    node.outbox.submit(withdraw(7)).await.unwrap();
    node.reach("withdraw:7", &[State::Sent]).await;
    anvil.mine(3).await;
    node.outbox.wait("withdraw:7", Until::Safe, LONG).await.unwrap();
    anvil.ask("eth_sendTransaction", foreign(3)).await;
    anvil.mine(1).await;
    let error = tokio::time::timeout(LONG, &mut node.worker).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, OutboxError::ForeignNonce { nonce: 3, .. }), "{error}");
}

/// Code that reverts with `Error(reason)` on any call.
fn reverting(reason: &str) -> Bytes {
    let data = Revert::from(reason).abi_encode();
    let length = u8::try_from(data.len()).unwrap();
    // codecopy(0, 12, length); revert(0, length); then the data
    let code = [0x60, length, 0x60, 12, 0x60, 0, 0x39, 0x60, length, 0x60, 0, 0xfd];
    code.into_iter().chain(data).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_would_revert_costs_nothing_and_may_be_tried_again_later() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start(dir.path(), &anvil.url, &signer, Settings { retry_after: 3, ..settings() }).await;
    let mut events = node.outbox.events();
    anvil.ask("anvil_setCode", json!([MARKET, reverting("nothing is owed")])).await;
    let key = node.outbox.submit(withdraw(0)).await.unwrap().key;
    let failed = node.outbox.wait(&key, Until::Safe, LONG).await.unwrap();
    assert_eq!(failed.error.as_deref(), Some("would revert: nothing is owed"));
    assert_eq!((failed.state, failed.nonce, failed.fee), (State::Failed, None, None));
    assert!(matches!(events.recv().await.unwrap(), Event::Failed(intent) if intent == failed));
    assert_eq!(nonce(&anvil, signer.address()).await, 0);

    // Too early: only a report.
    assert_eq!(node.outbox.submit(withdraw(0)).await.unwrap().state, State::Failed);
    anvil.ask("anvil_setCode", json!([MARKET, "0x"])).await;
    anvil.mine(3).await;
    node.see(3).await;
    assert_eq!(node.outbox.submit(withdraw(0)).await.unwrap().state, State::Queued);
    node.reach(&key, &[State::Sent]).await;

    // It rehearsed well, but the chain has moved on when it is mined: gas is gone, the reason is told.
    anvil.ask("anvil_setCode", json!([MARKET, reverting("too late")])).await;
    anvil.mine(1).await;
    let reverted = node.outbox.wait(&key, Until::Mined, LONG).await.unwrap();
    assert_eq!(reverted.state, State::Reverted);
    assert_eq!(reverted.error.as_deref(), Some("reverted: too late"));
    anvil.mine(2).await;
    let failed = node.outbox.wait(&key, Until::Safe, LONG).await.unwrap();
    assert_eq!((failed.state, failed.nonce), (State::Failed, Some(0)));
    assert_eq!(node.outbox.gas_totals().await.unwrap()["withdraw"].transactions, 1);

    // And once more, under the next nonce.
    anvil.ask("anvil_setCode", json!([MARKET, "0x"])).await;
    anvil.mine(3).await;
    node.see(9).await;
    node.outbox.submit(withdraw(0)).await.unwrap();
    node.reach(&key, &[State::Sent]).await;
    anvil.mine(3).await;
    let safe = node.outbox.wait(&key, Until::Safe, LONG).await.unwrap();
    assert_eq!((safe.state, safe.nonce), (State::Safe, Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_fails_one_intent_and_a_halted_signer_stops_the_node() {
    let Some(anvil) = Anvil::start(&[]) else { return };
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let node = Node::start(dir.path(), &anvil.url, &signer, settings()).await;
    signer.mood(Mood::Refusing);
    let key = node.outbox.submit(withdraw(0)).await.unwrap().key;
    let failed = node.outbox.wait(&key, Until::Safe, LONG).await.unwrap();
    assert!(failed.error.unwrap().contains("not today"));
    signer.mood(Mood::Willing);
    let key = node.outbox.submit(withdraw(1)).await.unwrap().key;
    let mined = node.outbox.wait(&key, Until::Mined, LONG).await.unwrap();
    assert_eq!(mined.nonce, Some(0), "a refused intent left a gap");
    signer.mood(Mood::Halted);
    node.outbox.submit(withdraw(2)).await.unwrap();
    let error = tokio::time::timeout(LONG, node.worker).await.unwrap().unwrap().unwrap_err();
    assert!(error.is_unsafe(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_urgent_goes_first_and_a_store_serves_one_process_one_account_and_one_chain() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let limits = Settings { max_queue: 2, ..settings() };
    let node = Node::start(dir.path(), &anvil.url, &signer, limits.clone()).await;
    node.outbox.submit(withdraw(0)).await.unwrap();
    node.reach("withdraw:0", &[State::Sent]).await; // shuts the gate
    node.outbox.submit(withdraw(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await; // several rounds
    assert_eq!(node.outbox.status("withdraw:1").await.unwrap().unwrap().state, State::Queued);
    let claim = headframe_market::ClaimId(9);
    let operator = headframe_market::Address::ZERO;
    let answer = Action::Answer { claim, operator, openings: vec![], secrets: vec![] };
    let start = Action::StartJob { job: headframe_market::JobId(9) };
    node.outbox.submit(start.clone()).await.unwrap();
    assert!(matches!(node.outbox.submit(withdraw(2)).await, Err(OutboxError::Full(2))));
    node.outbox.submit(answer).await.unwrap(); // a proof is never refused
    node.outbox.submit(start).await.unwrap(); // nor what was asked before
    for (nonce, key) in ["withdraw:0", "answer:9", "start_job:9", "withdraw:1"].into_iter().enumerate() {
        let states = [State::Sent, State::Mined, State::Safe];
        assert_eq!(node.reach(key, &states).await.nonce, Some(nonce as u64));
        anvil.mine(1).await;
    }

    let open = |signer, rpc| {
        let path = dir.path().join("outbox.sqlite");
        let (head, settings) = (node.head.clone(), settings());
        async move { Outbox::open(&path, rpc, head, signer, settings).await.map(drop).unwrap_err() }
    };
    let rpc = Rpc::connect(std::slice::from_ref(&anvil.url), None).await.unwrap();
    assert!(matches!(open(signer.clone(), rpc.clone()).await, OutboxError::Store(StoreError::InUse(_))));
    node.worker.abort();
    let (outbox, path) = (node.outbox, dir.path().join("outbox.sqlite"));
    drop((outbox, node.worker.await));
    let other = Outbox::open(&path, rpc, node.head.clone(), TestSigner::new(1), settings()).await;
    let error = other.map(drop).unwrap_err();
    assert!(error.is_unsafe() && error.to_string().contains("account"), "{error}");
    let elsewhere = Anvil::start(&["--chain-id", "5"]).unwrap();
    let rpc = Rpc::connect(std::slice::from_ref(&elsewhere.url), None).await.unwrap();
    let error = Outbox::open(&path, rpc, node.head.clone(), signer, settings()).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("chain 31337"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fees_above_the_cap_wait_instead_of_being_paid() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let cap = FeePolicy { max_fee: 3_000_000_000, ..FeePolicy::default() };
    anvil.ask("anvil_setNextBlockBaseFeePerGas", json!(["0x174876e800"])).await; // 100 gwei
    anvil.mine(1).await;
    let mut node = Node::start(dir.path(), &anvil.url, &signer, Settings { fees: cap, ..settings() }).await;
    node.see(1).await;
    let key = node.outbox.submit(common::start_job(0)).await.unwrap().key;
    node.reach(&key, &[State::Signed, State::Sent]).await;
    anvil.mine(1).await;
    assert_eq!(nonce(&anvil, signer.address()).await, 0);
    anvil.ask("anvil_setNextBlockBaseFeePerGas", json!(["0x3b9aca00"])).await; // 1 gwei
    anvil.mine(1).await;
    node.see(3).await;
    node.reach(&key, &[State::Sent, State::Mined]).await;
    anvil.ask("anvil_setNextBlockBaseFeePerGas", json!(["0x3b9aca00"])).await;
    anvil.mine(1).await;
    let mined = node.outbox.wait(&key, Until::Mined, LONG).await.unwrap();
    assert!(mined.fee.unwrap().0 <= 3_000_000_000 * u128::from(mined.gas_used.unwrap()));
}
