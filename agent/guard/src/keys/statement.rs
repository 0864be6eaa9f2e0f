//! What is signed. Never a bare hash: a key that is kept elsewhere hashes for itself, and a device shows what it signs.

use alloy_consensus::{SignableTransaction, TxEip1559};
use headframe_market::B256;
use headframe_market::typed_data::Typed;

/// A statement that a [`Permit`](crate::Permit) stands for. Nobody outside [`keys`](crate::keys) can make one.
#[derive(Clone, Debug)]
pub struct Statement(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Typed(Typed),
    Transaction(TxEip1559),
}

impl Statement {
    pub(super) fn typed(typed: Typed) -> Self {
        Self(Kind::Typed(typed))
    }

    pub(super) fn transaction(unsigned: TxEip1559) -> Self {
        Self(Kind::Transaction(unsigned))
    }

    /// The bytes whose Keccak-256 is signed: those of EIP-712, or the transaction's signing payload (EIP-1559).
    pub fn preimage(&self) -> Vec<u8> {
        match &self.0 {
            Kind::Typed(typed) => typed.preimage().to_vec(),
            Kind::Transaction(unsigned) => unsigned.encoded_for_signing(),
        }
    }

    /// Whether it is a transaction, whose fields a device can show.
    #[cfg(feature = "ledger")]
    pub(super) fn is_transaction(&self) -> bool {
        matches!(self.0, Kind::Transaction(_))
    }

    /// The hash that is signed.
    pub fn signing_hash(&self) -> B256 {
        match &self.0 {
            Kind::Typed(typed) => typed.signing_hash(),
            Kind::Transaction(unsigned) => unsigned.signature_hash(),
        }
    }
}
