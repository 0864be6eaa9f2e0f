//! Odd segments: sound in its other forms, and tracks beside picture and sound. Each gives a right ladder or a clear error.

use std::path::Path;
use std::time::Duration;

use crate::common::{audio_packets, clip, clip_with_sound, decoded, framemd5, shown, small, streams};
use crate::mangle::{Track, add_track, pes};
use crate::transcode;
use headframe_codec::{Class, Container, EngineError, Ladder, Limits, RenditionOut, SegmentOut};

const SMALL: &str = "160x90";

fn try_make(source: &[u8], container: Container) -> Result<SegmentOut, EngineError> {
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    let mut rendition = small("a", 160, 90);
    rendition.container = container;
    transcode(&Ladder::new(vec![rendition]).unwrap(), source, &[], &limits)
}

/// Makes a rendition with all pictures in their times.
fn made(source: &[u8]) -> RenditionOut {
    let out = try_make(source, Container::Mpegts).unwrap();
    let rung = out.renditions.into_iter().next().unwrap();
    let times = shown(source);
    assert_eq!((shown(&rung.bytes), decoded(&rung.bytes) as usize), (times.clone(), times.len()));
    assert_eq!(out.source.damaged, 0, "{:?}", out.source);
    rung
}

/// As a player reads a rendition in CMAF.
fn made_in_cmaf(source: &[u8]) -> Vec<u8> {
    let rung = try_make(source, Container::Cmaf).unwrap().renditions.remove(0);
    [rung.init.unwrap(), rung.bytes].concat()
}

// Forms of AAC.

const FORM: &str = "codec_name,profile,sample_rate,channels";

/// Samples and their times, as ffmpeg decodes them.
fn heard(bytes: &[u8]) -> Vec<(i64, String)> {
    let frames = framemd5(bytes, "-map 0:a -c:a pcm_f32le");
    assert!(frames.len() > 9, "{frames:?}");
    frames
}

fn sound(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora");
    clip_with_sound(&folder.join(name), if name.ends_with(".loas") { "loas" } else { "aac" })
}

/// SBR, and parametric stereo, that only the coded sound tells of.
#[test]
fn he_aac_in_adts() {
    for (name, form) in [("he-aac.adts", "aac,HE-AAC,48000,2"), ("he-aac-v2.adts", "aac,HE-AACv2,48000,2")] {
        let source = sound(name);
        assert_eq!(streams(&source, "a", FORM), [form]);
        let rung = made(&source);
        assert_eq!(streams(&rung.bytes, "a", FORM), [form]);
        assert_eq!(audio_packets(&rung.bytes), audio_packets(&source));
        // The header names the core.
        assert!(rung.codecs.ends_with(",mp4a.40.2"), "{}", rung.codecs);
        assert_eq!(heard(&made_in_cmaf(&source)), heard(&source), "{name}");
    }
}

/// Signalled by the configuration, or not.
#[test]
fn he_aac_in_latm() {
    for (name, profile) in
        [("he-aac.loas", "HE-AAC"), ("he-aac-implicit.loas", "HE-AAC"), ("he-aac-v2.loas", "HE-AACv2")]
    {
        let source = sound(name);
        assert_eq!(streams(&source, "a", FORM), [format!("aac_latm,{profile},48000,2")]);
        let rung = made(&source);
        assert_eq!(streams(&rung.bytes, "a", FORM), [format!("aac,{profile},48000,2")], "{name}");
        assert_eq!(heard(&rung.bytes), heard(&source), "{name}");
        assert_eq!(heard(&made_in_cmaf(&source)), heard(&source), "{name}");
    }
}

#[test]
fn aac_in_latm() {
    let source = clip(SMALL, "30", 0.5, "-mpegts_flags +latm");
    assert_eq!(streams(&source, "a", FORM), ["aac_latm,LC,48000,1"]);
    let rung = made(&source);
    assert_eq!(streams(&rung.bytes, "a", FORM), ["aac,LC,48000,1"]);
    let times = |bytes: &[u8]| audio_packets(bytes).into_iter().map(|(time, _)| time).collect::<Vec<_>>();
    assert_eq!((times(&rung.bytes), heard(&rung.bytes)), (times(&source), heard(&source)));
}

/// Four channels have no number in ADTS: decoded, mixed and coded again.
#[test]
fn latm_that_adts_cannot_say() {
    let source = clip(SMALL, "30", 0.5, "-af aformat=channel_layouts=quad -mpegts_flags +latm");
    assert_eq!(streams(&source, "a", FORM), ["aac_latm,LC,48000,4"]);
    let rung = made(&source);
    assert_eq!(streams(&rung.bytes, "a", FORM), ["aac,LC,48000,2"]);
    let (have, want) = (crate::common::mean_volume(&rung.bytes), crate::common::mean_volume(&source));
    assert!((have - want).abs() < 4.0, "{have} dB of {want}");
    assert_eq!(audio_packets(&rung.bytes)[0].0, audio_packets(&source)[0].0);
}

#[test]
fn several_sound_tracks() {
    let options = "-map 0:v -map 1:a -map 1:a -map 1:a -c:a:0 aac -c:a:1 mp2 -c:a:2 ac3 -metadata:s:a:0 language=eng \
                   -metadata:s:a:1 language=deu -metadata:s:a:2 language=fra";
    let rung = made(&clip(SMALL, "30", 0.5, options));
    assert_eq!(streams(&rung.bytes, "a", "codec_name,TAG:language"), ["aac,eng", "aac,deu", "aac,fra"]);
}

/// Eight tracks are kept, each with its own sound; all further ones are left out.
#[test]
fn more_sound_tracks_than_are_kept() {
    let maps = " -map 1:a".repeat(9);
    let rates: String = (0..9).map(|i| format!(" -b:a:{i} {}k", 40 + 8 * i)).collect();
    let source = clip(SMALL, "30", 0.3, &format!("-map 0:v{maps}{rates}"));
    assert_eq!(streams(&source, "a", "index").len(), 9);
    let rung = made(&source);
    assert_eq!(streams(&rung.bytes, "a", "index").len(), 8);
    for i in 0..8 {
        let of = format!("-map 0:a:{i} -c:a pcm_f32le");
        assert_eq!(framemd5(&rung.bytes, &of), framemd5(&source, &of), "track {i}");
    }
}

/// DTS is left out beside AAC, and is an error where there is nothing else.
#[test]
fn sound_that_cannot_be_read() {
    let plain = clip(SMALL, "30", 0.5, "");
    let track = Track { stream_type: 0x82, pid: 0x110, descriptors: (&[], &[]), pes: vec![pes(0xbd, 9000, &[7; 300])] };
    let beside = add_track(&plain, &track);
    assert_eq!(made(&beside), made(&plain));
    let error = try_make(&add_track(&clip(SMALL, "30", 0.5, "-an"), &track), Container::Mpegts).unwrap_err();
    assert_eq!((error.class(), &error), (Class::Input, &EngineError::UnsupportedAudio { stream_type: 0x82 }));
}

// Other tracks: the ladder is the same as without them.

/// Adds a track, which ffprobe knows by `codec`; what was made of the segment without it is made of it.
fn left_out(track: &Track<'_>, codec: &str) {
    let plain = clip(SMALL, "30", 0.5, "-bf 2");
    let source = add_track(&plain, track);
    let names = streams(&source, "", "codec_name");
    assert!(names.iter().any(|name| name == codec), "{codec}: {names:?}");
    assert_eq!(made(&source), made(&plain), "{codec}");
    // Sound with it is still sound only.
    let radio = add_track(&clip(SMALL, "30", 0.5, "-vn"), track);
    assert_eq!(try_make(&radio, Container::Mpegts).unwrap_err(), EngineError::AudioOnly, "{codec}");
}

/// Private data of one stream type, told apart by descriptors.
fn private<'a>(descriptors: &'a [u8], stream: u8, data: &[u8]) -> Track<'a> {
    let pes = (0..4).map(|i| pes(stream, 3000 * i, data)).collect();
    Track { stream_type: 0x06, pid: 0x110, descriptors: (descriptors, &[]), pes }
}

/// Timed metadata of HLS, with the descriptors that it asks for at the track and at the programme.
#[test]
fn id3() {
    let of_track = [&[0x26, 13, 0xff, 0xff][..], b"ID3 \xffID3 \0\x0f"].concat();
    let of_programme = [&[0x25, 15, 0xff, 0xff][..], b"ID3 \xffID3 \0\x1f\0\x01"].concat();
    // A tag with one text, long enough for several packets.
    let text = [b"\x03ad\0".as_slice(), &[b'x'; 400]].concat();
    let frame = [b"TXXX\0\0".as_slice(), &[(text.len() >> 7) as u8, text.len() as u8 & 0x7f, 0, 0], &text].concat();
    let tag = [b"ID3\x04\0\0\0\0".as_slice(), &[(frame.len() >> 7) as u8, frame.len() as u8 & 0x7f], &frame].concat();
    let pes = [0, 15_000, 36_000].map(|pts| pes(0xbd, pts, &tag)).to_vec();
    let track = Track { stream_type: 0x15, pid: 0x102, descriptors: (&of_track, &of_programme), pes };
    left_out(&track, "timed_id3");
}

/// SMPTE 336, from drones and cameras.
#[test]
fn klv() {
    let data = [&[0x06, 0x0e, 0x2b, 0x34, 2, 1, 1, 1, 14, 1, 1, 2, 1, 1, 0, 0, 4][..], &[9; 4]].concat();
    left_out(&private(&[5, 4, b'K', b'L', b'V', b'A'], 0xfc, &data), "klv");
}

#[test]
fn teletext() {
    let line = [&[2, 44, 0xe7, 0xe4][..], &[0x55; 42]].concat();
    left_out(&private(b"\x56\x05deu\x09\0", 0xbd, &[&[0x10][..], &line.repeat(8)].concat()), "dvb_teletext");
}

#[test]
fn dvb_subtitles() {
    // A page without regions, and the end of its set.
    let page = [0x20, 0, 0x0f, 0x10, 0, 1, 0, 2, 10, 0x08, 0x0f, 0x80, 0, 1, 0, 0, 0xff];
    left_out(&private(b"\x59\x08deu\x10\0\x01\0\x01", 0xbd, &page), "dvb_subtitle");
}

/// Nothing says what it is, and it looks like pictures.
#[test]
fn private_data_that_looks_like_video() {
    let unit = [&[0, 0, 0, 1, 0x67, 0x42, 0, 0x1e, 0, 0, 0, 1, 0x65][..], &[0x5a; 500]].concat();
    left_out(&private(&[], 0xe0, &unit), "bin_data");
}
