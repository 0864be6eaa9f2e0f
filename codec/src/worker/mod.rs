//! The worker: a child process that transcodes segments and can do nothing else.
//!
//! Parent and child share one socket, over which typed frames of at most 64 KiB pass; segment bytes travel in sealed
//! memory files. Before its first byte of input the child locks itself up and proves it (`sandbox`), or refuses to work.
//! A [`Pool`] keeps a number of such children alive, hands segments out, and draws conclusions from their deaths. One more
//! child for each graphics card makes what the card can ([`card`]). A card without CUDA scales for the others (`vulkan`).

mod ask;
pub mod card;
mod child;
mod codecs;
mod config;
pub mod ipc;
mod parts;
mod pool;
#[cfg(feature = "engine")]
pub mod sandbox;
#[cfg(feature = "engine")]
pub mod serve;
mod streams;
pub mod vitals;
mod vulkan;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use card::{CardConfig, CardState, CardStats, Cards};
pub use codecs::{CodecsError, codecs};
pub use config::{PoolConfig, PoolError, PoolStats, usual_workers};
pub use pool::Pool;
pub use vulkan::{Scaled, ScalingFailure, Vulkan, VulkanStats};

/// Name of the program that contains the worker.
pub const PROGRAM: &str = "headframe-codec";
/// Environment variable that says where it is.
pub const PROGRAM_VARIABLE: &str = "HEADFRAME_CODEC";

/// Why a worker had to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// A fault of its own: a signal such as SIGSEGV or SIGABRT, or an exit without being asked.
    Crashed,
    /// SIGKILL from outside: the kernel's memory killer, or a person.
    Killed,
    /// It tried something its sandbox forbids: a call (SIGSYS), or more threads than it may have.
    Policy,
    /// It used up its processor time (SIGXCPU, or killed for ignoring that).
    Cpu,
    /// It wrote more than it may (SIGXFSZ).
    Output,
    /// It took longer than [`crate::Limits::wall`] and was stopped.
    Stuck,
    /// Its caller's deadline passed and it was stopped.
    Deadline,
    /// What it said made no sense.
    Protocol,
    /// It did not come up.
    Start,
}

impl Death {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Crashed,
        Self::Killed,
        Self::Policy,
        Self::Cpu,
        Self::Output,
        Self::Stuck,
        Self::Deadline,
        Self::Protocol,
        Self::Start,
    ];

    /// A short constant name, fit for a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crashed => "crashed",
            Self::Killed => "killed",
            Self::Policy => "policy",
            Self::Cpu => "cpu",
            Self::Output => "output",
            Self::Stuck => "stuck",
            Self::Deadline => "deadline",
            Self::Protocol => "protocol",
            Self::Start => "start",
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crashed => "it crashed",
            Self::Killed => "it was killed from outside",
            Self::Policy => "it broke the rules of its sandbox",
            Self::Cpu => "it used up its processor time",
            Self::Output => "it wrote more than it may",
            Self::Stuck => "it exceeded the time for one segment",
            Self::Deadline => "the deadline passed",
            Self::Protocol => "it answered nonsense",
            Self::Start => "it did not start",
        })
    }
}

/// Where the worker program is: `$HEADFRAME_CODEC`, or beside this executable, or one folder up (where Cargo puts it
/// for tests). Not checked for existence: [`Pool::start`] says what is wrong with it.
pub fn codec_program() -> PathBuf {
    if let Some(path) = std::env::var_os(PROGRAM_VARIABLE) {
        return path.into();
    }
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.with_file_name(PROGRAM);
    let above = own.parent().and_then(|dir| dir.parent()).map(|dir| dir.join(PROGRAM));
    match above {
        Some(above) if !beside.exists() && above.exists() => above,
        _ => beside,
    }
}
