//! An RTMP server for publishers: `rtmp://HOST/live/KEY` in, [`IngestEvent`]s out.
//!
//! Framing comes from rtmp-rs; its server is not used, because it binds its own socket, writes stream keys into its log,
//! cannot end a connection from within a media callback, and gives its connection permits back at once. Each connection
//! is a task of its own, and a connection can cost no more than [`Limits`] says. Keys never leave this module: logs carry
//! a short hash, events the public name that the caller's [`Authorize`] has given.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info_span, warn};

use super::pipeline::Pipeline;
use super::{EndReason, IngestEvent, Resume};
use crate::id::StreamId;
use crate::segmenter;

mod session;
mod wire;

/// How the server treats its publishers. The defaults suit the public internet.
#[derive(Debug, Clone)]
pub struct Config {
    /// What a connection may cost.
    pub limits: Limits,
    /// Where segments are cut.
    pub segments: segmenter::Settings,
    /// From the connection to an accepted key. Default 10 s.
    pub setup_timeout: Duration,
    /// A publisher from which no complete message comes for this long is dead. Default 10 s.
    pub read_timeout: Duration,
    /// A publisher without a picture for this long is turned away. Default 8 s.
    pub no_video_timeout: Duration,
    /// A second publisher of a stream takes over from one that has been silent for this long. Default 3 s.
    pub takeover_after: Duration,
    /// How long a full event queue may stop a publisher before it is cut off. Default 10 s.
    pub sink_timeout: Duration,
}

/// What connections may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; one more is closed at once. Default 64.
    pub connections: usize,
    /// Streams whose timeline is remembered between two publishers; the one idle for longest is forgotten. Default 1024.
    pub remembered: usize,
    /// Largest message of a publisher with a valid key, in bytes. Default 8 MiB, a key frame at hundreds of Mbit/s.
    pub message: u32,
    /// All unfinished messages of a connection together, in bytes. Default 16 MiB.
    pub buffered: u64,
}

impl Default for Config {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            limits: Limits { connections: 64, remembered: 1024, message: 8 << 20, buffered: 16 << 20 },
            segments: segmenter::Settings::default(),
            setup_timeout: seconds(10),
            read_timeout: seconds(10),
            no_video_timeout: seconds(8),
            takeover_after: seconds(3),
            sink_timeout: seconds(10),
        }
    }
}

/// A publisher asks to be let in.
#[derive(Clone, Copy)]
pub struct PublishRequest<'a> {
    /// First part of the URL's path, `live` by convention.
    pub app: &'a str,
    /// The secret. Do not log it; [`super::KeyHash`] names it safely.
    pub key: &'a str,
    /// Where the publisher connects from.
    pub peer: SocketAddr,
}

/// A publisher is let in.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The public name of the stream, which never equals the key.
    pub stream: StreamId,
    /// Where the stream goes on if this server does not remember it, or remembers less: after a restart, say.
    pub resume: Option<Resume>,
}

/// A publisher is turned away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such key.
    UnknownKey,
    /// The key exists and may not publish now; the text is shown to the publisher.
    Forbidden(String),
}

/// Decides who may publish. Called on the connection's task: answer from memory, without blocking.
pub trait Authorize: Send + Sync + 'static {
    /// Maps a key to a stream.
    fn authorize(&self, request: &PublishRequest<'_>) -> Result<Grant, Refusal>;
}

impl<F> Authorize for F
where
    F: Fn(&PublishRequest<'_>) -> Result<Grant, Refusal> + Send + Sync + 'static,
{
    fn authorize(&self, request: &PublishRequest<'_>) -> Result<Grant, Refusal> {
        self(request)
    }
}

/// Serves publishers on `listener` until `stop`, then lets every connection flush and report its end.
///
/// The caller binds the socket and so knows its address. Dropping the future stops accepting; connections then end by
/// `stop` alone.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    auth: Arc<dyn Authorize>,
    sink: mpsc::Sender<IngestEvent>,
    stop: CancellationToken,
) -> io::Result<()> {
    let connections = Arc::new(Semaphore::new(config.limits.connections));
    let server =
        Arc::new(Server { streams: Mutex::default(), epoch: Instant::now(), config, auth, sink, stop: stop.clone() });
    let tasks = TaskTracker::new();
    let mut next_session = 0;
    loop {
        let (socket, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or the peer was gone already: both pass, and neither may spin.
                    warn!(%error, "could not accept a publisher");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            let reason = EndReason::TooManyConnections(server.config.limits.connections);
            warn!(%peer, %reason, "publisher turned away");
            // Never wait for the queue here: this loop serves everybody.
            let _ = server.sink.try_send(IngestEvent::Rejected { peer, stream: None, reason });
            continue;
        };
        if let Err(error) = socket.set_nodelay(true) {
            debug!(%peer, %error, "no TCP_NODELAY");
        }
        next_session += 1;
        let span = info_span!("rtmp", session = next_session, %peer);
        let session = session::run(server.clone(), socket, peer, next_session);
        tasks.spawn(
            async move {
                session.await;
                drop(permit);
            }
            .instrument(span),
        );
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// What all connections share.
struct Server {
    config: Config,
    auth: Arc<dyn Authorize>,
    sink: mpsc::Sender<IngestEvent>,
    stop: CancellationToken,
    streams: Mutex<HashMap<StreamId, Slot>>,
    epoch: Instant,
}

/// A stream that somebody publishes or has published.
enum Slot {
    Live(Live),
    /// `since` is in milliseconds of the server's epoch.
    Idle {
        pipeline: Box<Pipeline>,
        since: u64,
    },
}

/// The publisher of a stream, as its rivals see it.
#[derive(Clone)]
struct Live {
    session: u64,
    last_heard: Arc<AtomicU64>,
    kick: CancellationToken,
    gone: CancellationToken,
}

/// The exclusive right to publish a stream. Dropping it keeps the stream's timeline for the next publisher.
struct Claim {
    server: Arc<Server>,
    stream: StreamId,
    live: Live,
    pipeline: Option<Box<Pipeline>>,
}

impl Claim {
    fn heard(&self) {
        self.live.last_heard.store(self.server.now(), Ordering::Relaxed);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let since = self.server.now();
        let mut streams = self.server.streams();
        if let Some(pipeline) = self.pipeline.take() {
            streams.insert(self.stream.clone(), Slot::Idle { pipeline, since });
        }
        let idle = |slot: &Slot| match slot {
            Slot::Idle { since, .. } => Some(*since),
            Slot::Live(_) => None,
        };
        if streams.len() > self.server.config.limits.remembered {
            let oldest =
                streams.iter().filter_map(|(id, slot)| Some((idle(slot)?, id))).min().map(|(_, id)| id.clone());
            oldest.map(|id| streams.remove(&id));
        }
        drop(streams);
        self.live.gone.cancel();
    }
}

impl Server {
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<StreamId, Slot>> {
        // The map is valid between any two statements that change it, so a panic elsewhere does not spoil it.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the stream, from a publisher that has fallen silent if need be.
    async fn claim(self: &Arc<Self>, grant: &Grant, session: u64) -> Result<Claim, EndReason> {
        let refused = || EndReason::AlreadyPublishing(grant.stream.clone());
        for _ in 0..2 {
            let rival = match self.try_claim(grant, session) {
                Ok(claim) => return Ok(claim),
                Err(rival) => rival,
            };
            let silent = self.now().saturating_sub(rival.last_heard.load(Ordering::Relaxed));
            if u128::from(silent) < self.config.takeover_after.as_millis() {
                return Err(refused());
            }
            warn!(stream = %grant.stream, rival = rival.session, silent_ms = silent, "taking over from a silent publisher");
            rival.kick.cancel();
            let patience = self.config.sink_timeout + Duration::from_secs(1);
            timeout(patience, rival.gone.cancelled()).await.map_err(|_| refused())?;
        }
        Err(refused())
    }

    fn try_claim(self: &Arc<Self>, grant: &Grant, session: u64) -> Result<Claim, Live> {
        let mut streams = self.streams();
        let known = match streams.get(&grant.stream) {
            Some(Slot::Live(live)) => return Err(live.clone()),
            Some(Slot::Idle { .. }) => streams.remove(&grant.stream),
            None => None,
        };
        let live = Live {
            session,
            last_heard: Arc::new(AtomicU64::new(self.now())),
            kick: CancellationToken::new(),
            gone: CancellationToken::new(),
        };
        streams.insert(grant.stream.clone(), Slot::Live(live.clone()));
        drop(streams);
        let told = grant.resume.unwrap_or_default();
        let pipeline = match known {
            Some(Slot::Idle { mut pipeline, .. }) if pipeline.resume().number >= told.number => {
                pipeline.reconnect();
                pipeline
            }
            _ => Box::new(Pipeline::new(self.config.segments.clone(), told)),
        };
        Ok(Claim { server: self.clone(), stream: grant.stream.clone(), live, pipeline: Some(pipeline) })
    }
}
