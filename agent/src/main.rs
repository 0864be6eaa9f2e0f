//! The command line: reads arguments, starts the role, turns its outcome into an exit code.

#![forbid(unsafe_code)]

use clap::Parser;
use headframe::cli::{Cli, exit_code, told};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = headframe::cli::start_log(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("headframe: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(headframe::cli::run(cli));
    // Tasks that are left hold nothing that must be kept: every store is written before it is relied on.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    drop(log);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headframe: {}", told(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}
