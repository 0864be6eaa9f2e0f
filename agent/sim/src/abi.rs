//! Transactions as bytes, read without the code that wrote them: what the chain executes and what the checker believes.

use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::{SolCall, SolValue};
use headframe_market::rules::Call;
use headframe_market::{Addresses, ClaimId, JobId};

mod wire {
    #![allow(missing_docs)]
    alloy::sol! {
        struct Answered { bytes32[] openings; bytes32[] digests; }
        function startJob(uint64 jobId);
        function releaseJob(uint64 jobId);
        function claim(uint64 jobId, uint64 first, uint32 count, bytes32 root, uint64 totalUnits);
        function seal(uint64 claimId, bytes header, bytes32 preimage);
        function answer(uint64 claimId, bytes openings, bytes32[] commitments);
        function reveal(uint64 claimId, Answered answered, bytes32[] digests, bytes32[] salts);
        function settle(uint64 claimId);
        function routeFees(address operator);
        function withdraw();
    }
}

/// What a transaction of the rig does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A call that the model of the contracts knows.
    Call(Box<Call>),
    /// Takes fees out of the router, which is not modelled.
    Router,
}

impl Deed {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Call(call) => call.name(),
            Self::Router => "withdraw of the router",
        }
    }

    /// With what it is about.
    pub(crate) fn about(&self) -> String {
        let name = self.name();
        let Self::Call(call) = self else { return name.into() };
        match &**call {
            Call::Claim { job, first, count, .. } => format!("{name} {first}+{count} of job {job}"),
            Call::StartJob { job } | Call::ReleaseJob { job } => format!("{name} {job}"),
            Call::Seal { claim, .. }
            | Call::Answer { claim, .. }
            | Call::Reveal { claim, .. }
            | Call::Settle { claim } => format!("{name} {}:{}", claim.job(), claim.first()),
            _ => name.into(),
        }
    }

    /// Gas it takes: the contracts' own snapshots, rounded up.
    pub(crate) fn gas(&self) -> u64 {
        let Self::Call(call) = self else { return 60_000 };
        match &**call {
            Call::Claim { .. } => 130_000,
            Call::Seal { .. } | Call::Reveal { .. } => 80_000,
            Call::Answer { commitments, .. } => 60_000 + 25_000 * commitments.len() as u64,
            Call::Settle { .. } => 90_000,
            _ => 60_000,
        }
    }
}

/// Reads a call; `None` for bytes that the contracts would not know.
pub(crate) fn read(at: &Addresses, to: Address, input: &[u8]) -> Option<Deed> {
    let selector: [u8; 4] = input.get(..4)?.try_into().ok()?;
    if to == at.router {
        return (selector == wire::withdrawCall::SELECTOR).then_some(Deed::Router);
    }
    let call = match selector {
        wire::startJobCall::SELECTOR if to == at.market => {
            Call::StartJob { job: JobId(wire::startJobCall::abi_decode(input).ok()?.jobId) }
        }
        wire::releaseJobCall::SELECTOR if to == at.market => {
            Call::ReleaseJob { job: JobId(wire::releaseJobCall::abi_decode(input).ok()?.jobId) }
        }
        wire::routeFeesCall::SELECTOR if to == at.market => {
            Call::RouteFees { operator: wire::routeFeesCall::abi_decode(input).ok()?.operator }
        }
        wire::claimCall::SELECTOR if to == at.book => {
            let call = wire::claimCall::abi_decode(input).ok()?;
            let (job, first) = (JobId(call.jobId), call.first);
            Call::Claim { job, first, count: call.count, root: call.root, units: call.totalUnits }
        }
        wire::sealCall::SELECTOR if to == at.book => {
            let call = wire::sealCall::abi_decode(input).ok()?;
            Call::Seal { claim: ClaimId(call.claimId), header: call.header, preimage: call.preimage }
        }
        wire::answerCall::SELECTOR if to == at.book => {
            let call = wire::answerCall::abi_decode(input).ok()?;
            Call::Answer { claim: ClaimId(call.claimId), openings: call.openings, commitments: call.commitments }
        }
        wire::revealCall::SELECTOR if to == at.book => {
            let call = wire::revealCall::abi_decode(input).ok()?;
            Call::Reveal {
                claim: ClaimId(call.claimId),
                openings: call.answered.openings,
                commitments: call.answered.digests,
                digests: call.digests,
                salts: call.salts,
            }
        }
        wire::settleCall::SELECTOR if to == at.book => {
            Call::Settle { claim: ClaimId(wire::settleCall::abi_decode(input).ok()?.claimId) }
        }
        _ => return None,
    };
    Some(Deed::Call(Box::new(call)))
}

/// A hash of whatever can be encoded.
pub(crate) fn hash(of: impl SolValue) -> B256 {
    alloy::primitives::keccak256(of.abi_encode())
}

/// Hexadecimal, as JSON-RPC has it.
pub(crate) fn hex(number: u128) -> String {
    format!("\"{number:#x}\"")
}

/// Bytes as a JSON string.
pub(crate) fn hex_bytes(bytes: &[u8]) -> String {
    format!("\"{}\"", Bytes::copy_from_slice(bytes))
}
