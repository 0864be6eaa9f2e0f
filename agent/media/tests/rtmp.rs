//! Publishers as they are: ffmpeg, and peers that mean harm or know no better.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headframe_media::TICKS_PER_SECOND;
use headframe_media::ingest::rtmp::Limits;
use headframe_media::ingest::{EndReason, IngestEvent, KeyHash, Resume};
use headframe_media::lint;
use headframe_media::origin::{Origin, Publication, Settings, Variant};
use rtmp_rs::protocol::message::RtmpMessage;
use support::{KEY, Raw, ffmpeg, has_ffmpeg, join, packets, picture_and_tone, pictures, quick, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn arguments(list: &[&str]) -> Vec<String> {
    list.iter().map(|&part| part.into()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_frame_of_ffmpeg_arrives_where_it_belongs() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut server = server(quick(), None).await;
    let reference = dir.path().join("reference.flv");
    let outputs = format!("[f=flv]{}|[f=flv]{}", reference.display(), server.url(KEY));
    let push = [
        picture_and_tone(7),
        arguments(&["-map", "0:v", "-map", "1:a", "-flags", "+global_header", "-f", "tee", &outputs]),
    ];
    let pushed = tokio::spawn(ffmpeg(push.concat()));
    let segments = server.stream().await;
    let output = pushed.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    assert_eq!(segments.iter().map(|s| (s.number, s.frames)).collect::<Vec<_>>(), [(0, 60), (1, 60), (2, 60), (3, 30)]);
    for segment in &segments {
        let path = dir.path().join(format!("{}.ts", segment.number));
        std::fs::write(&path, &segment.bytes).unwrap();
        let video = packets(&path, "v");
        assert_eq!(video.len() as u32, segment.frames);
        assert!(video[0].2 && video[0].0 == segment.first_pts, "segment {} begins with {:?}", segment.number, video[0]);
        assert_eq!(pictures(&path).len() as u32, segment.frames, "segment {} does not decode alone", segment.number);
        assert!(segment.has_audio && !segment.discontinuity);
        assert!((segment.duration - i64::from(segment.frames) * 3000).abs() <= 90, "{}", segment.duration);
    }
    let whole = dir.path().join("whole.ts");
    join(&whole, &segments);
    // Both stamps of every picture are the publisher's, from the first to the last.
    let (sent, got) = (packets(&reference, "v"), packets(&whole, "v"));
    let ticks = |list: &[(i64, i64, bool)], scale: i64| {
        list.iter()
            .map(|(pts, dts, key)| ((pts - list[0].0) * scale, (dts - list[0].1) * scale, *key))
            .collect::<Vec<_>>()
    };
    assert_eq!(ticks(&got, 1), ticks(&sent, 90));
    assert!(got.iter().any(|(pts, dts, _)| pts > dts), "the source has no B-frames");
    assert_eq!(pictures(&whole), pictures(&reference));
    // Sound: nothing lost but what came before the first picture, and no gap.
    let (sent, got) = (packets(&reference, "a"), packets(&whole, "a"));
    assert!(sent.len() - got.len() <= 1, "{} of {} frames of sound", got.len(), sent.len());
    assert!(got.windows(2).all(|pair| (2089..=2091).contains(&(pair[1].0 - pair[0].0))));
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconnect_and_a_restart_leave_no_seam() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let push = |url: String| tokio::spawn(ffmpeg([picture_and_tone(3), arguments(&["-f", "flv", &url])].concat()));
    let mut first = server(quick(), None).await;
    let mut segments = Vec::new();
    for _ in 0..2 {
        let pushed = push(first.url(KEY));
        segments.extend(first.stream().await);
        assert!(pushed.await.unwrap().status.success());
    }
    first.shut_down().await;

    // The origin knows where to go on when the server has forgotten.
    let open = || Origin::open(dir.path().join("origin"), Settings::default()).unwrap();
    let origin = open();
    let stream = "stage".parse().unwrap();
    let codecs = "avc1.640014,mp4a.40.2".into();
    let variant = Variant { name: "source".into(), width: 320, height: 180, bitrate: 500_000, codecs, fps: Some(30.0) };
    origin.declare(&stream, vec![variant]).unwrap();
    let publish = |origin: &Origin, segment: &headframe_media::ingest::SourceSegment| {
        let files = vec![("source".to_owned(), segment.bytes.clone())];
        let &headframe_media::ingest::SourceSegment { number, first_pts, duration, discontinuity, .. } = segment;
        origin
            .publish(&stream, Publication { number, first_pts, duration, discontinuity, captured_at: None, files })
            .unwrap();
    };
    segments.iter().for_each(|segment| publish(&origin, segment));
    drop(origin);
    let origin = open();
    let resume = origin.resume(&stream);
    assert_eq!(resume.map(|resume| resume.number), Some(4));
    let mut second = server(quick(), resume).await;
    let pushed = push(second.url(KEY));
    let more = second.stream().await;
    assert!(pushed.await.unwrap().status.success());
    second.shut_down().await;
    more.iter().for_each(|segment| publish(&origin, segment));
    segments.extend(more);

    assert_eq!(
        segments.iter().map(|s| (s.number, s.frames)).collect::<Vec<_>>(),
        [(0, 60), (1, 30), (2, 60), (3, 30), (4, 60), (5, 30)]
    );
    let whole = dir.path().join("whole.ts");
    join(&whole, &segments);
    let video = packets(&whole, "v");
    assert_eq!(video.len(), 270);
    let steps: Vec<i64> = video.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    assert!(steps.iter().all(|step| (2900..=3100).contains(step)), "{steps:?}");
    let mut shown: Vec<i64> = video.iter().map(|packet| packet.0).collect();
    shown.sort_unstable();
    assert!(
        shown.windows(2).all(|pair| (2900..=3100).contains(&(pair[1] - pair[0]))),
        "pictures overlap or leave a hole"
    );
    assert_eq!(pictures(&whole).len(), 270);
    let sound = packets(&whole, "a");
    let steps: Vec<i64> = sound.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(steps.iter().all(|step| (1..12_000).contains(step)), "{steps:?}");
    let list = origin.media(&stream, "source").unwrap().text;
    assert_eq!(lint::media(&list), []);
    assert!(!list.contains("DISCONTINUITY"), "{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_with_a_wrong_key_is_told_so() {
    if !has_ffmpeg() {
        return;
    }
    let mut server = server(quick(), None).await;
    let push = [picture_and_tone(2), arguments(&["-f", "flv", &server.url("sk_wrong")])].concat();
    let output = ffmpeg(push).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("not known here"), "{said}");
    assert_eq!(server.rejected().await, EndReason::UnknownKey { key: KeyHash::of("sk_wrong") });
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_without_pictures_is_turned_away() {
    if !has_ffmpeg() {
        return;
    }
    let mut server = server(quick(), None).await;
    let url = server.url(KEY);
    let push = arguments(&["-re", "-f", "lavfi", "-i", "sine=440", "-t", "20", "-c:a", "aac", "-f", "flv", &url]);
    let pushed = tokio::spawn(ffmpeg(push));
    assert_eq!(server.rejected().await, EndReason::NoVideo(1));
    assert!(!pushed.await.unwrap().status.success());
    server.shut_down().await;
}

#[tokio::test]
async fn codecs_that_cannot_be_decoded_are_refused_by_name() {
    let mut server = server(quick(), None).await;
    let (mut raw, code, _) = Raw::publish(server.address, KEY).await;
    assert_eq!(code, "NetStream.Publish.Start");
    raw.video(0, b"\x90hvc1\x01\x02\x03").await;
    let (code, text) = raw.status().await.unwrap();
    assert!(code == "NetStream.Publish.Rejected" && text.contains("HEVC (H.265)"), "{code} {text}");
    assert_eq!(server.rejected().await, EndReason::UnsupportedVideo("HEVC (H.265)".into()));
    server.shut_down().await;
}

#[tokio::test]
async fn refusals_are_said_in_words() {
    let mut server = server(quick(), None).await;
    let (_, code, text) = Raw::publish(server.address, "sk_paused").await;
    assert_eq!((code.as_str(), text.as_str()), ("NetStream.Publish.BadName", "this stream is paused"));
    assert_eq!(server.rejected().await, EndReason::Forbidden("this stream is paused".into()));
    let (_, code, text) = Raw::publish(server.address, "sk_guess").await;
    assert!(code == "NetStream.Publish.BadName" && text.contains("not known") && !text.contains("sk_guess"), "{text}");
    server.shut_down().await;
}

#[tokio::test]
async fn a_live_stream_has_one_publisher_and_a_silent_one_gives_way() {
    let mut server = server(quick(), None).await;
    let (mut first, ..) = Raw::publish(server.address, KEY).await;
    first.config().await;
    first.picture(0, true).await;
    assert!(matches!(server.next().await, IngestEvent::Started { number: 0, .. }));
    let (_, code, _) = Raw::publish(server.address, KEY).await;
    assert_eq!(code, "NetStream.Publish.BadName");
    assert_eq!(server.rejected().await, EndReason::AlreadyPublishing("stage".parse().unwrap()));
    // The first one goes on unharmed, then falls silent without closing, as behind a dead link.
    first.picture(40, false).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut second, code, _) = Raw::publish(server.address, KEY).await;
    assert_eq!(code, "NetStream.Publish.Start");
    let IngestEvent::Segment(segment) = server.next().await else { panic!("the first publisher's rest") };
    assert_eq!((segment.number, segment.frames), (0, 2));
    assert!(matches!(server.next().await, IngestEvent::Ended { reason: EndReason::TakenOver, .. }));
    second.config().await;
    second.picture(0, true).await;
    assert!(matches!(server.next().await, IngestEvent::Started { number: 1, .. }));
    drop(second);
    let rest = server.stream().await;
    assert_eq!((rest[0].number, rest[0].first_pts), (1, segment.first_pts + segment.duration));
    server.shut_down().await;
}

#[tokio::test]
async fn what_was_sent_before_a_stop_is_passed_on() {
    let resume = Resume { number: 70, pts: 1000 * TICKS_PER_SECOND };
    let mut server = server(quick(), Some(resume)).await;
    let (mut raw, ..) = Raw::publish(server.address, KEY).await;
    raw.config().await;
    raw.picture(0, true).await;
    raw.picture(40, false).await;
    assert!(matches!(server.next().await, IngestEvent::Started { number: 70, .. }));
    // The pictures are behind the configuration in the same connection: wait until the server has read them.
    raw.video(80, &[]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.stop.cancel();
    let IngestEvent::Segment(segment) = server.next().await else { panic!("the open segment") };
    assert_eq!((segment.number, segment.first_pts, segment.frames), (70, 1000 * TICKS_PER_SECOND, 2));
    assert!(matches!(server.next().await, IngestEvent::Ended { reason: EndReason::ServerStopping, .. }));
    server.shut_down().await;
}

/// A cheap source of bytes that repeats from run to run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(step).collect()
}

#[tokio::test]
async fn garbage_is_survived() {
    let mut server = server(quick(), None).await;
    let speak = async |bytes: Vec<u8>| {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let _ = socket.write_all(&bytes).await;
        let _ = socket.shutdown().await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    };
    speak(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()).await;
    speak(vec![]).await;
    speak(vec![3; 700]).await;
    for seed in 0..40 {
        // From the first byte, then after a good handshake.
        speak(noise(seed, 5000)).await;
        let mut raw = Raw::connect(server.address).await;
        let _ = raw.socket.write_all(&noise(seed + 1000, 20_000)).await;
        let _ = raw.socket.shutdown().await;
        let _ = raw.socket.read_to_end(&mut Vec::new()).await;
    }
    // Objects in objects, deeper than any stack, before any key; and a `connect` that claims a huge array.
    let mut nested = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0".to_vec();
    nested.extend(b"\x03\0\x01a".repeat(15_000));
    let huge = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x0a\xff\xff\xff\xff\x05".to_vec();
    for payload in [nested, huge] {
        let mut raw = Raw::connect(server.address).await;
        raw.message(20, &payload).await;
        let _ = raw.socket.shutdown().await;
        let _ = raw.socket.read_to_end(&mut Vec::new()).await;
    }
    for seed in 0..20 {
        let (mut raw, ..) = Raw::publish(server.address, KEY).await;
        raw.config().await;
        raw.video(0, &noise(seed, 300)).await;
        let _ = raw.socket.write_all(&noise(seed + 2000, 20_000)).await;
        let _ = raw.socket.shutdown().await;
        while raw.status().await.is_some() {}
        while !matches!(server.next().await, IngestEvent::Ended { .. }) {}
    }
    // And now somebody who means it.
    while server.events.try_recv().is_ok() {}
    let (mut raw, code, _) = Raw::publish(server.address, KEY).await;
    assert_eq!(code, "NetStream.Publish.Start");
    raw.config().await;
    raw.picture(0, true).await;
    drop(raw);
    assert_eq!(server.stream().await.len(), 1);
    server.shut_down().await;
}

#[tokio::test]
async fn messages_buffers_and_connections_are_bounded() {
    let mut config = quick();
    config.limits = Limits { connections: 2, message: 100_000, buffered: 200_000, ..config.limits };
    let mut server = server(config, None).await;
    // A message beyond the limit.
    let (mut raw, ..) = Raw::publish(server.address, KEY).await;
    raw.video(0, &vec![0x27; 100_001]).await;
    let reason = server.rejected().await;
    assert!(matches!(&reason, EndReason::Protocol(why) if why.contains("100001 bytes")), "{reason}");
    drop(raw);
    // Unfinished messages on many chunk streams, before any key.
    let mut raw = Raw::connect(server.address).await;
    for stream in 3..64u8 {
        let mut chunk = vec![stream, 0, 0, 0, 0, 0xFF, 0xFF, 9, 0, 0, 0, 0];
        chunk.extend([0; 128]);
        if raw.socket.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let reason = server.rejected().await;
    assert!(matches!(&reason, EndReason::Protocol(why) if why.contains("unfinished")), "{reason}");
    drop(raw);
    // One connection too many.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (_a, _b) = (Raw::connect(server.address).await, Raw::connect(server.address).await);
    let mut third = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(server.rejected().await, EndReason::TooManyConnections(2));
    server.shut_down().await;
}

/// All that is written to the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn keys_are_never_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut server = server(quick(), None).await;
    let _ = Raw::publish(server.address, "sk_a_wrong_key").await;
    let reason = server.rejected().await;
    let (mut raw, ..) = Raw::publish(server.address, KEY).await;
    raw.call("FCPublish", 4.0, rtmp_rs::amf::AmfValue::Null, vec![rtmp_rs::amf::AmfValue::String(KEY.into())]).await;
    raw.config().await;
    raw.picture(0, true).await;
    raw.send(2, 0, 0, &RtmpMessage::SetChunkSize(0)).await;
    let _ = server.stream().await;
    server.shut_down().await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("publisher accepted") && text.contains(&KeyHash::of(KEY).to_string()), "{text}");
    assert!(!text.contains(KEY) && !text.contains("sk_a_wrong_key") && !reason.to_string().contains("sk_"), "{text}");
}
