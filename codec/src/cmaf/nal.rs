//! NAL units between the start codes of Annex B.

/// The units, headers included, without the zeros in front of the next start code.
pub(super) fn nals(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = next_start(bytes, 0);
    std::iter::from_fn(move || {
        let start = at?;
        at = next_start(bytes, start);
        let mut nal = bytes.get(start..at.map_or(bytes.len(), |next| next - 3))?;
        // No unit ends with a zero (H.264 and H.265 7.4.1).
        while let [rest @ .., 0] = nal {
            nal = rest;
        }
        Some(nal)
    })
}

/// The place behind the next start code.
fn next_start(bytes: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(3).position(|window| window == [0, 0, 1]).map(|at| from + at + 3)
}
