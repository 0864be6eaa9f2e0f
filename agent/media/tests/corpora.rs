//! FLV files from the wild and of our own making, published tag by tag. `corpora/README.md` says where they are from.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;

use headframe_media::ingest::{EndReason, IngestEvent, SourceSegment};
use support::{KEY, Raw, has_ffmpeg, join, packets, pictures, quick, server};
use tokio::io::AsyncWriteExt;

/// Message types, and FLV's tag types.
const AUDIO: u8 = 8;
const VIDEO: u8 = 9;

#[derive(Clone)]
struct Tag {
    kind: u8,
    ms: u32,
    body: Vec<u8>,
}

/// The tags of a file (Adobe Flash Video File Format Specification 10.1, annex E).
fn corpus(name: &str) -> Vec<Tag> {
    let file = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora").join(name)).unwrap();
    let mut rest = &file[13..];
    let mut tags = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<11>() {
        let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let ms = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        tags.push(Tag { kind: head[0], ms, body: tail[..length].to_vec() });
        rest = &tail[length + 4..];
    }
    assert!(rest.is_empty() && tags.len() > 5, "{name} is not what it is said to be");
    tags
}

/// Publishes the tags and gives all segments that come of them.
async fn published(tags: &[Tag]) -> Vec<SourceSegment> {
    let mut server = server(quick(), None).await;
    let (mut raw, code, text) = Raw::publish(server.address, KEY).await;
    assert_eq!(code, "NetStream.Publish.Start", "{text}");
    raw.chunk_size(4096).await;
    for tag in tags {
        raw.tag(tag.kind, tag.ms, &tag.body).await;
    }
    raw.socket.shutdown().await.unwrap();
    let segments = server.stream().await;
    server.shut_down().await;
    segments
}

fn bytes(segments: &[SourceSegment]) -> Vec<&[u8]> {
    segments.iter().map(|segment| &segment.bytes[..]).collect()
}

// The lab of Enhanced RTMP.

#[tokio::test]
async fn av1_of_the_enhanced_rtmp_lab_is_refused_by_name() {
    for name in ["bbb.flv", "mptestsrc.flv", "testsrc.flv"] {
        let mut server = server(quick(), None).await;
        let (mut raw, ..) = Raw::publish(server.address, KEY).await;
        for tag in corpus(name) {
            raw.tag(tag.kind, tag.ms, &tag.body).await;
        }
        let (code, text) = raw.status().await.unwrap();
        assert!(code == "NetStream.Publish.Rejected" && text.contains("AV1 video is not supported"), "{name}: {text}");
        assert!(text.contains("set the encoder to H.264"), "{name}: {text}");
        assert_eq!(server.rejected().await, EndReason::UnsupportedVideo("AV1".into()), "{name}");
        server.shut_down().await;
    }
}

#[tokio::test]
async fn opus_of_the_enhanced_rtmp_lab_is_dropped_and_the_picture_goes_on() {
    let sound: Vec<Tag> = corpus("mptestsrc.flv").into_iter().filter(|tag| tag.kind == AUDIO).collect();
    assert!(sound.len() > 3);
    let mut server = server(quick(), None).await;
    let (mut raw, ..) = Raw::publish(server.address, KEY).await;
    raw.config().await;
    raw.picture(0, true).await;
    for tag in &sound {
        raw.tag(tag.kind, tag.ms, &tag.body).await;
    }
    raw.picture(40, false).await;
    raw.socket.shutdown().await.unwrap();
    assert!(matches!(server.next().await, IngestEvent::Started { .. }));
    let IngestEvent::Degraded { what, .. } = server.next().await else { panic!("a word about the sound") };
    assert!(what.contains("the sound is dropped: Opus is not supported"), "{what}");
    // Said once: the pictures come next.
    let IngestEvent::Segment(segment) = server.next().await else { panic!("the pictures") };
    assert_eq!((segment.frames, segment.has_audio), (2, false));
    server.shut_down().await;
}

// Several tracks, and the other spellings of one.

/// The default track of `multitrack.flv` in the classic form of messages.
fn classic() -> Vec<Tag> {
    let is_classic = |tag: &Tag| match tag.kind {
        VIDEO => tag.body[0] & 0x80 == 0,
        AUDIO => tag.body[0] >> 4 == 10,
        _ => false,
    };
    let all = corpus("multitrack.flv");
    let tags: Vec<Tag> = all.iter().filter(|tag| is_classic(tag)).cloned().collect();
    let of = |kind| move |tag: &&Tag| tag.kind == kind;
    assert!(all.iter().filter(of(VIDEO)).count() > 60 && tags.iter().filter(of(VIDEO)).count() > 30);
    assert!(tags.iter().filter(of(AUDIO)).count() > 40);
    tags
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_tracks_change_nothing() {
    let want = published(&classic()).await;
    let have = published(&corpus("multitrack.flv")).await;
    assert_eq!(have.iter().map(|segment| segment.frames).sum::<u32>(), 30);
    assert!(have.iter().all(|segment| segment.has_audio));
    assert_eq!(bytes(&have), bytes(&want));
    if has_ffmpeg() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("whole.ts");
        join(&path, &have);
        assert_eq!(pictures(&path).len(), 30);
        assert!(packets(&path, "v").iter().any(|(pts, dts, _)| pts > dts), "the source has B-frames");
    }
}

/// A message as Enhanced RTMP spells it: `header` makes everything between the frame type and the data from the packet
/// type and the FourCC, `tail` follows the data.
fn respelled(tag: &Tag, header: impl Fn(u8, &[u8; 4], usize) -> Vec<u8>, tail: &[u8]) -> Tag {
    let (first, four_cc, packet_type, data) = match tag.kind {
        VIDEO => {
            // Without a composition time pictures have a type of their own.
            let at_once = tag.body[1] == 1 && tag.body[2..5] == [0; 3];
            let (packet_type, skip) = match tag.body[1] {
                1 if at_once => (3, 5),
                1 => (1, 2),
                other => (other, 5),
            };
            (0x80 | tag.body[0] & 0xF0, b"avc1", packet_type, &tag.body[skip..])
        }
        _ => (0x90, b"mp4a", tag.body[1], &tag.body[2..]),
    };
    let mut body = header(packet_type, four_cc, data.len());
    body[0] |= first;
    Tag { body: [&body, data, tail].concat(), ..tag.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_spelling_of_h264_and_aac_gives_the_same_segments() {
    let classic = classic();
    let want = published(&classic).await;
    assert!(!want.is_empty());
    let several = |four_cc: &[u8; 4]| if four_cc == b"avc1" { 6 } else { 5 };
    let size = |len: usize| (len as u32).to_be_bytes()[1..].to_vec();
    type Header<'a> = &'a dyn Fn(u8, &[u8; 4], usize) -> Vec<u8>;
    let plain: Header<'_> = &|kind, four_cc, _| [&[kind], &four_cc[..]].concat();
    // An offset of nanoseconds.
    let modified: Header<'_> = &|kind, four_cc, _| [&[7, 2, 0, 1, 2, kind], &four_cc[..]].concat();
    let one_track: Header<'_> = &|kind, four_cc, _| [&[several(four_cc), kind], &four_cc[..], &[0]].concat();
    // Another track first, of the same codec and then of others.
    let same_codec: Header<'_> = &|kind, four_cc, len| {
        [&[several(four_cc), 0x10 | kind], &four_cc[..], &[1, 0, 0, 2, 9, 9, 0], &size(len)].concat()
    };
    let other_codecs: Header<'_> = &|kind, four_cc, len| {
        let other = if four_cc == b"avc1" { b"hvc1" } else { b"Opus" };
        [&[several(four_cc), 0x20 | kind], &other[..], &[1, 0, 0, 2, 9, 9], four_cc, &[0], &size(len)].concat()
    };
    let spellings: [(&str, Header<'_>, &[u8]); 6] = [
        ("plain", plain, &[]),
        ("modified", modified, &[]),
        ("one track", one_track, &[]),
        ("same codec", same_codec, &[]),
        ("same codec, one behind", same_codec, &[2, 0, 0, 1, 7]),
        ("other codecs", other_codecs, &[]),
    ];
    for (name, header, tail) in spellings {
        let tags: Vec<Tag> = classic.iter().map(|tag| respelled(tag, header, tail)).collect();
        assert_eq!(bytes(&published(&tags).await), bytes(&want), "{name}");
    }
}

// HE-AAC.

/// Bare frames out of a file with ADTS headers.
fn bare(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../codec/tests/corpora").join(name);
    let file = std::fs::read(path).unwrap();
    let (mut rest, mut frames) = (&file[..], Vec::new());
    while let [0xFF, _, _, high, middle, low, ..] = rest {
        let length = usize::from(high & 3) << 11 | usize::from(*middle) << 3 | usize::from(low >> 5);
        frames.push(rest[7..length].to_vec());
        rest = &rest[length..];
    }
    assert!(rest.is_empty() && frames.len() > 10, "{name} is not what it is said to be");
    frames
}

/// SBR and parametric stereo, of which the configuration says nothing, or something that old readers pass over, or all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn he_aac_is_carried_however_it_is_signalled() {
    type Configurations<'a> = [&'a [u8]; 3];
    let first: Configurations<'_> = [&[0x13, 0x10], &[0x13, 0x10, 0x56, 0xE5, 0x98], &[0x2B, 0x11, 0x88, 0]];
    let second: Configurations<'_> =
        [&[0x13, 0x08], &[0x13, 0x08, 0x56, 0xE5, 0x9D, 0x48, 0x80], &[0xEB, 0x09, 0x88, 0]];
    let files = [("he-aac.adts", "HE-AAC", first), ("he-aac-v2.adts", "HE-AACv2", second)];
    for (name, profile, configurations) in files {
        let sound = |configuration: &[u8]| {
            let tag = |ms, kind, data: &[u8]| Tag { kind: AUDIO, ms, body: [&[0xAF, kind], data].concat() };
            let frames = bare(name).into_iter().enumerate();
            // 2048 samples of 48 kHz, in milliseconds.
            let frames = frames.map(|(i, frame)| tag((i as u32 * 2048 + 24) / 48, 1, &frame));
            [tag(0, 0, configuration)].into_iter().chain(frames).collect::<Vec<_>>()
        };
        let stream = |configuration| {
            let mut tags: Vec<Tag> = classic().into_iter().filter(|tag| tag.kind == VIDEO).collect();
            tags.extend(sound(configuration));
            tags.sort_by_key(|tag| tag.ms);
            tags
        };
        let want = published(&stream(configurations[0])).await;
        assert!(want.iter().all(|segment| segment.has_audio && segment.frames == 30));
        for configuration in &configurations[1..] {
            assert_eq!(bytes(&published(&stream(configuration)).await), bytes(&want), "{name} {configuration:x?}");
        }
        if !has_ffmpeg() {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("whole.ts");
        join(&path, &want);
        let sound = packets(&path, "a");
        assert_eq!(sound.len(), bare(name).len());
        assert!(sound.windows(2).all(|pair| (3839..=3841).contains(&(pair[1].0 - pair[0].0))), "{sound:?}");
        assert_eq!(
            entries(&path, "a", "stream=codec_name,profile,sample_rate,channels"),
            format!("aac,{profile},48000,2")
        );
    }
}

/// The first line of what ffprobe says.
fn entries(path: &Path, kind: &str, entries: &str) -> String {
    let mut command = std::process::Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", kind, "-show_entries", entries, "-of", "csv=p=0"]).arg(path);
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().next().unwrap_or_default().to_owned()
}

/// FLV has no display matrix; H.264 says inside the stream which way up it is, and that arrives as it was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_orientation_of_a_phone_arrives() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut server = server(quick(), None).await;
    let turned =
        "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -bsf:v h264_metadata=display_orientation=insert:rotate=90";
    let source = "-f lavfi -i testsrc2=s=160x90:r=30:d=1";
    let arguments = [source, turned, "-f flv"].join(" ");
    let mut arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    arguments.push(server.url(KEY));
    let pushed = tokio::spawn(support::ffmpeg(arguments));
    let segments = server.stream().await;
    let output = pushed.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.shut_down().await;
    let path = dir.path().join("whole.ts");
    join(&path, &segments);
    let side = entries(&path, "v", "frame_side_data=rotation");
    assert!(side.contains("90"), "{side}");
}
