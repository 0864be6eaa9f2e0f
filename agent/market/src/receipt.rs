//! The two signed statements about a segment: the client's order and the operator's receipt.

use crate::merkle::Leaf;
use crate::typed_data::{self, Domain};
use crate::units::{JobId, SegmentNo, Units};
use alloy_primitives::{Address, B256, Signature};
use serde::{Deserialize, Serialize};

/// What the client orders and signs: transcode these bytes as segment `seq` of `job`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The job that pays.
    pub job: JobId,
    /// Its number within the job.
    pub seq: SegmentNo,
    /// [`crate::content::content_root`] of the source bytes.
    pub src_root: B256,
    /// Length of the source in bytes.
    pub src_bytes: u64,
    /// Playing time in milliseconds.
    pub duration_ms: u32,
}

/// What the operator signs on delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The job that pays.
    pub job: JobId,
    /// The segment's number within the job.
    pub seq: SegmentNo,
    /// Content root of the source, equal to the ordered one.
    pub src_root: B256,
    /// [`crate::content::output_root`] of the renditions.
    pub out_root: B256,
    /// Work done.
    pub units: Units,
    /// Length of all renditions together in bytes.
    pub out_bytes: u64,
}

impl Segment {
    /// The EIP-712 hash that the client signs.
    pub fn signing_hash(&self, domain: &Domain) -> B256 {
        typed_data::segment_hash(self, domain)
    }

    /// Who signed this order, or `None` for a malformed signature.
    pub fn signer(&self, domain: &Domain, signature: &Signature) -> Option<Address> {
        recover(self.signing_hash(domain), signature)
    }
}

impl Receipt {
    /// The EIP-712 hash that the operator signs.
    pub fn signing_hash(&self, domain: &Domain) -> B256 {
        typed_data::receipt_hash(self, domain)
    }

    /// Who signed this receipt, or `None` for a malformed signature.
    pub fn signer(&self, domain: &Domain, signature: &Signature) -> Option<Address> {
        recover(self.signing_hash(domain), signature)
    }

    /// The leaf of the claim tree that stands for this receipt.
    pub fn leaf(&self) -> Leaf {
        Leaf {
            job: self.job,
            seq: self.seq,
            src_root: self.src_root,
            out_root: self.out_root,
            units: self.units,
            out_bytes: self.out_bytes,
        }
    }
}

/// High-s signatures are refused, as the contracts refuse them: one statement has one valid signature.
pub(crate) fn recover(hash: B256, signature: &Signature) -> Option<Address> {
    if signature.normalize_s().is_some() {
        return None;
    }
    signature.recover_address_from_prehash(&hash).ok()
}
