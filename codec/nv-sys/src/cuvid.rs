//! `libnvcuvid.so.1`: parser and decoder. Its structures are the same in every SDK from 10.0 to 13.0.
#![allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals, reason = "as in NVIDIA's header")]

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::ptr::NonNull;

use crate::Reserved;
use crate::cuda::{CUresult, CUstream};
use crate::shape::{functions, integer, structure};

pub type CUvideodecoder = Option<NonNull<c_void>>;
pub type CUvideoparser = Option<NonNull<c_void>>;
pub type CUvideoctxlock = Option<NonNull<c_void>>;

integer! {
    cudaVideoCodec(u32) {
        cudaVideoCodec_H264 = 4,
        cudaVideoCodec_HEVC = 8,
        cudaVideoCodec_VP9 = 10,
        cudaVideoCodec_AV1 = 11,
    }
}
integer! {
    cudaVideoSurfaceFormat(u32) {
        cudaVideoSurfaceFormat_NV12 = 0,
        cudaVideoSurfaceFormat_P016 = 1,
    }
}
integer! {
    cudaVideoDeinterlaceMode(u32) {
        cudaVideoDeinterlaceMode_Weave = 0,
    }
}
integer! {
    cudaVideoChromaFormat(u32) {
        cudaVideoChromaFormat_420 = 1,
    }
}
integer! {
    cuvidDecodeStatus(u32) {
        cuvidDecodeStatus_Success = 2,
        cuvidDecodeStatus_Error = 8,
        cuvidDecodeStatus_Error_Concealed = 9,
    }
}

pub const cudaVideoCreate_PreferCUVID: c_ulong = 4;
pub const CUVID_PKT_ENDOFSTREAM: c_ulong = 1;
pub const CUVID_PKT_TIMESTAMP: c_ulong = 2;
pub const CUVID_PKT_ENDOFPICTURE: c_ulong = 8;

structure! {
    CUVIDDECODECAPS {
        eCodecType: cudaVideoCodec,
        eChromaFormat: cudaVideoChromaFormat,
        nBitDepthMinus8: c_uint,
        reserved1: Reserved<c_uint, 3>,
        bIsSupported: u8,
        nNumNVDECs: u8,
        nOutputFormatMask: u16,
        nMaxWidth: c_uint,
        nMaxHeight: c_uint,
        nMaxMBCount: c_uint,
        nMinWidth: u16,
        nMinHeight: u16,
        rest: Reserved<c_uint, 11>,
    }
}

structure! {
    /// Corners, the right and bottom ones outside.
    Area16 {
        left: i16,
        top: i16,
        right: i16,
        bottom: i16,
    }
}

structure! {
    CUVIDDECODECREATEINFO {
        ulWidth: c_ulong,
        ulHeight: c_ulong,
        ulNumDecodeSurfaces: c_ulong,
        CodecType: cudaVideoCodec,
        ChromaFormat: cudaVideoChromaFormat,
        ulCreationFlags: c_ulong,
        bitDepthMinus8: c_ulong,
        ulIntraDecodeOnly: c_ulong,
        ulMaxWidth: c_ulong,
        ulMaxHeight: c_ulong,
        Reserved1: c_ulong,
        display_area: Area16,
        OutputFormat: cudaVideoSurfaceFormat,
        DeinterlaceMode: cudaVideoDeinterlaceMode,
        ulTargetWidth: c_ulong,
        ulTargetHeight: c_ulong,
        ulNumOutputSurfaces: c_ulong,
        vidLock: CUvideoctxlock,
        target_rect: Area16,
        enableHistogram: c_ulong,
        Reserved2: Reserved<c_ulong, 4>,
    }
}

structure! {
    /// What the parser tells the decoder of one picture. We only pass it on.
    CUVIDPICPARAMS {
        PicWidthInMbs: c_int,
        FrameHeightInMbs: c_int,
        CurrPicIdx: c_int,
        field_pic_flag: c_int,
        bottom_field_flag: c_int,
        second_field: c_int,
        nBitstreamDataLen: c_uint,
        pad0: c_uint,
        pBitstreamData: Option<NonNull<u8>>,
        nNumSlices: c_uint,
        pad1: c_uint,
        pSliceDataOffsets: Option<NonNull<c_uint>>,
        ref_pic_flag: c_int,
        intra_pic_flag: c_int,
        Reserved: Reserved<c_uint, 30>,
        CodecSpecific: Reserved<u64, 512>,
    }
}

structure! {
    CUVIDPROCPARAMS {
        progressive_frame: c_int,
        second_field: c_int,
        top_field_first: c_int,
        unpaired_field: c_int,
        reserved_flags: c_uint,
        reserved_zero: c_uint,
        raw_input_dptr: u64,
        raw_input_pitch: c_uint,
        raw_input_format: c_uint,
        raw_output_dptr: u64,
        raw_output_pitch: c_uint,
        Reserved1: c_uint,
        output_stream: CUstream,
        Reserved: Reserved<c_uint, 46>,
        histogram_dptr: Option<NonNull<u64>>,
        Reserved2: Reserved<u64, 1>,
    }
}

structure! {
    CUVIDGETDECODESTATUS {
        decodeStatus: cuvidDecodeStatus,
        reserved: Reserved<c_uint, 31>,
        pReserved: Reserved<u64, 8>,
    }
}

structure! {
    Ratio {
        numerator: c_uint,
        denominator: c_uint,
    }
}
structure! {
    /// Corners, the right and bottom ones outside.
    Area {
        left: c_int,
        top: c_int,
        right: c_int,
        bottom: c_int,
    }
}
structure! {
    Aspect {
        x: c_int,
        y: c_int,
    }
}
structure! {
    VideoSignal {
        flags: u8,
        color_primaries: u8,
        transfer_characteristics: u8,
        matrix_coefficients: u8,
    }
    const {
        video_full_range_flag = 3;
    }
}

structure! {
    CUVIDEOFORMAT {
        codec: cudaVideoCodec,
        frame_rate: Ratio,
        progressive_sequence: u8,
        bit_depth_luma_minus8: u8,
        bit_depth_chroma_minus8: u8,
        min_num_decode_surfaces: u8,
        coded_width: c_uint,
        coded_height: c_uint,
        display_area: Area,
        chroma_format: cudaVideoChromaFormat,
        bitrate: c_uint,
        display_aspect_ratio: Aspect,
        video_signal_description: VideoSignal,
        seqhdr_data_length: c_uint,
    }
}

structure! {
    CUVIDSOURCEDATAPACKET {
        flags: c_ulong,
        payload_size: c_ulong,
        payload: Option<NonNull<u8>>,
        timestamp: i64,
    }
}

structure! {
    CUVIDPARSERDISPINFO {
        picture_index: c_int,
        progressive_frame: c_int,
        top_field_first: c_int,
        repeat_first_field: c_int,
        timestamp: i64,
    }
}

pub type PFNVIDSEQUENCECALLBACK = unsafe extern "C" fn(*mut c_void, *mut CUVIDEOFORMAT) -> c_int;
pub type PFNVIDDECODECALLBACK = unsafe extern "C" fn(*mut c_void, *mut CUVIDPICPARAMS) -> c_int;
pub type PFNVIDDISPLAYCALLBACK = unsafe extern "C" fn(*mut c_void, *mut CUVIDPARSERDISPINFO) -> c_int;

structure! {
    CUVIDPARSERPARAMS {
        CodecType: cudaVideoCodec,
        ulMaxNumDecodeSurfaces: c_uint,
        ulClockRate: c_uint,
        ulErrorThreshold: c_uint,
        ulMaxDisplayDelay: c_uint,
        flags: c_uint,
        uReserved1: Reserved<c_uint, 4>,
        pUserData: Option<NonNull<c_void>>,
        pfnSequenceCallback: Option<PFNVIDSEQUENCECALLBACK>,
        pfnDecodePicture: Option<PFNVIDDECODECALLBACK>,
        pfnDisplayPicture: Option<PFNVIDDISPLAYCALLBACK>,
        pfnGetOperatingPoint: Option<NonNull<c_void>>,
        pfnGetSEIMsg: Option<NonNull<c_void>>,
        pvReserved2: Reserved<u64, 5>,
        pExtVideoInfo: Option<NonNull<c_void>>,
    }
    const {
        bAnnexb = 0;
    }
}

functions! {
    /// The functions that are used here.
    Cuvid in "libnvcuvid.so.1" {
        fn cuvidGetDecoderCaps(caps: *mut CUVIDDECODECAPS) -> CUresult;
        fn cuvidCreateDecoder(decoder: *mut CUvideodecoder, info: *mut CUVIDDECODECREATEINFO) -> CUresult;
        fn cuvidDestroyDecoder(decoder: CUvideodecoder) -> CUresult;
        fn cuvidDecodePicture(decoder: CUvideodecoder, picture: *mut CUVIDPICPARAMS) -> CUresult;
        fn cuvidGetDecodeStatus(decoder: CUvideodecoder, index: c_int, status: *mut CUVIDGETDECODESTATUS) -> CUresult;
        fn cuvidMapVideoFrame64(
            decoder: CUvideodecoder,
            index: c_int,
            address: *mut u64,
            pitch: *mut c_uint,
            parameters: *mut CUVIDPROCPARAMS
        ) -> CUresult;
        fn cuvidUnmapVideoFrame64(decoder: CUvideodecoder, address: u64) -> CUresult;
        fn cuvidCreateVideoParser(parser: *mut CUvideoparser, parameters: *mut CUVIDPARSERPARAMS) -> CUresult;
        fn cuvidParseVideoData(parser: CUvideoparser, packet: *mut CUVIDSOURCEDATAPACKET) -> CUresult;
        fn cuvidDestroyVideoParser(parser: CUvideoparser) -> CUresult;
    }
}
