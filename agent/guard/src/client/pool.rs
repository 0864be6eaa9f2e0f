//! The connections of one client: some at most, and first come first served.
//!
//! They stay open, since one that is new has to be introduced, and that waits for the commit that is on its way.

use super::ANSWER_TIMEOUT;
use crate::server;
use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

/// Connections at once. Fewer than a signer takes, so that others find room.
const MOST: usize = server::MAX_CLIENTS * 3 / 4;

#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Connections>);

/// Idle and used ones are at most [`MOST`] together, since none is opened while one is idle.
#[derive(Debug, Default)]
struct Connections {
    idle: Vec<UnixStream>,
    used: usize,
    /// Threads that wait for one.
    waiting: VecDeque<Thread>,
}

impl Pool {
    pub(super) fn of(stream: UnixStream) -> Self {
        Self(Mutex::new(Connections { idle: vec![stream], ..Connections::default() }))
    }

    /// A place for one connection, with an open one where there is one. Waits no longer than for an answer.
    pub(super) fn place(&self) -> io::Result<Place<'_>> {
        let until = Instant::now() + ANSWER_TIMEOUT;
        let me = thread::current();
        let mut connections = self.lock();
        connections.waiting.push_back(me.clone());
        loop {
            if connections.next().is_some_and(|next| next.id() == me.id()) {
                connections.waiting.pop_front();
                connections.used += 1;
                connections.wake();
                return Ok(Place { pool: self, stream: connections.idle.pop() });
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                connections.waiting.retain(|thread| thread.id() != me.id());
                connections.wake();
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("all {MOST} connections are in use")));
            }
            drop(connections);
            thread::park_timeout(left);
            connections = self.lock();
        }
    }

    /// Closes those that are not in use: the signer behind them is gone.
    pub(super) fn close_idle(&self) {
        self.lock().idle.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Who may have the next one, when there is one.
    fn next(&self) -> Option<&Thread> {
        self.waiting.front().filter(|_| self.used < MOST)
    }

    fn wake(&self) {
        if let Some(next) = self.next() {
            next.unpark();
        }
    }
}

/// One of [`MOST`] places, given back when dropped, with the connection that can be used again.
pub(super) struct Place<'a> {
    pool: &'a Pool,
    pub(super) stream: Option<UnixStream>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut connections = self.pool.lock();
        connections.used -= 1;
        connections.idle.extend(self.stream.take());
        connections.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn first_come_first_served_and_none_is_lost() {
        let pool = Pool::default();
        let (served, order) = mpsc::channel();
        thread::scope(|scope| {
            let all: Vec<_> = (0..MOST).map(|_| pool.place().unwrap()).collect();
            for nth in 0..3 {
                let (pool, served) = (&pool, served.clone());
                scope.spawn(move || {
                    let place = pool.place().unwrap();
                    served.send(nth).unwrap();
                    drop(place);
                });
                while pool.lock().waiting.len() <= nth {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            assert!(order.try_recv().is_err(), "all are in use");
            let mut all = all.into_iter();
            drop(all.next());
            // One place for three, one after the other.
            assert_eq!(order.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
        });
        let connections = pool.lock();
        assert_eq!((connections.used, connections.waiting.len()), (0, 0));
    }
}
