//! The kernels on NVIDIA cards, from Pascal (compute capability 6.1) on.
//!
//! Their source is `cu/`: integer C++ that clang makes into PTX (`ptx/headframe.ptx`, checked in and embedded here), which
//! the driver compiles for the card at hand. The same source, compiled for the host, is held to [`mod@crate::reference`]
//! by `tests/agree/cuda_host`; `tests/agree/device.rs` does that on a card where there is one. `docs/cuda.md` says what has
//! been run and what has not.
//!
//! The driver is opened at run time. Where it is missing, old, or without a card, [`devices`] and [`Gpu::open`] say so;
//! nothing here panics. Every error has a [`Class`], which says what to do about it.
//!
//! | file | knows |
//! | --- | --- |
//! | [`plan`] | tiles and tables for a ladder, no GPU |
//! | [`batch`] | parameters of launches, as C sees them |
//! | `driver` | the driver's functions |
//! | [`error`] | what can go wrong, and its class |
//! | [`device`] | cards, memory, streams and events |
//! | [`picture`] | pictures in a card's memory |
//! | [`ladder`], [`metric`], [`colour`], [`hash`] | typed entry points |
//!
//! Work is queued: calls return before it is done, and what they read or write must not change until a
//! [`Queue`] has been waited for or another one ordered behind it by an [`Event`]. Breaking that spoils pictures, not memory:
//! freeing memory waits for the card.

pub mod batch;
pub mod colour;
pub mod device;
mod driver;
pub mod error;
pub mod hash;
pub mod ladder;
pub mod metric;
pub mod picture;
pub mod plan;

pub use device::{Description, Event, Gpu, Queue, Uuid, devices, driver_version};
pub use error::{Class, CudaError};
pub use hash::CudaHash;
pub use ladder::{CudaLadder, Job};
pub use metric::CudaMetric;
pub use picture::DevicePicture;
pub use plan::Layout;
