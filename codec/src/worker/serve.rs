//! The worker's own side: lock up, then answer requests until the parent hangs up.

use std::os::fd::BorrowedFd;

use thiserror::Error;

use super::ipc::{self, Answer, IpcError, RenditionHead, Request, Sealed};
use super::sandbox::{self, Profile, SandboxError};
use crate::budget::Limits;
use crate::engine;
use crate::error::EngineError;
use crate::ladder::Ladder;
use crate::pace::Pace;
use crate::segment::SegmentOut;

/// Why a worker ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The sandbox is not what it must be.
    #[error("refusing to work: {0}")]
    Sandbox(#[from] SandboxError),
    /// The parent's socket failed.
    #[error("the parent's socket: {0}")]
    Ipc(#[from] IpcError),
}

/// Serves the socket on standard input. Must be called before the process has any second thread.
pub fn serve(profile: &Profile) -> Result<(), ServeError> {
    let report = sandbox::enter(profile)?;
    let socket = rustix::stdio::stdin();
    ipc::send(socket, &Answer::Ready { version: ipc::VERSION, sandbox: report.to_string() }, None)?;
    loop {
        let (request, file) = match ipc::receive(socket, None) {
            Ok(received) => received,
            Err(IpcError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let Request::Transcode { id, ladder, paces, limits, len } = request;
        match work(&ladder, &paces, &limits, Sealed::open(file, len)?) {
            Ok(out) => answer(socket, id, &out)?,
            Err(error) => ipc::send(socket, &Answer::Failed { id, error }, None)?,
        }
    }
}

fn work(ladder: &Ladder, paces: &[Pace], limits: &Limits, mut file: Sealed) -> Result<SegmentOut, EngineError> {
    let unreadable = |error: IpcError| EngineError::Memory { what: format!("read the segment ({error})") };
    let len = file.remaining();
    if len > limits.input_bytes {
        return Err(EngineError::InputBytes { bytes: len, limit: limits.input_bytes });
    }
    let input = file.take(len).map_err(unreadable)?;
    engine::transcode(ladder, &input, paces, limits)
}

fn answer(socket: BorrowedFd<'_>, id: u64, out: &SegmentOut) -> Result<(), IpcError> {
    let file = ipc::sealed(out.renditions.iter().map(|rendition| &rendition.bytes[..]))?;
    let head = |rendition: &crate::segment::RenditionOut| RenditionHead {
        len: rendition.bytes.len() as u64,
        frames: rendition.frames,
        codecs: rendition.codecs.clone(),
    };
    let renditions = out.renditions.iter().map(head).collect();
    let done =
        Answer::Done { id, renditions, source: out.source.clone(), timings: out.timings, paces: out.paces.clone() };
    ipc::send(socket, &done, Some(std::os::fd::AsFd::as_fd(&file)))
}
