//! Starting the parts that every role has: the chain side, HTTP, the admin interface, systemd.

use crate::admin::{self, Report};
use crate::chain_view::ChainView;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::sender::Sender;
use crate::shutdown::Stage;
use crate::sight::Lookout;
use crate::signer::{SignerError, SignerHandle};
use anyhow::Context;
use axum::Router;
use bytes::{Bytes, BytesMut};
use headframe_chain::outbox::{FeePolicy, Room, Settings as OutboxSettings};
use headframe_chain::provider::Settings as RpcSettings;
use headframe_chain::watcher::Settings as WatcherSettings;
use headframe_chain::{Event, Head, Outbox, OutboxError, ProviderStats, Rpc, RpcError, State, Watcher};
use headframe_codec::error::Class;
use headframe_codec::placement::Why;
use headframe_codec::sessions::Overflow;
use headframe_codec::worker::card::{CardHealth, Throttle};
use headframe_codec::worker::{CardState, CardStats, Death, PoolStats, VulkanStats};
use headframe_contracts::Deployment;
use headframe_guard::ballast::Ballast;
use headframe_market::{Address, Role};
use prometheus::GaugeVec;
use serde::Serialize;
use serde_json::{Value, json};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// The outbox, in the state directory.
const OUTBOX: &str = "outbox.db";

/// Going on could cost stake or money: the process ends with exit code 79 and is not restarted by systemd.
#[derive(Debug, thiserror::Error)]
#[error("not safe to run: {0}")]
pub(crate) struct Unsafe(pub(crate) String);

/// The chain as a role uses it.
pub(crate) struct ChainSide {
    pub(crate) me: Address,
    pub(crate) chain: ChainView,
    pub(crate) signer: SignerHandle,
    pub(crate) sender: Sender,
    pub(crate) heads: watch::Receiver<Head>,
    /// Ends when something is unsafe.
    pub(crate) fatal: mpsc::Receiver<anyhow::Error>,
    pub(crate) stage: Stage,
}

/// Connects to the chain and the signer, checks that they belong together, and starts watcher and outbox.
pub(crate) async fn chain_side(config: &Config, role: Role, metrics: &Arc<Metrics>) -> anyhow::Result<ChainSide> {
    let deployment = Deployment::load(&config.chain.deployment)?;
    let rpc = connect(config).await?;
    if rpc.pin().chain_id != deployment.chain_id {
        let (found, due) = (rpc.pin().chain_id, deployment.chain_id);
        return Err(Unsafe(format!("chain.rpc serves chain {found}, and the deployment is on chain {due}")).into());
    }
    let chain = ChainView::new(Arc::new(rpc.clone()), &deployment);
    if rpc.code(chain.at.market).await?.is_empty() {
        let market = chain.at.market;
        return Err(
            Unsafe(format!("there is no contract at {market}, the deployment's market; was the chain reset?")).into()
        );
    }
    let chain = chain.complete().await?;
    let strangers = chain.strangers().await?;
    if !strangers.is_empty() {
        let (what, file) = (strangers.join(", "), config.chain.deployment.display());
        return Err(
            Unsafe(format!("{file} names another {what} than the market works with: get the right file")).into()
        );
    }
    let (fatal_send, fatal) = mpsc::channel(4);
    let stage = Stage::new("chain", Duration::from_secs(15));
    let signer = SignerHandle::start(config, role, &chain, &stage, fatal_send.clone()).await?;
    let me = signer.address();
    let mut lookout = Lookout::new(chain.clone(), signer.clone(), role);
    match lookout.look(rpc.head().await?.number).await? {
        Err(SignerError::Unsafe(reason)) => return Err(Unsafe(reason).into()),
        told => told?,
    }

    let settings = WatcherSettings { poll: config.chain.poll, ..WatcherSettings::default() };
    let (watcher, heads) = Watcher::new(rpc.clone(), settings);
    let (stop, failed) = (stage.stop.clone(), fatal_send.clone());
    stage.tasks.spawn(async move {
        if let Err(error) = watcher.run(stop).await {
            let _ = failed.send(fatal_rpc(error)).await; // nobody listens any more when we stop anyway
        }
    });
    stage.tasks.spawn(lookout.run(heads.clone(), stage.stop.clone(), fatal_send.clone()));
    std::fs::create_dir_all(&config.state_dir)?;
    let at = &chain.at;
    let defaults = FeePolicy::default();
    let fees = FeePolicy {
        max_fee: config.chain.max_gas_price.0,
        max_fee_unhurried: config.chain.max_gas_price_unhurried.0,
        // The signer refuses more, so more is not asked for.
        max_cost: config.signer.max_fee.0,
        min_priority: defaults.min_priority.min(config.chain.max_gas_price.0),
        ..defaults
    };
    let contracts = vec![
        ("token", at.token),
        ("registry", at.registry),
        ("market", at.market),
        ("claim book", at.book),
        ("profile registry", at.profiles),
        ("fee router", at.router),
        ("rewards contract", at.rewards),
        ("active set", at.active_set),
    ];
    let settings = OutboxSettings {
        fees,
        budgets: config.chain.budgets(),
        contracts,
        take_over: config.chain.take_over,
        confirmations: config.chain.confirmations,
        poll: config.chain.poll.min(Duration::from_millis(500)),
        explain: Some(Arc::new(crate::chain_view::explain_revert)),
        room: Some(Arc::new(KeptRoom(ballast(config)))),
        ..OutboxSettings::new(chain.at)
    };
    let opened =
        Outbox::open(&config.state_dir.join(OUTBOX), rpc, heads.clone(), Arc::new(signer.clone()), settings).await;
    let (outbox, worker) = opened.map_err(fatal_outbox)?;
    stage.tasks.spawn(count_transactions(outbox.events(), metrics.clone(), stage.stop.clone()));
    let stop = stage.stop.clone();
    stage.tasks.spawn(async move {
        if let Err(error) = worker.run(stop).await {
            let _ = fatal_send.send(fatal_outbox(error)).await; // as above
        }
    });
    Ok(ChainSide { me, chain, signer, sender: Sender::new(outbox), heads, fatal, stage })
}

/// Where room is kept for what the agent has to record of proofs.
pub(crate) fn ballast(config: &Config) -> Ballast {
    Ballast::beside(&config.state_dir.join(OUTBOX))
}

/// The outbox's part of what is kept for proofs; the signer keeps its own.
struct KeptRoom(Ballast);

impl Room for KeptRoom {
    fn is_kept(&self) -> bool {
        self.0.is_kept()
    }

    fn give_up(&self) -> bool {
        self.0.give_up()
    }
}

async fn count_transactions(mut events: broadcast::Receiver<Event>, metrics: Arc<Metrics>, stop: CancellationToken) {
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
        };
        let (intent, result) = match event {
            Ok(Event::Sent(intent)) => (intent, "sent"),
            Ok(Event::Mined(intent)) => (intent, "mined"),
            Ok(Event::Failed(intent)) => {
                tracing::warn!(key = intent.key, reason = intent.error, "transaction failed");
                (intent, "failed")
            }
            Ok(Event::Unmined(intent)) => (intent, "unmined"),
            Ok(Event::OverBudget(intent)) => (intent, "over_budget"),
            Ok(Event::Safe(_) | Event::Final(_)) | Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        tracing::info!(key = intent.key, result, hash = intent.hash.map(|hash| hash.to_string()), "transaction");
        metrics.transactions.with_label_values(&[&intent.kind, result]).inc();
    }
}

/// Providers may come up after us: a rig restarts after a power cut before its own node does.
pub(crate) async fn connect(config: &Config) -> anyhow::Result<Rpc> {
    let quorum = Some(config.chain.quorum).filter(|quorum| *quorum > 0);
    let settings = RpcSettings { quorum, ..RpcSettings::default() };
    loop {
        match Rpc::connect_with(&config.chain.rpc, None, settings.clone()).await {
            Ok(rpc) => return Ok(rpc),
            Err(error) if error.class() == headframe_chain::Class::Retry => {
                tracing::warn!(%error, "no chain yet; trying again");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(2)) => {}
                    () = crate::shutdown::asked_to_stop() => anyhow::bail!("stopped while waiting for the chain"),
                }
            }
            Err(error) => return Err(fatal_rpc(error)),
        }
    }
}

fn fatal_rpc(error: RpcError) -> anyhow::Error {
    match error.class() {
        headframe_chain::Class::Unsafe => Unsafe(error.to_string()).into(),
        _ => error.into(),
    }
}

fn fatal_outbox(error: OutboxError) -> anyhow::Error {
    if error.is_unsafe() { Unsafe(error.to_string()).into() } else { error.into() }
}

/// Resolves when going on is unsafe.
pub(crate) async fn wait_fatal(fatal: &mut mpsc::Receiver<anyhow::Error>) -> anyhow::Error {
    match fatal.recv().await {
        Some(error) => error,
        None => std::future::pending().await, // both tasks ended well: we are stopping
    }
}

/// A client for other nodes: no proxies, no redirects, a deadline for the whole exchange.
pub(crate) fn http_client(timeout: Duration) -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .timeout(timeout)
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    Ok(builder.build()?)
}

/// Reads an answer up to `most` bytes.
pub(crate) async fn bounded_body(mut answer: reqwest::Response, most: usize) -> anyhow::Result<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        anyhow::ensure!(body.len() + chunk.len() <= most, "the answer is longer than {most} bytes");
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// An error with all its causes, which HTTP clients hide.
pub(crate) fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Serves `app` until the stage stops; requests in hand are finished first.
pub(crate) fn serve_http(stage: &Stage, listener: TcpListener, app: Router) {
    let stop = stage.stop.clone();
    stage.tasks.spawn(async move {
        let serving = axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
}

/// Starts the admin interface and tells where it is.
pub(crate) async fn serve_admin(
    stage: &Stage,
    config: &Config,
    report: Arc<dyn Report>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(config.admin.listen)
        .await
        .with_context(|| format!("cannot listen on {} (admin.listen)", config.admin.listen))?;
    let at = listener.local_addr()?;
    serve_http(stage, listener, admin::router(report, metrics));
    Ok(at)
}

/// Tells systemd that work can begin. Without systemd nothing happens.
pub(crate) fn notify_ready(doing: &str) {
    notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(doing)]);
}

/// Tells systemd that we are stopping.
pub(crate) fn notify_stopping() {
    notify(&[sd_notify::NotifyState::Stopping]);
}

/// Keeps systemd's watchdog quiet while the loop that calls this does its work.
pub(crate) fn notify_alive() {
    notify(&[sd_notify::NotifyState::Watchdog]);
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd does not take the notification");
    }
}

/// Brings the codec's gauges up to date.
pub(crate) fn refresh_codec(metrics: &Metrics, stats: &PoolStats) {
    metrics.workers.set(stats.pids.len() as i64);
    metrics.quarantined.set(stats.quarantined as i64);
    // All of them from the start on: an alert on what never was would never fire.
    for reason in Death::ALL {
        let count = stats.restarts.get(&reason).copied().unwrap_or(0);
        metrics.worker_restarts.with_label_values(&[reason.name()]).set(count as f64);
    }
    stats.cards.iter().for_each(|card| refresh_card(&metrics.cards, card));
    if let Some(sessions) = &stats.sessions {
        let states = [
            ("cap", sessions.cap),
            ("open", sessions.open),
            ("leased", sessions.leased),
            ("waiting", sessions.waiting),
        ];
        for (state, count) in states {
            metrics.cards.all_sessions.with_label_values(&[state]).set(f64::from(count));
        }
    }
    if let Some(device) = &stats.vulkan {
        refresh_vulkan(&metrics.vulkan, device);
    }
}

fn refresh_card(metrics: &crate::metrics::Cards, card: &CardStats) {
    let uuid = card.uuid.as_str();
    let count = |count: Option<&u64>| count.copied().unwrap_or(0) as f64;
    metrics.up.with_label_values(&[uuid]).set(f64::from(u8::from(card.state == CardState::Up)));
    metrics.segments.with_label_values(&[uuid]).set(card.segments as f64);
    metrics.readmitted.with_label_values(&[uuid]).set(card.readmitted as f64);
    for class in Class::ALL {
        metrics.errors.with_label_values(&[uuid, class.name()]).set(count(card.errors.get(&class)));
    }
    for why in Why::ALL {
        metrics.put_out.with_label_values(&[uuid, why.name()]).set(count(card.put_out.get(why.name())));
    }
    for reason in CardStats::LEFT {
        metrics.left.with_label_values(&[uuid, reason]).set(count(card.left.get(reason)));
    }
    metrics.sessions.with_label_values(&[uuid]).set(f64::from(card.sessions));
    for reason in Overflow::NAMES {
        metrics.overflowed.with_label_values(&[uuid, reason]).set(count(card.overflowed.get(reason)));
    }
    for (by, rungs) in [("card", card.rungs_on_card), ("processors", card.rungs_on_host)] {
        metrics.rungs.with_label_values(&[uuid, by]).set(rungs as f64);
    }
    refresh_health(metrics, uuid, &card.health);
}

/// What is not known has no line: a graph shows a gap, and no alert fires on a number of long ago.
fn refresh_health(metrics: &crate::metrics::Cards, uuid: &str, health: &CardHealth) {
    let tell = |gauge: &GaugeVec, labels: &[&str], value: Option<f64>| match value {
        Some(value) => gauge.with_label_values(labels).set(value),
        // An error says that there was no line.
        None => drop(gauge.remove_label_values(labels)),
    };
    let ratio = |percent: Option<u32>| percent.map(|percent| f64::from(percent) / 100.0);
    tell(&metrics.temperature, &[uuid], health.celsius.map(f64::from));
    tell(&metrics.power, &[uuid], health.milliwatts.map(watts));
    tell(&metrics.decoder_busy, &[uuid], ratio(health.decoder_percent));
    tell(&metrics.encoder_busy, &[uuid], ratio(health.encoder_percent));
    for why in Throttle::ALL {
        let throttled = health.throttled.as_ref().map(|all| f64::from(u8::from(all.contains(&why))));
        tell(&metrics.throttled, &[uuid, why.name()], throttled);
    }
}

fn refresh_vulkan(metrics: &crate::metrics::Vulkan, device: &VulkanStats) {
    let id = device.id.as_str();
    let count = |count: Option<&u64>| count.copied().unwrap_or(0) as f64;
    metrics.up.with_label_values(&[id]).set(f64::from(u8::from(device.is_in)));
    metrics.workers.with_label_values(&[id]).set(device.workers as f64);
    metrics.seconds.with_label_values(&[id]).set(device.took.as_secs_f64());
    metrics.readmitted.with_label_values(&[id]).set(device.readmitted as f64);
    for (by, pictures) in [("device", device.pictures), ("processors", device.left)] {
        metrics.pictures.with_label_values(&[id, by]).set(pictures as f64);
    }
    for class in Class::ALL {
        metrics.errors.with_label_values(&[id, class.name()]).set(count(device.errors.get(&class)));
    }
    for why in Why::ALL {
        metrics.put_out.with_label_values(&[id, why.name()]).set(count(device.put_out.get(why.name())));
    }
}

fn watts(milliwatts: u32) -> f64 {
    f64::from(milliwatts) / 1000.0
}

/// Brings the chain's gauges up to date.
pub(crate) async fn refresh_chain(
    metrics: &Metrics,
    sender: &Sender,
    signer: &SignerHandle,
    head: &Head,
    chain: &ChainView,
) {
    metrics.head_block.set(head.number.0 as i64);
    metrics.head_age.set(head.age().as_secs_f64());
    metrics.reorgs.set(head.reorgs as i64);
    metrics.guard_healthy.set(i64::from(signer.is_healthy().await));
    for (kind, wei) in sender.gas().await {
        metrics.gas.with_label_values(&[&kind]).set(wei as f64);
    }
    metrics.final_block.set(head.finalized.0 as i64);
    refresh_outbox(metrics, &sender.outbox()).await;
    chain.rpc().stats().iter().for_each(|stats| refresh_provider(&metrics.rpc, stats));
    if let Ok(balance) = chain.balance(signer.address()).await {
        metrics.balance.set(balance.0 as f64);
    }
}

/// Brings the gauges of transactions and budgets up to date; what cannot be read keeps its last value.
async fn refresh_outbox(metrics: &Metrics, outbox: &Outbox) {
    if let Ok(counts) = outbox.counts().await {
        for state in State::ALL {
            let count = counts.get(&state).copied().unwrap_or(0);
            metrics.transaction_states.with_label_values(&[state.name()]).set(count as f64);
        }
        let in_flight = counts.iter().filter(|(state, _)| state.is_in_flight()).map(|(_, count)| *count).sum::<u64>();
        metrics.transactions_in_flight.set(in_flight as i64);
    }
    if let Ok(held) = outbox.held().await {
        metrics.transactions_held.set(i64::from(held.is_some()));
    }
    let Ok(budgets) = outbox.budgets().await else { return };
    for gauges in [&metrics.budget_spent, &metrics.budget_left, &metrics.budget_exhausted] {
        gauges.reset(); // kinds that cost nothing today have no line
    }
    for view in budgets {
        let kind = [view.kind.as_str()];
        metrics.budget_spent.with_label_values(&kind).set(view.spent.0 as f64);
        if let Some(left) = view.left() {
            metrics.budget_left.with_label_values(&kind).set(left.0 as f64);
        }
        metrics.budget_exhausted.with_label_values(&kind).set(f64::from(u8::from(view.exhausted.is_some())));
    }
}

fn refresh_provider(metrics: &crate::metrics::Providers, stats: &ProviderStats) {
    let name = [stats.name.as_str()];
    let flag = |on: bool| f64::from(u8::from(on));
    metrics.up.with_label_values(&name).set(flag(!stats.resting && stats.aside.is_none()));
    metrics.aside.with_label_values(&name).set(flag(stats.aside.is_some()));
    metrics.disagreements.with_label_values(&name).set(stats.disagreements as f64);
    metrics.head.with_label_values(&name).set(stats.head as f64);
    for (result, count) in [
        ("answered", stats.answered),
        ("timeout", stats.timeouts),
        ("transport", stats.transport),
        ("garbage", stats.garbage),
        ("rate_limited", stats.rate_limited),
    ] {
        metrics.requests.with_label_values(&[&stats.name, result]).set(count as f64);
    }
}

/// Why the view of the chain may be out of date, if so.
pub(crate) fn head_trouble(head: &Head) -> Option<String> {
    head.healthy.as_ref().err().map(|reason| format!("chain: {reason}"))
}

/// The workers for `/status`.
pub(crate) fn workers_json(stats: &PoolStats) -> Value {
    json!({
        "pids": stats.pids,
        "busy": stats.busy,
        "rss_bytes": stats.rss_bytes,
        "restarts": stats.restarts.iter().map(|(reason, count)| (reason.name(), *count)).collect::<std::collections::BTreeMap<_, _>>(),
        "quarantined": stats.quarantined,
        "cards": stats.cards.iter().map(card_json).collect::<Vec<_>>(),
        "sessions": stats.sessions.as_ref().map(|it| json!({
            "cap": it.cap, "cap_is_limit": it.cap_is_limit, "open": it.open, "leased": it.leased, "waiting": it.waiting,
        })),
        "vulkan": stats.vulkan.as_ref().map(vulkan_json),
    })
}

fn vulkan_json(device: &VulkanStats) -> Value {
    let errors = device.errors.iter().map(|(class, count)| (class.name(), *count));
    json!({
        "id": device.id,
        "name": device.name,
        "state": if device.is_in { CardState::Up.name() } else { CardState::Out.name() },
        "workers": device.workers,
        "pictures": { "device": device.pictures, "processors": device.left },
        "seconds": device.took.as_secs_f64(),
        "errors": errors.collect::<std::collections::BTreeMap<_, _>>(),
        "put_out": device.put_out,
        "readmitted": device.readmitted,
    })
}

fn card_json(card: &CardStats) -> Value {
    json!({
        "uuid": card.uuid,
        "name": card.name,
        "engine": card.engine,
        "state": card.state.name(),
        "pid": card.pid,
        "in_hand": card.in_hand,
        "segments": card.segments,
        "errors": card.errors.iter().map(|(class, count)| (class.name(), *count)).collect::<std::collections::BTreeMap<_, _>>(),
        "left_to_processors": card.left,
        "sessions": card.sessions,
        "without_session": card.overflowed,
        "rungs": { "card": card.rungs_on_card, "processors": card.rungs_on_host },
        "put_out": card.put_out,
        "readmitted": card.readmitted,
        "memory_used_bytes": (card.memory_used_bytes > 0).then_some(card.memory_used_bytes),
        "temperature_celsius": card.health.celsius,
        "power_watts": card.health.milliwatts.map(watts),
        "throttled": card.health.throttled,
        "decoder_busy_percent": card.health.decoder_percent,
        "encoder_busy_percent": card.health.encoder_percent,
    })
}

/// The name of a stage, as serde writes it.
pub(crate) fn state_name(state: &impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(Value::String(name)) => name,
        other => format!("{other:?}"),
    }
}

/// A new stream key: 128 random bits.
pub(crate) fn random_key() -> std::io::Result<String> {
    Ok(format!("sk_{}", alloy::hex::encode(&random()?[..16])))
}

/// Random bytes that nobody can guess.
pub(crate) fn random() -> std::io::Result<[u8; 32]> {
    let mut bytes = [0u8; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes)
}

/// An address as a person on this machine can use it.
pub(crate) fn reachable(at: SocketAddr) -> SocketAddr {
    if at.ip().is_unspecified() { SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), at.port()) } else { at }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use headframe_codec::sessions::Stats;

    #[test]
    fn every_card_has_its_lines_from_the_start_on() {
        let metrics = Metrics::new().unwrap();
        let uuid = "GPU-01234567-89ab-cdef-0123-456789abcdef".to_owned();
        let card = CardStats { uuid, state: CardState::Up, segments: 7, ..CardStats::default() };
        let sessions = Some(Stats { cap: 8, ..Stats::default() });
        refresh_codec(&metrics, &PoolStats { cards: vec![card], sessions, ..PoolStats::default() });
        let text = metrics.text();
        let of = "uuid=\"GPU-01234567-89ab-cdef-0123-456789abcdef\"";
        for line in [
            format!("headframe_card_up{{{of}}} 1"),
            format!("headframe_card_segments{{{of}}} 7"),
            format!("headframe_card_errors{{class=\"device\",{of}}} 0"),
            format!("headframe_card_segments_left{{reason=\"busy\",{of}}} 0"),
            format!("headframe_card_put_out{{reason=\"transient\",{of}}} 0"),
            format!("headframe_card_rungs_overflowed{{reason=\"late\",{of}}} 0"),
            format!("headframe_card_sessions{{{of}}} 0"),
            "headframe_encoder_sessions{state=\"cap\"} 8".to_owned(),
            format!("headframe_card_rungs{{by=\"processors\",{of}}} 0"),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }

    #[test]
    fn a_card_that_scales_has_lines_where_there_is_one() {
        let metrics = Metrics::new().unwrap();
        let mut stats = PoolStats::default();
        refresh_codec(&metrics, &stats);
        assert!(!metrics.text().contains("headframe_vulkan_"), "{}", metrics.text());
        assert_eq!(workers_json(&stats)["vulkan"], Value::Null);
        stats.vulkan = Some(VulkanStats {
            id: "a0a1".to_owned(),
            workers: 2,
            pictures: 120,
            left: 3,
            took: Duration::from_millis(1500),
            errors: [(Class::Device, 1)].into(),
            put_out: [("device", 1)].into(),
            ..VulkanStats::default()
        });
        refresh_codec(&metrics, &stats);
        let text = metrics.text();
        for line in [
            "headframe_vulkan_up{device=\"a0a1\"} 0\n",
            "headframe_vulkan_workers{device=\"a0a1\"} 2\n",
            "headframe_vulkan_pictures{by=\"device\",device=\"a0a1\"} 120\n",
            "headframe_vulkan_pictures{by=\"processors\",device=\"a0a1\"} 3\n",
            "headframe_vulkan_seconds{device=\"a0a1\"} 1.5\n",
            "headframe_vulkan_errors{class=\"device\",device=\"a0a1\"} 1\n",
            "headframe_vulkan_errors{class=\"capacity\",device=\"a0a1\"} 0\n",
            "headframe_vulkan_put_out{device=\"a0a1\",reason=\"device\"} 1\n",
            "headframe_vulkan_put_out{device=\"a0a1\",reason=\"probe\"} 0\n",
            "headframe_vulkan_readmitted{device=\"a0a1\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let told = &workers_json(&stats)["vulkan"];
        assert_eq!((&told["state"], &told["pictures"]["processors"]), (&json!("out"), &json!(3)), "{told}");
        assert_eq!((&told["seconds"], &told["errors"]["device"]), (&json!(1.5), &json!(1)), "{told}");
    }

    #[test]
    fn what_is_not_known_of_a_card_has_no_line() {
        let metrics = Metrics::new().unwrap();
        let health = CardHealth {
            celsius: Some(84),
            milliwatts: Some(120_500),
            decoder_percent: Some(50),
            encoder_percent: None,
            throttled: Some([Throttle::Thermal].into()),
        };
        let mut card = CardStats { uuid: "GPU-1".to_owned(), health, ..CardStats::default() };
        refresh_card(&metrics.cards, &card);
        let text = metrics.text();
        for line in [
            "headframe_card_temperature_celsius{uuid=\"GPU-1\"} 84\n",
            "headframe_card_power_watts{uuid=\"GPU-1\"} 120.5\n",
            "headframe_card_decoder_busy_ratio{uuid=\"GPU-1\"} 0.5\n",
            "headframe_card_throttled{reason=\"thermal\",uuid=\"GPU-1\"} 1\n",
            "headframe_card_throttled{reason=\"power_cap\",uuid=\"GPU-1\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("headframe_card_encoder_busy_ratio{"), "{text}");
        let told = card_json(&card);
        assert_eq!((&told["throttled"], &told["power_watts"]), (&json!(["thermal"]), &json!(120.5)));
        card.health = CardHealth::default();
        refresh_card(&metrics.cards, &card);
        let text = metrics.text();
        for name in ["temperature_celsius", "power_watts", "decoder_busy_ratio", "throttled"] {
            assert!(!text.contains(&format!("headframe_card_{name}{{")), "{name} in {text}");
        }
    }

    #[test]
    fn a_second_instance_and_an_unknown_past_end_with_79_and_say_what_to_do() {
        let (account, nonce, count) = (Address::ZERO, 7, 3);
        for (error, word) in [
            (OutboxError::ForeignNonce { account, nonce }, "stop the other instance"),
            (OutboxError::UnknownPast { account, count }, "--take-over-account"),
        ] {
            let fatal = fatal_outbox(error);
            assert_eq!(crate::cli::exit_code(&fatal), 79);
            assert!(fatal.to_string().contains(word), "{fatal}");
        }
        assert_eq!(crate::cli::exit_code(&fatal_outbox(OutboxError::Full(9))), 1);
    }

    #[test]
    fn a_provider_that_is_set_aside_is_seen() {
        let metrics = Metrics::new().unwrap();
        let stats =
            ProviderStats { name: "http://a:1".into(), aside: Some("lies".into()), head: 9, ..Default::default() };
        refresh_provider(&metrics.rpc, &stats);
        let text = metrics.text();
        for line in [
            "headframe_rpc_up{provider=\"http://a:1\"} 0",
            "headframe_rpc_set_aside{provider=\"http://a:1\"} 1",
            "headframe_rpc_head_block{provider=\"http://a:1\"} 9",
            "headframe_rpc_requests{provider=\"http://a:1\",result=\"garbage\"} 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn keys_are_long_and_never_twice_the_same() {
        let (a, b) = (random_key().unwrap(), random_key().unwrap());
        assert!(a.len() == 35 && a != b);
    }
}
