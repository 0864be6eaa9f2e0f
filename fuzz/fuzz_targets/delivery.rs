//! What a rig answers, and orders in a request's header: every byte is accounted for, what is taken is written and read
//! again as it was, and a receipt is believed only from its signer.
#![no_main]

// By its path: its crate is the whole node.
#[allow(dead_code)]
#[path = "../../agent/src/delivery.rs"]
mod delivery;

use bytes::Bytes;
use delivery::{Delivered, SegmentOrder, check, decode, encode};
use headframe_market::Address;
use headframe_market::typed_data::Domain;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let domain = Domain { chain_id: 31337, market: Address::repeat_byte(7) };
    if let Ok((head, parts)) = decode(Bytes::copy_from_slice(data)) {
        let length: usize = parts.iter().map(Bytes::len).sum();
        assert!(length < data.len());
        let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
        let again = decode(encode(&head, &parts).expect("plain data").into());
        let (head_again, parts) = again.expect("what was written");
        assert_eq!(head_again, head);
        judge(&head, &parts, &domain);
    }
    if let Ok(order) = serde_json::from_slice::<SegmentOrder>(data) {
        let text = serde_json::to_string(&order).expect("plain data");
        assert_eq!(serde_json::from_str::<SegmentOrder>(&text).expect("what was written"), order);
        if let Some(client) = order.segment.signer(&domain, &order.signature) {
            let mut other = order.segment.clone();
            other.src_bytes ^= 1;
            assert_ne!(other.signer(&domain, &order.signature), Some(client));
        }
    }
});

fn judge(head: &Delivered, parts: &[Bytes], domain: &Domain) {
    let receipt = &head.receipt;
    let order = headframe_market::Segment {
        job: receipt.job,
        seq: receipt.seq,
        src_root: receipt.src_root,
        src_bytes: 0,
        duration_ms: 0,
    };
    assert!(check(&order, Address::repeat_byte(1), domain, head, parts).is_err());
    if let Some(operator) = receipt.signer(domain, &head.signature)
        && check(&order, operator, domain, head, parts).is_ok()
    {
        let frames: u64 = head.renditions.iter().map(|rendition| u64::from(rendition.frames)).sum();
        assert!(frames > 0 || receipt.units.0 == 0);
    }
}
