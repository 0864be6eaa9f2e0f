//! Surfaces that are kept for pictures to come: so many, and so many bytes. What was kept longest goes first, so sizes that
//! nobody asks for any more do not stay.

use std::collections::VecDeque;

/// Surfaces that are kept: those of the pictures of four segments of the standard ladder.
const MOST: usize = 1024;
/// Bytes of them.
const MOST_BYTES: u64 = 512 << 20;

struct Kept<T> {
    size: (u32, u32),
    bytes: u64,
    it: T,
}

pub(super) struct Shelf<T> {
    /// The one that was kept last is at the end.
    kept: VecDeque<Kept<T>>,
    bytes: u64,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { kept: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Shelf<T> {
    /// One of this size.
    pub(super) fn take(&mut self, size: (u32, u32)) -> Option<T> {
        let at = self.kept.iter().rposition(|kept| kept.size == size)?;
        let kept = self.kept.remove(at)?;
        self.bytes -= kept.bytes;
        Some(kept.it)
    }

    /// Keeps one that takes so many bytes; gives what has to go for it.
    #[must_use = "freed by whoever has nothing locked: the driver waits for the card then"]
    pub(super) fn keep(&mut self, size: (u32, u32), bytes: u64, it: T) -> Vec<T> {
        self.kept.push_back(Kept { size, bytes, it });
        self.bytes += bytes;
        let mut gone = Vec::new();
        while self.kept.len() > MOST || self.bytes > MOST_BYTES {
            let Some(first) = self.kept.pop_front() else { break };
            self.bytes -= first.bytes;
            gone.push(first.it);
        }
        gone
    }

    /// Gives all.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.bytes = 0;
        self.kept.drain(..).map(|kept| kept.it).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_are_not_kept_without_end() {
        let mut shelf = Shelf::default();
        // A picture of 160x90 with rows of 512 bytes.
        let gone: usize = (0..10_000).map(|n| shelf.keep((160, 90), 512 * 135, n).len()).sum();
        assert_eq!((shelf.kept.len(), gone), (MOST, 10_000 - MOST));
        assert_eq!(shelf.take((160, 90)), Some(9_999));
        assert_eq!((shelf.clear().len(), shelf.bytes), (MOST - 1, 0));
    }

    #[test]
    fn sizes_that_are_not_asked_for_any_more_give_way() {
        let mut shelf = Shelf::default();
        let large = MOST_BYTES / 8;
        (0..8).for_each(|n| assert!(shelf.keep((1920, 1080), large, n).is_empty()));
        assert_eq!(shelf.keep((640, 360), 1, 8), [0], "what was kept longest");
        assert_eq!((shelf.take((640, 360)), shelf.take((640, 360))), (Some(8), None));
        assert!(shelf.keep((1280, 720), large, 9).is_empty());
        assert_eq!((shelf.take((1920, 1080)), shelf.bytes), (Some(7), 7 * large));
        assert_eq!(
            shelf.keep((4096, 4096), MOST_BYTES + 1, 10).len(),
            8,
            "and one that is too large does not stay either"
        );
        assert_eq!(shelf.bytes, 0);
    }
}
