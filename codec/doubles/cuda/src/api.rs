//! Devices, contexts and allocations, as the driver exports them.
#![allow(unsafe_code, non_snake_case, reason = "a C interface; what callers owe is in NVIDIA's manual")]
// Every pointer below is the caller's, who owes what NVIDIA's manual of the function says: null where that is checked,
// otherwise valid for what is written or read.
#![allow(clippy::undocumented_unsafe_blocks, reason = "said once above for all of them")]

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr::NonNull;

use headframe_double_ledger::{number, pointer, same_types};
use headframe_nv_sys::cuda::*;

use crate::{CONTEXT, CURRENT, LEDGER, context, memory, retained, waits, with, work};

/// Rows of pitched memory begin at multiples of this, as on real cards; so do textures.
const PITCH: usize = 512;

/// `CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT`, which FFmpeg asks for.
const TEXTURE_ALIGNMENT: CUdevice_attribute = CUdevice_attribute(14);

/// Errors that the tests have the driver make, and those that it makes by itself: code, name, words.
const ERRORS: [(u32, &CStr, &CStr); 14] = [
    (0, c"CUDA_SUCCESS", c"no error"),
    (1, c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"),
    (2, c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"),
    (3, c"CUDA_ERROR_NOT_INITIALIZED", c"initialization error"),
    (46, c"CUDA_ERROR_DEVICE_UNAVAILABLE", c"the device is busy or unavailable"),
    (100, c"CUDA_ERROR_NO_DEVICE", c"no such device"),
    (200, c"CUDA_ERROR_INVALID_IMAGE", c"device kernel image is invalid"),
    (201, c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context"),
    (304, c"CUDA_ERROR_OPERATING_SYSTEM", c"OS call failed or operation not supported on this OS"),
    (600, c"CUDA_ERROR_NOT_READY", c"not ready"),
    (700, c"CUDA_ERROR_ILLEGAL_ADDRESS", c"an illegal memory access was encountered"),
    (719, c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure"),
    (801, c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported"),
    (999, c"CUDA_ERROR_UNKNOWN", c"unknown error"),
];

headframe_double_ledger::export_control!(LEDGER, crate::live());

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
same_types!(cuDevicePrimaryCtxSetFlags_v2, cuDevicePrimaryCtxRelease_v2, cuCtxPushCurrent_v2, cuCtxPopCurrent_v2);
same_types!(cuCtxGetCurrent, cuMemGetInfo_v2);
same_types!(cuMemAllocPitch_v2, cuMemFree_v2, cuMemGetAddressRange_v2);

fn devices() -> c_int {
    c_int::try_from(LEDGER.number("devices", 1)).unwrap_or(0)
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
    if let Err(error) = named_thread() {
        eprintln!("cuda double: cannot name a thread: {error}");
        return CUDA_ERROR_OPERATING_SYSTEM;
    }
    with(|state| state.started = true);
    CUDA_SUCCESS
}

/// The driver names threads that it has made, by way of their file, and does not start where it cannot.
fn named_thread() -> std::io::Result<()> {
    let (told, id) = std::sync::mpsc::channel();
    let (over, end) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        // Nobody listens any more, or nobody needs this thread any more.
        let _ = told.send(rustix::thread::gettid());
        let _ = end.recv();
    });
    let id = id.recv().map_err(std::io::Error::other)?.as_raw_nonzero();
    let named = std::fs::OpenOptions::new().read(true).write(true).open(format!("/proc/self/task/{id}/comm"));
    let named = named.and_then(|mut file| std::io::Write::write_all(&mut file, b"cuda-double"));
    drop(over);
    thread.join().map_err(|_| std::io::Error::other("the thread panicked"))?;
    named
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> CUresult {
    enter!("cuDriverGetVersion");
    unsafe { version.write(c_int::try_from(LEDGER.number("version", 12020)).unwrap_or(0)) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuGetErrorName(error: CUresult, name: *mut *const c_char) -> CUresult {
    let Some((_, text, _)) = ERRORS.iter().find(|(code, ..)| *code == error.0) else {
        unsafe { name.write(std::ptr::null()) };
        return CUDA_ERROR_INVALID_VALUE;
    };
    unsafe { name.write(text.as_ptr()) };
    CUDA_SUCCESS
}

/// In the words of the driver, which FFmpeg puts into its log.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuGetErrorString(error: CUresult, words: *mut *const c_char) -> CUresult {
    let Some((.., text)) = ERRORS.iter().find(|(code, ..)| *code == error.0) else {
        unsafe { words.write(std::ptr::null()) };
        return CUDA_ERROR_INVALID_VALUE;
    };
    unsafe { words.write(text.as_ptr()) };
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
        TEXTURE_ALIGNMENT => PITCH as c_int,
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
pub(crate) unsafe extern "C" fn cuDevicePrimaryCtxSetFlags_v2(device: CUdevice, flags: CUctx_flags) -> CUresult {
    enter!("cuDevicePrimaryCtxSetFlags_v2");
    if !known("cuDevicePrimaryCtxSetFlags_v2", device) {
        return CUDA_ERROR_INVALID_DEVICE;
    }
    with(|state| match flags {
        CU_CTX_SCHED_BLOCKING_SYNC => state.sleeping.insert(device),
        _ => state.sleeping.remove(&device),
    });
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDevicePrimaryCtxRelease_v2(device: CUdevice) -> CUresult {
    let failure = LEDGER.enter("cuDevicePrimaryCtxRelease_v2");
    let released = with(|state| match state.retained.get_mut(&device) {
        Some(count) if *count > 0 => {
            *count -= 1;
            Some(*count == 0)
        }
        _ => None,
    });
    let context = CONTEXT + u64::from(device.unsigned_abs());
    match released {
        None => LEDGER.violation("a primary context was released more often than retained"),
        Some(true) if with(|state| state.memory.of(context).next().is_some()) => {
            LEDGER.violation("the last use of a context ended with memory in it");
        }
        Some(true) if work::left(context) => {
            LEDGER.violation("the last use of a context ended with a module, stream or event in it");
        }
        Some(_) => {}
    }
    failure.map_or_else(CUresult, |()| CUDA_SUCCESS)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuCtxPushCurrent_v2(context: CUcontext) -> CUresult {
    enter!("cuCtxPushCurrent_v2");
    if !retained(number(context)) {
        LEDGER.violation("a context that nobody retains was made current");
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    CURRENT.with_borrow_mut(|stack| stack.contexts.push(number(context)));
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut CUcontext) -> CUresult {
    let failure = LEDGER.enter("cuCtxPopCurrent_v2");
    let popped = CURRENT.with_borrow_mut(|stack| match stack.contexts.len() {
        1 if stack.set => None,
        _ => stack.contexts.pop(),
    });
    let Some(popped) = popped else {
        LEDGER.violation("cuCtxPopCurrent_v2 of more than was pushed");
        return CUDA_ERROR_INVALID_CONTEXT;
    };
    unsafe { context.write(pointer(popped)) };
    failure.map_or_else(CUresult, |()| CUDA_SUCCESS)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuCtxSetCurrent(context: CUcontext) -> CUresult {
    enter!("cuCtxSetCurrent");
    if context.is_some() && !retained(number(context)) {
        LEDGER.violation("a context that nobody retains was made current");
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    CURRENT.with_borrow_mut(|stack| {
        // In place of the one on top, which stays owed a pop if it was pushed.
        match (stack.contexts.last_mut(), context) {
            (Some(top), Some(_)) => *top = number(context),
            (None, Some(_)) => {
                stack.contexts.push(number(context));
                stack.set = true;
            }
            (_, None) => {
                stack.contexts.pop();
                stack.set &= !stack.contexts.is_empty();
            }
        }
    });
    CUDA_SUCCESS
}

/// Everything is done already.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuCtxSynchronize() -> CUresult {
    let context = enter!("cuCtxSynchronize", current);
    waits(context, "cuCtxSynchronize");
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuCtxGetCurrent(context: *mut CUcontext) -> CUresult {
    let current = CURRENT.with_borrow(|stack| stack.contexts.last().copied());
    unsafe { context.write(current.and_then(pointer)) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> CUresult {
    let context = enter!("cuMemGetInfo_v2", current);
    let used = with(|state| state.memory.used(context));
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
    let context = enter!("cuMemAllocPitch_v2", current);
    if width == 0 || height == 0 || !matches!(element, 4 | 8 | 16) {
        return CUDA_ERROR_INVALID_VALUE;
    }
    let row = width.next_multiple_of(PITCH);
    let Some(found) = with(|state| state.memory.allocate(row * height, context, memory())) else {
        return CUDA_ERROR_OUT_OF_MEMORY;
    };
    unsafe { address.write(found) };
    unsafe { pitch.write(row) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemAlloc_v2(address: *mut CUdeviceptr, bytes: usize) -> CUresult {
    let context = enter!("cuMemAlloc_v2", current);
    if bytes == 0 {
        return CUDA_ERROR_INVALID_VALUE;
    }
    let Some(found) = with(|state| state.memory.allocate(bytes, context, memory())) else {
        return CUDA_ERROR_OUT_OF_MEMORY;
    };
    unsafe { address.write(found) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemFree_v2(address: CUdeviceptr) -> CUresult {
    let failure = LEDGER.enter("cuMemFree_v2");
    // Given back all the same.
    let _ = context("cuMemFree_v2");
    if !with(|state| state.memory.free(address)) {
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
        let (base, block) = state.memory.find(address, 1)?;
        Some((base, block.len))
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
