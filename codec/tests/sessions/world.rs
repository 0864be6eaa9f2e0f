//! A machine with cards, streams and another program, event by event. After each step it checks what must always hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headframe_codec::placement::{Change, Demand, Encode, Equipment, Generation, Outcome, Place, Placement, Source};
use headframe_codec::sessions::{
    Ask, AskId, Broker, CardUp, Config, Effect, End, Event, LeaseId, Overflow, Refusal, SessionId, Spec, Step, WorkerId,
};
use headframe_codec::units::{CardId, Moment};
use headframe_codec::{Class, Codec, Ladder, Preset};

use super::model::*;

/// What the script of a test may do to the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Blow {
    Cap(u32),
    Others(u32),
    Reconfigures(bool),
    /// The worker ends and is back after so many milliseconds.
    Kill(u32, u64),
    /// The card falls off the bus, the same.
    Lose(u32, u64),
    /// Nothing on the card goes on, and nobody there answers.
    Hang(u32),
    /// A viewer leaves: the stream's rungs in hand are wanted no more.
    Cancel(usize),
}

/// One rung, of so many samples, that takes so many times what is expected, and has so long; what the processors would take for
/// it, if they could make it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lone {
    pub(crate) samples: f64,
    pub(crate) hardness: f64,
    pub(crate) window: Duration,
    pub(crate) cpu: Option<Duration>,
}

#[derive(Debug)]
enum Action {
    Segment(usize),
    Lone(Lone),
    Pictures {
        stream: usize,
        card: CardId,
        rungs: Vec<usize>,
        deadline: Duration,
    },
    /// The same, on their way to the processors.
    Raw {
        rungs: Vec<usize>,
        deadline: Duration,
    },
    Tell(WorkerId, Event),
    Reopen(LeaseId),
    Up(CardId),
    Blow(Blow),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Working,
}

#[derive(Debug)]
struct Rung {
    stream: usize,
    index: usize,
    card: CardId,
    worker: WorkerId,
    samples: f64,
    deadline: Duration,
    stage: Stage,
    /// What the processors would take for it, if they could.
    cpu: Option<Duration>,
    cancelled: bool,
}

#[derive(Debug)]
struct Job {
    ask: AskId,
    session: SessionId,
    card: CardId,
    setup: f64,
    left: f64,
    step: f64,
    /// Its session is not there, or it is being given up: it makes no progress.
    still: bool,
}

#[derive(Debug)]
struct SimCard {
    engines: u32,
    worker: Option<WorkerId>,
    hung: bool,
}

/// What became of all rungs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) asked: u64,
    pub(crate) on_cards: u64,
    pub(crate) on_processors: u64,
    pub(crate) late: u64,
    pub(crate) cancelled: u64,
    pub(crate) overflows: u64,
    /// Engine seconds of what cards made, and processor seconds of the rest.
    pub(crate) engine: f64,
    pub(crate) processor: f64,
    pub(crate) evictions: u64,
    pub(crate) readmissions: u64,
}

pub(crate) struct World {
    now: Duration,
    pub(crate) broker: Broker,
    pub(crate) placement: Placement,
    pub(crate) driver: Driver,
    cards: BTreeMap<CardId, SimCard>,
    agenda: BTreeMap<(Duration, u64), Action>,
    rungs: BTreeMap<AskId, Rung>,
    jobs: BTreeMap<LeaseId, Job>,
    closing: BTreeSet<SessionId>,
    owners: BTreeMap<SessionId, (CardId, WorkerId)>,
    processors: Vec<Duration>,
    streams: usize,
    /// Streams differ in what is fixed for a session.
    pub(crate) classes: usize,
    /// The share of a segment's time in which it must be made.
    pub(crate) in_time: f64,
    until: Duration,
    dice: Dice,
    ids: u64,
    pub(crate) tally: Tally,
    pub(crate) said: Vec<String>,
    /// Lone rungs, when asked, until when and for how much work; when any were sent away, their deadlines, and
    /// whether the processors could make them by then.
    pub(crate) lone: Vec<(Duration, Duration, Duration)>,
    pub(crate) refusals: Vec<(Duration, Duration, bool)>,
}

impl World {
    /// A machine whose cards have so many encode engines each.
    pub(crate) fn new(seed: u64, cap: u32, engines: &[u32], processors: usize) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            broker: Broker::new(Config::default()),
            placement: Placement::new(if engines.contains(&0) { processors } else { 0 }),
            driver: Driver::new(cap),
            cards: BTreeMap::new(),
            agenda: BTreeMap::new(),
            rungs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            closing: BTreeSet::new(),
            owners: BTreeMap::new(),
            processors: vec![Duration::ZERO; processors],
            streams: 0,
            classes: 1,
            in_time: IN_TIME,
            until: Duration::ZERO,
            dice: Dice(seed),
            ids: 0,
            tally: Tally::default(),
            said: vec![],
            lone: vec![],
            refusals: vec![],
        };
        for (id, engines) in (0..).map(CardId).zip(engines) {
            let (generation, decoders, encoders) = (Generation::Unknown, 1, *engines);
            let (memory_bytes, link_bytes, decode_samples) = (12 << 30, 200_000_000, 0);
            let equipment = Equipment { generation, decoders, encoders, memory_bytes, link_bytes, decode_samples };
            world.placement.card(id, equipment, Moment(Duration::ZERO));
            world.cards.insert(id, SimCard { engines: *engines, worker: None, hung: false });
            world.later(Duration::ZERO, Action::Up(id));
        }
        world
    }

    /// Streams from `from` to `until`, each at its own phase.
    pub(crate) fn streams(&mut self, count: usize, from: Duration, until: Duration) {
        self.until = until;
        for stream in self.streams..self.streams + count {
            let phase = SEGMENT.mul_f64(self.dice.roll());
            self.at(from + phase, Action::Segment(stream));
        }
        self.streams += count;
    }

    pub(crate) fn blow(&mut self, at: Duration, blow: Blow) {
        self.at(at, Action::Blow(blow));
    }

    pub(crate) fn ask(&mut self, at: Duration, lone: Lone) {
        self.at(at, Action::Lone(lone));
    }

    fn later(&mut self, wait: Duration, action: Action) {
        self.at(self.now + wait, action);
    }

    fn at(&mut self, at: Duration, action: Action) {
        let id = self.id();
        self.agenda.insert((at, id), action);
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Goes on until then.
    pub(crate) fn run(&mut self, until: Duration) {
        loop {
            let ends = self.jobs.values().filter_map(|job| self.ends_in(job)).map(|left| self.now + left).min();
            let wakes = [self.broker.next_wake(), self.placement.next_wake()].into_iter().flatten().map(|at| at.0);
            let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let next = wakes.chain(ends).chain(agenda).min().filter(|next| *next <= until);
            self.advance(next.unwrap_or(until).max(self.now));
            if next.is_none() {
                return;
            }
            let done: Vec<LeaseId> = self.jobs.iter().filter(|(_, job)| job.left <= 0.0).map(|(id, _)| *id).collect();
            done.into_iter().for_each(|lease| self.done(lease));
            while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let action = entry.remove();
                self.act(action);
            }
            self.tell(Event::Tick);
            let changes = self.placement.tick(Moment(self.now));
            changes.into_iter().for_each(|change| self.change(change));
            self.check();
        }
    }

    fn active(&self, card: CardId) -> usize {
        self.jobs.values().filter(|job| job.card == card && job.setup <= 0.0 && !job.still).count()
    }

    fn rate(&self, card: CardId) -> f64 {
        let share = f64::from(self.cards[&card].engines) / self.active(card).max(1) as f64;
        share.min(1.0)
    }

    fn ends_in(&self, job: &Job) -> Option<Duration> {
        if job.still || self.cards[&job.card].hung {
            return None;
        }
        let left = if job.setup > 0.0 { job.setup } else { job.left / self.rate(job.card) };
        Some(Duration::from_secs_f64(left.max(0.0)) + Duration::from_nanos(1))
    }

    fn advance(&mut self, to: Duration) {
        let passed = (to - self.now).as_secs_f64();
        self.now = to;
        let rates: BTreeMap<CardId, f64> = self.cards.keys().map(|card| (*card, self.rate(*card))).collect();
        for job in self.jobs.values_mut().filter(|job| !job.still && !self.cards[&job.card].hung) {
            if job.setup > 0.0 {
                job.setup -= passed;
            } else {
                job.left -= passed * rates[&job.card];
            }
        }
    }

    fn done(&mut self, lease: LeaseId) {
        let job = self.jobs.remove(&lease).unwrap();
        let rung = self.rungs.remove(&job.ask).unwrap();
        let late = self.now > rung.deadline;
        self.tally.engine += encode_time(rung.samples);
        match (rung.cancelled, late) {
            (true, _) => self.tally.cancelled += 1,
            (_, true) => self.tally.late += 1,
            _ => self.tally.on_cards += 1,
        }
        self.tell(Event::Released(lease, End::Done { setup: Duration::from_secs_f64(job.step) }));
        self.placement.outcome(job.card, Outcome::Good, Moment(self.now));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Segment(stream) => self.segment(stream),
            Action::Lone(lone) => self.lone(lone),
            Action::Pictures { stream, card, rungs, deadline } => self.pictures(stream, card, rungs, deadline),
            Action::Raw { rungs, deadline } => {
                rungs.into_iter().for_each(|index| self.process(samples(index), deadline));
            }
            Action::Tell(worker, event) => {
                // What a worker that is gone would have said is never heard.
                if self.cards.values().any(|card| card.worker == Some(worker) && !card.hung) {
                    self.answer(event);
                }
            }
            Action::Reopen(lease) => {
                let Some(job) = self.jobs.get_mut(&lease) else { return };
                job.still = false;
                let (session, ask) = (job.session, job.ask);
                if !self.driver.open(session) {
                    self.rungs.get_mut(&ask).unwrap().stage = Stage::Waiting;
                    self.owners.remove(&session);
                    self.jobs.remove(&lease);
                    self.tell(Event::Released(lease, End::Refused(Refusal::Sessions)));
                }
            }
            Action::Up(card) => self.up(card),
            Action::Blow(blow) => self.strike(blow),
        }
    }

    /// Calls of the driver end here: what it decides, it decides now.
    fn answer(&mut self, event: Event) {
        let event = match event {
            Event::Opened(id) if !self.driver.open(id) => {
                self.owners.remove(&id);
                Event::OpenFailed(id, Refusal::Sessions)
            }
            Event::Closed(id) => {
                self.driver.close(id);
                self.owners.remove(&id);
                self.closing.remove(&id);
                event
            }
            Event::Released(lease, end) => {
                let Some(job) = self.jobs.remove(&lease) else { return };
                self.rungs.get_mut(&job.ask).unwrap().stage = Stage::Waiting;
                if end == End::Broken {
                    self.driver.close(job.session);
                    self.owners.remove(&job.session);
                }
                event
            }
            event => event,
        };
        self.tell(event);
    }

    fn segment(&mut self, stream: usize) {
        if self.now < self.until {
            self.later(SEGMENT, Action::Segment(stream));
        }
        let deadline = self.now + SEGMENT.mul_f64(self.in_time);
        self.tally.asked += 4;
        self.decode(stream, (0..4).collect(), deadline);
    }

    /// Decodes the segment on the stream's card, or on another while that one's worker is starting.
    fn decode(&mut self, stream: usize, rungs: Vec<usize>, deadline: Duration) {
        let name = stream.to_string();
        let source = Source { codec: Codec::H264, width: 1920, height: 1080, fps: 30.0, segment: SEGMENT };
        let demand = Demand::new(&source, &Ladder::standard());
        let now = Moment(self.now);
        let place = match self.placement.boundary(&name, now) {
            Some(place) => place,
            None => self.placement.begin(&name, demand, now),
        };
        let up = |card: &CardId| self.cards[card].worker.is_some();
        if let Ok(Place { encode: Encode::Processor, .. }) = place {
            return self.later(decode_time(), Action::Raw { rungs, deadline });
        }
        let placed = place.ok().map(|place| place.card);
        let another = || self.cards.keys().copied().filter(up).min_by_key(|card| self.load(*card));
        match placed.filter(up).or_else(another) {
            Some(card) => self.later(decode_time(), Action::Pictures { stream, card, rungs, deadline }),
            None => rungs.into_iter().for_each(|index| self.process(samples(index), deadline)),
        }
    }

    fn load(&self, card: CardId) -> usize {
        self.rungs.values().filter(|rung| rung.card == card).count()
    }

    fn pictures(&mut self, stream: usize, card: CardId, rungs: Vec<usize>, deadline: Duration) {
        let Some(worker) = self.cards[&card].worker else { return self.decode(stream, rungs, deadline) };
        for index in rungs {
            let id = AskId(self.id());
            let rendition = Ladder::standard().renditions()[index].clone();
            let (codec, preset) = (rendition.codec, rendition.preset);
            // Hard content takes longer than expected, easy content less.
            let samples = samples(index) * (0.85 + 0.3 * self.dice.roll());
            let nominal = f64::from(rendition.width) * f64::from(rendition.height) * FRAMES;
            let work = self.placement.encode_time(card, codec, preset, nominal).unwrap();
            let cpu = self
                .processors
                .iter()
                .min()
                .map(|free| free.saturating_sub(self.now) + Duration::from_secs_f64(processor_time(samples)));
            let bframes = (stream % self.classes) as u8;
            let spec =
                Spec { codec, ten_bit: false, bframes, preset, width: rendition.width, height: rendition.height };
            let stage = Stage::Waiting;
            let rung = Rung { stream, index, card, worker, samples, deadline, stage, cpu, cancelled: false };
            self.rungs.insert(id, rung);
            self.tell(Event::Ask(id, Ask { worker, spec, deadline: Moment(deadline), work, cpu }));
        }
    }

    fn lone(&mut self, Lone { samples, hardness, window, cpu }: Lone) {
        let (card, deadline, id) = (CardId(0), self.now + window, AskId(self.id()));
        let worker = self.cards[&card].worker.unwrap();
        let work = Duration::from_secs_f64(encode_time(samples));
        self.tally.asked += 1;
        self.lone.push((self.now, deadline, work));
        let (stage, samples) = (Stage::Waiting, samples * hardness);
        let rung = Rung { stream: 0, index: 0, card, worker, samples, deadline, stage, cpu, cancelled: false };
        self.rungs.insert(id, rung);
        let (codec, preset, ten_bit, bframes) = (Codec::H264, Preset::Live, false, 0);
        let spec = Spec { codec, ten_bit, bframes, preset, width: 1280, height: 720 };
        self.tell(Event::Ask(id, Ask { worker, spec, deadline: Moment(deadline), work, cpu }));
    }

    /// A rung on the processor that is free first.
    fn process(&mut self, samples: f64, deadline: Duration) {
        let took = processor_time(samples);
        let free = self.processors.iter_mut().min();
        let done = free.map(|free| {
            *free = (*free).max(self.now) + Duration::from_secs_f64(took);
            *free
        });
        match done.filter(|done| *done <= deadline) {
            Some(_) => {
                self.tally.on_processors += 1;
                self.tally.processor += took;
            }
            None => self.tally.late += 1,
        }
    }

    fn up(&mut self, card: CardId) {
        let worker = WorkerId(self.id());
        let known = self.cards.get_mut(&card).unwrap();
        (known.worker, known.hung) = (Some(worker), false);
        let engines = known.engines;
        self.tell(Event::CardUp(CardUp { card, worker, engines, counted: true, driver: "570.1".to_owned() }));
    }

    fn down(&mut self, card: CardId, back: u64, outcome: Outcome) {
        let Some(worker) = self.cards.get_mut(&card).and_then(|card| card.worker.take()) else { return };
        self.jobs.retain(|_, job| job.card != card);
        let owned: Vec<SessionId> = self.owners.iter().filter(|(_, (at, _))| *at == card).map(|(id, _)| *id).collect();
        for session in owned {
            self.owners.remove(&session);
            self.closing.remove(&session);
            if self.driver.ours.contains(&session) {
                self.driver.close(session);
            }
        }
        self.later(Duration::from_millis(back), Action::Up(card));
        if let Some(change) = self.placement.outcome(card, outcome, Moment(self.now)) {
            self.change(change);
        }
        self.tell(Event::WorkerLost(worker));
    }

    fn strike(&mut self, blow: Blow) {
        self.said.push(format!("{:?} {blow:?}", self.now));
        match blow {
            Blow::Cap(cap) => self.driver.cap_to(cap),
            Blow::Others(wish) => {
                self.driver.wish = wish;
                self.driver.others_move();
            }
            Blow::Reconfigures(does) => self.driver.reconfigures = does,
            Blow::Kill(card, back) => self.down(CardId(card), back, Outcome::Died),
            Blow::Lose(card, back) => self.down(CardId(card), back, Outcome::Failed(Class::Device)),
            Blow::Hang(card) => {
                if let Some(card) = self.cards.get_mut(&CardId(card)) {
                    card.hung = true;
                }
            }
            Blow::Cancel(stream) => {
                let of: Vec<AskId> =
                    self.rungs.iter().filter(|(_, rung)| rung.stream == stream).map(|(id, _)| *id).collect();
                for id in of {
                    if let Some(rung) = self.rungs.get_mut(&id) {
                        rung.cancelled = true;
                    }
                    self.tell(Event::Cancel(id));
                }
            }
        }
    }

    fn change(&mut self, change: Change) {
        self.said.push(format!("{:?} {change:?}", self.now));
        match change {
            Change::Evicted { .. } => self.tally.evictions += 1,
            Change::Readmitted(_) => self.tally.readmissions += 1,
            Change::Probe(card) => {
                let works = self.cards[&card].worker.is_some() && !self.cards[&card].hung;
                if let Some(change) = self.placement.probed(card, works, Moment(self.now)) {
                    self.change(change);
                }
            }
        }
    }

    pub(crate) fn open_on(&self, card: u32) -> u32 {
        self.broker.open_on(CardId(card))
    }

    pub(crate) fn tell(&mut self, event: Event) {
        let effects = self.broker.on(Moment(self.now), event);
        effects.into_iter().for_each(|effect| self.effect(effect));
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Open(worker, id) => {
                let card = self.card_of(worker);
                assert!(self.owners.insert(id, (card, worker)).is_none());
                self.later(OPEN, Action::Tell(worker, Event::Opened(id)));
            }
            Effect::Close(worker, id) => {
                assert!(self.jobs.values().all(|job| job.session != id), "closed while at work");
                assert!(self.driver.ours.contains(&id) && self.closing.insert(id));
                self.later(CLOSE, Action::Tell(worker, Event::Closed(id)));
            }
            Effect::Grant { lease, ask, worker, session, step } => self.granted(lease, ask, worker, session, step),
            Effect::Stop(worker, lease) => {
                if !self.cards[&self.card_of(worker)].hung {
                    let job = self.jobs.get_mut(&lease).unwrap();
                    // A session being made anew is first there again.
                    if !job.still {
                        job.still = true;
                        self.later(REFUSE, Action::Tell(worker, Event::Released(lease, End::Stopped)));
                    }
                }
            }
            Effect::Overflow(ask, why) => self.overflow(ask, why),
            Effect::Gone(ask) => {
                let Some(rung) = self.rungs.remove(&ask) else { return };
                let lost = self.cards[&rung.card].worker != Some(rung.worker);
                if rung.cancelled {
                    self.tally.cancelled += 1;
                } else if lost {
                    self.decode(rung.stream, vec![rung.index], rung.deadline);
                } else {
                    assert!(self.now >= rung.deadline, "gone without a reason");
                    self.tally.late += 1;
                }
            }
            Effect::Overdue(worker) => {
                let card = self.card_of(worker);
                self.said.push(format!("{:?} overdue {card:?}", self.now));
                self.down(card, 1000, Outcome::Died);
            }
            Effect::Spent { card, spec, engine, .. } => {
                let samples = f64::from(spec.width) * f64::from(spec.height) * FRAMES;
                self.placement.encoded(card, spec.codec, spec.preset, samples, engine);
            }
            Effect::Sessions(card, open) => self.placement.sessions(card, open, Moment(self.now)),
            Effect::Cap { .. } | Effect::ReconfigureDenied { .. } => {
                self.said.push(format!("{:?} {effect:?}", self.now))
            }
            Effect::Unexpected(what) => panic!("{what}"),
        }
    }

    fn granted(&mut self, lease: LeaseId, ask: AskId, worker: WorkerId, session: SessionId, step: Step) {
        let rung = self.rungs.get_mut(&ask).expect("granted to someone who asked");
        assert_eq!((rung.stage, rung.worker), (Stage::Waiting, worker));
        assert_eq!(self.owners[&session], (rung.card, worker), "only a session of its own process reads its pictures");
        assert!(self.driver.ours.contains(&session) && !self.closing.contains(&session));
        assert!(self.jobs.values().all(|job| job.session != session), "two leases of one session");
        rung.stage = Stage::Working;
        let setup = match step {
            Step::Begin(_) => BEGIN,
            Step::Reconfigure => RECONFIGURE,
            Step::Recreate(_) => RECREATE,
        };
        let (card, left) = (rung.card, encode_time(rung.samples));
        let mut job = Job { ask, session, card, setup, left, step: setup, still: false };
        let fails = match step {
            _ if self.driver.broken.contains(&session) => Some(End::Broken),
            Step::Reconfigure if !self.driver.reconfigures => Some(End::ReconfigureRefused),
            _ => None,
        };
        if let Some(end) = fails {
            job.still = true;
            self.later(REFUSE, Action::Tell(worker, Event::Released(lease, end)));
        } else if matches!(step, Step::Recreate(_)) {
            job.still = true;
            self.driver.close(session);
            self.later(GAP, Action::Reopen(lease));
        }
        self.jobs.insert(lease, job);
    }

    fn overflow(&mut self, ask: AskId, why: Overflow) {
        let rung = self.rungs.remove(&ask).expect("sent away after it asked");
        self.said.push(format!("{:?} stream {} rung {}: {why}", self.now, rung.stream, rung.index));
        self.tally.overflows += 1;
        let saved = rung.cpu.is_some_and(|cpu| self.now + cpu <= rung.deadline);
        self.refusals.push((self.now, rung.deadline, saved));
        self.process(rung.samples, rung.deadline);
    }

    fn card_of(&self, worker: WorkerId) -> CardId {
        *self.cards.iter().find(|(_, card)| card.worker == Some(worker)).expect("a worker that lives").0
    }

    /// What holds at every moment.
    fn check(&self) {
        let (stats, now) = (self.broker.stats(), self.now);
        assert!(self.driver.ours.len() <= stats.cap as usize, "more open than believed possible: {stats:?}");
        assert_eq!(stats.leased as usize, self.jobs.len(), "each lease is someone's");
        assert_eq!(stats.waiting as usize + self.jobs.len(), self.rungs.len(), "each rung is somewhere");
        assert_eq!(stats.unexpected, 0);
        for rung in self.rungs.values() {
            let most = if rung.stage == Stage::Waiting { Duration::from_millis(100) } else { Duration::from_secs(3) };
            assert!(now <= rung.deadline + most, "waits past its deadline: {rung:?}");
        }
        // Work conserved: nobody waits beside a free session and an idle engine.
        for (id, card) in &self.cards {
            let busy = self.jobs.values().filter(|job| job.card == *id).count();
            let free = self.broker.open_on(*id) as usize - busy;
            let waits = |rung: &&Rung| rung.card == *id && rung.stage == Stage::Waiting;
            let waiting = self.rungs.values().filter(waits).count();
            assert!(free == 0 || waiting == 0 || busy >= card.engines as usize, "{id:?}: {free} free, {waiting} wait");
        }
    }

    /// After the last stream: everything came to an end, and every lease back.
    pub(crate) fn drained(&mut self) {
        self.run(self.now.max(self.until) + Duration::from_secs(20));
        assert!(self.jobs.is_empty() && self.rungs.is_empty());
        let (stats, tally) = (self.broker.stats(), self.tally);
        assert_eq!((stats.leased, stats.waiting), (0, 0));
        assert_eq!(self.driver.ours.len(), stats.open as usize + self.closing.len(), "open, and nobody knows");
        let ended = tally.on_cards + tally.on_processors + tally.late + tally.cancelled;
        assert_eq!(tally.asked, ended, "nothing is lost: {tally:?}");
    }
}

fn samples(index: usize) -> f64 {
    let rendition = Ladder::standard().renditions()[index].clone();
    f64::from(rendition.width) * f64::from(rendition.height) * FRAMES
}
