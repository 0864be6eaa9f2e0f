//! Generated from `artifacts/*.json`. Each contract's own structs and enums live in a module named after the interface
//! that declares them, such as [`IJobMarket::Job`].

// One module each: every artifact declares the types it uses anew. The documentation is in the Solidity interfaces, and
// the number of arguments is theirs too.
macro_rules! contracts {
    ($($module:ident $name:ident $artifact:literal,)*) => {$(
        #[allow(missing_docs, clippy::too_many_arguments)]
        mod $module {
            alloy::sol!(
                #[sol(rpc, all_derives = true)]
                $name,
                $artifact
            );
        }
        pub use $module::$name;
    )*};
}
contracts! {
    // Stake.
    token Token "artifacts/Token.json",
    stake_registry StakeRegistry "artifacts/StakeRegistry.json",
    active_set ActiveSet "artifacts/ActiveSet.json",
    operator_keys OperatorKeys "artifacts/OperatorKeys.json",
    fee_router FeeRouter "artifacts/FeeRouter.json",
    // The market.
    profile_registry ProfileRegistry "artifacts/ProfileRegistry.json",
    job_market JobMarket "artifacts/JobMarket.json",
    claim_book ClaimBook "artifacts/ClaimBook.json",
    // Verifiers, proofs and disputes.
    challenge_manager ChallengeManager "artifacts/ChallengeManager.json",
    dispute_game DisputeGame "artifacts/DisputeGame.json",
    evidence_reader EvidenceReader "artifacts/EvidenceReader.json",
    jury Jury "artifacts/Jury.json",
    ordered_header_step OrderedHeaderStep "artifacts/OrderedHeaderStep.json",
    shape_step ShapeStep "artifacts/ShapeStep.json",
    // Who decides, and what new tokens are made.
    guardian Guardian "artifacts/Guardian.json",
    rewards Rewards "artifacts/Rewards.json",
    stake_governor StakeGovernor "artifacts/StakeGovernor.json",
    stake_votes StakeVotes "artifacts/StakeVotes.json",
    timelock Timelock "artifacts/Timelock.json",
    // The one-shot fraud proofs. `headframe_market::proof` builds their evidence.
    equivocation EquivocationStep "artifacts/EquivocationStep.json",
    error_sum ErrorSumStep "artifacts/ErrorSumStep.json",
    header HeaderStep "artifacts/HeaderStep.json",
    leaf LeafStep "artifacts/LeafStep.json",
    scale ScaleStep "artifacts/ScaleStep.json",
}
pub use challenge_manager::{IChallengeManager, Proofs, VerifyBase};
pub use claim_book::IClaimBook;
pub use dispute_game::IDisputeGame;
pub use job_market::{IJobMarket, MarketStore};
pub use jury::IJury;
pub use rewards::IRewards;
pub use stake_governor::StakeGovernor::Params as StakeGovernorParams;
pub use stake_registry::IStakeRegistry;

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
