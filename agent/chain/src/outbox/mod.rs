//! Transactions whose effect happens exactly once, whatever crashes, drops or reorganises in between.
//!
//! An [`Action`] becomes a durable intent under its own key, then a nonce with fixed fees, then signed bytes, and only
//! then leaves this process; every step is on disk before the next begins, so a restart goes on from the last row and
//! sends the same bytes again. It is then seen in a block, safe under some more, and final. The next transaction starts
//! when the one before is mined, but a proof, which has a deadline and costs stake when it is late, follows at once. Fees
//! rise while a transaction waits, up to a cap; its content never changes. What a kind of action costs in a day is
//! bounded by [`Budgets`].
//!
//! Keys stay elsewhere: a [`TxSigner`] turns typed actions into signed bytes and may refuse.

mod budget;
mod fees;
mod intent;
mod raise;
mod store;
mod worker;

pub use budget::{BudgetView, Budgets, Exhausted, OTHER};
pub use fees::{FeePolicy, Fees};
pub use intent::{Deadline, Event, Intent, Rank, State, Until};
pub use raise::{PerGas, Raise};
pub use store::{GasTotal, Room, StoreError};
pub use worker::Worker;

use crate::error::RpcError;
use crate::provider::Rpc;
use crate::watcher::Head;
use alloy::primitives::{Address, B256, Bytes};
use headframe_market::{Action, Addresses, BlockNo};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Keep, Store};
use tokio::sync::{Notify, broadcast, watch};

/// Turns the bytes of a contract's own error into words; the outbox knows no contract.
pub type RevertDecoder = Arc<dyn Fn(&[u8]) -> Option<String> + Send + Sync>;

/// Where the steps that may block are taken: those of the store and of the signer.
#[derive(Clone)]
pub enum Blocking {
    /// On threads where that is fine.
    Threads,
    /// Within the task, so that a simulation repeats exactly. Asked before and after each step whether the process still
    /// lives; after the first no, nothing happens any more, and the store is dropped as a killed process drops it.
    Here(Arc<dyn Fn() -> bool + Send + Sync>),
}

/// How transactions are made and followed.
#[derive(Clone)]
pub struct Settings {
    /// The contracts that actions call.
    pub addresses: Addresses,
    /// What a transaction may offer.
    pub fees: FeePolicy,
    /// What may be spent in a day.
    pub budgets: Budgets,
    /// Blocks on top of a transaction's own after which it counts as safe.
    pub confirmations: u64,
    /// Blocks without inclusion after which the fees are raised; each block when a deadline is near.
    pub bump_after: u64,
    /// Blocks after which a failed intent may be tried again.
    pub retry_after: u64,
    /// The highest gas limit ever asked for.
    pub max_gas: u64,
    /// Between two looks at a transaction on its way.
    pub poll: Duration,
    /// Intents that may wait; further ones are refused, but for proofs.
    pub max_queue: u64,
    /// Contracts whose code must stay what it was at the first start, with their names.
    pub contracts: Vec<(&'static str, Address)>,
    /// A person says that the account's transactions so far, which a new store does not know, were made by nobody who
    /// still uses the key.
    pub take_over: bool,
    /// Finished intents kept with everything, and kept at all.
    pub keep: (u64, u64),
    /// Knows the contracts' own errors.
    pub explain: Option<RevertDecoder>,
    /// Where store and signer are called.
    pub blocking: Blocking,
    /// Room on the store's disk that proofs may use when there is no other.
    pub room: Option<Arc<dyn Room>>,
}

impl Settings {
    /// The defaults for contracts at `addresses`.
    pub fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            fees: FeePolicy::default(),
            budgets: Budgets::default(),
            confirmations: 2,
            bump_after: 5,
            retry_after: 5,
            max_gas: 16_000_000,
            poll: Duration::from_millis(500),
            max_queue: 10_000,
            contracts: Vec::new(),
            take_over: false,
            keep: (1_000, 100_000),
            explain: None,
            blocking: Blocking::Threads,
            room: None,
        }
    }
}

/// What a transaction is signed with, apart from what the action says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxFields {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The account's nonce.
    pub nonce: u64,
    /// Gas limit.
    pub gas_limit: u64,
    /// `maxFeePerGas` in wei.
    pub max_fee: u128,
    /// `maxPriorityFeePerGas` in wei.
    pub max_priority: u128,
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// As `eth_sendRawTransaction` takes it.
    pub raw: Bytes,
    /// Its hash.
    pub hash: B256,
}

/// Why there is no signature.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SignError {
    /// A rule forbids it, now and later. The intent fails.
    #[error("the signer refuses: {0}")]
    Refused(String),
    /// The signer itself says that going on is not safe. The process must stop.
    #[error("the signer has halted: {0}")]
    Unsafe(String),
    /// It cannot be asked right now. The intent waits.
    #[error("the signer cannot be reached: {0}")]
    Unavailable(String),
}

/// The one door to signatures.
///
/// Signing the same action with the same fields again must give the same bytes, and the same action and nonce with
/// other fees must be allowed: that is how a crash between signing and storing, and a replacement, come out right.
pub trait TxSigner: Send + Sync + 'static {
    /// The account that signs.
    fn address(&self) -> Address;

    /// Signs. Runs on a thread where blocking is fine, but must come back: give it a deadline of its own.
    ///
    /// # Errors
    /// See [`SignError`].
    fn sign(&self, action: &Action, tx: &TxFields) -> Result<Signed, SignError>;
}

/// Why the outbox cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// A transaction of our account was mined that this store never signed: another process uses the key, or the store
    /// is old. Going on could do things twice.
    #[error(
        "account {account}: nonce {nonce} is used by a transaction that this node did not make; another instance runs \
         with the same key, or the transaction store is old; stop the other instance, restore the newest state \
         directory, or move to a new key"
    )]
    ForeignNonce {
        /// Our account.
        account: Address,
        /// The nonce in question.
        nonce: u64,
    },
    /// A new store, and an account with a past.
    #[error(
        "account {account} has made {count} transactions, and this state directory knows of none: another instance may \
         run with the same key, or the state was lost; stop the other instance, restore the state directory, or move to a \
         new key; if nobody else uses the key any more, start once with --take-over-account"
    )]
    UnknownPast {
        /// Our account.
        account: Address,
        /// How many, those that wait included.
        count: u64,
    },
    /// The chain, as far as it is fatal or not worth waiting for.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The durable store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signer, when it says that going on is not safe or cannot be asked.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The worker has stopped for good.
    #[error("no more transactions are made: {0}")]
    Halted(Arc<str>),
    /// Too many intents wait already.
    #[error("{0} transactions wait already; is the chain reachable?")]
    Full(u64),
    /// Nobody asked for this.
    #[error("no transaction is known under {0:?}")]
    Unknown(String),
    /// A person asked for something that its state does not allow.
    #[error("{key} is {state}: {why}")]
    NotNow {
        /// The intent.
        key: String,
        /// How far it has come.
        state: State,
        /// What is possible instead.
        why: &'static str,
    },
    /// It is still on its way.
    #[error("{key} is still {state} after {after:?}{}", .why.as_deref().map(|w| format!(": {w}")).unwrap_or_default())]
    TimedOut {
        /// The intent.
        key: String,
        /// How far it has come.
        state: State,
        /// How long was waited.
        after: Duration,
        /// What holds it up, if known.
        why: Option<String>,
    },
    /// Nothing can go on right now, for a reason that ends by itself.
    #[error("{0}")]
    Waiting(String),
}

impl OutboxError {
    /// Whether the process must stop (exit 79) instead of trying again.
    pub fn is_unsafe(&self) -> bool {
        match self {
            Self::ForeignNonce { .. }
            | Self::UnknownPast { .. }
            | Self::Halted(_)
            | Self::Sign(SignError::Unsafe(_)) => true,
            // What a full disk did not take is not there, and comes when there is room.
            Self::Store(error) => !matches!(error, StoreError::Full),
            Self::Rpc(error) => error.class() == crate::error::Class::Unsafe,
            _ => false,
        }
    }
}

/// The outbox as everybody but its worker sees it. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
    /// For what a person asks; the worker has its own.
    rpc: Rpc,
}

struct Shared {
    store: Mutex<Store>,
    settings: Settings,
    head: watch::Receiver<Head>,
    events: broadcast::Sender<Event>,
    /// Counts changes of rows, for those who wait.
    changes: watch::Sender<u64>,
    health: watch::Sender<Result<(), Arc<str>>>,
    halted: Mutex<Option<Arc<str>>>,
    /// Kinds that wait for money, each with the head at which it was found and the reason.
    waiting: Mutex<BTreeMap<String, Waits>>,
    /// Rows of which too few say what has become of them.
    doubted: Mutex<Doubts>,
    wake: Notify,
}

/// As the worker's last round found them.
#[derive(Clone, Debug, Default)]
struct Doubts {
    /// After how many reorganisations, and whether there was a quorum.
    at: (u64, bool),
    rows: BTreeMap<i64, Doubt>,
}

/// What those few say of a row's nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// Used up, since this block.
    Spent(BlockNo),
    /// Free, although a block had its transaction.
    Free,
}

/// Why nothing of one kind is started for now.
#[derive(Clone, Debug)]
struct Waits {
    /// Not looked at again before the chain has another head.
    at: B256,
    /// The budget does not reach; otherwise the fees of the chain are above the cap.
    over_budget: bool,
    why: Arc<str>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Outbox {
    /// Opens the store at `path` (one process at a time) and gives the handle and the worker, whose
    /// [`Worker::run`] the caller spawns. `head` is the watcher's view of the same chain.
    ///
    /// # Errors
    /// `Store`: in use, bound to another chain or account, or unreadable. All of them are unsafe to pass over.
    pub async fn open(
        path: &Path,
        rpc: Rpc,
        head: watch::Receiver<Head>,
        signer: Arc<dyn TxSigner>,
        settings: Settings,
    ) -> Result<(Self, Worker), OutboxError> {
        let (path, pin, account) = (path.to_owned(), rpc.pin(), signer.address());
        let room = settings.room.clone();
        let store = blocking(&settings.blocking, move || Store::open(&path, pin, account, room)).await??;
        if matches!(settings.blocking, Blocking::Here(_)) {
            store.leave_as_is()?;
        }
        let shared = Arc::new(Shared {
            store: Mutex::new(store),
            settings,
            head,
            events: broadcast::channel(256).0,
            changes: watch::channel(0).0,
            health: watch::channel(Ok(())).0,
            halted: Mutex::new(None),
            waiting: Mutex::default(),
            doubted: Mutex::default(),
            wake: Notify::new(),
        });
        Ok((Self { shared: shared.clone(), rpc: rpc.clone() }, Worker::new(shared, rpc, signer)))
    }

    /// Asks for the effect of `action`, once, with no deadline: see [`Self::submit_by`].
    ///
    /// # Errors
    /// As [`Self::submit_by`].
    pub async fn submit(&self, action: Action) -> Result<Intent, OutboxError> {
        self.submit_by(action, Deadline::NONE).await
    }

    /// Asks for the effect of `action`, once: with a key that was asked for before, this only reports, but as long as
    /// nothing was signed for it the newer content and deadline count. A failed intent is tried again when
    /// `retry_after` blocks have passed since it failed. An intent that was not signed by its deadline is dropped.
    ///
    /// A proof comes back sooner: one that failed after a block, whatever the quorum, because it is only signed when it can be
    /// run. Without a quorum also one that was mined, or may have been, `retry_after` blocks later: who asks has seen that it is
    /// due, and nobody can say for certain that it is not. It keeps its nonce where that is free, and else has a new one; at
    /// worst the second reverts.
    ///
    /// Durable when it returns. Dropping the future half way may or may not have recorded the intent.
    ///
    /// # Errors
    /// `Full`, `Halted`, `Store`.
    pub async fn submit_by(&self, action: Action, deadline: Deadline) -> Result<Intent, OutboxError> {
        self.check_running()?;
        let (head, at) = {
            let head = self.shared.head.borrow();
            (head.number, (head.reorgs, head.quorum))
        };
        let quorum = at.1;
        let proof = Rank::of(&action) == Rank::Proof;
        let (max_queue, retry_after) = (self.shared.settings.max_queue, self.shared.settings.retry_after);
        let doubted = self.shared.doubted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let intent = self
            .shared
            .store(move |store| match store.get(&action.key())? {
                Some(entry) if entry.intent.state != State::Queued => {
                    let doubt = doubted.rows.get(&entry.id).copied().filter(|_| !quorum);
                    // Below a quorum a proof has a new nonce only when the worker has looked whether its own is free.
                    let looked = quorum || doubted.at == at;
                    let since = match (entry.intent.state, doubt) {
                        (State::Failed, _) if !proof => entry.intent.done_block,
                        _ if !proof => None,
                        (state, Some(Doubt::Free)) if state.is_mined() || state == State::Failed => {
                            store.unmined(&entry, head)?;
                            None
                        }
                        (State::Failed, _) if looked => entry.intent.done_block,
                        (State::Reverted, _) if looked => entry.intent.block,
                        (state, _) if looked && !quorum && state.is_mined() => entry.intent.block,
                        (state, Some(Doubt::Spent(since))) if state.is_in_flight() => Some(since),
                        _ => None,
                    };
                    let failed = entry.intent.state == State::Failed;
                    let rest = if proof && (quorum || failed) { 1 } else { retry_after };
                    if since.is_some_and(|block| head >= block.after(rest)) {
                        store.retry(&entry, &action, deadline, head)?;
                    }
                    Ok(store.get(&action.key())?.map_or(entry.intent, |entry| entry.intent))
                }
                None if !proof && store.queued()? >= max_queue => Err(OutboxError::Full(max_queue)),
                None if !proof && !store.has_room() => Err(StoreError::Full.into()),
                _ => Ok(store.add(&action, deadline, head)?.intent),
            })
            .await?;
        self.shared.wake.notify_one();
        Ok(intent)
    }

    /// How far an intent has come; `None` when its key was never asked for.
    ///
    /// # Errors
    /// `Store`.
    pub async fn status(&self, key: &str) -> Result<Option<Intent>, OutboxError> {
        let key = key.to_owned();
        self.shared.store(move |store| Ok(store.get(&key)?.map(|entry| entry.intent))).await
    }

    /// Waits until an intent is mined or safe, or has failed; look at the state that comes back. A revert that is not
    /// deep yet comes back as [`State::Reverted`] from [`Until::Mined`].
    ///
    /// # Errors
    /// `Unknown`, `TimedOut`, `Halted`, `Store`. Dropping it is safe.
    pub async fn wait(&self, key: &str, until: Until, timeout: Duration) -> Result<Intent, OutboxError> {
        let mut changes = self.shared.changes.subscribe();
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let intent = self.status(key).await?.ok_or_else(|| OutboxError::Unknown(key.into()))?;
            match intent.state {
                State::Final | State::Failed => return Ok(intent),
                State::Safe if until != Until::Final => return Ok(intent),
                State::Mined | State::Reverted if until == Until::Mined => return Ok(intent),
                _ => {}
            }
            self.check_running()?;
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                let held_up = match self.health() {
                    Err(why) => Some(why.to_string()),
                    Ok(()) => self.held().await?,
                };
                let (key, state, why) = (intent.key, intent.state, intent.error.or(held_up));
                return Err(OutboxError::TimedOut { key, state, after: timeout, why });
            }
        }
    }

    /// The newest intents first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn list(&self, limit: u32) -> Result<Vec<Intent>, OutboxError> {
        self.shared.store(move |store| Ok(store.list(limit)?.into_iter().map(|entry| entry.intent).collect())).await
    }

    /// How many intents are in each state, among those kept.
    ///
    /// # Errors
    /// `Store`.
    pub async fn counts(&self) -> Result<BTreeMap<State, u64>, OutboxError> {
        self.shared.store(|store| Ok(store.counts()?)).await
    }

    /// What finished transactions cost since the store was made, by kind.
    ///
    /// # Errors
    /// `Store`.
    pub async fn gas_totals(&self) -> Result<BTreeMap<String, GasTotal>, OutboxError> {
        self.shared.store(|store| Ok(store.gas()?)).await
    }

    /// Has the fees of a transaction on its way raised now, as far as its cap allows.
    ///
    /// # Errors
    /// `Unknown`; `NotNow` when it is not on its way; `Store`.
    pub async fn bump(&self, key: &str) -> Result<Intent, OutboxError> {
        let intent = self.steer(key, |store, entry| {
            if !entry.intent.state.is_in_flight() {
                return Err("only what is signed and in no block can be raised");
            }
            Ok(store.hurry(entry.id)) // the worker's next look replaces it
        });
        intent.await
    }

    /// Drops an intent that nothing was signed for.
    ///
    /// # Errors
    /// `Unknown`; `NotNow` when it has a nonce: that nonce belongs to it for ever; `Store`.
    pub async fn cancel(&self, key: &str) -> Result<Intent, OutboxError> {
        let (head, keep) = (self.shared.head.borrow().number, self.shared.keep());
        let intent = self.steer(key, move |store, entry| {
            cancellable(entry.intent.state)?;
            Ok(store.fail_unsigned(entry.id, "cancelled by a person", head, keep))
        });
        let intent = intent.await?;
        let _ = self.shared.events.send(Event::Failed(intent.clone())); // nobody may be listening
        Ok(intent)
    }

    /// Whether [`Self::cancel`] would drop it now. Changes nothing.
    ///
    /// # Errors
    /// As [`Self::cancel`].
    pub async fn cancellable(&self, key: &str) -> Result<(), OutboxError> {
        let state = self.status(key).await?.ok_or_else(|| OutboxError::Unknown(key.into()))?.state;
        cancellable(state).map_err(|why| OutboxError::NotNow { key: key.into(), state, why })
    }

    async fn steer(
        &self,
        key: &str,
        how: impl FnOnce(&mut Store, &store::Entry) -> Result<Result<(), StoreError>, &'static str> + Send + 'static,
    ) -> Result<Intent, OutboxError> {
        self.check_running()?;
        let key = key.to_owned();
        let intent = self.shared.store(move |store| {
            let entry = store.get(&key)?.ok_or_else(|| OutboxError::Unknown(key.clone()))?;
            let state = entry.intent.state;
            how(store, &entry).map_err(|why| OutboxError::NotNow { key: key.clone(), state, why })??;
            Ok(store.get(&key)?.unwrap_or(entry).intent)
        });
        let intent = intent.await?;
        self.shared.wake.notify_one();
        self.shared.changes.send_modify(|n| *n = n.wrapping_add(1));
        Ok(intent)
    }

    /// Lets claims go on after [`Self::held`]: a person has looked.
    ///
    /// # Errors
    /// `Store`.
    pub async fn resume(&self) -> Result<(), OutboxError> {
        self.shared.store(|store| Ok(store.release()?)).await?;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Why claims and what is less urgent are held back until a person has looked ([`Self::resume`]), if so.
    ///
    /// # Errors
    /// `Store`.
    pub async fn held(&self) -> Result<Option<String>, OutboxError> {
        self.shared.store(|store| Ok(store.held()?)).await
    }

    /// Today's spending by kind, for every kind that has a limit of its own, spent something or waits.
    ///
    /// # Errors
    /// `Store`.
    pub async fn budgets(&self) -> Result<Vec<BudgetView>, OutboxError> {
        let today = budget::day(self.shared.head.borrow().timestamp);
        let budgets = self.shared.settings.budgets.clone();
        let waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let views = self.shared.store(move |store| {
            let mut kinds: std::collections::BTreeSet<String> = store.kinds_of(today)?.into_iter().collect();
            kinds.extend(waiting.keys().cloned());
            kinds.extend(budgets.kinds().map(String::from));
            let view = |kind: String| {
                let exhausted = waiting.get(&kind).filter(|waits| waits.over_budget).map(|waits| waits.why.to_string());
                let spent = store.spent(&kind, today, None)?;
                Ok(BudgetView { limit: budgets.limit(&kind), spent, exhausted, kind })
            };
            kinds.into_iter().map(view).collect()
        });
        views.await
    }

    /// What waits for money, by kind: its budget is spent, or the chain's fees are above the cap.
    pub fn waiting(&self) -> Vec<(String, Arc<str>)> {
        let waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.iter().map(|(kind, waits)| (kind.clone(), waits.why.clone())).collect()
    }

    /// Whether there is room on the disk for more than the proofs of what was claimed.
    pub fn has_room(&self) -> bool {
        self.shared.settings.room.as_ref().is_none_or(|room| room.is_kept())
    }

    /// What happens from now on. A receiver that falls 256 events behind is told so and loses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Whether the worker gets on, and if not, why.
    ///
    /// # Errors
    /// The reason, for a person.
    pub fn health(&self) -> Result<(), Arc<str>> {
        self.shared.health.borrow().clone()
    }

    fn check_running(&self) -> Result<(), OutboxError> {
        let halted = self.shared.halted.lock().unwrap_or_else(PoisonError::into_inner);
        halted.clone().map_or(Ok(()), |why| Err(OutboxError::Halted(why)))
    }
}

/// Why an intent in this state cannot be dropped, if so.
fn cancellable(state: State) -> Result<(), &'static str> {
    match state {
        State::Queued => Ok(()),
        State::Reserved | State::Signed | State::Sent => {
            Err("it has a nonce, which may be signed for nothing else any more; raise its fees instead (tx bump)")
        }
        _ => Err("it is over"),
    }
}

impl Shared {
    /// Runs `f` on the store, on a thread where the disk may block.
    async fn store<T: Send + 'static>(
        self: &Arc<Self>,
        f: impl FnOnce(&mut Store) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let shared = self.clone();
        // A panic half way rolled its transaction back, so the store is as good as before.
        let run = move || f(&mut shared.store.lock().unwrap_or_else(PoisonError::into_inner));
        blocking(&self.settings.blocking, run).await?
    }

    fn keep(&self) -> Keep {
        Keep { full: self.settings.keep.0, rows: self.settings.keep.1 }
    }
}

async fn blocking<T: Send + 'static>(how: &Blocking, f: impl FnOnce() -> T + Send + 'static) -> Result<T, OutboxError> {
    if let Blocking::Here(lives) = how {
        if !lives() {
            std::future::pending::<()>().await;
        }
        let done = f();
        if !lives() {
            std::future::pending::<()>().await;
        }
        return Ok(done);
    }
    let ended = |error: tokio::task::JoinError| OutboxError::Waiting(format!("a blocking step ended early: {error}"));
    tokio::task::spawn_blocking(f).await.map_err(ended)
}
