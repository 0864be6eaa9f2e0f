//! A job's money: in, held for claims, paid or given back, and out.

use super::{Market, Now, Refusal, ensure};
use crate::machine::JobState;
use crate::units::{ClaimId, JobId, SegmentNo};
use alloy_primitives::{Address, B256};

/// What the book learns of a job when it makes a claim.
pub(super) struct Reserved {
    pub(super) client: Address,
    pub(super) operator: Address,
    pub(super) fee: u128,
    pub(super) samples: u8,
    pub(super) before: u32,
}

impl Market {
    pub(super) fn credit(&mut self, account: Address, wei: u128) {
        *self.owed.entry(account).or_default() += wei;
    }

    pub(super) fn top_up(&mut self, id: JobId, value: u128) -> Result<(), Refusal> {
        let job = self.job_mut(id)?;
        ensure(job.state != JobState::Closed, Refusal::JobNotInState)?;
        ensure(value > 0, Refusal::ZeroValue)?;
        job.escrow += value;
        Ok(())
    }

    pub(super) fn withdraw(&mut self, caller: Address) -> Result<u128, Refusal> {
        self.owed.remove(&caller).filter(|&wei| wei > 0).ok_or(Refusal::NothingOwed)
    }

    pub(super) fn route_fees(&mut self, operator: Address) -> Result<u128, Refusal> {
        self.fees.remove(&operator).filter(|&wei| wei > 0).ok_or(Refusal::NothingOwed)
    }

    pub(super) fn reserve(
        &mut self,
        now: &Now<'_>,
        id: JobId,
        (first, count): (u64, u32),
        units: u64,
    ) -> Result<Reserved, Refusal> {
        let clock = self.running(now)?;
        let job = self.job_mut(id)?.clone();
        self.claimable(&job, clock)?;
        ensure(first == job.next_seq.0, Refusal::NotNextSegment)?;
        let fee = u128::from(units).checked_mul(job.price).filter(|&fee| fee <= job.escrow);
        let fee = fee.ok_or(Refusal::EscrowTooSmall)?; // all of it or nothing
        let next = u32::try_from(first + u64::from(count)).map_err(|_| Refusal::SafeCastOverflowedUintDowncast)?;
        let before = job.before;
        let job = self.job_mut(id)?;
        job.escrow -= fee;
        job.reserved += fee;
        (job.next_seq, job.before) = (SegmentNo(next.into()), count);
        job.open_claims += 1;
        Ok(Reserved { client: job.client, operator: job.operator, fee, samples: job.samples, before })
    }

    /// The claim is settled. What goes to the challenge manager leaves the market.
    pub(super) fn pay(&mut self, claim: ClaimId, fee: u128, to_verifiers: u128) -> Result<(), Refusal> {
        let job = self.job_mut(claim.job())?;
        job.reserved -= fee;
        job.open_claims -= 1;
        let operator = job.operator;
        *self.fees.entry(operator).or_default() += fee - to_verifiers;
        Ok(())
    }

    /// The claim failed.
    pub(super) fn restore(&mut self, claim: ClaimId, fee: u128) -> Result<(), Refusal> {
        let job = self.job_mut(claim.job())?;
        job.reserved -= fee;
        job.escrow += fee;
        job.open_claims -= 1;
        Ok(())
    }

    /// Uses up one link of the client's hash chain; without a chain there is none to give.
    pub(super) fn pop_seed(&mut self, id: JobId, preimage: B256) -> Result<(), Refusal> {
        let job = self.job_mut(id)?;
        let expected = if preimage.is_zero() { B256::ZERO } else { Self::link(preimage) };
        ensure(job.seed_tip == expected, Refusal::OtherPreimage)?;
        if !job.seed_tip.is_zero() {
            job.seed_tip = preimage;
        }
        Ok(())
    }
}
