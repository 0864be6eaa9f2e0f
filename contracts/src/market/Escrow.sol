// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {MarketClock} from "./MarketClock.sol";

/// @title A job's money: in, held for claims, paid or given back, and out.
/// @dev Everybody pulls: no account that refuses coins can keep a claim from being settled or a job from being closed.
abstract contract Escrow is MarketClock {
    using SafeCast for uint256;

    mapping(address operator => uint256) private _fees; // and 1, from its first job on: to pay one fills no empty word

    modifier onlyBook() {
        _requireBook();
        _;
    }

    function topUp(uint64 jobId) external payable {
        JobRecord storage j = _jobs[jobId];
        require(j.state != JobState.None && j.state != JobState.Closed, JobNotInState(jobId, j.state));
        require(msg.value > 0, ZeroValue());
        uint96 escrow = j.account.escrow + msg.value.toUint96();
        j.account.escrow = escrow;
        emit ToppedUp(jobId, msg.value, escrow);
    }

    function withdraw() external {
        uint256 amount = _owed[msg.sender];
        require(amount > 0, NothingOwed(msg.sender));
        _owed[msg.sender] = 0;
        emit Withdrawn(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    function owed(address account) external view returns (uint256) {
        return _owed[account];
    }

    function routeFees(address operator) external {
        uint256 amount = feesOf(operator);
        require(amount > 0, NothingOwed(operator));
        _fees[operator] = 1;
        emit FeesRouted(operator, amount);
        router.route{value: amount}(operator);
    }

    function feesOf(address operator) public view returns (uint256) {
        return Math.saturatingSub(_fees[operator], 1);
    }

    // ---- the book alone ----

    function reserve(uint64 jobId, uint64 first, uint32 count, uint64 units)
        external
        onlyBook
        returns (address client, address operator, uint128 fee, uint8 k, uint32 before)
    {
        JobRecord storage j = _jobs[jobId];
        _requireClaimable(jobId, j, _running());
        (client, operator) = (j.client, j.operator);
        k = j.k;
        uint256 wei_ = uint256(units) * j.price;
        Account memory a = j.account;
        before = a.before;
        require(first == a.nextSeq, NotNextSegment(jobId, a.nextSeq, first));
        require(wei_ <= a.escrow, EscrowTooSmall(jobId, a.escrow, wei_)); // all of it or nothing
        a.escrow -= uint96(wei_);
        a.reserved += uint96(wei_);
        a.nextSeq = (uint256(first) + count).toUint32();
        a.before = uint256(count).toUint16();
        a.openClaims += 1;
        j.account = a;
        fee = uint128(wei_);
    }

    function pay(uint64 jobId, uint64 claimId, uint128 fee, uint128 toVerifiers) external onlyBook {
        JobRecord storage j = _jobs[jobId];
        _unreserve(j, uint256(fee).toUint96(), 0);
        _fees[j.operator] += fee - toVerifiers;
        if (toVerifiers > 0) challenges.deposit{value: toVerifiers}(claimId);
    }

    function restore(uint64 jobId, uint128 fee) external onlyBook {
        uint96 amount = uint256(fee).toUint96();
        _unreserve(_jobs[jobId], amount, amount);
    }

    function popSeed(uint64 jobId, bytes32 preimage) external onlyBook {
        JobRecord storage j = _jobs[jobId];
        bytes32 tip = j.seedTip;
        bytes32 expected = preimage == 0 ? bytes32(0) : keccak256(abi.encode(preimage));
        require(tip == expected, OtherPreimage(jobId));
        if (tip != 0) j.seedTip = preimage;
    }

    // ---- steps ----

    /// @dev Comes before its first fee.
    function _openFees(address operator) internal {
        if (_fees[operator] == 0) _fees[operator] = 1;
    }

    function _requireBook() private view {
        require(msg.sender == book, NotBook(msg.sender));
    }

    function _unreserve(JobRecord storage j, uint96 fee, uint96 back) private {
        Account memory a = j.account;
        a.reserved -= fee;
        a.escrow += back;
        a.openClaims -= 1;
        j.account = a;
    }

    function _requireClaimable(uint64 jobId, JobRecord storage j, uint40 now_) private view {
        if (j.state == JobState.Active) {
            if (now_ <= j.deadline) return;
            uint256 drainUntil = _drainUntil(j, now_); // nobody has closed it yet
            require(now_ <= drainUntil, DrainWindowOver(jobId, drainUntil));
        } else {
            _requireState(jobId, j, JobState.Draining);
            require(j.until != 0, AlreadyReleased(jobId));
            require(now_ <= j.until, DrainWindowOver(jobId, j.until));
        }
    }

    /// @return From now on, or from the deadline, if that is over.
    function _drainUntil(JobRecord storage j, uint40 now_) internal view returns (uint40) {
        uint40 from = now_ > j.deadline ? j.deadline : now_;
        return from + _versions[j.version].drainWindow;
    }

    /// @dev Only without open claims: nothing is reserved, and the escrow is all there is.
    function _refund(uint64 jobId, JobRecord storage j) internal {
        uint256 refund = j.account.escrow;
        (j.account.escrow, j.state) = (0, JobState.Closed);
        _owed[j.client] += refund;
        emit JobClosed(jobId, refund);
    }
}
