//! From one segment to its ladder, in this process. Bytes from strangers belong into [`crate::worker`], which calls this.
//!
//! The source is decoded once and scaled to all rungs on one thread; every rendition is encoded and multiplexed on a thread
//! of its own, fed through a short queue. Encoders have one thread each and start afresh with every segment, which makes
//! the output a function of the input alone (for one version of the libraries) and parallel over renditions.

mod cpu;
pub(crate) mod orientation;
mod rung;
mod scaling;
mod sei;
mod sound;
pub(crate) mod timeline;

use std::time::Instant;

use crate::budget::Limits;
use crate::error::EngineError;
use crate::ladder::Ladder;
use crate::pace::Pace;
use crate::segment::SegmentOut;
use crate::ts;

/// Makes all renditions of `input`, or none.
///
/// Presentation times are the source's, to the tick. Renditions without a frame rate of their own have exactly the
/// source's pictures. AAC sound is copied bit for bit into each rendition, MPEG audio, AC-3 and Opus become AAC; segments
/// without sound are fine. A segment that was cut off is transcoded as far as it can be decoded.
///
/// `paces` is what [`SegmentOut::paces`] said after the segment before the last one, or empty where a stream begins.
pub fn transcode(ladder: &Ladder, input: &[u8], paces: &[Pace], limits: &Limits) -> Result<SegmentOut, EngineError> {
    let started = Instant::now();
    if input.len() as u64 > limits.input_bytes {
        return Err(EngineError::InputBytes { bytes: input.len() as u64, limit: limits.input_bytes });
    }
    let mut media = ts::demux(input)?;
    sound::to_aac(&mut media, limits, started)?;
    let mut out = cpu::run(ladder, &media, paces, limits, started)?;
    let bytes: u64 = out.renditions.iter().map(|rendition| rendition.bytes.len() as u64).sum();
    if bytes > limits.output_bytes {
        return Err(EngineError::OutputBytes { limit: limits.output_bytes });
    }
    out.timings.total = started.elapsed();
    Ok(out)
}
