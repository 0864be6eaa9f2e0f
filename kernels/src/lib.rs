//! Pixel kernels of Headframe: scaling and quality metrics, defined once and implemented several times.
//!
//! [`mod@reference`] says in plain integer Rust what every kernel computes; it is the definition, slow on purpose. The
//! other implementations ([`simd`]; `cuda` and `vulkan` for graphics cards) must give the same bytes for any input, which
//! `tests/agree` and `tests/vulkan` check. Results therefore never depend on the machine, so they can be hashed,
//! compared and disputed.
//!
//! | file | knows |
//! | --- | --- |
//! | [`plane`], [`source`] | shapes, strides and formats, checked once |
//! | [`filter`], `lanczos` | resampling positions and coefficient tables, integer arithmetic only |
//! | [`cascade`] | which rung of a ladder is made from which |
//! | [`mod@reference`] | the definition of every kernel |
//! | [`ladder`], [`scale`], [`mod@convert`], [`metric`] | typed entry points; they pick the fastest implementation |
//! | [`mod@rotate`], [`upright`] | quarter turns and mirror images; a scaler that also turns |
//! | [`hash`] | names for pictures |
//! | [`simd`] | instruction sets, found at run time |
//! | `cuda`, `cu/` | the kernels on NVIDIA cards, with the feature of that name, which is on by default |
//! | `vulkan`, `wgsl/` | compute shaders; only with the feature `vulkan`, which takes minutes to compile |
//!
//! `unsafe` is in these three alone.
//!
//! The crate knows nothing of codecs, files, clocks or threads.
#![deny(unsafe_code)]

pub mod cascade;
pub mod convert;
#[cfg(feature = "cuda")]
#[allow(unsafe_code, reason = "calls of NVIDIA's driver")]
pub mod cuda;
pub mod filter;
pub mod hash;
pub mod ladder;
mod lanczos;
pub mod metric;
pub mod plane;
pub mod reference;
pub mod rotate;
pub mod scale;
pub mod simd;
pub mod source;
pub mod upright;
#[cfg(feature = "vulkan")]
pub mod vulkan;

pub use filter::Filter;
pub use ladder::LadderScaler;
pub use plane::{PlaneError, PlaneMut, PlaneRef, Yuv420Mut, Yuv420Ref};
pub use rotate::Orientation;
pub use scale::{ScaleError, Scaler};
pub use simd::Isa;
pub use source::{Format, Source, SourceRef};
pub use upright::UprightScaler;
