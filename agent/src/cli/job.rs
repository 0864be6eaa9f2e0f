//! `headframe job`: what a job would earn.

use super::preview::{self, HELP, PreviewArgs};
use clap::Subcommand;

#[derive(Subcommand, Debug)]
pub(super) enum JobCommand {
    /// What a job would earn: revenue, energy, gas, and whether this rig would bid
    #[command(after_help = HELP)]
    Preview(PreviewArgs),
}

pub(super) async fn run(command: JobCommand) -> anyhow::Result<()> {
    match command {
        JobCommand::Preview(args) => preview::run(args).await,
    }
}
