//! AVX2.
//!
//! Both passes rest on `pmaddwd`: two products of signed 16-bit numbers and their sum in one step. Vertically the two
//! are neighbouring rows, whose bytes are interleaved first; horizontally they are neighbouring samples. Bytes can only
//! be picked within half a register, so each half makes four outputs from its own window of eight or sixteen samples.

use std::arch::x86_64::*;

use super::table::{Groups, Shape, Window};
use super::{Job, Mix, Passes};
use super::{colour, portable};
use crate::convert::Conversion;
use crate::plane::Yuv420Mut;
use crate::reference::{HORIZONTAL_SHIFT, VERTICAL_SHIFT};
use crate::source::Depth;

/// Outputs of a group.
const GROUP: usize = 8;
/// Outputs of half a register.
const LANE: usize = 4;
/// Samples in half a register.
const WORDS: usize = 8;
/// Rows that go through the horizontal pass together: more would not leave registers for their windows.
const ROWS: usize = 2;

const SHAPE: Shape = Shape { outputs: GROUP, lane: LANE, register: WORDS, fixed: 0, sliding: 2, dot: 2 * WORDS, index };

/// For each output, the numbers of the four bytes of its first two samples; once for each register of the window, with
/// the numbers of the other one marked as nothing.
fn index(offsets: &[usize], registers: usize) -> Vec<u8> {
    let bytes = |register: usize| {
        let pick = move |byte: usize| match byte.checked_sub(16 * register) {
            Some(byte @ 0..16) => byte as u8,
            _ => 0x80,
        };
        offsets.iter().flat_map(move |at| (2 * at..2 * at + 4).map(pick))
    };
    (0..registers).flat_map(bytes).collect()
}

/// Only for machines for which `Isa::Avx2.is_available()`.
pub(super) const PASSES: Passes = Passes {
    shape: Some(SHAPE),
    // SAFETY: whoever takes this constant has asked `Isa::is_available`; the pass needs nothing else.
    vertical: |mix| unsafe { vertical(mix) },
    vertical_batch: None,
    // SAFETY: as above.
    horizontal: |job| unsafe { horizontal(job) },
    // SAFETY: as above.
    split: |pairs, first, second| unsafe { split(pairs, first, second) },
};

/// Two weights side by side, as `pmaddwd` wants them.
fn pair(coefs: &[i16]) -> i32 {
    i32::from(coefs[0] as u16) | i32::from(coefs[1]) << 16
}

/// Asks for the cache line of every row that holds byte `x`.
#[inline]
#[target_feature(enable = "avx2")]
fn fetch(rows: &[&[u8]], x: usize) {
    for row in rows {
        _mm_prefetch::<_MM_HINT_T1>(row.as_ptr().wrapping_add(x).cast());
    }
}

/// # Safety
/// `row` must have 32 bytes from item `at` on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load<T>(row: &[T], at: usize) -> __m256i {
    debug_assert!(at * size_of::<T>() + 32 <= size_of_val(row));
    // SAFETY: the caller promises the 32 bytes; unaligned loads have no alignment rule.
    unsafe { _mm256_loadu_si256(row.as_ptr().add(at).cast()) }
}

/// # Safety
/// `row` must have 8 samples from `at` on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn half(row: &[i16], at: usize) -> __m128i {
    debug_assert!(at + WORDS <= row.len());
    // SAFETY: the caller promises the 16 bytes; unaligned loads have no alignment rule.
    unsafe { _mm_loadu_si128(row.as_ptr().add(at).cast()) }
}

/// # Safety
/// `row` must have 16 samples from `at` on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store(row: &mut [i16], at: usize, value: __m256i) {
    debug_assert!(at + 2 * WORDS <= row.len());
    // SAFETY: the caller promises the 32 bytes; unaligned stores have no alignment rule.
    unsafe { _mm256_storeu_si256(row.as_mut_ptr().add(at).cast(), value) }
}

#[target_feature(enable = "avx2")]
fn split(pairs: &[i16], first: &mut [i16], second: &mut [i16]) {
    portable::split(pairs, first, second);
}

#[target_feature(enable = "avx2")]
fn vertical(mix: Mix<'_, '_>) {
    let (depth, len) = (mix.depth, mix.out.len());
    let block = 32 / depth.bytes();
    if len < block {
        return portable::vertical(mix);
    }
    assert!(mix.rows.iter().all(|row| row.len() >= len * depth.bytes()), "rows shorter than the output");
    match (depth, mix.coefs.len()) {
        (Depth::Eight, 4) => eight::<4>(mix),
        (Depth::Eight, 6) => eight::<6>(mix),
        (Depth::Eight, 8) => eight::<8>(mix),
        (Depth::Eight, 10) => eight::<10>(mix),
        (Depth::Eight, 12) => eight::<12>(mix),
        (Depth::Eight, _) => eight::<0>(mix),
        (Depth::Ten, _) => ten::<false>(mix),
        (Depth::HighTen, _) => ten::<true>(mix),
    }
}

/// `T` taps, or any even number if `T` is 0. `out` must have at least 32 samples, and every row as many as
/// `out`.
#[target_feature(enable = "avx2")]
fn eight<const T: usize>(mix: Mix<'_, '_>) {
    let Mix { coefs, rows, out, ahead, .. } = mix;
    let (coefs, rows) = if T == 0 { (coefs, rows) } else { (&coefs[..T], &rows[..T]) };
    let zero = _mm256_setzero_si256();
    let last = out.len() - 32;
    for x in (0..out.len()).step_by(32) {
        // The last block overlaps the one before it rather than end outside.
        let x = x.min(last);
        fetch(ahead, x);
        let mut sums = [_mm256_set1_epi32(1 << (VERTICAL_SHIFT - 1)); 4];
        for (coefs, rows) in coefs.chunks_exact(2).zip(rows.chunks_exact(2)) {
            let coefs = _mm256_set1_epi32(pair(coefs));
            // SAFETY: `x + 32 <= out.len()`, and `vertical` found every row to be as long.
            let (a, b) = unsafe { (load(rows[0], x), load(rows[1], x)) };
            let (low, high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
            let quads = [
                _mm256_unpacklo_epi8(low, zero),
                _mm256_unpackhi_epi8(low, zero),
                _mm256_unpacklo_epi8(high, zero),
                _mm256_unpackhi_epi8(high, zero),
            ];
            for i in 0..4 {
                sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(quads[i], coefs));
            }
        }
        for sum in &mut sums {
            *sum = _mm256_srai_epi32::<{ VERTICAL_SHIFT as i32 }>(*sum);
        }
        // Each half register holds its own half of the 32 columns: 0-7 | 16-23 and 8-15 | 24-31.
        let (even, odd) = (_mm256_packs_epi32(sums[0], sums[1]), _mm256_packs_epi32(sums[2], sums[3]));
        // SAFETY: `x + 32 <= out.len()`.
        unsafe { store(out, x, _mm256_permute2x128_si256::<0x20>(even, odd)) };
        // SAFETY: as above.
        unsafe { store(out, x + 16, _mm256_permute2x128_si256::<0x31>(even, odd)) };
    }
}

/// Words of ten bits, in their upper bits if `HIGH`. `out` must have at least 16 samples, and every row as
/// many as `out`.
#[target_feature(enable = "avx2")]
fn ten<const HIGH: bool>(mix: Mix<'_, '_>) {
    let Mix { coefs, rows, out, ahead, .. } = mix;
    const SHIFT: i32 = portable::vertical_shift(Depth::Ten) as i32;
    let largest = _mm256_set1_epi16(1023);
    let last = out.len() - 16;
    for x in (0..out.len()).step_by(16) {
        let x = x.min(last);
        fetch(ahead, 2 * x);
        let mut sums = [_mm256_set1_epi32(1 << (SHIFT - 1)); 2];
        for (coefs, rows) in coefs.chunks_exact(2).zip(rows.chunks_exact(2)) {
            let coefs = _mm256_set1_epi32(pair(coefs));
            // SAFETY: `x + 16 <= out.len()`, and `vertical` found every row to have as many words.
            let (a, b) = unsafe { (load(rows[0], 2 * x), load(rows[1], 2 * x)) };
            let (a, b) = if HIGH {
                (_mm256_srli_epi16::<6>(a), _mm256_srli_epi16::<6>(b))
            } else {
                (_mm256_min_epu16(a, largest), _mm256_min_epu16(b, largest))
            };
            sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), coefs));
            sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), coefs));
        }
        let [low, high] = [_mm256_srai_epi32::<SHIFT>(sums[0]), _mm256_srai_epi32::<SHIFT>(sums[1])];
        // Unpacked and packed within the same halves, so the columns are in order again.
        // SAFETY: `x + 16 <= out.len()`.
        unsafe { store(out, x, _mm256_packs_epi32(low, high)) };
    }
}

#[target_feature(enable = "avx2")]
fn horizontal(job: &mut Job<'_>) {
    let Some(groups) = &job.table.groups else { return portable::horizontal(job) };
    match (groups.window, job.table.taps) {
        (Window::Sliding(1), 4) => batch::<1, 4>(job, groups),
        (Window::Sliding(1), 6) => batch::<1, 6>(job, groups),
        (Window::Sliding(1), _) => batch::<1, 0>(job, groups),
        (Window::Dot(1), _) => dots::<1>(job, groups),
        (Window::Dot(2), _) => dots::<2>(job, groups),
        (Window::Dot(_), _) => dots::<0>(job, groups),
        (_, _) => batch::<2, 0>(job, groups),
    }
}

/// All rows, output by output; products of `N` registers, or any number if `N` is 0.
#[target_feature(enable = "avx2")]
fn dots<const N: usize>(job: &mut Job<'_>, groups: &Groups) {
    let Job { table, mid, out, stride, rows } = job;
    let registers = if N == 0 { groups.window.registers() } else { N };
    assert_eq!(groups.window, Window::Dot(registers), "weights laid out for something else");
    for row in 0..*rows {
        let mid = &mid[row * table.row_len..][..table.row_len];
        let out = &mut out[row * *stride..][..table.len];
        for ((g, bases), out) in groups.bases.chunks_exact(GROUP).enumerate().zip(out.chunks_mut(GROUP)) {
            let mut sums = [_mm256_setzero_si256(); GROUP];
            for (k, (sum, base)) in sums.iter_mut().zip(bases).enumerate() {
                for n in 0..registers {
                    let (at, weight) = (*base as usize + 16 * n, 16 * ((g * GROUP + k) * registers + n));
                    // SAFETY: `Groups` has 16 weights for each base and register, and promises that each register ends
                    // inside the row of `row_len`.
                    let (samples, weights) = unsafe { (load(mid, at), load(&groups.coefs, weight)) };
                    let products = _mm256_madd_epi16(samples, weights);
                    *sum = if n == 0 { products } else { _mm256_add_epi32(*sum, products) };
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            let (front, back) = (fold(fold_pair(a, b), fold_pair(c, d)), fold(fold_pair(e, f), fold_pair(g, h)));
            let (left, right) =
                (_mm256_permute2x128_si256::<0x20>(front, back), _mm256_permute2x128_si256::<0x31>(front, back));
            let round = _mm256_set1_epi32(1 << (HORIZONTAL_SHIFT - 1));
            put(out, _mm256_add_epi32(_mm256_add_epi32(left, right), round));
        }
    }
}

/// In each half: `a.0 + a.2, b.0 + b.2, a.1 + a.3, b.1 + b.3`.
#[inline]
#[target_feature(enable = "avx2")]
fn fold_pair(a: __m256i, b: __m256i) -> __m256i {
    _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b))
}

/// In each half, the sums of what [`fold_pair`] was given: `a, b` of the first and of the second.
#[inline]
#[target_feature(enable = "avx2")]
fn fold(first: __m256i, second: __m256i) -> __m256i {
    _mm256_add_epi32(_mm256_unpacklo_epi64(first, second), _mm256_unpackhi_epi64(first, second))
}

/// Drops the fraction of eight sums and writes as many of them as `out` has room for.
#[inline]
#[target_feature(enable = "avx2")]
fn put(out: &mut [u8], sums: __m256i) {
    let whole = _mm256_srai_epi32::<{ HORIZONTAL_SHIFT as i32 }>(sums);
    let words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256::<1>(whole));
    let bytes = _mm_cvtsi128_si64(_mm_packus_epi16(words, words)).to_le_bytes();
    match out.first_chunk_mut::<GROUP>() {
        Some(out) => *out = bytes,
        None => out.copy_from_slice(&bytes[..out.len()]),
    }
}

#[target_feature(enable = "avx2")]
fn batch<const W: usize, const T: usize>(job: &mut Job<'_>, groups: &Groups) {
    let mut row = 0;
    while row + ROWS <= job.rows {
        rows::<W, T, ROWS>(job, groups, row);
        row += ROWS;
    }
    while row < job.rows {
        rows::<W, T, 1>(job, groups, row);
        row += 1;
    }
}

/// `R` rows from row `first` on; windows of `W` registers; `T` taps, or any number if `T` is 0.
#[target_feature(enable = "avx2")]
fn rows<const W: usize, const T: usize, const R: usize>(job: &mut Job<'_>, groups: &Groups, first: usize) {
    assert_eq!(groups.window, Window::Sliding(W), "a window that the weights were not laid out for");
    let Job { table, mid, out, stride, .. } = job;
    let (len, row_len, pairs) = (table.len, table.row_len, if T == 0 { table.taps } else { T } / 2);
    let mid = &mid[first * row_len..][..R * row_len];
    let round = _mm256_set1_epi32(1 << (HORIZONTAL_SHIFT - 1));
    for (g, bases) in groups.bases.chunks_exact(2).enumerate() {
        let (left, right) = (bases[0] as usize, bases[1] as usize);
        let mut index = [round; W];
        for (w, index) in index.iter_mut().enumerate() {
            // SAFETY: `Groups` has 32 bytes of index for each two bases and register of the window.
            *index = unsafe { load(&groups.index, 4 * GROUP * (W * g + w)) };
        }
        let mut sums = [round; R];
        for p in 0..pairs {
            // SAFETY: `Groups` has 16 weights for each two bases and pair of taps.
            let weights = unsafe { load(&groups.coefs, 2 * GROUP * (g * pairs + p)) };
            for (r, sum) in sums.iter_mut().enumerate() {
                let mut picked = _mm256_setzero_si256();
                for (w, index) in index.iter().enumerate() {
                    let at = r * row_len + 2 * p + WORDS * w;
                    // SAFETY: `Groups` promises that every register of a window, slid right by all taps but two, ends
                    // inside the row of `row_len`.
                    let (left, right) = unsafe { (half(mid, at + left), half(mid, at + right)) };
                    let part = _mm256_shuffle_epi8(_mm256_set_m128i(right, left), *index);
                    picked = if w == 0 { part } else { _mm256_or_si256(picked, part) };
                }
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(picked, weights));
            }
        }
        let at = GROUP * g;
        let count = GROUP.min(len - at);
        for (r, sums) in sums.into_iter().enumerate() {
            put(&mut out[(first + r) * *stride + at..][..count], sums);
        }
    }
}

/// Only where `Isa::Avx2.is_available()`.
pub(super) fn convert(conversion: &Conversion, picture: &mut Yuv420Mut<'_>) {
    #[target_feature(enable = "avx2")]
    fn compiled(conversion: &Conversion, picture: &mut Yuv420Mut<'_>) {
        colour::convert(conversion, picture);
    }
    // SAFETY: `simd::convert` asked `Isa::is_available` before it came here; nothing else is required.
    unsafe { compiled(conversion, picture) }
}
