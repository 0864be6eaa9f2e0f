//! From a segment's bytes to its elementary streams, whatever it is wrapped in.

use crate::error::EngineError;
use crate::ts::Media;
use crate::{mp4, ts};

/// Reads a whole segment: MPEG-TS, or fragmented MP4 that begins with its initialisation segment. Copies little more than the
/// input's size; what is damaged is left out.
///
/// # Errors
/// Class input: it has nothing to make a ladder of, and says what is missing.
pub fn demux(bytes: &[u8]) -> Result<Media, EngineError> {
    if mp4::is(bytes) { mp4::demux(bytes) } else { ts::demux(bytes) }
}
