//! The definition of every kernel, in plain integer Rust. Read this to know what the fast ones compute.
//!
//! Scaling is separable, rows first mixed vertically, then samples horizontally:
//! 1. `mid[x] = (sum(coef_v[t] * src[clamp(first_v + t)][x]) + 128) >> 8`, an `i16` with 6 fractional bits. It is not
//!    clamped: with weights that sum to one and a negative part of at most 15 %, `|mid| < 22000` always fits.
//! 2. `out = clamp((sum(coef_h[t] * mid[clamp(first_h + t)]) + 2^19) >> 20, 0, 255)`, sums in `i32`.
//!
//! Shifts are arithmetic, so halves round up. Rows and columns outside the picture repeat its edge.

use crate::filter::Axis;
use crate::plane::{PlaneMut, PlaneRef};

/// Fractional bits dropped after the vertical pass.
pub const VERTICAL_SHIFT: u32 = 8;
/// Fractional bits dropped after the horizontal pass.
pub const HORIZONTAL_SHIFT: u32 = 20;

fn clamp(index: i32, len: usize) -> usize {
    index.clamp(0, len as i32 - 1) as usize
}

/// Scales one plane with the two tables.
///
/// # Panics
/// If the tables' lengths are not the size of `dst`.
pub fn scale_plane(src: &PlaneRef<'_>, dst: &mut PlaneMut<'_>, horizontal: &Axis, vertical: &Axis) {
    assert_eq!((dst.width(), dst.height()), (horizontal.len(), vertical.len()), "tables made for another size");
    let mut mid = vec![0i16; src.width()];
    for y in 0..dst.height() {
        for (x, mid) in mid.iter_mut().enumerate() {
            let mut sum = 0i32;
            for (t, coef) in vertical.coefs(y).iter().enumerate() {
                let row = clamp(vertical.first(y) + t as i32, src.height());
                sum += i32::from(*coef) * i32::from(src.row(row)[x]);
            }
            *mid = ((sum + (1 << (VERTICAL_SHIFT - 1))) >> VERTICAL_SHIFT) as i16;
        }
        for (x, out) in dst.row_mut(y).iter_mut().enumerate() {
            let mut sum = 0i32;
            for (t, coef) in horizontal.coefs(x).iter().enumerate() {
                sum += i32::from(*coef) * i32::from(mid[clamp(horizontal.first(x) + t as i32, src.width())]);
            }
            *out = ((sum + (1 << (HORIZONTAL_SHIFT - 1))) >> HORIZONTAL_SHIFT).clamp(0, 255) as u8;
        }
    }
}

/// Sum of squared differences of two planes of one shape. At most `255^2 * 16384^2`, so it cannot overflow.
pub fn squared_error(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> u64 {
    let mut sum = 0;
    for y in 0..a.height() {
        for (a, b) in a.row(y).iter().zip(b.row(y)) {
            sum += u64::from(a.abs_diff(*b)).pow(2);
        }
    }
    sum
}

/// What SSIM needs to know of one window of `n` samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowSums {
    /// Samples.
    pub n: u64,
    /// Sum of `a`.
    pub a: u64,
    /// Sum of `b`.
    pub b: u64,
    /// Sum of `a^2 + b^2`.
    pub squares: u64,
    /// Sum of `a * b`.
    pub product: u64,
}

/// The sums of one window with its corner at `(x, y)`, cut off at the plane's edges.
pub fn window_sums(a: &PlaneRef<'_>, b: &PlaneRef<'_>, x: usize, y: usize) -> WindowSums {
    let mut sums = WindowSums::default();
    for row in y..(y + 8).min(a.height()) {
        for column in x..(x + 8).min(a.width()) {
            let (a, b) = (u64::from(a.row(row)[column]), u64::from(b.row(row)[column]));
            sums.n += 1;
            sums.a += a;
            sums.b += b;
            sums.squares += a * a + b * b;
            sums.product += a * b;
        }
    }
    sums
}
