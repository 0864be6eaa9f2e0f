//! Test double of `libcuda`: the part that is used here. Device memory is memory of this process behind addresses that
//! are none, so nothing but this library can reach it. Strict where the real one is forgiving: every call that needs a
//! context needs a current one, every copy must lie within one allocation, and what was not given back is reported.
//!
//! It is told: `devices` (1), `memory` (MiB of each, 8192), `compute` (`8.6`), `version` (12020).
#![deny(unsafe_code)]

mod api;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use headframe_double_ledger::Ledger;

static LEDGER: Ledger = Ledger::new("cuda");

/// A context is this plus the number of its device.
const CONTEXT: u64 = 0xC0DE_0000;
/// Rows of pitched memory begin at multiples of this, as on real cards.
const PITCH: usize = 512;

#[derive(Default)]
struct State {
    started: bool,
    /// Times that each device's primary context is retained.
    retained: BTreeMap<i32, u32>,
    /// Allocations by address.
    memory: BTreeMap<u64, Vec<u8>>,
    used: u64,
    next: u64,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

thread_local! {
    static CURRENT: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<T>(run: impl FnOnce(&mut State) -> T) -> T {
    run(state().get_or_insert_default())
}

fn live() -> [(&'static str, usize); 3] {
    // Gone when the process ends.
    let pushed = CURRENT.try_with(|current| current.borrow().len()).unwrap_or(0);
    with(|state| {
        let contexts = state.retained.values().map(|count| *count as usize).sum();
        [("memory", state.memory.len()), ("context", contexts), ("current context", pushed)]
    })
}

impl State {
    /// The allocation that all of `len` bytes from `address` lie in, and where in it they begin.
    fn find(&mut self, address: u64, len: usize) -> Option<(&mut Vec<u8>, usize)> {
        let (base, block) = self.memory.range_mut(..=address).next_back()?;
        let at = usize::try_from(address - base).ok()?;
        (at.checked_add(len)? <= block.len()).then_some((block, at))
    }

    fn allocate(&mut self, len: usize, limit: u64) -> Option<u64> {
        if self.used + len as u64 > limit {
            return None;
        }
        let address = 0x7000_0000_0000 + self.next;
        // A gap behind each, so that a step too far is seen.
        self.next += (len as u64 + 8192).next_multiple_of(4096);
        self.used += len as u64;
        self.memory.insert(address, vec![0xA5; len]);
        Some(address)
    }

    fn free(&mut self, address: u64) -> bool {
        let freed = self.memory.remove(&address);
        self.used -= freed.as_ref().map_or(0, |block| block.len() as u64);
        freed.is_some()
    }
}
