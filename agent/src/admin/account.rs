//! `/stake`, `/jobs` and `/claims`: what the chain shows of a rig's account, and what a person may do with its stake.
//!
//! Everything that costs money goes through the outbox. It is tried on the chain's state first: what would revert is
//! refused before it costs anything.

use super::Admin;
use super::tx::{Refusal, from_here, outbox};
use crate::chain_view::{ChainView, explain_revert};
use axum::extract::{Query, State as Of};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use headframe_chain::types::Simulation;
use headframe_chain::{Head, Intent, Outbox, RpcError};
use headframe_market::{Action, Address, ClaimId, JobId, Wei};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Intents that are looked through for one of the same kind on its way.
const RECENT: u32 = 64;
/// Jobs or claims that are looked up for one request.
const MOST: usize = 200;

/// A rig's account as it stands when it is asked for.
pub struct Account {
    pub(crate) me: Address,
    pub(crate) chain: ChainView,
    pub(crate) head: Head,
    /// Jobs in hand.
    pub(crate) jobs: Vec<JobId>,
    /// Claims that were ever made.
    pub(crate) claims: Vec<ClaimId>,
    /// `node.bond`: missing stake is bonded again at every start.
    pub(crate) keep_bonded: u128,
}

/// Something a person wants done, and what it would cost.
#[derive(Serialize)]
struct Step {
    action: Action,
    key: String,
    /// `None` when the chain refuses it now.
    gas: Option<u64>,
    gas_price_wei: Wei,
    /// At that price. The outbox offers more where the price rises.
    cost_wei: Option<Wei>,
    /// Why it is not done.
    refused: Option<String>,
    /// The transaction; `None` for a dry run.
    intent: Option<Intent>,
}

/// How many of the newest. Each is a question to the chain.
#[derive(Deserialize)]
#[serde(default)]
struct Newest {
    limit: usize,
}

impl Default for Newest {
    fn default() -> Self {
        Self { limit: 20 }
    }
}

impl Newest {
    fn of<T: Ord>(&self, ids: impl Iterator<Item = T>) -> Vec<T> {
        let ids: BTreeSet<T> = ids.collect();
        ids.into_iter().rev().take(self.limit.min(MOST)).collect()
    }
}

#[derive(Deserialize)]
struct Id {
    id: u64,
}

#[derive(Deserialize)]
struct Wish {
    amount: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/jobs", get(jobs))
        .route("/jobs/show", get(job))
        .route("/claims", get(claims))
        .route("/claims/show", get(claim))
        .route("/stake", get(stake))
        .route("/stake/approve", post(approve))
        .route("/stake/bond", post(bond))
        .route("/stake/unbond", post(unbond))
        .route("/stake/withdraw", post(withdraw))
}

async fn jobs(Of(admin): Of<Admin>, Query(newest): Query<Newest>) -> Result<Json<Value>, Refusal> {
    let account = account(&admin)?;
    // Those of its claims are jobs, too, also when they are closed.
    let ids = account.jobs.iter().copied().chain(account.claims.iter().map(|id| id.job()));
    let mut found = Vec::new();
    for id in newest.of(ids) {
        found.push(account.chain.job(id).await?);
    }
    Ok(Json(json!({ "jobs": found })))
}

async fn job(Of(admin): Of<Admin>, Query(Id { id }): Query<Id>) -> Result<Json<Value>, Refusal> {
    let account = account(&admin)?;
    let view = account.chain.job(JobId(id)).await?;
    let mut claims = Vec::new();
    for id in Newest::default().of(account.claims.iter().copied().filter(|claim| claim.job() == view.id)) {
        claims.push(account.chain.claim(id).await?);
    }
    Ok(Json(json!({ "job": view, "claims": claims })))
}

async fn claims(Of(admin): Of<Admin>, Query(newest): Query<Newest>) -> Result<Json<Value>, Refusal> {
    let account = account(&admin)?;
    let mut found = Vec::new();
    for id in newest.of(account.claims.iter().copied()) {
        found.push(account.chain.claim(id).await?);
    }
    Ok(Json(json!({ "claims": found })))
}

async fn claim(Of(admin): Of<Admin>, Query(Id { id }): Query<Id>) -> Result<Json<Value>, Refusal> {
    let account = account(&admin)?;
    Ok(Json(json!({ "claim": account.chain.claim(ClaimId(id)).await?, "now": account.head.timestamp })))
}

async fn stake(Of(admin): Of<Admin>) -> Result<Json<Value>, Refusal> {
    let account = account(&admin)?;
    let stake = account.chain.stake(account.me).await?;
    Ok(Json(json!({
        "operator": account.me,
        "keep_bonded": account.keep_bonded.to_string(),
        "now": account.head.timestamp,
        "stake": stake,
    })))
}

async fn approve(Of(admin): Of<Admin>, from: HeaderMap, Query(wish): Query<Wish>) -> Result<Json<Value>, Refusal> {
    let amount = wish.amount()?;
    step(&admin, &from, wish.dry_run, |nth| Action::ApproveStake { amount, nth }).await
}

async fn bond(Of(admin): Of<Admin>, from: HeaderMap, Query(wish): Query<Wish>) -> Result<Json<Value>, Refusal> {
    let amount = wish.amount()?;
    step(&admin, &from, wish.dry_run, |nth| Action::Bond { amount, nth }).await
}

async fn unbond(Of(admin): Of<Admin>, from: HeaderMap, Query(wish): Query<Wish>) -> Result<Json<Value>, Refusal> {
    let amount = wish.amount()?;
    step(&admin, &from, wish.dry_run, |nth| Action::Unbond { amount, nth }).await
}

async fn withdraw(Of(admin): Of<Admin>, from: HeaderMap, Query(wish): Query<Wish>) -> Result<Json<Value>, Refusal> {
    step(&admin, &from, wish.dry_run, |nth| Action::WithdrawStake { nth }).await
}

impl Wish {
    fn amount(&self) -> Result<u128, Refusal> {
        let text = self.amount.as_deref().unwrap_or_default();
        let amount = text.replace('_', "").parse().ok().filter(|amount| *amount > 0);
        amount.ok_or_else(|| {
            Refusal::Wrong(format!("{text:?} is not an amount: a whole number of the token's smallest unit"))
        })
    }
}

/// Does what `action` makes of the block's number, which tells one wish from the next, or says what it would cost.
async fn step(
    admin: &Admin,
    from: &HeaderMap,
    dry_run: bool,
    action: impl FnOnce(u64) -> Action,
) -> Result<Json<Value>, Refusal> {
    from_here(from)?;
    let (account, outbox) = (account(admin)?, outbox(admin)?);
    // One after the other, so that of two wishes the second sees the first on its way.
    let _turn = admin.turn.lock().await;
    let action = action(account.head.number.0);
    let (gas, reverts) = rehearse(&account, &action).await?;
    let gas_price_wei = crate::pricing::gas_price(account.chain.rpc(), account.head.base_fee).await?;
    let cost_wei = gas.and_then(|gas| gas_price_wei.0.checked_mul(u128::from(gas))).map(Wei);
    let refused = match against(&account, &outbox, &action).await? {
        Some(why) => Some(why),
        None => reverts.map(|why| format!("the chain would refuse it: {why}")),
    };
    let intent = match (&refused, dry_run) {
        (_, true) => None,
        (Some(why), false) => return Err(Refusal::Not(why.clone())),
        (None, false) => Some(outbox.submit(action.clone()).await?),
    };
    let key = action.key();
    Ok(Json(json!(Step { action, key, gas, gas_price_wei, cost_wei, refused, intent })))
}

/// The gas it takes, or why it would revert.
async fn rehearse(account: &Account, action: &Action) -> Result<(Option<u64>, Option<String>), Refusal> {
    let call = action.call(&account.chain.at);
    let call = Simulation { from: account.me, to: call.to, value: call.value, input: call.input, gas: None };
    match account.chain.rpc().estimate_gas(&call).await {
        Ok(gas) => Ok((Some(gas), None)),
        Err(RpcError::Reverted(revert)) => {
            Ok((None, Some(explain_revert(&revert.data).unwrap_or_else(|| revert.reason()))))
        }
        Err(error) => Err(error.into()),
    }
}

/// Why a person does not want this, whatever the chain says.
async fn against(account: &Account, outbox: &Outbox, action: &Action) -> Result<Option<String>, Refusal> {
    let recent = outbox.list(RECENT).await?;
    if let Some(other) = recent.into_iter().find(|it| it.kind == action.kind() && !it.state.is_done()) {
        return Ok(Some(format!("{} is on its way: headframe tx show {0}", other.key)));
    }
    match action {
        Action::Unbond { amount, .. } => {
            let (bonded, keep) = (account.chain.operator(account.me).await?.bonded, account.keep_bonded);
            let rest = bonded.saturating_sub(*amount);
            Ok((rest < keep).then(|| {
                format!("{rest} would stay bonded, and node.bond bonds what is missing of {keep} at the next start: lower it first")
            }))
        }
        _ => Ok(None),
    }
}

fn account(admin: &Admin) -> Result<Account, Refusal> {
    admin.report.account().ok_or(Refusal::NoRig)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_come_first_once_and_bounded() {
        let newest = |limit: usize| Newest { limit }.of([3, 1, 2, 3].into_iter());
        assert_eq!((newest(2), newest(9)), (vec![3, 2], vec![3, 2, 1]));
        assert_eq!(Newest { limit: usize::MAX }.of(0..1000).len(), MOST);
    }

    #[test]
    fn an_amount_is_a_whole_number_above_zero() {
        let amount = |text: &str| Wish { amount: Some(text.to_owned()), dry_run: true }.amount().ok();
        assert_eq!(amount("1_000"), Some(1000));
        for wrong in ["0", "", "-1", "1.5", "1e18", "340282366920938463463374607431768211456"] {
            assert_eq!(amount(wrong), None, "{wrong}");
        }
        assert!(Wish { amount: None, dry_run: false }.amount().is_err());
    }
}
