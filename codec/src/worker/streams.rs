//! What a pool remembers of each stream: how its rate control stood after its last segments.
//!
//! A segment goes on from the one before the last, not from the last: so two segments of a stream can be in work at once,
//! and what comes out does not depend on which of them is done first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::ladder::Ladder;
use crate::pace::Pace;

/// Streams remembered; the one that was quiet longest is forgotten first and begins anew.
const MAX_STREAMS: usize = 1024;
/// Segments remembered of each.
const MAX_SEGMENTS: usize = 8;
/// How far back a segment looks.
const BACK: u64 = 2;

/// All streams of a pool.
#[derive(Debug, Default)]
pub(super) struct Streams {
    known: Mutex<VecDeque<Stream>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Stream {
    name: String,
    ladder: Ladder,
    /// Number and what came of it; `None` while it is in work.
    segments: VecDeque<(u64, Option<Vec<Pace>>)>,
}

/// A segment in work. Dropped without [`Turn::done`] it leaves to later ones what it began with.
pub(super) struct Turn<'a> {
    streams: &'a Streams,
    stream: &'a str,
    number: u64,
    paces: Vec<Pace>,
}

impl Streams {
    /// Takes a segment's turn; waits for the one it goes on from while that is in work, at most `until`: then `None`.
    pub(super) fn turn<'a>(
        &'a self,
        stream: &'a str,
        number: u64,
        ladder: &Ladder,
        until: Instant,
    ) -> Option<Turn<'a>> {
        let mut known = self.lock();
        let mut own = match known.iter().position(|known| known.name == stream).and_then(|at| known.remove(at)) {
            Some(own) if own.ladder == *ladder => own,
            _ => Stream { name: stream.to_owned(), ladder: ladder.clone(), segments: VecDeque::new() },
        };
        own.segments.retain(|(known, _)| *known != number);
        own.segments.push_back((number, None));
        if own.segments.len() > MAX_SEGMENTS {
            own.segments.pop_front();
        }
        known.push_back(own);
        if known.len() > MAX_STREAMS {
            known.pop_front();
        }
        let mut turn = Turn { streams: self, stream, number, paces: Vec::new() };
        loop {
            let earlier = number.checked_sub(BACK).and_then(|earlier| {
                let own = known.iter().find(|known| known.name == stream)?;
                own.segments.iter().find(|(known, _)| *known == earlier)
            });
            match earlier {
                None => return Some(turn),
                Some((_, Some(paces))) => {
                    turn.paces = paces.clone();
                    return Some(turn);
                }
                Some((_, None)) => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // Ends the turn, which locks again.
                drop(known);
                return None;
            }
            known = self.changed.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Stream>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// How the rate control stands before this segment; empty where a stream begins.
    pub(super) fn paces(&self) -> &[Pace] {
        &self.paces
    }

    /// Ends the turn.
    pub(super) fn done(mut self, paces: &[Pace]) {
        self.paces = paces.to_vec();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut known = self.streams.lock();
        let own = known.iter_mut().find(|known| known.name == self.stream);
        if let Some(entry) = own.and_then(|own| own.segments.iter_mut().find(|(known, _)| *known == self.number)) {
            entry.1 = Some(std::mem::take(&mut self.paces));
        }
        drop(known);
        self.streams.changed.notify_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::ladder::Fps;
    use crate::pace::Budget;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn paces(seed: u64) -> Vec<Pace> {
        let ladder = Ladder::standard();
        let rendition = &ladder.renditions()[0];
        let budget = Budget::new(rendition, Fps { num: 30, den: 1 });
        let mut pace = Pace::start(rendition, &budget);
        pace.add(seed, 0, &budget);
        vec![pace]
    }

    #[test]
    fn each_goes_on_from_the_one_before_the_last() {
        let (streams, ladder) = (Streams::default(), Ladder::standard());
        let turn = |number| streams.turn("a", number, &ladder, soon()).unwrap();
        let (zero, one) = (turn(0), turn(1));
        assert_eq!((zero.paces(), one.paces()), (&[][..], &[][..]));
        one.done(&paces(1));
        zero.done(&paces(2000));
        assert_eq!(turn(2).paces(), paces(2000));
        // That one failed: what it began with goes on.
        assert_eq!(turn(4).paces(), paces(2000));
        assert_eq!(turn(3).paces(), paces(1));
        assert_eq!(streams.turn("b", 3, &ladder, soon()).unwrap().paces(), []);
        let other = Ladder::new(ladder.renditions()[..1].to_vec()).unwrap();
        assert_eq!(streams.turn("a", 5, &other, soon()).unwrap().paces(), [], "another ladder begins anew");
    }

    #[test]
    fn waits_for_what_it_goes_on_from() {
        let (streams, ladder) = (Streams::default(), Ladder::standard());
        let zero = streams.turn("a", 0, &ladder, soon()).unwrap();
        assert!(streams.turn("a", 2, &ladder, Instant::now()).is_none());
        thread::scope(|scope| {
            let two = scope.spawn(|| streams.turn("a", 2, &ladder, soon()).unwrap().paces().to_vec());
            thread::sleep(Duration::from_millis(20));
            zero.done(&paces(7));
            assert_eq!(two.join().unwrap(), paces(7));
        });
    }

    #[test]
    fn memory_is_bounded() {
        let (streams, ladder) = (Streams::default(), Ladder::standard());
        for stream in 0..1100 {
            let name = stream.to_string();
            (0..20).for_each(|number| drop(streams.turn(&name, number, &ladder, soon())));
        }
        let known = streams.lock();
        assert_eq!(known.len(), MAX_STREAMS);
        assert!(known.iter().all(|stream| stream.segments.len() <= MAX_SEGMENTS));
    }
}
