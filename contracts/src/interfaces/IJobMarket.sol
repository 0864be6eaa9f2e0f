// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Jobs, the three doors by which they find an operator, and their escrow.
/// @notice Prices are wei of the native coin for a unit of work, stake is 1e-18 tokens, times are seconds of the market's
/// clock, which is block.timestamp less the time it was paused, so that no job's window runs out during a pause. Orders,
/// bids and receipts are signed by keys: a client that is a contract cannot order.
///
/// A job: Open -(a door)-> Assigned -startJob-> Active -closeJob/releaseJob/deadline-> Draining -reclaim-> Closed.
///        Assigned and not started in time: defaultJob -> Open, and the operator loses `startLock`.
///        Open or Assigned: cancelJob -> Closed.
/// Doors: Direct: the client accepts an operator's signed bid. Auction: sealed bids, the lowest price wins. Election: an
/// operator is drawn by stake among those whose terms allow the job; it works for its own price.
/// An operator's bid or election is binding: `startLock` is locked from the revealed bid that leads an auction, the accepted
/// bid or the election until the job no longer needs it.
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
        uint96 maxPrice; // at most 2^72 - 1
        uint40 deadline; // no new segments after it
        uint8 k; // segments drawn of a long claim, 1..=8
        bytes32 seedTip; // end of the client's hash chain, or 0
        uint256 salt; // tells orders apart that are otherwise equal
    }

    /// What an operator offers. EIP-712, signed by its hot key.
    struct Bid {
        bytes32 order; // orderHash of the order it is for, whether a job of it is open yet or not
        address operator;
        uint96 price;
        uint40 expiry; // last second of block time
        uint256 nonce; // used once; bit nonce % 256 of word nonce / 256. Bids of one nonce stand for each other
    }

    struct Job {
        address client;
        JobState state;
        Door door;
        uint8 k;
        uint40 deadline;
        uint40 startUntil; // Assigned: last second for startJob
        uint40 drainUntil; // Draining: last second for new claims; 0 when the operator has released it
        address operator;
        uint96 price; // fixed by the assignment
        uint96 maxPrice;
        uint128 escrow; // wei free for further claims
        uint128 reserved; // wei held for claims that have not ended
        bytes32 profile;
        bytes32 seedTip;
        bytes16 order; // the first half of its orderHash, which bids have to name
        uint32 nextSeq; // first segment not yet claimed
        uint16 openClaims;
        bool released; // Draining: the operator makes no further claims
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
        uint256 escrow,
        bytes32 order
    );
    event BidsCancelled(address indexed operator, uint256 word, uint256 mask);
    event BidCommitted(uint64 indexed jobId, address indexed bidder);
    event BidRevealed(uint64 indexed jobId, address indexed operator, uint96 price);
    event DepositTaken(uint64 indexed jobId, address indexed operator, uint256 kept);
    event ElectionNamed(uint64 indexed jobId, uint64 blockNumber);
    event DoorOpened(uint64 indexed jobId, Door door);
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
    event FeesRouted(address indexed operator, uint256 amount);
    event ParamsChanged(uint16 version, Params params);
    event Paused(uint40 until);
    event Unpaused();

    error NotAdmin(address caller);
    error NotGuardian(address caller);
    error NotBook(address caller);
    error NotClient(address client, address caller);
    error NotOperator(uint64 jobId, address caller);
    error NotSigner(address caller);
    error NotActive(address operator);
    error ParamOutOfBounds(uint256 value, uint256 least, uint256 most);
    error MarketPaused(uint40 until);
    error NotPaused();
    error PauseTooLong(uint256 until, uint256 most);
    error PauseTooSoon(uint256 from);
    error JobNotInState(uint64 jobId, JobState state);
    error OtherDoor(uint64 jobId, Door door);
    error BadDrawCount(uint8 k, uint8 most);
    error PriceTooHigh(uint96 price, uint96 most);
    error DeadlineOver(uint40 deadline, uint256 now_);
    error DeadlineNotLater(uint40 deadline, uint40 than);
    error OrderUsed(bytes32 order);
    error OtherOrder(bytes32 order);
    error WrongSignature(address signer, address given);
    error BidExpired(uint40 expiry);
    error BidUsed(address operator, uint256 nonce);
    error CommitWindowOver(uint64 jobId, uint40 until);
    error RevealWindowClosed(uint64 jobId, uint40 from, uint40 until);
    error AuctionRunning(uint64 jobId, uint40 until);
    error WrongDeposit(uint256 given, uint256 wanted);
    error AlreadyCommitted(uint64 jobId, address operator);
    error NoDeposit(uint64 jobId, address operator);
    error OtherCommitment(uint64 jobId, address operator);
    error ElectionTooEarly(uint64 jobId, uint64 blockNumber);
    error StartWindowOver(uint64 jobId, uint40 until);
    error StartWindowOpen(uint64 jobId, uint40 until);
    error DrainWindowOver(uint64 jobId, uint256 until);
    error DrainWindowOpen(uint64 jobId, uint40 until);
    error AlreadyReleased(uint64 jobId);
    error ClaimsOpen(uint64 jobId, uint16 claims);
    error NotNextSegment(uint64 jobId, uint32 next, uint64 given);
    error EscrowTooSmall(uint64 jobId, uint256 escrow, uint256 fee);
    error OtherPreimage(uint64 jobId);
    error ZeroValue();
    error NothingOwed(address account);

    // ---- orders ----

    /// @notice Client: opens a job with msg.value as its escrow. An Election's block is electionDelay ahead.
    function openJob(JobOrder calldata order, Door door) external payable returns (uint64 jobId);

    /// @notice Anyone, with the client's signature under the order (once for each order). The escrow is the caller's gift.
    function openJobFor(JobOrder calldata order, Door door, bytes calldata signature)
        external
        payable
        returns (uint64 jobId);

    /// @notice Client: openJob behind the Direct door and acceptBid at once.
    function openWithBid(JobOrder calldata order, Bid calldata bid, bytes calldata signature)
        external
        payable
        returns (uint64 jobId);

    /// @notice Client of an Open job behind the Direct door: assigns it to an active operator whose signer made the bid.
    function acceptBid(uint64 jobId, Bid calldata bid, bytes calldata signature) external;

    /// @notice Operator's signer: marks bid nonces as used.
    function cancelBids(uint256 word, uint256 mask) external;

    // ---- auction ----

    /// @notice Operator's signer, within commitWindow, with `deposit`: keccak256(abi.encode(chain id, market, jobId, operator, price, salt)).
    function commitBid(uint64 jobId, bytes32 commitment) external payable;

    /// @notice The same, within revealWindow: the deposit comes back to who paid it. Who is not active, has too little free
    /// stake or asks more than maxPrice is passed over. Who leads is bound: startLock is locked until another leads.
    function revealBid(uint64 jobId, uint96 price, bytes32 salt) external;

    /// @notice Anyone, after revealWindow: assigns the job to the lowest bidder; equal prices are told apart by a hash of a
    /// random number of the first reveal's block. Nobody leads, it is no longer active, or the deadline is over: the job
    /// opens behind the Direct door.
    function awardAuction(uint64 jobId) external;

    /// @notice A bidder that never revealed, after revealWindow: loses a tenth of its deposit to the job's client and takes
    /// the rest back. All of it comes back, at once, when the job was cancelled before.
    function takeDeposit(uint64 jobId) external;

    // ---- election ----

    /// @notice Operator's signer. They count in elections whose block is still to come; in others it is passed over, so that
    /// nobody asks for more once it knows that it is drawn.
    function setTerms(uint96 price, uint16 maxJobs) external;

    /// @notice Anyone, after the election's block and up to the deadline: draws up to 8 times by the stakes of the day in which
    /// the block was named: seed = keccak256(abi.encode(prevrandao, jobId)), draw i by keccak256(abi.encode(seed, i)).
    /// Nobody fits, or the block or the day is out of reach: a new block is named.
    /// @param header RLP of the election block's header; not looked at when that is out of reach.
    function elect(uint64 jobId, bytes calldata header) external;

    // ---- the job's life ----

    /// @notice Assigned operator: takes it on.
    function startJob(uint64 jobId) external;

    /// @notice Anyone, after startUntil: half of startLock goes to the client, half is burned. The job is Open again behind
    /// the Direct door, or with a new block for an Election.
    function defaultJob(uint64 jobId) external;

    /// @notice Anyone: adds to the escrow of a job that is not closed. It is the client's from then on.
    function topUp(uint64 jobId) external payable;

    /// @notice Client: a later deadline, while the job is not draining and the old one not over.
    function extendJob(uint64 jobId, uint40 deadline) external;

    /// @notice Client: a new end of its hash chain, or 0 for none, while no claim is open: one that is chosen when a claim's
    /// block is known would be a second draw.
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

    /// @notice Anyone: sends the fees that an operator has earned so far to the router.
    function routeFees(address operator) external;

    // ---- the claim book alone ----

    /// @notice Checks that [first, first + count) may be claimed now, and holds the fee. The book checks the count and who
    /// claims.
    /// @return client The job's.
    /// @return operator The job's.
    /// @return fee units * price, in wei.
    /// @return k How many segments are drawn of a long claim.
    /// @return before Count of the job's claim before this one, 0 for the first.
    function reserve(uint64 jobId, uint64 first, uint32 count, uint64 units)
        external
        returns (address client, address operator, uint128 fee, uint8 k, uint32 before);

    /// @notice The claim is settled: `toVerifiers` of the fee goes to the challenge manager, the rest waits in feesOf.
    function pay(uint64 jobId, uint64 claimId, uint128 fee, uint128 toVerifiers) external;

    /// @notice The claim failed: the fee is free escrow again.
    function restore(uint64 jobId, uint128 fee) external;

    /// @notice Uses up one link of the client's hash chain: keccak256(abi.encode(preimage)) is the tip, and the preimage the next.
    /// Without a chain the preimage must be 0.
    function popSeed(uint64 jobId, bytes32 preimage) external;

    // ---- governance and guardian ----

    /// @notice Admin, within the bounds given at construction. What is under way keeps its windows and locks.
    function setParams(Params calldata params) external;

    /// @notice Guardian: nothing is opened, assigned, started or claimed up to `until` (block time, at most 7 days ahead),
    /// and the clock stands still. The next pause begins a day after the last one's end at the earliest.
    function pause(uint40 until) external;
    function unpause() external;

    // ---- views ----

    function job(uint64 jobId) external view returns (Job memory);

    /// @notice The job's client, and the operator and price it is assigned to (0 and maxPrice without one): two words.
    function parties(uint64 jobId) external view returns (address client, address operator, uint96 price);

    /// @notice The same without the client: one word.
    function assignment(uint64 jobId) external view returns (address operator, uint96 price);
    /// @notice The id of what was ordered.
    function profileOf(uint64 jobId) external view returns (bytes32);
    function auction(uint64 jobId) external view returns (Auction memory);
    function electionBlock(uint64 jobId) external view returns (uint64);
    function terms(address operator) external view returns (Terms memory);
    function bidUsed(address operator, uint256 nonce) external view returns (bool);
    function nextJobId() external view returns (uint64);
    function owed(address account) external view returns (uint256);

    /// @notice Settled fees that have not gone to the router yet.
    function feesOf(address operator) external view returns (uint256);
    function clock() external view returns (uint40);
    function pausedUntil() external view returns (uint40);
    function params() external view returns (Params memory);

    /// @notice Longest time from a lock to the slash that can follow, over all parameters within the bounds. For the registry.
    function reach() external view returns (uint32);
    function domainSeparator() external view returns (bytes32);

    /// @notice The EIP-712 digests that a client and an operator sign.
    function orderHash(JobOrder calldata order) external view returns (bytes32);
    function bidHash(Bid calldata bid) external view returns (bytes32);
}
