//! The transport stream writer, judged by a reader that is not ours.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(missing_docs, unreachable_pub, reason = "a macro of the reader makes its types public")]

use bytes::Bytes;
use headframe_media::aac::AacConfig;
use headframe_media::mux::mpegts::{AudioFrame, Frame, Muxer, PACKET, ParameterSets, VIDEO_PID, VideoFrame};
use mpeg2ts_reader::demultiplex::{self, DemuxContext, FilterChangeset, FilterRequest};
use mpeg2ts_reader::packet::Packet;
use mpeg2ts_reader::pes::{self, ElementaryStreamConsumer, PesContents, PesHeader, PesLength, PtsDts};
use mpeg2ts_reader::{StreamType, packet_filter_switch, psi};
use proptest::prelude::*;

/// What one PES packet held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pes {
    video: bool,
    pts: u64,
    dts: u64,
    length: Option<usize>,
    data: Vec<u8>,
}

packet_filter_switch! {
    Switch<Context> {
        Pes: pes::PesPacketFilter<Context, Collector>,
        Pat: demultiplex::PatPacketFilter<Context>,
        Pmt: demultiplex::PmtPacketFilter<Context>,
        Null: demultiplex::NullPacketFilter<Context>,
    }
}

#[derive(Default)]
pub struct Context {
    changes: FilterChangeset<Switch>,
    packets: Vec<Pes>,
    lost: usize,
}

pub struct Collector {
    video: bool,
}

impl DemuxContext for Context {
    type F = Switch;
    fn filter_changeset(&mut self) -> &mut FilterChangeset<Switch> {
        &mut self.changes
    }
    fn construct(&mut self, request: FilterRequest<'_, '_>) -> Switch {
        match request {
            FilterRequest::ByPid(psi::pat::PAT_PID) => Switch::Pat(demultiplex::PatPacketFilter::default()),
            FilterRequest::Pmt { pid, program_number } => {
                Switch::Pmt(demultiplex::PmtPacketFilter::new(pid, program_number))
            }
            FilterRequest::ByStream { stream_type, .. } => {
                assert!(matches!(stream_type, StreamType::H264 | StreamType::ADTS), "{stream_type:?}");
                let video = stream_type == StreamType::H264;
                Switch::Pes(pes::PesPacketFilter::new(Collector { video }))
            }
            _ => Switch::Null(demultiplex::NullPacketFilter::default()),
        }
    }
}

impl ElementaryStreamConsumer<Context> for Collector {
    fn start_stream(&mut self, _: &mut Context) {}
    fn begin_packet(&mut self, context: &mut Context, header: PesHeader<'_>) {
        let PesContents::Parsed(Some(parsed)) = header.contents() else { panic!("no PES header") };
        let (pts, dts) = match parsed.pts_dts().unwrap() {
            PtsDts::PtsOnly(pts) => [pts.unwrap().value(); 2].into(),
            PtsDts::Both { pts, dts } => (pts.unwrap().value(), dts.unwrap().value()),
            other => panic!("{other:?}"),
        };
        let head = if pts == dts { 8 } else { 13 };
        let length = match header.pes_packet_length() {
            PesLength::Bounded(length) => Some(usize::from(length.get()) - head),
            PesLength::Unbounded => None,
        };
        context.packets.push(Pes { video: self.video, pts, dts, length, data: parsed.payload().to_vec() });
    }
    fn continue_packet(&mut self, context: &mut Context, data: &[u8]) {
        let open = context.packets.iter_mut().rev().find(|pes| pes.video == self.video);
        open.unwrap().data.extend(data);
    }
    fn end_packet(&mut self, _: &mut Context) {}
    fn continuity_error(&mut self, context: &mut Context) {
        context.lost += 1;
    }
}

/// Everything in a stream.
fn read(stream: &[u8]) -> Vec<Pes> {
    let mut context = Context::default();
    let mut demux = demultiplex::Demultiplex::new(&mut context);
    demux.push(&mut context, stream);
    assert_eq!(context.lost, 0, "continuity counters");
    context.packets
}

/// Program clock values in the order of the stream.
fn clocks(stream: &[u8]) -> Vec<u64> {
    let clock =
        |packet| Packet::new(packet).adaptation_field().and_then(|field| field.pcr().ok()).map(|pcr| pcr.base());
    stream.chunks_exact(PACKET).filter_map(clock).collect()
}

fn sets() -> ParameterSets {
    ParameterSets { sps: vec![Bytes::from_static(&[0x67, 1, 2])], pps: vec![Bytes::from_static(&[0x68, 3])] }
}

fn video(dts: i64, reorder: i64, idr: bool, size: usize) -> Frame {
    let mut unit = vec![if idr { 0x65 } else { 0x41 }];
    unit.resize(size.max(1), 0xAB);
    Frame::Video(VideoFrame { dts, pts: dts + reorder, idr, units: vec![unit.into()] })
}

fn audio(pts: i64, size: usize) -> Frame {
    let config = AacConfig::parse(&[0x12, 0x10]).unwrap();
    Frame::Audio(AudioFrame { pts, config, data: vec![0xCD; size].into() })
}

/// Start codes split an access unit again.
fn units(data: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<usize> =
        (0..data.len().saturating_sub(3)).filter(|&at| data[at..].starts_with(&[0, 0, 0, 1])).collect();
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    starts.iter().zip(ends).map(|(start, end)| data[start + 4..end].to_vec()).collect()
}

#[test]
fn a_segment_begins_with_its_tables_and_a_decodable_picture() {
    let frames = [video(900_000, 6000, true, 100), audio(900_500, 50), video(903_000, 3000, false, 40)];
    let stream = Muxer::default().segment(&frames, &sets(), 906_000);
    assert_eq!(stream.len() % PACKET, 0);
    let pids: Vec<u16> = stream.chunks_exact(PACKET).map(|packet| Packet::new(packet).pid().into()).collect();
    assert_eq!(pids[..3], [0, 0x1000, VIDEO_PID]);
    let first = Packet::new(&stream[2 * PACKET..3 * PACKET]).adaptation_field().unwrap();
    assert!(first.random_access_indicator() && first.pcr().unwrap().base() == 900_000 - 45_000);
    let packets = read(&stream);
    let kinds = |data: &[u8]| units(data).iter().map(|unit| unit[0] & 0x1F).collect::<Vec<_>>();
    assert_eq!(kinds(&packets[0].data), [9, 7, 8, 5], "delimiter, parameter sets, picture");
    assert_eq!((packets[0].pts, packets[0].dts), (906_000, 900_000));
    let second = packets.iter().filter(|pes| pes.video).nth(1).unwrap();
    assert_eq!(kinds(&second.data), [9, 1]);
    let sound = packets.iter().find(|pes| !pes.video).unwrap();
    assert_eq!((sound.pts, sound.data.len(), &sound.data[..2]), (900_500, 57, &[0xFF, 0xF1][..]));
}

#[test]
fn parameter_sets_in_the_picture_are_kept_and_not_doubled() {
    let own = [&[9u8, 0xF0][..], &[0x67, 9], &[0x68, 9], &[0x06, 1], &[0x65, 7]];
    let frame = VideoFrame { dts: 0, pts: 0, idr: true, units: own.map(Bytes::from_static).to_vec() };
    let stream = Muxer::default().segment(&[Frame::Video(frame)], &sets(), 3000);
    assert_eq!(units(&read(&stream)[0].data), own.map(<[u8]>::to_vec));
}

#[test]
fn large_pictures_have_no_length_and_small_ones_do() {
    let frames = [video(0, 0, true, 70_000), video(3000, 0, false, 500)];
    let packets = read(&Muxer::default().segment(&frames, &sets(), 6000));
    assert_eq!(packets.iter().map(|pes| pes.length.is_some()).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn stamps_wrap_at_33_bits() {
    let near = (1i64 << 33) - 2000;
    let packets = read(&Muxer::default().segment(&[video(near, 3000, true, 10)], &sets(), near + 3000));
    assert_eq!((packets[0].dts, packets[0].pts), (near as u64, 1000));
}

#[test]
fn the_clock_ticks_every_100_ms_at_one_frame_a_second() {
    let mut muxer = Muxer::default();
    let mut stream = Vec::new();
    for segment in 0..3i64 {
        let frames: Vec<_> = (0..2).map(|n| video(900_000 + (segment * 2 + n) * 90_000, 0, n == 0, 900)).collect();
        stream.extend(muxer.segment(&frames, &sets(), 900_000 + (segment + 1) * 180_000));
    }
    let clocks = clocks(&stream);
    assert!(clocks.len() > 60 && clocks.windows(2).all(|pair| (1..=9000).contains(&(pair[1] - pair[0]))), "{clocks:?}");
    assert_eq!(read(&stream).len(), 6);
}

/// Frames as an encoder might send them: growing time, sound and picture mixed.
fn any_frames() -> impl Strategy<Value = Vec<Frame>> {
    prop::collection::vec((any::<bool>(), 1i64..9000, 0i64..4, any::<bool>(), 1usize..3000), 1..60).prop_map(|list| {
        let (mut dts, mut pts) = (900_000, 900_000);
        let mut frames = vec![video(dts, 0, true, 50)];
        for (is_video, step, reorder, idr, size) in list {
            frames.push(if is_video {
                dts += step;
                video(dts, reorder * 3000, idr, size)
            } else {
                pts += step;
                audio(pts, size)
            });
        }
        frames
    })
}

proptest! {
    #[test]
    fn whatever_goes_in_comes_out_in_order(segments in prop::collection::vec(any_frames(), 1..4)) {
        let (mut muxer, mut again) = (Muxer::default(), Muxer::default());
        let mut stream = Vec::new();
        let (mut pictures, mut sound) = (Vec::new(), Vec::<u8>::new());
        for frames in &segments {
            let bytes = muxer.segment(frames, &sets(), 0);
            prop_assert_eq!(&bytes, &again.segment(frames, &sets(), 0), "not deterministic");
            stream.extend(bytes);
            for frame in frames {
                match frame {
                    Frame::Video(frame) => pictures.push((frame.pts as u64, frame.dts as u64, frame.units[0].to_vec())),
                    Frame::Audio(frame) => sound.extend(frame.config.adts_header(frame.data.len()).unwrap().iter().chain(&frame.data)),
                }
            }
        }
        let packets = read(&stream);
        for pes in &packets {
            prop_assert!(pes.length.is_none_or(|length| length == pes.data.len()), "length {:?} {}", pes.length, pes.data.len());
            prop_assert!(pes.video || pes.length.is_some());
        }
        let got: Vec<_> = packets.iter().filter(|pes| pes.video).map(|pes| (pes.pts, pes.dts, units(&pes.data).pop().unwrap())).collect();
        prop_assert_eq!(got, pictures);
        let got: Vec<u8> = packets.iter().filter(|pes| !pes.video).flat_map(|pes| pes.data.clone()).collect();
        prop_assert_eq!(got, sound);
    }
}
