//! Rows to values and back. Numbers of the market are `u64`; SQLite holds 63 bits, and more is refused.

use super::Counts;
use super::audit::{self, Mark, Record};
use crate::interchange;
use crate::protocol::{JobCounts, KeptReceipt};
use crate::rules::{Claimed, Kept, NotSafe, Rule};
use headframe_market::action::Call;
use headframe_market::{Address, B256, Bytes, JobId, Receipt, Role, Segment, SegmentNo, Signature, Units};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

/// Wraps what SQLite reports. Failing reads and writes of the disk, and damage, are unsafe: what the next
/// synchronisation says can no longer be believed.
pub(super) fn storage(error: rusqlite::Error) -> NotSafe {
    use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase, SystemIoFailure};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => NotSafe::Unsafe(format!(
            "the guard database is damaged ({error}); keep the file, restore the newest intact one or stop using this key"
        )),
        Some(SystemIoFailure) => NotSafe::Unsafe(format!(
            "the disk of the guard database fails ({error}); check the disk (dmesg, smartctl) before starting again"
        )),
        Some(DiskFull) => NotSafe::Full,
        _ => NotSafe::Storage(error.to_string()),
    }
}

pub(super) fn int(value: u64, what: &str) -> Result<i64, NotSafe> {
    i64::try_from(value).map_err(|_| NotSafe::Refused {
        rule: Rule::Request,
        reason: format!("{what} {value} is past 2^63, which no chain reaches"),
    })
}

/// Columns are checked to be non-negative by the schema.
pub(super) fn uint(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

pub(super) fn bytes32(row: &Row<'_>, column: usize) -> rusqlite::Result<B256> {
    row.get::<_, [u8; 32]>(column).map(B256::from)
}

pub(super) fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Address> {
    row.get::<_, [u8; 20]>(column).map(Address::from)
}

/// What a nonce is bound to: everything of a transaction but its gas fields.
pub(super) fn call_hash(call: &Call) -> B256 {
    let packed = [call.to.as_slice(), &call.value.0.to_be_bytes(), &call.input].concat();
    alloy_primitives::keccak256(packed)
}

pub(super) fn answers(db: &Connection) -> bool {
    db.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0)).is_ok_and(|rows| rows == 1)
}

pub(super) fn counts(db: &Connection) -> Result<Counts, NotSafe> {
    let sql = "SELECT (SELECT count(*) FROM segment), (SELECT count(*) FROM claim), (SELECT count(*) FROM nonce)";
    db.query_row(sql, [], |row| Ok(Counts { segments: uint(row, 0)?, claims: uint(row, 1)?, nonces: uint(row, 2)? }))
        .map_err(storage)
}

/// One past the last segment that was claimed (operator) or ordered (client).
pub(super) fn end(db: &Connection, job: JobId, role: Role) -> Result<SegmentNo, NotSafe> {
    let sql = match role {
        Role::Operator => "SELECT coalesce(max(first + count), 0) FROM claim WHERE job = ?1",
        Role::Client => "SELECT coalesce(max(seq + 1), 0) FROM segment WHERE job = ?1",
    };
    let job = int(job.0, "job")?;
    db.prepare_cached(sql)
        .and_then(|mut query| query.query_row([job], |row| uint(row, 0)))
        .map(SegmentNo)
        .map_err(storage)
}

pub(super) fn client(db: &Connection, job: JobId) -> Result<Option<Address>, NotSafe> {
    let job = int(job.0, "job")?;
    db.prepare_cached("SELECT client FROM job WHERE job = ?1")
        .and_then(|mut query| query.query_row([job], |row| address(row, 0)).optional())
        .map_err(storage)
}

const SEGMENT: &str = "SELECT seq, src_root, src_bytes, duration_ms, client_signature, out_root, units, out_bytes \
    FROM segment WHERE job = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq LIMIT ?4";

fn kept(job: JobId, row: &Row<'_>) -> rusqlite::Result<Kept> {
    let seq = SegmentNo(uint(row, 0)?);
    let src_root = bytes32(row, 1)?;
    let order = Segment { job, seq, src_root, src_bytes: uint(row, 2)?, duration_ms: row.get(3)? };
    let signature: Option<[u8; 65]> = row.get(4)?;
    let receipt = match signature.map(|raw| Signature::from_raw_array(&raw)) {
        None => None,
        Some(Err(odd)) => {
            return Err(rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Blob, odd.into()));
        }
        Some(Ok(signature)) => {
            let (out_root, units) = (bytes32(row, 5)?, Units(uint(row, 6)?));
            Some((Receipt { job, seq, src_root, out_root, units, out_bytes: uint(row, 7)? }, signature))
        }
    };
    Ok(Kept { order, receipt })
}

fn range(db: &Connection, job: JobId, from: SegmentNo, to: i64, limit: u32) -> Result<Vec<Kept>, NotSafe> {
    let (id, from) = (int(job.0, "job")?, int(from.0, "segment")?);
    let read = || {
        let mut query = db.prepare_cached(SEGMENT)?;
        query.query_map(params![id, from, to, limit], |row| kept(job, row))?.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(storage)
}

pub(super) fn segment(db: &Connection, job: JobId, seq: SegmentNo) -> Result<Option<Kept>, NotSafe> {
    Ok(segments(db, job, seq, 1)?.pop())
}

/// The segments on record from `first` on and below `first + count`.
pub(super) fn segments(db: &Connection, job: JobId, first: SegmentNo, count: u32) -> Result<Vec<Kept>, NotSafe> {
    let to = int(first.0, "segment")?.saturating_add(i64::from(count));
    range(db, job, first, to, count)
}

/// The segments on record from `first` on, at most `limit`.
pub(super) fn from(db: &Connection, job: JobId, first: SegmentNo, limit: u32) -> Result<Vec<Kept>, NotSafe> {
    range(db, job, first, i64::MAX, limit)
}

pub(super) fn receipts(db: &Connection, job: JobId, from: SegmentNo, limit: u32) -> Result<Vec<KeptReceipt>, NotSafe> {
    let found = range(db, job, from, i64::MAX, limit)?;
    let evidence = |kept: Kept| {
        let (receipt, signature) = kept.receipt?;
        Some(KeptReceipt {
            leaf: receipt.leaf(),
            src_bytes: kept.order.src_bytes,
            duration_ms: kept.order.duration_ms,
            client_signature: Bytes::copy_from_slice(&signature.as_bytes()),
        })
    };
    Ok(found.into_iter().filter_map(evidence).collect())
}

/// The claim that begins at or before `first` and those that follow. A range overlaps at most 4096 claims, and claims
/// have no gaps, so that more could not change a verdict.
pub(super) fn claims(db: &Connection, job: JobId, first: SegmentNo) -> Result<Vec<Claimed>, NotSafe> {
    let sql = "SELECT first, count, root, units, nonce FROM claim WHERE job = ?1 \
        AND first >= coalesce((SELECT max(first) FROM claim WHERE job = ?1 AND first <= ?2), 0) ORDER BY first LIMIT 4098";
    let (job, first) = (int(job.0, "job")?, int(first.0, "segment")?);
    let read = || {
        let mut query = db.prepare_cached(sql)?;
        let one = |row: &Row<'_>| {
            let (first, count) = (SegmentNo(uint(row, 0)?), row.get(1)?);
            let (root, units) = (bytes32(row, 2)?, Units(uint(row, 3)?));
            Ok(Claimed { first, count, root, units, nonce: uint(row, 4)? })
        };
        query.query_map([job, first], one)?.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(storage)
}

pub(super) fn nonce(db: &Connection, n: u64) -> Result<Option<(B256, String)>, NotSafe> {
    let n = int(n, "nonce")?;
    db.prepare_cached("SELECT call_hash, kind FROM nonce WHERE n = ?1")
        .and_then(|mut query| query.query_row([n], |row| Ok((bytes32(row, 0)?, row.get(1)?))).optional())
        .map_err(storage)
}

pub(super) fn jobs(db: &Connection, from: JobId, limit: u32) -> Result<Vec<JobCounts>, NotSafe> {
    let sql = "SELECT j.job, j.client, j.claimed, count(s.seq), coalesce(sum(s.units), 0), \
            coalesce(max(s.seq) + 1, j.claimed) \
        FROM (SELECT job, client, coalesce((SELECT max(first + count) FROM claim WHERE claim.job = job.job), 0) AS claimed \
            FROM job WHERE job >= ?1 ORDER BY job LIMIT ?2) AS j \
        LEFT JOIN segment AS s ON s.job = j.job AND s.seq >= j.claimed GROUP BY j.job ORDER BY j.job";
    let from = int(from.0, "job")?;
    let read = || {
        let mut query = db.prepare_cached(sql)?;
        let one = |row: &Row<'_>| {
            let (job, client) = (JobId(uint(row, 0)?), address(row, 1)?);
            let (claimed, unclaimed, unclaimed_units) = (uint(row, 2)?, uint(row, 3)?, uint(row, 4)?);
            Ok(JobCounts { job, client, claimed, unclaimed, unclaimed_units, end: SegmentNo(uint(row, 5)?) })
        };
        query.query_map(params![from, limit], one)?.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(storage)
}

/// The job's floor; zero without one.
pub(super) fn floor(db: &Connection, job: JobId) -> Result<SegmentNo, NotSafe> {
    let job = int(job.0, "job")?;
    db.prepare_cached("SELECT coalesce(max(below), 0) FROM floor WHERE job = ?1")
        .and_then(|mut query| query.query_row([job], |row| uint(row, 0)))
        .map(SegmentNo)
        .map_err(storage)
}

pub(super) fn has_floor(db: &Connection, job: JobId, below: SegmentNo) -> Result<bool, NotSafe> {
    let (job, below) = (int(job.0, "job")?, int(below.0, "floor")?);
    db.prepare_cached("SELECT 1 FROM floor WHERE job = ?1 AND below = ?2")
        .and_then(|mut query| query.exists([job, below]))
        .map_err(storage)
}

/// The largest value of a mark.
pub(super) fn mark(db: &Connection, mark: Mark) -> Result<Option<u64>, NotSafe> {
    db.prepare_cached("SELECT value FROM mark WHERE name = ?1 ORDER BY value DESC LIMIT 1")
        .and_then(|mut query| query.query_row([mark.name()], |row| uint(row, 0)).optional())
        .map_err(storage)
}

pub(super) fn has_mark(db: &Connection, mark: Mark, value: u64) -> Result<bool, NotSafe> {
    let value = int(value, "mark")?;
    db.prepare_cached("SELECT 1 FROM mark WHERE name = ?1 AND value = ?2")
        .and_then(|mut query| query.exists(params![mark.name(), value]))
        .map_err(storage)
}

/// The first nonce of `from..to` that is not on record.
pub(super) fn unknown_nonce(db: &Connection, from: u64, to: u64) -> Result<Option<u64>, NotSafe> {
    let (low, high) = (int(from, "nonce")?, int(to, "nonce")?);
    let read = || {
        let mut query = db.prepare_cached("SELECT n FROM nonce WHERE n >= ?1 AND n < ?2 ORDER BY n")?;
        let mut expected = from;
        for found in query.query_map([low, high], |row| uint(row, 0))? {
            if found? != expected {
                break;
            }
            expected += 1;
        }
        Ok(expected)
    };
    let expected = read().map_err(storage)?;
    Ok((expected < to).then_some(expected))
}

/// The least nonce on record.
pub(super) fn first_nonce(db: &Connection) -> Result<Option<u64>, NotSafe> {
    db.query_row("SELECT n FROM nonce ORDER BY n LIMIT 1", [], |row| uint(row, 0)).optional().map_err(storage)
}

/// The claim that begins at `first`.
pub(super) fn claim_at(db: &Connection, job: JobId, first: SegmentNo) -> Result<Option<Claimed>, NotSafe> {
    Ok(claims(db, job, first)?.into_iter().next().filter(|claim| claim.first == first))
}

/// A segment as the interchange format has it.
pub(super) fn statement(kept: &Kept) -> interchange::Statement {
    let Segment { seq, src_root, src_bytes, duration_ms, .. } = kept.order;
    let receipt = kept.receipt.as_ref().map(|(receipt, signature)| interchange::Receipt {
        client_signature: Bytes::copy_from_slice(&signature.as_bytes()),
        out_root: receipt.out_root,
        units: receipt.units.0,
        out_bytes: receipt.out_bytes,
    });
    interchange::Statement { seq: seq.0, src_root, src_bytes, duration_ms, receipt }
}

/// A claim as the interchange format has it.
pub(super) fn claim_record(claim: &Claimed) -> interchange::Claim {
    let Claimed { first, count, root, units, nonce } = *claim;
    interchange::Claim { first: first.0, count, root, units: units.0, nonce }
}

/// All nonces from `from` on, at most `limit`.
pub(super) fn nonces(db: &Connection, from: u64, limit: u32) -> Result<Vec<interchange::Nonce>, NotSafe> {
    let from = int(from, "nonce")?;
    let read = || {
        let mut query = db.prepare_cached("SELECT n, call_hash, kind FROM nonce WHERE n >= ?1 ORDER BY n LIMIT ?2")?;
        let one =
            |row: &Row<'_>| Ok(interchange::Nonce { nonce: uint(row, 0)?, call: bytes32(row, 1)?, kind: row.get(2)? });
        query.query_map(params![from, limit], one)?.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(storage)
}

/// Every job of which there is a client or a floor.
pub(super) fn all_jobs(db: &Connection) -> Result<Vec<JobId>, NotSafe> {
    let read = || {
        let mut query = db.prepare("SELECT job FROM job UNION SELECT job FROM floor ORDER BY job")?;
        query.query_map([], |row| uint(row, 0).map(JobId))?.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(storage)
}

/// Every claim of a job.
pub(super) fn all_claims(db: &Connection, job: JobId) -> Result<Vec<interchange::Claim>, NotSafe> {
    let (mut found, mut from) = (Vec::new(), SegmentNo(0));
    loop {
        let page = claims(db, job, from)?;
        let fresh = page.iter().filter(|claim| claim.first >= from).map(claim_record);
        let before = found.len();
        found.extend(fresh);
        match page.last() {
            Some(last) if found.len() > before => from = last.first.next(),
            _ => return Ok(found),
        }
    }
}

pub(super) fn add_floor(db: &Connection, job: JobId, below: SegmentNo) -> Result<(), NotSafe> {
    audit::append(db, &Record::Floor(job, below))?;
    let (job, below) = (int(job.0, "job")?, int(below.0, "floor")?);
    db.prepare_cached("INSERT INTO floor (job, below) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute([job, below]))
        .map(drop)
        .map_err(storage)
}

pub(super) fn add_mark(db: &Connection, mark: Mark, value: u64) -> Result<(), NotSafe> {
    audit::append(db, &Record::Mark(mark, value))?;
    let value = int(value, "mark")?;
    db.prepare_cached("INSERT INTO mark (name, value) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute(params![mark.name(), value]))
        .map(drop)
        .map_err(storage)
}

/// Deletes what lies below the job's floor. Returns how many rows.
pub(super) fn prune(db: &Connection, job: JobId) -> Result<u64, NotSafe> {
    let (below, job) = (int(floor(db, job)?.0, "floor")?, int(job.0, "job")?);
    let claims =
        db.execute("DELETE FROM claim WHERE job = ?1 AND first + count <= ?2", [job, below]).map_err(storage)?;
    let segments = db.execute("DELETE FROM segment WHERE job = ?1 AND seq < ?2", [job, below]).map_err(storage)?;
    Ok((claims + segments) as u64)
}

/// What [`prune`] would delete of a job that is closed.
pub(super) fn records(db: &Connection, job: JobId) -> Result<u64, NotSafe> {
    let count = "SELECT (SELECT count(*) FROM claim WHERE job = ?1) + (SELECT count(*) FROM segment WHERE job = ?1)";
    db.query_row(count, [int(job.0, "job")?], |row| uint(row, 0)).map_err(storage)
}

pub(super) fn add_nonce(db: &Connection, n: u64, call: B256, kind: &str) -> Result<(), NotSafe> {
    audit::append(db, &Record::Nonce(&interchange::Nonce { nonce: n, call, kind: kind.into() }))?;
    let n = int(n, "nonce")?;
    db.prepare_cached("INSERT INTO nonce (n, call_hash, kind) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| insert.execute(params![n, call.0, kind]))
        .map(drop)
        .map_err(storage)
}

pub(super) fn add_claim(db: &Connection, job: JobId, claim: &Claimed) -> Result<(), NotSafe> {
    audit::append(db, &Record::Claim(job, &claim_record(claim)))?;
    let (job, first) = (int(job.0, "job")?, int(claim.first.0, "segment")?);
    let (units, nonce) = (int(claim.units.0, "units")?, int(claim.nonce, "nonce")?);
    db.prepare_cached("INSERT INTO claim (job, first, count, root, units, nonce) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .and_then(|mut insert| insert.execute(params![job, first, claim.count, claim.root.0, units, nonce]))
        .map(drop)
        .map_err(storage)
}

/// Adds a segment, and its job with `client` when it is the job's first.
pub(super) fn add_segment(db: &Connection, client: Address, kept: &Kept) -> Result<(), NotSafe> {
    let order = &kept.order;
    let (job, seq) = (int(order.job.0, "job")?, int(order.seq.0, "segment")?);
    let src_bytes = int(order.src_bytes, "source length")?;
    let receipt = kept.receipt.as_ref();
    let units = receipt.map(|(receipt, _)| int(receipt.units.0, "units")).transpose()?;
    let out_bytes = receipt.map(|(receipt, _)| int(receipt.out_bytes, "output length")).transpose()?;
    if self::client(db, order.job)?.is_none() {
        audit::append(db, &Record::Job(order.job, client))?;
        db.prepare_cached("INSERT INTO job (job, client) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![job, client.into_array()]))
            .map_err(storage)?;
    }
    audit::append(db, &Record::Segment(order.job, &statement(kept)))?;
    let sql = "INSERT INTO segment (job, seq, src_root, src_bytes, duration_ms, client_signature, out_root, units, out_bytes) \
        VALUES (:job, :seq, :src_root, :src_bytes, :duration_ms, :client_signature, :out_root, :units, :out_bytes)";
    let row = named_params! {
        ":job": job, ":seq": seq, ":src_root": order.src_root.0, ":src_bytes": src_bytes,
        ":duration_ms": order.duration_ms, ":client_signature": receipt.map(|(_, signature)| signature.as_bytes()),
        ":out_root": receipt.map(|(receipt, _)| receipt.out_root.0), ":units": units, ":out_bytes": out_bytes,
    };
    db.prepare_cached(sql).and_then(|mut insert| insert.execute(row)).map(drop).map_err(storage)
}
