//! One job of a stream on chain, from its opening to the money back.

use super::spool::{JobRecord, Spool};
use super::{Market, quotes};
use crate::chain_view::ViewError;
use crate::sender::Progress;
use headframe_chain::Head;
use headframe_market::machine::client::{Local, Step, cheapest, next};
use headframe_market::machine::{JobState, JobView, Now};
use headframe_market::{Action, Address, B256, BlockNo, JobId, JobOrder, Price, SegmentNo, Timestamp, Units, Wei};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// No segments are ordered under one job for longer, in seconds of the market's clock; then another one is ordered.
const JOB_LASTS: u64 = 7 * 24 * 3600;

/// How far a job is, for the stream that waits for it and for people who look.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct JobStatus {
    /// Its id, once it is on chain.
    pub(super) id: Option<JobId>,
    /// The chain's newest view.
    pub(super) view: Option<JobView>,
    /// Bids that were made for it.
    pub(super) bids: Vec<(Address, Price)>,
    /// Where the operator takes segments, once the job is active.
    pub(super) service_uri: Option<String>,
    /// It is closed and paid back.
    pub(super) over: bool,
    /// Why it does not get on, when it does not.
    pub(super) trouble: Option<String>,
}

/// A running job.
pub(super) struct Job {
    /// [`JobRecord::nonce`].
    pub(super) nonce: u64,
    pub(super) status: watch::Receiver<JobStatus>,
    delivered: Mutex<BTreeMap<SegmentNo, Units>>,
    wake: Notify,
}

impl Job {
    /// Starts the task that drives the job. It ends when the job is over or `stop` is cancelled.
    pub(super) fn start(
        market: Arc<Market>,
        spool: Arc<Spool>,
        record: JobRecord,
        tasks: &tokio_util::task::TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (send, status) = watch::channel(JobStatus { id: record.id, ..JobStatus::default() });
        let job = Arc::new(Self { nonce: record.nonce, status, delivered: Mutex::default(), wake: Notify::new() });
        let driver = Driver { market, spool, job: job.clone(), status: send, announced: false };
        tasks.spawn(driver.run(stop));
        job
    }

    /// A receipt came: its fee is owed although it is not claimed yet.
    pub(super) fn delivered(&self, seq: SegmentNo, units: Units) {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).insert(seq, units);
    }

    /// Looks again at once.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The fees of receipts that the chain has not seen claimed.
    fn unclaimed(&self, view: &JobView) -> Wei {
        let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        *delivered = delivered.split_off(&view.next_seq);
        let units = delivered.values().fold(0u64, |sum, units| sum.saturating_add(units.0));
        view.price.fee(Units(units)).unwrap_or(Wei(u128::MAX))
    }
}

struct Driver {
    market: Arc<Market>,
    spool: Arc<Spool>,
    job: Arc<Job>,
    status: watch::Sender<JobStatus>,
    announced: bool,
}

impl Driver {
    async fn run(mut self, stop: CancellationToken) {
        let mut heads = self.market.heads.clone();
        loop {
            let head = heads.borrow_and_update().clone();
            let looked = self.look(&head).await;
            let trouble = looked.err().map(|error| error.to_string());
            if let Some(trouble) = &trouble {
                tracing::warn!(trouble, "the job waits for the chain");
            }
            self.status.send_modify(|status| status.trouble = trouble);
            if self.status.borrow().over {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.job.wake.notified() => {}
                changed = heads.changed() => if changed.is_err() { return },
            }
        }
    }

    fn record(&self) -> Option<JobRecord> {
        self.spool.broadcast().jobs.into_iter().find(|record| record.nonce == self.job.nonce)
    }

    async fn look(&mut self, head: &Head) -> Result<(), JobTrouble> {
        let Some(record) = self.record() else {
            self.status.send_modify(|status| status.over = true);
            return Ok(());
        };
        let now = self.market.chain.now(head.number, Timestamp(head.timestamp)).await?;
        let Some(id) = record.id else { return self.open(&record, &now).await };
        let view = self.market.chain.job(id).await?;
        self.announce(&view).await;
        self.find_operator(&view).await?;
        self.status.send_modify(|status| status.view = Some(view.clone()));
        let local = Local { unclaimed: self.job.unclaimed(&view), top_ups: record.top_ups, finished: record.finished };
        match next(&view, &local, &self.market.escrow, &now) {
            Step::Send(action) => self.send(action, &record).await,
            Step::Wait => Ok(()),
            Step::Over => {
                if !self.refunded(id).await? {
                    return Ok(());
                }
                let nonce = self.job.nonce;
                self.spool.change(|broadcast| broadcast.jobs.retain(|job| job.nonce != nonce))?;
                self.status.send_modify(|status| status.over = true);
                tracing::info!(job = %id, "job closed, unused escrow taken back");
                Ok(())
            }
        }
    }

    /// Asks for bids, opens the job with the cheapest and learns its id.
    async fn open(&mut self, record: &JobRecord, now: &Now) -> Result<(), JobTrouble> {
        let asked = self.market.sender.state(&format!("open_job:{}", record.nonce)).await?;
        if record.finished && asked.is_none() {
            return Ok(self.give_up(record)?);
        }
        let progress = match asked {
            Some(progress) => progress,
            None => {
                let Some(action) = self.ordered(record, now).await? else { return Ok(()) };
                self.market.sender.submit(action).await?
            }
        };
        match progress {
            Progress::Mined { hash, block } => self.opened(record, hash, block).await,
            Progress::Failed { reason } => {
                // The bid has expired, or the operator has too little free stake: another order gets other bids.
                self.give_up(record)?;
                Err(JobTrouble::Refused { kind: "open_job", reason })
            }
            Progress::Pending => Ok(()),
        }
    }

    /// Another job may be ordered.
    fn give_up(&self, record: &JobRecord) -> std::io::Result<()> {
        self.spool.change(|broadcast| broadcast.jobs.retain(|job| job.nonce != record.nonce))?;
        self.status.send_modify(|status| status.over = true);
        Ok(())
    }

    /// The order with the cheapest bid; `None` before the profile is known on chain.
    async fn ordered(&self, record: &JobRecord, now: &Now) -> Result<Option<Action>, JobTrouble> {
        let market = &self.market;
        let profile = market.profile.id();
        if !market.chain.knows_profile(profile).await? {
            self.send(Action::AddProfile { profile: market.profile.clone() }, record).await?;
            return Ok(None);
        }
        let order = JobOrder {
            client: market.me,
            profile,
            max_price: market.max_price,
            deadline: now.market.after(JOB_LASTS),
            samples: market.samples,
            seed_tip: B256::ZERO,
            salt: record.nonce,
        };
        let bids = quotes::ask(market, &order, &record.avoid).await?;
        let told = bids.iter().map(|(bid, _)| (bid.operator, bid.price)).collect();
        self.status.send_modify(|status| status.bids = told);
        let Some((bid, signature)) = cheapest(&bids, order.max_price, &record.avoid, now.time) else {
            return Err(JobTrouble::NoBid);
        };
        tracing::info!(bids = bids.len(), operator = %bid.operator, price = %bid.price, "the cheapest bid is taken");
        let (order, bid, signature) = (Box::new(order), Box::new(bid.clone()), *signature);
        Ok(Some(Action::OpenWithBid { order, bid, signature, escrow: market.escrow.deposit }))
    }

    async fn opened(&self, record: &JobRecord, hash: B256, block: BlockNo) -> Result<(), JobTrouble> {
        let opened = self.market.chain.jobs_opened(self.market.me, block, block).await?;
        let Some((id, _)) = opened.into_iter().find(|(_, transaction)| *transaction == hash) else {
            return Err(JobTrouble::NotFound(hash)); // a reorganisation moved it; the next look finds it
        };
        tracing::info!(job = %id, %hash, "job opened");
        self.spool.change(|broadcast| {
            let records = broadcast.jobs.iter_mut();
            records.filter(|job| job.nonce == record.nonce).for_each(|job| job.id = Some(id));
        })?;
        self.status.send_modify(|status| status.id = Some(id));
        self.job.wake();
        Ok(())
    }

    async fn send(&self, action: Action, record: &JobRecord) -> Result<(), JobTrouble> {
        let (kind, top_up) = (action.kind(), matches!(action, Action::TopUp { .. }));
        match self.market.sender.submit(action).await? {
            Progress::Failed { reason } => return Err(JobTrouble::Refused { kind, reason }),
            Progress::Mined { .. } if top_up => {
                let nonce = record.nonce;
                self.spool.change(|broadcast| {
                    let records = broadcast.jobs.iter_mut();
                    records.filter(|job| job.nonce == nonce).for_each(|job| job.top_ups += 1);
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the credited refund out of the market. `true` when there is nothing left to do.
    async fn refunded(&self, id: JobId) -> Result<bool, JobTrouble> {
        if self.market.chain.owed(self.market.me).await? == Wei(0) {
            return Ok(true);
        }
        let state = self.market.sender.submit(Action::Withdraw { nth: id.0 }).await?;
        Ok(!matches!(state, Progress::Pending)) // a failure means that another withdrawal took it along
    }

    async fn announce(&mut self, view: &JobView) {
        if view.state == JobState::Assigned && !self.announced {
            self.announced = self.market.announce(view).await;
        }
    }

    async fn find_operator(&self, view: &JobView) -> Result<(), JobTrouble> {
        if view.state == JobState::Active && self.status.borrow().service_uri.is_none() {
            let uri = self.market.chain.operator(view.operator).await?.service_uri;
            tracing::info!(job = %view.id, operator = %view.operator, uri, price = %view.price, "job taken");
            self.status.send_modify(|status| status.service_uri = Some(uri));
        }
        Ok(())
    }
}

/// Why a job does not get on.
#[derive(Debug, thiserror::Error)]
enum JobTrouble {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error("the transaction cannot be queued: {0}")]
    Outbox(#[from] headframe_chain::OutboxError),
    #[error("{kind} failed: {reason}")]
    Refused { kind: &'static str, reason: String },
    #[error(
        "no active operator offers to do the job at this price; see gateway.max_price, and `headframe status` of the rigs"
    )]
    NoBid,
    #[error("the job opened by {0} is not in its block")]
    NotFound(B256),
    #[error("the stream's state cannot be kept: {0}")]
    Disk(#[from] std::io::Error),
}
