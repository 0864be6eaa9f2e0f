//! Processor time. The C library's call, because it needs nothing that the sandbox forbids.

use std::time::Duration;

/// Processor time that the calling thread has used since it began.
pub(crate) fn thread_time() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time that all threads of this process have used, ended ones too.
pub(crate) fn process_time() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one structure that is ours; both clocks exist on every Linux.
    let failed = unsafe { libc::clock_gettime(clock, &mut now) } != 0;
    if failed {
        return Duration::ZERO;
    }
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}
