//! The database refuses bad rows whatever program writes them.

use crate::support::*;
use rusqlite::Connection;

/// Receipts 0 to 7 and a claim of 0 to 3 under nonce 5. By hand: a floor of 2, and 3 as the floor of nonces.
fn raw() -> (Rig, std::path::PathBuf) {
    let rig = Rig::with_receipts(8);
    rig.transaction(claim(JOB, 0, 4), 5).unwrap();
    let path = rig.store.path().to_owned();
    (rig, path)
}

const FLOORS: [&str; 2] = ["INSERT INTO floor VALUES (7, 2)", "INSERT INTO mark VALUES ('nonce_floor', 3)"];

/// The audit entry that a record needs before it, so that nothing but the rule in question stands against it.
fn entry(kind: &str, a: u32, b: u32) -> String {
    format!(
        "INSERT INTO audit SELECT coalesce(max(n), 0) + 1, '{kind}', {a}, {b}, zeroblob(32), zeroblob(32) FROM audit; "
    )
}

/// Statements that must fail, each with a word of the reason.
fn forbidden() -> Vec<(String, &'static str)> {
    let row = "7, 2, zeroblob(32), 1, 1, zeroblob(65), zeroblob(32), 1, 1, 0";
    let new = "zeroblob(32), 1, 1, zeroblob(65), zeroblob(32), 1, 1, 0";
    let with = |kind, a, b, sql: &str| entry(kind, a, b) + sql;
    let moved = with("mark", 2, 1, "INSERT INTO mark VALUES ('moved', 1); ");
    let floor_at_6 = with("floor", 7, 6, "INSERT INTO floor VALUES (7, 6); ");
    let job_9 = with("job", 9, 0, "INSERT INTO job VALUES (9, zeroblob(20)); ")
        + &with("floor", 9, 5, "INSERT INTO floor VALUES (9, 5); ");
    let entry_for_claim = entry("nonce", 20, 0) + "INSERT INTO nonce VALUES (20, zeroblob(32), 'claim', 0); ";
    vec![
        (new_claim(0, 4, 4006, 11), "G1"),               // the same range again
        (new_claim(3, 2, 2007, 12), "G1"),               // an overlap
        (new_claim(5, 3, 3018, 13), "G1"),               // a gap
        (floor_at_6 + &new_claim(4, 4, 4022, 17), "G1"), // below the floor, where the last claim ended
        (new_claim(4, 5, 4022, 14), "G2"),               // segment 8 has no receipt
        (new_claim(4, 4, 4023, 15), "G2"),               // one unit too many
        (new_claim(4, 4097, 1, 16), "G2"),               // longer than a claim can be
        (with("claim", 7, 4, "INSERT INTO claim VALUES (7, 4, 4, zeroblob(32), 4022, 5)"), "G1"), // the other's nonce
        (with("claim", 7, 4, "INSERT INTO claim VALUES (7, 4, 4, zeroblob(32), 4022, 99)"), "FOREIGN KEY"),
        (entry_for_claim + "INSERT INTO claim VALUES (7, 4, 4, zeroblob(32), 4022, 20)", "audit"),
        ("UPDATE claim SET root = zeroblob(32)".into(), "G1"),
        ("DELETE FROM claim".into(), "G12"),
        (with("claim", 7, 0, "INSERT OR REPLACE INTO claim VALUES (7, 0, 4, zeroblob(32), 4006, 5)"), "G1"),
        (with("segment", 7, 2, &format!("INSERT OR REPLACE INTO segment VALUES ({row})")), "G6"),
        (with("segment", 7, 2, &format!("INSERT INTO segment VALUES ({row})")), "G6"),
        (format!("INSERT INTO segment VALUES (7, 8, {new})"), "audit"),
        (job_9 + &with("segment", 9, 3, &format!("INSERT INTO segment VALUES (9, 3, {new})")), "G12"),
        ("UPDATE segment SET out_root = zeroblob(32) WHERE seq = 1".into(), "G6"),
        ("UPDATE OR REPLACE segment SET seq = 2 WHERE seq = 1".into(), "G6"),
        ("DELETE FROM segment WHERE seq = 7".into(), "G12"),
        ("DELETE FROM segment WHERE seq = 2".into(), "G12"),
        ("UPDATE nonce SET call_hash = zeroblob(32)".into(), "G10"),
        (with("nonce", 5, 0, "INSERT OR REPLACE INTO nonce VALUES (5, zeroblob(32), 'bid', 0)"), "G10"),
        (with("nonce", 2, 0, "INSERT INTO nonce VALUES (2, zeroblob(32), 'bid', 0)"), "G10"),
        ("INSERT INTO nonce VALUES (30, zeroblob(32), 'bid', 0)".into(), "audit"),
        ("DELETE FROM nonce".into(), "G10"),
        ("UPDATE job SET client = zeroblob(20)".into(), "G2"),
        (with("job", 7, 0, "INSERT OR REPLACE INTO job VALUES (7, zeroblob(20))"), "G2"),
        ("INSERT INTO job VALUES (8, zeroblob(20))".into(), "audit"),
        ("DELETE FROM job".into(), "G2"),
        ("UPDATE meta SET chain_id = 1".into(), "G7"),
        ("DELETE FROM meta".into(), "G7"),
        ("INSERT OR REPLACE INTO meta SELECT * FROM meta".into(), "G7"),
        ("UPDATE pin SET place = randomblob(20)".into(), "G7"),
        ("DELETE FROM pin".into(), "G7"),
        ("INSERT OR REPLACE INTO pin SELECT * FROM pin".into(), "G7"),
        (with("floor", 7, 1, "INSERT INTO floor VALUES (7, 1)"), "G12"), // lowered
        (with("floor", 7, 2, "INSERT OR REPLACE INTO floor VALUES (7, 2)"), "G12"),
        ("INSERT INTO floor VALUES (7, 3)".into(), "audit"),
        ("UPDATE floor SET below = 1".into(), "G12"),
        ("DELETE FROM floor".into(), "G12"),
        (with("mark", 0, 0, "INSERT INTO mark VALUES ('generation', 0)"), "G9"), // back in time
        (with("mark", 1, 2, "INSERT INTO mark VALUES ('nonce_floor', 2)"), "G9"), // lowered
        ("INSERT INTO mark VALUES ('generation', 9)".into(), "audit"),
        (with("mark", 0, 9, "INSERT INTO mark VALUES ('nonce_floor', 9)"), "audit"), // another mark's entry
        ("UPDATE mark SET value = 0 WHERE name = 'generation'".into(), "G9"),
        ("DELETE FROM mark".into(), "G9"),
        (moved + &entry("mark", 0, 9), "G8"),
        ("INSERT INTO audit VALUES (900, 'mark', 0, 0, zeroblob(32), zeroblob(32))".into(), "audit"),
        ("INSERT OR REPLACE INTO audit VALUES (1, 'mark', 0, 0, zeroblob(32), zeroblob(32))".into(), "audit"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE n = 1".into(), "audit"),
        ("DELETE FROM audit WHERE n = (SELECT max(n) FROM audit)".into(), "audit"),
        ("UPDATE segment SET units = 'many'".into(), "cannot store TEXT"),
        (
            with("segment", 7, 8, "INSERT INTO segment VALUES (7, 8, zeroblob(32), 1, 1, NULL, zeroblob(32), 1, 1, 0)"),
            "CHECK",
        ),
        (
            with("segment", 7, 8, "INSERT INTO segment VALUES (7, 8, 'text', 1, 1, NULL, NULL, NULL, NULL, 0)"),
            "cannot store TEXT",
        ),
    ]
}

fn new_claim(first: u32, count: u32, units: u32, nonce: u32) -> String {
    let (nonce_entry, claim_entry) = (entry("nonce", nonce, 0), entry("claim", 7, first));
    format!(
        "{nonce_entry} INSERT INTO nonce VALUES ({nonce}, zeroblob(32), 'claim', 0); \
         {claim_entry} INSERT INTO claim VALUES (7, {first}, {count}, zeroblob(32), {units}, {nonce})"
    )
}

/// What each forbidden statement meets; none leaves a trace.
fn outcomes(db: &Connection) -> Vec<Result<(), String>> {
    let one = |(sql, expected): &(String, &str)| {
        db.execute_batch("SAVEPOINT one").unwrap();
        let outcome = db.execute_batch(sql);
        db.execute_batch("ROLLBACK TO one; RELEASE one").unwrap();
        match outcome {
            Ok(()) => Err(format!("{sql}\n  was possible")),
            Err(error) if error.to_string().contains(expected) => Ok(()),
            Err(error) => Err(format!("{sql}\n  expected {expected}, found {error}")),
        }
    };
    forbidden().iter().map(one).collect()
}

#[test]
fn sql_alone_refuses() {
    let (Rig { folder, store, .. }, path) = raw();
    drop(store);
    let mut db = Connection::open(&path).unwrap();
    db.pragma_update(None, "foreign_keys", true).unwrap();
    db.execute_batch(&(entry("floor", 7, 2) + FLOORS[0])).unwrap();
    db.execute_batch(&(entry("mark", 1, 3) + FLOORS[1])).unwrap();
    for outcome in outcomes(&db) {
        outcome.unwrap();
    }
    let allowed = [
        new_claim(4, 4, 4022, 7),
        "DELETE FROM segment WHERE seq < 2".into(), // below the floor
        entry("floor", 7, 3) + "INSERT INTO floor VALUES (7, 3)",
        entry("mark", 0, 8) + "INSERT INTO mark VALUES ('generation', 8)",
        entry("nonce", 40, 0) + "INSERT INTO nonce VALUES (40, zeroblob(32), 'bond', 0)",
    ];
    db.execute_batch("SAVEPOINT all_of_it").unwrap();
    for sql in allowed {
        db.execute_batch(&sql).expect("what the rules allow is possible");
    }
    db.execute_batch("ROLLBACK TO all_of_it; RELEASE all_of_it; PRAGMA integrity_check").unwrap();

    // And each trigger is needed for it.
    let mut query = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let triggers: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    drop(query);
    assert!(triggers.len() > 30);
    for trigger in triggers {
        let tx = db.transaction().unwrap();
        tx.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
        assert!(outcomes(&tx).iter().any(Result::is_err), "no case needs {trigger}");
    }
    drop(db);
    drop(folder);
}

#[test]
fn a_second_opener_finds_it_locked() {
    let (rig, path) = raw();
    let other = Connection::open(&path).unwrap();
    other.busy_timeout(std::time::Duration::ZERO).unwrap();
    assert!(other.query_row("SELECT count(*) FROM segment", [], |row| row.get::<_, i64>(0)).is_err());
    let again = headframe_guard::store::Store::open(&path, rig.key.address(), headframe_market::Role::Operator);
    let error = again.unwrap_err().to_string();
    assert!(error.contains("another signer has it open"), "{error}");
}

#[test]
fn a_second_opener_waits_for_one_that_is_about_to_end() {
    let (Rig { folder: _folder, store, key }, path) = raw();
    let ends = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        drop(store);
    });
    headframe_guard::store::Store::open(&path, key.address(), headframe_market::Role::Operator).unwrap();
    ends.join().unwrap();
}

#[test]
fn settings_and_modes_are_those_that_survive_a_power_cut() {
    use std::os::unix::fs::PermissionsExt;
    let (rig, path) = raw();
    for name in ["guard.db", "guard.db-wal"] {
        let mode = std::fs::metadata(rig.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(!rig.folder.path().join("guard.db-shm").exists(), "exclusive mode shares no memory");
    drop(rig.store);
    let db = Connection::open(path).unwrap();
    let strict =
        "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite%' AND strict = 0";
    assert_eq!(db.query_row(strict, [], |row| row.get::<_, i64>(0)), Ok(0));
}
