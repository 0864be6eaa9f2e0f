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
use headframe_guard::{Password, keys};
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
    /// Unlocks a version 3 keystore.
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
                let client = Client::connect(path, (**hello).clone())?;
                Ok((client.identity().address, client.sign_report(tool, hash)?))
            }
            Self::Socket { path, hello: None } => ask(path, tool, hash),
        }
    }
}

/// Asks without an introduction: a report says nothing about any chain.
fn ask(path: &Path, tool: &str, hash: B256) -> Result<(Address, Signature)> {
    let address = identify(path)?.address;
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    protocol::write_frame(&mut stream, &Request::SignReport { tool: tool.into(), report_sha256: hash })?;
    match protocol::read_frame(&mut stream)? {
        Some(Response::Signature(raw)) => Ok((address, Signature::from_raw(&raw)?)),
        Some(Response::Refused { reason, .. }) => {
            bail!("the signer refused: {reason}; name the node's place with --hello FILE")
        }
        other => bail!("the signer at {} did not sign: {other:?}", path.display()),
    }
}

/// Signs with a key of our own. Only a guard database gives permits, even for reports, which it does not record: an
/// empty one that lives for this moment serves.
pub(crate) fn sign_with_key(key: &Key, tool: &str, hash: B256) -> Result<(Address, Signature)> {
    let folder = tempfile::tempdir()?;
    let nowhere = Addresses { token: Address::ZERO, registry: Address::ZERO, market: Address::ZERO };
    let address = key.address();
    let pinned = Pinned { chain_id: 1, genesis: B256::ZERO, addresses: nowhere, address, role: Role::Operator };
    let store = Store::create(&folder.path().join("report.db"), pinned)?;
    let permit = store.permit_report(tool.to_owned(), hash)?;
    Ok((address, key.sign_report(permit)?))
}
