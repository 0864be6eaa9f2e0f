// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Money that arrives at once and counts little by little, so that nobody can step in just for the arrival.
library VestingStream {
    using SafeCast for uint256;

    uint256 internal constant DURATION = 1 days;

    struct Stream {
        uint128 left; // not vested at `since`
        uint40 since;
        uint40 until;
    }

    /// @dev What vested since `since`, rounded down; all of it once `until` has come.
    function vested(Stream memory stream, uint256 time) internal pure returns (uint128) {
        if (time >= stream.until) return stream.left;
        return (uint256(stream.left) * (time - stream.since) / (stream.until - stream.since)).toUint128();
    }

    /// @return amount What vested since the last call.
    /// @return over Nothing is left.
    function settle(Stream storage stream) internal returns (uint128 amount, bool over) {
        Stream memory s = stream;
        amount = vested(s, block.timestamp);
        stream.left = s.left - amount;
        stream.since = block.timestamp.toUint40();
        over = s.left == amount;
    }

    /// @dev Stops the clock up to now: nobody is there to receive.
    function pause(Stream storage stream) internal {
        Stream memory s = stream;
        stream.since = block.timestamp.toUint40();
        stream.until = (block.timestamp + s.until - s.since).toUint40();
    }

    /// @dev Of a settled stream. The new end is the mean of both ends, weighted by amount and rounded down: a crumb that
    /// somebody adds does not put off what is under way.
    function add(Stream storage stream, uint128 amount) internal {
        Stream memory s = stream;
        uint256 remaining = s.until > block.timestamp ? s.until - block.timestamp : 0;
        uint256 sum = uint256(s.left) + amount;
        remaining = (s.left * remaining + amount * DURATION) / sum;
        stream.left = sum.toUint128();
        stream.since = block.timestamp.toUint40();
        stream.until = (block.timestamp + remaining).toUint40();
    }
}
