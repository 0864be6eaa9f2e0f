//! The engine of NVIDIA cards over doubles of the driver: the same cases as the engine of the processors, and what it does
//! when a card cannot.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cases;
mod common;
mod doubles;
mod mangle;

use std::sync::OnceLock;

use doubles::Doubles;
use headframe_codec::engine::nvidia::Card;
use headframe_codec::{EngineError, Ladder, Limits, Pace, SegmentOut};

/// Whether damaged pictures are counted.
const TELLS_DAMAGE: bool = true;

/// One card for all cases: they also show that what is kept between segments does not show in the next.
fn transcode(ladder: &Ladder, input: &[u8], paces: &[Pace], limits: &Limits) -> Result<SegmentOut, EngineError> {
    static CARD: OnceLock<(Doubles, Card)> = OnceLock::new();
    let (_, card) = CARD.get_or_init(|| {
        let doubles = Doubles::new();
        // Cases run at once.
        doubles.set("nvenc", "sessions", "64");
        let card = Card::new(doubles.device());
        (doubles, card)
    });
    card.transcode(ladder, input, paces, limits)
}
