//! `headframe-sim`: many seeds, or one of them line by line.

#![forbid(unsafe_code)]

use clap::Parser;
use headframe_sim::{Broken, Outcome, Summary, run};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
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
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// Takes one protection away, to see that it is noticed.
    #[arg(long)]
    broken: Option<Broken>,
    /// Ends with the first seed that fails.
    #[arg(long)]
    first: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let (from, seeds) = arguments.seed.map_or((arguments.from, arguments.seeds), |seed| (seed, 1));
    let (begin, mut told) = (Instant::now(), Instant::now());
    let mut summary = Summary::default();
    for seed in from..from.saturating_add(seeds) {
        let outcome = run(seed, arguments.broken, arguments.trace)?;
        if arguments.trace {
            let mut out = std::io::stdout().lock();
            for line in &outcome.lines {
                writeln!(out, "{line}")?;
            }
            writeln!(out, "trace {}", outcome.trace_hash)?;
        }
        let good = outcome.is_good();
        if !good {
            complain(&outcome, arguments.broken);
        }
        summary.add(outcome);
        if told.elapsed() > Duration::from_secs(if std::io::stderr().is_terminal() { 1 } else { 30 }) {
            told = Instant::now();
            let left = from + seeds - seed - 1;
            let rate = summary.seeds as f64 / begin.elapsed().as_secs_f64();
            eprintln!("{} seeds, {left} to go, {rate:.1} a second, {} failed", summary.seeds, summary.failed.len());
        }
        if arguments.first && !good {
            break;
        }
    }
    summary.wall_seconds = begin.elapsed().as_secs_f64();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else if !arguments.trace {
        print!("{summary}");
    }
    Ok(if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn complain(outcome: &Outcome, broken: Option<Broken>) {
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
    let broken = match broken {
        None => "",
        Some(Broken::Guard) => " --broken guard",
        Some(Broken::Outbox) => " --broken outbox",
        Some(Broken::Urgency) => " --broken urgency",
    };
    eprintln!("replay: ./run sim --seed {seed} --trace{broken}");
}
