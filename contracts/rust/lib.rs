//! The contracts as Rust sees them: bindings generated from the committed artifacts, the deployer, the parameters of a
//! development network, and a development chain for tests and demonstrations.
//!
//! No Solidity compiler is needed to build this; `contracts/test.sh --artifacts` renews the artifacts. Knows nothing of
//! the market's rules in Rust (`headframe-market`); the tests hold both to the same vectors.

#![forbid(unsafe_code)]

pub mod bindings;
mod deploy;
mod devchain;
mod order;
mod params;
mod roles;

pub use bindings::{ActiveSet, FeeRouter, OperatorKeys, StakeRegistry, Token};
pub use bindings::{ChallengeManager, DisputeGame, Jury};
pub use bindings::{ClaimBook, IClaimBook, IJobMarket, IStakeRegistry, JobMarket, ProfileRegistry};
pub use bindings::{EquivocationStep, ErrorSumStep, HeaderStep, LeafStep, ScaleStep};
pub use bindings::{Guardian, IRewards, Rewards, StakeGovernor, StakeVotes, Timelock};
pub use deploy::{DeployError, Deployment, DeploymentFileError, WrongDeployment, fund};
pub use devchain::{AnvilMissing, DevChain, DevChainError, anvil_program, set_balance};
pub use order::deploy;
pub use params::{Bounded, ChallengeParams, ClaimParams, DisputeParams, JuryParams, MarketParams};
pub use params::{GovernanceParams, Params, ParamsError, RegistryParams, RewardsParams, TokenParams};
pub use roles::{Fault, Relation, role_faults};
