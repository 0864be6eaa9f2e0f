//! What the contracts show, as the market's own types.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::{SolCall, SolEvent};
use headframe_chain::{Rpc, RpcError};
use headframe_contracts::{Deployment, JobMarket, StakeRegistry};
use headframe_market::machine::{ClaimState, ClaimView, JobState, JobView};
use headframe_market::typed_data::Domain;
use headframe_market::{Addresses, BlockNo, ClaimId, JobId, Price, SegmentNo, Units, Wei};
use std::sync::Arc;

/// Blocks asked for in one log query; public nodes refuse much more.
const LOG_SPAN: u64 = 5_000;

/// Reads the contracts of one deployment.
#[derive(Clone)]
pub struct ChainView {
    rpc: Arc<Rpc>,
    /// Where the contracts are.
    pub at: Addresses,
    /// Where signatures are valid.
    pub domain: Domain,
    /// The first block that can hold anything of interest.
    pub since: BlockNo,
}

/// A contract that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The chain did not answer.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// It answered what the contract would not: a wrong address, or a provider that lies.
    #[error("{function} at {contract} answered what it cannot: {source}; is the deployment file the right one?")]
    Decode {
        /// The function asked.
        function: &'static str,
        /// The contract asked.
        contract: Address,
        /// What is wrong with it.
        source: alloy::sol_types::Error,
    },
}

/// An operator as the registry shows it.
#[derive(Clone, Debug)]
pub struct OperatorView {
    /// Bonded stake, token's smallest unit.
    pub bonded: u128,
    /// The part of it that is locked by jobs and claims.
    pub locked: u128,
    /// In the active set.
    pub active: bool,
    /// Where it serves.
    pub service_uri: String,
}

impl ChainView {
    /// Reads `deployment` through `rpc`.
    pub fn new(rpc: Arc<Rpc>, deployment: &Deployment) -> Self {
        let at = Addresses { token: deployment.token, registry: deployment.registry, market: deployment.market };
        let domain = Domain { chain_id: deployment.chain_id, market: deployment.market };
        Self { rpc, at, domain, since: BlockNo(deployment.block) }
    }

    /// The providers below.
    pub fn rpc(&self) -> &Arc<Rpc> {
        &self.rpc
    }

    async fn call<C: SolCall>(&self, contract: Address, call: C) -> Result<C::Return, ViewError> {
        let answer = self.rpc.call(contract, Bytes::from(call.abi_encode())).await?;
        C::abi_decode_returns_validate(&answer).map_err(|source| ViewError::Decode {
            function: C::SIGNATURE,
            contract,
            source,
        })
    }

    /// One job. A job that does not exist is in [`JobState::None`].
    pub async fn job(&self, id: JobId) -> Result<JobView, ViewError> {
        let job = self.call(self.at.market, JobMarket::jobCall { jobId: id.0 }).await?;
        Ok(JobView {
            id,
            client: job.client,
            operator: job.operator,
            state: match job.state as u8 {
                1 => JobState::Open,
                2 => JobState::Awarded,
                3 => JobState::Active,
                4 => JobState::Draining,
                5 => JobState::Closed,
                _ => JobState::None,
            },
            samples: job.k,
            bid_until: BlockNo(job.bidUntil),
            start_until: BlockNo(job.startUntil),
            drain_until: BlockNo(job.drainUntil),
            price: price(job.price),
            max_price: price(job.maxPrice),
            escrow: Wei(job.escrow),
            reserved: Wei(job.reserved),
            profile: job.profile,
            next_seq: SegmentNo(job.nextSeq),
            open_claims: job.openClaims,
            released: job.released,
        })
    }

    /// The live bids of a job, in the order they were placed.
    pub async fn bids(&self, id: JobId) -> Result<Vec<(Address, Price)>, ViewError> {
        let bids = self.call(self.at.market, JobMarket::bidsCall { jobId: id.0 }).await?;
        Ok(bids.operators.into_iter().zip(bids.prices.into_iter().map(price)).collect())
    }

    /// The id that the next job will get.
    pub async fn next_job(&self) -> Result<JobId, ViewError> {
        Ok(JobId(self.call(self.at.market, JobMarket::nextJobIdCall {}).await?))
    }

    /// One claim.
    pub async fn claim(&self, id: ClaimId) -> Result<ClaimView, ViewError> {
        let claim = self.call(self.at.market, JobMarket::claimInfoCall { claimId: id.0 }).await?;
        Ok(ClaimView {
            id,
            job: JobId(claim.jobId),
            operator: claim.operator,
            first: SegmentNo(claim.first),
            count: claim.count,
            units: Units(claim.totalUnits),
            state: match claim.state as u8 {
                1 => ClaimState::Submitted,
                2 => ClaimState::Sealed,
                3 => ClaimState::Answered,
                4 => ClaimState::Settled,
                5 => ClaimState::Slashed,
                _ => ClaimState::None,
            },
            root: claim.root,
            seed: claim.seed,
            seed_block: BlockNo(claim.seedBlock),
            deadline: BlockNo(claim.deadline),
            fee: Wei(claim.fee),
        })
    }

    /// How many claims `operator` ever made.
    pub async fn claims_made(&self, operator: Address) -> Result<u64, ViewError> {
        self.call(self.at.market, JobMarket::operatorClaimsCall { operator }).await
    }

    /// Money credited to `account` and not withdrawn.
    pub async fn owed(&self, account: Address) -> Result<Wei, ViewError> {
        Ok(Wei(saturate(self.call(self.at.market, JobMarket::owedCall { account }).await?)))
    }

    /// An operator's bond and service address.
    pub async fn operator(&self, operator: Address) -> Result<OperatorView, ViewError> {
        let info = self.call(self.at.registry, StakeRegistry::operatorInfoCall { operator }).await?;
        Ok(OperatorView { bonded: info.bonded, locked: info.locked, active: info.active, service_uri: info.serviceUri })
    }

    /// An account's native coin.
    pub async fn balance(&self, account: Address) -> Result<Wei, ViewError> {
        Ok(self.rpc.balance(account).await?)
    }

    /// Claims that `operator` submitted in the blocks `from..=to`.
    pub async fn claims_since(
        &self,
        operator: Address,
        from: BlockNo,
        to: BlockNo,
    ) -> Result<Vec<(ClaimId, JobId, SegmentNo, u32)>, ViewError> {
        let logs = self.logs::<JobMarket::ClaimSubmitted>([None, None, Some(operator.into_word())], from, to).await?;
        Ok(logs
            .into_iter()
            .map(|(log, _)| (ClaimId(log.claimId), JobId(log.jobId), SegmentNo(log.first), log.count))
            .collect())
    }

    /// Jobs that `client` opened in the blocks `from..=to`, with the transactions that did.
    pub async fn jobs_opened(
        &self,
        client: Address,
        from: BlockNo,
        to: BlockNo,
    ) -> Result<Vec<(JobId, B256)>, ViewError> {
        let logs = self.logs::<JobMarket::JobOpened>([None, Some(client.into_word()), None], from, to).await?;
        Ok(logs.into_iter().map(|(log, transaction)| (JobId(log.jobId), transaction)).collect())
    }

    /// Jobs that `operator` took in the blocks `from..=to`.
    pub async fn jobs_taken(&self, operator: Address, from: BlockNo, to: BlockNo) -> Result<Vec<JobId>, ViewError> {
        let logs = self.logs::<JobMarket::JobClaimed>([None, Some(operator.into_word()), None], from, to).await?;
        Ok(logs.into_iter().map(|(log, _)| JobId(log.jobId)).collect())
    }

    async fn logs<E: SolEvent>(
        &self,
        topics: [Option<B256>; 3],
        from: BlockNo,
        to: BlockNo,
    ) -> Result<Vec<(E, B256)>, ViewError> {
        let mut found = Vec::new();
        let mut start = from.0;
        while start <= to.0 {
            let end = to.0.min(start.saturating_add(LOG_SPAN - 1));
            let mut filter = Filter::new().address(self.at.market).event_signature(E::SIGNATURE_HASH);
            filter = filter.from_block(start).to_block(end);
            for (place, topic) in topics.iter().enumerate() {
                if let Some(topic) = topic {
                    filter.topics[place + 1] = (*topic).into();
                }
            }
            for log in self.rpc.logs(&filter).await? {
                found.push((self.event(&log)?, log.transaction_hash.unwrap_or_default()));
            }
            start = end + 1;
        }
        Ok(found)
    }

    fn event<E: SolEvent>(&self, log: &Log) -> Result<E, ViewError> {
        let event = E::decode_raw_log_validate(log.topics().iter().copied(), &log.data().data);
        event.map_err(|source| ViewError::Decode { function: E::SIGNATURE, contract: self.at.market, source })
    }
}

/// The contracts' own errors in words, for the outbox.
pub(crate) fn explain_revert(data: &[u8]) -> Option<String> {
    use alloy::sol_types::SolInterface;
    let market = JobMarket::JobMarketErrors::abi_decode(data).map(|error| format!("{error:?}"));
    market.or_else(|_| StakeRegistry::StakeRegistryErrors::abi_decode(data).map(|error| format!("{error:?}"))).ok()
}

fn price(wei: alloy::primitives::aliases::U96) -> Price {
    Price::new(wei.to::<u128>()).unwrap_or(Price::MAX)
}

fn saturate(amount: U256) -> u128 {
    u128::try_from(amount).unwrap_or(u128::MAX)
}
