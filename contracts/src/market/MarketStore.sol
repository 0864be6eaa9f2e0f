// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IActiveSet} from "../interfaces/IActiveSet.sol";
import {IChallengeManager} from "../interfaces/IChallengeManager.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {IOperatorKeys} from "../interfaces/IOperatorKeys.sol";
import {IProfileRegistry} from "../interfaces/IProfileRegistry.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {FeeRouter} from "../staking/FeeRouter.sol";

/// @title All that the market stores, and the steps that its two contracts share.
/// @dev JobMarket holds everything; MarketDoors is code of its own, because of the limit on a contract's size, that JobMarket
/// made and runs on its own storage. So all storage that both touch is declared here, and both inherit this first.
/// Coins held = escrow + reserved of all jobs + owed of all accounts + deposits of sealed bids + feesOf of all operators.
abstract contract MarketStore {
    using SafeCast for uint256;

    uint96 public constant MOST_PRICE = type(uint72).max;

    IStakeRegistry public immutable registry;
    IOperatorKeys public immutable keys;
    IActiveSet public immutable activeSet;
    IProfileRegistry public immutable profiles;
    IChallengeManager public immutable challenges;
    FeeRouter public immutable router;
    address public immutable book;
    address public immutable guardian;
    address public immutable admin;

    Settings internal _settings;
    mapping(uint256 version => IJobMarket.Params) internal _versions;
    mapping(uint64 jobId => JobRecord) internal _jobs;
    mapping(uint64 jobId => AuctionRecord) internal _auctions;
    mapping(uint64 jobId => mapping(address operator => SealedBid)) internal _sealed;
    mapping(uint64 jobId => Election) internal _elections;
    mapping(address operator => TermsRecord) internal _terms;
    mapping(address account => uint256) internal _owed;
    mapping(bytes32 profile => uint32) internal _profiles; // numbers of those that were ordered before; they never change

    /// Where the market stands among the other contracts.
    struct Parts {
        IStakeRegistry registry;
        IProfileRegistry profiles;
        IChallengeManager challenges;
        FeeRouter router;
        address book;
        address guardian;
        address admin;
    }

    /// @dev One word: what opening and assigning a job need of everything that changes.
    struct Settings {
        uint40 lost; // seconds that the clock is behind block.timestamp, once the running pause is over
        uint40 pausedUntil;
        uint32 nextJobId;
        uint16 version; // of the parameters
        uint32 startWindow;
        uint96 startLock;
    }

    /// @dev Five words, the last one only for a client with a hash chain. A claim and its settlement write the third alone.
    struct JobRecord {
        address client;
        uint40 deadline;
        uint40 until; // Assigned: to start; Draining: to claim, 0 once released
        IJobMarket.JobState state;
        IJobMarket.Door door;
        // ----
        address operator;
        uint72 price; // maxPrice while there is no operator
        uint16 version; // of the parameters when it was opened, then when it was assigned
        uint8 k;
        Account account;
        uint72 maxPrice;
        uint32 profile; // its number
        bytes16 order; // of orderHash
        // ----
        bytes32 seedTip;
    }

    /// @dev One word.
    struct Account {
        uint96 escrow;
        uint96 reserved;
        uint32 nextSeq;
        uint16 openClaims;
        uint16 before; // count of the last claim
    }

    struct AuctionRecord {
        uint40 commitUntil;
        uint40 revealUntil; // 0 when the job was cancelled before
        uint16 commits;
        address best;
        // ----
        uint72 bestPrice;
        bool revealed; // somebody has
        uint160 beacon; // tells equal prices apart
    }

    struct SealedBid {
        bytes32 commitment;
        address payer;
        uint96 deposit;
    }

    struct Election {
        uint64 blockNumber;
        uint16 epoch; // whose weights count
    }

    struct TermsRecord {
        uint72 price;
        uint16 maxJobs;
        uint16 openJobs;
        uint64 since; // block
    }

    constructor(Parts memory parts) {
        registry = parts.registry;
        keys = parts.registry.keys();
        activeSet = parts.registry.activeSet();
        profiles = parts.profiles;
        challenges = parts.challenges;
        router = parts.router;
        book = parts.book;
        guardian = parts.guardian;
        admin = parts.admin;
    }

    // ---- the clock ----

    /// @dev During a pause: block.timestamp of its beginning, less what was lost before.
    function _clock() internal view returns (uint40) {
        return (Math.max(block.timestamp, _settings.pausedUntil) - _settings.lost).toUint40();
    }

    /// @return The clock. Reverts while paused.
    function _running() internal view returns (uint40) {
        uint256 pausedUntil = _settings.pausedUntil;
        require(block.timestamp >= pausedUntil, IJobMarket.MarketPaused(uint40(pausedUntil)));
        return (block.timestamp - _settings.lost).toUint40();
    }

    // ---- who calls ----

    function _requireState(uint64 jobId, JobRecord storage j, IJobMarket.JobState state) internal view {
        require(j.state == state, IJobMarket.JobNotInState(jobId, j.state));
    }

    function _requireOpen(uint64 jobId, JobRecord storage j, IJobMarket.Door door) internal view {
        _requireState(jobId, j, IJobMarket.JobState.Open);
        require(j.door == door, IJobMarket.OtherDoor(jobId, j.door));
    }

    function _requireInTime(JobRecord storage j, uint40 now_) internal view {
        require(now_ <= j.deadline, IJobMarket.DeadlineOver(j.deadline, now_));
    }

    /// @return operator That the caller signs for. A key that nobody named signs for itself, a replaced one for nobody.
    function _signedFor() internal view returns (address operator) {
        operator = keys.operatorOf(msg.sender);
        require(operator != address(0), IJobMarket.NotSigner(msg.sender));
    }

    // ---- binding operators ----

    /// @dev The caller has locked the version's startLock, or does so next.
    function _assign(
        uint64 jobId,
        JobRecord storage j,
        address operator,
        uint256 price,
        uint16 version,
        uint40 startUntil
    ) internal {
        (j.until, j.state) = (startUntil, IJobMarket.JobState.Assigned);
        (j.operator, j.price, j.version) = (operator, uint72(price), version); // no price is above MOST_PRICE
        emit IJobMarket.JobAssigned(jobId, operator, uint96(price), startUntil);
    }

    function _requireActive(address operator) internal view {
        require(registry.isActive(operator), IJobMarket.NotActive(operator));
    }

    function _startLock(JobRecord storage j) internal view returns (uint128) {
        return _versions[j.version].startLock;
    }

    /// @dev When the registry no longer lets this market slash, anyone may have freed its locks: then there are fewer of
    /// them, and nobody's escrow may depend on that.
    function _unlock(address operator, uint128 amount) internal {
        uint128 held = Math.min(amount, registry.lockedBy(operator, address(this))).toUint128();
        if (held > 0) registry.release(operator, held);
    }

    // ---- doors ----

    function _nameElection(uint64 jobId) internal {
        uint64 number = (block.number + _versions[_settings.version].electionDelay).toUint64();
        _elections[jobId] = Election(number, activeSet.epoch().toUint16());
        emit IJobMarket.ElectionNamed(jobId, number);
    }

    /// @dev From now on the client chooses among signed bids.
    function _openDoor(uint64 jobId, JobRecord storage j) internal {
        j.door = IJobMarket.Door.Direct;
        emit IJobMarket.DoorOpened(jobId, IJobMarket.Door.Direct);
    }
}
