//! What becomes of transactions that were signed: seen, safe, final, fallen out, replaced.

use super::{FOREIGN_ROUNDS, Urgency, Worker};
use crate::error::{Class, RpcError};
use crate::outbox::intent::{Event, Rank, State};
use crate::outbox::store::{Attempt, Entry};
use crate::outbox::{Doubt, OutboxError, fees};
use crate::provider::views::{Agreed, Heads, Nonces};
use crate::revert::Revert;
use crate::types::{Receipt, Simulation};
use crate::watcher::Head;
use alloy::primitives::B256;
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use headframe_market::BlockNo;

/// Seconds that stand for a block where a deadline is a time: the longest usual distance.
const BLOCK_SECONDS: u64 = 12;

/// Transactions that are asked about at the same time.
const AT_ONCE: usize = 16;

/// What the providers say of one transaction that was signed.
#[derive(Default)]
pub(super) struct Look {
    attempts: Vec<Attempt>,
    /// Where its nonce is spent: of each attempt, or `None` if nobody could be asked.
    receipts: Vec<Option<Agreed<Option<Receipt>>>>,
    /// Where its nonce is free: how many know the attempt that goes out again if it has to.
    holders: usize,
}

impl Look {
    /// What was in the chain before goes out again as it was; otherwise the newest attempt does.
    fn current(attempts: &[Attempt], entry: &Entry) -> Option<Attempt> {
        attempts.iter().find(|attempt| Some(attempt.hash) == entry.intent.hash).or(attempts.first()).cloned()
    }
}

impl Worker {
    /// Asks about all of them at the same time: one after the other, a slow provider would hold up what is due.
    pub(super) async fn look(&self, entries: &[Entry], mined: u64) -> Result<Vec<Look>, OutboxError> {
        let asked: Vec<_> = entries.iter().map(|entry| self.look_at(entry, mined)).collect();
        stream::iter(asked).buffered(AT_ONCE).try_collect().await
    }

    async fn look_at(&self, entry: &Entry, mined: u64) -> Result<Look, OutboxError> {
        let Some(nonce) = entry.intent.nonce else { return Ok(Look::default()) };
        let attempts = self.shared.store(move |store| Ok(store.attempts(nonce)?)).await?;
        let mut look = Look { attempts, ..Look::default() };
        if nonce < mined {
            for said in join_all(look.attempts.iter().map(|attempt| self.rpc.agreed_receipt(attempt.hash))).await {
                match said {
                    Err(error) if error.class() == Class::Unsafe => return Err(error.into()),
                    said => look.receipts.push(said.ok()), // what cannot be asked now keeps nothing else waiting
                }
            }
        } else if let Some(current) = Look::current(&look.attempts, entry) {
            look.holders = self.rpc.holders(current.hash).await?;
        }
        Ok(look)
    }

    /// Looks after one transaction that was signed, and says what state it is in now. `theirs` is needed where one that was mined has
    /// a free nonce.
    pub(super) async fn follow(
        &mut self,
        (entry, look): (Entry, Look),
        (sure, theirs): (&Agreed<Nonces>, Option<&Heads>),
        head: &Head,
        urgency: &Urgency,
    ) -> Result<State, OutboxError> {
        let Some(nonce) = entry.intent.nonce else { return Ok(entry.intent.state) };
        let Look { attempts, receipts, holders } = look;
        if nonce < sure.value.mined {
            let mut certain = sure.quorum;
            for (attempt, said) in attempts.iter().zip(receipts) {
                certain &= said.is_some_and(|said| said.quorum);
                if let Some(receipt) = said.and_then(|said| said.value) {
                    self.missing.remove(&nonce);
                    return self.included(entry, attempt.hash, receipt, head).await;
                }
            }
            if certain {
                return self.without_receipt(entry, nonce, &attempts).await;
            }
            // What was seen stays seen until a quorum says otherwise.
            self.doubted.insert(entry.id, Doubt::Spent(head.number));
            return Ok(entry.intent.state);
        }
        self.missing.remove(&nonce);
        let mut entry = entry;
        if !matches!(entry.intent.state, State::Signed | State::Sent) {
            if !sure.quorum || !theirs.is_some_and(|theirs| theirs.quorum && theirs.tip.number >= head.number) {
                // Not gone: those who answer have not heard of it yet, or are too few. What comes after it goes on, and may need it
                // in the chain: the same bytes do no harm, whatever comes of them.
                self.doubted.insert(entry.id, Doubt::Free);
                let mined = attempts.iter().find(|attempt| Some(attempt.hash) == entry.intent.hash);
                if let Some(mined) = mined.filter(|_| self.resent_at != head.hash) {
                    let _ = self.rpc.broadcast(&mined.raw).await;
                }
                return Ok(entry.intent.state);
            }
            if entry.intent.state == State::Final {
                self.hold(&format!("{} was in a final block, and that block is gone", entry.intent.key)).await?;
            }
            let (gone, at) = (entry.clone(), head.number);
            self.shared.store(move |store| Ok(store.unmined(&gone, at)?)).await?;
            tracing::warn!(key = %entry.intent.key, "a mined transaction fell out of the chain and is sent again");
            entry.intent.state = State::Sent;
            entry.sent_block = head.number;
            self.tell(&entry, Event::Unmined).await?;
        }
        let Some(current) = Look::current(&attempts, &entry) else { return Ok(entry.intent.state) };
        if entry.hurried || head.number >= entry.sent_block.after(self.patience(&entry, head, urgency)) {
            self.replace(&entry, head, urgency.rank(&entry)).await?;
        } else if entry.intent.state == State::Signed || holders < self.rpc.quorum() {
            self.send(&entry, &current, head, urgency.rank(&entry)).await?;
        }
        Ok(State::Sent)
    }

    /// The nonce is spent, but by none of ours as far as this provider knows.
    async fn without_receipt(&mut self, entry: Entry, nonce: u64, attempts: &[Attempt]) -> Result<State, OutboxError> {
        for attempt in attempts {
            if self.rpc.holders(attempt.hash).await? > 0 {
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
        if entry.intent.state == State::Final && entry.block_hash != Some(receipt.block_hash) {
            self.hold(&format!("{} was in a final block, and is in another one now", entry.intent.key)).await?;
        }
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
        if entry.intent.state == State::Safe && receipt.block <= head.finalized {
            let id = entry.id;
            self.shared.store(move |store| Ok(store.settle(id)?)).await?;
            entry = self.tell(&entry, Event::Final).await?;
        }
        Ok(entry.intent.state)
    }

    /// How many blocks a transaction may wait for before its fees are raised.
    fn patience(&self, entry: &Entry, head: &Head, urgency: &Urgency) -> u64 {
        let usual = self.shared.settings.bump_after;
        let soon = usual.saturating_mul(4);
        let due = urgency.is_due(entry, head, soon, soon.saturating_mul(BLOCK_SECONDS));
        // What offers less than the base fee cannot be taken, however long it waits.
        let hopeless = urgency.rank(entry).is_urgent() && entry.fees.max_fee < head.base_fee;
        if due || hopeless { usual.min(1) } else { usual }
    }

    /// From now on only proofs are made: something happened that the chain promised would not.
    pub(super) async fn hold(&self, why: &str) -> Result<(), OutboxError> {
        let told = format!(
            "{why}: what the chain called final was undone; proofs go on, claims and the rest wait until a person has \
             looked and said `headframe tx resume`"
        );
        tracing::error!(reason = %told, "claims are held back");
        self.shared.store(move |store| Ok(store.hold(&told)?)).await
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

    pub(super) fn simulation(&self, entry: &Entry, gas: Option<u64>) -> Option<Simulation> {
        let call = entry.action.as_ref()?.call(&self.shared.settings.addresses);
        Some(Simulation { from: self.account, to: call.to, value: call.value, input: call.input, gas })
    }

    pub(super) fn explain(&self, revert: &Revert) -> String {
        let known = self.shared.settings.explain.as_ref().and_then(|explain| explain(&revert.data));
        known.unwrap_or_else(|| revert.reason())
    }

    /// Signs and sends the same content with higher fees, if cap and budget leave room.
    pub(super) async fn replace(&self, entry: &Entry, head: &Head, rank: Rank) -> Result<(), OutboxError> {
        let cap = self.shared.settings.fees.cap(rank, entry.gas_limit);
        let offer = self.offer(head, cap).await?;
        let raised = fees::bump(entry.fees, offer, cap);
        let affordable = raised.map(|fees| self.shared.affordable(entry, fees, head.timestamp, rank));
        let (id, at) = (entry.id, head.number);
        let refused = match affordable {
            None => "waits at the highest fee allowed".to_owned(),
            Some(check) => match check.await? {
                Ok(()) => String::new(),
                Err(exhausted) => exhausted.to_string(),
            },
        };
        let Some(fees) = raised.filter(|_| refused.is_empty()) else {
            let noted = self.shared.store(move |store| {
                store.postpone(id, at)?;
                Ok(store.note(id, &refused)?)
            });
            return noted.await;
        };
        tracing::info!(key = %entry.intent.key, max_fee = %fees.max_fee, "a waiting transaction gets higher fees");
        let Some(attempt) = self.sign(entry, fees, head).await? else { return Ok(()) };
        let entry = self.reload(entry).await?;
        // Boxed: sending may find that even this is too little and replace again, until the cap ends it.
        Box::pin(self.send(&entry, &attempt, head, rank)).await
    }
}
