//! The few fields of H.264 headers (ITU-T H.264, 7.3) that an order speaks of: `AvcHeaders` of the contracts.
//!
//! `None` is what the contract refuses as cut wrongly.

/// Kinds of units.
pub(super) const IDR: u8 = 5;
pub(super) const SEQUENCE: u8 = 7;
pub(super) const PICTURE: u8 = 8;
/// Bytes of a sequence parameter set that are read at most; they are shorter.
const SET: usize = 1024;
/// Bytes that hold the first few numbers of any unit.
pub(super) const BEGIN: usize = 32;

/// What a sequence parameter set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) profile: u8,
    pub(super) level: u8,
    pub(super) chroma: u64,
    pub(super) depth: u64,
    pub(super) size: (u64, u64),
}

/// Where the unit after the next start code from `from` on begins.
fn next(stream: &[u8], from: usize) -> Option<usize> {
    let rest = stream.get(from..stream.len().checked_sub(1)?)?;
    rest.windows(3).position(|window| window == [0, 0, 1]).map(|at| from + at + 3)
}

/// Where units begin.
pub(super) fn units(stream: &[u8]) -> impl Iterator<Item = usize> {
    std::iter::successors(next(stream, 0), |pos| next(stream, *pos))
}

/// The kind of the unit at `pos`.
pub(super) fn kind(stream: &[u8], pos: usize) -> u8 {
    stream.get(pos).map_or(0, |header| header & 0x1f)
}

pub(super) fn first_slice(stream: &[u8]) -> Option<usize> {
    units(stream).find(|pos| (1..=IDR).contains(&kind(stream, *pos)))
}

/// The last unit of this kind and number before `end`.
pub(super) fn parameters(stream: &[u8], wanted: u8, id: u64, end: usize) -> Option<Option<usize>> {
    let mut last = None;
    for pos in units(stream).filter(|pos| *pos < end && kind(stream, *pos) == wanted) {
        let mut bits = Bits::of(stream, pos, BEGIN);
        if wanted == SEQUENCE {
            bits.pos = 24; // profile, constraints, level
        }
        if bits.golomb()? == id {
            last = Some(pos);
        }
    }
    Some(last)
}

/// Bits of a unit without the bytes that prevent start codes, from behind its header on.
pub(super) struct Bits {
    data: Vec<u8>,
    pos: usize,
}

impl Bits {
    /// Of the unit at `pos`, up to the next start code, the end of what there is, or `most` bytes.
    pub(super) fn of(stream: &[u8], pos: usize, most: usize) -> Self {
        let end = stream.len().min(pos + most);
        let mut zeros = 0;
        let mut data = Vec::new();
        for value in stream.get(pos + 1..end).unwrap_or(&[]) {
            match (zeros, *value) {
                (2.., 3) => zeros = 0,
                (2.., 1) => {
                    // The next start code, and zeros before it that belong to no unit.
                    data.truncate(data.len() - zeros);
                    break;
                }
                (_, value) => {
                    zeros = if value == 0 { zeros + 1 } else { 0 };
                    data.push(value);
                }
            }
        }
        Self { data, pos: 0 }
    }

    fn read(&mut self, count: usize) -> Option<u64> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.pos / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.pos % 8) & 1);
            self.pos += 1;
        }
        Some(value)
    }

    /// Exp-Golomb (9.1), up to 32 bits and a little.
    pub(super) fn golomb(&mut self) -> Option<u64> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
        }
        if zeros > 32 {
            return None;
        }
        Some((1 << zeros) - 1 + self.read(zeros)?)
    }
}

/// The sequence parameter set at `pos` (7.3.2.1.1).
pub(super) fn sequence(stream: &[u8], pos: usize) -> Option<Sequence> {
    let mut bits = Bits::of(stream, pos, SET);
    let profile = bits.read(8)? as u8;
    bits.read(8)?; // constraints
    let level = bits.read(8)? as u8;
    bits.golomb()?; // its number
    let (chroma, depth) = match profile {
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135 => high(&mut bits)?,
        _ => (1, 8),
    };
    bits.golomb()?; // bits of frame numbers
    order(&mut bits)?;
    bits.golomb()?; // reference frames
    bits.read(1)?; // gaps in frame numbers
    Some(Sequence { profile, level, chroma, depth, size: extent(&mut bits, chroma)? })
}

/// Chroma format and bits of a sample.
fn high(bits: &mut Bits) -> Option<(u64, u64)> {
    let chroma = bits.golomb()?;
    if chroma == 3 {
        bits.read(1)?; // planes coded apart
    }
    let depth = 8 + bits.golomb()?.max(bits.golomb()?);
    bits.read(1)?; // lossless
    if bits.read(1)? == 1 {
        for list in 0..if chroma == 3 { 12 } else { 8 } {
            if bits.read(1)? == 1 {
                scaling(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some((chroma, depth))
}

/// Skips a scaling list (7.3.2.1.1.1).
fn scaling(bits: &mut Bits, size: usize) -> Option<()> {
    let (mut last, mut following) = (8, 8);
    for _ in 0..size {
        if following == 0 {
            break;
        }
        // A signed value: 0, 1, -1, 2, -2; modulo 256.
        let code = bits.golomb()?;
        let delta = if code & 1 == 1 { code.div_ceil(2) } else { 256 - code / 2 % 256 };
        following = (last + delta) % 256;
        if following != 0 {
            last = following;
        }
    }
    Some(())
}

/// Skips what says in which order pictures are shown.
fn order(bits: &mut Bits) -> Option<()> {
    match bits.golomb()? {
        0 => drop(bits.golomb()?),
        1 => {
            bits.read(1)?;
            bits.golomb()?;
            bits.golomb()?;
            let cycle = bits.golomb().filter(|cycle| *cycle < 256)?;
            for _ in 0..cycle {
                bits.golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

fn extent(bits: &mut Bits, chroma: u64) -> Option<(u64, u64)> {
    let (columns, rows) = (bits.golomb()? + 1, bits.golomb()? + 1);
    let frames = bits.read(1)?; // only frames, no fields
    if frames == 0 {
        bits.read(1)?;
    }
    bits.read(1)?; // direct prediction of 8x8
    let (width, height) = (16 * columns, 16 * rows * (2 - frames));
    if bits.read(1)? == 0 {
        return Some((width, height));
    }
    let (x, y) = (if matches!(chroma, 1 | 2) { 2 } else { 1 }, if chroma == 1 { 2 } else { 1 });
    let across = (bits.golomb()? + bits.golomb()?) * x;
    let down = (bits.golomb()? + bits.golomb()?) * y * (2 - frames);
    (across < width && down < height).then(|| (width - across, height - down))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Bits of a test's own parameter set.
    struct Writer(Vec<bool>);

    impl Writer {
        fn write(&mut self, value: u64, count: usize) -> &mut Self {
            self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
            self
        }

        fn golomb(&mut self, value: u64) -> &mut Self {
            let bits = (value + 1).ilog2() as usize;
            self.write(0, bits).write(value + 1, bits + 1)
        }

        /// As a unit behind a start code, another one behind it.
        fn unit(&self, header: u8) -> Vec<u8> {
            let mut bytes = vec![0, 0, 1, header];
            let mut zeros = 0;
            let byte = |bits: &[bool]| bits.iter().rev().enumerate().map(|(i, bit)| u8::from(*bit) << i).sum::<u8>();
            let mut padded = self.0.clone();
            padded.push(true);
            padded.resize(padded.len().next_multiple_of(8), false);
            for value in padded.chunks(8).map(byte) {
                if zeros >= 2 && value <= 3 {
                    bytes.push(3);
                    zeros = 0;
                }
                zeros = if value == 0 { zeros + 1 } else { 0 };
                bytes.push(value);
            }
            bytes.extend([0, 0, 1, 0x65, 0x88]);
            bytes
        }
    }

    #[test]
    fn parameter_sets_of_all_kinds() {
        // Baseline, level 3.1, 1280x720 without cropping.
        let mut plain = Writer(Vec::new());
        plain.write(66, 8).write(0, 8).write(31, 8).golomb(0).golomb(0).golomb(2).golomb(1).write(0, 1);
        plain.golomb(79).golomb(44).write(1, 1).write(1, 1).write(0, 1);
        let want = Sequence { profile: 66, level: 31, chroma: 1, depth: 8, size: (1280, 720) };
        assert_eq!(sequence(&plain.unit(0x67), 3), Some(want));

        // High 4:2:2 of ten bits in fields, with scaling lists and a picture order cycle, cropped to 1920x1080.
        let mut rich = Writer(Vec::new());
        rich.write(122, 8).write(0, 8).write(40, 8).golomb(3).golomb(2).golomb(2).golomb(1).write(0, 1).write(1, 1);
        // The first list ends at once (8 - 8), the second repeats a value, six are absent.
        rich.write(1, 1).golomb(16).write(1, 1).golomb(1);
        (0..15).for_each(|_| _ = rich.golomb(0));
        rich.write(0, 6);
        rich.golomb(0).golomb(1).write(0, 1).golomb(0).golomb(0).golomb(2).golomb(7).golomb(8).golomb(4).write(0, 1);
        rich.golomb(119).golomb(33).write(0, 1).write(1, 1).write(1, 1).write(1, 1);
        rich.golomb(0).golomb(0).golomb(0).golomb(4);
        let want = Sequence { profile: 122, level: 40, chroma: 2, depth: 10, size: (1920, 1080) };
        assert_eq!(sequence(&rich.unit(0x67), 3), Some(want));

        // Cut off anywhere, it says nothing.
        let unit = plain.unit(0x67);
        assert_eq!(sequence(&unit[..10], 3), None);
        assert_eq!(first_slice(&unit), Some(unit.len() - 2));
    }

    #[test]
    fn bytes_against_start_codes_are_taken_out() {
        let bits = Bits::of(&[0, 0, 1, 0x67, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 0, 0, 1, 9, 9], 3, SET);
        assert_eq!(bits.data, [0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn golomb_codes() {
        let mut bits = Bits { data: vec![0b1010_0110, 0b0100_0000], pos: 0 };
        assert_eq!([bits.golomb(), bits.golomb(), bits.golomb(), bits.golomb()], [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(Bits { data: vec![0; 5], pos: 0 }.golomb(), None);
        assert_eq!(Bits { data: vec![0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255], pos: 0 }.golomb(), None);
    }
}
