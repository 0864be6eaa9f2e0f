// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Contents} from "../Contents.sol";
import {VerifyFixture} from "../VerifyFixture.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {EvidenceReader} from "../../src/verify/EvidenceReader.sol";

/// @dev What was wrong with who verifies work, and when, in other protocols, each as a test that ours does not have it.
contract VerificationRegressions is VerifyFixture {
    IChallengeManager.Step internal constant SCALE = IChallengeManager.Step.Scale;

    // ---- Livepeer v1 ----

    /// `verify` asked neither for the state of a claim nor for the end of its time: a proof counted whenever it came.
    function test_livepeer_aProofCountsInItsStateAndTimeAlone() public {
        Vector memory v = vector("scale", "last sample of plane 0");
        uint64 claimId = submit(openJob(), 5);
        digestOf[claimId][0] = v.statement;
        IClaimBook.ClaimState[3] memory before = [
            IClaimBook.ClaimState.Submitted, IClaimBook.ClaimState.Sealed, IClaimBook.ClaimState.Answered
        ];
        for (uint256 i = 0; i < 3; ++i) {
            if (i == 1) seal(claimId);
            if (i == 2) answerClaim(claimId);
            refusesIn(claimId, before[i], v);
        }
        revealClaim(claimId);
        uint256 last = info(claimId).contestUntil;
        vm.warp(last + 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.TooLate.selector, last));
        prove(claimId, 0, SCALE, v.evidence);
        settle(claimId);
        refusesIn(claimId, IClaimBook.ClaimState.Settled, v);

        uint64 missed = submit(openJob(), 5);
        vm.warp(uint256(info(missed).answerUntil) + 1);
        book.slashMissed(missed);
        refusesIn(missed, IClaimBook.ClaimState.Missed, v);
    }

    function refusesIn(uint64 claimId, IClaimBook.ClaimState state, Vector memory v) internal {
        vm.assertEq(claimState(claimId), uint256(state));
        vm.expectPartialRevert(IChallengeManager.ClaimInState.selector);
        prove(claimId, 0, SCALE, v.evidence);
    }

    /// Data of what is checked was assumed to lie in Swarm or IPFS. Here who keeps the output of a drawn segment back...
    function test_livepeer_withheldOutputCostsTheClaim() public {
        withheld(IChallengeManager.Missing(false, 1, 1));
    }

    /// ... or the input that it was made from, loses the claim...
    function test_livepeer_withheldInputCostsTheClaim() public {
        withheld(IChallengeManager.Missing(true, 0, 2));
    }

    function withheld(IChallengeManager.Missing memory m) internal {
        uint64 claimId = demanded(m);
        (uint256 lock, uint256 stake) = (info(claimId).lock, registry.ownStake(operator));
        vm.warp(uint256(challenges.publishUntil(claimId, 0, false)) + 1);
        challenges.slashWithheld(claimId, 0);
        vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Slashed));
        vm.assertEq(stake - registry.ownStake(operator), lock);
    }

    /// ... and who has it need not fear those who say that they miss it.
    function test_livepeer_dataThatIsAtHandSavesTheClaim() public {
        IChallengeManager.Missing memory m = IChallengeManager.Missing(true, 0, 2);
        uint64 claimId = demanded(m);
        EvidenceReader.Publication memory p;
        (p.answered, p.opening, p.missing) = (answered(claimId), openingsOf(claimId)[0], m);
        p.chunk = Contents.opening(Contents.fill(SOURCE_BYTES), m.index);
        challenges.publish(claimId, 0, abi.encode(p));
        pass(PUBLISH + 1);
        challenges.release(claimId);
        settle(claimId);
        vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Settled));
    }

    function demanded(IChallengeManager.Missing memory m) internal returns (uint64 claimId) {
        claimId = toAnswered();
        bytes32 digest = challenges.missingDigest(m);
        attestBoth(claimId, 0, digest);
        revealClaim(claimId);
        showBoth(claimId, 0, digest);
        challenges.demand(claimId, 0, m);
    }

    /// The key of one solver decided who was slashed. Here no key does: not the admin's, not those of the client or of
    /// verifiers, and not what all verifiers of a claim say against its operator.
    function test_livepeerSolver_noKeySlashesAnybody() public {
        uint64 claimId = toAnswered();
        address[4] memory keys_ = [TIMELOCK, client, op(0), STRANGER];
        for (uint256 i = 0; i < 4; ++i) {
            vm.startPrank(keys_[i]);
            vm.expectPartialRevert(IStakeRegistry.SlasherInState.selector);
            registry.slash(operator, 1, 0, noCuts, IStakeRegistry.Jail.Strike);
            vm.expectRevert(abi.encodeWithSelector(IClaimBook.NotJudge.selector, keys_[i]));
            book.punish(claimId, IClaimBook.Fault.Proof, noCuts);
            vm.stopPrank();
        }
        uint256 stake = registry.ownStake(operator);
        attestBoth(claimId, 0, "another answer");
        attestBoth(claimId, 1, "another answer");
        revealClaim(claimId);
        showBoth(claimId, 0, "another answer");
        showBoth(claimId, 1, "another answer");
        settle(claimId);
        vm.assertEq(registry.ownStake(operator), stake);
    }

    // ---- Keep and Kleros ----

    /// Stake that moves once the seed can be known moved the draw. Weights are those of the epoch in which the claim was
    /// made, before its seed's block was.
    function test_keepKleros_weightsAreFixedBeforeTheSeed() public {
        uint64 claimId = submit(openJob(), 5);
        uint256 during = info(claimId).epoch;
        uint256 total = set.totalWeight(during);
        seal(claimId);
        address[4] memory drawn = drawnFor(claimId);
        // All that money can do once the seed is there.
        bond(op(6), 100 * MIN_SELF);
        vm.prank(op(6));
        challenges.enlist();
        bond(op(0), 100 * MIN_SELF);
        unbond(op(1), MIN_SELF);
        vm.prank(op(2));
        challenges.resign();
        vm.assertEq(set.totalWeight(during), total);
        vm.assertEq(keccak256(abi.encode(drawnFor(claimId))), keccak256(abi.encode(drawn)));
        nextEpoch();
        vm.assertEq(set.totalWeight(during), total);
        vm.assertEq(keccak256(abi.encode(drawnFor(claimId))), keccak256(abi.encode(drawn)), "the day after");
    }

    function drawnFor(uint64 claimId) internal view returns (address[4] memory out) {
        for (uint256 place = 0; place < 4; ++place) {
            out[place] = challenges.verifierOf(claimId, place / 2, place % 2);
        }
    }

    // ---- Truebit ----

    /// Verifiers that never find anything stop looking, so Truebit pays for forced errors. Here who does not compute the answer
    /// has nothing to attest: the answer is no yes or no, all commitments are salted and bound to their seat, the operator's
    /// answer is shown after the last attestation, and only who revealed it is paid.
    function test_truebit_freeRidersHaveNothingToCopyAndAreNotPaid() public {
        uint64 claimId = toAnswered();
        bytes32 right = digestFor(answer());
        attest(claimId, 0, 0, right);
        // What can be seen until then: the operator's commitment and another verifier's.
        bytes32 operators = keccak256(abi.encode(right, bytes32("salt"), claimId, uint256(0), operator));
        bytes32[2] memory seen = [operators, challenges.seat(claimId, 0, 0).commitment];
        for (uint256 i = 0; i < 2; ++i) {
            address copier = challenges.verifierOf(claimId, i, 1);
            vm.prank(copier);
            challenges.attest(claimId, i, 1, seen[i]);
        }
        revealClaim(claimId);
        address late = challenges.verifierOf(claimId, 1, 0);
        vm.prank(late);
        vm.expectPartialRevert(IChallengeManager.ClaimInState.selector);
        challenges.attest(claimId, 1, 0, seal(right, claimId, 1, 0, late));
        show(claimId, 0, 0, right);
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(IChallengeManager.WrongReveal.selector);
            show(claimId, i, 1, right);
            vm.expectRevert(IChallengeManager.WrongReveal.selector);
            challenges.revealAttestation(claimId, i, 1, right, "salt"); // the operator's, public by now
        }
        settle(claimId);
        IClaimBook.Answered memory a = answered(claimId);
        challenges.takeReward(claimId, 0, 0, a);
        for (uint256 place = 1; place < 4; ++place) {
            vm.expectRevert(IChallengeManager.NothingToTake.selector);
            challenges.takeReward(claimId, place / 2, place % 2, a);
        }
        // Instead it costs them: absences are counted, and too many take a part of the lock.
        address absent = challenges.verifierOf(claimId, 1, 1);
        challenges.reportAbsent(claimId, 1, 1);
        vm.assertEq(uint256(challenges.verifier(absent).absences & 1), 1);
    }
}
