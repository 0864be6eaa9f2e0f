//! How a pool is run, and how it is at a moment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::card::{CardConfig, CardStats, MOST_SEGMENTS};
use super::{Death, Vulkan, VulkanStats, codec_program};
use crate::budget::Limits;
use crate::sessions::Stats;

/// Workers that a machine with so many cores does best with: one for every two cores, because each uses several, and one
/// more, whose segment begins when another one is half decoded and keeps the cores busy while that runs dry.
pub fn usual_workers(cores: usize) -> usize {
    match cores {
        0 | 1 => 1,
        _ => (cores / 2 + 1).min(64),
    }
}

/// How to run a pool.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// The program `headframe-codec`; see [`codec_program`].
    pub program: PathBuf,
    /// Its first arguments: `worker`, or something else to try the pool with a worker that lies.
    pub role: Vec<String>,
    /// Workers, each of which does one segment at a time: 1 to 64.
    pub workers: usize,
    /// What one segment may cost.
    pub limits: Limits,
    /// Contents remembered for having killed workers.
    pub quarantine: usize,
    /// Time for a worker to come up.
    pub start_timeout: Duration,
    /// Longest delay between starts while workers keep dying.
    pub max_backoff: Duration,
    /// Graphics cards, each with a worker of its own beside those above.
    pub cards: CardConfig,
    /// A graphics card without CUDA that scales for the workers above.
    pub vulkan: Vulkan,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            program: codec_program(),
            role: vec!["worker".to_owned()],
            workers: 1,
            limits: Limits::default(),
            quarantine: 1024,
            start_timeout: Duration::from_secs(10),
            max_backoff: Duration::from_secs(5),
            cards: CardConfig::default(),
            vulkan: Vulkan::default(),
        }
    }
}

/// Why a pool did not start.
#[derive(Debug, Error)]
pub enum PoolError {
    /// A setting out of range.
    #[error("a pool has 1 to 64 workers, not {have}")]
    Workers {
        /// Workers asked for.
        have: usize,
    },
    /// As above.
    #[error("a card has 1 to {MOST_SEGMENTS} segments in hand, not {have}")]
    CardSegments {
        /// Segments asked for.
        have: usize,
    },
    /// The first worker did not come up.
    #[error("the codec worker does not start: {reason}")]
    Start {
        /// Why.
        reason: String,
    },
}

/// A pool at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Workers alive, but for those of cards.
    pub workers: usize,
    /// Workers transcoding.
    pub busy: usize,
    /// Callers waiting for a worker.
    pub waiting: usize,
    /// Workers replaced since the start, those of cards among them, by reason.
    pub restarts: BTreeMap<Death, u64>,
    /// Contents in quarantine.
    pub quarantined: usize,
    /// Segments answered, failures included.
    pub segments: u64,
    /// Resident memory of all workers, bytes.
    pub rss_bytes: u64,
    /// Their process ids.
    pub pids: Vec<u32>,
    /// How long the last start took until the sandbox was proven.
    pub last_start: Duration,
    /// The graphics cards that are used.
    pub cards: Vec<CardStats>,
    /// Their encoder sessions, where there are cards.
    pub sessions: Option<Stats>,
    /// The card that scales for the processors, where there is one.
    pub vulkan: Option<VulkanStats>,
}

impl PoolStats {
    /// Workers replaced, whatever the reason.
    pub fn restarts_total(&self) -> u64 {
        self.restarts.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_more_than_half_the_cores() {
        assert_eq!([0, 1, 2, 3, 4, 8, 500].map(usual_workers), [1, 1, 2, 2, 3, 5, 64]);
    }
}
