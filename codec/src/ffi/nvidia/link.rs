//! What goes over a card's link to the host, counted where it is handed to the driver or taken from it; and, for benchmarks,
//! made as slow as a link would be that this machine does not have.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Bytes over a card's link since it was taken into use: compressed pictures to the card and from it, and pictures that are
/// copied. Not counted are the scaler's tables, which go once for every size of source, what a launch takes along (up to 4 KB),
/// and what the driver sends for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// From the host to the card.
    pub to_card: u64,
    /// From the card to the host.
    pub to_host: u64,
}

/// One direction of a link.
#[derive(Debug, Default)]
pub(super) struct Lane {
    bytes: AtomicU64,
    /// When what was sent so far has arrived, on a link that is slowed down.
    free: Mutex<Option<Instant>>,
}

/// A card's link. Both directions are used at once, as on PCIe.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) to_card: Lane,
    pub(super) to_host: Lane,
    /// Bytes a second and direction; 0 for what the machine has.
    rate: AtomicU64,
}

impl Link {
    pub(super) fn traffic(&self) -> Traffic {
        let [to_card, to_host] = [&self.to_card, &self.to_host].map(|lane| lane.bytes.load(Ordering::Relaxed));
        Traffic { to_card, to_host }
    }

    pub(super) fn slow_down(&self, rate: Option<NonZeroU64>) {
        self.rate.store(rate.map_or(0, NonZeroU64::get), Ordering::Relaxed);
    }

    /// Counts what went one way. On a slowed link it returns when that would have arrived, behind all that went before.
    pub(super) fn carry(&self, lane: &Lane, bytes: usize) {
        lane.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let Some(rate) = NonZeroU64::new(self.rate.load(Ordering::Relaxed)) else { return };
        let took = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        let now = Instant::now();
        let arrives = {
            let mut free = lane.free.lock().unwrap_or_else(PoisonError::into_inner);
            let begins = free.map_or(now, |free| free.max(now));
            *free.insert(begins + took)
        };
        std::thread::sleep(arrives.saturating_duration_since(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_each_way_is_counted() {
        let link = Link::default();
        link.carry(&link.to_card, 3);
        link.carry(&link.to_card, 4);
        link.carry(&link.to_host, 5);
        assert_eq!(link.traffic(), Traffic { to_card: 7, to_host: 5 });
    }

    #[test]
    fn a_slowed_link_takes_its_time_in_each_direction_and_for_all_together() {
        let link = Link::default();
        link.slow_down(NonZeroU64::new(1_000_000));
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for lane in [&link.to_card, &link.to_host] {
                (0..2).for_each(|_| drop(scope.spawn(|| (0..2).for_each(|_| link.carry(lane, 10_000)))));
            }
        });
        // 40 000 bytes each way, both ways at once.
        assert!(begun.elapsed() >= Duration::from_millis(40), "{:?}", begun.elapsed());
        link.slow_down(None);
        let begun = Instant::now();
        link.carry(&link.to_host, 1 << 40);
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}
