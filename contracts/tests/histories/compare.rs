//! Everything that can be seen of market, book and operators, on the chain and in the model.

use crate::deploy::Site;
use crate::evm::Evm;
use alloy::primitives::{Address, U256};
use headframe_contracts::bindings::{ClaimBook, IClaimBook, IJobMarket, JobMarket, StakeRegistry};
use headframe_market::machine::JobState;
use headframe_market::rules::{Claim, Job, Market};
use headframe_market::{ClaimId, JobId};

/// Panics with what differs.
pub(crate) fn all(site: &Site, evm: &mut Evm) {
    money(site, evm);
    for (&id, job) in &site.model.jobs {
        one_job(site, evm, id, job);
    }
    for (&id, claim) in &site.model.claims {
        one_claim(site, evm, id, claim);
    }
    for operator in &site.operators {
        let at = operator.address();
        one_operator(site, evm, at);
        let used = JobMarket::termsCall { operator: at };
        let terms = evm.view(site.at.market, &used);
        assert_eq!((terms.price.to(), terms.maxJobs, terms.openJobs), site.model.terms(at), "terms of {at}");
    }
    let owed = site.clients.iter().chain(&site.operators).chain(&site.spare).map(|key| key.address());
    for account in owed.chain([site.stranger]) {
        one_account(site, evm, account);
    }
}

/// The coins that the market holds.
pub(crate) fn money(site: &Site, evm: &mut Evm) {
    assert_eq!(evm.balance(site.at.market), U256::from(site.model.balance()), "coins of the market");
}

pub(crate) fn one_job(site: &Site, evm: &mut Evm, id: JobId, job: &Job) {
    let seen: IJobMarket::Job = evm.view(site.at.market, &JobMarket::jobCall { jobId: id.0 });
    let until = |state, until: u64| if job.state == state { until } else { 0 };
    let model = (
        (job.client, job.state as u8, job.door as u8, job.samples, job.deadline),
        (until(JobState::Assigned, job.until), until(JobState::Draining, job.until), job.operator),
        (job.price, job.max_price, job.escrow, job.reserved),
        (job.profile, job.seed_tip, job.order, job.next_seq.0, job.open_claims),
        job.state == JobState::Draining && job.until == 0,
    );
    let chain = (
        (seen.client, seen.state, seen.door, seen.k, seen.deadline.to::<u64>()),
        (seen.startUntil.to::<u64>(), seen.drainUntil.to::<u64>(), seen.operator),
        (seen.price.to::<u128>(), seen.maxPrice.to::<u128>(), seen.escrow, seen.reserved),
        (seen.profile, seen.seedTip, seen.order.0, u64::from(seen.nextSeq), seen.openClaims),
        seen.released,
    );
    assert_eq!(chain, model, "job {id}: chain, model");
    if let Some(auction) = &job.auction {
        let seen: IJobMarket::Auction = evm.view(site.at.market, &JobMarket::auctionCall { jobId: id.0 });
        let (best, price) = auction.best.unwrap_or((Address::ZERO, 0));
        let chain = (seen.commitUntil.to(), seen.revealUntil.to(), seen.commits, seen.best, seen.bestPrice.to());
        assert_eq!(chain, (auction.commit_until, auction.reveal_until, auction.commits, best, price), "auction {id}");
    }
    if let Some(election) = &job.election {
        let block = evm.view(site.at.market, &JobMarket::electionBlockCall { jobId: id.0 });
        assert_eq!(block, election.block, "election of job {id}");
    }
}

pub(crate) fn one_claim(site: &Site, evm: &mut Evm, id: ClaimId, claim: &Claim) {
    let seen: IClaimBook::Claim = evm.view(site.at.book, &ClaimBook::claimInfoCall { claimId: id.0 });
    let model = (
        ((id.job().0, id.first().0), (claim.client, claim.operator), claim.count, claim.units, claim.root),
        (claim.state as u8, u16::from(claim.drawn), claim.fee, claim.lock, claim.holds.iter().sum::<u8>()),
        (claim.seed_block_shown().0, claim.seed, claim.day() - site.epoch_zero, claim.answers),
        (claim.answer_until(), claim.attest_until(), claim.reveal_until(), claim.contest_until()),
    );
    let chain = (
        ((seen.jobId, seen.first), (seen.client, seen.operator), seen.count, seen.totalUnits, seen.root),
        (seen.state, seen.drawn, seen.fee, seen.lock, seen.holds),
        (seen.seedBlock, seen.seed, u64::from(seen.epoch), seen.answers),
        (seen.answerUntil.to(), seen.attestUntil.to(), seen.revealUntil.to(), seen.contestUntil.to()),
    );
    assert_eq!(chain, model, "claim {id}: chain, model");
}

pub(crate) fn one_operator(site: &Site, evm: &mut Evm, at: Address) {
    let seen = evm.view(site.at.registry, &StakeRegistry::operatorInfoCall { operator: at });
    let model = site.model.stake.operator(at).cloned().unwrap_or_default();
    assert_eq!((seen.bonded, seen.locked), (model.bonded, model.locked), "stake of {at}: chain, model");
    assert_eq!((seen.strikes, seen.jailedUntil.to()), (model.strikes, model.jailed_until), "jail of {at}");
    assert_eq!(seen.slot != 0, model.seated, "seat of {at}");
    for slasher in [site.at.market, site.at.book, crate::deploy::ELSEWHERE] {
        let held = evm.view(site.at.registry, &StakeRegistry::lockedByCall { operator: at, slasher });
        assert_eq!(held, U256::from(site.model.stake.locked_by(at, slasher)), "locks of {slasher} on {at}");
    }
}

pub(crate) fn one_account(site: &Site, evm: &mut Evm, account: Address) {
    let of = |map: &std::collections::BTreeMap<Address, u128>| U256::from(map.get(&account).copied().unwrap_or(0));
    let Market { owed, fees, stake, .. } = &site.model;
    let seen = evm.view(site.at.market, &JobMarket::owedCall { account });
    assert_eq!(seen, of(owed), "owed to {account}");
    let seen = evm.view(site.at.market, &JobMarket::feesOfCall { operator: account });
    assert_eq!(seen, of(fees), "fees of {account}");
    let seen = evm.view(site.at.registry, &StakeRegistry::bountyCall { account });
    assert_eq!(seen, of(&stake.bounty), "bounty of {account}");
}
