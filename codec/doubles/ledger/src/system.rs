//! A modelled machine of several cards and processes, for stories about many streams.
//!
//! Once it is `modelled` nothing is really decoded, scaled or encoded, and what an engine does takes as long as it would
//! take one that does `speed` million luma samples a second. Before that all is done as ever, so that cards pass the trials
//! that come before work. The driver's cap holds for all processes: see [`System`].
#![allow(unsafe_code, reason = "memory that processes share; a worker in its sandbox has no other way to it")]

use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Ledger;

/// What the processes of the machine share. Doubles are told its number (`system`).
#[repr(C)]
pub struct System {
    /// Whether engines are modelled.
    pub modelled: AtomicBool,
    /// Whether the driver refuses to reconfigure any session.
    pub fixed: AtomicBool,
    /// Sessions that the driver allows to all programs together, and those that are open. Where more are open than allowed,
    /// because the cap fell, none is reconfigured.
    pub cap: AtomicU32,
    open: AtomicU32,
}

impl System {
    /// A machine, and its number. Its memory goes with the last process that has it.
    ///
    /// # Panics
    /// If the system gives no such memory.
    pub fn new() -> (&'static Self, c_int) {
        // SAFETY: asks for fresh memory, as large as it says, zeros.
        let id = unsafe { libc::shmget(libc::IPC_PRIVATE, size_of::<Self>(), 0o600 | libc::IPC_CREAT) };
        let it = Self::of(id).unwrap_or_else(|| panic!("no shared memory: {}", std::io::Error::last_os_error()));
        // SAFETY: a number from above; Linux keeps what is marked so for those that have it or its number.
        unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        (it, id)
    }

    /// The machine of a number.
    pub fn of(id: c_int) -> Option<&'static Self> {
        // SAFETY: attaches what there is at an address that the kernel chooses, or gives -1; never detached.
        let at = unsafe { libc::shmat(id, std::ptr::null(), 0) };
        let at = NonNull::new(at.cast::<Self>()).filter(|at| at.addr().get() != usize::MAX)?;
        // SAFETY: made by `new` above, so large enough, and any bytes that others write through it are atomics.
        Some(unsafe { at.as_ref() })
    }

    /// A session, if the driver still has one. Also what another program does.
    pub fn take(&self) -> bool {
        let cap = self.cap.load(Ordering::SeqCst);
        let one_more = |open| (open < cap).then_some(open + 1);
        self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    /// It is closed.
    pub fn give_back(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many are open.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::SeqCst)
    }
}

/// Engines of one kind. What they do takes as long as it was said to, whatever this machine has to do meanwhile.
pub struct Engines {
    /// When each is free.
    free: Mutex<Vec<Instant>>,
}

impl Engines {
    /// Nobody has asked for anything yet.
    #[expect(clippy::new_without_default, reason = "for a static")]
    pub const fn new() -> Self {
        Self { free: Mutex::new(Vec::new()) }
    }

    /// When work is done that takes this long, on the engine that is free first of so many, and not before `after`.
    pub fn done(&self, engines: usize, after: Option<Instant>, takes: Duration) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        free.resize(engines.max(1), now);
        let begin = after.map_or(now, |after| after.max(now));
        let Some(engine) = free.iter_mut().min() else { return begin };
        *engine = (*engine).max(begin) + takes;
        *engine
    }
}

/// Whether the double only does as if.
pub fn modelled(ledger: &Ledger) -> bool {
    ledger.system().is_some_and(|system| system.modelled.load(Ordering::SeqCst))
}

/// How long so many luma samples take an engine that does `speed` million of them a second if it was told nothing else; `None`
/// where nothing is modelled.
pub fn takes(ledger: &Ledger, samples: u64, speed: u64) -> Option<Duration> {
    modelled(ledger).then(|| Duration::from_nanos(samples * 1000 / ledger.number("speed", speed).max(1)))
}

/// Waits until then.
pub fn wait_until(then: Option<Instant>) {
    if let Some(left) = then.and_then(|then| then.checked_duration_since(Instant::now())) {
        std::thread::sleep(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_work_side_by_side_and_in_turn() {
        let (engines, second) = (Engines::new(), Duration::from_secs(1));
        let begun = Instant::now();
        let [a, b, c] = [0; 3].map(|_| engines.done(2, None, second) - begun);
        assert!(a >= second && b < 2 * second && c >= 2 * second && c < 3 * second, "{a:?} {b:?} {c:?}");
        let late = engines.done(2, Some(begun + 10 * second), second) - begun;
        assert_eq!(late, 11 * second);
    }

    #[test]
    fn time_and_the_cap_are_the_machines() {
        let (ledger, (system, id)) = (Ledger::new("test"), System::new());
        assert!(!ledger.set("system", "-1") && ledger.set("system", &id.to_string()));
        assert_eq!(takes(&ledger, 1_000_000, 500), None);
        system.modelled.store(true, Ordering::SeqCst);
        assert_eq!(takes(&ledger, 1_000_000, 500), Some(Duration::from_millis(2)));
        assert!(ledger.set("speed", "250"));
        assert_eq!(takes(&ledger, 1_000_000, 500), Some(Duration::from_millis(4)));
        // Attached twice, as two processes would have it.
        system.cap.store(2, Ordering::SeqCst);
        let other = System::of(id).unwrap();
        assert!(system.take() && other.take() && !system.take());
        other.give_back();
        assert_eq!((system.open(), system.take()), (1, true));
    }
}
