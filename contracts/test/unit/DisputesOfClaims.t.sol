// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DisputedClaimFixture} from "../DisputedClaimFixture.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../../src/interfaces/IDisputeGame.sol";
import {Answers} from "../../src/steps/Answers.sol";

/// @dev Disputes of real claims on the real market, with the real jury: from the order to the verdict and to the fee.
contract DisputesOfClaimsTest is DisputedClaimFixture {
    function test_dispute_convictedClaimLosesItsLockAndItsFee() public {
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        uint256 escrow = market.job(c.jobId).escrow;
        uint256 stake = slashable(operator);
        uint256 supply = token.totalSupply();
        uint256 id = toTheJury();
        vm.assertEq(disputes.game(id).first, WRONG);
        judge(id, false);
        vm.assertEq(uint256(claimState(claimId)), uint256(IClaimBook.ClaimState.Slashed));
        vm.assertEq(stake - slashable(operator), c.lock);
        vm.assertEq(registry.bounty(ALICE), c.lock / 4);
        vm.assertEq(market.job(c.jobId).escrow, escrow + c.fee);
        registry.burnSlashed();
        vm.assertEq(supply - token.totalSupply(), c.lock - 2 * (c.lock / 4));
        vm.assertEq(disputes.owed(ALICE), disputes.bondFor(claimId));
        uint256 reward = jury.trial(id).reward;
        vm.assertGe(reward * 15, c.lock / 4 - 15, "the jury has a quarter");
    }

    function test_dispute_acquittedClaimIsPaid() public {
        uint256 id = toTheJury();
        vm.warp(book.claimInfo(claimId).contestUntil + 1);
        vm.expectPartialRevert(IClaimBook.Held.selector);
        book.settle(claimId);
        judge(id, true);
        book.settle(claimId);
        vm.assertEq(uint256(claimState(claimId)), uint256(IClaimBook.ClaimState.Settled));
        vm.assertGe(disputes.owed(operator), 25e18, "half of the bond");
    }

    function test_dispute_silenceCostsTheLock() public {
        uint256 id = openGame();
        uint256 lock = book.claimInfo(claimId).lock;
        vm.warp(disputes.turnUntil(id));
        vm.expectPartialRevert(IDisputeGame.NotYet.selector);
        disputes.timeout(id);
        vm.warp(block.timestamp + 1);
        disputes.timeout(id);
        vm.assertEq(uint256(claimState(claimId)), uint256(IClaimBook.ClaimState.Slashed));
        vm.assertEq(registry.bounty(ALICE), lock / 4);
    }

    function test_dispute_notAfterTheContestWindow() public {
        vm.warp(book.claimInfo(claimId).contestUntil + 1);
        IClaimBook.Answered memory a = IClaimBook.Answered(hashesOf(claimId), withAnswer(digestsOf(claimId)));
        Answers.Answer memory answer_ = answerOf();
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IDisputeGame.NotContestable.selector, claimId));
        disputes.open(claimId, slot, a, answer_, IDisputeGame.Subject(IDisputeGame.What.Source, 0));
    }

    function test_reach_ofTheBookHasDisputesInIt() public view {
        uint256 windows = 8 hours + 12 hours + 4 hours + 36 hours;
        vm.assertEq(book.reach(), windows + disputes.reach());
        vm.assertEq(uint256(book.reach()), 188 hours);
    }
}
