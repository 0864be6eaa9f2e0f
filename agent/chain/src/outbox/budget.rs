//! What may be spent in a day on each kind of action, so that a loop that keeps asking cannot empty the account.
//!
//! Pure. A day is a day of the chain's clock (block timestamps, UTC), so that this machine's clock changes nothing.
//! What was spent is in the store: [`super::store`].

use headframe_market::Wei;
use std::collections::BTreeMap;

/// The key that stands for all kinds that have none of their own.
pub const OTHER: &str = "other";

/// Limits in wei of fees per day. A kind without a limit is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budgets(BTreeMap<String, Wei>);

impl Budgets {
    /// Limits by kind ([`headframe_market::Action::kind`]); [`OTHER`] for each kind that is not named.
    pub fn new(limits: BTreeMap<String, Wei>) -> Self {
        Self(limits)
    }

    /// The kinds that have a limit of their own.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|kind| *kind != OTHER)
    }

    /// The limit of one kind.
    pub fn limit(&self, kind: &str) -> Option<Wei> {
        self.0.get(kind).or_else(|| self.0.get(OTHER)).copied()
    }

    /// Checks that a transaction which may cost `more` fits.
    ///
    /// # Errors
    /// [`Exhausted`], which names the budget and what to do.
    pub fn check(&self, kind: &str, spent: Wei, more: Wei) -> Result<(), Exhausted> {
        let Some(limit) = self.limit(kind) else { return Ok(()) };
        match spent.0.checked_add(more.0) {
            Some(sum) if sum <= limit.0 => Ok(()),
            _ => {
                let key = if self.0.contains_key(kind) { kind } else { OTHER };
                Err(Exhausted { kind: kind.into(), key: key.into(), limit, spent, more })
            }
        }
    }
}

/// A budget does not reach for the next transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the day's budget for {kind} does not reach: {spent} of {limit} are spent or under way, and this may cost {more}; it waits for the next day (UTC, by the chain's clock); to send it today raise chain.budgets.{key} and \
     restart"
)]
pub struct Exhausted {
    /// The kind of action.
    pub kind: String,
    /// The key of the limit that applies.
    pub key: String,
    /// What may be spent in a day.
    pub limit: Wei,
    /// What is spent or may yet be by what is under way.
    pub spent: Wei,
    /// What the next transaction may cost.
    pub more: Wei,
}

/// One kind's day so far.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BudgetView {
    /// The kind of action.
    pub kind: String,
    /// What may be spent in a day; `None` without a limit.
    pub limit: Option<Wei>,
    /// Spent or under way today.
    pub spent: Wei,
    /// Why something waits for it now, if so.
    pub exhausted: Option<String>,
}

impl BudgetView {
    /// What is left of the limit.
    pub fn left(&self) -> Option<Wei> {
        self.limit.map(|limit| Wei(limit.0.saturating_sub(self.spent.0)))
    }
}

/// The day of a block's timestamp.
pub(super) fn day(timestamp: u64) -> u64 {
    timestamp / 86_400
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_its_own_limit_or_the_others() {
        let budgets = Budgets::new(BTreeMap::from([("settle".into(), Wei(10)), (OTHER.into(), Wei(5))]));
        assert!(budgets.check("settle", Wei(4), Wei(6)).is_ok());
        let error = budgets.check("settle", Wei(4), Wei(7)).unwrap_err().to_string();
        assert!(error.contains("for settle") && error.contains("chain.budgets.settle"), "{error}");
        let error = budgets.check("bond", Wei(0), Wei(6)).unwrap_err().to_string();
        assert!(error.contains("for bond") && error.contains("chain.budgets.other"), "{error}");
        assert!(budgets.check("settle", Wei(u128::MAX), Wei(1)).is_err(), "an overflow fits");
        assert!(Budgets::default().check("bond", Wei(u128::MAX), Wei(1)).is_ok());
    }

    #[test]
    fn a_day_is_the_chains() {
        assert_eq!((day(86_399), day(86_400)), (0, 1));
    }
}
