//! EIP-2335 keystores, JSON version 4: scrypt or PBKDF2, SHA-256 over the ciphertext, AES-128-CTR.
//!
//! The EIP is about keys on BLS12-381. Its envelope takes any secret of 32 bytes and leaves the encoding of `pubkey` to
//! the curve; ours is secp256k1, whose public key is written compressed (SEC 1, 33 bytes). A `pubkey` of 48 bytes is a
//! validator's BLS key: its secret would give an account that nobody meant, so the file is refused.

use super::crypt::{self, CIPHER, CipherParams, Cost, Derived, Pbkdf2, Scrypt};
use super::keystore::Refused;
use super::{Key, KeyError};
use alloy_primitives::hex;
use headframe_market::Address;
use k256::ecdsa::VerifyingKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// What the file holds. Fields beside these are passed over, as some programs add a name; in `crypto` there may be none.
#[derive(Serialize, Deserialize)]
pub(super) struct File {
    crypto: Crypto,
    #[serde(default)]
    description: String,
    #[serde(default)]
    pubkey: String,
    path: String,
    uuid: String,
    version: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Crypto {
    kdf: Module<serde_json::Value>,
    checksum: Module<Nothing>,
    cipher: Module<CipherParams>,
}

/// The EIP's unit of cryptography: a function, its parameters and what it is about.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Module<P> {
    function: String,
    params: P,
    message: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl File {
    /// `key` under `password`.
    pub(super) fn new(key: &Key, password: &str, cost: Cost) -> Result<Self, KeyError> {
        let scrypt = Scrypt::new(cost)?;
        let derived = scrypt.derive(normal(password)?.as_bytes()).map_err(KeyError::Password)?;
        let params = CipherParams::new()?;
        let mut text = key.secret();
        params.apply(&derived, &mut text).map_err(KeyError::Password)?;
        let scrypt = serde_json::to_value(scrypt).map_err(|error| KeyError::Password(error.to_string()))?;
        Ok(Self {
            crypto: Crypto {
                kdf: module("scrypt", scrypt, String::new()),
                checksum: module("sha256", Nothing {}, hex::encode(sum(&derived, &text))),
                cipher: module(CIPHER, params, hex::encode(*text)),
            },
            description: format!("secp256k1 key of the Ethereum account {}, not a BLS12-381 key", key.address()),
            pubkey: hex::encode(key.compressed()),
            path: String::new(),
            uuid: crypt::uuid()?,
            version: 4,
        })
    }

    /// Whether it is of a kind that can be opened.
    pub(super) fn check(&self) -> Result<(), String> {
        let Crypto { kdf, checksum, cipher } = &self.crypto;
        let functions = [kdf.function.as_str(), checksum.function.as_str(), cipher.function.as_str()];
        if !matches!(functions, ["scrypt" | "pbkdf2", "sha256", CIPHER]) || self.version != 4 {
            let version = self.version;
            return Err(format!(
                "version {version} of {functions:?}; expected version 4 of scrypt or pbkdf2, sha256 and {CIPHER}"
            ));
        }
        self.named().map(drop)
    }

    pub(super) fn open(&self, password: &str) -> Result<Key, Refused> {
        let named = self.named()?;
        let Crypto { kdf, checksum, cipher } = &self.crypto;
        let password = normal(password)?;
        let derived = match kdf.function.as_str() {
            "scrypt" => params::<Scrypt>(kdf)?.derive(password.as_bytes())?,
            _ => params::<Pbkdf2>(kdf)?.derive(password.as_bytes())?,
        };
        let mut text = Zeroizing::new(crypt::fixed::<32>(&cipher.message, "the cipher's message")?);
        if sum(&derived, &text) != crypt::fixed(&checksum.message, "the checksum")? {
            return Err(Refused::WrongPassword);
        }
        cipher.params.apply(&derived, &mut text)?;
        let key = Key::from_bytes(&text)?;
        if named.is_some_and(|named| named != key.address()) {
            return Err(format!("its pubkey is not that of its key, the account {}", key.address()).into());
        }
        Ok(key)
    }

    /// The address of the public key that it names.
    pub(super) fn address(&self) -> Option<Address> {
        self.named().ok().flatten()
    }

    fn named(&self) -> Result<Option<Address>, String> {
        let bytes = hex::decode(&self.pubkey).map_err(|error| format!("pubkey is not hexadecimal: {error}"))?;
        match bytes.len() {
            0 => Ok(None),
            33 | 65 => {
                let key = VerifyingKey::from_sec1_bytes(&bytes).map_err(|_| "pubkey is no point of secp256k1")?;
                Ok(Some(Address::from_public_key(&key)))
            }
            48 => Err("it holds a BLS12-381 key of a validator (its pubkey has 48 bytes); an Ethereum account's key \
                       (secp256k1) is needed"
                .into()),
            other => Err(format!("pubkey has {other} bytes, expected 33 or 65 (secp256k1)")),
        }
    }
}

fn module<P>(function: &str, params: P, message: String) -> Module<P> {
    Module { function: function.into(), params, message }
}

fn params<'a, P: Deserialize<'a>>(kdf: &'a Module<serde_json::Value>) -> Result<P, String> {
    P::deserialize(&kdf.params).map_err(|error| format!("{}: {error}", kdf.function))
}

/// As the EIP has it: NFKD, without the control codes C0, C1 and Delete.
fn normal(password: &str) -> Result<Zeroizing<String>, KeyError> {
    let kept = || password.nfkd().filter(|c| !c.is_control());
    // At its full size from the start, so that growing leaves no copy behind.
    let mut normal = Zeroizing::new(String::with_capacity(kept().map(char::len_utf8).sum()));
    normal.extend(kept());
    if normal.is_empty() {
        return Err(KeyError::Password("nothing is left of it without control codes".into()));
    }
    Ok(normal)
}

fn sum(derived: &Derived, ciphertext: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(&derived[16..]).chain_update(ciphertext).finalize().into()
}
