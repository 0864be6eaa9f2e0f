// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DisputedClaimFixture} from "../DisputedClaimFixture.sol";
import {VerifyFixture} from "../VerifyFixture.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../../src/interfaces/IDisputeGame.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {ShapeStep} from "../../src/verify/ShapeStep.sol";
import {Answers} from "../../src/steps/Answers.sol";

/// @dev 29. In a pause of the market nothing begins, and all that has begun goes on: on the real contracts.
contract PausesTest is VerifyFixture {
    bytes32 internal right = digestFor(answer());

    function pause() internal {
        vm.prank(GUARDIAN);
        market.pause(uint40(block.timestamp + 7 days));
    }

    function refusesClaims(uint64 jobId) internal {
        uint40 until = market.pausedUntil();
        vm.assertGe(until, block.timestamp + 1, "paused");
        uint64 next = market.job(jobId).nextSeq;
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.MarketPaused.selector, until));
        book.claim(jobId, next, 1, keccak256("root"), 1);
    }

    /// Seal, answer, attest, reveal, settle, and everybody is paid.
    function test_pause_aClaimGoesAllItsWay() public {
        uint64 jobId = openJob();
        uint64 claimId = submit(jobId, 5);
        pause();
        seal(claimId);
        answerClaim(claimId);
        attestBoth(claimId, 0, right);
        revealClaim(claimId);
        showBoth(claimId, 0, right);
        settle(claimId);
        vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Settled));
        address verifier = challenges.verifierOf(claimId, 0, 0);
        uint256 before = verifier.balance;
        challenges.takeReward(claimId, 0, 0, answered(claimId));
        vm.assertEq(verifier.balance - before, challenges.rewardOf(claimId));
        uint256 fee = info(claimId).fee - book.verifiersPart(claimId);
        vm.assertEq(market.feesOf(operator), fee);
        market.routeFees(operator);
        before = operator.balance;
        vm.prank(operator);
        router.withdraw();
        vm.assertEq(operator.balance - before, fee - fee / 100, "all but the treasury's percent");
        leaves(jobId);
        refusesClaims(jobId);
    }

    /// @dev The client takes its escrow back, the operator and a verifier begin to take out their stake.
    function leaves(uint64 jobId) internal {
        vm.prank(operator);
        market.releaseJob(jobId);
        uint256 escrow = market.job(jobId).escrow;
        reclaim(jobId);
        uint256 before = client.balance;
        vm.prank(client);
        market.withdraw();
        vm.assertEq(client.balance - before, escrow);
        unbond(operator, 1e18);
        vm.prank(op(0));
        challenges.resign();
        vm.assertTrue(challenges.verifier(op(0)).freeAt != 0);
    }

    /// A pause is no shelter: silence, a wrong answer and withheld bytes cost what they cost.
    function test_pause_faultsArePunished() public {
        uint64 silent = submit(openJob(), 5);
        Answers.Answer memory wrong = answer();
        wrong.filter = 0;
        uint64 liar = submit(openJob(), 5);
        uint64 keeper = submit(openJob(), 5);
        pause();
        (digestOf[liar][0], digestOf[liar][1]) = (digestFor(wrong), right);
        seal(liar);
        answerClaim(liar);
        seal(keeper);
        answerClaim(keeper);
        IChallengeManager.Missing memory m = IChallengeManager.Missing(true, 0, 2);
        bytes32 missing = challenges.missingDigest(m);
        attestBoth(keeper, 0, missing);
        revealClaim(keeper);
        revealClaim(liar);
        showBoth(keeper, 0, missing);
        challenges.demand(keeper, 0, m);
        prove(liar, 0, IChallengeManager.Step.Shape, abi.encode(ShapeStep.Evidence(wrong, profile())));
        vm.assertEq(claimState(liar), uint256(IClaimBook.ClaimState.Slashed), "wrong");
        uint256 own = registry.ownStake(operator);
        vm.warp(uint256(challenges.publishUntil(keeper, 0, false)) + 1);
        challenges.slashWithheld(keeper, 0);
        vm.assertEq(claimState(keeper), uint256(IClaimBook.ClaimState.Slashed), "withheld");
        vm.assertEq(own - registry.ownStake(operator), info(keeper).lock);
        own = registry.ownStake(operator);
        vm.warp(uint256(info(silent).answerUntil) + 1);
        book.slashMissed(silent);
        vm.assertEq(claimState(silent), uint256(IClaimBook.ClaimState.Missed), "silent");
        vm.assertEq(own - registry.ownStake(operator), info(silent).lock);
        refusesClaims(silent >> 32);
    }
}

/// @dev The same of a dispute, from its opening to what everybody takes.
contract PausedDisputesTest is DisputedClaimFixture {
    function test_pause_disputesGoOn() public {
        vm.prank(GUARDIAN);
        market.pause(uint40(block.timestamp + 7 days));
        uint256 id = toTheJury();
        judge(id, false);
        vm.assertGe(market.pausedUntil(), block.timestamp + 1, "paused");
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Slashed);
        vm.assertTrue(disputes.game(id).status == IDisputeGame.Status.ChallengerWon);
        uint256 before = token.balanceOf(ALICE);
        (uint256 bond, uint256 bounty) = (disputes.owed(ALICE), registry.bounty(ALICE));
        vm.assertTrue(bond > 0 && bounty > 0);
        vm.startPrank(ALICE);
        disputes.withdraw();
        registry.takeBounty();
        vm.stopPrank();
        vm.assertEq(token.balanceOf(ALICE), before + bond + bounty);
        uint256 seat = 0;
        while (jury.jurorOf(id, seat) == address(0)) ++seat;
        address juror = jury.jurorOf(id, seat);
        before = token.balanceOf(juror);
        jury.takeReward(id, seat);
        vm.assertEq(token.balanceOf(juror), before + jury.trial(id).reward);
    }
}
