//! What is due after every event: late leases are stopped, sessions opened, moved and closed, hopeless rungs sent away, and
//! free sessions given to the earliest deadlines.

use std::time::Duration;

use super::broker::{Broker, CAUTION, Lease, Session, State, Waiting};
use super::event::{AskId, Effect, LeaseId, Overflow, SessionId, Step};
use super::forecast::{Queued, Running, Scene, Work, forecast, may_begin, pace};
use crate::units::{CardId, Moment};

/// How often the queue is looked at while anybody waits.
const LOOK: Duration = Duration::from_millis(50);
/// For how long after the last ask a card counts as wanting sessions.
const DEMAND: Duration = Duration::from_secs(10);
/// Seconds that opening or closing a session is expected to take: a planning figure, "tens of ms".
const CALL: f64 = 0.04;
/// Seconds after which a stopped lease is expected back.
const STOPPING: f64 = 0.01;

impl Broker {
    /// When [`super::Event::Tick`] is due, unless another event comes first.
    pub fn next_wake(&self) -> Option<Moment> {
        let mut wakes: Vec<Moment> = Vec::new();
        for lease in self.leases.values() {
            let limit = if lease.stopped { lease.ask.deadline.after(self.config.grace) } else { lease.ask.deadline };
            wakes.push(limit);
        }
        for session in self.sessions.values() {
            match session.state {
                State::Opening | State::Closing => wakes.push(session.since.after(self.config.call_limit)),
                State::Free if self.staying(session.card).count() > 1 => {
                    wakes.push(session.since.after(self.config.idle_close));
                }
                _ => {}
            }
        }
        for (id, card) in &self.cards {
            if !card.waiting.is_empty() {
                wakes.push(self.now.after(LOOK));
            }
            wakes.extend(card.short.map(|(_, until)| until));
            if card.counted && self.wants_more(*id) && (self.total(*id) == 0 || self.is_asked(*id)) {
                wakes.push(self.cap.next_try());
            }
        }
        // What was due and did not happen waits for an event.
        wakes.into_iter().filter(|wake| *wake > self.now).min()
    }

    pub(super) fn settle(&mut self) {
        self.enforce();
        self.provide();
        self.shed();
        self.grant();
        self.close_idle();
    }

    /// Leases past their deadline end, and workers that do not end them.
    fn enforce(&mut self) {
        let mut overdue: Vec<CardId> = Vec::new();
        let mut late = Vec::new();
        for (id, lease) in &mut self.leases {
            if self.now >= lease.ask.deadline && !lease.stopped {
                lease.stopped = true;
                late.push(Effect::Stop(lease.ask.worker, *id));
            }
            if self.now >= lease.ask.deadline.after(self.config.grace) {
                overdue.push(self.sessions[&lease.session].card);
            }
        }
        late.iter().for_each(|_| self.count_late());
        self.out.append(&mut late);
        for session in self.sessions.values() {
            if !session.is_open() && self.now >= session.since.after(self.config.call_limit) {
                overdue.push(session.card);
            }
        }
        for card in overdue {
            let Some(card) = self.cards.get_mut(&card) else { continue };
            if !std::mem::replace(&mut card.overdue, true) {
                self.out.push(Effect::Overdue(card.worker));
            }
        }
        for card in self.cards.values_mut() {
            card.short = card.short.filter(|(_, until)| *until > self.now);
        }
    }

    /// Opens what may be opened, cards without a session first; moves what others do not need.
    fn provide(&mut self) {
        let leaving = |(id, session): (&SessionId, &Session)| {
            (session.state == State::Free && session.leaves_for.is_some()).then_some(*id)
        };
        let leaving: Vec<SessionId> = self.sessions.iter().filter_map(leaving).collect();
        leaving.into_iter().for_each(|id| self.close(id));
        let first = |id: CardId| self.cards[&id].waiting.keys().next().map_or(Moment(Duration::MAX), |(at, _)| *at);
        let wanting = self.cards.keys().copied().filter(|id| self.wants_more(*id));
        let mut wanting: Vec<(bool, Moment, usize, CardId)> =
            wanting.map(|id| (self.total(id) > 0, first(id), self.total(id), id)).collect();
        wanting.sort();
        for (.., id) in wanting {
            self.provide_for(id);
        }
    }

    fn provide_for(&mut self, id: CardId) {
        let due = self.total(id) == 0 || self.is_needy(id);
        if !self.cards[&id].counted {
            if due {
                self.open(id, false);
            }
            return;
        }
        let (held, believed) = (self.held(), self.cap.believed());
        // What a try says is clear only while nothing else comes or goes; one thing after the other.
        let trying = self.sessions.values().any(|session| session.probe);
        let moving = self.sessions.values().any(|one| one.state == State::Closing || one.leaves_for.is_some());
        if held < believed {
            if due {
                self.open(id, false);
            }
        } else if self.may_try(id) {
            if !trying && !moving {
                self.open(id, true);
            }
        } else if due && !trying {
            self.take_for(id);
        }
    }

    /// Whether a session more than is believed possible may be tried on `id`: while no limit is known, and then where it is
    /// wanted.
    fn may_try(&self, id: CardId) -> bool {
        let wanted = !self.cap.is_limit() || self.total(id) == 0 || self.is_asked(id);
        wanted && self.cap.may_try(self.now)
    }

    /// Makes another card give a session to `id`, if one can do without.
    fn take_for(&mut self, id: CardId) {
        let none = self.total(id) == 0;
        let wanted = !self.cards[&id].waiting.is_empty();
        // A session for an engine that has none does more than one that hides the gaps of another.
        let fed = self.total(id) >= self.cards[&id].engines as usize;
        let lend = if fed { self.config.lend_last } else { self.config.lend };
        let mut best: Option<(f64, SessionId)> = None;
        for (other, card) in self.cards.iter().filter(|(other, card)| **other != id && card.counted) {
            let staying = self.staying(*other).count();
            for (session, known) in self.staying(*other) {
                let idle = match known.state {
                    State::Free if card.waiting.is_empty() => self.now.since(known.since),
                    _ => Duration::ZERO,
                };
                let spare = match staying {
                    1 => none && wanted && idle >= self.config.lend_last,
                    _ => none || idle >= lend,
                };
                // The one that can leave first, of the card that has most.
                let busy = match known.state {
                    State::Leased(lease) => self.leases.get(&lease).map_or(0.0, |lease| lease.work.left),
                    _ => 0.0,
                };
                let cost = busy - staying as f64;
                if spare && best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, session));
                }
            }
        }
        let Some((_, id_of)) = best else { return };
        let Some(session) = self.sessions.get_mut(&id_of) else { return };
        session.leaves_for = Some(id);
        if session.state == State::Free {
            self.close(id_of);
        }
        self.count_move();
    }

    /// Sends away whoever would be late, the others' deadlines kept.
    fn shed(&mut self) {
        let busy = self.cards.iter().filter(|(_, card)| !card.waiting.is_empty()).map(|(id, _)| *id);
        for card in busy.collect::<Vec<_>>() {
            while let Some((key, why)) = self.hopeless(card) {
                let removed = self.cards.get_mut(&card).and_then(|card| card.waiting.remove(&key));
                debug_assert!(removed.is_some(), "it waits");
                self.overflow(key.1, why);
            }
        }
    }

    /// Whose leaving keeps the first late rung in time, or that rung itself.
    fn hopeless(&self, id: CardId) -> Option<((Moment, AskId), Overflow)> {
        let card = &self.cards[&id];
        let queue: Vec<Queued> = card.waiting.values().map(|waiting| self.queued(id, waiting)).collect();
        let first_late = |queue: &[Queued], counts: &dyn Fn(usize) -> bool| {
            let done = forecast(self.scene(id), queue);
            let late = (0..queue.len()).find(|place| counts(*place) && done[*place] > queue[*place].deadline)?;
            Some((late, done[late] - queue[late].deadline))
        };
        let saved = |waiting: &Waiting| waiting.ask.cpu.is_some_and(|cpu| self.now.after(cpu) <= waiting.ask.deadline);
        // A new rung is taken only where it and those behind it that nobody else could make would be in time even if the
        // engine waited for every session to be set up: which of them are set up beside the work of another turns out
        // differently from what was expected, and what was taken must be made.
        let slow = |rung: &Queued| {
            let left = rung.work.setup + rung.work.left;
            Queued { work: Work { setup: 0.0, left }, ..*rung }
        };
        let new = card.waiting.keys().position(|(_, id)| Some(*id) == self.fresh).and_then(|fresh| {
            let bound: Vec<bool> = card.waiting.values().map(|waiting| !saved(waiting)).collect();
            first_late(&queue.iter().map(slow).collect::<Vec<_>>(), &|place| place >= fresh && bound[place])
        });
        let (late, by) = new.or_else(|| first_late(&queue, &|_| true))?;
        let why = match Duration::try_from_secs_f64(by) {
            Ok(by) => Overflow::Late { by },
            Err(_) => Overflow::NoSession { cap: self.cap.believed() },
        };
        let before = || card.waiting.iter().take(late + 1);
        // Nobody can make room for one that would be late even if it were the only one.
        if first_late(&queue[late..=late], &|_| true).is_some() {
            return before().nth(late).map(|(key, _)| (*key, why));
        }
        // Who came last goes, because what was accepted must not suffer; but first those that the CPU engine makes in time,
        // of which whoever takes most, so that the fewest go.
        let fresh = before().find(|((_, id), _)| Some(*id) == self.fresh);
        let most = || before().filter(|(_, waiting)| saved(waiting)).max_by_key(|(_, waiting)| waiting.ask.work);
        let goes =
            fresh.filter(|(_, waiting)| saved(waiting)).or_else(most).or(fresh).or_else(|| before().nth(late))?;
        Some((*goes.0, why))
    }

    fn queued(&self, card: CardId, waiting: &Waiting) -> Queued {
        let driver = self.cards[&card].driver.as_str();
        let spec = &waiting.ask.spec;
        let steps = self.staying(card).map(|(_, session)| self.step_time(self.step_on(driver, session, spec)));
        let begin = self.step_time(Step::Begin(spec.class()));
        let setup = steps.reduce(f64::max).unwrap_or(begin);
        let work = Work { setup, left: waiting.ask.work.as_secs_f64() * CAUTION };
        Queued { work, deadline: self.until(waiting.ask.deadline) }
    }

    /// What the sessions of `id` will do, those included that are on their way to it.
    fn scene(&self, id: CardId) -> Scene {
        let engines = self.cards[&id].engines;
        let mut ready = Vec::new();
        for session in self.sessions.values() {
            let coming = session.leaves_for == Some(id);
            match session.state {
                State::Free if session.card == id && session.leaves_for.is_none() => ready.push(0.0),
                // One more than is believed possible counts only while nothing is known.
                State::Opening if session.card == id && !(session.probe && self.cap.is_limit()) => {
                    ready.push((CALL - self.now.since(session.since).as_secs_f64()).max(0.0));
                }
                State::Closing if coming => ready.push(2.0 * CALL),
                State::Leased(lease) if coming => {
                    let running = self.running(session.card);
                    let (share, _) = pace(self.cards[&session.card].engines, running.iter().map(|rung| &rung.work));
                    let left = |lease: &Lease| lease.work.setup.max(0.0) + lease.work.left / share + 2.0 * CALL;
                    ready.extend(self.leases.get(&lease).map(left));
                }
                _ => {}
            }
        }
        Scene { engines, running: self.running(id), ready }
    }

    fn running(&self, card: CardId) -> Vec<Running> {
        let on_card = |lease: &&Lease| self.sessions[&lease.session].card == card;
        let running = |lease: &Lease| Running {
            work: if lease.stopped { Work { setup: 0.0, left: STOPPING } } else { lease.work },
            deadline: self.until(lease.ask.deadline),
            stays: self.sessions[&lease.session].leaves_for.is_none(),
        };
        self.leases.values().filter(on_card).map(running).collect()
    }

    /// Seconds from now; negative for what is past.
    fn until(&self, moment: Moment) -> f64 {
        moment.since(self.now).as_secs_f64() - self.now.since(moment).as_secs_f64()
    }

    /// Free sessions go to the earliest deadlines.
    fn grant(&mut self) {
        for id in self.cards.keys().copied().collect::<Vec<_>>() {
            while let Some((session, step)) = self.next_grant(id) {
                let first = self.cards.get_mut(&id).and_then(|card| card.waiting.pop_first());
                let Some(((_, ask), Waiting { ask: order, tries })) = first else { break };
                let lease = LeaseId(self.next_id());
                if let Some(session) = self.sessions.get_mut(&session) {
                    (session.state, session.since) = (State::Leased(lease), self.now);
                }
                let setup = self.step_time(step);
                let work = Work { setup, left: order.work.as_secs_f64() * CAUTION };
                self.count_grant(step);
                self.out.push(Effect::Grant { lease, ask, worker: order.worker, session, step });
                let lease_of =
                    Lease { id: ask, ask: order, tries, session, step, work, setup, spent: 0.0, stopped: false };
                self.leases.insert(lease, lease_of);
            }
        }
    }

    /// The session on which the first rung that waits on `id` may begin now, and how.
    fn next_grant(&self, id: CardId) -> Option<(SessionId, Step)> {
        let card = &self.cards[&id];
        let (_, waiting) = card.waiting.first_key_value()?;
        if !may_begin(0.0, card.engines, &self.running(id)) {
            return None;
        }
        let free = self.staying(id).filter(|(_, session)| session.state == State::Free);
        let steps = free.map(|(session, known)| {
            let step = self.step_on(&card.driver, known, &waiting.ask.spec);
            // The smallest that will do, then one that is nothing yet, then the one unused for longest.
            let rank = match (step, known.class) {
                (Step::Reconfigure, Some(class)) => (0, class.max_width * class.max_height),
                (Step::Begin(_), _) => (1, 0),
                _ => (2, 0),
            };
            (rank, known.since, session, step)
        });
        steps
            .min_by_key(|(rank, since, session, _)| (*rank, *since, *session))
            .map(|(.., session, step)| (session, step))
    }

    /// Sessions that nobody uses are given back, but for one on each card.
    fn close_idle(&mut self) {
        let unused =
            |session: &Session| session.state == State::Free && self.now.since(session.since) >= self.config.idle_close;
        let mut unused: Vec<(CardId, SessionId)> =
            self.sessions.iter().filter(|(_, one)| unused(one)).map(|(id, one)| (one.card, *id)).collect();
        unused.retain(|(card, _)| self.cards[card].waiting.is_empty());
        for (card, session) in unused {
            if self.staying(card).count() > 1 {
                self.close(session);
            }
        }
    }

    pub(super) fn open(&mut self, id: CardId, probe: bool) {
        let Some(worker) = self.cards.get(&id).map(|card| card.worker) else { return };
        let session = SessionId(self.next_id());
        let opening =
            Session { card: id, state: State::Opening, since: self.now, probe, class: None, leaves_for: None };
        self.sessions.insert(session, opening);
        self.out.push(Effect::Open(worker, session));
    }

    fn close(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        (session.state, session.since) = (State::Closing, self.now);
        let card = session.card;
        let Some(worker) = self.cards.get(&card).map(|card| card.worker) else { return };
        self.out.push(Effect::Close(worker, id));
        self.say_sessions(card);
    }

    /// Sessions of `id` that are open and will be there after what they do.
    fn staying(&self, id: CardId) -> impl Iterator<Item = (SessionId, &Session)> {
        self.on_card(id).filter(|(_, session)| session.is_open() && session.leaves_for.is_none())
    }

    /// Sessions that `id` has or is about to have.
    fn total(&self, id: CardId) -> usize {
        let counts = |session: &&Session| match session.leaves_for {
            Some(card) => card == id,
            None => session.card == id && session.state != State::Closing,
        };
        self.sessions.values().filter(counts).count()
    }

    /// Whether `id` should have more sessions than it has.
    pub(super) fn wants_more(&self, id: CardId) -> bool {
        let Some(card) = self.cards.get(&id).filter(|card| card.engines > 0 && !card.overdue) else { return false };
        let most = card.engines.saturating_mul(self.config.per_engine.max(1));
        let most = card.short.map_or(most, |(short, _)| most.min(short));
        self.total(id) < most as usize
    }

    /// Whether more rungs wait on `id` than sessions are free or coming.
    fn is_needy(&self, id: CardId) -> bool {
        let free = self.staying(id).filter(|(_, session)| session.state == State::Free).count();
        let coming = self.total(id) - self.staying(id).count();
        self.cards[&id].waiting.len() > free + coming
    }

    fn is_asked(&self, id: CardId) -> bool {
        self.cards.get(&id).and_then(|card| card.asked).is_some_and(|asked| self.now.since(asked) < DEMAND)
    }
}
