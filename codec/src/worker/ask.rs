//! A question to the worker program: it is run with some arguments, answers on standard output and ends.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::child;

/// Why there is no answer.
pub(super) enum AskError {
    /// The program cannot be run, and what the system says.
    Run(String),
    /// It takes too long.
    Late,
}

/// What it said and how it ended.
pub(super) struct Said {
    pub(super) status: ExitStatus,
    /// The beginning of standard output.
    pub(super) answer: Vec<u8>,
    /// The beginning of standard error.
    pub(super) complaint: Vec<u8>,
}

/// Asks, and reads `most` bytes of each pipe. Blocks for as long as it takes, at most `patience`; a program that takes longer
/// is ended.
pub(super) fn ask(
    program: &Path,
    arguments: &[impl AsRef<OsStr>],
    patience: Duration,
    most: u64,
) -> Result<Said, AskError> {
    let until = Instant::now() + patience;
    let mut command = child::command(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: std::io::Error| AskError::Run(error.to_string());
    let mut running = Running(command.spawn().map_err(failed)?);
    let pipes = (running.0.stdout.take().map(|it| read(it, most)), running.0.stderr.take().map(|it| read(it, most)));
    let left = || until.saturating_duration_since(Instant::now());
    let all = |pipe: Option<Receiver<Vec<u8>>>| match pipe {
        Some(pipe) => pipe.recv_timeout(left()).map_err(|_| AskError::Late),
        None => Ok(Vec::new()),
    };
    let (answer, complaint) = (all(pipes.0)?, all(pipes.1)?);
    loop {
        match running.0.try_wait().map_err(failed)? {
            Some(status) => return Ok(Said { status, answer, complaint }),
            None if left().is_zero() => return Err(AskError::Late),
            None => thread::sleep(Duration::from_millis(2)),
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
fn read(pipe: impl Read + Send + 'static, most: u64) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is as good an answer; nobody may listen any more.
        let _ = pipe.take(most).read_to_end(&mut bytes);
        let _ = send.send(bytes);
    });
    receive
}
