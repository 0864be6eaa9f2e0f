//! The functions, as the driver exports them.
#![allow(unsafe_code, non_snake_case, reason = "a C interface; what callers owe is in NVIDIA's manual")]
// Every pointer below is the caller's, who owes what NVIDIA's manual of the function says: null where that is checked,
// otherwise valid for what is written or read.
#![allow(clippy::undocumented_unsafe_blocks, reason = "said once above for all of them")]

use std::ffi::{c_char, c_int, c_uint};
use std::ptr::NonNull;

use headframe_double_ledger::{number, pointer, same_types};
use headframe_nv_sys::cuda::*;

use crate::{CONTEXT, CURRENT, LEDGER, PITCH, State, with};

headframe_double_ledger::export_control!(LEDGER, crate::live());

/// Begins a function; returns the code that it is to fail with.
macro_rules! enter {
    ($function:literal) => {
        if let Err(code) = LEDGER.enter($function) {
            return CUresult(code);
        }
    };
    ($function:literal, current) => {
        enter!($function);
        if CURRENT.with_borrow(Vec::is_empty) {
            LEDGER.violation(concat!($function, " without a current context"));
            return CUDA_ERROR_INVALID_CONTEXT;
        }
    };
}

same_types!(
    cuInit,
    cuDriverGetVersion,
    cuGetErrorName,
    cuDeviceGetCount,
    cuDeviceGet,
    cuDeviceGetName,
    cuDeviceGetUuid
);
same_types!(cuDeviceGetPCIBusId, cuDeviceGetAttribute, cuDeviceTotalMem_v2, cuDevicePrimaryCtxRetain);
same_types!(cuDevicePrimaryCtxRelease_v2, cuCtxPushCurrent_v2, cuCtxPopCurrent_v2, cuCtxGetCurrent, cuMemGetInfo_v2);
same_types!(cuMemAllocPitch_v2, cuMemFree_v2, cuMemGetAddressRange_v2, cuMemcpy2D_v2);

fn devices() -> c_int {
    c_int::try_from(LEDGER.number("devices", 1)).unwrap_or(0)
}

fn memory() -> u64 {
    LEDGER.number("memory", 8192) << 20
}

/// Whether the device is there and the driver started.
fn known(function: &str, device: CUdevice) -> bool {
    let started = with(|state| state.started);
    if !started {
        LEDGER.violation(format!("{function} before cuInit"));
    }
    started && (0..devices()).contains(&device)
}

unsafe fn write_text(to: *mut c_char, len: c_int, text: &str) {
    let bytes: Vec<c_char> =
        text.bytes().map(|byte| byte.cast_signed()).take(len.unsigned_abs() as usize - 1).collect();
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    unsafe { to.add(bytes.len()).write(0) };
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuInit(flags: c_uint) -> CUresult {
    enter!("cuInit");
    if flags != 0 {
        return CUDA_ERROR_INVALID_VALUE;
    }
    if devices() == 0 {
        return CUDA_ERROR_NO_DEVICE;
    }
    with(|state| state.started = true);
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> CUresult {
    enter!("cuDriverGetVersion");
    unsafe { version.write(c_int::try_from(LEDGER.number("version", 12020)).unwrap_or(0)) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuGetErrorName(error: CUresult, name: *mut *const c_char) -> CUresult {
    let text = match error {
        CUDA_SUCCESS => c"CUDA_SUCCESS",
        CUDA_ERROR_INVALID_VALUE => c"CUDA_ERROR_INVALID_VALUE",
        CUDA_ERROR_OUT_OF_MEMORY => c"CUDA_ERROR_OUT_OF_MEMORY",
        CUDA_ERROR_NOT_INITIALIZED => c"CUDA_ERROR_NOT_INITIALIZED",
        CUDA_ERROR_NO_DEVICE => c"CUDA_ERROR_NO_DEVICE",
        CUDA_ERROR_INVALID_CONTEXT => c"CUDA_ERROR_INVALID_CONTEXT",
        CUDA_ERROR_ILLEGAL_ADDRESS => c"CUDA_ERROR_ILLEGAL_ADDRESS",
        CUDA_ERROR_NOT_SUPPORTED => c"CUDA_ERROR_NOT_SUPPORTED",
        CUDA_ERROR_UNKNOWN => c"CUDA_ERROR_UNKNOWN",
        _ => {
            unsafe { name.write(std::ptr::null()) };
            return CUDA_ERROR_INVALID_VALUE;
        }
    };
    unsafe { name.write(text.as_ptr()) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> CUresult {
    enter!("cuDeviceGetCount");
    if !with(|state| state.started) {
        return CUDA_ERROR_NOT_INITIALIZED;
    }
    unsafe { count.write(devices()) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGet(device: *mut CUdevice, ordinal: c_int) -> CUresult {
    enter!("cuDeviceGet");
    if !known("cuDeviceGet", ordinal) {
        return CUDA_ERROR_INVALID_DEVICE;
    }
    unsafe { device.write(ordinal) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, len: c_int, device: CUdevice) -> CUresult {
    enter!("cuDeviceGetName");
    if !known("cuDeviceGetName", device) || len < 1 {
        return CUDA_ERROR_INVALID_DEVICE;
    }
    unsafe { write_text(name, len, "Test double of a card") };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetUuid(uuid: *mut CUuuid, device: CUdevice) -> CUresult {
    enter!("cuDeviceGetUuid");
    if !known("cuDeviceGetUuid", device) {
        return CUDA_ERROR_INVALID_DEVICE;
    }
    let mut bytes = *b"headframe-double";
    bytes[15] = device.unsigned_abs() as u8;
    unsafe { uuid.write(CUuuid { bytes }) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetPCIBusId(id: *mut c_char, len: c_int, device: CUdevice) -> CUresult {
    enter!("cuDeviceGetPCIBusId");
    if !known("cuDeviceGetPCIBusId", device) || len < 13 {
        return CUDA_ERROR_INVALID_VALUE;
    }
    unsafe { write_text(id, len, &format!("0000:{:02x}:00.0", device + 1)) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetAttribute(
    value: *mut c_int,
    attribute: CUdevice_attribute,
    device: CUdevice,
) -> CUresult {
    enter!("cuDeviceGetAttribute");
    if !known("cuDeviceGetAttribute", device) {
        return CUDA_ERROR_INVALID_DEVICE;
    }
    let compute = LEDGER.value("compute").unwrap_or_else(|| "8.6".into());
    let (major, minor) = compute.split_once('.').unwrap_or((&compute, "0"));
    let number = match attribute {
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR => major.parse().unwrap_or(0),
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR => minor.parse().unwrap_or(0),
        CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT => 1,
        _ => return CUDA_ERROR_INVALID_VALUE,
    };
    unsafe { value.write(number) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: CUdevice) -> CUresult {
    enter!("cuDeviceTotalMem_v2");
    if !known("cuDeviceTotalMem_v2", device) {
        return CUDA_ERROR_INVALID_DEVICE;
    }
    unsafe { bytes.write(memory() as usize) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice) -> CUresult {
    enter!("cuDevicePrimaryCtxRetain");
    if !known("cuDevicePrimaryCtxRetain", device) {
        return CUDA_ERROR_INVALID_DEVICE;
    }
    with(|state| *state.retained.entry(device).or_default() += 1);
    unsafe { context.write(pointer(CONTEXT + u64::from(device.unsigned_abs()))) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDevicePrimaryCtxRelease_v2(device: CUdevice) -> CUresult {
    let failure = LEDGER.enter("cuDevicePrimaryCtxRelease_v2");
    let released = with(|state| match state.retained.get_mut(&device) {
        Some(count) if *count > 0 => {
            *count -= 1;
            Some(*count == 0 && !state.memory.is_empty())
        }
        _ => None,
    });
    match released {
        None => LEDGER.violation("a primary context was released more often than retained"),
        Some(true) => LEDGER.violation("the last use of a context ended with memory in it"),
        Some(false) => {}
    }
    failure.map_or_else(CUresult, |()| CUDA_SUCCESS)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuCtxPushCurrent_v2(context: CUcontext) -> CUresult {
    enter!("cuCtxPushCurrent_v2");
    let device = number(context).wrapping_sub(CONTEXT);
    let retained =
        c_int::try_from(device).is_ok_and(|device| with(|state| state.retained.get(&device).is_some_and(|n| *n > 0)));
    if !retained {
        LEDGER.violation("a context that nobody retains was made current");
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    CURRENT.with_borrow_mut(|current| current.push(number(context)));
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut CUcontext) -> CUresult {
    let failure = LEDGER.enter("cuCtxPopCurrent_v2");
    let Some(popped) = CURRENT.with_borrow_mut(Vec::pop) else {
        LEDGER.violation("cuCtxPopCurrent_v2 without a current context");
        return CUDA_ERROR_INVALID_CONTEXT;
    };
    unsafe { context.write(pointer(popped)) };
    failure.map_or_else(CUresult, |()| CUDA_SUCCESS)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuCtxGetCurrent(context: *mut CUcontext) -> CUresult {
    let current = CURRENT.with_borrow(|current| current.last().copied());
    unsafe { context.write(current.and_then(pointer)) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> CUresult {
    enter!("cuMemGetInfo_v2", current);
    let used = with(|state| state.used);
    unsafe { free.write(memory().saturating_sub(used) as usize) };
    unsafe { total.write(memory() as usize) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemAllocPitch_v2(
    address: *mut CUdeviceptr,
    pitch: *mut usize,
    width: usize,
    height: usize,
    element: c_uint,
) -> CUresult {
    enter!("cuMemAllocPitch_v2", current);
    if width == 0 || height == 0 || !matches!(element, 4 | 8 | 16) {
        return CUDA_ERROR_INVALID_VALUE;
    }
    let row = width.next_multiple_of(PITCH);
    let Some(found) = with(|state| state.allocate(row * height, memory())) else { return CUDA_ERROR_OUT_OF_MEMORY };
    unsafe { address.write(found) };
    unsafe { pitch.write(row) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemFree_v2(address: CUdeviceptr) -> CUresult {
    let failure = LEDGER.enter("cuMemFree_v2");
    if CURRENT.with_borrow(Vec::is_empty) {
        LEDGER.violation("cuMemFree_v2 without a current context");
    }
    if !with(|state| state.free(address)) {
        LEDGER.violation("memory was freed that is none");
        return CUDA_ERROR_INVALID_VALUE;
    }
    failure.map_or_else(CUresult, |()| CUDA_SUCCESS)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemGetAddressRange_v2(
    base: *mut CUdeviceptr,
    bytes: *mut usize,
    address: CUdeviceptr,
) -> CUresult {
    let found = with(|state| {
        let (block, at) = state.find(address, 1)?;
        Some((address - at as u64, block.len()))
    });
    let Some((start, len)) = found else { return CUDA_ERROR_INVALID_VALUE };
    if let Some(base) = NonNull::new(base) {
        unsafe { base.write(start) };
    }
    if let Some(bytes) = NonNull::new(bytes) {
        unsafe { bytes.write(len) };
    }
    CUDA_SUCCESS
}

/// One side of a copy.
#[derive(Clone, Copy)]
enum Side {
    Host(*mut u8),
    Device(u64),
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemcpy2D_v2(copy: *const CUDA_MEMCPY2D) -> CUresult {
    enter!("cuMemcpy2D_v2", current);
    let copy = unsafe { &*copy };
    let side = |kind, host: Option<NonNull<std::ffi::c_void>>, device| match kind {
        CU_MEMORYTYPE_HOST => host.map(|host| Side::Host(host.as_ptr().cast())),
        CU_MEMORYTYPE_DEVICE => Some(Side::Device(device)),
        _ => None,
    };
    let from = side(copy.srcMemoryType, copy.srcHost, copy.srcDevice);
    let to = side(copy.dstMemoryType, copy.dstHost, copy.dstDevice);
    let (Some(from), Some(to)) = (from, to) else { return CUDA_ERROR_INVALID_VALUE };
    let (width, offsets) = (copy.WidthInBytes, [copy.srcXInBytes, copy.srcY, copy.dstXInBytes, copy.dstY]);
    if offsets != [0; 4] || copy.srcPitch < width || copy.dstPitch < width {
        LEDGER.violation("a copy with offsets, or with rows longer than the pitch");
        return CUDA_ERROR_INVALID_VALUE;
    }
    with(|state| {
        for row in 0..copy.Height {
            if !unsafe { copy_row(state, (from, row * copy.srcPitch), (to, row * copy.dstPitch), width) } {
                LEDGER.violation("a copy leaves the memory that it is from or to");
                return CUDA_ERROR_ILLEGAL_ADDRESS;
            }
        }
        CUDA_SUCCESS
    })
}

unsafe fn copy_row(state: &mut State, from: (Side, usize), to: (Side, usize), width: usize) -> bool {
    let mut row = vec![0; width];
    match from.0 {
        Side::Host(host) => unsafe { std::ptr::copy_nonoverlapping(host.add(from.1), row.as_mut_ptr(), width) },
        Side::Device(address) => match state.find(address + from.1 as u64, width) {
            Some((block, at)) => row.copy_from_slice(&block[at..at + width]),
            None => return false,
        },
    }
    match to.0 {
        Side::Host(host) => unsafe { std::ptr::copy_nonoverlapping(row.as_ptr(), host.add(to.1), width) },
        Side::Device(address) => match state.find(address + to.1 as u64, width) {
            Some((block, at)) => block[at..at + width].copy_from_slice(&row),
            None => return false,
        },
    }
    true
}
