//! Finding the largest number of streams a machine sustains. Pure: a probe says whether a number was sustained.

/// Why a number of streams is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To narrow the search.
    Search,
    /// To make sure of the result: a longer step.
    Confirm,
}

/// Doubles until a step fails, then halves the gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Search {
    max: u32,
    good: u32,
    bad: Option<u32>,
}

impl Search {
    /// Between 0 and `max` streams.
    pub(crate) fn new(max: u32) -> Self {
        Self { max, good: 0, bad: None }
    }

    /// What to try next, 1 to `max`; `None` when the result is known.
    pub(crate) fn next(&self) -> Option<u32> {
        let next = match self.bad {
            None => self.good.saturating_mul(2).clamp(1, self.max.max(1)),
            Some(bad) => self.good + (bad - self.good) / 2,
        };
        (self.good < next && next <= self.max).then_some(next)
    }

    /// Takes the outcome of [`Self::next`].
    pub(crate) fn record(&mut self, streams: u32, sustained: bool) {
        match sustained {
            true => self.good = self.good.max(streams),
            false => self.bad = Some(self.bad.map_or(streams, |bad| bad.min(streams))),
        }
    }

    /// The largest number sustained so far.
    pub(crate) fn good(&self) -> u32 {
        self.good
    }
}

/// The largest number of streams, at most `max`, that `probe` sustains both in the search and when it is confirmed.
pub(crate) fn find<E>(max: u32, mut probe: impl FnMut(u32, Purpose) -> Result<bool, E>) -> Result<u32, E> {
    let mut search = Search::new(max);
    while let Some(streams) = search.next() {
        let sustained = probe(streams, Purpose::Search)?;
        search.record(streams, sustained);
    }
    // A short step may have been lucky, or the machine slows down when it gets warm.
    let mut streams = search.good();
    while streams > 0 && !probe(streams, Purpose::Confirm)? {
        streams -= 1;
    }
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certify::judge::{Settings, Tally};
    use crate::stats::Random;
    use std::convert::Infallible;
    use std::time::Duration;

    fn ideal(capacity: u32, max: u32) -> (u32, Vec<u32>) {
        let mut tried = Vec::new();
        let found = find(max, |streams, _| {
            tried.push(streams);
            Ok::<_, Infallible>(streams <= capacity)
        });
        (found.unwrap_or(u32::MAX), tried)
    }

    #[test]
    fn the_knee_of_a_simulated_ideal_machine_is_exact() {
        for max in [1, 2, 3, 10, 64, 100] {
            for capacity in 0..=max + 3 {
                let (found, tried) = ideal(capacity, max);
                assert_eq!(found, capacity.min(max), "capacity {capacity}, at most {max}: {tried:?}");
                assert!(tried.iter().all(|n| (1..=max).contains(n)), "{tried:?}");
                // Doublings, halvings and one confirmation.
                let most = 2 * (u32::BITS - max.leading_zeros()) as usize + 1;
                assert!(tried.len() <= most, "{tried:?}");
            }
        }
        assert_eq!(ideal(11, 64).1, [1, 2, 4, 8, 16, 12, 10, 11, 11]);
        assert_eq!(find(0, |_, _| Ok::<_, Infallible>(true)), Ok(0));
    }

    #[test]
    fn a_simulated_machine_that_slows_down_is_certified_lower() {
        let found = find(64, |n, purpose| Ok::<_, Infallible>(n <= if purpose == Purpose::Search { 9 } else { 6 }));
        assert_eq!(found, Ok(6));
        assert_eq!(find(8, |_, purpose| Ok::<_, Infallible>(purpose == Purpose::Search)), Ok(0));
    }

    #[test]
    fn an_error_ends_the_search() {
        let found = find(8, |n, _| if n < 4 { Ok(true) } else { Err("broken") });
        assert_eq!(found, Err("broken"));
    }

    /// A simulated machine: `workers` servers, one queue, each segment takes `service` ± 10 %. Virtual time only.
    fn simulate(streams: u32, workers: usize, service: Duration, settings: &Settings, seed: u64) -> bool {
        let mut random = Random(seed ^ u64::from(streams));
        let segment = Duration::from_secs(2);
        let mut arrivals = Vec::new();
        for _ in 0..streams {
            let phase = Duration::from_millis(random.below(2000));
            arrivals.extend((0..60).map(|k| phase + segment * k));
        }
        arrivals.sort();
        let mut free = vec![Duration::ZERO; workers];
        let mut tally = Tally::default();
        for arrival in arrivals {
            let first = free.iter_mut().min().expect("a machine has workers");
            let jitter = 900 + random.below(201) as u32;
            *first = arrival.max(*first) + service * jitter / 1000;
            tally.segment(*first - arrival, segment);
        }
        tally.sustained(settings)
    }

    #[test]
    fn the_knee_of_a_simulated_queue_lies_at_its_capacity() {
        let settings = Settings::new(10_000);
        for (workers, service_ms) in [(2, 400), (1, 150), (4, 1000), (16, 900), (2, 1400)] {
            // Work that arrives within the segment's time must fit the workers: N * service <= workers * 2 s.
            let capacity = workers as u32 * 2000 / service_ms;
            let service = Duration::from_millis(u64::from(service_ms));
            let found = find(128, |n, _| Ok::<_, Infallible>(simulate(n, workers, service, &settings, 7))).unwrap_or(0);
            // Chance may bunch the phases: then the queue is too long some way below saturation. Never above it.
            assert!(found <= capacity, "{workers} x {service_ms} ms: {found} of {capacity}");
            assert!(
                found >= workers as u32 && found * 3 >= capacity * 2,
                "{workers} x {service_ms} ms: {found} of {capacity}"
            );
        }
        let slow = |n, _| Ok::<_, Infallible>(simulate(n, 2, Duration::from_millis(2500), &settings, 7));
        assert_eq!(find(128, slow), Ok(0), "no single stream fits");
    }
}
