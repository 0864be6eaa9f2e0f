// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IActiveSet} from "../interfaces/IActiveSet.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {StakeRegistry} from "../staking/StakeRegistry.sol";
import {Token} from "./Token.sol";

/// @title The token's minter: see IRewards. Several operators are rewarded in one transaction by `multicall`.
/// @dev Calls only our own token, set and registry. Parts are rounded down and weights of an epoch add up to its total, so
/// the rewards of an epoch stay within its mint. That an operator is paid once for an epoch is the registry's to say: it
/// writes a word for every reward anyway, and the epoch finds room there.
contract Rewards is IRewards, Multicall {
    using SafeCast for uint256;

    // What governance may set: see setParams.
    uint256 public constant LEAST_TARGET = 1000;
    uint256 public constant MOST_TARGET = 9000;
    uint256 public constant MOST_STEP = 5000;
    /// Compounded over 365 epochs it stays below 10 %: 1.00026112 ^ 365 = 1.09998.
    uint256 public constant MOST_RATE = 261_120;

    uint256 private constant EPOCH = 1 days;
    uint256 private constant WHOLE = 1e4;
    uint256 private constant RATE_WHOLE = 1e9;

    StakeRegistry public immutable registry;
    IActiveSet public immutable activeSet;
    Token public immutable token;
    address public immutable admin;
    uint256 private immutable _dayZero;

    Params private _params;
    Epoch private _last;

    /// @param rate At first, 1e-9 of the supply in an epoch.
    constructor(StakeRegistry registry_, address admin_, uint32 rate, Params memory p) {
        (registry, admin) = (registry_, admin_);
        (activeSet, token) = (registry_.activeSet(), registry_.token());
        _dayZero = block.timestamp / EPOCH - activeSet.epoch();
        _setParams(p);
        _requireWithin(rate, 0, p.most);
        _last.rate = rate;
        token.mint(address(this), 0); // shows that the token knows its minter
    }

    function reward(address operator) external returns (uint256) {
        Epoch memory e = _settle();
        return _reward(operator, e, activeSet.weightIn(e.number, operator));
    }

    function rewardIn(address operator, uint256 slot) external returns (uint256) {
        Epoch memory e = _settle();
        (address holder, uint256 weight) = activeSet.slotIn(e.number, slot);
        return _reward(operator, e, holder == operator ? weight : 0);
    }

    function _reward(address operator, Epoch memory e, uint256 weight) private returns (uint256 part) {
        require(weight > 0, NotActiveThen(operator, e.number));
        part = e.mint * weight / e.weight;
        emit Rewarded(operator, e.number, part);
        token.mintReward(registry, operator, part.toUint128(), e.number);
    }

    function setParams(Params calldata p) external {
        require(msg.sender == admin, NotAdmin(msg.sender));
        _setParams(p);
    }

    // ---- views ----

    function params() external view returns (Params memory) {
        return _params;
    }

    function lastEpoch() external view returns (Epoch memory) {
        return _last;
    }

    function rewarded(address operator) external view returns (uint256 epoch) {
        return registry.lastRewarded(operator);
    }

    // ---- steps ----

    /// @dev The epoch before the running one, with its rate and mint fixed by the first call that needs them.
    function _settle() private returns (Epoch memory e) {
        e = _last;
        uint256 number = _lastNumber();
        if (e.number == number) return e;
        uint256 supply = token.totalSupply();
        uint256 weight = activeSet.totalWeight(number);
        e.number = number.toUint16();
        e.weight = weight.toUint96();
        e.rate = _nextRate(e.rate, weight * WHOLE, supply);
        e.mint = Math.min(supply * e.rate / RATE_WHOLE, token.cap() - supply).toUint96();
        _last = e;
        emit EpochSettled(number, e.rate, e.mint, weight);
    }

    function _nextRate(uint256 rate, uint256 scaledWeight, uint256 supply) private view returns (uint32) {
        Params memory p = _params;
        uint256 wanted = supply * p.target;
        if (scaledWeight < wanted) rate += p.step;
        else if (scaledWeight > wanted) rate = Math.saturatingSub(rate, p.step);
        return Math.min(rate, p.most).toUint32();
    }

    function _lastNumber() private view returns (uint256) {
        return block.timestamp / EPOCH - _dayZero - 1;
    }

    function _setParams(Params memory p) private {
        _requireWithin(p.target, LEAST_TARGET, MOST_TARGET);
        _requireWithin(p.step, 0, MOST_STEP);
        _requireWithin(p.most, 0, MOST_RATE);
        _params = p;
        emit ParamsChanged(p.target, p.step, p.most);
    }

    function _requireWithin(uint256 value, uint256 least, uint256 most) private pure {
        require(value >= least && value <= most, ParamOutOfBounds(value, least, most));
    }
}
