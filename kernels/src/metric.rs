//! Quality metrics on pairs of planes.

use thiserror::Error;

use crate::plane::PlaneRef;
use crate::reference::{WindowSums, window_sums};
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

/// Structural similarity, 1 for equal planes: the mean over 8x8 windows, 4 samples apart in both directions, on the grid
/// that x264 and FFmpeg use. Sums are integers; planes smaller than a window count as one window.
pub fn ssim(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> Result<f64, ShapeMismatch> {
    same_shape(a, b)?;
    let (across, down) = (windows(a.width()), windows(a.height()));
    let mut sum = 0.0;
    for y in 0..down {
        for x in 0..across {
            sum += window_ssim(&window_sums(a, b, 4 * x, 4 * y));
        }
    }
    Ok(sum / (across * down) as f64)
}

fn windows(side: usize) -> usize {
    if side < 8 { 1 } else { (side - 8) / 4 + 1 }
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
