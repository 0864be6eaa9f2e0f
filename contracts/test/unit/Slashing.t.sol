// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Fixture} from "../Fixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

contract SlashingTest is Fixture {
    address internal constant FINDER = address(0xF1);

    // ---- missed answers ----

    function missed(uint64 claimId) internal {
        vm.prank(FINDER);
        market.slashMissed(claimId);
    }

    function test_slashMissed_takesTheLockAndReturnsTheFee() public {
        uint64 id = openActive(1 ether, 4);
        uint64 claimId = submit(id, 5);
        IJobMarket.Claim memory c = market.claimInfo(claimId);
        vm.roll(c.deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.TooEarly.selector, claimId, c.deadline));
        market.slashMissed(claimId);
        rollPast(c.deadline);
        vm.expectEmit(address(market));
        emit IJobMarket.ClaimSlashed(claimId, operator, IJobMarket.SlashReason.Unsealed, c.lock);
        missed(claimId);
        vm.assertEq(market.job(id).escrow, 1 ether);
        vm.assertEq(market.job(id).reserved, 0);
        vm.assertEq(market.job(id).openClaims, 0);
        vm.assertEq(stakeOf(operator).bonded, MIN_BOND - c.lock);
        vm.assertEq(stakeOf(operator).locked, START_LOCK);
        vm.assertEq(registry.bounty(FINDER), c.lock / 2);
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.ClaimNotInState.selector, claimId, IJobMarket.ClaimState.Slashed)
        );
        market.slashMissed(claimId);
    }

    function test_slashMissed_takesASealedClaimToo() public {
        uint64 claimId = submitAndSeal(openActive(1 ether, 4), 5);
        IJobMarket.Claim memory c = market.claimInfo(claimId);
        rollPast(c.deadline);
        vm.expectEmit(address(market));
        emit IJobMarket.ClaimSlashed(claimId, operator, IJobMarket.SlashReason.Unanswered, c.lock);
        missed(claimId);
    }

    function test_slashMissed_revertsOnceAnsweredOrUnknown() public {
        uint64 claimId = submitAndAnswer(openActive(1 ether, 4), 5);
        vm.roll(block.number + 1000);
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.ClaimNotInState.selector, claimId, IJobMarket.ClaimState.Answered)
        );
        market.slashMissed(claimId);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ClaimNotInState.selector, 9, IJobMarket.ClaimState.None));
        market.slashMissed(9);
    }

    function test_slashMissed_worksWhenTheStakeIsGone() public {
        uint64 id = openActive(1 ether, 4);
        uint64 claimId = submit(id, 5);
        vm.prank(address(market));
        registry.slash(operator, MIN_BOND, 0, new IStakeRegistry.Cut[](0), IStakeRegistry.Jail.No);
        rollPast(market.claimInfo(claimId).deadline);
        missed(claimId);
        vm.assertEq(market.job(id).escrow, 1 ether);
        vm.assertEq(registry.bounty(FINDER), 0);
        vm.assertEq(stakeOf(operator).locked, START_LOCK);
    }

    function test_slashMissed_leavesADrainingJobReclaimable() public {
        uint64 id = openActive(1 ether, 4);
        uint64 claimId = submit(id, 5);
        vm.prank(client);
        market.closeJob(id);
        vm.roll(block.number + 500);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ClaimsOpen.selector, id, 1));
        market.reclaim(id);
        missed(claimId);
        vm.prank(client);
        market.reclaim(id);
        vm.assertEq(market.owed(client), 1 ether);
        vm.assertEq(stakeOf(operator).locked, 0);
    }

    // ---- equivocation ----

    function pair(uint64 jobId) internal pure returns (IJobMarket.Receipt memory a, IJobMarket.Receipt memory b) {
        (a, b) = (receipt(jobId, 3), receipt(jobId, 3));
        b.outRoot = keccak256("another output");
    }

    function equivocate(IJobMarket.Receipt memory a, IJobMarket.Receipt memory b, uint256 keyB) internal {
        bytes memory sigA = signed(OPERATOR_KEY, market.receiptDigest(a));
        bytes memory sigB = signed(keyB, market.receiptDigest(b));
        vm.prank(FINDER);
        market.slashEquivocation(a, sigA, b, sigB);
    }

    function expectEquivocationRevert(
        IJobMarket.Receipt memory a,
        IJobMarket.Receipt memory b,
        uint256 keyB,
        bytes memory err
    ) internal {
        bytes memory sigA = signed(OPERATOR_KEY, market.receiptDigest(a));
        bytes memory sigB = signed(keyB, market.receiptDigest(b));
        vm.expectRevert(err);
        market.slashEquivocation(a, sigA, b, sigB);
    }

    function test_slashEquivocation_takesTheMinimumLockOnce() public {
        uint64 id = openActive(1 ether, 4);
        (IJobMarket.Receipt memory a, IJobMarket.Receipt memory b) = pair(id);
        equivocate(a, b, OPERATOR_KEY);
        vm.assertEq(stakeOf(operator).bonded, MIN_BOND - MIN_LOCK);
        vm.assertEq(stakeOf(operator).locked, START_LOCK, "no lock is given up");
        vm.assertEq(registry.bounty(FINDER), MIN_LOCK / 2);
        bytes memory again = abi.encodeWithSelector(IJobMarket.AlreadyPunished.selector, operator, id, 3);
        expectEquivocationRevert(a, b, OPERATOR_KEY, again);
        expectEquivocationRevert(b, a, OPERATOR_KEY, again);
        b.units += 1;
        expectEquivocationRevert(a, b, OPERATOR_KEY, again);
    }

    function test_slashEquivocation_worksAfterTheJobClosed() public {
        uint64 id = openActive(1 ether, 4);
        vm.prank(operator);
        market.releaseJob(id);
        vm.prank(client);
        market.reclaim(id);
        (IJobMarket.Receipt memory a, IJobMarket.Receipt memory b) = pair(id);
        equivocate(a, b, OPERATOR_KEY);
        vm.assertEq(stakeOf(operator).bonded, MIN_BOND - MIN_LOCK);
    }

    function test_slashEquivocation_revertsOnTheSameOrUnrelatedReceipts() public {
        uint64 id = openActive(1 ether, 4);
        (IJobMarket.Receipt memory a, IJobMarket.Receipt memory b) = pair(id);
        expectEquivocationRevert(a, a, OPERATOR_KEY, abi.encodeWithSelector(IJobMarket.SameReceipt.selector, id, 3));
        b.seq = 4;
        bytes4 different = IJobMarket.DifferentSegments.selector;
        expectEquivocationRevert(a, b, OPERATOR_KEY, abi.encodeWithSelector(different, id, 3, id, 4));
        b.seq = 3;
        b.jobId = 2;
        expectEquivocationRevert(a, b, OPERATOR_KEY, abi.encodeWithSelector(different, id, 3, 2, 3));
    }

    function test_slashEquivocation_revertsWhenNotSignedByTheOperator() public {
        uint64 id = openActive(1 ether, 4);
        (IJobMarket.Receipt memory a, IJobMarket.Receipt memory b) = pair(id);
        bytes memory err = abi.encodeWithSelector(IJobMarket.WrongReceiptSigner.selector, operator, client);
        expectEquivocationRevert(a, b, CLIENT_KEY, err);
        bytes memory sigA = signed(OPERATOR_KEY, market.receiptDigest(a));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.WrongReceiptSigner.selector, operator, address(0)));
        market.slashEquivocation(a, sigA, b, "");
    }

    function test_slashEquivocation_revertsForAJobNotTakenOn() public {
        uint64 id = openAndAward(1 ether, 4);
        (IJobMarket.Receipt memory a, IJobMarket.Receipt memory b) = pair(id);
        bytes4 selector = IJobMarket.JobNotInState.selector;
        expectEquivocationRevert(a, b, OPERATOR_KEY, abi.encodeWithSelector(selector, id, IJobMarket.JobState.Awarded));
        (a, b) = pair(77);
        expectEquivocationRevert(a, b, OPERATOR_KEY, abi.encodeWithSelector(selector, 77, IJobMarket.JobState.None));
    }
}
