//! NVIDIA's driver libraries as they are in memory: the types, functions and version words of the part that is used here,
//! and how a library is opened at run time. It knows nothing of how they are used.
//!
//! | module | knows |
//! | --- | --- |
//! | [`cuda`] | `libcuda.so.1`: devices, contexts, device memory |
//! | [`cuvid`] | `libnvcuvid.so.1`: parser and decoder |
//! | [`nvenc`] | `libnvidia-encode.so.1`: encoder sessions |
//! | [`nvml`] | `libnvidia-ml.so.1`: health and load of a card |
//! | [`version`] | which NVENC API a driver speaks, and the version word of each of its structures |
//! | [`load`] | opening a library, from the system or from one folder |
//!
//! Names are those of NVIDIA's headers. Nothing of NVIDIA is needed to build this, and a program that contains it starts on
//! any machine. What a driver fills in is an integer, never a Rust `enum`: a driver newer than this text may give any value.
//! Structures have no padding, because later versions put fields there: what is not named is zero.
//!
//! One layout serves API 11.1 to 13.0: fields were only ever added where reserved space was, so a structure here has the
//! largest of its sizes, and a driver reads as much of it as it knows. The one exception is
//! [`nvenc::NV_ENC_RECONFIGURE_PARAMS`]. `tests/layout.rs` holds all of it against the headers of 11.1 and against numbers
//! taken from those of 12.0, 12.1, 12.2 and 13.0.
//!
//! The facts are from `nvEncodeAPI.h`, `cuviddec.h` and `nvcuvid.h` of NVIDIA's Video Codec SDK, which come under the MIT
//! licence (`LICENSE-NVIDIA`), and from the documented interfaces of the CUDA driver and of NVML.
#![deny(unsafe_code)]

mod shape;

pub mod cuda;
pub mod cuvid;
pub mod load;
pub mod nvenc;
pub mod nvml;
pub mod version;

pub use load::{LoadError, Source, doubles};
pub use shape::Reserved;
pub use version::Api;
