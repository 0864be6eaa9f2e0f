// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {MarketBase} from "./MarketBase.sol";

/// @title How an operator is bound to a job by startLock, and let go again: what all doors end in.
/// @dev Each lock is given up exactly once: by _letGo, by defaultJob's slash, or when a bid no longer leads an auction.
abstract contract Assignments is MarketBase {
    using SafeCast for uint256;

    mapping(address operator => TermsRecord) internal _terms;

    struct TermsRecord {
        uint72 price;
        uint16 maxJobs;
        uint16 openJobs;
        uint64 since; // block
    }

    /// @dev The caller has locked the version's startLock, or does so next.
    function _assign(uint64 jobId, JobRecord storage j, address operator, uint72 price, uint16 version, uint40 startUntil)
        internal
    {
        (j.until, j.state) = (startUntil, JobState.Assigned);
        (j.operator, j.price, j.version) = (operator, price, version);
        emit JobAssigned(jobId, operator, price, startUntil);
    }

    /// @dev The operator has done its part, or need not do it any more.
    function _letGo(JobRecord storage j) internal {
        _countOut(j);
        _unlock(j.operator, _startLock(j));
    }

    function _countOut(JobRecord storage j) internal {
        if (j.door == Door.Election) _terms[j.operator].openJobs -= 1;
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

    function _requireOpen(uint64 jobId, JobRecord storage j, Door door) internal view {
        _requireState(jobId, j, JobState.Open);
        require(j.door == door, OtherDoor(jobId, j.door));
    }

    function _openDoor(uint64 jobId, JobRecord storage j) internal {
        j.door = Door.Direct;
        emit DoorOpened(jobId, Door.Direct);
    }
}
