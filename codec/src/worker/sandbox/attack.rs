//! What a taken-over worker would try. `headframe-codec selftest` runs each inside the sandbox and expects it to fail; to
//! show that the sandbox is what stopped it, it also runs outside those that work for anybody and do no harm.
#![allow(unsafe_code, reason = "attacks are system calls that no safe interface offers")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// One attack.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// How to name it.
    pub name: &'static str,
    /// What it tries.
    pub what: &'static str,
    /// What must stop it even without seccomp, if anything must.
    pub held: Held,
    /// Whether it works on any Linux when nothing holds it. The others need privileges or a kernel's option.
    pub works_outside: bool,
    /// Tries it; an error means that it was denied.
    pub run: fn() -> io::Result<()>,
}

/// What stops an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// seccomp alone.
    Seccomp,
    /// Another layer too: Landlock, a limit, the parent, or that this process has no capabilities.
    Twice,
    /// As `Twice`, where the kernel's Landlock knows TCP and signals (Linux 6.12).
    TwiceOnNew,
}
use Held::{Seccomp, Twice, TwiceOnNew};

/// All attacks.
pub const ATTACKS: &[Attack] = &[
    // Files.
    attack("open", "read a file", Twice, true, || File::open("/etc/passwd").map(drop)),
    attack("create", "write a file", Twice, true, || {
        let path = std::env::temp_dir().join(format!("headframe-attack-{}", std::process::id()));
        File::create(&path)?;
        fs::remove_file(path)
    }),
    attack("list", "list a folder", Twice, true, || fs::read_dir("/").map(drop)),
    attack("self", "write its own memory as a file", Twice, true, || {
        File::options().write(true).open("/proc/self/mem").map(drop)
    }),
    attack("device", "open a graphics card or any device", Twice, true, || {
        let open = |path| File::options().read(true).write(true).open(path).map(drop);
        open("/dev/nvidiactl").or_else(|_| open("/dev/nvidia0")).or_else(|_| open("/dev/zero"))
    }),
    // The network and other processes' sockets.
    attack("tcp", "connect over TCP", TwiceOnNew, false, || TcpStream::connect(("127.0.0.1", 9)).map(drop)),
    attack("listen", "take TCP connections", TwiceOnNew, true, || TcpListener::bind(("127.0.0.1", 0)).map(drop)),
    attack("udp", "make a UDP socket", Seccomp, true, || UdpSocket::bind(("127.0.0.1", 0)).map(drop)),
    attack("unix", "connect to a Unix socket", Seccomp, false, || UnixStream::connect("/run/systemd/notify").map(drop)),
    attack("abstract", "make an abstract Unix socket", Seccomp, true, || {
        let name = format!("headframe-attack-{}", std::process::id());
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?).map(drop)
    }),
    attack("netlink", "talk to the kernel over netlink", Seccomp, true, || {
        call(libc::SYS_socket, [libc::AF_NETLINK as u64, libc::SOCK_RAW as u64, 0, 0, 0])
    }),
    attack("sockets", "make a socket of any family", Seccomp, true, || {
        let kinds = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET];
        let all = (1..46).flat_map(|family| kinds.map(|kind| (family, kind as u64)));
        any(all.map(|(family, kind)| call(libc::SYS_socket, [family, kind, 0, 0, 0])))
    }),
    attack("files sent", "hide memory in files sent to its parent", Twice, false, || {
        for _ in 0..512 {
            let file = memfd_create("attack", MemfdFlags::CLOEXEC)?;
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let files = [file.as_fd()];
            control.push(SendAncillaryMessage::ScmRights(&files));
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            sendmsg(rustix::stdio::stdin(), &[io::IoSlice::new(b"x")], &mut control, flags)?;
        }
        Ok(())
    }),
    // Processes.
    attack("exec", "run a program", Seccomp, true, || Command::new("/bin/true").status().map(drop)),
    attack("fork", "make a process", Seccomp, true, || {
        // SAFETY: the child, if there ever is one, ends at once without running anything else.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: as above.
            0 => unsafe { libc::_exit(0) },
            _ => Ok(()),
        }
    }),
    attack("ptrace", "trace its parent", Twice, false, || {
        call(libc::SYS_ptrace, [u64::from(libc::PTRACE_SEIZE), parent(), 0, 0, 0])
    }),
    attack("read parent", "read its parent's memory", Twice, false, || {
        let mut byte = 0u8;
        let here = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // Wherever that is: the kernel asks for the permission first.
        let there = libc::iovec { iov_base: std::ptr::without_provenance_mut(4096), iov_len: 1 };
        let arguments = [parent(), (&raw const here) as u64, 1, (&raw const there) as u64, 1];
        permitted(call(libc::SYS_process_vm_readv, arguments))
    }),
    attack("write parent", "write its parent's memory", Twice, false, || {
        let byte = 0u8;
        let here = libc::iovec { iov_base: (&raw const byte).cast_mut().cast(), iov_len: 1 };
        let there = libc::iovec { iov_base: std::ptr::without_provenance_mut(4096), iov_len: 1 };
        let arguments = [parent(), (&raw const here) as u64, 1, (&raw const there) as u64, 1];
        permitted(call(libc::SYS_process_vm_writev, arguments))
    }),
    attack("kill", "signal its parent", TwiceOnNew, true, || call(libc::SYS_kill, [parent(), 0, 0, 0, 0])),
    attack("tgkill", "signal a thread of its parent", TwiceOnNew, true, || {
        call(libc::SYS_tgkill, [parent(), parent(), 0, 0, 0])
    }),
    attack("pidfd", "hold its parent by a descriptor", Seccomp, true, || {
        call(libc::SYS_pidfd_open, [parent(), 0, 0, 0, 0])
    }),
    attack("parent limits", "change its parent's limits", Seccomp, true, || {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        let out = (&raw mut limit) as u64;
        call(libc::SYS_prlimit64, [parent(), u64::from(libc::RLIMIT_CORE), 0, out, 0])
    }),
    // The kernel's wide surface.
    attack("io_uring", "make calls through a ring", Seccomp, false, || {
        let parameters = [0u8; 120];
        call(libc::SYS_io_uring_setup, [4, parameters.as_ptr() as u64, 0, 0, 0])
    }),
    attack("keys", "look into the kernel's key rings", Seccomp, false, || {
        call(libc::SYS_keyctl, [0, libc::KEY_SPEC_PROCESS_KEYRING as u64, 1, 0, 0])
    }),
    attack("bpf", "load a program into the kernel", Seccomp, false, || {
        let attributes = [0u32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        call(libc::SYS_bpf, [0, attributes.as_ptr() as u64, 72, 0, 0])
    }),
    attack("perf", "measure other processes", Seccomp, false, || {
        let mut attributes = [0u32; 32];
        (attributes[0], attributes[1]) = (1, 128); // a software event
        call(libc::SYS_perf_event_open, [attributes.as_ptr() as u64, parent(), u64::MAX, u64::MAX, 0])
    }),
    attack("userfaultfd", "stop the kernel at its pages", Seccomp, false, || {
        call(libc::SYS_userfaultfd, [0, 0, 0, 0, 0])
    }),
    attack("mount", "mount a file system", Twice, false, || {
        // A kind that there is not: where mounting is allowed, nothing is mounted all the same.
        let (kind, target) = (c"headframe".as_ptr() as u64, c"/".as_ptr() as u64);
        permitted(call(libc::SYS_mount, [kind, target, kind, 0, 0]))
    }),
    attack("namespace", "leave its namespaces", Seccomp, false, || {
        call(libc::SYS_unshare, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0])
    }),
    attack("setns", "enter its parent's namespaces", Seccomp, false, || {
        call(libc::SYS_setns, [0, libc::CLONE_NEWNET as u64, 0, 0, 0])
    }),
    attack("chroot", "change its root", Twice, false, || call(libc::SYS_chroot, [c"/".as_ptr() as u64, 0, 0, 0, 0])),
    attack("module", "load a module into the kernel", Twice, false, || {
        permitted(call(libc::SYS_init_module, [0, 0, c"".as_ptr() as u64, 0, 0]))
    }),
    attack("clock", "set the clock", Seccomp, false, || {
        let time = libc::timespec { tv_sec: -1, tv_nsec: -1 };
        let arguments = [libc::CLOCK_REALTIME as u64, (&raw const time) as u64, 0, 0, 0];
        permitted(call(libc::SYS_clock_settime, arguments))
    }),
    attack("personality", "change how it is executed", Seccomp, true, || {
        call(libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0])
    }),
    attack("identity", "become somebody else", Seccomp, true, || {
        // SAFETY: reads a number.
        call(libc::SYS_setresuid, [u64::from(unsafe { libc::getuid() }), u64::MAX, u64::MAX, 0, 0])
    }),
    attack("capabilities", "take capabilities back", Twice, false, || {
        let header = [0x2008_0522u32, 0];
        let sets = [1u32 << 21; 6]; // CAP_SYS_ADMIN in all three
        call(libc::SYS_capset, [header.as_ptr() as u64, sets.as_ptr() as u64, 0, 0, 0])
    }),
    // Its own chains.
    attack("dumpable", "open itself to debuggers", Seccomp, true, || {
        call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 1, 0, 0, 0])
    }),
    attack("orphan", "outlive its parent", Seccomp, true, || {
        call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as u64, 0, 0, 0, 0])
    }),
    attack("privileges", "gain privileges by running programs", Seccomp, false, || {
        call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as u64, 0, 0, 0, 0])
    }),
    attack("filter", "change its filter", Seccomp, false, || {
        call(libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_STRICT.into(), 0, 0, 0, 0])
    }),
    attack("limits", "change its own limits", Seccomp, true, || {
        let limit = libc::rlimit { rlim_cur: 8, rlim_max: 8 };
        call(libc::SYS_setrlimit, [u64::from(libc::RLIMIT_NOFILE), (&raw const limit) as u64, 0, 0, 0])
    }),
    attack("priority", "get ahead of others", Seccomp, false, || {
        call(libc::SYS_setpriority, [u64::from(libc::PRIO_PROCESS), 0, -20i64 as u64, 0, 0])
    }),
    attack("others", "slow another process down", Seccomp, true, || {
        // Its own by number, so that it does no harm where nothing stops it.
        call(libc::SYS_setpriority, [u64::from(libc::PRIO_PROCESS), u64::from(std::process::id()), 19, 0, 0])
    }),
    attack("code", "map memory to write and execute", Seccomp, true, || {
        let protection = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as u64;
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        call(libc::SYS_mmap, [0, 4096, protection, flags, u64::MAX])
    }),
    attack("protect", "make memory executable", Seccomp, true, || {
        let page = Page([0; 4096]);
        let result = call(libc::SYS_mprotect, [(&raw const page) as u64, 4096, libc::PROT_READ as u64 | 4, 0, 0]);
        if result.is_ok() {
            // What is on the page is written to again when this returns.
            call(libc::SYS_mprotect, [(&raw const page) as u64, 4096, 3, 0, 0])?;
        }
        result
    }),
    attack("file code", "map a file to execute", Seccomp, true, || {
        let file = memfd_create("attack", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, 4096).or_else(|_| rustix::io::write(&file, &[0; 4096]).map(drop))?;
        let protection = (libc::PROT_READ | libc::PROT_EXEC) as u64;
        call(libc::SYS_mmap, [0, 4096, protection, libc::MAP_PRIVATE as u64, file.as_raw_fd() as u64])
    }),
    // Everything there is.
    attack("memory", "take all memory", Twice, true, || {
        let mut hoard: Vec<Vec<u8>> = Vec::new();
        for _ in 0..192 {
            let mut block: Vec<u8> = Vec::new();
            block.try_reserve_exact(16 << 20).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
            hoard.push(block);
        }
        Ok(())
    }),
    attack("descriptors", "take all descriptors", Twice, true, || {
        let mut hoard = Vec::new();
        for _ in 0..64 {
            hoard.push(memfd_create("attack", MemfdFlags::empty())?);
        }
        Ok(())
    }),
    attack("disk", "write a huge memory file", Twice, true, || {
        let mut file = File::from(memfd_create("attack", MemfdFlags::empty())?);
        for _ in 0..80 {
            file.write_all(&[0; 1 << 20])?;
        }
        Ok(())
    }),
    // These two the parent has to notice: see `Vitals`. Outside nobody stops them, and they end by themselves.
    attack("processor", "compute for ever", Twice, true, || {
        // A taken-over worker would not wait for the signal that asks it to stop.
        let ignore = libc::SIG_IGN;
        // SAFETY: no code of ours runs in a handler.
        unsafe { libc::signal(libc::SIGXCPU, ignore) };
        let mut time = Duration::ZERO;
        let mut number = 1u64;
        while time < SPIN {
            (0..1_000_000).for_each(|n| number = std::hint::black_box(number.wrapping_mul(3) + n));
            let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: writes the one structure it is given.
            unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
            time = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
        }
        Ok(())
    }),
    attack("threads", "make threads without end", Twice, true, || {
        let wait = || thread::sleep(Duration::from_secs(1));
        let mut made = Vec::new();
        for _ in 0..600 {
            made.push(thread::Builder::new().stack_size(64 << 10).spawn(wait)?);
        }
        made.into_iter().for_each(|thread| drop(thread.join()));
        Ok(())
    }),
];

/// How long an attacker computes that nobody stops.
const SPIN: Duration = Duration::from_secs(2);

/// Memory whose protection can be changed without harm to what lies beside it.
#[repr(align(4096))]
struct Page(#[allow(dead_code, reason = "only where it lies matters")] [u8; 4096]);

const fn attack(
    name: &'static str,
    what: &'static str,
    held: Held,
    works_outside: bool,
    run: fn() -> io::Result<()>,
) -> Attack {
    Attack { name, what, held, works_outside, run }
}

static PARENT: LazyLock<u64> = LazyLock::new(|| u64::from(std::os::unix::process::parent_id()));

/// What an attacker knows from before: to ask for its parent inside is a call that ends it, before it has tried anything.
pub fn prepare() {
    LazyLock::force(&PARENT);
}

fn parent() -> u64 {
    *PARENT
}

/// A call by its number. The kernel reads all 64 bits of an argument: the sixth, which is zero, needs them too.
fn call(number: i64, [a, b, c, d, e]: [u64; 5]) -> io::Result<()> {
    // SAFETY: every attack passes numbers, or addresses of values that live until it returns; what the kernel may write
    // to is mutable, and no call changes memory that this process still relies on.
    match unsafe { libc::syscall(number, a, b, c, d, e, 0u64) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// An error that comes after the question of permission, as for a bad address, means that it was allowed.
fn permitted(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) => Ok(()),
        other => other,
    }
}

/// The first success, or the last error.
fn any(attempts: impl Iterator<Item = io::Result<()>>) -> io::Result<()> {
    let mut outcome = Err(io::Error::from(io::ErrorKind::Unsupported));
    for attempt in attempts {
        outcome = attempt;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}
