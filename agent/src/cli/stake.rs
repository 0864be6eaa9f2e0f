//! `headframe stake`: what a running rig has bonded, and changes of it.

use super::how::How;
use super::tx::{At, word};
use clap::Subcommand;
use headframe_market::Address;
use serde_json::{Value, json};

pub(super) const HELP: &str = "Amounts are in the token's smallest unit, as node.bond is. Stake that is unbonded thaws before it can be withdrawn, \
    and can be slashed until then.\n\n\
    Examples:\n  \
    headframe stake show\n  \
    headframe stake unbond 1_000_000_000_000_000_000 --dry-run\n  \
    headframe stake owner 0x00000000000000000000000000000000000C01d0   # a wallet that the signer was started with --owner for\n  \
    headframe stake withdraw --yes --json";

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
    /// Propose who shall own stake and fees from now on, such as a cold wallet. It has to accept: acceptOwner of the registry
    Owner {
        /// The wallet; the signer proposes none but that of its --owner
        address: Address,
        #[command(flatten)]
        how: How,
    },
    /// Take a free slot of the active set. The rig does it by itself; this is for who does not want to wait
    Activate {
        #[command(flatten)]
        how: How,
    },
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
            how.perform(steps, &[("amount", &amount)], "Bond this? It comes back only by unbonding, days later.").await
        }
        StakeCommand::Unbond { amount, how } => {
            how.perform(&["stake/unbond"], &[("amount", &amount)], "Unbond this? It cannot be undone while it thaws.")
                .await
        }
        StakeCommand::Withdraw { how } => how.perform(&["stake/withdraw"], &[], "Withdraw what has thawed?").await,
        StakeCommand::Owner { address, how } => {
            let question =
                "Propose this wallet? Once it has accepted, stake and fees are its own, and no longer this rig's.";
            how.perform(&["stake/owner"], &[("owner", &address.to_string())], question).await
        }
        StakeCommand::Activate { how } => how.perform(&["stake/activate"], &[], "Take a slot?").await,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thawing_stake_says_when_it_is_ready() {
        let thaws = json!([{ "amount": "7", "ready_at": 100 }, { "amount": "8", "ready_at": 4000 }]);
        let told = shown(&json!({ "operator": "0x1", "now": 200, "stake": { "bonded": "9", "thawing": thaws } }));
        assert!(told.contains("bonded       9\n") && told.contains("7 ready: headframe stake withdraw\n"), "{told}");
        assert!(told.contains("8 ready in 2 h\n"), "{told}");
    }
}
