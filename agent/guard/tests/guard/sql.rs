//! The database refuses bad rows whatever program writes them.

use crate::support::*;
use rusqlite::Connection;

fn raw() -> (Rig, std::path::PathBuf) {
    let rig = Rig::with_receipts(8);
    rig.transaction(claim(JOB, 0, 4), 0).unwrap();
    let path = rig.store.path().to_owned();
    (rig, path)
}

/// Statements that must fail, each with a word of the reason.
fn forbidden() -> Vec<(String, &'static str)> {
    let row = "7, 0, zeroblob(32), 1, 1, zeroblob(65), zeroblob(32), 1, 1, 0";
    vec![
        (new_claim(0, 4, 4006, 1), "G1"), // the same range again
        (new_claim(3, 2, 2007, 2), "G1"), // an overlap
        (new_claim(5, 3, 3018, 3), "G1"), // a gap
        (new_claim(4, 5, 4022, 4), "G2"), // segment 8 has no receipt
        (new_claim(4, 4, 4023, 5), "G2"), // one unit too many
        (new_claim(4, 4097, 1, 6), "G2"), // longer than a claim can be
        ("INSERT INTO claim VALUES (7, 4, 4, zeroblob(32), 4022, 0)".into(), "G1"), // the other claim's nonce
        ("INSERT INTO claim VALUES (7, 4, 4, zeroblob(32), 4022, 99)".into(), "FOREIGN KEY"),
        ("UPDATE claim SET root = zeroblob(32)".into(), "G1"),
        ("DELETE FROM claim".into(), "G1"),
        ("INSERT OR REPLACE INTO claim VALUES (7, 0, 4, zeroblob(32), 4006, 0)".into(), "G1"),
        (format!("INSERT OR REPLACE INTO segment VALUES ({row})"), "G6"),
        (format!("INSERT INTO segment VALUES ({row})"), "G6"),
        ("UPDATE segment SET out_root = zeroblob(32) WHERE seq = 1".into(), "G6"),
        ("UPDATE OR REPLACE segment SET seq = 2 WHERE seq = 1".into(), "G6"),
        ("DELETE FROM segment WHERE seq = 7".into(), "G12"),
        ("UPDATE nonce SET call_hash = zeroblob(32)".into(), "G10"),
        ("INSERT OR REPLACE INTO nonce VALUES (0, zeroblob(32), 'bid', 0)".into(), "G10"),
        ("DELETE FROM nonce".into(), "G10"),
        ("UPDATE job SET client = zeroblob(20)".into(), "G2"),
        ("INSERT OR REPLACE INTO job VALUES (7, zeroblob(20))".into(), "G2"),
        ("DELETE FROM job".into(), "G2"),
        ("UPDATE meta SET chain_id = 1".into(), "G7"),
        ("DELETE FROM meta".into(), "G7"),
        ("INSERT OR REPLACE INTO meta SELECT * FROM meta".into(), "G7"),
        ("UPDATE segment SET units = 'many'".into(), "cannot store TEXT"),
        ("INSERT INTO segment VALUES (7, 8, zeroblob(32), 1, 1, NULL, zeroblob(32), 1, 1, 0)".into(), "CHECK"),
        ("INSERT INTO segment VALUES (7, 8, 'text', 1, 1, NULL, NULL, NULL, NULL, 0)".into(), "cannot store TEXT"),
    ]
}

fn new_claim(first: u32, count: u32, units: u32, nonce: u32) -> String {
    format!(
        "INSERT INTO nonce VALUES ({nonce}, zeroblob(32), 'claim', 0); \
         INSERT INTO claim VALUES (7, {first}, {count}, zeroblob(32), {units}, {nonce})"
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
    for outcome in outcomes(&db) {
        outcome.unwrap();
    }
    db.execute_batch(&new_claim(4, 4, 4022, 7)).expect("what the rules allow is possible");
    db.execute_batch("PRAGMA integrity_check").unwrap();

    // And each trigger is needed for it.
    let mut query = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let triggers: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    drop(query);
    assert!(triggers.len() > 15);
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
