//! Several providers of one chain, one of which is behind, invents or hides: nothing that safety rests on moves, the others
//! carry on, and the odd one is set aside with its reason and tried again.
#![allow(clippy::unwrap_used)]

mod common;

use alloy::primitives::{Address, B256};
use common::mock::{Manner, Mock, hex};
use common::{LONG, Node, TestSigner, answer, rpc_settings, settings, start_job, until};
use headframe_chain::{Class, Deadline, OutboxError, Rpc, RpcError, State, Watcher, watcher};
use headframe_market::{Action, BlockNo};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Three providers of one chain, the first of which a test spoils: it is the one that would be asked first.
async fn three() -> ([Mock; 3], Vec<String>) {
    let chain = Mock::start(9).await;
    let mocks = [chain.beside().await, chain.beside().await, chain];
    let urls = mocks.iter().map(|mock| mock.url.clone()).collect();
    (mocks, urls)
}

/// Mines on the chain itself, and waits until the node has seen it.
async fn mine(mocks: &[Mock; 3], node: &mut Node) {
    mocks[2].set(|chain| chain.mine());
    node.see(mocks[2].get(|chain| chain.head)).await;
}

/// Asks for the effect, and mines it.
async fn make(mocks: &[Mock; 3], node: &mut Node, action: Action) {
    let key = node.outbox.submit(action).await.unwrap().key;
    node.reach(&key, &[State::Sent]).await;
    mine(mocks, node).await;
    node.reach(&key, &[State::Mined]).await;
}

/// One provider is left, and the node knows it.
async fn two_go_down(mocks: &[Mock; 3], node: &mut Node) {
    for down in &mocks[..2] {
        down.set(|chain| chain.manner = Manner::Says(503, ""));
    }
    node.head.wait_for(|head| !head.quorum && head.healthy.is_err()).await.unwrap();
}

/// Waits until the first provider is set aside, and gives the reason.
async fn aside(rpc: &Rpc) -> String {
    let looking = async {
        loop {
            if let Some(why) = rpc.stats()[0].aside.clone() {
                return why;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, looking).await.unwrap()
}

#[tokio::test]
async fn a_liar_with_a_fake_receipt_convinces_nobody_and_is_named() {
    let (mocks, urls) = three().await;
    mocks[0].twist(|method, params, honest| match method {
        "eth_getTransactionReceipt" => json!({ "transactionHash": params[0], "blockNumber": "0x1",
            "blockHash": B256::repeat_byte(1), "status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x1" }),
        "eth_getTransactionCount" => json!("0x1"),
        _ => honest,
    });
    mocks[2].set(|chain| chain.wants = 1 << 40);
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start_on(dir.path(), &urls, &signer, settings()).await;
    node.outbox.submit(answer(1)).await.unwrap();
    let why = aside(&node.rpc).await;
    assert!(why.contains("others"), "{why}");
    assert!(node.rpc.stats()[0].disagreements > 0 && node.rpc.stats()[1].disagreements == 0);
    mocks[2].set(|chain| chain.wants = 0);
    node.outbox.submit(start_job(1)).await.unwrap();
    node.reach("answer:1", &[State::Sent, State::Mined]).await;
    for _ in 0..6 {
        mine(&mocks, &mut node).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    node.reach("start_job:1", &[State::Mined, State::Safe]).await;
    assert_eq!(mocks[2].get(|chain| chain.transactions()), 2);
}

#[tokio::test]
async fn one_invented_transaction_holds_claims_back_until_its_provider_is_set_aside_and_two_halt() {
    let (mocks, urls) = three().await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start_on(dir.path(), &urls, &signer, settings()).await;
    make(&mocks, &mut node, start_job(1)).await;
    mocks[0].twist(|method, _, honest| if method == "eth_getTransactionCount" { json!("0x63") } else { honest });
    node.outbox.submit(start_job(2)).await.unwrap();
    node.outbox.submit(answer(1)).await.unwrap();
    node.reach("answer:1", &[State::Sent]).await;
    let why = aside(&node.rpc).await;
    assert!(why.contains("says 99 transactions were mined"), "{why}");
    mine(&mocks, &mut node).await;
    node.reach("start_job:2", &[State::Sent]).await;

    mocks[2].set(|chain| chain.mine());
    mocks[2].set(|chain| chain.mine_foreign());
    let error = tokio::time::timeout(LONG, node.worker).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, OutboxError::ForeignNonce { .. }) && error.is_unsafe(), "{error}");
}

#[tokio::test]
async fn one_that_is_behind_or_ahead_is_set_aside_and_tried_again() {
    let (mocks, urls) = three().await;
    mocks[2].set(|chain| chain.head = 100);
    let rpc = Rpc::connect_with(&urls, None, rpc_settings()).await.unwrap();
    assert_eq!(rpc.quorum(), 2);
    for (number, side) in [(50, "50 blocks behind the others"), (100_000, "99900 blocks ahead of the others")] {
        mocks[0].twist(move |method, params, mut honest| {
            if method == "eth_getBlockByNumber" && params[0] == "latest" {
                honest["number"] = hex(number);
            }
            honest
        });
        let heads = rpc.heads().await.unwrap();
        assert_eq!(
            (heads.tip.number, heads.lowest.number, heads.highest.number),
            (BlockNo(100), BlockNo(100), BlockNo(100))
        );
        let why = aside(&rpc).await;
        assert!(why.contains(side), "{why}");
        let asked = mocks[0].get(|chain| chain.requests);
        rpc.heads().await.unwrap();
        rpc.code(Address::ZERO).await.unwrap(); // what one alone may answer
        assert_eq!(mocks[0].get(|chain| chain.requests), asked, "it is asked although it is set aside");
        mocks[0].set(|chain| chain.twist = None);
        let back = async {
            while rpc.stats()[0].aside.is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LONG, back).await.unwrap();
        rpc.heads().await.unwrap();
        assert!(mocks[0].get(|chain| chain.requests) > asked, "it is never tried again");
        assert!(rpc.stats()[0].aside.is_none());
    }
    assert_eq!(rpc.stats()[0].set_aside, 2);
}

/// Nobody can tell which of two is wrong, and the one that is ahead may be the only one that is right.
#[tokio::test]
async fn of_two_that_are_far_apart_neither_is_set_aside_and_there_is_no_quorum() {
    let (mocks, urls) = three().await;
    mocks[2].set(|chain| chain.head = 100);
    let rpc = Rpc::connect_with(&urls, None, rpc_settings()).await.unwrap();
    is_at(&mocks, 50);
    mocks[1].set(|chain| chain.manner = Manner::Says(503, ""));
    for _ in 0..20 {
        let heads = rpc.heads().await.unwrap();
        assert!(!heads.quorum);
        assert_eq!((heads.tip.number, heads.highest.number), (BlockNo(50), BlockNo(100)));
        rpc.nonces(Address::ZERO).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(rpc.stats().iter().all(|stats| stats.set_aside == 0), "{:?}", rpc.stats());
    mocks[1].set(|chain| chain.manner = Manner::Honest);
    until("a quorum is back", async || rpc.heads().await.unwrap().quorum).await;
    assert!(aside(&rpc).await.contains("50 blocks behind the others"));
}

/// The first of the providers has not seen any block since `number`.
fn is_at(mocks: &[Mock; 3], number: u64) {
    let chain = mocks[2].chain.clone();
    mocks[0].twist(move |method, params, honest| match method {
        "eth_getBlockByNumber" if params[0] == "latest" => chain.lock().unwrap().block(number),
        "eth_getTransactionCount" => json!("0x0"),
        _ => honest,
    });
}

#[tokio::test]
async fn below_a_quorum_one_that_is_behind_holds_no_proof_back() {
    let (mocks, urls) = three().await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start_on(dir.path(), &urls, &signer, settings()).await;
    make(&mocks, &mut node, answer(1)).await;
    for _ in 0..12 {
        mine(&mocks, &mut node).await;
    }
    is_at(&mocks, 1);
    mocks[1].set(|chain| chain.manner = Manner::Says(503, ""));
    node.head.wait_for(|head| !head.quorum).await.unwrap();
    node.outbox.submit(answer(2)).await.unwrap();
    node.reach("answer:2", &[State::Sent]).await;
}

/// What a reorganisation did cannot be asked while one provider is left: it is asked later.
#[tokio::test]
async fn a_reorganisation_that_too_few_saw_is_looked_at_when_there_is_a_quorum_again() {
    let (mocks, urls) = three().await;
    mocks[2].set(|chain| chain.finalized = Some(0));
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start_on(dir.path(), &urls, &signer, settings()).await;
    node.outbox.submit(answer(1)).await.unwrap();
    node.reach("answer:1", &[State::Sent]).await;
    for _ in 0..4 {
        mine(&mocks, &mut node).await;
    }
    node.reach("answer:1", &[State::Safe]).await;
    two_go_down(&mocks, &mut node).await;
    mocks[2].set(|chain| {
        chain.reorganise_to_reverts(4);
        chain.mine();
    });
    node.head.wait_for(|head| head.reorgs > 0).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(node.outbox.status("answer:1").await.unwrap().unwrap().state, State::Safe);
    for back in &mocks[..2] {
        back.set(|chain| chain.manner = Manner::Honest);
    }
    node.reach("answer:1", &[State::Reverted, State::Failed]).await;
}

#[tokio::test]
async fn a_few_blocks_of_delay_are_no_offence_and_both_ends_are_told() {
    let (mocks, urls) = three().await;
    mocks[2].set(|chain| chain.head = 100);
    let chain = mocks[2].chain.clone();
    mocks[0].twist(move |method, params, honest| match method {
        "eth_getBlockByNumber" if params[0] == "latest" => {
            let chain = chain.lock().unwrap();
            chain.block(chain.head - 3)
        }
        _ => honest,
    });
    let rpc = Rpc::connect_with(&urls, None, rpc_settings()).await.unwrap();
    let heads = rpc.heads().await.unwrap();
    assert_eq!(
        (heads.lowest.number, heads.tip.number, heads.highest.number),
        (BlockNo(97), BlockNo(100), BlockNo(100))
    );
    assert!(rpc.stats().iter().all(|stats| stats.aside.is_none()));

    // Dropping waits for the last of them to be late: until then somebody may still see it in time.
    mocks[2].set(|chain| chain.wants = 1 << 40);
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start_on(dir.path(), &urls, &signer, settings()).await;
    node.outbox.submit(start_job(1)).await.unwrap();
    node.reach("start_job:1", &[State::Sent]).await;
    node.outbox.submit_by(start_job(2), Deadline::block(BlockNo(101))).await.unwrap();
    for _ in 0..3 {
        mine(&mocks, &mut node).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(node.outbox.status("start_job:2").await.unwrap().unwrap().state, State::Queued);
    }
    mine(&mocks, &mut node).await;
    node.reach("start_job:2", &[State::Failed]).await;
}

#[tokio::test]
async fn below_a_quorum_proofs_go_on_and_claims_wait() {
    let (mocks, urls) = three().await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start_on(dir.path(), &urls, &signer, settings()).await;
    node.see(1).await;
    make(&mocks, &mut node, start_job(1)).await;
    two_go_down(&mocks, &mut node).await;
    node.outbox.submit(start_job(2)).await.unwrap();
    node.outbox.submit(answer(1)).await.unwrap();
    node.reach("answer:1", &[State::Sent]).await;
    for _ in 0..4 {
        mocks[2].set(|chain| chain.mine());
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(node.outbox.status("start_job:2").await.unwrap().unwrap().state, State::Queued);
    let one = node.outbox.status("answer:1").await.unwrap().unwrap();
    assert_eq!(one.state, State::Sent, "one provider's word is no receipt");
    for back in &mocks[..2] {
        back.set(|chain| chain.manner = Manner::Honest);
    }
    node.reach("answer:1", &[State::Mined, State::Safe]).await;
    node.reach("start_job:2", &[State::Sent]).await;
}

#[tokio::test]
async fn headers_must_chain_by_their_parents() {
    let (mocks, urls) = three().await;
    let rpc = Rpc::connect_with(&urls, None, rpc_settings()).await.unwrap();
    let settings = watcher::Settings { poll: Duration::from_millis(10), ..watcher::Settings::default() };
    let (watcher, mut head) = Watcher::new(rpc.clone(), settings);
    let stop = CancellationToken::new();
    let task = tokio::spawn(watcher.run(stop.clone()));
    let mut see = async |number: u64| {
        let seen = head.wait_for(|head| head.number == BlockNo(number));
        tokio::time::timeout(LONG, seen).await.unwrap().unwrap().clone()
    };
    see(1).await;
    // Its newest block is like everybody's, but the one below is not that block's parent.
    mocks[0].twist(|method, params, mut honest| {
        let asked = params[0].as_str().unwrap_or_default();
        if method == "eth_getBlockByNumber" && asked.starts_with("0x") && asked != "0x0" {
            honest["hash"] = json!(B256::repeat_byte(0xbb));
        }
        honest
    });
    mocks[2].set(|chain| chain.head = 4);
    let why = aside(&rpc).await;
    assert!(why.contains("as its parent"), "{why}");
    let seen = see(4).await;
    assert_eq!((seen.hash, seen.reorgs), (mocks[2].get(|chain| chain.hash(4)), 0));
    stop.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn finality_is_what_a_quorum_has_alike() {
    let (mocks, urls) = three().await;
    let rpc = Rpc::connect_with(&urls, None, rpc_settings()).await.unwrap();
    assert_eq!(rpc.finalized().await.unwrap(), None, "nobody knows the word");
    mocks[2].set(|chain| (chain.head, chain.finalized) = (100, Some(90)));
    mocks[0].twist(|method, params, mut honest| {
        if method == "eth_getBlockByNumber" && params[0] == "finalized" {
            honest["number"] = hex(100);
        }
        honest
    });
    assert_eq!(rpc.finalized().await.unwrap().map(|header| header.number), Some(BlockNo(90)));
    mocks[1].twist(|method, params, mut honest| {
        if method == "eth_getBlockByNumber" && params[0] != "latest" && params[0] != "0x0" {
            honest["hash"] = json!(B256::repeat_byte(0xcc));
        }
        honest
    });
    mocks[0].set(|chain| chain.manner = Manner::Says(503, ""));
    assert_eq!(rpc.finalized().await.unwrap(), None, "two that differ are no quorum");
}

#[tokio::test]
async fn the_contracts_code_is_pinned() {
    let (mocks, urls) = three().await;
    let at = Address::repeat_byte(0x33);
    let text = || json!(at).as_str().unwrap().to_owned();
    let rpc = Rpc::connect_with(&urls, None, rpc_settings()).await.unwrap();
    let none = rpc.codes(&[("market", at)]).await.unwrap_err();
    assert!(matches!(none, RpcError::NoCode { name: "market", .. }) && none.class() == Class::Unsafe, "{none}");
    mocks[2].set(|chain| _ = chain.codes.insert(text(), "0x6001"));
    let pins = rpc.codes(&[("market", at)]).await.unwrap();
    rpc.check_codes(&pins).await.unwrap();
    let other = |method: &str, _: &Value, honest: Value| if method == "eth_getCode" { json!("0x6002") } else { honest };
    mocks[0].twist(other);
    rpc.check_codes(&pins).await.unwrap();
    assert!(rpc.stats()[0].aside.as_ref().unwrap().contains("other code for market"));
    mocks[2].set(|chain| _ = chain.codes.insert(text(), "0x6002"));
    let error = rpc.check_codes(&pins).await.unwrap_err();
    assert!(matches!(error, RpcError::WrongCode { .. }) && error.class() == Class::Unsafe, "{error}");
}

#[tokio::test]
async fn a_view_of_a_contract_is_what_most_say() {
    let (mocks, urls) = three().await;
    mocks[0].twist(|method, _, honest| if method == "eth_call" { json!("0x01") } else { honest });
    let rpc = Rpc::connect_with(&urls, None, rpc_settings()).await.unwrap();
    let asking = async {
        while rpc.stats()[0].aside.is_none() {
            assert!(rpc.call(Address::ZERO, Default::default()).await.unwrap().is_empty(), "the liar was believed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, asking).await.unwrap();
    assert!(aside(&rpc).await.contains("answers a call"));
    mocks[1].set(|chain| chain.manner = Manner::Says(503, ""));
    assert!(
        rpc.call(Address::ZERO, Default::default()).await.unwrap().is_empty(),
        "one honest provider is enough to read"
    );
}

#[tokio::test]
async fn what_one_hides_another_tells() {
    let (mocks, urls) = three().await;
    let log = json!({ "address": Address::repeat_byte(1), "topics": [], "data": "0x", "blockNumber": "0x1",
        "blockHash": B256::repeat_byte(2), "transactionHash": B256::repeat_byte(3), "transactionIndex": "0x0",
        "logIndex": "0x0", "removed": false });
    mocks[2].set(|chain| chain.logs.push(log));
    mocks[0].twist(|method, _, honest| if method == "eth_getLogs" { json!([]) } else { honest });
    let rpc = Rpc::connect_with(&urls, None, rpc_settings()).await.unwrap();
    assert_eq!(rpc.logs(&Default::default()).await.unwrap().len(), 1, "hidden, or told twice");
}

/// The last provider that answers shows a proof as due that a block once had: it goes out again, and a claim does not.
#[tokio::test]
async fn below_a_quorum_a_mined_proof_that_is_due_again_is_sent_again() {
    let (mocks, urls) = three().await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start_on(dir.path(), &urls, &signer, settings()).await;
    node.see(1).await;
    make(&mocks, &mut node, answer(1)).await;
    node.outbox.submit(start_job(1)).await.unwrap();
    node.reach("start_job:1", &[State::Sent]).await;
    for _ in 0..6 {
        mine(&mocks, &mut node).await;
    }
    node.reach("answer:1", &[State::Safe]).await;
    node.reach("start_job:1", &[State::Safe]).await;
    assert_eq!(node.outbox.submit(answer(1)).await.unwrap().state, State::Safe, "a quorum has it");
    two_go_down(&mocks, &mut node).await;
    node.outbox.submit(start_job(1)).await.unwrap();
    until("it is queued again", async || node.outbox.submit(answer(1)).await.unwrap().state != State::Safe).await;
    let again = node.reach("answer:1", &[State::Sent]).await;
    assert_eq!((again.nonce, signer.signed.lock().unwrap().len()), (Some(2), 3));
    assert_eq!(node.outbox.status("start_job:1").await.unwrap().unwrap().state, State::Safe);
    assert_eq!(node.outbox.submit(answer(1)).await.unwrap().state, State::Sent, "once for each time that it is mined");
    assert_eq!(node.outbox.gas_totals().await.unwrap()["answer"].transactions, 1);
}

/// The last provider that answers has the proof's nonce used up and shows the proof as due all the same: it goes out again.
#[tokio::test]
async fn below_a_quorum_a_sent_proof_whose_nonce_is_used_up_is_sent_again_and_a_claim_is_not() {
    let (mocks, urls) = three().await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start_on(dir.path(), &urls, &signer, settings()).await;
    node.see(1).await;
    node.outbox.submit(start_job(1)).await.unwrap();
    node.reach("start_job:1", &[State::Sent]).await;
    node.outbox.submit(answer(1)).await.unwrap();
    node.reach("answer:1", &[State::Sent]).await;
    two_go_down(&mocks, &mut node).await;
    for _ in 0..2 {
        mocks[2].set(|chain| chain.mine());
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(node.outbox.submit(answer(1)).await.unwrap().nonce, Some(1), "it may be mined");
    }
    let again = async {
        loop {
            mocks[2].set(|chain| chain.mine());
            tokio::time::sleep(Duration::from_millis(60)).await;
            node.outbox.submit(start_job(1)).await.unwrap();
            let intent = node.outbox.submit(answer(1)).await.unwrap();
            if (intent.state, intent.nonce) == (State::Sent, Some(2)) {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, again).await.unwrap();
    let claim = node.outbox.status("start_job:1").await.unwrap().unwrap();
    assert_eq!((claim.state, claim.nonce), (State::Sent, Some(0)));
}
