//! MPEG transport streams (ISO/IEC 13818-1), only what a segment needs, from bytes and to bytes.
//!
//! Written in safe Rust because it is the first thing that reads a stranger's bytes: the C decoder behind it sees
//! elementary streams only.

mod demux;
mod mux;
mod packets;
mod tables;

pub(crate) use demux::MAX_AUDIO;
pub use demux::{AudioTrack, Media, Unit, demux};
pub use mux::{Muxer, VideoUnit, mux};
pub(crate) use tables::described;
pub use tables::{AudioCoding, VideoKind};

pub use crate::segment::WRAP;

/// Bytes of a transport packet.
pub const PACKET: usize = 188;
/// Stream types of the programme map (13818-1 table 2-34).
pub const H264: u8 = 0x1b;
/// HEVC.
pub const HEVC: u8 = 0x24;
/// AAC in ADTS frames.
pub const AAC_ADTS: u8 = 0x0f;
/// AAC in LATM.
pub const AAC_LATM: u8 = 0x11;

/// `raw` (any representative modulo 2^33) as the value nearest to `reference`.
pub fn nearest(raw: i64, reference: i64) -> i64 {
    let ahead = (raw - reference).rem_euclid(WRAP);
    reference + if ahead >= WRAP / 2 { ahead - WRAP } else { ahead }
}

/// CRC-32 of programme tables (13818-1 annex A).
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = (crc << 1) ^ if crc & 0x8000_0000 == 0 { 0 } else { 0x04c1_1db7 };
        }
    }
    crc
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(first: i64, with_audio: bool) -> (Vec<u8>, Vec<VideoUnit>, Vec<AudioTrack>) {
        let video: Vec<VideoUnit> = (0..30i64)
            .map(|i| VideoUnit {
                pts: first + i * 3000,
                key: i % 15 == 0,
                data: [vec![0, 0, 0, 1, 9, 0xf0], vec![i as u8; 1 + 700 * (i as usize % 3)]].concat(),
            })
            .collect();
        let units = (0..20i64).map(|i| Unit {
            pts: Some((first + i * 4000).rem_euclid(WRAP)),
            dts: None,
            data: [vec![0xff, 0xf1, 0x50, 0x80], vec![i as u8; 171 + i as usize]].concat(),
        });
        let track =
            AudioTrack { stream_type: AAC_ADTS, descriptors: vec![10, 4, b'e', b'n', b'g', 0], units: units.collect() };
        let audio = if with_audio { vec![track] } else { vec![] };
        (mux(&video, &audio, H264), video, audio)
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (first, with_audio) in [(0, true), (900_000, false), (WRAP - 45_000, true)] {
            let (bytes, video, audio) = sample(first, with_audio);
            assert_eq!(bytes.len() % PACKET, 0);
            let media = demux(&bytes).unwrap();
            assert_eq!((media.kind, media.lost), (VideoKind::H264, 0));
            assert_eq!(media.video.len(), video.len());
            for (have, want) in media.video.iter().zip(&video) {
                assert_eq!(have.data, want.data);
                assert_eq!(nearest(have.pts.unwrap(), first), want.pts);
            }
            assert_eq!(media.audio, audio);
        }
    }

    #[test]
    fn timestamps_wrap_to_the_nearest() {
        assert_eq!(nearest(5, WRAP - 5), WRAP + 5);
        assert_eq!(nearest(WRAP - 5, 5), -5);
        assert_eq!(nearest(100, 90), 100);
    }

    #[test]
    fn half_a_segment_is_read_as_far_as_it_goes() {
        let (bytes, video, _) = sample(1000, true);
        let media = demux(&bytes[..bytes.len() / 2 + 77]).unwrap();
        assert!(media.video.len() >= 14 && media.video.len() < video.len());
        assert_eq!(media.video[5].data, video[5].data);
    }

    #[test]
    fn a_lost_packet_is_noticed_and_junk_is_skipped() {
        let (mut bytes, video, _) = sample(1000, false);
        bytes.drain(PACKET * 20..PACKET * 21);
        assert_eq!(demux(&bytes).unwrap().lost, 1);
        bytes.splice(0..0, [0u8; 55]);
        bytes.splice(PACKET * 10 + 55..PACKET * 10 + 55, [0x47; 30]);
        let media = demux(&bytes).unwrap();
        assert!(media.video.len() >= video.len() - 2, "{}", media.video.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_panic_or_grow(seed in prop::collection::vec(any::<(u16, u8)>(), 0..200), cut in 0usize..40_000) {
            let (mut bytes, ..) = sample(7, true);
            bytes.truncate(cut.max(400));
            for (at, value) in seed {
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            if let Ok(media) = demux(&bytes) {
                let total: usize = media.video.iter().map(|u| u.data.len()).sum();
                prop_assert!(total <= bytes.len());
            }
        }
    }
}
