//! What goes wrong at a broadcaster or a rig, done to a whole market of real processes. In each case there is a clear
//! message, other streams go on, nothing that was accepted is lost, and the accounts add up to the last wei.
#![allow(clippy::unwrap_used)]

use alloy::network::{EthereumWallet, TransactionBuilder};
use alloy::primitives::{B256, U256};
use alloy::providers::{Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use headframe::config::{Config, Stream};
use headframe::delivery::{self, ORDER_HEADER, Offer, SegmentOrder};
use headframe::demo::cluster::{Cluster, Options, STREAM_KEY, tail};
use headframe::demo::ledger::Ledger;
use headframe_codec::ladder::Ladder;
use headframe_market::content::content_root;
use headframe_market::machine::JobState;
use headframe_market::{Action, JobId, JobOrder, Price, Segment, SegmentNo, Timestamp, Units, Wei};
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};

#[path = "faults/bad_line.rs"]
mod bad_line;
#[path = "faults/cold_owner.rs"]
mod cold_owner;
#[path = "faults/commands.rs"]
mod commands;
#[path = "faults/full_disk.rs"]
mod full_disk;
#[path = "faults/hostile_orders.rs"]
mod hostile_orders;
#[path = "faults/lost_claim.rs"]
mod lost_claim;
#[path = "faults/missing_encoder.rs"]
mod missing_encoder;
#[path = "faults/own_work.rs"]
mod own_work;
mod stand_in;
#[path = "faults/stopping.rs"]
mod stopping;

/// Markets at a time: one waits for blocks and pictures most of its time, and three would be too many for two cores.
static MARKETS: Semaphore = Semaphore::const_new(2);
const OTHER_KEY: &str = "sk_other_broadcaster";

struct Market {
    cluster: Cluster,
    clip: PathBuf,
    dir: tempfile::TempDir,
    _turn: SemaphorePermit<'static>,
}

fn two_streams(config: &mut Config) {
    if !config.gateway.streams.is_empty() {
        config.gateway.streams.push(Stream { key: OTHER_KEY.into(), id: "other".into() });
        config.gateway.grace = Duration::from_secs(12);
        // About 30 segments at a time, so that the escrow has to be filled up on the way.
        config.gateway.escrow.deposit = Wei(3_000_000_000_000_000);
        config.gateway.escrow.low_water = Wei(2_500_000_000_000_000);
    }
}

impl Market {
    async fn start() -> Self {
        Self::of(vec![1_000_000_000], two_streams).await
    }

    /// With a rig for each price.
    async fn of(prices: Vec<u128>, adjust: fn(&mut Config)) -> Self {
        Self::within(tempfile::tempdir().unwrap(), prices, adjust).await
    }

    /// In a folder that is prepared already.
    async fn within(dir: tempfile::TempDir, prices: Vec<u128>, adjust: fn(&mut Config)) -> Self {
        let turn = MARKETS.acquire().await.unwrap();
        let clip = clip(dir.path()).await;
        let options = Options {
            dir: dir.path().into(),
            prices,
            program: Some(env!("CARGO_BIN_EXE_headframe").into()),
            usual_ports: false,
            adjust,
        };
        let cluster = Cluster::start(&options, |_, _| {}).await.unwrap();
        Self { cluster, clip, dir, _turn: turn }
    }

    fn publish(&self) -> Child {
        self.cluster.publish(&self.clip, true, &self.dir.path().join("logs/ffmpeg.log")).unwrap()
    }

    async fn stream(&self) -> Value {
        self.named("demo").await
    }

    async fn named(&self, id: &str) -> Value {
        let Ok(status) = self.cluster.status(&self.cluster.gateway).await else { return Value::Null };
        let streams = status["streams"].as_array().cloned().unwrap_or_default();
        streams.into_iter().find(|stream| stream["id"] == id).unwrap_or(Value::Null)
    }

    /// Waits until `id` has delivered `count` segments.
    async fn delivered(&mut self, id: &str, count: u64) {
        self.until(&format!("{count} segments of {id}"), 120, async |market: &Self| {
            market.named(id).await["segments"].as_u64().unwrap_or(0) >= count
        })
        .await;
    }

    async fn until(&mut self, what: &str, seconds: u64, mut done: impl AsyncFnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while !done(self).await {
            assert!(Instant::now() < deadline, "not within {seconds} s: {what}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    fn logs(&self) -> String {
        let log =
            |process: &headframe::demo::cluster::Process| format!("--- {}\n{}\n", process.name, tail(&process.log));
        let nodes: String = self.cluster.nodes.iter().map(|node| log(&node.process)).collect();
        nodes + &log(&self.cluster.gateway.process)
    }

    fn gateway_log(&self) -> String {
        std::fs::read_to_string(&self.cluster.gateway.process.log).unwrap()
    }

    /// Ends the broadcast, waits until all is paid, and checks segments and money.
    async fn settle(&mut self, mut push: Child) {
        let _ = push.kill().await;
        self.until("everything is paid", 180, async |market: &Self| {
            Ledger::read(&market.cluster).await.is_ok_and(|ledger| ledger.is_settled())
        })
        .await;
        let ledger = Ledger::read(&self.cluster).await.unwrap();
        assert_eq!(ledger.faults(), Vec::<String>::new());
        let accepted = self.accepted();
        assert!(accepted > 0);
        assert_eq!(ledger.segments(), accepted, "every accepted segment is claimed once");
        self.listed_without_gaps().await;
    }

    /// How many segments the gateway took, over all streams and restarts, as its own state says.
    fn accepted(&self) -> u64 {
        let spool = self.dir.path().join("gateway/spool");
        let streams = std::fs::read_dir(spool).unwrap().map(|dir| dir.unwrap().path().join("state.json"));
        let next = |file: PathBuf| -> u64 {
            let state: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            state["next_number"].as_u64().unwrap()
        };
        streams.filter(|file| file.exists()).map(next).sum()
    }

    async fn listed_without_gaps(&self) {
        let url = format!("{}/hls/demo/720p/index.m3u8", self.cluster.gateway.http);
        let list = reqwest::get(url).await.unwrap().text().await.unwrap();
        assert!(!list.contains("#EXT-X-DISCONTINUITY\n") && list.contains("#EXT-X-ENDLIST"), "{list}");
        let numbers = |line: &str| line.strip_suffix(".ts")?.rsplit('/').next()?.parse::<u64>().ok();
        let numbers: Vec<u64> = list.lines().filter_map(numbers).collect();
        assert!(!numbers.is_empty() && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }
}

/// Set in the process that runs in the namespace.
const INSIDE: &str = "HEADFRAME_OWN_NAMESPACE";

/// Runs a test again in namespaces of its own (options of unshare), where `prepare` is run first; `false` in there. As root;
/// elsewhere the test is skipped and says so.
async fn own_namespace(name: &str, which: &[&str], prepare: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let tried = Command::new("unshare").args(which).args(["sh", "-c", prepare]).output().await;
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        println!("skipped: needs root and what this calls: {prepare}");
        return true;
    }
    let _turn = MARKETS.acquire().await.unwrap();
    let script = format!("{prepare} && exec \"$0\" --exact {name} --nocapture");
    let run = Command::new("unshare")
        .args(which)
        .args(["sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(400), run).await.expect("it ends by itself").unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    true
}

/// A small clip with B-frames and sound, made once per test.
async fn clip(dir: &Path) -> PathBuf {
    let clip = dir.join("clip.mp4");
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=640x360:rate=30:duration=8",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:duration=8",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-bf",
        "2",
        "-g",
        "60",
        "-sc_threshold",
        "0",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        clip.to_str().unwrap(),
    ])
    .await;
    clip
}

async fn ffmpeg(args: &[&str]) -> std::process::Output {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]).args(args).stdin(Stdio::null());
    let run = tokio::time::timeout(Duration::from_secs(60), command.kill_on_drop(true).output());
    run.await.expect("ffmpeg ends by itself").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_may_not_or_cannot_is_turned_away_and_others_go_on() {
    let mut market = Market::start().await;
    let push = market.publish();
    market.delivered("demo", 1).await;
    let address = market.cluster.rtmp.replace(&format!("/{STREAM_KEY}"), "");

    let clip = market.clip.to_str().unwrap().to_owned();
    let wrong = ffmpeg(&["-re", "-i", &clip, "-c", "copy", "-f", "flv", &format!("{address}/sk_wrong")]).await;
    assert!(!wrong.status.success(), "a wrong key must not be let in");
    assert!(market.gateway_log().contains("is not known here"), "{}", market.logs());
    assert!(!market.gateway_log().contains("sk_wrong"), "a key must not be logged");

    let audio_only = ["-re", "-f", "lavfi", "-i", "sine=duration=30", "-c:a", "aac", "-f", "flv"];
    let other = format!("{address}/{OTHER_KEY}");
    ffmpeg(&[&audio_only[..], &[&other]].concat()).await;
    assert!(market.gateway_log().contains("no video arrived"), "{}", market.logs());

    let host = address.trim_start_matches("rtmp://").split('/').next().unwrap();
    let mut garbage = tokio::net::TcpStream::connect(host).await.unwrap();
    let _ = garbage.write_all(&[0x47; 65536]).await; // the server may close before it has read all
    market
        .until("a protocol error is told", 30, async |market: &Market| market.gateway_log().contains("protocol error"))
        .await;

    let before = market.stream().await["segments"].as_u64().unwrap();
    market.delivered("demo", before + 2).await;
    market.settle(push).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_middle_of_a_segment_costs_one_retry() {
    let mut market = Market::start().await;
    let push = market.publish();
    market.delivered("demo", 1).await;
    let mut killed = 0;
    market
        .until("a busy worker is killed", 60, async |market: &Market| {
            let node = &market.cluster.nodes[0];
            let Ok(status) = market.cluster.status(node).await else { return false };
            if status["workers"]["busy"].as_u64() != Some(1) {
                return false;
            }
            let pid = status["workers"]["pids"][0].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, Signal::KILL).unwrap();
            killed += 1;
            true
        })
        .await;
    assert_eq!(killed, 1);
    let before = market.stream().await["segments"].as_u64().unwrap();
    market.delivered("demo", before + 3).await;
    let metrics =
        reqwest::get(format!("{}/metrics", market.cluster.nodes[0].admin)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("headframe_worker_restarts{reason=\"killed\"} 1"), "{metrics}");
    assert_eq!(market.stream().await["failed"], 0);
    market.settle(push).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_may_stand_still_for_30_s_while_segments_flow() {
    let mut market = Market::start().await;
    let push = market.publish();
    market.delivered("demo", 3).await;
    market.cluster.anvil.signal(Signal::STOP).unwrap();
    let before = market.stream().await["segments"].as_u64().unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let after = market.stream().await["segments"].as_u64().unwrap();
    let ready = reqwest::get(format!("{}/readyz", market.cluster.nodes[0].admin)).await.unwrap();
    let reasons = ready.text().await.unwrap();
    market.cluster.anvil.signal(Signal::CONT).unwrap();
    assert!(after >= before + 8, "segments stopped with the chain: {before} → {after}\n{}", market.logs());
    assert!(reasons.contains("chain"), "the rig must say that the chain is silent: {reasons}");
    market.settle(push).await;
    // To make the profile known, to open, close and reclaim the job and to withdraw the rest: five; the others fill the
    // escrow.
    let client = Ledger::read(&market.cluster).await.unwrap().client;
    assert!(client.transactions > 5, "the escrow was never filled up: {} transactions", client.transactions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_loses_nothing_that_it_had_accepted() {
    let mut market = Market::start().await;
    let mut push = market.publish();
    market.delivered("demo", 3).await;
    market.cluster.gateway.process.kill().await.unwrap();
    let accepted = market.accepted();
    assert!(!push.wait().await.unwrap().success(), "the publisher notices");
    market.cluster.gateway.process.restart().unwrap();
    market.until("the gateway answers again", 30, async |market: &Market| market.stream().await["id"] == "demo").await;
    let push = market.publish();
    market.until("new segments follow the old", 60, async |market: &Market| market.accepted() >= accepted + 2).await;
    assert_eq!(market.stream().await["job"]["id"], 1, "the job goes on, no new one is needed");
    market.settle(push).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rig_that_lost_its_guard_database_ends_with_79_and_signs_nothing() {
    let mut market = Market::start().await;
    let _push = market.publish();
    market.delivered("demo", 1).await;
    let home = market.dir.path().join("node-a");
    let rig = market.cluster.nodes[0].address;
    market.cluster.nodes[0].process.stop(Duration::from_secs(30)).await.unwrap();
    for file in std::fs::read_dir(&home).unwrap().map(|file| file.unwrap().path()) {
        if file.file_name().unwrap().to_str().unwrap().starts_with("guard.db") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let sent = market.cluster.chain.rpc().nonces(rig).await.unwrap();
    let process = &mut market.cluster.nodes[0].process;
    process.restart().unwrap();
    let ended = process.ended(Duration::from_secs(60)).await.unwrap();
    let log = tail(&process.log);
    assert_eq!(ended.code(), Some(79), "{log}");
    assert!(log.contains("not safe to run") && log.contains("database"), "{log}");
    assert_eq!(market.cluster.chain.rpc().nonces(rig).await.unwrap(), sent, "nothing was signed");
    assert!(!home.join("guard.db").exists(), "an empty database must not take the lost one's place");
}

/// A broadcaster of the test's own: an account that orders from the rig directly, as a gateway would.
struct Broadcaster<P> {
    job: JobId,
    key: PrivateKeySigner,
    provider: P,
    http: reqwest::Client,
}

impl<P: Provider> Broadcaster<P> {
    async fn send(&self, market: &Market, action: &Action) {
        let call = action.call(&market.cluster.chain.at);
        let request =
            TransactionRequest::default().with_to(call.to).with_input(call.input).with_value(U256::from(call.value.0));
        let receipt = self.provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap();
        assert!(receipt.status(), "{} reverted", action.kind());
    }

    fn order(&self, market: &Market, seq: u64, source: &[u8], duration_ms: u32) -> SegmentOrder {
        let segment = Segment {
            job: self.job,
            seq: SegmentNo(seq),
            src_root: content_root(source),
            src_bytes: source.len() as u64,
            duration_ms,
        };
        let signature = self.key.sign_hash_sync(&segment.signing_hash(&market.cluster.chain.domain)).unwrap();
        SegmentOrder { segment, signature }
    }

    async fn post(&self, market: &Market, order: &SegmentOrder, body: Vec<u8>) -> (u16, bytes::Bytes) {
        let node = &market.cluster.nodes[0].http;
        let url = format!("{node}/v1/jobs/{}/segments/{}", self.job, order.segment.seq);
        let header = serde_json::to_string(order).unwrap();
        // A refusal may come, and the connection close, while the body is still being written; whether the writer sees
        // the answer or a broken pipe first is a race that HTTP/1.1 leaves open (RFC 9112 9.6). So it asks again.
        for _ in 0..10 {
            match self.http.post(&url).header(ORDER_HEADER, &header).body(body.clone()).send().await {
                Ok(answer) => return (answer.status().as_u16(), answer.bytes().await.unwrap()),
                Err(error) => assert!(error.is_request(), "{error}"),
            }
        }
        panic!("ten times no answer from {url}");
    }
}

/// A broadcaster whose `job`, the market's next one, the rig has taken.
async fn hire(market: &mut Market, job: JobId) -> Broadcaster<impl Provider + use<>> {
    let key = PrivateKeySigner::random();
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(key.clone()))
        .connect_http(market.cluster.rpc_url.parse().unwrap());
    headframe_contracts::set_balance(&provider, key.address(), 10u128.pow(18)).await.unwrap();
    let client = Broadcaster { job, key, provider, http: reqwest::Client::new() };

    let profile = headframe::profile::of(&Ladder::standard());
    let order = JobOrder {
        client: client.key.address(),
        profile: profile.id(),
        max_price: Price::new(1_000_000_000).unwrap(),
        deadline: Timestamp(u64::from(u32::MAX)),
        samples: 2,
        seed_tip: B256::ZERO,
        salt: 0,
    };
    client.send(market, &Action::AddProfile { profile }).await;
    let asking = client.http.post(format!("{}/v1/bids", market.cluster.nodes[0].http)).json(&order).send();
    let offer = asking.await.unwrap().error_for_status().unwrap().text().await.unwrap();
    let Offer { bid, signature } = serde_json::from_str(&offer).unwrap();
    let (order, bid) = (Box::new(order), Box::new(bid));
    client.send(market, &Action::OpenWithBid { order, bid, signature, escrow: Wei(10u128.pow(17)) }).await;
    market
        .until("the rig takes the job", 30, async |market: &Market| {
            market.cluster.chain.job(job).await.unwrap().state == JobState::Active
        })
        .await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_cut_in_half_is_refused_or_paid_with_nothing_and_the_job_goes_on() {
    let mut market = Market::start().await;
    let client = hire(&mut market, JobId(1)).await;

    let source = {
        let path = market.dir.path().join("source.ts");
        ffmpeg(&["-i", market.clip.to_str().unwrap(), "-t", "2", "-c", "copy", "-f", "mpegts", path.to_str().unwrap()])
            .await;
        std::fs::read(path).unwrap()
    };
    let half = source[..source.len() / 2 / 188 * 188].to_vec();

    // Cut on the way: the order says more than arrives. Nothing is signed and the same number can be sent again.
    let order = client.order(&market, 0, &source, 2000);
    let (status, told) = client.post(&market, &order, half.clone()).await;
    assert_eq!(status, 400);
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(told.contains(&format!("got {} of {} bytes", half.len(), source.len())), "{told}");
    let (status, body) = client.post(&market, &order, source.clone()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let (good, parts) = delivery::decode(body).unwrap();
    delivery::check(&order.segment, market.cluster.nodes[0].address, &market.cluster.chain.domain, &good, &parts)
        .unwrap();
    assert!(good.failure.is_none() && parts.len() == 4);

    // Cut before it was ordered: it decodes to half of what was signed. A receipt over no work, with the reason.
    let order = client.order(&market, 1, &half, 2000);
    let (status, body) = client.post(&market, &order, half).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let (cut, parts) = delivery::decode(body).unwrap();
    assert!(parts.is_empty() && cut.receipt.units == Units(0));
    assert!(cut.failure.unwrap().contains("cut or mislabelled"));

    // A stranger's order is refused before its bytes are read.
    let stranger = Broadcaster {
        job: JobId(1),
        key: PrivateKeySigner::random(),
        provider: &client.provider,
        http: client.http.clone(),
    };
    let (status, _) = stranger.post(&market, &stranger.order(&market, 2, &source, 2000), source.clone()).await;
    assert_eq!(status, 403);

    // The job goes on, and only the good segments are paid.
    let order = client.order(&market, 2, &source, 2000);
    let (status, _) = client.post(&market, &order, source).await;
    assert_eq!(status, 200);
    client.send(&market, &Action::CloseJob { job: JobId(1) }).await;
    market
        .until("the work is paid", 120, async |market: &Market| {
            let job = market.cluster.chain.job(JobId(1)).await.unwrap();
            job.released && job.open_claims == 0
        })
        .await;
    let claims = Ledger::read(&market.cluster).await.unwrap().claims;
    let paid: u64 = claims.iter().map(|claim| claim.units.0).sum();
    assert_eq!((claims.iter().map(|claim| claim.count).sum::<u32>(), paid), (3, 2 * good.receipt.units.0));
    client.send(&market, &Action::Reclaim { job: JobId(1) }).await;
}
