//! How a claim ends badly, and what its judges do.

use super::{Claim, Cut, Fault, Jail, Market, Now, Refusal, SlasherState, WHOLE, ensure};
use crate::machine::ClaimState;
use crate::units::ClaimId;
use alloy_primitives::Address;

const MOST_HOLDS: u8 = 15;
/// Of own stake, for a proof, in 1e-4.
const PROOF_SHARE: u128 = 500;

impl Market {
    pub(super) fn slash_missed(&mut self, now: &Now<'_>, caller: Address, id: ClaimId) -> Result<u128, Refusal> {
        let claim = self.claim_mut(id)?.clone();
        let until = match claim.state {
            ClaimState::Answered => claim.reveal_until(),
            ClaimState::Submitted | ClaimState::Sealed => claim.answer_until(),
            _ => return Err(Refusal::ClaimNotInState),
        };
        ensure(now.time.0 > until, Refusal::TooEarly)?;
        self.claim_mut(id)?.state = ClaimState::Missed;
        let cuts = self.missed_cuts(id, caller)?;
        self.take(now, id, &claim, claim.lock, &cuts, Jail::No)
    }

    pub(super) fn hold(&mut self, now: &Now<'_>, caller: Address, id: ClaimId) -> Result<(), Refusal> {
        let judge = self.judge(caller)?;
        let claim = self.claim_mut(id)?;
        claim.in_state(ClaimState::Revealed)?;
        ensure(now.time.0 <= claim.contest_until(), Refusal::TooLate)?;
        ensure(claim.holds[judge] < MOST_HOLDS, Refusal::Held)?;
        claim.holds[judge] += 1;
        Ok(())
    }

    pub(super) fn let_go(&mut self, caller: Address, id: ClaimId) -> Result<(), Refusal> {
        let judge = self.judge(caller)?;
        let claim = self.claims.get_mut(&id).ok_or(Refusal::NotHeld)?;
        if claim.state.is_over() {
            return Ok(());
        }
        ensure(claim.holds[judge] > 0, Refusal::NotHeld)?;
        claim.holds[judge] -= 1;
        Ok(())
    }

    pub(super) fn punish(
        &mut self,
        now: &Now<'_>,
        caller: Address,
        id: ClaimId,
        fault: Fault,
        cuts: &[Cut],
    ) -> Result<u128, Refusal> {
        self.judge(caller)?;
        let claim = self.claim_mut(id)?;
        ensure(!claim.state.is_over(), Refusal::ClaimNotInState)?;
        let before = claim.clone();
        (claim.state, claim.holds) = (ClaimState::Slashed, [0, 0]);
        match fault {
            Fault::Proof => {
                let more = (self.stake.own(before.operator) * PROOF_SHARE).div_ceil(WHOLE);
                self.take(now, id, &before, before.lock + more, cuts, Jail::Strike)
            }
            Fault::Verdict => self.take(now, id, &before, before.lock, cuts, Jail::Short),
            Fault::Withheld => {
                let finder = cuts.first().ok_or(Refusal::Panic)?.to;
                let cuts = self.missed_cuts(id, finder)?;
                self.take(now, id, &before, before.lock, &cuts, Jail::No)
            }
        }
    }

    /// Two judges, whose holds are counted apart.
    fn judge(&self, caller: Address) -> Result<usize, Refusal> {
        let judges = [self.roles.challenges, self.roles.game];
        judges.iter().position(|&judge| judge == caller).ok_or(Refusal::NotJudge)
    }

    fn missed_cuts(&mut self, id: ClaimId, caller: Address) -> Result<[Cut; 2], Refusal> {
        let client = self.job_mut(id.job())?.client;
        Ok([Cut { to: client, share: 4000 }, Cut { to: caller, share: 1000 }])
    }

    fn take(
        &mut self,
        now: &Now<'_>,
        id: ClaimId,
        claim: &Claim,
        amount: u128,
        cuts: &[Cut],
        jail: Jail,
    ) -> Result<u128, Refusal> {
        let book = self.roles.book;
        let mut stake = self.stake.clone(); // a refused slash leaves nothing behind
        let taken = stake.slash(now, book, claim.operator, amount, claim.lock, cuts, jail);
        if taken.is_ok() {
            self.stake = stake;
        }
        let taken = self.unless_ended(now, taken)?;
        self.restore(id, claim.fee)?;
        Ok(taken)
    }

    /// Once the registry no longer lets the book slash, claims end all the same.
    pub(super) fn unless_ended<T: Default>(&self, now: &Now<'_>, result: Result<T, Refusal>) -> Result<T, Refusal> {
        let ended = self.stake.slasher_state(now, self.roles.book) == Some(SlasherState::Ended);
        if ended { Ok(result.unwrap_or_default()) } else { result }
    }
}
