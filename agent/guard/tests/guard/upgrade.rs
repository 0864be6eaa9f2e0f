//! Databases that an earlier release made.

use crate::support::*;
use headframe_guard::rules::{NotSafe, Rule};
use headframe_guard::store::Store;
use headframe_market::{Action, Address, Addresses, Role};
use rusqlite::Connection;

/// With receipts 0 to 3 and a claim of two, as schema 3 had it: without the table that schema 4 adds.
fn of_schema_3() -> Rig {
    let rig = Rig::with_receipts(4);
    rig.transaction(claim(JOB, 0, 2), 0).unwrap();
    let Rig { folder, store, key } = rig;
    let path = store.path().to_owned();
    drop(store);
    let db = Connection::open(&path).unwrap();
    db.execute_batch("DROP TABLE pin").unwrap();
    drop(db);
    let store = Store::open(&path, key.address(), Role::Operator).unwrap().unwrap();
    Rig { folder, store, key }
}

#[test]
fn a_database_of_the_schema_before_is_upgraded_and_forgets_nothing() {
    let rig = of_schema_3();
    let unknown = Addresses { rewards: Address::ZERO, active_set: Address::ZERO, ..addresses() };
    assert_eq!(rig.store.pinned().addresses, unknown);
    rig.receipt(ask(JOB, 3)).unwrap();
    let mut other = ask(JOB, 3);
    other.receipt.out_bytes += 1;
    assert_refused(rig.receipt(other), Rule::Equivocation);
    rig.transaction(claim(JOB, 0, 2), 0).unwrap();
    assert_refused(rig.transaction(claim(JOB, 0, 4), 1), Rule::DoubleClaim);

    let reward = Action::Reward { operator: rig.key.address(), epoch: 5 };
    assert_refused(rig.transaction(reward.clone(), 1), Rule::Request);
    rig.store.check(&hello(&[])).unwrap();
    rig.transaction(reward.clone(), 1).unwrap();
    let rig = rig.reopened();
    assert_eq!(rig.store.pinned().addresses, addresses(), "pinned for ever by the first agent that named them");
    rig.store.check(&hello(&[])).unwrap();
    rig.transaction(reward, 1).unwrap();
}

#[test]
fn what_was_pinned_later_is_pinned_as_firmly() {
    let rig = of_schema_3();
    rig.store.check(&hello(&[])).unwrap();
    let mut elsewhere = hello(&[]);
    elsewhere.addresses.rewards = Address::repeat_byte(0x99);
    let refused = rig.store.check(&elsewhere).unwrap_err();
    assert!(matches!(&refused, NotSafe::Unsafe(why) if why.contains("G7") && why.contains("rewards")), "{refused}");
    let mut silent = hello(&[]);
    (silent.addresses.rewards, silent.addresses.active_set) = (Address::ZERO, Address::ZERO);
    rig.store.check(&silent).expect("who does not know a contract says nothing of it");
}
