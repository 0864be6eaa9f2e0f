//! From one segment to its ladder, in this process. Bytes from strangers belong into [`crate::worker`], which calls this.
//!
//! The source is decoded once and scaled to all rungs on one thread; every rendition is encoded and multiplexed on a thread
//! of its own, fed through a short queue. Encoders start afresh with every segment and have one thread each (SVT-AV1: one
//! for each stage of its work, with fixed hand-overs), which makes the output a function of the input alone (for one version
//! of the libraries) and parallel over renditions.
//!
//! [`nvidia`] does the same on a graphics card; [`vulkan`] has a card without CUDA scale.

mod codecs;
mod cpu;
mod intake;
mod job;
pub(crate) mod latm;
mod memory;
pub mod nvidia;
pub(crate) mod orientation;
mod output;
mod rung;
mod scaling;
mod sei;
pub(crate) mod sound;
pub(crate) mod timeline;
mod units;
pub mod vulkan;

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use headframe_kernels::Filter;

use crate::budget::Limits;
use crate::commit::{CURVE, Curve};
use crate::error::EngineError;
use crate::ffi::encoder;
use crate::ladder::{Codec, Ladder};
use crate::pace::Pace;
use crate::segment::SegmentOut;
use crate::source;
use crate::ts::Media;

pub use output::{Event, Sink};

/// The curve with which every engine scales. What an operator commits to says so too: [`crate::commit::CURVE`].
pub(crate) const FILTER: Filter = match CURVE {
    Curve::CatmullRom => Filter::CatmullRom,
    Curve::Lanczos3 => Filter::Lanczos3,
};

/// What this build of FFmpeg has an encoder for.
pub fn codecs() -> Vec<Codec> {
    Codec::ALL.into_iter().filter(|codec| encoder::exists(*codec)).collect()
}

/// Makes all renditions of `input`, or none.
///
/// Presentation times are the source's, to the tick. Renditions without a frame rate of their own have exactly the
/// source's pictures. AAC sound is copied bit for bit into each rendition (out of LATM into ADTS), MPEG audio, AC-3 and
/// Opus become AAC; segments without sound are fine. A segment that was cut off is transcoded as far as it can be decoded.
///
/// `paces` is what [`SegmentOut::paces`] said after the segment before the last one, or empty where a stream begins.
pub fn transcode(ladder: &Ladder, input: &[u8], paces: &[Pace], limits: &Limits) -> Result<SegmentOut, EngineError> {
    whole(ladder, |sink| transcode_in_parts(ladder, input, paces, limits, sink))
}

/// As [`transcode`], but every part goes to `sink` as soon as it is made, and the renditions that are returned have no
/// bytes of their own. After an error the parts are worth nothing. An input that is given away is freed once it is
/// demultiplexed.
pub fn transcode_in_parts<'a>(
    ladder: &Ladder,
    input: impl Into<Cow<'a, [u8]>>,
    paces: &[Pace],
    limits: &Limits,
    sink: Sink<'_>,
) -> Result<SegmentOut, EngineError> {
    transcode_on(None, ladder, input, paces, limits, sink)
}

/// As [`transcode_in_parts`], and `device` scales as far as it can.
pub fn transcode_on<'a>(
    device: Option<&vulkan::Device>,
    ladder: &Ladder,
    input: impl Into<Cow<'a, [u8]>>,
    paces: &[Pace],
    limits: &Limits,
    sink: Sink<'_>,
) -> Result<SegmentOut, EngineError> {
    let started = Instant::now();
    let media = prepare(ladder, input.into(), limits, started)?;
    let mut out = cpu::run(device, ladder, media, paces, limits, started, sink)?;
    out.timings.total = started.elapsed();
    Ok(out)
}

/// Puts the parts that `make` hands over together.
fn whole(
    ladder: &Ladder,
    make: impl FnOnce(Sink<'_>) -> Result<SegmentOut, EngineError>,
) -> Result<SegmentOut, EngineError> {
    let whole: Vec<_> = ladder.renditions().iter().map(|_| Mutex::new((None, Vec::new()))).collect();
    let mut out = make(&|event| {
        let Event::Part(part) = event else { return Ok(()) };
        let mut whole = whole[part.rendition].lock().unwrap_or_else(PoisonError::into_inner);
        whole.0 = whole.0.take().or(part.init);
        whole.1.extend_from_slice(&part.bytes);
        Ok(())
    })?;
    for (rendition, whole) in out.renditions.iter_mut().zip(whole) {
        (rendition.init, rendition.bytes) = whole.into_inner().unwrap_or_else(PoisonError::into_inner);
    }
    Ok(out)
}

/// What every engine begins with: limits, demultiplexing, sound.
fn prepare(ladder: &Ladder, input: Cow<'_, [u8]>, limits: &Limits, started: Instant) -> Result<Media, EngineError> {
    if input.len() as u64 > limits.input_bytes {
        return Err(EngineError::InputBytes { bytes: input.len() as u64, limit: limits.input_bytes });
    }
    if let Some(rendition) = ladder.renditions().iter().find(|rendition| !encoder::exists(rendition.codec)) {
        return Err(EngineError::NoEncoder { encoder: rendition.codec.encoder().to_owned() });
    }
    memory::check(ladder, limits)?;
    let mut media = source::demux(&input)?;
    drop(input);
    sound::to_aac(&mut media, limits, started)?;
    Ok(media)
}
