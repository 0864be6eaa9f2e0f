//! How a running process is commanded: first what it comes to, then a question, then the deed.

use super::tx::{At, word};
use clap::Args;
use headframe_market::Wei;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Said where nobody answers.
pub(super) const NOBODY: &str = "nobody is there to be asked: look with --dry-run, then give --yes";

/// How long a step that another one waits for may take.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Args, Debug)]
pub(super) struct How {
    #[command(flatten)]
    pub(super) at: At,
    #[command(flatten)]
    pub(super) care: Care,
}

/// What keeps a person from doing what was not meant.
#[derive(Args, Debug)]
pub(super) struct Care {
    /// Show what would be done and what it would cost; do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
}

/// Questions and answers of a request.
type Query<'a> = [(&'a str, &'a str)];

impl How {
    /// Has the process do `steps`, each an address that takes `query` and `dry_run`, one after the other.
    pub(super) async fn perform(&self, steps: &[&str], query: &Query<'_>, question: &str) -> anyhow::Result<()> {
        let mut planned = Vec::new();
        for step in steps {
            planned.push(self.step(step, query, true).await?);
        }
        if self.care.dry_run || !self.at.json {
            self.at.show(&json!({ "steps": planned }), plan);
        }
        if self.care.dry_run {
            return Ok(());
        }
        // A later step may be possible only after an earlier one.
        if let Some(why) = planned.first().and_then(|step| step["refused"].as_str()) {
            anyhow::bail!("{why}");
        }
        self.care.confirm(question)?;
        let mut done = Vec::new();
        for (nth, step) in steps.iter().enumerate() {
            let asked = self.step(step, query, false).await?;
            if nth + 1 < steps.len() {
                self.mined(&word(&asked["key"])).await?;
            }
            done.push(asked);
        }
        self.at.show(&json!({ "steps": done }), asked_for);
        Ok(())
    }

    async fn step(&self, path: &str, query: &Query<'_>, dry_run: bool) -> anyhow::Result<Value> {
        let dry_run = [("dry_run", if dry_run { "true" } else { "false" })];
        self.at.ask(true, path, &[&dry_run[..], query].concat()).await
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

impl Care {
    /// Whether there is an answer already, or somebody to give one.
    pub(super) fn can_confirm(&self) -> bool {
        self.yes || std::io::stdin().is_terminal()
    }

    /// Asks on the terminal, unless that was answered beforehand.
    pub(super) fn confirm(&self, question: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        anyhow::ensure!(self.can_confirm(), NOBODY);
        eprint!("{question} Type yes: ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        anyhow::ensure!(answer.trim() == "yes", "nothing was done");
        Ok(())
    }
}

fn steps(answer: &Value, line: impl Fn(&Value) -> String) -> String {
    answer["steps"].as_array().into_iter().flatten().map(|step| line(step) + "\n").collect()
}

fn plan(answer: &Value) -> String {
    steps(answer, planned)
}

fn planned(step: &Value) -> String {
    let wei = |value: &Value| serde_json::from_value::<Wei>(value.clone()).unwrap_or_default();
    let mut lines: Vec<String> = step["first"].as_object().map(|_| planned(&step["first"])).into_iter().collect();
    let mut line = word(&step["key"]);
    if let Some(gas) = step["gas"].as_u64() {
        line += &format!(": {gas} gas at {}, {}", wei(&step["gas_price_wei"]), wei(&step["cost_wei"]));
    }
    let raise = &step["raise"];
    if raise["from"].is_object() {
        line += &format!(
            ": offers {} for a unit of gas, tip {}",
            wei(&raise["from"]["max_fee"]),
            wei(&raise["from"]["max_priority"])
        );
    }
    lines.push(line);
    if raise["to"].is_object() {
        let (fee, tip) = (wei(&raise["to"]["max_fee"]), wei(&raise["to"]["max_priority"]));
        lines.push(format!("  would offer {fee}, tip {tip}, up to {} in all", wei(&raise["most"])));
    }
    if raise.is_object() {
        let left =
            raise["budget_left"].as_str().map_or("no limit".to_owned(), |_| wei(&raise["budget_left"]).to_string());
        lines.push(format!("  cap {} for a unit of gas; left of the day's budget: {left}", wei(&raise["cap"])));
    }
    lines.extend(step["note"].as_str().map(|note| format!("  {note}")));
    lines.extend(step["refused"].as_str().map(|why| format!("  NOT NOW: {why}")));
    lines.join("\n")
}

fn asked_for(answer: &Value) -> String {
    steps(answer, |step| match step["intent"].is_object() {
        true => {
            let key = word(&step["intent"]["key"]);
            format!("{key} {}; headframe tx show {key}", word(&step["intent"]["state"]))
        }
        false => format!("{}: {}", word(&step["key"]), step["note"].as_str().unwrap_or("done")),
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
    fn what_happens_before_and_what_is_lost_is_told() {
        let first = json!({ "key": "claim:7:30", "gas": 200_000, "gas_price_wei": "0", "cost_wei": "0" });
        let told = plan(
            &json!({ "steps": [{ "key": "release_job:7", "first": first, "note": "no more segments are taken" }] }),
        );
        assert_eq!(told, "claim:7:30: 200000 gas at 0 wei, 0 wei\nrelease_job:7\n  no more segments are taken\n");
    }

    #[test]
    fn a_raise_is_told_with_its_cap_and_its_budget() {
        let raise = json!({ "from": { "max_fee": "100", "max_priority": "8" }, "to": { "max_fee": "113", "max_priority": "9" },
                            "cap": "500", "most": "11300", "budget_left": "90000" });
        let told = plan(&json!({ "steps": [{ "key": "settle:4", "raise": raise }] }));
        for line in [
            "settle:4: offers 100 wei for a unit of gas, tip 8 wei\n",
            "  would offer 113 wei, tip 9 wei, up to 11300 wei in all\n",
            "  cap 500 wei for a unit of gas; left of the day's budget: 90000 wei\n",
        ] {
            assert!(told.contains(line), "{told}");
        }
        let done =
            asked_for(&json!({ "steps": [{ "key": "settle:4", "intent": { "key": "settle:4", "state": "sent" } }] }));
        assert_eq!(done, "settle:4 sent; headframe tx show settle:4\n");
    }
}
