//! `headframe-bench`: what this machine does, in figures that others can check. See `headframe-bench --help`.
//!
//! | module | knows |
//! | --- | --- |
//! | [`compare`] | our pool against the ffmpeg command line |
//! | [`kernels`] | our kernels against a copy and against FFmpeg's scalers |
//! | [`latency`] | from a segment in to its last byte out |
//! | [`density`] | live ladders for each core |
//! | [`gpu`] | what one graphics card does: its parts, ladders on it, and what they cost its host |
//! | [`guard`] | how fast the slashing protection records, against what the design asks for |
//! | [`certify`] | how many live streams the machine sustains: search, load, verdict |
//! | [`report`], [`canonical`], [`sign`] | reports that prove who made them and that nobody changed them |
//! | [`clip`], [`ffmpeg`] | test material, and the program that cuts and decodes it |
//! | [`stage`], [`figures`] | what measurements of the ladder share: before they start, and as they are stored |
//! | [`machine`], [`power`], [`stats`] | where and what for; what processors draw; medians, bounds, seeded chance |
#![forbid(unsafe_code)]

mod canonical;
mod certify;
mod clip;
mod compare;
mod density;
mod ffmpeg;
mod figures;
mod gpu;
mod guard;
mod kernels;
mod latency;
mod machine;
mod options;
mod power;
mod progress;
mod report;
mod sign;
mod stage;
mod stats;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser as _;
use options::{Command, Options, VerifyOptions};
use std::io::Read as _;
use std::process::ExitCode;

/// What signed reports name as their maker.
const TOOL: &str = concat!("headframe-bench ", env!("CARGO_PKG_VERSION"));
/// Exit code of a keystore, password or signer that does not work.
const EXIT_CONFIG: u8 = headframe_guard::EXIT_CONFIG;
/// Exit code of an acceptance that missed nothing but did not measure everything. `scripts/gpu-accept` knows it, too.
const EXIT_INCOMPLETE: u8 = 3;

fn main() -> ExitCode {
    let outcome = match Options::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Kernels(options) => kernels::run(&options),
        Command::Latency(options) => latency::run(&options),
        Command::Density(options) => density::run(&options),
        Command::Gpu(options) => gpu::run(&options),
        Command::Guard(options) => guard::run(&options),
        Command::Certify(options) => certify::run(&options),
        Command::Verify(options) => verify(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headframe-bench: {error:#}");
            exit_code(&error)
        }
    }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<sign::NotUsable>() {
        ExitCode::from(EXIT_CONFIG)
    } else if error.is::<gpu::Incomplete>() {
        ExitCode::from(EXIT_INCOMPLETE)
    } else {
        ExitCode::FAILURE
    }
}

fn verify(options: &VerifyOptions) -> Result<()> {
    let path = &options.report;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(report::MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(bytes.len() as u64 <= report::MAX_BYTES, "{} is larger than any report", path.display());
    let verified = report::verify(&bytes).with_context(|| format!("{} does not verify", path.display()))?;
    println!("digest    {}", verified.digest);
    for name in ["tool", "sustained", "void"] {
        if let Some(value) = verified.report.get(name) {
            println!("{name:<9} {value}");
        }
    }
    match (verified.signer, options.address) {
        (Some(signer), Some(wanted)) if signer != wanted => bail!("signed by {signer}, not by {wanted}"),
        (Some(signer), _) => println!("signed by {signer}"),
        (None, _) if options.allow_unsigned => println!("unsigned"),
        (None, _) => bail!("nobody signed it; --allow-unsigned checks the hash alone"),
    }
    Ok(())
}
