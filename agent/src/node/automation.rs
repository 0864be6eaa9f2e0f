//! The rig's money side, once per block: look at every job and claim of ours and do what is due.

use super::Node;
use super::own_work::CheckError;
use crate::chain_view::ViewError;
use crate::wiring;
use anyhow::Context;
use futures::{StreamExt as _, stream};
use headframe_chain::provider::views::Agreed;
use headframe_chain::{Deadline, Head};
use headframe_codec::ladder::Ladder;
use headframe_market::action::{Opening, Secret};
use headframe_market::machine::operator::{Local, Wish};
use headframe_market::machine::{ClaimState, ClaimView, JobState, JobView, Now, claim, operator};
use headframe_market::merkle::Leaf;
use headframe_market::pricing::GasPrice;
use headframe_market::proof::{self, answer::no_answer, answer::statement};
use headframe_market::{Action, Address, B256, BlockNo, ClaimId, JobId, Receipt, Timestamp, Wei};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Without a new block the chain is looked at this often, which also shows the supervisor that this loop runs.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
/// Blocks that are searched again, to find what a reorganisation moved to a block looked at before.
const OVERLAP: u64 = 64;

/// Questions of one kind that are asked at the same time.
const AT_ONCE: usize = 16;
/// Seconds of the chain's clock between two looks at what does not change from block to block.
const UPKEEP: u64 = 600;
/// An epoch of the active set and of rewards, in seconds since 1970.
const EPOCH: u64 = 86_400;

/// What is followed from block to block. Rebuilt from the chain at every start.
pub(super) struct Automation {
    node: Arc<Node>,
    /// Jobs that were given to this rig, and whether they are over.
    jobs: BTreeMap<JobId, bool>,
    claims: BTreeMap<ClaimId, ClaimState>,
    /// Jobs that were closed, and claims that were over, in the block that was the newest then. Until that is final a
    /// reorganisation may undo it, and what is kept of them may be needed once more.
    closed: BTreeMap<JobId, BlockNo>,
    over: BTreeMap<ClaimId, BlockNo>,
    seen_to: BlockNo,
    /// Claims whose answer is being worked out.
    answering: Arc<Mutex<BTreeSet<ClaimId>>>,
    /// Jobs of which a sample is made again.
    checking: Arc<Mutex<BTreeSet<JobId>>>,
    /// Claims whose segments that were not drawn are forgotten.
    thinned: BTreeSet<ClaimId>,
    /// The price of gas, for what can wait.
    base_fee: GasPrice,
    /// Who is owed the fees.
    owner: Address,
    /// When upkeep is due, by the chain's clock.
    upkeep_from: u64,
}

impl Automation {
    /// Nothing followed yet; the first look finds everything.
    pub(super) fn new(node: Arc<Node>) -> Self {
        let (since, owner) = (node.chain.since, node.me);
        Self {
            node,
            jobs: BTreeMap::new(),
            claims: BTreeMap::new(),
            closed: BTreeMap::new(),
            over: BTreeMap::new(),
            seen_to: since,
            answering: Arc::default(),
            checking: Arc::default(),
            thinned: BTreeSet::new(),
            base_fee: GasPrice::default(),
            owner,
            upkeep_from: 0,
        }
    }

    /// Runs until stopped. May be dropped at any await: every look starts from the chain.
    pub(super) async fn run(mut self, mut heads: watch::Receiver<Head>, stop: CancellationToken) {
        loop {
            let head = heads.borrow_and_update().clone();
            if let Err(error) = self.look(&head).await {
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

    async fn look(&mut self, head: &Head) -> Result<(), ViewError> {
        if head.number == BlockNo(0) {
            return Ok(());
        }
        self.base_fee.see(Wei(head.base_fee), Timestamp(head.timestamp));
        self.node.look_at_gas(head).await;
        self.find(head.number).await?;
        // What cannot be read of a job keeps no proof waiting.
        let mut done = self.look_at_jobs(head).await;
        let mut unsealed = BTreeSet::new();
        // Those that are over for good stay in the list alone, so that the overlap of the next search does not find them anew.
        let open = |(id, state): &(&ClaimId, &ClaimState)| !state.is_over() || self.over.contains_key(*id);
        let claims: Vec<_> = self.claims.iter().filter(open).map(|(id, _)| *id).collect();
        for (id, said) in claims.iter().zip(at_once(&claims, |id| self.node.chain.claim_said(id)).await) {
            done = done.and(self.look_at_claim(*id, said, head, &mut unsealed).await);
        }
        done?;
        self.upkeep(head).await?;
        self.collect(head.number).await?;
        self.node.note_claims(&self.claims);
        Ok(())
    }

    /// Our jobs and claims in the blocks since the last look.
    async fn find(&mut self, head: BlockNo) -> Result<(), ViewError> {
        let (chain, me) = (&self.node.chain, self.node.me);
        let from = BlockNo(self.seen_to.0.saturating_sub(OVERLAP).max(chain.since.0));
        let (jobs, claims) = tokio::join!(chain.jobs_assigned(me, from, head), chain.claims_since(me, from, head));
        for id in jobs? {
            self.jobs.entry(id).or_insert(false);
        }
        for id in claims? {
            self.claims.entry(id).or_insert(ClaimState::None);
        }
        self.seen_to = head;
        Ok(())
    }

    async fn look_at_jobs(&mut self, head: &Head) -> Result<(), ViewError> {
        let now = self.node.chain.now(head.number, Timestamp(head.timestamp)).await?;
        let open: Vec<_> = self.jobs.iter().filter(|(_, over)| !**over).map(|(id, _)| *id).collect();
        for job in at_once(&open, |id| self.node.chain.job(id)).await {
            self.look_at_job(&job?, head, &now).await;
        }
        Ok(())
    }

    async fn look_at_job(&mut self, job: &JobView, head: &Head, now: &Now) {
        let node = self.node.clone();
        node.jobs.update(node.me, job);
        if job.state == JobState::Closed {
            if !self.closed.contains_key(&job.id) && job.operator == node.me {
                node.end_stream(job.id).await;
            }
            if head.finalized < *self.closed.entry(job.id).or_insert(head.number) {
                return;
            }
            if job.operator == node.me {
                let (store, id) = (node.evidence.clone(), job.id);
                if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.forget(id)).await {
                    tracing::warn!(job = %id, %error, "evidence of a closed job cannot be removed");
                }
            }
            self.jobs.insert(job.id, true);
            self.closed.remove(&job.id);
            return;
        }
        self.closed.remove(&job.id);
        self.catch_up(job).await;
        let work = node.jobs.work(job.id, now.head);
        if work.as_ref().is_some_and(|work| work.doubted) {
            if !job.released {
                node.submit(Action::ReleaseJob { job: job.id }).await;
            }
            return;
        }
        let local = Local {
            unclaimed: work.as_ref().map_or(&[], |work| &work.leaves),
            waiting_since: work.as_ref().and_then(|work| work.waiting_since),
            idle: work.as_ref().is_none_or(|work| work.idle),
            checked: work.as_ref().map_or(0, |work| work.checked),
            gas_is_dear: self.base_fee.is_dear(),
            wish: work.as_ref().map_or(Wish::None, |work| work.wish),
        };
        match operator::next(node.me, job, &local, &node.config.node.claims, now) {
            operator::Step::Send(action) => node.submit(action).await,
            operator::Step::Check(count) => {
                self.check(job, &local.unclaimed[..local.unclaimed.len().min(count as usize)])
            }
            operator::Step::Wait => {}
        }
    }

    /// Makes a sample of `leaves` again, beside everything else, before they are claimed.
    fn check(&self, job: &JobView, leaves: &[Leaf]) {
        let Some(last) = leaves.last() else { return };
        if !in_work(&self.checking).insert(job.id) {
            return;
        }
        let (node, checking, end) = (self.node.clone(), self.checking.clone(), last.seq.next());
        let (job, leaves) = (job.clone(), leaves.to_vec());
        tokio::spawn(async move {
            match node.check_own_work(&job, &leaves).await {
                Ok(()) => {
                    node.jobs.checked(job.id, end);
                    node.wake.notify_one();
                }
                Err(CheckError::Doubt(reason)) => node.doubt(&job, &reason),
                Err(CheckError::Again(reason)) => {
                    tracing::warn!(job = %job.id, reason, "work cannot be checked before it is claimed; trying again");
                }
            }
            in_work(&checking).remove(&job.id);
        });
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

    /// Claims of one job are sealed in order: `unsealed` has the jobs of which an earlier one is not.
    async fn look_at_claim(
        &mut self,
        id: ClaimId,
        said: Result<Agreed<Vec<ClaimView>>, ViewError>,
        head: &Head,
        unsealed: &mut BTreeSet<JobId>,
    ) -> Result<(), ViewError> {
        let said = said?;
        let Some(view) = said.value.first().filter(|_| said.quorum).cloned() else {
            return self.only_proofs(&said.value, head).await;
        };
        let now = at(head.number, head.timestamp);
        self.claims.insert(id, view.state);
        let first = view.state != ClaimState::Submitted || unsealed.insert(view.job);
        match claim::next(&view, &now) {
            claim::Step::Send(action) => self.node.submit(action).await,
            claim::Step::Seal(block) if first => self.seal(&view, block).await?,
            claim::Step::Seal(_) => {}
            claim::Step::Wait => self.thin(&view, &now).await,
            claim::Step::Answer { until } => self.answer(&view, until).await,
            claim::Step::Reveal { until } => self.reveal(&view, until).await,
            claim::Step::Over(won) => {
                self.over(&view, won, head).await;
                return Ok(());
            }
        }
        self.over.remove(&id);
        Ok(())
    }

    /// Gives a claim up once it is over for good.
    async fn over(&mut self, view: &ClaimView, won: bool, head: &Head) {
        let (id, job) = (view.id, view.job);
        if won {
            self.node.earned(view);
        } else if !self.over.contains_key(&id) {
            tracing::error!(claim = %id, %job, state = ?view.state, "a claim is lost; when that is final, this rig halts");
        }
        if head.finalized < *self.over.entry(id).or_insert(head.number) {
            return;
        }
        match won {
            true => self.forget(view).await,
            false => self.lost(view).await,
        }
        self.over.remove(&id);
    }

    /// Below a quorum nothing is taken as over, and nothing is forgotten; but a proof that anybody shows as due goes out: by
    /// the newest block that anybody has, because the others may be behind.
    async fn only_proofs(&self, views: &[ClaimView], head: &Head) -> Result<(), ViewError> {
        let now = at(head.highest.0, head.highest.1);
        for view in views {
            match claim::next(view, &now) {
                claim::Step::Seal(block) => self.seal(view, block).await?,
                claim::Step::Answer { until } => self.answer(view, until).await,
                claim::Step::Reveal { until } => self.reveal(view, until).await,
                _ => {}
            }
        }
        Ok(())
    }

    async fn seal(&self, view: &ClaimView, block: BlockNo) -> Result<(), ViewError> {
        if let Some(header) = self.node.chain.rpc().header_rlp(block).await? {
            let seal = Action::Seal { claim: view.id, header, preimage: B256::ZERO };
            self.node.submit_by(seal, Deadline::time(view.answer_until)).await;
        }
        Ok(())
    }

    /// Works out what to say of the drawn segments, beside everything else: it takes the workers as long as transcoding.
    async fn answer(&self, view: &ClaimView, until: Timestamp) {
        let node = self.node.clone();
        match node.evidence.answer(view) {
            Ok(Some(answer)) => return node.submit_by(answer, Deadline::time(until)).await,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(claim = %view.id, %until, %error, "the kept answer cannot be read");
                return;
            }
        }
        if !in_work(&self.answering).insert(view.id) {
            return;
        }
        let (answering, view) = (self.answering.clone(), view.clone());
        tokio::spawn(async move {
            match work_out(&node, &view).await {
                Ok(answer) => node.submit_by(answer, Deadline::time(until)).await,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(claim = %view.id, %until, error, "cannot answer the draw; trying again");
                }
            }
            in_work(&answering).remove(&view.id);
        });
    }

    async fn reveal(&self, view: &ClaimView, until: Timestamp) {
        let answer = self.node.evidence.answer(view);
        match answer.map(|answer| answer.as_ref().and_then(claim::reveal)) {
            Ok(Some(reveal)) => self.node.submit_by(reveal, Deadline::time(until)).await,
            Ok(None) => tracing::error!(claim = %view.id, %until, "cannot reveal: the answer is not kept here"),
            Err(error) => tracing::error!(claim = %view.id, %until, %error, "cannot reveal: the answer cannot be read"),
        }
    }

    /// Forgets the segments of an answered claim that were not drawn, once no reorganisation can draw others (rule G4).
    async fn thin(&mut self, view: &ClaimView, now: &Now) {
        if view.state != ClaimState::Answered
            || now.head < view.seed_block.after(OVERLAP)
            || self.thinned.contains(&view.id)
        {
            return;
        }
        let (store, view) = (self.node.evidence.clone(), view.clone());
        let id = view.id;
        let thinned = tokio::task::spawn_blocking(move || {
            let Some(Action::Answer { openings, .. }) = store.answer(&view)? else { return Ok(()) };
            let drawn = openings.iter().map(|opening| opening.receipt.seq.0).collect();
            store.keep_only(view.job, view.first.0, view.first.0 + u64::from(view.count), &drawn)
        });
        if let Ok(Err(error)) = thinned.await {
            tracing::warn!(claim = %id, %error, "evidence of segments that were not drawn cannot be removed");
        }
        self.thinned.insert(id);
    }

    /// A claim cost its collateral: a person looks at it, once.
    async fn lost(&self, view: &ClaimView) {
        let (store, kept) = (self.node.evidence.clone(), view.clone());
        let (id, job) = (view.id, view.job);
        let how = if view.state == ClaimState::Missed { "missed its deadline" } else { "was slashed" };
        match tokio::task::spawn_blocking(move || store.set_aside(&kept)).await.unwrap_or_else(|error| Err(error.into())) {
            Ok(None) => tracing::warn!(claim = %id, %job, "the claim {how}, and this rig was started again since"),
            Ok(Some(place)) => self.node.halt(&format!(
                "claim {id} of job {job} {how}, and its collateral is gone; what is kept of it is in {}. Find out why from that and \
                 this log, then start again: the rig halts once for each such claim",
                place.display()
            )),
            Err(error) => self.node.halt(&format!("claim {id} of job {job} {how}, and it cannot be set aside: {error}")),
        }
    }

    /// Removes what was kept for a claim that is over.
    async fn forget(&self, view: &ClaimView) {
        let (store, view) = (self.node.evidence.clone(), view.clone());
        let forgotten = tokio::task::spawn_blocking(move || {
            store.forget_answers(view.id)?;
            store.keep_only(view.job, view.first.0, view.first.0 + u64::from(view.count), &BTreeSet::new())
        });
        if let Ok(Err(error)) = forgotten.await {
            tracing::warn!(%error, "evidence of a claim that is over cannot be removed");
        }
    }

    /// Where the operator stands, a slot of the active set as soon as one is free, and the day's new tokens.
    async fn upkeep(&mut self, head: &Head) -> Result<(), ViewError> {
        if head.timestamp < self.upkeep_from {
            return Ok(());
        }
        let node = &self.node;
        let operator = node.chain.operator(node.me).await?;
        node.note_standing(&operator);
        self.owner = operator.owner;
        let activate = Action::Activate { operator: node.me, nth: head.number.0 };
        // It left its slot, was jailed, or bonded when all were taken.
        if operator.standby && !node.sender.pending(activate.kind()).await && node.would_happen(&activate).await? {
            node.submit(activate).await;
        }
        if node.config.node.rewards
            && let Some(epoch) = node.chain.reward_due(node.me).await?
        {
            let (reward, last) =
                (Action::Reward { operator: node.me, epoch }, head.timestamp / EPOCH * EPOCH + EPOCH - 1);
            if node.would_happen(&reward).await? {
                node.submit_by(reward, Deadline::time(Timestamp(last))).await;
            }
        }
        self.upkeep_from = head.timestamp + UPKEEP;
        Ok(())
    }

    /// Pays earned fees out to the owner when they are worth it, or when nothing else is going on.
    async fn collect(&mut self, head: BlockNo) -> Result<(), ViewError> {
        let node = &self.node;
        if node.withdrawing().await {
            return Ok(());
        }
        let (earned, owed) = (node.chain.earned(node.me).await?, node.chain.fees(self.owner).await?);
        let busy = self.claims.values().any(|state| !state.is_over()) || !node.jobs.summary().is_empty();
        let due = |amount: Wei| amount > Wei(0) && (amount > node.config.node.withdraw_above || !busy);
        if due(earned) {
            node.submit(Action::RouteFees { operator: node.me, nth: head.0 }).await;
        } else if due(owed) {
            let withdraw = Action::WithdrawFees { nth: head.0, account: Some(self.owner) };
            // An owner that is a contract may not take coins.
            if node.would_happen(&withdraw).await? {
                node.submit(withdraw).await;
            }
        }
        Ok(())
    }
}

/// What claims are held against: not the market's clock, which is for jobs.
fn at(head: BlockNo, time: u64) -> Now {
    Now { head, time: Timestamp(time), market: Timestamp(0) }
}

/// Asked one after the other, a slow provider would hold up what is due.
async fn at_once<I: Copy, F: Future>(ids: &[I], ask: impl Fn(I) -> F) -> Vec<F::Output> {
    let asked: Vec<F> = ids.iter().copied().map(ask).collect();
    stream::iter(asked).buffered(AT_ONCE).collect().await
}

fn in_work<T>(ids: &Mutex<BTreeSet<T>>) -> std::sync::MutexGuard<'_, BTreeSet<T>> {
    ids.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer to a sealed claim, kept on disk. What is said of a segment is computed from its bytes by the workers.
async fn work_out(node: &Node, view: &ClaimView) -> anyhow::Result<Action> {
    // Whoever shows the job as one of ours is right: another ladder gives another answer, which the kept bytes would not bear out.
    let shown = node.chain.job_said(view.job).await?.value;
    let ladder = shown.iter().find_map(|job| node.ladder(&job.profile));
    let ladder = ladder.context("this rig has no ladder for the job's profile any more")?;
    let kept = node.signer.receipts(view.job, view.first, view.count).await?;
    let openings = claim::openings(view, &kept)?;
    let mut digests = BTreeMap::new();
    let mut secrets = Vec::with_capacity(openings.len());
    for opening in &openings {
        let seq = opening.receipt.seq;
        let digest = match digests.get(&seq) {
            Some(digest) => *digest,
            None => digest(node, &ladder, opening).await?,
        };
        digests.insert(seq, digest);
        secrets.push(Secret { digest, salt: B256::from(wiring::random()?) });
    }
    let answer = claim::answer(view, openings, secrets);
    let (store, id, seed, kept) = (node.evidence.clone(), view.id, view.seed, answer.clone());
    tokio::task::spawn_blocking(move || store.keep_answer(id, seed, &kept)).await??;
    Ok(answer)
}

async fn digest(node: &Node, ladder: &Arc<Ladder>, opening: &Opening) -> anyhow::Result<B256> {
    let Receipt { job, seq, .. } = opening.receipt;
    match node.made_again(ladder, opening.receipt.leaf()).await? {
        Ok(answer) => return Ok(statement(&proof::Answer::from(&answer))),
        Err(reason) if reason.is_of_the_order() => {
            tracing::warn!(%job, %seq, %reason, "no answer can be made of a drawn segment");
        }
        // It is signed for and no attempt will find it otherwise, and silence is slashed for certain.
        Err(reason) => tracing::error!(
            %job, %seq, %reason,
            "a drawn segment is not what was ordered, so no answer can be made of it; please report this"
        ),
    }
    Ok(no_answer())
}
