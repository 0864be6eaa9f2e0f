//! `/tx`: the transactions of a running process, and what a person may do to them.
//!
//! The admin address has no password, so a web page in the operator's browser must not be able to reach what changes
//! something: that wants a header which browsers do not send to other sites unasked, and a host that is no name which a
//! page could make its own.

use super::Admin;
use crate::chain_view::ViewError;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use headframe_chain::outbox::Raise;
use headframe_chain::{Intent, Outbox, OutboxError, RpcError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The header that a command carries; its value does not matter.
pub(crate) const COMMAND: &str = "x-headframe-command";

#[derive(Deserialize)]
struct Limit {
    limit: Option<u32>,
}

#[derive(Deserialize)]
struct Key {
    key: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
struct DryRun {
    #[serde(default)]
    dry_run: bool,
}

/// What a person wants done to a transaction, and why not.
#[derive(Serialize)]
struct Steered {
    key: String,
    /// What raising its fees comes to.
    raise: Option<Raise>,
    /// Where it stands.
    note: Option<String>,
    refused: Option<String>,
    /// As it then is; `None` for a dry run.
    intent: Option<Intent>,
}

/// Why the operator's request is not served.
pub(super) enum Refusal {
    NoChain,
    NoRig,
    NotFromHere,
    /// The request makes no sense.
    Wrong(String),
    /// It does, and is not done now.
    Not(String),
    Chain(Box<ViewError>),
    Outbox(Box<OutboxError>),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NoChain => (StatusCode::NOT_FOUND, "this process has no chain and makes no transactions".to_owned()),
            Self::NoRig => (StatusCode::NOT_FOUND, "this process is no rig and has no stake".to_owned()),
            Self::Wrong(text) => (StatusCode::BAD_REQUEST, text),
            Self::Not(text) => (StatusCode::CONFLICT, text),
            Self::Chain(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
            Self::NotFromHere => {
                let text = format!("send the header {COMMAND} and name the host by its address");
                (StatusCode::FORBIDDEN, text)
            }
            Self::Outbox(error) => {
                let status = match *error {
                    OutboxError::Unknown(_) => StatusCode::NOT_FOUND,
                    OutboxError::NotNow { .. } => StatusCode::CONFLICT,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                (status, error.to_string())
            }
        };
        (status, Json(json!({ "error": text }))).into_response()
    }
}

impl From<ViewError> for Refusal {
    fn from(error: ViewError) -> Self {
        Self::Chain(Box::new(error))
    }
}

impl From<RpcError> for Refusal {
    fn from(error: RpcError) -> Self {
        ViewError::from(error).into()
    }
}

impl From<OutboxError> for Refusal {
    fn from(error: OutboxError) -> Self {
        Self::Outbox(Box::new(error))
    }
}

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/tx", get(list))
        .route("/tx/show", get(show))
        .route("/tx/bump", post(bump))
        .route("/tx/cancel", post(cancel))
        .route("/tx/resume", post(resume))
}

async fn list(State(admin): State<Admin>, Query(limit): Query<Limit>) -> Result<Json<Value>, Refusal> {
    let outbox = outbox(&admin)?;
    let budgets: Vec<Value> = outbox
        .budgets()
        .await?
        .into_iter()
        .map(|view| {
            let left = view.left();
            json!({ "kind": view.kind, "limit_wei": view.limit, "spent_wei": view.spent, "left_wei": left,
                    "exhausted": view.exhausted })
        })
        .collect();
    Ok(Json(json!({
        "held": outbox.held().await?,
        "trouble": outbox.health().err().map(|why| why.to_string()),
        "waiting": outbox.waiting().into_iter().map(|(kind, why)| (kind, why.to_string())).collect::<Vec<_>>(),
        "budgets": budgets,
        "transactions": outbox.list(limit.limit.unwrap_or(32)).await?,
    })))
}

async fn show(State(admin): State<Admin>, Query(key): Query<Key>) -> Result<Json<Intent>, Refusal> {
    let found = outbox(&admin)?.status(&key.key).await?;
    found.map(Json).ok_or_else(|| OutboxError::Unknown(key.key).into())
}

async fn bump(State(admin): State<Admin>, from: HeaderMap, Query(ask): Query<Key>) -> Result<Json<Steered>, Refusal> {
    from_here(&from)?;
    let (outbox, Key { key, dry_run }) = (outbox(&admin)?, ask);
    let raise = outbox.raise(&key).await?;
    let refused = raise.refused.clone();
    let intent = match (&refused, dry_run) {
        (_, true) => None,
        (Some(why), false) => return Err(Refusal::Not(format!("{key}: {why}"))),
        (None, false) => Some(outbox.bump(&key).await?),
    };
    Ok(Json(Steered { key, raise: Some(raise), note: None, refused, intent }))
}

async fn cancel(State(admin): State<Admin>, from: HeaderMap, Query(ask): Query<Key>) -> Result<Json<Steered>, Refusal> {
    from_here(&from)?;
    let (outbox, Key { key, dry_run }) = (outbox(&admin)?, ask);
    if !dry_run {
        let intent = outbox.cancel(&key).await?;
        return Ok(Json(Steered { key, raise: None, note: None, refused: None, intent: Some(intent) }));
    }
    let refused = match outbox.cancellable(&key).await {
        Ok(()) => None,
        Err(error @ OutboxError::NotNow { .. }) => Some(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let note = "nothing is signed for it; what the rig still needs it asks for again".to_owned();
    Ok(Json(Steered { key, raise: None, note: Some(note).filter(|_| refused.is_none()), refused, intent: None }))
}

async fn resume(
    State(admin): State<Admin>,
    from: HeaderMap,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<Steered>, Refusal> {
    from_here(&from)?;
    let outbox = outbox(&admin)?;
    let held = outbox.held().await?;
    let refused = held.is_none().then(|| "nothing is held back".to_owned());
    if !dry_run {
        outbox.resume().await?; // harmless where nothing is held
    }
    Ok(Json(Steered { key: "claims".into(), raise: None, note: held, refused, intent: None }))
}

pub(super) fn outbox(admin: &Admin) -> Result<Outbox, Refusal> {
    admin.report.outbox().ok_or(Refusal::NoChain)
}

pub(super) fn from_here(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if headers.contains_key(COMMAND) && is_address(host) { Ok(()) } else { Err(Refusal::NotFromHere) }
}

/// `localhost` or an IP address, with or without a port.
fn is_address(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_site_commands_nothing() {
        let headers = |host: &str, command: bool| {
            let mut headers = HeaderMap::new();
            if let Ok(host) = host.parse() {
                headers.insert(header::HOST, host);
            }
            if command {
                headers.insert(COMMAND, header::HeaderValue::from_static("1"));
            }
            headers
        };
        for host in ["127.0.0.1:7935", "localhost:7935", "[::1]:7935", "10.0.0.9"] {
            assert!(from_here(&headers(host, true)).is_ok(), "{host}");
            assert!(from_here(&headers(host, false)).is_err(), "{host}");
        }
        for host in ["evil.example:7935", "localhost.evil.example", "", "127.0.0.1.evil.example"] {
            assert!(from_here(&headers(host, true)).is_err(), "{host}");
        }
    }
}
