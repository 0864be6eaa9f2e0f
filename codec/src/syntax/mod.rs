//! Headers inside elementary streams, as far as a container, a playlist or an engine has to know them. Foreign bytes give `None`, never a panic.

pub(crate) mod av1;
pub(crate) mod h264;
pub(crate) mod hevc;
pub(crate) mod vp9;

/// The NAL units between Annex B start codes, headers included, zeros in front of the next start code excluded.
pub(crate) fn nals(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = next_start(bytes, 0);
    std::iter::from_fn(move || {
        let start = at?;
        at = next_start(bytes, start);
        let mut nal = bytes.get(start..at.map_or(bytes.len(), |next| next - 3))?;
        while let [rest @ .., 0] = nal {
            nal = rest;
        }
        Some(nal)
    })
}

/// The place behind the next start code.
fn next_start(bytes: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(3).position(|window| window == [0, 0, 1]).map(|at| from + at + 3)
}

/// At most `most` bytes of a NAL unit without its emulation prevention (H.264 7.4.1, HEVC 7.4.2).
pub(crate) fn unescaped(nal: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(most);
    let mut zeros = 0;
    for byte in nal {
        if out.len() == most {
            break;
        }
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

/// Reads bits, the first one highest.
#[derive(Clone)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, at most 32; `None` behind the end.
    pub(crate) fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// The next `count` bytes, wherever they begin; `None` behind the end.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let (start, shift) = (self.at / 8, self.at % 8);
        let from = self.bytes.get(start..start + count + usize::from(shift > 0))?;
        self.at += 8 * count;
        Some(match shift {
            0 => from.to_vec(),
            _ => from.windows(2).map(|pair| pair[0] << shift | pair[1] >> (8 - shift)).collect(),
        })
    }

    /// Passes over `count` bits; `None` behind the end.
    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= 8 * self.bytes.len())?;
        Some(())
    }

    fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    /// `uvlc()` of AV1 4.10.3.
    fn uvlc(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        if zeros >= 32 { Some(u32::MAX) } else { Some(self.take(zeros)? + (1 << zeros) - 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_bits() {
        let stream = [0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65];
        assert_eq!(nals(&stream).collect::<Vec<_>>(), [&[9, 0xf0][..], &[0x67, 1], &[0x65]]);
        for odd in [&[][..], &[0], &[0, 0], &[1, 2, 3]] {
            assert_eq!(nals(odd).count(), 0);
        }
        assert_eq!(unescaped(&[1, 0, 0, 3, 0, 0, 3, 1, 3], 9), [1, 0, 0, 0, 0, 1, 3]);
        let mut bits = Bits::new(&[0b1010_0110, 0xff]);
        assert_eq!((bits.take(3), bits.uvlc(), bits.take(9)), (Some(5), Some(5), None));
        let mut bits = Bits::new(&[0x12, 0x34, 0x56]);
        assert_eq!((bits.bytes(1), bits.take(4)), (Some(vec![0x12]), Some(3)));
        assert_eq!((bits.bytes(2), bits.bytes(1)), (None, Some(vec![0x45])));
        assert_eq!((bits.skip(5), bits.skip(4), bits.bytes(0)), (None, Some(()), Some(vec![])));
    }
}
