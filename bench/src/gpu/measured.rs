//! What the codec program measured of a card, as it says it.

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::accept;
use crate::options::GpuOptions;
use crate::progress::Progress;

/// Most bytes of an answer, and of what is kept of complaints.
const ANSWER: u64 = 1 << 20;
const WORDS: usize = 20;

/// What this machine has, as far as it matters before a card is measured.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    pub(super) driver: Option<String>,
    devices: Vec<Card>,
    #[serde(default)]
    broken: Vec<Broken>,
    problems: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Broken {
    ordinal: u32,
    reason: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Card {
    pub(super) ordinal: u32,
    pub(super) uuid: String,
    pub(super) pci: String,
    pub(super) name: String,
    pub(super) compute: (u32, u32),
    pub(super) memory_bytes: u64,
}

/// What was measured.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Measured {
    pub(super) card: Card,
    pub(super) cuda: (u32, u32),
    pub(super) nvenc_api: Option<String>,
    pub(super) doubles: Vec<String>,
    pub(super) encodes: bool,
    pub(super) sessions: usize,
    pub(super) parts: Vec<Rate>,
    pub(super) ladders: Vec<Run>,
    pub(super) live: Vec<Live>,
    /// Decoding and scaling for long, where it was asked for.
    pub(super) soak: Option<Rate>,
    pub(super) problems: Vec<String>,
}

/// A part of the card alone.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Rate {
    pub(super) part: String,
    pub(super) at_once: usize,
    pub(super) pictures_per_s: f64,
    pub(super) hd_pictures_per_s: f64,
    pub(super) seconds: f64,
    pub(super) to_host_bytes: u64,
    pub(super) memory: Memory,
    pub(super) decoders_busy_percent: Option<f64>,
    pub(super) encoders_busy_percent: Option<f64>,
}

/// Ladders at once, as fast as they go.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Run {
    pub(super) who: String,
    pub(super) link: Option<Link>,
    pub(super) streams: usize,
    pub(super) wall_s: f64,
    pub(super) video_s: f64,
    pub(super) pictures: u64,
    pub(super) ladders: f64,
    pub(super) pictures_per_s: f64,
    pub(super) cpu_s_per_video_s: f64,
    pub(super) software_encoding_s_per_video_s: f64,
    pub(super) traffic: Traffic,
    pub(super) to_card_bytes_per_video_s: f64,
    pub(super) to_host_bytes_per_video_s: f64,
    pub(super) memory: Memory,
    pub(super) decoders_busy_percent: Option<f64>,
    pub(super) encoders_busy_percent: Option<f64>,
    pub(super) made: Made,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(super) struct Link {
    pub(super) bytes_per_s: u64,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(super) struct Traffic {
    pub(super) to_card: u64,
    pub(super) to_host: u64,
}

/// Bytes of the card in use.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(super) struct Memory {
    pub(super) before: u64,
    /// The most in the first fifth of the time.
    pub(super) most_early: u64,
    pub(super) most: u64,
    pub(super) after: u64,
}

/// Who made what.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(super) struct Made {
    pub(super) rungs_on_card: u64,
    pub(super) rungs_on_host: u64,
    pub(super) segments_left: u64,
}

/// Live ladders that were tried.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Live {
    pub(super) streams: usize,
    pub(super) segments: usize,
    pub(super) late: usize,
    pub(super) p99: f64,
    pub(super) worst: f64,
    pub(super) on_time: bool,
    /// None of codec programs that do not tell it.
    pub(super) cost: Option<LiveCost>,
}

/// What live ladders cost the process that has the engine.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(super) struct LiveCost {
    pub(super) pictures: u64,
    /// Without encoding in software.
    pub(super) cpu_s: f64,
    pub(super) software_encoding_s: f64,
}

impl Measured {
    pub(super) fn own_link(&self, who: &str) -> impl Iterator<Item = &Run> {
        let of = who.to_owned();
        self.ladders.iter().filter(move |run| run.link.is_none() && run.who == of)
    }

    /// The most ladders at once, without anything simulated, encoded by the card where it can.
    pub(super) fn best(&self) -> Option<&Run> {
        let who = if self.encodes { "card" } else { "processors" };
        self.own_link(who).max_by(|a, b| a.ladders.total_cmp(&b.ladders))
    }

    /// Bytes of the card that one more ladder takes; needs two runs of different width.
    pub(super) fn memory_of_a_ladder(&self) -> Option<f64> {
        let who = if self.encodes { "card" } else { "processors" };
        let used = |run: &Run| run.memory.most.saturating_sub(run.memory.before) as f64;
        let least = self.own_link(who).min_by_key(|run| run.streams)?;
        let most = self.own_link(who).max_by_key(|run| run.streams)?;
        let more = most.streams - least.streams;
        (more > 0).then(|| (used(most) - used(least)) / more as f64)
    }

    /// A part where it was fastest.
    pub(super) fn fastest(&self, name: &str) -> Option<&Rate> {
        let of = self.parts.iter().filter(|rate| rate.part == name);
        of.max_by(|a, b| a.pictures_per_s.total_cmp(&b.pictures_per_s))
    }

    /// How fast a part was at best.
    pub(super) fn part(&self, name: &str) -> Option<f64> {
        self.fastest(name).map(|rate| rate.pictures_per_s)
    }
}

/// Asks what cards there are; an error that says what is missing if there is none, or none of this name.
pub(super) fn find(codec: &Path, options: &GpuOptions) -> Result<Found> {
    let mut command = Command::new(codec);
    command.args(["gpu", "--json"]).args(libraries(options)).stdin(Stdio::null());
    let help = || {
        format!("{} does not work; build it (cargo build -p headframe-codec) or name it with --codec", codec.display())
    };
    let output = command.output().with_context(help)?;
    let found: Found = serde_json::from_slice(&output.stdout).with_context(help)?;
    let broken = found.broken.iter().map(|card| format!("card {}: {}", card.ordinal, card.reason));
    let why: Vec<_> = found.problems.iter().cloned().chain(broken).collect();
    let why = if why.is_empty() { "the driver lists none".to_owned() } else { why.join("; ") };
    match &options.card {
        _ if found.devices.is_empty() => bail!("no NVIDIA card that could be measured: {why}"),
        Some(wanted) if found.devices.iter().all(|card| card.uuid != *wanted) => {
            bail!("there is no card {wanted}; `headframe-codec gpu` lists those there are")
        }
        _ => Ok(found),
    }
}

fn libraries(options: &GpuOptions) -> Vec<PathBuf> {
    options.libraries.iter().flat_map(|folder| [PathBuf::from("--libraries"), folder.clone()]).collect()
}

/// Has the codec program measure the card with these segments; its steps show as progress.
pub(super) fn measure(
    codec: &Path,
    options: &GpuOptions,
    segments: &[PathBuf],
    progress: &Progress,
) -> Result<Measured> {
    let mut command = Command::new(codec);
    command.arg("gpu-measure").args(segments).args(libraries(options));
    for (name, value) in [
        ("--streams", u64::from(options.streams)),
        ("--seconds", options.seconds_per_step),
        ("--live-seconds", options.live),
        ("--riser", options.riser * 1_000_000),
        ("--soak-seconds", options.soak_seconds()),
        ("--soak-streams", accept::STREAMS.into()),
    ] {
        command.args([name, &value.to_string()]);
    }
    command.args(options.card.iter().flat_map(|card| ["--card", card]));
    if let Some(ladder) = &options.input.ladder {
        command.arg("--ladder").arg(ladder);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", codec.display()))?;
    let (Some(out), Some(steps)) = (child.stdout.take(), child.stderr.take()) else {
        bail!("{} was started without pipes", codec.display());
    };
    let answer = std::thread::spawn(move || {
        let mut answer = Vec::new();
        out.take(ANSWER).read_to_end(&mut answer).map(|_| answer)
    });
    let mut words = Vec::new();
    for line in BufReader::new(steps).lines().map_while(Result::ok) {
        match line.strip_prefix("step: ") {
            Some(step) => progress.step(step),
            None => words.push(line),
        }
        // The last ones say why it ended.
        let many = words.len().saturating_sub(WORDS);
        words.drain(..many);
    }
    let status = child.wait()?;
    let answer = answer.join().map_err(|_| anyhow::anyhow!("the answer was lost"))??;
    if !status.success() {
        bail!("measuring ended with {status}: {}", words.join("; "));
    }
    serde_json::from_slice(&answer).context("the codec program answered something else; is it of another version?")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn run(who: &str, streams: usize, ladders: f64, most: u64) -> Run {
        serde_json::from_value(json!({
            "who": who, "link": null, "streams": streams, "wall_s": 1.0, "video_s": ladders, "pictures": 30,
            "ladders": ladders, "pictures_per_s": 30.0 * ladders, "cpu_s_per_video_s": 0.02,
            "software_encoding_s_per_video_s": 0.0, "traffic": {"to_card": 1, "to_host": 2},
            "to_card_bytes_per_video_s": 750e3, "to_host_bytes_per_video_s": 700e3,
            "memory": {"before": 100, "most_early": most, "most": most, "after": most}, "decoders_busy_percent": null,
            "encoders_busy_percent": 40.0, "made": {"rungs_on_card": 4, "rungs_on_host": 0, "segments_left": 0},
        }))
        .unwrap()
    }

    fn rate(part: &str, at_once: usize, pictures: f64) -> serde_json::Value {
        json!({
            "part": part, "at_once": at_once, "pictures_per_s": pictures, "hd_pictures_per_s": pictures, "seconds": 1.0,
            "to_host_bytes": 0, "memory": {"before": 1, "most_early": 2, "most": 2, "after": 2},
            "decoders_busy_percent": null, "encoders_busy_percent": null,
        })
    }

    pub(crate) fn measured(ladders: Vec<Run>, doubles: &[&str]) -> Measured {
        let card = json!({ "ordinal": 0, "uuid": "GPU-1", "pci": "0000:01:00.0", "name": "Card", "compute": [8, 6],
            "memory_bytes": 8u64 << 30 });
        serde_json::from_value(json!({
            "card": card, "cuda": [12, 2], "nvenc_api": "12.0", "doubles": doubles, "encodes": true, "sessions": 8,
            "parts": [rate("decode", 1, 500.0), rate("decode", 2, 700.0), rate("decode_and_scale", 2, 660.0)],
            "ladders": serde_json::to_value(ladders).unwrap(), "live": [], "soak": null, "problems": [],
        }))
        .unwrap()
    }

    #[test]
    fn figures_are_taken_from_runs_with_nothing_simulated() {
        let mut slowed = run("card", 4, 90.0, 9000);
        slowed.link = Some(Link { bytes_per_s: 200_000_000 });
        let runs = vec![run("card", 1, 5.0, 400), run("card", 4, 9.0, 1000), run("processors", 8, 99.0, 5000), slowed];
        let found = measured(runs, &[]);
        assert_eq!(found.best().unwrap().ladders, 9.0);
        assert_eq!(found.memory_of_a_ladder(), Some(200.0));
        assert_eq!((found.part("decode"), found.part("encode")), (Some(700.0), None));
        assert_eq!(measured(vec![run("card", 1, 5.0, 400)], &[]).memory_of_a_ladder(), None);
    }
}
