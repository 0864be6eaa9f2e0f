//! What an operator binds itself to when a segment is drawn, and which rung is made from which.

use super::abi::{Answer, Limits, Rung};
pub use crate::commit::Curve;
use crate::commit::{self, ByteTree, Errors, Pictures};
use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue;

/// A rung may be made from another that is at least so many times larger in both directions.
pub const MIN_STEP: u32 = 4;
/// Rungs of one answer.
pub const MAX_RUNGS: usize = 16;

/// The hash that names an answer in accusations.
pub fn statement(answer: &Answer) -> B256 {
    keccak256(answer.abi_encode())
}

/// What is revealed of a drawn segment of which no answer can be made, because its source is damaged: nobody can prove anything of
/// it, and everybody who looks comes to the same.
pub fn no_answer() -> B256 {
    keccak256("headframe: no answer can be made")
}

/// The hash of limits in a rung.
pub fn limits_hash(limits: &Limits) -> B256 {
    keccak256(limits.abi_encode())
}

/// A rung from its parts.
pub fn rung(
    (width, height): (u32, u32),
    content: &ByteTree,
    scaled: &Pictures,
    decoded: &Pictures,
    errors: &Errors,
    limits: &Limits,
) -> Rung {
    let [content, scaled, decoded, errors] =
        [content.root(), scaled.root(), decoded.root(), errors.root()].map(B256::from);
    Rung { width, height, content, scaled, decoded, errors, limits: limits_hash(limits) }
}

impl From<&commit::Answer> for Answer {
    fn from(answer: &commit::Answer) -> Self {
        let rung = |rung: &commit::Rung| Rung {
            width: rung.width,
            height: rung.height,
            content: rung.content.into(),
            scaled: rung.scaled.into(),
            decoded: rung.decoded.into(),
            errors: rung.errors.into(),
            limits: rung.limits.into(),
        };
        let commit::Answer { source, curve, cascade, rungs, .. } = answer;
        let rungs = rungs.iter().map(rung).collect();
        Self { source: (*source).into(), filter: *curve as u8, cascade: *cascade, rungs }
    }
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
