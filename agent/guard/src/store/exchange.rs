//! A database as a document and back, floors, and the check of everything. For a person's commands, with the signer stopped.

use super::audit::{self, Mark};
use super::{Store, lock, open, rows};
use crate::interchange::{self, Document, FORMAT, Head, ImportError, VERSION};
use crate::rules::{self, Claimed, Kept, NO_SEGMENT, NotSafe, Pinned, Verdict};
use headframe_market::{JobId, Receipt, Segment, SegmentNo, Signature, Units};
use rusqlite::Connection;
use std::path::Path;

/// What an import added; what was on record already is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// Receipts or orders.
    pub segments: u64,
    /// Claims.
    pub claims: u64,
    /// Account nonces.
    pub nonces: u64,
    /// Floors that rose.
    pub floors: u64,
}

impl Store {
    /// Everything, as of now.
    pub fn export(&self) -> Result<Document, NotSafe> {
        let db = &lock(&self.connection);
        let mut jobs = Vec::new();
        for job in rows::all_jobs(db)? {
            jobs.push(self.job(db, job)?);
        }
        let (mut nonces, mut from) = (Vec::new(), 0);
        loop {
            let page = rows::nonces(db, from, 4096)?;
            let Some(last) = page.last() else { break };
            from = last.nonce + 1;
            nonces.extend(page);
        }
        let Pinned { chain_id, genesis, addresses: contracts, address, role } = self.pinned();
        Ok(Document {
            format: FORMAT.into(),
            version: VERSION,
            chain_id,
            genesis,
            contracts,
            address,
            role: role.into(),
            generation: rows::mark(db, Mark::Generation)?.unwrap_or_default(),
            is_final: rows::mark(db, Mark::Moved)?.is_some(),
            audit: audit::head(db)?,
            nonce_floor: rows::mark(db, Mark::NonceFloor)?,
            nonces,
            jobs,
        })
    }

    /// From now on this database signs nothing: an export of it is the last word.
    pub fn retire(&self) -> Result<(), NotSafe> {
        self.write(|tx| match rows::mark(tx, Mark::Moved)? {
            Some(_) => Ok(()),
            None => rows::add_mark(tx, Mark::Moved, 1),
        })
    }

    fn job(&self, db: &Connection, job: JobId) -> Result<interchange::Job, NotSafe> {
        let (mut segments, mut from) = (Vec::new(), SegmentNo(0));
        loop {
            let page = rows::from(db, job, from, 4096)?;
            let Some(last) = page.last() else { break };
            from = last.order.seq.next();
            segments.extend(page.iter().map(rows::statement));
        }
        Ok(interchange::Job {
            job: job.0,
            client: rows::client(db, job)?,
            floor: rows::floor(db, job)?.0,
            segments,
            claims: rows::all_claims(db, job)?,
        })
    }

    /// Takes over all of `document` or nothing: records that are missing here, and the higher of two floors. What is on
    /// record stays. With `closing`, nothing more is signed for the document's jobs: statements after it may be unknown.
    pub fn import(&self, document: &Document, closing: bool) -> Result<Imported, ImportError> {
        document.check()?;
        rules::place(&self.pinned(), &document.pinned())?;
        let done = self.write(|tx| {
            let mut done = Imported::default();
            let nonce_floor = rows::mark(tx, Mark::NonceFloor)?;
            for one in &document.nonces {
                done.nonces += u64::from(import_nonce(tx, one, nonce_floor.unwrap_or_default())?);
            }
            for job in &document.jobs {
                self.import_job(tx, job, closing, &mut done)?;
            }
            // Where neither knew a floor, the next sight sets one.
            if let Some(floor) = document.nonce_floor.filter(|floor| nonce_floor.is_none_or(|kept| kept < *floor)) {
                rows::add_mark(tx, Mark::NonceFloor, floor)?;
                done.floors += 1;
            }
            let generation = rows::mark(tx, Mark::Generation)?.unwrap_or_default();
            if document.generation > generation {
                rows::add_mark(tx, Mark::Generation, document.generation)?;
            }
            Ok::<_, ImportError>((done, generation.max(document.generation)))
        });
        let (done, generation) = done?;
        open::note_generation(&self.path, generation)?;
        self.recount()?;
        Ok(done)
    }

    fn import_job(
        &self,
        tx: &Connection,
        job: &interchange::Job,
        closing: bool,
        done: &mut Imported,
    ) -> Result<(), ImportError> {
        let id = JobId(job.job);
        let floor = rows::floor(tx, id)?;
        if let (Some(client), Some(kept)) = (job.client, rows::client(tx, id)?)
            && client != kept
        {
            let text = format!("job {id} is ordered by {client} in the document and by {kept} here");
            return Err(ImportError::Contradiction(text));
        }
        for one in &job.segments {
            let kept = self.kept(id, job, one)?;
            match rows::segment(tx, id, SegmentNo(one.seq))? {
                Some(old) if rows::statement(&old) == *one => {}
                Some(_) => return Err(ImportError::Contradiction(format!("segment {} of job {id}", one.seq))),
                None if one.seq < floor.0 => {} // nothing is signed there any more
                None => {
                    rows::add_segment(tx, job.client.unwrap_or_default(), &kept)?;
                    done.segments += 1;
                }
            }
        }
        for one in &job.claims {
            let claim = Claimed {
                first: SegmentNo(one.first),
                count: one.count,
                root: one.root,
                units: Units(one.units),
                nonce: one.nonce,
            };
            let earlier = rows::claims(tx, id, claim.first)?;
            if earlier.iter().all(|old| *old != claim) && one.first < floor.0 {
                continue;
            }
            let segments = rows::segments(tx, id, claim.first, claim.count.min(rules::MAX_CLAIM))?;
            match rules::claim(id, &claim, &earlier, &segments, floor) {
                Ok(Verdict::Same) => {}
                Ok(Verdict::New) => {
                    if rows::nonce(tx, one.nonce)?.is_none() {
                        let text = format!("the claim of segment {} of job {id} has no nonce on record", one.first);
                        return Err(ImportError::Broken(text));
                    }
                    rows::add_claim(tx, id, &claim)?;
                    done.claims += 1;
                }
                Err(NotSafe::Refused { rule: rules::Rule::DoubleClaim, reason }) => {
                    return Err(ImportError::Contradiction(reason));
                }
                Err(NotSafe::Refused { reason, .. }) => return Err(ImportError::Broken(reason)),
                Err(other) => return Err(other.into()),
            }
        }
        let due = if closing { NO_SEGMENT } else { SegmentNo(job.floor) };
        if due > floor {
            rows::add_floor(tx, id, due)?;
            done.floors += 1;
        }
        Ok(())
    }

    /// A statement of the document in the market's types; the client's signature must be the client's.
    fn kept(&self, id: JobId, job: &interchange::Job, one: &interchange::Statement) -> Result<Kept, ImportError> {
        let at = format!("segment {} of job {id}", one.seq);
        let seq = SegmentNo(one.seq);
        let (src_root, src_bytes, duration_ms) = (one.src_root, one.src_bytes, one.duration_ms);
        let order = Segment { job: id, seq, src_root, src_bytes, duration_ms };
        let Some(receipt) = &one.receipt else { return Ok(Kept { order, receipt: None }) };
        let signature = Signature::from_raw(&receipt.client_signature).ok();
        let signed = signature.filter(|by| order.signer(&self.pinned().domain(), by) == job.client);
        let Some(signature) = signed else {
            return Err(ImportError::Broken(format!("the order of {at} is not signed by the job's client")));
        };
        let interchange::Receipt { out_root, units, out_bytes, .. } = *receipt;
        if units >= rules::MAX_UNITS {
            return Err(ImportError::Broken(format!("{at} has {units} units")));
        }
        let receipt = Receipt { job: id, seq, src_root: one.src_root, out_root, units: Units(units), out_bytes };
        Ok(Kept { order, receipt: Some((receipt, signature)) })
    }

    /// Closes jobs for ever and raises the floor of nonces: what a rebuild knows of a lost database's signatures.
    pub fn close(&self, jobs: &[JobId], nonce_floor: u64) -> Result<(), NotSafe> {
        self.write(|tx| {
            for job in jobs {
                if rows::floor(tx, *job)? < NO_SEGMENT {
                    rows::add_floor(tx, *job, NO_SEGMENT)?;
                }
            }
            if rows::mark(tx, Mark::NonceFloor)?.is_none_or(|kept| kept < nonce_floor) {
                rows::add_mark(tx, Mark::NonceFloor, nonce_floor)?;
            }
            Ok(())
        })
    }

    /// Closes `job` for ever and deletes its segments and claims: for a job that is over on chain. Returns how many rows.
    pub fn forget(&self, job: JobId) -> Result<u64, NotSafe> {
        let gone = self.write(|tx| {
            if rows::floor(tx, job)? < NO_SEGMENT {
                rows::add_floor(tx, job, NO_SEGMENT)?;
            }
            rows::prune(tx, job)
        })?;
        self.recount()?;
        Ok(gone)
    }

    /// Compares every record with the audit chain. The inner error says what is wrong.
    pub fn audit(&self) -> Result<Result<Head, String>, NotSafe> {
        audit::verify(&lock(&self.connection), true)
    }

    /// What keeps acknowledged records through a power cut, as SQLite says it: the journal, synchronous (2 is FULL), the lock.
    pub fn settings(&self) -> Result<[(&'static str, String); 3], NotSafe> {
        let db = lock(&self.connection);
        let one = |name: &'static str| {
            let value = db.query_row(&format!("PRAGMA {name}"), [], |row| {
                let value = row.get::<_, rusqlite::types::Value>(0)?;
                Ok(if let rusqlite::types::Value::Integer(n) = value { n.to_string() } else { row.get(0)? })
            });
            value.map(|value| (name, value)).map_err(rows::storage)
        };
        Ok([one("journal_mode")?, one("synchronous")?, one("locking_mode")?])
    }

    /// Jobs with a client or a floor.
    pub fn known_jobs(&self) -> Result<Vec<JobId>, NotSafe> {
        rows::all_jobs(&lock(&self.connection))
    }

    /// How many segments and claims of `job` are on record.
    pub fn records(&self, job: JobId) -> Result<u64, NotSafe> {
        rows::records(&lock(&self.connection), job)
    }

    /// Starts and backups so far.
    pub fn generation(&self) -> Result<u64, NotSafe> {
        Ok(rows::mark(&lock(&self.connection), Mark::Generation)?.unwrap_or_default())
    }

    /// A copy of the whole file at `to`, which must not exist. Begins a new generation, so that the copy, put back, is
    /// known to be old.
    pub fn backup(&self, to: &Path) -> Result<(), NotSafe> {
        open::copy(&lock(&self.connection), to)?;
        self.begin_generation()
    }

    fn recount(&self) -> Result<(), NotSafe> {
        use std::sync::atomic::Ordering::Relaxed;
        let super::Counts { segments, claims, nonces } = rows::counts(&lock(&self.connection))?;
        self.segments.store(segments, Relaxed);
        self.claims.store(claims, Relaxed);
        self.nonces.store(nonces, Relaxed);
        Ok(())
    }
}

/// Whether it was added.
fn import_nonce(tx: &Connection, one: &interchange::Nonce, floor: u64) -> Result<bool, ImportError> {
    match rows::nonce(tx, one.nonce)? {
        Some((call, _)) if call == one.call => Ok(false),
        Some(_) => Err(ImportError::Contradiction(format!("nonce {}", one.nonce))),
        None if one.nonce < floor => Ok(false),
        None => {
            rows::add_nonce(tx, one.nonce, one.call, &one.kind)?;
            Ok(true)
        }
    }
}
