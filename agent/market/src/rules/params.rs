//! Parameters of jobs and claims, and within what they may move.

use super::{Refusal, WHOLE, ensure};
use crate::machine::LONG_CLAIM;

/// A millionth of a token: the book keeps locks in it.
const LOCK_UNIT: u128 = 1_000_000_000_000;

/// `IJobMarket.Params`. Windows are seconds of the market's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // said in the interface
pub struct MarketParams {
    pub start_window: u32,
    pub drain_window: u32,
    pub commit_window: u32,
    pub reveal_window: u32,
    pub election_delay: u16,
    pub start_lock: u128,
    pub deposit: u128,
}

/// `IClaimBook.Params`. Windows are seconds of block time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // said in the interface
pub struct ClaimParams {
    pub seed_delay: u16,
    pub preimage_window: u32,
    pub answer_window: u32,
    pub attest_window: u32,
    pub reveal_window: u32,
    pub contest_window: u32,
    pub min_lock: u128,
    pub verifier_lock: u128,
    pub lock_num: u64,
    pub lock_den: u64,
    pub verifier_share: u16,
}

impl MarketParams {
    fn values(&self) -> [u128; 7] {
        let windows = [self.start_window, self.drain_window, self.commit_window, self.reveal_window].map(u128::from);
        let [start, drain, commit, reveal] = windows;
        [start, drain, commit, reveal, self.election_delay.into(), self.start_lock, self.deposit]
    }

    pub(super) fn check(&self, least: &Self, most: &Self) -> Result<(), Refusal> {
        within(&self.values(), &least.values(), &most.values())
    }
}

impl ClaimParams {
    fn values(&self) -> [u128; 11] {
        let windows =
            [self.preimage_window, self.answer_window, self.attest_window, self.reveal_window, self.contest_window];
        let [preimage, answer, attest, reveal, contest] = windows.map(u128::from);
        let [num, den] = [self.lock_num, self.lock_den].map(u128::from);
        let share = self.verifier_share.into();
        let (min, verifier) = (self.min_lock, self.verifier_lock);
        [self.seed_delay.into(), preimage, answer, attest, reveal, contest, min, verifier, num, den, share]
    }

    pub(super) fn check(&self, least: &Self, most: &Self) -> Result<(), Refusal> {
        within(&self.values(), &least.values(), &most.values())?;
        let whole = self.min_lock.is_multiple_of(LOCK_UNIT) && self.verifier_lock.is_multiple_of(LOCK_UNIT);
        ensure(whole, Refusal::ParamOutOfBounds)?;
        ensure(self.preimage_window <= self.answer_window / 2, Refusal::ParamOutOfBounds)
    }

    /// How many segments are drawn of a claim.
    #[must_use]
    pub fn drawn(count: u32, k: u8) -> u8 {
        if count >= LONG_CLAIM { k } else { k.min(2).min(u8::try_from(count).unwrap_or(u8::MAX)) }
    }

    /// Collateral, rounded up. `None` past 128 bits.
    #[must_use]
    pub fn lock(&self, fee: u128, count: u32, drawn: u8) -> Option<u128> {
        let den = u128::from(self.lock_den) * if count >= LONG_CLAIM { 2 } else { 1 };
        let by_fee = fee.checked_mul(self.lock_num.into())?.div_ceil(den);
        let by_work = u128::from(drawn) * 2 * self.verifier_lock;
        Some(by_fee.checked_add(by_work)?.max(self.min_lock))
    }

    /// Of a fee, for those who verified it.
    pub(super) fn verifiers_part(&self, fee: u128) -> u128 {
        fee * u128::from(self.verifier_share) / WHOLE
    }
}

fn within(values: &[u128], least: &[u128], most: &[u128]) -> Result<(), Refusal> {
    let inside = values.iter().zip(least).zip(most).all(|((value, least), most)| value >= least && value <= most);
    ensure(inside, Refusal::ParamOutOfBounds)
}
