//! Many runs in one table.

use crate::run::Outcome;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// All runs so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Runs.
    pub seeds: u64,
    /// Things that happened.
    pub events: u64,
    /// Simulated seconds.
    pub seconds: u64,
    /// Slashable acts.
    pub slashable_acts: u64,
    /// Deadlines missed although everything was there.
    pub missed_deadlines: u64,
    /// Rigs that stopped themselves without a reason.
    pub halts: u64,
    /// How often what happened.
    pub counts: BTreeMap<String, u64>,
    /// Seeds in which something happened that must not.
    pub failed: Vec<Outcome>,
    /// Real time.
    pub wall_seconds: f64,
}

impl Summary {
    /// Adds one run.
    pub fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        self.seconds += outcome.seconds;
        self.slashable_acts += outcome.violations.len() as u64;
        self.missed_deadlines += outcome.missed.len() as u64;
        self.halts += u64::from(outcome.halted.is_some());
        for (what, n) in &outcome.counts {
            *self.counts.entry(what.clone()).or_default() += n;
        }
        if !outcome.is_good() {
            self.failed.push(outcome);
        }
    }

    /// Nothing that must not happen.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |what: &str, n: u64| writeln!(f, "  {what:<52} {n:>12}");
        row("seeds", self.seeds)?;
        row("simulated hours", self.seconds / 3600)?;
        row("events", self.events)?;
        for (what, n) in &self.counts {
            row(what, *n)?;
        }
        row("halts without a reason", self.halts)?;
        row("missed deadlines", self.missed_deadlines)?;
        row("slashable acts", self.slashable_acts)?;
        writeln!(f, "  {:<52} {:>12.1}", "real seconds", self.wall_seconds)
    }
}
