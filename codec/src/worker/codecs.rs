//! What a worker program can make, asked before any work is taken.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::PROGRAM_VARIABLE;
use super::ask::{AskError, Said, ask};
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
    let Said { status, answer, complaint } =
        ask(program, &["codecs", "--json"], patience, MAX_ANSWER).map_err(|error| match error {
            AskError::Run(reason) => CodecsError::Run { program: program.into(), reason },
            AskError::Late => CodecsError::Late { program: program.into(), patience },
        })?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::time::Instant;

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
