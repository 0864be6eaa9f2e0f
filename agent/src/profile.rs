//! Ladders as the profile registry knows them.

use headframe_codec::ladder::{Codec, Ladder, Rendition};
use headframe_market::profile::{Limits, Profile, Rung};

/// Catmull-Rom, by its number in `Answers.Answer`.
const CATMULL_ROM: u8 = 0;
/// Constrained baseline, main, extended and high: what an 8-bit 4:2:0 rendition may be coded in.
const PROFILES: [u8; 4] = [66, 77, 88, 100];
/// The highest level of H.264 that any rendition of a ladder needs: 5.2, 4096 x 2304 at 60.
const LEVEL: u8 = 52;
/// The rate control keeps a segment within this many times its ordered rate.
const MOST_OVER_RATE: u32 = 3;

/// The profile under which a ladder is ordered. Its id depends on every value of the ladder.
///
/// The sums of squared errors that the chain can hold against a rendition are a far fence, a picture at 15 dB: what a
/// rendition has to reach is relative to its content, and the predicate that verifiers run says so.
pub fn of(ladder: &Ladder) -> Profile {
    // A ladder is plain data: it has no map with odd keys, the only thing that does not serialise.
    let text = serde_json::to_vec(ladder).unwrap_or_default();
    Profile {
        filter: CATMULL_ROM,
        cascade: true,
        ladder: alloy::primitives::keccak256(text),
        rungs: ladder.renditions().iter().map(rung).collect(),
    }
}

fn rung(rendition: &Rendition) -> Rung {
    let h264 = rendition.codec == Codec::H264;
    Rung {
        width: rendition.width,
        height: rendition.height,
        // The chain reads the headers of H.264 alone; of other codecs it holds nothing against anybody.
        profiles: if h264 { PROFILES.to_vec() } else { (0..=u8::MAX).collect() },
        level: if h264 { LEVEL } else { u8::MAX },
        max_bytes_per_second: (rendition.bitrate_bps / 8).saturating_mul(MOST_OVER_RATE),
        limits: limits(rendition.width, rendition.height),
    }
}

/// Squared errors of a picture at 15 dB: 255² / 10^1.5 for each sample, about 2056.
fn limits(width: u32, height: u32) -> Limits {
    const PER_SAMPLE: u64 = 2056;
    let luma = u64::from(width) * u64::from(height);
    Limits { frame_luma: luma * PER_SAMPLE, frame_chroma: luma / 2 * PER_SAMPLE, ..Limits::NONE }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_depends_on_every_value_of_the_ladder() {
        let standard = Ladder::standard();
        assert_eq!(of(&standard).id(), of(&Ladder::standard()).id());
        let text = serde_json::to_string(&standard).unwrap();
        let other: Ladder = serde_json::from_str(&text.replace("800000", "800001")).unwrap();
        assert_ne!(of(&standard).id(), of(&other).id());
    }
}
