//! A keystore file of either format: told apart by its version, read within bounds, opened and written.

use super::{Cost, Key, KeyError, eip2335, v3};
use headframe_market::Address;
use serde::Deserialize;
use std::io::Read;
use std::path::Path;

/// More than any keystore needs; more is not read.
const LONGEST: u64 = 64 * 1024;

/// How a key is written down. Reading tells by the file's `version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Web3 Secret Storage, version 3: what every Ethereum wallet reads.
    #[default]
    V3,
    /// EIP-2335, version 4: made for validators' keys, here with one of secp256k1.
    Eip2335,
}

/// Why a keystore does not open, for who knows which file it is.
pub(super) enum Refused {
    WrongPassword,
    Format(String),
    Key(KeyError),
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self::Format(reason)
    }
}

impl From<KeyError> for Refused {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

/// A keystore as it lies in its file.
pub(super) enum Keystore {
    V3(v3::File),
    Eip2335(eip2335::File),
}

#[derive(Deserialize)]
struct Version {
    version: u8,
}

impl Keystore {
    /// Reads the file at `path`, without a password.
    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.into(), source };
        let format = |reason: String| KeyError::Format { path: path.into(), reason };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > LONGEST {
            return Err(format(format!("longer than {LONGEST} bytes")));
        }
        Self::parse(&text).map_err(format)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let odd = |error: serde_json::Error| error.to_string();
        let Version { version } = serde_json::from_str(text).map_err(odd)?;
        let file = match version {
            3 => Self::V3(serde_json::from_str(text).map_err(odd)?),
            4 => Self::Eip2335(serde_json::from_str(text).map_err(odd)?),
            other => return Err(format!("version {other}; expected 3 (Web3 Secret Storage) or 4 (EIP-2335)")),
        };
        match &file {
            Self::V3(file) => file.check(),
            Self::Eip2335(file) => file.check(),
        }?;
        Ok(file)
    }

    pub(super) fn format(&self) -> Format {
        match self {
            Self::V3(_) => Format::V3,
            Self::Eip2335(_) => Format::Eip2335,
        }
    }

    /// The key in it. `path` is for what went wrong.
    pub(super) fn open(&self, path: &Path, password: &str) -> Result<Key, KeyError> {
        let opened = match self {
            Self::V3(file) => file.open(password),
            Self::Eip2335(file) => file.open(password),
        };
        opened.map_err(|refused| match refused {
            Refused::WrongPassword => KeyError::WrongPassword { path: path.into() },
            Refused::Format(reason) => KeyError::Format { path: path.into(), reason },
            Refused::Key(error) => error,
        })
    }

    /// The address that it names. `None` when it names none.
    pub(super) fn address(&self) -> Option<Address> {
        match self {
            Self::V3(file) => file.address(),
            Self::Eip2335(file) => file.address(),
        }
    }
}

/// The file's text for `key`.
pub(super) fn encrypt(key: &Key, password: &str, format: Format, cost: Cost) -> Result<String, KeyError> {
    let text = match format {
        Format::V3 => serde_json::to_string_pretty(&v3::File::new(key, password, cost)?),
        Format::Eip2335 => serde_json::to_string_pretty(&eip2335::File::new(key, password, cost)?),
    };
    text.map_err(|error| KeyError::File { path: "keystore".into(), source: error.into() })
}
