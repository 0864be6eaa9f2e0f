//! From a queued intent to signed bytes at the providers.

use super::Worker;
use crate::error::{Class, RpcError};
use crate::outbox::budget;
use crate::outbox::fees::Fees;
use crate::outbox::intent::{Event, Rank, State};
use crate::outbox::store::{Attempt, Entry};
use crate::outbox::{OutboxError, SignError, TxFields, Waits, blocking};
use crate::provider::views::{Agreed, Nonces};
use crate::watcher::Head;
use alloy::primitives::keccak256;
use headframe_market::Wei;
use std::sync::PoisonError;

/// What came of trying to start an intent.
enum Started {
    /// Its row changed.
    Moved,
    /// Nothing of its kind can be paid for now.
    Waits(Waits),
}

impl Worker {
    /// Starts the first intent, in the order of ranks and deadlines, that can be paid for; whether one was found.
    pub(super) async fn start_next(&self, lowest: Rank, head: &Head) -> Result<bool, OutboxError> {
        let only_proofs = self.shared.store(|store| Ok(store.held()?.is_some() || !store.has_room())).await?;
        let lowest = if only_proofs { Rank::Proof } else { lowest };
        loop {
            let without = self.still_waiting(head);
            let Some(entry) = self.shared.store(move |store| Ok(store.next(lowest, &without)?)).await? else {
                if lowest == Rank::Upkeep {
                    // Everything was looked at: what does not wait on this head does not wait any more.
                    self.waiting().retain(|_, waits| waits.at == head.hash);
                }
                return Ok(false);
            };
            match self.start(entry.clone(), head).await? {
                Started::Moved => {
                    self.waiting().remove(&entry.intent.kind);
                    return Ok(true);
                }
                Started::Waits(waits) => {
                    let (id, note, over_budget) = (entry.id, waits.why.to_string(), waits.over_budget);
                    let before = self.waiting().insert(entry.intent.kind.clone(), waits);
                    self.shared.store(move |store| Ok(store.note(id, &note)?)).await?;
                    if over_budget && before.is_none_or(|before| !before.over_budget) {
                        let entry = self.tell(&entry, Event::OverBudget).await?;
                        tracing::error!(key = %entry.intent.key, reason = entry.intent.error, "a budget is spent");
                    }
                }
            }
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<String, Waits>> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kinds that were looked at on this head and could not be paid for.
    fn still_waiting(&self, head: &Head) -> Vec<String> {
        let waiting = self.waiting();
        waiting.iter().filter(|(_, waits)| waits.at == head.hash).map(|(kind, _)| kind.clone()).collect()
    }

    /// Takes an intent from the queue to the providers.
    async fn start(&self, mut entry: Entry, head: &Head) -> Result<Started, OutboxError> {
        if entry.intent.state == State::Queued {
            // It may have come since this round dropped what is late.
            if let Some(late) = entry.intent.deadline.passed(head.lowest.0, head.lowest.1).filter(|_| head.quorum) {
                self.fail(&entry, &format!("dropped: {late}"), head).await?;
                return Ok(Started::Moved);
            }
            let Some(gas_limit) = self.rehearse(&entry, head).await? else { return Ok(Started::Moved) };
            let cap = self.shared.settings.fees.cap(entry.rank, gas_limit);
            let waits =
                |over_budget, why: String| Ok(Started::Waits(Waits { at: head.hash, over_budget, why: why.into() }));
            if !entry.rank.is_urgent() && head.base_fee > cap {
                let why = format!("waits until the base fee, {} now, is below {}", Wei(head.base_fee), Wei(cap));
                return waits(false, why);
            }
            let fees = self.offer(head, cap).await?;
            entry.gas_limit = gas_limit;
            if let Err(exhausted) = self.shared.affordable(&entry, fees, head.timestamp, entry.rank).await? {
                return waits(true, exhausted.to_string());
            }
            let id = entry.id;
            self.shared.store(move |store| Ok(store.reserve(id, gas_limit, fees)?)).await?;
            entry = self.reload(&entry).await?;
        }
        // The last look before a signature: whoever else uses the key may have come in the meantime.
        self.no_stranger(entry.intent.nonce.unwrap_or_default()).await?;
        let Some(attempt) = self.sign(&entry, entry.fees, head).await? else { return Ok(Started::Moved) };
        let entry = self.reload(&entry).await?;
        self.send(&entry, &attempt, head, entry.rank).await?;
        Ok(Started::Moved)
    }

    /// Tries the call without sending it. `None` when it would revert: the intent has failed and cost nothing.
    async fn rehearse(&self, entry: &Entry, head: &Head) -> Result<Option<u64>, OutboxError> {
        let max_gas = self.shared.settings.max_gas;
        let Some(call) = self.simulation(entry, None) else {
            return self.fail(entry, "its action is no longer stored", head).await.map(|()| None);
        };
        // A proof is not kept back by one provider that is behind: whoever can run it counts.
        let estimated = match entry.rank {
            Rank::Proof => self.rpc.estimate_gas_anywhere(&call, max_gas).await,
            _ => match self.rpc.simulate(&call, None).await {
                Ok(_) => self.rpc.estimate_gas(&call).await,
                Err(error) => Err(error),
            },
        };
        let why = match estimated {
            Ok(gas) if gas <= max_gas => {
                // Some room, because the state may change before it is mined.
                return Ok(Some(gas.saturating_add(gas / 4).saturating_add(10_000).min(max_gas)));
            }
            Ok(gas) => format!("it would take {gas} gas, more than the {max_gas} allowed"),
            Err(RpcError::Reverted(revert)) => format!("would revert: {}", self.explain(&revert)),
            Err(error @ RpcError::Server { .. }) => format!("would not be accepted: {error}"),
            Err(error) => return Err(error.into()),
        };
        self.fail(entry, &why, head).await.map(|()| None)
    }

    pub(super) async fn offer(&self, head: &Head, cap: u128) -> Result<Fees, OutboxError> {
        let suggested = self.rpc.suggested_tip().await?;
        Ok(self.shared.settings.fees.offer(head.base_fee, suggested, cap))
    }

    /// Signs and stores. `None` when the signer refuses; a first attempt has then failed.
    pub(super) async fn sign(&self, entry: &Entry, fees: Fees, head: &Head) -> Result<Option<Attempt>, OutboxError> {
        let (Some(nonce), Some(action)) = (entry.intent.nonce, entry.action.clone()) else { return Ok(None) };
        let fields = TxFields {
            chain_id: self.rpc.pin().chain_id,
            nonce,
            gas_limit: entry.gas_limit,
            max_fee: fees.max_fee,
            max_priority: fees.max_priority,
        };
        let signer = self.signer.clone();
        let signed = match blocking(&self.shared.settings.blocking, move || signer.sign(&action, &fields)).await? {
            Ok(signed) if keccak256(&signed.raw) == signed.hash => signed,
            Ok(_) => return Err(SignError::Unavailable("its bytes do not have the hash it gave".into()).into()),
            Err(error @ SignError::Refused(_)) if entry.intent.state == State::Reserved => {
                self.fail(entry, &error.to_string(), head).await?;
                return Ok(None);
            }
            Err(error @ SignError::Refused(_)) => {
                // Only this replacement is refused; what is on its way stays so.
                let (id, at, why) = (entry.id, head.number, error.to_string());
                self.shared
                    .store(move |store| {
                        store.postpone(id, at)?;
                        Ok(store.note(id, &why)?)
                    })
                    .await?;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let attempt = Attempt { hash: signed.hash, raw: signed.raw };
        let (entry, stored, at) = (entry.clone(), attempt.clone(), head.number);
        let today = budget::day(head.timestamp);
        self.shared.store(move |store| Ok(store.signed(&entry, fees, &stored, at, today)?)).await?;
        self.changed();
        Ok(Some(attempt))
    }

    /// Hands signed bytes to the providers.
    pub(super) async fn send(
        &self,
        entry: &Entry,
        attempt: &Attempt,
        head: &Head,
        rank: Rank,
    ) -> Result<(), OutboxError> {
        let why = match self.rpc.broadcast(&attempt.raw).await {
            Ok(_) => {
                let (id, first) = (entry.id, entry.intent.state == State::Signed);
                self.shared.store(move |store| Ok(store.sent(id)?)).await?;
                if first {
                    self.tell(entry, Event::Sent).await?;
                }
                return Ok(());
            }
            Err(error) if error.class() == Class::Answer => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        let text = why.to_ascii_lowercase();
        if text.contains("nonce too low") || text.contains("nonce is too low") {
            return Ok(()); // mined by now, or foreign: the next round tells
        }
        let (id, note) = (entry.id, why.clone());
        self.shared.store(move |store| Ok(store.note(id, &note)?)).await?;
        if text.contains("underpriced") {
            return self.replace(entry, head, rank).await;
        }
        Err(OutboxError::Waiting(format!("{}: {why}", entry.intent.key)))
    }

    /// Ends an intent that nothing was signed for.
    pub(super) async fn fail(&self, entry: &Entry, why: &str, head: &Head) -> Result<(), OutboxError> {
        tracing::warn!(key = %entry.intent.key, reason = why, "a transaction is not made");
        let (id, at, why, keep) = (entry.id, head.number, why.to_owned(), self.shared.keep());
        self.shared.store(move |store| Ok(store.fail_unsigned(id, &why, at, keep)?)).await?;
        self.tell(entry, Event::Failed).await.map(drop)
    }

    /// A new store begins with an account that never made a transaction, unless a person said that its past is known:
    /// otherwise somebody else may use the key, or our own memory is lost. Then it begins once nothing is on its way.
    pub(super) async fn first_nonce(&self) -> Result<u64, OutboxError> {
        let account = self.account;
        let Agreed { value: Nonces { mined, pending, most }, quorum } = self.rpc.nonces(account).await?;
        if !quorum {
            return Err(OutboxError::Waiting("too few providers answer to learn the account's nonce".into()));
        }
        let count = mined.max(pending);
        if count > 0 && !self.shared.settings.take_over {
            return Err(OutboxError::UnknownPast { account, count });
        }
        if most > mined {
            let waiting = most - mined;
            return Err(OutboxError::Waiting(format!(
                "account {account}: {waiting} transactions that this store does not know are waiting to be mined"
            )));
        }
        self.shared.store(move |store| Ok(store.set_first_nonce(mined)?)).await?;
        Ok(mined)
    }
}
