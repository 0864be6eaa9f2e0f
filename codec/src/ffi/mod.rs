//! C libraries, one file each: raw below, safe types above.
#![allow(unsafe_code, reason = "the only place of the crate that calls C")]

pub(crate) mod audio;
pub(crate) mod clock;
pub(crate) mod ffmpeg;
pub(crate) mod pinned;
pub(crate) mod quantisers;
