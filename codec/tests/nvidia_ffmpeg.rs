//! The second engine of NVIDIA cards, FFmpeg's, over doubles of the driver: the same cases as the engine of the processors, but
//! for those of packets and of sound, which are read before any engine and tested with two.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cases {
    mod colour;
    mod corpora;
    mod fragments;
    mod ladder;
    mod pictures;
    mod segments;
}
mod common;
mod doubles;
mod mangle;

use std::sync::OnceLock;

use doubles::Doubles;
use headframe_codec::engine::nvidia::{Card, Engine};
use headframe_codec::{EngineError, Ladder, Limits, Pace, SegmentOut};

/// Whether damaged pictures are counted. FFmpeg does not tell which pictures the card found damaged.
const TELLS_DAMAGE: bool = false;

/// One card for all cases: they also show that nothing is left in FFmpeg's context of it.
fn transcode(ladder: &Ladder, input: &[u8], paces: &[Pace], limits: &Limits) -> Result<SegmentOut, EngineError> {
    static CARD: OnceLock<(Doubles, Card)> = OnceLock::new();
    let (_, card) = CARD.get_or_init(|| {
        let doubles = Doubles::new();
        // Cases run at once.
        doubles.set("nvenc", "sessions", "64");
        doubles.serve_ffmpeg();
        let card = Card::with(doubles.device(), Engine::Ffmpeg);
        (doubles, card)
    });
    card.transcode(ladder, input, paces, limits)
}
