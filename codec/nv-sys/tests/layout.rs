//! The definitions against NVIDIA's headers: every size, offset, value and version word, with the headers of API 11.1 as a
//! C compiler sees them here, and with what the same C program printed for 12.0, 12.1, 12.2 and 13.0 (`headers.txt`).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use headframe_nv_sys::Api;
use headframe_nv_sys::cuda::*;
use headframe_nv_sys::cuvid::*;
use headframe_nv_sys::nvenc::*;
use headframe_nv_sys::version::Structure;

/// What one API has: numbers in decimal, ids as 32 hexadecimal digits.
type Facts = BTreeMap<String, String>;

/// A named value of ours as a number.
trait Number {
    fn number(self) -> i64;
}
impl Number for u32 {
    fn number(self) -> i64 {
        self.into()
    }
}
impl Number for u64 {
    fn number(self) -> i64 {
        self.try_into().unwrap()
    }
}
macro_rules! numbers {
    ($($type:ty),*) => { $(impl Number for $type { fn number(self) -> i64 { self.0.into() } })* };
}
numbers!(NVENCSTATUS, NV_ENC_CAPS, NV_ENC_PARAMS_FRAME_FIELD_MODE, NV_ENC_PARAMS_RC_MODE, NV_ENC_MULTI_PASS);
numbers!(NV_ENC_TUNING_INFO, NV_ENC_BUFFER_FORMAT, NV_ENC_PIC_STRUCT, NV_ENC_PIC_TYPE, NV_ENC_INPUT_RESOURCE_TYPE);
numbers!(NV_ENC_BUFFER_USAGE, NV_ENC_DEVICE_TYPE, NV_ENC_BIT_DEPTH, cudaVideoCodec, cudaVideoSurfaceFormat);
numbers!(cudaVideoDeinterlaceMode, cudaVideoChromaFormat, cuvidDecodeStatus, CUdevice_attribute, CUmemorytype);

macro_rules! values {
    ($into:ident, $($name:ident),* $(,)?) => { $($into.insert(stringify!($name).into(), $name.number().to_string());)* };
}
macro_rules! ids {
    ($into:ident, $($name:ident),* $(,)?) => { $($into.insert(stringify!($name).into(), hexadecimal($name));)* };
}
/// The size, the offsets of fields, and the numbers of bits in the field of flags, counted from the structure's start.
macro_rules! structure {
    ($into:ident, $name:ident { $($($field:ident).+),* $(,)? } $($flags:ident { $($bit:ident),* $(,)? })?) => {
        $into.insert(format!("sizeof.{}", stringify!($name)), size_of::<$name>().to_string());
        $(
            let field = stringify!($($field).+).replace(' ', "");
            $into.insert(format!("{}.{field}", stringify!($name)), offset_of!($name, $($field).+).to_string());
        )*
        $($(
            let bit = 8 * offset_of!($name, $flags) + $name::$bit.trailing_zeros() as usize;
            $into.insert(format!("{}.{}", stringify!($name), stringify!($bit)), bit.to_string());
        )*)?
    };
}

/// As it lies in memory.
fn hexadecimal(id: GUID) -> String {
    let words = [&id.Data1.to_le_bytes()[..], &id.Data2.to_le_bytes(), &id.Data3.to_le_bytes(), &id.Data4].concat();
    words.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn versions(into: &mut Facts, api: Api) {
    into.insert("NVENCAPI_VERSION".into(), api.word().to_string());
    let words = [
        ("CAPS_PARAM", Structure::Caps),
        ("CREATE_BITSTREAM_BUFFER", Structure::Bitstream),
        ("RC_PARAMS", Structure::RateControl),
        ("CONFIG", Structure::Config),
        ("INITIALIZE_PARAMS", Structure::Initialize),
        ("RECONFIGURE_PARAMS", Structure::Reconfigure),
        ("PRESET_CONFIG", Structure::Preset),
        ("PIC_PARAMS", Structure::Picture),
        ("LOCK_BITSTREAM", Structure::Lock),
        ("MAP_INPUT_RESOURCE", Structure::Map),
        ("REGISTER_RESOURCE", Structure::Register),
        ("OPEN_ENCODE_SESSION_EX_PARAMS", Structure::Open),
    ];
    into.extend(words.map(|(name, structure)| (format!("NV_ENC_{name}_VER"), api.of(structure).to_string())));
    into.insert("NV_ENCODE_API_FUNCTION_LIST_VER".into(), api.of(Structure::Functions).to_string());
}

fn nvenc_values(into: &mut Facts) {
    ids!(into, NV_ENC_CODEC_H264_GUID, NV_ENC_CODEC_HEVC_GUID, NV_ENC_CODEC_AV1_GUID, NV_ENC_AV1_PROFILE_MAIN_GUID);
    ids!(into, NV_ENC_H264_PROFILE_HIGH_GUID, NV_ENC_HEVC_PROFILE_MAIN_GUID, NV_ENC_HEVC_PROFILE_MAIN10_GUID);
    ids!(into, NV_ENC_PRESET_P1_GUID, NV_ENC_PRESET_P2_GUID, NV_ENC_PRESET_P3_GUID, NV_ENC_PRESET_P4_GUID);
    ids!(into, NV_ENC_PRESET_P5_GUID, NV_ENC_PRESET_P6_GUID, NV_ENC_PRESET_P7_GUID);

    values!(into, NV_ENC_ERR_NO_ENCODE_DEVICE, NV_ENC_ERR_UNSUPPORTED_DEVICE, NV_ENC_ERR_INVALID_ENCODERDEVICE);
    values!(into, NV_ENC_ERR_INVALID_DEVICE, NV_ENC_ERR_DEVICE_NOT_EXIST, NV_ENC_ERR_INVALID_PTR);
    values!(into, NV_ENC_ERR_INVALID_PARAM, NV_ENC_ERR_INVALID_CALL, NV_ENC_ERR_OUT_OF_MEMORY);
    values!(into, NV_ENC_ERR_ENCODER_NOT_INITIALIZED, NV_ENC_ERR_UNSUPPORTED_PARAM, NV_ENC_ERR_LOCK_BUSY);
    values!(into, NV_ENC_ERR_NOT_ENOUGH_BUFFER, NV_ENC_ERR_INVALID_VERSION, NV_ENC_ERR_MAP_FAILED);
    values!(into, NV_ENC_ERR_NEED_MORE_INPUT, NV_ENC_ERR_ENCODER_BUSY, NV_ENC_ERR_GENERIC);
    values!(into, NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY, NV_ENC_ERR_UNIMPLEMENTED, NV_ENC_ERR_RESOURCE_REGISTER_FAILED);
    values!(into, NV_ENC_ERR_RESOURCE_NOT_REGISTERED, NV_ENC_ERR_RESOURCE_NOT_MAPPED);

    values!(into, NV_ENC_CAPS_NUM_MAX_BFRAMES, NV_ENC_CAPS_WIDTH_MAX, NV_ENC_CAPS_HEIGHT_MAX, NV_ENC_CAPS_WIDTH_MIN);
    values!(into, NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE, NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE, NV_ENC_CAPS_HEIGHT_MIN);
    values!(into, NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE, NV_ENC_CAPS_SUPPORT_LOOKAHEAD);
    values!(into, NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ, NV_ENC_CAPS_SUPPORT_10BIT_ENCODE, NV_ENC_CAPS_NUM_ENCODER_ENGINES);

    values!(into, NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME, NV_ENC_PARAMS_RC_CONSTQP, NV_ENC_PARAMS_RC_VBR);
    values!(into, NV_ENC_PARAMS_RC_CBR, NV_ENC_MULTI_PASS_DISABLED, NV_ENC_TWO_PASS_QUARTER_RESOLUTION);
    values!(into, NV_ENC_TWO_PASS_FULL_RESOLUTION, NV_ENC_TUNING_INFO_HIGH_QUALITY, NV_ENC_TUNING_INFO_LOW_LATENCY);
    values!(into, NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY, NV_ENC_BUFFER_FORMAT_NV12, NV_ENC_BUFFER_FORMAT_YUV420_10BIT);
    values!(into, NV_ENC_PIC_STRUCT_FRAME, NV_ENC_PIC_TYPE_IDR, NV_ENC_PIC_TYPE_I, NV_ENC_PIC_FLAG_FORCEIDR);
    values!(into, NV_ENC_PIC_FLAG_OUTPUT_SPSPPS, NV_ENC_PIC_FLAG_EOS, NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR);
    values!(into, NV_ENC_INPUT_IMAGE, NV_ENC_DEVICE_TYPE_CUDA, NVENC_INFINITE_GOPLENGTH, NV_ENC_BIT_DEPTH_8);
    values!(into, NV_ENC_BIT_DEPTH_10);
}

fn nvenc_structures(into: &mut Facts) {
    structure!(into, NV_ENC_CAPS_PARAM { capsToQuery });
    structure!(into, NV_ENC_CREATE_BITSTREAM_BUFFER { bitstreamBuffer });
    structure!(into, NV_ENC_RC_PARAMS {
        rateControlMode, constQP, averageBitRate, maxBitRate, vbvBufferSize, vbvInitialDelay, minQP, targetQuality,
        targetQualityLSB, lookaheadDepth, multiPass
    } flags { enableAQ, enableLookahead, enableTemporalAQ, zeroReorderDelay, strictGOPTarget });
    structure!(
        into,
        NV_ENC_CONFIG_H264_VUI_PARAMETERS {
            videoSignalTypePresentFlag,
            videoFormat,
            videoFullRangeFlag,
            colourDescriptionPresentFlag,
            colourPrimaries,
            transferCharacteristics,
            colourMatrix
        }
    );
    structure!(into, NV_ENC_CONFIG_H264 {
        level, idrPeriod, maxNumRefFrames, h264VUIParameters, chromaFormatIDC, useBFramesAsRef, outputBitDepth,
        inputBitDepth
    } flags { outputAUD, repeatSPSPPS });
    structure!(into, NV_ENC_CONFIG_HEVC { idrPeriod, hevcVUIParameters, useBFramesAsRef, outputBitDepth, inputBitDepth }
        flags { outputAUD, repeatSPSPPS, chromaFormatIDC, pixelBitDepthMinus8 });
    structure!(into, NV_ENC_CONFIG_AV1 {
        idrPeriod, tileWidths, colorPrimaries, transferCharacteristics, matrixCoefficients, colorRange, useBFramesAsRef,
        outputBitDepth, inputBitDepth
    } flags { repeatSeqHdr, chromaFormatIDC, inputPixelBitDepthMinus8, pixelBitDepthMinus8 });
    structure!(into, NV_ENC_CODEC_CONFIG {});
    structure!(
        into,
        NV_ENC_CONFIG {
            profileGUID,
            gopLength,
            frameIntervalP,
            monoChromeEncoding,
            frameFieldMode,
            mvPrecision,
            rcParams,
            encodeCodecConfig
        }
    );
    structure!(into, NV_ENC_INITIALIZE_PARAMS {
        encodeGUID, presetGUID, encodeWidth, encodeHeight, darWidth, darHeight, frameRateNum, frameRateDen,
        enableEncodeAsync, enablePTD, privData, encodeConfig, maxEncodeWidth, maxEncodeHeight, maxMEHintCountsPerBlock,
        tuningInfo
    } flags { reportSliceOffsets });
    structure!(into, NV_ENC_RECONFIGURE_PARAMS { reInitEncodeParams });
    structure!(into, NV_ENC_PRESET_CONFIG { presetCfg });
    structure!(
        into,
        NV_ENC_PIC_PARAMS {
            inputWidth,
            inputHeight,
            inputPitch,
            encodePicFlags,
            frameIdx,
            inputTimeStamp,
            inputDuration,
            inputBuffer,
            outputBitstream,
            completionEvent,
            bufferFmt,
            pictureStruct,
            pictureType,
            codecPicParams
        }
    );
    structure!(into, NV_ENC_LOCK_BITSTREAM {
        outputBitstream, sliceOffsets, frameIdx, hwEncodeStatus, numSlices, bitstreamSizeInBytes, outputTimeStamp,
        outputDuration, bitstreamBufferPtr, pictureType, frameAvgQP
    } flags { doNotWait });
    structure!(into, NV_ENC_MAP_INPUT_RESOURCE { registeredResource, mappedResource, mappedBufferFmt });
    structure!(
        into,
        NV_ENC_REGISTER_RESOURCE {
            resourceType,
            width,
            height,
            pitch,
            resourceToRegister,
            registeredResource,
            bufferFormat,
            bufferUsage
        }
    );
    structure!(into, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS { deviceType, device, apiVersion });
    structure!(
        into,
        NV_ENCODE_API_FUNCTION_LIST {
            nvEncGetEncodeGUIDCount,
            nvEncGetEncodeGUIDs,
            nvEncGetEncodeCaps,
            nvEncInitializeEncoder,
            nvEncCreateBitstreamBuffer,
            nvEncDestroyBitstreamBuffer,
            nvEncEncodePicture,
            nvEncLockBitstream,
            nvEncUnlockBitstream,
            nvEncMapInputResource,
            nvEncUnmapInputResource,
            nvEncDestroyEncoder,
            nvEncOpenEncodeSessionEx,
            nvEncRegisterResource,
            nvEncUnregisterResource,
            nvEncReconfigureEncoder,
            nvEncGetLastErrorString,
            nvEncGetEncodePresetConfigEx
        }
    );
}

fn cuvid(into: &mut Facts) {
    values!(into, cudaVideoCodec_H264, cudaVideoCodec_HEVC, cudaVideoCodec_VP9, cudaVideoCodec_AV1);
    values!(into, cudaVideoSurfaceFormat_NV12, cudaVideoSurfaceFormat_P016, cudaVideoDeinterlaceMode_Weave);
    values!(into, cudaVideoChromaFormat_420, cudaVideoCreate_PreferCUVID, cuvidDecodeStatus_Success);
    values!(into, cuvidDecodeStatus_Error, cuvidDecodeStatus_Error_Concealed, CUVID_PKT_ENDOFSTREAM);
    values!(into, CUVID_PKT_TIMESTAMP, CUVID_PKT_ENDOFPICTURE);
    structure!(
        into,
        CUVIDDECODECAPS {
            eCodecType,
            eChromaFormat,
            nBitDepthMinus8,
            bIsSupported,
            nNumNVDECs,
            nOutputFormatMask,
            nMaxWidth,
            nMaxHeight,
            nMaxMBCount,
            nMinWidth,
            nMinHeight
        }
    );
    structure!(
        into,
        CUVIDDECODECREATEINFO {
            ulWidth,
            ulHeight,
            ulNumDecodeSurfaces,
            CodecType,
            ChromaFormat,
            ulCreationFlags,
            bitDepthMinus8,
            ulMaxWidth,
            ulMaxHeight,
            display_area,
            OutputFormat,
            DeinterlaceMode,
            ulTargetWidth,
            ulTargetHeight,
            ulNumOutputSurfaces,
            vidLock,
            target_rect
        }
    );
    structure!(
        into,
        CUVIDPICPARAMS {
            CurrPicIdx,
            nBitstreamDataLen,
            pBitstreamData,
            nNumSlices,
            pSliceDataOffsets,
            intra_pic_flag,
            CodecSpecific
        }
    );
    structure!(
        into,
        CUVIDPROCPARAMS { progressive_frame, second_field, top_field_first, unpaired_field, output_stream }
    );
    structure!(into, CUVIDGETDECODESTATUS { decodeStatus });
    structure!(into, CUVIDEOFORMAT {
        codec, frame_rate, progressive_sequence, bit_depth_luma_minus8, bit_depth_chroma_minus8,
        min_num_decode_surfaces, coded_width, coded_height, display_area, chroma_format, display_aspect_ratio,
        video_signal_description, video_signal_description.color_primaries, seqhdr_data_length
    });
    let bit = 8 * offset_of!(CUVIDEOFORMAT, video_signal_description) as u32
        + VideoSignal::video_full_range_flag.trailing_zeros();
    into.insert("CUVIDEOFORMAT.video_signal_description.video_full_range_flag".into(), bit.to_string());
    structure!(into, CUVIDSOURCEDATAPACKET { flags, payload_size, payload, timestamp });
    structure!(into, CUVIDPARSERDISPINFO { picture_index, progressive_frame, timestamp });
    structure!(into, CUVIDPARSERPARAMS {
        CodecType, ulMaxNumDecodeSurfaces, ulClockRate, ulErrorThreshold, ulMaxDisplayDelay, pUserData,
        pfnSequenceCallback, pfnDecodePicture, pfnDisplayPicture, pfnGetOperatingPoint, pExtVideoInfo
    } flags { bAnnexb });
}

fn cuda(into: &mut Facts) {
    values!(into, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    values!(into, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE);
    structure!(into, CUdeviceptr {});
    structure!(into, CUuuid {});
    structure!(
        into,
        CUDA_MEMCPY2D {
            srcXInBytes,
            srcY,
            srcMemoryType,
            srcHost,
            srcDevice,
            srcArray,
            srcPitch,
            dstXInBytes,
            dstY,
            dstMemoryType,
            dstHost,
            dstDevice,
            dstArray,
            dstPitch,
            WidthInBytes,
            Height
        }
    );
}

/// What this crate says of an API.
fn ours(api: Api) -> Facts {
    let mut into = Facts::new();
    versions(&mut into, api);
    nvenc_values(&mut into);
    nvenc_structures(&mut into);
    cuvid(&mut into);
    cuda(&mut into);
    // What is handed over to be initialised has room behind it, and the flags of the reconfiguration move.
    into.insert("sizeof.NV_ENC_INITIALIZE_PARAMS".into(), size_of::<Initialize>().to_string());
    let flags = 8 * NV_ENC_RECONFIGURE_PARAMS::flags_offset(api);
    into.insert("NV_ENC_RECONFIGURE_PARAMS.resetEncoder".into(), flags.to_string());
    into.insert("NV_ENC_RECONFIGURE_PARAMS.forceIDR".into(), (flags + 1).to_string());
    into
}

/// What the headers say, one set for each API.
fn headers() -> Vec<Facts> {
    let mut all = vec![Facts::new(); Api::ALL.len()];
    for line in include_str!("headers.txt").lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        for (i, facts) in all.iter_mut().enumerate() {
            let value = if words.len() == 2 { words[1] } else { words[1 + i] };
            if value != "-" {
                facts.insert(words[0].into(), value.into());
            }
        }
    }
    all
}

#[test]
fn the_definitions_are_those_of_all_five_sdks() {
    let mut largest = BTreeMap::<String, usize>::new();
    for (api, theirs) in Api::ALL.into_iter().zip(headers()) {
        let ours = ours(api);
        assert!(theirs.len() > 300);
        for (name, due) in &theirs {
            let own = ours.get(name).unwrap_or_else(|| panic!("{name} of the headers is not checked"));
            if name.starts_with("sizeof.") {
                // A structure may be larger here than in some header.
                let (own, due): (usize, usize) = (own.parse().unwrap(), due.parse().unwrap());
                assert!(own >= due, "{name} in API {api}: {own} bytes here, {due} in the header");
                let most = largest.entry(name.clone()).or_default();
                *most = (*most).max(due);
            } else {
                assert_eq!(own, due, "{name} in API {api}");
            }
        }
    }
    let own = ours(Api::V13_0);
    for (name, due) in largest {
        assert_eq!(own[&name], due.to_string(), "{name} is no larger than the largest header has it");
    }
    let known: Vec<Facts> = headers();
    for name in own.keys() {
        assert!(known.iter().any(|facts| facts.contains_key(name)), "{name} is in none of the headers");
    }
}

/// The columns of the published table, as numbers: structure versions of each API, a star for bit 31.
#[test]
fn the_version_words_are_those_of_the_table() {
    let table = [
        (Api::V11_1, ["7*", "5*", "4*", "4*", "1", "3", "1*", "1"]),
        (Api::V12_0, ["8*", "5*", "4*", "6*", "2", "4", "1*", "1"]),
        (Api::V12_1, ["8*", "6*", "4*", "6*", "1*", "4", "1*", "1"]),
        (Api::V12_2, ["9*", "7*", "5*", "7*", "2*", "5", "2*", "1"]),
        (Api::V13_0, ["9*", "7*", "5*", "7*", "2*", "5", "2*", "1"]),
    ];
    use Structure::*;
    let columns = [Config, Initialize, Preset, Picture, Lock, Register, Reconfigure, Bitstream];
    for (api, row) in table {
        for (structure, due) in columns.into_iter().zip(row) {
            let number: u32 = due.trim_end_matches('*').parse().unwrap();
            let (major, minor) = api.numbers();
            let star = u32::from(due.ends_with('*')) << 31;
            assert_eq!(
                api.of(structure),
                major | minor << 24 | number << 16 | 7 << 28 | star,
                "{structure:?} of {api}"
            );
        }
    }
}

/// The same with the compiler and the headers of this machine, which `./run setup test` installs.
#[test]
fn the_headers_of_this_machine_say_the_same() {
    if !Path::new("/usr/include/ffnvcodec/nvEncodeAPI.h").exists() {
        // `./run test` has installed them.
        assert!(std::env::var_os("HEADFRAME_EXPECT_HEADERS").is_none(), "libffmpeg-nvenc-dev is missing");
        eprintln!(
            "skipped: no NVIDIA video headers here; ./run setup test installs them (Debian: libffmpeg-nvenc-dev)"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("layout");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layout.c");
    let built = Command::new("cc").args(["-Wall", "-Werror", "-o"]).arg(&program).arg(source).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let printed = String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap();
    let theirs: Facts = printed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let which = Api::ALL.into_iter().position(|api| api.word().to_string() == theirs["NVENCAPI_VERSION"]);
    let due = &headers()[which.expect("headers of an API that headers.txt has")];
    assert_eq!(&theirs, due);
}
