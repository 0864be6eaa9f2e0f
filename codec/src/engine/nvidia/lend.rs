//! Where a rung's encoder session comes from: lent for one rung of one segment, when all of its pictures wait in the card's
//! memory. Nobody holds a session while waiting for another.

use std::time::{Duration, Instant};

use super::encoding::Encoding;
use super::warm::Warm;
use crate::admission::encode_time;
use crate::error::EngineError;
use crate::nvidia::{Device, EncoderSettings, NvidiaError};
use crate::sessions::Spec;

/// A rung that wants a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    /// What is to be made.
    pub spec: Spec,
    /// What the session is to be told.
    pub settings: EncoderSettings,
    /// Luma samples of all its pictures.
    pub samples: f64,
    /// It is of no use after that.
    pub until: Instant,
}

/// Why work with a session ended early.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The session, or the card.
    Card(NvidiaError),
    /// Something else; the session is drained.
    Else(EngineError),
}

impl From<NvidiaError> for Failed {
    fn from(error: NvidiaError) -> Self {
        Self::Card(error)
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        Self::Else(error)
    }
}

/// Makes all of a rung with a session; begins anew with each call. Asked for in between: whether it is to be given up.
pub(crate) type Make<'a> = &'a mut dyn FnMut(&mut Encoding, &dyn Fn() -> bool) -> Result<(), Failed>;

/// Who has the sessions of a card.
pub(crate) trait Lender: Send + Sync {
    /// Waits for a session and has `make` use it, on several of them if sessions fail. `false` where none is to be had in
    /// time: the processors make the rung. The reason is in the log.
    fn lend(&self, wish: &Wish, make: Make<'_>) -> Result<bool, Failed>;
}

impl Wish {
    /// For how long it can be waited for.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// When the processors must begin to be in time. Where they could not be in any case, it is waited for to the end.
    pub(super) fn patience(&self) -> Instant {
        let latest = encode_time(self.samples).and_then(|needed| self.until.checked_sub(needed));
        latest.filter(|latest| *latest > Instant::now()).unwrap_or(self.until)
    }
}

/// Sessions that nobody else is asked for: opened until the driver refuses, and kept; then waited for while others use them,
/// the earliest deadline first.
pub(super) fn own(warm: &Warm, device: &std::sync::Arc<Device>, wish: &Wish, make: Make<'_>) -> Result<bool, Failed> {
    let found = warm.wait_for_session(device, wish)?;
    let Some((mut session, using)) = found else { return Ok(false) };
    let made = make(&mut session, &|| false);
    // Kept, or closed, before somebody who waits tries again.
    match made {
        Ok(()) => warm.keep_session(session),
        Err(_) => drop(session),
    }
    drop(using);
    made.map(|()| true)
}
