//! Health and load of a card, from NVML. All of it is advice: what a driver does not tell is left out.

use std::ffi::{CString, c_char, c_uint};

use headframe_kernels::cuda::Uuid;
use headframe_nv_sys::nvml::event_reasons::EventReasons;
use headframe_nv_sys::nvml::throttle_reasons::ThrottleReasons;
use headframe_nv_sys::nvml::{
    NVML_SUCCESS, NVML_TEMPERATURE_GPU, Nvml, nvmlClocksEventReasonSwPowerCap, nvmlClocksEventReasonSwThermalSlowdown,
    nvmlClocksThrottleReasonHwPowerBrakeSlowdown, nvmlClocksThrottleReasonHwSlowdown,
    nvmlClocksThrottleReasonHwThermalSlowdown, nvmlDevice_t, nvmlMemory_t, nvmlReturn_t, nvmlUtilization_t,
};
use headframe_nv_sys::{Reserved, Source};
use serde::Serialize;

use super::driver::{Driver, string};

/// A card at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Memory in use, by all processes.
    pub memory_used_bytes: Option<u64>,
    /// Per cent of the time in which a kernel ran.
    pub busy_percent: Option<u32>,
    /// Per cent of the time in which an encoder was busy.
    pub encoder_percent: Option<u32>,
    /// Per cent of the time in which a decoder was busy.
    pub decoder_percent: Option<u32>,
    /// Encoder sessions on this card, of all processes.
    pub encoder_sessions: Option<u32>,
    /// Degrees Celsius.
    pub celsius: Option<u32>,
    /// Milliwatts.
    pub milliwatts: Option<u32>,
    /// What slows its clocks down.
    pub slowed: Option<Slowed>,
}

/// What slows a card's clocks down; several things may at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Slowed {
    /// Heat, of the chip or of its memory.
    pub thermal: bool,
    /// The power limit that is set for the card.
    pub power_cap: bool,
    /// The power supply asks for it.
    pub power_brake: bool,
    /// The chip itself, to half or less. Old drivers do not tell for which of the reasons.
    pub hardware: bool,
}

impl Slowed {
    fn of(bits: u64) -> Self {
        let any = |of: u64| bits & of != 0;
        Self {
            thermal: any(nvmlClocksEventReasonSwThermalSlowdown | nvmlClocksThrottleReasonHwThermalSlowdown),
            power_cap: any(nvmlClocksEventReasonSwPowerCap),
            power_brake: any(nvmlClocksThrottleReasonHwPowerBrakeSlowdown),
            hardware: any(nvmlClocksThrottleReasonHwSlowdown),
        }
    }
}

/// NVML, started.
pub(super) struct Running {
    nvml: Nvml,
    /// Tells what slows the clocks down, where the driver has it under one of its two names.
    reasons: Option<unsafe extern "C" fn(nvmlDevice_t, *mut u64) -> nvmlReturn_t>,
}

/// Opens and starts NVML, if it is there and willing.
pub(super) fn start(source: &Source) -> Option<Running> {
    let nvml = Nvml::load(source).ok()?;
    // SAFETY: no preconditions; calls are counted by the library, and ours is undone by the drop.
    if unsafe { (nvml.nvmlInit_v2)() } != NVML_SUCCESS {
        return None;
    }
    let newer = EventReasons::load(source).map(|it| it.nvmlDeviceGetCurrentClocksEventReasons).ok();
    let older = || ThrottleReasons::load(source).map(|it| it.nvmlDeviceGetCurrentClocksThrottleReasons).ok();
    Some(Running { nvml, reasons: newer.or_else(older) })
}

pub(super) fn driver_version(running: &Running) -> Option<String> {
    const LEN: usize = 96;
    let mut text = Reserved::<c_char, LEN>::default();
    // SAFETY: writes at most `LEN` bytes, which are there.
    let code = unsafe { (running.nvml.nvmlSystemGetDriverVersion)(text.0.as_mut_ptr(), LEN as c_uint) };
    (code == NVML_SUCCESS).then(|| string(&text.0))
}

impl Driver {
    /// How a card is doing. `None`: NVML is missing or does not know it (any more).
    pub fn health(&self, uuid: Uuid) -> Option<Health> {
        let Running { nvml, reasons } = self.nvml.as_ref()?;
        let name = CString::new(uuid.to_string()).ok()?;
        let mut device: nvmlDevice_t = None;
        // SAFETY: a terminated text, not kept; writes one handle, which the library owns.
        let code = unsafe { (nvml.nvmlDeviceGetHandleByUUID)(name.as_ptr(), &mut device) };
        if code != NVML_SUCCESS {
            return None;
        }
        let number = |get: &dyn Fn(&mut c_uint) -> nvmlReturn_t| {
            let mut value = 0;
            (get(&mut value) == NVML_SUCCESS).then_some(value)
        };
        let mut memory = nvmlMemory_t::default();
        // SAFETY: a live handle of this library; writes the structure.
        let has_memory = unsafe { (nvml.nvmlDeviceGetMemoryInfo)(device, &mut memory) } == NVML_SUCCESS;
        let mut rates = nvmlUtilization_t::default();
        // SAFETY: as above.
        let has_rates = unsafe { (nvml.nvmlDeviceGetUtilizationRates)(device, &mut rates) } == NVML_SUCCESS;
        let slowed = reasons.and_then(|get| {
            let mut bits = 0;
            // SAFETY: as above; writes one integer.
            let code = unsafe { get(device, &mut bits) };
            (code == NVML_SUCCESS).then(|| Slowed::of(bits))
        });
        Some(Health {
            memory_used_bytes: has_memory.then_some(memory.used),
            busy_percent: has_rates.then_some(rates.gpu),
            // SAFETY: a live handle; writes two integers.
            encoder_percent: number(&|to| unsafe { (nvml.nvmlDeviceGetEncoderUtilization)(device, to, &mut 0) }),
            // SAFETY: as above.
            decoder_percent: number(&|to| unsafe { (nvml.nvmlDeviceGetDecoderUtilization)(device, to, &mut 0) }),
            // SAFETY: a live handle; writes three integers.
            encoder_sessions: number(&|to| unsafe { (nvml.nvmlDeviceGetEncoderStats)(device, to, &mut 0, &mut 0) }),
            // SAFETY: a live handle; writes one integer.
            celsius: number(&|to| unsafe { (nvml.nvmlDeviceGetTemperature)(device, NVML_TEMPERATURE_GPU, to) }),
            // SAFETY: as above.
            milliwatts: number(&|to| unsafe { (nvml.nvmlDeviceGetPowerUsage)(device, to) }),
            slowed,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: undoes the one start of `start`; nothing of the library is held beyond a call.
        unsafe { (self.nvml.nvmlShutdown)() };
    }
}
