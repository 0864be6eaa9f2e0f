//! What a card has to show of its encoder: that renditions show what was to be encoded, that a session that was used
//! before makes what a new one makes, and what sessions cost in time. The self-test asks the first, `headframe-codec
//! gpu-test` all of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headframe_kernels::Orientation;
use headframe_kernels::metric::{psnr_db, squared_error};
use serde::Serialize;

use super::{Card, settings};
use crate::budget::Limits;
use crate::error::{Class, EngineError};
use crate::ffi::picture::Picture;
use crate::ladder::{Codec, Fps, Ladder, Preset, Rate, Rendition};
use crate::nvidia::{Colour, Device, EncoderSession, EncoderSettings, Encodes, Format, NvidiaError};
use crate::segment::{RenditionOut, SegmentOut};
use crate::source;
use crate::verify::pictures::{Pictures, cut, near};

/// What the card encodes must be this near to what it was given, dB of luma in each picture. The self-test shows that
/// x264 is nearer at a usual rate, and that a picture in place of its neighbour is 5 dB further away. At very low bit
/// rates pictures may be further away though nothing is wrong: what is to prove something is ordered with enough bits.
pub const LEAST_PSNR: f64 = 30.0;
/// Stands for no error at all, which has no number.
const SAME_PSNR: f64 = 100.0;
/// Luma samples of the largest rendition.
const FRAME_PIXELS: u64 = 4096 * 4096;
/// Sessions that are opened to see how long it takes.
const ROUNDS: usize = 5;

/// How near the pictures of a rendition come to what was to be encoded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Likeness {
    /// The rendition's.
    pub name: String,
    /// How many were compared.
    pub pictures: u32,
    /// Of the picture that is furthest away, dB of luma; at most 100.
    pub worst_psnr_db: f64,
    /// Its number, in the order in which they are shown, from 0.
    pub worst_picture: u32,
    /// The mean of all pictures, dB.
    pub mean_psnr_db: f64,
}

impl Likeness {
    fn none(name: &str) -> Self {
        Self { name: name.to_owned(), pictures: 0, worst_psnr_db: SAME_PSNR, worst_picture: 0, mean_psnr_db: 0.0 }
    }

    fn add(&mut self, psnr: f64) {
        let psnr = psnr.min(SAME_PSNR);
        if psnr < self.worst_psnr_db {
            (self.worst_psnr_db, self.worst_picture) = (psnr, self.pictures);
        }
        self.pictures += 1;
        self.mean_psnr_db += (psnr - self.mean_psnr_db) / f64::from(self.pictures);
    }

    /// With the pictures of the segment that comes next.
    #[must_use]
    pub fn and(self, next: &Self) -> Self {
        let pictures = self.pictures + next.pictures;
        let (worst_psnr_db, worst_picture) = match next.worst_psnr_db < self.worst_psnr_db {
            true => (next.worst_psnr_db, self.pictures + next.worst_picture),
            false => (self.worst_psnr_db, self.worst_picture),
        };
        let sum = |it: &Self| it.mean_psnr_db * f64::from(it.pictures);
        let mean_psnr_db = (sum(&self) + sum(next)) / f64::from(pictures.max(1));
        Self { pictures, worst_psnr_db, worst_picture, mean_psnr_db, ..self }
    }

    /// What is wrong, for a person: a picture is further away than [`LEAST_PSNR`].
    pub fn complaint(&self) -> Option<String> {
        let Self { name, worst_psnr_db, worst_picture, .. } = self;
        let what =
            || format!("picture {worst_picture} of {name} is not what was encoded: {worst_psnr_db:.1} dB of luma");
        (*worst_psnr_db < LEAST_PSNR).then(what)
    }
}

/// What is to be encoded for a ladder, as the processors scale it: every rendition as good as lossless, in H.264.
///
/// # Errors
/// As [`super::super::transcode`] has them.
pub fn due(ladder: &Ladder, source: &[u8], limits: &Limits) -> Result<SegmentOut, EngineError> {
    let exact = |rung: &Rendition| Rendition {
        codec: Codec::H264,
        preset: Preset::Density,
        rate: Rate::Quality(8),
        bitrate_bps: 100_000_000,
        ..rung.clone()
    };
    // So many bits are more than a ladder's usual ones.
    let limits = Limits { output_bytes: 1 << 30, ..limits.clone() };
    super::super::transcode(&ladder_of(ladder.renditions().iter().map(exact).collect())?, source, &[], &limits)
}

/// Decodes both with the processors and compares the luma of each picture, and when it is shown. For every rendition
/// how near it is, or, for a person, why its pictures are not those that are due.
///
/// # Errors
/// What is `due` cannot be decoded.
pub fn looks_like(due: &SegmentOut, have: &SegmentOut) -> Result<Vec<Result<Likeness, String>>, EngineError> {
    let first = due.source.first_pts;
    due.renditions.iter().zip(&have.renditions).map(|(due, have)| likeness(due, have, first)).collect()
}

fn likeness(due: &RenditionOut, have: &RenditionOut, first: i64) -> Result<Result<Likeness, String>, EngineError> {
    let name = &have.name;
    let broken = |error: EngineError| Ok(Err(format!("{name} cannot be decoded: {error}")));
    let mut want = Shown::of(due, first)?;
    let mut got = match Shown::of(have, first) {
        Ok(got) => got,
        Err(error) => return broken(error),
    };
    if want.times != got.times {
        let (got, want) = (got.times.len(), want.times.len());
        return Ok(Err(format!("{name} has not the pictures that it should: {got} of {want}")));
    }
    let mut found = Likeness::none(name);
    loop {
        let number = found.pictures;
        let want = want.pictures.next()?;
        let got = match got.pictures.next() {
            Ok(got) => got,
            Err(error) => return broken(error),
        };
        let (want, got) = match (want, got) {
            (None, None) => return Ok(Ok(found)),
            (Some(want), Some(got)) if want.sent_pts() == got.sent_pts() => (want, got),
            _ => return Ok(Err(format!("picture {number} of {name} is not there, or shown at another time"))),
        };
        match luma_psnr(&want, &got)? {
            Some(psnr) => found.add(psnr),
            None => return Ok(Err(format!("picture {number} of {name} is of another shape"))),
        }
    }
}

/// A rendition on its way to pictures.
struct Shown {
    /// When they are shown, in order.
    times: Vec<Option<i64>>,
    pictures: Pictures,
}

impl Shown {
    fn of(rendition: &RenditionOut, first: i64) -> Result<Self, EngineError> {
        let whole = [rendition.init.as_deref().unwrap_or_default(), &rendition.bytes[..]].concat();
        let media = source::demux(&whole)?;
        let units = cut(media.kind, near(&media, first), FRAME_PIXELS, Limits::default().frames)?;
        let mut times: Vec<_> = units.iter().map(|unit| unit.pts).collect();
        times.sort_unstable();
        Ok(Self { times, pictures: Pictures::new(media.kind, Orientation::UPRIGHT, units, FRAME_PIXELS)? })
    }
}

/// `None` where they have not one shape.
pub(super) fn luma_psnr(a: &Picture, b: &Picture) -> Result<Option<f64>, EngineError> {
    let (a, b) = (a.view()?.yuv420(), b.view()?.yuv420());
    let (Some(a), Some(b)) = (a, b) else { return Ok(None) };
    let (a, b) = (a.planes()[0], b.planes()[0]);
    Ok(squared_error(&a, &b).ok().map(|error| psnr_db(error, (a.width() * a.height()) as u64)))
}

/// Whether sessions that were used before made what a new one made, to the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// One that had made the same before.
    pub again: bool,
    /// One that had been reconfigured to another size and bit rate, and back.
    pub after_another: bool,
}

/// Makes one rung of a segment with a new session of the driver's own interface, with the same one again, and once more
/// after another rung went through it. `None` where the card does not encode it, or had no session.
///
/// That the session is the same one is only certain where the driver reconfigures, which [`session_times`] finds out.
///
/// # Errors
/// As [`Card::transcode`] has them.
pub fn reuse(
    device: &Arc<Device>,
    rung: &Rendition,
    source: &[u8],
    limits: &Limits,
) -> Result<Option<Reuse>, EngineError> {
    let Some(other) = another(device, rung)? else { return Ok(None) };
    // Alone in its ladder, so that no session is another rung's before.
    let (alone, other) = (ladder_of(vec![rung.clone()])?, ladder_of(vec![other])?);
    let card = Card::new(Arc::clone(device));
    let make = |ladder: &Ladder| {
        let before = card.tally().rungs_on_card;
        let out = card.transcode(ladder, source, &[], limits)?;
        let on_card = card.tally().rungs_on_card > before;
        Ok::<_, EngineError>(out.renditions.into_iter().next().filter(|_| on_card))
    };
    let (fresh, again, between, after) = (make(&alone)?, make(&alone)?, make(&other)?, make(&alone)?);
    let (Some(fresh), Some(again), Some(_), Some(after)) = (fresh, again, between, after) else { return Ok(None) };
    Ok(Some(Reuse { again: again == fresh, after_another: after == fresh }))
}

/// What the driver takes for sessions, the median of a few.
#[derive(Debug, Clone)]
pub struct SessionTimes {
    /// To open one, with its surfaces.
    pub open: Duration,
    /// To have one that was drained go on with another size and bit rate, or why the driver does not.
    pub reconfigure: Result<Duration, NvidiaError>,
}

/// Opens sessions of the driver's own interface for a rung, and reconfigures them. `None` where the card does not
/// encode it, or has no session to give.
///
/// # Errors
/// The card, or a session, fails.
pub fn session_times(device: &Arc<Device>, rung: &Rendition) -> Result<Option<SessionTimes>, NvidiaError> {
    let Some(other) = another(device, rung)? else { return Ok(None) };
    let (one, other) = (told(rung), told(&other));
    let (mut opened, mut changed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let mut session = EncoderSession::open(device, &one)?;
        opened.push(started.elapsed());
        for next in [&other, &one] {
            // As between segments: it has made something, whatever lies in its surface.
            session.input()?;
            session.encode(0, true)?;
            session.drain()?;
            let started = Instant::now();
            if let Err(refused) = session.reconfigure(next) {
                return Ok(Some(SessionTimes { open: median(opened), reconfigure: Err(refused) }));
            }
            changed.push(started.elapsed());
        }
    }
    Ok(Some(SessionTimes { open: median(opened), reconfigure: Ok(median(changed)) }))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// A rung that a session for this one can become, of another size and bit rate. `None` where the card does not encode
/// this one, or has no session to ask.
fn another(device: &Arc<Device>, rung: &Rendition) -> Result<Option<Rendition>, NvidiaError> {
    let encodes = match device.encodes() {
        Ok(encodes) => encodes,
        Err(error) if error.class() == Class::Capacity => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(encodes.iter().any(|of| holds(of, rung)).then(|| another_of(rung, &encodes)))
}

fn another_of(rung: &Rendition, encodes: &[Encodes]) -> Rendition {
    let half = rung.bitrate_bps / 2;
    let bitrate_bps = if half >= 32_000 { half } else { rung.bitrate_bps * 2 };
    let eighths = |eighths: u32| {
        let side = |side: u32| side * eighths / 16 * 2;
        Rendition { width: side(rung.width), height: side(rung.height), bitrate_bps, ..rung.clone() }
    };
    let fits = |other: &Rendition| {
        ladder_of(vec![other.clone()]).is_ok()
            && encodes.iter().any(|of| holds(of, other))
            && told(rung).can_become(&told(other))
    };
    // A session of any class holds one of these, but for sizes that only just fit the card.
    [7, 9].into_iter().map(eighths).find(fits).unwrap_or_else(|| eighths(8))
}

fn holds(of: &Encodes, rung: &Rendition) -> bool {
    let most = told(rung).max_size;
    let (least, largest) = (of.min, of.max);
    of.codec == rung.codec
        && rung.width >= least.0
        && rung.height >= least.1
        && most.0 <= largest.0
        && most.1 <= largest.1
}

/// What a session is told of a rung of some stream.
fn told(rung: &Rendition) -> EncoderSettings {
    let fps = rung.fps.unwrap_or(Fps { num: 30, den: 1 });
    let colour = Colour { full_range: false, primaries: 1, transfer: 1, matrix: 1 };
    let (size, rate) = ((rung.width, rung.height), (fps.num, fps.den));
    let format = Format { size, bit_depth: 8, rate, aspect: (0, 0), progressive: true, colour };
    settings::of(rung, fps, (1, 1), &format)
}

/// A ladder of rungs made here.
pub(super) fn ladder_of(rungs: Vec<Rendition>) -> Result<Ladder, EngineError> {
    Ladder::new(rungs).map_err(|error| EngineError::Codec {
        what: "test".to_owned(),
        code: 0,
        reason: error.to_string(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn likeness(psnr: &[f64]) -> Likeness {
        let mut found = Likeness::none("a");
        psnr.iter().for_each(|psnr| found.add(*psnr));
        found
    }

    #[test]
    fn the_worst_picture_of_all_segments_is_named() {
        let all = likeness(&[40.0, f64::INFINITY]).and(&likeness(&[50.0, 29.0, 53.0]));
        assert_eq!((all.pictures, all.worst_picture, all.worst_psnr_db, all.mean_psnr_db), (5, 3, 29.0, 54.4));
        assert_eq!(all.complaint().unwrap(), "picture 3 of a is not what was encoded: 29.0 dB of luma");
        assert_eq!(likeness(&[LEAST_PSNR]).complaint(), None);
    }

    #[test]
    fn there_is_another_rung_for_every_session() {
        let usual = Ladder::standard().renditions()[0].clone();
        let (min, max) = ((146, 50), (4096, 4096));
        let card = [Encodes {
            codec: Codec::H264,
            min,
            max,
            engines: 1,
            ten_bit: false,
            new_size: true,
            new_bitrate: true,
            lookahead: true,
        }];
        let sizes =
            [(160, 90), (426, 240), (1280, 720), (720, 1280), (1366, 768), (1440, 1080), (1920, 1080), (4096, 2304)];
        for (width, height) in sizes {
            let rung = Rendition { width, height, ..usual.clone() };
            let other = another_of(&rung, &card);
            assert!(other.width != width && other.height != height, "{width}x{height}");
            assert!(other.bitrate_bps != rung.bitrate_bps && told(&rung).can_become(&told(&other)), "{other:?}");
        }
        assert!(!holds(&card[0], &Rendition { codec: Codec::Hevc, ..usual.clone() }));
        assert!(!holds(&card[0], &Rendition { width: 120, ..usual }));
    }
}
