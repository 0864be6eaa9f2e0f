//! A key in this process's memory.

use super::keystore::Keystore;
use super::{KeyError, Password, Signing, SigningFailed, Statement, crypt};
use headframe_market::{Address, Bytes, Signature};
use k256::ecdsa::SigningKey;
use std::path::Path;
use zeroize::Zeroizing;

/// An unlocked private key. Its memory is wiped when it is dropped; it can be neither copied nor printed.
pub struct Key {
    secret: SigningKey,
    address: Address,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Key {
    /// A new random key from the operating system's generator.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        loop {
            crypt::fill_random(&mut *bytes)?;
            if let Ok(key) = Self::from_bytes(&bytes) {
                return Ok(key); // all but 2^-128 of the draws
            }
        }
    }

    /// The key with this secret number, big-endian.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = SigningKey::from_slice(bytes).map_err(|_| KeyError::NotAKey)?;
        let address = Address::from_public_key(secret.verifying_key());
        Ok(Self { secret, address })
    }

    /// Decrypts a keystore file of either format. Takes 256 MiB of memory for a moment at the standard cost.
    pub fn unlock(path: &Path, password: &Password) -> Result<Self, KeyError> {
        Keystore::read(path)?.open(path, &password.read()?)
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its public key: 65 bytes, uncompressed (SEC 1).
    pub fn public(&self) -> Bytes {
        Bytes::copy_from_slice(self.secret.verifying_key().to_encoded_point(false).as_bytes())
    }

    /// The same in 33 bytes.
    pub(super) fn compressed(&self) -> Bytes {
        Bytes::copy_from_slice(self.secret.verifying_key().to_encoded_point(true).as_bytes())
    }

    pub(super) fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes().into())
    }
}

impl Signing for Key {
    fn address(&self) -> Address {
        self.address
    }

    /// Deterministic (RFC 6979) and with a low s: one statement has one signature, before and after a restart.
    fn sign(&self, statement: &Statement) -> Result<Signature, SigningFailed> {
        let hash = statement.signing_hash();
        let signed = self.secret.sign_prehash_recoverable(hash.as_slice());
        let (signature, recovery) = signed.map_err(|error| SigningFailed(error.to_string()))?;
        Ok(Signature::from((signature, recovery)))
    }
}
