//! The key: unlocking it, and the only functions that sign, which take nothing but a [`Permit`].

mod files;
mod password;
pub mod v3;

pub use files::{KeyFile, Source, change_password, import, list, new};
pub use password::Password;
pub use v3::Cost;

use crate::protocol::SignedTransaction;
use crate::store::permit::{Permit, Report, Transaction};
use alloy_consensus::{SignableTransaction, TxEip1559};
use headframe_market::{Address, B256, Bid, Bytes, Receipt, Segment, Signature, U256, typed_data};
use k256::ecdsa::SigningKey;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a key cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A keystore that is not version 3 or asks for more than a signer does.
    #[error("{path} is no usable version 3 keystore: {reason}")]
    Format {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The password does not open it.
    #[error("the password does not open {path}")]
    WrongPassword {
        /// Which.
        path: PathBuf,
    },
    /// A password could not be had.
    #[error("no password: {0}")]
    Password(String),
    /// The operating system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// Not the bytes of a key.
    #[error("not a private key: expected 64 hexadecimal digits that stand for a number between 1 and the curve order")]
    NotAKey,
    /// A name that could not be a file's.
    #[error("key name {0:?}: use 1 to 64 letters, digits, '-' and '_'")]
    Name(String),
    /// Keys are never overwritten.
    #[error("{0} exists; choose another name, keys are never overwritten")]
    Exists(PathBuf),
}

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
            v3::fill_random(&mut *bytes)?;
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

    /// Decrypts a keystore file. Takes 256 MiB of memory for a moment at the standard cost.
    pub fn unlock(path: &Path, password: &Password) -> Result<Self, KeyError> {
        v3::decrypt(path, password.read()?.as_bytes())
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its public key: 65 bytes, uncompressed (SEC 1).
    pub fn public(&self) -> Bytes {
        Bytes::copy_from_slice(self.secret.verifying_key().to_encoded_point(false).as_bytes())
    }

    /// Signs a receipt.
    pub fn sign_receipt(&self, permit: Permit<Receipt>) -> Result<Signature, SigningFailed> {
        let (receipt, domain) = permit.spend();
        self.sign(receipt.signing_hash(&domain))
    }

    /// Signs a client's order.
    pub fn sign_order(&self, permit: Permit<Segment>) -> Result<Signature, SigningFailed> {
        let (order, domain) = permit.spend();
        self.sign(order.signing_hash(&domain))
    }

    /// Signs an operator's offer.
    pub fn sign_bid(&self, permit: Permit<Bid>) -> Result<Signature, SigningFailed> {
        let (bid, domain) = permit.spend();
        self.sign(bid.signing_hash(&domain))
    }

    /// Signs a certification report.
    pub fn sign_report(&self, permit: Permit<Report>) -> Result<Signature, SigningFailed> {
        let (report, _) = permit.spend();
        self.sign(typed_data::bench_report_hash(&report.tool, report.sha256))
    }

    /// Signs a transaction, as EIP-1559.
    pub fn sign_transaction(&self, permit: Permit<Transaction>) -> Result<SignedTransaction, SigningFailed> {
        let (ask, domain) = permit.spend();
        let unsigned = TxEip1559 {
            chain_id: domain.chain_id,
            nonce: ask.nonce,
            gas_limit: ask.gas_limit,
            max_fee_per_gas: ask.max_fee_per_gas.0,
            max_priority_fee_per_gas: ask.max_priority_fee_per_gas.0,
            to: ask.to.into(),
            value: U256::from(ask.value.0),
            access_list: Default::default(),
            input: ask.input,
        };
        let signature = self.sign(unsigned.signature_hash())?;
        let signed = unsigned.into_signed(signature);
        let mut raw = Vec::new();
        signed.eip2718_encode(&mut raw);
        Ok(SignedTransaction { raw: Bytes::from(raw), hash: *signed.hash() })
    }

    /// Deterministic (RFC 6979) and with a low s: one statement has one signature, before and after a restart.
    fn sign(&self, hash: B256) -> Result<Signature, SigningFailed> {
        let (signature, recovery) = self.secret.sign_prehash_recoverable(hash.as_slice()).map_err(|_| SigningFailed)?;
        Ok(Signature::from((signature, recovery)))
    }
}

/// The curve arithmetic gave no signature, which no input is known to cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key gave no signature")]
pub struct SigningFailed;
