//! Writes a segment as an MPEG transport stream, ISO/IEC 13818-1: one program, H.264 in Annex B form and AAC as ADTS.
//!
//! The same frames after the same history give the same bytes. Every segment begins with its own PAT and PMT and can be
//! decoded alone; continuity counters run on from segment to segment, so that the concatenation is a valid stream too.
//! The writer orders nothing and corrects no time: it trusts the stamps of [`crate::clock`].

use bytes::Bytes;

use crate::aac::AacConfig;
use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::h264::nal;

/// Length of a packet.
pub const PACKET: usize = 188;
const PAYLOAD: usize = PACKET - 4;

const PAT_PID: u16 = 0;
const PMT_PID: u16 = 0x1000;
/// The elementary stream of the picture; it also carries the program clock.
pub const VIDEO_PID: u16 = 0x100;
/// The elementary stream of the sound.
pub const AUDIO_PID: u16 = 0x101;
const PROGRAM: u16 = 1;

/// How far the program clock runs ahead of decoding. At most 1 s is allowed for buffering; half of it suits low rates.
const CLOCK_LEAD: Ticks = TICKS_PER_SECOND / 2;
/// Longest distance between two program clock values: the standard allows 100 ms.
const CLOCK_INTERVAL: Ticks = TICKS_PER_SECOND * 9 / 100;
/// Sound is collected into one PES packet for up to this long: a packet for every frame would double its size.
const AUDIO_PACK: Ticks = TICKS_PER_SECOND * 9 / 100;
const AUDIO_PACK_BYTES: usize = 16 * 1024;

/// One picture in decoding order.
#[derive(Debug, Clone)]
pub struct VideoFrame {
    /// When to decode.
    pub dts: Ticks,
    /// When to show, not before `dts`.
    pub pts: Ticks,
    /// Whether decoding can begin here.
    pub idr: bool,
    /// NAL units without start codes. Delimiters are replaced; everything else is written as it is.
    pub units: Vec<Bytes>,
}

/// One frame of AAC.
#[derive(Debug, Clone)]
pub struct AudioFrame {
    /// When to play.
    pub pts: Ticks,
    /// What the frame was coded with.
    pub config: AacConfig,
    /// The bare frame.
    pub data: Bytes,
}

/// What a segment consists of, in the order it arrived.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A picture.
    Video(VideoFrame),
    /// A piece of sound.
    Audio(AudioFrame),
}

/// Parameter sets to put before an IDR picture that comes without its own.
#[derive(Debug, Clone, Default)]
pub struct ParameterSets {
    /// Sequence parameter sets, without start codes.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets, without start codes.
    pub pps: Vec<Bytes>,
}

/// The state that crosses from one segment of a stream to the next: four counters and the version of the program map.
#[derive(Debug, Clone, Default)]
pub struct Muxer {
    counters: Counters,
    map_version: u8,
    had_audio: Option<bool>,
}

#[derive(Debug, Clone, Default)]
struct Counters {
    pat: u8,
    pmt: u8,
    video: u8,
    audio: u8,
}

impl Muxer {
    /// Writes one segment that lasts until `end`. `sets` are put before each IDR picture that lacks them.
    pub fn segment(&mut self, frames: &[Frame], sets: &ParameterSets, end: Ticks) -> Bytes {
        let has_audio = frames.iter().any(|frame| matches!(frame, Frame::Audio(_)));
        if self.had_audio.is_some_and(|had| had != has_audio) {
            self.map_version = (self.map_version + 1) & 31;
        }
        self.had_audio = Some(has_audio);

        let mut out = Output { bytes: Vec::with_capacity(estimate(frames)), counters: &mut self.counters, clock: None };
        out.tables(has_audio, self.map_version);
        let mut sound = Sound::default();
        let mut pes = Vec::new();
        for frame in frames {
            match frame {
                Frame::Audio(frame) => {
                    if sound.data.len() > AUDIO_PACK_BYTES || sound.since(frame.pts) >= AUDIO_PACK {
                        sound.write(&mut out, &mut pes);
                    }
                    sound.push(frame);
                }
                Frame::Video(frame) => {
                    if sound.since(frame.dts) >= AUDIO_PACK {
                        sound.write(&mut out, &mut pes);
                    }
                    out.fill_clock(frame.dts - CLOCK_LEAD);
                    video_pes(&mut pes, frame, sets);
                    out.packets(VIDEO_PID, &pes, Some(frame.dts - CLOCK_LEAD), frame.idr);
                }
            }
        }
        sound.write(&mut out, &mut pes);
        out.fill_clock(end - CLOCK_LEAD);
        out.bytes.into()
    }
}

fn estimate(frames: &[Frame]) -> usize {
    let bytes = |frame: &Frame| match frame {
        Frame::Video(frame) => 64 + PACKET + frame.units.iter().map(|unit| unit.len() + 4).sum::<usize>(),
        Frame::Audio(frame) => frame.data.len() + PACKET / 2,
    };
    (frames.iter().map(bytes).sum::<usize>() / PAYLOAD + 8) * PACKET
}

/// Sound waiting to share a PES packet.
#[derive(Default)]
struct Sound {
    first: Option<Ticks>,
    data: Vec<u8>,
}

impl Sound {
    fn since(&self, now: Ticks) -> Ticks {
        self.first.map_or(0, |first| now - first)
    }

    fn push(&mut self, frame: &AudioFrame) {
        let Some(header) = frame.config.adts_header(frame.data.len()) else {
            return; // larger than any AAC frame can be; the ingest has refused it already
        };
        self.first.get_or_insert(frame.pts);
        self.data.extend_from_slice(&header);
        self.data.extend_from_slice(&frame.data);
    }

    fn write(&mut self, out: &mut Output<'_>, pes: &mut Vec<u8>) {
        if let Some(pts) = self.first.take() {
            pes.clear();
            pes_header(pes, 0xC0, pts, None, self.data.len());
            pes.append(&mut self.data);
            out.packets(AUDIO_PID, pes, None, true);
        }
    }
}

/// An access unit in Annex B form behind its PES header: delimiter, parameter sets where they are needed, the rest.
fn video_pes(pes: &mut Vec<u8>, frame: &VideoFrame, sets: &ParameterSets) {
    const START: [u8; 4] = [0, 0, 0, 1];
    let has = |kind| frame.units.iter().any(|unit| nal::kind(unit) == kind);
    // A set of the stream before one of the frame would be overridden by it: harmless, but only missing kinds are added.
    let missing = |kind, list: &'_ [Bytes]| if frame.idr && !has(kind) { list.to_vec() } else { Vec::new() };
    let delimiter = Bytes::from_static(&[nal::AUD, 0xF0]);
    let (sps, pps) = (missing(nal::SPS, &sets.sps), missing(nal::PPS, &sets.pps));
    // A PPS refers to an SPS, so ours must not come before theirs: own sets go after the frame's SPS if it has one.
    let own = frame.units.iter().filter(|unit| !matches!(nal::kind(unit), nal::AUD | nal::FILLER));
    let (leading, rest): (Vec<&Bytes>, Vec<&Bytes>) = own.partition(|unit| nal::kind(unit) == nal::SPS);
    let units = || {
        std::iter::once(&delimiter).chain(&sps).chain(leading.iter().copied()).chain(&pps).chain(rest.iter().copied())
    };
    let length = units().map(|unit| unit.len() + START.len()).sum();
    pes.clear();
    let dts = (frame.dts != frame.pts).then_some(frame.dts);
    pes_header(pes, 0xE0, frame.pts, dts, length);
    for unit in units() {
        pes.extend_from_slice(&START);
        pes.extend_from_slice(unit);
    }
}

/// Section 2.4.3.6. A length of zero ("until the next one") is allowed for video alone, and needed beyond 64 KiB.
fn pes_header(pes: &mut Vec<u8>, stream: u8, pts: Ticks, dts: Option<Ticks>, payload: usize) {
    let fields = if dts.is_some() { 10 } else { 5 };
    let length = u16::try_from(3 + usize::from(fields) + payload).unwrap_or(0).to_be_bytes();
    let flags = if dts.is_some() { 0xC0 } else { 0x80 };
    pes.extend_from_slice(&[0, 0, 1, stream, length[0], length[1], 0x84, flags, fields]);
    stamp(pes, if dts.is_some() { 3 } else { 2 }, pts);
    if let Some(dts) = dts {
        stamp(pes, 1, dts);
    }
}

/// Thirty-three bits in five bytes, with marker bits between.
fn stamp(pes: &mut Vec<u8>, prefix: u8, ticks: Ticks) {
    let at = |shift: u32| (ticks >> shift) as u8; // an arithmetic shift keeps the low 33 bits right for any sign
    pes.extend_from_slice(&[prefix << 4 | at(29) & 0x0E | 1, at(22), at(14) | 1, at(7), at(0) << 1 | 1]);
}

struct Output<'a> {
    bytes: Vec<u8>,
    counters: &'a mut Counters,
    /// Last program clock value written in this segment.
    clock: Option<Ticks>,
}

impl Output<'_> {
    /// Program association and program map, one packet each.
    fn tables(&mut self, has_audio: bool, version: u8) {
        let mut pat = PROGRAM.to_be_bytes().to_vec();
        pat.extend((0xE000 | PMT_PID).to_be_bytes());
        let mut pmt = (0xE000 | VIDEO_PID).to_be_bytes().to_vec();
        pmt.extend([0xF0, 0]);
        let mut stream = |kind: u8, pid: u16| {
            pmt.push(kind);
            pmt.extend((0xE000 | pid).to_be_bytes());
            pmt.extend([0xF0, 0]);
        };
        stream(0x1B, VIDEO_PID);
        if has_audio {
            stream(0x0F, AUDIO_PID);
        }
        self.table(PAT_PID, 0, 1, 0, &pat);
        self.table(PMT_PID, 2, PROGRAM, version, &pmt);
    }

    fn table(&mut self, pid: u16, id: u8, extension: u16, version: u8, body: &[u8]) {
        let length = (5 + body.len() + 4) as u16; // bodies are a few bytes long
        let mut section = vec![id];
        section.extend((0xB000 | length).to_be_bytes());
        section.extend(extension.to_be_bytes());
        section.extend([0xC1 | version << 1, 0, 0]);
        section.extend(body);
        section.extend(crc32(&section).to_be_bytes());
        let counter = next(if pid == PAT_PID { &mut self.counters.pat } else { &mut self.counters.pmt });
        let [high, low] = pid.to_be_bytes();
        self.bytes.extend_from_slice(&[0x47, 0x40 | high, low, 0x10 | counter, 0]);
        self.bytes.extend_from_slice(&section);
        self.pad();
    }

    /// Fills the last packet with 0xFF.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(PACKET), 0xFF);
    }

    /// Keeps the program clock ticking where frames are further apart than its longest interval.
    fn fill_clock(&mut self, until: Ticks) {
        while let Some(last) = self.clock.filter(|last| until - last > CLOCK_INTERVAL) {
            let clock = last + CLOCK_INTERVAL;
            let counter = self.counters.video.wrapping_sub(1) & 15; // a packet without payload repeats the counter
            let [high, low] = VIDEO_PID.to_be_bytes();
            self.bytes.extend_from_slice(&[0x47, high, low, 0x20 | counter, (PAYLOAD - 1) as u8, 0x10]);
            self.bytes.extend_from_slice(&clock_bytes(clock));
            self.pad();
            self.clock = Some(clock);
        }
    }

    /// Spreads a PES packet over transport packets. The last one is filled up in its adaptation field.
    fn packets(&mut self, pid: u16, mut data: &[u8], clock: Option<Ticks>, random_access: bool) {
        let mut first = true;
        while !data.is_empty() {
            let clock = clock.filter(|_| first);
            let flags = if first { u8::from(random_access) << 6 | u8::from(clock.is_some()) << 4 } else { 0 };
            // Length byte, flags, clock: nothing at all where there is nothing to say.
            let wanted = if clock.is_some() {
                8
            } else if flags != 0 {
                2
            } else {
                0
            };
            let (now, later) = data.split_at(data.len().min(PAYLOAD - wanted));
            let field = PAYLOAD - now.len();
            let counter = next(if pid == VIDEO_PID { &mut self.counters.video } else { &mut self.counters.audio });
            let [high, low] = pid.to_be_bytes();
            let control = if field > 0 { 0x30 } else { 0x10 };
            self.bytes.extend_from_slice(&[0x47, u8::from(first) << 6 | high, low, control | counter]);
            if field > 0 {
                let end = self.bytes.len() + field;
                self.bytes.push((field - 1) as u8);
                if field > 1 {
                    self.bytes.push(flags);
                }
                if let Some(clock) = clock {
                    self.bytes.extend_from_slice(&clock_bytes(clock));
                    self.clock = Some(clock);
                }
                self.bytes.resize(end, 0xFF);
            }
            self.bytes.extend_from_slice(now);
            data = later;
            first = false;
        }
    }
}

fn next(counter: &mut u8) -> u8 {
    let now = *counter;
    *counter = (now + 1) & 15;
    now
}

/// Thirty-three bits of base, six reserved ones, nine bits of extension (always zero here).
fn clock_bytes(clock: Ticks) -> [u8; 6] {
    let base = clock.rem_euclid(1 << 33) as u64;
    let [_, _, bytes @ ..] = (base << 15 | 0x3F << 9).to_be_bytes();
    bytes
}

/// The checksum of sections, annex A.
fn crc32(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8)
            .fold(crc ^ u32::from(byte) << 24, |crc, _| if crc >> 31 == 1 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 })
    })
}
