//! Which card does a stream: by what streams cost there as measured, changed at segment boundaries only.
//!
//! Pure: callers say what happened and what time it is. Every segment begins with an IDR and is decodable alone, so
//! [`Placement::boundary`], asked before each segment, may name another card than before and nothing is lost by it; within a
//! segment nothing ever moves.
//!
//! A card's load is that of its fullest part: decode engines, scaler, encode engines (no more of them than it has sessions),
//! and the way to the host; memory only where it is past [`FILL`], as it slows nothing down before. A new stream goes where
//! that is least after it, and nowhere past [`FILL`]: new work is refused before accepted work suffers. A stream moves by itself
//! only if it gains [`GAIN`] by that, has been where it is for [`DWELL`], and no other moved within [`PAUSE`]; two cards never
//! exchange streams, because who moves leaves the other card less full than this one was. It moves at once when its card is
//! out, or has had no encoder session for [`NO_SESSION`];
//! then cards may be filled to the brim.
//!
//! A card without an encoder, or with no session to be had, decodes and scales, and the processor encodes: only while nothing
//! better has room, and as far as processors and the card's link to the host reach, because raw pictures cross it. A mining
//! riser carries two such ladders, a slot of sixteen lanes more than the processor encodes.
//!
//! | what happens | what becomes of the card |
//! | --- | --- |
//! | errors of the input | nothing: whoever gets it will fail |
//! | too little capacity | nothing here: the 99th percentile of lateness closes it for new streams |
//! | an error of the device | out at once |
//! | transient errors | out with the third in a minute, if they are a tenth of its segments |
//! | its worker dies | a transient error; out with the third death in ten minutes |
//! | out | ten seconds, doubled to ten minutes each time it is soon again; then a probe; then one stream until 20 segments were good |

mod cost;
mod generation;
mod health;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::admission::{ENCODE_NS, Lateness, SHARE};
use crate::ladder::{Codec, Preset};
use crate::units::{CardId, MAX_CARDS, Moment};

use cost::{Costs, Load, learn};
pub use cost::{Demand, Source};
pub use generation::Generation;
pub(crate) use health::Health;
pub use health::{FIRST_OUT, Outcome, Why};

/// How full a card may be with a new stream.
pub const FILL: f64 = 0.85;
/// How much less full a stream must find another card to move there by itself.
pub const GAIN: f64 = 0.15;
/// How long it stays at least.
pub const DWELL: Duration = Duration::from_secs(30);
/// Time between two such moves, whoever moves.
pub const PAUSE: Duration = Duration::from_secs(2);
/// How long a card may be without encoder sessions before its streams leave; meanwhile their rungs go to the CPU engine.
pub const NO_SESSION: Duration = Duration::from_secs(4);
/// Streams of one machine.
const MAX_STREAMS: usize = 1024;

/// What a card has, as its probe found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equipment {
    /// What its engines are like, until they were measured.
    pub generation: Generation,
    /// Decode engines.
    pub decoders: u32,
    /// Encode engines.
    pub encoders: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// What it can send to the host, bytes per second: about 200 MB/s on a first-generation x1 riser.
    pub link_bytes: u64,
    /// What all decode engines were measured to decode together, luma samples of H.264 per second; 0: not measured.
    pub decode_samples: u64,
}

/// Who encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encode {
    /// The card.
    Card,
    /// The processor; the card decodes and scales.
    Processor,
}

/// Where a stream is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The card that decodes and scales.
    pub card: CardId,
    /// Who encodes.
    pub encode: Encode,
}

/// What a card or the machine has too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Decode engines.
    Decoder,
    /// The scaler.
    Scaler,
    /// Encode engines, or sessions for them.
    Encoder,
    /// The card's memory.
    Memory,
    /// The card's link to the host.
    Link,
    /// Processors of the machine.
    Processors,
    /// Its segments take too long already.
    Time,
    /// It has just come back, and has its one stream.
    Trial,
}

/// Why no card does a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Full {
    /// More streams than a machine has.
    Streams,
    /// No card that works.
    NoCard,
    /// The best card has too little of this; `need` is what it would be filled to, 1 being all it has.
    Card {
        /// The card.
        card: CardId,
        /// What it lacks.
        part: Part,
        /// How full it would be.
        need: f64,
    },
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Streams => write!(f, "{MAX_STREAMS} streams are placed already"),
            Self::NoCard => f.write_str("no card works"),
            Self::Card { card, part, need } => {
                write!(f, "the best card, {}, would be at {:.0} % of its {part:?}", card.0, need * 100.0)
            }
        }
    }
}

/// What became of a card. To be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its streams leave at their next boundary.
    Evicted {
        /// The card.
        card: CardId,
        /// The reason.
        why: Why,
        /// When it is probed at the earliest.
        back_in: Duration,
    },
    /// A clip of our own is to be made on it, and [`Placement::probed`] called.
    Probe(CardId),
    /// It has streams again.
    Readmitted(CardId),
}

#[derive(Debug)]
struct Card {
    equipment: Equipment,
    costs: Costs,
    health: Health,
    lateness: Lateness,
    sessions: u32,
    /// Since when it has none.
    none_since: Option<Moment>,
}

impl Card {
    /// Whether the card can encode; a moment without sessions does not count.
    fn encodes(&self, now: Moment) -> bool {
        let gone = self.none_since.is_some_and(|since| now.since(since) >= NO_SESSION);
        self.equipment.encoders > 0 && (self.sessions > 0 || !gone)
    }

    /// Its fullest part under `load`.
    fn fullest(&self, load: &Load) -> (f64, Part) {
        let have = &self.equipment;
        let share = |need: f64, have: f64| if need == 0.0 { 0.0 } else { need / have };
        // A moment without sessions counts as one.
        let engines = have.encoders.min(self.sessions.max(1));
        let memory = share(load.memory + self.costs.fixed_bytes(), have.memory_bytes as f64);
        let parts = [
            (share(load.decode, f64::from(have.decoders)), Part::Decoder),
            (load.scale, Part::Scaler),
            (share(load.encode, f64::from(engines)), Part::Encoder),
            // Half full it is no slower than empty: memory decides nothing among cards that have enough.
            (if memory > FILL { memory } else { 0.0 }, Part::Memory),
            (share(load.link, have.link_bytes as f64), Part::Link),
        ];
        parts.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, Part::Decoder))
    }
}

#[derive(Debug)]
struct Stream {
    demand: Demand,
    place: Option<Place>,
    since: Moment,
}

/// Cards, streams, and who does what.
#[derive(Debug)]
pub struct Placement {
    cards: BTreeMap<CardId, Card>,
    streams: BTreeMap<String, Stream>,
    /// Processors that encoding for cards may take, and their seconds for a sample of H.264 with the `live` preset.
    processors: f64,
    processor_time: f64,
    moved: Option<Moment>,
    /// For how long a card is out at first.
    first_out: Duration,
}

impl Placement {
    /// For a machine with so many processors; none for one where processors encode nothing.
    pub fn new(processors: usize) -> Self {
        Self::with_pause(processors, FIRST_OUT)
    }

    /// The same, where cards are out for so long at first.
    pub fn with_pause(processors: usize, first_out: Duration) -> Self {
        Self {
            first_out,
            cards: BTreeMap::new(),
            streams: BTreeMap::new(),
            processors: processors as f64 * SHARE,
            processor_time: ENCODE_NS * 1e-9,
            moved: None,
        }
    }

    /// A card is there. One that was known keeps what was learned of it, its health included; what was measured of its
    /// decoders counts anew. One more than a machine has (64) gets no streams.
    pub fn card(&mut self, id: CardId, equipment: Equipment, now: Moment) {
        if self.cards.len() >= MAX_CARDS && !self.cards.contains_key(&id) {
            return;
        }
        let first_out = self.first_out;
        let fresh = || Card {
            equipment,
            costs: Costs::new(equipment.generation),
            health: Health::new(first_out),
            lateness: Lateness::default(),
            sessions: 0,
            none_since: Some(now),
        };
        let card = self.cards.entry(id).or_insert_with(fresh);
        card.equipment = equipment;
        card.costs.decodes(&equipment);
        if card.sessions == 0 {
            card.none_since = Some(now);
        }
    }

    /// So many encoder sessions are open on a card.
    pub fn sessions(&mut self, id: CardId, open: u32, now: Moment) {
        let Some(card) = self.cards.get_mut(&id) else { return };
        card.sessions = open;
        card.none_since = if open > 0 { None } else { card.none_since.or(Some(now)) };
    }

    /// Finds a card for a new stream. One that is placed stays where it is.
    pub fn begin(&mut self, name: &str, demand: Demand, now: Moment) -> Result<Place, Full> {
        if let Some(place) = self.streams.get(name).and_then(|stream| stream.place) {
            return Ok(place);
        }
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(name) {
            return Err(Full::Streams);
        }
        let (_, place) = self.best(name, &demand, FILL, true, now)?;
        self.streams.insert(name.to_owned(), Stream { demand, place: Some(place), since: now });
        Ok(place)
    }

    /// Where the next segment of a stream is done. After an error the stream has no card, and asks again at its next
    /// boundary. `None` for a stream that did not begin.
    pub fn boundary(&mut self, name: &str, now: Moment) -> Option<Result<Place, Full>> {
        let stream = self.streams.get(name)?;
        let (demand, since) = (&stream.demand, stream.since);
        let stays = stream.place.filter(|place| {
            let card = self.cards.get(&place.card).filter(|card| card.health.is_in());
            card.is_some_and(|card| place.encode == Encode::Processor || card.encodes(now))
        });
        let Some(here) = stays else {
            let found = self.best(name, demand, 1.0, false, now).map(|(_, place)| place);
            if let Some(stream) = self.streams.get_mut(name) {
                (stream.place, stream.since) = (found.ok(), now);
            }
            return Some(found);
        };
        let settled = now.since(since) >= DWELL && self.moved.is_none_or(|moved| now.since(moved) >= PAUSE);
        if !settled {
            return Some(Ok(here));
        }
        let full = self.cards[&here.card].fullest(&self.load(here.card, None)).0;
        let better = self.best(name, demand, FILL, true, now).ok().filter(|(there, place)| {
            let nearer = (place.encode, here.encode) == (Encode::Card, Encode::Processor);
            let lighter = place.card != here.card && place.encode == here.encode && full - there >= GAIN;
            nearer || lighter
        });
        if let Some((_, place)) = better
            && let Some(stream) = self.streams.get_mut(name)
        {
            (stream.place, stream.since, self.moved) = (Some(place), now, Some(now));
            return Some(Ok(place));
        }
        Some(Ok(here))
    }

    /// What a stream asks for is better known now, or has changed. It stays where it is.
    pub fn revise(&mut self, name: &str, demand: Demand) {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.demand = demand;
        }
    }

    /// Whether a card may have work.
    pub fn is_in(&self, id: CardId) -> bool {
        self.cards.get(&id).is_some_and(|card| card.health.is_in())
    }

    /// A stream is over.
    pub fn end(&mut self, name: &str) {
        self.streams.remove(name);
    }

    /// A segment has ended, one way or the other.
    pub fn outcome(&mut self, id: CardId, outcome: Outcome, now: Moment) -> Option<Change> {
        let (why, back_in) = self.cards.get_mut(&id)?.health.on(outcome, now)?;
        Some(Change::Evicted { card: id, why, back_in })
    }

    /// A probe has ended.
    pub fn probed(&mut self, id: CardId, works: bool, now: Moment) -> Option<Change> {
        let card = self.cards.get_mut(&id)?;
        Some(match card.health.probed(works, now)? {
            Ok(()) => {
                // What made it late before says nothing of how it is now.
                card.lateness = Lateness::default();
                Change::Readmitted(id)
            }
            Err((why, back_in)) => Change::Evicted { card: id, why, back_in },
        })
    }

    /// What is due by now.
    #[must_use = "probes must be made"]
    pub fn tick(&mut self, now: Moment) -> Vec<Change> {
        let mut changes = Vec::new();
        for (id, card) in &mut self.cards {
            if card.health.probe_lost(now)
                && let Some(Err((why, back_in))) = card.health.probed(false, now)
            {
                changes.push(Change::Evicted { card: *id, why, back_in });
            }
            if card.health.probe_due(now) {
                changes.push(Change::Probe(*id));
            }
        }
        changes
    }

    /// When [`Placement::tick`] has something to do.
    pub fn next_wake(&self) -> Option<Moment> {
        self.cards.values().filter_map(|card| card.health.next_wake()).min()
    }

    /// So many luma samples of a source were scaled to all rungs in so much time of the card.
    pub fn scaled(&mut self, id: CardId, samples: f64, took: Duration) {
        self.costs(id).into_iter().for_each(|costs| costs.scaled(samples, took));
    }

    /// So many luma samples were encoded in so much time of an encode engine ([`crate::sessions::Effect::Spent`]).
    pub fn encoded(&mut self, id: CardId, codec: Codec, preset: Preset, samples: f64, took: Duration) {
        self.costs(id).into_iter().for_each(|costs| costs.encoded(codec, preset, samples, took));
    }

    /// So many bytes of a card's memory are in use.
    pub fn memory_used(&mut self, id: CardId, bytes: u64) {
        let Some(card) = self.cards.get(&id) else { return };
        let expected = self.load(id, None).memory + card.costs.fixed_bytes();
        self.costs(id).into_iter().for_each(|costs| costs.used(bytes as f64, expected));
    }

    /// A segment was done on a card in so much of its playing time.
    pub fn took(&mut self, id: CardId, ratio: f64) {
        if let Some(card) = self.cards.get_mut(&id).filter(|_| ratio.is_finite()) {
            card.lateness.add(ratio);
        }
    }

    /// Processors encoded samples of H.264 with the `live` preset, or what corresponds to them.
    pub fn encoded_by_processor(&mut self, samples: f64, took: Duration) {
        learn(&mut self.processor_time, samples, took);
    }

    /// Time that an encode engine of a card needs for so many samples, as far as is known: [`crate::sessions::Ask::work`].
    pub fn encode_time(&self, id: CardId, codec: Codec, preset: Preset, samples: f64) -> Option<Duration> {
        let time = self.cards.get(&id)?.costs.encode_time(codec, preset, samples);
        Duration::try_from_secs_f64(time).ok()
    }

    /// Time of a card for scaling so many samples of a source to all rungs, as far as is known.
    pub fn scale_time(&self, id: CardId, samples: f64) -> Option<Duration> {
        Duration::try_from_secs_f64(self.cards.get(&id)?.costs.scale_time(samples)).ok()
    }

    /// How full a card is, 1 being all it has, and which part of it.
    pub fn fullness(&self, id: CardId) -> Option<(f64, Part)> {
        Some(self.cards.get(&id)?.fullest(&self.load(id, None)))
    }

    fn costs(&mut self, id: CardId) -> Option<&mut Costs> {
        self.cards.get_mut(&id).map(|card| &mut card.costs)
    }

    fn on_card(&self, id: CardId) -> impl Iterator<Item = (&str, &Stream, Encode)> {
        self.streams.iter().filter_map(move |(name, stream)| {
            let place = stream.place.filter(|place| place.card == id)?;
            Some((name.as_str(), stream, place.encode))
        })
    }

    /// What streams take of a card, but for one of them.
    fn load(&self, id: CardId, but: Option<&str>) -> Load {
        let mut load = Load::default();
        let Some(card) = self.cards.get(&id) else { return load };
        for (_, stream, encode) in self.on_card(id).filter(|(name, ..)| Some(*name) != but) {
            load.add(&card.costs.load(&stream.demand, encode == Encode::Card));
        }
        load
    }

    /// The card that would be least full with a stream, and how full; encoding on a card before encoding on the processor.
    fn best(&self, name: &str, demand: &Demand, most: f64, fresh: bool, now: Moment) -> Result<(f64, Place), Full> {
        let apart = |stream: &Stream| stream.place.is_some_and(|place| place.encode == Encode::Processor);
        let others = self.streams.iter().filter(|(known, stream)| *known != name && apart(stream));
        let samples: f64 = others.map(|(_, stream)| stream.demand.processor_samples()).sum();
        let processors = (samples + demand.processor_samples()) * self.processor_time;
        let mut refused: Option<(f64, Full)> = None;
        for encode in [Encode::Card, Encode::Processor] {
            let mut best: Option<(f64, Place)> = None;
            for (id, card) in self.cards.iter().filter(|(_, card)| card.health.is_in()) {
                let can = match encode {
                    Encode::Card => card.encodes(now) && (card.sessions > 0 || !fresh),
                    Encode::Processor => self.processors > 0.0,
                };
                if !can {
                    continue;
                }
                let mut load = self.load(*id, Some(name));
                load.add(&card.costs.load(demand, encode == Encode::Card));
                let (mut need, mut part) = card.fullest(&load);
                let mut fits = need <= most;
                let mut others = self.on_card(*id).filter(|(known, ..)| *known != name).peekable();
                // A card that does nothing always takes a stream: without one it would never learn that it can.
                fits |= encode == Encode::Card
                    && fresh
                    && others.peek().is_none()
                    && need.is_finite()
                    && part != Part::Memory;
                if encode == Encode::Processor && processors > self.processors {
                    (fits, need, part) = (false, processors / self.processors, Part::Processors);
                } else if let Some(p99) = card.lateness.too_late().filter(|_| fresh && others.peek().is_some()) {
                    (fits, need, part) = (false, p99, Part::Time);
                } else if card.health.on_trial() && others.peek().is_some() {
                    (fits, need, part) = (false, 1.0, Part::Trial);
                }
                if fits && best.is_none_or(|(least, _)| need < least) {
                    best = Some((need, Place { card: *id, encode }));
                }
                if !fits && refused.is_none_or(|(least, _)| need < least) {
                    refused = Some((need, Full::Card { card: *id, part, need }));
                }
            }
            if let Some(best) = best {
                return Ok(best);
            }
        }
        Err(refused.map_or(Full::NoCard, |(_, full)| full))
    }
}

#[cfg(test)]
mod tests;
