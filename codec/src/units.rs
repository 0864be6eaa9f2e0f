//! Units that several modules share.

use std::time::Duration;

/// A point in time on the steady clock of whoever keeps the state: the span since that clock began. Nothing here reads a
/// clock; callers say what time it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub Duration);

impl Moment {
    /// The point `span` later; the end of time where that is past it.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// The span since `earlier`; nothing where that is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A graphics card of this machine, for as long as the supervising process lives. Its owner knows the UUID behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardId(pub u32);

/// Cards of one machine that anything is remembered of.
pub(crate) const MAX_CARDS: usize = 64;
