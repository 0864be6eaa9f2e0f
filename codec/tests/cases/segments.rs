//! Odd segments: what a container, its tracks and its times can do. Each gives a right ladder or a clear error.

use std::time::Duration;

use crate::common::{audio_packets, clip, decoded, shown, small, video_entry, video_packets};
use crate::mangle::{AUDIO, Times, VIDEO, filter, pid, retime};
use crate::transcode;
use headframe_codec::{Class, EngineError, Fps, Ladder, Limits, SegmentOut};

fn limits() -> Limits {
    Limits { wall: Duration::from_secs(120), ..Limits::default() }
}

fn try_make(source: &[u8]) -> Result<SegmentOut, EngineError> {
    transcode(&Ladder::new(vec![small("a", 160, 90)]).unwrap(), source, &[], &limits())
}

fn make_at(source: &[u8], num: u32, den: u32) -> Result<SegmentOut, EngineError> {
    let mut rendition = small("fixed", 160, 90);
    rendition.fps = Some(Fps { num, den });
    transcode(&Ladder::new(vec![rendition]).unwrap(), source, &[], &limits())
}

/// The rendition is well formed: pictures announced are there and decode, the first one is an IDR picture, the size is
/// the ladder's. Returns the times shown.
fn sound(out: &SegmentOut) -> Vec<i64> {
    let made = &out.renditions[0];
    let times = shown(&made.bytes);
    assert_eq!((made.frames as usize, decoded(&made.bytes) as usize), (times.len(), times.len()), "{made:?}");
    assert!(video_packets(&made.bytes)[0].1, "an IDR picture first");
    assert_eq!(video_entry(&made.bytes, "width,height"), "160,90");
    times
}

/// Makes a ladder of an undamaged source, with the source's pictures at the source's times.
fn faithful(source: &[u8]) -> SegmentOut {
    let out = try_make(source).unwrap();
    assert_eq!(sound(&out), shown(source));
    assert_eq!(out.source.damaged, 0, "{:?}", out.source);
    assert_eq!(out.source.frames, out.renditions[0].frames);
    out
}

fn refused(source: &[u8]) -> EngineError {
    let error = try_make(source).unwrap_err();
    assert_eq!(error.class(), Class::Input, "{error}");
    error
}

fn steady(first: i64, step: i64, count: i64) -> Vec<i64> {
    (0..count).map(|i| first + i * step).collect()
}

const SMALL: &str = "160x90";

// Tracks.

#[test]
fn audio_only() {
    assert_eq!(refused(&clip(SMALL, "30", 0.5, "-vn")), EngineError::AudioOnly);
}

#[test]
fn late_audio() {
    let source = clip(SMALL, "30", 1.0, "-af asetpts=PTS+0.6/TB");
    let out = faithful(&source);
    assert_eq!(audio_packets(&out.renditions[0].bytes), audio_packets(&source));
    assert!(audio_packets(&source)[0].0 >= shown(&source)[0] + 50_000);
}

#[test]
fn audio_only_at_first() {
    let source = clip(SMALL, "30", 1.0, "-vf setpts=PTS+0.6/TB");
    let out = faithful(&source);
    assert_eq!(audio_packets(&out.renditions[0].bytes), audio_packets(&source));
    assert!(out.source.first_pts >= audio_packets(&source)[0].0 + 50_000);
}

#[test]
fn zero_video_frames() {
    let source = filter(&clip(SMALL, "30", 0.5, ""), |_, packet| pid(packet) != VIDEO);
    assert_eq!(refused(&source), EngineError::NoFrames { units: 0 });
}

#[test]
fn no_keyframe_in_the_segment() {
    let source = clip(SMALL, "30", 0.5, "-an -bsf:v filter_units=remove_types=5|6");
    assert!(matches!(refused(&source), EngineError::NoFrames { units: 14.. }));
}

#[test]
fn a_single_frame() {
    let source = clip(SMALL, "30", 0.5, "-frames:v 1");
    let out = faithful(&source);
    assert_eq!((out.source.frames, out.source.duration), (1, 3000));
    // At most what one picture lasts, whatever rate is asked for.
    assert_eq!(sound(&make_at(&source, 120, 1).unwrap()).len(), 4);
}

#[test]
fn two_frames() {
    assert_eq!(faithful(&clip(SMALL, "30", 0.5, "-frames:v 2 -bf 0")).source.duration, 6000);
}

#[test]
fn unknown_streams_beside_it() {
    let plain = clip(SMALL, "30", 0.5, "");
    // A private stream, subtitles and a second picture; the first picture counts.
    let data = crate::common::extra_streams(0.5);
    let out = faithful_first(&data, 15);
    assert_eq!((out.source.width, out.source.height), (160, 90));
    assert_eq!(sound(&try_make(&plain).unwrap()).len(), 15);
}

/// As [`faithful`], where ffprobe would list the packets of more than one video stream.
fn faithful_first(source: &[u8], frames: usize) -> SegmentOut {
    let out = try_make(source).unwrap();
    assert_eq!(sound(&out).len(), frames);
    assert_eq!(out.source.damaged, 0, "{:?}", out.source);
    out
}

// Times.

#[test]
fn some_pts_missing() {
    let clean = clip(SMALL, "30", 1.0, "-an -bf 0");
    let source = retime(&clean, VIDEO, |i, times| {
        if i % 2 == 1 {
            *times = Times { pts: None, dts: None };
        }
    });
    let out = try_make(&source).unwrap();
    assert_eq!(sound(&out), shown(&clean));
    assert_eq!(out.source.duration, 90_000);
}

#[test]
fn all_pts_missing() {
    let source = retime(&clip(SMALL, "30", 0.5, "-an"), VIDEO, |_, times| *times = Times { pts: None, dts: None });
    assert_eq!(sound(&try_make(&source).unwrap()), steady(0, 3000, 15));
}

#[test]
fn pts_that_jump_back() {
    let clean = clip(SMALL, "30", 1.0, "-an -bf 0 -output_ts_offset 60");
    let source = retime(&clean, VIDEO, |i, times| {
        if i >= 15 {
            times.pts = times.pts.map(|pts| pts - 30 * 90_000);
            times.dts = None;
        }
    });
    let out = try_make(&source).unwrap();
    assert_eq!(sound(&out), shown(&clean), "the second half goes on where the first one ended");
    assert_eq!(out.source.damaged, 15);
}

#[test]
fn one_pts_is_garbage() {
    let clean = clip(SMALL, "30", 1.0, "-an -bf 0 -output_ts_offset 60");
    for garbage in [0, 1 << 32, 60 * 90_000 + 1_800_000] {
        let source = retime(&clean, VIDEO, |i, times| {
            if i == 10 {
                times.pts = Some(garbage);
                times.dts = None;
            }
        });
        let out = try_make(&source).unwrap();
        assert_eq!(sound(&out), shown(&clean), "{garbage}");
    }
}

#[test]
fn the_first_pts_is_garbage() {
    let clean = clip(SMALL, "30", 1.0, "-an -bf 0 -output_ts_offset 60");
    for garbage in [0, 1 << 32] {
        let source = retime(&clean, VIDEO, |i, times| {
            if i == 0 {
                times.pts = Some(garbage);
                times.dts = None;
            }
        });
        assert_eq!(sound(&try_make(&source).unwrap()), shown(&clean), "{garbage}");
    }
}

#[test]
fn equal_pts() {
    let clean = clip(SMALL, "30", 0.5, "-an -bf 0");
    let first = shown(&clean)[0];
    let source = retime(&clean, VIDEO, |i, times| {
        if i == 7 {
            *times = Times { pts: Some(first + 6 * 3000), dts: None };
        }
    });
    let times = sound(&try_make(&source).unwrap());
    assert!(times.windows(2).all(|w| w[0] < w[1]), "{times:?}");
    assert_eq!((times.len(), times[6], times[8]), (15, first + 18_000, first + 24_000));
}

#[test]
fn all_pts_equal() {
    let source = retime(&clip(SMALL, "30", 0.5, "-an -bf 0"), VIDEO, |_, times| {
        *times = Times { pts: Some(90_000), dts: None };
    });
    let times = sound(&try_make(&source).unwrap());
    assert!(times.len() == 15 && times.windows(2).all(|w| w[0] < w[1]), "{times:?}");
}

#[test]
fn dts_beyond_pts() {
    let clean = clip(SMALL, "30", 0.5, "-an -bf 2");
    let source = retime(&clean, VIDEO, |_, times| times.dts = times.dts.map(|dts| dts + 90_000));
    assert_eq!(sound(&try_make(&source).unwrap()), shown(&clean));
}

#[test]
fn audio_times_that_jump_back() {
    let source = retime(&clip(SMALL, "30", 1.0, ""), AUDIO, |i, times| {
        if i == 2 {
            times.pts = times.pts.map(|pts| pts - 50_000);
        }
    });
    // Sound is passed through as it came; the pictures do not suffer.
    let out = try_make(&source).unwrap();
    assert_eq!(sound(&out), shown(&source));
    assert_eq!(out.source.damaged, 0);
}

#[test]
fn audio_times_twice() {
    let mut first = None;
    let source = retime(&clip(SMALL, "30", 1.0, ""), AUDIO, |_, times| times.pts = *first.get_or_insert(times.pts));
    let out = try_make(&source).unwrap();
    assert_eq!(sound(&out), shown(&source));
    let bytes = |packets: Vec<(i64, String)>| packets.into_iter().map(|(_, hash)| hash).collect::<Vec<_>>();
    assert_eq!(bytes(audio_packets(&out.renditions[0].bytes)), bytes(audio_packets(&source)));
}

#[test]
fn the_clock_wraps() {
    // 2^33 ticks are 95443.7177 s.
    let source = clip(SMALL, "30", 1.0, "-bf 2 -output_ts_offset 95443.2");
    let out = try_make(&source).unwrap();
    assert_eq!(sound(&out), shown(&source));
    assert_eq!((out.source.damaged, out.source.duration), (0, 90_000));
    // Where every picture counts, as at a fixed rate, none is lost or made at the wrap.
    assert_eq!(sound(&make_at(&source, 15, 1).unwrap()).len(), 15);
}

#[test]
fn segments_whose_times_overlap() {
    // The second begins before the first ends; each keeps its own times.
    for offset in ["10", "10.4"] {
        faithful(&clip(SMALL, "30", 0.5, &format!("-output_ts_offset {offset}")));
    }
}

#[test]
fn times_do_not_drift_from_segment_to_segment() {
    let mut last = None;
    for i in 0..6 {
        let source = clip(SMALL, "30000/1001", 0.5, &format!("-an -bf 0 -output_ts_offset {}", f64::from(i) * 0.5005));
        let times = sound(&faithful(&source));
        if let Some(last) = last {
            assert_eq!(times[0] - last, 3003, "segment {i}");
        }
        last = times.last().copied();
    }
}

#[test]
fn a_fixed_rate_does_not_drift_from_segment_to_segment() {
    let mut all = Vec::new();
    for i in 0..8 {
        let source = clip(SMALL, "25", 0.4, &format!("-an -bf 0 -output_ts_offset {}", f64::from(i) * 0.4));
        all.extend(sound(&make_at(&source, 30, 1).unwrap()));
    }
    // 3.2 s at 30 per second: each grid point once, none missing.
    assert_eq!(all, steady(all[0], 3000, 96));
}

#[test]
fn a_rate_that_is_no_integer() {
    for rate in ["24000/1001", "25/2", "60000/1001"] {
        let source = clip(SMALL, rate, 0.5, "-an");
        faithful(&source);
    }
}

#[test]
fn a_variable_rate() {
    let source = clip(SMALL, "60", 1.0, "-an -bf 0 -vf select='not(mod(n\\,7))+lt(n\\,20)' -vsync vfr");
    let out = faithful(&source);
    let times = shown(&source);
    assert!(times.windows(2).any(|w| w[1] - w[0] > 5000) && times.windows(2).any(|w| w[1] - w[0] < 2000));
    assert_eq!(out.source.frames as usize, times.len());
    let fixed = sound(&make_at(&source, 30, 1).unwrap());
    assert_eq!(fixed, steady(fixed[0], 3000, fixed.len() as i64));
}

#[test]
fn a_gap_does_not_make_pictures_without_end() {
    let clean = clip(SMALL, "30", 0.5, "-an -bf 0");
    let with_gap = |seconds: i64| {
        retime(&clean, VIDEO, |i, times| {
            if i >= 8 {
                *times = Times { pts: times.pts.map(|pts| pts + seconds * 90_000), dts: None };
            }
        })
    };
    // A short one is filled at a fixed rate, a longer one would take more pictures than a segment may have.
    assert_eq!(sound(&make_at(&with_gap(2), 60, 1).unwrap()).len(), 150);
    let long = with_gap(50);
    assert_eq!(sound(&try_make(&long).unwrap()), shown(&long));
    let error = make_at(&long, 60, 1).unwrap_err();
    assert_eq!((error.class(), error), (Class::Input, EngineError::Frames { limit: 1200 }));
    // Nobody shows one picture for an hour: the clock was set, and the pictures go on.
    let set = with_gap(3600);
    assert_eq!(sound(&try_make(&set).unwrap()), shown(&clean));
    assert_eq!(sound(&make_at(&set, 60, 1).unwrap()).len(), 30);
}

#[test]
fn too_long_a_segment() {
    let source = clip("32x32", "120", 10.5, "-an");
    assert_eq!(refused(&source), EngineError::Frames { limit: 1200 });
}

// Sound that is not AAC.

fn audio_entry(bytes: &[u8], entries: &str) -> String {
    crate::common::streams(bytes, "a", entries).into_iter().next().unwrap_or_default()
}

/// Makes a ladder with AAC of other sound; returns the times of its frames.
fn becomes_aac(source: &[u8], channels: u32, rate: i64) -> Vec<i64> {
    let out = faithful(source);
    let made = &out.renditions[0];
    assert!(out.source.audio && made.codecs.ends_with(",mp4a.40.2"), "{made:?}");
    assert_eq!(
        audio_entry(&made.bytes, "codec_name,profile,sample_rate,channels"),
        format!("aac,LC,{rate},{channels}")
    );
    let times: Vec<i64> = audio_packets(&made.bytes).into_iter().map(|(pts, _)| pts).collect();
    assert_eq!(times[0], audio_packets(source)[0].0, "the first frame has the first sound's time");
    for (i, time) in times.iter().enumerate() {
        assert!((time - times[0] - i as i64 * 1024 * 90_000 / rate).abs() <= 1, "{times:?}");
    }
    times
}

#[test]
fn mpeg_audio() {
    for (options, channels, rate) in [
        ("-c:a mp2 -ac 2", 2, 48_000),
        ("-c:a mp2 -ac 1 -ar 44100", 1, 44_100),
        ("-c:a libmp3lame -ac 2 -ar 44100", 2, 44_100),
        ("-c:a libmp3lame -ac 1 -ar 24000", 1, 24_000),
    ] {
        let times = becomes_aac(&clip(SMALL, "30", 1.0, options), channels, rate);
        assert!((times.len() as i64 - rate / 1024).abs() <= 3, "{options}: {}", times.len());
    }
}

#[test]
fn ac3_and_its_surround() {
    becomes_aac(&clip(SMALL, "30", 1.0, "-c:a ac3 -ac 2"), 2, 48_000);
    becomes_aac(&clip(SMALL, "30", 1.0, "-c:a ac3 -ac 6"), 2, 48_000);
    becomes_aac(&clip(SMALL, "30", 1.0, "-c:a eac3 -ac 2"), 2, 48_000);
}

#[test]
fn opus() {
    becomes_aac(&clip(SMALL, "30", 1.0, "-c:a libopus -ac 2"), 2, 48_000);
    becomes_aac(&clip(SMALL, "30", 1.0, "-c:a libopus -ac 1"), 1, 48_000);
}

#[test]
fn made_sound_is_as_loud_as_the_source() {
    for codec in ["mp2", "libmp3lame", "ac3", "libopus"] {
        let source = clip(SMALL, "30", 1.0, &format!("-c:a {codec} -ac 2 -b:a 192k"));
        let out = try_make(&source).unwrap();
        let (have, want) = (crate::common::mean_volume(&out.renditions[0].bytes), crate::common::mean_volume(&source));
        assert!((have - want).abs() < 1.0, "{codec}: {have} dB, source {want} dB");
        assert_eq!(try_make(&source).unwrap().renditions, out.renditions, "{codec}: the same bytes again");
    }
}

#[test]
fn made_sound_does_not_drift_from_segment_to_segment() {
    let mut end: Option<i64> = None;
    for i in 0..6 {
        let offset = f64::from(i) * 0.6;
        let source = clip(SMALL, "30", 0.6, &format!("-bf 0 -c:a mp2 -ac 2 -output_ts_offset {offset}"));
        let times = becomes_aac(&source, 2, 48_000);
        if let Some(end) = end {
            // Half an AAC frame is 960 ticks.
            assert!((times[0] - end).abs() <= 961, "segment {i}: {}", times[0] - end);
        }
        end = times.last().map(|last| last + 1920);
    }
}

#[test]
fn a_hole_in_the_sound_is_silence() {
    let source = clip(SMALL, "30", 2.0, "-c:a mp2 -ac 2");
    let audio = source.chunks_exact(188).filter(|packet| pid(packet) == AUDIO).count();
    let mut number = 0;
    let holed = filter(&source, |_, packet| {
        number += usize::from(pid(packet) == AUDIO);
        pid(packet) != AUDIO || !(audio / 3..audio * 2 / 3).contains(&number)
    });
    let (whole, holed) = (becomes_aac(&source, 2, 48_000), becomes_aac(&holed, 2, 48_000));
    assert!(whole.len().abs_diff(holed.len()) <= 1, "{} and {}", whole.len(), holed.len());
}

#[test]
fn sound_that_nobody_knows() {
    let error = refused(&clip(SMALL, "30", 0.3, "-c:a dca -strict -2"));
    assert!(matches!(error, EngineError::UnsupportedAudio { stream_type: 0x82 | 0x8a }), "{error}");
}

// Containers.

#[test]
fn not_a_transport_stream() {
    for bytes in [&b"<html><body>404 not found</body></html>"[..], &[0; 4096], &[0x47; 4096], b"G"] {
        assert!(matches!(refused(bytes), EngineError::NotTransportStream { .. }));
    }
    let mp4 = [&b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41\0\0\0\x08free"[..], &[0; 2000]].concat();
    assert!(matches!(refused(&mp4), EngineError::Mp4 { .. }));
}

#[test]
fn truncated() {
    let source = clip(SMALL, "30", 1.0, "");
    let whole = shown(&source);
    // After the tables, in the first picture, inside a packet, one byte before the end.
    for len in [3 * 188, 3 * 188 + 100, source.len() / 3, source.len() * 2 / 3 + 50, source.len() - 1] {
        match try_make(&source[..len]) {
            Ok(out) => {
                let times = sound(&out);
                assert!(whole.starts_with(&times), "{len} of {}: {times:?}", source.len());
            }
            Err(error) => assert!(len < 1000 && error.class() == Class::Input, "{len}: {error}"),
        }
    }
}

#[test]
fn concatenated_segments_with_times_that_go_on() {
    for second in ["-bf 0 -output_ts_offset 0.5", "-bf 0 -output_ts_offset 0.5 -mpegts_start_pid 0x100"] {
        let parts = [clip(SMALL, "30", 0.5, "-bf 0"), clip(SMALL, "30", 0.5, second)];
        let times: Vec<i64> = parts.iter().flat_map(|part| shown(part)).collect();
        let source = parts.concat();
        assert_eq!(sound(&try_make(&source).unwrap()), times);
    }
}

#[test]
fn concatenated_segments_with_equal_counters() {
    // The first packet of the second part has the counter of the last one of the first: no duplicate all the same.
    let first = clip(SMALL, "30", 0.5, "-bf 0 -an");
    let last = first.chunks_exact(188).rfind(|packet| pid(packet) == VIDEO).unwrap()[3] & 15;
    let mut second = clip(SMALL, "30", 0.5, "-bf 0 -an -output_ts_offset 0.5");
    let mut counter = last;
    for packet in second.chunks_exact_mut(188).filter(|packet| pid(packet) == VIDEO) {
        packet[3] = packet[3] & 0xf0 | counter;
        counter = (counter + 1) & 15;
    }
    let times = [shown(&first), shown(&second)].concat();
    let out = try_make(&[first, second].concat()).unwrap();
    assert_eq!((sound(&out), out.source.damaged), (times, 0));
}

#[test]
fn concatenated_segments_that_both_begin_at_zero() {
    let part = clip(SMALL, "30", 0.5, "-bf 0 -an");
    let out = try_make(&[&part[..], &part].concat()).unwrap();
    assert_eq!(sound(&out), steady(shown(&part)[0], 3000, 30));
}

#[test]
fn packets_sent_twice() {
    let source = clip(SMALL, "30", 0.5, "");
    let doubled: Vec<u8> =
        source.chunks_exact(188).enumerate().flat_map(|(i, p)| p.repeat(1 + usize::from(i % 3 == 0))).collect();
    let out = try_make(&doubled).unwrap();
    assert_eq!((sound(&out), out.source.damaged), (shown(&source), 0));
    assert_eq!(audio_packets(&out.renditions[0].bytes), audio_packets(&source));
}

#[test]
fn empty_pes() {
    let clean = clip(SMALL, "30", 0.5, "-an -bf 0");
    let source = crate::mangle::edit_nals(&clean, |i, nals| {
        if i == 5 || i == 9 {
            nals.clear();
        }
    });
    // What follows a lost picture is concealed, in its own time.
    let out = try_make(&source).unwrap();
    let times: Vec<i64> =
        shown(&clean).into_iter().enumerate().filter(|(i, _)| ![5, 9].contains(i)).map(|t| t.1).collect();
    assert_eq!(sound(&out), times);
}
