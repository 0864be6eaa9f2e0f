//! Where segments come in: `POST /v1/jobs/{job}/segments/{seq}`.

use super::Node;
use super::jobs::Answer;
use crate::delivery::{
    DELIVERY_TYPE, Delivered, MAX_SOURCE, ORDER_HEADER, Refusal, RenditionHead, SegmentOrder, encode, totals,
};
use crate::listing;
use crate::metrics::result;
use crate::signer::SignerError;
use crate::transcode::Failure;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use headframe_codec::segment::SegmentOut;
use headframe_market::content::{content_root, output_root};
use headframe_market::machine::JobView;
use headframe_market::machine::claim::Evidence;
use headframe_market::{JobId, Receipt, SegmentNo, Units};
use std::sync::Arc;
use std::time::Duration;

/// The rig's own routes; players' routes are the media crate's.
pub(super) fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/v1/jobs/{job}/segments/{seq}", post(segment))
        .route("/v1/bids", post(super::bids::bid))
        .route("/v1/info", get(|State(node): State<Arc<Node>>| async move { Json(node.info()) }))
        .with_state(node)
}

async fn segment(
    State(node): State<Arc<Node>>,
    Path((job, seq)): Path<(u64, u64)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (job, seq) = (JobId(job), SegmentNo(seq));
    match deliver(&node, job, seq, &headers, body).await {
        Ok((_, body)) => ([(header::CONTENT_TYPE, DELIVERY_TYPE)], body).into_response(),
        Err((status, refusal)) => {
            node.metrics.segments.with_label_values(&[result::REFUSED]).inc();
            tracing::warn!(%job, %seq, status = status.as_u16(), reason = %refusal.error, "segment refused");
            (status, Json(refusal)).into_response()
        }
    }
}

/// A segment that takes longer to arrive could not be played live; waiting on would only hold a slot.
const ARRIVAL: Duration = Duration::from_secs(30);

type Refused = (StatusCode, Refusal);

fn refused(status: StatusCode, retry: bool, error: impl Into<String>) -> Refused {
    (status, Refusal { error: error.into(), retry })
}

async fn deliver(
    node: &Arc<Node>,
    job: JobId,
    seq: SegmentNo,
    headers: &HeaderMap,
    body: Body,
) -> Result<Answer, Refused> {
    let bad = |error: String| refused(StatusCode::BAD_REQUEST, false, format!("segment {seq} of job {job}: {error}"));
    let order = headers.get(ORDER_HEADER).ok_or_else(|| bad(format!("the header `{ORDER_HEADER}` is missing")))?;
    let order: SegmentOrder = serde_json::from_slice(order.as_bytes())
        .map_err(|error| bad(format!("the header `{ORDER_HEADER}` is not an order: {error}")))?;
    if (order.segment.job, order.segment.seq) != (job, seq) {
        return Err(bad("the order is for another segment".into()));
    }
    // The order is checked before the body is read, so that strangers cannot make this rig hold megabytes.
    let view = node.known_job(job).await.map_err(|error| refused(StatusCode::SERVICE_UNAVAILABLE, true, error))?;
    if order.segment.signer(&node.chain.domain, &order.signature) != Some(view.client) {
        let error = format!("segment {seq} of job {job}: the order is not signed by the job's client");
        return Err(refused(StatusCode::FORBIDDEN, false, error));
    }
    let _slot = node.slots.try_acquire().map_err(|_| {
        let error = format!("segment {seq} of job {job}: this rig has {} segments in hand", node.max_in_hand());
        refused(StatusCode::SERVICE_UNAVAILABLE, true, error)
    })?;
    let arriving = tokio::time::timeout(ARRIVAL, axum::body::to_bytes(body, MAX_SOURCE)).await;
    let source = arriving
        .map_err(|_| bad(format!("the source did not arrive within {} s", ARRIVAL.as_secs())))?
        .map_err(|error| bad(format!("the source did not arrive whole (at most {MAX_SOURCE} bytes): {error}")))?;
    if source.len() as u64 != order.segment.src_bytes {
        return Err(bad(format!("got {} of {} bytes", source.len(), order.segment.src_bytes)));
    }
    if content_root(&source) != order.segment.src_root {
        return Err(bad("the bytes are not those that were ordered".into()));
    }
    node.metrics.ingest_bytes.with_label_values(&["segment"]).inc_by(source.len() as u64);

    let expected = node.expected_units(&view, order.segment.duration_ms);
    let status = |refusal: Refusal| {
        let code = if refusal.retry { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::FORBIDDEN };
        (code, refusal)
    };
    let hand = node.jobs.take(job, seq, expected).map_err(status)?;
    let _turn = hand.lane.lock().await;
    if let Some(answer) = node.jobs.remembered(job, seq) {
        if answer.0.receipt.src_root == order.segment.src_root {
            node.metrics.segments.with_label_values(&[result::REPEATED]).inc();
            return Ok(answer);
        }
        return Err(refused(StatusCode::CONFLICT, false, format!("segment {seq} of job {job} was another one")));
    }
    let answer = work(node, &hand.job, &order, source).await?;
    node.jobs.remember(answer.clone());
    Ok(answer)
}

/// Transcodes, signs, keeps and lists one segment.
async fn work(node: &Arc<Node>, job: &JobView, order: &SegmentOrder, source: Bytes) -> Result<Answer, Refused> {
    let segment = &order.segment;
    let Some(ladder) = node.ladder(&job.profile) else {
        let error = format!("job {}: this rig has no ladder for profile {}", job.id, job.profile);
        return Err(refused(StatusCode::FORBIDDEN, false, error));
    };
    let full = |error: String| refused(StatusCode::SERVICE_UNAVAILABLE, true, error);
    node.sender.has_room().map_err(|error| full(error.to_owned()))?;
    node.evidence.has_room().map_err(|error| full(error.to_string()))?;
    let stream = Node::stream_id(job.id)
        .map_err(|error| refused(StatusCode::INTERNAL_SERVER_ERROR, false, error.to_string()))?;
    let by_signer = |error: SignerError| match error {
        SignerError::Unavailable(reason) => refused(StatusCode::SERVICE_UNAVAILABLE, true, reason),
        SignerError::Refused { rule, reason } => {
            node.metrics.guard_refusals.with_label_values(&[&rule]).inc();
            refused(StatusCode::CONFLICT, false, format!("segment {} of job {}: {reason}", segment.seq, job.id))
        }
        SignerError::Unsafe(reason) => {
            node.halt(&reason);
            refused(StatusCode::SERVICE_UNAVAILABLE, false, "this rig has halted")
        }
    };
    let signed = node.signer.receipts(job.id, segment.seq, 1).await.map_err(by_signer)?;
    let signed = signed.into_iter().map(|kept| kept.leaf).find(|leaf| leaf.seq == segment.seq);
    // The bytes of a segment that has its receipt stay as they are: it may be drawn, and no others answer for it.
    let other =
        || refused(StatusCode::CONFLICT, false, format!("segment {} of job {} has its receipt", segment.seq, job.id));
    if signed.as_ref().is_some_and(|leaf| leaf.src_root != segment.src_root) {
        return Err(other());
    }
    let done = node.codec.transcode(ladder.clone(), stream.to_string(), segment.seq.0, source.clone()).await;
    let done = match done.and_then(|out| as_ordered(order, out)) {
        Ok(out) => Ok(out),
        Err(Failure::Input(reason)) => Err(reason),
        Err(Failure::Machine(reason)) => return Err(refused(StatusCode::SERVICE_UNAVAILABLE, true, reason)),
    };
    let (failure, out) = match done {
        Ok(out) => (None, Some(out)),
        Err(reason) => {
            tracing::warn!(job = %job.id, seq = %segment.seq, reason, "segment cannot be transcoded; receipt over no work");
            (Some(reason), None)
        }
    };
    let (heads, bytes, first_pts, duration) = match out {
        Some(out) => parts(out),
        None => (Vec::new(), Vec::new(), 0, i64::from(segment.duration_ms) * 90),
    };
    let totals = totals(heads.iter().zip(bytes.iter().map(Vec::as_slice)));
    let (units, out_root, out_bytes) = totals.unwrap_or((Units(0), output_root(&[]), 0));
    if signed.is_some_and(|leaf| leaf.out_root != out_root) {
        return Err(other());
    }
    // On the disk before the receipt is signed: work that may be drawn must be at hand when it is.
    let (store, kept, (id, seq)) = (node.evidence.clone(), source, (job.id, segment.seq));
    let bytes = tokio::task::spawn_blocking(move || store.keep(id, seq, &kept, &bytes).map(|()| bytes)).await;
    let bytes = bytes
        .map_err(|ended| full(ended.to_string()))?
        .map_err(|error| full(format!("segment {seq} of job {id} cannot be kept: {error}")))?;
    let receipt = Receipt { job: job.id, seq: segment.seq, src_root: segment.src_root, out_root, units, out_bytes };
    let signature = node.signer.sign_receipt(order, job.client, &receipt).await.map_err(by_signer)?;
    node.jobs.add(Evidence {
        leaf: receipt.leaf(),
        src_bytes: segment.src_bytes,
        duration_ms: segment.duration_ms,
        client_signature: order.signature.as_bytes().into(),
    });
    let head = Delivered { receipt, signature, failure, first_pts, duration, renditions: heads };
    let body = encode(&head, &bytes).map_err(|error| {
        refused(StatusCode::INTERNAL_SERVER_ERROR, true, format!("cannot frame the delivery: {error}"))
    })?;
    node.list(&ladder, &stream, &head, bytes).await;
    Ok((head, body.into()))
}

/// A source that decodes to something else than the client signed is the input's fault: it was cut, or mislabelled.
fn as_ordered(order: &SegmentOrder, out: SegmentOut) -> Result<SegmentOut, Failure> {
    let (signed, found) = (i64::from(order.segment.duration_ms), out.source.duration / 90);
    let tolerance = (signed / 5).max(100);
    if (signed - found).abs() > tolerance {
        return Err(Failure::Input(format!(
            "segment {} of job {}: ordered as {signed} ms, decodes to {found} ms in {} frames; it was cut or mislabelled",
            order.segment.seq, order.segment.job, out.source.frames
        )));
    }
    Ok(out)
}

fn parts(out: SegmentOut) -> (Vec<RenditionHead>, Vec<Vec<u8>>, i64, i64) {
    let (first_pts, duration) = (out.source.first_pts, out.source.duration);
    let (heads, bytes) =
        out.renditions.into_iter().map(|rendition| (listing::head_of(&rendition), rendition.bytes)).unzip();
    (heads, bytes, first_pts, duration)
}
