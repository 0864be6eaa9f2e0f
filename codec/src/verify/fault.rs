//! Why a rendition fails, found before or while its pixels are measured.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What is wrong with a rendition's form. Pictures count from 0 in the order in which they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// More bytes than the ordered rate allows, whatever they hold.
    #[error("the rendition has {bytes} bytes, the order allows {limit}")]
    Bytes {
        /// Bytes given.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Not whole transport packets.
    #[error("byte {at} should begin a transport packet and does not")]
    Packets {
        /// Offset into the rendition.
        at: u64,
    },
    /// No video to be found in it.
    #[error("the transport stream cannot be read: {reason}")]
    Container {
        /// What the demultiplexer says.
        reason: String,
    },
    /// Packets are missing.
    #[error("{gaps} gaps in the video packets' continuity counters")]
    Continuity {
        /// Gaps found.
        gaps: u32,
    },
    /// Not the codec ordered.
    #[error("the video is HEVC, H.264 was ordered")]
    Codec,
    /// It cannot be decoded from its start.
    #[error("the first access unit is no IDR picture with its parameter sets")]
    Start,
    /// Too long without an IDR picture.
    #[error("{have} ticks from the IDR picture at {from} to the next one, {limit} were ordered")]
    KeyDistance {
        /// Time of the IDR picture, 90 kHz.
        from: i64,
        /// Ticks to the next one or to the end.
        have: i64,
        /// Ticks allowed.
        limit: i64,
    },
    /// An access unit without a presentation time.
    #[error("access unit {unit} has no presentation time")]
    Untimed {
        /// Counted from 0 in decoding order.
        unit: u32,
    },
    /// The decoder stumbles.
    #[error("picture {picture} cannot be decoded without errors")]
    Decode {
        /// The picture.
        picture: u32,
    },
    /// Not 8-bit 4:2:0.
    #[error("picture {picture} has the format {format}, 8-bit 4:2:0 was ordered")]
    Format {
        /// The picture.
        picture: u32,
        /// FFmpeg's name or number of it.
        format: String,
    },
    /// Not the size ordered.
    #[error("pictures of {width}x{height}, {want_width}x{want_height} were ordered")]
    Geometry {
        /// Luma samples per row.
        width: u32,
        /// Rows.
        height: u32,
        /// Ordered samples per row.
        want_width: u32,
        /// Ordered rows.
        want_height: u32,
    },
    /// Not the colours of the source.
    #[error("picture {picture} says that its {what} is {have}, the source says {want}")]
    Colour {
        /// The picture.
        picture: u32,
        /// Which mark.
        what: String,
        /// The rendition's.
        have: String,
        /// The source's.
        want: String,
    },
    /// A picture at the wrong time.
    #[error("picture {picture} is shown {off} ticks off its time, {limit} are allowed")]
    Time {
        /// The picture.
        picture: u32,
        /// Rendition's time less ordered time, 90 kHz.
        off: i64,
        /// Most that is allowed.
        limit: i64,
    },
    /// Too few or too many pictures.
    #[error("{have} pictures, {want} were ordered")]
    Count {
        /// Pictures, or access units where these are too many already.
        have: u32,
        /// Pictures ordered.
        want: u32,
    },
}
