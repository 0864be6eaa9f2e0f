//! One stream: takes accepted segments from its spool in order, has them transcoded here or by the job's operator, checks
//! what comes back and lists it for players.

use super::Market;
use super::job::Job;
use super::spool::{JobRecord, Spool, Waiting};
use crate::delivery::{self, DELIVERY_TYPE, MAX_DELIVERY, ORDER_HEADER, Refusal, SegmentOrder};
use crate::listing::{self, Listing};
use crate::metrics::Metrics;
use crate::transcode::{Failure, Transcoder};
use crate::wiring;
use bytes::Bytes;
use headframe_codec::ladder::Ladder;
use headframe_market::content::content_root;
use headframe_market::machine::JobState;
use headframe_market::{Address, JobId, Segment, SegmentNo};
use headframe_media::StreamId;
use headframe_media::origin::Origin;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tries on this machine's own workers before a segment is given up.
const LOCAL_TRIES: u32 = 5;
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Who transcodes.
#[derive(Clone)]
pub(super) enum Transcoding {
    Local(Transcoder),
    Market(Arc<Market>),
}

/// One stream and what its task shares with the rest of the gateway.
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) spool: Arc<Spool>,
    pub(super) transcoding: Transcoding,
    pub(super) ladder: Arc<Ladder>,
    pub(super) origin: Arc<Origin>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) grace: Duration,
    pub(super) give_up: Duration,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    /// `None` while somebody publishes, else since when nobody does.
    pub(super) silent_since: watch::Sender<Option<Instant>>,
    pub(super) told: Mutex<Told>,
}

/// What status tells about a stream.
#[derive(Clone, Default)]
pub(super) struct Told {
    delivered: u64,
    failed: u64,
    frames: u64,
    ticks: i64,
    pixels: u64,
    source_bytes: u64,
    output_bytes: u64,
    last_latency: Option<Duration>,
    /// Playing time over the time from the first try to the listing.
    last_ratio: Option<f64>,
    trouble: Option<String>,
    job: Option<Arc<Job>>,
    finished: bool,
}

/// A delivery that did not work out.
enum Setback {
    /// Try again; after [`Stream::give_up`] with another operator.
    Again(String),
    /// The gateway is stopping; the spool keeps the segment.
    Stopping,
}

impl Stream {
    /// Runs until the broadcast is over and everything is delivered and paid, or until stopped.
    pub(super) async fn run(self: Arc<Self>) {
        let mut jobs = self.resume_jobs();
        let mut silent = self.silent_since.subscribe();
        let mut ending = false;
        loop {
            let changed = self.spool.changed();
            if let Some(waiting) = self.spool.front() {
                ending = false;
                if !self.deliver(waiting, &mut jobs).await {
                    return;
                }
                continue;
            }
            let since = *silent.borrow_and_update();
            let grace_over = async {
                match since {
                    Some(since) if !ending => tokio::time::sleep_until((since + self.grace).into()).await,
                    _ => std::future::pending().await,
                }
            };
            let paid = async {
                if !ending {
                    std::future::pending::<()>().await;
                }
                for job in &jobs {
                    let _ = job.status.clone().wait_for(|status| status.over).await;
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = changed => {}
                _ = silent.changed() => ending = false,
                () = grace_over => {
                    self.end(&jobs).await;
                    ending = true;
                }
                () = paid => {
                    self.told().finished = true;
                    if self.spool.front().is_none() {
                        return;
                    }
                    self.told().finished = false;
                }
            }
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Jobs that an earlier process left open go on; the last one takes segments if it was not finished.
    fn resume_jobs(&self) -> Vec<Arc<Job>> {
        let Transcoding::Market(market) = &self.transcoding else { return Vec::new() };
        let start = |record| Job::start(market.clone(), self.spool.clone(), record, &self.tasks, self.stop.clone());
        let jobs: Vec<_> = self.spool.broadcast().jobs.into_iter().map(start).collect();
        self.told().job = jobs.last().cloned();
        jobs
    }

    /// Brings one segment through, however many tries it takes. `false` when the gateway stops before that.
    async fn deliver(&self, waiting: Waiting, jobs: &mut Vec<Arc<Job>>) -> bool {
        let began = Instant::now();
        let (mut failing_since, mut pause, mut tries) = (None::<Instant>, RETRY, 0);
        loop {
            let attempt = match &self.transcoding {
                Transcoding::Local(codec) => self.transcode_here(codec, &waiting, tries).await,
                Transcoding::Market(market) => self.transcode_there(market, &waiting, jobs).await,
            };
            match attempt {
                Ok(()) => break,
                Err(Setback::Stopping) => return false,
                Err(Setback::Again(reason)) => {
                    tries += 1;
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    tracing::warn!(stream = %self.id, number = waiting.meta.number, tries, reason, "segment not delivered yet");
                    self.told().trouble = Some(reason);
                    if since.elapsed() > self.give_up && self.abandon(jobs) {
                        failing_since = None;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.stop.cancelled() => return false,
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
        if let Err(error) = self.spool.done(waiting.meta.number) {
            tracing::error!(stream = %self.id, number = waiting.meta.number, %error, "cannot clear a delivered segment from the spool");
        }
        let latency = waiting.received.map(|received| received.elapsed());
        if let Some(latency) = latency {
            self.metrics.publish_latency.observe(latency.as_secs_f64());
        }
        let mut told = self.told();
        told.trouble = None;
        told.last_latency = latency.or(told.last_latency);
        told.last_ratio = Some(waiting.meta.duration as f64 / 90_000.0 / began.elapsed().as_secs_f64().max(1e-3));
        true
    }

    async fn transcode_here(&self, codec: &Transcoder, waiting: &Waiting, tries: u32) -> Result<(), Setback> {
        let (stream, number) = (self.id.to_string(), waiting.meta.number);
        let done = codec.transcode(self.ladder.clone(), stream, number, waiting.source.clone()).await;
        let out = match done {
            Ok(out) => out,
            Err(Failure::Machine(reason)) if tries < LOCAL_TRIES => return Err(Setback::Again(reason)),
            Err(Failure::Machine(reason) | Failure::Input(reason)) => {
                self.skip(waiting, &reason).await;
                return Ok(());
            }
        };
        let heads: Vec<delivery::RenditionHead> = out.renditions.iter().map(listing::head_of).collect();
        let bytes = out.renditions.into_iter().map(|rendition| Bytes::from(rendition.bytes)).collect();
        self.list(waiting, &heads, bytes).await;
        Ok(())
    }

    /// Has the job's operator transcode a segment.
    async fn transcode_there(
        &self,
        market: &Arc<Market>,
        waiting: &Waiting,
        jobs: &mut Vec<Arc<Job>>,
    ) -> Result<(), Setback> {
        let job = self.current_job(market, jobs)?;
        let (id, operator, service) = self.active(&job).await?;
        let order = self.order(market, waiting, &job, id).await?;
        let (head, parts) = send(market, &service, &order, waiting.source.clone()).await.map_err(Setback::Again)?;
        delivery::check(&order.segment, operator, &market.chain.domain, &head, &parts).map_err(|error| {
            tracing::error!(stream = %self.id, job = %id, %operator, %error, "the operator delivered what must not be believed");
            Setback::Again(error.to_string())
        })?;
        job.delivered(order.segment.seq, head.receipt.units);
        match &head.failure {
            Some(reason) => self.skip(waiting, reason).await,
            None => self.list(waiting, &head.renditions, parts).await,
        }
        Ok(())
    }

    /// The job that takes segments now; a new one is posted when there is none.
    fn current_job(&self, market: &Arc<Market>, jobs: &mut Vec<Arc<Job>>) -> Result<Arc<Job>, Setback> {
        jobs.retain(|job| !job.status.borrow().over);
        let broadcast = self.spool.broadcast();
        let usable = |job: &&Arc<Job>| {
            let record = broadcast.jobs.iter().find(|record| record.nonce == job.nonce);
            let state = job.status.borrow().view.as_ref().map(|view| view.state);
            record.is_some_and(|record| !record.finished)
                && !matches!(state, Some(JobState::Draining | JobState::Closed))
        };
        if let Some(job) = jobs.iter().rev().find(usable) {
            return Ok(job.clone());
        }
        let avoid = broadcast.jobs.iter().flat_map(|record| record.avoid.clone()).collect();
        let record = JobRecord { nonce: rand_nonce(), id: None, next_seq: 0, top_ups: 0, finished: false, avoid };
        self.spool
            .change(|broadcast| broadcast.jobs.push(record.clone()))
            .map_err(|error| Setback::Again(format!("the stream's state cannot be kept: {error}")))?;
        tracing::info!(stream = %self.id, "posting a job");
        let job = Job::start(market.clone(), self.spool.clone(), record, &self.tasks, self.stop.clone());
        self.told().job = Some(job.clone());
        jobs.push(job.clone());
        Ok(job)
    }

    /// Waits for an operator. Gives up waiting now and then, so that a job that went wrong is left.
    async fn active(&self, job: &Job) -> Result<(JobId, Address, String), Setback> {
        let mut status = job.status.clone();
        let waited = async {
            loop {
                let now = status.borrow_and_update().clone();
                if let (Some(view), Some(service)) = (&now.view, &now.service_uri)
                    && view.state == JobState::Active
                {
                    return Ok((view.id, view.operator, service.clone()));
                }
                let state = now.view.as_ref().map(|view| view.state);
                if now.over || matches!(state, Some(JobState::Draining | JobState::Closed)) {
                    return Err(Setback::Again("the job ended; another one is posted".into()));
                }
                if status.changed().await.is_err() {
                    return Err(Setback::Again("the job's task ended".into()));
                }
            }
        };
        tokio::select! {
            waited = waited => waited,
            () = self.stop.cancelled() => Err(Setback::Stopping),
        }
    }

    /// The order for a segment: the one kept from an earlier try for the same job, or a new one.
    async fn order(&self, market: &Market, waiting: &Waiting, job: &Job, id: JobId) -> Result<SegmentOrder, Setback> {
        let kept = self.spool.front().and_then(|front| front.meta.order);
        if let Some(order) = kept.filter(|order| order.segment.job == id) {
            return Ok(order);
        }
        let records = self.spool.broadcast().jobs;
        let Some(record) = records.iter().find(|record| record.nonce == job.nonce) else {
            return Err(Setback::Again("the job ended; another one is posted".into()));
        };
        let segment = Segment {
            job: id,
            seq: SegmentNo(record.next_seq),
            src_root: content_root(&waiting.source),
            src_bytes: waiting.source.len() as u64,
            duration_ms: u32::try_from(waiting.meta.duration / 90).unwrap_or(u32::MAX),
        };
        let signed = market.signer.sign_segment(&segment).await;
        let signature = signed.map_err(|error| Setback::Again(format!("the order is not signed: {error}")))?;
        let order = SegmentOrder { segment, signature };
        self.spool
            .bind(waiting.meta.number, order.clone())
            .map_err(|error| Setback::Again(format!("the order cannot be kept: {error}")))?;
        Ok(order)
    }

    /// Leaves the operator that does not deliver. `false` when there is none to leave.
    fn abandon(&self, jobs: &[Arc<Job>]) -> bool {
        let Some(job) = jobs.last() else { return false };
        let Some(operator) = job.status.borrow().view.as_ref().map(|view| view.operator) else { return false };
        tracing::error!(stream = %self.id, %operator, "the operator does not deliver; its job is closed and another one posted");
        let nonce = job.nonce;
        let marked = self.spool.change(|broadcast| {
            for record in broadcast.jobs.iter_mut().filter(|record| record.nonce == nonce) {
                record.finished = true;
                record.avoid.push(operator);
            }
        });
        job.wake();
        marked.is_ok()
    }

    async fn list(&self, waiting: &Waiting, heads: &[delivery::RenditionHead], parts: Vec<Bytes>) {
        let meta = &waiting.meta;
        {
            let mut told = self.told();
            told.delivered += 1;
            told.ticks += meta.duration;
            told.frames += u64::from(heads.first().map_or(0, |head| head.frames));
            told.pixels += heads
                .iter()
                .map(|head| u64::from(head.frames) * u64::from(head.width) * u64::from(head.height))
                .sum::<u64>();
            told.source_bytes += waiting.source.len() as u64;
            told.output_bytes += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        }
        let listing = Listing {
            number: meta.number,
            first_pts: meta.first_pts,
            duration: meta.duration,
            discontinuity: meta.discontinuity,
            received: waiting.received,
            heads,
            bytes: parts,
        };
        let listed = listing::publish(&self.origin, &self.id, &self.ladder, listing);
        if let Err(error) = listed.await {
            tracing::error!(stream = %self.id, number = meta.number, error = format!("{error:#}"), "segment not listed for players");
        }
    }

    /// A segment that nobody can transcode leaves a gap in the playlists, and says so.
    async fn skip(&self, waiting: &Waiting, reason: &str) {
        tracing::error!(stream = %self.id, number = waiting.meta.number, reason, "segment cannot be transcoded; players see a gap");
        self.told().failed += 1;
        if let Err(error) = listing::skip(&self.origin, &self.id, waiting.meta.number).await {
            tracing::error!(stream = %self.id, error = format!("{error:#}"), "cannot mark the gap");
        }
    }

    /// Nobody publishes any more and everything is delivered: the playlists end, the jobs are closed.
    async fn end(&self, jobs: &[Arc<Job>]) {
        tracing::info!(stream = %self.id, "the broadcast is over");
        if let Err(error) = listing::end(&self.origin, &self.id).await {
            tracing::error!(stream = %self.id, error = format!("{error:#}"), "cannot end the playlists");
        }
        let marked = self.spool.change(|broadcast| broadcast.jobs.iter_mut().for_each(|job| job.finished = true));
        if let Err(error) = marked {
            tracing::error!(stream = %self.id, %error, "cannot keep that the broadcast is over; its job is closed after a restart");
        }
        jobs.iter().for_each(|job| job.wake());
    }

    /// For `/status`.
    pub(super) fn json(&self) -> Value {
        let told = self.told().clone();
        let job = told.job.map(|job| job.status.borrow().clone());
        json!({
            "id": self.id.as_str(),
            "publishing": self.silent_since.borrow().is_none(),
            "finished": told.finished,
            "segments": told.delivered,
            "failed": told.failed,
            "waiting": self.spool.len(),
            "frames": told.frames,
            "seconds": told.ticks as f64 / 90_000.0,
            "pixels": told.pixels,
            "source_bytes": told.source_bytes,
            "output_bytes": told.output_bytes,
            "last_latency_s": told.last_latency.map(|t| t.as_secs_f64()),
            "last_realtime_ratio": told.last_ratio,
            "trouble": told.trouble,
            "job": job,
        })
    }

    /// Everything is delivered, paid and over.
    pub(super) fn is_finished(&self) -> bool {
        self.told().finished
    }
}

/// Random enough that two jobs of one key never share it.
fn rand_nonce() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// Sends a segment and takes the delivery. The error is for a person; every one may be tried again.
async fn send(
    market: &Market,
    service: &str,
    order: &SegmentOrder,
    source: Bytes,
) -> Result<(delivery::Delivered, Vec<Bytes>), String> {
    let segment = &order.segment;
    let url = format!("{}/v1/jobs/{}/segments/{}", service.trim_end_matches('/'), segment.job, segment.seq);
    let header = serde_json::to_string(order).map_err(|error| error.to_string())?;
    let request = market.http.post(&url).header(ORDER_HEADER, header).body(source);
    let answer = request.send().await.map_err(|error| format!("{url}: {}", wiring::chain_of(&error)))?;
    let status = answer.status();
    let is_delivery = answer.headers().get("content-type").is_some_and(|t| t.as_bytes() == DELIVERY_TYPE.as_bytes());
    let body = wiring::bounded_body(answer, MAX_DELIVERY).await.map_err(|error| format!("{url}: {error}"))?;
    if status.is_success() && is_delivery {
        return delivery::decode(body).map_err(|error| format!("{url}: {error}"));
    }
    let refusal = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.error);
    Err(refusal.unwrap_or_else(|_| format!("{url}: answered {status} without a reason")))
}
