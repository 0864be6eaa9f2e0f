// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {StakeRegistry} from "../../src/staking/StakeRegistry.sol";

contract StakeSlashingTest is StakeFixture {
    function setUp() public override {
        super.setUp();
        bond(op(0), 2 * MIN_SELF);
    }

    function cut(address to, uint16 share) internal pure returns (IStakeRegistry.Cut[] memory cuts) {
        cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(to, share);
    }

    // ---- locks ----

    function test_lock_isAbsoluteAndPerSlasher() public {
        registry.lock(op(0), 700e18);
        vm.assertEq(registry.lockedBy(op(0), address(this)), 700e18);
        vm.assertEq(registry.free(op(0)), 1300e18);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.InsufficientFree.selector, op(0), 1300e18, 1300e18 + 1));
        registry.lock(op(0), 1300e18 + 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.ReleaseTooLarge.selector, op(0), 700e18, 700e18 + 1));
        registry.release(op(0), 700e18 + 1);
        registry.release(op(0), 700e18);
        vm.assertEq(info(op(0)).locked, 0);
    }

    function test_lockActive_locksNothingOfWhoIsNotActive() public {
        (bool active, address signer) = registry.lockActive(op(0), 700e18);
        vm.assertTrue(active && signer == op(0));
        vm.assertEq(registry.lockedBy(op(0), address(this)), 700e18);
        jail(op(0), IStakeRegistry.Jail.Short);
        (active,) = registry.lockActive(op(0), 1);
        vm.assertTrue(!active);
        (active,) = registry.lockActive(ALICE, 1);
        vm.assertTrue(!active, "no operator");
        vm.assertEq(info(op(0)).locked, 700e18);
    }

    function test_lockSigned_locksNothingForAnotherKey() public {
        vm.assertTrue(registry.lockSigned(op(0), op(0), 700e18));
        vm.assertEq(info(op(0)).locked, 700e18);
        vm.assertTrue(!registry.lockSigned(op(0), ALICE, 1));
        vm.prank(op(0));
        keys.proposeSigner(op(0), ALICE);
        vm.prank(ALICE);
        keys.acceptSigner(op(0));
        vm.assertTrue(!registry.lockSigned(op(0), op(0), 1), "replaced");
        vm.assertTrue(registry.lockSigned(op(0), ALICE, 1));
        vm.assertEq(info(op(0)).locked, 700e18 + 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotKeys.selector, address(this)));
        registry.setSigner(op(0), op(0));
    }

    /// The first two slashers have their locks in one word, all others in words of their own; none touches another's.
    function test_lock_ofFourSlashersAreApart() public {
        StakeRegistry later = newRegistry(1);
        address[4] memory slashers = [address(0xA), address(0xB), address(0xC), address(0xD)];
        for (uint256 i = 0; i < 4; ++i) {
            later.announceSlasher(slashers[i], REACH);
        }
        vm.startPrank(op(1));
        token.approve(address(later), MIN_SELF);
        later.bond(MIN_SELF);
        uint128[4] memory amounts = [uint128(MIN_SELF - 111), 1, 10, 100];
        for (uint256 i = 0; i < 4; ++i) {
            vm.startPrank(slashers[i]);
            later.lock(op(1), amounts[i]);
        }
        vm.assertEq(later.operatorInfo(op(1)).locked, MIN_SELF);
        vm.assertEq(later.free(op(1)), 0);
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(later.lockedBy(op(1), slashers[i]), amounts[i]);
            vm.startPrank(slashers[i]);
            vm.expectRevert(
                abi.encodeWithSelector(IStakeRegistry.ReleaseTooLarge.selector, op(1), amounts[i], amounts[i] + 1)
            );
            later.release(op(1), amounts[i] + 1);
            later.release(op(1), amounts[i]);
            vm.assertEq(later.lockedBy(op(1), slashers[i]), 0);
            vm.assertEq(later.free(op(1)), amounts[i]);
            later.lock(op(1), amounts[i]);
        }
        vm.stopPrank();
        for (uint256 i = 0; i < 4; ++i) {
            later.retireSlasher(slashers[i]);
        }
        pass(REACH + 1);
        for (uint256 i = 0; i < 4; ++i) {
            later.freeEnded(op(1), slashers[i]);
            vm.assertEq(later.lockedBy(op(1), slashers[i]), 0);
        }
        vm.assertEq(later.free(op(1)), MIN_SELF);
    }

    function test_lock_andSlashAreForSlashersAlone() public {
        bytes memory err =
            abi.encodeWithSelector(IStakeRegistry.SlasherInState.selector, ALICE, IStakeRegistry.SlasherState.None);
        vm.startPrank(ALICE);
        vm.expectRevert(err);
        registry.lock(op(0), 1);
        vm.expectRevert(err);
        registry.lockActive(op(0), 1);
        vm.expectRevert(err);
        registry.slash(op(0), 1, 0, new IStakeRegistry.Cut[](0), IStakeRegistry.Jail.No);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.ReleaseTooLarge.selector, op(0), 0, 1));
        registry.release(op(0), 1);
    }

    // ---- what is taken, and from whom ----

    function test_slash_creditsHalfAtMostAndBurnsTheRest() public {
        registry.lock(op(0), 11);
        uint256 supply = token.totalSupply();
        vm.assertEq(registry.slash(op(0), 11, 11, cut(FINDER, 5000), IStakeRegistry.Jail.No), 11);
        vm.assertEq(registry.bounty(FINDER), 5, "rounded against the finder");
        vm.assertEq(info(op(0)).locked, 0);
        vm.assertEq(info(op(0)).bonded, 2 * MIN_SELF - 11);
        vm.assertEq(token.totalSupply(), supply, "until somebody burns it");
        vm.prank(FINDER);
        registry.takeBounty();
        vm.assertEq(token.balanceOf(FINDER), 5);
        vm.assertEq(token.totalSupply(), supply - 6, "with the bounty");
        vm.prank(FINDER);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NothingToWithdraw.selector, FINDER));
        registry.takeBounty();
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.CutsTooLarge.selector, 5001, 5000));
        registry.slash(op(0), 11, 0, cut(FINDER, 5001), IStakeRegistry.Jail.No);
    }

    function test_burnSlashed_burnsWhatSeveralSlashesLeftAndNothingElse() public {
        uint256 supply = token.totalSupply();
        uint256 held = token.balanceOf(address(registry));
        registry.slash(op(0), 7, 0, cut(FINDER, 5000), IStakeRegistry.Jail.No);
        registry.slash(op(0), 10, 0, new IStakeRegistry.Cut[](0), IStakeRegistry.Jail.No);
        vm.prank(BOB);
        registry.burnSlashed();
        vm.assertEq(token.totalSupply(), supply - 14);
        vm.assertEq(token.balanceOf(address(registry)), held - 14);
        vm.prank(BOB);
        registry.burnSlashed();
        vm.assertEq(token.totalSupply(), supply - 14, "once");
        vm.assertEq(registry.bounty(FINDER), 3, "what is credited stays");
    }

    function test_slash_creditsSeveral() public {
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](3);
        (cuts[0], cuts[1], cuts[2]) =
        (IStakeRegistry.Cut(ALICE, 4000), IStakeRegistry.Cut(FINDER, 1000), IStakeRegistry.Cut(BOB, 0));
        registry.slash(op(0), 1000, 0, cuts, IStakeRegistry.Jail.No);
        vm.assertEq(registry.bounty(ALICE), 400);
        vm.assertEq(registry.bounty(FINDER), 100);
        vm.assertEq(registry.bounty(BOB), 0);
    }

    function test_slash_takesSelfFirstAndThenATenthOfTheDelegators() public {
        unbond(op(0), 500e18);
        delegate(ALICE, op(0), 1000e18);
        undelegate(ALICE, op(0), uint128(400e18 * PAR));
        vm.assertEq(slashable(op(0)), 2000e18 + 100e18);
        vm.assertEq(slash(op(0), 1000e18), 1000e18);
        vm.assertEq(info(op(0)).bonded, 750e18, "bonded and thawing alike");
        vm.assertEq(info(op(0)).thawing, 250e18);
        vm.assertEq(info(op(0)).delegated, 600e18, "delegators are second");
        vm.assertEq(slash(op(0), 1e30), 1100e18);
        vm.assertEq(info(op(0)).bonded, 0);
        vm.assertEq(info(op(0)).delegated, 540e18);
        vm.assertEq(info(op(0)).delegatedThawing, 360e18);
        vm.assertEq(slash(op(0), 1e30), 90e18, "a tenth of what is left");
        pass(UNBOND);
        uint256 before = token.balanceOf(ALICE);
        withdrawDelegation(ALICE, op(0));
        vm.assertEq(token.balanceOf(ALICE) - before, 324e18);
        vm.assertEq(slash(ALICE, 1e30), 0, "an operator nobody knows");
    }

    function test_slash_givesUpNoMoreThanTheSlashersOwnLock() public {
        registry.lock(op(0), 100);
        registry.slash(op(0), 10, 1e30, noCuts, IStakeRegistry.Jail.No);
        vm.assertEq(info(op(0)).locked, 0);
        vm.assertEq(registry.lockedBy(op(0), address(this)), 0);
    }

    function test_slash_belowTheMinimumCostsTheSlotAndBondingAgainBringsItBack() public {
        slash(op(0), MIN_SELF + 1);
        vm.assertEq(stateOf(op(0)), uint256(IStakeRegistry.State.Idle));
        vm.assertEq(set.members().length, 0);
        slash(op(0), type(uint128).max);
        bond(op(0), MIN_SELF);
        vm.assertTrue(registry.isActive(op(0)));
        vm.assertEq(registry.free(op(0)), MIN_SELF);
    }

    function test_slash_ofEverythingThawingVoidsTheRequests() public {
        unbond(op(0), 500e18);
        slash(op(0), type(uint128).max);
        vm.assertEq(registry.selfThaws(op(0))[0].amount, 0);
        bond(op(0), 2 * MIN_SELF);
        unbond(op(0), 300e18);
        vm.assertEq(registry.selfThaws(op(0))[1].amount, 300e18);
        uint256 before = token.balanceOf(op(0));
        withdraw(op(0)); // clears the void one, though neither is ready
        vm.assertEq(token.balanceOf(op(0)), before);
        vm.assertEq(registry.selfThaws(op(0)).length, 1);
        pass(UNBOND);
        withdraw(op(0));
        vm.assertEq(token.balanceOf(op(0)) - before, 300e18);
    }

    function test_nextDeadline_isOfTheFirstThawThatIsNotVoid() public {
        unbond(op(0), 500e18);
        vm.assertEq(registry.nextDeadline(op(0)), block.timestamp + UNBOND);
        slash(op(0), type(uint128).max);
        vm.assertEq(registry.nextDeadline(op(0)), 0, "nothing is left to withdraw");
        pass(1 days);
        bond(op(0), 2 * MIN_SELF);
        unbond(op(0), 300e18);
        vm.assertEq(registry.nextDeadline(op(0)), block.timestamp + UNBOND);
        pass(1 days);
        unbond(op(0), 300e18);
        vm.assertEq(registry.nextDeadline(op(0)), block.timestamp + UNBOND - 1 days);
    }

    // ---- jail ----

    function test_jail_growsFromStrikeToStrike() public {
        jail(op(0), IStakeRegistry.Jail.Strike);
        vm.assertEq(stateOf(op(0)), uint256(IStakeRegistry.State.Jailed));
        vm.assertEq(info(op(0)).jailedUntil, block.timestamp + 14 days);
        vm.assertEq(registry.nextDeadline(op(0)), block.timestamp + 14 days);
        vm.assertTrue(!registry.isActive(op(0)));
        vm.assertEq(info(op(0)).slot, 0);
        pass(14 days);
        vm.assertEq(stateOf(op(0)), uint256(IStakeRegistry.State.Standby));
        vm.prank(op(0));
        set.activate(op(0));
        jail(op(0), IStakeRegistry.Jail.Strike);
        vm.assertEq(info(op(0)).jailedUntil, block.timestamp + 60 days);
        jail(op(0), IStakeRegistry.Jail.Strike);
        vm.assertEq(info(op(0)).jailedUntil, type(uint40).max, "for good");
        vm.assertEq(registry.nextDeadline(op(0)), 0);
        jail(op(0), IStakeRegistry.Jail.Strike);
        vm.assertEq(info(op(0)).strikes, 3);
        vm.expectRevert(
            abi.encodeWithSelector(IStakeRegistry.NotAccepting.selector, op(0), IStakeRegistry.State.Jailed)
        );
        delegate(ALICE, op(0), COIN);
        unbond(op(0), 2 * MIN_SELF); // but it may leave
        vm.assertEq(registry.nextDeadline(op(0)), block.timestamp + UNBOND);
    }

    function test_jail_aShortOneIsNoStrikeAndNeverShortensAnother() public {
        jail(op(0), IStakeRegistry.Jail.Short);
        vm.assertEq(info(op(0)).jailedUntil, block.timestamp + 3 days);
        vm.assertEq(info(op(0)).strikes, 0);
        jail(op(0), IStakeRegistry.Jail.Strike);
        jail(op(0), IStakeRegistry.Jail.Short);
        vm.assertEq(info(op(0)).jailedUntil, block.timestamp + 14 days);
        unbond(op(0), 1);
        vm.assertEq(registry.nextDeadline(op(0)), block.timestamp + 14 days, "the first of both");
        pass(1);
        jail(op(0), IStakeRegistry.Jail.Strike);
        vm.assertEq(registry.nextDeadline(op(0)), block.timestamp + 14 days - 1);
    }
}
