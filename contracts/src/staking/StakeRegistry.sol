// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Token} from "../token/Token.sol";
import {Delegation} from "./Delegation.sol";
import {SharePool} from "./SharePool.sol";
import {Slashers} from "./Slashers.sol";
import {StakeBase} from "./StakeBase.sol";
import {ThawQueue} from "./ThawQueue.sol";

/// @title The stake of operators and their delegators: see IStakeRegistry for the rules. This file locks and takes.
/// @dev Knows nothing of jobs: slashers decide what is locked, released and taken. The only other contracts called are our
/// own: the active set, the votes of enrolled operators, whatever becomes of that, and last the token, which has no hooks.
contract StakeRegistry is Delegation, Slashers {
    using SafeCast for uint256;
    using SafeERC20 for Token;
    using SharePool for SharePool.Pool;
    using ThawQueue for ThawQueue.Queue;

    uint256 public constant MAX_CUTS = WHOLE / 2; // the rest is burned, so that slashing oneself is no way out
    uint256 internal constant DELEGATORS_RISK = 10; // they lose at most one part in so many at once
    uint256 private constant JAIL_SHORT = 3 days;
    uint256 private constant JAIL_FIRST = 14 days;
    uint256 private constant JAIL_SECOND = 60 days;

    mapping(address account => uint256) public bounty;
    mapping(address operator => mapping(address slasher => uint96)) private _locks;

    constructor(Token token_, uint256 slots_, Params memory p) StakeBase(token_, slots_, p) {}

    function lockActive(address operator, uint128 amount) external returns (bool active, address signer) {
        (active, signer) = (isActive(operator), signerOf(operator));
        if (active) lock(operator, amount);
    }

    function lockSigned(address operator, address key, uint128 amount) external returns (bool signs) {
        signs = key == signerOf(operator);
        if (signs) lock(operator, amount);
    }

    function lock(address operator, uint128 amount) public {
        uint256 place = _requireActive(msg.sender);
        Account storage a = _accounts[operator];
        uint256 part = _requireFree(operator, a, amount);
        _changeLock(operator, a, msg.sender, place, part);
    }

    function release(address operator, uint128 amount) external {
        uint256 held = lockedBy(operator, msg.sender);
        require(amount <= held, ReleaseTooLarge(operator, held, amount));
        _unlock(operator, msg.sender, amount);
    }

    function freeEnded(address operator, address slasher) external {
        _requireState(slasher, SlasherState.Ended, SlasherState.Ended);
        _unlock(operator, slasher, lockedBy(operator, slasher));
    }

    function slash(address operator, uint128 amount, uint128 unlock, Cut[] calldata cuts, Jail jail)
        external
        returns (uint256 taken)
    {
        _requireJudge(msg.sender);
        Account storage a = _accounts[operator];
        _accrue(operator, a);
        if (unlock > 0) _unlock(operator, msg.sender, Math.min(unlock, lockedBy(operator, msg.sender)));
        uint256 fromSelf = _takeSelf(operator, a, amount);
        uint256 fromDelegators = fromSelf < amount ? _takeDelegated(operator, a, amount - fromSelf) : 0;
        taken = fromSelf + fromDelegators;
        uint256 burned = taken - _credit(taken, cuts);
        unchecked {
            _settings.unburned += uint96(burned);
        }
        if (jail != Jail.No) _jail(operator, a, jail);
        _update(operator, a, false);
        emit Slashed(operator, msg.sender, fromSelf, fromDelegators, burned);
    }

    function burnSlashed() public {
        uint256 amount = _settings.unburned;
        _settings.unburned = 0;
        token.burn(amount);
    }

    function takeBounty() external {
        uint256 amount = bounty[msg.sender];
        require(amount > 0, NothingToWithdraw(msg.sender));
        bounty[msg.sender] = 0;
        burnSlashed();
        token.safeTransfer(msg.sender, amount);
    }

    // ---- views ----

    function free(address operator) external view returns (uint256) {
        return _free(_accounts[operator]);
    }

    function ownStake(address operator) external view returns (uint256) {
        Account storage a = _accounts[operator];
        return uint256(a.bonded) + a.selfThaw.assets;
    }

    function lockedBy(address operator, address slasher) public view returns (uint256) {
        uint256 place = _placeOf(slasher);
        if (place == 0) return _locks[operator][slasher];
        return uint96(_accounts[operator].places >> place - 1);
    }

    function nextDeadline(address operator) external view returns (uint256 due) {
        Account storage a = _accounts[operator];
        if (block.timestamp < a.jailedUntil && a.jailedUntil != type(uint40).max) due = a.jailedUntil;
        uint256 readyAt = _selfThaws[operator].nextReady(a.selfThaw.nonce);
        if (readyAt != 0 && (due == 0 || readyAt < due)) due = readyAt;
    }

    function operatorInfo(address operator) external view returns (Operator memory out) {
        Account storage a = _accounts[operator];
        out.state = _state(operator, a);
        out.owner = ownerOf(operator);
        out.bonded = a.bonded;
        out.locked = uint128(_locked(a));
        out.thawing = a.selfThaw.assets;
        out.delegated = a.active.assets;
        out.delegatedShares = a.active.shares;
        out.delegatedThawing = a.thaw.assets;
        out.rewardsVesting = a.rewards.left;
        (out.rewardCut, out.feeCut) = _cuts(a);
        out.slot = activeSet.seatOf(operator).slot;
        out.active = isActive(operator);
        out.strikes = a.strikes;
        out.jailedUntil = a.jailedUntil;
        out.poolNonce = a.active.nonce;
        out.serviceUri = _identities[operator].serviceUri;
    }

    // ---- steps of a slash ----

    /// @param amount No more than it has locked.
    function _unlock(address operator, address slasher, uint256 amount) private {
        unchecked {
            _changeLock(operator, _accounts[operator], slasher, _placeOf(slasher), 0 - amount);
        }
    }

    /// @param change Modulo 2^256. What one slasher has locked, and so what all have, stays within 0 and 2^92.
    function _changeLock(address operator, Account storage a, address slasher, uint256 place, uint256 change) private {
        unchecked {
            if (place != 0) {
                a.places += change << place - 1;
            } else {
                a.locked = uint96(a.locked + change);
                _locks[operator][slasher] = uint96(_locks[operator][slasher] + change);
            }
        }
    }

    /// @dev Bonded and thawing stake bear it in proportion; the thawing part is rounded up.
    function _takeSelf(address operator, Account storage a, uint256 amount) private returns (uint256 taken) {
        (uint256 bonded, uint256 thawing) = (a.bonded, a.selfThaw.assets);
        taken = Math.min(amount, bonded + thawing);
        uint256 fromThaw = thawing == 0 ? 0 : Math.ceilDiv(taken * thawing, bonded + thawing);
        a.bonded = (bonded - (taken - fromThaw)).toUint96();
        if (fromThaw > 0) _lose(operator, a, a.selfThaw, fromThaw, true);
    }

    function _takeDelegated(address operator, Account storage a, uint256 amount) private returns (uint256 taken) {
        (uint256 active, uint256 thawing) = (a.active.assets, a.thaw.assets);
        taken = Math.min(amount, (active + thawing) / DELEGATORS_RISK);
        if (taken == 0) return 0;
        uint256 fromThaw = Math.ceilDiv(taken * thawing, active + thawing);
        _lose(operator, a, a.thaw, fromThaw, true);
        uint32 nonce = a.active.nonce;
        bool wiped = _lose(operator, a, a.active, taken - fromThaw, false);
        // What its holders have earned so far stays theirs, under the old nonce.
        if (wiped) _lastFeeIndex[operator][nonce] = a.feeIndex;
    }

    /// @dev What is left in a wiped pool goes to the operator.
    function _lose(address operator, Account storage a, SharePool.Pool storage pool, uint256 amount, bool thawing)
        private
        returns (bool wiped)
    {
        uint96 dust;
        (wiped, dust) = pool.lose(amount.toUint96());
        if (!wiped) return false;
        emit PoolWiped(operator, pool.nonce - 1, thawing);
        a.bonded += dust;
    }

    function _jail(address operator, Account storage a, Jail jail) private {
        uint256 until = block.timestamp + JAIL_SHORT;
        if (jail == Jail.Strike) {
            uint8 strikes = a.strikes;
            if (strikes < 3) a.strikes = ++strikes;
            until = strikes == 1 ? block.timestamp + JAIL_FIRST : block.timestamp + JAIL_SECOND;
            if (strikes == 3) until = type(uint40).max;
        }
        a.jailedUntil = Math.max(a.jailedUntil, until).toUint40();
        emit Jailed(operator, a.jailedUntil, a.strikes);
    }

    function _credit(uint256 taken, Cut[] calldata cuts) private returns (uint256 credited) {
        uint256 sum = 0;
        for (uint256 i = 0; i < cuts.length; ++i) {
            sum += cuts[i].share;
            uint256 amount = taken * cuts[i].share / WHOLE;
            if (amount == 0) continue;
            bounty[cuts[i].to] += amount;
            credited += amount;
        }
        require(sum <= MAX_CUTS, CutsTooLarge(sum, MAX_CUTS));
    }
}
