//! Ids and quantities of the market. Rounding and overflow are part of each signature.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A job on the chain, counted from 1 by the job market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// A work claim on the chain: its job and its first segment, 32 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimId(pub u64);

/// The number of a segment within its job, from 0 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentNo(pub u64);

/// A block height. Never compared to a media time or a wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockNo(pub u64);

/// Seconds since 1970 of a block or of the market's clock, which stands still while the market is paused. Never this
/// machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// An amount of the native coin in wei. Every amount of this market fits 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wei(#[serde(with = "decimal")] pub u128);

/// Work: output kilopixels (1 unit = 1000 luma samples encoded, all renditions together).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Units(pub u64);

/// Wei for each [`Units`] of 1. Fits 96 bits, the contract's width, wherever it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Wei", into = "Wei")]
pub struct Price(u128);

/// A price beyond [`Price::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a price of {0} wei for a unit; at most 2^96 - 1 can be agreed on")]
pub struct PriceTooHigh(u128);

impl TryFrom<Wei> for Price {
    type Error = PriceTooHigh;

    fn try_from(Wei(wei): Wei) -> Result<Self, PriceTooHigh> {
        Self::new(wei).ok_or(PriceTooHigh(wei))
    }
}

impl From<Price> for Wei {
    fn from(Price(wei): Price) -> Self {
        Self(wei)
    }
}

impl Price {
    /// The highest price the contract can store: 2^96 - 1 wei per unit.
    pub const MAX: Self = Self((1 << 96) - 1);

    /// `None` when `wei` does not fit 96 bits.
    pub fn new(wei: u128) -> Option<Self> {
        (wei <= Self::MAX.0).then_some(Self(wei))
    }

    /// Wei per unit.
    pub fn wei(self) -> u128 {
        self.0
    }

    /// The fee for `work`, exact. `None` when it does not fit 128 bits.
    pub fn fee(self, work: Units) -> Option<Wei> {
        self.0.checked_mul(u128::from(work.0)).map(Wei)
    }
}

impl Units {
    /// The units of one segment: the pixels of all its renditions, in thousands, rounded down once at the end.
    ///
    /// Each item is (frames, width, height). `None` when the sum does not fit.
    pub fn of_segment(renditions: impl IntoIterator<Item = (u32, u32, u32)>) -> Option<Self> {
        let mut pixels = 0u64;
        for (frames, width, height) in renditions {
            let one = u64::from(width).checked_mul(u64::from(height))?.checked_mul(u64::from(frames))?;
            pixels = pixels.checked_add(one)?;
        }
        Some(Self(pixels / 1000))
    }
}

impl BlockNo {
    /// The height `blocks` later, saturating.
    pub fn after(self, blocks: u64) -> Self {
        Self(self.0.saturating_add(blocks))
    }
}

impl Timestamp {
    /// `seconds` later, saturating.
    pub fn after(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl ClaimId {
    /// The claim of `job` that begins with `first`; `None` when either does not fit 32 bits, which the book refuses.
    pub fn of(job: JobId, first: SegmentNo) -> Option<Self> {
        let (job, first) = (u32::try_from(job.0).ok()?, u32::try_from(first.0).ok()?);
        Some(Self(u64::from(job) << 32 | u64::from(first)))
    }

    /// The job it is for.
    pub fn job(self) -> JobId {
        JobId(self.0 >> 32)
    }

    /// Its first segment.
    pub fn first(self) -> SegmentNo {
        SegmentNo(self.0 & u64::from(u32::MAX))
    }
}

impl SegmentNo {
    /// The segment that follows. Saturates at the end of the number space, which no job reaches.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

macro_rules! display_number {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_number!(JobId, ClaimId, SegmentNo, BlockNo, Timestamp, Units, Price);

impl fmt::Display for Wei {
    /// In the largest of ETH, gwei and wei that keeps the number readable, at most six decimals, rounded down.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const GWEI: u128 = 1_000_000_000;
        const ETH: u128 = GWEI * GWEI;
        let (unit, name) = match self.0 {
            0..100_000 => return write!(f, "{} wei", self.0),
            wei if wei < ETH / 100_000 => (GWEI, "gwei"),
            _ => (ETH, "ETH"),
        };
        write!(f, "{}.{:06} {name}", self.0 / unit, self.0 % unit / (unit / 1_000_000))
    }
}

/// Amounts travel as decimal strings in JSON, because other readers lose digits past 2^53.
pub(crate) mod decimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Number {
            Small(u64),
            Text(String),
        }
        match Number::deserialize(from)? {
            Number::Small(n) => Ok(u128::from(n)),
            Number::Text(text) => text.replace('_', "").parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn units_round_down_once_over_all_renditions() {
        // 60 frames of 426x240 are 6_134_400 pixels, of 1x999 are 59_940: 6_194_340 together.
        assert_eq!(Units::of_segment([(60, 426, 240), (60, 1, 999)]), Some(Units(6194)));
        assert_eq!(Units::of_segment([]), Some(Units(0)));
        assert_eq!(Units::of_segment([(u32::MAX, u32::MAX, u32::MAX)]), None);
    }

    #[test]
    fn a_fee_that_does_not_fit_is_none() {
        assert_eq!(Price::new(7).unwrap().fee(Units(6)), Some(Wei(42)));
        assert_eq!(Price::MAX.fee(Units(u64::MAX)), None);
        assert_eq!(Price::new(1 << 96), None);
    }

    #[test]
    fn wei_prints_in_a_readable_unit() {
        let shown = |wei| Wei(wei).to_string();
        assert_eq!(shown(0), "0 wei");
        assert_eq!(shown(1_500_000_000), "1.500000 gwei");
        assert_eq!(shown(1_230_000_000_000_000_000), "1.230000 ETH");
        assert_eq!(shown(12_000_000_000_000), "0.000012 ETH");
    }

    #[test]
    fn amounts_are_strings_in_json_and_may_be_written_as_numbers() {
        assert_eq!(serde_json::to_string(&Wei(1 << 100)).unwrap(), "\"1267650600228229401496703205376\"");
        assert_eq!(serde_json::from_str::<Wei>("5").unwrap(), Wei(5));
        assert_eq!(serde_json::from_str::<Wei>("\"1_000\"").unwrap(), Wei(1000));
        assert!(serde_json::from_str::<Wei>("\"-1\"").is_err());
        let price = format!("\"{}\"", (1u128 << 96) - 1);
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Price>(&price).unwrap()).unwrap(), price);
        assert!(serde_json::from_str::<Price>(&format!("\"{}\"", 1u128 << 96)).is_err());
    }
}
