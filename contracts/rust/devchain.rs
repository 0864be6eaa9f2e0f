//! A development chain on 127.0.0.1: finds anvil, starts it, stops it when dropped.

use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use alloy::transports::{RpcError, TransportErrorKind};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a chain may take to answer; it needs less than a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// anvil was not found.
#[derive(Debug, thiserror::Error)]
#[error("no anvil at {tried}; `./run setup` installs it, or name one in HEADFRAME_ANVIL")]
pub struct AnvilMissing {
    tried: String,
}

/// Why a development chain did not start.
#[derive(Debug, thiserror::Error)]
pub enum DevChainError {
    /// No program.
    #[error(transparent)]
    Missing(#[from] AnvilMissing),
    /// The program does not run.
    #[error("cannot run {program}: {source}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ended or stayed silent.
    #[error("{program} did not start listening; its last words: {output}")]
    Silent {
        /// The program.
        program: PathBuf,
        /// What it printed.
        output: String,
    },
}

/// Finds anvil: `HEADFRAME_ANVIL`, else the pinned one of the workspace this was built in, else the first in `PATH`.
pub fn anvil_program() -> Result<PathBuf, AnvilMissing> {
    if let Some(named) = std::env::var_os("HEADFRAME_ANVIL") {
        // A wrong name is an error: falling back would hide it.
        return existing(named.into()).map_err(|tried| AnvilMissing { tried: tried.display().to_string() });
    }
    // npm carries it for x86-64 only; elsewhere the name leads nowhere and `PATH` is next.
    let pinned = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";
    let pinned = existing(Path::new(env!("CARGO_MANIFEST_DIR")).join(pinned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    pinned.or_else(|tried| {
        let found = std::env::split_paths(&path).find_map(|dir| existing(dir.join("anvil")).ok());
        found.ok_or_else(|| AnvilMissing { tried: format!("{} or in PATH", tried.display()) })
    })
}

fn existing(path: PathBuf) -> Result<PathBuf, PathBuf> {
    if path.is_file() { Ok(path) } else { Err(path) }
}

/// A running development chain (chain id 31337), stopped when dropped.
#[derive(Debug)]
pub struct DevChain {
    child: Child,
    url: String,
}

impl DevChain {
    /// Starts a chain on `port`, or a free one for 0. It mines a block every `block_time`, or with each transaction and
    /// on demand for `None`.
    pub fn start(port: u16, block_time: Option<Duration>) -> Result<Self, DevChainError> {
        let program = anvil_program()?;
        let mut command = Command::new(&program);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--accounts", "1"]);
        if let Some(time) = block_time {
            command.args(["--block-time", &time.as_secs_f64().to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|source| DevChainError::Spawn { program: program.clone(), source })?;
        match child.stdout.take().and_then(listening) {
            Some(Ok(address)) => Ok(Self { child, url: format!("http://{address}") }),
            other => {
                stop(&mut child);
                let output = other.and_then(Result::err).unwrap_or_default();
                Err(DevChainError::Silent { program, output })
            }
        }
    }

    /// Where it answers, such as `http://127.0.0.1:8545`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for DevChain {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

fn stop(child: &mut Child) {
    // Both fail only for a process that is gone already.
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads up to the line that names the address, then keeps reading so that the chain never blocks on a full pipe.
fn listening(stdout: std::process::ChildStdout) -> Option<Result<String, String>> {
    let (tell, told) = mpsc::sync_channel(1);
    let reader = move || {
        let mut last = String::new();
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        for line in lines.by_ref() {
            if let Some(address) = line.trim().strip_prefix("Listening on ") {
                let _ = tell.send(Ok(address.to_owned()));
                lines.by_ref().for_each(drop);
                return;
            }
            if !line.trim().is_empty() {
                last = line;
            }
        }
        let _ = tell.send(Err(last));
    };
    std::thread::Builder::new().name("devchain".into()).spawn(reader).ok()?;
    told.recv_timeout(START_TIMEOUT).ok()
}

/// Sets an account's coins on a development chain; other chains refuse.
pub async fn set_balance<P: Provider>(
    provider: &P,
    account: Address,
    wei: u128,
) -> Result<(), RpcError<TransportErrorKind>> {
    provider.raw_request("anvil_setBalance".into(), (account, U256::from(wei))).await
}
