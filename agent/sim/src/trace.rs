//! What happened, in order: a hash over all of it, counts, and the lines themselves when somebody wants to read them.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// The log of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Sha256,
    lines: Option<Vec<String>>,
    pub(crate) events: u64,
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self { hash: Sha256::new(), lines: keep.then(Vec::new), events: 0, counts: BTreeMap::new() }
    }

    /// One event. Not kept as a line when it is `quiet`.
    pub(crate) fn event(&mut self, ms: u64, quiet: bool, what: fmt::Arguments<'_>) {
        let line = format!("{:>6}.{:03} {what}", ms / 1000, ms % 1000);
        self.events += 1;
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        if let Some(lines) = self.lines.as_mut().filter(|_| !quiet) {
            lines.push(line);
        }
    }

    pub(crate) fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn finish(self) -> (String, Vec<String>, u64, BTreeMap<String, u64>) {
        let hash = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (hash, self.lines.unwrap_or_default(), self.events, self.counts)
    }
}
