//! What a transaction may cost, pure: first offers, replacements and the cap. Fees are in wei per gas.

use super::intent::Rank;

/// The two EIP-1559 fields of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// `maxFeePerGas`.
    pub max_fee: u128,
    /// `maxPriorityFeePerGas`, at most `max_fee`.
    pub max_priority: u128,
}

/// Bounds on what is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeePolicy {
    /// Never offer more than this per gas.
    pub max_fee: u128,
    /// Never offer more than this per gas for what can wait ([`Rank::Reward`] and below).
    pub max_fee_unhurried: u128,
    /// One transaction never costs more than this in all, in wei.
    pub max_cost: u128,
    /// Tip at least this much, even if the provider suggests less.
    pub min_priority: u128,
    /// Tip at most this much in a first offer, whatever the provider suggests.
    pub max_priority: u128,
}

impl Default for FeePolicy {
    /// At most 500 gwei, 100 gwei for what can wait, 0.5 coins for one transaction; tips of a first offer between 0.001
    /// and 5 gwei.
    fn default() -> Self {
        Self {
            max_fee: 500_000_000_000,
            max_fee_unhurried: 100_000_000_000,
            max_cost: 500_000_000_000_000_000,
            min_priority: 1_000_000,
            max_priority: 5_000_000_000,
        }
    }
}

impl FeePolicy {
    /// The highest `maxFeePerGas` of a transaction.
    pub fn cap(&self, rank: Rank, gas_limit: u64) -> u128 {
        let cap = if rank.is_urgent() { self.max_fee } else { self.max_fee.min(self.max_fee_unhurried) };
        cap.min(self.max_cost / u128::from(gas_limit.max(1)))
    }

    /// The tip of a first offer.
    pub fn tip(&self, suggested: u128) -> u128 {
        suggested.max(self.min_priority).min(self.max_priority)
    }

    /// A first offer that stays includable while the base fee doubles, up to `cap`.
    pub fn offer(&self, base_fee: u128, suggested_tip: u128, cap: u128) -> Fees {
        let tip = self.tip(suggested_tip);
        let max_fee = base_fee.saturating_mul(2).saturating_add(tip).min(cap);
        Fees { max_fee, max_priority: tip.min(max_fee) }
    }
}

/// A replacement for `old`: an eighth more on both fields, or the present `offer` where that is higher. Pools refuse less
/// than a tenth more on either field, so `None` when `cap` leaves no room for that.
pub(super) fn bump(old: Fees, offer: Fees, cap: u128) -> Option<Fees> {
    let max_fee = eighth_more(old.max_fee).max(offer.max_fee).min(cap);
    let max_priority = eighth_more(old.max_priority).max(offer.max_priority).min(max_fee);
    let enough = max_fee >= tenth_more(old.max_fee) && max_priority >= tenth_more(old.max_priority);
    enough.then_some(Fees { max_fee, max_priority })
}

fn eighth_more(fee: u128) -> u128 {
    fee.saturating_add(fee.div_ceil(8)).max(fee.saturating_add(1))
}

fn tenth_more(fee: u128) -> u128 {
    fee.saturating_add(fee.div_ceil(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: FeePolicy =
        FeePolicy { max_fee: 1000, max_fee_unhurried: 300, max_cost: 90_000, min_priority: 2, max_priority: 50 };
    const CAP: u128 = 1000;

    fn fees(max_fee: u128, max_priority: u128) -> Fees {
        Fees { max_fee, max_priority }
    }

    #[test]
    fn offers_stay_in_bounds() {
        assert_eq!(POLICY.offer(100, 10, CAP), fees(210, 10));
        assert_eq!(POLICY.offer(0, 0, CAP), fees(2, 2));
        assert_eq!(POLICY.offer(100, 9999, CAP), fees(250, 50));
        assert_eq!(POLICY.offer(u128::MAX, u128::MAX, CAP), fees(1000, 50));
        assert_eq!(POLICY.offer(100, 10, 7), fees(7, 7));
    }

    #[test]
    fn a_cap_is_the_least_of_what_the_rank_and_the_whole_cost_allow() {
        assert_eq!(POLICY.cap(Rank::Proof, 10), 1000);
        assert_eq!(POLICY.cap(Rank::Claim, 0), 1000);
        assert_eq!(POLICY.cap(Rank::Reward, 10), 300);
        assert_eq!(POLICY.cap(Rank::Proof, 100), 900);
        assert_eq!(POLICY.cap(Rank::Upkeep, 1000), 90);
    }

    #[test]
    fn replacements_satisfy_pools_or_are_not_made() {
        let offer = fees(10, 2);
        assert_eq!(bump(fees(800, 8), offer, CAP), Some(fees(900, 9)));
        assert_eq!(bump(fees(8, 0), fees(500, 3), CAP), Some(fees(500, 3)));
        assert_eq!(bump(fees(905, 8), offer, CAP), Some(fees(1000, 9))); // less than an eighth, more than a tenth
        assert_eq!(bump(fees(950, 8), offer, CAP), None);
        assert_eq!(bump(fees(100, 100), offer, CAP), Some(fees(113, 113)));
        for max_fee in 1..909u128 {
            let old = fees(max_fee, max_fee / 3);
            let new = bump(old, offer, CAP).unwrap_or_else(|| panic!("no bump for {old:?}"));
            assert!(new.max_fee * 10 >= old.max_fee * 11 && new.max_priority * 10 >= old.max_priority * 11, "{old:?}");
            assert!(new.max_fee <= CAP && new.max_priority <= new.max_fee);
        }
    }
}
