//! The Lanczos-3 curve in integers, so that its tables are equal on every machine.
//!
//! A sine is a Taylor series of 60 fractional bits after folding the angle to at most a quarter of pi. The curve's
//! error stays below 2^-40, so an entry of a table, of 14 bits, is the nearest one but for ties that close; and
//! whatever the error is, it is the same everywhere.

/// Fractional bits of sines and weights.
const BITS: u32 = 60;
const UNIT: i128 = 1 << BITS;
/// Pi with [`BITS`] fractional bits.
const PI: i128 = 0x3243_f6a8_885a_308d;

/// `3 sin(pi x) sin(pi x / 3) / (pi x)^2` for `x = a / q`, `a >= 0`, with 60 fractional bits; 0 from 3 on.
pub(crate) fn lanczos3(a: i128, q: i128) -> i128 {
    if a >= 3 * q {
        return 0;
    }
    if a == 0 {
        return UNIT;
    }
    mul(sinc(a, q), sinc(a, 3 * q))
}

/// `sin(pi x) / (pi x)` for `x = a / q`, `0 < a < 3q`.
fn sinc(a: i128, q: i128) -> i128 {
    // Sides are at most 2^14, so x is at least 2^-17 and its angle keeps 43 bits or more.
    (sine(a, q) << BITS) / (PI * a / q)
}

/// `a * b` of two numbers with [`BITS`] fractional bits, both below 8.
fn mul(a: i128, b: i128) -> i128 {
    // 3 + 60 bits each: 126 in the product at most.
    (a * b) >> BITS
}

/// `sin(pi * a / q)` for `0 <= a < 3q`.
fn sine(a: i128, q: i128) -> i128 {
    let turn = a.rem_euclid(2 * q);
    let (sign, half) = if turn >= q { (-1, turn - q) } else { (1, turn) };
    // sin(pi - t) = sin t: at most a right angle is left.
    let folded = half.min(q - half);
    let value = if 4 * folded <= q {
        sine_series(PI * folded / q)
    } else {
        // The rest of the right angle, in quarters of q so that nothing is halved away.
        cosine_series(PI * (q - 2 * folded) / (2 * q))
    };
    sign * value
}

/// `t - t^3/3! + t^5/5! - ...` for `0 <= t <= pi/4`.
fn sine_series(t: i128) -> i128 {
    let square = mul(t, t);
    let (mut term, mut sum) = (t, t);
    for k in 1..12 {
        term = -mul(term, square) / (2 * k * (2 * k + 1));
        sum += term;
    }
    sum
}

/// `1 - t^2/2! + t^4/4! - ...` for `0 <= t <= pi/4`.
fn cosine_series(t: i128) -> i128 {
    let square = mul(t, t);
    let (mut term, mut sum) = (UNIT, UNIT);
    for k in 1..12 {
        term = -mul(term, square) / ((2 * k - 1) * (2 * k));
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI as PI_F64;

    fn by_float(x: f64) -> f64 {
        if x == 0.0 {
            return 1.0;
        }
        if x >= 3.0 {
            return 0.0;
        }
        3.0 * (PI_F64 * x).sin() * (PI_F64 * x / 3.0).sin() / (PI_F64 * x).powi(2)
    }

    #[test]
    fn follows_the_curve() {
        for q in [1i128, 2, 3, 7, 854, 3840, 65_536] {
            for k in 0..=3000i128 {
                let a = 3 * q * k / 3000;
                let (have, want) = (lanczos3(a, q) as f64 / UNIT as f64, by_float(a as f64 / q as f64));
                assert!((have - want).abs() < 1e-12, "at {a}/{q}: {have}, not {want}");
            }
        }
    }

    #[test]
    fn exact_points() {
        assert_eq!([lanczos3(0, 5), lanczos3(15, 5), lanczos3(99, 5)], [UNIT, 0, 0]);
        // Zero at the whole numbers, up to nothing at all: the folded angle is 0.
        assert_eq!([lanczos3(5, 5), lanczos3(10, 5)], [0, 0]);
    }

    #[test]
    fn tables_are_within_one_unit_of_floating_point() {
        use crate::filter::{Axis, Filter, ONE, Siting};
        for (src, dst) in [(1920u32, 1280u32), (1920, 854), (1080, 240), (426, 1920), (100, 99), (640, 10)] {
            let Ok(axis) = Axis::new(Filter::Lanczos3, (src, Siting::Full), (dst, Siting::Full)) else {
                panic!("{src} -> {dst} has a table")
            };
            let stretch = (f64::from(src) / f64::from(dst)).max(1.0);
            for i in 0..axis.len() {
                let at = (i as f64 + 0.5) * f64::from(src) / f64::from(dst) - 0.5;
                let weight = |t: usize| by_float((f64::from(axis.first(i)) + t as f64 - at).abs() / stretch);
                let sum: f64 = (0..axis.taps()).map(weight).sum();
                let largest = axis.coefs(i).iter().max();
                for (t, coef) in axis.coefs(i).iter().enumerate() {
                    let off = f64::from(*coef) - weight(t) / sum * f64::from(ONE);
                    // The largest also took what rounding left over: half a unit of every tap at worst.
                    let limit = if Some(coef) == largest { axis.taps() as f64 / 2.0 } else { 0.5 + 1e-6 };
                    assert!(off.abs() <= limit, "tap {t} of {i}, {src} -> {dst}: off by {off}");
                }
            }
        }
    }
}
