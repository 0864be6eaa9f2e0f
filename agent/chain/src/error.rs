//! What can go wrong between us and a provider, sorted by what the caller should do about it.

use crate::revert::Revert;
use alloy::primitives::{Address, B256};

/// What the caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nobody could answer right now. Ask again later; nothing is lost.
    Retry,
    /// The chain answered, and this is the answer.
    Answer,
    /// Going on could cost stake or money: stop the process (exit 79) and let a person look.
    Unsafe,
}

/// Why a request to the chain did not give a value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RpcError {
    /// The configuration names no usable provider.
    #[error("rpc url {url:?}: {why}; give http:// or https:// URLs of JSON-RPC endpoints")]
    BadUrl {
        /// As configured.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A provider serves another chain than the one this node is bound to.
    #[error("provider {provider} serves chain {found}, but this node is bound to chain {expected}; fix the rpc urls")]
    WrongChain {
        /// Scheme, host and port of the provider.
        provider: String,
        /// The chain id that was pinned.
        expected: u64,
        /// The chain id it reports.
        found: u64,
    },
    /// Same chain id, but another chain.
    #[error(
        "provider {provider} has genesis {found}, but this node is bound to {expected}: another chain with the same \
         id, or a devnet that was started anew; fix the rpc urls or start from an empty state directory"
    )]
    WrongGenesis {
        /// Scheme, host and port of the provider.
        provider: String,
        /// The genesis hash that was pinned.
        expected: B256,
        /// The genesis hash it reports.
        found: B256,
    },
    /// A contract of the deployment is not the one that this node began with.
    #[error(
        "the code of {name} at {address} has hash {found}, but this node is bound to {expected}: another deployment or \
         another chain; fix the rpc urls or the deployment file"
    )]
    WrongCode {
        /// Which contract.
        name: &'static str,
        /// Where it is.
        address: Address,
        /// As pinned.
        expected: B256,
        /// As most providers serve it.
        found: B256,
    },
    /// There is no contract where the deployment says.
    #[error(
        "there is no contract at {address}, the deployment's {name}; is it the right file, and was the chain reset?"
    )]
    NoCode {
        /// Which contract.
        name: &'static str,
        /// Where it should be.
        address: Address,
    },
    /// Too few providers answer alike.
    #[error("too few providers agree on {what}")]
    NoQuorum {
        /// What was asked.
        what: String,
    },
    /// No provider gave a usable answer.
    #[error("{method}: no provider answers ({detail})")]
    Unavailable {
        /// The JSON-RPC method.
        method: &'static str,
        /// One reason for each provider.
        detail: String,
    },
    /// A provider answered with an error of its own.
    #[error("{method}: provider {provider} answers {message} (code {code})")]
    Server {
        /// The JSON-RPC method.
        method: &'static str,
        /// Scheme, host and port of the provider.
        provider: String,
        /// JSON-RPC error code.
        code: i64,
        /// Its text, cut to 300 characters.
        message: String,
    },
    /// The call reverts.
    #[error("the call reverts: {0}")]
    Reverted(Revert),
}

impl RpcError {
    /// What the caller does about it.
    pub fn class(&self) -> Class {
        match self {
            Self::WrongChain { .. } | Self::WrongGenesis { .. } | Self::WrongCode { .. } | Self::NoCode { .. } => {
                Class::Unsafe
            }
            Self::Unavailable { .. } | Self::NoQuorum { .. } => Class::Retry,
            Self::BadUrl { .. } | Self::Server { .. } | Self::Reverted(_) => Class::Answer,
        }
    }
}
