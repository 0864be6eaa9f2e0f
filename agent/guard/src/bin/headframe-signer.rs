//! The signer: holds one key and its guard database, and signs what the rules allow. See `headframe-signer --help`.

#![forbid(unsafe_code)]

use anyhow::Context;
use clap::{Parser, ValueEnum};
#[cfg(feature = "ledger")]
use headframe_guard::keys::{Ledger, LedgerFailed};
use headframe_guard::keys::{Remote, RemoteError};
use headframe_guard::rules::NotSafe;
use headframe_guard::server::{self, Config, Guard, Stop};
use headframe_guard::{EXIT_CONFIG, EXIT_UNSAFE, Key, Password, Signing};
use headframe_market::{Address, Role, Wei};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use sd_notify::NotifyState;
use std::io::IsTerminal;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

/// Holds one key and signs only what cannot be slashed.
///
/// Every receipt, order and transaction is checked against all that this key has ever signed, recorded in the database
/// with the disk synchronised, and only then signed. The agent asks over the socket; nobody can have a bare hash signed.
/// The signer has no network connection and no option that weakens a check. Where another program keeps the key
/// (--remote-signer), that one is asked for the signature last, after the same checks and the same record.
///
/// The database is as precious as the key. Keep both on one disk that survives, never run two signers with one key,
/// never go back to an older copy, and never delete it while the key has work on chain: the signer would refuse to run
/// with exit code 79. The 64 MiB beside it (DATABASE.ballast) are given up when the disk is full, so that proofs of claims
/// are still recorded; new claims are refused until they can be taken again.
///
/// Exit codes: 0 ended as asked, 1 failure (also a remote signer that does not answer yet), 2 usage, 78 configuration
/// (keystore, password, remote key, socket), 79 unsafe to run (database missing, old, damaged, open elsewhere, or of
/// another chain, contract or key). After 79 a person must look: let nothing restart it by itself.
#[derive(Debug, Parser)]
#[command(name = "headframe-signer", version, about, long_about, max_term_width = 100)]
struct Options {
    /// Keystore of the key (Web3 Secret Storage or EIP-2335); made by `headframe keys new` or any Ethereum wallet
    #[arg(long, env = "HEADFRAME_SIGNER_KEYSTORE", value_name = "FILE", required_unless_present = "elsewhere")]
    keystore: Option<PathBuf>,
    /// File whose first line is the keystore's password, with mode 0600
    #[arg(long, env = "HEADFRAME_SIGNER_PASSWORD_FILE", value_name = "FILE", requires = "keystore")]
    password_file: Option<PathBuf>,
    /// Name of the systemd credential that holds the password, in place of --password-file (LoadCredential=NAME:...)
    #[arg(long, env = "HEADFRAME_SIGNER_PASSWORD_CREDENTIAL", value_name = "NAME", conflicts_with = "password_file")]
    #[arg(requires = "keystore")]
    password_credential: Option<String>,
    /// In place of a keystore: Web3Signer (or what speaks its eth1 API) on this machine, as http://127.0.0.1:PORT or
    /// unix:/PATH
    #[arg(long, value_name = "URL", group = "elsewhere", conflicts_with = "keystore", requires = "address")]
    remote_signer: Option<String>,
    /// In place of a keystore: the Ledger that is plugged in, with the account of this number as Ledger Live counts. For
    /// transactions alone, each confirmed on the device
    #[cfg(feature = "ledger")]
    #[arg(long, value_name = "NUMBER", group = "elsewhere", conflicts_with = "keystore", requires = "address")]
    ledger: Option<usize>,
    /// The account whose key is asked for elsewhere
    #[arg(long, value_name = "ADDRESS", requires = "elsewhere")]
    address: Option<Address>,
    /// Guard database; made on first contact for a key that has no work on chain yet
    #[arg(long, env = "HEADFRAME_SIGNER_DATABASE", value_name = "FILE")]
    database: PathBuf,
    /// Socket to listen on (AF_UNIX, mode 0600); at most about 100 bytes long
    #[arg(long, env = "HEADFRAME_SIGNER_SOCKET", value_name = "PATH")]
    socket: PathBuf,
    /// What the key does: an operator transcodes and claims, a client orders and pays. Fixed for the database's life
    #[arg(long, env = "HEADFRAME_SIGNER_ROLE", value_name = "ROLE")]
    role: RoleName,
    /// The most that one transaction may cost for gas, in wei: gas limit times fee per gas [default: 0.1 ETH]
    #[arg(long, env = "HEADFRAME_SIGNER_MAX_FEE_WEI", value_name = "WEI", default_value_t = 100_000_000_000_000_000)]
    #[arg(hide_default_value = true)]
    max_fee_wei: u128,
    /// Who alone may be proposed as the owner of the operator's stake and fees, such as a cold wallet (`headframe stake owner`).
    /// Without it, nobody
    #[arg(long, env = "HEADFRAME_SIGNER_OWNER", value_name = "ADDRESS")]
    owner: Option<Address>,
    /// Log as JSON, one object a line. RUST_LOG chooses what is logged
    #[arg(long, env = "HEADFRAME_SIGNER_LOG_JSON")]
    log_json: bool,
    /// End when standard input ends, so that the signer does not outlive the process that started it
    #[arg(long)]
    end_with_stdin: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Operator,
    Client,
}

/// What ends the process, with its exit code.
enum Failure {
    Configuration(anyhow::Error),
    Unsafe(String),
    Other(anyhow::Error),
}

fn main() -> ExitCode {
    let options = Options::parse();
    let _log = start_log(options.log_json);
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Configuration(error)) => {
            tracing::error!("configuration: {error:#}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Unsafe(reason)) => {
            tracing::error!(exit_code = EXIT_UNSAFE, "unsafe to run, nothing more is signed: {reason}");
            ExitCode::from(EXIT_UNSAFE)
        }
        Err(Failure::Other(error)) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    harden().map_err(Failure::Configuration)?;
    let (stop, stopped) = mpsc::channel();
    watch_signals(stop.clone()).map_err(Failure::Other)?;
    let key = key(options)?;
    let role = match options.role {
        RoleName::Operator => Role::Operator,
        RoleName::Client => Role::Client,
    };
    let address = key.address();
    let (database, max_fee) = (options.database.clone(), Wei(options.max_fee_wei));
    let config = Config { key, role, database, max_fee, owner: options.owner, ballast: true };
    let guard = Guard::open(config).map_err(|why| match why {
        NotSafe::Unsafe(reason) => Failure::Unsafe(reason),
        other => Failure::Other(other.into()),
    })?;
    let guard = Arc::new(guard);
    let listener = listen(&options.socket).map_err(Failure::Configuration)?;
    tracing::info!(%address, ?role, socket = %options.socket.display(), database = %options.database.display(), "signer ready");
    if options.end_with_stdin {
        let stop = stop.clone();
        spawn("stdin", move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            let _ = stop.send(Stop::Terminate);
        })?;
    }
    let served = Arc::clone(&guard);
    spawn("accept", move || server::serve(&listener, &served, &stop))?;
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let reason = wait(&stopped);
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    let _ = std::fs::remove_file(&options.socket);
    guard.close();
    match reason {
        Stop::Terminate => {
            tracing::info!("signer ends as asked");
            Ok(())
        }
        Stop::Unsafe(reason) => Err(Failure::Unsafe(reason)),
    }
}

/// Until something ends the process; meanwhile tells systemd's watchdog, if any, that the signer lives.
fn wait(stopped: &mpsc::Receiver<Stop>) -> Stop {
    let interval = sd_notify::watchdog_enabled().map_or(Duration::MAX, |limit| limit / 2);
    loop {
        match stopped.recv_timeout(interval) {
            Ok(reason) => return reason,
            Err(mpsc::RecvTimeoutError::Timeout) => drop(sd_notify::notify(&[NotifyState::Watchdog])),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Stop::Terminate,
        }
    }
}

/// No core dump can carry the key away, no debugger of the same user can read it, and files are private from birth.
fn harden() -> anyhow::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).context("cannot forbid core dumps")?;
    anyhow::ensure!(rustix::process::getrlimit(Resource::Core) == none, "core dumps are still allowed (RLIMIT_CORE)");
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).context("cannot forbid debuggers")?;
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    Ok(())
}

fn key(options: &Options) -> Result<Box<dyn Signing>, Failure> {
    if let (Some(url), Some(address)) = (&options.remote_signer, options.address) {
        return match Remote::find(url, address) {
            Ok(remote) => Ok(Box::new(remote)),
            // It may come up after us.
            Err(error @ RemoteError::Unavailable { .. }) => Err(Failure::Other(error.into())),
            Err(error) => Err(Failure::Configuration(error.into())),
        };
    }
    #[cfg(feature = "ledger")]
    if let (Some(account), Some(address)) = (options.ledger, options.address) {
        return match Ledger::find(account, address) {
            Ok(ledger) => Ok(Box::new(ledger)),
            // It may be plugged in later.
            Err(error @ LedgerFailed::Unavailable(_)) => Err(Failure::Other(error.into())),
            Err(error) => Err(Failure::Configuration(error.into())),
        };
    }
    unlock(options).map(|key| Box::new(key) as Box<dyn Signing>).map_err(Failure::Configuration)
}

fn unlock(options: &Options) -> anyhow::Result<Key> {
    let password = match (&options.password_file, &options.password_credential) {
        (Some(path), _) => Password::File(path.clone()),
        (None, Some(name)) => Password::Credential(name.clone()),
        (None, None) => anyhow::bail!("the keystore needs --password-file or --password-credential"),
    };
    let keystore = options.keystore.as_ref().context("no --keystore")?;
    Ok(Key::unlock(keystore, &password)?)
}

fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    let shown = path.display();
    match std::fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => anyhow::bail!("{shown} exists and is no socket"),
        Ok(_) => {
            anyhow::ensure!(UnixStream::connect(path).is_err(), "another signer listens at {shown}");
            std::fs::remove_file(path).with_context(|| format!("cannot remove the stale socket {shown}"))?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen at {shown}"))?;
    // Private from birth by the umask; this takes the execute bit off.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(|| format!("chmod {shown}"))?;
    Ok(listener)
}

fn watch_signals(stop: mpsc::Sender<Stop>) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).context("cannot watch signals")?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            let _ = stop.send(Stop::Terminate);
        }
    })?;
    Ok(())
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let started = std::thread::Builder::new().name(name.into()).spawn(body);
    started.map(drop).map_err(|error| Failure::Other(error.into()))
}

/// Whoever reads the log may stop reading: then lines are dropped, and no signature waits.
fn start_log(json: bool) -> WorkerGuard {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(4096).finish(std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    let log = log.with_ansi(std::io::stderr().is_terminal());
    if json {
        log.json().init();
    } else {
        log.init();
    }
    guard
}
