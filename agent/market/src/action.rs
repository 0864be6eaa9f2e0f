//! Every transaction this project ever sends, as a typed value: what it does, whom it calls, which bytes it carries.
//!
//! The signer takes an [`Action`] and builds the call itself, so that nothing else can be signed with its key.

use crate::merkle::Node;
use crate::order::{Bid, JobOrder};
use crate::profile::Profile;
use crate::receipt::Receipt;
use crate::units::{ClaimId, JobId, Price, SegmentNo, Timestamp, Units, Wei, decimal};
use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use serde::{Deserialize, Serialize};

pub(crate) mod abi {
    #![allow(missing_docs)]
    alloy_sol_types::sol! {
        struct Sibling { bytes32 hash; uint64 sum; }
        struct Receipt { uint64 jobId; uint64 seq; bytes32 srcRoot; bytes32 outRoot; uint64 units; uint64 outBytes; }
        struct Opening { Receipt leaf; uint64 srcBytes; uint32 durationMs; bytes clientSig; Sibling[] path; }
        struct Answered { bytes32[] openings; bytes32[] digests; }
        struct JobOrder {
            address client; bytes32 profile; uint96 maxPrice; uint40 deadline; uint8 k; bytes32 seedTip; uint256 salt;
        }
        struct Bid { bytes32 order; address operator; uint96 price; uint40 expiry; uint256 nonce; }
        function approve(address spender, uint256 value);
        function register(string serviceUri);
        function bond(uint128 amount);
        function unbond(uint128 amount);
        function withdraw();
        function withdrawFor(address account);
        function proposeOwner(address operator, address owner);
        function activate(address operator);
        function reward(address operator);
        function openWithBid(JobOrder order, Bid bid, bytes signature);
        function startJob(uint64 jobId);
        function defaultJob(uint64 jobId);
        function cancelJob(uint64 jobId);
        function topUp(uint64 jobId);
        function closeJob(uint64 jobId);
        function releaseJob(uint64 jobId);
        function reclaim(uint64 jobId);
        function claim(uint64 jobId, uint64 first, uint32 count, bytes32 root, uint64 totalUnits);
        function seal(uint64 claimId, bytes header, bytes32 preimage);
        function answer(uint64 claimId, bytes openings, bytes32[] commitments);
        function reveal(uint64 claimId, Answered answered, bytes32[] digests, bytes32[] salts);
        function settle(uint64 claimId);
        function routeFees(address operator);
    }
}

/// The contracts of one deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The stake token.
    pub token: Address,
    /// Bonds and the active set.
    pub registry: Address,
    /// Jobs and their escrow; the verifying contract of every signature.
    pub market: Address,
    /// Claims.
    pub book: Address,
    /// What can be ordered.
    pub profiles: Address,
    /// Fees that were earned.
    pub router: Address,
    /// New tokens for those who work; zero where it is not known.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub rewards: Address,
    /// The slots of those who work; zero where it is not known.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub active_set: Address,
}

fn is_unknown(place: &Address) -> bool {
    place.is_zero()
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

/// What an operator says of a drawn segment, kept from others until it is revealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Hash of the answer: the pictures on the way from source to rendition.
    pub digest: B256,
    /// Random, so that nobody can find the digest by trying.
    pub salt: B256,
}

impl Secret {
    /// What is told first: `keccak256(abi.encode(digest, salt, claim, slot, operator))`.
    pub fn commitment(&self, claim: ClaimId, slot: usize, operator: Address) -> B256 {
        keccak256((self.digest, self.salt, claim.0, U256::from(slot), operator).abi_encode())
    }
}

/// A transaction. Amounts of stake are in the token's smallest unit, amounts of [`Wei`] in the native coin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs)] // the fields are those of the contract functions that each variant names
pub enum Action {
    /// Lets the registry take up to `amount` of the stake token; `nth` tells one such wish from the next.
    ApproveStake {
        #[serde(with = "decimal")]
        amount: u128,
        #[serde(default, skip_serializing_if = "is_first")]
        nth: u64,
    },
    /// Announces where this operator serves segments.
    Register { service_uri: String },
    /// Bonds stake; `nth` as above.
    Bond {
        #[serde(with = "decimal")]
        amount: u128,
        #[serde(default, skip_serializing_if = "is_first")]
        nth: u64,
    },
    /// Starts thawing stake; `nth` as above.
    Unbond {
        #[serde(with = "decimal")]
        amount: u128,
        #[serde(default, skip_serializing_if = "is_first")]
        nth: u64,
    },
    /// Takes thawed stake out; `nth` as above.
    WithdrawStake {
        #[serde(default, skip_serializing_if = "is_first")]
        nth: u64,
    },
    /// Offers the operator, with its stake and fees, to another owner: nothing changes before that one accepts; `nth` as above.
    ProposeOwner { operator: Address, owner: Address, nth: u64 },
    /// Takes a free slot of the active set; `nth` as above.
    Activate { operator: Address, nth: u64 },
    /// Has the operator's part of the epoch before the running one minted; `epoch` is that one.
    Reward { operator: Address, epoch: u64 },
    /// Takes the assigned job on.
    StartJob { job: JobId },
    /// Declares that no more work will be claimed for `job`.
    ReleaseJob { job: JobId },
    /// Claims the fee for a contiguous range of segments.
    Claim { job: JobId, first: SegmentNo, count: u32, root: B256, units: Units },
    /// Fixes the draw of a claim by the header of its seed's block; `preimage` is zero without one.
    Seal { claim: ClaimId, header: Bytes, preimage: B256 },
    /// Opens the drawn segments and commits to what is said of each.
    Answer { claim: ClaimId, operator: Address, openings: Vec<Opening>, secrets: Vec<Secret> },
    /// Reveals what was committed to; `openings` are the hashes of those in the answer.
    Reveal { claim: ClaimId, operator: Address, openings: Vec<B256>, secrets: Vec<Secret> },
    /// Pays the fee of a claim that nobody could contest.
    Settle { claim: ClaimId },
    /// Hands what `operator` has earned to the router, which splits it; `nth` as below.
    RouteFees { operator: Address, nth: u64 },
    /// Takes fees out of the router, those of `account` to that one; without it, as earlier builds asked for it, the key's own.
    /// `nth` tells one withdrawal from the next.
    WithdrawFees {
        nth: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<Address>,
    },
    /// Makes a profile known.
    AddProfile { profile: Profile },
    /// Opens a job with `escrow` and gives it to a bidder.
    OpenWithBid { order: Box<JobOrder>, bid: Box<Bid>, signature: Signature, escrow: Wei },
    /// Takes the job from an operator that did not start it in time.
    DefaultJob { job: JobId, operator: Address },
    /// Ends a job that nobody has started.
    CancelJob { job: JobId },
    /// Adds to a job's escrow; `nth` tells one top-up from the next.
    TopUp { job: JobId, amount: Wei, nth: u32 },
    /// Ends a job: no new segments.
    CloseJob { job: JobId },
    /// Takes unused escrow back.
    Reclaim { job: JobId },
    /// Takes refunds out of the market; `nth` tells one withdrawal from the next.
    Withdraw { nth: u64 },
}

/// The first of its kind is written as it was before there were others.
fn is_first(nth: &u64) -> bool {
    *nth == 0
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
        let free = |to: Address, input: Vec<u8>| (to, Wei(0), input);
        let market = |input: Vec<u8>| free(at.market, input);
        let registry = |input: Vec<u8>| free(at.registry, input);
        let book = |input: Vec<u8>| free(at.book, input);
        let (to, value, input) = match self {
            Self::ApproveStake { amount, .. } => {
                let input = abi::approveCall { spender: at.registry, value: U256::from(*amount) }.abi_encode();
                (at.token, Wei(0), input)
            }
            Self::Register { service_uri } => {
                registry(abi::registerCall { serviceUri: service_uri.clone() }.abi_encode())
            }
            Self::Bond { amount, .. } => registry(abi::bondCall { amount: *amount }.abi_encode()),
            Self::Unbond { amount, .. } => registry(abi::unbondCall { amount: *amount }.abi_encode()),
            Self::WithdrawStake { .. } => registry(abi::withdrawCall {}.abi_encode()),
            Self::ProposeOwner { operator, owner, .. } => {
                registry(abi::proposeOwnerCall { operator: *operator, owner: *owner }.abi_encode())
            }
            Self::Activate { operator, .. } => {
                free(at.active_set, abi::activateCall { operator: *operator }.abi_encode())
            }
            Self::Reward { operator, .. } => free(at.rewards, abi::rewardCall { operator: *operator }.abi_encode()),
            Self::StartJob { job } => market(abi::startJobCall { jobId: job.0 }.abi_encode()),
            Self::ReleaseJob { job } => market(abi::releaseJobCall { jobId: job.0 }.abi_encode()),
            Self::Claim { job, first, count, root, units } => book(
                abi::claimCall { jobId: job.0, first: first.0, count: *count, root: *root, totalUnits: units.0 }
                    .abi_encode(),
            ),
            Self::Seal { claim, header, preimage } => {
                book(abi::sealCall { claimId: claim.0, header: header.clone(), preimage: *preimage }.abi_encode())
            }
            Self::Answer { claim, operator, openings, secrets } => {
                let openings = crate::packed::pack(*claim, openings);
                let commitments = commitments(*claim, *operator, secrets);
                book(abi::answerCall { claimId: claim.0, openings, commitments }.abi_encode())
            }
            Self::Reveal { claim, operator, openings, secrets } => {
                let digests = commitments(*claim, *operator, secrets);
                let call = abi::revealCall {
                    claimId: claim.0,
                    answered: abi::Answered { openings: openings.clone(), digests },
                    digests: secrets.iter().map(|secret| secret.digest).collect(),
                    salts: secrets.iter().map(|secret| secret.salt).collect(),
                };
                book(call.abi_encode())
            }
            Self::Settle { claim } => book(abi::settleCall { claimId: claim.0 }.abi_encode()),
            Self::RouteFees { operator, .. } => market(abi::routeFeesCall { operator: *operator }.abi_encode()),
            Self::WithdrawFees { account: None, .. } => free(at.router, abi::withdrawCall {}.abi_encode()),
            Self::WithdrawFees { account: Some(account), .. } => {
                free(at.router, abi::withdrawForCall { account: *account }.abi_encode())
            }
            Self::AddProfile { profile } => {
                free(at.profiles, crate::profile::abi::addCall { profile: profile.abi() }.abi_encode())
            }
            Self::OpenWithBid { order, bid, signature, escrow } => {
                let call = abi::openWithBidCall {
                    order: order_abi(order),
                    bid: bid_abi(bid),
                    signature: signature.as_bytes().into(),
                };
                (at.market, *escrow, call.abi_encode())
            }
            Self::DefaultJob { job, .. } => market(abi::defaultJobCall { jobId: job.0 }.abi_encode()),
            Self::CancelJob { job } => market(abi::cancelJobCall { jobId: job.0 }.abi_encode()),
            Self::TopUp { job, amount, .. } => (at.market, *amount, abi::topUpCall { jobId: job.0 }.abi_encode()),
            Self::CloseJob { job } => market(abi::closeJobCall { jobId: job.0 }.abi_encode()),
            Self::Reclaim { job } => market(abi::reclaimCall { jobId: job.0 }.abi_encode()),
            Self::Withdraw { .. } => market(abi::withdrawCall {}.abi_encode()),
        };
        Call { to, value, input: input.into() }
    }

    /// Every [`Self::kind`].
    pub const KINDS: [&str; 25] = [
        "approve_stake",
        "register",
        "bond",
        "unbond",
        "withdraw_stake",
        "propose_owner",
        "activate",
        "reward",
        "start_job",
        "release_job",
        "claim",
        "seal",
        "answer",
        "reveal",
        "settle",
        "route_fees",
        "withdraw_fees",
        "add_profile",
        "open_job",
        "default_job",
        "cancel_job",
        "top_up",
        "close_job",
        "reclaim",
        "withdraw",
    ];

    /// Whether stake is lost when it comes too late: what a claim needs until it is proven. A claim that is not sealed cannot be
    /// answered, and is lost like one that was not.
    pub fn is_proof(&self) -> bool {
        matches!(self, Self::Seal { .. } | Self::Answer { .. } | Self::Reveal { .. })
    }

    /// A short constant name, for logs, metrics and budgets: one of [`Self::KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ApproveStake { .. } => "approve_stake",
            Self::Register { .. } => "register",
            Self::Bond { .. } => "bond",
            Self::Unbond { .. } => "unbond",
            Self::WithdrawStake { .. } => "withdraw_stake",
            Self::ProposeOwner { .. } => "propose_owner",
            Self::Activate { .. } => "activate",
            Self::Reward { .. } => "reward",
            Self::StartJob { .. } => "start_job",
            Self::ReleaseJob { .. } => "release_job",
            Self::Claim { .. } => "claim",
            Self::Seal { .. } => "seal",
            Self::Answer { .. } => "answer",
            Self::Reveal { .. } => "reveal",
            Self::Settle { .. } => "settle",
            Self::RouteFees { .. } => "route_fees",
            Self::WithdrawFees { .. } => "withdraw_fees",
            Self::AddProfile { .. } => "add_profile",
            Self::OpenWithBid { .. } => "open_job",
            Self::DefaultJob { .. } => "default_job",
            Self::CancelJob { .. } => "cancel_job",
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
            Self::ApproveStake { amount, nth } | Self::Bond { amount, nth } | Self::Unbond { amount, nth } => {
                format!("{kind}:{amount}:{nth}")
            }
            Self::Register { service_uri } => format!("{kind}:{service_uri}"),
            Self::StartJob { job }
            | Self::ReleaseJob { job }
            | Self::CloseJob { job }
            | Self::CancelJob { job }
            | Self::Reclaim { job } => {
                format!("{kind}:{job}")
            }
            Self::DefaultJob { job, operator } => format!("{kind}:{job}:{operator}"),
            Self::Claim { job, first, .. } => format!("{kind}:{job}:{first}"),
            Self::Seal { claim, .. } | Self::Answer { claim, .. } => format!("{kind}:{claim}"),
            Self::Reveal { claim, .. } | Self::Settle { claim } => format!("{kind}:{claim}"),
            Self::AddProfile { profile } => format!("{kind}:{}", profile.id()),
            Self::OpenWithBid { order, .. } => format!("{kind}:{}", order.salt),
            Self::TopUp { job, nth, .. } => format!("{kind}:{job}:{nth}"),
            Self::ProposeOwner { owner, nth, .. } => format!("{kind}:{owner}:{nth}"),
            Self::Reward { epoch, .. } => format!("{kind}:{epoch}"),
            Self::Withdraw { nth }
            | Self::WithdrawFees { nth, .. }
            | Self::WithdrawStake { nth }
            | Self::Activate { nth, .. }
            | Self::RouteFees { nth, .. } => {
                format!("{kind}:{nth}")
            }
        }
    }

    /// Whether a key of this role may ever sign it.
    pub fn allowed_for(&self, role: Role) -> bool {
        match self {
            Self::Withdraw { .. } => true,
            Self::AddProfile { .. }
            | Self::OpenWithBid { .. }
            | Self::DefaultJob { .. }
            | Self::CancelJob { .. }
            | Self::TopUp { .. }
            | Self::CloseJob { .. }
            | Self::Reclaim { .. } => role == Role::Client,
            _ => role == Role::Operator,
        }
    }
}

impl Opening {
    /// What the book keeps of it: `keccak256(abi.encode(opening))`.
    pub fn hash(&self) -> B256 {
        keccak256(self.abi().abi_encode())
    }

    fn abi(&self) -> abi::Opening {
        abi::Opening {
            leaf: receipt_abi(&self.receipt),
            srcBytes: self.src_bytes,
            durationMs: self.duration_ms,
            clientSig: self.client_signature.clone(),
            path: self.path.iter().map(|node| abi::Sibling { hash: node.hash, sum: node.sum }).collect(),
        }
    }
}

fn commitments(claim: ClaimId, operator: Address, secrets: &[Secret]) -> Vec<B256> {
    secrets.iter().enumerate().map(|(slot, secret)| secret.commitment(claim, slot, operator)).collect()
}

pub(crate) fn receipt_abi(receipt: &Receipt) -> abi::Receipt {
    abi::Receipt {
        jobId: receipt.job.0,
        seq: receipt.seq.0,
        srcRoot: receipt.src_root,
        outRoot: receipt.out_root,
        units: receipt.units.0,
        outBytes: receipt.out_bytes,
    }
}

pub(crate) fn order_abi(order: &JobOrder) -> abi::JobOrder {
    abi::JobOrder {
        client: order.client,
        profile: order.profile,
        maxPrice: u96(order.max_price),
        deadline: u40(order.deadline),
        k: order.samples,
        seedTip: order.seed_tip,
        salt: U256::from(order.salt),
    }
}

pub(crate) fn bid_abi(bid: &Bid) -> abi::Bid {
    abi::Bid {
        order: bid.order,
        operator: bid.operator,
        price: u96(bid.price),
        expiry: u40(bid.expiry),
        nonce: bid.nonce,
    }
}

fn u40(time: Timestamp) -> U40 {
    U40::saturating_from(time.0)
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
        Addresses {
            token: at(1),
            registry: at(2),
            market: at(3),
            book: at(4),
            profiles: at(5),
            router: at(6),
            rewards: at(7),
            active_set: at(8),
        }
    }

    #[test]
    fn money_goes_only_where_the_action_says() {
        let top_up = Action::TopUp { job: JobId(1), amount: Wei(9), nth: 0 };
        assert_eq!(top_up.call(&addresses()).value, Wei(9));
        let call = Action::ApproveStake { amount: 7, nth: 0 }.call(&addresses());
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
    fn stake_can_come_and_leave_more_than_once_by_the_same_call() {
        let pairs: [fn(u64) -> Action; 4] = [
            |nth| Action::ApproveStake { amount: 7, nth },
            |nth| Action::Bond { amount: 7, nth },
            |nth| Action::Unbond { amount: 7, nth },
            |nth| Action::WithdrawStake { nth },
        ];
        for wish in pairs {
            let (one, other) = (wish(1), wish(2));
            assert_ne!(one.key(), other.key());
            assert_eq!(one.call(&addresses()), other.call(&addresses()));
            assert!(!one.allowed_for(Role::Client));
        }
        let before = r#"{"kind":"withdraw_stake"}"#; // as outboxes of earlier builds hold it
        assert_eq!(serde_json::from_str::<Action>(before).unwrap(), Action::WithdrawStake { nth: 0 });
        assert_eq!(serde_json::to_string(&Action::WithdrawStake { nth: 0 }).unwrap(), before);
    }

    #[test]
    fn actions_survive_json() {
        let secret = Secret { digest: B256::repeat_byte(1), salt: B256::repeat_byte(2) };
        let reveal = Action::Reveal {
            claim: ClaimId(3),
            operator: Address::repeat_byte(4),
            openings: vec![B256::ZERO],
            secrets: vec![secret],
        };
        for action in [reveal, Action::Bond { amount: u128::MAX, nth: 0 }, Action::Withdraw { nth: 1 }] {
            let text = serde_json::to_string(&action).unwrap();
            assert_eq!(serde_json::from_str::<Action>(&text).unwrap(), action);
        }
    }
}
