//! Odd segments: how packets are laid out, what the tables say and change, and tracks beside picture and sound. Each gives a
//! right ladder or a clear error.

use std::time::Duration;

use crate::common::{audio_packets, clip, decoded, probe, shown, small, video_entry};
use crate::mangle::{AUDIO, VIDEO, crc32, filter, pid};
use crate::transcode;
use headframe_codec::{Class, EngineError, Ladder, Limits, SegmentOut};

const SMALL: &str = "160x90";
/// Where ffmpeg's muxer puts the programme map.
const MAP: u16 = 0x1000;

fn try_make(source: &[u8]) -> Result<SegmentOut, EngineError> {
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    transcode(&Ladder::new(vec![small("a", 160, 90)]).unwrap(), source, &[], &limits)
}

/// Makes a ladder that shows pictures at `times`.
fn made(source: &[u8], times: &[i64]) -> SegmentOut {
    let out = try_make(source).unwrap();
    let rung = &out.renditions[0];
    assert_eq!((shown(&rung.bytes), decoded(&rung.bytes) as usize), (times.to_vec(), times.len()));
    assert_eq!(out.source.damaged, 0, "{:?}", out.source);
    out
}

fn refused(source: &[u8]) -> EngineError {
    let error = try_make(source).unwrap_err();
    assert_eq!(error.class(), Class::Input, "{error}");
    error
}

fn packets(source: &[u8]) -> impl Iterator<Item = &[u8]> {
    source.chunks_exact(188)
}

// Layout.

#[test]
fn a_clock_in_front_of_each_packet() {
    let source = clip(SMALL, "30", 0.5, "-bf 2");
    let want = made(&source, &shown(&source));
    // Blu-ray and AVCHD: 192 bytes. The clock holds sync bytes now and then.
    let stamp = |i: usize| [[0x07, 0x47, i as u8, 0x47], [0x07, 0x46, 0x22, 0x47]][i % 2];
    let stamped: Vec<u8> =
        packets(&source).enumerate().flat_map(|(i, packet)| [&stamp(i)[..], packet].concat()).collect();
    assert_eq!(try_make(&stamped).unwrap().renditions, want.renditions);
    let by_ffmpeg = clip(SMALL, "30", 0.5, "-bf 2 -mpegts_m2ts_mode 1");
    assert_eq!(by_ffmpeg.len() % 192, 0);
    made(&by_ffmpeg, &shown(&by_ffmpeg));
}

#[test]
fn a_check_behind_each_packet() {
    let source = clip(SMALL, "30", 0.5, "-bf 2");
    let want = made(&source, &shown(&source));
    let checked: Vec<u8> = packets(&source).flat_map(|packet| [packet, &[0x47; 16]].concat()).collect();
    assert_eq!(try_make(&checked).unwrap().renditions, want.renditions);
}

#[test]
fn garbage_before_the_first_packet() {
    let source = clip(SMALL, "30", 0.5, "");
    let want = made(&source, &shown(&source));
    for garbage in [&b"HTTP/1.1 200 OK\r\nServer: G\r\n\r\n"[..], &[0x47; 100], &[0; 5000], &source[300..400]] {
        assert_eq!(try_make(&[garbage, &source].concat()).unwrap().renditions, want.renditions);
    }
}

#[test]
fn marked_discontinuities() {
    let parts = [clip(SMALL, "30", 0.5, "-bf 0"), clip(SMALL, "30", 0.5, "-bf 0 -output_ts_offset 20")];
    let times: Vec<i64> = parts.iter().flat_map(|part| shown(part)).collect();
    let mut source = parts.concat();
    for packet in source[parts[0].len()..].chunks_exact_mut(188).filter(|packet| packet[3] & 0x20 != 0) {
        if packet[4] > 0 {
            packet[5] |= 0x80;
        }
    }
    made(&source, &times);
}

#[test]
fn null_packets_and_bits_that_say_damaged() {
    let source = clip(SMALL, "30", 0.5, "");
    let want = made(&source, &shown(&source));
    let null = [&[0x47, 0x1f, 0xff, 0x10][..], &[0xff; 184]].concat();
    let mut damaged = source[188 * 4..188 * 5].to_vec();
    damaged[1] |= 0x80;
    let padded: Vec<u8> = packets(&source).flat_map(|packet| [packet, &null, &damaged].concat()).collect();
    assert_eq!(try_make(&padded).unwrap().renditions, want.renditions);
}

// Tables.

/// Puts other packet ids in the tables and on the packets.
fn moved(source: &[u8], by: u16) -> Vec<u8> {
    let mut out = source.to_vec();
    for packet in out.chunks_exact_mut(188) {
        let id = pid(packet);
        if id == VIDEO || id == AUDIO {
            let id = id + by;
            packet[1] = packet[1] & 0xe0 | (id >> 8) as u8;
            packet[2] = id as u8;
        }
        if id == MAP {
            edit_map(packet, |map| {
                map[5] = map[5] & 0xc1 | 2;
                let mut at = 12;
                while at < map.len() - 4 {
                    let id = u16::from_be_bytes([map[at + 1] & 0x1f, map[at + 2]]) + by;
                    (map[at + 1], map[at + 2]) = (0xe0 | (id >> 8) as u8, id as u8);
                    at += 5 + usize::from(map[at + 4]);
                }
            });
        }
    }
    out
}

/// Changes the section in a packet that holds one whole, and signs it again.
fn edit_map(packet: &mut [u8], change: impl FnOnce(&mut [u8])) {
    let start = crate::mangle::payload(packet) + 1;
    let len = 3 + (usize::from(packet[start + 1] & 0x0f) << 8 | usize::from(packet[start + 2]));
    let map = &mut packet[start..start + len];
    change(map);
    let (body, check) = map.split_at_mut(len - 4);
    check.copy_from_slice(&crc32(body).to_be_bytes());
}

#[test]
fn a_map_that_changes_on_the_way() {
    let parts = [clip(SMALL, "30", 0.5, "-bf 0"), clip(SMALL, "30", 0.5, "-bf 0 -output_ts_offset 0.5")];
    let times: Vec<i64> = parts.iter().flat_map(|part| shown(part)).collect();
    let sounds: Vec<_> = parts.iter().flat_map(|part| audio_packets(part)).collect();
    // To free ids, and to each other's.
    for by in [0x20, 1] {
        let out = made(&[parts[0].clone(), moved(&parts[1], by)].concat(), &times);
        assert_eq!(audio_packets(&out.renditions[0].bytes), sounds);
    }
}

#[test]
fn sound_that_changes_its_coding_ends_there() {
    let parts = [clip(SMALL, "30", 0.5, "-bf 0"), clip(SMALL, "30", 0.5, "-bf 0 -c:a mp2 -output_ts_offset 0.5")];
    let times: Vec<i64> = parts.iter().flat_map(|part| shown(part)).collect();
    for second in [parts[1].clone(), moved(&parts[1], 0x20)] {
        let out = made(&[parts[0].clone(), second].concat(), &times);
        assert_eq!(audio_packets(&out.renditions[0].bytes), audio_packets(&parts[0]));
    }
}

/// Languages stay with their sound, whatever order and ids they have later.
#[test]
fn sound_tracks_that_change_places() {
    let tracks = |languages: [&str; 2], rates: [u32; 2], more: &str| {
        let of = |i: usize| format!("-metadata:s:a:{i} language={} -ar:a:{i} {}", languages[i], rates[i]);
        clip(SMALL, "30", 0.5, &format!("-map 0:v -map 1:a -map 1:a {} {} -bf 0 {more}", of(0), of(1)))
    };
    let parts = [
        tracks(["eng", "deu"], [48_000, 32_000], ""),
        tracks(["deu", "eng"], [32_000, 48_000], "-output_ts_offset 0.5"),
    ];
    let times: Vec<i64> = parts.iter().flat_map(|part| shown(part)).collect();
    let rung = &made(&parts.concat(), &times).renditions[0].bytes;
    // Without their times, which ffmpeg pushes apart where the sound of both parts overlaps.
    let packets = |bytes: &[u8], track: usize| -> Vec<String> {
        crate::common::framemd5(bytes, &format!("-map 0:a:{track} -c copy")).into_iter().map(|(_, hash)| hash).collect()
    };
    for (track, later) in [(0, 1), (1, 0)] {
        let want = [packets(&parts[0], track), packets(&parts[1], later)].concat();
        assert_eq!(packets(rung, track), want, "track {track}");
    }
}

/// Tables that say what will be, not what is.
#[test]
fn a_map_that_is_announced() {
    let source = clip(SMALL, "30", 0.5, "-bf 0");
    let mut coming = packets(&source).find(|packet| pid(packet) == MAP).unwrap().to_vec();
    edit_map(&mut coming, |map| {
        map[5] &= 0xfe;
        assert_eq!(map[12], 0x1b);
        map[12] = 0x24;
    });
    let at = 188 * packets(&source).position(|packet| pid(packet) == VIDEO).unwrap();
    let announced = [&source[..at], &coming, &source[at..]].concat();
    assert_eq!(try_make(&announced).unwrap().renditions, made(&source, &shown(&source)).renditions);
}

#[test]
fn a_programme_that_has_video_only_later() {
    let sound = clip(SMALL, "30", 0.5, "-vn -streamid 0:257");
    let both = clip(SMALL, "30", 0.5, "-bf 0 -output_ts_offset 0.5");
    assert_eq!(refused(&sound), EngineError::AudioOnly);
    let out = made(&[sound.clone(), both.clone()].concat(), &shown(&both));
    let sounds = [audio_packets(&sound), audio_packets(&both)].concat();
    assert_eq!(audio_packets(&out.renditions[0].bytes), sounds);
}

#[test]
fn several_programmes() {
    let options = "-map 0:v -map 1:a -map 0:v -map 1:a -program program_num=7:st=0:st=1 -program \
                   program_num=9:st=2:st=3 -s:v:1 320x180 -bf 0";
    let source = clip(SMALL, "30", 0.5, options);
    let out = try_make(&source).unwrap();
    // The first one, as a whole.
    assert_eq!((out.source.width, out.source.height, out.source.frames), (160, 90, 15));
    let tracks = probe(&out.renditions[0].bytes, "-select_streams a -show_entries program_stream=index -of csv=p=0");
    assert_eq!(tracks.lines().filter(|line| !line.is_empty()).count(), 1, "{tracks}");
}

/// Whether the pictures go on in other packets or in the same ones, and whatever comes first.
#[test]
fn video_that_changes_its_codec() {
    let hevc = "-c:v libx265 -x265-params log-level=none:bframes=0 -output_ts_offset 0.5";
    let (h264, hevc) = (clip(SMALL, "30", 0.5, "-bf 0"), clip(SMALL, "30", 0.5, hevc));
    let mpeg2 = clip(SMALL, "30", 0.5, "-c:v mpeg2video -bf 0");
    let elsewhere = moved(&hevc, 0x20);
    for (parts, from, to) in [
        (vec![&h264, &hevc], "H.264", "HEVC"),
        (vec![&h264, &elsewhere], "H.264", "HEVC"),
        (vec![&elsewhere, &h264], "HEVC", "H.264"),
        (vec![&h264, &hevc, &h264], "H.264", "HEVC"),
        (vec![&h264, &mpeg2], "H.264", "MPEG-1/2 video"),
        (vec![&mpeg2, &h264], "MPEG-1/2 video", "H.264"),
    ] {
        let source: Vec<u8> = parts.into_iter().flatten().copied().collect();
        let error = refused(&source);
        assert_eq!(error, EngineError::VideoChanges { from: from.into(), to: to.into() });
        assert!(error.to_string().contains("begin a new segment where it changes"), "{error}");
    }
    // The tables of what follows may come early: without a picture nothing has changed.
    let tables = filter(&elsewhere, |_, packet| pid(packet) == 0 || pid(packet) == MAP);
    made(&[h264.clone(), tables].concat(), &shown(&h264));
}

// What is in them.

#[test]
fn scrambled_video() {
    let mut source = clip(SMALL, "30", 0.5, "");
    for packet in source.chunks_exact_mut(188).filter(|packet| pid(packet) == VIDEO) {
        packet[3] |= 0x80;
        packet[40..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    }
    assert_eq!(refused(&source), EngineError::Scrambled);
}

#[test]
fn scrambled_sound_is_left_out() {
    let mut source = clip(SMALL, "30", 0.5, "");
    let times = shown(&source);
    for packet in source.chunks_exact_mut(188).filter(|packet| pid(packet) == AUDIO) {
        packet[3] |= 0x80;
    }
    assert!(!made(&source, &times).source.audio);
}

#[test]
fn video_that_is_not_read() {
    for (codec, name) in [("mpeg2video", "0x02 MPEG-1/2 video"), ("mpeg4", "0x10 MPEG-4 part 2 video")] {
        for sound in ["", "-an"] {
            let error = refused(&clip(SMALL, "30", 0.3, &format!("-c:v {codec} {sound}")));
            assert!(matches!(&error, EngineError::NoVideo { found } if found.contains(name)), "{error}");
        }
    }
}

#[test]
fn hevc_main_10() {
    let source = clip(SMALL, "30", 0.3, "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10le");
    assert_eq!(video_entry(&source, "codec_name,profile"), "hevc,Main 10");
    let out = made(&source, &shown(&source));
    assert_eq!(video_entry(&out.renditions[0].bytes, "codec_name,pix_fmt"), "h264,yuv420p");
}

#[test]
fn field_pictures_and_mixed_blocks() {
    // x264 codes both fields in one picture, block by block (MBAFF); `../corpora` has field pictures (PAFF).
    let source = clip("320x192", "25", 0.6, "-an -preset veryfast -bf 2 -flags +ilme+ildct -x264-params tff=1");
    assert_eq!(video_entry(&source, "field_order"), "tt");
    made(&source, &shown(&source));
}

#[test]
fn a_picture_of_nothing_but_a_header() {
    let source = clip(SMALL, "30", 0.5, "-bf 0 -an");
    let starts = packets(&source).filter(|packet| pid(packet) == VIDEO && packet[1] & 0x40 != 0).count();
    assert_eq!(starts, 15);
    // Only packets in which pictures begin are left: what each held is cut off, and no error says so but the counters.
    let cut = filter(&source, |_, packet| pid(packet) != VIDEO || packet[1] & 0x40 != 0);
    match try_make(&cut) {
        Ok(out) => assert!(out.source.damaged > 0 && out.source.frames <= 15, "{:?}", out.source),
        Err(error) => assert_eq!(error.class(), Class::Input, "{error}"),
    }
}
