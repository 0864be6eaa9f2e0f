//! The only door to the chain: several JSON-RPC providers as one ([`provider`]), a reorg-aware view of the head
//! ([`watcher`]) and transactions whose effect happens exactly once ([`outbox`]).
//!
//! Knows the market's typed transactions and nothing of contracts' bindings, keys or configuration. Everything a
//! provider says is parsed in safe code, bounded in size, and may be late, wrong or missing.

#![forbid(unsafe_code)]

pub mod error;
pub mod outbox;
pub mod provider;
pub mod revert;
pub mod types;
pub mod watcher;

pub use error::{Class, RpcError};
pub use outbox::{
    Deadline, Event, Intent, Outbox, OutboxError, SignError, Signed, State, TxFields, TxSigner, Until, Worker,
};
pub use provider::{CodePin, ProviderStats, Rpc};
pub use types::{Header, Pin, Receipt};
pub use watcher::{Head, Watcher};
