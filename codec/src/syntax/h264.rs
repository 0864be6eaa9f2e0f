//! H.264: parameter sets and the codecs parameter.

use super::nals;

/// Types of NAL units (H.264 table 7-1): a slice of an IDR picture.
const IDR: u8 = 5;
/// Sequence parameter set.
pub(crate) const SPS: u8 = 7;
/// Picture parameter set.
pub(crate) const PPS: u8 = 8;

/// The type of a NAL unit; 0, which is unspecified, of an empty one.
pub(crate) fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |header| header & 0x1f)
}

/// Whether an access unit is an IDR picture.
pub(crate) fn is_idr(unit: &[u8]) -> bool {
    nals(unit).any(|nal| kind(nal) == IDR)
}

/// RFC 6381 from the first sequence parameter set: profile, constraint flags and level. `avc1` alone if there is none.
pub(crate) fn codecs(unit: &[u8]) -> String {
    match nals(unit).find(|nal| kind(nal) == SPS && nal.len() >= 4) {
        Some(set) => format!("avc1.{:02X}{:02X}{:02X}", set[1], set[2], set[3]),
        None => "avc1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_come_from_the_parameter_set() {
        let unit = [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1f, 0xac];
        assert_eq!(codecs(&unit), "avc1.64001F");
        assert_eq!(codecs(&unit[..8]), "avc1");
        assert!(!is_idr(&unit) && is_idr(&[0, 0, 1, 0x65, 0x88]) && !is_idr(&[0, 0, 1, 0x41, 0x9a]));
    }
}
