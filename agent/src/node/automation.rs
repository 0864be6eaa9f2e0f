//! The rig's money side, once per block: look at every job and claim of ours and do what is due.

use super::Node;
use crate::chain_view::ViewError;
use crate::wiring;
use headframe_chain::Head;
use headframe_market::machine::operator::Local;
use headframe_market::machine::{ClaimState, ClaimView, JobState, JobView, claim, operator};
use headframe_market::{Action, BlockNo, ClaimId, JobId, Price, Wei};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Without a new block the chain is looked at this often, which also shows the supervisor that this loop runs.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
/// At the start this many of the newest jobs are looked at beside our own.
const LOOK_BACK: u64 = 256;

/// What is followed from block to block. Rebuilt from the chain at every start.
pub(super) struct Automation {
    node: Arc<Node>,
    open_jobs: BTreeSet<JobId>,
    next_job: JobId,
    claims: BTreeMap<ClaimId, ClaimState>,
    claims_seen_to: BlockNo,
    bids: BTreeMap<JobId, Price>,
    passed: BTreeSet<JobId>,
}

impl Automation {
    /// Nothing followed yet; the first look finds everything.
    pub(super) fn new(node: Arc<Node>) -> Self {
        let since = node.chain.since;
        Self {
            node,
            open_jobs: BTreeSet::new(),
            next_job: JobId(0),
            claims: BTreeMap::new(),
            claims_seen_to: since,
            bids: BTreeMap::new(),
            passed: BTreeSet::new(),
        }
    }

    /// Runs until stopped. May be dropped at any await: every look starts from the chain.
    pub(super) async fn run(mut self, mut heads: watch::Receiver<Head>, stop: CancellationToken) {
        loop {
            let head = heads.borrow_and_update().clone();
            if let Err(error) = self.look(head.number).await {
                tracing::warn!(%error, "the chain cannot be read; work goes on, claims wait");
                self.node.set_chain_trouble(Some(error.to_string()));
            } else {
                self.node.set_chain_trouble(None);
            }
            wiring::notify_alive();
            let wake = self.node.wake.notified();
            tokio::select! {
                () = stop.cancelled() => return,
                () = wake => {}
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
                changed = heads.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn look(&mut self, head: BlockNo) -> Result<(), ViewError> {
        if head == BlockNo(0) {
            return Ok(());
        }
        self.find_jobs().await?;
        for id in self.open_jobs.clone() {
            let job = self.node.chain.job(id).await?;
            self.look_at_job(&job, head).await?;
        }
        self.find_claims(head).await?;
        for id in self.claims.keys().copied().collect::<Vec<_>>() {
            self.look_at_claim(id, head).await?;
        }
        self.collect(head).await?;
        self.node.note_claims(&self.claims);
        Ok(())
    }

    async fn find_jobs(&mut self) -> Result<(), ViewError> {
        let next = self.node.chain.next_job().await?;
        let from = if self.next_job == JobId(0) { next.0.saturating_sub(LOOK_BACK).max(1) } else { self.next_job.0 };
        self.open_jobs.extend((from..next.0).map(JobId));
        self.next_job = next;
        Ok(())
    }

    async fn look_at_job(&mut self, job: &JobView, head: BlockNo) -> Result<(), ViewError> {
        let node = self.node.clone();
        let ended = matches!(job.state, JobState::Closed | JobState::None);
        let lost = job.operator != node.me && matches!(job.state, JobState::Active | JobState::Draining);
        let ladder = node.ladder(&job.profile);
        let known_profile = ladder.is_some();
        node.jobs.update(node.me, job);
        if ended || lost || !known_profile {
            if job.state == JobState::Closed && job.operator == node.me {
                node.end_stream(job.id).await;
            }
            if !known_profile && !ended {
                tracing::info!(job = %job.id, profile = %job.profile, "passed: the job orders a ladder that is not offered here");
            }
            self.open_jobs.remove(&job.id);
            self.bids.remove(&job.id);
            self.passed.remove(&job.id);
            return Ok(());
        }
        if job.state == JobState::Open && !self.bids.contains_key(&job.id) {
            if let Some(Err(reason)) = ladder.map(|ladder| node.can_take_a_job(&ladder)) {
                if self.passed.insert(job.id) {
                    tracing::info!(job = %job.id, reason, "passed for now");
                }
                return Ok(());
            }
            let standing = node.chain.bids(job.id).await?;
            if let Some((_, price)) = standing.into_iter().find(|(operator, _)| *operator == node.me) {
                self.bids.insert(job.id, price);
            }
        }
        self.catch_up(job).await;
        let work = node.jobs.work(job.id, head);
        let local = Local {
            bid: self.bids.get(&job.id).copied(),
            unclaimed: work.as_ref().map_or(&[], |work| &work.leaves),
            waiting_since: work.as_ref().and_then(|work| work.waiting_since),
            idle: work.as_ref().is_none_or(|work| work.idle),
        };
        let rules = &node.config.node;
        match operator::next(node.me, job, &local, &rules.pricing, &rules.claims, head) {
            operator::Step::Send(action) => node.submit(action).await,
            operator::Step::Pass(reason) => {
                if self.passed.insert(job.id) {
                    tracing::info!(job = %job.id, %reason, "passed");
                }
            }
            operator::Step::Wait => {}
        }
        Ok(())
    }

    /// After a restart the guard knows receipts that this process does not.
    async fn catch_up(&self, job: &JobView) {
        let node = &self.node;
        while let Some(from) = node.jobs.expected(job.id) {
            let Ok(kept) = node.signer.receipts(job.id, from, 512).await else { return };
            let complete = kept.len() < 512;
            kept.into_iter().for_each(|evidence| node.jobs.add(evidence));
            if complete || node.jobs.expected(job.id) == Some(from) {
                return;
            }
        }
    }

    async fn find_claims(&mut self, head: BlockNo) -> Result<(), ViewError> {
        // A short overlap finds claims that a reorganisation moved to a block looked at before.
        let from = BlockNo(self.claims_seen_to.0.saturating_sub(64).max(self.node.chain.since.0));
        let found = self.node.chain.claims_since(self.node.me, from, head).await?;
        for (id, ..) in found {
            self.claims.entry(id).or_insert(ClaimState::None);
        }
        self.claims_seen_to = head;
        Ok(())
    }

    async fn look_at_claim(&mut self, id: ClaimId, head: BlockNo) -> Result<(), ViewError> {
        let known = self.claims.get(&id).copied();
        if matches!(known, Some(ClaimState::Settled | ClaimState::Slashed)) {
            return Ok(()); // kept so that the overlap of the next search does not find it anew
        }
        let view = self.node.chain.claim(id).await?;
        self.claims.insert(id, view.state);
        match claim::next(&view, head) {
            claim::Step::Send(action) => self.node.submit(action).await,
            claim::Step::Answer { deadline } => self.answer(&view, deadline, head).await?,
            claim::Step::Over(true) => self.node.earned(&view),
            claim::Step::Over(false) => {
                tracing::error!(claim = %id, job = %view.job, "the claim was slashed; this rig stops taking jobs");
                self.node.halt(&format!("claim {id} of job {} was slashed", view.job));
            }
            claim::Step::Wait => {}
        }
        Ok(())
    }

    async fn answer(&self, view: &ClaimView, deadline: BlockNo, head: BlockNo) -> Result<(), ViewError> {
        let node = &self.node;
        let samples = node.chain.job(view.job).await?.samples;
        let kept = match node.signer.receipts(view.job, view.first, view.count).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!(claim = %view.id, %deadline, %head, %error, "cannot answer: the signer does not give the receipts");
                return Ok(());
            }
        };
        match claim::answer(view, samples, &kept) {
            Ok(action) => node.submit(action).await,
            Err(error) => tracing::error!(claim = %view.id, %deadline, %head, %error, "cannot answer the draw"),
        }
        Ok(())
    }

    /// Takes earned fees out when they are worth it, or when nothing else is going on.
    async fn collect(&mut self, head: BlockNo) -> Result<(), ViewError> {
        let node = &self.node;
        let owed = node.chain.owed(node.me).await?;
        let busy = self.claims.values().any(|state| !matches!(state, ClaimState::Settled | ClaimState::Slashed))
            || !node.jobs.summary().is_empty();
        if owed > Wei(0) && (owed > node.config.node.withdraw_above || !busy) && !node.withdrawing().await {
            node.submit(Action::Withdraw { nth: head.0 }).await;
        }
        Ok(())
    }
}
