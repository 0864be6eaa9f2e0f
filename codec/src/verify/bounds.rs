//! The thresholds. `docs/verification.md` shows the measurements that they rest on.
//!
//! All of them are integers. "Permille" compares with the reference encode; "allowance" is a squared error per sample
//! in hundredths that is always granted, so that near-perfect encodes are not held to each other's rounding.

use serde::{Deserialize, Serialize};

/// Every threshold of the predicate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Pictures may all be shown this many ticks (90 kHz) early or late: B-frames at the start of a stream shift it.
    pub shift_ticks: u32,
    /// On top of that each picture may be off by what rounding does.
    pub jitter_ticks: u32,
    /// Slices may exceed the ordered rate by this much, and by one full buffer.
    pub rate_over_permille: u32,
    /// Bytes of everything but video, per second.
    pub other_bytes_per_second: u32,
    /// Least bytes of slices, relative to the reference encode, where pictures move and are not near-perfect.
    pub rate_under_permille: u32,
    /// The same where they move fast.
    pub rate_under_of_fast_permille: u32,
    /// Luma error of the segment.
    pub luma_permille: u32,
    /// Luma error of the segment, after the coarser quantiser of the rendition is taken into account.
    pub fidelity_permille: u32,
    /// Fine details lost, quantiser taken into account.
    pub fine_loss_permille: u32,
    /// The same where the reference loses a fifth of them or more.
    pub fine_loss_of_few_permille: u32,
    /// The same where the reference loses 35 % of them or more, since there is not much left to lose; in between it falls
    /// evenly.
    pub fine_loss_of_least_permille: u32,
    /// Share of the fine details that the reference loses where a segment counts as starved: the ordered rate shows so little
    /// of its pictures that encoders differ by what they give up.
    pub starved_permille: u32,
    /// The same where the segment is starved.
    pub fine_loss_of_starved_permille: u32,
    /// Coarser details lost, quantiser taken into account.
    pub coarse_loss_permille: u32,
    /// Error of tile means, luma.
    pub means_permille: u32,
    /// The same, quantiser taken into account.
    pub means_fidelity_permille: u32,
    /// The same where the segment is starved.
    pub means_fidelity_of_starved_permille: u32,
    /// Chroma error of the segment.
    pub chroma_permille: u32,
    /// Error of tile means, chroma, quantiser taken into account.
    pub chroma_means_permille: u32,
    /// Luma error of a picture, against the reference's worst of seven pictures and its mean.
    pub picture_permille: u32,
    /// Luma error of a tile, against the reference's worst of nine tiles and its mean over the picture.
    pub tile_permille: u32,
    /// The same, quantiser taken into account.
    pub tile_fidelity_permille: u32,
    /// The same where the segment is starved.
    pub tile_fidelity_of_starved_permille: u32,
    /// Chroma error of a tile.
    pub chroma_tile_permille: u32,
    /// The same, quantiser taken into account.
    pub chroma_tile_fidelity_permille: u32,
    /// Displacement of half a picture, thousandths of a sample.
    pub slide_permille: u32,
    /// How much a picture may look like the one before instead of itself: 1000 is a perfect copy.
    pub repeat_permille: u32,
    /// How much of the source's motion the segment must show.
    pub motion_permille: u32,
    /// Share of the source's fine details that another scaler may lose or add.
    pub scaler_permille: u32,
}

impl Bounds {
    /// The bound on fine details where the reference loses `lost` of 1000 of them, 200 or more.
    pub(super) fn fine_loss_of_lost(&self, lost: u64) -> u32 {
        let (few, least) = (self.fine_loss_of_few_permille, self.fine_loss_of_least_permille);
        let part = lost.clamp(200, 350) - 200;
        let fall = u64::from(few.saturating_sub(least)) * part / 150;
        few - u32::try_from(fall).unwrap_or(few)
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            shift_ticks: 9000,
            jitter_ticks: 90,
            rate_over_permille: 200,
            other_bytes_per_second: 60_000,
            rate_under_permille: 525,
            rate_under_of_fast_permille: 575,
            luma_permille: 7000,
            fidelity_permille: 1900,
            fine_loss_permille: 1500,
            fine_loss_of_few_permille: 1250,
            fine_loss_of_least_permille: 1140,
            starved_permille: 450,
            fine_loss_of_starved_permille: 1245,
            coarse_loss_permille: 1500,
            means_permille: 6000,
            means_fidelity_permille: 1700,
            means_fidelity_of_starved_permille: 2400,
            chroma_permille: 17_000,
            chroma_means_permille: 4500,
            picture_permille: 11_000,
            tile_permille: 45_000,
            tile_fidelity_permille: 11_000,
            tile_fidelity_of_starved_permille: 18_000,
            chroma_tile_permille: 60_000,
            chroma_tile_fidelity_permille: 36_000,
            slide_permille: 210,
            repeat_permille: 700,
            motion_permille: 400,
            scaler_permille: 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_on_fine_details_falls_evenly() {
        let bounds = Bounds::default();
        let at = |lost| bounds.fine_loss_of_lost(lost);
        assert_eq!((at(0), at(200), at(275), at(350), at(1000)), (1250, 1250, 1195, 1140, 1140));
        // A profile may say anything.
        let odd = |few, least| Bounds {
            fine_loss_of_few_permille: few,
            fine_loss_of_least_permille: least,
            ..Bounds::default()
        };
        assert_eq!(odd(u32::MAX, 0).fine_loss_of_lost(350), 0);
        assert_eq!(odd(1000, 2000).fine_loss_of_lost(350), 1000);
    }
}
