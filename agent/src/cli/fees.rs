//! `headframe fees`: what a running rig has earned, where it is, and taking it out.

use super::how::How;
use super::tx::{At, word};
use clap::Subcommand;
use headframe_market::Wei;
use serde_json::Value;

pub(super) const HELP: &str = "A settled claim's fee waits in the market. Routing splits it between the rig's owner, its delegators and the treasury; the \
    owner's part is then paid out to it. The rig does both by itself above node.withdraw_above, and when it has nothing else to do.\n\n\
    Examples:\n  \
    headframe fees show\n  \
    headframe fees withdraw --dry-run\n  \
    headframe fees withdraw --yes --json";

#[derive(Subcommand, Debug)]
pub(super) enum FeesCommand {
    /// What is earned and not routed yet, what is owed to the owner, and who that is
    Show {
        #[command(flatten)]
        at: At,
    },
    /// Route what is earned and take out what is owed, now
    Withdraw {
        #[command(flatten)]
        how: How,
    },
}

pub(super) async fn run(command: FeesCommand) -> anyhow::Result<()> {
    match command {
        FeesCommand::Show { at } => {
            let fees = at.ask(false, "fees", &[]).await?;
            at.show(&fees, shown);
            Ok(())
        }
        FeesCommand::Withdraw { how } => {
            let fees = how.at.ask(false, "fees", &[]).await?;
            let steps = steps(&fees);
            anyhow::ensure!(!steps.is_empty(), "nothing is there that this rig can take out: headframe fees show");
            how.perform(&steps, &[], "Take this out?").await
        }
    }
}

/// What there is to do.
fn steps(fees: &Value) -> Vec<&'static str> {
    let (earned, owed) = (wei(&fees["earned_wei"]) > Wei(0), wei(&fees["owed_wei"]) > Wei(0));
    [(earned, "fees/route"), (earned || owed, "fees/withdraw")]
        .into_iter()
        .filter_map(|(due, step)| due.then_some(step))
        .collect()
}

fn wei(value: &Value) -> Wei {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn shown(fees: &Value) -> String {
    let line = |name: &str, value: String| format!("{name:<9} {value}\n");
    let whose = if fees["owner"] == fees["operator"] { "" } else { ", a key of its own, to which fees are paid" };
    line("operator", word(&fees["operator"]))
        + &line("owner", word(&fees["owner"]) + whose)
        + &line("earned", format!("{}, in the market", wei(&fees["earned_wei"])))
        + &line("owed", format!("{}, in the router", wei(&fees["owed_wei"])))
        + &line("taken out", format!("by itself above {}", wei(&fees["withdraw_above_wei"])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fees(owner: &str, earned: &str, owed: &str) -> Value {
        json!({ "operator": "0xa", "owner": owner, "earned_wei": earned, "owed_wei": owed, "withdraw_above_wei": "9" })
    }

    #[test]
    fn only_what_is_there_is_taken() {
        let all = ["fees/route", "fees/withdraw"];
        assert_eq!(steps(&fees("0xa", "5", "0")), all, "what is routed can be taken out");
        assert_eq!(steps(&fees("0xcold", "0", "5")), all[1..]);
        assert!(steps(&fees("0xa", "0", "0")).is_empty());
    }

    #[test]
    fn it_is_told_where_fees_are_and_whose() {
        let told = shown(&fees("0xcold", "5", "7"));
        for line in [
            "earned    5 wei, in the market\n",
            "owed      7 wei, in the router\n",
            "owner     0xcold, a key of its own",
        ] {
            assert!(told.contains(line), "{told}");
        }
    }
}
