//! The outbox against a pool that enforces what real ones do: a replacement must raise both fees by a tenth.
#![allow(clippy::unwrap_used)]

mod common;

use alloy::consensus::{Transaction, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use common::mock::Mock;
use common::{LONG, Node, TestSigner, answer, settings, settle, start_job, until, withdraw};
use headframe_chain::outbox::{Budgets, FeePolicy, OTHER, PerGas, Room, Settings};
use headframe_chain::{Deadline, Event, OutboxError, Signed, State, Until};
use headframe_market::{BlockNo, Timestamp, Wei};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a signed transaction pays for a unit of gas at most.
fn offered(signed: &Signed) -> PerGas {
    let tx = TxEnvelope::decode_2718(&mut signed.raw.as_ref()).unwrap();
    PerGas { max_fee: Wei(tx.max_fee_per_gas()), max_priority: Wei(tx.max_priority_fee_per_gas().unwrap()) }
}

/// Mines, and waits until the node has seen it.
async fn mine(mock: &Mock, node: &mut Node) {
    mock.set(|chain| chain.mine());
    node.see(mock.get(|chain| chain.head)).await;
}

#[tokio::test]
async fn fees_rise_as_the_pool_wants_until_somebody_takes_it() {
    let mock = Mock::start(9).await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let fees = FeePolicy { max_fee: 1_000_000, min_priority: 100, max_priority: 1_000, ..FeePolicy::default() };
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
    let fees = FeePolicy { max_fee: 2_500, min_priority: 100, max_priority: 1_000, ..FeePolicy::default() };
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
    let raise = node.outbox.raise(&key).await.unwrap();
    assert!(raise.to.is_none() && raise.refused.as_ref().is_some_and(|why| why.contains("highest fee")), "{raise:?}");
    mock.set(|chain| chain.wants = 0);
    mine(&mock, &mut node).await;
    assert_eq!(node.outbox.wait(&key, Until::Mined, LONG).await.unwrap().state, State::Mined);
}

#[tokio::test]
async fn an_effect_is_seen_then_safe_then_final_and_a_restart_changes_nothing() {
    let mock = Mock::start(9).await;
    mock.set(|chain| chain.finalized = Some(0));
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start(dir.path(), &mock.url, &signer, settings()).await;
    let key = node.outbox.submit(withdraw(0)).await.unwrap().key;
    let sent = node.reach(&key, &[State::Sent]).await;
    mine(&mock, &mut node).await;
    node.outbox.wait(&key, Until::Mined, LONG).await.unwrap();
    mine(&mock, &mut node).await;
    mine(&mock, &mut node).await;
    node.outbox.wait(&key, Until::Safe, LONG).await.unwrap();
    node.crash().await;
    let mut node = Node::start(dir.path(), &mock.url, &signer, settings()).await;
    let mut events = node.outbox.events();
    node.see(4).await;
    let early = node.outbox.wait(&key, Until::Final, Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(early, OutboxError::TimedOut { state: State::Safe, .. }), "{early}");
    mock.set(|chain| chain.finalized = Some(2));
    let last = node.outbox.wait(&key, Until::Final, LONG).await.unwrap();
    assert_eq!((last.state, last.hash, last.attempts), (State::Final, sent.hash, 1));
    assert!(matches!(events.recv().await.unwrap(), Event::Final(intent) if intent == last));
    assert_eq!(node.outbox.submit(withdraw(0)).await.unwrap().state, State::Final);
    assert_eq!(mock.get(|chain| chain.accepted), 1);
}

#[tokio::test]
async fn what_was_final_and_is_undone_holds_claims_back_but_not_proofs() {
    let mock = Mock::start(9).await;
    mock.set(|chain| chain.finalized = Some(0));
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start(dir.path(), &mock.url, &signer, settings()).await;
    let key = node.outbox.submit(withdraw(0)).await.unwrap().key;
    let sent = node.reach(&key, &[State::Sent]).await;
    for _ in 0..3 {
        mine(&mock, &mut node).await;
    }
    mock.set(|chain| chain.finalized = Some(2));
    node.outbox.wait(&key, Until::Final, LONG).await.unwrap();
    mock.set(|chain| chain.reorganise(3));
    node.reach(&key, &[State::Sent]).await; // sent again as it was
    until("it is in the pool", async || mock.get(|chain| chain.waiting()) > 0).await;
    mock.set(|chain| chain.mine());
    let again = node.reach(&key, &[State::Mined]).await;
    assert_eq!((again.hash, again.attempts), (sent.hash, 1));
    let held = node.outbox.held().await.unwrap().unwrap();
    assert!(held.contains("was final") && held.contains("tx resume"), "{held}");

    // Also after a restart, until a person says so.
    node.crash().await;
    let node = Node::start(dir.path(), &mock.url, &signer, settings()).await;
    node.outbox.submit(start_job(1)).await.unwrap();
    node.outbox.submit(answer(1)).await.unwrap();
    node.reach("answer:1", &[State::Sent]).await;
    mock.set(|chain| chain.mine());
    node.reach("answer:1", &[State::Mined]).await;
    assert_eq!(node.outbox.status("start_job:1").await.unwrap().unwrap().state, State::Queued);
    node.outbox.resume().await.unwrap();
    node.reach("start_job:1", &[State::Sent]).await;
}

/// Nobody tells a node of what was reorganised while it was down: it looks at all that is not final.
#[tokio::test]
async fn what_was_reorganised_while_nobody_looked_is_looked_at_after_the_start() {
    let mock = Mock::start(9).await;
    mock.set(|chain| chain.finalized = Some(0));
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start(dir.path(), &mock.url, &signer, settings()).await;
    node.outbox.submit(answer(1)).await.unwrap();
    node.reach("answer:1", &[State::Sent]).await;
    for _ in 0..4 {
        mine(&mock, &mut node).await;
    }
    node.reach("answer:1", &[State::Safe]).await;
    node.crash().await;
    mock.set(|chain| chain.reorganise_to_reverts(4));
    let mut node = Node::start(dir.path(), &mock.url, &signer, settings()).await;
    node.reach("answer:1", &[State::Failed]).await;
    node.outbox.submit(answer(1)).await.unwrap();
    assert_eq!(node.outbox.status("answer:1").await.unwrap().unwrap().state, State::Failed, "not in the same block");
    mine(&mock, &mut node).await;
    node.outbox.submit(answer(1)).await.unwrap();
    assert_eq!(node.reach("answer:1", &[State::Sent]).await.nonce, Some(1));
}

/// A node that has just started knows no blocks but its newest: that this one is replaced undoes nothing final, and that what
/// was final is replaced shows all the same.
#[tokio::test]
async fn soon_after_a_start_too_only_what_was_final_holds_claims_back() {
    let mock = Mock::start(9).await;
    (0..20).for_each(|_| mock.set(|chain| chain.mine()));
    mock.set(|chain| chain.finalized = Some(12));
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start(dir.path(), &mock.url, &signer, settings()).await;
    for (depth, is_undone) in [(1, false), (8, false), (15, true)] {
        node.head.wait_for(|head| head.finalized == BlockNo(12)).await.unwrap();
        mock.set(|chain| chain.reorganise(depth));
        let seen = node.head.wait_for(|head| head.reorgs > 0);
        tokio::time::timeout(LONG, seen).await.unwrap().unwrap();
        mine(&mock, &mut node).await;
        let head = node.head.borrow().clone();
        assert_eq!(head.finality_broken.is_some(), is_undone, "{depth}: {head:?}");
        node.crash().await;
        node = Node::start(dir.path(), &mock.url, &signer, settings()).await;
    }
}

#[tokio::test]
async fn a_proof_does_not_wait_for_its_turn_and_lifts_what_stands_before_it() {
    let mock = Mock::start(9).await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let fees = FeePolicy { max_fee: 1_000_000, max_fee_unhurried: 2_500, min_priority: 100, ..FeePolicy::default() };
    let mut node = Node::start(dir.path(), &mock.url, &signer, Settings { fees, bump_after: 1, ..settings() }).await;
    mock.set(|chain| chain.wants = 4_000);
    node.outbox.submit(settle(1)).await.unwrap();
    node.reach("settle:1", &[State::Sent]).await;
    for _ in 0..4 {
        mine(&mock, &mut node).await;
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    let stuck = node.outbox.status("settle:1").await.unwrap().unwrap();
    assert!(stuck.state == State::Sent && stuck.error.as_deref().unwrap().contains("highest fee"), "{stuck:?}");
    node.outbox.submit(start_job(1)).await.unwrap();
    node.outbox.submit(answer(7)).await.unwrap();
    let sent = node.reach("answer:7", &[State::Sent]).await;
    assert_eq!(sent.nonce, Some(1), "the proof went ahead of the claim, without waiting for the reward");
    assert_eq!(node.outbox.status("start_job:1").await.unwrap().unwrap().state, State::Queued);
    let mut blocks = 0;
    while mock.get(|chain| chain.transactions()) < 2 {
        mine(&mock, &mut node).await;
        tokio::time::sleep(Duration::from_millis(80)).await;
        blocks += 1;
        assert!(blocks < 60, "the reward keeps the proof waiting");
    }
    assert_eq!(mock.get(|chain| chain.underpriced), 0);
    let paid = node.reach("settle:1", &[State::Mined, State::Safe]).await;
    assert!(paid.attempts > stuck.attempts);
}

#[tokio::test]
async fn a_hundredfold_base_fee_is_bid_by_what_is_urgent_and_sat_out_by_the_rest() {
    let mock = Mock::start(9).await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let fees = FeePolicy { max_fee: 500_000, max_fee_unhurried: 50_000, min_priority: 100, ..FeePolicy::default() };
    let mut node = Node::start(dir.path(), &mock.url, &signer, Settings { fees, bump_after: 3, ..settings() }).await;
    node.outbox.submit(start_job(1)).await.unwrap();
    node.reach("start_job:1", &[State::Sent]).await;
    mock.set(|chain| chain.base_fee *= 100);
    node.outbox.submit(settle(1)).await.unwrap();
    node.outbox.submit_by(answer(1), Deadline::block(BlockNo(12))).await.unwrap();
    let mut blocks = 0;
    while mock.get(|chain| chain.transactions()) < 2 {
        mine(&mock, &mut node).await;
        tokio::time::sleep(Duration::from_millis(80)).await;
        blocks += 1;
        assert!(blocks < 8, "the proof was not in time");
    }
    until("something waits", async || !node.outbox.waiting().is_empty()).await;
    let waiting = node.outbox.status("settle:1").await.unwrap().unwrap();
    assert_eq!((waiting.state, waiting.nonce), (State::Queued, None));
    assert!(waiting.error.unwrap().contains("waits until the base fee"));
    for list in signer.signed.lock().unwrap().values() {
        assert!(list.1.iter().all(|signed| common::max_fee(signed) <= 500_000), "above the cap");
    }
    mock.set(|chain| chain.base_fee /= 100);
    mine(&mock, &mut node).await;
    node.reach("settle:1", &[State::Sent]).await;
    until("nothing waits", async || node.outbox.waiting().is_empty()).await;
    assert_eq!(mock.get(|chain| chain.underpriced), 0);
}

/// A proof that reverted was asked for again, and then a deep reorganisation undoes both while gas is dear: nobody waits for the
/// first any more, but its nonce stands before the second's.
#[tokio::test]
async fn what_has_been_asked_for_again_is_raised_too_where_it_stands_before_the_rest() {
    let mock = Mock::start(9).await;
    mock.set(|chain| chain.finalized = Some(0));
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let fees = FeePolicy { max_fee: 500_000, min_priority: 100, ..FeePolicy::default() };
    let mut node = Node::start(dir.path(), &mock.url, &signer, Settings { fees, bump_after: 3, ..settings() }).await;
    node.outbox.submit(answer(1)).await.unwrap();
    node.reach("answer:1", &[State::Sent]).await;
    mine(&mock, &mut node).await;
    node.reach("answer:1", &[State::Mined]).await;
    mock.set(|chain| chain.reorganise_to_reverts(1));
    node.reach("answer:1", &[State::Reverted]).await;
    mine(&mock, &mut node).await;
    node.outbox.submit(answer(1)).await.unwrap();
    assert_eq!(node.reach("answer:1", &[State::Sent]).await.nonce, Some(1));
    for _ in 0..3 {
        mine(&mock, &mut node).await;
    }
    node.reach("answer:1", &[State::Safe]).await;
    node.reach("answer:1@0", &[State::Failed]).await;

    mock.set(|chain| {
        chain.base_fee *= 100;
        chain.reorganise(5);
    });
    let mut blocks = 0;
    while mock.get(|chain| chain.transactions()) < 2 {
        mine(&mock, &mut node).await;
        tokio::time::sleep(Duration::from_millis(80)).await;
        blocks += 1;
        assert!(blocks < 20, "what was asked for again keeps the proof waiting");
    }
    node.reach("answer:1", &[State::Mined, State::Safe]).await;
    let first = node.reach("answer:1@0", &[State::Mined, State::Safe]).await;
    assert!(first.attempts > 1 && first.nonce == Some(0), "{first:?}");
    assert_eq!(mock.get(|chain| chain.underpriced), 0);
}

/// Room on a disk, as it is told: a test double.
struct Told(AtomicBool);

impl Room for Told {
    fn is_kept(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn give_up(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

#[tokio::test]
async fn without_room_on_the_disk_proofs_go_on_and_nothing_else_begins() {
    let mock = Mock::start(9).await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let room = Arc::new(Told(AtomicBool::new(true)));
    let settings = Settings { room: Some(room.clone()), ..settings() };
    let mut node = Node::start(dir.path(), &mock.url, &signer, settings).await;
    for job in [1, 2] {
        node.outbox.submit(start_job(job)).await.unwrap();
    }
    node.reach("start_job:1", &[State::Sent]).await;
    room.give_up();
    mine(&mock, &mut node).await;
    node.reach("start_job:1", &[State::Mined]).await;
    let refused = node.outbox.submit(start_job(3)).await.unwrap_err();
    assert!(refused.to_string().contains("disk") && !refused.is_unsafe(), "{refused}");
    node.outbox.submit(answer(1)).await.unwrap();
    assert_eq!(node.reach("answer:1", &[State::Sent]).await.nonce, Some(1));
    mine(&mock, &mut node).await;
    node.reach("answer:1", &[State::Mined]).await;
    mine(&mock, &mut node).await;
    assert_eq!(node.outbox.status("start_job:2").await.unwrap().unwrap().state, State::Queued);
    room.0.store(true, Ordering::Relaxed);
    mine(&mock, &mut node).await;
    assert_eq!(node.reach("start_job:2", &[State::Sent]).await.nonce, Some(2));
}

#[tokio::test]
async fn one_transaction_never_costs_more_than_its_cap() {
    let mock = Mock::start(9).await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let fees = FeePolicy { max_cost: 100_000_000, min_priority: 100, ..FeePolicy::default() };
    let mut node = Node::start(dir.path(), &mock.url, &signer, Settings { fees, bump_after: 1, ..settings() }).await;
    mock.set(|chain| chain.wants = 1_000_000_000);
    node.outbox.submit(answer(1)).await.unwrap();
    for _ in 0..12 {
        mine(&mock, &mut node).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let stuck = node.outbox.status("answer:1").await.unwrap().unwrap();
    assert!(stuck.attempts > 2 && stuck.error.unwrap().contains("highest fee"));
    let signed = signer.signed.lock().unwrap();
    for one in &signed[&0].1 {
        let cost = common::max_fee(one) * u128::from(common::gas_limit(one));
        assert!(cost <= 100_000_000, "{cost}");
    }
}

#[tokio::test]
async fn a_spent_budget_keeps_its_kind_waiting_until_the_next_day_and_nothing_else() {
    let mock = Mock::start(9).await;
    mock.set(|chain| chain.clock = 86_400 * 20_000);
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    // 36250 gas at 2100 may cost 76 million; it really costs 21 million (see the mock's receipts).
    let limits = BTreeMap::from([("withdraw".into(), Wei(110_000_000)), (OTHER.into(), Wei(1_000_000_000))]);
    let fees = FeePolicy { min_priority: 100, ..FeePolicy::default() };
    let limited = Settings { budgets: Budgets::new(limits), fees, ..settings() };
    let mut node = Node::start(dir.path(), &mock.url, &signer, limited.clone()).await;
    let mut events = node.outbox.events();
    for nth in 0..3 {
        node.outbox.submit(withdraw(nth)).await.unwrap();
    }
    for nth in 0..2 {
        node.reach(&withdraw(nth).key(), &[State::Sent]).await;
        mine(&mock, &mut node).await;
        node.reach(&withdraw(nth).key(), &[State::Mined, State::Safe]).await;
    }
    let over = async {
        loop {
            if let Event::OverBudget(intent) = events.recv().await.unwrap() {
                return intent;
            }
        }
    };
    let over = tokio::time::timeout(LONG, over).await.unwrap();
    assert_eq!((over.key.as_str(), over.state), ("withdraw:2", State::Queued));
    let why = over.error.unwrap();
    assert!(why.contains("budget for withdraw") && why.contains("raise chain.budgets.withdraw"), "{why}");
    let error = node.outbox.wait("withdraw:2", Until::Mined, Duration::from_millis(100)).await.unwrap_err();
    assert!(error.to_string().contains("raise chain.budgets.withdraw"), "{error}");
    let view = node.outbox.budgets().await.unwrap().into_iter().find(|view| view.kind == "withdraw").unwrap();
    assert_eq!((view.spent, view.left()), (Wei(42_000_000), Some(Wei(68_000_000))));
    assert!(view.exhausted.is_some());
    node.outbox.submit(settle(1)).await.unwrap();
    node.reach("settle:1", &[State::Sent]).await;

    // A restart forgets nothing of it.
    node.crash().await;
    let mut node = Node::start(dir.path(), &mock.url, &signer, limited).await;
    mine(&mock, &mut node).await;
    node.reach("settle:1", &[State::Mined, State::Safe]).await;
    for _ in 0..3 {
        mine(&mock, &mut node).await;
    }
    let waiting = node.outbox.status("withdraw:2").await.unwrap().unwrap();
    assert_eq!((waiting.state, waiting.nonce), (State::Queued, None));
    mock.set(|chain| chain.clock += 86_400);
    mine(&mock, &mut node).await;
    node.reach("withdraw:2", &[State::Sent]).await;
}

#[tokio::test]
async fn what_comes_too_late_is_dropped_before_it_is_signed_and_says_so() {
    let mock = Mock::start(9).await;
    mock.set(|chain| chain.clock = 1_000);
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start(dir.path(), &mock.url, &signer, Settings { retry_after: 2, ..settings() }).await;
    mock.set(|chain| chain.wants = 1 << 40);
    node.outbox.submit(withdraw(0)).await.unwrap();
    node.reach("withdraw:0", &[State::Sent]).await; // shuts the gate for all but proofs
    node.outbox.submit_by(start_job(1), Deadline::block(BlockNo(4))).await.unwrap();
    node.outbox.submit_by(start_job(2), Deadline::time(Timestamp(1_005))).await.unwrap();
    node.outbox.submit_by(start_job(3), Deadline::block(BlockNo(99))).await.unwrap();
    while mock.get(|chain| chain.head) < 3 {
        mine(&mock, &mut node).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(node.outbox.status("start_job:1").await.unwrap().unwrap().state, State::Queued, "block 4 is in time");
    mine(&mock, &mut node).await;
    let dropped = node.outbox.wait("start_job:1", Until::Mined, LONG).await.unwrap();
    assert_eq!((dropped.state, dropped.nonce), (State::Failed, None));
    let why = dropped.error.unwrap();
    assert!(why.contains("deadline was block 4"), "{why}");
    mine(&mock, &mut node).await;
    let dropped = node.outbox.wait("start_job:2", Until::Mined, LONG).await.unwrap();
    assert!(dropped.error.unwrap().contains("deadline was second 1005"));
    assert_eq!(node.outbox.status("start_job:3").await.unwrap().unwrap().state, State::Queued);
    assert_eq!(signer.signed.lock().unwrap().len(), 1, "what was dropped was signed");
    // Asked for again with a new deadline it is tried again.
    mine(&mock, &mut node).await;
    let again = node.outbox.submit_by(start_job(1), Deadline::block(BlockNo(50))).await.unwrap();
    assert_eq!((again.state, again.deadline), (State::Queued, Deadline::block(BlockNo(50))));
}

#[tokio::test]
async fn a_person_can_raise_what_is_sent_and_cancel_what_is_not() {
    let mock = Mock::start(9).await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let node = Node::start(dir.path(), &mock.url, &signer, Settings { bump_after: 1_000, ..settings() }).await;
    mock.set(|chain| chain.wants = 1 << 40);
    node.outbox.submit(withdraw(0)).await.unwrap();
    let sent = node.reach("withdraw:0", &[State::Sent]).await;
    node.outbox.submit(withdraw(1)).await.unwrap();
    let raise = node.outbox.raise("withdraw:0").await.unwrap();
    assert!(raise.refused.is_none() && raise.to.unwrap().max_fee <= raise.cap, "{raise:?}");
    assert_eq!(node.outbox.status("withdraw:0").await.unwrap().unwrap().attempts, 1, "nothing is done yet");
    let early = node.outbox.raise("withdraw:1").await.unwrap();
    assert!(early.to.is_none() && early.refused.unwrap().contains("queued"));
    node.outbox.bump("withdraw:0").await.unwrap();
    until("it is raised", async || node.outbox.status("withdraw:0").await.unwrap().unwrap().attempts > 1).await;
    assert_ne!(node.outbox.status("withdraw:0").await.unwrap().unwrap().hash, sent.hash);
    // It is raised by what was told.
    let offers: Vec<PerGas> = signer.signed.lock().unwrap()[&0].1.iter().map(offered).collect();
    assert_eq!((offers[0], offers[1]), (raise.from.unwrap(), raise.to.unwrap()));
    assert!(node.outbox.cancel("withdraw:0").await.unwrap_err().to_string().contains("tx bump"));
    assert!(node.outbox.bump("withdraw:1").await.unwrap_err().to_string().contains("queued"));
    assert!(node.outbox.cancellable("withdraw:0").await.unwrap_err().to_string().contains("tx bump"));
    node.outbox.cancellable("withdraw:1").await.unwrap();
    let cancelled = node.outbox.cancel("withdraw:1").await.unwrap();
    assert_eq!((cancelled.state, cancelled.error.as_deref()), (State::Failed, Some("cancelled by a person")));
    assert!(matches!(node.outbox.bump("nobody").await, Err(OutboxError::Unknown(_))));
    assert_eq!(mock.get(|chain| chain.underpriced), 0);
}

#[tokio::test]
async fn a_chain_that_stands_still_is_not_asked_in_a_loop_and_fifty_blocks_at_once_are_taken() {
    let mock = Mock::start(9).await;
    let (dir, signer) = (tempfile::tempdir().unwrap(), TestSigner::new(0));
    let mut node = Node::start(dir.path(), &mock.url, &signer, settings()).await;
    let key = node.outbox.submit(start_job(1)).await.unwrap().key;
    node.reach(&key, &[State::Sent]).await;
    mock.set(|chain| chain.requests = 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = mock.get(|chain| chain.requests);
    assert!(asked < 600, "{asked} requests in a second, with a look every 30 ms");
    mock.set(|chain| chain.head += 49);
    mine(&mock, &mut node).await;
    let mined = node.outbox.wait(&key, Until::Mined, LONG).await.unwrap();
    assert_eq!((mined.block, mined.attempts), (Some(BlockNo(51)), 1));
    mock.set(|chain| chain.head += 50);
    node.see(101).await;
    assert_eq!(node.outbox.wait(&key, Until::Safe, LONG).await.unwrap().state, State::Safe);
}
