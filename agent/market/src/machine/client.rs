//! The broadcaster's side of a job: award the cheapest bid, keep the escrow filled, close, take the rest back.

use super::{JobState, JobView};
use crate::action::Action;
use crate::units::{BlockNo, Price, Wei};
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
pub struct Local<'a> {
    /// Bids on chain that this gateway would take, as (operator, price).
    pub bids: &'a [(Address, Price)],
    /// Fees for receipts that the operator has not claimed yet.
    pub unclaimed: Wei,
    /// Top-ups asked for so far.
    pub top_ups: u32,
    /// The broadcast is over and every accepted segment has its receipt.
    pub finished: bool,
    /// Operators that took an award and did not deliver.
    pub avoid: &'a [Address],
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

/// Looks at one of our jobs at height `head`.
///
/// Waits for the whole bidding window, so that a fast expensive bid does not win over a slow cheap one.
pub fn next(job: &JobView, local: &Local<'_>, rules: &EscrowRules, head: BlockNo) -> Step {
    match job.state {
        JobState::Closed => Step::Over,
        JobState::Open | JobState::Awarded if local.finished => Step::Send(Action::CloseJob { job: job.id }),
        JobState::Open if head > job.bid_until => award(job, local),
        JobState::Awarded if head > job.start_until => award(job, local),
        JobState::Active if local.finished => Step::Send(Action::CloseJob { job: job.id }),
        JobState::Active if job.escrow.0.saturating_sub(local.unclaimed.0) < rules.low_water.0 => {
            Step::Send(Action::TopUp { job: job.id, amount: rules.deposit, nth: local.top_ups })
        }
        JobState::Draining if job.open_claims == 0 && (job.released || head > job.drain_until) => {
            Step::Send(Action::Reclaim { job: job.id })
        }
        _ => Step::Wait,
    }
}

/// The cheapest bid wins; of equal ones the first placed.
fn award(job: &JobView, local: &Local<'_>) -> Step {
    let late = (job.state == JobState::Awarded).then_some(job.operator);
    let eligible = |(operator, _): &&(Address, Price)| Some(*operator) != late && !local.avoid.contains(operator);
    match local.bids.iter().filter(eligible).min_by_key(|(_, price)| *price) {
        Some((operator, _)) => Step::Send(Action::Award { job: job.id, operator: *operator }),
        None => Step::Wait,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::units::{JobId, SegmentNo};
    use alloy_primitives::B256;

    const A: Address = Address::repeat_byte(1);
    const B: Address = Address::repeat_byte(2);

    fn job(state: JobState) -> JobView {
        JobView {
            id: JobId(1),
            client: Address::ZERO,
            operator: A,
            state,
            samples: 4,
            bid_until: BlockNo(10),
            start_until: BlockNo(20),
            drain_until: BlockNo(30),
            price: Price::new(1).unwrap(),
            max_price: Price::new(9).unwrap(),
            escrow: Wei(100),
            reserved: Wei(0),
            profile: B256::ZERO,
            next_seq: SegmentNo(0),
            open_claims: 0,
            released: false,
        }
    }

    fn step(job: &JobView, local: &Local<'_>, head: u64) -> Step {
        next(job, local, &EscrowRules { deposit: Wei(50), low_water: Wei(20) }, BlockNo(head))
    }

    #[test]
    fn the_cheapest_bid_wins_after_the_window() {
        let bids = [(A, Price::new(5).unwrap()), (B, Price::new(4).unwrap())];
        let local = Local { bids: &bids, ..Local::default() };
        assert_eq!(step(&job(JobState::Open), &local, 10), Step::Wait);
        assert_eq!(step(&job(JobState::Open), &local, 11), Step::Send(Action::Award { job: JobId(1), operator: B }));
        assert_eq!(step(&job(JobState::Open), &Local::default(), 11), Step::Wait);
    }

    #[test]
    fn an_award_that_is_not_taken_goes_to_the_next() {
        let bids = [(A, Price::new(1).unwrap()), (B, Price::new(4).unwrap())];
        let local = Local { bids: &bids, ..Local::default() };
        assert_eq!(step(&job(JobState::Awarded), &local, 20), Step::Wait);
        assert_eq!(step(&job(JobState::Awarded), &local, 21), Step::Send(Action::Award { job: JobId(1), operator: B }));
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
