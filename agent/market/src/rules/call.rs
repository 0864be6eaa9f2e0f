//! The calls that the model knows, named after the contracts' functions; `value` is the wei sent along.

use super::params::{ClaimParams, MarketParams};
use crate::order::{Bid, JobOrder};
use crate::units::{ClaimId, JobId, Timestamp};
use alloy_primitives::{Address, B256, Bytes, U256};

/// How a job finds its operator, in the contract's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Door {
    Direct,
    Auction,
    Election,
}

/// Why a judge ends a claim, in the contract's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fault {
    Proof,
    Verdict,
    Withheld,
}

/// How long an operator is out, in the contract's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Jail {
    No,
    Short,
    Strike,
}

/// A part of what is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Whose it is.
    pub to: Address,
    /// In 1e-4.
    pub share: u16,
}

/// One call. Stake is in 1e-18 tokens, prices are wei a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one at a time
#[allow(missing_docs)] // the fields are those of the contract functions that each variant names
pub enum Call {
    // ---- the market ----
    OpenJob {
        order: JobOrder,
        door: Door,
        value: u128,
    },
    OpenJobFor {
        order: JobOrder,
        door: Door,
        signature: Bytes,
        value: u128,
    },
    OpenWithBid {
        order: JobOrder,
        bid: Bid,
        signature: Bytes,
        value: u128,
    },
    AcceptBid {
        job: JobId,
        bid: Bid,
        signature: Bytes,
    },
    CancelBids {
        word: U256,
        mask: U256,
    },
    CommitBid {
        job: JobId,
        commitment: B256,
        value: u128,
    },
    RevealBid {
        job: JobId,
        price: u128,
        salt: B256,
    },
    AwardAuction {
        job: JobId,
    },
    TakeDeposit {
        job: JobId,
    },
    SetTerms {
        price: u128,
        max_jobs: u16,
    },
    /// `drawn` is what the active set draws for the job's election, in order; the contract asks it itself.
    Elect {
        job: JobId,
        header: Bytes,
        drawn: Vec<Address>,
    },
    StartJob {
        job: JobId,
    },
    DefaultJob {
        job: JobId,
    },
    TopUp {
        job: JobId,
        value: u128,
    },
    ExtendJob {
        job: JobId,
        deadline: Timestamp,
    },
    SetSeedTip {
        job: JobId,
        tip: B256,
    },
    CancelJob {
        job: JobId,
    },
    CloseJob {
        job: JobId,
    },
    ReleaseJob {
        job: JobId,
    },
    Reclaim {
        job: JobId,
    },
    Withdraw,
    RouteFees {
        operator: Address,
    },
    Pause {
        until: Timestamp,
    },
    Unpause,
    SetMarketParams(MarketParams),
    // ---- the book ----
    Claim {
        job: JobId,
        first: u64,
        count: u32,
        root: B256,
        units: u64,
    },
    Seal {
        claim: ClaimId,
        header: Bytes,
        preimage: B256,
    },
    Answer {
        claim: ClaimId,
        /// [Packed](crate::packed).
        openings: Bytes,
        commitments: Vec<B256>,
    },
    Reveal {
        claim: ClaimId,
        openings: Vec<B256>,
        commitments: Vec<B256>,
        digests: Vec<B256>,
        salts: Vec<B256>,
    },
    Settle {
        claim: ClaimId,
    },
    SlashMissed {
        claim: ClaimId,
    },
    Hold {
        claim: ClaimId,
    },
    LetGo {
        claim: ClaimId,
    },
    Punish {
        claim: ClaimId,
        fault: Fault,
        cuts: Vec<Cut>,
    },
    SetClaimParams(ClaimParams),
    // ---- the registry and its keys ----
    Bond {
        amount: u128,
    },
    Lock {
        operator: Address,
        amount: u128,
    },
    Release {
        operator: Address,
        amount: u128,
    },
    Slash {
        operator: Address,
        amount: u128,
        unlock: u128,
        cuts: Vec<Cut>,
        jail: Jail,
    },
    RetireSlasher {
        slasher: Address,
    },
    FreeEnded {
        operator: Address,
        slasher: Address,
    },
    ProposeSigner {
        operator: Address,
        signer: Address,
    },
    AcceptSigner {
        operator: Address,
    },
}

impl Call {
    /// The variant's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OpenJob { door: Door::Direct, .. } => "openJob direct",
            Self::OpenJob { door: Door::Auction, .. } => "openJob auction",
            Self::OpenJob { door: Door::Election, .. } => "openJob election",
            Self::OpenJobFor { .. } => "openJobFor",
            Self::OpenWithBid { .. } => "openWithBid",
            Self::AcceptBid { .. } => "acceptBid",
            Self::CancelBids { .. } => "cancelBids",
            Self::CommitBid { .. } => "commitBid",
            Self::RevealBid { .. } => "revealBid",
            Self::AwardAuction { .. } => "awardAuction",
            Self::TakeDeposit { .. } => "takeDeposit",
            Self::SetTerms { .. } => "setTerms",
            Self::Elect { .. } => "elect",
            Self::StartJob { .. } => "startJob",
            Self::DefaultJob { .. } => "defaultJob",
            Self::TopUp { .. } => "topUp",
            Self::ExtendJob { .. } => "extendJob",
            Self::SetSeedTip { .. } => "setSeedTip",
            Self::CancelJob { .. } => "cancelJob",
            Self::CloseJob { .. } => "closeJob",
            Self::ReleaseJob { .. } => "releaseJob",
            Self::Reclaim { .. } => "reclaim",
            Self::Withdraw => "withdraw",
            Self::RouteFees { .. } => "routeFees",
            Self::Pause { .. } => "pause",
            Self::Unpause => "unpause",
            Self::SetMarketParams(_) => "setParams of the market",
            Self::Claim { .. } => "claim",
            Self::Seal { .. } => "seal",
            Self::Answer { .. } => "answer",
            Self::Reveal { .. } => "reveal",
            Self::Settle { .. } => "settle",
            Self::SlashMissed { .. } => "slashMissed",
            Self::Hold { .. } => "hold",
            Self::LetGo { .. } => "letGo",
            Self::Punish { fault: Fault::Proof, .. } => "punish by proof",
            Self::Punish { fault: Fault::Verdict, .. } => "punish by verdict",
            Self::Punish { fault: Fault::Withheld, .. } => "punish for withholding",
            Self::SetClaimParams(_) => "setParams of claims",
            Self::Bond { .. } => "bond",
            Self::Lock { .. } => "lock elsewhere",
            Self::Release { .. } => "release elsewhere",
            Self::Slash { .. } => "slash elsewhere",
            Self::RetireSlasher { .. } => "retireSlasher",
            Self::FreeEnded { .. } => "freeEnded",
            Self::ProposeSigner { .. } => "proposeSigner",
            Self::AcceptSigner { .. } => "acceptSigner",
        }
    }
}
