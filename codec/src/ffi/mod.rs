//! C libraries, one file or folder each: raw below, safe types above.
#![allow(unsafe_code, reason = "the only place of the crate that calls C")]

pub(crate) mod audio;
pub(crate) mod clock;
pub(crate) mod decoder;
pub(crate) mod encoder;
mod ffmpeg;
pub(crate) mod heap;
pub(crate) mod nvidia;
pub(crate) mod picture;
pub(crate) mod pinned;
pub(crate) mod priority;
pub(crate) mod quantisers;
mod svtav1;
mod x264;
mod x265;
