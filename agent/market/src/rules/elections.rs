//! Operators drawn by stake.

use super::jobs::{Election, MOST_PRICE};
use super::{DAY, Door, Market, Now, Refusal, ensure, header};
use crate::units::{BlockNo, JobId};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;

/// What an operator takes when it is elected.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    price: u128,
    max_jobs: u16,
    pub(super) open_jobs: u16,
    since: u64,
}

impl Market {
    /// The random numbers of the draws of an election: `keccak256(abi.encode(seed, i))` with `seed =
    /// keccak256(abi.encode(prevrandao, job))`.
    pub fn election_draws(job: JobId, random: B256) -> [U256; 8] {
        let seed = keccak256((random, U256::from(job.0)).abi_encode());
        std::array::from_fn(|i| keccak256((seed, U256::from(i)).abi_encode()).into())
    }

    /// Least price, most jobs and open jobs of an operator.
    pub fn terms(&self, operator: Address) -> (u128, u16, u16) {
        self.terms.get(&operator).map_or((0, 0, 0), |terms| (terms.price, terms.max_jobs, terms.open_jobs))
    }

    pub(super) fn next_election(&self, now: &Now<'_>) -> Election {
        let delay = u64::from(self.market_params.current().election_delay);
        Election { block: now.block.0 + delay, day: now.time.0 / DAY }
    }

    pub(super) fn set_terms(
        &mut self,
        now: &Now<'_>,
        caller: Address,
        price: u128,
        max_jobs: u16,
    ) -> Result<(), Refusal> {
        ensure(price <= MOST_PRICE, Refusal::PriceTooHigh)?;
        let operator = self.signed_for(caller)?;
        let terms = self.terms.entry(operator).or_default();
        (terms.price, terms.max_jobs, terms.since) = (price, max_jobs, now.block.0);
        Ok(())
    }

    pub(super) fn elect(&mut self, now: &Now<'_>, id: JobId, header: &[u8], drawn: &[Address]) -> Result<(), Refusal> {
        let clock = self.running(now)?;
        let job = self.job_mut(id)?.clone();
        job.open_by(Door::Election)?;
        job.in_time(clock)?;
        let next = self.next_election(now);
        let election = job.election.unwrap_or(next);
        ensure(now.block.0 > election.block, Refusal::ElectionTooEarly)?;
        let kept = now.time.0 / DAY <= election.day + 1;
        let Some(hash) = now.hash(BlockNo(election.block)).filter(|_| kept) else {
            self.job_mut(id)?.election = Some(next);
            return Ok(());
        };
        ensure(keccak256(header) == hash, Refusal::WrongHeader)?;
        ensure(header::prevrandao(header).is_some(), Refusal::BadHeader)?;
        let start_lock = self.market_params.current().start_lock;
        let fits = |operator: &&Address| {
            self.terms.get(*operator).is_some_and(|terms| {
                terms.open_jobs < terms.max_jobs && terms.price <= job.max_price && terms.since < election.block
            }) && self.stake.is_active(now, **operator)
                && self.stake.free(**operator) >= start_lock
        };
        let Some(&operator) = drawn.iter().find(fits) else {
            self.job_mut(id)?.election = Some(next);
            return Ok(());
        };
        let price = self.terms.get_mut(&operator).map_or(0, |terms| {
            terms.open_jobs += 1;
            terms.price
        });
        debug_assert_eq!(job.door, Door::Election);
        self.bind(now, id, operator, price, clock)
    }

    /// Whose prevrandao that is, for [`Self::election_draws`].
    pub fn election_block(&self, job: JobId) -> Option<(BlockNo, u64)> {
        let election = self.jobs.get(&job)?.election?;
        Some((BlockNo(election.block), election.day))
    }

    /// What a hash chain's link before `link` has to be the hash of: `keccak256(abi.encode(link))`.
    pub fn link(link: B256) -> B256 {
        keccak256(link)
    }
}
