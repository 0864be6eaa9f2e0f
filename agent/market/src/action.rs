//! Every transaction this project ever sends, as a typed value: what it does, whom it calls, which bytes it carries.
//!
//! The signer takes an [`Action`] and builds the call itself, so that nothing else can be signed with its key.

use crate::merkle::Node;
use crate::receipt::Receipt;
use crate::units::{ClaimId, JobId, Price, SegmentNo, Units, Wei, decimal};
use alloy_primitives::{Address, B256, Bytes, U256, aliases::U96};
use alloy_sol_types::SolCall;
use serde::{Deserialize, Serialize};

mod abi {
    #![allow(missing_docs)]
    alloy_sol_types::sol! {
        struct Sibling { bytes32 hash; uint64 sum; }
        struct Opening {
            uint64 seq; bytes32 srcRoot; bytes32 outRoot; uint64 units; uint64 outBytes;
            uint64 srcBytes; uint32 durationMs; bytes clientSig; Sibling[] path;
        }
        function approve(address spender, uint256 value);
        function register(string serviceUri);
        function bond(uint128 amount);
        function unbond(uint128 amount);
        function withdraw();
        function openJob(bytes32 profile, uint96 maxPrice, uint8 k);
        function bid(uint64 jobId, uint96 price);
        function award(uint64 jobId, address operator);
        function claimJob(uint64 jobId);
        function topUp(uint64 jobId);
        function closeJob(uint64 jobId);
        function releaseJob(uint64 jobId);
        function reclaim(uint64 jobId);
        function claim(uint64 jobId, uint64 first, uint32 count, bytes32 root, uint64 totalUnits);
        function seal(uint64 claimId);
        function answer(uint64 claimId, Opening[] openings);
        function settle(uint64 claimId);
    }
}

/// The contracts of one deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The stake token.
    pub token: Address,
    /// Bonds and the active set.
    pub registry: Address,
    /// Jobs, claims and fees.
    pub market: Address,
}

/// On whose behalf a key acts. A key has one role, so that a broadcaster's process can never touch a rig's stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Transcodes and claims.
    Operator,
    /// Orders and pays.
    Client,
}

/// One drawn segment of a claim, opened: the receipt as claimed, the client's order for it, and the path to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The claimed receipt.
    pub receipt: Receipt,
    /// Source length as the client signed it.
    pub src_bytes: u64,
    /// Duration as the client signed it.
    pub duration_ms: u32,
    /// The client's signature, 65 bytes r || s || v.
    pub client_signature: Bytes,
    /// Siblings from the bottom up.
    pub path: Vec<Node>,
}

/// A transaction. Amounts of stake are in the token's smallest unit, amounts of [`Wei`] in the native coin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs)] // the fields are those of the contract functions that each variant names
pub enum Action {
    /// Lets the registry take up to `amount` of the stake token.
    ApproveStake {
        #[serde(with = "decimal")]
        amount: u128,
    },
    /// Announces where this operator serves segments.
    Register { service_uri: String },
    /// Bonds stake.
    Bond {
        #[serde(with = "decimal")]
        amount: u128,
    },
    /// Starts thawing stake.
    Unbond {
        #[serde(with = "decimal")]
        amount: u128,
    },
    /// Takes thawed stake out.
    WithdrawStake,
    /// Offers to do `job` for `price`.
    Bid { job: JobId, price: Price },
    /// Takes the job that was awarded.
    ClaimJob { job: JobId },
    /// Declares that no more work will be claimed for `job`.
    ReleaseJob { job: JobId },
    /// Claims the fee for a contiguous range of segments.
    Claim { job: JobId, first: SegmentNo, count: u32, root: B256, units: Units },
    /// Fixes the draw of a claim.
    Seal { claim: ClaimId },
    /// Opens the drawn segments.
    Answer { claim: ClaimId, openings: Vec<Opening> },
    /// Credits the fee of an answered claim.
    Settle { claim: ClaimId },
    /// Opens a job and puts `escrow` into it.
    OpenJob { profile: B256, max_price: Price, samples: u8, escrow: Wei, nonce: u64 },
    /// Gives the job to a bidder.
    Award { job: JobId, operator: Address },
    /// Adds to a job's escrow; `nth` tells one top-up from the next.
    TopUp { job: JobId, amount: Wei, nth: u32 },
    /// Ends a job: no new segments.
    CloseJob { job: JobId },
    /// Takes unused escrow back.
    Reclaim { job: JobId },
    /// Takes credited money out of the market; `nth` tells one withdrawal from the next.
    Withdraw { nth: u64 },
}

/// A call as it goes into a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The contract.
    pub to: Address,
    /// Native coin sent along.
    pub value: Wei,
    /// Function selector and arguments.
    pub input: Bytes,
}

impl Action {
    /// The contract call that does this.
    pub fn call(&self, at: &Addresses) -> Call {
        let market = |input: Vec<u8>| (at.market, Wei(0), input);
        let registry = |input: Vec<u8>| (at.registry, Wei(0), input);
        let (to, value, input) = match self {
            Self::ApproveStake { amount } => {
                let input = abi::approveCall { spender: at.registry, value: U256::from(*amount) }.abi_encode();
                (at.token, Wei(0), input)
            }
            Self::Register { service_uri } => {
                registry(abi::registerCall { serviceUri: service_uri.clone() }.abi_encode())
            }
            Self::Bond { amount } => registry(abi::bondCall { amount: *amount }.abi_encode()),
            Self::Unbond { amount } => registry(abi::unbondCall { amount: *amount }.abi_encode()),
            Self::WithdrawStake => registry(abi::withdrawCall {}.abi_encode()),
            Self::Bid { job, price } => market(abi::bidCall { jobId: job.0, price: u96(*price) }.abi_encode()),
            Self::ClaimJob { job } => market(abi::claimJobCall { jobId: job.0 }.abi_encode()),
            Self::ReleaseJob { job } => market(abi::releaseJobCall { jobId: job.0 }.abi_encode()),
            Self::Claim { job, first, count, root, units } => market(
                abi::claimCall { jobId: job.0, first: first.0, count: *count, root: *root, totalUnits: units.0 }
                    .abi_encode(),
            ),
            Self::Seal { claim } => market(abi::sealCall { claimId: claim.0 }.abi_encode()),
            Self::Answer { claim, openings } => {
                let openings = openings.iter().map(Opening::abi).collect();
                market(abi::answerCall { claimId: claim.0, openings }.abi_encode())
            }
            Self::Settle { claim } => market(abi::settleCall { claimId: claim.0 }.abi_encode()),
            Self::OpenJob { profile, max_price, samples, escrow, .. } => {
                let call = abi::openJobCall { profile: *profile, maxPrice: u96(*max_price), k: *samples };
                (at.market, *escrow, call.abi_encode())
            }
            Self::Award { job, operator } => market(abi::awardCall { jobId: job.0, operator: *operator }.abi_encode()),
            Self::TopUp { job, amount, .. } => (at.market, *amount, abi::topUpCall { jobId: job.0 }.abi_encode()),
            Self::CloseJob { job } => market(abi::closeJobCall { jobId: job.0 }.abi_encode()),
            Self::Reclaim { job } => market(abi::reclaimCall { jobId: job.0 }.abi_encode()),
            Self::Withdraw { .. } => market(abi::withdrawCall {}.abi_encode()),
        };
        Call { to, value, input: input.into() }
    }

    /// A short constant name, for logs, metrics and budgets.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ApproveStake { .. } => "approve_stake",
            Self::Register { .. } => "register",
            Self::Bond { .. } => "bond",
            Self::Unbond { .. } => "unbond",
            Self::WithdrawStake => "withdraw_stake",
            Self::Bid { .. } => "bid",
            Self::ClaimJob { .. } => "claim_job",
            Self::ReleaseJob { .. } => "release_job",
            Self::Claim { .. } => "claim",
            Self::Seal { .. } => "seal",
            Self::Answer { .. } => "answer",
            Self::Settle { .. } => "settle",
            Self::OpenJob { .. } => "open_job",
            Self::Award { .. } => "award",
            Self::TopUp { .. } => "top_up",
            Self::CloseJob { .. } => "close_job",
            Self::Reclaim { .. } => "reclaim",
            Self::Withdraw { .. } => "withdraw",
        }
    }

    /// Names the one effect this action is to have. The outbox performs each key at most once, so asking twice is
    /// harmless. Actions that may be wanted again carry what tells them apart (a price, an amount, a count).
    pub fn key(&self) -> String {
        let kind = self.kind();
        match self {
            Self::ApproveStake { amount } | Self::Bond { amount } | Self::Unbond { amount } => {
                format!("{kind}:{amount}")
            }
            Self::Register { service_uri } => format!("{kind}:{service_uri}"),
            Self::WithdrawStake => kind.into(),
            Self::Bid { job, price } => format!("{kind}:{job}:{price}"),
            Self::ClaimJob { job } | Self::ReleaseJob { job } | Self::CloseJob { job } | Self::Reclaim { job } => {
                format!("{kind}:{job}")
            }
            Self::Claim { job, first, .. } => format!("{kind}:{job}:{first}"),
            Self::Seal { claim } | Self::Answer { claim, .. } | Self::Settle { claim } => format!("{kind}:{claim}"),
            Self::OpenJob { nonce, .. } => format!("{kind}:{nonce}"),
            Self::Award { job, operator } => format!("{kind}:{job}:{operator}"),
            Self::TopUp { job, nth, .. } => format!("{kind}:{job}:{nth}"),
            Self::Withdraw { nth } => format!("{kind}:{nth}"),
        }
    }

    /// Whether a key of this role may ever sign it.
    pub fn allowed_for(&self, role: Role) -> bool {
        match self {
            Self::Withdraw { .. } => true,
            Self::OpenJob { .. }
            | Self::Award { .. }
            | Self::TopUp { .. }
            | Self::CloseJob { .. }
            | Self::Reclaim { .. } => role == Role::Client,
            _ => role == Role::Operator,
        }
    }
}

impl Opening {
    fn abi(&self) -> abi::Opening {
        abi::Opening {
            seq: self.receipt.seq.0,
            srcRoot: self.receipt.src_root,
            outRoot: self.receipt.out_root,
            units: self.receipt.units.0,
            outBytes: self.receipt.out_bytes,
            srcBytes: self.src_bytes,
            durationMs: self.duration_ms,
            clientSig: self.client_signature.clone(),
            path: self.path.iter().map(|node| abi::Sibling { hash: node.hash, sum: node.sum }).collect(),
        }
    }
}

fn u96(price: Price) -> U96 {
    U96::from(price.wei()) // `Price` keeps itself below 2^96
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let at = Address::repeat_byte;
        Addresses { token: at(1), registry: at(2), market: at(3) }
    }

    #[test]
    fn money_goes_only_where_the_action_says() {
        let open = Action::OpenJob {
            profile: B256::ZERO,
            max_price: Price::new(5).unwrap(),
            samples: 4,
            escrow: Wei(9),
            nonce: 0,
        };
        assert_eq!(open.call(&addresses()).value, Wei(9));
        let call = Action::ApproveStake { amount: 7 }.call(&addresses());
        assert_eq!((call.to, call.value), (addresses().token, Wei(0)));
    }

    #[test]
    fn a_client_key_cannot_act_as_an_operator() {
        let claim = Action::Settle { claim: ClaimId(1) };
        assert!(claim.allowed_for(Role::Operator) && !claim.allowed_for(Role::Client));
        let close = Action::CloseJob { job: JobId(1) };
        assert!(close.allowed_for(Role::Client) && !close.allowed_for(Role::Operator));
    }

    #[test]
    fn two_claims_of_one_range_share_a_key() {
        let claim = |root, count| Action::Claim {
            job: JobId(1),
            first: SegmentNo(4),
            count,
            root: B256::repeat_byte(root),
            units: Units(1),
        };
        assert_eq!(claim(1, 10).key(), claim(2, 11).key());
    }

    #[test]
    fn actions_survive_json() {
        let bid = Action::Bid { job: JobId(3), price: Price::new(1 << 80).unwrap() };
        for action in [bid, Action::Bond { amount: u128::MAX }, Action::Withdraw { nth: 1 }] {
            let text = serde_json::to_string(&action).unwrap();
            assert_eq!(serde_json::from_str::<Action>(&text).unwrap(), action);
        }
    }
}
