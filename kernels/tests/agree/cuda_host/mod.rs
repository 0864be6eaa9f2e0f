//! The CUDA kernels, compiled for the host: the same source that becomes PTX, held to the definition where there is no
//! card. A kernel that reads or writes outside its planes and tables fails too, and so does undefined behaviour, which
//! the compiler turns into a trap.
//!
//! `HEADFRAME_CASES=100000 cargo test --release -p headframe-kernels --test agree cuda_host` for more than the quick share.

mod hashes;
mod library;
mod memory;
mod scaling;
mod sums;

pub(crate) use library::compile;
pub(crate) use scaling::RandomBatch;
