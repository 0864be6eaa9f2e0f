//! Frames between parent and worker: one datagram each on a Unix socket, JSON inside, at most one file descriptor along.
//!
//! Neither side trusts the other's lengths: datagrams over the cap are an error, and a memory file is read only if it is
//! sealed against shrinking and writing, and no longer than announced.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::card::CardHealth;
use super::card::lending::Word;
use super::vulkan::Scaled;
use crate::budget::Limits;
use crate::commit::{self, CommitError, Hash};
use crate::error::EngineError;
use crate::ladder::Ladder;
use crate::pace::Pace;
use crate::segment::{SourceInfo, Timings};

/// Spoken by both sides; a worker of another version is refused.
pub const VERSION: u32 = 9;
/// Most bytes of one frame.
pub const MAX_FRAME: usize = 64 << 10;
/// Time between two attempts to send while too much is under way.
const CONGESTION: Duration = Duration::from_millis(1);

/// Why a frame could not be sent or received.
#[derive(Debug, Error)]
pub enum IpcError {
    /// The other side is gone.
    #[error("the other side closed the socket")]
    Closed,
    /// Nothing came in time.
    #[error("nothing came in time")]
    Timeout,
    /// The system refused.
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    /// The frame or file is not what was agreed.
    #[error("protocol: {0}")]
    Protocol(String),
}

impl From<rustix::io::Errno> for IpcError {
    fn from(error: rustix::io::Errno) -> Self {
        match error {
            rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET => Self::Closed,
            other => Self::Io(other.into()),
        }
    }
}

/// What the parent says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Transcode the file that comes along.
    Transcode {
        /// Counts up; the answer repeats it.
        id: u64,
        /// What to make.
        ladder: Ladder,
        /// How the rate control stands; empty where a stream begins.
        paces: Vec<Pace>,
        /// What it may cost.
        limits: Limits,
        /// Bytes of the file.
        len: u64,
    },
    /// Compute the answer ([`crate::commit`]) for the segment and its renditions, one behind the other in the file that comes
    /// along.
    Commit {
        /// Counts up; the answer repeats it.
        id: u64,
        /// What was ordered.
        ladder: Ladder,
        /// Hashes of the errors that the order allows, in the ladder's order.
        error_limits: Vec<Hash>,
        /// What it may cost.
        limits: Limits,
        /// Bytes of the segment as it was sent.
        source: u64,
        /// Bytes of each rendition, in the ladder's order.
        renditions: Vec<u64>,
    },
}

/// What the worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// First of all: the sandbox is up.
    Ready {
        /// [`VERSION`].
        version: u32,
        /// How the sandbox describes itself, for the log.
        sandbox: String,
    },
    /// The same of a worker that has a graphics card, which has made a segment of our own inside of the sandbox.
    Card {
        /// [`VERSION`].
        version: u32,
        /// How the sandbox describes itself, for the log.
        sandbox: String,
        /// What the card is and can do.
        card: CardReady,
    },
    /// Of encoder sessions, from a worker that has a card.
    Session {
        /// What.
        said: Word,
    },
    /// Who made what on a card since its worker started, and what that took of it. Said before the end of each segment.
    Tally {
        /// Rungs that the card encoded.
        rungs_on_card: u64,
        /// Rungs that the card decoded and scaled, and the processors encoded, in the worker.
        rungs_on_host: u64,
        /// Segments that the worker's processors made altogether.
        segments_left: u64,
        /// Luma samples of pictures that the card scaled to all rungs.
        scaled_samples: u64,
        /// The card's time for that, nanoseconds.
        scaling_ns: u64,
        /// Bytes of the card's memory in use now; 0: the driver does not say.
        memory_used_bytes: u64,
    },
    /// How the worker's card is. Said when the worker is ready, and after ends of segments, but not after each.
    Health {
        /// As far as the driver tells.
        health: CardHealth,
    },
    /// A part of a rendition, in the file that comes along: first its initialisation segment, then the part itself.
    Part {
        /// From the request.
        id: u64,
        /// What it is.
        head: PartHead,
    },
    /// What the worker's device for scaling did. Said before the end of each segment by a worker that has one.
    Scaled {
        /// From the request.
        id: u64,
        /// For this segment.
        scaled: Scaled,
    },
    /// Half of the source has been decoded. Said at most once.
    Halfway {
        /// From the request.
        id: u64,
    },
    /// Done: all parts have been sent.
    Done {
        /// From the request.
        id: u64,
        /// In the ladder's order.
        renditions: Vec<RenditionHead>,
        /// What the source was.
        source: SourceInfo,
        /// Where the time went.
        timings: Timings,
        /// How the rate control stands now.
        paces: Vec<Pace>,
    },
    /// What the operator is bound to.
    Committed {
        /// From the request.
        id: u64,
        /// All roots.
        answer: commit::Answer,
    },
    /// It cannot be bound.
    Uncommitted {
        /// From the request.
        id: u64,
        /// Why.
        error: CommitError,
    },
    /// Not possible.
    Failed {
        /// From the request.
        id: u64,
        /// Why.
        error: EngineError,
    },
}

/// A graphics card that a worker has in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardReady {
    /// Its name for good, `GPU-` and five groups of digits.
    pub uuid: String,
    /// Name of the product.
    pub name: String,
    /// Compute capability, major and minor.
    pub compute: (u32, u32),
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Decode engines of the chip.
    pub decoders: u32,
    /// Encode engines of the chip; 0 where it has none.
    pub encoders: u32,
    /// Versions of the driver's interfaces: CUDA, and NVENC where it is there.
    pub driver: String,
    /// How its decoders and encoders are used: `direct` or `ffmpeg`.
    pub engine: String,
    /// What did not pass its test on it before, and why, a line each, for the log.
    pub refused: Vec<String>,
    /// Codecs and depths that it says it decodes and does not decode as it should, each with the reason.
    pub doubted: Vec<String>,
    /// What it decodes and encodes, a line each, for the log.
    pub abilities: Vec<String>,
    /// Measured at the start: bytes a second from the card to the host.
    pub link_bytes: u64,
    /// Measured at the start: luma samples of H.264 a second that all decode engines decode together; 0: not measured.
    pub decode_samples: u64,
}

/// A [`crate::Part`] without its bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartHead {
    /// Index in the ladder.
    pub rendition: usize,
    /// Counts up from 0.
    pub number: u32,
    /// Bytes of the initialisation segment, if there is one.
    pub init: Option<u64>,
    /// Bytes of the part.
    pub len: u64,
    /// Of its first picture.
    pub pts: i64,
    /// To the next part.
    pub duration: i64,
    /// Pictures.
    pub frames: u32,
    /// Whether it begins with an IDR picture.
    pub independent: bool,
    /// Whether no more follow.
    pub last: bool,
}

/// What is known of a rendition when it is done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenditionHead {
    /// Pictures.
    pub frames: u32,
    /// RFC 6381.
    pub codecs: String,
}

/// Sends one frame and at most one file.
pub fn send(socket: impl AsFd, frame: &impl Serialize, file: Option<BorrowedFd<'_>>) -> Result<(), IpcError> {
    send_with(socket, frame, file, SendFlags::NOSIGNAL)
}

/// Sends one frame where there is room for it, and fails where there is none.
pub fn send_now(socket: impl AsFd, frame: &impl Serialize) -> Result<(), IpcError> {
    send_with(socket, frame, None, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

fn send_with(
    socket: impl AsFd,
    frame: &impl Serialize,
    file: Option<BorrowedFd<'_>>,
    flags: SendFlags,
) -> Result<(), IpcError> {
    let bytes = serde_json::to_vec(frame).map_err(|error| IpcError::Protocol(error.to_string()))?;
    if bytes.len() > MAX_FRAME {
        return Err(IpcError::Protocol(format!("a frame of {} bytes exceeds {MAX_FRAME}", bytes.len())));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = file.map(|file| [file]);
    if let Some(files) = &files {
        control.push(SendAncillaryMessage::ScmRights(files));
    }
    let socket = socket.as_fd();
    let sent = loop {
        match sendmsg(socket, &[io::IoSlice::new(&bytes)], &mut control, flags) {
            // So many files of this user are on their way that the kernel takes no more until some have arrived.
            Err(rustix::io::Errno::TOOMANYREFS) => std::thread::sleep(CONGESTION),
            Err(rustix::io::Errno::INTR) => {}
            sent => break sent?,
        }
    };
    match sent == bytes.len() {
        true => Ok(()),
        false => Err(IpcError::Protocol("a frame was cut off".to_owned())),
    }
}

/// Receives one frame and the file that came along. Waits until `until`, or for ever.
pub fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
    until: Option<Instant>,
) -> Result<(T, Option<OwnedFd>), IpcError> {
    let socket = socket.as_fd();
    if let Some(until) = until {
        wait(socket, until)?;
    }
    let mut bytes = vec![0; MAX_FRAME];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        match recvmsg(socket, &mut [io::IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            got => break got?,
        }
    };
    // All of them are taken, to be closed: the space for one is rounded up to where two fit.
    let mut files = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            files.extend(more);
        }
    }
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) || files.len() > 1 {
        return Err(IpcError::Protocol(format!("a frame over {MAX_FRAME} bytes or with several files")));
    }
    if got.bytes == 0 {
        return Err(IpcError::Closed);
    }
    let frame = serde_json::from_slice(&bytes[..got.bytes]).map_err(|error| IpcError::Protocol(error.to_string()))?;
    Ok((frame, files.pop()))
}

fn wait(socket: BorrowedFd<'_>, until: Instant) -> Result<(), IpcError> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)], Some(&timeout)) {
            Ok(0) if left == Duration::ZERO => return Err(IpcError::Timeout),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

const SEALS: SealFlags = SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// A memory file with these parts one behind the other, which nobody can change any more.
pub fn sealed<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> io::Result<OwnedFd> {
    let file = memfd_create("headframe-segment", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    for part in parts {
        let mut rest = part;
        while !rest.is_empty() {
            match rustix::io::write(&file, rest) {
                Err(rustix::io::Errno::INTR) => {}
                written => rest = &rest[written?..],
            }
        }
    }
    fcntl_add_seals(&file, SEALS)?;
    Ok(file)
}

/// A sealed memory file of known length, to be read in parts.
#[derive(Debug)]
pub struct Sealed {
    file: OwnedFd,
    len: u64,
    at: u64,
}

impl Sealed {
    /// Checks the seals and the length.
    pub fn open(file: Option<OwnedFd>, len: u64) -> Result<Self, IpcError> {
        let refuse = |what: String| IpcError::Protocol(what);
        let file = file.ok_or_else(|| refuse("no file came along".to_owned()))?;
        let seals = fcntl_get_seals(&file).map_err(|error| refuse(format!("not a memory file: {error}")))?;
        if !seals.contains(SEALS) {
            return Err(refuse(format!("the file is not sealed: {seals:?}")));
        }
        match u64::try_from(fstat(&file)?.st_size) {
            Ok(size) if size == len => Ok(Self { file, len, at: 0 }),
            size => Err(refuse(format!("the file has {size:?} bytes, {len} were announced"))),
        }
    }

    /// Bytes not yet taken.
    pub fn remaining(&self) -> u64 {
        self.len - self.at
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: u64) -> Result<Vec<u8>, IpcError> {
        if len > self.len - self.at {
            return Err(IpcError::Protocol(format!("{len} bytes wanted at {} of {}", self.at, self.len)));
        }
        let mut bytes = vec![0; len as usize];
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::pread(&self.file, &mut bytes[done..], self.at + done as u64) {
                Ok(0) => return Err(IpcError::Protocol("the file ended early".to_owned())),
                Ok(read) => done += read,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.at += len;
        Ok(bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn frames_and_files_pass() {
        let (a, b) = pair();
        let file = sealed([&b"one"[..], b"two"]).unwrap();
        let request =
            Request::Transcode { id: 7, ladder: Ladder::standard(), paces: vec![], limits: Limits::default(), len: 6 };
        send(&a, &request, Some(file.as_fd())).unwrap();
        let (Request::Transcode { id, ladder, limits, len, .. }, file) = receive(&b, None).unwrap() else {
            panic!("another request");
        };
        assert_eq!((id, ladder, limits, len), (7, Ladder::standard(), Limits::default(), 6));
        let mut file = Sealed::open(file, len).unwrap();
        assert_eq!((file.take(4).unwrap(), file.take(2).unwrap()), (b"onet".to_vec(), b"wo".to_vec()));
        assert!(matches!(file.take(1), Err(IpcError::Protocol(_))));
    }

    #[test]
    fn lies_are_refused() {
        let (a, b) = pair();
        assert!(matches!(send(&a, &"x".repeat(MAX_FRAME), None), Err(IpcError::Protocol(_))));
        rustix::net::send(&a, &[b'['; 70_000], SendFlags::empty()).unwrap();
        assert!(matches!(receive::<Answer>(&b, None), Err(IpcError::Protocol(_))));
        send(&a, &"not an answer", None).unwrap();
        assert!(matches!(receive::<Answer>(&b, None), Err(IpcError::Protocol(_))));
        assert!(matches!(receive::<Answer>(&b, Some(Instant::now())), Err(IpcError::Timeout)));
        assert!(matches!(Sealed::open(None, 3), Err(IpcError::Protocol(_))));
        assert!(matches!(Sealed::open(Some(sealed([&b"abc"[..]]).unwrap()), 4), Err(IpcError::Protocol(_))));
        let files = [sealed([&b"abc"[..]]).unwrap(), sealed([&b"def"[..]]).unwrap()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let both = [files[0].as_fd(), files[1].as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&both)));
        sendmsg(&a, &[io::IoSlice::new(b"\"x\"")], &mut control, SendFlags::empty()).unwrap();
        assert!(matches!(receive::<String>(&b, None), Err(IpcError::Protocol(_))));
        let open = memfd_create("open", MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(matches!(Sealed::open(Some(open), 0), Err(IpcError::Protocol(_))));
        drop(a);
        assert!(matches!(receive::<Answer>(&b, None), Err(IpcError::Closed)));
    }
}
