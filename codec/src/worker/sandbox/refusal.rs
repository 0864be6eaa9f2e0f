//! Calls that are not on the list of a worker with a graphics card: they fail with "no such call", and the first of each number
//! is told on standard error.
//!
//! Nobody outside of NVIDIA knows which calls a driver makes, and most programs can do without one that the kernel does not
//! have. So they are not deadly as in other workers: a driver of another version goes on, and the log says what it wanted.
//! Refused they are all the same: seccomp does not make them (`SECCOMP_RET_TRAP`), whatever the process does with the signal. A
//! thread that has the signal blocked ends the process with it.
#![allow(unsafe_code, reason = "signal handlers have no safe interface")]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that were told, a bit each; larger ones share the last.
static TOLD: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

/// Has calls that seccomp traps fail from now on.
pub(super) fn install() -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeros is a `sigaction`, whose fields are numbers and a set of signals.
    let action = unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = refuse as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_NODEFER;
        action
    };
    // SAFETY: `refuse` has the signature that `SA_SIGINFO` asks for, and does only what a signal handler may: it writes to a
    // descriptor, to atomic numbers and to its own stack.
    match unsafe { libc::sigaction(libc::SIGSYS, action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn refuse(_signal: c_int, info: *const libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both, for as long as this runs, and `refuse` is installed with `SA_SIGINFO`.
    let (code, context) = unsafe { ((*info).si_code, &mut *context.cast::<libc::ucontext_t>()) };
    // One that was sent by a process is none of a call.
    if code <= 0 {
        return;
    }
    let number = failed(context);
    let (word, bit) =
        (TOLD[(number / 64).min(7) as usize].fetch_or(1 << (number % 64), Ordering::Relaxed), number % 64);
    if word >> bit & 1 == 0 {
        tell(number);
    }
}

/// The number of the call that was made; it returns "no such call".
#[cfg(target_arch = "x86_64")]
fn failed(context: &mut libc::ucontext_t) -> u64 {
    // The kernel has put the number back where it was.
    let result = &mut context.uc_mcontext.gregs[libc::REG_RAX as usize];
    std::mem::replace(result, -i64::from(libc::ENOSYS)) as u64
}

/// The same.
#[cfg(target_arch = "aarch64")]
fn failed(context: &mut libc::ucontext_t) -> u64 {
    context.uc_mcontext.regs[0] = -i64::from(libc::ENOSYS) as u64;
    context.uc_mcontext.regs[8]
}

/// One line, without allocating.
fn tell(number: u64) {
    const BEFORE: &[u8] = b"the sandbox refused system call ";
    const AFTER: &[u8] = b" of the driver: if the card does not work with that, please report the number\n";
    let mut line = [0; BEFORE.len() + 20 + AFTER.len()];
    let mut at = BEFORE.len();
    line[..at].copy_from_slice(BEFORE);
    let mut digits = [0; 20];
    let (mut first, mut rest) = (digits.len(), number);
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for part in [&digits[first..], AFTER] {
        line[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    // SAFETY: the line has that many bytes, and the place of the error number is this thread's. What was interrupted may be about
    // to read that; whether anybody can be told is of no matter.
    unsafe {
        let place = libc::__errno_location();
        let before = *place;
        libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), at);
        *place = before;
    }
}
