//! Hostile publishers at a running node: hundreds of broken streams through the door that is open to the public, while
//! others broadcast. Those must come out byte for byte as they do alone, the node must answer all the time, and neither
//! it nor its workers may grow.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod cases;
mod flv;
mod honest;
#[path = "../../../../codec/tests/mangle/packets.rs"]
mod packets;
#[path = "../../../media/tests/support/raw.rs"]
mod raw;
#[path = "../server.rs"]
mod server;
#[path = "../support.rs"]
mod support;
mod watch;

use anyhow::{Context, ensure};
use cases::{Case, KINDS, Sent};
use flv::Tag;
use honest::Rendition;
use packets::Random;
use raw::Raw;
use serde_json::Value;
use server::{Server, events};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch as told;
use tokio_util::sync::CancellationToken;
use watch::Seen;

/// Cases of every kind of damage.
const ROUNDS: usize = 20;
/// Publishers that attack at a time.
const ATTACKERS: usize = 4;
/// The streams that must not notice.
const HONEST: [&str; 2] = ["stage", "studio"];
const HONEST_SECONDS: u64 = 40;
const FPS: u64 = 15;
/// From the first byte of a case to the end of its connection, on a busy machine.
const CASE: Duration = Duration::from_secs(60);
/// What the node takes without attackers is about a tenth of this; every attacker may make it hold 16 MiB of messages and
/// 32 MiB of segment.
const NODE_BYTES: u64 = 384 << 20;
/// The largest picture taken, with its references, and room for the ladder.
const WORKER_BYTES: u64 = 512 << 20;

const CONFIG: &str = r#"
[admin]
listen = "127.0.0.1:0"
[codec]
workers = 2
[hls]
window = 64
[gateway]
rtmp = "127.0.0.1:0"
listen = "127.0.0.1:0"
grace = "1s"
spool = 1024
streams = [
  { key = "sk_stage", id = "stage" }, { key = "sk_studio", id = "studio" },
  { key = "sk_bad0", id = "bad0" }, { key = "sk_bad1", id = "bad1" },
  { key = "sk_bad2", id = "bad2" }, { key = "sk_bad3", id = "bad3" },
]
ladder = [
  { name = "low", width = 96, height = 54, bitrate_bps = 100_000, gop_ms = 1000, preset = "density" },
  { name = "high", width = 160, height = 90, bitrate_bps = 200_000, gop_ms = 1000, preset = "density" },
]
"#;

/// What came of a whole run.
struct Run {
    /// Of each honest stream.
    honest: Vec<BTreeMap<String, Rendition>>,
    seen: Seen,
    streams: Vec<Value>,
    metrics: Vec<(String, f64)>,
    log: Vec<Value>,
}

/// The clips.
struct Clips {
    honest: [Vec<Tag>; 2],
    good: Vec<Tag>,
    other: Vec<Tag>,
}

impl Clips {
    async fn make(dir: &Path) -> anyhow::Result<Self> {
        let make = async |name: &str, picture: &str, seconds: f64, options: &str| {
            flv::clip(&dir.join(format!("{name}.flv")), picture, seconds, options).await
        };
        let seconds = HONEST_SECONDS as f64;
        Ok(Self {
            honest: [
                make("stage", "testsrc2=size=192x108:rate=15", seconds, "-g 30 -bf 2").await?,
                make("studio", "mandelbrot=size=160x96:rate=15", seconds, "-g 30 -bf 0").await?,
            ],
            good: make("good", "testsrc2=size=160x96:rate=15", 2.4, "-g 15 -bf 2 -x264-params slices=3").await?,
            other: make("other", "testsrc=size=320x180:rate=15", 2.4, "-g 15 -bf 0 -profile:v baseline").await?,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_publishers_hurt_nobody_else() -> anyhow::Result<()> {
    let began = Instant::now();
    let dir = tempfile::tempdir()?;
    let clips = Arc::new(Clips::make(dir.path()).await?);
    let cases = cases(&clips)?;

    let alone = run(&dir.path().join("alone"), &clips, &Arc::default()).await.context("without attackers")?;
    let attacked = run(&dir.path().join("attacked"), &clips, &cases).await.context("under attack")?;
    for ((name, alone), attacked) in HONEST.iter().zip(&alone.honest).zip(&attacked.honest) {
        for (rendition, expected) in alone {
            ensure!(expected.pictures as u64 == HONEST_SECONDS * FPS, "{name}, {rendition}: {}", expected.pictures);
            ensure!(expected.segments.len() as u64 == HONEST_SECONDS / 2, "{name}, {rendition}: {expected:?}");
        }
        ensure!(alone.len() == 2 && alone == attacked, "{name} came out otherwise:\n{alone:?}\n{attacked:?}");
    }
    report(&cases, &alone, &attacked, began)
}

/// All cases, no two alike.
fn cases(clips: &Clips) -> anyhow::Result<Arc<Vec<Case>>> {
    let mut cases = Vec::new();
    let mut known = HashSet::new();
    for round in 0..ROUNDS {
        for (kind, (name, make)) in KINDS.iter().enumerate() {
            let mut random = Random((round * KINDS.len() + kind) as u64 * 7919 + 1);
            // Now and then the roles are swapped: baseline instead of B-frames and slices.
            let (clip, other) = if round % 5 == 4 { (&clips.other, &clips.good) } else { (&clips.good, &clips.other) };
            let case = make(clip, other, &mut random);
            let mut hash = DefaultHasher::new();
            format!("{case:?}").hash(&mut hash);
            if known.insert(hash.finish()) {
                cases.push((*name, case));
            }
        }
    }
    ensure!(cases.len() >= 200, "only {} of the cases differ from each other", cases.len());
    Ok(Arc::new(cases))
}

/// Starts a node, lets everybody publish, and stops it.
async fn run(dir: &Path, clips: &Arc<Clips>, cases: &Arc<Vec<Case>>) -> anyhow::Result<Run> {
    std::fs::create_dir_all(dir)?;
    let server = Server::start(dir, 0, CONFIG, &[]).await?;
    let at: SocketAddr = server.rtmp.parse()?;
    let (stop, (progress, done)) = (CancellationToken::new(), told::channel(0.0));
    let watching = watch::start(&server, &stop)?;
    let honest: Vec<_> = (0..HONEST.len())
        .map(|n| {
            let (clips, done) = (clips.clone(), done.clone());
            tokio::spawn(async move { honest::publish(at, &format!("sk_{}", HONEST[n]), &clips.honest[n], done).await })
        })
        .collect();
    let next = Arc::new(AtomicUsize::new(0));
    let attackers: Vec<_> = (0..ATTACKERS)
        .map(|n| {
            let (cases, next, progress) = (cases.clone(), next.clone(), progress.clone());
            tokio::spawn(async move {
                while let Some((name, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let attack = tokio::time::timeout(CASE, attack(at, &format!("sk_bad{n}"), case)).await;
                    attack.with_context(|| format!("a case of {name} hangs"))?;
                    progress.send_modify(|done| *done += 1.0 / cases.len() as f64);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for attacker in attackers {
        attacker.await??;
    }
    progress.send_replace(1.0);
    for honest in honest {
        honest.await??;
    }
    let idle = |stream: &Value| stream["publishing"] == false && stream["waiting"] == 0;
    let streams = server.streams(|streams| streams.iter().all(idle)).await?;
    for name in HONEST {
        let stream = streams.iter().find(|stream| stream["id"] == name).with_context(|| format!("{name} is gone"))?;
        ensure!(stream["failed"] == 0 && stream["segments"] == HONEST_SECONDS / 2, "{stream}");
    }
    let ended = |text: &str| text.contains("#EXT-X-ENDLIST");
    for name in HONEST {
        let list = format!("{}/hls/{name}/low/index.m3u8", server.http);
        let deadline = Instant::now() + server::PATIENCE;
        while !ended(&support::text(&list).await?) {
            ensure!(Instant::now() < deadline, "{list} does not end");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let mut honest = Vec::new();
    for name in HONEST {
        honest.push(honest::watched(&server.http, name, 90_000 / FPS as i64).await?);
    }
    let metrics = support::metrics(&server.admin).await?;
    stop.cancel();
    let seen = watching.await?.context("the node's own pages")?;
    let log = server.log.clone();
    let (status, _) = server.stop().await?;
    ensure!(status.code() == Some(0), "it ends with {status}");
    Ok(Run { honest, seen, streams, metrics, log: events(&log) })
}

/// One case from the connection to its end. The node may end it sooner.
async fn attack(at: SocketAddr, key: &str, case: &[Sent]) {
    let (mut raw, code, text) = Raw::publish(at, key).await;
    assert_eq!(code, "NetStream.Publish.Start", "{text}");
    raw.chunk_size(65_536).await;
    for sent in case {
        match sent {
            Sent::Message(kind, ms, body) => raw.tag(*kind, *ms, body).await,
            // It may have had enough already.
            Sent::Bytes(bytes) => drop(raw.socket.write_all(bytes).await),
        }
    }
    drop(raw.socket.shutdown().await);
    while raw.status().await.is_some() {}
}

/// Says what came of the cases, and that nothing came of them for others.
fn report(cases: &[Case], alone: &Run, attacked: &Run, began: Instant) -> anyhow::Result<()> {
    // Past the capture of passing tests, so that it is seen.
    let mut to = std::io::stderr();
    let count = |of: &str| {
        let bad =
            attacked.streams.iter().filter(|stream| stream["id"].as_str().is_some_and(|id| id.starts_with("bad")));
        bad.filter_map(|stream| stream[of].as_u64()).sum::<u64>()
    };
    let (made, failed) = (count("segments"), count("failed"));
    writeln!(
        to,
        "{} cases of {} kinds, {} segments: {made} transcoded, {failed} refused",
        cases.len(),
        KINDS.len(),
        made + failed
    )?;
    let mut reasons = BTreeMap::<String, u32>::new();
    for event in &attacked.log {
        let said = event["message"].as_str().unwrap_or_default();
        let why = |field: &str| plain(event[field].as_str().unwrap_or_default());
        match said {
            "segment cannot be transcoded; players see a gap" => {
                *reasons.entry(format!("segment: {}", why("reason"))).or_default() += 1
            }
            "segment not delivered yet" => *reasons.entry(format!("tried again: {}", why("reason"))).or_default() += 1,
            "publisher refused" => *reasons.entry(format!("publisher: {}", why("reason"))).or_default() += 1,
            "publisher gone" => *reasons.entry(format!("connection: {}", why("reason"))).or_default() += 1,
            "segment not accepted: it cannot be kept on disk" => {
                *reasons.entry("segment not accepted".into()).or_default() += 1
            }
            "segment not listed for players" => {
                *reasons.entry(format!("not listed: {}", why("error"))).or_default() += 1
            }
            _ => {}
        }
    }
    for (reason, count) in &reasons {
        writeln!(to, "  {count:5}  {reason}")?;
    }
    let metric = |name: &str| support::sample(&attacked.metrics, name);
    let quarantined = metric("headframe_quarantined_inputs");
    let lost = attacked.metrics.iter().filter(|(name, _)| name.starts_with("headframe_worker_restarts"));
    let lost: f64 = lost.map(|(_, count)| count).sum();
    let seen = attacked.seen;
    writeln!(
        to,
        "quarantined {quarantined}, workers lost {lost}; the node took {} MiB ({} without attackers), a worker {} ({}); \
         {} rounds of questions, the slowest answer after {:?}; all in {:.1} s",
        seen.node >> 20,
        alone.seen.node >> 20,
        seen.worker >> 20,
        alone.seen.worker >> 20,
        seen.rounds,
        seen.slowest,
        began.elapsed().as_secs_f64(),
    )?;
    ensure!(made + failed >= 200 && made >= 50 && failed >= 20, "the cases came to nothing");
    ensure!(seen.node < NODE_BYTES && seen.worker < WORKER_BYTES, "{seen:?}");
    ensure!(seen.rounds >= 20, "{seen:?}");
    ensure!(lost == 0.0 && quarantined == 0.0, "workers were lost: {:?}", attacked.metrics);
    Ok(())
}

/// A reason without the numbers and names of its case.
fn plain(reason: &str) -> String {
    let reason =
        reason.split_once(": ").filter(|(head, _)| head.starts_with("segment ")).map_or(reason, |(_, tail)| tail);
    let mut plain = String::new();
    for c in reason.chars() {
        match c.is_ascii_digit() {
            true if plain.ends_with('#') => {}
            true => plain.push('#'),
            false => plain.push(c),
        }
    }
    plain
}
