//! Ways to break a transport stream: packet by packet, time by time ([`packets`]), NAL unit by NAL unit.
#![allow(dead_code, reason = "each test binary uses its own part")]

mod packets;

use headframe_codec::ts::{self, VideoKind, VideoUnit};
#[allow(unused_imports, reason = "each test binary uses its own part")]
pub(crate) use packets::*;

/// Annex B bytes as NAL units without start codes.
pub(crate) fn split(data: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<usize> = (0..data.len().saturating_sub(2)).filter(|i| data[*i..*i + 3] == [0, 0, 1]).collect();
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    let nal = |(start, end): (&usize, usize)| {
        let nal = &data[start + 3..end];
        // The zero before the next start code belongs to that.
        let len = if end < data.len() && nal.last() == Some(&0) { nal.len() - 1 } else { nal.len() };
        nal[..len].to_vec()
    };
    starts.iter().zip(ends).map(nal).collect()
}

/// Takes a segment apart into NAL units, lets `change` at those of every access unit, and puts it together again.
pub(crate) fn edit_nals(bytes: &[u8], mut change: impl FnMut(usize, &mut Vec<Vec<u8>>)) -> Vec<u8> {
    let media = ts::demux(bytes).unwrap();
    let unit = |(i, unit): (usize, &ts::Unit)| {
        let mut nals = split(&unit.data);
        change(i, &mut nals);
        let data = nals.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect();
        VideoUnit { pts: unit.pts.unwrap(), key: i == 0, data }
    };
    let video: Vec<VideoUnit> = media.video.iter().enumerate().map(unit).collect();
    let kind = if media.kind == VideoKind::Hevc { ts::HEVC } else { ts::H264 };
    ts::mux(&video, &media.audio, kind)
}

/// The type of an H.264 NAL unit: 1 and 5 slices (5: IDR), 6 SEI, 7 SPS, 8 PPS, 9 access unit delimiter.
pub(crate) fn nal_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |first| first & 0x1f)
}

/// Every kind of damage that takes a segment apart into NAL units.
pub(crate) const NAL_KINDS: [(&str, Damage); 4] = [
    ("giant pictures", |source, _, random| {
        let sides = [1, 2, 120, 256, 257, 1000, 4095, 65_535, 1 << 24];
        let (width, height) = (sides[random.below(sides.len())], sides[random.below(sides.len())]);
        edit_nals(source, |_, nals| {
            for nal in nals.iter_mut().filter(|nal| nal_type(nal) == 7) {
                *nal = parameter_set(width, height);
            }
        })
    }),
    ("slices lost", |source, _, random| {
        edit_nals(source, |_, nals| nals.retain(|nal| !matches!(nal_type(nal), 1..=5) || random.below(3) != 0))
    }),
    ("NAL unit types", |source, _, random| {
        edit_nals(source, |_, nals| {
            for nal in nals.iter_mut().filter(|nal| !nal.is_empty()) {
                if random.below(4) == 0 {
                    nal[0] = random.byte();
                }
            }
        })
    }),
    ("inside NAL units", |source, _, random| {
        edit_nals(source, |_, nals| {
            for nal in nals.iter_mut().filter(|nal| nal.len() > 2) {
                for _ in 0..random.below(3) {
                    let at = 1 + random.below(nal.len() - 1);
                    nal[at] = random.byte();
                }
            }
        })
    }),
];
