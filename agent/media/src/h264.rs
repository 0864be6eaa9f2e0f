//! The little of H.264 that moving frames needs: the `avcC` record, NAL units, and the size in a sequence parameter set.
//! Nothing here decodes a picture.

use bytes::Bytes;

/// NAL unit types, ITU-T H.264 table 7-1.
pub mod nal {
    /// A slice of an IDR picture: decoding can begin here.
    pub const IDR: u8 = 5;
    /// Sequence parameter set.
    pub const SPS: u8 = 7;
    /// Picture parameter set.
    pub const PPS: u8 = 8;
    /// Access unit delimiter.
    pub const AUD: u8 = 9;
    /// Filler data, meaningless by definition.
    pub const FILLER: u8 = 12;

    /// The type in a NAL unit's first byte, 0 for an empty one.
    pub fn kind(unit: &[u8]) -> u8 {
        unit.first().map_or(0, |byte| byte & 0x1F)
    }
}

/// Most parameter sets of either kind, as the format itself allows.
const MAX_SETS: usize = 32;
/// Most NAL units in one access unit: generous for slices and SEI, small against an attack with empty units.
const MAX_UNITS: usize = 1024;

/// What is wrong with bytes that should be H.264.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum H264Error {
    /// A length points past the end.
    #[error("H.264 {0} is cut short")]
    Short(&'static str),
    /// A value that the format forbids.
    #[error("H.264 {0} is out of range")]
    Range(&'static str),
}

/// An `AVCDecoderConfigurationRecord`, ISO/IEC 14496-15 section 5.3.3.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvcConfig {
    /// Sequence parameter sets, without start codes; at least one.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets, without start codes.
    pub pps: Vec<Bytes>,
    /// Bytes in the length before each NAL unit: 1, 2 or 4.
    pub length_size: usize,
}

impl AvcConfig {
    /// Reads the record.
    pub fn parse(record: &Bytes) -> Result<Self, H264Error> {
        let short = H264Error::Short("decoder configuration");
        let length_size = match record.get(4).ok_or_else(|| short.clone())? & 3 {
            2 => return Err(H264Error::Range("NAL length size")),
            size => usize::from(size) + 1,
        };
        let mut at = 5;
        let mut list = |mask: u8| -> Result<Vec<Bytes>, H264Error> {
            let count = usize::from(record.get(at).ok_or_else(|| short.clone())? & mask);
            at += 1;
            if count > MAX_SETS {
                return Err(H264Error::Range("number of parameter sets"));
            }
            (0..count)
                .map(|_| {
                    let head = record.get(at..at + 2).ok_or_else(|| short.clone())?;
                    let end = at + 2 + usize::from(u16::from_be_bytes([head[0], head[1]]));
                    let set = record.get(at + 2..end).ok_or_else(|| short.clone())?;
                    at = end;
                    Ok(record.slice_ref(set))
                })
                .collect()
        };
        let sps = list(0x1F)?;
        let pps = list(0xFF)?;
        if sps.is_empty() {
            return Err(H264Error::Range("number of sequence parameter sets"));
        }
        Ok(Self { sps, pps, length_size })
    }
}

/// Splits length-prefixed NAL units; empty ones are left out.
pub fn split_units(data: &Bytes, length_size: usize) -> Result<Vec<Bytes>, H264Error> {
    let mut units = Vec::new();
    let mut rest = &data[..];
    while !rest.is_empty() {
        let (head, tail) = rest.split_at_checked(length_size).ok_or(H264Error::Short("NAL length"))?;
        let length = head.iter().fold(0usize, |length, &b| length << 8 | usize::from(b));
        let (unit, after) = tail.split_at_checked(length).ok_or(H264Error::Short("NAL unit"))?;
        if !unit.is_empty() {
            units.push(data.slice_ref(unit));
        }
        if units.len() > MAX_UNITS {
            return Err(H264Error::Range("number of NAL units in a frame"));
        }
        rest = after;
    }
    Ok(units)
}

/// What a sequence parameter set says about the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureInfo {
    /// Width shown, in pixels.
    pub width: u32,
    /// Height shown, in pixels.
    pub height: u32,
    /// RFC 6381 name, such as `avc1.64001f`.
    pub codec: String,
    /// Luma bit depth; more than 8 cannot be decoded by most players.
    pub bit_depth: u32,
    /// `chroma_format_idc`: 1 is 4:2:0.
    pub chroma: u32,
}

/// Reads profile, level and size from a sequence parameter set, ITU-T H.264 section 7.3.2.1.1.
pub fn picture_info(sps: &[u8]) -> Result<PictureInfo, H264Error> {
    let &[_, profile, constraints, level, ref rest @ ..] = sps else {
        return Err(H264Error::Short("sequence parameter set"));
    };
    let mut bits = Bits::new(rest);
    bits.ue()?; // seq_parameter_set_id
    let (mut chroma, mut bit_depth, mut separate) = (1, 8, false);
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma = bits.ue()?;
        if chroma == 3 {
            separate = bits.flag()?;
        }
        bit_depth = bits.ue()?.saturating_add(8);
        bits.ue()?; // chroma depth
        bits.flag()?; // lossless bypass
        if bits.flag()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    bits.skip_scaling_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue()?; // log2_max_frame_num
    match bits.ue()? {
        0 => _ = bits.ue()?,
        1 => {
            bits.flag()?;
            bits.ue()?;
            bits.ue()?;
            for _ in 0..bits.ue()?.min(255) {
                bits.ue()?;
            }
        }
        _ => {}
    }
    bits.ue()?; // max_num_ref_frames
    bits.flag()?;
    let columns = bits.ue()?.saturating_add(1);
    let rows = bits.ue()?.saturating_add(1);
    let frame_only = bits.flag()?;
    if !frame_only {
        bits.flag()?;
    }
    bits.flag()?; // direct_8x8_inference
    let mut crop = [0u32; 4];
    if bits.flag()? {
        for edge in &mut crop {
            *edge = bits.ue()?;
        }
    }
    // Table 6-1 and equations 7-19 to 7-22: the unit of cropping depends on chroma and on interlacing.
    let field = if frame_only { 1 } else { 2 };
    let (unit_x, unit_y) = match (chroma, separate) {
        (1, _) => (2, 2 * field),
        (2, _) => (2, field),
        _ => (1, field),
    };
    let size = |blocks: u32, unit: u32, a: u32, b: u32| {
        let cut = a.checked_add(b)?.checked_mul(unit)?;
        blocks.checked_mul(16)?.checked_sub(cut).filter(|size| (1..=16_384).contains(size))
    };
    let range = H264Error::Range("picture size");
    Ok(PictureInfo {
        width: size(columns, unit_x, crop[0], crop[1]).ok_or_else(|| range.clone())?,
        height: rows.checked_mul(field).and_then(|rows| size(rows, unit_y, crop[2], crop[3])).ok_or(range)?,
        codec: format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        bit_depth,
        chroma,
    })
}

/// Reads bits of a NAL payload, leaving out emulation prevention bytes.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    bit: u32,
    zeros: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, bit: 0, zeros: 0 }
    }

    fn flag(&mut self) -> Result<bool, H264Error> {
        if self.bit == 0 && self.zeros >= 2 && self.bytes.get(self.at) == Some(&3) {
            self.at += 1;
            self.zeros = 0;
        }
        let byte = *self.bytes.get(self.at).ok_or(H264Error::Short("sequence parameter set"))?;
        let value = byte >> (7 - self.bit) & 1;
        self.bit += 1;
        if self.bit == 8 {
            self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
            self.bit = 0;
            self.at += 1;
        }
        Ok(value == 1)
    }

    /// Exponential Golomb, section 9.1.
    fn ue(&mut self) -> Result<u32, H264Error> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(H264Error::Range("Golomb code"));
            }
        }
        let mut value = 0u32;
        for _ in 0..zeros {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok((1u32 << zeros) - 1 + value)
    }

    fn se(&mut self) -> Result<i64, H264Error> {
        let code = i64::from(self.ue()?);
        Ok(if code % 2 == 0 { -code / 2 } else { (code + 1) / 2 })
    }

    fn skip_scaling_list(&mut self, size: u32) -> Result<(), H264Error> {
        let mut scale = 8i64;
        for _ in 0..size {
            scale = (scale + self.se()?).rem_euclid(256);
            if scale == 0 {
                break; // the rest repeats the last value
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// x264 High, 1280x720, level 3.1.
    pub(crate) const SPS_720P: [u8; 26] = [
        0x67, 0x64, 0x00, 0x1F, 0xAC, 0xD9, 0x40, 0x50, 0x05, 0xBB, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
        0x00, 0x03, 0x03, 0xC0, 0xF1, 0x83, 0x19, 0x60,
    ];
    pub(crate) const PPS: [u8; 6] = [0x68, 0xEB, 0xE3, 0xCB, 0x22, 0xC0];

    /// An `avcC` record with four-byte lengths.
    pub(crate) fn avcc(sps: &[u8], pps: &[u8]) -> Bytes {
        let mut record = vec![1, sps[1], sps[2], sps[3], 0xFF, 0xE1];
        for (set, count) in [(sps, None), (pps, Some(1))] {
            record.extend(count);
            record.extend((set.len() as u16).to_be_bytes());
            record.extend(set);
        }
        record.into()
    }

    #[test]
    fn reads_the_size_of_a_720p_picture() {
        let info = picture_info(&SPS_720P).expect("a real parameter set");
        assert_eq!((info.width, info.height, info.codec.as_str()), (1280, 720, "avc1.64001f"));
        assert_eq!((info.bit_depth, info.chroma), (8, 1));
    }

    #[test]
    fn the_record_gives_back_its_parameter_sets() {
        let config = AvcConfig::parse(&avcc(&SPS_720P, &PPS)).expect("valid");
        assert_eq!((config.sps.len(), config.pps.len(), config.length_size), (1, 1, 4));
        assert_eq!(config.sps[0], SPS_720P[..]);
        assert_eq!(config.pps[0], PPS[..]);
        for cut in 0..avcc(&SPS_720P, &PPS).len() {
            assert!(AvcConfig::parse(&avcc(&SPS_720P, &PPS).slice(..cut)).is_err(), "accepted {cut} bytes");
        }
    }

    #[test]
    fn units_are_split_and_lies_about_length_are_refused() {
        let data = Bytes::from_static(&[0, 0, 0, 2, 0x65, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x41]);
        let units = split_units(&data, 4).expect("valid");
        assert_eq!(units, [Bytes::from_static(&[0x65, 1]), Bytes::from_static(&[0x41])]);
        assert!(split_units(&data.slice(..5), 4).is_err());
        assert!(split_units(&Bytes::from_static(&[0xFF, 0xFF, 0xFF, 0xFF, 1]), 4).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_the_parsers_panic(data in prop::collection::vec(any::<u8>(), 0..200), size in 0usize..3) {
            let _ = picture_info(&data);
            let data = Bytes::from(data);
            let _ = AvcConfig::parse(&data);
            let _ = split_units(&data, [1, 2, 4][size]);
        }
    }
}
