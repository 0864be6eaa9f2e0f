//! Whether a card does what the design asks of one: each demand, what was found, and whether that is enough.

use super::measured::{Measured, Rate};
use crate::options::GpuOptions;
use crate::progress::Progress;
use crate::stage::Stage;
use anyhow::{Context as _, Result};
use headframe_codec::worker::{CardConfig, CardState, Cards, Pool, PoolConfig};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Streams that are decoded and scaled for long, and how long.
pub(super) const STREAMS: u32 = 24;
pub(crate) const SECONDS: u64 = 300;
/// Of the bandwidth of a copy within the card, each byte counted as read and written once.
const OF_COPY: f64 = 0.6;
const DECODERS_BUSY: f64 = 90.0;
/// Of one core, for each live ladder of 1080p at 30 pictures a second, without encoding in software.
const CORE: f64 = 0.03;
/// Memory of the card that may come on top after the first fifth of the time.
const FLAT: u64 = 16 << 20;
/// What `gpu-check` calls the batch that counts.
const BATCH: &str = "NV12 to 4 rungs, 64 at once";
const PICTURES: f64 = 30.0;
const HD: f64 = 1920.0 * 1080.0;

/// How a demand came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Met,
    Missed,
    /// Something is missing that would tell.
    NotMeasured,
}

/// One demand.
#[derive(Debug, Serialize)]
pub(super) struct Demand {
    what: &'static str,
    wanted: String,
    found: String,
    verdict: Verdict,
}

/// What the checks found beside the measurements.
pub(super) struct Checks {
    /// Of `headframe-codec gpu-test`.
    pub(super) test: Tested,
    /// Segments that the card's sandboxed worker made, of how many.
    pub(super) sandboxed: (u64, u64),
    /// Of `gpu-check`, where its report was given.
    pub(super) kernels: Option<Kernels>,
}

/// The report of `headframe-codec gpu-test`, as far as it counts here.
#[derive(Debug, Deserialize)]
pub(super) struct Tested {
    engine: String,
    decodes_and_scales_exactly: bool,
    encodes_all_pictures: bool,
    problems: Vec<String>,
}

/// The report of `gpu-check`, as far as it counts here.
#[derive(Debug, Deserialize)]
pub(super) struct Kernels {
    uuid: String,
    figures: Vec<Figure>,
}

#[derive(Debug, Deserialize)]
struct Figure {
    name: String,
    of_copy: f64,
}

/// Has the codec program test the card, and a worker of its own, locked up as on a rig, make the segments.
pub(super) fn check(stage: &Stage, options: &GpuOptions, uuid: &str, progress: &Progress) -> Result<Checks> {
    progress.step("comparing with what the processors make");
    let mut command = Command::new(&stage.codec);
    command.arg("gpu-test").args(&stage.cut.segments).args([
        "--json",
        "--streams",
        "1",
        "--seconds",
        "1",
        "--card",
        uuid,
    ]);
    command.args(options.libraries.iter().flat_map(|folder| [Path::new("--libraries"), folder]));
    command.args(options.input.ladder.iter().flat_map(|ladder| [Path::new("--ladder"), ladder]));
    // It fails when it finds something; its report says what.
    let output = command.output().with_context(|| format!("cannot run {}", stage.codec.display()))?;
    let test = serde_json::from_slice(&output.stdout).with_context(|| {
        let words = String::from_utf8_lossy(&output.stderr);
        format!("`headframe-codec gpu-test` gave no report: {}", words.lines().last().unwrap_or_default())
    })?;
    progress.step("having the card's sandboxed worker make the segments");
    Ok(Checks { test, sandboxed: sandboxed(stage, options, uuid)?, kernels: kernels(options)? })
}

fn kernels(options: &GpuOptions) -> Result<Option<Kernels>> {
    let Some(path) = &options.kernels else { return Ok(None) };
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let read =
        serde_json::from_slice(&text).with_context(|| format!("{}: not a report of gpu-check", path.display()))?;
    Ok(Some(read))
}

fn sandboxed(stage: &Stage, options: &GpuOptions, uuid: &str) -> Result<(u64, u64)> {
    let which = uuid.parse::<Cards>().map_err(anyhow::Error::msg)?;
    // Workers run in a folder of their own.
    let libraries = options.libraries.as_deref().map(std::path::absolute).transpose()?;
    let cards = CardConfig { which, libraries, ..CardConfig::default() };
    let patience = Instant::now() + cards.start_timeout + Duration::from_secs(20);
    let pool = Pool::start(PoolConfig { program: stage.codec.clone(), cards, ..PoolConfig::default() })?;
    let up = || pool.stats().cards.first().is_some_and(|card| card.state == CardState::Up);
    while !up() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(100));
    }
    let sources = stage.sources()?;
    for (number, bytes) in sources.iter().enumerate() {
        stage.transcode(&pool, "accept", number as u64, bytes)?;
    }
    let made = pool.stats().cards.first().map_or(0, |card| card.segments.saturating_sub(card.segments_on_host));
    pool.shutdown();
    Ok((made, sources.len() as u64))
}

/// All demands, in the order in which a picture meets them.
pub(super) fn judge(it: &Measured, checks: &Checks, size: (u32, u32)) -> Vec<Demand> {
    let mut demands = vec![exact(checks)];
    if it.encodes {
        demands.push(whole(checks));
    }
    demands.extend([scaler(it, checks), decoders(it)]);
    match &it.soak {
        Some(soak) => demands.extend(long(soak)),
        None => demands.push(missing("decoding and scaling for long", "24 streams for 300 s".into(), "not tried")),
    }
    let (made, of) = checks.sandboxed;
    let sandboxed = "segments made by the card's worker in its sandbox";
    demands.extend([demand(sandboxed, of.to_string(), made == of, made.to_string()), core(it, size)]);
    demands
}

fn whole(checks: &Checks) -> Demand {
    let all = checks.test.encodes_all_pictures;
    let found = match checks.test.problems.first() {
        Some(problem) if !all => problem.clone(),
        _ => "all".to_owned(),
    };
    demand("the card encodes every picture of every rung", "all".into(), all, found)
}

fn scaler(it: &Measured, checks: &Checks) -> Demand {
    let percent = |share: f64| format!("{:.0} % of its bytes", share * 100.0);
    let (what, wanted) = ("1080p to four rungs, against copying", percent(OF_COPY));
    let kernels = checks.kernels.as_ref().filter(|kernels| kernels.uuid == it.card.uuid);
    match kernels.and_then(|kernels| kernels.figures.iter().find(|figure| figure.name == BATCH)) {
        Some(figure) => demand(what, wanted, figure.of_copy >= OF_COPY, percent(figure.of_copy)),
        None => missing(what, wanted, "give --kernels, the report of scripts/gpu-check on this card"),
    }
}

fn decoders(it: &Measured) -> Demand {
    let (what, wanted) = ("decode engines busy when they are the limit", format!("{DECODERS_BUSY} %"));
    let busy = it.parts.iter().filter(|rate| rate.part != "encode").filter_map(|rate| rate.decoders_busy_percent);
    match busy.reduce(f64::max) {
        Some(most) => demand(what, wanted, most >= DECODERS_BUSY, format!("{most:.0} %")),
        None => missing(what, wanted, "the driver does not tell"),
    }
}

/// The least that a ladder cost in any run of several; of 1080p30, whatever the clip is.
fn core(it: &Measured, size: (u32, u32)) -> Demand {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let what = "of a core for a ladder of 1080p30, but for software encoding";
    let hd = f64::from(size.0) * f64::from(size.1) / HD;
    let cost = it.own_link(if it.encodes { "card" } else { "processors" }).map(|run| {
        let seconds = run.pictures as f64 / PICTURES * hd;
        run.cpu_s_per_video_s * run.video_s / seconds.max(1e-9)
    });
    let wanted = format!("at most {}", percent(CORE));
    match cost.reduce(f64::min) {
        Some(least) => demand(what, wanted, least <= CORE, percent(least)),
        None => missing(what, wanted, "no ladder was made"),
    }
}

fn missing(what: &'static str, wanted: String, why: &str) -> Demand {
    Demand { what, wanted, found: why.to_owned(), verdict: Verdict::NotMeasured }
}

fn demand(what: &'static str, wanted: String, met: bool, found: String) -> Demand {
    let verdict = if met { Verdict::Met } else { Verdict::Missed };
    Demand { what, wanted, found, verdict }
}

fn exact(checks: &Checks) -> Demand {
    let met = checks.test.decodes_and_scales_exactly;
    let found = match checks.test.problems.first() {
        Some(problem) if !met => problem.clone(),
        _ => format!("so, with the engine {}", checks.test.engine),
    };
    demand("decoded and scaled as the processors do, to the byte", "every segment".into(), met, found)
}

/// What the long step has to show.
fn long(soak: &Rate) -> [Demand; 4] {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let enough = soak.at_once as u32 >= STREAMS && soak.seconds >= SECONDS as f64;
    let grown = soak.memory.most.saturating_sub(soak.memory.most_early);
    let live = f64::from(STREAMS) * PICTURES;
    [
        demand(
            "streams of 1080p decoded and scaled at once, for how long",
            format!("{STREAMS} for {SECONDS} s"),
            enough,
            format!("{} for {:.0} s", soak.at_once, soak.seconds),
        ),
        demand(
            "of them, pictures of 1080p a second",
            format!("{live:.0}"),
            soak.hd_pictures_per_s >= live,
            format!("{:.0}", soak.hd_pictures_per_s),
        ),
        demand(
            "the card's memory in use grows after the first fifth by",
            format!("at most {}", mib(FLAT)),
            grown <= FLAT,
            mib(grown),
        ),
        demand(
            "raw bytes that left the card meanwhile",
            "0".into(),
            soak.to_host_bytes == 0,
            soak.to_host_bytes.to_string(),
        ),
    ]
}

/// Whether nothing was missed.
pub(super) fn accepted(demands: &[Demand]) -> bool {
    demands.iter().all(|demand| demand.verdict != Verdict::Missed)
}

pub(super) fn text(demands: &[Demand]) -> String {
    let mut text = format!("\n{:<66}{:>24}  found\n", "demand", "wanted");
    for Demand { what, wanted, found, verdict } in demands {
        let verdict = match verdict {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::NotMeasured => "not measured",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{what:<66}{wanted:>24}  {verdict}: {found}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::measured::tests::{measured, run};
    use super::*;

    fn checks(of_copy: f64) -> Checks {
        let figures = vec![Figure { name: BATCH.into(), of_copy }];
        Checks {
            test: Tested {
                engine: "direct".into(),
                decodes_and_scales_exactly: true,
                encodes_all_pictures: true,
                problems: Vec::new(),
            },
            sandboxed: (10, 10),
            kernels: Some(Kernels { uuid: "GPU-1".into(), figures }),
        }
    }

    /// Which demands were missed, by their number.
    fn missed(it: &Measured, checks: &Checks) -> Vec<usize> {
        let demands = judge(it, checks, (1920, 1080));
        demands.iter().enumerate().filter(|(_, it)| it.verdict == Verdict::Missed).map(|(i, _)| i).collect()
    }

    #[test]
    fn each_demand_can_be_missed_alone() {
        let good = || {
            let mut it = measured(vec![run("card", 1, 5.0, 400)], &[]);
            it.ladders[0].pictures = 150;
            it.parts[1].decoders_busy_percent = Some(95.0);
            let mut soak = it.parts[1].clone();
            (soak.at_once, soak.seconds, soak.hd_pictures_per_s) = (24, 300.5, 900.0);
            it.soak = Some(soak);
            it
        };
        assert_eq!(missed(&good(), &checks(0.61)), [0usize; 0]);
        assert!(accepted(&judge(&good(), &checks(0.61), (1920, 1080))));
        let with = |change: fn(&mut Measured)| {
            let mut it = good();
            change(&mut it);
            missed(&it, &checks(0.7))
        };
        let not = |change: fn(&mut Checks)| {
            let mut checks = checks(0.7);
            change(&mut checks);
            missed(&good(), &checks)
        };
        assert_eq!(not(|it| it.test.decodes_and_scales_exactly = false), [0]);
        assert_eq!(not(|it| it.test.encodes_all_pictures = false), [1]);
        assert_eq!(missed(&good(), &checks(0.59)), [2]);
        assert_eq!(with(|it| it.parts[1].decoders_busy_percent = Some(80.0)), [3]);
        assert_eq!(with(|it| it.soak.as_mut().unwrap().seconds = 200.0), [4]);
        assert_eq!(with(|it| it.soak.as_mut().unwrap().hd_pictures_per_s = 700.0), [5]);
        assert_eq!(with(|it| it.soak.as_mut().unwrap().memory.most = 20 << 20), [6]);
        assert_eq!(with(|it| it.soak.as_mut().unwrap().to_host_bytes = 1), [7]);
        assert_eq!(not(|it| it.sandboxed.0 = 9), [8]);
        assert_eq!(with(|it| it.ladders[0].cpu_s_per_video_s = 0.04), [9]);
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let it = measured(vec![run("card", 1, 5.0, 400)], &[]);
        let mut checks = checks(0.9);
        // A report of another card says nothing.
        checks.kernels.as_mut().unwrap().uuid = "GPU-2".into();
        let demands = judge(&it, &checks, (1920, 1080));
        let open = demands.iter().filter(|it| it.verdict == Verdict::NotMeasured).count();
        assert_eq!(open, 3, "{demands:?}");
        assert!(text(&demands).contains("not measured: give --kernels"), "{}", text(&demands));
    }
}
