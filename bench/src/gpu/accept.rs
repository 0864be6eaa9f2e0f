//! Whether a card does what the design asks of one: each demand, what was found, and whether that is enough.

use super::Incomplete;
use super::measured::{Live, Measured, Rate};
use crate::options::GpuOptions;
use crate::progress::Progress;
use crate::stage::Stage;
use anyhow::{Context as _, Result, bail};
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
/// While pictures are decoded and scaled, and of the speed of decoding alone: then the decoder is the limit.
const DECODERS_BUSY: f64 = 90.0;
const OF_DECODING: f64 = 0.9;
/// Of one core, for each live ladder of 1080p at 30 pictures a second, without encoding in software.
const CORE: f64 = 0.03;
/// Memory of the card that may come on top after the first fifth of the time.
const FLAT: u64 = 16 << 20;
/// What `gpu-check` calls the batch that counts.
const BATCH: &str = "NV12 to 4 rungs, 64 at once";
const PICTURES: f64 = 30.0;
const HD: f64 = 1920.0 * 1080.0;
const NOT_LIVE: &str = "no live ladder was tried; give --live 60, on a machine that makes one at full speed";

/// How a demand came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Met,
    Missed,
    /// Something is missing that would tell.
    NotMeasured,
}

/// What all demands together say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Conclusion {
    Accepted,
    /// Nothing was missed, but not everything was measured.
    Incomplete,
    Refused,
    /// The driver is a test double.
    NoCard,
}

/// One demand.
#[derive(Debug, Serialize)]
pub(super) struct Demand {
    what: &'static str,
    wanted: String,
    /// What was not measured: why, and what to do about it.
    found: String,
    verdict: Verdict,
}

/// What the checks found beside the measurements.
pub(super) struct Checks {
    /// Of `headframe-codec gpu-test`.
    pub(super) test: Tested,
    /// Segments that the card's sandboxed worker made, of how many; or why there is no sandbox on this machine.
    pub(super) sandboxed: Result<(u64, u64), String>,
    /// Of `gpu-check`, where its report was given.
    pub(super) kernels: Option<Kernels>,
}

/// The report of `headframe-codec gpu-test`, as far as it counts here.
#[derive(Debug, Deserialize)]
pub(super) struct Tested {
    engine: String,
    decodes_and_scales_exactly: bool,
    encodes_all_pictures: bool,
    reconfigured_equals_fresh: Option<bool>,
    doubts: Option<Vec<Doubt>>,
    problems: Vec<String>,
}

/// A codec and depth that the driver says the card decodes.
#[derive(Debug, Deserialize)]
struct Doubt {
    codec: String,
    bit_depth: u8,
    reason: String,
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

fn sandboxed(stage: &Stage, options: &GpuOptions, uuid: &str) -> Result<Result<(u64, u64), String>> {
    let which = uuid.parse::<Cards>().map_err(anyhow::Error::msg)?;
    // Workers run in a folder of their own.
    let libraries = options.libraries.as_deref().map(std::path::absolute).transpose()?;
    let cards = CardConfig { which, libraries, ..CardConfig::default() };
    let patience = Instant::now() + cards.start_timeout + Duration::from_secs(20);
    // It starts with a worker that has no card: where that fails, it is not for the card.
    let pool = match Pool::start(PoolConfig { program: stage.codec.clone(), cards, ..PoolConfig::default() }) {
        Ok(pool) => pool,
        Err(error) => return Ok(Err(error.to_string())),
    };
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
    Ok(Ok((made, sources.len() as u64)))
}

/// All demands, in the order in which a picture meets them.
pub(super) fn judge(it: &Measured, checks: &Checks, size: (u32, u32)) -> Vec<Demand> {
    let mut demands = vec![exact(checks), codecs(checks)];
    if it.encodes {
        demands.extend([whole(checks), reused(checks)]);
    }
    demands.push(scaler(it, checks));
    demands.extend(decoders(it));
    match &it.soak {
        Some(soak) => demands.extend(long(soak)),
        None => {
            let wanted = format!("{STREAMS} streams for {SECONDS} s");
            demands.push(missing("decoding and scaling for long", wanted, &format!("give --soak {SECONDS}")));
        }
    }
    demands.extend([inside(checks), core(it, size)]);
    demands
}

fn inside(checks: &Checks) -> Demand {
    let what = "segments made by the card's worker in its sandbox";
    match &checks.sandboxed {
        Ok((made, of)) => demand(what, of.to_string(), made == of, made.to_string()),
        Err(why) => missing(what, "all".into(), why),
    }
}

/// Each by a clip of a few pictures.
fn codecs(checks: &Checks) -> Demand {
    let (what, wanted) = ("codecs and depths that the driver says it decodes, as the processors do", "all".to_owned());
    let Some(doubts) = &checks.test.doubts else {
        return missing(what, wanted, "no engine passed its test, which comes before");
    };
    let told = |doubt: &Doubt| format!("not {} in {} bits: {}", doubt.codec, doubt.bit_depth, doubt.reason);
    let found = if doubts.is_empty() { wanted.clone() } else { doubts.iter().map(told).collect::<Vec<_>>().join("; ") };
    demand(what, wanted, doubts.is_empty(), found)
}

/// FFmpeg keeps no session from one segment to the next.
fn reused(checks: &Checks) -> Demand {
    let (what, wanted) = ("a session that was used makes what a new one makes, to the byte", "it does".to_owned());
    match checks.test.reconfigured_equals_fresh {
        Some(equal) => demand(what, wanted, equal, if equal { "it does" } else { "it does not" }.to_owned()),
        None if checks.test.engine == "ffmpeg" => demand(what, wanted, true, "all are new".to_owned()),
        None => missing(
            what,
            wanted,
            "the driver gave no session, or does not reconfigure any: see headframe-codec gpu-test",
        ),
    }
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

/// Engines that are busy while they decode alone say nothing of the scaler behind them.
fn decoders(it: &Measured) -> [Demand; 2] {
    let both = it.fastest("decode_and_scale");
    let (what, wanted) = ("decode engines busy while pictures are decoded and scaled", format!("{DECODERS_BUSY} %"));
    let busy = match both.and_then(|rate| rate.decoders_busy_percent) {
        Some(busy) => demand(what, wanted, busy >= DECODERS_BUSY, format!("{busy:.1} %")),
        None => missing(what, wanted, "the driver does not tell; it takes its libnvidia-ml.so.1"),
    };
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let (what, wanted) = ("pictures decoded and scaled a second, against decoding alone", percent(OF_DECODING));
    let alone = it.fastest("decode").filter(|alone| alone.pictures_per_s > 0.0);
    let speed = match both.zip(alone).map(|(both, alone)| both.pictures_per_s / alone.pictures_per_s) {
        Some(share) => demand(what, wanted, share >= OF_DECODING, percent(share)),
        None => missing(what, wanted, "one of the two was not tried; take headframe-codec of the same version"),
    };
    [busy, speed]
}

/// What a live ladder costs the process that has the engine, in the worst of the runs that were on time; of 1080p30,
/// whatever the clip is. Runs at full speed do not count: what comes at once costs less than what comes bit by bit.
fn core(it: &Measured, size: (u32, u32)) -> Demand {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let what = "of a core for a live ladder of 1080p30, but for software encoding";
    let hd = f64::from(size.0) * f64::from(size.1) / HD;
    let cost = |run: &Live| {
        let cost = run.cost.as_ref()?;
        let seconds = cost.pictures as f64 / PICTURES * hd;
        (seconds > 0.0).then(|| cost.cpu_s / seconds)
    };
    let wanted = format!("at most {}", percent(CORE));
    let sustained = || it.live.iter().filter(|run| run.on_time);
    match sustained().filter_map(cost).reduce(f64::max) {
        Some(worst) => demand(what, wanted, worst <= CORE, percent(worst)),
        None if it.live.is_empty() => missing(what, wanted, NOT_LIVE),
        None if sustained().count() > 0 => missing(what, wanted, "take headframe-codec of the same version"),
        None => missing(what, wanted, "no live ladder was on time; try again with nothing else running"),
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

/// What the demands say together. Only what meets all of them is accepted.
pub(super) fn conclude(demands: &[Demand], doubles: bool) -> Conclusion {
    let any = |verdict| demands.iter().any(|demand| demand.verdict == verdict);
    if any(Verdict::Missed) {
        Conclusion::Refused
    } else if doubles {
        Conclusion::NoCard
    } else if any(Verdict::NotMeasured) {
        Conclusion::Incomplete
    } else {
        Conclusion::Accepted
    }
}

/// How the program ends with that.
pub(super) fn end(demands: &[Demand], conclusion: Conclusion) -> Result<()> {
    match conclusion {
        Conclusion::Accepted => Ok(()),
        Conclusion::Incomplete => Err(Incomplete(open(demands).collect::<Vec<_>>().join("; ")).into()),
        Conclusion::Refused => bail!("the card misses what is marked above"),
        Conclusion::NoCard => bail!("no card is accepted by this: the driver is a test double"),
    }
}

/// What was not measured, and what to do about it.
fn open(demands: &[Demand]) -> impl Iterator<Item = String> {
    let open = demands.iter().filter(|demand| demand.verdict == Verdict::NotMeasured);
    open.map(|demand| format!("{}: {}", demand.what, demand.found))
}

pub(super) fn text(demands: &[Demand], conclusion: Conclusion) -> String {
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
    text += match conclusion {
        Conclusion::Accepted => "\naccepted: every demand is met\n",
        Conclusion::Incomplete => "\nINCOMPLETE: nothing is missed, but not all was measured\n",
        Conclusion::Refused => "\nNOT ACCEPTED: something is missed\n",
        Conclusion::NoCard => "\nNOT ACCEPTED: no card was measured\n",
    };
    for line in open(demands) {
        let _ = writeln!(text, "not measured: {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::measured::LiveCost;
    use super::super::measured::tests::{measured, run};
    use super::*;

    fn checks(of_copy: f64) -> Checks {
        let figures = vec![Figure { name: BATCH.into(), of_copy }];
        Checks {
            test: Tested {
                engine: "direct".into(),
                decodes_and_scales_exactly: true,
                encodes_all_pictures: true,
                reconfigured_equals_fresh: Some(true),
                doubts: Some(Vec::new()),
                problems: Vec::new(),
            },
            sandboxed: Ok((10, 10)),
            kernels: Some(Kernels { uuid: "GPU-1".into(), figures }),
        }
    }

    fn doubt() -> Doubt {
        Doubt { codec: "vp9".into(), bit_depth: 10, reason: "green".into() }
    }

    /// A card that meets everything.
    fn good() -> Measured {
        let mut it = measured(vec![run("card", 1, 5.0, 400)], &[]);
        it.parts[2].decoders_busy_percent = Some(95.0);
        let mut soak = it.parts[2].clone();
        (soak.at_once, soak.seconds, soak.hd_pictures_per_s) = (24, 300.5, 900.0);
        it.soak = Some(soak);
        it.live = vec![live(4, true, 0.2)];
        it
    }

    /// Ten seconds of one ladder in all, with so much processor time.
    fn live(streams: usize, on_time: bool, cpu_s: f64) -> Live {
        let cost = LiveCost { pictures: 300, cpu_s, software_encoding_s: 1.0 };
        Live { streams, segments: 5, late: 0, p99: 0.5, worst: 0.5, on_time, cost: Some(cost) }
    }

    fn demands(it: &Measured, checks: &Checks) -> Vec<Demand> {
        judge(it, checks, (1920, 1080))
    }

    /// Which demands were missed, by their number.
    fn missed(it: &Measured, checks: &Checks) -> Vec<usize> {
        let demands = demands(it, checks);
        demands.iter().enumerate().filter(|(_, it)| it.verdict == Verdict::Missed).map(|(i, _)| i).collect()
    }

    #[test]
    fn each_demand_can_be_missed_alone() {
        assert_eq!(missed(&good(), &checks(0.61)), [0usize; 0]);
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
        assert_eq!(not(|it| it.test.doubts.as_mut().unwrap().push(doubt())), [1]);
        assert_eq!(not(|it| it.test.encodes_all_pictures = false), [2]);
        assert_eq!(not(|it| it.test.reconfigured_equals_fresh = Some(false)), [3]);
        assert_eq!(missed(&good(), &checks(0.59)), [4]);
        assert_eq!(with(|it| it.parts[2].decoders_busy_percent = Some(80.0)), [5]);
        assert_eq!(with(|it| it.parts[2].pictures_per_s = 620.0), [6]);
        assert_eq!(with(|it| it.soak.as_mut().unwrap().seconds = 200.0), [7]);
        assert_eq!(with(|it| it.soak.as_mut().unwrap().hd_pictures_per_s = 700.0), [8]);
        assert_eq!(with(|it| it.soak.as_mut().unwrap().memory.most = 20 << 20), [9]);
        assert_eq!(with(|it| it.soak.as_mut().unwrap().to_host_bytes = 1), [10]);
        assert_eq!(not(|it| it.sandboxed = Ok((9, 10))), [11]);
        assert_eq!(with(|it| it.live = vec![live(4, true, 0.4)]), [12]);
    }

    #[test]
    fn the_decoder_is_judged_while_pictures_are_scaled_too() {
        let mut it = good();
        it.parts[1].decoders_busy_percent = Some(95.0);
        it.parts[2].decoders_busy_percent = Some(40.0);
        assert_eq!(missed(&it, &checks(0.7)), [5]);
        // Engines look busy, and still wait for what comes behind them.
        it.parts[2].decoders_busy_percent = Some(95.0);
        it.parts[2].pictures_per_s = 0.5 * it.parts[1].pictures_per_s;
        assert_eq!(missed(&it, &checks(0.7)), [6]);
    }

    #[test]
    fn of_live_runs_the_worst_that_was_on_time_counts() {
        let mut it = good();
        it.live = vec![live(8, false, 9.0), live(4, true, 0.29)];
        assert_eq!(missed(&it, &checks(0.7)), [0usize; 0]);
        it.live.push(live(3, true, 0.31));
        assert_eq!(missed(&it, &checks(0.7)), [12]);
        // Full speed is none of its business.
        let mut it = good();
        it.ladders[0].cpu_s_per_video_s = 0.5;
        assert_eq!(missed(&it, &checks(0.7)), [0usize; 0]);
    }

    #[test]
    fn without_a_live_run_that_tells_processor_time_is_not_measured() {
        let why = |live: Vec<Live>| {
            let demands = demands(&Measured { live, ..good() }, &checks(0.7));
            assert_eq!(demands[12].verdict, Verdict::NotMeasured, "{demands:?}");
            demands[12].found.clone()
        };
        assert!(why(Vec::new()).contains("--live"));
        assert!(why(vec![live(1, false, 0.1)]).contains("on time"));
        assert!(why(vec![Live { cost: None, ..live(1, true, 0.1) }]).contains("same version"));
    }

    #[test]
    fn only_a_card_that_meets_everything_is_accepted() {
        let met = demands(&good(), &checks(0.7));
        assert_eq!(conclude(&met, false), Conclusion::Accepted);
        assert!(end(&met, Conclusion::Accepted).is_ok());
        assert_eq!(conclude(&met, true), Conclusion::NoCard);
        assert!(!end(&met, Conclusion::NoCard).unwrap_err().is::<Incomplete>());

        let mut unknown = checks(0.7);
        (unknown.test.doubts, unknown.test.reconfigured_equals_fresh) = (None, None);
        assert_eq!(conclude(&demands(&good(), &unknown), false), Conclusion::Incomplete);
        // All of FFmpeg's are new.
        (unknown.test.doubts, unknown.test.engine) = (Some(Vec::new()), "ffmpeg".into());
        assert_eq!(conclude(&demands(&good(), &unknown), false), Conclusion::Accepted);

        let open = demands(&good(), &Checks { kernels: None, ..checks(0.7) });
        assert_eq!(conclude(&open, false), Conclusion::Incomplete);
        let error = end(&open, Conclusion::Incomplete).unwrap_err();
        assert!(error.is::<Incomplete>() && error.to_string().contains("give --kernels"), "{error}");

        let no_sandbox = demands(&good(), &Checks { sandboxed: Err("landlock: none".into()), ..checks(0.7) });
        assert_eq!(conclude(&no_sandbox, false), Conclusion::Incomplete);

        let missed = demands(&good(), &Checks { kernels: None, sandboxed: Ok((9, 10)), ..checks(0.7) });
        assert_eq!(conclude(&missed, false), Conclusion::Refused);
        assert!(!end(&missed, Conclusion::Refused).unwrap_err().is::<Incomplete>());
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let it = measured(vec![run("card", 1, 5.0, 400)], &[]);
        let mut checks = checks(0.9);
        // A report of another card says nothing.
        checks.kernels.as_mut().unwrap().uuid = "GPU-2".into();
        let demands = demands(&it, &checks);
        let open = demands.iter().filter(|it| it.verdict == Verdict::NotMeasured).count();
        assert_eq!(open, 4, "{demands:?}");
        let text = text(&demands, conclude(&demands, false));
        assert!(text.contains("not measured: give --kernels") && text.contains("INCOMPLETE"), "{text}");
        assert_eq!(text.matches("\nnot measured: ").count(), 4, "{text}");
    }
}
