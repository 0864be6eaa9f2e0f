// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IActiveSet} from "../interfaces/IActiveSet.sol";
import {IJury} from "../interfaces/IJury.sol";
import {IOperatorKeys} from "../interfaces/IOperatorKeys.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";

/// @title Operators that have enlisted as jurors, and their locks.
/// @dev Who is enlisted in an epoch is fixed before it begins, and stays so as long as draws of it can be made.
abstract contract Jurors is IJury {
    using SafeCast for uint256;

    uint256 public constant LOCK_EPOCHS = 3; // from the last draw's epoch until no seat can be judged any more
    uint256 private constant ABSENCE_PARTS = 10; // one of them is lost for each absence

    IStakeRegistry public immutable registry;
    IActiveSet public immutable activeSet;
    IOperatorKeys public immutable keys;
    mapping(address operator => Juror) internal _jurors;

    constructor(IStakeRegistry registry_) {
        registry = registry_;
        (activeSet, keys) = (registry_.activeSet(), registry_.keys());
    }

    function enlist() external {
        (address operator, uint256 now_) = (_operator(), activeSet.epoch());
        Juror memory j = _jurors[operator];
        // A draw of an epoch before `until` can still be made in `until`, and has to find what it found before.
        require(j.from == 0 || (j.until != 0 && now_ > j.until), AlreadyEnlisted(operator));
        uint256 missing = Math.saturatingSub(_jurorLock(), j.lock);
        j = Juror((now_ + 1).toUint16(), 0, (j.lock + missing).toUint128());
        _jurors[operator] = j;
        emit Enlisted(operator, j.from, j.lock);
        registry.lock(operator, missing.toUint128());
    }

    function resign() external {
        address operator = _operator();
        Juror storage j = _jurors[operator];
        require(j.from != 0 && j.until == 0, NotEnlisted(operator));
        _end(operator, j);
    }

    function takeLock(address operator) external {
        Juror memory j = _jurors[operator];
        require(j.until != 0, NotEnlisted(operator));
        uint256 free = j.until + LOCK_EPOCHS;
        require(activeSet.epoch() >= free, LockBound(operator, free));
        delete _jurors[operator];
        registry.release(operator, j.lock);
    }

    function juror(address operator) external view returns (Juror memory) {
        return _jurors[operator];
    }

    /// @dev Of a lock that is gone already nothing is taken.
    function _penalise(address operator) internal {
        Juror storage j = _jurors[operator];
        uint128 part = Math.min(j.lock, _jurorLock() / ABSENCE_PARTS).toUint128();
        j.lock -= part;
        if (j.from != 0 && j.until == 0) _end(operator, j);
        emit JurorSlashed(operator, part);
        registry.slash(operator, part, part, new IStakeRegistry.Cut[](0), IStakeRegistry.Jail.No);
    }

    function _enlisted(address operator, uint256 epoch) internal view returns (bool) {
        Juror memory j = _jurors[operator];
        return j.from != 0 && j.from <= epoch && (j.until == 0 || epoch < j.until);
    }

    function _operator() internal view returns (address operator) {
        operator = keys.operatorOf(msg.sender);
        require(operator != address(0), NotSigner(msg.sender));
    }

    function _jurorLock() internal view virtual returns (uint256);

    function _end(address operator, Juror storage j) private {
        j.until = (activeSet.epoch() + 1).toUint16();
        emit Resigned(operator, j.until);
    }
}
