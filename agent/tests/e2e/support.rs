//! What every end-to-end test needs: a clip, ffmpeg's tools as foreign judges, plain HTTP, a reader of transport streams
//! that shares no code with ours, and a browser.
#![allow(dead_code, reason = "each test uses its part of this")]

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// No single foreign tool may take longer. Generous: the machine may be busy with something else.
const TOOL: Duration = Duration::from_secs(120);

/// A clip that a broadcaster could push, and what is known of it.
pub(crate) struct Clip {
    pub(crate) path: PathBuf,
    pub(crate) frames: u64,
    pub(crate) audio_packets: u64,
    pub(crate) seconds: u64,
}

/// A moving test picture of 640x360 with a tone: 30 frames a second, an IDR every 2 s, two B-frames, AAC.
///
/// Made once and kept among the build's temporary files.
pub(crate) async fn clip(seconds: u64) -> anyhow::Result<Clip> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("e2e-v1-{seconds}s.mp4"));
    if !path.is_file() {
        let part = path.with_extension(format!("{}.part.mp4", std::process::id()));
        let (picture, tone) = (
            format!("testsrc2=size=640x360:rate=30:duration={seconds}"),
            format!("sine=frequency=440:sample_rate=48000:duration={seconds}"),
        );
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg
            .args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"])
            .args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone])
            .args(["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-b:v", "1M", "-g", "60"])
            .args(["-sc_threshold", "0", "-bf", "2", "-c:a", "aac", "-b:a", "96k"])
            .arg(&part);
        run(ffmpeg).await.context("the clip cannot be made")?;
        std::fs::rename(&part, &path)?;
    }
    let tracks = tracks(path.to_str().context("the path of the clip is not UTF-8")?).await?;
    let (video, audio) = (track(&tracks, "video")?, track(&tracks, "audio")?);
    ensure!(count(video, "nb_read_frames") == seconds * 30, "the clip has {video}");
    ensure!(video["has_b_frames"].as_u64() > Some(0), "the clip has no B-frames: {video}");
    let (frames, audio_packets) = (count(video, "nb_read_frames"), count(audio, "nb_read_packets"));
    Ok(Clip { path, frames, audio_packets, seconds })
}

/// Runs a tool to its end; an error when it fails, says something on standard error or takes too long.
pub(crate) async fn run(mut tool: Command) -> anyhow::Result<Output> {
    tool.stdin(Stdio::null()).kill_on_drop(true).env_remove("http_proxy");
    let name = format!("{:?}", tool.as_std());
    let output = tokio::time::timeout(TOOL, tool.output()).await.with_context(|| format!("{name} hangs"))??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}: {said}", output.status);
    ensure!(said.trim().is_empty(), "{name} complains: {said}");
    Ok(output)
}

/// The tracks of a file or URL as ffprobe sees them, every packet read and every picture decoded.
pub(crate) async fn tracks(source: &str) -> anyhow::Result<Vec<Value>> {
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-count_packets", "-count_frames", "-show_streams", "-of", "json", source]);
    let told: Value = serde_json::from_slice(&run(probe).await?.stdout)?;
    Ok(told["streams"].as_array().cloned().unwrap_or_default())
}

/// The only track of a kind.
pub(crate) fn track<'a>(tracks: &'a [Value], kind: &str) -> anyhow::Result<&'a Value> {
    let mut of_kind = tracks.iter().filter(|track| track["codec_type"] == kind);
    match (of_kind.next(), of_kind.next()) {
        (Some(track), None) => Ok(track),
        _ => bail!("not one {kind} track but: {tracks:?}"),
    }
}

/// A number that ffprobe writes as text.
pub(crate) fn count(track: &Value, name: &str) -> u64 {
    track[name].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What a web server answers.
pub(crate) async fn get(url: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let answer = client.get(url).send().await.with_context(|| url.to_owned())?;
    Ok((answer.status().as_u16(), answer.bytes().await?.to_vec()))
}

/// The text at an address that must be there.
pub(crate) async fn text(url: &str) -> anyhow::Result<String> {
    let (status, body) = get(url).await?;
    ensure!(status == 200, "{url}: {status}: {}", String::from_utf8_lossy(&body));
    Ok(String::from_utf8(body)?)
}

/// The JSON at an address that must be there.
pub(crate) async fn json(url: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&text(url).await?)?)
}

/// Samples of a metrics page, by name with labels. Every line must follow the Prometheus text format.
pub(crate) async fn metrics(admin: &str) -> anyhow::Result<Vec<(String, f64)>> {
    let page = text(&format!("{admin}/metrics")).await?;
    let mut samples = Vec::new();
    for line in page.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("# HELP ") || line.starts_with("# TYPE ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').with_context(|| format!("not a sample: {line}"))?;
        let bare = name.split('{').next().unwrap_or_default();
        let ours = bare.starts_with("headframe_") && bare.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        ensure!(ours && name.contains('{') == name.ends_with('}'), "not a name of ours: {line}");
        samples.push((name.to_owned(), value.parse().with_context(|| format!("not a number: {line}"))?));
    }
    ensure!(!samples.is_empty(), "{admin}/metrics is empty");
    Ok(samples)
}

/// The sample of this exact name and labels, 0 when it has never been counted.
pub(crate) fn sample(samples: &[(String, f64)], name: &str) -> f64 {
    samples.iter().find(|(known, _)| known == name).map_or(0.0, |(_, value)| *value)
}

/// One picture of a transport stream: its time in 90 kHz ticks and the types of its NAL units, in order.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) pts: i64,
    pub(crate) units: Vec<u8>,
}

/// The pictures of the one H.264 track of a transport stream, in decoding order (ISO/IEC 13818-1, 2.4.3).
pub(crate) fn pictures(stream: &[u8]) -> anyhow::Result<Vec<Picture>> {
    ensure!(stream.len().is_multiple_of(188), "{} bytes are no whole number of packets", stream.len());
    let mut video: Option<[u8; 2]> = None;
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for packet in stream.chunks_exact(188) {
        ensure!(packet[0] == 0x47, "a packet without its sync byte");
        let (pid, begins) = ([packet[1] & 0x1f, packet[2]], packet[1] & 0x40 != 0);
        let skip = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
        let payload = if packet[3] & 0x10 == 0 { &[][..] } else { packet.get(skip..).context("a packet too short")? };
        let is_video = begins && payload.starts_with(&[0, 0, 1]) && payload.get(3).is_some_and(|id| id & 0xf0 == 0xe0);
        if is_video {
            ensure!(*video.get_or_insert(pid) == pid, "two video tracks");
            packets.push(Vec::new());
        }
        if video == Some(pid) {
            packets.last_mut().context("video without a start")?.extend_from_slice(payload);
        }
    }
    packets.iter().map(|packet| picture(packet)).collect()
}

/// Reads one PES packet (ISO/IEC 13818-1, 2.4.3.6).
fn picture(packet: &[u8]) -> anyhow::Result<Picture> {
    let head = packet.get(..14).context("a PES packet too short")?;
    ensure!(head[7] & 0x80 != 0, "a picture without a time");
    let time = |at: usize, shift: u32| i64::from(head[at] >> 1) << shift;
    let pts = (i64::from(head[9] >> 1) & 7) << 30
        | i64::from(head[10]) << 22
        | time(11, 15)
        | i64::from(head[12]) << 7
        | time(13, 0);
    let body = packet.get(9 + usize::from(head[8])..).context("a PES packet too short")?;
    let units = body.windows(4).filter(|w| w[..3] == [0, 0, 1]).map(|w| w[3] & 0x1f).collect();
    Ok(Picture { pts, units })
}

/// What stands in the way of a browser test. Where everything should be installed (`CI` is set), nothing may.
pub(crate) fn no_browser() -> Option<String> {
    let player = player().join("node_modules/playwright-core/package.json");
    let chromium = std::env::var_os("HEADFRAME_CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from);
    let on_path = |name: &str| {
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
    };
    let reason = if !chromium.is_file() {
        format!("{} is not there", chromium.display())
    } else if !on_path("node") {
        "node is not there".into()
    } else if !player.is_file() {
        format!("npm has not installed {}; run `./run setup test`", player.display())
    } else if !headframe_media::serve::http::has_hls_js() {
        "this build has no hls.js; run `./run setup` and build again".into()
    } else {
        return None;
    };
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!ci, "the browser test cannot run: {reason}");
    Some(reason)
}

fn player() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/player")
}

/// Starts a browser at `url`; what it finds is asked for with [`judged`].
pub(crate) fn browse(url: &str, patience: Duration, screenshot: &Path) -> anyhow::Result<tokio::process::Child> {
    let mut node = Command::new("node");
    node.arg(player().join("play.mjs")).args([url, "--switch", "--wait", &patience.as_secs().to_string()]);
    node.arg("--screenshot").arg(screenshot);
    node.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    node.spawn().context("cannot start node")
}

/// The facts that the browser found, when it found no fault.
pub(crate) async fn judged(browser: tokio::process::Child, patience: Duration) -> anyhow::Result<Value> {
    let ended = tokio::time::timeout(patience + TOOL, browser.wait_with_output()).await;
    let output = ended.context("the browser hangs")??;
    let told = String::from_utf8_lossy(&output.stdout);
    let facts: Value = serde_json::from_str(&told)
        .with_context(|| format!("play.mjs says {told:?} and {}", String::from_utf8_lossy(&output.stderr)))?;
    ensure!(output.status.success() && facts["faults"] == serde_json::json!([]), "in the browser: {facts}");
    Ok(facts)
}
