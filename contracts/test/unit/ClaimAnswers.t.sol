// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "../ClaimFixture.sol";
import {Tree} from "../Tree.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {Work} from "../../src/lib/Work.sol";
import {Packed} from "../Packed.sol";

/// @dev Answers and reveals.
contract ClaimAnswersTest is ClaimFixture {
    uint256 internal constant N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141; // curve order
    uint256 internal constant NEW_KEY = 0x5E7;

    function refusesAnswer(bytes memory why, uint64 claimId, Work.Opening[] memory openings) internal {
        bytes32[] memory commitments = commitmentsOf(claimId);
        vm.prank(operator);
        vm.expectRevert(why);
        book.answer(claimId, Packed.openings(claimId, openings), commitments);
    }

    /// @param levels Of each opening's path.
    function wrongLength(uint64 claimId, uint256 wanted, uint256 given, uint256 levels)
        internal
        pure
        returns (bytes memory)
    {
        uint256 size = 159 + 40 * levels;
        return abi.encodeWithSelector(IClaimBook.WrongLength.selector, claimId, wanted * size, given * size);
    }

    function rekey() internal {
        vm.prank(operator);
        keys.proposeSigner(operator, vm.addr(NEW_KEY));
        vm.prank(vm.addr(NEW_KEY));
        keys.acceptSigner(operator);
    }

    // ---- answer ----

    function test_answer_opensTheDrawnSegments() public {
        uint64 claimId = submitAndSeal(activeJob(10 ether, 8), LONG + 44);
        Work.Opening[] memory openings = honest(claimId);
        vm.assertEq(openings.length, 8);
        bytes32[] memory commitments = commitmentsOf(claimId);
        uint40 until = uint40(block.timestamp + 500);
        bytes32 seed = book.claimInfo(claimId).seed;
        vm.expectEmit(address(book));
        emit IClaimBook.ClaimAnswered(claimId, hashesOf(claimId), commitments);
        vm.prank(operator);
        book.answer(claimId, Packed.openings(claimId, openings), commitments);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        vm.assertTrue(c.state == IClaimBook.ClaimState.Answered);
        vm.assertEq(c.seed, seed);
        vm.assertEq(c.seedBlock, 0, "its place is the seed's now");
        vm.assertEq(c.answerUntil, until + 500);
        vm.assertEq(c.attestUntil, until);
        vm.assertEq(c.revealUntil, until + 200);
        vm.assertEq(c.contestUntil, until + 1000);
        vm.assertEq(c.answers, keccak256(abi.encode(answered(claimId))));
        book.requireAnswered(claimId, answered(claimId));
        IClaimBook.Answered memory other = revealed(claimId);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.NotWhatWasAnswered.selector, claimId));
        book.requireAnswered(claimId, other);
        refusesAnswer(inState(claimId, IClaimBook.ClaimState.Answered), claimId, openings);
    }

    function test_answer_oneSegmentIsItsOwnRoot() public {
        uint64 claimId = submitAndSeal(activeJob(1 ether, 8), 1);
        vm.assertEq(honest(claimId)[0].path.length, 0);
        answer(claimId);
    }

    function test_answer_aSegmentDrawnTwiceIsOpenedTwice() public {
        uint64 id = activeJob(1 ether, 8);
        Work.Receipt[] memory r = receipts(id, 0, 2);
        r[0].units = 1;
        r[1].units = 100_000;
        (bytes32 root, uint64 total) = Tree.root(r);
        vm.prank(operator);
        uint64 claimId = book.claim(id, 0, 2, root, total);
        seal(claimId, 0);
        Work.Opening[] memory openings = new Work.Opening[](2);
        (openings[0], openings[1]) = (opening(r, 1), opening(r, 1));
        bytes32[] memory commitments = commitmentsOf(claimId);
        uint64[] memory drawn = book.draws(claimId);
        vm.assertTrue(drawn.length == 2 && drawn[0] != drawn[1], "two units");
        vm.assertTrue(drawn[0] > 0 && drawn[1] > 0, "of one segment");
        Work.Opening[] memory one = new Work.Opening[](1);
        one[0] = openings[0];
        refusesAnswer(wrongLength(claimId, 2, 1, 1), claimId, one);
        vm.prank(operator);
        book.answer(claimId, Packed.openings(claimId, openings), commitments);
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Answered);
    }

    function test_answer_upToAnswerUntil() public {
        uint64 claimId = submitAndSeal(activeJob(1 ether, 4), 5);
        uint256 until = book.claimInfo(claimId).answerUntil;
        vm.warp(until + 1);
        refusesAnswer(abi.encodeWithSelector(IClaimBook.TooLate.selector, claimId, until), claimId, honest(claimId));
        vm.warp(until);
        answer(claimId);
    }

    function test_answer_revertsUntilSealed() public {
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        refusesAnswer(inState(claimId, IClaimBook.ClaimState.Submitted), claimId, new Work.Opening[](2));
        refusesAnswer(inState(9, IClaimBook.ClaimState.None), 9, new Work.Opening[](2));
    }

    function notIts(uint64 claimId, Work.Opening[] memory openings) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IClaimBook.NotInClaim.selector, claimId >> 32, openings[0].leaf.seq);
    }

    function test_answer_revertsForOthers() public {
        uint64 claimId = submitAndSeal(activeJob(1 ether, 4), 5);
        (Work.Opening[] memory openings, bytes32[] memory commitments) = (honest(claimId), commitmentsOf(claimId));
        address[3] memory others = [rig(1), client, STRANGER];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(notIts(claimId, openings));
            book.answer(claimId, Packed.openings(claimId, openings), commitments);
        }
    }

    function test_answer_byTheNewSignerAndNotTheOldOne() public {
        uint64 claimId = submitAndSeal(activeJob(1 ether, 4), 5);
        rekey();
        (Work.Opening[] memory openings, bytes32[] memory commitments) = (honest(claimId), commitmentsOf(claimId));
        vm.prank(operator);
        vm.expectRevert(notIts(claimId, openings));
        book.answer(claimId, Packed.openings(claimId, openings), commitments);
        vm.prank(vm.addr(NEW_KEY));
        book.answer(claimId, Packed.openings(claimId, openings), commitments);
        // The commitments bind the operator, whichever key sends them.
        (bytes32[] memory digests, bytes32[] memory salts_) = (digestsOf(claimId), saltsOf(claimId));
        IClaimBook.Answered memory a = answered(claimId);
        vm.warp(book.claimInfo(claimId).attestUntil + 1);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.NotOperator.selector, claimId >> 32, operator));
        book.reveal(claimId, a, digests, salts_);
        vm.prank(vm.addr(NEW_KEY));
        book.reveal(claimId, a, digests, salts_);
    }

    function test_answer_revertsOnAnyOtherNumberOfOpenings() public {
        uint64 claimId = submitAndSeal(activeJob(1 ether, 4), 5);
        Work.Opening[] memory openings = honest(claimId);
        Work.Opening[] memory one = new Work.Opening[](1);
        one[0] = openings[0];
        refusesAnswer(wrongLength(claimId, 2, 1, 3), claimId, one);
        Work.Opening[] memory three = new Work.Opening[](3);
        (three[0], three[1], three[2]) = (openings[0], openings[1], openings[0]);
        refusesAnswer(wrongLength(claimId, 2, 3, 3), claimId, three);
        refusesAnswer(wrongLength(claimId, 2, 0, 3), claimId, new Work.Opening[](0));
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.WrongLength.selector, claimId, 2, 1));
        book.answer(claimId, Packed.openings(claimId, openings), new bytes32[](1));
    }

    function test_answer_revertsWhenTheOpeningIsOutsideTheClaim() public {
        uint64 id = activeJob(1 ether, 4);
        submitAndSeal(id, 5);
        uint64 claimId = submitAndSeal(id, 5);
        uint16[3] memory places = [5, 6, type(uint16).max];
        for (uint256 i = 0; i < 3; ++i) {
            Work.Opening[] memory openings = honest(claimId);
            uint64 seq = openings[1].leaf.seq = 5 + uint64(places[i]);
            refusesAnswer(abi.encodeWithSelector(IClaimBook.OpeningOutsideClaim.selector, id, seq), claimId, openings);
        }
    }

    function test_answer_revertsOnAnyOtherPathLength() public {
        uint64 claimId = submitAndSeal(activeJob(1 ether, 4), 5);
        for (uint256 length = 2; length < 5; length += 2) {
            Work.Opening[] memory openings = honest(claimId);
            openings[0].path = new Work.Sibling[](length);
            uint256 size = 2 * (159 + 3 * 40);
            bytes memory why =
                abi.encodeWithSelector(IClaimBook.WrongLength.selector, claimId, size, size + 40 * length - 120);
            refusesAnswer(why, claimId, openings);
        }
    }

    function test_answer_revertsWhenTheLeafIsNotInTheTree() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 claimId = submitAndSeal(id, 5);
        for (uint256 i = 0; i < 6; ++i) {
            Work.Opening[] memory openings = honest(claimId);
            Work.Opening memory o = openings[0];
            if (i == 0) o.leaf.srcRoot ^= bytes32(uint256(1));
            if (i == 1) o.leaf.outRoot ^= bytes32(uint256(1));
            if (i == 2) o.leaf.units += 1;
            if (i == 3) o.leaf.outBytes += 1;
            if (i == 4) o.path[1].hash = 0;
            if (i == 5) o.path[2].sum += 1;
            refusesAnswer(abi.encodeWithSelector(IClaimBook.NotInClaim.selector, id, o.leaf.seq), claimId, openings);
        }
    }

    /// The tree's top is right and its sum is not: the claim's total is what draws, so it has to be the tree's.
    function test_answer_revertsWhenTheClaimedTotalIsNotTheTrees() public {
        uint64 id = activeJob(1 ether, 4);
        Work.Receipt[] memory r = receipts(id, 0, 2);
        (bytes32 root, uint64 total) = Tree.root(r);
        vm.prank(operator);
        uint64 claimId = book.claim(id, 0, 2, root, total + 1);
        seal(claimId, 0);
        Work.Opening[] memory openings = new Work.Opening[](2);
        (openings[0], openings[1]) = (opening(r, 0), opening(r, 0));
        refusesAnswer(abi.encodeWithSelector(IClaimBook.NotInClaim.selector, id, 0), claimId, openings);
    }

    function test_answer_revertsWhenTheDrawnUnitIsNotCovered() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 claimId = submitAndSeal(id, 5);
        uint64[] memory drawn = book.draws(claimId);
        Work.Receipt[] memory r = receipts(id, 0, 5);
        uint256 right = Tree.holder(r, drawn[0]);
        uint64 offset = 0;
        for (uint256 i = 0; i < 5; ++i) {
            Work.Opening[] memory openings = honest(claimId);
            openings[0] = opening(r, i);
            bytes memory why =
                abi.encodeWithSelector(IClaimBook.DrawNotCovered.selector, i, drawn[0], offset, r[i].units);
            if (i != right) refusesAnswer(why, claimId, openings);
            offset += r[i].units;
        }
    }

    function test_answer_revertsWithoutTheClientsSignature() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 claimId = submitAndSeal(id, 5);
        for (uint256 i = 0; i < 5; ++i) {
            Work.Opening[] memory openings = honest(claimId);
            Work.Opening memory o = openings[1];
            bytes32 digest = segmentDigest(o);
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(CLIENT_KEY, digest);
            if (i == 0) o.clientSig = signed(RIG_KEY, digest);
            if (i == 1) o.clientSig = abi.encodePacked(r, bytes32(N - uint256(s)), v == 27 ? 28 : 27); // high s
            if (i == 2) o.clientSig = abi.encodePacked(r, s, v - 27);
            if (i == 3) o.srcBytes += 1;
            if (i == 4) o.durationMs += 1;
            bytes32[] memory commitments = commitmentsOf(claimId);
            vm.prank(operator);
            vm.expectRevert(abi.encodeWithSelector(IClaimBook.NotInClaim.selector, id, o.leaf.seq));
            book.answer(claimId, Packed.openings(claimId, openings), commitments);
        }
        Work.Opening[] memory unsigned_ = honest(claimId);
        unsigned_[0].clientSig = new bytes(65);
        refusesAnswer(
            abi.encodeWithSelector(IClaimBook.NotInClaim.selector, id, unsigned_[0].leaf.seq), claimId, unsigned_
        );
    }

    // ---- reveal ----

    function refusesReveal(bytes memory why, uint64 claimId, bytes32[] memory digests, bytes32[] memory salts_)
        internal
    {
        IClaimBook.Answered memory a = answered(claimId);
        vm.prank(operator);
        vm.expectRevert(why);
        book.reveal(claimId, a, digests, salts_);
    }

    function test_reveal_putsDigestsForCommitments() public {
        uint64 claimId = submitAndAnswer(activeJob(10 ether, 3), LONG);
        vm.warp(book.claimInfo(claimId).attestUntil + 1);
        IClaimBook.Answered memory a = answered(claimId);
        (bytes32[] memory digests, bytes32[] memory salts_) = (digestsOf(claimId), saltsOf(claimId));
        vm.expectEmit(address(book));
        emit IClaimBook.ClaimRevealed(claimId, digests);
        vm.prank(operator);
        book.reveal(claimId, a, digests, salts_);
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Revealed);
        vm.assertEq(book.claimInfo(claimId).answers, keccak256(abi.encode(revealed(claimId))));
        book.requireAnswered(claimId, revealed(claimId));
        refusesReveal(inState(claimId, IClaimBook.ClaimState.Revealed), claimId, digests, salts_);
    }

    function test_reveal_afterAttestUntilUpToRevealUntil() public {
        uint64 claimId = submitAndAnswer(activeJob(1 ether, 4), 5);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        (bytes32[] memory digests, bytes32[] memory salts_) = (digestsOf(claimId), saltsOf(claimId));
        vm.warp(c.attestUntil);
        refusesReveal(
            abi.encodeWithSelector(IClaimBook.TooEarly.selector, claimId, c.attestUntil), claimId, digests, salts_
        );
        vm.warp(c.revealUntil + 1);
        refusesReveal(
            abi.encodeWithSelector(IClaimBook.TooLate.selector, claimId, c.revealUntil), claimId, digests, salts_
        );
        vm.warp(c.revealUntil);
        reveal(claimId);
    }

    function test_reveal_inItsFirstSecond() public {
        uint64 claimId = submitAndAnswer(activeJob(1 ether, 4), 5);
        IClaimBook.Claim memory before = book.claimInfo(claimId);
        vm.warp(before.attestUntil + 1);
        reveal(claimId);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        vm.assertTrue(c.state == IClaimBook.ClaimState.Revealed);
        vm.assertEq(c.contestUntil, before.contestUntil, "an early reveal shortens nothing");
        vm.assertEq(c.answers, keccak256(abi.encode(revealed(claimId))));
    }

    function test_reveal_revertsOnAnythingButWhatWasCommitted() public {
        uint64 claimId = submitAndAnswer(activeJob(1 ether, 4), 5);
        vm.warp(book.claimInfo(claimId).attestUntil + 1);
        (bytes32[] memory digests, bytes32[] memory salts_) = (digestsOf(claimId), saltsOf(claimId));
        bytes memory length1 = abi.encodeWithSelector(IClaimBook.WrongLength.selector, claimId, 2, 1);
        refusesReveal(length1, claimId, new bytes32[](1), salts_);
        refusesReveal(length1, claimId, digests, new bytes32[](1));
        (digests[0], digests[1]) = (digests[1], digests[0]); // each slot has its own
        (salts_[0], salts_[1]) = (salts_[1], salts_[0]);
        refusesReveal(abi.encodeWithSelector(IClaimBook.WrongReveal.selector, claimId, 0), claimId, digests, salts_);
        (digests, salts_) = (digestsOf(claimId), saltsOf(claimId));
        salts_[1] = 0;
        refusesReveal(abi.encodeWithSelector(IClaimBook.WrongReveal.selector, claimId, 1), claimId, digests, salts_);

        (digests, salts_) = (digestsOf(claimId), saltsOf(claimId));
        IClaimBook.Answered memory a = answered(claimId);
        a.openings[0] = 0;
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.NotWhatWasAnswered.selector, claimId));
        book.reveal(claimId, a, digests, salts_);
        a = answered(claimId);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.NotOperator.selector, claimId >> 32, STRANGER));
        book.reveal(claimId, a, digests, salts_);
    }

    /// A commitment copied from another claim does not open there: it names claim, slot and operator.
    function test_reveal_revertsOnACommitmentOfAnotherClaim() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 a = submitAndSeal(id, 5);
        uint64 b = submitAndSeal(id, 5);
        (Work.Opening[] memory openings, bytes32[] memory copied) = (honest(b), commitmentsOf(a));
        vm.prank(operator);
        book.answer(b, Packed.openings(b, openings), copied);
        vm.warp(book.claimInfo(b).attestUntil + 1);
        IClaimBook.Answered memory kept = IClaimBook.Answered(hashesOf(b), copied);
        (bytes32[] memory digests, bytes32[] memory salts_) = (digestsOf(a), saltsOf(a));
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.WrongReveal.selector, b, 0));
        book.reveal(b, kept, digests, salts_);
    }
}
