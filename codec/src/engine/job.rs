//! What all work on one segment shares, whichever engine does it.

use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

use super::output::Outlet;
use super::rung::{self, Made};
use super::scaling::Waiting;
use super::timeline::Timeline;
use crate::budget::Limits;
use crate::error::EngineError;
use crate::ladder::Rendition;
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

/// Threads that encode a rung each.
pub(super) struct Threads<'scope>(Vec<ScopedJoinHandle<'scope, Result<Made, EngineError>>>);

impl<'scope> Threads<'scope> {
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// Encodes the rendition with this index of what comes from `waiting`.
    pub(super) fn spawn<'env>(
        &mut self,
        scope: &'scope Scope<'scope, 'env>,
        job: &'env Job<'env>,
        (index, rendition): (usize, &'env Rendition),
        pace: Option<Pace>,
        waiting: Waiting,
    ) -> Result<(), EngineError> {
        let thread = std::thread::Builder::new().name(format!("rung-{}", rendition.name));
        let spawned = thread.spawn_scoped(scope, move || rung::run((index, rendition), job, pace, &waiting));
        let failed = |_| EngineError::Memory { what: "start an encoder thread".to_owned() };
        self.0.push(spawned.map_err(failed)?);
        Ok(())
    }

    /// Waits for all of them: what they made, in the order in which they were begun, or the first error.
    pub(super) fn join(self) -> Result<Vec<Made>, EngineError> {
        let panicked = || EngineError::Codec {
            what: "encode".to_owned(),
            code: 0,
            reason: "the encoder thread panicked; this is a bug".to_owned(),
        };
        let ended: Vec<_> = self.0.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(panicked()))).collect();
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
