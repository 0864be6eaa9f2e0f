//! HEVC: parameter sets and the codecs parameter.

use super::{nals, unescaped};

/// Types of NAL units (H.265 table 7-1).
pub(crate) const VPS: u8 = 32;
/// Sequence parameter set.
pub(crate) const SPS: u8 = 33;
/// Picture parameter set.
pub(crate) const PPS: u8 = 34;

/// The type of a NAL unit; 63, which is unspecified, of an empty one.
pub(crate) fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(63, |header| header >> 1 & 0x3f)
}

/// The head of a sequence parameter set (H.265 7.3.2.2.1) with the general part of its `profile_tier_level`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    /// Temporal layers.
    pub(crate) layers: u8,
    pub(crate) nested: bool,
    pub(crate) space: u8,
    pub(crate) high_tier: bool,
    pub(crate) profile: u8,
    pub(crate) compatible: [u8; 4],
    pub(crate) constraints: [u8; 6],
    pub(crate) level: u8,
}

impl Profile {
    /// Of a whole NAL unit; `None` if it is too short.
    pub(crate) fn read(set: &[u8]) -> Option<Self> {
        let set = unescaped(set, 15);
        let [_, _, head, profile, flags @ .., level] = set.as_slice() else { return None };
        let (compatible, constraints) = flags.split_first_chunk()?;
        Some(Self {
            layers: (head >> 1 & 7) + 1,
            nested: head & 1 == 1,
            space: profile >> 6,
            high_tier: profile & 0x20 != 0,
            profile: profile & 0x1f,
            compatible: *compatible,
            constraints: constraints.try_into().ok()?,
            level: *level,
        })
    }
}

/// ISO/IEC 14496-15 annex E.3 from the first sequence parameter set: profile, its compatibility flags in reverse order of
/// their bits, tier and level, and the constraint bytes up to the last one that is not zero. `hvc1` alone if there is none.
pub(crate) fn codecs(unit: &[u8]) -> String {
    let set = nals(unit).find(|nal| kind(nal) == SPS);
    let Some(Profile { space, high_tier, profile, compatible, constraints, level, .. }) = set.and_then(Profile::read)
    else {
        return "hvc1".to_owned();
    };
    let space = ["", "A", "B", "C"][usize::from(space & 3)];
    let tier = if high_tier { 'H' } else { 'L' };
    let compatible = u32::from_be_bytes(compatible).reverse_bits();
    let mut text = format!("hvc1.{space}{profile}.{compatible:X}.{tier}{level}");
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        text.push_str(&format!(".{byte:X}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_come_from_the_parameter_set() {
        // Main, main tier, level 3.1, as libx265 writes it; and its Main 10 in the high tier.
        let main = [0, 0, 0, 1, 66, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 93, 0xa0];
        assert_eq!(codecs(&main), "hvc1.1.6.L93.90");
        let ten = [0, 0, 1, 66, 1, 1, 0x22, 0x20, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 123];
        assert_eq!(codecs(&ten), "hvc1.2.4.H123");
        assert_eq!(codecs(&main[..12]), "hvc1");
        assert_eq!(codecs(&[]), "hvc1");
    }
}
