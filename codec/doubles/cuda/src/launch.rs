//! What a module is here, and running its kernels on the CPU.
#![allow(unsafe_code, reason = "calls the kernels, which are C++")]

use std::ffi::c_void;

use crate::State;

/// The one module that can be loaded: what the kernels' own crate embeds.
pub(crate) const PTX: &str = include_str!("../../../../kernels/ptx/headframe.ptx");

/// Its kernels, in the order of `launch.cpp`.
pub(crate) const KERNELS: [&str; 8] = [
    "scale_tiles_8",
    "scale_tiles_10",
    "scale_direct_any",
    "error_tiles",
    "window_sums",
    "convert_luma",
    "convert_chroma",
    "hash_rows",
];

/// Memory that a launch may touch, as `kernels/cu/host.cpp` has it.
#[repr(C)]
struct Range {
    begin: u64,
    end: u64,
    writable: u64,
}

unsafe extern "C" {
    fn headframe_launch(
        kernel: u32,
        memory: *const Range,
        ranges: u64,
        parameters: *const *const c_void,
        blocks: u32,
        count: u32,
    ) -> u64;
    fn headframe_threads() -> u32;
}

/// Threads that a block must have.
pub(crate) fn threads() -> u32 {
    // SAFETY: gives a constant.
    unsafe { headframe_threads() }
}

/// Runs a kernel over all memory of a context; gives how often it reached beyond that, which is neither read nor written.
///
/// # Safety
/// `parameters` must point to what the kernel has for parameters in `kernels/cu/headframe.cu`.
pub(crate) unsafe fn run(
    state: &State,
    context: u64,
    kernel: usize,
    parameters: *const *const c_void,
    (blocks, count): (u32, u32),
) -> u64 {
    let range = |(begin, len): (u64, usize)| Range { begin, end: begin + len as u64, writable: 1 };
    let memory: Vec<Range> = state.memory.of(context).map(|(begin, block)| range((begin, block.len))).collect();
    let _opened = state.memory.open_all(context);
    // SAFETY: the caller's promise for the parameters; the ranges are open, nobody frees or closes them while the state is
    // borrowed, and the kernel asks for each access whether it is within them.
    unsafe { headframe_launch(kernel as u32, memory.as_ptr(), memory.len() as u64, parameters, blocks, count) }
}
