//! The node as its operator sees it while others attack: whether it answers, and how much memory it takes.

use crate::server::Server;
use anyhow::{Context, ensure};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Longer than this, a supervisor would call it dead.
const ANSWER: Duration = Duration::from_secs(5);

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Rounds of questions, all answered.
    pub(crate) rounds: u32,
    /// The slowest answer.
    pub(crate) slowest: Duration,
    /// Resident bytes of the node, at most.
    pub(crate) node: u64,
    /// Of one worker, at most.
    pub(crate) worker: u64,
}

/// Asks until told to stop. An answer that is late or wrong is an error.
pub(crate) async fn watch(admin: String, pid: u32, stop: CancellationToken) -> anyhow::Result<Seen> {
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build()?;
    let mut seen = Seen::default();
    while !stop.is_cancelled() {
        for page in ["healthz", "metrics", "status"] {
            let asked = Instant::now();
            let answer = client.get(format!("{admin}/{page}")).send().await.with_context(|| page.to_owned())?;
            ensure!(answer.status() == 200, "{page}: {}", answer.status());
            let text = answer.text().await.with_context(|| page.to_owned())?;
            seen.slowest = seen.slowest.max(asked.elapsed());
            if page == "status" {
                let status: Value = serde_json::from_str(&text)?;
                let pids = status["transcoding"]["workers"]["pids"].as_array().context("no workers in the status")?;
                let workers = pids.iter().filter_map(|pid| resident(u32::try_from(pid.as_u64()?).ok()?));
                seen.worker = workers.fold(seen.worker, u64::max);
            }
        }
        seen.node = seen.node.max(resident(pid).context("the node is gone")?);
        seen.rounds += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(seen)
}

/// Bytes of a process in memory; `None` when it is gone.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? << 10)
}

/// [`watch`] on a task of its own.
pub(crate) fn start(
    server: &Server,
    stop: &CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<anyhow::Result<Seen>>> {
    let pid = server.child.id().context("the node has ended")?;
    Ok(tokio::spawn(watch(server.admin.clone(), pid, stop.clone())))
}
