//! Who signs a report: a keystore's key, or the node's signer over its socket.
//!
//! A report's hash has a domain of its own (see [`headframe_market::typed_data::bench_report_hash`]), so nothing signed
//! here can be taken for a market statement.

use alloy_primitives::{Address, B256, Signature};
use anyhow::{Context as _, Result, bail, ensure};
pub(crate) use headframe_guard::Key;
use headframe_guard::client::{Client, identify};
use headframe_guard::protocol::{self, Hello, Request, Response};
use headframe_guard::rules::Pinned;
use headframe_guard::store::Store;
use headframe_guard::{Password, Signing, keys};
use headframe_market::{Addresses, Role};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the signature comes from, checked before hours of measuring.
#[derive(Debug)]
pub(crate) enum Signer {
    /// An unlocked key.
    Key(Box<Key>),
    /// A running signer, and the introduction it may want.
    Socket { path: PathBuf, hello: Option<Box<Hello>> },
}

/// The keystore, password or socket is not usable: exit code 78.
#[derive(Debug)]
pub(crate) struct NotUsable;

impl std::fmt::Display for NotUsable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the report could not be signed, so nothing was measured")
    }
}

impl Signer {
    /// Unlocks a keystore.
    pub(crate) fn keystore(path: &Path, password_file: &Path) -> Result<Self> {
        let key = keys::Key::unlock(path, &Password::File(password_file.into())).context(NotUsable)?;
        Ok(Self::Key(Box::new(key)))
    }

    /// Asks the signer at `path` who it is.
    pub(crate) fn socket(path: &Path, hello: Option<&Path>) -> Result<Self> {
        let identity = identify(path).context(NotUsable)?;
        let role = identity.role;
        ensure!(
            role == Role::Operator,
            anyhow::anyhow!("the signer's role is {role:?}; operators certify").context(NotUsable)
        );
        let hello = match hello {
            Some(file) => {
                let text = std::fs::read(file)
                    .with_context(|| format!("cannot read {}", file.display()))
                    .context(NotUsable)?;
                Some(Box::new(
                    serde_json::from_slice(&text).with_context(|| format!("{}", file.display())).context(NotUsable)?,
                ))
            }
            None => None,
        };
        Ok(Self::Socket { path: path.into(), hello })
    }

    /// Signs for `(tool, hash)`.
    pub(crate) fn sign(&self, tool: &str, hash: B256) -> Result<(Address, Signature)> {
        match self {
            Self::Key(key) => sign_with_key(key, tool, hash),
            Self::Socket { path, hello: Some(hello) } => {
                // An introduction to a signer without a database would make one; that is for the node to do.
                ensure!(
                    database_is_open(path)?,
                    "the signer at {} has no database yet; start the node first",
                    path.display()
                );
                let client = Client::connect(path, (**hello).clone())?;
                Ok((client.identity().address, client.sign_report(tool, hash)?))
            }
            Self::Socket { path, hello: None } => ask(path, tool, hash),
        }
    }
}

fn database_is_open(path: &Path) -> Result<bool> {
    match exchange(path, &Request::Status)? {
        Response::Status(status) => Ok(status.database_open),
        other => bail!("the signer at {} has no status: {other:?}", path.display()),
    }
}

/// One request on a connection of its own.
fn exchange(path: &Path, request: &Request) -> Result<Response> {
    let mut stream = UnixStream::connect(path).with_context(|| format!("signer at {}", path.display()))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    protocol::write_frame(&mut stream, request)?;
    protocol::read_frame(&mut stream)?.with_context(|| format!("the signer at {} hung up", path.display()))
}

/// Asks without an introduction: a report says nothing about any chain.
fn ask(path: &Path, tool: &str, hash: B256) -> Result<(Address, Signature)> {
    let address = identify(path)?.address;
    match exchange(path, &Request::SignReport { tool: tool.into(), report_sha256: hash })? {
        Response::Signature(raw) => Ok((address, Signature::from_raw(&raw)?)),
        Response::Refused { reason, .. } => {
            bail!("the signer refused: {reason}; name the node's place with --hello FILE")
        }
        other => bail!("the signer at {} did not sign: {other:?}", path.display()),
    }
}

/// Signs with a key of our own. Only a guard database gives permits, even for reports, which it does not record: an
/// empty one that lives for this moment serves.
pub(crate) fn sign_with_key(key: &Key, tool: &str, hash: B256) -> Result<(Address, Signature)> {
    let folder = tempfile::tempdir()?;
    let nowhere = Addresses::default();
    let address = key.address();
    let pinned = Pinned { chain_id: 1, genesis: B256::ZERO, addresses: nowhere, address, role: Role::Operator };
    let store = Store::create(&folder.path().join("report.db"), pinned)?;
    let permit = store.permit_report(tool.to_owned(), hash)?;
    Ok((address, key.sign_report(permit)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::report::{seal, verify};
    use headframe_guard::server::{Config, Guard, serve};
    use headframe_market::Wei;
    use std::os::unix::net::UnixListener;
    use std::sync::{Arc, mpsc};

    /// A signer in this process with an operator's key; its socket.
    fn signer(folder: &Path) -> PathBuf {
        let key = Box::new(Key::from_bytes(&[9; 32]).unwrap());
        let config = Config {
            key,
            role: Role::Operator,
            database: folder.join("guard.db"),
            max_fee: Wei(1),
            owner: None,
            ballast: false,
        };
        let guard = Arc::new(Guard::open(config).unwrap());
        let path = folder.join("signer.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (stop, _stopped) = mpsc::channel();
        std::thread::spawn(move || serve(&listener, &guard, &stop));
        path
    }

    #[test]
    fn the_nodes_signer_signs() {
        let folder = tempfile::tempdir().unwrap();
        let path = signer(folder.path());
        let addresses = Addresses::default();
        let hello = Hello { chain_id: 1, genesis: B256::ZERO, addresses, claims_on_chain: vec![] };
        let file = folder.path().join("hello.json");
        std::fs::write(&file, serde_json::to_vec(&hello).unwrap()).unwrap();
        let signer = Signer::socket(&path, Some(&file)).unwrap();
        let early = signer.sign("bench", B256::ZERO).unwrap_err().to_string();
        assert!(early.contains("start the node first"), "{early}");
        let _node = Client::connect(&path, hello).unwrap();
        let report = serde_json::json!({"tool": crate::TOOL, "sustained": 1}).as_object().unwrap().clone();
        let sealed = seal(report, Some(&|tool, hash| signer.sign(tool, hash))).unwrap();
        let address = Key::from_bytes(&[9; 32]).unwrap().address();
        assert_eq!(verify(sealed.as_bytes()).unwrap().signer, Some(address));
    }

    #[test]
    fn a_signer_that_is_not_there_is_found_out_before_measuring() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Signer::keystore(&folder.path().join("key.json"), &folder.path().join("password")).unwrap_err();
        assert!(missing.downcast_ref::<NotUsable>().is_some(), "{missing:#}");
        // Without an introduction it is signed, or said what is wanted.
        let signer = Signer::socket(&signer(folder.path()), None).unwrap();
        if let Err(error) = signer.sign("bench", B256::ZERO) {
            assert!(error.to_string().contains("--hello"), "{error:#}");
        }
    }
}
