//! What a few packets of an MPEG transport stream (ISO/IEC 13818-1) say about its video: `TransportStream` of the contracts.
//!
//! `None` is what the contract refuses as cut wrongly.

/// Bytes of a packet.
pub(super) const PACKET: usize = 188;
/// Its first byte.
pub(super) const SYNC: u8 = 0x47;

/// Where packet `number` begins in a piece of the stream that begins at byte `base` of it.
pub(super) fn locate(piece: &[u8], base: usize, number: usize) -> Option<usize> {
    let pos = number.checked_mul(PACKET)?.checked_sub(base)?;
    (pos + PACKET <= piece.len()).then_some(pos)
}

/// Whether a PES packet of video begins in the packet at `pos`.
pub(super) fn begins_video(piece: &[u8], pos: usize) -> Option<bool> {
    let packet = piece.get(pos..pos + PACKET).filter(|packet| packet[0] == SYNC)?;
    let video = |payload: &[u8]| matches!(payload, [0, 0, 1, id, ..] if id >> 4 == 0xe);
    Some(packet[1] & 0x40 != 0 && video(payload(packet)))
}

/// The bytes of the PES packet that begins in the packet at `pos`, as far as the piece holds them, without its header.
pub(super) fn unit(piece: &[u8], pos: usize) -> Option<Vec<u8>> {
    let id = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
    let packets = piece.get(pos..)?.chunks_exact(PACKET);
    let wanted = id(piece.get(pos..pos + PACKET)?);
    let mut bytes = Vec::new();
    for (number, packet) in packets.enumerate() {
        if packet[0] != SYNC {
            return None;
        }
        if id(packet) != wanted {
            continue;
        }
        if number > 0 && packet[1] & 0x40 != 0 {
            break;
        }
        bytes.extend_from_slice(payload(packet));
    }
    let header = 9 + usize::from(*bytes.get(8)?);
    bytes.get(header..).map(<[u8]>::to_vec)
}

/// What a packet carries behind its header and adaptation field.
fn payload(packet: &[u8]) -> &[u8] {
    let control = packet[3] >> 4 & 3;
    let from = if control & 2 == 0 { 4 } else { 5 + usize::from(packet[4]) };
    if control & 1 == 0 { &[] } else { packet.get(from..).unwrap_or(&[]) }
}
