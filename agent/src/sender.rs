//! The outbox as the roles use it: send once, and know whether it is still on its way.

use headframe_chain::{Deadline, Intent, Outbox, OutboxError, State, Until};
use headframe_market::{Action, B256, BlockNo};
use serde_json::{Value, json};
use std::time::Duration;

/// How far a transaction is, as far as the roles care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// On its way.
    Pending,
    /// In a block, done what it should.
    Mined {
        /// The transaction.
        hash: B256,
        /// Its block.
        block: BlockNo,
    },
    /// Refused or reverted.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Sends typed transactions, each once.
#[derive(Clone)]
pub(crate) struct Sender(Outbox);

impl Sender {
    pub(crate) fn new(outbox: Outbox) -> Self {
        Self(outbox)
    }

    /// Asks for an effect; asked again it only reports. Durable when it returns.
    pub(crate) async fn submit(&self, action: Action) -> Result<Progress, OutboxError> {
        self.submit_by(action, Deadline::NONE).await
    }

    /// The same for an effect that is of use only until a deadline: what is not signed by then is dropped.
    pub(crate) async fn submit_by(&self, action: Action, deadline: Deadline) -> Result<Progress, OutboxError> {
        Ok(progress(self.0.submit_by(action, deadline).await?))
    }

    /// The outbox itself, for a person's commands.
    pub(crate) fn outbox(&self) -> Outbox {
        self.0.clone()
    }

    /// Asks for an effect and waits until it is there or has failed. The chain may be down for long: so may this be.
    pub(crate) async fn perform(&self, action: Action) -> Result<Progress, OutboxError> {
        let key = action.key();
        self.0.submit(action).await?;
        let mut until = Until::Mined;
        loop {
            match self.0.wait(&key, until, Duration::from_secs(60)).await {
                Err(OutboxError::TimedOut { why, .. }) => {
                    tracing::warn!(key, why, "still waiting for the transaction");
                }
                // A revert may yet be undone by a reorganisation; it counts once it is deep.
                Ok(intent) if intent.state == State::Reverted => until = Until::Safe,
                waited => return Ok(progress(waited?)),
            }
        }
    }

    /// The first number by which `wish` makes an effect that has not happened for good: one on its way is that effect.
    pub(crate) async fn unused(&self, wish: impl Fn(u64) -> Action) -> Result<u64, OutboxError> {
        let mut nth = 0;
        while self.0.status(&wish(nth).key()).await?.is_some_and(|intent| intent.state == State::Final) {
            nth += 1;
        }
        Ok(nth)
    }

    /// How far an effect is; `None` when it was never asked for.
    pub(crate) async fn state(&self, key: &str) -> Result<Option<Progress>, OutboxError> {
        Ok(self.0.status(key).await?.map(progress))
    }

    /// Whether a transaction of this kind is on its way.
    pub(crate) async fn pending(&self, kind: &str) -> bool {
        let recent = self.0.list(64).await.unwrap_or_default();
        recent.into_iter().any(|intent| intent.kind == kind && progress(intent) == Progress::Pending)
    }

    /// Why no claim is made and no job taken, if the disk is full.
    pub(crate) fn has_room(&self) -> Result<(), &'static str> {
        if self.0.has_room() {
            Ok(())
        } else {
            Err("the disk of state_dir is full: until some is freed only proofs are made")
        }
    }

    /// Why nothing is sent, if so.
    pub(crate) fn trouble(&self) -> Option<String> {
        if let Err(full) = self.has_room() {
            return Some(full.into());
        }
        let waiting = || self.0.waiting().into_iter().next().map(|(_, why)| why.to_string());
        self.0.health().err().map(|reason| reason.to_string()).or_else(waiting)
    }

    /// Fees paid so far, in wei by kind.
    pub(crate) async fn gas(&self) -> Vec<(String, u128)> {
        let totals = self.0.gas_totals().await.unwrap_or_default();
        totals.into_iter().map(|(kind, total)| (kind, total.fee.0)).collect()
    }

    /// For `/status`.
    pub(crate) async fn json(&self) -> Value {
        let recent = self.0.list(32).await.unwrap_or_default();
        let line = |intent: Intent| {
            let state = match progress(intent.clone()) {
                Progress::Pending => "pending",
                Progress::Mined { .. } => "mined",
                Progress::Failed { .. } => "failed",
            };
            json!({
                "key": intent.key,
                "kind": intent.kind,
                "state": state,
                "hash": intent.hash,
                "block": intent.block,
                "fee_wei": intent.fee,
                "error": intent.error,
            })
        };
        json!({ "trouble": self.trouble(), "recent": recent.into_iter().map(line).collect::<Vec<_>>() })
    }
}

fn progress(intent: Intent) -> Progress {
    match (intent.state, intent.hash, intent.block) {
        (State::Mined | State::Safe | State::Final, Some(hash), Some(block)) => Progress::Mined { hash, block },
        (State::Failed, ..) => Progress::Failed { reason: intent.error.unwrap_or_else(|| "no reason is known".into()) },
        _ => Progress::Pending,
    }
}
