//! A modelled machine, see `System` of the doubles' ledger: access units are canned, and ready when an engine would be done
//! with them. Opening a session takes 60 ms, reconfiguring one 5 ms.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use headframe_double_ledger::{Engines, System, modelled, takes, wait_until};
use headframe_nv_sys::nvenc::{NV_ENC_ERR_INVALID_PARAM, NV_ENC_ERR_OUT_OF_MEMORY, NVENCSTATUS};

use crate::LEDGER;

static ENGINES: Engines = Engines::new();
/// Million luma samples a second: 500 pictures of 1080p.
const SPEED: u64 = 1037;
const OPENING: Duration = Duration::from_millis(60);
const RECONFIGURING: Duration = Duration::from_millis(5);

/// All sessions of the machine are taken.
pub(crate) struct Taken;

/// A session of the machine, given back when this is dropped.
pub(crate) struct Slot(&'static System);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Slot {
    /// One that nobody has; none is needed where no machine is modelled. The error is that all are taken.
    pub(crate) fn take() -> Result<Option<Self>, Taken> {
        let Some(system) = LEDGER.system() else { return Ok(None) };
        if system.take() { Ok(Some(Self(system))) } else { Err(Taken) }
    }

    /// How the driver refuses to go on with this session with other settings, if it does.
    pub(crate) fn refuses_to_reconfigure(&self) -> Option<NVENCSTATUS> {
        if self.0.open() > self.0.cap.load(Ordering::SeqCst) {
            return Some(NV_ENC_ERR_OUT_OF_MEMORY);
        }
        self.0.fixed.load(Ordering::SeqCst).then_some(NV_ENC_ERR_INVALID_PARAM)
    }
}

/// When an engine is done with a picture of so many luma samples, whose session is busy until `after`.
pub(crate) fn encoded(after: Option<Instant>, samples: u64) -> Option<Instant> {
    let engines = LEDGER.number("engines", 1) as usize;
    takes(&LEDGER, samples, SPEED).map(|takes| ENGINES.done(engines, after, takes))
}

/// A session is opened.
pub(crate) fn opening() {
    wait_until(modelled(&LEDGER).then(|| Instant::now() + OPENING));
}

/// A session is reconfigured.
pub(crate) fn reconfiguring() {
    wait_until(modelled(&LEDGER).then(|| Instant::now() + RECONFIGURING));
}
