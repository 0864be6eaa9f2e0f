//! Which way up pictures are. A stream says so with the first picture of a sequence, and it holds until another word or
//! another sequence (H.264 D.2.27, HEVC D.3.17); the decoder reports it with that picture alone.

use headframe_kernels::Orientation;

use crate::ffi::picture::Picture;
use crate::ts::VideoKind;

/// Hands on what was said to the pictures that follow.
pub(crate) struct Turning {
    kind: VideoKind,
    /// Times of pictures that begin a sequence and were not shown yet.
    starts: Vec<i64>,
    /// What holds where a sequence says nothing.
    usual: Orientation,
    current: Orientation,
}

impl Turning {
    /// For pictures that are `usual`ly turned so.
    pub(crate) fn new(kind: VideoKind, usual: Orientation) -> Self {
        Self { kind, starts: Vec::new(), usual, current: usual }
    }

    /// Notes an access unit on its way to the decoder.
    pub(crate) fn sent(&mut self, unit: &[u8], pts: Option<i64>) {
        if begins_sequence(self.kind, unit) {
            self.starts.extend(pts);
        }
    }

    /// How the next picture out of the decoder has to be turned.
    pub(crate) fn of(&mut self, picture: &Picture) -> Orientation {
        let pts = picture.sent_pts();
        let begins = self.starts.iter().position(|start| pts == Some(*start));
        if let Some(begins) = begins {
            self.starts.swap_remove(begins);
            self.current = self.usual;
        }
        self.current = picture.said_orientation().unwrap_or(self.current);
        self.current
    }
}

/// Whether the first slice is one of an IDR or BLA picture.
fn begins_sequence(kind: VideoKind, unit: &[u8]) -> bool {
    let types = unit.windows(4).filter(|w| w[..3] == [0, 0, 1]).map(|w| match kind {
        VideoKind::H264 => (matches!(w[3] & 0x1f, 1..=5), w[3] & 0x1f == 5),
        VideoKind::Hevc => (w[3] >> 1 & 0x3f < 32, matches!(w[3] >> 1 & 0x3f, 16..=20)),
        // They say nothing of it.
        VideoKind::Av1 | VideoKind::Vp9 => (false, false),
    });
    types.into_iter().find(|(slice, _)| *slice).is_some_and(|(_, begins)| begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_begin_with_idr_slices() {
        let (set, idr, other) = ([0, 0, 1, 0x67, 5], [0, 0, 1, 0x65, 9], [0, 0, 1, 0x41, 9]);
        assert!(begins_sequence(VideoKind::H264, &[set, idr, other].concat()));
        assert!(!begins_sequence(VideoKind::H264, &[set, other, idr].concat()));
        assert!(!begins_sequence(VideoKind::H264, &set));
        let hevc = |kind: u8| begins_sequence(VideoKind::Hevc, &[0, 0, 1, 32 << 1, 1, 0, 0, 1, kind << 1, 1]);
        assert_eq!([19, 20, 16, 21, 1].map(hevc), [true, true, true, false, false]);
    }
}
