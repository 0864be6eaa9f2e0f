//! Comparing planes with AVX2. Wider registers gain nothing here: the samples come from memory.

use std::arch::x86_64::*;

use super::compare;
use crate::plane::PlaneRef;

/// Only where `Isa::Avx2.is_available()`.
pub(super) fn squared_error(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> u64 {
    #[target_feature(enable = "avx2")]
    fn compiled(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> u64 {
        compare::squared_error_by(a, b, |a, b| run_error(a, b))
    }
    // SAFETY: `simd::squared_error` asked `Isa::is_available` before it came here; nothing else is required.
    unsafe { compiled(a, b) }
}

/// Only where `Isa::Avx2.is_available()`.
pub(super) fn tile_errors(a: &PlaneRef<'_>, b: &PlaneRef<'_>, side: usize) -> Vec<u64> {
    #[target_feature(enable = "avx2")]
    fn compiled(a: &PlaneRef<'_>, b: &PlaneRef<'_>, side: usize) -> Vec<u64> {
        compare::tile_errors_by(a, b, side, |a, b| run_error(a, b))
    }
    // SAFETY: `simd::tile_errors` asked `Isa::is_available` before it came here; nothing else is required.
    unsafe { compiled(a, b, side) }
}

/// Only where `Isa::Avx2.is_available()`.
pub(super) fn block_sums(a: [&[u8]; 4], b: [&[u8]; 4], out: &mut [[u32; 4]]) {
    // SAFETY: `simd::block_sums` asked `Isa::is_available` before it came here; nothing else is required.
    unsafe { blocks(a, b, out) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load32(from: &[u8; 32]) -> __m256i {
    // SAFETY: reads the 32 bytes of the array; unaligned loads have no alignment rule.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// Sixteen bytes as words.
#[inline]
#[target_feature(enable = "avx2")]
fn widen(from: &[u8; 16]) -> __m256i {
    // SAFETY: reads the 16 bytes of the array; unaligned loads have no alignment rule.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn run_error(a: &[u8], b: &[u8]) -> u32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<32>(), b.as_chunks::<32>());
    let zero = _mm256_setzero_si256();
    let mut sums = zero;
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (load32(a), load32(b));
        let apart = _mm256_or_si256(_mm256_subs_epu8(a, b), _mm256_subs_epu8(b, a));
        let (low, high) = (_mm256_unpacklo_epi8(apart, zero), _mm256_unpackhi_epi8(apart, zero));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(low, low));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(high, high));
    }
    let four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    let one = _mm_add_epi32(two, _mm_shuffle_epi32::<1>(two));
    _mm_cvtsi128_si32(one) as u32 + compare::run_error(a_rest, b_rest)
}

#[target_feature(enable = "avx2")]
fn blocks(a: [&[u8]; 4], b: [&[u8]; 4], out: &mut [[u32; 4]]) {
    let ones = _mm256_set1_epi16(1);
    let (fours, rest) = out.as_chunks_mut::<4>();
    let done = fours.len() * 4;
    let (wide_a, wide_b) = (a.map(|row| row.as_chunks::<16>().0), b.map(|row| row.as_chunks::<16>().0));
    for (x, out) in fours.iter_mut().enumerate() {
        let zero = _mm256_setzero_si256();
        let (mut sum_a, mut sum_b, mut squares, mut product) = (zero, zero, zero, zero);
        for row in 0..4 {
            let (a, b) = (widen(&wide_a[row][x]), widen(&wide_b[row][x]));
            (sum_a, sum_b) = (_mm256_add_epi16(sum_a, a), _mm256_add_epi16(sum_b, b));
            squares = _mm256_add_epi32(squares, _mm256_madd_epi16(a, a));
            squares = _mm256_add_epi32(squares, _mm256_madd_epi16(b, b));
            product = _mm256_add_epi32(product, _mm256_madd_epi16(a, b));
        }
        // Neighbouring columns are added twice over; each half ends as two blocks' sums of two kinds.
        let values = _mm256_hadd_epi32(_mm256_madd_epi16(sum_a, ones), _mm256_madd_epi16(sum_b, ones));
        let (values, products) =
            (_mm256_castsi256_ps(values), _mm256_castsi256_ps(_mm256_hadd_epi32(squares, product)));
        let even = _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(values, products));
        let odd = _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(values, products));
        for (out, two) in out
            .as_chunks_mut::<2>()
            .0
            .iter_mut()
            .zip([_mm256_permute2x128_si256::<0x20>(even, odd), _mm256_permute2x128_si256::<0x31>(even, odd)])
        {
            // SAFETY: writes the 32 bytes of the two arrays; unaligned stores have no alignment rule.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), two) };
        }
    }
    compare::block_sums(a.map(|row| &row[4 * done..]), b.map(|row| &row[4 * done..]), rest);
}
