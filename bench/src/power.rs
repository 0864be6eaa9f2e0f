//! What the processors draw, by their own counters (RAPL, Linux's `powercap`). Boards, memory, disks, fans and cards draw more, and the
//! power supply takes its part: a meter at the wall tells all of it.

use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const POWERCAP: &str = "/sys/class/powercap";

/// Microjoules that a package has used so far; begins at 0 again behind `wraps_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counter {
    microjoules: u64,
    wraps_at: u64,
}

/// The counters of all processor packages, read once.
#[derive(Debug)]
struct Reading(Vec<(PathBuf, Counter)>);

/// Measures the mean power of the processors from its start on.
#[derive(Debug)]
pub(crate) struct PowerMeter {
    root: PathBuf,
    first: Result<(Reading, Instant), Unmeasured>,
}

/// Why there is no figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unmeasured {
    /// Virtual machines and some processors.
    #[error("the processors tell nothing of their power here ({POWERCAP} has no package)")]
    NoCounter,
    /// Linux shows the counters to root alone.
    #[error("only root may read what the processors draw; run this with sudo")]
    NotAllowed,
}

impl PowerMeter {
    pub(crate) fn start() -> Self {
        Self::start_at(Path::new(POWERCAP))
    }

    fn start_at(root: &Path) -> Self {
        Self { root: root.to_owned(), first: read(root).map(|reading| (reading, Instant::now())) }
    }

    /// Milliwatts on average since the start.
    pub(crate) fn milliwatts(&self) -> Result<u64, Unmeasured> {
        let (first, at) = self.first.as_ref().map_err(|why| *why)?;
        let now = read(&self.root)?;
        let used: u64 = first.0.iter().map(|(zone, before)| now.used(zone, *before)).sum();
        let microseconds = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        Ok((u128::from(used) * 1000 / u128::from(microseconds)).try_into().unwrap_or(u64::MAX))
    }
}

impl Reading {
    /// Microjoules since `before`; a counter that is gone or was set back beyond its end used none.
    fn used(&self, zone: &Path, before: Counter) -> u64 {
        let Some((_, now)) = self.0.iter().find(|(at, _)| at == zone) else { return 0 };
        let wrapped = || before.wraps_at.saturating_sub(before.microjoules).saturating_add(now.microjoules);
        now.microjoules.checked_sub(before.microjoules).unwrap_or_else(wrapped)
    }
}

/// The packages' counters: zones such as `intel-rapl:0`, which AMD's processors have too. Zones within a package
/// (`intel-rapl:0:0`) are parts of it.
fn read(root: &Path) -> Result<Reading, Unmeasured> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(|_| Unmeasured::NoCounter)?.flatten() {
        let zone = entry.path();
        let text = |file: &str| fs::read_to_string(zone.join(file));
        if !text("name").is_ok_and(|name| name.starts_with("package-")) {
            continue;
        }
        let number = |text: String| text.trim().parse().ok();
        let energy = text("energy_uj").map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => Unmeasured::NotAllowed,
            _ => Unmeasured::NoCounter,
        })?;
        let microjoules = number(energy).ok_or(Unmeasured::NoCounter)?;
        let wraps_at = text("max_energy_range_uj").ok().and_then(number).unwrap_or(u64::MAX);
        found.push((zone, Counter { microjoules, wraps_at }));
    }
    if found.is_empty() { Err(Unmeasured::NoCounter) } else { Ok(Reading(found)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn zone(root: &Path, zone: &str, name: &str, microjoules: u64) {
        let zone = root.join(zone);
        fs::create_dir_all(&zone).unwrap();
        fs::write(zone.join("name"), format!("{name}\n")).unwrap();
        fs::write(zone.join("energy_uj"), format!("{microjoules}\n")).unwrap();
        fs::write(zone.join("max_energy_range_uj"), "1000000\n").unwrap();
    }

    #[test]
    fn packages_count_their_parts_do_not_and_a_counter_that_wraps_goes_on() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(PowerMeter::start_at(root).milliwatts(), Err(Unmeasured::NoCounter));
        assert_eq!(PowerMeter::start_at(&root.join("none")).milliwatts(), Err(Unmeasured::NoCounter));
        zone(root, "intel-rapl:0", "package-0", 900_000);
        zone(root, "intel-rapl:1", "package-1", 5);
        zone(root, "intel-rapl:0:0", "core", 7);
        zone(root, "intel-rapl:2", "psys", 7);
        let first = read(root).unwrap();
        assert_eq!(first.0.len(), 2);
        zone(root, "intel-rapl:0", "package-0", 100_000);
        zone(root, "intel-rapl:1", "package-1", 25);
        let now = read(root).unwrap();
        let used: u64 = first.0.iter().map(|(zone, before)| now.used(zone, *before)).sum();
        assert_eq!(used, 200_000 + 20);
        assert_eq!(now.used(Path::new("gone"), first.0[0].1), 0);
    }

    #[test]
    fn power_is_energy_in_its_time() {
        let root = tempfile::tempdir().unwrap();
        zone(root.path(), "intel-rapl:0", "package-0", 0);
        let meter = PowerMeter::start_at(root.path());
        let begun = Instant::now();
        std::thread::sleep(std::time::Duration::from_millis(20));
        zone(root.path(), "intel-rapl:0", "package-0", 1_000_000);
        let most = 1_000_000_000 / begun.elapsed().as_micros() as u64;
        let milliwatts = meter.milliwatts().unwrap();
        assert!(0 < milliwatts && milliwatts <= most, "{milliwatts} of {most}");
    }
}
