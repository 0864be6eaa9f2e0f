//! `headframe claims`: the claims of a running rig, as the chain shows them.

use super::how::How;
use super::tx::{Newest, Numbered, word};
use clap::Subcommand;
use headframe_market::Wei;
use serde_json::Value;

pub(super) const HELP: &str = "A rig makes and settles its claims by itself: when a batch (node.claims) waits, and when nobody can contest a claim any \
    more. `make` and `settle` have it done now, by the same rules.\n\n\
    Examples:\n  \
    headframe claims list --limit 5\n  \
    headframe claims show 4294967296 --json\n  \
    headframe claims make 7 --dry-run                # what a claim of job 7 would be, and cost\n  \
    headframe claims settle 30064771072 --yes";

#[derive(Subcommand, Debug)]
pub(super) enum ClaimsCommand {
    /// The newest claims
    List(Newest),
    /// One claim with its deadlines
    Show(Numbered),
    /// Claim what is not claimed of a job, without waiting for a whole batch
    Make {
        /// The job, as `headframe job list` shows it
        #[arg(value_name = "JOB")]
        job: u64,
        #[command(flatten)]
        how: How,
    },
    /// Have a claim paid that can be contested no more
    Settle {
        /// Its number, as `list` shows it
        id: u64,
        #[command(flatten)]
        how: How,
    },
}

pub(super) async fn run(command: ClaimsCommand) -> anyhow::Result<()> {
    match command {
        ClaimsCommand::List(newest) => {
            let claims = newest.ask("claims").await?;
            newest.at.show(&claims, lines);
        }
        ClaimsCommand::Show(one) => {
            let claim = one.ask("claims/show").await?;
            one.at.show(&claim, |answer| line(&answer["claim"]) + &deadlines(&answer["claim"], answer["now"].as_u64()));
        }
        ClaimsCommand::Make { job, how } => {
            let question = "Claim it? Each claim costs gas for five transactions, however little it holds.";
            how.perform(&["claims/make"], &[("id", &job.to_string())], question).await?;
        }
        ClaimsCommand::Settle { id, how } => {
            how.perform(&["claims/settle"], &[("id", &id.to_string())], "Settle it?").await?;
        }
    }
    Ok(())
}

/// Each of `claims` in a line.
pub(super) fn lines(answer: &Value) -> String {
    answer["claims"].as_array().into_iter().flatten().map(line).collect()
}

fn line(claim: &Value) -> String {
    let fee: Wei = serde_json::from_value(claim["fee"].clone()).unwrap_or_default();
    let (first, count) = (claim["first"].as_u64().unwrap_or_default(), claim["count"].as_u64().unwrap_or_default());
    format!(
        "claim {} job {} {:<9} segments {first}..{}, {} units, {} drawn, fee {fee}\n",
        claim["id"],
        claim["job"],
        word(&claim["state"]),
        first + count,
        claim["units"],
        claim["drawn"]
    )
}

/// Those that are set and not past, in seconds of the chain's time.
fn deadlines(claim: &Value, now: Option<u64>) -> String {
    let left = |name| Some((name, claim[name].as_u64()?.checked_sub(now?).filter(|left| *left > 0)?));
    let names = ["answer_until", "attest_until", "reveal_until", "contest_until"];
    names.into_iter().filter_map(left).map(|(name, left)| format!("  {name:<14} in {left} s\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_is_a_line_with_the_deadlines_that_are_left_below() {
        let claim = json!({ "id": 4_294_967_296_u64, "job": 1, "state": "sealed", "first": 0, "count": 150, "units": 9,
                            "drawn": 2, "fee": "7", "answer_until": 130, "contest_until": 90 });
        let told = lines(&json!({ "claims": [claim] }));
        assert_eq!(told, "claim 4294967296 job 1 sealed    segments 0..150, 9 units, 2 drawn, fee 7 wei\n");
        assert_eq!(deadlines(&claim, Some(100)), "  answer_until   in 30 s\n");
    }
}
