//! How pictures are described to a decoder before the first one comes, and stored: all that depends on the video codec.

use mp4_atom::{Av01, Av1c, Avc1, Avcc, AvccExt, Codec as Described, Hvc1, HvcCArray, Hvcc, Pasp, Visual};

use super::{Shape, broken};
use crate::error::EngineError;
use crate::ladder::Codec;
use crate::syntax::{av1, h264, hevc, nals};

/// The decoder's configuration, from the first picture.
pub(super) enum Entry {
    /// H.264 as `avc1`: sequence and picture parameter set stand here and nowhere else (14496-15 5.3.3).
    Avc(Sets<2>),
    /// HEVC as `hvc1`: likewise, with the video parameter set first (14496-15 8.3.3).
    Hevc(Sets<3>, hevc::Profile),
    /// AV1: the sequence header stands here and in front of every key picture (AV1 in ISOBMFF 2.3.4).
    Av1 {
        /// The whole unit.
        header: Vec<u8>,
        sequence: av1::Sequence,
    },
}

/// One parameter set of each kind.
pub(super) struct Sets<const N: usize>([Vec<u8>; N]);

impl<const N: usize> Sets<N> {
    /// From a first access unit in Annex B form.
    fn new(first: &[u8], kind: impl Fn(&[u8]) -> u8, wanted: [u8; N]) -> Result<Self, EngineError> {
        let found = wanted.map(|wanted| nals(first).find(|nal| kind(nal) == wanted && nal.len() >= 4));
        match found.iter().all(Option::is_some) {
            true => Ok(Self(found.map(|set| set.unwrap_or_default().to_vec()))),
            false => Err(broken("the first picture has no parameter sets")),
        }
    }

    /// Appends an access unit as it is stored: every NAL unit that is not `left_out` behind its length in four bytes.
    fn append(&self, unit: &[u8], what: impl Fn(&[u8]) -> Stored, out: &mut Vec<u8>) -> Result<(), EngineError> {
        for nal in nals(unit) {
            match what(nal) {
                Stored::Sample => {
                    out.extend((nal.len() as u32).to_be_bytes());
                    out.extend_from_slice(nal);
                }
                Stored::Nowhere => {}
                Stored::Entry if self.0.iter().any(|set| set == nal) => {}
                Stored::Entry => return Err(broken("a parameter set changes within the segment")),
            }
        }
        Ok(())
    }
}

/// Where a NAL unit is stored.
enum Stored {
    Sample,
    Entry,
    /// Delimiters, ends and filler.
    Nowhere,
}

impl Entry {
    /// Reads the headers of a first picture.
    pub(super) fn new(codec: Codec, first: &[u8]) -> Result<Self, EngineError> {
        match codec {
            Codec::H264 => Ok(Self::Avc(Sets::new(first, h264::kind, [h264::SPS, h264::PPS])?)),
            Codec::Hevc => {
                let sets = Sets::new(first, hevc::kind, [hevc::VPS, hevc::SPS, hevc::PPS])?;
                let profile =
                    hevc::Profile::read(&sets.0[1]).ok_or_else(|| broken("the parameter set is too short"))?;
                Ok(Self::Hevc(sets, profile))
            }
            Codec::Av1 => match av1::sequence(first) {
                Some((header, sequence)) => Ok(Self::Av1 { header: header.to_vec(), sequence }),
                None => Err(broken("the first picture has no sequence header")),
            },
        }
    }

    /// The box that says so.
    pub(super) fn describe(&self, shape: Shape) -> mp4_atom::Result<Described> {
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
        Ok(match self {
            Self::Avc(Sets([sps, pps])) => {
                let mut avcc = Avcc::new(sps, pps)?;
                // 14496-15 5.3.3.1.2: profiles from High on also say the chroma format and depths; 4:2:0 with 8 bits here.
                avcc.ext = (avcc.avc_profile_indication >= 100).then(AvccExt::default);
                Described::Avc1(Avc1 { visual, avcc, pasp, ..Avc1::default() })
            }
            Self::Hevc(sets, profile) => {
                Described::Hvc1(Hvc1 { visual, hvcc: hvcc(sets, profile), pasp, ..Hvc1::default() })
            }
            Self::Av1 { header, sequence } => {
                Described::Av01(Av01 { visual, av1c: av1c(header, sequence), pasp, ..Av01::default() })
            }
        })
    }

    /// Appends a picture as it is stored; returns its size.
    pub(super) fn append(&self, unit: &[u8], out: &mut Vec<u8>) -> Result<u32, EngineError> {
        let before = out.len();
        match self {
            Self::Avc(sets) => sets.append(unit, avc_stored, out)?,
            Self::Hevc(sets, _) => sets.append(unit, hevc_stored, out)?,
            Self::Av1 { header, .. } => {
                if av1::sequence(unit).is_some_and(|(other, _)| other != header) {
                    return Err(broken("the sequence header changes within the segment"));
                }
                // They should not be there (AV1 in ISOBMFF 2.4), and every encoder may write them.
                out.extend(av1::without_delimiters(unit));
            }
        }
        Ok((out.len() - before) as u32)
    }
}

fn avc_stored(nal: &[u8]) -> Stored {
    match h264::kind(nal) {
        h264::SPS | h264::PPS => Stored::Entry,
        // Delimiter, end of sequence, end of stream, filler.
        9..=12 => Stored::Nowhere,
        _ => Stored::Sample,
    }
}

fn hevc_stored(nal: &[u8]) -> Stored {
    match hevc::kind(nal) {
        hevc::VPS | hevc::SPS | hevc::PPS => Stored::Entry,
        // Delimiter, end of sequence, end of stream, filler.
        35..=38 => Stored::Nowhere,
        _ => Stored::Sample,
    }
}

/// 14496-15 8.3.3.1. Frame rate and parallelism are left unknown (0); 4:2:0 with 8 bits.
fn hvcc(Sets(sets): &Sets<3>, profile: &hevc::Profile) -> Hvcc {
    let array =
        |set: &Vec<u8>| HvcCArray { completeness: true, nal_unit_type: hevc::kind(set), nalus: vec![set.clone()] };
    Hvcc {
        general_profile_space: profile.space,
        general_tier_flag: profile.high_tier,
        general_profile_idc: profile.profile,
        general_profile_compatibility_flags: profile.compatible,
        general_constraint_indicator_flags: profile.constraints,
        general_level_idc: profile.level,
        chroma_format_idc: 1,
        num_temporal_layers: profile.layers,
        temporal_id_nested: profile.nested,
        length_size_minus_one: 3,
        arrays: sets.iter().map(array).collect(),
        ..Hvcc::new()
    }
}

/// AV1 in ISOBMFF 2.3.3.
fn av1c(header: &[u8], sequence: &av1::Sequence) -> Av1c {
    Av1c {
        seq_profile: sequence.profile,
        seq_level_idx_0: sequence.level,
        seq_tier_0: sequence.high_tier,
        high_bitdepth: sequence.bit_depth > 8,
        twelve_bit: sequence.bit_depth > 10,
        monochrome: sequence.monochrome,
        chroma_subsampling_x: sequence.subsampling.0,
        chroma_subsampling_y: sequence.subsampling.1,
        chroma_sample_position: sequence.sample_position,
        initial_presentation_delay: None,
        config_obus: header.to_vec(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const SETS: &[u8] = &[0, 0, 0, 1, 0x67, 0x64, 0, 0x1f, 0xac, 0, 0, 0, 1, 0x68, 0xee, 0x3c, 0x80];

    #[test]
    fn units_get_lengths_and_sets_move_out() {
        let unit = [&[0, 0, 0, 1, 9, 0xf0][..], SETS, &[0, 0, 1, 6, 5, 1, 0x80, 0, 0, 1, 0x65, 1, 2, 0, 0]].concat();
        let entry = Entry::new(Codec::H264, &unit).unwrap();
        let mut out = vec![7];
        assert_eq!(entry.append(&unit, &mut out).unwrap(), 15);
        assert_eq!(out, [7, 0, 0, 0, 4, 6, 5, 1, 0x80, 0, 0, 0, 3, 0x65, 1, 2]);
        let shape = Shape { width: 640, height: 360, aspect: (4, 3) };
        let Described::Avc1(avc1) = entry.describe(shape).unwrap() else { panic!("not avc1") };
        assert_eq!(avc1.avcc.sequence_parameter_sets, [[0x67, 0x64, 0, 0x1f, 0xac]]);
        assert_eq!(avc1.avcc.picture_parameter_sets, [[0x68, 0xee, 0x3c, 0x80]]);
        assert_eq!(avc1.pasp, Some(Pasp { h_spacing: 4, v_spacing: 3 }));
    }

    #[test]
    fn other_sets_are_no_small_matter() {
        for codec in Codec::ALL {
            assert!(Entry::new(codec, &[0, 0, 1, 0x65, 1]).is_err());
        }
        let entry = Entry::new(Codec::H264, SETS).unwrap();
        let mut changed = SETS.to_vec();
        changed[8] = 0xad;
        assert!(entry.append(&changed, &mut Vec::new()).is_err());
    }

    #[test]
    fn hevc_and_av1_are_described_by_their_headers() {
        let shape = Shape { width: 1280, height: 720, aspect: (1, 1) };
        let vps = [0x40, 1, 0x0c, 1];
        let sps = [0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 93, 0xa0];
        let pps = [0x44, 1, 0xc1, 0x72];
        let nals = [&[0x46, 1, 0x10][..], &vps, &sps, &pps, &[0x28, 1, 0xaf]];
        let unit: Vec<u8> = nals.iter().flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat()).collect();
        let entry = Entry::new(Codec::Hevc, &unit).unwrap();
        let mut out = Vec::new();
        assert_eq!(entry.append(&unit, &mut out).unwrap(), 7);
        assert_eq!(out, [0, 0, 0, 3, 0x28, 1, 0xaf]);
        let Described::Hvc1(hvc1) = entry.describe(shape).unwrap() else { panic!("not hvc1") };
        let sets: Vec<_> = hvc1.hvcc.arrays.iter().flat_map(|array| array.nalus.clone()).collect();
        assert_eq!(sets, [&vps[..], &sps, &pps]);
        assert_eq!((hvc1.hvcc.general_profile_idc, hvc1.hvcc.general_level_idc), (1, 93));
        assert_eq!((hvc1.hvcc.num_temporal_layers, hvc1.hvcc.temporal_id_nested), (1, true));

        let header = [0x0a, 0x0b, 0, 0, 0, 0x2d, 0x4c, 0xff, 0xb3, 0xcf, 0xbf, 0x90, 0x24];
        let entry = Entry::new(Codec::Av1, &header).unwrap();
        let Described::Av01(av01) = entry.describe(shape).unwrap() else { panic!("not av01") };
        assert_eq!((av01.av1c.seq_level_idx_0, av01.av1c.chroma_sample_position), (5, 1));
        assert_eq!(av01.av1c.config_obus, header);
        let mut other = header;
        other[5] = 0x2c;
        assert!(entry.append(&other, &mut Vec::new()).is_err());
    }
}
