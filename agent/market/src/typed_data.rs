//! EIP-712 hashes. The types are those of the contracts, and of their calls where they have them; the shared vectors hold both sides to the same bytes.

use crate::action;
use crate::order::{Bid, JobOrder};
use crate::receipt::{Receipt, Segment};
use alloy_primitives::{Address, B256, U256, keccak256};
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

/// A statement before its last hash, for who hashes for himself: a key that is kept by another program or a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typed {
    separator: B256,
    content: B256,
}

impl Typed {
    fn new(content: &impl SolStruct, domain: &Eip712Domain) -> Self {
        Self { separator: domain.separator(), content: content.eip712_hash_struct() }
    }

    /// The 66 bytes whose Keccak-256 is signed: 0x1901, the domain's separator and the hash of the content.
    pub fn preimage(&self) -> [u8; 66] {
        let mut bytes = [0; 66];
        bytes[..2].copy_from_slice(&[0x19, 0x01]);
        bytes[2..34].copy_from_slice(self.separator.as_slice());
        bytes[34..].copy_from_slice(self.content.as_slice());
        bytes
    }

    /// The EIP-712 hash that is signed.
    pub fn signing_hash(&self) -> B256 {
        keccak256(self.preimage())
    }
}

pub(crate) fn segment(segment: &Segment, domain: &Domain) -> Typed {
    let content = sol_types::Segment {
        jobId: segment.job.0,
        seq: segment.seq.0,
        srcRoot: segment.src_root,
        srcBytes: segment.src_bytes,
        durationMs: segment.duration_ms,
    };
    Typed::new(&content, &domain.eip712())
}

pub(crate) fn receipt(receipt: &Receipt, domain: &Domain) -> Typed {
    Typed::new(&action::receipt_abi(receipt), &domain.eip712())
}

pub(crate) fn order_hash(order: &JobOrder, domain: &Domain) -> B256 {
    action::order_abi(order).eip712_signing_hash(&domain.eip712())
}

pub(crate) fn bid(bid: &Bid, domain: &Domain) -> Typed {
    Typed::new(&action::bid_abi(bid), &domain.eip712())
}

/// What a rig's key signs of a certification report. Its domain names no chain and no contract, so that the signature can
/// never be taken for a market statement.
pub fn bench_report(tool: &str, report_sha256: B256) -> Typed {
    let domain = Eip712Domain::new(Some("Headframe bench".into()), Some("1".into()), None, None, None);
    Typed::new(&sol_types::BenchReport { tool: tool.into(), reportSha256: report_sha256 }, &domain)
}

/// The hash of [`bench_report`].
pub fn bench_report_hash(tool: &str, report_sha256: B256) -> B256 {
    bench_report(tool, report_sha256).signing_hash()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preimage_has_the_hash_that_the_library_gives() {
        let domain = Eip712Domain::new(Some("any".into()), None, Some(U256::from(5)), None, None);
        let content = sol_types::BenchReport { tool: "a".into(), reportSha256: B256::repeat_byte(7) };
        assert_eq!(Typed::new(&content, &domain).signing_hash(), content.eip712_signing_hash(&domain));
    }
}
