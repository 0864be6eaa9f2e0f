//! Opening and creating the file: whole, private, ours alone, with exactly our schema.

use super::rows::storage;
use crate::paths::{beside, folder};
use crate::rules::{NotSafe, Pinned, role_name};
use headframe_market::{Address, Addresses, B256, Role};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

/// What each schema adds to the one before, from [`FIRST`] on. A database of an earlier one gets what it lacks when it is opened.
const SCHEMAS: [&str; 2] = [include_str!("schema.sql"), include_str!("schema_4.sql")];
/// The number of the first of them, as it says of itself.
const FIRST: i64 = 3;
/// "HFgd", the file's application id.
const APPLICATION: i64 = 0x4846_6764;

/// `None` when there is no file.
pub(super) fn existing(path: &Path) -> Result<Option<(Connection, Pinned)>, NotSafe> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return missing(path).map(|()| None),
        Err(error) => return Err(unsafe_file(path, &error.to_string())),
        Ok(meta) if !meta.is_file() => return Err(unsafe_file(path, "not a regular file")),
        Ok(_) => {}
    }
    let mine = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, mine).map_err(|error| unsafe_file(path, &format!("cannot set mode 0600: {error}")))?;
    let mut db = connect(path)?;
    let has = verify(&db).map_err(|reason| unsafe_file(path, &reason))?;
    upgrade(&mut db, path, has)?;
    let pinned = pinned(&db).map_err(|error| unsafe_file(path, &format!("unreadable: {error}")))?;
    let pinned = pinned.ok_or_else(|| unsafe_file(path, "it names no chain: its creation was interrupted"));
    pinned.map(|pinned| Some((db, pinned)))
}

/// A journal or a generation without its database tells that there was one.
fn missing(path: &Path) -> Result<(), NotSafe> {
    for suffix in ["-wal", "-journal", ".generation"] {
        let mut journal = path.as_os_str().to_owned();
        journal.push(suffix);
        if Path::new(&journal).symlink_metadata().is_ok() {
            return Err(unsafe_file(
                path,
                &format!("G9 lost database: the file is gone and its {suffix} file is there"),
            ));
        }
    }
    Ok(())
}

/// Creates the file, which must not exist. It appears under its name only when it is complete and on the disk.
pub(super) fn new(path: &Path, pinned: &Pinned) -> Result<Connection, NotSafe> {
    let folder = folder(path);
    // A name of its own: two signers that start together must not complete each other's draft.
    let draft = folder.join(format!(".guard-{:016x}.new", rand::random::<u64>()));
    let result = write_new(path, folder, &draft, pinned);
    let _ = fs::remove_file(&draft); // gone already when all went well
    result?;
    match existing(path)? {
        Some((db, found)) if found == *pinned => Ok(db),
        _ => Err(unsafe_file(path, "it changed while it was created")),
    }
}

fn write_new(path: &Path, folder: &Path, draft: &Path, pinned: &Pinned) -> Result<(), NotSafe> {
    let failed = |error: io::Error| NotSafe::Storage(format!("cannot create {}: {error}", path.display()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft).map_err(failed)?;
    let db = Connection::open(draft).map_err(storage)?;
    SCHEMAS.iter().try_for_each(|schema| db.execute_batch(schema)).map_err(storage)?;
    db.pragma_update(None, "application_id", APPLICATION).map_err(storage)?;
    insert(&db, pinned)?;
    pin(&db, &not_pinned(&Addresses::default(), &pinned.addresses)).map_err(storage)?;
    db.close().map_err(|(_, error)| storage(error))?;
    file.sync_all().map_err(failed)?;
    give_to_owner(&file, folder).map_err(failed)?;
    fs::hard_link(draft, path).map_err(failed)?; // fails when the name is taken, unlike a rename
    fs::remove_file(draft).map_err(failed)?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// What root makes in the signer's folder belongs to the signer's user.
fn give_to_owner(file: &fs::File, folder: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(folder)?;
    std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
}

/// A whole copy at `to`, which must not exist. On the disk when it returns.
pub(super) fn copy(db: &Connection, to: &Path) -> Result<(), NotSafe> {
    let failed = |error: io::Error| NotSafe::Storage(format!("cannot write {}: {error}", to.display()));
    // Private from birth; `VACUUM INTO` takes an empty file.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    let name = to.to_str().ok_or_else(|| NotSafe::Storage(format!("{} is not UTF-8", to.display())))?;
    db.execute("VACUUM INTO ?1", [name]).map_err(storage)?;
    file.sync_all().map_err(failed)?;
    let folder = folder(to);
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Ending of the file beside the database that counts its generations, too (rule G9).
const GENERATION: &str = ".generation";

/// What the file beside the database says; `None` when there is none.
pub(super) fn generation_beside(path: &Path) -> Result<Option<u64>, NotSafe> {
    let file = beside(path, GENERATION);
    let wrong = |reason: String| NotSafe::Unsafe(format!("G9 {}: {reason}; put it back as it was", file.display()));
    match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| wrong(format!("{text:?} is no number"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Takes it away, if it is there.
pub(super) fn forget_generation(path: &Path) -> Result<(), NotSafe> {
    let file = beside(path, GENERATION);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NotSafe::Storage(format!("cannot remove {}: {error}", file.display())))
        }
        _ => Ok(()),
    }
}

/// Writes it anew. On the disk when it returns.
pub(super) fn note_generation(path: &Path, generation: u64) -> Result<(), NotSafe> {
    let (file, folder) = (beside(path, GENERATION), folder(path));
    let draft = file.with_extension("generation.new");
    let write = || {
        let _ = fs::remove_file(&draft);
        let mut text = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        io::Write::write_all(&mut text, format!("{generation}\n").as_bytes())?;
        give_to_owner(&text, folder)?;
        text.sync_all()?;
        fs::rename(&draft, &file)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull => NotSafe::Full,
        _ => NotSafe::Storage(format!("cannot write {}: {error}", file.display())),
    })
}

/// How long a signer waits for another to let go of the database: one whose agent was killed is about to end, and the agent may
/// be started again before it has.
const TAKE_OVER: std::time::Duration = std::time::Duration::from_secs(5);

fn connect(path: &Path) -> Result<Connection, NotSafe> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(TAKE_OVER)?;
        // Else a statement with a parameter in its LIMIT is prepared anew whenever that changes.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        db.set_prepared_statement_cache_capacity(64); // all there are
        // In this order: WAL that begins in exclusive mode needs no shared memory and never lets go of its lock.
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update(None, "trusted_schema", false)?;
        db.pragma_update(None, "cell_size_check", true)?;
        db.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
        Ok(db)
    };
    open().map_err(|error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => NotSafe::Unsafe(format!(
            "guard database {}: another signer has it open; two signers with one key could sign two different \
             statements, so stop one of them",
            path.display()
        )),
        _ => unsafe_file(path, &error.to_string()),
    })
}

/// Adds what later schemas have, all of it or nothing.
fn upgrade(db: &mut Connection, path: &Path, has: usize) -> Result<(), NotSafe> {
    if has == SCHEMAS.len() {
        return Ok(());
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(storage)?;
    SCHEMAS[has..].iter().try_for_each(|schema| tx.execute_batch(schema)).map_err(storage)?;
    tx.commit().map_err(storage)?;
    tracing::info!(database = %path.display(), from = number(has), to = number(SCHEMAS.len()), "guard database upgraded");
    match verify_schema(db).map_err(|reason| unsafe_file(path, &reason))? {
        now if now == SCHEMAS.len() => Ok(()),
        _ => Err(unsafe_file(path, "its upgrade left no trace")),
    }
}

/// The number of a schema of which the first `has` steps are there.
fn number(has: usize) -> i64 {
    FIRST - 1 + has as i64
}

/// Nothing damaged, nothing missing, every setting in force, and the schema to the letter. How many of [`SCHEMAS`] it has.
fn verify(db: &Connection) -> Result<usize, String> {
    let text = |sql: &str| db.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0));
    let expect = |sql: &str, expected: &str| match text(sql) {
        Ok(rusqlite::types::Value::Text(found)) if found == expected => Ok(()),
        Ok(rusqlite::types::Value::Integer(found)) if found.to_string() == expected => Ok(()),
        other => Err(format!("{sql}: expected {expected}, found {other:?}")),
    };
    expect("PRAGMA application_id", &APPLICATION.to_string())?;
    expect("PRAGMA journal_mode", "wal")?;
    expect("PRAGMA synchronous", "2")?;
    expect("PRAGMA locking_mode", "exclusive")?;
    expect("PRAGMA foreign_keys", "1")?;
    expect("PRAGMA integrity_check(1)", "ok")?;
    let has = verify_schema(db)?;
    let orphan = text("PRAGMA foreign_key_check").optional();
    if !matches!(orphan, Ok(None)) {
        return Err(format!("rows refer to missing rows: {orphan:?}"));
    }
    match super::audit::verify(db, false) {
        Ok(Ok(_)) => Ok(has),
        Ok(Err(reason)) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

/// Its tables and triggers are those of one of our schemas to the letter. How many of [`SCHEMAS`] it has.
fn verify_schema(db: &Connection) -> Result<usize, String> {
    let first = db.query_row("SELECT schema FROM meta", [], |row| row.get::<_, i64>(0)).optional();
    if let Ok(Some(first)) = first
        && first != FIRST
    {
        let release = if first > FIRST { "a later" } else { "an earlier" };
        let (from, to) = (FIRST, number(SCHEMAS.len()));
        return Err(format!(
            "{release} release wrote it (schema {first}, this one knows {from} to {to}): install that release again"
        ));
    }
    let (all, theirs) = (references()?, schema_of(db)?);
    if let Some(before) = all.iter().position(|ours| *ours == theirs) {
        return Ok(before + 1);
    }
    let ours = &all[all.len() - 1];
    let odd = ours.iter().find(|one| !theirs.contains(one)).or(theirs.iter().find(|one| !ours.contains(one)));
    let odd = odd.map_or_else(String::new, |(kind, name, _)| format!("{kind} {name}"));
    Err(format!("its rules were changed ({odd}); another version or another program wrote it"))
}

/// Each of our schemas as SQLite shows it, made once in a process.
fn references() -> Result<&'static [Vec<SchemaRow>], String> {
    static REFERENCES: OnceLock<Vec<Vec<SchemaRow>>> = OnceLock::new();
    if let Some(made) = REFERENCES.get() {
        return Ok(made);
    }
    let db = Connection::open_in_memory().map_err(|error| error.to_string())?;
    let mut made = Vec::with_capacity(SCHEMAS.len());
    for schema in SCHEMAS {
        db.execute_batch(schema).map_err(|error| error.to_string())?;
        made.push(schema_of(&db)?);
    }
    Ok(REFERENCES.get_or_init(|| made))
}

type SchemaRow = (String, String, Option<String>);

fn schema_of(db: &Connection) -> Result<Vec<SchemaRow>, String> {
    let read = || {
        let mut query = db.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")?;
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(|error: rusqlite::Error| error.to_string())
}

/// What the database is bound to; `None` when it names no chain.
pub(super) fn pinned(db: &Connection) -> rusqlite::Result<Option<Pinned>> {
    let later = |name| {
        let place = db.query_row("SELECT place FROM pin WHERE name = ?1", [name], |row| row.get::<_, [u8; 20]>(0));
        place.optional().map(|place| place.map_or(Address::ZERO, Address::from))
    };
    let (rewards, active_set) = (later(REWARDS)?, later(ACTIVE_SET)?);
    let sql = "SELECT chain_id, genesis, token, registry, market, book, profiles, router, address, role FROM meta";
    db.query_row(sql, [], |row| {
        let address = |column| row.get::<_, [u8; 20]>(column).map(Address::from);
        Ok(Pinned {
            chain_id: row.get::<_, i64>(0)?.unsigned_abs(), // positive by the schema
            genesis: B256::from(row.get::<_, [u8; 32]>(1)?),
            addresses: Addresses {
                token: address(2)?,
                registry: address(3)?,
                market: address(4)?,
                book: address(5)?,
                profiles: address(6)?,
                router: address(7)?,
                rewards,
                active_set,
            },
            address: address(8)?,
            role: if row.get::<_, String>(9)? == "operator" { Role::Operator } else { Role::Client },
        })
    })
    .optional()
}

fn insert(db: &Connection, pinned: &Pinned) -> Result<(), NotSafe> {
    let Pinned { addresses: at, .. } = pinned;
    let chain_id = super::rows::int(pinned.chain_id, "chain id")?;
    let sql = "INSERT INTO meta (one, schema, chain_id, genesis, token, registry, market, book, profiles, router, address, role) \
        VALUES (1, ?11, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let [token, registry, market] = [at.token, at.registry, at.market].map(Address::into_array);
    let [book, profiles, router] = [at.book, at.profiles, at.router].map(Address::into_array);
    let (key, role) = (pinned.address.into_array(), role_name(pinned.role));
    let values = params![chain_id, pinned.genesis.0, token, registry, market, book, profiles, router, key, role, FIRST];
    db.execute(sql, values).map(drop).map_err(storage)
}

/// Names of contracts in the table `pin`.
const REWARDS: &str = "rewards";
const ACTIVE_SET: &str = "active_set";

/// Contracts that a database is pinned to later than to the others.
pub(super) type Pins = Vec<(&'static str, Address)>;

/// Those that `now` names and `pinned` does not.
pub(super) fn not_pinned(pinned: &Addresses, now: &Addresses) -> Pins {
    let all = [(REWARDS, pinned.rewards, now.rewards), (ACTIVE_SET, pinned.active_set, now.active_set)];
    let missing = all.into_iter().filter(|(_, pinned, now)| pinned.is_zero() && !now.is_zero());
    missing.map(|(name, _, now)| (name, now)).collect()
}

/// Pins the database to them, for ever.
pub(super) fn pin(db: &Connection, pins: &Pins) -> rusqlite::Result<()> {
    let sql = "INSERT INTO pin (name, place) VALUES (?1, ?2)";
    pins.iter().try_for_each(|(name, place)| db.execute(sql, params![name, place.into_array()]).map(drop))
}

fn unsafe_file(path: &Path, reason: &str) -> NotSafe {
    let help = "do not delete it: copy it away and put the newest intact copy back; if there is none: headframe guard \
        rebuild";
    NotSafe::Unsafe(format!("guard database {}: {reason} ({help})", path.display()))
}
