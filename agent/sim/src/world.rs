//! What the rig does not control and what survives its crashes: chain, providers, disk, clients' orders, and the moment of
//! the next crash.

use crate::chain::{Chain, Gas};
use crate::checker::Checker;
use crate::clients::Progresses;
use crate::dice::Dice;
use crate::provider::Condition;
use crate::scenario::Scenario;
use crate::trace::Trace;
use headframe_guard::protocol::KeptReceipt;
use headframe_market::typed_data::Domain;
use headframe_market::{Action, Address, B256, Bid, ClaimId, JobId, Segment, Signature};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The world of one run. All in one thread; the lock is there because the traits ask for it.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(Mutex::new(inner)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A moment between two steps of the rig at which it may die. Never comes back from a death.
    pub(crate) async fn step(&self, place: &'static str) {
        let lives = self.lock().point(place);
        if !lives {
            std::future::pending::<()>().await;
        }
    }
}

/// What a client asks of the rig.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Offer(Box<Bid>),
    Segment { order: Segment, signature: Signature, client: Address },
}

/// What the rig says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Offer(Signature),
    Done,
    /// Ask again later.
    Later,
    /// Never.
    No,
}

/// Files of the rig beside its two databases.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// By claim and seed.
    pub(crate) answers: BTreeMap<(ClaimId, B256), Action>,
    /// Source and outcome of each segment's bytes as they are kept.
    pub(crate) segments: BTreeMap<(JobId, u64), (B256, B256)>,
    /// Receipts that were signed against the guard's will.
    pub(crate) forced: BTreeMap<(JobId, u64), KeptReceipt>,
}

/// All of it.
pub(crate) struct Inner {
    pub(crate) scenario: Scenario,
    pub(crate) domain: Domain,
    pub(crate) chain: Chain,
    pub(crate) gas: Gas,
    pub(crate) providers: Vec<Condition>,
    pub(crate) trace: Trace,
    pub(crate) checker: Checker,
    pub(crate) start: Instant,
    /// For what happens block by block.
    pub(crate) dice: Dice,
    pub(crate) network: Dice,
    pub(crate) liar: Dice,
    pub(crate) worker: Dice,
    pub(crate) stale_by: u64,
    pub(crate) disk: Disk,
    pub(crate) inbox: VecDeque<(u64, Ask)>,
    pub(crate) replies: BTreeMap<u64, Reply>,
    pub(crate) asked: u64,
    pub(crate) mail: Arc<Notify>,
    pub(crate) answered: Arc<Notify>,
    /// Write points until the next crash.
    pub(crate) fuse: Option<u64>,
    pub(crate) crash_dice: Dice,
    pub(crate) dead: bool,
    pub(crate) death: Arc<Notify>,
    /// Since when the rig runs; `None` while it is down.
    pub(crate) up_since: Option<u64>,
    pub(crate) halted: Option<String>,
    pub(crate) progress: Progresses,
}

impl Inner {
    pub(crate) fn ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn note(&mut self, quiet: bool, what: fmt::Arguments<'_>) {
        let ms = self.ms();
        self.trace.event(ms, quiet, what);
    }

    /// A point at which the rig may die; whether it lives.
    pub(crate) fn point(&mut self, place: &'static str) -> bool {
        if self.dead {
            return false;
        }
        match &mut self.fuse {
            Some(0) => {
                self.fuse = None;
                self.die(place);
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }

    pub(crate) fn die(&mut self, place: &'static str) {
        if self.dead || self.up_since.is_none() || self.halted.is_some() {
            return;
        }
        self.dead = true;
        self.note(false, format_args!("crash: {place}"));
        self.trace.count("crashes");
        self.trace.count(&format!("crash: {place}"));
        self.death.notify_one();
    }

    /// A new life.
    pub(crate) fn revive(&mut self) {
        self.dead = false;
        self.up_since = Some(self.ms());
        let every = self.scenario.crash_every;
        self.fuse = (every > 0).then(|| self.crash_dice.below(2 * every));
        self.inbox.clear();
        self.note(false, format_args!("the rig starts"));
    }

    /// A request of a client: its number.
    pub(crate) fn ask(&mut self, ask: Ask) -> Option<u64> {
        if self.dead || self.up_since.is_none() || self.halted.is_some() || self.inbox.len() > 16 {
            return None;
        }
        self.asked += 1;
        self.inbox.push_back((self.asked, ask));
        self.mail.notify_one();
        Some(self.asked)
    }

    pub(crate) fn reply(&mut self, number: u64, reply: Reply) {
        self.note(true, format_args!("reply {number}: {reply:?}"));
        self.replies.insert(number, reply);
        self.answered.notify_waiters();
    }
}
