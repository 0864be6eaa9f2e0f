//! Proof that the sandbox holds on this machine: every attack and every lie is tried, and each has to be stopped.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use headframe_codec::worker::sandbox::attack::{ATTACKS, Attack, Held, prepare};
use headframe_codec::worker::sandbox::card::Modules;
use headframe_codec::worker::sandbox::lie::{LIES, Lie};
use headframe_codec::worker::sandbox::{self, Profile};
use headframe_codec::worker::vitals::Vitals;
use headframe_codec::worker::{Death, Pool, PoolConfig};
use headframe_codec::{Ladder, Limits, SegmentIn};
use serde::Serialize;

/// Exit code of an attack that was denied with an error.
const DENIED: u8 = 13;
/// Exit code of an attack that worked.
const WORKED: u8 = 66;
/// Exit code of an attack that failed for a reason which proves nothing.
const ELSE: u8 = 67;
/// Exit code of an attack for which this kernel has one layer only.
const ONE_LAYER: u8 = 68;
/// No attack takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Processor seconds of an attacker, and a second more: less than the one that wants all of it takes.
const CPU_SECONDS: u64 = 0;

/// What a worker with a graphics card may do: it uses the card, and has more descriptors.
const WITH_CARD: [&str; 2] = ["device", "descriptors"];

/// Errors that say "not allowed", or "no more".
const DENIALS: [i32; 9] = [
    libc::EPERM,
    libc::EACCES,
    libc::ENOSYS,
    libc::ENOMEM,
    libc::EMFILE,
    libc::EAGAIN,
    libc::ETOOMANYREFS,
    libc::EFBIG,
    libc::EAFNOSUPPORT,
];

/// What holds an attack on this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Layers {
    /// Everything.
    All,
    /// Everything that a worker with a graphics card of NVIDIA's has.
    Card,
    /// Everything that a worker with another graphics card has.
    Vulkan,
    /// Everything but seccomp.
    WithoutSeccomp,
    /// What a worker checks before it works.
    Start,
    /// The pool.
    Pool,
}

impl Layers {
    fn words(self) -> &'static str {
        match self {
            Self::All => "all layers",
            Self::Card => "with a card",
            Self::Vulkan => "with Vulkan",
            Self::WithoutSeccomp => "without seccomp",
            Self::Start => "start",
            Self::Pool => "pool",
        }
    }
}

/// One attempt.
#[derive(Debug, Serialize)]
struct Attempt {
    name: &'static str,
    what: &'static str,
    layers: Layers,
    blocked: bool,
    /// By which signal, error or judge.
    by: String,
    /// Whether it works where nothing holds it; `null` where that is not tried.
    works_outside: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Report {
    attempts: Vec<Attempt>,
    blocked: usize,
    /// Attacks that do not even work outside, though they should: their being blocked proves nothing.
    hollow: usize,
    start_ms: u64,
    rss_bytes: u64,
}

/// The child's side: enter the sandbox, try, say how it went.
pub(crate) fn attack(name: &str, profile: &Profile, unconfined: bool, card: Option<Modules>) -> ExitCode {
    let Some(attack) = ATTACKS.iter().find(|attack| attack.name == name) else {
        eprintln!("no such attack: {name}");
        return ExitCode::FAILURE;
    };
    if unconfined && !attack.works_outside {
        eprintln!("{name} is not tried outside of the sandbox");
        return ExitCode::FAILURE;
    }
    prepare();
    if !unconfined {
        let entered = match card {
            Some(modules) => sandbox::card::enter(profile, modules, None, || Ok(())).map(|(report, ())| report),
            None => sandbox::enter(profile),
        };
        match entered {
            Ok(report) if profile.without_seccomp && attack.held == Held::TwiceOnNew && !report.landlock_full => {
                return ExitCode::from(ONE_LAYER);
            }
            Ok(_) => {}
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    match (attack.run)() {
        Ok(()) => ExitCode::from(WORKED),
        Err(error) => {
            eprintln!("{error}");
            let denied = error
                .raw_os_error()
                .map_or(error.kind() == std::io::ErrorKind::OutOfMemory, |code| DENIALS.contains(&code));
            ExitCode::from(if denied { DENIED } else { ELSE })
        }
    }
}

/// A child of this program that tries something.
struct Attacker {
    child: Child,
    _socket: Option<UnixStream>,
}

impl Attacker {
    fn start(args: &[&str], stdin: OwnedFd, socket: Option<UnixStream>) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(args).stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped()).env_clear();
        let child = command.spawn().map_err(|error| error.to_string())?;
        Ok(Self { child, _socket: socket })
    }

    /// Watches it as a pool does. Gives how it ended, and for what it was killed.
    fn end(mut self, confined: bool) -> Result<(Output, Option<Death>), String> {
        let vitals = Vitals::of(self.child.id());
        vitals.allow(CPU_SECONDS);
        let deadline = Instant::now() + PATIENCE;
        let mut killed = None;
        while self.child.try_wait().map_err(|error| error.to_string())?.is_none() {
            let death = if confined { vitals.broken() } else { None };
            let late = (Instant::now() > deadline).then_some(Death::Stuck);
            if let Some(death) = death.or(late).filter(|_| killed.is_none()) {
                killed = Some(death);
                // Fails only if it has ended by itself.
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(5));
        }
        let output = self.child.wait_with_output().map_err(|error| error.to_string())?;
        Ok((output, killed))
    }
}

/// How an attack ended, and whether it was stopped.
fn verdict(output: &Output, killed: Option<Death>) -> (bool, String) {
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let signal = output.status.signal();
    match (killed, signal, output.status.code().and_then(|code| u8::try_from(code).ok())) {
        (Some(Death::Stuck), ..) => (false, "it hung".to_owned()),
        (Some(death), Some(libc::SIGKILL), _) => (true, format!("SIGKILL by the parent ({})", death.name())),
        (_, Some(libc::SIGSYS), _) => (true, "SIGSYS by seccomp".to_owned()),
        (_, Some(libc::SIGXFSZ), _) => (true, "SIGXFSZ by the file size limit".to_owned()),
        (_, Some(signal), _) => (false, format!("ended by signal {signal}, which proves nothing")),
        (_, None, Some(DENIED)) => (true, words),
        (_, None, Some(WORKED)) => (false, "WORKED".to_owned()),
        (_, None, Some(ELSE)) => (false, format!("failed for a reason that proves nothing: {words}")),
        _ => (false, format!("the test itself failed: {words}")),
    }
}

/// One attack with these layers; `None` where this kernel lacks the second one.
fn try_attack(attack: &Attack, layers: Layers) -> Result<Option<Attempt>, String> {
    let parent = std::process::id().to_string();
    let (ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
    let mut args = vec!["attack", attack.name, "--parent", &parent];
    match layers {
        Layers::WithoutSeccomp => args.push("--without-seccomp"),
        Layers::Card => args.push("--card"),
        Layers::Vulkan => args.push("--vulkan"),
        _ => {}
    }
    let (output, killed) = Attacker::start(&args, theirs.into(), Some(ours))?.end(true)?;
    if output.status.code() == Some(i32::from(ONE_LAYER)) {
        return Ok(None);
    }
    let (blocked, by) = verdict(&output, killed);
    let Attack { name, what, .. } = *attack;
    Ok(Some(Attempt { name, what, layers, blocked, by, works_outside: None }))
}

/// Whether the attack works where nothing holds it.
fn works_outside(attack: &Attack) -> Result<bool, String> {
    let (ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
    let args = ["attack", attack.name, "--unconfined"];
    let (output, _) = Attacker::start(&args, theirs.into(), Some(ours))?.end(false)?;
    Ok(output.status.code() == Some(i32::from(WORKED)))
}

/// Tells a lie to a pool, as often as the pool lets it.
fn try_lie(lie: &Lie) -> Result<Attempt, String> {
    let (blocked, by) = match told(lie.name, lie.death == Death::Stuck)? {
        (Ok(()), _) => (false, "BELIEVED".to_owned()),
        (Err(_), deaths) if deaths == [lie.death] => (true, format!("the pool ended it ({})", lie.death.name())),
        (Err(error), deaths) => (false, format!("{error}; deaths: {deaths:?}")),
    };
    let Lie { name, what, .. } = *lie;
    Ok(Attempt { name, what, layers: Layers::Pool, blocked, by, works_outside: None })
}

/// What became of a segment whose worker tells the lie of that name, and how its workers died.
fn told(name: &str, hasty: bool) -> Result<(Result<(), String>, Vec<Death>), String> {
    let json = r#"[{"name":"a","width":96,"height":54,"bitrate_bps":100000}]"#;
    let ladder: Ladder = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let wall = if hasty { Duration::from_millis(200) } else { Duration::from_secs(20) };
    let limits = Limits { wall, ..Limits::default() };
    let config = PoolConfig { program, role: vec!["lie".to_owned(), name.to_owned()], limits, ..PoolConfig::default() };
    let pool = Pool::start(config).map_err(|error| error.to_string())?;
    let segment = SegmentIn { stream: "selftest", number: 0, bytes: name.as_bytes() };
    let outcome = pool.transcode(&ladder, segment, PATIENCE).map(drop).map_err(|error| error.to_string());
    let deaths = pool.stats().restarts.into_keys().collect();
    Ok((outcome, deaths))
}

/// Tries everything.
fn examine(each: &mut dyn FnMut(&Attempt)) -> Result<Report, String> {
    let mut report = Report { attempts: Vec::new(), blocked: 0, hollow: 0, start_ms: 0, rss_bytes: 0 };
    let mut add = |attempt: Attempt| {
        each(&attempt);
        report.attempts.push(attempt);
    };
    for attack in ATTACKS {
        let outside = if attack.works_outside { Some(works_outside(attack)?) } else { None };
        for layers in [Layers::All, Layers::Card, Layers::Vulkan, Layers::WithoutSeccomp] {
            let tried = match layers {
                Layers::Card | Layers::Vulkan => !WITH_CARD.contains(&attack.name),
                Layers::WithoutSeccomp => attack.held != Held::Seccomp,
                _ => true,
            };
            if tried {
                let attempt = try_attack(attack, layers)?;
                attempt.into_iter().for_each(|attempt| add(Attempt { works_outside: outside, ..attempt }));
            }
        }
    }
    for (name, what, (blocked, by)) in [
        ("inherit", "start with a TCP socket", refuses_inet().map_err(|error| error.to_string())?),
        ("orphan", "start without its parent", refuses_foreign_parent()?),
    ] {
        add(Attempt { name, what, layers: Layers::Start, blocked, by, works_outside: None });
    }
    let (honest, _) = told("truth", false)?;
    let believed = honest.is_ok();
    for lie in LIES {
        add(Attempt { works_outside: Some(believed), ..try_lie(lie)? });
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let pool = Pool::start(PoolConfig { program, ..PoolConfig::default() }).map_err(|error| error.to_string())?;
    let stats = pool.stats();
    report.start_ms = u64::try_from(stats.last_start.as_millis()).unwrap_or(u64::MAX);
    report.rss_bytes = stats.rss_bytes;
    pool.shutdown();
    report.blocked = report.attempts.iter().filter(|attempt| attempt.blocked).count();
    report.hollow = report.attempts.iter().filter(|attempt| attempt.works_outside == Some(false)).count();
    Ok(report)
}

pub(crate) fn run(json: bool) -> Result<(), String> {
    let report = examine(&mut |attempt| {
        if !json {
            let Attempt { name, what, layers, blocked, by, works_outside } = attempt;
            let outside = match works_outside {
                Some(true) => "works outside",
                Some(false) => "FAILS OUTSIDE",
                None => "",
            };
            let mark = if *blocked { "ok  " } else { "FAIL" };
            println!("{mark}  {name:<13} {what:<42} {:<16} {outside:<14} {by}", layers.words());
        }
    })?;
    let (blocked, all) = (report.blocked, report.attempts.len());
    if json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
    } else {
        println!("{blocked} of {all} blocked");
        println!("a worker starts in {} ms and takes {} MiB", report.start_ms, report.rss_bytes >> 20);
    }
    match (all - blocked, report.hollow) {
        (0, 0) => Ok(()),
        (0, hollow) => {
            Err(format!("{hollow} attacks do not even work outside of the sandbox: they prove nothing here"))
        }
        (bad, _) => Err(format!("{bad} of {all} were not blocked; do not run strangers' segments on this machine")),
    }
}

fn refuses_inet() -> std::io::Result<(bool, String)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let attacker = Attacker::start(&["worker"], stream.into(), None).and_then(|attacker| attacker.end(true));
    Ok(refused(&attacker.map_err(std::io::Error::other)?.0))
}

fn refuses_foreign_parent() -> Result<(bool, String), String> {
    let (ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
    Ok(refused(&Attacker::start(&["worker", "--parent", "1"], theirs.into(), Some(ours))?.end(true)?.0))
}

fn refused(output: &Output) -> (bool, String) {
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    (output.status.code() == Some(1) && words.contains("refusing to work"), words)
}
