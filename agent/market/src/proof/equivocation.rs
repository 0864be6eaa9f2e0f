//! An operator's key vouches for two different things about one segment: `EquivocationStep`.

use super::abi::{Accused, EquivocationEvidence, ReceiptAndLeaf, TwoReceipts};
use super::{Accusation, openings};
use crate::merkle::{Leaf, SumTree};
use crate::receipt::Receipt;
use alloy_primitives::{Bytes, keccak256};
use alloy_sol_types::SolValue;

/// What the evidence shows, in the contract's order.
#[derive(Clone, Copy)]
enum Kind {
    TwoReceipts,
    ReceiptAndLeaf,
}

/// A receipt and the operator's signature over it, 65 bytes. Whoever kept it has checked that signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What was signed.
    pub receipt: Receipt,
    /// r, s and v.
    pub signature: Bytes,
}

/// Accuses two receipts of one segment that differ.
pub fn accuse_receipts(accused: &Accused, a: &Signed, b: &Signed) -> Option<Accusation> {
    let one = a.receipt.job == b.receipt.job && a.receipt.seq == b.receipt.seq;
    (one && a.receipt != b.receipt && a.receipt.job.0 == accused.claim.jobId).then(|| look_at_receipts(accused, a, b))
}

/// The call that compares two receipts.
pub fn look_at_receipts(accused: &Accused, a: &Signed, b: &Signed) -> Accusation {
    let detail = TwoReceipts {
        a: (&a.receipt.leaf()).into(),
        signatureA: a.signature.clone(),
        b: (&b.receipt.leaf()).into(),
        signatureB: b.signature.clone(),
    };
    accusation(accused, Kind::TwoReceipts, detail.abi_encode())
}

/// Accuses a claim whose leaf for a segment is not what the receipt says. `leaves` are the claim's.
pub fn accuse_claim(accused: &Accused, signed: &Signed, leaves: &[Leaf]) -> Option<Accusation> {
    let index = usize::try_from(signed.receipt.seq.0.checked_sub(accused.claim.first)?).ok()?;
    let leaf = leaves.get(index).filter(|_| signed.receipt.job.0 == accused.claim.jobId)?;
    (*leaf != signed.receipt.leaf()).then(|| look_at_claim(accused, signed, leaves)).flatten()
}

/// The call that compares a receipt with the claim's leaf for the same segment.
pub fn look_at_claim(accused: &Accused, signed: &Signed, leaves: &[Leaf]) -> Option<Accusation> {
    let index = usize::try_from(signed.receipt.seq.0.checked_sub(accused.claim.first)?).ok()?;
    let path = SumTree::new(leaves)?.path(index)?.into_iter().map(openings::sum_node).collect();
    let detail = ReceiptAndLeaf {
        receipt: (&signed.receipt.leaf()).into(),
        signature: signed.signature.clone(),
        leaf: leaves.get(index)?.into(),
        path,
    };
    Some(accusation(accused, Kind::ReceiptAndLeaf, detail.abi_encode()))
}

fn accusation(accused: &Accused, kind: Kind, detail: Vec<u8>) -> Accusation {
    let evidence = EquivocationEvidence { accused: *accused, kind: kind as u8, detail: detail.into() };
    Accusation { statement: keccak256(accused.abi_encode()), evidence: evidence.abi_encode().into() }
}
