//! The broadcaster's side of a job: keep the escrow filled, close, take the rest back. Which bid to accept is [`cheapest`].

use super::{JobState, JobView, Now};
use crate::action::Action;
use crate::order::Bid;
use crate::units::{Price, Timestamp, Wei};
use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// How a broadcaster pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EscrowRules {
    /// Put into a job at its start and with every top-up.
    pub deposit: Wei,
    /// Top up when less than this is free.
    pub low_water: Wei,
}

/// What the gateway knows about its job beside the chain.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// Fees for receipts that the operator has not claimed yet.
    pub unclaimed: Wei,
    /// Top-ups asked for so far.
    pub top_ups: u32,
    /// The broadcast is over and every accepted segment has its receipt.
    pub finished: bool,
}

/// The due step for one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Send(Action),
    /// Nothing now.
    Wait,
    /// The job is closed on chain.
    Over,
}

/// Looks at one of our jobs. An operator that does not start in time loses the job, which is then closed: another one is
/// ordered with new bids.
pub fn next(job: &JobView, local: &Local, rules: &EscrowRules, now: &Now) -> Step {
    match job.state {
        JobState::Closed => Step::Over,
        JobState::Open => Step::Send(Action::CancelJob { job: job.id }),
        JobState::Assigned if now.market > job.start_until => {
            Step::Send(Action::DefaultJob { job: job.id, operator: job.operator })
        }
        JobState::Assigned if local.finished => Step::Send(Action::CancelJob { job: job.id }),
        JobState::Active if local.finished || now.market > job.deadline => Step::Send(Action::CloseJob { job: job.id }),
        JobState::Active if job.escrow.0.saturating_sub(local.unclaimed.0) < rules.low_water.0 => {
            Step::Send(Action::TopUp { job: job.id, amount: rules.deposit, nth: local.top_ups })
        }
        JobState::Draining if job.open_claims == 0 && (job.released || now.market > job.drain_until) => {
            Step::Send(Action::Reclaim { job: job.id })
        }
        _ => Step::Wait,
    }
}

/// The cheapest of the bids that can be accepted at `time`, of equal ones the first; never one of `avoid`.
pub fn cheapest<'a, T>(
    bids: &'a [(Bid, T)],
    ceiling: Price,
    avoid: &[Address],
    time: Timestamp,
) -> Option<&'a (Bid, T)> {
    let fits = |(bid, _): &&(Bid, T)| bid.price <= ceiling && bid.expiry >= time && !avoid.contains(&bid.operator);
    bids.iter().filter(fits).min_by_key(|(bid, _)| bid.price)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::units::{JobId, SegmentNo};
    use alloy_primitives::{B256, U256};

    const A: Address = Address::repeat_byte(1);
    const B: Address = Address::repeat_byte(2);

    fn job(state: JobState) -> JobView {
        JobView {
            id: JobId(1),
            client: Address::ZERO,
            operator: A,
            state,
            samples: 4,
            deadline: Timestamp(1000),
            start_until: Timestamp(20),
            drain_until: Timestamp(30),
            price: Price::new(1).unwrap(),
            max_price: Price::new(9).unwrap(),
            escrow: Wei(100),
            reserved: Wei(0),
            profile: B256::ZERO,
            seed_tip: B256::ZERO,
            next_seq: SegmentNo(0),
            open_claims: 0,
            released: false,
        }
    }

    fn step(job: &JobView, local: &Local, market: u64) -> Step {
        let now = Now { market: Timestamp(market), ..Now::default() };
        next(job, local, &EscrowRules { deposit: Wei(50), low_water: Wei(20) }, &now)
    }

    fn bid(operator: Address, price: u128, expiry: u64) -> (Bid, ()) {
        let price = Price::new(price).unwrap();
        (Bid { order: B256::ZERO, operator, price, expiry: Timestamp(expiry), nonce: U256::ZERO }, ())
    }

    #[test]
    fn the_cheapest_bid_that_holds_is_taken() {
        let bids = [bid(A, 5, 100), bid(B, 4, 100), bid(B, 4, 101), bid(A, 1, 99), bid(A, 10, 200)];
        let nine = Price::new(9).unwrap();
        let of = |avoid: &[Address], time| cheapest(&bids, nine, avoid, Timestamp(time)).map(|(bid, ())| bid.clone());
        assert_eq!(of(&[], 100), Some(bids[1].0.clone()));
        assert_eq!(of(&[], 99), Some(bids[3].0.clone()));
        assert_eq!(of(&[B], 100), Some(bids[0].0.clone()));
        assert_eq!(of(&[A, B], 100), None);
        assert_eq!(of(&[], 102), None); // what is left is too dear
    }

    #[test]
    fn a_job_that_is_not_started_is_taken_back() {
        let local = Local::default();
        assert_eq!(step(&job(JobState::Assigned), &local, 20), Step::Wait);
        let default = Action::DefaultJob { job: JobId(1), operator: A };
        assert_eq!(step(&job(JobState::Assigned), &local, 21), Step::Send(default));
        assert_eq!(step(&job(JobState::Open), &local, 21), Step::Send(Action::CancelJob { job: JobId(1) }));
        let finished = Local { finished: true, ..Local::default() };
        assert_eq!(step(&job(JobState::Assigned), &finished, 20), Step::Send(Action::CancelJob { job: JobId(1) }));
    }

    #[test]
    fn the_escrow_is_filled_before_it_runs_dry() {
        let local = |unclaimed| Local { unclaimed: Wei(unclaimed), top_ups: 3, ..Local::default() };
        assert_eq!(step(&job(JobState::Active), &local(80), 50), Step::Wait);
        let top_up = Action::TopUp { job: JobId(1), amount: Wei(50), nth: 3 };
        assert_eq!(step(&job(JobState::Active), &local(81), 50), Step::Send(top_up));
    }

    #[test]
    fn the_rest_comes_back_when_the_operator_is_done_or_late() {
        let finished = Local { finished: true, ..Local::default() };
        assert_eq!(step(&job(JobState::Active), &finished, 50), Step::Send(Action::CloseJob { job: JobId(1) }));
        let draining = job(JobState::Draining);
        assert_eq!(step(&draining, &finished, 30), Step::Wait);
        let reclaim = Step::Send(Action::Reclaim { job: JobId(1) });
        assert_eq!(step(&draining, &finished, 31), reclaim);
        assert_eq!(step(&JobView { released: true, ..draining.clone() }, &finished, 25), reclaim);
        assert_eq!(step(&JobView { open_claims: 1, ..draining }, &finished, 31), Step::Wait);
        assert_eq!(step(&job(JobState::Closed), &finished, 31), Step::Over);
    }
}
