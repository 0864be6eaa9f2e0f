//! What samples hold, and how they become what a transport stream would have: access units in Annex B form, temporal units,
//! frames with ADTS headers.

use super::atoms::{Atom, Fields, find};
use crate::engine::{latm, sound};
use crate::syntax::av1;
use crate::ts::{AAC_ADTS, VideoKind};

/// In front of every NAL unit.
const START: [u8; 4] = [0, 0, 0, 1];
/// An access unit begins with one of these, so that nobody has to guess where (H.264 7.3.2.4, HEVC 7.3.2.5): any pictures.
const H264_DELIMITER: [u8; 2] = [9, 0xf0];
const HEVC_DELIMITER: [u8; 3] = [0x46, 1, 0x50];
/// AV1's, with its size.
const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0];

/// Bytes of a sample entry in front of its boxes (14496-12 12.1.3, 12.2.3).
const VISUAL: usize = 78;
const AUDIO: usize = 28;

/// How pictures are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Video {
    /// NAL units behind their lengths; parameter sets may stand in the description alone.
    Nal { kind: VideoKind, length: usize, sets: Vec<Vec<u8>> },
    /// Open bitstream units; the sequence header may stand in the description alone.
    Av1 { header: Vec<u8> },
    /// A frame or superframe.
    Vp9,
}

/// Why a track cannot be read.
pub(super) enum Refused {
    Encrypted,
    /// Nothing that is known here.
    Foreign,
    Broken(&'static str),
}

impl Video {
    pub(super) fn of(entry: &Atom<'_>) -> Result<Self, Refused> {
        let atoms = entry.body.get(VISUAL..).ok_or(Refused::Broken("a description of pictures ends early"))?;
        let inner = |kind, what| find(atoms, kind).ok_or(Refused::Broken(what));
        match &entry.kind {
            b"avc1" | b"avc3" => {
                let record = inner(b"avcC", "H.264 without its configuration (avcC)")?;
                avc(record).ok_or(Refused::Broken("the configuration of H.264 (avcC) ends early"))
            }
            b"hvc1" | b"hev1" => {
                let record = inner(b"hvcC", "HEVC without its configuration (hvcC)")?;
                hevc(record).ok_or(Refused::Broken("the configuration of HEVC (hvcC) ends early"))
            }
            b"av01" => {
                let record = inner(b"av1C", "AV1 without its configuration (av1C)")?;
                Ok(Self::Av1 { header: record.get(4..).unwrap_or_default().to_vec() })
            }
            b"vp09" => Ok(Self::Vp9),
            b"encv" => Err(Refused::Encrypted),
            _ => Err(Refused::Foreign),
        }
    }

    pub(super) fn kind(&self) -> VideoKind {
        match self {
            Self::Nal { kind, .. } => *kind,
            Self::Av1 { .. } => VideoKind::Av1,
            Self::Vp9 => VideoKind::Vp9,
        }
    }

    /// A sample as a decoder takes it, the `first` one with what is said of all; and whether some of it is missing.
    pub(super) fn unit(&self, sample: &[u8], first: bool) -> (Vec<u8>, bool) {
        match self {
            Self::Nal { kind, length, sets } => annex_b(*kind, *length, if first { sets } else { &[] }, sample),
            Self::Av1 { header } => {
                let header = if first && av1::sequence(sample).is_none() { &header[..] } else { &[] };
                ([&TEMPORAL_DELIMITER[..], header, sample].concat(), false)
            }
            Self::Vp9 => (sample.to_vec(), false),
        }
    }
}

fn annex_b(kind: VideoKind, length: usize, sets: &[Vec<u8>], mut sample: &[u8]) -> (Vec<u8>, bool) {
    let delimiter = if kind == VideoKind::H264 { &H264_DELIMITER[..] } else { &HEVC_DELIMITER };
    let kind_of = |nal: &[u8]| if kind == VideoKind::H264 { nal[0] & 0x1f } else { nal[0] >> 1 & 0x3f };
    let mut out = Vec::with_capacity(sample.len() + 64);
    let mut push = |nal: &[u8]| {
        out.extend(START);
        out.extend_from_slice(nal);
    };
    push(delimiter);
    sets.iter().for_each(|set| push(set));
    while !sample.is_empty() {
        let Some((size, rest)) = sample.split_at_checked(length) else { return (out, true) };
        let size = size.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
        // What there is of it is shown, as it is where packets are missing.
        let nal = &rest[..size.min(rest.len())];
        if nal.first().is_some_and(|_| kind_of(nal) != kind_of(delimiter)) {
            push(nal);
        }
        let Some(rest) = rest.get(size..) else { return (out, true) };
        sample = rest;
    }
    (out, false)
}

/// 14496-15 5.3.3.1.2.
fn avc(record: &[u8]) -> Option<Video> {
    let mut fields = Fields(record);
    // Version, profile, constraints, level.
    fields.bytes(4)?;
    let length = usize::from(fields.u8()? & 3) + 1;
    let mut sets = Vec::new();
    for count in [0x1f, 0xff] {
        for _ in 0..fields.u8()? & count {
            let size = fields.u16()?.into();
            sets.push(fields.bytes(size)?.to_vec());
        }
    }
    Some(Video::Nal { kind: VideoKind::H264, length, sets })
}

/// 14496-15 8.3.3.1.2.
fn hevc(record: &[u8]) -> Option<Video> {
    let mut fields = Fields(record);
    fields.bytes(21)?;
    let length = usize::from(fields.u8()? & 3) + 1;
    let mut sets = Vec::new();
    for _ in 0..fields.u8()? {
        // Their type, which they say themselves.
        fields.u8()?;
        for _ in 0..fields.u16()? {
            let size = fields.u16()?.into();
            sets.push(fields.bytes(size)?.to_vec());
        }
    }
    Some(Video::Nal { kind: VideoKind::Hevc, length, sets })
}

/// How sound is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audio {
    /// AAC without headers: profile, index of the rate and channels of the core.
    Aac(u8, u8, u8),
    /// As a transport stream has it under this stream type.
    Plain(u8),
    /// Opus with one or two channels.
    Opus(u8),
}

impl Audio {
    pub(super) fn of(entry: &Atom<'_>) -> Result<Self, Refused> {
        let early = || Refused::Broken("a description of sound ends early");
        // QuickTime's first version has more of it.
        let more = match entry.body.get(8..10) {
            Some([0, 1]) => 16,
            _ => 0,
        };
        let atoms = entry.body.get(AUDIO + more..).ok_or_else(early)?;
        match &entry.kind {
            b"mp4a" => {
                let described = find(atoms, b"esds").and_then(elementary).ok_or_else(early)?;
                match described {
                    // 14496-3, and AAC of 13818-7.
                    (0x40 | 0x66..=0x68, Some(config)) => {
                        latm::core(config).map(|(profile, rate, channels)| Self::Aac(profile, rate, channels))
                    }
                    (0x69 | 0x6b, _) => Some(Self::Plain(0x03)),
                    (0xa5, _) => Some(Self::Plain(0x81)),
                    (0xa6, _) => Some(Self::Plain(0x87)),
                    _ => None,
                }
                .ok_or(Refused::Foreign)
            }
            b".mp3" => Ok(Self::Plain(0x03)),
            b"ac-3" => Ok(Self::Plain(0x81)),
            b"ec-3" => Ok(Self::Plain(0x87)),
            b"Opus" => match find(atoms, b"dOps").and_then(|said| said.get(1).copied()) {
                Some(channels @ 1..=2) => Ok(Self::Opus(channels)),
                Some(_) => Err(Refused::Foreign),
                None => Err(early()),
            },
            b"enca" => Err(Refused::Encrypted),
            _ => Err(Refused::Foreign),
        }
    }

    /// Stream type and descriptors of a transport stream that say the same.
    pub(super) fn described(self, language: [u8; 3]) -> (u8, Vec<u8>) {
        let spoken = language.iter().all(u8::is_ascii_lowercase) && language != *b"und";
        let language = [&[0x0a, 4][..], &language, &[0]].concat();
        let language = if spoken { &language[..] } else { &[] };
        match self {
            Self::Aac(..) => (AAC_ADTS, language.to_vec()),
            Self::Plain(stream_type) => (stream_type, language.to_vec()),
            Self::Opus(channels) => (0x06, [&[5, 4][..], b"Opus", &[0x7f, 2, 0x80, channels], language].concat()),
        }
    }

    /// A sample as a transport stream has it.
    pub(super) fn unit(self, sample: &[u8]) -> Vec<u8> {
        match self {
            // Lengths have 13 bits there.
            Self::Aac(..) if sample.len() > 8000 => Vec::new(),
            Self::Aac(profile, rate, channels) => {
                [&sound::adts(profile, rate, channels, sample.len())[..], sample].concat()
            }
            Self::Plain(_) => sample.to_vec(),
            Self::Opus(_) => {
                let mut out = vec![0x7f, 0xe0];
                out.resize(2 + sample.len() / 255, 0xff);
                out.push((sample.len() % 255) as u8);
                out.extend_from_slice(sample);
                out
            }
        }
    }
}

/// What `esds` says (14496-1 7.2.6): the object type, and the decoder's configuration.
fn elementary(esds: &[u8]) -> Option<(u8, Option<&[u8]>)> {
    let mut fields = Fields(esds);
    fields.version()?;
    let mut fields = Fields(descriptor(&mut fields, 3)?);
    fields.u16()?;
    let flags = fields.u8()?;
    if flags & 0x80 != 0 {
        fields.u16()?;
    }
    if flags & 0x40 != 0 {
        let length = fields.u8()?.into();
        fields.bytes(length)?;
    }
    if flags & 0x20 != 0 {
        fields.u16()?;
    }
    let mut fields = Fields(descriptor(&mut fields, 4)?);
    let object = fields.u8()?;
    // Stream type, buffer and bit rates.
    fields.bytes(12)?;
    Some((object, descriptor(&mut fields, 5)))
}

/// The body of the next descriptor, if it has this tag. Lengths have up to four bytes of seven bits.
fn descriptor<'a>(fields: &mut Fields<'a>, tag: u8) -> Option<&'a [u8]> {
    if fields.u8()? != tag {
        return None;
    }
    let mut length = 0;
    for _ in 0..4 {
        let byte = fields.u8()?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    fields.bytes(length)
}
