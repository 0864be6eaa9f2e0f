//! What a client says, checked and understood.

use headframe_nv_sys::Api;
use headframe_nv_sys::nvenc::{
    self, GUID, NV_ENC_CONFIG, NV_ENC_CONFIG_AV1, NV_ENC_CONFIG_H264, NV_ENC_CONFIG_H264_VUI_PARAMETERS,
    NV_ENC_CONFIG_HEVC, NV_ENC_INITIALIZE_PARAMS, NV_ENC_RC_PARAMS, NVENCSTATUS,
};
use headframe_nv_sys::version::Structure;

use crate::LEDGER;
use crate::coder::Order;
use crate::session::Fixed;

/// Sizes that this encoder takes.
pub(crate) const MIN: (u32, u32) = (146, 50);
pub(crate) const MAX: (u32, u32) = (4096, 4096);

/// Whether a structure's word is that of the session's API.
pub(crate) fn version(api: Api, structure: Structure, word: u32) -> Result<(), NVENCSTATUS> {
    if word == api.of(structure) {
        return Ok(());
    }
    LEDGER.violation(format!("{structure:?} with version word {word:#x} in a session of API {api}"));
    Err(nvenc::NV_ENC_ERR_INVALID_VERSION)
}

/// The codecs that a session of this API sees.
pub(crate) fn codecs(api: Api) -> Vec<GUID> {
    let told = LEDGER.value("codecs").unwrap_or_else(|| "h264,hevc,av1".into());
    let one = |name: &str| match name {
        "h264" => Some(nvenc::NV_ENC_CODEC_H264_GUID),
        "hevc" => Some(nvenc::NV_ENC_CODEC_HEVC_GUID),
        "av1" => (api >= Api::V12_0).then_some(nvenc::NV_ENC_CODEC_AV1_GUID),
        _ => None,
    };
    told.split(',').filter_map(one).collect()
}

fn wrong(what: &str) -> NVENCSTATUS {
    LEDGER.violation(what);
    nvenc::NV_ENC_ERR_INVALID_PARAM
}

/// Understands an initialisation and its configuration.
///
/// The configuration's union was written by the client for this codec; all members of it are plain integers.
pub(crate) fn initialization(
    api: Api,
    it: &NV_ENC_INITIALIZE_PARAMS,
    config: &NV_ENC_CONFIG,
    codec: &CodecConfig,
) -> Result<(Fixed, Order), NVENCSTATUS> {
    version(api, Structure::Initialize, it.version)?;
    version(api, Structure::Config, config.version)?;
    version(api, Structure::RateControl, config.rcParams.version)?;
    if it.reserved1.0.iter().any(|word| *word != 0) || it.reserved2.0.iter().any(|word| *word != 0) {
        return Err(wrong("reserved fields of the initialisation are not zero"));
    }
    if config.reserved.0.iter().any(|word| *word != 0) || config.reserved2.0.iter().any(|word| *word != 0) {
        return Err(wrong("reserved fields of the configuration are not zero"));
    }
    if !codecs(api).contains(&it.encodeGUID) {
        return Err(nvenc::NV_ENC_ERR_UNSUPPORTED_PARAM);
    }
    if !nvenc::NV_ENC_PRESET_GUIDS.contains(&it.presetGUID) || !(1..=3).contains(&it.tuningInfo.0) {
        return Err(wrong("a preset or tuning that there is not"));
    }
    let size = (it.encodeWidth, it.encodeHeight);
    let max = match (it.maxEncodeWidth, it.maxEncodeHeight) {
        // FFmpeg leaves it out; the session cannot grow then.
        (0, 0) if LEDGER.is_for_ffmpeg() => size,
        (0, 0) => return Err(wrong("a session without a largest size")),
        max => max,
    };
    let fits = |(width, height): (u32, u32)| (MIN.0..=MAX.0).contains(&width) && (MIN.1..=MAX.1).contains(&height);
    if !fits(size) || !fits(max) || size.0 > max.0 || size.1 > max.1 {
        return Err(nvenc::NV_ENC_ERR_INVALID_PARAM);
    }
    if it.enablePTD != 1 || it.enableEncodeAsync != 0 || config.frameIntervalP != 1 {
        return Err(wrong("this double decides picture types itself, is synchronous and has no B-frames"));
    }
    if it.frameRateNum == 0 || it.frameRateDen == 0 || config.gopLength == 0 || codec.idr_period != config.gopLength {
        return Err(wrong("a frame rate or GOP length of nothing, or an IDR period that is not the GOP's"));
    }
    if !codec.repeats_headers {
        return Err(wrong("segments need their headers at every IDR picture"));
    }
    // It is a size and no ratio there; who shows pictures may take it for the part that is to be seen.
    if it.encodeGUID == nvenc::NV_ENC_CODEC_AV1_GUID && (it.darWidth < it.encodeWidth || it.darHeight < it.encodeHeight)
    {
        LEDGER.violation("AV1 that is to be shown smaller than it is");
    }
    let rc = &config.rcParams;
    let lookahead = if rc.flags & NV_ENC_RC_PARAMS::enableLookahead != 0 { rc.lookaheadDepth } else { 0 };
    let quality =
        (rc.averageBitRate == 0).then(|| f32::from(rc.targetQuality) + f32::from(rc.targetQualityLSB) / 256.0);
    let fixed = Fixed {
        codec: it.encodeGUID,
        preset: it.presetGUID,
        tuning: it.tuningInfo,
        gop: config.gopLength,
        lookahead,
        max,
    };
    let order = Order {
        size,
        rate: (it.frameRateNum, it.frameRateDen),
        bitrate: rc.averageBitRate,
        peak: rc.maxBitRate,
        buffer: rc.vbvBufferSize,
        quality,
        bit_depth: codec.bit_depth,
        aspect: (it.darWidth, it.darHeight),
        colour: codec.colour,
    };
    Ok((fixed, order))
}

/// What a configuration says in the codec's own part.
pub(crate) struct CodecConfig {
    idr_period: u32,
    repeats_headers: bool,
    bit_depth: u32,
    colour: Option<[u32; 4]>,
}

/// Range, primaries, transfer and matrix.
fn colour(vui: &NV_ENC_CONFIG_H264_VUI_PARAMETERS) -> Option<[u32; 4]> {
    const UNSPECIFIED: u32 = 2;
    // FFmpeg says nothing of colours that it does not know.
    if !LEDGER.is_for_ffmpeg() && (vui.videoSignalTypePresentFlag, vui.colourDescriptionPresentFlag) != (1, 1) {
        LEDGER.violation("a stream that does not say what its colours are");
    }
    let [primaries, transfer, matrix] = match vui.colourDescriptionPresentFlag {
        0 => [UNSPECIFIED; 3],
        _ => [vui.colourPrimaries, vui.transferCharacteristics, vui.colourMatrix],
    };
    (vui.videoSignalTypePresentFlag != 0).then_some([vui.videoFullRangeFlag, primaries, transfer, matrix])
}

impl CodecConfig {
    pub(crate) fn h264(api: Api, config: &NV_ENC_CONFIG_H264) -> Self {
        if api.has_bit_depth_fields() && (config.inputBitDepth.0, config.outputBitDepth.0) != (8, 8) {
            LEDGER.violation("H.264 in other than 8 bits");
        }
        let repeats_headers = config.flags & NV_ENC_CONFIG_H264::repeatSPSPPS != 0;
        let colour = colour(&config.h264VUIParameters);
        Self { idr_period: config.idrPeriod, repeats_headers, bit_depth: 8, colour }
    }

    pub(crate) fn hevc(api: Api, config: &NV_ENC_CONFIG_HEVC) -> Self {
        let bits = (config.flags / NV_ENC_CONFIG_HEVC::pixelBitDepthMinus8) & 7;
        let bit_depth = if api.has_bit_depth_fields() {
            if config.inputBitDepth != config.outputBitDepth || bits != 0 {
                LEDGER.violation("the sample depth is told in two ways");
            }
            config.outputBitDepth.0
        } else {
            if config.outputBitDepth.0 != 0 {
                LEDGER.violation("a field of API 12.2 in an older session");
            }
            bits + 8
        };
        let repeats_headers = config.flags & NV_ENC_CONFIG_HEVC::repeatSPSPPS != 0;
        let colour = colour(&config.hevcVUIParameters);
        Self { idr_period: config.idrPeriod, repeats_headers, bit_depth, colour }
    }

    pub(crate) fn av1(api: Api, config: &NV_ENC_CONFIG_AV1) -> Self {
        let bits = |lowest: u32| (config.flags / lowest) & 7;
        let (input, made) =
            (bits(NV_ENC_CONFIG_AV1::inputPixelBitDepthMinus8), bits(NV_ENC_CONFIG_AV1::pixelBitDepthMinus8));
        let bit_depth = if api.has_bit_depth_fields() {
            if config.inputBitDepth != config.outputBitDepth || (input, made) != (0, 0) {
                LEDGER.violation("the sample depth is told in two ways");
            }
            config.outputBitDepth.0
        } else {
            if config.outputBitDepth.0 != 0 || input != made {
                LEDGER.violation("a field of API 12.2 in an older session, or two depths");
            }
            made + 8
        };
        if bits(NV_ENC_CONFIG_AV1::chromaFormatIDC) & 3 != 1 {
            LEDGER.violation("AV1 in other than 4:2:0");
        }
        let repeats_headers = config.flags & NV_ENC_CONFIG_AV1::repeatSeqHdr != 0;
        let (primaries, transfer) = (config.colorPrimaries, config.transferCharacteristics);
        let colour = Some([config.colorRange, primaries, transfer, config.matrixCoefficients]);
        Self { idr_period: config.idrPeriod, repeats_headers, bit_depth, colour }
    }
}
