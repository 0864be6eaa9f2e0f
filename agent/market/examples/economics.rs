//! `./run economics`: what attacks on the protocol earn and cost. Status 1 when simulation and closed form disagree.
//!
//! `economics [--json | --markdown] [--seed N] [--trials N]`

use headframe_market::economics::{PUBLISHED, Rules, markdown, report, text};
use std::process::ExitCode;

const USAGE: &str = "economics [--json | --markdown] [--seed N] [--trials N]";

struct Options {
    form: String,
    seed: u64,
    trials: u32,
}

fn options(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let (seed, trials) = PUBLISHED;
    let mut options = Options { form: "text".to_owned(), seed, trials };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" | "--markdown" => options.form = arg,
            "--seed" => options.seed = args.next()?.parse().ok()?,
            "--trials" => options.trials = args.next()?.parse().ok().filter(|n| (1..=10_000_000).contains(n))?,
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let rows = report(&Rules::main(), options.seed, options.trials);
    match options.form.as_str() {
        "--json" => match serde_json::to_string_pretty(&rows) {
            Ok(json) => println!("{json}"),
            Err(error) => {
                eprintln!("economics: {error}");
                return ExitCode::FAILURE;
            }
        },
        "--markdown" => print!("{}", markdown(&rows)),
        _ => print!("{}", text(&rows)),
    }
    let odd: Vec<_> = rows.iter().filter(|row| !row.agrees()).collect();
    for row in &odd {
        eprintln!("economics: simulation and closed form disagree: {row:?}");
    }
    let weak = rows.iter().filter(|row| !row.holds).count();
    eprintln!("{} rows, {weak} do not hold, {} disagree with their simulation", rows.len(), odd.len());
    if odd.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
