//! What a taken-over worker would tell its parent, once its sandbox is proven. Each is told to a real pool by
//! `headframe-codec selftest`, which expects the pool to end the worker for it.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::super::Death;
use super::super::ipc::{self, Answer, IpcError, PartHead, RenditionHead, Request, sealed};
use super::super::serve::ServeError;
use super::{Profile, attack};
use crate::error::EngineError;
use crate::ladder::Fps;
use crate::pace::{Budget, Pace};
use crate::segment::{SourceInfo, Timings, VideoKind};

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
        Truth { id: truth.id + 1, ..truth }.honest(to)
    }),
    protocol("ready", "say again that it is ready", |to, _| {
        ipc::send(to, &Answer::Ready { version: ipc::VERSION, sandbox: String::new() }, None)
    }),
    protocol("no file", "send a part without its bytes", |to, truth| truth.part(to, &[])),
    protocol("no parts", "send no parts at all", |to, truth| truth.done(to)),
    protocol("out of turn", "send the second part first", |to, mut truth| {
        truth.part.number = 1;
        truth.honest(to)
    }),
    protocol("no rendition", "send a part of what nobody ordered", |to, mut truth| {
        truth.part.rendition = 1;
        truth.honest(to)
    }),
    protocol("no time", "send a part that lasts longer than any", |to, mut truth| {
        truth.part.duration = i64::MAX;
        truth.honest(to)
    }),
    protocol("unsealed", "send a file that it can still change", |to, truth| {
        let file = memfd_create("lie", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::io::write(&file, &[0x47; 188])?;
        truth.part(to, &[file.as_fd()])
    }),
    protocol("not a file", "send its own socket", |to, truth| truth.part(to, &[to])),
    protocol("two files", "send more files than announced", |to, truth| {
        let files = [sealed([&[0x47; 188][..]])?, sealed([&[0x47; 188][..]])?];
        truth.part(to, &[files[0].as_fd(), files[1].as_fd()])
    }),
    protocol("too short", "send fewer bytes than announced", |to, mut truth| {
        truth.part.len = 189;
        truth.honest(to)
    }),
    protocol("too long", "send more bytes than announced", |to, mut truth| {
        truth.part.len = 100;
        truth.honest(to)
    }),
    protocol("endless", "announce more bytes than there are numbers", |to, mut truth| {
        truth.part.len = u64::MAX;
        truth.honest(to)
    }),
    protocol("too many", "send renditions that nobody ordered", |to, mut truth| {
        truth.heads.extend([1, 2].map(|_| head()));
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

/// An answer that a pool takes, to be spoilt: one part of one rendition.
struct Truth {
    id: u64,
    part: PartHead,
    heads: Vec<RenditionHead>,
    source: SourceInfo,
    timings: Timings,
    paces: Vec<Pace>,
}

impl Truth {
    /// The part with these files.
    fn part(self, to: BorrowedFd<'_>, files: &[BorrowedFd<'_>]) -> Result<(), IpcError> {
        raw(to, &frame(&Answer::Part { id: self.id, head: self.part })?, files)
    }

    /// That there are no more parts.
    fn done(self, to: BorrowedFd<'_>) -> Result<(), IpcError> {
        let Self { id, heads, source, timings, paces, .. } = self;
        raw(to, &frame(&Answer::Done { id, renditions: heads, source, timings, paces })?, &[])
    }

    /// All of it, with the file that the part should come with.
    fn honest(self, to: BorrowedFd<'_>) -> Result<(), IpcError> {
        let file = sealed([&[0x47; 188][..]])?;
        let part = Answer::Part { id: self.id, head: self.part.clone() };
        raw(to, &frame(&part)?, &[file.as_fd()])?;
        self.done(to)
    }
}

fn frame(answer: &Answer) -> Result<Vec<u8>, IpcError> {
    serde_json::to_vec(answer).map_err(|error| IpcError::Protocol(error.to_string()))
}

fn head() -> RenditionHead {
    RenditionHead { frames: 1, codecs: "avc1.64001f".to_owned() }
}

/// Enters the sandbox as a worker does, and tells the lie, or the truth for the name `truth`, to each request.
pub fn serve(name: &str, profile: &Profile) -> Result<(), ServeError> {
    let report = super::enter(profile)?;
    let socket = rustix::stdio::stdin();
    ipc::send(socket, &Answer::Ready { version: ipc::VERSION, sandbox: report.to_string() }, None)?;
    let tell = LIES.iter().find(|lie| lie.name == name).map_or(truth as fn(_, _) -> _, |lie| lie.tell);
    loop {
        let (Request::Transcode { id, ladder, .. }, _file) = ipc::receive(socket, None)? else { continue };
        let start = |rung| Pace::start(rung, &Budget::new(rung, Fps { num: 30, den: 1 }));
        let paces = ladder.renditions().iter().map(start).collect();
        let source = SourceInfo {
            kind: VideoKind::H264,
            width: 2,
            height: 2,
            frames: 1,
            damaged: 0,
            first_pts: 0,
            duration: 3000,
            audio: false,
        };
        let part = PartHead {
            rendition: 0,
            number: 0,
            init: None,
            len: 188,
            pts: 0,
            duration: 3000,
            frames: 1,
            independent: true,
            last: true,
        };
        tell(socket, Truth { id, part, heads: vec![head()], source, timings: Timings::default(), paces })?;
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
