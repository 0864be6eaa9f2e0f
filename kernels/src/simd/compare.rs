//! Comparing planes: the loops that every instruction set shares, and the portable innermost ones.

use crate::plane::PlaneRef;

/// Samples whose squared differences one sum of 32 bits holds: `16384 * 255^2 < 2^32`.
const RUN: usize = 16_384;

pub(super) fn squared_error(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> u64 {
    squared_error_by(a, b, run_error)
}

pub(super) fn tile_errors(a: &PlaneRef<'_>, b: &PlaneRef<'_>, side: usize) -> Vec<u64> {
    tile_errors_by(a, b, side, run_error)
}

#[inline(always)]
pub(super) fn squared_error_by(a: &PlaneRef<'_>, b: &PlaneRef<'_>, run_error: impl Fn(&[u8], &[u8]) -> u32) -> u64 {
    let mut sum = 0;
    for y in 0..a.height() {
        sum += row_error(a.row(y), b.row(y), &run_error);
    }
    sum
}

#[inline(always)]
pub(super) fn tile_errors_by(
    a: &PlaneRef<'_>,
    b: &PlaneRef<'_>,
    side: usize,
    run_error: impl Fn(&[u8], &[u8]) -> u32,
) -> Vec<u64> {
    let across = a.width().div_ceil(side);
    let mut sums = vec![0; across * a.height().div_ceil(side)];
    for y in 0..a.height() {
        let sums = &mut sums[y / side * across..][..across];
        for ((sum, a), b) in sums.iter_mut().zip(a.row(y).chunks(side)).zip(b.row(y).chunks(side)) {
            *sum += row_error(a, b, &run_error);
        }
    }
    sums
}

#[inline(always)]
fn row_error(a: &[u8], b: &[u8], run_error: &impl Fn(&[u8], &[u8]) -> u32) -> u64 {
    let mut sum = 0;
    for (a, b) in a.chunks(RUN).zip(b.chunks(RUN)) {
        sum += u64::from(run_error(a, b));
    }
    sum
}

/// At most [`RUN`] samples.
#[inline(always)]
pub(super) fn run_error(a: &[u8], b: &[u8]) -> u32 {
    let mut sum = 0u32;
    for (a, b) in a.iter().zip(b) {
        let d = i32::from(*a) - i32::from(*b);
        sum += (d * d) as u32;
    }
    sum
}

/// See [`super::block_sums`].
#[inline(always)]
pub(super) fn block_sums(a: [&[u8]; 4], b: [&[u8]; 4], out: &mut [[u32; 4]]) {
    for (x, out) in out.iter_mut().enumerate() {
        *out = [0; 4];
        for (a, b) in a.iter().zip(b) {
            for (a, b) in a[4 * x..][..4].iter().zip(&b[4 * x..][..4]) {
                let (a, b) = (u32::from(*a), u32::from(*b));
                *out = [out[0] + a, out[1] + b, out[2] + a * a + b * b, out[3] + a * b];
            }
        }
    }
}
