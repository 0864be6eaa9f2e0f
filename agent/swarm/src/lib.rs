//! The only peer-to-peer: a libp2p node that gossips small signed messages such as job offers.
//!
//! Knows nothing of the market, the chain or the codec: what a message means, and whether it is worth passing on, is
//! decided by a closure of the caller. Every byte from a peer is bounded in size and rate before that closure sees it,
//! and nothing is forwarded that it did not accept.

#![forbid(unsafe_code)]

mod bootstrap;
mod config;
mod key;
mod node;
pub mod offer;
mod rate;
mod service;

pub use config::{Config, Limits, StartError};
pub use node::{Message, Node, PublishError, Published, Stats, Verdict};
pub use offer::{JobOffer, OFFERS_TOPIC};

pub use libp2p::{Multiaddr, PeerId};
