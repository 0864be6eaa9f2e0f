//! Which pictures are measured, and how they are cut into segments.

use crate::ffmpeg::Ffmpeg;
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that names the clip, set by `./run bench`.
pub(crate) const VARIABLE: &str = "HEADFRAME_CLIP";
/// Seconds of a segment.
pub(crate) const SEGMENT_S: u32 = 2;

/// A video file.
#[derive(Debug, Clone)]
pub(crate) struct Clip {
    pub(crate) path: PathBuf,
    /// What a reader of the figures should know about it.
    pub(crate) origin: String,
}

/// The note that `scripts/clip` leaves.
#[derive(Debug, Deserialize)]
struct Note {
    path: PathBuf,
    kind: String,
    #[serde(default)]
    sources: Vec<String>,
}

/// The clip that was named, else the one that `scripts/clip` built last, else `None`.
pub(crate) fn choose(given: Option<&Path>) -> Result<Option<Clip>> {
    if let Some(path) = given {
        ensure!(path.exists(), "clip {} is not there; build one with: ./run clip", path.display());
        let note = path.parent().and_then(|folder| noted(&folder.join("clip.json")));
        let same = |note: &Note| note.path.file_name() == path.file_name();
        let origin = note.filter(same).map_or("named on the command line".to_owned(), |note| origin(&note));
        return Ok(Some(Clip { path: path.into(), origin }));
    }
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.parent().and_then(Path::parent).map(|target| target.join("clips/clip.json"));
    let places = [Some(PathBuf::from("target/clips/clip.json")), beside];
    let note = places.into_iter().flatten().find_map(|path| noted(&path)).filter(|note| note.path.is_file());
    Ok(note.map(|note| Clip { origin: origin(&note), path: note.path }))
}

fn noted(path: &Path) -> Option<Note> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn origin(note: &Note) -> String {
    format!("{}: {}", note.kind, note.sources.join("; "))
}

/// Makes `seconds` of H.264 in `folder` without any input: thirds of moving patterns, of slow gradients under grain, and
/// of patterns under heavy noise. For one `seed` and one ffmpeg it has the same bytes everywhere.
pub(crate) fn synthesize(ffmpeg: &Ffmpeg, folder: &Path, seconds: u32, size: (u32, u32), seed: u64) -> Result<Clip> {
    let size = format!("{}x{}", size.0, size.1);
    let seed = seed % (1 << 31);
    let part = f64::from(seconds) / 3.0;
    let graph = format!(
        "testsrc2=s={size}:r=30:d={part},format=yuv420p[a];\
         gradients=s={size}:r=30:d={part}:seed={seed}:speed=0.02,format=yuv420p,noise=c0s=8:c0f=t+u:all_seed={seed}[b];\
         testsrc2=s={size}:r=30:d={part},format=yuv420p,hue=h=40*t,noise=c0s=24:c0f=t+u:all_seed={seed}[c];\
         [a][b][c]concat=n=3:v=1:a=0,fps=30[v]"
    );
    let path = folder.join("synthetic.mp4");
    let encoder = "-c:v libx264 -preset veryfast -threads 1 -b:v 6000k -maxrate 6000k -bufsize 6000k -bf 2 -g 60";
    let mut args = vec!["-filter_complex", &graph, "-map", "[v]"];
    args.extend(encoder.split(' '));
    args.extend(["-sc_threshold", "0", "-map_metadata", "-1", "-fflags", "+bitexact", "synthetic.mp4"]);
    ffmpeg.run(folder, &args).context("make a synthetic clip")?;
    let origin = format!("synthetic: ffmpeg testsrc2, gradients, noise, seed {seed}; figures differ from film content");
    Ok(Clip { path, origin })
}

/// A clip as MPEG-TS, whole and in segments; the same pictures and packets in both.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// All in one file.
    pub(crate) whole: PathBuf,
    /// Independently decodable, in order; about two seconds each.
    pub(crate) segments: Vec<PathBuf>,
    /// Over all segments' bytes.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// Takes what was cut before, where `clip` is a folder of segments in MPEG-TS: those of `seconds` in the order of their names, from
/// the one at `start` on. They are joined in `folder`.
pub(crate) fn take(clip: &Path, folder: &Path, start: u32, seconds: u32) -> Result<Cut> {
    let list = fs::read_dir(clip).with_context(|| format!("clip {}", clip.display()))?;
    let mut all: Vec<PathBuf> = list.collect::<Result<Vec<_>, _>>()?.iter().map(fs::DirEntry::path).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "ts"));
    all.sort();
    let segments = all.into_iter().skip((start / SEGMENT_S) as usize).take(seconds.div_ceil(SEGMENT_S) as usize);
    let segments = segments.map(std::path::absolute).collect::<Result<Vec<_>, _>>()?;
    ensure!(!segments.is_empty(), "{} has no segments (*.ts) in the seconds asked for", clip.display());
    let whole = folder.join("source.ts");
    let joined = segments.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?.concat();
    fs::write(&whole, joined)?;
    summed(whole, segments)
}

/// Copies `seconds` from second `start` of `clip` into `folder` without re-encoding.
pub(crate) fn cut(ffmpeg: &Ffmpeg, clip: &Clip, folder: &Path, start: u32, seconds: u32) -> Result<Cut> {
    let absolute = fs::canonicalize(&clip.path).with_context(|| format!("clip {}", clip.path.display()))?;
    let (start, seconds) = (start.to_string(), seconds.to_string());
    let mut args: Vec<OsString> = ["-ss", &start, "-t", &seconds, "-i"].map(Into::into).into();
    args.push(absolute.into_os_string());
    let length = SEGMENT_S.to_string();
    let copy = ["-map", "0:v:0", "-map", "0:a:0?", "-c", "copy", "-f", "segment", "-segment_time", &length];
    args.extend(copy.map(Into::into));
    args.extend(["-segment_format", "mpegts", "-segment_list", "cut.csv", "source-%05d.ts"].map(Into::into));
    ffmpeg.run(folder, &args).with_context(|| format!("cut {}", clip.path.display()))?;
    let names = keep(&fs::read_to_string(folder.join("cut.csv"))?);
    ensure!(!names.is_empty(), "{} has no video in the seconds asked for", clip.path.display());
    // One file of exactly these packets, on one timeline.
    let joined = format!("concat:{}", names.join("|"));
    ffmpeg
        .run(folder, &["-i", &joined, "-map", "0", "-c", "copy", "-f", "mpegts", "source.ts"])
        .context("join the segments")?;
    summed(folder.join("source.ts"), names.iter().map(|name| folder.join(name)).collect())
}

fn summed(whole: PathBuf, segments: Vec<PathBuf>) -> Result<Cut> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    for path in &segments {
        let data = fs::read(path)?;
        bytes += data.len() as u64;
        hash.update(&data);
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Cut { whole, segments, sha256, bytes })
}

/// The segments of ffmpeg's list (name, start, end) in order. Cutting between B-pictures leaves a stump of the next
/// group at the end, which would be a segment like no other: it is left out.
fn keep(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in list.lines() {
        let mut fields = line.split(',');
        let (Some(name), Some(start), Some(end)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let seconds = |text: &str| text.trim().parse::<f64>().unwrap_or(0.0);
        if names.is_empty() || (seconds(end) - seconds(start)) * 2.0 >= f64::from(SEGMENT_S) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The clip of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Description {
    pub(crate) file: String,
    pub(crate) origin: String,
    pub(crate) start_s: u32,
    pub(crate) segments: u64,
    pub(crate) frames: u64,
    pub(crate) duration_ms: u64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn stumps_are_left_out() {
        let list = "source-00000.ts,0.000000,2.000000\nsource-00001.ts,2.0,4.0\nsource-00002.ts,4.0,4.066\n";
        assert_eq!(keep(list), ["source-00000.ts", "source-00001.ts"]);
        assert_eq!(keep("source-00000.ts,0,0.5\n"), ["source-00000.ts"], "better a short one than none");
        assert!(keep("").is_empty());
    }

    #[test]
    fn a_folder_of_segments_is_taken_as_it_is() {
        let (clip, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, bytes) in [("s2.ts", "c"), ("s0.ts", "a"), ("s1.ts", "b"), ("list.csv", "x")] {
            fs::write(clip.path().join(name), bytes).unwrap();
        }
        let names = |cut: &Cut| -> Vec<String> {
            cut.segments.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        let all = take(clip.path(), folder.path(), 0, 20).unwrap();
        assert_eq!((names(&all), all.bytes), (vec!["s0.ts".into(), "s1.ts".into(), "s2.ts".into()], 3));
        assert_eq!(fs::read(&all.whole).unwrap(), b"abc");
        assert_eq!(names(&take(clip.path(), folder.path(), 2, 3).unwrap()), ["s1.ts", "s2.ts"]);
        let error = take(clip.path(), folder.path(), 6, 2).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("has no segments"), "{error}");
    }

    #[test]
    fn a_clip_that_is_missing_is_named() {
        let error = choose(Some(Path::new("nowhere.mp4"))).map(|_| ()).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("nowhere.mp4") && text.contains("./run clip")));
    }
}
