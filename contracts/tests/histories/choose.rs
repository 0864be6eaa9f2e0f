//! What happens next: mostly what a job or a claim waits for, by whom it waits for; now and then anything by anyone.

use crate::headers::random_hash;
use crate::history::History;
use alloy::primitives::{Address, B256, Bytes, Signature, U256, uint};
use alloy::signers::{SignerSync, local::PrivateKeySigner};
use headframe_contracts::bindings::ActiveSet;
use headframe_market::machine::JobState;
use headframe_market::rules::{Call, Door, Job, Market, prevrandao};
use headframe_market::{Bid, JobId, JobOrder, Price, Timestamp};

/// Who calls what.
pub(crate) type Step = (Address, Call);

/// Order of secp256k1.
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

impl History<'_> {
    pub(crate) fn choose(&mut self) -> Step {
        if self.dice.one_in(3) {
            let seconds = self.dice.between(1, 40);
            let blocks = if self.dice.one_in(40) { self.dice.between(250, 9000) } else { seconds.div_ceil(12) };
            self.pass(seconds, blocks);
        }
        let jobs = self.site.model.jobs.len() as u64;
        let (mut caller, mut call) = if self.dice.one_in(8) {
            self.anything()
        } else if jobs == 0 || (jobs < 3 && self.dice.one_in(9)) {
            self.open()
        } else {
            let id = JobId(self.dice.between(1, jobs));
            let job = self.site.model.jobs[&id].clone();
            self.for_job(id, &job)
        };
        // Only operators have tokens to bond.
        if self.dice.one_in(14) && !matches!(call, Call::Bond { .. }) {
            caller = self.anyone();
        }
        if self.dice.one_in(9) {
            self.spoil(&mut call);
        }
        (caller, call)
    }

    // ---- who ----

    pub(crate) fn anyone(&mut self) -> Address {
        let site = &self.site;
        let mut all: Vec<Address> =
            site.clients.iter().chain(&site.operators).chain(&site.spare).map(PrivateKeySigner::address).collect();
        all.push(site.stranger);
        *self.dice.of(&all)
    }

    pub(crate) fn operator(&mut self) -> Address {
        self.dice.of(&self.site.operators).address()
    }

    pub(crate) fn key(&self, of: Address) -> &PrivateKeySigner {
        let site = &self.site;
        let mut all = site.clients.iter().chain(&site.operators).chain(&site.spare);
        all.find(|key| key.address() == of).unwrap_or(&site.clients[0])
    }

    pub(crate) fn sign(&mut self, of: Address, hash: B256) -> Bytes {
        let signature = self.key(of).sign_hash_sync(&hash).unwrap();
        match if self.dice.one_in(30) { self.dice.below(4) } else { 9 } {
            // The same statement with a high s, which nobody may take.
            0 => Signature::new(signature.r(), ORDER - signature.s(), !signature.v()).as_bytes().to_vec().into(),
            1 => signature.as_bytes()[..64].to_vec().into(),
            2 => self.dice.of(&self.site.clients).sign_hash_sync(&hash).unwrap().as_bytes().to_vec().into(),
            3 => [&signature.as_bytes()[..64], &[self.dice.below(30) as u8]].concat().into(),
            _ => signature.as_bytes().to_vec().into(),
        }
    }

    // ---- when ----

    /// Mostly until `last` is just over; now and then to its last second, or not at all.
    pub(crate) fn after(&mut self, last: u64) {
        let wanted = match self.dice.below(12) {
            0 => last,
            1 => return,
            2..5 => last + self.dice.between(2, 30),
            _ => last + 1,
        };
        if wanted > self.site.time {
            let seconds = wanted - self.site.time;
            self.pass(seconds, seconds.div_ceil(12));
        }
    }

    /// The same by the market's clock.
    pub(crate) fn after_clock(&mut self, last: u64) {
        let clock = self.site.model.clock(&self.now());
        if clock <= last {
            let paused = self.site.model.paused_until().saturating_sub(self.site.time);
            self.after(self.site.time + paused + (last - clock));
        }
    }

    pub(crate) fn after_block(&mut self, block: u64) {
        if self.site.block <= block && !self.dice.one_in(12) {
            let blocks = block - self.site.block + self.dice.between(1, 2);
            let seconds = blocks * self.dice.between(1, 12);
            self.pass(seconds, blocks);
        }
    }

    // ---- jobs ----

    pub(crate) fn open(&mut self) -> Step {
        let client = self.dice.of(&self.site.clients).address();
        let clock = self.site.model.clock(&self.now());
        let magnitude = self.dice.weighted(&[(11, 2), (12, 4), (13, 4), (15, 1)]);
        let price = 10u128.pow(magnitude) * u128::from(self.dice.between(1, 9));
        let seed_tip = if self.dice.one_in(2) { self.chain() } else { B256::ZERO };
        self.nonce += 1;
        let order = JobOrder {
            client,
            profile: self.site.profile,
            max_price: Price::new(price).unwrap(),
            deadline: Timestamp(clock + self.dice.between(100, 4000)),
            samples: self.dice.between(1, 8) as u8,
            seed_tip,
            salt: self.nonce,
        };
        let value = price * u128::from(self.dice.between(1_000, 150_000));
        match self.dice.below(8) {
            0..3 => {
                let bid = self.bid(order.hash(&self.site.model.domain), &order);
                let signature = self.sign_bid(&bid);
                (client, Call::OpenWithBid { order, bid, signature, value })
            }
            3 => {
                // Now and then one that was used already.
                let used = self.orders.values().next().cloned().filter(|_| self.dice.one_in(4));
                let order = used.unwrap_or(order);
                let hash = order.hash(&self.site.model.domain);
                let signature = self.sign(order.client, hash);
                let door = *self.dice.of(&[Door::Direct, Door::Auction, Door::Election]);
                (self.anyone(), Call::OpenJobFor { order, door, signature, value })
            }
            _ => {
                let door = *self.dice.of(&[Door::Direct, Door::Auction, Door::Election]);
                (client, Call::OpenJob { order, door, value })
            }
        }
    }

    /// The end of a new hash chain of three links.
    pub(crate) fn chain(&mut self) -> B256 {
        let mut tip = random_hash(&mut self.dice);
        for _ in 0..3 {
            let link = tip;
            tip = Market::link(link);
            self.links.insert(tip, link);
        }
        tip
    }

    pub(crate) fn bid(&mut self, order: B256, of: &JobOrder) -> Bid {
        let operator = self.operator();
        let nonce = self.dice.weighted(&[(self.nonce, 20), (3, 1)]);
        self.nonce += 1;
        let price = of.max_price.wei() - u128::from(self.dice.between(0, 1_000));
        let expiry = self.site.time + self.dice.weighted(&[(100, 10), (0, 2)]);
        Bid { order, operator, price: Price::new(price).unwrap(), expiry: Timestamp(expiry), nonce: U256::from(nonce) }
    }

    pub(crate) fn sign_bid(&mut self, bid: &Bid) -> Bytes {
        let key = self.site.model.stake.signer_of(bid.operator);
        self.sign(key, bid.signing_hash(&self.site.model.domain))
    }

    pub(crate) fn for_job(&mut self, id: JobId, job: &Job) -> Step {
        let client = job.client;
        if self.dice.one_in(9) {
            return (client, self.by_client(id, job));
        }
        match job.state {
            JobState::Open => match job.door {
                Door::Direct => {
                    let order = self.orders[&id].clone();
                    let bid = self.bid(order.hash(&self.site.model.domain), &order);
                    let signature = self.sign_bid(&bid);
                    (client, Call::AcceptBid { job: id, bid, signature })
                }
                Door::Auction => self.for_auction(id, job),
                Door::Election => self.elect(id, job),
            },
            JobState::Assigned => match self.dice.below(8) {
                0 | 1 => {
                    self.after_clock(job.until);
                    (self.anyone(), Call::DefaultJob { job: id })
                }
                2 if job.auction.is_some() => (self.operators_key(), Call::TakeDeposit { job: id }),
                _ => (self.site.model.stake.signer_of(job.operator), Call::StartJob { job: id }),
            },
            JobState::Active | JobState::Draining => self.for_work(id, job),
            JobState::Closed | JobState::None => match self.dice.below(4) {
                0 => (client, Call::Withdraw),
                1 if job.auction.is_some() => (self.operators_key(), Call::TakeDeposit { job: id }),
                _ => self.open(),
            },
        }
    }

    pub(crate) fn by_client(&mut self, id: JobId, job: &Job) -> Call {
        match self.dice.below(7) {
            0 => Call::TopUp { job: id, value: job.max_price * 10_000 },
            1 => Call::ExtendJob { job: id, deadline: Timestamp(job.deadline + self.dice.between(0, 2000)) },
            2 => {
                let tip = if self.dice.one_in(4) { B256::ZERO } else { self.chain() };
                Call::SetSeedTip { job: id, tip }
            }
            3 if job.state == JobState::Open || job.state == JobState::Assigned => Call::CancelJob { job: id },
            4 => Call::CloseJob { job: id },
            5 => Call::Reclaim { job: id },
            _ => Call::Withdraw,
        }
    }

    pub(crate) fn operators_key(&mut self) -> Address {
        let operator = self.operator();
        self.site.model.stake.signer_of(operator)
    }

    pub(crate) fn for_auction(&mut self, id: JobId, job: &Job) -> Step {
        let auction = job.auction.clone().unwrap_or_default();
        let clock = self.site.model.clock(&self.now());
        if clock <= auction.commit_until && (auction.commits == 0 || !self.dice.one_in(3)) {
            let operator = self.operator();
            let price = job.max_price + 2 - u128::from(self.dice.between(0, 9)); // equal ones, and too high ones
            let salt = random_hash(&mut self.dice);
            self.bids.insert((id, operator), (price, salt));
            let commitment = self.site.model.sealed_bid(id, operator, price, salt);
            let value = self.site.model.deposit_of(id);
            return (self.site.model.stake.signer_of(operator), Call::CommitBid { job: id, commitment, value });
        }
        if clock <= auction.reveal_until && !self.dice.one_in(4) {
            self.after_clock(auction.commit_until);
            let mine: Vec<_> = self.bids.iter().filter(|((job, _), _)| *job == id).map(|(k, v)| (*k, *v)).collect();
            if let Some(&((_, operator), (price, salt))) = (!mine.is_empty()).then(|| self.dice.of(&mine)) {
                let caller = self.site.model.stake.signer_of(operator);
                return (caller, Call::RevealBid { job: id, price, salt });
            }
        }
        self.after_clock(auction.reveal_until);
        if self.dice.one_in(4) {
            (self.operators_key(), Call::TakeDeposit { job: id })
        } else {
            (self.anyone(), Call::AwardAuction { job: id })
        }
    }

    pub(crate) fn elect(&mut self, id: JobId, job: &Job) -> Step {
        if self.dice.one_in(5) {
            return self.terms(job.max_price);
        }
        let Some((block, day)) = self.site.model.election_block(id) else { return self.open() };
        self.after_block(block.0);
        let header = self.headers.get(&block).cloned().unwrap_or_default();
        let today = self.site.time / 86_400;
        let kept = self.site.block > block.0 && today <= day + 1;
        let mut drawn = Vec::new();
        if let Some(random) = prevrandao(&header).filter(|_| kept) {
            for random in Market::election_draws(id, random) {
                let during = U256::from(day - self.site.epoch_zero);
                drawn.push(self.evm.view(self.site.active_set, &ActiveSet::drawCall { during, random }));
            }
        }
        (self.anyone(), Call::Elect { job: id, header, drawn })
    }

    pub(crate) fn terms(&mut self, about: u128) -> Step {
        let price = about - u128::from(self.dice.between(0, 100));
        (self.operators_key(), Call::SetTerms { price, max_jobs: self.dice.between(0, 3) as u16 })
    }
}
