#![allow(clippy::unwrap_used)]

use super::*;
use headframe_market::Timestamp;

const PIN: Pin = Pin { chain_id: 1, genesis: B256::ZERO };
const FEES: Fees = Fees { max_fee: 100, max_priority: 10 };
const HEAD: BlockNo = BlockNo(9);
const DAY: u64 = 20_000;

fn open(dir: &tempfile::TempDir) -> Store {
    let mut store = Store::open(&dir.path().join("outbox.sqlite"), PIN, Address::ZERO, None).unwrap();
    if store.next_nonce().unwrap().is_none() {
        store.set_first_nonce(5).unwrap();
    }
    store
}

fn sign(store: &mut Store, nth: u64) -> Entry {
    let action = Action::Withdraw { nth };
    let entry = store.add(&action, Deadline::NONE, HEAD).unwrap();
    store.reserve(entry.id, 21_000, FEES).unwrap();
    let entry = store.get(&action.key()).unwrap().unwrap();
    let attempt = Attempt { hash: B256::from(alloy::primitives::U256::from(nth + 1)), raw: vec![1, 2, 3].into() };
    store.signed(&entry, FEES, &attempt, HEAD, DAY).unwrap();
    store.sent(entry.id).unwrap();
    store.get(&action.key()).unwrap().unwrap()
}

fn finish(store: &mut Store, nth: u64, keep: Keep) {
    let entry = sign(store, nth);
    let receipt =
        Receipt { block: HEAD, block_hash: B256::ZERO, success: true, gas_used: 21_000, fee: Wei(u128::MAX / 1000) };
    store.mined(&entry, entry.intent.hash.unwrap(), &receipt, None).unwrap();
    let entry = store.get(&entry.intent.key).unwrap().unwrap();
    store.finish(&entry, HEAD, keep).unwrap();
}

#[test]
fn a_commit_is_on_disk_before_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let pragma = |name: &str| store.db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
    assert_eq!(pragma("synchronous").unwrap(), rusqlite::types::Value::Integer(2)); // FULL
    assert_eq!(pragma("journal_mode").unwrap(), rusqlite::types::Value::Text("wal".into()));
}

#[test]
fn a_nonce_is_spent_by_a_signature_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let keep = Keep { full: 10, rows: 10 };
    let refused = store.add(&Action::Withdraw { nth: 0 }, Deadline::NONE, HEAD).unwrap();
    store.reserve(refused.id, 21_000, FEES).unwrap();
    assert_eq!(store.next(Rank::Upkeep, &[]).unwrap().unwrap().intent.nonce, Some(5));
    store.fail_unsigned(refused.id, "refused", HEAD, keep).unwrap();
    assert_eq!(sign(&mut store, 1).intent.nonce, Some(5));
    assert_eq!(sign(&mut store, 2).intent.nonce, Some(6));
    drop(store);
    let mut store = open(&dir);
    assert_eq!(store.next_nonce().unwrap(), Some(7));

    // A failed transaction that is asked for again gets a new nonce; the old one keeps its row and its bytes.
    let entry = store.get("withdraw:1").unwrap().unwrap();
    let receipt = Receipt { block: HEAD, block_hash: B256::ZERO, success: false, gas_used: 1, fee: Wei(1) };
    store.mined(&entry, entry.intent.hash.unwrap(), &receipt, Some("reverted")).unwrap();
    let entry = store.get("withdraw:1").unwrap().unwrap();
    assert_eq!(entry.intent.state, State::Reverted);
    store.finish(&entry, HEAD, keep).unwrap();
    store.retry(&entry, &Action::Withdraw { nth: 1 }, Deadline::NONE, HEAD).unwrap();
    let again = store.get("withdraw:1").unwrap().unwrap().intent;
    assert_eq!((again.state, again.nonce, &again.error), (State::Queued, None, &None));
    let old = store.get("withdraw:1@5").unwrap().unwrap();
    assert_eq!((old.intent.state, old.intent.nonce, old.id), (State::Failed, Some(5), entry.id));
    assert_eq!(old.action, Some(Action::Withdraw { nth: 1 }), "it can be signed again with higher fees");
    assert_eq!(nonces(&store.on_the_way(5).unwrap()), [5, 6], "where the chain has lost it");
    assert_eq!(nonces(&store.on_the_way(6).unwrap()), [6]);
    store.retry(&entry, &Action::Withdraw { nth: 1 }, Deadline::NONE, HEAD.after(1)).unwrap();
    assert_eq!(store.get("withdraw:1").unwrap().unwrap().intent, again, "it waits already");

    // So does one that may be mined, when who asks says so.
    let sent = store.get("withdraw:2").unwrap().unwrap();
    assert_eq!(sent.intent.state, State::Sent);
    store.retry(&sent, &Action::Withdraw { nth: 2 }, Deadline::NONE, HEAD).unwrap();
    assert_eq!(store.get("withdraw:2").unwrap().unwrap().intent.nonce, None);
    assert_eq!(nonces(&store.on_the_way(6).unwrap()), [6], "its bytes stand before what comes");

    // But not one that has a nonce and whose bytes nobody has.
    let id = store.get("withdraw:2").unwrap().unwrap().id;
    store.reserve(id, 21_000, Fees { max_fee: 2, max_priority: 1 }).unwrap();
    let reserved = store.get("withdraw:2").unwrap().unwrap();
    store.retry(&reserved, &Action::Withdraw { nth: 2 }, Deadline::NONE, HEAD).unwrap();
    assert_eq!(store.get("withdraw:2").unwrap().unwrap().intent, reserved.intent);

    // What failed before it was signed leaves nothing behind.
    store.fail_unsigned(id, "would revert", HEAD, keep).unwrap();
    let failed = store.get("withdraw:2").unwrap().unwrap();
    let rows = store.list(100).unwrap().len();
    store.retry(&failed, &Action::Withdraw { nth: 2 }, Deadline::NONE, HEAD).unwrap();
    assert_eq!(store.get("withdraw:2").unwrap().unwrap().intent.state, State::Queued);
    assert_eq!(store.list(100).unwrap().len(), rows);

    // One that was signed anew, with higher fees, has been sent before.
    let sent = sign(&mut store, 3);
    let attempt = Attempt { hash: B256::repeat_byte(0xee), raw: vec![4].into() };
    store.signed(&sent, Fees { max_fee: 200, max_priority: 20 }, &attempt, HEAD, DAY).unwrap();
    let signed = store.get("withdraw:3").unwrap().unwrap();
    assert_eq!(signed.intent.state, State::Signed);
    store.retry(&signed, &Action::Withdraw { nth: 3 }, Deadline::NONE, HEAD).unwrap();
    assert_eq!(store.get("withdraw:3").unwrap().unwrap().intent.nonce, None);
    assert_eq!(store.get("withdraw:3@7").unwrap().unwrap().id, sent.id);
}

fn nonces(entries: &[Entry]) -> Vec<u64> {
    entries.iter().filter_map(|entry| entry.intent.nonce).collect()
}

#[test]
fn finished_rows_age_and_the_store_stays_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let keep = Keep { full: 10, rows: 60 };
    let waiting = sign(&mut store, 10_000);
    for nth in 0..200 {
        finish(&mut store, nth, keep);
    }
    let rows = store.list(10_000).unwrap();
    assert!((61..=93).contains(&rows.len()), "{} rows", rows.len());
    let attempts: u64 =
        store.db.query_row("SELECT count(*) FROM attempts", [], |row| row.get::<_, i64>(0)).unwrap() as u64;
    assert!((11..=43).contains(&attempts), "{attempts} attempts");
    assert!(rows.iter().filter(|entry| entry.action.is_some()).count() <= 43);
    assert_eq!(store.get(&waiting.intent.key).unwrap().unwrap().intent.state, State::Sent, "what is on its way stays");
    assert_eq!(store.attempts(5).unwrap().len(), 1);
    let total = store.gas().unwrap()["withdraw"];
    assert_eq!((total.transactions, total.gas_used, total.fee), (200, 200 * 21_000, Wei(u128::MAX / 1000 * 200)));
}

#[test]
fn a_damaged_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outbox.sqlite");
    std::fs::write(&path, b"this is not a database, but long enough to be looked at as one".repeat(20)).unwrap();
    assert!(matches!(Store::open(&path, PIN, Address::ZERO, None), Err(StoreError::Sqlite(_))));
    std::fs::remove_file(&path).unwrap();
    drop(open(&dir));
    let db = Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(Store::open(&path, PIN, Address::ZERO, None), Err(StoreError::Newer(99))));
}

#[test]
fn what_a_day_costs_is_counted_once_and_survives_a_restart_and_a_reorganisation() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let keep = Keep { full: 10, rows: 10 };
    let most = Wei(21_000 * 100);
    let entry = sign(&mut store, 0);
    assert_eq!(store.spent("withdraw", DAY, None).unwrap(), most, "under way counts as the most it can cost");
    assert_eq!(store.spent("withdraw", DAY, Some(5)).unwrap(), Wei(0));
    assert_eq!(store.spent("settle", DAY, None).unwrap(), Wei(0));
    // A replacement of the same nonce is not a second transaction.
    let higher = Fees { max_fee: 200, max_priority: 20 };
    let attempt = Attempt { hash: B256::repeat_byte(9), raw: vec![4].into() };
    store.signed(&entry, higher, &attempt, HEAD, DAY + 1).unwrap();
    drop(store);
    let mut store = open(&dir);
    assert_eq!(store.spent("withdraw", DAY, None).unwrap(), Wei(21_000 * 200));
    assert_eq!(store.spent("withdraw", DAY + 1, None).unwrap(), Wei(0), "it counts for the day of its first signature");
    let entry = store.get("withdraw:0").unwrap().unwrap();
    let receipt = Receipt { block: HEAD, block_hash: B256::ZERO, success: false, gas_used: 10, fee: Wei(1000) };
    store.mined(&entry, attempt.hash, &receipt, Some("reverted")).unwrap();
    assert_eq!(store.spent("withdraw", DAY, None).unwrap(), Wei(1000));
    store.unmined(&store.get("withdraw:0").unwrap().unwrap(), HEAD).unwrap();
    assert_eq!(store.spent("withdraw", DAY, None).unwrap(), Wei(21_000 * 200));
    // Tried again after it failed, the first attempt stays paid for.
    store.mined(&entry, attempt.hash, &receipt, Some("reverted")).unwrap();
    store.finish(&store.get("withdraw:0").unwrap().unwrap(), HEAD, keep).unwrap();
    store.retry(&entry, &Action::Withdraw { nth: 0 }, Deadline::NONE, HEAD).unwrap();
    sign(&mut store, 0);
    assert_eq!(store.spent("withdraw", DAY, None).unwrap(), Wei(1000 + most.0));
    assert_eq!(store.kinds_of(DAY).unwrap(), ["withdraw"]);
}

#[test]
fn what_is_due_first_goes_first_within_a_rank() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let settle = |claim| Action::Settle { claim: headframe_market::ClaimId(claim) };
    let answer = |claim| Action::Answer {
        claim: headframe_market::ClaimId(claim),
        operator: Address::ZERO,
        openings: vec![],
        secrets: vec![],
    };
    let at = |seconds| Deadline::time(Timestamp(seconds));
    for (action, deadline) in [
        (settle(1), Deadline::NONE),
        (answer(2), at(900)),
        (answer(3), Deadline::NONE),
        (answer(4), at(800)),
        (Action::WithdrawStake { nth: 0 }, Deadline::NONE),
        (Action::StartJob { job: headframe_market::JobId(5) }, Deadline::block(BlockNo(7))),
    ] {
        store.add(&action, deadline, HEAD).unwrap();
    }
    let mut order = Vec::new();
    while let Some(entry) = store.next(Rank::Upkeep, &[]).unwrap() {
        order.push(entry.intent.key);
        store.fail_unsigned(entry.id, "seen", HEAD, Keep { full: 10, rows: 10 }).unwrap();
    }
    assert_eq!(order, ["answer:4", "answer:2", "answer:3", "start_job:5", "settle:1", "withdraw_stake:0"]);
    store.add(&settle(9), Deadline::NONE, HEAD).unwrap();
    assert!(store.next(Rank::Claim, &[]).unwrap().is_none());
    assert!(store.next(Rank::Upkeep, &["settle".into()]).unwrap().is_none());
    assert_eq!(store.best_waiting().unwrap(), Some(Rank::Reward));
}

/// A file as the first release left it, in the middle of its work.
#[test]
fn a_store_of_the_first_schema_is_taken_over_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outbox.sqlite");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(SCHEMA_1).unwrap();
    old.execute_batch(
        "INSERT INTO meta VALUES ('next_nonce', '6');
         INSERT INTO intents(key, kind, priority, action, state, created_block, nonce, gas_limit, max_fee, max_priority, hash, \
         attempts, sent_block) VALUES ('withdraw:3', 'withdraw', 2, '', 'sent', 4, 5, 21000, '100', '10', \
         X'0101010101010101010101010101010101010101010101010101010101010101', 1, 4);
         INSERT INTO attempts VALUES (X'0101010101010101010101010101010101010101010101010101010101010101', 1, 5, X'AA', '100', \
         '10', 1);
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let text = serde_json::to_string(&Action::Withdraw { nth: 3 }).unwrap();
    let rewrite = Connection::open(&path).unwrap();
    rewrite.execute("UPDATE intents SET action = ?1", [text]).unwrap(); // as this release writes it
    drop(rewrite);
    let store = open(&dir);
    let entry = store.get("withdraw:3").unwrap().unwrap();
    assert_eq!((entry.intent.state, entry.intent.nonce, entry.intent.deadline), (State::Sent, Some(5), Deadline::NONE));
    assert_eq!(store.attempts(5).unwrap()[0].raw, Bytes::from(vec![0xaa]));
    assert_eq!(store.next_nonce().unwrap(), Some(6));
    drop(store);
    open(&dir); // and only once
}

#[test]
fn a_hold_survives_until_a_person_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    store.hold("first reason").unwrap();
    store.hold("second reason").unwrap();
    drop(store);
    let mut store = open(&dir);
    assert_eq!(store.held().unwrap().as_deref(), Some("first reason"));
    store.release().unwrap();
    assert_eq!(store.held().unwrap(), None);
}

/// As many pages as the file has now, and no more.
fn fill(db: &Connection) {
    let pages: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    db.pragma_update(None, "max_page_count", pages).unwrap();
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    sign(&mut store, 0);
    fill(&store.db);
    let mut taken = 0;
    let error = loop {
        taken += 1;
        match store.add(&Action::Withdraw { nth: taken }, Deadline::NONE, HEAD) {
            Ok(_) => assert!(taken < 100_000, "the disk is never full"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("free some room"), "{error}");
    assert!(!crate::OutboxError::from(error).is_unsafe(), "nothing is lost: it goes on when there is room");
    let broken =
        StoreError::from(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR), None));
    assert!(crate::OutboxError::from(broken).is_unsafe(), "what a failed disk has is not known");
    drop(store);
    let store = open(&dir);
    assert_eq!(store.get("withdraw:0").unwrap().unwrap().intent.state, State::Sent);
    assert!(store.get(&format!("withdraw:{taken}")).unwrap().is_none());
    assert_eq!(store.queued().unwrap(), taken - 1);
}
