//! A call of the model as a transaction to the contract it is modelled on.

use crate::deploy::{Site, claim_abi, market_abi};
use alloy::primitives::aliases::{U40, U96};
use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use headframe_contracts::bindings::StakeRegistry;
use headframe_contracts::bindings::{ClaimBook, IClaimBook, IJobMarket, IStakeRegistry, JobMarket, OperatorKeys};
use headframe_market::rules::{Call, Cut};
use headframe_market::{Bid, JobOrder};

/// Calls of the book whose types the bindings keep to themselves.
mod book {
    alloy::sol! {
        struct Cut { address to; uint16 share; }
        function punish(uint64 claimId, uint8 fault, Cut[] cuts);
    }
}

/// The contract, the coins sent along, and the data.
pub(crate) fn transaction(site: &Site, call: &Call) -> (Address, u128, Vec<u8>) {
    let (market, claims, registry) = (site.at.market, site.at.book, site.at.registry);
    let to_market = |data: Vec<u8>| (market, 0, data);
    let to_book = |data: Vec<u8>| (claims, 0, data);
    let to_registry = |data: Vec<u8>| (registry, 0, data);
    match call.clone() {
        Call::OpenJob { order, door, value } => {
            let call = JobMarket::openJobCall { order: order_abi(&order), door: door as u8 };
            (market, value, call.abi_encode())
        }
        Call::OpenJobFor { order, door, signature, value } => {
            let call = JobMarket::openJobForCall { order: order_abi(&order), door: door as u8, signature };
            (market, value, call.abi_encode())
        }
        Call::OpenWithBid { order, bid, signature, value } => {
            let call = JobMarket::openWithBidCall { order: order_abi(&order), bid: bid_abi(&bid), signature };
            (market, value, call.abi_encode())
        }
        Call::AcceptBid { job, bid, signature } => {
            to_market(JobMarket::acceptBidCall { jobId: job.0, bid: bid_abi(&bid), signature }.abi_encode())
        }
        Call::CancelBids { word, mask } => to_market(JobMarket::cancelBidsCall { word, mask }.abi_encode()),
        Call::CommitBid { job, commitment, value } => {
            (market, value, JobMarket::commitBidCall { _0: job.0, _1: commitment }.abi_encode())
        }
        Call::RevealBid { job, price, salt } => {
            to_market(JobMarket::revealBidCall { _0: job.0, _1: U96::from(price), _2: salt }.abi_encode())
        }
        Call::AwardAuction { job } => to_market(JobMarket::awardAuctionCall(job.0).abi_encode()),
        Call::TakeDeposit { job } => to_market(JobMarket::takeDepositCall(job.0).abi_encode()),
        Call::SetTerms { price, max_jobs } => {
            to_market(JobMarket::setTermsCall { _0: U96::from(price), _1: max_jobs }.abi_encode())
        }
        Call::Elect { job, header, .. } => to_market(JobMarket::electCall { _0: job.0, _1: header }.abi_encode()),
        Call::StartJob { job } => to_market(JobMarket::startJobCall { jobId: job.0 }.abi_encode()),
        Call::DefaultJob { job } => to_market(JobMarket::defaultJobCall { jobId: job.0 }.abi_encode()),
        Call::TopUp { job, value } => (market, value, JobMarket::topUpCall { jobId: job.0 }.abi_encode()),
        Call::ExtendJob { job, deadline } => {
            to_market(JobMarket::extendJobCall { jobId: job.0, deadline: U40::from(deadline.0) }.abi_encode())
        }
        Call::SetSeedTip { job, tip } => to_market(JobMarket::setSeedTipCall { jobId: job.0, tip }.abi_encode()),
        Call::CancelJob { job } => to_market(JobMarket::cancelJobCall { jobId: job.0 }.abi_encode()),
        Call::CloseJob { job } => to_market(JobMarket::closeJobCall { jobId: job.0 }.abi_encode()),
        Call::ReleaseJob { job } => to_market(JobMarket::releaseJobCall { jobId: job.0 }.abi_encode()),
        Call::Reclaim { job } => to_market(JobMarket::reclaimCall { jobId: job.0 }.abi_encode()),
        Call::Withdraw => to_market(JobMarket::withdrawCall {}.abi_encode()),
        Call::RouteFees { operator } => to_market(JobMarket::routeFeesCall { operator }.abi_encode()),
        Call::Pause { until } => to_market(JobMarket::pauseCall { until: U40::from(until.0) }.abi_encode()),
        Call::Unpause => to_market(JobMarket::unpauseCall {}.abi_encode()),
        Call::SetMarketParams(p) => to_market(JobMarket::setParamsCall { p: market_abi(&p) }.abi_encode()),
        Call::Claim { job, first, count, root, units } => {
            to_book(ClaimBook::claimCall { jobId: job.0, first, count, root, totalUnits: units }.abi_encode())
        }
        Call::Seal { claim, header, preimage } => {
            to_book(ClaimBook::sealCall { claimId: claim.0, header, preimage }.abi_encode())
        }
        Call::Answer { claim, openings, commitments } => {
            to_book(ClaimBook::answerCall { claimId: claim.0, openings, commitments }.abi_encode())
        }
        Call::Reveal { claim, openings, commitments, digests, salts } => {
            let answered = IClaimBook::Answered { openings, digests: commitments };
            to_book(ClaimBook::revealCall { claimId: claim.0, answered, digests, salts }.abi_encode())
        }
        Call::Settle { claim } => to_book(ClaimBook::settleCall { claimId: claim.0 }.abi_encode()),
        Call::SlashMissed { claim } => to_book(ClaimBook::slashMissedCall { claimId: claim.0 }.abi_encode()),
        Call::Hold { claim } => to_book(ClaimBook::holdCall { claimId: claim.0 }.abi_encode()),
        Call::LetGo { claim } => to_book(ClaimBook::letGoCall { claimId: claim.0 }.abi_encode()),
        Call::Punish { claim, fault, cuts } => {
            let cuts = cuts.iter().map(|cut| book::Cut { to: cut.to, share: cut.share }).collect();
            to_book(book::punishCall { claimId: claim.0, fault: fault as u8, cuts }.abi_encode())
        }
        Call::SetClaimParams(p) => to_book(ClaimBook::setParamsCall { p: claim_abi(&p) }.abi_encode()),
        Call::Bond { amount } => to_registry(StakeRegistry::bondCall { amount }.abi_encode()),
        Call::Lock { operator, amount } => to_registry(StakeRegistry::lockCall { operator, amount }.abi_encode()),
        Call::Release { operator, amount } => to_registry(StakeRegistry::releaseCall { operator, amount }.abi_encode()),
        Call::Slash { operator, amount, unlock, cuts, jail } => {
            let cuts = cuts.iter().map(cut_abi).collect();
            to_registry(StakeRegistry::slashCall { operator, amount, unlock, cuts, jail: jail as u8 }.abi_encode())
        }
        Call::RetireSlasher { slasher } => to_registry(StakeRegistry::retireSlasherCall { slasher }.abi_encode()),
        Call::FreeEnded { operator, slasher } => {
            to_registry(StakeRegistry::freeEndedCall { operator, slasher }.abi_encode())
        }
        Call::ProposeSigner { operator, signer } => {
            (site.keys, 0, OperatorKeys::proposeSignerCall { operator, signer }.abi_encode())
        }
        Call::AcceptSigner { operator } => (site.keys, 0, OperatorKeys::acceptSignerCall { operator }.abi_encode()),
    }
}

fn order_abi(order: &JobOrder) -> IJobMarket::JobOrder {
    IJobMarket::JobOrder {
        client: order.client,
        profile: order.profile,
        maxPrice: U96::from(order.max_price.wei()),
        deadline: U40::from(order.deadline.0),
        k: order.samples,
        seedTip: order.seed_tip,
        salt: U256::from(order.salt),
    }
}

fn bid_abi(bid: &Bid) -> IJobMarket::Bid {
    IJobMarket::Bid {
        order: bid.order,
        operator: bid.operator,
        price: U96::from(bid.price.wei()),
        expiry: U40::from(bid.expiry.0),
        nonce: bid.nonce,
    }
}

fn cut_abi(cut: &Cut) -> IStakeRegistry::Cut {
    IStakeRegistry::Cut { to: cut.to, share: cut.share }
}
