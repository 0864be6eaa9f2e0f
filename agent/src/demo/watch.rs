//! Looks at the running market twice a second and tells a person what changed.

use super::cluster::Cluster;
use super::ledger::Ledger;
use super::progress::{Live, elapsed, step};
use headframe_market::JobId;
use headframe_market::machine::{ClaimState, JobState};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What was seen so far.
pub(super) struct Watch {
    live: Option<Live>,
    clip_seconds: f64,
    once: bool,
    jobs: BTreeMap<u64, JobState>,
    claims: BTreeMap<u64, ClaimState>,
    transactions: BTreeMap<String, String>,
    segments: u64,
    latencies: Vec<f64>,
    ratios: Vec<f64>,
    first_playable: Option<Duration>,
    moved: Instant,
    over: bool,
}

impl Watch {
    pub(super) fn new(clip_seconds: f64, once: bool) -> Self {
        Self {
            live: Some(Live::new()),
            clip_seconds,
            once,
            jobs: BTreeMap::new(),
            claims: BTreeMap::new(),
            transactions: BTreeMap::new(),
            segments: 0,
            latencies: Vec::new(),
            ratios: Vec::new(),
            first_playable: None,
            moved: Instant::now(),
            over: false,
        }
    }

    /// The live line, to be dropped before other output.
    pub(super) fn take_live(&mut self) -> Option<Live> {
        self.live.take()
    }

    /// How long nothing has changed.
    pub(super) fn stuck_for(&self) -> Duration {
        self.moved.elapsed()
    }

    /// All jobs seen are closed.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Since the demo began.
    pub(super) fn first_playable(&self) -> Option<Duration> {
        self.first_playable
    }

    /// Median playing time over working time.
    pub(super) fn realtime_factor(&self) -> Option<f64> {
        let mut ratios = self.ratios.clone();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    }

    /// Median and worst time from the last byte of a source segment to its listing. The start is left out: until a rig
    /// is found, segments wait.
    pub(super) fn latency_json(&self) -> Value {
        let mut all = self.latencies[self.latencies.len() / 2..].to_vec();
        all.sort_by(f64::total_cmp);
        json!({ "median": all.get(all.len() / 2), "worst": all.last(), "of": "second half of the stream" })
    }

    /// Looks once. Anything that does not answer is looked at again the next time.
    pub(super) async fn look(&mut self, cluster: &Cluster) {
        if let Ok(status) = cluster.status(&cluster.gateway).await {
            self.look_at_gateway(cluster, &status);
            self.look_at_transactions("gateway", &status["transcoding"]["transactions"]);
        }
        for node in &cluster.nodes {
            if let Ok(status) = cluster.status(node).await {
                self.look_at_transactions(&node.process.name, &status["transactions"]);
            }
        }
        let _ = self.look_at_chain(cluster).await;
    }

    fn look_at_gateway(&mut self, cluster: &Cluster, status: &Value) {
        let stream = &status["streams"][0];
        let segments = stream["segments"].as_u64().unwrap_or(0);
        if segments > self.segments {
            self.moved = Instant::now();
            if self.segments == 0 {
                self.first_playable = Some(elapsed());
                step(
                    "play",
                    &format!("first segment is playable: {}/watch/{}", cluster.gateway.http, super::cluster::STREAM_ID),
                );
                if let Some((index, job)) = winner(cluster, &stream["job"]) {
                    step("play", &format!("the rig serves it too: {}/watch/job-{job}", cluster.nodes[index].http));
                }
            }
            self.segments = segments;
            self.latencies.extend(stream["last_latency_s"].as_f64());
            self.ratios.extend(stream["last_realtime_ratio"].as_f64());
        }
        let number = |name: &str| stream[name].as_f64().unwrap_or(0.0);
        let of = if self.once { format!(" of {:.0}", self.clip_seconds) } else { String::new() };
        let line = format!(
            "{segments} segments, {:.0}{of} s of video, {} waiting, latency {:.2} s, {:.1}x real time, {} claims",
            number("seconds"),
            number("waiting"),
            number("last_latency_s"),
            self.realtime_factor().unwrap_or(0.0),
            self.claims.len(),
        );
        let trouble = stream["trouble"].as_str().map(|text| format!(" [{text}]")).unwrap_or_default();
        if let Some(live) = &mut self.live {
            live.show(line + &trouble);
        }
    }

    fn look_at_transactions(&mut self, who: &str, transactions: &Value) {
        for transaction in transactions["recent"].as_array().into_iter().flatten() {
            let (Some(key), Some(state)) = (transaction["key"].as_str(), transaction["state"].as_str()) else {
                continue;
            };
            let id = format!("{who}:{key}");
            if self.transactions.get(&id).is_some_and(|known| known == state) {
                continue;
            }
            self.transactions.insert(id, state.to_owned());
            let hash = transaction["hash"].as_str().unwrap_or("");
            match state {
                "mined" => step(who, &format!("{key:<28} tx {hash}")),
                "failed" => step(who, &format!("{key:<28} FAILED: {}", transaction["error"].as_str().unwrap_or(""))),
                _ => {}
            }
        }
    }

    async fn look_at_chain(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let chain = &cluster.chain;
        let mut closed = Vec::new();
        for id in 1..chain.next_job().await?.0 {
            let job = chain.job(JobId(id)).await?;
            closed.push(job.state == JobState::Closed);
            if self.jobs.insert(id, job.state) == Some(job.state) {
                continue;
            }
            self.moved = Instant::now();
            let text = match job.state {
                JobState::Open => format!("job {id} is open"),
                JobState::Assigned => {
                    format!("job {id} goes to {} for {} wei per 1000 pixels", job.operator, job.price)
                }
                JobState::Active => format!("job {id} has begun; {} in escrow", job.escrow),
                JobState::Draining => format!("job {id} takes no more segments; the rest is being claimed"),
                JobState::Closed => format!("job {id} is closed"),
                JobState::None => continue,
            };
            step("market", &text);
        }
        self.over = !closed.is_empty() && closed.iter().all(|closed| *closed);
        self.look_at_claims(cluster).await
    }

    async fn look_at_claims(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let head = cluster.chain.rpc().head().await?.number;
        for node in &cluster.nodes {
            let since = headframe_market::BlockNo(cluster.start_block);
            for id in cluster.chain.claims_since(node.address, since, head).await? {
                if self.claims.get(&id.0).is_some_and(|state| state.is_over()) {
                    continue;
                }
                let claim = cluster.chain.claim(id).await?;
                if self.claims.insert(id.0, claim.state) == Some(claim.state) {
                    continue;
                }
                self.moved = Instant::now();
                let range = format!("claim of segments {}..{}", claim.first, claim.first.0 + u64::from(claim.count));
                let text = match claim.state {
                    ClaimState::Submitted => format!("{range}: {} units for {}", claim.units, claim.fee),
                    ClaimState::Sealed => format!("{range}: the draw is fixed"),
                    ClaimState::Answered => format!("{range}: the drawn segments are opened"),
                    ClaimState::Revealed => format!("{range}: what they decode to is told"),
                    ClaimState::Missed => format!("{range}: MISSED"),
                    ClaimState::Settled => format!("{range}: {} paid", claim.fee),
                    ClaimState::Slashed => format!("{range}: SLASHED"),
                    ClaimState::None => continue,
                };
                step("market", &text);
            }
        }
        Ok(())
    }
}

/// The rig that has the stream's job, by index, and the job's number.
fn winner(cluster: &Cluster, job: &Value) -> Option<(usize, u64)> {
    let operator = job["view"]["operator"].as_str()?.to_lowercase();
    let index = cluster.nodes.iter().position(|node| node.address.to_string().to_lowercase() == operator)?;
    Some((index, job["id"].as_u64()?))
}

/// Where the demo's output can be played, the rig's own address first.
pub(super) fn hls_urls(cluster: &Cluster, ledger: &Ledger) -> Vec<String> {
    let mut urls = Vec::new();
    for job in &ledger.jobs {
        if let Some(node) = cluster.nodes.iter().find(|node| node.address == job.operator) {
            urls.push(format!("{}/hls/job-{}/master.m3u8", node.http, job.id));
        }
    }
    urls.push(format!("{}/hls/{}/master.m3u8", cluster.gateway.http, super::cluster::STREAM_ID));
    urls
}

/// What does not add up between the gateway's segments, the claims and the clip.
pub(super) fn segment_faults(gateway: &Value, ledger: &Ledger, frames: Option<u64>) -> Vec<String> {
    let stream = &gateway["streams"][0];
    let number = |name: &str| stream[name].as_u64().unwrap_or(0);
    let mut faults = Vec::new();
    let mut equal = |what: &str, found: u64, due: u64| {
        if found != due {
            faults.push(format!("{what}: {found}, due {due}"));
        }
    };
    equal("segments claimed", ledger.segments(), number("segments"));
    equal("segments that could not be transcoded", number("failed"), 0);
    equal("segments still waiting", number("waiting"), 0);
    if let Some(frames) = frames {
        equal("frames delivered", number("frames"), frames);
    }
    equal("streams without a segment", u64::from(number("segments") == 0), 0);
    faults
}

/// The summary for a person.
pub(super) fn print_summary(summary: &Value) {
    let number = |name: &str| summary[name].as_f64().unwrap_or(0.0);
    let coin = |value: &Value| {
        let wei = value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        headframe_market::Wei(wei).to_string()
    };
    println!();
    println!("Summary");
    println!("  segments        {} delivered, {} claimed and paid", summary["segments"], summary["segments_claimed"]);
    println!(
        "  video           {:.1} s, {} frames in, {:.1} megapixels out",
        number("seconds"),
        summary["frames"],
        number("pixels") / 1e6
    );
    println!("  bytes           {:.1} MB in, {:.1} MB out", number("source_bytes") / 1e6, number("output_bytes") / 1e6);
    println!(
        "  speed           {:.1}x real time per segment, latency {:.2} s (median), first playable segment after {:.1} s",
        number("realtime_factor"),
        summary["latency_s"]["median"].as_f64().unwrap_or(0.0),
        number("first_playable_s"),
    );
    println!("  claims          {} on {} job(s), slashes {}", summary["claims"], summary["jobs"], summary["slashes"]);
    println!("  fees paid       {}", coin(&summary["fees_wei"]));
    println!("  {:<14} {:>22} {:>22} {:>20}  tx", "party", "before", "after", "gas");
    for party in summary["parties"].as_array().into_iter().flatten() {
        let name = party["name"].as_str().unwrap_or("");
        let (before, after, gas) = (coin(&party["before"]), coin(&party["after"]), coin(&party["gas"]));
        println!("  {name:<14} {before:>22} {after:>22} {gas:>20}  {}", party["transactions"]);
    }
    for url in summary["hls"].as_array().into_iter().flatten() {
        println!("  HLS             {}", url.as_str().unwrap_or(""));
    }
    match summary["faults"].as_array().map(Vec::len) {
        Some(0) => println!("  every segment and every balance adds up"),
        _ => println!("  IT DOES NOT ADD UP"),
    }
}
