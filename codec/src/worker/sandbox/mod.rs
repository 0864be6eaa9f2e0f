//! How a worker locks itself up, and how it proves that it did.
//!
//! Layers, outermost first, each of which must fail closed:
//! 1. Inherited descriptors: standard input is the parent's Unix socket, nothing else is a socket, all above 2 closed.
//! 2. `rlimit`s: address space, file size, descriptors, no core; processor time is set per segment by the parent, who also
//!    watches it and the number of threads ([`super::vitals`]).
//! 3. The process dies with its parent, cannot be traced, has no privileges and cannot gain any.
//! 4. Landlock: no path at all, and where the kernel knows how, no TCP, no signals and no abstract sockets to outside.
//! 5. seccomp: a list of the calls that transcoding needs; a few that libraries try are refused with an error, anything
//!    else ends the process (SIGSYS), or is refused and told of where there is a driver whose calls nobody knows ([`card`]).
//!
//! All of it happens while there is one thread, so that no thread can be left out. Later threads inherit it. A worker with a
//! graphics card has a driver with threads of its own by then: [`card`].

pub mod attack;
pub mod card;
pub mod lie;
mod refusal;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated, RulesetStatus,
    Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use thiserror::Error;

use super::vitals;

/// Descriptors a worker may have open: standard ones, the files of one request and its answer, and some headroom. Memory
/// files count towards no limit on memory, so this many times [`Profile::output_bytes`] can be hoarded in them.
const MAX_FILES: u64 = 10;

/// What the sandbox allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// `RLIMIT_AS`, bytes.
    pub memory_bytes: u64,
    /// `RLIMIT_FSIZE`, bytes.
    pub output_bytes: u64,
    /// The parent's process id: a worker whose parent is already gone does not start.
    pub parent: Option<u32>,
    /// Leaves out seccomp, to show that the other layers hold on their own. Never for work.
    pub without_seccomp: bool,
}

/// Why the sandbox is not what it must be.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// An inherited descriptor that must not be.
    #[error("descriptor {fd} is {what}; workers are started with one Unix socket on standard input and nothing else")]
    Descriptor {
        /// Its number.
        fd: i32,
        /// What it is.
        what: String,
    },
    /// Threads exist already.
    #[error("{threads} threads exist before the sandbox; it could miss one")]
    Threads {
        /// How many.
        threads: usize,
    },
    /// The parent is gone.
    #[error("the parent {parent} is gone")]
    Orphan {
        /// Its process id.
        parent: u32,
    },
    /// A layer could not be set up.
    #[error("{layer}: {reason}")]
    Layer {
        /// Which one.
        layer: &'static str,
        /// What the system says.
        reason: String,
    },
    /// A layer was set up and does not hold.
    #[error("{layer} does not hold: {reason}")]
    Hollow {
        /// Which one.
        layer: &'static str,
        /// What was still possible.
        reason: String,
    },
}

/// What holds, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Whether Landlock also covers TCP, signals and abstract sockets on this kernel.
    pub landlock_full: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let landlock = if self.landlock_full { "full" } else { "files only (older kernel)" };
        write!(f, "landlock {landlock}, seccomp filter, no privileges, not dumpable, limits set")
    }
}

fn layer<E: fmt::Display>(layer: &'static str) -> impl FnOnce(E) -> SandboxError {
    move |reason| SandboxError::Layer { layer, reason: reason.to_string() }
}

/// Locks this process up and checks every layer. There is no way back.
pub fn enter(profile: &Profile) -> Result<Report, SandboxError> {
    check_descriptors()?;
    check_threads()?;
    one_arena()?;
    set_limits(profile.memory_bytes, profile.output_bytes, MAX_FILES)?;
    drop_capabilities()?;
    stay_with(profile.parent)?;
    rustix::thread::set_no_new_privs(true).map_err(layer("no new privileges"))?;
    lock(profile, landlock, &Calls::of_worker())
}

/// Dies with the parent, which may be gone already.
fn stay_with(parent: Option<u32>) -> Result<(), SandboxError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(layer("death with the parent"))?;
    if let Some(parent) = parent {
        // The parent may have died before the line above.
        let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get() as u32);
        if now != Some(parent) {
            return Err(SandboxError::Orphan { parent });
        }
    }
    Ok(())
}

/// The last layers, and the proof of all.
fn lock(
    profile: &Profile,
    landlock: impl FnOnce() -> Result<bool, SandboxError>,
    calls: &Calls,
) -> Result<Report, SandboxError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(layer("dumpable"))?;
    let landlock_full = landlock()?;
    check_landlock(landlock_full)?;
    if !has_no_capabilities()? {
        return Err(SandboxError::Hollow { layer: "capabilities", reason: "some are left".to_owned() });
    }
    if !profile.without_seccomp {
        seccomp(calls)?;
        check_seccomp()?;
    }
    Ok(Report { landlock_full })
}

/// Closes what was inherited beyond the standard descriptors, and checks those.
fn check_descriptors() -> Result<(), SandboxError> {
    close_above_standard()?;
    let list = fs::read_dir("/proc/self/fd").map_err(layer("list descriptors"))?;
    // Collected first: the listing itself is a descriptor, closed by then.
    let fds: Vec<i32> = list.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for fd in fds {
        let Ok(target) = fs::read_link(format!("/proc/self/fd/{fd}")) else { continue };
        let target = target.to_string_lossy().into_owned();
        let family = rustix::net::sockopt::socket_domain(rustix::stdio::stdin());
        match fd {
            0 if family == Ok(rustix::net::AddressFamily::UNIX) => {}
            0 => return Err(SandboxError::Descriptor { fd, what: format!("{target} and no Unix socket") }),
            1 | 2 if !target.starts_with("socket:") => {}
            _ => return Err(SandboxError::Descriptor { fd, what: target }),
        }
    }
    Ok(())
}

#[allow(unsafe_code, reason = "closing descriptors by number has no safe interface")]
fn close_above_standard() -> Result<(), SandboxError> {
    // SAFETY: this runs before anything in this process has opened a descriptor of its own (one thread, start of
    // `main`), so nobody owns the numbers that are closed here.
    match unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(SandboxError::Layer {
            layer: "close inherited descriptors (needs Linux 5.9)",
            reason: io::Error::last_os_error().to_string(),
        }),
    }
}

/// glibc gives each thread a heap of its own, and reads a file under `/proc` when it first shrinks one of those, which it
/// cannot here. One heap for all threads never does, and takes less address space; encoders allocate little while they work.
#[allow(unsafe_code, reason = "malloc's settings have no safe interface")]
fn one_arena() -> Result<(), SandboxError> {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets one number of the allocator while there is one thread.
    if unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) } != 1 {
        return Err(SandboxError::Layer { layer: "one heap", reason: "mallopt refused".to_owned() });
    }
    Ok(())
}

/// A worker of root's has no more to say than one of anybody's: some limits do not hold for the mighty. Who has nothing to
/// drop does not ask: a service manager may have forbidden the call.
fn drop_capabilities() -> Result<(), SandboxError> {
    if has_no_capabilities()? {
        return Ok(());
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(layer("capabilities"))
}

fn has_no_capabilities() -> Result<bool, SandboxError> {
    let sets = rustix::thread::capabilities(None).map_err(layer("capabilities"))?;
    Ok(sets.permitted.is_empty() && sets.effective.is_empty() && sets.inheritable.is_empty())
}

fn check_threads() -> Result<(), SandboxError> {
    let threads = fs::read_dir("/proc/self/task").map_err(layer("count threads"))?.count();
    if threads == 1 { Ok(()) } else { Err(SandboxError::Threads { threads }) }
}

fn set_limits(memory_bytes: u64, output_bytes: u64, files: u64) -> Result<(), SandboxError> {
    let limits = [
        (Resource::As, memory_bytes),
        (Resource::Fsize, output_bytes),
        (Resource::Nofile, files),
        (Resource::Core, 0),
        (Resource::Cpu, vitals::START_CPU_SECONDS),
    ];
    for (resource, wanted) in limits {
        // The machine may already allow less.
        let most = rustix::process::getrlimit(resource).maximum;
        let value = Some(most.map_or(wanted, |most| most.min(wanted)));
        // The parent raises the processor time with every segment, so that alone stays open above.
        let maximum = if resource == Resource::Cpu { most } else { value };
        let limit = Rlimit { current: value, maximum };
        rustix::process::setrlimit(resource, limit).map_err(layer("resource limits"))?;
    }
    Ok(())
}

/// Denies every path; says whether everything this crate knows of could be denied too.
fn landlock() -> Result<bool, SandboxError> {
    deny_but(Ok)
}

/// Denies every path but those that `rules` adds.
fn deny_but(
    rules: impl FnOnce(RulesetCreated) -> Result<RulesetCreated, landlock::RulesetError>,
) -> Result<bool, SandboxError> {
    let ruleset = || -> Result<_, landlock::RulesetError> {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V1))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V5))?
            .handle_access(AccessNet::from_all(ABI::V4))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?;
        rules(ruleset)?.restrict_self()
    };
    let status = ruleset().map_err(layer("landlock (needs Linux 5.13 with Landlock enabled)"))?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(true),
        RulesetStatus::PartiallyEnforced => Ok(false),
        RulesetStatus::NotEnforced => {
            Err(SandboxError::Layer { layer: "landlock", reason: "the kernel did not enforce it".to_owned() })
        }
    }
}

fn check_landlock(full: bool) -> Result<(), SandboxError> {
    let hollow = |reason: &str| SandboxError::Hollow { layer: "landlock", reason: reason.to_owned() };
    match fs::File::open("/proc/self/status") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        _ => return Err(hollow("a file could be opened")),
    }
    match fs::read_dir("/") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        _ => return Err(hollow("a folder could be listed")),
    }
    if full {
        match std::net::TcpStream::connect(("127.0.0.1", 9)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            _ => return Err(hollow("TCP was not denied")),
        }
    }
    Ok(())
}

fn check_seccomp() -> Result<(), SandboxError> {
    let hollow = |layer, reason: String| SandboxError::Hollow { layer, reason };
    match rustix::thread::secure_computing_mode() {
        Ok(rustix::thread::SecureComputingMode::Filter) => {}
        other => return Err(hollow("seccomp", format!("mode is {other:?}"))),
    }
    match rustix::thread::no_new_privs() {
        Ok(true) => {}
        other => return Err(hollow("no new privileges", format!("it is {other:?}"))),
    }
    match rustix::process::dumpable_behavior() {
        Ok(DumpableBehavior::NotDumpable) => Ok(()),
        other => Err(hollow("dumpable", format!("it is {other:?}"))),
    }
}

/// Calls allowed whatever their arguments.
const ALLOWED: &[i64] = &[
    // The socket and the files that come with it.
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_ppoll,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_memfd_create,
    // Memory; mappings and their protection are below.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_madvise,
    // Threads; their creation is below.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Time, randomness for hash maps, and glibc's qsort, which asks how much memory there is.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_sysinfo,
    // SVT-AV1 asks whether it runs as root, to give its threads more than their share; see below.
    libc::SYS_geteuid,
];

/// Calls that are answered with "no such call", because libraries try them and can do without.
const ANSWERED: &[i64] = &[
    // So that glibc takes `clone`, whose flags can be checked.
    libc::SYS_clone3,
    // SVT-AV1 counts the processors, and as root wants real-time threads that each keep to some of them.
    libc::SYS_openat,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setaffinity,
];

/// The list of calls of one kind of worker.
struct Calls {
    allowed: Vec<i64>,
    answered: Vec<i64>,
    /// Allowed where one of the rules fits the arguments.
    ruled: Box<dyn Fn() -> Result<Rules, seccompiler::Error>>,
    /// What becomes of all others.
    otherwise: SeccompAction,
}

/// Calls, each with its rules.
type Rules = Vec<(i64, Vec<SeccompRule>)>;

impl Calls {
    fn of_worker() -> Self {
        let otherwise = SeccompAction::KillProcess;
        Self { allowed: ALLOWED.to_vec(), answered: ANSWERED.to_vec(), ruled: Box::new(|| Ok(vec![])), otherwise }
    }
}

fn seccomp(calls: &Calls) -> Result<(), SandboxError> {
    let equal = |arg, value: u64| condition(arg, SeccompCmpOp::Eq, value);
    let masked = |arg, mask, value| condition(arg, SeccompCmpOp::MaskedEq(mask), value);
    let thread = (libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;
    let namespaces = (libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET) as u32 as u64;
    let executable = libc::PROT_EXEC as u64;
    let own = u64::from(std::process::id());
    // A trapped call ends the process while signals are blocked, as they are where a process is made.
    let answers_fork = matches!(calls.otherwise, SeccompAction::Trap);
    let filters = || -> Result<[BpfProgram; 2], seccompiler::Error> {
        let plain = |calls: &mut dyn Iterator<Item = &i64>| calls.map(|call| (*call, vec![])).collect();
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = plain(&mut calls.allowed.iter().chain(&calls.answered));
        rules.extend((calls.ruled)()?);
        rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![masked(2, executable, 0)?])?]);
        rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![masked(2, executable, 0)?])?]);
        let mut answered: BTreeMap<i64, Vec<SeccompRule>> = plain(&mut calls.answered.iter());
        if answers_fork {
            let bit = |bit: u64, value| SeccompRule::new(vec![masked(0, bit, value)?]).map_err(Into::into);
            let bits = |all: u64| (0..u64::BITS).map(|bit| 1 << bit).filter(move |bit| all & bit != 0);
            let missing = bits(thread).map(|flag| bit(flag, 0));
            let unwanted = bits(namespaces).map(|flag| bit(flag, flag));
            answered.insert(libc::SYS_clone, missing.chain(unwanted).collect::<Result<_, seccompiler::Error>>()?);
            rules.insert(libc::SYS_clone, vec![]);
        } else {
            rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![masked(0, thread | namespaces, thread)?])?]);
        }
        rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![equal(0, own)?])?]);
        let one_of = |arg, values: &[i32]| -> Result<Vec<SeccompRule>, seccompiler::Error> {
            let rule = |value: &i32| Ok(SeccompRule::new(vec![equal(arg, *value as u64)?])?);
            values.iter().map(rule).collect()
        };
        let descriptors = [libc::F_GETFD, libc::F_SETFD, libc::F_ADD_SEALS, libc::F_GET_SEALS];
        rules.insert(libc::SYS_fcntl, one_of(1, &descriptors)?);
        // A thread may stand back behind the others; a negative niceness would be a huge number here.
        let own_thread = || Ok::<_, seccompiler::Error>(vec![equal(0, libc::PRIO_PROCESS.into())?, equal(1, 0)?]);
        let mut back = own_thread()?;
        back.push(condition(2, SeccompCmpOp::Le, 19)?);
        rules.insert(libc::SYS_getpriority, vec![SeccompRule::new(own_thread()?)?]);
        rules.insert(libc::SYS_setpriority, vec![SeccompRule::new(back)?]);
        let state = [libc::PR_SET_NAME, libc::PR_GET_SECCOMP, libc::PR_GET_NO_NEW_PRIVS, libc::PR_GET_DUMPABLE];
        rules.insert(libc::SYS_prctl, one_of(0, &state)?);
        let arch = std::env::consts::ARCH.try_into()?;
        let list = SeccompFilter::new(rules, calls.otherwise.clone(), SeccompAction::Allow, arch)?;
        let answers =
            SeccompFilter::new(answered, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32), arch)?;
        Ok([answers.try_into()?, list.try_into()?])
    };
    // The list comes last: it does not allow setting filters.
    for filter in filters().map_err(layer("seccomp"))? {
        seccompiler::apply_filter_all_threads(&filter).map_err(layer("seccomp"))?;
    }
    Ok(())
}

fn condition(arg: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(arg, SeccompCmpArgLen::Dword, op, value)
}
