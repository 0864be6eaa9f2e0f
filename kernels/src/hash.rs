//! A name for what a picture shows: SHA-256 over its samples in one order, however they were stored.
//!
//! What is hashed, numbers with the high byte first: the tag `headframe picture 1` and a zero byte; luma width and
//! height, 4 bytes each; the chroma format as H.264 counts it (0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4) and the bits of a
//! sample, a byte each; then every row of Y, of U and of V, a byte per sample of 8 bits and two bytes per sample of 10.
//! Gaps between rows, interleaving and bits that do not count leave no trace: NV12 and planar 4:2:0 of one picture have
//! one hash.

use sha2::{Digest as _, Sha256};

use crate::source::SourceRef;

const TAG: &[u8] = b"headframe picture 1\0";

/// The hash of a picture.
pub fn picture(picture: &SourceRef<'_>) -> [u8; 32] {
    let source = picture.source();
    let mut hash = Sha256::new();
    hash.update(TAG);
    hash.update(source.width.to_be_bytes());
    hash.update(source.height.to_be_bytes());
    let (chroma, bits) = (source.format.chroma(), source.format.bits() as u8);
    hash.update([chroma, bits]);
    let channels = if chroma == 0 { 1 } else { 3 };
    let mut row = Vec::new();
    for channel in 0..channels {
        let (width, height) = picture.extent(channel);
        row.resize(width * if bits == 8 { 1 } else { 2 }, 0);
        for y in 0..height {
            picture.copy_row(channel, y, &mut row);
            hash.update(&row);
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::source::{Format, Source};

    fn hashed(format: Format, planes: &[(&[u8], usize)]) -> [u8; 32] {
        picture(&SourceRef::new(Source { width: 4, height: 2, format }, planes).unwrap())
    }

    #[test]
    fn storage_leaves_no_trace() {
        let y = [1, 2, 3, 4, 5, 6, 7, 8];
        let wide_gap = [1, 2, 3, 4, 99, 98, 5, 6, 7, 8];
        let planar = hashed(Format::Yuv420, &[(&y, 4), (&[9, 10], 2), (&[11, 12], 2)]);
        assert_eq!(planar, hashed(Format::Yuv420, &[(&wide_gap, 6), (&[9, 10], 2), (&[11, 12], 2)]));
        assert_eq!(planar, hashed(Format::Nv12, &[(&y, 4), (&[9, 11, 10, 12], 4)]));
        assert_ne!(planar, hashed(Format::Nv12, &[(&y, 4), (&[9, 10, 11, 12], 4)]));
        assert_ne!(planar, hashed(Format::Grey, &[(&y, 4)]));
        let words = |samples: &[u16], shift: u32, low: u16| -> Vec<u8> {
            samples.iter().flat_map(|sample| ((sample << shift) | low).to_le_bytes()).collect()
        };
        let ten = hashed(
            Format::Yuv420Ten,
            &[(&words(&[700; 8], 0, 0), 8), (&words(&[1, 2], 0, 0), 4), (&words(&[3, 4], 0, 0), 4)],
        );
        assert_eq!(ten, hashed(Format::P010, &[(&words(&[700; 8], 6, 63), 8), (&words(&[1, 3, 2, 4], 6, 17), 8)]));
    }

    #[test]
    fn known_bytes() {
        // The description above, spelled out.
        let mut bytes = b"headframe picture 1\0".to_vec();
        bytes.extend([0, 0, 0, 4, 0, 0, 0, 2, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        let want: [u8; 32] = Sha256::digest(&bytes).into();
        assert_eq!(hashed(Format::Grey, &[(&[1, 2, 3, 4, 5, 6, 7, 8], 4)]), want);
    }
}
