//! What a taken-over worker would tell its parent, once its sandbox is proven. Each is told to a real pool by
//! `headframe-codec selftest`, which expects the pool to end the worker for it.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::super::Death;
use super::super::ipc::{self, Answer, IpcError, RenditionHead, Request, sealed};
use super::super::serve::ServeError;
use super::{Profile, attack};
use crate::error::EngineError;
use crate::ladder::Fps;
use crate::pace::Pace;
use crate::segment::{SourceInfo, Timings};

/// One lie.
#[derive(Debug, Clone, Copy)]
pub struct Lie {
    /// How to name it.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// For what the pool has to end the worker.
    pub death: Death,
    tell: fn(BorrowedFd<'_>, Truth) -> Result<(), IpcError>,
}

/// All lies. Every answer is for a segment of a ladder with one rendition.
pub const LIES: &[Lie] = &[
    protocol("garbage", "answer what is no JSON", |to, _| raw(to, b"\xff\0{", &[])),
    protocol("nothing", "answer an empty frame of the wrong kind", |to, _| raw(to, b"{}", &[])),
    protocol("oversized", "answer more than a frame", |to, _| raw(to, &[b' '; ipc::MAX_FRAME + 1], &[])),
    protocol("other answer", "answer a request that was not made", |to, truth| {
        Truth { id: truth.id + 1, ..truth }.done(to, None)
    }),
    protocol("ready", "say again that it is ready", |to, _| {
        ipc::send(to, &Answer::Ready { version: ipc::VERSION, sandbox: String::new() }, None)
    }),
    protocol("no file", "send no renditions along", |to, truth| truth.done(to, None)),
    protocol("unsealed", "send a file that it can still change", |to, truth| {
        let file = memfd_create("lie", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::io::write(&file, &[0x47; 188])?;
        truth.done(to, Some(file))
    }),
    protocol("not a file", "send its own socket", |to, truth| raw(to, &truth.frame()?, &[to])),
    protocol("two files", "send more files than announced", |to, truth| {
        let files = [sealed([&[0x47; 188][..]])?, sealed([&[0x47; 188][..]])?];
        raw(to, &truth.frame()?, &[files[0].as_fd(), files[1].as_fd()])
    }),
    protocol("too short", "send fewer bytes than announced", |to, mut truth| {
        truth.heads[0].len = 189;
        truth.honest(to)
    }),
    protocol("too long", "send more bytes than announced", |to, mut truth| {
        truth.heads[0].len = 100;
        truth.honest(to)
    }),
    protocol("endless", "announce more bytes than there are numbers", |to, mut truth| {
        truth.heads[0].len = u64::MAX;
        truth.honest(to)
    }),
    protocol("too many", "send renditions that nobody ordered", |to, mut truth| {
        truth.heads.extend([1, 2].map(|_| head(0)));
        truth.honest(to)
    }),
    protocol("too few", "leave renditions out", |to, mut truth| {
        truth.heads.clear();
        truth.honest(to)
    }),
    protocol("no pictures", "bill a rendition without pictures", |to, mut truth| {
        truth.heads[0].frames = 0;
        truth.honest(to)
    }),
    protocol("pictures", "bill more pictures than a segment has", |to, mut truth| {
        truth.heads[0].frames = u32::MAX;
        truth.honest(to)
    }),
    protocol("names", "slip lines into playlists", |to, mut truth| {
        truth.heads[0].codecs = "avc1.64001f\"\n#EXT-X-ENDLIST".to_owned();
        truth.honest(to)
    }),
    protocol("paces", "forget the rate control", |to, mut truth| {
        truth.paces.clear();
        truth.honest(to)
    }),
    protocol("source", "describe a source of another age", |to, mut truth| {
        truth.source.duration = i64::MIN;
        truth.honest(to)
    }),
    protocol("timings", "claim to have worked for ever", |to, mut truth| {
        truth.timings.decode = Duration::MAX;
        truth.honest(to)
    }),
    protocol("words", "write to the operator's terminal", |to, truth| {
        let error = EngineError::Scale { reason: "\x1b[2J\nall is well".to_owned() };
        ipc::send(to, &Answer::Failed { id: truth.id, error }, None)
    }),
    lie("silence", "never answer", Death::Stuck, |_, _| {
        thread::sleep(Duration::from_secs(600));
        Ok(())
    }),
    lie("rules", "break the rules at work", Death::Policy, |_, _| run("exec")),
    lie("bomb", "make threads at work", Death::Policy, |_, _| {
        run("threads")?;
        thread::sleep(Duration::from_secs(600));
        Ok(())
    }),
];

const fn lie(
    name: &'static str,
    what: &'static str,
    death: Death,
    tell: fn(BorrowedFd<'_>, Truth) -> Result<(), IpcError>,
) -> Lie {
    Lie { name, what, death, tell }
}

const fn protocol(
    name: &'static str,
    what: &'static str,
    tell: fn(BorrowedFd<'_>, Truth) -> Result<(), IpcError>,
) -> Lie {
    lie(name, what, Death::Protocol, tell)
}

/// An answer that a pool takes, to be spoilt.
struct Truth {
    id: u64,
    heads: Vec<RenditionHead>,
    source: SourceInfo,
    timings: Timings,
    paces: Vec<Pace>,
}

impl Truth {
    fn frame(self) -> Result<Vec<u8>, IpcError> {
        let Self { id, heads, source, timings, paces } = self;
        let answer = Answer::Done { id, renditions: heads, source, timings, paces };
        serde_json::to_vec(&answer).map_err(|error| IpcError::Protocol(error.to_string()))
    }

    fn done(self, to: BorrowedFd<'_>, file: Option<OwnedFd>) -> Result<(), IpcError> {
        let files: Vec<BorrowedFd<'_>> = file.iter().map(AsFd::as_fd).collect();
        raw(to, &self.frame()?, &files)
    }

    /// With the file that it should come with.
    fn honest(self, to: BorrowedFd<'_>) -> Result<(), IpcError> {
        let file = sealed([&[0x47; 188][..]])?;
        self.done(to, Some(file))
    }
}

fn head(len: u64) -> RenditionHead {
    RenditionHead { len, frames: 1, codecs: "avc1.64001f".to_owned() }
}

/// Enters the sandbox as a worker does, and tells the lie, or the truth for the name `truth`, to each request.
pub fn serve(name: &str, profile: &Profile) -> Result<(), ServeError> {
    let report = super::enter(profile)?;
    let socket = rustix::stdio::stdin();
    ipc::send(socket, &Answer::Ready { version: ipc::VERSION, sandbox: report.to_string() }, None)?;
    let tell = LIES.iter().find(|lie| lie.name == name).map_or(truth as fn(_, _) -> _, |lie| lie.tell);
    loop {
        let (Request::Transcode { id, ladder, .. }, _file) = ipc::receive(socket, None)?;
        let paces = ladder.renditions().iter().map(|rung| Pace::start(rung, Fps { num: 30, den: 1 })).collect();
        let source =
            SourceInfo { width: 2, height: 2, frames: 1, damaged: 0, first_pts: 0, duration: 3000, audio: false };
        tell(socket, Truth { id, heads: vec![head(188)], source, timings: Timings::default(), paces })?;
    }
}

fn truth(to: BorrowedFd<'_>, truth: Truth) -> Result<(), IpcError> {
    truth.honest(to)
}

/// Any bytes with any files.
fn raw(to: BorrowedFd<'_>, bytes: &[u8], files: &[BorrowedFd<'_>]) -> Result<(), IpcError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(files));
    }
    sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn run(name: &str) -> Result<(), IpcError> {
    attack::ATTACKS.iter().find(|attack| attack.name == name).map_or(Ok(()), |attack| Ok((attack.run)()?))
}
