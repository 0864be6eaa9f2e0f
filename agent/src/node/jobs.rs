//! The jobs this rig works on, between the chain's view of them and the segments that arrive.

use crate::delivery::{Delivered, Refusal};
use bytes::Bytes;
use headframe_market::machine::claim::Evidence;
use headframe_market::machine::operator::Wish;
use headframe_market::machine::{JobState, JobView};
use headframe_market::merkle::Leaf;
use headframe_market::{Address, BlockNo, JobId, SegmentNo, Units, Wei};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Deliveries kept per job, so that a gateway whose answer was lost can ask again without the work being done twice.
const REMEMBERED: usize = 4;

/// A delivery, kept whole.
pub(super) type Answer = (Delivered, Bytes);

/// One job of ours.
struct Entry {
    view: JobView,
    /// Receipts from the chain's `next_seq` on, contiguous.
    unclaimed: VecDeque<Evidence>,
    waiting_since: Option<BlockNo>,
    in_hand: u32,
    /// Segments before this one may be claimed: a sample of them was made again (rule G5).
    checked_to: SegmentNo,
    /// The sample was not what was ordered: nothing more of this job is claimed or made.
    doubted: bool,
    wish: Wish,
    answers: VecDeque<Answer>,
    /// Segments of one job are done one after the other.
    lane: Arc<tokio::sync::Mutex<()>>,
}

/// All jobs of ours.
#[derive(Default)]
pub(crate) struct Jobs(Mutex<BTreeMap<JobId, Entry>>);

/// What the machine of a job needs to know beside the chain.
pub(crate) struct Work {
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) waiting_since: Option<BlockNo>,
    pub(crate) idle: bool,
    /// How many of the leaves may be claimed.
    pub(crate) checked: u32,
    /// None of them, ever.
    pub(crate) doubted: bool,
    pub(crate) wish: Wish,
}

/// The right to work on one segment; given back when dropped.
pub(super) struct InHand<'a> {
    jobs: &'a Jobs,
    pub(super) job: JobView,
    pub(super) lane: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.jobs.lock().get_mut(&self.job.id) {
            entry.in_hand -= 1;
        }
    }
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the chain's newest view of a job. A job that is not `me`'s or is over is forgotten.
    pub(crate) fn update(&self, me: Address, view: &JobView) {
        let mut jobs = self.lock();
        let ours = view.operator == me && matches!(view.state, JobState::Active | JobState::Draining);
        if !ours {
            jobs.remove(&view.id);
            return;
        }
        let entry = jobs.entry(view.id).or_insert_with(|| Entry {
            view: view.clone(),
            unclaimed: VecDeque::new(),
            waiting_since: None,
            in_hand: 0,
            checked_to: SegmentNo(0),
            doubted: false,
            wish: Wish::None,
            answers: VecDeque::new(),
            lane: Arc::default(),
        });
        entry.view = view.clone();
        while entry.unclaimed.front().is_some_and(|kept| kept.leaf.seq < view.next_seq) {
            entry.unclaimed.pop_front();
            entry.waiting_since = None;
            if entry.wish == Wish::Claim {
                entry.wish = Wish::None;
            }
        }
    }

    /// A person's wish, until it is fulfilled or the process ends. Leaving is not taken back. `false` for a job that is not
    /// known here.
    pub(crate) fn ask(&self, job: JobId, wish: Wish) -> bool {
        let mut jobs = self.lock();
        let Some(entry) = jobs.get_mut(&job) else { return false };
        if entry.wish != Wish::Leave {
            entry.wish = wish;
        }
        true
    }

    /// The first segment of `job` that has no receipt in memory.
    pub(super) fn expected(&self, job: JobId) -> Option<SegmentNo> {
        self.lock().get(&job).map(Entry::expected)
    }

    /// Adds a receipt. One that does not follow the last is left out: the guard has it, and it comes in order later.
    pub(super) fn add(&self, evidence: Evidence) {
        if let Some(entry) = self.lock().get_mut(&evidence.leaf.job)
            && evidence.leaf.seq == entry.expected()
        {
            entry.unclaimed.push_back(evidence);
        }
    }

    /// What there is to claim. Starts the clock of waiting work.
    pub(crate) fn work(&self, job: JobId, head: BlockNo) -> Option<Work> {
        let mut jobs = self.lock();
        let entry = jobs.get_mut(&job)?;
        if entry.unclaimed.is_empty() {
            entry.waiting_since = None;
        } else {
            entry.waiting_since.get_or_insert(head);
        }
        Some(Work {
            leaves: entry.unclaimed.iter().map(|kept| kept.leaf.clone()).collect(),
            waiting_since: entry.waiting_since,
            idle: entry.in_hand == 0,
            checked: entry.checked(),
            doubted: entry.doubted,
            wish: entry.wish,
        })
    }

    /// A sample of what comes before `end` was made again, and is what was ordered.
    pub(super) fn checked(&self, job: JobId, end: SegmentNo) {
        if let Some(entry) = self.lock().get_mut(&job) {
            entry.checked_to = entry.checked_to.max(end);
        }
    }

    /// It is not.
    pub(super) fn doubt(&self, job: JobId) {
        if let Some(entry) = self.lock().get_mut(&job) {
            entry.doubted = true;
        }
    }

    /// Takes segment `seq` in hand when the job can take and pay for it. `expected` work is what the segment is likely
    /// to amount to.
    pub(super) fn take(&self, job: JobId, seq: SegmentNo, expected: Units) -> Result<InHand<'_>, Refusal> {
        let mut jobs = self.lock();
        let refuse =
            |retry, error: String| Err(Refusal { error: format!("segment {seq} of job {job}: {error}"), retry });
        let Some(entry) = jobs.get_mut(&job) else {
            return refuse(false, "this rig does not work on that job".into());
        };
        if entry.view.released {
            return refuse(false, "this rig has released the job".into());
        }
        if entry.doubted {
            return refuse(false, "this rig doubts its own work, and releases the job".into());
        }
        if entry.wish == Wish::Leave {
            return refuse(true, "this rig is about to release the job".into());
        }
        let next = entry.expected();
        if seq > next {
            return refuse(true, format!("segment {next} comes first"));
        }
        if seq == next && !entry.can_pay(expected) {
            return refuse(true, format!("the escrow of {} does not cover it; top the job up", entry.view.escrow));
        }
        entry.in_hand += 1;
        Ok(InHand { jobs: self, job: entry.view.clone(), lane: entry.lane.clone() })
    }

    /// A delivery made before.
    pub(super) fn remembered(&self, job: JobId, seq: SegmentNo) -> Option<Answer> {
        let jobs = self.lock();
        jobs.get(&job)?.answers.iter().find(|(head, _)| head.receipt.seq == seq).cloned()
    }

    /// Keeps a delivery for a while.
    pub(super) fn remember(&self, answer: Answer) {
        if let Some(entry) = self.lock().get_mut(&answer.0.receipt.job) {
            entry.answers.push_back(answer);
            if entry.answers.len() > REMEMBERED {
                entry.answers.pop_front();
            }
        }
    }

    /// A summary for status and metrics: view, receipts waiting, segments in hand.
    pub(crate) fn summary(&self) -> Vec<(JobView, usize, u32)> {
        self.lock().values().map(|entry| (entry.view.clone(), entry.unclaimed.len(), entry.in_hand)).collect()
    }
}

impl Entry {
    fn expected(&self) -> SegmentNo {
        self.unclaimed.back().map_or(self.view.next_seq, |kept| kept.leaf.seq.next())
    }

    /// How many of the unclaimed segments may be claimed.
    fn checked(&self) -> u32 {
        let first = self.unclaimed.front().map_or(self.checked_to, |kept| kept.leaf.seq);
        u32::try_from(self.checked_to.0.saturating_sub(first.0)).unwrap_or(u32::MAX)
    }

    fn can_pay(&self, more: Units) -> bool {
        let waiting = self.unclaimed.iter().map(|kept| kept.leaf.units.0).fold(more.0, u64::saturating_add);
        self.view.price.fee(Units(waiting)).is_some_and(|Wei(fee)| fee <= self.view.escrow.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use headframe_market::{B256, Price, Timestamp};

    const ME: Address = Address::repeat_byte(7);

    fn view(state: JobState, next_seq: u64) -> JobView {
        JobView {
            id: JobId(1),
            client: Address::ZERO,
            operator: ME,
            state,
            samples: 4,
            deadline: Timestamp(0),
            start_until: Timestamp(0),
            drain_until: Timestamp(0),
            price: Price::new(2).unwrap(),
            max_price: Price::new(2).unwrap(),
            escrow: Wei(1000),
            reserved: Wei(0),
            profile: B256::ZERO,
            seed_tip: B256::ZERO,
            next_seq: SegmentNo(next_seq),
            open_claims: 0,
            released: false,
        }
    }

    fn receipt(seq: u64) -> Evidence {
        let leaf = Leaf {
            job: JobId(1),
            seq: SegmentNo(seq),
            src_root: B256::ZERO,
            out_root: B256::ZERO,
            units: Units(100),
            out_bytes: 0,
        };
        Evidence { leaf, src_bytes: 0, duration_ms: 0, client_signature: Default::default() }
    }

    fn take(jobs: &Jobs, seq: u64) -> Result<(), Refusal> {
        jobs.take(JobId(1), SegmentNo(seq), Units(100)).map(drop)
    }

    #[test]
    fn segments_are_taken_in_order_and_only_while_the_escrow_pays() {
        let jobs = Jobs::default();
        assert!(!take(&jobs, 0).unwrap_err().retry);
        jobs.update(ME, &view(JobState::Active, 0));
        assert!(take(&jobs, 1).unwrap_err().retry);
        for seq in 0..5 {
            take(&jobs, seq).unwrap();
            jobs.add(receipt(seq)); // 200 wei each
        }
        let poor = take(&jobs, 5).unwrap_err();
        assert!(poor.retry && poor.error.contains("escrow"), "{poor}");
        take(&jobs, 4).unwrap(); // a repeat costs nothing more
        jobs.update(ME, &JobView { escrow: Wei(0), ..view(JobState::Active, 5) });
        jobs.update(ME, &view(JobState::Active, 5));
        take(&jobs, 5).unwrap();
    }

    #[test]
    fn claimed_work_is_dropped_and_the_clock_starts_anew() {
        let jobs = Jobs::default();
        jobs.update(ME, &view(JobState::Active, 0));
        (0..3).for_each(|seq| jobs.add(receipt(seq)));
        jobs.add(receipt(7)); // out of order: not counted
        assert_eq!(jobs.work(JobId(1), BlockNo(10)).unwrap().waiting_since, Some(BlockNo(10)));
        jobs.update(ME, &view(JobState::Active, 2));
        let work = jobs.work(JobId(1), BlockNo(20)).unwrap();
        assert_eq!((work.leaves.len(), work.waiting_since), (1, Some(BlockNo(20))));
        jobs.update(ME, &view(JobState::Closed, 3));
        assert!(jobs.work(JobId(1), BlockNo(21)).is_none());
    }

    #[test]
    fn a_claim_that_a_person_wants_is_wanted_once_and_a_job_that_is_left_takes_nothing_more() {
        let jobs = Jobs::default();
        assert!(!jobs.ask(JobId(1), Wish::Claim), "it is not ours");
        jobs.update(ME, &view(JobState::Active, 0));
        jobs.add(receipt(0));
        let wish = || jobs.work(JobId(1), BlockNo(1)).unwrap().wish;
        assert!(jobs.ask(JobId(1), Wish::Claim) && wish() == Wish::Claim);
        take(&jobs, 1).unwrap();
        jobs.update(ME, &view(JobState::Active, 1));
        assert_eq!(wish(), Wish::None);
        assert!(jobs.ask(JobId(1), Wish::Leave) && jobs.ask(JobId(1), Wish::Claim));
        assert_eq!(wish(), Wish::Leave);
        let refused = take(&jobs, 1).unwrap_err();
        assert!(refused.retry && refused.error.contains("about to release"), "{refused}");
    }

    #[test]
    fn a_job_is_idle_only_with_nothing_in_hand() {
        let jobs = Jobs::default();
        jobs.update(ME, &view(JobState::Active, 0));
        let held = jobs.take(JobId(1), SegmentNo(0), Units(1)).unwrap();
        assert!(!jobs.work(JobId(1), BlockNo(1)).unwrap().idle);
        drop(held);
        assert!(jobs.work(JobId(1), BlockNo(1)).unwrap().idle);
    }
}
