//! What must never happen, judged by what left the signer and by what the chain did. Knows nothing of the guard's rules: a
//! slashable act is what the contracts punish, or two statements of which the chain could be shown both.

use crate::abi::{self, Deed};
use crate::chain::{Chain, Tx};
use crate::scenario::{CAPS, GWEI, SLOT};
use alloy::primitives::{B256, keccak256};
use headframe_market::action::Opening;
use headframe_market::machine::ClaimState;
use headframe_market::rules::{Call, Claim};
use headframe_market::{ClaimId, JobId, Receipt};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Blocks in which a proof was due and everything was there to deliver it. Who lets so many go by has missed the deadline.
pub const CHANCES: u32 = 10;

/// Something that costs stake or could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which kind, in a few words.
    pub what: &'static str,
    /// The values.
    pub detail: String,
}

/// A claim, when it was made, and whether its reveal is due or its answer.
type Due = (ClaimId, u64, bool);

#[derive(Clone, Debug, PartialEq, Eq)]
struct SignedClaim {
    job: JobId,
    first: u64,
    count: u32,
    root: B256,
    units: u64,
    nonce: u64,
}

/// What was signed so far, and which chances were there. Outside of everything that crashes.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    receipts: BTreeMap<(JobId, u64), Receipt>,
    claims: Vec<SignedClaim>,
    nonces: BTreeMap<u64, B256>,
    /// All answers: claim, openings, commitments.
    answers: BTreeSet<(ClaimId, Vec<B256>, Vec<B256>)>,
    /// For each claim and seed, the answer that fits.
    draws: BTreeMap<(ClaimId, B256), (Vec<B256>, Vec<B256>)>,
    /// What each opening opens.
    opened: BTreeMap<B256, B256>,
    /// For each block that is still there, what could have been proven in it.
    chances: BTreeMap<u64, Vec<Due>>,
    pub(crate) violations: Vec<Violation>,
}

impl Checker {
    fn violation(&mut self, what: &'static str, detail: String) {
        self.violations.push(Violation { what, detail });
    }

    /// A receipt left the signer.
    pub(crate) fn receipt(&mut self, receipt: &Receipt) {
        let place = (receipt.job, receipt.seq.0);
        match self.receipts.get(&place) {
            Some(old) if old != receipt => {
                self.violation("two receipts for one segment", format!("job {} segment {}", place.0, place.1));
            }
            Some(_) => {}
            None => {
                self.receipts.insert(place, receipt.clone());
            }
        }
    }

    /// A transaction left the signer.
    pub(crate) fn transaction(&mut self, tx: &Tx, chain: &Chain) {
        let what = keccak256(format!("{:?}", tx.deed));
        if *self.nonces.entry(tx.nonce).or_insert(what) != what {
            self.violation("two calls under one nonce", format!("nonce {}: {}", tx.nonce, tx.deed.name()));
        }
        let Deed::Call(call) = &tx.deed else { return };
        match &**call {
            Call::Claim { job, first, count, root, units } => {
                let claim = SignedClaim {
                    job: *job,
                    first: *first,
                    count: *count,
                    root: *root,
                    units: *units,
                    nonce: tx.nonce,
                };
                self.claim(claim);
            }
            Call::Answer { claim, openings, commitments } => {
                match headframe_market::packed::unpack(*claim, openings, commitments.len()) {
                    Some(openings) => self.answer(*claim, &openings, commitments, chain),
                    None => self.violation("an answer that nobody can read", format!("claim {claim}")),
                }
            }
            Call::Reveal { claim, openings, commitments, digests, .. } => {
                if !self.answers.contains(&(*claim, openings.clone(), commitments.clone())) {
                    self.violation("a reveal of what was not answered", format!("claim {claim}"));
                }
                let truth = openings.iter().map(|opening| self.opened.get(opening).map(|root| digest(*root)));
                if !truth.eq(digests.iter().map(|digest| Some(*digest))) {
                    self.violation("a false statement revealed", format!("claim {claim}"));
                }
            }
            _ => {}
        }
    }

    fn claim(&mut self, claim: SignedClaim) {
        let end = |claim: &SignedClaim| claim.first + u64::from(claim.count);
        let other = self
            .claims
            .iter()
            .find(|old| old.job == claim.job && old.first < end(&claim) && claim.first < end(old) && **old != claim);
        if let Some(old) = other {
            let detail = format!(
                "job {}: {}+{} under nonce {} and {}+{} under nonce {}",
                claim.job, old.first, old.count, old.nonce, claim.first, claim.count, claim.nonce
            );
            self.violation("two claims for one range", detail);
        }
        let leaves: Option<Vec<_>> =
            (claim.first..end(&claim)).map(|seq| Some(self.receipts.get(&(claim.job, seq))?.leaf())).collect();
        let root = leaves.and_then(|leaves| headframe_market::merkle::SumTree::new(&leaves)).map(|tree| tree.root());
        if root.is_none_or(|root| root.hash != claim.root || root.sum != claim.units) {
            self.violation("a claim for work without receipts", format!("job {} from {}", claim.job, claim.first));
        }
        self.claims.push(claim);
    }

    fn answer(&mut self, id: ClaimId, openings: &[Opening], commitments: &[B256], chain: &Chain) {
        for opening in openings {
            self.opened.insert(opening.hash(), opening.receipt.out_root);
        }
        let hashes: Vec<B256> = openings.iter().map(Opening::hash).collect();
        self.answers.insert((id, hashes.clone(), commitments.to_vec()));
        // One draw has one answer. Which draw it answers, the chain says: another seed may have drawn other segments before.
        let Some(claim) = chain.tip().state.market.claims.get(&id) else { return };
        let said = (hashes, commitments.to_vec());
        if !claim.seed.is_zero() && fits(id, claim, openings) {
            let old = self.draws.entry((id, claim.seed)).or_insert_with(|| said.clone());
            if *old != said {
                self.violation("two answers to one draw", format!("claim {id}"));
            }
        }
    }

    /// Before a block is mined: which proofs are due, when everything needed is there.
    pub(crate) fn chance(&mut self, chain: &Chain) {
        let tip = chain.tip();
        let time = tip.time + SLOT;
        let mut all = Vec::new();
        for (id, claim) in &tip.state.market.claims {
            let due = match claim.state {
                ClaimState::Submitted => tip.number > claim.seed_block.0 && time <= claim.answer_until(),
                ClaimState::Sealed => time <= claim.answer_until(),
                ClaimState::Answered => time > claim.attest_until() && time <= claim.reveal_until(),
                _ => false,
            };
            if due {
                all.push((*id, claim.claimed_at, claim.state == ClaimState::Answered));
            }
        }
        self.chances.insert(tip.number + 1, all);
    }

    /// Blocks above `head` are no more: what was done in them is undone, and nobody could have done it in those that took their
    /// place.
    pub(crate) fn undo(&mut self, head: u64) {
        self.chances.split_off(&(head + 1));
    }

    /// Whether a proof could be paid for in the next block.
    pub(crate) fn payable(chain: &Chain) -> bool {
        let price = chain.base_fee + GWEI / 10;
        price.saturating_mul(9) / 8 <= CAPS.0 && chain.tip().state.balance > CAPS.0 * 1_000_000
    }

    /// How many chances there were to keep the claim from being missed.
    pub(crate) fn chances(&self, id: ClaimId, claim: &Claim) -> u32 {
        let due = (id, claim.claimed_at, claim.answered_at.is_some());
        let blocks = self.chances.values().filter(|all| all.contains(&due)).count();
        u32::try_from(blocks).unwrap_or(u32::MAX)
    }

    /// At the end: claims that the chain has taken collateral for. Gives those that nothing could have saved.
    pub(crate) fn finish(&mut self, chain: &Chain) -> (Vec<ClaimId>, Vec<ClaimId>) {
        let (mut missed, mut excused) = (Vec::new(), Vec::new());
        let claims: Vec<(ClaimId, Claim)> =
            chain.tip().state.market.claims.iter().map(|(id, claim)| (*id, claim.clone())).collect();
        for (id, claim) in claims {
            match claim.state {
                ClaimState::Missed if self.chances(id, &claim) >= CHANCES => missed.push(id),
                ClaimState::Missed => excused.push(id),
                ClaimState::Slashed => self.violation("slashed", format!("claim {id}")),
                _ => {}
            }
        }
        (missed, excused)
    }
}

/// Whether these openings are of the segments that are drawn now.
fn fits(id: ClaimId, claim: &Claim, openings: &[Opening]) -> bool {
    let drawn = headframe_market::machine::draws(claim.seed, claim.drawn.into(), headframe_market::Units(claim.units));
    let fit = |(opening, offset): (&Opening, u64)| {
        let leaf = opening.receipt.leaf();
        let index = leaf.seq.0.checked_sub(id.first().0)?;
        let (root, before) = headframe_market::merkle::open(&leaf, index, &opening.path)?;
        let bound = headframe_market::merkle::bound(root.hash, claim.client, claim.operator);
        Some(bound == claim.root && offset >= before && offset - before < leaf.units.0)
    };
    openings.len() == drawn.len() && openings.iter().zip(drawn).all(|pair| fit(pair) == Some(true))
}

/// What an honest worker finds in a segment.
pub(crate) fn digest(out_root: B256) -> B256 {
    abi::hash((B256::repeat_byte(0xd1), out_root))
}
