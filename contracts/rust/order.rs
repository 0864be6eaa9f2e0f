//! Puts the contracts on a chain, in an order in which each is told where the others are, those that are yet to come
//! included. Whoever deploys has no right left when it is done: [`crate::role_faults`] looks at the chain for that.

use crate::bindings::{
    FeeRouter, Guardian, JobMarket, Rewards, StakeGovernor, StakeRegistry, StakeVotes, Timelock, Token,
};
use crate::deploy::{DeployError, Deployment, confirm};
use crate::params::Params;
use alloy::contract::{CallBuilder, CallDecoder};
use alloy::primitives::{Address, U256};
use alloy::providers::Provider;

/// The transactions of a deployment. Their places are their nonces, and so the addresses of what they create: whoever adds
/// one writes it here where it is sent below, and everything that comes later moves along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Token,
    Registry,
    Router,
    NameRouter,
    Market,
    NameMarket,
    Votes,
    NameVotes,
    Rewards,
    Guardian,
    NameTimelock,
    Timelock,
    Governor,
}

/// Deploys everything from the provider's own account `from`, which nothing else may use meanwhile, and gives `holders`
/// the first supply of stake (1e-18 tokens each, up to the cap). The timelock becomes the treasury and the admin of all
/// that has one, and only the governor can make it act.
///
/// A dozen transactions, one after the other. Dropping the future half way leaves contracts that nobody knows; run it again.
pub async fn deploy<P: Provider>(
    provider: &P,
    from: Address,
    params: &Params,
    holders: &[(Address, U256)],
) -> Result<Deployment, DeployError> {
    let mut site = Site::begin(provider, from).await?;
    let [registry, rewards, timelock, governor] =
        [Step::Registry, Step::Rewards, Step::Timelock, Step::Governor].map(|step| site.address(step));
    let governed = StakeRegistry::new(registry, provider);
    let (r, g) = (&params.registry, &params.governance);

    let (accounts, amounts) = holders.iter().copied().unzip();
    let cap = U256::from(params.token.cap);
    let token = Token::deploy_builder(provider, accounts, amounts, rewards, cap);
    let token = site.create(Step::Token, token).await?;
    let code = StakeRegistry::deploy_builder(provider, token, U256::from(r.slots), r.abi());
    site.create(Step::Registry, code).await?;
    let code = FeeRouter::deploy_builder(provider, registry, timelock, U256::from(r.protocol_fee));
    let router = site.create(Step::Router, code).await?;
    site.call(Step::NameRouter, governed.setRouter(router)).await?;
    let code = JobMarket::deploy_builder(provider, registry, params.market.abi());
    let market = site.create(Step::Market, code).await?;
    // It may lock and slash at once, because nobody has bonded yet.
    site.call(Step::NameMarket, governed.announceSlasher(market, r.market_reach_seconds)).await?;

    let votes = site.create(Step::Votes, StakeVotes::deploy_builder(provider, registry)).await?;
    site.call(Step::NameVotes, governed.setVotes(votes)).await?;
    let w = &params.rewards;
    site.create(Step::Rewards, Rewards::deploy_builder(provider, registry, timelock, w.first_rate, w.abi())).await?;
    // No contract can be paused yet; those that can are named here or, later, by the timelock.
    let guardian = Guardian::deploy_builder(provider, timelock, g.guardian, vec![]);
    let guardian = site.create(Step::Guardian, guardian).await?;
    // The timelock accepts as it is created: at no time does an account schedule anything in it.
    site.call(Step::NameTimelock, governed.proposeAdmin(timelock)).await?;
    let delay = U256::from(g.timelock_delay_seconds);
    site.create(Step::Timelock, Timelock::deploy_builder(provider, delay, governor, vec![registry])).await?;
    site.create(Step::Governor, StakeGovernor::deploy_builder(provider, votes, timelock, g.abi())).await?;
    let Site { chain_id, block, .. } = site;
    Ok(Deployment { token, registry, market, router, rewards, votes, governor, timelock, guardian, chain_id, block })
}

/// A deployment under way.
struct Site {
    from: Address,
    /// Of the first transaction.
    nonce: u64,
    chain_id: u64,
    /// Of the first contract; 0 before it.
    block: u64,
}

impl Site {
    async fn begin<P: Provider>(provider: &P, from: Address) -> Result<Self, DeployError> {
        let step = "looking at the chain";
        let chain_id = provider.get_chain_id().await.map_err(|source| DeployError::Node { step, source })?;
        let nonce = provider.get_transaction_count(from).pending().await;
        let nonce = nonce.map_err(|source| DeployError::Node { step, source })?;
        Ok(Self { from, nonce, chain_id, block: 0 })
    }

    /// Where the contract of this step is or will be.
    fn address(&self, step: Step) -> Address {
        self.from.create(self.nonce + step as u64)
    }

    async fn create<P: Provider, D: CallDecoder>(
        &mut self,
        step: Step,
        code: CallBuilder<P, D>,
    ) -> Result<Address, DeployError> {
        let receipt = confirm(step.doing(), code).await?;
        let expected = self.address(step);
        let found = receipt.contract_address.unwrap_or_default();
        if found != expected {
            return Err(DeployError::Misplaced { step: step.doing(), expected, found });
        }
        if self.block == 0 {
            self.block = receipt.block_number.unwrap_or_default();
        }
        Ok(found)
    }

    /// A call that comes too early or late shows in the address of the next contract.
    async fn call<P: Provider, D: CallDecoder>(&self, step: Step, call: CallBuilder<P, D>) -> Result<(), DeployError> {
        confirm(step.doing(), call).await.map(drop)
    }
}

impl Step {
    fn doing(self) -> &'static str {
        match self {
            Self::Token => "deploying the token",
            Self::Registry => "deploying the registry",
            Self::Router => "deploying the fee router",
            Self::NameRouter => "naming the fee router",
            Self::Market => "deploying the market",
            Self::NameMarket => "naming the market",
            Self::Votes => "deploying the votes",
            Self::NameVotes => "naming the votes",
            Self::Rewards => "deploying the rewards",
            Self::Guardian => "deploying the guardian",
            Self::NameTimelock => "naming the timelock",
            Self::Timelock => "deploying the timelock",
            Self::Governor => "deploying the governor",
        }
    }
}
