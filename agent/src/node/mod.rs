//! The rig: `headframe run`. Bids for jobs, takes segments, transcodes them in its workers, signs receipts, serves the
//! result and collects the fees.

mod automation;
mod bids;
mod evidence;
mod http;
pub(crate) mod jobs;
mod own_work;

use crate::admin::{Account, Report};
use crate::chain_view::{ChainView, OperatorView, ViewError};
use crate::config::Config;
use crate::delivery::Delivered;
use crate::listing::{self, Listing};
use crate::metrics::Metrics;
use crate::network::Network;
use crate::pricing;
use crate::profile;
use crate::reload::Source;
use crate::sender::{Progress, Sender};
use crate::signer::SignerHandle;
use crate::transcode::{CannotMake, Transcoder};
use crate::wiring::{self, ChainSide, Unsafe};
use anyhow::Context;
use automation::Automation;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use headframe_chain::{Deadline, Head, Outbox};
use headframe_codec::ladder::Ladder;
use headframe_market::machine::{ClaimState, ClaimView, JobView};
use headframe_market::pricing::{GasPrice, Pricing};
use headframe_market::{Action, Address, B256, ClaimId, JobId, Timestamp, Units, Wei};
use headframe_media::StreamId;
use headframe_media::origin::Origin;
use jobs::Jobs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};

/// The most segments that an order can have drawn of a claim.
const MOST_SAMPLES: u8 = 8;

/// Everything the tasks of a rig share.
struct Node {
    config: Config,
    /// May be another than the configuration's since that was read again.
    pricing: Mutex<Pricing>,
    me: Address,
    service_uri: String,
    chain: ChainView,
    signer: SignerHandle,
    sender: Sender,
    heads: watch::Receiver<Head>,
    codec: Transcoder,
    origin: Arc<Origin>,
    metrics: Arc<Metrics>,
    network: Option<Network>,
    ladders: BTreeMap<B256, Arc<Ladder>>,
    bids: bids::Bids,
    evidence: Arc<evidence::Store>,
    jobs: Arc<Jobs>,
    slots: Semaphore,
    /// Looks at the chain again without waiting for the next block.
    wake: Arc<Notify>,
    live: Mutex<Live>,
    stop_for: tokio_util::sync::CancellationToken,
}

/// What status and readiness tell; written by the tasks.
#[derive(Default)]
struct Live {
    halted: Option<String>,
    /// Why this rig does not trust its own work, and takes no more of it.
    doubt: Option<String>,
    chain_trouble: Option<String>,
    claims: BTreeMap<ClaimId, ClaimState>,
    earned: BTreeMap<ClaimId, Wei>,
    active: bool,
    /// Of stake and fees.
    owner: Address,
    gas: GasPrice,
}

/// Runs a rig until it is asked to stop. An error that carries [`Unsafe`] must end the process with exit code 79.
pub async fn run(config: Config, source: Source) -> anyhow::Result<()> {
    let metrics = Metrics::new()?;
    let listener = tokio::net::TcpListener::bind(config.node.listen)
        .await
        .with_context(|| format!("cannot listen on {} (node.listen)", config.node.listen))?;
    let service_uri = match config.node.service_uri.as_str() {
        "" => format!("http://{}", listener.local_addr()?),
        uri => uri.to_owned(),
    };
    let side = wiring::chain_side(&config, headframe_market::Role::Operator, &metrics).await?;
    let codec = Transcoder::start(&config.codec, metrics.clone())?;
    let origin = listing::open(&config.state_dir, config.hls.window)?;
    let network = Network::start(&config.p2p, &config.state_dir, Some(side.chain.domain)).await?;
    let ladders =
        config.node.ladders.iter().map(|ladder| (profile::of(ladder).id(), Arc::new(ladder.clone()))).collect();
    let evidence = config.state_dir.join("evidence");
    let evidence = evidence::Store::open(&evidence, config.node.evidence, wiring::ballast(&config))
        .with_context(|| format!("cannot open the evidence under {}", evidence.display()))?;
    let ChainSide { me, chain, signer, sender, heads, mut fatal, stage: chain_stage } = side;
    let node = Arc::new(Node {
        slots: Semaphore::new(config.node.max_in_hand),
        me,
        service_uri,
        chain,
        signer,
        sender,
        heads: heads.clone(),
        codec: codec.clone(),
        origin: origin.clone(),
        metrics: metrics.clone(),
        network: network.clone(),
        ladders,
        bids: bids::Bids::default(),
        evidence: Arc::new(evidence),
        jobs: Arc::default(),
        wake: Arc::default(),
        live: Mutex::default(),
        stop_for: tokio_util::sync::CancellationToken::new(),
        pricing: Mutex::new(config.node.pricing),
        config,
    });
    for (profile, reason) in node.not_offered() {
        tracing::warn!(%profile, %reason, "a ladder of node.ladders is not offered");
    }
    tracing::info!(operator = %me, service = %node.service_uri, "starting");

    let intake = crate::shutdown::Stage::new("intake", Duration::from_secs(30));
    let app = http::router(node.clone()).merge(headframe_media::serve::http::router(origin.clone()));
    wiring::serve_http(&intake, listener, app);
    let admin = wiring::serve_admin(&intake, &node.config, node.clone(), metrics.clone()).await?;
    tracing::info!(%admin, "admin interface");

    let automation = {
        let (node, stop) = (node.clone(), chain_stage.stop.clone());
        async move {
            node.enter_the_set().await?;
            Automation::new(node).run(heads, stop).await;
            anyhow::Ok(())
        }
    };
    let mut automation = tokio::spawn(automation);
    let prices = node.clone();
    crate::reload::on_hangup(&intake, source, metrics, &["node.pricing"], move |config| {
        *prices.pricing.lock().unwrap_or_else(PoisonError::into_inner) = config.node.pricing;
    })?;
    if let Some(network) = &network {
        follow_offers(&node, network, &chain_stage);
    }
    wiring::notify_ready("transcoding");

    let outcome = tokio::select! {
        () = crate::shutdown::asked_to_stop() => Ok(()),
        () = node.stop_for.cancelled() => Err(anyhow::Error::new(Unsafe(node.halted().unwrap_or_default()))),
        fatal = wiring::wait_fatal(&mut fatal) => Err(fatal),
        ended = &mut automation => ended.context("the automation ended").flatten(),
    };
    tracing::info!("stopping: finishing the segments in hand");
    wiring::notify_stopping();
    let late = crate::shutdown::drain(&[&intake, &chain_stage]).await;
    automation.abort();
    if !late.is_empty() {
        tracing::warn!(?late, "did not end in time");
    }
    codec.shutdown();
    if let Some(network) = network {
        network.shutdown().await;
    }
    outcome
}

/// An offer over the network is only a hint that the chain is worth a look: nothing in it is believed.
fn follow_offers(node: &Arc<Node>, network: &Network, stage: &crate::shutdown::Stage) {
    let (node, stop, mut offers) = (node.clone(), stage.stop.clone(), network.offers());
    stage.tasks.spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                offer = offers.recv() => match offer {
                    Some(offer) => {
                        tracing::info!(job = offer.job, max_price = offer.max_price.0, "job offer heard");
                        node.wake.notify_one();
                    }
                    None => return,
                },
            }
        }
    });
}

impl Node {
    /// Registers the service address and bonds what the configuration asks for.
    async fn enter_the_set(&self) -> anyhow::Result<()> {
        let operator = self.chain.operator(self.me).await?;
        let bond = self.config.bond().unwrap_or(0);
        let mut steps = Vec::new();
        if operator.service_uri != self.service_uri {
            steps.push(Action::Register { service_uri: self.service_uri.clone() });
        }
        if operator.bonded < bond {
            let amount = bond - operator.bonded;
            // The same amount may have been bonded and unbonded before.
            let nth = self.sender.unused(|nth| Action::Bond { amount, nth }).await?;
            steps.extend([Action::ApproveStake { amount, nth }, Action::Bond { amount, nth }]);
        }
        for step in steps {
            let kind = step.kind();
            tracing::info!(kind, "entering the active set");
            let done = self.sender.perform(step).await.with_context(|| format!("cannot {kind}"))?;
            if let Progress::Failed { reason } = done {
                anyhow::bail!("{kind} failed on chain: {reason}");
            }
        }
        let operator = self.chain.operator(self.me).await?;
        self.live().active = true; // so that it is told if it is not
        self.note_standing(&operator);
        Ok(())
    }

    fn note_standing(&self, operator: &OperatorView) {
        let was = std::mem::replace(&mut self.live().active, operator.active);
        self.live().owner = operator.owner;
        self.metrics.bonded.set(operator.bonded as f64);
        match (was, operator.active) {
            (true, false) if operator.standby => tracing::warn!(
                "no slot of the active set is free: no jobs are won until one is, and then this rig takes it"
            ),
            (true, false) => tracing::warn!(
                bonded = operator.bonded,
                "not in the active set: no jobs will be won. Bond more stake (node.bond)"
            ),
            (false, true) => tracing::info!("in the active set"),
            _ => {}
        }
    }

    /// Whether the chain would take it now.
    async fn would_happen(&self, action: &Action) -> Result<bool, ViewError> {
        let rehearsed = self.chain.rehearse(self.me, action).await?;
        if let Err(why) = &rehearsed {
            tracing::debug!(kind = action.kind(), why, "the chain would refuse it now");
        }
        Ok(rehearsed.is_ok())
    }

    fn pricing(&self) -> Pricing {
        *self.pricing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn halted(&self) -> Option<String> {
        self.live().halted.clone()
    }

    /// Takes no more work and ends the process: something happened that only a person can judge.
    fn halt(&self, reason: &str) {
        tracing::error!(reason, "halting");
        self.live().halted.get_or_insert_with(|| reason.to_owned());
        self.stop_for.cancel();
    }

    /// Claims nothing more of `job` and takes no other: a sample of its work was wrong. Claims that were made are proven as ever.
    fn doubt(&self, job: &JobView, reason: &str) {
        let reason = format!("job {}: {reason}", job.id);
        tracing::error!(
            job = %job.id,
            reason,
            "own work is not what was ordered: it is not claimed, and no more is taken; look at the cards and the disk (headframe doctor, \
             headframe-codec verify), then start again"
        );
        self.metrics.own_work_doubted.inc();
        self.jobs.doubt(job.id);
        self.live().doubt.get_or_insert(reason);
        self.wake.notify_one();
    }

    fn set_chain_trouble(&self, trouble: Option<String>) {
        self.live().chain_trouble = trouble;
    }

    fn note_claims(&self, claims: &BTreeMap<ClaimId, ClaimState>) {
        self.live().claims.clone_from(claims);
    }

    fn earned(&self, claim: &ClaimView) {
        if self.live().earned.insert(claim.id, claim.fee).is_none() {
            tracing::info!(claim = %claim.id, job = %claim.job, fee = %claim.fee, "claim settled");
        }
    }

    /// Whether a job of `ladder` may be bid for; why not, if not.
    fn can_take_a_job(&self, ladder: &Ladder) -> Result<(), String> {
        self.codec.can_make(ladder).map_err(|cannot| cannot.to_string())?;
        let mut jobs = self.jobs.summary();
        jobs.retain(|(job, ..)| !job.released); // no segment of it comes any more
        {
            let live = self.live();
            if live.halted.is_some() {
                return Err("this rig has halted".to_owned());
            }
            if let Some(reason) = &live.doubt {
                return Err(format!("this rig doubts its own work: {reason}"));
            }
            if !live.active {
                return Err("this rig is not in the active set".to_owned());
            }
        }
        let taken = jobs.len() + self.bids.out();
        if taken >= self.config.node.max_in_hand {
            return Err(format!("{taken} jobs are in hand or bid for, as many as node.max_in_hand allows"));
        }
        self.sender.has_room()?;
        self.evidence.has_room().map_err(|full| full.to_string())?;
        let running = |(job, ..): &(JobView, usize, u32)| {
            Some((Self::stream_id(job.id).ok()?.to_string(), self.ladder(&job.profile)?))
        };
        let running: Vec<_> = jobs.iter().filter_map(running).collect();
        let running = running.iter().map(|(stream, ladder)| (stream.as_str(), &**ladder));
        self.codec.admit(running, ladder).map_err(|full| full.to_string())
    }

    /// The price of gas without its spikes, once it is known. Looked at only where prices follow it.
    fn gas_price(&self) -> Option<Wei> {
        self.live().gas.smooth()
    }

    async fn look_at_gas(&self, head: &Head) {
        if self.pricing().cost.is_none() {
            return;
        }
        match pricing::gas_price(self.chain.rpc(), head.base_fee).await {
            Ok(price) => self.live().gas.see(price, Timestamp(head.timestamp)),
            Err(error) => tracing::debug!(%error, "the price of gas cannot be asked for"),
        }
    }

    fn max_in_hand(&self) -> usize {
        self.config.node.max_in_hand
    }

    /// The stream under which a job's output is served.
    fn stream_id(job: JobId) -> Result<StreamId, headframe_media::id::BadName> {
        format!("job-{job}").parse()
    }

    fn ladder(&self, profile: &B256) -> Option<Arc<Ladder>> {
        self.ladders.get(profile).cloned()
    }

    /// Ladders of the configuration that the workers cannot make, and why.
    fn not_offered(&self) -> BTreeMap<B256, CannotMake> {
        let cannot = |(profile, ladder): (&B256, &Arc<Ladder>)| Some((*profile, self.codec.can_make(ladder).err()?));
        self.ladders.iter().filter_map(cannot).collect()
    }

    /// A job of ours, looked up on chain when it is new here.
    async fn known_job(&self, id: JobId) -> Result<JobView, String> {
        if let Some((view, ..)) = self.jobs.summary().into_iter().find(|(view, ..)| view.id == id) {
            return Ok(view);
        }
        let view = self.chain.job(id).await.map_err(|error| format!("job {id} cannot be looked up: {error}"))?;
        self.jobs.update(self.me, &view);
        Ok(view)
    }

    /// What a segment of this length will amount to at 60 frames per second, the most a standard ladder yields.
    fn expected_units(&self, job: &JobView, duration_ms: u32) -> Units {
        let frames = (u64::from(duration_ms) * 60 / 1000).min(u64::from(u32::MAX)) as u32;
        let ladder = self.ladder(&job.profile);
        let sizes = ladder.iter().flat_map(|ladder| ladder.renditions()).map(|r| (frames, r.width, r.height));
        Units::of_segment(sizes).unwrap_or(Units(u64::MAX))
    }

    async fn submit(&self, action: Action) {
        self.submit_by(action, Deadline::NONE).await;
    }

    async fn submit_by(&self, action: Action, deadline: Deadline) {
        let kind = action.kind();
        if let Err(error) = self.sender.submit_by(action, deadline).await {
            tracing::warn!(kind, %error, "cannot queue the transaction; it is tried again with the next block");
        }
    }

    async fn withdrawing(&self) -> bool {
        self.sender.pending("route_fees").await || self.sender.pending("withdraw_fees").await
    }

    /// Lists a delivery for players. A full disk costs the listing, never the receipt.
    async fn list(&self, ladder: &Ladder, stream: &StreamId, head: &Delivered, bytes: Vec<Vec<u8>>) {
        let number = head.receipt.seq.0;
        let listed = if head.failure.is_some() {
            listing::skip(&self.origin, stream, number).await
        } else {
            let listing = Listing {
                number,
                first_pts: head.first_pts,
                duration: head.duration,
                discontinuity: false,
                received: None,
                heads: &head.renditions,
                bytes: bytes.into_iter().map(Bytes::from).collect(),
            };
            listing::publish(&self.origin, stream, ladder, listing).await
        };
        if let Err(error) = listed {
            tracing::error!(%stream, number, error = format!("{error:#}"), "segment not listed for players");
        }
    }

    /// A job is over: its playlists end.
    async fn end_stream(&self, job: JobId) {
        let ended = match Self::stream_id(job) {
            Ok(stream) => listing::end(&self.origin, &stream).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = ended {
            tracing::error!(%job, error = format!("{error:#}"), "cannot end the playlists");
        }
    }

    /// What gateways may know before they send work.
    fn info(&self) -> Value {
        let not_offered = self.not_offered();
        let profiles: Vec<_> = self.ladders.keys().filter(|profile| !not_offered.contains_key(*profile)).collect();
        json!({ "operator": self.me, "version": env!("CARGO_PKG_VERSION"), "profiles": profiles })
    }
}

impl Report for Node {
    fn outbox(&self) -> Option<Outbox> {
        Some(self.sender.outbox())
    }

    fn account(&self) -> Option<Account> {
        Some(Account {
            me: self.me,
            chain: self.chain.clone(),
            head: self.heads.borrow().clone(),
            jobs: self.jobs.clone(),
            wake: self.wake.clone(),
            batches: self.config.node.claims,
            claims: self.live().claims.keys().copied().collect(),
            keep_bonded: self.config.bond().unwrap_or(0),
            withdraw_above: self.config.node.withdraw_above,
        })
    }

    fn not_ready(&self) -> Vec<String> {
        let live = self.live();
        let mut reasons = Vec::new();
        reasons.extend(live.halted.as_ref().map(|reason| format!("halted: {reason}")));
        reasons.extend(live.doubt.as_ref().map(|reason| format!("own work was wrong: {reason}")));
        reasons.extend(live.chain_trouble.as_ref().map(|reason| format!("chain: {reason}")));
        reasons.extend(wiring::head_trouble(&self.heads.borrow()));
        reasons.extend(self.sender.trouble().map(|reason| format!("transactions: {reason}")));
        if !live.active {
            reasons.push("not in the active set".into());
        }
        if self.codec.stats().pids.is_empty() {
            reasons.push("no transcoding worker is running".into());
        }
        let not_offered = self.not_offered();
        if not_offered.len() == self.ladders.len() {
            reasons.extend(not_offered.values().map(|cannot| format!("no ladder can be made: {cannot}")));
        }
        reasons
    }

    fn refresh<'a>(&'a self, metrics: &'a Metrics) -> BoxFuture<'a, ()> {
        async {
            wiring::refresh_codec(metrics, &self.codec.stats());
            let head = self.heads.borrow().clone();
            wiring::refresh_chain(metrics, &self.sender, &self.signer, &head, &self.chain).await;
            if let Some(network) = &self.network {
                metrics.peers.set(network.peers() as i64);
            }
            let live = self.live();
            metrics.fees_earned.set(live.earned.values().map(|wei| wei.0).sum::<u128>() as f64);
            metrics.claims.reset();
            for state in live.claims.values() {
                metrics.claims.with_label_values(&[&wiring::state_name(state)]).inc();
            }
            metrics.incidents.set(self.evidence.incidents() as i64);
            metrics.jobs.reset();
            for (view, ..) in self.jobs.summary() {
                metrics.jobs.with_label_values(&[&wiring::state_name(&view.state)]).inc();
            }
        }
        .boxed()
    }

    fn status(&self) -> BoxFuture<'_, Value> {
        async {
            let (claims, earned, owner) = {
                let live = self.live();
                (live.claims.clone(), live.earned.clone(), live.owner)
            };
            let job = |(view, waiting, in_hand): (JobView, usize, u32)| {
                json!({ "view": view, "unclaimed_receipts": waiting, "in_hand": in_hand })
            };
            let not_offered = self.not_offered();
            let ladder = |(profile, ladder): (&B256, &Arc<Ladder>)| {
                let names: Vec<_> = ladder.renditions().iter().map(|rendition| &rendition.name).collect();
                let reason = not_offered.get(profile).map(ToString::to_string);
                let work = pricing::claim_work(ladder, pricing::USUAL_FPS, &self.config.node.claims, MOST_SAMPLES);
                let ask = self.pricing().ask(work, self.gas_price());
                json!({ "profile": profile, "renditions": names, "not_offered": reason,
                        "asks": ask.as_ref().ok(), "no_price": ask.err().map(|why| why.to_string()) })
            };
            json!({
                "role": "node",
                "version": env!("CARGO_PKG_VERSION"),
                "operator": self.me,
                "owner": owner,
                "service_uri": self.service_uri,
                "ready": self.not_ready().is_empty(),
                "not_ready": self.not_ready(),
                "floor_wei_per_unit": self.pricing().price,
                "gas_price_wei": self.gas_price(),
                "codecs": self.codec.codecs(),
                "ladders": self.ladders.iter().map(ladder).collect::<Vec<_>>(),
                "jobs": self.jobs.summary().into_iter().map(job).collect::<Vec<_>>(),
                "claims": claims,
                "earned_wei": Wei(earned.values().map(|wei| wei.0).sum()),
                "workers": wiring::workers_json(&self.codec.stats()),
                "transactions": self.sender.json().await,
                "network": self.network.as_ref().map(Network::json),
                "streams": self.origin.status(),
            })
        }
        .boxed()
    }
}
