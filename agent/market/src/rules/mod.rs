//! The rules of jobs and claims a second time: what the contracts JobMarket and ClaimBook do, as one pure state machine.
//!
//! Nothing here runs in production. It is the statement that the contracts are held against: both are given the same random
//! histories, and after each step have to agree on success, on the error's name and on everything that can be seen. So it
//! is written from the interfaces, as plainly as it goes, and shares no tricks with the Solidity.
//!
//! Beside jobs and claims it models as much of the stake registry as they depend on: bonded and locked stake, slashers,
//! jail, keys. Not here, and kept out of the histories: delegation, thawing stake, fees that vest, displaced slots. What
//! other contracts say is an argument: draws by stake come with [`Call::Elect`], attestations by [`Market::attested`].

mod answers;
mod auctions;
mod call;
mod claims;
mod elections;
mod escrow;
mod faults;
mod header;
mod jobs;
mod orders;
mod params;
mod refusal;
mod stake;

pub use call::{Call, Cut, Door, Fault, Jail};
pub use claims::Claim;
pub use header::prevrandao;
pub use jobs::{Auction, Election, Job};
pub use params::{ClaimParams, MarketParams};
pub use refusal::Refusal;
pub use stake::{Operator, SlasherState, Stake};

use crate::typed_data::Domain;
use crate::units::{BlockNo, ClaimId, JobId, Timestamp};
use alloy_primitives::{Address, B256, U256};
use elections::Terms;
use std::collections::{BTreeMap, BTreeSet};

/// Longest pause, in seconds.
const MOST_PAUSE: u64 = 7 * DAY;
/// Between two pauses, in seconds.
const REST: u64 = DAY;
const DAY: u64 = 86_400;
/// One part in so many, of shares.
const WHOLE: u128 = 10_000;

/// The block in which a call happens.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// Its time.
    pub time: Timestamp,
    /// Its height.
    pub block: BlockNo,
    /// Its prevrandao.
    pub random: B256,
    /// Hashes of earlier blocks. One that is absent is unknown to the chain as well.
    pub hashes: &'a BTreeMap<BlockNo, B256>,
}

impl Now<'_> {
    /// Of an earlier block, up to 8191 back.
    fn hash(&self, block: BlockNo) -> Option<B256> {
        if block >= self.block || self.block.0 - block.0 > 8191 {
            return None;
        }
        self.hashes.get(&block).copied()
    }
}

/// What a call did beside changing the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The job that was opened.
    pub job: Option<JobId>,
    /// The claim that was made.
    pub claim: Option<ClaimId>,
    /// Wei that left the market, and for whom.
    pub paid: Option<(Address, u128)>,
    /// Stake that was taken, in 1e-18 tokens, cuts included.
    pub taken: u128,
}

/// Who may do what only one may.
#[derive(Clone, Copy, Debug)]
pub struct Roles {
    /// Sets parameters of market and book.
    pub admin: Address,
    /// Pauses.
    pub guardian: Address,
    /// The claim book, as a slasher.
    pub book: Address,
    /// Judges, and is paid for verifying.
    pub challenges: Address,
    /// Judges.
    pub game: Address,
    /// The fee router.
    pub router: Address,
    /// The stake registry's admin.
    pub registry_admin: Address,
}

/// Market, book and as much of the registry as they see.
#[derive(Clone, Debug)]
pub struct Market {
    /// Names the chain and the market's address.
    pub domain: Domain,
    /// Who is who.
    pub roles: Roles,
    /// Operators.
    pub stake: Stake,
    /// By id.
    pub jobs: BTreeMap<JobId, Job>,
    /// By id.
    pub claims: BTreeMap<ClaimId, Claim>,
    /// Wei of accounts.
    pub owed: BTreeMap<Address, u128>,
    /// Settled fees of operators that have not gone to the router, in wei.
    pub fees: BTreeMap<Address, u128>,
    /// Ids of what can be ordered.
    pub profiles: BTreeSet<B256>,
    market_params: Versions<MarketParams>,
    claim_params: Versions<ClaimParams>,
    relayed: BTreeSet<B256>,
    used: BTreeSet<(Address, U256)>,
    cancelled: BTreeMap<(Address, U256), U256>,
    terms: BTreeMap<Address, Terms>,
    attested: BTreeMap<ClaimId, u64>,
    paused_until: u64,
    lost: u64,
}

/// All parameters there ever were, the newest last, and the bounds of those to come.
#[derive(Clone, Debug)]
struct Versions<P> {
    all: Vec<P>,
    least: P,
    most: P,
}

impl<P> Versions<P> {
    fn latest(&self) -> usize {
        self.all.len() - 1 // there is always a first
    }

    fn current(&self) -> &P {
        &self.all[self.latest()]
    }
}

impl Market {
    /// A market without jobs. Parameters are `[first, least, most]`.
    pub fn new(
        domain: Domain,
        roles: Roles,
        stake: Stake,
        [first, least, most]: [MarketParams; 3],
        claims: [ClaimParams; 3],
    ) -> Self {
        let market_params = Versions { all: vec![first], least, most };
        let [first, least, most] = claims;
        Self {
            domain,
            roles,
            stake,
            market_params,
            claim_params: Versions { all: vec![first], least, most },
            jobs: BTreeMap::new(),
            claims: BTreeMap::new(),
            owed: BTreeMap::new(),
            fees: BTreeMap::new(),
            profiles: BTreeSet::new(),
            relayed: BTreeSet::new(),
            used: BTreeSet::new(),
            cancelled: BTreeMap::new(),
            terms: BTreeMap::new(),
            attested: BTreeMap::new(),
            paused_until: 0,
            lost: 0,
        }
    }

    /// One transaction: all of it or nothing.
    ///
    /// # Errors
    /// The contract's error of the same name; the state is then as it was.
    pub fn apply(&mut self, now: &Now<'_>, caller: Address, call: &Call) -> Result<Effects, Refusal> {
        let mut next = self.clone();
        let effects = next.step(now, caller, call)?;
        *self = next;
        Ok(effects)
    }

    /// How many verifiers of a claim have revealed, as the challenge manager says.
    pub fn attested(&mut self, claim: ClaimId, revealed: u64) {
        self.attested.insert(claim, revealed);
    }

    /// All coins that the market should have, in wei.
    pub fn balance(&self) -> u128 {
        let jobs = self.jobs.values().map(|job| job.escrow + job.reserved + job.deposits());
        jobs.chain(self.owed.values().copied()).chain(self.fees.values().copied()).sum()
    }

    /// The market's clock: it stands still during a pause.
    pub fn clock(&self, now: &Now<'_>) -> u64 {
        now.time.0.max(self.paused_until) - self.lost
    }

    /// End of the last pause, in block time.
    pub fn paused_until(&self) -> u64 {
        self.paused_until
    }

    /// The market's newest parameters.
    pub fn params(&self) -> &MarketParams {
        self.market_params.current()
    }

    /// The newest parameters of claims.
    pub fn claim_params(&self) -> &ClaimParams {
        self.claim_params.current()
    }

    fn running(&self, now: &Now<'_>) -> Result<u64, Refusal> {
        ensure(now.time.0 >= self.paused_until, Refusal::MarketPaused)?;
        Ok(now.time.0 - self.lost)
    }

    fn step(&mut self, now: &Now<'_>, caller: Address, call: &Call) -> Result<Effects, Refusal> {
        let mut done = Effects::default();
        match call {
            Call::OpenJob { order, door, value } => {
                ensure(caller == order.client, Refusal::NotClient)?;
                done.job = Some(self.open(now, order, *door, *value)?);
            }
            Call::OpenJobFor { order, door, signature, value } => {
                self.use_order(order, signature)?;
                done.job = Some(self.open(now, order, *door, *value)?);
            }
            Call::OpenWithBid { order, bid, signature, value } => {
                ensure(caller == order.client, Refusal::NotClient)?;
                ensure(bid.order == order.hash(&self.domain), Refusal::OtherOrder)?;
                let job = self.open(now, order, Door::Direct, *value)?;
                self.accept(now, job, bid, signature)?;
                done.job = Some(job);
            }
            Call::AcceptBid { job, bid, signature } => self.accept_bid(now, caller, *job, bid, signature)?,
            Call::CancelBids { word, mask } => self.cancel_bids(caller, *word, *mask)?,
            Call::CommitBid { job, commitment, value } => self.commit_bid(now, caller, *job, *commitment, *value)?,
            Call::RevealBid { job, price, salt } => self.reveal_bid(now, caller, *job, *price, *salt)?,
            Call::AwardAuction { job } => self.award_auction(now, *job)?,
            Call::TakeDeposit { job } => self.take_deposit(now, caller, *job)?,
            Call::SetTerms { price, max_jobs } => self.set_terms(now, caller, *price, *max_jobs)?,
            Call::Elect { job, header, drawn } => self.elect(now, *job, header, drawn)?,
            Call::StartJob { job } => self.start_job(now, caller, *job)?,
            Call::DefaultJob { job } => done.taken = self.default_job(now, *job)?,
            Call::TopUp { job, value } => self.top_up(*job, *value)?,
            Call::ExtendJob { job, deadline } => self.extend_job(now, caller, *job, *deadline)?,
            Call::SetSeedTip { job, tip } => self.set_seed_tip(caller, *job, *tip)?,
            Call::CancelJob { job } => self.cancel_job(now, caller, *job)?,
            Call::CloseJob { job } => self.close_job(now, caller, *job)?,
            Call::ReleaseJob { job } => self.release_job(caller, *job)?,
            Call::Reclaim { job } => self.reclaim(now, caller, *job)?,
            Call::Withdraw => done.paid = Some((caller, self.withdraw(caller)?)),
            Call::RouteFees { operator } => done.paid = Some((self.roles.router, self.route_fees(*operator)?)),
            Call::Pause { until } => self.pause(now, caller, *until)?,
            Call::Unpause => self.unpause(now, caller)?,
            Call::SetMarketParams(params) => {
                ensure(caller == self.roles.admin, Refusal::NotAdmin)?;
                params.check(&self.market_params.least, &self.market_params.most)?;
                self.market_params.all.push(params.clone());
            }
            Call::Claim { job, first, count, root, units } => {
                done.claim = Some(self.claim(now, caller, *job, *first, *count, *root, *units)?);
            }
            Call::Seal { claim, header, preimage } => self.seal(now, *claim, header, *preimage)?,
            Call::Answer { claim, openings, commitments } => {
                self.answer(now, caller, *claim, openings, commitments)?;
            }
            Call::Reveal { claim, openings, commitments, digests, salts } => {
                self.reveal(now, caller, *claim, (openings, commitments), digests, salts)?;
            }
            Call::Settle { claim } => done.paid = self.settle(now, *claim)?,
            Call::SlashMissed { claim } => done.taken = self.slash_missed(now, caller, *claim)?,
            Call::Hold { claim } => self.hold(now, caller, *claim)?,
            Call::LetGo { claim } => self.let_go(caller, *claim)?,
            Call::Punish { claim, fault, cuts } => done.taken = self.punish(now, caller, *claim, *fault, cuts)?,
            Call::SetClaimParams(params) => {
                ensure(caller == self.roles.admin, Refusal::NotAdmin)?;
                params.check(&self.claim_params.least, &self.claim_params.most)?;
                self.claim_params.all.push(params.clone());
            }
            Call::Bond { amount } => self.stake.bond(now, caller, *amount)?,
            Call::Lock { operator, amount } => self.stake.lock(now, caller, *operator, *amount)?,
            Call::Release { operator, amount } => self.stake.release(caller, *operator, *amount)?,
            Call::Slash { operator, amount, unlock, cuts, jail } => {
                done.taken = self.stake.slash(now, caller, *operator, *amount, *unlock, cuts, *jail)?;
            }
            Call::RetireSlasher { slasher } => {
                ensure(caller == self.roles.registry_admin, Refusal::NotAdmin)?;
                self.stake.retire(now, *slasher)?;
            }
            Call::FreeEnded { operator, slasher } => self.stake.free_ended(now, *operator, *slasher)?,
            Call::ProposeSigner { operator, signer } => self.stake.propose_signer(caller, *operator, *signer)?,
            Call::AcceptSigner { operator } => self.stake.accept_signer(caller, *operator)?,
        }
        Ok(done)
    }

    fn pause(&mut self, now: &Now<'_>, caller: Address, until: Timestamp) -> Result<(), Refusal> {
        ensure(caller == self.roles.guardian, Refusal::NotGuardian)?;
        let time = now.time.0;
        ensure(time >= self.paused_until + REST, Refusal::PauseTooSoon)?;
        ensure(until.0 > time && until.0 <= time + MOST_PAUSE, Refusal::PauseTooLong)?;
        self.lost += until.0 - time;
        self.paused_until = until.0;
        Ok(())
    }

    fn unpause(&mut self, now: &Now<'_>, caller: Address) -> Result<(), Refusal> {
        ensure(caller == self.roles.guardian, Refusal::NotGuardian)?;
        ensure(now.time.0 < self.paused_until, Refusal::NotPaused)?;
        self.lost -= self.paused_until - now.time.0;
        self.paused_until = now.time.0;
        Ok(())
    }
}

fn ensure(holds: bool, or: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(or) }
}
