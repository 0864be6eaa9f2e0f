//! What a deployment begins with. The market's windows are in blocks, stake in the token's smallest unit (1e-18), written as
//! decimal strings in JSON because they exceed what other readers keep exactly.

use crate::bindings::{IJobMarket, IRewards, IStakeRegistry, StakeGovernorParams};
use alloy::primitives::aliases::U48;
use alloy::primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The parameters of one deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Stake and slots.
    pub registry: RegistryParams,
    /// Windows and collateral.
    pub market: MarketParams,
    /// How many tokens there may be.
    pub token: TokenParams,
    /// How many new ones are made.
    pub rewards: RewardsParams,
    /// Who decides, and how long it takes.
    pub governance: GovernanceParams,
}

/// Constructor arguments of the stake token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenParams {
    /// The most there may be at once, at most 4.29e9 tokens.
    #[serde(with = "decimal")]
    pub cap: u128,
}

/// Constructor arguments of the minter. Rates are in 1e-9 of the supply in a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardsParams {
    /// The rate that the first day starts from, at most `most`.
    pub first_rate: u32,
    /// The bonded share of the supply to move towards, in 1e-4, 1000 to 9000.
    pub target: u16,
    /// By how much the rate moves in a day, at most 5000.
    pub step: u32,
    /// The highest rate, at most 261,120 (10 % a year).
    pub most: u32,
}

/// Constructor arguments of governor, timelock and guardian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GovernanceParams {
    /// From a proposal to its vote, 1 to 14 days.
    pub voting_delay_seconds: u32,
    /// 3 to 30 days.
    pub voting_period_seconds: u32,
    /// Votes of whoever proposes, 100 to 1,000,000 tokens.
    #[serde(with = "decimal")]
    pub proposal_threshold: u128,
    /// Of all votes, 10 to 60.
    pub quorum_percent: u8,
    /// Votes that a decision needs however few there are; cannot be changed.
    #[serde(with = "decimal")]
    pub least_quorum: u128,
    /// From a decision to its effect, 2 to 30 days.
    pub timelock_delay_seconds: u32,
    /// Who may hold up new work; the zero address is nobody.
    pub guardian: Address,
}

/// Constructor arguments of the stake registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryParams {
    /// Least own stake of an operator that works, 100 to 1,000,000 tokens.
    #[serde(with = "decimal")]
    pub min_self: u128,
    /// Size of the active set, 1..=256.
    pub slots: u16,
    /// From unbonding to withdrawing, 7 to 60 days and at least two days more than the market's reach.
    pub unbond_seconds: u32,
    /// The longest time from a lock of the market to the last slash that can follow.
    pub market_reach_seconds: u32,
    /// The treasury's part of fees that go through the fee router, in 1e-4, at most 500.
    pub protocol_fee: u16,
}

/// Constructor arguments of the job market; the same as `IJobMarket.Params`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketParams {
    /// Blocks for bids after a job is opened.
    pub bid_window: u32,
    /// Blocks for the awarded operator to take the job.
    pub start_window: u32,
    /// Blocks from a claim to the block whose hash draws its segments.
    pub seed_delay: u32,
    /// Blocks from there to the deadline of the answer, at most 8190.
    pub answer_window: u32,
    /// Blocks from the answer to payment.
    pub contest_window: u32,
    /// Blocks for last claims after the client closed a job.
    pub drain_window: u32,
    /// Least collateral of a claim.
    #[serde(with = "decimal")]
    pub min_lock: u128,
    /// Collateral of a running job.
    #[serde(with = "decimal")]
    pub start_lock: u128,
    /// Collateral of a claim for each wei of its fee, numerator.
    pub lock_per_wei_num: u64,
    /// Its denominator, not 0.
    pub lock_per_wei_den: u64,
}

/// Why a parameter file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParamsError {
    /// Not readable.
    #[error("cannot read the parameters {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not what it should be.
    #[error("the parameters {path} are not usable: {source}; compare with contracts/params/devnet.json")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
}

const DEVNET: &str = include_str!("../params/devnet.json");

impl Params {
    /// Short windows for a chain with one block a second: `contracts/params/devnet.json`.
    pub fn devnet() -> Self {
        serde_json::from_str(DEVNET).expect("a test parses the built-in file")
    }

    /// Reads a file of the same form.
    pub fn load(path: &Path) -> Result<Self, ParamsError> {
        let text = std::fs::read(path).map_err(|source| ParamsError::Read { path: path.into(), source })?;
        serde_json::from_slice(&text).map_err(|source| ParamsError::Parse { path: path.into(), source })
    }
}

impl RegistryParams {
    pub(crate) fn abi(&self) -> IStakeRegistry::Params {
        IStakeRegistry::Params { minSelf: self.min_self, unbond: self.unbond_seconds }
    }
}

impl RewardsParams {
    pub(crate) fn abi(&self) -> IRewards::Params {
        IRewards::Params { target: self.target, step: self.step, most: self.most }
    }
}

impl GovernanceParams {
    pub(crate) fn abi(&self) -> StakeGovernorParams {
        StakeGovernorParams {
            votingDelay: U48::from(self.voting_delay_seconds),
            votingPeriod: self.voting_period_seconds,
            proposalThreshold: U256::from(self.proposal_threshold),
            quorumPercent: U256::from(self.quorum_percent),
            leastQuorum: U256::from(self.least_quorum),
        }
    }
}

impl MarketParams {
    pub(crate) fn abi(&self) -> IJobMarket::Params {
        IJobMarket::Params {
            bidWindow: self.bid_window,
            startWindow: self.start_window,
            seedDelay: self.seed_delay,
            answerWindow: self.answer_window,
            contestWindow: self.contest_window,
            drainWindow: self.drain_window,
            minLock: self.min_lock,
            startLock: self.start_lock,
            lockPerWeiNum: self.lock_per_wei_num,
            lockPerWeiDen: self.lock_per_wei_den,
        }
    }

    /// The collateral that a claim over `fee` wei locks; `None` when it does not fit, where the contract reverts.
    pub fn lock_for(&self, fee: u128) -> Option<u128> {
        let num = u128::from(self.lock_per_wei_num);
        let den = u128::from(self.lock_per_wei_den);
        // fee * num needs 192 bits, so whole and rest are scaled apart; the rest keeps both factors under 64 bits.
        let whole = fee.checked_div(den)?.checked_mul(num)?;
        let rest = (fee % den).checked_mul(num)?.div_ceil(den);
        Some(whole.checked_add(rest)?.max(self.min_lock))
    }
}

mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|e| D::Error::custom(format_args!("{text:?} is not an amount in 1e-18 tokens: {e}")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_parses_and_survives_writing() {
        let params = Params::devnet();
        assert_eq!(params.registry.min_self, 1000 * 10u128.pow(18));
        let text = serde_json::to_string(&params).unwrap();
        assert_eq!(serde_json::from_str::<Params>(&text).unwrap(), params);
    }

    #[test]
    fn unknown_fields_and_bare_numbers_are_refused() {
        assert!(serde_json::from_str::<Params>(&DEVNET.replace("slots", "slotz")).is_err());
        assert!(serde_json::from_str::<Params>(&DEVNET.replace("\"10000000000000000000\"", "10")).is_err());
    }

    #[test]
    fn the_lock_is_half_the_fee_rounded_up_and_at_least_the_minimum() {
        let market = Params::devnet().market;
        assert_eq!(market.lock_for(0), Some(market.min_lock));
        let fee = 2 * market.min_lock;
        assert_eq!(market.lock_for(fee), Some(market.min_lock));
        assert_eq!(market.lock_for(fee + 1), Some(market.min_lock + 1));
        assert_eq!(market.lock_for(u128::MAX), Some(u128::MAX / 2 + 1));
        let dear = MarketParams { lock_per_wei_num: 3, ..market };
        assert_eq!(dear.lock_for(u128::MAX), None);
    }
}
