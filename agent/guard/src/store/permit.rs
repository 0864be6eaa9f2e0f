//! The proof that a statement was checked and is on the disk. Only the store can make one.

use headframe_market::typed_data::Domain;
use headframe_market::{Address, B256, Bytes, Wei};

/// Lets a key sign `T` once, see [`crate::keys::Signing`]. Neither `Clone` nor constructible outside the store.
#[derive(Debug)]
#[must_use = "a permit that is dropped signs nothing"]
pub struct Permit<T> {
    statement: T,
    domain: Domain,
}

impl<T> Permit<T> {
    /// For the store, after the record is durable.
    pub(super) fn new(statement: T, domain: Domain) -> Self {
        Self { statement, domain }
    }

    /// What was permitted.
    pub fn statement(&self) -> &T {
        &self.statement
    }

    /// Where the signature will be valid.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    pub(crate) fn spend(self) -> (T, Domain) {
        (self.statement, self.domain)
    }
}

/// A transaction as it will be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Account nonce.
    pub nonce: u64,
    /// The contract.
    pub to: Address,
    /// Native coin sent along.
    pub value: Wei,
    /// Selector and arguments.
    pub input: Bytes,
    /// Gas limit.
    pub gas_limit: u64,
    /// Ceiling per gas.
    pub max_fee_per_gas: Wei,
    /// Ceiling of the tip per gas.
    pub max_priority_fee_per_gas: Wei,
}

/// A certification report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Name and version of the tool.
    pub tool: String,
    /// SHA-256 of the report.
    pub sha256: B256,
}
