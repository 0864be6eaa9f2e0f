//! `libnvidia-encode.so.1`: encoder sessions. The library exports two functions; the rest come in a table that it fills.
#![allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals, reason = "as in NVIDIA's header")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;

use crate::Reserved;
use crate::cuda::CUstream;
use crate::shape::{functions, integer, structure};

/// Something of the driver's: a session, a registered or mapped resource, a bitstream buffer.
pub type Handle = Option<NonNull<c_void>>;
type Words<const N: usize> = Reserved<u32, N>;
type Pointers<const N: usize> = Reserved<u64, N>;

integer! {
    NVENCSTATUS(u32) {
        NV_ENC_SUCCESS = 0,
        NV_ENC_ERR_NO_ENCODE_DEVICE = 1,
        NV_ENC_ERR_UNSUPPORTED_DEVICE = 2,
        NV_ENC_ERR_INVALID_ENCODERDEVICE = 3,
        NV_ENC_ERR_INVALID_DEVICE = 4,
        NV_ENC_ERR_DEVICE_NOT_EXIST = 5,
        NV_ENC_ERR_INVALID_PTR = 6,
        NV_ENC_ERR_INVALID_PARAM = 8,
        NV_ENC_ERR_INVALID_CALL = 9,
        NV_ENC_ERR_OUT_OF_MEMORY = 10,
        NV_ENC_ERR_ENCODER_NOT_INITIALIZED = 11,
        NV_ENC_ERR_UNSUPPORTED_PARAM = 12,
        NV_ENC_ERR_LOCK_BUSY = 13,
        NV_ENC_ERR_NOT_ENOUGH_BUFFER = 14,
        NV_ENC_ERR_INVALID_VERSION = 15,
        NV_ENC_ERR_MAP_FAILED = 16,
        NV_ENC_ERR_NEED_MORE_INPUT = 17,
        NV_ENC_ERR_ENCODER_BUSY = 18,
        NV_ENC_ERR_GENERIC = 20,
        NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY = 21,
        NV_ENC_ERR_UNIMPLEMENTED = 22,
        NV_ENC_ERR_RESOURCE_REGISTER_FAILED = 23,
        NV_ENC_ERR_RESOURCE_NOT_REGISTERED = 24,
        NV_ENC_ERR_RESOURCE_NOT_MAPPED = 25,
    }
}

integer! {
    NV_ENC_CAPS(u32) {
        NV_ENC_CAPS_NUM_MAX_BFRAMES = 0,
        NV_ENC_CAPS_WIDTH_MAX = 16,
        NV_ENC_CAPS_HEIGHT_MAX = 17,
        NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE = 19,
        NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE = 20,
        NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE = 26,
        NV_ENC_CAPS_SUPPORT_LOOKAHEAD = 37,
        NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ = 38,
        NV_ENC_CAPS_SUPPORT_10BIT_ENCODE = 39,
        NV_ENC_CAPS_WIDTH_MIN = 45,
        NV_ENC_CAPS_HEIGHT_MIN = 46,
        NV_ENC_CAPS_NUM_ENCODER_ENGINES = 49,
    }
}

integer! { NV_ENC_PARAMS_FRAME_FIELD_MODE(u32) { NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME = 1, } }
integer! {
    NV_ENC_PARAMS_RC_MODE(u32) {
        NV_ENC_PARAMS_RC_CONSTQP = 0,
        NV_ENC_PARAMS_RC_VBR = 1,
        NV_ENC_PARAMS_RC_CBR = 2,
    }
}
integer! {
    NV_ENC_MULTI_PASS(u32) {
        NV_ENC_MULTI_PASS_DISABLED = 0,
        NV_ENC_TWO_PASS_QUARTER_RESOLUTION = 1,
        NV_ENC_TWO_PASS_FULL_RESOLUTION = 2,
    }
}
integer! {
    NV_ENC_TUNING_INFO(u32) {
        NV_ENC_TUNING_INFO_HIGH_QUALITY = 1,
        NV_ENC_TUNING_INFO_LOW_LATENCY = 2,
        NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY = 3,
    }
}
integer! {
    NV_ENC_BUFFER_FORMAT(u32) {
        NV_ENC_BUFFER_FORMAT_NV12 = 1,
        NV_ENC_BUFFER_FORMAT_YUV420_10BIT = 0x10000,
    }
}
integer! { NV_ENC_PIC_STRUCT(u32) { NV_ENC_PIC_STRUCT_FRAME = 1, } }
integer! {
    NV_ENC_PIC_TYPE(u32) {
        NV_ENC_PIC_TYPE_I = 2,
        NV_ENC_PIC_TYPE_IDR = 3,
    }
}
integer! { NV_ENC_INPUT_RESOURCE_TYPE(u32) { NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR = 1, } }
integer! { NV_ENC_BUFFER_USAGE(u32) { NV_ENC_INPUT_IMAGE = 0, } }
integer! { NV_ENC_DEVICE_TYPE(u32) { NV_ENC_DEVICE_TYPE_CUDA = 1, } }
integer! {
    /// Of the samples; a field of its own since 12.2.
    NV_ENC_BIT_DEPTH(u32) {
        NV_ENC_BIT_DEPTH_8 = 8,
        NV_ENC_BIT_DEPTH_10 = 10,
    }
}

pub const NV_ENC_PIC_FLAG_FORCEIDR: u32 = 2;
pub const NV_ENC_PIC_FLAG_OUTPUT_SPSPPS: u32 = 4;
pub const NV_ENC_PIC_FLAG_EOS: u32 = 8;
pub const NVENC_INFINITE_GOPLENGTH: u32 = u32::MAX;

/// An id as Windows writes it.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct GUID {
    pub Data1: u32,
    pub Data2: u16,
    pub Data3: u16,
    pub Data4: [u8; 8],
}

const fn guid(Data1: u32, Data2: u16, Data3: u16, last: u64) -> GUID {
    GUID { Data1, Data2, Data3, Data4: last.to_be_bytes() }
}

pub const NV_ENC_CODEC_H264_GUID: GUID = guid(0x6bc8_2762, 0x4e63, 0x4ca4, 0xaa85_1e50_f321_f6bf);
pub const NV_ENC_CODEC_HEVC_GUID: GUID = guid(0x790c_dc88, 0x4522, 0x4d7b, 0x9425_bda9_975f_7603);
pub const NV_ENC_CODEC_AV1_GUID: GUID = guid(0x0a35_2289, 0x0aa7, 0x4759, 0x862d_5d15_cd16_d254);
pub const NV_ENC_H264_PROFILE_HIGH_GUID: GUID = guid(0xe7cb_c309, 0x4f7a, 0x4b89, 0xaf2a_d537_c92b_e310);
pub const NV_ENC_HEVC_PROFILE_MAIN_GUID: GUID = guid(0xb514_c39a, 0xb55b, 0x40fa, 0x878f_f125_3b4d_fdec);
pub const NV_ENC_HEVC_PROFILE_MAIN10_GUID: GUID = guid(0xfa4d_2b6c, 0x3a5b, 0x411a, 0x8018_0a3f_5e3c_9be5);
pub const NV_ENC_AV1_PROFILE_MAIN_GUID: GUID = guid(0x5f2a_39f5, 0xf14e, 0x4f95, 0x9a9e_b76d_568f_cf97);
pub const NV_ENC_PRESET_P1_GUID: GUID = guid(0xfc0a_8d3e, 0x45f8, 0x4cf8, 0x80c7_2988_7159_0ebf);
pub const NV_ENC_PRESET_P2_GUID: GUID = guid(0xf581_cfb8, 0x88d6, 0x4381, 0x93f0_df13_f9c2_7dab);
pub const NV_ENC_PRESET_P3_GUID: GUID = guid(0x3685_0110, 0x3a07, 0x441f, 0x94d5_3670_631f_91f6);
pub const NV_ENC_PRESET_P4_GUID: GUID = guid(0x90a7_b826, 0xdf06, 0x4862, 0xb9d2_cd6d_73a0_8681);
pub const NV_ENC_PRESET_P5_GUID: GUID = guid(0x21c6_e6b4, 0x297a, 0x4cba, 0x998f_b6cb_de72_ade3);
pub const NV_ENC_PRESET_P6_GUID: GUID = guid(0x8e75_c279, 0x6299, 0x4ab6, 0x8302_0b21_5a33_5cf5);
pub const NV_ENC_PRESET_P7_GUID: GUID = guid(0x8484_8c12, 0x6f71, 0x4c13, 0x931b_53e2_83f5_7974);
/// P1, the fastest, to P7.
pub const NV_ENC_PRESET_GUIDS: [GUID; 7] = [
    NV_ENC_PRESET_P1_GUID,
    NV_ENC_PRESET_P2_GUID,
    NV_ENC_PRESET_P3_GUID,
    NV_ENC_PRESET_P4_GUID,
    NV_ENC_PRESET_P5_GUID,
    NV_ENC_PRESET_P6_GUID,
    NV_ENC_PRESET_P7_GUID,
];

structure! {
    NV_ENC_CAPS_PARAM {
        version: u32,
        capsToQuery: NV_ENC_CAPS,
        reserved: Words<62>,
    }
}

structure! {
    NV_ENC_CREATE_BITSTREAM_BUFFER {
        version: u32,
        size: u32,
        memoryHeap: u32,
        reserved: u32,
        bitstreamBuffer: Handle,
        bitstreamBufferPtr: Handle,
        reserved1: Words<58>,
        reserved2: Pointers<64>,
    }
}

structure! {
    NV_ENC_QP {
        qpInterP: u32,
        qpInterB: u32,
        qpIntra: u32,
    }
}

structure! {
    NV_ENC_RC_PARAMS {
        version: u32,
        rateControlMode: NV_ENC_PARAMS_RC_MODE,
        constQP: NV_ENC_QP,
        averageBitRate: u32,
        maxBitRate: u32,
        vbvBufferSize: u32,
        vbvInitialDelay: u32,
        flags: u32,
        minQP: NV_ENC_QP,
        maxQP: NV_ENC_QP,
        initialRCQP: NV_ENC_QP,
        temporallayerIdxMask: u32,
        temporalLayerQP: [u8; 8],
        targetQuality: u8,
        targetQualityLSB: u8,
        lookaheadDepth: u16,
        lowDelayKeyFrameScale: u8,
        qpIndexOffsets: [i8; 3],
        qpMapMode: u32,
        multiPass: NV_ENC_MULTI_PASS,
        rest: Words<6>,
    }
    const {
        enableAQ = 3;
        enableLookahead = 5;
        enableTemporalAQ = 8;
        zeroReorderDelay = 9;
        strictGOPTarget = 11;
    }
}

structure! {
    /// Of HEVC too.
    NV_ENC_CONFIG_H264_VUI_PARAMETERS {
        overscanInfoPresentFlag: u32,
        overscanInfo: u32,
        videoSignalTypePresentFlag: u32,
        videoFormat: u32,
        videoFullRangeFlag: u32,
        colourDescriptionPresentFlag: u32,
        colourPrimaries: u32,
        transferCharacteristics: u32,
        colourMatrix: u32,
        chromaSampleLocationFlag: u32,
        chromaSampleLocationTop: u32,
        chromaSampleLocationBot: u32,
        bitstreamRestrictionFlag: u32,
        rest: Words<15>,
    }
}

structure! {
    NV_ENC_CONFIG_H264 {
        flags: u32,
        level: u32,
        idrPeriod: u32,
        unused: Words<12>,
        maxNumRefFrames: u32,
        sliceMode: u32,
        sliceModeData: u32,
        h264VUIParameters: NV_ENC_CONFIG_H264_VUI_PARAMETERS,
        ltrNumFrames: u32,
        ltrTrustMode: u32,
        chromaFormatIDC: u32,
        maxTemporalLayers: u32,
        useBFramesAsRef: u32,
        numRefL0: u32,
        numRefL1: u32,
        outputBitDepth: NV_ENC_BIT_DEPTH,
        inputBitDepth: NV_ENC_BIT_DEPTH,
        tfLevel: u32,
        reserved1: Words<264>,
        reserved2: Pointers<64>,
    }
    const {
        outputAUD = 6;
        repeatSPSPPS = 12;
    }
}

structure! {
    NV_ENC_CONFIG_HEVC {
        level: u32,
        tier: u32,
        minCUSize: u32,
        maxCUSize: u32,
        flags: u32,
        idrPeriod: u32,
        unused: Words<10>,
        hevcVUIParameters: NV_ENC_CONFIG_H264_VUI_PARAMETERS,
        ltrTrustMode: u32,
        useBFramesAsRef: u32,
        numRefL0: u32,
        numRefL1: u32,
        tfLevel: u32,
        disableDeblockingFilterIDC: u32,
        outputBitDepth: NV_ENC_BIT_DEPTH,
        inputBitDepth: NV_ENC_BIT_DEPTH,
        numTemporalLayers: u32,
        numViews: u32,
        reserved1: Words<208>,
        reserved2: Pointers<64>,
    }
    const {
        outputAUD = 4;
        repeatSPSPPS = 7;
        chromaFormatIDC = 9;
        // Three bits; until 12.1.
        pixelBitDepthMinus8 = 11;
    }
}

structure! {
    /// Since 12.0.
    NV_ENC_CONFIG_AV1 {
        level: u32,
        tier: u32,
        minPartSize: u32,
        maxPartSize: u32,
        flags: u32,
        idrPeriod: u32,
        unused: Words<6>,
        tileWidths: Handle,
        tileHeights: Handle,
        maxTemporalLayersMinus1: u32,
        colorPrimaries: u32,
        transferCharacteristics: u32,
        matrixCoefficients: u32,
        colorRange: u32,
        chromaSamplePosition: u32,
        useBFramesAsRef: u32,
        pad0: u32,
        filmGrainParams: Handle,
        numFwdRefs: u32,
        numBwdRefs: u32,
        outputBitDepth: NV_ENC_BIT_DEPTH,
        inputBitDepth: NV_ENC_BIT_DEPTH,
        ltrNumFrames: u32,
        numTemporalLayers: u32,
        tfLevel: u32,
        reserved1: Words<231>,
        reserved3: Pointers<62>,
    }
    const {
        repeatSeqHdr = 5;
        chromaFormatIDC = 7;
        // Three bits each; until 12.1.
        inputPixelBitDepthMinus8 = 12;
        pixelBitDepthMinus8 = 15;
    }
}

/// What differs between codecs. Which member is meant says [`NV_ENC_INITIALIZE_PARAMS::encodeGUID`]; all of them are plain
/// integers and pointers, so any of them may be read.
#[repr(C)]
#[derive(Clone, Copy)]
pub union NV_ENC_CODEC_CONFIG {
    pub h264Config: NV_ENC_CONFIG_H264,
    pub hevcConfig: NV_ENC_CONFIG_HEVC,
    pub av1Config: NV_ENC_CONFIG_AV1,
    pub all: Pointers<224>,
}

impl Default for NV_ENC_CODEC_CONFIG {
    fn default() -> Self {
        Self { all: Reserved::default() }
    }
}

structure! {
    NV_ENC_CONFIG {
        version: u32,
        profileGUID: GUID,
        gopLength: u32,
        frameIntervalP: i32,
        monoChromeEncoding: u32,
        frameFieldMode: NV_ENC_PARAMS_FRAME_FIELD_MODE,
        mvPrecision: u32,
        rcParams: NV_ENC_RC_PARAMS,
        encodeCodecConfig: NV_ENC_CODEC_CONFIG,
        reserved: Words<278>,
        reserved2: Pointers<64>,
    }
}

structure! {
    /// As it is since 12.2. Before, eight more bytes were reserved at its end: [`Initialize`] has room for them.
    NV_ENC_INITIALIZE_PARAMS {
        version: u32,
        encodeGUID: GUID,
        presetGUID: GUID,
        encodeWidth: u32,
        encodeHeight: u32,
        darWidth: u32,
        darHeight: u32,
        frameRateNum: u32,
        frameRateDen: u32,
        enableEncodeAsync: u32,
        enablePTD: u32,
        flags: u32,
        privDataSize: u32,
        pad0: u32,
        privData: Handle,
        encodeConfig: Option<NonNull<NV_ENC_CONFIG>>,
        maxEncodeWidth: u32,
        maxEncodeHeight: u32,
        maxMEHintCountsPerBlock: Words<8>,
        tuningInfo: NV_ENC_TUNING_INFO,
        bufferFormat: NV_ENC_BUFFER_FORMAT,
        numStateBuffers: u32,
        outputStatsLevel: u32,
        reserved1: Words<284>,
        reserved2: Pointers<64>,
    }
    const {
        reportSliceOffsets = 0;
    }
}

/// Bits of [`NV_ENC_INITIALIZE_PARAMS::flags`] since 12.1: on how many engines a picture is encoded at once, here on one
/// (`NV_ENC_SPLIT_DISABLE_MODE` in `splitEncodeMode`, bits 5 to 8). Before, bit 5 means something else.
pub const SPLIT_DISABLED: u32 = 15 << 5;

structure! {
    /// [`NV_ENC_INITIALIZE_PARAMS`] with room for what drivers before 12.2 read behind it.
    Initialize {
        it: NV_ENC_INITIALIZE_PARAMS,
        rest: Pointers<1>,
    }
}

structure! {
    /// The one structure whose fields moved: the flags stand behind the initialisation, which shrank at 12.2. Set them with
    /// [`Self::set_flags`].
    NV_ENC_RECONFIGURE_PARAMS {
        version: u32,
        reserved: u32,
        reInitEncodeParams: NV_ENC_INITIALIZE_PARAMS,
        tail: Words<4>,
    }
    const {
        resetEncoder = 0;
        forceIDR = 1;
    }
}

impl NV_ENC_RECONFIGURE_PARAMS {
    /// Where in `tail` an API has the flags.
    const fn flags_at(api: crate::Api) -> usize {
        if api.has_bit_depth_fields() { 0 } else { 2 }
    }

    /// Sets the flags for a driver of this API.
    pub fn set_flags(&mut self, api: crate::Api, flags: u32) {
        self.tail.0[Self::flags_at(api)] = flags;
    }

    /// The flags as a driver of this API reads them.
    pub fn flags(&self, api: crate::Api) -> u32 {
        self.tail.0[Self::flags_at(api)]
    }

    /// Bytes from the start to the flags.
    pub const fn flags_offset(api: crate::Api) -> usize {
        std::mem::offset_of!(Self, tail) + 4 * Self::flags_at(api)
    }
}

structure! {
    NV_ENC_PRESET_CONFIG {
        version: u32,
        reserved: u32,
        presetCfg: NV_ENC_CONFIG,
        reserved1: Words<256>,
        reserved2: Pointers<64>,
    }
}

structure! {
    NV_ENC_PIC_PARAMS {
        version: u32,
        inputWidth: u32,
        inputHeight: u32,
        inputPitch: u32,
        encodePicFlags: u32,
        frameIdx: u32,
        inputTimeStamp: u64,
        inputDuration: u64,
        inputBuffer: Handle,
        outputBitstream: Handle,
        completionEvent: Handle,
        bufferFmt: NV_ENC_BUFFER_FORMAT,
        pictureStruct: NV_ENC_PIC_STRUCT,
        pictureType: NV_ENC_PIC_TYPE,
        pad0: u32,
        codecPicParams: Pointers<192>,
        rest: Pointers<218>,
    }
}

structure! {
    NV_ENC_LOCK_BITSTREAM {
        version: u32,
        flags: u32,
        outputBitstream: Handle,
        sliceOffsets: Option<NonNull<u32>>,
        frameIdx: u32,
        hwEncodeStatus: u32,
        numSlices: u32,
        bitstreamSizeInBytes: u32,
        outputTimeStamp: u64,
        outputDuration: u64,
        bitstreamBufferPtr: Option<NonNull<u8>>,
        pictureType: NV_ENC_PIC_TYPE,
        pictureStruct: NV_ENC_PIC_STRUCT,
        frameAvgQP: u32,
        frameSatd: u32,
        rest: Words<368>,
    }
    const {
        doNotWait = 0;
    }
}

structure! {
    NV_ENC_MAP_INPUT_RESOURCE {
        version: u32,
        subResourceIndex: u32,
        inputResource: Handle,
        registeredResource: Handle,
        mappedResource: Handle,
        mappedBufferFmt: NV_ENC_BUFFER_FORMAT,
        reserved1: Words<251>,
        reserved2: Pointers<63>,
    }
}

structure! {
    NV_ENC_REGISTER_RESOURCE {
        version: u32,
        resourceType: NV_ENC_INPUT_RESOURCE_TYPE,
        width: u32,
        height: u32,
        pitch: u32,
        subResourceIndex: u32,
        /// A device address, where CUDA memory is registered.
        resourceToRegister: u64,
        registeredResource: Handle,
        bufferFormat: NV_ENC_BUFFER_FORMAT,
        bufferUsage: NV_ENC_BUFFER_USAGE,
        rest: Pointers<186>,
    }
}

structure! {
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS {
        version: u32,
        deviceType: NV_ENC_DEVICE_TYPE,
        /// A CUDA context.
        device: Handle,
        reserved: Handle,
        apiVersion: u32,
        reserved1: Words<253>,
        reserved2: Pointers<64>,
    }
}

/// A function that is not used here.
pub type Unused = Option<unsafe extern "C" fn()>;
type Function<A> = Option<A>;
pub type OpenSessionEx = unsafe extern "C" fn(*mut NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, *mut Handle) -> NVENCSTATUS;
pub type GetGuidCount = unsafe extern "C" fn(Handle, *mut u32) -> NVENCSTATUS;
pub type GetGuids = unsafe extern "C" fn(Handle, *mut GUID, u32, *mut u32) -> NVENCSTATUS;
pub type GetCaps = unsafe extern "C" fn(Handle, GUID, *mut NV_ENC_CAPS_PARAM, *mut c_int) -> NVENCSTATUS;
pub type GetPresetConfigEx =
    unsafe extern "C" fn(Handle, GUID, GUID, NV_ENC_TUNING_INFO, *mut NV_ENC_PRESET_CONFIG) -> NVENCSTATUS;
pub type InitializeEncoder = unsafe extern "C" fn(Handle, *mut NV_ENC_INITIALIZE_PARAMS) -> NVENCSTATUS;
pub type Reconfigure = unsafe extern "C" fn(Handle, *mut NV_ENC_RECONFIGURE_PARAMS) -> NVENCSTATUS;
pub type CreateBitstream = unsafe extern "C" fn(Handle, *mut NV_ENC_CREATE_BITSTREAM_BUFFER) -> NVENCSTATUS;
pub type Register = unsafe extern "C" fn(Handle, *mut NV_ENC_REGISTER_RESOURCE) -> NVENCSTATUS;
pub type Map = unsafe extern "C" fn(Handle, *mut NV_ENC_MAP_INPUT_RESOURCE) -> NVENCSTATUS;
pub type Encode = unsafe extern "C" fn(Handle, *mut NV_ENC_PIC_PARAMS) -> NVENCSTATUS;
pub type Lock = unsafe extern "C" fn(Handle, *mut NV_ENC_LOCK_BITSTREAM) -> NVENCSTATUS;
/// Gives something back: an output buffer, a lock, a mapped or registered resource.
pub type GiveBack = unsafe extern "C" fn(Handle, Handle) -> NVENCSTATUS;
/// Points to a stream for input and one for output. Used by FFmpeg only.
pub type SetStreams = unsafe extern "C" fn(Handle, *mut CUstream, *mut CUstream) -> NVENCSTATUS;
pub type Destroy = unsafe extern "C" fn(Handle) -> NVENCSTATUS;
pub type LastError = unsafe extern "C" fn(Handle) -> *const c_char;

structure! {
    NV_ENCODE_API_FUNCTION_LIST {
        version: u32,
        reserved: u32,
        nvEncOpenEncodeSession: Unused,
        nvEncGetEncodeGUIDCount: Function<GetGuidCount>,
        nvEncGetEncodeProfileGUIDCount: Unused,
        nvEncGetEncodeProfileGUIDs: Unused,
        nvEncGetEncodeGUIDs: Function<GetGuids>,
        nvEncGetInputFormatCount: Unused,
        nvEncGetInputFormats: Unused,
        nvEncGetEncodeCaps: Function<GetCaps>,
        nvEncGetEncodePresetCount: Unused,
        nvEncGetEncodePresetGUIDs: Unused,
        nvEncGetEncodePresetConfig: Unused,
        nvEncInitializeEncoder: Function<InitializeEncoder>,
        nvEncCreateInputBuffer: Unused,
        nvEncDestroyInputBuffer: Unused,
        nvEncCreateBitstreamBuffer: Function<CreateBitstream>,
        nvEncDestroyBitstreamBuffer: Function<GiveBack>,
        nvEncEncodePicture: Function<Encode>,
        nvEncLockBitstream: Function<Lock>,
        nvEncUnlockBitstream: Function<GiveBack>,
        nvEncLockInputBuffer: Unused,
        nvEncUnlockInputBuffer: Unused,
        nvEncGetEncodeStats: Unused,
        nvEncGetSequenceParams: Unused,
        nvEncRegisterAsyncEvent: Unused,
        nvEncUnregisterAsyncEvent: Unused,
        nvEncMapInputResource: Function<Map>,
        nvEncUnmapInputResource: Function<GiveBack>,
        nvEncDestroyEncoder: Function<Destroy>,
        nvEncInvalidateRefFrames: Unused,
        nvEncOpenEncodeSessionEx: Function<OpenSessionEx>,
        nvEncRegisterResource: Function<Register>,
        nvEncUnregisterResource: Function<GiveBack>,
        nvEncReconfigureEncoder: Function<Reconfigure>,
        reserved1: Handle,
        nvEncCreateMVBuffer: Unused,
        nvEncDestroyMVBuffer: Unused,
        nvEncRunMotionEstimationOnly: Unused,
        nvEncGetLastErrorString: Function<LastError>,
        nvEncSetIOCudaStreams: Function<SetStreams>,
        nvEncGetEncodePresetConfigEx: Function<GetPresetConfigEx>,
        reserved2: Pointers<278>,
    }
}

functions! {
    /// What the library exports.
    Nvenc in "libnvidia-encode.so.1" {
        fn NvEncodeAPIGetMaxSupportedVersion(version: *mut u32) -> NVENCSTATUS;
        fn NvEncodeAPICreateInstance(list: *mut NV_ENCODE_API_FUNCTION_LIST) -> NVENCSTATUS;
    }
}
