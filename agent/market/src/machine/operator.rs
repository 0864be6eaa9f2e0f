//! The rig's side of a job: start it, claim the work in batches, release the job.

use super::{JobState, JobView, MAX_CLAIM, Now};
use crate::action::Action;
use crate::merkle::{Leaf, SumTree};
use crate::units::{BlockNo, Units};
use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// When work is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRules {
    /// Claim as soon as this many segments wait and gas is not dear, 1..=4096; a claim takes all that waits when it is made.
    pub batch: u32,
    /// Claim whatever waits, at whatever price of gas, once its oldest segment has waited this many blocks.
    pub max_wait_blocks: u64,
}

/// What a person wants of a job, beside what is due by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Nothing.
    #[default]
    None,
    /// Claim what waits, however little it is.
    Claim,
    /// Claim what is left once nothing is in hand, then release the job.
    Leave,
}

/// What this node knows about a job beside the chain.
#[derive(Clone, Debug, Default)]
pub struct Local<'a> {
    /// Receipts signed for segments from the chain's `next_seq` on, contiguous and in order.
    pub unclaimed: &'a [Leaf],
    /// The height at which the first of them was seen.
    pub waiting_since: Option<BlockNo>,
    /// No segment of this job is in hand.
    pub idle: bool,
    /// How many of `unclaimed`, from the first on, a claim may be of: a sample of them was made again and found right (rule G5).
    pub checked: u32,
    /// Gas costs much more than usual ([`crate::pricing::GasPrice::is_dear`]): a claim waits, as long as it may.
    pub gas_is_dear: bool,
    /// What a person wants of it.
    pub wish: Wish,
}

/// The due step for one job, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Send(Action),
    /// Make [`sample_size`] random ones of the first so many unclaimed segments again and compare; a claim of them is due.
    Check(u32),
    /// Nothing now.
    Wait,
}

/// Segments that are made again before `count` of them are claimed: 1 %, at least one.
pub fn sample_size(count: u32) -> u32 {
    count.div_ceil(100).max(1)
}

/// Looks at one job as operator `me`.
pub fn next(me: Address, job: &JobView, local: &Local<'_>, rules: &ClaimRules, now: &Now) -> Step {
    match job.state {
        JobState::Assigned if job.operator == me && now.market <= job.start_until => {
            Step::Send(Action::StartJob { job: job.id })
        }
        JobState::Active | JobState::Draining if job.operator == me && !job.released => work(job, local, rules, now),
        _ => Step::Wait,
    }
}

fn work(job: &JobView, local: &Local<'_>, rules: &ClaimRules, now: &Now) -> Step {
    let draining = job.state == JobState::Draining || now.market > job.deadline || local.wish == Wish::Leave;
    // Segments that could not be transcoded have receipts over no work; alone they are not worth a claim.
    let worthless = local.unclaimed.iter().all(|leaf| leaf.units == Units(0));
    let waiting = if worthless { 0 } else { local.unclaimed.len() };
    let waited = local.waiting_since.is_some_and(|since| now.head >= since.after(rules.max_wait_blocks));
    let asked = local.wish == Wish::Claim;
    let batch = if local.gas_is_dear { MAX_CLAIM } else { rules.batch };
    let due = waiting >= batch as usize || waiting > 0 && (waited || asked || draining && local.idle);
    if job.state == JobState::Draining && now.market > job.drain_until {
        return Step::Wait; // too late for a claim, and the client can take its money without a release
    }
    if due {
        let checked = local.unclaimed.len().min(local.checked as usize);
        // What nobody looked at is not claimed: a card that makes wrong pictures would have it slashed.
        let of = if checked == 0 { local.unclaimed } else { &local.unclaimed[..checked] };
        return match claim(job, of) {
            Some(Action::Claim { count, .. }) if checked == 0 => Step::Check(count),
            Some(claim) => Step::Send(claim),
            None => Step::Wait,
        };
    }
    if draining && waiting == 0 && local.idle {
        return Step::Send(Action::ReleaseJob { job: job.id });
    }
    Step::Wait
}

/// The longest claim from the front of `leaves` that the job's free escrow pays for.
fn claim(job: &JobView, leaves: &[Leaf]) -> Option<Action> {
    let mut units = 0u64;
    let affordable = leaves.iter().take(MAX_CLAIM as usize).take_while(|leaf| {
        let Some(sum) = units.checked_add(leaf.units.0) else { return false };
        let pays = job.price.fee(Units(sum)).is_some_and(|fee| fee <= job.escrow);
        if pays {
            units = sum;
        }
        pays
    });
    let count = affordable.count();
    let root = SumTree::new(&leaves[..count])?.root();
    if root.sum == 0 {
        return None;
    }
    Some(Action::Claim {
        job: job.id,
        first: leaves[0].seq,
        count: u32::try_from(count).ok()?,
        root: root.hash,
        units: Units(root.sum),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::units::{JobId, Price, SegmentNo, Timestamp, Wei};
    use alloy_primitives::B256;

    const ME: Address = Address::repeat_byte(7);

    fn job(state: JobState) -> JobView {
        JobView {
            id: JobId(1),
            client: Address::repeat_byte(1),
            operator: ME,
            state,
            samples: 4,
            deadline: Timestamp(900),
            start_until: Timestamp(20),
            drain_until: Timestamp(1000),
            price: Price::new(2).unwrap(),
            max_price: Price::new(5).unwrap(),
            escrow: Wei(1000),
            reserved: Wei(0),
            profile: B256::ZERO,
            seed_tip: B256::ZERO,
            next_seq: SegmentNo(0),
            open_claims: 0,
            released: false,
        }
    }

    fn leaves(count: u64) -> Vec<Leaf> {
        let leaf = |seq| Leaf {
            job: JobId(1),
            seq: SegmentNo(seq),
            src_root: B256::ZERO,
            out_root: B256::ZERO,
            units: Units(100),
            out_bytes: 1,
        };
        (0..count).map(leaf).collect()
    }

    fn step(job: &JobView, local: &Local<'_>, head: u64) -> Step {
        let rules = ClaimRules { batch: 3, max_wait_blocks: 50 };
        next(ME, job, local, &rules, &Now { head: BlockNo(head), time: Timestamp(0), market: Timestamp(head) })
    }

    fn checked<'a>() -> Local<'a> {
        Local { checked: u32::MAX, ..Local::default() }
    }

    fn claimed(step: Step) -> Option<u32> {
        match step {
            Step::Send(Action::Claim { count, .. }) => Some(count),
            _ => None,
        }
    }

    #[test]
    fn starts_only_its_own_jobs_and_in_time() {
        let won = job(JobState::Assigned);
        assert_eq!(step(&won, &Local::default(), 20), Step::Send(Action::StartJob { job: JobId(1) }));
        assert_eq!(step(&won, &Local::default(), 21), Step::Wait);
        let lost = JobView { operator: Address::ZERO, ..won };
        assert_eq!(step(&lost, &Local::default(), 15), Step::Wait);
    }

    #[test]
    fn claims_full_batches_old_work_and_the_rest_at_the_end() {
        let (active, all) = (job(JobState::Active), leaves(5));
        let local = |n: usize, since, idle| Local { unclaimed: &all[..n], waiting_since: since, idle, ..checked() };
        assert_eq!(claimed(step(&active, &local(3, None, false), 30)), Some(3));
        assert_eq!(claimed(step(&active, &local(5, None, false), 30)), Some(5));
        assert_eq!(step(&active, &local(2, Some(BlockNo(30)), false), 79), Step::Wait);
        assert_eq!(claimed(step(&active, &local(2, Some(BlockNo(30)), false), 80)), Some(2));
        let draining = JobView { drain_until: Timestamp(30), ..job(JobState::Draining) };
        assert_eq!(step(&draining, &local(2, None, true), 31), Step::Wait);
        assert_eq!(step(&draining, &local(2, None, false), 30), Step::Wait);
        assert_eq!(claimed(step(&draining, &local(2, None, true), 30)), Some(2));
        assert_eq!(step(&draining, &local(0, None, true), 30), Step::Send(Action::ReleaseJob { job: JobId(1) }));
        let late = JobView { deadline: Timestamp(29), ..job(JobState::Active) };
        assert_eq!(claimed(step(&late, &local(2, None, true), 30)), Some(2));
        assert_eq!(step(&late, &local(0, None, true), 30), Step::Send(Action::ReleaseJob { job: JobId(1) }));
        let released = JobView { released: true, ..draining };
        assert_eq!(step(&released, &local(3, None, true), 30), Step::Wait);
    }

    #[test]
    fn while_gas_is_dear_a_batch_waits_but_not_longer_than_it_may() {
        let (active, all) = (job(JobState::Active), leaves(5));
        let dear = |since, idle| Local { unclaimed: &all, waiting_since: since, idle, gas_is_dear: true, ..checked() };
        assert_eq!(step(&active, &dear(Some(BlockNo(30)), false), 79), Step::Wait);
        assert_eq!(claimed(step(&active, &dear(Some(BlockNo(30)), false), 80)), Some(5));
        let draining = JobView { drain_until: Timestamp(30), ..job(JobState::Draining) };
        assert_eq!(claimed(step(&draining, &dear(None, true), 30)), Some(5));
        let most = leaves(u64::from(MAX_CLAIM));
        let full = Local { unclaimed: &most, gas_is_dear: true, ..checked() };
        let rich = JobView { escrow: Wei(u128::MAX), ..active };
        assert_eq!(claimed(step(&rich, &full, 30)), Some(MAX_CLAIM));
    }

    #[test]
    fn a_person_can_have_a_small_batch_claimed_and_a_job_left() {
        let (active, all) = (job(JobState::Active), leaves(5));
        let local = |n: usize, wish, idle| Local { unclaimed: &all[..n], idle, wish, ..checked() };
        assert_eq!(step(&active, &local(2, Wish::None, true), 30), Step::Wait);
        assert_eq!(claimed(step(&active, &local(2, Wish::Claim, false), 30)), Some(2));
        assert_eq!(step(&active, &local(0, Wish::Claim, true), 30), Step::Wait, "and the job goes on");
        assert_eq!(step(&active, &local(2, Wish::Leave, false), 30), Step::Wait, "what is in hand comes along");
        assert_eq!(claimed(step(&active, &local(2, Wish::Leave, true), 30)), Some(2));
        assert_eq!(step(&active, &local(0, Wish::Leave, true), 30), Step::Send(Action::ReleaseJob { job: JobId(1) }));
        let theirs = JobView { operator: Address::ZERO, ..active };
        assert_eq!(step(&theirs, &local(0, Wish::Leave, true), 30), Step::Wait);
    }

    #[test]
    fn work_that_pays_nothing_is_not_claimed_and_does_not_hold_the_job() {
        let mut all = leaves(5);
        all.iter_mut().for_each(|leaf| leaf.units = Units(0));
        let local = Local { unclaimed: &all, idle: true, ..checked() };
        assert_eq!(step(&job(JobState::Active), &local, 30), Step::Wait);
        let draining = JobView { drain_until: Timestamp(30), ..job(JobState::Draining) };
        assert_eq!(step(&draining, &local, 30), Step::Send(Action::ReleaseJob { job: JobId(1) }));
    }

    #[test]
    fn claims_no_more_than_the_escrow_pays_for() {
        let all = leaves(5);
        let local = Local { unclaimed: &all, ..checked() };
        let poor = JobView { escrow: Wei(499), ..job(JobState::Active) };
        assert_eq!(claimed(step(&poor, &local, 30)), Some(2)); // 100 units at 2 wei: 200 wei each
        let broke = JobView { escrow: Wei(199), ..poor };
        assert_eq!(step(&broke, &local, 30), Step::Wait);
    }
}
