//! Which engine a card is used with: the first one that passes its test there.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

use super::probe::Doubt;
use super::{Card, probe, self_test};
use crate::nvidia::Device;

/// Two ways from our kernels to the decoders and encoders of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The driver's own interfaces: sessions and decoders are kept between segments.
    #[default]
    Direct,
    /// FFmpeg's `h264_cuvid`, `h264_nvenc` and their like: made anew for every segment, one more copy of each decoded picture
    /// on the card, and nothing is known of pictures that are damaged. No AV1 with FFmpeg before 6.0.
    Ffmpeg,
}

impl Engine {
    /// In the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::Direct, Self::Ffmpeg];
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Ffmpeg => "ffmpeg",
        })
    }
}

/// What a card is used with, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The engine that passed.
    pub engine: Engine,
    /// It encoded as well. Otherwise the card has no encoder or no session to give now, and the processors encode.
    pub encodes: bool,
    /// Those that were tried before.
    pub refused: Vec<Refusal>,
    /// What the card says it decodes and is not to be trusted with.
    pub doubts: Vec<Doubt>,
}

/// An engine that does not work on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Which.
    pub engine: Engine,
    /// Why, for a person.
    pub reason: String,
}

/// No engine works on a card: it is the processors' turn.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no engine works on this card: {}", .0.iter().map(|it| format!("{}: {}", it.engine, it.reason)).collect::<Vec<_>>().join("; "))]
pub struct NoEngine(pub Vec<Refusal>);

/// The first engine that passes its test on a card, ready for segments.
///
/// The test makes 20 pictures of H.264, has the card decode them and compares the hashes, has it decode and scale them and compares
/// the result, both with what the processors make, has it encode them and compares what that shows; it takes a second or so on a fast processor, and may hang where the
/// driver does. An engine that fails is a warning in the log. Of the other codecs and depths that the card says it decodes a short
/// clip of each is decoded; where that comes out otherwise than it should there is a warning, and the processors make such streams.
///
/// # Errors
/// None passes.
pub fn choose(device: &Arc<Device>) -> Result<(Card, Choice), NoEngine> {
    let mut refused = Vec::new();
    for engine in Engine::ALL {
        let card = || Card::with(Arc::clone(device), engine);
        let doubts = || probe::doubts(&card()).map_err(|error| error.to_string());
        match self_test::run(card).and_then(|encodes| Ok((encodes, doubts()?))) {
            Ok((encodes, doubts)) => {
                for doubt in &doubts {
                    tracing::warn!(%engine, %doubt, card = %device.info().uuid, "a card does not decode what it says it does");
                }
                let card = Card::with(Arc::clone(device), engine).without(&doubts);
                return Ok((card, Choice { engine, encodes, refused, doubts }));
            }
            Err(reason) => {
                tracing::warn!(%engine, reason, card = %device.info().uuid, "an engine does not work on this card");
                refused.push(Refusal { engine, reason });
            }
        }
    }
    Err(NoEngine(refused))
}
