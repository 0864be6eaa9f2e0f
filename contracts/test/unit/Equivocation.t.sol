// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {VerifyFixture} from "../VerifyFixture.sol";
import {Tree} from "../Tree.sol";
import {Work} from "../../src/lib/Work.sol";
import {ClaimTree} from "../../src/steps/ClaimTree.sol";
import {EquivocationStep} from "../../src/steps/EquivocationStep.sol";
import {IStepVerifier} from "../../src/steps/IStepVerifier.sol";
import {SumPath} from "../../src/steps/SumPath.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";

contract EquivocationTest is VerifyFixture {
    uint256 internal constant NEW_KEY = 0x5167;

    function another(uint64 jobId, uint64 seq) internal view returns (Work.Receipt memory r) {
        r = receipt(jobId, seq);
        r.outRoot = "another output";
    }

    function signedReceipt(uint256 key, Work.Receipt memory r) internal view returns (bytes memory) {
        return signed(key, book.receiptDigest(r));
    }

    function twoReceipts(uint64 jobId, uint64 seq, uint256 key) internal view returns (bytes memory) {
        EquivocationStep.TwoReceipts memory two;
        (two.a, two.b) = (receipt(jobId, seq), another(jobId, seq));
        (two.signatureA, two.signatureB) = (signedReceipt(key, two.a), signedReceipt(key, two.b));
        EquivocationStep.Accused memory accused;
        (accused.domain, accused.operator) = (market.domainSeparator(), vm.addr(key));
        accused.claim.jobId = jobId;
        return abi.encode(EquivocationStep.Evidence(accused, EquivocationStep.Kind.TwoReceipts, abi.encode(two)));
    }

    /// @dev Of the claim's segment `index`.
    function againstLeaf(uint64 claimId, uint64 index) internal view returns (bytes memory) {
        IClaimBook.Claim memory c = info(claimId);
        Work.Receipt[] memory r = receipts(c.jobId, c.first, c.count);
        EquivocationStep.ReceiptAndLeaf memory d;
        (d.receipt, d.leaf) = (another(c.jobId, c.first + index), r[index]);
        d.signature = signedReceipt(RIG_KEY, d.receipt);
        d.path = abi.decode(abi.encode(Tree.path(r, index)), (SumPath.Node[]));
        ClaimTree.Claim memory tree =
            ClaimTree.Claim(c.jobId, c.client, c.operator, c.first, c.count, c.totalUnits, c.root);
        EquivocationStep.Accused memory accused = EquivocationStep.Accused(market.domainSeparator(), operator, tree);
        return abi.encode(EquivocationStep.Evidence(accused, EquivocationStep.Kind.ReceiptAndLeaf, abi.encode(d)));
    }

    function accuse(uint64 jobId, address signer, uint64 claimId, bytes memory evidence) internal {
        challenges.proveEquivocation(jobId, signer, claimId, evidence, FINDER);
    }

    function test_equivocation_twoReceiptsCostMinLockAndATwentieth() public {
        uint64 jobId = openJob();
        bytes memory evidence = twoReceipts(jobId, 3, RIG_KEY);
        reserveTicket(evidence, FINDER);
        uint256 bonded = info(operator).bonded;
        uint256 taken = 10e18 + bonded / 20;
        vm.expectEmit(address(challenges));
        emit IChallengeManager.Equivocated(jobId, operator, 3, "two receipts", taken);
        accuse(jobId, operator, 0, evidence);
        vm.assertEq(bonded - info(operator).bonded, taken);
        vm.assertEq(registry.bounty(FINDER), taken / 2);
        vm.assertEq(uint256(info(operator).strikes), 1);
        vm.assertEq(registry.lockedBy(operator, address(market)), START_LOCK, "no lock is given up");
    }

    /// Once for each segment, in whichever way it is shown, but a claim that is not over ends in any case.
    function test_equivocation_onceForEachSegment() public {
        uint64 jobId = openJob();
        uint64 claimId = submit(jobId, 5);
        accuse(jobId, operator, 0, twoReceipts(jobId, 3, RIG_KEY));
        bytes memory again = abi.encodeWithSelector(IChallengeManager.AlreadyPunished.selector, operator, jobId, 3);
        bytes memory evidence = twoReceipts(jobId, 3, RIG_KEY);
        vm.expectRevert(again);
        accuse(jobId, operator, 0, evidence);
        evidence = bytes.concat(evidence, hex"00");
        vm.expectRevert(again);
        accuse(jobId, operator, 0, evidence);
        accuse(jobId, operator, claimId, againstLeaf(claimId, 3));
        vm.assertEq(uint256(info(claimId).state), uint256(IClaimBook.ClaimState.Slashed), "no shield");
        accuse(jobId, operator, 0, twoReceipts(jobId, 4, RIG_KEY));
        vm.assertEq(uint256(info(operator).strikes), 3);
    }

    /// Against a claim that is not over, in whatever state, it is S2 and ends the claim.
    function test_equivocation_endsAClaimThatIsNotOver() public {
        for (uint256 i = 0; i < 4; ++i) {
            uint64 claimId = submit(openJob(), 5);
            if (i > 0) seal(claimId);
            if (i > 1) answerClaim(claimId);
            if (i > 2) revealClaim(claimId);
            uint256 bonded = info(operator).bonded;
            uint256 lock = info(claimId).lock;
            bytes memory evidence = againstLeaf(claimId, 2);
            accuse(info(claimId).jobId, operator, claimId, evidence);
            vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Slashed));
            vm.assertEq(bonded - info(operator).bonded, lock + (bonded + 19) / 20);
            vm.assertEq(bytes32(challenges.wrongDigest(claimId)), 0);
            if (i == 3) continue;
            nextEpoch();
            pass(61 days);
            if (i < 2) rejoin();
            else return;
        }
    }

    function rejoin() internal {
        vm.prank(operator);
        set.activate(operator);
    }

    /// Livepeer v1, #165: once a claim had been paid, nobody could be slashed for claiming its segments twice.
    function test_livepeer165_whoWasPaidIsPunishedForADoubleClaim() public {
        uint64 claimId = toRevealed(openJob(), 5, digestFor(answer()));
        settle(claimId);
        uint256 bonded = info(operator).bonded;
        bytes memory evidence = againstLeaf(claimId, 2);
        accuse(claimId >> 32, operator, claimId, evidence);
        vm.assertEq(bonded - info(operator).bonded, 10e18 + (bonded + 19) / 20);
        vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Settled));
    }

    function test_equivocation_needsTheJobsOperatorAndItsClaim() public {
        uint64 jobId = openJob();
        uint64 claimId = submit(jobId, 5);
        uint64 other = openJob();
        bytes memory evidence = againstLeaf(claimId, 2);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotItsJob.selector, operator, other));
        accuse(other, operator, claimId, evidence);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotItsJob.selector, address(0), 77));
        accuse(77, operator, 0, evidence);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotItsJob.selector, operator, jobId));
        accuse(jobId, operator, claimId + 1, evidence); // no such claim
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotItsKey.selector, operator, client));
        accuse(jobId, client, claimId, evidence);
    }

    /// Two receipts say nothing of a claim, and a receipt beside a leaf says nothing without one.
    function test_equivocation_kindAndClaimBelongTogether() public {
        uint64 jobId = openJob();
        uint64 claimId = submit(jobId, 5);
        EquivocationStep.Evidence memory e = abi.decode(twoReceipts(jobId, 3, RIG_KEY), (EquivocationStep.Evidence));
        e.accused.claim = abi.decode(againstLeaf(claimId, 3), (EquivocationStep.Evidence)).accused.claim;
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.OtherFault.selector, bytes32("two receipts")));
        accuse(jobId, operator, claimId, abi.encode(e));
        bytes memory evidence = againstLeaf(claimId, 3);
        vm.expectPartialRevert(IStepVerifier.OtherStatement.selector);
        accuse(jobId, operator, 0, evidence);
    }

    function test_equivocation_ofOneReceiptIsNone() public {
        uint64 jobId = openJob();
        uint64 claimId = submit(jobId, 5);
        EquivocationStep.Evidence memory e = abi.decode(againstLeaf(claimId, 3), (EquivocationStep.Evidence));
        EquivocationStep.ReceiptAndLeaf memory d = abi.decode(e.detail, (EquivocationStep.ReceiptAndLeaf));
        d.receipt = d.leaf;
        d.signature = signedReceipt(RIG_KEY, d.receipt);
        e.detail = abi.encode(d);
        vm.expectRevert(IStepVerifier.NothingWrong.selector);
        accuse(jobId, operator, claimId, abi.encode(e));
    }

    /// A changed key shakes off no receipt for the unbonding time, and after it does.
    function test_equivocation_ofAReplacedKey() public {
        uint64 jobId = openJob();
        address key = vm.addr(NEW_KEY);
        vm.prank(operator);
        keys.proposeSigner(operator, key);
        vm.prank(key);
        keys.acceptSigner(operator);
        bytes memory old = twoReceipts(jobId, 3, RIG_KEY);
        bytes memory now_ = twoReceipts(jobId, 4, NEW_KEY);
        pass(UNBOND);
        accuse(jobId, operator, 0, old);
        accuse(jobId, key, 0, now_);
        old = twoReceipts(jobId, 5, RIG_KEY);
        pass(1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotItsKey.selector, operator, operator));
        accuse(jobId, operator, 0, old);
    }
}
