// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "../ClaimFixture.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {BlockHashes} from "../../src/lib/BlockHashes.sol";
import {BlockHeader} from "../../src/lib/BlockHeader.sol";

/// @dev Claims and their seeds.
contract ClaimsTest is ClaimFixture {
    /// The deployed code of EIP-2935's history contract.
    bytes internal constant HISTORY_CODE =
        hex"3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";

    function claimAs(address who, uint64 jobId, uint64 first, uint32 count, uint64 units) internal returns (uint64) {
        vm.prank(who);
        return book.claim(jobId, first, count, keccak256("root"), units);
    }

    function refusesClaim(bytes memory why, uint64 jobId, uint64 first, uint32 count, uint64 units) internal {
        vm.prank(operator);
        vm.expectRevert(why);
        book.claim(jobId, first, count, keccak256("root"), units);
    }

    // ---- claim ----

    function test_claim_reservesTheFeeAndLocksCollateral() public {
        uint64 id = activeJob(1 ether, 4);
        uint256 lockedBefore = info(operator).locked;
        vm.expectEmit(address(book));
        emit IClaimBook.ClaimSubmitted(id << 32, id, operator, 300, keccak256("root"), 30_000_000);
        uint64 claimId = claimAs(operator, id, 0, 300, 30_000_000);
        vm.assertEq(claimId, id << 32);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        vm.assertEq(c.jobId, id);
        vm.assertEq(c.first, 0);
        vm.assertEq(c.count, 300);
        vm.assertEq(c.totalUnits, 30_000_000);
        vm.assertEq(c.operator, operator);
        vm.assertEq(c.root, keccak256(abi.encode(keccak256("root"), client, operator)));
        vm.assertEq(c.client, client);
        vm.assertEq(c.drawn, 4);
        vm.assertEq(c.fee, 0.03 ether);
        vm.assertEq(c.lock, 5e18 + 4 * 2 * 5e18, "0.03 ether x 1000 / 3 / 2, and four segments verified twice");
        vm.assertEq(c.seedBlock, block.number + 3);
        vm.assertEq(c.epoch, set.epoch());
        vm.assertEq(c.answerUntil, block.timestamp + 1000);
        vm.assertEq(uint256(c.attestUntil) + c.revealUntil + c.contestUntil + c.holds, 0);
        vm.assertEq(c.seed, bytes32(0));
        vm.assertTrue(c.state == IClaimBook.ClaimState.Submitted);
        IJobMarket.Job memory j = market.job(id);
        vm.assertEq(j.escrow, 0.97 ether);
        vm.assertEq(j.reserved, 0.03 ether);
        vm.assertEq(j.nextSeq, 300);
        vm.assertEq(info(operator).locked - lockedBefore, c.lock);
        vm.assertEq(registry.lockedBy(operator, address(book)), c.lock);
    }

    function test_claim_idNamesJobAndFirstSegment() public {
        activeJob(1 ether, 4);
        uint64 id = activeJob(1 ether, 4);
        vm.assertEq(claimAs(operator, id, 0, 7, 1), id << 32);
        vm.assertEq(claimAs(operator, id, 7, 1, 1), id << 32 | 7);
    }

    function test_claim_shortClaimsAreDrawnLessAndLockTwiceAsMuch() public {
        uint64 id = activeJob(1 ether, 8);
        IClaimBook.Claim memory c = book.claimInfo(claimAs(operator, id, 0, LONG - 1, 30_000_000));
        vm.assertEq(c.drawn, 2);
        vm.assertEq(c.lock, 10e18 + 2 * 2 * 5e18);
        c = book.claimInfo(claimAs(operator, id, LONG - 1, LONG, 30_000_000));
        vm.assertEq(c.drawn, 8);
        vm.assertEq(c.lock, 5e18 + 8 * 2 * 5e18);
        c = book.claimInfo(claimAs(operator, id, 2 * LONG - 1, 1, 30_000_000));
        vm.assertEq(c.drawn, 1, "no more than there are");
        id = activeJob(1 ether, 1);
        vm.assertEq(book.claimInfo(claimAs(operator, id, 0, 5, 1)).drawn, 1, "k is the most");
    }

    function test_claim_lockRoundsUpAndHasALeast() public {
        uint64 id = activeJob(1 ether, 4);
        IClaimBook.Params memory p = claimParams();
        (p.minLock, p.verifierLock) = (12e18, 1e18);
        vm.prank(TIMELOCK);
        book.setParams(p);
        uint64 claimId = claimAs(operator, id, 0, 1, 100_000_000); // 0.1 ether
        vm.assertEq(book.claimInfo(claimId).lock, 33_333333333333333334 + 2e18);
        claimId = claimAs(operator, id, 1, 300, 1_000_000);
        vm.assertEq(book.claimInfo(claimId).lock, 12e18, "0.17 tokens and 8 are too few");
    }

    function test_claim_revertsOnBadCountOrUnits() public {
        uint64 id = activeJob(1 ether, 4);
        refusesClaim(abi.encodeWithSelector(IClaimBook.BadCount.selector, 0, 4096), id, 0, 0, 1);
        refusesClaim(abi.encodeWithSelector(IClaimBook.BadCount.selector, 4097, 4096), id, 0, 4097, 1);
        refusesClaim(abi.encodeWithSelector(IClaimBook.ZeroUnits.selector), id, 0, 1, 0);
        claimAs(operator, id, 0, 4096, 1);
    }

    function test_claim_revertsWhenNumbersDoNotFitTheId() public {
        uint64 id = activeJob(1 ether, 4);
        bytes memory none =
            abi.encodeWithSelector(IJobMarket.JobNotInState.selector, id + 2 ** 32, IJobMarket.JobState.None);
        refusesClaim(none, id + 2 ** 32, 0, 1, 1);
        refusesClaim(abi.encodeWithSelector(IJobMarket.NotNextSegment.selector, id, 0, 2 ** 32), id, 2 ** 32, 1, 1);
    }

    function test_claim_revertsWhenRangeOverlapsOrLeavesAGap() public {
        uint64 id = activeJob(1 ether, 4);
        submit(id, 5);
        refusesClaim(abi.encodeWithSelector(IJobMarket.NotNextSegment.selector, id, 5, 4), id, 4, 2, 1);
        refusesClaim(abi.encodeWithSelector(IJobMarket.NotNextSegment.selector, id, 5, 6), id, 6, 2, 1);
        submit(id, 1);
    }

    function test_claim_revertsForOthers() public {
        uint64 id = activeJob(1 ether, 4);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, id, rig(1)));
        claimAs(rig(1), id, 0, 1, 1);
    }

    /// Nor for a key that was replaced, the operator's own included.
    function test_claim_isForTheSignerOfTheMoment() public {
        uint64 id = activeJob(1 ether, 4);
        vm.prank(operator);
        keys.proposeSigner(operator, rig(5));
        vm.prank(rig(5));
        keys.acceptSigner(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, id, operator));
        claimAs(operator, id, 0, 1, 1);
        vm.assertEq(market.job(id).nextSeq, 0);
        claimAs(rig(5), id, 0, 1, 1);
        vm.assertEq(market.job(id).nextSeq, 1);
    }

    function test_claim_revertsWithoutEnoughFreeStake() public {
        uint64 id = activeJob(1000 ether, 4);
        vm.prank(operator);
        vm.expectPartialRevert(IStakeRegistry.InsufficientFree.selector);
        book.claim(id, 0, 1, keccak256("root"), 40_000_000_000); // 40 ether: 13,333 tokens
        vm.assertEq(market.job(id).reserved, 0);
        vm.assertEq(market.job(id).nextSeq, 0);
    }

    function test_claimInfo_isEmptyForNoClaim() public view {
        IClaimBook.Claim memory none;
        vm.assertEq(keccak256(abi.encode(book.claimInfo(1 << 32))), keccak256(abi.encode(none)));
        vm.assertEq(book.verifiersPart(1 << 32), 0);
    }

    // ---- seal ----

    function refusesSeal(bytes memory why, uint64 claimId, bytes memory head, bytes32 preimage) internal {
        vm.expectRevert(why);
        book.seal(claimId, head, preimage);
    }

    function test_seal_fixesTheSeed() public {
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        rollPast(seedBlock);
        bytes32 seed = seedOf(seedBlock, bytes32(0), claimId);
        vm.expectEmit(address(book));
        emit IClaimBook.ClaimSealed(claimId, seed);
        vm.prank(STRANGER);
        book.seal(claimId, header(seedBlock), 0);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        vm.assertEq(c.seed, seed);
        vm.assertTrue(c.state == IClaimBook.ClaimState.Sealed);
        uint64[] memory drawn = book.draws(claimId);
        vm.assertEq(drawn.length, 2);
        for (uint256 j = 0; j < 2; ++j) {
            vm.assertEq(drawn[j], uint256(keccak256(abi.encode(seed, j))) % c.totalUnits);
        }
        refusesSeal(inState(claimId, IClaimBook.ClaimState.Sealed), claimId, header(seedBlock), 0);
    }

    function test_draws_revertUntilSealed() public {
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        vm.expectRevert(inState(claimId, IClaimBook.ClaimState.Submitted));
        book.draws(claimId);
        vm.expectRevert(inState(7, IClaimBook.ClaimState.None));
        book.draws(7);
    }

    function test_seal_waitsForTheBlockBehindTheSeedBlock() public {
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        vm.roll(seedBlock);
        bytes memory why = abi.encodeWithSelector(IClaimBook.TooEarly.selector, claimId, seedBlock);
        refusesSeal(why, claimId, header(seedBlock), 0);
        seal(claimId, 0);
    }

    function test_seal_upToAnswerUntil() public {
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        rollPast(c.seedBlock);
        vm.warp(c.answerUntil + 1);
        bytes memory why = abi.encodeWithSelector(IClaimBook.TooLate.selector, claimId, c.answerUntil);
        refusesSeal(why, claimId, header(c.seedBlock), 0);
        vm.warp(c.answerUntil);
        seal(claimId, 0);
    }

    function test_seal_revertsOnAnyOtherHeader() public {
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        rollPast(seedBlock);
        rollPast(seedBlock + 1);
        bytes memory other = header(seedBlock + 1);
        bytes memory why = abi.encodeWithSelector(
            BlockHeader.WrongHeader.selector, seedBlock, keccak256(header(seedBlock)), keccak256(other)
        );
        refusesSeal(why, claimId, other, 0);
    }

    function test_seal_readsTheHistoryContractBeyond256Blocks() public {
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        bytes memory gone = abi.encodeWithSelector(BlockHeader.HeaderOutOfReach.selector, seedBlock);
        vm.roll(seedBlock + 257);
        refusesSeal(gone, claimId, header(seedBlock), 0);
        vm.etch(BlockHashes.HISTORY, HISTORY_CODE);
        vm.store(BlockHashes.HISTORY, bytes32(uint256(seedBlock % 8191)), keccak256(header(seedBlock)));
        vm.roll(uint256(seedBlock) + 8192);
        refusesSeal(gone, claimId, header(seedBlock), 0);
        vm.roll(uint256(seedBlock) + 8191);
        book.seal(claimId, header(seedBlock), 0);
        vm.assertEq(book.claimInfo(claimId).seed, seedOf(seedBlock, bytes32(0), claimId));
    }

    // ---- the client's chain ----

    function test_seal_mixesTheClientsPreimageIn() public {
        uint64 id = activeJob(0, 1 ether, 4, link(LINKS));
        uint64 claimId = submit(id, 5);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        seal(claimId, link(LINKS - 1));
        vm.assertEq(market.job(id).seedTip, link(LINKS - 1));
        vm.assertEq(book.claimInfo(claimId).seed, seedOf(seedBlock, link(LINKS - 1), claimId));
        claimId = submit(id, 5);
        seal(claimId, link(LINKS - 2));
        vm.assertEq(market.job(id).seedTip, link(LINKS - 2));
    }

    function test_seal_withTheLinkInItsWindowAndWithoutAfterwards() public {
        uint64 id = activeJob(0, 1 ether, 4, link(LINKS));
        uint64 claimId = submit(id, 5);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        uint256 until = block.timestamp + 100;
        rollPast(seedBlock);
        bytes memory otherPreimage = abi.encodeWithSelector(IJobMarket.OtherPreimage.selector, id);
        refusesSeal(otherPreimage, claimId, header(seedBlock), 0);
        refusesSeal(otherPreimage, claimId, header(seedBlock), link(LINKS - 2));
        refusesSeal(otherPreimage, claimId, header(seedBlock), link(LINKS));
        vm.warp(until);
        refusesSeal(otherPreimage, claimId, header(seedBlock), 0);
        vm.warp(until + 1);
        bytes memory late = abi.encodeWithSelector(IClaimBook.PreimageTooLate.selector, claimId, until);
        refusesSeal(late, claimId, header(seedBlock), link(LINKS - 1));
        book.seal(claimId, header(seedBlock), 0);
        vm.assertEq(market.job(id).seedTip, link(LINKS), "no link is used up");
        claimId = submit(id, 5);
        seal(claimId, link(LINKS - 1));
    }

    function test_seal_linkInTheLastSecondOfItsWindow() public {
        uint64 id = activeJob(0, 1 ether, 4, link(LINKS));
        uint64 claimId = submit(id, 5);
        vm.warp(block.timestamp + 100);
        seal(claimId, link(LINKS - 1));
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        vm.assertEq(c.seed, seedOf(c.seedBlock, link(LINKS - 1), claimId), "drawn with the link");
        vm.assertEq(market.job(id).seedTip, link(LINKS - 1), "which is used up");
    }

    function test_seal_revertsOnAPreimageWithoutAChain() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 claimId = submit(id, 5);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        rollPast(seedBlock);
        bytes memory otherPreimage = abi.encodeWithSelector(IJobMarket.OtherPreimage.selector, id);
        refusesSeal(otherPreimage, claimId, header(seedBlock), link(0));
    }

    function test_seal_aChainUsedUpOnlyDelaysTheSeal() public {
        uint64 id = activeJob(0, 1 ether, 4, link(1));
        seal(submit(id, 5), link(0));
        uint64 claimId = submit(id, 5);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        rollPast(seedBlock);
        refusesSeal(abi.encodeWithSelector(IJobMarket.OtherPreimage.selector, id), claimId, header(seedBlock), link(0));
        vm.warp(block.timestamp + 101);
        seal(claimId, 0);
    }

    // ---- in order ----

    function test_seal_revertsBeforeTheEarlierClaimOfTheJob() public {
        uint64 id = activeJob(0, 1 ether, 4, link(LINKS));
        uint64 a = submit(id, 5);
        uint64 b = submit(id, 3);
        uint64 c = submit(id, 4);
        uint64 seedBlock = book.claimInfo(c).seedBlock;
        rollPast(seedBlock);
        bytes memory head = header(seedBlock);
        refusesSeal(abi.encodeWithSelector(IClaimBook.EarlierClaimUnsealed.selector, b, a), b, head, link(LINKS - 1));
        seal(a, link(LINKS - 1));
        refusesSeal(abi.encodeWithSelector(IClaimBook.EarlierClaimUnsealed.selector, c, b), c, head, link(LINKS - 2));
        seal(b, link(LINKS - 2));
        seal(c, link(LINKS - 3));
        seal(submit(activeJob(1 ether, 4), 5), 0); // other jobs do not wait
    }

    function test_seal_anEarlierClaimThatIsDeadKeepsNobodyUp() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 a = submit(id, 5);
        uint256 dead = book.claimInfo(a).answerUntil;
        vm.warp(block.timestamp + 100);
        uint64 b = submit(id, 3);
        uint64 seedBlock = book.claimInfo(b).seedBlock;
        rollPast(seedBlock);
        vm.warp(dead);
        bytes memory why = abi.encodeWithSelector(IClaimBook.EarlierClaimUnsealed.selector, b, a);
        refusesSeal(why, b, header(seedBlock), 0);
        vm.warp(dead + 1);
        book.seal(b, header(seedBlock), 0);
    }

    function test_seal_anEarlierClaimThatEndedKeepsNobodyUp() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 a = submit(id, 5);
        uint64 b = submit(id, 3);
        uint64 seedBlock = book.claimInfo(b).seedBlock;
        rollPast(seedBlock);
        bytes memory why = abi.encodeWithSelector(IClaimBook.EarlierClaimUnsealed.selector, b, a);
        refusesSeal(why, b, header(seedBlock), 0);
        vm.prank(address(judges));
        book.punish(a, IClaimBook.Fault.Proof, noCuts);
        seal(b, 0);
        vm.assertTrue(claimState(b) == IClaimBook.ClaimState.Sealed);
        vm.assertEq(book.claimInfo(a).seed, 0, "the one that ended stays without");
    }

    // ---- digests ----

    function test_digests_areOfTheMarketsDomain() public view {
        bytes32 order = keccak256(
            abi.encode(
                keccak256("Segment(uint64 jobId,uint64 seq,bytes32 srcRoot,uint64 srcBytes,uint32 durationMs)"),
                uint64(1),
                uint64(2),
                bytes32(uint256(3)),
                uint64(4),
                uint32(5)
            )
        );
        bytes32 expected = keccak256(abi.encodePacked(hex"1901", market.domainSeparator(), order));
        vm.assertEq(book.segmentDigest(1, 2, bytes32(uint256(3)), 4, 5), expected);
        bytes32 kind =
            keccak256("Receipt(uint64 jobId,uint64 seq,bytes32 srcRoot,bytes32 outRoot,uint64 units,uint64 outBytes)");
        expected = keccak256(
            abi.encodePacked(hex"1901", market.domainSeparator(), keccak256(abi.encode(kind, receipt(1, 2))))
        );
        vm.assertEq(book.receiptDigest(receipt(1, 2)), expected);
    }
}
