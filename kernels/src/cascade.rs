//! Which rung of a ladder is made from which: part of the definition, a pure function of the sizes.
//!
//! A small rung costs as much as a large one when it is made from the source, because its filter reads all of the
//! source. Made from a larger rung it costs a fraction, but loses a little: what the larger rung's filter took away
//! near its own limit is missing, and rounding happens twice. Measured on 1080p film, sports and synthetic pictures
//! against a resampling of the source in floating point (luma, dB; FFmpeg's bicubic, default flags, against its own
//! curve has 59.0 to 57.9 from 720p to 240p):
//!
//! | rung | from the source | from a rung 1.5 times larger | 2 times | 3 times | 4 times |
//! | --- | --- | --- | --- | --- | --- |
//! | 854x480 | 59.4 | 53.4 (1280x720) | - | - | - |
//! | 640x360 | 59.3 | - | 57.0 (1280x720) | - | - |
//! | 426x240 | 59.1 | 52.1 (640x360) | 56.7 (854x480) | 58.7 (1280x720) | - |
//! | 320x180 | - | - | - | - | 58.6 (1280x720) |
//!
//! White noise is the worst case: from the source 58.9 at every size, which is what rounding alone leaves; three times down 57.1
//! where FFmpeg has 57.7, four times 57.5 where it has 57.6. So a step down of at least [`MIN_STEP`] is as good as FFmpeg's
//! direct way on whatever pictures (film at 320x180: 57.1), and a smaller one is not.

/// A rung may be made from another one that is at least this many times larger in both directions.
pub const MIN_STEP: u32 = 4;

/// For each output, the output that it is made from, or `None` for the source.
///
/// The parent is the output with the fewest luma samples (then the narrowest) that is at least [`MIN_STEP`] times as
/// wide and as high, is not larger than the source in either direction and not as large in both. Of equal ones it is
/// the first. The order of the outputs therefore does not change what any of them shows.
pub fn parents(source: (u32, u32), outputs: &[(u32, u32)]) -> Vec<Option<usize>> {
    let parent = |of: &(u32, u32)| {
        let fits = |of: &(u32, u32), from: &(u32, u32)| {
            let large = from.0 >= of.0.saturating_mul(MIN_STEP) && from.1 >= of.1.saturating_mul(MIN_STEP);
            large && from.0 <= source.0 && from.1 <= source.1 && *from != source
        };
        let candidates = outputs.iter().enumerate().filter(|(_, from)| fits(of, from));
        candidates.min_by_key(|(_, from)| (u64::from(from.0) * u64::from(from.1), from.0)).map(|(i, _)| i)
    };
    outputs.iter().map(parent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL_HD: (u32, u32) = (1920, 1080);

    #[test]
    fn the_usual_ladder() {
        let ladder = [(1280, 720), (854, 480), (640, 360), (426, 240)];
        assert_eq!(parents(FULL_HD, &ladder), [None; 4]);
        let ladder = [(1280, 720), (854, 480), (320, 180)];
        assert_eq!(parents(FULL_HD, &ladder), [None, None, Some(0)]);
        let turned = [(320, 180), (854, 480), (1280, 720)];
        assert_eq!(parents(FULL_HD, &turned), [Some(2), None, None]);
        assert_eq!(
            parents((3840, 2160), &[FULL_HD, (640, 360), (426, 240), (160, 90)]),
            [None, None, Some(0), Some(1)]
        );
    }

    #[test]
    fn never_through_enlargements_or_the_source_itself() {
        assert_eq!(parents(FULL_HD, &[FULL_HD, (320, 180)]), [None, None]);
        assert_eq!(parents((640, 360), &[FULL_HD, (320, 180)]), [None, None]);
        // Wider than the source, though lower.
        assert_eq!(parents((640, 720), &[(960, 540), (320, 180)]), [None, None]);
        assert_eq!(parents(FULL_HD, &[(1920, 720), (320, 180)]), [None, Some(0)]);
        assert_eq!(parents(FULL_HD, &[]), []);
        // Two of a size: the first, and neither from the other.
        assert_eq!(parents(FULL_HD, &[(1280, 720), (1280, 720), (320, 180)]), [None, None, Some(0)]);
    }
}
