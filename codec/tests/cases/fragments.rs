//! Segments in fragmented MP4: the same ladder as from a transport stream with the same pictures, for every codec that cards decode.

use std::time::Duration;

use crate::common::{clip, fragmented, framemd5, mean_volume, shown, small, streams, video_entry};
use crate::transcode;
use headframe_codec::{Class, Codec, Container, EngineError, Ladder, Limits, Rendition, SegmentOut, engine};

fn try_make(source: &[u8]) -> Result<SegmentOut, EngineError> {
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    transcode(&Ladder::new(vec![small("a", 128, 72), small("b", 160, 90)]).unwrap(), source, &[], &limits)
}

fn refused(source: &[u8]) -> EngineError {
    let error = try_make(source).unwrap_err();
    assert_eq!(error.class(), Class::Input, "{error}");
    error
}

/// Time and hash of every picture of every rendition.
fn pictures(out: &SegmentOut) -> Vec<Vec<(i64, String)>> {
    let of = |bytes: &[u8]| framemd5(bytes, "-map 0:v -c:v rawvideo -pix_fmt yuv420p");
    out.renditions.iter().map(|made| of(&made.bytes)).collect()
}

/// A ladder of pictures that are alike must be alike; nothing was damaged, and times go on evenly from 0.
fn like(have: &SegmentOut, want: &SegmentOut, count: i64, what: &str) {
    let (have_source, want_source) = (&have.source, &want.source);
    assert_eq!((have_source.frames, have_source.damaged), (count as u32, 0), "{what}: {have_source:?}");
    assert_eq!((have_source.width, have_source.height), (want_source.width, want_source.height), "{what}");
    assert_eq!(shown(&have.renditions[0].bytes), (0..count).map(|i| i * 3000).collect::<Vec<_>>(), "{what}");
    assert!(pictures(have) == pictures(want), "{what}: other pictures");
}

#[test]
fn h264_and_hevc_come_out_as_from_a_transport_stream() {
    for coding in [
        "-c:v libx264 -pix_fmt yuv420p -bf 0",
        "-c:v libx264 -pix_fmt yuv420p10le -bf 0",
        "-c:v libx265 -x265-params log-level=none:bframes=0 -pix_fmt yuv420p",
        "-c:v libx265 -x265-params log-level=none:bframes=0 -pix_fmt yuv420p10le",
        // Parameter sets in front of key pictures, not in the description.
        "-c:v libx264 -pix_fmt yuv420p -bf 0 -tag:v avc3",
        "-c:v libx265 -x265-params log-level=none:bframes=0 -pix_fmt yuv420p -tag:v hvc1",
    ] {
        let options = format!("-an {coding}");
        let have = try_make(&fragmented("192x108", "30", 0.5, &options)).unwrap();
        let plain = options.split(" -tag").next().unwrap();
        let want = try_make(&clip("192x108", "30", 0.5, plain)).unwrap();
        like(&have, &want, 15, coding);
        assert_eq!(have.renditions, want.renditions, "{coding}");
    }
}

/// The pictures that FFmpeg's own decoder makes of a file, without a loss in a transport stream.
fn lossless(file: &[u8], format: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from.mp4"), folder.path().join("to.ts"));
    std::fs::write(&from, file).unwrap();
    let mut command = std::process::Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-i"]).arg(&from).args(["-an", "-pix_fmt", format]);
    command.args("-c:v libx265 -x265-params log-level=none:lossless=1:bframes=0 -color_range tv".split(' '));
    command.args("-muxdelay 0 -muxpreload 0 -f mpegts".split(' ')).arg(&to);
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(to).unwrap()
}

#[test]
fn av1_and_vp9_are_decoded_to_the_sample() {
    // AV1 with pictures that refer to later ones; VP9 with superframes.
    let av1 = "-c:v libaom-av1 -cpu-used 8 -row-mt 0 -b:v 400k -lag-in-frames 12 -auto-alt-ref 1";
    let svt = "-c:v libsvtav1 -preset 12 -crf 40";
    let vp9 = "-c:v libvpx-vp9 -deadline good -cpu-used 8 -b:v 400k -lag-in-frames 12 -auto-alt-ref 1";
    for (coding, format) in
        [(av1, "yuv420p"), (av1, "yuv420p10le"), (svt, "yuv420p"), (vp9, "yuv420p"), (vp9, "yuv420p10le")]
    {
        let source = fragmented("192x108", "30", 0.8, &format!("-an {coding} -pix_fmt {format} -color_range tv"));
        let have = try_make(&source).unwrap();
        let want = try_make(&lossless(&source, format)).unwrap();
        like(&have, &want, 24, &format!("{coding} {format}"));
    }
}

#[test]
fn other_formats_of_av1_and_vp9() {
    let av1 = "-c:v libaom-av1 -cpu-used 8 -row-mt 0 -b:v 400k";
    for (coding, format) in [(av1, "yuv444p"), (av1, "gray"), ("-c:v libvpx-vp9 -cpu-used 8", "yuv444p")] {
        let source = fragmented("192x108", "30", 0.2, &format!("-an {coding} -pix_fmt {format}"));
        assert_eq!(try_make(&source).unwrap().source.frames, 6, "{coding} {format}");
    }
    let error = refused(&fragmented("192x108", "30", 0.2, "-an -c:v libvpx-vp9 -cpu-used 8 -pix_fmt yuv420p12le"));
    assert_eq!(error, EngineError::PixelFormat { format: "yuv420p12".to_owned() });
}

/// Some sound can be described only when it was seen.
const DELAYED: &str = "-movflags frag_keyframe+default_base_moof+delay_moov";

#[test]
fn every_sound_that_transport_streams_have() {
    let plain = try_make(&clip("160x90", "30", 1.0, "-c:a aac -ac 2")).unwrap();
    let loud = mean_volume(&plain.renditions[0].bytes);
    for sound in ["aac -ac 2", "libopus", "ac3", "eac3", "libmp3lame"] {
        let out = try_make(&fragmented("160x90", "30", 1.0, &format!("-c:a {sound} -strict -2 {DELAYED}"))).unwrap();
        assert!(out.source.audio, "{sound}");
        for made in &out.renditions {
            assert_eq!(streams(&made.bytes, "a", "codec_name,profile"), ["aac,LC"], "{sound}");
        }
        let have = mean_volume(&out.renditions[0].bytes);
        assert!((have - loud).abs() < 3.5, "{sound}: {have} dB, not {loud}");
    }
    let error = refused(&fragmented("160x90", "30", 0.2, "-c:a alac"));
    assert!(matches!(&error, EngineError::Mp4 { what } if what.contains("alac")), "{error}");
}

#[test]
fn pictures_out_of_order_and_an_edit_list() {
    // The first picture is decoded before it is shown; an edit list takes that off, or offsets below zero do.
    for flags in ["+frag_keyframe+default_base_moof+delay_moov", "+frag_keyframe+empty_moov+negative_cts_offsets"] {
        let source = fragmented("160x90", "30", 0.5, &format!("-an -c:v libx264 -bf 3 -g 10 -movflags {flags}"));
        let out = try_make(&source).unwrap();
        assert_eq!(out.source.damaged, 0, "{flags}");
        assert_eq!(shown(&out.renditions[0].bytes), (0..15).map(|i| i * 3000).collect::<Vec<_>>(), "{flags}");
    }
    // Data that is found from the file's beginning on.
    let source = fragmented("160x90", "30", 0.5, "-an -movflags frag_keyframe+empty_moov");
    assert_eq!(try_make(&source).unwrap().source.frames, 15);
}

/// The first track has this matrix.
fn turned(mut source: Vec<u8>, matrix: [i32; 4]) -> Vec<u8> {
    let tkhd = source.windows(4).position(|four| four == b"tkhd").unwrap() + 4;
    for (at, value) in [0, 1, 3, 4].into_iter().zip(matrix) {
        source[tkhd + 40 + 4 * at..][..4].copy_from_slice(&(value << 16).to_be_bytes());
    }
    source
}

#[test]
fn a_matrix_turns_pictures() {
    for (matrix, turn, size) in [
        ([0, 1, -1, 0], "transpose=clock", (90, 160)),
        ([-1, 0, 0, -1], "hflip,vflip", (160, 90)),
        ([0, -1, 1, 0], "transpose=cclock", (90, 160)),
    ] {
        // Turned by ffmpeg before the encoder, or by us behind the decoder: the same where nothing is scaled.
        let make = |source: &[u8]| {
            let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
            engine::transcode(&Ladder::new(vec![small("a", size.0, size.1)]).unwrap(), source, &[], &limits).unwrap()
        };
        let want = make(&fragmented("160x90", "30", 0.2, &format!("-an -qp 0 -vf format=yuv420p,{turn}")));
        let have = make(&turned(fragmented("160x90", "30", 0.2, "-an -qp 0"), matrix));
        assert_eq!(have.renditions, want.renditions, "{turn}");
        // Whichever engine it is, and a codec that has no words for it.
        let source = turned(fragmented("160x90", "30", 0.2, "-an -c:v libvpx-vp9 -cpu-used 8"), matrix);
        let out = try_make(&source).unwrap();
        assert_eq!((out.source.width, out.source.height, out.source.frames), (size.0, size.1, 6), "{turn}");
    }
}

#[test]
fn what_we_make_in_cmaf_can_be_a_source() {
    let source = clip("192x108", "30", 1.0, "");
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    for codec in Codec::ALL {
        let rung = Rendition { codec, container: Container::Cmaf, ..small("a", 160, 90) };
        let made = engine::transcode(&Ladder::new(vec![rung]).unwrap(), &source, &[], &limits).unwrap();
        let made = &made.renditions[0];
        let again = try_make(&[made.init.as_ref().unwrap(), &made.bytes[..]].concat()).unwrap();
        assert_eq!((again.source.frames, again.source.damaged, again.source.audio), (30, 0, true), "{codec:?}");
        assert_eq!(shown(&again.renditions[0].bytes), shown(&source), "{codec:?}");
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let plain = fragmented("160x90", "30", 0.2, "-an -movflags faststart -frag_duration 0");
    assert!(matches!(&refused(&plain), EngineError::Mp4 { what } if what.contains("moof")), "not in fragments");
    let source = fragmented("160x90", "30", 0.5, "-an");
    let media = source.windows(4).position(|four| four == b"moof").unwrap() - 4;
    assert!(matches!(&refused(&source[media..]), EngineError::Mp4 { what } if what.contains("moov")));
    assert_eq!(refused(&fragmented("160x90", "30", 0.3, "-vn")), EngineError::AudioOnly);
    let old = fragmented("160x90", "30", 0.2, "-an -c:v mpeg4");
    assert_eq!(refused(&old), EngineError::NoVideo { found: "mp4v".to_owned() });
}

#[test]
fn cut_off_anywhere() {
    for coding in ["libx264", "libx265 -x265-params log-level=none", "libvpx-vp9 -cpu-used 8", "libsvtav1 -preset 12"] {
        let source = fragmented("160x90", "30", 1.0, &format!("-an -c:v {coding} -pix_fmt yuv420p"));
        let media = source.windows(4).position(|four| four == b"moof").unwrap();
        for part in [3, 5, 7] {
            let end = media + (source.len() - media) * part / 8;
            let out = try_make(&source[..end]).unwrap();
            assert!((1..30).contains(&out.source.frames), "{coding}: {:?}", out.source);
            assert_eq!(video_entry(&out.renditions[0].bytes, "width,height"), "128,72");
        }
    }
}

#[test]
fn damage_gives_a_ladder_or_an_error_of_the_input() {
    let mut chance = 7u32;
    let mut next = move || {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance >> 8) as usize
    };
    for coding in ["libx264", "libx265 -x265-params log-level=none", "libvpx-vp9 -cpu-used 8", "libsvtav1 -preset 12"] {
        let source = fragmented("160x90", "30", 0.5, &format!("-c:v {coding} -pix_fmt yuv420p"));
        for _ in 0..12 {
            let mut torn = source.clone();
            for _ in 0..4 {
                let at = next() % torn.len();
                torn[at] = next() as u8;
            }
            if let Err(error) = try_make(&torn) {
                assert_eq!(error.class(), Class::Input, "{coding}: {error}");
            }
        }
    }
}
