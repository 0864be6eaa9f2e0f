// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {VerifyFixture} from "../VerifyFixture.sol";
import {Answers} from "../../src/steps/Answers.sol";
import {IStepVerifier} from "../../src/steps/IStepVerifier.sol";
import {ScaleStep} from "../../src/steps/ScaleStep.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IProfileRegistry} from "../../src/interfaces/IProfileRegistry.sol";
import {ShapeStep} from "../../src/verify/ShapeStep.sol";

/// @dev A transcoder that blurs one tile of one frame, on the whole market: from the order to the slash. The evidence is what
/// the Rust builders make (vectors/steps/blur.json): 60 pictures of 1080p, five rungs, frame 37 of 960x540.
contract BlurTest is VerifyFixture {
    IChallengeManager.Step internal constant SCALE = IChallengeManager.Step.Scale;

    Vector internal cheat;
    Vector internal look; // the same place of an honest answer
    uint64 internal jobId;

    function setUp() public override {
        super.setUp();
        cheat = vector("blur", "one blurred tile of one frame");
        look = vector("blur", "the same place of the honest one");
        jobId = openJob(4, profiles.add(ordered(given(cheat))));
    }

    function given(Vector memory v) internal pure returns (Answers.Answer memory) {
        return abi.decode(v.evidence, (ScaleStep.Evidence)).answer;
    }

    /// @dev The profile to which this is an answer.
    function ordered(Answers.Answer memory a) internal pure returns (IProfileRegistry.Profile memory p) {
        (p.filter, p.cascade, p.ladder) = (a.filter, a.cascade, "1080p in five");
        p.rungs = new IProfileRegistry.Rung[](a.rungs.length);
        for (uint256 i = 0; i < a.rungs.length; ++i) {
            IProfileRegistry.Rung memory rung = p.rungs[i];
            (rung.width, rung.height) = (a.rungs[i].width, a.rungs[i].height);
            (rung.profiles, rung.level, rung.maxBytesPerSecond) = (1 << 100, 40, 1e6);
        }
    }

    function test_story_oneBlurredTileIsCaughtByOneTransaction() public {
        uint128 escrow = market.job(jobId).escrow;
        uint64 claimId = submit(jobId, 5);
        seal(claimId);
        digestOf[claimId][0] = cheat.statement;
        digestOf[claimId][1] = look.statement;
        answerClaim(claimId);
        // One verifier has looked; the other attests what the operator told it.
        address honest = attest(claimId, 0, 0, look.statement);
        address bribed = attest(claimId, 0, 1, cheat.statement);
        revealClaim(claimId);
        show(claimId, 0, 0, look.statement);
        show(claimId, 0, 1, cheat.statement);

        // The difference tells where to look, and the honest one finds the sample.
        bytes32 ticket = keccak256(abi.encode(keccak256(cheat.evidence), honest));
        challenges.reserve(ticket);
        vm.roll(block.number + 1);
        uint256 lock = info(claimId).lock;
        uint256 stake = registry.ownStake(operator);
        IClaimBook.Answered memory a = answered(claimId);
        vm.prank(honest);
        challenges.prove(claimId, 0, a, SCALE, cheat.evidence, honest);

        uint256 taken = lock + (stake + 19) / 20;
        vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Slashed));
        vm.assertEq(stake - registry.ownStake(operator), taken);
        vm.assertEq(registry.lockedBy(operator, address(book)), 0);
        vm.assertEq(registry.bounty(honest), taken / 2);
        vm.assertEq(market.job(jobId).escrow, escrow, "the client has its fee back");
        vm.assertTrue(!registry.isActive(operator), "jailed");
        vm.prank(honest);
        challenges.slashAttester(claimId, 0, 1);
        vm.assertEq(info(bribed).bonded, 2 * MIN_SELF - VERIFIER_LOCK);
        vm.assertEq(registry.bounty(honest), taken / 2 + VERIFIER_LOCK / 2);
    }

    /// The same transaction against the honest one reverts, and its claim is paid.
    function test_story_theHonestOneIsPaid() public {
        uint64 claimId = toRevealed(jobId, 5, look.statement);
        IClaimBook.Answered memory a = answered(claimId);
        vm.expectPartialRevert(IStepVerifier.OtherStatement.selector);
        challenges.prove(claimId, 0, a, SCALE, cheat.evidence, FINDER);
        vm.expectRevert(IStepVerifier.NothingWrong.selector);
        challenges.prove(claimId, 0, a, SCALE, look.evidence, FINDER);
        bytes memory shape = abi.encode(ShapeStep.Evidence(given(look), ordered(given(look))));
        vm.expectRevert(IStepVerifier.NothingWrong.selector);
        challenges.prove(claimId, 0, a, IChallengeManager.Step.Shape, shape, FINDER);
        settle(claimId);
        vm.assertEq(market.feesOf(operator), info(claimId).fee);
    }
}
