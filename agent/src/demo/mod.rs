//! `headframe demo`: the whole market on this machine, with real video, a real chain and real money rules, watched step by
//! step and checked at the end.

pub mod cluster;
pub mod ledger;
mod ports;
mod progress;
mod watch;

use anyhow::{Context, bail};
use clap::Args;
use cluster::{Cluster, Options};
use ledger::Ledger;
use progress::{note, step};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;
use watch::Watch;

/// What the demo can be told.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Run to the end of the clip, check every segment and every balance, exit 0 only if all adds up
    #[arg(long)]
    once: bool,
    /// The clip to publish (H.264 and AAC). Without one a synthetic clip is made
    #[arg(long, value_name = "FILE")]
    clip: Option<PathBuf>,
    /// Keep everything (logs, configurations, databases, segments) in this folder; otherwise a temporary one is used and
    /// removed after success
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the summary as JSON on standard output as well
    #[arg(long)]
    json: bool,
}

/// Prices of the two rigs, in wei per 1000 pixels: the second asks less and wins.
const PRICES: [u128; 2] = [3_000_000_000, 2_000_000_000];

/// Runs the demo. An error means that something did not add up.
pub async fn run(args: DemoArgs) -> anyhow::Result<()> {
    progress::elapsed();
    let (dir, temporary) = match &args.dir {
        Some(dir) => (dir.clone(), None),
        None => {
            let temporary = tempfile::Builder::new().prefix("headframe-demo-").tempdir()?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    let done = demonstrate(&args, &dir).await;
    match (done, temporary) {
        (Ok(()), _) => Ok(()),
        (Err(error), Some(temporary)) => {
            let kept = temporary.keep();
            Err(error.context(format!("the demo failed; everything it wrote is kept in {}", kept.display())))
        }
        (Err(error), None) => Err(error.context("the demo failed")),
    }
}

async fn demonstrate(args: &DemoArgs, dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    let clip = match &args.clip {
        Some(clip) => clip.clone(),
        None => synthetic_clip(dir).await?,
    };
    let clip_facts = Clip::probe(&clip).await?;
    step("clip", &clip_facts.describe(&clip));
    let options = Options { dir: dir.into(), prices: PRICES.into(), program: None, usual_ports: true, adjust: |_| {} };
    let mut cluster = tokio::select! {
        cluster = Cluster::start(&options, |what, text| step(what, &text)) => cluster?,
        () = crate::shutdown::asked_to_stop() => bail!("stopped while starting"),
    };
    let mut push = cluster.publish(&clip, !args.once, &dir.join("logs/ffmpeg.log"))?;
    let pushing = Instant::now();
    step("publish", &format!("ffmpeg pushes the clip{}", if args.once { " once" } else { " in a loop; Ctrl-C ends" }));

    let mut watch = Watch::new(clip_facts.seconds, args.once);
    let stop = crate::shutdown::asked_to_stop();
    tokio::pin!(stop);
    let mut stopping = false;
    loop {
        tokio::select! {
            () = &mut stop, if !stopping => {
                stopping = true;
                note("stopping: the broadcast ends, then the work is paid (Ctrl-C again to give up)");
                let _ = push.kill().await; // it may have ended by itself
            }
            ended = push.wait(), if !stopping => {
                stopping = true;
                let ended = ended?;
                step("publish", &format!("the clip is over ({ended})"));
                if !ended.success() {
                    bail!("ffmpeg failed:\n{}", cluster::tail(&dir.join("logs/ffmpeg.log")));
                }
            }
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            () = crate::shutdown::asked_to_stop(), if stopping => bail!("given up before everything was paid"),
        }
        cluster.check()?;
        watch.look(&cluster).await;
        if stopping && watch.is_over() {
            let ledger = Ledger::read(&cluster).await?;
            if ledger.is_settled() {
                break;
            }
        }
        if stopping && watch.stuck_for() > Duration::from_secs(180) {
            bail!("nothing has moved for three minutes; see the logs in {}", dir.join("logs").display());
        }
    }
    let pushed = pushing.elapsed();
    drop(watch.take_live());
    let ledger = Ledger::read(&cluster).await?;
    let gateway = cluster.status(&cluster.gateway).await?;
    let mut faults = ledger.faults();
    faults.extend(watch::segment_faults(&gateway, &ledger, args.once.then_some(clip_facts.frames)));
    let summary = summary(&cluster, &ledger, &gateway, &watch, pushed, &faults);
    watch::print_summary(&summary);
    if args.json {
        println!("{summary}");
    }
    cluster.stop().await?;
    if faults.is_empty() { Ok(()) } else { bail!("it does not add up:\n  - {}", faults.join("\n  - ")) }
}

fn summary(
    cluster: &Cluster,
    ledger: &Ledger,
    gateway: &Value,
    watch: &Watch,
    took: Duration,
    faults: &[String],
) -> Value {
    let stream = &gateway["streams"][0];
    json!({
        "segments": stream["segments"],
        "segments_claimed": ledger.segments(),
        "seconds": stream["seconds"],
        "frames": stream["frames"],
        "pixels": stream["pixels"],
        "source_bytes": stream["source_bytes"],
        "output_bytes": stream["output_bytes"],
        "wall_seconds": took.as_secs_f64(),
        "latency_s": watch.latency_json(),
        "realtime_factor": watch.realtime_factor(),
        "first_playable_s": watch.first_playable().map(|t| t.as_secs_f64()),
        "jobs": ledger.jobs.len(),
        "claims": ledger.claims.len(),
        "fees_wei": ledger.fees(),
        "slashes": ledger.slashes,
        "parties": ledger.nodes.iter().chain([&ledger.client]).collect::<Vec<_>>(),
        "hls": watch::hls_urls(cluster, ledger),
        "faults": faults,
    })
}

/// What is known of the clip before it is pushed.
struct Clip {
    seconds: f64,
    frames: u64,
    size: String,
}

impl Clip {
    async fn probe(path: &Path) -> anyhow::Result<Self> {
        let probe = Command::new("ffprobe")
            .args(["-v", "error", "-select_streams", "v:0", "-count_packets"])
            .args(["-show_entries", "stream=codec_name,width,height,nb_read_packets:format=duration", "-of", "json"])
            .arg(path)
            .output()
            .await
            .context("cannot run ffprobe; install ffmpeg (`./run setup`)")?;
        if !probe.status.success() {
            bail!("{} is not a clip: {}", path.display(), String::from_utf8_lossy(&probe.stderr).trim());
        }
        let facts: Value = serde_json::from_slice(&probe.stdout)?;
        let video = &facts["streams"][0];
        if video["codec_name"] != "h264" {
            bail!(
                "{} has {} video; the demo pushes it as it is and RTMP takes H.264",
                path.display(),
                video["codec_name"]
            );
        }
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        Ok(Self {
            seconds: number(&facts["format"]["duration"]),
            frames: number(&video["nb_read_packets"]) as u64,
            size: format!("{}x{}", video["width"], video["height"]),
        })
    }

    fn describe(&self, path: &Path) -> String {
        format!("{}: {}, {:.1} s, {} frames", path.display(), self.size, self.seconds, self.frames)
    }
}

/// A moving test picture with a tone, for machines that have no clip.
async fn synthetic_clip(dir: &Path) -> anyhow::Result<PathBuf> {
    let clip = dir.join("synthetic.mp4");
    note("no clip was given; making a synthetic one of 20 s");
    let made = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"])
        .args(["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=20"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:duration=20"])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-b:v", "3M"])
        .args(["-g", "60", "-sc_threshold", "0", "-bf", "2", "-c:a", "aac", "-b:a", "128k", "-shortest"])
        .arg(&clip)
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot start ffmpeg; install it (`./run setup`)")?;
    if !made.status.success() {
        bail!("ffmpeg cannot make the clip: {}", String::from_utf8_lossy(&made.stderr).trim());
    }
    Ok(clip)
}

/// What `headframe devnet` can be told.
#[derive(Args, Clone, Debug)]
pub struct DevnetArgs {
    /// Port of the JSON-RPC
    #[arg(long, default_value_t = 8545)]
    port: u16,
    /// Where the deployment file is written
    #[arg(long, default_value = "deployment.json", value_name = "FILE")]
    deployment: PathBuf,
}

/// Runs the dev chain with the contracts until stopped.
pub async fn devnet(args: DevnetArgs) -> anyhow::Result<()> {
    let dir = tempfile::Builder::new().prefix("headframe-devnet-").tempdir()?;
    std::fs::create_dir_all(dir.path().join("logs"))?;
    let port = ports::free("the dev chain", args.port, &mut Vec::new())?;
    let (mut anvil, deployment) = cluster::dev_chain(dir.path(), port).await?;
    cluster::tick(&format!("http://127.0.0.1:{port}")).await?;
    std::fs::write(&args.deployment, serde_json::to_vec_pretty(&deployment)?)
        .with_context(|| format!("cannot write {}", args.deployment.display()))?;
    step("chain", &format!("http://127.0.0.1:{port}, chain id {}, a block every second", deployment.chain_id));
    step("contracts", &format!("{} (market {})", args.deployment.display(), deployment.market));
    step("keys", &format!("the first of anvil's well-known accounts is funded: 0x{}", cluster::DEV_KEY));
    crate::shutdown::asked_to_stop().await;
    anvil.stop(Duration::from_secs(5)).await
}
