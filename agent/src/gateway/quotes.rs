//! Bids for an order, asked of all active operators at once.

use super::Market;
use crate::chain_view::ViewError;
use crate::delivery::{Offer, Refusal};
use crate::wiring;
use futures::StreamExt;
use headframe_market::{Address, Bid, JobOrder, Signature};
use std::time::Duration;

/// An operator that takes longer is not asked any further.
const PATIENCE: Duration = Duration::from_secs(5);
/// Operators asked at once.
const AT_ONCE: usize = 16;
/// The longest answer read.
const MAX_OFFER: usize = 16 << 10;

/// Bids that are signed as they should be, in the order of the active set. Operators in `avoid` are not asked.
pub(super) async fn ask(
    market: &Market,
    order: &JobOrder,
    avoid: &[Address],
) -> Result<Vec<(Bid, Signature)>, ViewError> {
    let operators = market.chain.operators().await?;
    let asked = operators.into_iter().filter(|operator| !avoid.contains(operator));
    let one = |operator: Address| async move {
        match offer(market, order, operator).await {
            Ok(offer) => Some((offer.bid, offer.signature)),
            Err(reason) => {
                tracing::info!(%operator, reason, "no bid");
                None
            }
        }
    };
    let mut answers = futures::stream::iter(asked.map(one)).buffered(AT_ONCE);
    let mut bids = Vec::new();
    while let Some(answer) = answers.next().await {
        bids.extend(answer);
    }
    Ok(bids)
}

async fn offer(market: &Market, order: &JobOrder, operator: Address) -> Result<Offer, String> {
    let uri = market.chain.operator(operator).await.map_err(|error| error.to_string())?.service_uri;
    if uri.is_empty() {
        return Err("it does not say where it serves".into());
    }
    let url = format!("{}/v1/bids", uri.trim_end_matches('/'));
    let asking = market.http.post(&url).timeout(PATIENCE).json(order).send();
    let answer = asking.await.map_err(|error| format!("{url}: {}", wiring::chain_of(&error)))?;
    let status = answer.status();
    let body = wiring::bounded_body(answer, MAX_OFFER).await.map_err(|error| format!("{url}: {error}"))?;
    if !status.is_success() {
        let refusal = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.error);
        return Err(refusal.unwrap_or_else(|_| format!("{url}: answered {status} without a reason")));
    }
    let offer: Offer = serde_json::from_slice(&body).map_err(|error| format!("{url}: not an offer: {error}"))?;
    if offer.bid.operator != operator || offer.bid.order != order.hash(&market.chain.domain) {
        return Err(format!("{url}: the offer is another operator's or for another order"));
    }
    let key = offer.bid.signer(&market.chain.domain, &offer.signature).ok_or_else(|| format!("{url}: not signed"))?;
    match market.chain.operator_of(key).await {
        Ok(of) if of == operator => Ok(offer),
        Ok(_) => Err(format!("{url}: {key} does not sign for {operator}")),
        Err(error) => Err(error.to_string()),
    }
}
