//! The same ladder by the ffmpeg command line on the same card: NVDEC, `scale_cuda`, NVENC.

use crate::compare::contest::gop;
use crate::ffmpeg::Ffmpeg;
use crate::machine::Meter;
use crate::stage::Stage;
use anyhow::{Result, anyhow};
use headframe_codec::{Codec, Preset};
use serde::Serialize;
use std::fs;

/// The clip is played so many times, so that a start counts less.
const PLAYS: u32 = 5;
/// Most processes at once.
const PROCESSES: usize = 16;
/// Twice the processes must be worth so much more.
const GAIN: f64 = 1.05;

/// What one ffmpeg did, or why it did nothing.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) ffmpeg: String,
    /// Whether it encoded; on a card that does not encode it only decodes and scales.
    pub(super) encoded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_measured: Option<String>,
    pub(super) runs: Vec<Run>,
    /// Why there were no more processes at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stopped: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<String>,
}

/// So many processes at once, from the start of the first to the end of the last.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) processes: usize,
    pub(super) wall_s: f64,
    pub(super) ladders: f64,
    pub(super) pictures_per_s: f64,
    pub(super) cpu_s_per_video_s: f64,
}

impl Outcome {
    pub(super) fn best(&self) -> Option<&Run> {
        self.runs.iter().max_by(|a, b| a.ladders.total_cmp(&b.ladders))
    }

    fn none(ffmpeg: &Ffmpeg, encoded: bool, reason: String) -> Self {
        let ffmpeg = ffmpeg.name().to_owned();
        Self { ffmpeg, encoded, not_measured: Some(reason), runs: Vec::new(), stopped: None, command: None }
    }
}

/// Every ffmpeg of the stage on the card with this number.
pub(super) fn all(stage: &Stage, card: u32, encodes: bool, doubles: bool, step: &dyn Fn(&str)) -> Vec<Outcome> {
    let one = |ffmpeg: &Ffmpeg| {
        if doubles {
            let reason = "there is no card: the driver is a test double".to_owned();
            return Outcome::none(ffmpeg, encodes, reason);
        }
        match missing(ffmpeg, stage, encodes) {
            Some(what) => Outcome::none(ffmpeg, encodes, format!("this build has no {what}")),
            None => runs(ffmpeg, stage, card, encodes, step),
        }
    };
    stage.ffmpegs.iter().map(one).collect()
}

/// The first thing that this build lacks.
fn missing(ffmpeg: &Ffmpeg, stage: &Stage, encodes: bool) -> Option<String> {
    let lacks = |list: &str, name: &str| {
        let listed = ffmpeg.listed(list).unwrap_or_default();
        !listed.split_ascii_whitespace().any(|word| word == name)
    };
    let codecs = stage.ladder.renditions().iter().filter(|_| encodes).map(|it| ("-encoders", nvenc(it.codec)));
    let all = [("-hwaccels", "cuda"), ("-filters", "scale_cuda")].into_iter().chain(codecs);
    all.into_iter().find(|(list, name)| lacks(list, name)).map(|(_, name)| name.to_owned())
}

fn nvenc(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264_nvenc",
        Codec::Hevc => "hevc_nvenc",
        Codec::Av1 => "av1_nvenc",
    }
}

fn runs(ffmpeg: &Ffmpeg, stage: &Stage, card: u32, encodes: bool, step: &dyn Fn(&str)) -> Outcome {
    let command = command(stage, card, encodes, 0).join(" ");
    let mut outcome = Outcome {
        ffmpeg: ffmpeg.name().to_owned(),
        encoded: encodes,
        not_measured: None,
        runs: Vec::new(),
        stopped: None,
        command: Some(format!("ffmpeg {command}")),
    };
    let mut processes = 1;
    while processes <= PROCESSES {
        step(&format!("{} with scale_cuda, {processes} at once", ffmpeg.name()));
        let before = outcome.best().map(|run| run.ladders);
        match at_once(ffmpeg, stage, card, encodes, processes) {
            Ok(run) => {
                let gained = before.is_none_or(|before| run.ladders >= before * GAIN);
                outcome.runs.push(run);
                if !gained {
                    break;
                }
            }
            Err(error) if outcome.runs.is_empty() => {
                outcome.not_measured = Some(format!("{error:#}"));
                break;
            }
            // Too many sessions, as a rule.
            Err(error) => {
                outcome.stopped = Some(format!("{processes} at once: {error:#}"));
                break;
            }
        }
        processes *= 2;
    }
    outcome
}

fn at_once(ffmpeg: &Ffmpeg, stage: &Stage, card: u32, encodes: bool, processes: usize) -> Result<Run> {
    for i in 0..processes {
        fs::create_dir_all(stage.folder().join(folder(i)))?;
    }
    let meter = Meter::start();
    let ended = std::thread::scope(|scope| {
        let one = |i| move || ffmpeg.run(stage.folder(), &command(stage, card, encodes, i));
        let threads: Vec<_> = (0..processes).map(|i| scope.spawn(one(i))).collect();
        let panicked = |_| Err(anyhow!("lost sight of ffmpeg"));
        threads.into_iter().map(|it| it.join().unwrap_or_else(panicked)).collect::<Vec<_>>()
    });
    let wall_s = meter.wall();
    ended.into_iter().collect::<Result<Vec<()>>>()?;
    let plays = processes as f64 * f64::from(PLAYS);
    let video = plays * stage.seconds();
    Ok(Run {
        processes,
        wall_s,
        ladders: video / wall_s,
        pictures_per_s: plays * stage.probe.frames as f64 / wall_s,
        cpu_s_per_video_s: meter.cost(wall_s, 0.0).cpu_s() / video,
    })
}

fn folder(i: usize) -> String {
    format!("ffmpeg-gpu-{i}")
}

/// Arguments of `ffmpeg` for process `i`; pictures stay on the card, as far as ffmpeg leaves them there.
fn command(stage: &Stage, card: u32, encodes: bool, i: usize) -> Vec<String> {
    let renditions = stage.ladder.renditions();
    let pads: String = (0..renditions.len()).map(|i| format!("[s{i}]")).collect();
    let scales =
        renditions.iter().enumerate().map(|(i, r)| format!(";[s{i}]scale_cuda={}:{}[v{i}]", r.width, r.height));
    let graph = format!("[0:v]split={}{pads}{}", renditions.len(), scales.collect::<String>());
    let mut line = format!(
        "-hwaccel cuda -hwaccel_device {card} -hwaccel_output_format cuda -stream_loop {} -i source.ts \
         -filter_complex {graph}",
        PLAYS - 1
    );
    for (v, rendition) in renditions.iter().enumerate() {
        line += &format!(" -map [v{v}]");
        if !encodes {
            line += " -f null -";
            continue;
        }
        let (codec, preset, rate) = (nvenc(rendition.codec), preset(rendition.preset), rendition.bitrate_bps);
        let gop = gop(rendition.gop_ms, stage.probe.fps);
        line += &format!(
            " -c:v {codec} -preset {preset} -rc vbr -b:v {rate} -maxrate {rate} -bufsize {rate} -bf 0 -g {gop} -f mpegts {}/{}.ts",
            folder(i),
            rendition.name
        );
    }
    line.split(' ').map(str::to_owned).collect()
}

/// What our engine asks of NVENC for the same word.
fn preset(preset: Preset) -> &'static str {
    match preset {
        Preset::Density => "p2",
        Preset::Live => "p4",
        Preset::Quality => "p6",
    }
}
