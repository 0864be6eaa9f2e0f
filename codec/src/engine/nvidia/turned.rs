//! Whether a stream says that its pictures are to be turned: the card's decoder does not tell.

use crate::syntax::{nals, unescaped};
use crate::ts::VideoKind;

/// Display orientation (H.264 D.1.27, HEVC D.2.17).
const DISPLAY_ORIENTATION: u32 = 47;
/// No message in front of it is longer; what is behind is not looked at.
const LONGEST: usize = 4096;

/// Whether an access unit has a display orientation message that turns or mirrors.
pub(super) fn says_so(kind: VideoKind, unit: &[u8]) -> bool {
    let messages = nals(unit).filter_map(|nal| match (kind, nal) {
        (VideoKind::H264, [header, rest @ ..]) => (header & 0x1f == 6).then_some(rest),
        (VideoKind::Hevc, [header, _, rest @ ..]) => matches!(header >> 1 & 0x3f, 39 | 40).then_some(rest),
        _ => None,
    });
    messages.into_iter().any(|message| turns(&unescaped(message, LONGEST)))
}

/// Whether one of the messages of a NAL unit is such a one.
fn turns(mut messages: &[u8]) -> bool {
    loop {
        let Some((kind, rest)) = number(messages) else { return false };
        let Some((length, rest)) = number(rest) else { return false };
        let Some((payload, rest)) = rest.split_at_checked(length as usize) else { return false };
        // The first bit cancels; mirroring and the angle follow.
        if let (DISPLAY_ORIENTATION, [first, angle, ..]) = (kind, payload)
            && first & 0x80 == 0
            && (first & 0x7f != 0 || *angle != 0)
        {
            return true;
        }
        messages = rest;
    }
}

/// A type or size: bytes of 255 and a last one, summed (H.264 7.3.2.3.1).
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let full = bytes.iter().take_while(|byte| **byte == 255).count();
    let last = bytes.get(full)?;
    Some((255 * u32::try_from(full).ok()? + u32::from(*last), &bytes[full + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h264(message: &[u8]) -> bool {
        says_so(VideoKind::H264, &[&[0, 0, 0, 1, 9, 0x10, 0, 0, 1, 6], message, &[0x80, 0, 0, 1, 0x65, 1]].concat())
    }

    #[test]
    fn a_quarter_turn_and_a_mirror_are_seen_wherever_they_lie() {
        // cancel 0, no mirror, 16 bits of angle 0x4000, persistence.
        assert!(h264(&[47, 3, 0b0001_0000, 0, 0]));
        assert!(h264(&[47, 3, 0b0100_0000, 0, 0]));
        assert!(h264(&[5, 2, 1, 1, 47, 3, 0b0010_0000, 0, 8]));
        let long = [&[4, 255, 1][..], &[7; 256], &[47, 3, 0b0001_0000, 0, 8]].concat();
        assert!(h264(&long));
        assert!(says_so(VideoKind::Hevc, &[0, 0, 1, 39 << 1, 1, 47, 3, 0b0001_0000, 0, 0, 0x80]));
    }

    #[test]
    fn upright_cancelled_and_broken_messages_are_not() {
        assert!(!h264(&[47, 3, 0, 0, 8]));
        assert!(!h264(&[47, 3, 0b1001_0000, 0, 8]));
        assert!(!h264(&[5, 3, 47, 3, 0x10]));
        assert!(!h264(&[255, 255]));
        assert!(!h264(&[47, 200, 0x10]));
        assert!(!says_so(VideoKind::H264, &[0, 0, 1, 0x65, 47, 3, 0x10, 0, 0]));
    }
}
