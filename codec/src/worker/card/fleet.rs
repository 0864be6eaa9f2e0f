//! All cards of a pool: where each segment goes, and what came of it.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::child::{Done, GRACE, Worker, check_source, is_plain};
use super::super::ipc::{self, IpcError, PartHead, Request};
use super::super::parts::Parts;
use super::super::vitals::Vitals;
use super::super::{Death, PoolConfig};
use super::choice::{self, Cards, Found};
use super::keeper::Heat;
use super::lender::Owed;
use super::lending::ToCard;
use super::{CardHealth, CardState, CardStats};
use crate::budget::Limits;
use crate::error::{Class, EngineError};
use crate::ladder::{Codec, Ladder};
use crate::pace::Pace;
use crate::placement::{Change, Demand, Equipment, Full, Generation, Outcome, Placement, Source};
use crate::segment::{Part, SegmentOut, SourceInfo, TICKS_PER_SECOND, VideoKind};
use crate::sessions::{Desk, Stats};
use crate::units::{CardId, Moment};

/// What the parts of one segment may wait in for whoever puts them together.
const WORDS: usize = 64;
/// A stream without a segment for so long has ended.
const QUIET: Duration = Duration::from_secs(60);
/// Streams that anything is remembered of.
const MAX_STREAMS: usize = 1024;
/// A stream in hand at so many ends of cards' workers stays with the processors for a while.
const SUSPECT: u8 = 2;
const SUSPECTED: Duration = Duration::from_secs(600);
/// Workers and contents remembered that were in hand at their ends.
const MAX_BLAMED: usize = 256;
/// Time to ask what cards there are: each takes a driver a second or more.
const FIND_PATIENCE: Duration = Duration::from_secs(60);
/// How a card was that long ago says nothing of how it is.
const STALE: Duration = Duration::from_secs(60);
/// Until it was measured: a first-generation x1 riser, bytes a second.
const LINK: u64 = 200_000_000;

/// A segment as a card gets it.
pub(in super::super) struct Task<'a> {
    pub(in super::super) stream: &'a str,
    pub(in super::super) number: u64,
    pub(in super::super) ladder: &'a Ladder,
    pub(in super::super) paces: &'a [Pace],
    /// Of its content.
    pub(in super::super) hash: [u8; 32],
    pub(in super::super) limits: &'a Limits,
    /// Its bytes, and how many.
    pub(in super::super) file: (&'a OwnedFd, u64),
    pub(in super::super) until: Instant,
}

/// What came of trying a card.
pub(in super::super) enum Attempt {
    /// It is made, of these parts.
    Made(SegmentOut, Vec<Part>),
    /// Nobody can make it.
    Refused(EngineError),
    /// The processors are to make it.
    Left,
    /// As above; the card's worker died with this content in hand, which is said once for each worker.
    Died,
}

/// What a card's worker says of one segment.
pub(super) enum Word {
    Part(PartHead, Option<OwnedFd>),
    Done(Done),
    Failed(EngineError),
    /// The worker is gone: it died, or was ended because its card is out.
    Gone(Option<Death>),
}

/// Someone who waits for a segment.
pub(super) struct Pending {
    pub(super) to: SyncSender<Word>,
    /// A worker without an answer by then hangs.
    pub(super) stuck_at: Instant,
}

/// A card's worker as everybody else sees it.
pub(super) struct Up {
    /// Counts up with every worker of the pool.
    pub(super) epoch: u64,
    pub(super) socket: Arc<OwnedFd>,
    pub(super) vitals: Vitals,
    pub(super) pending: BTreeMap<u64, Pending>,
    next_id: u64,
    pub(super) owed: Owed,
    /// It is to be ended, and is taken to have died of this.
    pub(super) condemned: Option<Death>,
    /// It is to be ended because its card is out.
    pub(super) retired: bool,
}

pub(super) struct Slot {
    pub(super) stats: CardStats,
    pub(super) up: Option<Up>,
    pub(super) probe: bool,
    /// Deaths since the last segment made.
    pub(super) deaths_in_row: u32,
    /// What its worker last said of who made what.
    pub(super) tally: [u64; 5],
    /// When its worker last said how it is.
    pub(super) looked: Option<Instant>,
    pub(super) heat: Heat,
}

struct Stream {
    last: Moment,
    deaths: u8,
    death: Moment,
    /// Whose was the last of them: several of its segments may be in the hand of one worker.
    ended: Option<u64>,
    full: bool,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) placement: Option<Placement>,
    /// By [`CardId`].
    pub(super) slots: Vec<Slot>,
    streams: BTreeMap<String, Stream>,
    blamed: VecDeque<(u64, [u8; 32])>,
    epochs: u64,
    pub(super) stopping: bool,
    pub(super) deaths: BTreeMap<Death, u64>,
    keepers: Vec<thread::JoinHandle<()>>,
}

pub(super) struct Inner {
    pub(super) config: PoolConfig,
    began: Instant,
    state: Mutex<State>,
    pub(super) changed: Condvar,
    /// Keeps the encoder sessions, from when cards were found until the end.
    desk: Mutex<Option<Arc<Desk>>>,
}

/// All cards of a pool.
pub(in super::super) struct Fleet {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

/// A place on a card for one segment.
struct Seat {
    card: CardId,
    epoch: u64,
    id: u64,
    socket: Arc<OwnedFd>,
    words: Receiver<Word>,
    wall: Duration,
    stuck_at: Instant,
}

impl Fleet {
    /// Looks for the cards that are wanted, and keeps a worker for each, in the background.
    pub(in super::super) fn start(config: &PoolConfig) -> Self {
        let (state, changed, desk) = Default::default();
        let inner = Arc::new(Inner { config: config.clone(), began: Instant::now(), state, changed, desk });
        if config.cards.which != Cards::None {
            let finder = Arc::clone(&inner);
            let started = thread::Builder::new().name("codec-cards".to_owned()).spawn(move || finder.find());
            if let Err(error) = started {
                tracing::error!(%error, "no thread to look for graphics cards: the processors do everything");
            }
        }
        Self { inner }
    }

    /// Has a card make the segment, if one has room for its stream; waits for it at most half of the time there is.
    pub(in super::super) fn attempt(&self, task: &Task<'_>) -> Attempt {
        match self.inner.seat(task) {
            Some(seat) => self.inner.make(task, &seat),
            None => Attempt::Left,
        }
    }

    /// Cards at this moment, in the driver's order.
    pub(in super::super) fn stats(&self) -> Vec<CardStats> {
        let state = self.inner.lock();
        let stats = |(slot, id): (&Slot, u32)| {
            let pid = slot.up.as_ref().map(|up| up.vitals.pid());
            let is_in = state.placement.as_ref().is_some_and(|placement| placement.is_in(CardId(id)));
            CardStats {
                state: match (is_in, pid) {
                    (false, _) => CardState::Out,
                    (true, None) => CardState::Starting,
                    (true, Some(_)) => CardState::Up,
                },
                pid,
                rss_bytes: pid.map_or(0, Worker::rss_bytes),
                health: slot.health(),
                in_hand: slot.up.as_ref().map_or(0, |up| up.pending.len()),
                ..slot.stats.clone()
            }
        };
        state.slots.iter().zip(0..).map(stats).collect()
    }

    /// The encoder sessions of all cards, where there are cards.
    pub(in super::super) fn sessions(&self) -> Option<Stats> {
        self.inner.desk().map(|desk| desk.stats())
    }

    /// Ends of cards' workers, by reason.
    pub(in super::super) fn deaths(&self) -> BTreeMap<Death, u64> {
        self.inner.lock().deaths.clone()
    }

    /// Takes no more work, lets segments in hand finish, and ends all workers. Idempotent.
    pub(in super::super) fn shutdown(&self) {
        let mut state = self.inner.lock();
        state.stopping = true;
        let keepers = std::mem::take(&mut state.keepers);
        drop(state);
        self.inner.changed.notify_all();
        // They do not panic, and if one did, there would be nothing left to stop.
        keepers.into_iter().for_each(|keeper| drop(keeper.join()));
        // Here, because its thread cannot wait for itself.
        let desk = self.inner.desk.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(desk);
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn desk(&self) -> Option<Arc<Desk>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn now(&self) -> Moment {
        Moment(self.began.elapsed())
    }

    fn find(self: Arc<Self>) {
        let config = &self.config.cards;
        let (found, problems) = match choice::find(&self.config.program, config.libraries.as_deref(), FIND_PATIENCE) {
            Ok(found) => found,
            Err(reason) => {
                return tracing::warn!(reason, "cannot look for graphics cards: the processors do everything");
            }
        };
        let wanted: Vec<Found> = match &config.which {
            Cards::These(list) => {
                let missing = list.iter().filter(|uuid| found.iter().all(|card| card.uuid != **uuid));
                missing.for_each(|uuid| {
                    tracing::error!(uuid, "this machine has no such graphics card; `headframe-codec gpu` lists them");
                });
                found.into_iter().filter(|card| list.contains(&card.uuid)).collect()
            }
            _ => found,
        };
        if wanted.is_empty() {
            let reason = problems.join("; ");
            return tracing::info!(reason, "no graphics card to transcode on: the processors do everything");
        }
        problems
            .iter()
            .for_each(|reason| tracing::warn!(reason, "a graphics card or its driver is not as it should be"));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let mut placement = Placement::with_pause(processors, config.first_out);
        let desk = match self.lend() {
            Ok(desk) => desk,
            Err(error) => return tracing::error!(%error, "no thread for encoder sessions: no card is used"),
        };
        let mut state = self.lock();
        if state.stopping {
            drop(state);
            return drop(desk);
        }
        *self.desk.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(desk));
        for (card, id) in wanted.into_iter().zip((0..).map(CardId)) {
            let Found { uuid, name, compute, memory_bytes, decoders, encoders } = card;
            let (generation, decoders) = (Generation::of(compute), decoders.max(1));
            let (link_bytes, decode_samples) = (LINK, 0);
            let equipment = Equipment { generation, decoders, encoders, memory_bytes, link_bytes, decode_samples };
            let keeper = Arc::clone(&self);
            let keeper = thread::Builder::new().name(format!("codec-card-{}", id.0)).spawn(move || keeper.keep(id));
            match keeper {
                Ok(keeper) => {
                    placement.card(id, equipment, self.now());
                    state.keepers.push(keeper);
                }
                Err(error) => tracing::error!(uuid, %error, "no thread for a graphics card: it is not used"),
            }
            let stats = CardStats { uuid, name, ..CardStats::default() };
            let (up, tally, looked, heat) = Default::default();
            state.slots.push(Slot { stats, up, probe: false, deaths_in_row: 0, tally, looked, heat });
        }
        state.placement = Some(placement);
    }

    /// A place for the segment on the card of its stream.
    fn seat(&self, task: &Task<'_>) -> Option<Seat> {
        let mut state = self.lock();
        if state.slots.is_empty() {
            return None;
        }
        let card = state.place(task, self.now())?;
        let began = Instant::now();
        let left = task.until.saturating_duration_since(began);
        // A quarter of the time to begin, another to be done: half is left for the processors.
        let patience = began + left / 4;
        loop {
            if state.stopping {
                return None;
            }
            let most = self.config.cards.segments;
            let slot = state.slots.get_mut(card.0 as usize)?;
            let Some(up) = slot.up.as_mut().filter(|up| up.condemned.is_none() && !up.retired) else {
                slot.leave("starting");
                return None;
            };
            if up.pending.len() < most {
                let now = Instant::now();
                let wall = task.limits.wall.min(task.until.saturating_duration_since(now).saturating_sub(left / 2));
                let stuck_at = now + wall + GRACE;
                let (to, words) = sync_channel(WORDS);
                let id = up.next_id;
                up.next_id += 1;
                up.pending.insert(id, Pending { to, stuck_at });
                up.vitals.budget(task.limits);
                let (epoch, socket) = (up.epoch, Arc::clone(&up.socket));
                return Some(Seat { card, epoch, id, socket, words, wall, stuck_at });
            }
            let wait = patience.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                slot.leave("busy");
                return None;
            }
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn make(&self, task: &Task<'_>, seat: &Seat) -> Attempt {
        let began = Instant::now();
        let limits = Limits { wall: seat.wall, ..task.limits.clone() };
        let (ladder, paces, len) = (task.ladder.clone(), task.paces.to_vec(), task.file.1);
        let request = Request::Transcode { id: seat.id, ladder, paces, limits, len };
        match ipc::send(&seat.socket, &ToCard::Work(request), Some(task.file.0.as_fd())) {
            Ok(()) => {}
            Err(IpcError::Protocol(reason)) => {
                let mut state = self.lock();
                if let Some(up) = state.up(seat) {
                    up.pending.remove(&seat.id);
                }
                return state.left(task, seat, "transient", &reason);
            }
            // Its keeper notices, and says so below.
            Err(_) => {}
        }
        let (mut made, mut parts) = (Parts::new(task.ladder, task.limits), Vec::new());
        // A moment more, in which its keeper ends a worker that hangs.
        let until = task.until.min(seat.stuck_at + 2 * GRACE);
        let lie = |why: String| {
            let mut state = self.lock();
            if let Some(up) = state.up(seat) {
                up.condemned = Some(Death::Protocol);
            }
            state.died(task, seat, (Death::Protocol, self.now()), &why)
        };
        loop {
            match seat.words.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Word::Part(head, file)) => match made.take(head, file) {
                    Ok(part) => parts.push(part),
                    Err(why) => return lie(why),
                },
                Ok(Word::Done(Done { renditions, source, timings, paces })) => {
                    let whole = match paces.len() == task.ladder.renditions().len() {
                        true => check_source(&source, &timings, task.limits).and_then(|()| made.finish(renditions)),
                        false => Err(format!("{} paces", paces.len())),
                    };
                    let renditions = match whole {
                        Ok(renditions) => renditions,
                        Err(why) => return lie(why),
                    };
                    self.lock().made(task, seat, &source, began.elapsed(), self.now());
                    return Attempt::Made(SegmentOut { renditions, source, timings, paces }, parts);
                }
                Ok(Word::Failed(error)) if is_plain(&error.to_string()) => {
                    let mut state = self.lock();
                    state.failed(seat, error.class(), self.now());
                    if error.class() == Class::Input {
                        return Attempt::Refused(error);
                    }
                    return state.left(task, seat, error.class().name(), &error.to_string());
                }
                Ok(Word::Failed(error)) => return lie(format!("an error that is no line of text: {error:?}")),
                Ok(Word::Gone(None)) => {
                    return self.lock().left(task, seat, "lost", "its worker was ended: the card is out");
                }
                Ok(Word::Gone(Some(death))) => {
                    return self.lock().died(task, seat, (death, self.now()), "its worker died");
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return self.lock().died(task, seat, (Death::Crashed, self.now()), "its worker died");
                }
                Err(RecvTimeoutError::Timeout) => return self.lock().left(task, seat, "late", "no answer in time"),
            }
        }
    }
}

impl Slot {
    fn leave(&mut self, reason: &'static str) {
        *self.stats.left.entry(reason).or_default() += 1;
    }

    fn health(&self) -> CardHealth {
        let fresh = self.looked.is_some_and(|at| at.elapsed() < STALE);
        if fresh { self.stats.health.clone() } else { CardHealth::default() }
    }
}

impl State {
    fn slot(&mut self, card: CardId) -> Option<&mut Slot> {
        self.slots.get_mut(card.0 as usize)
    }

    /// The card whose worker has this number.
    pub(super) fn slot_of(&mut self, epoch: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.up.as_ref().is_some_and(|up| up.epoch == epoch))
    }

    /// The worker that the seat is of, if it is there still.
    fn up(&mut self, seat: &Seat) -> Option<&mut Up> {
        self.slot(seat.card)?.up.as_mut().filter(|up| up.epoch == seat.epoch)
    }

    /// Numbers workers.
    pub(super) fn up_of(&mut self, worker: &Worker) -> Up {
        self.epochs += 1;
        Up {
            epoch: self.epochs,
            socket: worker.socket(),
            vitals: worker.vitals().clone().with_card(),
            pending: BTreeMap::new(),
            next_id: 0,
            owed: Owed::default(),
            condemned: None,
            retired: false,
        }
    }

    /// The card of the task's stream.
    fn place(&mut self, task: &Task<'_>, now: Moment) -> Option<CardId> {
        let placement = self.placement.as_mut()?;
        self.streams.retain(|name, stream| {
            let stays = now.since(stream.last) < QUIET;
            if !stays {
                placement.end(name);
            }
            stays
        });
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(task.stream) {
            return None;
        }
        let fresh = || Stream { last: now, deaths: 0, death: now, ended: None, full: false };
        let stream = self.streams.entry(task.stream.to_owned()).or_insert_with(fresh);
        stream.last = now;
        if now.since(stream.death) >= SUSPECTED {
            stream.deaths = 0;
        }
        if stream.deaths >= SUSPECT {
            return None;
        }
        let place = match placement.boundary(task.stream, now) {
            Some(place) => place,
            None => placement.begin(task.stream, unseen(task.ladder), now),
        };
        let was_full = stream.full;
        let (card, why) = match place {
            // Who encodes comes out when sessions are asked for.
            Ok(place) => {
                stream.full = false;
                return Some(place.card);
            }
            Err(full @ Full::Card { card, .. }) => (Some(card), full.to_string()),
            Err(full) => (None, full.to_string()),
        };
        stream.full = true;
        if !was_full {
            tracing::info!(stream = task.stream, reason = why, "no card has room for a stream: the processors make it");
        }
        if let Some(slot) = card.and_then(|card| self.slots.get_mut(card.0 as usize)) {
            slot.leave("full");
        }
        None
    }

    fn made(&mut self, task: &Task<'_>, seat: &Seat, source: &SourceInfo, took: Duration, now: Moment) {
        if let Some(slot) = self.slot(seat.card) {
            slot.stats.segments += 1;
            slot.deaths_in_row = 0;
        }
        let seconds = source.duration as f64 / TICKS_PER_SECOND as f64;
        if let Some(placement) = &mut self.placement {
            if seconds > 0.0 {
                placement.took(seat.card, took.as_secs_f64() / seconds);
                placement.revise(task.stream, seen(source, seconds, task.ladder));
            }
            let change = placement.outcome(seat.card, Outcome::Good, now);
            debug_assert!(change.is_none(), "good segments put no card out");
        }
    }

    /// A segment could not be made: what that means for the card.
    fn failed(&mut self, seat: &Seat, class: Class, now: Moment) {
        if let Some(slot) = self.slot(seat.card) {
            *slot.stats.errors.entry(class).or_default() += 1;
        }
        let outcome = |placement: &mut Placement| placement.outcome(seat.card, Outcome::Failed(class), now);
        if let Some(change) = self.placement.as_mut().and_then(outcome) {
            self.changed(change);
        }
    }

    /// What became of a card.
    pub(super) fn changed(&mut self, change: Change) {
        let (Change::Evicted { card, .. } | Change::Probe(card) | Change::Readmitted(card)) = change;
        let Some(slot) = self.slot(card) else { return };
        let uuid = &slot.stats.uuid;
        match change {
            Change::Evicted { why, back_in, .. } => {
                tracing::error!(uuid, why = why.name(), probed_in_s = back_in.as_secs(), "a graphics card is put out");
                *slot.stats.put_out.entry(why.name()).or_default() += 1;
                if let Some(up) = &mut slot.up {
                    up.retired = true;
                }
            }
            Change::Probe(_) => slot.probe = true,
            Change::Readmitted(_) => {
                tracing::warn!(uuid, "a graphics card is back");
                slot.stats.readmitted += 1;
            }
        }
    }

    fn left(&mut self, task: &Task<'_>, seat: &Seat, reason: &'static str, detail: &str) -> Attempt {
        if let Some(slot) = self.slot(seat.card) {
            slot.leave(reason);
            let uuid = &slot.stats.uuid;
            let (stream, segment) = (task.stream, task.number);
            tracing::warn!(stream, segment, uuid, reason, detail, "a card did not make a segment: the processors do");
        }
        Attempt::Left
    }

    fn died(&mut self, task: &Task<'_>, seat: &Seat, (death, now): (Death, Moment), detail: &str) -> Attempt {
        if let Some(stream) = self.streams.get_mut(task.stream)
            && stream.ended.replace(seat.epoch) != Some(seat.epoch)
        {
            (stream.deaths, stream.death) = (stream.deaths.saturating_add(1), now);
        }
        let left = self.left(task, seat, "lost", &format!("{detail} ({})", death.name()));
        let blame = (seat.epoch, task.hash);
        if self.blamed.contains(&blame) {
            return left;
        }
        self.blamed.push_back(blame);
        if self.blamed.len() > MAX_BLAMED {
            self.blamed.pop_front();
        }
        Attempt::Died
    }
}

/// What a stream that nobody has seen yet is taken for.
fn unseen(ladder: &Ladder) -> Demand {
    let segment = Duration::from_secs(2);
    Demand::new(&Source { codec: Codec::H264, width: 1920, height: 1080, fps: 30.0, segment }, ladder)
}

/// What it is, as its card's worker says. One that lies of the coding has its own stream planned by another figure that
/// is published, and no more.
fn seen(source: &SourceInfo, seconds: f64, ladder: &Ladder) -> Demand {
    let codec = match source.kind {
        VideoKind::H264 => Codec::H264,
        VideoKind::Hevc => Codec::Hevc,
        // Of VP9 there is no figure. AV1 came of it and is more work, so the card is planned to do rather too little.
        VideoKind::Av1 | VideoKind::Vp9 => Codec::Av1,
    };
    let (width, height) = (source.width, source.height);
    let segment = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(2));
    Demand::new(&Source { codec, width, height, fps: f64::from(source.frames) / seconds, segment }, ladder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_counts_as_what_it_is_coded_in() {
        let (ladder, segment) = (Ladder::standard(), Duration::from_secs(2));
        let counted = |kind| {
            let (width, height, first_pts, duration) = (1280, 720, 0, 2 * TICKS_PER_SECOND);
            let source = SourceInfo { kind, width, height, frames: 60, damaged: 0, first_pts, duration, audio: true };
            seen(&source, 2.0, &ladder)
        };
        let of = |codec| Demand::new(&Source { codec, width: 1280, height: 720, fps: 30.0, segment }, &ladder);
        assert_eq!(counted(VideoKind::H264), of(Codec::H264));
        assert_eq!(counted(VideoKind::Hevc), of(Codec::Hevc));
        assert_eq!([VideoKind::Av1, VideoKind::Vp9].map(counted), [of(Codec::Av1), of(Codec::Av1)]);
        assert_ne!(of(Codec::H264), of(Codec::Hevc));
    }
}
