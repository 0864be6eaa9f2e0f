//! Workers with graphics cards: one process for each card, by its UUID, with several segments in hand.
//!
//! | file | knows |
//! | --- | --- |
//! | `choice` | which cards there are, and which of them the operator wants |
//! | `fleet` | which card a stream's segments go to, and what its answers mean for the card |
//! | `keeper` | one card's process: started, listened to, ended, started again |
//! | `lender` | the encoder sessions of all cards, lent for one rung of one segment ([`crate::sessions`]) |
//! | `lending` | what is said of them |
//! | `serve`, `trial`, `counter` | the process' own side |
//!
//! A card that is out ([`crate::placement`]) has no process; starting one again is its probe, because a worker passes
//! the test of its engine and makes a segment of our own before it is ready. Whatever a card does not make the processors' workers make, within the same
//! deadline. What a card made of a segment is held back until it is whole, so that the processors can begin anew.

mod choice;
#[cfg(feature = "engine")]
mod counter;
mod fleet;
mod keeper;
mod lender;
pub mod lending;
#[cfg(feature = "engine")]
mod serve;
#[cfg(feature = "engine")]
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Class;
use crate::placement::FIRST_OUT;

pub use choice::Cards;
pub(super) use fleet::{Attempt, Fleet, Task};
#[cfg(feature = "engine")]
pub use serve::serve;

/// Segments that one card may have in hand.
pub const MOST_SEGMENTS: usize = 16;

/// How to use graphics cards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardConfig {
    /// Which.
    pub which: Cards,
    /// Where the driver's libraries are, if not where the system has them.
    pub libraries: Option<PathBuf>,
    /// Segments at once on each card: 1 to [`MOST_SEGMENTS`]. One alone would leave engines idle.
    pub segments: usize,
    /// Address space of a card's worker beyond what the driver has reserved when it is ready, bytes.
    pub memory_bytes: u64,
    /// Time for a card's worker to come up. A driver that compiles the kernels for the first time takes seconds.
    pub start_timeout: Duration,
    /// Time that a card is out at first, before it is probed.
    pub first_out: Duration,
}

impl Default for CardConfig {
    fn default() -> Self {
        Self {
            which: Cards::None,
            libraries: None,
            segments: 8,
            memory_bytes: 8 << 30,
            start_timeout: Duration::from_secs(50),
            first_out: FIRST_OUT,
        }
    }
}

/// Where a card stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CardState {
    /// Its worker is being started.
    #[default]
    Starting,
    /// Its worker is ready.
    Up,
    /// It is out, or being probed.
    Out,
}

impl CardState {
    /// A short constant name, fit for a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Out => "out",
        }
    }
}

/// What slows a card's clocks down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Throttle {
    /// Heat, of the chip or of its memory.
    Thermal,
    /// The power limit that is set for the card.
    PowerCap,
    /// The power supply asks for it.
    PowerBrake,
    /// The chip itself, to half or less. Old drivers do not tell for which of the reasons.
    Hardware,
}

impl Throttle {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Thermal, Self::PowerCap, Self::PowerBrake, Self::Hardware];

    /// A short constant name, fit for a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Thermal => "thermal",
            Self::PowerCap => "power_cap",
            Self::PowerBrake => "power_brake",
            Self::Hardware => "hardware",
        }
    }
}

/// How a card is. What its driver does not tell is left out; without NVML that is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardHealth {
    /// Degrees Celsius.
    pub celsius: Option<i32>,
    /// Milliwatts.
    pub milliwatts: Option<u32>,
    /// Per cent of the time in which a decoder was busy.
    pub decoder_percent: Option<u32>,
    /// Per cent of the time in which an encoder was busy.
    pub encoder_percent: Option<u32>,
    /// What slows its clocks down; several things may at once.
    pub throttled: Option<BTreeSet<Throttle>>,
}

impl CardHealth {
    const CELSIUS: RangeInclusive<i32> = -50..=200;
    const MOST_MILLIWATTS: u32 = 2_000_000;

    /// Without what no card can be.
    fn plausible(self) -> Self {
        let percent = |it: &u32| *it <= 100;
        Self {
            celsius: self.celsius.filter(|it| Self::CELSIUS.contains(it)),
            milliwatts: self.milliwatts.filter(|it| *it <= Self::MOST_MILLIWATTS),
            decoder_percent: self.decoder_percent.filter(percent),
            encoder_percent: self.encoder_percent.filter(percent),
            throttled: self.throttled,
        }
    }

    /// Whether a worker may say so. An honest one leaves out a driver's nonsense.
    fn is_plausible(&self) -> bool {
        self.clone().plausible() == *self
    }
}

/// One card at one moment, and what happened since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CardStats {
    /// Its name for good.
    pub uuid: String,
    /// Name of the product.
    pub name: String,
    /// How its decoders and encoders are used: `direct`, or `ffmpeg` where that did not pass its test; empty at first.
    pub engine: String,
    /// Where it stands.
    pub state: CardState,
    /// Its worker.
    pub pid: Option<u32>,
    /// Resident memory of its worker, bytes.
    pub rss_bytes: u64,
    /// Bytes of its memory in use, by whoever has them, when its last segment ended.
    pub memory_used_bytes: u64,
    /// Its time for scaling a 1080p picture to all renditions of a stream, as known when its last segment ended.
    pub scaling: Duration,
    /// How it is; nothing where that was not told for a minute, as of a card without work.
    pub health: CardHealth,
    /// Segments in hand.
    pub in_hand: usize,
    /// Segments made.
    pub segments: u64,
    /// Segments that it could not make, by class.
    pub errors: BTreeMap<Class, u64>,
    /// Segments of its streams that went to the processors, by reason: those of [`Self::LEFT`].
    pub left: BTreeMap<&'static str, u64>,
    /// Encoder sessions open on it.
    pub sessions: u32,
    /// Rungs that got no session, by [`crate::sessions::Overflow::name`].
    pub overflowed: BTreeMap<&'static str, u64>,
    /// Rungs that it encoded.
    pub rungs_on_card: u64,
    /// Rungs that it decoded and scaled, and the processors encoded in its worker: no session, or not such pictures.
    pub rungs_on_host: u64,
    /// Segments that the processors of its worker made altogether, because the card cannot decode or scale them.
    pub segments_on_host: u64,
    /// Times that it was put out, by [`crate::placement::Why::name`].
    pub put_out: BTreeMap<&'static str, u64>,
    /// Times that it came back.
    pub readmitted: u64,
}

impl CardStats {
    /// Why segments are left to the processors: it has no worker at the moment, no room for the stream, too much in hand; it gave
    /// no answer in time, its worker died, or it could not, by class.
    pub const LEFT: [&str; 8] = ["starting", "full", "busy", "late", "lost", "transient", "capacity", "device"];
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn no_worker_may_say_what_no_card_can_be() {
        let health = |celsius, milliwatts, percent| CardHealth {
            celsius: Some(celsius),
            milliwatts: Some(milliwatts),
            decoder_percent: Some(percent),
            encoder_percent: Some(percent),
            throttled: Some(BTreeSet::from([Throttle::Thermal])),
        };
        for honest in [CardHealth::default(), health(-50, 0, 0), health(200, 2_000_000, 100)] {
            assert!(honest.is_plausible(), "{honest:?}");
        }
        for lie in [health(-51, 0, 0), health(201, 0, 0), health(0, 2_000_001, 0), health(0, 0, 101)] {
            assert!(!lie.is_plausible() && lie.clone().plausible().is_plausible(), "{lie:?}");
        }
    }

    #[test]
    fn reasons_are_written_as_they_are_named() {
        for why in Throttle::ALL {
            assert_eq!(serde_json::to_value(why).unwrap(), why.name());
        }
        assert!(serde_json::from_str::<CardHealth>(r#"{"throttled": ["boredom"]}"#).is_err());
    }
}
