// Prints the sizes, offsets and version words of NVIDIA's video headers as `name number` lines, for layout.rs. Compiles
// with the headers of FFmpeg's nv-codec-headers, 11.1 to 13.0; what only some of them have is printed by those only.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ffnvcodec/dynlink_cuda.h>
#include <ffnvcodec/dynlink_cuviddec.h>
#include <ffnvcodec/dynlink_nvcuvid.h>
#include <ffnvcodec/nvEncodeAPI.h>

#define SIZE(type) printf("sizeof." #type " %zu\n", sizeof(type))
#define AT(type, field) printf(#type "." #field " %zu\n", offsetof(type, field))
#define VALUE(name) printf(#name " %lld\n", (long long)(name))
#define GUID_OF(name) guid(#name, name)

static void guid(const char *name, GUID id) {
    uint8_t bytes[16];
    memcpy(bytes, &id, 16);
    printf("%s ", name);
    for (int i = 0; i < 16; i++) printf("%02x", bytes[i]);
    printf("\n");
}

// The lowest bit of a bit-field: set it to one and look which bit of the structure that is.
#define BIT(type, field)                                                            \
    do {                                                                            \
        union { type it; uint8_t bytes[sizeof(type)]; } u;                          \
        memset(&u, 0, sizeof u);                                                    \
        u.it.field = 1;                                                             \
        for (size_t i = 0; i < sizeof(type) * 8; i++)                               \
            if (u.bytes[i / 8] >> (i % 8) & 1) printf(#type "." #field " %zu\n", i); \
    } while (0)

static void nvenc(void) {
    VALUE(NVENCAPI_VERSION);
    VALUE(NV_ENC_CAPS_PARAM_VER);
    VALUE(NV_ENC_CREATE_BITSTREAM_BUFFER_VER);
    VALUE(NV_ENC_RC_PARAMS_VER);
    VALUE(NV_ENC_CONFIG_VER);
    VALUE(NV_ENC_INITIALIZE_PARAMS_VER);
    VALUE(NV_ENC_RECONFIGURE_PARAMS_VER);
    VALUE(NV_ENC_PRESET_CONFIG_VER);
    VALUE(NV_ENC_PIC_PARAMS_VER);
    VALUE(NV_ENC_LOCK_BITSTREAM_VER);
    VALUE(NV_ENC_MAP_INPUT_RESOURCE_VER);
    VALUE(NV_ENC_REGISTER_RESOURCE_VER);
    VALUE(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER);
    VALUE(NV_ENCODE_API_FUNCTION_LIST_VER);

    GUID_OF(NV_ENC_CODEC_H264_GUID);
    GUID_OF(NV_ENC_CODEC_HEVC_GUID);
#if NVENCAPI_MAJOR_VERSION >= 12
    GUID_OF(NV_ENC_CODEC_AV1_GUID);
    GUID_OF(NV_ENC_AV1_PROFILE_MAIN_GUID);
#endif
    GUID_OF(NV_ENC_H264_PROFILE_HIGH_GUID);
    GUID_OF(NV_ENC_HEVC_PROFILE_MAIN_GUID);
    GUID_OF(NV_ENC_HEVC_PROFILE_MAIN10_GUID);
    GUID_OF(NV_ENC_PRESET_P1_GUID);
    GUID_OF(NV_ENC_PRESET_P2_GUID);
    GUID_OF(NV_ENC_PRESET_P3_GUID);
    GUID_OF(NV_ENC_PRESET_P4_GUID);
    GUID_OF(NV_ENC_PRESET_P5_GUID);
    GUID_OF(NV_ENC_PRESET_P6_GUID);
    GUID_OF(NV_ENC_PRESET_P7_GUID);

    VALUE(NV_ENC_ERR_NO_ENCODE_DEVICE);
    VALUE(NV_ENC_ERR_UNSUPPORTED_DEVICE);
    VALUE(NV_ENC_ERR_INVALID_ENCODERDEVICE);
    VALUE(NV_ENC_ERR_INVALID_DEVICE);
    VALUE(NV_ENC_ERR_DEVICE_NOT_EXIST);
    VALUE(NV_ENC_ERR_INVALID_PTR);
    VALUE(NV_ENC_ERR_INVALID_PARAM);
    VALUE(NV_ENC_ERR_INVALID_CALL);
    VALUE(NV_ENC_ERR_OUT_OF_MEMORY);
    VALUE(NV_ENC_ERR_ENCODER_NOT_INITIALIZED);
    VALUE(NV_ENC_ERR_UNSUPPORTED_PARAM);
    VALUE(NV_ENC_ERR_LOCK_BUSY);
    VALUE(NV_ENC_ERR_NOT_ENOUGH_BUFFER);
    VALUE(NV_ENC_ERR_INVALID_VERSION);
    VALUE(NV_ENC_ERR_MAP_FAILED);
    VALUE(NV_ENC_ERR_NEED_MORE_INPUT);
    VALUE(NV_ENC_ERR_ENCODER_BUSY);
    VALUE(NV_ENC_ERR_GENERIC);
    VALUE(NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY);
    VALUE(NV_ENC_ERR_UNIMPLEMENTED);
    VALUE(NV_ENC_ERR_RESOURCE_REGISTER_FAILED);
    VALUE(NV_ENC_ERR_RESOURCE_NOT_REGISTERED);
    VALUE(NV_ENC_ERR_RESOURCE_NOT_MAPPED);

    VALUE(NV_ENC_CAPS_NUM_MAX_BFRAMES);
    VALUE(NV_ENC_CAPS_WIDTH_MAX);
    VALUE(NV_ENC_CAPS_HEIGHT_MAX);
    VALUE(NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE);
    VALUE(NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE);
    VALUE(NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE);
    VALUE(NV_ENC_CAPS_SUPPORT_LOOKAHEAD);
    VALUE(NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ);
    VALUE(NV_ENC_CAPS_SUPPORT_10BIT_ENCODE);
    VALUE(NV_ENC_CAPS_WIDTH_MIN);
    VALUE(NV_ENC_CAPS_HEIGHT_MIN);
    VALUE(NV_ENC_CAPS_NUM_ENCODER_ENGINES);

    VALUE(NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME);
    VALUE(NV_ENC_PARAMS_RC_CONSTQP);
    VALUE(NV_ENC_PARAMS_RC_VBR);
    VALUE(NV_ENC_PARAMS_RC_CBR);
    VALUE(NV_ENC_MULTI_PASS_DISABLED);
    VALUE(NV_ENC_TWO_PASS_QUARTER_RESOLUTION);
    VALUE(NV_ENC_TWO_PASS_FULL_RESOLUTION);
    VALUE(NV_ENC_TUNING_INFO_HIGH_QUALITY);
    VALUE(NV_ENC_TUNING_INFO_LOW_LATENCY);
    VALUE(NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY);
    VALUE(NV_ENC_BUFFER_FORMAT_NV12);
    VALUE(NV_ENC_BUFFER_FORMAT_YUV420_10BIT);
    VALUE(NV_ENC_PIC_STRUCT_FRAME);
    VALUE(NV_ENC_PIC_TYPE_IDR);
    VALUE(NV_ENC_PIC_TYPE_I);
    VALUE(NV_ENC_PIC_FLAG_FORCEIDR);
    VALUE(NV_ENC_PIC_FLAG_OUTPUT_SPSPPS);
    VALUE(NV_ENC_PIC_FLAG_EOS);
    VALUE(NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR);
    VALUE(NV_ENC_INPUT_IMAGE);
    VALUE(NV_ENC_DEVICE_TYPE_CUDA);
    VALUE(NVENC_INFINITE_GOPLENGTH);

    SIZE(NV_ENC_CAPS_PARAM);
    AT(NV_ENC_CAPS_PARAM, capsToQuery);

    SIZE(NV_ENC_CREATE_BITSTREAM_BUFFER);
    AT(NV_ENC_CREATE_BITSTREAM_BUFFER, bitstreamBuffer);

    SIZE(NV_ENC_RC_PARAMS);
    AT(NV_ENC_RC_PARAMS, rateControlMode);
    AT(NV_ENC_RC_PARAMS, constQP);
    AT(NV_ENC_RC_PARAMS, averageBitRate);
    AT(NV_ENC_RC_PARAMS, maxBitRate);
    AT(NV_ENC_RC_PARAMS, vbvBufferSize);
    AT(NV_ENC_RC_PARAMS, vbvInitialDelay);
    BIT(NV_ENC_RC_PARAMS, enableAQ);
    BIT(NV_ENC_RC_PARAMS, enableLookahead);
    BIT(NV_ENC_RC_PARAMS, enableTemporalAQ);
    BIT(NV_ENC_RC_PARAMS, zeroReorderDelay);
    BIT(NV_ENC_RC_PARAMS, strictGOPTarget);
    AT(NV_ENC_RC_PARAMS, minQP);
    AT(NV_ENC_RC_PARAMS, targetQuality);
    AT(NV_ENC_RC_PARAMS, targetQualityLSB);
    AT(NV_ENC_RC_PARAMS, lookaheadDepth);
    AT(NV_ENC_RC_PARAMS, multiPass);

    SIZE(NV_ENC_CONFIG_H264_VUI_PARAMETERS);
    AT(NV_ENC_CONFIG_H264_VUI_PARAMETERS, videoSignalTypePresentFlag);
    AT(NV_ENC_CONFIG_H264_VUI_PARAMETERS, videoFormat);
    AT(NV_ENC_CONFIG_H264_VUI_PARAMETERS, videoFullRangeFlag);
    AT(NV_ENC_CONFIG_H264_VUI_PARAMETERS, colourDescriptionPresentFlag);
    AT(NV_ENC_CONFIG_H264_VUI_PARAMETERS, colourPrimaries);
    AT(NV_ENC_CONFIG_H264_VUI_PARAMETERS, transferCharacteristics);
    AT(NV_ENC_CONFIG_H264_VUI_PARAMETERS, colourMatrix);

    SIZE(NV_ENC_CONFIG_H264);
    BIT(NV_ENC_CONFIG_H264, outputAUD);
    BIT(NV_ENC_CONFIG_H264, repeatSPSPPS);
    AT(NV_ENC_CONFIG_H264, level);
    AT(NV_ENC_CONFIG_H264, idrPeriod);
    AT(NV_ENC_CONFIG_H264, maxNumRefFrames);
    AT(NV_ENC_CONFIG_H264, h264VUIParameters);
    AT(NV_ENC_CONFIG_H264, chromaFormatIDC);
    AT(NV_ENC_CONFIG_H264, useBFramesAsRef);

    SIZE(NV_ENC_CONFIG_HEVC);
    BIT(NV_ENC_CONFIG_HEVC, outputAUD);
    BIT(NV_ENC_CONFIG_HEVC, repeatSPSPPS);
    BIT(NV_ENC_CONFIG_HEVC, chromaFormatIDC);
    AT(NV_ENC_CONFIG_HEVC, idrPeriod);
    AT(NV_ENC_CONFIG_HEVC, hevcVUIParameters);
    AT(NV_ENC_CONFIG_HEVC, useBFramesAsRef);
#if NVENCAPI_MAJOR_VERSION >= 12
    SIZE(NV_ENC_CONFIG_AV1);
    BIT(NV_ENC_CONFIG_AV1, repeatSeqHdr);
    BIT(NV_ENC_CONFIG_AV1, chromaFormatIDC);
    AT(NV_ENC_CONFIG_AV1, idrPeriod);
    AT(NV_ENC_CONFIG_AV1, tileWidths);
    AT(NV_ENC_CONFIG_AV1, colorPrimaries);
    AT(NV_ENC_CONFIG_AV1, transferCharacteristics);
    AT(NV_ENC_CONFIG_AV1, matrixCoefficients);
    AT(NV_ENC_CONFIG_AV1, colorRange);
    AT(NV_ENC_CONFIG_AV1, useBFramesAsRef);
#endif
    // How the sample depth is told changed with 12.2.
#if NVENCAPI_MAJOR_VERSION > 12 || (NVENCAPI_MAJOR_VERSION == 12 && NVENCAPI_MINOR_VERSION >= 2)
    AT(NV_ENC_CONFIG_H264, outputBitDepth);
    AT(NV_ENC_CONFIG_H264, inputBitDepth);
    AT(NV_ENC_CONFIG_HEVC, outputBitDepth);
    AT(NV_ENC_CONFIG_HEVC, inputBitDepth);
    AT(NV_ENC_CONFIG_AV1, outputBitDepth);
    AT(NV_ENC_CONFIG_AV1, inputBitDepth);
    VALUE(NV_ENC_BIT_DEPTH_8);
    VALUE(NV_ENC_BIT_DEPTH_10);
#else
    BIT(NV_ENC_CONFIG_HEVC, pixelBitDepthMinus8);
#if NVENCAPI_MAJOR_VERSION >= 12
    BIT(NV_ENC_CONFIG_AV1, inputPixelBitDepthMinus8);
    BIT(NV_ENC_CONFIG_AV1, pixelBitDepthMinus8);
#endif
#endif

    SIZE(NV_ENC_CODEC_CONFIG);
    SIZE(NV_ENC_CONFIG);
    AT(NV_ENC_CONFIG, profileGUID);
    AT(NV_ENC_CONFIG, gopLength);
    AT(NV_ENC_CONFIG, frameIntervalP);
    AT(NV_ENC_CONFIG, monoChromeEncoding);
    AT(NV_ENC_CONFIG, frameFieldMode);
    AT(NV_ENC_CONFIG, mvPrecision);
    AT(NV_ENC_CONFIG, rcParams);
    AT(NV_ENC_CONFIG, encodeCodecConfig);

    SIZE(NV_ENC_INITIALIZE_PARAMS);
    AT(NV_ENC_INITIALIZE_PARAMS, encodeGUID);
    AT(NV_ENC_INITIALIZE_PARAMS, presetGUID);
    AT(NV_ENC_INITIALIZE_PARAMS, encodeWidth);
    AT(NV_ENC_INITIALIZE_PARAMS, encodeHeight);
    AT(NV_ENC_INITIALIZE_PARAMS, darWidth);
    AT(NV_ENC_INITIALIZE_PARAMS, darHeight);
    AT(NV_ENC_INITIALIZE_PARAMS, frameRateNum);
    AT(NV_ENC_INITIALIZE_PARAMS, frameRateDen);
    AT(NV_ENC_INITIALIZE_PARAMS, enableEncodeAsync);
    AT(NV_ENC_INITIALIZE_PARAMS, enablePTD);
    BIT(NV_ENC_INITIALIZE_PARAMS, reportSliceOffsets);
    AT(NV_ENC_INITIALIZE_PARAMS, privData);
    AT(NV_ENC_INITIALIZE_PARAMS, encodeConfig);
    AT(NV_ENC_INITIALIZE_PARAMS, maxEncodeWidth);
    AT(NV_ENC_INITIALIZE_PARAMS, maxEncodeHeight);
    AT(NV_ENC_INITIALIZE_PARAMS, maxMEHintCountsPerBlock);
    AT(NV_ENC_INITIALIZE_PARAMS, tuningInfo);

    SIZE(NV_ENC_RECONFIGURE_PARAMS);
    AT(NV_ENC_RECONFIGURE_PARAMS, reInitEncodeParams);
    BIT(NV_ENC_RECONFIGURE_PARAMS, resetEncoder);
    BIT(NV_ENC_RECONFIGURE_PARAMS, forceIDR);

    SIZE(NV_ENC_PRESET_CONFIG);
    AT(NV_ENC_PRESET_CONFIG, presetCfg);

    SIZE(NV_ENC_PIC_PARAMS);
    AT(NV_ENC_PIC_PARAMS, inputWidth);
    AT(NV_ENC_PIC_PARAMS, inputHeight);
    AT(NV_ENC_PIC_PARAMS, inputPitch);
    AT(NV_ENC_PIC_PARAMS, encodePicFlags);
    AT(NV_ENC_PIC_PARAMS, frameIdx);
    AT(NV_ENC_PIC_PARAMS, inputTimeStamp);
    AT(NV_ENC_PIC_PARAMS, inputDuration);
    AT(NV_ENC_PIC_PARAMS, inputBuffer);
    AT(NV_ENC_PIC_PARAMS, outputBitstream);
    AT(NV_ENC_PIC_PARAMS, completionEvent);
    AT(NV_ENC_PIC_PARAMS, bufferFmt);
    AT(NV_ENC_PIC_PARAMS, pictureStruct);
    AT(NV_ENC_PIC_PARAMS, pictureType);
    AT(NV_ENC_PIC_PARAMS, codecPicParams);

    SIZE(NV_ENC_LOCK_BITSTREAM);
    BIT(NV_ENC_LOCK_BITSTREAM, doNotWait);
    AT(NV_ENC_LOCK_BITSTREAM, outputBitstream);
    AT(NV_ENC_LOCK_BITSTREAM, sliceOffsets);
    AT(NV_ENC_LOCK_BITSTREAM, frameIdx);
    AT(NV_ENC_LOCK_BITSTREAM, hwEncodeStatus);
    AT(NV_ENC_LOCK_BITSTREAM, numSlices);
    AT(NV_ENC_LOCK_BITSTREAM, bitstreamSizeInBytes);
    AT(NV_ENC_LOCK_BITSTREAM, outputTimeStamp);
    AT(NV_ENC_LOCK_BITSTREAM, outputDuration);
    AT(NV_ENC_LOCK_BITSTREAM, bitstreamBufferPtr);
    AT(NV_ENC_LOCK_BITSTREAM, pictureType);
    AT(NV_ENC_LOCK_BITSTREAM, frameAvgQP);

    SIZE(NV_ENC_MAP_INPUT_RESOURCE);
    AT(NV_ENC_MAP_INPUT_RESOURCE, registeredResource);
    AT(NV_ENC_MAP_INPUT_RESOURCE, mappedResource);
    AT(NV_ENC_MAP_INPUT_RESOURCE, mappedBufferFmt);

    SIZE(NV_ENC_REGISTER_RESOURCE);
    AT(NV_ENC_REGISTER_RESOURCE, resourceType);
    AT(NV_ENC_REGISTER_RESOURCE, width);
    AT(NV_ENC_REGISTER_RESOURCE, height);
    AT(NV_ENC_REGISTER_RESOURCE, pitch);
    AT(NV_ENC_REGISTER_RESOURCE, resourceToRegister);
    AT(NV_ENC_REGISTER_RESOURCE, registeredResource);
    AT(NV_ENC_REGISTER_RESOURCE, bufferFormat);
    AT(NV_ENC_REGISTER_RESOURCE, bufferUsage);

    SIZE(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS);
    AT(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, deviceType);
    AT(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, device);
    AT(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, apiVersion);

    SIZE(NV_ENCODE_API_FUNCTION_LIST);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncGetEncodeGUIDCount);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncGetEncodeGUIDs);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncGetEncodeCaps);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncInitializeEncoder);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncCreateBitstreamBuffer);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncDestroyBitstreamBuffer);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncEncodePicture);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncLockBitstream);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncUnlockBitstream);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncMapInputResource);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncUnmapInputResource);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncDestroyEncoder);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncOpenEncodeSessionEx);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncRegisterResource);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncUnregisterResource);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncReconfigureEncoder);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncGetLastErrorString);
    AT(NV_ENCODE_API_FUNCTION_LIST, nvEncGetEncodePresetConfigEx);
}

static void cuvid(void) {
    VALUE(cudaVideoCodec_H264);
    VALUE(cudaVideoCodec_HEVC);
    VALUE(cudaVideoCodec_VP9);
    VALUE(cudaVideoCodec_AV1);
    VALUE(cudaVideoSurfaceFormat_NV12);
    VALUE(cudaVideoSurfaceFormat_P016);
    VALUE(cudaVideoDeinterlaceMode_Weave);
    VALUE(cudaVideoChromaFormat_420);
    VALUE(cudaVideoCreate_PreferCUVID);
    VALUE(cuvidDecodeStatus_Success);
    VALUE(cuvidDecodeStatus_Error);
    VALUE(cuvidDecodeStatus_Error_Concealed);
    VALUE(CUVID_PKT_ENDOFSTREAM);
    VALUE(CUVID_PKT_TIMESTAMP);
    VALUE(CUVID_PKT_ENDOFPICTURE);

    SIZE(CUVIDDECODECAPS);
    AT(CUVIDDECODECAPS, eCodecType);
    AT(CUVIDDECODECAPS, eChromaFormat);
    AT(CUVIDDECODECAPS, nBitDepthMinus8);
    AT(CUVIDDECODECAPS, bIsSupported);
    AT(CUVIDDECODECAPS, nNumNVDECs);
    AT(CUVIDDECODECAPS, nOutputFormatMask);
    AT(CUVIDDECODECAPS, nMaxWidth);
    AT(CUVIDDECODECAPS, nMaxHeight);
    AT(CUVIDDECODECAPS, nMaxMBCount);
    AT(CUVIDDECODECAPS, nMinWidth);
    AT(CUVIDDECODECAPS, nMinHeight);

    SIZE(CUVIDDECODECREATEINFO);
    AT(CUVIDDECODECREATEINFO, ulWidth);
    AT(CUVIDDECODECREATEINFO, ulHeight);
    AT(CUVIDDECODECREATEINFO, ulNumDecodeSurfaces);
    AT(CUVIDDECODECREATEINFO, CodecType);
    AT(CUVIDDECODECREATEINFO, ChromaFormat);
    AT(CUVIDDECODECREATEINFO, ulCreationFlags);
    AT(CUVIDDECODECREATEINFO, bitDepthMinus8);
    AT(CUVIDDECODECREATEINFO, ulMaxWidth);
    AT(CUVIDDECODECREATEINFO, ulMaxHeight);
    AT(CUVIDDECODECREATEINFO, display_area);
    AT(CUVIDDECODECREATEINFO, OutputFormat);
    AT(CUVIDDECODECREATEINFO, DeinterlaceMode);
    AT(CUVIDDECODECREATEINFO, ulTargetWidth);
    AT(CUVIDDECODECREATEINFO, ulTargetHeight);
    AT(CUVIDDECODECREATEINFO, ulNumOutputSurfaces);
    AT(CUVIDDECODECREATEINFO, vidLock);
    AT(CUVIDDECODECREATEINFO, target_rect);

    SIZE(CUVIDPICPARAMS);
    AT(CUVIDPICPARAMS, CurrPicIdx);
    AT(CUVIDPICPARAMS, nBitstreamDataLen);
    AT(CUVIDPICPARAMS, pBitstreamData);
    AT(CUVIDPICPARAMS, nNumSlices);
    AT(CUVIDPICPARAMS, pSliceDataOffsets);
    AT(CUVIDPICPARAMS, intra_pic_flag);
    AT(CUVIDPICPARAMS, CodecSpecific);

    SIZE(CUVIDPROCPARAMS);
    AT(CUVIDPROCPARAMS, progressive_frame);
    AT(CUVIDPROCPARAMS, second_field);
    AT(CUVIDPROCPARAMS, top_field_first);
    AT(CUVIDPROCPARAMS, unpaired_field);
    AT(CUVIDPROCPARAMS, output_stream);

    SIZE(CUVIDGETDECODESTATUS);
    AT(CUVIDGETDECODESTATUS, decodeStatus);

    SIZE(CUVIDEOFORMAT);
    AT(CUVIDEOFORMAT, codec);
    AT(CUVIDEOFORMAT, frame_rate);
    AT(CUVIDEOFORMAT, progressive_sequence);
    AT(CUVIDEOFORMAT, bit_depth_luma_minus8);
    AT(CUVIDEOFORMAT, bit_depth_chroma_minus8);
    AT(CUVIDEOFORMAT, min_num_decode_surfaces);
    AT(CUVIDEOFORMAT, coded_width);
    AT(CUVIDEOFORMAT, coded_height);
    AT(CUVIDEOFORMAT, display_area);
    AT(CUVIDEOFORMAT, chroma_format);
    AT(CUVIDEOFORMAT, display_aspect_ratio);
    AT(CUVIDEOFORMAT, video_signal_description);
    BIT(CUVIDEOFORMAT, video_signal_description.video_full_range_flag);
    AT(CUVIDEOFORMAT, video_signal_description.color_primaries);
    AT(CUVIDEOFORMAT, seqhdr_data_length);

    SIZE(CUVIDSOURCEDATAPACKET);
    AT(CUVIDSOURCEDATAPACKET, flags);
    AT(CUVIDSOURCEDATAPACKET, payload_size);
    AT(CUVIDSOURCEDATAPACKET, payload);
    AT(CUVIDSOURCEDATAPACKET, timestamp);

    SIZE(CUVIDPARSERDISPINFO);
    AT(CUVIDPARSERDISPINFO, picture_index);
    AT(CUVIDPARSERDISPINFO, progressive_frame);
    AT(CUVIDPARSERDISPINFO, timestamp);

    SIZE(CUVIDPARSERPARAMS);
    AT(CUVIDPARSERPARAMS, CodecType);
    AT(CUVIDPARSERPARAMS, ulMaxNumDecodeSurfaces);
    AT(CUVIDPARSERPARAMS, ulClockRate);
    AT(CUVIDPARSERPARAMS, ulErrorThreshold);
    AT(CUVIDPARSERPARAMS, ulMaxDisplayDelay);
    BIT(CUVIDPARSERPARAMS, bAnnexb);
    AT(CUVIDPARSERPARAMS, pUserData);
    AT(CUVIDPARSERPARAMS, pfnSequenceCallback);
    AT(CUVIDPARSERPARAMS, pfnDecodePicture);
    AT(CUVIDPARSERPARAMS, pfnDisplayPicture);
    AT(CUVIDPARSERPARAMS, pfnGetOperatingPoint);
    AT(CUVIDPARSERPARAMS, pExtVideoInfo);
}

static void cuda(void) {
    VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    VALUE(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    VALUE(CU_MEMORYTYPE_HOST);
    VALUE(CU_MEMORYTYPE_DEVICE);
    SIZE(CUdeviceptr);
    SIZE(CUuuid);
    SIZE(CUDA_MEMCPY2D);
    AT(CUDA_MEMCPY2D, srcXInBytes);
    AT(CUDA_MEMCPY2D, srcY);
    AT(CUDA_MEMCPY2D, srcMemoryType);
    AT(CUDA_MEMCPY2D, srcHost);
    AT(CUDA_MEMCPY2D, srcDevice);
    AT(CUDA_MEMCPY2D, srcArray);
    AT(CUDA_MEMCPY2D, srcPitch);
    AT(CUDA_MEMCPY2D, dstXInBytes);
    AT(CUDA_MEMCPY2D, dstY);
    AT(CUDA_MEMCPY2D, dstMemoryType);
    AT(CUDA_MEMCPY2D, dstHost);
    AT(CUDA_MEMCPY2D, dstDevice);
    AT(CUDA_MEMCPY2D, dstArray);
    AT(CUDA_MEMCPY2D, dstPitch);
    AT(CUDA_MEMCPY2D, WidthInBytes);
    AT(CUDA_MEMCPY2D, Height);
}

int main(void) {
    nvenc();
    cuvid();
    cuda();
    return 0;
}
