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

/// @title What every part of the market shares: jobs, parameters and their versions, the clock and its pauses.
/// @dev Coins held = escrow + reserved of all jobs + owed of all accounts + deposits of sealed bids + feesOf of all operators.
abstract contract MarketBase is IJobMarket {
    using SafeCast for uint256;

    uint96 public constant MOST_PRICE = type(uint72).max;
    uint8 public constant MOST_DRAWS = 8;
    uint256 public constant MOST_PAUSE = 7 days;
    /// Between two pauses. No drain window is longer, so that no pause after another keeps an escrow for ever.
    uint256 public constant REST = 1 days;

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
    Params private _least;
    Params private _most;
    mapping(uint256 version => Params) internal _versions;
    mapping(uint64 jobId => JobRecord) internal _jobs;
    mapping(address account => uint256) public owed;

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
        JobState state;
        Door door;
        // ----
        address operator;
        uint72 price; // maxPrice while there is no operator
        uint16 version; // of the parameters when it was opened, then when it was assigned
        uint8 k;
        // ----
        uint96 escrow;
        uint96 reserved;
        uint32 nextSeq;
        uint16 openClaims;
        uint16 before; // count of the last claim
        // ----
        uint72 maxPrice;
        uint32 profile; // its number
        bytes16 order; // of orderHash
        // ----
        bytes32 seedTip;
    }

    constructor(Parts memory parts, Params memory least, Params memory most, Params memory p) {
        registry = parts.registry;
        keys = parts.registry.keys();
        activeSet = parts.registry.activeSet();
        profiles = parts.profiles;
        challenges = parts.challenges;
        router = parts.router;
        book = parts.book;
        guardian = parts.guardian;
        admin = parts.admin;
        _requireWithin(least.electionDelay, 1, type(uint16).max); // or else the block of the order decides
        _requireWithin(most.startLock, 0, type(uint96).max);
        _requireWithin(most.deposit, 0, type(uint96).max);
        _requireWithin(most.drainWindow, 0, REST);
        (_least, _most) = (least, most);
        _settings.nextJobId = 1;
        _setParams(p);
    }

    // ---- parameters ----

    function setParams(Params calldata p) external {
        require(msg.sender == admin, NotAdmin(msg.sender));
        _setParams(p);
    }

    function params() external view returns (Params memory) {
        return _versions[_settings.version];
    }

    function reach() external view returns (uint32) {
        return (uint256(_most.revealWindow) + _most.startWindow + MOST_PAUSE).toUint32();
    }

    function _setParams(Params memory p) private {
        (Params memory least, Params memory most) = (_least, _most);
        _requireWithin(p.startWindow, least.startWindow, most.startWindow);
        _requireWithin(p.drainWindow, least.drainWindow, most.drainWindow);
        _requireWithin(p.commitWindow, least.commitWindow, most.commitWindow);
        _requireWithin(p.revealWindow, least.revealWindow, most.revealWindow);
        _requireWithin(p.electionDelay, least.electionDelay, most.electionDelay);
        _requireWithin(p.startLock, least.startLock, most.startLock);
        _requireWithin(p.deposit, least.deposit, most.deposit);
        uint16 version = _settings.version + 1;
        _versions[version] = p;
        _settings.version = version;
        _settings.startWindow = p.startWindow;
        _settings.startLock = uint256(p.startLock).toUint96();
        emit ParamsChanged(version, p);
    }

    function _requireWithin(uint256 value, uint256 least, uint256 most) private pure {
        require(value >= least && value <= most, ParamOutOfBounds(value, least, most));
    }

    // ---- the clock ----

    function pause(uint40 until) external {
        require(msg.sender == guardian, NotGuardian(msg.sender));
        Settings memory s = _settings;
        // pausedUntil is 0 before the first one.
        require(block.timestamp >= uint256(s.pausedUntil) + REST, PauseTooSoon(uint256(s.pausedUntil) + REST));
        require(until > block.timestamp, PauseTooLong(until, block.timestamp + MOST_PAUSE));
        require(until - block.timestamp <= MOST_PAUSE, PauseTooLong(until, block.timestamp + MOST_PAUSE));
        _settings.lost = (s.lost + (until - block.timestamp)).toUint40();
        _settings.pausedUntil = until;
        emit Paused(until);
    }

    function unpause() external {
        require(msg.sender == guardian, NotGuardian(msg.sender));
        Settings memory s = _settings;
        require(block.timestamp < s.pausedUntil, NotPaused());
        _settings.lost = (s.lost - (s.pausedUntil - block.timestamp)).toUint40();
        _settings.pausedUntil = block.timestamp.toUint40();
        emit Unpaused();
    }

    function clock() public view returns (uint40) {
        return _clock(_settings);
    }

    function pausedUntil() external view returns (uint40) {
        return _settings.pausedUntil;
    }

    /// @dev During a pause: block.timestamp of its beginning, less what was lost before.
    function _clock(Settings memory s) internal view returns (uint40) {
        return (Math.max(block.timestamp, s.pausedUntil) - s.lost).toUint40();
    }

    /// @return s Reverts while paused.
    function _running() internal view returns (Settings memory s) {
        s = _settings;
        require(block.timestamp >= s.pausedUntil, MarketPaused(s.pausedUntil));
    }

    // ---- jobs ----

    function nextJobId() external view returns (uint64) {
        return _settings.nextJobId;
    }

    function _requireClient(JobRecord storage j) internal view {
        require(msg.sender == j.client, NotClient(j.client, msg.sender));
    }

    function _requireState(uint64 jobId, JobRecord storage j, JobState state) internal view {
        require(j.state == state, JobNotInState(jobId, j.state));
    }

    /// @return operator That the caller signs for. A key that nobody named signs for itself.
    function _signedFor() internal view returns (address operator) {
        operator = keys.operatorOf(msg.sender);
        require(operator != address(0), NotSigner(msg.sender));
    }

    /// @dev A job without an operator is nobody's, and a replaced key signs for nobody.
    function _requireOperator(uint64 jobId, JobRecord storage j, address caller) internal view returns (address operator) {
        operator = j.operator;
        require(operator != address(0) && keys.operatorOf(caller) == operator, NotOperator(jobId, caller));
    }
}
