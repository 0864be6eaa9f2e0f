// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Contents} from "../Contents.sol";
import {VerifyFixture} from "../VerifyFixture.sol";
import {Work} from "../../src/lib/Work.sol";
import {Answers} from "../../src/steps/Answers.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {EvidenceReader} from "../../src/verify/EvidenceReader.sol";

contract AvailabilityTest is VerifyFixture {
    IChallengeManager.Missing internal sourceChunk = IChallengeManager.Missing(true, 0, 2);
    IChallengeManager.Missing internal renditionChunk = IChallengeManager.Missing(false, 1, 1);

    /// @dev Both verifiers of slot 0 miss this.
    function toMissing(IChallengeManager.Missing memory m) internal returns (uint64 claimId) {
        claimId = toAnswered();
        bytes32 digest = challenges.missingDigest(m);
        attestBoth(claimId, 0, digest);
        revealClaim(claimId);
        showBoth(claimId, 0, digest);
    }

    function toDemanded(IChallengeManager.Missing memory m) internal returns (uint64 claimId) {
        claimId = toMissing(m);
        challenges.demand(claimId, 0, m);
    }

    function publication(uint64 claimId, IChallengeManager.Missing memory m)
        internal
        view
        returns (EvidenceReader.Publication memory p)
    {
        (p.answered, p.opening, p.missing) = (answered(claimId), openingsOf(claimId)[0], m);
        if (!m.source) p.contents = contents;
        if (m.source) p.chunk = Contents.opening(Contents.fill(SOURCE_BYTES), m.index);
        else if (m.rung < 2) p.chunk = Contents.opening(Contents.fill(m.rung == 0 ? 100 : 20_000), m.index);
    }

    function publish(uint64 claimId, EvidenceReader.Publication memory p) internal {
        challenges.publish(claimId, 0, abi.encode(p));
    }

    function holds(uint64 claimId) internal view returns (uint256) {
        return info(claimId).holds;
    }

    function until(uint64 claimId) internal view returns (uint40) {
        return challenges.publishUntil(claimId, 0, false);
    }

    function tooEarly(uint256 from) internal {
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.TooEarly.selector, from));
    }

    function tooLate(uint256 last) internal {
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.TooLate.selector, last));
    }

    // ---- demand ----

    function test_demand_holdsTheClaim() public {
        uint64 claimId = toMissing(sourceChunk);
        uint40 last = uint40(block.timestamp + PUBLISH);
        vm.expectEmit(address(challenges));
        emit IChallengeManager.DataMissing(claimId, 0, sourceChunk, last);
        challenges.demand(claimId, 0, sourceChunk);
        vm.assertEq(until(claimId), last);
        vm.assertEq(holds(claimId), 1);
        (bool yes,) = challenges.held(claimId);
        vm.assertTrue(yes);
        vm.warp(uint256(info(claimId).contestUntil) + 1);
        vm.expectPartialRevert(IClaimBook.Held.selector);
        book.settle(claimId);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.StillHeld.selector, claimId));
        challenges.release(claimId);
    }

    function test_demand_needsBothVerifiersAndTheSamePiece() public {
        uint64 claimId = toAnswered();
        bytes32 digest = challenges.missingDigest(sourceChunk);
        attestBoth(claimId, 0, digest);
        attest(claimId, 1, 0, digest);
        attest(claimId, 1, 1, challenges.missingDigest(renditionChunk));
        revealClaim(claimId);
        show(claimId, 0, 0, digest);
        bytes memory notMissing = abi.encodeWithSelector(IChallengeManager.NotMissing.selector, claimId, 0);
        vm.expectRevert(notMissing);
        challenges.demand(claimId, 0, sourceChunk); // one alone
        show(claimId, 0, 1, digest);
        vm.expectRevert(notMissing);
        challenges.demand(claimId, 0, renditionChunk);
        show(claimId, 1, 0, digest);
        show(claimId, 1, 1, challenges.missingDigest(renditionChunk));
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotMissing.selector, claimId, 1));
        challenges.demand(claimId, 1, sourceChunk);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotMissing.selector, claimId, 2));
        challenges.demand(claimId, 2, sourceChunk);
        challenges.demand(claimId, 0, sourceChunk);
    }

    function test_demand_onceForEachSlot() public {
        uint64 claimId = toDemanded(sourceChunk);
        bytes memory again = abi.encodeWithSelector(IChallengeManager.AlreadyDemanded.selector, claimId, 0);
        vm.expectRevert(again);
        challenges.demand(claimId, 0, sourceChunk);
        publish(claimId, publication(claimId, sourceChunk));
        vm.expectRevert(again);
        challenges.demand(claimId, 0, sourceChunk);
    }

    function test_demand_onlyWhenRevealedAndUpToTheEndOfTheContest() public {
        uint64 claimId = toAnswered();
        bytes32 digest = challenges.missingDigest(sourceChunk);
        attestBoth(claimId, 0, digest);
        vm.warp(uint256(info(claimId).attestUntil) + 1);
        showBoth(claimId, 0, digest);
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeManager.ClaimInState.selector, claimId, IClaimBook.ClaimState.Answered)
        );
        challenges.demand(claimId, 0, sourceChunk);
        revealClaim(claimId);
        uint256 last = info(claimId).contestUntil;
        vm.warp(last + 1);
        tooLate(last);
        challenges.demand(claimId, 0, sourceChunk);
        vm.warp(last);
        challenges.demand(claimId, 0, sourceChunk);
    }

    // ---- publish ----

    function test_publish_showsThePieceAndTheClaimSettlesLater() public {
        uint64 claimId = toDemanded(sourceChunk);
        vm.warp(until(claimId));
        uint40 heldUntil = uint40(block.timestamp + PUBLISH);
        EvidenceReader.Publication memory p = publication(claimId, sourceChunk);
        vm.expectEmit(address(challenges));
        emit IChallengeManager.Published(claimId, 0, heldUntil);
        publish(claimId, p);
        vm.assertEq(until(claimId), 0);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NothingDemanded.selector, claimId, 0));
        publish(claimId, p);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NothingDemanded.selector, claimId, 0));
        challenges.slashWithheld(claimId, 0);
        vm.warp(heldUntil);
        tooEarly(uint256(heldUntil) + 1);
        challenges.release(claimId);
        pass(1);
        challenges.release(claimId);
        vm.assertEq(holds(claimId), 0);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.StillHeld.selector, claimId));
        challenges.release(claimId);
        settle(claimId);
    }

    function test_publish_ofARendition() public {
        uint64 claimId = toDemanded(renditionChunk);
        shows(claimId, renditionChunk);
    }

    /// @dev The operator shows what was asked for: nothing is due any more, and the claim is paid in the end.
    function shows(uint64 claimId, IChallengeManager.Missing memory m) internal {
        uint256 due = until(claimId);
        vm.assertGe(due, block.timestamp, "demanded");
        publish(claimId, publication(claimId, m));
        vm.assertEq(until(claimId), 0, "published");
        vm.warp(due + PUBLISH + 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NothingDemanded.selector, claimId, 0));
        challenges.slashWithheld(claimId, 0);
        challenges.release(claimId);
        settle(claimId);
        vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Settled));
    }

    /// Verifiers that miss what is not there keep nobody's money: the operator shows where the content ends.
    function test_publish_thatThereIsNoSuchPiece() public {
        IChallengeManager.Missing[3] memory missing = [
            IChallengeManager.Missing(true, 0, 3),
            IChallengeManager.Missing(false, 0, type(uint32).max),
            IChallengeManager.Missing(false, 2, 0)
        ];
        for (uint256 i = 0; i < 3; ++i) {
            vm.roll(block.number + 5); // to seeds that find somebody for both seats
            uint64 claimId = toDemanded(missing[i]);
            shows(claimId, missing[i]);
        }
    }

    function test_publish_upToTheLastSecond() public {
        uint64 claimId = toDemanded(sourceChunk);
        uint256 last = until(claimId);
        EvidenceReader.Publication memory p = publication(claimId, sourceChunk);
        vm.warp(last + 1);
        tooLate(last);
        publish(claimId, p);
        vm.warp(last);
        publish(claimId, p);
    }

    /// 30. A demand that runs keeps its time, whatever governance decides meanwhile.
    function test_demand_keepsItsWindow() public {
        uint64 claimId = toDemanded(sourceChunk);
        uint40 last = until(claimId);
        vm.prank(TIMELOCK);
        challenges.setParams(IChallengeManager.Params(VERIFIER_LOCK, 3, PUBLISH / 4));
        vm.assertEq(until(claimId), last);
        vm.warp(last);
        EvidenceReader.Publication memory p = publication(claimId, sourceChunk);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NothingDemanded.selector, claimId, 0));
        challenges.slashWithheld(claimId, 0);
        publish(claimId, p);
        vm.assertEq(until(claimId), 0, "published");
        claimId = toDemanded(sourceChunk);
        vm.assertEq(until(claimId), block.timestamp + PUBLISH / 4, "later ones have the new time");
    }

    function test_publish_refusesEverythingElse() public {
        uint64 claimId = toDemanded(renditionChunk);
        for (uint256 i = 0; i < 7; ++i) {
            EvidenceReader.Publication memory p = publication(claimId, renditionChunk);
            if (i == 0) p.answered.digests[0] = 0;
            if (i == 1) p.missing.index = 0;
            if (i == 2) p.opening.srcBytes += 1;
            if (i == 3) p.contents[0] = 0;
            if (i == 4) p.chunk.data[7] ^= 0x01;
            if (i == 5) p.chunk.length += 1;
            if (i == 6) p.missing.source = true;
            vm.expectRevert(IChallengeManager.NotThePiece.selector);
            publish(claimId, p);
        }
        (bool ok,) = address(challenges).call(abi.encodeCall(challenges.publish, (claimId, 0, hex"1234")));
        vm.assertTrue(!ok);
        publish(claimId, publication(claimId, renditionChunk));
    }

    // ---- withheld ----

    function test_slashWithheld_endsTheClaim() public {
        uint64 claimId = toDemanded(sourceChunk);
        uint256 last = until(claimId);
        vm.warp(last);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NothingDemanded.selector, claimId, 0));
        challenges.slashWithheld(claimId, 0);
        pass(1);
        uint256 lock = info(claimId).lock;
        uint256 bonded = info(operator).bonded;
        vm.prank(FINDER);
        challenges.slashWithheld(claimId, 0);
        vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Slashed));
        vm.assertEq(bonded - info(operator).bonded, lock);
        vm.assertEq(registry.bounty(client), lock * 4 / 10);
        vm.assertEq(registry.bounty(FINDER), lock / 10);
        vm.expectPartialRevert(IClaimBook.ClaimNotInState.selector);
        challenges.slashWithheld(claimId, 0);
    }

    /// A claim that ends while demands run leaves nothing to do.
    function test_release_ofAClaimThatHasEnded() public {
        uint64 claimId = toDemanded(sourceChunk);
        EvidenceReader.Publication memory p = publication(claimId, sourceChunk);
        vm.prank(address(challenges));
        book.punish(claimId, PROOF, noCuts);
        vm.assertEq(holds(claimId), 0);
        publish(claimId, p);
        pass(PUBLISH + 1);
        challenges.release(claimId); // nothing to let go of any more
        (bool yes,) = challenges.held(claimId);
        vm.assertTrue(!yes);
    }

    // ---- several demands, one hold ----

    function test_demands_ofBothSlotsHoldTheClaimOnce() public {
        uint64 claimId = toAnswered();
        bytes32 digest = challenges.missingDigest(sourceChunk);
        attestBoth(claimId, 0, digest);
        attestBoth(claimId, 1, digest);
        revealClaim(claimId);
        showBoth(claimId, 0, digest);
        showBoth(claimId, 1, digest);
        challenges.demand(claimId, 0, sourceChunk);
        pass(10);
        challenges.demand(claimId, 1, sourceChunk);
        vm.assertEq(holds(claimId), 1);
        publish(claimId, publication(claimId, sourceChunk));
        (, uint40 first) = challenges.held(claimId);
        vm.warp(uint256(first) - PUBLISH + 5);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.StillHeld.selector, claimId));
        challenges.release(claimId);
        // A shorter window from now on does not shorten what runs.
        vm.prank(TIMELOCK);
        challenges.setParams(IChallengeManager.Params(VERIFIER_LOCK, 3, 100));
        EvidenceReader.Publication memory p = publication(claimId, sourceChunk);
        p.opening = openingsOf(claimId)[1];
        challenges.publish(claimId, 1, abi.encode(p));
        (, uint40 second) = challenges.held(claimId);
        vm.assertEq(second, first);
        vm.warp(uint256(first) + 1);
        challenges.release(claimId);
        vm.assertEq(holds(claimId), 0);
    }

    /// A second demand after a release holds the claim again.
    function test_demand_holdsAgainAfterARelease() public {
        uint64 claimId = toAnswered();
        bytes32 digest = challenges.missingDigest(sourceChunk);
        attestBoth(claimId, 0, digest);
        attestBoth(claimId, 1, digest);
        revealClaim(claimId);
        showBoth(claimId, 0, digest);
        showBoth(claimId, 1, digest);
        challenges.demand(claimId, 0, sourceChunk);
        publish(claimId, publication(claimId, sourceChunk));
        pass(PUBLISH + 1);
        challenges.release(claimId);
        challenges.demand(claimId, 1, sourceChunk);
        vm.assertEq(holds(claimId), 1);
    }

    // ---- the answer behind a digest ----

    function toDiffering() internal returns (uint64 claimId) {
        claimId = toAnswered();
        attest(claimId, 0, 0, "another");
        attest(claimId, 0, 1, digestFor(answer()));
        revealClaim(claimId);
        show(claimId, 0, 0, "another");
        show(claimId, 0, 1, digestFor(answer()));
    }

    function demandAnswer(uint64 claimId, uint256 slot, uint256 which) internal {
        IClaimBook.Answered memory a = answered(claimId);
        challenges.demandAnswer(claimId, slot, which, a);
    }

    function test_demandAnswer_bringsTheAnswerBehindADigest() public {
        uint64 claimId = toDiffering();
        uint40 last = uint40(block.timestamp + PUBLISH);
        vm.expectEmit(address(challenges));
        emit IChallengeManager.AnswerMissing(claimId, 0, digestFor(answer()), last);
        demandAnswer(claimId, 0, 0);
        vm.assertEq(challenges.publishUntil(claimId, 0, true), last);
        vm.assertEq(holds(claimId), 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.AlreadyDemanded.selector, claimId, 0));
        demandAnswer(claimId, 0, 0);
        Answers.Answer memory other = answer();
        other.filter = 0;
        vm.expectRevert(IChallengeManager.NotThePiece.selector);
        challenges.publishAnswer(claimId, 0, abi.encode(other));
        bytes memory right = abi.encode(answer());
        vm.warp(uint256(last) + 1);
        tooLate(last);
        challenges.publishAnswer(claimId, 0, right);
        vm.warp(last);
        vm.expectEmit(address(challenges));
        emit IChallengeManager.AnswerPublished(claimId, 0, last + PUBLISH);
        challenges.publishAnswer(claimId, 0, right);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NothingDemanded.selector, claimId, 0));
        challenges.publishAnswer(claimId, 0, right);
    }

    function test_demandAnswer_needsADifference() public {
        uint64 claimId = toDiffering();
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoDifference.selector, digestFor(answer())));
        demandAnswer(claimId, 0, 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoDifference.selector, bytes32(0)));
        demandAnswer(claimId, 1, 0); // nobody revealed
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoSuchSeat.selector, 2, 0));
        demandAnswer(claimId, 2, 0);
        IClaimBook.Answered memory a = answered(claimId);
        a.digests[0] = "mine";
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotAnswered.selector, claimId));
        challenges.demandAnswer(claimId, 0, 0, a);
        uint256 last = info(claimId).contestUntil;
        vm.warp(last + 1);
        tooLate(last);
        demandAnswer(claimId, 0, 0);
    }

    /// Named for the hole it closes: a digest of which nobody knows the answer could never be proved wrong.
    function test_demandAnswer_aDigestOfNothingIsWithheld() public {
        uint64 claimId = submit(openJob(), 5);
        seal(claimId);
        bytes memory garbage = "no answer";
        digestOf[claimId][0] = keccak256(garbage);
        answerClaim(claimId);
        attest(claimId, 0, 0, digestFor(answer()));
        revealClaim(claimId);
        show(claimId, 0, 0, digestFor(answer()));
        demandAnswer(claimId, 0, 0);
        (bool ok,) = address(challenges).call(abi.encodeCall(challenges.publishAnswer, (claimId, 0, garbage)));
        vm.assertTrue(!ok);
        pass(PUBLISH + 1);
        challenges.slashWithheld(claimId, 0);
        vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Slashed));
    }
}
