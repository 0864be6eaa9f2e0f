//! What the broker is told and what it wants done.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::class::{Class, Spec};
use crate::units::{CardId, Moment};

/// A worker process; a number that is never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

/// An encoder session of the driver. Numbered by the broker, never twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Someone who wants a session for one rung of one segment. Numbered by the asker, never twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// A session given to an asker. Numbered by the broker, never twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Where the pictures are: only a session of this process can read them.
    pub worker: WorkerId,
    /// What to make.
    pub spec: Spec,
    /// From then on the result is of no use.
    pub deadline: Moment,
    /// Time that one encode engine of that card needs for it, as far as is known; taken as 0.1 ms to 60 s.
    pub work: Duration,
    /// Time until the CPU engine would have it made; `None` where it cannot.
    pub cpu: Option<Duration>,
}

/// A worker that has come up, and its card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardUp {
    /// The card.
    pub card: CardId,
    /// The process.
    pub worker: WorkerId,
    /// Encode engines of the chip; none means that the card never gets a session.
    pub engines: u32,
    /// Whether its sessions count towards the system's cap (consumer cards).
    pub counted: bool,
    /// Version of the driver.
    pub driver: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker is ready.
    CardUp(CardUp),
    /// A worker is gone and has been reaped, so that the driver has taken back its sessions.
    WorkerLost(WorkerId),
    /// Someone wants a session.
    Ask(AskId, Ask),
    /// They want it no more.
    Cancel(AskId),
    /// A session asked for by [`Effect::Open`] is there, made for nothing yet.
    Opened(SessionId),
    /// It is not.
    OpenFailed(SessionId, Refusal),
    /// A session is closed as [`Effect::Close`] wanted.
    Closed(SessionId),
    /// A lease has ended.
    Released(LeaseId, End),
    /// Time has passed: [`super::Broker::next_wake`].
    Tick,
}

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The driver takes no more of them. NVENC says "out of memory" for this too: the worker looks at what the card has free.
    Sessions,
    /// The card's memory is full.
    Memory,
    /// The driver says anything else.
    Device,
}

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The rung is made. `setup` is what the step before the first picture took.
    Done {
        /// Time of [`Step`].
        setup: Duration,
    },
    /// It was given up half way, as [`Effect::Stop`] wanted or by the worker's own choice. The session can go on.
    Stopped,
    /// The driver does not reconfigure this session, which is as it was.
    ReconfigureRefused,
    /// While it was made anew, someone else took its place: there is no session any more.
    Refused(Refusal),
    /// The session broke and was closed.
    Broken,
}

/// What the worker does with the session before the first picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Nothing was made with it yet: make it of this class.
    Begin(Class),
    /// Reconfigure it, encoder state reset.
    Reconfigure,
    /// Close it, open it again and make it of this class.
    Recreate(Class),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The worker opens a session.
    Open(WorkerId, SessionId),
    /// The worker closes it.
    Close(WorkerId, SessionId),
    /// The asker may use the session until it says [`Event::Released`].
    Grant {
        /// This use.
        lease: LeaseId,
        /// Whose it is.
        ask: AskId,
        /// Where.
        worker: WorkerId,
        /// What.
        session: SessionId,
        /// How to begin.
        step: Step,
    },
    /// The worker gives up the lease and releases it.
    Stop(WorkerId, LeaseId),
    /// No session will come in time: to the CPU engine with it, where that can. To be logged.
    Overflow(AskId, Overflow),
    /// The ask is over: cancelled, or its worker is gone.
    Gone(AskId),
    /// The worker does not answer and is to be ended; [`Event::WorkerLost`] follows.
    Overdue(WorkerId),
    /// What a rung took of an encode engine, setting up excluded: for the cost model.
    Spent {
        /// The card.
        card: CardId,
        /// What was made.
        spec: Spec,
        /// What was expected.
        work: Duration,
        /// What it was.
        engine: Duration,
    },
    /// So many sessions are open on the card now.
    Sessions(CardId, u32),
    /// What is believed of the cap has changed. To be logged.
    Cap {
        /// Sessions that may be held.
        believed: u32,
        /// Whether the driver has said no, or so many were enough so far.
        limit: bool,
    },
    /// Sessions of this class are made anew from now on under this driver. To be logged.
    ReconfigureDenied {
        /// Its version.
        driver: String,
        /// The class.
        class: Class,
    },
    /// Nonsense was said, and ignored. To be counted.
    Unexpected(&'static str),
}

/// Why a rung gets no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// Too many wait.
    QueueFull {
        /// Those waiting.
        waiting: usize,
    },
    /// The card has no encode engine.
    NoEngine,
    /// The card has no session, and none is to be had.
    NoSession {
        /// Sessions that all cards may hold together.
        cap: u32,
    },
    /// It would be late.
    Late {
        /// By how much.
        by: Duration,
    },
    /// It was tried on several sessions.
    Failing {
        /// How many.
        tries: u32,
    },
    /// Its worker is not known.
    NoWorker,
}

impl Overflow {
    /// Number of reasons.
    pub const COUNT: usize = 6;
    /// Their names, by [`Self::index`].
    pub const NAMES: [&'static str; Self::COUNT] =
        ["queue_full", "no_engine", "no_session", "late", "failing", "no_worker"];

    /// A short constant name, fit for a metric's label.
    pub fn name(&self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// Place in [`super::Stats::overflowed`].
    pub fn index(&self) -> usize {
        match self {
            Self::QueueFull { .. } => 0,
            Self::NoEngine => 1,
            Self::NoSession { .. } => 2,
            Self::Late { .. } => 3,
            Self::Failing { .. } => 4,
            Self::NoWorker => 5,
        }
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull { waiting } => write!(f, "{waiting} rungs already wait for an encoder session"),
            Self::NoEngine => f.write_str("the card has no encoder"),
            Self::NoSession { cap } => {
                write!(f, "the card has no encoder session; the driver lets all cards have {cap} together")
            }
            Self::Late { by } => write!(f, "it would be {} ms late on the card's encoder", by.as_millis()),
            Self::Failing { tries } => write!(f, "{tries} encoder sessions failed on it"),
            Self::NoWorker => f.write_str("its worker is gone"),
        }
    }
}
