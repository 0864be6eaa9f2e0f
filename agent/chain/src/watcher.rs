//! The head of the chain, followed by polling: a ring of recent headers, reorganisations found by parent hashes, and
//! one [`Head`] for everybody who acts by block height.
//!
//! Knows no contract. A provider that lags behind what was already seen changes nothing, because a lower height with a
//! known hash is the past; a lower or equal height with another hash is a reorganisation.

use crate::error::{Class, RpcError};
use crate::provider::Rpc;
use crate::provider::views::Heads;
use crate::types::Header;
use alloy::primitives::B256;
use headframe_market::BlockNo;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How the chain is followed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Between two looks at the head.
    pub poll: Duration,
    /// Headers kept, at least 2; a deeper reorganisation is seen, but only its minimum depth is known.
    pub ring: usize,
    /// Blocks on top of a final one, where the chain itself does not say which are final.
    pub final_depth: u64,
    /// A head that has not moved for this long is reported as unhealthy.
    pub stale_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { poll: Duration::from_secs(1), ring: 512, final_depth: 64, stale_after: Duration::from_secs(120) }
    }
}

/// The chain as last seen.
#[derive(Clone, Debug)]
pub struct Head {
    /// Height; 0 until the first block was seen.
    pub number: BlockNo,
    /// Its hash; zero until the first block was seen.
    pub hash: B256,
    /// Seconds since 1970 as the block's producer claims. For display only.
    pub timestamp: u64,
    /// Base fee in wei per gas of this block.
    pub base_fee: u128,
    /// Height and timestamp of the lowest view that any provider has: what is late there is late for certain.
    pub lowest: (BlockNo, u64),
    /// Height and timestamp of the highest view: what is due by then is due now.
    pub highest: (BlockNo, u64),
    /// Whether enough providers answer to rely on it.
    pub quorum: bool,
    /// The highest block that is final: as the chain says, or deep enough. Never goes back.
    pub finalized: BlockNo,
    /// What was undone although it was final, if anything ever was.
    pub finality_broken: Option<Arc<str>>,
    /// Reorganisations seen since start.
    pub reorgs: u64,
    /// The last of them.
    pub last_reorg: Option<Reorg>,
    /// When this block was first seen here.
    pub seen: Instant,
    /// Why the view may be out of date, if so.
    pub healthy: Result<(), Arc<str>>,
}

/// Blocks that are no longer part of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reorg {
    /// The last block that both branches share; `None` when it lies deeper than the ring remembers.
    pub fork: Option<BlockNo>,
    /// How many blocks were dropped, at least.
    pub depth: u64,
}

impl Head {
    /// How long this has been the head, by this machine's clock.
    pub fn age(&self) -> Duration {
        self.seen.elapsed()
    }

    fn unknown() -> Self {
        Self {
            number: BlockNo(0),
            hash: B256::ZERO,
            timestamp: 0,
            base_fee: 0,
            lowest: (BlockNo(0), 0),
            highest: (BlockNo(0), 0),
            quorum: false,
            finalized: BlockNo(0),
            finality_broken: None,
            reorgs: 0,
            last_reorg: None,
            seen: Instant::now(),
            healthy: Err("no block has been seen yet".into()),
        }
    }
}

/// Follows the chain until stopped. The caller owns the task that [`Watcher::run`] runs in.
#[derive(Debug)]
pub struct Watcher {
    rpc: Rpc,
    settings: Settings,
    ring: Ring,
    /// The highest block that was final.
    last_final: Option<Header>,
    /// It has yet to be asked for again, because a fork was below the ring.
    unsure: bool,
    head: watch::Sender<Head>,
}

impl Watcher {
    /// A watcher and the view it publishes.
    pub fn new(rpc: Rpc, settings: Settings) -> (Self, watch::Receiver<Head>) {
        let (head, view) = watch::channel(Head::unknown());
        let ring = Ring { headers: VecDeque::new(), limit: settings.ring.max(2) };
        (Self { rpc, settings, ring, last_final: None, unsure: false, head }, view)
    }

    /// Polls until `stop`. Dropping it between polls is safe: it holds nothing that cannot be read again.
    ///
    /// # Errors
    /// Only what is [`Class::Unsafe`]: the provider is on another chain. Everything else shows in [`Head::healthy`].
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), RpcError> {
        let mut ticks = tokio::time::interval(self.settings.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = async {
                ticks.tick().await;
                self.poll().await
            };
            match stop.run_until_cancelled(step).await {
                None => return Ok(()),
                Some(Err(error)) if error.class() == Class::Unsafe => {
                    self.unhealthy(&error.to_string());
                    return Err(error);
                }
                Some(Err(error)) => self.unhealthy(&error.to_string()),
                Some(Ok(())) => {}
            }
        }
    }

    fn unhealthy(&self, why: &str) {
        self.head.send_if_modified(|head| {
            let news = head.healthy.is_ok();
            if news {
                tracing::warn!(reason = why, "the chain's head cannot be followed");
            }
            head.healthy = Err(why.into());
            news
        });
    }

    async fn poll(&mut self) -> Result<(), RpcError> {
        let heads = self.rpc.heads().await?;
        let head = heads.tip;
        let reorg = match self.ring.place(&head) {
            Place::Known => None,
            Place::Next => {
                self.ring.push(head);
                None
            }
            Place::Elsewhere => self.catch_up(head, heads.from).await?,
        };
        let stale_after = self.settings.stale_after;
        let Some(tip) = self.ring.headers.back().copied() else { return Ok(()) };
        let undone = self.undone(reorg, heads.from).await?; // fails only where going on is not safe
        // The ring has moved on: what fails from here must not lose the reorganisation that was found.
        let finalized = match self.finalized(&heads).await {
            Err(error) if error.class() != Class::Unsafe => None,
            asked => asked?,
        };
        if let Some(header) = finalized.filter(|header| self.last_final.is_none_or(|last| header.number > last.number))
        {
            self.last_final = Some(header);
        }
        let finalized = finalized.map(|header| header.number);
        self.head.send_if_modified(|seen| {
            let mut news = seen.quorum != heads.quorum;
            seen.quorum = heads.quorum;
            seen.lowest = (heads.lowest.number, heads.lowest.timestamp);
            seen.highest = (heads.highest.number, heads.highest.timestamp);
            if seen.hash != tip.hash {
                news = true;
                seen.seen = Instant::now();
                (seen.number, seen.hash) = (tip.number, tip.hash);
                (seen.timestamp, seen.base_fee) = (tip.timestamp, tip.base_fee);
            }
            if let Some(reorg) = reorg {
                tracing::warn!(fork = ?reorg.fork, depth = reorg.depth, "the chain was reorganised");
                seen.reorgs += 1;
                seen.last_reorg = Some(reorg);
            }
            if let Some(undone) = undone {
                news = true;
                let why = format!("block {undone} was final and is no longer part of the chain");
                seen.finality_broken = Some(why.into());
            }
            if let Some(number) = finalized.filter(|number| *number > seen.finalized) {
                news = true;
                seen.finalized = number;
            }
            let healthy = match seen.seen.elapsed() {
                _ if !heads.quorum => Err("too few providers answer to rely on the chain's head".into()),
                age if age > stale_after => Err(format!("no new block for {} s", age.as_secs()).into()),
                _ => Ok(()),
            };
            news |= seen.healthy.is_ok() != healthy.is_ok();
            seen.healthy = healthy;
            news
        });
        Ok(())
    }

    /// The height of what was final, if a reorganisation has undone it. Where the ring does not reach down to the fork, as
    /// soon after a start, the block at that height tells, now or as soon as it can be asked for.
    async fn undone(&mut self, reorg: Option<Reorg>, from: usize) -> Result<Option<BlockNo>, RpcError> {
        let Some(last) = self.last_final else { return Ok(None) };
        match reorg.map(|reorg| reorg.fork) {
            Some(Some(fork)) if fork < last.number => return Ok(Some(last.number)),
            Some(None) => self.unsure = true,
            _ => {}
        }
        if !self.unsure {
            return Ok(None);
        }
        let Some(found) = self.rpc.header_from(from, last.number).await? else { return Ok(None) };
        self.unsure = false;
        Ok((found.hash != last.hash).then_some(last.number))
    }

    /// The highest final block. Below a quorum nothing becomes final.
    async fn finalized(&self, heads: &Heads) -> Result<Option<Header>, RpcError> {
        if !heads.quorum {
            return Ok(None);
        }
        if let Some(header) = self.rpc.finalized().await? {
            return Ok(Some(if header.number > heads.tip.number { heads.tip } else { header }));
        }
        let deep = BlockNo(heads.tip.number.0.saturating_sub(self.settings.final_depth));
        match self.ring.at(deep.0) {
            Some(header) => Ok(Some(header)),
            None => self.rpc.header_from(heads.from, deep).await,
        }
    }

    /// Reads headers backwards from `head` until one joins the ring, then replaces everything above that one.
    async fn catch_up(&mut self, head: Header, from: usize) -> Result<Option<Reorg>, RpcError> {
        let Some(tip) = self.ring.headers.back().copied() else {
            self.ring.push(head);
            return Ok(None);
        };
        let limit = u64::try_from(self.ring.limit).unwrap_or(u64::MAX);
        if head.number > tip.number.after(limit) {
            // Away for longer than the ring remembers: begin anew instead of reading it all.
            self.ring.headers.clear();
            self.ring.push(head);
            return Ok(None);
        }
        let lowest = self.ring.headers.front().map_or(0, |header| header.number.0);
        let mut branch = vec![head];
        while branch.len() < self.ring.limit {
            let last = branch[branch.len() - 1];
            if last.number.0 <= lowest || self.ring.has(last.number.0 - 1, last.parent) {
                break;
            }
            // The chain may move while it is read; then this look is given up and the next one starts afresh.
            match self.rpc.header_from(from, BlockNo(last.number.0 - 1)).await? {
                Some(header) if header.hash == last.parent => branch.push(header),
                Some(header) => {
                    self.rpc.does_not_chain(from, last, header.hash);
                    return Ok(None);
                }
                None => return Ok(None),
            }
        }
        let first = branch[branch.len() - 1];
        let joins = first.number.0 > 0 && self.ring.has(first.number.0 - 1, first.parent);
        let below = BlockNo(first.number.0.saturating_sub(1));
        // After a gap longer than the ring nothing is known of a fork; a lower or equal height is one for certain.
        let forked = if joins { below < tip.number } else { first.number <= tip.number };
        self.ring.truncate(if joins { first.number } else { BlockNo(0) });
        for header in branch.into_iter().rev() {
            self.ring.push(header);
        }
        let depth = tip.number.0.saturating_sub(below.0);
        Ok(forked.then(|| Reorg { fork: joins.then_some(below), depth }))
    }
}

/// Consecutive headers, each the child of the one before.
#[derive(Debug)]
struct Ring {
    headers: VecDeque<Header>,
    limit: usize,
}

enum Place {
    /// The tip, or an ancestor of it.
    Known,
    /// The child of the tip.
    Next,
    /// Anything else.
    Elsewhere,
}

impl Ring {
    fn place(&self, header: &Header) -> Place {
        match self.headers.back() {
            _ if self.has(header.number.0, header.hash) => Place::Known,
            Some(tip) if tip.number.after(1) == header.number && tip.hash == header.parent => Place::Next,
            _ => Place::Elsewhere,
        }
    }

    fn at(&self, number: u64) -> Option<Header> {
        let at = number.checked_sub(self.headers.front()?.number.0)?;
        self.headers.get(usize::try_from(at).ok()?).copied()
    }

    fn has(&self, number: u64, hash: B256) -> bool {
        self.at(number).is_some_and(|header| header.hash == hash)
    }

    fn push(&mut self, header: Header) {
        if self.headers.len() == self.limit {
            self.headers.pop_front();
        }
        self.headers.push_back(header);
    }

    /// Drops everything at and above `from`.
    fn truncate(&mut self, from: BlockNo) {
        while self.headers.back().is_some_and(|header| header.number >= from) {
            self.headers.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(number: u64, branch: u8, parent_branch: u8) -> Header {
        let hash = |number: u64, branch: u8| B256::from([(number as u8) ^ (branch << 4); 32]);
        Header {
            number: BlockNo(number),
            hash: hash(number, branch),
            parent: hash(number.saturating_sub(1), parent_branch),
            timestamp: number,
            base_fee: 0,
        }
    }

    #[test]
    fn a_ring_tells_past_future_and_fork_apart_and_stays_bounded() {
        let mut ring = Ring { headers: VecDeque::new(), limit: 4 };
        for number in 1..=6 {
            ring.push(header(number, 0, 0));
        }
        assert_eq!(ring.headers.len(), 4);
        assert!(matches!(ring.place(&header(6, 0, 0)), Place::Known));
        assert!(matches!(ring.place(&header(4, 0, 0)), Place::Known));
        assert!(matches!(ring.place(&header(7, 0, 0)), Place::Next));
        assert!(matches!(ring.place(&header(7, 1, 1)), Place::Elsewhere));
        assert!(matches!(ring.place(&header(5, 1, 0)), Place::Elsewhere));
        assert!(matches!(ring.place(&header(2, 0, 0)), Place::Elsewhere)); // fell out of the ring
        ring.truncate(BlockNo(5));
        assert_eq!(ring.headers.back().map(|h| h.number), Some(BlockNo(4)));
    }
}
