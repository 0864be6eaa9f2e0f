//! Held to its own strictness: what FFmpeg leaves out is wrong unless FFmpeg is the client.
#![allow(unsafe_code, reason = "calls the functions as a client does")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use headframe_double_ledger::pointer;
use headframe_nv_sys::Api;
use headframe_nv_sys::nvenc::*;
use headframe_nv_sys::version::Structure;

use crate::check::{CodecConfig, initialization};
use crate::maker::Maker;
use crate::session::{Buffer, Resource, Running, Session};
use crate::{LEDGER, SESSIONS, api};

const API: Api = Api::ALL[0];

/// A session for pictures of 640x360, initialised.
fn initialised(max: (u32, u32), described: u32) -> Result<Running, NVENCSTATUS> {
    let mut it = NV_ENC_INITIALIZE_PARAMS {
        version: API.of(Structure::Initialize),
        encodeGUID: NV_ENC_CODEC_H264_GUID,
        presetGUID: NV_ENC_PRESET_GUIDS[0],
        tuningInfo: NV_ENC_TUNING_INFO_HIGH_QUALITY,
        enablePTD: 1,
        ..Default::default()
    };
    (it.encodeWidth, it.encodeHeight) = (640, 360);
    (it.maxEncodeWidth, it.maxEncodeHeight) = max;
    (it.frameRateNum, it.frameRateDen) = (30, 1);
    let mut config = NV_ENC_CONFIG { version: API.of(Structure::Config), gopLength: 30, ..Default::default() };
    config.frameIntervalP = 1;
    config.rcParams.version = API.of(Structure::RateControl);
    let mut h264 = NV_ENC_CONFIG_H264 { idrPeriod: 30, flags: NV_ENC_CONFIG_H264::repeatSPSPPS, ..Default::default() };
    h264.h264VUIParameters.videoSignalTypePresentFlag = 1;
    h264.h264VUIParameters.colourDescriptionPresentFlag = described;
    // BT.709: an encoder that is opened with it asks for values that there are.
    h264.h264VUIParameters.colourPrimaries = 1;
    h264.h264VUIParameters.transferCharacteristics = 1;
    h264.h264VUIParameters.colourMatrix = 1;
    if API.has_bit_depth_fields() {
        (h264.inputBitDepth, h264.outputBitDepth) = (NV_ENC_BIT_DEPTH(8), NV_ENC_BIT_DEPTH(8));
    }
    let (fixed, order) = initialization(API, &it, &config, &CodecConfig::h264(API, &h264))?;
    Ok(Running { fixed, order, maker: None, busy: None, ended: false, reconfigured: false })
}

/// What comes of a picture that says it is so large, from memory that is not there.
fn encoded(size: (u32, u32)) -> NVENCSTATUS {
    let mut session = Session::new(API, 0, None, false);
    let running = initialised((640, 360), 1).unwrap();
    session.running = Some(Running { maker: Maker::open(&running.fixed, &running.order), ..running });
    let format = NV_ENC_BUFFER_FORMAT_NV12;
    session.resources.insert(1, Resource { address: 0, size: (640, 360), pitch: 1024, format, mapped: true });
    session.mapped.insert(2, 1);
    session.buffers.insert(3, Buffer::default());
    let (width, height) = size;
    let picture = NV_ENC_PIC_PARAMS {
        inputWidth: width,
        inputHeight: height,
        inputPitch: 1024,
        bufferFmt: format,
        ..Default::default()
    };
    session.encode(&picture, 2, 3)
}

/// Whether a session that is refused has a handle.
fn refused() -> bool {
    let mut list = NV_ENCODE_API_FUNCTION_LIST { version: API.of(Structure::Functions), ..Default::default() };
    let mut parameters = NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS {
        version: API.of(Structure::Open),
        deviceType: NV_ENC_DEVICE_TYPE_CUDA,
        device: pointer(1),
        apiVersion: API.word(),
        ..Default::default()
    };
    let mut session = None;
    LEDGER.set("sessions", "0");
    // SAFETY: a list and parameters of this API, and room for a handle.
    let status = unsafe {
        assert_eq!(api::NvEncodeAPICreateInstance(&mut list), NV_ENC_SUCCESS);
        (list.nvEncOpenEncodeSessionEx.unwrap())(&mut parameters, &mut session)
    };
    assert_eq!(status, NV_ENC_ERR_OUT_OF_MEMORY);
    SESSIONS.all(|sessions| sessions.clear());
    session.is_some()
}

fn violations() -> usize {
    LEDGER.report(&[]).lines().filter(|line| line.starts_with("violation")).count()
}

#[test]
fn what_ffmpeg_leaves_out_is_wrong_unless_it_is_the_client() {
    assert!(initialised((1280, 720), 1).is_ok() && violations() == 0);
    assert_eq!(initialised((0, 0), 1).err(), Some(NV_ENC_ERR_INVALID_PARAM));
    assert!(initialised((640, 360), 0).is_ok() && violations() == 2, "colours: {}", LEDGER.report(&[]));
    assert_eq!((encoded((0, 0)), violations()), (NV_ENC_ERR_INVALID_PARAM, 3));
    assert!(refused(), "it has to be closed");
    LEDGER.set("client", "ffmpeg");
    assert!(initialised((0, 0), 0).is_ok() && !refused());
    // That there is no card comes after what is wrong with the picture.
    assert_eq!((encoded((0, 0)), encoded((320, 180))), (NV_ENC_ERR_DEVICE_NOT_EXIST, NV_ENC_ERR_INVALID_PARAM));
    assert_eq!(violations(), 4, "{}", LEDGER.report(&[]));
}
