//! Broadcasters who mean well, and what players get of them.

use crate::flv::Tag;
use crate::raw::Raw;
use crate::support;
use anyhow::{Context, ensure};
use headframe_media::lint;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

/// The longest that a broadcaster waits between two messages: less than a live server takes for a dead connection.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Publishes all of `tags`, each when that share of the time of `progress` (0 to 1) is over.
pub(crate) async fn publish(
    at: SocketAddr,
    key: &str,
    tags: &[Tag],
    mut progress: watch::Receiver<f64>,
) -> anyhow::Result<()> {
    let (mut raw, code, text) = Raw::publish(at, key).await;
    ensure!(code == "NetStream.Publish.Start", "{key}: {code}: {text}");
    raw.chunk_size(4096).await;
    for (number, tag) in tags.iter().enumerate() {
        let due = number as f64 / tags.len() as f64;
        // An end of the wait by time is as good.
        let _ = tokio::time::timeout(LONGEST_WAIT, progress.wait_for(|done| *done >= due)).await;
        raw.tag(tag.kind, tag.ms, &tag.body).await;
    }
    raw.socket.shutdown().await.with_context(|| format!("{key} was cut off"))?;
    ensure!(raw.status().await.is_none(), "{key} was cut off");
    Ok(())
}

/// One rendition as players get it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rendition {
    /// SHA-256 of each segment.
    pub(crate) segments: Vec<[u8; 32]>,
    pub(crate) pictures: usize,
}

/// Downloads every segment of every rendition of an ended stream, and checks that its time goes on without a gap.
pub(crate) async fn watched(http: &str, stream: &str, step: i64) -> anyhow::Result<BTreeMap<String, Rendition>> {
    let folder = format!("{http}/hls/{stream}");
    let master = support::text(&format!("{folder}/master.m3u8")).await?;
    let mut renditions = BTreeMap::new();
    for path in master.lines().filter(|line| !line.starts_with('#')) {
        let name = path.trim_end_matches("/index.m3u8");
        let rendition = rendition(&format!("{folder}/{name}"), step).await;
        renditions.insert(name.to_owned(), rendition.with_context(|| format!("{stream}, {name}"))?);
    }
    Ok(renditions)
}

async fn rendition(folder: &str, step: i64) -> anyhow::Result<Rendition> {
    let list = support::text(&format!("{folder}/index.m3u8")).await?;
    ensure!(lint::media(&list).is_empty(), "{:?}\n{list}", lint::media(&list));
    ensure!(list.contains("#EXT-X-ENDLIST") && !list.contains("#EXT-X-DISCONTINUITY\n"), "torn or not ended:\n{list}");
    let (mut segments, mut times) = (Vec::new(), Vec::new());
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (status, bytes) = support::get(&format!("{folder}/{line}")).await?;
        ensure!(status == 200, "{line}: {status}");
        segments.push(Sha256::digest(&bytes).into());
        times.extend(support::pictures(&bytes)?.iter().map(|picture| picture.pts));
    }
    for (at, pair) in times.windows(2).enumerate() {
        // RTMP counts milliseconds, 90 ticks each.
        ensure!((pair[1] - pair[0] - step).abs() <= 90, "after picture {at}: {} ticks, due {step}", pair[1] - pair[0]);
    }
    Ok(Rendition { segments, pictures: times.len() })
}
