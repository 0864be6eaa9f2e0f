//! What a person's wish to have fees raised would come to, before it is wished.

use super::budget;
use super::fees::{self, Fees};
use super::intent::State;
use super::store::Entry;
use super::{Outbox, OutboxError, Shared};
use crate::outbox::budget::Exhausted;
use crate::outbox::intent::Rank;
use headframe_market::Wei;
use serde::Serialize;
use std::sync::Arc;

/// Fees for a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PerGas {
    /// `maxFeePerGas`.
    pub max_fee: Wei,
    /// `maxPriorityFeePerGas`.
    pub max_priority: Wei,
}

/// What [`Outbox::bump`] would do to a transaction now. The worker does it with its next look, when a block may have changed
/// the price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Raise {
    /// The intent.
    pub key: String,
    /// How far it has come.
    pub state: State,
    /// What it offers.
    pub from: Option<PerGas>,
    /// What it would offer; `None` where its cap leaves no room.
    pub to: Option<PerGas>,
    /// No more than this for a unit of gas.
    pub cap: Wei,
    /// The most gas that it may take.
    pub gas_limit: u64,
    /// The most that it may then cost.
    pub most: Option<Wei>,
    /// What is left of its kind's budget today, without this transaction; `None` without a limit.
    pub budget_left: Option<Wei>,
    /// Why it would not be raised.
    pub refused: Option<String>,
}

impl From<Fees> for PerGas {
    fn from(fees: Fees) -> Self {
        Self { max_fee: Wei(fees.max_fee), max_priority: Wei(fees.max_priority) }
    }
}

impl Outbox {
    /// What [`Self::bump`] would raise, and how far cap and budget let it. Changes nothing.
    ///
    /// # Errors
    /// `Unknown`, `Rpc`, `Store`.
    pub async fn raise(&self, key: &str) -> Result<Raise, OutboxError> {
        let wanted = key.to_owned();
        let found = self.shared.store(move |store| {
            let Some(entry) = store.get(&wanted)? else { return Ok(None) };
            // What cannot happen before it lifts it.
            let behind = store.on_the_way(u64::MAX)?.into_iter();
            let behind = behind.filter(|it| it.intent.nonce > entry.intent.nonce && it.intent.state.is_in_flight());
            let rank = behind.map(|it| it.rank).chain(store.best_waiting()?).fold(entry.rank, Rank::min);
            Ok(Some((entry, rank)))
        });
        let (entry, rank) = found.await?.ok_or_else(|| OutboxError::Unknown(key.into()))?;
        let (base_fee, timestamp) = {
            let head = self.shared.head.borrow();
            (head.base_fee, head.timestamp)
        };
        let policy = self.shared.settings.fees;
        let cap = policy.cap(rank, entry.gas_limit);
        let state = entry.intent.state;
        let mut raise = Raise {
            key: key.into(),
            state,
            from: state.is_in_flight().then(|| entry.fees.into()),
            to: None,
            cap: Wei(cap),
            gas_limit: entry.gas_limit,
            most: None,
            budget_left: self.shared.left(&entry, timestamp).await?,
            refused: None,
        };
        if !state.is_in_flight() {
            raise.refused = Some(format!("it is {state}: only what is signed and in no block can be raised"));
            return Ok(raise);
        }
        let offer = policy.offer(base_fee, self.rpc.suggested_tip().await?, cap);
        let Some(fees) = fees::bump(entry.fees, offer, cap) else {
            raise.refused = Some("it offers the highest fee allowed already, or nearly".into());
            return Ok(raise);
        };
        raise.to = Some(fees.into());
        raise.most = Some(most(&entry, fees));
        raise.refused = self.shared.affordable(&entry, fees, timestamp, rank).await?.err().map(|why| why.to_string());
        Ok(raise)
    }
}

fn most(entry: &Entry, fees: Fees) -> Wei {
    Wei(fees.max_fee.saturating_mul(u128::from(entry.gas_limit)))
}

impl Shared {
    /// Whether the day's budget reaches for a transaction with these fees. `rank` is that of the best which cannot happen
    /// before it: a budget never keeps a proof waiting that has none of its own or stands behind something else.
    pub(super) async fn affordable(
        self: &Arc<Self>,
        entry: &Entry,
        fees: Fees,
        timestamp: u64,
        rank: Rank,
    ) -> Result<Result<(), Exhausted>, OutboxError> {
        if rank == Rank::Proof && entry.rank != Rank::Proof {
            return Ok(Ok(()));
        }
        let spent = self.spent(entry, timestamp).await?;
        Ok(self.settings.budgets.check(&entry.intent.kind, spent, most(entry, fees)))
    }

    async fn left(self: &Arc<Self>, entry: &Entry, timestamp: u64) -> Result<Option<Wei>, OutboxError> {
        let Some(limit) = self.settings.budgets.limit(&entry.intent.kind) else { return Ok(None) };
        let spent = self.spent(entry, timestamp).await?;
        Ok(Some(Wei(limit.0.saturating_sub(spent.0))))
    }

    /// What its kind has cost today, itself apart.
    async fn spent(self: &Arc<Self>, entry: &Entry, timestamp: u64) -> Result<Wei, OutboxError> {
        let (kind, nonce, today) = (entry.intent.kind.clone(), entry.intent.nonce, budget::day(timestamp));
        self.store(move |store| Ok(store.spent(&kind, today, nonce)?)).await
    }
}
