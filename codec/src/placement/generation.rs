//! What NVIDIA publishes of the engines of each generation of chips: 1080p pictures in 8-bit 4:2:0, a second and engine.
//!
//! Encoding: [NVENC Application Note, Video Codec SDK 13.0](https://docs.nvidia.com/video-technologies/video-codec-sdk/13.0/nvenc-application-note/index.html),
//! the three tables of encoding performance, rows of variable bitrate (VBR) with high-quality tuning (HQ), which is what the
//! engine asks for. Decoding:
//! [NVDEC Application Note, Video Codec SDK 13.0](https://docs.nvidia.com/video-technologies/video-codec-sdk/13.0/nvdec-application-note/index.html).
//! Both measured at the highest video clock of one card; others of a generation go as their clocks.

use crate::ladder::{Codec, Preset};

/// A generation of NVIDIA's chips, as far as their engines differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// Compute capability 6: GTX 10.
    Pascal,
    /// 7.5: RTX 20, GTX 16, T4. A100 and H100 (8.0, 9.0) have its decode engines and no others.
    Turing,
    /// 8.6 and 8.7: RTX 30, A10.
    Ampere,
    /// 8.9: RTX 40, L4, L40.
    Ada,
    /// 10 and 12: RTX 50, B200.
    Blackwell,
    /// One of which NVIDIA publishes nothing: Volta, and what comes later.
    Unknown,
}

/// Pictures a second of one engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rate {
    /// The table has this.
    Published(f64),
    /// Between two presets of the table: the mean of the times that they take for a picture.
    Between(f64, f64),
    /// The table has nothing: that of H.264 stands in, or a guess.
    StandIn(f64),
}

impl Rate {
    pub(super) fn fps(self) -> f64 {
        match self {
            Self::Published(fps) | Self::StandIn(fps) => fps,
            Self::Between(faster, slower) => 2.0 / (1.0 / faster + 1.0 / slower),
        }
    }
}

/// What the tables say of a generation.
pub(super) struct Published {
    /// P1, P3, P5 and P7 of H.264, HEVC and AV1; none where the chips do not encode it.
    pub(super) encode: [Option<[f64; 4]>; 3],
    /// H.264, HEVC and AV1; none where the chips do not decode it.
    pub(super) decode: [Option<f64>; 3],
}

const PASCAL: Published = Published {
    encode: [Some([692.0, 398.0, 327.0, 250.0]), Some([506.0, 443.0, 371.0, 260.0]), None],
    decode: [Some(694.0), Some(810.0), None],
};
const TURING: Published = Published {
    encode: [Some([833.0, 602.0, 264.0, 207.0]), Some([920.0, 552.0, 334.0, 171.0]), None],
    decode: [Some(771.0), Some(1316.0), None],
};
const AMPERE: Published = Published {
    encode: [Some([846.0, 617.0, 266.0, 213.0]), Some([939.0, 557.0, 335.0, 171.0]), None],
    decode: [Some(748.0), Some(1415.0), Some(790.0)],
};
const ADA: Published = Published {
    encode: [
        Some([885.0, 647.0, 283.0, 211.0]),
        Some([1037.0, 706.0, 411.0, 181.0]),
        Some([741.0, 549.0, 440.0, 323.0]),
    ],
    decode: [Some(903.0), Some(1641.0), Some(1018.0)],
};
const BLACKWELL: Published = Published {
    encode: [
        Some([948.0, 708.0, 317.0, 227.0]),
        Some([1119.0, 947.0, 521.0, 181.0]),
        Some([957.0, 678.0, 552.0, 401.0]),
    ],
    decode: [Some(2172.0), Some(1872.0), Some(1119.0)],
};
/// Guesses over all generations: middles of 600 to 1000, 400 to 650 and 200 to 350 for P2, P4 and P6 of H.264.
const GUESSED_ENCODE: [f64; 3] = [800.0, 525.0, 275.0];
/// Middles of 600 to 900 (H.264), 800 to 1300 (HEVC) and 600 to 1000 (AV1).
const GUESSED_DECODE: [f64; 3] = [750.0, 1050.0, 800.0];

impl Generation {
    /// That of a card with this compute capability.
    pub fn of(compute: (u32, u32)) -> Self {
        match compute {
            (6, _) => Self::Pascal,
            (7, 5) | (8, 0) | (9, _) => Self::Turing,
            (8, 9) => Self::Ada,
            (8, _) => Self::Ampere,
            (10 | 12, _) => Self::Blackwell,
            _ => Self::Unknown,
        }
    }

    pub(super) fn published(self) -> Option<&'static Published> {
        match self {
            Self::Pascal => Some(&PASCAL),
            Self::Turing => Some(&TURING),
            Self::Ampere => Some(&AMPERE),
            Self::Ada => Some(&ADA),
            Self::Blackwell => Some(&BLACKWELL),
            Self::Unknown => None,
        }
    }

    /// What a decode engine does.
    pub(super) fn decode(self, codec: Codec) -> Rate {
        let Some(Published { decode, .. }) = self.published() else {
            return Rate::StandIn(GUESSED_DECODE[codec.index()]);
        };
        match (decode[codec.index()], decode[0]) {
            (Some(fps), _) => Rate::Published(fps),
            (None, Some(h264)) => Rate::StandIn(h264),
            (None, None) => Rate::StandIn(GUESSED_DECODE[codec.index()]),
        }
    }

    /// What an encode engine does with a preset: `density` is P2, `live` P4 and `quality` P6, each between two of the table.
    pub(super) fn encode(self, codec: Codec, preset: Preset) -> Rate {
        let at = preset.index();
        let Some(Published { encode, .. }) = self.published() else {
            return Rate::StandIn(GUESSED_ENCODE[at]);
        };
        let between = |known: &[f64; 4]| Rate::Between(known[at], known[at + 1]);
        match (&encode[codec.index()], &encode[0]) {
            (Some(known), _) => between(known),
            (None, Some(h264)) => Rate::StandIn(between(h264).fps()),
            (None, None) => Rate::StandIn(GUESSED_ENCODE[at]),
        }
    }
}

/// A place in the tables above.
pub(super) trait Index {
    fn index(self) -> usize;
}

impl Index for Codec {
    fn index(self) -> usize {
        match self {
            Self::H264 => 0,
            Self::Hevc => 1,
            Self::Av1 => 2,
        }
    }
}

impl Index for Preset {
    fn index(self) -> usize {
        match self {
            Self::Density => 0,
            Self::Live => 1,
            Self::Quality => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compute_capability_has_the_generation_of_its_engines() {
        let of = |known: &[(u32, u32)]| known.iter().map(|it| Generation::of(*it)).collect::<Vec<_>>();
        assert_eq!(of(&[(6, 0), (6, 1), (6, 2)]), [Generation::Pascal; 3]);
        assert_eq!(of(&[(7, 5), (8, 0), (9, 0)]), [Generation::Turing; 3]);
        assert_eq!(of(&[(8, 6), (8, 7)]), [Generation::Ampere; 2]);
        assert_eq!(of(&[(8, 9)]), [Generation::Ada]);
        assert_eq!(of(&[(10, 0), (10, 1), (10, 3), (12, 0), (12, 1)]), [Generation::Blackwell; 5]);
        assert_eq!(of(&[(5, 2), (7, 0), (7, 2), (11, 0), (13, 0)]), [Generation::Unknown; 5]);
    }

    #[test]
    fn presets_between_two_of_the_table_take_the_mean_of_their_times() {
        // 617 and 266 pictures a second: 1.62 and 3.76 ms, 2.69 ms in the middle.
        let live = Generation::Ampere.encode(Codec::H264, Preset::Live);
        assert_eq!(live, Rate::Between(617.0, 266.0));
        assert!((live.fps() - 371.7).abs() < 0.1, "{live:?}");
        // Ampere does not encode AV1.
        assert_eq!(Generation::Ampere.encode(Codec::Av1, Preset::Live), Rate::StandIn(live.fps()));
        assert_eq!(Generation::Turing.decode(Codec::Av1), Rate::StandIn(771.0));
        assert_eq!(Generation::Blackwell.decode(Codec::H264), Rate::Published(2172.0));
        assert_eq!(Generation::Unknown.encode(Codec::Hevc, Preset::Quality), Rate::StandIn(275.0));
    }
}
