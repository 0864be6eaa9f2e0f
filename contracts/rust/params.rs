//! What a deployment begins with. Windows are in seconds, delays in blocks, stake in the token's smallest unit (1e-18) and
//! amounts of coin in wei; these two are written as decimal strings in JSON because they exceed what other readers keep
//! exactly. What each means is said in the Solidity interface of the same name.

use crate::bindings::{IChallengeManager, IClaimBook, IDisputeGame, IJobMarket, IJury};
use crate::bindings::{IRewards, IStakeRegistry, StakeGovernorParams};
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
    /// Jobs and their doors.
    pub market: Bounded<MarketParams>,
    /// Claims.
    pub claims: Bounded<ClaimParams>,
    /// Verifiers.
    pub challenges: Bounded<ChallengeParams>,
    /// Disputes.
    pub disputes: Bounded<DisputeParams>,
    /// Jurors.
    pub jury: Bounded<JuryParams>,
    /// How many tokens there may be.
    pub token: TokenParams,
    /// How many new ones are made.
    pub rewards: RewardsParams,
    /// Who decides, and how long it takes.
    pub governance: GovernanceParams,
}

/// Parameters that governance can move, and between what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounded<T> {
    /// At first.
    pub first: T,
    /// The least of each.
    pub least: T,
    /// The most of each.
    pub most: T,
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
    /// From unbonding to withdrawing, 7 to 60 days and at least two days more than the reach of every slasher.
    pub unbond_seconds: u32,
    /// The treasury's part of fees that go through the fee router, in 1e-4, at most 500.
    pub protocol_fee: u16,
}

/// `IJobMarket.Params`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // said in the interface
pub struct MarketParams {
    pub start_window: u32,
    pub drain_window: u32,
    pub commit_window: u32,
    pub reveal_window: u32,
    pub election_delay: u16,
    #[serde(with = "decimal")]
    pub start_lock: u128,
    #[serde(with = "decimal")]
    pub deposit: u128,
}

/// `IClaimBook.Params`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // said in the interface
pub struct ClaimParams {
    pub seed_delay: u16,
    pub preimage_window: u32,
    pub answer_window: u32,
    pub attest_window: u32,
    pub reveal_window: u32,
    pub contest_window: u32,
    #[serde(with = "decimal")]
    pub min_lock: u128,
    #[serde(with = "decimal")]
    pub verifier_lock: u128,
    pub lock_num: u64,
    pub lock_den: u64,
    pub verifier_share: u16,
}

/// `IChallengeManager.Params`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // said in the interface
pub struct ChallengeParams {
    #[serde(with = "decimal")]
    pub verifier_lock: u128,
    pub absences: u16,
    pub publish_window: u32,
}

/// `IDisputeGame.Params`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // said in the interface
pub struct DisputeParams {
    pub clock: u32,
    pub floor: u32,
    #[serde(with = "decimal")]
    pub bond: u128,
    pub bond_share: u16,
}

/// `IJury.Params`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // said in the interface
pub struct JuryParams {
    pub seed_delay: u16,
    pub vote_window: u32,
    pub reveal_window: u32,
    pub appeal_window: u32,
    #[serde(with = "decimal")]
    pub juror_lock: u128,
    #[serde(with = "decimal")]
    pub appeal_bond: u128,
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
const MAINNET: &str = include_str!("../params/mainnet.json");

impl Params {
    /// Short windows for a chain with one block a second: `contracts/params/devnet.json`.
    pub fn devnet() -> Self {
        serde_json::from_str(DEVNET).expect("a test parses the built-in file")
    }

    /// For a network with real stake on a chain with 12 s blocks: `contracts/params/mainnet.json`. Whoever deploys it names
    /// the guardian.
    pub fn mainnet() -> Self {
        serde_json::from_str(MAINNET).expect("a test parses the built-in file")
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

/// Each as the contract takes it.
macro_rules! abi {
    ($name:ident, $interface:ident { $($theirs:ident: $ours:ident),* }) => {
        impl $name {
            pub(crate) fn abi(&self) -> $interface::Params {
                $interface::Params { $($theirs: self.$ours),* }
            }
        }
    };
}
abi!(
    MarketParams,
    IJobMarket {
        startWindow: start_window,
        drainWindow: drain_window,
        commitWindow: commit_window,
        revealWindow: reveal_window,
        electionDelay: election_delay,
        startLock: start_lock,
        deposit: deposit
    }
);
abi!(
    ClaimParams,
    IClaimBook {
        seedDelay: seed_delay,
        preimageWindow: preimage_window,
        answerWindow: answer_window,
        attestWindow: attest_window,
        revealWindow: reveal_window,
        contestWindow: contest_window,
        minLock: min_lock,
        verifierLock: verifier_lock,
        lockNum: lock_num,
        lockDen: lock_den,
        verifierShare: verifier_share
    }
);
abi!(
    ChallengeParams,
    IChallengeManager { verifierLock: verifier_lock, absences: absences, publishWindow: publish_window }
);
abi!(DisputeParams, IDisputeGame { clock: clock, floor: floor, bond: bond, bondShare: bond_share });
abi!(
    JuryParams,
    IJury {
        seedDelay: seed_delay,
        voteWindow: vote_window,
        revealWindow: reveal_window,
        appealWindow: appeal_window,
        jurorLock: juror_lock,
        appealBond: appeal_bond
    }
);

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
