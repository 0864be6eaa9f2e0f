#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;

use super::*;
use crate::cmaf::{Muxer, Shape};
use crate::engine::sound;
use crate::error::Class;
use crate::ladder::Codec;
use crate::ts::{VideoKind, VideoUnit, nearest};

const SETS: [&[u8]; 2] = [&[0x67, 0x64, 0, 0x1f, 0xac, 0x80], &[0x68, 0xee, 0x3c, 0x80]];

/// Access units in Annex B form.
fn unit(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat()).collect()
}

/// What our own muxer makes of pictures and sound from a time on, in fragments of ten pictures.
fn written(first: i64, with_audio: bool) -> (Vec<u8>, Vec<VideoUnit>, Vec<AudioTrack>) {
    let picture = |i: i64| {
        let slice = [vec![if i == 0 { 0x65 } else { 0x41 }], vec![0x80 | i as u8; 1 + 70 * (i as usize % 3)]].concat();
        let sets = if i == 0 { &SETS[..] } else { &[] };
        let nals: Vec<&[u8]> = [&[9, 0xf0][..]].into_iter().chain(sets.iter().copied()).chain([&slice[..]]).collect();
        VideoUnit { pts: first + i * 3000, key: i == 0, data: unit(&nals) }
    };
    let video: Vec<VideoUnit> = (0..30).map(picture).collect();
    let frames = (0..40i64).map(|i| {
        let sound = vec![i as u8; 100 + i as usize];
        let data = [&sound::adts(1, 3, 2, sound.len())[..], &sound].concat();
        Unit { pts: Some((first + i * 1920).rem_euclid(WRAP)), dts: None, data }
    });
    let track = AudioTrack {
        stream_type: crate::ts::AAC_ADTS,
        descriptors: vec![10, 4, b'e', b'n', b'g', 0],
        units: frames.collect(),
    };
    let audio = if with_audio { vec![track] } else { vec![] };
    let shape = Shape { width: 160, height: 90, aspect: (1, 1) };
    let mut muxer = Muxer::new(Codec::H264, &video[0], &audio, shape).unwrap();
    let mut bytes = muxer.init().unwrap();
    for (i, units) in video.chunks(10).enumerate() {
        bytes.extend(muxer.fragment(units, units[9].pts + 3000, i == 2).unwrap());
    }
    (bytes, video, audio)
}

#[test]
fn what_our_own_muxer_writes_is_read_back() {
    for (first, with_audio) in [(0, true), (900_000, false), (WRAP - 45_000, true)] {
        let (bytes, video, audio) = written(first, with_audio);
        assert!(is(&bytes));
        let media = demux(&bytes).unwrap();
        assert_eq!((media.kind, media.lost, media.orientation), (VideoKind::H264, 0, Orientation::UPRIGHT));
        assert_eq!(media.video.len(), video.len());
        for (have, want) in media.video.iter().zip(&video) {
            assert_eq!((&have.data, nearest(have.pts.unwrap(), first)), (&want.data, want.pts));
        }
        assert_eq!(media.audio, audio);
    }
}

#[test]
fn the_initialisation_segment_may_come_again_but_not_another() {
    let (bytes, video, _) = written(0, false);
    assert_eq!(demux(&[&bytes[..], &bytes].concat()).unwrap().video.len(), 2 * video.len());
    let (other, ..) = written(0, true);
    assert_eq!(demux(&[bytes, other].concat()).unwrap_err().class(), Class::Input);
}

#[test]
fn half_a_segment_is_read_as_far_as_it_goes() {
    let (bytes, video, _) = written(1000, true);
    // In the data of the second fragment.
    let data: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"mdat")).collect();
    let media = demux(&bytes[..data[1] + 500]).unwrap();
    assert!((10..20).contains(&media.video.len()) && media.lost > 0, "{} and {}", media.video.len(), media.lost);
    assert_eq!(media.video[9].data, video[9].data);
}

#[test]
fn what_is_missing_is_said() {
    let (bytes, ..) = written(0, false);
    let at = |kind: &[u8; 4]| bytes.windows(4).position(|four| four == kind).unwrap() - 4;
    let said = |bytes: &[u8]| match demux(bytes) {
        Err(EngineError::Mp4 { what }) => what,
        other => panic!("{other:?}"),
    };
    assert!(said(&bytes[at(b"styp")..]).contains("(moov) is missing"), "no initialisation segment");
    assert!(said(&bytes[..at(b"styp")]).contains("(moof)"), "nothing else");
    assert!(said(&bytes[..at(b"moov") + 90]).contains("cut off"));
    assert_eq!(demux(&[]).unwrap_err(), EngineError::Empty);
    // A name is as long as another.
    let renamed = |from: &[u8; 4], to: &[u8; 4]| {
        let mut bytes = bytes.clone();
        let places: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..][..4] == *from).collect();
        places.into_iter().for_each(|at| bytes[at..at + 4].copy_from_slice(to));
        bytes
    };
    assert_eq!(demux(&renamed(b"avc1", b"encv")).unwrap_err(), EngineError::Scrambled);
    assert_eq!(demux(&renamed(b"avc1", b"vvc1")).unwrap_err(), EngineError::NoVideo { found: "vvc1".to_owned() });
    assert_eq!(demux(&renamed(b"vide", b"soun")).unwrap_err(), EngineError::AudioOnly);
    assert!(said(&renamed(b"avcC", b"free")).contains("(avcC)"));
    assert!(said(&renamed(b"tfhd", b"free")).contains("(tfhd)"));
}

#[test]
fn a_table_longer_than_the_file_ends_somewhere() {
    let (mut bytes, ..) = written(0, false);
    // No fields for each sample, and more of them than there can be.
    let at = bytes.windows(4).position(|four| four == b"trun").unwrap() + 4;
    bytes[at + 1..at + 8].copy_from_slice(&[0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    let error = demux(&bytes).unwrap_err();
    assert!(error.to_string().contains("too many samples"), "{error}");
}

#[test]
fn samples_that_lie_on_each_other_do_not_multiply() {
    let (bytes, ..) = written(0, false);
    let place = |kind: &[u8; 4]| bytes.windows(4).position(|four| four == kind).unwrap() - 4;
    let word = |at: usize| u32::from_be_bytes(*bytes[at..].first_chunk().unwrap());
    // The run of samples of the first fragment comes twenty times more, each time for the same bytes.
    let (moof, traf, trun) = (place(b"moof"), place(b"traf"), place(b"trun"));
    let more = 20 * word(trun);
    let mut run = bytes[trun..][..word(trun) as usize].to_vec();
    run[16..20].copy_from_slice(&(word(trun + 16) + more).to_be_bytes());
    let mut crowded = [&bytes[..trun], &run.repeat(21), &bytes[trun + run.len()..]].concat();
    for at in [moof, traf] {
        crowded[at..at + 4].copy_from_slice(&(word(at) + more).to_be_bytes());
    }
    let error = demux(&crowded).unwrap_err();
    assert!(error.to_string().contains("more bytes than the file"), "{error}");
}

#[test]
fn matrices_times_and_edit_lists() {
    let (mut bytes, ..) = written(0, false);
    let tkhd = bytes.windows(4).position(|four| four == b"tkhd").unwrap() + 4;
    // Right becomes down, down becomes left.
    for (at, value) in [(0, 0i32), (1, 1 << 16), (3, -(1 << 16)), (4, 0)] {
        bytes[tkhd + 52 + 4 * at..][..4].copy_from_slice(&value.to_be_bytes());
    }
    let clockwise = Orientation { transpose: true, mirror_x: true, mirror_y: false };
    assert_eq!(demux(&bytes).unwrap().orientation, clockwise);
    let track = |scale, edit| Track {
        scale,
        edit,
        ..movie::tracks(atoms::find(&bytes, b"moov").unwrap()).into_iter().next().unwrap()
    };
    let none = movie::Edit::default();
    assert_eq!(ticks(&track(30_000, none), 1001), 3003);
    assert_eq!(ticks(&track(48_000, none), -1024), WRAP - 1920);
    assert_eq!(ticks(&track(7, none), 1), 12_857, "to the nearest");
    let late = movie::Edit { from: 1024, delay: 500, scale: 1000 };
    assert_eq!(ticks(&track(48_000, late), 1024), 45_000);
    // Times of 64 bits, of which the upper half says this.
    let places: Vec<usize> = (4..bytes.len()).filter(|at| bytes[at - 4..].starts_with(b"tfdt")).collect();
    for at in &places {
        bytes[at + 4..at + 8].copy_from_slice(&3u32.to_be_bytes());
    }
    assert_eq!(bytes[places[0]], 1, "64 bits");
    let far = demux(&bytes).unwrap().video[0].pts.unwrap();
    assert_eq!(far, 1 << 32);
}

#[test]
fn transport_streams_are_something_else() {
    assert!(!is(&[0x47; 188]) && !is(b"\x47\0\0\x18ftypisom") && !is(b"\0\0\0\x18mdat") && !is(b"\0\0"));
    assert!(is(b"\0\0\0\x18styp"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic_or_grow(seed in prop::collection::vec(any::<(u16, u8)>(), 0..60), cut in 0usize..12_000) {
        let (mut bytes, ..) = written(7, true);
        bytes.truncate(cut.max(600));
        // Most of what there is to be wrong is in the tables in front.
        for (at, value) in seed {
            let at = usize::from(at) % bytes.len().min(2000);
            bytes[at] = value;
        }
        if let Ok(media) = demux(&bytes) {
            let total: usize = media.video.iter().map(|unit| unit.data.len()).sum();
            // A length of one byte becomes a start code of four.
            prop_assert!(total <= 4 * bytes.len() + 10 * media.video.len());
        }
    }
}
