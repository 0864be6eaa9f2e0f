//! Programmes and what they consist of: the association table and the maps (13818-1 2.4.4).

use super::packets::Packets;
use super::{AAC_ADTS, AAC_LATM, H264, HEVC, crc32};
pub use crate::segment::VideoKind;

/// Versions of a programme's map that are heeded: it changes where advertisements begin and end.
const MAX_VERSIONS: usize = 16;

impl VideoKind {
    /// Whether it comes in NAL units behind start codes.
    pub(crate) fn has_nals(self) -> bool {
        matches!(self, Self::H264 | Self::Hevc)
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::Hevc => "HEVC",
            Self::Av1 => "AV1",
            Self::Vp9 => "VP9",
        }
    }
}

/// How sound is coded that is not AAC in ADTS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioCoding {
    /// MPEG-1 and MPEG-2 audio, any layer.
    Mpeg,
    /// AC-3.
    Ac3,
    /// Enhanced AC-3.
    Eac3,
    /// AAC in LATM.
    Latm,
    /// Opus with one or two channels.
    Opus {
        /// Channels.
        channels: u8,
    },
}

/// The first intact section of `table` on `pid` that holds and that `parse` takes, given the packet in which it ends, its
/// number (table id extension) and its body.
fn find_section<T>(
    bytes: &[u8],
    pid: u16,
    table: u8,
    mut parse: impl FnMut(usize, u16, &[u8]) -> Option<T>,
) -> Option<T> {
    let mut section: Vec<u8> = Vec::new();
    for (at, packet) in Packets::new(bytes).enumerate().filter(|(_, packet)| packet.pid == pid) {
        if packet.start {
            let Some((pointer, rest)) = packet.payload.split_first() else { continue };
            section.clear();
            section.extend_from_slice(rest.get(usize::from(*pointer)..).unwrap_or_default());
        } else if !section.is_empty() {
            section.extend_from_slice(packet.payload);
        }
        // Sections have at most 1024 bytes; several may follow each other.
        while section.len() >= 3 && section[0] != 0xff {
            let len = 3 + usize::from(u16::from_be_bytes([section[1] & 0x0f, section[2]]));
            if section.len() < len {
                break;
            }
            let rest = section.split_off(len);
            // A table may be announced before it holds.
            let intact = section[0] == table && len >= 12 && section[5] & 1 == 1 && crc32(&section) == 0;
            if let (true, Some(body)) = (intact, section.get(8..len.saturating_sub(4)))
                && let Some(found) = parse(at, u16::from_be_bytes([section[3], section[4]]), body)
            {
                return Some(found);
            }
            section = rest;
        }
    }
    None
}

/// The programmes' numbers, and the PIDs of their maps; `None` without an association table.
pub(super) fn programmes(bytes: &[u8]) -> Option<Vec<(u16, u16)>> {
    find_section(bytes, 0, 0x00, |_, _, body| parse_pat(body))
}

fn parse_pat(body: &[u8]) -> Option<Vec<(u16, u16)>> {
    let programs = body.chunks_exact(4).filter(|entry| entry[..2] != [0, 0]);
    let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Some(programs.map(|entry| (word(entry[0], entry[1]), word(entry[2] & 0x1f, entry[3]))).take(16).collect())
}

/// What a programme consists of.
pub(super) struct Map {
    /// The packet with which this holds.
    pub(super) from: usize,
    pub(super) entries: Vec<Entry>,
}

/// All that the maps of `programme` on `pid` say, without repetitions.
pub(super) fn versions(bytes: &[u8], pid: u16, programme: u16) -> Vec<Map> {
    let mut versions: Vec<Map> = Vec::new();
    find_section(bytes, pid, 0x02, |from, number, body| {
        if number != programme {
            return None;
        }
        let entries = parse_pmt(body).filter(|map| versions.last().is_none_or(|last| last.entries != *map));
        if versions.len() < MAX_VERSIONS {
            versions.extend(entries.map(|entries| Map { from, entries }));
        }
        None::<()>
    });
    versions
}

/// One elementary stream of a programme map.
#[derive(PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stream_type: u8,
    pub(super) pid: u16,
    pub(super) descriptors: Vec<u8>,
}

impl Entry {
    pub(super) fn video(&self) -> Option<VideoKind> {
        match self.stream_type {
            H264 => Some(VideoKind::H264),
            HEVC => Some(VideoKind::Hevc),
            _ => None,
        }
    }

    /// What it is if it is video that is not read.
    pub(super) fn foreign_video(&self) -> Option<&'static str> {
        Some(match self.stream_type {
            0x01 | 0x02 => "MPEG-1/2 video",
            0x10 => "MPEG-4 part 2 video",
            0x33 => "VVC",
            0xd1 => "Dirac",
            0xea => "VC-1",
            0x06 if registered(&self.descriptors) == Some(b"AV01") => "AV1",
            _ => return None,
        })
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        let number = format!("{:#04x}", self.stream_type);
        self.foreign_video().map_or_else(|| number.clone(), |name| format!("{number} {name}"))
    }

    pub(super) fn is_known_audio(&self) -> bool {
        self.stream_type == AAC_ADTS || coding(self.stream_type, &self.descriptors).is_some()
    }

    /// Whether sound goes on in the same coding.
    pub(super) fn codes_like(&self, other: &Self) -> bool {
        let coding = |entry: &Self| coding(entry.stream_type, &entry.descriptors);
        match coding(self) {
            None => self.stream_type == other.stream_type,
            have => have == coding(other),
        }
    }

    /// DTS, and Opus with more than two channels.
    pub(super) fn is_foreign_audio(&self) -> bool {
        matches!(self.stream_type, 0x82 | 0x8a) || registered(&self.descriptors) == Some(b"Opus")
    }
}

/// Stream types of MPEG audio, of ATSC, and private ones with the descriptors of DVB (EN 300 468) or a registration.
pub(super) fn coding(stream_type: u8, descriptors: &[u8]) -> Option<AudioCoding> {
    let has = |tag| described(descriptors).any(|(have, _)| have == tag);
    match (stream_type, registered(descriptors)) {
        (0x03 | 0x04, _) => Some(AudioCoding::Mpeg),
        (AAC_LATM, _) => Some(AudioCoding::Latm),
        (0x81, _) | (0x06, Some(b"AC-3")) => Some(AudioCoding::Ac3),
        (0x87, _) | (0x06, Some(b"EAC3")) => Some(AudioCoding::Eac3),
        (0x06, Some(b"Opus")) => {
            // DVB's extension for Opus says how many channels there are; 0 is two independent ones.
            let extension = described(descriptors).find(|(tag, body)| *tag == 0x7f && body.first() == Some(&0x80));
            match extension.and_then(|(_, body)| body.get(1).copied()) {
                Some(1) => Some(AudioCoding::Opus { channels: 1 }),
                None | Some(0 | 2) => Some(AudioCoding::Opus { channels: 2 }),
                Some(_) => None,
            }
        }
        (0x06, _) if has(0x6a) => Some(AudioCoding::Ac3),
        (0x06, _) if has(0x7a) => Some(AudioCoding::Eac3),
        _ => None,
    }
}

/// Tag and body of every descriptor.
pub(crate) fn described(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [tag, len, tail @ ..] = rest else { return None };
        let (body, next) = tail.split_at_checked(usize::from(*len))?;
        rest = next;
        Some((*tag, body))
    })
}

/// The identifier of a registration descriptor.
fn registered(descriptors: &[u8]) -> Option<&[u8; 4]> {
    described(descriptors).find(|(tag, _)| *tag == 0x05).and_then(|(_, body)| body.first_chunk())
}

fn parse_pmt(body: &[u8]) -> Option<Vec<Entry>> {
    let info = usize::from(u16::from_be_bytes([body.get(2)? & 0x0f, *body.get(3)?]));
    let mut rest = body.get(4 + info..)?;
    let mut entries = Vec::new();
    while let [stream_type, pid_high, pid_low, len_high, len_low, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([len_high & 0x0f, *len_low]));
        let descriptors = tail.get(..len)?.to_vec();
        entries.push(Entry {
            stream_type: *stream_type,
            pid: u16::from_be_bytes([pid_high & 0x1f, *pid_low]),
            descriptors,
        });
        rest = &tail[len..];
    }
    Some(entries)
}
