//! The state of the sessions and what each event does to it. What is due after every event is in `settle`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cap::Cap;
use super::class::{Class, Spec};
use super::event::{Ask, AskId, CardUp, Effect, End, Event, LeaseId, Overflow, Refusal, SessionId, Step, WorkerId};
use super::forecast::{Work, pace};
use crate::units::{CardId, MAX_CARDS, Moment};

/// Encode engines of one chip, and characters of a driver's version: what a worker says beyond that is cut.
const MAX_ENGINES: u32 = 16;
const MAX_VERSION: usize = 64;
/// Classes remembered that a driver does not reconfigure.
const MAX_DENIED: usize = 64;
/// Sessions that one rung is tried on.
const MAX_TRIES: u32 = 3;
/// Work that may be asked for at once.
const LEAST_WORK: Duration = Duration::from_micros(100);
const MOST_WORK: Duration = Duration::from_secs(60);
/// Expected work is taken for so much more: rungs differ.
pub(super) const CAUTION: f64 = 1.1;
/// A rung that takes longer than expected is expected to need this share of its work still, or this many times what it is over.
const REST: f64 = 0.05;
const OVER: f64 = 2.0;
/// Seconds that steps take until some were measured. Planning figures: "tens of ms" for making a session anew.
const BEGIN: f64 = 0.03;
const RECONFIGURE: f64 = 0.005;
const RECREATE: f64 = 0.06;
/// The weight of one measured step against what is known, and the most that is believed of one, seconds.
const WEIGHT: f64 = 0.1;
const LONGEST_STEP: f64 = 1.0;

/// How sessions are shared.
#[derive(Debug, Clone)]
pub struct Config {
    /// Sessions wanted for each encode engine; two fill it, one leaves it idle while it is set up.
    pub per_engine: u32,
    /// Rungs that may wait, on all cards together. Those whose session failed come back on top of it.
    pub most_waiting: usize,
    /// From a lease's deadline to the end of its worker, which should have given it up.
    pub grace: Duration,
    /// The longest that a worker may take to open or close a session.
    pub call_limit: Duration,
    /// Unused for so long, a session is closed unless it is the card's last.
    pub idle_close: Duration,
    /// Unused for so long, a session that is not its card's last can go where rungs wait and an engine has none.
    pub lend: Duration,
    /// The same where each engine has one already, and for a card's last one, to a card that has none.
    pub lend_last: Duration,
    /// For how long nothing more is opened on a card that had no memory for it, or a fault.
    pub short: Duration,
    /// Driver versions and classes known to be wrong after a reconfigure: made anew from the start.
    pub denied: Vec<(String, Class)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            per_engine: 2,
            most_waiting: 1024,
            grace: Duration::from_secs(2),
            call_limit: Duration::from_secs(5),
            idle_close: Duration::from_secs(60),
            lend: Duration::from_millis(250),
            lend_last: Duration::from_secs(2),
            short: Duration::from_secs(30),
            denied: Vec::new(),
        }
    }
}

/// The sessions at one moment, and what happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sessions that may be held on consumer cards, as far as is known.
    pub cap: u32,
    /// Whether the driver said so by refusing one, or so many were enough so far.
    pub cap_is_limit: bool,
    /// Sessions open, on all cards.
    pub open: u32,
    /// Of these at work.
    pub leased: u32,
    /// Rungs waiting.
    pub waiting: u32,
    /// Leases given.
    pub granted: u64,
    /// Of these on a session made for the first time, reconfigured, and made anew.
    pub steps: [u64; 3],
    /// Leases that ended with the rung made.
    pub done: u64,
    /// Leases stopped because their deadline passed.
    pub late: u64,
    /// Leases lost with their worker.
    pub lost: u64,
    /// Opens that were refused, whatever the reason.
    pub refused: u64,
    /// Sessions that went from card to card.
    pub moved: u64,
    /// Rungs that got no session, by [`Overflow::index`].
    pub overflowed: [u64; Overflow::COUNT],
    /// Events that made no sense.
    pub unexpected: u64,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ask: Ask,
    pub(super) tries: u32,
}

#[derive(Debug)]
pub(super) struct Card {
    pub(super) worker: WorkerId,
    pub(super) engines: u32,
    pub(super) counted: bool,
    pub(super) driver: String,
    /// In the order of deadlines.
    pub(super) waiting: BTreeMap<(Moment, AskId), Waiting>,
    /// When a session was last asked for.
    pub(super) asked: Option<Moment>,
    /// No more sessions than this until then.
    pub(super) short: Option<(u32, Moment)>,
    /// Its end was wanted already.
    pub(super) overdue: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Opening,
    Free,
    Leased(LeaseId),
    Closing,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) card: CardId,
    pub(super) state: State,
    /// When it came into this state.
    pub(super) since: Moment,
    /// One more than was believed possible when it was tried.
    pub(super) probe: bool,
    /// What it was made for.
    pub(super) class: Option<Class>,
    /// It is closed when it is free, so that this card can have one.
    pub(super) leaves_for: Option<CardId>,
}

impl Session {
    /// Whether it is there, and no call for it is on.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Free | State::Leased(_))
    }
}

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: AskId,
    pub(super) ask: Ask,
    pub(super) tries: u32,
    pub(super) session: SessionId,
    pub(super) step: Step,
    /// What is left of it, and what setting up was expected to take.
    pub(super) work: Work,
    pub(super) setup: f64,
    /// Engine seconds that it has had.
    pub(super) spent: f64,
    /// Nobody wants it any more.
    pub(super) stopped: bool,
}

/// All sessions of this machine. Pure: events go in with the time, effects come out.
#[derive(Debug)]
pub struct Broker {
    pub(super) config: Config,
    pub(super) cap: Cap,
    pub(super) cards: BTreeMap<CardId, Card>,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) leases: BTreeMap<LeaseId, Lease>,
    /// Seconds that the steps take.
    steps: [f64; 3],
    denied: Vec<(String, Class)>,
    driver: Option<String>,
    /// The ask of the event in hand.
    pub(super) fresh: Option<AskId>,
    pub(super) now: Moment,
    last_id: u64,
    counts: Stats,
    pub(super) out: Vec<Effect>,
}

impl Broker {
    /// Without any card.
    pub fn new(mut config: Config) -> Self {
        let mut denied = std::mem::take(&mut config.denied);
        denied.truncate(MAX_DENIED);
        Self {
            config,
            cap: Cap::new(),
            cards: BTreeMap::new(),
            sessions: BTreeMap::new(),
            leases: BTreeMap::new(),
            steps: [BEGIN, RECONFIGURE, RECREATE],
            denied,
            driver: None,
            fresh: None,
            now: Moment::default(),
            last_id: 0,
            counts: Stats::default(),
            out: Vec::new(),
        }
    }

    /// Takes in what happened at `now`; a time before that of an earlier event counts as that one's.
    #[must_use = "effects must be carried out"]
    pub fn on(&mut self, now: Moment, event: Event) -> Vec<Effect> {
        let now = now.max(self.now);
        self.progress(now);
        self.fresh = None;
        match event {
            Event::CardUp(up) => self.card_up(up),
            Event::WorkerLost(worker) => self.worker_lost(worker),
            Event::Ask(id, ask) => self.asked(id, ask, now),
            Event::Cancel(id) => self.cancelled(id),
            Event::Opened(id) => self.opened(id, now),
            Event::OpenFailed(id, why) => self.open_failed(id, why, now),
            Event::Closed(id) => self.closed(id),
            Event::Released(id, end) => self.released(id, end, now),
            Event::Tick => {}
        }
        self.settle();
        std::mem::take(&mut self.out)
    }

    /// The sessions at this moment.
    pub fn stats(&self) -> Stats {
        Stats {
            cap: self.cap.believed(),
            cap_is_limit: self.cap.is_limit(),
            open: self.sessions.values().filter(|session| session.is_open()).count() as u32,
            leased: self.leases.len() as u32,
            waiting: self.waiting() as u32,
            ..self.counts
        }
    }

    /// Sessions open on `card`.
    pub fn open_on(&self, card: CardId) -> u32 {
        self.on_card(card).filter(|(_, session)| session.is_open()).count() as u32
    }

    pub(super) fn waiting(&self) -> usize {
        self.cards.values().map(|card| card.waiting.len()).sum()
    }

    pub(super) fn on_card(&self, card: CardId) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().filter(move |(_, session)| session.card == card).map(|(id, session)| (*id, session))
    }

    /// Sessions that count towards the cap: those being opened or closed may be there as well.
    pub(super) fn held(&self) -> u32 {
        self.counted().count() as u32
    }

    /// Those of them that are there.
    fn counted_open(&self) -> u32 {
        self.counted().filter(|session| session.state != State::Opening).count() as u32
    }

    fn counted(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values().filter(|session| self.cards.get(&session.card).is_some_and(|card| card.counted))
    }

    /// How a rung of `spec` begins on `session`, under this version of the driver.
    pub(super) fn step_on(&self, driver: &str, session: &Session, spec: &Spec) -> Step {
        match session.class {
            None => Step::Begin(spec.class()),
            Some(class) if class.holds(spec) && !self.is_denied(driver, &class) => Step::Reconfigure,
            Some(_) => Step::Recreate(spec.class()),
        }
    }

    fn is_denied(&self, driver: &str, class: &Class) -> bool {
        self.denied.iter().any(|(known, denied)| known == driver && denied == class)
    }

    /// What a step is expected to take, seconds.
    pub(super) fn step_time(&self, step: Step) -> f64 {
        self.steps[place(step)]
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn overflow(&mut self, id: AskId, why: Overflow) {
        self.counts.overflowed[why.index()] += 1;
        self.out.push(Effect::Overflow(id, why));
    }

    pub(super) fn count_grant(&mut self, step: Step) {
        self.counts.granted += 1;
        self.counts.steps[place(step)] += 1;
    }

    pub(super) fn count_move(&mut self) {
        self.counts.moved += 1;
    }

    pub(super) fn count_late(&mut self) {
        self.counts.late += 1;
    }

    /// Leases have come on since the last event, as far as anybody can tell from here.
    fn progress(&mut self, now: Moment) {
        let passed = now.since(self.now).as_secs_f64();
        self.now = now;
        for (id, card) in &self.cards {
            let sessions = &self.sessions;
            let here = |lease: &&mut Lease| sessions[&lease.session].card == *id;
            let mut leases: Vec<&mut Lease> = self.leases.values_mut().filter(here).collect();
            let mut left = if leases.is_empty() { 0.0 } else { passed };
            while left > 0.0 {
                let (share, set_up) = pace(card.engines, leases.iter().map(|lease| &lease.work));
                let step = left.min(set_up);
                left -= step;
                for lease in &mut leases {
                    lease.spent += lease.work.advance(step, share);
                }
            }
            for lease in leases {
                let work = lease.ask.work.as_secs_f64();
                let over = lease.spent - work * CAUTION;
                lease.work.left = lease.work.left.max(work * REST).max(over * OVER);
            }
        }
    }

    fn unexpected(&mut self, what: &'static str) {
        self.counts.unexpected += 1;
        self.out.push(Effect::Unexpected(what));
    }

    fn card_of(&self, worker: WorkerId) -> Option<CardId> {
        self.cards.iter().find(|(_, card)| card.worker == worker).map(|(id, _)| *id)
    }

    fn card_up(&mut self, up: CardUp) {
        let CardUp { card, worker, engines, counted, driver } = up;
        let (engines, driver) = (engines.min(MAX_ENGINES), driver.chars().take(MAX_VERSION).collect::<String>());
        if self.card_of(worker).is_some() {
            return self.unexpected("a worker came up twice");
        }
        if let Some(old) = self.cards.get(&card).map(|card| card.worker) {
            self.worker_lost(old);
        }
        if self.cards.len() >= MAX_CARDS {
            return self.unexpected("more cards than a machine has");
        }
        // Another driver has another cap, of which only what is open is known.
        if self.driver.as_ref().is_some_and(|known| *known != driver) {
            self.cap = Cap::new();
            self.cap.opened(self.counted_open());
        }
        self.driver = Some(driver.clone());
        let waiting = BTreeMap::new();
        let fresh = Card { worker, engines, counted, driver, waiting, asked: None, short: None, overdue: false };
        self.cards.insert(card, fresh);
    }

    fn worker_lost(&mut self, worker: WorkerId) {
        let Some(id) = self.card_of(worker) else { return self.unexpected("an unknown worker was lost") };
        let Some(card) = self.cards.remove(&id) else { return };
        for (_, ask) in card.waiting.keys() {
            self.out.push(Effect::Gone(*ask));
        }
        let sessions = &self.sessions;
        let lost: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| sessions[&lease.session].card == id).map(|(id, _)| *id).collect();
        for lease in lost.iter().filter_map(|lost| self.leases.remove(lost)) {
            self.counts.lost += 1;
            self.out.push(Effect::Gone(lease.id));
        }
        self.sessions.retain(|_, session| session.card != id);
        for session in self.sessions.values_mut().filter(|session| session.leaves_for == Some(id)) {
            session.leaves_for = None;
        }
        self.out.push(Effect::Sessions(id, 0));
    }

    fn asked(&mut self, id: AskId, mut ask: Ask, now: Moment) {
        let known = self.cards.values().any(|card| card.waiting.keys().any(|(_, waiting)| *waiting == id));
        if known || self.leases.values().any(|lease| lease.id == id) {
            return self.unexpected("an ask was made twice");
        }
        let waiting = self.waiting();
        let card = self.card_of(ask.worker).and_then(|card| self.cards.get_mut(&card));
        let why = match card {
            None => Overflow::NoWorker,
            Some(card) if card.engines == 0 => Overflow::NoEngine,
            Some(_) if waiting >= self.config.most_waiting => Overflow::QueueFull { waiting },
            Some(card) => {
                ask.work = ask.work.clamp(LEAST_WORK, MOST_WORK);
                card.asked = Some(now);
                card.waiting.insert((ask.deadline, id), Waiting { ask, tries: 0 });
                self.fresh = Some(id);
                return;
            }
        };
        self.overflow(id, why);
    }

    fn cancelled(&mut self, id: AskId) {
        for card in self.cards.values_mut() {
            let key = card.waiting.keys().find(|(_, waiting)| *waiting == id).copied();
            if key.is_some_and(|key| card.waiting.remove(&key).is_some()) {
                return self.out.push(Effect::Gone(id));
            }
        }
        // Unknown ones have ended while the cancellation was on its way.
        let leased = self.leases.iter_mut().find(|(_, lease)| lease.id == id && !lease.stopped);
        if let Some((lease, stopped)) = leased {
            stopped.stopped = true;
            self.out.push(Effect::Stop(stopped.ask.worker, *lease));
        }
    }

    fn opened(&mut self, id: SessionId, now: Moment) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.state == State::Opening) else {
            return self.unexpected("a session was opened that nobody wanted");
        };
        (session.state, session.since, session.probe) = (State::Free, now, false);
        let card = session.card;
        if self.cap.opened(self.counted_open()) {
            self.say_cap();
        }
        self.say_sessions(card);
    }

    fn open_failed(&mut self, id: SessionId, why: Refusal, now: Moment) {
        match self.sessions.get(&id).map(|session| session.state) {
            Some(State::Opening) => self.refused(id, why, now),
            _ => self.unexpected("a session was refused that nobody wanted"),
        }
    }

    /// There is no such session, for this reason.
    fn refused(&mut self, id: SessionId, why: Refusal, now: Moment) {
        let Some(card_id) = self.sessions.remove(&id).map(|session| session.card) else { return };
        self.counts.refused += 1;
        let held = self.held();
        let left = self.on_card(card_id).count() as u32;
        let Some(card) = self.cards.get_mut(&card_id) else { return };
        if why == Refusal::Sessions && card.counted {
            if self.cap.refused(held, now) {
                self.say_cap();
            }
        } else {
            card.short = Some((left, now.after(self.config.short)));
        }
        self.say_sessions(card_id);
    }

    fn closed(&mut self, id: SessionId) {
        if self.sessions.get(&id).is_none_or(|session| session.state != State::Closing) {
            return self.unexpected("a session was closed that nobody closes");
        }
        let goes_to = self.sessions.remove(&id).and_then(|session| session.leaves_for);
        if let Some(card) = goes_to.filter(|card| self.wants_more(*card) && self.held() < self.cap.believed()) {
            self.open(card, false);
        }
    }

    fn released(&mut self, id: LeaseId, end: End, now: Moment) {
        let Some(lease) = self.leases.remove(&id) else { return self.unexpected("an unknown lease was released") };
        let Some(session) = self.sessions.get_mut(&lease.session) else { return };
        let card = session.card;
        (session.state, session.since) = (State::Free, now);
        if let Step::Begin(class) | Step::Recreate(class) = lease.step {
            session.class = Some(class);
        }
        match end {
            End::Done { setup } => {
                let setup = setup.as_secs_f64().min(LONGEST_STEP);
                let known = &mut self.steps[place(lease.step)];
                *known += WEIGHT * (setup - *known);
                let engine = (lease.spent + lease.setup - setup).max(0.0);
                let engine = Duration::try_from_secs_f64(engine).unwrap_or(Duration::MAX);
                self.counts.done += 1;
                self.out.push(Effect::Spent { card, spec: lease.ask.spec, work: lease.ask.work, engine });
                return;
            }
            End::Stopped => {}
            End::ReconfigureRefused => self.deny(lease.session),
            End::Refused(why) => self.refused(lease.session, why, now),
            End::Broken => {
                self.sessions.remove(&lease.session);
                self.say_sessions(card);
            }
        }
        let tries = lease.tries + 1;
        if lease.stopped || end == End::Stopped {
            self.out.push(Effect::Gone(lease.id));
        } else if tries >= MAX_TRIES {
            self.overflow(lease.id, Overflow::Failing { tries });
        } else if let Some(card) = self.cards.get_mut(&card) {
            card.waiting.insert((lease.ask.deadline, lease.id), Waiting { ask: lease.ask, tries });
        }
    }

    fn deny(&mut self, session: SessionId) {
        let Some(session) = self.sessions.get(&session) else { return };
        let (Some(class), Some(card)) = (session.class, self.cards.get(&session.card)) else { return };
        let driver = card.driver.clone();
        if !self.is_denied(&driver, &class) {
            self.denied.push((driver.clone(), class));
            if self.denied.len() > MAX_DENIED {
                self.denied.remove(0);
            }
            self.out.push(Effect::ReconfigureDenied { driver, class });
        }
    }

    fn say_cap(&mut self) {
        self.out.push(Effect::Cap { believed: self.cap.believed(), limit: self.cap.is_limit() });
    }

    pub(super) fn say_sessions(&mut self, card: CardId) {
        self.out.push(Effect::Sessions(card, self.open_on(card)));
    }
}

fn place(step: Step) -> usize {
    match step {
        Step::Begin(_) => 0,
        Step::Reconfigure => 1,
        Step::Recreate(_) => 2,
    }
}
