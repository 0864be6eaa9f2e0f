//! One step: a number of streams, each of which delivers its segments at live pace.

use super::judge::{Settings, Tally};
use crate::stats::Random;
use headframe_codec::worker::Pool;
use headframe_codec::{Ladder, SegmentIn, SegmentOut};
use headframe_market::Units;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A segment that is not done after so many times its own duration has failed.
const DEADLINE: u32 = 4;

/// A source segment.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) bytes: Vec<u8>,
    pub(crate) duration: Duration,
}

/// What is needed for every step.
#[derive(Debug)]
pub(crate) struct Rig<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) ladder: &'a Ladder,
    /// Streams play these round and round, each from another one on. Not empty.
    pub(crate) sources: &'a [Source],
    pub(crate) settings: Settings,
}

/// What to do in one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) streams: u32,
    /// How long each stream delivers.
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    /// Segments whose outputs are kept.
    pub(crate) samples: usize,
}

/// A segment's outputs as they came under load.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Index of the source.
    pub(crate) source: usize,
    /// Number in its stream, and the source of the stream's first segment.
    pub(crate) number: u64,
    pub(crate) first: usize,
    pub(crate) made: SegmentOut,
}

/// What a step gave.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) tally: Tally,
    pub(crate) samples: Vec<Sample>,
    /// Ended early, when more segments were late than the whole step may have.
    pub(crate) cut_short: bool,
    /// Why the first segment failed that did.
    pub(crate) failure: Option<String>,
    /// Most memory that all workers held at once, bytes.
    pub(crate) rss_bytes: u64,
    /// What the market pays for all that was made, and how long it plays, all streams together.
    pub(crate) made: (Units, Duration),
}

#[derive(Debug)]
struct Shared {
    seen: Mutex<Seen>,
    over: Condvar,
    /// Late segments from which on the step is lost.
    too_many: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the step as lost.
    fn give_up(&self, reason: String) {
        let mut seen = self.lock();
        seen.tally.failure();
        seen.failure.get_or_insert(reason);
        seen.cut_short = true;
        self.over.notify_all();
    }

    /// Waits until `due`; `false` when the step is over before that.
    fn wait_until(&self, due: Instant) -> bool {
        let left = due.saturating_duration_since(Instant::now());
        let seen = self.lock();
        let (seen, _) =
            self.over.wait_timeout_while(seen, left, |seen| !seen.cut_short).unwrap_or_else(PoisonError::into_inner);
        !seen.cut_short
    }
}

impl Rig<'_> {
    /// Runs `step` in real time. A segment arrives when its stream has delivered its last byte; its latency runs from
    /// there to the moment when all renditions are in this process, time in queues included.
    pub(crate) fn run(&self, step: Step) -> Seen {
        let mean =
            self.sources.iter().map(|source| source.duration).sum::<Duration>() / self.sources.len().max(1) as u32;
        let each = (step.length.as_secs_f64() / mean.as_secs_f64().max(0.1)).ceil().max(1.0) as u64;
        let shared = &Shared {
            seen: Mutex::default(),
            over: Condvar::new(),
            too_many: self.settings.allowed(each * u64::from(step.streams)) + 1,
        };
        let mut random = Random(step.seed ^ (u64::from(step.streams) << 32));
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for number in 0..step.streams {
                let phase = Duration::from_micros(random.below(mean.as_micros() as u64));
                let first = random.below(self.sources.len() as u64) as usize;
                // Samples come from the later half, when all streams are under way.
                let mine = (0..step.samples).filter(|sample| sample % step.streams as usize == number as usize);
                let samples = mine.map(|_| each / 2 + random.below(each.div_ceil(2))).collect();
                let stream = Stream { rig: self, shared, name: format!("bench-{number}"), first, samples };
                let thread = std::thread::Builder::new().name(stream.name.clone());
                if let Err(error) = thread.spawn_scoped(scope, move || stream.play(begun + phase, each)) {
                    shared.give_up(format!("cannot start a thread for stream {number}: {error}"));
                }
            }
        });
        let mut seen = std::mem::take(&mut *shared.lock());
        seen.samples.sort_by_key(|sample| sample.source);
        seen
    }
}

struct Stream<'a> {
    rig: &'a Rig<'a>,
    shared: &'a Shared,
    name: String,
    first: usize,
    /// Numbers of the segments whose outputs are kept.
    samples: Vec<u64>,
}

impl Stream<'_> {
    fn play(&self, start: Instant, segments: u64) {
        let (rig, shared) = (self.rig, self.shared);
        let mut due = start;
        for number in 0..segments {
            let at = (self.first + number as usize) % rig.sources.len();
            let source = &rig.sources[at];
            due += source.duration;
            if !shared.wait_until(due) {
                return;
            }
            let segment = SegmentIn { stream: &self.name, number, bytes: &source.bytes };
            let outcome = rig.pool.transcode(rig.ladder, segment, source.duration * DEADLINE);
            let latency = due.elapsed();
            let rss = rig.pool.stats().rss_bytes;
            let mut seen = shared.lock();
            seen.rss_bytes = seen.rss_bytes.max(rss);
            match outcome {
                Ok(made) => {
                    seen.tally.segment(latency, source.duration);
                    let expected = made.source.frames;
                    let pairs = made.renditions.iter().zip(rig.ladder.renditions());
                    seen.tally.wrong_frames +=
                        pairs.filter(|(got, asked)| asked.fps.is_none() && got.frames != expected).count() as u64;
                    let sizes = made.renditions.iter().map(|it| (it.frames, it.width, it.height));
                    seen.made.0.0 += Units::of_segment(sizes).unwrap_or_default().0;
                    seen.made.1 += source.duration;
                    if self.samples.contains(&number) {
                        seen.samples.push(Sample { source: at, number, first: self.first, made });
                    }
                }
                Err(error) => {
                    seen.tally.failure();
                    seen.failure.get_or_insert(error.to_string());
                }
            }
            if seen.tally.late >= shared.too_many && !seen.cut_short {
                seen.cut_short = true;
                shared.over.notify_all();
            }
        }
    }
}
