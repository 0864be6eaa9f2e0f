//! Ladders at random: any size that a quick test can afford, any stride, format and content. And conversions.

use crate::noise::Noise;
use crate::pictures::Input;
use headframe_kernels::convert::{Colour, Conversion, Matrix, Range};
use headframe_kernels::{Filter, Format, Source};

/// A picture and what is to be made of it.
pub(crate) struct Case {
    pub(crate) input: Input,
    pub(crate) sizes: Vec<(u32, u32)>,
    pub(crate) filter: Filter,
    /// For whatever else is to be random.
    pub(crate) noise: Noise,
}

/// The case of this number.
pub(crate) fn random_case(seed: u64) -> Case {
    let mut noise = Noise::new(seed);
    let longest = [8, 70, 150, 260][noise.below(4) as usize];
    let (width, height) = (noise.within(1, longest), noise.within(1, 24));
    // Lanczos tables take long to make: fewer of them.
    let filter = if noise.below(16) == 0 { Filter::Lanczos3 } else { Filter::CatmullRom };
    let format = if noise.below(2) == 0 { Format::Yuv420 } else { Format::ALL[noise.below(10) as usize] };
    let input = Input::new(Source { width, height, format }, &mut noise);
    let count = [1, 1, 1, 2, 3][noise.below(5) as usize];
    let sizes: Vec<(u32, u32)> = (0..count)
        .map(|_| {
            if noise.below(16) == 0 {
                (width, height)
            } else {
                (partner(width, &mut noise), partner(height, &mut noise).min(64))
            }
        })
        .filter(|to| height.max(to.1) <= 64 * height.min(to.1))
        .collect();
    Case { input, sizes, filter, noise }
}

/// From any colour description to any.
pub(crate) fn random_conversion(noise: &mut Noise) -> Conversion {
    let mut colour = || Colour {
        matrix: [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020][noise.below(3) as usize],
        range: [Range::Limited, Range::Full][noise.below(2) as usize],
    };
    Conversion::new(colour(), colour())
}

/// A side that may be scaled from or to `side`.
fn partner(side: u32, noise: &mut Noise) -> u32 {
    let (low, high) = (side.div_ceil(64), (side * 64).min(260));
    match noise.below(4) {
        // Near the ratios of real ladders.
        0 => (side * 2 / 3).clamp(low, high),
        1 => (side / 3).clamp(low, high),
        _ => noise.within(low, high),
    }
}
