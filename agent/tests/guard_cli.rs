//! `headframe guard` and `headframe keys` as a person runs them, without a chain.
#![allow(clippy::unwrap_used)]

use headframe_guard::rules::Pinned;
use headframe_guard::store::Store;
use headframe_market::{Address, Addresses, B256, JobId, Role, Segment, SegmentNo};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Exit code, standard output and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
    command.args(arguments).current_dir(folder).env_remove("HEADFRAME_SIGNER_DATABASE").env_remove("HEADFRAME_KEYS");
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn ok(folder: &Path, arguments: &[&str]) -> String {
    let (code, out, error) = run(folder, arguments);
    assert_eq!(code, 0, "{arguments:?}: {error}");
    out
}

fn order(seq: u64) -> Segment {
    Segment { job: JobId(7), seq: SegmentNo(seq), src_root: B256::repeat_byte(1), src_bytes: 9, duration_ms: 2000 }
}

/// A client's database with three orders.
fn database() -> TempDir {
    let folder = TempDir::new().unwrap();
    let (addresses, address) = (Addresses::default(), Address::repeat_byte(5));
    let pinned = Pinned { chain_id: 31337, genesis: B256::ZERO, addresses, address, role: Role::Client };
    let store = Store::create(&folder.path().join("guard.db"), pinned).unwrap();
    for seq in 0..3 {
        let _ = store.permit_order(order(seq)).unwrap();
    }
    folder
}

#[test]
fn a_database_is_checked_exported_and_taken_over_elsewhere() {
    let home = database();
    let folder = home.path();
    let check =
        |file: &str| serde_json::from_str::<Value>(&ok(folder, &["guard", "check", "--json", "--database", file]));
    let found = check("guard.db").unwrap();
    assert_eq!((&found["segments"], &found["settings"]["synchronous"]), (&3.into(), &"2".into()), "{found}");
    let exported = ok(folder, &["guard", "export", "--database", "guard.db"]);
    std::fs::write(folder.join("open.json"), &exported).unwrap();

    let told = ok(folder, &["guard", "import", "open.json", "--database", "copy.db", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["segments"], &told["closed"]), (&3.into(), &true.into()), "more may have been signed since");
    let again = ok(folder, &["guard", "import", "open.json", "--database", "guard.db"]);
    assert!(again.starts_with("new here: 0 segments"), "{again}");

    ok(folder, &["guard", "export", "--database", "guard.db", "--move", "-o", "final.json"]);
    let (code, _, error) = run(folder, &["guard", "check", "--database", "guard.db"]);
    assert_eq!(code, 79, "{error}");
    assert!(error.contains("this database was moved"), "{error}");
    let told = ok(folder, &["guard", "import", "final.json", "--database", "new.db", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["closed"], false);
    let store = Store::open(&folder.join("new.db"), Address::repeat_byte(5), Role::Client).unwrap().unwrap();
    let _ = store.permit_order(order(3)).expect("the job goes on");
}

#[test]
fn what_is_missing_damaged_or_in_the_way_is_said() {
    let home = database();
    let folder = home.path();
    let (code, _, error) = run(folder, &["guard", "check", "--database", "none.db"]);
    assert_eq!(code, 79, "{error}");
    assert!(error.contains("there is no guard database at none.db"), "{error}");
    assert!(!folder.join("none.db").exists());
    let (code, _, error) = run(folder, &["guard", "export", "--move", "--database", "guard.db"]);
    assert_eq!(code, 1, "{error}");
    std::fs::write(folder.join("taken"), "").unwrap();
    assert_eq!(run(folder, &["guard", "export", "--database", "guard.db", "--move", "-o", "taken"]).0, 1);
    ok(folder, &["guard", "check", "--database", "guard.db"]); // so it was not retired
    assert_eq!(run(folder, &["guard", "import", "taken", "--database", "guard.db"]).0, 1);

    ok(folder, &["guard", "backup", "--database", "guard.db", "backup.db"]);
    assert_eq!(run(folder, &["guard", "backup", "--database", "guard.db", "backup.db"]).0, 1, "nothing is overwritten");
    std::fs::remove_file(folder.join("guard.db")).unwrap();
    let (code, _, error) = run(folder, &["guard", "check", "--database", "guard.db"]);
    assert_eq!((code, error.contains("G9 lost database")), (79, true), "{error}");
    std::fs::copy(folder.join("backup.db"), folder.join("guard.db")).unwrap();
    let (code, _, error) = run(folder, &["guard", "check", "--database", "guard.db"]);
    assert_eq!((code, error.contains("G9 old database")), (79, true), "{error}");
    std::fs::write(folder.join("guard.db"), "no database").unwrap();
    assert_eq!(run(folder, &["guard", "check", "--database", "guard.db"]).0, 79);
}

#[test]
fn keys_are_made_listed_shown_and_protected_anew() {
    for (format, version) in [("v3", 3), ("eip2335", 4)] {
        keys_of(format, version);
    }
}

fn keys_of(format: &str, version: u8) {
    let home = TempDir::new().unwrap();
    let folder = home.path();
    std::fs::write(folder.join("old"), "first").unwrap();
    std::fs::write(folder.join("new"), "second").unwrap();
    std::fs::write(folder.join("hex"), "22".repeat(32)).unwrap();
    let json = |arguments: &[&str]| serde_json::from_str::<Value>(&ok(folder, arguments)).unwrap();
    let to = |name| ["--keys", ".", "--name", name, "--password-file", "old", "--format", format, "--light", "--json"];
    let made = json(&[&["keys", "new"][..], &to("rig")].concat());
    let brought = json(&[&["keys", "import"][..], &to("two"), &["hex"]].concat());
    let listed = json(&["keys", "list", "--keys", ".", "--json"]);
    assert_eq!(listed, serde_json::json!([made, brought]));
    let shown = json(&["keys", "public", "--keys", ".", "--name", "rig", "--password-file", "old", "--json"]);
    assert_eq!(shown["address"], made["address"]);
    assert!(shown["public"].as_str().unwrap().starts_with("0x04"), "{shown}");
    json(&[
        "keys",
        "password",
        "--keys",
        ".",
        "--name",
        "rig",
        "--password-file",
        "old",
        "--new-password-file",
        "new",
        "--light",
        "--json",
    ]);
    for name in ["rig.json", "two.json"] {
        let file: Value = serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap();
        assert_eq!(file["version"], version, "{name}");
    }
    assert_eq!(run(folder, &["keys", "public", "--keys", ".", "--name", "rig", "--password-file", "old"]).0, 1);
    let again = ok(folder, &["keys", "public", "--keys", ".", "--name", "rig", "--password-file", "new"]);
    assert!(again.to_lowercase().starts_with(made["address"].as_str().unwrap()), "{again}");
    let (code, _, error) = run(folder, &["keys", "new", "--keys", ".", "--name", "three"]);
    assert_eq!((code, error.contains("--password-file")), (1, true), "no terminal to ask at: {error}");
}
