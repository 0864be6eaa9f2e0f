//! The worker's own side: lock up, then answer requests until the parent hangs up.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::ipc::{self, Answer, IpcError, PartHead, RenditionHead, Request, Sealed};
use super::sandbox::card::Modules;
use super::sandbox::{self, Profile, Report, SandboxError};
use super::vulkan::{Scaled, ScalingFailure};
use crate::budget::Limits;
use crate::commit::{self, CommitError, Hash, Work};
use crate::engine::vulkan::{Device, Done, Failure};
use crate::engine::{self, Event};
use crate::error::EngineError;
use crate::ffi::heap;
use crate::ladder::Ladder;
use crate::pace::Pace;
use crate::segment::{Part, RenditionOut, SegmentIn, SegmentOut};
use crate::verify::How;

/// A worker without work for so long keeps no memory.
pub(super) const IDLE: Duration = Duration::from_secs(10);
/// Longest account of why a device does not scale.
const MOST_WORDS: usize = 500;

/// Why a worker ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The sandbox is not what it must be.
    #[error("refusing to work: {0}")]
    Sandbox(#[from] SandboxError),
    /// The parent's socket failed.
    #[error("the parent's socket: {0}")]
    Ipc(#[from] IpcError),
    /// The graphics card does not work inside of the sandbox.
    #[error("the card does not work in the sandbox: {0}")]
    Card(String),
}

/// Serves the socket on standard input; the device with this name or UUID scales. Must be called before the process has any
/// second thread.
pub fn serve(profile: &Profile, device: Option<&str>) -> Result<(), ServeError> {
    let (report, device) = match device {
        Some(name) => {
            let (report, device) = with_device(profile, name)?;
            (report, Some(device))
        }
        None => (sandbox::enter(profile)?, None),
    };
    let socket = rustix::stdio::stdin();
    ipc::send(socket, &Answer::Ready { version: ipc::VERSION, sandbox: report.to_string() }, None)?;
    heap::keep();
    let mut busy = false;
    loop {
        let (request, file) = match ipc::receive(socket, busy.then(|| Instant::now() + IDLE)) {
            Ok(received) => received,
            Err(IpcError::Closed) => return Ok(()),
            Err(IpcError::Timeout) if busy => {
                heap::give_back();
                busy = false;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        busy = true;
        let (id, ladder, paces, limits, len) = match request {
            Request::Transcode { id, ladder, paces, limits, len } => (id, ladder, paces, limits, len),
            Request::Commit { id, ladder, error_limits, limits, source, renditions } => {
                let asked = Asked { ladder, error_limits, limits, source, renditions };
                match asked.commit(file)? {
                    Ok(answer) => ipc::send(socket, &Answer::Committed { id, answer }, None)?,
                    Err(error) => ipc::send(socket, &Answer::Uncommitted { id, error }, None)?,
                }
                continue;
            }
        };
        let tell = |event| match event {
            Event::Part(part) => give(socket, id, &part),
            Event::Halfway => ipc::send(socket, &Answer::Halfway { id }, None),
        };
        let give = |event| tell(event).map_err(|error| EngineError::Memory { what: error.to_string() });
        let made = work(device.as_ref(), &ladder, &paces, &limits, Sealed::open(file, len)?, &give);
        if let Some(device) = &device {
            ipc::send(socket, &Answer::Scaled { id, scaled: scaled(device.take_done()) }, None)?;
        }
        match made {
            Ok(out) => ipc::send(socket, &done(id, out), None)?,
            Err(error) => ipc::send(socket, &Answer::Failed { id, error }, None)?,
        }
    }
}

/// Takes a device into use before the sandbox closes, and tries it there and inside: a driver that cannot do without what it has
/// no longer shows that before a stranger's bytes come.
fn with_device(profile: &Profile, name: &str) -> Result<(Report, Device), ServeError> {
    let open = || {
        let device = Device::open(name)?;
        device.works()?;
        Ok(device)
    };
    let (report, device) = sandbox::card::enter(profile, Modules::Rendering, None, open)?;
    device.works().map_err(ServeError::Card)?;
    Ok((report, device))
}

/// As the parent takes it.
fn scaled(done: Done) -> Scaled {
    let Done { pictures, left, took, failure } = done;
    let failure = failure.map(|Failure { class, reason }| {
        let reason = reason.chars().filter(|it| !it.is_control()).take(MOST_WORDS).collect();
        ScalingFailure { class, reason }
    });
    Scaled { pictures, left, took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX), failure }
}

fn work(
    device: Option<&Device>,
    ladder: &Ladder,
    paces: &[Pace],
    limits: &Limits,
    file: Sealed,
    sink: engine::Sink<'_>,
) -> Result<SegmentOut, EngineError> {
    engine::transcode_on(device, ladder, input(limits, file)?, paces, limits, sink)
}

/// A segment whose answer is asked for.
struct Asked {
    ladder: Ladder,
    error_limits: Vec<Hash>,
    limits: Limits,
    source: u64,
    renditions: Vec<u64>,
}

impl Asked {
    fn commit(self, file: Option<OwnedFd>) -> Result<Result<commit::Answer, CommitError>, IpcError> {
        let Self { ladder, error_limits, limits, source, renditions } = self;
        // Read only if it may be.
        let lens = || [source].into_iter().chain(renditions.iter().copied());
        let most = limits.input_bytes.saturating_add(limits.output_bytes);
        let sum = lens().try_fold(0, u64::checked_add).filter(|sum| *sum <= most);
        let sum = sum.ok_or_else(|| IpcError::Protocol(format!("files of more than {most} bytes")))?;
        let mut file = Sealed::open(file, sum)?;
        let mut files = lens().map(|len| file.take(len)).collect::<Result<Vec<_>, _>>()?.into_iter();
        let source = files.next().unwrap_or_default();
        let files: Vec<_> = files.collect();
        let renditions: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        // The worker needs no name for it.
        let source = SegmentIn { stream: "", number: 0, bytes: &source };
        let work = Work { ladder: &ladder, error_limits: &error_limits, source, renditions: &renditions };
        Ok(commit::commit(&work, &limits, How::default()))
    }
}

/// The bytes of a segment.
pub(super) fn input(limits: &Limits, mut file: Sealed) -> Result<Vec<u8>, EngineError> {
    let unreadable = |error: IpcError| EngineError::Memory { what: format!("read the segment ({error})") };
    let len = file.remaining();
    if len > limits.input_bytes {
        return Err(EngineError::InputBytes { bytes: len, limit: limits.input_bytes });
    }
    file.take(len).map_err(unreadable)
}

/// Sends a part. Several threads do so at once; a frame is one message and never mixed with others.
pub(super) fn give(socket: BorrowedFd<'_>, id: u64, part: &Part) -> Result<(), IpcError> {
    let Part { rendition, number, ref init, ref bytes, pts, duration, frames, independent, last } = *part;
    let file = ipc::sealed([init.as_deref().unwrap_or_default(), bytes])?;
    let (init, len) = (init.as_ref().map(|init| init.len() as u64), bytes.len() as u64);
    let head = PartHead { rendition, number, init, len, pts, duration, frames, independent, last };
    ipc::send(socket, &Answer::Part { id, head }, Some(file.as_fd()))
}

pub(super) fn done(id: u64, out: SegmentOut) -> Answer {
    let head = |RenditionOut { frames, codecs, .. }| RenditionHead { frames, codecs };
    let renditions = out.renditions.into_iter().map(head).collect();
    Answer::Done { id, renditions, source: out.source, timings: out.timings, paces: out.paces }
}
