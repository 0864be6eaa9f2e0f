//! Colour conversion in safe Rust, inlined so that each caller compiles it for its own instruction set.

use crate::convert::Conversion;
use crate::plane::{PlaneMut, Yuv420Mut};

#[inline(always)]
pub(super) fn convert(conversion: &Conversion, picture: &mut Yuv420Mut<'_>) {
    let [luma, u, v] = &mut picture.planes;
    let (columns, rows) = (u.width(), u.height());
    if conversion.luma_from == [0, 0] {
        for y in 0..luma.height() {
            scale_row(conversion, luma.row_mut(y));
        }
    } else {
        // What luma takes from U and V is a sum, so it can be mixed before it is interpolated. One more column repeats
        // the edge.
        let mut taken = vec![0; columns + 1];
        for y in 0..luma.height() {
            let near = y / 2;
            let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(rows - 1) };
            mix_row(conversion, [u.row(near), u.row(far)], [v.row(near), v.row(far)], &mut taken);
            taken[columns] = taken[columns - 1];
            luma_row(conversion, &taken, luma.row_mut(y));
        }
    }
    chroma(conversion, u, v);
}

#[inline(always)]
fn byte(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

#[inline(always)]
fn scale_row(conversion: &Conversion, row: &mut [u8]) {
    let (black, luma) = (conversion.black, 8 * conversion.luma);
    for sample in row {
        *sample = byte(black.1 + ((luma * (i32::from(*sample) - black.0) + (1 << 16)) >> 17));
    }
}

/// What luma takes, per chroma column, times four.
#[inline(always)]
fn mix_row(conversion: &Conversion, [u, far_u]: [&[u8]; 2], [v, far_v]: [&[u8]; 2], taken: &mut [i32]) {
    let [from_u, from_v] = conversion.luma_from;
    for ((taken, (u, far_u)), (v, far_v)) in taken.iter_mut().zip(u.iter().zip(far_u)).zip(v.iter().zip(far_v)) {
        let u = 3 * i32::from(*u) + i32::from(*far_u) - 4 * 128;
        let v = 3 * i32::from(*v) + i32::from(*far_v) - 4 * 128;
        *taken = from_u * u + from_v * v;
    }
}

#[inline(always)]
fn luma_row(conversion: &Conversion, taken: &[i32], row: &mut [u8]) {
    let (black, luma) = (conversion.black, 8 * conversion.luma);
    let new =
        |sample: u8, taken: i32| byte(black.1 + ((luma * (i32::from(sample) - black.0) + taken + (1 << 16)) >> 17));
    let (pairs, last) = row.as_chunks_mut::<2>();
    for (pair, taken) in pairs.iter_mut().zip(taken.windows(2)) {
        *pair = [new(pair[0], 2 * taken[0]), new(pair[1], taken[0] + taken[1])];
    }
    if let [sample] = last {
        *sample = new(*sample, 2 * taken[pairs.len()]);
    }
}

#[inline(always)]
fn chroma(conversion: &Conversion, u: &mut PlaneMut<'_>, v: &mut PlaneMut<'_>) {
    let [[u_from_u, u_from_v], [v_from_u, v_from_v]] = conversion.chroma;
    for y in 0..u.height() {
        for (u, v) in u.row_mut(y).iter_mut().zip(v.row_mut(y)) {
            let (old_u, old_v) = (i32::from(*u) - 128, i32::from(*v) - 128);
            *u = byte(128 + ((u_from_u * old_u + u_from_v * old_v + (1 << 13)) >> 14));
            *v = byte(128 + ((v_from_u * old_u + v_from_v * old_v + (1 << 13)) >> 14));
        }
    }
}
