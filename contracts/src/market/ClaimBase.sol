// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {IOperatorKeys} from "../interfaces/IOperatorKeys.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {Head} from "./ClaimHead.sol";
import {ClaimParams} from "./ClaimParams.sol";

/// @title What every part of the claim book shares: the records and what follows from them.
abstract contract ClaimBase is ClaimParams {
    using SafeCast for uint256;

    IJobMarket public immutable market;
    IStakeRegistry public immutable registry;
    IOperatorKeys public immutable keys;
    uint256 private immutable _dayZero; // epoch of a time = its day - this
    mapping(uint64 claimId => Record) internal _claims;

    /// @dev Job and first segment are the claim's id. Fee, lock, operator and epoch are computed: the job's price and operator
    /// are fixed once it can have claims, and the version's parameters for ever.
    struct Record {
        Head head;
        bytes32 root;
        bytes32 word; // 0 until sealed, then the seed; once answered the hash of what was
    }

    /// @dev Whose a claim is and what it is worth.
    struct Stakes {
        address operator;
        uint128 fee;
        uint128 lock;
    }

    constructor(IJobMarket market_, IStakeRegistry registry_) {
        (market, registry, keys) = (market_, registry_, registry_.keys());
        _dayZero = block.timestamp / 1 days - registry_.activeSet().epoch();
    }

    function _jobOf(uint64 claimId) internal pure returns (uint64) {
        return claimId >> 32;
    }

    function _firstOf(uint64 claimId) internal pure returns (uint64) {
        return claimId & type(uint32).max;
    }

    function _stakes(uint64 claimId, Head h) internal view returns (Stakes memory s) {
        (address operator, uint96 price) = market.assignment(_jobOf(claimId));
        return _worth(h, operator, price);
    }

    function _worth(Head h, address operator, uint96 price) internal view returns (Stakes memory s) {
        s.operator = operator;
        s.fee = (uint256(h.totalUnits()) * price).toUint128(); // it came out of an escrow of 128 bits
        s.lock = _lockOf(_terms[h.version()].lock, s.fee, h.count(), h.drawn());
    }

    function _attestUntil(Head h) internal view returns (uint40) {
        return h.answeredAt() + _terms[h.version()].attestWindow;
    }

    function _revealUntil(Head h) internal view returns (uint40) {
        return _attestUntil(h) + _terms[h.version()].revealWindow;
    }

    function _contestUntil(Head h) internal view returns (uint40) {
        return _revealUntil(h) + _terms[h.version()].contestWindow;
    }

    function _verifiersPart(Head h, uint128 fee) internal view returns (uint128) {
        return (uint256(fee) * _terms[h.version()].verifierShare / WHOLE).toUint128();
    }

    function _epochOf(Head h) internal view returns (uint16) {
        return (h.claimedAt() / 1 days - _dayZero).toUint16();
    }

    /// @dev Sealing writes no head, so that a sealed claim's says Submitted.
    function _stateOf(Record storage c, Head h) internal view returns (ClaimState state) {
        state = h.state();
        if (state == ClaimState.Submitted && c.word != 0) state = ClaimState.Sealed;
    }

    /// @return 0 until sealed.
    function _seedOf(Record storage c, Head h) internal view returns (bytes32) {
        return h.wasAnswered() ? bytes32(uint256(h.seed())) : c.word;
    }

    /// @return 0 until answered.
    function _answersOf(Record storage c, Head h) internal view returns (bytes32) {
        return h.wasAnswered() ? c.word : bytes32(0);
    }

    /// @return h Of a claim in this state.
    function _requireState(uint64 claimId, ClaimState wanted) internal view returns (Head h) {
        Record storage c = _claims[claimId];
        h = c.head;
        if (wanted > ClaimState.Sealed && h.state() == wanted) return h; // without a look at the word
        ClaimState state = _stateOf(c, h);
        require(state == wanted, ClaimNotInState(claimId, state));
    }

    function _requireAfter(uint64 claimId, uint256 last) internal view {
        require(block.timestamp > last, TooEarly(claimId, last));
    }

    function _requireBy(uint64 claimId, uint256 last) internal view {
        require(block.timestamp <= last, TooLate(claimId, last));
    }

    /// @dev The registry refused. When it no longer lets this book slash, anyone may have freed its locks, and claims end all
    /// the same; any other reason is the caller's.
    function _requireEnded(bytes memory why) internal view {
        if (registry.slasherState(address(this)) != IStakeRegistry.SlasherState.Ended) LowLevelCall.bubbleRevert(why);
    }
}
