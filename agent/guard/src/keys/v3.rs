//! The Web3 Secret Storage format, version 3: scrypt or PBKDF2, AES-128-CTR, Keccak MAC.
//!
//! Our own because the crate `eth-keystore` (2025) fixes scrypt at N = 2^13, thirty times cheaper to guess than the
//! field's standard, creates files with the process's default mode, leaves copies of the key in memory and panics on
//! short fields. Tests hold both to the same files.

use super::{Key, KeyError};
use aes::cipher::{KeyIvInit, StreamCipher};
use alloy_primitives::hex;
use headframe_market::Address;
use hmac::Hmac;
use rand::TryRngCore;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// How hard a password is to guess: the cost of scrypt with r = 8 and p = 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cost {
    /// N = 2^18, as geth and most wallets write: 256 MiB and about a second.
    #[default]
    Standard,
    /// N = 2^12, geth's "light": 4 MiB and milliseconds. For tests and chains whose coins are worth nothing.
    Light,
}

/// More than any keystore needs; more is not read.
const LONGEST: u64 = 64 * 1024;
/// At most 1 GiB for scrypt.
const MOST_MEMORY: u64 = 1 << 30;
/// At most ten million rounds of PBKDF2.
const MOST_ROUNDS: u32 = 10_000_000;

#[derive(Serialize, Deserialize)]
struct File {
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
struct CipherParams {
    iv: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
enum Kdf {
    Scrypt { dklen: u32, n: u64, p: u32, r: u32, salt: String },
    Pbkdf2 { c: u32, dklen: u32, prf: String, salt: String },
}

/// Fills `bytes` from the operating system's generator.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), KeyError> {
    rand::rngs::OsRng.try_fill_bytes(bytes).map_err(|error| KeyError::Random(error.to_string()))
}

/// The file's text for `key`.
pub(super) fn encrypt(key: &Key, password: &[u8], cost: Cost) -> Result<String, KeyError> {
    let (mut salt, mut iv, mut id) = ([0u8; 32], [0u8; 16], [0u8; 16]);
    fill_random(&mut salt)?;
    fill_random(&mut iv)?;
    fill_random(&mut id)?;
    let n = match cost {
        Cost::Standard => 1 << 18,
        Cost::Light => 1 << 12,
    };
    let kdf = Kdf::Scrypt { dklen: 32, n, p: 1, r: 8, salt: hex::encode(salt) };
    let derived = kdf.derive(password).map_err(KeyError::Password)?;
    let mut text = Zeroizing::new(<[u8; 32]>::from(key.secret.to_bytes()));
    apply_cipher(&derived, &iv, &mut *text);
    id[6] = id[6] & 0x0f | 0x40; // a random UUID (RFC 9562, version 4)
    id[8] = id[8] & 0x3f | 0x80;
    let id = hex::encode(id);
    let file = File {
        address: Some(hex::encode(key.address)),
        crypto: Crypto {
            cipher: "aes-128-ctr".into(),
            cipherparams: CipherParams { iv: hex::encode(iv) },
            ciphertext: hex::encode(*text),
            kdf,
            mac: hex::encode(mac(&derived, &*text)),
        },
        id: format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]),
        version: 3,
    };
    serde_json::to_string_pretty(&file)
        .map_err(|error| KeyError::File { path: "keystore".into(), source: error.into() })
}

/// The key in the file at `path`.
pub(super) fn decrypt(path: &Path, password: &[u8]) -> Result<Key, KeyError> {
    let format = |reason: String| KeyError::Format { path: path.into(), reason };
    let file = read(path)?;
    let derived = file.crypto.kdf.derive(password).map_err(format)?;
    let iv: [u8; 16] = fixed(&file.crypto.cipherparams.iv, "iv").map_err(format)?;
    let mut text = Zeroizing::new(fixed::<32>(&file.crypto.ciphertext, "ciphertext").map_err(format)?);
    let expected: [u8; 32] = fixed(&file.crypto.mac, "mac").map_err(format)?;
    if mac(&derived, &*text) != expected {
        return Err(KeyError::WrongPassword { path: path.into() });
    }
    apply_cipher(&derived, &iv, &mut *text);
    let key = Key::from_bytes(&text)?;
    if file.address.as_deref().is_some_and(|named| named.parse() != Ok(key.address)) {
        return Err(format(format!("it names another address than that of its key, {}", key.address)));
    }
    Ok(key)
}

/// The address that the file at `path` names, without a password. `None` when it names none.
pub(super) fn named_address(path: &Path) -> Result<Option<Address>, KeyError> {
    Ok(read(path)?.address.and_then(|text| text.parse().ok()))
}

fn read(path: &Path) -> Result<File, KeyError> {
    let failed = |source| KeyError::File { path: path.into(), source };
    let format = |reason: String| KeyError::Format { path: path.into(), reason };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST {
        return Err(format(format!("longer than {LONGEST} bytes")));
    }
    let file: File = serde_json::from_str(&text).map_err(|error| format(error.to_string()))?;
    match (file.version, file.crypto.cipher.as_str()) {
        (3, "aes-128-ctr") => Ok(file),
        (version, cipher) => {
            Err(format(format!("version {version} with cipher {cipher:?}; expected 3 and aes-128-ctr")))
        }
    }
}

impl Kdf {
    /// The derived key: 16 bytes for the cipher, 16 for the MAC.
    fn derive(&self, password: &[u8]) -> Result<Zeroizing<[u8; 32]>, String> {
        let mut derived = Zeroizing::new([0u8; 32]);
        match self {
            Self::Scrypt { dklen: 32, n, p, r, salt } => {
                // RFC 7914: n blocks of 128 r bytes for the mixing, and p of them for what is mixed.
                let blocks = n.checked_add(u64::from(*p));
                let memory = blocks.and_then(|n| n.checked_mul(128)).and_then(|each| each.checked_mul(u64::from(*r)));
                if !n.is_power_of_two() || *p > 16 || memory.is_none_or(|bytes| bytes > MOST_MEMORY) {
                    return Err(format!("scrypt with n={n}, r={r}, p={p} is not valid or asks for more than 1 GiB"));
                }
                let params =
                    scrypt::Params::new(n.trailing_zeros() as u8, *r, *p).map_err(|error| error.to_string())?;
                scrypt::scrypt(password, &unhex(salt)?, &params, &mut *derived).map_err(|error| error.to_string())?;
            }
            Self::Pbkdf2 { c, dklen: 32, prf, salt } if prf == "hmac-sha256" => {
                if *c == 0 || *c > MOST_ROUNDS {
                    return Err(format!("pbkdf2 with {c} rounds; expected 1 to {MOST_ROUNDS}"));
                }
                pbkdf2::pbkdf2::<Hmac<Sha256>>(password, &unhex(salt)?, *c, &mut *derived);
            }
            Self::Scrypt { dklen, .. } | Self::Pbkdf2 { dklen, .. } => {
                return Err(format!("expected a derived length of 32 (found {dklen}) and hmac-sha256"));
            }
        }
        Ok(derived)
    }
}

fn apply_cipher(derived: &[u8; 32], iv: &[u8; 16], text: &mut [u8]) {
    let mut key = Zeroizing::new([0u8; 16]);
    key.copy_from_slice(&derived[..16]);
    ctr::Ctr128BE::<aes::Aes128>::new((&*key).into(), iv.into()).apply_keystream(text);
}

fn mac(derived: &[u8; 32], ciphertext: &[u8]) -> [u8; 32] {
    let mut hasher = alloy_primitives::Keccak256::new();
    hasher.update(&derived[16..]);
    hasher.update(ciphertext);
    hasher.finalize().0
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    hex::decode(text).map_err(|error| format!("not hexadecimal: {error}"))
}

fn fixed<const N: usize>(text: &str, what: &str) -> Result<[u8; N], String> {
    let bytes = unhex(text)?;
    <[u8; N]>::try_from(bytes).map_err(|bytes| format!("{what} has {} bytes, expected {N}", bytes.len()))
}
