// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Jobs, their escrow, and the claims that turn finished work into money.
/// @notice A unit of work is 1000 output pixels (frames x width x height summed over all renditions, rounded down);
/// prices and fees are wei of the native coin; collateral is 1e-18 stake tokens; every window is in blocks.
///
/// A job:   Open -award-> Awarded -claimJob-> Active -closeJob/releaseJob-> Draining -reclaim-> Closed.
///          An Open or Awarded job closes at once, with its whole escrow refunded.
/// A claim: Submitted -seal-> Sealed -answer-> Answered -settle-> Settled (the fee moves to the operator);
///          Submitted or Sealed and past the deadline: -slashMissed-> Slashed (the fee returns to the escrow).
/// Each claim reserves its fee and locks its collateral when submitted, and gives both up exactly once, when it ends.
interface IJobMarket {
    enum JobState {
        None,
        Open,
        Awarded,
        Active,
        Draining,
        Closed
    }

    enum ClaimState {
        None,
        Submitted,
        Sealed,
        Answered,
        Settled,
        Slashed
    }

    enum SlashReason {
        Unsealed,
        Unanswered
    }

    /// @dev Collateral of a claim = max(minLock, fee * lockPerWeiNum / lockPerWeiDen rounded up).
    struct Params {
        uint32 bidWindow;
        uint32 startWindow;
        uint32 seedDelay;
        uint32 answerWindow;
        uint32 contestWindow;
        uint32 drainWindow;
        uint128 minLock;
        uint128 startLock;
        uint64 lockPerWeiNum;
        uint64 lockPerWeiDen;
    }

    struct Job {
        address client;
        JobState state;
        uint8 k; // segments drawn per claim
        uint64 bidUntil; // last block for bids
        uint64 startUntil; // last block for claimJob
        uint64 drainUntil; // last block for new claims while Draining
        address operator;
        uint96 price; // wei per unit, fixed by the award
        uint96 maxPrice;
        uint128 escrow; // wei free for further claims
        uint128 reserved; // wei held for claims that have not ended
        bytes32 profile; // hash of what is to be made
        uint64 nextSeq; // first segment not yet claimed
        uint32 openClaims;
        bool released; // the operator makes no further claims
    }

    struct Claim {
        uint64 jobId;
        uint64 first;
        uint32 count;
        uint64 totalUnits;
        uint64 seedBlock; // its hash decides which segments are drawn
        ClaimState state;
        bytes32 root; // Merkle-sum root of the range
        bytes32 seed; // 0 until sealed
        uint128 fee;
        uint128 lock;
        uint64 deadline; // last block for seal and answer; once Answered, settles after it
        address operator;
    }

    /// @dev One level of a Merkle-sum proof, bottom up.
    struct Sibling {
        bytes32 hash;
        uint64 sum;
    }

    struct Opening {
        uint64 seq;
        bytes32 srcRoot;
        bytes32 outRoot;
        uint64 units;
        uint64 outBytes;
        uint64 srcBytes;
        uint32 durationMs;
        bytes clientSig; // over Segment(jobId, seq, srcRoot, srcBytes, durationMs), 65 bytes, low s
        Sibling[] path;
    }

    struct Receipt {
        uint64 jobId;
        uint64 seq;
        bytes32 srcRoot;
        bytes32 outRoot;
        uint64 units;
        uint64 outBytes;
    }

    event JobOpened(
        uint64 indexed jobId,
        address indexed client,
        bytes32 profile,
        uint96 maxPrice,
        uint8 k,
        uint256 escrow,
        uint64 bidUntil
    );
    event BidPlaced(uint64 indexed jobId, address indexed operator, uint96 price);
    event JobAwarded(uint64 indexed jobId, address indexed operator, uint96 price, uint64 startUntil);
    event JobClaimed(uint64 indexed jobId, address indexed operator);
    event ToppedUp(uint64 indexed jobId, uint256 amount, uint256 escrow);
    event JobClosing(uint64 indexed jobId, uint64 drainUntil);
    event JobReleased(uint64 indexed jobId);
    event JobClosed(uint64 indexed jobId, uint256 refund);
    event ClaimSubmitted(
        uint64 indexed claimId,
        uint64 indexed jobId,
        address indexed operator,
        uint64 first,
        uint32 count,
        bytes32 root,
        uint64 totalUnits,
        uint256 fee,
        uint64 seedBlock
    );
    event ClaimSealed(uint64 indexed claimId, bytes32 seed, uint64 deadline);
    event ClaimAnswered(uint64 indexed claimId, uint64 deadline);
    event ClaimSettled(uint64 indexed claimId, uint64 indexed jobId, address indexed operator, uint256 fee);
    event ClaimSlashed(uint64 indexed claimId, address indexed operator, SlashReason reason, uint256 taken);
    event Equivocated(uint64 indexed jobId, address indexed operator, uint64 seq, uint256 taken);
    event Withdrawn(address indexed account, uint256 amount);

    error BadParams();
    error JobNotInState(uint64 jobId, JobState state);
    error NotClient(uint64 jobId, address caller);
    error NotOperator(uint64 jobId, address caller);
    error BadDrawCount(uint8 k, uint256 limit);
    error BiddingOver(uint64 jobId, uint64 bidUntil);
    error NotActive(address operator);
    error PriceTooHigh(uint96 price, uint96 maxPrice);
    error BidNotLower(uint64 jobId, uint96 standing, uint96 price);
    error TooManyBids(uint64 jobId, uint256 limit);
    error NoBid(uint64 jobId, address operator);
    error StartWindowOpen(uint64 jobId, uint64 startUntil);
    error StartWindowOver(uint64 jobId, uint64 startUntil);
    error DrainWindowOpen(uint64 jobId, uint64 drainUntil);
    error DrainWindowOver(uint64 jobId, uint64 drainUntil);
    error AlreadyReleased(uint64 jobId);
    error ClaimsOpen(uint64 jobId, uint32 openClaims);
    error ZeroValue();
    error NotNextSegment(uint64 jobId, uint64 expected, uint64 first);
    error BadCount(uint32 count, uint32 limit);
    error ZeroUnits();
    error EscrowTooSmall(uint64 jobId, uint256 escrow, uint256 fee);
    error ClaimNotInState(uint64 claimId, ClaimState state);
    error TooEarly(uint64 claimId, uint64 lastBlock);
    error TooLate(uint64 claimId, uint64 lastBlock);
    error SeedUnavailable(uint64 claimId, uint64 seedBlock);
    error WrongOpeningCount(uint64 claimId, uint256 expected, uint256 given);
    error OpeningOutsideClaim(uint64 claimId, uint64 seq);
    error WrongPathLength(uint64 seq, uint256 expected, uint256 given);
    error NotInClaim(uint64 claimId, uint64 seq);
    error DrawNotCovered(uint64 seq, uint64 draw, uint64 offset, uint64 units);
    error WrongClientSignature(uint64 jobId, uint64 seq, address signer);
    error DifferentSegments(uint64 jobA, uint64 seqA, uint64 jobB, uint64 seqB);
    error SameReceipt(uint64 jobId, uint64 seq);
    error WrongReceiptSigner(address expected, address signer);
    error AlreadyPunished(address operator, uint64 jobId, uint64 seq);
    error NothingOwed(address account);

    /// @notice Asks for work and pays `msg.value` into its escrow. `k` segments are drawn from every claim (1..=16).
    function openJob(bytes32 profile, uint96 maxPrice, uint8 k) external payable returns (uint64 jobId);

    /// @notice An active operator's offer. A standing bid can only be lowered, so what a client awards is never worse
    /// than what it saw. At most 16 bidders a job.
    function bid(uint64 jobId, uint96 price) external;

    /// @notice Client: picks a bidder, before or after bidUntil; again when the last one let startUntil pass.
    function award(uint64 jobId, address operator) external;

    /// @notice Awarded operator: takes the job on and locks `startLock` until the job is released or reclaimed.
    function claimJob(uint64 jobId) external;

    /// @notice Anyone: adds to the escrow of a job that is not closed.
    function topUp(uint64 jobId) external payable;

    /// @notice Client: an Open or Awarded job closes with a refund; an Active one drains for `drainWindow` blocks.
    function closeJob(uint64 jobId) external;

    /// @notice Operator: no further claims from me; frees startLock. An Active job becomes Draining.
    function releaseJob(uint64 jobId) external;

    /// @notice Client: takes what is left of a Draining job without open claims, once released or drained.
    function reclaim(uint64 jobId) external;

    /// @notice Operator: asks payment for segments [first, first + count), which must start at the job's nextSeq.
    function claim(uint64 jobId, uint64 first, uint32 count, bytes32 root, uint64 totalUnits)
        external
        returns (uint64 claimId);

    /// @notice Anyone, after seedBlock and up to the deadline: fixes the draws from the hash of seedBlock.
    function seal(uint64 claimId) external;

    /// @notice Operator, up to the deadline: opens the drawn segments, opening j covering unit draws(claimId)[j].
    function answer(uint64 claimId, Opening[] calldata openings) external;

    /// @notice Anyone, after the contest window: credits the fee and frees the collateral.
    function settle(uint64 claimId) external;

    /// @notice Anyone, after the deadline of an unanswered claim: takes the collateral, returns the fee to the escrow.
    function slashMissed(uint64 claimId) external;

    /// @notice Anyone: two receipts of the job's operator for one segment with different content cost `minLock`.
    function slashEquivocation(Receipt calldata a, bytes calldata sigA, Receipt calldata b, bytes calldata sigB)
        external;

    /// @notice Pays out everything the caller is owed.
    function withdraw() external;

    function owed(address account) external view returns (uint256);
    function job(uint64 jobId) external view returns (Job memory);
    function claimInfo(uint64 claimId) external view returns (Claim memory);

    /// @notice The drawn unit offsets, one per opening of the answer. Reverts until the claim is sealed.
    function draws(uint64 claimId) external view returns (uint64[] memory);

    function bids(uint64 jobId) external view returns (address[] memory operators, uint96[] memory prices);
    function nextJobId() external view returns (uint64);
    function nextClaimId() external view returns (uint64);

    /// @notice How many claims the operator has ever submitted, over all jobs.
    function operatorClaims(address operator) external view returns (uint64 count);

    function params() external view returns (Params memory);

    /// @notice What a client signs for one source segment.
    function segmentDigest(uint64 jobId, uint64 seq, bytes32 srcRoot, uint64 srcBytes, uint32 durationMs)
        external
        view
        returns (bytes32);

    /// @notice What an operator signs for one finished segment.
    function receiptDigest(Receipt calldata receipt) external view returns (bytes32);
}
