//! The Web3 Secret Storage format, version 3: scrypt or PBKDF2, AES-128-CTR, Keccak MAC.
//!
//! Our own because the crate `eth-keystore` (2025) fixes scrypt at N = 2^13, thirty times cheaper to guess than the
//! field's standard, creates files with the process's default mode, leaves copies of the key in memory and panics on
//! short fields. Tests hold both to the same files.

use super::crypt::{self, CIPHER, CipherParams, Cost, Derived, Pbkdf2, Scrypt};
use super::keystore::Refused;
use super::{Key, KeyError};
use alloy_primitives::hex;
use headframe_market::Address;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What the file holds.
#[derive(Serialize, Deserialize)]
pub(super) struct File {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
    #[serde(default)]
    id: String,
    version: u8,
}

#[derive(Serialize, Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    #[serde(flatten)]
    kdf: Kdf,
    mac: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
enum Kdf {
    Scrypt(Scrypt),
    Pbkdf2(Pbkdf2),
}

impl File {
    /// `key` under `password`.
    pub(super) fn new(key: &Key, password: &str, cost: Cost) -> Result<Self, KeyError> {
        let scrypt = Scrypt::new(cost)?;
        let derived = scrypt.derive(password.as_bytes()).map_err(KeyError::Password)?;
        let cipherparams = CipherParams::new()?;
        let mut text = key.secret();
        cipherparams.apply(&derived, &mut text).map_err(KeyError::Password)?;
        let crypto = Crypto {
            cipher: CIPHER.into(),
            cipherparams,
            ciphertext: hex::encode(*text),
            kdf: Kdf::Scrypt(scrypt),
            mac: hex::encode(mac(&derived, &text)),
        };
        Ok(Self { address: Some(hex::encode(key.address())), crypto, id: crypt::uuid()?, version: 3 })
    }

    /// Whether it is of a kind that can be opened.
    pub(super) fn check(&self) -> Result<(), String> {
        match (self.version, self.crypto.cipher.as_str()) {
            (3, CIPHER) => Ok(()),
            (version, cipher) => Err(format!("version {version} with cipher {cipher:?}; expected 3 and {CIPHER}")),
        }
    }

    pub(super) fn open(&self, password: &str) -> Result<Key, Refused> {
        let derived = match &self.crypto.kdf {
            Kdf::Scrypt(params) => params.derive(password.as_bytes())?,
            Kdf::Pbkdf2(params) => params.derive(password.as_bytes())?,
        };
        let mut text = Zeroizing::new(crypt::fixed::<32>(&self.crypto.ciphertext, "ciphertext")?);
        if mac(&derived, &text) != crypt::fixed(&self.crypto.mac, "mac")? {
            return Err(Refused::WrongPassword);
        }
        self.crypto.cipherparams.apply(&derived, &mut text)?;
        let key = Key::from_bytes(&text)?;
        if self.address.as_deref().is_some_and(|named| named.parse() != Ok(key.address())) {
            return Err(format!("it names another address than that of its key, {}", key.address()).into());
        }
        Ok(key)
    }

    /// The address that it names.
    pub(super) fn address(&self) -> Option<Address> {
        self.address.as_deref()?.parse().ok()
    }
}

fn mac(derived: &Derived, ciphertext: &[u8; 32]) -> [u8; 32] {
    let mut hasher = alloy_primitives::Keccak256::new();
    hasher.update(&derived[16..]);
    hasher.update(ciphertext);
    hasher.finalize().0
}
