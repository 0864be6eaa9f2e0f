//! Fragmented MP4 from the engine: read by a walker of its own here, decoded and judged by ffmpeg and ffprobe.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{clip, framemd5, segments, shown, small, warnings};
use headframe_codec::engine::{Event, transcode, transcode_in_parts};
use headframe_codec::segment::{LONGEST_PART, WRAP};
use headframe_codec::{Container, EngineError, Fps, Ladder, Limits, Rate, Rendition, RenditionOut, SegmentOut};

fn limits() -> Limits {
    Limits { wall: Duration::from_secs(120), ..Limits::default() }
}

/// At a quality that the bit rate does not touch, so that a few bits of headers more or less change no picture.
fn order(container: Container) -> Rendition {
    Rendition { container, rate: Rate::Quality(26), bitrate_bps: 6_000_000, ..small("a", 240, 136) }
}

fn made(rendition: Rendition, source: &[u8]) -> SegmentOut {
    transcode(&Ladder::new(vec![rendition]).unwrap(), source, &[], &limits()).unwrap()
}

fn cmaf(source: &[u8]) -> RenditionOut {
    made(order(Container::Cmaf), source).renditions.remove(0)
}

/// Initialisation segment and segments as one file.
fn file<'a>(renditions: impl IntoIterator<Item = &'a RenditionOut>) -> Vec<u8> {
    let mut file = Vec::new();
    for rendition in renditions {
        if file.is_empty() {
            file.extend_from_slice(rendition.init.as_ref().unwrap());
        }
        file.extend_from_slice(&rendition.bytes);
    }
    file
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Type, place and body of every box; all bytes have to be in one.
fn boxes(bytes: &[u8]) -> Vec<(String, usize, &[u8])> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let len = number(&bytes[at..at + 4]) as usize;
        all.push((String::from_utf8(bytes[at + 4..at + 8].to_vec()).unwrap(), at, &bytes[at + 8..at + len]));
        at += len;
    }
    all
}

fn only<'a>(bytes: &'a [u8], name: &str) -> &'a [u8] {
    let found: Vec<_> = boxes(bytes).into_iter().filter(|(kind, ..)| kind == name).collect();
    assert_eq!(found.len(), 1, "{name}");
    found[0].2
}

fn names(bytes: &[u8]) -> Vec<String> {
    boxes(bytes).into_iter().map(|(name, ..)| name).collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sample {
    time: u64,
    duration: u64,
    sync: bool,
    data: Vec<u8>,
}

/// All samples of one track, and how many there are in each fragment.
fn samples(segment: &[u8], track: u64) -> (Vec<Sample>, Vec<usize>) {
    let (mut all, mut counts) = (Vec::new(), Vec::new());
    for (_, at, moof) in boxes(segment).into_iter().filter(|(name, ..)| name == "moof") {
        for (_, _, traf) in boxes(moof).into_iter().filter(|(name, ..)| name == "traf") {
            let tfhd = only(traf, "tfhd");
            assert_eq!(number(&tfhd[1..4]) & !0x28, 0x02_0000, "counts from moof; only defaults that are read here");
            if number(&tfhd[4..8]) != track {
                continue;
            }
            let mut defaults = tfhd[8..].chunks(4).map(number);
            let duration = if tfhd[3] & 0x08 != 0 { defaults.next() } else { None };
            let flags = if tfhd[3] & 0x20 != 0 { defaults.next() } else { None };
            let tfdt = only(traf, "tfdt");
            assert_eq!(tfdt[0], 1);
            let mut time = number(&tfdt[4..12]);
            let trun = only(traf, "trun");
            let has = number(&trun[1..4]);
            let (count, mut place) = (number(&trun[4..8]), at + number(&trun[8..12]) as usize);
            let mut fields = trun[12..].chunks(4).map(number);
            let first = if has & 4 != 0 { fields.next() } else { None };
            counts.push(count as usize);
            for i in 0..count {
                let mut field = |bit, default| if has & bit != 0 { fields.next() } else { default };
                let duration = field(0x100, duration).unwrap();
                let size = field(0x200, None).unwrap() as usize;
                let flags = field(0x400, if i == 0 { first.or(flags) } else { flags }).unwrap();
                assert_eq!(has & 0x800, 0, "no composition offsets without B-frames");
                let sync = flags & 0x1_0000 == 0;
                all.push(Sample { time, duration, sync, data: segment[place..place + size].to_vec() });
                time += duration;
                place += size;
            }
            assert_eq!(fields.next(), None);
        }
    }
    (all, counts)
}

fn end(samples: &[Sample]) -> u64 {
    samples.last().map(|last| last.time + last.duration).unwrap()
}

/// NAL unit types of a sample, which lengths of four bytes have to cover.
fn units(mut data: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while !data.is_empty() {
        let (len, rest) = data.split_at(4);
        kinds.push(rest[0] & 0x1f);
        data = &rest[number(len) as usize..];
    }
    kinds
}

#[test]
fn boxes_are_where_players_look() {
    let source = clip("320x180", "30", 2.0, "-bf 2 -output_ts_offset 10");
    let out = cmaf(&source);
    let init = out.init.as_ref().unwrap();
    assert_eq!(names(init), ["ftyp", "moov"]);
    let moov = only(init, "moov");
    let tracks: Vec<_> = boxes(moov).into_iter().filter(|(name, ..)| name == "trak").collect();
    assert_eq!(tracks.len(), 2);
    assert_eq!(names(only(moov, "mvex")), ["trex", "trex"]);
    assert!(!names(tracks[0].2).contains(&"edts".to_owned()), "no edit list");
    let scale = |track: usize| number(&only(only(tracks[track].2, "mdia"), "mdhd")[20..24]);
    assert_eq!((scale(0), scale(1)), (90_000, 48_000));
    let [_, _, _, _, 1, profile, flags, level] = *init.windows(8).find(|w| w[..4] == *b"avcC").unwrap() else {
        panic!("no avcC of version 1")
    };
    assert_eq!(out.codecs, format!("avc1.{profile:02X}{flags:02X}{level:02X},mp4a.40.2"));

    let parts = names(&out.bytes);
    assert_eq!(parts[0], "styp");
    assert!(parts[1..].chunks(2).all(|pair| pair == ["moof", "mdat"]) && parts.len() == 9, "{parts:?}");
    let (video, counts) = samples(&out.bytes, 1);
    assert_eq!(counts, [15, 15, 15, 15], "half a second each");
    let keys: Vec<usize> = (0..60).filter(|i| video[*i].sync).collect();
    assert_eq!(keys, [0, 30]);
    for sample in &video {
        let kinds = units(&sample.data);
        assert!(kinds.iter().all(|kind| [1, 5, 6].contains(kind)), "no delimiters, no parameter sets: {kinds:?}");
        assert_eq!(kinds.contains(&5), sample.sync, "{kinds:?}");
    }
    let times: Vec<i64> = video.iter().map(|sample| sample.time as i64).collect();
    assert_eq!(times, shown(&source));
    let (sound, counts) = samples(&out.bytes, 2);
    assert!(counts.len() == 4 && sound.iter().all(|sample| sample.sync && sample.duration == 1024));
}

#[test]
fn segments_join_and_show_what_mpeg_ts_shows() {
    for rate in ["30", "30000/1001"] {
        let sources = segments("320x180", rate, 3, "-output_ts_offset 10");
        let cmaf: Vec<RenditionOut> = sources.iter().map(|source| cmaf(source)).collect();
        for pair in cmaf.windows(2) {
            assert_eq!(pair[0].init, pair[1].init, "{rate}");
            for track in [1, 2] {
                let next = samples(&pair[1].bytes, track).0[0].time;
                assert_eq!(end(&samples(&pair[0].bytes, track).0), next, "{rate}: track {track}");
            }
        }
        let whole = file(&cmaf);
        assert_eq!(warnings(&whole), "");
        let (mut pictures, mut sound) = (Vec::new(), Vec::new());
        for source in &sources {
            let ts = made(order(Container::Mpegts), source).renditions.remove(0);
            assert_eq!(ts.init, None);
            pictures.extend(framemd5(&ts.bytes, "-map 0:v"));
            sound.extend(framemd5(&ts.bytes, "-map 0:a -c copy -bsf:a aac_adtstoasc"));
        }
        assert!(pictures.len() >= 89 && sound.len() > 100);
        assert_eq!(framemd5(&whole, "-map 0:v"), pictures);
        assert_eq!(framemd5(&whole, "-map 0:a -c copy"), sound);
    }
}

#[test]
fn the_initialisation_segment_outlives_changes_of_quality() {
    let [easy, hard] = ["20k", "3M"].map(|rate| clip("320x180", "30", 1.0, &format!("-b:v {rate}")));
    let order = Rendition { rate: Rate::Capped, bitrate_bps: 60_000, ..order(Container::Cmaf) };
    let ladder = Ladder::new(vec![order]).unwrap();
    let first = transcode(&ladder, &hard, &[], &limits()).unwrap();
    let second = transcode(&ladder, &easy, &first.paces, &limits()).unwrap();
    assert_ne!(first.paces, second.paces, "the rate control moved");
    assert_eq!(first.renditions[0].init, second.renditions[0].init);
}

#[test]
fn one_picture_and_no_sound() {
    let source = clip("320x180", "25", 0.2, "-an -frames:v 1");
    let out = made(order(Container::Cmaf), &source);
    let made = &out.renditions[0];
    assert_eq!((made.frames, made.codecs.contains("mp4a")), (1, false));
    let (video, counts) = samples(&made.bytes, 1);
    assert_eq!((counts, video[0].sync, video[0].duration as i64), (vec![1], true, out.source.duration));
    assert!(samples(&made.bytes, 2).0.is_empty());
    let init = made.init.as_ref().unwrap();
    assert!(only(init, "ftyp").chunks(4).any(|brand| brand == b"cmfc"), "one track is a CMAF track file");
    assert_eq!(warnings(&file([made])), "");
}

#[test]
fn uneven_times_are_kept_and_sum_up() {
    let source = clip("320x180", "60", 2.0, "-an -vf select='not(mod(n,7))+not(mod(n,3))' -vsync vfr");
    let out = made(order(Container::Cmaf), &source);
    let (video, _) = samples(&out.renditions[0].bytes, 1);
    let steps: std::collections::HashSet<u64> = video.iter().map(|sample| sample.duration).collect();
    assert!(steps.len() > 2, "{steps:?}");
    assert_eq!(video.iter().map(|sample| sample.time as i64).collect::<Vec<_>>(), shown(&source));
    assert_eq!(video.iter().map(|sample| sample.duration as i64).sum::<i64>(), out.source.duration);
    // A rate of its own: even steps, and the next segment's first is due at the end.
    let fixed = Rendition { fps: Some(Fps { num: 24, den: 1 }), ..order(Container::Cmaf) };
    let (video, _) = samples(&made(fixed, &source).renditions[0].bytes, 1);
    assert!(video.iter().all(|sample| sample.duration == 3750 && sample.time % 3750 == 0));
}

#[test]
fn the_clock_may_wrap() {
    // 2^33 ticks are 95443.7177 s.
    let source = clip("320x180", "30", 2.0, "-output_ts_offset 95442.8");
    let out = cmaf(&source);
    let (video, _) = samples(&out.bytes, 1);
    assert!(video[0].time < WRAP as u64 && video[59].time > WRAP as u64, "goes on within the segment");
    assert!(video.windows(2).all(|w| w[1].time == w[0].time + w[0].duration));
    let (sound, _) = samples(&out.bytes, 2);
    let apart = |track: u64, rate: u64| track * 1000 / rate;
    assert!(apart(sound[0].time, 48_000).abs_diff(apart(video[0].time, 90_000)) < 100);
    assert!(sound.windows(2).all(|w| w[1].time == w[0].time + 1024));
    let file = file([&out]);
    assert_eq!((warnings(&file), framemd5(&file, "-map 0:v").len()), (String::new(), 60));
}

#[test]
fn shapes_and_sound_out_of_latm() {
    let source = clip("320x240", "25", 0.4, "");
    let wide = Rendition { container: Container::Cmaf, ..small("wide", 640, 360) };
    let out = made(wide, &source).renditions.remove(0);
    assert_eq!(common::video_entry(&file([&out]), "width,height,sample_aspect_ratio"), "640,360,3:4");
    let latm = clip("320x180", "25", 0.4, "-mpegts_flags latm");
    let out = made(order(Container::Cmaf), &latm).renditions.remove(0);
    assert_eq!(framemd5(&file([&out]), "-map 0:a -c copy"), framemd5(&source, "-map 0:a -c copy -bsf:a aac_adtstoasc"));
}

#[test]
fn parts_are_the_whole_rendition() {
    let source = clip("320x180", "30000/1001", 2.0, "-output_ts_offset 95443.0");
    let order = |name: &str, container| Rendition { container, name: name.to_owned(), ..order(container) };
    let slow = Rendition { fps: Some(Fps { num: 10, den: 1 }), ..order("slow", Container::Cmaf) };
    let ladder = vec![order("ts", Container::Mpegts), order("mp4", Container::Cmaf), slow];
    let ladder = Ladder::new(ladder).unwrap();
    let whole = transcode(&ladder, &source, &[], &limits()).unwrap();
    let parts = Mutex::new(vec![Vec::new(); 3]);
    let halfway = AtomicU32::new(0);
    let take = |event| {
        let Event::Part(part) = event else {
            halfway.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        parts.lock().unwrap()[part.rendition].push(part);
        Ok(())
    };
    let done = transcode_in_parts(&ladder, &source, &[], &limits(), &take).unwrap();
    assert_eq!(halfway.into_inner(), 1);
    for (i, parts) in parts.into_inner().unwrap().into_iter().enumerate() {
        let made = &whole.renditions[i];
        assert!(done.renditions[i].bytes.is_empty() && done.renditions[i].codecs == made.codecs);
        assert!(parts.iter().enumerate().all(|(n, part)| part.number as usize == n), "{parts:?}");
        assert!(parts.len() >= 4 && parts[0].independent && parts[0].pts < WRAP, "{parts:?}");
        let together: Vec<u8> = parts.iter().flat_map(|part| part.bytes.iter().copied()).collect();
        assert!(together == made.bytes, "rendition {i}");
        assert_eq!(parts[0].init, made.init);
        assert!(parts[1..].iter().all(|part| part.init.is_none()));
        assert_eq!(parts.iter().map(|part| part.frames).sum::<u32>(), made.frames);
        let (last, others) = parts.split_last().unwrap();
        assert!(last.last && others.iter().all(|part| !part.last));
        assert!(others.iter().all(|part| (LONGEST_PART * 85 / 100..=LONGEST_PART).contains(&part.duration)));
        assert!(parts.windows(2).all(|w| (w[0].pts + w[0].duration) % WRAP == w[1].pts), "{parts:?}");
        if made.init.is_none() {
            assert!(parts.iter().all(|part| part.bytes.len() % 188 == 0 && part.bytes[0] == 0x47));
            assert_eq!(parts.iter().map(|part| part.duration).sum::<i64>(), whole.source.duration);
        }
    }
    // One picture more than fits half a second: also the last part keeps to it.
    let source = clip("320x180", "30", 1.0, "-an -frames:v 16");
    let lengths = Mutex::new(Vec::new());
    let take = |event| {
        let Event::Part(part) = event else { return Ok(()) };
        lengths.lock().unwrap().push((part.frames, part.duration));
        Ok(())
    };
    let ladder = Ladder::new(ladder.renditions()[..1].to_vec()).unwrap();
    transcode_in_parts(&ladder, &source, &[], &limits(), &take).unwrap();
    assert_eq!(lengths.into_inner().unwrap(), [(15, 45_000), (1, 3000)]);
    let refused = EngineError::OutputBytes { limit: 1 };
    let refuse = |_| Err(refused.clone());
    assert_eq!(transcode_in_parts(&ladder, &source, &[], &limits(), &refuse).unwrap_err(), refused);
}
