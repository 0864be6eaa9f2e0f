// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {IOperatorKeys} from "./interfaces/IOperatorKeys.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {BlockHashes} from "./lib/BlockHashes.sol";
import {MerkleSum} from "./lib/MerkleSum.sol";
import {SignedTypes} from "./lib/SignedTypes.sol";

/// @title The market: see IJobMarket for the rules.
/// @dev Money in = escrow + reserved of all jobs + owed of all accounts, always. The only value transfer is
/// `withdraw`; the only other contract called is the registry, whose calls come last.
contract JobMarket is IJobMarket, EIP712 {
    using SafeCast for uint256;

    uint256 public constant MAX_BIDS = 16;
    uint8 public constant MAX_DRAWS = 16;
    uint32 public constant MAX_COUNT = 4096;
    uint16 private constant FINDER_SHARE = 5000; // in 1e-4

    IStakeRegistry public immutable registry;
    IOperatorKeys public immutable keys;
    uint32 private immutable _bidWindow;
    uint32 private immutable _startWindow;
    uint32 private immutable _seedDelay;
    uint32 private immutable _answerWindow;
    uint32 private immutable _contestWindow;
    uint32 private immutable _drainWindow;
    uint128 private immutable _minLock;
    uint128 private immutable _startLock;
    uint64 private immutable _lockPerWeiNum;
    uint64 private immutable _lockPerWeiDen;

    uint64 public nextJobId = 1;
    uint64 public nextClaimId = 1;
    mapping(address account => uint256) public owed;
    mapping(address operator => uint64) public operatorClaims;
    mapping(uint64 jobId => JobRecord) private _jobs;
    mapping(uint64 claimId => ClaimRecord) private _claims;
    mapping(uint64 jobId => Bid[]) private _bids;
    mapping(address operator => mapping(uint64 jobId => mapping(uint64 seq => bool))) private _punished;

    struct Bid {
        address operator;
        uint96 price;
    }

    /// @dev Five words; block numbers fit 40 bits for 34000 years of one-second blocks.
    struct JobRecord {
        address client;
        uint40 bidUntil;
        uint40 startUntil;
        JobState state;
        uint8 k;
        address operator;
        uint96 price;
        uint128 escrow;
        uint128 reserved;
        uint96 maxPrice;
        uint40 drainUntil;
        uint64 nextSeq;
        uint32 openClaims;
        bool released;
        bytes32 profile;
    }

    /// @dev Three words. Fee, lock and operator follow from totalUnits and the job, whose price and operator are fixed
    /// once it can have claims, so they are computed and not stored.
    struct ClaimRecord {
        uint40 jobId;
        uint48 first;
        uint16 count;
        uint64 totalUnits;
        uint40 seedBlock;
        uint40 deadline;
        ClaimState state;
        bytes32 root;
        bytes32 seed;
    }

    constructor(IStakeRegistry registry_, Params memory p) EIP712("Headframe", "1") {
        // A seed must stay readable until the deadline, and a draw must lie after the claim.
        bool seedable = p.seedDelay > 0 && p.answerWindow < BlockHashes.HISTORY_REACH;
        bool windows = p.bidWindow > 0 && p.startWindow > 0 && p.answerWindow > 0 && p.drainWindow > 0;
        require(seedable && windows && p.lockPerWeiDen > 0, BadParams());
        registry = registry_;
        keys = registry_.keys();
        _bidWindow = p.bidWindow;
        _startWindow = p.startWindow;
        _seedDelay = p.seedDelay;
        _answerWindow = p.answerWindow;
        _contestWindow = p.contestWindow;
        _drainWindow = p.drainWindow;
        _minLock = p.minLock;
        _startLock = p.startLock;
        _lockPerWeiNum = p.lockPerWeiNum;
        _lockPerWeiDen = p.lockPerWeiDen;
    }

    // ---- jobs ----

    function openJob(bytes32 profile, uint96 maxPrice, uint8 k) external payable returns (uint64 jobId) {
        require(k > 0 && k <= MAX_DRAWS, BadDrawCount(k, MAX_DRAWS));
        jobId = nextJobId++;
        uint40 bidUntil = _after(_bidWindow);
        JobRecord storage j = _jobs[jobId];
        j.client = msg.sender;
        j.bidUntil = bidUntil;
        j.state = JobState.Open;
        j.k = k;
        j.escrow = msg.value.toUint128();
        j.maxPrice = maxPrice;
        j.profile = profile;
        emit JobOpened(jobId, msg.sender, profile, maxPrice, k, msg.value, bidUntil);
    }

    function bid(uint64 jobId, uint96 price) external {
        JobRecord storage j = _jobs[jobId];
        require(j.state == JobState.Open, JobNotInState(jobId, j.state));
        require(block.number <= j.bidUntil, BiddingOver(jobId, j.bidUntil));
        require(price <= j.maxPrice, PriceTooHigh(price, j.maxPrice));
        address operator = keys.operatorOf(msg.sender);
        require(registry.isActive(operator), NotActive(operator));

        Bid[] storage all = _bids[jobId];
        uint256 i = _bidOf(all, operator);
        if (i < all.length) {
            require(price < all[i].price, BidNotLower(jobId, all[i].price, price));
            all[i].price = price;
        } else {
            require(i < MAX_BIDS, TooManyBids(jobId, MAX_BIDS));
            all.push(Bid(operator, price));
        }
        emit BidPlaced(jobId, operator, price);
    }

    function award(uint64 jobId, address operator) external {
        JobRecord storage j = _jobOfClient(jobId);
        if (j.state == JobState.Awarded) {
            require(block.number > j.startUntil, StartWindowOpen(jobId, j.startUntil));
        } else {
            require(j.state == JobState.Open, JobNotInState(jobId, j.state));
        }
        Bid[] storage all = _bids[jobId];
        uint256 i = _bidOf(all, operator);
        require(i < all.length, NoBid(jobId, operator));
        require(registry.isActive(operator), NotActive(operator));

        uint96 price = all[i].price;
        uint40 startUntil = _after(_startWindow);
        j.state = JobState.Awarded;
        j.startUntil = startUntil;
        j.operator = operator;
        j.price = price;
        emit JobAwarded(jobId, operator, price, startUntil);
    }

    function claimJob(uint64 jobId) external {
        JobRecord storage j = _jobOfOperator(jobId);
        require(j.state == JobState.Awarded, JobNotInState(jobId, j.state));
        require(block.number <= j.startUntil, StartWindowOver(jobId, j.startUntil));
        j.state = JobState.Active;
        emit JobClaimed(jobId, j.operator);
        registry.lock(j.operator, _startLock);
    }

    function topUp(uint64 jobId) external payable {
        JobRecord storage j = _jobs[jobId];
        require(j.state != JobState.None && j.state != JobState.Closed, JobNotInState(jobId, j.state));
        require(msg.value > 0, ZeroValue());
        uint128 escrow = j.escrow + msg.value.toUint128();
        j.escrow = escrow;
        emit ToppedUp(jobId, msg.value, escrow);
    }

    function closeJob(uint64 jobId) external {
        JobRecord storage j = _jobOfClient(jobId);
        if (j.state == JobState.Open || j.state == JobState.Awarded) {
            _refund(jobId, j);
        } else {
            require(j.state == JobState.Active, JobNotInState(jobId, j.state));
            _drain(jobId, j, _after(_drainWindow));
        }
    }

    function releaseJob(uint64 jobId) external {
        JobRecord storage j = _jobOfOperator(jobId);
        require(j.state == JobState.Active || j.state == JobState.Draining, JobNotInState(jobId, j.state));
        require(!j.released, AlreadyReleased(jobId));
        j.released = true;
        emit JobReleased(jobId);
        if (j.state == JobState.Active) _drain(jobId, j, _after(0));
        registry.release(j.operator, _startLock);
    }

    function reclaim(uint64 jobId) external {
        JobRecord storage j = _jobOfClient(jobId);
        require(j.state == JobState.Draining, JobNotInState(jobId, j.state));
        require(j.openClaims == 0, ClaimsOpen(jobId, j.openClaims));
        bool released = j.released;
        require(released || block.number > j.drainUntil, DrainWindowOpen(jobId, j.drainUntil));
        _refund(jobId, j);
        if (!released) registry.release(j.operator, _startLock);
    }

    // ---- claims ----

    function claim(uint64 jobId, uint64 first, uint32 count, bytes32 root, uint64 totalUnits)
        external
        returns (uint64 claimId)
    {
        JobRecord storage j = _jobOfOperator(jobId);
        if (j.state == JobState.Draining) {
            require(!j.released, AlreadyReleased(jobId));
            require(block.number <= j.drainUntil, DrainWindowOver(jobId, j.drainUntil));
        } else {
            require(j.state == JobState.Active, JobNotInState(jobId, j.state));
        }
        require(first == j.nextSeq, NotNextSegment(jobId, j.nextSeq, first));
        require(count > 0 && count <= MAX_COUNT, BadCount(count, MAX_COUNT));
        require(totalUnits > 0, ZeroUnits());
        uint256 fee = _fee(totalUnits, j.price);
        require(fee <= j.escrow, EscrowTooSmall(jobId, j.escrow, fee));

        claimId = nextClaimId++;
        uint40 seedBlock = _after(_seedDelay);
        ClaimRecord storage c = _claims[claimId];
        c.jobId = uint256(jobId).toUint40();
        c.first = uint256(first).toUint48();
        c.count = uint256(count).toUint16();
        c.totalUnits = totalUnits;
        c.seedBlock = seedBlock;
        c.deadline = _after(uint256(_seedDelay) + _answerWindow);
        c.state = ClaimState.Submitted;
        c.root = root;

        j.escrow -= fee.toUint128();
        j.reserved += fee.toUint128();
        j.nextSeq = first + count;
        j.openClaims += 1;
        address operator = j.operator;
        operatorClaims[operator] += 1;
        emit ClaimSubmitted(claimId, jobId, operator, first, count, root, totalUnits, fee, seedBlock);
        registry.lock(operator, _lockFor(fee));
    }

    function seal(uint64 claimId) external {
        ClaimRecord storage c = _claims[claimId];
        require(c.state == ClaimState.Submitted, ClaimNotInState(claimId, c.state));
        require(block.number > c.seedBlock, TooEarly(claimId, c.seedBlock));
        require(block.number <= c.deadline, TooLate(claimId, c.deadline));
        bytes32 hash = BlockHashes.get(c.seedBlock);
        require(hash != 0, SeedUnavailable(claimId, c.seedBlock));
        bytes32 seed = keccak256(abi.encode(hash, claimId));
        c.seed = seed;
        c.state = ClaimState.Sealed;
        emit ClaimSealed(claimId, seed, c.deadline);
    }

    function answer(uint64 claimId, Opening[] calldata openings) external {
        ClaimRecord memory c = _claims[claimId];
        require(c.state == ClaimState.Sealed, ClaimNotInState(claimId, c.state));
        require(block.number <= c.deadline, TooLate(claimId, c.deadline));
        JobRecord storage j = _jobOfOperator(c.jobId);
        uint256 expected = Math.min(j.k, c.count);
        require(openings.length == expected, WrongOpeningCount(claimId, expected, openings.length));
        address client = j.client;
        for (uint256 i = 0; i < openings.length; ++i) {
            _checkOpening(claimId, c, client, _draw(c, i), openings[i]);
        }

        uint40 deadline = _after(_contestWindow);
        _claims[claimId].state = ClaimState.Answered;
        _claims[claimId].deadline = deadline;
        emit ClaimAnswered(claimId, deadline);
    }

    function settle(uint64 claimId) external {
        ClaimRecord storage c = _claims[claimId];
        require(c.state == ClaimState.Answered, ClaimNotInState(claimId, c.state));
        require(block.number > c.deadline, TooEarly(claimId, c.deadline));
        JobRecord storage j = _jobs[c.jobId];
        uint256 fee = _fee(c.totalUnits, j.price);
        address operator = j.operator;
        c.state = ClaimState.Settled;
        j.reserved -= fee.toUint128();
        j.openClaims -= 1;
        owed[operator] += fee;
        emit ClaimSettled(claimId, c.jobId, operator, fee);
        registry.release(operator, _lockFor(fee));
    }

    function slashMissed(uint64 claimId) external {
        ClaimRecord storage c = _claims[claimId];
        ClaimState state = c.state;
        require(state == ClaimState.Submitted || state == ClaimState.Sealed, ClaimNotInState(claimId, state));
        require(block.number > c.deadline, TooEarly(claimId, c.deadline));
        JobRecord storage j = _jobs[c.jobId];
        uint256 fee = _fee(c.totalUnits, j.price);
        address operator = j.operator;
        c.state = ClaimState.Slashed;
        j.reserved -= fee.toUint128();
        j.escrow += fee.toUint128();
        j.openClaims -= 1;
        uint128 collateral = _lockFor(fee);
        uint256 taken = _slash(operator, collateral, collateral);
        SlashReason reason = state == ClaimState.Submitted ? SlashReason.Unsealed : SlashReason.Unanswered;
        emit ClaimSlashed(claimId, operator, reason, taken);
    }

    function slashEquivocation(Receipt calldata a, bytes calldata sigA, Receipt calldata b, bytes calldata sigB)
        external
    {
        require(a.jobId == b.jobId && a.seq == b.seq, DifferentSegments(a.jobId, a.seq, b.jobId, b.seq));
        bytes32 digestA = receiptDigest(a);
        bytes32 digestB = receiptDigest(b);
        require(digestA != digestB, SameReceipt(a.jobId, a.seq));
        JobRecord storage j = _jobs[a.jobId];
        // An operator that never took the job on owes its client nothing.
        require(j.operator != address(0) && j.state > JobState.Awarded, JobNotInState(a.jobId, j.state));
        address operator = j.operator;
        _requireSigner(operator, digestA, sigA);
        _requireSigner(operator, digestB, sigB);
        require(!_punished[operator][a.jobId][a.seq], AlreadyPunished(operator, a.jobId, a.seq));
        _punished[operator][a.jobId][a.seq] = true;
        uint256 taken = _slash(operator, _minLock, 0);
        emit Equivocated(a.jobId, operator, a.seq, taken);
    }

    function withdraw() external {
        uint256 amount = owed[msg.sender];
        require(amount > 0, NothingOwed(msg.sender));
        owed[msg.sender] = 0;
        emit Withdrawn(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    // ---- views ----

    function job(uint64 jobId) external view returns (Job memory out) {
        JobRecord storage j = _jobs[jobId];
        out.client = j.client;
        out.state = j.state;
        out.k = j.k;
        out.bidUntil = j.bidUntil;
        out.startUntil = j.startUntil;
        out.drainUntil = j.drainUntil;
        out.operator = j.operator;
        out.price = j.price;
        out.maxPrice = j.maxPrice;
        out.escrow = j.escrow;
        out.reserved = j.reserved;
        out.profile = j.profile;
        out.nextSeq = j.nextSeq;
        out.openClaims = j.openClaims;
        out.released = j.released;
    }

    function claimInfo(uint64 claimId) external view returns (Claim memory out) {
        ClaimRecord memory c = _claims[claimId];
        if (c.state == ClaimState.None) return out;
        JobRecord storage j = _jobs[c.jobId];
        uint256 fee = _fee(c.totalUnits, j.price);
        out.jobId = c.jobId;
        out.first = c.first;
        out.count = c.count;
        out.totalUnits = c.totalUnits;
        out.seedBlock = c.seedBlock;
        out.state = c.state;
        out.root = c.root;
        out.seed = c.seed;
        out.fee = fee.toUint128();
        out.lock = _lockFor(fee);
        out.deadline = c.deadline;
        out.operator = j.operator;
    }

    function draws(uint64 claimId) external view returns (uint64[] memory out) {
        ClaimRecord memory c = _claims[claimId];
        require(c.seed != 0, ClaimNotInState(claimId, c.state));
        out = new uint64[](Math.min(_jobs[c.jobId].k, c.count));
        for (uint256 i = 0; i < out.length; ++i) {
            out[i] = _draw(c, i);
        }
    }

    function bids(uint64 jobId) external view returns (address[] memory operators, uint96[] memory prices) {
        Bid[] storage all = _bids[jobId];
        operators = new address[](all.length);
        prices = new uint96[](all.length);
        for (uint256 i = 0; i < all.length; ++i) {
            (operators[i], prices[i]) = (all[i].operator, all[i].price);
        }
    }

    function params() external view returns (Params memory) {
        return Params({
            bidWindow: _bidWindow,
            startWindow: _startWindow,
            seedDelay: _seedDelay,
            answerWindow: _answerWindow,
            contestWindow: _contestWindow,
            drainWindow: _drainWindow,
            minLock: _minLock,
            startLock: _startLock,
            lockPerWeiNum: _lockPerWeiNum,
            lockPerWeiDen: _lockPerWeiDen
        });
    }

    function segmentDigest(uint64 jobId, uint64 seq, bytes32 srcRoot, uint64 srcBytes, uint32 durationMs)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(SignedTypes.segment(jobId, seq, srcRoot, srcBytes, durationMs));
    }

    function receiptDigest(Receipt calldata receipt) public view returns (bytes32) {
        return _hashTypedDataV4(SignedTypes.receipt(receipt));
    }

    // ---- shared steps ----

    function _jobOfClient(uint64 jobId) private view returns (JobRecord storage j) {
        j = _jobs[jobId];
        require(msg.sender == j.client, NotClient(jobId, msg.sender));
    }

    function _jobOfOperator(uint64 jobId) private view returns (JobRecord storage j) {
        j = _jobs[jobId];
        // A replaced key signs for nobody, and a job without an operator has none.
        address operator = keys.operatorOf(msg.sender);
        require(operator != address(0) && operator == j.operator, NotOperator(jobId, msg.sender));
    }

    /// @dev Half of the loss goes to the caller, which is the most that the registry gives away.
    function _slash(address operator, uint128 amount, uint128 unlock) private returns (uint256 taken) {
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(msg.sender, FINDER_SHARE);
        taken = registry.slash(operator, amount, unlock, cuts, IStakeRegistry.Jail.No);
    }

    /// @return i Index of the operator's bid, or the number of bids (at most MAX_BIDS) when it has none.
    function _bidOf(Bid[] storage all, address operator) private view returns (uint256 i) {
        uint256 length = all.length;
        while (i < length && all[i].operator != operator) ++i;
    }

    function _drain(uint64 jobId, JobRecord storage j, uint40 drainUntil) private {
        j.state = JobState.Draining;
        j.drainUntil = drainUntil;
        emit JobClosing(jobId, drainUntil);
    }

    /// @dev Only when no claim is open, so nothing is reserved and the escrow is all there is.
    function _refund(uint64 jobId, JobRecord storage j) private {
        uint256 refund = j.escrow;
        j.escrow = 0;
        j.state = JobState.Closed;
        owed[j.client] += refund;
        emit JobClosed(jobId, refund);
    }

    function _checkOpening(uint64 claimId, ClaimRecord memory c, address client, uint64 drawn, Opening calldata o)
        private
        view
    {
        require(o.seq >= c.first && o.seq - c.first < c.count, OpeningOutsideClaim(claimId, o.seq));
        uint256 levels = MerkleSum.depth(c.count);
        require(o.path.length == levels, WrongPathLength(o.seq, levels, o.path.length));
        bytes32 leaf = MerkleSum.leaf(c.jobId, o.seq, o.srcRoot, o.outRoot, o.units, o.outBytes);
        (bytes32 root, uint64 total, uint64 offset) = MerkleSum.climb(leaf, o.units, o.seq - c.first, o.path);
        require(root == c.root && total == c.totalUnits, NotInClaim(claimId, o.seq));
        require(drawn >= offset && drawn - offset < o.units, DrawNotCovered(o.seq, drawn, offset, o.units));
        bytes32 digest = segmentDigest(c.jobId, o.seq, o.srcRoot, o.srcBytes, o.durationMs);
        address signer = _signer(digest, o.clientSig);
        require(signer == client, WrongClientSignature(c.jobId, o.seq, signer));
    }

    function _requireSigner(address expected, bytes32 digest, bytes calldata signature) private view {
        address signer = _signer(digest, signature);
        require(keys.answersFor(expected, signer), WrongReceiptSigner(expected, signer));
    }

    /// @return signer 0 for anything but a 65-byte signature with a low s.
    function _signer(bytes32 digest, bytes calldata signature) private pure returns (address signer) {
        (signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
    }

    function _draw(ClaimRecord memory c, uint256 index) private pure returns (uint64) {
        return (uint256(keccak256(abi.encode(c.seed, index))) % c.totalUnits).toUint64();
    }

    function _fee(uint64 units, uint96 price) private pure returns (uint256) {
        return uint256(units) * price;
    }

    /// @dev `fee` fits 128 bits because it came out of an escrow, so the product fits 192.
    function _lockFor(uint256 fee) private view returns (uint128) {
        return Math.max(_minLock, Math.ceilDiv(fee * _lockPerWeiNum, _lockPerWeiDen)).toUint128();
    }

    function _after(uint256 blocks) private view returns (uint40) {
        return (block.number + blocks).toUint40();
    }
}
