//! From a rendition to what an encoder session is told.

use super::super::scaling::{gcd, reduced};
use crate::ladder::{Fps, Preset, Rate, Rendition};
use crate::nvidia::{EncoderSettings, Format, RateControl, Tuning};
use crate::sessions::Spec;

/// Numbers of a display aspect ratio, which FFmpeg holds to as much.
const LARGEST_RATIO: u32 = 1 << 20;

/// Of a rendition of pictures of `format`, whose samples shall be `aspect`.
///
/// Keys are where the engine asks for them. The buffer holds a second at the ordered rate, as everywhere.
pub(super) fn of(rendition: &Rendition, fps: Fps, aspect: (i32, i32), format: &Format) -> EncoderSettings {
    let Rendition { width, height, codec, preset, bitrate_bps, .. } = *rendition;
    let class = Spec { codec, ten_bit: false, bframes: 0, preset, width, height }.class();
    // At most 4096 * 65535.
    let (across, down) = (width * aspect.0.unsigned_abs().max(1), height * aspect.1.unsigned_abs().max(1));
    // Both are above zero, and so is what divides them.
    let common = gcd(across.into(), down.into()) as u32;
    let (mut across, mut down) = (across / common, down / common);
    while across.max(down) > LARGEST_RATIO {
        (across, down) = ((across / 2).max(1), (down / 2).max(1));
    }
    EncoderSettings {
        codec,
        size: (width, height),
        max_size: (class.max_width, class.max_height),
        aspect: (across, down),
        rate: (fps.num, fps.den),
        bitrate_bps,
        control: match rendition.rate {
            Rate::Capped => RateControl::Variable { peak_bps: bitrate_bps },
            Rate::Cbr => RateControl::Constant,
            Rate::Quality(factor) => RateControl::Quality(f32::from(factor)),
        },
        buffer_bits: bitrate_bps,
        gop: 0,
        preset: match preset {
            Preset::Density => 2,
            Preset::Live => 4,
            Preset::Quality => 6,
        },
        tuning: Tuning::HighQuality,
        bit_depth: 8,
        lookahead: 0,
        colour: format.colour,
    }
}

/// The sample aspect ratio of pictures of `format`; zeros where the stream does not say.
pub(super) fn sample_aspect(format: &Format) -> (i32, i32) {
    let (num, den) = (u64::from(format.aspect.0), u64::from(format.aspect.1));
    match (num * u64::from(format.size.1), den * u64::from(format.size.0)) {
        (0, _) | (_, 0) => (0, 0),
        (num, den) => reduced(num, den),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder::Ladder;
    use crate::nvidia::Colour;

    fn format(size: (u32, u32), aspect: (u32, u32)) -> Format {
        let colour = Colour { full_range: false, primaries: 1, transfer: 1, matrix: 1 };
        Format { size, bit_depth: 8, rate: (30, 1), aspect, progressive: true, colour }
    }

    #[test]
    fn shapes_come_out_as_they_went_in() {
        assert_eq!(sample_aspect(&format((1920, 1080), (16, 9))), (1, 1));
        assert_eq!(sample_aspect(&format((720, 576), (16, 9))), (64, 45));
        assert_eq!(sample_aspect(&format((720, 576), (0, 0))), (0, 0));
        let ladder = Ladder::standard();
        let full_hd = format((1920, 1080), (16, 9));
        let told = of(&ladder.renditions()[3], Fps { num: 30, den: 1 }, (1, 1), &full_hd);
        assert_eq!((told.aspect, told.size, told.max_size), ((16, 9), (1280, 720), (1280, 720)));
        let told = of(&ladder.renditions()[3], Fps { num: 30, den: 1 }, (64, 45), &full_hd);
        assert_eq!(told.aspect, (1024, 405));
        let told = of(&ladder.renditions()[3], Fps { num: 30, den: 1 }, (65_521, 65_519), &full_hd);
        let (across, down) = (f64::from(told.aspect.0), f64::from(told.aspect.1));
        assert!(told.aspect.0 <= LARGEST_RATIO && (across / down * 9.0 / 16.0 - 65_521.0 / 65_519.0).abs() < 1e-5);
    }
}
