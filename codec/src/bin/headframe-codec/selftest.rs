//! Proof that the sandbox holds on this machine.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Output, Stdio};

use headframe_codec::worker::sandbox::attack::ATTACKS;
use headframe_codec::worker::sandbox::{self, Profile};
use headframe_codec::worker::{Pool, PoolConfig};

/// Exit code of an attack that was denied with an error.
const DENIED: u8 = 13;
/// Exit code of an attack that worked.
const WORKED: u8 = 66;

/// The child's side: enter the sandbox, try, say how it went.
pub(crate) fn attack(name: &str, profile: &Profile) -> ExitCode {
    let Some(attack) = ATTACKS.iter().find(|attack| attack.name == name) else {
        eprintln!("no such attack: {name}");
        return ExitCode::FAILURE;
    };
    if let Err(error) = sandbox::enter(profile) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    match (attack.run)() {
        Ok(()) => ExitCode::from(WORKED),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(DENIED)
        }
    }
}

fn run_self(args: &[&str], stdin: OwnedFd) -> Result<Output, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(args).stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped()).env_clear();
    command.spawn().and_then(std::process::Child::wait_with_output).map_err(|error| error.to_string())
}

/// How an attack ended, and whether it was stopped.
fn verdict(output: &Output) -> (bool, String) {
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match (output.status.signal(), output.status.code()) {
        (Some(libc::SIGSYS), _) => (true, "ended by seccomp".to_owned()),
        (Some(libc::SIGXFSZ), _) => (true, "ended by the file size limit".to_owned()),
        (Some(signal), _) => (false, format!("ended by signal {signal}, which proves nothing")),
        (None, Some(code)) if code == i32::from(DENIED) => (true, format!("denied: {words}")),
        (None, Some(code)) if code == i32::from(WORKED) => (false, "WORKED".to_owned()),
        _ => (false, format!("the test itself failed: {words}")),
    }
}

pub(crate) fn run() -> Result<(), String> {
    let mut bad = 0;
    let mut row = |name: &str, what: &str, layers: &str, held: bool, how: &str| {
        println!("{}  {name:<12} {what:<26} {layers:<16} {how}", if held { "ok  " } else { "FAIL" });
        bad += u32::from(!held);
    };
    let parent = std::process::id().to_string();
    for attack in ATTACKS {
        for layers in ["all layers", "without seccomp"] {
            if layers != "all layers" && !attack.held_by_landlock {
                continue;
            }
            let (_ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
            let mut args = vec!["attack", attack.name, "--parent", &parent];
            if layers != "all layers" {
                args.push("--without-seccomp");
            }
            let (held, how) = verdict(&run_self(&args, theirs.into())?);
            row(attack.name, attack.what, layers, held, &how);
        }
    }
    let (held, how) = refuses_inet().map_err(|error| error.to_string())?;
    row("inherit", "start with a TCP socket", "start", held, &how);
    let (held, how) = refuses_foreign_parent()?;
    row("orphan", "start without its parent", "start", held, &how);
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let pool = Pool::start(PoolConfig { program, ..PoolConfig::default() }).map_err(|error| error.to_string())?;
    let stats = pool.stats();
    let mib = stats.rss_bytes >> 20;
    row("start", "start a worker", "all layers", true, &format!("ready in {:?}, {mib} MiB resident", stats.last_start));
    pool.shutdown();
    match bad {
        0 => Ok(()),
        bad => Err(format!("{bad} of these checks failed; do not run strangers' segments on this machine")),
    }
}

fn refuses_inet() -> std::io::Result<(bool, String)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    Ok(refused(&run_self(&["worker"], stream.into()).map_err(std::io::Error::other)?))
}

fn refuses_foreign_parent() -> Result<(bool, String), String> {
    let (_ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
    Ok(refused(&run_self(&["worker", "--parent", "1"], theirs.into())?))
}

fn refused(output: &Output) -> (bool, String) {
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    (output.status.code() == Some(1) && words.contains("refusing to work"), words)
}
