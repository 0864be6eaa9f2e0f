//! `/jobs` and `/claims`: what the chain shows of a rig's work, and what a person may do before it is due.
//!
//! A claim is made by the automation alone, by its own rule: a person's wish only makes it due.

use super::Admin;
use super::account::{Account, Step, account};
use super::tx::{Refusal, from_here, outbox};
use axum::extract::{Query, State as Of};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use headframe_chain::{Intent, Outbox};
use headframe_market::machine::operator::{self, Local, Wish};
use headframe_market::machine::{ClaimState, ClaimView, JobState, JobView, Now, claim as one_claim};
use headframe_market::{Action, ClaimId, JobId, Timestamp, Units};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Jobs or claims that are looked up for one request.
const MOST: usize = 200;
/// How long an answer waits for the automation to have a transaction queued. A command waits 10 s for its answer.
const TAKEN_UP: Duration = Duration::from_secs(5);

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

/// What a person wants of a job or a claim.
#[derive(Deserialize)]
struct Ask {
    id: u64,
    /// Of a release: at once, and what is not claimed is lost.
    #[serde(default)]
    abandon: bool,
    #[serde(default)]
    dry_run: bool,
}

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/jobs", get(jobs))
        .route("/jobs/show", get(job))
        .route("/jobs/release", post(release))
        .route("/claims", get(claims))
        .route("/claims/show", get(claim))
        .route("/claims/make", post(make))
        .route("/claims/settle", post(settle))
}

async fn jobs(Of(admin): Of<Admin>, Query(newest): Query<Newest>) -> Result<Json<Value>, Refusal> {
    let account = account(&admin)?;
    let in_hand = account.jobs.summary().into_iter().map(|(view, ..)| view.id);
    // Those of its claims are jobs, too, also when they are closed.
    let ids = in_hand.chain(account.claims.iter().map(|id| id.job()));
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
    let work = account.jobs.work(view.id, account.head.number);
    let here =
        work.map(|work| json!({ "unclaimed_receipts": work.leaves.len(), "idle": work.idle, "wish": work.wish }));
    Ok(Json(json!({ "job": view, "here": here, "claims": claims })))
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

async fn settle(Of(admin): Of<Admin>, from: HeaderMap, Query(ask): Query<Ask>) -> Result<Json<Value>, Refusal> {
    from_here(&from)?;
    let (account, outbox) = (account(&admin)?, outbox(&admin)?);
    let _turn = admin.turn.lock().await;
    let view = account.chain.claim(ClaimId(ask.id)).await?;
    let mut step = Step::plan(&account, &outbox, Action::Settle { claim: ClaimId(ask.id) }).await?;
    let now = Now { head: account.head.number, time: Timestamp(account.head.timestamp), market: Timestamp(0) };
    step.refused = not_settled(&view, &now).or(step.refused);
    if view.operator != account.me {
        step.note = Some(format!("its fee goes to {}, and not to this rig", view.operator));
    }
    Ok(Json(json!(if ask.dry_run { step } else { step.submit(&outbox).await? })))
}

async fn make(Of(admin): Of<Admin>, from: HeaderMap, Query(ask): Query<Ask>) -> Result<Json<Value>, Refusal> {
    from_here(&from)?;
    let (account, outbox) = (account(&admin)?, outbox(&admin)?);
    let _turn = admin.turn.lock().await;
    let job = ours(&account, ask.id).await?;
    let due = Unclaimed::of(&account, &job).await?.claim.map_err(Refusal::Not)?;
    let step = Step::plan(&account, &outbox, due).await?;
    if ask.dry_run {
        return Ok(Json(json!(step)));
    }
    let mut step = step.allowed()?;
    want(&account, &job, Wish::Claim)?;
    step.intent = taken_up(&outbox, &[step.key.as_str()]).await?;
    if step.intent.is_none() {
        step.note = Some("it is made with the automation's next look at the chain: headframe tx list".into());
    }
    Ok(Json(json!(step)))
}

async fn release(Of(admin): Of<Admin>, from: HeaderMap, Query(ask): Query<Ask>) -> Result<Json<Value>, Refusal> {
    from_here(&from)?;
    let (account, outbox) = (account(&admin)?, outbox(&admin)?);
    let _turn = admin.turn.lock().await;
    let job = ours(&account, ask.id).await?;
    let mut step = Step::plan(&account, &outbox, Action::ReleaseJob { job: job.id }).await?;
    let left = Unclaimed::of(&account, &job).await?;
    match left.claim {
        _ if left.units == Units(0) => {}
        _ if ask.abandon => {
            let Unclaimed { receipts, units, .. } = left;
            step.note = Some(format!("{receipts} receipts over {units} units are not claimed, and never will be"));
        }
        Ok(due) => {
            step.note = Some("no more segments are taken; what is left is claimed first".into());
            if outbox.status(&due.key()).await?.is_none_or(|it| it.state.is_done()) {
                let due = Step::plan(&account, &outbox, due).await?;
                step.refused = step.refused.or(due.refused.as_deref().map(left_behind));
                step.first = Some(Box::new(due));
            }
        }
        Err(why) => step.refused = step.refused.or(Some(left_behind(&why))),
    }
    if ask.dry_run {
        return Ok(Json(json!(step)));
    }
    let mut step = step.allowed()?;
    want(&account, &job, Wish::Leave)?;
    if ask.abandon {
        return Ok(Json(json!(step.submit(&outbox).await?)));
    }
    let claim = step.first.as_ref().map(|first| first.key.clone());
    let keys: Vec<&str> = claim.iter().map(String::as_str).chain([step.key.as_str()]).collect();
    step.intent = taken_up(&outbox, &keys).await?;
    Ok(Json(json!(step)))
}

fn left_behind(why: &str) -> String {
    format!("what is left of it cannot be claimed now: {why}; wait, or lose it with --abandon")
}

/// A job that is this rig's and not released.
async fn ours(account: &Account, id: u64) -> Result<JobView, Refusal> {
    let job = account.chain.job(JobId(id)).await?;
    let why = match job.state {
        JobState::None => Some(format!("there is no job {id}")),
        _ if job.operator != account.me => Some(format!("job {id} is not this rig's")),
        _ if job.released => Some(format!("job {id} is released already")),
        JobState::Active | JobState::Draining => None,
        JobState::Closed => Some(format!("job {id} is closed: nothing is left to claim or to release")),
        JobState::Open | JobState::Assigned => Some(format!("job {id} is not begun yet")),
    };
    match why {
        Some(why) => Err(Refusal::Not(why)),
        None => {
            account.jobs.update(account.me, &job);
            Ok(job)
        }
    }
}

/// What is not claimed of a job.
struct Unclaimed {
    receipts: usize,
    units: Units,
    /// What the automation would claim if it were due now, or why nothing.
    claim: Result<Action, String>,
}

impl Unclaimed {
    async fn of(account: &Account, job: &JobView) -> Result<Self, Refusal> {
        let head = &account.head;
        let now = account.chain.now(head.number, Timestamp(head.timestamp)).await?;
        let work = account.jobs.work(job.id, head.number);
        let leaves = work.as_ref().map_or(&[][..], |work| &work.leaves);
        // What the automation will claim, when it has made a sample of it again (rule G5).
        let local = Local { unclaimed: leaves, wish: Wish::Claim, checked: u32::MAX, ..Local::default() };
        let (receipts, units) = (leaves.len(), leaves.iter().fold(0u64, |sum, leaf| sum.saturating_add(leaf.units.0)));
        let claim = match operator::next(account.me, job, &local, &account.batches, &now) {
            _ if work.as_ref().is_some_and(|work| work.doubted) => {
                Err(format!("a sample of the work of job {} was wrong: none of it is claimed", job.id))
            }
            operator::Step::Send(action @ Action::Claim { .. }) => Ok(action),
            _ if units == 0 => Err(format!("nothing of job {} waits to be claimed", job.id)),
            _ if job.state == JobState::Draining && now.market > job.drain_until => {
                Err(format!("job {} could be claimed until second {}", job.id, job.drain_until))
            }
            _ => Err(format!("the escrow of job {}, {}, does not pay for a segment more", job.id, job.escrow)),
        };
        Ok(Self { receipts, units: Units(units), claim })
    }
}

/// Has the automation do it, at once.
fn want(account: &Account, job: &JobView, wish: Wish) -> Result<(), Refusal> {
    if !account.jobs.ask(job.id, wish) {
        return Err(Refusal::Not(format!("job {} has just ended", job.id)));
    }
    tracing::info!(job = %job.id, ?wish, "a person wants it");
    account.wake.notify_one();
    Ok(())
}

/// The first of the effects under `keys` that is on its way, when it is soon.
async fn taken_up(outbox: &Outbox, keys: &[&str]) -> Result<Option<Intent>, Refusal> {
    let until = tokio::time::Instant::now() + TAKEN_UP;
    loop {
        for key in keys {
            if let Some(found) = outbox.status(key).await? {
                return Ok(Some(found));
            }
        }
        if tokio::time::Instant::now() >= until {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Why a claim cannot be settled yet, by the rule of the automation.
fn not_settled(claim: &ClaimView, now: &Now) -> Option<String> {
    if matches!(one_claim::next(claim, now), one_claim::Step::Send(Action::Settle { .. })) {
        return None;
    }
    let id = claim.id;
    Some(match claim.state {
        ClaimState::None => format!("there is no claim {id}"),
        ClaimState::Settled => format!("claim {id} is settled"),
        ClaimState::Missed | ClaimState::Slashed => format!("claim {id} is lost"),
        ClaimState::Submitted | ClaimState::Sealed | ClaimState::Answered => {
            format!("claim {id} is not proven yet: headframe claims show {id}")
        }
        ClaimState::Revealed if claim.holds > 0 => format!("claim {id} is held by {} disputes or demands", claim.holds),
        ClaimState::Revealed => {
            let left = claim.contest_until.0.saturating_sub(now.time.0) + 1;
            format!("claim {id} can be contested for {left} s more")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use headframe_market::{Address, B256, BlockNo, SegmentNo, Wei};

    #[test]
    fn a_claim_is_settled_when_nobody_can_contest_it_and_else_it_is_said_why_not() {
        let revealed = ClaimView {
            id: ClaimId(9),
            job: JobId(1),
            client: Address::ZERO,
            operator: Address::ZERO,
            first: SegmentNo(0),
            count: 1,
            units: Units(1),
            state: ClaimState::Revealed,
            root: B256::ZERO,
            drawn: 1,
            seed: B256::ZERO,
            seed_block: BlockNo(0),
            answer_until: Timestamp(10),
            attest_until: Timestamp(20),
            reveal_until: Timestamp(30),
            contest_until: Timestamp(40),
            holds: 0,
            fee: Wei(1),
        };
        let at = |claim: &ClaimView, second| {
            not_settled(claim, &Now { head: BlockNo(5), time: Timestamp(second), market: Timestamp(0) })
        };
        assert_eq!(at(&revealed, 41), None);
        assert_eq!(at(&revealed, 40).unwrap_or_default(), "claim 9 can be contested for 1 s more");
        let held = ClaimView { holds: 2, ..revealed.clone() };
        assert_eq!(at(&held, 41).unwrap_or_default(), "claim 9 is held by 2 disputes or demands");
        for (state, why) in [
            (ClaimState::None, "there is no claim 9"),
            (ClaimState::Answered, "not proven yet"),
            (ClaimState::Settled, "is settled"),
            (ClaimState::Slashed, "is lost"),
        ] {
            let told = at(&ClaimView { state, ..revealed.clone() }, 41).unwrap_or_default();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn the_newest_come_first_once_and_bounded() {
        let newest = |limit: usize| Newest { limit }.of([3, 1, 2, 3].into_iter());
        assert_eq!((newest(2), newest(9)), (vec![3, 2], vec![3, 2, 1]));
        assert_eq!(Newest { limit: usize::MAX }.of(0..1000).len(), MOST);
    }
}
