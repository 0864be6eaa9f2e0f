#![allow(clippy::unwrap_used)]

use super::*;

const PIN: Pin = Pin { chain_id: 1, genesis: B256::ZERO };
const FEES: Fees = Fees { max_fee: 100, max_priority: 10 };
const HEAD: BlockNo = BlockNo(9);

fn open(dir: &tempfile::TempDir) -> Store {
    let mut store = Store::open(&dir.path().join("outbox.sqlite"), PIN, Address::ZERO).unwrap();
    if store.next_nonce().unwrap().is_none() {
        store.set_first_nonce(5).unwrap();
    }
    store
}

fn sign(store: &mut Store, nth: u64) -> Entry {
    let action = Action::Withdraw { nth };
    let entry = store.add(&action, 2, HEAD).unwrap();
    store.reserve(entry.id, 21_000, FEES).unwrap();
    let entry = store.get(&action.key()).unwrap().unwrap();
    let attempt = Attempt { hash: B256::from(alloy::primitives::U256::from(nth + 1)), raw: vec![1, 2, 3].into() };
    store.signed(&entry, FEES, &attempt, HEAD).unwrap();
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
    let refused = store.add(&Action::Withdraw { nth: 0 }, 2, HEAD).unwrap();
    store.reserve(refused.id, 21_000, FEES).unwrap();
    assert_eq!(store.next().unwrap().unwrap().intent.nonce, Some(5));
    store.fail_unsigned(refused.id, "refused", HEAD, keep).unwrap();
    assert_eq!(sign(&mut store, 1).intent.nonce, Some(5));
    assert_eq!(sign(&mut store, 2).intent.nonce, Some(6));
    drop(store);
    let mut store = open(&dir);
    assert_eq!(store.next_nonce().unwrap(), Some(7));

    // A failed transaction that is asked for again gets a new nonce; its old bytes are kept for a deep reorganisation.
    let entry = store.get("withdraw:1").unwrap().unwrap();
    let receipt = Receipt { block: HEAD, block_hash: B256::ZERO, success: false, gas_used: 1, fee: Wei(1) };
    store.mined(&entry, entry.intent.hash.unwrap(), &receipt, Some("reverted")).unwrap();
    let entry = store.get("withdraw:1").unwrap().unwrap();
    assert_eq!(entry.intent.state, State::Reverted);
    store.finish(&entry, HEAD, keep).unwrap();
    store.retry(entry.id, &Action::Withdraw { nth: 1 }, HEAD).unwrap();
    let again = store.get("withdraw:1").unwrap().unwrap().intent;
    assert_eq!((again.state, again.nonce, again.error), (State::Queued, None, None));
    assert_eq!(store.orphans(5).unwrap().len(), 1);
    assert!(store.orphans(6).unwrap().is_empty());
    let running = store.get("withdraw:2").unwrap().unwrap();
    store.retry(running.id, &Action::Withdraw { nth: 2 }, HEAD).unwrap();
    assert_eq!(store.get("withdraw:2").unwrap().unwrap().intent.state, State::Sent, "only what failed is retried");
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
    assert!(matches!(Store::open(&path, PIN, Address::ZERO), Err(StoreError::Sqlite(_))));
    std::fs::remove_file(&path).unwrap();
    drop(open(&dir));
    let db = Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(Store::open(&path, PIN, Address::ZERO), Err(StoreError::Newer(99))));
}
