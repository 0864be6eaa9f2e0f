//! A rig of doubles: a pool whose workers have cards that are none.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use headframe_codec::Limits;
use headframe_codec::worker::{CardConfig, CardState, CardStats, Cards, Pool, PoolConfig, PoolStats};

use super::Doubles;

/// Longer than anything takes that is not stuck.
pub(crate) const LONG: Duration = Duration::from_secs(100);

/// A driver of doubles, and the worker program with something to tell the doubles in it.
pub(crate) struct Rig {
    doubles: Doubles,
}

impl Rig {
    pub(crate) fn new(doubles: Doubles, cuda: &str) -> Self {
        let rig = Self { doubles };
        let program = env!("CARGO_BIN_EXE_headframe-codec");
        let folder = rig.doubles.path().display();
        let body = format!(
            "#!/bin/sh\nexport HEADFRAME_DOUBLE_CUDA='{cuda}'\nfor a in \"$@\"; do\n  if [ -f \"{folder}/$a.sh\" ]; then . \
             \"{folder}/$a.sh\"; fi\ndone\nexec {program} \"$@\"\n"
        );
        // Written by another process: a child that is started meanwhile would hold our file open, and it could not be run.
        let write = r#"printf '%s' "$1" > "$2" && chmod +x "$2""#;
        let mut shell = Command::new("sh");
        assert!(shell.args(["-c", write, "sh", &body]).arg(rig.program()).status().unwrap().success());
        rig
    }

    pub(crate) fn two_cards() -> Self {
        Self::new(Doubles::new(), "devices=2")
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.doubles.path().join("program")
    }

    /// Workers of this card that are started from now on tell these doubles something.
    pub(crate) fn tell(&self, uuid: &str, told: &[(&str, &str)]) {
        let lines = told.iter().map(|(double, told)| format!("export HEADFRAME_DOUBLE_{double}='{told}'\n"));
        let (file, new) =
            (self.doubles.path().join(format!("{uuid}.sh")), self.doubles.path().join(format!("{uuid}.new")));
        std::fs::write(&new, lines.collect::<String>()).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    pub(crate) fn pool(&self, which: Cards) -> Pool {
        self.pool_with(CardConfig { which, ..CardConfig::default() })
    }

    pub(crate) fn pool_with(&self, cards: CardConfig) -> Pool {
        let cards = CardConfig {
            libraries: Some(self.doubles.path().to_owned()),
            first_out: Duration::from_millis(500),
            ..cards
        };
        let limits = Limits { wall: LONG, ..Limits::default() };
        Pool::start(PoolConfig { program: self.program(), limits, cards, ..PoolConfig::default() }).unwrap()
    }
}

pub(crate) fn card(stats: &PoolStats, uuid: &str) -> CardStats {
    stats.cards.iter().find(|card| card.uuid == uuid).cloned().unwrap_or_default()
}

pub(crate) fn wait_for(pool: &Pool, what: &str, until: impl Fn(&PoolStats) -> bool) -> PoolStats {
    let started = Instant::now();
    loop {
        let stats = pool.stats();
        if until(&stats) {
            return stats;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain for: {what}: {stats:#?}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn up(pool: &Pool, cards: usize) -> PoolStats {
    let is_up = |stats: &PoolStats| stats.cards.iter().filter(|card| card.state == CardState::Up).count() == cards;
    wait_for(pool, "cards that are up", is_up)
}

/// So many cards are up and have sessions.
pub(crate) fn lending(pool: &Pool, cards: usize) -> PoolStats {
    let lent = |stats: &PoolStats| stats.cards.iter().filter(|card| card.sessions > 0).count() == cards;
    up(pool, cards);
    wait_for(pool, "encoder sessions", lent)
}
