//! From transport packets to access units.

use headframe_kernels::Orientation;

use super::packets::{Packet, Packets, is_scrambled};
use super::tables::{AudioCoding, Entry, Map, VideoKind, coding, programmes, versions};
use crate::error::EngineError;

/// Audio tracks kept; further ones are left out.
pub(crate) const MAX_AUDIO: usize = 8;

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

/// The video and the sound of a segment: of a transport stream, the first programme with video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// What the video units hold.
    pub kind: VideoKind,
    /// How the container says that pictures are turned, unless they say so themselves.
    pub orientation: Orientation,
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
    let map = &maps[first].entries;
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
    let mut streams: Vec<Collector<'_>> = (0..=known.len()).map(|_| Collector::default()).collect();
    let mut routes = Routes::of(maps, kind, &known);
    let others = other_video(maps, kind);
    for (at, packet) in Packets::new(bytes).enumerate() {
        if let Some(other) = others.iter().find(|other| packet.start && other.covers(at, packet.pid)) {
            let is_before = other.until <= maps[first].from;
            let (from, to) = if is_before { (other.name, kind.name()) } else { (kind.name(), other.name) };
            return Err(EngineError::VideoChanges { from: from.to_owned(), to: to.to_owned() });
        }
        if let Some(stream) = routes.stream(at, packet.pid) {
            streams[stream].take(&packet);
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
    let orientation = Orientation::UPRIGHT;
    Ok(Media { kind, orientation, video, audio: audio.filter(|track| !track.units.is_empty()).collect(), lost })
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

/// What a packet id means to a map.
#[derive(Clone, Copy)]
enum Role {
    /// Nothing is said of it.
    Unlisted,
    /// A track that is not read.
    Other,
    /// The video (0) or a sound track (from 1).
    Stream(u8),
}

/// Where packets belong while the map changes: tracks may move to other ids, also to each other's.
struct Routes {
    /// The packet from which on it holds, and the role of every id.
    steps: Vec<(usize, Vec<Role>)>,
    now: usize,
}

impl Routes {
    /// Follows the video of `kind` and the sound tracks `known` through all of `maps`.
    fn of(maps: &[Map], kind: VideoKind, known: &[&Entry]) -> Self {
        let step = |map: &Map| {
            let mut roles = vec![Role::Unlisted; 1 << 13];
            for entry in &map.entries {
                roles[usize::from(entry.pid)] = Role::Other;
            }
            let video = map.entries.iter().find(|entry| entry.video() == Some(kind));
            let sound = same_tracks(known, &map.entries);
            for (i, entry) in std::iter::once(video).chain(sound).enumerate() {
                if let Some(entry) = entry {
                    roles[usize::from(entry.pid)] = Role::Stream(i as u8);
                }
            }
            (map.from, roles)
        };
        Self { steps: maps.iter().map(step).collect(), now: 0 }
    }

    /// Where packet number `at` belongs; numbers only grow. An id that the current map does not list keeps the role that
    /// another one gives it, because maps may come too early or be torn.
    fn stream(&mut self, at: usize, pid: u16) -> Option<usize> {
        while self.steps.get(self.now + 1).is_some_and(|(from, _)| *from <= at) {
            self.now += 1;
        }
        let stream = |(_, roles): &(usize, Vec<Role>)| match roles[usize::from(pid)] {
            Role::Stream(stream) => Some(usize::from(stream)),
            _ => None,
        };
        match self.steps[self.now].1[usize::from(pid)] {
            Role::Stream(stream) => Some(usize::from(stream)),
            Role::Other => None,
            Role::Unlisted => self.steps.iter().find_map(stream),
        }
    }
}

/// Each of the sound tracks among other entries, if it goes on there in the same coding: what is described alike rather
/// than what has the same id, and otherwise what comes in the same order.
fn same_tracks<'a>(known: &[&Entry], entries: &'a [Entry]) -> Vec<Option<&'a Entry>> {
    let sound: Vec<&Entry> = entries.iter().filter(|entry| entry.is_known_audio()).collect();
    let mut found = vec![None; known.len()];
    let mut free = vec![true; sound.len()];
    let alike = |a: &Entry, b: &Entry| a.descriptors == b.descriptors;
    let in_place = |a: &Entry, b: &Entry| a.pid == b.pid;
    for same in
        [&|a, b| alike(a, b) && in_place(a, b), &alike, &in_place, &|_, _| true] as [&dyn Fn(&Entry, &Entry) -> bool; 4]
    {
        for (have, found) in known.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            let next = (0..sound.len()).find(|i| free[*i] && have.codes_like(sound[*i]) && same(have, sound[*i]));
            if let Some(next) = next {
                free[next] = false;
                *found = Some(sound[next]);
            }
        }
    }
    found
}

/// Puts the PES packets of one track together.
#[derive(Default)]
struct Collector<'a> {
    /// The id of the last packet.
    on: Option<u16>,
    units: Vec<Unit>,
    /// Bytes that the last unit may still take; `None` while there is no unit to continue.
    room: Option<usize>,
    /// Counter and payload of the last packet.
    before: Option<(u8, &'a [u8])>,
    lost: u32,
}

impl<'a> Collector<'a> {
    fn take(&mut self, packet: &Packet<'a>) {
        // Packets are counted on each id by itself.
        if self.on != Some(packet.pid) {
            (self.on, self.before, self.room) = (Some(packet.pid), None, None);
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
