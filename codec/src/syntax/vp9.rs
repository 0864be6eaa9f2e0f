//! VP9 (the bitstream's version 0.6): superframes and the beginning of frame headers, which libavcodec's parser does not tell.

use headframe_kernels::Format;

use super::Bits;

/// What the pictures of a stream are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    bits: u8,
    subsampling: (bool, bool),
    size: (u32, u32),
}

/// What a unit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    /// Whether decoding can begin here.
    pub(crate) key: bool,
    /// How the scaler reads its pictures; `None` where it does not, or where pictures of other sizes are among those since the
    /// last key frame.
    pub(crate) format: Option<Format>,
    /// Luma width and height of the last key frame; zeros before the first.
    pub(crate) size: (u32, u32),
}

/// Reads a stream unit by unit.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Of the last key frame.
    look: Option<Look>,
    /// Something since was not like it.
    mixed: bool,
}

/// What is read of a frame's header.
enum Head {
    Key(Look),
    /// Another one that says its size.
    Sized((u32, u32)),
    /// It has the size of frames before it.
    Plain,
}

impl Reader {
    pub(crate) fn read(&mut self, unit: &[u8]) -> Said {
        let mut key = false;
        for (at, frame) in frames(unit).into_iter().enumerate() {
            match head(frame) {
                Some(Head::Key(look)) => {
                    key |= at == 0;
                    (self.look, self.mixed) = (Some(look), false);
                }
                Some(Head::Sized(size)) => self.mixed |= self.look.is_none_or(|look| look.size != size),
                Some(Head::Plain) => {}
                None => self.mixed = true,
            }
        }
        let format = self.look.filter(|_| !self.mixed).and_then(|look| match (look.bits, look.subsampling) {
            (8, (true, true)) => Some(Format::Yuv420),
            (8, (true, false)) => Some(Format::Yuv422),
            (8, (false, false)) => Some(Format::Yuv444),
            (10, (true, true)) => Some(Format::Yuv420Ten),
            (10, (true, false)) => Some(Format::Yuv422Ten),
            (10, (false, false)) => Some(Format::Yuv444Ten),
            _ => None,
        });
        Said { key, format, size: self.look.map_or((0, 0), |look| look.size) }
    }
}

/// The frames of a unit: of a superframe several (annex B), of which all but the last are not shown.
fn frames(unit: &[u8]) -> Vec<&[u8]> {
    let index = || {
        let marker = *unit.last().filter(|marker| **marker & 0xe0 == 0xc0)?;
        let (count, bytes) = (usize::from(marker & 7) + 1, usize::from(marker >> 3 & 3) + 1);
        let (mut rest, index) = unit.split_at_checked(unit.len().checked_sub(2 + count * bytes)?)?;
        if index[0] != marker {
            return None;
        }
        let mut frames = Vec::with_capacity(count);
        for size in index[1..index.len() - 1].chunks(bytes) {
            let size = size.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
            let (frame, next) = rest.split_at_checked(size)?;
            frames.push(frame);
            rest = next;
        }
        Some(frames)
    };
    index().unwrap_or_else(|| vec![unit])
}

/// `uncompressed_header()` (6.2) as far as the size.
fn head(frame: &[u8]) -> Option<Head> {
    let bits = &mut Bits::new(frame);
    if bits.take(2)? != 2 {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 && bits.flag()? {
        return None;
    }
    if bits.flag()? {
        // A frame from before is shown.
        return Some(Head::Plain);
    }
    let (key, shown, resilient) = (!bits.flag()?, bits.flag()?, bits.flag()?);
    if key {
        sync(bits)?;
        let (depth, subsampling) = colours(bits, profile)?;
        return Some(Head::Key(Look { bits: depth, subsampling, size: size(bits)? }));
    }
    let intra = if shown { false } else { bits.flag()? };
    if !resilient {
        bits.take(2)?;
    }
    if intra {
        sync(bits)?;
        if profile > 0 {
            colours(bits, profile)?;
        }
        // Which frames it takes the place of.
        bits.take(8)?;
        return size(bits).map(Head::Sized);
    }
    // And which three it refers to.
    bits.take(8 + 3 * 4)?;
    for _ in 0..3 {
        if bits.flag()? {
            return Some(Head::Plain);
        }
    }
    size(bits).map(Head::Sized)
}

fn sync(bits: &mut Bits<'_>) -> Option<()> {
    (bits.take(24)? == 0x49_8342).then_some(())
}

/// `color_config()`: bits of a sample, and whether chroma is halved across and down.
fn colours(bits: &mut Bits<'_>, profile: u32) -> Option<(u8, (bool, bool))> {
    let depth = match profile {
        0 | 1 => 8,
        _ if bits.flag()? => 12,
        _ => 10,
    };
    let rgb = bits.take(3)? == 7;
    if !rgb {
        // The range.
        bits.take(1)?;
    }
    let subsampling = match (profile & 1, rgb) {
        (0, false) => (true, true),
        // Not allowed.
        (0, true) => return None,
        (_, true) => (bits.take(1)? == 1, false),
        (_, false) => {
            let both = (bits.flag()?, bits.flag()?);
            bits.take(1)?;
            both
        }
    };
    Some((depth, subsampling))
}

/// `frame_size()`.
fn size(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    Some((bits.take(16)? + 1, bits.take(16)? + 1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// Bytes of a text of bits.
    fn bytes(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().filter(|bit| *bit != b' ').map(|bit| bit - b'0').collect();
        bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |all, (at, bit)| all | bit << (7 - at))).collect()
    }

    const SYNC: &str = "01001001 10000011 01000010";

    fn key(profile: &str, colours: &str, (width, height): (u32, u32)) -> Vec<u8> {
        bytes(&format!("10 {profile} 0 0 1 0 {SYNC} {colours} {:016b} {:016b} 0", width - 1, height - 1))
    }

    #[test]
    fn formats_and_sizes_of_key_frames() {
        let said = |unit: &[u8]| Reader::default().read(unit);
        let of = |format| Said { key: true, format: Some(format), size: (160, 90) };
        assert_eq!(said(&key("00", "010 0", (160, 90))), of(Format::Yuv420));
        assert_eq!(said(&key("10", "010 0 000", (160, 90))), of(Format::Yuv444));
        assert_eq!(said(&key("01", "0 010 0", (160, 90))), of(Format::Yuv420Ten));
        assert_eq!(said(&key("01", "1 010 0", (160, 90))), Said { format: None, ..of(Format::Yuv420) }, "12 bits");
        assert_eq!(said(&key("11 0", "0 010 0 100", (160, 90))), of(Format::Yuv422Ten));
        for odd in [&[][..], &[0x82], &[0xff; 9], &key("00", "111 0", (160, 90))] {
            assert_eq!(said(odd), Said { key: false, format: None, size: (0, 0) });
        }
    }

    #[test]
    fn another_size_holds_until_the_next_key_frame() {
        let mut reader = Reader::default();
        let (first, like) = (key("00", "010 0", (160, 90)), Some(Format::Yuv420));
        let inter = |size: &str| bytes(&format!("10 00 0 1 1 0 00 00000000 0000 0000 0000 {size}"));
        let sized = |width: u32| inter(&format!("000 {:016b} {:016b}", width - 1, 89));
        assert_eq!(reader.read(&first).format, like);
        assert_eq!(reader.read(&inter("01")), Said { key: false, format: like, size: (160, 90) });
        assert_eq!(reader.read(&sized(160)).format, like);
        assert_eq!(reader.read(&sized(80)).format, None);
        assert_eq!(reader.read(&inter("1")).format, None);
        assert_eq!(reader.read(&bytes("10 00 1 000")).format, None, "an old one is shown");
        assert_eq!(reader.read(&first).format, like);
    }

    #[test]
    fn superframes_are_taken_apart() {
        let (hidden, shown) = (key("00", "010 0", (64, 64)), bytes("10 00 1 000"));
        let index = [0xc1, hidden.len() as u8, shown.len() as u8, 0xc1];
        let unit = [&hidden[..], &shown, &index].concat();
        assert_eq!(frames(&unit), [&hidden[..], &shown]);
        assert_eq!(Reader::default().read(&unit).size, (64, 64));
        // One that says more than there is, and what only looks like one.
        let long = [&hidden[..], &[0xc1, 200, 200, 0xc1]].concat();
        assert_eq!(frames(&long), [&long[..]]);
        assert_eq!(frames(&[0xc7]), [[0xc7]]);
    }
}
