//! `headframe tx`: the transactions of a running process.

use super::how::How;
use crate::admin::COMMAND;
use clap::{Args, Subcommand};
use headframe_market::Wei;
use serde_json::Value;

pub(super) const HELP: &str = "A bump shows first what it would offer, and the cap and the day's budget that bound it.\n\n\
    Examples:\n  \
    headframe tx list --limit 5\n  \
    headframe tx bump settle:4294967296 --dry-run\n  \
    headframe tx cancel withdraw_fees:812 --yes --json";

#[derive(Subcommand, Debug)]
pub(super) enum TxCommand {
    /// The newest transactions, the day's budgets, and what is held up
    List(Newest),
    /// One transaction
    Show {
        #[command(flatten)]
        at: At,
        /// Its key, as `list` shows it
        key: String,
    },
    /// Raise the fees of a transaction that is on its way, now, as far as its cap and budget allow
    Bump {
        #[command(flatten)]
        how: How,
        /// Its key
        key: String,
    },
    /// Drop a transaction that is not signed yet
    Cancel {
        #[command(flatten)]
        how: How,
        /// Its key
        key: String,
    },
    /// Let claims go on after something final was undone: you have looked
    Resume {
        #[command(flatten)]
        how: How,
    },
}

#[derive(Args, Debug)]
pub(super) struct At {
    /// The admin address of the process (admin.listen)
    #[arg(long, default_value = "http://127.0.0.1:7935", value_name = "URL")]
    admin: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The newest of something.
#[derive(Args, Debug)]
pub(super) struct Newest {
    #[command(flatten)]
    pub(super) at: At,
    /// How many
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

/// One that has a number.
#[derive(Args, Debug)]
pub(super) struct Numbered {
    #[command(flatten)]
    pub(super) at: At,
    /// Its number, as `list` shows it
    id: u64,
}

impl Newest {
    pub(super) async fn ask(&self, path: &str) -> anyhow::Result<Value> {
        self.at.ask(false, path, &[("limit", &self.limit.to_string())]).await
    }
}

impl Numbered {
    pub(super) async fn ask(&self, path: &str) -> anyhow::Result<Value> {
        self.at.ask(false, path, &[("id", &self.id.to_string())]).await
    }
}

pub(super) async fn run(command: TxCommand) -> anyhow::Result<()> {
    match command {
        TxCommand::List(newest) => {
            let answer = newest.ask("tx").await?;
            newest.at.show(&answer, text);
            Ok(())
        }
        TxCommand::Show { at, key } => {
            let answer = at.ask(false, "tx/show", &[("key", &key)]).await?;
            at.show(&answer, text);
            Ok(())
        }
        TxCommand::Bump { how, key } => {
            how.perform(&["tx/bump"], &[("key", &key)], "Raise its fees? What it then offers stays offered.").await
        }
        TxCommand::Cancel { how, key } => how.perform(&["tx/cancel"], &[("key", &key)], "Drop it?").await,
        TxCommand::Resume { how } => {
            let question = "Something that the chain called final was undone. Have you looked, and may claims go on?";
            how.perform(&["tx/resume"], &[], question).await
        }
    }
}

impl At {
    /// Prints the answer as JSON, or as `lines` for a person.
    pub(super) fn show(&self, answer: &Value, lines: impl FnOnce(&Value) -> String) {
        if self.json {
            println!("{answer:#}");
        } else {
            print!("{}", lines(answer));
        }
    }

    /// Asks the running process, or commands it. What it refuses is an error in its words.
    pub(super) async fn ask(&self, command: bool, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let http = crate::wiring::http_client(std::time::Duration::from_secs(10))?;
        let mut url: reqwest::Url = format!("{}/{path}", self.admin.trim_end_matches('/')).parse()?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = if command { http.post(url).header(COMMAND, "1") } else { http.get(url) };
        let answer = request.send().await.map_err(|error| {
            anyhow::anyhow!(
                "nothing answers at {}: {}; is it running, and is this its admin.listen?",
                self.admin,
                crate::wiring::chain_of(&error)
            )
        })?;
        let refused = !answer.status().is_success();
        let answer: Value = answer.json().await?;
        anyhow::ensure!(!refused, "{}", word(&answer["error"]));
        Ok(answer)
    }
}

pub(super) fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn wei(value: &Value) -> Option<Wei> {
    serde_json::from_value(value.clone()).ok()
}

/// Lines for a person.
fn text(answer: &Value) -> String {
    let mut lines = Vec::new();
    for (name, label) in [("held", "HELD"), ("trouble", "TROUBLE")] {
        if let Some(why) = answer[name].as_str() {
            lines.push(format!("{label}: {why}"));
        }
    }
    for budget in answer["budgets"].as_array().into_iter().flatten() {
        let (kind, spent) = (word(&budget["kind"]), wei(&budget["spent_wei"]).unwrap_or_default());
        let limit = wei(&budget["limit_wei"]).map_or("no limit".to_owned(), |limit| format!("of {limit}"));
        lines.push(format!("budget {kind:<14} {spent} {limit} today"));
        lines.extend(budget["exhausted"].as_str().map(|why| format!("  SPENT: {why}")));
    }
    match answer["transactions"].as_array() {
        Some(all) => lines.extend(all.iter().map(line)),
        None if answer["key"].is_string() => {
            lines.push(line(answer));
            for name in ["hash", "attempts", "created_block", "deadline", "gas_used", "done_block"] {
                if !answer[name].is_null() {
                    lines.push(format!("  {name:<14} {}", word(&answer[name])));
                }
            }
        }
        None => {}
    }
    lines.join("\n") + "\n"
}

fn line(tx: &Value) -> String {
    let mut line = format!("{:<9} {:<28}", word(&tx["state"]), word(&tx["key"]));
    if let Some(nonce) = tx["nonce"].as_u64() {
        line += &format!(" nonce {nonce}");
    }
    if let Some(block) = tx["block"].as_u64() {
        line += &format!(" block {block}");
    }
    if let Some(fee) = wei(&tx["fee"]) {
        line += &format!(" fee {fee}");
    }
    if let Some(error) = tx["error"].as_str() {
        line += &format!(": {error}");
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_held_up_is_told_first_and_each_transaction_in_a_line() {
        let list = json!({
            "held": "block 7 was final", "trouble": null,
            "budgets": [{ "kind": "claim", "limit_wei": "10", "spent_wei": "9", "left_wei": "1", "exhausted": "too little" }],
            "transactions": [{ "key": "claim:1:0", "kind": "claim", "state": "mined", "nonce": 3, "block": 9, "fee": "21000",
                               "error": null }],
        });
        let told = text(&list);
        assert!(told.starts_with("HELD: block 7 was final\nbudget claim"), "{told}");
        assert!(told.contains("9 wei of 10 wei today\n  SPENT: too little\n"), "{told}");
        assert!(told.contains("mined     claim:1:0") && told.contains("nonce 3 block 9 fee 21000 wei\n"), "{told}");
        let shown = text(&json!({ "key": "settle:4", "state": "queued", "attempts": 0, "error": "waits" }));
        assert!(shown.starts_with("queued    settle:4") && shown.contains(": waits\n  attempts       0\n"), "{shown}");
    }
}
