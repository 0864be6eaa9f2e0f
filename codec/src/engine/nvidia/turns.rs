//! Who tries for an encoder session next, where a card's sessions are nobody else's to lend: the earliest deadline first.
//!
//! Only the first in line asks the driver, with nothing locked: meanwhile sessions are given back, and nobody waits longer than
//! they said, whatever the driver does. Whoever has a session waits for no other, so what is waited for comes back. Nobody
//! starves: a deadline that comes nearer is the earliest some time, and patience ends.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What asking for a session came to.
pub(super) enum Tried<S> {
    /// Here it is.
    Got(S),
    /// There are no more now: one that is given back would do.
    Full,
    /// There is none, and none that comes back would change that.
    Never,
}

#[derive(Default)]
struct State {
    /// In the order of deadlines, then as they came.
    waiting: BTreeSet<(Instant, u64)>,
    came: u64,
    /// Somebody asks the driver.
    trying: bool,
    /// Sessions in use, and how often one came back.
    using: usize,
    returned: u64,
}

/// The line for the sessions of a card.
#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

/// A session of [`Turns::wait`] is in use until this is dropped.
pub(super) struct Using<'a>(&'a Turns);

impl Drop for Using<'_> {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.using -= 1;
            state.returned += 1;
        });
    }
}

/// A place in line, left when this is dropped.
struct Place<'a> {
    turns: &'a Turns,
    key: (Instant, u64),
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turns.change(|state| state.waiting.remove(&self.key));
    }
}

/// Asking the driver, until this is dropped.
struct Trying<'a>(&'a Turns);

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.trying = false);
    }
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Has `attempt` try for a session when it is this one's turn among all that wait, by `deadline`, and again whenever one
    /// came back, until `patience` ends. `None` where none is to be had by then, or will be.
    pub(super) fn wait<S, E>(
        &self,
        deadline: Instant,
        patience: Instant,
        mut attempt: impl FnMut() -> Result<Tried<S>, E>,
    ) -> Result<Option<(S, Using<'_>)>, E> {
        let mut state = self.lock();
        state.came += 1;
        let place = Place { turns: self, key: (deadline, state.came) };
        state.waiting.insert(place.key);
        let mut tried = None;
        loop {
            let first = state.waiting.first() == Some(&place.key) && !state.trying;
            if first && tried != Some(state.returned) {
                tried = Some(state.returned);
                state.trying = true;
                drop(state);
                let trying = Trying(self);
                match attempt()? {
                    Tried::Got(session) => {
                        self.change(|state| state.using += 1);
                        return Ok(Some((session, Using(self))));
                    }
                    Tried::Full => drop(trying),
                    Tried::Never => return Ok(None),
                }
                state = self.lock();
                continue;
            }
            let left = patience.saturating_duration_since(Instant::now());
            if left.is_zero() || (first && state.using == 0) {
                drop(state);
                return Ok(None);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Long enough for anything here to fail instead of passing late.
    const LONG: Duration = Duration::from_secs(60);

    /// Sessions of a driver that has so many.
    struct Driver {
        free: Mutex<u32>,
    }

    impl Driver {
        fn open(&self) -> Result<Tried<()>, ()> {
            let mut free = self.free.lock().unwrap();
            Ok(match free.checked_sub(1) {
                Some(left) => {
                    *free = left;
                    Tried::Got(())
                }
                None => Tried::Full,
            })
        }

        fn close(&self) {
            *self.free.lock().unwrap() += 1;
        }
    }

    fn within(limit: Duration) -> Instant {
        Instant::now() + limit
    }

    fn waiting(turns: &Turns, count: usize) {
        while turns.lock().waiting.len() != count {
            thread::yield_now();
        }
    }

    /// How many wait, and sessions in use.
    fn left(turns: &Turns) -> (usize, usize) {
        let state = turns.lock();
        (state.waiting.len(), state.using)
    }

    /// What never comes is not waited for, though others have sessions for as long as they like; nor is one where nobody has.
    #[test]
    fn only_what_can_come_back_is_waited_for() {
        let (turns, driver, until) = (Turns::default(), Driver { free: Mutex::new(1) }, within(LONG));
        let held = turns.wait(until, until, || driver.open()).unwrap().unwrap();
        assert!(turns.wait(until, until, || Ok::<_, ()>(Tried::<()>::Never)).unwrap().is_none());
        assert!(turns.wait(until, until, || Err::<Tried<()>, _>("lost")).is_err());
        drop(held);
        let mut tries = 0;
        let none = turns.wait(until, until, || {
            tries += 1;
            driver.open()
        });
        assert!(none.unwrap().is_none());
        assert_eq!((tries, left(&turns)), (1, (0, 0)));
        assert!(Instant::now() < until, "nobody waited for what does not come");
    }

    #[test]
    fn the_earliest_deadline_is_next_whoever_came_first() {
        let (turns, driver, order) = (Turns::default(), Driver { free: Mutex::new(1) }, Mutex::new(vec![]));
        let now = Instant::now();
        let held = turns.wait(now, within(LONG), || driver.open()).unwrap().unwrap();
        thread::scope(|scope| {
            for (count, deadline) in [30, 10, 20, 10, 40].into_iter().enumerate() {
                let (turns, driver, order) = (&turns, &driver, &order);
                scope.spawn(move || {
                    let deadline = now + Duration::from_secs(deadline);
                    let using = turns.wait(deadline, within(LONG), || driver.open()).unwrap().unwrap();
                    order.lock().unwrap().push((deadline - now).as_secs());
                    driver.close();
                    drop(using);
                });
                waiting(turns, count + 1);
            }
            driver.close();
            drop(held);
        });
        assert_eq!(order.into_inner().unwrap(), [10, 10, 20, 30, 40]);
    }

    /// A call of the driver that does not return holds up neither those who give back nor those whose patience ends.
    #[test]
    fn a_driver_that_hangs_is_not_waited_for_longer_than_was_said() {
        let (turns, driver, until) = (Turns::default(), Driver { free: Mutex::new(1) }, within(LONG));
        let held = turns.wait(until, until, || driver.open()).unwrap().unwrap();
        let (release, hang) = channel();
        let (entered, inside) = sync_channel(1);
        thread::scope(|scope| {
            let turns = &turns;
            scope.spawn(move || {
                turns.wait(until, until, || {
                    entered.send(()).unwrap();
                    hang.recv().unwrap();
                    Ok::<_, ()>(Tried::<()>::Never)
                })
            });
            inside.recv().unwrap();
            drop(held);
            let none = turns.wait(until, within(Duration::from_millis(30)), || driver.open()).unwrap();
            release.send(()).unwrap();
            assert!(none.is_none() && Instant::now() < until);
        });
        assert!(turns.wait(until, until, || driver.open()).unwrap().is_none(), "the driver's was not given back");
        driver.close();
        assert!(turns.wait(until, until, || driver.open()).unwrap().is_some());
    }

    /// No session that came back is overlooked: all are served, and at no time are more in use than there are.
    #[test]
    fn nobody_is_forgotten() {
        let (turns, driver, until) = (Turns::default(), Driver { free: Mutex::new(3) }, within(LONG));
        let served = Mutex::new(0);
        thread::scope(|scope| {
            for number in 0..16 {
                let (turns, driver, served) = (&turns, &driver, &served);
                scope.spawn(move || {
                    for turn in 0..50 {
                        let deadline = until + Duration::from_millis(number * 7 % 5 + turn);
                        let ((), using) = turns.wait(deadline, until, || driver.open()).unwrap().unwrap();
                        *served.lock().unwrap() += 1;
                        driver.close();
                        drop(using);
                    }
                });
            }
        });
        assert_eq!((served.into_inner().unwrap(), left(&turns)), (800, (0, 0)));
        assert!(Instant::now() < until);
    }
}
