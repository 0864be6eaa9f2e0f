//! `/fees`: what a rig has earned and where it is, and taking it out before the automation does.

use super::Admin;
use super::account::{Account, RECENT, Step, account};
use super::tx::{Refusal, from_here, outbox};
use axum::extract::{Query, State as Of};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use headframe_chain::Intent;
use headframe_market::{Action, Wei};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Ask {
    #[serde(default)]
    dry_run: bool,
}

pub(super) fn router() -> Router<Admin> {
    Router::new().route("/fees", get(show)).route("/fees/route", post(route)).route("/fees/withdraw", post(withdraw))
}

async fn show(Of(admin): Of<Admin>) -> Result<Json<Value>, Refusal> {
    let account = account(&admin)?;
    let owner = account.chain.operator(account.me).await?.owner;
    Ok(Json(json!({
        "operator": account.me,
        "owner": owner,
        "earned_wei": account.chain.earned(account.me).await?,
        "owed_wei": account.chain.fees(owner).await?,
        "withdraw_above_wei": account.withdraw_above,
    })))
}

async fn route(Of(admin): Of<Admin>, from: HeaderMap, Query(ask): Query<Ask>) -> Result<Json<Value>, Refusal> {
    from_here(&from)?;
    let account = account(&admin)?;
    let held = account.chain.earned(account.me).await?;
    let action = Action::RouteFees { operator: account.me, nth: account.head.number.0 };
    take(&admin, &account, held, action, ask.dry_run).await
}

async fn withdraw(Of(admin): Of<Admin>, from: HeaderMap, Query(ask): Query<Ask>) -> Result<Json<Value>, Refusal> {
    from_here(&from)?;
    let account = account(&admin)?;
    let owner = account.chain.operator(account.me).await?.owner;
    let held = account.chain.fees(owner).await?;
    let action = Action::WithdrawFees { nth: account.head.number.0, account: Some(owner) };
    take(&admin, &account, held, action, ask.dry_run).await
}

/// Moves the fees that are `held`. The automation moves them, too: what it has on its way, or has just done, is what was
/// asked for.
async fn take(
    admin: &Admin,
    account: &Account,
    held: Wei,
    action: Action,
    dry_run: bool,
) -> Result<Json<Value>, Refusal> {
    let outbox = outbox(admin)?;
    let _turn = admin.turn.lock().await;
    let kind = action.kind();
    let mut step = Step::plan(account, &outbox, action).await?;
    let recent = outbox.list(RECENT).await?;
    let serves = |it: &Intent| it.kind == kind && !it.state.is_done() && (!it.state.is_mined() || held == Wei(0));
    if let Some(other) = recent.into_iter().find(serves) {
        step.note = Some("the rig does it by itself just now".into());
        (step.key, step.refused) = (other.key.clone(), None);
        step.intent = Some(other).filter(|_| !dry_run);
        return Ok(Json(json!(step)));
    }
    if held == Wei(0) {
        step.refused = Some("nothing is there to be taken".into());
    }
    Ok(Json(json!(if dry_run { step } else { step.submit(&outbox).await? })))
}
