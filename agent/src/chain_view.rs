//! What the contracts show, as the market's own types.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::{SolCall, SolEvent};
use headframe_chain::provider::views::Agreed;
use headframe_chain::types::Simulation;
use headframe_chain::{Rpc, RpcError};
use headframe_contracts::{
    ActiveSet, ClaimBook, Deployment, FeeRouter, IClaimBook, IJobMarket, IStakeRegistry, JobMarket, OperatorKeys,
    ProfileRegistry, Rewards, StakeRegistry, Token,
};
use headframe_guard::protocol::SeenClaim;
use headframe_market::machine::{ClaimState, ClaimView, JobState, JobView, Now};
use headframe_market::typed_data::Domain;
use headframe_market::{Action, Addresses, BlockNo, ClaimId, JobId, Price, SegmentNo, Timestamp, Units, Wei};
use std::sync::Arc;

/// Blocks asked for in one log query; public nodes refuse much more.
const LOG_SPAN: u64 = 5_000;
/// `IStakeRegistry.State.Standby`.
const STANDBY: u8 = 2;

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
    /// Who alone may take stake out, and is owed the fees.
    pub owner: Address,
    /// In the active set.
    pub active: bool,
    /// Entitled to a slot of it, and without one.
    pub standby: bool,
    /// Where it serves.
    pub service_uri: String,
}

/// Where an operator's own stake is. Amounts are in the token's smallest unit, as text in JSON.
#[derive(Clone, Debug, serde::Serialize)]
pub struct StakeView {
    /// Who alone may take stake out.
    pub owner: Address,
    /// In the active set.
    pub active: bool,
    /// At work.
    #[serde(serialize_with = "text")]
    pub bonded: u128,
    /// The part of it that is locked by jobs and claims.
    #[serde(serialize_with = "text")]
    pub locked: u128,
    /// On its way out, and still slashable.
    pub thawing: Vec<Thaw>,
    /// The least that an operator has to have bonded to work.
    #[serde(serialize_with = "text")]
    pub min_self: u128,
    /// Held by the operator's own account.
    #[serde(serialize_with = "text")]
    pub wallet: u128,
    /// What the registry may take of that.
    #[serde(serialize_with = "text")]
    pub allowance: u128,
}

/// Stake on its way out.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Thaw {
    /// How much.
    #[serde(serialize_with = "text")]
    pub amount: u128,
    /// The second from which on it can be withdrawn.
    pub ready_at: u64,
}

/// Fees after they were split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Routed {
    /// The treasury's part.
    pub treasury: Wei,
    /// The operator's.
    pub owner: Wei,
    /// Its delegators'.
    pub delegators: Wei,
}

impl ChainView {
    /// Reads `deployment` through `rpc`. Where its active set is, the chain says: see [`ChainView::complete`].
    pub fn new(rpc: Arc<Rpc>, deployment: &Deployment) -> Self {
        let at = Addresses {
            token: deployment.token,
            registry: deployment.registry,
            market: deployment.market,
            book: deployment.book,
            profiles: deployment.profiles,
            router: deployment.router,
            rewards: deployment.rewards,
            active_set: Address::ZERO,
        };
        let domain = Domain { chain_id: deployment.chain_id, market: deployment.market };
        Self { rpc, at, domain, since: BlockNo(deployment.block) }
    }

    /// The same, with the contracts that the deployment file does not name.
    ///
    /// # Errors
    /// Where the registry cannot be read.
    pub async fn complete(mut self) -> Result<Self, ViewError> {
        self.at.active_set = self.call(self.at.registry, StakeRegistry::activeSetCall {}).await?;
        Ok(self)
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

    /// Contracts of the deployment that the market does not work with; none where the file is whole.
    pub async fn strangers(&self) -> Result<Vec<&'static str>, ViewError> {
        let market = self.at.market;
        let pairs = [
            ("registry", self.at.registry, self.call(market, JobMarket::registryCall {}).await?),
            ("claim book", self.at.book, self.call(market, JobMarket::bookCall {}).await?),
            ("profile registry", self.at.profiles, self.call(market, JobMarket::profilesCall {}).await?),
            ("fee router", self.at.router, self.call(market, JobMarket::routerCall {}).await?),
            ("rewards contract", self.at.rewards, self.call(self.at.token, Token::minterCall {}).await?),
        ];
        Ok(pairs.into_iter().filter(|(_, named, known)| named != known).map(|(name, ..)| name).collect())
    }

    /// The times that jobs and claims are held against, at a head of the chain.
    pub async fn now(&self, head: BlockNo, time: Timestamp) -> Result<Now, ViewError> {
        let market = Timestamp(self.call(self.at.market, JobMarket::clockCall {}).await?.to::<u64>());
        Ok(Now { head, time, market })
    }

    /// One job. A job that does not exist is in [`JobState::None`].
    pub async fn job(&self, id: JobId) -> Result<JobView, ViewError> {
        let job = self.call(self.at.market, JobMarket::jobCall { jobId: id.0 }).await?;
        Ok(job_view(id, &job))
    }

    /// One job as every answer shows it, the most frequent first, and whether a quorum says that one.
    pub async fn job_said(&self, id: JobId) -> Result<Agreed<Vec<JobView>>, ViewError> {
        self.call_said(self.at.market, JobMarket::jobCall { jobId: id.0 }, |job| job_view(id, &job)).await
    }

    /// The id that the next job will get.
    pub async fn next_job(&self) -> Result<JobId, ViewError> {
        Ok(JobId(self.call(self.at.market, JobMarket::nextJobIdCall {}).await?))
    }

    /// Whether a profile can be ordered.
    pub async fn knows_profile(&self, id: B256) -> Result<bool, ViewError> {
        self.call(self.at.profiles, ProfileRegistry::knownCall { id }).await
    }

    /// One claim.
    pub async fn claim(&self, id: ClaimId) -> Result<ClaimView, ViewError> {
        let claim = self.call(self.at.book, ClaimBook::claimInfoCall { claimId: id.0 }).await?;
        Ok(claim_view(id, &claim))
    }

    /// One claim as every answer shows it, the most frequent first, and whether a quorum says that one.
    pub async fn claim_said(&self, id: ClaimId) -> Result<Agreed<Vec<ClaimView>>, ViewError> {
        self.call_said(self.at.book, ClaimBook::claimInfoCall { claimId: id.0 }, |claim| claim_view(id, &claim)).await
    }

    async fn call_said<C: SolCall, T>(
        &self,
        contract: Address,
        call: C,
        view: impl Fn(C::Return) -> T,
    ) -> Result<Agreed<Vec<T>>, ViewError> {
        let said = self.rpc.call_said(contract, Bytes::from(call.abi_encode())).await?;
        let decode = |answer: &Bytes| C::abi_decode_returns_validate(answer).ok();
        let quorum = said.quorum && said.value.first().and_then(decode).is_some();
        Ok(Agreed { value: said.value.iter().filter_map(decode).map(view).collect(), quorum })
    }

    /// Refunds credited to `account` by the market and not withdrawn.
    pub async fn owed(&self, account: Address) -> Result<Wei, ViewError> {
        Ok(Wei(saturate(self.call(self.at.market, JobMarket::owedCall { account }).await?)))
    }

    /// Fees that `operator` has earned and the market holds.
    pub async fn earned(&self, operator: Address) -> Result<Wei, ViewError> {
        Ok(Wei(saturate(self.call(self.at.market, JobMarket::feesOfCall { operator }).await?)))
    }

    /// Fees of `account`, as an owner or the treasury, that the router holds.
    pub async fn fees(&self, account: Address) -> Result<Wei, ViewError> {
        Ok(Wei(saturate(self.call(self.at.router, FeeRouter::owedCall { account }).await?)))
    }

    /// What the router has split of the fees of `operator`, in the blocks `from..=to`.
    pub async fn routed(&self, operator: Address, from: BlockNo, to: BlockNo) -> Result<Routed, ViewError> {
        let topics = [Some(operator.into_word()), None, None];
        let logs = self.logs::<FeeRouter::Routed>(self.at.router, topics, from, to).await?;
        Ok(logs.into_iter().fold(Routed::default(), |sum, (log, _)| Routed {
            treasury: Wei(sum.treasury.0 + saturate(log.toTreasury)),
            owner: Wei(sum.owner.0 + saturate(log.toOwner)),
            delegators: Wei(sum.delegators.0 + saturate(log.toDelegators)),
        }))
    }

    /// The active operators, in the order of their slots.
    pub async fn operators(&self) -> Result<Vec<Address>, ViewError> {
        self.call(self.at.active_set, ActiveSet::membersCall {}).await
    }

    /// The operator that a key signs for, or zero.
    pub async fn operator_of(&self, key: Address) -> Result<Address, ViewError> {
        let keys = self.call(self.at.registry, StakeRegistry::keysCall {}).await?;
        self.call(keys, OperatorKeys::operatorOfCall { key }).await
    }

    /// An operator's bond and service address.
    pub async fn operator(&self, operator: Address) -> Result<OperatorView, ViewError> {
        let info = self.call(self.at.registry, StakeRegistry::operatorInfoCall { operator }).await?;
        Ok(OperatorView {
            bonded: info.bonded,
            locked: info.locked,
            // Before its first bond nobody owns it.
            owner: if info.owner.is_zero() { operator } else { info.owner },
            active: info.active,
            standby: info.state == STANDBY,
            service_uri: info.serviceUri,
        })
    }

    /// The epoch for which a reward of `operator` can be minted now: the one before the running one, unless it is minted already or
    /// the operator had no weight in it.
    pub async fn reward_due(&self, operator: Address) -> Result<Option<u64>, ViewError> {
        if self.at.rewards.is_zero() {
            return Ok(None); // a token of which there is never more
        }
        let set = self.at.active_set;
        let epoch: U256 = self.call(set, ActiveSet::epochCall {}).await?;
        let last = epoch.saturating_sub(U256::ONE);
        let rewarded: U256 = self.call(self.at.rewards, Rewards::rewardedCall { operator }).await?;
        if last.is_zero() || rewarded >= last {
            return Ok(None);
        }
        let weight: U256 = self.call(set, ActiveSet::weightInCall { during: last, operator }).await?;
        Ok((!weight.is_zero()).then(|| last.saturating_to()))
    }

    /// What an operator has of the stake token, and where it is.
    pub async fn stake(&self, operator: Address) -> Result<StakeView, ViewError> {
        let info = self.call(self.at.registry, StakeRegistry::operatorInfoCall { operator }).await?;
        let params = self.call(self.at.registry, StakeRegistry::paramsCall {}).await?;
        let thawing = self.call(self.at.registry, StakeRegistry::selfThawsCall { operator }).await?;
        let wallet = self.call(self.at.token, Token::balanceOfCall { account: operator }).await?;
        let allowance = Token::allowanceCall { owner: operator, spender: self.at.registry };
        let thaw = |thaw: IStakeRegistry::Thaw| Thaw { amount: thaw.amount, ready_at: thaw.readyAt.to::<u64>() };
        Ok(StakeView {
            owner: info.owner,
            active: info.active,
            bonded: info.bonded,
            locked: info.locked,
            thawing: thawing.into_iter().map(thaw).collect(),
            min_self: params.minSelf,
            wallet: saturate(wallet),
            allowance: saturate(self.call(self.at.token, allowance).await?),
        })
    }

    /// The gas that `action` of `from` takes now, or why it would revert.
    pub async fn rehearse(&self, from: Address, action: &Action) -> Result<Result<u64, String>, ViewError> {
        let call = action.call(&self.at);
        let call = Simulation { from, to: call.to, value: call.value, input: call.input, gas: None };
        match self.rpc.estimate_gas(&call).await {
            Ok(gas) => Ok(Ok(gas)),
            Err(RpcError::Reverted(revert)) => Ok(Err(explain_revert(&revert.data).unwrap_or_else(|| revert.reason()))),
            Err(error) => Err(error.into()),
        }
    }

    /// An account's native coin.
    pub async fn balance(&self, account: Address) -> Result<Wei, ViewError> {
        Ok(self.rpc.balance(account).await?)
    }

    /// Claims that `operator` submitted in the blocks `from..=to`.
    pub async fn claims_since(&self, operator: Address, from: BlockNo, to: BlockNo) -> Result<Vec<ClaimId>, ViewError> {
        Ok(self.claims_made(operator, from, to).await?.into_iter().map(|(id, _)| id).collect())
    }

    /// The same claims with their content.
    pub async fn claims_made(
        &self,
        operator: Address,
        from: BlockNo,
        to: BlockNo,
    ) -> Result<Vec<(ClaimId, SeenClaim)>, ViewError> {
        let topics = [None, None, Some(operator.into_word())];
        let logs = self.logs::<ClaimBook::ClaimSubmitted>(self.at.book, topics, from, to).await?;
        let claim = |log: ClaimBook::ClaimSubmitted| {
            // A claim's number is made of its job and its first segment.
            let first = SegmentNo(log.claimId & u64::from(u32::MAX));
            let seen = SeenClaim { job: JobId(log.jobId), first, count: log.count, root: log.root };
            (ClaimId(log.claimId), seen)
        };
        Ok(logs.into_iter().map(|(log, _)| claim(log)).collect())
    }

    /// Jobs that `client` opened in the blocks `from..=to`, with the transactions that did.
    pub async fn jobs_opened(
        &self,
        client: Address,
        from: BlockNo,
        to: BlockNo,
    ) -> Result<Vec<(JobId, B256)>, ViewError> {
        let logs =
            self.logs::<JobMarket::JobOpened>(self.at.market, [None, Some(client.into_word()), None], from, to).await?;
        Ok(logs.into_iter().map(|(log, transaction)| (JobId(log.jobId), transaction)).collect())
    }

    /// Jobs that were given to `operator` in the blocks `from..=to`.
    pub async fn jobs_assigned(&self, operator: Address, from: BlockNo, to: BlockNo) -> Result<Vec<JobId>, ViewError> {
        let topics = [None, Some(operator.into_word()), None];
        let logs = self.logs::<JobMarket::JobAssigned>(self.at.market, topics, from, to).await?;
        Ok(logs.into_iter().map(|(log, _)| JobId(log.jobId)).collect())
    }

    /// Jobs that `operator` started in the blocks `from..=to`.
    pub async fn jobs_taken(&self, operator: Address, from: BlockNo, to: BlockNo) -> Result<Vec<JobId>, ViewError> {
        let topics = [None, Some(operator.into_word()), None];
        let logs = self.logs::<JobMarket::JobStarted>(self.at.market, topics, from, to).await?;
        Ok(logs.into_iter().map(|(log, _)| JobId(log.jobId)).collect())
    }

    async fn logs<E: SolEvent>(
        &self,
        contract: Address,
        topics: [Option<B256>; 3],
        from: BlockNo,
        to: BlockNo,
    ) -> Result<Vec<(E, B256)>, ViewError> {
        let mut found = Vec::new();
        let mut start = from.0;
        while start <= to.0 {
            let end = to.0.min(start.saturating_add(LOG_SPAN - 1));
            let mut filter = Filter::new().address(contract).event_signature(E::SIGNATURE_HASH);
            filter = filter.from_block(start).to_block(end);
            for (place, topic) in topics.iter().enumerate() {
                if let Some(topic) = topic {
                    filter.topics[place + 1] = (*topic).into();
                }
            }
            for log in self.rpc.logs(&filter).await? {
                found.push((self.event(contract, &log)?, log.transaction_hash.unwrap_or_default()));
            }
            start = end + 1;
        }
        Ok(found)
    }

    fn event<E: SolEvent>(&self, contract: Address, log: &Log) -> Result<E, ViewError> {
        let event = E::decode_raw_log_validate(log.topics().iter().copied(), &log.data().data);
        event.map_err(|source| ViewError::Decode { function: E::SIGNATURE, contract, source })
    }
}

/// The contracts' own errors in words, for the outbox.
pub(crate) fn explain_revert(data: &[u8]) -> Option<String> {
    use alloy::sol_types::SolInterface;
    fn words<E: SolInterface + std::fmt::Debug>(data: &[u8]) -> Option<String> {
        E::abi_decode(data).ok().map(|error| format!("{error:?}"))
    }
    words::<JobMarket::JobMarketErrors>(data)
        .or_else(|| words::<ClaimBook::ClaimBookErrors>(data))
        .or_else(|| words::<StakeRegistry::StakeRegistryErrors>(data))
        .or_else(|| words::<Token::TokenErrors>(data))
}

fn job_view(id: JobId, job: &IJobMarket::Job) -> JobView {
    JobView {
        id,
        client: job.client,
        operator: job.operator,
        state: JobState::of(job.state),
        samples: job.k,
        deadline: Timestamp(job.deadline.to::<u64>()),
        start_until: Timestamp(job.startUntil.to::<u64>()),
        drain_until: Timestamp(job.drainUntil.to::<u64>()),
        price: price(job.price),
        max_price: price(job.maxPrice),
        escrow: Wei(job.escrow),
        reserved: Wei(job.reserved),
        profile: job.profile,
        seed_tip: job.seedTip,
        next_seq: SegmentNo(job.nextSeq.into()),
        open_claims: job.openClaims.into(),
        released: job.released,
    }
}

fn claim_view(id: ClaimId, claim: &IClaimBook::Claim) -> ClaimView {
    ClaimView {
        id,
        job: JobId(claim.jobId),
        client: claim.client,
        operator: claim.operator,
        first: SegmentNo(claim.first),
        count: claim.count,
        units: Units(claim.totalUnits),
        state: ClaimState::of(claim.state),
        root: claim.root,
        drawn: claim.drawn,
        seed: claim.seed,
        seed_block: BlockNo(claim.seedBlock),
        answer_until: Timestamp(claim.answerUntil.to::<u64>()),
        attest_until: Timestamp(claim.attestUntil.to::<u64>()),
        reveal_until: Timestamp(claim.revealUntil.to::<u64>()),
        contest_until: Timestamp(claim.contestUntil.to::<u64>()),
        holds: claim.holds,
        fee: Wei(claim.fee),
    }
}

fn price(wei: alloy::primitives::aliases::U96) -> Price {
    Price::new(wei.to::<u128>()).unwrap_or(Price::MAX)
}

/// Other readers of JSON lose digits past 2^53.
fn text<S: serde::Serializer>(amount: &u128, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(amount)
}

fn saturate(amount: U256) -> u128 {
    u128::try_from(amount).unwrap_or(u128::MAX)
}
