//! The chain of hashes over all records, in the order in which they were added. It shows a changed, lost or slipped-in
//! record, and two databases whose heads are equal hold the same.

use super::rows::{self, storage, uint};
use crate::interchange::{self, Head};
use crate::rules::NotSafe;
use headframe_market::{Address, B256, JobId, SegmentNo};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A record that is about to be added, with what its entry names it by.
pub(super) enum Record<'a> {
    Job(JobId, Address),
    Segment(JobId, &'a interchange::Statement),
    Nonce(&'a interchange::Nonce),
    Claim(JobId, &'a interchange::Claim),
    Floor(JobId, SegmentNo),
    Mark(Mark, u64),
}

/// Numbers that only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Generation,
    NonceFloor,
    Moved,
}

impl Mark {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Generation => "generation",
            Self::NonceFloor => "nonce_floor",
            Self::Moved => "moved",
        }
    }
}

impl Record<'_> {
    /// Kind and the two numbers that name it.
    fn key(&self) -> (&'static str, u64, u64) {
        match self {
            Self::Job(job, _) => ("job", job.0, 0),
            Self::Segment(job, one) => ("segment", job.0, one.seq),
            Self::Nonce(one) => ("nonce", one.nonce, 0),
            Self::Claim(job, one) => ("claim", job.0, one.first),
            Self::Floor(job, below) => ("floor", job.0, below.0),
            Self::Mark(mark, value) => ("mark", *mark as u64, *value),
        }
    }

    /// SHA-256 of its JSON.
    fn digest(&self) -> Result<B256, NotSafe> {
        match self {
            Self::Job(job, client) => sha256(&(job, client)),
            Self::Segment(_, one) => sha256(one),
            Self::Nonce(one) => sha256(one),
            Self::Claim(_, one) => sha256(one),
            Self::Floor(job, below) => sha256(&(job, below)),
            Self::Mark(mark, value) => sha256(&(mark.name(), value)),
        }
    }
}

fn sha256(record: &impl Serialize) -> Result<B256, NotSafe> {
    let text = serde_json::to_vec(record).map_err(|error| NotSafe::Storage(error.to_string()))?;
    Ok(B256::from(<[u8; 32]>::from(Sha256::digest(text))))
}

fn next(before: B256, kind: &str, a: u64, b: u64, digest: B256) -> B256 {
    let mut hasher = Sha256::new();
    for part in [before.as_slice(), kind.as_bytes(), &a.to_be_bytes(), &b.to_be_bytes(), digest.as_slice()] {
        hasher.update(part);
    }
    B256::from(<[u8; 32]>::from(hasher.finalize()))
}

/// The end of the chain.
pub(super) fn head(db: &Connection) -> Result<Head, NotSafe> {
    db.prepare_cached("SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1")
        .and_then(|mut query| {
            query.query_row([], |row| Ok(Head { entries: uint(row, 0)?, hash: rows::bytes32(row, 1)? })).optional()
        })
        .map(Option::unwrap_or_default)
        .map_err(storage)
}

/// Adds the entry of a record that is added next.
pub(super) fn append(db: &Connection, record: &Record<'_>) -> Result<(), NotSafe> {
    let Head { entries, hash } = head(db)?;
    let ((kind, a, b), digest) = (record.key(), record.digest()?);
    let hash = next(hash, kind, a, b, digest);
    let (n, a, b) = (rows::int(entries + 1, "entry")?, rows::int(a, "number")?, rows::int(b, "number")?);
    db.prepare_cached("INSERT INTO audit (n, kind, a, b, digest, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .and_then(|mut insert| insert.execute(params![n, kind, a, b, digest.0, hash.0]))
        .map(drop)
        .map_err(storage)
}

/// Follows the chain from its beginning; with `records`, compares each entry with the record it names, and their numbers.
/// The inner error says what is wrong.
pub(super) fn verify(db: &Connection, records: bool) -> Result<Result<Head, String>, NotSafe> {
    let mut query = db.prepare("SELECT n, kind, a, b, digest, hash FROM audit ORDER BY n").map_err(storage)?;
    let mut found = query.query([]).map_err(storage)?;
    let mut head = Head::default();
    let mut alive = std::collections::BTreeMap::<String, u64>::new();
    while let Some(row) = found.next().map_err(storage)? {
        let read = || Ok((uint(row, 0)?, row.get::<_, String>(1)?, uint(row, 2)?, uint(row, 3)?));
        let (n, kind, a, b) = read().map_err(storage)?;
        let (digest, hash) = (rows::bytes32(row, 4).map_err(storage)?, rows::bytes32(row, 5).map_err(storage)?);
        if n != head.entries + 1 || hash != next(head.hash, &kind, a, b, digest) {
            return Ok(Err(format!("audit entry {n} ({kind} {a} {b}) does not follow from the one before")));
        }
        head = Head { entries: n, hash };
        if !records {
            continue;
        }
        match digest_on_record(db, &kind, a, b)? {
            Some(kept) if kept == digest => *alive.entry(kind).or_default() += 1,
            Some(_) => return Ok(Err(format!("the record {kind} {a} {b} is not what audit entry {n} says it was"))),
            None if below_floor(db, &kind, a, b)? => {}
            None => return Ok(Err(format!("the record {kind} {a} {b} of audit entry {n} is missing"))),
        }
    }
    for kind in ["job", "segment", "nonce", "claim", "floor", "mark"].iter().filter(|_| records) {
        let sql = format!("SELECT count(*) FROM {kind}");
        let kept = db.query_row(&sql, [], |row| uint(row, 0)).map_err(storage)?;
        let known = alive.get(*kind).copied().unwrap_or_default();
        if kept != known {
            return Ok(Err(format!("{kept} records of kind {kind}, and the audit chain knows {known}")));
        }
    }
    Ok(Ok(head))
}

fn digest_on_record(db: &Connection, kind: &str, a: u64, b: u64) -> Result<Option<B256>, NotSafe> {
    let job = JobId(a);
    Ok(match kind {
        "job" => match rows::client(db, job)? {
            Some(client) => Some(Record::Job(job, client).digest()?),
            None => None,
        },
        "segment" => match rows::segment(db, job, SegmentNo(b))? {
            Some(kept) => Some(Record::Segment(job, &rows::statement(&kept)).digest()?),
            None => None,
        },
        "nonce" => match rows::nonce(db, a)? {
            Some((call, kind)) => Some(Record::Nonce(&interchange::Nonce { nonce: a, call, kind }).digest()?),
            None => None,
        },
        "claim" => match rows::claims(db, job, SegmentNo(b))?.into_iter().find(|one| one.first.0 == b) {
            Some(claim) => Some(Record::Claim(job, &rows::claim_record(&claim)).digest()?),
            None => None,
        },
        "floor" => {
            rows::has_floor(db, job, SegmentNo(b))?.then(|| Record::Floor(job, SegmentNo(b)).digest()).transpose()?
        }
        _ => {
            let mark = [Mark::Generation, Mark::NonceFloor, Mark::Moved].into_iter().find(|mark| *mark as u64 == a);
            match mark {
                Some(mark) if rows::has_mark(db, mark, b)? => Some(Record::Mark(mark, b).digest()?),
                _ => None,
            }
        }
    })
}

/// Forgotten records: segments and claims below a floor.
fn below_floor(db: &Connection, kind: &str, a: u64, b: u64) -> Result<bool, NotSafe> {
    Ok(matches!(kind, "segment" | "claim") && b < rows::floor(db, JobId(a))?.0)
}
