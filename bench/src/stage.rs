//! What a measurement of the ladder needs before it starts: programs that work, and a clip that is cut and looked at.

use crate::clip::{self, Clip, Cut, Description};
use crate::ffmpeg::Ffmpeg;
use crate::figures::{Head, Versions};
use crate::machine::{self, Machine};
use crate::options::InputOptions;
use crate::progress::Progress;
use anyhow::{Context as _, Result, ensure};
use headframe_codec::worker::{Pool, PoolConfig};
use headframe_codec::{Fps, Ladder, Limits, Part, SegmentIn, SegmentOut, SourceInfo};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// No segment takes longer on any machine whose figures are of interest.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everything that contestants share. Dropping it removes the clips and outputs.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Not empty where they are needed. The first one also cuts the clip and decodes what is judged.
    pub(crate) ffmpegs: Vec<Ffmpeg>,
    pub(crate) codec: PathBuf,
    pub(crate) ladder: Ladder,
    pub(crate) cut: Cut,
    pub(crate) probe: Probe,
    clip: Clip,
    start_s: u32,
    machine: Machine,
    folder: TempDir,
}

/// What the source turned out to be.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) fps: Fps,
    pub(crate) audio: bool,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frames: u64,
    /// Of 1/90000 s.
    pub(crate) ticks: i64,
}

impl Stage {
    /// Finds the programs, cuts the clip, and transcodes it once, which also warms the file cache.
    /// `usual` seconds of it, unless others were asked for.
    pub(crate) fn set(options: &InputOptions, usual: u32, progress: &Progress) -> Result<Self> {
        Self::with(Ffmpeg::find_all(&options.ffmpeg)?, options, usual, progress, in_pool)
    }

    /// The same for a machine that may lack what is not measured: where the clip is a folder of segments, which needs no
    /// cutting, it does without an ffmpeg, and it looks at the clip without a sandbox, which the kernel may not have.
    pub(crate) fn set_at_best(options: &InputOptions, usual: u32, progress: &Progress) -> Result<Self> {
        let ffmpegs = match Ffmpeg::find_all(&options.ffmpeg) {
            Err(error) if options.clip.as_ref().is_some_and(|clip| clip.is_dir()) => {
                progress.say(&format!("no opponent: {error:#}"));
                Vec::new()
            }
            found => found?,
        };
        Self::with(ffmpegs, options, usual, progress, |codec, _, cut| in_the_open(codec, cut))
    }

    fn with(
        ffmpegs: Vec<Ffmpeg>,
        options: &InputOptions,
        usual: u32,
        progress: &Progress,
        look: impl FnOnce(&Path, &Ladder, &Cut) -> Result<Vec<SourceInfo>>,
    ) -> Result<Self> {
        let seconds = options.seconds.unwrap_or(usual);
        let machine = Machine::here();
        let codec = options.codec.clone().unwrap_or_else(headframe_codec::worker::codec_program);
        let ladder = ladder(options.ladder.as_deref())?;
        let fixed = ladder.renditions().iter().find(|rendition| rendition.fps.is_some());
        if let Some(rendition) = fixed {
            anyhow::bail!("rendition {}: this needs the source's frame rate, leave fps out", rendition.name);
        }
        let folder =
            tempfile::Builder::new().prefix("headframe-bench-").tempdir().context("make a folder for outputs")?;
        let clip = match clip::choose(options.clip.as_deref())? {
            Some(clip) => clip,
            None => {
                progress.say("no clip here (./run clip builds one): making a synthetic one");
                clip::synthesize(&ffmpegs[0], folder.path(), seconds, (1920, 1080), 1)?
            }
        };
        progress.say(&format!("clip: {} ({})", clip.path.display(), clip.origin));
        for ffmpeg in &ffmpegs {
            progress.say(&format!("opponent: {} ({})", ffmpeg.name(), ffmpeg.version()));
        }
        let cut = match clip.path.is_dir() {
            true => clip::take(&clip.path, folder.path(), options.start, seconds)?,
            false => clip::cut(&ffmpegs[0], &clip, folder.path(), options.start, seconds)?,
        };
        progress.step("looking at the clip");
        let probe = Probe::of(&look(&codec, &ladder, &cut)?)?;
        Ok(Self { ffmpegs, codec, ladder, cut, probe, clip, start_s: options.start, machine, folder })
    }

    /// Where clips lie and outputs go.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Length of the video.
    pub(crate) fn seconds(&self) -> f64 {
        self.probe.ticks as f64 / 90_000.0
    }

    /// A pool of `workers` as the node has it.
    pub(crate) fn pool(&self, workers: usize) -> Result<Pool> {
        start_pool(&self.codec, workers)
    }

    /// Transcodes `bytes` as segment `number` of `stream`.
    pub(crate) fn transcode(&self, pool: &Pool, stream: &str, number: u64, bytes: &[u8]) -> Result<SegmentOut> {
        self.transcode_in_parts(pool, stream, number, bytes, &mut |_| {})
    }

    /// The same, and every part goes to `parts` when it comes.
    pub(crate) fn transcode_in_parts(
        &self,
        pool: &Pool,
        stream: &str,
        number: u64,
        bytes: &[u8],
        parts: &mut dyn FnMut(&Part),
    ) -> Result<SegmentOut> {
        Ok(pool.transcode_in_parts(&self.ladder, SegmentIn { stream, number, bytes }, PATIENCE, parts)?)
    }

    /// All segments in memory, as a node gets them.
    pub(crate) fn sources(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.cut.segments.iter().map(fs::read).collect::<Result<_, _>>()?)
    }

    /// The beginning of a stored report.
    pub(crate) fn head(&self) -> Head {
        Head {
            tool: crate::TOOL.to_owned(),
            created_unix: machine::unix_time(),
            machine: self.machine.clone(),
            versions: Versions::new(&self.codec, &self.ffmpegs),
            clip: Some(self.describe()),
            ladder: self.ladder.renditions().to_vec(),
        }
    }

    fn describe(&self) -> Description {
        Description {
            file: self.clip.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            origin: self.clip.origin.clone(),
            start_s: self.start_s,
            segments: self.cut.segments.len() as u64,
            frames: self.probe.frames,
            duration_ms: (self.probe.ticks / 90).unsigned_abs(),
            width: self.probe.width,
            height: self.probe.height,
            bytes: self.cut.bytes,
            sha256: self.cut.sha256.clone(),
        }
    }
}

/// The ladder of a file (a JSON array of renditions), or the standard one.
pub(crate) fn ladder(path: Option<&Path>) -> Result<Ladder> {
    let Some(path) = path else { return Ok(Ladder::standard()) };
    let text = fs::read(path).with_context(|| format!("cannot read ladder {}", path.display()))?;
    let help = || format!("ladder {}: want a JSON array of {{name, width, height, bitrate_bps}}", path.display());
    serde_json::from_slice(&text).with_context(help)
}

/// Starts `workers` of `program` and says what to do when that fails.
pub(crate) fn start_pool(program: &Path, workers: usize) -> Result<Pool> {
    let config = PoolConfig { program: program.into(), workers, limits: Limits::default(), ..PoolConfig::default() };
    let help = || {
        format!(
            "{} does not work; build it (cargo build -p headframe-codec) or name it with --codec",
            program.display()
        )
    };
    Pool::start(config).with_context(help)
}

/// Transcodes everything once, which proves that the pool works.
fn in_pool(codec: &Path, ladder: &Ladder, cut: &Cut) -> Result<Vec<SourceInfo>> {
    let pool = start_pool(codec, 1)?;
    let mut all = Vec::new();
    for (number, path) in cut.segments.iter().enumerate() {
        let bytes = fs::read(path)?;
        let segment = SegmentIn { stream: "probe", number: number as u64, bytes: &bytes };
        all.push(pool.transcode(ladder, segment, PATIENCE)?.source);
    }
    pool.shutdown();
    Ok(all)
}

/// Has `codec` say what the segments are.
fn in_the_open(codec: &Path, cut: &Cut) -> Result<Vec<SourceInfo>> {
    let output = Command::new(codec).arg("look").args(&cut.segments).output();
    let output = output.with_context(|| format!("cannot run {}", codec.display()))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the clip cannot be used: {}", words.lines().last().unwrap_or_default());
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{}: not of this version, name another with --codec", codec.display()))
}

impl Probe {
    /// Of segments that follow each other.
    fn of(all: &[SourceInfo]) -> Result<Self> {
        let first = all.first().context("the clip has no segments")?;
        let (frames, ticks) = (u64::from(first.frames), first.duration.max(1) as u64);
        ensure!(
            all.iter().all(|it| (it.width, it.height) == (first.width, first.height)),
            "the clip changes its size on the way; use another"
        );
        // Frames over ticks is exact for steady rates; 1001 denominators come out as such.
        let (num, den) = reduce(frames * 90_000, ticks);
        Ok(Self {
            fps: Fps { num, den },
            audio: first.audio,
            width: first.width,
            height: first.height,
            frames: all.iter().map(|it| u64::from(it.frames)).sum(),
            ticks: all.iter().map(|it| it.duration).sum(),
        })
    }
}

fn reduce(num: u64, den: u64) -> (u32, u32) {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let fit = |value: u64| u32::try_from(value / a.max(1)).unwrap_or(u32::MAX).max(1);
    (fit(num), fit(den))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_are_exact() {
        assert_eq!(reduce(60 * 90_000, 180_000), (30, 1));
        assert_eq!(reduce(60 * 90_000, 60 * 3003), (30_000, 1001));
    }
}
