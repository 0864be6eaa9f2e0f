//! Accusations as they go on chain: calls of `ChallengeManager`, which knows what the accused is bound to and what follows.

use super::{Accusation, ordered};
use crate::units::{ClaimId, JobId};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue};

mod abi {
    #![allow(missing_docs)]
    alloy_sol_types::sol! {
        struct Answered { bytes32[] openings; bytes32[] digests; }
        function reserve(bytes32 ticket);
        function prove(uint64 claimId, uint256 slot, Answered answered, uint8 step, bytes evidence, address finder);
        function proveEquivocation(uint64 jobId, address signer, uint64 claimId, bytes evidence, address finder);
    }
}

/// Which step judges, in the contract's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Units and places: [`super::leaf`].
    Leaf,
    /// Pictures: [`super::scale`].
    Scale,
    /// Errors: [`super::error_sum`].
    ErrorSum,
    /// Headers of an ordered rendition: [`ordered::Order::accuse_headers`].
    Header,
    /// The answer itself: [`ordered::Order::accuse`].
    Shape,
}

/// A drawn segment of a claim that was revealed.
#[derive(Clone, Copy, Debug)]
pub struct Revealed<'a> {
    /// The claim.
    pub claim: ClaimId,
    /// Which of its draws.
    pub slot: usize,
    /// What was opened and revealed for all of its draws, as the operator's call had it.
    pub openings: &'a [B256],
    /// See `openings`.
    pub digests: &'a [B256],
    /// Hash of the job's profile.
    pub profile: B256,
}

impl Revealed<'_> {
    /// The call of `prove`. `finder` is paid if it [`reserve`]d the evidence in an earlier block. `None` where the chain would
    /// refuse it: there is no such slot, or the accusation is of something else than was revealed for it.
    ///
    /// What a leaf is accused of stands in the claim, which is not known here.
    pub fn prove(&self, step: Step, accusation: &Accusation, finder: Address) -> Option<Bytes> {
        let digest = *self.digests.get(self.slot)?;
        let bound = match step {
            Step::Leaf => accusation.statement,
            Step::Scale | Step::ErrorSum => digest,
            Step::Header | Step::Shape => ordered::statement(digest, self.profile),
        };
        let call = abi::proveCall {
            claimId: self.claim.0,
            slot: U256::from(self.slot),
            answered: abi::Answered { openings: self.openings.to_vec(), digests: self.digests.to_vec() },
            step: step as u8,
            evidence: accusation.evidence.clone(),
            finder,
        };
        (accusation.statement == bound).then(|| call.abi_encode().into())
    }
}

/// The call of `proveEquivocation` about the job of `signer`, the key that signed. Two receipts are about no claim, a
/// receipt and a leaf about the leaf's.
pub fn prove_equivocation(
    job: JobId,
    signer: Address,
    claim: Option<ClaimId>,
    accusation: &Accusation,
    finder: Address,
) -> Bytes {
    let claim = claim.map_or(0, |claim| claim.0);
    let evidence = accusation.evidence.clone();
    abi::proveEquivocationCall { jobId: job.0, signer, claimId: claim, evidence, finder }.abi_encode().into()
}

/// The call that reserves what a finder is paid for this evidence. It tells nobody what the evidence is.
pub fn reserve(accusation: &Accusation, finder: Address) -> Bytes {
    abi::reserveCall { ticket: ticket(accusation, finder) }.abi_encode().into()
}

/// What is reserved.
pub fn ticket(accusation: &Accusation, finder: Address) -> B256 {
    keccak256((keccak256(&accusation.evidence), finder).abi_encode())
}
