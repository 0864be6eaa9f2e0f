//! `headframe job`: the jobs of a running rig, and what a job would earn.

use super::claims;
use super::preview::{self, HELP, PreviewArgs};
use super::tx::{Newest, Numbered, word};
use clap::Subcommand;
use headframe_market::Wei;
use serde_json::Value;

#[derive(Subcommand, Debug)]
pub(super) enum JobCommand {
    /// What a job would earn: revenue, energy, gas, and whether this rig would bid
    #[command(after_help = HELP)]
    Preview(PreviewArgs),
    /// The newest jobs that a running rig has in hand or has claimed work of
    List(Newest),
    /// One job with the newest of the rig's claims of it
    Show(Numbered),
}

pub(super) async fn run(command: JobCommand) -> anyhow::Result<()> {
    match command {
        JobCommand::Preview(args) => preview::run(args).await?,
        JobCommand::List(newest) => {
            let jobs = newest.ask("jobs").await?;
            newest.at.show(&jobs, |answer| answer["jobs"].as_array().into_iter().flatten().map(line).collect());
        }
        JobCommand::Show(one) => {
            let job = one.ask("jobs/show").await?;
            one.at.show(&job, |answer| line(&answer["job"]) + &claims::lines(answer));
        }
    }
    Ok(())
}

fn line(job: &Value) -> String {
    let wei = |name: &str| serde_json::from_value::<Wei>(job[name].clone()).unwrap_or_default();
    format!(
        "job {} {:<8} {} wei a unit, escrow {} and {} reserved, next segment {}, {} open claims, client {}\n",
        job["id"],
        word(&job["state"]),
        wei("price").0,
        wei("escrow"),
        wei("reserved"),
        job["next_seq"],
        job["open_claims"],
        word(&job["client"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_is_a_line() {
        let job = json!({ "id": 3, "state": "active", "price": "9", "escrow": "5", "reserved": "0", "next_seq": 150,
                          "open_claims": 1, "client": "0xab" });
        let due = "job 3 active   9 wei a unit, escrow 5 wei and 0 wei reserved, next segment 150, 1 open claims, client 0xab\n";
        assert_eq!(line(&job), due);
    }
}
