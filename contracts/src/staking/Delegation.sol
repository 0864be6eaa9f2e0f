// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Token} from "../token/Token.sol";
import {SelfBond} from "./SelfBond.sol";
import {SharePool} from "./SharePool.sol";
import {ThawQueue} from "./ThawQueue.sol";
import {VestingStream} from "./VestingStream.sol";

/// @title Other people's stake behind an operator, its rewards and its part of fees.
/// @dev Every position is changed by its owner alone.
abstract contract Delegation is SelfBond {
    using SafeCast for uint256;
    using SafeERC20 for Token;
    using SharePool for SharePool.Pool;
    using ThawQueue for ThawQueue.Queue;
    using VestingStream for VestingStream.Stream;

    mapping(address operator => mapping(address owner => ThawQueue.Queue)) internal _thaws;

    function delegate(address operator, uint128 amount) external returns (uint128 shares) {
        _requireWorth(amount);
        Account storage a = _accounts[operator];
        if (a.status != Status.Joined || a.jailedUntil == type(uint40).max) _refuse(operator, a);
        _accrue(operator, a);
        Position storage position = _positions[operator][a.active.nonce][msg.sender];
        _settleFees(operator, msg.sender, position, a.feeIndex);
        shares = a.active.deposit(uint256(amount).toUint96());
        position.shares += shares;
        emit Delegated(operator, msg.sender, amount, shares);
        _update(operator, a, false);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    function undelegate(address operator, uint128 shares) external {
        Account storage a = _accounts[operator];
        _accrue(operator, a);
        Position storage position = _positions[operator][a.active.nonce][msg.sender];
        uint128 held = position.shares;
        require(shares <= held, InsufficientShares(held, shares));
        _settleFees(operator, msg.sender, position, a.feeIndex);
        (uint96 amount, uint96 dust) = a.active.redeem(shares);
        require(amount > 0, ZeroAmount());
        uint128 left = held - shares;
        if (left > 0) _requireWorth(a.active.toAssets(left));
        position.shares = left;
        a.bonded += dust;
        _queue(operator, a, amount, shares);
        _update(operator, a, false);
    }

    function withdrawDelegation(address operator) external {
        Account storage a = _accounts[operator];
        (uint128 shares, uint256 removed) = _thaws[operator][msg.sender].pop(block.timestamp, a.thaw.nonce);
        require(removed > 0, NothingToWithdraw(msg.sender));
        (uint96 amount, uint96 dust) = a.thaw.redeem(shares);
        _absorb(operator, a, dust);
        emit DelegationWithdrawn(operator, msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    function notify(address operator, uint128 amount) external {
        _requireWorth(amount);
        VestingStream.Stream memory s = _accounts[operator].rewards.load();
        _addReward(operator, amount, s);
        emit Notified(operator, amount);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    function notifyMinted(address operator, uint128 amount, uint16 epoch) external {
        require(msg.sender == address(token), NotToken(msg.sender));
        VestingStream.Stream memory s = _accounts[operator].rewards.load();
        require(epoch > s.epoch, AlreadyRewarded(operator, epoch));
        s.epoch = epoch;
        _addReward(operator, amount, s);
    }

    /// @dev The weight in draws follows with the next change or poke.
    function _addReward(address operator, uint128 amount, VestingStream.Stream memory s) private {
        Account storage a = _accounts[operator];
        if (a.status != Status.Joined) _refuse(operator, a);
        _vestRewards(operator, a, s);
        s.add(amount);
        _writeRewards(a, s);
    }

    function creditFees(address operator, uint128 amount) external onlyRouter returns (uint128 toDelegators) {
        Account storage a = _accounts[operator];
        if (a.active.shares > 0) toDelegators = _addFee(operator, a, amount);
        emit FeesCredited(operator, amount, toDelegators);
    }

    /// @dev There are no coins that 96 bits could not count; if there were, what is too much would be the owner's.
    function _addFee(address operator, Account storage a, uint128 amount) private returns (uint128 toDelegators) {
        VestingStream.Stream memory s = a.fees.load();
        _vestFees(operator, a, s);
        uint256 part = _delegatorsPart(a, amount, s.cutNow());
        toDelegators = uint128(Math.min(part, type(uint96).max - s.left));
        s.add(toDelegators);
        _writeFees(a, s);
    }

    function lastRewarded(address operator) external view returns (uint256 epoch) {
        return _accounts[operator].rewards.epoch;
    }

    function takeFees(address operator, address account, uint32 nonce) external onlyRouter returns (uint256 amount) {
        Account storage a = _accounts[operator];
        // What vests while nobody has shares is the owner's. Otherwise the index need not be brought up to date to be known.
        if (a.active.shares == 0 && a.flags & FEES_VEST != 0) _accrueFees(operator, a);
        Position storage position = _positions[operator][nonce][account];
        uint128 index = _feeIndex(operator, a, nonce);
        uint256 settled = _feesEarned[operator][account];
        amount = settled + _feesSince(position, index);
        position.feeIndex = index;
        if (settled > 0) delete _feesEarned[operator][account];
    }

    function feesOf(address operator, address account, uint32 nonce) external view returns (uint256 earned) {
        Account storage a = _accounts[operator];
        uint256 since = _feesSince(_positions[operator][nonce][account], _feeIndex(operator, a, nonce));
        earned = _feesEarned[operator][account] + since;
    }

    function delegation(address operator, address account) external view returns (uint256 shares, uint256 amount) {
        Account storage a = _accounts[operator];
        shares = _positions[operator][a.active.nonce][account].shares;
        amount = a.active.toAssets(shares);
    }

    function delegationThaws(address operator, address account) external view returns (Thaw[] memory) {
        return _worth(_thaws[operator][account], _accounts[operator].thaw);
    }

    function selfThaws(address operator) external view returns (Thaw[] memory) {
        return _worth(_selfThaws[operator], _accounts[operator].selfThaw);
    }

    function _requireWorth(uint256 amount) private pure {
        require(amount >= MIN_DELEGATION, DelegationTooSmall(amount, MIN_DELEGATION));
    }

    function _queue(address operator, Account storage a, uint96 amount, uint128 shares) private {
        uint40 readyAt = _readyAt();
        ThawQueue.Request memory request = ThawQueue.Request(a.thaw.deposit(amount), readyAt, a.thaw.nonce);
        _thaws[operator][msg.sender].push(request);
        emit Undelegated(operator, msg.sender, amount, shares, readyAt);
    }

    function _worth(ThawQueue.Queue storage queue, SharePool.Pool storage pool)
        private
        view
        returns (Thaw[] memory out)
    {
        ThawQueue.Request[] memory requests = queue.open();
        out = new Thaw[](requests.length);
        for (uint256 i = 0; i < out.length; ++i) {
            ThawQueue.Request memory r = requests[i];
            if (r.nonce == pool.nonce) out[i].amount = pool.toAssets(r.shares).toUint128();
            out[i].readyAt = r.readyAt;
        }
    }
}
