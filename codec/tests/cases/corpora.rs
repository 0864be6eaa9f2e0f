//! Odd segments from the wild, each with what must come of it. `corpora/README.md` says where they are from. Counts, times
//! and formats were taken from ffprobe 5.1 (`-show_entries frame=best_effort_timestamp`, `packet=pts`, `stream=...`) and,
//! where that is misled too, from the PES headers.

use std::path::Path;
use std::time::Duration;

use crate::common::{audio_packets, decoded, shown, small, streams, video_entry, video_packets};
use crate::transcode;
use headframe_codec::{Class, EngineError, Fps, Ladder, Limits, SegmentOut};

fn corpus(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora");
    std::fs::read(folder.join(name)).unwrap()
}

fn try_make(source: &[u8], fps: Option<Fps>) -> Result<SegmentOut, EngineError> {
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    let mut rendition = small("a", 160, 90);
    rendition.fps = fps;
    transcode(&Ladder::new(vec![rendition]).unwrap(), source, &[], &limits)
}

/// Why there is no ladder.
fn refused(name: &str) -> EngineError {
    let error = try_make(&corpus(name), None).unwrap_err();
    assert_eq!(error.class(), Class::Input, "{error}");
    error
}

/// What is known of a file's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    size: (u32, u32),
    pictures: usize,
    first: i64,
    last: i64,
    damaged: u32,
}

/// Makes a ladder and holds it against the facts: every picture is there, decodes, and is shown in its time.
fn made(name: &str, facts: Facts) -> (Vec<u8>, SegmentOut, Vec<i64>) {
    let source = corpus(name);
    let out = try_make(&source, None).unwrap();
    let rung = &out.renditions[0];
    let times = shown(&rung.bytes);
    let have = Facts {
        size: (out.source.width, out.source.height),
        pictures: times.len(),
        first: times[0],
        last: *times.last().unwrap(),
        damaged: out.source.damaged,
    };
    assert_eq!(have, facts);
    assert_eq!((rung.frames as usize, decoded(&rung.bytes) as usize), (facts.pictures, facts.pictures));
    assert!(video_packets(&rung.bytes)[0].1, "an IDR picture first");
    assert_eq!(video_entry(&rung.bytes, "width,height,pix_fmt"), "160,90,yuv420p");
    (source, out, times)
}

/// As [`made`], where the source's times are right as they are.
fn faithful(name: &str, size: (u32, u32), pictures: usize, first: i64, last: i64) -> (Vec<u8>, SegmentOut) {
    let (source, out, times) = made(name, Facts { size, pictures, first, last, damaged: 0 });
    assert_eq!(times, shown(&source));
    (source, out)
}

fn assert_sound_copied(source: &[u8], out: &SegmentOut) {
    assert_eq!(audio_packets(&out.renditions[0].bytes), audio_packets(source));
}

fn steady(first: i64, step: i64, count: i64) -> Vec<i64> {
    (0..count).map(|i| first + i * step).collect()
}

// Times.

/// The multiplexer gave B-pictures the times of the P-pictures next to them, and wrote an SEI behind the first picture.
#[test]
fn times_of_neighbours_mixed_up() {
    let facts = Facts { size: (128, 72), pictures: 171, first: 1_156_029, last: 1_666_539, damaged: 65 };
    let (_, out, times) = made("skip_1.ts", facts);
    assert_eq!(times, steady(1_156_029, 3003, 171));
    assert_eq!(out.source.duration, 171 * 3003);
    let fixed = try_make(&corpus("skip_1.ts"), Some(Fps { num: 30, den: 1 })).unwrap();
    assert_eq!(fixed.renditions[0].frames, 171, "5.7057 s, 30 pictures each");
}

/// The same stream where only the SEI is late: every picture keeps its own time.
#[test]
fn sei_behind_the_first_picture() {
    let facts = Facts { size: (128, 72), pictures: 171, first: 2_183_055, last: 2_693_565, damaged: 0 };
    let (_, _, times) = made("skip_3.ts", facts);
    assert_eq!(times, steady(2_183_055, 3003, 171));
}

/// One picture in 44 has neither PTS nor DTS; fillers and SEI lie around.
#[test]
fn missing_dts() {
    let facts = Facts { size: (1920, 1080), pictures: 44, first: 2_339_462_880, last: 2_339_528_940, damaged: 1 };
    let (source, _, times) = made("missing-dts.ts", facts);
    let given = shown(&source);
    assert_eq!(given.len(), 43);
    let filled: Vec<i64> = times.iter().copied().filter(|time| !given.contains(time)).collect();
    // It belongs between 25994.649 s and 25994.682 s, the clock has milliseconds.
    assert!(matches!(filled[..], [time] if (time - 2_339_519_940).abs() <= 90), "{filled:?}");
}

/// Four pictures without a PES time and without SEI.
#[test]
fn missing_sei_and_pes() {
    let facts = Facts { size: (160, 90), pictures: 12, first: 18_000, last: 117_000, damaged: 4 };
    let (_, _, times) = made("missing-sei-and-pes.ts", facts);
    assert_eq!(times, steady(18_000, 9000, 12));
}

/// Two AAC frames have the same time again and again; sound is passed through as it came.
#[test]
fn duplicate_audio_dts() {
    let (source, out) = faithful("duplicate-audio-dts.ts", (1280, 720), 20, 8_822_070, 8_882_100);
    assert_sound_copied(&source, &out);
    let times: Vec<i64> = audio_packets(&source).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times.iter().filter(|time| **time == 8_831_477).count(), 2, "the clip is what it is said to be");
}

/// A clock with milliseconds, and a picture left out.
#[test]
fn transmuxed() {
    faithful("transmux.ts", (1280, 720), 20, 4770, 64_710);
}

/// Times beyond 2^32.
#[test]
fn tables_in_the_middle() {
    // PAT and PMT come after the first packets of sound.
    let (source, out) = faithful("test-middle-pat-pmt.ts", (864, 480), 15, 5_387_171_045, 5_387_213_087);
    assert_sound_copied(&source, &out);
}

// Pictures.

/// Nothing decodes where all video is missing.
#[test]
fn zero_frames() {
    assert_eq!(refused("zero-frame.ts"), EngineError::NoFrames { units: 0 });
}

/// A stream that one hardware parser cannot cut into pictures.
#[test]
fn bad_cuvid() {
    let (source, out) = faithful("bad-cuvid.ts", (1920, 1080), 45, 9000, 143_910);
    assert_sound_copied(&source, &out);
}

#[test]
fn kryp_first() {
    let (_, out) = faithful("kryp-1.ts", (1280, 720), 35, 126_000, 228_000);
    let colours = video_entry(&out.renditions[0].bytes, "color_range,color_space,color_transfer,color_primaries");
    assert_eq!(colours, "tv,bt709,bt709,bt709");
}

/// No IDR picture and no recovery point; it begins with an intra picture all the same, and all of it decodes.
#[test]
fn kryp_without_a_key_picture() {
    let source = corpus("kryp-2.ts");
    assert!(video_packets(&source).iter().all(|(_, key)| !key), "the clip is what it is said to be");
    faithful("kryp-2.ts", (1280, 720), 35, 3_374_024_940, 3_374_126_910);
}

#[test]
fn portrait() {
    let (_, out) = faithful("portrait.ts", (720, 1280), 12, 52_927_470, 52_960_500);
    // 9:16 in a rung of 16:9.
    assert_eq!(video_entry(&out.renditions[0].bytes, "sample_aspect_ratio"), "81:256");
}

/// 16x4000: less wide than one sample of this rung, so no player shows the true shape.
#[test]
fn vertical() {
    faithful("vertical-sample.ts", (16, 4000), 30, 132_000, 219_000);
}

/// Field pictures (PAFF) that begin before the first parameter sets, with two tracks of MPEG sound and SCTE-35.
#[test]
fn dirty_start_of_field_pictures() {
    let facts = Facts { size: (1920, 1080), pictures: 57, first: 293_390_400, last: 293_567_577, damaged: 3 };
    let (source, out, times) = made("kyrion_dirtystart.ts", facts);
    assert_eq!(streams(&source, "v", "field_order"), ["tt"]);
    // Frames, not fields: each step is that of 29.97 Hz, but for a hole in the source's first pictures.
    let steps: Vec<i64> = times.windows(2).map(|w| w[1] - w[0]).collect();
    assert_eq!(steps.iter().filter(|step| **step == 3003).count(), 55, "{steps:?}");
    assert_eq!(streams(&source, "a", "codec_name"), ["mp2", "mp2"]);
    let rung = &out.renditions[0].bytes;
    assert_eq!(streams(rung, "a", "codec_name,sample_rate,channels"), ["aac,48000,2", "aac,48000,2"]);
    let first = |bytes: &[u8]| audio_packets(bytes)[0].0;
    assert_eq!((first(rung), first(&source)), (293_343_120, 293_343_120));
}

/// Interlaced, 4:4:4, ten bits, BT.601, with a cue track.
#[test]
fn interlaced_ten_bit_444() {
    let (source, out) = faithful("gst480i.ts", (720, 480), 36, 132_005, 237_109);
    assert_eq!(streams(&source, "v", "pix_fmt,field_order"), ["yuv444p10le,bb"]);
    assert_sound_copied(&source, &out);
    let rung = &out.renditions[0].bytes;
    let colours = video_entry(rung, "color_range,color_space,color_transfer,color_primaries");
    assert_eq!(colours, "tv,smpte170m,smpte170m,smpte170m");
    assert_eq!(video_entry(rung, "sample_aspect_ratio"), "27:32");
}

#[test]
fn mpeg2_video() {
    let error = refused("kyrion_mpeg2av_ac3.ts");
    assert!(matches!(&error, EngineError::NoVideo { found } if found.contains("0x02 MPEG-1/2 video")), "{error}");
    assert!(error.to_string().contains("send H.264 or HEVC"), "{error}");
}

// Tracks.

/// Three pictures; the sound's last frame is cut off.
#[test]
fn a_segment_of_two_kilobytes() {
    let facts = Facts { size: (1280, 720), pictures: 3, first: 126_000, last: 129_751, damaged: 0 };
    let (source, out, times) = made("bbb.ts", facts);
    assert_eq!(times, shown(&source));
    assert_sound_copied(&source, &out);
}

#[test]
fn audio_only_of_every_kind() {
    for (name, codec) in [("ac3.ts", "ac3"), ("eac3.ts", "eac3"), ("opus.ts", "opus")] {
        assert_eq!(streams(&corpus(name), "a", "codec_name"), [codec]);
        assert_eq!(refused(name), EngineError::AudioOnly, "{name}");
    }
}

/// HEVC with Opus and SCTE-35; the sound becomes AAC that begins and ends with it.
#[test]
fn hevc_with_opus_and_cues() {
    let (source, out) = faithful("bbb5s.ts", (320, 240), 120, 133_500, 579_750);
    assert_eq!(streams(&source, "v", "codec_name"), ["hevc"]);
    let rung = &out.renditions[0];
    assert!(rung.codecs.ends_with(",mp4a.40.2"), "{}", rung.codecs);
    let times: Vec<i64> = audio_packets(&rung.bytes).into_iter().map(|(time, _)| time).collect();
    // 251 Opus frames of 20 ms are 235.3 of AAC.
    assert_eq!((times.len(), times[0]), (235, 133_500));
    assert_eq!(video_entry(&rung.bytes, "sample_aspect_ratio"), "3:4");
}

/// Cues of two multiplexers, which are left out.
#[test]
fn scte35() {
    for (name, pictures, last) in [("ffmpeg.ts", 143, 637_200), ("tsduck.ts", 125, 572_400)] {
        let (source, out) = faithful(name, (320, 240), pictures, 126_000, last);
        assert_eq!(streams(&source, "d", "codec_name"), ["scte_35"], "{name}");
        assert!(!out.source.audio, "{name}");
        assert!(streams(&out.renditions[0].bytes, "d", "codec_name").is_empty(), "{name}");
    }
}

/// Sample aspect 237:235, and sound that is in the programme map alone.
#[test]
fn sound_that_is_announced_and_missing() {
    let (_, out) = faithful("test-no-audio-segment.ts", (388, 300), 134, 126_000, 924_000);
    assert!(!out.source.audio);
    let rung = &out.renditions[0];
    assert!(!rung.codecs.contains("mp4a"), "{}", rung.codecs);
    assert_eq!(video_entry(&rung.bytes, "sample_aspect_ratio"), "34483:47000");
}

#[test]
fn sound_that_is_announced_and_there() {
    let (source, out) = faithful("test-segment.ts", (388, 300), 134, 126_000, 924_000);
    assert_sound_copied(&source, &out);
}

/// One packet, all stuffing behind its adaptation field.
#[test]
fn stuffing_alone() {
    assert!(matches!(refused("test-stuffed-pes.ts"), EngineError::NotTransportStream { .. }));
}

/// The packet of stuffing in the middle of a segment changes nothing.
#[test]
fn stuffing_among_the_rest() {
    let source = corpus("ffmpeg.ts");
    let want = try_make(&source, None).unwrap();
    let (head, rest) = source.split_at(188 * 40);
    let stuffed = [head, &corpus("test-stuffed-pes.ts"), rest].concat();
    assert_eq!(try_make(&stuffed, None).unwrap().renditions, want.renditions);
}
