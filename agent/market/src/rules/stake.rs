//! As much of the stake registry as jobs and claims depend on: own stake, locks, slashers, jail, seats and keys.

use super::{Cut, DAY, Jail, Now, Refusal, WHOLE, ensure};
use alloy_primitives::Address;
use std::collections::BTreeMap;

/// Out for ever.
const FOR_EVER: u64 = (1 << 40) - 1;

/// One operator that bonded stake of its own and has neither delegators nor thawing stake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// In 1e-18 tokens, as all stake.
    pub bonded: u128,
    /// By all slashers.
    pub locked: u128,
    /// Has a slot of the active set, while it is fit.
    pub seated: bool,
    /// Faults that were proved.
    pub strikes: u8,
    /// First second in which it is fit again.
    pub jailed_until: u64,
    locks: BTreeMap<Address, u128>,
}

/// A contract that may lock and slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slasher {
    reach: u32,
    retired_at: Option<u64>,
}

/// What a slasher may still do, in the contract's order without its first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum SlasherState {
    Active,
    Retired,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    operator: Address,
    retired: bool,
}

/// The registry.
#[derive(Clone, Debug, Default)]
pub struct Stake {
    min_self: u128,
    slashers: BTreeMap<Address, Slasher>,
    operators: BTreeMap<Address, Operator>,
    signers: BTreeMap<Address, Address>,
    proposed: BTreeMap<Address, Address>,
    keys: BTreeMap<Address, Key>,
    /// Cuts that were not taken out yet.
    pub bounty: BTreeMap<Address, u128>,
}

impl Stake {
    /// `min_self`: least own stake of an operator that works.
    pub fn new(min_self: u128) -> Self {
        Self { min_self, ..Self::default() }
    }

    /// Announced before anybody bonded, so it may lock at once.
    pub fn name_slasher(&mut self, slasher: Address, reach: u32) {
        self.slashers.insert(slasher, Slasher { reach, retired_at: None });
    }

    /// Of one that bonded.
    pub fn operator(&self, operator: Address) -> Option<&Operator> {
        self.operators.get(&operator)
    }

    /// Whose hot key this is: of whom nobody named it for, itself; a replaced one is nobody's.
    pub fn operator_of(&self, key: Address) -> Option<Address> {
        match self.keys.get(&key) {
            None => Some(key),
            Some(key) => (!key.retired).then_some(key.operator),
        }
    }

    /// The hot key of an operator.
    pub fn signer_of(&self, operator: Address) -> Address {
        self.signers.get(&operator).copied().unwrap_or(operator)
    }

    /// Who may become the hot key of an operator.
    pub fn proposed_signer(&self, operator: Address) -> Option<Address> {
        self.proposed.get(&operator).copied()
    }

    /// What a slasher has locked.
    pub fn locked_by(&self, operator: Address, slasher: Address) -> u128 {
        self.operators.get(&operator).and_then(|o| o.locks.get(&slasher)).copied().unwrap_or_default()
    }

    /// `None` for one that was never announced.
    pub fn slasher_state(&self, now: &Now<'_>, slasher: Address) -> Option<SlasherState> {
        let Slasher { reach, retired_at } = self.slashers.get(&slasher)?;
        Some(match retired_at {
            None => SlasherState::Active,
            Some(at) if now.time.0 <= at + u64::from(*reach) => SlasherState::Retired,
            Some(_) => SlasherState::Ended,
        })
    }

    pub(super) fn is_active(&self, now: &Now<'_>, operator: Address) -> bool {
        self.operators.get(&operator).is_some_and(|o| o.seated && self.fit(now, o))
    }

    fn fit(&self, now: &Now<'_>, operator: &Operator) -> bool {
        now.time.0 >= operator.jailed_until && operator.bonded >= self.min_self
    }

    /// Stake that nothing has locked.
    pub(super) fn free(&self, operator: Address) -> u128 {
        self.operators.get(&operator).map_or(0, |o| o.bonded.saturating_sub(o.locked))
    }

    pub(super) fn own(&self, operator: Address) -> u128 {
        self.operators.get(&operator).map_or(0, |o| o.bonded)
    }

    pub(super) fn bond(&mut self, now: &Now<'_>, operator: Address, amount: u128) -> Result<(), Refusal> {
        if !self.operators.contains_key(&operator) {
            let bound = self.keys.get(&operator).map(|key| key.operator);
            ensure(bound.is_none_or(|bound| bound == operator), Refusal::KeyInUse)?;
        }
        ensure(amount > 0, Refusal::ZeroAmount)?;
        self.operators.entry(operator).or_default().bonded += amount;
        self.update(now, operator, true);
        Ok(())
    }

    pub(super) fn lock(&mut self, now: &Now<'_>, by: Address, on: Address, amount: u128) -> Result<(), Refusal> {
        ensure(self.slasher_state(now, by) == Some(SlasherState::Active), Refusal::SlasherInState)?;
        ensure(amount <= self.free(on), Refusal::InsufficientFree)?;
        if let Some(operator) = self.operators.get_mut(&on) {
            operator.locked += amount;
            *operator.locks.entry(by).or_default() += amount;
        }
        Ok(())
    }

    pub(super) fn release(&mut self, by: Address, on: Address, amount: u128) -> Result<(), Refusal> {
        ensure(amount <= self.locked_by(on, by), Refusal::ReleaseTooLarge)?;
        self.unlock(by, on, amount);
        Ok(())
    }

    pub(super) fn free_ended(&mut self, now: &Now<'_>, on: Address, slasher: Address) -> Result<(), Refusal> {
        ensure(self.slasher_state(now, slasher) == Some(SlasherState::Ended), Refusal::SlasherInState)?;
        self.unlock(slasher, on, self.locked_by(on, slasher));
        Ok(())
    }

    /// What is taken goes by `cuts`, the rest is burned. Own stake bears it, locked or not.
    #[allow(clippy::too_many_arguments)] // the contract's
    pub(super) fn slash(
        &mut self,
        now: &Now<'_>,
        by: Address,
        on: Address,
        amount: u128,
        unlock: u128,
        cuts: &[Cut],
        jail: Jail,
    ) -> Result<u128, Refusal> {
        let state = self.slasher_state(now, by).ok_or(Refusal::SlasherInState)?;
        ensure(state <= SlasherState::Retired, Refusal::SlasherInState)?;
        self.unlock(by, on, unlock.min(self.locked_by(on, by)));
        let operator = self.operators.entry(on).or_default();
        let taken = amount.min(operator.bonded);
        operator.bonded -= taken;
        let days = match jail {
            Jail::No => None,
            Jail::Short => Some(3),
            Jail::Strike => {
                operator.strikes = (operator.strikes + 1).min(3);
                Some(if operator.strikes == 1 { 14 } else { 60 })
            }
        };
        if let Some(days) = days {
            let for_ever = jail == Jail::Strike && operator.strikes == 3;
            let until = if for_ever { FOR_EVER } else { now.time.0 + days * DAY };
            operator.jailed_until = operator.jailed_until.max(until);
        }
        self.update(now, on, false);
        for cut in cuts {
            *self.bounty.entry(cut.to).or_default() += taken * u128::from(cut.share) / WHOLE;
        }
        ensure(cuts.iter().map(|cut| u128::from(cut.share)).sum::<u128>() <= WHOLE / 2, Refusal::CutsTooLarge)?;
        Ok(taken)
    }

    pub(super) fn retire(&mut self, now: &Now<'_>, slasher: Address) -> Result<(), Refusal> {
        let slasher = self.slashers.get_mut(&slasher).ok_or(Refusal::SlasherInState)?;
        ensure(slasher.retired_at.is_none(), Refusal::SlasherInState)?;
        slasher.retired_at = Some(now.time.0);
        Ok(())
    }

    /// Every operator here owns itself.
    pub(super) fn propose_signer(&mut self, by: Address, operator: Address, signer: Address) -> Result<(), Refusal> {
        ensure(by == operator, Refusal::NotOwner)?;
        self.proposed.insert(operator, signer);
        Ok(())
    }

    pub(super) fn accept_signer(&mut self, by: Address, operator: Address) -> Result<(), Refusal> {
        ensure(self.proposed.get(&operator) == Some(&by), Refusal::NotProposed)?;
        let bound = self.keys.get(&by).map(|key| key.operator);
        let unused = bound.is_none() && !self.operators.contains_key(&by);
        ensure(unused || bound == Some(operator) || by == operator, Refusal::KeyInUse)?;
        self.keys.insert(self.signer_of(operator), Key { operator, retired: true });
        self.keys.insert(by, Key { operator, retired: false });
        self.signers.insert(operator, by);
        self.proposed.remove(&operator);
        Ok(())
    }

    fn unlock(&mut self, by: Address, on: Address, amount: u128) {
        if let Some(operator) = self.operators.get_mut(&on) {
            operator.locked -= amount;
            *operator.locks.entry(by).or_default() -= amount;
        }
    }

    /// Who is unfit loses its seat at once; only a bond gives one here.
    fn update(&mut self, now: &Now<'_>, operator: Address, enter: bool) {
        let min_self = self.min_self;
        if let Some(o) = self.operators.get_mut(&operator) {
            let fit = now.time.0 >= o.jailed_until && o.bonded >= min_self;
            o.seated = fit && (o.seated || enter);
        }
    }
}
