//! Damage to a transport stream that needs no reader of one: bits, packets, tables and times. Streams come from ffmpeg's
//! muxer, whose first two tracks have the packet ids below. Knows nothing of this project's own code, so that any of its
//! tests can take this file in.
#![allow(dead_code, reason = "each test binary uses its own part")]

/// Bytes of a packet.
pub(crate) const PACKET: usize = 188;
/// Where times begin again.
const WRAP: i64 = 1 << 33;
pub(crate) const VIDEO: u16 = 0x100;
pub(crate) const AUDIO: u16 = 0x101;

/// The packet id.
pub(crate) fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// Where the payload of a packet begins.
pub(crate) fn payload(packet: &[u8]) -> usize {
    if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) }
}

/// Keeps the packets for which `keep` says so, given their number.
pub(crate) fn filter(bytes: &[u8], mut keep: impl FnMut(usize, &[u8]) -> bool) -> Vec<u8> {
    let kept = bytes.chunks_exact(PACKET).enumerate().filter(|(i, packet)| keep(*i, packet));
    kept.flat_map(|(_, packet)| packet).copied().collect()
}

/// The times in one PES header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) pts: Option<i64>,
    pub(crate) dts: Option<i64>,
}

/// Rewrites the times of every PES packet on a packet id; `change` also gets its number. Headers keep their size, so a
/// time can be changed or taken away, and added only where one was.
pub(crate) fn retime(bytes: &[u8], of: u16, mut change: impl FnMut(usize, &mut Times)) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let starts = out.chunks_exact_mut(PACKET).filter(|packet| pid(packet) == of && packet[1] & 0x40 != 0);
    for (number, packet) in starts.enumerate() {
        let header = payload(packet);
        let (flags, len) = (packet[header + 7], usize::from(packet[header + 8]));
        let fields = &mut packet[header + 9..header + 9 + len];
        let mut times = Times {
            pts: (flags & 0x80 != 0).then(|| read_time(&fields[..5])),
            dts: (flags & 0xc0 == 0xc0).then(|| read_time(&fields[5..10])),
        };
        change(number, &mut times);
        fields.fill(0xff);
        let mut marks = 0;
        if let Some(pts) = times.pts {
            marks = 0x80;
            write_time(&mut fields[..5], if times.dts.is_some() { 3 } else { 2 }, pts);
            if let Some(dts) = times.dts {
                marks = 0xc0;
                write_time(&mut fields[5..10], 1, dts);
            }
        }
        packet[header + 7] = flags & 0x3f | marks;
    }
    out
}

fn read_time(b: &[u8]) -> i64 {
    let byte = |i: usize| i64::from(b[i]);
    ((byte(0) >> 1) & 7) << 30 | byte(1) << 22 | (byte(2) >> 1) << 15 | byte(3) << 7 | byte(4) >> 1
}

fn write_time(to: &mut [u8], prefix: u8, time: i64) {
    let time = time.rem_euclid(WRAP);
    to[0] = prefix << 4 | ((time >> 29) as u8 & 0x0e) | 1;
    to[1] = (time >> 22) as u8;
    to[2] = (time >> 14) as u8 | 1;
    to[3] = (time >> 7) as u8;
    to[4] = (time << 1) as u8 | 1;
}

/// A further track of a programme.
pub(crate) struct Track<'a> {
    pub(crate) stream_type: u8,
    pub(crate) pid: u16,
    /// Descriptors of the track, and of the programme.
    pub(crate) descriptors: (&'a [u8], &'a [u8]),
    /// What it carries, with PES headers.
    pub(crate) pes: Vec<Vec<u8>>,
}

/// Announces the track in every map and puts its packets between those that are there, evenly.
pub(crate) fn add_track(bytes: &[u8], track: &Track<'_>) -> Vec<u8> {
    let mut own: Vec<Vec<u8>> = track.pes.iter().flat_map(|pes| packetised(track.pid, pes)).collect();
    for (i, packet) in own.iter_mut().enumerate() {
        packet[3] |= i as u8 & 0x0f;
    }
    let (all, mut own) = (bytes.len() / PACKET, own.into_iter().enumerate().peekable());
    let step = all / (own.len() + 2);
    let mut out = Vec::new();
    for (i, packet) in bytes.chunks_exact(PACKET).enumerate() {
        match pid(packet) {
            0x1000 => out.extend(announced(packet, track)),
            _ => out.extend_from_slice(packet),
        }
        // Not before the tables, which are the first three packets.
        while let Some((_, packet)) = own.next_if(|(k, _)| i > 2 && i >= (k + 1) * step) {
            out.extend(packet);
        }
    }
    assert!(own.next().is_none(), "all of the track is in it");
    out
}

/// A packet with a map, one track longer.
fn announced(packet: &[u8], track: &Track<'_>) -> Vec<u8> {
    let start = payload(packet) + 1;
    let len = 3 + (usize::from(packet[start + 1] & 0x0f) << 8 | usize::from(packet[start + 2]));
    let mut map = packet[start..start + len - 4].to_vec();
    let information = usize::from(map[10] & 0x0f) << 8 | usize::from(map[11]);
    let [high, low] = track.pid.to_be_bytes();
    map.extend([track.stream_type, 0xe0 | high, low, 0xf0, track.descriptors.0.len() as u8]);
    map.extend(track.descriptors.0);
    map.splice(12..12, track.descriptors.1.iter().copied());
    map[11] = (information + track.descriptors.1.len()) as u8;
    map[2] = (map.len() + 4 - 3) as u8;
    let crc = crc32(&map).to_be_bytes();
    let mut out = [&packet[..start], &map, &crc].concat();
    assert!(out.len() <= PACKET, "the map fits one packet");
    out.resize(PACKET, 0xff);
    out
}

/// Packets with their counters at zero.
fn packetised(id: u16, pes: &[u8]) -> Vec<Vec<u8>> {
    let [high, low] = id.to_be_bytes();
    let packet = |(i, part): (usize, &[u8])| {
        let start = if i == 0 { 0x40 } else { 0 };
        let room = PACKET - 4 - part.len();
        let mut packet = vec![0x47, start | high, low, if room > 0 { 0x30 } else { 0x10 }];
        if room > 0 {
            packet.push((room - 1) as u8);
            packet.extend((1..room).map(|i| if i == 1 { 0 } else { 0xff }));
        }
        packet.extend(part);
        packet
    };
    pes.chunks(PACKET - 4).enumerate().map(packet).collect()
}

/// A PES packet with a time.
pub(crate) fn pes(stream: u8, pts: i64, data: &[u8]) -> Vec<u8> {
    let mut time = [0; 5];
    write_time(&mut time, 2, pts);
    let [high, low] = (data.len() as u16 + 8).to_be_bytes();
    [&[0, 0, 1, stream, high, low, 0x84, 0x80, 5], &time[..], data].concat()
}

/// The check sum of programme tables.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| (crc << 1) ^ if crc >> 31 == 0 { 0 } else { 0x04c1_1db7 })
    })
}

/// An H.264 sequence parameter set (7.3.2.1.1) for pictures of this many macroblocks.
pub(crate) fn parameter_set(width: u32, height: u32) -> Vec<u8> {
    let mut bits = String::from("011001110100001000000000") + &format!("{:08b}", 51);
    // Its number, bits of the frame number, the kind of picture order, reference pictures.
    for value in [0, 0, 2, 1] {
        bits += &exp_golomb(value);
    }
    bits += "0";
    bits += &(exp_golomb(width - 1) + &exp_golomb(height - 1));
    // Whole frames, direct inference, no cropping, no VUI, and the bit that ends all.
    bits += "11001";
    while bits.len() % 8 != 0 {
        bits.push('0');
    }
    (0..bits.len() / 8).map(|i| u8::from_str_radix(&bits[8 * i..8 * i + 8], 2).unwrap()).collect()
}

fn exp_golomb(value: u32) -> String {
    let binary = format!("{:b}", value + 1);
    "0".repeat(binary.len() - 1) + &binary
}

/// Numbers that repeat from run to run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

/// What is done to a segment; the second argument is a segment of another stream.
pub(crate) type Damage = fn(&[u8], &[u8], &mut Random) -> Vec<u8>;

/// Every kind of damage of this file.
pub(crate) const KINDS: [(&str, Damage); 11] = [
    ("bits flipped", |source, _, random| {
        let mut bytes = source.to_vec();
        for _ in 0..1 << random.below(9) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        bytes
    }),
    ("packets dropped", |source, _, random| {
        let one_in = 2 + random.below(40);
        filter(source, |_, _| random.below(one_in) != 0)
    }),
    ("packets repeated", |source, _, random| {
        source.chunks_exact(PACKET).flat_map(|packet| packet.repeat(1 + random.below(4) / 2)).collect()
    }),
    ("packets out of order", |source, _, random| {
        let mut packets: Vec<&[u8]> = source.chunks_exact(PACKET).collect();
        for _ in 0..1 + random.below(40) {
            let (a, b) = (random.below(packets.len()), random.below(packets.len()));
            packets.swap(a, b);
        }
        packets.concat()
    }),
    ("cut off", |source, _, random| source[..1 + random.below(source.len() - 1)].to_vec()),
    ("spliced", |source, other, random| {
        let (a, b) = (random.below(source.len()), random.below(other.len()));
        let (a, b) = if random.below(2) == 0 { (a, b) } else { (a - a % PACKET, b - b % PACKET) };
        [&source[..a], &other[b..], &source[a..]].concat()
    }),
    ("absurd PES headers", |source, _, random| {
        let mut bytes = source.to_vec();
        for packet in bytes.chunks_exact_mut(PACKET).filter(|p| p[1] & 0x40 != 0 && pid(p) >= VIDEO && pid(p) < 0x110) {
            if random.below(3) == 0 {
                let at = payload(packet) + 3 + random.below(7);
                packet[at] = random.byte();
            }
        }
        bytes
    }),
    ("tables", |source, _, random| {
        let mut bytes = source.to_vec();
        for packet in bytes.chunks_exact_mut(PACKET).filter(|packet| matches!(pid(packet), 0 | 0x1000)) {
            let len = 3 + (usize::from(packet[6] & 0x0f) << 8 | usize::from(packet[7]));
            for _ in 0..1 + random.below(3) {
                packet[5 + random.below(len - 4)] = random.byte();
            }
            // Half of them with the right check sum.
            if random.below(2) == 0 && 5 + len <= PACKET {
                let crc = crc32(&packet[5..5 + len - 4]);
                packet[5 + len - 4..5 + len].copy_from_slice(&crc.to_be_bytes());
            }
        }
        bytes
    }),
    ("times", |source, _, random| {
        let source = retime(source, AUDIO, |_, times| times.pts = times.pts.map(|_| random.below(1 << 30) as i64));
        let some = 1 + random.below(6);
        retime(&source, VIDEO, |_, times| {
            if random.below(some) == 0 {
                times.pts = times.pts.map(|_| (random.below(1 << 30) as i64) << 3);
            }
        })
    }),
    ("zeros", |source, _, random| {
        let mut bytes = source.to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            let len = random.below(bytes.len() - at).min(4000);
            bytes[at..at + len].fill(0);
        }
        bytes
    }),
    ("packet headers", |source, _, random| {
        let mut bytes = source.to_vec();
        for packet in bytes.chunks_exact_mut(PACKET) {
            if random.below(12) == 0 {
                packet[1 + random.below(4)] = random.byte();
            }
        }
        bytes
    }),
];
