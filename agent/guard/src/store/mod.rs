//! The durable memory of everything signed, and the only maker of permits.
//!
//! One connection, exclusively locked: a second process cannot open the file. Every permit follows from one exclusive
//! transaction that checks and records, committed with `synchronous=FULL` before the permit exists. Receipts that wait
//! while another commit is on its way to the disk share the next one (group commit), so that nobody is tempted to weaken it.

mod audit;
mod exchange;
mod open;
pub mod permit;
mod rows;

pub use exchange::Imported;

use crate::ballast::Ballast;
use crate::protocol::{Hello, JobCounts, KeptReceipt, ReceiptRequest, Sight, TransactionRequest};
use crate::rules::{self, Claimed, Kept, Means, NotSafe, Pinned, Rule, Verdict};
use audit::Mark;
use headframe_market::{Action, Address, B256, Bid, JobId, Receipt, Role, Segment, SegmentNo, Signature, Wei};
use permit::{Permit, Report, Transaction};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// The guard database of one key on one chain.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    queue: Mutex<Queue>,
    /// A batch has been decided.
    decided: Condvar,
    pinned: Mutex<Pinned>,
    path: PathBuf,
    /// Where room is kept for proofs, if it is.
    ballast: Option<Ballast>,
    segments: AtomicU64,
    claims: AtomicU64,
    nonces: AtomicU64,
    /// Nonces below were found on record: they need no second look.
    known: AtomicU64,
}

/// Who waits for a commit.
#[derive(Debug, Default)]
struct Queue {
    /// For the next one.
    waiting: Vec<Arc<Waiting>>,
    /// One is on its way to the disk.
    committing: bool,
}

/// A segment's statement in the queue for the next commit.
#[derive(Debug)]
struct Waiting {
    ask: Ask,
    outcome: OnceLock<Result<Verdict, NotSafe>>,
}

#[derive(Debug)]
enum Ask {
    /// With the order's signature and the signer that it recovers to.
    Receipt(Box<ReceiptRequest>, Option<(Signature, Address)>),
    Order(Segment),
}

/// Rows on record: segments, claims and nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Receipts or orders.
    pub segments: u64,
    /// Claims.
    pub claims: u64,
    /// Account nonces.
    pub nonces: u64,
}

impl Store {
    /// The database at `path`, or `None` when there is no file. It must be whole, of this schema and this key, and not
    /// older than the file beside it. Begins a new generation: for who is going to sign.
    pub fn open(path: &Path, key: Address, role: Role) -> Result<Option<Self>, NotSafe> {
        let Some(store) = Self::inspect(path)? else { return Ok(None) };
        rules::place(&store.pinned(), &Pinned { address: key, role, ..store.pinned() })?;
        store.begin_generation()?;
        Ok(Some(store))
    }

    /// As [`Store::open`], for a person's commands: of whatever key, and nothing begins.
    pub fn inspect(path: &Path) -> Result<Option<Self>, NotSafe> {
        let Some(store) = Self::inspect_moved(path)? else { return Ok(None) };
        rules::in_place(rows::mark(&lock(&store.connection), Mark::Moved)?.is_some())?;
        Ok(Some(store))
    }

    /// As [`Store::inspect`], also of a database that was moved: its export can be written again.
    pub fn inspect_moved(path: &Path) -> Result<Option<Self>, NotSafe> {
        let Some((connection, pinned)) = open::existing(path)? else { return Ok(None) };
        let generation = rows::mark(&connection, Mark::Generation)?.unwrap_or_default();
        rules::generation(generation, open::generation_beside(path)?)?;
        Self::new(connection, pinned, path).map(Some)
    }

    /// A new database. Only for a key whose past is known to be empty: see [`rules::history`].
    pub fn create(path: &Path, pinned: Pinned) -> Result<Self, NotSafe> {
        rules::generation(0, open::generation_beside(path)?)?;
        let store = Self::new(open::new(path, &pinned)?, pinned, path)?;
        store.begin_generation()?;
        Ok(store)
    }

    /// As [`Store::create`], in place of a database that is lost for good: what counted its generations goes, too.
    pub fn create_anew(path: &Path, pinned: Pinned) -> Result<Self, NotSafe> {
        open::forget_generation(path)?;
        Self::create(path, pinned)
    }

    /// From here on room is kept beside the file for the proofs of claims, and no claim is made without it.
    #[must_use]
    pub fn with_ballast(self) -> Self {
        Self { ballast: Some(Ballast::beside(&self.path)), ..self }
    }

    /// Brings the journal into the file and empties it.
    pub fn checkpoint(&self) -> Result<(), NotSafe> {
        let db = lock(&self.connection);
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(rows::storage)
    }

    /// Nothing is written any more, not even when it is closed: after a synchronisation that failed, the next one means nothing.
    pub(crate) fn leave_as_is(&self) {
        let _ = lock(&self.connection).set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }

    /// First the database, then the file beside it: a crash between leaves the file behind, which is harmless.
    fn begin_generation(&self) -> Result<(), NotSafe> {
        let next = self.write(|tx| {
            let next = rows::mark(tx, Mark::Generation)?.unwrap_or_default() + 1;
            rows::add_mark(tx, Mark::Generation, next).map(|()| next)
        })?;
        open::note_generation(&self.path, next)
    }

    /// One exclusive transaction, durable when it returns `Ok`.
    fn write<T, E: From<NotSafe>>(&self, body: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        let mut connection = lock(&self.connection);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(rows::storage)?;
        let done = body(&tx)?;
        tx.commit().map_err(rows::storage)?;
        Ok(done)
    }

    fn new(connection: Connection, pinned: Pinned, path: &Path) -> Result<Self, NotSafe> {
        let Counts { segments, claims, nonces } = rows::counts(&connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
            queue: Mutex::default(),
            decided: Condvar::new(),
            pinned: pinned.into(),
            path: path.into(),
            ballast: None,
            segments: segments.into(),
            claims: claims.into(),
            nonces: nonces.into(),
            known: AtomicU64::new(0),
        })
    }

    /// What the database is bound to.
    pub fn pinned(&self) -> Pinned {
        *lock(&self.pinned)
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows on record.
    pub fn counts(&self) -> Counts {
        Counts {
            segments: self.segments.load(Ordering::Relaxed),
            claims: self.claims.load(Ordering::Relaxed),
            nonces: self.nonces.load(Ordering::Relaxed),
        }
    }

    /// Whether the database answers.
    pub fn answers(&self) -> bool {
        rows::answers(&lock(&self.connection))
    }

    /// Rules G7 and G9: this database belongs to where the agent is, and is not older than what the chain shows. Contracts that
    /// it is not pinned to yet are those that the agent names.
    pub fn check(&self, hello: &Hello) -> Result<(), NotSafe> {
        let pinned = self.pinned();
        let now = Pinned { chain_id: hello.chain_id, genesis: hello.genesis, addresses: hello.addresses, ..pinned };
        rules::place(&pinned, &now)?;
        {
            let connection = lock(&self.connection);
            rules::history(hello, Some(&|job| rows::end(&connection, job, pinned.role)))?;
        }
        let missing = open::not_pinned(&pinned.addresses, &hello.addresses);
        if !missing.is_empty() {
            let now = self.write(|tx| {
                open::pin(tx, &missing).map_err(rows::storage)?;
                open::pinned(tx).map_err(rows::storage)
            })?;
            *lock(&self.pinned) = now.unwrap_or(pinned);
        }
        Ok(())
    }

    /// Rule G8: all that the chain shows of this key was signed here. The first sight of an account fixes the floor of its
    /// nonces.
    pub fn see(&self, sight: &Sight) -> Result<(), NotSafe> {
        let floor = {
            let connection = lock(&self.connection);
            rows::mark(&connection, Mark::NonceFloor)?
        };
        let floor = match floor {
            Some(floor) => floor,
            None => self.write(|tx| {
                if let Some(floor) = rows::mark(tx, Mark::NonceFloor)? {
                    return Ok(floor); // another connection's sight came first
                }
                let floor = rows::first_nonce(tx)?.unwrap_or(sight.nonce).min(sight.nonce);
                rows::add_mark(tx, Mark::NonceFloor, floor).map(|()| floor)
            })?,
        };
        let connection = lock(&self.connection);
        let from = floor.max(self.known.load(Ordering::Relaxed));
        rules::nonces(sight.nonce, rows::unknown_nonce(&connection, from, sight.nonce)?)?;
        self.known.fetch_max(sight.nonce, Ordering::Relaxed);
        for seen in &sight.claims {
            let kept = rows::claim_at(&connection, seen.job, seen.first)?;
            rules::claim_known(seen, kept.as_ref(), rows::floor(&connection, seen.job)?)?;
        }
        Ok(())
    }

    /// Rules G2, G6 and G12.
    pub fn permit_receipt(&self, request: ReceiptRequest) -> Result<Permit<Receipt>, NotSafe> {
        self.only(Role::Operator, "receipts")?;
        let domain = self.pinned().domain();
        let signature = Signature::from_raw(&request.order_signature).ok();
        let signed = signature.and_then(|signature| Some((signature, request.order.signer(&domain, &signature)?)));
        let receipt = request.receipt.clone();
        self.record(Ask::Receipt(Box::new(request), signed))?;
        Ok(Permit::new(receipt, self.pinned().domain()))
    }

    /// Rules G6 and G12.
    pub fn permit_order(&self, order: Segment) -> Result<Permit<Segment>, NotSafe> {
        self.only(Role::Client, "orders")?;
        self.record(Ask::Order(order.clone()))?;
        Ok(Permit::new(order, self.pinned().domain()))
    }

    /// Rules G1, G2, G3 and G10, the key's role and the fee ceiling `cap`.
    pub fn permit_transaction(
        &self,
        ask: &TransactionRequest,
        cap: Wei,
        means: Option<Means>,
    ) -> Result<Permit<Transaction>, NotSafe> {
        rules::role(&ask.action, self.pinned().role)?;
        rules::fees(ask.gas_limit, ask.max_fee_per_gas, ask.max_priority_fee_per_gas, cap)?;
        let call = ask.action.call(&self.pinned().addresses);
        rules::known(&ask.action, &call)?;
        let hash = rows::call_hash(&call);
        match self.record_call(ask, hash, means) {
            Err(NotSafe::Full) if ask.action.is_proof() && self.ballast.as_ref().is_some_and(Ballast::give_up) => {
                self.record_call(ask, hash, means)?;
            }
            // Refused, so that a proof may have its nonce.
            Err(NotSafe::Full) if !ask.action.is_proof() => {
                let reason = format!("{}: {}", ask.action.kind(), NotSafe::Full);
                return Err(NotSafe::Refused { rule: Rule::Reserve, reason });
            }
            recorded => recorded?,
        }
        let transaction = Transaction {
            nonce: ask.nonce,
            to: call.to,
            value: call.value,
            input: call.input,
            gas_limit: ask.gas_limit,
            max_fee_per_gas: ask.max_fee_per_gas,
            max_priority_fee_per_gas: ask.max_priority_fee_per_gas,
        };
        Ok(Permit::new(transaction, self.pinned().domain()))
    }

    /// Binds the nonce to the call, and a claim to its nonce. Durable when it returns `Ok`.
    fn record_call(&self, ask: &TransactionRequest, hash: B256, means: Option<Means>) -> Result<(), NotSafe> {
        let mut connection = lock(&self.connection);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(rows::storage)?;
        let kind = ask.action.kind();
        let kept = rows::nonce(&tx, ask.nonce)?;
        let kept = kept.as_ref().map(|(hash, kind)| (*hash, kind.as_str()));
        let floor = rows::mark(&tx, Mark::NonceFloor)?.unwrap_or_default();
        let verdict = rules::nonce(ask.nonce, hash, kind, kept, floor)?;
        let claim = claim_of(ask);
        if let Some((job, claim)) = &claim {
            let kept = rows::segments(&tx, *job, claim.first, claim.count.min(rules::MAX_CLAIM))?;
            let earlier = rows::claims(&tx, *job, claim.first)?;
            let agreed = rules::claim(*job, claim, &earlier, &kept, rows::floor(&tx, *job)?)? == verdict;
            debug_assert!(agreed, "a claim is on record exactly when its nonce is");
        }
        // What is on record may be sent again whatever the account holds: its nonce can be used for nothing else.
        if verdict == Verdict::New {
            rules::reserve(ask, means, || self.ballast.as_ref().is_none_or(Ballast::is_kept))?;
            rows::add_nonce(&tx, ask.nonce, hash, kind)?;
            if let Some((job, claim)) = &claim {
                rows::add_claim(&tx, *job, claim)?;
            }
            tx.commit().map_err(rows::storage)?;
            self.nonces.fetch_add(1, Ordering::Relaxed);
            self.claims.fetch_add(u64::from(claim.is_some()), Ordering::Relaxed);
        }
        Ok(())
    }

    /// An operator's offer; see [`rules::bid`].
    pub fn permit_bid(&self, bid: Bid) -> Result<Permit<Bid>, NotSafe> {
        self.only(Role::Operator, "bids")?;
        rules::bid(&bid, self.pinned().address)?;
        Ok(Permit::new(bid, self.pinned().domain()))
    }

    /// A certification report is no market statement, so it needs no record.
    pub fn permit_report(&self, tool: String, sha256: B256) -> Result<Permit<Report>, NotSafe> {
        self.only(Role::Operator, "certification reports")?;
        if tool.is_empty() || tool.len() > 64 {
            let reason = format!("a tool's name has 1 to 64 bytes, not {}", tool.len());
            return Err(NotSafe::Refused { rule: Rule::Request, reason });
        }
        Ok(Permit::new(Report { tool, sha256 }, self.pinned().domain()))
    }

    /// Kept evidence of `job` from segment `from` on, at most `limit` rows, gaps left out.
    pub fn receipts(&self, job: JobId, from: SegmentNo, limit: u32) -> Result<Vec<KeptReceipt>, NotSafe> {
        rows::receipts(&lock(&self.connection), job, from, limit)
    }

    /// Jobs from id `from` on in numbers, at most `limit`.
    pub fn jobs(&self, from: JobId, limit: u32) -> Result<Vec<JobCounts>, NotSafe> {
        rows::jobs(&lock(&self.connection), from, limit)
    }

    fn only(&self, role: Role, what: &str) -> Result<(), NotSafe> {
        if self.pinned().role == role {
            return Ok(());
        }
        let reason = format!("a key of role {} does not sign {what}", rules::role_name(self.pinned().role));
        Err(NotSafe::Refused { rule: Rule::Role, reason })
    }

    /// Checks and records one segment's statement, together with all that wait. Durable when it returns `Ok`.
    ///
    /// Whoever comes when no commit is on its way makes one for all in the queue. The others wait apart from the connection,
    /// so that the next batch is all that came meanwhile.
    fn record(&self, ask: Ask) -> Result<(), NotSafe> {
        let waiting = Arc::new(Waiting { ask, outcome: OnceLock::new() });
        let mut queue = lock(&self.queue);
        queue.waiting.push(Arc::clone(&waiting));
        while queue.committing && waiting.outcome.get().is_none() {
            queue = self.decided.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.waiting.iter().any(|one| Arc::ptr_eq(one, &waiting)) {
            queue.committing = true;
            let batch = std::mem::take(&mut queue.waiting);
            drop(queue);
            let _next = LetTheNext(self);
            self.commit(&mut lock(&self.connection), &batch);
        }
        match waiting.outcome.get() {
            Some(outcome) => outcome.clone().map(|_| ()),
            None => Err(NotSafe::Storage("another request of the same batch failed".into())),
        }
    }

    fn commit(&self, connection: &mut Connection, batch: &[Arc<Waiting>]) {
        let outcomes = record_all(connection, &self.pinned(), batch);
        for (at, waiting) in batch.iter().enumerate() {
            let outcome = match &outcomes {
                Ok(each) => each[at].clone(),
                Err(all) => Err(all.clone()),
            };
            if outcome == Ok(Verdict::New) {
                self.segments.fetch_add(1, Ordering::Relaxed);
            }
            let _ = waiting.outcome.set(outcome); // set once: a batch is taken by one thread
        }
    }
}

/// Also when a commit panics: then nobody waits for it for ever.
struct LetTheNext<'a>(&'a Store);

impl Drop for LetTheNext<'_> {
    fn drop(&mut self) {
        lock(&self.0.queue).committing = false;
        self.0.decided.notify_all();
    }
}

type Outcomes = Vec<Result<Verdict, NotSafe>>;

/// One exclusive transaction for all; a refusal of one changes nothing for the others.
fn record_all(connection: &mut Connection, pinned: &Pinned, batch: &[Arc<Waiting>]) -> Result<Outcomes, NotSafe> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(rows::storage)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    // By hand, because rusqlite's savepoints prepare their statements anew each time.
    let savepoint = |sql| tx.prepare_cached(sql).and_then(|mut query| query.execute([])).map_err(rows::storage);
    for waiting in batch {
        savepoint("SAVEPOINT one")?;
        let outcome = record_one(&tx, pinned, &waiting.ask);
        if outcome != Ok(Verdict::New) {
            savepoint("ROLLBACK TO one")?;
        }
        savepoint("RELEASE one")?;
        outcomes.push(outcome);
    }
    if outcomes.contains(&Ok(Verdict::New)) {
        tx.commit().map_err(rows::storage)?;
    }
    Ok(outcomes)
}

fn record_one(tx: &Connection, pinned: &Pinned, ask: &Ask) -> Result<Verdict, NotSafe> {
    match ask {
        Ask::Receipt(ask, signed) => {
            let Receipt { job, seq, .. } = ask.receipt;
            let (signer, floor) = (signed.map(|(_, signer)| signer), rows::floor(tx, job)?);
            let (client, kept) = (rows::client(tx, job)?, rows::segment(tx, job, seq)?);
            let verdict = rules::receipt(ask, signer, client, kept.as_ref(), floor)?;
            if let (Verdict::New, Some((signature, _))) = (verdict, signed) {
                let receipt = Some((ask.receipt.clone(), *signature));
                rows::add_segment(tx, ask.client, &Kept { order: ask.order.clone(), receipt })?;
            }
            Ok(verdict)
        }
        Ask::Order(order) => {
            let kept = rows::segment(tx, order.job, order.seq)?;
            let verdict = rules::order(order, kept.as_ref(), rows::floor(tx, order.job)?)?;
            if verdict == Verdict::New {
                rows::add_segment(tx, pinned.address, &Kept { order: order.clone(), receipt: None })?;
            }
            Ok(verdict)
        }
    }
}

fn claim_of(ask: &TransactionRequest) -> Option<(JobId, Claimed)> {
    let Action::Claim { job, first, count, root, units } = ask.action else { return None };
    Some((job, Claimed { first, count, root, units, nonce: ask.nonce }))
}

/// A panic elsewhere leaves the connection usable: its transaction was rolled back when it unwound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
