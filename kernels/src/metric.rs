//! Quality metrics on pairs of planes.

use std::num::NonZeroUsize;
use thiserror::Error;

use crate::plane::PlaneRef;
use crate::reference::{WindowSums, window_sums, windows};
use crate::simd::{self, Isa};

/// The planes compared do not have one shape.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot compare a plane of {a:?} with one of {b:?} samples")]
pub struct ShapeMismatch {
    /// Width and height of the first.
    pub a: (usize, usize),
    /// Width and height of the second.
    pub b: (usize, usize),
}

fn same_shape(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> Result<(), ShapeMismatch> {
    let (a, b) = ((a.width(), a.height()), (b.width(), b.height()));
    if a == b { Ok(()) } else { Err(ShapeMismatch { a, b }) }
}

/// Sum of squared differences.
pub fn squared_error(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> Result<u64, ShapeMismatch> {
    same_shape(a, b)?;
    Ok(simd::squared_error(Isa::best(), a, b))
}

/// Peak signal-to-noise ratio in dB for a squared error over `n` 8-bit samples; infinite when there is no error.
pub fn psnr_db(squared_error: u64, n: u64) -> f64 {
    10.0 * (255.0 * 255.0 * n as f64 / squared_error as f64).log10()
}

/// [`squared_error`] of each tile of `side` by `side` samples, row after row of tiles; those at the right and lower
/// edge may be smaller. `a.width().div_ceil(side)` tiles make a row.
pub fn tile_errors(a: &PlaneRef<'_>, b: &PlaneRef<'_>, side: NonZeroUsize) -> Result<Vec<u64>, ShapeMismatch> {
    tile_errors_with(Isa::best(), a, b, side)
}

/// The same on a given instruction set.
pub fn tile_errors_with(
    isa: Isa,
    a: &PlaneRef<'_>,
    b: &PlaneRef<'_>,
    side: NonZeroUsize,
) -> Result<Vec<u64>, ShapeMismatch> {
    same_shape(a, b)?;
    Ok(simd::tile_errors(isa, a, b, side))
}

/// The sums that SSIM is made from: windows of 8x8 samples, 4 apart in both directions, on the grid that x264 and
/// FFmpeg use, row after row. Where a plane is smaller than a window, the window is cut off at its edge.
pub fn ssim_sums(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> Result<Vec<WindowSums>, ShapeMismatch> {
    ssim_sums_with(Isa::best(), a, b)
}

/// The same on a given instruction set.
pub fn ssim_sums_with(isa: Isa, a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> Result<Vec<WindowSums>, ShapeMismatch> {
    same_shape(a, b)?;
    let (across, down) = (windows(a.width()), windows(a.height()));
    if a.width() < 8 || a.height() < 8 {
        let window = |i: usize| window_sums(a, b, 4 * (i % across), 4 * (i / across));
        return Ok((0..across * down).map(window).collect());
    }
    // A window is four blocks of 4x4, each of which is in up to four windows.
    let mut sums = Vec::with_capacity(across * down);
    let [mut upper, mut lower] = [vec![[0u32; 4]; across + 1], vec![[0u32; 4]; across + 1]];
    simd::block_sums(isa, a, b, 0, &mut upper);
    for y in 1..=down {
        simd::block_sums(isa, a, b, 4 * y, &mut lower);
        for x in 0..across {
            let sum = |i: usize| u64::from(upper[x][i] + upper[x + 1][i] + lower[x][i] + lower[x + 1][i]);
            sums.push(WindowSums { n: 64, a: sum(0), b: sum(1), squares: sum(2), product: sum(3) });
        }
        std::mem::swap(&mut upper, &mut lower);
    }
    Ok(sums)
}

/// Structural similarity, 1 for equal planes: the mean over the windows of [`ssim_sums`].
pub fn ssim(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> Result<f64, ShapeMismatch> {
    Ok(ssim_of(&ssim_sums(a, b)?))
}

/// The same from the sums, in their order.
pub fn ssim_of(sums: &[WindowSums]) -> f64 {
    sums.iter().map(window_ssim).sum::<f64>() / sums.len() as f64
}

fn window_ssim(sums: &WindowSums) -> f64 {
    let (n, a, b) = (sums.n as f64, sums.a as f64, sums.b as f64);
    let c1 = 0.01 * 0.01 * 255.0 * 255.0 * n * n;
    let c2 = 0.03 * 0.03 * 255.0 * 255.0 * n * (n - 1.0).max(1.0);
    let variances = sums.squares as f64 * n - a * a - b * b;
    let covariance = sums.product as f64 * n - a * b;
    (2.0 * a * b + c1) * (2.0 * covariance + c2) / ((a * a + b * b + c1) * (variances + c2))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn equal_and_different_planes() {
        let a: Vec<u8> = (0..32 * 20).map(|i| (i * 37 % 251) as u8).collect();
        let b: Vec<u8> = a.iter().map(|v| v.saturating_add(4)).collect();
        let plane = |data| PlaneRef::new(data, 32, 20, 32).unwrap();
        assert_eq!(squared_error(&plane(&a), &plane(&a)).unwrap(), 0);
        assert_eq!(ssim(&plane(&a), &plane(&a)).unwrap(), 1.0);
        assert_eq!(psnr_db(0, 640), f64::INFINITY);
        let error = squared_error(&plane(&a), &plane(&b)).unwrap();
        assert!(error > 600 * 16 && error <= 640 * 16, "{error}");
        let similarity = ssim(&plane(&a), &plane(&b)).unwrap();
        assert!((0.9..1.0).contains(&similarity), "{similarity}");
        let noise: Vec<u8> = (0..32 * 20).map(|i| (i * i * 31 % 253) as u8).collect();
        assert!(ssim(&plane(&a), &plane(&noise)).unwrap() < 0.3);
        assert!((psnr_db(640 * 16, 640) - 36.09).abs() < 0.01);
    }

    #[test]
    fn shapes_must_agree() {
        let data = [0u8; 64];
        let (a, b) = (PlaneRef::new(&data, 8, 8, 8).unwrap(), PlaneRef::new(&data, 8, 4, 8).unwrap());
        assert_eq!(squared_error(&a, &b).unwrap_err(), ShapeMismatch { a: (8, 8), b: (8, 4) });
    }
}
