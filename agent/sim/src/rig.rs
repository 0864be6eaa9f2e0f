//! The rig: the real watcher, outbox, guard and machines, and between them a shell that does what `agent/src/node` does, step
//! for step, with its files in memory and its worker made of chance.

use crate::chain::{CHAIN_ID, View};
use crate::checker::digest;
use crate::provider::Way;
use crate::scenario::{Broken, CAPS};
use crate::signer::{MAX_COST, Refused, Signer};
use crate::world::{Ask, Reply, World};
use crate::{abi, chain};
use alloy::primitives::{Address, B256, Bytes, U256};
use headframe_chain::outbox::{Blocking, FeePolicy, Settings};
use headframe_chain::provider::views::Agreed;
use headframe_chain::provider::{Settings as RpcSettings, Transport};
use headframe_chain::{Deadline, Head, Outbox, Pin, Rpc, Watcher, watcher};
use headframe_guard::protocol::{Hello, ReceiptRequest, SeenClaim, Sight};
use headframe_market::action::{Opening, Secret};
use headframe_market::machine::claim::{self, Evidence};
use headframe_market::machine::operator::{self, ClaimRules, Local};
use headframe_market::machine::{ClaimState, ClaimView, JobState, JobView, Now};
use headframe_market::pricing::GasPrice;
use headframe_market::{
    Action, Addresses, BlockNo, ClaimId, JobId, Receipt, Segment, SegmentNo, Signature, Timestamp, Units, Wei,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Blocks that are searched again.
const OVERLAP: u64 = 64;
/// Without a new block the chain is looked at this often.
const LOOK_ANYWAY: Duration = Duration::from_secs(15);
/// Work of one segment.
const UNITS: u64 = 5_000;

/// The way to the chain was lost or a rule stands against going on.
enum Trouble {
    Chain,
    Unsafe(String),
}

impl From<headframe_chain::RpcError> for Trouble {
    fn from(error: headframe_chain::RpcError) -> Self {
        match error.class() {
            headframe_chain::Class::Unsafe => Self::Unsafe(error.to_string()),
            _ => Self::Chain,
        }
    }
}

struct Rig {
    world: World,
    rpc: Rpc,
    at: Addresses,
    me: Address,
    signer: Arc<Signer>,
    outbox: Outbox,
    broken: Option<Broken>,
    jobs: Mutex<BTreeMap<JobId, Entry>>,
    wake: tokio::sync::Notify,
    base_fee: Mutex<GasPrice>,
}

/// As `agent/src/node/jobs.rs` keeps it.
struct Entry {
    view: JobView,
    unclaimed: VecDeque<Evidence>,
    waiting_since: Option<BlockNo>,
    in_hand: u32,
    remembered: VecDeque<Receipt>,
}

impl Entry {
    fn expected(&self) -> SegmentNo {
        self.unclaimed.back().map_or(self.view.next_seq, |kept| kept.leaf.seq.next())
    }
}

/// Runs the rig on the files in `folder` until it is dropped or must not go on: then why.
pub(crate) async fn run(world: World, folder: &Path) -> String {
    match live(&world, folder).await {
        Trouble::Unsafe(why) => why,
        Trouble::Chain => "the chain cannot be read".into(),
    }
}

async fn live(world: &World, folder: &Path) -> Trouble {
    let (at, pin, providers, broken, poll) = {
        let inner = world.lock();
        let genesis = inner.chain.block(0).map_or(B256::ZERO, |block| block.hash);
        (
            inner.chain.at,
            Pin { chain_id: CHAIN_ID, genesis },
            inner.providers.len(),
            inner.scenario.broken,
            inner.scenario.poll_ms,
        )
    };
    let way = |at| (format!("provider {at}"), Box::new(Way { world: world.clone(), at }) as Box<dyn Transport>);
    let rpc = Rpc::over((0..providers).map(way).collect(), pin, RpcSettings::default());
    let me = Signer::me();
    // A rig that cannot read the chain at its start is started again by its supervisor.
    let first = loop {
        match look(&rpc, &at).await {
            Ok(mut said) => break said.value.swap_remove(0),
            Err(Trouble::Unsafe(why)) => return Trouble::Unsafe(why),
            Err(Trouble::Chain) => tokio::time::sleep(Duration::from_secs(2)).await,
        }
    };
    let taken = first.jobs.iter().filter(|job| job.state != JobState::Assigned).map(|job| (job.id, job.next_seq));
    let hello = Hello { chain_id: CHAIN_ID, genesis: pin.genesis, addresses: at, claims_on_chain: taken.collect() };
    let signer = match Signer::open(world, folder, hello).and_then(|signer| signer.hello().map(|()| signer)) {
        Ok(signer) => Arc::new(signer),
        Err(Refused::Unsafe(why) | Refused::ByRule(why)) => return Trouble::Unsafe(why),
        Err(Refused::Gone) => return std::future::pending().await,
    };
    let settings = watcher::Settings { poll: Duration::from_millis(poll), ..watcher::Settings::default() };
    let (watch, heads) = Watcher::new(rpc.clone(), settings);
    let settings = outbox_settings(world, at, broken, poll);
    let opened = Outbox::open(&folder.join("outbox.db"), rpc.clone(), heads.clone(), signer.clone(), settings).await;
    let (outbox, worker) = match opened {
        Ok(opened) => opened,
        Err(error) => return Trouble::Unsafe(error.to_string()),
    };
    let rig = Rig {
        world: world.clone(),
        rpc,
        at,
        me,
        signer,
        outbox,
        broken,
        jobs: Mutex::default(),
        wake: tokio::sync::Notify::new(),
        base_fee: Mutex::default(),
    };
    let stop = CancellationToken::new();
    tokio::select! {
        biased;
        ended = Box::pin(watch.run(stop.clone())) => Trouble::Unsafe(format!("watcher: {ended:?}")),
        ended = Box::pin(worker.run(stop.clone())) => match ended {
            Err(error) => Trouble::Unsafe(error.to_string()),
            Ok(()) => Trouble::Unsafe("the outbox stopped".into()),
        },
        why = Box::pin(rig.show_signer(heads.clone())) => why,
        why = Box::pin(rig.automate(heads.clone())) => why,
        why = Box::pin(rig.take_orders()) => why,
    }
}

fn outbox_settings(world: &World, at: Addresses, broken: Option<Broken>, poll: u64) -> Settings {
    let (most, unhurried) = if broken == Some(Broken::Urgency) { (CAPS.1 / 20, CAPS.1 / 20) } else { CAPS };
    let fees = FeePolicy { max_fee: most, max_fee_unhurried: unhurried, max_cost: MAX_COST.0, ..FeePolicy::default() };
    let ours = world.clone();
    let lives = move || ours.lock().point("between two steps of the outbox");
    let names = ["token", "registry", "market", "claim book", "profile registry", "fee router"];
    let places = [at.token, at.registry, at.market, at.book, at.profiles, at.router];
    Settings {
        fees,
        contracts: names.into_iter().zip(places).collect(),
        poll: Duration::from_millis(poll * 2 / 3),
        take_over: broken == Some(Broken::Outbox),
        blocking: Blocking::Here(Arc::new(lives)),
        ..Settings::new(at)
    }
}

/// All that the contracts show of this rig, as every answer has it, the most frequent first: one call in place of a dozen views.
async fn look(rpc: &Rpc, at: &Addresses) -> Result<Agreed<Vec<View>>, Trouble> {
    let said = rpc.call_said(at.book, Bytes::from_static(b"everything")).await?;
    let value: Vec<View> = said.value.iter().filter_map(|bytes| serde_json::from_slice(bytes).ok()?).collect();
    if value.is_empty() { Err(Trouble::Chain) } else { Ok(Agreed { value, quorum: said.quorum }) }
}

impl Rig {
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, Entry>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn base_fee(&self) -> MutexGuard<'_, GasPrice> {
        self.base_fee.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A signer that is gone took this process with it.
    async fn gone<T>(&self) -> T {
        std::future::pending().await
    }

    // ---- as agent/src/sight.rs ----

    async fn show_signer(&self, mut heads: watch::Receiver<Head>) -> Trouble {
        let (mut seen_to, mut known, mut open) = (BlockNo(0), BTreeMap::new(), BTreeSet::new());
        loop {
            let head = heads.borrow_and_update().number;
            match self.sight(head, &mut seen_to, &mut known, &mut open).await {
                Ok(()) | Err(Trouble::Chain) => {}
                Err(why) => return why,
            }
            tokio::select! {
                biased;
                changed = heads.changed() => if changed.is_err() { return self.gone().await },
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
            }
        }
    }

    async fn sight(
        &self,
        head: BlockNo,
        seen_to: &mut BlockNo,
        known: &mut BTreeMap<ClaimId, SeenClaim>,
        open: &mut BTreeSet<ClaimId>,
    ) -> Result<(), Trouble> {
        let nonces = self.rpc.nonces(self.me).await?;
        if !nonces.quorum {
            return Ok(());
        }
        let nonce = nonces.value.mined;
        let balance = self.rpc.balance(self.me).await?;
        let (mut claims, mut sure) = (Vec::new(), true);
        let from = BlockNo(seen_to.0.saturating_sub(OVERLAP));
        for (id, seen) in self.claims_made(from, head).await? {
            if known.get(&id) != Some(&seen) {
                let said = look(&self.rpc, &self.at).await?;
                let is_it = |claim: &ClaimView| claim.id == id && claim.is_of(seen.root) && claim.count == seen.count;
                sure &= said.quorum;
                if !said.quorum || !said.value[0].claims.iter().any(is_it) {
                    continue;
                }
                self.world.lock().trace.count("claims told to the signer");
                known.insert(id, seen);
                open.insert(id);
            }
            claims.push(seen);
        }
        if !open.is_empty() {
            let said = look(&self.rpc, &self.at).await?;
            let over = |id: &ClaimId| said.value[0].claims.iter().any(|claim| claim.id == *id && claim.state.is_over());
            open.retain(|id| !said.quorum || !over(id));
        }
        let open_claims = u32::try_from(open.len()).unwrap_or(u32::MAX);
        match self.signer.see(Sight { nonce, balance, open_claims, claims }) {
            Ok(()) if sure => *seen_to = head,
            Ok(()) | Err(Refused::ByRule(_)) => {}
            Err(Refused::Unsafe(why)) => return Err(Trouble::Unsafe(why)),
            Err(Refused::Gone) => return self.gone().await,
        }
        Ok(())
    }

    async fn claims_made(&self, from: BlockNo, to: BlockNo) -> Result<Vec<(ClaimId, SeenClaim)>, Trouble> {
        let filter = alloy::rpc::types::Filter::new().address(self.at.book).from_block(from.0).to_block(to.0);
        let mut made = Vec::new();
        for log in self.rpc.logs(&filter).await? {
            let claim: SeenClaim = serde_json::from_slice(&log.data().data).map_err(|_| Trouble::Chain)?;
            made.extend(ClaimId::of(claim.job, claim.first).map(|id| (id, claim)));
        }
        Ok(made)
    }

    // ---- as agent/src/node/automation.rs ----

    async fn automate(&self, mut heads: watch::Receiver<Head>) -> Trouble {
        let mut claims: BTreeMap<ClaimId, ClaimState> = BTreeMap::new();
        let (mut over, mut seen_to) = (BTreeMap::new(), BlockNo(0));
        loop {
            let head = heads.borrow_and_update().clone();
            match self.look_once(&head, &mut claims, &mut over, &mut seen_to).await {
                Ok(()) | Err(Trouble::Chain) => {}
                Err(why) => return why,
            }
            tokio::select! {
                biased;
                changed = heads.changed() => if changed.is_err() { return self.gone().await },
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
            }
        }
    }

    async fn look_once(
        &self,
        head: &Head,
        claims: &mut BTreeMap<ClaimId, ClaimState>,
        over: &mut BTreeMap<ClaimId, BlockNo>,
        seen_to: &mut BlockNo,
    ) -> Result<(), Trouble> {
        if head.number == BlockNo(0) {
            return Ok(());
        }
        self.base_fee().see(Wei(head.base_fee), Timestamp(head.timestamp));
        let said = look(&self.rpc, &self.at).await?;
        let view = &said.value[0];
        let now = Now { head: head.number, time: Timestamp(head.timestamp), market: view.market_time };
        for (id, _) in self.claims_made(BlockNo(seen_to.0.saturating_sub(OVERLAP)), head.number).await? {
            claims.entry(id).or_insert(ClaimState::None);
        }
        *seen_to = head.number;
        for job in &view.jobs {
            self.look_at_job(job, &now).await?;
        }
        let mut unsealed = BTreeSet::new();
        for id in claims.keys().copied().collect::<Vec<_>>() {
            if claims.get(&id).is_some_and(|state| state.is_over()) && !over.contains_key(&id) {
                continue; // for good
            }
            if !said.quorum {
                self.only_proofs(id, &said.value, head).await?;
                continue;
            }
            let Some(claim) = view.claims.iter().find(|claim| claim.id == id) else { continue };
            claims.insert(id, claim.state);
            if claim.state.is_over() && head.finalized < *over.entry(id).or_insert(head.number) {
                continue;
            }
            over.remove(&id);
            self.look_at_claim(claim, &now, &mut unsealed).await?;
        }
        let busy = claims.values().any(|state| !state.is_over()) || !self.jobs().is_empty();
        if view.earned > Wei(0) && !busy {
            self.submit(Action::RouteFees { operator: self.me, nth: now.head.0 / 50 }, Deadline::NONE).await;
        }
        Ok(())
    }

    async fn look_at_job(&self, job: &JobView, now: &Now) -> Result<(), Trouble> {
        self.update(job);
        if job.state == JobState::Closed {
            return Ok(());
        }
        self.catch_up(job).await?;
        let (leaves, waiting_since, idle) = self.work(job.id, now.head);
        let gas_is_dear = self.base_fee().is_dear();
        // Work that differs from what it should be is not in here: the agent looks at a sample of it before it claims.
        let local =
            Local { unclaimed: &leaves, waiting_since, idle, checked: u32::MAX, gas_is_dear, ..Local::default() };
        let rules = {
            let inner = self.world.lock();
            ClaimRules { batch: inner.scenario.batch, max_wait_blocks: inner.scenario.max_wait_blocks }
        };
        if let operator::Step::Send(action) = operator::next(self.me, job, &local, &rules, now) {
            self.submit(action, Deadline::NONE).await;
        }
        Ok(())
    }

    fn update(&self, view: &JobView) {
        let mut jobs = self.jobs();
        if view.operator != self.me || !matches!(view.state, JobState::Active | JobState::Draining) {
            jobs.remove(&view.id);
            return;
        }
        let entry = jobs.entry(view.id).or_insert_with(|| Entry {
            view: view.clone(),
            unclaimed: VecDeque::new(),
            waiting_since: None,
            in_hand: 0,
            remembered: VecDeque::new(),
        });
        entry.view = view.clone();
        while entry.unclaimed.front().is_some_and(|kept| kept.leaf.seq < view.next_seq) {
            entry.unclaimed.pop_front();
            entry.waiting_since = None;
        }
    }

    fn work(&self, job: JobId, head: BlockNo) -> (Vec<headframe_market::merkle::Leaf>, Option<BlockNo>, bool) {
        let mut jobs = self.jobs();
        let Some(entry) = jobs.get_mut(&job) else { return (Vec::new(), None, true) };
        if entry.unclaimed.is_empty() {
            entry.waiting_since = None;
        } else {
            entry.waiting_since.get_or_insert(head);
        }
        let leaves = entry.unclaimed.iter().map(|kept| kept.leaf.clone()).collect();
        (leaves, entry.waiting_since, entry.in_hand == 0)
    }

    /// After a restart the guard knows receipts that this process does not.
    async fn catch_up(&self, job: &JobView) -> Result<(), Trouble> {
        loop {
            let Some(from) = self.jobs().get(&job.id).map(Entry::expected) else { return Ok(()) };
            let kept = match self.signer.receipts(job.id, from, 512) {
                Ok(kept) => kept,
                Err(Refused::Gone) => return self.gone().await,
                Err(Refused::Unsafe(why)) => return Err(Trouble::Unsafe(why)),
                Err(Refused::ByRule(_)) => return Ok(()),
            };
            let complete = kept.len() < 512;
            for evidence in kept {
                self.add(evidence);
            }
            if complete || self.jobs().get(&job.id).map(Entry::expected) == Some(from) {
                return Ok(());
            }
        }
    }

    fn add(&self, evidence: Evidence) {
        if let Some(entry) = self.jobs().get_mut(&evidence.leaf.job)
            && evidence.leaf.seq == entry.expected()
        {
            entry.unclaimed.push_back(evidence);
        }
    }

    async fn look_at_claim(&self, view: &ClaimView, now: &Now, unsealed: &mut BTreeSet<JobId>) -> Result<(), Trouble> {
        let first = view.state != ClaimState::Submitted || unsealed.insert(view.job);
        match claim::next(view, now) {
            claim::Step::Send(action) => self.submit(action, Deadline::NONE).await,
            claim::Step::Seal(block) if first => self.seal(view, block).await?,
            claim::Step::Seal(_) | claim::Step::Wait => {}
            claim::Step::Answer { until } => self.answer(view, until).await?,
            claim::Step::Reveal { until } => self.reveal(view, until).await,
            // A rig halts once for a lost claim, until somebody has looked. Here it goes on, so that a run shows what else comes.
            claim::Step::Over(_) => {
                let mut inner = self.world.lock();
                inner.disk.answers.retain(|(id, _), _| *id != view.id);
                let range = view.first.0..view.first.0 + u64::from(view.count);
                inner.disk.segments.retain(|(job, seq), _| *job != view.job || !range.contains(seq));
            }
        }
        Ok(())
    }

    /// Below a quorum nothing is taken as over, but a proof that anybody shows as due goes out: by the newest block that
    /// anybody has.
    async fn only_proofs(&self, id: ClaimId, views: &[View], head: &Head) -> Result<(), Trouble> {
        let now = Now { head: head.highest.0, time: Timestamp(head.highest.1), market: Timestamp(0) };
        for view in views.iter().filter_map(|view| view.claims.iter().find(|claim| claim.id == id)) {
            match claim::next(view, &now) {
                claim::Step::Seal(block) => self.seal(view, block).await?,
                claim::Step::Answer { until } => self.answer(view, until).await?,
                claim::Step::Reveal { until } => self.reveal(view, until).await,
                _ => {}
            }
        }
        Ok(())
    }

    async fn seal(&self, view: &ClaimView, block: BlockNo) -> Result<(), Trouble> {
        if let Some(header) = self.rpc.header_rlp(block).await? {
            let seal = Action::Seal { claim: view.id, header, preimage: B256::ZERO };
            self.submit(seal, Deadline::time(view.answer_until)).await;
        }
        Ok(())
    }

    async fn reveal(&self, view: &ClaimView, until: Timestamp) {
        if let Some(reveal) = self.kept(view).as_ref().and_then(claim::reveal) {
            self.submit(reveal, Deadline::time(until)).await;
        }
    }

    /// The kept answer to the claim's draw: that of its seed, else another one's that drew the same.
    fn kept(&self, view: &ClaimView) -> Option<Action> {
        let inner = self.world.lock();
        let own = inner.disk.answers.get(&(view.id, view.seed));
        let others = inner.disk.answers.iter().filter(|((id, _), _)| *id == view.id).map(|(_, answer)| answer);
        own.into_iter().chain(others).find(|answer| claim::answers(view, answer)).cloned()
    }

    async fn answer(&self, view: &ClaimView, until: Timestamp) -> Result<(), Trouble> {
        if let Some(answer) = self.kept(view) {
            self.submit(answer, Deadline::time(until)).await;
            return Ok(());
        }
        let kept = match self.signer.receipts(view.job, view.first, view.count) {
            Ok(kept) => kept,
            Err(Refused::Gone) => return self.gone().await,
            Err(Refused::Unsafe(why)) => return Err(Trouble::Unsafe(why)),
            Err(Refused::ByRule(_)) => return Ok(()),
        };
        let openings = match claim::openings(view, &kept) {
            Ok(openings) => openings,
            Err(error) => {
                self.world.lock().note(false, format_args!("cannot answer claim {}: {error}", view.id));
                return Ok(());
            }
        };
        let Some(secrets) = self.secrets(&openings) else {
            let mut inner = self.world.lock();
            inner.trace.count("answers without evidence");
            inner.note(false, format_args!("cannot answer claim {}: the kept bytes are not those claimed", view.id));
            return Ok(());
        };
        let wait = self.world.lock().worker.range(200, 4000);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let answer = claim::answer(view, openings, secrets);
        self.world.step("before the answer is kept").await;
        self.world.lock().disk.answers.insert((view.id, view.seed), answer.clone());
        self.world.step("after the answer is kept").await;
        self.submit(answer, Deadline::time(until)).await;
        Ok(())
    }

    /// What is said of each opened segment, from its kept bytes.
    fn secrets(&self, openings: &[Opening]) -> Option<Vec<Secret>> {
        let mut inner = self.world.lock();
        let mut secrets = Vec::new();
        for opening in openings {
            let receipt = &opening.receipt;
            let kept = inner.disk.segments.get(&(receipt.job, receipt.seq.0));
            if kept != Some(&(receipt.src_root, receipt.out_root)) {
                return None;
            }
            let salt = chain::random(&mut inner.worker);
            secrets.push(Secret { digest: digest(receipt.out_root), salt });
        }
        Some(secrets)
    }

    async fn submit(&self, action: Action, deadline: Deadline) {
        let deadline = if self.broken == Some(Broken::Urgency) { Deadline::NONE } else { deadline };
        let _ = self.outbox.submit_by(action, deadline).await; // asked again with the next block
    }

    // ---- as agent/src/node/http.rs ----

    async fn take_orders(&self) -> Trouble {
        let mail = self.world.lock().mail.clone();
        loop {
            let next = self.world.lock().inbox.pop_front();
            let Some((number, ask)) = next else {
                mail.notified().await;
                continue;
            };
            let reply = match ask {
                Ask::Offer(bid) => match self.signer.bid(*bid) {
                    Ok(signature) => Reply::Offer(signature),
                    Err(Refused::Gone) => self.gone().await,
                    Err(_) => Reply::No,
                },
                Ask::Segment { order, signature, client } => match self.segment(&order, &signature, client).await {
                    Ok(reply) => reply,
                    Err(why) => return why,
                },
            };
            self.world.step("before an answer to a client").await;
            self.world.lock().reply(number, reply);
        }
    }

    async fn segment(&self, order: &Segment, signature: &Signature, client: Address) -> Result<Reply, Trouble> {
        let (job, seq) = (order.job, order.seq);
        {
            let mut jobs = self.jobs();
            let Some(entry) = jobs.get_mut(&job) else { return Ok(Reply::Later) };
            if entry.view.client != client || entry.view.released {
                return Ok(Reply::No);
            }
            if seq > entry.expected() {
                return Ok(Reply::Later);
            }
            if let Some(before) = entry.remembered.iter().find(|receipt| receipt.seq == seq) {
                return Ok(if before.src_root == order.src_root { Reply::Done } else { Reply::No });
            }
            entry.in_hand += 1;
        }
        let done = self.transcode(order, signature, client).await;
        if let Some(entry) = self.jobs().get_mut(&job) {
            entry.in_hand = entry.in_hand.saturating_sub(1);
        }
        self.wake.notify_one();
        done
    }

    async fn transcode(&self, order: &Segment, signature: &Signature, client: Address) -> Result<Reply, Trouble> {
        let signed = match self.signer.receipts(order.job, order.seq, 1) {
            Ok(kept) => kept.into_iter().map(|kept| kept.leaf).find(|leaf| leaf.seq == order.seq),
            Err(Refused::Gone) => return self.gone().await,
            Err(Refused::Unsafe(why)) => return Err(Trouble::Unsafe(why)),
            Err(Refused::ByRule(_)) => return Ok(Reply::No),
        };
        // The bytes of a segment that has its receipt stay as they are. Without the guard nobody knows of it.
        let signed = signed.filter(|_| self.broken != Some(Broken::Guard));
        if signed.as_ref().is_some_and(|leaf| leaf.src_root != order.src_root) {
            return Ok(Reply::No);
        }
        let (wait, fails, outcome) = {
            let mut inner = self.world.lock();
            let (late, failing, otherwise) = (inner.scenario.late, inner.scenario.failing, inner.scenario.otherwise);
            let wait = if inner.worker.permille(late) { 30_000 } else { inner.worker.range(200, 1500) };
            let fails = inner.worker.permille(failing);
            // Another card or another session writes other bytes for the same pictures.
            let outcome = if inner.worker.permille(otherwise) { inner.worker.next() } else { 0 };
            for (is, what) in
                [(wait == 30_000, "late work"), (fails, "failed work"), (outcome != 0, "work that differs")]
            {
                if is {
                    inner.trace.count(what);
                }
            }
            (wait, fails, outcome)
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if fails {
            return Ok(Reply::Later);
        }
        let out_root = abi::hash((order.src_root, U256::from(outcome)));
        if signed.is_some_and(|leaf| leaf.out_root != out_root) {
            return Ok(Reply::No);
        }
        self.world.step("before a segment is kept").await;
        self.world.lock().disk.segments.insert((order.job, order.seq.0), (order.src_root, out_root));
        self.world.step("after a segment is kept").await;
        let receipt = Receipt {
            job: order.job,
            seq: order.seq,
            src_root: order.src_root,
            out_root,
            units: Units(UNITS + order.seq.0 % 7),
            out_bytes: 1000,
        };
        let bytes: Bytes = signature.as_bytes().into();
        let ask =
            ReceiptRequest { order: order.clone(), order_signature: bytes.clone(), client, receipt: receipt.clone() };
        match self.signer.receipt(ask) {
            Ok(_) => {}
            Err(Refused::Gone) => return self.gone().await,
            Err(Refused::Unsafe(why)) => return Err(Trouble::Unsafe(why)),
            Err(Refused::ByRule(why)) => {
                let mut inner = self.world.lock();
                inner.trace.count("refusals of the guard");
                inner.note(false, format_args!("refused a receipt: {why}"));
                return Ok(Reply::No);
            }
        }
        self.add(Evidence {
            leaf: receipt.leaf(),
            src_bytes: order.src_bytes,
            duration_ms: order.duration_ms,
            client_signature: bytes,
        });
        if let Some(entry) = self.jobs().get_mut(&order.job) {
            entry.remembered.push_back(receipt);
            if entry.remembered.len() > 4 {
                entry.remembered.pop_front();
            }
        }
        Ok(Reply::Done)
    }
}
