//! The kernels as compute shaders, for any graphics card with a Vulkan 1.1 driver. Feature `vulkan`.
//!
//! ```no_run
//! use headframe_kernels::vulkan::{Choice, Gpu, LadderScaler};
//! use headframe_kernels::{Filter, Source};
//!
//! let gpu = Gpu::open(&Choice::Hardware)?;
//! let source = Source::yuv420((1920, 1080));
//! let scaler = LadderScaler::new(&gpu, source, &[(1280, 720), (426, 240)], Filter::CatmullRom)?;
//! # Ok::<(), headframe_kernels::vulkan::Error>(())
//! ```
//!
//! | file | knows |
//! | --- | --- |
//! | `device` | which devices there are; an open one and its memory |
//! | `kernel` | the shaders of `kernels/wgsl`, compiled to SPIR-V by the build script, as pipelines |
//! | `plan`, `finish` | a ladder, and what follows it, as jobs for the shaders; pure |
//! | `run` | recording and submitting; nearly all `unsafe` of this module |
//! | `ladder`, `compare`, `hash` | what is offered: scaling a ladder, with colours and orientation changed on the way; comparing planes; hashing pictures |
//! | `error` | what went wrong and what to do about it |
//!
//! All arithmetic is in 32-bit integers, so results equal [`mod@crate::reference`] bit for bit on every conformant
//! driver; `tests/vulkan` holds Mesa's software driver to that. The shaders need nothing beyond Vulkan 1.1's minimum:
//! samples are packed in words, as small types in buffers are optional.
//!
//! The loader is opened at run time. Without it, without a driver or without a device there is an [`Error`] of
//! [`Class::Unavailable`]; no way leads to a panic.

mod compare;
mod device;
mod error;
mod finish;
mod hash;
#[allow(unsafe_code, reason = "the driver takes the shaders' code on trust")]
mod kernel;
mod ladder;
mod plan;
#[allow(unsafe_code, reason = "what a device is told to do, nobody checks")]
mod run;

pub use compare::{Comparer, Measures};
pub use device::{Choice, DeviceInfo, Gpu, Kind, devices};
pub use error::{Class, Error};
pub use finish::Finish;
pub use hash::Hasher;
pub use ladder::{LadderScaler, Task, scale_together};
