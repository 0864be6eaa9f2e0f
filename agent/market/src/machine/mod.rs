//! What to do next, as pure functions of what the chain shows and what this node has done.
//!
//! The chain is the state: each machine looks at the newest view and names the steps that are due. A restart, a missed
//! event or a reorganised block therefore need no special care: the next look says the same or something better, and the
//! outbox performs each step once.

pub mod claim;
pub mod client;
pub mod operator;

use crate::units::{BlockNo, ClaimId, JobId, Price, SegmentNo, Units, Wei};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

/// A job's stage on chain, in the contract's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum JobState {
    None,
    Open,
    Awarded,
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
    Settled,
    Slashed,
}

/// A job as the chain shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Who pays.
    pub client: Address,
    /// Who was awarded, or zero.
    pub operator: Address,
    /// Its stage.
    pub state: JobState,
    /// Segments drawn per claim.
    pub samples: u8,
    /// Last block for bids.
    pub bid_until: BlockNo,
    /// Last block for the awarded operator to take the job.
    pub start_until: BlockNo,
    /// Last block for claims while draining.
    pub drain_until: BlockNo,
    /// The awarded price.
    pub price: Price,
    /// The highest price the client takes.
    pub max_price: Price,
    /// Escrow not reserved by claims.
    pub escrow: Wei,
    /// Escrow reserved by open claims.
    pub reserved: Wei,
    /// Hash of the ordered ladder.
    pub profile: B256,
    /// The first segment not claimed yet.
    pub next_seq: SegmentNo,
    /// Claims not settled yet.
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
    /// Root of the Merkle-sum tree.
    pub root: B256,
    /// The draw's seed, zero before it is sealed.
    pub seed: B256,
    /// The block whose hash becomes the seed.
    pub seed_block: BlockNo,
    /// Submitted and sealed: last block for the answer. Answered: last block of the contest window.
    pub deadline: BlockNo,
    /// The fee reserved for it.
    pub fee: Wei,
}

/// The unit offsets that a sealed claim must open: `min(samples, count)` of them, each
/// `keccak256(abi.encode(seed, j)) mod units`.
pub fn draws(seed: B256, samples: u8, count: u32, units: Units) -> Vec<u64> {
    let drawn = u32::from(samples).min(count);
    if units.0 == 0 {
        return Vec::new();
    }
    let draw = |j: u32| {
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
        let drawn = draws(B256::repeat_byte(1), 8, 100, Units(12_345));
        assert_eq!(drawn.len(), 8);
        assert!(drawn.iter().all(|offset| *offset < 12_345));
        assert_ne!(drawn, draws(B256::repeat_byte(2), 8, 100, Units(12_345)));
        assert_eq!(draws(B256::ZERO, 8, 3, Units(5)).len(), 3);
        assert!(draws(B256::ZERO, 8, 3, Units(0)).is_empty());
    }
}
