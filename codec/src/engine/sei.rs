//! Supplemental information (SEI) in the wrong place.
//!
//! Some encoders write a picture's SEI behind its slices. By the standards it belongs to the next picture then, so the
//! parser begins that one early, inside a PES packet whose time is not its own, and all times slip by one picture.

use std::borrow::Cow;

use crate::ts::VideoKind;

/// Moves SEI from the end of a PES payload to the start of the next one.
pub(super) struct Tail {
    kind: VideoKind,
    carried: Vec<u8>,
}

impl Tail {
    pub(super) fn new(kind: VideoKind) -> Self {
        Self { kind, carried: Vec::new() }
    }

    /// The payload to parse instead of `data`.
    pub(super) fn moved<'a>(&mut self, data: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.kind.has_nals() {
            return Cow::Borrowed(data);
        }
        let (picture, sei) = data.split_at(self.end_of_picture(data));
        if self.turns(sei) {
            // What it says is meant for the picture it came with: ffmpeg's own filter puts it there.
            let (head, slices) = picture.split_at(self.start_of_slices(picture));
            return Cow::Owned([&std::mem::take(&mut self.carried)[..], head, sei, slices].concat());
        }
        let carried = std::mem::replace(&mut self.carried, sei.to_vec());
        match carried.is_empty() {
            true => Cow::Borrowed(picture),
            false => Cow::Owned([&carried[..], picture].concat()),
        }
    }

    /// Where the slices end if nothing but SEI follows them, or the end of all.
    fn end_of_picture(&self, data: &[u8]) -> usize {
        let mut end = data.len();
        loop {
            let Some(start) = data[..end].windows(4).rposition(|w| w[..3] == [0, 0, 1]) else { return data.len() };
            match self.what(data[start + 3]) {
                Nal::Slice => return end,
                Nal::Sei => end = start - usize::from(start > 0 && data[start - 1] == 0),
                Nal::Other => return data.len(),
            }
        }
    }

    fn start_of_slices(&self, data: &[u8]) -> usize {
        let slice = |w: &[u8]| w[..3] == [0, 0, 1] && matches!(self.what(w[3]), Nal::Slice);
        let start = data.windows(4).position(slice).unwrap_or(data.len());
        start - usize::from(start > 0 && data[start - 1] == 0)
    }

    /// Whether a message in it is a display orientation (payload type 47) at the start of a NAL unit.
    fn turns(&self, sei: &[u8]) -> bool {
        let header = if self.kind == VideoKind::H264 { 1 } else { 2 };
        sei.windows(4 + header).any(|w| w[..3] == [0, 0, 1] && w[3 + header] == 47)
    }

    fn what(&self, header: u8) -> Nal {
        match (self.kind, header & 0x1f, header >> 1 & 0x3f) {
            (VideoKind::H264, 1..=5, _) | (VideoKind::Hevc, _, 0..=31) => Nal::Slice,
            (VideoKind::H264, 6, _) | (VideoKind::Hevc, _, 39) => Nal::Sei,
            _ => Nal::Other,
        }
    }
}

enum Nal {
    Slice,
    Sei,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_follows_slices_moves() {
        let (delimiter, slice, sei) = ([0, 0, 0, 1, 9, 0xf0], [0, 0, 1, 0x65, 7, 8], [0, 0, 0, 1, 6, 5, 0x80]);
        let mut tail = Tail::new(VideoKind::H264);
        let plain = [&delimiter[..], &sei, &slice].concat();
        assert_eq!(*tail.moved(&plain), plain);
        let behind = [&delimiter[..], &slice, &sei, &sei].concat();
        assert_eq!(*tail.moved(&behind), [&delimiter[..], &slice].concat());
        assert_eq!(*tail.moved(&plain), [&sei[..], &sei, &plain].concat());
        // SEI in a packet of its own stays, as do bytes without any start code.
        assert_eq!(*tail.moved(&sei), sei);
        assert_eq!(*tail.moved(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(*tail.moved(&[0, 0, 1]), [0, 0, 1]);
        // How to turn the picture stays with it.
        let turn = [0, 0, 0, 1, 6, 47, 3, 0x0a, 0, 5, 0x80];
        let behind = [&delimiter[..], &slice, &turn].concat();
        assert_eq!(*tail.moved(&behind), [&delimiter[..], &turn, &slice].concat());
        let (slice, sei) = ([0, 0, 1, 2, 1, 8], [0, 0, 1, 39 << 1, 1, 0x80]);
        assert_eq!(*Tail::new(VideoKind::Hevc).moved(&[slice, sei].concat()), slice);
    }
}
