//! `headframe gateway --local`: the same program as a plain media server, from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod hls;
mod support;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const KEY: &str = "sk_local_broadcaster";
const PATIENCE: Duration = Duration::from_secs(90);
/// Far above what stopping takes, far below systemd's TimeoutStopSec.
const STOPPING: Duration = Duration::from_secs(30);

const CONFIG: &str = r#"
[admin]
listen = "127.0.0.1:0"
[codec]
workers = 1
[gateway]
rtmp = "127.0.0.1:0"
listen = "127.0.0.1:0"
grace = "1s"
"#;

struct Server {
    child: Child,
    log: PathBuf,
    rtmp: String,
    http: String,
    admin: String,
}

impl Server {
    /// Starts it and reads from its log where it listens.
    async fn start(dir: &Path, run: u32) -> anyhow::Result<Self> {
        let config = dir.join("local.toml");
        fs::write(&config, format!("state_dir = {:?}\n{CONFIG}", dir.join("state").display().to_string()))?;
        let log = dir.join(format!("{run}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
        command.args(["--log-format", "json", "gateway", "--local", "--stream-key", KEY, "--config"]).arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).kill_on_drop(true);
        let mut child = command.spawn()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = events(&log).into_iter().find(|event| event["message"] == "gateway ready");
            if let Some(ready) = ready {
                let at =
                    |name: &str| ready[name].as_str().map(str::to_owned).with_context(|| format!("no {name}: {ready}"));
                let (rtmp, http, admin) = (at("rtmp")?, at("http")?, at("admin")?);
                return Ok(Self { child, log, rtmp, http: format!("http://{http}"), admin: format!("http://{admin}") });
            }
            if let Some(status) = child.try_wait()? {
                bail!("it ended with {status}: {}", fs::read_to_string(&log)?);
            }
            ensure!(Instant::now() < deadline, "it is not ready: {}", fs::read_to_string(&log)?);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Pushes the clip at its own pace.
    async fn push(&self, clip: &Path, key: &str) -> anyhow::Result<(ExitStatus, String)> {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-re", "-i"]).arg(clip);
        ffmpeg.args(["-c", "copy", "-f", "flv"]).arg(format!("rtmp://{}/live/{key}", self.rtmp));
        ffmpeg.stdin(Stdio::null()).kill_on_drop(true);
        let done = tokio::time::timeout(PATIENCE, ffmpeg.output()).await.context("the push hangs")??;
        Ok((done.status, String::from_utf8_lossy(&done.stderr).into_owned()))
    }

    /// The one stream in its status, once `holds`.
    async fn stream(&self, holds: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = support::json(&format!("{}/status", self.admin)).await?;
            if holds(&status["streams"][0]) {
                return Ok(status["streams"][0].clone());
            }
            ensure!(Instant::now() < deadline, "still {status}: {}", fs::read_to_string(&self.log)?);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Asks it to stop; its exit status and how long it took.
    async fn stop(mut self) -> anyhow::Result<(ExitStatus, Duration)> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let began = Instant::now();
        kill_process(pid.context("it has ended already")?, Signal::TERM)?;
        let ended = tokio::time::timeout(STOPPING, self.child.wait()).await;
        Ok((ended.context("it does not stop")??, began.elapsed()))
    }
}

/// The fields of every event in a log of JSON lines.
fn events(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let parsed = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.map(|mut event| event["fields"].take()).collect()
}

#[tokio::test]
async fn a_gateway_alone_is_a_media_server() -> anyhow::Result<()> {
    let began = Instant::now();
    let dir = tempfile::tempdir()?;
    let clip = support::clip(8).await?;

    let server = Server::start(dir.path(), 1).await?;
    let (pushed, said) = server.push(&clip.path, KEY).await?;
    ensure!(pushed.success(), "the push fails: {said}");
    let stream = server.stream(|stream| stream["publishing"] == false && stream["waiting"] == 0).await?;
    ensure!(stream["id"] == "live" && stream["failed"] == 0, "{stream}");
    ensure!(stream["frames"].as_u64() == Some(clip.frames), "{stream}");
    let master = format!("{}/hls/live/master.m3u8", server.http);
    let ended = |text: &str| text.contains("#EXT-X-ENDLIST");
    let deadline = Instant::now() + PATIENCE;
    while !ended(&support::text(&format!("{}/hls/live/240p/index.m3u8", server.http)).await?) {
        ensure!(Instant::now() < deadline, "the playlists do not end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let renditions = hls::check(&master, &clip).await?;
    let segments = renditions[0].segments.len();
    ensure!(stream["segments"].as_u64() == Some(segments as u64), "{segments} segments are listed: {stream}");
    let samples = support::metrics(&server.admin).await?;
    let done = |result: &str| support::sample(&samples, &format!("headframe_segments_total{{result=\"{result}\"}}"));
    ensure!(done("ok") + done("late") == segments as f64 && done("failed") == 0.0, "{samples:?}");
    ensure!(support::text(&format!("{}/healthz", server.admin)).await? == "ok\n");
    let ready = support::json(&format!("{}/readyz", server.admin)).await?;
    ensure!(ready["ready"] == true, "{ready}");
    let (status, took) = server.stop().await?;
    ensure!(status.code() == Some(0), "the first run ends with {status}");
    println!(
        "  first run: {segments} segments in {:.1} s, stopped in {:.1} s",
        began.elapsed().as_secs_f64(),
        took.as_secs_f64()
    );

    // What was published outlives the process; who has no key gets nowhere, and the log says why.
    let server = Server::start(dir.path(), 2).await?;
    let master = format!("{}/hls/live/master.m3u8", server.http);
    let again = hls::check(&master, &clip).await.context("after a restart")?;
    for (before, after) in renditions.iter().zip(&again) {
        let same = before
            .segments
            .iter()
            .map(|segment| &segment.bytes)
            .eq(after.segments.iter().map(|segment| &segment.bytes));
        ensure!(same, "{} changed over the restart", before.name);
    }
    let wrong = "sk_somebody_else";
    let (pushed, said) = server.push(&clip.path, wrong).await?;
    ensure!(!pushed.success(), "a wrong key is let in: {said}");
    let samples = support::metrics(&server.admin).await?;
    let refused = support::sample(&samples, "headframe_publishers_rejected_total{reason=\"unknown_key\"}");
    ensure!(refused == 1.0, "{samples:?}");
    let told = events(&server.log).into_iter().find(|event| event["message"] == "publisher refused");
    let reason = told.context("the log does not tell of the refusal")?["reason"].to_string();
    ensure!(reason.contains("key") && !fs::read_to_string(&server.log)?.contains(wrong), "told: {reason}");
    let (status, took) = server.stop().await?;
    ensure!(status.code() == Some(0), "the second run ends with {status}");
    println!("  second run: {reason}, stopped in {:.1} s", took.as_secs_f64());
    println!("  all in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}
