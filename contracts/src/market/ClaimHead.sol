// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IClaimBook} from "../interfaces/IClaimBook.sol";

/// @dev The one word of a claim that changes; 0 for no claim. From the low end, in bits: state 4, drawn 4, holds 8,
/// version 16, count 16, claimedAt 40, answeredAfter 24, totalUnits 64, and 80 that are before 16, seedBlock 40 and
/// answerWindow 24 until it is answered, and its seed from then on.
type Head is uint256;

using ClaimHead for Head global;

/// @title A claim's head, read and written field by field.
/// @notice Whoever writes a field has checked that it fits.
library ClaimHead {
    uint256 private constant DRAWN = 4;
    uint256 private constant HOLDS = 8;
    uint256 private constant VERSION = 16;
    uint256 private constant COUNT = 32;
    uint256 private constant CLAIMED_AT = 48;
    uint256 private constant ANSWERED_AFTER = 88;
    uint256 private constant TOTAL_UNITS = 112;
    uint256 private constant SEED = 176;
    uint256 private constant BEFORE = 176;
    uint256 private constant SEED_BLOCK = 192;
    uint256 private constant ANSWER_WINDOW = 232;

    function submitted(uint64 units, uint256 count_, uint256 before_, uint256 drawn_, uint256 version_)
        internal
        pure
        returns (Head)
    {
        uint256 h = uint256(units) << TOTAL_UNITS | before_ << BEFORE | count_ << COUNT;
        return Head.wrap(h | version_ << VERSION | drawn_ << DRAWN | uint256(IClaimBook.ClaimState.Submitted));
    }

    function claimed(Head h, uint40 seedBlock_, uint40 time, uint24 answerWindow) internal pure returns (Head) {
        uint256 clocks = uint256(seedBlock_) << SEED_BLOCK | uint256(answerWindow) << ANSWER_WINDOW;
        return Head.wrap(Head.unwrap(h) | clocks | uint256(time) << CLAIMED_AT);
    }

    /// @param time Within the answer window.
    function answered(Head h, uint40 time, uint80 seed_) internal pure returns (Head) {
        uint256 after_ = uint256(time - h.claimedAt()) + 1; // 0 says that it is not
        uint256 kept = Head.unwrap(h.to(IClaimBook.ClaimState.Answered)) & type(uint176).max;
        return Head.wrap(kept | after_ << ANSWERED_AFTER | uint256(seed_) << SEED);
    }

    function to(Head h, IClaimBook.ClaimState next) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(h) & ~uint256(0xf) | uint256(next));
    }

    function withHolds(Head h, uint256 n) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(h) & ~(uint256(0xff) << HOLDS) | n << HOLDS);
    }

    /// @return Submitted of one that is sealed as well: its word tells (ClaimBase).
    function state(Head h) internal pure returns (IClaimBook.ClaimState) {
        return IClaimBook.ClaimState(Head.unwrap(h) & 0xf);
    }

    function drawn(Head h) internal pure returns (uint8) {
        return uint8(Head.unwrap(h) >> DRAWN & 0xf);
    }

    /// @return The challenge manager's in the low four bits, the game's in the high ones.
    function holds(Head h) internal pure returns (uint8) {
        return uint8(Head.unwrap(h) >> HOLDS);
    }

    function version(Head h) internal pure returns (uint16) {
        return uint16(Head.unwrap(h) >> VERSION);
    }

    function count(Head h) internal pure returns (uint16) {
        return uint16(Head.unwrap(h) >> COUNT);
    }

    function claimedAt(Head h) internal pure returns (uint40) {
        return uint40(Head.unwrap(h) >> CLAIMED_AT);
    }

    function wasAnswered(Head h) internal pure returns (bool) {
        return uint24(Head.unwrap(h) >> ANSWERED_AFTER) != 0;
    }

    /// @notice Of one that was answered.
    function answeredAt(Head h) internal pure returns (uint40) {
        unchecked {
            return h.claimedAt() + uint24(Head.unwrap(h) >> ANSWERED_AFTER) - 1; // what was once uint40(block.timestamp)
        }
    }

    function totalUnits(Head h) internal pure returns (uint64) {
        return uint64(Head.unwrap(h) >> TOTAL_UNITS);
    }

    // ---- until it is answered ----

    /// @return Segments of the job's previous claim; 0 for the first.
    function before(Head h) internal pure returns (uint16) {
        return uint16(Head.unwrap(h) >> BEFORE);
    }

    function seedBlock(Head h) internal pure returns (uint40) {
        return uint40(Head.unwrap(h) >> SEED_BLOCK);
    }

    /// @return Last second for seal and answer.
    function answerUntil(Head h) internal pure returns (uint40) {
        unchecked {
            return h.claimedAt() + uint24(Head.unwrap(h) >> ANSWER_WINDOW); // 2^40 seconds are 34,000 years
        }
    }

    // ---- from then on ----

    function seed(Head h) internal pure returns (uint80) {
        return uint80(Head.unwrap(h) >> SEED);
    }
}
