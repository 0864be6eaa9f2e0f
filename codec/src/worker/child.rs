//! One worker as its parent sees it.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::ipc::{self, Answer, IpcError, PartHead, RenditionHead, Request};
use super::vitals::Vitals;
use super::vulkan::Scaled;
use super::{Death, PoolConfig};
use crate::budget::Limits;
use crate::commit::{self, CommitError, Work};
use crate::error::EngineError;
use crate::ladder::Ladder;
use crate::pace::Pace;
use crate::segment::{SourceInfo, Timings};

/// Lines of standard error kept as last words.
const LAST_LINES: usize = 4;
/// Longest line of standard error taken as one.
const MAX_LINE: u64 = 4096;
/// Time between a worker's own time limit and the parent's patience.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// How a job ended without an answer.
pub(super) struct Lost {
    pub(super) death: Death,
    pub(super) detail: String,
}

impl Lost {
    /// A worker that has not answered in time, or not at all.
    fn by(error: IpcError, until: Instant, stuck_at: Instant) -> Self {
        let (death, detail) = match error {
            IpcError::Timeout if until <= stuck_at => (Death::Deadline, "no answer".to_owned()),
            IpcError::Timeout => (Death::Stuck, "no answer".to_owned()),
            error @ IpcError::Protocol(_) => (Death::Protocol, error.to_string()),
            error => (Death::Crashed, error.to_string()),
        };
        Self { death, detail }
    }
}

/// What a worker says of a segment when all of its parts are there.
pub(super) struct Done {
    pub(super) renditions: Vec<RenditionHead>,
    pub(super) source: SourceInfo,
    pub(super) timings: Timings,
    pub(super) paces: Vec<Pace>,
}

/// What a worker says before it answers.
pub(super) enum Heard {
    /// A part, with its file.
    Part(PartHead, Option<OwnedFd>),
    /// Half of the source has been decoded.
    Halfway,
    /// What its device for scaling did.
    Scaled(Scaled),
}

/// The worker program without the parent's environment, whose secrets are none of its business.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir("/");
    if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
        command.env("LD_LIBRARY_PATH", path);
    }
    command
}

pub(super) fn not_ready(program: &Path, answer: &Answer) -> String {
    format!("{} answered {answer:?} instead of being ready; versions differ?", program.display())
}

/// A running worker. Dropping it kills it.
pub(super) struct Worker {
    child: Child,
    socket: Arc<OwnedFd>,
    last_words: Arc<Mutex<VecDeque<String>>>,
    reader: Option<thread::JoinHandle<()>>,
    next_id: u64,
    vitals: Vitals,
    /// Whether it has a device for scaling.
    has_device: bool,
}

impl Worker {
    /// Starts a worker and waits until it has proven its sandbox. The calling thread must outlive the worker: workers
    /// die with the thread that started them (`PR_SET_PDEATHSIG`). `device` scales for it.
    pub(super) fn start(config: &PoolConfig, device: Option<&str>) -> Result<Self, String> {
        let limits = [("--memory", config.limits.memory_bytes), ("--output", config.limits.output_bytes)];
        let mut arguments = limits.map(|(flag, value)| [flag.to_owned(), value.to_string()]).concat();
        arguments.extend(device.into_iter().flat_map(|device| ["--vulkan".to_owned(), device.to_owned()]));
        let patience = if device.is_some() { config.cards.start_timeout } else { config.start_timeout };
        match Self::launch(config, &arguments, patience)? {
            (mut worker, Answer::Ready { version: ipc::VERSION, sandbox }) => {
                tracing::debug!(pid = worker.pid(), device, sandbox, "codec worker is ready");
                worker.has_device = device.is_some();
                Ok(worker)
            }
            (_, answer) => Err(not_ready(&config.program, &answer)),
        }
    }

    /// The same with these arguments behind the role; what it says first is for the caller to judge.
    pub(super) fn launch(
        config: &PoolConfig,
        arguments: &[String],
        patience: Duration,
    ) -> Result<(Self, Answer), String> {
        let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| format!("no socket: {error}"))?;
        let mut command = command(&config.program);
        command.args(&config.role).args(arguments);
        command.args(["--parent", &std::process::id().to_string()]);
        // SVT-AV1 writes to standard error what it is told; only errors are worth a line.
        command.env("SVT_LOG", "1");
        command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::piped());
        let program = config.program.display();
        let mut child = command.spawn().map_err(|error| {
            format!("cannot run {program}: {error}; build headframe-codec or set {}", super::PROGRAM_VARIABLE)
        })?;
        // It holds our copy of their end, which would keep us from noticing that they are gone.
        drop(command);
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let reader = child.stderr.take().and_then(|pipe| spawn_reader(pipe, child.id(), Arc::clone(&last_words)));
        let vitals = Vitals::of(child.id());
        let mut worker =
            Self { child, socket: Arc::new(socket), last_words, reader, next_id: 0, vitals, has_device: false };
        match ipc::receive::<Answer>(&worker.socket, Some(Instant::now() + patience)) {
            Ok((answer, None)) => Ok((worker, answer)),
            Ok((answer, Some(_))) => Err(not_ready(&config.program, &answer)),
            Err(error) => {
                let death = worker.end(Death::Start);
                Err(format!("{program} did not become ready: {error} ({}); {}", death.name(), worker.last_words()))
            }
        }
    }

    /// Its socket, to be used by whoever has several segments in its hands at once.
    pub(super) fn socket(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.socket)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has a device for scaling.
    pub(super) fn has_device(&self) -> bool {
        self.has_device
    }

    /// What it uses and may use.
    pub(super) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Resident memory, bytes; 0 when it is gone.
    pub(super) fn rss_bytes(pid: u32) -> u64 {
        let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok();
        let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
        pages.unwrap_or(0) * rustix::param::page_size() as u64
    }

    pub(super) fn has_died(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// One segment; `hear` is told what comes before the answer. `Ok` holds the worker's answer; `Err` says that this worker is
    /// of no more use.
    pub(super) fn transcode(
        &mut self,
        (ladder, paces): (&Ladder, &[Pace]),
        limits: &Limits,
        (file, len): (&OwnedFd, u64),
        until: Instant,
        hear: &mut dyn FnMut(Heard) -> Result<(), String>,
    ) -> Result<Result<Done, EngineError>, Lost> {
        let stuck_at = Instant::now() + limits.wall + GRACE;
        self.vitals.budget(limits);
        let id = self.next_id;
        self.next_id += 1;
        let lost = |death, detail: String| Lost { death, detail };
        let failed = |error| Lost::by(error, until, stuck_at);
        let request =
            Request::Transcode { id, ladder: ladder.clone(), paces: paces.to_vec(), limits: limits.clone(), len };
        ipc::send(&self.socket, &request, Some(file.as_fd())).map_err(failed)?;
        let (mut halfway, mut scaled) = (false, !self.has_device);
        loop {
            match ipc::receive::<Answer>(&self.socket, Some(until.min(stuck_at))).map_err(failed)? {
                (Answer::Part { id: same, head }, file) if same == id => {
                    hear(Heard::Part(head, file)).map_err(|why| lost(Death::Protocol, why))?;
                }
                (Answer::Halfway { id: same }, None) if same == id && !halfway => {
                    halfway = true;
                    hear(Heard::Halfway).map_err(|why| lost(Death::Protocol, why))?;
                }
                (Answer::Scaled { id: same, scaled: what }, None)
                    if same == id && !scaled && what.is_plausible(limits) =>
                {
                    scaled = true;
                    hear(Heard::Scaled(what)).map_err(|why| lost(Death::Protocol, why))?;
                }
                (Answer::Done { id: same, renditions, source, timings, paces }, None) if same == id => {
                    if paces.len() != ladder.renditions().len() {
                        return Err(lost(Death::Protocol, format!("{} paces", paces.len())));
                    }
                    check_source(&source, &timings, limits).map_err(|why| lost(Death::Protocol, why))?;
                    return Ok(Ok(Done { renditions, source, timings, paces }));
                }
                (Answer::Failed { id: same, error }, None) if same == id => {
                    return match is_plain(&error.to_string()) {
                        true => Ok(Err(error)),
                        false => Err(lost(Death::Protocol, format!("an error that is no line of text: {error:?}"))),
                    };
                }
                (answer, _) => return Err(lost(Death::Protocol, format!("unexpected answer {answer:?}"))),
            }
        }
    }

    /// The answer for one segment, whose bytes lie in `file`: the source, then every rendition. `Ok` and `Err` as above.
    pub(super) fn commit(
        &mut self,
        work: &Work<'_>,
        limits: &Limits,
        file: &OwnedFd,
        until: Instant,
    ) -> Result<Result<commit::Answer, CommitError>, Lost> {
        let stuck_at = Instant::now() + limits.wall + GRACE;
        self.vitals.budget(limits);
        let id = self.next_id;
        self.next_id += 1;
        let failed = |error| Lost::by(error, until, stuck_at);
        let nonsense = |detail| Lost { death: Death::Protocol, detail };
        let request = Request::Commit {
            id,
            ladder: work.ladder.clone(),
            error_limits: work.error_limits.to_vec(),
            limits: limits.clone(),
            source: work.source.bytes.len() as u64,
            renditions: work.renditions.iter().map(|bytes| bytes.len() as u64).collect(),
        };
        ipc::send(&self.socket, &request, Some(file.as_fd())).map_err(failed)?;
        match ipc::receive::<Answer>(&self.socket, Some(until.min(stuck_at))).map_err(failed)? {
            (Answer::Committed { id: same, answer }, None) if same == id => match work.contradicts(&answer, limits) {
                None => Ok(Ok(answer)),
                Some(what) => Err(nonsense(what)),
            },
            (Answer::Uncommitted { id: same, error }, None) if same == id => match is_plain(&error.to_string()) {
                true => Ok(Err(error)),
                false => Err(nonsense(format!("an error that is no line of text: {error:?}"))),
            },
            (answer, _) => Err(nonsense(format!("unexpected answer {answer:?}"))),
        }
    }

    /// Ends it and says how it died; `suspected` if it was still alive.
    pub(super) fn end(&mut self, suspected: Death) -> Death {
        // A crash closes the socket a moment before the process can be waited for.
        let patience = if suspected == Death::Crashed { 100 } else { 0 };
        for _ in 0..patience {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                Ok(Some(status)) => return self.buried(death_of(status)),
                Err(_) => break,
            }
        }
        match self.child.try_wait() {
            Ok(Some(status)) if matches!(suspected, Death::Crashed | Death::Start) => self.buried(match suspected {
                Death::Start => Death::Start,
                _ => death_of(status),
            }),
            _ => {
                // Fails only if it is already gone.
                let _ = self.child.kill();
                let _ = self.child.wait();
                self.buried(suspected)
            }
        }
    }

    fn buried(&mut self, death: Death) -> Death {
        if let Some(reader) = self.reader.take() {
            // Its pipe has ended with it.
            let _ = reader.join();
        }
        death
    }

    /// The last lines of its standard error.
    pub(super) fn last_words(&self) -> String {
        let lines = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() { "none".to_owned() } else { lines.iter().cloned().collect::<Vec<_>>().join(" | ") }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn death_of(status: ExitStatus) -> Death {
    match status.signal() {
        Some(libc::SIGKILL) => Death::Killed,
        Some(libc::SIGSYS) => Death::Policy,
        Some(libc::SIGXCPU) => Death::Cpu,
        Some(libc::SIGXFSZ) => Death::Output,
        _ => Death::Crashed,
    }
}

/// Longest account of an error that is believed.
const MAX_ERROR: usize = 2048;

/// It ends up in logs, where control characters could pass for something else.
pub(super) fn is_plain(text: &str) -> bool {
    text.len() <= MAX_ERROR && !text.chars().any(char::is_control)
}

/// The worker is not trusted: sums are made of these numbers.
pub(super) fn check_source(source: &SourceInfo, timings: &Timings, limits: &Limits) -> Result<(), String> {
    let clock = 0..1i64 << 33;
    if !clock.contains(&source.first_pts) || !clock.contains(&source.duration) || source.frames > limits.frames {
        return Err(format!("a source that cannot be: {source:?}"));
    }
    let Timings { decode, scale, encode, total } = timings;
    // Stages count the time of every thread.
    let most = (limits.wall + GRACE) * 1024;
    match [decode, scale, encode, total].iter().all(|time| **time <= most) {
        true => Ok(()),
        false => Err(format!("times that cannot be: {timings:?}")),
    }
}

fn spawn_reader(
    pipe: ChildStderr,
    pid: u32,
    last_words: Arc<Mutex<VecDeque<String>>>,
) -> Option<thread::JoinHandle<()>> {
    let read = move || {
        let mut pipe = BufReader::new(pipe);
        while let Ok(Some(line)) = next_line(&mut pipe) {
            tracing::warn!(pid, line, "codec worker");
            let mut lines = last_words.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LAST_LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    };
    thread::Builder::new().name("codec-stderr".to_owned()).spawn(read).ok()
}

fn next_line(pipe: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    match pipe.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? {
        0 => Ok(None),
        _ => Ok(Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())),
    }
}
