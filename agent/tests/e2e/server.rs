//! `headframe gateway --local` as a process of its own.
#![allow(dead_code, reason = "each test uses its part of this")]

use crate::support;
use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Far above what stopping takes, far below systemd's TimeoutStopSec.
const STOPPING: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
    pub(crate) rtmp: String,
    pub(crate) http: String,
    pub(crate) admin: String,
}

impl Server {
    /// Starts it with `config` and a state beside it in `dir`, and reads from its log where it listens.
    pub(crate) async fn start(dir: &Path, run: u32, config: &str, options: &[&str]) -> anyhow::Result<Self> {
        let file = dir.join("local.toml");
        fs::write(&file, format!("state_dir = {:?}\n{config}", dir.join("state").display().to_string()))?;
        let log = dir.join(format!("{run}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
        command.args(["--log-format", "json", "gateway", "--local", "--config"]).arg(file).args(options);
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

    /// The streams in its status, once `holds`.
    pub(crate) async fn streams(&self, holds: impl Fn(&[Value]) -> bool) -> anyhow::Result<Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = support::json(&format!("{}/status", self.admin)).await?;
            let streams = status["streams"].as_array().context("no streams in the status")?;
            if holds(streams) {
                return Ok(streams.clone());
            }
            ensure!(Instant::now() < deadline, "still {status}: {}", fs::read_to_string(&self.log)?);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Asks it to stop; its exit status and how long it took.
    pub(crate) async fn stop(mut self) -> anyhow::Result<(ExitStatus, Duration)> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let began = Instant::now();
        kill_process(pid.context("it has ended already")?, Signal::TERM)?;
        let ended = tokio::time::timeout(STOPPING, self.child.wait()).await;
        Ok((ended.context("it does not stop")??, began.elapsed()))
    }
}

/// The fields of every event in a log of JSON lines.
pub(crate) fn events(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let parsed = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.map(|mut event| event["fields"].take()).collect()
}
