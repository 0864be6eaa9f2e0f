//! The slashing rules as pure functions of what was signed before and what is asked now. Knows no disk, no key, no clock.
//!
//! Each rule is also a trigger or constraint of the database (`store/schema.sql`), which refuses by itself. Here is where
//! a refusal gets its name and its words.

use crate::protocol::{Hello, ReceiptRequest};
use headframe_market::merkle::SumTree;
use headframe_market::typed_data::Domain;
use headframe_market::{
    Action, Address, Addresses, B256, Bid, JobId, Receipt, Role, Segment, SegmentNo, Signature, Units, Wei,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most segments in one claim, as in the contract.
pub use headframe_market::machine::MAX_CLAIM;
/// Segments have fewer units than this: 2^40 kilopixels is months of 8K video. Keeps every sum within 63 bits.
pub const MAX_UNITS: u64 = 1 << 40;

/// The rule that refused, by the number operators find in the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// A range of segments is claimed once, under one account nonce.
    #[serde(rename = "G1")]
    DoubleClaim,
    /// Only work that the job's client ordered and that has a receipt is signed for.
    #[serde(rename = "G2")]
    UnprovenWork,
    /// One content per job and segment number.
    #[serde(rename = "G6")]
    Equivocation,
    /// An account nonce stays with one call.
    #[serde(rename = "G10")]
    NonceReuse,
    /// The key's role does not sign this.
    #[serde(rename = "role")]
    Role,
    /// The transaction may cost more than the configured ceiling.
    #[serde(rename = "fee-cap")]
    FeeCap,
    /// A value outside what is ever valid, or a request out of order.
    #[serde(rename = "request")]
    Request,
}

/// Why nothing is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSafe {
    /// This request would break a rule; others may be fine.
    #[error("refused by rule {rule}: {reason}")]
    Refused {
        /// Which.
        rule: Rule,
        /// What was asked and what stands against it.
        reason: String,
    },
    /// Nothing may be signed any more: the process exits with code 79 and waits for a person.
    #[error("unsafe to sign anything: {0}")]
    Unsafe(String),
    /// The statement could not be recorded, so it was not signed. Trying again is harmless.
    #[error("the guard database did not take the record: {0}")]
    Storage(String),
}

/// What is asked has never been signed, or is exactly what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Record it first.
    New,
    /// It is on record.
    Same,
}

/// What the guard keeps of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The client's order.
    pub order: Segment,
    /// The operator's receipt and the client's signature under the order; absent in a client's own database.
    pub receipt: Option<(Receipt, Signature)>,
}

/// A claim on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Its first segment.
    pub first: SegmentNo,
    /// Number of segments.
    pub count: u32,
    /// Root of its tree.
    pub root: B256,
    /// All its units.
    pub units: Units,
    /// The account nonce it is bound to.
    pub nonce: u64,
}

impl Claimed {
    fn end(&self) -> u64 {
        self.first.0.saturating_add(u64::from(self.count))
    }
}

/// What a database is bound to for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Hash of the chain's block 0.
    pub genesis: B256,
    /// The contracts.
    pub addresses: Addresses,
    /// Whose signatures these are.
    pub address: Address,
    /// What that key does.
    pub role: Role,
}

impl Pinned {
    /// Where signatures of statements are valid.
    pub fn domain(&self) -> Domain {
        Domain { chain_id: self.chain_id, market: self.addresses.market }
    }
}

fn refuse<T>(rule: Rule, reason: impl Into<String>) -> Result<T, NotSafe> {
    Err(NotSafe::Refused { rule, reason: reason.into() })
}

/// G6 and G2 for a receipt: the job's client ordered exactly this source, and the number is free or holds the same.
///
/// `pinned` is the client that the job's first receipt named. `signer` is who signed the order, recovered by the guard.
pub fn receipt(
    ask: &ReceiptRequest,
    signer: Option<Address>,
    pinned: Option<Address>,
    kept: Option<&Kept>,
) -> Result<Verdict, NotSafe> {
    let ReceiptRequest { order, receipt, client, .. } = ask;
    let at = format!("segment {} of job {}", receipt.seq, receipt.job);
    if (order.job, order.seq, order.src_root) != (receipt.job, receipt.seq, receipt.src_root) {
        let text = format!("{at}: the order is for segment {} of job {} or another source", order.seq, order.job);
        return refuse(Rule::UnprovenWork, text);
    }
    if signer != Some(*client) {
        let by = signer.map_or_else(|| "nobody (malformed or high-s signature)".into(), |who| who.to_string());
        return refuse(Rule::UnprovenWork, format!("{at}: the order is signed by {by} and not by the client {client}"));
    }
    if pinned.is_some_and(|first| first != *client) {
        let text =
            format!("{at}: the job's client is {} since its first receipt, not {client}", pinned.unwrap_or_default());
        return refuse(Rule::UnprovenWork, text);
    }
    if receipt.units.0 >= MAX_UNITS {
        return refuse(Rule::Request, format!("{at}: {} units are not one segment's work", receipt.units));
    }
    match kept {
        None => Ok(Verdict::New),
        Some(old) if old.order == *order && old.receipt.as_ref().is_some_and(|(r, _)| r == receipt) => {
            Ok(Verdict::Same)
        }
        Some(_) => refuse(Rule::Equivocation, format!("{at}: a receipt with other content was signed before")),
    }
}

/// G6 for a client's order.
pub fn order(ask: &Segment, kept: Option<&Kept>) -> Result<Verdict, NotSafe> {
    match kept {
        None => Ok(Verdict::New),
        Some(old) if old.order == *ask => Ok(Verdict::Same),
        Some(_) => {
            let text = format!("segment {} of job {}: an order with other content was signed before", ask.seq, ask.job);
            refuse(Rule::Equivocation, text)
        }
    }
}

/// G1 and G2 for a claim of `job`. `earlier` holds at least every claim of the job that ends after `ask.first`, and the
/// last one; `kept` the segments of the asked range in order.
pub fn claim(job: JobId, ask: &Claimed, earlier: &[Claimed], kept: &[Kept]) -> Result<Verdict, NotSafe> {
    let at = format!("claim of segments {}+{} of job {job}", ask.first, ask.count);
    if ask.count == 0 || ask.count > MAX_CLAIM {
        return refuse(Rule::Request, format!("{at}: a claim covers 1 to {MAX_CLAIM} segments"));
    }
    if let Some(old) = earlier.iter().find(|old| old.first.0 < ask.end() && ask.first.0 < old.end()) {
        if old == ask {
            return Ok(Verdict::Same);
        }
        let what = format!("segments {}+{} were claimed under nonce {}", old.first, old.count, old.nonce);
        return refuse(Rule::DoubleClaim, format!("{at} under nonce {}: {what}", ask.nonce));
    }
    let next = earlier.iter().map(Claimed::end).max().unwrap_or(0);
    if ask.first.0 != next {
        return refuse(Rule::DoubleClaim, format!("{at}: the next claim of this job begins at segment {next}"));
    }
    let mut leaves = Vec::with_capacity(kept.len());
    for (seq, kept) in (ask.first.0..ask.end()).zip(kept) {
        match &kept.receipt {
            Some((receipt, _)) if receipt.seq.0 == seq && receipt.job == job => leaves.push(receipt.leaf()),
            _ => break,
        }
    }
    if leaves.len() != ask.count as usize {
        let missing = ask.first.0 + leaves.len() as u64;
        return refuse(Rule::UnprovenWork, format!("{at}: segment {missing} has no receipt here"));
    }
    let root = SumTree::new(&leaves).map(|tree| tree.root());
    match root {
        Some(root) if root.hash == ask.root && root.sum == ask.units.0 => Ok(Verdict::New),
        _ => {
            let (hash, sum) = root.map_or_else(Default::default, |root| (root.hash, root.sum));
            let asked = format!("asked were {} with {} units", ask.root, ask.units);
            refuse(Rule::UnprovenWork, format!("{at}: the kept receipts have root {hash} with {sum} units, {asked}"))
        }
    }
}

/// An offer is of the key's own operator, and for no more than a price can be. It binds nobody once it has expired, and
/// the worst it can cost is the start lock of a job that is then not started, so it needs no record.
pub fn bid(bid: &Bid, me: Address) -> Result<(), NotSafe> {
    if bid.operator != me {
        return refuse(Rule::Request, format!("the bid is of operator {} and this key is {me}", bid.operator));
    }
    Ok(())
}

/// G10: `call` is the hash over the recipient, the value and the calldata.
pub fn nonce(n: u64, call: B256, kind: &str, kept: Option<(B256, &str)>) -> Result<Verdict, NotSafe> {
    match kept {
        None => Ok(Verdict::New),
        Some((old, _)) if old == call => Ok(Verdict::Same),
        Some((_, old)) => {
            refuse(Rule::NonceReuse, format!("nonce {n} belongs to a {old} and cannot be used for another {kind} call"))
        }
    }
}

/// A key signs only what its role does.
pub fn role(action: &Action, role: Role) -> Result<(), NotSafe> {
    if action.allowed_for(role) {
        return Ok(());
    }
    refuse(Rule::Role, format!("a key of role {} does not sign {}", role_name(role), action.kind()))
}

/// The most a transaction can cost for gas stays within `cap`, and the tip within the fee.
pub fn fees(gas_limit: u64, max_fee: Wei, tip: Wei, cap: Wei) -> Result<(), NotSafe> {
    if tip > max_fee {
        return refuse(Rule::FeeCap, format!("the tip {tip} per gas exceeds the whole fee {max_fee} per gas"));
    }
    match max_fee.0.checked_mul(u128::from(gas_limit)).map(Wei) {
        Some(total) if total <= cap => Ok(()),
        total => {
            let total = total.map_or_else(|| "more than 2^128 wei".into(), |wei| wei.to_string());
            let text = format!("the transaction may cost {total} for gas and --max-fee-wei allows {} wei", cap.0);
            refuse(Rule::FeeCap, text)
        }
    }
}

/// G7: everything a database is pinned to equals what is asked for now.
pub fn place(pinned: &Pinned, now: &Pinned) -> Result<(), NotSafe> {
    let mut wrong = Vec::new();
    let mut compare = |what: &str, old: &dyn fmt::Display, new: &dyn fmt::Display| {
        let (old, new) = (old.to_string(), new.to_string());
        if old != new {
            wrong.push(format!("{what} is {new} and the database belongs to {old}"));
        }
    };
    compare("the chain id", &pinned.chain_id, &now.chain_id);
    compare("the genesis block", &pinned.genesis, &now.genesis);
    compare("the job market", &pinned.addresses.market, &now.addresses.market);
    compare("the claim book", &pinned.addresses.book, &now.addresses.book);
    compare("the profile registry", &pinned.addresses.profiles, &now.addresses.profiles);
    compare("the fee router", &pinned.addresses.router, &now.addresses.router);
    compare("the stake registry", &pinned.addresses.registry, &now.addresses.registry);
    compare("the stake token", &pinned.addresses.token, &now.addresses.token);
    compare("the key's address", &pinned.address, &now.address);
    compare("the key's role", &role_name(pinned.role), &role_name(now.role));
    if wrong.is_empty() {
        return Ok(());
    }
    let help = "use the database of this chain, deployment and key, or correct the configuration";
    Err(NotSafe::Unsafe(format!("G7 wrong chain, contract or key: {}; {help}", wrong.join("; "))))
}

/// G9: the database knows at least what the chain shows. `known` is the end of what it signed for each job (claims of an
/// operator, orders of a client), or `None` when there is no database.
pub fn history(hello: &Hello, known: Option<&dyn Fn(JobId) -> Result<SegmentNo, NotSafe>>) -> Result<(), NotSafe> {
    let help = "restore the newest database, or stop using this key; a new database could sign what was signed before";
    let Some(known) = known else {
        let Some((job, next)) = hello.claims_on_chain.first() else { return Ok(()) };
        let jobs = hello.claims_on_chain.len();
        let text = format!(
            "the chain shows {jobs} jobs of this key (job {job} up to segment {next}) and there is no database"
        );
        return Err(NotSafe::Unsafe(format!("G9 lost database: {text}; {help}")));
    };
    for (job, next) in &hello.claims_on_chain {
        let end = known(*job)?;
        if end < *next {
            let text = format!("the chain shows job {job} up to segment {next} and the database only up to {end}");
            return Err(NotSafe::Unsafe(format!("G9 old database: {text}; {help}")));
        }
    }
    Ok(())
}

/// `operator` or `client`.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Operator => "operator",
        Role::Client => "client",
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DoubleClaim => "G1 (double claim)",
            Self::UnprovenWork => "G2 (work not proven)",
            Self::Equivocation => "G6 (equivocation)",
            Self::NonceReuse => "G10 (nonce reuse)",
            Self::Role => "role",
            Self::FeeCap => "fee cap",
            Self::Request => "request",
        })
    }
}
