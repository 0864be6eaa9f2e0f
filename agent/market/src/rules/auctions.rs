//! Sealed bids: commit, reveal, award.

use super::{Door, Market, Now, Refusal, SlasherState, ensure};
use crate::units::JobId;
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;

/// One part in so many of a deposit is lost by who does not reveal.
const UNREVEALED_LOSS: u128 = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SealedBid {
    /// `None` once revealed.
    commitment: Option<B256>,
    payer: Address,
    pub(super) deposit: u128,
}

impl Market {
    /// What an operator commits to: `keccak256(abi.encode(chain id, market, job, operator, price, salt))`.
    pub fn sealed_bid(&self, job: JobId, operator: Address, price: u128, salt: B256) -> B256 {
        let (chain, market) = (U256::from(self.domain.chain_id), self.domain.market);
        keccak256((chain, market, U256::from(job.0), operator, U256::from(price), salt).abi_encode())
    }

    /// Wei to send along with a sealed bid; 0 for no job.
    pub fn deposit_of(&self, job: JobId) -> u128 {
        self.jobs.get(&job).map_or(0, |job| self.market_params.all[job.version].deposit)
    }

    pub(super) fn commit_bid(
        &mut self,
        now: &Now<'_>,
        caller: Address,
        id: JobId,
        commitment: B256,
        value: u128,
    ) -> Result<(), Refusal> {
        let clock = self.clock(now);
        let job = self.job_mut(id)?;
        job.open_by(Door::Auction)?;
        let auction = job.auction.clone().unwrap_or_default();
        ensure(clock <= auction.commit_until, Refusal::CommitWindowOver)?;
        let version = job.version;
        ensure(value == self.market_params.all[version].deposit, Refusal::WrongDeposit)?;
        let operator = self.signed_for(caller)?;
        ensure(self.stake.is_active(now, operator), Refusal::NotActive)?;
        let job = self.job_mut(id)?;
        ensure(!job.sealed.contains_key(&operator), Refusal::AlreadyCommitted)?;
        job.sealed.insert(operator, SealedBid { commitment: Some(commitment), payer: caller, deposit: value });
        if let Some(auction) = &mut job.auction {
            auction.commits += 1;
        }
        Ok(())
    }

    pub(super) fn reveal_bid(
        &mut self,
        now: &Now<'_>,
        caller: Address,
        id: JobId,
        price: u128,
        salt: B256,
    ) -> Result<(), Refusal> {
        let clock = self.clock(now);
        let job = self.job_mut(id)?;
        job.open_by(Door::Auction)?;
        let auction = job.auction.clone().unwrap_or_default();
        let open = clock > auction.commit_until && clock <= auction.reveal_until;
        ensure(open, Refusal::RevealWindowClosed)?;
        let operator = self.signed_for(caller)?;
        let given = self.sealed_bid(id, operator, price, salt);
        let job = self.job_mut(id)?;
        let bid = job.sealed.get_mut(&operator).filter(|bid| bid.commitment == Some(given));
        let bid = bid.ok_or(Refusal::OtherCommitment)?;
        bid.commitment = None;
        let (payer, deposit) = (bid.payer, std::mem::take(&mut bid.deposit));
        let max_price = job.max_price;
        let beacon = auction.beacon.unwrap_or_else(|| {
            let hash = keccak256((now.random, U256::from(id.0)).abi_encode());
            *Address::from_word(hash).0
        });
        if let Some(auction) = &mut job.auction {
            auction.beacon = Some(beacon);
        }
        self.credit(payer, deposit);
        let lot = |operator: Address| keccak256((Address::from(beacon), operator).abi_encode());
        let leads = match auction.best {
            None => true,
            Some((best, least)) => price < least || price == least && lot(operator) < lot(best),
        };
        if price <= max_price && leads { self.lead(now, id, operator, price) } else { Ok(()) }
    }

    /// Binds who leads; passes over who cannot be bound.
    fn lead(&mut self, now: &Now<'_>, id: JobId, operator: Address, price: u128) -> Result<(), Refusal> {
        let market = self.domain.market;
        let job = self.job_mut(id)?.clone();
        let amount = self.start_lock(&job);
        let bindable = self.stake.is_active(now, operator)
            && self.stake.free(operator) >= amount
            && self.stake.slasher_state(now, market) == Some(SlasherState::Active);
        if !bindable {
            return Ok(());
        }
        let auction = self.job_mut(id)?.auction.as_mut();
        let former = auction.and_then(|auction| auction.best.replace((operator, price)));
        if let Some((former, _)) = former {
            self.unlock(former, amount)?;
        }
        self.stake.lock(now, market, operator, amount)
    }

    pub(super) fn award_auction(&mut self, now: &Now<'_>, id: JobId) -> Result<(), Refusal> {
        let clock = self.running(now)?;
        let job = self.job_mut(id)?.clone();
        job.open_by(Door::Auction)?;
        let auction = job.auction.clone().unwrap_or_default();
        ensure(clock > auction.reveal_until, Refusal::AuctionRunning)?;
        let Some((best, price)) = auction.best else {
            self.job_mut(id)?.door = Door::Direct;
            return Ok(());
        };
        if clock <= job.deadline && self.stake.is_active(now, best) {
            let until = clock + u64::from(self.market_params.all[job.version].start_window);
            self.job_mut(id)?.assign(best, price, job.version, until);
            Ok(())
        } else {
            self.job_mut(id)?.door = Door::Direct;
            self.unlock(best, self.start_lock(&job))
        }
    }

    pub(super) fn take_deposit(&mut self, now: &Now<'_>, caller: Address, id: JobId) -> Result<(), Refusal> {
        let clock = self.clock(now);
        let reveal_until = self.jobs.get(&id).and_then(|job| job.auction.as_ref()).map_or(0, |a| a.reveal_until);
        ensure(clock > reveal_until, Refusal::AuctionRunning)?;
        let operator = self.signed_for(caller)?;
        let job = self.jobs.get_mut(&id).ok_or(Refusal::NoDeposit)?;
        let client = job.client;
        let bid = job.sealed.get_mut(&operator).filter(|bid| bid.deposit > 0).ok_or(Refusal::NoDeposit)?;
        let (payer, deposit) = (bid.payer, std::mem::take(&mut bid.deposit));
        let kept = if reveal_until == 0 { 0 } else { deposit.div_ceil(UNREVEALED_LOSS) };
        self.credit(client, kept);
        self.credit(payer, deposit - kept);
        Ok(())
    }
}
