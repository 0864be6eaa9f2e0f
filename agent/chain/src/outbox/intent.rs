//! What the outbox is asked for and how far it has come: plain values, no store and no network.

use alloy::primitives::B256;
use headframe_market::{Action, BlockNo, Timestamp, Wei};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far an intent has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for its turn.
    Queued,
    /// Has a nonce, gas limit and fees; not signed.
    Reserved,
    /// Signed and stored; perhaps sent.
    Signed,
    /// A provider has it.
    Sent,
    /// Seen in a block and done what it should, not yet deep enough.
    Mined,
    /// Seen in a block and reverted, not yet deep enough.
    Reverted,
    /// Done, under enough blocks.
    Safe,
    /// Done, in a block that the chain calls final.
    Final,
    /// Will not happen: refused, dropped, or reverted under enough blocks. Asking again later tries again.
    Failed,
}

impl State {
    /// Every state, in order.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Reserved,
        Self::Signed,
        Self::Sent,
        Self::Mined,
        Self::Reverted,
        Self::Safe,
        Self::Final,
        Self::Failed,
    ];

    /// A short constant name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Reserved => "reserved",
            Self::Signed => "signed",
            Self::Sent => "sent",
            Self::Mined => "mined",
            Self::Reverted => "reverted",
            Self::Safe => "safe",
            Self::Final => "final",
            Self::Failed => "failed",
        }
    }

    /// Signed, and in no block.
    pub fn is_in_flight(self) -> bool {
        matches!(self, Self::Signed | Self::Sent)
    }

    /// Seen in a block, whatever it did there.
    pub fn is_mined(self) -> bool {
        matches!(self, Self::Mined | Self::Reverted | Self::Safe | Self::Final)
    }

    /// Nothing more is expected of it.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Safe | Self::Final | Self::Failed)
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an action is worth hurrying for; the lower one goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// What must be shown in time, or stake is lost.
    Proof,
    /// What must be there in time, or work is not paid.
    Claim,
    /// Money that is ours and does not run away.
    Reward,
    /// Everything else.
    Upkeep,
}

impl Rank {
    /// Where an action stands.
    pub fn of(action: &Action) -> Self {
        match action {
            proof if proof.is_proof() => Self::Proof,
            Action::Claim { .. }
            | Action::StartJob { .. }
            | Action::OpenWithBid { .. }
            | Action::DefaultJob { .. }
            | Action::TopUp { .. } => Self::Claim,
            Action::Settle { .. }
            | Action::Reward { .. }
            | Action::RouteFees { .. }
            | Action::WithdrawFees { .. }
            | Action::Withdraw { .. }
            | Action::Reclaim { .. } => Self::Reward,
            _ => Self::Upkeep,
        }
    }

    /// As the store sorts it.
    pub(super) fn order(self) -> u8 {
        match self {
            Self::Proof => 0,
            Self::Claim => 1,
            Self::Reward => 2,
            Self::Upkeep => 3,
        }
    }

    pub(super) fn from_order(order: u8) -> Self {
        match order {
            0 => Self::Proof,
            1 => Self::Claim,
            2 => Self::Reward,
            _ => Self::Upkeep,
        }
    }

    /// Whether waiting costs stake or pay: such a transaction may bid up to the highest cap.
    pub fn is_urgent(self) -> bool {
        self <= Self::Claim
    }
}

/// The last block, and the last second by the blocks' own clock, in which an effect is still of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deadline {
    /// It must be in this block or an earlier one.
    pub block: Option<BlockNo>,
    /// Its block's timestamp must not exceed this.
    pub time: Option<Timestamp>,
}

impl Deadline {
    /// No deadline.
    pub const NONE: Self = Self { block: None, time: None };

    /// The last block.
    pub fn block(last: BlockNo) -> Self {
        Self { block: Some(last), ..Self::NONE }
    }

    /// The last second.
    pub fn time(last: Timestamp) -> Self {
        Self { time: Some(last), ..Self::NONE }
    }

    /// Why a block after the one at this height and time is too late, if it is.
    pub(super) fn passed(&self, height: BlockNo, time: u64) -> Option<String> {
        if let Some(last) = self.block
            && height >= last
        {
            return Some(format!("its deadline was block {last}, and the chain is at block {height}"));
        }
        match self.time {
            Some(last) if time >= last.0 => {
                Some(format!("its deadline was second {last} of the chain's clock, which is at {time}"))
            }
            _ => None,
        }
    }

    /// Whether no more than `blocks` blocks are left, or `seconds` seconds.
    pub(super) fn is_near(&self, height: BlockNo, time: u64, blocks: u64, seconds: u64) -> bool {
        self.block.is_some_and(|last| height.after(blocks) >= last)
            || self.time.is_some_and(|last| time.saturating_add(seconds) >= last.0)
    }
}

/// An action and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Intent {
    /// Names the effect; see [`Action::key`].
    pub key: String,
    /// See [`Action::kind`].
    pub kind: String,
    /// How far it has come.
    pub state: State,
    /// Head of the chain when it was asked for.
    pub created_block: BlockNo,
    /// Until when it is of use.
    pub deadline: Deadline,
    /// The account's nonce, once it has one.
    pub nonce: Option<u64>,
    /// The transaction: the newest attempt, or the one that was mined.
    pub hash: Option<B256>,
    /// How many times it was signed with rising fees.
    pub attempts: u32,
    /// The block it is in.
    pub block: Option<BlockNo>,
    /// Gas it took.
    pub gas_used: Option<u64>,
    /// What it cost.
    pub fee: Option<Wei>,
    /// Why it failed, or why it is not getting on.
    pub error: Option<String>,
    /// Head of the chain when it became safe or failed.
    pub done_block: Option<BlockNo>,
}

/// What happened to an intent, for display and for the market's machines. Each carries the intent as it then was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A provider has it, for the first time or with higher fees.
    Sent(Intent),
    /// It is in a block and did what it should.
    Mined(Intent),
    /// It is under enough blocks.
    Safe(Intent),
    /// It is in a block that the chain calls final.
    Final(Intent),
    /// It reverted, was refused or dropped; its `error` says why. A revert is told twice: when mined, and when deep
    /// enough.
    Failed(Intent),
    /// It was in a block that is no longer part of the chain, and is on its way again.
    Unmined(Intent),
    /// It waits because its kind's budget is spent; told when that begins.
    OverBudget(Intent),
}

/// How far [`super::Outbox::wait`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// In a block, or failed.
    Mined,
    /// Under enough blocks, or failed for good.
    Safe,
    /// In a final block, or failed for good.
    Final,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_the_last_block_that_is_in_time() {
        let deadline = Deadline::block(BlockNo(10));
        assert_eq!(deadline.passed(BlockNo(9), u64::MAX), None); // the next block is block 10
        assert!(deadline.passed(BlockNo(10), 0).is_some_and(|why| why.contains("block 10")));
        let deadline = Deadline::time(Timestamp(100));
        assert_eq!(deadline.passed(BlockNo(u64::MAX), 99), None);
        assert!(deadline.passed(BlockNo(0), 100).is_some());
        assert_eq!(Deadline::NONE.passed(BlockNo(u64::MAX), u64::MAX), None);
        assert!(deadline.is_near(BlockNo(0), 70, 5, 30) && !deadline.is_near(BlockNo(0), 69, 5, 30));
        let deadline = Deadline::block(BlockNo(10));
        assert!(deadline.is_near(BlockNo(5), 0, 5, 0) && !deadline.is_near(BlockNo(4), 0, 5, 0));
    }

    #[test]
    fn proofs_go_before_claims_before_rewards() {
        assert!(Rank::Proof < Rank::Claim && Rank::Claim < Rank::Reward && Rank::Reward < Rank::Upkeep);
        for rank in [Rank::Proof, Rank::Claim, Rank::Reward, Rank::Upkeep] {
            assert_eq!(Rank::from_order(rank.order()), rank);
        }
        assert_eq!(Rank::of(&Action::Settle { claim: headframe_market::ClaimId(1) }), Rank::Reward);
    }
}
