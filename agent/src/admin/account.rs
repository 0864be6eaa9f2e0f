//! `/stake`: what the chain shows of a rig's stake, and what a person may do with it.
//!
//! Everything that costs money goes through the outbox. It is tried on the chain's state first: what would revert is
//! refused before it costs anything.

use super::Admin;
use super::tx::{Refusal, from_here, outbox};
use crate::chain_view::ChainView;
use crate::node::jobs::Jobs;
use axum::extract::{Query, State as Of};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use headframe_chain::{Head, Intent, Outbox, State};
use headframe_market::machine::operator::ClaimRules;
use headframe_market::{Action, Address, ClaimId, Wei};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

/// Intents that are looked through for one of the same kind on its way.
pub(super) const RECENT: u32 = 64;

/// A rig's account as it stands when it is asked for.
pub struct Account {
    pub(crate) me: Address,
    pub(crate) chain: ChainView,
    pub(crate) head: Head,
    /// Jobs in hand, and what a person wants of them.
    pub(crate) jobs: Arc<Jobs>,
    /// Has the automation look at them at once.
    pub(crate) wake: Arc<Notify>,
    /// `node.claims`.
    pub(crate) batches: ClaimRules,
    /// Claims that were ever made.
    pub(crate) claims: Vec<ClaimId>,
    /// `node.bond`: missing stake is bonded again at every start.
    pub(crate) keep_bonded: u128,
    /// `node.withdraw_above`.
    pub(crate) withdraw_above: Wei,
}

/// Something a person wants done, and what it would cost.
#[derive(Serialize)]
pub(super) struct Step {
    action: Action,
    pub(super) key: String,
    /// `None` when the chain refuses it now.
    gas: Option<u64>,
    gas_price_wei: Wei,
    /// At that price. The outbox offers more where the price rises.
    cost_wei: Option<Wei>,
    /// Why it is not done.
    pub(super) refused: Option<String>,
    /// What a person may not expect of it.
    pub(super) note: Option<String>,
    /// What happens before it, by itself.
    pub(super) first: Option<Box<Step>>,
    /// The transaction; `None` for a dry run, and for what the automation has yet to make.
    pub(super) intent: Option<Intent>,
}

#[derive(Deserialize)]
struct Wish {
    amount: Option<String>,
    owner: Option<Address>,
    #[serde(default)]
    dry_run: bool,
}

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/stake", get(stake))
        .route("/stake/approve", post(approve))
        .route("/stake/bond", post(bond))
        .route("/stake/unbond", post(unbond))
        .route("/stake/withdraw", post(withdraw))
        .route("/stake/owner", post(owner))
        .route("/stake/activate", post(activate))
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

async fn owner(Of(admin): Of<Admin>, from: HeaderMap, Query(wish): Query<Wish>) -> Result<Json<Value>, Refusal> {
    let operator = account(&admin)?.me;
    let owner = wish.owner.ok_or_else(|| Refusal::Wrong("owner: whose stake and fees shall be".into()))?;
    step(&admin, &from, wish.dry_run, |nth| Action::ProposeOwner { operator, owner, nth }).await
}

async fn activate(Of(admin): Of<Admin>, from: HeaderMap, Query(wish): Query<Wish>) -> Result<Json<Value>, Refusal> {
    let operator = account(&admin)?.me;
    step(&admin, &from, wish.dry_run, |nth| Action::Activate { operator, nth }).await
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
    let planned = Step::plan(&account, &outbox, action(account.head.number.0)).await?;
    Ok(Json(json!(if dry_run { planned } else { planned.submit(&outbox).await? })))
}

impl Step {
    /// What `action` would cost, and why it is not to be.
    pub(super) async fn plan(account: &Account, outbox: &Outbox, action: Action) -> Result<Self, Refusal> {
        let (gas, reverts) = match account.chain.rehearse(account.me, &action).await? {
            Ok(gas) => (Some(gas), None),
            Err(why) => (None, Some(why)),
        };
        let gas_price_wei = crate::pricing::gas_price(account.chain.rpc(), account.head.base_fee).await?;
        let cost_wei = gas.and_then(|gas| gas_price_wei.0.checked_mul(u128::from(gas))).map(Wei);
        let refused = match against(account, outbox, &action).await? {
            Some(why) => Some(why),
            None => reverts.map(|why| format!("the chain would refuse it: {why}")),
        };
        let key = action.key();
        Ok(Self { action, key, gas, gas_price_wei, cost_wei, refused, note: None, first: None, intent: None })
    }

    /// An error where it was refused.
    pub(super) fn allowed(self) -> Result<Self, Refusal> {
        match self.refused {
            Some(why) => Err(Refusal::Not(why)),
            None => Ok(self),
        }
    }

    /// Hands it to the outbox, unless it was refused.
    pub(super) async fn submit(self, outbox: &Outbox) -> Result<Self, Refusal> {
        let step = self.allowed()?;
        let intent = outbox.submit(step.action.clone()).await?;
        if intent.state == State::Failed {
            // Asked for before, and not long ago enough to be tried again.
            let why = intent.error.unwrap_or_default();
            return Err(Refusal::Not(format!(
                "{} failed a moment ago: {why}; ask again some blocks later",
                intent.key
            )));
        }
        Ok(Self { intent: Some(intent), ..step })
    }
}

/// Why a person does not want this, whatever the chain says.
async fn against(account: &Account, outbox: &Outbox, action: &Action) -> Result<Option<String>, Refusal> {
    let other = match action {
        // Of these each has its own effect.
        Action::ReleaseJob { .. }
        | Action::Claim { .. }
        | Action::Settle { .. }
        | Action::RouteFees { .. }
        | Action::WithdrawFees { .. } => outbox.status(&action.key()).await?,
        _ => outbox.list(RECENT).await?.into_iter().find(|it| it.kind == action.kind() && !it.state.is_done()),
    };
    if let Some(other) = other.filter(|it| !it.state.is_done()) {
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

pub(super) fn account(admin: &Admin) -> Result<Account, Refusal> {
    admin.report.account().ok_or(Refusal::NoRig)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_whole_number_above_zero() {
        let amount = |text: &str| Wish { amount: Some(text.to_owned()), owner: None, dry_run: true }.amount().ok();
        assert_eq!(amount("1_000"), Some(1000));
        for wrong in ["0", "", "-1", "1.5", "1e18", "340282366920938463463374607431768211456"] {
            assert_eq!(amount(wrong), None, "{wrong}");
        }
        assert!(Wish { amount: None, owner: None, dry_run: false }.amount().is_err());
    }
}
