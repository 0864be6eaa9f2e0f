//! What all work on one segment shares, whichever engine does it.

use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

use super::output::Outlet;
use super::rung::{self, Made};
use super::scaling::Waiting;
use super::timeline::Timeline;
use crate::budget::Limits;
use crate::error::EngineError;
use crate::ffi::priority;
use crate::ladder::{Ladder, Rendition};
use crate::pace::Pace;
use crate::ts::Media;

/// A segment in work.
pub(super) struct Job<'a> {
    pub(super) media: &'a Media,
    pub(super) timeline: Timeline,
    pub(super) limits: &'a Limits,
    pub(super) started: Instant,
    pub(super) outlet: Outlet<'a>,
}

impl Job<'_> {
    pub(super) fn check_time(&self) -> Result<(), EngineError> {
        match self.started.elapsed() > self.limits.wall {
            true => Err(EngineError::Wall { limit_ms: self.limits.wall.as_millis() as u64 }),
            false => Ok(()),
        }
    }
}

/// By how much a rung's encoder goes before that of the next smaller one. A thread then gets three times the share of the
/// other, so that the longest work begins first, and few cores do not end with the largest rung alone: 4 to 8 % less time
/// for a segment on two cores. Smaller rungs catch up while the decoder waits for them.
const AHEAD: i32 = 5;

/// Threads that encode a rung each.
pub(super) struct Threads<'scope, 'env> {
    ladder: &'env Ladder,
    begun: Vec<ScopedJoinHandle<'scope, Result<Made, EngineError>>>,
}

impl<'scope, 'env> Threads<'scope, 'env> {
    /// None yet; they will encode rungs of `ladder`.
    pub(super) fn of(ladder: &'env Ladder) -> Self {
        Self { ladder, begun: Vec::new() }
    }

    /// Encodes the rendition with this index of what comes from `waiting`.
    pub(super) fn spawn(
        &mut self,
        scope: &'scope Scope<'scope, 'env>,
        job: &'env Job<'env>,
        (index, rendition): (usize, &'env Rendition),
        pace: Option<Pace>,
        waiting: Waiting,
    ) -> Result<(), EngineError> {
        let thread = std::thread::Builder::new().name(format!("rung-{}", rendition.name));
        let larger = self.ladder.larger(rendition) as i32;
        let spawned = thread.spawn_scoped(scope, move || {
            priority::stand_back(AHEAD * larger);
            rung::run((index, rendition), job, pace, &waiting)
        });
        let failed = |_| EngineError::Memory { what: "start an encoder thread".to_owned() };
        self.begun.push(spawned.map_err(failed)?);
        Ok(())
    }

    /// Waits for all of them: what they made, in the order in which they were begun, or the first error.
    pub(super) fn join(self) -> Result<Vec<Made>, EngineError> {
        let panicked = || EngineError::Codec {
            what: "encode".to_owned(),
            code: 0,
            reason: "the encoder thread panicked; this is a bug".to_owned(),
        };
        let ended: Vec<_> = self.begun.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(panicked()))).collect();
        ended.into_iter().collect()
    }
}

/// Why work on a segment ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// For this reason.
    Failed(EngineError),
    /// A rung takes no more pictures; it knows why.
    HungUp,
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}
