//! The `ffmpeg` command line: what we compare with, and what cuts clips and decodes outputs.

use anyhow::{Context as _, Result, bail, ensure};
use headframe_kernels::{PlaneMut, PlaneRef, Yuv420Mut, Yuv420Ref};
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;

/// Most bytes kept of a program's complaints.
const WORDS: usize = 4096;

/// A working `ffmpeg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ffmpeg {
    program: PathBuf,
    version: String,
    name: String,
}

impl Ffmpeg {
    /// Finds out whether `program` runs.
    pub(crate) fn find(program: &Path) -> Result<Self> {
        let help = || format!("cannot run {}; install ffmpeg or name it with --ffmpeg", program.display());
        let output = Command::new(program).arg("-version").stdin(Stdio::null()).output().with_context(help)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().split(" Copyright").next().unwrap_or_default();
        ensure!(output.status.success() && version.starts_with("ffmpeg"), "{} is no ffmpeg", program.display());
        // It runs in other folders. A bare name is looked up in the path.
        let bare = program.components().count() == 1;
        let program = if bare { program.to_owned() } else { std::path::absolute(program)? };
        Ok(Self { program, version: version.to_owned(), name: name_of(version) })
    }

    /// The same for several. Their names differ, also where two have one version.
    pub(crate) fn find_all(programs: &[PathBuf]) -> Result<Vec<Self>> {
        let mut found: Vec<Self> = Vec::new();
        for program in programs {
            let mut ffmpeg = Self::find(program)?;
            let same = found.iter().filter(|other| name_of(&other.version) == ffmpeg.name).count();
            if same > 0 {
                ffmpeg.name += &format!("({})", same + 1);
            }
            found.push(ffmpeg);
        }
        ensure!(!found.is_empty(), "name an ffmpeg with --ffmpeg");
        Ok(found)
    }

    /// One that is never run.
    #[cfg(test)]
    pub(crate) fn named(version: &str) -> Self {
        let version = format!("ffmpeg version {version}");
        Self { program: "ffmpeg".into(), name: name_of(&version), version }
    }

    /// `ffmpeg-` and the number of its version.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The first line of `-version`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// What it prints for a list such as `-filters`.
    pub(crate) fn listed(&self, list: &str) -> Result<String> {
        let output = Command::new(&self.program).args(["-hide_banner", list]).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot run {}", self.program.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it in `folder` to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, folder: &Path, args: &[S]) -> Result<()> {
        let output = self.command(folder).args(args).stdout(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot run {}", self.program.display()))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let line: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
            bail!("ffmpeg ended with {}: {}\n  ffmpeg {}", output.status, last_lines(&words), line.join(" "));
        }
        Ok(())
    }

    /// The same, and raises `peak` to the most memory seen, bytes; looked at ten times a second, so a short run may
    /// show less than it had.
    pub(crate) fn run_watched<S: AsRef<OsStr>>(&self, folder: &Path, args: &[S], peak: &AtomicU64) -> Result<()> {
        let child = self.command(folder).args(args).stdout(Stdio::null()).spawn();
        let child = child.with_context(|| format!("cannot run {}", self.program.display()))?;
        let status = format!("/proc/{}/status", child.id());
        let (done, ended) = std::sync::mpsc::channel();
        let waiter = std::thread::spawn(move || {
            let output = child.wait_with_output();
            let _ = done.send(());
            output
        });
        while ended.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let kib =
                text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
            peak.fetch_max(kib.unwrap_or(0u64) * 1024, Ordering::Relaxed);
        }
        let output = waiter.join().map_err(|_| anyhow::anyhow!("lost sight of ffmpeg"))??;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ffmpeg ended with {}: {}", output.status, last_lines(&words));
        Ok(())
    }

    /// Bytes of the H.264 stream inside `input`, without container and sound; `scratch` is overwritten.
    pub(crate) fn video_bytes(&self, input: &Path, scratch: &Path) -> Result<u64> {
        let copy = ["-map", "0:v:0", "-c", "copy", "-f", "h264"].map(OsStr::new);
        let mut args = vec![OsStr::new("-i"), input.as_os_str()];
        args.extend(copy);
        args.push(scratch.as_os_str());
        self.run(Path::new("."), &args)?;
        Ok(std::fs::metadata(scratch)?.len())
    }

    /// Decodes the video of `input` (path, then filter if any) to pictures of `size`.
    pub(crate) fn pictures(&self, input: &Path, filter: Option<&str>, size: (u32, u32)) -> Result<Pictures> {
        let mut command = self.command(Path::new("."));
        command.arg("-i").arg(input).args(["-map", "0:v:0", "-an", "-fps_mode", "passthrough"]);
        if let Some(filter) = filter {
            command.args(["-vf", filter]);
        }
        command.args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]);
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("cannot run {}", self.program.display()))?;
        let (Some(out), Some(mut complaints)) = (child.stdout.take(), child.stderr.take()) else {
            bail!("ffmpeg was started without pipes");
        };
        let words = std::thread::spawn(move || {
            let mut kept = Vec::new();
            let _ = complaints.by_ref().take(WORDS as u64).read_to_end(&mut kept);
            let _ = std::io::copy(&mut complaints, &mut std::io::sink());
            String::from_utf8_lossy(&kept).into_owned()
        });
        Ok(Pictures { input: input.into(), child, out, words: Some(words), frame: Frame::new(size), ended: false })
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).args(["-hide_banner", "-nostdin", "-v", "error", "-y"]);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// From the first line of `-version`: distributions and builders of static ones add words of their own to the number.
fn name_of(version: &str) -> String {
    let word = version.split(' ').nth(2).unwrap_or_default();
    let number = word.trim_start_matches('n').split(['-', '+', '~']).next().unwrap_or_default();
    match number.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("ffmpeg-{number}"),
        // A build from between releases is named by its revision.
        false => format!("ffmpeg-{}", word.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>()),
    }
}

fn last_lines(words: &str) -> String {
    let lines: Vec<&str> = words.lines().collect();
    lines[lines.len().saturating_sub(4)..].join("; ")
}

/// One 8-bit 4:2:0 picture in memory, planes one after another.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    data: Vec<u8>,
    size: (usize, usize),
}

impl Frame {
    pub(crate) fn new((width, height): (u32, u32)) -> Self {
        let size = (width as usize, height as usize);
        let samples = size.0 * size.1 + 2 * size.0.div_ceil(2) * size.1.div_ceil(2);
        Self { data: vec![0; samples], size }
    }

    /// One shade of grey, in tests.
    #[cfg(test)]
    pub(crate) fn fill_luma(&mut self, shade: u8) {
        self.data[..self.size.0 * self.size.1].fill(shade);
    }

    /// The picture's three planes.
    pub(crate) fn view(&self) -> Result<Yuv420Ref<'_>> {
        let (width, height) = self.size;
        let (w, h) = (width.div_ceil(2), height.div_ceil(2));
        let (y, chroma) = self.data.split_at(width * height);
        let (u, v) = chroma.split_at(w * h);
        let (u, v) = (PlaneRef::new(u, w, h, w)?, PlaneRef::new(v, w, h, w)?);
        Ok(Yuv420Ref::new(PlaneRef::new(y, width, height, width)?, u, v)?)
    }

    /// The same, to be written.
    pub(crate) fn view_mut(&mut self) -> Result<Yuv420Mut<'_>> {
        let (width, height) = self.size;
        let (w, h) = (width.div_ceil(2), height.div_ceil(2));
        let (y, chroma) = self.data.split_at_mut(width * height);
        let (u, v) = chroma.split_at_mut(w * h);
        let (u, v) = (PlaneMut::new(u, w, h, w)?, PlaneMut::new(v, w, h, w)?);
        Ok(Yuv420Mut::new(PlaneMut::new(y, width, height, width)?, u, v)?)
    }
}

/// Decoded pictures, one at a time. Dropping it ends the decoder.
#[derive(Debug)]
pub(crate) struct Pictures {
    input: PathBuf,
    child: Child,
    out: ChildStdout,
    words: Option<JoinHandle<String>>,
    frame: Frame,
    ended: bool,
}

impl Pictures {
    /// The next picture; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<&Frame>> {
        if self.ended {
            return Ok(None);
        }
        let mut filled = 0;
        while filled < self.frame.data.len() {
            match self.out.read(&mut self.frame.data[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("decode {}", self.input.display())),
            }
        }
        if filled == self.frame.data.len() {
            return Ok(Some(&self.frame));
        }
        self.ended = true;
        let status = self.child.wait()?;
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        ensure!(status.success(), "ffmpeg could not decode {}: {}", self.input.display(), last_lines(&words));
        ensure!(filled == 0, "{} decodes to pictures of another size than expected", self.input.display());
        Ok(None)
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_remedy() {
        let error = format!("{:#}", Ffmpeg::find(Path::new("/nonexistent/ffmpeg")).unwrap_err());
        assert!(error.contains("/nonexistent/ffmpeg") && error.contains("--ffmpeg"), "{error}");
        assert!(Ffmpeg::find(Path::new("true")).unwrap_err().to_string().contains("is no ffmpeg"));
    }

    #[test]
    fn names_tell_versions() {
        let names = ["5.1.9-0+deb12u1", "n9.0.2-17-g2a571b6068-20260930", "7.0.2-static https://x.y", "N-1234-gabc"];
        let found = names.map(|version| Ffmpeg::named(version).name().to_owned());
        assert_eq!(found, ["ffmpeg-5.1.9", "ffmpeg-9.0.2", "ffmpeg-7.0.2", "ffmpeg-N1234gabc"]);
    }

    #[test]
    fn odd_sizes_round_chroma_up() {
        let mut frame = Frame::new((5, 3));
        assert_eq!(frame.data.len(), 15 + 6 + 6);
        assert_eq!(frame.view().unwrap().size(), (5, 3));
        assert_eq!(frame.view_mut().unwrap().size(), (5, 3));
    }
}
