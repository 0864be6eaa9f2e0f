//! Test double of `libnvidia-ml`: a healthy card that does nothing. It is told: `sessions` (0), `temperature` (44,
//! degrees Celsius), `watts` (12), `throttle` (0: the bits that say what slows the clocks down).
#![deny(unsafe_code)]

mod api;

use std::sync::atomic::{AtomicUsize, Ordering};

use headframe_double_ledger::Ledger;

static LEDGER: Ledger = Ledger::new("nvml");
/// Times that it was started and not stopped.
static STARTED: AtomicUsize = AtomicUsize::new(0);

fn live() -> [(&'static str, usize); 1] {
    [("start", STARTED.load(Ordering::Relaxed))]
}
