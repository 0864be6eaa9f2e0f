//! What every stored measurement begins with, and how it is stored.

use crate::clip::Description;
use crate::ffmpeg::Ffmpeg;
use crate::machine::{self, Machine};
use anyhow::{Context as _, Result};
use headframe_codec::Rendition;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// Where, when and with what something was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Head {
    pub(crate) tool: String,
    pub(crate) created_unix: u64,
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clip: Option<Description>,
    pub(crate) ladder: Vec<Rendition>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Versions {
    bench: &'static str,
    bench_profile: &'static str,
    codec: String,
    pub(crate) ffmpeg: Vec<Opponent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
}

/// An ffmpeg that took part.
#[derive(Debug, Serialize)]
pub(crate) struct Opponent {
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Versions {
    /// `codec` is empty where the codec program has no part.
    pub(crate) fn new(codec: &Path, ffmpegs: &[Ffmpeg]) -> Self {
        let opponent = |ffmpeg: &Ffmpeg| Opponent { name: ffmpeg.name().into(), version: ffmpeg.version().into() };
        Self {
            bench: env!("CARGO_PKG_VERSION"),
            bench_profile: if is_dev() { "dev" } else { "release" },
            codec: build_of(codec),
            ffmpeg: ffmpegs.iter().map(opponent).collect(),
            commit: machine::commit(),
        }
    }
}

/// Whether this is a development build.
pub(crate) fn is_dev() -> bool {
    cfg!(debug_assertions)
}

/// The note that such a build owes its reader.
pub(crate) const DEV_NOTE: &str = "development build: codec and kernels are optimised as in a release, the rest is not";

/// Others may use this many cores during a run that counts as undisturbed.
pub(crate) const QUIET_CORES: f64 = 0.15;

/// The note that a machine on which others worked owes its reader.
pub(crate) fn shared(others_cores: f64) -> Option<String> {
    let text = format!("the machine was shared: others used {others_cores:.2} cores; measure again on an idle one");
    (others_cores > QUIET_CORES).then_some(text)
}

/// What the circumstances of a run owe its reader: see [`shared`] and [`DEV_NOTE`].
pub(crate) fn circumstances(others_cores: f64) -> impl Iterator<Item = String> {
    shared(others_cores).into_iter().chain(is_dev().then(|| DEV_NOTE.to_owned()))
}

impl Head {
    /// Two lines for the top of a table.
    pub(crate) fn lines(&self) -> String {
        let machine = &self.machine;
        let names: Vec<_> = self.versions.ffmpeg.iter().map(|opponent| opponent.version.as_str()).collect();
        let mut text = format!("\n{}, {} cores, {}", machine.cpu, machine.cores, machine.simd);
        if !names.is_empty() {
            text += &format!("; against {}", names.join(" and "));
        }
        if let Some(clip) = &self.clip {
            text += &format!(
                "\n{} from {} s: {} segments, {} pictures of {}x{}, {:.1} s ({})",
                clip.file,
                clip.start_s,
                clip.segments,
                clip.frames,
                clip.width,
                clip.height,
                clip.duration_ms as f64 / 1000.0,
                clip.origin
            );
        }
        text
    }
}

/// Folder and name of the program, which tell the build, and no more of the path.
pub(crate) fn build_of(program: &Path) -> String {
    let folder = program.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    folder.map_or(name.clone(), |folder| format!("{folder}/{name}"))
}

/// Writes `report` to `path`, where one is given.
pub(crate) fn store(path: Option<&Path>, report: &impl Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(report)?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("stored in {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folder_and_name_of_a_program_are_stored() {
        assert_eq!(build_of(Path::new("/a/b/release/headframe-codec")), "release/headframe-codec");
        assert_eq!(build_of(Path::new("headframe-codec")), "headframe-codec");
    }
}
