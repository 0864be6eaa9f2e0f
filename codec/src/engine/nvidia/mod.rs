//! The engine of NVIDIA cards: pictures are decoded, scaled to all rungs and encoded on the card, and never leave it.
//!
//! One thread feeds a segment to the card; it waits more than it works. What is scaled waits in the card's memory. When all pictures
//! are there, each rung waits for an encoder session on a thread of its own ([`Lender`]), has it for as long as it is encoded, and
//! gives it back. A rung that gets none is copied to the host and encoded by the processors. So is one whose codec or size the
//! card does not encode, from the first picture on; a card without an encoder does so with all of them. A segment that the card
//! cannot decode or scale (4:2:2, turned pictures, a codec it does not know) is left to the processors altogether. Either way the
//! reason is logged.
//!
//! What is scaled equals what the engine of the processors scales, sample for sample. What is encoded does not: the card's
//! own encoder and rate control make it, anew in every segment; `paces` are for rungs that the processors make.
//!
//! There are two ways to the card's decoders and encoders, with our kernels in between: the driver's own interfaces, and those
//! of FFmpeg, for a rig on which the first way does not pass its test. [`choose`] finds out.
//!
//! No card has run this yet; the tests run it over doubles of the driver's libraries.

mod choice;
mod decode_rate;
mod decoding;
mod encoding;
mod host;
mod lend;
pub mod measure;
mod moving;
mod on_card;
mod probe;
pub mod proof;
mod rungs;
mod self_test;
mod settings;
mod shelf;
mod turned;
mod turns;
mod warm;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use headframe_kernels::{Format, Orientation};

use super::intake::{Intake, Seen};
use super::job::{Job, Stop, Threads};
use super::output::{Outlet, Sink};
use super::rung::Made;
use super::scaling::Waiting;
use super::timeline::Timeline;
use super::units;
use super::{cpu, prepare, whole};
use crate::budget::Limits;
use crate::error::{Class, EngineError};
use crate::ffi::clock::thread_time;
use crate::ffi::decoder::Unit;
use crate::ffi::nvidia::libav::Opening;
use crate::ladder::{Ladder, Rendition};
use crate::nvidia::{Device, Encodes, NvidiaError, Share, VideoCodec};
use crate::pace::Pace;
use crate::segment::{SegmentOut, SourceInfo, Timings};
use crate::syntax::h264;
use crate::ts::VideoKind;

use decoding::Decoded;
pub(crate) use encoding::Encoding;
pub(crate) use lend::{Failed, Lender, Make, Wish};
use rungs::Rungs;
use warm::Warm;

pub use choice::{Choice, Engine, NoEngine, Refusal, choose};
pub use decode_rate::decode_rate;
pub use probe::Doubt;

/// A card with everything that is kept between segments: decoders, encoder sessions, the scaler's tables. Several threads
/// may transcode with it at once.
pub struct Card {
    device: Arc<Device>,
    warm: Warm,
    /// Who has the sessions, if not this card alone.
    lender: Option<Arc<dyn Lender>>,
    encodes: bool,
    /// Codecs and depths that are left to the processors.
    doubted: Vec<(VideoCodec, u8)>,
    rungs_on_card: AtomicU64,
    rungs_on_host: AtomicU64,
    left: AtomicU64,
    /// Processor time, nanoseconds.
    software_encoding: AtomicU64,
    scaling: Mutex<Scaling>,
}

/// What scaling took of a card since it was taken into use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scaling {
    /// Luma samples of all source pictures.
    pub samples: u64,
    /// The card's time for them, by its own clock.
    pub took: Duration,
    /// Source pictures.
    pub pictures: u64,
    /// Launches that they were in: those of several streams may share one.
    pub launches: u64,
}

/// Who made what since a [`Card`] was taken into use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Rungs of segments that the card encoded.
    pub rungs_on_card: u64,
    /// Rungs that the card decoded and scaled, and the processors encoded.
    pub rungs_on_host: u64,
    /// Segments that were left to the processors altogether.
    pub segments_left: u64,
}

impl Card {
    /// A card that is in use already. Nothing is made on it until the first segment.
    pub fn new(device: Arc<Device>) -> Self {
        Self::with(device, Engine::Direct)
    }

    /// The same, with sessions that are lent. What the card encodes is asked when it is first needed if it is not said.
    pub(crate) fn with_lender(
        device: Arc<Device>,
        engine: Engine,
        encodes: Option<Vec<Encodes>>,
        lender: Arc<dyn Lender>,
    ) -> Self {
        let warm = Warm::new(engine, encodes);
        Self { lender: Some(lender), warm, ..Self::new(device) }
    }

    fn lend(&self, wish: &Wish, make: Make<'_>) -> Result<bool, Failed> {
        match &self.lender {
            Some(lender) => lender.lend(wish, make),
            None => lend::own(&self.warm, &self.device, wish, make),
        }
    }

    /// The same with one or the other engine; [`choose`] says which one works.
    pub fn with(device: Arc<Device>, engine: Engine) -> Self {
        let (rungs_on_card, rungs_on_host, left, software_encoding) = Default::default();
        let (warm, lender) = (Warm::new(engine, None), None);
        let (scaling, doubted, encodes) = (Mutex::default(), Vec::new(), true);
        Self { device, warm, lender, encodes, doubted, rungs_on_card, rungs_on_host, left, software_encoding, scaling }
    }

    /// What is in doubt is left to the processors.
    pub fn without(self, doubts: &[Doubt]) -> Self {
        Self { doubted: doubts.iter().map(|doubt| (doubt.codec, doubt.bit_depth)).collect(), ..self }
    }

    /// All rungs are encoded by the processors: what comes out must equal, byte for byte, what the engine of the
    /// processors makes.
    pub fn leave_encoding(self) -> Self {
        Self { encodes: false, ..self }
    }

    /// How it gets at its decoders and encoders.
    pub fn engine(&self) -> Engine {
        self.warm.engine()
    }

    /// Who made what so far.
    pub fn tally(&self) -> Tally {
        let [rungs_on_card, rungs_on_host, segments_left] =
            [&self.rungs_on_card, &self.rungs_on_host, &self.left].map(|count| count.load(Ordering::Relaxed));
        Tally { rungs_on_card, rungs_on_host, segments_left }
    }

    /// Processor time that went into encoding what the card did not encode: apart from the rest, which is what a card
    /// costs its host.
    pub fn software_encoding(&self) -> Duration {
        Duration::from_nanos(self.software_encoding.load(Ordering::Relaxed))
    }

    /// What scaling took so far.
    pub fn scaling(&self) -> Scaling {
        *self.scaling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scaled(&self, (width, height): (u32, u32), share: Share) {
        let mut scaling = self.scaling.lock().unwrap_or_else(PoisonError::into_inner);
        scaling.samples += u64::from(width) * u64::from(height);
        scaling.took += share.took;
        scaling.pictures += 1;
        scaling.launches += u64::from(share.launched > 0);
    }

    /// Bytes of the card's memory in use, by whoever has them.
    ///
    /// # Errors
    /// The driver does not say.
    pub fn memory_used(&self) -> Result<u64, NvidiaError> {
        self.device.memory().map(|(free, all)| all.saturating_sub(free))
    }

    fn encoded_in_software(&self, took: Duration) {
        self.software_encoding.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Makes all renditions of `input`, or none, as [`super::transcode`] does.
    pub fn transcode(
        &self,
        ladder: &Ladder,
        input: &[u8],
        paces: &[Pace],
        limits: &Limits,
    ) -> Result<SegmentOut, EngineError> {
        whole(ladder, |sink| self.transcode_in_parts(ladder, input, paces, limits, sink))
    }

    /// Makes all renditions of `input` in parts, as [`super::transcode_in_parts`] does.
    pub fn transcode_in_parts<'a>(
        &self,
        ladder: &Ladder,
        input: impl Into<Cow<'a, [u8]>>,
        paces: &[Pace],
        limits: &Limits,
        sink: Sink<'_>,
    ) -> Result<SegmentOut, EngineError> {
        let started = Instant::now();
        let media = prepare(ladder, input.into(), limits, started)?;
        let outlet = Outlet::new(sink, limits.output_bytes);
        let job = Job { media: &media, timeline: Timeline::of(&media.video), limits, started, outlet };
        let unfit = match self.run(ladder, &job, paces) {
            Ok(mut out) => {
                out.timings.total = started.elapsed();
                return Ok(out);
            }
            Err(Halt::Stop(Stop::Failed(error))) => return Err(error),
            Err(Halt::Stop(Stop::HungUp)) => return Err(EngineError::NoFrames { units: media.video.len() as u32 }),
            Err(Halt::Card(error)) if error.class() != Class::Capacity => return Err(error.into()),
            Err(Halt::Card(error)) => {
                // What the card cannot do at all, which a stranger may send on and on, costs the other streams nothing.
                if error.no_memory() {
                    self.warm.make_room();
                }
                error.to_string()
            }
            Err(Halt::Unfit(reason)) => reason.to_owned(),
        };
        if !job.outlet.is_untouched() {
            return Err(EngineError::Card { class: Class::Capacity, reason: unfit });
        }
        tracing::info!(reason = unfit, "the processors make this segment: the card cannot");
        self.left.fetch_add(1, Ordering::Relaxed);
        drop(job);
        let mut out = cpu::run(None, ladder, media, paces, limits, started, sink)?;
        self.encoded_in_software(out.timings.encode);
        out.timings.total = started.elapsed();
        Ok(out)
    }

    fn run(&self, ladder: &Ladder, job: &Job<'_>, paces: &[Pace]) -> Result<SegmentOut, Halt> {
        thread::scope(|scope| {
            let mut threads = Threads::of(ladder);
            let spawn = |rung, waiting| {
                let (index, _): (usize, _) = rung;
                threads.spawn(scope, job, rung, paces.get(index).copied(), waiting)
            };
            let done = self.segment(ladder, job, paces, spawn);
            let encoded = threads.join();
            // Each side stops when the other does; what counts is who stopped for a reason of its own.
            let (done, encoded) = match (done, encoded) {
                (Err(Halt::Stop(Stop::HungUp)), Err(error)) => return Err(error.into()),
                (Err(halt), _) => return Err(halt),
                (Ok(_), Err(error)) => return Err(error.into()),
                (Ok(done), Ok(encoded)) => (done, encoded),
            };
            let in_software: Duration = encoded.iter().map(|made| made.encode).sum();
            let overflowed: Duration = done.made.iter().filter(|(.., on)| !on).map(|(_, made, _)| made.encode).sum();
            self.encoded_in_software(in_software + overflowed);
            let encode = done.encode + in_software;
            let mut made = done.made;
            let on_host = (0..ladder.renditions().len()).filter(|i| made.iter().all(|(of, ..)| of != i));
            let on_host: Vec<_> = on_host.zip(encoded).map(|(of, made)| (of, made, false)).collect();
            made.extend(on_host);
            let on_card = made.iter().filter(|(.., on_card)| *on_card).count();
            self.rungs_on_card.fetch_add(on_card as u64, Ordering::Relaxed);
            self.rungs_on_host.fetch_add((made.len() - on_card) as u64, Ordering::Relaxed);
            made.sort_by_key(|(index, ..)| *index);
            let (renditions, paces) = made.into_iter().map(|(_, made, _)| (made.out, made.pace)).unzip();
            let timings = Timings { decode: done.decode, scale: done.scale, encode, ..Timings::default() };
            Ok(SegmentOut { renditions, source: done.source, timings, paces })
        })
    }

    /// All that this thread does for a segment.
    fn segment<'a>(
        &self,
        ladder: &'a Ladder,
        job: &'a Job<'a>,
        paces: &[Pace],
        spawn: impl FnMut((usize, &'a Rendition), Waiting) -> Result<(), EngineError>,
    ) -> Result<Done, Halt> {
        let before = thread_time();
        let units = units::cut(job, job.media.video.iter().map(|unit| &unit.data))?;
        // The card would take what is missing from the segment before, of whatever stream that was.
        if !units.first().is_some_and(|unit| unit.key) {
            return Err(Halt::Unfit("a segment that does not begin with a key picture"));
        }
        // Others begin with pictures that refer to what is not there, which the card would take from anywhere in its memory.
        if job.media.kind == VideoKind::H264 && !units.first().is_some_and(|unit| h264::is_idr(&unit.data)) {
            return Err(Halt::Unfit("a segment of H.264 that does not begin with an IDR picture"));
        }
        if units.iter().any(|unit| !matches!(unit.format, Some(Format::Yuv420 | Format::Yuv420Ten))) {
            return Err(Halt::Unfit("pictures that are not 4:2:0 in 8 or 10 bits"));
        }
        if job.media.orientation != Orientation::UPRIGHT
            || units.iter().any(|unit| turned::says_so(job.media.kind, &unit.data))
        {
            return Err(Halt::Unfit("pictures that are to be turned"));
        }
        let codec = VideoCodec::from(job.media.kind);
        let opening = opening(codec, &units);
        let depth = |unit: &Unit| if unit.format == Some(Format::Yuv420Ten) { 10 } else { 8 };
        if units.iter().any(|unit| self.doubted.contains(&(codec, depth(unit)))) {
            return Err(Halt::Unfit("a codec and depth that the card does not decode as it should"));
        }
        if self.engine() == Engine::Ffmpeg
            && units.iter().any(|unit| (unit.size, unit.format) != (units[0].size, units[0].format))
        {
            return Err(Halt::Unfit("pictures that change their size or depth, of which FFmpeg would lose some"));
        }
        let mut decoder = self.warm.decoder(&self.device, &opening, job.limits.frame_pixels)?;
        let shown = units::as_shown(&units);
        let mut ranks = vec![0; units.len()];
        shown.iter().zip(0..).for_each(|(unit, rank)| ranks[*unit] = rank);
        let mut reel = Reel {
            units: &units,
            shown: &shown,
            intake: Intake::new(job, ladder, &units),
            rungs: Rungs::new(job, ladder, paces, spawn),
            halt: None,
        };
        for (at, unit) in units.iter().enumerate() {
            job.check_time()?;
            if at == units.len() / 2 {
                job.outlet.halfway()?;
            }
            // What it sees the end of now.
            if let Some(whole) = at.checked_sub(decoder.lag()) {
                reel.intake.sent(units[whole].time);
            }
            let fed = decoder.feed(&unit.data, ranks[at], &mut |picture| reel.take(self, picture));
            match reel.halted(fed) {
                Err(Halt::Card(error)) if error.class() == Class::Input => {
                    reel.intake.unsent(units[at.saturating_sub(decoder.lag())].time);
                    reel.intake.lost();
                }
                other => other?,
            }
        }
        units[units.len().saturating_sub(decoder.lag())..].iter().for_each(|unit| reel.intake.sent(unit.time));
        let flushed = decoder.flush(&mut |picture| reel.take(self, picture));
        reel.halted(flushed)?;
        let end = reel.intake.end().ok_or(EngineError::NoFrames { units: units.len() as u32 })?;
        let finished = reel.rungs.finish(self, end)?;
        self.warm.keep_decoder(codec, job.limits.frame_pixels, decoder);
        let (scale, encode) = (finished.scale, finished.encode);
        let decode = thread_time().saturating_sub(before + scale + finished.own);
        Ok(Done { source: reel.intake.finish(end), made: finished.made, decode, scale, encode })
    }
}

/// What a decoder is told of a segment.
fn opening(codec: VideoCodec, units: &[Unit]) -> Opening {
    let first = units.first();
    let ten_bit = first.is_some_and(|unit| unit.format == Some(Format::Yuv420Ten));
    Opening { codec, size: first.map_or((0, 0), |unit| unit.size), ten_bit }
}

/// What the card made, and processor time.
struct Done {
    source: SourceInfo,
    made: Vec<(usize, Made, bool)>,
    decode: Duration,
    scale: Duration,
    encode: Duration,
}

/// Why work on a segment ended early.
#[derive(Debug)]
enum Halt {
    /// As with any engine.
    Stop(Stop),
    /// The card.
    Card(NvidiaError),
    /// Nothing is wrong, but the card cannot do this.
    Unfit(&'static str),
}

impl From<EngineError> for Halt {
    fn from(error: EngineError) -> Self {
        Self::Stop(Stop::Failed(error))
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<NvidiaError> for Halt {
    fn from(error: NvidiaError) -> Self {
        Self::Card(error)
    }
}

impl From<NvidiaError> for EngineError {
    fn from(error: NvidiaError) -> Self {
        Self::Card { class: error.class(), reason: error.to_string() }
    }
}

/// Pictures on their way from the decoder to the rungs.
struct Reel<'u, 'a, F> {
    units: &'u [Unit],
    /// In the order in which they are shown.
    shown: &'u [usize],
    intake: Intake<'a>,
    rungs: Rungs<'a, F>,
    /// Why the decoder was stopped, where that was not its own fault.
    halt: Option<Halt>,
}

impl<'a, F> Reel<'_, 'a, F>
where
    F: FnMut((usize, &'a Rendition), Waiting) -> Result<(), EngineError>,
{
    /// Takes a picture from the decoder. Its error only stops the decoder; [`Self::halted`] has the reason.
    fn take(&mut self, card: &Card, picture: &Decoded<'_>) -> Result<(), NvidiaError> {
        self.picture(card, picture).map_err(|halt| {
            self.halt = Some(halt);
            NvidiaError::Broken { what: "segment" }
        })
    }

    fn picture(&mut self, card: &Card, picture: &Decoded<'_>) -> Result<(), Halt> {
        // Drivers put times that do not rise with the pictures in order, so their place in it is the time that they are given.
        let rank = usize::try_from(picture.time).ok();
        let unit = rank.and_then(|rank| self.units.get(*self.shown.get(rank)?));
        let size = picture.format.size;
        let seen = Seen { given: unit.and_then(|unit| unit.time), size, upright: size, damaged: picture.damaged };
        let pts = self.intake.picture(&seen)?;
        self.rungs.take(card, picture, pts)
    }

    fn halted(&mut self, outcome: Result<(), NvidiaError>) -> Result<(), Halt> {
        match self.halt.take() {
            Some(halt) => Err(halt),
            None => Ok(outcome?),
        }
    }
}
