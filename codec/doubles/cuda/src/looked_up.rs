//! Functions that FFmpeg looks up when it opens the library, all of which must be there, and does not call for what this project
//! asks of it.
#![allow(unsafe_code, non_snake_case, reason = "a C interface")]

use headframe_nv_sys::cuda::{CUDA_ERROR_NOT_SUPPORTED, CUresult};

use crate::LEDGER;

headframe_double_ledger::looked_up! {
    LEDGER, CUresult, CUDA_ERROR_NOT_SUPPORTED;
    cuArray3DCreate_v2
    cuArrayDestroy
    cuCtxCreate_v2
    cuCtxDestroy_v2
    cuCtxGetDevice
    cuCtxSetLimit
    cuDeviceComputeCapability
    cuDevicePrimaryCtxGetState
    cuDevicePrimaryCtxRelease
    cuDevicePrimaryCtxReset
    cuDevicePrimaryCtxSetFlags
    cuGLGetDevices_v2
    cuGraphicsGLRegisterImage
    cuGraphicsMapResources
    cuGraphicsResourceGetMappedPointer_v2
    cuGraphicsSubResourceGetMappedArray
    cuGraphicsUnmapResources
    cuGraphicsUnregisterResource
    cuLinkAddData
    cuLinkComplete
    cuLinkCreate
    cuLinkDestroy
    cuMemAllocManaged
    cuMemcpy
    cuMemcpyAsync
    cuMemcpyDtoDAsync_v2
    cuMemcpyDtoD_v2
    cuMemcpyDtoH_v2
    cuMemcpyHtoD_v2
    cuMemsetD8Async
    cuModuleGetGlobal
    cuStreamAddCallback
    cuStreamQuery
    cuTexObjectCreate
    cuTexObjectDestroy
}
