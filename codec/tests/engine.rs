//! The engine of the processors in this process, judged by ffprobe.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cases;
mod common;
mod mangle;

use headframe_codec::engine::transcode;

/// Whether damaged pictures are counted.
const TELLS_DAMAGE: bool = true;
