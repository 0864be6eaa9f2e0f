//! What can be ordered: the part of a ladder that the chain can check, and the hash of the rest.

use alloy_primitives::{B256, U256, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

pub(crate) mod abi {
    #![allow(missing_docs)]
    alloy_sol_types::sol! {
        struct Limits {
            uint64 tileLuma; uint64 tileChroma; uint64 frameLuma; uint64 frameChroma; uint64 segmentLuma; uint64 segmentChroma;
        }
        struct ProfileRung {
            uint32 width; uint32 height; uint256 profiles; uint8 level; uint32 maxBytesPerSecond; Limits limits;
        }
        struct Profile { uint8 filter; bool cascade; bytes32 ladder; ProfileRung[] rungs; }
        function add(Profile profile);
    }
}

/// Largest sums of squared errors, of luma and of chroma (tiles: one plane, else both).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Limits {
    pub tile_luma: u64,
    pub tile_chroma: u64,
    pub frame_luma: u64,
    pub frame_chroma: u64,
    pub segment_luma: u64,
    pub segment_chroma: u64,
}

/// One rendition of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Luma samples across.
    pub width: u32,
    /// Luma samples down.
    pub height: u32,
    /// H.264 `profile_idc`s that may be used.
    pub profiles: Vec<u8>,
    /// The highest `level_idc`.
    pub level: u8,
    /// Of the rendition's bytes, over a segment.
    pub max_bytes_per_second: u32,
    /// Of the difference to what the scaler makes.
    pub limits: Limits,
}

/// A profile as the profile registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The scaler's curve: 0 Catmull-Rom, 1 Lanczos.
    pub filter: u8,
    /// Small rungs are made from larger ones.
    pub cascade: bool,
    /// Hash of everything else that was agreed.
    pub ladder: B256,
    /// 1 to 16.
    pub rungs: Vec<Rung>,
}

impl Profile {
    /// `keccak256(abi.encode(profile))`.
    pub fn id(&self) -> B256 {
        keccak256(self.abi().abi_encode())
    }

    pub(crate) fn abi(&self) -> abi::Profile {
        let rung = |rung: &Rung| abi::ProfileRung {
            width: rung.width,
            height: rung.height,
            profiles: rung.profiles.iter().fold(U256::ZERO, |bits, profile| bits | (U256::from(1) << *profile)),
            level: rung.level,
            maxBytesPerSecond: rung.max_bytes_per_second,
            limits: rung.limits.abi(),
        };
        abi::Profile {
            filter: self.filter,
            cascade: self.cascade,
            ladder: self.ladder,
            rungs: self.rungs.iter().map(rung).collect(),
        }
    }
}

impl Limits {
    /// Nothing is too different.
    pub const NONE: Self = Self {
        tile_luma: u64::MAX,
        tile_chroma: u64::MAX,
        frame_luma: u64::MAX,
        frame_chroma: u64::MAX,
        segment_luma: u64::MAX,
        segment_chroma: u64::MAX,
    };

    /// What an answer names for a rung: `keccak256(abi.encode(limits))`.
    pub fn hash(&self) -> B256 {
        keccak256(self.abi().abi_encode())
    }

    fn abi(&self) -> abi::Limits {
        abi::Limits {
            tileLuma: self.tile_luma,
            tileChroma: self.tile_chroma,
            frameLuma: self.frame_luma,
            frameChroma: self.frame_chroma,
            segmentLuma: self.segment_luma,
            segmentChroma: self.segment_chroma,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_makes_another_profile() {
        let rung = Rung {
            width: 640,
            height: 360,
            profiles: vec![100],
            level: 31,
            max_bytes_per_second: 1,
            limits: Limits::NONE,
        };
        let base = Profile { filter: 0, cascade: true, ladder: B256::ZERO, rungs: vec![rung.clone()] };
        let changed = [
            Profile { filter: 1, ..base.clone() },
            Profile { cascade: false, ..base.clone() },
            Profile { ladder: B256::repeat_byte(1), ..base.clone() },
            Profile { rungs: vec![rung.clone(), rung.clone()], ..base.clone() },
            Profile { rungs: vec![Rung { profiles: vec![77, 100], ..rung.clone() }], ..base.clone() },
            Profile { rungs: vec![Rung { limits: Limits { tile_luma: 1, ..Limits::NONE }, ..rung }], ..base.clone() },
        ];
        for other in changed {
            assert_ne!(other.id(), base.id());
        }
    }
}
