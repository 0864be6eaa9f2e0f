//! What a worker uses, as its parent sees it. The kernel's limits leave two gaps, which are closed here: whoever may set
//! signal handlers can ignore the signal that ends its processor time, and no limit counts the threads of one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::process::{Pid, Resource, Rlimit};

use super::Death;
use crate::budget::Limits;

/// Processor seconds until the parent sets a budget for the first segment.
pub const START_CPU_SECONDS: u64 = 30;
/// Threads of one worker: several for each of ten renditions, and room.
pub const MAX_THREADS: u64 = 256;
/// Threads of a worker with a graphics card, which has several segments in hand, and a driver with threads of its own.
pub const MAX_CARD_THREADS: u64 = 1024;

/// One process and what it is allowed.
#[derive(Debug, Clone)]
pub struct Vitals {
    pid: u32,
    threads: u64,
    cpu_seconds: Arc<AtomicU64>,
}

impl Vitals {
    /// A child of this process that has just been started.
    pub fn of(pid: u32) -> Self {
        Self { pid, threads: MAX_THREADS, cpu_seconds: Arc::new(AtomicU64::new(START_CPU_SECONDS)) }
    }

    /// The same for a worker with a graphics card.
    #[must_use]
    pub fn with_card(self) -> Self {
        Self { threads: MAX_CARD_THREADS, ..self }
    }

    /// Allows what a segment may cost from now on: what has been used so far, plus the segment's wall time on every
    /// processor it may use.
    pub fn budget(&self, limits: &Limits) {
        let processors = thread::available_parallelism().map_or(1, usize::from) as u64;
        let budget = self.used() + 2 + (limits.wall.as_secs() + 1) * processors;
        self.allow(budget);
        // Its hard limit is ours, inherited.
        let maximum = rustix::process::getrlimit(Resource::Cpu).maximum;
        let budget = Rlimit { current: Some(maximum.map_or(budget, |maximum| maximum.min(budget))), maximum };
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
            && let Err(error) = rustix::process::prlimit(Some(pid), Resource::Cpu, budget)
        {
            tracing::debug!(pid = self.pid, %error, "cannot set the worker's processor budget");
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Processor seconds that it has used so far; 0 when it is gone.
    pub fn used(&self) -> u64 {
        self.stat().map_or(0, |stat| stat.cpu_ms / 1000)
    }

    /// Sets how many processor seconds it may have used in all.
    pub fn allow(&self, cpu_seconds: u64) {
        self.cpu_seconds.store(cpu_seconds, Ordering::Relaxed);
    }

    /// How it has to end, if it uses more than it may. Processor time gets up to a second more, so that the kernel's own
    /// signal comes first.
    pub fn broken(&self) -> Option<Death> {
        let stat = self.stat()?;
        if stat.threads > self.threads {
            Some(Death::Policy)
        } else if stat.cpu_ms / 1000 > self.cpu_seconds.load(Ordering::Relaxed) {
            Some(Death::Cpu)
        } else {
            None
        }
    }

    /// `None` when it is gone, or its number is another process's by now.
    fn stat(&self) -> Option<Stat> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        Stat::read(&text).filter(|stat| stat.parent == std::process::id())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    cpu_ms: u64,
    threads: u64,
}

impl Stat {
    /// From `/proc/PID/stat`, proc(5).
    fn read(text: &str) -> Option<Self> {
        // Behind the program's name, which may contain spaces: the state, the parent (4th field of all), the time in
        // user and kernel mode (14th and 15th), the threads (20th).
        let mut fields = text.rsplit(')').next()?.split_ascii_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let mut number = |skip| fields.nth(skip)?.parse::<u64>().ok();
        let ticks = number(9)?.checked_add(number(0)?)?;
        let threads = number(4)?;
        let cpu_ms = ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1);
        Some(Self { parent, cpu_ms, threads })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        let line = "7 (a ) b) S 42 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 9 0 5 6 7";
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(Stat::read(line), Some(Stat { parent: 42, cpu_ms: 400_000 / ticks, threads: 9 }));
        for cut in 0..line.len() - 8 {
            assert_eq!(Stat::read(&line[..cut]).filter(|stat| stat.threads != 9), None);
        }
        // This process is no child of its own.
        assert_eq!((Vitals::of(std::process::id()).used(), Vitals::of(std::process::id()).broken()), (0, None));
    }
}
