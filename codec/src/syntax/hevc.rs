//! HEVC: the codecs parameter.

use super::{nals, unescaped};

/// Types of NAL units (H.265 table 7-1).
const SPS: u8 = 33;

/// The type of a NAL unit.
fn kind(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header >> 1 & 0x3f)
}

/// ISO/IEC 14496-15 annex E.3 from the first sequence parameter set: profile, its compatibility flags in reverse order of
/// their bits, tier and level, and the constraint bytes up to the last one that is not zero. `hvc1` alone if there is none.
pub(crate) fn codecs(unit: &[u8]) -> String {
    described(unit).unwrap_or_else(|| "hvc1".to_owned())
}

fn described(unit: &[u8]) -> Option<String> {
    let set = nals(unit).find(|nal| kind(nal) == Some(SPS))?;
    // H.265 7.3.2.2.1: header, one byte of identifiers and layers, then the general part of `profile_tier_level`.
    let set = unescaped(set, 15);
    let [_, _, _, profile, flags @ .., level] = set.as_slice() else { return None };
    let (compatible, constraints) = flags.split_first_chunk::<4>()?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let compatible = u32::from_be_bytes(*compatible).reverse_bits();
    let mut text = format!("hvc1.{space}{}.{compatible:X}.{tier}{level}", profile & 0x1f);
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in constraints.get(..used)? {
        text.push_str(&format!(".{byte:X}"));
    }
    Some(text)
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
