//! One JSON-RPC endpoint: its rest after failures, its counters. Which chain it serves, and whom to
//! ask next, is [`super`]'s business.

use super::transport::{Lost, Transport};
use super::{ProviderStats, Settings};
use crate::error::RpcError;
use crate::revert::{self, cut};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

#[derive(Debug)]
pub(super) struct Provider {
    pub(super) name: String,
    transport: Box<dyn Transport>,
    slots: Semaphore,
    ids: AtomicU64,
    /// How long it must agree after it was set aside before that is forgotten.
    trial: Duration,
    pub(super) state: Mutex<ProviderState>,
}

#[derive(Debug, Default)]
pub(super) struct ProviderState {
    pub(super) failures: u32,
    failed_at: Option<Instant>,
    /// Not before this instant; while a probe runs, set beyond the probe's deadline.
    pub(super) rest_until: Option<Instant>,
    pub(super) verified: Option<Instant>,
    pub(super) last_error: String,
    /// For each topic: contradicted by a quorum since then, without a break.
    disagrees_since: [Option<Instant>; 4],
    pub(super) aside_until: Option<Instant>,
    pub(super) aside_why: String,
    /// How many times in a row.
    asides: u32,
    pub(super) stats: ProviderStats,
}

/// What providers are compared in: one that is right about heads may yet lie about receipts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Topic {
    Blocks,
    Nonces,
    Receipts,
    Calls,
}

/// Why one provider gave no answer; the next one is asked.
pub(super) enum Failure {
    Timeout,
    Transport(String),
    Garbage(String),
    RateLimited(String),
}

/// An error that the chain's side itself reports.
pub(super) struct ServerError {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Option<Value>,
}

pub(super) type Outcome<T> = Result<Result<T, ServerError>, Failure>;

impl Provider {
    pub(super) fn new(name: String, transport: Box<dyn Transport>, settings: &Settings) -> Self {
        let slots = Semaphore::new(settings.in_flight.max(1));
        let trial = settings.aside_min;
        Self { name, transport, slots, ids: AtomicU64::new(1), trial, state: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ProviderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // plain numbers: valid after any panic
    }

    /// One request, counted; a failure puts the provider to rest.
    pub(super) async fn exchange<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
        deadline: Instant,
        settings: &Settings,
    ) -> Outcome<T> {
        let start = Instant::now();
        let outcome = match timeout_at(deadline, self.post(method, params, settings.max_body)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Timeout),
        };
        let outcome = match outcome {
            Ok(Ok(value)) => serde_json::from_value(value)
                .map(Ok)
                .map_err(|error| Failure::Garbage(format!("{method}: {}", cut(&error.to_string())))),
            Ok(Err(error)) if error.is_rate_limit() => Err(Failure::RateLimited(error.message)),
            Ok(Err(error)) => Ok(Err(error)),
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(answer) => {
                let mut state = self.lock();
                state.failures = 0;
                state.rest_until = None;
                state.last_error.clear();
                state.stats.answered += 1;
                let spent = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                state.stats.answer_micros = state.stats.answer_micros.saturating_add(spent);
                Ok(answer)
            }
            Err(failure) => Err(self.failed(failure, start, settings)),
        }
    }

    pub(super) fn failed(&self, failure: Failure, start: Instant, settings: &Settings) -> Failure {
        let mut state = self.lock();
        // Requests that were under way together fail together: one failure, not many.
        let fresh = state.failed_at.is_none_or(|at| start >= at);
        let stats = &mut state.stats;
        let why = match &failure {
            Failure::Timeout => {
                stats.timeouts += 1;
                format!("no answer within {:?}", settings.timeout)
            }
            Failure::Transport(why) => {
                stats.transport += 1;
                why.clone()
            }
            Failure::Garbage(why) => {
                stats.garbage += 1;
                format!("garbage: {why}")
            }
            Failure::RateLimited(why) => {
                stats.rate_limited += 1;
                format!("rate limit: {why}")
            }
        };
        if state.failures == 0 {
            tracing::warn!(provider = %self.name, reason = %why, "provider rests after a failure");
        }
        if fresh {
            let rest = settings.backoff_min.saturating_mul(1 << state.failures.min(16)).min(settings.backoff_max);
            let now = Instant::now();
            state.failures = state.failures.saturating_add(1);
            state.rest_until = Some(now + rest);
            state.failed_at = Some(now);
        }
        state.verified = None;
        state.last_error = why;
        failure
    }

    /// Whether it is set aside now. When that is over it is asked again.
    pub(super) fn is_aside(&self) -> bool {
        self.lock().aside_until.is_some_and(|until| until > Instant::now())
    }

    /// A quorum says the same.
    pub(super) fn agrees(&self, on: Topic) {
        let mut state = self.lock();
        state.disagrees_since[on as usize] = None;
        if state.aside_until.is_some_and(|until| until + self.trial < Instant::now()) {
            (state.aside_until, state.asides) = (None, 0);
        }
    }

    /// A quorum says something else. That may be a matter of moments; whether it has gone on for longer than `patience`.
    pub(super) fn disagrees(&self, on: Topic, patience: Duration) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        state.stats.disagreements += 1;
        now.duration_since(*state.disagrees_since[on as usize].get_or_insert(now)) >= patience
    }

    /// Leaves it out for a while.
    pub(super) fn set_aside(&self, why: &str, settings: &Settings) {
        let mut state = self.lock();
        let wait = settings.aside_min.saturating_mul(1 << state.asides.min(16)).min(settings.aside_max);
        tracing::error!(provider = %self.name, reason = why, ?wait, "provider is set aside");
        state.aside_until = Some(Instant::now() + wait);
        state.aside_why = cut(why);
        state.asides = state.asides.saturating_add(1);
        state.disagrees_since = [None; 4];
        state.stats.set_aside += 1;
    }

    async fn post(&self, method: &str, params: &Value, max_body: usize) -> Outcome<Value> {
        let _slot = self.slots.acquire().await.map_err(|_| Failure::Transport("shutting down".into()))?;
        let id = self.ids.fetch_add(1, Relaxed);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let (status, text) = match self.transport.exchange(&body, max_body).await {
            Ok(answer) => answer,
            Err(Lost::OnTheWay(why)) => return Err(Failure::Transport(cut(&why))),
            Err(Lost::TooLong) => return Err(Failure::Garbage(format!("{method}: more than {max_body} bytes"))),
        };
        if status == 429 {
            return Err(Failure::RateLimited("HTTP 429".into()));
        }
        match read_answer(&text, id) {
            Ok(answer) => Ok(answer),
            Err(_) if !(200..300).contains(&status) => Err(Failure::Transport(format!("HTTP {status}"))),
            Err(why) => Err(Failure::Garbage(format!("{method}: {why}"))),
        }
    }
}

/// Takes a JSON-RPC answer apart. Accepts exactly one of `result` and `error`, and only for our `id`.
fn read_answer(text: &[u8], id: u64) -> Result<Result<Value, ServerError>, &'static str> {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(text) else { return Err("not a JSON object") };
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let message = error.get("message").and_then(Value::as_str).unwrap_or("an error without a message");
        let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
        return Ok(Err(ServerError { code, message: cut(message), data: error.get("data").cloned() }));
    }
    if answer.get("id").and_then(Value::as_u64) != Some(id) {
        return Err("an answer to another request");
    }
    answer.remove("result").map(Ok).ok_or("neither result nor error")
}

impl ServerError {
    fn is_rate_limit(&self) -> bool {
        let text = self.message.to_ascii_lowercase();
        matches!(self.code, -32005 | -32016 | 429) || text.contains("rate limit") || text.contains("too many requests")
    }

    pub(super) fn named(self, method: &'static str, provider: &Provider) -> RpcError {
        match revert::from_error(self.code, &self.message, self.data.as_ref()) {
            Some(revert) => RpcError::Reverted(revert),
            None => {
                RpcError::Server { method, provider: provider.name.clone(), code: self.code, message: self.message }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_answer_is_taken() {
        assert!(matches!(read_answer(br#"{"id":7,"result":null}"#, 7), Ok(Ok(Value::Null))));
        assert!(read_answer(br#"{"id":6,"result":1}"#, 7).is_err());
        assert!(read_answer(br#"{"id":7}"#, 7).is_err());
        assert!(read_answer(b"<html>", 7).is_err());
        let error = read_answer(br#"{"id":null,"error":{"code":-32005,"message":"slow down"}}"#, 7).unwrap();
        assert!(error.err().unwrap().is_rate_limit());
    }
}
