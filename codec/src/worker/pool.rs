//! A number of workers, kept alive, shared fairly by any number of threads.

mod commit;
mod device;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};

use super::card::{Attempt, Fleet, MOST_SEGMENTS, Task};
use super::child::{Done, Heard, Lost, Worker};
use super::parts::Parts;
use super::streams::Streams;
use super::vitals::Vitals;
use super::vulkan::Keeper;
use super::{Death, PoolConfig, PoolError, PoolStats, ipc};
use crate::error::{EngineError, TranscodeError};
use crate::ladder::Ladder;
use crate::segment::{Part, SegmentIn, SegmentOut};

/// How often idle workers are looked at.
pub(super) const ROUND: Duration = Duration::from_millis(200);
/// Deaths in a row without a finished job from which on new starts are delayed.
const FREE_DEATHS: u32 = 3;
/// For how long at most a segment in its first half keeps others waiting: a slow or hostile one must not for long.
const HEAD_START: Duration = Duration::from_secs(1);
/// Deaths of workers by one content until it is quarantined.
const MAX_STRIKES: u8 = 2;
/// Consecutive failed starts from which on callers are told instead of being kept waiting.
const HOPELESS_STARTS: u32 = 3;

/// Workers and their watchman. All methods may be called from several threads at once.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    watchman: Mutex<Option<thread::JoinHandle<()>>>,
    fleet: Fleet,
}

struct Shared {
    config: PoolConfig,
    /// Segments that may be in their first half at once. One decoder feeds the encoders of two or three cores; where more run side by
    /// side they only push each other out of the caches, and all end late instead of one after the other.
    beginners: usize,
    state: Mutex<State>,
    changed: Condvar,
    streams: Streams,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    idle: Vec<Worker>,
    pids: BTreeMap<u32, Vitals>,
    /// The card that scales for the workers, where one was found.
    device: Option<Keeper>,
    /// Workers that have it.
    with_device: BTreeSet<u32>,
    /// Workers that the watchman ended, and why: the signal alone does not say.
    condemned: BTreeMap<u32, Death>,
    busy: usize,
    /// Workers in the first half of a segment, and how long they keep others from beginning.
    beginning: Vec<(u32, Instant)>,
    /// Tickets of waiting callers, first come first served.
    queue: VecDeque<u64>,
    next_ticket: u64,
    stopping: bool,
    restarts: BTreeMap<Death, u64>,
    /// Content hashes and how many workers each has killed; the oldest is forgotten first.
    strikes: VecDeque<([u8; 32], u8)>,
    segments: u64,
    /// Deaths since the last answer.
    deaths_in_row: u32,
    failed_starts: u32,
    last_failure: String,
    last_start: Duration,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Starts the workers; returns once the first one is ready.
    pub fn start(config: PoolConfig) -> Result<Self, PoolError> {
        if !(1..=64).contains(&config.workers) {
            return Err(PoolError::Workers { have: config.workers });
        }
        if !(1..=MOST_SEGMENTS).contains(&config.cards.segments) {
            return Err(PoolError::CardSegments { have: config.cards.segments });
        }
        let fleet = Fleet::start(&config);
        let beginners = thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        let shared = Arc::new(Shared {
            config,
            beginners,
            state: Mutex::default(),
            changed: Condvar::new(),
            streams: Streams::default(),
        });
        let watch = Arc::clone(&shared);
        // Workers die with the thread that starts them, so one thread starts them all and stays until the last is gone.
        let watchman = thread::Builder::new().name("codec-pool".to_owned()).spawn(move || watch.watch());
        let watchman = watchman.map_err(|error| PoolError::Start { reason: error.to_string() })?;
        shared.look_for_device();
        let pool = Self { shared, watchman: Mutex::new(Some(watchman)), fleet };
        let mut state = pool.shared.lock();
        while state.pids.is_empty() && state.failed_starts == 0 {
            state = pool.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.pids.is_empty() {
            let reason = state.last_failure.clone();
            drop(state);
            pool.shutdown();
            return Err(PoolError::Start { reason });
        }
        drop(state);
        Ok(pool)
    }

    /// Transcodes one segment; blocks until it is done, at most for `deadline`.
    ///
    /// At most two segments of a stream are in work at once: each goes on from the rate control of the one before the
    /// last, so that equal streams give equal bytes, however the work is spread.
    ///
    /// Where a graphics card has room for the stream, it makes the segment, and the processors what it could not.
    ///
    /// Callers get workers in the order in which they came. A worker that dies costs one automatic retry; content that
    /// killed two workers is refused from then on.
    pub fn transcode(
        &self,
        ladder: &Ladder,
        segment: SegmentIn<'_>,
        deadline: Duration,
    ) -> Result<SegmentOut, TranscodeError> {
        self.transcode_in_parts(ladder, segment, deadline, &mut |_| {})
    }

    /// As [`Self::transcode`], and every part goes to `parts` as soon as it is made; the result has the whole renditions
    /// all the same. After an error the parts that were given belong to nothing and have to be discarded.
    ///
    /// Where a worker dies and another one tries again, no part is given twice: equal input gives equal bytes, so the
    /// second goes on where the first left off. If it does not, it is taken for broken.
    ///
    /// What a graphics card makes is given when all of it is there, because the processors could not go on behind it.
    ///
    /// `parts` is called on the calling thread. While it does not return, the worker soon has to wait.
    pub fn transcode_in_parts(
        &self,
        ladder: &Ladder,
        segment: SegmentIn<'_>,
        deadline: Duration,
        parts: &mut dyn FnMut(&Part),
    ) -> Result<SegmentOut, TranscodeError> {
        let (stream, number) = (segment.stream.to_owned(), segment.number);
        let until = Instant::now() + deadline;
        let limits = &self.shared.config.limits;
        let len = segment.bytes.len() as u64;
        let refuse = |source| TranscodeError::Engine { stream: stream.clone(), number, source };
        if len == 0 {
            return Err(refuse(EngineError::Empty));
        }
        if len > limits.input_bytes {
            return Err(refuse(EngineError::InputBytes { bytes: len, limit: limits.input_bytes }));
        }
        let hash: [u8; 32] = Sha256::digest(segment.bytes).into();
        let quarantined = || TranscodeError::Quarantined {
            stream: stream.clone(),
            number,
            hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        if self.shared.lock().strikes_of(&hash) >= MAX_STRIKES {
            return Err(quarantined());
        }
        let hand_over = |error: std::io::Error| TranscodeError::HandOver {
            stream: stream.clone(),
            number,
            reason: error.to_string(),
        };
        let file = ipc::sealed([segment.bytes]).map_err(hand_over)?;
        let late = |stage| TranscodeError::Deadline {
            stream: stream.clone(),
            number,
            deadline_ms: deadline.as_millis() as u64,
            stage,
        };
        let turn = self.shared.streams.turn(segment.stream, number, ladder, until);
        let turn = turn.ok_or_else(|| late("waiting for an earlier segment of the stream"))?;
        let (stream_name, paces, file_of) = (segment.stream, turn.paces(), (&file, len));
        let task = Task { stream: stream_name, number, ladder, paces, hash, limits, file: file_of, until };
        match self.fleet.attempt(&task) {
            Attempt::Made(out, made) => {
                self.shared.answered(&hash);
                turn.done(&out.paces);
                made.iter().for_each(parts);
                return Ok(out);
            }
            Attempt::Refused(error) => {
                self.shared.answered(&hash);
                return Err(refuse(error));
            }
            Attempt::Left => {}
            Attempt::Died if self.shared.strike(&hash) >= MAX_STRIKES => return Err(quarantined()),
            Attempt::Died => {}
        }
        // What an attempt that failed has given away.
        let mut given: Option<Parts<'_>> = None;
        let mut retry = true;
        loop {
            let mut worker = self.shared.acquire(until).map_err(|refused| match refused {
                Refused::Late => late("waiting for a free worker"),
                Refused::Stopping => TranscodeError::ShuttingDown { stream: stream.clone(), number },
                Refused::Hopeless(reason) => TranscodeError::NoWorker { stream: stream.clone(), number, reason },
            })?;
            let mut made = Parts::new(ladder, limits);
            let pid = worker.pid();
            let mut scaled = None;
            let mut hear = |heard| {
                let (head, file) = match heard {
                    Heard::Part(head, file) => (head, file),
                    Heard::Scaled(what) => {
                        scaled = Some(what);
                        return Ok(());
                    }
                    Heard::Halfway => {
                        self.shared.halfway(pid);
                        return Ok(());
                    }
                };
                let part = made.take(head, file)?;
                if !given.as_ref().map_or(Ok(false), |given| made.repeats(&part, given))? {
                    parts(&part);
                }
                Ok(())
            };
            let answer = worker.transcode((ladder, turn.paces()), limits, (&file, len), until, &mut hear);
            let answer = answer.and_then(|answer| match answer {
                Ok(done) => whole(&mut made, done).map(Ok),
                Err(error) => Ok(Err(error)),
            });
            match answer {
                Ok(answer) => {
                    self.shared.scaled(scaled, answer.as_ref().ok());
                    self.shared.release(worker, &hash);
                    if let Ok(out) = &answer {
                        turn.done(&out.paces);
                    }
                    return answer.map_err(refuse);
                }
                Err(lost) => {
                    let Buried { death, strikes, last_words } = self.shared.lost(worker, lost, &segment, &hash);
                    if death == Death::Deadline {
                        return Err(late("transcoding"));
                    }
                    if strikes >= MAX_STRIKES {
                        return Err(quarantined());
                    }
                    if !retry {
                        return Err(TranscodeError::WorkerDied { stream, number, death, last_words });
                    }
                    (retry, given) = (false, Some(made));
                }
            }
        }
    }

    /// The pool at this moment.
    pub fn stats(&self) -> PoolStats {
        let (cards, deaths) = (self.fleet.stats(), self.fleet.deaths());
        let state = self.shared.lock();
        let pids: Vec<u32> = state.pids.keys().copied().collect();
        let mut restarts = state.restarts.clone();
        deaths.into_iter().for_each(|(death, count)| *restarts.entry(death).or_default() += count);
        PoolStats {
            cards,
            sessions: self.fleet.sessions(),
            vulkan: state.device.as_ref().map(|device| device.stats(state.with_device.len())),
            workers: pids.len(),
            busy: state.busy,
            waiting: state.queue.len(),
            restarts,
            quarantined: state.strikes.iter().filter(|(_, strikes)| *strikes >= MAX_STRIKES).count(),
            segments: state.segments,
            rss_bytes: pids.iter().map(|pid| Worker::rss_bytes(*pid)).sum(),
            pids,
            last_start: state.last_start,
        }
    }

    /// Takes no more work, lets running segments finish, and ends all workers. Idempotent; also done on drop.
    pub fn shutdown(&self) {
        self.fleet.shutdown();
        let mut state = self.shared.lock();
        state.stopping = true;
        let idle = std::mem::take(&mut state.idle);
        idle.iter().for_each(|worker| state.forget(worker.pid()));
        drop(state);
        drop(idle);
        self.shared.changed.notify_all();
        let watchman = self.watchman.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(watchman) = watchman {
            // It does not panic, and if it did, there would be nothing left to stop.
            let _ = watchman.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// The segment, from its parts and what its worker says at the end.
fn whole(parts: &mut Parts<'_>, done: Done) -> Result<SegmentOut, Lost> {
    let Done { renditions, source, timings, paces } = done;
    let lost = |detail| Lost { death: Death::Protocol, detail };
    Ok(SegmentOut { renditions: parts.finish(renditions).map_err(lost)?, source, timings, paces })
}

/// A worker that was lost.
struct Buried {
    death: Death,
    /// Workers that this content has killed.
    strikes: u8,
    last_words: String,
}

enum Refused {
    Late,
    Stopping,
    Hopeless(String),
}

impl Shared {
    /// Waits in the queue for a living worker.
    fn acquire(&self, until: Instant) -> Result<Worker, Refused> {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(ticket);
        let outcome = loop {
            if state.stopping {
                break Err(Refused::Stopping);
            }
            let closed = state.closed(self.beginners);
            if state.queue.front() == Some(&ticket) {
                if closed.is_none()
                    && let Some(worker) = state.take_idle()
                {
                    state.busy += 1;
                    state.beginning.push((worker.pid(), Instant::now() + HEAD_START));
                    break Ok(worker);
                }
                if state.pids.is_empty() && state.failed_starts >= HOPELESS_STARTS {
                    break Err(Refused::Hopeless(state.last_failure.clone()));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break Err(Refused::Late);
            }
            let left = closed.map_or(left, |closed| left.min(closed));
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.queue.retain(|waiting| *waiting != ticket);
        drop(state);
        // Whoever is first now may have to move, and the watchman may have to replace one found dead.
        self.changed.notify_all();
        outcome
    }

    /// The next segment may begin, so that it is under way when this worker's runs dry.
    fn halfway(&self, pid: u32) {
        self.lock().beginning.retain(|(began, _)| *began != pid);
        self.changed.notify_all();
    }

    /// A card has answered.
    fn answered(&self, hash: &[u8; 32]) {
        self.lock().answered(hash);
    }

    /// A card's worker died of this content; returns how many workers have.
    fn strike(&self, hash: &[u8; 32]) -> u8 {
        self.lock().strike(hash, self.config.quarantine)
    }

    fn release(&self, worker: Worker, hash: &[u8; 32]) {
        let mut state = self.lock();
        state.busy -= 1;
        state.beginning.retain(|(began, _)| *began != worker.pid());
        state.deaths_in_row = 0;
        state.answered(hash);
        if state.stopping || state.must_end(&worker) {
            state.forget(worker.pid());
        } else {
            state.idle.push(worker);
            state.end_surplus(self.config.workers);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Ends a worker that is of no more use.
    fn lost(&self, mut worker: Worker, lost: Lost, segment: &SegmentIn<'_>, hash: &[u8; 32]) -> Buried {
        let pid = worker.pid();
        let death = worker.end(lost.death);
        let death = self.lock().condemned.remove(&pid).unwrap_or(death);
        let last_words = worker.last_words();
        let strikes = self.bury(worker, death, hash);
        tracing::warn!(
            stream = segment.stream,
            segment = segment.number,
            pid,
            death = death.name(),
            strikes,
            detail = lost.detail,
            "a codec worker was lost"
        );
        Buried { death, strikes, last_words }
    }

    /// Counts a death on duty; returns how many workers this content has killed.
    fn bury(&self, worker: Worker, death: Death, hash: &[u8; 32]) -> u8 {
        let mut state = self.lock();
        state.busy -= 1;
        state.beginning.retain(|(began, _)| *began != worker.pid());
        state.died(worker.pid(), death);
        // A caller in a hurry proves nothing about the content.
        let strikes = match death {
            Death::Deadline => state.strikes_of(hash),
            _ => state.strike(hash, self.config.quarantine),
        };
        drop(state);
        drop(worker);
        self.changed.notify_all();
        strikes
    }

    /// The watchman: starts what is missing, sees who died while idle, leaves when all are gone.
    fn watch(&self) {
        let mut state = self.lock();
        loop {
            if state.stopping && state.busy == 0 && state.idle.is_empty() {
                return;
            }
            state.end_offenders();
            state.reap_idle();
            state.end_idle();
            state.end_surplus(self.config.workers);
            let missing = match state.pids.len().cmp(&self.config.workers) {
                Ordering::Less => true,
                Ordering::Equal => state.may_have_device(),
                Ordering::Greater => false,
            };
            if state.stopping || !missing {
                state = self.changed.wait_timeout(state, ROUND).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let misery = state.deaths_in_row.max(state.failed_starts);
            let delay = backoff(misery, self.config.max_backoff);
            drop(state);
            thread::sleep(delay.min(ROUND));
            // A long delay is waited for in short pieces, so that stopping does not take as long.
            let mut waited = delay.min(ROUND);
            while waited < delay && !self.lock().stopping {
                thread::sleep(ROUND);
                waited += ROUND;
            }
            if self.lock().stopping {
                state = self.lock();
                continue;
            }
            let started = Instant::now();
            let device = self.lock().device();
            let worker = Worker::start(&self.config, device.as_deref());
            state = self.lock();
            state.last_start = started.elapsed();
            match worker {
                Ok(worker) if state.stopping || state.must_end(&worker) => drop(worker),
                Ok(worker) => {
                    state.failed_starts = 0;
                    state.pids.insert(worker.pid(), worker.vitals().clone());
                    if worker.has_device() {
                        state.with_device.insert(worker.pid());
                    }
                    state.idle.push(worker);
                    state.end_surplus(self.config.workers);
                }
                // Without it, the next one may.
                Err(reason) if device.is_some() => {
                    *state.restarts.entry(Death::Start).or_default() += 1;
                    state.device_failed(&reason);
                }
                Err(reason) => {
                    tracing::error!(reason, "a codec worker did not start");
                    state.failed_starts = state.failed_starts.saturating_add(1);
                    *state.restarts.entry(Death::Start).or_default() += 1;
                    state.last_failure = reason;
                }
            }
            self.changed.notify_all();
        }
    }
}

/// No delay for the first few deaths, then doubling from 100 ms.
pub(super) fn backoff(misery: u32, most: Duration) -> Duration {
    match misery.checked_sub(FREE_DEATHS) {
        None => Duration::ZERO,
        Some(over) => (Duration::from_millis(100) * (1 << over.min(10))).min(most),
    }
}

impl State {
    /// For how long no other segment may begin; `None` where one may.
    fn closed(&mut self, beginners: usize) -> Option<Duration> {
        let now = Instant::now();
        self.beginning.retain(|(_, until)| *until > now);
        let first = self.beginning.iter().map(|(_, until)| *until - now).min();
        first.filter(|_| self.beginning.len() >= beginners)
    }

    fn take_idle(&mut self) -> Option<Worker> {
        self.reap_idle();
        self.end_idle();
        // One without a device may be about to make way.
        let with_device = self.idle.iter().rposition(Worker::has_device);
        with_device.map(|at| self.idle.remove(at)).or_else(|| self.idle.pop())
    }

    fn reap_idle(&mut self) {
        let mut at = 0;
        while at < self.idle.len() {
            if self.idle[at].has_died() {
                let mut worker = self.idle.swap_remove(at);
                let death = worker.end(Death::Crashed);
                let death = self.condemned.remove(&worker.pid()).unwrap_or(death);
                let (pid, last_words) = (worker.pid(), worker.last_words());
                tracing::warn!(pid, death = death.name(), last_words, "an idle codec worker was lost");
                self.died(pid, death);
            } else {
                at += 1;
            }
        }
    }

    /// Kills whoever uses more than it may, at work or idle. Its owner buries it.
    fn end_offenders(&mut self) {
        for (pid, vitals) in &self.pids {
            let Some(death) = vitals.broken() else { continue };
            if self.condemned.insert(*pid, death).is_none()
                && let Some(process) = i32::try_from(*pid).ok().and_then(Pid::from_raw)
            {
                tracing::warn!(pid, death = death.name(), "a codec worker uses more than it may");
                // Fails only if it is already gone.
                let _ = kill_process(process, Signal::KILL);
            }
        }
    }

    /// A worker that is being ended, or has ended.
    fn forget(&mut self, pid: u32) {
        self.pids.remove(&pid);
        self.with_device.remove(&pid);
    }

    fn died(&mut self, pid: u32, death: Death) {
        self.device_lost(pid, death.name());
        self.forget(pid);
        self.condemned.remove(&pid);
        *self.restarts.entry(death).or_default() += 1;
        if death != Death::Deadline {
            self.deaths_in_row = self.deaths_in_row.saturating_add(1);
        }
    }

    fn answered(&mut self, hash: &[u8; 32]) {
        self.segments += 1;
        self.strikes.retain(|(known, _)| known != hash);
    }

    fn strikes_of(&self, hash: &[u8; 32]) -> u8 {
        self.strikes.iter().find(|(known, _)| known == hash).map_or(0, |(_, strikes)| *strikes)
    }

    fn strike(&mut self, hash: &[u8; 32], keep: usize) -> u8 {
        let strikes = self.strikes_of(hash).saturating_add(1);
        self.strikes.retain(|(known, _)| known != hash);
        self.strikes.push_back((*hash, strikes));
        while self.strikes.len() > keep.max(1) {
            self.strikes.pop_front();
        }
        strikes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strikes_add_up_and_the_oldest_is_forgotten() {
        let mut state = State::default();
        assert_eq!((state.strike(&[1; 32], 2), state.strike(&[1; 32], 2)), (1, 2));
        state.strike(&[2; 32], 2);
        state.strike(&[3; 32], 2);
        assert_eq!((state.strikes_of(&[1; 32]), state.strikes_of(&[2; 32])), (0, 1));
    }

    #[test]
    fn a_segment_that_began_keeps_others_waiting_for_a_moment_only() {
        let mut state = State::default();
        let now = Instant::now();
        assert_eq!(state.closed(1), None);
        state.beginning.push((7, now + HEAD_START));
        let wait = state.closed(1);
        assert!(wait.is_some_and(|wait| wait > Duration::ZERO && wait <= HEAD_START), "{wait:?}");
        assert_eq!(state.closed(2), None, "another may begin");
        state.beginning[0].1 = now;
        assert_eq!((state.closed(1), state.beginning.len()), (None, 0), "it took too long");
    }

    #[test]
    fn backoff_is_free_then_doubles_and_is_bounded() {
        let most = Duration::from_secs(5);
        let ms = |misery| backoff(misery, most).as_millis();
        assert_eq!([ms(0), ms(2), ms(3), ms(4), ms(5), ms(60)], [0, 0, 100, 200, 400, 5000]);
    }

    #[test]
    fn a_missing_program_is_named() {
        let config = PoolConfig { program: "/nonexistent/headframe-codec".into(), ..PoolConfig::default() };
        let error = Pool::start(config).map(|_| ()).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("/nonexistent/headframe-codec")));
        assert!(Pool::start(PoolConfig { workers: 0, ..PoolConfig::default() }).is_err());
    }
}
