// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Jobs, the three doors by which they find an operator, and their escrow.
/// @notice Prices are wei of the native coin for a unit of work, stake is 1e-18 tokens, times are seconds of the market's
/// clock, which is block.timestamp less the time it was paused, so that no job's window runs out during a pause.
///
/// A job: Open -(a door)-> Assigned -startJob-> Active -closeJob/releaseJob/deadline-> Draining -reclaim-> Closed.
///        Assigned and not started in time: defaultJob -> Open, and the operator loses `startLock`.
///        Open or Assigned: cancelJob -> Closed.
/// Doors: Direct: the client accepts an operator's signed bid. Auction: sealed bids, the lowest price wins. Election: an
/// operator is drawn by stake among those whose terms allow the job; it works for its own price.
interface IJobMarket {
    enum JobState {
        None,
        Open,
        Assigned,
        Active,
        Draining,
        Closed
    }

    enum Door {
        Direct,
        Auction,
        Election
    }

    struct Params {
        uint32 startWindow; // an assigned operator has to start within it
        uint32 drainWindow; // for the last claims
        uint32 commitWindow; // of an auction
        uint32 revealWindow; // of an auction
        uint16 electionDelay; // blocks from the order to the block that decides
        uint128 startLock; // stake, from assignment to the end of the job
        uint128 deposit; // wei, with a sealed bid
    }

    /// What a client orders. EIP-712, so that anyone may relay it.
    struct JobOrder {
        address client; // a key: its signatures order segments
        bytes32 profile;
        uint96 maxPrice;
        uint40 deadline; // no new segments after it
        uint8 k; // segments drawn of a long claim, 1..=8
        bytes32 seedTip; // end of the client's hash chain, or 0
        uint256 salt;
    }

    /// What an operator offers. EIP-712, signed by its hot key.
    struct Bid {
        bytes32 order; // hash of a JobOrder, or the id of an open job
        address operator;
        uint96 price;
        uint40 expiry; // last second of block time
        uint256 nonce; // used once; bit nonce % 256 of word nonce / 256
    }

    struct Job {
        address client;
        JobState state;
        Door door;
        uint8 k;
        uint40 deadline;
        uint40 startUntil; // Assigned: last second for startJob
        uint40 drainUntil; // Draining: last second for new claims
        address operator;
        uint96 price; // fixed by the assignment
        uint96 maxPrice;
        uint128 escrow; // wei free for further claims
        uint128 reserved; // wei held for claims that have not ended
        bytes32 profile;
        bytes32 seedTip;
        uint32 nextSeq; // first segment not yet claimed
        uint16 openClaims;
        bool released; // the operator makes no further claims
    }

    struct Auction {
        uint40 commitUntil;
        uint40 revealUntil;
        uint16 commits;
        address best; // lowest revealed so far
        uint96 bestPrice;
    }

    /// What an operator takes when it is elected.
    struct Terms {
        uint96 price; // least
        uint16 maxJobs; // jobs by election at a time; 0 takes none
        uint16 openJobs;
    }

    event JobOpened(
        uint64 indexed jobId,
        address indexed client,
        bytes32 indexed profile,
        Door door,
        uint96 maxPrice,
        uint40 deadline,
        uint256 escrow
    );
    event BidsCancelled(address indexed operator, uint256 word, uint256 mask);
    event BidCommitted(uint64 indexed jobId, address indexed bidder);
    event BidRevealed(uint64 indexed jobId, address indexed operator, uint96 price);
    event TermsSet(address indexed operator, uint96 price, uint16 maxJobs);
    event JobAssigned(uint64 indexed jobId, address indexed operator, uint96 price, uint40 startUntil);
    event JobStarted(uint64 indexed jobId, address indexed operator);
    event JobDefaulted(uint64 indexed jobId, address indexed operator, uint256 taken);
    event ToppedUp(uint64 indexed jobId, uint256 amount, uint256 escrow);
    event JobExtended(uint64 indexed jobId, uint40 deadline);
    event SeedTipSet(uint64 indexed jobId, bytes32 tip);
    event JobDraining(uint64 indexed jobId, uint40 drainUntil);
    event JobReleased(uint64 indexed jobId);
    event JobClosed(uint64 indexed jobId, uint256 refund);
    event Withdrawn(address indexed account, uint256 amount);
    event ParamsChanged(Params params);
    event Paused(uint40 until);
    event Unpaused();

    // ---- orders ----

    /// @notice Client: opens a job with msg.value as its escrow. An Election's block is electionDelay ahead.
    function openJob(JobOrder calldata order, Door door) external payable returns (uint64 jobId);

    /// @notice Anyone, with the client's signature under the order (once for each order). The escrow is the caller's gift.
    function openJobFor(JobOrder calldata order, Door door, bytes calldata signature)
        external
        payable
        returns (uint64 jobId);

    /// @notice Client: openJob and acceptBid at once; the bid names the order's hash.
    function openWithBid(JobOrder calldata order, Bid calldata bid, bytes calldata signature)
        external
        payable
        returns (uint64 jobId);

    /// @notice Client of an Open job behind the Direct door: assigns it. The bid names bytes32(uint256(jobId)).
    function acceptBid(uint64 jobId, Bid calldata bid, bytes calldata signature) external;

    /// @notice Operator's signer: marks bid nonces as used.
    function cancelBids(uint256 word, uint256 mask) external;

    // ---- auction ----

    /// @notice Operator's signer, within commitWindow, with `deposit`: keccak256(abi.encode(chain id, market, jobId, operator, price, salt)).
    function commitBid(uint64 jobId, bytes32 commitment) external payable;

    /// @notice The same, within revealWindow: the deposit comes back. Who is not active, has too little free stake or asks
    /// more than maxPrice is passed over.
    function revealBid(uint64 jobId, uint96 price, bytes32 salt) external;

    /// @notice Anyone, after revealWindow: assigns the job to the lowest bidder; equal prices are told apart by a hash of a
    /// random number of the first reveal's block. Nobody fit: the job opens behind the Direct door.
    function awardAuction(uint64 jobId) external;

    /// @notice A bidder that never revealed loses a tenth of its deposit to the job's escrow and takes the rest back.
    function takeDeposit(uint64 jobId) external;

    // ---- election ----

    /// @notice Operator's signer.
    function setTerms(uint96 price, uint16 maxJobs) external;

    /// @notice Anyone, after the election's block: draws up to 8 times by stake. Nobody fits, or the block is out of reach:
    /// a new block is named.
    /// @param header RLP of the election block's header.
    function elect(uint64 jobId, bytes calldata header) external;

    // ---- the job's life ----

    /// @notice Assigned operator: takes it on.
    function startJob(uint64 jobId) external;

    /// @notice Anyone, after startUntil: half of startLock goes to the client, half is burned. The job is Open again behind
    /// the Direct door, or with a new block for an Election.
    function defaultJob(uint64 jobId) external;

    /// @notice Anyone: adds to the escrow of a job that is not closed.
    function topUp(uint64 jobId) external payable;

    /// @notice Client: a later deadline, while the job is not draining.
    function extendJob(uint64 jobId, uint40 deadline) external;

    /// @notice Client: a new end of its hash chain, when the old one is used up.
    function setSeedTip(uint64 jobId, bytes32 tip) external;

    /// @notice Client: an Open or Assigned job closes with a refund.
    function cancelJob(uint64 jobId) external;

    /// @notice Client, or anyone after the deadline: an Active job drains for drainWindow (from the deadline, if that is over).
    function closeJob(uint64 jobId) external;

    /// @notice Operator: no further claims; frees startLock. An Active job becomes Draining.
    function releaseJob(uint64 jobId) external;

    /// @notice Client: takes what is left of a Draining job without open claims, once released or drained.
    function reclaim(uint64 jobId) external;

    /// @notice Pays out what the caller is owed: refunds, deposits.
    function withdraw() external;

    /// @notice Anyone: sends the fees that settled claims have left for an operator to the router.
    function routeFees(address operator) external;

    // ---- the claim book alone ----

    /// @notice Checks that `caller` signs for the job's operator and may claim [first, first + count) now, and holds the fee.
    /// @return operator The job's.
    /// @return fee Wei.
    /// @return k Segments drawn of a long claim.
    /// @return before How many segments the job's previous claim has; 0 for its first.
    function reserve(uint64 jobId, address caller, uint64 first, uint32 count, uint64 units)
        external
        returns (address operator, uint128 fee, uint8 k, uint32 before);

    /// @notice The claim is settled: `toVerifiers` of the fee goes to the challenge manager, the rest is kept for the router.
    function pay(uint64 jobId, uint64 claimId, uint128 fee, uint128 toVerifiers) external;

    /// @notice The claim failed: the fee is free escrow again.
    function restore(uint64 jobId, uint128 fee) external;

    /// @notice Uses up one link of the client's hash chain: keccak256(abi.encode(preimage)) is the tip. Without a chain the
    /// preimage is 0.
    function popSeed(uint64 jobId, bytes32 preimage) external;

    // ---- governance and guardian ----

    function setParams(Params calldata params) external;
    function pause(uint40 until) external;
    function unpause() external;

    // ---- views ----

    function job(uint64 jobId) external view returns (Job memory);

    /// @notice What a claim needs to know of its job; fixed once the job is Active.
    function parties(uint64 jobId) external view returns (address client, address operator, uint96 price);

    /// @notice Wei for routeFees.
    function feesOf(address operator) external view returns (uint256);
    function auction(uint64 jobId) external view returns (Auction memory);
    function electionBlock(uint64 jobId) external view returns (uint64);
    function terms(address operator) external view returns (Terms memory);
    function bidUsed(address operator, uint256 nonce) external view returns (bool);
    function nextJobId() external view returns (uint64);
    function owed(address account) external view returns (uint256);
    function clock() external view returns (uint40);
    function params() external view returns (Params memory);
    function domainSeparator() external view returns (bytes32);
    function orderHash(JobOrder calldata order) external view returns (bytes32);
    function bidHash(Bid calldata bid) external view returns (bytes32);
}
