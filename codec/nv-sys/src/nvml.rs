//! `libnvidia-ml.so.1`: health and load of a card. Everything here is advice: a rig works without it.
#![allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals, reason = "as in NVIDIA's header")]

use std::ffi::{c_char, c_uint, c_void};
use std::ptr::NonNull;

use crate::shape::{functions, integer, structure};

pub type nvmlDevice_t = Option<NonNull<c_void>>;

integer! {
    nvmlReturn_t(u32) {
        NVML_SUCCESS = 0,
        NVML_ERROR_UNINITIALIZED = 1,
        NVML_ERROR_INVALID_ARGUMENT = 2,
        NVML_ERROR_NOT_SUPPORTED = 3,
        NVML_ERROR_NO_PERMISSION = 4,
        NVML_ERROR_NOT_FOUND = 6,
        NVML_ERROR_DRIVER_NOT_LOADED = 9,
        NVML_ERROR_GPU_IS_LOST = 15,
        NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18,
        NVML_ERROR_UNKNOWN = 999,
    }
}

structure! {
    nvmlMemory_t {
        total: u64,
        free: u64,
        used: u64,
    }
}

structure! {
    nvmlUtilization_t {
        gpu: u32,
        memory: u32,
    }
}

/// `NVML_TEMPERATURE_GPU`
pub const NVML_TEMPERATURE_GPU: u32 = 0;

// What slows a card's clocks down, in bits. CUDA 12.2 gave some of them other names, not all.
pub const nvmlClocksEventReasonSwPowerCap: u64 = 0x4;
/// By half or more: one of the two below, or more draw than the chip allows. Old drivers tell no more than this.
pub const nvmlClocksThrottleReasonHwSlowdown: u64 = 0x8;
pub const nvmlClocksEventReasonSwThermalSlowdown: u64 = 0x20;
pub const nvmlClocksThrottleReasonHwThermalSlowdown: u64 = 0x40;
/// The power supply asks for it.
pub const nvmlClocksThrottleReasonHwPowerBrakeSlowdown: u64 = 0x80;

functions! {
    /// The functions that are used here.
    Nvml in "libnvidia-ml.so.1" {
        fn nvmlInit_v2() -> nvmlReturn_t;
        fn nvmlShutdown() -> nvmlReturn_t;
        fn nvmlSystemGetDriverVersion(version: *mut c_char, len: c_uint) -> nvmlReturn_t;
        fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut nvmlDevice_t) -> nvmlReturn_t;
        fn nvmlDeviceGetMemoryInfo(device: nvmlDevice_t, memory: *mut nvmlMemory_t) -> nvmlReturn_t;
        fn nvmlDeviceGetUtilizationRates(device: nvmlDevice_t, rates: *mut nvmlUtilization_t) -> nvmlReturn_t;
        fn nvmlDeviceGetEncoderUtilization(device: nvmlDevice_t, percent: *mut c_uint, period_us: *mut c_uint) -> nvmlReturn_t;
        fn nvmlDeviceGetDecoderUtilization(device: nvmlDevice_t, percent: *mut c_uint, period_us: *mut c_uint) -> nvmlReturn_t;
        fn nvmlDeviceGetTemperature(device: nvmlDevice_t, sensor: c_uint, celsius: *mut c_uint) -> nvmlReturn_t;
        fn nvmlDeviceGetPowerUsage(device: nvmlDevice_t, milliwatts: *mut c_uint) -> nvmlReturn_t;
        fn nvmlDeviceGetEncoderStats(
            device: nvmlDevice_t,
            sessions: *mut c_uint,
            average_fps: *mut c_uint,
            average_latency_us: *mut c_uint
        ) -> nvmlReturn_t;
    }
}

/// The bits above by their newer name. Apart from [`Nvml`], because a driver may lack either name and have all else.
pub mod event_reasons {
    use super::{nvmlDevice_t, nvmlReturn_t};
    use crate::shape::functions;

    functions! {
        /// Of drivers since 535.
        EventReasons in "libnvidia-ml.so.1" {
            fn nvmlDeviceGetCurrentClocksEventReasons(device: nvmlDevice_t, reasons: *mut u64) -> nvmlReturn_t;
        }
    }
}

/// The same by their older name.
pub mod throttle_reasons {
    use super::{nvmlDevice_t, nvmlReturn_t};
    use crate::shape::functions;

    functions! {
        /// Of drivers before, and of those after as long as they keep it.
        ThrottleReasons in "libnvidia-ml.so.1" {
            fn nvmlDeviceGetCurrentClocksThrottleReasons(device: nvmlDevice_t, reasons: *mut u64) -> nvmlReturn_t;
        }
    }
}
