//! Judges a finished stream from its master playlist on, as players and CDNs see it: the playlists by the RFC, every
//! segment by a reader of our own, every rendition by ffprobe and ffmpeg.

use crate::support::{self, Clip};
use anyhow::{Context, ensure};
use headframe_media::lint;
use tokio::process::Command;

/// Ticks of 90 kHz in a millisecond, the precision of times in RTMP.
const MILLISECOND: i64 = 90;
/// Each picture of the test pattern comes out at 42 dB or more, and at 28 dB or less when its neighbour is in its place.
const WORST_PSNR_DB: f64 = 36.0;

/// One rendition, as it was downloaded.
pub(crate) struct Rendition {
    pub(crate) name: String,
    pub(crate) width: u64,
    pub(crate) height: u64,
    pub(crate) segments: Vec<Segment>,
}

/// One segment of a rendition.
pub(crate) struct Segment {
    pub(crate) bytes: Vec<u8>,
    pub(crate) seconds: f64,
    /// Of each picture, in decoding order.
    pub(crate) times: Vec<i64>,
}

/// Checks everything about an ended stream that shows all of `clip`.
pub(crate) async fn check(master: &str, clip: &Clip) -> anyhow::Result<Vec<Rendition>> {
    let text = support::text(master).await?;
    ensure!(lint::master(&text).is_empty(), "{master}: {:?}\n{text}", lint::master(&text));
    let mut renditions = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(facts) = line.strip_prefix("#EXT-X-STREAM-INF:") else { continue };
        let path = lines.next().context("a variant without its address")?;
        renditions.push(rendition(&address(master, path), path, facts, clip).await.with_context(|| path.to_owned())?);
    }
    renditions.sort_by_key(|rendition| rendition.height);
    let heights: Vec<u64> = renditions.iter().map(|rendition| rendition.height).collect();
    ensure!(heights == [240, 360, 480, 720], "{master} offers {heights:?}");
    for other in &renditions[1..] {
        let (a, b) = (&renditions[0].segments, &other.segments);
        ensure!(a.len() == b.len(), "{} has {} segments, the first {}", other.name, b.len(), a.len());
        for (number, (a, b)) in a.iter().zip(b).enumerate() {
            ensure!(
                a.times == b.times,
                "segment {number} of {} is not aligned: {:?}, {:?}",
                other.name,
                a.times,
                b.times
            );
            ensure!(a.seconds == b.seconds, "segment {number} of {} is of another length", other.name);
        }
    }
    let same_size = address(master, "360p/index.m3u8");
    ensure!(renditions[1].width == 640, "the clip's own size is not in the ladder");
    compare(&same_size, clip).await.context("the pictures of 360p")?;
    Ok(renditions)
}

/// Replaces the last part of an address.
fn address(of: &str, path: &str) -> String {
    format!("{}/{path}", of.rsplit_once('/').map_or(of, |(folder, _)| folder))
}

async fn rendition(url: &str, path: &str, facts: &str, clip: &Clip) -> anyhow::Result<Rendition> {
    let text = support::text(url).await?;
    ensure!(lint::media(&text).is_empty(), "{:?}\n{text}", lint::media(&text));
    ensure!(text.trim_end().ends_with("#EXT-X-ENDLIST"), "the playlist has not ended:\n{text}");
    ensure!(!text.contains("#EXT-X-DISCONTINUITY\n"), "the playlist is torn:\n{text}");
    let resolution = facts.split("RESOLUTION=").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
    let (width, height) = resolution.split_once('x').with_context(|| format!("no resolution in {facts}"))?;
    let name = path.split('/').next().unwrap_or_default().to_owned();
    let mut rendition = Rendition { name, width: width.parse()?, height: height.parse()?, segments: Vec::new() };
    let mut seconds = None;
    for line in text.lines() {
        if let Some(duration) = line.strip_prefix("#EXTINF:") {
            seconds = Some(duration.trim_end_matches(',').parse()?);
        } else if !line.starts_with('#') {
            let seconds = seconds.take().context("a segment without its length")?;
            let segment = segment(&address(url, line), seconds).await.with_context(|| line.to_owned())?;
            rendition.segments.push(segment);
        }
    }
    timeline(&rendition, clip)?;
    judge(url, &rendition, clip).await?;
    Ok(rendition)
}

async fn segment(url: &str, seconds: f64) -> anyhow::Result<Segment> {
    let (status, bytes) = support::get(url).await?;
    ensure!(status == 200, "{url}: {status}");
    let pictures = support::pictures(&bytes)?;
    let first = pictures.first().context("no pictures")?;
    let slice = first.units.iter().position(|unit| (1..=5).contains(unit)).context("no slice")?;
    ensure!(first.units[slice] == 5, "begins with a slice of type {}, not an IDR: {first:?}", first.units[slice]);
    let sets = &first.units[..slice];
    ensure!(sets.contains(&7) && sets.contains(&8), "the IDR has no parameter sets of its own: {first:?}");
    Ok(Segment { seconds, times: pictures.iter().map(|picture| picture.pts).collect(), bytes })
}

/// One picture after the other, at the clip's pace, over all segments.
fn timeline(rendition: &Rendition, clip: &Clip) -> anyhow::Result<()> {
    let times: Vec<i64> = rendition.segments.iter().flat_map(|segment| segment.times.clone()).collect();
    ensure!(times.len() as u64 == clip.frames, "{} pictures, the clip has {}", times.len(), clip.frames);
    let step = 90_000 * clip.seconds as i64 / clip.frames as i64;
    for (at, pair) in times.windows(2).enumerate() {
        let found = pair[1] - pair[0];
        ensure!((found - step).abs() <= MILLISECOND, "after picture {at}: {found} ticks, due {step}");
    }
    // Rounding must not add up.
    let drift = times[times.len() - 1] - times[0] - step * (times.len() as i64 - 1);
    ensure!(drift.abs() <= MILLISECOND, "the last picture is {drift} ticks off");
    for pair in rendition.segments.windows(2) {
        let found = (pair[1].times[0] - pair[0].times[0]) as f64 / 90_000.0;
        ensure!((found - pair[0].seconds).abs() < 0.002, "a segment of {found} s is listed with {} s", pair[0].seconds);
    }
    let listed: f64 = rendition.segments.iter().map(|segment| segment.seconds).sum();
    ensure!((listed - clip.seconds as f64).abs() < 0.1, "{listed} s are listed of {} s", clip.seconds);
    Ok(())
}

/// What a foreign reader makes of the whole rendition.
async fn judge(url: &str, rendition: &Rendition, clip: &Clip) -> anyhow::Result<()> {
    let tracks = support::tracks(url).await?;
    let (video, audio) = (support::track(&tracks, "video")?, support::track(&tracks, "audio")?);
    let found = [support::count(video, "nb_read_packets"), support::count(video, "nb_read_frames")];
    ensure!(found == [clip.frames; 2], "{found:?} pictures read and decoded, due {}", clip.frames);
    let size = (video["width"].as_u64(), video["height"].as_u64());
    ensure!(size == (Some(rendition.width), Some(rendition.height)), "{size:?} is not as announced");
    ensure!(video["codec_name"] == "h264" && video["has_b_frames"] == 0, "{video}");
    ensure!(audio["codec_name"] == "aac" && audio["sample_rate"] == "48000", "{audio}");
    let packets = support::count(audio, "nb_read_packets");
    ensure!(packets == clip.audio_packets, "{packets} packets of sound, the clip has {}", clip.audio_packets);
    Ok(())
}

/// Compares each picture with the clip's: none is missing, doubled, swapped or spoilt.
async fn compare(url: &str, clip: &Clip) -> anyhow::Result<()> {
    let graph = "[0:v]settb=1/30,setpts=N[out];[1:v]settb=1/30,setpts=N[clip];[out][clip]psnr=stats_file=-";
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i", url, "-i"]).arg(&clip.path);
    ffmpeg.args(["-lavfi", graph, "-an", "-f", "null", "-"]);
    let told = support::run(ffmpeg).await?;
    let told = String::from_utf8_lossy(&told.stdout);
    let psnr: Vec<f64> =
        told.lines().filter_map(|line| line.split("psnr_y:").nth(1)?.split(' ').next()?.parse().ok()).collect();
    ensure!(psnr.len() as u64 == clip.frames, "{} pictures compared of {}", psnr.len(), clip.frames);
    let worst = psnr.iter().copied().fold(f64::INFINITY, f64::min);
    let at = psnr.iter().position(|value| *value == worst);
    ensure!(worst >= WORST_PSNR_DB, "picture {at:?} has {worst} dB, due {WORST_PSNR_DB}");
    println!("  worst picture of 360p: {worst:.1} dB");
    Ok(())
}
