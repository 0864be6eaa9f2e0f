//! The passes in safe Rust, which the compiler vectorises for the base architecture; and what the vector passes leave
//! over: the ends of rows, and shapes they have no form for.

use crate::reference::{HORIZONTAL_SHIFT, VERTICAL_SHIFT};
use crate::source::Depth;

use super::table::Table;
use super::{Job, Mix, Passes};

/// Samples whose vertical sums are kept at once.
const BLOCK: usize = 32;

pub(super) const PASSES: Passes = Passes { shape: None, vertical, vertical_batch: None, horizontal, split };

/// Fractional bits that the vertical pass drops.
pub(super) const fn vertical_shift(depth: Depth) -> u32 {
    match depth {
        Depth::Eight => VERTICAL_SHIFT,
        Depth::Ten | Depth::HighTen => VERTICAL_SHIFT + 2,
    }
}

pub(super) fn vertical(mix: Mix<'_, '_>) {
    match mix.depth {
        Depth::Eight => vertical_by::<1>(mix, |[byte]| i16::from(byte)),
        Depth::Ten => vertical_by(mix, |word| u16::from_le_bytes(word).min(1023) as i16),
        Depth::HighTen => vertical_by(mix, |word| (u16::from_le_bytes(word) >> 6) as i16),
    }
}

/// Inlined so that each kind of sample has its own loops.
#[inline(always)]
fn vertical_by<const BYTES: usize>(mix: Mix<'_, '_>, sample: impl Fn([u8; BYTES]) -> i16) {
    let Mix { depth, coefs, rows, out, .. } = mix;
    let shift = vertical_shift(depth);
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    let done = blocks.len() * BLOCK;
    for (block, out) in blocks.iter_mut().enumerate() {
        let x = block * BLOCK;
        let mut sums = [1i32 << (shift - 1); BLOCK];
        for (coef, row) in coefs.iter().zip(rows) {
            let samples: &[[u8; BYTES]; BLOCK] =
                row.as_chunks().0[x..].first_chunk().expect("rows are as long as the output");
            for (sum, bytes) in sums.iter_mut().zip(samples) {
                *sum += i32::from(*coef) * i32::from(sample(*bytes));
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum >> shift) as i16;
        }
    }
    for (x, out) in rest.iter_mut().enumerate() {
        let value = |row: &[u8]| i32::from(sample(row.as_chunks().0[done + x]));
        let sum: i32 = coefs.iter().zip(rows).map(|(coef, row)| i32::from(*coef) * value(row)).sum();
        *out = ((sum + (1 << (shift - 1))) >> shift) as i16;
    }
}

/// Any table, any number of taps.
pub(super) fn horizontal(job: &mut Job<'_>) {
    let table = job.table;
    for r in 0..job.rows {
        let row = &job.mid[r * table.row_len..][..table.row_len];
        let out = &mut job.out[r * job.stride..][..table.len];
        match table.stride {
            4 => horizontal_by::<4>(table, row, out),
            8 => horizontal_by::<8>(table, row, out),
            12 => horizontal_by::<12>(table, row, out),
            16 => horizontal_by::<16>(table, row, out),
            20 => horizontal_by::<20>(table, row, out),
            _ => horizontal_any(table, row, out),
        }
    }
}

fn horizontal_by<const T: usize>(table: &Table, row: &[i16], out: &mut [u8]) {
    for ((out, start), coefs) in out.iter_mut().zip(&table.starts).zip(table.coefs.chunks_exact(T)) {
        let samples = &row[*start as usize..][..T];
        let mut sum = 0i32;
        for t in 0..T {
            sum += i32::from(coefs[t]) * i32::from(samples[t]);
        }
        *out = finish(sum);
    }
}

fn horizontal_any(table: &Table, row: &[i16], out: &mut [u8]) {
    for ((out, start), coefs) in out.iter_mut().zip(&table.starts).zip(table.coefs.chunks_exact(table.stride)) {
        let samples = &row[*start as usize..][..table.stride];
        *out = finish(coefs.iter().zip(samples).map(|(c, s)| i32::from(*c) * i32::from(*s)).sum());
    }
}

fn finish(sum: i32) -> u8 {
    ((sum + (1 << (HORIZONTAL_SHIFT - 1))) >> HORIZONTAL_SHIFT).clamp(0, 255) as u8
}

/// Separates pairs. Inlined so that each caller compiles it for its own instruction set.
#[inline(always)]
pub(super) fn split(pairs: &[i16], first: &mut [i16], second: &mut [i16]) {
    for ((pair, first), second) in pairs.chunks_exact(2).zip(first).zip(second) {
        (*first, *second) = (pair[0], pair[1]);
    }
}
