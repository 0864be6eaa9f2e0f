//! The functions, as the driver exports them or puts them into its list.
#![allow(unsafe_code, non_snake_case, reason = "a C interface; what callers owe is in nvEncodeAPI.h")]
// A pointer below is the caller's, who owes what the header says: valid for what is read and written. Where there is more
// to it, a comment says so.
#![allow(clippy::undocumented_unsafe_blocks, reason = "said once above for all that only follow the caller's pointers")]

use std::ffi::{c_char, c_int};

use headframe_double_ledger::{number, pointer, same_types, wait_until};
use headframe_nv_sys::Api;
use headframe_nv_sys::cuda::CUstream;
use headframe_nv_sys::nvenc::*;
use headframe_nv_sys::version::Structure;

use crate::check::{self, CodecConfig};
use crate::coder::{self, Order};
use crate::maker::Maker;
use crate::session::{Buffer, Fixed, Resource, Running, Session, State};
use crate::system::{self, Slot};
use crate::{LEDGER, SESSIONS, client_api, driver_api};

headframe_double_ledger::export_control!(LEDGER, crate::live());

same_types!(NvEncodeAPIGetMaxSupportedVersion, NvEncodeAPICreateInstance);

/// Runs a function on a session that can be used; a fault comes before it.
fn on(function: &'static str, handle: Handle, run: impl FnOnce(&mut Session) -> NVENCSTATUS) -> NVENCSTATUS {
    if let Err(code) = LEDGER.enter(function) {
        return NVENCSTATUS(code);
    }
    give_back(function, handle, |session| match session.refused {
        true => session.violation(NV_ENC_ERR_INVALID_CALL, "a session that was refused can only be closed"),
        false => run(session),
    })
}

/// As `on`, for what gives something back: done even where a fault is due, which is then what it returns.
fn on_return(function: &'static str, handle: Handle, run: impl FnOnce(&mut Session) -> NVENCSTATUS) -> NVENCSTATUS {
    let fault = LEDGER.enter(function);
    let status = give_back(function, handle, run);
    fault.map_or_else(NVENCSTATUS, |()| status)
}

fn give_back(function: &str, handle: Handle, run: impl FnOnce(&mut Session) -> NVENCSTATUS) -> NVENCSTATUS {
    SESSIONS.with(number(handle), run).unwrap_or_else(|| {
        LEDGER.violation(format!("{function} on no session"));
        NV_ENC_ERR_INVALID_PTR
    })
}

fn status(outcome: Result<(), NVENCSTATUS>) -> NVENCSTATUS {
    outcome.err().unwrap_or(NV_ENC_SUCCESS)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: *mut u32) -> NVENCSTATUS {
    if let Err(code) = LEDGER.enter("NvEncodeAPIGetMaxSupportedVersion") {
        return NVENCSTATUS(code);
    }
    let (major, minor) = driver_api();
    unsafe { version.write(major << 4 | minor) };
    NV_ENC_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn NvEncodeAPICreateInstance(list: *mut NV_ENCODE_API_FUNCTION_LIST) -> NVENCSTATUS {
    if let Err(code) = LEDGER.enter("NvEncodeAPICreateInstance") {
        return NVENCSTATUS(code);
    }
    let list = unsafe { &mut *list };
    let known =
        Api::ALL.into_iter().any(|api| api.numbers() <= driver_api() && list.version == api.of(Structure::Functions));
    if !known {
        LEDGER.violation(format!("a function list with version word {:#x}", list.version));
        return NV_ENC_ERR_INVALID_VERSION;
    }
    list.nvEncOpenEncodeSessionEx = Some(open);
    list.nvEncGetEncodeGUIDCount = Some(guid_count);
    list.nvEncGetEncodeGUIDs = Some(guids);
    list.nvEncGetEncodeCaps = Some(caps);
    list.nvEncGetEncodePresetConfigEx = Some(preset);
    list.nvEncInitializeEncoder = Some(initialize);
    list.nvEncReconfigureEncoder = Some(reconfigure);
    list.nvEncCreateBitstreamBuffer = Some(create_bitstream);
    list.nvEncDestroyBitstreamBuffer = Some(destroy_bitstream);
    list.nvEncRegisterResource = Some(register);
    list.nvEncUnregisterResource = Some(unregister);
    list.nvEncMapInputResource = Some(map);
    list.nvEncUnmapInputResource = Some(unmap);
    list.nvEncEncodePicture = Some(encode);
    list.nvEncLockBitstream = Some(lock);
    list.nvEncUnlockBitstream = Some(unlock);
    list.nvEncDestroyEncoder = Some(destroy);
    list.nvEncGetLastErrorString = Some(last_error);
    list.nvEncSetIOCudaStreams = Some(set_streams);
    NV_ENC_SUCCESS
}

unsafe extern "C" fn open(parameters: *mut NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, session: *mut Handle) -> NVENCSTATUS {
    let fault = LEDGER.enter("nvEncOpenEncodeSessionEx").err().map(NVENCSTATUS);
    let parameters = unsafe { &*parameters };
    let Some(api) = client_api(parameters.apiVersion) else {
        LEDGER.violation(format!("a session for API word {:#x}", parameters.apiVersion));
        return NV_ENC_ERR_INVALID_VERSION;
    };
    if let Err(status) = check::version(api, Structure::Open, parameters.version) {
        return status;
    }
    if parameters.deviceType != NV_ENC_DEVICE_TYPE_CUDA || parameters.device.is_none() {
        LEDGER.violation("a session without a CUDA context");
        return NV_ENC_ERR_INVALID_DEVICE;
    }
    let open = SESSIONS.all(|sessions| sessions.values().filter(|session| !session.refused).count());
    let slot = Slot::take();
    let full = open as u64 >= LEDGER.number("sessions", 64) || slot.is_err();
    system::opening();
    let refusal = fault.or(full.then_some(NV_ENC_ERR_OUT_OF_MEMORY));
    // Also one that is refused has a handle, and must be closed, as the header says. FFmpeg does not.
    if let Some(refusal) = refusal.filter(|_| LEDGER.is_for_ffmpeg()) {
        unsafe { session.write(None) };
        return refusal;
    }
    let handle = SESSIONS.insert(Session::new(api, number(parameters.device), slot.ok().flatten(), refusal.is_some()));
    unsafe { session.write(pointer(handle)) };
    refusal.unwrap_or(NV_ENC_SUCCESS)
}

unsafe extern "C" fn guid_count(session: Handle, count: *mut u32) -> NVENCSTATUS {
    on("nvEncGetEncodeGUIDCount", session, |session| {
        unsafe { count.write(check::codecs(session.api).len() as u32) };
        NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn guids(session: Handle, to: *mut GUID, room: u32, count: *mut u32) -> NVENCSTATUS {
    on("nvEncGetEncodeGUIDs", session, |session| {
        let codecs = check::codecs(session.api);
        let some = codecs.len().min(room as usize);
        unsafe { std::ptr::copy_nonoverlapping(codecs.as_ptr(), to, some) };
        unsafe { count.write(some as u32) };
        NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn caps(
    session: Handle,
    codec: GUID,
    query: *mut NV_ENC_CAPS_PARAM,
    value: *mut c_int,
) -> NVENCSTATUS {
    on("nvEncGetEncodeCaps", session, |session| {
        let query = unsafe { &*query };
        if let Err(status) = check::version(session.api, Structure::Caps, query.version) {
            return status;
        }
        if !check::codecs(session.api).contains(&codec) {
            return NV_ENC_ERR_UNSUPPORTED_PARAM;
        }
        let number = match query.capsToQuery {
            NV_ENC_CAPS_WIDTH_MIN => check::MIN.0,
            NV_ENC_CAPS_HEIGHT_MIN => check::MIN.1,
            NV_ENC_CAPS_WIDTH_MAX => check::MAX.0,
            NV_ENC_CAPS_HEIGHT_MAX => check::MAX.1,
            NV_ENC_CAPS_NUM_ENCODER_ENGINES => LEDGER.number("engines", 1) as u32,
            NV_ENC_CAPS_SUPPORT_10BIT_ENCODE => u32::from(codec != NV_ENC_CODEC_H264_GUID),
            NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE | NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE => 1,
            NV_ENC_CAPS_SUPPORT_LOOKAHEAD => 1,
            _ => 0,
        };
        unsafe { value.write(number as c_int) };
        NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn preset(
    session: Handle,
    codec: GUID,
    preset: GUID,
    tuning: NV_ENC_TUNING_INFO,
    config: *mut NV_ENC_PRESET_CONFIG,
) -> NVENCSTATUS {
    on("nvEncGetEncodePresetConfigEx", session, |session| {
        let config = unsafe { &mut *config };
        let outer = check::version(session.api, Structure::Preset, config.version);
        if let Err(status) =
            outer.and_then(|()| check::version(session.api, Structure::Config, config.presetCfg.version))
        {
            return status;
        }
        if !check::codecs(session.api).contains(&codec) || !NV_ENC_PRESET_GUIDS.contains(&preset) || tuning.0 == 0 {
            return NV_ENC_ERR_UNSUPPORTED_PARAM;
        }
        // FFmpeg relies on it.
        if LEDGER.is_for_ffmpeg() {
            config.presetCfg.rcParams.version = session.api.of(Structure::RateControl);
        }
        // As the better presets of real drivers have it: B-frames, a long GOP, the codec's part as zeros.
        config.presetCfg.gopLength = 250;
        config.presetCfg.frameIntervalP = 4;
        config.presetCfg.frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
        config.presetCfg.rcParams.rateControlMode = NV_ENC_PARAMS_RC_VBR;
        config.presetCfg.rcParams.flags = NV_ENC_RC_PARAMS::enableLookahead;
        NV_ENC_SUCCESS
    })
}

/// Reads an initialisation and the configuration that it points to.
unsafe fn read_order(api: Api, it: &NV_ENC_INITIALIZE_PARAMS) -> Result<(Fixed, Order), NVENCSTATUS> {
    let Some(config) = it.encodeConfig else { return Err(NV_ENC_ERR_INVALID_PTR) };
    let config = unsafe { config.as_ref() };
    // SAFETY, all members: plain integers and pointers, so whatever the client wrote there is one of their values.
    let codec = match it.encodeGUID {
        NV_ENC_CODEC_H264_GUID => CodecConfig::h264(api, unsafe { &config.encodeCodecConfig.h264Config }),
        NV_ENC_CODEC_HEVC_GUID => CodecConfig::hevc(api, unsafe { &config.encodeCodecConfig.hevcConfig }),
        NV_ENC_CODEC_AV1_GUID => CodecConfig::av1(api, unsafe { &config.encodeCodecConfig.av1Config }),
        _ => return Err(NV_ENC_ERR_UNSUPPORTED_PARAM),
    };
    check::initialization(api, it, config, &codec)
}

unsafe extern "C" fn initialize(session: Handle, it: *mut NV_ENC_INITIALIZE_PARAMS) -> NVENCSTATUS {
    on("nvEncInitializeEncoder", session, |session| {
        let (fixed, order) = match unsafe { read_order(session.api, &*it) } {
            Ok(read) => read,
            Err(status) => return session.refuse(status, "this initialisation is refused"),
        };
        if session.running.is_some() {
            return session.violation(NV_ENC_ERR_INVALID_CALL, "a session was initialised twice");
        }
        if order.bit_depth != 8 && (order.bit_depth != 10 || fixed.codec != NV_ENC_CODEC_HEVC_GUID) {
            return session.refuse(NV_ENC_ERR_UNSUPPORTED_PARAM, "this double encodes no such samples");
        }
        session.running = Some(Running { fixed, order, maker: None, busy: None, ended: false, reconfigured: false });
        NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn reconfigure(session: Handle, parameters: *mut NV_ENC_RECONFIGURE_PARAMS) -> NVENCSTATUS {
    system::reconfiguring();
    on("nvEncReconfigureEncoder", session, |session| {
        if let Some(status) = session.slot.as_ref().and_then(Slot::refuses_to_reconfigure) {
            return session.refuse(status, "the system does not reconfigure this session");
        }
        let parameters = unsafe { &*parameters };
        if let Err(status) = check::version(session.api, Structure::Reconfigure, parameters.version) {
            return status;
        }
        match unsafe { read_order(session.api, &parameters.reInitEncodeParams) } {
            Ok((fixed, order)) => session.reconfigure(fixed, order, parameters.flags(session.api)),
            Err(status) => session.refuse(status, "this reconfiguration is refused"),
        }
    })
}

/// Streams that reading and writing are ordered by; here all is done at once.
unsafe extern "C" fn set_streams(session: Handle, input: *mut CUstream, output: *mut CUstream) -> NVENCSTATUS {
    on("nvEncSetIOCudaStreams", session, |session| {
        if session.running.is_none() {
            return session.violation(NV_ENC_ERR_ENCODER_NOT_INITIALIZED, "streams before the initialisation");
        }
        if input.is_null() || output.is_null() {
            return session.violation(NV_ENC_ERR_INVALID_PTR, "streams that are nowhere");
        }
        NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn create_bitstream(session: Handle, buffer: *mut NV_ENC_CREATE_BITSTREAM_BUFFER) -> NVENCSTATUS {
    on("nvEncCreateBitstreamBuffer", session, |session| {
        let buffer = unsafe { &mut *buffer };
        if let Err(status) = check::version(session.api, Structure::Bitstream, buffer.version) {
            return status;
        }
        if session.running.is_none() {
            return session.violation(NV_ENC_ERR_ENCODER_NOT_INITIALIZED, "a buffer before the initialisation");
        }
        let handle = session.handle();
        session.buffers.insert(handle, Buffer::default());
        buffer.bitstreamBuffer = pointer(handle);
        NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn destroy_bitstream(session: Handle, buffer: Handle) -> NVENCSTATUS {
    on_return("nvEncDestroyBitstreamBuffer", session, |session| {
        let handle = number(buffer);
        session.sent.retain(|sent| *sent != handle);
        match session.buffers.remove(&handle) {
            // FFmpeg gives back also what it could not get.
            None if handle == 0 && LEDGER.struck() && LEDGER.is_for_ffmpeg() => {
                session.refuse(NV_ENC_ERR_INVALID_PTR, "no buffer")
            }
            None => session.violation(NV_ENC_ERR_INVALID_PTR, "a buffer was destroyed that is none"),
            Some(buffer) if buffer.state != State::Idle && !LEDGER.struck() => {
                session.violation(NV_ENC_ERR_INVALID_CALL, "a buffer was destroyed while in use")
            }
            Some(_) => NV_ENC_SUCCESS,
        }
    })
}

unsafe extern "C" fn register(session: Handle, resource: *mut NV_ENC_REGISTER_RESOURCE) -> NVENCSTATUS {
    on("nvEncRegisterResource", session, |session| {
        let resource = unsafe { &mut *resource };
        if let Err(status) = check::version(session.api, Structure::Register, resource.version) {
            return status;
        }
        let Some(running) = &session.running else {
            return session.violation(NV_ENC_ERR_ENCODER_NOT_INITIALIZED, "a resource before the initialisation");
        };
        let depth = if resource.bufferFormat == NV_ENC_BUFFER_FORMAT_NV12 { 8 } else { 10 };
        let fits = (resource.width, resource.height) == running.order.size && depth == running.order.bit_depth;
        let kind = (resource.resourceType, resource.bufferUsage);
        if !fits || kind != (NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR, NV_ENC_INPUT_IMAGE) {
            return session.violation(NV_ENC_ERR_INVALID_PARAM, "a resource unlike the pictures of the session");
        }
        let registered = Resource {
            address: resource.resourceToRegister,
            size: (resource.width, resource.height),
            pitch: resource.pitch as usize,
            format: resource.bufferFormat,
            mapped: false,
        };
        if !coder::is_there(&registered) {
            return session
                .violation(NV_ENC_ERR_RESOURCE_REGISTER_FAILED, "memory that is not there, or too little of it");
        }
        let handle = session.handle();
        session.resources.insert(handle, registered);
        resource.registeredResource = pointer(handle);
        NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn unregister(session: Handle, resource: Handle) -> NVENCSTATUS {
    on_return("nvEncUnregisterResource", session, |session| {
        let words = match session.resources.remove(&number(resource)) {
            None => "a resource was unregistered that is none",
            Some(resource) if resource.mapped => "a resource was unregistered while mapped",
            Some(resource) if !coder::is_there(&resource) => "memory was freed before it was unregistered",
            Some(_) => return NV_ENC_SUCCESS,
        };
        session.violation(NV_ENC_ERR_RESOURCE_NOT_REGISTERED, words)
    })
}

unsafe extern "C" fn map(session: Handle, map: *mut NV_ENC_MAP_INPUT_RESOURCE) -> NVENCSTATUS {
    on("nvEncMapInputResource", session, |session| {
        let map = unsafe { &mut *map };
        if let Err(status) = check::version(session.api, Structure::Map, map.version) {
            return status;
        }
        let registered = number(map.registeredResource);
        let handle = session.handle();
        match session.resources.get_mut(&registered) {
            Some(resource) if !resource.mapped => {
                resource.mapped = true;
                map.mappedBufferFmt = resource.format;
            }
            _ => return session.violation(NV_ENC_ERR_RESOURCE_NOT_REGISTERED, "no resource was mapped, or one twice"),
        }
        session.mapped.insert(handle, registered);
        map.mappedResource = pointer(handle);
        NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn unmap(session: Handle, mapped: Handle) -> NVENCSTATUS {
    on_return("nvEncUnmapInputResource", session, |session| {
        let handle = number(mapped);
        let Some(registered) = session.mapped.remove(&handle) else {
            return session.violation(NV_ENC_ERR_RESOURCE_NOT_MAPPED, "a resource was unmapped that is not mapped");
        };
        if let Some(resource) = session.resources.get_mut(&registered) {
            resource.mapped = false;
        }
        let encoding = session.buffers.values().any(|buffer| buffer.state == State::Sent && buffer.input == handle);
        if encoding && !LEDGER.struck() {
            return session.violation(NV_ENC_ERR_INVALID_CALL, "a resource was unmapped while it was encoded");
        }
        NV_ENC_SUCCESS
    })
}

/// Opens the library behind a session that has none yet. It holds no session meanwhile: FFmpeg lets nobody open libx265 while
/// it opens an encoder of its own, which may be a client of this double that asks for another session.
fn open_maker(session: Handle) {
    let wanted = SESSIONS.with(number(session), |session| {
        session.running.as_ref().filter(|running| running.maker.is_none()).map(|running| (running.fixed, running.order))
    });
    let Some((fixed, order)) = wanted.flatten() else { return };
    let maker = Maker::open(&fixed, &order);
    SESSIONS.with(number(session), |session| {
        if let Some(running) = &mut session.running {
            running.maker = maker;
        }
    });
}

unsafe extern "C" fn encode(session: Handle, picture: *mut NV_ENC_PIC_PARAMS) -> NVENCSTATUS {
    open_maker(session);
    on("nvEncEncodePicture", session, |session| {
        let picture = unsafe { &*picture };
        if let Err(status) = check::version(session.api, Structure::Picture, picture.version) {
            return status;
        }
        if picture.encodePicFlags & NV_ENC_PIC_FLAG_EOS == 0 {
            return session.encode(picture, number(picture.inputBuffer), number(picture.outputBitstream));
        }
        match &mut session.running {
            Some(running) => running.ended = true,
            None => return NV_ENC_ERR_ENCODER_NOT_INITIALIZED,
        }
        NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn lock(session: Handle, lock: *mut NV_ENC_LOCK_BITSTREAM) -> NVENCSTATUS {
    // Nobody else waits for a picture that a modelled engine is at work on.
    let output = number(unsafe { &*lock }.outputBitstream);
    let ready = SESSIONS.with(number(session), |session| session.buffers.get(&output)?.ready);
    wait_until(ready.flatten());
    on("nvEncLockBitstream", session, |session| {
        let lock = unsafe { &mut *lock };
        let handle = number(lock.outputBitstream);
        let checked = check::version(session.api, Structure::Lock, lock.version);
        if let Err(status) = checked.and_then(|()| session.lockable(handle)) {
            return status;
        }
        session.sent.pop_front();
        let Some(buffer) = session.buffers.get_mut(&handle) else { return NV_ENC_ERR_INVALID_PTR };
        buffer.state = State::Locked;
        lock.bitstreamSizeInBytes = buffer.data.len() as u32;
        lock.bitstreamBufferPtr = std::ptr::NonNull::new(buffer.data.as_mut_ptr());
        lock.outputTimeStamp = buffer.time;
        lock.pictureStruct = NV_ENC_PIC_STRUCT_FRAME;
        lock.pictureType = if buffer.key { NV_ENC_PIC_TYPE_IDR } else { NV_ENC_PIC_TYPE(0) };
        NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn unlock(session: Handle, buffer: Handle) -> NVENCSTATUS {
    on_return("nvEncUnlockBitstream", session, |session| match session.buffers.get_mut(&number(buffer)) {
        Some(buffer) if buffer.state == State::Locked => {
            *buffer = Buffer::default();
            NV_ENC_SUCCESS
        }
        _ => session.violation(NV_ENC_ERR_INVALID_CALL, "a buffer was unlocked that is not locked"),
    })
}

unsafe extern "C" fn destroy(session: Handle) -> NVENCSTATUS {
    let fault = LEDGER.enter("nvEncDestroyEncoder");
    let Some(session) = SESSIONS.remove(number(session)) else {
        LEDGER.violation("a session was closed that is none");
        return NV_ENC_ERR_INVALID_PTR;
    };
    session.close();
    status(fault.map_err(NVENCSTATUS))
}

unsafe extern "C" fn last_error(session: Handle) -> *const c_char {
    SESSIONS.with(number(session), |session| session.words.as_ptr()).unwrap_or(std::ptr::null())
}
