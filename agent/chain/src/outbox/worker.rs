//! The one task that moves intents on: follow what is on its way, then start the next.
//!
//! Each round is made of steps that are durable one by one, so that the task may be dropped at any await.

mod follow;
mod start;

use super::intent::{Deadline, Event, Rank};
use super::store::Entry;
use super::{Doubt, Doubts, OutboxError, Shared, TxSigner};
use crate::error::{Class, RpcError};
use crate::provider::views::{Agreed, Nonces};
use crate::provider::{CodePin, Rpc};
use crate::watcher::Head;
use alloy::primitives::{Address, B256};
use headframe_market::BlockNo;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Rounds in a row in which a spent nonce must show no receipt before it counts as foreign: a provider may know its
/// head a moment before its receipts.
const FOREIGN_ROUNDS: u32 = 10;
/// The longest rest after a failed round.
const MAX_REST: Duration = Duration::from_secs(3);
/// Without news of the chain or of intents; both end it at once.
const IDLE_REST: Duration = Duration::from_secs(15);
/// Proofs do not wait until what stands before them is mined, but no more than this may be in no block at once: pools drop
/// long rows of one account.
const IN_FLIGHT: usize = 8;
/// Blocks between two looks at the contracts' code.
const PINS_EVERY: u64 = 50;

/// Makes and follows transactions until stopped. The caller owns the task.
pub struct Worker {
    shared: Arc<Shared>,
    rpc: Rpc,
    signer: Arc<dyn TxSigner>,
    account: Address,
    /// The head, the final block, and whether there was a quorum, when nothing was left to do.
    idle_at: (B256, BlockNo, bool),
    /// For each spent nonce without a receipt: in how many rounds.
    missing: BTreeMap<u64, u32>,
    /// Reorganisations that were looked at. None were before the first round: nobody saw those of the time before the start.
    reorgs: Option<u64>,
    /// What this round could not look at, because too few answer, or those who do are behind: for [`Shared::doubted`].
    doubted: BTreeMap<i64, Doubt>,
    /// The head on which the bytes of what is in doubt went out last: once is enough.
    resent_at: B256,
    /// What was undone although it was final, as far as it was looked at.
    broken: Option<Arc<str>>,
    /// The contracts' code as this node began with it, and when it was last compared.
    pins: Vec<CodePin>,
    pins_seen: Option<BlockNo>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("account", &self.account).finish_non_exhaustive()
    }
}

/// What a round came to.
enum Round {
    /// Something changed: go on at once.
    Progress,
    /// A transaction is on its way: look again soon.
    Waiting,
    /// Nothing to do until somebody asks or the chain moves.
    Idle,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, rpc: Rpc, signer: Arc<dyn TxSigner>) -> Self {
        let account = signer.address();
        Self {
            shared,
            rpc,
            signer,
            account,
            idle_at: (B256::ZERO, BlockNo(0), false),
            missing: BTreeMap::new(),
            reorgs: None,
            doubted: BTreeMap::new(),
            resent_at: B256::ZERO,
            broken: None,
            pins: Vec::new(),
            pins_seen: None,
        }
    }

    /// Works until `stop`. Safe to drop at any time: the rows say where to go on.
    ///
    /// # Errors
    /// Only what [`OutboxError::is_unsafe`]: the process must stop with exit code 79.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), OutboxError> {
        let mut head = self.shared.head.clone();
        let poll = self.shared.settings.poll;
        let mut rest = poll;
        loop {
            let round = match stop.run_until_cancelled(self.round()).await {
                None => return Ok(()),
                Some(Ok(round)) => {
                    rest = poll;
                    self.healthy(Ok(()));
                    round
                }
                Some(Err(error)) => {
                    self.healthy(Err(&error));
                    if error.is_unsafe() {
                        let mut halted = self.shared.halted.lock().unwrap_or_else(PoisonError::into_inner);
                        *halted = Some(error.to_string().into());
                        drop(halted);
                        self.shared.changes.send_modify(|n| *n += 1);
                        return Err(error);
                    }
                    rest = (rest * 2).min(MAX_REST);
                    Round::Waiting
                }
            };
            let pause = async {
                match round {
                    Round::Progress => {}
                    Round::Waiting => tokio::time::sleep(rest).await,
                    Round::Idle => tokio::select! {
                        biased;
                        () = self.shared.wake.notified() => {}
                        // Without a watcher left, look from time to time.
                        changed = head.changed() => if changed.is_err() { tokio::time::sleep(MAX_REST).await },
                        () = tokio::time::sleep(IDLE_REST) => {}
                    },
                }
            };
            if stop.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
        }
    }

    fn healthy(&self, now: Result<(), &OutboxError>) {
        let now = now.map_err(|error| Arc::<str>::from(error.to_string()));
        self.shared.health.send_if_modified(|before| {
            if let Err(why) = &now
                && before.is_ok()
            {
                tracing::warn!(reason = %why, "transactions are held up");
            }
            let news = *before != now;
            *before = now;
            news
        });
    }

    async fn round(&mut self) -> Result<Round, OutboxError> {
        let head = self.shared.head.borrow().clone();
        if head.hash == B256::ZERO {
            return Err(OutboxError::Waiting("no block has been seen yet".into()));
        }
        let next = match self.shared.store(|store| Ok(store.next_nonce()?)).await? {
            Some(next) => next,
            None => self.first_nonce().await?,
        };
        self.drop_late(&head).await?;
        let looked = self.idle_at == (head.hash, head.finalized, head.quorum);
        let (queued, unfinished) = self
            .shared
            .store(|store| Ok((store.next(Rank::Upkeep, &[])?.is_some(), store.is_anything_on_the_way()?)))
            .await?;
        if !queued && !unfinished && looked {
            return Ok(Round::Idle);
        }
        let known = self.know_contracts(&head).await?;
        let sure = self.no_stranger(next).await?;
        let mined = sure.value.mined;
        if head.finality_broken != self.broken {
            self.broken = head.finality_broken.clone();
            if let Some(broken) = &head.finality_broken {
                self.hold(broken).await?;
            }
        }
        let entries = self.to_follow(mined, &head).await?;
        let urgency = self.urgency(&entries, mined).await?;
        let (mut in_flight, mut waiting) = (0, false);
        let looks = self.look(&entries, mined).await?;
        // Whoever has not heard of the head cannot say that something fell out of the chain.
        let fallen = |entry: &Entry| entry.intent.nonce >= Some(mined) && !entry.intent.state.is_in_flight();
        let theirs = if entries.iter().any(fallen) { Some(self.rpc.heads().await?) } else { None };
        self.doubted.clear();
        for (entry, look) in entries.into_iter().zip(looks) {
            let id = entry.id;
            let state = self.follow((entry, look), (&sure, theirs.as_ref()), &head, &urgency).await?;
            let spent = matches!(self.doubted.get(&id), Some(Doubt::Spent(_))); // in a block, or in no pool any more
            in_flight += usize::from(state.is_in_flight() && !spent);
            waiting |= !state.is_done();
        }
        if self.doubted.is_empty() {
            self.reorgs = Some(head.reorgs);
        }
        self.resent_at = head.hash;
        self.keep_doubts(&head);
        self.missing.retain(|nonce, _| *nonce < mined);
        let lowest = match in_flight {
            // Without a quorum, or while a provider shows transactions that are not ours, only what cannot wait.
            0 if sure.quorum && head.quorum && known && sure.value.most <= next => Rank::Upkeep,
            0..IN_FLIGHT => Rank::Proof,
            _ => return Ok(Round::Waiting),
        };
        if self.start_next(lowest, &head).await? {
            return Ok(Round::Progress);
        }
        if waiting || !self.doubted.is_empty() {
            return Ok(Round::Waiting);
        }
        self.idle_at = (head.hash, head.finalized, head.quorum);
        Ok(Round::Idle)
    }

    /// Tells who asks for a proof again what is in doubt; each since it first was.
    fn keep_doubts(&self, head: &Head) {
        let mut known = self.shared.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |(id, now): (&i64, &Doubt)| match (known.rows.get(id), now) {
            (Some(before @ Doubt::Spent(_)), Doubt::Spent(_)) => (*id, *before),
            _ => (*id, *now),
        };
        let rows = self.doubted.iter().map(since).collect();
        *known = Doubts { at: (head.reorgs, head.quorum), rows };
    }

    /// Compares the contracts' code with what was found at the first start, now and then; whether a quorum could be asked.
    async fn know_contracts(&mut self, head: &Head) -> Result<bool, OutboxError> {
        if self.pins_seen.is_some_and(|seen| head.number < seen.after(PINS_EVERY)) {
            return Ok(true);
        }
        let compared = match self.pins.is_empty() {
            true => self.rpc.codes(&self.shared.settings.contracts).await,
            false => self.rpc.check_codes(&self.pins).await.map(|()| self.pins.clone()),
        };
        let found = match compared {
            Ok(found) => found,
            Err(error) if error.class() == Class::Unsafe => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "the contracts' code cannot be compared");
                return Ok(false);
            }
        };
        let pins = found.clone();
        if let Some((now, expected)) = self.shared.store(move |store| Ok(store.pin_codes(&pins)?)).await? {
            let (name, address, found) = (now.name, now.address, now.hash);
            return Err(RpcError::WrongCode { name, address, expected, found }.into());
        }
        (self.pins, self.pins_seen) = (found, Some(head.number));
        Ok(true)
    }

    /// How many transactions the account has made, all of which must be ours: a quorum that knows of one beyond `next`,
    /// mined or waiting, knows another holder of the key.
    async fn no_stranger(&self, next: u64) -> Result<Agreed<Nonces>, OutboxError> {
        let nonces = self.rpc.nonces(self.account).await?;
        if nonces.quorum && nonces.value.mined.max(nonces.value.pending) > next {
            return Err(OutboxError::ForeignNonce { account: self.account, nonce: next });
        }
        Ok(nonces)
    }

    /// What is on its way or fell out of the chain, what may be final now, and after a reorganisation all that was done
    /// in blocks which may be others since.
    async fn to_follow(&self, mined: u64, head: &Head) -> Result<Vec<Entry>, OutboxError> {
        let (finalized, reorged) = (head.finalized, self.reorgs != Some(head.reorgs));
        // Several at once are not told apart: then, and after a start, everything that is not final is looked at.
        let fork = match (head.last_reorg, self.reorgs) {
            (Some(reorg), Some(seen)) if head.reorgs <= seen.saturating_add(1) => reorg.fork.unwrap_or_default(),
            _ => finalized,
        };
        let found = self.shared.store(move |store| {
            let mut found = store.on_the_way(mined)?;
            found.extend(store.to_settle(finalized)?);
            if reorged {
                found.extend(store.done_above(fork)?);
            }
            Ok(found)
        });
        let mut found = found.await?;
        found.sort_by_key(|entry| entry.intent.nonce);
        found.dedup_by_key(|entry| entry.id);
        Ok(found)
    }

    /// Ends what waits for its turn and would come too late. Only what every view of the chain calls late is.
    async fn drop_late(&self, head: &Head) -> Result<(), OutboxError> {
        if !head.quorum {
            return Ok(());
        }
        let waiting = self.shared.store(|store| Ok(store.waiting_with_deadline()?)).await?;
        for entry in waiting {
            if let Some(late) = entry.intent.deadline.passed(head.lowest.0, head.lowest.1) {
                self.fail(&entry, &format!("dropped: {late}"), head).await?;
            }
        }
        Ok(())
    }

    /// For each transaction in no block: the best rank, and the deadlines, of what cannot happen before it.
    async fn urgency(&self, entries: &[Entry], mined: u64) -> Result<Urgency, OutboxError> {
        let (best, due) =
            self.shared.store(|store| Ok((store.best_waiting()?, store.waiting_with_deadline()?))).await?;
        let mut deadlines: Vec<Deadline> = due.iter().map(|entry| entry.intent.deadline).collect();
        let mut rank = best.unwrap_or(Rank::Upkeep);
        let mut of = BTreeMap::new();
        for entry in entries.iter().rev().filter(|entry| entry.intent.nonce >= Some(mined)) {
            rank = rank.min(entry.rank);
            deadlines.push(entry.intent.deadline);
            of.insert(entry.id, (rank, deadlines.clone()));
        }
        Ok(Urgency(of))
    }

    async fn reload(&self, entry: &Entry) -> Result<Entry, OutboxError> {
        let (key, old) = (entry.intent.key.clone(), entry.clone());
        self.shared.store(move |store| Ok(store.get(&key)?.unwrap_or(old))).await
    }

    /// Reads the row again and tells everybody what has become of it.
    async fn tell(&self, entry: &Entry, event: fn(super::Intent) -> Event) -> Result<Entry, OutboxError> {
        let entry = self.reload(entry).await?;
        let _ = self.shared.events.send(event(entry.intent.clone())); // nobody may be listening
        self.changed();
        Ok(entry)
    }

    fn changed(&self) {
        self.shared.changes.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// How urgent what is on its way is, by row.
struct Urgency(BTreeMap<i64, (Rank, Vec<Deadline>)>);

impl Urgency {
    /// The rank that counts for its fees: its own, or that of something better which stands behind it.
    fn rank(&self, entry: &Entry) -> Rank {
        self.0.get(&entry.id).map_or(entry.rank, |(rank, _)| *rank)
    }

    /// Whether it, or something behind it, is due within so many blocks or seconds.
    fn is_due(&self, entry: &Entry, head: &Head, blocks: u64, seconds: u64) -> bool {
        let due = |deadline: &Deadline| deadline.is_near(head.highest.0, head.highest.1, blocks, seconds);
        self.0.get(&entry.id).is_some_and(|(_, deadlines)| deadlines.iter().any(due))
    }
}
