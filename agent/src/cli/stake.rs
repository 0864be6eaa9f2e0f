//! `headframe stake`: what a running rig has bonded, and changes of it.

use super::tx::{At, word};
use clap::{Args, Subcommand};
use headframe_market::Wei;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::time::Duration;

pub(super) const HELP: &str = "Amounts are in the token's smallest unit, as node.bond is. Stake that is unbonded thaws before it can be withdrawn, \
    and can be slashed until then.\n\n\
    Examples:\n  \
    headframe stake show\n  \
    headframe stake unbond 1_000_000_000_000_000_000 --dry-run\n  \
    headframe stake withdraw --yes --json";

/// How long a step that another one waits for may take.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Subcommand, Debug)]
pub(super) enum StakeCommand {
    /// Bonded, locked and thawing stake, and what the account holds
    Show {
        #[command(flatten)]
        at: At,
    },
    /// Bond more stake: an approval of the token and the bond itself
    Bond {
        /// How much, in the token's smallest unit
        amount: String,
        #[command(flatten)]
        how: How,
    },
    /// Start thawing stake. It cannot be undone, and below the least stake no jobs are won
    Unbond {
        /// How much, in the token's smallest unit
        amount: String,
        #[command(flatten)]
        how: How,
    },
    /// Take out all stake that has thawed
    Withdraw {
        #[command(flatten)]
        how: How,
    },
}

#[derive(Args, Debug)]
pub(super) struct How {
    #[command(flatten)]
    at: At,
    /// Show what would be done and what it would cost; send nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(command: StakeCommand) -> anyhow::Result<()> {
    match command {
        StakeCommand::Show { at } => {
            let stake = at.ask(false, "stake", &[]).await?;
            at.show(&stake, shown);
            Ok(())
        }
        StakeCommand::Bond { amount, how } => {
            let stake = how.at.ask(false, "stake", &[]).await?;
            let number = |value: &Value| word(value).replace('_', "").parse::<u128>().unwrap_or_default();
            let allowed = number(&stake["stake"]["allowance"]) >= number(&json!(amount));
            let steps: &[&str] = if allowed { &["stake/bond"] } else { &["stake/approve", "stake/bond"] };
            how.perform(steps, Some(&amount), "Bond this? It comes back only by unbonding, days later.").await
        }
        StakeCommand::Unbond { amount, how } => {
            how.perform(&["stake/unbond"], Some(&amount), "Unbond this? It cannot be undone while it thaws.").await
        }
        StakeCommand::Withdraw { how } => how.perform(&["stake/withdraw"], None, "Withdraw what has thawed?").await,
    }
}

impl How {
    async fn perform(&self, steps: &[&str], amount: Option<&str>, question: &str) -> anyhow::Result<()> {
        let mut planned = Vec::new();
        for step in steps {
            planned.push(self.step(step, amount, true).await?);
        }
        if self.dry_run || !self.at.json {
            self.at.show(&json!({ "steps": planned }), plan);
        }
        if self.dry_run {
            return Ok(());
        }
        // A later step may be possible only after an earlier one.
        if let Some(why) = planned.first().and_then(|step| step["refused"].as_str()) {
            anyhow::bail!("{why}");
        }
        if !self.yes {
            confirm(question)?;
        }
        let mut done = Vec::new();
        for (nth, step) in steps.iter().enumerate() {
            let asked = self.step(step, amount, false).await?;
            if nth + 1 < steps.len() {
                self.mined(&word(&asked["key"])).await?;
            }
            done.push(asked);
        }
        self.at.show(&json!({ "steps": done }), asked_for);
        Ok(())
    }

    async fn step(&self, path: &str, amount: Option<&str>, dry_run: bool) -> anyhow::Result<Value> {
        let mut query = vec![("dry_run", if dry_run { "true" } else { "false" })];
        query.extend(amount.map(|amount| ("amount", amount)));
        self.at.ask(true, path, &query).await
    }

    async fn mined(&self, key: &str) -> anyhow::Result<()> {
        let until = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < until {
            let intent = self.at.ask(false, "tx/show", &[("key", key)]).await?;
            match word(&intent["state"]).as_str() {
                "mined" | "safe" | "final" => return Ok(()),
                "failed" | "reverted" => anyhow::bail!("{key}: {}", word(&intent["error"])),
                _ => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
        anyhow::bail!("{key} is still on its way: headframe tx show {key}; when it is mined, ask again")
    }
}

fn confirm(question: &str) -> anyhow::Result<()> {
    let input = std::io::stdin();
    anyhow::ensure!(input.is_terminal(), "nobody is there to be asked: look with --dry-run, then give --yes");
    eprint!("{question} Type yes: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    anyhow::ensure!(answer.trim() == "yes", "nothing was done");
    Ok(())
}

fn shown(answer: &Value) -> String {
    let stake = &answer["stake"];
    let line = |name: &str, value: &Value| format!("{name:<12} {}\n", word(value));
    let mut text = line("operator", &answer["operator"]);
    for name in ["owner", "active", "bonded", "locked", "wallet", "allowance", "min_self"] {
        text += &line(name, &stake[name]);
    }
    text += &line("node.bond", &answer["keep_bonded"]);
    let now = answer["now"].as_u64().unwrap_or_default();
    for thaw in stake["thawing"].as_array().into_iter().flatten() {
        let ready = thaw["ready_at"].as_u64().unwrap_or_default();
        let when = match ready.saturating_sub(now) {
            0 => "ready: headframe stake withdraw".to_owned(),
            left => format!("ready in {} h", left.div_ceil(3600)),
        };
        text += &format!("{:<12} {} {when}\n", "thawing", word(&thaw["amount"]));
    }
    text
}

fn steps(answer: &Value, line: impl Fn(&Value) -> String) -> String {
    answer["steps"].as_array().into_iter().flatten().map(|step| line(step) + "\n").collect()
}

fn plan(answer: &Value) -> String {
    steps(answer, |step| {
        let wei = |value: &Value| serde_json::from_value::<Wei>(value.clone()).unwrap_or_default();
        let mut line = word(&step["key"]);
        if let Some(gas) = step["gas"].as_u64() {
            line += &format!(": {gas} gas at {}, {}", wei(&step["gas_price_wei"]), wei(&step["cost_wei"]));
        }
        if let Some(why) = step["refused"].as_str() {
            line += &format!("\n  NOT NOW: {why}");
        }
        line
    })
}

fn asked_for(answer: &Value) -> String {
    steps(answer, |step| {
        let key = word(&step["key"]);
        format!("{key} {}; headframe tx show {key}", word(&step["intent"]["state"]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_costs_and_why_not_is_told_before_it_is_done() {
        let steps = json!({ "steps": [
            { "key": "approve_stake:5", "gas": 46_000, "gas_price_wei": "2000000000", "cost_wei": "92000000000000" },
            { "key": "bond:5", "gas": null, "refused": "the chain would refuse it: allowance" },
        ] });
        let told = plan(&steps);
        assert_eq!(
            told,
            "approve_stake:5: 46000 gas at 2.000000 gwei, 0.000092 ETH\nbond:5\n  NOT NOW: the chain would refuse it: allowance\n"
        );
    }

    #[test]
    fn thawing_stake_says_when_it_is_ready() {
        let thaws = json!([{ "amount": "7", "ready_at": 100 }, { "amount": "8", "ready_at": 4000 }]);
        let told = shown(&json!({ "operator": "0x1", "now": 200, "stake": { "bonded": "9", "thawing": thaws } }));
        assert!(told.contains("bonded       9\n") && told.contains("7 ready: headframe stake withdraw\n"), "{told}");
        assert!(told.contains("8 ready in 2 h\n"), "{told}");
    }
}
