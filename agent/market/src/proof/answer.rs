//! What an operator binds itself to when a segment is drawn, and which rung is made from which.

use super::abi::{Answer, Limits, Rung};
use crate::commit::{Errors, Pictures};
use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue;

/// A rung may be made from another that is at least so many times larger in both directions.
pub const MIN_STEP: u32 = 4;
/// Rungs of one answer.
pub const MAX_RUNGS: usize = 16;

/// The curves that a scaler's weights follow, by their numbers in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// Catmull-Rom.
    CatmullRom = 0,
    /// Lanczos with three lobes.
    Lanczos3 = 1,
}

impl Curve {
    /// From its number.
    pub fn of(number: u8) -> Option<Self> {
        [Self::CatmullRom, Self::Lanczos3].into_iter().find(|curve| *curve as u8 == number)
    }
}

/// The hash that names an answer in accusations.
pub fn statement(answer: &Answer) -> B256 {
    keccak256(answer.abi_encode())
}

/// The hash of limits in a rung.
pub fn limits_hash(limits: &Limits) -> B256 {
    keccak256(limits.abi_encode())
}

/// A rung from its parts.
pub fn rung(
    (width, height): (u32, u32),
    scaled: &Pictures,
    decoded: &Pictures,
    errors: &Errors,
    limits: &Limits,
) -> Rung {
    let (scaled, decoded, errors) = (scaled.root(), decoded.root(), errors.root());
    Rung { width, height, scaled, decoded, errors, limits: limits_hash(limits) }
}

/// The rung that `rung` is made from, or `None` for the source: of those [`MIN_STEP`] times as wide and high, no larger
/// than the source in either direction and not as large in both, the one with the fewest samples, then the narrowest,
/// then the first.
pub fn parent(answer: &Answer, rung: usize, source: (u32, u32)) -> Option<usize> {
    let child = answer.rungs.get(rung).filter(|_| answer.cascade)?;
    let (width, height) = (child.width.saturating_mul(MIN_STEP), child.height.saturating_mul(MIN_STEP));
    let fits = |(_, from): &(usize, &Rung)| {
        let inside = from.width <= source.0 && from.height <= source.1 && (from.width, from.height) != source;
        from.width >= width && from.height >= height && inside
    };
    let size = |(_, from): &(usize, &Rung)| (u64::from(from.width) * u64::from(from.height), from.width);
    answer.rungs.iter().enumerate().filter(fits).min_by_key(size).map(|(i, _)| i)
}
