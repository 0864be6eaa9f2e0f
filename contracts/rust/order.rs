//! Puts the contracts on a chain, in an order in which each is told where the others are, those that are yet to come
//! included. Whoever deploys has no right left when it is done: [`crate::role_faults`] looks at the chain for that.

use crate::bindings::{
    ChallengeManager, ClaimBook, DisputeGame, EquivocationStep, ErrorSumStep, EvidenceReader, FeeRouter, Guardian,
    HeaderStep, JobMarket, Jury, LeafStep, MarketStore, OrderedHeaderStep, ProfileRegistry, Proofs, Rewards, ScaleStep,
    ShapeStep, StakeGovernor, StakeRegistry, StakeVotes, Timelock, Token, VerifyBase,
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
    Profiles,
    Leaf,
    Scale,
    ErrorSum,
    Header,
    OrderedHeader,
    Shape,
    Equivocation,
    Reader,
    Market,
    Book,
    Challenges,
    Game,
    Jury,
    NameMarket,
    NameBook,
    NameChallenges,
    NameJury,
    Votes,
    NameVotes,
    Rewards,
    Guardian,
    NameTimelock,
    Timelock,
    Governor,
}

/// Deploys everything from the provider's own account `from`, which nothing else may use meanwhile, and gives `holders`
/// the first supply of stake (1e-18 tokens each, less than the cap). The timelock becomes the treasury and the admin of all
/// that has one, and only the governor can make it act.
///
/// Some thirty transactions, one after the other. Dropping the future half way leaves contracts that nobody knows; run it again.
pub async fn deploy<P: Provider>(
    provider: &P,
    from: Address,
    params: &Params,
    holders: &[(Address, U256)],
) -> Result<Deployment, DeployError> {
    let mut site = Site::begin(provider, from).await?;
    let [registry, rewards, timelock, governor] =
        [Step::Registry, Step::Rewards, Step::Timelock, Step::Governor].map(|step| site.address(step));
    let [market, book, challenges, game, jury, guardian] =
        [Step::Market, Step::Book, Step::Challenges, Step::Game, Step::Jury, Step::Guardian]
            .map(|step| site.address(step));
    let governed = StakeRegistry::new(registry, provider);
    let (r, g) = (&params.registry, &params.governance);

    // With a crumb of its own the game's balance is never an empty word, which whoever opens a game while no other is open
    // would pay for filling.
    let (accounts, amounts) = holders.iter().copied().chain([(game, U256::ONE)]).unzip();
    let cap = U256::from(params.token.cap);
    let token = Token::deploy_builder(provider, accounts, amounts, rewards, cap);
    let token = site.create(Step::Token, token).await?;
    let code = StakeRegistry::deploy_builder(provider, token, U256::from(r.slots), r.abi());
    site.create(Step::Registry, code).await?;
    let code = FeeRouter::deploy_builder(provider, registry, timelock, U256::from(r.protocol_fee));
    let router = site.create(Step::Router, code).await?;
    site.call(Step::NameRouter, governed.setRouter(router)).await?;
    let profiles = site.create(Step::Profiles, ProfileRegistry::deploy_builder(provider)).await?;
    let steps = proofs(provider, &mut site).await?;
    let reader = site.create(Step::Reader, EvidenceReader::deploy_builder(provider)).await?;
    let parts = MarketStore::Parts { registry, profiles, challenges, router, book, guardian, admin: timelock };
    let p = &params.market;
    let code = JobMarket::deploy_builder(provider, parts, p.least.abi(), p.most.abi(), p.first.abi());
    site.create(Step::Market, code).await?;
    let p = &params.claims;
    let (first, least, most) = (p.first.abi(), p.least.abi(), p.most.abi());
    let code = ClaimBook::deploy_builder(provider, market, registry, challenges, game, timelock, first, least, most);
    site.create(Step::Book, code).await?;
    let p = &params.challenges;
    let parts = VerifyBase::Parts { registry, market, book, reader, admin: timelock };
    let bounds = VerifyBase::Bounds { least: p.least.abi(), most: p.most.abi() };
    let code = ChallengeManager::deploy_builder(provider, parts, steps, p.first.abi(), bounds);
    site.create(Step::Challenges, code).await?;
    let p = &params.disputes;
    let (first, least, most) = (p.first.abi(), p.least.abi(), p.most.abi());
    let code = DisputeGame::deploy_builder(provider, book, registry, token, jury, timelock, first, least, most);
    site.create(Step::Game, code).await?;
    let p = &params.jury;
    let (first, least, most) = (p.first.abi(), p.least.abi(), p.most.abi());
    let code = Jury::deploy_builder(provider, game, book, registry, token, timelock, first, least, most);
    site.create(Step::Jury, code).await?;
    // They may lock and slash at once, because nobody has bonded yet.
    let slashers = [
        (Step::NameMarket, market),
        (Step::NameBook, book),
        (Step::NameChallenges, challenges),
        (Step::NameJury, jury),
    ];
    for (step, slasher) in slashers {
        // Each tells its reach by a function of this name.
        let reach = JobMarket::new(slasher, provider).reach().call().await;
        let reach = reach.map_err(|source| DeployError::Refused { step: step.doing(), source: Box::new(source) })?;
        site.call(step, governed.announceSlasher(slasher, reach)).await?;
    }

    let votes = site.create(Step::Votes, StakeVotes::deploy_builder(provider, registry)).await?;
    site.call(Step::NameVotes, governed.setVotes(votes)).await?;
    let w = &params.rewards;
    site.create(Step::Rewards, Rewards::deploy_builder(provider, registry, timelock, w.first_rate, w.abi())).await?;
    let code = Guardian::deploy_builder(provider, timelock, g.guardian, vec![market]);
    site.create(Step::Guardian, code).await?;
    // The timelock accepts as it is created: at no time does an account schedule anything in it.
    site.call(Step::NameTimelock, governed.proposeAdmin(timelock)).await?;
    let delay = U256::from(g.timelock_delay_seconds);
    site.create(Step::Timelock, Timelock::deploy_builder(provider, delay, governor, vec![registry])).await?;
    site.create(Step::Governor, StakeGovernor::deploy_builder(provider, votes, timelock, g.abi())).await?;
    let Site { chain_id, block, .. } = site;
    Ok(Deployment {
        token,
        registry,
        router,
        profiles,
        market,
        book,
        challenges,
        game,
        jury,
        rewards,
        votes,
        governor,
        timelock,
        guardian,
        chain_id,
        block,
    })
}

/// The one-shot fraud proofs.
async fn proofs<P: Provider>(provider: &P, site: &mut Site) -> Result<Proofs::Steps, DeployError> {
    let leaf = site.create(Step::Leaf, LeafStep::deploy_builder(provider)).await?;
    let scale = site.create(Step::Scale, ScaleStep::deploy_builder(provider)).await?;
    let errors = site.create(Step::ErrorSum, ErrorSumStep::deploy_builder(provider)).await?;
    let header = site.create(Step::Header, HeaderStep::deploy_builder(provider)).await?;
    let header = site.create(Step::OrderedHeader, OrderedHeaderStep::deploy_builder(provider, header)).await?;
    let shape = site.create(Step::Shape, ShapeStep::deploy_builder(provider)).await?;
    let equivocation = site.create(Step::Equivocation, EquivocationStep::deploy_builder(provider)).await?;
    Ok(Proofs::Steps { leaf, scale, errorSum: errors, header, shape, equivocation })
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
            Self::Profiles => "deploying the profiles",
            Self::Leaf => "deploying the proof of leaves",
            Self::Scale => "deploying the proof of samples",
            Self::ErrorSum => "deploying the proof of errors",
            Self::Header => "deploying the proof of headers",
            Self::OrderedHeader => "deploying the proof of ordered headers",
            Self::Shape => "deploying the proof of shapes",
            Self::Equivocation => "deploying the proof of equivocation",
            Self::Reader => "deploying the reader of evidence",
            Self::Market => "deploying the market",
            Self::Book => "deploying the claim book",
            Self::Challenges => "deploying the challenge manager",
            Self::Game => "deploying the dispute game",
            Self::Jury => "deploying the jury",
            Self::NameMarket => "naming the market",
            Self::NameBook => "naming the claim book",
            Self::NameChallenges => "naming the challenge manager",
            Self::NameJury => "naming the jury",
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
