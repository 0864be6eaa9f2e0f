//! What a rig asks for its work.

use crate::units::Price;
use serde::{Deserialize, Serialize};

/// An operator's pricing rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pricing {
    /// The price asked, in wei per unit (1000 output pixels).
    pub price: Price,
}

/// Why no bid is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBid {
    /// The client pays less than this rig asks.
    #[error("the job pays at most {offered} wei per unit and this rig asks {asked}")]
    TooCheap {
        /// The job's ceiling.
        offered: Price,
        /// This rig's price.
        asked: Price,
    },
}

impl Pricing {
    /// The bid for a job that pays at most `ceiling`.
    pub fn bid(&self, ceiling: Price) -> Result<Price, NoBid> {
        if self.price > ceiling {
            return Err(NoBid::TooCheap { offered: ceiling, asked: self.price });
        }
        Ok(self.price)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_bid_is_the_own_price_up_to_the_ceiling() {
        let price = |wei| Price::new(wei).unwrap();
        let rule = Pricing { price: price(10) };
        assert_eq!(rule.bid(price(10)), Ok(price(10)));
        assert_eq!(rule.bid(price(11)), Ok(price(10)));
        assert_eq!(rule.bid(price(9)), Err(NoBid::TooCheap { offered: price(9), asked: price(10) }));
    }
}
