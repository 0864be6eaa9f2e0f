//! Copies and fills. All are done when the call returns.
#![allow(unsafe_code, non_snake_case, reason = "a C interface; what callers owe is in NVIDIA's manual")]
// Every pointer below is the caller's, who owes what NVIDIA's manual of the function says: valid for what is written or read.
// Device addresses are opened before they are followed.
#![allow(clippy::undocumented_unsafe_blocks, reason = "said once above for all of them")]

use std::ffi::{c_uchar, c_void};
use std::ptr::NonNull;

use headframe_double_ledger::{modelled, same_types};
use headframe_nv_sys::cuda::*;

use crate::{LEDGER, State, with, work};

same_types!(cuMemcpy2D_v2);

/// Where rows lie.
#[derive(Clone, Copy)]
enum Side {
    Host(*mut u8),
    Device(u64),
}

impl Side {
    fn after(self, bytes: usize) -> Self {
        match self {
            Self::Host(first) => Self::Host(first.wrapping_add(bytes)),
            Self::Device(address) => Self::Device(address.wrapping_add(bytes as u64)),
        }
    }
}

/// Rows on one side.
#[derive(Clone, Copy)]
struct Rows {
    side: Side,
    pitch: usize,
}

/// Copies rows, if all that is the device's lies within one allocation on each side.
unsafe fn copy(from: Rows, to: Rows, width: usize, rows: usize) -> CUresult {
    with(|state| {
        let (Some(from), Some(to)) = (place(state, from, width, rows), place(state, to, width, rows)) else {
            LEDGER.violation("a copy leaves the memory that it is from or to");
            return CUDA_ERROR_ILLEGAL_ADDRESS;
        };
        if modelled(&LEDGER) && from.block.is_some() && to.block.is_some() {
            return CUDA_SUCCESS;
        }
        let opened = [from.block, to.block].map(|block| block.map(|(begin, len)| state.memory.open(begin, len)));
        for row in 0..rows {
            // Within one allocation they may overlap.
            unsafe { std::ptr::copy(from.first.add(row * from.pitch), to.first.add(row * to.pitch), width) };
        }
        drop(opened);
        CUDA_SUCCESS
    })
}

/// Rows that are where they should be.
struct Place {
    first: *mut u8,
    pitch: usize,
    /// Address and bytes of the allocation that they are in, on a device.
    block: Option<(u64, usize)>,
}

fn place(state: &State, Rows { side, pitch }: Rows, width: usize, rows: usize) -> Option<Place> {
    let extent = rows.saturating_sub(1).checked_mul(pitch)?.checked_add(width)?;
    Some(match side {
        Side::Host(first) => Place { first, pitch, block: None },
        Side::Device(address) => {
            let (begin, block) = state.memory.find(address, extent)?;
            let first = std::ptr::with_exposed_provenance_mut(address as usize);
            Place { first, pitch, block: Some((begin, block.len)) }
        }
    })
}

unsafe fn copy_2d(copy: *const CUDA_MEMCPY2D) -> CUresult {
    let it = unsafe { &*copy };
    let side = |kind, host: Option<NonNull<c_void>>, device| match kind {
        CU_MEMORYTYPE_HOST => host.map(|host| Side::Host(host.as_ptr().cast())),
        CU_MEMORYTYPE_DEVICE => Some(Side::Device(device)),
        _ => None,
    };
    let from = side(it.srcMemoryType, it.srcHost, it.srcDevice);
    let to = side(it.dstMemoryType, it.dstHost, it.dstDevice);
    let (Some(from), Some(to)) = (from, to) else { return CUDA_ERROR_INVALID_VALUE };
    let nothing = it.WidthInBytes == 0 || it.Height == 0;
    // FFmpeg copies nothing into the third plane of pictures that have two.
    if nothing && LEDGER.is_for_ffmpeg() {
        return CUDA_SUCCESS;
    }
    let offsets = [it.srcXInBytes, it.srcY, it.dstXInBytes, it.dstY];
    if nothing || (offsets != [0; 4] && !LEDGER.is_for_ffmpeg()) {
        LEDGER.violation("a copy of nothing, or with offsets");
        return CUDA_ERROR_INVALID_VALUE;
    }
    if it.srcPitch < it.WidthInBytes || it.dstPitch < it.WidthInBytes {
        LEDGER.violation("a copy with rows longer than the pitch");
        return CUDA_ERROR_INVALID_VALUE;
    }
    let from = Rows { side: from.after(it.srcY * it.srcPitch + it.srcXInBytes), pitch: it.srcPitch };
    let to = Rows { side: to.after(it.dstY * it.dstPitch + it.dstXInBytes), pitch: it.dstPitch };
    unsafe { self::copy(from, to, it.WidthInBytes, it.Height) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemcpy2D_v2(copy: *const CUDA_MEMCPY2D) -> CUresult {
    enter!("cuMemcpy2D_v2", current);
    unsafe { copy_2d(copy) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemcpy2DAsync_v2(copy: *const CUDA_MEMCPY2D, stream: CUstream) -> CUresult {
    let context = enter!("cuMemcpy2DAsync_v2", current);
    if !work::stream(context, stream, "cuMemcpy2DAsync_v2") {
        return CUDA_ERROR_INVALID_HANDLE;
    }
    unsafe { copy_2d(copy) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: CUdeviceptr,
    from: *const c_void,
    bytes: usize,
    stream: CUstream,
) -> CUresult {
    let context = enter!("cuMemcpyHtoDAsync_v2", current);
    if !work::stream(context, stream, "cuMemcpyHtoDAsync_v2") {
        return CUDA_ERROR_INVALID_HANDLE;
    }
    let from = Rows { side: Side::Host(from.cast_mut().cast()), pitch: 0 };
    unsafe { copy(from, Rows { side: Side::Device(to), pitch: 0 }, bytes, 1) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> CUresult {
    let context = enter!("cuMemcpyDtoHAsync_v2", current);
    if !work::stream(context, stream, "cuMemcpyDtoHAsync_v2") {
        return CUDA_ERROR_INVALID_HANDLE;
    }
    let to = Rows { side: Side::Host(to.cast()), pitch: 0 };
    unsafe { copy(Rows { side: Side::Device(from), pitch: 0 }, to, bytes, 1) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemsetD2D8Async(
    to: CUdeviceptr,
    pitch: usize,
    value: c_uchar,
    width: usize,
    height: usize,
    stream: CUstream,
) -> CUresult {
    let context = enter!("cuMemsetD2D8Async", current);
    if !work::stream(context, stream, "cuMemsetD2D8Async") {
        return CUDA_ERROR_INVALID_HANDLE;
    }
    if pitch < width {
        LEDGER.violation("a fill with rows longer than the pitch");
        return CUDA_ERROR_INVALID_VALUE;
    }
    with(|state| {
        let place = place(state, Rows { side: Side::Device(to), pitch }, width, height);
        let Some((place, (begin, len))) = place.and_then(|place| place.block.map(|block| (place, block))) else {
            LEDGER.violation("a fill leaves the memory that it is to");
            return CUDA_ERROR_ILLEGAL_ADDRESS;
        };
        let _opened = state.memory.open(begin, len);
        for row in 0..height {
            unsafe { place.first.add(row * pitch).write_bytes(value, width) };
        }
        CUDA_SUCCESS
    })
}
