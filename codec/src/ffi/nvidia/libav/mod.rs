//! FFmpeg's own way to the driver: `h264_cuvid`, `h264_nvenc` and their like, over the context that our kernels work in. It is
//! the way of a second engine, for rigs on which the first one's does not pass its test; it shares with that the device, the
//! kernels and nothing else.
//!
//! FFmpeg opens the driver's libraries by name. The loader gives it those that [`super::driver`] has open; where they came from a
//! folder, by the name inside of them.
//!
//! All of it works on the caller's thread, and calls nothing of ours back but the log.

mod decoder;
mod encoder;
mod failure;
mod frames;
mod heard;

pub(crate) use decoder::{Decoder, Opening, Picture};
pub(crate) use encoder::Session;
pub(crate) use frames::Libav;
