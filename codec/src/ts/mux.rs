//! From access units to transport packets. Timestamps go out as they came in: no offset, no delay.

use super::{AudioTrack, PACKET, WRAP, crc32};

const PMT_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x100;

/// One encoded picture; pictures are written in this order, so presentation and decoding time are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoUnit {
    /// Presentation time, 90 kHz; written modulo 2^33.
    pub pts: i64,
    /// Whether it is an IDR picture.
    pub key: bool,
    /// Annex B bytes, beginning with an access unit delimiter.
    pub data: Vec<u8>,
}

/// Writes one self-contained segment; see [`Muxer`].
pub fn mux(video: &[VideoUnit], audio: &[AudioTrack], video_type: u8) -> Vec<u8> {
    let mut muxer = Muxer::new(audio, video_type);
    video.iter().for_each(|unit| muxer.push(unit));
    muxer.finish();
    muxer.take()
}

/// Writes one self-contained segment, picture by picture: PAT and PMT first and before every IDR picture, audio and video
/// in the order of their times, the clock reference with every picture.
pub struct Muxer<'a> {
    audio: &'a [AudioTrack],
    /// The next unit of every track.
    next: Vec<usize>,
    pat: Vec<u8>,
    pmt: Vec<u8>,
    /// The first picture's time, once it is known.
    reference: Option<i64>,
    writer: Writer,
}

impl<'a> Muxer<'a> {
    /// For pictures of this stream type and all of `audio`.
    pub fn new(audio: &'a [AudioTrack], video_type: u8) -> Self {
        let writer = Writer { out: Vec::new(), counters: Vec::new() };
        Self { audio, next: vec![0; audio.len()], pat: pat(), pmt: pmt(audio, video_type), reference: None, writer }
    }

    /// Writes a picture and the sound in front of it.
    pub fn push(&mut self, unit: &VideoUnit) {
        let first = self.reference.is_none();
        self.reference.get_or_insert(unit.pts);
        if first || unit.key {
            self.writer.section(0, &self.pat);
            self.writer.section(PMT_PID, &self.pmt);
        }
        if !first {
            self.write_audio(unit.pts);
        }
        let header = pes_header(0xe0, Some(unit.pts), None, 0, true);
        self.writer.pes(VIDEO_PID, Some(unit.pts), unit.key, &header, &unit.data);
    }

    /// Writes the rest of the sound.
    pub fn finish(&mut self) {
        self.write_audio(i64::MAX);
    }

    /// What has been written since the last call: whole packets.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.writer.out)
    }

    /// Every track up to this time; a unit without a time belongs to the one before it.
    fn write_audio(&mut self, before: i64) {
        let reference = self.reference.unwrap_or(0);
        for (i, track) in self.audio.iter().enumerate() {
            while let Some(unit) = track.units.get(self.next[i]) {
                if unit.dts.or(unit.pts).is_some_and(|time| super::nearest(time, reference) >= before) {
                    break;
                }
                let header = pes_header(0xc0 + i as u8, unit.pts, unit.dts, unit.data.len(), false);
                self.writer.pes(VIDEO_PID + 1 + i as u16, None, false, &header, &unit.data);
                self.next[i] += 1;
            }
        }
    }
}

struct Writer {
    out: Vec<u8>,
    counters: Vec<(u16, u8)>,
}

impl Writer {
    /// Opens a packet and returns nothing: the four header bytes are written.
    fn header(&mut self, pid: u16, start: bool, adaptation: bool) {
        let at = match self.counters.iter().position(|(known, _)| *known == pid) {
            Some(at) => at,
            None => {
                self.counters.push((pid, 0));
                self.counters.len() - 1
            }
        };
        let counter = &mut self.counters[at].1;
        let [high, low] = pid.to_be_bytes();
        let control = if adaptation { 0x30 } else { 0x10 };
        self.out.extend([0x47, high | if start { 0x40 } else { 0 }, low, control | *counter]);
        *counter = (*counter + 1) & 0x0f;
    }

    /// A table that fits one packet.
    fn section(&mut self, pid: u16, section: &[u8]) {
        let end = self.out.len() + PACKET;
        self.header(pid, true, false);
        self.out.push(0);
        self.out.extend_from_slice(section);
        self.out.resize(end, 0xff);
    }

    fn pes(&mut self, pid: u16, clock: Option<i64>, key: bool, header: &[u8], data: &[u8]) {
        let mut head = header;
        let mut data = data;
        let mut first = true;
        while first || !data.is_empty() {
            let mut fields = Vec::with_capacity(8);
            if let (true, Some(clock)) = (first, clock) {
                // Random access indicator, clock reference of 33 bits at 90 kHz; its 27 MHz part is zero.
                let base = clock.rem_euclid(WRAP);
                fields.push(0x10 | if key { 0x40 } else { 0 });
                fields.extend_from_slice(&((base << 15) as u64 | 0x7e00).to_be_bytes()[2..]);
            }
            let room = PACKET - 4 - head.len();
            let needed = if fields.is_empty() { 0 } else { 1 + fields.len() };
            let take = data.len().min(room - needed);
            let adaptation = room - take;
            self.header(pid, first, adaptation > 0);
            if adaptation > 0 {
                self.out.push((adaptation - 1) as u8);
                if adaptation > 1 && fields.is_empty() {
                    fields.push(0);
                }
                let end = self.out.len() + adaptation - 1;
                self.out.extend_from_slice(&fields);
                self.out.resize(end, 0xff);
            }
            self.out.extend_from_slice(head);
            self.out.extend_from_slice(&data[..take]);
            data = &data[take..];
            head = &[];
            first = false;
        }
    }
}

fn pes_header(id: u8, pts: Option<i64>, dts: Option<i64>, len: usize, aligned: bool) -> Vec<u8> {
    let (flags, times) = match (pts, dts) {
        (Some(pts), Some(dts)) => (0xc0, [timestamp(3, pts), timestamp(1, dts)].concat()),
        (Some(pts), None) => (0x80, timestamp(2, pts).to_vec()),
        (None, _) => (0, Vec::new()),
    };
    // Zero means "until the next one", which every reader accepts and video needs.
    let len = match len {
        0 => 0,
        len => u16::try_from(len + 3 + times.len()).unwrap_or(0),
    };
    let [high, low] = len.to_be_bytes();
    let marks = 0x80 | if aligned { 0x04 } else { 0 };
    [&[0, 0, 1, id, high, low, marks, flags, times.len() as u8], &times[..]].concat()
}

fn timestamp(prefix: u8, time: i64) -> [u8; 5] {
    let time = time.rem_euclid(WRAP) as u64;
    [
        prefix << 4 | ((time >> 29) as u8 & 0x0e) | 1,
        (time >> 22) as u8,
        (time >> 14) as u8 | 1,
        (time >> 7) as u8,
        (time << 1) as u8 | 1,
    ]
}

fn section(table: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let len = body.len() + 9;
    let [id_high, id_low] = id.to_be_bytes();
    let mut section = vec![table, 0xb0 | (len >> 8) as u8, len as u8, id_high, id_low, 0xc1, 0, 0];
    section.extend_from_slice(body);
    let crc = crc32(&section);
    section.extend(crc.to_be_bytes());
    section
}

fn pat() -> Vec<u8> {
    let [high, low] = PMT_PID.to_be_bytes();
    section(0, 1, &[0, 1, 0xe0 | high, low])
}

fn pmt(audio: &[AudioTrack], video_type: u8) -> Vec<u8> {
    let entry = |stream_type: u8, pid: u16, descriptors: &[u8]| {
        let [high, low] = pid.to_be_bytes();
        [&[stream_type, 0xe0 | high, low, 0xf0, descriptors.len() as u8], descriptors].concat()
    };
    let [high, low] = VIDEO_PID.to_be_bytes();
    let mut body = vec![0xe0 | high, low, 0xf0, 0];
    body.extend(entry(video_type, VIDEO_PID, &[]));
    for (i, track) in audio.iter().enumerate() {
        let pid = VIDEO_PID + 1 + i as u16;
        // The table has to fit one packet; descriptors that do not fit are left out.
        let fits = body.len() + 5 * (audio.len() - i) + track.descriptors.len() <= 160;
        body.extend(entry(track.stream_type, pid, if fits { &track.descriptors } else { &[] }));
    }
    section(2, 1, &body)
}
