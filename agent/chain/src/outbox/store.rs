//! The outbox's memory: one SQLite file (WAL, every commit on disk before it returns), held by one process.
//!
//! Knows no network. Each public function is one transaction, so that a crash leaves either all of it or nothing.

mod rows;

use super::fees::Fees;
use super::intent::{Deadline, Intent, Rank, State};
use crate::provider::CodePin;
use crate::types::{Pin, Receipt};
use alloy::primitives::{Address, B256, Bytes};
use headframe_market::{Action, BlockNo, Wei};
use rows::{COLUMNS, attempt, entry, int, json, number, state, wide};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Params, ToSql, Transaction, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SCHEMA_VERSION: i64 = 2;
/// As the first release made it; later versions are reached by the steps below, so that an old file and a new one are alike.
const SCHEMA_1: &str = "
CREATE TABLE meta(k TEXT PRIMARY KEY, v TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE intents(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, priority INTEGER NOT NULL,
    action TEXT, state TEXT NOT NULL, created_block INTEGER NOT NULL,
    nonce INTEGER, gas_limit INTEGER, max_fee TEXT, max_priority TEXT,
    hash BLOB, attempts INTEGER NOT NULL DEFAULT 0, sent_block INTEGER,
    block INTEGER, block_hash BLOB, gas_used INTEGER, fee TEXT,
    error TEXT, done_block INTEGER
) STRICT;
CREATE INDEX intents_by_state ON intents(state, priority, id);
CREATE UNIQUE INDEX intents_by_nonce ON intents(nonce) WHERE nonce IS NOT NULL;
CREATE TABLE attempts(
    hash BLOB PRIMARY KEY, intent INTEGER NOT NULL, nonce INTEGER NOT NULL,
    raw BLOB NOT NULL, max_fee TEXT NOT NULL, max_priority TEXT NOT NULL, n INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_by_nonce ON attempts(nonce, n);
CREATE INDEX attempts_by_intent ON attempts(intent);
CREATE TABLE gas(kind TEXT PRIMARY KEY, transactions INTEGER NOT NULL, gas_used INTEGER NOT NULL, fee TEXT NOT NULL)
    STRICT, WITHOUT ROWID;
";
/// Deadlines, and what each nonce costs on which day: at most, while it is under way, and exactly once it is mined.
const TO_SCHEMA_2: &str = "
ALTER TABLE intents ADD COLUMN deadline_block INTEGER;
ALTER TABLE intents ADD COLUMN deadline_time INTEGER;
CREATE TABLE spent(nonce INTEGER PRIMARY KEY, kind TEXT NOT NULL, day INTEGER NOT NULL, fee TEXT NOT NULL) STRICT;
CREATE INDEX spent_by_day ON spent(day, kind);
";
/// Days whose spending is kept.
const DAYS_KEPT: u64 = 31;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite or the disk.
    #[error("the transaction store fails: {0}; repair the disk, then restart")]
    Sqlite(rusqlite::Error),
    /// There is no room for what has to be written.
    #[error("the disk of the transaction store is full; free some room")]
    Full,
    /// Another process has it open.
    #[error("the transaction store {0} is in use by another process; stop that one first")]
    InUse(String),
    /// It belongs to something else.
    #[error(
        "the transaction store is bound to {what} {bound}, but this node uses {given}; use its own state directory"
    )]
    Mismatch {
        /// Chain id, genesis or account.
        what: &'static str,
        /// As stored.
        bound: String,
        /// As configured.
        given: String,
    },
    /// Written by a later release.
    #[error("the transaction store has schema {0}, newer than this program's {SCHEMA_VERSION}; upgrade the program")]
    Newer(i64),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Sqlite(error),
        }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// What finished transactions of one kind cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GasTotal {
    /// How many.
    pub transactions: u64,
    /// Gas they took.
    pub gas_used: u64,
    /// What they cost.
    pub fee: Wei,
}

/// An intent with what only the worker needs.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) intent: Intent,
    pub(super) action: Option<Action>,
    pub(super) rank: Rank,
    pub(super) gas_limit: u64,
    pub(super) fees: Fees,
    pub(super) sent_block: BlockNo,
    /// A person wants its fees raised now.
    pub(super) hurried: bool,
    pub(super) block_hash: Option<B256>,
}

/// Signed bytes that were, or were about to be, sent.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) hash: B256,
    pub(super) raw: Bytes,
}

/// Finished rows kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// With their signed bytes, to send them again after a deep reorganisation.
    pub(super) full: u64,
    /// At all, to know that their effect happened.
    pub(super) rows: u64,
}

pub(super) struct Store {
    db: Connection,
    room: Option<Arc<dyn Room>>,
}

/// Room that is kept on the store's disk for proofs.
pub trait Room: Send + Sync {
    /// Whether it is kept. Only proofs are made while it is not.
    fn is_kept(&self) -> bool;
    /// Gives it up, because the disk is full; whether there was any.
    fn give_up(&self) -> bool;
}

impl Store {
    pub(super) fn open(path: &Path, pin: Pin, account: Address, room: Option<Arc<dyn Room>>) -> Result<Self> {
        let mut db = Connection::open(path)?;
        db.busy_timeout(Duration::from_secs(3))?;
        // Else a statement with a parameter in its LIMIT is prepared anew whenever that changes.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        db.set_prepared_statement_cache_capacity(64); // all there are
        let in_use = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                StoreError::InUse(path.display().to_string())
            }
            _ => error.into(),
        };
        db.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(in_use)?;
        db.pragma_update(None, "journal_mode", "WAL").map_err(in_use)?;
        db.pragma_update(None, "synchronous", "FULL")?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(in_use)?;
        match tx.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? {
            version @ 0..SCHEMA_VERSION => {
                if version == 0 {
                    tx.execute_batch(SCHEMA_1)?;
                }
                tx.execute_batch(TO_SCHEMA_2)?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            SCHEMA_VERSION => {}
            newer => return Err(StoreError::Newer(newer)),
        }
        let bound = [
            ("chain", pin.chain_id.to_string()),
            ("genesis", pin.genesis.to_string()),
            ("account", account.to_string()),
        ];
        for (what, given) in bound {
            match meta(&tx, what)? {
                Some(bound) if bound != given => return Err(StoreError::Mismatch { what, bound, given }),
                Some(_) => {}
                None => set_meta(&tx, what, &given)?,
            }
        }
        tx.commit()?;
        Ok(Self { db, room })
    }

    /// From here on nothing is written when it is dropped, as when the process is killed.
    pub(super) fn leave_as_is(&self) -> Result<()> {
        self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(())
    }

    fn try_write<T>(&mut self, f: impl Fn(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = f(&tx)?;
        tx.commit()?;
        Ok(value)
    }

    /// Into the room that is kept for proofs, when there is no other.
    fn write<T>(&mut self, f: impl Fn(&Transaction<'_>) -> Result<T>) -> Result<T> {
        match self.try_write(&f) {
            Err(StoreError::Full) if self.room.as_ref().is_some_and(|room| room.give_up()) => self.try_write(f),
            written => written,
        }
    }

    /// The room that is kept for proofs is given up for nothing else that is asked for.
    fn write_for(&mut self, action: &Action, f: impl Fn(&Transaction<'_>) -> Result<()>) -> Result<()> {
        if Rank::of(action) == Rank::Proof { self.write(f) } else { self.try_write(f) }
    }

    /// Whether there is room for proofs, so that something else may be begun.
    pub(super) fn has_room(&self) -> bool {
        self.room.as_ref().is_none_or(|room| room.is_kept())
    }

    fn one(&self, rest: &str, values: impl Params) -> Result<Option<Entry>> {
        let mut statement = self.db.prepare_cached(&format!("SELECT {COLUMNS} FROM intents {rest}"))?;
        Ok(statement.query_row(values, entry).optional()?)
    }

    fn many(&self, rest: &str, values: impl Params) -> Result<Vec<Entry>> {
        let mut statement = self.db.prepare_cached(&format!("SELECT {COLUMNS} FROM intents {rest}"))?;
        Ok(statement.query_map(values, entry)?.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.one("WHERE key = ?1", [key])
    }

    pub(super) fn list(&self, limit: u32) -> Result<Vec<Entry>> {
        self.many("ORDER BY id DESC LIMIT ?1", [limit])
    }

    pub(super) fn counts(&self) -> Result<BTreeMap<State, u64>> {
        let mut statement = self.db.prepare_cached("SELECT state, count(*) FROM intents GROUP BY state")?;
        let rows = statement.query_map([], |row| Ok((state(row, 0)?, number(row, 1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn gas(&self) -> Result<BTreeMap<String, GasTotal>> {
        let mut statement = self.db.prepare_cached("SELECT kind, transactions, gas_used, fee FROM gas")?;
        let rows = statement.query_map([], |row| {
            let total = GasTotal { transactions: number(row, 1)?, gas_used: number(row, 2)?, fee: Wei(wide(row, 3)?) };
            Ok((row.get(0)?, total))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn queued(&self) -> Result<u64> {
        let count = "SELECT count(*) FROM intents WHERE state IN ('queued', 'reserved')";
        Ok(self.db.prepare_cached(count)?.query_row([], |row| number(row, 0))?)
    }

    /// Adds a new intent, or gives the one that has its key; one that nothing was signed for takes the newer content.
    pub(super) fn add(&mut self, action: &Action, deadline: Deadline, head: BlockNo) -> Result<Entry> {
        self.write_for(action, |tx| insert(tx, action, deadline, head))?;
        self.get(&action.key())?.ok_or(StoreError::Sqlite(rusqlite::Error::QueryReturnedNoRows))
    }

    /// Asks again for an effect that failed, was mined, or may have been. What has a nonce keeps its row, under its key with that
    /// nonce behind an `@`: its bytes stand before all that comes, and are followed and raised as long as they may fall out of
    /// the chain. The effect has a new row then, and will have a new nonce.
    pub(super) fn retry(&mut self, entry: &Entry, action: &Action, deadline: Deadline, head: BlockNo) -> Result<()> {
        self.write_for(action, |tx| {
            let unsigned = "DELETE FROM intents WHERE id = ?1 AND key = ?2 AND state = 'failed' AND nonce IS NULL";
            let spent = "UPDATE intents SET key = key || '@' || nonce WHERE id = ?1 AND key = ?2 AND nonce IS NOT NULL \
                         AND state IN ('failed', 'signed', 'sent', 'mined', 'reverted', 'safe', 'final')";
            for before in [unsigned, spent] {
                if tx.execute(before, params![entry.id, entry.intent.key])? == 1 {
                    insert(tx, action, deadline, head)?;
                }
            }
            Ok(())
        })
    }

    /// The nonce that no signed transaction of ours has used yet; `None` before the chain was first asked.
    pub(super) fn next_nonce(&self) -> Result<Option<u64>> {
        Ok(meta(&self.db, "next_nonce")?.and_then(|text| text.parse().ok()))
    }

    pub(super) fn set_first_nonce(&mut self, nonce: u64) -> Result<()> {
        self.write(|tx| set_meta(tx, "next_nonce", &nonce.to_string()))
    }

    /// What is on its way, and what was mined but is no longer because `mined` transactions are left of the chain.
    pub(super) fn on_the_way(&self, mined: u64) -> Result<Vec<Entry>> {
        // `+state`: else all that is finished, which is thousands, is looked through in every round.
        self.many(
            "WHERE state IN ('signed', 'sent', 'mined', 'reverted') \
             OR (+state IN ('safe', 'final', 'failed') AND nonce >= ?1) ORDER BY nonce",
            [int(mined)],
        )
    }

    pub(super) fn is_anything_on_the_way(&self) -> Result<bool> {
        let sql = "SELECT 1 FROM intents WHERE state IN ('signed', 'sent', 'mined', 'reverted')";
        Ok(self.db.prepare_cached(sql)?.exists([])?)
    }

    /// What is safe and lies at or below the final block `last`.
    pub(super) fn to_settle(&self, last: BlockNo) -> Result<Vec<Entry>> {
        self.many("WHERE state = 'safe' AND block <= ?1 ORDER BY nonce", [int(last.0)])
    }

    /// What was done in a block above `fork`, which may be another one since a reorganisation.
    pub(super) fn done_above(&self, fork: BlockNo) -> Result<Vec<Entry>> {
        self.many("WHERE state IN ('safe', 'final', 'failed') AND block > ?1 ORDER BY nonce", [int(fork.0)])
    }

    /// What to start next: a reservation first, because its nonce may be bound by a signature that was lost; then by
    /// rank, then what is due first, then in order of arrival. Only ranks down to `lowest`, and none of `without`.
    pub(super) fn next(&self, lowest: Rank, without: &[String]) -> Result<Option<Entry>> {
        let reserved = self.one("WHERE state = 'reserved' LIMIT 1", [])?;
        if reserved.is_some() {
            return Ok(reserved);
        }
        let places = vec!["?"; without.len()].join(", ");
        let lowest = lowest.order();
        let values = std::iter::once(&lowest as &dyn ToSql).chain(without.iter().map(|kind| kind as &dyn ToSql));
        self.one(
            &format!(
                "WHERE state = 'queued' AND priority <= ? AND kind NOT IN ({places}) ORDER BY priority, \
                 deadline_block IS NULL AND deadline_time IS NULL, deadline_time, deadline_block, id LIMIT 1"
            ),
            rusqlite::params_from_iter(values),
        )
    }

    /// The best rank among those that wait for a nonce.
    pub(super) fn best_waiting(&self) -> Result<Option<Rank>> {
        let best = "SELECT min(priority) FROM intents WHERE state IN ('queued', 'reserved')";
        let best = self.db.prepare_cached(best)?.query_row([], |row| row.get::<_, Option<u8>>(0))?;
        Ok(best.map(Rank::from_order))
    }

    /// What waits for a nonce and has a deadline.
    pub(super) fn waiting_with_deadline(&self) -> Result<Vec<Entry>> {
        self.many(
            "WHERE state = 'queued' AND (deadline_block IS NOT NULL OR deadline_time IS NOT NULL) ORDER BY id",
            [],
        )
    }

    /// Fees of one kind on one day: paid, and at most due by what is under way. `except` leaves one nonce out.
    pub(super) fn spent(&self, kind: &str, day: u64, except: Option<u64>) -> Result<Wei> {
        let mut statement =
            self.db.prepare_cached("SELECT fee FROM spent WHERE kind = ?1 AND day = ?2 AND nonce IS NOT ?3")?;
        let rows = statement.query_map(params![kind, int(day), except.map(int)], |row| wide(row, 0))?;
        rows.map(|fee| Ok(fee?)).try_fold(Wei(0), |sum, fee: Result<u128>| Ok(Wei(sum.0.saturating_add(fee?))))
    }

    /// The kinds that cost something on one day.
    pub(super) fn kinds_of(&self, day: u64) -> Result<Vec<String>> {
        let mut statement = self.db.prepare_cached("SELECT DISTINCT kind FROM spent WHERE day = ?1")?;
        Ok(statement.query_map([int(day)], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// Why claims and what is less urgent are held back until a person has looked, if so.
    pub(super) fn held(&self) -> Result<Option<String>> {
        meta(&self.db, "held")
    }

    /// Holds claims and what is less urgent back from now on, also after a restart.
    pub(super) fn hold(&mut self, why: &str) -> Result<()> {
        self.write(|tx| if meta(tx, "held")?.is_none() { set_meta(tx, "held", why) } else { Ok(()) })
    }

    /// Remembers the code of contracts that were not known; gives the first one that is not as it was, and how it was.
    pub(super) fn pin_codes(&mut self, pins: &[CodePin]) -> Result<Option<(CodePin, B256)>> {
        self.write(|tx| {
            for pin in pins {
                let key = format!("code:{}", pin.address);
                match meta(tx, &key)?.and_then(|text| text.parse::<B256>().ok()) {
                    Some(bound) if bound != pin.hash => return Ok(Some((*pin, bound))),
                    Some(_) => {}
                    None => set_meta(tx, &key, &pin.hash.to_string())?,
                }
            }
            Ok(None)
        })
    }

    /// Ends [`Self::hold`].
    pub(super) fn release(&mut self) -> Result<()> {
        self.write(|tx| {
            tx.execute("DELETE FROM meta WHERE k = 'held'", [])?;
            Ok(())
        })
    }

    /// Fixes nonce, gas and fees before anything is signed with them, so that signing again gives the same bytes.
    pub(super) fn reserve(&mut self, id: i64, gas_limit: u64, fees: Fees) -> Result<()> {
        self.write(|tx| {
            let nonce = meta(tx, "next_nonce")?;
            tx.execute(
                "UPDATE intents SET state = 'reserved', nonce = CAST(?2 AS INTEGER), gas_limit = ?3, max_fee = ?4, \
                 max_priority = ?5 WHERE id = ?1 AND state = 'queued'",
                params![id, nonce, int(gas_limit), fees.max_fee.to_string(), fees.max_priority.to_string()],
            )?;
            Ok(())
        })
    }

    /// Keeps signed bytes before they leave. The nonce is spent from here on, and what it may cost counts for `day`.
    pub(super) fn signed(
        &mut self,
        entry: &Entry,
        fees: Fees,
        attempt: &Attempt,
        head: BlockNo,
        day: u64,
    ) -> Result<()> {
        let Some(nonce) = entry.intent.nonce else { return Ok(()) };
        let most = fees.max_fee.saturating_mul(u128::from(entry.gas_limit));
        self.write(|tx| {
            let (max_fee, max_priority) = (fees.max_fee.to_string(), fees.max_priority.to_string());
            tx.execute(
                "INSERT OR REPLACE INTO attempts(hash, intent, nonce, raw, max_fee, max_priority, n) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    attempt.hash.as_slice(),
                    entry.id,
                    int(nonce),
                    attempt.raw.as_ref(),
                    max_fee,
                    max_priority,
                    entry.intent.attempts + 1
                ],
            )?;
            tx.execute(
                "UPDATE intents SET state = 'signed', hash = ?2, max_fee = ?3, max_priority = ?4, sent_block = ?5, \
                 attempts = attempts + 1 WHERE id = ?1",
                params![entry.id, attempt.hash.as_slice(), max_fee, max_priority, int(head.0)],
            )?;
            tx.execute(
                "INSERT INTO spent(nonce, kind, day, fee) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT(nonce) DO UPDATE SET fee = excluded.fee",
                params![int(nonce), entry.intent.kind, int(day), most.to_string()],
            )?;
            tx.execute("DELETE FROM spent WHERE day < ?1", [int(day.saturating_sub(DAYS_KEPT))])?;
            let next = meta(tx, "next_nonce")?.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            set_meta(tx, "next_nonce", &next.max(nonce.saturating_add(1)).to_string())
        })
    }

    /// Notes that a provider has the transaction.
    pub(super) fn sent(&mut self, id: i64) -> Result<()> {
        self.write(|tx| {
            let sent = "UPDATE intents SET state = 'sent', error = NULL WHERE id = ?1 AND state IN ('signed', 'sent')";
            tx.execute(sent, [id])?;
            Ok(())
        })
    }

    /// Notes why a transaction is not getting on, without changing its state.
    pub(super) fn note(&mut self, id: i64, why: &str) -> Result<()> {
        self.write(|tx| {
            tx.execute("UPDATE intents SET error = ?2 WHERE id = ?1 AND error IS NOT ?2", params![id, why])?;
            Ok(())
        })
    }

    /// Restarts the count of blocks after which a replacement is due.
    pub(super) fn postpone(&mut self, id: i64, head: BlockNo) -> Result<()> {
        self.write(|tx| {
            tx.execute("UPDATE intents SET sent_block = ?2 WHERE id = ?1", params![id, int(head.0)])?;
            Ok(())
        })
    }

    /// Asks for a replacement now.
    pub(super) fn hurry(&mut self, id: i64) -> Result<()> {
        self.write(|tx| {
            tx.execute("UPDATE intents SET sent_block = NULL WHERE id = ?1", [id])?;
            Ok(())
        })
    }

    /// Ends an intent that was never signed. Its nonce, if it had one, is free again.
    pub(super) fn fail_unsigned(&mut self, id: i64, why: &str, head: BlockNo, keep: Keep) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "UPDATE intents SET state = 'failed', nonce = NULL, error = ?2, done_block = ?3 \
                 WHERE id = ?1 AND state IN ('queued', 'reserved')",
                params![id, why, int(head.0)],
            )?;
            prune(tx, id, keep)
        })
    }

    /// Notes what a mined transaction did.
    pub(super) fn mined(&mut self, entry: &Entry, hash: B256, receipt: &Receipt, error: Option<&str>) -> Result<()> {
        self.write(|tx| {
            unaccount(tx, entry)?;
            tx.execute(
                "UPDATE intents SET state = ?2, hash = ?3, block = ?4, block_hash = ?5, gas_used = ?6, fee = ?7, \
                 error = ?8, done_block = NULL WHERE id = ?1",
                params![
                    entry.id,
                    if receipt.success { State::Mined } else { State::Reverted }.name(),
                    hash.as_slice(),
                    int(receipt.block.0),
                    receipt.block_hash.as_slice(),
                    int(receipt.gas_used),
                    receipt.fee.0.to_string(),
                    error
                ],
            )?;
            spend(tx, entry.intent.nonce, receipt.fee.0)
        })
    }

    /// A mined transaction is no longer in the chain: it is on its way again.
    pub(super) fn unmined(&mut self, entry: &Entry, head: BlockNo) -> Result<()> {
        self.write(|tx| {
            unaccount(tx, entry)?;
            tx.execute(
                "UPDATE intents SET state = 'sent', block = NULL, block_hash = NULL, gas_used = NULL, fee = NULL, \
                 error = NULL, done_block = NULL, sent_block = ?2 WHERE id = ?1",
                params![entry.id, int(head.0)],
            )?;
            spend(tx, entry.intent.nonce, entry.fees.max_fee.saturating_mul(u128::from(entry.gas_limit)))
        })
    }

    /// Ends a mined transaction that is deep enough, adds it to the totals, and drops what is too old to keep.
    pub(super) fn finish(&mut self, entry: &Entry, head: BlockNo, keep: Keep) -> Result<()> {
        self.write(|tx| {
            let done = if entry.intent.state == State::Mined { State::Safe } else { State::Failed };
            tx.execute(
                "UPDATE intents SET state = ?2, done_block = ?3 WHERE id = ?1",
                params![entry.id, done.name(), int(head.0)],
            )?;
            account(tx, &entry.intent, true)?;
            prune(tx, entry.id, keep)
        })
    }

    /// A safe transaction is in a block that the chain calls final.
    pub(super) fn settle(&mut self, id: i64) -> Result<()> {
        self.write(|tx| {
            tx.execute("UPDATE intents SET state = 'final' WHERE id = ?1 AND state = 'safe'", [id])?;
            Ok(())
        })
    }

    /// All signed bytes for a nonce, the newest first.
    pub(super) fn attempts(&self, nonce: u64) -> Result<Vec<Attempt>> {
        let mut statement =
            self.db.prepare_cached("SELECT hash, raw FROM attempts WHERE nonce = ?1 ORDER BY n DESC")?;
        Ok(statement.query_map([int(nonce)], attempt)?.collect::<rusqlite::Result<_>>()?)
    }
}

/// A new row, or newer content for the one that has its key and that nothing was signed for.
fn insert(tx: &Transaction<'_>, action: &Action, deadline: Deadline, head: BlockNo) -> Result<()> {
    let (block, time) = (deadline.block.map(|block| int(block.0)), deadline.time.map(|time| int(time.0)));
    tx.execute(
        "INSERT INTO intents(key, kind, priority, action, state, created_block, deadline_block, deadline_time) \
         VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?6, ?7) ON CONFLICT(key) DO UPDATE SET action = excluded.action, \
         deadline_block = excluded.deadline_block, deadline_time = excluded.deadline_time \
         WHERE state = 'queued'",
        params![action.key(), action.kind(), Rank::of(action).order(), json(action)?, int(head.0), block, time],
    )?;
    Ok(())
}

/// Ages finished rows: first the signed bytes and the action go, later the row. Works in steps of 32 finished intents.
fn prune(tx: &Transaction<'_>, id: i64, keep: Keep) -> Result<()> {
    const NTH: &str =
        "SELECT id FROM intents WHERE state IN ('safe', 'final', 'failed') ORDER BY id DESC LIMIT 1 OFFSET ?1";
    const DONE: &str = "id <= ?1 AND state IN ('safe', 'final', 'failed')";
    if id % 32 != 0 {
        return Ok(());
    }
    let nth = |rows: u64| tx.prepare_cached(NTH)?.query_row([int(rows)], |row| row.get::<_, i64>(0)).optional();
    if let Some(cut) = nth(keep.full)? {
        tx.execute(&format!("DELETE FROM attempts WHERE intent IN (SELECT id FROM intents WHERE {DONE})"), [cut])?;
        tx.execute(&format!("UPDATE intents SET action = NULL WHERE action IS NOT NULL AND {DONE}"), [cut])?;
    }
    if let Some(cut) = nth(keep.rows)? {
        tx.execute(&format!("DELETE FROM intents WHERE {DONE}"), [cut])?;
    }
    Ok(())
}

fn unaccount(tx: &Transaction<'_>, entry: &Entry) -> Result<()> {
    match entry.intent.state {
        State::Safe | State::Final | State::Failed => account(tx, &entry.intent, false),
        _ => Ok(()),
    }
}

fn account(tx: &Transaction<'_>, intent: &Intent, add: bool) -> Result<()> {
    let (Some(gas), Some(Wei(fee))) = (intent.gas_used, intent.fee) else { return Ok(()) };
    let select = "SELECT transactions, gas_used, fee FROM gas WHERE kind = ?1";
    let before = tx
        .prepare_cached(select)?
        .query_row([&intent.kind], |row| Ok((number(row, 0)?, number(row, 1)?, wide(row, 2)?)))
        .optional()?
        .unwrap_or_default();
    let (count, gas_used, fee) = if add {
        (before.0 + 1, before.1.saturating_add(gas), before.2.saturating_add(fee))
    } else {
        (before.0.saturating_sub(1), before.1.saturating_sub(gas), before.2.saturating_sub(fee))
    };
    tx.execute(
        "INSERT OR REPLACE INTO gas(kind, transactions, gas_used, fee) VALUES (?1, ?2, ?3, ?4)",
        params![intent.kind, int(count), int(gas_used), fee.to_string()],
    )?;
    Ok(())
}

/// What a nonce really costs, or may again.
fn spend(tx: &Transaction<'_>, nonce: Option<u64>, fee: u128) -> Result<()> {
    tx.execute("UPDATE spent SET fee = ?2 WHERE nonce = ?1", params![nonce.map(int), fee.to_string()])?;
    Ok(())
}

fn meta(db: &Connection, k: &str) -> Result<Option<String>> {
    let mut statement = db.prepare_cached("SELECT v FROM meta WHERE k = ?1")?;
    Ok(statement.query_row([k], |row| row.get(0)).optional()?)
}

fn set_meta(db: &Connection, k: &str, v: &str) -> Result<()> {
    db.execute("INSERT OR REPLACE INTO meta(k, v) VALUES (?1, ?2)", [k, v])?;
    Ok(())
}

#[cfg(test)]
mod tests;
