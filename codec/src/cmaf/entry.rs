//! How pictures are described to a decoder before the first one comes, and stored: all that depends on the video codec.

use mp4_atom::{Avc1, Avcc, AvccExt, Codec, Pasp, Visual};

use super::nal::nals;
use super::{Shape, broken};
use crate::error::EngineError;

/// The decoder's configuration, from the first access unit.
pub(super) enum Entry {
    /// H.264 as `avc1`: the parameter sets stand here and nowhere else (14496-15 5.3.3).
    Avc {
        /// Sequence and picture parameter set.
        sets: [Vec<u8>; 2],
    },
}

/// Types of NAL units (H.264 table 7-1).
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const END_OF_SEQUENCE: u8 = 10;
const END_OF_STREAM: u8 = 11;
const FILLER: u8 = 12;

impl Entry {
    /// Reads the parameter sets of a first H.264 access unit in Annex B form.
    pub(super) fn new(first: &[u8]) -> Result<Self, EngineError> {
        let set = |wanted: u8| {
            let found = nals(first).find(|nal| kind(nal) == wanted && nal.len() >= 4);
            found.map(<[u8]>::to_vec).ok_or_else(|| broken("the first picture has no parameter sets"))
        };
        Ok(Self::Avc { sets: [set(SPS)?, set(PPS)?] })
    }

    /// The box that says so.
    pub(super) fn describe(&self, shape: Shape) -> mp4_atom::Result<Codec> {
        let Self::Avc { sets: [sps, pps] } = self;
        let mut avcc = Avcc::new(sps, pps)?;
        // 14496-15 5.3.3.1.2: profiles from High on also say the chroma format and depths; 4:2:0 with 8 bits here.
        avcc.ext = (avcc.avc_profile_indication >= 100).then(AvccExt::default);
        let visual = Visual {
            data_reference_index: 1,
            width: shape.width as u16,
            height: shape.height as u16,
            ..Visual::default()
        };
        let pasp = match shape.aspect {
            (num, den) if num > 0 && den > 0 => Some(Pasp { h_spacing: num as u32, v_spacing: den as u32 }),
            _ => None,
        };
        Ok(Codec::Avc1(Avc1 { visual, avcc, pasp, ..Avc1::default() }))
    }

    /// Appends an access unit as it is stored, every NAL unit behind its length in four bytes; returns its size.
    pub(super) fn append(&self, unit: &[u8], out: &mut Vec<u8>) -> Result<u32, EngineError> {
        let Self::Avc { sets } = self;
        let before = out.len();
        for nal in nals(unit) {
            match kind(nal) {
                DELIMITER | END_OF_SEQUENCE | END_OF_STREAM | FILLER => {}
                SPS | PPS if sets.iter().any(|set| set == nal) => {}
                SPS | PPS => return Err(broken("a parameter set changes within the segment")),
                _ => {
                    out.extend((nal.len() as u32).to_be_bytes());
                    out.extend_from_slice(nal);
                }
            }
        }
        Ok((out.len() - before) as u32)
    }
}

fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |header| header & 0x1f)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const SETS: &[u8] = &[0, 0, 0, 1, 0x67, 0x64, 0, 0x1f, 0xac, 0, 0, 0, 1, 0x68, 0xee, 0x3c, 0x80];

    #[test]
    fn units_get_lengths_and_sets_move_out() {
        let unit = [&[0, 0, 0, 1, 9, 0xf0][..], SETS, &[0, 0, 1, 6, 5, 1, 0x80, 0, 0, 1, 0x65, 1, 2, 0, 0]].concat();
        let entry = Entry::new(&unit).unwrap();
        let mut out = vec![7];
        assert_eq!(entry.append(&unit, &mut out).unwrap(), 15);
        assert_eq!(out, [7, 0, 0, 0, 4, 6, 5, 1, 0x80, 0, 0, 0, 3, 0x65, 1, 2]);
        let shape = Shape { width: 640, height: 360, aspect: (4, 3) };
        let Codec::Avc1(avc1) = entry.describe(shape).unwrap() else { panic!("not avc1") };
        assert_eq!(avc1.avcc.sequence_parameter_sets, [[0x67, 0x64, 0, 0x1f, 0xac]]);
        assert_eq!(avc1.avcc.picture_parameter_sets, [[0x68, 0xee, 0x3c, 0x80]]);
        assert_eq!(avc1.pasp, Some(Pasp { h_spacing: 4, v_spacing: 3 }));
    }

    #[test]
    fn other_sets_are_no_small_matter() {
        assert!(Entry::new(&[0, 0, 1, 0x65, 1]).is_err());
        let entry = Entry::new(SETS).unwrap();
        let mut changed = SETS.to_vec();
        changed[8] = 0xad;
        assert!(entry.append(&changed, &mut Vec::new()).is_err());
    }
}
