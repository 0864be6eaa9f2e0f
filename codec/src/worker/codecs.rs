//! What a worker program can make, asked before any work is taken.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use thiserror::Error;

use super::{PROGRAM_VARIABLE, child};
use crate::ladder::Codec;

/// Bytes that are read of an answer, and of what is said on standard error.
const MAX_ANSWER: u64 = 64 << 10;

/// Why a worker program does not tell what it can make.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodecsError {
    /// It cannot be run.
    #[error("cannot run {}: {reason}; build headframe-codec or set {PROGRAM_VARIABLE}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It takes too long.
    #[error("`{} codecs --json` does not answer within {} ms", program.display(), patience.as_millis())]
    Late {
        /// The program.
        program: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// It fails, or says something else.
    #[error("`{} codecs --json` does not list codecs ({status}): {said:?}; do the versions differ?", program.display())]
    Answer {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The beginning of what it said, standard error first.
        said: String,
    },
}

#[derive(Deserialize)]
struct Listed {
    codec: String,
}

/// The codecs for which the FFmpeg of `program` has an encoder, as `headframe-codec codecs` lists them. Blocks for as long
/// as it takes, at most `patience`; a program that takes longer is ended.
pub fn codecs(program: &Path, patience: Duration) -> Result<Vec<Codec>, CodecsError> {
    let until = Instant::now() + patience;
    let mut command = child::command(program);
    command.args(["codecs", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: std::io::Error| CodecsError::Run { program: program.into(), reason: error.to_string() };
    let mut running = Running(command.spawn().map_err(failed)?);
    let late = || CodecsError::Late { program: program.into(), patience };
    let pipes = (running.0.stdout.take().map(read), running.0.stderr.take().map(read));
    let left = || until.saturating_duration_since(Instant::now());
    let all = |pipe: Option<Receiver<Vec<u8>>>| match pipe {
        Some(pipe) => pipe.recv_timeout(left()).map_err(|_| late()),
        None => Ok(Vec::new()),
    };
    let (answer, complaint) = (all(pipes.0)?, all(pipes.1)?);
    let status = loop {
        match running.0.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if left().is_zero() => return Err(late()),
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    match serde_json::from_slice::<Vec<Listed>>(&answer) {
        // One that is not known here cannot be ordered here.
        Ok(list) if status.success() => {
            Ok(Codec::ALL.into_iter().filter(|codec| list.iter().any(|listed| listed.codec == codec.name())).collect())
        }
        _ => {
            let said = [complaint, answer].concat();
            let said = String::from_utf8_lossy(&said).trim().chars().take(300).collect();
            Err(CodecsError::Answer { program: program.into(), status, said })
        }
    }
}

/// Ended when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads on a thread of its own, which ends with the pipe: what the program started may keep that open.
fn read(pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is as good an answer; nobody may listen any more.
        let _ = pipe.take(MAX_ANSWER).read_to_end(&mut bytes);
        let _ = send.send(bytes);
    });
    receive
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A stand-in for the worker program: `body` is a shell script.
    fn stand_in(body: &str, patience: Duration) -> Result<Vec<Codec>, CodecsError> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("stand-in");
        // Written by another process: a child that is started meanwhile would hold our file open, and it could not be run.
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod +x "$2""#;
        let mut shell = std::process::Command::new("sh");
        assert!(shell.args(["-c", write, "sh", body]).arg(&program).status().unwrap().success());
        codecs(&program, patience)
    }

    #[test]
    fn what_is_listed_and_known_is_taken() {
        let list =
            r#"[ "$*" = "codecs --json" ] && echo '[{"codec":"vvc","encoder":"x"},{"codec":"h264","encoder":"y"}]'"#;
        assert_eq!(stand_in(list, PATIENCE), Ok(vec![Codec::H264]));
        assert_eq!(stand_in("echo '[]'", PATIENCE), Ok(vec![]));
    }

    #[test]
    fn a_program_that_is_missing_or_fails_is_named() {
        let missing = codecs(Path::new("/nonexistent/headframe-codec"), PATIENCE).unwrap_err();
        assert!(missing.to_string().contains("cannot run /nonexistent/headframe-codec"), "{missing}");
        for (body, words) in [
            ("echo cannot open libx265.so >&2; exit 127", "libx265.so"),
            ("echo h264", "h264"),
            ("echo '[]'; exit 1", "exit status: 1"),
            ("yes", "do the versions differ?"),
        ] {
            let error = stand_in(body, PATIENCE).unwrap_err();
            assert!(matches!(error, CodecsError::Answer { .. }) && error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn one_that_hangs_is_ended() {
        let began = Instant::now();
        for body in ["exec sleep 60", "exec >&- 2>&-; exec sleep 60", "sleep 60 & echo '[]'"] {
            let error = stand_in(body, Duration::from_millis(300)).unwrap_err();
            assert!(matches!(error, CodecsError::Late { .. }), "{body}: {error}");
        }
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
