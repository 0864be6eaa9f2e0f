//! A small fast generator: the content must be reproducible, not good.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// The seeds of a random test: as many as the environment's `HEADFRAME_CASES` says, or `quick`, from `HEADFRAME_SEED`
/// on, or from 0.
pub(crate) fn seeds(quick: u64) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let first = number("HEADFRAME_SEED").unwrap_or(0);
    first..first + number("HEADFRAME_CASES").unwrap_or(quick)
}

/// The test of a kernel: `case` for each of the [`seeds`]. Says how many there were, which `./run test exact` counts.
pub(crate) fn each_case(kernel: &str, quick: u64, case: impl Fn(u64) + Sync) {
    each_group(kernel, quick, 1, |seeds| seeds.for_each(&case));
}

/// The same for cases that are tried `together`, on all processors: a kernel that takes longer than the others would else
/// have one in the end.
pub(crate) fn each_group(kernel: &str, quick: u64, together: u64, group: impl Fn(Range<u64>) + Sync) {
    let (seeds, started) = (seeds(quick), Instant::now());
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let _others = OthersStop(&next);
        loop {
            let first = next.fetch_add(together, Ordering::Relaxed);
            if first >= seeds.end {
                break;
            }
            group(first..seeds.end.min(first + together));
        }
    };
    thread::scope(|scope| {
        (0..thread::available_parallelism().map_or(1, usize::from)).for_each(|_| drop(scope.spawn(work)));
    });
    said(kernel, &seeds, started);
}

/// Once a case has failed no other is begun.
struct OthersStop<'a>(&'a AtomicU64);

impl Drop for OthersStop<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(u64::MAX / 2, Ordering::Relaxed);
        }
    }
}

fn said(kernel: &str, seeds: &Range<u64>, started: Instant) {
    let (cases, took) = (seeds.end - seeds.start, started.elapsed().as_secs_f64());
    println!("exact: {kernel}: {cases} random cases from seed {} on in {took:.0} s", seeds.start);
}

pub(crate) struct Noise(u64);

impl Noise {
    /// Seeds next to each other must not give sequences next to each other.
    pub(crate) fn new(seed: u64) -> Self {
        let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self((mixed ^ (mixed >> 29)) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Both ends are included.
    pub(crate) fn within(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(u64::from(high - low) + 1) as u32
    }

    /// Bytes of one of six characters: noise, extremes at random, extremes in turn, a ramp, flat, almost white.
    pub(crate) fn fill(&mut self, len: usize) -> Vec<u8> {
        let kind = self.below(6);
        let run = self.within(1, 6) as usize;
        (0..len)
            .map(|i| match kind {
                0 => self.next() as u8,
                1 => (self.next() & 1) as u8 * 255,
                2 => (i / run % 2) as u8 * 255,
                3 => (i * 3) as u8,
                4 => 200,
                _ => 254 + (self.next() & 1) as u8,
            })
            .collect()
    }
}
