//! `libcuda.so.1`: devices, contexts, memory for pictures. `headframe-kernels` has a table of its own, of what kernels
//! need; both use a device's primary context, so addresses may be handed from one to the other.
#![allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals, reason = "as in NVIDIA's header")]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::NonNull;

use crate::shape::{functions, integer, structure};

pub type CUdevice = c_int;
pub type CUdeviceptr = u64;

/// A context, or none.
pub type CUcontext = Option<NonNull<c_void>>;
/// A stream; none is the default stream.
pub type CUstream = Option<NonNull<c_void>>;

integer! {
    CUresult(u32) {
        CUDA_SUCCESS = 0,
        CUDA_ERROR_INVALID_VALUE = 1,
        CUDA_ERROR_OUT_OF_MEMORY = 2,
        CUDA_ERROR_NOT_INITIALIZED = 3,
        CUDA_ERROR_NO_DEVICE = 100,
        CUDA_ERROR_INVALID_DEVICE = 101,
        CUDA_ERROR_INVALID_IMAGE = 200,
        CUDA_ERROR_INVALID_CONTEXT = 201,
        CUDA_ERROR_OPERATING_SYSTEM = 304,
        CUDA_ERROR_INVALID_HANDLE = 400,
        CUDA_ERROR_ILLEGAL_ADDRESS = 700,
        CUDA_ERROR_NOT_SUPPORTED = 801,
        CUDA_ERROR_UNKNOWN = 999,
    }
}

integer! {
    CUctx_flags(u32) {
        CU_CTX_SCHED_BLOCKING_SYNC = 4,
    }
}

integer! {
    CUdevice_attribute(u32) {
        CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
    }
}

integer! {
    CUmemorytype(u32) {
        CU_MEMORYTYPE_HOST = 1,
        CU_MEMORYTYPE_DEVICE = 2,
    }
}

structure! {
    CUuuid {
        bytes: [u8; 16],
    }
}

structure! {
    CUDA_MEMCPY2D {
        srcXInBytes: usize,
        srcY: usize,
        srcMemoryType: CUmemorytype,
        pad0: u32,
        srcHost: Option<NonNull<c_void>>,
        srcDevice: CUdeviceptr,
        srcArray: Option<NonNull<c_void>>,
        srcPitch: usize,
        dstXInBytes: usize,
        dstY: usize,
        dstMemoryType: CUmemorytype,
        pad1: u32,
        dstHost: Option<NonNull<c_void>>,
        dstDevice: CUdeviceptr,
        dstArray: Option<NonNull<c_void>>,
        dstPitch: usize,
        WidthInBytes: usize,
        Height: usize,
    }
}

functions! {
    /// The functions that are used here.
    Cuda in "libcuda.so.1" {
        fn cuInit(flags: c_uint) -> CUresult;
        fn cuDriverGetVersion(version: *mut c_int) -> CUresult;
        fn cuGetErrorName(error: CUresult, name: *mut *const c_char) -> CUresult;
        fn cuDeviceGetCount(count: *mut c_int) -> CUresult;
        fn cuDeviceGet(device: *mut CUdevice, ordinal: c_int) -> CUresult;
        fn cuDeviceGetName(name: *mut c_char, len: c_int, device: CUdevice) -> CUresult;
        fn cuDeviceGetUuid(uuid: *mut CUuuid, device: CUdevice) -> CUresult;
        fn cuDeviceGetPCIBusId(id: *mut c_char, len: c_int, device: CUdevice) -> CUresult;
        fn cuDeviceGetAttribute(value: *mut c_int, attribute: CUdevice_attribute, device: CUdevice) -> CUresult;
        fn cuDeviceTotalMem_v2(bytes: *mut usize, device: CUdevice) -> CUresult;
        fn cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice) -> CUresult;
        fn cuDevicePrimaryCtxSetFlags_v2(device: CUdevice, flags: CUctx_flags) -> CUresult;
        fn cuDevicePrimaryCtxRelease_v2(device: CUdevice) -> CUresult;
        fn cuCtxPushCurrent_v2(context: CUcontext) -> CUresult;
        fn cuCtxPopCurrent_v2(context: *mut CUcontext) -> CUresult;
        fn cuCtxGetCurrent(context: *mut CUcontext) -> CUresult;
        fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> CUresult;
        fn cuMemAllocPitch_v2(
            address: *mut CUdeviceptr,
            pitch: *mut usize,
            width: usize,
            height: usize,
            element: c_uint
        ) -> CUresult;
        fn cuMemFree_v2(address: CUdeviceptr) -> CUresult;
        fn cuMemGetAddressRange_v2(base: *mut CUdeviceptr, bytes: *mut usize, address: CUdeviceptr) -> CUresult;
        fn cuMemcpy2D_v2(copy: *const CUDA_MEMCPY2D) -> CUresult;
    }
}
