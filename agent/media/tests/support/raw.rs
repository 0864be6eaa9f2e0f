//! A publisher made of parts, so that it can send what no encoder would. Any test of this project may take this file in.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test uses its part of this, and may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rtmp_rs::amf::AmfValue;
use rtmp_rs::protocol::chunk::{ChunkDecoder, ChunkEncoder, RtmpChunk};
use rtmp_rs::protocol::handshake::{Handshake, HandshakeRole};
use rtmp_rs::protocol::message::{Command as Call, RtmpMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// A publisher made of parts, so that it can send what no encoder would.
pub struct Raw {
    pub socket: TcpStream,
    encoder: ChunkEncoder,
    decoder: ChunkDecoder,
    buf: BytesMut,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let mut state = Handshake::new(HandshakeRole::Client);
        socket.write_all(&state.generate_initial().unwrap()).await.unwrap();
        let mut answer = vec![0; 1 + 2 * 1536];
        socket.read_exact(&mut answer).await.unwrap();
        let last = state.process(&mut answer.into()).unwrap().unwrap();
        socket.write_all(&last).await.unwrap();
        Self { socket, encoder: ChunkEncoder::new(), decoder: ChunkDecoder::new(), buf: BytesMut::new() }
    }

    pub async fn send(&mut self, csid: u32, timestamp: u32, stream_id: u32, message: &RtmpMessage) {
        let (message_type, payload) = message.encode();
        self.chunk(RtmpChunk { csid, timestamp, message_type, stream_id, payload }).await;
    }

    /// Any bytes as a message of any type.
    pub async fn message(&mut self, message_type: u8, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        self.chunk(RtmpChunk { csid: 3, timestamp: 0, message_type, stream_id: 0, payload }).await;
    }

    /// A message of the published stream.
    pub async fn tag(&mut self, message_type: u8, timestamp: u32, payload: &[u8]) {
        let csid = if message_type == 8 { 4 } else { 6 };
        let payload = Bytes::copy_from_slice(payload);
        self.chunk(RtmpChunk { csid, timestamp, message_type, stream_id: 1, payload }).await;
    }

    /// Says that chunks are this long from here on, and makes them so. The protocol begins with 128 bytes.
    pub async fn chunk_size(&mut self, bytes: u32) {
        self.send(2, 0, 0, &RtmpMessage::SetChunkSize(bytes)).await;
        self.encoder.set_chunk_size(bytes);
    }

    async fn chunk(&mut self, chunk: RtmpChunk) {
        let mut out = BytesMut::new();
        self.encoder.encode(&chunk, &mut out);
        // A server that has had enough closes: what it says is asserted by what it sends and reports.
        let _ = self.socket.write_all(&out).await;
    }

    pub async fn call(&mut self, name: &str, id: f64, object: AmfValue, arguments: Vec<AmfValue>) {
        let call = Call { name: name.into(), transaction_id: id, command_object: object, arguments, stream_id: 1 };
        self.send(3, 0, u32::from(name == "publish"), &RtmpMessage::Command(call)).await;
    }

    /// Connects as an encoder does and asks to publish; gives code and text of the answer.
    pub async fn publish(address: SocketAddr, key: &str) -> (Self, String, String) {
        let mut raw = Self::connect(address).await;
        let app = [("app".to_owned(), AmfValue::String("live".into()))].into_iter().collect();
        raw.call("connect", 1.0, AmfValue::Object(app), vec![]).await;
        raw.call("createStream", 2.0, AmfValue::Null, vec![]).await;
        raw.call("publish", 3.0, AmfValue::Null, vec![AmfValue::String(key.into()), AmfValue::String("live".into())])
            .await;
        let (code, text) = raw.status().await.expect("an answer to publish");
        (raw, code, text)
    }

    pub async fn video(&mut self, ms: u32, body: &[u8]) {
        let data = Bytes::copy_from_slice(body);
        self.send(6, ms, 1, &RtmpMessage::Video { timestamp: ms, data }).await;
    }

    /// The next `onStatus`; `None` when the connection ends first.
    pub async fn status(&mut self) -> Option<(String, String)> {
        loop {
            let before = self.buf.len();
            if let Some(chunk) = self.decoder.decode(&mut self.buf).unwrap() {
                match RtmpMessage::from_chunk(&chunk).unwrap() {
                    RtmpMessage::SetChunkSize(size) => self.decoder.set_chunk_size(size),
                    RtmpMessage::Command(call) if call.name == "onStatus" => {
                        let info = call.arguments[0].as_object().unwrap();
                        let text = |name: &str| info[name].as_str().unwrap().to_owned();
                        return Some((text("code"), text("description")));
                    }
                    _ => {}
                }
            } else if self.buf.len() == before {
                match timeout(PATIENCE, self.socket.read_buf(&mut self.buf)).await.expect("an answer or the end") {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        }
    }

    /// Two parameter sets of a 1280x720 picture.
    pub async fn config(&mut self) {
        let sps = [
            0x67, 0x64, 0x00, 0x1F, 0xAC, 0xD9, 0x40, 0x50, 0x05, 0xBB, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
            0x00, 0x03, 0x03, 0xC0, 0xF1, 0x83, 0x19, 0x60,
        ];
        let pps = [0x68, 0xEB, 0xE3, 0xCB, 0x22, 0xC0];
        let mut body = vec![0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1F, 0xFF, 0xE1, 0, sps.len() as u8];
        body.extend(sps);
        body.extend([1, 0, pps.len() as u8]);
        body.extend(pps);
        self.video(0, &body).await;
    }

    /// A picture that no decoder would take and that has the shape of one.
    pub async fn picture(&mut self, ms: u32, idr: bool) {
        let (head, unit) = if idr { (0x17, 0x65) } else { (0x27, 0x41) };
        self.video(ms, &[head, 1, 0, 0, 0, 0, 0, 0, 3, unit, 1, 2]).await;
    }
}
