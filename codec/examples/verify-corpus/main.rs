//! Builds the corpus of honest renditions and cheats with the `ffmpeg` program, verifies all of it, and prints how it
//! went. What was measured is kept in `findings.jsonl`, so that other bounds can be tried without encoding again.
//!
//! ```text
//! scripts/verify-corpus [--out FOLDER] [--clip FILE] [--ffmpeg FILE]... [--quick] [--later SECONDS] [--order NAME]... [--encode | --measure] [--judge FINDINGS]
//! ```

mod build;
mod recipes;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("verify-corpus: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line says.
pub(crate) struct Options {
    pub(crate) out: PathBuf,
    pub(crate) clip: Option<PathBuf>,
    /// Further `ffmpeg` programs; the first with libopenh264 provides that encoder.
    pub(crate) ffmpegs: Vec<PathBuf>,
    pub(crate) quick: bool,
    /// Only the clip, from this many seconds later: pictures that the bounds were not chosen on.
    pub(crate) later: Option<f64>,
    /// Only these of the orders, all where empty; what was found of the others before is kept.
    pub(crate) orders: Vec<String>,
    /// Only make the renditions; they are kept for the next run.
    pub(crate) encode_only: bool,
    /// Only measure renditions made before.
    pub(crate) measure_only: bool,
    judge: Option<PathBuf>,
}

fn run() -> Result<bool, String> {
    let mut options = Options {
        out: "target/verify-corpus".into(),
        clip: None,
        ffmpegs: vec![],
        quick: false,
        later: None,
        orders: vec![],
        encode_only: false,
        measure_only: false,
        judge: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().map(PathBuf::from).ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--out" => options.out = value()?,
            "--clip" => options.clip = Some(value()?),
            "--ffmpeg" => options.ffmpegs.push(value()?),
            "--order" => options.orders.push(value()?.to_string_lossy().into_owned()),
            "--measure" => options.measure_only = true,
            "--encode" => options.encode_only = true,
            "--later" => {
                let seconds = value()?.to_string_lossy().parse();
                options.later = Some(seconds.map_err(|_| "--later needs seconds")?);
            }
            "--quick" => options.quick = true,
            "--judge" => options.judge = Some(value()?),
            _ => return Err(format!("unknown argument {argument}")),
        }
    }
    let findings = match options.judge.take() {
        Some(findings) => findings,
        None => build::build(&options)?,
    };
    report::report(&findings)
}
