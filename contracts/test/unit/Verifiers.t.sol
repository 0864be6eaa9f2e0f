// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {VerifyFixture} from "../VerifyFixture.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

contract VerifiersTest is VerifyFixture {
    function enlist(address who) internal {
        vm.prank(who);
        challenges.enlist();
    }

    function resign(address who) internal {
        vm.prank(who);
        challenges.resign();
    }

    function refuses(bytes4 selector) internal {
        vm.expectPartialRevert(selector);
    }

    // ---- enlisting ----

    function test_enlist_locksAndCountsFromTheNextEpoch() public {
        bond(op(6), MIN_SELF);
        uint256 epoch = set.epoch();
        vm.expectEmit(address(challenges));
        emit IChallengeManager.Enlisted(op(6), epoch + 1, VERIFIER_LOCK);
        enlist(op(6));
        vm.assertEq(registry.lockedBy(op(6), address(challenges)), VERIFIER_LOCK);
        IChallengeManager.Verifier memory v = challenges.verifier(op(6));
        vm.assertEq(v.owner, op(6));
        vm.assertEq(v.from, epoch + 1);
        vm.assertEq(v.until, 0);
        vm.assertEq(v.lock, VERIFIER_LOCK);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.AlreadyEnlisted.selector, op(6)));
        enlist(op(6));
    }

    function test_enlist_isTheSignersAndNeedsFreeStake() public {
        address key = address(0x5167);
        bond(op(6), MIN_SELF);
        vm.prank(op(6));
        keys.proposeSigner(op(6), key);
        vm.prank(key);
        keys.acceptSigner(op(6));
        enlist(key);
        vm.assertEq(challenges.verifier(op(6)).lock, VERIFIER_LOCK);
        refuses(IStakeRegistry.InsufficientFree.selector);
        enlist(op(7));
    }

    /// Whoever enlists when a seed may be known already is not drawn for claims of that day.
    function test_enlist_neverCountsForClaimsOfTheSameEpoch() public {
        bond(op(6), 4 * MIN_SELF);
        nextEpoch();
        enlist(op(6));
        for (uint256 i = 0; i < 3; ++i) {
            uint64 claimId = toAnswered();
            for (uint256 slot = 0; slot < 2; ++slot) {
                vm.assertTrue(challenges.verifierOf(claimId, slot, 0) != op(6));
                vm.assertTrue(challenges.verifierOf(claimId, slot, 1) != op(6));
            }
        }
        nextEpoch();
        vm.assertTrue(isEverDrawn(op(6)), "drawn the day after");
    }

    function isEverDrawn(address who) internal returns (bool) {
        for (uint256 i = 0; i < 12; ++i) {
            uint64 claimId = toAnswered();
            for (uint256 seat = 0; seat < 4; ++seat) {
                if (challenges.verifierOf(claimId, seat / 2, seat % 2) == who) return true;
            }
        }
        return false;
    }

    // ---- resigning ----

    function test_resign_countsFromTheNextEpochAndFreesTheLockLater() public {
        uint64 claimId = toAnswered();
        address drawn = challenges.verifierOf(claimId, 0, 0);
        uint256 epoch = set.epoch();
        uint40 freeAt = uint40(block.timestamp + challenges.reach());
        vm.expectEmit(address(challenges));
        emit IChallengeManager.Resigned(drawn, epoch + 1, freeAt);
        resign(drawn);
        vm.assertEq(challenges.verifierOf(claimId, 0, 0), drawn, "seats stay");
        attest(claimId, 0, 0, "digest");
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotEnlisted.selector, drawn));
        resign(drawn);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.AlreadyEnlisted.selector, drawn));
        enlist(drawn);
        nextEpoch();
        vm.assertTrue(!isEverDrawn(drawn));

        vm.warp(uint256(freeAt) - 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.TooEarly.selector, freeAt));
        challenges.takeLock(drawn);
        vm.warp(freeAt);
        challenges.takeLock(drawn);
        vm.assertEq(registry.lockedBy(drawn, address(challenges)), 0);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotEnlisted.selector, drawn));
        challenges.takeLock(drawn);
        enlist(drawn); // may come again
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotEnlisted.selector, drawn));
        challenges.takeLock(drawn);
    }

    function test_resign_refusesWhoIsNotEnlisted() public {
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotEnlisted.selector, op(7)));
        resign(op(7));
    }

    /// A seat outlasts neither the claim nor its disputes: the lock is kept as long.
    function test_reach_isTwoDaysMoreThanTheBooks() public view {
        vm.assertEq(challenges.reach(), book.reach() + 2 days);
        vm.assertEq(challenges.longestHold(), 24 hours);
    }

    // ---- draws ----

    function test_verifierOf_isNeitherTheOperatorNorTheOtherSeat() public {
        vm.prank(operator);
        challenges.enlist();
        nextEpoch();
        for (uint256 i = 0; i < 10; ++i) {
            uint64 claimId = toAnswered();
            for (uint256 slot = 0; slot < 2; ++slot) {
                address a = challenges.verifierOf(claimId, slot, 0);
                address b = challenges.verifierOf(claimId, slot, 1);
                vm.assertTrue(a != operator && b != operator && a != b);
            }
        }
    }

    function test_verifierOf_noBodyWhenNobodyIsEnlisted() public {
        for (uint256 i = 0; i < CROWD; ++i) {
            resign(op(i));
        }
        nextEpoch();
        uint64 claimId = toAnswered();
        vm.assertEq(challenges.verifierOf(claimId, 0, 0), address(0));
        vm.assertEq(challenges.verifierOf(claimId, 0, 1), address(0));
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotDrawn.selector, address(0), op(0)));
        vm.prank(op(0));
        challenges.attest(claimId, 0, 0, "x");
        revealClaim(claimId);
        vm.warp(uint256(info(claimId).revealUntil) + 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoSuchSeat.selector, 0, 0));
        challenges.reportAbsent(claimId, 0, 0);
        settle(claimId); // nobody verified it, and it is paid all the same
        vm.assertEq(address(challenges).balance, 0);
    }

    function test_verifierOf_ofItsOwnerIsPassedOver() public {
        // All verifiers but one come to belong to the operator's owner, before they enlist anew.
        address owner = address(0x0C01D);
        for (uint256 i = 0; i < CROWD; ++i) {
            resign(op(i));
        }
        pass(challenges.reach());
        for (uint256 i = 0; i <= CROWD; ++i) {
            address who = i == CROWD ? operator : op(i);
            if (i < CROWD) challenges.takeLock(who);
            if (i == 0) continue;
            vm.prank(who);
            registry.proposeOwner(who, i == 1 ? operator : owner);
            vm.prank(i == 1 ? operator : owner);
            registry.acceptOwner(who);
        }
        for (uint256 i = 0; i < CROWD; ++i) {
            enlist(op(i));
        }
        enlist(operator);
        nextEpoch();
        for (uint256 i = 0; i < 6; ++i) {
            uint64 claimId = toAnswered();
            address a = challenges.verifierOf(claimId, 0, 0);
            address b = challenges.verifierOf(claimId, 0, 1);
            vm.assertTrue(a == op(0) || a == address(0));
            vm.assertTrue(b == op(0) || b == address(0));
            vm.assertTrue(a != b || a == address(0), "not both seats");
        }
    }

    /// Who gives an operator away when the seed is known moves no seat.
    function test_verifierOf_staysWhenOwnersChange() public {
        uint64 claimId = toAnswered();
        address drawn = challenges.verifierOf(claimId, 0, 0);
        vm.prank(drawn);
        registry.proposeOwner(drawn, operator);
        vm.prank(operator);
        registry.acceptOwner(drawn);
        vm.assertEq(challenges.verifierOf(claimId, 0, 0), drawn);
    }

    function test_verifierOf_seatsOfOneSegmentTwice() public {
        // A claim of one segment draws it once; one of two may draw the same twice: its slots have seats of their own.
        uint64 one = toAnswered(openJob(), 1);
        vm.assertEq(info(one).drawn, 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoSuchSeat.selector, 1, 0));
        challenges.verifierOf(one, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoSuchSeat.selector, 0, 2));
        challenges.verifierOf(one, 0, 2);
        uint64 unsealed = submit(openJob(), 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoSuchSeat.selector, 0, 0));
        challenges.verifierOf(unsealed, 0, 0);
    }

    /// At the border of days the draw is that of the claim's epoch; the day after the next it can no longer be made.
    function test_verifierOf_atTheBordersOfDays() public {
        nextEpoch();
        vm.warp(block.timestamp + 1 days - 1);
        uint64 claimId = submit(openJob(), 5);
        seal(claimId);
        address[4] memory drawn;
        for (uint256 i = 0; i < 4; ++i) {
            drawn[i] = challenges.verifierOf(claimId, i / 2, i % 2);
        }
        resign(drawn[0]);
        pass(1); // the next day
        answerClaim(claimId);
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(challenges.verifierOf(claimId, i / 2, i % 2), drawn[i]);
        }
        attest(claimId, 0, 1, "digest"); // finds the other seat's verifier, which has not attested
        attest(claimId, 0, 0, "digest");
        pass(1 days - 1);
        vm.assertEq(challenges.verifierOf(claimId, 1, 0), drawn[2]);
        pass(1);
        vm.assertEq(challenges.verifierOf(claimId, 0, 0), drawn[0], "was taken");
        vm.expectPartialRevert(bytes4(keccak256("EpochNotKept(uint256,uint256)")));
        challenges.verifierOf(claimId, 1, 0);
    }

    // ---- parameters ----

    function test_setParams_isTheAdminsWithinBounds() public {
        IChallengeManager.Params memory p = IChallengeManager.Params(10e18, 2, 100);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotAdmin.selector, address(this)));
        challenges.setParams(p);
        vm.prank(TIMELOCK);
        challenges.setParams(p);
        vm.assertEq(challenges.params().publishWindow, 100);
        p = IChallengeManager.Params(1000e18, 20, 12 hours);
        vm.prank(TIMELOCK);
        challenges.setParams(p);
        vm.assertEq(challenges.params().absences, 20);
        for (uint256 i = 0; i < 6; ++i) {
            IChallengeManager.Params memory bad = IChallengeManager.Params(100e18, 3, 400);
            if (i == 0) bad.verifierLock = 10e18 - 1;
            if (i == 1) bad.verifierLock = 1000e18 + 1;
            if (i == 2) bad.absences = 1;
            if (i == 3) bad.absences = 21;
            if (i == 4) bad.publishWindow = 99;
            if (i == 5) bad.publishWindow = 12 hours + 1;
            refuses(IChallengeManager.ParamOutOfBounds.selector);
            vm.prank(TIMELOCK);
            challenges.setParams(bad);
        }
    }

    function test_setParams_leavesLocksAsTheyWere() public {
        vm.prank(TIMELOCK);
        challenges.setParams(IChallengeManager.Params(50e18, 3, 400));
        vm.assertEq(challenges.verifier(op(0)).lock, VERIFIER_LOCK);
        resign(op(0));
        pass(challenges.reach());
        challenges.takeLock(op(0));
        vm.assertEq(registry.lockedBy(op(0), address(challenges)), 0);
        enlist(op(0));
        vm.assertEq(challenges.verifier(op(0)).lock, 50e18);
    }
}
