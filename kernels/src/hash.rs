//! A name for what a picture shows: SHA-256 over the hashes of its rows, however they were stored.
//!
//! Numbers have the high byte first. The hash of a row is SHA-256 over `row` and its channel (0 Y, 1 U, 2 V), a byte, then
//! its samples from left to right, a byte for one of 8 bits and two bytes for one of 10. The hash of a picture is SHA-256
//! over the tag `headframe picture 2` and a zero byte; luma width and height, 4 bytes each; the chroma format as H.264 counts
//! it (0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4) and the bits of a sample, a byte each; then the hashes of all rows of Y from top to bottom,
//! of U and of V. What is hashed of a row and of a picture begins differently, so neither passes for the other.
//!
//! Gaps between rows, interleaving and bits that do not count leave no trace: NV12 and planar 4:2:0 of one picture have
//! one hash. Rows do not wait for each other, so a graphics card hashes them all at once (`cuda::hash`, `vulkan`), and 32 bytes
//! of each leave it.

use sha2::{Digest as _, Sha256};

use crate::source::{Source, SourceRef};

const TAG: &[u8] = b"headframe picture 2\0";
const ROW: &[u8] = b"row";

/// The hash of a picture.
pub fn picture(picture: &SourceRef<'_>) -> [u8; 32] {
    let source = picture.source();
    let mut samples = Vec::new();
    let rows = rows(source).into_iter().enumerate().flat_map(|(channel, rows)| (0..rows).map(move |y| (channel, y)));
    let hashes = rows.map(|(channel, y)| {
        samples.resize(picture.extent(channel).0 * if source.format.bits() == 8 { 1 } else { 2 }, 0);
        picture.copy_row(channel, y, &mut samples);
        row(channel, &samples)
    });
    of_rows(source, hashes)
}

/// Rows of Y, U and V.
pub(crate) fn rows(source: Source) -> [usize; 3] {
    let rows = |channel: usize| source.format.siting(channel).1.samples(source.height) as usize;
    if source.format.chroma() == 0 { [rows(0), 0, 0] } else { [rows(0), rows(1), rows(2)] }
}

/// The hash of a row.
fn row(channel: usize, samples: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(ROW).chain_update([channel as u8]).chain_update(samples).finalize().into()
}

/// The hash of a picture from those of its rows, of which there are as many as [`rows`] says.
pub(crate) fn of_rows(source: Source, hashes: impl Iterator<Item = [u8; 32]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(TAG);
    hash.update(source.width.to_be_bytes());
    hash.update(source.height.to_be_bytes());
    hash.update([source.format.chroma(), source.format.bits() as u8]);
    hashes.for_each(|row| hash.update(row));
    hash.finalize().into()
}

/// The hash of a picture from those of its rows as a card gives them: eight words each, rows of Y, of U and of V.
///
/// # Panics
/// If they are not as many as the picture has rows.
pub fn of_words(source: Source, words: &[u32]) -> [u8; 32] {
    let bytes = |words: &[u32; 8]| {
        let mut bytes = [0; 32];
        bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_be_bytes());
        bytes
    };
    assert_eq!(words.len(), 8 * rows(source).iter().sum::<usize>(), "a hash for each row");
    of_rows(source, words.as_chunks().0.iter().map(bytes))
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
        let mut bytes = b"headframe picture 2\0".to_vec();
        bytes.extend([0, 0, 0, 4, 0, 0, 0, 2, 1, 8]);
        for row in
            [[&b"row\0"[..], &[1, 2, 3, 4]], [b"row\0", &[5, 6, 7, 8]], [b"row\x01", &[9, 10]], [b"row\x02", &[11, 12]]]
        {
            bytes.extend(Sha256::digest(row.concat()));
        }
        let want: [u8; 32] = Sha256::digest(&bytes).into();
        let y = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(hashed(Format::Yuv420, &[(&y, 4), (&[9, 10], 2), (&[11, 12], 2)]), want);
        assert_ne!(hashed(Format::Yuv420, &[(&y, 4), (&[11, 12], 2), (&[9, 10], 2)]), want);
    }
}
