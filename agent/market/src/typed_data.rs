//! EIP-712 hashes. The types are those of the contracts, and of their calls where they have them; the shared vectors hold both sides to the same bytes.

use crate::action;
use crate::order::{Bid, JobOrder};
use crate::receipt::{Receipt, Segment};
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct};
use serde::{Deserialize, Serialize};

mod sol_types {
    #![allow(missing_docs)]
    alloy_sol_types::sol! {
        struct Segment { uint64 jobId; uint64 seq; bytes32 srcRoot; uint64 srcBytes; uint32 durationMs; }
        struct BenchReport { string tool; bytes32 reportSha256; }
    }
}

/// Where a signature is valid: one chain and one job market contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The job market.
    pub market: Address,
}

impl Domain {
    /// The EIP-712 domain separator, which names chain and market in statements of the step contracts.
    pub fn separator(&self) -> B256 {
        self.eip712().separator()
    }

    fn eip712(&self) -> Eip712Domain {
        Eip712Domain::new(
            Some("Headframe".into()),
            Some("1".into()),
            Some(U256::from(self.chain_id)),
            Some(self.market),
            None,
        )
    }
}

pub(crate) fn segment_hash(segment: &Segment, domain: &Domain) -> B256 {
    sol_types::Segment {
        jobId: segment.job.0,
        seq: segment.seq.0,
        srcRoot: segment.src_root,
        srcBytes: segment.src_bytes,
        durationMs: segment.duration_ms,
    }
    .eip712_signing_hash(&domain.eip712())
}

pub(crate) fn receipt_hash(receipt: &Receipt, domain: &Domain) -> B256 {
    action::receipt_abi(receipt).eip712_signing_hash(&domain.eip712())
}

pub(crate) fn order_hash(order: &JobOrder, domain: &Domain) -> B256 {
    action::order_abi(order).eip712_signing_hash(&domain.eip712())
}

pub(crate) fn bid_hash(bid: &Bid, domain: &Domain) -> B256 {
    action::bid_abi(bid).eip712_signing_hash(&domain.eip712())
}

/// The hash under which a rig's key signs a certification report. Its domain names no chain and no contract, so that the
/// signature can never be taken for a market statement.
pub fn bench_report_hash(tool: &str, report_sha256: B256) -> B256 {
    let domain = Eip712Domain::new(Some("Headframe bench".into()), Some("1".into()), None, None, None);
    sol_types::BenchReport { tool: tool.into(), reportSha256: report_sha256 }.eip712_signing_hash(&domain)
}
