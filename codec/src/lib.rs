//! The codec core of Headframe: one segment of compressed video in, a ladder of renditions out.
//!
//! | module | knows |
//! | --- | --- |
//! | [`ladder`] | what to make: renditions, validated once |
//! | [`segment`] | what goes in and comes out: bytes, frame counts, timestamps |
//! | [`budget`] | what one segment may cost |
//! | [`pace`] | rate control across segments |
//! | [`admission`] | whether one more stream fits on this machine |
//! | [`sessions`] | who has which encoder session of the graphics cards, and for how long |
//! | [`placement`] | which card does a stream |
//! | [`units`] | units that several modules share |
//! | [`error`] | what can go wrong, and whose fault it is |
//! | `ts` | MPEG transport streams, read and written in safe Rust |
//! | `cmaf`, `mp4` | fragmented MP4, written and read |
//! | `source` | which of the two containers a segment has |
//! | `syntax` | headers of H.264, HEVC, AV1 and VP9, as far as a container needs them |
//! | `engine` | decode once, scale with [`headframe_kernels`](../headframe_kernels/index.html), encode every rung |
//! | `nvidia` | cards of NVIDIA: what they can do, decoders, encoder sessions, memory |
//! | `verify` | whether a rendition is what was ordered: the verification predicate |
//! | [`commit`] | what an operator binds itself to for a segment: roots over pictures, errors and bytes |
//! | [`worker`] | the sandboxed child process that runs the engine, and the pool that keeps such children |
//!
//! The crate knows no network, no files, no money and no wall clock. Programs use [`worker::Pool`]: bytes from strangers
//! are parsed in the children only. The feature `engine` (on by default) builds the engine and the program
//! `headframe-codec`, which link FFmpeg with x264 under the GPL; a program that only keeps a pool needs neither.
#![deny(unsafe_code)]

pub mod admission;
pub mod budget;
#[cfg(feature = "engine")]
mod cmaf;
pub mod commit;
#[cfg(feature = "engine")]
pub mod engine;
pub mod error;
#[cfg(feature = "engine")]
mod ffi;
pub mod ladder;
#[cfg(feature = "engine")]
pub mod mp4;
#[cfg(feature = "engine")]
pub mod nvidia;
pub mod pace;
pub mod placement;
pub mod segment;
pub mod sessions;
#[cfg(feature = "engine")]
pub mod source;
#[cfg(feature = "engine")]
mod syntax;
#[cfg(feature = "engine")]
pub mod ts;
pub mod units;
#[cfg(feature = "engine")]
pub mod verify;
pub mod worker;

pub use admission::Admission;
pub use budget::Limits;
pub use error::{Class, EngineError, TranscodeError};
pub use ladder::{Codec, Container, Fps, Ladder, LadderError, Preset, Rate, Rendition};
pub use pace::Pace;
pub use segment::{Part, RenditionOut, SegmentIn, SegmentOut, SourceInfo, Timings};
