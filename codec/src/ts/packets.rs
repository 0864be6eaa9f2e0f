//! Finding transport packets in bytes, whatever lies between them.

use super::PACKET;

/// One transport packet that carries payload.
pub(super) struct Packet<'a> {
    pub(super) pid: u16,
    pub(super) start: bool,
    pub(super) counter: u8,
    pub(super) payload: &'a [u8],
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
pub(super) struct Packets<'a> {
    rest: &'a [u8],
    stride: usize,
}

impl<'a> Packets<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
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
pub(super) fn is_scrambled(bytes: &[u8], pid: u16) -> bool {
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
