//! The driver's functions, found at run time.
//!
//! Not cudarc's own wrappers: they panic where a function is missing, and take the driver's codes for a Rust enum, which a
//! newer driver's code would make undefined. Here every function is looked up once, before the first call, and codes are
//! numbers. Types are cudarc's, and so is the search for a library that does not have its usual name.

use std::ffi::{c_char, c_uint, c_void};
use std::sync::OnceLock;

use super::error::CudaError;
use cudarc::driver::sys;
use libloading::Library;

macro_rules! functions {
    ($($name:ident = $symbol:literal ($($argument:ty),*);)*) => {
        /// Functions of libcuda; each returns 0 or an error's number.
        pub(super) struct Driver {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> u32,)*
        }

        impl Driver {
            fn find() -> Result<Self, CudaError> {
                let library = library()?;
                Ok(Self {
                    $($name: {
                        // SAFETY: the type is that of NVIDIA's `cuda.h` for this symbol, with its result and its
                        // enumerations as the numbers that they are in C.
                        let found = unsafe { library.get::<unsafe extern "C" fn($($argument),*) -> u32>($symbol) };
                        *found.map_err(|_| CudaError::DriverTooOld { missing: $symbol })?
                    },)*
                })
            }
        }
    };
}

functions! {
    init = "cuInit" (c_uint);
    version = "cuDriverGetVersion" (*mut i32);
    error_name = "cuGetErrorName" (u32, *mut *const c_char);
    device_count = "cuDeviceGetCount" (*mut i32);
    device = "cuDeviceGet" (*mut sys::CUdevice, i32);
    device_name = "cuDeviceGetName" (*mut c_char, i32, sys::CUdevice);
    device_uuid = "cuDeviceGetUuid" (*mut [u8; 16], sys::CUdevice);
    device_attribute = "cuDeviceGetAttribute" (*mut i32, u32, sys::CUdevice);
    device_memory = "cuDeviceTotalMem_v2" (*mut usize, sys::CUdevice);
    context_retain = "cuDevicePrimaryCtxRetain" (*mut sys::CUcontext, sys::CUdevice);
    context_release = "cuDevicePrimaryCtxRelease_v2" (sys::CUdevice);
    context_set = "cuCtxSetCurrent" (sys::CUcontext);
    context_wait = "cuCtxSynchronize" ();
    memory_info = "cuMemGetInfo_v2" (*mut usize, *mut usize);
    alloc = "cuMemAlloc_v2" (*mut u64, usize);
    free = "cuMemFree_v2" (u64);
    upload = "cuMemcpyHtoDAsync_v2" (u64, *const c_void, usize, sys::CUstream);
    download = "cuMemcpyDtoHAsync_v2" (*mut c_void, u64, usize, sys::CUstream);
    copy_rows = "cuMemcpy2DAsync_v2" (*const sys::CUDA_MEMCPY2D, sys::CUstream);
    fill_rows = "cuMemsetD2D8Async" (u64, usize, u8, usize, usize, sys::CUstream);
    module_load = "cuModuleLoadData" (*mut sys::CUmodule, *const c_void);
    module_unload = "cuModuleUnload" (sys::CUmodule);
    module_function = "cuModuleGetFunction" (*mut sys::CUfunction, sys::CUmodule, *const c_char);
    function_attribute = "cuFuncGetAttribute" (*mut i32, u32, sys::CUfunction);
    launch = "cuLaunchKernel" (
        sys::CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, sys::CUstream, *mut *mut c_void,
        *mut *mut c_void
    );
    stream_create = "cuStreamCreate" (*mut sys::CUstream, c_uint);
    stream_destroy = "cuStreamDestroy_v2" (sys::CUstream);
    stream_finish = "cuStreamSynchronize" (sys::CUstream);
    stream_wait = "cuStreamWaitEvent" (sys::CUstream, sys::CUevent, c_uint);
    event_create = "cuEventCreate" (*mut sys::CUevent, c_uint);
    event_destroy = "cuEventDestroy_v2" (sys::CUevent);
    event_record = "cuEventRecord" (sys::CUevent, sys::CUstream);
    event_finish = "cuEventSynchronize" (sys::CUevent);
    event_query = "cuEventQuery" (sys::CUevent);
    event_elapsed = "cuEventElapsedTime" (*mut f32, sys::CUevent, sys::CUevent);
}

/// The library; it stays open. By the name that the driver itself gives it first: whatever the process has open under that
/// name is taken then, so that all of it works with one driver. cudarc comes to this name last.
fn library() -> Result<&'static Library, CudaError> {
    static OPENED: OnceLock<Option<Library>> = OnceLock::new();
    // SAFETY: opens the library, whose initialisers the vendor made to run in any process.
    let open = || unsafe { Library::new("libcuda.so.1") }.ok();
    if let Some(library) = OPENED.get_or_init(open) {
        return Ok(library);
    }
    // SAFETY: as above, and closes it.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NotInstalled);
    }
    // SAFETY: as above; it is there, so this does not panic, and it stays open from now on.
    Ok(unsafe { sys::culib() })
}

/// The driver, found once.
pub(super) fn driver() -> Result<&'static Driver, CudaError> {
    static DRIVER: OnceLock<Result<Driver, CudaError>> = OnceLock::new();
    DRIVER.get_or_init(Driver::find).as_ref().map_err(Clone::clone)
}

/// 0, or the error of this call.
pub(super) fn check(call: &'static str, code: u32) -> Result<(), CudaError> {
    if code == 0 { Ok(()) } else { Err(CudaError::Driver { call, code }) }
}
