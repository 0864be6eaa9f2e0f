//! What a taken-over worker would try. `headframe-codec selftest` runs each inside the sandbox and expects it to fail.
#![allow(unsafe_code, reason = "attacks are system calls that no safe interface offers")]

use std::fs::File;
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;

/// One attack.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// How to name it.
    pub name: &'static str,
    /// What it tries.
    pub what: &'static str,
    /// Whether it must already fail without seccomp.
    pub held_by_landlock: bool,
    /// Tries it; an error means it was denied.
    pub run: fn() -> io::Result<()>,
}

/// All attacks.
pub const ATTACKS: &[Attack] = &[
    attack("open", "read a file", true, || File::open("/etc/passwd").map(drop)),
    attack("create", "write a file", true, || File::create("/tmp/headframe-attack").map(drop)),
    attack("list", "list a folder", true, || std::fs::read_dir("/").map(drop)),
    attack("tcp", "connect over TCP", true, || TcpStream::connect(("127.0.0.1", 9)).map(drop)),
    attack("udp", "make a UDP socket", false, || UdpSocket::bind(("127.0.0.1", 0)).map(drop)),
    attack("exec", "run a program", false, || Command::new("/bin/true").status().map(drop)),
    attack("fork", "make a process", false, || {
        // SAFETY: the child, if there ever is one, ends at once without running anything else.
        match call(unsafe { libc::fork() } as i64)? {
            // SAFETY: as above.
            0 => unsafe { libc::_exit(0) },
            _ => Ok(()),
        }
    }),
    attack("ptrace", "trace its parent", false, || {
        let parent = std::os::unix::process::parent_id();
        // SAFETY: touches no memory of this process.
        call(unsafe { libc::ptrace(libc::PTRACE_ATTACH, parent, 0, 0) }).map(drop)
    }),
    attack("kill", "signal its parent", true, || {
        let parent = std::os::unix::process::parent_id() as i32;
        // SAFETY: signal 0 only asks whether signals could be sent.
        call(i64::from(unsafe { libc::kill(parent, 0) })).map(drop)
    }),
    attack("code", "make memory executable", false, || {
        let prot = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping that nothing refers to.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }),
    attack("limits", "raise its own limits", false, || {
        let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
        // SAFETY: reads one local structure.
        call(i64::from(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })).map(drop)
    }),
    attack("namespace", "leave its namespaces", false, || {
        // SAFETY: changes only kernel state of this process.
        call(i64::from(unsafe { libc::unshare(libc::CLONE_NEWUSER) })).map(drop)
    }),
    attack("memory", "take all memory", true, || {
        let mut hoard: Vec<Vec<u8>> = Vec::new();
        for _ in 0..4096 {
            let mut block: Vec<u8> = Vec::new();
            block.try_reserve_exact(16 << 20).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
            hoard.push(block);
        }
        Ok(())
    }),
    attack("descriptors", "take all descriptors", true, || {
        let mut hoard = Vec::new();
        for _ in 0..4096 {
            hoard.push(rustix::fs::memfd_create("attack", rustix::fs::MemfdFlags::empty())?);
        }
        Ok(())
    }),
    attack("disk", "write a huge memory file", true, || {
        let mut file = File::from(rustix::fs::memfd_create("attack", rustix::fs::MemfdFlags::empty())?);
        for _ in 0..1024 {
            file.write_all(&[0; 1 << 20])?;
        }
        Ok(())
    }),
];

const fn attack(name: &'static str, what: &'static str, held_by_landlock: bool, run: fn() -> io::Result<()>) -> Attack {
    Attack { name, what, held_by_landlock, run }
}

fn call(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
