//! Modules, streams, events, launches. Whatever is queued is done when the call returns.
#![allow(unsafe_code, non_snake_case, reason = "a C interface; what callers owe is in NVIDIA's manual")]
// Every pointer below is the caller's, who owes what NVIDIA's manual of the function says: valid for what is written or read.
#![allow(clippy::undocumented_unsafe_blocks, reason = "said once above for all of them")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::NonNull;
use std::time::Instant;

use headframe_double_ledger::{Table, modelled, number, pointer};
use headframe_nv_sys::cuda::*;

use crate::{LEDGER, context, launch, waits, with};

/// A module, function or event as C has it.
type Handle = Option<NonNull<c_void>>;

const CUDA_ERROR_INVALID_PTX: CUresult = CUresult(218);
const CUDA_ERROR_NOT_FOUND: CUresult = CUresult(500);
const CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: c_uint = 3;
const CU_FUNC_ATTRIBUTE_NUM_REGS: c_uint = 4;

/// What is known of a mark in a stream.
struct Event {
    context: u64,
    recorded: Option<Instant>,
}

/// Modules, by the context that they are in. Their kernels have the handles behind theirs.
static MODULES: Table<u64> = Table::new(0xAD00_0000);
/// Streams, by the context that they are in.
static STREAMS: Table<u64> = Table::new(0x57E0_0000);
static EVENTS: Table<Event> = Table::new(0xE7E0_0000);

/// Modules, streams and events.
pub(crate) fn live() -> (usize, usize, usize) {
    (MODULES.len(), STREAMS.len(), EVENTS.len())
}

/// Whether something of a context is left.
pub(crate) fn left(context: u64) -> bool {
    let handles = |table: &Table<u64>| table.all(|all| all.values().any(|of| *of == context));
    handles(&MODULES) || handles(&STREAMS) || EVENTS.all(|all| all.values().any(|event| event.context == context))
}

/// Whether a handle is known and of this context.
fn of(known: Option<u64>, context: u64, function: &str, what: &str) -> bool {
    match known {
        Some(of) if of == context => return true,
        Some(_) => LEDGER.violation(format!("{function} with {what} of another context")),
        None => LEDGER.violation(format!("{function} with {what} that is none")),
    }
    false
}

/// Whether work may be queued in a stream: that of everybody, or one of this context.
pub(crate) fn stream(context: u64, stream: CUstream, function: &str) -> bool {
    stream.is_none() || of(STREAMS.with(number(stream), |of| *of), context, function, "a stream")
}

fn event(context: u64, event: Handle, function: &str) -> bool {
    of(EVENTS.with(number(event), |event| event.context), context, function, "an event")
}

/// Gives something back, also where a fault strikes or no context is current.
fn give_back(function: &'static str, what: &str, removed: impl FnOnce() -> Option<u64>) -> CUresult {
    let failure = LEDGER.enter(function);
    let current = context(function);
    let Some(of) = removed() else {
        LEDGER.violation(format!("{function} with {what} that is none"));
        return CUDA_ERROR_INVALID_HANDLE;
    };
    if current.is_ok_and(|current| current != of) {
        LEDGER.violation(format!("{function} with {what} of another context"));
    }
    failure.map_or_else(CUresult, |()| CUDA_SUCCESS)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuModuleLoadData(module: *mut Handle, image: *const c_void) -> CUresult {
    let context = enter!("cuModuleLoadData", current);
    if unsafe { CStr::from_ptr(image.cast()) }.to_bytes() != launch::PTX.as_bytes() {
        LEDGER.violation("a module that is not kernels/ptx/headframe.ptx, whose kernels alone run here");
        return CUDA_ERROR_INVALID_PTX;
    }
    unsafe { module.write(pointer(MODULES.insert(context))) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuModuleUnload(module: Handle) -> CUresult {
    give_back("cuModuleUnload", "a module", || MODULES.remove(number(module)))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuModuleGetFunction(
    function: *mut Handle,
    module: Handle,
    name: *const c_char,
) -> CUresult {
    let context = enter!("cuModuleGetFunction", current);
    if !of(MODULES.with(number(module), |of| *of), context, "cuModuleGetFunction", "a module") {
        return CUDA_ERROR_INVALID_HANDLE;
    }
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    let Some(kernel) = launch::KERNELS.iter().position(|known| known.as_bytes() == name) else {
        LEDGER.violation("a kernel that the module does not have");
        return CUDA_ERROR_NOT_FOUND;
    };
    unsafe { function.write(pointer(number(module) + 1 + kernel as u64)) };
    CUDA_SUCCESS
}

/// The kernel that a handle is of, if its module is loaded in this context.
fn kernel(context: u64, function: Handle, call: &str) -> Option<usize> {
    let handle = number(function);
    let (module, kernel) = (handle & !15, (handle & 15).wrapping_sub(1) as usize);
    let known = MODULES.with(module, |of| *of).filter(|_| kernel < launch::KERNELS.len());
    of(known, context, call, "a kernel").then_some(kernel)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuFuncGetAttribute(value: *mut c_int, attribute: c_uint, function: Handle) -> CUresult {
    let context = enter!("cuFuncGetAttribute", current);
    if kernel(context, function, "cuFuncGetAttribute").is_none() {
        return CUDA_ERROR_INVALID_HANDLE;
    }
    match attribute {
        // There are none here.
        CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES | CU_FUNC_ATTRIBUTE_NUM_REGS => unsafe { value.write(0) },
        _ => return CUDA_ERROR_INVALID_VALUE,
    }
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    blocks: c_uint,
    count: c_uint,
    deep: c_uint,
    threads: c_uint,
    threads_down: c_uint,
    threads_deep: c_uint,
    shared: c_uint,
    stream: CUstream,
    parameters: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> CUresult {
    let context = enter!("cuLaunchKernel", current);
    let Some(kernel) = kernel(context, function, "cuLaunchKernel") else { return CUDA_ERROR_INVALID_HANDLE };
    if !self::stream(context, stream, "cuLaunchKernel") {
        return CUDA_ERROR_INVALID_HANDLE;
    }
    // What a grid may have, and the blocks that these kernels are written for.
    let grid = (1..=0x7fff_ffff).contains(&blocks) && (1..=0xffff).contains(&count) && deep == 1;
    let block = (threads, threads_down, threads_deep, shared) == (launch::threads(), 1, 1, 0);
    if !grid || !block || parameters.is_null() || !extra.is_null() {
        LEDGER.violation("a launch of a shape that the kernels do not have");
        return CUDA_ERROR_INVALID_VALUE;
    }
    if modelled(&LEDGER) {
        return CUDA_SUCCESS;
    }
    let beyond = with(|state| unsafe {
        launch::run(state, context, kernel, parameters.cast::<*const c_void>(), (blocks, count))
    });
    if beyond > 0 {
        LEDGER.violation(format!("{} reached {beyond} times for memory that is none", launch::KERNELS[kernel]));
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    }
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuStreamCreate(stream: *mut CUstream, flags: c_uint) -> CUresult {
    let context = enter!("cuStreamCreate", current);
    if flags > 1 {
        return CUDA_ERROR_INVALID_VALUE;
    }
    unsafe { stream.write(pointer(STREAMS.insert(context))) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuStreamDestroy_v2(stream: CUstream) -> CUresult {
    give_back("cuStreamDestroy_v2", "a stream", || STREAMS.remove(number(stream)))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuStreamSynchronize(stream: CUstream) -> CUresult {
    let context = enter!("cuStreamSynchronize", current);
    if !self::stream(context, stream, "cuStreamSynchronize") {
        return CUDA_ERROR_INVALID_HANDLE;
    }
    waits(context, "cuStreamSynchronize");
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuStreamWaitEvent(stream: CUstream, event: Handle, flags: c_uint) -> CUresult {
    let context = enter!("cuStreamWaitEvent", current);
    if !self::stream(context, stream, "cuStreamWaitEvent") || !self::event(context, event, "cuStreamWaitEvent") {
        return CUDA_ERROR_INVALID_HANDLE;
    }
    if flags == 0 { CUDA_SUCCESS } else { CUDA_ERROR_INVALID_VALUE }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuEventCreate(event: *mut Handle, flags: c_uint) -> CUresult {
    let context = enter!("cuEventCreate", current);
    if flags > 3 {
        return CUDA_ERROR_INVALID_VALUE;
    }
    unsafe { event.write(pointer(EVENTS.insert(Event { context, recorded: None }))) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuEventDestroy_v2(event: Handle) -> CUresult {
    give_back("cuEventDestroy_v2", "an event", || EVENTS.remove(number(event)).map(|event| event.context))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuEventRecord(event: Handle, stream: CUstream) -> CUresult {
    let context = enter!("cuEventRecord", current);
    if !self::stream(context, stream, "cuEventRecord") || !self::event(context, event, "cuEventRecord") {
        return CUDA_ERROR_INVALID_HANDLE;
    }
    EVENTS.with(number(event), |event| event.recorded = Some(Instant::now()));
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuEventSynchronize(event: Handle) -> CUresult {
    let context = enter!("cuEventSynchronize", current);
    waits(context, "cuEventSynchronize");
    if self::event(context, event, "cuEventSynchronize") { CUDA_SUCCESS } else { CUDA_ERROR_INVALID_HANDLE }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuEventQuery(event: Handle) -> CUresult {
    let context = enter!("cuEventQuery", current);
    if self::event(context, event, "cuEventQuery") { CUDA_SUCCESS } else { CUDA_ERROR_INVALID_HANDLE }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, from: Handle, to: Handle) -> CUresult {
    let context = enter!("cuEventElapsedTime", current);
    let recorded = |event: Handle| {
        let known = self::event(context, event, "cuEventElapsedTime");
        known.then(|| EVENTS.with(number(event), |event| event.recorded)).flatten().flatten()
    };
    let (Some(from), Some(to)) = (recorded(from), recorded(to)) else { return CUDA_ERROR_INVALID_HANDLE };
    let elapsed = to.saturating_duration_since(from).as_secs_f32();
    unsafe { milliseconds.write(elapsed * 1000.0) };
    CUDA_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::*;
    use crate::copies::cuMemcpyHtoDAsync_v2;

    /// A pair of planes of 64 by 4 samples as `kernels/cu/compare.h` has it, first of the 64 that a launch can name.
    fn pairs(first: u64, second: u64, sums: u64) -> Vec<u64> {
        let halves = |low: u64, high: u64| low | high << 32;
        let pair = [first, second, halves(64, 64), halves(1, 1), halves(64, 4), sums];
        pair.into_iter().chain(std::iter::repeat_n(0, 63 * 6)).collect()
    }

    fn report() -> String {
        LEDGER.report(&crate::live())
    }

    /// A process of its own, which is this very program, reads device memory.
    #[test]
    fn the_host_dies_when_it_touches_device_memory() {
        use std::os::unix::process::ExitStatusExt;
        if std::env::var_os("DOUBLE_TOUCHES").is_some() {
            let (mut context, mut address) = (None, 0);
            unsafe {
                cuInit(0);
                cuDevicePrimaryCtxRetain(&mut context, 0);
                cuCtxSetCurrent(context);
                assert_eq!(cuMemAlloc_v2(&mut address, 256), CUDA_SUCCESS);
                println!("touching");
                let at = std::ptr::with_exposed_provenance::<u8>(address as usize);
                println!("read {}", at.read_volatile());
            }
            return;
        }
        let test = "work::tests::the_host_dies_when_it_touches_device_memory";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", test, "--nocapture"]).env("DOUBLE_TOUCHES", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("touching") && !said.contains("read "), "{said}");
        // SIGSEGV.
        assert_eq!(output.status.signal(), Some(11));
    }

    /// The one test here that uses the library in this process: what it keeps is the process's.
    #[test]
    fn strict_about_memory_and_handles() {
        let (mut context, mut a, mut b, mut sums) = (None, 0, 0, 0);
        let (mut module, mut function, mut stream) = (None, None, None);
        unsafe {
            assert_eq!(cuInit(0), CUDA_SUCCESS);
            assert_eq!(cuStreamCreate(&mut stream, 0), CUDA_ERROR_INVALID_CONTEXT);
            assert_eq!(cuDevicePrimaryCtxRetain(&mut context, 0), CUDA_SUCCESS);
            assert_eq!(cuCtxSetCurrent(context), CUDA_SUCCESS);
            assert_eq!(cuStreamCreate(&mut stream, 1), CUDA_SUCCESS);
            for to in [&mut a, &mut b, &mut sums] {
                assert_eq!(cuMemAlloc_v2(to, 256), CUDA_SUCCESS);
            }
            let samples = [0u8, 3].map(|value| [value; 256]);
            for (to, from) in [a, b].into_iter().zip(&samples) {
                assert_eq!(cuMemcpyHtoDAsync_v2(to, from.as_ptr().cast(), 256, stream), CUDA_SUCCESS);
                assert_eq!(cuMemcpyHtoDAsync_v2(to + 1, from.as_ptr().cast(), 256, stream), CUDA_ERROR_ILLEGAL_ADDRESS);
            }
            assert_eq!(cuModuleLoadData(&mut module, c".version 6.0".as_ptr().cast()), CUDA_ERROR_INVALID_PTX);
            let text = std::ffi::CString::new(launch::PTX).unwrap();
            assert_eq!(cuModuleLoadData(&mut module, text.as_ptr().cast()), CUDA_SUCCESS);
            assert_eq!(cuModuleGetFunction(&mut function, module, c"none".as_ptr()), CUDA_ERROR_NOT_FOUND);
            assert_eq!(cuModuleGetFunction(&mut function, module, c"error_tiles".as_ptr()), CUDA_SUCCESS);
            let launch = |pairs: &mut [u64], threads| {
                let mut side = 64;
                let mut parameters = [pairs.as_mut_ptr().cast(), (&raw mut side).cast::<c_void>()];
                let at = parameters.as_mut_ptr();
                cuLaunchKernel(function, 1, 1, 1, threads, 1, 1, 0, stream, at, std::ptr::null_mut())
            };
            assert_eq!(launch(&mut pairs(a, b, sums), 256), CUDA_SUCCESS);
            let mut sum = [0u64; 1];
            assert_eq!(crate::copies::cuMemcpyDtoHAsync_v2(sum.as_mut_ptr().cast(), sums, 8, None), CUDA_SUCCESS);
            assert_eq!(sum, [9 * 256]);
            assert_eq!(launch(&mut pairs(a, b, sums), 128), CUDA_ERROR_INVALID_VALUE);
            // One row too far, and memory that is the host's.
            assert_eq!(launch(&mut pairs(a, b + 64, sums), 256), CUDA_ERROR_ILLEGAL_ADDRESS);
            let mut own = [0u64; 4];
            assert_eq!(
                launch(&mut pairs(a, b, (&raw mut own).expose_provenance() as u64), 256),
                CUDA_ERROR_ILLEGAL_ADDRESS
            );
            assert_eq!(own, [0; 4]);
            assert_eq!(cuStreamSynchronize(module), CUDA_ERROR_INVALID_HANDLE);
            // The first wait is one that spins.
            assert_eq!(cuStreamSynchronize(stream), CUDA_SUCCESS);
            assert_eq!(cuDevicePrimaryCtxSetFlags_v2(0, CU_CTX_SCHED_BLOCKING_SYNC), CUDA_SUCCESS);
            assert_eq!(cuStreamSynchronize(stream), CUDA_SUCCESS);
            // What FFmpeg does besides is wrong unless it is said to be the client.
            let copy = |rows, offset| {
                let it = CUDA_MEMCPY2D {
                    srcMemoryType: CU_MEMORYTYPE_DEVICE,
                    srcDevice: a,
                    srcPitch: 16,
                    dstMemoryType: CU_MEMORYTYPE_DEVICE,
                    dstDevice: b,
                    dstXInBytes: offset,
                    dstPitch: 16,
                    WidthInBytes: 8,
                    Height: rows,
                    ..Default::default()
                };
                crate::copies::cuMemcpy2D_v2(&it)
            };
            assert_eq!([copy(0, 0), copy(4, 8)], [CUDA_ERROR_INVALID_VALUE; 2]);
            LEDGER.set("client", "ffmpeg");
            assert_eq!([copy(0, 0), copy(4, 8)], [CUDA_SUCCESS; 2]);
            LEDGER.set("client", "");
            assert_eq!(copy(4, 0), CUDA_SUCCESS);
        }
        assert!(report().starts_with("live 3 memory\nlive 1 context\nlive 1 module\nlive 1 stream\n"), "{}", report());
        let seen = report().lines().filter(|line| line.starts_with("violation")).count();
        assert_eq!(seen, 10 + 2, "{}", report());
        unsafe {
            assert_eq!([a, b, sums].map(|address| cuMemFree_v2(address)), [CUDA_SUCCESS; 3]);
            assert_eq!((cuModuleUnload(module), cuStreamDestroy_v2(stream)), (CUDA_SUCCESS, CUDA_SUCCESS));
            assert_eq!(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
            assert_eq!(cuStreamDestroy_v2(stream), CUDA_ERROR_INVALID_HANDLE);
        }
        assert!(!report().contains("live"), "{}", report());
    }
}
