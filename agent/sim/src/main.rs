//! `headframe-sim`: many seeds, or one of them line by line.

#![forbid(unsafe_code)]

use clap::{Parser, ValueEnum};
use headframe_sim::{Broken, Focus, Length, Outcome, Plan, Summary, run};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// Runs the rig's control plane in simulated time, with everything going wrong that a seed decides, and checks that it does
/// nothing for which it would be punished.
#[derive(Debug, Parser)]
#[command(name = "headframe-sim", version)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1000, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    from: u64,
    /// This one alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints what happened, with --seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Makes each run longer: up to three jobs of up to forty segments, not one or two of up to twelve.
    #[arg(long)]
    long: bool,
    /// Troubles of one kind alone, as frequent as they come.
    #[arg(long)]
    scenario: Option<Focus>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// Takes one protection away, to see that it is noticed.
    #[arg(long)]
    broken: Option<Broken>,
    /// Ends with the first seed that fails.
    #[arg(long)]
    first: bool,
    /// How many seeds are in work at a time [default: as many as there are processors].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let (from, seeds) = arguments.seed.map_or((arguments.from, arguments.seeds), |seed| (seed, 1));
    let (begin, mut told) = (Instant::now(), Instant::now());
    let mut summary = Summary::default();
    let jobs = arguments.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let length = if arguments.long { Length::Long } else { Length::Short };
    let plan = Plan { length, only: arguments.scenario, broken: arguments.broken };
    let one = move |seed| run(seed, plan, arguments.trace);
    for outcome in outcomes(from, seeds, jobs, one) {
        let outcome = outcome?;
        if arguments.trace {
            let mut out = std::io::stdout().lock();
            for line in &outcome.lines {
                writeln!(out, "{line}")?;
            }
            writeln!(out, "trace {}", outcome.trace_hash)?;
        }
        let good = outcome.is_good();
        if !good {
            complain(&outcome, &plan);
        }
        summary.add(outcome);
        if told.elapsed() > Duration::from_secs(if std::io::stderr().is_terminal() { 1 } else { 30 }) {
            told = Instant::now();
            let left = seeds - summary.seeds;
            let rate = summary.seeds as f64 / begin.elapsed().as_secs_f64();
            eprintln!("{} seeds, {left} to go, {rate:.1} a second, {} failed", summary.seeds, summary.failed.len());
        }
        if arguments.first && !good {
            break;
        }
    }
    summary.failed.sort_by_key(|outcome| outcome.seed);
    summary.wall_seconds = begin.elapsed().as_secs_f64();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else if !arguments.trace {
        print!("{summary}");
    }
    Ok(if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The outcome of each seed, in the order in which they end. Each run is a thread's alone, so that none changes another.
fn outcomes(
    from: u64,
    seeds: u64,
    jobs: usize,
    run: impl Fn(u64) -> anyhow::Result<Outcome> + Copy + Send + 'static,
) -> Receiver<anyhow::Result<Outcome>> {
    let (out, outcomes) = sync_channel(jobs);
    let next = Arc::new(AtomicU64::new(0));
    for _ in 0..jobs {
        let (out, next) = (out.clone(), next.clone());
        std::thread::spawn(move || {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= seeds || out.send(run(from.wrapping_add(nth))).is_err() {
                    return;
                }
            }
        });
    }
    outcomes
}

fn complain(outcome: &Outcome, plan: &Plan) {
    let seed = outcome.seed;
    for violation in &outcome.violations {
        eprintln!("seed {seed}: slashable: {}: {}", violation.what, violation.detail);
    }
    for claim in &outcome.missed {
        eprintln!("seed {seed}: missed: claim {claim}");
    }
    if let Some(why) = &outcome.halted {
        eprintln!("seed {seed}: halted: {why}");
    }
    let named = |flag: &str, value: Option<String>| value.map_or_else(String::new, |value| format!(" {flag} {value}"));
    let scenario = named("--scenario", plan.only.map(name_of));
    let broken = named("--broken", plan.broken.map(name_of));
    let long = if plan.length == Length::Long { " --long" } else { "" };
    eprintln!("replay: ./run sim --seed {seed}{long} --trace{scenario}{broken}");
}

/// As it is written on the command line.
fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
