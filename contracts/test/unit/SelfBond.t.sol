// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {StakeFixture} from "../StakeFixture.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {StakeRegistry} from "../../src/staking/StakeRegistry.sol";

contract SelfBondTest is StakeFixture {
    function state(IStakeRegistry.State expected) internal pure returns (uint256) {
        return uint256(expected);
    }

    // ---- bond ----

    function test_bond_isIdleBelowTheMinimumAndActiveFromIt() public {
        vm.assertEq(stateOf(op(0)), state(IStakeRegistry.State.None));
        vm.assertTrue(!registry.isOperator(op(0)));
        bond(op(0), MIN_SELF - 1);
        vm.assertEq(stateOf(op(0)), state(IStakeRegistry.State.Idle));
        vm.assertTrue(registry.isOperator(op(0)) && !registry.isActive(op(0)));
        bond(op(0), 1);
        vm.assertEq(stateOf(op(0)), state(IStakeRegistry.State.Active));
        vm.assertTrue(registry.isActive(op(0)));
        vm.assertEq(info(op(0)).slot, 1);
        vm.assertEq(registry.free(op(0)), MIN_SELF);
        vm.assertEq(weightOf(op(0)), MIN_SELF);
        vm.assertEq(token.balanceOf(address(registry)), MIN_SELF);
    }

    function test_bond_revertsOnZeroAndWithoutTokens() public {
        vm.expectRevert(IStakeRegistry.ZeroAmount.selector);
        bond(op(0), 0);
        vm.prank(address(0x5555));
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(registry), 0, 1)
        );
        registry.bond(1);
    }

    function test_bondFor_isForTheOwnerAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotAccepting.selector, op(0), IStakeRegistry.State.None));
        registry.bondFor(op(0), 1);
        bond(op(0), MIN_SELF);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotOwner.selector, op(0), address(this)));
        registry.bondFor(op(0), 1);
        vm.prank(op(0));
        registry.bondFor(op(0), 1);
        vm.assertEq(info(op(0)).bonded, MIN_SELF + 1);
    }

    // ---- unbond and withdraw ----

    function test_unbond_thawsThenPays() public {
        bond(op(0), 2 * MIN_SELF);
        unbond(op(0), 100);
        uint40 readyAt = uint40(block.timestamp + UNBOND);
        vm.assertEq(info(op(0)).thawing, 100);
        vm.assertEq(registry.nextDeadline(op(0)), readyAt);
        vm.assertEq(registry.selfThaws(op(0))[0].amount, 100);
        vm.assertEq(registry.selfThaws(op(0))[0].readyAt, readyAt);
        vm.warp(readyAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NothingToWithdraw.selector, op(0)));
        withdraw(op(0));
        vm.warp(readyAt);
        uint256 before = token.balanceOf(op(0));
        withdraw(op(0));
        vm.assertEq(token.balanceOf(op(0)) - before, 100);
        vm.assertEq(registry.selfThaws(op(0)).length, 0);
        vm.assertEq(registry.nextDeadline(op(0)), 0);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NothingToWithdraw.selector, op(0)));
        withdraw(op(0));
    }

    function test_unbond_paysEachRequestAtItsOwnTime() public {
        bond(op(0), 2 * MIN_SELF);
        unbond(op(0), 100);
        pass(1 days);
        unbond(op(0), 200);
        pass(UNBOND - 1 days);
        uint256 before = token.balanceOf(op(0));
        withdraw(op(0));
        vm.assertEq(token.balanceOf(op(0)) - before, 100);
        pass(1 days);
        withdraw(op(0));
        vm.assertEq(token.balanceOf(op(0)) - before, 300);
    }

    function test_unbond_revertsOnZeroBelowTheLocksAndForOthers() public {
        bond(op(0), MIN_SELF);
        vm.expectRevert(IStakeRegistry.ZeroAmount.selector);
        unbond(op(0), 0);
        registry.lock(op(0), 400e18);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.InsufficientFree.selector, op(0), 600e18, 600e18 + 1));
        unbond(op(0), 600e18 + 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotOwner.selector, op(0), address(this)));
        registry.unbondFor(op(0), 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotOwner.selector, op(0), address(this)));
        registry.withdrawFor(op(0));
        unbond(op(0), 600e18);
        vm.assertEq(registry.free(op(0)), 0);
        vm.assertEq(stateOf(op(0)), state(IStakeRegistry.State.Idle));
    }

    function test_withdraw_keepsBackWhatLocksNeedAfterASlash() public {
        bond(op(0), 1000e18);
        registry.lock(op(0), 600e18);
        unbond(op(0), 400e18);
        slash(op(0), 500e18); // half of both: bonded 300, thawing 200, locked 600
        vm.assertEq(info(op(0)).bonded, 300e18);
        pass(UNBOND);
        uint256 before = token.balanceOf(op(0));
        withdraw(op(0));
        vm.assertEq(token.balanceOf(op(0)), before, "all of it stands in for the lock");
        vm.assertEq(info(op(0)).bonded, 500e18);
        registry.release(op(0), 600e18);
        unbond(op(0), 500e18);
        pass(UNBOND);
        withdraw(op(0));
        vm.assertEq(token.balanceOf(op(0)) - before, 500e18);
    }

    // ---- exit ----

    function test_exit_goesFromActiveOverExitingToExitedAndBack() public {
        bond(op(0), MIN_SELF);
        registry.lock(op(0), 10);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotOwner.selector, op(0), address(this)));
        registry.exit(op(0));
        vm.startPrank(op(0));
        registry.exit(op(0));
        vm.assertEq(stateOf(op(0)), state(IStakeRegistry.State.Exiting));
        vm.assertTrue(!registry.isActive(op(0)));
        vm.assertEq(set.members().length, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IStakeRegistry.NotAccepting.selector, op(0), IStakeRegistry.State.Exiting)
        );
        registry.bond(1);
        vm.expectRevert(
            abi.encodeWithSelector(IStakeRegistry.NotAccepting.selector, op(0), IStakeRegistry.State.Exiting)
        );
        registry.exit(op(0));
        registry.unbond(MIN_SELF - 10);
        vm.stopPrank();
        vm.expectRevert(
            abi.encodeWithSelector(IStakeRegistry.NotAccepting.selector, op(0), IStakeRegistry.State.Exiting)
        );
        delegate(ALICE, op(0), COIN);
        registry.release(op(0), 10);
        vm.assertEq(stateOf(op(0)), state(IStakeRegistry.State.Exited));
        bond(op(0), MIN_SELF);
        vm.assertEq(stateOf(op(0)), state(IStakeRegistry.State.Active));
    }

    function test_exit_ofOneWhoNeverJoinedReverts() public {
        vm.prank(op(0));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotAccepting.selector, op(0), IStakeRegistry.State.None));
        registry.exit(op(0));
    }

    // ---- owner ----

    function test_owner_aColdOwnerAloneTakesStakeOut() public {
        bond(op(0), 2 * MIN_SELF);
        vm.assertEq(info(op(0)).owner, op(0));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotOwner.selector, op(0), address(this)));
        registry.proposeOwner(op(0), ALICE);
        vm.prank(op(0));
        registry.proposeOwner(op(0), ALICE);
        vm.prank(BOB);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotProposed.selector, BOB));
        registry.acceptOwner(op(0));
        vm.prank(ALICE);
        registry.acceptOwner(op(0));
        vm.assertEq(registry.ownerOf(op(0)), ALICE);

        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotOwner.selector, op(0), op(0)));
        unbond(op(0), 1);
        bond(op(0), 1); // its own key may still put stake in
        vm.startPrank(ALICE);
        registry.unbondFor(op(0), MIN_SELF);
        pass(UNBOND);
        uint256 before = token.balanceOf(ALICE);
        registry.withdrawFor(op(0));
        vm.assertEq(token.balanceOf(ALICE) - before, MIN_SELF);
        registry.bondFor(op(0), 5);
        vm.assertEq(info(op(0)).bonded, MIN_SELF + 6);
        registry.exit(op(0));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotOwner.selector, op(0), op(0)));
        bond(op(0), 1); // nor may it undo an exit
        vm.prank(ALICE);
        registry.bondFor(op(0), 1);
        vm.assertTrue(registry.isActive(op(0)));
    }

    function test_register_setsAndChangesTheUriBeforeBonding() public {
        vm.startPrank(op(0));
        registry.register("http://127.0.0.1:1");
        vm.assertEq(info(op(0)).serviceUri, "http://127.0.0.1:1");
        registry.register("");
        vm.assertEq(info(op(0)).serviceUri, "");
        registry.register(string(new bytes(256)));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.ServiceUriTooLong.selector, 257, 256));
        registry.register(string(new bytes(257)));
    }
}
