//! A claim's way to its fee: seal the draw, open the drawn segments, settle.

use super::{ClaimState, ClaimView, draws};
use crate::action::{Action, Opening};
use crate::merkle::{Leaf, SumTree};
use crate::units::{BlockNo, SegmentNo};
use alloy_primitives::Bytes;

/// The due step for one of our claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Send(Action),
    /// The drawn segments must be opened by [`answer`] before `deadline`.
    Answer {
        /// Last block for it.
        deadline: BlockNo,
    },
    /// Nothing now.
    Wait,
    /// It reached its end; `true` when the fee was credited.
    Over(bool),
}

/// Looks at one claim at height `head`.
pub fn next(claim: &ClaimView, head: BlockNo) -> Step {
    match claim.state {
        ClaimState::Submitted if head > claim.seed_block => Step::Send(Action::Seal { claim: claim.id }),
        ClaimState::Sealed => Step::Answer { deadline: claim.deadline },
        ClaimState::Answered if head > claim.deadline => Step::Send(Action::Settle { claim: claim.id }),
        ClaimState::Settled => Step::Over(true),
        ClaimState::Slashed => Step::Over(false),
        _ => Step::Wait,
    }
}

/// One claimed segment with the client's order for it.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The receipt as claimed.
    pub leaf: Leaf,
    /// Source length as the client signed it.
    pub src_bytes: u64,
    /// Duration as the client signed it.
    pub duration_ms: u32,
    /// The client's signature.
    pub client_signature: Bytes,
}

/// Why an answer cannot be built: the kept receipts are not those that were claimed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Receipts are missing or too many.
    #[error("claim {claim} covers {expected} segments and {found} receipts are kept for it")]
    Count {
        /// The claim.
        claim: u64,
        /// Segments claimed.
        expected: u32,
        /// Receipts found.
        found: usize,
    },
    /// They hash to another root.
    #[error("the receipts kept for claim {claim} do not hash to the claimed root")]
    Root {
        /// The claim.
        claim: u64,
    },
}

/// Builds the answer to a sealed claim from the evidence of its whole range, in order.
pub fn answer(claim: &ClaimView, samples: u8, evidence: &[Evidence]) -> Result<Action, AnswerError> {
    let id = claim.id.0;
    if evidence.len() != claim.count as usize {
        return Err(AnswerError::Count { claim: id, expected: claim.count, found: evidence.len() });
    }
    let leaves: Vec<Leaf> = evidence.iter().map(|one| one.leaf.clone()).collect();
    let wrong_root = AnswerError::Root { claim: id };
    let tree = SumTree::new(&leaves).ok_or(wrong_root.clone())?;
    let right_range = leaves.iter().zip(claim.first.0..).all(|(leaf, seq)| leaf.seq == SegmentNo(seq));
    if tree.root().hash != claim.root || tree.root().sum != claim.units.0 || !right_range {
        return Err(wrong_root);
    }
    let openings = draws(claim.seed, samples, claim.count, claim.units)
        .into_iter()
        .filter_map(|offset| {
            let index = tree.index_at(offset)?;
            Some(opening(&evidence[index], tree.path(index)?))
        })
        .collect();
    Ok(Action::Answer { claim: claim.id, openings })
}

fn opening(evidence: &Evidence, path: Vec<crate::merkle::Node>) -> Opening {
    let leaf = &evidence.leaf;
    Opening {
        receipt: crate::receipt::Receipt {
            job: leaf.job,
            seq: leaf.seq,
            src_root: leaf.src_root,
            out_root: leaf.out_root,
            units: leaf.units,
            out_bytes: leaf.out_bytes,
        },
        src_bytes: evidence.src_bytes,
        duration_ms: evidence.duration_ms,
        client_signature: evidence.client_signature.clone(),
        path,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::merkle;
    use crate::units::{ClaimId, JobId, Units, Wei};
    use alloy_primitives::{Address, B256};

    fn evidence(count: u64) -> Vec<Evidence> {
        let one = |seq| Evidence {
            leaf: Leaf {
                job: JobId(1),
                seq: SegmentNo(5 + seq),
                src_root: B256::repeat_byte(seq as u8),
                out_root: B256::ZERO,
                units: Units(10 + seq),
                out_bytes: 1,
            },
            src_bytes: 9,
            duration_ms: 2000,
            client_signature: Bytes::new(),
        };
        (0..count).map(one).collect()
    }

    fn claim(state: ClaimState, evidence: &[Evidence]) -> ClaimView {
        let leaves: Vec<Leaf> = evidence.iter().map(|e| e.leaf.clone()).collect();
        let root = SumTree::new(&leaves).unwrap().root();
        ClaimView {
            id: ClaimId(2),
            job: JobId(1),
            operator: Address::ZERO,
            first: SegmentNo(5),
            count: evidence.len() as u32,
            units: Units(root.sum),
            state,
            root: root.hash,
            seed: B256::repeat_byte(9),
            seed_block: BlockNo(100),
            deadline: BlockNo(200),
            fee: Wei(1),
        }
    }

    #[test]
    fn each_stage_waits_for_its_block() {
        let all = evidence(3);
        let at = |state, head| next(&claim(state, &all), BlockNo(head));
        assert_eq!(at(ClaimState::Submitted, 100), Step::Wait);
        assert_eq!(at(ClaimState::Submitted, 101), Step::Send(Action::Seal { claim: ClaimId(2) }));
        assert_eq!(at(ClaimState::Sealed, 101), Step::Answer { deadline: BlockNo(200) });
        assert_eq!(at(ClaimState::Answered, 200), Step::Wait);
        assert_eq!(at(ClaimState::Answered, 201), Step::Send(Action::Settle { claim: ClaimId(2) }));
        assert_eq!(at(ClaimState::Slashed, 201), Step::Over(false));
    }

    #[test]
    fn an_answer_opens_every_draw() {
        let all = evidence(11);
        let claim = claim(ClaimState::Sealed, &all);
        let Action::Answer { openings, .. } = answer(&claim, 4, &all).unwrap() else { panic!("not an answer") };
        let drawn = draws(claim.seed, 4, claim.count, claim.units);
        assert_eq!(openings.len(), 4);
        for (opening, offset) in openings.iter().zip(drawn) {
            let index = opening.receipt.seq.0 - claim.first.0;
            let (root, before) = merkle::open(&opening.receipt.leaf(), index, &opening.path).unwrap();
            assert_eq!((root.hash, root.sum), (claim.root, claim.units.0));
            assert!((before..before + opening.receipt.units.0).contains(&offset));
        }
    }

    #[test]
    fn other_receipts_than_the_claimed_make_no_answer() {
        let all = evidence(4);
        let claim = claim(ClaimState::Sealed, &all);
        assert!(matches!(answer(&claim, 4, &all[..3]), Err(AnswerError::Count { .. })));
        let mut changed = all.clone();
        changed[1].leaf.out_bytes += 1;
        assert_eq!(answer(&claim, 4, &changed), Err(AnswerError::Root { claim: 2 }));
    }
}
