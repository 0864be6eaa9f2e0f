// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {Fixture} from "../Fixture.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {StakeRegistry} from "../../src/StakeRegistry.sol";

contract StakeRegistryTest is Fixture {
    address internal constant FINDER = address(0xF1);

    function other(uint256 i) internal pure returns (address) {
        return address(uint160(0x1000 + i));
    }

    function lockAs(address who, uint128 amount) internal {
        vm.prank(address(market));
        registry.lock(who, amount);
    }

    function slashAs(address who, uint128 amount, uint128 unlock, address finder) internal returns (uint256) {
        vm.prank(address(market));
        return registry.slash(who, amount, unlock, finder);
    }

    function unbond(address who, uint128 amount) internal {
        vm.prank(who);
        registry.unbond(amount);
    }

    // ---- set-up ----

    function test_constructor_revertsWhenSlotsOutOfBounds() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.BadSlotCount.selector, 0, 64));
        new StakeRegistry(token, MIN_BOND, 0, THAW);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.BadSlotCount.selector, 65, 64));
        new StakeRegistry(token, MIN_BOND, 65, THAW);
    }

    function test_setMarket_revertsWhenSetOrNotDeployer() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.MarketAlreadySet.selector, address(market)));
        registry.setMarket(stranger);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotDeployer.selector, stranger));
        registry.setMarket(stranger);
    }

    function test_marketFunctions_revertForAnyoneElse() public {
        bytes memory err = abi.encodeWithSelector(IStakeRegistry.NotMarket.selector, address(this));
        vm.expectRevert(err);
        registry.lock(operator, 1);
        vm.expectRevert(err);
        registry.release(operator, 1);
        vm.expectRevert(err);
        registry.slash(operator, 1, 0, FINDER);
    }

    // ---- register, bond, active set ----

    function test_register_setsAndChangesTheUriBeforeBonding() public {
        vm.prank(stranger);
        registry.register("http://127.0.0.1:1");
        vm.assertEq(stakeOf(stranger).serviceUri, "http://127.0.0.1:1");
        vm.prank(stranger);
        registry.register("");
        vm.assertEq(stakeOf(stranger).serviceUri, "");
        vm.assertTrue(!registry.isActive(stranger));
    }

    function test_register_revertsWhenUriTooLong() public {
        registry.register(string(new bytes(256)));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.ServiceUriTooLong.selector, 257, 256));
        registry.register(string(new bytes(257)));
    }

    function test_bond_activatesAtTheMinimum() public {
        join(other(0), MIN_BOND - 1);
        vm.assertTrue(!registry.isActive(other(0)));
        join(other(0), 1);
        vm.assertTrue(registry.isActive(other(0)));
        vm.assertEq(registry.activeSet().length, 2);
        vm.assertEq(registry.free(other(0)), MIN_BOND);
        vm.assertEq(token.balanceOf(address(registry)), 2 * uint256(MIN_BOND));
    }

    function test_bond_revertsOnZeroAndWithoutAllowance() public {
        vm.expectRevert(IStakeRegistry.ZeroAmount.selector);
        registry.bond(0);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(registry), 0, 1)
        );
        registry.bond(1);
    }

    function test_bond_displacesOnlyAStrictlySmallerMember() public {
        join(other(0), MIN_BOND + 5);
        join(other(1), MIN_BOND + 9); // full: 3 slots, the smallest is `operator` with MIN_BOND
        join(other(2), MIN_BOND);
        vm.assertTrue(!registry.isActive(other(2)), "equal stake does not displace");
        join(other(2), 1);
        vm.assertTrue(registry.isActive(other(2)));
        vm.assertTrue(!registry.isActive(operator));
        vm.assertEq(registry.activeSet().length, 3);
        vm.assertEq(stakeOf(operator).bonded, MIN_BOND);
    }

    function test_activate_takesAFreedSlot() public {
        join(other(0), MIN_BOND + 5);
        join(other(1), MIN_BOND + 9);
        join(other(2), MIN_BOND);
        vm.prank(other(2));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NoSlot.selector, other(2), MIN_BOND, MIN_BOND + 1));
        registry.activate();
        unbond(other(0), 6);
        vm.assertTrue(!registry.isActive(other(0)));
        vm.prank(other(2));
        registry.activate();
        vm.assertTrue(registry.isActive(other(2)));
        vm.prank(other(0));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NoSlot.selector, other(0), MIN_BOND - 1, MIN_BOND));
        registry.activate();
    }

    function test_activeSet_staysConsistentWhenTheFirstLeaves() public {
        join(other(0), MIN_BOND);
        join(other(1), MIN_BOND);
        unbond(operator, 1);
        unbond(other(1), 1); // moved into the first slot by the removal above
        address[] memory set = registry.activeSet();
        vm.assertEq(set.length, 1);
        vm.assertEq(set[0], other(0));
        unbond(other(0), 1);
        vm.assertEq(registry.activeSet().length, 0);
    }

    // ---- unbond and withdraw ----

    function test_unbond_thawsThenPays() public {
        unbond(operator, 100);
        IStakeRegistry.Operator memory o = stakeOf(operator);
        vm.assertEq(o.thawing, 100);
        vm.assertEq(o.thawReadyBlock, block.number + THAW);
        vm.roll(block.number + THAW - 1);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.StillThawing.selector, operator, o.thawReadyBlock));
        registry.withdraw();
        vm.roll(block.number + 1);
        vm.prank(operator);
        registry.withdraw();
        vm.assertEq(token.balanceOf(operator), 100);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NothingToWithdraw.selector, operator));
        registry.withdraw();
    }

    function test_unbond_revertsOnZeroAndBelowTheLocks() public {
        vm.expectRevert(IStakeRegistry.ZeroAmount.selector);
        registry.unbond(0);
        lockAs(operator, 400e18);
        bytes memory err = abi.encodeWithSelector(
            IStakeRegistry.InsufficientFree.selector, operator, MIN_BOND - 400e18, MIN_BOND - 400e18 + 1
        );
        vm.prank(operator);
        vm.expectRevert(err);
        registry.unbond(MIN_BOND - 400e18 + 1);
        unbond(operator, MIN_BOND - 400e18);
        vm.assertEq(registry.free(operator), 0);
    }

    function test_withdraw_keepsBackWhatLocksNeedAfterASlash() public {
        lockAs(operator, 600e18);
        unbond(operator, 400e18);
        slashAs(operator, 250e18, 0, address(0)); // bonded 350, locked 600, thawing 400
        vm.roll(block.number + THAW);
        vm.prank(operator);
        registry.withdraw();
        vm.assertEq(token.balanceOf(operator), 150e18);
        vm.assertEq(stakeOf(operator).thawing, 250e18);
        vm.prank(address(market));
        registry.release(operator, 600e18);
        vm.prank(operator);
        registry.withdraw();
        vm.assertEq(token.balanceOf(operator), 400e18);
    }

    // ---- lock, release, slash ----

    function test_lock_revertsBeyondFreeStake() public {
        lockAs(operator, MIN_BOND);
        vm.prank(address(market));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.InsufficientFree.selector, operator, 0, 1));
        registry.lock(operator, 1);
    }

    function test_slash_paysHalfToTheFinderAndBurnsTheRest() public {
        lockAs(operator, 11);
        uint256 supply = token.totalSupply();
        vm.assertEq(slashAs(operator, 11, 11, FINDER), 11);
        vm.assertEq(token.balanceOf(FINDER), 5, "rounded against the finder");
        vm.assertEq(token.totalSupply(), supply - 6);
        vm.assertEq(stakeOf(operator).locked, 0);
        vm.assertEq(stakeOf(operator).bonded, MIN_BOND - 11);
        vm.assertTrue(!registry.isActive(operator), "below the minimum");
    }

    function test_slash_reachesThawingStakeAndNeverReverts() public {
        unbond(operator, 300e18);
        vm.assertEq(slashAs(operator, 900e18, 0, FINDER), 900e18);
        vm.assertEq(stakeOf(operator).bonded, 0);
        vm.assertEq(stakeOf(operator).thawing, 100e18);
        vm.assertEq(slashAs(operator, type(uint128).max, 5, FINDER), 100e18);
        vm.assertEq(slashAs(operator, 1, 0, FINDER), 0);
        vm.assertEq(token.balanceOf(address(registry)), 0);
        vm.assertEq(slashAs(stranger, 1e18, 1e18, FINDER), 0, "an operator nobody knows");
    }

    function test_slash_burnsEverythingWithoutAUsableFinder() public {
        uint256 supply = token.totalSupply();
        slashAs(operator, 10, 0, address(0));
        slashAs(operator, 10, 0, address(registry));
        vm.assertEq(token.totalSupply(), supply - 20);
        vm.assertEq(token.balanceOf(address(registry)), MIN_BOND - 20);
    }

    function test_slash_leavesRoomToBondAgain() public {
        slashAs(operator, MIN_BOND, 0, FINDER);
        join(operator, MIN_BOND);
        vm.assertTrue(registry.isActive(operator));
        vm.assertEq(registry.free(operator), MIN_BOND);
    }
}
