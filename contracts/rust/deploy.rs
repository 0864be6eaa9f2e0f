//! Where the contracts of a network are, and the file that tells everybody. [`crate::order`] puts them there.

use crate::bindings::{JobMarket, StakeRegistry, Token};
use alloy::contract::CallBuilder;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, U256};
use alloy::providers::{PendingTransactionError, Provider};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::transports::{RpcError, TransportErrorKind};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `IStakeRegistry.SlasherState.Active`.
const SLASHER_ACTIVE: u8 = 2;

/// Where the contracts of one network are. Written as JSON and shared by everything that takes part in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The stake token.
    pub token: Address,
    /// Stake and the active set.
    pub registry: Address,
    /// Fees on their way to treasury, owners and delegators.
    pub router: Address,
    /// What can be ordered.
    pub profiles: Address,
    /// Jobs and their escrow; also the verifying contract of every signature.
    pub market: Address,
    /// Claims.
    pub book: Address,
    /// Verifiers and proofs.
    pub challenges: Address,
    /// Disputes.
    pub game: Address,
    /// Who decides them.
    pub jury: Address,
    /// New tokens.
    pub rewards: Address,
    /// Who has how many votes.
    pub votes: Address,
    /// Who decides.
    pub governor: Address,
    /// Through what decisions act: the admin of everything.
    pub timelock: Address,
    /// Who may hold up new work for some days.
    pub guardian: Address,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// No event of these contracts is older than this block.
    pub block: u64,
}

/// Why a deployment or a funding transaction did not happen.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The transaction was refused before it was sent.
    #[error("{step}: the node refused the transaction: {source}; is the account funded?")]
    Refused {
        /// What was to be done.
        step: &'static str,
        /// What the node said.
        source: Box<alloy::contract::Error>,
    },
    /// It was sent, but its outcome could not be learned.
    #[error("{step}: no receipt: {source}")]
    Lost {
        /// What was to be done.
        step: &'static str,
        /// What went wrong.
        source: PendingTransactionError,
    },
    /// Something else was sent from the account meanwhile, or it is not the provider's own.
    #[error(
        "{step}: it is at {found} and others expect it at {expected}; deploy again and use the account for nothing else"
    )]
    Misplaced {
        /// What was to be done.
        step: &'static str,
        /// Where it had to be.
        expected: Address,
        /// Where it is.
        found: Address,
    },
    /// It was mined and failed.
    #[error("{step}: transaction {tx} reverted")]
    Reverted {
        /// What was to be done.
        step: &'static str,
        /// The transaction's hash.
        tx: alloy::primitives::B256,
    },
    /// The node did not answer.
    #[error("{step}: {source}")]
    Node {
        /// What was to be done.
        step: &'static str,
        /// What went wrong.
        source: RpcError<TransportErrorKind>,
    },
}

/// Why a chain is not the one a deployment file speaks of.
#[derive(Debug, thiserror::Error)]
pub enum WrongDeployment {
    /// The node did not answer.
    #[error("cannot check the deployment: {0}")]
    Node(#[from] alloy::contract::Error),
    /// Another chain.
    #[error("the deployment is on chain {expected} and the node serves chain {found}; use that chain's file")]
    Chain {
        /// As the file says.
        expected: u64,
        /// As the node says.
        found: u64,
    },
    /// The contracts do not belong together.
    #[error("market {market} and registry {registry} do not know each other and token {token}: deploy again")]
    Unrelated {
        /// The market of the file.
        market: Address,
        /// The registry of the file.
        registry: Address,
        /// The token of the file.
        token: Address,
    },
}

/// Why a deployment file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentFileError {
    /// Not readable or writable.
    #[error("deployment file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a deployment.
    #[error("deployment file {path} is not usable: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
}

/// Gives `to` stake tokens (1e-18) and wei out of the provider's own account; zero amounts are skipped.
pub async fn fund<P: Provider>(
    provider: &P,
    at: &Deployment,
    to: Address,
    stake: u128,
    wei: u128,
) -> Result<(), DeployError> {
    if stake > 0 {
        let token = Token::new(at.token, provider);
        confirm("sending stake", token.transfer(to, U256::from(stake))).await?;
    }
    if wei > 0 {
        let step = "sending coins";
        let request = TransactionRequest::default().with_to(to).with_value(U256::from(wei));
        let sent = provider.send_transaction(request).await.map_err(|source| DeployError::Node { step, source })?;
        let receipt = sent.get_receipt().await.map_err(|source| DeployError::Lost { step, source })?;
        accepted(step, receipt)?;
    }
    Ok(())
}

impl Deployment {
    /// Reads a file written by [`Self::save`].
    pub fn load(path: &Path) -> Result<Self, DeploymentFileError> {
        let text = std::fs::read(path).map_err(|source| DeploymentFileError::Io { path: path.into(), source })?;
        serde_json::from_slice(&text).map_err(|source| DeploymentFileError::Parse { path: path.into(), source })
    }

    /// Writes the file whole or not at all: a reader sees the old content or the new.
    pub fn save(&self, path: &Path) -> Result<(), DeploymentFileError> {
        let io = |source| DeploymentFileError::Io { path: path.into(), source };
        let text = serde_json::to_string_pretty(self).map_err(|e| io(e.into()))? + "\n";
        let aside = path.with_extension("new");
        std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, path)).map_err(io)
    }

    /// Checks that the node serves this deployment's chain and that the contracts there name each other.
    pub async fn verify<P: Provider>(&self, provider: &P) -> Result<(), WrongDeployment> {
        let found = provider.get_chain_id().await.map_err(alloy::contract::Error::from)?;
        if found != self.chain_id {
            return Err(WrongDeployment::Chain { expected: self.chain_id, found });
        }
        let registry = StakeRegistry::new(self.registry, provider);
        let market = JobMarket::new(self.market, provider);
        let related = market.registry().call().await? == self.registry
            && registry.slasherState(self.market).call().await? == SLASHER_ACTIVE
            && registry.token().call().await? == self.token;
        if related {
            return Ok(());
        }
        Err(WrongDeployment::Unrelated { market: self.market, registry: self.registry, token: self.token })
    }
}

pub(crate) async fn confirm<P: Provider, D: alloy::contract::CallDecoder>(
    step: &'static str,
    call: CallBuilder<P, D>,
) -> Result<TransactionReceipt, DeployError> {
    let sent = call.send().await.map_err(|source| DeployError::Refused { step, source: Box::new(source) })?;
    let receipt = sent.get_receipt().await.map_err(|source| DeployError::Lost { step, source })?;
    accepted(step, receipt)
}

fn accepted(step: &'static str, receipt: TransactionReceipt) -> Result<TransactionReceipt, DeployError> {
    if receipt.status() {
        return Ok(receipt);
    }
    Err(DeployError::Reverted { step, tx: receipt.transaction_hash })
}
