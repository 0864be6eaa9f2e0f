// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IClaimBook} from "../interfaces/IClaimBook.sol";

/// @dev The one word of a claim that changes; 0 for no claim. From the low end, in bits: state 8, drawn 8, version 16,
/// count 16, before 16, seedBlock 40, claimedAt 40, answeredAt 40, holds 8, totalUnits 64.
type Head is uint256;

using ClaimHead for Head global;

/// @title A claim's head, read and written field by field.
/// @notice Whoever writes a field has checked that it fits.
library ClaimHead {
    uint256 private constant DRAWN = 8;
    uint256 private constant VERSION = 16;
    uint256 private constant COUNT = 32;
    uint256 private constant BEFORE = 48;
    uint256 private constant SEED_BLOCK = 64;
    uint256 private constant CLAIMED_AT = 104;
    uint256 private constant ANSWERED_AT = 144;
    uint256 private constant HOLDS = 184;
    uint256 private constant TOTAL_UNITS = 192;

    function submitted(uint64 units, uint256 count_, uint256 before_, uint256 drawn_, uint256 version_)
        internal
        pure
        returns (Head)
    {
        uint256 h = uint256(units) << TOTAL_UNITS | before_ << BEFORE | count_ << COUNT;
        return Head.wrap(h | version_ << VERSION | drawn_ << DRAWN | uint256(IClaimBook.ClaimState.Submitted));
    }

    function claimed(Head h, uint40 seedBlock_, uint40 time) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(h) | uint256(seedBlock_) << SEED_BLOCK | uint256(time) << CLAIMED_AT);
    }

    function answered(Head h, uint40 time) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(h.to(IClaimBook.ClaimState.Answered)) | uint256(time) << ANSWERED_AT);
    }

    function to(Head h, IClaimBook.ClaimState next) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(h) & ~uint256(0xff) | uint256(next));
    }

    function withHolds(Head h, uint256 n) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(h) & ~(uint256(0xff) << HOLDS) | n << HOLDS);
    }

    function state(Head h) internal pure returns (IClaimBook.ClaimState) {
        return IClaimBook.ClaimState(uint8(Head.unwrap(h)));
    }

    function drawn(Head h) internal pure returns (uint8) {
        return uint8(Head.unwrap(h) >> DRAWN);
    }

    function version(Head h) internal pure returns (uint16) {
        return uint16(Head.unwrap(h) >> VERSION);
    }

    function count(Head h) internal pure returns (uint16) {
        return uint16(Head.unwrap(h) >> COUNT);
    }

    /// @return Segments of the job's previous claim; 0 for the first.
    function before(Head h) internal pure returns (uint16) {
        return uint16(Head.unwrap(h) >> BEFORE);
    }

    function seedBlock(Head h) internal pure returns (uint40) {
        return uint40(Head.unwrap(h) >> SEED_BLOCK);
    }

    function claimedAt(Head h) internal pure returns (uint40) {
        return uint40(Head.unwrap(h) >> CLAIMED_AT);
    }

    /// @return 0 until answered.
    function answeredAt(Head h) internal pure returns (uint40) {
        return uint40(Head.unwrap(h) >> ANSWERED_AT);
    }

    /// @return The challenge manager's in the low four bits, the game's in the high ones.
    function holds(Head h) internal pure returns (uint8) {
        return uint8(Head.unwrap(h) >> HOLDS);
    }

    function totalUnits(Head h) internal pure returns (uint64) {
        return uint64(Head.unwrap(h) >> TOTAL_UNITS);
    }
}
