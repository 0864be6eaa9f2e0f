//! The kernels on NVIDIA cards.
pub mod batch;
pub mod plan;
