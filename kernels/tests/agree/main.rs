//! Every implementation present agrees with the reference, bit for bit.
//!
//! `HEADFRAME_CASES=1000000 cargo test --release -p headframe-kernels --test agree` for more than the quick default. A
//! failure names its seed; `HEADFRAME_SEED` makes the tests begin with it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cases;
#[cfg(feature = "cuda")]
mod cuda_host;
#[cfg(feature = "cuda")]
mod device;
#[cfg(feature = "cuda")]
mod double;
mod ladders;
mod measures;
mod noise;
mod pictures;

/// The instruction sets of this machine.
fn isas() -> impl Iterator<Item = headframe_kernels::Isa> {
    headframe_kernels::Isa::ALL.into_iter().filter(|isa| isa.is_available())
}
