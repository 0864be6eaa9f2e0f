//! Functions that FFmpeg looks up when it opens the library, all of which must be there, and does not call for what this project
//! asks of it.
#![allow(unsafe_code, non_snake_case, reason = "a C interface")]

use headframe_nv_sys::cuda::{CUDA_ERROR_NOT_SUPPORTED, CUresult};

use crate::LEDGER;

headframe_double_ledger::looked_up! {
    LEDGER, CUresult, CUDA_ERROR_NOT_SUPPORTED;
    cuvidCreateVideoSource
    cuvidCreateVideoSourceW
    cuvidCtxLock
    cuvidCtxLockCreate
    cuvidCtxLockDestroy
    cuvidCtxUnlock
    cuvidDestroyVideoSource
    cuvidGetSourceAudioFormat
    cuvidGetSourceVideoFormat
    cuvidGetVideoSourceState
    cuvidReconfigureDecoder
    cuvidSetVideoSourceState
}
