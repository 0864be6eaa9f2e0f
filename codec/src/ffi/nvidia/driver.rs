//! The driver of this machine: which of its libraries are there, what they speak, which cards there are and what those
//! can do. Nothing here needs a card; without one it says so.

use std::ffi::{CStr, c_char, c_int};
use std::sync::Arc;

use headframe_kernels::cuda::Uuid;
use headframe_nv_sys::cuda::{self, CUDA_SUCCESS, CUdevice, CUresult, Cuda};
use headframe_nv_sys::cuvid::{self, CUVIDDECODECAPS, Cuvid};
use headframe_nv_sys::{Api, Reserved, Source};
use serde::{Serialize, Serializer};

use super::device::Device;
use super::failure::NvidiaError;
use super::health;
use super::session::Encoding;
use super::stream::VideoCodec;
use crate::ladder::Codec;

/// A card as the driver lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// The driver's own number; may be another after a reboot.
    pub ordinal: u32,
    /// What it is known by: the same in every process and after every reboot, to the kernels and to NVML too.
    #[serde(serialize_with = "as_text")]
    pub uuid: Uuid,
    /// PCI address, `domain:bus:device.function`.
    pub pci: String,
    /// Name of the product.
    pub name: String,
    /// Compute capability, major and minor.
    pub compute: (u32, u32),
    /// Memory.
    pub memory_bytes: u64,
}

/// A card that the driver counts and does not describe: off the bus, or broken otherwise. The others work all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokenDevice {
    /// The driver's own number.
    pub ordinal: u32,
    /// What it is known by, where the driver still tells.
    pub uuid: Option<String>,
    /// What failed.
    pub reason: String,
}

/// A card, as far as the driver knows it.
struct Found {
    ordinal: u32,
    uuid: Result<Uuid, NvidiaError>,
    described: Result<(CUdevice, DeviceInfo), NvidiaError>,
}

fn as_text<S: Serializer>(uuid: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(uuid)
}

/// What a card decodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decodes {
    /// The codec, 4:2:0.
    pub codec: VideoCodec,
    /// Bits of a sample.
    pub bit_depth: u8,
    /// Smallest pictures, width and height.
    pub min: (u32, u32),
    /// Largest pictures, width and height.
    pub max: (u32, u32),
    /// Most blocks of 16 by 16 samples of a picture.
    pub macroblocks: u32,
    /// Decoders on the chip that can do it.
    pub engines: u8,
}

/// What a card encodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Encodes {
    /// The codec.
    pub codec: Codec,
    /// Smallest pictures, width and height.
    pub min: (u32, u32),
    /// Largest pictures, width and height.
    pub max: (u32, u32),
    /// Encoders on the chip.
    pub engines: u32,
    /// Whether samples may have 10 bits.
    pub ten_bit: bool,
    /// Whether a session can go on with pictures of another size.
    pub new_size: bool,
    /// Whether a session can go on with another bit rate.
    pub new_bitrate: bool,
    /// Whether it can look at pictures ahead.
    pub lookahead: bool,
}

/// A card with what it can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceCapabilities {
    /// Which card.
    #[serde(flatten)]
    pub info: DeviceInfo,
    /// What it decodes; empty if nothing.
    pub decodes: Vec<Decodes>,
    /// What it encodes; empty if nothing.
    pub encodes: Vec<Encodes>,
    /// Why not, where something could not be asked.
    pub problems: Vec<String>,
}

/// What this machine's driver and cards can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Version of the driver, as NVIDIA counts drivers.
    pub driver: Option<String>,
    /// Newest CUDA that the driver knows, major and minor.
    pub cuda: Option<(u32, u32)>,
    /// The NVENC API that is spoken with it, `12.0`.
    pub encode_api: Option<String>,
    /// The cards.
    pub devices: Vec<DeviceCapabilities>,
    /// Cards that cannot be used, nor even described.
    pub broken: Vec<BrokenDevice>,
    /// What is missing and why.
    pub problems: Vec<String>,
    /// Libraries that are test doubles: then all of this is said of no card.
    pub doubles: Vec<&'static str>,
}

impl Capabilities {
    /// Asks everything that can be asked. To learn what a card encodes, one session is opened on it and closed again.
    pub fn probe(source: &Source) -> Self {
        let mut found = Self { doubles: headframe_nv_sys::doubles(source), ..Self::default() };
        let driver = match Driver::open(source) {
            Ok(driver) => driver,
            Err(error) => {
                found.problems.push(error.to_string());
                return found;
            }
        };
        found.driver = driver.nvml.as_ref().and_then(health::driver_version);
        found.cuda = Some(driver.version);
        match &driver.encoding {
            Ok(encoding) => found.encode_api = Some(encoding.api.to_string()),
            Err(error) => found.problems.push(error.to_string()),
        }
        if let Err(error) = &driver.cuvid {
            found.problems.push(error.to_string());
        }
        let cards = driver.found().unwrap_or_else(|error| {
            found.problems.push(error.to_string());
            Vec::new()
        });
        for card in cards {
            match card.described {
                Ok((_, info)) => found.devices.push(driver.abilities(info)),
                Err(error) => found.broken.push(BrokenDevice {
                    ordinal: card.ordinal,
                    uuid: card.uuid.ok().map(|uuid| uuid.to_string()),
                    reason: error.to_string(),
                }),
            }
        }
        found
    }
}

/// The driver's libraries, those that are there.
pub struct Driver {
    pub(super) cuda: Cuda,
    pub(super) cuvid: Result<Cuvid, NvidiaError>,
    pub(super) encoding: Result<Encoding, NvidiaError>,
    pub(super) nvml: Option<health::Running>,
    version: (u32, u32),
}

impl Driver {
    /// Opens the libraries and starts CUDA. Only `libcuda` is needed for that: decoding, encoding and health fail later,
    /// each for itself, where their library is missing.
    pub fn open(source: &Source) -> Result<Arc<Self>, NvidiaError> {
        let cuda = Cuda::load(source)?;
        // SAFETY: no preconditions; the one flag word must be zero.
        check(&cuda, "cuInit", unsafe { (cuda.cuInit)(0) })?;
        let mut version: c_int = 0;
        // SAFETY: writes one integer.
        check(&cuda, "cuDriverGetVersion", unsafe { (cuda.cuDriverGetVersion)(&mut version) })?;
        let version = u32::try_from(version).unwrap_or(0);
        Ok(Arc::new(Self {
            cuvid: Cuvid::load(source).map_err(NvidiaError::from),
            encoding: Encoding::load(source),
            nvml: health::start(source),
            version: (version / 1000, version % 1000 / 10),
            cuda,
        }))
    }

    /// CUDA version, major and minor, that the driver knows.
    pub fn cuda_version(&self) -> (u32, u32) {
        self.version
    }

    /// The NVENC API that is spoken; the reason if none is.
    pub fn encode_api(&self) -> Result<Api, NvidiaError> {
        self.encoding.as_ref().map(|encoding| encoding.api).map_err(Clone::clone)
    }

    /// The cards, by the driver's own number. One that cannot be described is left out, and named in the log: it does not
    /// keep the others from being used.
    ///
    /// # Errors
    /// There are cards, and none can be described; or they cannot even be counted.
    pub fn devices(&self) -> Result<Vec<DeviceInfo>, NvidiaError> {
        let (mut described, mut failed) = (Vec::new(), None);
        for card in self.found()? {
            match card.described {
                Ok((_, info)) => described.push(info),
                Err(error) => {
                    tracing::warn!(ordinal = card.ordinal, reason = %error, "a card is left out: it cannot be described");
                    failed = failed.or(Some(error));
                }
            }
        }
        match failed {
            Some(error) if described.is_empty() => Err(error),
            _ => Ok(described),
        }
    }

    /// Every card that the driver counts.
    fn found(&self) -> Result<Vec<Found>, NvidiaError> {
        let mut count: c_int = 0;
        // SAFETY: writes one integer.
        self.check("cuDeviceGetCount", unsafe { (self.cuda.cuDeviceGetCount)(&mut count) })?;
        let card = |ordinal| {
            let handle = self.handle(ordinal);
            let uuid = handle.clone().and_then(|device| self.uuid(device));
            let described = handle.and_then(|device| {
                let info = self.describe(ordinal, device, uuid.clone()?)?;
                Ok((device, info))
            });
            Found { ordinal, uuid, described }
        };
        Ok((0..u32::try_from(count).unwrap_or(0)).map(card).collect())
    }

    fn handle(&self, ordinal: u32) -> Result<CUdevice, NvidiaError> {
        let mut device: CUdevice = 0;
        let number = c_int::try_from(ordinal).unwrap_or(c_int::MAX);
        // SAFETY: writes one integer; an ordinal that is not there is an error.
        self.check("cuDeviceGet", unsafe { (self.cuda.cuDeviceGet)(&mut device, number) })?;
        Ok(device)
    }

    fn uuid(&self, device: CUdevice) -> Result<Uuid, NvidiaError> {
        let mut uuid = cuda::CUuuid::default();
        // SAFETY: writes 16 bytes.
        self.check("cuDeviceGetUuid", unsafe { (self.cuda.cuDeviceGetUuid)(&mut uuid, device) })?;
        Ok(Uuid(uuid.bytes))
    }

    fn describe(&self, ordinal: u32, device: CUdevice, uuid: Uuid) -> Result<DeviceInfo, NvidiaError> {
        let name = self.text("cuDeviceGetName", |at, len| {
            // SAFETY: writes at most `len` bytes, which are there.
            unsafe { (self.cuda.cuDeviceGetName)(at, len, device) }
        })?;
        let pci = self.text("cuDeviceGetPCIBusId", |at, len| {
            // SAFETY: as above.
            unsafe { (self.cuda.cuDeviceGetPCIBusId)(at, len, device) }
        })?;
        let attribute = |which| {
            let mut value: c_int = 0;
            // SAFETY: writes one integer.
            let code = unsafe { (self.cuda.cuDeviceGetAttribute)(&mut value, which, device) };
            self.check("cuDeviceGetAttribute", code).map(|()| u32::try_from(value).unwrap_or(0))
        };
        let major = attribute(cuda::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(cuda::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let mut bytes = 0;
        // SAFETY: writes one integer.
        self.check("cuDeviceTotalMem_v2", unsafe { (self.cuda.cuDeviceTotalMem_v2)(&mut bytes, device) })?;
        Ok(DeviceInfo { ordinal, uuid, pci, name, compute: (major, minor), memory_bytes: bytes as u64 })
    }

    /// The card with this number of its own, and why not, if it is there and cannot be described. Where cards do not even
    /// tell their number, it may be one of them.
    pub(super) fn find(&self, uuid: Uuid) -> Result<(CUdevice, DeviceInfo), NvidiaError> {
        let mut nameless = None;
        for card in self.found()? {
            match card.uuid {
                Ok(of) if of == uuid => return card.described,
                Ok(_) => {}
                Err(error) => nameless = nameless.or(Some(error)),
            }
        }
        Err(nameless.unwrap_or_else(|| NvidiaError::NoDevice { which: uuid.to_string() }))
    }

    fn abilities(self: &Arc<Self>, info: DeviceInfo) -> DeviceCapabilities {
        let (mut decodes, mut encodes, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        match Device::open(self, info.uuid) {
            Ok(device) => {
                if self.cuvid.is_ok() {
                    match device.decodes() {
                        Ok(found) => decodes = found,
                        Err(error) => problems.push(error.to_string()),
                    }
                }
                if self.encoding.is_ok() {
                    match device.encodes() {
                        Ok(found) => encodes = found,
                        Err(error) => problems.push(error.to_string()),
                    }
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
        DeviceCapabilities { info, decodes, encodes, problems }
    }

    pub(super) fn check(&self, call: &'static str, code: CUresult) -> Result<(), NvidiaError> {
        check(&self.cuda, call, code)
    }

    /// The code that the driver has this name for; unknown if none.
    pub(super) fn code_of(&self, name: &str) -> CUresult {
        const MOST: u32 = 1000;
        let named = |code: &u32| matches!(self.check("", CUresult(*code)), Err(NvidiaError::Cuda { name: found, .. }) if found == name);
        (1..MOST).find(named).map_or(cuda::CUDA_ERROR_UNKNOWN, CUresult)
    }

    fn text(
        &self,
        call: &'static str,
        write: impl FnOnce(*mut c_char, c_int) -> CUresult,
    ) -> Result<String, NvidiaError> {
        const LEN: usize = 256;
        let mut text = Reserved::<c_char, LEN>::default();
        self.check(call, write(text.0.as_mut_ptr(), LEN as c_int))?;
        Ok(string(&text.0))
    }
}

/// A text that a driver wrote, up to its zero.
pub(super) fn string(text: &[c_char]) -> String {
    let bytes: Vec<u8> = text.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn check(cuda: &Cuda, call: &'static str, code: CUresult) -> Result<(), NvidiaError> {
    if code == CUDA_SUCCESS {
        return Ok(());
    }
    let mut name = std::ptr::null();
    // SAFETY: writes a pointer to a constant text of the driver, or leaves it null for a code that it does not know.
    let known = unsafe { (cuda.cuGetErrorName)(code, &mut name) } == CUDA_SUCCESS && !name.is_null();
    // SAFETY: the driver's constant, terminated text.
    let name = if known { unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned() } else { "unknown".into() };
    Err(NvidiaError::Cuda { call, code: code.0, name })
}

impl Device {
    /// What this card decodes: every codec in 8 and 10 bits, 4:2:0, that the driver says yes to.
    pub fn decodes(&self) -> Result<Vec<Decodes>, NvidiaError> {
        let mut all = Vec::new();
        for codec in VideoCodec::ALL {
            for bit_depth in [8, 10] {
                all.extend(self.decodes_codec(codec, bit_depth)?);
            }
        }
        Ok(all)
    }

    pub(super) fn decodes_codec(&self, codec: VideoCodec, bit_depth: u8) -> Result<Option<Decodes>, NvidiaError> {
        let cuvid = self.driver().cuvid.as_ref().map_err(Clone::clone)?;
        let mut caps = CUVIDDECODECAPS {
            eCodecType: codec.id(),
            eChromaFormat: cuvid::cudaVideoChromaFormat_420,
            nBitDepthMinus8: u32::from(bit_depth.saturating_sub(8)),
            ..Default::default()
        };
        let _current = self.current()?;
        // SAFETY: the structure is as the library has it; a context is current.
        self.driver().check("cuvidGetDecoderCaps", unsafe { (cuvid.cuvidGetDecoderCaps)(&mut caps) })?;
        Ok((caps.bIsSupported != 0).then(|| Decodes {
            codec,
            bit_depth,
            min: (caps.nMinWidth.into(), caps.nMinHeight.into()),
            max: (caps.nMaxWidth, caps.nMaxHeight),
            macroblocks: caps.nMaxMBCount,
            // Drivers before API 11.0 leave it zero.
            engines: caps.nNumNVDECs.max(1),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_driver_there_is_a_reason_and_no_card() {
        let folder = tempfile::tempdir().unwrap();
        let found = Capabilities::probe(&Source::Folder(folder.path().to_owned()));
        assert!(found.devices.is_empty() && found.encode_api.is_none());
        assert!(found.problems[0].starts_with("libcuda.so.1 cannot be opened"), "{:?}", found.problems);
    }
}
