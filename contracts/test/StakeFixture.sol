// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {IActiveSet} from "../src/interfaces/IActiveSet.sol";
import {IOperatorKeys} from "../src/interfaces/IOperatorKeys.sol";
import {IStakeRegistry} from "../src/interfaces/IStakeRegistry.sol";
import {FeeRouter} from "../src/staking/FeeRouter.sol";
import {StakeRegistry} from "../src/staking/StakeRegistry.sol";
import {Token} from "../src/token/Token.sol";

/// @dev A registry with three slots that this contract governs and may slash, operators and delegators with tokens.
abstract contract StakeFixture is Base {
    uint128 internal constant COIN = 1e18;
    uint128 internal constant MIN_SELF = 1000e18;
    uint32 internal constant UNBOND = 14 days;
    uint32 internal constant REACH = 9 days;
    uint256 internal constant PAR = 1e3; // shares of a new pool for one asset
    address internal constant FINDER = address(0xF1);
    address internal constant TREASURY = address(0x7EA5);
    address internal constant ALICE = address(0xA11CE);
    address internal constant BOB = address(0xB0B);

    Token internal token;
    StakeRegistry internal registry;
    IActiveSet internal set;
    IOperatorKeys internal keys;
    FeeRouter internal router;
    IStakeRegistry.Cut[] internal noCuts;

    function setUp() public virtual {
        vm.warp(2_000_000_000);
        deployStake(3);
    }

    function deployStake(uint256 slots) internal {
        token = oneHolder(1e9 * 1e18);
        registry = newRegistry(slots);
        set = registry.activeSet();
        keys = registry.keys();
        router = new FeeRouter(registry, TREASURY, 100);
        registry.setRouter(address(router));
        nameThisSlasher();
        for (uint256 i = 0; i < 8; ++i) {
            fund(op(i));
        }
        fund(ALICE);
        fund(BOB);
        token.approve(address(registry), type(uint256).max);
    }

    /// @dev Where there is a market, it and its book come first, as they do in a deployment.
    function nameThisSlasher() internal virtual {
        registry.announceSlasher(address(this), REACH);
    }

    function newRegistry(uint256 slots) internal virtual returns (StakeRegistry) {
        return new StakeRegistry(token, slots, IStakeRegistry.Params(MIN_SELF, UNBOND));
    }

    function oneHolder(uint256 supply) internal virtual returns (Token) {
        address[] memory holders = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (holders[0], amounts[0]) = (address(this), supply);
        return new Token(holders, amounts, address(0), supply);
    }

    function fund(address who) internal {
        token.transfer(who, 1e6 * 1e18);
        vm.prank(who);
        token.approve(address(registry), type(uint256).max);
    }

    function op(uint256 i) internal pure returns (address) {
        return address(uint160(0x0900 + i));
    }

    function bond(address who, uint128 amount) internal {
        vm.prank(who);
        registry.bond(amount);
    }

    function unbond(address who, uint128 amount) internal {
        vm.prank(who);
        registry.unbond(amount);
    }

    function withdraw(address who) internal {
        vm.prank(who);
        registry.withdraw();
    }

    function delegate(address who, address operator, uint128 amount) internal returns (uint128 shares) {
        vm.prank(who);
        return registry.delegate(operator, amount);
    }

    function undelegate(address who, address operator, uint128 shares) internal {
        vm.prank(who);
        registry.undelegate(operator, shares);
    }

    function undelegateAll(address who, address operator) internal {
        undelegate(who, operator, sharesOf(who, operator));
    }

    function withdrawDelegation(address who, address operator) internal {
        vm.prank(who);
        registry.withdrawDelegation(operator);
    }

    /// @dev Without a lock, a cut or jail.
    function slash(address operator, uint256 amount) internal returns (uint256) {
        return registry.slash(operator, uint128(amount), 0, noCuts, IStakeRegistry.Jail.No);
    }

    function jail(address operator, IStakeRegistry.Jail how) internal {
        registry.slash(operator, 0, 0, noCuts, how);
    }

    function pass(uint256 time) internal {
        vm.warp(block.timestamp + time);
    }

    /// @dev To the first second of the next epoch.
    function nextEpoch() internal {
        vm.warp((block.timestamp / 1 days + 1) * 1 days);
    }

    /// @dev What a slash can take at most.
    function slashable(address operator) internal view returns (uint256) {
        IStakeRegistry.Operator memory o = info(operator);
        return uint256(o.bonded) + o.thawing + (uint256(o.delegated) + o.delegatedThawing) / 10;
    }

    function weightOf(address operator) internal view returns (uint256 weight) {
        (weight,) = registry.standing(operator);
    }

    function info(address operator) internal view returns (IStakeRegistry.Operator memory) {
        return registry.operatorInfo(operator);
    }

    function stateOf(address operator) internal view returns (uint256) {
        return uint256(info(operator).state);
    }

    function sharesOf(address who, address operator) internal view returns (uint128) {
        (uint256 shares,) = registry.delegation(operator, who);
        return uint128(shares);
    }

    function worthOf(address who, address operator) internal view returns (uint256 amount) {
        (, amount) = registry.delegation(operator, who);
    }
}
