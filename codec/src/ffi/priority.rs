//! How a thread stands back behind others of the machine. It can never come forward again.

/// The lowest there is; see `setpriority(2)`.
const LOWEST: libc::c_int = 19;

/// Lets other threads go before the calling one, by so many steps of niceness (each is a fifth of a thread's share beside
/// others). Where the system does not allow it, all stay equal.
pub(crate) fn stand_back(steps: libc::c_int) {
    // SAFETY: reads a number of the calling thread; -1 may be an error or a niceness, and both are good to add to.
    let now = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let wanted = (now + steps).min(LOWEST);
    // The sandbox allows no negative numbers, with which a worker of root's could come forward.
    if wanted > now && wanted >= 0 {
        // SAFETY: sets a number of the calling thread.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, wanted) };
    }
}
