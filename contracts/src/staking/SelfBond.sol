// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Token} from "../token/Token.sol";
import {Identities} from "./Identities.sol";
import {SharePool} from "./SharePool.sol";
import {ThawQueue} from "./ThawQueue.sol";

/// @title An operator's own stake: in, out, and the end of its work.
abstract contract SelfBond is Identities {
    using SafeCast for uint256;
    using SafeERC20 for Token;
    using SharePool for SharePool.Pool;
    using ThawQueue for ThawQueue.Queue;

    mapping(address operator => ThawQueue.Queue) internal _selfThaws;

    function bond(uint128 amount) external {
        if (_accounts[msg.sender].status == Status.None) {
            // A key that signs for another operator is no operator of its own.
            address bound = keys.boundTo(msg.sender);
            require(bound == address(0) || bound == msg.sender, KeyInUse(msg.sender, bound));
        }
        _bond(msg.sender, amount);
    }

    function bondFor(address operator, uint128 amount) external {
        require(_accounts[operator].status != Status.None, NotAccepting(operator, State.None));
        _requireOwner(operator);
        _bond(operator, amount);
    }

    function unbond(uint128 amount) external {
        _unbond(msg.sender, amount);
    }

    function unbondFor(address operator, uint128 amount) external {
        _unbond(operator, amount);
    }

    function withdraw() external {
        _withdraw(msg.sender);
    }

    function withdrawFor(address operator) external {
        _withdraw(operator);
    }

    function exit(address operator) external {
        _requireOwner(operator);
        Account storage a = _accounts[operator];
        if (a.status != Status.Joined) _refuse(operator, a);
        _accrue(operator, a);
        a.status = Status.Exiting;
        emit Exiting(operator);
        _update(operator, a, false);
    }

    /// @dev What leaves a thawing pool without being paid out becomes stake of the operator.
    function _absorb(address operator, Account storage a, uint96 amount) internal {
        if (amount == 0) return;
        _accrue(operator, a);
        a.bonded += amount;
        _update(operator, a, false);
    }

    function _bond(address operator, uint128 amount) private {
        require(amount > 0, ZeroAmount());
        Account storage a = _accounts[operator];
        if (a.status == Status.Exiting) {
            require(_locked(a) == 0, NotAccepting(operator, State.Exiting));
            _requireOwner(operator); // a stolen hot key must not undo an exit
        }
        _accrue(operator, a);
        a.status = Status.Joined;
        a.bonded += uint256(amount).toUint96();
        a.places |= KEPT;
        if (!_settings.everBonded) _settings.everBonded = true;
        emit Bonded(operator, amount);
        _update(operator, a, true);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    function _unbond(address operator, uint128 amount) private {
        _requireOwner(operator);
        require(amount > 0, ZeroAmount());
        Account storage a = _accounts[operator];
        _accrue(operator, a);
        uint96 part = _requireFree(operator, a, amount);
        a.bonded -= part;
        uint128 shares = a.selfThaw.deposit(part);
        uint40 readyAt = _readyAt();
        _selfThaws[operator].push(ThawQueue.Request(shares, readyAt, a.selfThaw.nonce));
        emit Unbonded(operator, amount, readyAt);
        _update(operator, a, false);
    }

    function _withdraw(address operator) private {
        _requireOwner(operator);
        Account storage a = _accounts[operator];
        (uint128 shares, uint256 removed) = _selfThaws[operator].pop(block.timestamp, a.selfThaw.nonce);
        require(removed > 0, NothingToWithdraw(operator));
        (uint96 amount, uint96 dust) = a.selfThaw.redeem(shares);
        // After a slash the bonded stake can be smaller than the locks; thawed stake then stands in for it.
        uint96 kept = Math.min(amount, Math.saturatingSub(_locked(a), a.bonded)).toUint96();
        _absorb(operator, a, kept + dust);
        emit Withdrawn(operator, amount - kept);
        token.safeTransfer(msg.sender, amount - kept);
    }
}
