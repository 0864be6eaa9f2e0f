//! Health, metrics, status and transactions over HTTP, for the operator's own machine.

mod account;
mod fees;
mod tx;
mod work;

pub use account::Account;
pub(crate) use tx::COMMAND;

use crate::metrics::Metrics;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::BoxFuture;
use headframe_chain::Outbox;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// What a role tells about itself.
pub trait Report: Send + Sync + 'static {
    /// Why no work can be taken now; empty when ready.
    fn not_ready(&self) -> Vec<String>;
    /// Brings gauges up to date before they are read.
    fn refresh<'a>(&'a self, metrics: &'a Metrics) -> BoxFuture<'a, ()>;
    /// Everything a person or a dashboard may want to know, as JSON.
    fn status(&self) -> BoxFuture<'_, Value>;
    /// The transactions that it makes; `None` for a role without a chain.
    fn outbox(&self) -> Option<Outbox>;
    /// The account that it works with; `None` for what is no rig.
    fn account(&self) -> Option<Account>;
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// `true` when work can be taken.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
}

#[derive(Clone)]
struct Admin {
    report: Arc<dyn Report>,
    metrics: Arc<Metrics>,
    /// A person's wishes that cost money, one after the other.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Serves `/healthz`, `/readyz`, `/metrics`, `/status`, `/version`, `/tx`, `/stake`, `/fees`, `/jobs` and `/claims`.
pub fn router(report: Arc<dyn Report>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/version", get(|| async { concat!(env!("CARGO_PKG_VERSION"), "\n") }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route("/status", get(|State(admin): State<Admin>| async move { Json(admin.report.status().await) }))
        .merge(tx::router())
        .merge(account::router())
        .merge(work::router())
        .merge(fees::router())
        .with_state(Admin { report, metrics, turn: Arc::default() })
}

async fn ready(State(admin): State<Admin>) -> Response {
    let reasons = admin.report.not_ready();
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, reasons })).into_response()
}

async fn metrics_text(State(admin): State<Admin>) -> Response {
    admin.report.refresh(&admin.metrics).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], admin.metrics.text()).into_response()
}
