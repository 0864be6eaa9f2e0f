//! Boxes of ISO files (14496-12 4.2) and the fields in them. Reading ends, without a panic, where bytes end.

/// A box. (`Box` is something else in Rust; QuickTime, where these come from, calls them atoms.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Atom<'a> {
    pub(super) kind: [u8; 4],
    /// Where it begins in the bytes that were given.
    pub(super) start: usize,
    /// What is behind its header.
    pub(super) body: &'a [u8],
    /// All of it is there.
    pub(super) whole: bool,
}

/// The boxes in `bytes`, one behind the other.
pub(super) fn atoms(bytes: &[u8]) -> impl Iterator<Item = Atom<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..)?;
        let mut fields = Fields(rest);
        let (size, kind) = (fields.u32()?, *fields.bytes(4)?.first_chunk()?);
        let (header, size) = match size {
            // To the end of the file; and more than 32 bits hold.
            0 => (8, rest.len()),
            1 => (16, usize::try_from(fields.u64()?).unwrap_or(usize::MAX)),
            size => (8, size as usize),
        };
        if size < header {
            return None;
        }
        let (end, atom_start) = (size.min(rest.len()), start);
        start += end;
        Some(Atom { kind, start: atom_start, body: rest.get(header..end)?, whole: size <= rest.len() })
    })
}

/// The first box of this kind.
pub(super) fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    atoms(bytes).find(|atom| atom.kind == *kind && atom.whole).map(|atom| atom.body)
}

/// Fields in order, the first byte highest; `None` behind the end.
#[derive(Clone)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.bytes(2)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.bytes(4)?.first_chunk().copied().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.bytes(8)?.first_chunk().copied().map(u64::from_be_bytes)
    }

    /// 64 bits in version 1 of a box, else 32.
    pub(super) fn wide(&mut self, version: u8) -> Option<u64> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// Version and flags, with which many boxes begin.
    pub(super) fn version(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        Some(((word >> 24) as u8, word & 0x00ff_ffff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_every_kind_and_none_that_is_too_small() {
        let long = [&[0, 0, 0, 1][..], b"mdat", &[0, 0, 0, 0, 0, 0, 0, 18, 7, 8]].concat();
        let bytes = [&[0, 0, 0, 9][..], b"free", &[5], &long, &[0, 0, 0, 0], b"moof", &[1, 2, 3]].concat();
        let found: Vec<_> = atoms(&bytes).map(|atom| (atom.kind, atom.start, atom.body, atom.whole)).collect();
        let due = [(*b"free", 0, &[5][..], true), (*b"mdat", 9, &[7, 8], true), (*b"moof", 27, &[1, 2, 3], true)];
        assert_eq!(found, due);
        let cut: Vec<_> = atoms(&bytes[..26]).map(|atom| (atom.body, atom.whole)).collect();
        assert_eq!(cut, [(&[5][..], true), (&[7], false)]);
        assert_eq!(atoms(&[0, 0, 0, 7, b'f', b'r', b'e', b'e']).count(), 0);
        assert_eq!(atoms(&[0, 0, 0, 1, b'f', b'r', b'e', b'e', 0, 0, 0, 0, 0, 0, 0, 15]).count(), 0);
        let huge = [&[0, 0, 0, 1][..], b"free", &[0xff; 8], &[9]].concat();
        assert_eq!(atoms(&huge).map(|atom| (atom.body, atom.whole)).collect::<Vec<_>>(), [(&[9][..], false)]);
    }
}
