//! The broadcaster's side: `headframe gateway`. Takes a publisher's stream, orders its transcoding on the market (or does
//! it here with `--local`), checks what comes back and serves it to players.

mod job;
mod quotes;
mod spool;
mod stream;

use crate::admin::Report;
use crate::chain_view::ChainView;
use crate::config::{Config, ConfigError, Gateway as Settings};
use crate::listing;
use crate::metrics::Metrics;
use crate::network::Network;
use crate::profile;
use crate::reload::Source;
use crate::sender::Sender;
use crate::shutdown::Stage;
use crate::signer::SignerHandle;
use crate::transcode::Transcoder;
use crate::wiring::{self, ChainSide};
use anyhow::Context;
use futures::FutureExt;
use futures::future::BoxFuture;
use headframe_chain::{Head, Outbox};
use headframe_market::machine::JobView;
use headframe_market::machine::client::EscrowRules;
use headframe_market::profile::Profile;
use headframe_market::{Address, Price, Role};
use headframe_media::StreamId;
use headframe_media::ingest::{EndReason, IngestEvent, Resume, SourceSegment, rtmp};
use headframe_media::origin::Origin;
use serde_json::{Value, json};
use spool::{Meta, Spool};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use stream::{Stream, Told, Transcoding};
use tokio::sync::{mpsc, watch};

/// What a gateway needs to order work on the market.
struct Market {
    me: Address,
    chain: ChainView,
    signer: SignerHandle,
    sender: Sender,
    heads: watch::Receiver<Head>,
    network: Option<Network>,
    http: reqwest::Client,
    profile: Profile,
    max_price: Price,
    samples: u8,
    escrow: EscrowRules,
}

impl Market {
    /// Tells the network about an assigned job, so that its operator looks at the chain at once. `true` when heard.
    async fn announce(&self, job: &JobView) -> bool {
        let Some(network) = &self.network else { return true };
        network.offer(&self.chain.domain, job).await
    }
}

/// A running gateway.
struct Gateway {
    settings: Settings,
    dir: PathBuf,
    transcoding: Transcoding,
    origin: Arc<Origin>,
    metrics: Arc<Metrics>,
    streams: Mutex<BTreeMap<StreamId, Arc<Stream>>>,
    work: Stage,
}

/// Who transcodes for a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Rigs, for a fee.
    Market,
    /// This machine.
    Local {
        /// Print how to publish, key included: for a person who has no configuration.
        tell_key: bool,
    },
}

/// Runs a gateway until it is asked to stop.
pub async fn run(config: Config, source: Source, mode: Mode) -> anyhow::Result<()> {
    let metrics = Metrics::new()?;
    let settings = &config.gateway;
    let http = tokio::net::TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {} (gateway.listen)", settings.listen))?;
    let rtmp = tokio::net::TcpListener::bind(settings.rtmp)
        .await
        .with_context(|| format!("cannot listen on {} (gateway.rtmp)", settings.rtmp))?;
    let origin = listing::open(&config.state_dir, config.hls.window)?;
    let intake = Stage::new("intake", Duration::from_secs(10));
    let mut chain_stage = None;
    let mut codec = None;
    let mut market = None;
    let mut fatal_side = None;
    let transcoding = if mode != Mode::Market {
        let transcoder = Transcoder::start(&config.codec, metrics.clone())?;
        let possible = transcoder.can_make(&settings.ladder);
        possible.map_err(|cannot| ConfigError::Invalid(vec![format!("gateway.ladder: {cannot}")]))?;
        codec = Some(transcoder.clone());
        Transcoding::Local(transcoder)
    } else {
        let side = wiring::chain_side(&config, Role::Client, &metrics).await?;
        let ChainSide { me, chain, signer, sender, heads, fatal, stage } = side;
        chain_stage = Some(stage);
        fatal_side = Some(fatal);
        let network = Network::start(&config.p2p, &config.state_dir, Some(chain.domain)).await?;
        let side = Market {
            me,
            chain,
            signer,
            sender,
            heads,
            network,
            http: wiring::http_client(config.codec.deadline)?,
            profile: profile::of(&settings.ladder),
            max_price: settings.max_price,
            samples: settings.samples,
            escrow: settings.escrow,
        };
        let side = Arc::new(side);
        market = Some(side.clone());
        Transcoding::Market(side)
    };
    let gateway = Arc::new(Gateway {
        settings: config.gateway.clone(),
        dir: config.state_dir.join("spool"),
        transcoding,
        origin: origin.clone(),
        metrics: metrics.clone(),
        streams: Mutex::default(),
        work: Stage::new("streams", Duration::from_secs(30)),
    });
    gateway.resume_streams()?;

    let (rtmp_at, http_at) = (rtmp.local_addr()?, http.local_addr()?);
    wiring::serve_http(&intake, http, headframe_media::serve::http::router(origin));
    let admin = wiring::serve_admin(&intake, &config, gateway.clone(), metrics.clone()).await?;
    crate::reload::on_hangup(&intake, source, metrics, &[], |_| {})?;
    gateway.serve_rtmp(rtmp, &intake);
    tracing::info!(rtmp = %rtmp_at, http = %http_at, %admin, "gateway ready");
    for stream in &config.gateway.streams {
        if mode == (Mode::Local { tell_key: true }) {
            println!("publish with:  rtmp://{}/live/{}", wiring::reachable(rtmp_at), stream.key);
            println!("watch at:      http://{}/watch/{}", wiring::reachable(http_at), stream.id);
        }
        tracing::info!(
            publish = format!("rtmp://{rtmp_at}/live/<key of {}>", stream.id),
            watch = format!("http://{http_at}/watch/{}", stream.id),
            "stream"
        );
    }
    wiring::notify_ready("serving");
    gateway.stay_alive(&intake);

    let fatal = async {
        match &mut fatal_side {
            Some(fatal) => wiring::wait_fatal(fatal).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        () = crate::shutdown::asked_to_stop() => Ok(()),
        fatal = fatal => Err(fatal),
    };
    tracing::info!("stopping: accepted segments that are not delivered stay in the spool");
    wiring::notify_stopping();
    let stages: Vec<&Stage> =
        [Some(&intake), Some(&gateway.work), chain_stage.as_ref()].into_iter().flatten().collect();
    let late = crate::shutdown::drain(&stages).await;
    if !late.is_empty() {
        tracing::warn!(?late, "did not end in time");
    }
    if let Some(codec) = codec {
        codec.shutdown();
    }
    if let Some(network) = market.and_then(|market| market.network.clone()) {
        network.shutdown().await;
    }
    outcome
}

impl Gateway {
    fn streams(&self) -> std::sync::MutexGuard<'_, BTreeMap<StreamId, Arc<Stream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Streams that an earlier process left unfinished go on at once: their segments are delivered, their jobs closed
    /// when the publisher does not come back.
    fn resume_streams(&self) -> anyhow::Result<()> {
        for configured in &self.settings.streams {
            let id: StreamId = configured.id.parse()?;
            let spool = self.spool(&id)?;
            if spool.len() > 0 || !spool.broadcast().jobs.is_empty() {
                tracing::info!(stream = %id, segments = spool.len(), "going on after a restart");
                self.start(id, spool, Some(Instant::now()));
            }
        }
        Ok(())
    }

    /// Shows the supervisor that the streams can be reached.
    fn stay_alive(self: &Arc<Self>, stage: &Stage) {
        let (gateway, stop) = (self.clone(), stage.stop.clone());
        stage.tasks.spawn(async move {
            while !stop.is_cancelled() {
                drop(gateway.streams());
                wiring::notify_alive();
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_secs(5)) => {}
                }
            }
        });
    }

    fn spool(&self, id: &StreamId) -> anyhow::Result<Arc<Spool>> {
        let dir = self.dir.join(id.as_str());
        let spool = Spool::open(&dir, self.settings.spool);
        Ok(Arc::new(spool.with_context(|| format!("cannot open the spool {}", dir.display()))?))
    }

    fn start(&self, id: StreamId, spool: Arc<Spool>, silent: Option<Instant>) -> Arc<Stream> {
        let stream = Arc::new(Stream {
            id: id.clone(),
            spool,
            transcoding: self.transcoding.clone(),
            ladder: Arc::new(self.settings.ladder.clone()),
            origin: self.origin.clone(),
            metrics: self.metrics.clone(),
            grace: self.settings.grace,
            give_up: self.settings.give_up,
            tasks: self.work.tasks.clone(),
            stop: self.work.stop.clone(),
            silent_since: watch::channel(silent).0,
            told: Mutex::new(Told::default()),
        });
        self.streams().insert(id, stream.clone());
        self.work.tasks.spawn(stream.clone().run());
        stream
    }

    /// The running stream of this id; one is started when there is none or the last one is finished.
    fn stream(&self, id: &StreamId) -> anyhow::Result<Arc<Stream>> {
        if let Some(stream) = self.streams().get(id).filter(|stream| !stream.is_finished()) {
            return Ok(stream.clone());
        }
        Ok(self.start(id.clone(), self.spool(id)?, None))
    }

    fn serve_rtmp(self: &Arc<Self>, listener: tokio::net::TcpListener, stage: &Stage) {
        let (sink, events) = mpsc::channel(16);
        let keys: BTreeMap<String, StreamId> = self
            .settings
            .streams
            .iter()
            .filter_map(|stream| Some((stream.key.clone(), stream.id.parse().ok()?)))
            .collect();
        let gateway = self.clone();
        let auth = move |request: &rtmp::PublishRequest<'_>| {
            let stream = keys.get(request.key).ok_or(rtmp::Refusal::UnknownKey)?.clone();
            let resume = gateway.resume_at(&stream).map_err(|error| {
                tracing::error!(%stream, error = format!("{error:#}"), "the stream's state cannot be read");
                rtmp::Refusal::Forbidden("this gateway cannot keep the stream at the moment".into())
            })?;
            Ok(rtmp::Grant { stream, resume })
        };
        let serving = rtmp::serve(listener, rtmp::Config::default(), Arc::new(auth), sink, stage.stop.clone());
        stage.tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the RTMP server ended");
            }
        });
        stage.tasks.spawn(self.clone().follow(events));
    }

    /// Where a stream's numbers and its timeline go on; `None` for a stream that never was.
    fn resume_at(&self, id: &StreamId) -> anyhow::Result<Option<Resume>> {
        let running = self.streams().get(id).map(|stream| stream.spool.clone());
        let spool = running.map_or_else(|| self.spool(id), Ok)?;
        let broadcast = spool.broadcast();
        let resume = Resume { number: broadcast.next_number, pts: broadcast.next_pts };
        Ok((broadcast.next_number > 0).then_some(resume))
    }

    async fn follow(self: Arc<Self>, mut events: mpsc::Receiver<IngestEvent>) {
        while let Some(event) = events.recv().await {
            match event {
                IngestEvent::Started { stream, peer, picture, number } => {
                    tracing::info!(%stream, %peer, ?picture, number, "publisher started");
                    self.metrics.publishers.inc();
                    self.silence(&stream, None);
                }
                IngestEvent::Segment(segment) => self.accept(segment).await,
                IngestEvent::Degraded { stream, what } => tracing::warn!(%stream, what, "publisher in trouble"),
                IngestEvent::Ended { stream, reason } => {
                    tracing::info!(%stream, %reason, "publisher gone");
                    self.metrics.publishers.dec();
                    self.silence(&stream, Some(Instant::now()));
                }
                IngestEvent::Rejected { peer, stream, reason } => {
                    tracing::warn!(%peer, stream = stream.map(|s| s.to_string()), %reason, "publisher refused");
                    self.metrics.rejected.with_label_values(&[reason_name(&reason)]).inc();
                }
            }
        }
    }

    fn silence(&self, id: &StreamId, since: Option<Instant>) {
        match self.stream(id) {
            Ok(stream) => {
                stream.silent_since.send_replace(since);
            }
            Err(error) => tracing::error!(stream = %id, error = format!("{error:#}"), "the stream cannot run"),
        }
    }

    /// From here on the segment is ours: it is on disk before anything else happens to it.
    async fn accept(&self, segment: SourceSegment) {
        let (id, number) = (segment.stream.clone(), segment.number);
        self.metrics.ingest_bytes.with_label_values(&["rtmp"]).inc_by(segment.bytes.len() as u64);
        let meta = Meta {
            number,
            first_pts: segment.first_pts,
            duration: segment.duration,
            discontinuity: segment.discontinuity,
            order: None,
        };
        let next_pts = segment.first_pts + segment.duration;
        let kept = async {
            let stream = self.stream(&id)?;
            stream.spool.accept(meta, segment.bytes, next_pts, segment.received_at.into_std()).await?;
            if stream.is_finished() {
                self.stream(&id)?; // it ended in this very moment; a new one goes on with what is in the spool
            }
            anyhow::Ok(())
        };
        if let Err(error) = kept.await {
            tracing::error!(stream = %id, number, error = format!("{error:#}"), "segment not accepted: it cannot be kept on disk");
        }
        self.metrics.spooled.set(self.streams().values().map(|stream| stream.spool.len() as i64).sum());
    }
}

impl Report for Gateway {
    fn account(&self) -> Option<crate::admin::Account> {
        None
    }

    fn outbox(&self) -> Option<Outbox> {
        match &self.transcoding {
            Transcoding::Market(market) => Some(market.sender.outbox()),
            Transcoding::Local(_) => None,
        }
    }

    fn not_ready(&self) -> Vec<String> {
        match &self.transcoding {
            Transcoding::Local(codec) if codec.stats().pids.is_empty() => {
                vec!["no transcoding worker is running".into()]
            }
            Transcoding::Market(market) => wiring::head_trouble(&market.heads.borrow()).into_iter().collect(),
            Transcoding::Local(_) => Vec::new(),
        }
    }

    fn refresh<'a>(&'a self, metrics: &'a Metrics) -> BoxFuture<'a, ()> {
        async {
            metrics.spooled.set(self.streams().values().map(|stream| stream.spool.len() as i64).sum());
            match &self.transcoding {
                Transcoding::Local(codec) => wiring::refresh_codec(metrics, &codec.stats()),
                Transcoding::Market(market) => {
                    let head = market.heads.borrow().clone();
                    wiring::refresh_chain(metrics, &market.sender, &market.signer, &head, &market.chain).await;
                    if let Some(network) = &market.network {
                        metrics.peers.set(network.peers() as i64);
                    }
                }
            }
        }
        .boxed()
    }

    fn status(&self) -> BoxFuture<'_, Value> {
        async {
            let streams: Vec<Value> = self.streams().values().map(|stream| stream.json()).collect();
            let transcoding = match &self.transcoding {
                Transcoding::Local(codec) => json!({
                    "local": true,
                    "codecs": codec.codecs(),
                    "workers": wiring::workers_json(&codec.stats()),
                }),
                Transcoding::Market(market) => json!({
                    "local": false,
                    "client": market.me,
                    "transactions": market.sender.json().await,
                    "network": market.network.as_ref().map(Network::json),
                }),
            };
            json!({
                "role": "gateway",
                "version": env!("CARGO_PKG_VERSION"),
                "ready": self.not_ready().is_empty(),
                "not_ready": self.not_ready(),
                "streams": streams,
                "playlists": self.origin.status(),
                "transcoding": transcoding,
            })
        }
        .boxed()
    }
}

/// A short constant name for why a publisher was refused.
fn reason_name(reason: &EndReason) -> &'static str {
    match reason {
        EndReason::UnknownKey { .. } => "unknown_key",
        EndReason::Forbidden(_) => "forbidden",
        EndReason::AlreadyPublishing(_) => "already_publishing",
        EndReason::NoVideo(_) => "no_video",
        EndReason::UnsupportedVideo(_) => "unsupported_video",
        EndReason::Protocol(_) => "protocol",
        EndReason::TooManyConnections(_) => "too_many_connections",
        _ => "other",
    }
}
