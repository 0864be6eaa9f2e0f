// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Contents} from "../Contents.sol";
import {VerifyFixture} from "../VerifyFixture.sol";
import {EquivocationStep} from "../../src/steps/EquivocationStep.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {EvidenceReader} from "../../src/verify/EvidenceReader.sol";

/// @dev What verification costs in whole transactions (--isolate): snapshots/verification.json, held to it by test.sh.
contract VerificationGas is VerifyFixture {
    /// @dev Five epochs of changes, so that no word of the weights' tree is fresh.
    function setUp() public override {
        super.setUp();
        for (uint256 epochs = 0; epochs < 5; ++epochs) {
            nextEpoch();
            bond(operator, 8e18);
            for (uint256 i = 0; i < CROWD; ++i) {
                bond(op(i), 8e18);
            }
        }
        nextEpoch();
        pass(1 hours);
    }

    function measure(string memory name, uint256 most) internal {
        vm.assertLe(vm.snapshotGasLastCall("verification", name), most, name);
    }

    /// A wrong picture is caught by one transaction: the proof, the slash with its jail, the fee's way back.
    function test_gas_blur() public {
        Vector memory v = vector("blur", "one blurred tile of one frame");
        uint64 claimId = submit(openJob(), 5);
        seal(claimId);
        (digestOf[claimId][0], digestOf[claimId][1]) = (v.statement, "another");
        answerClaim(claimId);
        attest(claimId, 0, 0, "right");
        measure("attest, seat 0", 200_000);
        attest(claimId, 0, 1, v.statement);
        measure("attest, seat 1", 200_000);
        revealClaim(claimId);
        show(claimId, 0, 0, "right");
        measure("reveal, first of a claim", 120_000);
        show(claimId, 0, 1, v.statement);
        measure("reveal", 100_000);
        reserveTicket(v.evidence, FINDER);
        measure("reserve a finder's ticket", 60_000);
        prove(claimId, 0, IChallengeManager.Step.Scale, v.evidence);
        measure("prove one blurred tile of one frame", 400_000);
        vm.prank(FINDER);
        challenges.slashAttester(claimId, 0, 1);
        measure("slash who attested it", 250_000);
    }

    function test_gas_verifiers() public {
        join(op(6), MIN_SELF);
        vm.prank(op(6));
        challenges.enlist();
        measure("enlist", 150_000);
        uint64 claimId = toAnswered();
        bytes32 right = digestFor(answer());
        attestBoth(claimId, 0, right);
        revealClaim(claimId);
        showBoth(claimId, 0, right);
        vm.warp(uint256(info(claimId).revealUntil) + 1);
        challenges.reportAbsent(claimId, 1, 0);
        measure("report an absence", 200_000);
        settle(claimId);
        IClaimBook.Answered memory a = answered(claimId);
        challenges.takeReward(claimId, 0, 0, a);
        measure("take a reward", 120_000);
    }

    function test_gas_demands() public {
        IChallengeManager.Missing memory m = IChallengeManager.Missing(true, 0, 1);
        uint64 claimId = toAnswered();
        bytes32 digest = challenges.missingDigest(m);
        attestBoth(claimId, 0, digest);
        attestBoth(claimId, 1, digest);
        revealClaim(claimId);
        showBoth(claimId, 0, digest);
        showBoth(claimId, 1, digest);
        challenges.demand(claimId, 0, m);
        measure("demand a chunk", 160_000);
        challenges.demand(claimId, 1, m);
        EvidenceReader.Publication memory p;
        (p.answered, p.opening, p.missing) = (answered(claimId), openingsOf(claimId)[0], m);
        p.chunk = Contents.opening(Contents.fill(SOURCE_BYTES), 1);
        challenges.publish(claimId, 0, abi.encode(p));
        measure("publish a chunk of 16 KiB", 800_000);
        p.opening = openingsOf(claimId)[1];
        challenges.publish(claimId, 1, abi.encode(p));
        pass(PUBLISH + 1);
        challenges.release(claimId);
        measure("release a claim", 60_000);
    }

    function test_gas_answers() public {
        uint64 claimId = toAnswered();
        attest(claimId, 0, 0, "another");
        attest(claimId, 1, 0, "another");
        revealClaim(claimId);
        show(claimId, 0, 0, "another");
        show(claimId, 1, 0, "another");
        IClaimBook.Answered memory a = answered(claimId);
        challenges.demandAnswer(claimId, 0, 0, a);
        measure("demand an answer", 170_000);
        challenges.demandAnswer(claimId, 1, 0, a);
        challenges.publishAnswer(claimId, 0, abi.encode(answer()));
        measure("publish an answer", 100_000);
        pass(PUBLISH + 1);
        challenges.slashWithheld(claimId, 1);
        measure("slash withheld data", 250_000);
    }

    function test_gas_equivocation() public {
        uint64 jobId = openJob();
        EquivocationStep.TwoReceipts memory two;
        (two.a, two.b) = (receipt(jobId, 3), receipt(jobId, 3));
        two.b.units += 1;
        (two.signatureA, two.signatureB) =
        (signed(RIG_KEY, book.receiptDigest(two.a)), signed(RIG_KEY, book.receiptDigest(two.b)));
        EquivocationStep.Accused memory accused;
        (accused.domain, accused.operator, accused.claim.jobId) = (market.domainSeparator(), operator, jobId);
        bytes memory evidence =
            abi.encode(EquivocationStep.Evidence(accused, EquivocationStep.Kind.TwoReceipts, abi.encode(two)));
        reserveTicket(evidence, FINDER);
        challenges.proveEquivocation(jobId, operator, 0, evidence, FINDER);
        measure("prove two receipts", 320_000);
    }
}
