//! A claim's way to its fee: seal the draw, open the drawn segments, reveal what was found, settle.

use super::{ClaimState, ClaimView, Now, draws};
use crate::action::{Action, Opening, Secret};
use crate::merkle::{Leaf, SumTree};
use crate::units::{BlockNo, SegmentNo, Timestamp};
use alloy_primitives::Bytes;

/// The due step for one of our claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Send(Action),
    /// [`Action::Seal`] with the header of this block.
    Seal(BlockNo),
    /// [`Action::Answer`] with the [`openings`] of the drawn segments, and what is said of each.
    Answer {
        /// Last second for it.
        until: Timestamp,
    },
    /// [`Action::Reveal`] of the secrets of the answer: see [`reveal`].
    Reveal {
        /// Last second for it.
        until: Timestamp,
    },
    /// Nothing now.
    Wait,
    /// It reached its end; `true` when the fee was paid.
    Over(bool),
}

/// Looks at one claim.
///
/// Verifiers commit until `attest_until`; a reveal before it would tell them the answer, and the book refuses it.
pub fn next(claim: &ClaimView, now: &Now) -> Step {
    match claim.state {
        ClaimState::Submitted if now.head > claim.seed_block => Step::Seal(claim.seed_block),
        ClaimState::Sealed => Step::Answer { until: claim.answer_until },
        ClaimState::Answered if now.time > claim.attest_until => Step::Reveal { until: claim.reveal_until },
        ClaimState::Revealed if now.time > claim.contest_until && claim.holds == 0 => {
            Step::Send(Action::Settle { claim: claim.id })
        }
        ClaimState::Settled => Step::Over(true),
        ClaimState::Missed | ClaimState::Slashed => Step::Over(false),
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

/// Opens the drawn segments of a sealed claim from the evidence of its whole range, in order.
pub fn openings(claim: &ClaimView, evidence: &[Evidence]) -> Result<Vec<Opening>, AnswerError> {
    let id = claim.id.0;
    if evidence.len() != claim.count as usize {
        return Err(AnswerError::Count { claim: id, expected: claim.count, found: evidence.len() });
    }
    let leaves: Vec<Leaf> = evidence.iter().map(|one| one.leaf.clone()).collect();
    let wrong_root = AnswerError::Root { claim: id };
    let tree = SumTree::new(&leaves).ok_or(wrong_root.clone())?;
    let right_range = leaves.iter().zip(claim.first.0..).all(|(leaf, seq)| leaf.seq == SegmentNo(seq));
    if !claim.is_of(tree.root().hash) || tree.root().sum != claim.units.0 || !right_range {
        return Err(wrong_root);
    }
    let open = |offset| {
        let index = tree.index_at(offset)?;
        Some(opening(&evidence[index], tree.path(index)?))
    };
    draws(claim.seed, claim.drawn, claim.units).into_iter().map(open).collect::<Option<_>>().ok_or(wrong_root)
}

/// Whether `answer` opens what is drawn now: a reorganisation can change the draw of a claim that was answered before.
pub fn answers(claim: &ClaimView, answer: &Action) -> bool {
    let Action::Answer { claim: id, openings, .. } = answer else { return false };
    let fits = |opening: &Opening, offset: u64| {
        let leaf = opening.receipt.leaf();
        let index = leaf.seq.0.checked_sub(claim.first.0)?;
        let (root, before) = crate::merkle::open(&leaf, index, &opening.path)?;
        let covers = (before..before.saturating_add(leaf.units.0)).contains(&offset);
        Some(claim.is_of(root.hash) && covers)
    };
    let drawn = draws(claim.seed, claim.drawn, claim.units);
    *id == claim.id
        && openings.len() == drawn.len()
        && openings.iter().zip(drawn).all(|(opening, offset)| fits(opening, offset) == Some(true))
}

/// The reveal that belongs to an answer; `None` for any other action.
pub fn reveal(answer: &Action) -> Option<Action> {
    let Action::Answer { claim, operator, openings, secrets } = answer else { return None };
    let openings = openings.iter().map(Opening::hash).collect();
    Some(Action::Reveal { claim: *claim, operator: *operator, openings, secrets: secrets.clone() })
}

/// The answer to a sealed claim.
pub fn answer(claim: &ClaimView, openings: Vec<Opening>, secrets: Vec<Secret>) -> Action {
    Action::Answer { claim: claim.id, operator: claim.operator, openings, secrets }
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
            client: Address::repeat_byte(0xc1),
            operator: Address::repeat_byte(0x09),
            first: SegmentNo(5),
            count: evidence.len() as u32,
            units: Units(root.sum),
            state,
            root: merkle::bound(root.hash, Address::repeat_byte(0xc1), Address::repeat_byte(0x09)),
            drawn: 4,
            seed: B256::repeat_byte(9),
            seed_block: BlockNo(100),
            answer_until: Timestamp(2000),
            attest_until: Timestamp(3000),
            reveal_until: Timestamp(4000),
            contest_until: Timestamp(5000),
            holds: 0,
            fee: Wei(0),
        }
    }

    #[test]
    fn each_stage_waits_for_its_time() {
        let all = evidence(3);
        let at = |state, head, time| {
            next(&claim(state, &all), &Now { head: BlockNo(head), time: Timestamp(time), market: Timestamp(0) })
        };
        assert_eq!(at(ClaimState::Submitted, 100, 1000), Step::Wait);
        assert_eq!(at(ClaimState::Submitted, 101, 1000), Step::Seal(BlockNo(100)));
        assert_eq!(at(ClaimState::Sealed, 101, 1000), Step::Answer { until: Timestamp(2000) });
        assert_eq!(at(ClaimState::Answered, 200, 3000), Step::Wait);
        assert_eq!(at(ClaimState::Answered, 200, 3001), Step::Reveal { until: Timestamp(4000) });
        assert_eq!(at(ClaimState::Revealed, 200, 5000), Step::Wait);
        assert_eq!(at(ClaimState::Revealed, 200, 5001), Step::Send(Action::Settle { claim: ClaimId(2) }));
        assert_eq!(at(ClaimState::Slashed, 201, 5001), Step::Over(false));
        assert_eq!(at(ClaimState::Missed, 201, 5001), Step::Over(false));
        assert_eq!(at(ClaimState::Settled, 201, 5001), Step::Over(true));
        let held = ClaimView { holds: 1, ..claim(ClaimState::Revealed, &all) };
        assert_eq!(next(&held, &Now { time: Timestamp(5001), ..Now::default() }), Step::Wait);
    }

    #[test]
    fn an_answer_opens_every_draw() {
        let all = evidence(11);
        let claim = claim(ClaimState::Sealed, &all);
        let openings = openings(&claim, &all).unwrap();
        let drawn = draws(claim.seed, 4, claim.units);
        assert_eq!(openings.len(), 4);
        for (opening, offset) in openings.iter().zip(drawn) {
            let index = opening.receipt.seq.0 - claim.first.0;
            let (root, before) = merkle::open(&opening.receipt.leaf(), index, &opening.path).unwrap();
            assert!(claim.is_of(root.hash));
            assert_eq!(root.sum, claim.units.0);
            assert!((before..before + opening.receipt.units.0).contains(&offset));
        }
    }

    #[test]
    fn an_answer_is_of_one_draw() {
        let all = evidence(11);
        let sealed = claim(ClaimState::Sealed, &all);
        let secrets = vec![Secret { digest: B256::ZERO, salt: B256::ZERO }; 4];
        let kept = answer(&sealed, openings(&sealed, &all).unwrap(), secrets);
        assert!(answers(&sealed, &kept));
        let redrawn = ClaimView { seed: B256::repeat_byte(77), ..sealed.clone() };
        assert!(!answers(&redrawn, &kept), "another block drew other units");
        assert!(!answers(&ClaimView { id: ClaimId(3), ..sealed.clone() }, &kept));
        assert!(!answers(&ClaimView { drawn: 3, ..sealed.clone() }, &kept));
        assert!(!answers(&ClaimView { client: Address::ZERO, ..sealed.clone() }, &kept));
        assert!(!answers(&ClaimView { root: B256::ZERO, ..sealed.clone() }, &kept));
        assert!(!answers(&sealed, &reveal(&kept).unwrap()));
    }

    #[test]
    fn other_receipts_than_the_claimed_make_no_answer() {
        let all = evidence(4);
        let claim = claim(ClaimState::Sealed, &all);
        assert!(matches!(openings(&claim, &all[..3]), Err(AnswerError::Count { .. })));
        let mut changed = all.clone();
        changed[1].leaf.out_bytes += 1;
        assert_eq!(openings(&claim, &changed), Err(AnswerError::Root { claim: 2 }));
    }

    #[test]
    fn a_reveal_is_of_what_was_answered() {
        let all = evidence(4);
        let claim = claim(ClaimState::Sealed, &all);
        let opened = openings(&claim, &all).unwrap();
        let secret = |n| Secret { digest: B256::repeat_byte(n), salt: B256::repeat_byte(n + 100) };
        let secrets: Vec<_> = (0..4).map(secret).collect();
        let hashes: Vec<_> = opened.iter().map(Opening::hash).collect();
        let action = reveal(&answer(&claim, opened, secrets.clone())).unwrap();
        let expected = Action::Reveal { claim: claim.id, operator: claim.operator, openings: hashes, secrets };
        assert_eq!(action, expected);
        assert_eq!(reveal(&action), None);
    }
}
