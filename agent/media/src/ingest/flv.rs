//! The bodies of RTMP audio and video messages, which are those of FLV tags, with the FourCC form of Enhanced RTMP.

use bytes::Bytes;

use super::enhanced;
use crate::aac::{AacConfig, AacError};
use crate::h264::{AvcConfig, H264Error};

/// Largest AAC frame: 6144 bits for each of eight channels.
const MAX_AAC: usize = 6144 / 8 * 8;

/// A video message.
#[derive(Debug, Clone, PartialEq)]
pub enum Video {
    /// Parameter sets for what follows.
    Config(AvcConfig),
    /// One picture: length-prefixed NAL units and how much later than decoded it is shown, in milliseconds.
    Picture {
        /// Composition time.
        reorder_ms: i32,
        /// As the decoder configuration frames it.
        data: Bytes,
    },
    /// Metadata, end of sequence, a command frame: nothing to show.
    Nothing,
}

/// An audio message.
#[derive(Debug, Clone, PartialEq)]
pub enum Audio {
    /// What the following frames are coded with.
    Config(AacConfig),
    /// One bare frame.
    Frame(Bytes),
    /// Silence markers and the like.
    Nothing,
}

/// What cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlvError {
    /// A codec by name; only H.264 and AAC are carried.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A body shorter than its header.
    #[error("the {0} message is cut short")]
    Short(&'static str),
    /// A broken decoder configuration.
    #[error(transparent)]
    Video(#[from] H264Error),
    /// An audio configuration that a transport stream cannot say.
    #[error(transparent)]
    Audio(#[from] AacError),
    /// An AAC frame larger than the format allows.
    #[error("an AAC frame of {0} bytes is larger than the format allows")]
    AudioSize(usize),
}

/// Reads a video message, FLV section E.4.3.1 and Enhanced RTMP "ExVideoTagHeader".
pub fn video(body: &Bytes) -> Result<Video, FlvError> {
    const SHORT: FlvError = FlvError::Short("video");
    let Some(&first) = body.first() else { return Ok(Video::Nothing) };
    if first >> 4 & 7 == 5 {
        return Ok(Video::Nothing); // a command frame, such as a seek
    }
    if first & 0x80 != 0 {
        let Some(packet) = enhanced::default_track(body, enhanced::VIDEO)? else { return Ok(Video::Nothing) };
        if packet.four_cc != *b"avc1" {
            return Err(FlvError::Unsupported(four_cc_name(&packet.four_cc)));
        }
        return match packet.packet_type {
            0 => Ok(Video::Config(AvcConfig::parse(&packet.data)?)),
            1 => picture(&packet.data),
            3 => Ok(Video::Picture { reorder_ms: 0, data: packet.data }),
            _ => Ok(Video::Nothing),
        };
    }
    match first & 0x0F {
        7 => match body.get(1).ok_or(SHORT)? {
            0 if body.len() < 5 => Err(SHORT),
            0 => Ok(Video::Config(AvcConfig::parse(&body.slice(5..))?)),
            1 => picture(&body.slice(2..)),
            _ => Ok(Video::Nothing),
        },
        other => Err(FlvError::Unsupported(
            match other {
                2 => "Sorenson H.263",
                3 => "Screen video",
                4 | 5 => "VP6",
                6 => "Screen video 2",
                12 => "HEVC (H.265)", // a private number that is in wide use
                13 => "AV1",
                other => return Err(FlvError::Unsupported(format!("FLV video codec {other}"))),
            }
            .into(),
        )),
    }
}

/// A 24-bit signed composition time, then the units.
fn picture(data: &Bytes) -> Result<Video, FlvError> {
    let &[a, b, c] = data.first_chunk().ok_or(FlvError::Short("video"))?;
    Ok(Video::Picture { reorder_ms: i32::from_be_bytes([a, b, c, 0]) >> 8, data: data.slice(3..) })
}

/// Reads an audio message, FLV section E.4.2.1 and Enhanced RTMP "ExAudioTagHeader".
pub fn audio(body: &Bytes) -> Result<Audio, FlvError> {
    let Some(&first) = body.first() else { return Ok(Audio::Nothing) };
    let (kind, data) = match first >> 4 {
        10 => (*body.get(1).ok_or(FlvError::Short("audio"))?, body.slice(2..)),
        9 => {
            let Some(packet) = enhanced::default_track(body, enhanced::AUDIO)? else { return Ok(Audio::Nothing) };
            if packet.four_cc != *b"mp4a" {
                return Err(FlvError::Unsupported(four_cc_name(&packet.four_cc)));
            }
            (packet.packet_type, packet.data)
        }
        other => {
            return Err(FlvError::Unsupported(
                match other {
                    0 | 3 => "PCM",
                    1 => "ADPCM",
                    2 | 14 => "MP3",
                    4..=6 => "Nellymoser",
                    7 | 8 => "G.711",
                    11 => "Speex",
                    _ => "this audio codec",
                }
                .into(),
            ));
        }
    };
    match kind {
        0 => Ok(Audio::Config(AacConfig::parse(&data)?)),
        1 if data.len() > MAX_AAC => Err(FlvError::AudioSize(data.len())),
        1 if !data.is_empty() => Ok(Audio::Frame(data)),
        _ => Ok(Audio::Nothing),
    }
}

fn four_cc_name(four_cc: &[u8]) -> String {
    match four_cc {
        b"hvc1" => "HEVC (H.265)".into(),
        b"av01" => "AV1".into(),
        b"vp08" => "VP8".into(),
        b"vp09" => "VP9".into(),
        b"vvc1" => "VVC (H.266)".into(),
        b"Opus" => "Opus".into(),
        b"fLaC" => "FLAC".into(),
        b"ac-3" => "AC-3".into(),
        b"ec-3" => "E-AC-3".into(),
        b".mp3" => "MP3".into(),
        other => format!("codec {}", other.escape_ascii()),
    }
}

/// The messages inside an aggregate message (RTMP section 7.1.6): kind, timestamp in milliseconds, body. A broken tail is
/// left out.
pub fn aggregate(body: &Bytes) -> Vec<(u8, u32, Bytes)> {
    let mut messages = Vec::new();
    let mut at = 0;
    while let Some(head) = body.get(at..at + 11) {
        let length = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
        let time = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        let Some(data) = body.get(at + 11..at + 11 + length) else { break };
        messages.push((head[0], time, body.slice_ref(data)));
        at += 11 + length + 4; // behind each comes its own length once more
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::tests::{PPS, SPS_720P, avcc};
    use proptest::prelude::*;

    fn body(head: &[u8], tail: &[u8]) -> Bytes {
        [head, tail].concat().into()
    }

    #[test]
    fn both_spellings_of_h264_are_read() {
        let record = avcc(&SPS_720P, &PPS);
        for head in [&[0x17, 0, 0, 0, 0][..], b"\x90avc1"] {
            assert!(matches!(video(&body(head, &record)), Ok(Video::Config(c)) if c.sps[0] == SPS_720P[..]));
        }
        for head in [&[0x27, 1, 0, 0, 80][..], b"\xA1avc1\0\0\x50"] {
            let picture = Video::Picture { reorder_ms: 80, data: Bytes::from_static(b"units") };
            assert_eq!(video(&body(head, b"units")), Ok(picture));
        }
        assert!(matches!(video(&body(&[0x27, 1, 0xFF, 0xFF, 0xFE], b"")), Ok(Video::Picture { reorder_ms: -2, .. })));
    }

    #[test]
    fn other_codecs_are_refused_by_name() {
        for (head, name) in [
            (&b"\x90hvc1"[..], "HEVC (H.265)"),
            (b"\x90av01", "AV1"),
            (b"\x1c\0", "HEVC (H.265)"),
            (b"\x12", "Sorenson H.263"),
        ] {
            assert_eq!(video(&body(head, b"")), Err(FlvError::Unsupported(name.into())));
        }
        for (head, name) in [(&b"\x90Opus"[..], "Opus"), (b"\x2f", "MP3"), (b"\xbf", "Speex")] {
            assert_eq!(audio(&body(head, b"")), Err(FlvError::Unsupported(name.into())));
        }
    }

    #[test]
    fn an_aggregate_is_taken_apart_and_its_broken_tail_dropped() {
        let part = |kind: u8, time: u8, data: &[u8]| {
            let mut part = vec![kind, 0, 0, data.len() as u8, 0, 0, time, 0, 0, 0, 0];
            part.extend(data);
            part.extend([0, 0, 0, 0]);
            part
        };
        let mut all = part(8, 10, b"one");
        all.extend(part(9, 30, b"two"));
        all.extend(&part(9, 40, b"three")[..12]);
        let got = aggregate(&all.into());
        assert_eq!(got, [(8, 10, Bytes::from_static(b"one")), (9, 30, Bytes::from_static(b"two"))]);
    }

    proptest! {
        #[test]
        fn no_message_can_make_the_readers_panic(data in prop::collection::vec(any::<u8>(), 0..100)) {
            let data = Bytes::from(data);
            let _ = (video(&data), audio(&data), aggregate(&data));
        }
    }
}
