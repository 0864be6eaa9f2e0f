// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {IActiveSet} from "../../src/interfaces/IActiveSet.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

/// @dev Three slots.
contract ActiveSetTest is StakeFixture {
    function fill() internal {
        bond(op(0), 1000e18);
        bond(op(1), 2000e18);
        bond(op(2), 3000e18);
    }

    function displace(address who, uint256 slot) internal {
        vm.prank(who);
        set.displace(who, slot);
    }

    function activate(address who) internal {
        vm.prank(who);
        set.activate(who);
    }

    // ---- free slots ----

    function test_slots_areTakenInOrderUntilNoneIsFree() public {
        fill();
        bond(op(3), 9000e18);
        vm.assertEq(stateOf(op(3)), uint256(IStakeRegistry.State.Standby));
        address[] memory members = set.members();
        vm.assertEq(members.length, 3);
        vm.assertTrue(members[0] == op(0) && members[1] == op(1) && members[2] == op(2));
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.NoFreeSlot.selector, 3));
        activate(op(3));
        unbond(op(1), 1001e18);
        vm.assertEq(set.members().length, 2);
        activate(op(3));
        vm.assertEq(info(op(3)).slot, 2);
        vm.assertTrue(registry.isActive(op(3)));
    }

    function test_activate_isForTheOperatorOrItsOwnerAndOnStandby() public {
        fill();
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.NotOwner.selector, op(0), address(this)));
        set.activate(op(0));
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.NotStandby.selector, op(0)));
        activate(op(0));
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.NotStandby.selector, op(5)));
        activate(op(5));
        vm.prank(op(0));
        registry.proposeOwner(op(0), ALICE);
        vm.prank(ALICE);
        registry.acceptOwner(op(0));
        unbond(op(1), 1001e18);
        jail(op(0), IStakeRegistry.Jail.Short);
        pass(3 days);
        vm.prank(ALICE);
        set.activate(op(0));
        vm.assertTrue(registry.isActive(op(0)));
    }

    /// Who enters a free slot is active at once, but in this epoch the slot's weight is still that of who left it.
    function test_weightIn_isOfWhoHeldTheSlotAsTheEpochBegan() public {
        fill();
        nextEpoch();
        uint256 now_ = set.epoch();
        vm.assertEq(set.weightIn(now_, op(1)), 2000e18);
        vm.assertEq(set.weightIn(now_ - 1, op(1)), 0);
        unbond(op(1), 1001e18);
        bond(op(3), 4000e18);
        vm.assertEq(info(op(3)).slot, 2);
        vm.assertTrue(registry.isActive(op(3)));
        vm.assertEq(set.weightIn(now_, op(1)), 0, "has no slot");
        vm.assertEq(set.weightIn(now_, op(3)), 0, "held none yet");
        nextEpoch();
        vm.assertEq(set.weightIn(now_ + 1, op(3)), 4000e18);
        vm.assertEq(set.weightIn(now_, op(3)), 0);
        nextEpoch();
        vm.assertEq(set.weightIn(now_ + 1, op(3)), 4000e18);
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.EpochNotKept.selector, now_, now_ + 2));
        set.weightIn(now_, op(3));
    }

    function test_update_isForTheRegistryAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.NotRegistry.selector, address(this)));
        set.update(op(0), 1, true, true);
    }

    function test_all256SlotsCanBeHeld() public {
        deployStake(256);
        for (uint256 i = 0; i < 257; ++i) {
            fund(op(i));
            bond(op(i), 1000e18);
        }
        vm.assertEq(set.members().length, 256);
        vm.assertEq(stateOf(op(256)), uint256(IStakeRegistry.State.Standby));
        nextEpoch();
        vm.assertEq(set.totalWeight(set.epoch()), 256_000e18);
        vm.assertEq(set.draw(set.epoch(), 250 * 256_000 - 1), op(255));
        fund(op(256));
        bond(op(256), 101e18);
        displace(op(256), 255);
        vm.assertEq(info(op(256)).slot, 256);
    }

    // ---- displacement ----

    function test_displace_needsATenthMoreAndHoldsFromTheNextEpoch() public {
        fill();
        bond(op(3), 1100e18 - 1);
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.NotEnoughToDisplace.selector, 1100e18 - 1, 1100e18));
        displace(op(3), 0);
        bond(op(3), 1);
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.NotOwner.selector, op(3), address(this)));
        set.displace(op(3), 0);
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.NoSuchSlot.selector, 3));
        displace(op(3), 3);
        displace(op(3), 0);

        vm.assertTrue(registry.isActive(op(0)) && !registry.isActive(op(3)), "not before the epoch ends");
        vm.assertEq(stateOf(op(3)), uint256(IStakeRegistry.State.Standby));
        vm.assertTrue(set.members()[0] == op(0) && set.members().length == 3);
        nextEpoch();
        vm.assertTrue(!registry.isActive(op(0)) && registry.isActive(op(3)));
        vm.assertEq(stateOf(op(0)), uint256(IStakeRegistry.State.Standby));
        vm.assertTrue(set.members()[0] == op(3) && set.members().length == 3);
    }

    function test_displace_isRefusedWhileASlotIsFree() public {
        bond(op(0), 1000e18);
        bond(op(1), 1000e18);
        bond(op(2), 500e18);
        jail(op(1), IStakeRegistry.Jail.Short);
        bond(op(3), 9000e18); // took the slot of the jailed one
        pass(3 days);
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.SlotIsFree.selector, 2));
        displace(op(1), 0);
    }

    function test_displace_twiceInAnEpochTheFirstNewcomerNeverWorks() public {
        fill();
        bond(op(3), 1100e18);
        bond(op(4), 1210e18);
        displace(op(3), 0);
        displace(op(4), 0);
        vm.assertTrue(registry.isActive(op(0)) && !registry.isActive(op(3)) && !registry.isActive(op(4)));
        nextEpoch();
        vm.assertTrue(!registry.isActive(op(0)) && !registry.isActive(op(3)) && registry.isActive(op(4)));
        vm.assertEq(set.draw(set.epoch(), 0), op(4));
    }

    function test_displace_theOneWhoLeavesMayTakeAnotherSlot() public {
        fill();
        bond(op(3), 1100e18);
        displace(op(3), 0);
        bond(op(0), 1200e18); // 2200, against 2000
        displace(op(0), 1);
        vm.assertTrue(registry.isActive(op(0)) && registry.isActive(op(1)) && !registry.isActive(op(3)));
        vm.assertEq(set.members().length, 3);
        nextEpoch();
        vm.assertTrue(registry.isActive(op(0)) && !registry.isActive(op(1)) && registry.isActive(op(3)));
        vm.assertEq(set.members().length, 3);
    }

    function test_displace_theOneWhoLeavesMayTakeAFreedSlot() public {
        fill();
        bond(op(3), 1100e18);
        displace(op(3), 0);
        unbond(op(2), 2001e18);
        activate(op(0));
        vm.assertEq(set.seatOf(op(0)).activeUntil, 0);
        vm.assertEq(set.members().length, 2, "not counted twice");
    }

    // ---- a newcomer that leaves before it began ----

    /// op(0) works in slot 0 to the end of the epoch, and op(3), which displaced it, is gone.
    function leaveBeforeBeginning() internal {
        fill();
        bond(op(3), 1100e18);
        displace(op(3), 0);
        unbond(op(3), 101e18);
        vm.assertEq(info(op(3)).slot, 0);
    }

    function membersAre(address first, address second, address third) internal view {
        address[] memory members = set.members();
        vm.assertEq(members.length, 3);
        vm.assertEq(members[0], first);
        vm.assertEq(members[1], second);
        vm.assertEq(members[2], third);
    }

    function test_members_haveTheDisplacedAlsoWhenItsSuccessorIsGone() public {
        leaveBeforeBeginning();
        vm.assertTrue(registry.isActive(op(0)));
        membersAre(op(0), op(1), op(2));
        nextEpoch();
        vm.assertEq(set.members().length, 2);
    }

    function test_activate_aSlotThatIsStillWorkedInIsTakenFromTheNextEpoch() public {
        leaveBeforeBeginning();
        bond(op(4), 1000e18);
        vm.assertEq(info(op(4)).slot, 1);
        vm.assertTrue(registry.isActive(op(0)) && !registry.isActive(op(4)), "one works in a slot");
        membersAre(op(0), op(1), op(2));
        nextEpoch();
        vm.assertTrue(!registry.isActive(op(0)) && registry.isActive(op(4)));
        membersAre(op(4), op(1), op(2));
        vm.assertEq(set.draw(set.epoch(), 0), op(4));
    }

    function test_activate_theDisplacedMayTakeItsSlotBackAndIsActiveThroughout() public {
        leaveBeforeBeginning();
        activate(op(0));
        vm.assertTrue(registry.isActive(op(0)));
        membersAre(op(0), op(1), op(2));
        nextEpoch();
        vm.assertTrue(registry.isActive(op(0)));
        membersAre(op(0), op(1), op(2));
        vm.assertEq(set.draw(set.epoch(), 0), op(0));
    }

    function test_members_aSlotStaysWithTheDisplacedThatFoundAnother() public {
        fill();
        bond(op(3), 1100e18);
        displace(op(3), 0);
        bond(op(0), 1200e18);
        displace(op(0), 1); // begins there with the next epoch
        unbond(op(3), 101e18);
        membersAre(op(0), op(1), op(2));
        bond(op(4), 1000e18);
        membersAre(op(0), op(1), op(2));
        nextEpoch();
        membersAre(op(4), op(0), op(2));
    }

    function test_members_whoIsDisplacedFromTwoSlotsIsThereOnce() public {
        fill();
        bond(op(3), 1100e18);
        displace(op(3), 0);
        unbond(op(2), 2001e18);
        activate(op(0)); // at once, in slot 2
        bond(op(4), 1100e18);
        displace(op(4), 2);
        address[] memory members = set.members();
        vm.assertTrue(members.length == 2 && members[0] == op(1) && members[1] == op(0));
        unbond(op(3), 101e18);
        bond(op(5), 1000e18); // nobody works in slot 0 any more
        membersAre(op(5), op(1), op(0));
        nextEpoch();
        membersAre(op(5), op(1), op(4));
    }

    function test_members_whoBeginsInAnIdleSlotWorksInItsOldOneUntilThen() public {
        fill();
        bond(op(3), 2200e18);
        displace(op(3), 1);
        jail(op(1), IStakeRegistry.Jail.Strike); // nobody works in slot 1 in this epoch any more
        bond(op(4), 1100e18);
        displace(op(4), 0);
        bond(op(0), 1420e18);
        displace(op(0), 1);
        address[] memory members = set.members();
        vm.assertTrue(members.length == 2 && members[0] == op(0) && members[1] == op(2));
        nextEpoch();
        membersAre(op(4), op(0), op(2));
    }

    function test_activate_aSlotWhoseLeaverIsJailedIsTakenAtOnce() public {
        fill();
        bond(op(3), 1100e18);
        displace(op(3), 0);
        jail(op(0), IStakeRegistry.Jail.Strike);
        unbond(op(3), 101e18);
        bond(op(4), 1000e18);
        vm.assertTrue(registry.isActive(op(4)));
        membersAre(op(4), op(1), op(2));
    }

    function test_numbers_countOperatorsAsTheyFirstBondAndStay() public {
        bond(op(1), 1);
        bond(op(0), 1000e18);
        bond(op(1), 1000e18);
        vm.assertEq(set.seatOf(op(1)).number, 1);
        vm.assertEq(set.seatOf(op(0)).number, 2);
        registry.poke(op(7));
        vm.assertEq(set.seatOf(op(7)).number, 0, "never bonded");
        jail(op(1), IStakeRegistry.Jail.Short);
        pass(3 days);
        activate(op(1));
        vm.assertEq(set.seatOf(op(1)).number, 1);
        vm.assertEq(set.members().length, 2);
    }

    function test_displace_aJailedOneDoesNotWorkToTheEndOfTheEpoch() public {
        fill();
        bond(op(3), 1100e18);
        displace(op(3), 0);
        vm.assertTrue(registry.isActive(op(0)));
        jail(op(0), IStakeRegistry.Jail.Strike);
        vm.assertTrue(!registry.isActive(op(0)));
        vm.assertEq(set.seatOf(op(0)).activeUntil, 0);
    }

    // ---- draws ----

    function test_draw_coversExactlyTheWeightsOfTheEpochsBeginning() public {
        vm.assertEq(set.draw(set.epoch(), 5), address(0));
        fill();
        vm.assertEq(set.totalWeight(set.epoch()), 0, "not before the next epoch");
        vm.assertEq(set.totalWeight(set.epoch() + 1), 6000e18);
        nextEpoch();
        uint256[3] memory hits;
        for (uint256 r = 0; r < 1500; ++r) {
            hits[uint160(set.draw(set.epoch(), r)) - uint160(op(0))] += 1;
        }
        vm.assertTrue(hits[0] == 250 && hits[1] == 500 && hits[2] == 750);
        vm.assertEq(set.draw(set.epoch(), 1500), op(0), "modulo the total");
    }

    function test_draw_doesNotMoveWhenStakeDoes() public {
        fill();
        nextEpoch();
        uint256 e = set.epoch();
        address before = set.draw(e, 700);
        jail(op(1), IStakeRegistry.Jail.Strike);
        bond(op(3), 5000e18); // into the slot of the jailed one
        bond(op(0), 7000e18);
        vm.assertEq(set.draw(e, 700), before);
        vm.assertEq(set.draw(e, 300), op(1), "still drawn by weight; elect passes over it");
        nextEpoch();
        vm.assertEq(set.draw(e, 700), before);
        vm.assertEq(set.draw(e, 300), op(1));
        vm.assertEq(set.draw(e + 1, 2000 + 300), op(3));
        bond(op(0), 1e18);
        unbond(op(2), 2001e18);
        vm.assertEq(set.draw(e, 700), before, "and so it stays for one more epoch");
        nextEpoch();
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.EpochNotKept.selector, e, e + 2));
        set.draw(e, 700);
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.EpochNotKept.selector, e + 3, e + 2));
        set.draw(e + 3, 700);
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.EpochNotKept.selector, e + 4, e + 2));
        set.totalWeight(e + 4);
    }

    function test_draw_remembersTheHolderBeforeTwoChangesInARow() public {
        bond(op(0), 1000e18);
        nextEpoch();
        uint256 e = set.epoch();
        jail(op(0), IStakeRegistry.Jail.Strike);
        bond(op(1), 1000e18); // holds it from e + 1
        nextEpoch();
        jail(op(1), IStakeRegistry.Jail.Strike);
        bond(op(2), 1000e18); // from e + 2
        vm.assertEq(set.draw(e, 0), op(0));
        vm.assertEq(set.draw(e + 1, 0), op(1));
        nextEpoch();
        vm.assertEq(set.draw(e + 1, 0), op(1));
        vm.assertEq(set.draw(e + 2, 0), op(2));
    }

    function test_elect_passesOverThoseWhoAreNoLongerActive() public {
        fill();
        nextEpoch();
        uint256 e = set.epoch();
        jail(op(1), IStakeRegistry.Jail.Strike);
        jail(op(2), IStakeRegistry.Jail.Strike);
        for (uint256 i = 0; i < 20; ++i) {
            address elected = set.elect(e, bytes32(i), 8);
            vm.assertTrue(elected == op(0) || elected == address(0));
        }
        jail(op(0), IStakeRegistry.Jail.Strike);
        vm.assertEq(set.elect(e, 0, 8), address(0));
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.TooManyTries.selector, 9, 8));
        set.elect(e, 0, 9);
    }
}
