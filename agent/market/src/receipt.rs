//! The two signed statements about a segment: the client's order and the operator's receipt.

use crate::merkle::Leaf;
use crate::typed_data::{self, Domain, Typed};
use crate::units::{JobId, SegmentNo, Units};
use alloy_primitives::{Address, B256, Signature};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SECP256K1};
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
    /// What the client signs.
    pub fn typed(&self, domain: &Domain) -> Typed {
        typed_data::segment(self, domain)
    }

    /// The EIP-712 hash that the client signs.
    pub fn signing_hash(&self, domain: &Domain) -> B256 {
        self.typed(domain).signing_hash()
    }

    /// Who signed this order, or `None` for a malformed signature.
    pub fn signer(&self, domain: &Domain, signature: &Signature) -> Option<Address> {
        recover(self.signing_hash(domain), signature)
    }
}

impl Receipt {
    /// What the operator signs.
    pub fn typed(&self, domain: &Domain) -> Typed {
        typed_data::receipt(self, domain)
    }

    /// The EIP-712 hash that the operator signs.
    pub fn signing_hash(&self, domain: &Domain) -> B256 {
        self.typed(domain).signing_hash()
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
///
/// By libsecp256k1, because every receipt asks for this: the pure Rust curve verifies once more what it has just recovered.
pub(crate) fn recover(hash: B256, signature: &Signature) -> Option<Address> {
    if signature.normalize_s().is_some() {
        return None;
    }
    let parity = if signature.v() { RecoveryId::One } else { RecoveryId::Zero };
    let compact = &signature.as_bytes()[..64];
    let signature = RecoverableSignature::from_compact(compact, parity).ok()?;
    let key = SECP256K1.recover_ecdsa(Message::from_digest(hash.0), &signature).ok()?;
    Some(Address::from_raw_public_key(&key.serialize_uncompressed()[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U256;
    use proptest::prelude::*;

    proptest! {
        /// Against the other implementation of the curve, with every kind of scalar: none, in range, past the order.
        #[test]
        fn two_implementations_of_the_curve_recover_the_same(
            hash: [u8; 32], r: [u8; 32], s: [u8; 32], parity: bool, small in 0u8..4,
        ) {
            let (hash, mut r, mut s) = (B256::from(hash), U256::from_be_bytes(r), U256::from_be_bytes(s));
            match small {
                0 => r >>= 250,
                1 => s >>= 250,
                _ => {}
            }
            let odd = Signature::new(r, s, parity);
            let theirs = odd.recover_address_from_prehash(&hash).ok().filter(|_| odd.normalize_s().is_none());
            prop_assert_eq!(recover(hash, &odd), theirs);
            let low = odd.normalize_s().unwrap_or(odd);
            prop_assert_eq!(recover(hash, &low), low.recover_address_from_prehash(&hash).ok());
        }
    }
}
