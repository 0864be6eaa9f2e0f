// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Money that arrives at once and counts little by little, so that nobody can step in just for the arrival.
/// @dev A stream is one word, with all that is asked whenever it vests: it is read once, changed in memory and written once.
/// Nothing unchecked here can overflow: no clock passes 40 bits, and a product is one of 96 bits and one of 24.
library VestingStream {
    using SafeCast for uint256;

    uint256 internal constant DURATION = 1 days;

    struct Stream {
        uint96 left; // not vested at `since`; neither tokens nor coins will ever need more bits
        uint40 since;
        uint24 rest; // seconds from `since` until all of it has vested: DURATION at most
        uint16 cut; // of the delegators' part, in 1e-4
        uint16 nextCut;
        uint40 cutFrom; // when the next one holds
        uint16 epoch; // the last one that was paid for; of rewards alone
    }

    /// @dev One place for the code that takes the word apart.
    function load(Stream storage stream) internal view returns (Stream memory) {
        return stream;
    }

    /// @dev What vested since `since`, rounded down; all of it once `rest` is over.
    function vested(Stream memory s, uint256 time) internal pure returns (uint96) {
        unchecked {
            uint256 elapsed = time - s.since;
            if (elapsed >= s.rest) return s.left;
            return uint96(uint256(s.left) * elapsed / s.rest);
        }
    }

    function cutNow(Stream memory s) internal view returns (uint16) {
        return block.timestamp >= s.cutFrom ? s.nextCut : s.cut;
    }

    /// @dev An empty stream stays as it is, so that writing it costs nothing.
    /// @return amount What vested since the last call.
    function settle(Stream memory s) internal view returns (uint96 amount) {
        if (s.left == 0) return 0;
        amount = vested(s, block.timestamp);
        unchecked {
            uint256 elapsed = block.timestamp - s.since;
            s.left -= amount;
            s.rest = elapsed >= s.rest ? 0 : uint24(s.rest - elapsed);
        }
        pause(s);
    }

    /// @dev Stops the clock up to now: nobody is there to receive.
    function pause(Stream memory s) internal view {
        s.since = uint40(block.timestamp);
    }

    /// @dev To a settled stream. The new end is the mean of both ends, weighted by amount and rounded down: a crumb that
    /// somebody adds does not put off what is under way, and nothing added to nothing changes nothing.
    function add(Stream memory s, uint128 amount) internal view {
        if (amount == 0) return;
        pause(s);
        unchecked {
            uint256 sum = uint256(s.left) + amount;
            s.rest = uint24((uint256(s.left) * s.rest + amount * DURATION) / sum);
            s.left = sum.toUint96();
        }
    }

    function announceCut(Stream storage stream, uint16 cut, uint40 from) internal {
        stream.cut = cutNow(load(stream));
        (stream.nextCut, stream.cutFrom) = (cut, from);
    }
}
