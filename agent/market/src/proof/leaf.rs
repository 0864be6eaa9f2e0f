//! What an operator opened for a drawn unit is not what it claimed, or not what was ordered or done: `LeafStep`.

use super::abi::{
    Answer, Claim, Decoded, Drawn, Leaf as AbiLeaf, LeafEvidence, Opening, PlaceDetail, SumNode, UnitsDetail,
};
use super::{Accusation, openings};
use crate::commit::Pictures;
use crate::merkle::{Leaf, SumTree, bound, open};
use crate::receipt::Segment;
use crate::typed_data::Domain;
use crate::units::{JobId, SegmentNo, Units};
use alloy_primitives::{Address, B256, Bytes, Signature, keccak256};
use alloy_sol_types::SolValue;

/// What the evidence shows, in the contract's order.
#[derive(Clone, Copy)]
enum Kind {
    Opening,
    Units,
    Place,
}

/// What an operator opened for a drawn unit, and where it was drawn from.
#[derive(Clone, Debug)]
pub struct Answered<'a> {
    /// Chain and contract of all signatures.
    pub domain: Domain,
    /// What the operator is bound to.
    pub drawn: &'a Drawn,
    /// What the operator opened.
    pub opening: &'a Opening,
}

/// A claim of `operator` on the job of `client` from its tree.
pub fn claim(
    (job, client): (JobId, Address),
    operator: Address,
    first: SegmentNo,
    count: u32,
    tree: &SumTree,
) -> Claim {
    let top = tree.root();
    let root = bound(top.hash, client, operator);
    Claim { jobId: job.0, client, operator, first: first.0, count, totalUnits: top.sum, root }
}

/// The opening of one segment of a claim, with the client's signature over its order.
pub fn opening(leaf: &Leaf, order: &Segment, signature: &Bytes, tree: &SumTree, index: usize) -> Option<Opening> {
    let path = tree.path(index)?.into_iter().map(openings::sum_node).collect();
    let (src_bytes, duration) = (order.src_bytes, order.duration_ms);
    Some(Opening { leaf: leaf.into(), srcBytes: src_bytes, durationMs: duration, clientSig: signature.clone(), path })
}

/// The hash that binds an operator to an opening.
pub fn opening_hash(opening: &Opening) -> B256 {
    keccak256(opening.abi_encode())
}

impl From<&Leaf> for AbiLeaf {
    fn from(leaf: &Leaf) -> Self {
        Self {
            jobId: leaf.job.0,
            seq: leaf.seq.0,
            srcRoot: leaf.src_root,
            outRoot: leaf.out_root,
            units: leaf.units.0,
            outBytes: leaf.out_bytes,
        }
    }
}

impl From<&AbiLeaf> for Leaf {
    fn from(leaf: &AbiLeaf) -> Self {
        Self {
            job: JobId(leaf.jobId),
            seq: SegmentNo(leaf.seq),
            src_root: leaf.srcRoot,
            out_root: leaf.outRoot,
            units: Units(leaf.units),
            out_bytes: leaf.outBytes,
        }
    }
}

impl Answered<'_> {
    /// Accuses an opening that is not the claim's, does not cover the drawn unit, or that the client did not order.
    pub fn accuse_opening(&self) -> Option<Accusation> {
        (!self.is_right()).then(|| self.look())
    }

    /// Accuses units that are not those of the pictures: `renditions` are what the rungs of `answer` decode to.
    pub fn accuse_units(&self, answer: &Answer, renditions: &[Pictures]) -> Option<Accusation> {
        let sizes = answer.rungs.iter().zip(renditions).map(|(rung, of)| (of.count(), rung.width, rung.height));
        let right = Units::of_segment(sizes)?;
        (right.0 != self.opening.leaf.units).then(|| self.look_at_units(answer, renditions))
    }

    /// The call that looks at the opening.
    pub fn look(&self) -> Accusation {
        accusation(self.drawn, Kind::Opening, self.opening.abi_encode())
    }

    /// The call that counts the pictures.
    pub fn look_at_units(&self, answer: &Answer, renditions: &[Pictures]) -> Accusation {
        let decoded = renditions.iter().map(|of| Decoded { count: of.count(), top: of.top().into() }).collect();
        let detail = UnitsDetail { opening: self.opening.clone(), answer: answer.clone(), decoded };
        accusation(self.drawn, Kind::Units, detail.abi_encode())
    }

    fn is_right(&self) -> bool {
        let (claim, leaf) = (&self.drawn.claim, Leaf::from(&self.opening.leaf));
        let index = leaf.seq.0.checked_sub(claim.first).filter(|index| *index < u64::from(claim.count));
        let (Some(index), true) = (index, leaf.job.0 == claim.jobId) else { return false };
        let Some(before) = holds(claim, &leaf, index, &self.opening.path) else { return false };
        let covers = before <= self.drawn.draw && self.drawn.draw - before < leaf.units.0;
        let order = Segment {
            job: leaf.job,
            seq: leaf.seq,
            src_root: leaf.src_root,
            src_bytes: self.opening.srcBytes,
            duration_ms: self.opening.durationMs,
        };
        let signer = signature(&self.opening.clientSig).and_then(|signature| order.signer(&self.domain, &signature));
        covers && signer == Some(claim.client)
    }
}

/// Accuses the first leaf of a claim that does not belong where it is. `leaves` are those that the operator published,
/// which may be more than the claim counts.
pub fn accuse_places(drawn: &Drawn, leaves: &[Leaf]) -> Option<Accusation> {
    let tree = SumTree::new(leaves)?;
    let claim = &drawn.claim;
    let right = |index: usize, leaf: &Leaf| {
        let index = index as u64;
        let seq = claim.first.checked_add(index);
        leaf.job.0 == claim.jobId && index < u64::from(claim.count) && Some(leaf.seq.0) == seq
    };
    let index = leaves.iter().enumerate().position(|(index, leaf)| !right(index, leaf))?;
    look_at_place(drawn, leaves, &tree, index)
}

/// The call that looks at the place of one leaf of a claim.
pub fn look_at_place(drawn: &Drawn, leaves: &[Leaf], tree: &SumTree, index: usize) -> Option<Accusation> {
    let path = tree.path(index)?.into_iter().map(openings::sum_node).collect();
    let detail = PlaceDetail { leaf: leaves.get(index)?.into(), index: u32::try_from(index).ok()?, path };
    Some(accusation(drawn, Kind::Place, detail.abi_encode()))
}

/// 65 bytes, r, s and v.
fn signature(bytes: &[u8]) -> Option<Signature> {
    // The contracts take v as 27 or 28 alone.
    let v = *bytes.get(64).filter(|v| bytes.len() == 65 && (27..=28).contains(*v))?;
    Some(Signature::from_bytes_and_parity(bytes.get(..64)?, v == 28))
}

/// The units left of a leaf of a claim, or `None` if the claim does not hold it there.
fn holds(claim: &Claim, leaf: &Leaf, index: u64, path: &[SumNode]) -> Option<u64> {
    let depth = claim.count.max(1).next_power_of_two().trailing_zeros() as usize;
    let path: Vec<_> = path.iter().map(|node| crate::merkle::Node { hash: node.hash, sum: node.sum }).collect();
    let (root, before) = open(leaf, index, &path).filter(|_| path.len() == depth)?;
    (bound(root.hash, claim.client, claim.operator) == claim.root && root.sum == claim.totalUnits).then_some(before)
}

fn accusation(drawn: &Drawn, kind: Kind, detail: Vec<u8>) -> Accusation {
    let evidence = LeafEvidence { drawn: *drawn, kind: kind as u8, detail: detail.into() };
    Accusation { statement: keccak256(drawn.abi_encode()), evidence: evidence.abi_encode().into() }
}
