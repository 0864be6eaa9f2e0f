//! The slashing rules as pure functions of what was signed before and what is asked now. Knows no disk, no key, no clock.
//!
//! What SQL can hold of them is also a trigger or constraint of the database (`store/schema.sql`), which refuses by
//! itself. Here is where a refusal gets its name and its words. `docs/slashing-protection.md` says what each rule is for,
//! and why there is no function for G4, G5, G11 and G13.

use crate::protocol::{Hello, ReceiptRequest, SeenClaim, TransactionRequest};
use headframe_market::action::Call;
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
/// Gas that a claim may still need after it was made: seal, answer, reveal and settlement take 0.53 million when eight
/// segments are drawn, the most there are (`contracts/snapshots/claims.json`). The rest is for prices that rise.
pub const CLAIM_GAS: u64 = 1_000_000;
/// Segment numbers are below this, as in the contract. A floor here closes a job for ever.
pub const NO_SEGMENT: SegmentNo = SegmentNo(1 << 32);

/// The rule that refused, by the number operators find in the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// A range of segments is claimed once, under one account nonce.
    #[serde(rename = "G1")]
    DoubleClaim,
    /// Only work that the job's client ordered and that has a receipt is signed for.
    #[serde(rename = "G2")]
    UnprovenWork,
    /// A claim is made only when the account can pay for what open claims still need.
    #[serde(rename = "G3")]
    Reserve,
    /// One content per job and segment number.
    #[serde(rename = "G6")]
    Equivocation,
    /// An account nonce stays with one call.
    #[serde(rename = "G10")]
    NonceReuse,
    /// Nothing is signed below a job's floor.
    #[serde(rename = "G12")]
    Floor,
    /// The key's role does not sign this.
    #[serde(rename = "role")]
    Role,
    /// No other owner of stake and fees is proposed than the configured one.
    #[serde(rename = "owner")]
    Owner,
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
    /// The same, because there is no room for it.
    #[error("the disk of the guard database is full; free some room")]
    Full,
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

/// G2, G12 and G6 for a receipt, see [`ordered`], [`content`] and [`above`].
pub fn receipt(
    ask: &ReceiptRequest,
    signer: Option<Address>,
    pinned: Option<Address>,
    kept: Option<&Kept>,
    floor: SegmentNo,
) -> Result<Verdict, NotSafe> {
    ordered(ask, signer, pinned)?;
    let ReceiptRequest { order, receipt, .. } = ask;
    if receipt.units.0 >= MAX_UNITS {
        let at = format!("segment {} of job {}", receipt.seq, receipt.job);
        return refuse(Rule::Request, format!("{at}: {} units are not one segment's work", receipt.units));
    }
    let verdict = content(order, Some(receipt), kept)?;
    above(verdict, order.job, order.seq, floor)
}

/// G6 and G12 for a client's order.
pub fn order(ask: &Segment, kept: Option<&Kept>, floor: SegmentNo) -> Result<Verdict, NotSafe> {
    let verdict = content(ask, None, kept)?;
    above(verdict, ask.job, ask.seq, floor)
}

/// G2: the job's client ordered exactly this source. `pinned` is the client that the job's first receipt named; `signer`
/// is who signed the order, recovered by the guard.
pub fn ordered(ask: &ReceiptRequest, signer: Option<Address>, pinned: Option<Address>) -> Result<(), NotSafe> {
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
    Ok(())
}

/// G6: a segment number is free, or holds exactly this.
pub fn content(order: &Segment, receipt: Option<&Receipt>, kept: Option<&Kept>) -> Result<Verdict, NotSafe> {
    let at = format!("segment {} of job {}", order.seq, order.job);
    let what = if receipt.is_some() { "a receipt" } else { "an order" };
    match kept {
        None => Ok(Verdict::New),
        Some(old) if old.order == *order && old.receipt.as_ref().map(|(kept, _)| kept) == receipt => Ok(Verdict::Same),
        Some(_) => refuse(Rule::Equivocation, format!("{at}: {what} with other content was signed before")),
    }
}

/// G12: below the floor nothing is signed but what is on record: what was signed there may be forgotten.
pub fn above(verdict: Verdict, job: JobId, seq: SegmentNo, floor: SegmentNo) -> Result<Verdict, NotSafe> {
    if verdict == Verdict::New && seq < floor {
        let closed =
            if floor >= NO_SEGMENT { ": the job is closed for this key since a rebuild or a move" } else { "" };
        let text = format!("segment {seq} of job {job}: nothing new is signed below segment {floor}{closed}");
        return refuse(Rule::Floor, text);
    }
    Ok(verdict)
}

/// G1 and G2 for a claim of `job`, see [`range`] and [`proven`].
pub fn claim(
    job: JobId,
    ask: &Claimed,
    earlier: &[Claimed],
    kept: &[Kept],
    floor: SegmentNo,
) -> Result<Verdict, NotSafe> {
    let verdict = range(job, ask, earlier, floor)?;
    if verdict == Verdict::New {
        proven(job, ask, kept)?;
    }
    Ok(verdict)
}

/// G1: a range is claimed once, under one nonce, and where the last claim or the floor ended. `earlier` holds at least
/// every claim of the job that ends after `ask.first`, and the last one.
pub fn range(job: JobId, ask: &Claimed, earlier: &[Claimed], floor: SegmentNo) -> Result<Verdict, NotSafe> {
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
    let next = earlier.iter().map(Claimed::end).max().unwrap_or(0).max(floor.0);
    if ask.first.0 != next {
        return refuse(Rule::DoubleClaim, format!("{at}: the next claim of this job begins at segment {next}"));
    }
    Ok(Verdict::New)
}

/// G2: every claimed segment has its receipt, and root and units are those of the receipts. `kept` holds the segments of
/// the asked range in order.
pub fn proven(job: JobId, ask: &Claimed, kept: &[Kept]) -> Result<(), NotSafe> {
    let at = format!("claim of segments {}+{} of job {job}", ask.first, ask.count);
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
        Some(root) if root.hash == ask.root && root.sum == ask.units.0 => Ok(()),
        _ => {
            let (hash, sum) = root.map_or_else(Default::default, |root| (root.hash, root.sum));
            let asked = format!("asked were {} with {} units", ask.root, ask.units);
            refuse(Rule::UnprovenWork, format!("{at}: the kept receipts have root {hash} with {sum} units, {asked}"))
        }
    }
}

/// What the account has and what waits for it, as the chain showed it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// Native coin.
    pub balance: Wei,
    /// Claims that are neither settled nor lost.
    pub open_claims: u32,
}

/// G3: who claims must be able to answer. A new claim is made only when there is room on the disk to record its proofs, and the
/// account can pay for it and, at the claim's own price of gas, for all that it and every open claim still need. `means` is
/// `None` before the chain was looked at.
pub fn reserve(ask: &TransactionRequest, means: Option<Means>, has_room: impl FnOnce() -> bool) -> Result<(), NotSafe> {
    if !matches!(ask.action, Action::Claim { .. }) {
        return Ok(());
    }
    if !has_room() {
        return refuse(Rule::Reserve, "a claim: the disk of the guard database has no room for its proofs: free some");
    }
    let Some(Means { balance, open_claims }) = means else {
        return refuse(Rule::Reserve, "a claim: nobody has said yet what the chain shows of the account");
    };
    let later = u128::from(CLAIM_GAS) * (u128::from(open_claims) + 1);
    let need = ask.max_fee_per_gas.0.saturating_mul(later + u128::from(ask.gas_limit));
    if balance.0 < need {
        let text = format!(
            "a claim: the account has {balance} wei, and this claim with {open_claims} open ones may need {need} wei for \
             gas until they are paid; who cannot answer a draw loses the claim's collateral: send coin to the account"
        );
        return refuse(Rule::Reserve, text);
    }
    Ok(())
}

/// An offer is of the key's own operator, and for no more than a price can be. It binds nobody once it has expired, and
/// the worst it can cost is the start lock of a job that is then not started, so it needs no record.
pub fn bid(bid: &Bid, me: Address) -> Result<(), NotSafe> {
    if bid.operator != me {
        return refuse(Rule::Request, format!("the bid is of operator {} and this key is {me}", bid.operator));
    }
    Ok(())
}

/// G10: `call` is the hash over the recipient, the value and the calldata. Nonces below `floor` were used before.
pub fn nonce(n: u64, call: B256, kind: &str, kept: Option<(B256, &str)>, floor: u64) -> Result<Verdict, NotSafe> {
    match kept {
        None if n < floor => refuse(
            Rule::NonceReuse,
            format!("nonce {n} was used before this database: the next one is at least {floor}"),
        ),
        None => Ok(Verdict::New),
        Some((old, _)) if old == call => Ok(Verdict::Same),
        Some((_, old)) => {
            refuse(Rule::NonceReuse, format!("nonce {n} belongs to a {old} and cannot be used for another {kind} call"))
        }
    }
}

/// G7: the call goes to a contract that the database is pinned to.
pub fn known(action: &Action, call: &Call) -> Result<(), NotSafe> {
    if call.to.is_zero() {
        let text = format!("a {}: the deployment names no contract for it", action.kind());
        return refuse(Rule::Request, text);
    }
    Ok(())
}

/// Stake and fees are offered to no other owner than the one that the signer was started with: whoever broke into the agent
/// would name himself.
pub fn owner(action: &Action, allowed: Option<Address>) -> Result<(), NotSafe> {
    let Action::ProposeOwner { owner, .. } = action else { return Ok(()) };
    match allowed {
        Some(allowed) if allowed == *owner => Ok(()),
        Some(allowed) => refuse(Rule::Owner, format!("{owner} as owner: the signer's --owner allows {allowed} alone")),
        None => refuse(
            Rule::Owner,
            format!(
                "{owner} as owner: start the signer with --owner {owner} first, if that is whose the stake shall be"
            ),
        ),
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
    for (what, old, new) in [
        ("the rewards contract", pinned.addresses.rewards, now.addresses.rewards),
        ("the active set", pinned.addresses.active_set, now.addresses.active_set),
    ] {
        // Who does not know it says nothing of it.
        if !old.is_zero() && !new.is_zero() {
            compare(what, &old, &new);
        }
    }
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
    let help = "a new database could sign what was signed before. Restore the newest one; if there is none: headframe guard \
        rebuild";
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

/// G9: the file beside the database counts its generations, too. Who put an older copy back did not put back that file.
pub fn generation(database: u64, beside: Option<u64>) -> Result<(), NotSafe> {
    match beside {
        Some(newest) if newest > database => Err(NotSafe::Unsafe(format!(
            "G9 old database: it is of generation {database} and generation {newest} has been in use; what was signed since \
             is missing in it. Put the newest database back; if there is none: headframe guard rebuild"
        ))),
        _ => Ok(()),
    }
}

/// G8: a database that was moved elsewhere signs nothing here.
pub fn in_place(moved: bool) -> Result<(), NotSafe> {
    if moved {
        let text = "an export took its place (headframe guard export --move), and the key may be in use there. Never run \
            both; to come back, export --move there and import that here into a new file";
        return Err(NotSafe::Unsafe(format!("G8 second instance: this database was moved: {text}")));
    }
    Ok(())
}

/// G8: every transaction of this key in a block was signed here. `unknown` is the first nonce below `mined` that is not on
/// record though it is not below the floor.
pub fn nonces(mined: u64, unknown: Option<u64>) -> Result<(), NotSafe> {
    let Some(n) = unknown else { return Ok(()) };
    Err(NotSafe::Unsafe(format!(
        "G8 second instance: the chain has {mined} transactions of this key, and that with nonce {n} was not signed here. \
         Another signer or a wallet uses the key, or the database is an old copy: find out which before anything else. When \
         nothing else uses the key any more: headframe guard rebuild"
    )))
}

/// G8: a claim of this key on chain was signed here, with this content.
pub fn claim_known(seen: &SeenClaim, kept: Option<&Claimed>, floor: SegmentNo) -> Result<(), NotSafe> {
    let end = seen.first.0.saturating_add(u64::from(seen.count));
    let known = kept.is_some_and(|old| (old.count, old.root) == (seen.count, seen.root));
    if known || end <= floor.0 {
        return Ok(());
    }
    let SeenClaim { job, first, count, root } = seen;
    Err(NotSafe::Unsafe(format!(
        "G8 second instance: the chain shows a claim of segments {first}+{count} of job {job} with root {root}, and none \
         like it was signed here. Another signer uses the key, or the database is an old copy: find out which before \
         anything else. When nothing else uses the key any more: headframe guard rebuild"
    )))
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
            Self::Reserve => "G3 (no means to answer)",
            Self::Equivocation => "G6 (equivocation)",
            Self::NonceReuse => "G10 (nonce reuse)",
            Self::Floor => "G12 (below the floor)",
            Self::Role => "role",
            Self::Owner => "owner",
            Self::FeeCap => "fee cap",
            Self::Request => "request",
        })
    }
}
