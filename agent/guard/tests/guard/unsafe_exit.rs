//! Exit code 79: nothing is signed and a person must look.

use crate::support::*;
use headframe_guard::client::{self, Client, Error};
use headframe_guard::protocol::{SeenClaim, Sight};
use headframe_guard::store::Store;
use headframe_market::{B256, JobId, Role, SegmentNo};
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

/// A home whose database holds four receipts and a claim of them.
fn with_history() -> Home {
    let home = Home::new(Role::Operator);
    let signer = home.spawn();
    let client = home.client();
    for seq in 0..4 {
        client.sign_receipt(ask(JOB, seq)).unwrap();
    }
    client.sign_transaction(send(claim(JOB, 0, 4), 0)).unwrap();
    assert_eq!(signer.stop().unwrap().code(), Some(0));
    home
}

/// A Hello with `jobs` on chain makes the running signer refuse and end with code 79. Returns the reason.
fn hello_ends_it(home: &Home, jobs: &[(JobId, u64)]) -> String {
    let mut child = home.command(&[]).spawn().unwrap();
    client::identify(&home.arguments.socket).unwrap();
    let reason = match Client::connect(&home.arguments.socket, hello(jobs)) {
        Err(Error::Unsafe { reason }) => reason,
        other => panic!("expected Unsafe, got {other:?}"),
    };
    assert_eq!(exit_code(|| child.try_wait()), 79);
    let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(log.contains("unsafe to run, nothing more is signed"), "{log}");
    assert!(log.contains(&reason), "{log}");
    reason
}

#[test]
fn g9_a_missing_database_with_earlier_claims_on_chain() {
    let home = with_history();
    std::fs::remove_file(home.path("guard.db")).unwrap();
    let _ = std::fs::remove_file(home.path("guard.db-wal"));
    let (code, log) = home.refuses(&[]);
    assert_eq!(code, 79, "the file beside it tells that there was one: {log}");
    assert!(log.contains("G9 lost database") && log.contains("guard rebuild"), "{log}");
    std::fs::remove_file(home.path("guard.db.generation")).unwrap();
    let reason = hello_ends_it(&home, &[(JOB, 4)]);
    assert!(reason.starts_with("G9 lost database") && reason.contains("guard rebuild"), "{reason}");
    assert!(!home.path("guard.db").exists(), "and no new one is made");
}

#[test]
fn g9_a_missing_database_of_a_key_with_a_job_but_no_claims() {
    let home = Home::new(Role::Operator);
    assert!(hello_ends_it(&home, &[(JOB, 0)]).starts_with("G9 lost database"));
}

#[test]
fn g9_a_journal_without_its_database() {
    let home = Home::new(Role::Operator);
    std::fs::write(home.path("guard.db-wal"), "left over").unwrap();
    let (code, log) = home.refuses(&[]);
    assert_eq!(code, 79, "{log}");
    assert!(log.contains("G9 lost database"), "{log}");
}

#[test]
fn g9_an_old_copy() {
    let home = with_history();
    assert!(hello_ends_it(&home, &[(JOB, 5)]).starts_with("G9 old database"));
    assert!(hello_ends_it(&home, &[(JOB, 4), (JobId(8), 1)]).starts_with("G9 old database"));
    let signer = home.spawn();
    Client::connect(signer.socket(), hello(&[(JOB, 4)])).expect("what it knows is fine");
}

/// With this sight a running signer ends with code 79, signs nothing from then on, and has recorded nothing. The reason.
fn sight_ends_it(home: &Home, sight: &Sight) -> String {
    let mut child = home.command(&[]).spawn().unwrap();
    client::identify(&home.arguments.socket).unwrap();
    let client = Client::connect(&home.arguments.socket, hello(&[(JOB, 4)])).unwrap().with_patience(Duration::ZERO);
    let before = client.status().unwrap();
    let reason = match client.see(sight) {
        Err(Error::Unsafe { reason }) => reason,
        other => panic!("expected Unsafe, got {other:?}"),
    };
    let after = client.sign_receipt(ask(JOB, 9));
    assert!(matches!(after, Err(Error::Unsafe { .. } | Error::Unavailable { .. })), "{after:?}");
    assert_eq!(exit_code(|| child.try_wait()), 79);
    let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(log.contains("unsafe to run, nothing more is signed") && log.contains(&reason), "{log}");
    let store = Store::inspect(&home.path("guard.db")).unwrap().unwrap();
    assert_eq!(store.counts().segments, before.segments, "nothing was signed");
    reason
}

#[test]
fn g8_a_transaction_of_somebody_else() {
    let home = with_history();
    let reason = sight_ends_it(&home, &sight(2));
    assert!(reason.starts_with("G8 second instance") && reason.contains("nonce 1"), "{reason}");
    assert!(reason.contains("find out which") && reason.contains("headframe guard rebuild"), "{reason}");
}

#[test]
fn g8_a_claim_of_somebody_else() {
    let home = with_history();
    let stranger = SeenClaim { job: JOB, first: SegmentNo(4), count: 2, root: B256::ZERO };
    let reason = sight_ends_it(&home, &Sight { claims: vec![stranger], ..sight(1) });
    assert!(reason.starts_with("G8 second instance") && reason.contains("segments 4+2 of job 7"), "{reason}");
}

#[test]
fn g9_an_old_copy_put_back_over_the_newest() {
    let home = with_history();
    std::fs::copy(home.path("guard.db"), home.path("copy")).unwrap();
    let signer = home.spawn();
    home.client().sign_receipt(ask(JOB, 4)).unwrap();
    signer.stop().unwrap();
    std::fs::copy(home.path("copy"), home.path("guard.db")).unwrap();
    let (code, log) = home.refuses(&[]);
    assert_eq!(code, 79, "{log}");
    assert!(log.contains("G9 old database") && log.contains("Put the newest database back"), "{log}");
    assert!(!home.arguments.socket.exists(), "nobody can ask it for anything");
}

#[test]
fn g8_a_database_that_moved() {
    let home = with_history();
    Store::inspect(&home.path("guard.db")).unwrap().unwrap().retire().unwrap();
    let (code, log) = home.refuses(&[]);
    assert_eq!(code, 79, "{log}");
    assert!(log.contains("G8 second instance: this database was moved") && log.contains("Never run both"), "{log}");
}

#[test]
fn it_ends_within_a_second_of_looking() {
    let home = with_history();
    std::fs::write(home.path("guard.db"), b"damaged").unwrap();
    let begun = std::time::Instant::now();
    let (code, log) = home.refuses(&[]);
    assert_eq!(code, 79, "{log}");
    // Unlocking the key comes first; here it takes milliseconds, and the rest is for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn g7_another_chain_through_the_socket() {
    let home = with_history();
    let mut child = home.command(&[]).spawn().unwrap();
    let admitted = {
        client::identify(&home.arguments.socket).unwrap();
        Client::connect(&home.arguments.socket, hello(&[(JOB, 4)])).unwrap()
    };
    let mut other = hello(&[]);
    other.chain_id = 1;
    let refused = Client::connect(&home.arguments.socket, other).unwrap_err();
    assert!(matches!(&refused, Error::Unsafe { reason } if reason.starts_with("G7")), "{refused}");
    assert_eq!(exit_code(|| child.try_wait()), 79);
    let after = admitted.sign_receipt(ask(JOB, 9));
    assert!(matches!(after, Err(Error::Unsafe { .. } | Error::Unavailable { .. })), "{after:?}");
}

#[test]
fn another_key_or_role() {
    let home = with_history();
    let (code, log) = home.refuses(&["--role", "client"]);
    assert_eq!(code, 2, "given twice: {log}");
    let moved = Home::new(Role::Client);
    std::fs::copy(home.path("guard.db"), moved.path("guard.db")).unwrap();
    let ended = headframe_guard::Signer::spawn(&program(), &moved.arguments).unwrap_err();
    assert_eq!(ended.exit_code(), 79);
}

#[test]
fn a_damaged_database() {
    let home = with_history();
    let whole = std::fs::read(home.path("guard.db")).unwrap();
    let spoil = |bytes: &[u8]| std::fs::write(home.path("guard.db"), bytes).unwrap();
    let _ = std::fs::remove_file(home.path("guard.db-wal"));

    spoil(b"not a database, whatever it was before..........................................................");
    assert_eq!(home.refuses(&[]).0, 79, "garbage");
    spoil(b"");
    assert_eq!(home.refuses(&[]).0, 79, "empty");
    spoil(&whole[..whole.len() / 2]);
    assert_eq!(home.refuses(&[]).0, 79, "half");
    spoil(&whole);
    let mut file = std::fs::OpenOptions::new().write(true).open(home.path("guard.db")).unwrap();
    file.seek(SeekFrom::Start(whole.len() as u64 - 4096)).unwrap();
    file.write_all(&[0xa5; 4096]).unwrap();
    drop(file);
    let (code, log) = home.refuses(&[]);
    assert_eq!(code, 79, "{log}");
    assert!(log.contains("do not delete it"), "{log}");
    assert!(!home.arguments.socket.exists());
}

#[test]
fn a_database_without_its_rules() {
    let home = with_history();
    let db = rusqlite::Connection::open(home.path("guard.db")).unwrap();
    db.execute_batch("DROP TRIGGER segment_update").unwrap();
    drop(db);
    let (code, log) = home.refuses(&[]);
    assert_eq!(code, 79, "{log}");
    assert!(log.contains("segment_update"), "{log}");
}

#[test]
fn a_database_of_another_release() {
    for (schema, word) in [(2, "an earlier release"), (4, "a later release")] {
        let home = with_history();
        let db = rusqlite::Connection::open(home.path("guard.db")).unwrap();
        let rewrite = format!(
            "DROP TRIGGER meta_update; PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, 'schema = 3', 'schema = {schema}') WHERE name = 'meta';
             PRAGMA writable_schema = RESET; UPDATE meta SET schema = {schema};"
        );
        db.execute_batch(&rewrite).unwrap();
        drop(db);
        let before = std::fs::read(home.path("guard.db")).unwrap();
        let (code, log) = home.refuses(&[]);
        assert_eq!(code, 79, "{log}");
        assert!(log.contains(word) && log.contains("install that release again"), "{log}");
        assert!(!home.arguments.socket.exists(), "nobody can ask it for anything");
        assert_eq!(std::fs::read(home.path("guard.db")).unwrap(), before, "and the file is as it was");
    }
}

#[test]
fn a_second_signer_on_one_database() {
    let home = with_history();
    let _first = home.spawn();
    let second = home.command(&[]).args(["--log-json"]).output().unwrap();
    assert_eq!(second.status.code(), Some(79));
    let log = String::from_utf8_lossy(&second.stderr);
    assert!(log.contains("another signer has it open"), "{log}");
    client::identify(&home.arguments.socket).expect("the first one is unharmed");
}

#[test]
fn a_second_signer_that_started_before_the_database_existed() {
    let home = Home::new(Role::Operator);
    let _first = home.spawn();
    let mut other = home.arguments.clone();
    other.socket = home.path("other.sock");
    let mut second = headframe_guard::Signer::spawn(&program(), &other).unwrap();
    Client::connect(&home.arguments.socket, hello(&[])).unwrap();
    let refused = Client::connect(&other.socket, hello(&[])).unwrap_err();
    assert!(matches!(&refused, Error::Unsafe { reason } if reason.contains("another signer")), "{refused}");
    assert_eq!(exit_code(|| second.ended()), 79);
}
