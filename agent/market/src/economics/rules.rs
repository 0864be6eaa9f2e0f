//! The protocol's parameters that attacks run up against, as `contracts/params/mainnet.json` and the contracts' constants
//! have them: `contracts/tests/mainnet.rs` holds one to the other.

use crate::machine::LONG_CLAIM;

/// Amounts are parts of a claim's fee where nothing else is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Segments from which a claim is long.
    pub long_claim: u32,
    /// Segments drawn of a long claim, if its client does not ask for fewer.
    pub long_draws: u32,
    /// Segments drawn of a short one.
    pub short_draws: u32,
    /// Collateral of a long claim, at the token's price behind `lockNum / lockDen`.
    pub long_lock: f64,
    /// Collateral of a short one.
    pub short_lock: f64,
    /// Tokens of collateral for a coin of a short claim's fee: the inverse of the token's price that the locks above assume.
    pub stake_for_coin: f64,
    /// The most of a slash that goes to its finder: who can be the operator itself.
    pub finder: f64,
    /// Of a slash for data withheld, to whoever calls for it.
    pub caller: f64,
    /// Of a slash by verdict, to the challenger.
    pub challenger: f64,
    /// Of a slash by verdict, to the jury.
    pub jurors: f64,
    /// Blocks from a claim to the one that seeds its draw.
    pub seed_delay: u32,
    /// Seats and quorum of a trial, and of its appeal.
    pub trial: (u32, u32),
    /// The same after an appeal.
    pub appeal: (u32, u32),
    /// Draws for each seat of a jury until one falls on somebody enlisted.
    pub juror_tries: u32,
    /// Verifiers of each drawn segment.
    pub verifiers: u32,
    /// What a claim's verifiers share.
    pub verifier_share: f64,
    /// Whether only those verifiers are paid that agree with what was settled.
    pub pays_agreement_only: bool,
    /// Seats that are remembered, and absences among them that cost.
    pub absences: (u32, u32),
    /// Of the claim's lock, in a challenger's bond.
    pub bond_share: f64,
    /// Of a lost bond, to the winner.
    pub bond_to_winner: f64,
    /// Longest way of a claim through a dispute, in whole days.
    pub dispute_days: f64,
}

impl Rules {
    /// The main network's.
    #[must_use]
    pub fn main() -> Self {
        Self {
            long_claim: LONG_CLAIM,
            long_draws: 8,
            short_draws: 2,
            long_lock: 0.5,
            short_lock: 1.0,
            stake_for_coin: 1000.0,
            finder: 0.5,
            caller: 0.1,
            challenger: 0.25,
            jurors: 0.25,
            seed_delay: 65,
            trial: (15, 11),
            appeal: (31, 23),
            juror_tries: 4,
            verifiers: 2,
            verifier_share: 0.02,
            pays_agreement_only: true,
            absences: (20, 3),
            bond_share: 0.1,
            bond_to_winner: 0.5,
            dispute_days: 8.0,
        }
    }

    /// Segments drawn of a claim of `count`.
    #[must_use]
    pub fn draws(&self, count: u32) -> u32 {
        if count >= self.long_claim { self.long_draws } else { self.short_draws.min(count) }
    }

    /// Its collateral.
    #[must_use]
    pub fn lock(&self, count: u32) -> f64 {
        if count >= self.long_claim { self.long_lock } else { self.short_lock }
    }
}
