//! Job offers from the network: what is taken has exactly one spelling.
#![no_main]

// By its path: its crate would bring the whole peer-to-peer stack along.
#[allow(dead_code)]
#[path = "../../agent/swarm/src/offer.rs"]
mod offer;

use offer::{JobOffer, MAX_OFFER_BYTES};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(offer) = JobOffer::decode(data) {
        assert!(data.len() <= MAX_OFFER_BYTES);
        assert_eq!(offer.encode().as_deref(), Ok(data));
    }
});
