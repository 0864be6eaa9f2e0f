//! One history: calls on the model and on the chain, compared after each.

use crate::deploy::Site;
use crate::dice::Dice;
use crate::evm::{Errors, Evm, State};
use crate::headers::{header, random_hash};
use crate::{abi, compare};
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use headframe_market::action::Secret;
use headframe_market::merkle::SumTree;
use headframe_market::rules::{Call, Now, Refusal};
use headframe_market::{BlockNo, ClaimId, JobId, JobOrder, Receipt, Timestamp};
use std::collections::BTreeMap;

/// How often each kind of call succeeded and was refused, and how often each refusal came.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) calls: BTreeMap<&'static str, [u64; 2]>,
    pub(crate) refusals: BTreeMap<Refusal, u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        for (name, [done, refused]) in other.calls {
            let count = self.calls.entry(name).or_default();
            *count = [count[0] + done, count[1] + refused];
        }
        for (refusal, times) in other.refusals {
            *self.refusals.entry(refusal).or_default() += times;
        }
    }
}

/// What an operator keeps of a claim.
pub(crate) struct Work {
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) tree: SumTree,
    /// Hashes of the openings, and what was committed to, once answered.
    pub(crate) said: Option<(Vec<B256>, Vec<Secret>)>,
}

pub(crate) struct History<'a> {
    pub(crate) site: Site,
    pub(crate) evm: Evm,
    pub(crate) dice: Dice,
    pub(crate) orders: BTreeMap<JobId, JobOrder>,
    /// Links of clients' hash chains, by what each is the hash of.
    pub(crate) links: BTreeMap<B256, B256>,
    pub(crate) bids: BTreeMap<(JobId, Address), (u128, B256)>,
    pub(crate) works: BTreeMap<ClaimId, Work>,
    pub(crate) headers: BTreeMap<BlockNo, Bytes>,
    pub(crate) nonce: u64,
    /// The work of the claim that is being made.
    pub(crate) made: Option<Work>,
    hashes: BTreeMap<BlockNo, B256>,
    random: B256,
    errors: &'a Errors,
    tally: Tally,
    seed: u64,
    /// Compare everything after each step, not only what a call of its kind can change.
    whole: bool,
    told: Vec<String>,
}

impl<'a> History<'a> {
    pub(crate) fn new(site: &Site, state: &State, errors: &'a Errors, seed: u64, whole: bool) -> Self {
        let mut history = Self {
            evm: Evm::of(state.clone()),
            site: site.clone(),
            dice: Dice::new(seed),
            orders: BTreeMap::new(),
            links: BTreeMap::new(),
            bids: BTreeMap::new(),
            works: BTreeMap::new(),
            headers: BTreeMap::new(),
            nonce: 0,
            made: None,
            hashes: BTreeMap::new(),
            random: B256::ZERO,
            errors,
            tally: Tally::default(),
            seed,
            whole,
            told: Vec::new(),
        };
        history.pass(12, 1);
        history
    }

    /// So many calls.
    pub(crate) fn run(mut self, steps: usize) -> Tally {
        for _ in 0..steps {
            let (caller, call) = self.choose();
            self.step(caller, &call);
        }
        compare::all(&self.site, &mut self.evm);
        std::mem::take(&mut self.tally)
    }

    pub(crate) fn now(&self) -> Now<'_> {
        let (time, block) = (Timestamp(self.site.time), BlockNo(self.site.block));
        Now { time, block, random: self.random, hashes: &self.hashes }
    }

    /// Time and blocks go by.
    pub(crate) fn pass(&mut self, seconds: u64, blocks: u64) {
        let from = self.site.block;
        self.site.time += seconds;
        self.site.block += blocks;
        self.random = random_hash(&mut self.dice);
        self.evm.at(self.site.block, self.site.time, self.random);
        self.evm.remember(&self.hashes, from, self.site.block);
    }

    /// What the challenge manager says of a claim.
    pub(crate) fn attest(&mut self, claim: ClaimId, revealed: u64) {
        self.site.model.attested(claim, revealed);
        let challenges = self.site.model.roles.challenges;
        let (slot, count) = (U256::from(claim.0), U256::from(revealed));
        self.evm.state().insert_account_storage(challenges, slot, count).unwrap();
    }

    pub(crate) fn step(&mut self, caller: Address, call: &Call) {
        self.told.push(format!("{}s block {}: {caller} {call:?}", self.site.time, self.site.block));
        let now = Now {
            time: Timestamp(self.site.time),
            block: BlockNo(self.site.block),
            random: self.random,
            hashes: &self.hashes,
        };
        let model = self.site.model.apply(&now, caller, call);
        let (to, value, data) = abi::transaction(&self.site, call);
        let chain = self.evm.send(caller, to, value, data);

        let count = self.tally.calls.entry(call.name()).or_default();
        match (&model, &chain) {
            (Ok(effects), Ok(returned)) => {
                count[0] += 1;
                let id = effects.job.map(|job| job.0).or(effects.claim.map(|claim| claim.0));
                if let Some(id) = id {
                    assert_eq!(U256::try_from_be_slice(returned), Some(U256::from(id)), "what {call:?} returns");
                }
                if let Some(id) = effects.claim
                    && let Some(work) = self.made.take()
                {
                    self.works.insert(id, work);
                }
                if let Some(id) = effects.job
                    && let Call::OpenJob { order, .. }
                    | Call::OpenJobFor { order, .. }
                    | Call::OpenWithBid { order, .. } = call
                {
                    self.orders.insert(id, order.clone());
                }
            }
            (Err(refusal), Err(data)) if refusal.name() == self.errors.name(data) => {
                count[1] += 1;
                *self.tally.refusals.entry(*refusal).or_default() += 1;
            }
            (model, Err(data)) => panic!("{model:?} in the model, {} ({data}) on the chain", self.errors.name(data)),
            (Err(refusal), Ok(_)) => panic!("{refusal} in the model, success on the chain"),
        }
        self.note_blocks();
        if self.whole { compare::all(&self.site, &mut self.evm) } else { self.compare_touched(caller, call) }
    }

    /// Headers of the blocks that jobs and claims wait for.
    fn note_blocks(&mut self) {
        let model = &self.site.model;
        let elections = model.jobs.values().filter_map(|job| job.election.map(|e| BlockNo(e.block)));
        let seeds = model.claims.values().map(|claim| claim.seed_block);
        let new: Vec<BlockNo> = elections.chain(seeds).filter(|block| !self.headers.contains_key(block)).collect();
        for block in new {
            let header = header(&mut self.dice, block.0, self.site.time);
            let hash = keccak256(&header);
            self.evm.know(block, hash);
            self.headers.insert(block, header);
            self.hashes.insert(block, hash);
        }
    }

    fn compare_touched(&mut self, caller: Address, call: &Call) {
        let (site, evm) = (&self.site, &mut self.evm);
        compare::money(site, evm);
        let claim = match call {
            Call::Claim { job, first, .. } => ClaimId::of(*job, headframe_market::SegmentNo(*first)),
            Call::Seal { claim, .. }
            | Call::Answer { claim, .. }
            | Call::Reveal { claim, .. }
            | Call::Settle { claim }
            | Call::SlashMissed { claim }
            | Call::Hold { claim }
            | Call::LetGo { claim }
            | Call::Punish { claim, .. } => Some(*claim),
            _ => None,
        };
        if let Some((id, claim)) = claim.and_then(|id| site.model.claims.get_key_value(&id)) {
            compare::one_claim(site, evm, *id, claim);
        }
        let job = match call {
            Call::OpenJob { .. } | Call::OpenJobFor { .. } | Call::OpenWithBid { .. } => {
                site.model.jobs.keys().next_back().copied()
            }
            Call::AcceptBid { job, .. }
            | Call::CommitBid { job, .. }
            | Call::RevealBid { job, .. }
            | Call::AwardAuction { job }
            | Call::TakeDeposit { job }
            | Call::Elect { job, .. }
            | Call::StartJob { job }
            | Call::DefaultJob { job }
            | Call::TopUp { job, .. }
            | Call::ExtendJob { job, .. }
            | Call::SetSeedTip { job, .. }
            | Call::CancelJob { job }
            | Call::CloseJob { job }
            | Call::ReleaseJob { job }
            | Call::Reclaim { job } => Some(*job),
            _ => claim.map(ClaimId::job),
        };
        if let Some((id, job)) = job.and_then(|id| site.model.jobs.get_key_value(&id)) {
            compare::one_job(site, evm, *id, job);
            compare::one_account(site, evm, job.client);
            if !job.operator.is_zero() {
                compare::one_operator(site, evm, job.operator);
                compare::one_account(site, evm, job.operator);
            }
        } else {
            compare::one_account(site, evm, caller);
        }
    }
}

impl Drop for History<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("history {}:\n{}", self.seed, self.told.join("\n"));
        }
    }
}
