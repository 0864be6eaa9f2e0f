//! Whether a card may have work: out at once for a fault of the device, by rate for what may pass, never for what was sent to
//! it; back after a while, and a probe, with one stream at first.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::Class;
use crate::units::Moment;

/// Transient errors count for so long, and so many of them that are so large a share of all segments are too many.
const RECENT: Duration = Duration::from_secs(60);
const TRANSIENT: usize = 3;
const TRANSIENT_SHARE: f64 = 0.1;
/// Segments remembered; more in [`RECENT`] than that are judged by the last ones.
const REMEMBERED: usize = 1024;
/// So many ends of its worker in this time put a card out.
const DEATHS: usize = 3;
const DEATHS_TIME: Duration = Duration::from_secs(600);
/// Time outside at first: doubled whenever it comes too soon after the last.
pub const FIRST_OUT: Duration = Duration::from_secs(10);
const LONGEST_OUT: Duration = Duration::from_secs(600);
/// Well for so long, a card is out for the shortest time again.
const FORGIVEN: Duration = Duration::from_secs(600);
/// A probe without an answer has failed.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// Good segments that end the time of trial.
const TRIAL: u32 = 20;

/// How a segment went on a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Good,
    /// It was not, and this is whose fault that is.
    Failed(Class),
    /// The card's worker ended without being asked; not for a content that ends workers wherever it goes.
    Died,
}

/// Why a card is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The device does not work.
    Device,
    /// Too many errors that should have passed.
    Transient,
    /// Its worker keeps dying.
    Deaths,
    /// The probe failed, or was not answered.
    Probe,
}

impl Why {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Device, Self::Transient, Self::Deaths, Self::Probe];

    /// A short constant name, fit for a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Transient => "transient",
            Self::Deaths => "deaths",
            Self::Probe => "probe",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Well,
    /// Back, with so many good segments to show.
    Trial(u32),
    Out {
        until: Moment,
    },
    Probing {
        since: Moment,
    },
}

#[derive(Debug)]
pub(crate) struct Health {
    state: State,
    /// Segments, and whether each failed in passing.
    recent: VecDeque<(Moment, bool)>,
    deaths: VecDeque<Moment>,
    first_out: Duration,
    pause: Duration,
    /// When it was last put out.
    out_at: Option<Moment>,
}

impl Health {
    pub(crate) fn new(first_out: Duration) -> Self {
        Self {
            first_out,
            state: State::Well,
            recent: VecDeque::new(),
            deaths: VecDeque::new(),
            pause: Duration::ZERO,
            out_at: None,
        }
    }

    /// Whether it may have work at all.
    pub(crate) fn is_in(&self) -> bool {
        matches!(self.state, State::Well | State::Trial(_))
    }

    /// Whether it is on trial: one stream.
    pub(crate) fn on_trial(&self) -> bool {
        matches!(self.state, State::Trial(_))
    }

    /// Why it is out from now on, if this puts it out, and for how long at least.
    pub(crate) fn on(&mut self, outcome: Outcome, now: Moment) -> Option<(Why, Duration)> {
        if !self.is_in() {
            return None;
        }
        let bad = match outcome {
            // Neither says anything of the card: nobody could have made it, or it had too much to do.
            Outcome::Failed(Class::Input | Class::Capacity) => return None,
            Outcome::Failed(Class::Device) => return Some(self.put_out(Why::Device, now)),
            Outcome::Failed(Class::Transient) | Outcome::Died => true,
            Outcome::Good => false,
        };
        if outcome == Outcome::Died {
            self.deaths.push_back(now);
            while self.deaths.len() > DEATHS || self.deaths.front().is_some_and(|at| now.since(*at) > DEATHS_TIME) {
                self.deaths.pop_front();
            }
            if self.deaths.len() >= DEATHS {
                return Some(self.put_out(Why::Deaths, now));
            }
        }
        self.recent.push_back((now, bad));
        while self.recent.len() > REMEMBERED || self.recent.front().is_some_and(|(at, _)| now.since(*at) > RECENT) {
            self.recent.pop_front();
        }
        match self.state {
            State::Trial(_) if bad => return Some(self.put_out(Why::Transient, now)),
            State::Trial(left) => self.state = if left > 1 { State::Trial(left - 1) } else { State::Well },
            _ => {}
        }
        let failed = self.recent.iter().filter(|(_, bad)| *bad).count();
        let many = failed >= TRANSIENT && failed as f64 >= self.recent.len() as f64 * TRANSIENT_SHARE;
        many.then(|| self.put_out(Why::Transient, now))
    }

    /// Whether a probe is due; if so, it counts as begun.
    pub(crate) fn probe_due(&mut self, now: Moment) -> bool {
        match self.state {
            State::Out { until } if now >= until => {
                self.state = State::Probing { since: now };
                true
            }
            _ => false,
        }
    }

    /// Whether a probe has been on for too long.
    pub(crate) fn probe_lost(&self, now: Moment) -> bool {
        matches!(self.state, State::Probing { since } if now.since(since) >= PROBE_LIMIT)
    }

    /// When [`Health::probe_due`] or [`Health::probe_lost`] may become true.
    pub(crate) fn next_wake(&self) -> Option<Moment> {
        match self.state {
            State::Out { until } => Some(until),
            State::Probing { since } => Some(since.after(PROBE_LIMIT)),
            State::Well | State::Trial(_) => None,
        }
    }

    /// A probe has ended. `Some(Ok)` where the card is back, `Some(Err)` where it stays out; `None` where none was on.
    pub(crate) fn probed(&mut self, works: bool, now: Moment) -> Option<Result<(), (Why, Duration)>> {
        if !matches!(self.state, State::Probing { .. }) {
            return None;
        }
        if works {
            self.state = State::Trial(TRIAL);
            return Some(Ok(()));
        }
        Some(Err(self.put_out(Why::Probe, now)))
    }

    fn put_out(&mut self, why: Why, now: Moment) -> (Why, Duration) {
        let soon = self.out_at.is_some_and(|at| now.since(at) < FORGIVEN.saturating_add(self.pause));
        self.pause = if soon { (self.pause * 2).min(LONGEST_OUT) } else { self.first_out };
        self.out_at = Some(now);
        self.state = State::Out { until: now.after(self.pause) };
        self.recent.clear();
        self.deaths.clear();
        (why, self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn run(outcomes: impl IntoIterator<Item = Outcome>) -> Option<Why> {
        let mut health = Health::new(FIRST_OUT);
        outcomes.into_iter().zip(0..).find_map(|(outcome, second)| health.on(outcome, at(second))).map(|out| out.0)
    }

    #[test]
    fn errors_count_by_class() {
        use Outcome::{Died, Failed, Good};
        assert_eq!(run([Failed(Class::Input); 1000]), None);
        assert_eq!(run([Failed(Class::Capacity); 1000]), None);
        assert_eq!(run([Good, Failed(Class::Device)]), Some(Why::Device));
        assert_eq!(run([Failed(Class::Transient); 2]), None);
        assert_eq!(run([Failed(Class::Transient); 3]), Some(Why::Transient));
        assert_eq!(run([Died, Good, Died, Good, Died]), Some(Why::Deaths));
        // Never more than two in one minute; never more than two in ten.
        let every = |seconds: usize, outcome| {
            let mut health = Health::new(FIRST_OUT);
            (0..3000).step_by(seconds).find_map(|second| health.on(outcome, at(second))).map(|out| out.0)
        };
        assert_eq!(
            (every(45, Failed(Class::Transient)), every(20, Failed(Class::Transient))),
            (None, Some(Why::Transient))
        );
        assert_eq!((every(301, Died), every(300, Died)), (None, Some(Why::Deaths)));
    }

    #[test]
    fn few_among_many_are_borne() {
        let mut health = Health::new(FIRST_OUT);
        for segment in 0..2000_u64 {
            let outcome = if segment % 50 == 0 { Outcome::Failed(Class::Transient) } else { Outcome::Good };
            assert_eq!(health.on(outcome, Moment(Duration::from_millis(segment * 60))), None);
        }
    }

    #[test]
    fn comes_back_after_a_probe_and_a_trial() {
        let mut health = Health::new(FIRST_OUT);
        assert_eq!(health.on(Outcome::Failed(Class::Device), at(0)), Some((Why::Device, FIRST_OUT)));
        assert!(!health.is_in() && !health.probe_due(at(9)) && health.next_wake() == Some(at(10)));
        assert!(health.probe_due(at(10)) && !health.probe_due(at(10)), "one probe at a time");
        assert_eq!(health.probed(true, at(11)), Some(Ok(())));
        assert!(health.is_in() && health.on_trial() && health.probed(true, at(11)).is_none());
        (0..TRIAL).for_each(|n| assert_eq!(health.on(Outcome::Good, at(12 + u64::from(n))), None));
        assert!(health.is_in() && !health.on_trial());
    }

    #[test]
    fn the_pause_doubles_and_is_bounded_and_forgiven() {
        let mut health = Health::new(FIRST_OUT);
        let mut now = at(0);
        let mut pauses = vec![health.on(Outcome::Failed(Class::Device), now).map(|out| out.1.as_secs())];
        for _ in 0..8 {
            now = health.next_wake().unwrap_or(now);
            assert!(health.probe_due(now));
            // Answered by nobody.
            now = health.next_wake().unwrap_or(now);
            assert!(health.probe_lost(now));
            pauses.push(health.probed(false, now).and_then(Result::err).map(|out| out.1.as_secs()));
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600].map(Some));
        now = health.next_wake().unwrap_or(now);
        assert!(health.probe_due(now) && health.probed(true, now) == Some(Ok(())));
        let later = now.after(FORGIVEN * 2);
        assert_eq!(health.on(Outcome::Failed(Class::Device), later), Some((Why::Device, FIRST_OUT)));
    }

    #[test]
    fn an_error_on_trial_is_one_too_many() {
        let mut health = Health::new(FIRST_OUT);
        assert!(health.on(Outcome::Failed(Class::Device), at(0)).is_some() && health.probe_due(at(10)));
        assert_eq!(health.probed(true, at(10)), Some(Ok(())));
        let out = health.on(Outcome::Failed(Class::Transient), at(12));
        assert_eq!(out, Some((Why::Transient, FIRST_OUT * 2)));
    }
}
