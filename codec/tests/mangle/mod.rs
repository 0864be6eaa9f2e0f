//! Ways to break a transport stream: packet by packet, time by time, NAL unit by NAL unit. Streams come from ffmpeg's
//! muxer, whose first two tracks have the packet ids below.
#![allow(dead_code, reason = "each test binary uses its own part")]

use headframe_codec::ts::{self, PACKET, VideoKind, VideoUnit};

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
    let time = time.rem_euclid(ts::WRAP);
    to[0] = prefix << 4 | ((time >> 29) as u8 & 0x0e) | 1;
    to[1] = (time >> 22) as u8;
    to[2] = (time >> 14) as u8 | 1;
    to[3] = (time >> 7) as u8;
    to[4] = (time << 1) as u8 | 1;
}

/// Annex B bytes as NAL units without start codes.
pub(crate) fn split(data: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<usize> = (0..data.len().saturating_sub(2)).filter(|i| data[*i..*i + 3] == [0, 0, 1]).collect();
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    let nal = |(start, end): (&usize, usize)| {
        let nal = &data[start + 3..end];
        // The zero before the next start code belongs to that.
        let len = if end < data.len() && nal.last() == Some(&0) { nal.len() - 1 } else { nal.len() };
        nal[..len].to_vec()
    };
    starts.iter().zip(ends).map(nal).collect()
}

/// Takes a segment apart into NAL units, lets `change` at those of every access unit, and puts it together again.
pub(crate) fn edit_nals(bytes: &[u8], mut change: impl FnMut(usize, &mut Vec<Vec<u8>>)) -> Vec<u8> {
    let media = ts::demux(bytes).unwrap();
    let unit = |(i, unit): (usize, &ts::Unit)| {
        let mut nals = split(&unit.data);
        change(i, &mut nals);
        let data = nals.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect();
        VideoUnit { pts: unit.pts.unwrap(), key: i == 0, data }
    };
    let video: Vec<VideoUnit> = media.video.iter().enumerate().map(unit).collect();
    let kind = if media.kind == VideoKind::Hevc { ts::HEVC } else { ts::H264 };
    ts::mux(&video, &media.audio, kind)
}

/// The type of an H.264 NAL unit: 1 and 5 slices (5: IDR), 6 SEI, 7 SPS, 8 PPS, 9 access unit delimiter.
pub(crate) fn nal_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |first| first & 0x1f)
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
