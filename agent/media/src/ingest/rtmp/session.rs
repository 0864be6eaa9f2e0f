//! One publisher's connection from its first byte to its last event.

use std::net::SocketAddr;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use bytes::Bytes;
use rtmp_rs::amf::AmfValue;
use rtmp_rs::protocol::constants::{
    BANDWIDTH_LIMIT_DYNAMIC, NC_CONNECT_REJECTED, NS_PUBLISH_BAD_NAME, NS_PUBLISH_START,
};
use rtmp_rs::protocol::message::{Command, ConnectParams, ConnectResponseBuilder, RtmpMessage, UserControlEvent};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::wire::{Wire, WireError, text};
use super::{Claim, PublishRequest, Refusal, Server};
use crate::id::StreamId;
use crate::ingest::pipeline::{Outcome, Pipeline};
use crate::ingest::{EndReason, IngestEvent, KeyHash, SourceSegment, flv};
use crate::segmenter::Cut;

/// Largest message before a key has been accepted.
const MESSAGE_BEFORE_KEY: u32 = 64 * 1024;
/// `createStream` calls taken from one connection; encoders make one.
const MAX_MESSAGE_STREAMS: u32 = 8;

/// A refusal: the stream, where the key named one, and why.
type Refused = (Option<StreamId>, EndReason);

/// Runs the connection to its end and reports it.
pub(super) async fn run(server: Arc<Server>, socket: TcpStream, peer: SocketAddr, session: u64) {
    let mut wire = Wire::new(socket, MESSAGE_BEFORE_KEY);
    let setup = server.config.setup_timeout;
    let negotiated = tokio::select! {
        () = server.stop.cancelled() => Err((None, EndReason::ServerStopping)),
        result = timeout(setup, negotiate(&server, &mut wire, peer, session)) => {
            result.unwrap_or(Err((None, EndReason::ReadTimeout(setup.as_secs()))))
        }
    };
    match negotiated {
        Err((stream, reason)) => {
            reject(&server, peer, stream, reason).await;
            wire.close().await;
        }
        Ok((claim, message_stream)) => {
            wire.set_limits(server.config.limits.message, server.config.limits.buffered);
            Publishing { peer, claim, started: None }.run(wire, message_stream).await;
        }
    }
}

async fn reject(server: &Server, peer: SocketAddr, stream: Option<StreamId>, reason: EndReason) {
    warn!(stream = stream.as_ref().map(StreamId::as_str), %reason, "publisher turned away");
    let event = IngestEvent::Rejected { peer, stream, reason };
    let _ = timeout(server.config.sink_timeout, server.sink.send(event)).await;
}

/// Handshake, `connect`, `createStream` and `publish`. Gives the claim and the message stream that carries it.
async fn negotiate(
    server: &Arc<Server>,
    wire: &mut Wire,
    peer: SocketAddr,
    session: u64,
) -> Result<(Claim, u32), Refused> {
    let broken = |error: WireError| (None, EndReason::from(error));
    wire.handshake().await.map_err(broken)?;
    let mut app = None;
    let mut message_streams = 0;
    while let Some(message) = wire.next().await.map_err(broken)? {
        let (RtmpMessage::Command(command) | RtmpMessage::CommandAmf3(command)) = message else { continue };
        let id = command.transaction_id;
        match command.name.as_str() {
            "connect" if app.is_none() => {
                let params = ConnectParams::from_amf(&command.command_object);
                connected(wire, id).await.map_err(broken)?;
                app = Some(params.app.trim_matches('/').to_owned());
            }
            "createStream" if message_streams < MAX_MESSAGE_STREAMS => {
                message_streams += 1;
                let answer = Command::result(id, AmfValue::Null, AmfValue::Number(message_streams.into()));
                wire.command(0, answer).await.map_err(broken)?;
            }
            "FCPublish" => {
                let mut answer = Command::on_status(0, "status", NS_PUBLISH_START, "ready");
                answer.name = "onFCPublish".into();
                wire.command(0, answer).await.map_err(broken)?;
            }
            "publish" => {
                let Some(app) = &app else {
                    return Err((None, EndReason::Protocol("publish came before connect".into())));
                };
                let name = text(command.arguments.first());
                let key = name.split('?').next().unwrap_or_default();
                return publish(server, wire, PublishRequest { app, key, peer }, command.stream_id, session).await;
            }
            "play" | "play2" => {
                let text = "this port takes publishers; watch the stream over HTTP";
                let status = Command::on_status(command.stream_id, "error", "NetStream.Play.Failed", text);
                wire.command(command.stream_id, status).await.map_err(broken)?;
                return Err((None, EndReason::Protocol("a player asked for a stream".into())));
            }
            _ => {}
        }
    }
    Err((None, EndReason::Disconnected))
}

async fn connected(wire: &mut Wire, id: f64) -> Result<(), WireError> {
    let bandwidth = RtmpMessage::SetPeerBandwidth { size: 2_500_000, limit_type: BANDWIDTH_LIMIT_DYNAMIC };
    wire.control(bandwidth).await?;
    wire.control(RtmpMessage::UserControl(UserControlEvent::StreamBegin(0))).await?;
    wire.command(0, ConnectResponseBuilder::new().build(id)).await
}

async fn publish(
    server: &Arc<Server>,
    wire: &mut Wire,
    request: PublishRequest<'_>,
    message_stream: u32,
    session: u64,
) -> Result<(Claim, u32), Refused> {
    let key = KeyHash::of(request.key);
    let granted = server.auth.authorize(&request).map_err(|refusal| match refusal {
        Refusal::UnknownKey => (None, EndReason::UnknownKey { key }),
        Refusal::Forbidden(why) => (None, EndReason::Forbidden(why)),
    });
    let claimed = match granted {
        Ok(grant) => server.claim(&grant, session).await.map_err(|reason| (Some(grant.stream.clone()), reason)),
        Err(refused) => Err(refused),
    };
    let broken = |error: WireError| (None, EndReason::from(error));
    match claimed {
        Ok(claim) => {
            info!(stream = %claim.stream, %key, app = %request.app.escape_debug(), "publisher accepted");
            let begin = RtmpMessage::UserControl(UserControlEvent::StreamBegin(message_stream));
            wire.control(begin).await.map_err(broken)?;
            let status = Command::on_status(message_stream, "status", NS_PUBLISH_START, "go ahead");
            wire.command(message_stream, status).await.map_err(broken)?;
            Ok((claim, message_stream))
        }
        Err(refused) => {
            let status = Command::on_status(message_stream, "error", NS_PUBLISH_BAD_NAME, &refused.1.to_string());
            wire.command(message_stream, status).await.map_err(broken)?;
            Err(refused)
        }
    }
}

/// An accepted publisher.
struct Publishing {
    peer: SocketAddr,
    claim: Claim,
    /// When `Started` was sent.
    started: Option<Instant>,
}

impl Publishing {
    async fn run(mut self, mut wire: Wire, message_stream: u32) {
        let reason = self.take_messages(&mut wire).await;
        let server = self.claim.server.clone();
        // What is left is passed on even when the connection broke; a consumer that stalled would not take it either.
        if reason != EndReason::ConsumerStalled
            && let Some(cut) = self.pipeline().and_then(Pipeline::flush)
        {
            let _ = self.send(self.segment(cut)).await;
        }
        let stream = self.claim.stream.clone();
        let code = match &reason {
            EndReason::Unpublished | EndReason::Disconnected | EndReason::Protocol(_) => None,
            EndReason::UnsupportedVideo(_) | EndReason::NoVideo(_) => Some("NetStream.Publish.Rejected"),
            EndReason::ServerStopping => Some(NC_CONNECT_REJECTED),
            _ => Some("NetStream.Publish.Failed"),
        };
        if self.started.is_some() {
            info!(%stream, %reason, "publisher ended");
            let _ = self.send(IngestEvent::Ended { stream, reason: reason.clone() }).await;
        } else {
            reject(&server, self.peer, Some(stream), reason.clone()).await;
        }
        drop(self); // the stream is free for the next publisher before the farewells
        if let Some(code) = code {
            let status = Command::on_status(message_stream, "error", code, &reason.to_string());
            let _ = wire.command(message_stream, status).await;
        }
        wire.close().await;
    }

    async fn take_messages(&mut self, wire: &mut Wire) -> EndReason {
        let server = self.claim.server.clone();
        let (read, no_video) = (server.config.read_timeout, server.config.no_video_timeout);
        let kick = self.claim.live.kick.clone();
        let mut picture_due = Instant::now() + no_video;
        loop {
            let message = tokio::select! {
                biased;
                () = server.stop.cancelled() => return EndReason::ServerStopping,
                () = kick.cancelled() => return EndReason::TakenOver,
                () = sleep_until(picture_due) => return EndReason::NoVideo(no_video.as_secs()),
                read = timeout(read, wire.next()) => read,
            };
            let message = match message {
                Err(_) => return EndReason::ReadTimeout(read.as_secs()),
                Ok(Err(error)) => return error.into(),
                Ok(Ok(None)) => return EndReason::Disconnected,
                Ok(Ok(Some(message))) => message,
            };
            self.claim.heard();
            match self.take(message).await {
                Break(reason) => return reason,
                Continue(true) => picture_due = Instant::now() + no_video,
                Continue(false) => {}
            }
        }
    }

    /// Handles a message. Continues with whether it held a picture.
    async fn take(&mut self, message: RtmpMessage) -> ControlFlow<EndReason, bool> {
        match message {
            RtmpMessage::Video { timestamp, data } => self.media(9, timestamp, &data).await,
            RtmpMessage::Audio { timestamp, data } => self.media(8, timestamp, &data).await,
            RtmpMessage::Aggregate { data } => {
                let mut got_picture = false;
                for (kind, ms, body) in flv::aggregate(&data) {
                    got_picture |= self.media(kind, ms, &body).await?;
                }
                Continue(got_picture)
            }
            RtmpMessage::Command(command) | RtmpMessage::CommandAmf3(command) => match command.name.as_str() {
                "deleteStream" | "closeStream" | "FCUnpublish" => Break(EndReason::Unpublished),
                _ => Continue(false),
            },
            _ => Continue(false),
        }
    }

    async fn media(&mut self, kind: u8, ms: u32, body: &Bytes) -> ControlFlow<EndReason, bool> {
        let Some(pipeline) = self.pipeline() else { return Continue(false) };
        let outcome = match kind {
            8 => pipeline.audio(ms, body),
            9 => match pipeline.video(ms, body) {
                Ok(outcome) => outcome,
                Err(unsupported) => return Break(EndReason::UnsupportedVideo(unsupported.0)),
            },
            _ => return Continue(false),
        };
        self.deliver(outcome).await
    }

    async fn deliver(&mut self, outcome: Outcome) -> ControlFlow<EndReason, bool> {
        let stream = self.claim.stream.clone();
        if let Some(picture) = outcome.picture.filter(|_| self.started.is_none()) {
            let number = self.pipeline().map_or(0, |pipeline| pipeline.resume().number);
            info!(%stream, width = picture.width, height = picture.height, codec = picture.codec, number, "stream started");
            self.started = Some(Instant::now());
            self.send(IngestEvent::Started { stream: stream.clone(), peer: self.peer, picture, number }).await?;
        }
        if let Some(what) = outcome.trouble {
            warn!(%stream, what, "publisher needs attention");
            if self.started.is_some() {
                self.send(IngestEvent::Degraded { stream, what }).await?;
            }
        }
        if let Some(cut) = outcome.cut {
            self.send(self.segment(cut)).await?;
        }
        Continue(outcome.got_picture)
    }

    fn segment(&self, cut: Cut) -> IngestEvent {
        IngestEvent::Segment(SourceSegment {
            stream: self.claim.stream.clone(),
            number: cut.number,
            bytes: cut.bytes,
            first_pts: cut.first_pts,
            duration: cut.duration,
            frames: cut.frames,
            has_audio: cut.has_audio,
            discontinuity: cut.discontinuity,
            received_at: Instant::now(),
        })
    }

    /// Waits for the consumer, which slows the publisher down through TCP, but not for ever.
    async fn send(&self, event: IngestEvent) -> ControlFlow<EndReason> {
        let server = &self.claim.server;
        match timeout(server.config.sink_timeout, server.sink.send(event)).await {
            Ok(Ok(())) => Continue(()),
            Ok(Err(_)) => Break(EndReason::ServerStopping), // nobody listens any more
            Err(_) => Break(EndReason::ConsumerStalled),
        }
    }

    fn pipeline(&mut self) -> Option<&mut Pipeline> {
        self.claim.pipeline.as_deref_mut()
    }
}

impl From<WireError> for EndReason {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(_) => Self::Disconnected,
            other => Self::Protocol(other.to_string()),
        }
    }
}
