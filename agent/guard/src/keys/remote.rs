//! A key that another program on this machine keeps: Web3Signer, or what speaks as it does for keys of secp256k1.
//!
//! `POST /api/v1/eth1/sign/{public key}` with `{"data": "0x…"}` hashes the data with Keccak-256, signs, and answers r || s
//! || v in hexadecimal as plain text; 404 is a key that it does not have. `GET /api/v1/eth1/publicKeys` is a JSON list of
//! uncompressed keys (Web3Signer's OpenAPI file `eth1/web3signer.yaml`). So it is given what is hashed, not hashes.

use super::http::{Answer, Place};
use super::{Signing, SigningFailed, Statement, believed};
use alloy_primitives::hex;
use headframe_market::{Address, Signature};
use std::time::Duration;

/// For one attempt. Two of them end well before an agent gives up on its signer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a key elsewhere cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Not an address on this machine.
    #[error(
        "remote signer {0:?}: expected http://127.0.0.1:PORT or unix:/PATH; what is asked is neither encrypted nor \
         authenticated, so reach a signer on another machine through a tunnel that listens here"
    )]
    Place(String),
    /// It does not have the key.
    #[error("the remote signer at {url} has no key of address {address}, but {keys} others")]
    NoKey {
        /// Where.
        url: String,
        /// Whose key was wanted.
        address: Address,
        /// Keys that it has.
        keys: usize,
    },
    /// It does not answer, or not as it should. Trying again later may work.
    #[error("the remote signer at {url} cannot be asked for its keys: {reason}")]
    Unavailable {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
}

/// The key of one address at a signer elsewhere. What it signs is believed only when it recovers to that address.
#[derive(Clone, Debug)]
pub struct Remote {
    place: Place,
    /// Method and path of a request for a signature.
    what: String,
    address: Address,
    patience: Duration,
}

/// Why an attempt gave nothing.
enum Failed {
    /// On the way, or on its side: the next attempt may work.
    Again(String),
    /// It was understood and refused, or is not what was asked.
    ForGood(String),
}

impl Remote {
    /// Finds the key of `address` at the signer at `url`: `http://` with a loopback address and port, or `unix:` with the
    /// path of a socket. Nothing is signed for that.
    pub fn find(url: &str, address: Address) -> Result<Self, RemoteError> {
        let place = Place::parse(url).ok_or_else(|| RemoteError::Place(url.into()))?;
        let unavailable = |reason| RemoteError::Unavailable { url: url.into(), reason };
        let answer = place.ask("GET /api/v1/eth1/publicKeys", None, PATIENCE);
        let keys: Vec<String> = match answer.map_err(|error| unavailable(error.to_string()))? {
            Answer { status: 200, body } => {
                serde_json::from_str(&body).map_err(|error| unavailable(format!("no list of keys: {error}")))?
            }
            Answer { status, .. } => return Err(unavailable(format!("HTTP status {status}"))),
        };
        let Some(key) = keys.iter().find_map(|key| of_address(key, address)) else {
            return Err(RemoteError::NoKey { url: url.into(), address, keys: keys.len() });
        };
        let what = format!("POST /api/v1/eth1/sign/0x{key}");
        Ok(Self { place, what, address, patience: PATIENCE })
    }

    /// How long one attempt may take, of which there are two, in place of 5 s.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn once(&self, body: &str, statement: &Statement) -> Result<Signature, Failed> {
        let answer = self.place.ask(&self.what, Some(body), self.patience);
        let answer = match answer.map_err(|error| Failed::Again(error.to_string()))? {
            Answer { status: 200, body } => body,
            Answer { status, .. } if status >= 500 => return Err(Failed::Again(format!("HTTP status {status}"))),
            Answer { status, .. } => return Err(Failed::ForGood(format!("HTTP status {status}"))),
        };
        let bytes: [u8; 65] = hex::decode_to_array(answer.trim())
            .map_err(|_| Failed::ForGood("its answer is no signature of 65 bytes".into()))?;
        let signature = Signature::from_raw_array(&bytes).map_err(|error| Failed::ForGood(error.to_string()))?;
        believed(signature, statement, self.address).map_err(Failed::ForGood)
    }
}

impl Signing for Remote {
    fn address(&self) -> Address {
        self.address
    }

    /// One retry. The signer elsewhere need not be deterministic, so the same statement may get another signature.
    fn sign(&self, statement: &Statement) -> Result<Signature, SigningFailed> {
        let body = format!(r#"{{"data":"{}"}}"#, hex::encode_prefixed(statement.preimage()));
        let signed = match self.once(&body, statement) {
            Err(Failed::Again(reason)) => {
                tracing::warn!(reason, "the remote signer is asked once more");
                self.once(&body, statement)
            }
            signed => signed,
        };
        signed.map_err(|failed| match failed {
            Failed::Again(reason) | Failed::ForGood(reason) => SigningFailed(format!("remote signer: {reason}")),
        })
    }
}

/// The digits of a listed key, when it is that of `address`: 64 bytes, with the mark of an uncompressed point or not.
fn of_address(listed: &str, address: Address) -> Option<String> {
    let bytes = hex::decode(listed).ok()?;
    let point = match bytes.len() {
        65 if bytes[0] == 4 => &bytes[1..],
        64 => &bytes[..],
        _ => return None,
    };
    // As it was listed: that is what it knows the key by.
    let digits = listed.strip_prefix("0x").unwrap_or(listed);
    (Address::from_raw_public_key(point) == address).then(|| digits.to_owned())
}
