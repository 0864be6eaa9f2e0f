//! What this rig offers: `POST /v1/bids` with a client's order is answered with a signed bid.
//!
//! A bid that a client accepts is a promise: the job is assigned and has to be started, or costs the start lock. So each
//! holds for a minute only, and those that are out count as jobs in hand.

use super::Node;
use crate::delivery::{Offer, Refusal};
use crate::pricing::{USUAL_FPS, claim_work};
use crate::signer::SignerError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use headframe_market::pricing::NoBid;
use headframe_market::{Address, B256, Bid, JobOrder, Timestamp, U256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a bid can be accepted, in block time.
const HOLDS: Duration = Duration::from_secs(60);

/// Bids that can still be accepted.
#[derive(Default)]
pub(super) struct Bids {
    out: Mutex<BTreeMap<B256, Instant>>,
    /// One order after the other, so that no two take the same place.
    turn: tokio::sync::Mutex<()>,
}

impl Bids {
    /// How many are out.
    pub(super) fn out(&self) -> usize {
        self.lock().len()
    }

    /// Counts one more; asked again for the same order, the same one.
    fn add(&self, order: B256) {
        self.lock().insert(order, Instant::now() + HOLDS);
    }

    fn has(&self, order: &B256) -> bool {
        self.lock().contains_key(order)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<B256, Instant>> {
        let mut bids = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        bids.retain(|_, until| *until > now);
        bids
    }
}

pub(super) async fn bid(State(node): State<Arc<Node>>, Json(order): Json<JobOrder>) -> Response {
    match offer(&node, &order).await {
        Ok(offer) => {
            tracing::info!(client = %order.client, price = %offer.bid.price, "bid");
            Json(offer).into_response()
        }
        Err((status, refusal)) => {
            tracing::info!(client = %order.client, reason = refusal.error, "no bid");
            (status, Json(refusal)).into_response()
        }
    }
}

async fn offer(node: &Node, order: &JobOrder) -> Result<Offer, (StatusCode, Refusal)> {
    let never = |error: String| (StatusCode::FORBIDDEN, Refusal { error, retry: false });
    let later = |error: String| (StatusCode::SERVICE_UNAVAILABLE, Refusal { error, retry: true });
    let ladder = node.ladder(&order.profile);
    let ladder = ladder.ok_or_else(|| never(format!("this rig has no ladder for profile {}", order.profile)))?;
    if order.client == Address::ZERO
        || !(1..=super::MOST_SAMPLES).contains(&order.samples)
        || order.deadline.0 >> 40 != 0
    {
        return Err(never("the order is not one that the market takes".into()));
    }
    let work = claim_work(&ladder, USUAL_FPS, &node.config.node.claims, order.samples);
    let price = node.pricing().bid(order.max_price, work, node.gas_price()).map_err(|error| match error {
        NoBid::NoGasPrice => later(error.to_string()),
        NoBid::TooCheap { .. } | NoBid::TooDear => never(error.to_string()),
    })?;
    let hash = order.hash(&node.chain.domain);
    let _turn = node.bids.turn.lock().await;
    if !node.bids.has(&hash) {
        node.can_take_a_job(&ladder).map_err(later)?;
    }
    let now = node.heads.borrow().timestamp;
    if now == 0 {
        return Err(later("this rig does not see the chain yet".into()));
    }
    let nonce = crate::wiring::random().map_err(|error| later(error.to_string()))?;
    let bid = Bid {
        order: hash,
        operator: node.me,
        price,
        expiry: Timestamp(now).after(HOLDS.as_secs()),
        nonce: U256::from_be_bytes(nonce),
    };
    let signature = node.signer.sign_bid(bid.clone()).await.map_err(|error| match error {
        SignerError::Unsafe(reason) => {
            node.halt(&reason);
            later("this rig has halted".into())
        }
        error => later(error.to_string()),
    })?;
    node.bids.add(hash);
    Ok(Offer { bid, signature })
}
