//! From transport packets to access units.

use super::packets::{Packet, Packets, is_scrambled};
use super::tables::{AudioCoding, Entry, Map, VideoKind, coding, programmes, versions};
use crate::error::EngineError;

/// Audio tracks kept; further ones are left out.
const MAX_AUDIO: usize = 8;

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
    let programs = programmes(bytes).ok_or_else(|| missing("the programme association table"))?;
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
