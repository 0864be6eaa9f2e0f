//! A session of the encoder library: opened, asked what it can do, closed. What is made with it is [`super::encoder`]'s.

use std::ffi::CStr;
use std::sync::Arc;

use headframe_nv_sys::nvenc::{self, Handle, NV_ENC_CAPS, NV_ENC_CONFIG, NV_ENC_SUCCESS, NVENCSTATUS, Nvenc};
use headframe_nv_sys::version::Structure;
use headframe_nv_sys::{Api, LoadError, Source};

use super::device::Device;
use super::driver::{Driver, Encodes};
use super::failure::NvidiaError;
use super::settings::EncoderSettings;
use super::stream::guid;
use crate::ladder::Codec;

/// The encoder library: its API and functions.
pub(super) struct Encoding {
    pub(super) api: Api,
    pub(super) functions: Functions,
}

macro_rules! functions {
    ($($field:ident: $type:ident = $name:ident,)*) => {
        /// The functions that are used, all of them there.
        pub(super) struct Functions {
            $(pub(super) $field: nvenc::$type,)*
        }

        impl Functions {
            fn of(list: &nvenc::NV_ENCODE_API_FUNCTION_LIST) -> Result<Self, LoadError> {
                let missing = |function: &str| LoadError::Function { file: Nvenc::FILE.into(), function: function.into() };
                Ok(Self { $($field: list.$name.ok_or_else(|| missing(stringify!($name)))?,)* })
            }
        }
    };
}

functions! {
    open: OpenSessionEx = nvEncOpenEncodeSessionEx,
    guid_count: GetGuidCount = nvEncGetEncodeGUIDCount,
    guids: GetGuids = nvEncGetEncodeGUIDs,
    caps: GetCaps = nvEncGetEncodeCaps,
    preset: GetPresetConfigEx = nvEncGetEncodePresetConfigEx,
    initialize: InitializeEncoder = nvEncInitializeEncoder,
    reconfigure: Reconfigure = nvEncReconfigureEncoder,
    create_bitstream: CreateBitstream = nvEncCreateBitstreamBuffer,
    destroy_bitstream: GiveBack = nvEncDestroyBitstreamBuffer,
    register: Register = nvEncRegisterResource,
    unregister: GiveBack = nvEncUnregisterResource,
    map: Map = nvEncMapInputResource,
    unmap: GiveBack = nvEncUnmapInputResource,
    encode: Encode = nvEncEncodePicture,
    lock: Lock = nvEncLockBitstream,
    unlock: GiveBack = nvEncUnlockBitstream,
    destroy: Destroy = nvEncDestroyEncoder,
    last_error: LastError = nvEncGetLastErrorString,
}

impl Encoding {
    /// Opens the library and agrees on an API.
    pub(super) fn load(source: &Source) -> Result<Self, NvidiaError> {
        let library = Nvenc::load(source)?;
        let mut supported = 0;
        // SAFETY: writes one integer.
        let status = unsafe { (library.NvEncodeAPIGetMaxSupportedVersion)(&mut supported) };
        plain("NvEncodeAPIGetMaxSupportedVersion", status)?;
        let (major, minor) = (supported >> 4, supported & 0xf);
        let api = Api::negotiate(supported).ok_or(NvidiaError::TooOld { major, minor })?;
        let version = api.of(Structure::Functions);
        let mut list = nvenc::NV_ENCODE_API_FUNCTION_LIST { version, ..Default::default() };
        // SAFETY: the list has its full size and the version word of an API that the driver speaks.
        plain("NvEncodeAPICreateInstance", unsafe { (library.NvEncodeAPICreateInstance)(&mut list) })?;
        Ok(Self { api, functions: Functions::of(&list)? })
    }
}

/// A status of a call that has no session to ask for words.
fn plain(call: &'static str, status: NVENCSTATUS) -> Result<(), NvidiaError> {
    if status == NV_ENC_SUCCESS {
        return Ok(());
    }
    Err(NvidiaError::Nvenc { call, code: status.0, reason: name(status).into() })
}

/// What the statuses mean that a person may have to act on.
fn name(status: NVENCSTATUS) -> &'static str {
    match status {
        nvenc::NV_ENC_ERR_NO_ENCODE_DEVICE | nvenc::NV_ENC_ERR_UNSUPPORTED_DEVICE => "this card has no encoder",
        nvenc::NV_ENC_ERR_DEVICE_NOT_EXIST => "the card is gone",
        nvenc::NV_ENC_ERR_OUT_OF_MEMORY => "no memory, or no more sessions on this system",
        nvenc::NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY => "no more sessions on this system",
        nvenc::NV_ENC_ERR_ENCODER_BUSY | nvenc::NV_ENC_ERR_LOCK_BUSY => "the encoder is busy",
        nvenc::NV_ENC_ERR_UNSUPPORTED_PARAM => "this card or driver does not support it",
        nvenc::NV_ENC_ERR_INVALID_VERSION => "the driver does not know this version of the interface",
        _ => "failed",
    }
}

/// An open session of the driver; closed on drop.
pub(super) struct Session {
    pub(super) device: Arc<Device>,
    pub(super) handle: Handle,
}

// SAFETY: a session may be used from any thread, by one at a time, which `&mut` of its owner ensures.
unsafe impl Send for Session {}

impl Session {
    pub(super) fn open(device: &Arc<Device>) -> Result<Self, NvidiaError> {
        let encoding = encoding(device.driver())?;
        let mut parameters = nvenc::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS {
            version: encoding.api.of(Structure::Open),
            deviceType: nvenc::NV_ENC_DEVICE_TYPE_CUDA,
            device: Some(device.context()),
            apiVersion: encoding.api.word(),
            ..Default::default()
        };
        let _current = device.current()?;
        let mut handle = None;
        // SAFETY: the parameters are as this API has them; the context lives as long as the device, which the session holds.
        let status = unsafe { (encoding.functions.open)(&mut parameters, &mut handle) };
        // A session that could not be opened may have to be closed all the same (nvEncodeAPI.h on this function).
        let session = Self { device: Arc::clone(device), handle };
        session.check("nvEncOpenEncodeSessionEx", status)?;
        if session.handle.is_none() {
            return Err(NvidiaError::Nonsense { call: "nvEncOpenEncodeSessionEx", what: "no session" });
        }
        Ok(session)
    }

    pub(super) fn encoding(&self) -> Result<&Encoding, NvidiaError> {
        encoding(self.device.driver())
    }

    pub(super) fn check(&self, call: &'static str, status: NVENCSTATUS) -> Result<(), NvidiaError> {
        if status == NV_ENC_SUCCESS {
            return Ok(());
        }
        let mut reason = String::new();
        if let (Ok(encoding), Some(_)) = (self.encoding(), self.handle) {
            // SAFETY: a live session; gives null or a terminated text of the driver's that stays until the next call.
            let text = unsafe { (encoding.functions.last_error)(self.handle) };
            if !text.is_null() {
                // SAFETY: see above; copied before anything else is called.
                reason = unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned();
            }
        }
        let plain = name(status);
        let reason = if reason.is_empty() { plain.to_owned() } else { format!("{plain}: {reason}") };
        Err(NvidiaError::Nvenc { call, code: status.0, reason })
    }

    fn capability(&self, codec: Codec, which: NV_ENC_CAPS) -> Result<u32, NvidiaError> {
        let encoding = self.encoding()?;
        let version = encoding.api.of(Structure::Caps);
        let mut query = nvenc::NV_ENC_CAPS_PARAM { version, capsToQuery: which, ..Default::default() };
        let mut value = 0;
        // SAFETY: a live session, a structure as this API has it; writes one integer.
        let status = unsafe { (encoding.functions.caps)(self.handle, guid(codec), &mut query, &mut value) };
        self.check("nvEncGetEncodeCaps", status)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    /// The codecs that this card encodes.
    fn codecs(&self) -> Result<Vec<Codec>, NvidiaError> {
        const MOST: u32 = 64;
        let encoding = self.encoding()?;
        let mut count = 0;
        // SAFETY: a live session; writes one integer.
        let status = unsafe { (encoding.functions.guid_count)(self.handle, &mut count) };
        self.check("nvEncGetEncodeGUIDCount", status)?;
        let mut guids = vec![nvenc::GUID::default(); count.min(MOST) as usize];
        let mut written = 0;
        // SAFETY: a live session; writes at most as many as there is room for.
        let status =
            unsafe { (encoding.functions.guids)(self.handle, guids.as_mut_ptr(), guids.len() as u32, &mut written) };
        self.check("nvEncGetEncodeGUIDs", status)?;
        guids.truncate(written as usize);
        Ok(Codec::ALL.into_iter().filter(|codec| guids.contains(&guid(*codec))).collect())
    }

    fn encodes(&self) -> Result<Vec<Encodes>, NvidiaError> {
        let of = |codec| {
            let get = |which| self.capability(codec, which);
            Ok(Encodes {
                codec,
                min: (get(nvenc::NV_ENC_CAPS_WIDTH_MIN)?, get(nvenc::NV_ENC_CAPS_HEIGHT_MIN)?),
                max: (get(nvenc::NV_ENC_CAPS_WIDTH_MAX)?, get(nvenc::NV_ENC_CAPS_HEIGHT_MAX)?),
                // A driver that does not count them has one.
                engines: get(nvenc::NV_ENC_CAPS_NUM_ENCODER_ENGINES).unwrap_or(0).max(1),
                ten_bit: get(nvenc::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE)? != 0,
                new_size: get(nvenc::NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE)? != 0,
                new_bitrate: get(nvenc::NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE)? != 0,
                lookahead: get(nvenc::NV_ENC_CAPS_SUPPORT_LOOKAHEAD)? != 0,
            })
        };
        self.codecs()?.into_iter().map(of).collect()
    }

    /// The preset's configuration with our changes.
    pub(super) fn config(&self, settings: &EncoderSettings) -> Result<NV_ENC_CONFIG, NvidiaError> {
        let encoding = self.encoding()?;
        let mut preset =
            nvenc::NV_ENC_PRESET_CONFIG { version: encoding.api.of(Structure::Preset), ..Default::default() };
        preset.presetCfg.version = encoding.api.of(Structure::Config);
        let (codec, which, tuning) = (guid(settings.codec), settings.preset_guid(), settings.tuning_info());
        // SAFETY: a live session, structures as this API has them.
        let status = unsafe { (encoding.functions.preset)(self.handle, codec, which, tuning, &mut preset) };
        self.check("nvEncGetEncodePresetConfigEx", status)?;
        let mut config = preset.presetCfg;
        settings.configure(encoding.api, &mut config);
        Ok(config)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (Ok(encoding), Some(_)) = (self.encoding(), self.handle) else { return };
        let _current = self.device.current();
        // SAFETY: a live session whose buffers and registrations its owner has given back; closed once.
        unsafe { (encoding.functions.destroy)(self.handle) };
    }
}

pub(super) fn encoding(driver: &Driver) -> Result<&Encoding, NvidiaError> {
    driver.encoding.as_ref().map_err(Clone::clone)
}

impl Device {
    /// What this card encodes. Opens a session and closes it again.
    pub fn encodes(self: &Arc<Self>) -> Result<Vec<Encodes>, NvidiaError> {
        let session = Session::open(self)?;
        let _current = self.current()?;
        session.encodes()
    }

    /// How many sessions the system has to give at this moment, up to `most`: opens them and closes them again. Other
    /// programs that want one meanwhile get none.
    pub fn free_sessions(self: &Arc<Self>, most: usize) -> Result<usize, NvidiaError> {
        let mut open = Vec::new();
        while open.len() < most {
            match Session::open(self) {
                Ok(session) => open.push(session),
                Err(error) if error.no_more_sessions() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(open.len())
    }
}
