//! Those who order: they open jobs with the rig's bids, send a segment every few seconds, ask again for what got no answer, and
//! end the job when all is done. Their money side is the market's own machine.

use crate::chain::START;
use crate::scenario::{JobPlan, TOKEN};
use crate::world::{Ask, Inner, Reply, World};
use alloy::primitives::{B256, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use headframe_market::machine::client::{self, EscrowRules, Local, Step};
use headframe_market::machine::{JobState, JobView, Now};
use headframe_market::rules::Call;
use headframe_market::{Action, Bid, BlockNo, JobId, JobOrder, Price, Segment, SegmentNo, Signature, Timestamp, Wei};
use std::collections::BTreeMap;
use std::time::Duration;

/// Wei for a unit.
const PRICE: u128 = 1_000_000_000;

/// One client's job.
pub(crate) struct Client {
    nth: usize,
    plan: JobPlan,
    key: PrivateKeySigner,
    profile: B256,
}

/// How far it has come, for the money side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) finished: bool,
    /// Bids asked for.
    pub(crate) bids: u64,
    /// Height of the last opening sent.
    pub(crate) opened_at: Option<u64>,
    pub(crate) top_ups: u32,
}

/// All of them, by their number.
pub(crate) type Progresses = BTreeMap<usize, Progress>;

impl Client {
    pub(crate) fn new(nth: usize, plan: JobPlan) -> Self {
        let secret = B256::repeat_byte(0x31 + u8::try_from(plan.client).unwrap_or(0));
        let key = PrivateKeySigner::from_bytes(&secret).unwrap_or_else(|_| PrivateKeySigner::random());
        Self { nth, plan, key, profile: Self::profile(nth) }
    }

    /// Each job has a profile of its own, by which it is found on whatever branch.
    pub(crate) fn profile(nth: usize) -> B256 {
        keccak256(format!("profile {nth}"))
    }

    fn deadline(&self) -> Timestamp {
        let length = self.plan.segments * self.plan.every_ms / 1000;
        Timestamp(START + self.plan.at + length * 2 + 1200)
    }

    fn job(&self, inner: &Inner) -> Option<JobView> {
        let view = inner.chain.view(inner.chain.head())?;
        view.jobs.into_iter().find(|job| job.profile == self.profile)
    }

    /// What is due on chain before the next block.
    pub(crate) fn act(&self, inner: &mut Inner, progress: &Progress) -> Option<Call> {
        let me = self.key.address();
        let view = inner.chain.view(inner.chain.head())?;
        let market = &inner.chain.tip().state.market;
        let (id, job) = market.jobs.iter().find(|(_, job)| job.profile == self.profile)?;
        let job = match view.jobs.iter().find(|job| job.id == *id) {
            Some(job) => job.clone(),
            // Open, and nobody has it.
            None if job.state == JobState::Open => {
                return Some(Call::CancelJob { job: *id });
            }
            None => return None,
        };
        let now = Now {
            head: BlockNo(inner.chain.head()),
            time: Timestamp(inner.chain.tip().time),
            market: view.market_time,
        };
        let local = Local { unclaimed: Wei(0), top_ups: progress.top_ups, finished: progress.finished };
        let rules = EscrowRules { deposit: Wei(TOKEN / 100), low_water: Wei(TOKEN / 1000) };
        debug_assert_eq!(job.client, me);
        match client::next(&job, &local, &rules, &now) {
            Step::Send(Action::CancelJob { job }) => Some(Call::CancelJob { job }),
            Step::Send(Action::DefaultJob { job, .. }) => Some(Call::DefaultJob { job }),
            Step::Send(Action::CloseJob { job }) => Some(Call::CloseJob { job }),
            Step::Send(Action::TopUp { job, amount, .. }) => Some(Call::TopUp { job, value: amount.0 }),
            Step::Send(Action::Reclaim { job }) => Some(Call::Reclaim { job }),
            _ => None,
        }
    }

    pub(crate) fn address(&self) -> alloy::primitives::Address {
        self.key.address()
    }

    /// Whether its job is over on the present branch.
    pub(crate) fn is_over(&self, inner: &Inner) -> bool {
        let market = &inner.chain.tip().state.market;
        market.jobs.values().any(|job| job.profile == self.profile && job.state == JobState::Closed)
    }

    /// Orders, sends and ends. Ends itself when nothing is left to send.
    pub(crate) async fn run(&self, world: &World) {
        tokio::time::sleep(Duration::from_secs(self.plan.at)).await;
        let mut now: Option<JobId> = None;
        let mut next = 0u64;
        let mut patience = 400u32;
        while next < self.plan.segments && patience > 0 {
            let job = self.job(&world.lock());
            match job {
                Some(job) if job.state == JobState::Active => {
                    if now != Some(job.id) {
                        // Another branch has it under another number: all begins again there.
                        (now, next) = (Some(job.id), job.next_seq.0);
                    }
                    if self.send(world, job.id, next).await {
                        next += 1;
                        self.again(world, job.id, next).await;
                        tokio::time::sleep(Duration::from_millis(self.plan.every_ms)).await;
                        continue;
                    }
                }
                Some(job) if matches!(job.state, JobState::Closed | JobState::Draining) => break,
                Some(_) => {}
                None => self.order(world).await,
            }
            patience -= 1;
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        world.lock().progress.entry(self.nth).or_default().finished = true;
    }

    /// Has the rig bid and opens the job.
    async fn order(&self, world: &World) {
        let (bids, waits) = {
            let inner = world.lock();
            let progress = inner.progress.get(&self.nth).cloned().unwrap_or_default();
            // What was sent may yet come; after a while it is sent anew.
            let waits = progress.opened_at.is_some_and(|at| inner.chain.head() < at + 8);
            (progress.bids, waits)
        };
        if waits {
            return;
        }
        let (samples, domain) = {
            let inner = world.lock();
            (inner.scenario.samples, inner.domain)
        };
        let order = JobOrder {
            client: self.key.address(),
            profile: self.profile,
            max_price: price(),
            deadline: self.deadline(),
            samples,
            seed_tip: B256::ZERO,
            salt: (self.nth as u64) << 32 | bids,
        };
        let bid = Bid {
            order: order.hash(&domain),
            operator: crate::signer::Signer::me(),
            price: price(),
            expiry: Timestamp(START + 1_000_000),
            nonce: U256::from((self.nth as u64) << 32 | bids),
        };
        let Some(Reply::Offer(signature)) = ask(world, Ask::Offer(Box::new(bid.clone())), 20).await else { return };
        let mut inner = world.lock();
        let head = inner.chain.head();
        let progress = inner.progress.entry(self.nth).or_default();
        (progress.bids, progress.opened_at) = (bids + 1, Some(head));
        let signature = signature.as_bytes().to_vec().into();
        let call = Call::OpenWithBid { order, bid, signature, value: TOKEN / 100 };
        inner.chain.others.push((self.key.address(), call));
    }

    /// Whether that segment needs no more sending.
    async fn send(&self, world: &World, job: JobId, seq: u64) -> bool {
        let ask_for = self.segment(world, job, seq, false);
        match ask(world, ask_for, 40).await {
            Some(Reply::Done | Reply::No) => true,
            Some(Reply::Later | Reply::Offer(_)) | None => {
                world.lock().trace.count("segments sent again");
                false
            }
        }
    }

    /// Asks once more for something old, as if the answer had been lost; who is rude asks for something else.
    async fn again(&self, world: &World, job: JobId, next: u64) {
        let (repeat, old) = {
            let mut inner = world.lock();
            let repeats = inner.scenario.repeats;
            (inner.dice.permille(repeats), inner.dice.below(next.max(1)))
        };
        if repeat {
            world.lock().trace.count(if self.plan.rude {
                "other sources for old numbers"
            } else {
                "old segments again"
            });
            let ask_for = self.segment(world, job, old, self.plan.rude);
            ask(world, ask_for, 40).await;
        }
    }

    fn segment(&self, world: &World, job: JobId, seq: u64, other: bool) -> Ask {
        let source = keccak256(format!("source {} {seq} {other}", self.nth));
        let order = Segment { job, seq: SegmentNo(seq), src_root: source, src_bytes: 1000, duration_ms: 2000 };
        let domain = world.lock().domain;
        let signature = self.key.sign_hash_sync(&order.signing_hash(&domain));
        let signature = signature.unwrap_or_else(|_| Signature::new(U256::ZERO, U256::ZERO, false));
        Ask::Segment { order, signature, client: self.key.address() }
    }
}

fn price() -> Price {
    Price::new(PRICE).unwrap_or(Price::MAX)
}

/// The rig's reply within so many seconds.
async fn ask(world: &World, what: Ask, seconds: u64) -> Option<Reply> {
    let (number, answered) = {
        let mut inner = world.lock();
        (inner.ask(what)?, inner.answered.clone())
    };
    let wait = async {
        loop {
            let news = answered.notified();
            if let Some(reply) = world.lock().replies.remove(&number) {
                return reply;
            }
            news.await;
        }
    };
    tokio::time::timeout(Duration::from_secs(seconds), wait).await.ok()
}
