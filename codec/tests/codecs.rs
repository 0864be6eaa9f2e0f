//! Codecs other than H.264, in this process and in a worker, judged by ffprobe.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::Duration;

use common::{audio_packets, clip, decoded, shown, small, video_entry, video_packets};
use headframe_codec::engine::{codecs, transcode};
use headframe_codec::worker::{Pool, PoolConfig};
use headframe_codec::{Class, Codec, Container, Fps, Ladder, Limits, Preset, Rate, Rendition, RenditionOut, SegmentIn};

const LONG: Duration = Duration::from_secs(120);

fn limits() -> Limits {
    Limits { wall: LONG, ..Limits::default() }
}

/// Whether the library can make it; says so if not.
fn can_make(codec: Codec) -> bool {
    let can = codecs().contains(&codec);
    if !can {
        println!("skipped: this FFmpeg has no {}", codec.encoder());
    }
    can
}

fn cmaf(codec: Codec, name: &str, width: u32, height: u32) -> Rendition {
    Rendition { codec, container: Container::Cmaf, ..small(name, width, height) }
}

/// A whole file of a CMAF rendition.
fn joined(made: &RenditionOut) -> Vec<u8> {
    [made.init.as_deref().unwrap(), &made.bytes].concat()
}

fn hevc(name: &str, width: u32, height: u32) -> Rendition {
    Rendition { codec: Codec::Hevc, ..small(name, width, height) }
}

fn keys(bytes: &[u8]) -> Vec<usize> {
    video_packets(bytes).iter().enumerate().filter(|(_, (_, key))| *key).map(|(i, _)| i).collect()
}

#[test]
fn h264_is_always_there() {
    assert!(codecs().contains(&Codec::H264));
}

#[test]
fn hevc_keeps_times_pictures_and_sound() {
    if !can_make(Codec::Hevc) {
        return;
    }
    let source = clip("640x360", "30", 2.0, "-bf 2 -output_ts_offset 10");
    let presets = [Preset::Density, Preset::Live, Preset::Quality];
    let rates = [Rate::Capped, Rate::Cbr, Rate::Quality(30)];
    let rung = |(i, preset): (usize, Preset)| Rendition { preset, rate: rates[i], ..hevc(preset.name(), 320, 180) };
    let ladder = Ladder::new(presets.into_iter().enumerate().map(rung).collect()).unwrap();
    let out = transcode(&ladder, &source, &[], &limits()).unwrap();
    for made in &out.renditions {
        let name = &made.name;
        assert_eq!(shown(&made.bytes), shown(&source), "{name}: times");
        assert_eq!(audio_packets(&made.bytes), audio_packets(&source), "{name}: sound");
        assert_eq!((made.frames, decoded(&made.bytes)), (60, 60), "{name}: pictures");
        assert_eq!(keys(&made.bytes), [0, 30], "{name}: a key picture first and every second");
        assert_eq!(video_entry(&made.bytes, "codec_name,profile,has_b_frames"), "hevc,Main,0");
        let level = video_entry(&made.bytes, "level");
        assert_eq!(made.codecs, format!("hvc1.1.6.L{level}.90,mp4a.40.2"));
        assert!(!made.bytes.windows(5).any(|window| window == b"x265 "), "{name}: no message with the options");
        let delimiters = made.bytes.windows(6).filter(|w| w[..5] == [0, 0, 0, 1, 35 << 1]).count();
        assert_eq!(delimiters, 60, "{name}: every access unit begins with its delimiter");
    }
    // The limit on the bit rate does not depend on the segment: noise at the best quality still obeys it.
    let noise = clip("320x180", "30", 2.0, "-an -vf noise=alls=60:allf=t -b:v 4M");
    let rung = Rendition { rate: Rate::Quality(5), bitrate_bps: 300_000, ..hevc("noise", 320, 180) };
    let out = transcode(&Ladder::new(vec![rung]).unwrap(), &noise, &[], &limits()).unwrap();
    let bits = out.renditions[0].bytes.len() * 8;
    assert!(bits < 300_000 * 3 + 150_000, "two seconds and a buffer of one: {bits}");
}

#[test]
fn hevc_keys_follow_the_clock() {
    if !can_make(Codec::Hevc) {
        return;
    }
    let source = clip("320x180", "25", 2.0, "-an");
    let ladder = Ladder::new(vec![
        Rendition { gop_ms: 250, ..hevc("short", 160, 90) },
        Rendition { gop_ms: 500, fps: Some(Fps { num: 10, den: 1 }), ..hevc("slow", 160, 90) },
        Rendition { gop_ms: 10_000, ..hevc("long", 160, 90) },
    ]);
    let out = transcode(&ladder.unwrap(), &source, &[], &limits()).unwrap();
    assert_eq!(keys(&out.renditions[0].bytes), [0, 6, 12, 19, 25, 31, 37, 44]);
    assert_eq!(keys(&out.renditions[1].bytes), [0, 5, 10, 15]);
    assert_eq!(keys(&out.renditions[2].bytes), [0]);
}

#[test]
fn hevc_takes_every_size_and_keeps_colours_and_shape() {
    if !can_make(Codec::Hevc) {
        return;
    }
    let colours = "-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range pc";
    let source = clip("320x240", "25", 0.4, &format!("-an {colours}"));
    let sizes = [(64, 64), (66, 98), (320, 64), (98, 130), (640, 360)];
    let rung = |(w, h): (u32, u32)| Rendition { width: w, height: h, ..hevc(&format!("{w}x{h}"), w, h) };
    let out = transcode(&Ladder::new(sizes.map(rung).to_vec()).unwrap(), &source, &[], &limits()).unwrap();
    for (made, (width, height)) in out.renditions.iter().zip(sizes) {
        assert_eq!(decoded(&made.bytes), 10, "{width}x{height}");
        assert_eq!(video_entry(&made.bytes, "width,height"), format!("{width},{height}"));
        let look = video_entry(&made.bytes, "color_range,color_space,color_transfer,color_primaries");
        assert_eq!(look, "pc,bt709,bt709,bt709");
    }
    assert_eq!(video_entry(&out.renditions[4].bytes, "sample_aspect_ratio"), "3:4");
}

#[test]
fn hevc_comes_out_equal_every_time_and_from_a_worker() {
    if !can_make(Codec::Hevc) {
        return;
    }
    let source = clip("640x360", "30", 1.0, "");
    let ladder = Ladder::new(vec![hevc("a", 640, 360), hevc("b", 98, 66), small("c", 320, 180)]).unwrap();
    let first = transcode(&ladder, &source, &[], &limits()).unwrap();
    for _ in 0..2 {
        assert_eq!(transcode(&ladder, &source, &[], &limits()).unwrap().renditions, first.renditions);
    }
    let program = env!("CARGO_BIN_EXE_headframe-codec").into();
    let pool = Pool::start(PoolConfig { program, workers: 1, limits: limits(), ..PoolConfig::default() }).unwrap();
    let out = pool.transcode(&ladder, SegmentIn { stream: "s", number: 0, bytes: &source }, LONG).unwrap();
    assert_eq!(out.renditions, first.renditions);
    assert_eq!(pool.stats().restarts_total(), 0);
    // Its encoders work on threads of their own; their time counts all the same.
    assert!(out.timings.encode > out.timings.scale, "{:?}", out.timings);
}

#[test]
fn cmaf_keeps_times_pictures_and_colours() {
    let colours = "-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range pc";
    let source = clip("320x240", "30", 2.0, &format!("-bf 2 -output_ts_offset 10 {colours}"));
    for (codec, name) in [(Codec::Hevc, "hevc"), (Codec::Av1, "av1")] {
        if !can_make(codec) {
            continue;
        }
        let presets = [Preset::Density, Preset::Live, Preset::Quality];
        let rung = |preset: Preset| Rendition { preset, ..cmaf(codec, preset.name(), 160, 90) };
        let ladder = Ladder::new(presets.map(rung).to_vec()).unwrap();
        let out = transcode(&ladder, &source, &[], &limits()).unwrap();
        for made in &out.renditions {
            let file = joined(made);
            assert_eq!(shown(&file), shown(&source), "{name} {}: times", made.name);
            assert_eq!((made.frames, decoded(&file)), (60, 60), "{name} {}: pictures", made.name);
            assert_eq!(keys(&file), [0, 30], "{name} {}", made.name);
            assert_eq!(video_entry(&file, "codec_name,width,height"), format!("{name},160,90"));
            assert_eq!(video_entry(&file, "sample_aspect_ratio"), "3:4");
            let look = video_entry(&file, "color_range,color_space,color_transfer,color_primaries");
            assert_eq!(look, "pc,bt709,bt709,bt709", "{name}");
            let begin = if codec == Codec::Av1 { "av01.0.00M.08,mp4a.40.2" } else { "hvc1.1.6.L60.90,mp4a.40.2" };
            assert_eq!(made.codecs, begin);
        }
    }
}

#[test]
fn the_initialisation_segment_is_the_same_for_every_segment() {
    for codec in Codec::ALL.into_iter().filter(|codec| can_make(*codec)) {
        let ladder = Ladder::new(vec![cmaf(codec, "a", 320, 180)]).unwrap();
        let still = clip("320x180", "30", 1.0, "-an -vf lutyuv=y=40");
        let noise = clip("320x180", "30", 3.0, "-an -vf noise=alls=60:allf=t -b:v 4M -output_ts_offset 5");
        let first = transcode(&ladder, &still, &[], &limits()).unwrap();
        let later = transcode(&ladder, &noise, &first.paces, &limits()).unwrap();
        assert_eq!(first.renditions[0].init, later.renditions[0].init, "{}", codec.name());
        // Both play behind it, one after the other.
        let both = [joined(&first.renditions[0]), later.renditions[0].bytes.clone()].concat();
        assert_eq!(decoded(&both), 30 + 90, "{}", codec.name());
    }
}

#[test]
fn av1_keys_follow_the_clock_and_bytes_are_always_the_same() {
    if !can_make(Codec::Av1) {
        return;
    }
    let source = clip("320x180", "25", 2.0, "-an");
    let ladder = Ladder::new(vec![
        Rendition { gop_ms: 250, ..cmaf(Codec::Av1, "short", 160, 90) },
        Rendition { gop_ms: 500, fps: Some(Fps { num: 10, den: 1 }), ..cmaf(Codec::Av1, "slow", 160, 90) },
        Rendition { gop_ms: 10_000, ..cmaf(Codec::Av1, "long", 426, 240) },
    ]);
    let ladder = ladder.unwrap();
    let out = transcode(&ladder, &source, &[], &limits()).unwrap();
    let found: Vec<Vec<usize>> = out.renditions.iter().map(|made| keys(&joined(made))).collect();
    assert_eq!(found, [vec![0, 6, 12, 19, 25, 31, 37, 44], vec![0, 5, 10, 15], vec![0]]);
    for _ in 0..2 {
        assert_eq!(transcode(&ladder, &source, &[], &limits()).unwrap().renditions, out.renditions);
    }
    let program = env!("CARGO_BIN_EXE_headframe-codec").into();
    let pool = Pool::start(PoolConfig { program, workers: 1, limits: limits(), ..PoolConfig::default() }).unwrap();
    let made = pool.transcode(&ladder, SegmentIn { stream: "s", number: 0, bytes: &source }, LONG).unwrap();
    assert_eq!(made.renditions, out.renditions);
    assert_eq!(pool.stats().restarts_total(), 0, "{}", pool.stats().pids.len());
    assert!(made.timings.encode > made.timings.scale, "{:?}", made.timings);
}

#[test]
fn a_segment_that_ends_early_leaves_the_worker_well() {
    let source = clip("320x180", "30", 2.0, "-an");
    let program: std::path::PathBuf = env!("CARGO_BIN_EXE_headframe-codec").into();
    for codec in Codec::ALL.into_iter().filter(|codec| can_make(*codec)) {
        let ladder = Ladder::new(vec![cmaf(codec, "a", 320, 180), cmaf(codec, "b", 160, 90)]).unwrap();
        let limits = Limits { frames: 40, ..limits() };
        let config = PoolConfig { program: program.clone(), workers: 1, limits, ..PoolConfig::default() };
        let pool = Pool::start(config).unwrap();
        for number in 0..2 {
            let error = pool.transcode(&ladder, SegmentIn { stream: "s", number, bytes: &source }, LONG).unwrap_err();
            assert!(error.to_string().contains("more than 40 pictures"), "{}: {error}", codec.name());
        }
        assert_eq!(pool.stats().restarts_total(), 0, "{}", codec.name());
    }
}

#[test]
fn a_ladder_beyond_the_memory_is_refused_before_any_work() {
    if !can_make(Codec::Av1) {
        return;
    }
    let rungs = (0..10).map(|i| cmaf(Codec::Av1, &format!("r{i}"), 1280, 720)).collect();
    // No segment is looked at.
    let error = transcode(&Ladder::new(rungs).unwrap(), &[1, 2, 3], &[], &limits()).unwrap_err();
    assert_eq!(error.class(), Class::Capacity);
    assert!(error.to_string().contains("a worker has 2048"), "{error}");
}
