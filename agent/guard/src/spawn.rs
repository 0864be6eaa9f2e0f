//! Starting the signer as a child, for a machine where no systemd unit does.

use crate::client;
use crate::protocol::Identity;
use crate::rules::role_name;
use headframe_market::{Address, Role, Wei};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than any key derivation takes on a slow machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// After this a signer that was asked to end is killed, which loses nothing.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How to run a signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Its keystore.
    pub keystore: PathBuf,
    /// A file with the keystore's password.
    pub password_file: PathBuf,
    /// The guard database; its folder must exist.
    pub database: PathBuf,
    /// Where to listen. At most about 100 bytes long, as every socket's path.
    pub socket: PathBuf,
    /// What the key does.
    pub role: Role,
    /// The most one transaction may cost for gas; `None` for the signer's default.
    pub max_fee: Option<Wei>,
    /// Who alone may be proposed as the owner of stake and fees; `None`: nobody.
    pub owner: Option<Address>,
}

/// Why no signer runs.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program could not be started.
    #[error("{program} cannot be started: {source}; build it, or set HEADFRAME_SIGNER to its path")]
    Start {
        /// Which.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended at once; its own log says why. Code 78: configuration, 79: unsafe.
    #[error("{program} ended with {status} before it answered; its log says why")]
    Ended {
        /// Which.
        program: PathBuf,
        /// How.
        status: ExitStatus,
    },
    /// It runs and does not answer.
    #[error("{program} did not answer at {socket} within {} s", START_TIMEOUT.as_secs())]
    Silent {
        /// Which.
        program: PathBuf,
        /// Where.
        socket: PathBuf,
    },
}

impl SpawnError {
    /// The exit code that the caller should end with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Ended { status, .. } => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
            Self::Start { .. } | Self::Silent { .. } => 1,
        }
    }
}

/// The signer next to this executable, or the one that `HEADFRAME_SIGNER` names.
pub fn signer_program() -> PathBuf {
    if let Some(named) = std::env::var_os("HEADFRAME_SIGNER").filter(|path| !path.is_empty()) {
        return named.into();
    }
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().unwrap_or(Path::new(".")).join("headframe-signer")
}

/// A signer that ends with this value, and also when this process dies: it watches its standard input.
#[derive(Debug)]
pub struct Signer {
    child: Child,
    socket: PathBuf,
    identity: Identity,
}

impl Signer {
    /// Starts `program` and waits until it answers. Its log goes where this process's standard error goes.
    pub fn spawn(program: &Path, arguments: &Arguments) -> Result<Self, SpawnError> {
        let mut command = Command::new(program);
        command.arg("--keystore").arg(&arguments.keystore);
        command.arg("--password-file").arg(&arguments.password_file);
        command.arg("--database").arg(&arguments.database);
        command.arg("--socket").arg(&arguments.socket);
        command.args(["--role", role_name(arguments.role), "--end-with-stdin"]);
        if let Some(Wei(max_fee)) = arguments.max_fee {
            command.arg("--max-fee-wei").arg(max_fee.to_string());
        }
        if let Some(owner) = arguments.owner {
            command.arg("--owner").arg(owner.to_string());
        }
        // Neither the supervisor's readiness socket nor its watchdog are the child's.
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        // Ctrl-C at a terminal reaches the agent alone, which still needs signatures while it drains.
        command.process_group(0);
        let failed = |source| SpawnError::Start { program: program.into(), source };
        let mut child = command.spawn().map_err(failed)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Err(SpawnError::Ended { program: program.into(), status });
            }
            if let Ok(identity) = client::try_identify(&arguments.socket) {
                return Ok(Self { child, socket: arguments.socket.clone(), identity });
            }
            if begun.elapsed() > START_TIMEOUT {
                let _ = child.kill();
                let _ = child.wait();
                return Err(SpawnError::Silent { program: program.into(), socket: arguments.socket.clone() });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whose key it holds.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks it to end, waits, and kills it when it does not.
    pub fn stop(mut self) -> io::Result<ExitStatus> {
        self.end()
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        drop(self.child.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < STOP_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
