//! What a rig asks for its work: the higher of a floor and what the work costs with a margin on top. Whole numbers of wei
//! for a unit (1000 output pixels); every part of a cost is rounded up.

use crate::units::{Price, Timestamp, Units, Wei};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;

/// Joules of a kilowatt-hour.
const KWH: u128 = 3_600_000;
/// Seconds over which the price of gas is smoothed: claims wait longer than a spike lasts.
const SMOOTH: u128 = 600;

/// An operator's pricing rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pricing {
    /// The least that is asked, in wei per unit (1000 output pixels); without `cost`, what is always asked.
    pub price: Price,
    /// What the work costs. With it the price asked follows the price of gas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostRules>,
}

/// What an operator knows of the costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostRules {
    /// Wei for a kilowatt-hour.
    pub energy_price: Wei,
    /// What the whole rig draws from the wall under load ...
    pub watts: u32,
    /// ... and the units it makes in a second of that load, all streams together.
    pub units_per_second: NonZeroU64,
    /// Asked on top of the cost.
    pub margin_percent: u32,
}

/// One claim of a job's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimWork {
    /// The units it covers.
    pub units: Units,
    /// Segments that are drawn of it: [`crate::machine::drawn`].
    pub drawn: u16,
}

/// What a unit costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UnitCost {
    /// Of that, energy.
    pub energy: Wei,
    /// Of that, gas.
    pub gas: Wei,
}

/// What a rig asks for a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ask {
    /// Wei per unit.
    pub price: Price,
    /// What it costs, where the rule knows.
    pub cost: Option<UnitCost>,
}

/// Why no bid is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBid {
    /// The client pays less than this rig asks.
    #[error("the job pays at most {offered} wei per unit and this rig asks {ask}")]
    TooCheap {
        /// The job's ceiling.
        offered: Price,
        /// This rig's price.
        ask: Ask,
    },
    /// The price depends on that of gas.
    #[error("this rig does not know the price of gas yet")]
    NoGasPrice,
    /// There is no work, or more wei than a price can hold.
    #[error("a unit of this job costs more than any price")]
    TooDear,
}

impl ClaimWork {
    /// Gas of claim, seal, answer, reveal and settlement together: what `contracts/snapshots/claims.json` measures for
    /// claims of 1800 segments, never less.
    pub fn gas(&self) -> u64 {
        366_000 + 24_000 * u64::from(self.drawn)
    }

    /// What a unit pays of the claim's gas. `None` for no work and on overflow.
    pub fn gas_per_unit(&self, gas_price: Wei) -> Option<Wei> {
        let whole = gas_price.0.checked_mul(u128::from(self.gas()))?;
        (self.units.0 > 0).then(|| Wei(whole.div_ceil(u128::from(self.units.0))))
    }
}

impl CostRules {
    /// What a unit takes of energy. `None` on overflow.
    pub fn energy_per_unit(&self) -> Option<Wei> {
        let whole = self.energy_price.0.checked_mul(u128::from(self.watts))?;
        Some(Wei(whole.div_ceil(KWH * u128::from(self.units_per_second.get()))))
    }

    /// The least price that leaves the margin. `None` when no price is that high.
    fn with_margin(&self, cost: UnitCost) -> Option<Price> {
        let hundredfold = cost.sum()?.0.checked_mul(100 + u128::from(self.margin_percent))?;
        Price::new(hundredfold.div_ceil(100))
    }
}

impl UnitCost {
    /// All of it. `None` on overflow.
    pub fn sum(&self) -> Option<Wei> {
        self.energy.0.checked_add(self.gas.0).map(Wei)
    }
}

impl Pricing {
    /// The price asked for a job whose claims are like `claim`. `gas_price` is needed by rules with costs alone.
    pub fn ask(&self, claim: ClaimWork, gas_price: Option<Wei>) -> Result<Ask, NoBid> {
        let Some(rules) = &self.cost else { return Ok(Ask { price: self.price, cost: None }) };
        let gas_price = gas_price.ok_or(NoBid::NoGasPrice)?;
        let parts = rules.energy_per_unit().zip(claim.gas_per_unit(gas_price));
        let cost = parts.map(|(energy, gas)| UnitCost { energy, gas }).ok_or(NoBid::TooDear)?;
        let price = rules.with_margin(cost).ok_or(NoBid::TooDear)?.max(self.price);
        Ok(Ask { price, cost: Some(cost) })
    }

    /// The bid for a job that pays at most `ceiling`.
    pub fn bid(&self, ceiling: Price, claim: ClaimWork, gas_price: Option<Wei>) -> Result<Price, NoBid> {
        let ask = self.ask(claim, gas_price)?;
        if ask.price > ceiling { Err(NoBid::TooCheap { offered: ceiling, ask }) } else { Ok(ask.price) }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.price)?;
        match self.cost {
            Some(UnitCost { energy, gas }) => write!(f, ": a unit costs {} of energy and {} of gas", energy.0, gas.0),
            None => Ok(()),
        }
    }
}

/// Above so many times the price without its spikes gas is dear.
const DEAR: u128 = 2;

/// The price of gas without its spikes: each block moves it towards its own by the seconds since the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GasPrice(Option<Seen>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    smooth: Wei,
    last: Wei,
    at: Timestamp,
}

impl GasPrice {
    /// A block at `now` with the price of its gas. What is not newer than the last is not counted.
    pub fn see(&mut self, price: Wei, now: Timestamp) {
        let Some(seen) = &mut self.0 else {
            self.0 = Some(Seen { smooth: price, last: price, at: now });
            return;
        };
        let (old, seconds) = (seen.smooth, u128::from(now.0.saturating_sub(seen.at.0)));
        if seconds > 0 {
            let moved = |by: u128| by.saturating_mul(seconds) / (SMOOTH + seconds);
            let new = if price > old { old.0 + moved(price.0 - old.0) } else { old.0 - moved(old.0 - price.0) };
            *seen = Seen { smooth: Wei(new), last: price, at: now };
        }
    }

    /// In wei per gas. `None` before the first block.
    pub fn smooth(&self) -> Option<Wei> {
        self.0.map(|seen| seen.smooth)
    }

    /// Whether the newest block's price is more than twice the usual one, so that what can wait should.
    pub fn is_dear(&self) -> bool {
        self.0.is_some_and(|seen| seen.last.0 > seen.smooth.0.saturating_mul(DEAR))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;
    const CLAIM: ClaimWork = ClaimWork { units: Units(10_000_000), drawn: 2 };

    fn price(wei: u128) -> Price {
        Price::new(wei).unwrap()
    }

    fn rule(floor: u128, margin_percent: u32) -> Pricing {
        let units_per_second = NonZeroU64::new(100_000).unwrap();
        let energy_price = Wei(72_000_000_000_000);
        Pricing {
            price: price(floor),
            cost: Some(CostRules { energy_price, watts: 500, units_per_second, margin_percent }),
        }
    }

    #[test]
    fn a_fixed_price_is_asked_up_to_the_ceiling() {
        let rule = Pricing { price: price(10), cost: None };
        assert_eq!(rule.bid(price(10), CLAIM, None), Ok(price(10)));
        assert_eq!(rule.bid(price(11), CLAIM, None), Ok(price(10)));
        let refused = rule.bid(price(9), CLAIM, None).unwrap_err();
        assert_eq!(refused, NoBid::TooCheap { offered: price(9), ask: Ask { price: price(10), cost: None } });
        assert_eq!(refused.to_string(), "the job pays at most 9 wei per unit and this rig asks 10");
    }

    #[test]
    fn cost_and_margin_are_asked_but_never_less_than_the_floor() {
        // 72e12 / 3.6e6 * 500 / 1e5 = 100_000 of energy; 414_000 gas over 1e7 units are 0.0414 gas a unit.
        let gas = Some(Wei(10 * GWEI));
        let cost = Some(UnitCost { energy: Wei(100_000), gas: Wei(414_000_000) });
        assert_eq!(rule(0, 0).ask(CLAIM, gas), Ok(Ask { price: price(414_100_000), cost }));
        assert_eq!(rule(0, 25).ask(CLAIM, gas), Ok(Ask { price: price(517_625_000), cost }));
        assert_eq!(rule(GWEI, 25).ask(CLAIM, gas), Ok(Ask { price: price(GWEI), cost }));
        assert_eq!(rule(0, 25).ask(CLAIM, Some(Wei(0))).unwrap().price, price(125_000));
        let refused = rule(0, 0).bid(price(5), CLAIM, gas).unwrap_err().to_string();
        assert!(refused.ends_with("asks 414100000: a unit costs 100000 of energy and 414000000 of gas"), "{refused}");
    }

    #[test]
    fn without_a_price_of_gas_or_a_price_that_holds_the_cost_no_bid_is_made() {
        assert_eq!(rule(5, 0).ask(CLAIM, None), Err(NoBid::NoGasPrice));
        let nothing = ClaimWork { units: Units(0), drawn: 0 };
        assert_eq!(rule(5, 0).ask(nothing, Some(Wei(1))), Err(NoBid::TooDear));
        assert_eq!(rule(5, 0).ask(CLAIM, Some(Wei(u128::MAX))), Err(NoBid::TooDear));
        assert_eq!(rule(5, u32::MAX).ask(CLAIM, Some(Wei(1 << 100))), Err(NoBid::TooDear));
    }

    #[test]
    fn a_cost_is_rounded_up() {
        let one = ClaimWork { units: Units(1_000_000_000), drawn: 0 };
        assert_eq!(one.gas_per_unit(Wei(1)), Some(Wei(1)));
        let rules = CostRules { energy_price: Wei(1), ..rule(0, 1).cost.unwrap() };
        assert_eq!(rules.energy_per_unit(), Some(Wei(1)));
        assert_eq!(rules.with_margin(UnitCost { energy: Wei(1), gas: Wei(0) }), Some(price(2)));
    }

    /// The same file that the contracts' tests write.
    #[test]
    fn a_claim_takes_no_more_gas_than_was_measured_for_it() {
        let measured = include_str!("../../../contracts/snapshots/claims.json");
        let measured: std::collections::BTreeMap<String, String> = serde_json::from_str(measured).unwrap();
        let gas = |call: &str| measured[call].parse::<u64>().unwrap();
        for drawn in [1, 4, 8] {
            let whole = ["claim", "seal", "settle"].into_iter().map(gas).sum::<u64>()
                + gas(&format!("answer {drawn}"))
                + gas(&format!("reveal {drawn}"));
            let counted = ClaimWork { units: Units(1), drawn }.gas();
            assert!(
                (whole..whole + whole / 50).contains(&counted),
                "{drawn} drawn: {whole} measured, {counted} counted"
            );
        }
    }

    #[test]
    fn the_price_of_gas_follows_in_minutes_and_not_in_a_block() {
        let mut gas = GasPrice::default();
        assert_eq!(gas.smooth(), None);
        gas.see(Wei(GWEI), Timestamp(1000));
        gas.see(Wei(100 * GWEI), Timestamp(1012));
        let after_a_block = gas.smooth().unwrap().0;
        assert!((2 * GWEI..4 * GWEI).contains(&after_a_block), "{after_a_block}");
        gas.see(Wei(u128::MAX), Timestamp(1012)); // the same second, or a block from before a reorganisation
        gas.see(Wei(u128::MAX), Timestamp(900));
        assert_eq!(gas.smooth(), Some(Wei(after_a_block)));
        for block in 1..=300 {
            gas.see(Wei(100 * GWEI), Timestamp(1012 + 12 * block));
        }
        assert!(gas.smooth().unwrap().0 > 99 * GWEI);
        gas.see(Wei(0), Timestamp(u64::MAX));
        assert!(gas.smooth().unwrap().0 < GWEI);
    }
}
