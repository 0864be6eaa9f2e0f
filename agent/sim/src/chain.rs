//! The chain: blocks with the state after each, a pool, reorganisations. Its rules are `headframe_market::rules`, the model that
//! the contracts' own tests hold the Solidity against.
//!
//! One account of ours is followed exactly (nonce, coins, pool). What others send is applied in order, without fees.

use crate::abi::{self, Deed, hex, hex_bytes};
use crate::dice::Dice;
use crate::scenario::{FINAL_DEPTH, GWEI, SLOT};
use alloy::consensus::{Header, Transaction, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::{Address, B256, Bytes, keccak256};
use headframe_guard::protocol::SeenClaim;
use headframe_market::machine::{ClaimState, ClaimView, JobState, JobView};
use headframe_market::rules::{Call, Claim, Effects, Job, Market, Now, Refusal};
use headframe_market::{Addresses, BlockNo, ClaimId, JobId, Price, SegmentNo, Timestamp, Units, Wei};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The watchtower, which reports what is late.
pub(crate) const TOWER: Address = Address::repeat_byte(0x70);
/// Seconds since 1970 of block 0.
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const CHAIN_ID: u64 = 7_777;

/// One of our transactions.
#[derive(Clone, Debug)]
pub(crate) struct Tx {
    pub(crate) hash: B256,
    pub(crate) nonce: u64,
    pub(crate) max_fee: u128,
    pub(crate) tip: u128,
    pub(crate) gas_limit: u64,
    pub(crate) deed: Deed,
}

impl Tx {
    /// `None` for bytes that are no transaction of this kind.
    pub(crate) fn read(at: &Addresses, raw: &[u8]) -> Option<Self> {
        let envelope = TxEnvelope::decode_2718(&mut &*raw).ok()?;
        Some(Self {
            hash: *envelope.tx_hash(),
            nonce: envelope.nonce(),
            max_fee: envelope.max_fee_per_gas(),
            tip: envelope.max_priority_fee_per_gas()?,
            gas_limit: envelope.gas_limit(),
            deed: abi::read(at, envelope.to()?, envelope.input())?,
        })
    }
}

/// What became of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mined {
    pub(crate) block: u64,
    pub(crate) success: bool,
    pub(crate) gas: u64,
    pub(crate) price: u128,
}

/// Everything after one block.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) market: Market,
    pub(crate) nonce: u64,
    pub(crate) balance: u128,
    pub(crate) receipts: BTreeMap<B256, Mined>,
    /// Our claims as events: block, transaction, content.
    pub(crate) events: Vec<(u64, B256, SeenClaim)>,
}

/// One block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) time: u64,
    pub(crate) base_fee: u128,
    pub(crate) random: B256,
    pub(crate) rlp: Bytes,
    /// As JSON-RPC shows it.
    pub(crate) json: Arc<str>,
    pub(crate) state: Arc<State>,
    others: Vec<(Address, Call)>,
    ours: Vec<Tx>,
}

/// What happened in a new block.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub(crate) mined: Vec<(Tx, Result<(), Refusal>)>,
    pub(crate) missed: Vec<ClaimId>,
}

/// The chain and its pool.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) at: Addresses,
    pub(crate) me: Address,
    pub(crate) blocks: Vec<Block>,
    hashes: BTreeMap<BlockNo, B256>,
    pub(crate) pool: BTreeMap<u64, Tx>,
    /// Calls of others for the next block.
    pub(crate) others: Vec<(Address, Call)>,
    pub(crate) base_fee: u128,
    branches: u64,
}

/// What a rig reads of the contracts in one look: a stand-in for a dozen view functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct View {
    pub(crate) market_time: Timestamp,
    pub(crate) jobs: Vec<JobView>,
    pub(crate) claims: Vec<ClaimView>,
    pub(crate) earned: Wei,
}

impl Chain {
    pub(crate) fn new(at: Addresses, me: Address, market: Market, balance: u128, base_fee: u128) -> Self {
        let state = State { market, nonce: 0, balance, receipts: BTreeMap::new(), events: Vec::new() };
        let mut chain = Self {
            at,
            me,
            blocks: Vec::new(),
            hashes: BTreeMap::new(),
            pool: BTreeMap::new(),
            others: Vec::new(),
            base_fee,
            branches: 0,
        };
        chain.push(0, START, B256::ZERO, state, Vec::new(), Vec::new());
        chain
    }

    pub(crate) fn tip(&self) -> &Block {
        &self.blocks[self.blocks.len() - 1] // block 0 is always there
    }

    pub(crate) fn head(&self) -> u64 {
        self.tip().number
    }

    pub(crate) fn block(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    fn push(
        &mut self,
        number: u64,
        time: u64,
        random: B256,
        state: State,
        others: Vec<(Address, Call)>,
        ours: Vec<Tx>,
    ) {
        let parent = self.blocks.last().map_or(B256::ZERO, |block| block.hash);
        let header = Header {
            parent_hash: parent,
            number,
            timestamp: time,
            mix_hash: random,
            gas_limit: 36_000_000,
            base_fee_per_gas: u64::try_from(self.base_fee).ok(),
            // Tells branches apart that are alike in all else.
            extra_data: Bytes::copy_from_slice(&self.branches.to_be_bytes()),
            ..Header::default()
        };
        let (hash, rlp) = (header.hash_slow(), Bytes::from(alloy::rlp::encode(&header)));
        let base_fee = self.base_fee;
        let json = header_json(header);
        self.hashes.insert(BlockNo(number), hash);
        self.blocks.push(Block {
            number,
            hash,
            time,
            base_fee,
            random,
            rlp,
            json,
            state: Arc::new(state),
            others,
            ours,
        });
    }

    /// The next block: others first, then ours as far as they pay, then the watchtower.
    pub(crate) fn mine(&mut self, time: u64, random: B256, willing: bool) -> News {
        let mut state = State::clone(&self.tip().state);
        let (number, mut news) = (self.head() + 1, News::default());
        let hashes = std::mem::take(&mut self.hashes);
        let now = Now { time: Timestamp(time), block: BlockNo(number), random, hashes: &hashes };
        let others = std::mem::take(&mut self.others);
        let applied = others.into_iter().filter(|(who, call)| state.market.apply(&now, *who, call).is_ok()).collect();
        let mut ours = Vec::new();
        while willing && let Some(tx) = self.pool.get(&state.nonce) {
            let price = tx.max_fee.min(self.base_fee + tx.tip);
            let most = tx.max_fee.saturating_mul(tx.gas_limit.into());
            if tx.max_fee < self.base_fee || price <= self.base_fee || most > state.balance || ours.len() == 6 {
                break;
            }
            let tx = tx.clone();
            self.pool.remove(&tx.nonce);
            let gas = tx.deed.gas();
            let done = if gas > tx.gas_limit { Err(Refusal::Panic) } else { state.execute(&now, self.me, &tx.deed) };
            let gas = if done.is_err() { gas.min(tx.gas_limit) / 2 } else { gas };
            state.nonce += 1;
            state.balance = state.balance.saturating_sub(price * u128::from(gas));
            state.receipts.insert(tx.hash, Mined { block: number, success: done.is_ok(), gas, price });
            if let (Ok(_), Deed::Call(call)) = (&done, &tx.deed)
                && let Call::Claim { job, first, count, root, .. } = &**call
            {
                let claim = SeenClaim { job: *job, first: SegmentNo(*first), count: *count, root: *root };
                state.events.push((number, tx.hash, claim));
            }
            news.mined.push((tx.clone(), done.map(drop)));
            ours.push(tx);
        }
        let open = |claim: &Claim| !claim.state.is_over() && claim.state != ClaimState::Revealed;
        let ids: Vec<ClaimId> =
            state.market.claims.iter().filter(|(_, claim)| open(claim)).map(|(id, _)| *id).collect();
        for id in ids {
            if state.market.apply(&now, TOWER, &Call::SlashMissed { claim: id }).is_ok() {
                news.missed.push(id);
            }
        }
        self.hashes = hashes;
        self.push(number, time, random, state, applied, ours);
        news
    }

    /// Takes the newest blocks away; gives the times of those that were there. What they held waits again.
    pub(crate) fn undo(&mut self, depth: u64, forget: bool) -> Vec<(u64, u128)> {
        let keep = self.blocks.len() - usize::try_from(depth).unwrap_or(0).min(self.blocks.len() - 1);
        let gone = self.blocks.split_off(keep);
        self.branches += 1;
        let mut again = Vec::new();
        for block in &gone {
            self.hashes.remove(&BlockNo(block.number));
            again.extend(block.others.iter().cloned());
            if !forget {
                self.pool.extend(block.ours.iter().map(|tx| (tx.nonce, tx.clone())));
            }
        }
        again.append(&mut self.others);
        self.others = again;
        gone.into_iter().map(|block| (block.time, block.base_fee)).collect()
    }

    /// As geth's pool: a replacement raises both fields by a tenth.
    pub(crate) fn accept(&mut self, tx: Tx) -> Result<B256, &'static str> {
        let state = &self.tip().state;
        if tx.nonce < state.nonce {
            return Err("nonce too low");
        }
        if tx.nonce > state.nonce + 64 {
            return Err("nonce too high");
        }
        if tx.max_fee.saturating_mul(tx.gas_limit.into()) > state.balance {
            return Err("insufficient funds for gas * price + value");
        }
        if let Some(old) = self.pool.get(&tx.nonce) {
            if old.hash == tx.hash {
                return Err("already known");
            }
            if tx.max_fee * 10 < old.max_fee * 11 || tx.tip * 10 < old.tip * 11 {
                return Err("replacement transaction underpriced");
            }
        }
        let hash = tx.hash;
        self.pool.insert(tx.nonce, tx);
        Ok(hash)
    }

    /// Runs a deed on the state after a block, as if in the next one.
    pub(crate) fn rehearse(&self, number: u64, deed: &Deed) -> Result<(), Refusal> {
        let Some(block) = self.block(number) else { return Err(Refusal::Panic) };
        let mut state = State::clone(&block.state);
        let (time, next) = (Timestamp(block.time + SLOT), BlockNo(number + 1));
        let now = Now { time, block: next, random: B256::ZERO, hashes: &self.hashes };
        state.execute(&now, self.me, deed).map(drop)
    }

    /// What the rig reads at a height.
    pub(crate) fn view(&self, number: u64) -> Option<View> {
        let block = self.block(number)?;
        let market = &block.state.market;
        let hashes = BTreeMap::new();
        let now = Now { time: Timestamp(block.time), block: BlockNo(number), random: block.random, hashes: &hashes };
        let mine = |job: &Job| job.operator == self.me;
        Some(View {
            market_time: Timestamp(market.clock(&now)),
            jobs: market.jobs.iter().filter(|(_, job)| mine(job)).map(|(id, job)| job_view(*id, job)).collect(),
            claims: market.claims.iter().map(|(id, claim)| claim_view(*id, claim)).collect(),
            earned: Wei(market.fees.get(&self.me).copied().unwrap_or_default()),
        })
    }

    /// Whatever is deeper stays.
    pub(crate) fn finalized(&self) -> u64 {
        self.head().saturating_sub(FINAL_DEPTH)
    }

    /// A transaction's receipt as JSON.
    pub(crate) fn receipt(&self, number: u64, hash: B256) -> Option<String> {
        let mined = self.block(number)?.state.receipts.get(&hash)?;
        let block = self.block(mined.block)?;
        Some(receipt_json(hash, mined, block.hash))
    }
}

impl State {
    fn execute(&mut self, now: &Now<'_>, me: Address, deed: &Deed) -> Result<Effects, Refusal> {
        match deed {
            Deed::Call(call) => self.market.apply(now, me, call),
            Deed::Router => Ok(Effects::default()),
        }
    }
}

pub(crate) fn receipt_json(hash: B256, mined: &Mined, block: B256) -> String {
    let status = if mined.success { "0x1" } else { "0x0" };
    format!(
        r#"{{"transactionHash":"{hash}","blockNumber":{},"blockHash":"{block}","status":"{status}","gasUsed":{},"effectiveGasPrice":{}}}"#,
        hex(mined.block.into()),
        hex(mined.gas.into()),
        hex(mined.price),
    )
}

/// As JSON-RPC shows a header, whole enough to be hashed again.
pub(crate) fn header_json(header: Header) -> Arc<str> {
    let header = alloy::rpc::types::Header::new(header);
    serde_json::to_string(&header).unwrap_or_default().into()
}

/// An event of a claim as JSON.
pub(crate) fn event_json(at: Address, block: &Block, transaction: B256, claim: &SeenClaim) -> String {
    let data = serde_json::to_vec(claim).unwrap_or_default();
    format!(
        r#"{{"address":"{at}","topics":[],"data":{},"blockNumber":{},"blockHash":"{}","transactionHash":"{transaction}","transactionIndex":"0x0","logIndex":{},"removed":false}}"#,
        hex_bytes(&data),
        hex(block.number.into()),
        block.hash,
        hex(claim.first.0.into()),
    )
}

fn job_view(id: JobId, job: &Job) -> JobView {
    let until = |state| Timestamp(if job.state == state { job.until } else { 0 });
    JobView {
        id,
        client: job.client,
        operator: job.operator,
        state: job.state,
        samples: job.samples,
        deadline: Timestamp(job.deadline),
        start_until: until(JobState::Assigned),
        drain_until: until(JobState::Draining),
        price: Price::new(job.price).unwrap_or(Price::MAX),
        max_price: Price::new(job.max_price).unwrap_or(Price::MAX),
        escrow: Wei(job.escrow),
        reserved: Wei(job.reserved),
        profile: job.profile,
        seed_tip: job.seed_tip,
        next_seq: job.next_seq,
        open_claims: job.open_claims.into(),
        released: job.state == JobState::Draining && job.until == 0,
    }
}

fn claim_view(id: ClaimId, claim: &Claim) -> ClaimView {
    ClaimView {
        id,
        job: id.job(),
        client: claim.client,
        operator: claim.operator,
        first: id.first(),
        count: claim.count,
        units: Units(claim.units),
        state: claim.state,
        root: claim.root,
        drawn: claim.drawn.into(),
        seed: claim.seed,
        seed_block: claim.seed_block_shown(),
        answer_until: Timestamp(claim.answer_until()),
        attest_until: Timestamp(claim.attest_until()),
        reveal_until: Timestamp(claim.reveal_until()),
        contest_until: Timestamp(claim.contest_until()),
        holds: claim.holds.iter().sum(),
        fee: Wei(claim.fee),
    }
}

/// What gas costs from block to block: a slow walk, and now and then a hundredfold of it for some minutes.
#[derive(Clone, Debug)]
pub(crate) struct Gas {
    usual: u128,
    spike_until: u64,
}

impl Gas {
    pub(crate) fn new(usual: u128) -> Self {
        Self { usual, spike_until: 0 }
    }

    /// The base fee of the block at `number`, and whether a spike begins with it.
    pub(crate) fn next(&mut self, dice: &mut Dice, number: u64, spikes: u64) -> (u128, bool) {
        self.usual = (self.usual * u128::from(dice.range(95, 106)) / 100).clamp(GWEI / 10, 8 * GWEI);
        let begins = number >= self.spike_until && dice.permille(spikes);
        if begins {
            self.spike_until = number + dice.range(5, 60);
        }
        (if number < self.spike_until { self.usual * 100 } else { self.usual }, begins)
    }
}

/// A number that follows from others.
pub(crate) fn random(dice: &mut Dice) -> B256 {
    keccak256(dice.next().to_be_bytes())
}
