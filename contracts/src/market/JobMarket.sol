// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {Escrow} from "./Escrow.sol";
import {MarketClock} from "./MarketClock.sol";
import {MarketDoors} from "./MarketDoors.sol";
import {MarketStore} from "./MarketStore.sol";
import {Orders} from "./Orders.sol";

/// @title The market: see IJobMarket for the rules. This file opens jobs and leads them to their end.
/// @dev State comes before every call that changes another contract; the only coins that leave go to the challenge manager,
/// to the router, and to whoever withdraws its own.
contract JobMarket is Orders, Escrow {
    using SafeCast for uint256;

    uint16 private constant CLIENT_SHARE = 5000; // of a lost startLock, in 1e-4
    uint8 public constant MOST_DRAWS = 8;

    address private immutable _doors;

    constructor(Parts memory parts, Params memory least, Params memory most, Params memory p)
        MarketStore(parts)
        MarketClock(least, most, p)
    {
        _settings.nextJobId = 1;
        _doors = address(new MarketDoors(parts));
    }

    // ---- orders ----

    function openJob(JobOrder memory order, Door door) external payable returns (uint64 jobId) {
        require(msg.sender == order.client, NotClient(order.client, msg.sender));
        return _open(order, orderHash(order), door);
    }

    function openJobFor(JobOrder memory order, Door door, bytes calldata signature)
        external
        payable
        returns (uint64 jobId)
    {
        bytes32 id = orderHash(order);
        _useOrder(order.client, id, signature);
        return _open(order, id, door);
    }

    function openWithBid(JobOrder memory order, Bid memory bid, bytes calldata signature)
        external
        payable
        returns (uint64 jobId)
    {
        require(msg.sender == order.client, NotClient(order.client, msg.sender));
        bytes32 id = orderHash(order);
        require(bid.order == id, OtherOrder(bid.order));
        jobId = _open(order, id, Door.Direct);
        _accept(jobId, _jobs[jobId], bid, signature);
    }

    function acceptBid(uint64 jobId, Bid memory bid, bytes calldata signature) external {
        JobRecord storage j = _jobs[jobId];
        _requireClient(j);
        _requireOpen(jobId, j, Door.Direct);
        require(bytes16(bid.order) == j.order, OtherOrder(bid.order));
        _accept(jobId, j, bid, signature);
    }

    // ---- the job's life ----

    function startJob(uint64 jobId) external {
        JobRecord storage j = _jobs[jobId];
        _requireState(jobId, j, JobState.Assigned);
        address operator = _requireOperator(jobId, j);
        require(_running() <= j.until, StartWindowOver(jobId, j.until));
        (j.until, j.state) = (0, JobState.Active);
        _openFees(operator);
        emit JobStarted(jobId, operator);
    }

    function defaultJob(uint64 jobId) external {
        JobRecord storage j = _jobs[jobId];
        _requireState(jobId, j, JobState.Assigned);
        require(_clock() > j.until, StartWindowOpen(jobId, j.until));
        (address operator, uint128 startLock) = (j.operator, _startLock(j));
        _countOut(j);
        (j.until, j.state) = (0, JobState.Open);
        (j.operator, j.price, j.version) = (address(0), j.maxPrice, _settings.version);
        if (j.door == Door.Election) _nameElection(jobId);
        else if (j.door == Door.Auction) _openDoor(jobId, j);
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(j.client, CLIENT_SHARE);
        uint256 taken = registry.slash(operator, startLock, startLock, cuts, IStakeRegistry.Jail.No);
        emit JobDefaulted(jobId, operator, taken);
    }

    function extendJob(uint64 jobId, uint40 deadline) external {
        JobRecord storage j = _jobs[jobId];
        _requireClient(j);
        bool going = j.state == JobState.Open || j.state == JobState.Assigned || j.state == JobState.Active;
        require(going, JobNotInState(jobId, j.state));
        _requireInTime(j, _clock());
        require(deadline > j.deadline, DeadlineNotLater(deadline, j.deadline));
        j.deadline = deadline;
        emit JobExtended(jobId, deadline);
    }

    function setSeedTip(uint64 jobId, bytes32 tip) external {
        JobRecord storage j = _jobs[jobId];
        _requireClient(j);
        require(j.state != JobState.Closed, JobNotInState(jobId, j.state));
        require(j.account.openClaims == 0, ClaimsOpen(jobId, j.account.openClaims));
        j.seedTip = tip;
        emit SeedTipSet(jobId, tip);
    }

    function cancelJob(uint64 jobId) external {
        JobRecord storage j = _jobs[jobId];
        _requireClient(j);
        JobState state = j.state;
        require(state == JobState.Open || state == JobState.Assigned, JobNotInState(jobId, state));
        _refund(jobId, j);
        if (state == JobState.Assigned) _letGo(j);
        else if (j.door == Door.Auction) _endAuction(jobId, j);
    }

    function closeJob(uint64 jobId) external {
        JobRecord storage j = _jobs[jobId];
        _requireState(jobId, j, JobState.Active);
        uint40 now_ = _clock();
        if (now_ <= j.deadline) _requireClient(j);
        _drain(jobId, j, _drainUntil(j, now_));
    }

    function releaseJob(uint64 jobId) external {
        JobRecord storage j = _jobs[jobId];
        _requireOperator(jobId, j);
        if (j.state != JobState.Active) {
            _requireState(jobId, j, JobState.Draining);
            require(j.until != 0, AlreadyReleased(jobId));
        }
        emit JobReleased(jobId);
        _drain(jobId, j, 0);
        _letGo(j);
    }

    function reclaim(uint64 jobId) external {
        JobRecord storage j = _jobs[jobId];
        _requireClient(j);
        _requireState(jobId, j, JobState.Draining);
        require(j.account.openClaims == 0, ClaimsOpen(jobId, j.account.openClaims));
        bool released = j.until == 0;
        require(released || _clock() > j.until, DrainWindowOpen(jobId, j.until));
        _refund(jobId, j);
        if (!released) _letGo(j);
    }

    // ---- views ----

    function job(uint64 jobId) external view returns (Job memory out) {
        JobRecord memory j = _jobs[jobId];
        if (j.state == JobState.None) return out;
        (out.client, out.state, out.door, out.k, out.deadline) = (j.client, j.state, j.door, j.k, j.deadline);
        if (j.state == JobState.Assigned) out.startUntil = j.until;
        if (j.state == JobState.Draining) (out.drainUntil, out.released) = (j.until, j.until == 0);
        (out.operator, out.price, out.maxPrice) = (j.operator, j.price, j.maxPrice);
        (out.escrow, out.reserved) = (j.account.escrow, j.account.reserved);
        out.profile = profiles.idOf(j.profile);
        (out.seedTip, out.order) = (j.seedTip, j.order);
        (out.nextSeq, out.openClaims) = (j.account.nextSeq, j.account.openClaims);
    }

    function parties(uint64 jobId) external view returns (address client, address operator, uint96 price) {
        JobRecord storage j = _jobs[jobId];
        return (j.client, j.operator, j.price);
    }

    function assignment(uint64 jobId) external view returns (address operator, uint96 price) {
        JobRecord storage j = _jobs[jobId];
        return (j.operator, j.price);
    }

    function profileOf(uint64 jobId) external view returns (bytes32) {
        return profiles.idOf(_jobs[jobId].profile);
    }

    function auction(uint64 jobId) external view returns (Auction memory) {
        AuctionRecord storage a = _auctions[jobId];
        return Auction(a.commitUntil, a.revealUntil, a.commits, a.best, a.bestPrice);
    }

    function electionBlock(uint64 jobId) external view returns (uint64) {
        return _elections[jobId].blockNumber;
    }

    function terms(address operator) external view returns (Terms memory) {
        TermsRecord storage t = _terms[operator];
        return Terms(t.price, t.maxJobs, t.openJobs);
    }

    function nextJobId() external view returns (uint64) {
        return _settings.nextJobId;
    }

    // ---- auctions and elections: the code of MarketDoors ----

    function commitBid(uint64, bytes32) external payable {
        _byDoors();
    }

    function revealBid(uint64, uint96, bytes32) external {
        _byDoors();
    }

    function awardAuction(uint64) external {
        _byDoors();
    }

    function takeDeposit(uint64) external {
        _byDoors();
    }

    function setTerms(uint96, uint16) external {
        _byDoors();
    }

    function elect(uint64, bytes calldata) external {
        _byDoors();
    }

    /// @dev The address was made by this contract's constructor and never changes; none of these calls returns anything.
    function _byDoors() private {
        Address.functionDelegateCall(_doors, msg.data);
    }

    // ---- steps ----

    function _open(JobOrder memory order, bytes32 id, Door door) private returns (uint64 jobId) {
        uint40 now_ = _running();
        require(now_ < order.deadline, DeadlineOver(order.deadline, now_));
        require(order.k > 0 && order.k <= MOST_DRAWS, BadDrawCount(order.k, MOST_DRAWS));
        require(order.maxPrice <= MOST_PRICE, PriceTooHigh(order.maxPrice, MOST_PRICE));
        uint32 profile = _numberOf(order.profile);
        jobId = _settings.nextJobId;
        _settings.nextJobId = uint32(jobId) + 1;
        JobRecord storage j = _jobs[jobId];
        // One after the other, so that the word is written once.
        j.client = order.client;
        j.deadline = order.deadline;
        j.state = JobState.Open;
        j.door = door;
        (j.price, j.version, j.k) = (uint72(order.maxPrice), _settings.version, order.k);
        j.account.escrow = msg.value.toUint96();
        (j.maxPrice, j.profile, j.order) = (uint72(order.maxPrice), profile, bytes16(id));
        if (order.seedTip != 0) j.seedTip = order.seedTip;
        emit JobOpened(jobId, order.client, order.profile, door, order.maxPrice, order.deadline, msg.value, id);
        if (door == Door.Auction) _openAuction(jobId, j, now_);
        else if (door == Door.Election) _nameElection(jobId);
    }

    /// @dev The registry is asked once for each profile.
    function _numberOf(bytes32 profile) private returns (uint32 number) {
        number = _profiles[profile];
        if (number != 0) return number;
        number = profiles.numberOf(profile);
        _profiles[profile] = number;
    }

    function _openAuction(uint64 jobId, JobRecord storage j, uint40 now_) private {
        Params storage p = _versions[j.version];
        (uint40 commitUntil, uint40 revealUntil) = (now_ + p.commitWindow, now_ + p.commitWindow + p.revealWindow);
        require(revealUntil < j.deadline, DeadlineOver(j.deadline, revealUntil));
        AuctionRecord storage a = _auctions[jobId];
        (a.commitUntil, a.revealUntil) = (commitUntil, revealUntil);
    }

    function _accept(uint64 jobId, JobRecord storage j, Bid memory bid, bytes calldata signature) private {
        uint40 now_ = _running();
        _requireInTime(j, now_);
        require(bid.price <= j.maxPrice, PriceTooHigh(bid.price, j.maxPrice));
        _useBid(bid);
        Settings memory s = _settings;
        _assign(jobId, j, bid.operator, bid.price, s.version, now_ + s.startWindow);
        (bool active, address signer) = registry.lockActive(bid.operator, s.startLock);
        require(active, NotActive(bid.operator));
        _requireSignature(signer, bidHash(bid), signature);
    }

    /// @dev The job is cancelled before its auction was awarded.
    function _endAuction(uint64 jobId, JobRecord storage j) private {
        AuctionRecord storage a = _auctions[jobId];
        if (_clock() <= a.revealUntil) a.revealUntil = 0; // nobody can reveal any more
        if (a.best != address(0)) _unlock(a.best, _startLock(j));
    }

    /// @dev The operator has done its part, or need not do it any more.
    function _letGo(JobRecord storage j) private {
        _countOut(j);
        _unlock(j.operator, _startLock(j));
    }

    function _countOut(JobRecord storage j) private {
        if (j.door == Door.Election) _terms[j.operator].openJobs -= 1;
    }

    function _drain(uint64 jobId, JobRecord storage j, uint40 drainUntil) private {
        (j.until, j.state) = (drainUntil, JobState.Draining);
        emit JobDraining(jobId, drainUntil);
    }

    function _requireClient(JobRecord storage j) private view {
        require(msg.sender == j.client, NotClient(j.client, msg.sender));
    }

    /// @dev A job without an operator is nobody's, and a replaced key signs for nobody.
    function _requireOperator(uint64 jobId, JobRecord storage j) private view returns (address operator) {
        operator = j.operator;
        bool signs = operator != address(0) && keys.operatorOf(msg.sender) == operator;
        require(signs, NotOperator(jobId, msg.sender));
    }
}
