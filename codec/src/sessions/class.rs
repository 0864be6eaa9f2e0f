//! What an encoder session can be used for: some things are fixed when it is made, the others change from lease to lease.

use serde::{Deserialize, Serialize};

use crate::ladder::{Codec, Preset};

/// Sizes that sessions are made for, long side first: 720p, 1080p in whole macroblocks, 2160p. A larger session takes more
/// memory of the card, so the smallest that holds a rung is made.
const CEILINGS: [(u32, u32); 3] = [(1280, 720), (1920, 1088), (4096, 2304)];
/// For what fits none of them: the largest rung there is, both ways.
const LARGEST: (u32, u32) = (4096, 4096);

/// What one lease makes of a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// How pictures are coded.
    pub codec: Codec,
    /// Ten bits a sample instead of eight.
    pub ten_bit: bool,
    /// B-frames between two others.
    pub bframes: u8,
    /// Encoder effort.
    pub preset: Preset,
    /// Luma samples per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// What is fixed when a session is made: NVENC changes size, bit rate and frame rate by reconfigure, and these not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// How pictures are coded.
    pub codec: Codec,
    /// Ten bits a sample instead of eight.
    pub ten_bit: bool,
    /// B-frames between two others.
    pub bframes: u8,
    /// Encoder effort.
    pub preset: Preset,
    /// Most luma samples per row.
    pub max_width: u32,
    /// Most rows.
    pub max_height: u32,
}

impl Spec {
    /// The class of which a session is made for this.
    pub fn class(&self) -> Class {
        let Self { codec, ten_bit, bframes, preset, width, height } = *self;
        let (long, short) = (width.max(height), width.min(height));
        let (long, short) = CEILINGS.into_iter().find(|most| long <= most.0 && short <= most.1).unwrap_or(LARGEST);
        let (max_width, max_height) = if width >= height { (long, short) } else { (short, long) };
        Class { codec, ten_bit, bframes, preset, max_width, max_height }
    }
}

impl Class {
    /// Whether a session of this class can be reconfigured to make `spec`.
    pub fn holds(&self, spec: &Spec) -> bool {
        (self.codec, self.ten_bit, self.bframes, self.preset) == (spec.codec, spec.ten_bit, spec.bframes, spec.preset)
            && spec.width <= self.max_width
            && spec.height <= self.max_height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(width: u32, height: u32) -> Spec {
        Spec { codec: Codec::H264, ten_bit: false, bframes: 0, preset: Preset::Live, width, height }
    }

    #[test]
    fn classes_hold_what_they_are_made_for() {
        let size = |width, height| {
            let class = spec(width, height).class();
            assert!(class.holds(&spec(width, height)));
            (class.max_width, class.max_height)
        };
        assert_eq!([size(426, 240), size(1280, 720)], [(1280, 720); 2]);
        assert_eq!([size(1282, 720), size(1080, 1920)], [(1920, 1088), (1088, 1920)]);
        assert_eq!([size(3840, 2160), size(4096, 4096), size(2400, 2400)], [(4096, 2304), LARGEST, LARGEST]);
    }

    #[test]
    fn what_is_fixed_must_be_equal() {
        let class = spec(1280, 720).class();
        let small = spec(426, 240);
        assert!(class.holds(&small) && !class.holds(&spec(720, 1280)));
        assert!(!class.holds(&Spec { codec: Codec::Hevc, ..small }) && !class.holds(&Spec { ten_bit: true, ..small }));
        assert!(!class.holds(&Spec { bframes: 2, ..small }));
        assert!(!class.holds(&Spec { preset: Preset::Density, ..small }));
    }
}
