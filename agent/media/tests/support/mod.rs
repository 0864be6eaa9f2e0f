//! A server to test, a publisher that can misbehave ([`Raw`]), and ffmpeg as publisher and as judge.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test uses its part of this, and may panic")]

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use headframe_media::ingest::rtmp::{Authorize, Config, Grant, PublishRequest, Refusal, serve};
use headframe_media::ingest::{IngestEvent, Resume, SourceSegment};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

mod raw;

pub use raw::Raw;

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
