//! The engine in this process, judged by ffprobe.

use std::time::Duration;

use crate::common::{audio_packets, clip, decoded, shown, small, small_ladder, video_entry, video_packets};
use crate::transcode;
use headframe_codec::{Class, EngineError, Fps, Ladder, Limits};

fn limits() -> Limits {
    Limits { wall: Duration::from_secs(120), ..Limits::default() }
}

#[test]
fn the_standard_ladder_keeps_times_pictures_and_sound() {
    let source = clip("1920x1080", "30", 2.0, "-bf 2 -b:v 4M -output_ts_offset 10");
    let out = transcode(&Ladder::standard(), &source, &[], &limits()).unwrap();
    assert_eq!((out.source.width, out.source.height, out.source.frames, out.source.damaged), (1920, 1080, 60, 0));
    assert_eq!((out.source.first_pts, out.source.duration, out.source.audio), (shown(&source)[0], 180_000, true));
    assert_eq!(out.renditions.len(), 4);
    for (made, want) in out.renditions.iter().zip(Ladder::standard().renditions()) {
        let name = &made.name;
        assert_eq!((name, made.width, made.height), (&want.name, want.width, want.height));
        assert_eq!(shown(&made.bytes), shown(&source), "{name}: times");
        assert_eq!(audio_packets(&made.bytes), audio_packets(&source), "{name}: sound");
        assert_eq!((made.frames, decoded(&made.bytes)), (60, 60), "{name}: pictures");
        let keys: Vec<usize> =
            video_packets(&made.bytes).iter().enumerate().filter(|(_, (_, key))| *key).map(|(i, _)| i).collect();
        assert_eq!(keys, [0, 30], "{name}: an IDR picture first and every second");
        assert_eq!(video_entry(&made.bytes, "width,height,has_b_frames"), format!("{},{},0", want.width, want.height));
        assert_eq!(video_entry(&made.bytes, "sample_aspect_ratio"), "1:1");
        assert_eq!(video_entry(&made.bytes, "r_frame_rate"), "30/1");
        let level = video_entry(&made.bytes, "level").parse::<u32>().unwrap();
        assert_eq!(made.codecs, format!("avc1.6400{level:02X},mp4a.40.2"));
        // PAT and PMT come first: packets 0 and 1, PIDs 0 and the one the PAT names.
        assert_eq!((&made.bytes[..3], made.bytes[188]), (&[0x47, 0x40, 0][..], 0x47));
        let rate = made.bytes.len() as f64 * 8.0 / 2.0;
        assert!(rate < f64::from(want.bitrate_bps) * 1.5 + 150_000.0, "{name}: {rate} bit/s");
    }
    let pixels: u64 = [426 * 240, 640 * 360, 854 * 480, 1280 * 720].iter().map(|p| p * 60).sum();
    assert_eq!(out.output_kilopixels(), pixels / 1000);
}

#[test]
fn two_runs_give_the_same_bytes() {
    let source = clip("640x360", "25", 1.0, "");
    let runs = [(); 2].map(|()| transcode(&small_ladder(), &source, &[], &limits()).unwrap().renditions);
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn no_sound_is_fine() {
    let source = clip("320x180", "30000/1001", 1.0, "-an");
    let out = transcode(&small_ladder(), &source, &[], &limits()).unwrap();
    assert!(!out.source.audio, "{:?}", out.source);
    for made in &out.renditions {
        assert_eq!(shown(&made.bytes), shown(&source));
        assert!(!made.codecs.contains("mp4a"));
        assert_eq!(video_entry(&made.bytes, "r_frame_rate"), "30000/1001");
    }
}

#[test]
fn the_clock_may_wrap_inside_a_segment() {
    // 2^33 ticks are 95443.7177 s.
    let source = clip("320x180", "30", 2.0, "-bf 2 -output_ts_offset 95442.8");
    let out = transcode(&small_ladder(), &source, &[], &limits()).unwrap();
    assert_eq!((out.source.frames, out.source.duration), (60, 180_000));
    assert!(out.source.first_pts > (1 << 33) - 90_000 && out.source.first_pts < 1 << 33);
    for made in &out.renditions {
        let times = video_packets(&made.bytes);
        assert!(times.windows(2).any(|w| w[1].0 < w[0].0), "the written clock wraps too");
        assert_eq!(shown(&made.bytes), shown(&source));
        assert_eq!(audio_packets(&made.bytes), audio_packets(&source));
    }
}

#[test]
fn shapes_are_kept_and_small_sources_are_enlarged() {
    // A 4:3 picture into a 16:9 size: stretched, and marked so that it is shown as 4:3.
    let source = clip("320x240", "25", 0.4, "-an");
    let out = transcode(&Ladder::new(vec![small("wide", 640, 360)]).unwrap(), &source, &[], &limits()).unwrap();
    let made = &out.renditions[0];
    assert_eq!((made.frames, decoded(&made.bytes)), (10, 10));
    assert_eq!(video_entry(&made.bytes, "sample_aspect_ratio"), "3:4");
    // Sizes that are no multiples of 16, nor of 4 in chroma.
    let source = clip("322x182", "25", 0.4, "-an");
    let out = transcode(&Ladder::new(vec![small("odd", 98, 54)]).unwrap(), &source, &[], &limits()).unwrap();
    assert_eq!((out.source.width, out.source.height), (322, 182));
    assert_eq!(video_entry(&out.renditions[0].bytes, "width,height"), "98,54");
}

#[test]
fn a_fixed_rate_picks_pictures_on_one_grid() {
    let source = clip("320x180", "60", 1.0, "-an");
    let at = |num, den| {
        let mut rendition = small("fixed", 160, 90);
        rendition.fps = Some(Fps { num, den });
        let out = transcode(&Ladder::new(vec![rendition]).unwrap(), &source, &[], &limits()).unwrap();
        assert_eq!(out.source.frames, 60);
        assert_eq!(out.renditions[0].frames as usize, shown(&out.renditions[0].bytes).len());
        shown(&out.renditions[0].bytes)
    };
    let first = shown(&source)[0];
    let thirty = at(30, 1);
    assert_eq!(thirty.len(), 30);
    assert!(thirty.iter().all(|time| time % 3000 == 0) && thirty[0] >= first);
    assert_eq!(at(120, 1).len(), 120);
}

#[test]
fn half_a_segment_is_made_as_far_as_it_goes() {
    let source = clip("320x180", "30", 2.0, "");
    let out = transcode(&small_ladder(), &source[..source.len() / 2], &[], &limits()).unwrap();
    assert!((15..60).contains(&out.source.frames), "{}", out.source.frames);
    for made in &out.renditions {
        assert_eq!((made.frames, decoded(&made.bytes)), (out.source.frames, out.source.frames));
    }
}

#[test]
fn unusable_segments_are_named() {
    let refused = |source: &[u8], limits: Limits| {
        let error = transcode(&small_ladder(), source, &[], &limits).unwrap_err();
        (error.class(), error)
    };
    assert_eq!(refused(&[], limits()), (Class::Input, EngineError::Empty));
    let garbage: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert!(matches!(refused(&garbage, limits()), (Class::Input, EngineError::NotTransportStream { .. })));
    let audio_only = clip("320x180", "30", 0.5, "-vn");
    assert_eq!(refused(&audio_only, limits()), (Class::Input, EngineError::AudioOnly));
    let foreign = clip("320x180", "30", 0.2, "-c:a dca -strict -2");
    assert!(matches!(refused(&foreign, limits()), (Class::Input, EngineError::UnsupportedAudio { .. })));
    let rgb = clip("320x180", "30", 0.2, "-an -c:v libx264rgb -pix_fmt rgb24");
    let expected = EngineError::PixelFormat { format: "gbrp".to_owned() };
    assert_eq!(refused(&rgb, limits()), (Class::Input, expected));
    let mpeg2 = clip("320x180", "30", 0.2, "-an -c:v mpeg2video");
    assert!(matches!(refused(&mpeg2, limits()), (Class::Input, EngineError::NoVideo { .. })));
}

#[test]
fn budgets_hold() {
    let source = clip("320x180", "30", 1.0, "-an");
    let error = |limits: Limits| transcode(&small_ladder(), &source, &[], &limits).unwrap_err();
    assert_eq!(
        error(Limits { frame_pixels: 320 * 100, ..limits() }),
        EngineError::FramePixels { width: 320, height: 180, limit: 32_000 }
    );
    assert_eq!(error(Limits { frames: 10, ..limits() }), EngineError::Frames { limit: 10 });
    assert_eq!(error(Limits { pixels: 500_000, ..limits() }), EngineError::Pixels { limit: 500_000 });
    assert_eq!(error(Limits { output_bytes: 5000, ..limits() }), EngineError::OutputBytes { limit: 5000 });
    assert_eq!(error(Limits { wall: Duration::ZERO, ..limits() }), EngineError::Wall { limit_ms: 0 });
    let bytes = source.len() as u64;
    assert_eq!(error(Limits { input_bytes: 100, ..limits() }), EngineError::InputBytes { bytes, limit: 100 });
}

#[test]
fn damaged_segments_never_crash() {
    let source = clip("320x180", "30", 0.5, "");
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut made = 0;
    for round in 0..24 {
        let mut bytes = source.clone();
        for _ in 0..1 << (round % 8) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        if round % 3 == 0 {
            let at = random(bytes.len() - 2000);
            bytes.drain(at..at + random(2000));
        }
        if let Ok(out) = transcode(&small_ladder(), &bytes, &[], &limits()) {
            assert!(out.renditions.iter().all(|r| r.frames == out.source.frames));
            made += 1;
        }
    }
    assert!(made >= 6, "most damage leaves something to see: {made} of 24");
}
