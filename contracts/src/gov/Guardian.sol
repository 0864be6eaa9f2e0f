// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IGuardian} from "../interfaces/IGuardian.sol";
import {IPausable} from "../interfaces/IPausable.sol";

/// @title A key that can hold up new work: see IGuardian.
contract Guardian is IGuardian {
    using SafeCast for uint256;

    uint256 public constant MOST_PAUSE = 7 days;
    uint256 public constant REST = 30 days; // from one beginning to the next
    uint256 public constant MOST_TARGETS = 8;

    address public immutable admin;
    address public key;
    uint40 public pausedUntil;
    uint40 public nextPause;
    IPausable[] private _targets;

    modifier onlyAdmin() {
        require(msg.sender == admin, NotAdmin(msg.sender));
        _;
    }

    constructor(address admin_, address key_, IPausable[] memory targets_) {
        admin = admin_;
        _setKey(key_);
        for (uint256 i = 0; i < targets_.length; ++i) {
            _add(targets_[i]);
        }
    }

    function pause(uint256 duration) external {
        require(msg.sender == key, NotKey(msg.sender));
        require(duration > 0 && duration <= MOST_PAUSE, BadDuration(duration, MOST_PAUSE));
        require(block.timestamp >= nextPause, TooSoon(nextPause));
        uint40 until = (block.timestamp + duration).toUint40();
        (pausedUntil, nextPause) = (until, (block.timestamp + REST).toUint40());
        emit Paused(until);
        for (uint256 i = 0; i < _targets.length; ++i) {
            try _targets[i].pause(until) {}
            catch {
                emit TargetFailed(_targets[i]);
            }
        }
    }

    function unpause() external {
        require(msg.sender == key || msg.sender == admin, NotKey(msg.sender));
        require(block.timestamp < pausedUntil, NotPaused());
        pausedUntil = block.timestamp.toUint40();
        emit Unpaused();
        for (uint256 i = 0; i < _targets.length; ++i) {
            try _targets[i].unpause() {}
            catch {
                emit TargetFailed(_targets[i]);
            }
        }
    }

    function setKey(address key_) external onlyAdmin {
        _setKey(key_);
    }

    function addTarget(IPausable target) external onlyAdmin {
        _add(target);
    }

    function removeTarget(IPausable target) external onlyAdmin {
        uint256 i = _indexOf(target);
        require(i < _targets.length, NotTarget(target));
        _targets[i] = _targets[_targets.length - 1];
        _targets.pop();
        emit TargetRemoved(target);
    }

    function targets() external view returns (IPausable[] memory) {
        return _targets;
    }

    function _setKey(address key_) private {
        key = key_;
        emit KeyChanged(key_);
    }

    function _add(IPausable target) private {
        require(address(target).code.length > 0, NoSuchContract(target));
        require(_indexOf(target) == _targets.length, AlreadyTarget(target));
        require(_targets.length < MOST_TARGETS, TooManyTargets(MOST_TARGETS));
        _targets.push(target);
        emit TargetAdded(target);
    }

    /// @return i The number of targets when it is none.
    function _indexOf(IPausable target) private view returns (uint256 i) {
        while (i < _targets.length && address(_targets[i]) != address(target)) ++i;
    }
}
