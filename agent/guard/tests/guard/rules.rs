//! Each rule by name. Every test here fails when its rule is taken out of `rules.rs`.

use crate::support::*;
use headframe_guard::Signing;
use headframe_guard::protocol::{SeenClaim, Sight};
use headframe_guard::rules::{CLAIM_GAS, Means, NO_SEGMENT, NotSafe, Rule};
use headframe_guard::store::Store;
use headframe_market::{Action, Address, B256, Bytes, JobId, Role, SegmentNo, Units, Wei};

#[test]
fn g1_overlapping_claims_are_refused() {
    let rig = Rig::with_receipts(12);
    rig.transaction(claim(JOB, 0, 8), 0).unwrap();
    for (first, count) in [(0, 4), (4, 8), (7, 1), (2, 3), (0, 12)] {
        let reason = assert_refused(rig.transaction(claim(JOB, first, count), 1), Rule::DoubleClaim);
        assert!(reason.contains("segments 0+8 were claimed under nonce 0"), "{reason}");
    }
    rig.transaction(claim(JOB, 8, 4), 1).unwrap();
}

#[test]
fn g1_the_same_claim_under_another_nonce_is_refused() {
    let rig = Rig::with_receipts(4);
    let raw = rig.transaction(claim(JOB, 0, 4), 5).unwrap();
    assert_refused(rig.transaction(claim(JOB, 0, 4), 6), Rule::DoubleClaim);
    let rig = rig.reopened();
    assert_refused(rig.transaction(claim(JOB, 0, 4), 4), Rule::DoubleClaim);
    assert_eq!(rig.transaction(claim(JOB, 0, 4), 5).unwrap(), raw, "resending under the same nonce is harmless");
    assert_eq!(rig.store.counts().claims, 1);
}

#[test]
fn g1_claims_leave_no_gap() {
    let rig = Rig::with_receipts(12);
    assert_refused(rig.transaction(claim(JOB, 1, 3), 0), Rule::DoubleClaim);
    rig.transaction(claim(JOB, 0, 4), 0).unwrap();
    assert_refused(rig.transaction(claim(JOB, 5, 3), 1), Rule::DoubleClaim);
    rig.transaction(claim(JOB, 4, 3), 1).unwrap();
}

#[test]
fn g2_an_order_that_the_client_did_not_sign_is_refused() {
    let rig = Rig::new(Role::Operator);
    let mut stranger = ask(JOB, 0);
    stranger.order_signature = sign_order(&secret(0x33), &stranger.order);
    assert_refused(rig.receipt(stranger), Rule::UnprovenWork);
    let mut malformed = ask(JOB, 0);
    malformed.order_signature = Bytes::from_static(b"no signature");
    assert_refused(rig.receipt(malformed), Rule::UnprovenWork);
    let mut high = ask(JOB, 0);
    high.order_signature = with_high_s(&high.order_signature);
    assert_refused(rig.receipt(high), Rule::UnprovenWork);
    rig.receipt(ask(JOB, 0)).unwrap();
}

fn with_high_s(signature: &[u8]) -> Bytes {
    let signature = headframe_market::Signature::from_raw(signature).unwrap();
    let order =
        headframe_market::U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
            .unwrap();
    let high = headframe_market::Signature::new(signature.r(), order - signature.s(), !signature.v());
    Bytes::copy_from_slice(&high.as_bytes())
}

#[test]
fn g2_a_receipt_for_another_source_than_the_ordered_is_refused() {
    let rig = Rig::new(Role::Operator);
    let mut other = ask(JOB, 0);
    other.receipt.src_root = B256::repeat_byte(0xee);
    assert_refused(rig.receipt(other), Rule::UnprovenWork);
    let mut shifted = ask(JOB, 0);
    shifted.receipt.seq = SegmentNo(1);
    assert_refused(rig.receipt(shifted), Rule::UnprovenWork);
}

#[test]
fn g2_a_job_keeps_the_client_of_its_first_receipt() {
    let rig = Rig::with_receipts(1).reopened();
    let mut other = ask(JOB, 1);
    other.client = Address::from_public_key(secret(0x33).verifying_key());
    other.order_signature = sign_order(&secret(0x33), &other.order);
    assert_refused(rig.receipt(other.clone()), Rule::UnprovenWork);
    other.order.job = JobId(8);
    other.receipt.job = JobId(8);
    other.order_signature = sign_order(&secret(0x33), &other.order);
    rig.receipt(other).unwrap();
}

#[test]
fn g2_every_claimed_segment_needs_its_receipt() {
    let rig = Rig::with_receipts(3);
    rig.receipt(ask(JOB, 4)).unwrap();
    let reason = assert_refused(rig.transaction(claim(JOB, 0, 5), 0), Rule::UnprovenWork);
    assert!(reason.contains("segment 3 has no receipt"), "{reason}");
    assert_refused(rig.transaction(claim(JobId(99), 0, 1), 0), Rule::UnprovenWork);
    assert_eq!(rig.store.counts().nonces, 0, "a refusal leaves nothing behind");
    rig.receipt(ask(JOB, 3)).unwrap();
    rig.transaction(claim(JOB, 0, 5), 0).unwrap();
}

#[test]
fn g2_root_and_units_are_those_of_the_kept_receipts() {
    let rig = Rig::with_receipts(4);
    let Action::Claim { job, first, count, root, units } = claim(JOB, 0, 4) else { unreachable!() };
    let more = Action::Claim { job, first, count, root, units: Units(units.0 + 1) };
    assert_refused(rig.transaction(more, 0), Rule::UnprovenWork);
    let other = Action::Claim { job, first, count, root: B256::repeat_byte(1), units };
    assert_refused(rig.transaction(other, 0), Rule::UnprovenWork);
    rig.transaction(claim(JOB, 0, 4), 0).unwrap();
}

#[test]
fn g3_a_claim_needs_the_means_to_answer_its_draw() {
    let rig = Rig::with_receipts(8);
    let gas = u128::from(CLAIM_GAS + 500_000);
    let price = send(claim(JOB, 0, 4), 0).max_fee_per_gas.0;
    let permit = |action, nonce, balance, open_claims| {
        let means = Some(Means { balance: Wei(balance), open_claims });
        rig.store.permit_transaction(&send(action, nonce), CAP, means).map(drop)
    };
    let unknown = rig.store.permit_transaction(&send(claim(JOB, 0, 4), 0), CAP, None);
    assert_refused(unknown, Rule::Reserve);
    assert_refused(permit(claim(JOB, 0, 4), 0, gas * price - 1, 0), Rule::Reserve);
    assert_refused(permit(claim(JOB, 0, 4), 0, gas * price, 1), Rule::Reserve);
    assert_eq!(rig.store.counts().nonces, 0, "a refusal leaves nothing behind");
    permit(claim(JOB, 0, 4), 0, gas * price, 0).unwrap();
    permit(claim(JOB, 0, 4), 0, 0, 9).expect("what is on record is sent again, however poor the account is");
    permit(Action::WithdrawStake { nth: 0 }, 1, 0, 9).expect("only claims make debts");
}

#[test]
fn g6_other_content_for_a_signed_segment_is_refused_for_ever() {
    let mut rig = Rig::with_receipts(2);
    let signature = rig.receipt(ask(JOB, 1)).unwrap();
    for _ in 0..2 {
        let changes: [fn(&mut headframe_market::Receipt); 3] =
            [|receipt| receipt.out_root = B256::ZERO, |receipt| receipt.units.0 += 1, |receipt| receipt.out_bytes -= 1];
        for change in changes {
            let mut other = ask(JOB, 1);
            change(&mut other.receipt);
            assert_refused(rig.receipt(other), Rule::Equivocation);
        }
        let mut reordered = ask(JOB, 1);
        reordered.order.duration_ms += 1;
        reordered.order_signature = sign_order(&secret(0x22), &reordered.order);
        assert_refused(rig.receipt(reordered), Rule::Equivocation);
        assert_eq!(rig.receipt(ask(JOB, 1)).unwrap(), signature, "the same content has the same signature");
        rig = rig.reopened();
    }
    assert_eq!(ask(JOB, 1).receipt.signer(&domain(), &signature), Some(rig.key.address()));
    assert_eq!(rig.store.counts().segments, 2);
}

#[test]
fn g6_a_client_orders_one_content_per_segment() {
    let rig = Rig::new(Role::Client);
    let sign = |order| Ok(rig.key.sign_order(rig.store.permit_order(order)?).unwrap());
    let signature = sign(order(JOB, 0)).unwrap();
    let mut other = order(JOB, 0);
    other.src_bytes += 1;
    assert_refused(sign(other), Rule::Equivocation);
    assert_eq!(sign(order(JOB, 0)), Ok(signature));
    assert_eq!(order(JOB, 0).signer(&domain(), &signature), Some(rig.key.address()));
}

#[test]
fn g7_a_database_serves_one_chain_one_deployment_and_one_key() {
    let rig = Rig::new(Role::Operator);
    rig.store.check(&hello(&[])).unwrap();
    let changes: [fn(&mut headframe_guard::Hello); 8] = [
        |hello| hello.chain_id = 1,
        |hello| hello.genesis = B256::ZERO,
        |hello| hello.addresses.market = Address::ZERO,
        |hello| hello.addresses.registry = Address::ZERO,
        |hello| hello.addresses.token = Address::ZERO,
        |hello| hello.addresses.book = Address::ZERO,
        |hello| hello.addresses.profiles = Address::ZERO,
        |hello| hello.addresses.router = Address::ZERO,
    ];
    for change in changes {
        let mut other = hello(&[]);
        change(&mut other);
        let refusal = rig.store.check(&other);
        assert!(matches!(&refusal, Err(NotSafe::Unsafe(reason)) if reason.starts_with("G7")), "{refusal:?}");
    }
    let (path, key) = (rig.store.path().to_owned(), rig.key.address());
    drop(rig.store);
    for (key, role) in [(Address::ZERO, Role::Operator), (key, Role::Client)] {
        let refusal = Store::open(&path, key, role);
        assert!(matches!(&refusal, Err(NotSafe::Unsafe(reason)) if reason.starts_with("G7")), "{refusal:?}");
    }
    assert!(Store::open(&path, key, Role::Operator).unwrap().is_some());
}

#[test]
fn g7_a_new_database_has_the_pins_it_was_made_with() {
    let rig = Rig::new(Role::Client).reopened();
    assert_eq!(rig.store.pinned(), pinned(Role::Client));
}

#[test]
fn g7_nothing_goes_to_a_contract_that_is_not_pinned() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut unknown = pinned(Role::Operator);
    unknown.addresses.rewards = headframe_market::Address::ZERO;
    let store = headframe_guard::store::Store::create(&folder.path().join("guard.db"), unknown).unwrap();
    let reward = send(Action::Reward { operator: rig_key().address(), epoch: 1 }, 0);
    let refused = assert_refused(store.permit_transaction(&reward, CAP, Some(RICH)), Rule::Request);
    assert!(refused.contains("names no contract"), "{refused}");
}

fn seen(first: u64, count: u32, root: B256) -> SeenClaim {
    SeenClaim { job: JOB, first: SegmentNo(first), count, root }
}

#[track_caller]
fn assert_unsafe<T: std::fmt::Debug>(outcome: Result<T, NotSafe>, expected: &str) {
    assert!(matches!(&outcome, Err(NotSafe::Unsafe(reason)) if reason.starts_with(expected)), "{outcome:?}");
}

#[test]
fn g8_a_transaction_that_was_not_signed_here_stops_everything() {
    let rig = Rig::new(Role::Operator);
    rig.store.see(&sight(3)).expect("what was before the database is nobody's business");
    rig.store.see(&sight(3)).unwrap();
    rig.transaction(Action::Bond { amount: 1, nth: 0 }, 3).unwrap();
    rig.transaction(Action::Bond { amount: 2, nth: 0 }, 4).unwrap();
    rig.store.see(&sight(4)).unwrap();
    rig.store.see(&sight(5)).unwrap();
    rig.store.see(&sight(3)).expect("a provider that is behind harms nobody");
    assert_unsafe(rig.store.see(&sight(6)), "G8");
    let rig = rig.reopened();
    rig.transaction(Action::Bond { amount: 3, nth: 0 }, 6).unwrap();
    assert_unsafe(rig.store.see(&sight(7)), "G8");
    rig.store.see(&sight(5)).unwrap();
}

#[test]
fn g8_a_claim_that_was_not_signed_here_stops_everything() {
    let rig = Rig::with_receipts(8);
    rig.transaction(claim(JOB, 0, 4), 0).unwrap();
    let Action::Claim { root, .. } = claim(JOB, 0, 4) else { unreachable!() };
    let show = |claims| rig.store.see(&Sight { claims, ..sight(0) });
    show(vec![seen(0, 4, root)]).unwrap();
    for other in [seen(0, 4, B256::ZERO), seen(0, 3, root), seen(4, 4, root)] {
        assert_unsafe(show(vec![seen(0, 4, root), other]), "G8");
    }
    let elsewhere = SeenClaim { job: JobId(8), ..seen(0, 4, root) };
    assert_unsafe(show(vec![elsewhere]), "G8");
    rig.store.close(&[JobId(8)], 0).unwrap();
    show(vec![elsewhere]).expect("a closed job's claims are those of the database before");
}

#[test]
fn g8_a_database_that_was_moved_signs_nothing_more() {
    let rig = Rig::with_receipts(1);
    assert!(!rig.store.export().unwrap().is_final);
    rig.store.retire().unwrap();
    assert!(rig.store.export().unwrap().is_final);
    assert!(matches!(rig.receipt(ask(JOB, 1)), Err(NotSafe::Storage(_))), "the database itself refuses");
    let path = rig.store.path().to_owned();
    drop(rig.store);
    assert_unsafe(Store::open(&path, rig.key.address(), Role::Operator), "G8");
    assert!(Store::inspect_moved(&path).unwrap().unwrap().export().unwrap().is_final, "it can be exported again");
}

#[test]
fn g9_an_older_copy_beside_the_newest_generation() {
    let rig = Rig::with_receipts(1);
    let (copy, path) = (rig.folder.path().join("copy"), rig.store.path().to_owned());
    rig.store.backup(&copy).unwrap();
    rig.receipt(ask(JOB, 1)).unwrap();
    let (folder, key) = (rig.folder, rig.key.address());
    drop(rig.store);
    std::fs::rename(&copy, &path).unwrap();
    assert_unsafe(Store::open(&path, key, Role::Operator), "G9 old database");
    std::fs::remove_file(&path).unwrap();
    assert_unsafe(Store::create(&path, pinned(Role::Operator)), "G9 old database");
    std::fs::write(folder.path().join("guard.db.generation"), "many").unwrap();
    assert_unsafe(Store::create(&path, pinned(Role::Operator)), "G9");
}

#[test]
fn g9_a_database_that_knows_less_than_the_chain_is_refused() {
    let rig = Rig::with_receipts(4);
    rig.transaction(claim(JOB, 0, 4), 0).unwrap();
    rig.store.check(&hello(&[(JOB, 4)])).unwrap();
    rig.store.check(&hello(&[(JOB, 0), (JobId(8), 0)])).unwrap();
    for claims in [[(JOB, 5)], [(JobId(8), 1)]] {
        let refusal = rig.store.check(&hello(&claims));
        assert!(matches!(&refusal, Err(NotSafe::Unsafe(reason)) if reason.starts_with("G9")), "{refusal:?}");
    }
    let client = Rig::new(Role::Client);
    let _ = client.store.permit_order(order(JOB, 0)).unwrap();
    client.store.check(&hello(&[(JOB, 1)])).unwrap();
    assert!(matches!(client.store.check(&hello(&[(JOB, 2)])), Err(NotSafe::Unsafe(_))));
}

#[test]
fn g10_a_nonce_stays_with_one_call() {
    let rig = Rig::new(Role::Operator);
    let bond = |amount| Action::Bond { amount, nth: 0 };
    let first = rig.transaction(bond(5), 3).unwrap();
    assert_refused(rig.transaction(bond(6), 3), Rule::NonceReuse);
    assert_refused(rig.transaction(Action::WithdrawStake { nth: 0 }, 3), Rule::NonceReuse);
    let rig = rig.reopened();
    assert_refused(rig.transaction(bond(6), 3), Rule::NonceReuse);
    assert_eq!(rig.transaction(bond(5), 3).unwrap(), first);
    let mut bumped = send(bond(5), 3);
    bumped.max_fee_per_gas.0 *= 2;
    let raised = rig.key.sign_transaction(rig.store.permit_transaction(&bumped, CAP, None).unwrap()).unwrap();
    assert_ne!(raised.raw, first, "fees may rise");
    assert_eq!(rig.store.counts().nonces, 1);
}

#[test]
fn g10_a_nonce_from_before_the_database_is_refused() {
    let rig = Rig::new(Role::Operator);
    rig.store.see(&sight(3)).unwrap();
    assert_refused(rig.transaction(Action::WithdrawStake { nth: 0 }, 2), Rule::NonceReuse);
    rig.transaction(Action::WithdrawStake { nth: 0 }, 3).unwrap();
    rig.store.close(&[], 9).unwrap();
    assert_refused(rig.transaction(Action::Bond { amount: 1, nth: 0 }, 8), Rule::NonceReuse);
    rig.transaction(Action::WithdrawStake { nth: 0 }, 3).expect("what is on record may be sent again");
}

#[test]
fn g11_no_clock_changes_a_verdict() {
    let rig = Rig::with_receipts(4);
    rig.transaction(claim(JOB, 0, 2), 0).unwrap();
    let path = rig.store.path().to_owned();
    let (folder, key) = (rig.folder, rig.key);
    drop(rig.store);
    // As if all had been recorded a hundred years from now, and then at the beginning of time.
    for moment in ["4923000000", "0"] {
        let db = rusqlite::Connection::open(&path).unwrap();
        let triggers: Vec<(String, String)> = {
            let mut query = db
                .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '%_update'")
                .unwrap();
            query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
        };
        for (name, _) in &triggers {
            db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
        }
        for table in ["segment", "nonce", "meta"] {
            db.execute_batch(&format!("UPDATE {table} SET created = {moment}")).unwrap();
        }
        for (_, sql) in &triggers {
            db.execute_batch(sql).unwrap();
        }
        drop(db);
        let store = Store::open(&path, key.address(), Role::Operator).unwrap().unwrap();
        let other = ReceiptChange::of(1);
        assert_refused(store.permit_receipt(other), Rule::Equivocation);
        let _ = store.permit_receipt(ask(JOB, 1)).unwrap();
        assert_refused(store.permit_transaction(&send(claim(JOB, 1, 2), 1), CAP, Some(RICH)), Rule::DoubleClaim);
        let _ = store.permit_transaction(&send(claim(JOB, 0, 2), 0), CAP, Some(RICH)).unwrap();
        let next = u64::from(moment == "0") + 10;
        let _ = store.permit_transaction(&send(Action::WithdrawStake { nth: 0 }, next), CAP, None).unwrap();
        let _ = store.permit_receipt(ask(JOB, next)).unwrap();
    }
    drop(folder);
    let sources = [include_str!("../../src/rules.rs"), include_str!("../../src/store/schema.sql")];
    for clock in ["SystemTime", "Instant", "unixepoch() ", "CURRENT_", "datetime(", "julianday("] {
        assert!(sources.iter().all(|source| !source.contains(clock)), "a rule looks at {clock}");
    }
    let defaults = sources[1].matches("DEFAULT (unixepoch())").count();
    assert_eq!(sources[1].matches("unixepoch").count(), defaults, "the time is written and never compared");
}

struct ReceiptChange;

impl ReceiptChange {
    /// The request of [`ask`] with other content.
    fn of(seq: u64) -> headframe_guard::protocol::ReceiptRequest {
        let mut other = ask(JOB, seq);
        other.receipt.out_bytes += 1;
        other
    }
}

#[test]
fn g12_nothing_new_is_signed_below_a_floor() {
    let rig = Rig::with_receipts(4);
    rig.transaction(claim(JOB, 0, 2), 0).unwrap();
    let signature = rig.receipt(ask(JOB, 1)).unwrap();
    rig.store.close(&[JOB, JobId(8)], 0).unwrap();
    for rig in [rig].into_iter().map(Rig::reopened) {
        assert_refused(rig.receipt(ask(JOB, 4)), Rule::Floor);
        assert_refused(rig.receipt(ask(JobId(8), 0)), Rule::Floor);
        assert_refused(rig.transaction(claim(JOB, 2, 2), 1), Rule::DoubleClaim);
        assert_refused(rig.receipt(ReceiptChange::of(1)), Rule::Equivocation);
        assert_eq!(rig.receipt(ask(JOB, 1)).unwrap(), signature, "what is on record stays");
        rig.receipt(ask(JobId(9), 0)).unwrap();
        assert_eq!(rig.store.forget(JOB), Ok(5), "four segments and a claim");
        assert_refused(rig.receipt(ask(JOB, 1)), Rule::Floor);
        assert_eq!(rig.store.forget(JobId(9)), Ok(1));
        rig.store.audit().unwrap().expect("what was forgotten below a floor is not missed");
    }
    let client = Rig::new(Role::Client);
    client.store.close(&[JOB], 0).unwrap();
    assert_refused(client.store.permit_order(order(JOB, 7)), Rule::Floor);
    assert_eq!(NO_SEGMENT, SegmentNo(1 << 32), "as the contract numbers segments");
}

#[test]
fn g13_nothing_turns_the_disk_or_a_rule_off() {
    let open = include_str!("../../src/store/open.rs");
    assert!(open.contains(r#"expect("PRAGMA synchronous", "2")?"#), "asserted at every start");
    for source in [open, include_str!("../../src/store/mod.rs"), include_str!("../../src/bin/headframe-signer.rs")] {
        for switch in ["\"OFF\"", "\"NORMAL\"", "no_sync", "disable", "insecure", "dangerous"] {
            assert!(!source.contains(switch), "{switch}");
        }
    }
    let home = Home::new(Role::Operator);
    let help = home.command(&["--help"]).output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap().to_lowercase();
    for word in ["--unsafe", "--no-", "--disable", "--skip", "--force", "--dangerous"] {
        assert!(!text.contains(word), "{word}");
    }
    let settings = Rig::new(Role::Operator).reopened().store.settings().unwrap();
    assert_eq!(
        settings,
        [("journal_mode", "wal".into()), ("synchronous", "2".into()), ("locking_mode", "exclusive".into())]
    );
}

#[test]
fn g10_value_is_part_of_the_call() {
    let rig = Rig::new(Role::Client);
    let top_up = |wei| Action::TopUp { job: JOB, amount: Wei(wei), nth: 0 };
    rig.transaction(top_up(1), 0).unwrap();
    assert_refused(rig.transaction(top_up(2), 0), Rule::NonceReuse);
}

#[test]
fn an_offer_is_of_the_keys_own_operator() {
    let rig = Rig::new(Role::Operator);
    let signature = rig.key.sign_bid(rig.store.permit_bid(offer()).unwrap()).unwrap();
    assert_eq!(offer().signer(&domain(), &signature), Some(rig.key.address()));
    let other = headframe_market::Bid { operator: Address::ZERO, ..offer() };
    assert_refused(rig.store.permit_bid(other), Rule::Request);
    assert_refused(Rig::new(Role::Client).store.permit_bid(offer()), Rule::Role);
}

#[test]
fn a_key_signs_only_what_its_role_does() {
    let (operator, client) = (Rig::new(Role::Operator), Rig::new(Role::Client));
    assert_refused(operator.transaction(Action::CloseJob { job: JOB }, 0), Rule::Role);
    assert_refused(client.transaction(Action::Bond { amount: 1, nth: 0 }, 0), Rule::Role);
    assert_refused(client.receipt(ask(JOB, 0)), Rule::Role);
    assert_refused(operator.store.permit_order(order(JOB, 0)), Rule::Role);
    assert_refused(client.store.permit_report("bench 1".into(), B256::ZERO), Rule::Role);
}

#[test]
fn absurd_fees_are_refused() {
    let rig = Rig::new(Role::Operator);
    let permit = |gas_limit, fee, tip| {
        let (max_fee_per_gas, max_priority_fee_per_gas) = (Wei(fee), Wei(tip));
        let ask = send(Action::WithdrawStake { nth: 0 }, 0);
        let ask = headframe_guard::protocol::TransactionRequest {
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            ..ask
        };
        rig.store.permit_transaction(&ask, Wei(1_000_000), None)
    };
    assert_refused(permit(1001, 1000, 0), Rule::FeeCap);
    assert_refused(permit(u64::MAX, u128::MAX, 0), Rule::FeeCap);
    assert_refused(permit(10, 10, 11), Rule::FeeCap);
    let _ = permit(1000, 1000, 1000).unwrap();
}

#[test]
fn numbers_past_the_store_and_absurd_ones_are_refused() {
    let rig = Rig::with_receipts(1);
    let mut far = ask(JobId(u64::MAX), 0);
    assert_refused(rig.receipt(far.clone()), Rule::Request);
    far = ask(JOB, 1);
    far.receipt.units = Units(1 << 40);
    assert_refused(rig.receipt(far), Rule::Request);
    assert_refused(rig.transaction(Action::WithdrawStake { nth: 0 }, u64::MAX), Rule::Request);
    for (first, count) in [(0, 0), (0, 4097), (1, u32::MAX), (u64::MAX, 1), (u64::MAX - 3, 4096)] {
        let claim = Action::Claim { job: JOB, first: SegmentNo(first), count, root: B256::ZERO, units: Units(0) };
        assert_refused(rig.transaction(claim, 0), Rule::Request);
    }
}

#[test]
fn evidence_comes_back_as_it_was_given() {
    let rig = Rig::with_receipts(5).reopened();
    let kept = rig.store.receipts(JOB, SegmentNo(1), 3).unwrap();
    let seqs: Vec<u64> = kept.iter().map(|one| one.leaf.seq.0).collect();
    assert_eq!(seqs, [1, 2, 3]);
    let given = ask(JOB, 2);
    assert_eq!(kept[1].leaf, given.receipt.leaf());
    assert_eq!((kept[1].src_bytes, kept[1].duration_ms), (given.order.src_bytes, given.order.duration_ms));
    assert_eq!(kept[1].client_signature, given.order_signature);
    rig.transaction(claim(JOB, 0, 2), 0).unwrap();
    let jobs = rig.store.jobs(JobId(0), 10).unwrap();
    assert_eq!(jobs.len(), 1);
    let job = jobs[0];
    assert_eq!((job.job, job.client, job.claimed, job.unclaimed), (JOB, client_address(), 2, 3));
    assert_eq!((job.unclaimed_units, job.end), (1002 + 1003 + 1004, SegmentNo(5)));
    assert!(rig.store.jobs(JobId(8), 10).unwrap().is_empty());
}
