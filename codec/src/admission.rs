//! Whether one more stream fits on this machine: a cost model that corrects itself by what segments really take, and the
//! lateness of late as the limit.
//!
//! Knows no clock: callers say what was done and how long it took.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::ladder::{Codec, Ladder, Preset, Rendition};
use crate::segment::{SegmentOut, TICKS_PER_SECOND};

/// Processor time per sample until something is known, nanoseconds: a 2.6 GHz Zen 4 core on 1080p film.
const DECODE_NS: f64 = 3.1;
const SCALE_NS: f64 = 0.8;
pub(crate) const ENCODE_NS: f64 = 7.0;

/// Processor time that encoding so many luma samples takes, before anything is learned. `None` where that is no time.
pub(crate) fn encode_time(samples: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(samples.max(0.0) * ENCODE_NS * 1e-9).ok()
}
/// Share of the processors that streams may take together; the rest is for the system and for hard content.
pub(crate) const SHARE: f64 = 0.85;
/// The weight of one segment against what is known.
const WEIGHT: f64 = 0.1;
/// Segments whose lateness is remembered, and how many say enough for a 99th percentile to count.
const REMEMBERED: usize = 256;
const ENOUGH: usize = 20;
/// Working time over playing time that the 99th percentile may reach.
const LATENESS: f64 = 0.8;
/// Luma samples per second of the source of a stream that nobody has seen yet: 1080p30.
const USUAL_SOURCE: f64 = 1920.0 * 1080.0 * 30.0;
/// Pictures per second of the same.
const USUAL_FPS: f64 = 30.0;
/// Streams whose own cost is remembered; the one that was quiet longest is forgotten first.
const MAX_STREAMS: usize = 1024;

/// Why a stream is not taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Full {
    /// The processors are spoken for.
    Processors {
        /// Cores that all streams together would take.
        need: f64,
        /// Cores they may take.
        have: f64,
    },
    /// Segments already take too long.
    Late {
        /// 99th percentile of working time over playing time.
        p99: f64,
    },
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processors { need, have } => {
                write!(f, "all streams together would take {need:.2} cores of {have:.2} to give")
            }
            Self::Late { p99 } => {
                write!(f, "one segment in a hundred takes {p99:.2} of its playing time; {LATENESS} is the limit")
            }
        }
    }
}

/// What is known of this machine and of the streams on it.
#[derive(Debug, Clone)]
pub struct Admission {
    cores: f64,
    /// Nanoseconds per sample: decode and scale per source sample, encode per output sample of the `live` preset.
    decode: f64,
    scale: f64,
    encode: f64,
    /// Cores that each stream takes while it plays; the most recent last.
    streams: VecDeque<(String, f64)>,
    lateness: Lateness,
}

/// Working time over playing time of the last segments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lateness(VecDeque<f64>);

impl Lateness {
    /// One more segment; the oldest is forgotten.
    pub(crate) fn add(&mut self, ratio: f64) {
        self.0.push_back(ratio);
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// 99th percentile; `None` while too few segments are known.
    pub(crate) fn p99(&self) -> Option<f64> {
        if self.0.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<f64> = self.0.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        // The smallest value that at least 99 % do not exceed.
        Some(sorted[(sorted.len() * 99).div_ceil(100) - 1])
    }

    /// The 99th percentile where it is past what lets another stream in.
    pub(crate) fn too_late(&self) -> Option<f64> {
        self.p99().filter(|p99| *p99 > LATENESS)
    }
}

impl Admission {
    /// For a machine with so many processors, of which nothing is known yet.
    pub fn new(cores: usize) -> Self {
        Self {
            cores: cores.max(1) as f64 * SHARE,
            decode: DECODE_NS,
            scale: SCALE_NS,
            encode: ENCODE_NS,
            streams: VecDeque::new(),
            lateness: Lateness::default(),
        }
    }

    /// A segment of `stream` is done; `took` from its arrival to its last byte.
    pub fn learn(&mut self, stream: &str, ladder: &Ladder, out: &SegmentOut, took: Duration) {
        let seconds = out.source.duration as f64 / TICKS_PER_SECOND as f64;
        let source = f64::from(out.source.width) * f64::from(out.source.height) * f64::from(out.source.frames);
        let work = ladder.renditions().iter().zip(&out.renditions).map(|(rendition, made)| {
            effort(rendition) * f64::from(made.width) * f64::from(made.height) * f64::from(made.frames)
        });
        let work: f64 = work.sum();
        if seconds <= 0.0 || source <= 0.0 || work <= 0.0 {
            return;
        }
        let timings = &out.timings;
        let nanoseconds = |time: Duration| time.as_secs_f64() * 1e9;
        blend(&mut self.decode, nanoseconds(timings.decode) / source);
        blend(&mut self.scale, nanoseconds(timings.scale) / source);
        blend(&mut self.encode, nanoseconds(timings.encode) / work);
        let cores = (timings.decode + timings.scale + timings.encode).as_secs_f64() / seconds;
        let known = self.streams.iter().position(|(name, _)| name == stream).and_then(|at| self.streams.remove(at));
        let mut own = known.unwrap_or_else(|| (stream.to_owned(), cores));
        blend(&mut own.1, cores);
        self.streams.push_back(own);
        if self.streams.len() > MAX_STREAMS {
            self.streams.pop_front();
        }
        self.lateness.add(took.as_secs_f64() / seconds);
    }

    /// Whether a stream of `ladder` may begin beside `active` ones (name and ladder of each).
    pub fn admit<'a>(
        &self,
        active: impl IntoIterator<Item = (&'a str, &'a Ladder)>,
        ladder: &Ladder,
    ) -> Result<(), Full> {
        let mut others = 0.0;
        let mut alone = true;
        for (name, ladder) in active {
            alone = false;
            let known = self.streams.iter().find(|(known, _)| known == name);
            others += known.map_or_else(|| self.estimate(ladder), |(_, cores)| *cores);
        }
        // An idle machine always takes a stream: without one it would never learn that it can.
        if alone {
            return Ok(());
        }
        if let Some(p99) = self.lateness.too_late() {
            return Err(Full::Late { p99 });
        }
        let need = others + self.estimate(ladder);
        if need > self.cores { Err(Full::Processors { need, have: self.cores }) } else { Ok(()) }
    }

    /// Cores that a stream of `ladder` will take, its source unseen.
    pub fn estimate(&self, ladder: &Ladder) -> f64 {
        let outputs = ladder.renditions().iter().map(|rendition| effort(rendition) * samples(rendition, USUAL_FPS));
        let outputs: f64 = outputs.sum();
        ((self.decode + self.scale) * USUAL_SOURCE + self.encode * outputs) / 1e9
    }

    /// 99th percentile of working time over playing time; `None` while too few segments are known.
    pub fn p99(&self) -> Option<f64> {
        self.lateness.p99()
    }
}

/// Luma samples per second of a rendition whose source has so many pictures per second.
pub(crate) fn samples(rendition: &Rendition, source_fps: f64) -> f64 {
    let fps = rendition.fps.map_or(source_fps, |fps| f64::from(fps.num) / f64::from(fps.den));
    f64::from(rendition.width) * f64::from(rendition.height) * fps
}

/// Encoding time in that of H.264 with the `live` preset; figures in `bench/results/README.md`.
pub(crate) fn effort(rendition: &Rendition) -> f64 {
    match (rendition.codec, rendition.preset) {
        (Codec::H264, Preset::Density) => 0.85,
        (Codec::H264, Preset::Live) => 1.0,
        (Codec::H264, Preset::Quality) => 3.9,
        (Codec::Hevc, Preset::Density) => 4.5,
        (Codec::Hevc, Preset::Live) => 8.8,
        (Codec::Hevc, Preset::Quality) => 29.0,
        (Codec::Av1, Preset::Density) => 2.5,
        (Codec::Av1, Preset::Live) => 5.9,
        (Codec::Av1, Preset::Quality) => 14.0,
    }
}

/// Corrects what is known by what was seen.
pub(crate) fn blend(known: &mut f64, seen: f64) {
    *known += WEIGHT * (seen - *known);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::segment::{RenditionOut, SourceInfo, Timings, VideoKind};

    /// Two seconds of 1080p30 as the standard ladder, with these processor seconds.
    fn made(decode: f64, scale: f64, encode: f64) -> SegmentOut {
        let rendition = |r: &crate::Rendition| RenditionOut {
            name: r.name.clone(),
            width: r.width,
            height: r.height,
            init: None,
            bytes: vec![],
            frames: 60,
            codecs: String::new(),
        };
        let seconds = Duration::from_secs_f64;
        SegmentOut {
            renditions: Ladder::standard().renditions().iter().map(rendition).collect(),
            source: SourceInfo {
                kind: VideoKind::H264,
                width: 1920,
                height: 1080,
                frames: 60,
                damaged: 0,
                first_pts: 0,
                duration: 180_000,
                audio: false,
            },
            timings: Timings {
                decode: seconds(decode),
                scale: seconds(scale),
                encode: seconds(encode),
                total: Duration::ZERO,
            },
            paces: vec![],
        }
    }

    #[test]
    fn two_cores_take_two_usual_streams_at_first() {
        let (admission, ladder) = (Admission::new(2), Ladder::standard());
        let estimate = admission.estimate(&ladder);
        assert!((0.5..0.7).contains(&estimate), "{estimate}");
        assert_eq!(admission.admit([], &ladder), Ok(()));
        assert_eq!(admission.admit([("a", &ladder)], &ladder), Ok(()));
        let two = [("a", &ladder), ("b", &ladder)];
        assert!(matches!(admission.admit(two, &ladder), Err(Full::Processors { .. })));
    }

    #[test]
    fn learns_what_segments_really_take() {
        let (mut admission, ladder) = (Admission::new(2), Ladder::standard());
        let seconds = Duration::from_secs_f64;
        // A machine of half the speed: 1.2 cores for one stream.
        for _ in 0..100 {
            admission.learn("a", &ladder, &made(0.8, 0.2, 1.4), seconds(1.3));
        }
        assert!((admission.estimate(&ladder) - 1.2).abs() < 0.02, "{}", admission.estimate(&ladder));
        let error = admission.admit([("a", &ladder)], &ladder).unwrap_err();
        assert!(matches!(error, Full::Processors { need, have: 1.7 } if (need - 2.4).abs() < 0.05), "{error}");
        assert_eq!(admission.admit([], &ladder), Ok(()));
        // Streams that turn out to be easy make room.
        for _ in 0..100 {
            admission.learn("a", &ladder, &made(0.2, 0.05, 0.25), seconds(0.4));
        }
        assert_eq!(admission.admit([("a", &ladder)], &ladder), Ok(()));
    }

    #[test]
    fn late_segments_close_the_door_while_others_play() {
        let (mut admission, ladder) = (Admission::new(16), Ladder::standard());
        let seconds = Duration::from_secs_f64;
        for _ in 0..ENOUGH - 1 {
            admission.learn("a", &ladder, &made(0.4, 0.1, 0.7), seconds(1.9));
        }
        assert_eq!(admission.admit([("a", &ladder)], &ladder), Ok(()), "too few to tell");
        admission.learn("a", &ladder, &made(0.4, 0.1, 0.7), seconds(1.9));
        assert_eq!(admission.admit([("a", &ladder)], &ladder), Err(Full::Late { p99: 0.95 }));
        assert_eq!(admission.admit([], &ladder), Ok(()));
        // One in 256 may be late.
        for _ in 0..REMEMBERED - 1 {
            admission.learn("a", &ladder, &made(0.4, 0.1, 0.7), seconds(0.8));
        }
        assert_eq!(admission.admit([("a", &ladder)], &ladder), Ok(()));
    }
}
