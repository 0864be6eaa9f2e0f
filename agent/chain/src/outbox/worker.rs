//! The one task that moves intents on: follow what is on its way, then start the next.
//!
//! Each round is made of steps that are durable one by one, so that the task may be dropped at any await.

use super::fees::Fees;
use super::store::{Attempt, Entry};
use super::{Event, OutboxError, Shared, SignError, State, TxFields, TxSigner, blocking};
use crate::error::{Class, RpcError};
use crate::provider::Rpc;
use crate::revert::Revert;
use crate::types::{Receipt, Simulation};
use crate::watcher::Head;
use alloy::primitives::{Address, B256, keccak256};
use headframe_market::BlockNo;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Rounds in a row in which a spent nonce must show no receipt before it counts as foreign: a provider may know its
/// head a moment before its receipts.
const FOREIGN_ROUNDS: u32 = 10;
/// The longest rest after a failed round.
const MAX_REST: Duration = Duration::from_secs(3);

/// Makes and follows transactions until stopped. The caller owns the task.
pub struct Worker {
    shared: Arc<Shared>,
    rpc: Rpc,
    signer: Arc<dyn TxSigner>,
    account: Address,
    /// The head at which nothing was left to do.
    idle_at: B256,
    /// For each spent nonce without a receipt: in how many rounds.
    missing: BTreeMap<u64, u32>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("account", &self.account).finish_non_exhaustive()
    }
}

/// What a round came to.
enum Round {
    /// Something changed: go on at once.
    Progress,
    /// A transaction is on its way: look again soon.
    Waiting,
    /// Nothing to do until somebody asks or the chain moves.
    Idle,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, rpc: Rpc, signer: Arc<dyn TxSigner>) -> Self {
        let account = signer.address();
        Self { shared, rpc, signer, account, idle_at: B256::ZERO, missing: BTreeMap::new() }
    }

    /// Works until `stop`. Safe to drop at any time: the rows say where to go on.
    ///
    /// # Errors
    /// Only what [`OutboxError::is_unsafe`]: the process must stop with exit code 79.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), OutboxError> {
        let mut head = self.shared.head.clone();
        let poll = self.shared.settings.poll;
        let mut rest = poll;
        loop {
            let round = match stop.run_until_cancelled(self.round()).await {
                None => return Ok(()),
                Some(Ok(round)) => {
                    rest = poll;
                    self.healthy(Ok(()));
                    round
                }
                Some(Err(error)) => {
                    self.healthy(Err(&error));
                    if error.is_unsafe() {
                        let mut halted = self.shared.halted.lock().unwrap_or_else(PoisonError::into_inner);
                        *halted = Some(error.to_string().into());
                        drop(halted);
                        self.shared.changes.send_modify(|n| *n += 1);
                        return Err(error);
                    }
                    rest = (rest * 2).min(MAX_REST);
                    Round::Waiting
                }
            };
            let pause = async {
                match round {
                    Round::Progress => {}
                    Round::Waiting => tokio::time::sleep(rest).await,
                    Round::Idle => tokio::select! {
                        () = self.shared.wake.notified() => {}
                        // Without a watcher left, look from time to time.
                        changed = head.changed() => if changed.is_err() { tokio::time::sleep(MAX_REST).await },
                        () = tokio::time::sleep(MAX_REST) => {}
                    },
                }
            };
            if stop.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
        }
    }

    fn healthy(&self, now: Result<(), &OutboxError>) {
        let now = now.map_err(|error| Arc::<str>::from(error.to_string()));
        self.shared.health.send_if_modified(|before| {
            if let Err(why) = &now
                && before.is_ok()
            {
                tracing::warn!(reason = %why, "transactions are held up");
            }
            let news = *before != now;
            *before = now;
            news
        });
    }

    async fn round(&mut self) -> Result<Round, OutboxError> {
        let head = self.shared.head.borrow().clone();
        if head.hash == B256::ZERO {
            return Err(OutboxError::Waiting("no block has been seen yet".into()));
        }
        let next = match self.shared.store(|store| Ok(store.next_nonce()?)).await? {
            Some(next) => next,
            None => self.first_nonce().await?,
        };
        let (queued, unfinished) =
            self.shared.store(|store| Ok((store.next()?.is_some(), !store.on_the_way(u64::MAX)?.is_empty()))).await?;
        if !queued && !unfinished && self.idle_at == head.hash {
            return Ok(Round::Idle);
        }
        let mined = self.rpc.latest_nonce(self.account).await?;
        if mined > next {
            return Err(OutboxError::ForeignNonce { account: self.account, nonce: next });
        }
        self.resend_orphans(mined).await?;
        let entries = self.shared.store(move |store| Ok(store.on_the_way(mined)?)).await?;
        let mut gate_open = true;
        let mut waiting = false;
        for entry in entries {
            let state = self.follow(entry, mined, &head).await?;
            gate_open &= !matches!(state, State::Signed | State::Sent);
            waiting |= !matches!(state, State::Safe | State::Failed);
        }
        self.missing.retain(|nonce, _| *nonce < mined);
        if gate_open && let Some(entry) = self.shared.store(|store| Ok(store.next()?)).await? {
            self.start(entry, &head).await?;
            return Ok(Round::Progress);
        }
        if waiting {
            return Ok(Round::Waiting);
        }
        self.idle_at = head.hash;
        Ok(Round::Idle)
    }

    /// A new store begins where the chain is, once nothing unknown is on its way.
    async fn first_nonce(&self) -> Result<u64, OutboxError> {
        let mined = self.rpc.latest_nonce(self.account).await?;
        let pending = self.rpc.pending_nonce(self.account).await?;
        if pending > mined {
            return Err(OutboxError::Waiting(format!(
                "account {}: {} transactions that this store does not know are waiting to be mined",
                self.account,
                pending - mined
            )));
        }
        self.shared.store(move |store| Ok(store.set_first_nonce(mined)?)).await?;
        Ok(mined)
    }

    /// Looks after one transaction that was signed, and says what state it is in now.
    async fn follow(&mut self, entry: Entry, mined: u64, head: &Head) -> Result<State, OutboxError> {
        let Some(nonce) = entry.intent.nonce else { return Ok(entry.intent.state) };
        let attempts = self.shared.store(move |store| Ok(store.attempts(nonce)?)).await?;
        if nonce < mined {
            for attempt in &attempts {
                if let Some(receipt) = self.rpc.receipt(attempt.hash).await? {
                    self.missing.remove(&nonce);
                    return self.included(entry, attempt.hash, receipt, head).await;
                }
            }
            return self.without_receipt(entry, nonce, &attempts).await;
        }
        self.missing.remove(&nonce);
        let mut entry = entry;
        if !matches!(entry.intent.state, State::Signed | State::Sent) {
            let theirs = self.rpc.head().await?.number;
            if theirs < head.number {
                // Not gone: this provider has not heard of it yet.
                let why = format!("the provider that answers is at block {theirs}, behind {}", head.number);
                return Err(OutboxError::Waiting(why));
            }
            let (gone, at) = (entry.clone(), head.number);
            self.shared.store(move |store| Ok(store.unmined(&gone, at)?)).await?;
            tracing::warn!(key = %entry.intent.key, "a mined transaction fell out of the chain and is sent again");
            entry.intent.state = State::Sent;
            entry.sent_block = head.number;
            self.tell(&entry, Event::Unmined).await?;
        }
        // What was in the chain before goes out again as it was; otherwise the newest attempt does.
        let current = attempts.iter().find(|attempt| Some(attempt.hash) == entry.intent.hash).or(attempts.first());
        let Some(current) = current.cloned() else { return Ok(entry.intent.state) };
        if head.number >= entry.sent_block.after(self.shared.settings.bump_after) {
            self.replace(&entry, head).await?;
        } else if entry.intent.state == State::Signed || !self.rpc.knows(current.hash).await? {
            self.send(&entry, &current, head).await?;
        }
        Ok(State::Sent)
    }

    /// The nonce is spent, but by none of ours as far as this provider knows.
    async fn without_receipt(&mut self, entry: Entry, nonce: u64, attempts: &[Attempt]) -> Result<State, OutboxError> {
        for attempt in attempts {
            if self.rpc.knows(attempt.hash).await? {
                return Ok(entry.intent.state); // its receipt is on the way
            }
        }
        let rounds = self.missing.entry(nonce).or_default();
        *rounds += 1;
        if *rounds >= FOREIGN_ROUNDS {
            return Err(OutboxError::ForeignNonce { account: self.account, nonce });
        }
        // Keeps the gate shut and the round short.
        Ok(State::Sent)
    }

    async fn included(
        &mut self,
        mut entry: Entry,
        hash: B256,
        receipt: Receipt,
        head: &Head,
    ) -> Result<State, OutboxError> {
        let intent = &entry.intent;
        let known = entry.block_hash == Some(receipt.block_hash)
            && intent.hash == Some(hash)
            && !matches!(intent.state, State::Signed | State::Sent);
        if !known {
            let error = if receipt.success { None } else { Some(self.why_reverted(&entry, &receipt).await) };
            let before = entry.clone();
            self.shared.store(move |store| Ok(store.mined(&before, hash, &receipt, error.as_deref())?)).await?;
            entry = self.tell(&entry, if receipt.success { Event::Mined } else { Event::Failed }).await?;
        }
        let deep = head.number >= receipt.block.after(self.shared.settings.confirmations);
        if deep && matches!(entry.intent.state, State::Mined | State::Reverted) {
            let (done, at, keep) = (entry.clone(), head.number, self.shared.keep());
            self.shared.store(move |store| Ok(store.finish(&done, at, keep)?)).await?;
            let event = if receipt.success { Event::Safe } else { Event::Failed };
            entry = self.tell(&entry, event).await?;
        }
        Ok(entry.intent.state)
    }

    /// Runs the transaction again on the state before its block. A guess: others in that block may have come first.
    async fn why_reverted(&self, entry: &Entry, receipt: &Receipt) -> String {
        if receipt.gas_used >= entry.gas_limit {
            return format!("ran out of gas at {}", receipt.gas_used);
        }
        let Some(call) = self.simulation(entry, Some(entry.gas_limit)) else { return "reverted".into() };
        let before = BlockNo(receipt.block.0.saturating_sub(1));
        match self.rpc.simulate(&call, Some(before)).await {
            Err(RpcError::Reverted(revert)) => format!("reverted: {}", self.explain(&revert)),
            _ => "reverted, for a reason that no longer shows".into(),
        }
    }

    fn simulation(&self, entry: &Entry, gas: Option<u64>) -> Option<Simulation> {
        let call = entry.action.as_ref()?.call(&self.shared.settings.addresses);
        Some(Simulation { from: self.account, to: call.to, value: call.value, input: call.input, gas })
    }

    fn explain(&self, revert: &Revert) -> String {
        let known = self.shared.settings.explain.as_ref().and_then(|explain| explain(&revert.data));
        known.unwrap_or_else(|| revert.reason())
    }

    /// Takes the next intent from the queue to the providers.
    async fn start(&mut self, mut entry: Entry, head: &Head) -> Result<(), OutboxError> {
        if entry.intent.state == State::Queued {
            let Some(gas_limit) = self.rehearse(&entry, head).await? else { return Ok(()) };
            let fees = self.offer(head).await?;
            let id = entry.id;
            self.shared.store(move |store| Ok(store.reserve(id, gas_limit, fees)?)).await?;
            entry = self.reload(&entry).await?;
        }
        let Some(attempt) = self.sign(&entry, entry.fees, head).await? else { return Ok(()) };
        let entry = self.reload(&entry).await?;
        self.send(&entry, &attempt, head).await
    }

    /// Tries the call without sending it. `None` when it would revert: the intent has failed and cost nothing.
    async fn rehearse(&self, entry: &Entry, head: &Head) -> Result<Option<u64>, OutboxError> {
        let max_gas = self.shared.settings.max_gas;
        let Some(call) = self.simulation(entry, None) else {
            return self.fail(entry, "its action is no longer stored", head).await.map(|()| None);
        };
        let estimated = match self.rpc.simulate(&call, None).await {
            Ok(_) => self.rpc.estimate_gas(&call).await,
            Err(error) => Err(error),
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

    async fn offer(&self, head: &Head) -> Result<Fees, OutboxError> {
        let tip = match self.rpc.suggested_tip().await {
            Ok(tip) => tip,
            Err(error) if error.class() == Class::Answer => 0, // not every chain has an opinion
            Err(error) => return Err(error.into()),
        };
        Ok(self.shared.settings.fees.offer(head.base_fee, tip))
    }

    /// Signs and stores. `None` when the signer refuses; a first attempt has then failed.
    async fn sign(&self, entry: &Entry, fees: Fees, head: &Head) -> Result<Option<Attempt>, OutboxError> {
        let (Some(nonce), Some(action)) = (entry.intent.nonce, entry.action.clone()) else { return Ok(None) };
        let fields = TxFields {
            chain_id: self.rpc.pin().chain_id,
            nonce,
            gas_limit: entry.gas_limit,
            max_fee: fees.max_fee,
            max_priority: fees.max_priority,
        };
        let signer = self.signer.clone();
        let signed = match blocking(move || signer.sign(&action, &fields)).await? {
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
        self.shared.store(move |store| Ok(store.signed(&entry, fees, &stored, at)?)).await?;
        self.changed();
        Ok(Some(attempt))
    }

    /// Hands signed bytes to the providers.
    async fn send(&self, entry: &Entry, attempt: &Attempt, head: &Head) -> Result<(), OutboxError> {
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
            return self.replace(entry, head).await;
        }
        Err(OutboxError::Waiting(format!("{}: {why}", entry.intent.key)))
    }

    /// Signs and sends the same content with higher fees, if the cap leaves room.
    async fn replace(&self, entry: &Entry, head: &Head) -> Result<(), OutboxError> {
        let Some(fees) = self.shared.settings.fees.bump(entry.fees, self.offer(head).await?) else {
            let (id, at) = (entry.id, head.number);
            return self
                .shared
                .store(move |store| {
                    store.postpone(id, at)?;
                    Ok(store.note(id, "waits at the highest fee allowed")?)
                })
                .await;
        };
        tracing::info!(key = %entry.intent.key, max_fee = %fees.max_fee, "a waiting transaction gets higher fees");
        let Some(attempt) = self.sign(entry, fees, head).await? else { return Ok(()) };
        let entry = self.reload(entry).await?;
        // Boxed: sending may find that even this is too little and replace again, until the cap ends it.
        Box::pin(self.send(&entry, &attempt, head)).await
    }

    async fn resend_orphans(&self, mined: u64) -> Result<(), OutboxError> {
        for orphan in self.shared.store(move |store| Ok(store.orphans(mined)?)).await? {
            match self.rpc.broadcast(&orphan.raw).await {
                Err(error) if error.class() != Class::Answer => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    async fn fail(&self, entry: &Entry, why: &str, head: &Head) -> Result<(), OutboxError> {
        tracing::warn!(key = %entry.intent.key, reason = why, "a transaction is not made");
        let (id, at, why, keep) = (entry.id, head.number, why.to_owned(), self.shared.keep());
        self.shared.store(move |store| Ok(store.fail_unsigned(id, &why, at, keep)?)).await?;
        self.tell(entry, Event::Failed).await.map(drop)
    }

    async fn reload(&self, entry: &Entry) -> Result<Entry, OutboxError> {
        let (key, old) = (entry.intent.key.clone(), entry.clone());
        self.shared.store(move |store| Ok(store.get(&key)?.unwrap_or(old))).await
    }

    /// Reads the row again and tells everybody what has become of it.
    async fn tell(&self, entry: &Entry, event: fn(super::Intent) -> Event) -> Result<Entry, OutboxError> {
        let entry = self.reload(entry).await?;
        let _ = self.shared.events.send(event(entry.intent.clone())); // nobody may be listening
        self.changed();
        Ok(entry)
    }

    fn changed(&self) {
        self.shared.changes.send_modify(|n| *n = n.wrapping_add(1));
    }
}
