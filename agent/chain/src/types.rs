//! The few JSON shapes read from a provider. Only the fields used here, so that a chain with extra ones still parses.

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use headframe_market::{BlockNo, Wei};
use serde::{Deserialize, Serialize};

/// Which chain a node is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Hash of block 0.
    pub genesis: B256,
}

/// A block header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Height.
    pub number: BlockNo,
    /// Its hash.
    pub hash: B256,
    /// Hash of the block before it.
    pub parent: B256,
    /// Seconds since 1970 as its producer claims.
    pub timestamp: u64,
    /// EIP-1559 base fee in wei per gas; 0 on a chain without one.
    pub base_fee: u128,
}

/// What became of a transaction that was mined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The block it is in.
    pub block: BlockNo,
    /// That block's hash.
    pub block_hash: B256,
    /// False when it reverted.
    pub success: bool,
    /// Gas it took.
    pub gas_used: u64,
    /// What it cost: gas used times the effective price.
    pub fee: Wei,
}

/// A call to simulate.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// The caller.
    pub from: Address,
    /// The contract.
    pub to: Address,
    /// Coin sent along.
    pub value: Wei,
    /// Selector and arguments.
    pub input: Bytes,
    /// Gas limit, the provider's own when `None`.
    pub gas: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireHeader {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
    base_fee_per_gas: Option<U256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireReceipt {
    pub(crate) transaction_hash: B256,
    block_number: U64,
    block_hash: B256,
    status: U64,
    gas_used: U64,
    effective_gas_price: Option<U256>,
}

impl From<WireHeader> for Header {
    fn from(wire: WireHeader) -> Self {
        Self {
            number: BlockNo(wire.number.to()),
            hash: wire.hash,
            parent: wire.parent_hash,
            timestamp: wire.timestamp.to(),
            base_fee: wire.base_fee_per_gas.map_or(0, |fee| fee.saturating_to()),
        }
    }
}

impl From<WireReceipt> for Receipt {
    fn from(wire: WireReceipt) -> Self {
        let price: u128 = wire.effective_gas_price.map_or(0, |price| price.saturating_to());
        let gas_used: u64 = wire.gas_used.to();
        Self {
            block: BlockNo(wire.block_number.to()),
            block_hash: wire.block_hash,
            success: wire.status == U64::from(1),
            gas_used,
            fee: Wei(price.saturating_mul(u128::from(gas_used))),
        }
    }
}
