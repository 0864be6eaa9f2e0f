//! RTMP messages over a socket: rtmp-rs frames them, this file bounds them.
//!
//! The chunk decoder of rtmp-rs keeps a buffer for every chunk stream and reserves each announced message at once; 65 600
//! chunk streams of 16 MiB are within its rules. [`Gate`] therefore looks at each chunk header first and refuses what
//! would exceed our limits before the decoder sees it.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rtmp_rs::protocol::chunk::{ChunkDecoder, ChunkEncoder, RtmpChunk};
use rtmp_rs::protocol::constants::{CSID_COMMAND, CSID_PROTOCOL_CONTROL, HANDSHAKE_SIZE};
use rtmp_rs::protocol::handshake::{Handshake, HandshakeRole};
use rtmp_rs::protocol::message::{Command, RtmpMessage, UserControlEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Chunk size we announce for what we send; our messages are small.
const OUT_CHUNK: u32 = 4096;
/// Bytes after which we ask the peer to expect an acknowledgement, and send ours if it asked for none.
const WINDOW: u32 = 2_500_000;
/// Chunk streams a publisher may use; encoders use four to six.
const MAX_CHUNK_STREAMS: usize = 16;
/// Messages that could not be parsed before the connection is given up.
const MAX_BROKEN: u32 = 16;
/// A peer that takes longer to accept a few bytes is not reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const READ_CHUNK: usize = 64 * 1024;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the peer stopped reading")]
    WriteStalled,
    #[error("the first byte is {0:#04x}, so this is not RTMP (RTMP starts with 0x03; HTTP and TLS have other ports)")]
    NotRtmp(u8),
    #[error("a message of {size} bytes; at most {limit} are taken")]
    MessageTooLarge { size: u32, limit: u32 },
    #[error("{0} bytes of unfinished messages")]
    TooMuchBuffered(u64),
    #[error("more than {MAX_CHUNK_STREAMS} chunk streams")]
    TooManyChunkStreams,
    #[error("a chunk size of zero")]
    ZeroChunkSize,
    #[error("{0}")]
    Rtmp(String),
}

impl From<rtmp_rs::Error> for WireError {
    fn from(error: rtmp_rs::Error) -> Self {
        Self::Rtmp(error.to_string())
    }
}

/// Bounds what the chunk decoder may be asked to hold.
#[derive(Debug)]
struct Gate {
    /// Chunk stream and length of the message last announced on it.
    announced: Vec<(u32, u32)>,
    max_message: u32,
    max_buffered: u64,
}

impl Gate {
    /// Judges the chunk that begins at `buf[0]`. False when its header is not complete yet.
    fn admit(&mut self, buf: &[u8]) -> Result<bool, WireError> {
        let Some((stream, length)) = peek(buf) else { return Ok(false) };
        let slot = match self.announced.iter().position(|(known, _)| *known == stream) {
            Some(slot) => slot,
            None if self.announced.len() == MAX_CHUNK_STREAMS => return Err(WireError::TooManyChunkStreams),
            None => {
                self.announced.push((stream, 0));
                self.announced.len() - 1
            }
        };
        if let Some(length) = length {
            if length > self.max_message {
                return Err(WireError::MessageTooLarge { size: length, limit: self.max_message });
            }
            self.announced[slot].1 = length;
            let total = self.announced.iter().map(|(_, length)| u64::from(*length)).sum();
            if total > self.max_buffered {
                return Err(WireError::TooMuchBuffered(total));
            }
        }
        Ok(true)
    }
}

/// Chunk stream and, in headers that have one, message length. `None` when bytes are missing. RTMP sections 5.3.1.1-2.
fn peek(buf: &[u8]) -> Option<(u32, Option<u32>)> {
    let first = *buf.first()?;
    let (stream, header) = match first & 0x3F {
        0 => (64 + u32::from(*buf.get(1)?), 2),
        1 => (64 + u32::from(*buf.get(1)?) + 256 * u32::from(*buf.get(2)?), 3),
        stream => (u32::from(stream), 1),
    };
    if first >> 6 >= 2 {
        return Some((stream, None));
    }
    let &[high, middle, low] = buf.get(header + 3..header + 6)?.first_chunk()?;
    Some((stream, Some(u32::from_be_bytes([0, high, middle, low]))))
}

/// One connection.
pub(super) struct Wire {
    socket: TcpStream,
    buf: BytesMut,
    gate: Gate,
    decoder: ChunkDecoder,
    encoder: ChunkEncoder,
    received: u64,
    acknowledged: u64,
    window: u64,
    broken: u32,
}

impl Wire {
    pub(super) fn new(socket: TcpStream, max_message: u32) -> Self {
        Self {
            socket,
            buf: BytesMut::new(),
            gate: Gate { announced: Vec::new(), max_message, max_buffered: u64::from(max_message) * 2 },
            decoder: ChunkDecoder::new(),
            encoder: ChunkEncoder::new(),
            received: 0,
            acknowledged: 0,
            window: u64::from(WINDOW),
            broken: 0,
        }
    }

    /// Allows larger messages, once the peer has shown a key.
    pub(super) fn set_limits(&mut self, max_message: u32, max_buffered: u64) {
        (self.gate.max_message, self.gate.max_buffered) = (max_message, max_buffered);
    }

    /// The exchange of random bytes at the start, and our settings after it.
    pub(super) async fn handshake(&mut self) -> Result<(), WireError> {
        let mut state = Handshake::new(HandshakeRole::Server);
        state.generate_initial();
        for needed in [1 + HANDSHAKE_SIZE, HANDSHAKE_SIZE] {
            while self.buf.len() < needed {
                if self.fill().await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                if needed > HANDSHAKE_SIZE && !(3..32).contains(&self.buf[0]) {
                    return Err(WireError::NotRtmp(self.buf[0]));
                }
            }
            let mut part = self.buf.split_to(needed).freeze();
            if let Some(answer) = state.process(&mut part)? {
                self.write(&answer).await?;
            }
        }
        self.send(CSID_PROTOCOL_CONTROL, 0, &RtmpMessage::SetChunkSize(OUT_CHUNK)).await?;
        self.encoder.set_chunk_size(OUT_CHUNK);
        self.send(CSID_PROTOCOL_CONTROL, 0, &RtmpMessage::WindowAckSize(WINDOW)).await
    }

    /// The next message that is not about the connection itself; `None` when the peer has closed it. Dropping this half
    /// way may tear an answer of ours: close the connection then.
    pub(super) async fn next(&mut self) -> Result<Option<RtmpMessage>, WireError> {
        loop {
            let before = self.buf.len();
            let chunk = if self.gate.admit(&self.buf)? { self.decoder.decode(&mut self.buf)? } else { None };
            let Some(chunk) = chunk else {
                if self.buf.len() == before && self.fill().await? == 0 {
                    return Ok(None);
                }
                continue;
            };
            match RtmpMessage::from_chunk(&chunk) {
                Ok(RtmpMessage::SetChunkSize(0)) => return Err(WireError::ZeroChunkSize),
                Ok(RtmpMessage::SetChunkSize(size)) => self.decoder.set_chunk_size(size),
                Ok(RtmpMessage::Abort { csid }) => self.decoder.abort(csid),
                Ok(RtmpMessage::WindowAckSize(window)) => self.window = u64::from(window.max(4096)),
                Ok(RtmpMessage::UserControl(UserControlEvent::PingRequest(time))) => {
                    let pong = RtmpMessage::UserControl(UserControlEvent::PingResponse(time));
                    self.send(CSID_PROTOCOL_CONTROL, 0, &pong).await?;
                }
                Ok(
                    RtmpMessage::Acknowledgement { .. }
                    | RtmpMessage::SetPeerBandwidth { .. }
                    | RtmpMessage::UserControl(_),
                ) => {}
                Ok(message) => return Ok(Some(message)),
                Err(error) => {
                    // One bad metadata message is no reason to lose a stream; a peer that sends nothing else is.
                    self.broken += 1;
                    if self.broken > MAX_BROKEN {
                        return Err(error.into());
                    }
                }
            }
            self.acknowledge().await?;
        }
    }

    pub(super) async fn command(&mut self, stream: u32, command: Command) -> Result<(), WireError> {
        self.send(CSID_COMMAND, stream, &RtmpMessage::Command(command)).await
    }

    pub(super) async fn control(&mut self, message: RtmpMessage) -> Result<(), WireError> {
        self.send(CSID_PROTOCOL_CONTROL, 0, &message).await
    }

    /// Ends the connection so that the peer can still read our last words: closing with unread input would reset it.
    pub(super) async fn close(mut self) {
        let end = Instant::now() + Duration::from_millis(500);
        if timeout_at(end, self.socket.shutdown()).await.is_ok() {
            let mut sink = vec![0; 4096];
            while let Ok(Ok(1..)) = timeout_at(end, self.socket.read(&mut sink)).await {}
        }
    }

    async fn fill(&mut self) -> Result<usize, WireError> {
        self.buf.reserve(READ_CHUNK);
        let count = (&mut self.socket).take(READ_CHUNK as u64).read_buf(&mut self.buf).await?;
        self.received += count as u64;
        Ok(count)
    }

    async fn acknowledge(&mut self) -> Result<(), WireError> {
        if self.received - self.acknowledged < self.window / 2 {
            return Ok(());
        }
        self.acknowledged = self.received;
        let sequence = self.received as u32; // the protocol counts modulo 2^32
        self.send(CSID_PROTOCOL_CONTROL, 0, &RtmpMessage::Acknowledgement { sequence }).await
    }

    async fn send(&mut self, csid: u32, stream_id: u32, message: &RtmpMessage) -> Result<(), WireError> {
        let (message_type, payload) = message.encode();
        let mut out = BytesMut::new();
        self.encoder.encode(&RtmpChunk { csid, timestamp: 0, message_type, stream_id, payload }, &mut out);
        self.write(out.chunk()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        timeout(WRITE_TIMEOUT, self.socket.write_all(bytes))
            .await
            .map_err(|_| WireError::WriteStalled)?
            .map_err(Into::into)
    }
}

/// The text of an AMF value that should be a string.
pub(super) fn text(value: Option<&rtmp_rs::amf::AmfValue>) -> &str {
    value.and_then(|value| value.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate { announced: Vec::new(), max_message: 1000, max_buffered: 2000 }
    }

    fn header(stream: u8, length: u32) -> Vec<u8> {
        let [_, a, b, c] = length.to_be_bytes();
        vec![stream, 0, 0, 0, a, b, c, 9, 1, 0, 0, 0]
    }

    #[test]
    fn the_gate_bounds_messages_streams_and_their_sum() {
        assert!(gate().admit(&header(4, 1000)).is_ok_and(|complete| complete));
        assert!(matches!(gate().admit(&header(4, 1001)), Err(WireError::MessageTooLarge { size: 1001, limit: 1000 })));
        let mut full = gate();
        assert!((2..18).all(|stream| full.admit(&header(stream, 10)).is_ok()));
        assert!(matches!(full.admit(&header(18, 10)), Err(WireError::TooManyChunkStreams)));
        let mut sum = gate();
        assert!((2..4).all(|stream| sum.admit(&header(stream, 1000)).is_ok()));
        assert!(matches!(sum.admit(&header(9, 1)), Err(WireError::TooMuchBuffered(2001))));
    }

    #[test]
    fn the_gate_waits_for_whole_headers_of_every_form() {
        for stream in [&[4u8][..], &[0, 200], &[1, 200, 200]] {
            let mut chunk = stream.to_vec();
            chunk.extend(&header(0, 77)[1..]);
            let complete = stream.len() + 6;
            for cut in 0..complete {
                assert!(gate().admit(&chunk[..cut]).is_ok_and(|complete| !complete), "{stream:?} {cut}");
            }
            assert_eq!(peek(&chunk).and_then(|(_, length)| length), Some(77));
        }
        assert_eq!(peek(&[0xC1, 1, 1]), Some((64 + 257, None)));
    }
}
