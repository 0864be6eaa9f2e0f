//! Runs the files in `vectors/`, and holds them to the cases that they were written from.

use crate::cases::{Case, Step, cases};
use crate::support::CAP;
use headframe_guard::Key;
use headframe_guard::interchange::{Document, ImportError};
use headframe_guard::protocol::{Request, Response};
use headframe_guard::rules::NotSafe;
use headframe_guard::server::{Config, Guard};
use headframe_guard::store::{Imported, Store};
use headframe_market::{Role, Wei};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// A signer in this process, and its database.
struct World<'a> {
    case: &'a Case,
    folder: TempDir,
    guard: Option<Result<Guard, NotSafe>>,
    session: Option<Arc<Store>>,
}

impl World<'_> {
    fn database(&self) -> PathBuf {
        self.folder.path().join("guard.db")
    }

    fn stop(&mut self) {
        self.session = None;
        self.guard = None;
    }

    fn ask(&mut self, request: &Value) -> String {
        let request: Request = serde_json::from_value(request.clone()).unwrap();
        let config = Config {
            key: Box::new(Key::from_bytes(&self.case.key.0).unwrap()),
            role: if self.case.role == "client" { Role::Client } else { Role::Operator },
            database: self.database(),
            max_fee: Wei(self.case.max_fee_wei.into()),
            owner: None,
            ballast: false,
        };
        let guard = self.guard.get_or_insert_with(|| Guard::open(config));
        let response = match guard {
            Ok(guard) => guard.answer(&mut self.session, request),
            Err(NotSafe::Unsafe(reason)) => Response::Unsafe { reason: reason.clone() },
            Err(other) => Response::Failed { reason: other.to_string() },
        };
        match response {
            Response::Signature(_) | Response::Transaction(_) => "signed".into(),
            Response::Identity(_) => "admitted".into(),
            Response::Seen => "seen".into(),
            Response::Refused { rule, .. } => serde_json::to_value(rule).unwrap().as_str().unwrap().into(),
            Response::Unsafe { reason } => format!("unsafe {}", reason.split(' ').next().unwrap_or_default()),
            other => format!("{other:?}"),
        }
    }

    fn import(&mut self, document: &Value) -> String {
        self.stop();
        let outcome = || -> Result<Imported, ImportError> {
            let document = Document::read(document.to_string().as_bytes())?;
            let (store, new) = match Store::inspect(&self.database())? {
                Some(store) => (store, false),
                None => (Store::create(&self.database(), document.pinned())?, true),
            };
            let done = store.import(&document, new && !document.is_final)?;
            store.audit().unwrap().expect("every record has its entry");
            Ok(done)
        };
        match outcome() {
            Ok(Imported { segments, claims, nonces, floors }) => {
                format!("imported {segments} {claims} {nonces} {floors}")
            }
            Err(ImportError::Format(_)) => "format".into(),
            Err(ImportError::Broken(_)) => "broken".into(),
            Err(ImportError::Contradiction(_)) => "contradiction".into(),
            Err(ImportError::NotSafe(NotSafe::Unsafe(reason))) => {
                format!("unsafe {}", reason.split(' ').next().unwrap_or_default())
            }
            Err(other) => other.to_string(),
        }
    }

    fn export(&mut self) -> Value {
        self.stop();
        let store = Store::inspect(&self.database()).unwrap().unwrap();
        serde_json::to_value(store.export().unwrap()).unwrap()
    }
}

fn run(name: &str, case: &Case) {
    let mut world = World { case, folder: TempDir::new().unwrap(), guard: None, session: None };
    for (at, step) in case.steps.iter().enumerate() {
        let at = format!("{name}, step {at}");
        match step {
            Step::Ask { request, expect } => assert_eq!(world.ask(request), *expect, "{at}: {request}"),
            Step::Import { document, expect } => assert_eq!(world.import(document), *expect, "{at}"),
            Step::Restart => world.stop(),
            Step::Lose => {
                world.stop();
                world.folder = TempDir::new().unwrap();
            }
            Step::Retire => {
                world.stop();
                Store::inspect(&world.database()).unwrap().unwrap().retire().unwrap();
            }
            Step::Export { expect } => {
                let mut found = world.export();
                for field in ["generation", "audit"] {
                    found[field] = expect[field].clone();
                }
                assert_eq!(found, *expect, "{at}");
            }
        }
    }
}

#[test]
fn every_vector_comes_out_as_it_says() {
    let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "json"));
    assert!(files.len() >= 40, "{} vectors", files.len());
    // Each step waits for the disk: many at once.
    let next = std::sync::Mutex::new(files.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some(path) = { next.lock().unwrap().next() } {
                    let name = path.file_stem().unwrap().to_str().unwrap();
                    let case: Case = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                    assert_eq!(Wei(case.max_fee_wei.into()), CAP);
                    run(name, &case);
                }
            });
        }
    });
}

/// Files that differ are written to the folder of the build, to be looked at and copied.
#[test]
fn the_files_are_those_of_the_cases() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vectors");
    let mut wrong = Vec::new();
    let mut known: std::collections::BTreeSet<String> =
        std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    known.remove("README.md");
    for (name, case) in cases() {
        let text = serde_json::to_string_pretty(&case).unwrap() + "\n";
        let file = format!("{name}.json");
        if std::fs::read_to_string(folder().join(&file)).ok().as_deref() != Some(&text) {
            std::fs::create_dir_all(&out).unwrap();
            std::fs::write(out.join(&file), text).unwrap();
            wrong.push(file.clone());
        }
        known.remove(&file);
    }
    assert!(wrong.is_empty(), "differ from the cases, and are as they should be in {}: {wrong:?}", out.display());
    assert!(known.is_empty(), "in no case: {known:?}");
}

#[test]
fn a_changed_record_breaks_the_audit() {
    let rig = crate::support::Rig::with_receipts(4);
    rig.transaction(crate::support::claim(crate::support::JOB, 0, 2), 0).unwrap();
    rig.store.audit().unwrap().unwrap();
    let path = rig.store.path().to_owned();
    let folder = rig.folder;
    drop(rig.store);
    let whole = std::fs::read(&path).unwrap();
    let tamper = [
        ("segment_update", "UPDATE segment SET out_bytes = out_bytes + 1 WHERE seq = 2"),
        ("segment_delete", "DELETE FROM segment WHERE seq = 3"),
        ("nonce_update", "UPDATE nonce SET call_hash = zeroblob(32)"),
        ("claim_update", "UPDATE claim SET nonce = 0, units = units + 1"),
        ("job_update", "UPDATE job SET client = zeroblob(20)"),
        (
            "segment_audit",
            "INSERT INTO segment SELECT job, 9, src_root, src_bytes, duration_ms, client_signature, out_root, \
            units, out_bytes, 0 FROM segment WHERE seq = 1",
        ),
        ("audit_update", "UPDATE audit SET digest = zeroblob(32) WHERE n = 3"),
    ];
    for (trigger, sql) in tamper {
        std::fs::write(&path, &whole).unwrap();
        let db = rusqlite::Connection::open(&path).unwrap();
        let text: String =
            db.query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [trigger], |row| row.get(0)).unwrap();
        db.execute_batch(&format!("DROP TRIGGER {trigger}; {sql}; {text}")).unwrap();
        drop(db);
        match Store::inspect(&path) {
            Ok(store) => drop(store.unwrap().audit().unwrap().expect_err(sql)),
            Err(error) => assert!(error.to_string().contains("audit entry 3"), "{sql}: {error}"),
        }
    }
    drop(folder);
}
