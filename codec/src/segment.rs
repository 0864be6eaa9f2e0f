//! What goes into the codec and what comes out.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pace::Pace;

/// Ticks per second of all media times.
pub const TICKS_PER_SECOND: i64 = 90_000;
/// Times in a stream count modulo 2^33 ticks.
pub const WRAP: i64 = 1 << 33;
/// Longest part of a rendition, ticks: half a second, so that a player of low-latency HLS waits little and asks seldom.
/// At the usual frame rates a part reaches 93 % of it or more (rfc8216bis asks for 85 %).
pub const LONGEST_PART: i64 = TICKS_PER_SECOND / 2;

/// One segment to transcode.
#[derive(Debug, Clone, Copy)]
pub struct SegmentIn<'a> {
    /// The stream it belongs to: for messages, and for the rate control, which learns from earlier segments.
    pub stream: &'a str,
    /// Its number in the stream.
    pub number: u64,
    /// Beginning with an IDR or key picture, independently decodable. MPEG-TS, beginning with PAT and PMT: H.264 or HEVC. Or
    /// fragmented MP4, beginning with the initialisation segment: H.264, HEVC, AV1 or VP9.
    pub bytes: &'a [u8],
}

/// A transcoded segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentOut {
    /// In the ladder's order.
    pub renditions: Vec<RenditionOut>,
    /// What the source turned out to be.
    pub source: SourceInfo,
    /// Where the time went.
    pub timings: Timings,
    /// What the rate control of each rendition has learned, for the segment after the next.
    pub paces: Vec<Pace>,
}

impl SegmentOut {
    /// The unit of account: luma samples of all renditions, in thousands, rounded down.
    pub fn output_kilopixels(&self) -> u64 {
        let pixels = |r: &RenditionOut| u64::from(r.frames) * u64::from(r.width) * u64::from(r.height);
        self.renditions.iter().map(pixels).sum::<u64>() / 1000
    }
}

/// How the pictures of a source are coded: what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoKind {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    Hevc,
    /// AV1, in MP4 only.
    Av1,
    /// VP9, in MP4 only.
    Vp9,
}

/// The source as decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// How its pictures are coded.
    pub kind: VideoKind,
    /// Luma samples per row of the first picture, cropped and turned upright.
    pub width: u32,
    /// Rows of the first picture, cropped and turned upright.
    pub height: u32,
    /// Pictures decoded.
    pub frames: u32,
    /// Pictures that lacked data, were repaired by concealment, or had a timestamp that did not advance.
    pub damaged: u32,
    /// Presentation time of the first picture, 90 kHz ticks, 0..2^33 as in the stream.
    pub first_pts: i64,
    /// From the first picture's time to the end of the last one, 90 kHz ticks.
    pub duration: i64,
    /// Whether the renditions have sound.
    pub audio: bool,
}

/// One rung of the ladder, made.
#[derive(Clone, PartialEq, Eq)]
pub struct RenditionOut {
    /// The rendition's name in the ladder.
    pub name: String,
    /// Luma samples per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The initialisation segment of CMAF: equal for all segments of a stream whose parameters stay the same.
    pub init: Option<Vec<u8>>,
    /// On the source's timeline, beginning with an IDR picture. MPEG-TS begins with PAT and PMT; CMAF with `styp`, behind
    /// which come pairs of `moof` and `mdat`.
    pub bytes: Vec<u8>,
    /// Pictures; as many as the source has unless the rendition fixes its own frame rate.
    pub frames: u32,
    /// RFC 6381 codecs parameter, from the parameter sets really written: `avc1.64001F,mp4a.40.2`.
    pub codecs: String,
}

impl fmt::Debug for RenditionOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, width, height, init: _, bytes, frames, codecs } = self;
        let bytes = bytes.len();
        write!(f, "RenditionOut({name}: {width}x{height}, {frames} frames, {bytes} bytes, {codecs})")
    }
}

/// A piece of a rendition, handed over while the rest is in work. All of a rendition one behind the other are its
/// [`RenditionOut::bytes`].
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// Index in the ladder.
    pub rendition: usize,
    /// Counts up from 0 within the segment and rendition.
    pub number: u32,
    /// [`RenditionOut::init`], with the first part.
    pub init: Option<Vec<u8>>,
    /// Whole transport packets from one picture to another, or one `moof` with its `mdat` (in front of the first one,
    /// `styp`).
    pub bytes: Vec<u8>,
    /// Presentation time of the first picture, 90 kHz ticks, 0..2^33.
    pub pts: i64,
    /// To the first picture of the next part, 90 kHz ticks: at most [`LONGEST_PART`] unless it is one picture.
    pub duration: i64,
    /// Pictures.
    pub frames: u32,
    /// Whether it begins with an IDR picture.
    pub independent: bool,
    /// Whether it is the segment's last.
    pub last: bool,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rendition, number, init: _, bytes, pts, duration, frames, independent, last } = self;
        let (bytes, key, last) =
            (bytes.len(), if *independent { ", IDR" } else { "" }, if *last { ", last" } else { "" });
        write!(f, "Part({rendition}/{number}: {frames} frames from {pts} for {duration}, {bytes} bytes{key}{last})")
    }
}

/// Where the time of one segment went: processor time by stage, whatever else the machine was doing, and real time in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Demultiplexing and decoding.
    pub decode: Duration,
    /// Scaling, all renditions.
    pub scale: Duration,
    /// Encoding and multiplexing, all renditions.
    pub encode: Duration,
    /// From the first byte to the last, as a clock on the wall sees it.
    pub total: Duration,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_coded_in_something_that_is_read() {
        let kinds = [VideoKind::H264, VideoKind::Hevc, VideoKind::Av1, VideoKind::Vp9];
        assert_eq!(serde_json::to_string(&kinds).unwrap(), r#"["h264","hevc","av1","vp9"]"#);
        assert_eq!(serde_json::from_str::<[VideoKind; 4]>(r#"["h264","hevc","av1","vp9"]"#).unwrap(), kinds);
        for lie in [r#""vp8""#, r#""H264""#, "0", "null"] {
            assert!(serde_json::from_str::<VideoKind>(lie).is_err(), "{lie}");
        }
    }
}
