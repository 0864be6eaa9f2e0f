//! What both keystore formats are made of: scrypt or PBKDF2 for the password, AES-128-CTR for the key.

use super::KeyError;
use aes::cipher::{KeyIvInit, StreamCipher};
use alloy_primitives::hex;
use hmac::Hmac;
use rand::TryRngCore;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
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

/// At most 1 GiB for scrypt.
const MOST_MEMORY: u64 = 1 << 30;
/// At most ten million rounds of PBKDF2.
const MOST_ROUNDS: u32 = 10_000_000;
/// The one cipher of both formats.
pub(super) const CIPHER: &str = "aes-128-ctr";

/// What a password and its parameters give: 16 bytes for the cipher, 16 for the check.
pub(super) type Derived = Zeroizing<[u8; 32]>;

/// RFC 7914.
#[derive(Serialize, Deserialize)]
pub(super) struct Scrypt {
    dklen: u32,
    n: u64,
    p: u32,
    r: u32,
    salt: String,
}

/// RFC 2898.
#[derive(Serialize, Deserialize)]
pub(super) struct Pbkdf2 {
    c: u32,
    dklen: u32,
    prf: String,
    salt: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CipherParams {
    iv: String,
}

impl Scrypt {
    pub(super) fn new(cost: Cost) -> Result<Self, KeyError> {
        let n = match cost {
            Cost::Standard => 1 << 18,
            Cost::Light => 1 << 12,
        };
        Ok(Self { dklen: 32, n, p: 1, r: 8, salt: hex::encode(random::<32>()?) })
    }

    pub(super) fn derive(&self, password: &[u8]) -> Result<Derived, String> {
        let Self { dklen, n, p, r, salt } = self;
        length(*dklen)?;
        // n blocks of 128 r bytes for the mixing, and p of them for what is mixed.
        let blocks = n.checked_add(u64::from(*p));
        let memory = blocks.and_then(|n| n.checked_mul(128)).and_then(|each| each.checked_mul(u64::from(*r)));
        if !n.is_power_of_two() || *p > 16 || memory.is_none_or(|bytes| bytes > MOST_MEMORY) {
            return Err(format!("scrypt with n={n}, r={r}, p={p} is not valid or asks for more than 1 GiB"));
        }
        let params = scrypt::Params::new(n.trailing_zeros() as u8, *r, *p).map_err(|error| error.to_string())?;
        let mut derived = Derived::default();
        scrypt::scrypt(password, &unhex(salt)?, &params, &mut *derived).map_err(|error| error.to_string())?;
        Ok(derived)
    }
}

impl Pbkdf2 {
    pub(super) fn derive(&self, password: &[u8]) -> Result<Derived, String> {
        let Self { c, dklen, prf, salt } = self;
        length(*dklen)?;
        if prf != "hmac-sha256" {
            return Err(format!("pbkdf2 with {prf:?}; expected hmac-sha256"));
        }
        if *c == 0 || *c > MOST_ROUNDS {
            return Err(format!("pbkdf2 with {c} rounds; expected 1 to {MOST_ROUNDS}"));
        }
        let mut derived = Derived::default();
        pbkdf2::pbkdf2::<Hmac<Sha256>>(password, &unhex(salt)?, *c, &mut *derived);
        Ok(derived)
    }
}

fn length(dklen: u32) -> Result<(), String> {
    if dklen == 32 { Ok(()) } else { Err(format!("a derived length of {dklen}; expected 32")) }
}

impl CipherParams {
    pub(super) fn new() -> Result<Self, KeyError> {
        Ok(Self { iv: hex::encode(random::<16>()?) })
    }

    /// Encrypts or decrypts, which is the same.
    pub(super) fn apply(&self, derived: &Derived, text: &mut [u8; 32]) -> Result<(), String> {
        let iv: [u8; 16] = fixed(&self.iv, "iv")?;
        let mut key = Zeroizing::new([0u8; 16]);
        key.copy_from_slice(&derived[..16]);
        ctr::Ctr128BE::<aes::Aes128>::new((&*key).into(), (&iv).into()).apply_keystream(text);
        Ok(())
    }
}

/// Fills `bytes` from the operating system's generator.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), KeyError> {
    rand::rngs::OsRng.try_fill_bytes(bytes).map_err(|error| KeyError::Random(error.to_string()))
}

fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0u8; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

/// A random UUID (RFC 9562, version 4).
pub(super) fn uuid() -> Result<String, KeyError> {
    let mut id = random::<16>()?;
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let id = hex::encode(id);
    Ok(format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]))
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    hex::decode(text).map_err(|error| format!("not hexadecimal: {error}"))
}

pub(super) fn fixed<const N: usize>(text: &str, what: &str) -> Result<[u8; N], String> {
    let bytes = unhex(text)?;
    <[u8; N]>::try_from(bytes).map_err(|bytes| format!("{what} has {} bytes, expected {N}", bytes.len()))
}
