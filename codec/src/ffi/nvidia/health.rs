//! Health and load of a card, from NVML. All of it is advice: what a driver does not tell is left out.

use std::ffi::{CString, c_char, c_uint};

use headframe_kernels::cuda::Uuid;
use headframe_nv_sys::nvml::{
    NVML_SUCCESS, NVML_TEMPERATURE_GPU, Nvml, nvmlDevice_t, nvmlMemory_t, nvmlReturn_t, nvmlUtilization_t,
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
}

/// Opens and starts NVML, if it is there and willing.
pub(super) fn start(source: &Source) -> Option<Nvml> {
    let nvml = Nvml::load(source).ok()?;
    // SAFETY: no preconditions; calls are counted by the library, and ours is undone by the driver's drop.
    (unsafe { (nvml.nvmlInit_v2)() } == NVML_SUCCESS).then_some(nvml)
}

pub(super) fn driver_version(nvml: &Nvml) -> Option<String> {
    const LEN: usize = 96;
    let mut text = Reserved::<c_char, LEN>::default();
    // SAFETY: writes at most `LEN` bytes, which are there.
    let code = unsafe { (nvml.nvmlSystemGetDriverVersion)(text.0.as_mut_ptr(), LEN as c_uint) };
    (code == NVML_SUCCESS).then(|| string(&text.0))
}

impl Driver {
    /// How a card is doing. `None`: NVML is missing or does not know it (any more).
    pub fn health(&self, uuid: Uuid) -> Option<Health> {
        let nvml = self.nvml.as_ref()?;
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
        })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(nvml) = &self.nvml {
            // SAFETY: undoes the one start of `start`; nothing of the library is held beyond a call.
            unsafe { (nvml.nvmlShutdown)() };
        }
    }
}
