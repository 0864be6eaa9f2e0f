//! A server to test, a publisher that can misbehave, and ffmpeg as publisher and as judge.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test uses its part of this, and may panic")]

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use headframe_media::ingest::rtmp::{Authorize, Config, Grant, PublishRequest, Refusal, serve};
use headframe_media::ingest::{IngestEvent, Resume, SourceSegment};
use rtmp_rs::amf::AmfValue;
use rtmp_rs::protocol::chunk::{ChunkDecoder, ChunkEncoder, RtmpChunk};
use rtmp_rs::protocol::handshake::{Handshake, HandshakeRole};
use rtmp_rs::protocol::message::{Command as Call, RtmpMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub const KEY: &str = "sk_secret_of_the_stage";
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Server {
    pub address: SocketAddr,
    pub events: mpsc::Receiver<IngestEvent>,
    pub stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

/// Limits short enough for a test.
pub fn quick() -> Config {
    let millis = Duration::from_millis;
    Config {
        no_video_timeout: millis(1500),
        takeover_after: millis(300),
        read_timeout: Duration::from_secs(5),
        ..Config::default()
    }
}

/// One known key, [`KEY`], for the stream `stage`.
pub async fn server(config: Config, resume: Option<Resume>) -> Server {
    let auth = move |request: &PublishRequest<'_>| match request.key {
        KEY if request.app == "live" => Ok(Grant { stream: "stage".parse().unwrap(), resume }),
        "sk_paused" => Err(Refusal::Forbidden("this stream is paused".into())),
        _ => Err(Refusal::UnknownKey),
    };
    let auth: Arc<dyn Authorize> = Arc::new(auth);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sink, events) = mpsc::channel(1024);
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, config, auth, sink, stop.clone()));
    Server { address, events, stop, task }
}

impl Server {
    pub async fn next(&mut self) -> IngestEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("the server runs")
    }

    /// Everything up to the end of the stream, which must have begun.
    pub async fn stream(&mut self) -> Vec<SourceSegment> {
        let mut segments = Vec::new();
        loop {
            match self.next().await {
                IngestEvent::Segment(segment) => segments.push(segment),
                IngestEvent::Ended { .. } => return segments,
                IngestEvent::Rejected { reason, .. } => panic!("rejected: {reason}"),
                IngestEvent::Started { .. } | IngestEvent::Degraded { .. } => {}
            }
        }
    }

    pub async fn rejected(&mut self) -> headframe_media::ingest::EndReason {
        match self.next().await {
            IngestEvent::Rejected { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    pub async fn shut_down(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.expect("the server stops").unwrap().unwrap();
    }

    pub fn url(&self, key: &str) -> String {
        format!("rtmp://{}/live/{key}", self.address)
    }
}

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

/// Whether ffmpeg is installed; a test that needs it says so and passes where it is not.
pub fn has_ffmpeg() -> bool {
    let found = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: ffmpeg is not installed");
    }
    found
}

/// Runs ffmpeg on a thread of its own.
pub async fn ffmpeg(arguments: Vec<String>) -> Output {
    let run = move || Command::new("ffmpeg").args(["-v", "error", "-nostdin", "-y"]).args(arguments).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Arguments for a moving picture and a tone, with B-frames: `seconds` at 30 frames a second, a key frame each second.
pub fn picture_and_tone(seconds: u32) -> Vec<String> {
    let text = format!(
        "-f lavfi -i testsrc2=s=320x180:r=30 -f lavfi -i sine=440:r=44100 -t {seconds} -c:v libx264 -preset superfast -bf 3 \
         -b_strategy 0 -g 30 -sc_threshold 0 -pix_fmt yuv420p -threads 1 -c:a aac -b:a 96k -ac 2"
    );
    text.split(' ').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// What ffprobe says about the packets of a kind: (pts, dts, key frame).
pub fn packets(file: &Path, kind: &str) -> Vec<(i64, i64, bool)> {
    let entries = ["-show_entries", "packet=pts,dts,flags", "-of", "csv=p=0"];
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", kind])
        .args(entries)
        .arg(file)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{}: {errors}", file.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let fields = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let rows = text.lines().map(fields).filter(|row| row.len() >= 3);
    rows.map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap(), row[2].starts_with('K'))).collect()
}

/// A checksum of every decoded picture, in the order shown.
pub fn pictures(file: &Path) -> Vec<String> {
    let decode = ["-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-"];
    let output = Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(file).args(decode).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{}: {errors}", file.display());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

/// Writes segments into one file.
pub fn join(path: &Path, segments: &[SourceSegment]) {
    let mut file = std::fs::File::create(path).unwrap();
    segments.iter().for_each(|segment| file.write_all(&segment.bytes).unwrap());
}
