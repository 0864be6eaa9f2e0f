//! The sandbox of a worker that has a graphics card.
//!
//! The driver's libraries are opened and the card is taken into use before it is complete, while the process has seen none of a
//! stranger's bytes. What the driver does afterwards goes through the device nodes: `ioctl` on them and mappings of them, for
//! some of which it opens a node once more. So this differs from [`super::enter`]:
//!
//! | layer | before the driver is opened | afterwards |
//! | --- | --- | --- |
//! | descriptors, capabilities, privileges, death with the parent | as with any worker | |
//! | Landlock | system files can be read, the driver's nodes used, threads named, nothing else: no home, no state | the driver's nodes, what the driver says of itself, nothing else |
//! | limits | | address space: what the driver has reserved by then and as much more as given; more descriptors |
//! | seccomp | | the same list, with `ioctl` and `openat` as ruled below, and the little in `ALLOWED`; what is not on it fails with "no such call" and is told once, instead of ending the process ([`refusal`]) |
//!
//! seccomp holds for all threads. Landlock's second layer holds for the thread that enters and for all that it starts, the
//! driver's own threads have the first. By that they can open the files of this process's threads, because libcuda names its
//! threads, through `/proc/self/task/TID/comm`, and does not start where that fails (CUDA_ERROR_OPERATING_SYSTEM). One of those
//! files is the memory, which is this process's own and, since it is not dumpable, only a worker of root's may open.
//!
//! **No card has been inside yet**: it was tried over doubles of the driver only. What a driver wants beyond it shows when the
//! worker starts, because it makes a segment of our own before it takes others: what was refused is in the log, and where the
//! driver cannot do without, the worker ends and the card is not used.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use landlock::{ABI, AccessFs, BitFlags, PathBeneath, RulesetCreated, RulesetCreatedAttr, path_beneath_rules};
use seccompiler::{SeccompAction, SeccompCmpOp, SeccompRule};

use super::{Calls, MAX_FILES, Profile, Report, SandboxError, condition, layer, refusal};

/// Descriptors beyond those that the driver has when the sandbox closes: files of segments in hand, nodes opened once more,
/// of which a driver takes several for each context, decoder and encoder session.
const MORE_FILES: u64 = 1024;

/// Where libraries of the system and of the driver are, and what a driver asks of the kernel while it starts.
const READABLE: &[&str] =
    &["/usr", "/lib", "/lib64", "/opt", "/run/nvidia", "/etc/ld.so.cache", "/etc/nvidia", "/proc", "/sys"];
/// Where the kernel's direct rendering manager has its nodes.
const DRI: &str = "/dev/dri";
/// Nodes that any program may use.
const PLAIN_NODES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// What NVIDIA's kernel module says of itself and its cards; read again when a library wants to know the version.
const SAID: &str = "/proc/driver/nvidia";
/// The files of this process's threads.
const THREADS: &str = "/proc/self/task";

/// Calls that a driver makes beside those of any worker; none of them reaches outside.
const ALLOWED: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_mlock,
    libc::SYS_munlock,
    // A node is looked at before it is opened. They say that a file is there and how large, for any path.
    libc::SYS_newfstatat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
];
/// Answered with "no such call", because a library may make them while it has signals blocked, where the other way of refusing
/// would end the process; making a process is another ([`super::seccomp`]).
const ANSWERED: &[i64] = &[
    // What a machine with one memory node can do without.
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    libc::SYS_mbind,
    // Nodes that are not there or belong to somebody else are made and changed by who starts as root.
    libc::SYS_unlinkat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_renameat2,
];
/// The same, calls that only the older of the two machines has.
#[cfg(target_arch = "x86_64")]
const ANSWERED_TOO: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_unlink,
    libc::SYS_symlink,
    libc::SYS_mknod,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_rename,
    libc::SYS_rmdir,
];
#[cfg(not(target_arch = "x86_64"))]
const ANSWERED_TOO: &[i64] = &[];

/// Requests of NVIDIA's kernel modules, from their published sources (github.com/NVIDIA/open-gpu-kernel-modules):
/// `NV_IOCTL_MAGIC` of nv-ioctl-numbers.h, which is the second byte; plain small numbers in uvm_ioctl.h, and
/// `UVM_INITIALIZE` and `UVM_DEINITIALIZE` of uvm_linux_ioctl.h. Terminals, sockets, block devices and virtual machines have
/// others.
const MAGIC: u64 = (b'F' as u64) << 8;
const UVM: [u64; 2] = [0x3000_0001, 0x3000_0002];
/// Requests of all drivers of the direct rendering manager: `DRM_IOCTL_BASE` of Linux' drm.h.
const DRM: u64 = (b'd' as u64) << 8;

/// Whose kernel modules a driver talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modules {
    /// NVIDIA's own.
    Nvidia,
    /// Those of the direct rendering manager (DRM), through its render nodes, which can do nothing to what is displayed: AMD,
    /// Intel and others. A driver that computes on the processor needs none.
    Rendering,
}

/// Locks this process up around what `open` takes into use, and checks every layer. There is no way back. `libraries` is
/// where the driver lies, if not where the system has it. Must be called before the process has any second thread.
pub fn enter<T>(
    profile: &Profile,
    modules: Modules,
    libraries: Option<&Path>,
    open: impl FnOnce() -> Result<T, String>,
) -> Result<(Report, T), SandboxError> {
    super::check_descriptors()?;
    super::check_threads()?;
    super::one_arena()?;
    super::drop_capabilities()?;
    super::stay_with(profile.parent)?;
    rustix::thread::set_no_new_privs(true).map_err(layer("no new privileges"))?;
    let readable = READABLE.iter().map(Path::new).chain(libraries);
    // Held until the end: the kernel makes this folder anew, without the rule, when nobody has it open and memory is short.
    let threads = File::open(THREADS).map_err(layer("the threads' folder"))?;
    super::deny_but(|ruleset| {
        let ruleset = match modules {
            Modules::Nvidia => ruleset.add_rule(PathBeneath::new(&threads, naming()))?,
            // Looked through for its nodes.
            Modules::Rendering => ruleset.add_rules(path_beneath_rules([DRI], AccessFs::ReadDir))?,
        };
        let nodes = modules.nodes().into_iter().chain(PLAIN_NODES.iter().map(PathBuf::from));
        usable(ruleset, nodes)?.add_rules(path_beneath_rules(readable, AccessFs::from_read(ABI::V1)))
    })?;
    let opened = open().map_err(layer("the card"))?;
    let descriptors = fs::read_dir("/proc/self/fd").map_err(layer("list descriptors"))?.count() as u64;
    let memory = address_space()?.saturating_add(profile.memory_bytes);
    super::set_limits(memory, profile.output_bytes, descriptors + MAX_FILES + MORE_FILES)?;
    let nodes = modules.nodes();
    refusal::install().map_err(layer("refusals"))?;
    let second = || {
        super::deny_but(|ruleset| {
            let read = AccessFs::ReadFile | AccessFs::ReadDir;
            usable(ruleset, nodes)?.add_rules(path_beneath_rules(modules.said(), read))
        })
    };
    let report = super::lock(profile, second, &calls(modules))?;
    Ok((report, opened))
}

impl Modules {
    /// Their device nodes, those that are there.
    fn nodes(self) -> Vec<PathBuf> {
        let (folder, prefix) = match self {
            Self::Nvidia => ("/dev", "nvidia"),
            Self::Rendering => (DRI, "renderD"),
        };
        let all = fs::read_dir(folder).into_iter().flatten().flatten();
        all.filter(|node| node.file_name().to_string_lossy().starts_with(prefix)).map(|node| node.path()).collect()
    }

    /// Where they tell of themselves.
    fn said(self) -> Option<&'static str> {
        match self {
            Self::Nvidia => Some(SAID),
            Self::Rendering => None,
        }
    }

    /// What may be asked of them.
    fn requests(self) -> Result<Vec<SeccompRule>, seccompiler::Error> {
        let masked = |mask, value| Ok(SeccompRule::new(vec![condition(1, SeccompCmpOp::MaskedEq(mask), value)?])?);
        let equal = |value| Ok(SeccompRule::new(vec![condition(1, SeccompCmpOp::Eq, value)?])?);
        match self {
            Self::Nvidia => {
                [masked(0xff00, MAGIC), masked(0xffff_ff00, 0), equal(UVM[0]), equal(UVM[1])].into_iter().collect()
            }
            Self::Rendering => [masked(0xff00, DRM)].into_iter().collect(),
        }
    }
}

fn usable(
    ruleset: RulesetCreated,
    nodes: impl IntoIterator<Item = PathBuf>,
) -> Result<RulesetCreated, landlock::RulesetError> {
    // Of a file only what there is to do with files is taken; the kernel's Landlock may not know `ioctl` yet.
    let access = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::IoctlDev;
    ruleset.add_rules(path_beneath_rules(nodes, access))
}

/// What it takes to name a thread, and to look for it.
fn naming() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::ReadDir
}

/// Bytes that this process has mapped or reserved; drivers reserve far more than there is memory.
fn address_space() -> Result<u64, SandboxError> {
    let text = fs::read_to_string("/proc/self/statm").map_err(layer("address space"))?;
    let pages: Option<u64> = text.split(' ').next().and_then(|pages| pages.parse().ok());
    let pages = pages.ok_or_else(|| layer("address space")("the kernel does not say"))?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}

fn calls(modules: Modules) -> Calls {
    let of_worker = Calls::of_worker();
    Calls {
        allowed: [of_worker.allowed, ALLOWED.to_vec()].concat(),
        answered: of_worker
            .answered
            .into_iter()
            .filter(|call| *call != libc::SYS_openat)
            .chain([ANSWERED, ANSWERED_TOO].concat())
            .collect(),
        ruled: Box::new(move || {
            // Landlock says which paths; nothing is made in any case. `O_TMPFILE` has a bit of its own beside `O_DIRECTORY`.
            let making = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u64;
            let opening = SeccompRule::new(vec![condition(2, SeccompCmpOp::MaskedEq(making), 0)?])?;
            Ok(vec![(libc::SYS_ioctl, modules.requests()?), (libc::SYS_openat, vec![opening])])
        }),
        otherwise: SeccompAction::Trap,
    }
}
