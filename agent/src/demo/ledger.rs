//! The demo's accounts: read from the chain alone, checked to the last wei.

use super::cluster::{Cluster, Party};
use crate::chain_view::Routed;
use alloy::primitives::{U64, U256};
use anyhow::{Context, bail};
use headframe_market::machine::{ClaimState, ClaimView, JobState, JobView};
use headframe_market::{BlockNo, JobId, Price, Wei};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often the accounts are read until no block is made meanwhile.
const READS: u32 = 20;

/// One party's money.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Process name.
    pub name: String,
    /// Account.
    pub address: headframe_market::Address,
    /// Native coin at the start.
    pub before: Wei,
    /// Native coin now.
    pub after: Wei,
    /// Paid for transactions, summed over the receipts of all blocks.
    pub gas: Wei,
    /// Transactions sent.
    pub transactions: u64,
    /// Credited by market and router and not withdrawn.
    pub owed: Wei,
    /// Fees that came its way, split.
    pub routed: Routed,
    /// Bonded stake, in the token's smallest unit. Text, because it does not fit the numbers of JSON.
    pub bonded: String,
}

/// Everything on chain.
#[derive(Clone, Debug, Serialize)]
pub struct Ledger {
    /// All jobs.
    pub jobs: Vec<JobView>,
    /// All claims.
    pub claims: Vec<ClaimView>,
    /// The rigs.
    pub nodes: Vec<Account>,
    /// The broadcaster.
    pub client: Account,
    /// What the market contract still holds.
    pub held: Wei,
    /// What the fee router holds: the treasury's part, once all others have taken theirs.
    pub treasury: Wei,
    /// Claims that were slashed or missed.
    pub slashes: usize,
}

/// A transaction receipt, as far as it is needed.
#[derive(Deserialize)]
struct Receipt {
    from: headframe_market::Address,
    #[serde(rename = "gasUsed")]
    gas_used: U64,
    #[serde(rename = "effectiveGasPrice")]
    price: U256,
}

impl Ledger {
    /// Reads all blocks since the start, and what holds at the newest: balances and receipts of one and the same block.
    ///
    /// # Errors
    /// Where the chain does not answer, or a block is made during each of [`READS`] readings.
    pub async fn read(cluster: &Cluster) -> anyhow::Result<Self> {
        let rpc = cluster.chain.rpc();
        for _ in 0..READS {
            let head = rpc.head().await?.number;
            let ledger = Self::read_to(cluster, head).await?;
            if rpc.head().await?.number == head {
                return Ok(ledger);
            }
        }
        bail!("the accounts cannot be read between two blocks: {READS} times a block was made meanwhile")
    }

    /// Receipts up to `head`, and the state of whatever block is the newest.
    async fn read_to(cluster: &Cluster, head: BlockNo) -> anyhow::Result<Self> {
        let chain = &cluster.chain;
        let mut spent: BTreeMap<headframe_market::Address, (u128, u64)> = BTreeMap::new();
        for block in cluster.start_block + 1..=head.0 {
            let number = format!("0x{block:x}");
            let receipts: Vec<Receipt> =
                chain.rpc().request("eth_getBlockReceipts", serde_json::json!([number])).await?;
            for receipt in receipts {
                let fee = receipt.price.saturating_to::<u128>() * u128::from(receipt.gas_used.to::<u64>());
                let entry = spent.entry(receipt.from).or_default();
                *entry = (entry.0 + fee, entry.1 + 1);
            }
        }
        let mut jobs = Vec::new();
        for id in 1..chain.next_job().await?.0 {
            jobs.push(chain.job(JobId(id)).await?);
        }
        let mut claims = Vec::new();
        let mut nodes = Vec::new();
        for node in &cluster.nodes {
            for id in chain.claims_since(node.address, BlockNo(cluster.start_block), head).await? {
                claims.push(chain.claim(id).await?);
            }
            nodes.push(account(cluster, node, &spent, head).await?);
        }
        claims.sort_by_key(|claim| claim.id);
        let client = account(cluster, &cluster.gateway, &spent, head).await?;
        let held = chain.balance(chain.at.market).await?;
        let treasury = chain.balance(chain.at.router).await?;
        let lost = |claim: &&ClaimView| matches!(claim.state, ClaimState::Slashed | ClaimState::Missed);
        let slashes = claims.iter().filter(lost).count();
        Ok(Self { jobs, claims, nodes, client, held, treasury, slashes })
    }

    /// All jobs are closed and all money is out of the market.
    pub fn is_settled(&self) -> bool {
        let claims_over = self.claims.iter().all(|claim| claim.state.is_over());
        let paid = self.nodes.iter().chain([&self.client]).all(|account| account.owed == Wei(0));
        !self.jobs.is_empty() && self.jobs.iter().all(|job| job.state == JobState::Closed) && claims_over && paid
    }

    /// Fees of settled claims.
    pub fn fees(&self) -> Wei {
        Wei(self.claims.iter().filter(|claim| claim.state == ClaimState::Settled).map(|claim| claim.fee.0).sum())
    }

    /// Segments claimed.
    pub fn segments(&self) -> u64 {
        self.claims.iter().map(|claim| u64::from(claim.count)).sum()
    }

    /// Everything that does not add up, in words; empty when all does.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut equal = |what: String, found: i128, due: i128| {
            if found != due {
                faults.push(format!("{what}: {found}, due {due}"));
            }
        };
        equal("slashed claims".into(), self.slashes as i128, 0);
        equal("wei left in the market".into(), wei(self.held), 0);
        for job in &self.jobs {
            let of_job: Vec<&ClaimView> = self.claims.iter().filter(|claim| claim.job == job.id).collect();
            let mut next = 0;
            for claim in &of_job {
                equal(format!("first segment of claim {}", claim.id), claim.first.0.into(), next);
                next += i128::from(claim.count);
                let due = job.price.fee(claim.units).map_or(-1, wei);
                equal(format!("fee of claim {}", claim.id), wei(claim.fee), due);
            }
            equal(format!("segments claimed of job {}", job.id), next, job.next_seq.0.into());
            equal(format!("escrow left in job {}", job.id), wei(job.escrow) + wei(job.reserved), 0);
        }
        for node in &self.nodes {
            let settled = |claim: &&ClaimView| claim.operator == node.address && claim.state == ClaimState::Settled;
            let earned: i128 = self.claims.iter().filter(settled).map(|claim| wei(claim.fee)).sum();
            let Routed { treasury, owner, delegators } = node.routed;
            equal(format!("fees of {}", node.name), wei(treasury) + wei(owner) + wei(delegators), earned);
            equal(format!("coin of {}", node.name), wei(node.after), wei(node.before) + wei(owner) - wei(node.gas));
        }
        let treasury = self.nodes.iter().map(|node| wei(node.routed.treasury)).sum();
        equal("the treasury's part in the router".into(), wei(self.treasury), treasury);
        let client = &self.client;
        let due = wei(client.before) - wei(self.fees()) - wei(client.gas);
        equal(format!("coin of {}", client.name), wei(client.after), due);
        faults
    }

    /// The price that was paid for a job.
    pub fn price(&self, job: JobId) -> Option<Price> {
        self.jobs.iter().find(|view| view.id == job).map(|view| view.price)
    }
}

fn wei(amount: Wei) -> i128 {
    i128::try_from(amount.0).unwrap_or(i128::MAX)
}

async fn account(
    cluster: &Cluster,
    party: &Party,
    spent: &BTreeMap<headframe_market::Address, (u128, u64)>,
    head: BlockNo,
) -> anyhow::Result<Account> {
    let chain = &cluster.chain;
    let (gas, transactions) = spent.get(&party.address).copied().unwrap_or_default();
    let name = party.process.name.clone();
    let (at, mut owed) = (party.address, 0);
    for amount in [chain.owed(at).await?, chain.earned(at).await?, chain.fees(at).await?] {
        owed += amount.0;
    }
    Ok(Account {
        address: party.address,
        before: party.coin_before,
        after: chain.balance(party.address).await.with_context(|| format!("the balance of {name}"))?,
        gas: Wei(gas),
        transactions,
        owed: Wei(owed),
        routed: chain.routed(party.address, BlockNo(cluster.start_block), head).await?,
        bonded: chain.operator(party.address).await?.bonded.to_string(),
        name,
    })
}
