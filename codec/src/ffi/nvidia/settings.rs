//! What an encoder session is told: from our words to the driver's configuration.

use headframe_nv_sys::Api;
use headframe_nv_sys::nvenc::{
    GUID, Initialize, NV_ENC_AV1_PROFILE_MAIN_GUID, NV_ENC_BIT_DEPTH, NV_ENC_CONFIG, NV_ENC_CONFIG_AV1,
    NV_ENC_CONFIG_H264, NV_ENC_CONFIG_H264_VUI_PARAMETERS, NV_ENC_CONFIG_HEVC, NV_ENC_H264_PROFILE_HIGH_GUID,
    NV_ENC_HEVC_PROFILE_MAIN_GUID, NV_ENC_HEVC_PROFILE_MAIN10_GUID, NV_ENC_MULTI_PASS_DISABLED, NV_ENC_PARAMS_RC_CBR,
    NV_ENC_PARAMS_RC_VBR, NV_ENC_PRESET_GUIDS, NV_ENC_RC_PARAMS, NV_ENC_TUNING_INFO, NV_ENC_TUNING_INFO_HIGH_QUALITY,
    NV_ENC_TUNING_INFO_LOW_LATENCY, NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY, NVENC_INFINITE_GOPLENGTH, SPLIT_DISABLED,
};
use headframe_nv_sys::version::Structure;

use super::failure::NvidiaError;
use super::stream::guid;
use crate::ladder::Codec;

/// What the encoder optimises for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tuning {
    /// Quality at the bit rate.
    #[default]
    HighQuality,
    /// Short delay.
    LowLatency,
    /// The shortest delay.
    UltraLowLatency,
}

/// What the bit rate means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RateControl {
    /// Kept to all the time.
    Constant,
    /// The average; peaks may be this many bits a second.
    Variable {
        /// Upper limit, bits a second.
        peak_bps: u32,
    },
    /// The upper limit; below it, pictures are as good as this: 1, the best, to 51, whatever the codec's own scale.
    Quality(f32),
}

/// Colours, as ITU-T H.273 numbers them; 2 is "unspecified".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// Samples use all values.
    pub full_range: bool,
    /// Colour primaries.
    pub primaries: u8,
    /// Transfer characteristics.
    pub transfer: u8,
    /// Matrix coefficients.
    pub matrix: u8,
}

/// What an encoder session makes. Pictures come out in the order in which they go in: there are no B-frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncoderSettings {
    /// The codec.
    pub codec: Codec,
    /// Luma samples of a row, and rows: even numbers.
    pub size: (u32, u32),
    /// The largest size that the session may be given later.
    pub max_size: (u32, u32),
    /// Width and height of the picture as shown, a ratio.
    pub aspect: (u32, u32),
    /// Pictures a second, a ratio.
    pub rate: (u32, u32),
    /// Bits a second.
    pub bitrate_bps: u32,
    /// What the bit rate means.
    pub control: RateControl,
    /// Bits of the rate control's buffer.
    pub buffer_bits: u32,
    /// Most pictures from IDR to IDR; 0: only where they are asked for.
    pub gop: u32,
    /// 1, the fastest, to 7, the best.
    pub preset: u8,
    /// What it optimises for.
    pub tuning: Tuning,
    /// Bits of a sample: 8, or with HEVC and AV1 10.
    pub bit_depth: u8,
    /// Pictures that are looked at ahead; each needs a surface and delays the output by one.
    pub lookahead: u16,
    /// Colours, written into the stream.
    pub colour: Colour,
}

impl EncoderSettings {
    /// Most pictures looked at ahead.
    pub const MAX_LOOKAHEAD: u16 = 32;

    pub(super) fn check(&self, api: Api) -> Result<(), NvidiaError> {
        let Self { size, max_size, .. } = self;
        let even = |n: u32| n > 0 && n.is_multiple_of(2);
        let sizes = [size.0, size.1, max_size.0, max_size.1];
        let wrong = [
            (!sizes.into_iter().all(even), "sizes must be even numbers"),
            (size.0 > max_size.0 || size.1 > max_size.1, "the size exceeds the session's largest"),
            (sizes.into_iter().any(|n| n > 1 << 14), "no encoder takes more than 16384 samples"),
            (self.rate.0 == 0 || self.rate.1 == 0, "the frame rate must not be zero"),
            (self.aspect.0 == 0 || self.aspect.1 == 0, "the aspect ratio must not be zero"),
            (self.bitrate_bps == 0 || self.buffer_bits == 0, "bit rate and buffer must not be zero"),
            (!(1..=7).contains(&self.preset), "presets are 1 to 7"),
            (!matches!(self.bit_depth, 8 | 10), "samples have 8 or 10 bits"),
            (self.bit_depth == 10 && self.codec == Codec::H264, "H.264 is made in 8 bits"),
            (self.codec == Codec::Av1 && api < Api::V12_0, "AV1 needs a driver with NVENC API 12.0 (520.56.06)"),
            (self.lookahead > Self::MAX_LOOKAHEAD, "at most 32 pictures are looked at ahead"),
            (matches!(self.control, RateControl::Quality(q) if !(1.0..=51.0).contains(&q)), "quality is 1 to 51"),
        ];
        match wrong.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, what)) => Err(NvidiaError::Unsupported { what: what.into() }),
            None => Ok(()),
        }
    }

    /// Whether a session that was opened with `self` can go on with `next`: only size, rates and aspect may change. Colours
    /// may as well by the header, but no program is known that changes them so.
    pub fn can_become(&self, next: &Self) -> bool {
        let &Self { size, aspect, rate, bitrate_bps, control, buffer_bits, .. } = next;
        let same = Self { size, aspect, rate, bitrate_bps, control, buffer_bits, ..*self };
        let control = std::mem::discriminant(&self.control) == std::mem::discriminant(&next.control);
        same == *next && control
    }

    pub(super) fn preset_guid(&self) -> GUID {
        NV_ENC_PRESET_GUIDS[usize::from(self.preset.clamp(1, 7)) - 1]
    }

    pub(super) fn tuning_info(&self) -> NV_ENC_TUNING_INFO {
        match self.tuning {
            Tuning::HighQuality => NV_ENC_TUNING_INFO_HIGH_QUALITY,
            Tuning::LowLatency => NV_ENC_TUNING_INFO_LOW_LATENCY,
            Tuning::UltraLowLatency => NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY,
        }
    }

    /// Pictures from IDR to IDR, as the driver counts them.
    fn gop_length(&self) -> u32 {
        if self.gop == 0 { NVENC_INFINITE_GOPLENGTH } else { self.gop }
    }

    /// Changes the preset's configuration into ours.
    pub(super) fn configure(&self, api: Api, config: &mut NV_ENC_CONFIG) {
        config.version = api.of(Structure::Config);
        config.gopLength = self.gop_length();
        config.frameIntervalP = 1;
        config.profileGUID = match (self.codec, self.bit_depth) {
            (Codec::H264, _) => NV_ENC_H264_PROFILE_HIGH_GUID,
            (Codec::Hevc, 10) => NV_ENC_HEVC_PROFILE_MAIN10_GUID,
            (Codec::Hevc, _) => NV_ENC_HEVC_PROFILE_MAIN_GUID,
            (Codec::Av1, _) => NV_ENC_AV1_PROFILE_MAIN_GUID,
        };
        config.rcParams.version = api.of(Structure::RateControl);
        self.rate_control(api, &mut config.rcParams);
        // SAFETY: a member of a union of plain integers and pointers, all of which was initialised; the codec says which
        // member the driver reads.
        unsafe {
            match self.codec {
                Codec::H264 => self.h264(api, &mut config.encodeCodecConfig.h264Config),
                Codec::Hevc => self.hevc(api, &mut config.encodeCodecConfig.hevcConfig),
                Codec::Av1 => self.av1(api, &mut config.encodeCodecConfig.av1Config),
            }
        }
    }

    fn rate_control(&self, api: Api, rc: &mut NV_ENC_RC_PARAMS) {
        // Presets differ in it, and drivers in their presets; FFmpeg has none either unless asked.
        rc.multiPass = NV_ENC_MULTI_PASS_DISABLED;
        rc.vbvBufferSize = self.buffer_bits;
        rc.vbvInitialDelay = self.buffer_bits;
        rc.averageBitRate = self.bitrate_bps;
        match self.control {
            RateControl::Constant => {
                rc.rateControlMode = NV_ENC_PARAMS_RC_CBR;
                rc.maxBitRate = self.bitrate_bps;
            }
            RateControl::Variable { peak_bps } => {
                rc.rateControlMode = NV_ENC_PARAMS_RC_VBR;
                rc.maxBitRate = peak_bps.max(self.bitrate_bps);
            }
            RateControl::Quality(quality) => {
                // Constant quality is a variable rate without an average: NVIDIA's programming guide, "Target quality". The
                // buffer goes with the average. AV1 has a scale of its own since 13.0 (`targetQuality` in nvEncodeAPI.h).
                let stretch = if self.codec == Codec::Av1 && api >= Api::V13_0 { 63.0 / 51.0 } else { 1.0 };
                let steps = (quality * stretch * 256.0).round() as u32;
                rc.rateControlMode = NV_ENC_PARAMS_RC_VBR;
                rc.averageBitRate = 0;
                (rc.vbvBufferSize, rc.vbvInitialDelay) = (0, 0);
                rc.maxBitRate = self.bitrate_bps;
                rc.targetQuality = (steps >> 8) as u8;
                rc.targetQualityLSB = (steps & 0xff) as u8;
            }
        }
        // Pictures leave in the order in which they came: no reordering delay.
        rc.flags |= NV_ENC_RC_PARAMS::zeroReorderDelay;
        rc.flags &= !NV_ENC_RC_PARAMS::enableLookahead;
        rc.lookaheadDepth = self.lookahead;
        if self.lookahead > 0 {
            rc.flags |= NV_ENC_RC_PARAMS::enableLookahead;
        }
    }

    fn vui(&self) -> NV_ENC_CONFIG_H264_VUI_PARAMETERS {
        const UNSPECIFIED_FORMAT: u32 = 5;
        NV_ENC_CONFIG_H264_VUI_PARAMETERS {
            videoSignalTypePresentFlag: 1,
            videoFormat: UNSPECIFIED_FORMAT,
            videoFullRangeFlag: self.colour.full_range.into(),
            colourDescriptionPresentFlag: 1,
            colourPrimaries: self.colour.primaries.into(),
            transferCharacteristics: self.colour.transfer.into(),
            colourMatrix: self.colour.matrix.into(),
            // Says that no picture waits for a later one: decoders that are not told keep as many as could.
            bitstreamRestrictionFlag: 1,
            ..Default::default()
        }
    }

    fn h264(&self, api: Api, h264: &mut NV_ENC_CONFIG_H264) {
        h264.idrPeriod = self.gop_length();
        h264.flags |= NV_ENC_CONFIG_H264::repeatSPSPPS | NV_ENC_CONFIG_H264::outputAUD;
        h264.chromaFormatIDC = 1;
        h264.h264VUIParameters = self.vui();
        if api.has_bit_depth_fields() {
            h264.inputBitDepth = NV_ENC_BIT_DEPTH(self.bit_depth.into());
            h264.outputBitDepth = NV_ENC_BIT_DEPTH(self.bit_depth.into());
        }
    }

    fn hevc(&self, api: Api, hevc: &mut NV_ENC_CONFIG_HEVC) {
        hevc.idrPeriod = self.gop_length();
        hevc.flags |= NV_ENC_CONFIG_HEVC::repeatSPSPPS | NV_ENC_CONFIG_HEVC::outputAUD;
        set_bits(&mut hevc.flags, NV_ENC_CONFIG_HEVC::chromaFormatIDC, 2, 1);
        hevc.hevcVUIParameters = self.vui();
        if api.has_bit_depth_fields() {
            hevc.inputBitDepth = NV_ENC_BIT_DEPTH(self.bit_depth.into());
            hevc.outputBitDepth = NV_ENC_BIT_DEPTH(self.bit_depth.into());
        } else {
            set_bits(&mut hevc.flags, NV_ENC_CONFIG_HEVC::pixelBitDepthMinus8, 3, u32::from(self.bit_depth) - 8);
        }
    }

    fn av1(&self, api: Api, av1: &mut NV_ENC_CONFIG_AV1) {
        av1.idrPeriod = self.gop_length();
        av1.flags |= NV_ENC_CONFIG_AV1::repeatSeqHdr;
        set_bits(&mut av1.flags, NV_ENC_CONFIG_AV1::chromaFormatIDC, 2, 1);
        av1.colorPrimaries = self.colour.primaries.into();
        av1.transferCharacteristics = self.colour.transfer.into();
        av1.matrixCoefficients = self.colour.matrix.into();
        av1.colorRange = self.colour.full_range.into();
        if api.has_bit_depth_fields() {
            av1.inputBitDepth = NV_ENC_BIT_DEPTH(self.bit_depth.into());
            av1.outputBitDepth = NV_ENC_BIT_DEPTH(self.bit_depth.into());
        } else {
            let depth = u32::from(self.bit_depth) - 8;
            set_bits(&mut av1.flags, NV_ENC_CONFIG_AV1::inputPixelBitDepthMinus8, 3, depth);
            set_bits(&mut av1.flags, NV_ENC_CONFIG_AV1::pixelBitDepthMinus8, 3, depth);
        }
    }

    /// AV1 has no ratio but the size at which the picture is to be shown (`render_size` in section 5.9.6 of its
    /// specification), which decoders may take for the visible part: never smaller than the picture.
    fn render_size(&self) -> (u32, u32) {
        let [width, height, across, down] =
            [self.size.0, self.size.1, self.aspect.0, self.aspect.1].map(|side| u64::from(side.max(1)));
        let side = |product: u64, by: u64| u32::try_from(((product + by / 2) / by).min(1 << 16)).unwrap_or(1 << 16);
        match across * height >= down * width {
            true => (side(height * across, down), self.size.1),
            false => (self.size.0, side(width * down, across)),
        }
    }

    /// What the session is initialised with; `encodeConfig` is still to be pointed at the configuration.
    pub(super) fn initialize(&self, api: Api) -> Initialize {
        let mut parameters = Initialize::default();
        let it = &mut parameters.it;
        it.version = api.of(Structure::Initialize);
        it.encodeGUID = guid(self.codec);
        it.presetGUID = self.preset_guid();
        (it.encodeWidth, it.encodeHeight) = self.size;
        (it.darWidth, it.darHeight) = match self.codec {
            Codec::Av1 => self.render_size(),
            Codec::H264 | Codec::Hevc => self.aspect,
        };
        (it.frameRateNum, it.frameRateDen) = self.rate;
        it.enablePTD = 1;
        // A session is on one engine, as the plan of who gets which has it, and has no seams.
        if self.codec != Codec::H264 && api >= Api::V12_1 {
            it.flags |= SPLIT_DISABLED;
        }
        (it.maxEncodeWidth, it.maxEncodeHeight) = self.max_size;
        it.tuningInfo = self.tuning_info();
        parameters
    }
}

/// Sets a field of `width` bits whose lowest bit is `lowest`.
fn set_bits(flags: &mut u32, lowest: u32, width: u32, value: u32) {
    let mask = lowest * ((1 << width) - 1);
    *flags = (*flags & !mask) | ((lowest * value) & mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> EncoderSettings {
        EncoderSettings {
            codec: Codec::Hevc,
            size: (640, 360),
            max_size: (1280, 720),
            aspect: (16, 9),
            rate: (30, 1),
            bitrate_bps: 1_000_000,
            control: RateControl::Constant,
            buffer_bits: 1_000_000,
            gop: 30,
            preset: 4,
            tuning: Tuning::HighQuality,
            bit_depth: 8,
            lookahead: 0,
            colour: Colour { full_range: false, primaries: 1, transfer: 1, matrix: 1 },
        }
    }

    #[test]
    fn the_sample_depth_is_told_as_the_api_wants_it() {
        let ten = EncoderSettings { bit_depth: 10, ..settings() };
        for api in Api::ALL {
            let mut hevc = NV_ENC_CONFIG_HEVC { flags: u32::MAX, ..Default::default() };
            ten.hevc(api, &mut hevc);
            if api.has_bit_depth_fields() {
                assert_eq!((hevc.inputBitDepth.0, hevc.outputBitDepth.0), (10, 10), "{api}");
            } else {
                assert_eq!((hevc.inputBitDepth.0, hevc.outputBitDepth.0, hevc.flags >> 11 & 7), (0, 0, 2), "{api}");
            }
            assert_eq!(hevc.flags >> 9 & 3, 1, "4:2:0");
            let mut av1 = NV_ENC_CONFIG_AV1::default();
            ten.av1(api, &mut av1);
            let bits = (av1.flags >> 12 & 7, av1.flags >> 15 & 7);
            assert_eq!(bits, if api.has_bit_depth_fields() { (0, 0) } else { (2, 2) }, "{api}");
        }
    }

    #[test]
    fn quality_is_a_fraction_and_has_no_average() {
        let mut rc = NV_ENC_RC_PARAMS::default();
        let quality = EncoderSettings { control: RateControl::Quality(23.5), ..settings() };
        quality.rate_control(Api::V13_0, &mut rc);
        assert_eq!((rc.targetQuality, rc.targetQualityLSB, rc.averageBitRate, rc.maxBitRate), (23, 128, 0, 1_000_000));
        assert_eq!((rc.vbvBufferSize, rc.vbvInitialDelay), (0, 0));
        // 63 is the worst of AV1 where the driver counts so.
        for (api, worst) in [(Api::V12_2, 51), (Api::V13_0, 63)] {
            let av1 = EncoderSettings { codec: Codec::Av1, control: RateControl::Quality(51.0), ..quality };
            av1.rate_control(api, &mut rc);
            assert_eq!((rc.targetQuality, rc.targetQualityLSB), (worst, 0), "{api}");
        }
    }

    #[test]
    fn av1_is_told_a_size_and_the_others_a_ratio() {
        let dar = |codec, size, aspect| {
            let it = EncoderSettings { codec, size, aspect, ..settings() }.initialize(Api::V13_0).it;
            (it.darWidth, it.darHeight)
        };
        assert_eq!(dar(Codec::Hevc, (640, 360), (16, 9)), (16, 9));
        assert_eq!(dar(Codec::Av1, (640, 360), (16, 9)), (640, 360));
        // Samples that are wider, and narrower, than high.
        assert_eq!(dar(Codec::Av1, (720, 576), (16, 9)), (1024, 576));
        assert_eq!(dar(Codec::Av1, (720, 576), (1, 1)), (720, 720));
        assert_eq!(dar(Codec::Av1, (720, 576), (u32::MAX, 1)), (1 << 16, 576));
    }

    #[test]
    fn a_session_is_on_one_engine_where_the_driver_can_be_told() {
        let flags = |codec, api| EncoderSettings { codec, ..settings() }.initialize(api).it.flags;
        assert_eq!(Api::ALL.map(|api| flags(Codec::Hevc, api)), [0, 0, 0x1e0, 0x1e0, 0x1e0]);
        assert_eq!(flags(Codec::H264, Api::V13_0), 0);
    }

    #[test]
    fn what_no_card_can_do_is_refused_before_it_is_asked() {
        assert_eq!(settings().check(Api::V11_1), Ok(()));
        let wrong = [
            EncoderSettings { size: (641, 360), ..settings() },
            EncoderSettings { size: (1282, 720), ..settings() },
            EncoderSettings { rate: (30, 0), ..settings() },
            EncoderSettings { preset: 8, ..settings() },
            EncoderSettings { codec: Codec::H264, bit_depth: 10, ..settings() },
            EncoderSettings { codec: Codec::Av1, ..settings() },
            EncoderSettings { control: RateControl::Quality(f32::NAN), ..settings() },
        ];
        for settings in wrong {
            assert!(settings.check(Api::V11_1).is_err(), "{settings:?}");
        }
    }

    #[test]
    fn a_session_goes_on_with_another_size_and_rate_alone() {
        let now = settings();
        let rung = EncoderSettings { size: (1280, 720), bitrate_bps: 3_000_000, rate: (60, 1), ..now };
        assert!(now.can_become(&rung));
        let others = [
            EncoderSettings { gop: 60, ..now },
            EncoderSettings { preset: 5, ..now },
            EncoderSettings { codec: Codec::H264, ..now },
            EncoderSettings { max_size: (1920, 1080), ..now },
            EncoderSettings { colour: Colour { matrix: 5, ..now.colour }, ..now },
            EncoderSettings { control: RateControl::Quality(20.0), ..now },
        ];
        for other in others {
            assert!(!now.can_become(&other), "{other:?}");
        }
    }
}
