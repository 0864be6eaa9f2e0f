//! What the figures were taken on, and what else ran there meanwhile.

use headframe_kernels::Isa;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::Serialize;
use std::fs;
use std::process::Command;
use std::time::Instant;

/// A machine as far as it matters for speed. Names nobody and no place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    /// The instruction set our kernels chose.
    pub(crate) simd: String,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) system: String,
    /// Mean number of running processes over the last minute, in hundredths, when the run began.
    pub(crate) load_centi: u64,
}

impl Machine {
    /// This machine; what cannot be read is `unknown` or 0.
    pub(crate) fn here() -> Self {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once([':', '='])).map(|(_, value)| value);
            value.map_or("unknown".to_owned(), |value| value.trim().trim_matches('"').to_owned())
        };
        let memory = field("/proc/meminfo", "MemTotal");
        let kib: u64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| "unknown".to_owned());
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: cores(),
            simd: format!("{:?}", Isa::best()).to_lowercase(),
            memory_mib: kib / 1024,
            // The version alone: what follows names builders and places.
            kernel: kernel.trim().split('-').next().unwrap_or_default().to_owned(),
            system: field("/etc/os-release", "PRETTY_NAME"),
            load_centi: load_centi(),
        }
    }
}

/// Cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn load_centi() -> u64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    (load * 100.0).round() as u64
}

/// The commit of the checkout in the current folder, if it is one.
pub(crate) fn commit() -> Option<String> {
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Seconds since 1970; 0 for a clock before that.
pub(crate) fn unix_time() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

/// What some work cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Cost {
    pub(crate) wall_s: f64,
    /// Processor time of this process and of the children that ended, in user mode.
    pub(crate) user_s: f64,
    /// The same in the kernel.
    pub(crate) system_s: f64,
    /// Cores that everybody else on the machine used meanwhile, on average.
    pub(crate) others_cores: f64,
}

impl Cost {
    pub(crate) fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }
}

/// Measures [`Cost`]. Children count when they have been waited for, so end them before [`Self::cost`].
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    cpu: (f64, f64),
    machine: Option<(u64, u64)>,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), cpu: cpu(), machine: ticks() }
    }

    /// Real time so far, seconds.
    pub(crate) fn wall(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// The cost of work that took `wall_s` of the time since the start. Children that still run have used `children_s`
    /// meanwhile, in user mode as far as this tells.
    pub(crate) fn cost(&self, wall_s: f64, children_s: f64) -> Cost {
        let mut now = cpu();
        now.0 += children_s;
        let (user_s, system_s) = (now.0 - self.cpu.0, now.1 - self.cpu.1);
        let others_cores = match (self.machine, ticks()) {
            (Some((busy, total)), Some((busy_now, total_now))) if total_now > total => {
                let share = (busy_now.saturating_sub(busy)) as f64 / (total_now - total) as f64;
                let online = cores() as f64;
                (share * online - (user_s + system_s) / self.wall().max(1e-9)).clamp(0.0, online)
            }
            _ => 0.0,
        };
        Cost { wall_s, user_s, system_s, others_cores }
    }
}

/// Ticks per second of the kernel's process times, the same on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Seconds of processor time that running processes have used, user and system; those that are gone count nothing.
pub(crate) fn used_by(pids: &[u32]) -> f64 {
    let used = |pid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything; times are the 12th and 13th field behind it.
        let (_, fields) = text.rsplit_once(')')?;
        let mut times = fields.split_ascii_whitespace().skip(11).map(|ticks| ticks.parse::<f64>().unwrap_or(0.0));
        Some((times.next()? + times.next()?) / TICKS)
    };
    pids.iter().filter_map(used).sum()
}

/// User and system seconds of this process and its dead children.
fn cpu() -> (f64, f64) {
    let mut sum = (0.0, 0.0);
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        if let Ok(usage) = getrusage(who) {
            sum.0 += usage.user_time().num_microseconds() as f64 / 1e6;
            sum.1 += usage.system_time().num_microseconds() as f64 / 1e6;
        }
    }
    sum
}

/// Busy and all ticks of the machine. Time stolen by a hypervisor counts as busy: it was not ours.
fn ticks() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let values = text.lines().next()?.split_ascii_whitespace().skip(1).take(8);
    let values: Vec<u64> = values.map(|value| value.parse().unwrap_or(0)).collect();
    let total: u64 = values.iter().sum();
    let idle: u64 = values.iter().skip(3).take(2).sum();
    Some((total - idle, total))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::here();
        assert!(machine.cores >= 1 && machine.memory_mib > 0, "{machine:?}");
        assert!(machine.kernel != "unknown" && !machine.kernel.contains('\n'), "{machine:?}");
    }

    #[test]
    fn children_are_counted_once_they_have_ended() {
        let meter = Meter::start();
        let spin = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").args(["-c", spin]).status().unwrap().success());
        let cost = meter.cost(meter.wall(), 0.0);
        assert!(cost.cpu_s() > 0.01 && cost.wall_s > 0.0, "{cost:?}");
        assert!(used_by(&[std::process::id()]) < 3600.0 && used_by(&[u32::MAX]) == 0.0);
    }
}
