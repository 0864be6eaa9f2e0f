//! The functions, as the driver exports them.
#![allow(unsafe_code, non_snake_case, reason = "a C interface; what callers owe is in NVIDIA's manual")]
// Every pointer below is the caller's, who owes what NVIDIA's manual of the function says: valid for what is written.
#![allow(clippy::undocumented_unsafe_blocks, reason = "said once above for all of them")]

use std::ffi::{CStr, c_char, c_uint};
use std::sync::atomic::Ordering;

use headframe_double_ledger::{number, pointer, same_types};
use headframe_nv_sys::nvml::*;

use crate::{LEDGER, STARTED};

headframe_double_ledger::export_control!(LEDGER, crate::live());

/// The one card's handle.
const CARD: u64 = 0xCA4D;

same_types!(nvmlInit_v2, nvmlShutdown, nvmlSystemGetDriverVersion, nvmlDeviceGetHandleByUUID, nvmlDeviceGetMemoryInfo);
same_types!(nvmlDeviceGetUtilizationRates, nvmlDeviceGetEncoderUtilization, nvmlDeviceGetDecoderUtilization);
same_types!(nvmlDeviceGetTemperature, nvmlDeviceGetPowerUsage, nvmlDeviceGetEncoderStats);
const _: event_reasons::types::nvmlDeviceGetCurrentClocksEventReasons = nvmlDeviceGetCurrentClocksEventReasons;
const _: throttle_reasons::types::nvmlDeviceGetCurrentClocksThrottleReasons = nvmlDeviceGetCurrentClocksThrottleReasons;

/// Begins a function that needs the library started, and the card if it is given.
fn enter(function: &'static str, device: Option<nvmlDevice_t>) -> Result<(), nvmlReturn_t> {
    LEDGER.enter(function).map_err(nvmlReturn_t)?;
    if STARTED.load(Ordering::Relaxed) == 0 {
        LEDGER.violation(format!("{function} before nvmlInit_v2"));
        return Err(NVML_ERROR_UNINITIALIZED);
    }
    match device {
        Some(device) if number(device) != CARD => Err(NVML_ERROR_INVALID_ARGUMENT),
        _ => Ok(()),
    }
}

/// A function that tells one number of the card.
unsafe fn tell(function: &'static str, device: nvmlDevice_t, to: *mut c_uint, value: c_uint) -> nvmlReturn_t {
    match enter(function, Some(device)) {
        Ok(()) => unsafe { to.write(value) },
        Err(code) => return code,
    }
    NVML_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    if let Err(code) = LEDGER.enter("nvmlInit_v2") {
        return nvmlReturn_t(code);
    }
    STARTED.fetch_add(1, Ordering::Relaxed);
    NVML_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    if let Err(code) = enter("nvmlShutdown", None) {
        return code;
    }
    STARTED.fetch_sub(1, Ordering::Relaxed);
    NVML_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, len: c_uint) -> nvmlReturn_t {
    let text = c"535.0 (double)";
    match enter("nvmlSystemGetDriverVersion", None) {
        Err(code) => return code,
        Ok(()) if (len as usize) < text.count_bytes() + 1 => return NVML_ERROR_INVALID_ARGUMENT,
        Ok(()) => unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), version, text.count_bytes() + 1) },
    }
    NVML_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetHandleByUUID(
    uuid: *const c_char,
    device: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    if let Err(code) = enter("nvmlDeviceGetHandleByUUID", None) {
        return code;
    }
    // The first of the cards of the CUDA double.
    let known = c"GPU-68656164-6672-616d-652d-646f75626c00";
    if unsafe { CStr::from_ptr(uuid) } != known {
        return NVML_ERROR_NOT_FOUND;
    }
    unsafe { device.write(pointer(CARD)) };
    NVML_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMemoryInfo(
    device: nvmlDevice_t,
    memory: *mut nvmlMemory_t,
) -> nvmlReturn_t {
    if let Err(code) = enter("nvmlDeviceGetMemoryInfo", Some(device)) {
        return code;
    }
    unsafe { memory.write(nvmlMemory_t { total: 8 << 30, free: 7 << 30, used: 1 << 30 }) };
    NVML_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: nvmlDevice_t,
    rates: *mut nvmlUtilization_t,
) -> nvmlReturn_t {
    if let Err(code) = enter("nvmlDeviceGetUtilizationRates", Some(device)) {
        return code;
    }
    unsafe { rates.write(nvmlUtilization_t { gpu: 3, memory: 1 }) };
    NVML_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetEncoderUtilization(
    device: nvmlDevice_t,
    percent: *mut c_uint,
    period_us: *mut c_uint,
) -> nvmlReturn_t {
    unsafe { period_us.write(100_000) };
    unsafe { tell("nvmlDeviceGetEncoderUtilization", device, percent, 11) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetDecoderUtilization(
    device: nvmlDevice_t,
    percent: *mut c_uint,
    period_us: *mut c_uint,
) -> nvmlReturn_t {
    unsafe { period_us.write(100_000) };
    unsafe { tell("nvmlDeviceGetDecoderUtilization", device, percent, 22) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetTemperature(
    device: nvmlDevice_t,
    sensor: c_uint,
    celsius: *mut c_uint,
) -> nvmlReturn_t {
    if sensor != NVML_TEMPERATURE_GPU {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    unsafe { tell("nvmlDeviceGetTemperature", device, celsius, LEDGER.number("temperature", 44) as c_uint) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetPowerUsage(device: nvmlDevice_t, milliwatts: *mut c_uint) -> nvmlReturn_t {
    unsafe { tell("nvmlDeviceGetPowerUsage", device, milliwatts, LEDGER.number("watts", 12) as c_uint * 1000) }
}

/// What slows the clocks down, by either of its names.
unsafe fn slowed(function: &'static str, device: nvmlDevice_t, reasons: *mut u64) -> nvmlReturn_t {
    match enter(function, Some(device)) {
        Ok(()) => unsafe { reasons.write(LEDGER.number("throttle", 0)) },
        Err(code) => return code,
    }
    NVML_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetCurrentClocksEventReasons(
    device: nvmlDevice_t,
    reasons: *mut u64,
) -> nvmlReturn_t {
    unsafe { slowed("nvmlDeviceGetCurrentClocksEventReasons", device, reasons) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(
    device: nvmlDevice_t,
    reasons: *mut u64,
) -> nvmlReturn_t {
    unsafe { slowed("nvmlDeviceGetCurrentClocksThrottleReasons", device, reasons) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetEncoderStats(
    device: nvmlDevice_t,
    sessions: *mut c_uint,
    average_fps: *mut c_uint,
    average_latency_us: *mut c_uint,
) -> nvmlReturn_t {
    unsafe { average_fps.write(0) };
    unsafe { average_latency_us.write(0) };
    unsafe { tell("nvmlDeviceGetEncoderStats", device, sessions, LEDGER.number("sessions", 0) as c_uint) }
}
