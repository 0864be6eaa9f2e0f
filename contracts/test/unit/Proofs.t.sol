// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {VerifyFixture} from "../VerifyFixture.sol";
import {Tree} from "../Tree.sol";
import {Work} from "../../src/lib/Work.sol";
import {Answers} from "../../src/steps/Answers.sol";
import {ClaimTree} from "../../src/steps/ClaimTree.sol";
import {HeaderStep} from "../../src/steps/HeaderStep.sol";
import {IStepVerifier} from "../../src/steps/IStepVerifier.sol";
import {LeafStep} from "../../src/steps/LeafStep.sol";
import {SumPath} from "../../src/steps/SumPath.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IProfileRegistry} from "../../src/interfaces/IProfileRegistry.sol";
import {OrderedHeaderStep} from "../../src/verify/OrderedHeaderStep.sol";
import {ShapeStep} from "../../src/verify/ShapeStep.sol";

contract ProofsTest is VerifyFixture {
    IChallengeManager.Step internal constant LEAF = IChallengeManager.Step.Leaf;
    IChallengeManager.Step internal constant SCALE = IChallengeManager.Step.Scale;
    IChallengeManager.Step internal constant ERROR_SUM = IChallengeManager.Step.ErrorSum;
    IChallengeManager.Step internal constant HEADER = IChallengeManager.Step.Header;
    IChallengeManager.Step internal constant SHAPE = IChallengeManager.Step.Shape;

    uint64 internal misplaced; // a leaf that is another segment's
    uint64 internal wrongUnits; // of all leaves

    function receipt(uint64 jobId, uint64 seq) internal view override returns (Work.Receipt memory r) {
        r = super.receipt(jobId, seq);
        if (misplaced != 0 && seq == misplaced) (r.seq, r.units) = (99, 1);
        if (wrongUnits != 0) r.units = wrongUnits;
    }

    function proved(uint64 claimId, uint256 slot, IChallengeManager.Step step, bytes32 fault) internal {
        vm.expectEmit(address(challenges));
        emit IChallengeManager.Proved(claimId, slot, step, fault, FINDER);
    }

    function isSlashed(uint64 claimId) internal view {
        vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Slashed));
    }

    function isWrong(uint64 claimId, bytes32 digest) internal view {
        vm.assertEq(bytes32(challenges.wrongDigest(claimId)), bytes32(bytes20(digest)));
    }

    function refuses(bytes4 selector) internal {
        vm.expectPartialRevert(selector);
    }

    // ---- scale and errors ----

    function test_prove_aWrongSampleTakesTheLockAndATwentiethOfTheStake() public {
        Vector memory v = vector("scale", "last sample of plane 0");
        uint64 claimId = toRevealed(openJob(), 5, v.statement);
        reserveTicket(v.evidence, FINDER);
        uint256 bonded = info(operator).bonded;
        uint256 lock = info(claimId).lock;
        proved(claimId, 1, SCALE, "wrong sample");
        prove(claimId, 1, SCALE, v.evidence);
        isSlashed(claimId);
        uint256 taken = lock + (bonded + 19) / 20;
        vm.assertEq(bonded - info(operator).bonded, taken);
        vm.assertEq(registry.bounty(FINDER), taken / 2);
        vm.assertEq(uint256(info(operator).strikes), 1);
        vm.assertEq(market.job(claimId >> 32).reserved, 0);
        isWrong(claimId, v.statement);
        refuses(IChallengeManager.ClaimInState.selector);
        prove(claimId, 0, SCALE, v.evidence); // the same evidence again
    }

    function test_prove_whatIsRightReverts() public {
        Vector memory v = vector("scale", "across two tiles of the source");
        uint64 claimId = toRevealed(openJob(), 5, v.statement);
        vm.expectRevert(IStepVerifier.NothingWrong.selector);
        prove(claimId, 0, SCALE, v.evidence);
        refuses(IStepVerifier.OtherStatement.selector);
        prove(claimId, 0, SCALE, vector("scale", "last sample of plane 0").evidence);
    }

    function test_prove_errors() public {
        string[3] memory names = ["an error too large", "luma of a tile", "chroma of the segment"];
        bytes32[3] memory faults = [bytes32("wrong error"), "tile limit", "segment limit"];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 snapshot = vmState.snapshotState();
            Vector memory v = vector("error_sum", names[i]);
            uint64 claimId = toRevealed(openJob(), 5, v.statement);
            proved(claimId, 0, ERROR_SUM, faults[i]);
            prove(claimId, 0, ERROR_SUM, v.evidence);
            isSlashed(claimId);
            // Limits are broken by the work: who says so truly has attested nothing wrong.
            isWrong(claimId, i == 0 ? v.statement : bytes32(0));
            vmState.revertToState(snapshot);
        }
    }

    // ---- when ----

    function test_prove_fromTheRevealToTheEndOfTheContest() public {
        Vector memory v = vector("scale", "last sample of plane 0");
        uint64 claimId = submit(openJob(), 5);
        seal(claimId);
        (digestOf[claimId][0], digestOf[claimId][1]) = (v.statement, v.statement);
        answerClaim(claimId);
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeManager.ClaimInState.selector, claimId, IClaimBook.ClaimState.Answered)
        );
        prove(claimId, 0, SCALE, v.evidence);
        revealClaim(claimId);
        uint256 last = info(claimId).contestUntil;
        vm.warp(last + 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.TooLate.selector, last));
        prove(claimId, 0, SCALE, v.evidence);
        vm.warp(last);
        prove(claimId, 0, SCALE, v.evidence);
    }

    /// Found after it was paid: too late, and the refusal says that the claim is settled.
    function test_prove_tooLateOnceSettled() public {
        Vector memory v = vector("scale", "last sample of plane 0");
        uint64 claimId = toRevealed(openJob(), 5, v.statement);
        settle(claimId);
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeManager.ClaimInState.selector, claimId, IClaimBook.ClaimState.Settled)
        );
        prove(claimId, 0, SCALE, v.evidence);
    }

    function test_prove_longerWhileSomethingHoldsTheClaim() public {
        Vector memory v = vector("scale", "last sample of plane 0");
        uint64 claimId = toRevealed(openJob(), 5, v.statement);
        vm.prank(address(game));
        book.hold(claimId);
        vm.warp(uint256(info(claimId).contestUntil) + 1000);
        prove(claimId, 0, SCALE, v.evidence);
        isSlashed(claimId);
    }

    function test_prove_needsWhatWasAnswered() public {
        Vector memory v = vector("scale", "last sample of plane 0");
        uint64 claimId = toRevealed(openJob(), 5, digestFor(answer()));
        IClaimBook.Answered memory a = answered(claimId);
        a.digests[0] = v.statement;
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotAnswered.selector, claimId));
        challenges.prove(claimId, 0, a, SCALE, v.evidence, FINDER);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoSuchSeat.selector, 2, 0));
        prove(claimId, 2, SCALE, v.evidence);
    }

    // ---- finders ----

    function test_reserve_countsFromTheNextBlockAndForItsFinderAlone() public {
        Vector memory v = vector("scale", "last sample of plane 0");
        bytes32 ticket = keccak256(abi.encode(keccak256(v.evidence), FINDER));
        uint64 claimId = toRevealed(openJob(), 5, v.statement);
        vm.expectEmit(address(challenges));
        emit IChallengeManager.Reserved(ticket);
        challenges.reserve(ticket);
        vm.assertEq(challenges.ticketBlock(ticket), block.number);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.AlreadyReserved.selector, ticket));
        challenges.reserve(ticket); // nobody makes it younger
        prove(claimId, 0, SCALE, v.evidence); // in the same block
        vm.assertEq(registry.bounty(FINDER), 0, "all is burned");
    }

    /// Who copies a proof out of the queue, and whoever it is sent for, gains nothing.
    function test_prove_copiesGainNothing() public {
        Vector memory v = vector("scale", "last sample of plane 0");
        uint64 claimId = toRevealed(openJob(), 5, v.statement);
        reserveTicket(v.evidence, FINDER);
        IClaimBook.Answered memory a = answered(claimId);
        challenges.prove(claimId, 0, a, SCALE, v.evidence, address(0xC0B1));
        vm.assertEq(registry.bounty(address(0xC0B1)), 0);
        vm.assertEq(registry.bounty(FINDER), 0);
        isSlashed(claimId);
    }

    /// The evidence as somebody else encodes it has another ticket.
    function test_prove_ticketsAreOfTheBytes() public {
        Vector memory v = vector("scale", "last sample of plane 0");
        uint64 claimId = toRevealed(openJob(), 5, v.statement);
        reserveTicket(v.evidence, FINDER);
        prove(claimId, 0, SCALE, bytes.concat(v.evidence, hex"00"));
        vm.assertEq(registry.bounty(FINDER), 0);
    }

    // ---- leaf ----

    function units(uint64 claimId) internal view returns (bytes memory) {
        LeafStep.Units memory u;
        (u.opening, u.answer) = (asStep(openingsOf(claimId)[0]), answer());
        u.decoded = new LeafStep.Decoded[](2);
        (u.decoded[0], u.decoded[1]) = (LeafStep.Decoded(1, "top"), LeafStep.Decoded(1, "top"));
        return abi.encode(LeafStep.Evidence(drawn(claimId), LeafStep.Kind.Units, abi.encode(u)));
    }

    function asStep(Work.Opening memory o) internal pure returns (LeafStep.Opening memory out) {
        return abi.decode(abi.encode(o), (LeafStep.Opening)); // the same ABI, as the book's hashes need it
    }

    function drawn(uint64 claimId) internal view returns (LeafStep.Drawn memory) {
        IClaimBook.Claim memory c = info(claimId);
        return LeafStep.Drawn({
            domain: market.domainSeparator(),
            claim: ClaimTree.Claim(c.jobId, c.client, c.operator, c.first, c.count, c.totalUnits, c.root),
            draw: book.draws(claimId)[0],
            opening: keccak256(abi.encode(openingsOf(claimId)[0])),
            answer: digestFor(answer())
        });
    }

    function test_prove_wrongUnits() public {
        wrongUnits = 1153;
        uint64 claimId = toRevealed(openJob(), 5, digestFor(answer()));
        bytes memory evidence = units(claimId);
        proved(claimId, 0, LEAF, "wrong units");
        prove(claimId, 0, LEAF, evidence);
        isSlashed(claimId);
        isWrong(claimId, 0);
    }

    function test_prove_theRightUnits() public {
        wrongUnits = 1152; // 1280 x 720 and 640 x 360, one picture each
        uint64 claimId = toRevealed(openJob(), 5, digestFor(answer()));
        bytes memory evidence = units(claimId);
        vm.expectRevert(IStepVerifier.NothingWrong.selector);
        prove(claimId, 0, LEAF, evidence);
    }

    function test_prove_aLeafInAnothersPlace() public {
        misplaced = 3;
        uint64 claimId = toRevealed(openJob(), 5, digestFor(answer()));
        Work.Receipt[] memory r = receipts(info(claimId).jobId, 0, 5);
        SumPath.Node[] memory path = abi.decode(abi.encode(Tree.path(r, 3)), (SumPath.Node[]));
        bytes memory detail = abi.encode(LeafStep.Place(r[3], 3, path));
        bytes memory evidence = abi.encode(LeafStep.Evidence(drawn(claimId), LeafStep.Kind.Place, detail));
        proved(claimId, 0, LEAF, "wrong place");
        prove(claimId, 0, LEAF, evidence);
        isSlashed(claimId);
    }

    // ---- headers ----

    function headers(Vector memory v) internal pure returns (OrderedHeaderStep.Evidence memory e) {
        HeaderStep.Ordered memory ordered = abi.decode(v.evidence, (HeaderStep.Evidence)).ordered;
        (e.answer, e.profile, e.rung, e.headers) = (answer(), profile(), 1, v.evidence);
        e.answer.rungs[1].content = ordered.content;
        IProfileRegistry.Rung memory rung = e.profile.rungs[1];
        (rung.profiles, rung.level) = (ordered.profiles, ordered.level);
        (rung.width, rung.height) = (ordered.width, ordered.height);
    }

    function test_prove_headersThatWereNotOrdered() public {
        OrderedHeaderStep.Evidence memory e = headers(vector("header", "a higher level"));
        uint64 claimId = toRevealed(openJob(4, profiles.add(e.profile)), 5, digestFor(e.answer));
        for (uint256 i = 0; i < 4; ++i) {
            OrderedHeaderStep.Evidence memory other = headers(vector("header", "a higher level"));
            if (i == 0) other.rung = 2;
            if (i == 1) other.profile.rungs[1].level = 62;
            if (i == 2) other.answer.rungs[1].content = 0;
            if (i == 3) other.rung = 0;
            refuses(i == 0 ? IStepVerifier.OutOfShape.selector : IStepVerifier.OtherStatement.selector);
            prove(claimId, 0, HEADER, abi.encode(other));
        }
        proved(claimId, 0, HEADER, "wrong level");
        prove(claimId, 0, HEADER, abi.encode(e));
        isSlashed(claimId);
        isWrong(claimId, 0); // a true account of bad work
    }

    function test_prove_headersAsOrdered() public {
        OrderedHeaderStep.Evidence memory e = headers(vector("header", "the ordered parameters"));
        uint64 claimId = toRevealed(openJob(4, profiles.add(e.profile)), 5, digestFor(e.answer));
        vm.expectRevert(IStepVerifier.NothingWrong.selector);
        prove(claimId, 0, HEADER, abi.encode(e));
    }

    /// An answer with fewer rungs than the profile is wrong as such; its headers are nobody's.
    function test_prove_headersOfARungThatIsNotAnswered() public {
        OrderedHeaderStep.Evidence memory e = headers(vector("header", "a higher level"));
        Answers.Rung[] memory rungs = new Answers.Rung[](1);
        rungs[0] = e.answer.rungs[0];
        e.answer.rungs = rungs;
        uint64 claimId = toRevealed(openJob(4, profiles.add(e.profile)), 5, digestFor(e.answer));
        vm.expectRevert(IStepVerifier.OutOfShape.selector);
        prove(claimId, 0, HEADER, abi.encode(e));
    }

    // ---- shape ----

    function test_prove_anAnswerToAnotherOrder() public {
        bytes32[7] memory faults = [
            bytes32("wrong curve"),
            "wrong cascade",
            "wrong rungs",
            "wrong size",
            "wrong size",
            "wrong limits",
            "wrong limits"
        ];
        uint64 jobId = openJob();
        for (uint256 i = 0; i < 7; ++i) {
            uint256 snapshot = vmState.snapshotState();
            Answers.Answer memory a = answer();
            if (i == 0) a.filter = 0;
            if (i == 1) a.cascade = false;
            if (i == 2) a.rungs = new Answers.Rung[](1);
            if (i == 3) a.rungs[1].width += 2;
            if (i == 4) a.rungs[0].height += 2;
            if (i == 5) a.rungs[0].limits = 0;
            if (i == 6) a.rungs[1].limits = 0;
            uint64 claimId = toRevealed(jobId, 5, digestFor(a));
            proved(claimId, 0, SHAPE, faults[i]);
            prove(claimId, 0, SHAPE, abi.encode(ShapeStep.Evidence(a, profile())));
            isSlashed(claimId);
            isWrong(claimId, digestFor(a));
            vmState.revertToState(snapshot);
        }
    }

    function test_prove_anAnswerToTheOrder() public {
        uint64 claimId = toRevealed(openJob(), 5, digestFor(answer()));
        vm.expectRevert(IStepVerifier.NothingWrong.selector);
        prove(claimId, 0, SHAPE, abi.encode(ShapeStep.Evidence(answer(), profile())));
        IProfileRegistry.Profile memory other = profile();
        other.filter = 0;
        refuses(IStepVerifier.OtherStatement.selector);
        prove(claimId, 0, SHAPE, abi.encode(ShapeStep.Evidence(answer(), other)));
    }

    // ---- S5 ----

    /// @dev A claim whose slot 0 was attested with the operator's wrong digest by one verifier, and rightly by the other.
    function toProvedWrong() internal returns (uint64 claimId, address liar, Vector memory v) {
        v = vector("scale", "last sample of plane 0");
        claimId = submit(openJob(), 5);
        seal(claimId);
        (digestOf[claimId][0], digestOf[claimId][1]) = (v.statement, "another");
        answerClaim(claimId);
        liar = attest(claimId, 0, 0, v.statement);
        attest(claimId, 0, 1, "right");
        revealClaim(claimId);
        show(claimId, 0, 0, v.statement);
        show(claimId, 0, 1, "right");
        prove(claimId, 0, SCALE, v.evidence);
    }

    function slashAttester(uint64 claimId, uint256 slot, uint256 which) internal {
        vm.prank(FINDER);
        challenges.slashAttester(claimId, slot, which);
    }

    function test_slashAttester_takesTheLockOfWhoAttestedIt() public {
        (uint64 claimId, address liar,) = toProvedWrong();
        uint256 bonded = info(liar).bonded;
        vm.expectEmit(address(challenges));
        emit IChallengeManager.VerifierSlashed(liar, VERIFIER_LOCK);
        slashAttester(claimId, 0, 0);
        vm.assertEq(bonded - info(liar).bonded, VERIFIER_LOCK);
        vm.assertEq(registry.bounty(FINDER), VERIFIER_LOCK / 2);
        IChallengeManager.Verifier memory w = challenges.verifier(liar);
        vm.assertEq(w.lock, 0);
        vm.assertEq(w.until, set.epoch() + 1);
        vm.assertTrue(challenges.seat(claimId, 0, 0).slashed);
        vm.expectRevert(IChallengeManager.NothingToTake.selector);
        slashAttester(claimId, 0, 0);
        refuses(IChallengeManager.NotProvedWrong.selector);
        slashAttester(claimId, 0, 1); // who differed
        refuses(IChallengeManager.NotProvedWrong.selector);
        slashAttester(claimId, 1, 0); // who was not there
    }

    /// A lock of a later enlistment is not taken for an earlier seat.
    function test_slashAttester_notTheNextLock() public {
        (uint64 claimId, address liar,) = toProvedWrong();
        vm.prank(liar);
        challenges.resign();
        pass(challenges.reach());
        challenges.takeLock(liar);
        vm.expectRevert(IChallengeManager.NothingToTake.selector);
        slashAttester(claimId, 0, 0);
        vm.prank(liar);
        challenges.enlist();
        nextEpoch();
        vm.expectRevert(IChallengeManager.NothingToTake.selector);
        slashAttester(claimId, 0, 0);
    }

    /// One lock backs all seats: the second seat of one verifier finds nothing left.
    function test_slashAttester_aLockIsTakenOnce() public {
        Vector memory v = vector("scale", "last sample of plane 0");
        uint64 jobId = openJob();
        uint64 claimId;
        address who;
        do {
            claimId = submit(jobId, 5);
            seal(claimId);
            (digestOf[claimId][0], digestOf[claimId][1]) = (v.statement, v.statement);
            answerClaim(claimId);
            who = challenges.verifierOf(claimId, 0, 0);
        } while (challenges.verifierOf(claimId, 1, 0) != who);
        attest(claimId, 0, 0, v.statement);
        attest(claimId, 1, 0, v.statement);
        revealClaim(claimId);
        show(claimId, 0, 0, v.statement);
        show(claimId, 1, 0, v.statement);
        prove(claimId, 0, SCALE, v.evidence);
        slashAttester(claimId, 1, 0); // the same digest in another slot
        vm.expectRevert(IChallengeManager.NothingToTake.selector);
        slashAttester(claimId, 0, 0);
    }

    function test_slashAttester_nobodyForAnEmptyDigest() public {
        uint64 claimId = toAnswered();
        attest(claimId, 0, 0, 0);
        revealClaim(claimId);
        show(claimId, 0, 0, 0);
        refuses(IChallengeManager.NotProvedWrong.selector);
        slashAttester(claimId, 0, 0);
    }

    function test_slashAttester_nothingWhereNothingWasProved() public {
        uint64 claimId = toAnswered();
        attest(claimId, 0, 0, digestFor(answer()));
        revealClaim(claimId);
        show(claimId, 0, 0, digestFor(answer()));
        refuses(IChallengeManager.NotProvedWrong.selector);
        slashAttester(claimId, 0, 0);
        refuses(IChallengeManager.NotProvedWrong.selector);
        slashAttester(claimId, 0, 1); // an empty seat, and no digest proved wrong
    }
}

interface VmState {
    function snapshotState() external returns (uint256);
    function revertToState(uint256 id) external returns (bool);
}

VmState constant vmState = VmState(address(uint160(uint256(keccak256("hevm cheat code")))));
