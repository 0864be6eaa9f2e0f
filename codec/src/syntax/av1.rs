//! AV1: open bitstream units and the sequence header.

use super::Bits;

/// Types of open bitstream units (AV1 6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// One open bitstream unit.
struct Obu<'a> {
    kind: u8,
    /// Header, size and payload.
    whole: &'a [u8],
    payload: &'a [u8],
}

/// The units of a temporal unit; ends early where something is damaged or has no size.
fn obus(mut rest: &[u8]) -> impl Iterator<Item = Obu<'_>> {
    std::iter::from_fn(move || {
        let header = *rest.first()?;
        // Forbidden bit, and `obu_has_size_field`, which low-overhead streams always set.
        if header & 0x82 != 2 {
            return None;
        }
        let begin = if header & 4 == 0 { 1 } else { 2 };
        let (mut size, mut at) = (0u64, begin);
        // `leb128()`: at most eight bytes of seven bits.
        loop {
            let byte = *rest.get(at)?;
            size |= u64::from(byte & 0x7f) << (7 * (at - begin));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
            if at - begin == 8 {
                return None;
            }
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        let (whole, next) = rest.split_at_checked(end)?;
        rest = next;
        Some(Obu { kind: header >> 3 & 0x0f, whole, payload: &whole[at..] })
    })
}

/// Whether every unit of it says its size, as decoders on cards may want it; of ISO files the last may do without (AV1 in ISOBMFF
/// 2.4).
pub(crate) fn all_sized(unit: &[u8]) -> bool {
    obus(unit).map(|obu| obu.whole.len()).sum::<usize>() == unit.len()
}

/// A temporal unit as ISO files hold it (AV1 in ISOBMFF 2.4): without its delimiter.
pub(crate) fn without_delimiters(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(unit.len());
    for obu in obus(unit).filter(|obu| obu.kind != TEMPORAL_DELIMITER) {
        out.extend_from_slice(obu.whole);
    }
    out
}

/// What the sequence header says (AV1 5.5), as far as a container has to repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) profile: u8,
    /// Of the first operating point.
    pub(crate) level: u8,
    pub(crate) high_tier: bool,
    pub(crate) bit_depth: u8,
    pub(crate) monochrome: bool,
    pub(crate) subsampling: (bool, bool),
    pub(crate) sample_position: u8,
}

/// The first sequence header of a temporal unit: the whole unit, and what it says.
pub(crate) fn sequence(unit: &[u8]) -> Option<(&[u8], Sequence)> {
    let obu = obus(unit).find(|obu| obu.kind == SEQUENCE_HEADER)?;
    Some((obu.whole, parse(obu.payload)?))
}

/// AV1 in ISOBMFF annex A: profile, level, tier and bit depth. `av01` alone if there is no sequence header.
pub(crate) fn codecs(unit: &[u8]) -> String {
    let Some((_, Sequence { profile, level, high_tier, bit_depth, .. })) = sequence(unit) else {
        return "av01".to_owned();
    };
    let tier = if high_tier { 'H' } else { 'M' };
    format!("av01.{profile}.{level:02}{tier}.{bit_depth:02}")
}

fn parse(payload: &[u8]) -> Option<Sequence> {
    let bits = &mut Bits::new(payload);
    let profile = bits.take(3)? as u8;
    let _still_picture = bits.flag()?;
    let reduced = bits.flag()?;
    let (level, high_tier) = if reduced { (bits.take(5)? as u8, false) } else { operating_points(bits)? };
    let (width_bits, height_bits) = (bits.take(4)? as usize + 1, bits.take(4)? as usize + 1);
    bits.take(width_bits)?;
    bits.take(height_bits)?;
    if !reduced && bits.flag()? {
        // Lengths of frame identifiers.
        bits.take(4 + 3)?;
    }
    // Superblock size, filter intra, intra edge filter.
    bits.take(3)?;
    if !reduced {
        tools(bits)?;
    }
    // Super resolution, CDEF, restoration.
    bits.take(3)?;
    colours(bits, Sequence { profile, level, high_tier, bit_depth: 8, ..EMPTY })
}

const EMPTY: Sequence = Sequence {
    profile: 0,
    level: 0,
    high_tier: false,
    bit_depth: 8,
    monochrome: false,
    subsampling: (true, true),
    sample_position: 0,
};

/// Timing and operating points; level and tier of the first one.
fn operating_points(bits: &mut Bits<'_>) -> Option<(u8, bool)> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.take(32)?;
        bits.take(32)?;
        if bits.flag()? {
            bits.uvlc()?;
        }
        if bits.flag()? {
            let length = bits.take(5)? as usize + 1;
            bits.take(32)?;
            bits.take(5 + 5)?;
            delay_bits = Some(length);
        }
    }
    let display_delays = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.take(5)? {
        bits.take(12)?;
        let level = bits.take(5)? as u8;
        let high_tier = level > 7 && bits.flag()?;
        if let Some(length) = delay_bits
            && bits.flag()?
        {
            bits.take(length)?;
            bits.take(length)?;
            bits.take(1)?;
        }
        if display_delays && bits.flag()? {
            bits.take(4)?;
        }
        first = first.or(Some((level, high_tier)));
    }
    first
}

/// The coding tools between the superblock size and super resolution.
fn tools(bits: &mut Bits<'_>) -> Option<()> {
    // Inter-intra, masked, warped, dual filter.
    bits.take(4)?;
    let order_hint = bits.flag()?;
    if order_hint {
        bits.take(2)?;
    }
    // A flag each that leaves the choice to the frames, else the choice.
    let screen_content = bits.flag()? || bits.flag()?;
    if screen_content && !bits.flag()? {
        bits.take(1)?;
    }
    if order_hint {
        bits.take(3)?;
    }
    Some(())
}

/// `color_config()`, AV1 5.5.2.
fn colours(bits: &mut Bits<'_>, mut sequence: Sequence) -> Option<Sequence> {
    let high = bits.flag()?;
    sequence.bit_depth = match (high, sequence.profile) {
        (true, 2) => 10 + 2 * bits.take(1)? as u8,
        (true, _) => 10,
        (false, _) => 8,
    };
    sequence.monochrome = sequence.profile != 1 && bits.flag()?;
    let named = if bits.flag()? { (bits.take(8)?, bits.take(8)?, bits.take(8)?) } else { (2, 2, 2) };
    if sequence.monochrome {
        return Some(sequence);
    }
    if named == (1, 13, 0) {
        sequence.subsampling = (false, false);
        return Some(sequence);
    }
    let _full_range = bits.flag()?;
    sequence.subsampling = match (sequence.profile, sequence.bit_depth) {
        (0, _) => (true, true),
        (1, _) => (false, false),
        (_, 12) => {
            let across = bits.flag()?;
            (across, across && bits.flag()?)
        }
        _ => (true, false),
    };
    if sequence.subsampling == (true, true) {
        sequence.sample_position = bits.take(2)? as u8;
    }
    Some(sequence)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// Delimiter and sequence header of 1280x720 at 30 pictures a second, by libsvtav1.
    const UNIT: [u8; 15] = [0x12, 0, 0x0a, 0x0b, 0, 0, 0, 0x2d, 0x4c, 0xff, 0xb3, 0xcf, 0xbf, 0x90, 0x24];
    /// As above, 640x360, with colours named.
    const NAMED: [u8; 18] =
        [0x12, 0, 0x0a, 0x0e, 0, 0, 0, 0x0c, 0xc4, 0xff, 0x67, 0x3e, 0xfe, 0x44, 0x04, 0x08, 0x0a, 0x90];

    #[test]
    fn the_sequence_header_is_read() {
        let (whole, found) = sequence(&UNIT).unwrap();
        assert_eq!(whole, &UNIT[2..]);
        assert_eq!(found, Sequence { level: 5, sample_position: 1, ..EMPTY });
        assert_eq!(sequence(&NAMED).unwrap().1, Sequence { level: 1, sample_position: 1, ..EMPTY });
        assert_eq!(codecs(&UNIT), "av01.0.05M.08");
        assert_eq!(without_delimiters(&UNIT), &UNIT[2..]);
        for len in 0..UNIT.len() {
            assert_eq!(codecs(&UNIT[..len]), "av01", "{len}");
        }
    }
}
