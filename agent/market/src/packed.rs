//! Openings as `ClaimBook.answer` takes them: one behind the other without padding, because a call costs by its bytes.
//!
//! From the beginning of an opening, big-endian: place in the claim 2 bytes, srcRoot 32, outRoot 32, units 8, outBytes 8,
//! srcBytes 8, durationMs 4, the client's signature 65, and for each level, bottom up, hash 32 and sum 8. Job and first
//! segment are the claim's id.

use crate::action::Opening;
use crate::merkle::Node;
use crate::receipt::Receipt;
use crate::units::{ClaimId, SegmentNo, Units};
use alloy_primitives::{B256, Bytes};

const HEAD: usize = 159;
const LEVEL: usize = 40;

/// The bytes of these openings of a claim. What has no place in them is left away: another job, and all but the lowest 16
/// bits of how far a segment is from the claim's first.
pub fn pack(claim: ClaimId, openings: &[Opening]) -> Bytes {
    let mut out = Vec::new();
    for Opening { receipt, src_bytes, duration_ms, client_signature, path } in openings {
        let [.., high, low] = receipt.seq.0.wrapping_sub(claim.first().0).to_be_bytes();
        out.extend([high, low]);
        out.extend(receipt.src_root);
        out.extend(receipt.out_root);
        out.extend(receipt.units.0.to_be_bytes());
        out.extend(receipt.out_bytes.to_be_bytes());
        out.extend(src_bytes.to_be_bytes());
        out.extend(duration_ms.to_be_bytes());
        out.extend(client_signature);
        for node in path {
            out.extend(node.hash);
            out.extend(node.sum.to_be_bytes());
        }
    }
    out.into()
}

/// The openings of a claim in these bytes; `None` unless they are `count` of one length.
pub fn unpack(claim: ClaimId, packed: &[u8], count: usize) -> Option<Vec<Opening>> {
    if count == 0 {
        return packed.is_empty().then(Vec::new);
    }
    let size = packed.len() / count;
    if size * count != packed.len() || size < HEAD || !(size - HEAD).is_multiple_of(LEVEL) {
        return None;
    }
    packed.chunks_exact(size).map(|one| opening(claim, one)).collect()
}

fn opening(claim: ClaimId, mut rest: &[u8]) -> Option<Opening> {
    let place = u16::from_be_bytes(take(&mut rest)?);
    let (src_root, out_root) = (B256::from(take(&mut rest)?), B256::from(take(&mut rest)?));
    let units = Units(u64::from_be_bytes(take(&mut rest)?));
    let out_bytes = u64::from_be_bytes(take(&mut rest)?);
    let seq = SegmentNo(claim.first().0 + u64::from(place));
    let receipt = Receipt { job: claim.job(), seq, src_root, out_root, units, out_bytes };
    let src_bytes = u64::from_be_bytes(take(&mut rest)?);
    let duration_ms = u32::from_be_bytes(take(&mut rest)?);
    let client_signature = Bytes::from(take::<65>(&mut rest)?);
    let mut path = Vec::with_capacity(rest.len() / LEVEL);
    while !rest.is_empty() {
        let hash = B256::from(take(&mut rest)?);
        path.push(Node { hash, sum: u64::from_be_bytes(take(&mut rest)?) });
    }
    Some(Opening { receipt, src_bytes, duration_ms, client_signature, path })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (one, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*one)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLAIM: ClaimId = ClaimId(7 << 32 | 90);

    fn openings(count: usize, levels: usize, seed: u8) -> Vec<Opening> {
        let one = |n: usize| Opening {
            receipt: Receipt {
                job: CLAIM.job(),
                seq: SegmentNo(90 + n as u64 * 37),
                src_root: B256::repeat_byte(seed),
                out_root: B256::repeat_byte(n as u8),
                units: Units(u64::from(seed) << 40 | n as u64),
                out_bytes: u64::MAX - n as u64,
            },
            src_bytes: 4321,
            duration_ms: 2000 + n as u32,
            client_signature: vec![seed; 65].into(),
            path: (0..levels)
                .map(|level| Node { hash: B256::repeat_byte(level as u8), sum: u64::MAX >> level })
                .collect(),
        };
        (0..count).map(one).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(count in 0_usize..9, levels in 0_usize..13, seed: u8) {
            let all = openings(count, levels, seed);
            let packed = pack(CLAIM, &all);
            prop_assert_eq!(packed.len(), count * (HEAD + LEVEL * levels));
            prop_assert_eq!(unpack(CLAIM, &packed, count), Some(all));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, count in 0_usize..9) {
            if let Some(all) = unpack(CLAIM, &bytes, count) {
                prop_assert_eq!(pack(CLAIM, &all).to_vec(), bytes);
            }
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        let packed = pack(CLAIM, &openings(3, 4, 1));
        assert_eq!(unpack(CLAIM, &packed, 2), None);
        assert_eq!(unpack(CLAIM, &packed[1..], 3), None);
        assert_eq!(unpack(CLAIM, &packed[..3 * 100], 3), None, "no room for a signature");
        assert_eq!(unpack(CLAIM, &packed, 0), None);
    }
}
