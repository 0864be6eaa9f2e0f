//! Publishers' bytes in, segments out.
//!
//! Each protocol ends in the same [`pipeline`] and reports through the same [`IngestEvent`]s. Parsing is apart from
//! sockets, so that it can be tested and fuzzed without them.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::time::Instant;

use crate::clock::{self, Ticks};
use crate::h264::PictureInfo;
use crate::id::StreamId;

mod enhanced;
pub mod flv;
pub mod pipeline;
pub mod rtmp;

/// What ingest tells its owner. All events of one stream come in order, and `Started` pairs with `Ended`.
#[derive(Debug)]
pub enum IngestEvent {
    /// A publisher was let in and has sent a picture format that can be decoded.
    Started {
        /// Public name of the stream.
        stream: StreamId,
        /// Where the publisher connects from.
        peer: SocketAddr,
        /// Size and profile, from the parameter sets rather than from what the publisher claims.
        picture: PictureInfo,
        /// Number that the first segment will have.
        number: u64,
    },
    /// A segment is complete.
    Segment(SourceSegment),
    /// The publisher does something harmful that does not end the stream.
    Degraded {
        /// Public name of the stream.
        stream: StreamId,
        /// What it does and how to stop it.
        what: String,
    },
    /// The publisher is gone; everything it sent has been passed on. It may come back and the numbers will go on.
    Ended {
        /// Public name of the stream.
        stream: StreamId,
        /// Why.
        reason: EndReason,
    },
    /// A publisher was turned away, or failed before it had sent a picture format.
    Rejected {
        /// Where it connected from.
        peer: SocketAddr,
        /// The stream its key stands for, if it does.
        stream: Option<StreamId>,
        /// Why.
        reason: EndReason,
    },
}

/// One piece of a source: a transport stream that begins with an IDR picture and decodes alone.
#[derive(Debug, Clone)]
pub struct SourceSegment {
    /// Public name of the stream.
    pub stream: StreamId,
    /// Counts up by one, over reconnects too.
    pub number: u64,
    /// The transport stream.
    pub bytes: Bytes,
    /// When its first picture is shown, on the stream's continuous timeline.
    pub first_pts: Ticks,
    /// How long it lasts.
    pub duration: Ticks,
    /// Pictures in it.
    pub frames: u32,
    /// Whether there is sound in it.
    pub has_audio: bool,
    /// Frames are missing before it.
    pub discontinuity: bool,
    /// When its last byte arrived.
    pub received_at: Instant,
}

/// Where a stream goes on: the number and the time that its next segment gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// Number of the next segment.
    pub number: u64,
    /// When its first picture is shown.
    pub pts: Ticks,
}

impl Default for Resume {
    fn default() -> Self {
        Self { number: 0, pts: clock::START }
    }
}

/// Why a publisher's connection came to its end. The text says what to do about it where something can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The publisher said that it is done.
    #[error("the publisher stopped")]
    Unpublished,
    /// The connection was closed without a word.
    #[error("the publisher's connection was closed")]
    Disconnected,
    /// Nothing complete arrived for this long.
    #[error("nothing arrived for {0} s; the connection is taken for dead")]
    ReadTimeout(u64),
    /// The key is unknown.
    #[error("the stream key (hash {key}) is not known here; copy the key of the stream again")]
    UnknownKey {
        /// First bytes of the key's SHA-256.
        key: KeyHash,
    },
    /// The key is known and may not publish now.
    #[error("{0}")]
    Forbidden(String),
    /// Somebody else publishes this stream at the moment.
    #[error("the stream {0} is already being published; stop the other publisher first")]
    AlreadyPublishing(StreamId),
    /// Another connection with the same key took over this one, which had fallen silent.
    #[error("another connection with the same key took over")]
    TakenOver,
    /// Sound came, and no picture.
    #[error("no video arrived for {0} s; send H.264 video, audio alone is not carried")]
    NoVideo(u64),
    /// The picture is coded in a way that we do not decode.
    #[error("{0} video is not supported here; set the encoder to H.264, 8 bit, 4:2:0")]
    UnsupportedVideo(String),
    /// The peer does not speak the protocol or speaks it wrongly.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// No room for another connection.
    #[error("all {0} connections for publishers are in use")]
    TooManyConnections(usize),
    /// Whoever takes the segments did not take one in time.
    #[error("the segments are not being consumed; the machine is overloaded")]
    ConsumerStalled,
    /// This server is stopping.
    #[error("the server is shutting down; reconnect")]
    ServerStopping,
}

/// A short name of a secret for logs: the first six bytes of its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 6]);

impl KeyHash {
    /// The hash of `key`.
    pub fn of(key: &str) -> Self {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(key.as_bytes());
        let mut short = [0; 6];
        short.copy_from_slice(&digest[..6]);
        Self(short)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
