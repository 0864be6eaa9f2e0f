//! H.264 network abstraction layer: which access units are IDR pictures, and how many bytes describe pixels.

/// What one access unit holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// An IDR picture.
    pub(super) idr: bool,
    /// A sequence parameter set.
    pub(super) parameters: bool,
    /// Bytes of slices. Filler, messages and the zero words behind a slice do not count: they would make a low bit rate
    /// look like a high one.
    pub(super) slice_bytes: u64,
}

impl Content {
    /// Of one access unit in Annex B form.
    pub(super) fn of(unit: &[u8]) -> Self {
        let mut content = Self::default();
        for nal in nals(unit) {
            match nal.first().map(|header| header & 0x1f) {
                Some(kind @ (1 | 5)) => {
                    content.idr |= kind == 5;
                    content.slice_bytes += trimmed(nal).len() as u64;
                }
                Some(7) => content.parameters = true,
                _ => {}
            }
        }
        content
    }
}

/// The units between start codes, headers included.
fn nals(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = next_start(bytes, 0);
    std::iter::from_fn(move || {
        let start = at?;
        at = next_start(bytes, start);
        let end = at.map_or(bytes.len(), |next| next - 3);
        bytes.get(start..end)
    })
}

/// The place behind the next start code.
fn next_start(bytes: &[u8], from: usize) -> Option<usize> {
    let mut zeros = 0;
    for (i, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            0 => zeros += 1,
            1 if zeros >= 2 => return Some(i + 1),
            _ => zeros = 0,
        }
    }
    None
}

/// Without trailing zeros and `cabac_zero_words` (7.4.2.10), which carry nothing.
fn trimmed(mut nal: &[u8]) -> &[u8] {
    loop {
        match nal {
            [rest @ .., 0] | [rest @ .., 0, 0, 3] => nal = rest,
            _ => return nal,
        }
    }
}

/// The encoder's own words in the first message of an access unit that begins with `prefix` (x264 writes one).
pub(super) fn words<'a>(unit: &'a [u8], prefix: &str) -> Option<&'a str> {
    let at = unit.windows(prefix.len()).position(|window| window == prefix.as_bytes())?;
    let text = &unit[at..];
    let end = text.iter().position(|byte| !(32..127).contains(byte)).unwrap_or(text.len());
    std::str::from_utf8(&text[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slices_count() {
        let unit = [
            &[0, 0, 0, 1, 9, 0xf0][..],
            &[0, 0, 1, 0x67, 1, 2],
            &[0, 0, 1, 0x65, 5, 6, 7, 0x80, 0, 0, 3, 0, 0, 3, 0],
            &[0, 0, 1, 12, 0xff, 0xff, 0xff, 0x80],
            &[0, 0, 1, 0x41, 8, 9],
        ]
        .concat();
        assert_eq!(Content::of(&unit), Content { idr: true, parameters: true, slice_bytes: 5 + 3 });
        for odd in [&[][..], &[0], &[0, 0, 1], &[0, 0, 1, 0, 0, 1], &[0, 0, 0, 0], &[0, 0, 3, 0, 0, 3]] {
            assert_eq!(Content::of(odd), Content::default());
        }
    }

    #[test]
    fn an_encoder_tells_its_build() {
        let unit = b"\0\0\x01\x06\x05\xffx264 - core 164 r3095 baee400 - H.264\0\x80\0\0\x01\x65";
        assert_eq!(words(unit, "x264 - core"), Some("x264 - core 164 r3095 baee400 - H.264"));
        assert_eq!(words(unit, "x265"), None);
    }
}
