// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {VerifyBase} from "./VerifyBase.sol";

/// @title Who verifies, what it has at stake for that, and who is drawn.
/// @dev A draw is a pure function of the claim's seed and epoch: weights are those of the epoch's beginning, and enlisting and
/// resigning counts from the next epoch on, before any claim of which there was. The owners compared are those at
/// enlistment, so that nobody moves a seat by giving away an operator when the seed is known.
abstract contract Verifiers is VerifyBase {
    using SafeCast for uint256;

    uint256 internal constant TRIES = 8;
    uint256 internal constant RECENT = 20; // seats
    uint256 internal constant ABSENCE_PART = 10; // of the lock that too many absences cost: one part in so many
    uint256 internal constant EPOCH = 1 days;

    mapping(address operator => Verifier) internal _verifiers;

    function enlist() external {
        address operator = _keys.operatorOf(msg.sender);
        Verifier storage v = _verifiers[operator];
        require(v.from == 0, AlreadyEnlisted(operator));
        uint128 lock = params().verifierLock;
        v.owner = registry.ownerOf(operator);
        v.from = (_set.epoch() + 1).toUint16();
        v.lock = lock;
        emit Enlisted(operator, v.from, lock);
        registry.lock(operator, lock);
    }

    function resign() external {
        address operator = _keys.operatorOf(msg.sender);
        Verifier storage v = _verifiers[operator];
        require(v.from != 0 && v.until == 0, NotEnlisted(operator));
        _resign(operator, v);
    }

    function takeLock(address operator) external {
        Verifier memory v = _verifiers[operator];
        require(v.until != 0, NotEnlisted(operator));
        require(block.timestamp >= v.freeAt, TooEarly(v.freeAt));
        delete _verifiers[operator];
        emit LockTaken(operator, v.lock);
        registry.release(operator, v.lock);
    }

    function verifier(address operator) external view returns (Verifier memory) {
        return _verifiers[operator];
    }

    function reach() public view returns (uint32) {
        // The last claim it may be drawn for is made before the epoch ends in which it resigned. A day more, so that the last
        // proof of the claim can be acted on.
        return (2 * EPOCH + book.reach()).toUint32();
    }

    function _resign(address operator, Verifier storage v) private {
        v.until = (_set.epoch() + 1).toUint16();
        v.freeAt = (block.timestamp + reach()).toUint40();
        emit Resigned(operator, v.until, v.freeAt);
    }

    function _isEnlisted(Verifier storage v, uint256 epoch) internal view returns (bool) {
        (uint256 from, uint256 until) = (v.from, v.until);
        return from != 0 && from <= epoch && (until == 0 || epoch < until);
    }

    /// @dev 0 when all draws fall on nobody fit. `other` has the slot's other seat.
    function _find(IClaimBook.Claim memory c, uint256 slot, uint256 which, address other)
        internal
        view
        returns (address)
    {
        Verifier storage accused = _verifiers[c.operator];
        address owner = _isEnlisted(accused, c.epoch) ? accused.owner : c.operator;
        for (uint256 t = 0; t < TRIES; ++t) {
            uint256 random = uint256(keccak256(abi.encode(c.seed, "verifier", slot, which, t)));
            address drawn = _set.draw(c.epoch, random);
            if (drawn == c.operator || drawn == other) continue;
            Verifier storage v = _verifiers[drawn];
            if (_isEnlisted(v, c.epoch) && v.owner != owner && v.owner != c.operator) return drawn;
        }
        return address(0);
    }

    // ---- what a seat does to its verifier ----

    function _served(address operator) internal {
        Verifier storage v = _verifiers[operator];
        v.absences = _recent(v, 0);
    }

    /// @dev Too many absences cost a tenth of the lock and the office.
    function _missed(address operator) internal {
        Verifier storage v = _verifiers[operator];
        uint24 recent = _recent(v, 1);
        v.absences = recent;
        uint256 count = 0;
        for (; recent != 0; recent >>= 1) {
            count += recent & 1;
        }
        if (count < params().absences) return;
        v.absences = 0;
        _take(operator, v, Math.ceilDiv(v.lock, ABSENCE_PART).toUint128(), new IStakeRegistry.Cut[](0));
    }

    /// @dev Takes `amount` of what it has locked, and it is drawn no more.
    function _take(address operator, Verifier storage v, uint128 amount, IStakeRegistry.Cut[] memory cuts) internal {
        v.lock -= amount;
        if (v.until == 0) _resign(operator, v);
        uint256 taken = registry.slash(operator, amount, amount, cuts, IStakeRegistry.Jail.No);
        emit VerifierSlashed(operator, taken);
    }

    function _recent(Verifier storage v, uint256 missed) private view returns (uint24) {
        return uint24((uint256(v.absences) << 1 | missed) & ((1 << RECENT) - 1));
    }
}
