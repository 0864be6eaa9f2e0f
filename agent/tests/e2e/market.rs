//! The whole market, as `headframe demo` runs it, judged from outside: by ffprobe, by a browser, by the chain.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod hls;
mod support;

use anyhow::{Context, ensure};
use headframe::config::Config;
use headframe::demo::cluster::{Cluster, Options, Party, STREAM_ID, tail};
use headframe::demo::ledger::Ledger;
use headframe_market::machine::ClaimState;
use headframe_media::lint;
use hls::Rendition;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::Clip;

/// Wei per unit. The second rig asks less and should win.
const PRICES: [u128; 2] = [3_000_000_000, 2_000_000_000];
/// From the first byte pushed until the last wei is paid.
const PATIENCE: Duration = Duration::from_secs(240);
/// Segments per claim: small, so that a short clip needs several claims.
const BATCH: u32 = 3;

fn small_batches(config: &mut Config) {
    config.node.claims.batch = BATCH;
}

/// What a failed run leaves behind: the folder, and the end of every log on the terminal.
struct Evidence(Option<tempfile::TempDir>);

impl Evidence {
    fn dir(&self) -> &Path {
        self.0.as_ref().unwrap().path()
    }

    fn drop_all(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        let Some(dir) = self.0.take() else { return };
        let dir = dir.keep();
        let logs = std::fs::read_dir(dir.join("logs")).into_iter().flatten().flatten();
        for log in logs.map(|entry| entry.path()) {
            eprintln!("--- the end of {}\n{}", log.display(), tail(&log));
        }
        eprintln!("everything is kept in {}", dir.display());
    }
}

#[tokio::test]
async fn a_market_transcodes_serves_and_pays() -> anyhow::Result<()> {
    let began = Instant::now();
    let evidence = Evidence(Some(tempfile::Builder::new().prefix("headframe-e2e-").tempdir()?));
    let clip = support::clip(16).await?;
    let options = Options {
        dir: evidence.dir().into(),
        prices: PRICES.into(),
        program: Some(env!("CARGO_BIN_EXE_headframe").into()),
        usual_ports: false,
        adjust: small_batches,
    };
    let mut cluster = Cluster::start(&options, |what, told| println!("  {what}: {told}")).await?;
    println!("  the market stands after {:.1} s", began.elapsed().as_secs_f64());

    let bare = format!("{}/hls/{STREAM_ID}/master.m3u8", cluster.gateway.http);
    let page = format!("{}/watch/job-1", cluster.nodes[1].http);
    let shots = (evidence.dir().join("watch.png"), evidence.dir().join("bare.png"));
    // The viewer is there before the broadcast: the page waits and begins by itself.
    let viewer = match support::no_browser() {
        Some(reason) => {
            // Past the capture of passing tests, so that it is seen.
            writeln!(std::io::stderr(), "skipped: playback in a browser: {reason}")?;
            None
        }
        None => Some(support::browse(&page, PATIENCE, &shots.0)?),
    };
    let ledger = broadcast(&mut cluster, &clip, evidence.dir()).await?;
    println!("  settled after {:.1} s", began.elapsed().as_secs_f64());

    let delivered = hls::check(&bare, &clip).await.context("the gateway's stream")?;
    let served = hls::check(&format!("{}/hls/job-1/master.m3u8", cluster.nodes[1].http), &clip).await;
    let served = served.context("the rig's stream")?;
    for (rig, gateway) in served.iter().zip(&delivered) {
        let same = rig.segments.iter().map(|s| &s.bytes).eq(gateway.segments.iter().map(|s| &s.bytes));
        ensure!(same, "rig and gateway serve different bytes of {}", rig.name);
    }
    check_accounts(&cluster, &ledger, &delivered).await?;
    check_admin(&cluster, &ledger, &delivered, &clip).await?;
    println!("  checked after {:.1} s", began.elapsed().as_secs_f64());
    if let Some(viewer) = viewer {
        println!("  watch page: {}", support::judged(viewer, PATIENCE).await.context("the watch page")?);
        let viewer = support::browse(&bare, PATIENCE, &shots.1)?;
        println!("  bare page: {}", support::judged(viewer, PATIENCE).await.context("the bare page")?);
        keep_screenshots(&[shots.0, shots.1])?;
    }
    cluster.check()?;
    let stopping = Instant::now();
    cluster.stop().await?;
    for process in cluster.nodes.iter_mut().chain([&mut cluster.gateway]).map(|party| &mut party.process) {
        let ended = process.check().err().context("it runs on after it was stopped")?.to_string();
        ensure!(ended.contains("ended with exit status: 0;"), "{ended}");
    }
    println!("  stopped in {:.1} s; all in {:.1} s", stopping.elapsed().as_secs_f64(), began.elapsed().as_secs_f64());
    evidence.drop_all();
    Ok(())
}

/// Publishes the clip once and waits until everybody is paid. Meanwhile the playlists may only change as the RFC allows.
async fn broadcast(cluster: &mut Cluster, clip: &Clip, dir: &Path) -> anyhow::Result<Ledger> {
    let log = dir.join("logs/ffmpeg.log");
    let mut push = cluster.publish(&clip.path, false, &log)?;
    let began = Instant::now();
    let playlists = [
        format!("{}/hls/{STREAM_ID}/240p/index.m3u8", cluster.gateway.http),
        format!("{}/hls/job-1/720p/index.m3u8", cluster.nodes[1].http),
    ];
    let mut known: [Option<String>; 2] = [None, None];
    let mut pushed = false;
    loop {
        cluster.check()?;
        for (url, before) in playlists.iter().zip(&mut known) {
            let (status, body) = support::get(url).await?;
            ensure!(status == 200 || status == 404 && before.is_none(), "{url}: {status}");
            let now = String::from_utf8(body)?;
            if status == 404 {
                continue;
            }
            if before.is_none() {
                println!("  {url} is there {:.1} s after the start of the broadcast", began.elapsed().as_secs_f64());
            }
            let faults = before.as_ref().map_or_else(|| lint::media(&now), |before| lint::evolution(before, &now));
            ensure!(faults.is_empty(), "{url}: {faults:?}\n--- before\n{before:?}\n--- now\n{now}");
            *before = Some(now);
        }
        if let Some(status) = push.try_wait()?.filter(|_| !pushed) {
            ensure!(status.success(), "ffmpeg: {status}\n{}", tail(&log));
            println!("  pushed after {:.1} s", began.elapsed().as_secs_f64());
            pushed = true;
        }
        if pushed {
            let ledger = Ledger::read(cluster).await?;
            if ledger.is_settled() && known.iter().flatten().filter(|text| text.contains("ENDLIST")).count() == 2 {
                return Ok(ledger);
            }
        }
        let gateway = cluster.status(&cluster.gateway).await?;
        ensure!(began.elapsed() < PATIENCE, "not settled after {PATIENCE:?}; the gateway says {gateway}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// An answer of the chain, asked for without any code of ours in between.
async fn ask(cluster: &Cluster, method: &str, params: Value) -> anyhow::Result<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let answer: Value = client.post(&cluster.rpc_url).json(&body).send().await?.json().await?;
    ensure!(answer["error"].is_null(), "{method}: {answer}");
    Ok(answer["result"].clone())
}

fn hex(value: &Value) -> anyhow::Result<i128> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    Ok(i128::from_str_radix(digits.with_context(|| format!("not a number: {value}"))?, 16)?)
}

/// How a party's balance has changed, leaving aside what it paid for transactions.
async fn gain(cluster: &Cluster, party: &Party) -> anyhow::Result<i128> {
    let address = party.address.to_string();
    let head = ask(cluster, "eth_blockNumber", json!([])).await?;
    let after = hex(&ask(cluster, "eth_getBalance", json!([address, head])).await?)?;
    let mut gas = 0;
    for block in cluster.start_block + 1..=hex(&head)? as u64 {
        let receipts = ask(cluster, "eth_getBlockReceipts", json!([format!("0x{block:x}")])).await?;
        for receipt in receipts.as_array().context("no receipts")? {
            if receipt["from"].as_str().is_some_and(|from| from.eq_ignore_ascii_case(&address)) {
                ensure!(receipt["status"] == "0x1", "{} sent what failed: {receipt}", party.process.name);
                gas += hex(&receipt["gasUsed"])? * hex(&receipt["effectiveGasPrice"])?;
            }
        }
    }
    Ok(after - party.coin_before.0 as i128 + gas)
}

/// The work that the rules count in what was downloaded: per segment, in whole units of 1000 pixels.
fn units(renditions: &[Rendition]) -> u128 {
    let pixels =
        |at: usize| -> u64 { renditions.iter().map(|r| r.segments[at].times.len() as u64 * r.width * r.height).sum() };
    (0..renditions[0].segments.len()).map(|at| u128::from(pixels(at) / 1000)).sum()
}

async fn check_accounts(cluster: &Cluster, ledger: &Ledger, delivered: &[Rendition]) -> anyhow::Result<()> {
    let faults = ledger.faults();
    ensure!(faults.is_empty() && ledger.slashes == 0, "{faults:#?}");
    ensure!(ledger.jobs.len() == 1, "{:#?}", ledger.jobs);
    let job = &ledger.jobs[0];
    let (loser, winner) = (&cluster.nodes[0], &cluster.nodes[1]);
    ensure!(job.operator == winner.address && job.price.wei() == PRICES[1], "the cheaper rig did not win: {job:?}");

    let segments = delivered[0].segments.len() as u64;
    ensure!(ledger.segments() == segments, "{} segments are claimed of {segments}", ledger.segments());
    // A claim is due when a batch waits, and takes all that waits by then: on a busy machine that is more than a batch.
    // Only the last, made when the stream has ended, may be smaller.
    let (last, full) = ledger.claims.split_last().context("no claims")?;
    ensure!(!full.is_empty() && full.iter().all(|claim| claim.count >= BATCH), "{:#?}", ledger.claims);
    ensure!(full.last().is_some_and(|claim| claim.first < last.first), "{:#?}", ledger.claims);
    ensure!(ledger.claims.iter().all(|claim| claim.state == ClaimState::Settled), "{:#?}", ledger.claims);

    let fee = (units(delivered) * PRICES[1]) as i128;
    // One in a hundred is the treasury's, of each sum that is handed to the router.
    let treasury = ledger.treasury.0 as i128;
    let gains = [gain(cluster, winner).await?, gain(cluster, loser).await?, gain(cluster, &cluster.gateway).await?];
    ensure!(fee > 0 && gains == [fee - treasury, 0, -fee], "winner, loser and client gained {gains:?} of {fee}");
    ensure!((fee / 100 - treasury).abs() <= ledger.claims.len() as i128, "the treasury has {treasury} of {fee}");
    for rig in &cluster.nodes {
        let bonded = cluster.chain.operator(rig.address).await?.bonded.to_string();
        ensure!(bonded == "5000000000000000000000", "{} has {bonded} bonded", rig.process.name);
    }
    println!("  {segments} segments, {} claims, {fee} wei", ledger.claims.len());
    Ok(())
}

async fn check_admin(cluster: &Cluster, ledger: &Ledger, delivered: &[Rendition], clip: &Clip) -> anyhow::Result<()> {
    let segments = delivered[0].segments.len() as u64;
    for party in cluster.nodes.iter().chain([&cluster.gateway]) {
        let name = &party.process.name;
        ensure!(support::text(&format!("{}/healthz", party.admin)).await? == "ok\n", "{name} is not healthy");
        let ready = support::json(&format!("{}/readyz", party.admin)).await?;
        ensure!(ready == json!({ "ready": true, "reasons": [] }), "{name}: {ready}");
        let samples = support::metrics(&party.admin).await?;
        let sample = |metric: &str| support::sample(&samples, metric);
        let done = |result: &str| sample(&format!("headframe_segments_total{{result=\"{result}\"}}"));
        let due = if party.address == cluster.nodes[1].address { segments as f64 } else { 0.0 };
        let found = (done("ok") + done("late"), done("failed"));
        ensure!(found == (due, 0.0), "{name} counts {found:?} segments done and failed, due {due}");
        ensure!(sample("headframe_guard_healthy") == 1.0, "{name}'s signer does not answer: {samples:?}");
        ensure!(sample("headframe_peers") == 2.0, "{name} sees {} peers", sample("headframe_peers"));
    }
    let gateway = support::json(&format!("{}/status", cluster.gateway.admin)).await?;
    let stream = &gateway["streams"][0];
    let expected = [("segments", segments), ("frames", clip.frames), ("failed", 0), ("waiting", 0)];
    for (name, due) in expected {
        ensure!(stream[name].as_u64() == Some(due), "{name} is not {due}: {gateway}");
    }
    ensure!(gateway["role"] == "gateway" && stream["publishing"] == false && stream["trouble"].is_null(), "{gateway}");
    let rig = support::json(&format!("{}/status", cluster.nodes[1].admin)).await?;
    ensure!(rig["role"] == "node" && rig["ready"] == true, "{rig}");
    ensure!(rig["earned_wei"].as_str() == Some(&ledger.fees().0.to_string()), "earned is not {}: {rig}", ledger.fees());
    ensure!(rig["claims"].as_object().is_some_and(|claims| claims.len() == ledger.claims.len()), "{rig}");
    println!("  last latency {} s, last real-time ratio {}", stream["last_latency_s"], stream["last_realtime_ratio"]);
    Ok(())
}

/// What the browser showed stays among the build's temporary files, for people.
fn keep_screenshots(shots: &[PathBuf]) -> anyhow::Result<()> {
    for shot in shots {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(shot.file_name().context("a nameless picture")?);
        std::fs::copy(shot, &kept).with_context(|| shot.display().to_string())?;
        println!("  {}", kept.display());
    }
    Ok(())
}
