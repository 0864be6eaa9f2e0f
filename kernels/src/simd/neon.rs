//! NEON, which every 64-bit Arm has.
//!
//! Vertically, the rows are widened to words and multiplied by one weight each. Horizontally, a table look-up picks the
//! samples of four outputs' next pairs of taps out of a window of up to three registers; even and odd taps are summed
//! apart until the end, as there is no instruction for a product of pairs.

use std::arch::aarch64::*;
use std::arch::asm;

use super::table::{Groups, Shape, Window};
use super::{Job, Mix, Passes, compare, portable};
use crate::plane::PlaneRef;
use crate::reference::{HORIZONTAL_SHIFT, VERTICAL_SHIFT};
use crate::source::Depth;

/// Outputs of a group.
const GROUP: usize = 8;
/// Outputs that share a window.
const LANE: usize = 4;
/// Samples in a register.
const WORDS: usize = 8;

const SHAPE: Shape = Shape { outputs: GROUP, lane: LANE, register: WORDS, fixed: 0, sliding: 3, dot: 0, index };

pub(super) const PASSES: Passes = Passes {
    shape: Some(SHAPE),
    // SAFETY: every machine of this architecture has NEON; the pass needs nothing else.
    vertical: |mix| unsafe { vertical(mix) },
    vertical_batch: None,
    // SAFETY: as above.
    horizontal: |job| unsafe { horizontal(job) },
    split: portable::split,
};

/// For each output, the numbers of the four bytes of its first two samples.
fn index(offsets: &[usize], _: usize) -> Vec<u8> {
    offsets.iter().flat_map(|at| (2 * at..2 * at + 4).map(|byte| byte as u8)).collect()
}

/// # Safety
/// `row` must have 16 bytes from byte `at` on.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn bytes(row: &[u8], at: usize) -> uint8x16_t {
    debug_assert!(at + 16 <= row.len());
    // SAFETY: the caller promises the 16 bytes; loads have no alignment rule.
    unsafe { vld1q_u8(row.as_ptr().add(at)) }
}

/// # Safety
/// `row` must have 8 items from `at` on.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn words(row: &[i16], at: usize) -> int16x8_t {
    debug_assert!(at + WORDS <= row.len());
    // SAFETY: the caller promises the 8 items; loads have no alignment rule.
    unsafe { vld1q_s16(row.as_ptr().add(at)) }
}

/// # Safety
/// `row` must have 8 items from `at` on.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store(row: &mut [i16], at: usize, value: int16x8_t) {
    debug_assert!(at + WORDS <= row.len());
    // SAFETY: the caller promises the 8 items; stores have no alignment rule.
    unsafe { vst1q_s16(row.as_mut_ptr().add(at), value) }
}

/// Asks for the cache line of every row that holds byte `x`, once for each line of 64 bytes.
#[inline]
fn fetch(rows: &[&[u8]], x: usize) {
    for row in rows.iter().filter(|_| x.is_multiple_of(64)) {
        let line = row.as_ptr().wrapping_add(x);
        // SAFETY: a hint, which may name any address and changes nothing.
        unsafe { asm!("prfm pldl2keep, [{}]", in(reg) line, options(nostack, readonly, preserves_flags)) };
    }
}

#[target_feature(enable = "neon")]
fn vertical(mix: Mix<'_, '_>) {
    let (depth, len) = (mix.depth, mix.out.len());
    if len < 16 / depth.bytes() {
        return portable::vertical(mix);
    }
    assert!(mix.rows.iter().all(|row| row.len() >= len * depth.bytes()), "rows shorter than the output");
    match depth {
        Depth::Eight => eight(mix),
        Depth::Ten => ten::<false>(mix),
        Depth::HighTen => ten::<true>(mix),
    }
}

/// `sums` of eight columns and their next row's samples times `coef`.
#[inline]
#[target_feature(enable = "neon")]
fn add_row(sums: &mut [int32x4_t], samples: int16x8_t, coef: i16) {
    sums[0] = vmlal_n_s16(sums[0], vget_low_s16(samples), coef);
    sums[1] = vmlal_high_n_s16(sums[1], samples, coef);
}

/// `out` must have at least 16 samples, and every row as many as `out`.
#[target_feature(enable = "neon")]
fn eight(mix: Mix<'_, '_>) {
    const SHIFT: i32 = VERTICAL_SHIFT as i32;
    let Mix { coefs, rows, out, ahead, .. } = mix;
    let last = out.len() - 16;
    for x in (0..out.len()).step_by(16) {
        // The last block overlaps the one before it rather than end outside.
        let x = x.min(last);
        fetch(ahead, x);
        let mut sums = [vdupq_n_s32(1 << (SHIFT - 1)); 4];
        for (coef, row) in coefs.iter().zip(rows) {
            // SAFETY: `x + 16 <= out.len()`, and `vertical` found every row to be as long.
            let samples = unsafe { bytes(row, x) };
            let (low, high) = (vmovl_u8(vget_low_u8(samples)), vmovl_high_u8(samples));
            add_row(&mut sums[..2], vreinterpretq_s16_u16(low), *coef);
            add_row(&mut sums[2..], vreinterpretq_s16_u16(high), *coef);
        }
        let [a, b, c, d] = sums;
        let front = vshrn_high_n_s32::<SHIFT>(vshrn_n_s32::<SHIFT>(a), b);
        let back = vshrn_high_n_s32::<SHIFT>(vshrn_n_s32::<SHIFT>(c), d);
        // SAFETY: `x + 16 <= out.len()`.
        unsafe { store(out, x, front) };
        // SAFETY: as above.
        unsafe { store(out, x + WORDS, back) };
    }
}

/// Words of ten bits, in their upper bits if `HIGH`. `out` must have at least 8 samples, and every row as many as
/// `out`.
#[target_feature(enable = "neon")]
fn ten<const HIGH: bool>(mix: Mix<'_, '_>) {
    const SHIFT: i32 = portable::vertical_shift(Depth::Ten) as i32;
    let Mix { coefs, rows, out, ahead, .. } = mix;
    let last = out.len() - WORDS;
    for x in (0..out.len()).step_by(WORDS) {
        let x = x.min(last);
        fetch(ahead, 2 * x);
        let mut sums = [vdupq_n_s32(1 << (SHIFT - 1)); 2];
        for (coef, row) in coefs.iter().zip(rows) {
            // SAFETY: `x + 8 <= out.len()`, and `vertical` found every row to have as many words.
            let samples = vreinterpretq_u16_u8(unsafe { bytes(row, 2 * x) });
            let samples = if HIGH { vshrq_n_u16::<6>(samples) } else { vminq_u16(samples, vdupq_n_u16(1023)) };
            add_row(&mut sums, vreinterpretq_s16_u16(samples), *coef);
        }
        let narrow = vshrn_high_n_s32::<SHIFT>(vshrn_n_s32::<SHIFT>(sums[0]), sums[1]);
        // SAFETY: `x + 8 <= out.len()`.
        unsafe { store(out, x, narrow) };
    }
}

#[target_feature(enable = "neon")]
fn horizontal(job: &mut Job<'_>) {
    let Some(groups) = &job.table.groups else { return portable::horizontal(job) };
    for row in 0..job.rows {
        match (groups.window, job.table.taps) {
            (Window::Sliding(1), 4) => one::<1, 4>(job, groups, row),
            (Window::Sliding(1), 6) => one::<1, 6>(job, groups, row),
            (Window::Sliding(1), _) => one::<1, 0>(job, groups, row),
            (Window::Sliding(2), _) => one::<2, 0>(job, groups, row),
            (_, _) => one::<3, 0>(job, groups, row),
        }
    }
}

/// One row; windows of `W` registers; `T` taps, or any number if `T` is 0.
#[target_feature(enable = "neon")]
fn one<const W: usize, const T: usize>(job: &mut Job<'_>, groups: &Groups, row: usize) {
    assert_eq!(groups.window, Window::Sliding(W), "a window that the weights were not laid out for");
    let Job { table, mid, out, stride, .. } = job;
    let (len, pairs) = (table.len, if T == 0 { table.taps } else { T } / 2);
    let mid = &mid[row * table.row_len..][..table.row_len];
    for (g, bases) in groups.bases.chunks_exact(GROUP / LANE).enumerate() {
        let mut lanes = [vdup_n_u16(0); GROUP / LANE];
        for (lane, base) in bases.iter().enumerate() {
            // SAFETY: `Groups` has 16 bytes of index for each base.
            let index = unsafe { bytes(&groups.index, 4 * (GROUP * g + LANE * lane)) };
            let mut sums = [vdupq_n_s32(0); 2];
            for p in 0..pairs {
                // SAFETY: `Groups` has 8 weights for each base and pair of taps.
                let weights = unsafe { words(&groups.coefs, 2 * (GROUP * (g * pairs + p) + LANE * lane)) };
                let at = *base as usize + 2 * p;
                // SAFETY: `Groups` promises that every register of a window, slid right by all taps but two, ends
                // inside the row of `row_len`; no more than the window's registers are loaded.
                let window = |w: usize| vreinterpretq_u8_s16(unsafe { words(mid, at + WORDS * w.min(W - 1)) });
                let picked = vreinterpretq_s16_u8(match W {
                    1 => vqtbl1q_u8(window(0), index),
                    2 => vqtbl2q_u8(uint8x16x2_t(window(0), window(1)), index),
                    _ => vqtbl3q_u8(uint8x16x3_t(window(0), window(1), window(2)), index),
                });
                sums[0] = vmlal_s16(sums[0], vget_low_s16(picked), vget_low_s16(weights));
                sums[1] = vmlal_high_s16(sums[1], picked, weights);
            }
            let sums = vaddq_s32(vpaddq_s32(sums[0], sums[1]), vdupq_n_s32(1 << (HORIZONTAL_SHIFT - 1)));
            lanes[lane] = vqmovun_s32(vshrq_n_s32::<{ HORIZONTAL_SHIFT as i32 }>(sums));
        }
        let eight = vqmovn_u16(vcombine_u16(lanes[0], lanes[1]));
        let mut made = [0; GROUP];
        // SAFETY: writes the 8 bytes of the array.
        unsafe { vst1_u8(made.as_mut_ptr(), eight) };
        let at = GROUP * g;
        let count = GROUP.min(len - at);
        out[row * *stride + at..][..count].copy_from_slice(&made[..count]);
    }
}

pub(super) fn squared_error(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> u64 {
    #[target_feature(enable = "neon")]
    fn compiled(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> u64 {
        compare::squared_error_by(a, b, |a, b| run_error(a, b))
    }
    // SAFETY: every machine of this architecture has NEON; nothing else is required.
    unsafe { compiled(a, b) }
}

pub(super) fn tile_errors(a: &PlaneRef<'_>, b: &PlaneRef<'_>, side: usize) -> Vec<u64> {
    #[target_feature(enable = "neon")]
    fn compiled(a: &PlaneRef<'_>, b: &PlaneRef<'_>, side: usize) -> Vec<u64> {
        compare::tile_errors_by(a, b, side, |a, b| run_error(a, b))
    }
    // SAFETY: every machine of this architecture has NEON; nothing else is required.
    unsafe { compiled(a, b, side) }
}

#[inline]
#[target_feature(enable = "neon")]
fn run_error(a: &[u8], b: &[u8]) -> u32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = vdupq_n_u32(0);
    for (a, b) in a.iter().zip(b) {
        // SAFETY: both arrays have 16 bytes.
        let apart = unsafe { vabdq_u8(bytes(a, 0), bytes(b, 0)) };
        sums = vpadalq_u16(sums, vmull_u8(vget_low_u8(apart), vget_low_u8(apart)));
        sums = vpadalq_u16(sums, vmull_high_u8(apart, apart));
    }
    vaddvq_u32(sums) + compare::run_error(a_rest, b_rest)
}
