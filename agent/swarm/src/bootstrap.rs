//! When to dial which bootstrap peer again. Pure: time is an argument, dialling is the caller's.

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::time::{Duration, Instant};

const FIRST_REST: Duration = Duration::from_millis(500);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// The configured bootstrap addresses and how each is doing.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    address: Multiaddr,
    /// Given in the address, or learnt from the first connection.
    peer: Option<PeerId>,
    state: State,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting(Instant),
    Dialling(ConnectionId),
    Connected(ConnectionId),
    /// It is ourselves.
    Never,
}

impl Bootstrap {
    pub(crate) fn new(addresses: &[Multiaddr], own: PeerId, now: Instant) -> Self {
        let entry = |address: &Multiaddr| {
            let peer = peer_of(address);
            let state = if peer == Some(own) { State::Never } else { State::Resting(now) };
            Entry { address: address.clone(), peer, state, failures: 0 }
        };
        Self { entries: addresses.iter().map(entry).collect() }
    }

    /// The addresses to dial now. Those of peers that are connected by other means rest on.
    pub(crate) fn due(&mut self, now: Instant, connected: impl Fn(&PeerId) -> bool) -> Vec<(usize, Multiaddr)> {
        let mut due = Vec::new();
        for (at, entry) in self.entries.iter_mut().enumerate() {
            match entry.state {
                State::Resting(until) if until <= now => {
                    if entry.peer.as_ref().is_some_and(&connected) {
                        entry.failures = 0;
                        entry.state = State::Resting(now + LONGEST_REST.min(FIRST_REST * 4));
                    } else {
                        due.push((at, entry.address.clone()));
                    }
                }
                _ => {}
            }
        }
        due
    }

    pub(crate) fn dialling(&mut self, at: usize, connection: ConnectionId) {
        self.entries[at].state = State::Dialling(connection);
    }

    /// Notes a connection; its end starts the next try.
    pub(crate) fn connected(&mut self, connection: ConnectionId, peer: PeerId) {
        for entry in &mut self.entries {
            if entry.state == State::Dialling(connection) {
                entry.state = State::Connected(connection);
                entry.peer = Some(peer);
                entry.failures = 0;
            }
        }
    }

    /// Notes a failed dial. `own` when it reached this very node.
    pub(crate) fn failed(&mut self, connection: ConnectionId, own: bool, now: Instant) {
        for entry in &mut self.entries {
            if entry.state == State::Dialling(connection) {
                entry.rest(now);
                if own {
                    entry.state = State::Never;
                }
                // A peer that came back under another key is met again by its address.
                entry.peer = peer_of(&entry.address);
            }
        }
    }

    /// Notes the end of a connection.
    pub(crate) fn closed(&mut self, connection: ConnectionId, now: Instant) {
        for entry in &mut self.entries {
            if entry.state == State::Connected(connection) {
                entry.rest(now);
                entry.peer = peer_of(&entry.address);
            }
        }
    }
}

impl Entry {
    fn rest(&mut self, now: Instant) {
        let rest = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(LONGEST_REST);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Resting(now + rest);
    }
}

fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_until_it_answers_and_start_small_again_after() {
        let (own, start) = (PeerId::random(), Instant::now());
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().unwrap();
        let mut bootstrap = Bootstrap::new(std::slice::from_ref(&address), own, start);
        let (mut now, mut rests) = (start, vec![]);
        for n in 0..9 {
            let connection = ConnectionId::new_unchecked(n);
            let from = now;
            while bootstrap.due(now, |_| false).is_empty() {
                now += Duration::from_millis(100);
            }
            rests.push((now - from).as_millis());
            bootstrap.dialling(0, connection);
            assert!(bootstrap.due(now, |_| false).is_empty());
            bootstrap.failed(connection, false, now);
        }
        assert_eq!(rests, [0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        let connection = ConnectionId::new_unchecked(99);
        bootstrap.dialling(0, connection);
        bootstrap.connected(connection, PeerId::random());
        assert!(bootstrap.due(now + Duration::from_secs(999), |_| false).is_empty());
        bootstrap.closed(connection, now);
        assert_eq!(bootstrap.due(now + FIRST_REST, |_| false), [(0, address)]);
    }

    #[test]
    fn nobody_dials_itself_nor_whom_it_knows() {
        let (own, other, now) = (PeerId::random(), PeerId::random(), Instant::now());
        let with = |peer: PeerId| format!("/ip4/127.0.0.1/tcp/4001/p2p/{peer}").parse::<Multiaddr>().unwrap();
        let mut bootstrap = Bootstrap::new(&[with(own), with(other)], own, now);
        assert!(bootstrap.due(now, |peer| *peer == other).is_empty());
        assert_eq!(bootstrap.due(now + LONGEST_REST, |_| false).len(), 1);
        let mut unnamed = Bootstrap::new(&["/ip4/127.0.0.1/tcp/4001".parse().unwrap()], own, now);
        let connection = ConnectionId::new_unchecked(1);
        unnamed.dialling(0, connection);
        unnamed.failed(connection, true, now);
        assert!(unnamed.due(now + LONGEST_REST * 2, |_| false).is_empty());
    }
}
