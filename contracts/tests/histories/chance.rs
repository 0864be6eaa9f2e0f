//! What nobody waits for: pauses, parameters, stake that moves elsewhere, keys, and calls that come at a wrong moment.

use crate::choose::Step;
use crate::deploy::{ELSEWHERE, TOKEN};
use crate::history::History;
use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use headframe_market::rules::{Call, ClaimParams, Jail, MarketParams, SlasherState};
use headframe_market::{ClaimId, JobId, Timestamp};

impl History<'_> {
    pub(crate) fn anything(&mut self) -> Step {
        let roles = self.site.model.roles;
        let operator = self.operator();
        let job = JobId(self.dice.between(0, self.site.model.jobs.len() as u64 + 1));
        let claims: Vec<ClaimId> = self.site.model.claims.keys().copied().collect();
        let claim = if claims.is_empty() { ClaimId(1 << 32) } else { *self.dice.of(&claims) };
        let caller = self.anyone();
        match self.dice.below(44) {
            0 | 1 => {
                let most = self.dice.weighted(&[(200, 4), (90_000, 1), (9 * 86_400, 1)]);
                let until = self.site.time + self.dice.between(0, most);
                (roles.guardian, Call::Pause { until: Timestamp(until) })
            }
            2 | 3 => (roles.guardian, Call::Unpause),
            4 => (roles.admin, Call::SetMarketParams(self.market_params())),
            5 => (roles.admin, Call::SetClaimParams(self.claim_params())),
            6 | 7 => (operator, Call::Bond { amount: TOKEN * u128::from(self.dice.between(0, 800)) }),
            8 | 9 => {
                let jail = self.dice.weighted(&[(Jail::No, 6), (Jail::Short, 1), (Jail::Strike, 1)]);
                let bonded = self.site.model.stake.operator(operator).map_or(0, |o| o.bonded);
                if bonded == 0 {
                    return (operator, Call::Bond { amount: 1500 * TOKEN });
                }
                // Some leave it below its locks.
                let amount = bonded / u128::from(self.dice.between(1, 12));
                let unlock = self.dice.weighted(&[(0, 2), (5 * TOKEN, 1)]);
                (ELSEWHERE, Call::Slash { operator, amount, unlock, cuts: self.cuts(), jail })
            }
            10 | 11 => {
                let free = self.site.model.stake.operator(operator).map_or(0, |o| o.bonded.saturating_sub(o.locked));
                let amount = free - self.dice.weighted(&[(0, 2), (5 * TOKEN, 2), (20 * TOKEN, 2)]).min(free);
                (ELSEWHERE, Call::Lock { operator, amount })
            }
            12 => {
                let held = self.site.model.stake.locked_by(operator, ELSEWHERE);
                (ELSEWHERE, Call::Release { operator, amount: held / 2 + self.dice.weighted(&[(0, 3), (1, 1)]) })
            }
            13 | 25 => {
                let slasher = self.dice.weighted(&[(self.site.at.market, 2), (roles.book, 2), (ELSEWHERE, 1)]);
                (roles.registry_admin, Call::RetireSlasher { slasher })
            }
            14 | 24 | 37 => {
                let slashers = [self.site.at.market, roles.book, ELSEWHERE];
                let now = self.now();
                let state = |slasher: &Address| self.site.model.stake.slasher_state(&now, *slasher);
                let retired = slashers.iter().find(|slasher| state(slasher) > Some(SlasherState::Active)).copied();
                if retired.is_some() && !self.dice.one_in(8) {
                    let days = self.dice.between(9, 13);
                    self.pass(days * 86_400, days * 7200);
                }
                let slasher = retired.unwrap_or_else(|| *self.dice.of(&slashers));
                (caller, Call::FreeEnded { operator, slasher })
            }
            15 | 28 => {
                let signer = self.dice.of(&self.site.spare).address();
                let signer = if self.dice.one_in(4) { operator } else { signer };
                (operator, Call::ProposeSigner { operator, signer })
            }
            16 | 23 | 29 => {
                let proposed = |key: &PrivateKeySigner| {
                    let operator = key.address();
                    self.site.model.stake.proposed_signer(operator).map(|signer| (signer, operator))
                };
                let (signer, operator) = self.site.operators.iter().find_map(proposed).unwrap_or((caller, operator));
                (signer, Call::AcceptSigner { operator })
            }
            17 => {
                let (word, mask) = (U256::from(self.dice.below(2)), U256::ONE << self.dice.below(40));
                (self.operators_key(), Call::CancelBids { word, mask })
            }
            18..21 => self.terms(10u128.pow(12)),
            21 => (caller, Call::Withdraw),
            22 => (caller, Call::RouteFees { operator }),
            42 => (caller, Call::StartJob { job }),
            39 => (caller, Call::DefaultJob { job }),
            38 => (caller, Call::CancelJob { job }),
            26 => (caller, Call::ReleaseJob { job }),
            27 => (caller, Call::TakeDeposit { job }),
            40 => (caller, Call::Settle { claim }),
            41 => (caller, Call::SlashMissed { claim }),
            30 => (roles.game, Call::LetGo { claim }),
            31 => (roles.game, Call::Hold { claim }),
            32 => (roles.challenges, self.punish(claim)),
            33..=35 => {
                let commitment = self.site.model.sealed_bid(job, operator, 1, U256::ZERO.into());
                let value = self.site.model.deposit_of(job);
                (self.operators_key(), Call::CommitBid { job, commitment, value })
            }
            _ => (caller, Call::TopUp { job, value: 7 }),
        }
    }

    pub(crate) fn market_params(&mut self) -> MarketParams {
        let mut params = self.site.model.params().clone();
        match self.dice.below(6) {
            0 => params.start_window = self.dice.between(5, 120) as u32,
            1 => params.drain_window = self.dice.between(60, 900) as u32,
            2 => params.start_lock = TOKEN * u128::from(self.dice.between(0, 30)),
            3 => params.deposit = TOKEN / 1000 * u128::from(self.dice.between(0, 9)),
            4 => params.election_delay = self.dice.between(0, 9) as u16,
            _ => params.commit_window = self.dice.between(5, 60) as u32,
        }
        params
    }

    pub(crate) fn claim_params(&mut self) -> ClaimParams {
        let mut params = self.site.model.claim_params().clone();
        match self.dice.below(8) {
            0 => params.seed_delay = self.dice.between(1, 9) as u16,
            1 => params.preimage_window = self.dice.between(0, 310) as u32,
            2 => params.answer_window = self.dice.between(290, 900) as u32,
            3 => params.attest_window = self.dice.between(1, 100) as u32,
            4 => params.min_lock = TOKEN * u128::from(self.dice.between(0, 40)),
            5 => params.verifier_lock = TOKEN * u128::from(self.dice.between(0, 10)),
            6 => (params.lock_num, params.lock_den) = (self.dice.between(1, 9), self.dice.between(1, 9)),
            _ => params.verifier_share = self.dice.between(0, 510) as u16,
        }
        params
    }
}
