//! Requests that an honest rig makes, all signed beforehand, and threads that make them.

use crate::progress::Progress;
use alloy_primitives::{Address, B256, Bytes, Signature};
use anyhow::{Result, anyhow};
use headframe_guard::protocol::ReceiptRequest;
use headframe_market::typed_data::Domain;
use headframe_market::{JobId, Receipt, Segment, SegmentNo, Units};
use k256::ecdsa::SigningKey;
use serde::Serialize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How fast some requests were answered.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Asked {
    /// Who answered.
    pub(super) of: &'static str,
    pub(super) at_once: usize,
    pub(super) receipts: usize,
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// `at_once` threads ask, each again as soon as it is answered, until all of `asks` are through.
pub(super) fn measure(
    of: &'static str,
    at_once: usize,
    asks: Vec<ReceiptRequest>,
    progress: &Progress,
    ask: impl Fn(ReceiptRequest) -> Result<()> + Sync,
) -> Result<Asked> {
    progress.step(&format!("{of}, {at_once} at once"));
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let lane = || {
        let mut took = Vec::new();
        while let Some(one) = asks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = one.clone();
            let asked = Instant::now();
            ask(one)?;
            took.push(asked.elapsed());
        }
        anyhow::Ok(took)
    };
    let mut took: Vec<Duration> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..at_once).map(|_| scope.spawn(lane)).collect();
        let joined = |lane: ScopedJoinHandle<'_, _>| lane.join().map_err(|_| anyhow!("a thread died"))?;
        lanes.into_iter().map(joined).collect::<Result<Vec<_>>>()
    })?
    .concat();
    let per_second = took.len() as f64 / begun.elapsed().as_secs_f64();
    took.sort();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1e3;
    Ok(Asked { of, at_once, receipts: took.len(), per_second, p50_ms: at(50), p99_ms: at(99) })
}

/// Requests for `count` segments of a job, signed by the client on all processors.
pub(super) fn signed(job: u64, count: u64) -> Vec<ReceiptRequest> {
    let lanes = thread::available_parallelism().map_or(1, |lanes| lanes.get() as u64);
    thread::scope(|scope| {
        let lane = |first: u64| {
            scope.spawn(move || (first..count).step_by(lanes as usize).map(|seq| request(job, seq)).collect())
        };
        let lanes: Vec<ScopedJoinHandle<'_, Vec<ReceiptRequest>>> = (0..lanes).map(lane).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap_or_default()).collect()
    })
}

/// One honest receipt, its order signed by a client key known to all.
fn request(job: u64, seq: u64) -> ReceiptRequest {
    let secret = SigningKey::from_slice(&[0x22; 32]).expect("a constant in range");
    let (job, seq, src_root) = (JobId(job), SegmentNo(seq), B256::repeat_byte(1));
    let order = Segment { job, seq, src_root, src_bytes: 1, duration_ms: 2000 };
    let domain = Domain { chain_id: 31337, market: Address::ZERO };
    let hash = order.signing_hash(&domain);
    let signature = secret.sign_prehash_recoverable(hash.as_slice()).expect("a hash is signed");
    let order_signature = Bytes::copy_from_slice(&Signature::from(signature).as_bytes());
    let receipt = Receipt { job, seq, src_root, out_root: B256::ZERO, units: Units(1), out_bytes: 1 };
    ReceiptRequest { order, order_signature, client: Address::from_public_key(secret.verifying_key()), receipt }
}
