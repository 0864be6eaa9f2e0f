// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {MarketStore} from "./MarketStore.sol";

/// @title The market's parameters and their versions, its clock and its pauses.
abstract contract MarketClock is MarketStore, IJobMarket {
    using SafeCast for uint256;

    uint256 public constant MOST_PAUSE = 7 days;
    /// Between two pauses. No drain window is longer, so pauses, however many, keep no escrow for ever.
    uint256 public constant REST = 1 days;

    Params private _least;
    Params private _most;

    constructor(Params memory least, Params memory most, Params memory p) {
        _requireWithin(least.electionDelay, 1, type(uint16).max); // or else the block of the order decides
        _requireWithin(most.startLock, 0, type(uint96).max);
        _requireWithin(most.deposit, 0, type(uint96).max);
        _requireWithin(most.drainWindow, 0, REST);
        (_least, _most) = (least, most);
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
        _settings.startLock = uint96(p.startLock); // its bound was checked
        emit ParamsChanged(version, p);
    }

    function _requireWithin(uint256 value, uint256 least, uint256 most) private pure {
        require(value >= least && value <= most, ParamOutOfBounds(value, least, most));
    }

    // ---- the clock ----

    function pause(uint40 until) external onlyGuardian {
        uint256 pausedUntil_ = _settings.pausedUntil; // 0 before the first one
        require(block.timestamp >= pausedUntil_ + REST, PauseTooSoon(pausedUntil_ + REST));
        uint256 most = block.timestamp + MOST_PAUSE;
        require(until > block.timestamp && until <= most, PauseTooLong(until, most));
        _settings.lost += uint40(until - block.timestamp);
        _settings.pausedUntil = until;
        emit Paused(until);
    }

    function unpause() external onlyGuardian {
        uint256 pausedUntil_ = _settings.pausedUntil;
        require(block.timestamp < pausedUntil_, NotPaused());
        _settings.lost -= uint40(pausedUntil_ - block.timestamp);
        _settings.pausedUntil = uint40(block.timestamp);
        emit Unpaused();
    }

    function clock() external view returns (uint40) {
        return _clock();
    }

    function pausedUntil() external view returns (uint40) {
        return _settings.pausedUntil;
    }

    modifier onlyGuardian() {
        require(msg.sender == guardian, NotGuardian(msg.sender));
        _;
    }
}
