//! The RFC 6381 codecs parameter of a rendition, from what was really written.

use crate::ladder::Codec;
use crate::syntax::{av1, h264, hevc};
use crate::ts::{AAC_ADTS, AudioTrack};

/// Of a rendition whose first picture is `first`.
pub(super) fn codecs(codec: Codec, first: &[u8], audio: &[AudioTrack]) -> String {
    let video = match codec {
        Codec::H264 => h264::codecs(first),
        Codec::Hevc => hevc::codecs(first),
        Codec::Av1 => av1::codecs(first),
    };
    match audio.first() {
        Some(track) => format!("{video},mp4a.40.{}", object_type(track)),
        None => video,
    }
}

/// AAC's object type from its first ADTS header; 2 (low complexity) where there is none.
fn object_type(track: &AudioTrack) -> u8 {
    match track.units.first().map(|unit| &unit.data[..]) {
        Some([0xff, second, third, ..]) if track.stream_type == AAC_ADTS && second & 0xf6 == 0xf0 => (third >> 6) + 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ts::Unit;

    #[test]
    fn sound_comes_behind_the_pictures() {
        let unit = [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1f, 0xac];
        let unit_of = |data: &[u8]| Unit { data: data.to_vec(), ..Unit::default() };
        let track = |data: &[u8]| AudioTrack { stream_type: AAC_ADTS, descriptors: vec![], units: vec![unit_of(data)] };
        assert_eq!(codecs(Codec::H264, &unit, &[]), "avc1.64001F");
        assert_eq!(codecs(Codec::H264, &unit, &[track(&[0xff, 0xf1, 0x50])]), "avc1.64001F,mp4a.40.2");
        assert_eq!(codecs(Codec::H264, &unit, &[track(&[0xff, 0xf1, 0x10])]), "avc1.64001F,mp4a.40.1");
        assert_eq!(codecs(Codec::Av1, &[], &[track(&[])]), "av01,mp4a.40.2");
    }
}
