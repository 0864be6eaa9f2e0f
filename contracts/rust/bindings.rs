//! Generated from `artifacts/*.json`. Each contract's own structs and enums live in a module named after the interface
//! that declares them, such as [`IJobMarket::Job`].

pub use active_set::ActiveSet;
pub use claim_book::{ClaimBook, IClaimBook};
pub use fee_router::FeeRouter;
pub use governance::{Guardian, Rewards, StakeGovernor, StakeVotes, Timelock};
pub use governance::{IRewards, StakeGovernorParams};
pub use job_market::{IJobMarket, JobMarket, MarketStore};
pub use operator_keys::OperatorKeys;
pub use profile_registry::ProfileRegistry;
pub use stake_registry::{IStakeRegistry, StakeRegistry};
pub use states::{ClaimState, Door, Fault, JobState};
pub use steps::{EquivocationStep, ErrorSumStep, HeaderStep, LeafStep, ScaleStep};
pub use token::Token;
pub use verification::{ChallengeManager, DisputeGame, EvidenceReader, Jury, OrderedHeaderStep, ShapeStep};
pub use verification::{IChallengeManager, IDisputeGame, IJury, Proofs, VerifyBase};

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

#[allow(missing_docs, clippy::too_many_arguments)]
mod claim_book {
    alloy::sol!(
        #[sol(rpc, all_derives = true)]
        ClaimBook,
        "artifacts/ClaimBook.json"
    );
}

#[allow(missing_docs, clippy::too_many_arguments)]
mod profile_registry {
    alloy::sol!(
        #[sol(rpc, all_derives = true)]
        ProfileRegistry,
        "artifacts/ProfileRegistry.json"
    );
}

/// Verifiers, proofs and disputes.
mod verification {
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
    contract!(challenge_manager, ChallengeManager, "artifacts/ChallengeManager.json");
    contract!(dispute_game, DisputeGame, "artifacts/DisputeGame.json");
    contract!(evidence_reader, EvidenceReader, "artifacts/EvidenceReader.json");
    contract!(jury, Jury, "artifacts/Jury.json");
    contract!(ordered_header_step, OrderedHeaderStep, "artifacts/OrderedHeaderStep.json");
    contract!(shape_step, ShapeStep, "artifacts/ShapeStep.json");
    pub use challenge_manager::{IChallengeManager, Proofs, VerifyBase};
    pub use dispute_game::IDisputeGame;
    pub use jury::IJury;
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
        enum JobState { None, Open, Assigned, Active, Draining, Closed }

        #[derive(Debug, PartialEq, Eq)]
        enum Door { Direct, Auction, Election }

        #[derive(Debug, PartialEq, Eq)]
        enum ClaimState { None, Submitted, Sealed, Answered, Revealed, Settled, Missed, Slashed }

        #[derive(Debug, PartialEq, Eq)]
        enum Fault { Proof, Verdict, Withheld }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_numbers_of_the_interfaces() {
        let market = include_str!("../src/interfaces/IJobMarket.sol");
        let book = include_str!("../src/interfaces/IClaimBook.sol");
        let declared = |source: &str, name: &str| -> Vec<String> {
            let (_, rest) = source.split_once(&format!("enum {name} {{")).unwrap_or_default();
            let (body, _) = rest.split_once('}').unwrap_or_default();
            let words = body.lines().map(|line| line.split("//").next().unwrap_or_default());
            words
                .flat_map(|line| line.split(','))
                .map(|word| word.trim().to_owned())
                .filter(|w| !w.is_empty())
                .collect()
        };
        macro_rules! same {
            ($source:expr, $name:ident, $count:expr) => {
                let names = declared($source, stringify!($name));
                assert_eq!(names.len(), $count);
                for (number, name) in (0u8..).zip(names) {
                    assert_eq!($name::try_from(number).map(|state| format!("{state:?}")), Ok(name));
                }
            };
        }
        same!(market, JobState, 6);
        same!(market, Door, 3);
        same!(book, ClaimState, 8);
        same!(book, Fault, 3);
    }
}
