//! Who may do what in a deployment, read from the chain and held against what it should be.

use crate::bindings::{
    ActiveSet, ChallengeManager, ClaimBook, DisputeGame, FeeRouter, Guardian, JobMarket, Jury, OperatorKeys, Rewards,
    StakeGovernor, StakeRegistry, StakeVotes, Timelock, Token,
};
use crate::deploy::Deployment;
use alloy::contract::Error;
use alloy::primitives::{Address, B256};
use alloy::providers::Provider;
use std::collections::BTreeSet;
use std::fmt;

/// What one contract says of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Such as "the registry's admin".
    pub what: &'static str,
    /// As the deployment has it.
    pub expected: Address,
    /// As the chain has it.
    pub found: Address,
}

/// What is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A contract names another one than the deployment's.
    Related(Relation),
    /// Somebody has a role in the timelock that it should not have.
    Extra {
        /// As `AccessControl` knows it.
        role: B256,
        /// Who has it.
        account: Address,
    },
    /// Somebody lacks a role that it needs.
    Lacking {
        /// As `AccessControl` knows it.
        role: B256,
        /// Who should have it.
        account: Address,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Related(Relation { what, expected, found }) => write!(f, "{what} is {found} and not {expected}"),
            Self::Extra { role, account } => write!(f, "{account} has the role {role} in the timelock"),
            Self::Lacking { role, account } => write!(f, "{account} lacks the role {role} in the timelock"),
        }
    }
}

/// Everything in which the chain differs from a deployment in which the timelock alone is admin and the governor alone
/// proposes. Empty after [`crate::deploy`], and until a decision changes it.
///
/// Reads all of the timelock's events since the deployment, in one query: a node that limits those refuses on an old one.
pub async fn role_faults<P: Provider>(provider: &P, at: &Deployment) -> Result<Vec<Fault>, Error> {
    let mut faults: Vec<Fault> = Box::pin(relations(provider, at))
        .await?
        .into_iter()
        .filter(|relation| relation.expected != relation.found)
        .map(Fault::Related)
        .collect();
    let (expected, found) = (roles_wanted(provider, at).await?, roles_held(provider, at).await?);
    faults.extend(found.difference(&expected).map(|&(role, account)| Fault::Extra { role, account }));
    faults.extend(expected.difference(&found).map(|&(role, account)| Fault::Lacking { role, account }));
    Ok(faults)
}

async fn relations<P: Provider>(provider: &P, at: &Deployment) -> Result<Vec<Relation>, Error> {
    let registry = StakeRegistry::new(at.registry, provider);
    let rewards = Rewards::new(at.rewards, provider);
    let router = FeeRouter::new(at.router, provider);
    let governor = StakeGovernor::new(at.governor, provider);
    let set = ActiveSet::new(registry.activeSet().call().await?, provider);
    let keys = OperatorKeys::new(registry.keys().call().await?, provider);
    let minter = Token::new(at.token, provider).minter().call().await?;
    let of_votes = StakeVotes::new(at.votes, provider).registry().call().await?;
    let market = JobMarket::new(at.market, provider);
    let book = ClaimBook::new(at.book, provider);
    let challenges = ChallengeManager::new(at.challenges, provider);
    let game = DisputeGame::new(at.game, provider);
    let jury = Jury::new(at.jury, provider);
    let of_guardian = Guardian::new(at.guardian, provider).admin().call().await?;
    let relation = |what, expected, found| Relation { what, expected, found };
    Ok(vec![
        relation("the token's minter", at.rewards, minter),
        relation("the registry's admin", at.timelock, registry.admin().call().await?),
        relation("the registry's admin to be", Address::ZERO, registry.proposedAdmin().call().await?),
        relation("the registry's token", at.token, registry.token().call().await?),
        relation("the registry's fee router", at.router, registry.router().call().await?),
        relation("where the registry tells of votes", at.votes, registry.votes().call().await?),
        relation("the active set's registry", at.registry, set.registry().call().await?),
        relation("the keys' registry", at.registry, keys.registry().call().await?),
        relation("the fee router's registry", at.registry, router.registry().call().await?),
        relation("the treasury", at.timelock, router.treasury().call().await?),
        relation("the market's registry", at.registry, market.registry().call().await?),
        relation("the market's profiles", at.profiles, market.profiles().call().await?),
        relation("the market's claim book", at.book, market.book().call().await?),
        relation("the market's challenge manager", at.challenges, market.challenges().call().await?),
        relation("the market's fee router", at.router, market.router().call().await?),
        relation("the market's guardian", at.guardian, market.guardian().call().await?),
        relation("the market's admin", at.timelock, market.admin().call().await?),
        relation("the claim book's market", at.market, book.market().call().await?),
        relation("the claim book's registry", at.registry, book.registry().call().await?),
        relation("the claim book's challenge manager", at.challenges, book.challenges().call().await?),
        relation("the claim book's dispute game", at.game, book.game().call().await?),
        relation("the claim book's admin", at.timelock, book.admin().call().await?),
        relation("the challenge manager's market", at.market, challenges.market().call().await?),
        relation("the challenge manager's claim book", at.book, challenges.book().call().await?),
        relation("the challenge manager's registry", at.registry, challenges.registry().call().await?),
        relation("the challenge manager's admin", at.timelock, challenges.admin().call().await?),
        relation("the dispute game's claim book", at.book, game.book().call().await?),
        relation("the dispute game's registry", at.registry, game.registry().call().await?),
        relation("the dispute game's judge", at.jury, game.judge().call().await?),
        relation("the dispute game's admin", at.timelock, game.admin().call().await?),
        relation("the jury's dispute game", at.game, jury.game().call().await?),
        relation("the jury's claim book", at.book, jury.book().call().await?),
        relation("the jury's registry", at.registry, jury.registry().call().await?),
        relation("the jury's admin", at.timelock, jury.admin().call().await?),
        relation("the votes' registry", at.registry, of_votes),
        relation("the rewards' registry", at.registry, rewards.registry().call().await?),
        relation("the rewards' admin", at.timelock, rewards.admin().call().await?),
        relation("the guardian's admin", at.timelock, of_guardian),
        relation("the governor's votes", at.votes, governor.token().call().await?),
        relation("the governor's timelock", at.timelock, governor.timelock().call().await?),
    ])
}

/// The timelock is its own admin, the governor proposes and cancels, anyone (the zero address) executes.
async fn roles_wanted<P: Provider>(provider: &P, at: &Deployment) -> Result<BTreeSet<(B256, Address)>, Error> {
    let timelock = Timelock::new(at.timelock, provider);
    Ok(BTreeSet::from([
        (timelock.DEFAULT_ADMIN_ROLE().call().await?, at.timelock),
        (timelock.PROPOSER_ROLE().call().await?, at.governor),
        (timelock.CANCELLER_ROLE().call().await?, at.governor),
        (timelock.EXECUTOR_ROLE().call().await?, Address::ZERO),
    ]))
}

/// Who was ever given a role and still has it.
async fn roles_held<P: Provider>(provider: &P, at: &Deployment) -> Result<BTreeSet<(B256, Address)>, Error> {
    let timelock = Timelock::new(at.timelock, provider);
    let granted = timelock.RoleGranted_filter().from_block(at.block).query().await?;
    let mut held = BTreeSet::new();
    for (Timelock::RoleGranted { role, account, .. }, _) in granted {
        if timelock.hasRole(role, account).call().await? {
            held.insert((role, account));
        }
    }
    Ok(held)
}
