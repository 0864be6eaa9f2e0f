//! What a client orders and what an operator offers for it, both signed.

use crate::typed_data::{self, Domain, Typed};
use crate::units::{Price, Timestamp};
use alloy_primitives::{Address, B256, Signature, U256};
use serde::{Deserialize, Serialize};

/// A client's order. Its hash names it to bidders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobOrder {
    /// Who pays, and whose key orders each segment.
    pub client: Address,
    /// Id of the [`crate::profile::Profile`].
    pub profile: B256,
    /// The most it pays for a unit.
    pub max_price: Price,
    /// No new segments after it, by the market's clock.
    pub deadline: Timestamp,
    /// Segments drawn of a long claim, 1..=8.
    pub samples: u8,
    /// End of the client's hash chain, or zero.
    pub seed_tip: B256,
    /// Tells orders apart.
    pub salt: u64,
}

/// An operator's offer for one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bid {
    /// [`JobOrder::hash`].
    pub order: B256,
    /// Who would do it.
    pub operator: Address,
    /// What it asks for a unit.
    pub price: Price,
    /// Last second, of block time, in which it can be accepted.
    pub expiry: Timestamp,
    /// Used once for each operator.
    pub nonce: U256,
}

impl JobOrder {
    /// The EIP-712 hash: names the order in bids, and is what a client signs so that others may relay it.
    pub fn hash(&self, domain: &Domain) -> B256 {
        typed_data::order_hash(self, domain)
    }
}

impl Bid {
    /// What the operator's key signs.
    pub fn typed(&self, domain: &Domain) -> Typed {
        typed_data::bid(self, domain)
    }

    /// The EIP-712 hash that the operator's key signs.
    pub fn signing_hash(&self, domain: &Domain) -> B256 {
        self.typed(domain).signing_hash()
    }

    /// Whose key signed it, or `None` for a malformed signature.
    pub fn signer(&self, domain: &Domain, signature: &Signature) -> Option<Address> {
        crate::receipt::recover(self.signing_hash(domain), signature)
    }
}
