//! H.264: the codecs parameter.

use super::nals;

/// RFC 6381 from the first sequence parameter set: profile, constraint flags and level. `avc1` alone if there is none.
pub(crate) fn codecs(unit: &[u8]) -> String {
    match nals(unit).find(|nal| nal.len() >= 4 && nal[0] & 0x1f == 7) {
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
    }
}
