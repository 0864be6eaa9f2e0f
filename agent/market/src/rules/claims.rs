//! The way of a claim that goes well.

use super::params::ClaimParams;
use super::{DAY, Market, Now, Refusal, answers, ensure, header};
use crate::action::{Opening, Secret};
use crate::machine::{ClaimState, MAX_CLAIM};
use crate::merkle;
use crate::units::{BlockNo, ClaimId, JobId};
use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolValue;

/// One claim. Times are seconds of block time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // said in the interface
pub struct Claim {
    pub state: ClaimState,
    pub count: u32,
    pub units: u64,
    /// Bound to client and operator.
    pub root: B256,
    pub drawn: u8,
    pub fee: u128,
    pub lock: u128,
    pub client: Address,
    pub operator: Address,
    pub seed_block: BlockNo,
    /// Zero until sealed.
    pub seed: B256,
    /// Hash of what was answered, then of what was revealed; zero before.
    pub answers: B256,
    pub claimed_at: u64,
    pub answered_at: Option<u64>,
    /// Of the challenge manager and of the game.
    pub holds: [u8; 2],
    /// Count of the job's claim before this one.
    pub(super) before: u32,
    pub(super) params: ClaimParams,
}

impl Claim {
    /// Last second for seal and answer.
    pub fn answer_until(&self) -> u64 {
        self.claimed_at + u64::from(self.params.answer_window)
    }

    /// The block whose randomness draws, as the chain shows it: zero once answered.
    pub fn seed_block_shown(&self) -> BlockNo {
        if self.answered_at.is_some() { BlockNo(0) } else { self.seed_block }
    }

    /// Last second for the client's link.
    pub fn preimage_until(&self) -> u64 {
        self.claimed_at + u64::from(self.params.preimage_window)
    }

    /// Last second for verifiers to commit; 0 until answered, like the next two.
    pub fn attest_until(&self) -> u64 {
        self.answered_at.map_or(0, |at| at + u64::from(self.params.attest_window))
    }

    /// Last second to reveal.
    pub fn reveal_until(&self) -> u64 {
        self.answered_at.map_or(0, |_| self.attest_until() + u64::from(self.params.reveal_window))
    }

    /// Last second to contest.
    pub fn contest_until(&self) -> u64 {
        self.answered_at.map_or(0, |_| self.reveal_until() + u64::from(self.params.contest_window))
    }

    /// The day since 1970 in which it was made.
    pub fn day(&self) -> u64 {
        self.claimed_at / DAY
    }

    pub(super) fn in_state(&self, state: ClaimState) -> Result<(), Refusal> {
        ensure(self.state == state, Refusal::ClaimNotInState)
    }
}

/// `keccak256(abi.encode(Answered))`.
fn answered(openings: &[B256], digests: &[B256]) -> B256 {
    // A struct of dynamic members is encoded like the pair of them, behind one offset.
    keccak256(((openings.to_vec(), digests.to_vec()),).abi_encode_params())
}

impl Market {
    pub(super) fn claim_mut(&mut self, claim: ClaimId) -> Result<&mut Claim, Refusal> {
        self.claims.get_mut(&claim).ok_or(Refusal::ClaimNotInState)
    }

    #[allow(clippy::too_many_arguments)] // the contract's
    pub(super) fn claim(
        &mut self,
        now: &Now<'_>,
        caller: Address,
        job: JobId,
        first: u64,
        count: u32,
        root: B256,
        units: u64,
    ) -> Result<ClaimId, Refusal> {
        ensure((1..=MAX_CLAIM).contains(&count), Refusal::BadCount)?;
        ensure(units > 0, Refusal::ZeroUnits)?;
        let reserved = self.reserve(now, job, (first, count), units)?;
        // The market knows no job and no segment beyond 32 bits.
        let id = ClaimId::of(job, crate::units::SegmentNo(first)).ok_or(Refusal::Panic)?;
        let params = self.claim_params.current().clone();
        let drawn = ClaimParams::drawn(count, reserved.samples);
        let lock = params.lock(reserved.fee, count, drawn).ok_or(Refusal::SafeCastOverflowedUintDowncast)?;
        let claim = Claim {
            state: ClaimState::Submitted,
            count,
            units,
            root: merkle::bound(root, reserved.client, reserved.operator),
            drawn,
            fee: reserved.fee,
            lock,
            client: reserved.client,
            operator: reserved.operator,
            seed_block: now.block.after(params.seed_delay.into()),
            seed: B256::ZERO,
            answers: B256::ZERO,
            claimed_at: now.time.0,
            answered_at: None,
            holds: [0, 0],
            before: reserved.before,
            params,
        };
        self.claims.insert(id, claim);
        ensure(self.stake.signer_of(reserved.operator) == caller, Refusal::NotOperator)?;
        self.stake.lock(now, self.roles.book, reserved.operator, lock)?;
        Ok(id)
    }

    pub(super) fn seal(&mut self, now: &Now<'_>, id: ClaimId, header: &[u8], preimage: B256) -> Result<(), Refusal> {
        let claim = self.claim_mut(id)?.clone();
        claim.in_state(ClaimState::Submitted)?;
        ensure(now.block > claim.seed_block, Refusal::TooEarly)?;
        ensure(now.time.0 <= claim.answer_until(), Refusal::TooLate)?;
        if claim.before > 0
            && let Some(earlier) = self.claims.get(&ClaimId(id.0 - u64::from(claim.before)))
        {
            let done = earlier.state != ClaimState::Submitted || now.time.0 > earlier.answer_until();
            ensure(done, Refusal::EarlierClaimUnsealed)?;
        }
        let hash = now.hash(claim.seed_block).ok_or(Refusal::HeaderOutOfReach)?;
        ensure(keccak256(header) == hash, Refusal::WrongHeader)?;
        let random = header::prevrandao(header).ok_or(Refusal::BadHeader)?;
        if now.time.0 <= claim.preimage_until() {
            self.pop_seed(id.job(), preimage)?;
        } else {
            ensure(preimage.is_zero(), Refusal::PreimageTooLate)?;
        }
        let claim = self.claim_mut(id)?;
        claim.state = ClaimState::Sealed;
        claim.seed = crate::machine::seed(random, preimage, id);
        Ok(())
    }

    fn require_claimant(&self, claim: &Claim, caller: Address) -> Result<(), Refusal> {
        ensure(self.stake.operator_of(caller) == Some(claim.operator), Refusal::NotOperator)
    }

    pub(super) fn answer(
        &mut self,
        now: &Now<'_>,
        caller: Address,
        id: ClaimId,
        openings: &[u8],
        commitments: &[B256],
    ) -> Result<(), Refusal> {
        let claim = self.claim_mut(id)?.clone();
        claim.in_state(ClaimState::Sealed)?;
        ensure(now.time.0 <= claim.answer_until(), Refusal::TooLate)?;
        ensure(commitments.len() == usize::from(claim.drawn), Refusal::WrongLength)?;
        let openings = answers::check(&self.domain, self.stake.operator_of(caller), id, &claim, openings)?;
        let hashes: Vec<B256> = openings.iter().map(Opening::hash).collect();
        let claim = self.claim_mut(id)?;
        claim.state = ClaimState::Answered;
        claim.answered_at = Some(now.time.0);
        claim.answers = answered(&hashes, commitments);
        Ok(())
    }

    pub(super) fn reveal(
        &mut self,
        now: &Now<'_>,
        caller: Address,
        id: ClaimId,
        (openings, commitments): (&[B256], &[B256]),
        digests: &[B256],
        salts: &[B256],
    ) -> Result<(), Refusal> {
        let claim = self.claim_mut(id)?.clone();
        claim.in_state(ClaimState::Answered)?;
        ensure(now.time.0 > claim.attest_until(), Refusal::TooEarly)?;
        ensure(now.time.0 <= claim.reveal_until(), Refusal::TooLate)?;
        let wanted = usize::from(claim.drawn);
        ensure(digests.len() == wanted && salts.len() == wanted, Refusal::WrongLength)?;
        self.require_claimant(&claim, caller)?;
        ensure(answered(openings, commitments) == claim.answers, Refusal::NotWhatWasAnswered)?;
        let secrets = digests.iter().zip(salts).map(|(&digest, &salt)| Secret { digest, salt });
        let mut said = secrets.enumerate().map(|(slot, secret)| secret.commitment(id, slot, claim.operator));
        ensure(commitments.iter().all(|&commitment| said.next() == Some(commitment)), Refusal::WrongReveal)?;
        let claim = self.claim_mut(id)?;
        claim.state = ClaimState::Revealed;
        claim.answers = answered(openings, digests);
        Ok(())
    }

    /// What goes to the challenge manager at once.
    pub(super) fn settle(&mut self, now: &Now<'_>, id: ClaimId) -> Result<Option<(Address, u128)>, Refusal> {
        let claim = self.claim_mut(id)?.clone();
        claim.in_state(ClaimState::Revealed)?;
        ensure(now.time.0 > claim.contest_until(), Refusal::TooEarly)?;
        ensure(claim.holds == [0, 0], Refusal::Held)?;
        self.claim_mut(id)?.state = ClaimState::Settled;
        let verified = self.attested.get(&id).is_some_and(|&revealed| revealed > 0);
        let part = if verified { claim.params.verifiers_part(claim.fee) } else { 0 };
        let freed = self.stake.release(self.roles.book, claim.operator, claim.lock);
        self.unless_ended(now, freed)?;
        self.pay(id, claim.fee, part)?;
        Ok((part > 0).then_some((self.roles.challenges, part)))
    }
}
