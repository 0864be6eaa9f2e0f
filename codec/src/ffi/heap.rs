//! The C library's heap of a worker. Encoders take and return some hundred megabytes with every segment; where each of their
//! buffers is mapped and unmapped, a fiftieth of the processor goes into clearing pages.

/// Keeps returned memory for the next segment.
pub(crate) fn keep() {
    // The most that glibc allows.
    const MAPPED_FROM: libc::c_int = 32 << 20;
    // SAFETY: sets numbers of the allocator; a value that it does not take changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}

/// Gives the system what was kept: nothing is to be done for now.
pub(crate) fn give_back() {
    // SAFETY: no preconditions; it releases pages that nobody uses.
    unsafe { libc::malloc_trim(0) };
}
