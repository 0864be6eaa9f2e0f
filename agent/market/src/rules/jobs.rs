//! A job from its order to its end.

use super::auctions::SealedBid;
use super::{Cut, Door, Jail, Market, Now, Refusal, ensure};
use crate::machine::JobState;
use crate::order::JobOrder;
use crate::units::{JobId, SegmentNo, Timestamp};
use alloy_primitives::{Address, B256};
use std::collections::BTreeMap;

/// The highest price: 2^72 - 1.
pub(super) const MOST_PRICE: u128 = (1 << 72) - 1;
const MOST_DRAWS: u8 = 8;
/// The client's part of a lost start lock, in 1e-4.
const CLIENT_SHARE: u16 = 5000;

/// One job. Times are the market's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // said in the interface
pub struct Job {
    pub client: Address,
    pub state: JobState,
    pub door: Door,
    pub samples: u8,
    pub deadline: u64,
    /// Assigned: last second to start. Draining: last second to claim; 0 once released.
    pub until: u64,
    /// Zero for nobody.
    pub operator: Address,
    pub price: u128,
    pub max_price: u128,
    pub escrow: u128,
    pub reserved: u128,
    pub profile: B256,
    pub seed_tip: B256,
    /// The first half of its hash.
    pub order: [u8; 16],
    pub next_seq: SegmentNo,
    pub open_claims: u16,
    pub auction: Option<Auction>,
    pub election: Option<Election>,
    /// Count of the last claim.
    pub(super) before: u32,
    /// Of the market's parameters.
    pub(super) version: usize,
    pub(super) sealed: BTreeMap<Address, SealedBid>,
}

/// A job's auction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // said in the interface
pub struct Auction {
    pub commit_until: u64,
    /// 0 when the job was cancelled before.
    pub reveal_until: u64,
    pub commits: u16,
    pub best: Option<(Address, u128)>,
    /// Tells equal prices apart; since the first reveal.
    pub(super) beacon: Option<[u8; 20]>,
}

/// A job's election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Election {
    /// The block that decides.
    pub block: u64,
    /// The day by whose weights is drawn, since 1970.
    pub day: u64,
}

impl Job {
    /// Wei of sealed bids.
    pub(super) fn deposits(&self) -> u128 {
        self.sealed.values().map(|bid| bid.deposit).sum()
    }

    fn in_state(&self, state: JobState) -> Result<(), Refusal> {
        ensure(self.state == state, Refusal::JobNotInState)
    }

    pub(super) fn open_by(&self, door: Door) -> Result<(), Refusal> {
        self.in_state(JobState::Open)?;
        ensure(self.door == door, Refusal::OtherDoor)
    }

    pub(super) fn in_time(&self, clock: u64) -> Result<(), Refusal> {
        ensure(clock <= self.deadline, Refusal::DeadlineOver)
    }

    pub(super) fn assign(&mut self, operator: Address, price: u128, version: usize, until: u64) {
        self.state = JobState::Assigned;
        (self.operator, self.price, self.version, self.until) = (operator, price, version, until);
    }
}

impl Market {
    /// Jobs that do not exist are in no state.
    pub(super) fn job_mut(&mut self, job: JobId) -> Result<&mut Job, Refusal> {
        self.jobs.get_mut(&job).ok_or(Refusal::JobNotInState)
    }

    /// The job, for its client: of one that does not exist there is none.
    fn clients(&mut self, job: JobId, caller: Address) -> Result<&mut Job, Refusal> {
        let job = self.jobs.get_mut(&job).ok_or(Refusal::NotClient)?;
        ensure(caller == job.client, Refusal::NotClient)?;
        Ok(job)
    }

    fn require_operator(&self, job: &Job, caller: Address) -> Result<(), Refusal> {
        let signs = !job.operator.is_zero() && self.stake.operator_of(caller) == Some(job.operator);
        ensure(signs, Refusal::NotOperator)
    }

    pub(super) fn start_lock(&self, job: &Job) -> u128 {
        self.market_params.all[job.version].start_lock
    }

    fn drain_until(&self, job: &Job, clock: u64) -> u64 {
        clock.min(job.deadline) + u64::from(self.market_params.all[job.version].drain_window)
    }

    pub(super) fn open(&mut self, now: &Now<'_>, order: &JobOrder, door: Door, value: u128) -> Result<JobId, Refusal> {
        let clock = self.running(now)?;
        ensure(clock < order.deadline.0, Refusal::DeadlineOver)?;
        ensure((1..=MOST_DRAWS).contains(&order.samples), Refusal::BadDrawCount)?;
        ensure(order.max_price.wei() <= MOST_PRICE, Refusal::PriceTooHigh)?;
        ensure(self.profiles.contains(&order.profile), Refusal::UnknownProfile)?;
        let params = self.market_params.current();
        let commit_until = clock + u64::from(params.commit_window);
        let reveal_until = commit_until + u64::from(params.reveal_window);
        let auction = (door == Door::Auction).then(|| Auction { commit_until, reveal_until, ..Auction::default() });
        if auction.is_some() {
            ensure(reveal_until < order.deadline.0, Refusal::DeadlineOver)?;
        }
        let election = (door == Door::Election).then(|| self.next_election(now));
        let mut half = [0; 16];
        half.copy_from_slice(&order.hash(&self.domain)[..16]);
        let id = JobId(self.jobs.len() as u64 + 1);
        let job = Job {
            client: order.client,
            state: JobState::Open,
            door,
            samples: order.samples,
            deadline: order.deadline.0,
            until: 0,
            operator: Address::ZERO,
            price: order.max_price.wei(),
            max_price: order.max_price.wei(),
            escrow: value,
            reserved: 0,
            profile: order.profile,
            seed_tip: order.seed_tip,
            order: half,
            next_seq: SegmentNo(0),
            open_claims: 0,
            auction,
            election,
            before: 0,
            version: self.market_params.latest(),
            sealed: BTreeMap::new(),
        };
        self.jobs.insert(id, job);
        Ok(id)
    }

    pub(super) fn start_job(&mut self, now: &Now<'_>, caller: Address, id: JobId) -> Result<(), Refusal> {
        let job = self.job_mut(id)?.clone();
        job.in_state(JobState::Assigned)?;
        self.require_operator(&job, caller)?;
        ensure(self.running(now)? <= job.until, Refusal::StartWindowOver)?;
        let job = self.job_mut(id)?;
        (job.until, job.state) = (0, JobState::Active);
        Ok(())
    }

    pub(super) fn default_job(&mut self, now: &Now<'_>, id: JobId) -> Result<u128, Refusal> {
        let before = self.job_mut(id)?.clone();
        before.in_state(JobState::Assigned)?;
        ensure(self.clock(now) > before.until, Refusal::StartWindowOpen)?;
        self.count_out(&before);
        let (version, election) = (self.market_params.latest(), self.next_election(now));
        let job = self.job_mut(id)?;
        (job.until, job.state) = (0, JobState::Open);
        (job.operator, job.price, job.version) = (Address::ZERO, job.max_price, version);
        match job.door {
            Door::Election => job.election = Some(election),
            Door::Auction => job.door = Door::Direct,
            Door::Direct => {}
        }
        let (amount, cut) = (self.start_lock(&before), Cut { to: before.client, share: CLIENT_SHARE });
        self.stake.slash(now, self.domain.market, before.operator, amount, amount, &[cut], Jail::No)
    }

    pub(super) fn extend_job(
        &mut self,
        now: &Now<'_>,
        caller: Address,
        id: JobId,
        deadline: Timestamp,
    ) -> Result<(), Refusal> {
        let clock = self.clock(now);
        let job = self.clients(id, caller)?;
        let going = matches!(job.state, JobState::Open | JobState::Assigned | JobState::Active);
        ensure(going, Refusal::JobNotInState)?;
        job.in_time(clock)?;
        ensure(deadline.0 > job.deadline, Refusal::DeadlineNotLater)?;
        job.deadline = deadline.0;
        Ok(())
    }

    pub(super) fn set_seed_tip(&mut self, caller: Address, id: JobId, tip: B256) -> Result<(), Refusal> {
        let job = self.clients(id, caller)?;
        ensure(job.state != JobState::Closed, Refusal::JobNotInState)?;
        ensure(job.open_claims == 0, Refusal::ClaimsOpen)?;
        job.seed_tip = tip;
        Ok(())
    }

    pub(super) fn cancel_job(&mut self, now: &Now<'_>, caller: Address, id: JobId) -> Result<(), Refusal> {
        let clock = self.clock(now);
        let job = self.clients(id, caller)?;
        let before = job.clone();
        match job.state {
            JobState::Assigned => {}
            JobState::Open if job.door == Door::Auction => {
                if let Some(auction) = job.auction.as_mut().filter(|auction| clock <= auction.reveal_until) {
                    auction.reveal_until = 0; // nobody can reveal any more
                }
            }
            JobState::Open => {}
            _ => return Err(Refusal::JobNotInState),
        }
        self.refund(id)?;
        if before.state == JobState::Assigned {
            self.let_operator_go(&before)?;
        } else if before.door == Door::Auction {
            let best = before.auction.as_ref().and_then(|auction| auction.best);
            if let Some((operator, _)) = best {
                self.unlock(operator, self.start_lock(&before))?;
            }
        }
        Ok(())
    }

    pub(super) fn close_job(&mut self, now: &Now<'_>, caller: Address, id: JobId) -> Result<(), Refusal> {
        let job = self.job_mut(id)?.clone();
        job.in_state(JobState::Active)?;
        let clock = self.clock(now);
        ensure(clock > job.deadline || caller == job.client, Refusal::NotClient)?;
        let until = self.drain_until(&job, clock);
        self.drain(id, until)
    }

    pub(super) fn release_job(&mut self, caller: Address, id: JobId) -> Result<(), Refusal> {
        let job = self.jobs.get(&id).ok_or(Refusal::NotOperator)?.clone();
        self.require_operator(&job, caller)?;
        if job.state != JobState::Active {
            job.in_state(JobState::Draining)?;
            ensure(job.until != 0, Refusal::AlreadyReleased)?;
        }
        self.drain(id, 0)?;
        self.let_operator_go(&job)
    }

    pub(super) fn reclaim(&mut self, now: &Now<'_>, caller: Address, id: JobId) -> Result<(), Refusal> {
        let clock = self.clock(now);
        let job = self.clients(id, caller)?.clone();
        job.in_state(JobState::Draining)?;
        ensure(job.open_claims == 0, Refusal::ClaimsOpen)?;
        let released = job.until == 0;
        ensure(released || clock > job.until, Refusal::DrainWindowOpen)?;
        self.refund(id)?;
        if released { Ok(()) } else { self.let_operator_go(&job) }
    }

    /// Whether segments of the job can be claimed now: also of one whose deadline is over and that nobody has closed.
    pub(super) fn claimable(&self, job: &Job, clock: u64) -> Result<(), Refusal> {
        let until = if job.state == JobState::Active {
            if clock <= job.deadline { clock } else { self.drain_until(job, clock) }
        } else {
            job.in_state(JobState::Draining)?;
            ensure(job.until != 0, Refusal::AlreadyReleased)?;
            job.until
        };
        ensure(clock <= until, Refusal::DrainWindowOver)
    }

    fn drain(&mut self, id: JobId, until: u64) -> Result<(), Refusal> {
        let job = self.job_mut(id)?;
        (job.until, job.state) = (until, JobState::Draining);
        Ok(())
    }

    fn refund(&mut self, id: JobId) -> Result<(), Refusal> {
        let job = self.job_mut(id)?;
        let (client, rest) = (job.client, std::mem::take(&mut job.escrow));
        job.state = JobState::Closed;
        self.credit(client, rest);
        Ok(())
    }

    fn let_operator_go(&mut self, job: &Job) -> Result<(), Refusal> {
        self.count_out(job);
        self.unlock(job.operator, self.start_lock(job))
    }

    /// Of what the market has locked, if anyone has freed it already.
    pub(super) fn unlock(&mut self, operator: Address, amount: u128) -> Result<(), Refusal> {
        let held = amount.min(self.stake.locked_by(operator, self.domain.market));
        self.stake.release(self.domain.market, operator, held)
    }
}
