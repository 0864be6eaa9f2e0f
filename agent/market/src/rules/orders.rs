//! What clients and operators sign, and which of it was used up.

use super::jobs::Job;
use super::{Door, Market, Now, Refusal, ensure};
use crate::order::{Bid, JobOrder};
use crate::units::JobId;
use alloy_primitives::{Address, B256, Signature, U256};

/// Whose 65 bytes with a low s these are.
pub(super) fn signer(hash: B256, signature: &[u8]) -> Option<Address> {
    // The contract wants v as 27 or 28; other writings of the parity are refused here as well.
    let &[.., 27 | 28] = signature else { return None };
    let signature = Signature::from_raw(signature).ok()?;
    crate::receipt::recover(hash, &signature)
}

impl Market {
    pub(super) fn use_order(&mut self, order: &JobOrder, signature: &[u8]) -> Result<(), Refusal> {
        let id = order.hash(&self.domain);
        ensure(signer(id, signature) == Some(order.client), Refusal::WrongSignature)?;
        ensure(self.relayed.insert(id), Refusal::OrderUsed)
    }

    pub(super) fn accept_bid(
        &mut self,
        now: &Now<'_>,
        caller: Address,
        id: JobId,
        bid: &Bid,
        signature: &[u8],
    ) -> Result<(), Refusal> {
        let job = self.jobs.get(&id).ok_or(Refusal::NotClient)?;
        ensure(caller == job.client, Refusal::NotClient)?;
        job.open_by(Door::Direct)?;
        ensure(bid.order[..16] == job.order, Refusal::OtherOrder)?;
        self.accept(now, id, bid, signature)
    }

    pub(super) fn accept(&mut self, now: &Now<'_>, id: JobId, bid: &Bid, signature: &[u8]) -> Result<(), Refusal> {
        let clock = self.running(now)?;
        let job = self.job_mut(id)?;
        job.in_time(clock)?;
        ensure(bid.price.wei() <= job.max_price, Refusal::PriceTooHigh)?;
        self.use_bid(now, bid)?;
        ensure(self.stake.is_active(now, bid.operator), Refusal::NotActive)?;
        self.bind(now, id, bid.operator, bid.price.wei(), clock)?;
        let by = signer(bid.signing_hash(&self.domain), signature);
        ensure(by == Some(self.stake.signer_of(bid.operator)), Refusal::WrongSignature)
    }

    fn use_bid(&mut self, now: &Now<'_>, bid: &Bid) -> Result<(), Refusal> {
        ensure(now.time <= bid.expiry, Refusal::BidExpired)?;
        let (word, bit) = (bid.nonce >> 8, bid.nonce & U256::from(0xff));
        let mask = self.cancelled.get(&(bid.operator, word)).copied().unwrap_or_default();
        ensure(mask >> bit & U256::ONE == U256::ZERO, Refusal::BidUsed)?;
        ensure(self.used.insert((bid.operator, bid.nonce)), Refusal::BidUsed)
    }

    /// Assigns the job under the newest parameters and locks the operator's stake.
    pub(super) fn bind(
        &mut self,
        now: &Now<'_>,
        id: JobId,
        operator: Address,
        price: u128,
        clock: u64,
    ) -> Result<(), Refusal> {
        let (version, params) = (self.market_params.latest(), self.market_params.current());
        let (until, amount) = (clock + u64::from(params.start_window), params.start_lock);
        self.job_mut(id)?.assign(operator, price, version, until);
        self.stake.lock(now, self.domain.market, operator, amount)
    }

    pub(super) fn cancel_bids(&mut self, caller: Address, word: U256, mask: U256) -> Result<(), Refusal> {
        let operator = self.signed_for(caller)?;
        *self.cancelled.entry((operator, word)).or_default() |= mask;
        Ok(())
    }

    pub(super) fn signed_for(&self, caller: Address) -> Result<Address, Refusal> {
        self.stake.operator_of(caller).ok_or(Refusal::NotSigner)
    }

    /// The job was elected: one fewer of those that its operator takes at a time.
    pub(super) fn count_out(&mut self, job: &Job) {
        if job.door == Door::Election
            && let Some(terms) = self.terms.get_mut(&job.operator)
        {
            terms.open_jobs -= 1;
        }
    }
}
