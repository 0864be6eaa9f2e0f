//! The loops in safe Rust: the driver that every instruction set shares, and the portable passes.
//!
//! Shape of the scaler: one output row at a time. The vertical pass mixes source rows into a row of `i16` whose edges
//! are then repeated on both sides, so that the horizontal pass needs no clamping: every output is a dot product of
//! 8, 16, 24... neighbours with its own weights.

use crate::plane::{PlaneMut, PlaneRef};
use crate::reference::{HORIZONTAL_SHIFT, VERTICAL_SHIFT};
use crate::scale::Plan;

/// Samples whose vertical sums the portable pass keeps at once.
const BLOCK: usize = 32;

/// One implementation of the two passes.
pub(super) struct Passes {
    /// (weights, as many rows, one sum per column): rows are at least as long as the output. The number of weights is
    /// even.
    pub(super) vertical: fn(&[i16], &[&[u8]], &mut [i16]),
    /// (tables, padded row, outputs).
    pub(super) horizontal: fn(&Plan, &[i16], &mut [u8]),
}

pub(super) const PORTABLE: Passes = Passes { vertical, horizontal };

pub(super) fn scale_plane(passes: &Passes, plan: &Plan, src: &PlaneRef<'_>, dst: &mut PlaneMut<'_>, row: &mut [i16]) {
    let row = &mut row[..plan.row_len];
    let (width, last) = (src.width(), src.height() as i32 - 1);
    let mut rows = Vec::with_capacity(plan.vertical.taps());
    for y in 0..dst.height() {
        let first = plan.vertical.first(y);
        rows.clear();
        rows.extend((0..plan.vertical.taps() as i32).map(|t| src.row((first + t).clamp(0, last) as usize)));
        (passes.vertical)(plan.vertical.coefs(y), &rows, &mut row[plan.pad..plan.pad + width]);
        let (head, tail) = (row[plan.pad], row[plan.pad + width - 1]);
        row[..plan.pad].fill(head);
        row[plan.pad + width..].fill(tail);
        (passes.horizontal)(plan, row, dst.row_mut(y));
    }
}

fn vertical(coefs: &[i16], rows: &[&[u8]], out: &mut [i16]) {
    let mut x = 0;
    for out in out.chunks_exact_mut(BLOCK) {
        let mut sums = [1i32 << (VERTICAL_SHIFT - 1); BLOCK];
        for (coef, row) in coefs.iter().zip(rows) {
            for (sum, sample) in sums.iter_mut().zip(&row[x..x + BLOCK]) {
                *sum += i32::from(*coef) * i32::from(*sample);
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum >> VERTICAL_SHIFT) as i16;
        }
        x += BLOCK;
    }
    vertical_rest(coefs, rows, out, x);
}

/// Columns `from..` of the vertical pass, for what is left of a row behind the last full register.
pub(super) fn vertical_rest(coefs: &[i16], rows: &[&[u8]], out: &mut [i16], from: usize) {
    for (x, out) in out.iter_mut().enumerate().skip(from) {
        let sum: i32 = coefs.iter().zip(rows).map(|(coef, row)| i32::from(*coef) * i32::from(row[x])).sum();
        *out = ((sum + (1 << (VERTICAL_SHIFT - 1))) >> VERTICAL_SHIFT) as i16;
    }
}

fn horizontal(plan: &Plan, row: &[i16], out: &mut [u8]) {
    match plan.tap_stride {
        8 => horizontal_by::<8>(plan, row, out),
        16 => horizontal_by::<16>(plan, row, out),
        24 => horizontal_by::<24>(plan, row, out),
        _ => horizontal_rest(plan, row, out, 0),
    }
}

fn horizontal_by<const T: usize>(plan: &Plan, row: &[i16], out: &mut [u8]) {
    for ((out, start), coefs) in out.iter_mut().zip(&plan.starts).zip(plan.coefs.chunks_exact(T)) {
        let samples = &row[*start as usize..][..T];
        let mut sum = 0i32;
        for t in 0..T {
            sum += i32::from(coefs[t]) * i32::from(samples[t]);
        }
        *out = finish(sum);
    }
}

/// Outputs `from..` of the horizontal pass, any number of taps.
pub(super) fn horizontal_rest(plan: &Plan, row: &[i16], out: &mut [u8], from: usize) {
    let tables = plan.starts.iter().zip(plan.coefs.chunks_exact(plan.tap_stride));
    for (out, (start, coefs)) in out.iter_mut().zip(tables).skip(from) {
        let samples = &row[*start as usize..][..plan.tap_stride];
        *out = finish(coefs.iter().zip(samples).map(|(c, s)| i32::from(*c) * i32::from(*s)).sum());
    }
}

fn finish(sum: i32) -> u8 {
    ((sum + (1 << (HORIZONTAL_SHIFT - 1))) >> HORIZONTAL_SHIFT).clamp(0, 255) as u8
}

/// Inlined so that each caller compiles it for its own instruction set.
#[inline(always)]
pub(super) fn squared_error(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> u64 {
    let mut total = 0u64;
    for y in 0..a.height() {
        // A chunk's sum stays below 2^32: 4096 * 255^2.
        for (a, b) in a.row(y).chunks(4096).zip(b.row(y).chunks(4096)) {
            let mut sum = 0u32;
            for (a, b) in a.iter().zip(b) {
                let d = i32::from(*a) - i32::from(*b);
                sum += (d * d) as u32;
            }
            total += u64::from(sum);
        }
    }
    total
}
