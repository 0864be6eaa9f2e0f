//! `headframe job preview`: what a job would earn, by the rule that bids are made with.

use super::ConfigArg;
use crate::config::{Config, Node};
use crate::pricing::{claim_work, gas_price, units_per_hour};
use crate::profile;
use anyhow::{Context, bail, ensure};
use clap::Args;
use headframe_chain::Rpc;
use headframe_codec::ladder::{Fps, Ladder};
use headframe_market::pricing::{Ask, NoBid};
use headframe_market::{JobOrder, Price, Units, Wei};
use serde::Serialize;
use std::path::{Path, PathBuf};

pub(super) const HELP: &str = "An hour of 2 s segments, claimed in full batches (node.claims.batch). Not counted: starting and releasing the \
    job, taking fees out, the part of delegators and treasury. Amounts are in wei, also --price and --gas-price.\n\n\
    Examples:\n  \
    headframe job preview --config /etc/headframe/headframe.toml                   # the first of node.ladders, at our own price\n  \
    headframe job preview -c headframe.toml --price 2_000_000_000 --fps 60         # what a client offers at most\n  \
    headframe job preview -c headframe.toml --gas-price 20_000_000_000             # offline\n  \
    headframe job preview -c headframe.toml --ladder ladder.json --order order.json --json";

#[derive(Args, Debug)]
pub(super) struct PreviewArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// `standard`, or a file with a ladder as JSON, instead of the first of node.ladders
    #[arg(long, value_name = "LADDER")]
    ladder: Option<String>,
    /// A file with an order as JSON: its profile names one of node.ladders, its price and samples count
    #[arg(long, value_name = "FILE", conflicts_with_all = ["price", "samples", "ladder"])]
    order: Option<PathBuf>,
    /// The most that the job pays for a unit, in wei
    #[arg(long, value_name = "WEI", value_parser = wei)]
    price: Option<Wei>,
    /// Segments drawn of a long claim
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    samples: Option<u8>,
    /// Pictures a second of the source, such as 30 or 60000/1001
    #[arg(long, default_value = "30")]
    fps: Fps,
    /// The price of gas in wei, instead of asking the chain
    #[arg(long, value_name = "WEI", value_parser = wei)]
    gas_price: Option<Wei>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn wei(text: &str) -> Result<Wei, String> {
    let wei = text.replace('_', "").parse();
    wei.map(Wei).map_err(|_| format!("{text:?} is not a whole number of wei, such as 1_000_000_000"))
}

/// A unit is a thousand output pixels.
const UNITS_OF_A_MEGAPIXEL: u128 = 1000;

/// A job as far as its worth depends on it.
struct Job {
    ladder: Ladder,
    fps: Fps,
    samples: u8,
    /// The most it pays for a unit; `None` for what this rig asks.
    offered: Option<Price>,
}

/// What it would earn. Amounts without another unit are wei in an hour.
#[derive(Debug, PartialEq, Serialize)]
struct Preview {
    renditions: Vec<String>,
    units_per_second: u64,
    units_per_hour: Units,
    gas_price_wei: Option<Wei>,
    gas_per_claim: u64,
    units_per_claim: Units,
    offered_wei_per_unit: Option<Price>,
    asks: Option<Ask>,
    would_bid: bool,
    /// Why not.
    reason: Option<String>,
    /// What the rest is computed with: what is asked, and what is offered where that is less.
    price_wei_per_unit: Option<Price>,
    /// The same for a million output pixels, and what such a million costs in energy and gas, as far as that is known.
    price_wei_per_megapixel: Option<Wei>,
    cost_wei_per_megapixel: Option<Wei>,
    revenue_wei: Option<Wei>,
    energy_wei: Option<Wei>,
    gas_wei: Option<Wei>,
    /// Revenue without the costs that are known; a loss has a minus.
    left_wei: Option<String>,
    margin_percent: Option<f64>,
}

pub(super) async fn run(args: PreviewArgs) -> anyhow::Result<()> {
    let config = Config::load(args.config.config.as_deref())?;
    let job = job(&args, &config.node)?;
    let gas_price = match args.gas_price {
        Some(price) => Some(price),
        None if config.chain.rpc.is_empty() => None,
        None => {
            let asked = ask(&config.chain.rpc).await;
            Some(asked.context("the price of gas cannot be asked for (chain.rpc); give --gas-price")?)
        }
    };
    let preview = preview(&job, &config.node, gas_price);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&preview)?);
    } else {
        print!("{}", text(&preview));
    }
    Ok(())
}

async fn ask(urls: &[String]) -> Result<Wei, headframe_chain::RpcError> {
    let rpc = Rpc::connect(urls, None).await?;
    gas_price(&rpc, rpc.head().await?.base_fee).await
}

fn job(args: &PreviewArgs, node: &Node) -> anyhow::Result<Job> {
    let samples = args.samples.unwrap_or(8);
    if let Some(file) = &args.order {
        let order: JobOrder = read(file)?;
        ensure!((1..=8).contains(&order.samples), "the order has {} segments drawn; 1 to 8 can be", order.samples);
        let ladder = node.ladders.iter().find(|ladder| profile::of(ladder).id() == order.profile);
        let ladder = ladder.with_context(|| format!("no ladder of node.ladders has the profile {}", order.profile))?;
        return Ok(Job {
            ladder: ladder.clone(),
            fps: args.fps,
            samples: order.samples,
            offered: Some(order.max_price),
        });
    }
    let ladder = match args.ladder.as_deref() {
        Some("standard") => Ladder::standard(),
        Some(file) => read(Path::new(file))?,
        None => match node.ladders.first() {
            Some(ladder) => ladder.clone(),
            None => bail!("node.ladders is empty; give --ladder"),
        },
    };
    let offered = args.price.map(Price::try_from).transpose()?;
    Ok(Job { ladder, fps: args.fps, samples, offered })
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| file.display().to_string())
}

fn preview(job: &Job, node: &Node, gas_price: Option<Wei>) -> Preview {
    let (claim, hour) =
        (claim_work(&job.ladder, job.fps, &node.claims, job.samples), units_per_hour(&job.ladder, job.fps));
    let asked = node.pricing.ask(claim, gas_price);
    let ask = asked.as_ref().ok().copied();
    let bid = match job.offered {
        Some(offered) => node.pricing.bid(offered, claim, gas_price).map(|_| ()),
        None => asked.map(|_| ()),
    };
    let reason = bid.err().map(|why| match why {
        NoBid::NoGasPrice => "the price of gas is not known: give --gas-price, or set chain.rpc".to_owned(),
        why => why.to_string(),
    });
    let price = ask.map(|ask| job.offered.unwrap_or(ask.price).min(ask.price)).or(job.offered);
    let whole = |unit: Option<Wei>| unit?.0.checked_mul(u128::from(hour.0)).map(Wei);
    let megapixel = |unit: Wei| unit.0.checked_mul(UNITS_OF_A_MEGAPIXEL).map(Wei);
    let revenue = whole(price.map(Wei::from));
    let energy = whole(node.pricing.cost.and_then(|rules| rules.energy_per_unit()));
    let gas = whole(gas_price.and_then(|price| claim.gas_per_unit(price)));
    let cost = gas.map(|gas| gas.0.saturating_add(energy.unwrap_or_default().0));
    let unit_cost = ask.and_then(|ask| ask.cost).map(|cost| Wei(cost.energy.0.saturating_add(cost.gas.0)));
    let left = revenue.zip(cost).map(|(revenue, cost)| (revenue.0 < cost, revenue.0.abs_diff(cost)));
    Preview {
        renditions: job.ladder.renditions().iter().map(|it| it.name.clone()).collect(),
        units_per_second: hour.0 / 3600,
        units_per_hour: hour,
        gas_price_wei: gas_price,
        gas_per_claim: claim.gas(),
        units_per_claim: claim.units,
        offered_wei_per_unit: job.offered,
        asks: ask,
        would_bid: reason.is_none(),
        reason,
        price_wei_per_unit: price,
        price_wei_per_megapixel: price.map(Wei::from).and_then(megapixel),
        cost_wei_per_megapixel: unit_cost.and_then(megapixel),
        revenue_wei: revenue,
        energy_wei: energy,
        gas_wei: gas,
        left_wei: left.map(|(loss, left)| format!("{}{left}", if loss { "-" } else { "" })),
        // For display alone: a margin of all costs that are known.
        margin_percent: left.zip(cost).filter(|(_, cost)| *cost > 0).map(|((loss, left), cost)| {
            let percent = (left as f64 / cost as f64 * 1000.0).round() / 10.0;
            if loss { -percent } else { percent }
        }),
    }
}

/// Lines for a person.
fn text(of: &Preview) -> String {
    fn known(wei: Option<Wei>, otherwise: &str) -> String {
        wei.map_or_else(|| otherwise.to_owned(), |wei| wei.to_string())
    }
    let mut lines = vec![
        format!("ladder    {}", of.renditions.join(" ")),
        format!("work      {} units a second", of.units_per_second),
    ];
    let gas_price = known(of.gas_price_wei, "a price that is not known");
    lines.push(format!("claims    {} units each, {} gas at {gas_price}", of.units_per_claim, of.gas_per_claim));
    if let Some(ask) = of.asks {
        lines.push(format!("asks      {ask}"));
    }
    if let Some(offered) = of.offered_wei_per_unit {
        lines.push(format!("offered   {offered} at most"));
    }
    if let Some(price) = of.price_wei_per_unit {
        let megapixel = known(of.price_wei_per_megapixel, "more than can be counted");
        lines.push(format!("in an hour, at {price} wei a unit, {megapixel} a megapixel:"));
        lines.push(format!("  revenue {}", known(of.revenue_wei, "more than can be counted")));
    }
    lines.push(format!("  energy  {}", known(of.energy_wei, "not known: set node.pricing.cost")));
    lines.push(format!("  gas     {}", known(of.gas_wei, "not known: give --gas-price, or set chain.rpc")));
    if let Some(left) = &of.left_wei {
        let (sign, wei) = left.strip_prefix('-').map_or(("", left.as_str()), |wei| ("-", wei));
        let margin = of.margin_percent.map(|percent| format!(", {percent} % of the cost")).unwrap_or_default();
        lines.push(format!("  left    {sign}{}{margin}", Wei(wei.parse().unwrap_or(u128::MAX))));
    }
    lines.push(of.reason.as_ref().map_or("bids".to_owned(), |why| format!("DOES NOT BID: {why}")));
    lines.join("\n") + "\n"
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use headframe_market::pricing::{CostRules, Pricing};

    const OPERATING: &str = include_str!("../../../docs/operating.md");

    /// The rig of the worked example in docs/operating.md.
    fn rig() -> Node {
        let cost = CostRules {
            energy_price: Wei(100_000_000_000_000),
            watts: 450,
            units_per_second: std::num::NonZeroU64::new(400_000).unwrap(),
            margin_percent: 25,
        };
        let price = Price::new(500_000_000).unwrap();
        Node { pricing: Pricing { price, cost: Some(cost) }, ..Node::default() }
    }

    fn standard(offered: Option<u128>) -> Job {
        let fps = Fps { num: 30, den: 1 };
        Job { ladder: Ladder::standard(), fps, samples: 8, offered: offered.and_then(Price::new) }
    }

    #[test]
    fn the_worked_example_of_the_manual_is_what_this_program_says() {
        let told = text(&preview(&standard(Some(1_000_000_000)), &rig(), Some(Wei(20_000_000_000))));
        assert!(OPERATING.contains(&told), "docs/operating.md does not show:\n{told}");
        let mut patient = rig();
        patient.claims.batch = 1800;
        let asks = preview(&standard(None), &patient, Some(Wei(20_000_000_000))).asks.unwrap();
        let gas = asks.cost.unwrap().gas.0;
        assert!(OPERATING.contains(&format!("{gas} wei")), "docs/operating.md does not say {gas} wei");
    }

    #[test]
    fn a_job_that_pays_too_little_shows_the_loss_and_no_bid() {
        let poor = preview(&standard(Some(320_000_000)), &rig(), Some(Wei(20_000_000_000)));
        assert!(!poor.would_bid && poor.reason.as_ref().unwrap().contains("pays at most 320000000"));
        assert_eq!(poor.margin_percent, Some(-42.1));
        assert!(text(&poor).contains("left    -0.") && text(&poor).ends_with("of gas\n"), "{}", text(&poor));
    }

    #[test]
    fn what_is_not_known_is_said_and_not_guessed() {
        let fixed = Node::default();
        let told = text(&preview(&standard(None), &fixed, None));
        assert!(told.contains("energy  not known") && told.contains("gas     not known") && told.ends_with("\nbids\n"));
        let none = preview(&standard(None), &rig(), None);
        assert!(!none.would_bid && none.revenue_wei.is_none(), "{none:?}");
        assert!(text(&none).contains("DOES NOT BID: the price of gas is not known"));
    }
}
