//! The definition of every kernel, in plain integer Rust. Read this to know what the fast ones compute.
//!
//! Scaling is separable, rows first mixed vertically, then samples horizontally:
//! 1. `mid[x] = (sum(coef_v[t] * src[clamp(first_v + t)][x]) + half) >> shift`, an `i16` with 6 fractional bits of an
//!    8-bit step: `shift` is 8 for 8-bit sources and 10 for 10-bit ones. It is not clamped: the weights sum to one and
//!    their sizes to less than 1.8, so `-6530 < mid < 22900` always fits.
//! 2. `out = clamp((sum(coef_h[t] * mid[clamp(first_h + t)]) + 2^19) >> 20, 0, 255)`, sums in `i32`.
//!
//! Shifts are arithmetic, so halves round up. Rows and columns outside the picture repeat its edge. Ten bits become
//! eight in the last shift, so only there is anything rounded to whole steps; an 8-bit step is four 10-bit ones, in
//! either range.
//!
//! A ladder ([`scale_ladder`]) is each output scaled from the source, or from another output where
//! [`crate::cascade::parents`] says so; what is read from another output are its final 8-bit samples. Outputs are 8-bit
//! 4:2:0 with chroma sited left (MPEG-2); grey sources give them chroma of 128.

use crate::cascade::parents;
use crate::convert::Conversion;
use crate::filter::{Axis, Filter};
use crate::plane::{PlaneMut, PlaneRef, Yuv420Mut, Yuv420Ref};
use crate::scale::ScaleError;
use crate::source::{Format, SourceRef};

/// Fractional bits dropped after the vertical pass, for 8-bit sources. Two more for 10-bit ones.
pub const VERTICAL_SHIFT: u32 = 8;
/// Fractional bits dropped after the horizontal pass.
pub const HORIZONTAL_SHIFT: u32 = 20;
/// Chroma of no colour.
pub const NEUTRAL: u8 = 128;

fn clamp(index: i32, len: usize) -> usize {
    index.clamp(0, len as i32 - 1) as usize
}

/// Scales one channel (Y, U or V: 0, 1, 2) of `src` with the two tables.
///
/// # Panics
/// If the tables' lengths are not the size of `dst`.
pub fn scale_channel(src: &SourceRef<'_>, channel: usize, dst: &mut PlaneMut<'_>, horizontal: &Axis, vertical: &Axis) {
    assert_eq!((dst.width(), dst.height()), (horizontal.len(), vertical.len()), "tables made for another size");
    let (width, height) = src.extent(channel);
    let shift = VERTICAL_SHIFT + src.source().format.bits() - 8;
    let mut mid = vec![0i16; width];
    for y in 0..dst.height() {
        for (x, mid) in mid.iter_mut().enumerate() {
            let mut sum = 0i32;
            for (t, coef) in vertical.coefs(y).iter().enumerate() {
                let row = clamp(vertical.first(y) + t as i32, height);
                sum += i32::from(*coef) * i32::from(src.sample(channel, x, row));
            }
            *mid = ((sum + (1 << (shift - 1))) >> shift) as i16;
        }
        for (x, out) in dst.row_mut(y).iter_mut().enumerate() {
            let mut sum = 0i32;
            for (t, coef) in horizontal.coefs(x).iter().enumerate() {
                sum += i32::from(*coef) * i32::from(mid[clamp(horizontal.first(x) + t as i32, width)]);
            }
            *out = ((sum + (1 << (HORIZONTAL_SHIFT - 1))) >> HORIZONTAL_SHIFT).clamp(0, 255) as u8;
        }
    }
}

/// Scales a picture into an output of any size.
pub fn scale(src: &SourceRef<'_>, dst: &mut Yuv420Mut<'_>, filter: Filter) -> Result<(), ScaleError> {
    let (width, height) = dst.size();
    let source = src.source();
    for (channel, plane) in dst.planes.iter_mut().enumerate() {
        if channel > 0 && source.format.planes() == 1 {
            (0..plane.height()).for_each(|y| plane.row_mut(y).fill(NEUTRAL));
            continue;
        }
        let (from, to) = (source.format.siting(channel), Format::Yuv420.siting(channel));
        let horizontal = Axis::new(filter, (source.width, from.0), (width as u32, to.0))?;
        let vertical = Axis::new(filter, (source.height, from.1), (height as u32, to.1))?;
        scale_channel(src, channel, plane, &horizontal, &vertical);
    }
    Ok(())
}

/// Scales a picture into all outputs of a ladder, in any order.
pub fn scale_ladder(src: &SourceRef<'_>, outputs: &mut [Yuv420Mut<'_>], filter: Filter) -> Result<(), ScaleError> {
    let sizes: Vec<(u32, u32)> = outputs.iter().map(|out| (out.size().0 as u32, out.size().1 as u32)).collect();
    let parents = parents((src.source().width, src.source().height), &sizes);
    // A parent is always larger than its children, so it is done when they are made.
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(u64::from(sizes[*i].0) * u64::from(sizes[*i].1)));
    for i in order {
        match parents[i] {
            None => scale(src, &mut outputs[i], filter)?,
            Some(parent) => {
                let copies = outputs[parent]
                    .planes
                    .each_ref()
                    .map(|plane| (0..plane.height()).flat_map(|y| plane.row(y).iter().copied()).collect::<Vec<u8>>());
                let planes = std::array::from_fn(|p| {
                    let (width, height) = (outputs[parent].planes[p].width(), outputs[parent].planes[p].height());
                    PlaneRef::new(&copies[p], width, height, width).expect("the copy has this shape")
                });
                scale(&SourceRef::from(Yuv420Ref { planes }), &mut outputs[i], filter)?;
            }
        }
    }
    Ok(())
}

/// Converts the samples of a picture from one colour description to another, in place.
///
/// With colour differences less 128, halves rounded up and everything clamped to a byte:
/// - `U' = 128 + (chroma[0][0] * U + chroma[0][1] * V + 2^13) >> 14`, `V'` likewise with `chroma[1]`;
/// - `Y' = black.1 + (8 * luma * (Y - black.0) + luma_from[0] * u + luma_from[1] * v + 2^16) >> 17`, where `u` and `v`
///   are eight times U and V at the place of the luma sample: across, chroma lies on the even samples and half way
///   between two for the odd ones; down, the nearer row counts three times and the other once. Edges repeat.
pub fn convert(picture: &mut Yuv420Mut<'_>, conversion: &Conversion) {
    let [luma, u, v] = &mut picture.planes;
    let (columns, rows) = (u.width(), u.height());
    let byte = |value: i32| value.clamp(0, 255) as u8;
    let centred = |plane: &PlaneMut<'_>, x: usize, y: usize| i32::from(plane.row(y)[x]) - 128;
    for y in 0..luma.height() {
        let near = y / 2;
        let far = clamp(near as i32 + if y % 2 == 0 { -1 } else { 1 }, rows);
        for x in 0..luma.width() {
            let (left, right) = (x / 2, (x / 2 + x % 2).min(columns - 1));
            let at = |plane: &PlaneMut<'_>| -> i32 {
                let column = |x| 3 * centred(plane, x, near) + centred(plane, x, far);
                column(left) + column(right)
            };
            let sample = &mut luma.row_mut(y)[x];
            let own = 8 * conversion.luma * (i32::from(*sample) - conversion.black.0);
            let sum = own + conversion.luma_from[0] * at(u) + conversion.luma_from[1] * at(v);
            *sample = byte(conversion.black.1 + ((sum + (1 << 16)) >> 17));
        }
    }
    for y in 0..rows {
        for x in 0..columns {
            let (old_u, old_v) = (centred(u, x, y), centred(v, x, y));
            for (plane, [from_u, from_v]) in [&mut *u, &mut *v].into_iter().zip(conversion.chroma) {
                plane.row_mut(y)[x] = byte(128 + ((from_u * old_u + from_v * old_v + (1 << 13)) >> 14));
            }
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

/// [`squared_error`] of each tile of `side` by `side` samples, row after row of tiles; those at the right and lower
/// edge may be smaller.
///
/// # Panics
/// If `side` is 0.
pub fn tile_errors(a: &PlaneRef<'_>, b: &PlaneRef<'_>, side: usize) -> Vec<u64> {
    let across = a.width().div_ceil(side);
    let mut sums = vec![0; across * a.height().div_ceil(side)];
    for y in 0..a.height() {
        for x in 0..a.width() {
            sums[y / side * across + x / side] += u64::from(a.row(y)[x].abs_diff(b.row(y)[x])).pow(2);
        }
    }
    sums
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

/// The corners of SSIM's windows along a side: 4 samples apart, as many whole windows of 8 as there are, at least one.
pub fn windows(side: usize) -> usize {
    if side < 8 { 1 } else { (side - 8) / 4 + 1 }
}

/// The sums of one window of 8 by 8 samples with its corner at `(x, y)`, cut off at the plane's edges.
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
