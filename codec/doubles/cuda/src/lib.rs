//! Test double of `libcuda`: the part that is used here. Device memory lies in this process, where nothing can reach it but
//! copies and launches. Launches run the kernels' own source, compiled for the CPU; any other module is refused. Strict where
//! the real one is forgiving: every call that needs a context needs a current one, every handle must be one of it, every
//! copy must lie within one allocation and every access of a kernel in any, and what was not given back is reported.
//!
//! Work is done when the call that queues it returns, so this does not show whether anybody waits for it.
//!
//! It is told: `devices` (1), `memory` (MiB of each, 8192), `compute` (`8.6`), `version` (12020), `system` (a modelled machine, see
//! `system` of the ledger: then launches and copies on the device do nothing).
#![deny(unsafe_code)]

/// Begins a function; returns the code that it is to fail with.
macro_rules! enter {
    ($function:literal) => {
        if let Err(code) = crate::LEDGER.enter($function) {
            return CUresult(code);
        }
    };
    ($function:literal, current) => {{
        enter!($function);
        match crate::context($function) {
            Ok(context) => context,
            Err(code) => return code,
        }
    }};
}

mod api;
mod arena;
mod copies;
mod launch;
mod looked_up;
mod work;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use headframe_double_ledger::Ledger;
use headframe_nv_sys::cuda::{CUDA_ERROR_INVALID_CONTEXT, CUresult};

use crate::arena::Arena;

static LEDGER: Ledger = Ledger::new("cuda");

/// A context is this plus the number of its device.
const CONTEXT: u64 = 0xC0DE_0000;

#[derive(Default)]
struct State {
    started: bool,
    /// Times that each device's primary context is retained.
    retained: BTreeMap<i32, u32>,
    /// Devices on which a thread that waits sleeps.
    sleeping: BTreeSet<i32>,
    memory: Arena,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// A thread's stack of contexts.
#[derive(Default)]
struct Stack {
    contexts: Vec<u64>,
    /// The lowest was not pushed, but set where there was none: nobody owes a pop for it.
    set: bool,
}

thread_local! {
    static CURRENT: RefCell<Stack> = const { RefCell::new(Stack { contexts: Vec::new(), set: false }) };
}

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<T>(run: impl FnOnce(&mut State) -> T) -> T {
    run(state().get_or_insert_default())
}

/// Bytes of each device.
fn memory() -> u64 {
    LEDGER.number("memory", 8192) << 20
}

/// Whether there is such a context now.
fn retained(context: u64) -> bool {
    let device = i32::try_from(context.wrapping_sub(CONTEXT));
    device.is_ok_and(|device| with(|state| state.retained.get(&device).is_some_and(|count| *count > 0)))
}

/// The current context.
fn context(function: &str) -> Result<u64, CUresult> {
    match CURRENT.with_borrow(|stack| stack.contexts.last().copied()) {
        Some(context) if retained(context) => return Ok(context),
        Some(_) => LEDGER.violation(format!("{function} in a context that nobody retains any more")),
        None => LEDGER.violation(format!("{function} without a current context")),
    }
    Err(CUDA_ERROR_INVALID_CONTEXT)
}

/// A thread waits for a card. It must not spin, as the driver has it do unless it is told otherwise.
fn waits(context: u64, function: &str) {
    let device = i32::try_from(context.wrapping_sub(CONTEXT)).unwrap_or(-1);
    if !with(|state| state.sleeping.contains(&device)) {
        LEDGER.violation(format!("{function} in a context in which threads spin while they wait"));
    }
}

fn live() -> [(&'static str, usize); 6] {
    // Gone when the process ends.
    let owed = |stack: &RefCell<Stack>| {
        let stack = stack.borrow();
        stack.contexts.len() - usize::from(stack.set)
    };
    let pushed = CURRENT.try_with(owed).unwrap_or(0);
    let (memory, contexts) = with(|state| {
        let contexts = state.retained.values().map(|count| *count as usize).sum();
        (state.memory.len(), contexts)
    });
    let (modules, streams, events) = work::live();
    [
        ("memory", memory),
        ("context", contexts),
        ("current context", pushed),
        ("module", modules),
        ("stream", streams),
        ("event", events),
    ]
}
