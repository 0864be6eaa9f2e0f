//! The key: unlocking it or finding it elsewhere, and the only functions that sign, which take nothing but a [`Permit`].

mod crypt;
mod eip2335;
mod files;
mod http;
mod keystore;
#[cfg(feature = "ledger")]
mod ledger;
mod local;
mod password;
mod remote;
mod statement;
mod v3;

pub use crypt::Cost;
pub use files::{KeyFile, Source, change_password, import, list, new};
pub use keystore::Format;
#[cfg(feature = "ledger")]
pub use ledger::{Ledger, LedgerFailed};
pub use local::Key;
pub use password::Password;
pub use remote::{Remote, RemoteError};
pub use statement::Statement;

use crate::protocol::SignedTransaction;
use crate::store::permit::{Permit, Report, Transaction};
use alloy_consensus::{SignableTransaction, TxEip1559};
use headframe_market::{Address, Bid, Bytes, Receipt, Segment, Signature, U256, typed_data};
use std::path::PathBuf;

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
    /// Not a keystore of a known format, one that asks for more than a signer does, or one with a key of another curve.
    #[error("{path} is no usable keystore: {reason}")]
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

/// Who holds the key. Rules, database and server are the same for all of them.
///
/// alloy's `Signer` is not this seam: it asks for a bare hash, which neither the guard nor a signer elsewhere signs, and
/// takes it from anybody, not only for a [`Permit`].
pub trait Signing: std::fmt::Debug + Send + Sync {
    /// The key's address.
    fn address(&self) -> Address;

    /// The signature under `statement`, with a low s. It recovers to [`address`](Signing::address).
    fn sign(&self, statement: &Statement) -> Result<Signature, SigningFailed>;

    /// Signs a receipt.
    fn sign_receipt(&self, permit: Permit<Receipt>) -> Result<Signature, SigningFailed> {
        let (receipt, domain) = permit.spend();
        self.sign(&Statement::typed(receipt.typed(&domain)))
    }

    /// Signs a client's order.
    fn sign_order(&self, permit: Permit<Segment>) -> Result<Signature, SigningFailed> {
        let (order, domain) = permit.spend();
        self.sign(&Statement::typed(order.typed(&domain)))
    }

    /// Signs an operator's offer.
    fn sign_bid(&self, permit: Permit<Bid>) -> Result<Signature, SigningFailed> {
        let (bid, domain) = permit.spend();
        self.sign(&Statement::typed(bid.typed(&domain)))
    }

    /// Signs a certification report.
    fn sign_report(&self, permit: Permit<Report>) -> Result<Signature, SigningFailed> {
        let (report, _) = permit.spend();
        self.sign(&Statement::typed(typed_data::bench_report(&report.tool, report.sha256)))
    }

    /// Signs a transaction, as EIP-1559.
    fn sign_transaction(&self, permit: Permit<Transaction>) -> Result<SignedTransaction, SigningFailed> {
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
        let signature = self.sign(&Statement::transaction(unsigned.clone()))?;
        let signed = unsigned.into_signed(signature);
        let mut raw = Vec::new();
        signed.eip2718_encode(&mut raw);
        Ok(SignedTransaction { raw: Bytes::from(raw), hash: *signed.hash() })
    }
}

/// The signature of a key elsewhere, when it is the one that was asked for.
fn believed(signature: Signature, statement: &Statement, address: Address) -> Result<Signature, String> {
    // Contracts take the low s alone, of the two that are good for the curve.
    let signature = signature.normalize_s().unwrap_or(signature);
    match signature.recover_address_from_prehash(&statement.signing_hash()) {
        Ok(signer) if signer == address => Ok(signature),
        Ok(other) => Err(format!("its signature is of {other} and not of {address}")),
        Err(error) => Err(format!("its signature is of nobody: {error}")),
    }
}

/// The key gave no signature, or none of its own. For a key in this process no input is known to cause that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key gave no signature: {0}")]
pub struct SigningFailed(pub String);
