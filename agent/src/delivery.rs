//! How a segment travels from a gateway to a rig and back, over HTTP.
//!
//! Request: `POST {service}/v1/jobs/{job}/segments/{seq}`, the source as body, a [`SegmentOrder`] as JSON in the header
//! [`ORDER_HEADER`]. Response: a [`Delivered`] head and the renditions' bytes in one body, framed as
//! `u32 big-endian length of the head || head as JSON || rendition 0 || rendition 1 || …`. Errors are a [`Refusal`].

use bytes::Bytes;
use headframe_market::content::{content_root, output_root};
use headframe_market::typed_data::Domain;
use headframe_market::{Address, B256, Bid, Receipt, Segment, Signature, Units};
use serde::{Deserialize, Serialize};

/// Carries the order.
pub const ORDER_HEADER: &str = "headframe-order";
/// Media type of a delivery.
pub const DELIVERY_TYPE: &str = "application/vnd.headframe.delivery";
/// The longest source segment taken, in bytes: 10 s at 25 Mb/s.
pub const MAX_SOURCE: usize = 32 << 20;
/// The longest delivery taken, in bytes.
pub const MAX_DELIVERY: usize = 64 << 20;
const MAX_HEAD: usize = 64 << 10;

/// The client's order as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentOrder {
    /// What is ordered.
    pub segment: Segment,
    /// The client's signature over it.
    pub signature: Signature,
}

/// A rig's offer for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What it offers.
    pub bid: Bid,
    /// Its key's signature.
    pub signature: Signature,
}

/// One rendition in a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionHead {
    /// Its name in the ladder.
    pub name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// RFC 6381 codecs.
    pub codecs: String,
    /// Frames in it.
    pub frames: u32,
    /// Length in bytes.
    pub bytes: u64,
}

/// What came of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The operator's receipt.
    pub receipt: Receipt,
    /// Its signature.
    pub signature: Signature,
    /// Set when the segment could not be transcoded: the receipt then covers no work and no renditions follow.
    pub failure: Option<String>,
    /// First PTS in 90 kHz ticks.
    pub first_pts: i64,
    /// Playing time in 90 kHz ticks.
    pub duration: i64,
    /// In ladder order.
    pub renditions: Vec<RenditionHead>,
}

/// Why a rig does not take a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// In words, with ids and values.
    pub error: String,
    /// Whether the same request may succeed later.
    pub retry: bool,
}

/// A delivery that must not be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Cut off or badly framed.
    #[error("the delivery is malformed: {0}")]
    Malformed(&'static str),
    /// The receipt speaks of something else than was ordered.
    #[error("the receipt is not for what was ordered")]
    OtherOrder,
    /// Not signed by the operator of the job.
    #[error("the receipt is not signed by {0}")]
    Signer(Address),
    /// The bytes are not those of the receipt.
    #[error("the renditions are not those of the receipt")]
    Content,
    /// The work is not what the renditions amount to.
    #[error("the receipt bills {billed} units for renditions of {due}")]
    Units {
        /// Billed.
        billed: Units,
        /// Due by frames and sizes.
        due: Units,
    },
}

/// Units, root and length that a receipt over `renditions` must state. `None` when the pixels do not fit 64 bits.
pub fn totals<'a>(
    renditions: impl IntoIterator<Item = (&'a RenditionHead, &'a [u8])> + Clone,
) -> Option<(Units, B256, u64)> {
    let pixels = renditions.clone().into_iter().map(|(head, _)| (head.frames, head.width, head.height));
    let roots: Vec<B256> = renditions.clone().into_iter().map(|(_, bytes)| content_root(bytes)).collect();
    let length = renditions.into_iter().map(|(_, bytes)| bytes.len() as u64).sum();
    Some((Units::of_segment(pixels)?, output_root(&roots), length))
}

/// Frames a delivery for the wire.
pub fn encode(head: &Delivered, renditions: &[Vec<u8>]) -> Result<Vec<u8>, serde_json::Error> {
    let head = serde_json::to_vec(head)?;
    let mut body = Vec::with_capacity(4 + head.len() + renditions.iter().map(Vec::len).sum::<usize>());
    body.extend((head.len() as u32).to_be_bytes());
    body.extend(head);
    renditions.iter().for_each(|bytes| body.extend(bytes));
    Ok(body)
}

/// Takes a delivery apart. Every length is checked against what is there.
pub fn decode(mut body: Bytes) -> Result<(Delivered, Vec<Bytes>), DeliveryError> {
    const CUT: DeliveryError = DeliveryError::Malformed("it is cut off");
    let length = body.get(..4).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes).ok_or(CUT)? as usize;
    if length > MAX_HEAD {
        return Err(DeliveryError::Malformed("its head is too long"));
    }
    let head = body.get(4..4 + length).ok_or(CUT)?;
    let head: Delivered =
        serde_json::from_slice(head).map_err(|_| DeliveryError::Malformed("its head is not understood"))?;
    let _ = body.split_to(4 + length);
    let mut renditions = Vec::with_capacity(head.renditions.len());
    for rendition in &head.renditions {
        let length = usize::try_from(rendition.bytes).map_err(|_| CUT)?;
        if length > body.len() {
            return Err(CUT);
        }
        renditions.push(body.split_to(length));
    }
    if !body.is_empty() {
        return Err(DeliveryError::Malformed("bytes follow its end"));
    }
    Ok((head, renditions))
}

/// Checks all that can be checked without decoding video: the receipt is for `order`, signed by `operator`, binds these
/// bytes and bills what they amount to.
pub fn check(
    order: &Segment,
    operator: Address,
    domain: &Domain,
    head: &Delivered,
    renditions: &[Bytes],
) -> Result<(), DeliveryError> {
    let receipt = &head.receipt;
    if (receipt.job, receipt.seq, receipt.src_root) != (order.job, order.seq, order.src_root) {
        return Err(DeliveryError::OtherOrder);
    }
    if receipt.signer(domain, &head.signature) != Some(operator) {
        return Err(DeliveryError::Signer(operator));
    }
    let parts = head.renditions.iter().zip(renditions.iter().map(AsRef::as_ref));
    let (units, root, length) = totals(parts).ok_or(DeliveryError::Malformed("its sizes overflow"))?;
    if (root, length) != (receipt.out_root, receipt.out_bytes) {
        return Err(DeliveryError::Content);
    }
    if units != receipt.units {
        return Err(DeliveryError::Units { billed: receipt.units, due: units });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use alloy::signers::{SignerSync, local::PrivateKeySigner};
    use headframe_market::{JobId, SegmentNo};

    const DOMAIN: Domain = Domain { chain_id: 5, market: Address::repeat_byte(3) };

    fn delivery(key: &PrivateKeySigner) -> (Segment, Delivered, Vec<Vec<u8>>) {
        let order = Segment {
            job: JobId(1),
            seq: SegmentNo(2),
            src_root: B256::repeat_byte(1),
            src_bytes: 10,
            duration_ms: 2000,
        };
        let bytes = vec![vec![1u8; 100], vec![2u8; 300]];
        let head = |name: &str, i: usize| RenditionHead {
            name: name.into(),
            width: 100,
            height: 50,
            codecs: "avc1.64001f".into(),
            frames: 60,
            bytes: bytes[i].len() as u64,
        };
        let renditions = vec![head("a", 0), head("b", 1)];
        let (units, out_root, out_bytes) = totals(renditions.iter().zip(bytes.iter().map(Vec::as_slice))).unwrap();
        let receipt = Receipt { job: order.job, seq: order.seq, src_root: order.src_root, out_root, units, out_bytes };
        let signature = key.sign_hash_sync(&receipt.signing_hash(&DOMAIN)).unwrap();
        (order, Delivered { receipt, signature, failure: None, first_pts: 0, duration: 180_000, renditions }, bytes)
    }

    #[test]
    fn an_honest_delivery_passes_and_any_change_is_named() {
        let key = PrivateKeySigner::random();
        let (order, head, bytes) = delivery(&key);
        let (head, parts) = decode(encode(&head, &bytes).unwrap().into()).unwrap();
        let verdict = |head: &Delivered, parts: &[Bytes]| check(&order, key.address(), &DOMAIN, head, parts);
        assert_eq!(verdict(&head, &parts), Ok(()));

        let mut swapped = parts.clone();
        swapped[0] = Bytes::from(vec![9u8; 100]);
        assert_eq!(verdict(&head, &swapped), Err(DeliveryError::Content));
        let mut other = head.clone();
        other.receipt.seq = SegmentNo(3);
        assert_eq!(verdict(&other, &parts), Err(DeliveryError::OtherOrder));
        let mut forged = head.clone();
        forged.receipt.units = Units(1);
        assert_eq!(verdict(&forged, &parts), Err(DeliveryError::Signer(key.address())));
        let mut padded = head.clone();
        padded.receipt.units = Units(head.receipt.units.0 + 1);
        padded.signature = key.sign_hash_sync(&padded.receipt.signing_hash(&DOMAIN)).unwrap();
        assert!(matches!(verdict(&padded, &parts), Err(DeliveryError::Units { .. })));
    }

    #[test]
    fn every_cut_is_malformed() {
        let (_, head, bytes) = delivery(&PrivateKeySigner::random());
        let body = Bytes::from(encode(&head, &bytes).unwrap());
        for end in 0..body.len() {
            assert!(decode(body.slice(..end)).is_err(), "cut at {end}");
        }
        let mut longer = body.to_vec();
        longer.push(0);
        assert!(decode(longer.into()).is_err());
    }
}
