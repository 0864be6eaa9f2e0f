//! What to do next, as pure functions of what the chain shows and what this node has done.
//!
//! The chain is the state: each machine looks at the newest view and names the steps that are due. A restart, a missed
//! event or a reorganised block therefore need no special care: the next look says the same or something better, and the
//! outbox performs each step once.

pub mod claim;
pub mod client;
pub mod operator;

use crate::merkle::bound;
use crate::units::{BlockNo, ClaimId, JobId, Price, SegmentNo, Timestamp, Units, Wei};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

/// Claims of so many segments and more have all the job's samples drawn, and half the collateral.
pub const LONG_CLAIM: u32 = 256;

/// The most segments one claim may hold.
pub const MAX_CLAIM: u32 = 4096;

/// The moment of a look at the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// Height.
    pub head: BlockNo,
    /// Time of that block: claims, bids.
    pub time: Timestamp,
    /// The market's clock, which stands still while the market is paused: jobs.
    pub market: Timestamp,
}

/// A job's stage on chain, in the contract's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum JobState {
    None,
    Open,
    Assigned,
    Active,
    Draining,
    Closed,
}

/// A claim's stage on chain, in the contract's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ClaimState {
    None,
    Submitted,
    Sealed,
    Answered,
    Revealed,
    Settled,
    Missed,
    Slashed,
}

impl JobState {
    const ALL: [Self; 6] = [Self::None, Self::Open, Self::Assigned, Self::Active, Self::Draining, Self::Closed];

    /// By its number in the contract; one that is not known is none.
    pub fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::None)
    }
}

impl ClaimState {
    const ALL: [Self; 8] = [
        Self::None,
        Self::Submitted,
        Self::Sealed,
        Self::Answered,
        Self::Revealed,
        Self::Settled,
        Self::Missed,
        Self::Slashed,
    ];

    /// By its number in the contract; one that is not known is none.
    pub fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::None)
    }

    /// Nothing can happen to it any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Settled | Self::Missed | Self::Slashed)
    }
}

/// A job as the chain shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Who pays.
    pub client: Address,
    /// Who has it, or zero.
    pub operator: Address,
    /// Its stage.
    pub state: JobState,
    /// Segments drawn of a long claim.
    pub samples: u8,
    /// No new segments after it, by the market's clock like the next two.
    pub deadline: Timestamp,
    /// Last second for the assigned operator to start.
    pub start_until: Timestamp,
    /// Last second for claims while draining.
    pub drain_until: Timestamp,
    /// The agreed price.
    pub price: Price,
    /// The highest price the client takes.
    pub max_price: Price,
    /// Escrow not reserved by claims.
    pub escrow: Wei,
    /// Escrow reserved by open claims.
    pub reserved: Wei,
    /// Id of the ordered profile.
    pub profile: B256,
    /// End of the client's hash chain; zero without one.
    pub seed_tip: B256,
    /// The first segment not claimed yet.
    pub next_seq: SegmentNo,
    /// Claims that have not ended.
    pub open_claims: u32,
    /// The operator will claim no more.
    pub released: bool,
}

/// A claim as the chain shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimView {
    /// Its id.
    pub id: ClaimId,
    /// Its job.
    pub job: JobId,
    /// Who ordered the work.
    pub client: Address,
    /// Who claimed.
    pub operator: Address,
    /// First segment of the range.
    pub first: SegmentNo,
    /// Segments in the range.
    pub count: u32,
    /// Work claimed.
    pub units: Units,
    /// Its stage.
    pub state: ClaimState,
    /// Top of the Merkle-sum tree, [bound](crate::merkle::bound) to client and operator.
    pub root: B256,
    /// How many segments are drawn.
    pub drawn: u16,
    /// The draw's seed, zero before it is sealed.
    pub seed: B256,
    /// The block whose randomness draws; zero once answered.
    pub seed_block: BlockNo,
    /// Last second for seal and answer.
    pub answer_until: Timestamp,
    /// Once answered: last second for verifiers to attest; the operator reveals after it.
    pub attest_until: Timestamp,
    /// Last second to reveal.
    pub reveal_until: Timestamp,
    /// Last second to contest; settles after it.
    pub contest_until: Timestamp,
    /// Disputes and demands that keep it from being settled.
    pub holds: u8,
    /// The fee reserved for it.
    pub fee: Wei,
}

impl ClaimView {
    /// Whether this is the top of its tree.
    pub fn is_of(&self, top: B256) -> bool {
        bound(top, self.client, self.operator) == self.root
    }
}

/// How many segments are drawn of a claim of `count` segments.
pub fn drawn(samples: u8, count: u32) -> u16 {
    let all = if count < LONG_CLAIM { samples.min(2) } else { samples };
    u32::from(all).min(count) as u16 // at most 255
}

/// The seed of a claim: the lowest 80 bits of `keccak256(abi.encode(prevrandao, preimage, claim))`.
pub fn seed(prevrandao: B256, preimage: B256, claim: ClaimId) -> B256 {
    let mut seed = keccak256((prevrandao, preimage, U256::from(claim.0)).abi_encode());
    seed[..22].fill(0);
    seed
}

/// The unit offsets that a sealed claim must open, each `keccak256(abi.encode(seed, j)) mod units`.
pub fn draws(seed: B256, drawn: u16, units: Units) -> Vec<u64> {
    if units.0 == 0 {
        return Vec::new();
    }
    let draw = |j: u16| {
        let hash = U256::from_be_bytes(keccak256((seed, U256::from(j)).abi_encode()).0);
        (hash % U256::from(units.0)).to::<u64>()
    };
    (0..drawn).map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_inside_the_claim_and_depend_on_the_seed() {
        let all = draws(B256::repeat_byte(1), 8, Units(12_345));
        assert_eq!(all.len(), 8);
        assert!(all.iter().all(|offset| *offset < 12_345));
        assert_ne!(all, draws(B256::repeat_byte(2), 8, Units(12_345)));
        assert!(draws(B256::ZERO, 8, Units(0)).is_empty());
    }

    #[test]
    fn short_claims_have_two_segments_drawn() {
        assert_eq!((drawn(8, 256), drawn(8, 255), drawn(8, 1), drawn(1, 255)), (8, 2, 1, 1));
    }
}
