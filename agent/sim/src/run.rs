//! One run: blocks come, things go wrong, the rig lives and dies, and at the end the books are read.

use crate::chain::{self, Chain, Gas, START};
use crate::checker::{Checker, Violation};
use crate::clients::Client;
use crate::dice::Dice;
use crate::provider::{Condition, Trouble};
use crate::rig;
use crate::scenario::{Broken, FINAL_DEPTH, GWEI, Length, Lie, SLOT, Scenario, TOKEN};
use crate::signer::Signer;
use crate::trace::Trace;
use crate::world::{Disk, Inner, World};
use alloy::primitives::Address;
use headframe_market::machine::ClaimState;
use headframe_market::rules::{Call, Market, Now, Roles, Stake};
use headframe_market::typed_data::Domain;
use headframe_market::{Addresses, BlockNo, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// No run is longer than this many blocks.
const HORIZON: u64 = 900;
/// The rig has been up, and a provider well, for so long before a block counts as a chance.
const SETTLED_MS: u64 = 40_000;

/// What a seed does not decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// How long a run is.
    pub length: Length,
    /// Troubles of this kind alone; `None` for all.
    pub only: Option<crate::scenario::Focus>,
    /// A protection taken away.
    pub broken: Option<Broken>,
}

/// What came of a seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// It.
    pub seed: u64,
    /// SHA-256 over everything that happened.
    pub trace_hash: String,
    /// Things that happened.
    pub events: u64,
    /// Simulated seconds.
    pub seconds: u64,
    /// How often what happened.
    pub counts: BTreeMap<String, u64>,
    /// Slashable acts.
    pub violations: Vec<Violation>,
    /// Claims whose deadline was missed although everything was there to meet it.
    pub missed: Vec<u64>,
    /// Why the rig stopped itself, if it did: nothing here is a reason to.
    pub halted: Option<String>,
    /// The lines, where they were asked for.
    #[serde(skip)]
    pub lines: Vec<String>,
}

impl Outcome {
    /// Nothing that must not happen.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.missed.is_empty() && self.halted.is_none()
    }
}

/// Runs one seed. Databases live in a temporary directory, in memory where the system has one.
///
/// # Errors
/// Where there is no directory for them, or no runtime.
pub fn run(seed: u64, plan: Plan, keep_lines: bool) -> anyhow::Result<Outcome> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    // Its clock begins within the runtime, where it stands still.
    runtime.block_on(async { go(seed, world(seed, plan, keep_lines)?, folder.path()).await })
}

fn addresses() -> Addresses {
    let at = Address::repeat_byte;
    Addresses {
        token: at(0xa1),
        registry: at(0xa2),
        market: at(0xa3),
        book: at(0xa4),
        profiles: at(0xa5),
        router: at(0xa6),
        ..Addresses::default()
    }
}

fn world(seed: u64, plan: Plan, keep_lines: bool) -> anyhow::Result<(World, Vec<Client>)> {
    let mut dice = Dice::new(seed);
    let drawn = Scenario::draw(&mut dice, plan.length, plan.broken);
    let scenario = match plan.only {
        Some(focus) => drawn.with_only(focus),
        None => drawn,
    };
    let (at, me) = (addresses(), Signer::me());
    let domain = Domain { chain_id: chain::CHAIN_ID, market: at.market };
    let nobody = Address::repeat_byte(0xee);
    let roles = Roles {
        admin: nobody,
        guardian: nobody,
        book: at.book,
        challenges: nobody,
        game: nobody,
        router: at.router,
        registry_admin: nobody,
    };
    let mut stake = Stake::new(1000 * TOKEN);
    stake.name_slasher(at.market, 1_000_000);
    stake.name_slasher(at.book, 1_000_000);
    let market_params = [scenario.market.clone(), scenario.market.clone(), scenario.market.clone()];
    let claim_params = [scenario.claims.clone(), scenario.claims.clone(), scenario.claims.clone()];
    let mut market = Market::new(domain, roles, stake, market_params, claim_params);
    let hashes = BTreeMap::new();
    let now = Now { time: Timestamp(START), block: BlockNo(0), random: me.into_word(), hashes: &hashes };
    let bond = market.apply(&now, me, &Call::Bond { amount: 20_000 * TOKEN });
    bond.map_err(|refusal| anyhow::anyhow!("the bond was refused: {refusal}"))?;
    let clients: Vec<Client> = scenario.jobs.iter().enumerate().map(|(nth, plan)| Client::new(nth, *plan)).collect();
    market.profiles.extend((0..clients.len()).map(Client::profile));
    let chain = Chain::new(at, me, market, 1000 * TOKEN, scenario.base_fee);
    let gas = Gas::new(scenario.base_fee);
    let inner = Inner {
        domain,
        chain,
        gas,
        providers: vec![Condition::default(); scenario.providers],
        trace: Trace::new(keep_lines),
        checker: Checker::default(),
        start: Instant::now(),
        network: dice.fork(),
        liar: dice.fork(),
        worker: dice.fork(),
        crash_dice: dice.fork(),
        dice,
        stale_by: 0,
        disk: Disk::default(),
        inbox: Default::default(),
        replies: BTreeMap::new(),
        asked: 0,
        mail: Default::default(),
        answered: Default::default(),
        fuse: None,
        dead: false,
        death: Default::default(),
        up_since: None,
        halted: None,
        progress: BTreeMap::new(),
        scenario,
    };
    Ok((World::new(inner), clients))
}

async fn go(seed: u64, (world, clients): (World, Vec<Client>), folder: &Path) -> anyhow::Result<Outcome> {
    let blocks = make_blocks(&world, &clients);
    let orders = async {
        futures::future::join_all(clients.iter().map(|client| client.run(&world))).await;
        std::future::pending::<()>().await;
    };
    let rig = async {
        keep_running(&world, folder).await?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        biased;
        () = blocks => {}
        () = orders => {}
        failed = rig => failed?,
    }
    let mut inner = world.lock();
    let inner = &mut *inner;
    let (missed, excused) = inner.checker.finish(&inner.chain);
    let states = inner.chain.tip().state.market.claims.values().map(|claim| claim.state).collect::<Vec<_>>();
    for state in states {
        inner.trace.count("claims");
        inner.trace.count(match state {
            ClaimState::Settled => "claims settled",
            ClaimState::Missed => "claims missed",
            ClaimState::Slashed => "claims slashed",
            _ => "claims unfinished",
        });
    }
    for id in &excused {
        inner.trace.count("deadlines nothing could meet");
        inner.note(false, format_args!("claim {id} was missed, and nothing could have saved it"));
    }
    let seconds = inner.ms() / 1000;
    let jobs = inner.chain.tip().state.market.jobs.clone();
    for (id, job) in jobs {
        inner.note(false, format_args!("job {id} ends {:?}, {} claims open", job.state, job.open_claims));
    }
    for violation in inner.checker.violations.clone() {
        inner.note(false, format_args!("SLASHABLE: {}: {}", violation.what, violation.detail));
    }
    for id in &missed {
        inner.note(false, format_args!("MISSED: claim {id}"));
    }
    let (trace_hash, lines, events, counts) = std::mem::replace(&mut inner.trace, Trace::new(false)).finish();
    let violations = std::mem::take(&mut inner.checker.violations);
    let missed = missed.into_iter().map(|id| id.0).collect();
    let halted = inner.halted.take();
    Ok(Outcome { seed, trace_hash, events, seconds, counts, violations, missed, halted, lines })
}

/// Lives of the rig, one after the other. What a crash leaves is what the files hold at that moment: neither database writes
/// anything when it is dropped.
async fn keep_running(world: &World, folder: &Path) -> anyhow::Result<()> {
    let death = world.lock().death.clone();
    loop {
        world.lock().revive();
        let mut rig = Box::pin(rig::run(world.clone(), folder));
        let ended = tokio::select! {
            biased;
            () = death.notified() => None,
            why = &mut rig => Some(why),
        };
        if let Some(why) = ended {
            let mut inner = world.lock();
            inner.note(false, format_args!("HALT: {why}"));
            inner.trace.count("halts");
            inner.halted = Some(why);
            return Ok(());
        }
        drop(rig);
        if world.lock().scenario.broken == Some(Broken::Outbox) {
            forget_outbox(folder)?;
        }
        let down = {
            let mut inner = world.lock();
            inner.up_since = None;
            let most = inner.scenario.down;
            inner.crash_dice.range(1, most)
        };
        tokio::time::sleep(Duration::from_secs(down)).await;
    }
}

fn forget_outbox(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("outbox") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The chain's beat, and all that goes wrong with it.
async fn make_blocks(world: &World, clients: &[Client]) {
    let mut quiet_for = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(SLOT)).await;
        let mut inner = world.lock();
        let inner = &mut *inner;
        if inner.chain.head() >= HORIZON || inner.ms() > HORIZON * SLOT * 2000 {
            return;
        }
        let rate = inner.scenario.halts;
        if quiet_for == 0 && rate > 0 && inner.dice.permille(rate) {
            quiet_for = inner.dice.range(2, 50);
            inner.trace.count("halts of the chain");
        }
        mishaps(inner);
        if quiet_for > 0 {
            quiet_for -= 1;
            if quiet_for > 0 {
                continue; // then one block after a long time
            }
        }
        next_block(inner, clients);
        if inner.scenario.reorgs > 0 && inner.dice.permille(inner.scenario.reorgs) {
            reorganise(inner);
        }
        let progress = &inner.progress;
        let all_sent = clients.len() == progress.values().filter(|one| one.finished).count();
        let settled = inner.chain.tip().state.market.claims.values().all(|claim| claim.state.is_over());
        let over = clients.iter().all(|client| client.is_over(inner) || inner.chain.head() > HORIZON / 2);
        if all_sent && settled && over && inner.chain.head() > 20 {
            return;
        }
    }
}

fn next_block(inner: &mut Inner, clients: &[Client]) {
    for (nth, client) in clients.iter().enumerate() {
        let progress = inner.progress.get(&nth).cloned().unwrap_or_default();
        if let Some(call) = client.act(inner, &progress) {
            if matches!(call, Call::TopUp { .. }) {
                inner.progress.entry(nth).or_default().top_ups += 1;
            }
            let one = (client.address(), call);
            if !inner.chain.others.contains(&one) {
                inner.chain.others.push(one);
            }
        }
    }
    let spikes = inner.scenario.spikes;
    let (base_fee, spike) = inner.gas.next(&mut inner.dice, inner.chain.head(), spikes);
    inner.chain.base_fee = base_fee;
    if spike {
        inner.trace.count("gas a hundredfold");
        inner.note(false, format_args!("the base fee is {} gwei now", base_fee / GWEI));
    }
    let willing = !(inner.scenario.unwilling > 0 && inner.dice.permille(inner.scenario.unwilling));
    let now = inner.ms();
    // A rig that has stopped itself has no excuse.
    let up = inner.halted.is_some() || inner.up_since.is_some_and(|since| now >= since + SETTLED_MS);
    let asks = inner.providers.iter().any(|one| one.is_well() && now >= one.well_since + SETTLED_MS);
    if willing && up && asks && Checker::payable(&inner.chain) {
        inner.checker.chance(&inner.chain);
    }
    let time = START + now / 1000;
    let random = chain::random(&mut inner.dice);
    let news = inner.chain.mine(time, random, willing);
    tell(inner, &news);
}

fn tell(inner: &mut Inner, news: &chain::News) {
    let (head, hash) = (inner.chain.head(), inner.chain.tip().hash);
    inner.trace.count("blocks");
    inner.note(true, format_args!("block {head} {hash}"));
    for (tx, done) in &news.mined {
        let done = match done {
            Ok(()) => "done",
            Err(refusal) => {
                inner.trace.count("reverts");
                refusal.name()
            }
        };
        inner.trace.count("transactions mined");
        inner.note(false, format_args!("block {head}: {} under nonce {}: {done}", tx.deed.about(), tx.nonce));
    }
    for id in &news.missed {
        let chances = inner.chain.tip().state.market.claims.get(id).map(|claim| inner.checker.chances(*id, claim));
        inner.note(false, format_args!("block {head}: claim {id} is missed, after {chances:?} chances"));
    }
}

fn reorganise(inner: &mut Inner) {
    let most = inner.scenario.reorg_depth.min(inner.chain.head().saturating_sub(1)).min(FINAL_DEPTH);
    if most == 0 {
        return;
    }
    // The deepest as often as the others.
    let depth = if inner.dice.permille(300) { most } else { inner.dice.range(1, most) };
    let (forget, willing) = (inner.dice.permille(300), inner.dice.pick(&[0, 300, 1000]));
    let fee = inner.chain.base_fee;
    let gone = inner.chain.undo(depth, forget);
    inner.checker.undo(inner.chain.head());
    inner.trace.count("reorganisations");
    let bucket = match depth {
        1 => "reorganisations of 1",
        2..=8 => "reorganisations of 2 to 8",
        9..=32 => "reorganisations of 9 to 32",
        _ => "reorganisations of 33 to 64",
    };
    inner.trace.count(bucket);
    inner.note(false, format_args!("the newest {depth} blocks are others now, which take {willing} of 1000"));
    for (time, base_fee) in gone {
        inner.chain.base_fee = base_fee;
        let random = chain::random(&mut inner.dice);
        let willing = inner.dice.permille(willing);
        let news = inner.chain.mine(time, random, willing);
        tell(inner, &news);
    }
    inner.chain.base_fee = fee;
}

/// Providers and pool, and a kill.
fn mishaps(inner: &mut Inner) {
    let now = inner.ms();
    for at in 0..inner.providers.len() {
        inner.providers[at].settle(now);
    }
    let (flaps, blackouts, lies) = (inner.scenario.flaps, inner.scenario.blackouts, inner.scenario.lies);
    for at in 0..inner.providers.len() {
        if inner.dice.permille(flaps) {
            let (trouble, length) = (inner.dice.pick(&Trouble::ALL), inner.dice.range(5_000, 120_000));
            trip(inner, at, trouble, now + length);
        }
    }
    if inner.providers.len() > 1 && inner.dice.permille(blackouts) {
        let count = inner.providers.len() as u64;
        let left = usize::try_from(inner.dice.below(count)).unwrap_or(0);
        let length = inner.dice.range(60_000, 600_000);
        inner.trace.count("all providers gone but one");
        for at in (0..inner.providers.len()).filter(|at| *at != left) {
            let trouble = inner.dice.pick(&Trouble::ALL);
            trip(inner, at, trouble, now + length);
        }
    }
    let lying = inner.providers.iter().filter(|one| one.lies.is_some()).count();
    // Fewer than a quorum, so never the only one there is.
    if lying < inner.providers.len().div_ceil(2) - 1 && inner.dice.permille(lies) {
        let count = inner.providers.len() as u64;
        let at = usize::try_from(inner.dice.below(count)).unwrap_or(0);
        let mut about: Vec<Lie> = (0..inner.dice.range(1, 3)).map(|_| inner.dice.pick(&Lie::ALL)).collect();
        about.sort_unstable();
        about.dedup();
        let length = inner.dice.range(20_000, 900_000);
        inner.stale_by = inner.dice.range(1, 40);
        inner.note(false, format_args!("provider {at} lies for {} s about {about:?}", length / 1000));
        inner.trace.count("providers that begin to lie");
        inner.providers[at].lies = Some((now, now + length, about));
    }
    if inner.dice.permille(inner.scenario.drops) && inner.chain.pool.pop_last().is_some() {
        inner.trace.count("transactions dropped by the pool");
        inner.note(false, format_args!("the pool forgets a transaction"));
    }
    if inner.dice.permille(inner.scenario.kills) {
        inner.die("kill at any moment");
    }
}

fn trip(inner: &mut Inner, at: usize, trouble: Trouble, until: u64) {
    if inner.providers[at].trouble.is_none() {
        inner.providers[at].trouble = Some((trouble, until));
        inner.trace.count("providers that fail");
        inner.note(false, format_args!("provider {at}: {trouble:?}"));
    }
}
