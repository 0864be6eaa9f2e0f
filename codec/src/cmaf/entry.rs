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
