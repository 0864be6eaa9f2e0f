//! How many sessions the driver lets this program hold: learned by being refused, never taken from a table.

use std::time::Duration;

use crate::units::Moment;

/// Time from a refusal to the next try beyond what is believed. It doubles with every refusal that says nothing new.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause: under load, one open a minute that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is believed of the cap: that of the system less what other programs hold.
#[derive(Debug, Clone)]
pub(super) struct Cap {
    believed: u32,
    /// An open was refused, so the number is a limit and not only what was needed so far.
    refused: bool,
    next_try: Moment,
    pause: Duration,
}

impl Cap {
    /// Nothing is known.
    pub(super) fn new() -> Self {
        Self { believed: 0, refused: false, next_try: Moment::default(), pause: FIRST_PAUSE }
    }

    /// Sessions that may be held.
    pub(super) fn believed(&self) -> u32 {
        self.believed
    }

    /// Whether the driver has ever said no.
    pub(super) fn is_limit(&self) -> bool {
        self.refused
    }

    /// Whether one session more than is believed may be tried.
    pub(super) fn may_try(&self, now: Moment) -> bool {
        !self.refused || now >= self.next_try
    }

    /// When it may be, if not now.
    pub(super) fn next_try(&self) -> Moment {
        self.next_try
    }

    /// A session came up: now `open` are. Whether that is news.
    pub(super) fn opened(&mut self, open: u32) -> bool {
        let news = open > self.believed;
        if news {
            // Others may have let go of several: the next one can be tried at once.
            (self.believed, self.pause, self.next_try) = (open, FIRST_PAUSE, Moment::default());
        }
        news
    }

    /// An open was refused; `held` are left, those being opened or closed included. Whether that is news.
    pub(super) fn refused(&mut self, held: u32, now: Moment) -> bool {
        let news = held < self.believed;
        self.pause = if news || !self.refused { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        self.believed = self.believed.min(held);
        self.next_try = now.after(self.pause);
        !std::mem::replace(&mut self.refused, true) || news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn grows_until_refused_then_asks_ever_less_often() {
        let mut cap = Cap::new();
        for open in 1..=8 {
            assert!(cap.may_try(at(0)) && cap.opened(open));
        }
        assert!(!cap.is_limit() && cap.refused(8, at(0)));
        assert_eq!((cap.believed(), cap.is_limit()), (8, true));
        let (mut now, mut pauses) = (0, vec![]);
        while pauses.len() < 8 {
            let before = now;
            while !cap.may_try(at(now)) {
                now += 1;
            }
            assert!(!cap.refused(8, at(now)), "no news");
            pauses.push(now - before);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn lowered_by_a_refusal_below_it_and_raised_again() {
        let mut cap = Cap::new();
        (1..=8).for_each(|open| assert!(cap.opened(open)));
        assert!(cap.refused(5, at(10)), "another program took three");
        assert_eq!(cap.believed(), 5);
        assert!(!cap.may_try(at(10)) && cap.may_try(at(11)));
        assert!(cap.opened(6) && cap.may_try(at(11)), "it let go: on at once");
        assert!(!cap.opened(4), "fewer open say nothing of the cap");
        assert_eq!(cap.believed(), 6);
    }
}
