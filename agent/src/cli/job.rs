//! `headframe job`: the jobs of a running rig, and what a job would earn.

use super::claims;
use super::how::How;
use super::preview::{self, PreviewArgs};
use super::tx::{Newest, Numbered, word};
use clap::Subcommand;
use headframe_market::Wei;
use serde_json::Value;

pub(super) const HELP: &str = "Examples:\n  \
    headframe job preview --config /etc/headframe/headframe.toml\n  \
    headframe job list --limit 5\n  \
    headframe job show 7 --json\n  \
    headframe job release 7 --dry-run";

const RELEASE: &str = "The rig takes no more segments of the job, claims what is left, and releases it; `headframe job show ID` says when it is \
    done. The broadcaster waits for both transactions and then orders another job. A restart in between forgets the wish: ask again.\n\n\
    With --abandon it is released at once. That is for a job whose receipts the signer refuses to claim, such as one from before \
    `headframe guard rebuild`.\n\n\
    Examples:\n  \
    headframe job release 7 --dry-run\n  \
    headframe job release 7 --yes --json\n  \
    headframe job release 7 --abandon";

#[derive(Subcommand, Debug)]
pub(super) enum JobCommand {
    /// What a job would earn: revenue, energy, gas, and whether this rig would bid
    #[command(after_help = preview::HELP)]
    Preview(PreviewArgs),
    /// The newest jobs that a running rig has in hand or has claimed work of
    List(Newest),
    /// One job with the newest of the rig's claims of it
    Show(Numbered),
    /// Leave a job: take no more segments, claim what is left, release it. It cannot be undone
    #[command(after_help = RELEASE)]
    Release {
        /// Its number, as `list` shows it
        id: u64,
        /// Release it at once: what is not claimed is lost
        #[arg(long)]
        abandon: bool,
        #[command(flatten)]
        how: How,
    },
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
            one.at.show(&job, |answer| line(&answer["job"]) + &here(&answer["here"]) + &claims::lines(answer));
        }
        JobCommand::Release { id, abandon, how } => {
            let question = match abandon {
                false => "Leave this job? Nothing more is earned with it, and it cannot be undone.",
                true => "Release this job at once? What is not claimed of it is lost, and it cannot be undone.",
            };
            let (id, abandon) = (id.to_string(), abandon.to_string());
            how.perform(&["jobs/release"], &[("id", &id), ("abandon", &abandon)], question).await?;
        }
    }
    Ok(())
}

fn line(job: &Value) -> String {
    let wei = |name: &str| serde_json::from_value::<Wei>(job[name].clone()).unwrap_or_default();
    format!(
        "job {} {:<8} {} wei a unit, escrow {} and {} reserved, next segment {}, {} open claims, client {}\n",
        job["id"],
        if job["released"] == true { "released".to_owned() } else { word(&job["state"]) },
        wei("price").0,
        wei("escrow"),
        wei("reserved"),
        job["next_seq"],
        job["open_claims"],
        word(&job["client"])
    )
}

/// What the rig has of it beside the chain.
fn here(here: &Value) -> String {
    let leaves = if here["wish"] == "leave" { ", about to be released" } else { "" };
    here["unclaimed_receipts"]
        .as_u64()
        .map_or_else(String::new, |count| format!("  {count} receipts not claimed{leaves}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_that_is_left_says_so() {
        let told = here(&json!({ "unclaimed_receipts": 3, "idle": false, "wish": "leave" }));
        assert_eq!(told, "  3 receipts not claimed, about to be released\n");
        assert_eq!(here(&Value::Null), "", "what is closed has nothing here");
        let job = json!({ "id": 3, "state": "draining", "released": true });
        assert!(line(&job).starts_with("job 3 released "), "{}", line(&job));
    }

    #[test]
    fn a_job_is_a_line() {
        let job = json!({ "id": 3, "state": "active", "price": "9", "escrow": "5", "reserved": "0", "next_seq": 150,
                          "open_claims": 1, "client": "0xab" });
        let due = "job 3 active   9 wei a unit, escrow 5 wei and 0 wei reserved, next segment 150, 1 open claims, client 0xab\n";
        assert_eq!(line(&job), due);
    }
}
