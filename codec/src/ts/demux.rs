//! From transport packets to access units.

use super::{AAC_ADTS, AAC_LATM, H264, HEVC, PACKET, crc32};
use crate::error::EngineError;

/// Audio tracks kept; further ones are left out.
const MAX_AUDIO: usize = 8;

/// Versions of a programme's map that are heeded: it changes where advertisements begin and end.
const MAX_VERSIONS: usize = 16;

/// Video codecs that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoKind {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    Hevc,
}

impl VideoKind {
    /// For people.
    fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::Hevc => "HEVC",
        }
    }
}

/// The payload of one PES packet: for video usually one access unit, for audio a few frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// Presentation time, 90 kHz modulo 2^33.
    pub pts: Option<i64>,
    /// Decoding time, if it differs from the presentation time.
    pub dts: Option<i64>,
    /// The bytes.
    pub data: Vec<u8>,
}

/// How sound is coded that is not AAC in ADTS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioCoding {
    /// MPEG-1 and MPEG-2 audio, any layer.
    Mpeg,
    /// AC-3.
    Ac3,
    /// Enhanced AC-3.
    Eac3,
    /// AAC in LATM.
    Latm,
    /// Opus with one or two channels.
    Opus {
        /// Channels.
        channels: u8,
    },
}

/// One audio track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioTrack {
    /// From the programme map.
    pub stream_type: u8,
    /// Descriptors of the programme map, such as the language; passed through.
    pub descriptors: Vec<u8>,
    /// Its PES payloads in order.
    pub units: Vec<Unit>,
}

impl AudioTrack {
    /// What has to be changed; `None` for AAC in ADTS.
    pub fn coding(&self) -> Option<AudioCoding> {
        coding(self.stream_type, &self.descriptors)
    }
}

/// The first programme with video of a transport stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// What the video units hold.
    pub kind: VideoKind,
    /// Video in decoding order.
    pub video: Vec<Unit>,
    /// Tracks of AAC, and of what [`AudioCoding`] lists.
    pub audio: Vec<AudioTrack>,
    /// Gaps in the packets' continuity.
    pub lost: u32,
}

/// Reads a whole segment. Copies at most the input's size; damaged packets are skipped, the rest is kept.
pub fn demux(bytes: &[u8]) -> Result<Media, EngineError> {
    if bytes.is_empty() {
        return Err(EngineError::Empty);
    }
    let missing = |what: &str| EngineError::NotTransportStream { missing: what.to_owned() };
    let programs = find_section(bytes, 0, 0x00, |_, _, body| parse_pat(body))
        .ok_or_else(|| missing("the programme association table"))?;
    let maps: Vec<Vec<Map>> = programs.iter().map(|(number, pid)| versions(bytes, *pid, *number)).collect();
    // A programme may say only later that it has video.
    let with_video = |map: &Map| map.entries.iter().any(|entry| entry.video().is_some());
    let found = maps.iter().find_map(|maps| Some((&maps[..], maps.iter().position(with_video)?)));
    let found = found.or_else(|| maps.iter().map(|maps| (&maps[..], 0)).find(|(maps, _)| !maps.is_empty()));
    let Some((maps, first)) = found else {
        return Err(missing("the programme map table"));
    };
    let (map, later) = (&maps[first].entries, &maps[first + 1..]);
    let Some((kind, video)) = map.iter().find_map(|entry| Some((entry.video()?, entry))) else {
        let sound = map.iter().any(|entry| entry.is_known_audio() || entry.is_foreign_audio());
        let audio_only = sound && map.iter().all(|entry| entry.foreign_video().is_none());
        let found: Vec<String> = map.iter().map(Entry::name).collect();
        return Err(if audio_only { EngineError::AudioOnly } else { EngineError::NoVideo { found: found.join(", ") } });
    };
    let known: Vec<&Entry> = map.iter().filter(|entry| entry.is_known_audio()).take(MAX_AUDIO).collect();
    if let (true, Some(foreign)) = (known.is_empty(), map.iter().find(|entry| entry.is_foreign_audio())) {
        return Err(EngineError::UnsupportedAudio { stream_type: foreign.stream_type });
    }
    if is_scrambled(bytes, video.pid) {
        return Err(EngineError::Scrambled);
    }
    let mut streams: Vec<Collector<'_>> = vec![Collector::new(video.pid)];
    streams.extend(known.iter().map(|entry| Collector::new(entry.pid)));
    for change in later.iter().map(|map| &map.entries) {
        // Tracks may move to ids that were free; what they are, and their order, stays.
        let is_free = |pid: u16| map.iter().all(|entry| entry.pid != pid);
        let video = change.iter().find(|entry| entry.video() == Some(kind));
        let sound = known.iter().zip(change.iter().filter(|entry| entry.is_known_audio()));
        let sound = sound.map(|(known, entry)| (known.codes_like(entry)).then_some(entry));
        for (stream, entry) in streams.iter_mut().zip(std::iter::once(video).chain(sound)) {
            stream.pids.extend(entry.map(|entry| entry.pid).filter(|pid| is_free(*pid)));
        }
    }
    let others = other_video(maps, kind);
    for (at, packet) in Packets::new(bytes).enumerate() {
        if let Some(other) = others.iter().find(|other| packet.start && other.covers(at, packet.pid)) {
            let is_before = other.until <= maps[first].from;
            let (from, to) = if is_before { (other.name, kind.name()) } else { (kind.name(), other.name) };
            return Err(EngineError::VideoChanges { from: from.to_owned(), to: to.to_owned() });
        }
        if let Some(stream) = streams.iter_mut().find(|stream| stream.pids.contains(&packet.pid)) {
            stream.take(&packet);
        }
    }
    let lost = streams[0].lost;
    let mut collected = streams.into_iter().map(|stream| stream.units);
    let video = collected.next().unwrap_or_default();
    let audio = known.iter().zip(collected).map(|(entry, units)| AudioTrack {
        stream_type: entry.stream_type,
        descriptors: entry.descriptors.clone(),
        units,
    });
    Ok(Media { kind, video, audio: audio.filter(|track| !track.units.is_empty()).collect(), lost })
}

/// One transport packet that carries payload.
struct Packet<'a> {
    pid: u16,
    start: bool,
    counter: u8,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// `None` for packets without readable payload.
    fn parse(packet: &'a [u8]) -> Option<Self> {
        let damaged = packet[1] & 0x80 != 0;
        let scrambled = packet[3] & 0xc0 != 0;
        let (adaptation, payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        if damaged || scrambled || !payload {
            return None;
        }
        let skip = if adaptation { 5 + usize::from(packet[4]) } else { 4 };
        Some(Self {
            pid: u16::from_be_bytes([packet[1] & 0x1f, packet[2]]),
            start: packet[1] & 0x40 != 0,
            counter: packet[3] & 0x0f,
            payload: packet.get(skip..)?,
        })
    }
}

/// Distances of packets: bare, with a time in front (Blu-ray discs, many capture programs), with a check behind (DVB).
const STRIDES: [usize; 3] = [PACKET, PACKET + 4, PACKET + 16];
/// Sync bytes in a row that settle the distance.
const SURE: usize = 5;

const SYNC: u8 = 0x47;

/// Where to begin, and the distance of packets.
fn layout(bytes: &[u8]) -> (usize, usize) {
    let keeps = |at: usize, stride: usize| (0..SURE).all(|k| bytes.get(at + k * stride) == Some(&SYNC));
    // A time or a check may hold sync bytes too: where files usually begin is asked first.
    let usual = [(0, STRIDES[0]), (4, STRIDES[1]), (0, STRIDES[2])];
    if let Some(usual) = usual.into_iter().find(|(at, stride)| keeps(*at, *stride)) {
        return usual;
    }
    let mut starts = (0..bytes.len()).filter(|at| bytes[*at] == SYNC);
    (0, starts.find_map(|at| STRIDES.into_iter().find(|stride| keeps(at, *stride))).unwrap_or(PACKET))
}

/// Walks over the packets and finds the rhythm again where it is lost.
struct Packets<'a> {
    rest: &'a [u8],
    stride: usize,
}

impl<'a> Packets<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let (start, stride) = layout(bytes);
        Self { rest: &bytes[start..], stride }
    }

    /// The next packet, whatever is in it.
    fn raw(&mut self) -> Option<&'a [u8]> {
        let (rest, stride) = (self.rest, self.stride);
        // A packet is a sync byte with another one behind it, or with the end of the data.
        let in_step = |at: usize| rest[at] == SYNC && *rest.get(at + stride).unwrap_or(&SYNC) == SYNC;
        let last = rest.len().checked_sub(PACKET)?;
        let at = (0..=last).find(|at| in_step(*at))?;
        self.rest = rest.get(at + stride..).unwrap_or_default();
        rest.get(at..at + PACKET)
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        loop {
            if let Some(packet) = Packet::parse(self.raw()?) {
                return Some(packet);
            }
        }
    }
}

/// Whether most of the packets of `pid` that carry payload are encrypted (13818-1 2.4.3.3).
fn is_scrambled(bytes: &[u8], pid: u16) -> bool {
    let mut packets = Packets::new(bytes);
    let (mut scrambled, mut all) = (0u32, 0u32);
    while let Some(packet) = packets.raw() {
        if u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == pid && packet[3] & 0x10 != 0 && packet[1] & 0x80 == 0 {
            all += 1;
            scrambled += u32::from(packet[3] & 0xc0 != 0);
        }
    }
    2 * scrambled > all
}

/// The first intact section of `table` on `pid` that `parse` takes, given the packet in which it ends, its number (table id
/// extension) and its body.
fn find_section<T>(
    bytes: &[u8],
    pid: u16,
    table: u8,
    mut parse: impl FnMut(usize, u16, &[u8]) -> Option<T>,
) -> Option<T> {
    let mut section: Vec<u8> = Vec::new();
    for (at, packet) in Packets::new(bytes).enumerate().filter(|(_, packet)| packet.pid == pid) {
        if packet.start {
            let Some((pointer, rest)) = packet.payload.split_first() else { continue };
            section.clear();
            section.extend_from_slice(rest.get(usize::from(*pointer)..).unwrap_or_default());
        } else if !section.is_empty() {
            section.extend_from_slice(packet.payload);
        }
        // Sections have at most 1024 bytes; several may follow each other.
        while section.len() >= 3 && section[0] != 0xff {
            let len = 3 + usize::from(u16::from_be_bytes([section[1] & 0x0f, section[2]]));
            if section.len() < len {
                break;
            }
            let rest = section.split_off(len);
            let intact = section[0] == table && len >= 12 && crc32(&section) == 0;
            if let (true, Some(body)) = (intact, section.get(8..len.saturating_sub(4)))
                && let Some(found) = parse(at, u16::from_be_bytes([section[3], section[4]]), body)
            {
                return Some(found);
            }
            section = rest;
        }
    }
    None
}

/// The programmes' numbers, and the PIDs of their maps.
fn parse_pat(body: &[u8]) -> Option<Vec<(u16, u16)>> {
    let programs = body.chunks_exact(4).filter(|entry| entry[..2] != [0, 0]);
    let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Some(programs.map(|entry| (word(entry[0], entry[1]), word(entry[2] & 0x1f, entry[3]))).take(16).collect())
}

/// What a programme consists of.
struct Map {
    /// The packet with which this holds.
    from: usize,
    entries: Vec<Entry>,
}

/// All that the maps of `programme` on `pid` say, without repetitions.
fn versions(bytes: &[u8], pid: u16, programme: u16) -> Vec<Map> {
    let mut versions: Vec<Map> = Vec::new();
    find_section(bytes, pid, 0x02, |from, number, body| {
        if number != programme {
            return None;
        }
        let entries = parse_pmt(body).filter(|map| versions.last().is_none_or(|last| last.entries != *map));
        if versions.len() < MAX_VERSIONS {
            versions.extend(entries.map(|entries| Map { from, entries }));
        }
        None::<()>
    });
    versions
}

/// Video that takes the place of the one that is read.
struct OtherVideo {
    name: &'static str,
    pid: u16,
    /// The packets for which its map holds.
    from: usize,
    until: usize,
}

impl OtherVideo {
    fn covers(&self, at: usize, pid: u16) -> bool {
        pid == self.pid && (self.from..self.until).contains(&at)
    }
}

/// Of maps that have video, but none of `kind`.
fn other_video(maps: &[Map], kind: VideoKind) -> Vec<OtherVideo> {
    let ends = maps.iter().skip(1).map(|map| map.from).chain([usize::MAX]);
    let lacking = maps.iter().zip(ends).filter(|(map, _)| map.entries.iter().all(|entry| entry.video() != Some(kind)));
    let other = |(map, until): (&Map, usize)| {
        let named = |entry: &Entry| Some((entry.video().map(VideoKind::name).or(entry.foreign_video())?, entry.pid));
        let (name, pid) = map.entries.iter().find_map(named)?;
        Some(OtherVideo { name, pid, from: map.from, until })
    };
    lacking.filter_map(other).collect()
}

/// One elementary stream of a programme map.
#[derive(PartialEq, Eq)]
struct Entry {
    stream_type: u8,
    pid: u16,
    descriptors: Vec<u8>,
}

impl Entry {
    fn video(&self) -> Option<VideoKind> {
        match self.stream_type {
            H264 => Some(VideoKind::H264),
            HEVC => Some(VideoKind::Hevc),
            _ => None,
        }
    }

    /// What it is if it is video that is not read.
    fn foreign_video(&self) -> Option<&'static str> {
        Some(match self.stream_type {
            0x01 | 0x02 => "MPEG-1/2 video",
            0x10 => "MPEG-4 part 2 video",
            0x33 => "VVC",
            0xd1 => "Dirac",
            0xea => "VC-1",
            0x06 if registered(&self.descriptors) == Some(b"AV01") => "AV1",
            _ => return None,
        })
    }

    /// For people.
    fn name(&self) -> String {
        let number = format!("{:#04x}", self.stream_type);
        self.foreign_video().map_or_else(|| number.clone(), |name| format!("{number} {name}"))
    }

    fn is_known_audio(&self) -> bool {
        self.stream_type == AAC_ADTS || coding(self.stream_type, &self.descriptors).is_some()
    }

    /// Whether sound goes on in the same coding.
    fn codes_like(&self, other: &Self) -> bool {
        let coding = |entry: &Self| coding(entry.stream_type, &entry.descriptors);
        match coding(self) {
            None => self.stream_type == other.stream_type,
            have => have == coding(other),
        }
    }

    /// DTS, and Opus with more than two channels.
    fn is_foreign_audio(&self) -> bool {
        matches!(self.stream_type, 0x82 | 0x8a) || registered(&self.descriptors) == Some(b"Opus")
    }
}

/// Stream types of MPEG audio, of ATSC, and private ones with the descriptors of DVB (EN 300 468) or a registration.
fn coding(stream_type: u8, descriptors: &[u8]) -> Option<AudioCoding> {
    let has = |tag| described(descriptors).any(|(have, _)| have == tag);
    match (stream_type, registered(descriptors)) {
        (0x03 | 0x04, _) => Some(AudioCoding::Mpeg),
        (AAC_LATM, _) => Some(AudioCoding::Latm),
        (0x81, _) | (0x06, Some(b"AC-3")) => Some(AudioCoding::Ac3),
        (0x87, _) | (0x06, Some(b"EAC3")) => Some(AudioCoding::Eac3),
        (0x06, Some(b"Opus")) => {
            // DVB's extension for Opus says how many channels there are; 0 is two independent ones.
            let extension = described(descriptors).find(|(tag, body)| *tag == 0x7f && body.first() == Some(&0x80));
            match extension.and_then(|(_, body)| body.get(1).copied()) {
                Some(1) => Some(AudioCoding::Opus { channels: 1 }),
                None | Some(0 | 2) => Some(AudioCoding::Opus { channels: 2 }),
                Some(_) => None,
            }
        }
        (0x06, _) if has(0x6a) => Some(AudioCoding::Ac3),
        (0x06, _) if has(0x7a) => Some(AudioCoding::Eac3),
        _ => None,
    }
}

/// Tag and body of every descriptor.
pub(crate) fn described(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [tag, len, tail @ ..] = rest else { return None };
        let (body, next) = tail.split_at_checked(usize::from(*len))?;
        rest = next;
        Some((*tag, body))
    })
}

/// The identifier of a registration descriptor.
fn registered(descriptors: &[u8]) -> Option<&[u8; 4]> {
    described(descriptors).find(|(tag, _)| *tag == 0x05).and_then(|(_, body)| body.first_chunk())
}

fn parse_pmt(body: &[u8]) -> Option<Vec<Entry>> {
    let info = usize::from(u16::from_be_bytes([body.get(2)? & 0x0f, *body.get(3)?]));
    let mut rest = body.get(4 + info..)?;
    let mut entries = Vec::new();
    while let [stream_type, pid_high, pid_low, len_high, len_low, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([len_high & 0x0f, *len_low]));
        let descriptors = tail.get(..len)?.to_vec();
        entries.push(Entry {
            stream_type: *stream_type,
            pid: u16::from_be_bytes([pid_high & 0x1f, *pid_low]),
            descriptors,
        });
        rest = &tail[len..];
    }
    Some(entries)
}

/// Puts the PES packets of one track together.
struct Collector<'a> {
    /// Where it is, and where it goes on later.
    pids: Vec<u16>,
    /// Where it was last.
    on: u16,
    units: Vec<Unit>,
    /// Bytes that the last unit may still take; `None` while there is no unit to continue.
    room: Option<usize>,
    /// Counter and payload of the last packet.
    before: Option<(u8, &'a [u8])>,
    lost: u32,
}

impl<'a> Collector<'a> {
    fn new(pid: u16) -> Self {
        Self { pids: vec![pid], on: pid, units: Vec::new(), room: None, before: None, lost: 0 }
    }

    fn take(&mut self, packet: &Packet<'a>) {
        // Packets are counted on each id by itself.
        if packet.pid != self.on {
            (self.on, self.before, self.room) = (packet.pid, None, None);
        }
        match self.before {
            // 13818-1 2.4.3.3: a packet may be sent twice. An equal counter alone also comes from joined streams.
            Some(before) if before == (packet.counter, packet.payload) => return,
            Some((counter, _)) if (counter + 1) & 0x0f != packet.counter => self.lost += 1,
            _ => {}
        }
        self.before = Some((packet.counter, packet.payload));
        let mut payload = packet.payload;
        if packet.start {
            self.room = None;
            let Some((unit, len, body)) = parse_pes(payload) else { return };
            self.units.push(unit);
            self.room = Some(len);
            payload = body;
        }
        if let (Some(room), Some(unit)) = (&mut self.room, self.units.last_mut()) {
            let take = payload.len().min(*room);
            unit.data.extend_from_slice(&payload[..take]);
            *room -= take;
        }
    }
}

/// A PES header: the times, the payload's length (unbounded for most video) and what follows in this packet.
fn parse_pes(bytes: &[u8]) -> Option<(Unit, usize, &[u8])> {
    let [0, 0, 1, _id, len_high, len_low, marks, flags, header, rest @ ..] = bytes else { return None };
    if marks & 0xc0 != 0x80 {
        return None;
    }
    let header = usize::from(*header);
    let (fields, body) = rest.split_at_checked(header)?;
    let pts = if flags & 0x80 != 0 { Some(timestamp(fields.get(..5)?)) } else { None };
    let dts = if flags & 0xc0 == 0xc0 { Some(timestamp(fields.get(5..10)?)) } else { None };
    let len = match usize::from(u16::from_be_bytes([*len_high, *len_low])) {
        0 => usize::MAX,
        len => len.checked_sub(3 + header)?,
    };
    Some((Unit { pts, dts, data: Vec::new() }, len, body))
}

fn timestamp(bytes: &[u8]) -> i64 {
    let byte = |i: usize| i64::from(bytes[i]);
    ((byte(0) >> 1) & 7) << 30 | byte(1) << 22 | (byte(2) >> 1) << 15 | byte(3) << 7 | byte(4) >> 1
}
