//! The machine itself: cores, memory, disk, clock.

use super::{Check, ask};
use crate::config::Config;
use headframe_codec::worker::usual_workers;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Resident memory of a worker that makes the standard ladder, and of everything else together (README, Measured).
const WORKER_MIB: u64 = 190;
const REST_MIB: u64 = 100;
/// Free disk: databases and the segments of a few streams; and what is too little to begin.
const DISK_MIB: u64 = 10 << 10;
const DISK_LEAST_MIB: u64 = 1 << 10;

pub(super) async fn all(config: &Config) -> Vec<Check> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if config.codec.workers == 0 { usual_workers(cores) } else { config.codec.workers };
    vec![cores_check(cores, simd()), memory(available_mib(), workers), disk(&config.state_dir), clock().await]
}

/// The instructions that make the most difference to the processors' engine. `None` where that cannot be told.
fn simd() -> Option<bool> {
    #[cfg(target_arch = "x86_64")]
    return Some(std::arch::is_x86_feature_detected!("avx2"));
    #[cfg(not(target_arch = "x86_64"))]
    None
}

fn cores_check(cores: usize, avx2: Option<bool>) -> Check {
    if avx2 == Some(false) {
        let remedy = "a processor with AVX2 scales several times as fast; streams per core are few on this one";
        return Check::warn("cores", format!("{cores}, without AVX2"), remedy);
    }
    match cores {
        1 => Check::warn("cores", "1", "one live ladder of 1080p takes about one modern core: use a machine with more"),
        _ => Check::ok("cores", cores.to_string()),
    }
}

fn available_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

fn memory(available: Option<u64>, workers: usize) -> Check {
    let need = workers as u64 * WORKER_MIB + REST_MIB;
    let Some(available) = available else {
        return Check::warn(
            "memory",
            "/proc/meminfo does not tell what is free",
            format!("see to it that {need} MiB are"),
        );
    };
    let found = format!("{available} MiB free, {need} MiB needed with {workers} workers");
    let remedy = "end what else runs, add memory, or set codec.workers lower";
    match available {
        _ if available < need => Check::fail("memory", found, remedy),
        _ if available < 2 * need => Check::warn("memory", found, remedy),
        _ => Check::ok("memory", found),
    }
}

/// Space where the state goes, or will go once it is made.
fn disk(state_dir: &Path) -> Check {
    let shown = state_dir.display();
    let Some(there) = state_dir.ancestors().find(|path| path.exists()) else {
        return Check::fail("disk", format!("{shown} leads nowhere"), "set state_dir to a folder that can be made");
    };
    if !there.is_dir() {
        let found = format!("{} is no folder, {shown} needs it to be one", there.display());
        return Check::fail("disk", found, "move the file away, or set state_dir to another place");
    }
    match rustix::fs::statvfs(there) {
        Err(error) => {
            Check::fail("disk", format!("{}: {error}", there.display()), "set state_dir to a disk that works")
        }
        Ok(disk) => {
            let mib = (u128::from(disk.f_bavail) * u128::from(disk.f_frsize)) >> 20;
            let made = if there == state_dir { "" } else { " (not made yet)" };
            room(&format!("{shown}{made}"), u64::try_from(mib).unwrap_or(u64::MAX))
        }
    }
}

fn room(place: &str, mib: u64) -> Check {
    let found = format!("{mib} MiB free at {place}");
    let remedy = "make room, or set state_dir to a larger disk: evidence that is lost costs stake";
    match mib {
        _ if mib < DISK_LEAST_MIB => Check::fail("disk", found, remedy),
        _ if mib < DISK_MIB => Check::warn("disk", found, remedy),
        _ => Check::ok("disk", found),
    }
}

async fn clock() -> Check {
    let own = std::env::current_exe().and_then(std::fs::metadata).and_then(|it| it.modified());
    let asked = ["show", "--property=NTPSynchronized", "--value"];
    let synchronised = ask(Path::new("timedatectl"), &asked, Duration::from_secs(5)).await;
    let synchronised = synchronised.ok().map(|said| String::from_utf8_lossy(&said).trim().to_owned());
    judge_clock(SystemTime::now(), own.ok(), synchronised.as_deref())
}

/// `program`: when this very program was made, which is in the past.
fn judge_clock(now: SystemTime, program: Option<SystemTime>, synchronised: Option<&str>) -> Check {
    let remedy = "sudo timedatectl set-ntp true (package systemd-timesyncd, or chrony)";
    let behind = program.and_then(|made| made.duration_since(now).ok()).filter(|by| *by > Duration::from_secs(60));
    if let Some(by) = behind {
        let hours = by.as_secs_f64() / 3600.0;
        return Check::fail("clock", format!("{hours:.1} hours before this program was made: it is wrong"), remedy);
    }
    match synchronised {
        Some("yes") => Check::ok("clock", "synchronised"),
        Some("no") => Check::warn("clock", "not synchronised with any other", remedy),
        _ => Check::warn("clock", "nothing here tells whether it is synchronised", remedy),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn too_little_fails_and_little_warns() {
        assert_eq!([479, 480, 959, 960].map(|mib| memory(Some(mib), 2).state), {
            [State::Fail, State::Warn, State::Warn, State::Ok]
        });
        assert_eq!(memory(None, 2).state, State::Warn);
        let states = [1023, 1024, 10 * 1024 - 1, 10 * 1024].map(|mib| room("x", mib).state);
        assert_eq!(states, [State::Fail, State::Warn, State::Warn, State::Ok]);
        assert_eq!(
            [(1, Some(true)), (2, Some(true)), (2, Some(false)), (2, None)].map(|it| cores_check(it.0, it.1).state),
            { [State::Warn, State::Ok, State::Warn, State::Ok] }
        );
    }

    #[test]
    fn a_folder_that_is_not_made_yet_counts_where_it_will_be() {
        let folder = tempfile::tempdir().unwrap();
        let later = disk(&folder.path().join("a/b"));
        assert!(later.found.contains("(not made yet)") && later.found.contains("MiB free"), "{later:?}");
        assert!(!disk(folder.path()).found.contains("not made"));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(disk(&file.join("under")).state == State::Fail && disk(&file).state == State::Fail);
    }

    #[test]
    fn a_clock_before_this_program_is_wrong() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let judge = |later: u64, told| judge_clock(now, Some(now + Duration::from_secs(later)), told).state;
        assert_eq!([judge(0, Some("yes")), judge(0, Some("no")), judge(0, None)], {
            [State::Ok, State::Warn, State::Warn]
        });
        assert_eq!((judge(30, Some("yes")), judge(7200, Some("yes"))), (State::Ok, State::Fail));
        assert_eq!(judge_clock(now, None, Some("yes")).state, State::Ok);
    }
}
