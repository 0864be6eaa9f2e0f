//! How much one peer may send, and when it has misbehaved too often. Pure: time is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// What one peer may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Messages in a row after a pause.
    pub(crate) burst: u32,
    /// Messages per second in the long run.
    pub(crate) per_second: f64,
    /// Rejected messages after which the peer is shut out.
    pub(crate) strikes: u32,
    /// For how long. Also how long a strike is remembered.
    pub(crate) ban: Duration,
    /// Peers remembered; the one heard of longest ago makes room.
    pub(crate) peers: usize,
}

/// Token buckets and strikes by peer.
#[derive(Debug)]
pub(crate) struct Ledger<P> {
    allowance: Allowance,
    peers: HashMap<P, Account>,
    /// Shut out but forgotten for want of room.
    forgotten: Vec<P>,
}

#[derive(Debug)]
struct Account {
    tokens: f64,
    seen: Instant,
    strikes: u32,
    last_strike: Option<Instant>,
    banned_until: Option<Instant>,
}

impl<P: Copy + Eq + Hash> Ledger<P> {
    pub(crate) fn new(allowance: Allowance) -> Self {
        Self { allowance, peers: HashMap::new(), forgotten: Vec::new() }
    }

    /// Takes one message from the peer's allowance; false when it has none left.
    pub(crate) fn spend(&mut self, peer: P, now: Instant) -> bool {
        let (burst, rate) = (f64::from(self.allowance.burst), self.allowance.per_second);
        let account = self.account(peer, now);
        let idle = now.saturating_duration_since(account.seen).as_secs_f64();
        account.tokens = (account.tokens + idle * rate).min(burst);
        account.seen = now;
        let enough = account.tokens >= 1.0;
        if enough {
            account.tokens -= 1.0;
        }
        enough
    }

    /// Notes a rejected message; true when that was one too many and the peer must go.
    pub(crate) fn strike(&mut self, peer: P, now: Instant) -> bool {
        let Allowance { strikes, ban, .. } = self.allowance;
        let account = self.account(peer, now);
        if account.last_strike.is_some_and(|last| now.saturating_duration_since(last) > ban) {
            account.strikes = 0;
        }
        account.strikes += 1;
        account.last_strike = Some(now);
        if account.strikes < strikes {
            return false;
        }
        account.strikes = 0;
        account.banned_until = Some(now + ban);
        true
    }

    /// The peers whose time is over, or that made room for others, each told once.
    pub(crate) fn pardoned(&mut self, now: Instant) -> Vec<P> {
        let mut free = std::mem::take(&mut self.forgotten);
        for (peer, account) in &mut self.peers {
            if account.banned_until.is_some_and(|until| until <= now) {
                account.banned_until = None;
                free.push(*peer);
            }
        }
        free
    }

    fn account(&mut self, peer: P, now: Instant) -> &mut Account {
        if !self.peers.contains_key(&peer) && self.peers.len() >= self.allowance.peers.max(1) {
            // A shut-out peer is forgotten last, and then let in again.
            let oldest = self.peers.iter().min_by_key(|(_, account)| (account.banned_until.is_some(), account.seen));
            if let Some(oldest) = oldest.map(|(peer, _)| *peer)
                && self.peers.remove(&oldest).is_some_and(|account| account.banned_until.is_some())
            {
                self.forgotten.push(oldest);
            }
        }
        let tokens = f64::from(self.allowance.burst);
        let fresh = || Account { tokens, seen: now, strikes: 0, last_strike: None, banned_until: None };
        self.peers.entry(peer).or_insert_with(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance =
        Allowance { burst: 3, per_second: 2.0, strikes: 2, ban: Duration::from_secs(10), peers: 4 };

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let (mut ledger, start) = (Ledger::new(ALLOWANCE), Instant::now());
        let spent = |ledger: &mut Ledger<u8>, at: u64| {
            (0..10).filter(|_| ledger.spend(1, start + Duration::from_millis(at))).count()
        };
        assert_eq!(spent(&mut ledger, 0), 3);
        assert_eq!(spent(&mut ledger, 400), 0);
        assert_eq!(spent(&mut ledger, 1000), 2); // what fell between two messages adds up
        assert_eq!(spent(&mut ledger, 60_000), 3);
        assert!(ledger.spend(2, start));
    }

    #[test]
    fn strikes_add_up_fade_and_end_in_a_ban_that_ends() {
        let (mut ledger, start) = (Ledger::new(ALLOWANCE), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!ledger.strike(1, at(0)));
        assert!(!ledger.strike(1, at(11))); // the first one has faded
        assert!(ledger.strike(1, at(12)));
        assert!(ledger.pardoned(at(21)).is_empty());
        assert_eq!(ledger.pardoned(at(22)), [1]);
        assert!(ledger.pardoned(at(23)).is_empty());
    }

    #[test]
    fn memory_is_bounded_and_keeps_those_shut_out() {
        let (mut ledger, start) = (Ledger::new(ALLOWANCE), Instant::now());
        ledger.strike(0, start);
        ledger.strike(0, start);
        for peer in 1..100u8 {
            ledger.spend(peer, start + Duration::from_millis(u64::from(peer)));
            assert!(ledger.peers.len() <= 4);
        }
        assert!(ledger.pardoned(start).is_empty());
        for peer in 100..110u8 {
            ledger.strike(peer, start);
            ledger.strike(peer, start);
        }
        assert_eq!(ledger.pardoned(start).len(), 7, "who is forgotten must not stay shut out");
        assert_eq!(ledger.pardoned(start + Duration::from_secs(10)).len(), 4);
    }
}
