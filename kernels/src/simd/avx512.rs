//! AVX-512, with and without VNNI and VBMI.
//!
//! Both passes rest on two products of signed 16-bit numbers and their sum in one step. Vertically the two are
//! neighbouring rows, whose bytes are interleaved first; horizontally they are neighbouring samples, picked for sixteen
//! outputs at once by one permutation of the registers that hold the window.

use std::arch::asm;
use std::arch::x86_64::*;

use super::table::{Groups, Shape, Window};
use super::{BATCH, Job, Mix, Mixes, Passes};
use super::{colour, portable};
use crate::convert::Conversion;
use crate::plane::Yuv420Mut;
use crate::reference::{HORIZONTAL_SHIFT, VERTICAL_SHIFT};
use crate::source::Depth;

/// Outputs of a group.
const GROUP: usize = 16;
/// Samples in a register.
const WORDS: usize = 32;

const SHAPE: Shape = Shape { outputs: GROUP, lane: GROUP, register: WORDS, fixed: 2, sliding: 3, dot: 0, index };

/// For each output, the numbers of its first two samples.
fn index(offsets: &[usize], _: usize) -> Vec<u8> {
    offsets.iter().flat_map(|at| [*at as u16, *at as u16 + 1]).flat_map(u16::to_le_bytes).collect()
}

/// Asks for the cache line of every row that holds byte `x`.
#[inline]
#[target_feature(enable = "avx512f")]
fn fetch(rows: &[&[u8]], x: usize) {
    for row in rows {
        _mm_prefetch::<_MM_HINT_T1>(row.as_ptr().wrapping_add(x).cast());
    }
}

/// # Safety
/// `row` must have 64 bytes from byte `at` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn load<T>(row: &[T], at: usize) -> __m512i {
    debug_assert!(at * size_of::<T>() + 64 <= size_of_val(row));
    // SAFETY: the caller promises the 64 bytes; unaligned loads have no alignment rule.
    unsafe { _mm512_loadu_si512(row.as_ptr().add(at).cast()) }
}

/// # Safety
/// `row` must have 32 samples from `at` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn store(row: &mut [i16], at: usize, value: __m512i) {
    debug_assert!(at + WORDS <= row.len());
    // SAFETY: the caller promises the 64 bytes; unaligned stores have no alignment rule.
    unsafe { _mm512_storeu_si512(row.as_mut_ptr().add(at).cast(), value) }
}

/// Two weights side by side, as the multiplications want them.
fn pair(coefs: &[i16]) -> i32 {
    i32::from(coefs[0] as u16) | i32::from(coefs[1]) << 16
}

/// The steps in which the two sets differ.
mod base {
    use super::*;

    /// `sum + a.0 * b.0 + a.1 * b.1`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn dot(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        _mm512_add_epi32(sum, _mm512_madd_epi16(a, b))
    }

    /// Nothing that [`pairs`] needs.
    pub(super) fn lower() -> u64 {
        0
    }

    /// The bytes of two rows as pairs of words. Each quarter register has its own quarter of the 64 columns.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn pairs(a: __m512i, b: __m512i, _: u64) -> [__m512i; 4] {
        let zero = _mm512_setzero_si512();
        let (low, high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        [
            _mm512_unpacklo_epi8(low, zero),
            _mm512_unpackhi_epi8(low, zero),
            _mm512_unpacklo_epi8(high, zero),
            _mm512_unpackhi_epi8(high, zero),
        ]
    }

    /// Sums of [`pairs`] without their fraction, in the order of their columns.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn narrow(sums: [__m512i; 4]) -> [__m512i; 2] {
        let [a, b, c, d] = sums;
        let [a, b] = [_mm512_srai_epi32::<VERTICAL_SHIFT>(a), _mm512_srai_epi32::<VERTICAL_SHIFT>(b)];
        let [c, d] = [_mm512_srai_epi32::<VERTICAL_SHIFT>(c), _mm512_srai_epi32::<VERTICAL_SHIFT>(d)];
        let (even, odd) = (_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
        // 64-bit words of the packed sums in the order of their columns; 8.. is the second register.
        let front = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
        let back = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
        [_mm512_permutex2var_epi64(even, front, odd), _mm512_permutex2var_epi64(even, back, odd)]
    }
}

mod vnni {
    use super::*;

    /// `sum + a.0 * b.0 + a.1 * b.1`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn dot(mut sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // The intrinsic is taken apart again into a product and a sum, which a generic processor might prefer.
        // SAFETY: the instruction reads and writes these registers alone, and the attribute says that it is there.
        unsafe {
            asm!("vpdpwssd {0}, {1}, {2}", inout(zmm_reg) sum, in(zmm_reg) a, in(zmm_reg) b,
                options(pure, nomem, nostack, preserves_flags));
        }
        sum
    }

    const fn pair_index(first: usize) -> [u8; 64] {
        let mut index = [0; 64];
        let mut i = 0;
        while i < 64 {
            // Words alternate between the rows; their upper bytes are zeroed by the mask.
            index[i] = (first + i / 4) as u8 + if i % 4 < 2 { 0 } else { 64 };
            i += 1;
        }
        index
    }

    const fn middle_index() -> [u8; 64] {
        let mut index = [0; 64];
        let mut i = 0;
        while i < 64 {
            index[i] = (i / 2 * 4 + 1 + i % 2) as u8;
            i += 1;
        }
        index
    }

    const PAIRS: [[u8; 64]; 4] = [pair_index(0), pair_index(16), pair_index(32), pair_index(48)];
    const MIDDLE: [u8; 64] = middle_index();

    /// What [`pairs`] needs: a mask of the lower bytes of words.
    #[inline]
    pub(super) fn lower() -> u64 {
        // A mask that the compiler knows becomes an instruction of its own behind every permutation.
        std::hint::black_box(0x5555_5555_5555_5555)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn constant(index: &[u8; 64]) -> __m512i {
        // SAFETY: reads the 64 bytes of the array.
        unsafe { load(index, 0) }
    }

    /// The bytes of two rows as pairs of words, in the order of their columns.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(super) fn pairs(a: __m512i, b: __m512i, lower: u64) -> [__m512i; 4] {
        [
            _mm512_maskz_permutex2var_epi8(lower, a, constant(&PAIRS[0]), b),
            _mm512_maskz_permutex2var_epi8(lower, a, constant(&PAIRS[1]), b),
            _mm512_maskz_permutex2var_epi8(lower, a, constant(&PAIRS[2]), b),
            _mm512_maskz_permutex2var_epi8(lower, a, constant(&PAIRS[3]), b),
        ]
    }

    /// Sums of [`pairs`] without their fraction, which is their lowest byte; they fit the two in the middle.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(super) fn narrow([a, b, c, d]: [__m512i; 4]) -> [__m512i; 2] {
        const { assert!(VERTICAL_SHIFT == 8) };
        let middle = constant(&MIDDLE);
        [_mm512_permutex2var_epi8(a, middle, b), _mm512_permutex2var_epi8(c, middle, d)]
    }
}

macro_rules! passes {
    ($passes:ident, $module:ident, $steps:ident, $features:literal) => {
        /// Only for machines that have these features.
        pub(super) const $passes: Passes = Passes {
            shape: Some(SHAPE),
            // SAFETY: whoever takes this constant has asked `Isa::is_available`; the pass needs nothing else.
            vertical: |mix| unsafe { $module::vertical(mix) },
            // SAFETY: as above.
            vertical_batch: Some(|mixes| unsafe { $module::vertical_batch(mixes) }),
            // SAFETY: as above.
            horizontal: |job| unsafe { $module::horizontal(job) },
            // SAFETY: as above.
            split: |pairs, first, second| unsafe { $module::split(pairs, first, second) },
        };

        mod $module {
            use super::*;

            #[target_feature(enable = $features)]
            pub(super) fn split(pairs: &[i16], first: &mut [i16], second: &mut [i16]) {
                portable::split(pairs, first, second);
            }

            #[target_feature(enable = $features)]
            pub(super) fn vertical(mix: Mix<'_, '_>) {
                let (depth, len) = (mix.depth, mix.out.len());
                let block = if depth == Depth::Eight { 2 * WORDS } else { WORDS };
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
                    (Depth::Eight, 14) => eight::<14>(mix),
                    (Depth::Eight, 20) => eight::<20>(mix),
                    (Depth::Eight, _) => eight::<0>(mix),
                    (Depth::Ten, _) => ten::<false>(mix),
                    (Depth::HighTen, _) => ten::<true>(mix),
                }
            }

            /// `T` taps, or any even number if `T` is 0. `out` must have at least 64 samples, and every row
            /// as many as `out`.
            #[target_feature(enable = $features)]
            fn eight<const T: usize>(mix: Mix<'_, '_>) {
                let Mix { coefs, rows, out, ahead, .. } = mix;
                let (coefs, rows) = if T == 0 { (coefs, rows) } else { (&coefs[..T], &rows[..T]) };
                let (last, lower) = (out.len() - 2 * WORDS, $steps::lower());
                for x in (0..out.len()).step_by(2 * WORDS) {
                    // The last block overlaps the one before it rather than end outside.
                    let x = x.min(last);
                    fetch(ahead, x);
                    let mut sums = [_mm512_set1_epi32(1 << (VERTICAL_SHIFT - 1)); 4];
                    for (coefs, rows) in coefs.chunks_exact(2).zip(rows.chunks_exact(2)) {
                        let coefs = _mm512_set1_epi32(pair(coefs));
                        // SAFETY: `x + 64 <= out.len()`, and `vertical` found every row to be as long.
                        let (a, b) = unsafe { (load(rows[0], x), load(rows[1], x)) };
                        let pairs = $steps::pairs(a, b, lower);
                        for i in 0..4 {
                            sums[i] = $steps::dot(sums[i], pairs[i], coefs);
                        }
                    }
                    let [front, back] = $steps::narrow(sums);
                    // SAFETY: `x + 64 <= out.len()`.
                    unsafe { store(out, x, front) };
                    // SAFETY: as above.
                    unsafe { store(out, x + WORDS, back) };
                }
            }

            /// Most of the work of [`eight`] is to make pairs; here a batch shares them.
            #[target_feature(enable = $features)]
            pub(super) fn vertical_batch(mixes: Mixes<'_, '_>) {
                let Mixes { weights, rows, out, ahead } = mixes;
                let len = out[0].len();
                assert!(len >= 2 * WORDS && out.iter().all(|out| out.len() == len), "outputs of one length");
                assert!(rows.iter().all(|row| row.len() >= len), "rows shorter than the output");
                assert_eq!(rows.len(), 2 * weights.len());
                let (last, lower) = (len - 2 * WORDS, $steps::lower());
                for x in (0..len).step_by(2 * WORDS) {
                    // The last block overlaps the one before it rather than end outside.
                    let x = x.min(last);
                    fetch(ahead, x);
                    let mut sums = [[_mm512_set1_epi32(1 << (VERTICAL_SHIFT - 1)); 4]; BATCH];
                    for (weights, rows) in weights.iter().zip(rows.chunks_exact(2)) {
                        // SAFETY: `x + 64 <= len`, and every row is as long.
                        let (a, b) = unsafe { (load(rows[0], x), load(rows[1], x)) };
                        let pairs = $steps::pairs(a, b, lower);
                        for r in 0..BATCH {
                            if weights[r] != 0 {
                                let weight = _mm512_set1_epi32(weights[r]);
                                for i in 0..4 {
                                    sums[r][i] = $steps::dot(sums[r][i], pairs[i], weight);
                                }
                            }
                        }
                    }
                    for r in 0..BATCH {
                        let [front, back] = $steps::narrow(sums[r]);
                        // SAFETY: `x + 64 <= len`, the length of every output.
                        unsafe { store(out[r], x, front) };
                        // SAFETY: as above.
                        unsafe { store(out[r], x + WORDS, back) };
                    }
                }
            }

            /// Words of ten bits, in their upper bits if `HIGH`. `out` must have at least 32 samples, and
            /// every row as many as `out`.
            #[target_feature(enable = $features)]
            fn ten<const HIGH: bool>(mix: Mix<'_, '_>) {
                let Mix { coefs, rows, out, ahead, .. } = mix;
                const SHIFT: u32 = portable::vertical_shift(Depth::Ten);
                let last = out.len() - WORDS;
                let largest = _mm512_set1_epi16(1023);
                for x in (0..out.len()).step_by(WORDS) {
                    let x = x.min(last);
                    fetch(ahead, 2 * x);
                    let mut sums = [_mm512_set1_epi32(1 << (SHIFT - 1)); 2];
                    for (coefs, rows) in coefs.chunks_exact(2).zip(rows.chunks_exact(2)) {
                        let coefs = _mm512_set1_epi32(pair(coefs));
                        // SAFETY: `x + 32 <= out.len()`, and `vertical` found every row to have as many words.
                        let (a, b) = unsafe { (load(rows[0], 2 * x), load(rows[1], 2 * x)) };
                        let (a, b) = if HIGH {
                            (_mm512_srli_epi16::<6>(a), _mm512_srli_epi16::<6>(b))
                        } else {
                            (_mm512_min_epu16(a, largest), _mm512_min_epu16(b, largest))
                        };
                        sums[0] = $steps::dot(sums[0], _mm512_unpacklo_epi16(a, b), coefs);
                        sums[1] = $steps::dot(sums[1], _mm512_unpackhi_epi16(a, b), coefs);
                    }
                    let [low, high] = [_mm512_srai_epi32::<SHIFT>(sums[0]), _mm512_srai_epi32::<SHIFT>(sums[1])];
                    // Unpacked and packed within the same quarters, so the columns are in order again.
                    // SAFETY: `x + 32 <= out.len()`.
                    unsafe { store(out, x, _mm512_packs_epi32(low, high)) };
                }
            }

            #[target_feature(enable = $features)]
            pub(super) fn horizontal(job: &mut Job<'_>) {
                let Some(groups) = &job.table.groups else { return portable::horizontal(job) };
                match (groups.window, job.table.taps) {
                    (Window::Fixed(1), 4) => batch::<1, false, 4>(job, groups),
                    (Window::Fixed(1), 6) => batch::<1, false, 6>(job, groups),
                    (Window::Fixed(1), _) => batch::<1, false, 0>(job, groups),
                    (Window::Fixed(2), 6) => batch::<2, false, 6>(job, groups),
                    (Window::Fixed(2), 8) => batch::<2, false, 8>(job, groups),
                    (Window::Fixed(2), 10) => batch::<2, false, 10>(job, groups),
                    (Window::Fixed(2), 12) => batch::<2, false, 12>(job, groups),
                    (Window::Fixed(2), 14) => batch::<2, false, 14>(job, groups),
                    (Window::Fixed(_), _) => batch::<2, false, 0>(job, groups),
                    (Window::Sliding(1), _) => batch::<1, true, 0>(job, groups),
                    (Window::Sliding(2), _) => batch::<2, true, 0>(job, groups),
                    (Window::Sliding(_), 20) => batch::<3, true, 20>(job, groups),
                    (_, _) => batch::<3, true, 0>(job, groups),
                }
            }

            #[target_feature(enable = $features)]
            fn batch<const W: usize, const SLIDES: bool, const T: usize>(job: &mut Job<'_>, groups: &Groups) {
                if job.rows == BATCH {
                    return rows::<W, SLIDES, T, BATCH>(job, groups, 0);
                }
                for row in 0..job.rows {
                    rows::<W, SLIDES, T, 1>(job, groups, row);
                }
            }

            /// `R` rows from row `first` on; windows of `W` registers; `T` taps, or any number if `T` is 0.
            #[target_feature(enable = $features)]
            fn rows<const W: usize, const SLIDES: bool, const T: usize, const R: usize>(
                job: &mut Job<'_>,
                groups: &Groups,
                first: usize,
            ) {
                assert_eq!(groups.window.registers(), W, "a window that the weights were not laid out for");
                let Job { table, mid, out, stride, .. } = job;
                let (len, row_len, pairs) = (table.len, table.row_len, if T == 0 { table.taps } else { T } / 2);
                let mid = &mid[first * row_len..][..R * row_len];
                let (round, zero) = (_mm512_set1_epi32(1 << (HORIZONTAL_SHIFT - 1)), _mm512_setzero_si512());
                for (g, base) in groups.bases.iter().enumerate() {
                    let base = *base as usize;
                    // SAFETY: `Groups` has 64 bytes of index for each base.
                    let mut index = unsafe { load(&groups.index, 4 * GROUP * g) };
                    let far = _mm512_cmpge_epu16_mask(index, _mm512_set1_epi16(2 * WORDS as i16));
                    let mut sums = [round; R];
                    let mut windows = [[zero; W]; R];
                    for p in 0..pairs {
                        // SAFETY: `Groups` has 32 weights for each base and pair of taps.
                        let weights = unsafe { load(&groups.coefs, 2 * GROUP * (g * pairs + p)) };
                        for r in 0..R {
                            if SLIDES || p == 0 {
                                for w in 0..W {
                                    // SAFETY: `Groups` promises that each of its window's registers, of which there are
                                    // `W`, slid right by all taps but two if it slides, ends inside the row.
                                    windows[r][w] = unsafe { load(mid, r * row_len + base + 2 * p + WORDS * w) };
                                }
                            }
                            let window = &windows[r];
                            let picked = match W {
                                1 => _mm512_permutexvar_epi16(index, window[0]),
                                2 => _mm512_permutex2var_epi16(window[0], index, window[1]),
                                _ => {
                                    let near = _mm512_permutex2var_epi16(window[0], index, window[1]);
                                    _mm512_mask_permutexvar_epi16(near, far, index, window[W - 1])
                                }
                            };
                            sums[r] = $steps::dot(sums[r], picked, weights);
                        }
                        if !SLIDES {
                            index = _mm512_add_epi16(index, _mm512_set1_epi16(2));
                        }
                    }
                    let at = GROUP * g;
                    let count = GROUP.min(len - at);
                    for r in 0..R {
                        let whole = _mm512_srai_epi32::<HORIZONTAL_SHIFT>(sums[r]);
                        let bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(whole, zero));
                        put(&mut out[(first + r) * *stride + at..][..count], bytes);
                    }
                }
            }
        }
    };
}

passes!(BASE, without, base, "avx2,avx512f,avx512bw,avx512dq,avx512vl");
passes!(VNNI, with, vnni, "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi");

/// Writes the first bytes of `value`, as many as there is room for.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn put(out: &mut [u8], value: __m128i) {
    let mask = ((1u32 << out.len().min(16)) - 1) as u16;
    // SAFETY: the mask has as many bits as `out` has bytes, up to 16.
    unsafe { _mm_mask_storeu_epi8(out.as_mut_ptr().cast(), mask, value) }
}

/// Only where `Isa::Avx512.is_available()`.
pub(super) fn convert(conversion: &Conversion, picture: &mut Yuv420Mut<'_>) {
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
    fn compiled(conversion: &Conversion, picture: &mut Yuv420Mut<'_>) {
        colour::convert(conversion, picture);
    }
    // SAFETY: `simd::convert` asked `Isa::is_available` before it came here; nothing else is required.
    unsafe { compiled(conversion, picture) }
}
