//! Generated from `artifacts/*.json`. Each contract's own structs and enums live in a module named after the interface
//! that declares them, such as [`IJobMarket::Job`].

pub use active_set::ActiveSet;
pub use fee_router::FeeRouter;
pub use governance::{Guardian, Rewards, StakeGovernor, StakeVotes, Timelock};
pub use governance::{IRewards, StakeGovernorParams};
pub use job_market::{IJobMarket, JobMarket};
pub use operator_keys::OperatorKeys;
pub use stake_registry::{IStakeRegistry, StakeRegistry};
pub use states::{ClaimState, JobState, SlashReason};
pub use steps::{EquivocationStep, ErrorSumStep, HeaderStep, LeafStep, ScaleStep};
pub use token::Token;

// One module each: every artifact declares the types it uses anew. The documentation is in the Solidity interfaces, and
// the number of arguments is theirs too.
#[allow(missing_docs, clippy::too_many_arguments)]
mod token {
    alloy::sol!(
        #[sol(rpc, all_derives = true)]
        Token,
        "artifacts/Token.json"
    );
}

#[allow(missing_docs, clippy::too_many_arguments)]
mod stake_registry {
    alloy::sol!(
        #[sol(rpc, all_derives = true)]
        StakeRegistry,
        "artifacts/StakeRegistry.json"
    );
}

#[allow(missing_docs, clippy::too_many_arguments)]
mod active_set {
    alloy::sol!(
        #[sol(rpc, all_derives = true)]
        ActiveSet,
        "artifacts/ActiveSet.json"
    );
}

#[allow(missing_docs, clippy::too_many_arguments)]
mod operator_keys {
    alloy::sol!(
        #[sol(rpc, all_derives = true)]
        OperatorKeys,
        "artifacts/OperatorKeys.json"
    );
}

#[allow(missing_docs, clippy::too_many_arguments)]
mod fee_router {
    alloy::sol!(
        #[sol(rpc, all_derives = true)]
        FeeRouter,
        "artifacts/FeeRouter.json"
    );
}

#[allow(missing_docs, clippy::too_many_arguments)]
mod job_market {
    alloy::sol!(
        #[sol(rpc, all_derives = true)]
        JobMarket,
        "artifacts/JobMarket.json"
    );
}

/// Who decides, and what new tokens are made.
mod governance {
    macro_rules! contract {
        ($module:ident, $name:ident, $artifact:literal) => {
            #[allow(missing_docs, clippy::too_many_arguments)]
            pub(super) mod $module {
                alloy::sol!(
                    #[sol(rpc, all_derives = true)]
                    $name,
                    $artifact
                );
            }
            pub use $module::$name;
        };
    }
    contract!(guardian, Guardian, "artifacts/Guardian.json");
    contract!(rewards, Rewards, "artifacts/Rewards.json");
    contract!(stake_governor, StakeGovernor, "artifacts/StakeGovernor.json");
    contract!(stake_votes, StakeVotes, "artifacts/StakeVotes.json");
    contract!(timelock, Timelock, "artifacts/Timelock.json");
    pub use rewards::IRewards;
    pub use stake_governor::StakeGovernor::Params as StakeGovernorParams;
}

/// How the one-shot fraud proofs refuse evidence.
#[allow(missing_docs)]
pub mod step_errors {
    alloy::sol! {
        error NothingWrong();
        error OtherStatement(bytes32 statement, bytes32 given);
        error NotCommitted(bytes32 root);
        error OutOfShape();
        error NotSigned(bytes32 digest);
    }
}

/// The one-shot fraud proofs. `headframe_market::proof` builds their evidence.
mod steps {
    macro_rules! step {
        ($module:ident, $name:ident, $artifact:literal) => {
            #[allow(missing_docs, clippy::too_many_arguments)]
            mod $module {
                alloy::sol!(
                    #[sol(rpc)]
                    $name,
                    $artifact
                );
            }
            pub use $module::$name;
        };
    }
    step!(equivocation, EquivocationStep, "artifacts/EquivocationStep.json");
    step!(error_sum, ErrorSumStep, "artifacts/ErrorSumStep.json");
    step!(header, HeaderStep, "artifacts/HeaderStep.json");
    step!(leaf, LeafStep, "artifacts/LeafStep.json");
    step!(scale, ScaleStep, "artifacts/ScaleStep.json");
}

/// A JSON ABI carries enums as bare `u8`; `JobState::try_from(job.state)` names them again.
#[allow(missing_docs)]
mod states {
    alloy::sol! {
        #[derive(Debug, PartialEq, Eq)]
        enum JobState { None, Open, Awarded, Active, Draining, Closed }

        #[derive(Debug, PartialEq, Eq)]
        enum ClaimState { None, Submitted, Sealed, Answered, Settled, Slashed }

        #[derive(Debug, PartialEq, Eq)]
        enum SlashReason { Unsealed, Unanswered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_numbers_of_the_interface() {
        let source = include_str!("../src/interfaces/IJobMarket.sol");
        let declared = |name: &str| -> Vec<String> {
            let (_, rest) = source.split_once(&format!("enum {name} {{")).unwrap_or_default();
            let (body, _) = rest.split_once('}').unwrap_or_default();
            body.split(',').map(|word| word.trim().to_owned()).collect()
        };
        for (number, name) in (0u8..).zip(declared("JobState")) {
            assert_eq!(JobState::try_from(number).map(|s| format!("{s:?}")), Ok(name));
        }
        for (number, name) in (0u8..).zip(declared("ClaimState")) {
            assert_eq!(ClaimState::try_from(number).map(|s| format!("{s:?}")), Ok(name));
        }
        for (number, name) in (0u8..).zip(declared("SlashReason")) {
            assert_eq!(SlashReason::try_from(number).map(|s| format!("{s:?}")), Ok(name));
        }
    }
}
