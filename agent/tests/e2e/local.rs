//! `headframe gateway --local`: the same program as a plain media server, from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod hls;
mod server;
mod stand_in;
mod support;

use anyhow::{Context, ensure};
use server::{PATIENCE, Server, events};
use std::fs;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::Command;

const KEY: &str = "sk_local_broadcaster";

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

/// Pushes the clip at its own pace.
async fn push(server: &Server, clip: &Path, key: &str) -> anyhow::Result<(ExitStatus, String)> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-re", "-i"]).arg(clip);
    ffmpeg.args(["-c", "copy", "-f", "flv"]).arg(format!("rtmp://{}/live/{key}", server.rtmp));
    ffmpeg.stdin(Stdio::null()).kill_on_drop(true);
    let done = tokio::time::timeout(PATIENCE, ffmpeg.output()).await.context("the push hangs")??;
    Ok((done.status, String::from_utf8_lossy(&done.stderr).into_owned()))
}

#[tokio::test]
async fn a_gateway_alone_is_a_media_server() -> anyhow::Result<()> {
    let began = Instant::now();
    let dir = tempfile::tempdir()?;
    let clip = support::clip(8).await?;

    let server = Server::start(dir.path(), 1, CONFIG, &["--stream-key", KEY]).await?;
    let (pushed, said) = push(&server, &clip.path, KEY).await?;
    ensure!(pushed.success(), "the push fails: {said}");
    let stream = server
        .streams(|streams| streams.iter().any(|s| s["publishing"] == false && s["waiting"] == 0))
        .await?
        .remove(0);
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
    let server = Server::start(dir.path(), 2, CONFIG, &["--stream-key", KEY]).await?;
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
    let (pushed, said) = push(&server, &clip.path, wrong).await?;
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

#[tokio::test]
async fn a_ladder_that_cannot_be_made_here_is_refused_at_the_start() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let program = stand_in::h264_only(dir.path());
    let config = CONFIG.replace("workers = 1", &format!("workers = 1\nprogram = {program:?}"));
    let hevc = "ladder = [{ name = \"hi\", width = 1280, height = 720, bitrate_bps = 2000000, codec = \"hevc\" }]\n";
    let refused = Server::start(dir.path(), 1, &format!("{config}{hevc}"), &["--stream-key", KEY]).await;
    let told = refused.err().context("it starts")?.to_string();
    for words in ["exit status: 78", "gateway.ladder: rendition hi is hevc", "no encoder libx265"] {
        ensure!(told.contains(words), "{words} missing in: {told}");
    }

    let server = Server::start(dir.path(), 2, &config, &["--stream-key", KEY]).await?;
    let status = support::json(&format!("{}/status", server.admin)).await?;
    ensure!(status["transcoding"]["codecs"] == serde_json::json!(["h264"]), "{status}");
    let (status, _) = server.stop().await?;
    ensure!(status.code() == Some(0), "it ends with {status}");
    Ok(())
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    // The log cannot tell where it listens. It is full from the first line on: a pipe holds 64 KiB.
    let at = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = CONFIG.replacen("listen = \"127.0.0.1:0\"", &format!("listen = \"{at}\""), 1);
    let (file, admin) = (dir.path().join("silent.toml"), format!("http://{at}"));
    fs::write(&file, format!("state_dir = {:?}\n{config}", dir.path().join("state").display().to_string()))?;
    let (_unread, mut full) = std::io::pipe()?;
    std::io::Write::write_all(&mut full, &[b'\n'; 65_536])?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
    command.args(["gateway", "--local", "--stream-key", KEY, "--config"]).arg(&file);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(full).kill_on_drop(true).spawn()?;
    let deadline = Instant::now() + PATIENCE;
    while support::metrics(&admin).await.is_err() {
        ensure!(child.try_wait()?.is_none(), "it has ended");
        ensure!(Instant::now() < deadline, "it does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(support::text(&format!("{admin}/healthz")).await? == "ok\n");
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.context("it has ended")?, rustix::process::Signal::TERM)?;
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await.context("it does not stop")??;
    ensure!(ended.success(), "{ended}");
    Ok(())
}
