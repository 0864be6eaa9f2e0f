//! The contestants: our pool, and the `ffmpeg` command lines that do the same ladder.

use crate::ffmpeg::Ffmpeg;
use crate::machine::{Cost, Meter};
use crate::stage::Stage;
use anyhow::{Context as _, Result, ensure};
use headframe_codec::worker::Pool;
use headframe_codec::{Fps, Preset, SegmentOut};
use serde::{Serialize, Serializer};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One way to make the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way<'a> {
    /// Our worker pool, so many segments at once; each is complete before the next of its place begins.
    Headframe { in_flight: usize },
    /// One ffmpeg over the whole clip, so many threads per encoder.
    Continuous { ffmpeg: &'a Ffmpeg, threads: usize },
    /// One ffmpeg per segment, one after another.
    PerSegment { ffmpeg: &'a Ffmpeg, threads: usize },
}

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Headframe { in_flight } => write!(f, "headframe-{in_flight}"),
            Self::Continuous { ffmpeg, threads } => write!(f, "{}-continuous-t{threads}", ffmpeg.name()),
            Self::PerSegment { ffmpeg, threads } => write!(f, "{}-segments-t{threads}", ffmpeg.name()),
        }
    }
}

impl Serialize for Way<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// What one run of one contestant gave.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome<'a> {
    pub(crate) way: Way<'a>,
    #[serde(flatten)]
    pub(crate) cost: Cost,
    /// Bytes of each rendition, in the ladder's order.
    pub(crate) bytes: Vec<u64>,
    /// Longest time for one segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slowest_segment_s: Option<f64>,
}

impl Stage {
    /// Runs one contestant from the cut clip to finished files of each rendition, `<way>/<rendition>.ts`.
    pub(crate) fn run<'a>(&self, way: Way<'a>) -> Result<Outcome<'a>> {
        let out = self.folder().join(way.to_string());
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        fs::create_dir(&out)?;
        let meter = Meter::start();
        let (wall_s, slowest) = match way {
            Way::Headframe { in_flight } => self.headframe(in_flight, &out)?,
            Way::Continuous { ffmpeg, .. } => {
                ffmpeg.run(self.folder(), &self.command(way, 0))?;
                (meter.wall(), None)
            }
            Way::PerSegment { ffmpeg, .. } => {
                let mut slowest = 0f64;
                for number in 0..self.cut.segments.len() {
                    let before = meter.wall();
                    ffmpeg.run(self.folder(), &self.command(way, number))?;
                    slowest = slowest.max(meter.wall() - before);
                }
                (meter.wall(), Some(slowest))
            }
        };
        let cost = meter.cost(wall_s, 0.0);
        let mut bytes = Vec::new();
        for rendition in self.ladder.renditions() {
            let whole = self.output(way, &rendition.name);
            if !matches!(way, Way::Continuous { .. }) {
                self.join(&out, &rendition.name, &whole)?;
            }
            bytes.push(fs::metadata(&whole).with_context(|| format!("{way} made no {}", rendition.name))?.len());
        }
        Ok(Outcome { way, cost, bytes, slowest_segment_s: slowest })
    }

    /// The file with all of a rendition.
    pub(crate) fn output(&self, way: Way<'_>, rendition: &str) -> PathBuf {
        self.folder().join(way.to_string()).join(format!("{rendition}.ts"))
    }

    fn join(&self, out: &Path, rendition: &str, whole: &Path) -> Result<()> {
        let mut all = fs::File::create(whole)?;
        for number in 0..self.cut.segments.len() {
            let part = out.join(format!("{rendition}-{number:05}.ts"));
            let mut part = fs::File::open(&part).with_context(|| format!("{} is missing", part.display()))?;
            std::io::copy(&mut part, &mut all)?;
        }
        Ok(())
    }

    /// The pool with fresh workers. Their start and end count as processor time; the time on the clock is that from
    /// the first segment to the last file, because a rig's workers are long-lived.
    fn headframe(&self, in_flight: usize, out: &Path) -> Result<(f64, Option<f64>)> {
        let pool = self.pool(in_flight)?;
        let begun = Meter::start();
        let (next, slowest) = (AtomicUsize::new(0), Mutex::new((0f64, Ok(()))));
        std::thread::scope(|scope| {
            for _ in 0..in_flight {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(path) = self.cut.segments.get(number) else { break };
                        let before = begun.wall();
                        let done = self.segment(&pool, number, path).and_then(|made| {
                            for rendition in made.renditions {
                                fs::write(out.join(format!("{}-{number:05}.ts", rendition.name)), rendition.bytes)?;
                            }
                            Ok(())
                        });
                        let took = begun.wall() - before;
                        let mut slowest = slowest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        slowest.0 = slowest.0.max(took);
                        if done.is_err() {
                            next.store(usize::MAX / 2, Ordering::Relaxed);
                            slowest.1 = done;
                        }
                    }
                });
            }
        });
        let wall_s = begun.wall();
        let restarts = pool.stats().restarts_total();
        pool.shutdown();
        let (slowest, done) = slowest.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        done?;
        ensure!(restarts == 0, "{restarts} codec workers were replaced during the run; it does not count");
        Ok((wall_s, Some(slowest)))
    }

    fn segment(&self, pool: &Pool, number: usize, path: &Path) -> Result<SegmentOut> {
        self.transcode(pool, "bench", number as u64, &fs::read(path)?)
    }

    /// Arguments of `ffmpeg` for segment `number` of `way`, or for everything; paths are relative to the folder.
    pub(crate) fn command(&self, way: Way<'_>, number: usize) -> Vec<String> {
        let mut args: Vec<String> = Vec::new();
        let mut add = |text: &str| args.extend(text.split(' ').map(str::to_owned));
        let (input, threads, suffix) = match way {
            Way::PerSegment { threads, .. } => (format!("source-{number:05}.ts"), threads, format!("-{number:05}")),
            Way::Continuous { threads, .. } => ("source.ts".to_owned(), threads, String::new()),
            Way::Headframe { .. } => return args,
        };
        if !suffix.is_empty() {
            add("-copyts"); // so that segments join, as a server needs them
        }
        add(&format!("-i {input} -filter_complex"));
        add(&self.filter());
        for (i, rendition) in self.ladder.renditions().iter().enumerate() {
            add(&format!("-map [v{i}]"));
            if self.probe.audio {
                add("-map 0:a:0 -c:a copy");
            }
            let gop = gop(rendition.gop_ms, self.probe.fps);
            let (preset, rate) = (x264_class(rendition.preset), rendition.bitrate_bps);
            add(&format!("-c:v libx264 -preset {preset} -threads {threads} -profile:v high -bf 0 -g {gop}"));
            add(&format!("-sc_threshold 0 -b:v {rate} -maxrate {rate} -bufsize {rate}"));
            if !suffix.is_empty() {
                add("-muxdelay 0 -muxpreload 0");
            }
            add(&format!("-f mpegts {way}/{}{suffix}.ts", rendition.name));
        }
        args
    }

    /// Decoded once, scaled to every size with ffmpeg's default (bicubic).
    fn filter(&self) -> String {
        let renditions = self.ladder.renditions();
        let pads: String = (0..renditions.len()).map(|i| format!("[s{i}]")).collect();
        let scales = renditions.iter().enumerate().map(|(i, r)| format!(";[s{i}]scale={}:{}[v{i}]", r.width, r.height));
        format!("[0:v]split={}{pads}{}", renditions.len(), scales.collect::<String>())
    }
}

/// The x264 preset that a user of `ffmpeg` would take for the same end.
fn x264_class(preset: Preset) -> &'static str {
    match preset {
        Preset::Density => "superfast",
        Preset::Live => "veryfast",
        Preset::Quality => "medium",
    }
}

/// Pictures in `gop_ms`, at least one.
pub(crate) fn gop(gop_ms: u32, fps: Fps) -> u64 {
    let (num, den) = (u64::from(fps.num), u64::from(fps.den.max(1)));
    ((u64::from(gop_ms) * num + 500 * den) / (1000 * den)).max(1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_a_gop() {
        let fps = |num, den| Fps { num, den };
        assert_eq!([gop(1000, fps(30, 1)), gop(1000, fps(30000, 1001)), gop(2000, fps(25, 1))], [30, 30, 50]);
        assert_eq!(gop(250, fps(1, 1)), 1);
    }
}
