// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Fixture} from "../Fixture.sol";
import {Tree} from "../Tree.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IOperatorKeys} from "../../src/interfaces/IOperatorKeys.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {JobMarket} from "../../src/JobMarket.sol";
import {BlockHashes} from "../../src/lib/BlockHashes.sol";

contract ClaimsTest is Fixture {
    uint256 internal constant N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141; // curve order
    /// The deployed code of EIP-2935's history contract.
    bytes internal constant HISTORY_CODE =
        hex"3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";

    function claimAs(address who, uint64 jobId, uint64 first, uint32 count, uint64 units) internal returns (uint64) {
        vm.prank(who);
        return market.claim(jobId, first, count, keccak256("root"), units);
    }

    function inState(uint64 claimId, IJobMarket.ClaimState state) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IJobMarket.ClaimNotInState.selector, claimId, state);
    }

    // ---- claim ----

    function test_claim_reservesTheFeeAndLocksCollateral() public {
        uint64 id = openActive(1 ether, 4);
        uint64 units = 20_000_000_000; // 20 ether at PRICE
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.EscrowTooSmall.selector, id, 1 ether, 20 ether));
        market.claim(id, 0, 10, 0, units);
        uint64 claimId = claimAs(operator, id, 0, 10, units / 1000);
        IJobMarket.Claim memory c = market.claimInfo(claimId);
        vm.assertEq(c.jobId, id);
        vm.assertEq(c.count, 10);
        vm.assertEq(c.fee, 0.02 ether);
        vm.assertEq(c.lock, MIN_LOCK, "0.02 ether x 1000 / 3 is below the minimum");
        vm.assertEq(c.operator, operator);
        vm.assertEq(c.root, keccak256("root"));
        vm.assertEq(c.seedBlock, block.number + 3);
        vm.assertEq(c.deadline, block.number + 43);
        IJobMarket.Job memory j = market.job(id);
        vm.assertEq(j.escrow, 0.98 ether);
        vm.assertEq(j.reserved, 0.02 ether);
        vm.assertEq(j.nextSeq, 10);
        vm.assertEq(j.openClaims, 1);
        vm.assertEq(stakeOf(operator).locked, uint256(MIN_LOCK) + START_LOCK);
        vm.assertEq(market.operatorClaims(operator), 1);
        vm.assertEq(market.nextClaimId(), claimId + 1);
    }

    function test_claim_lockGrowsWithTheFeeAndRoundsUp() public {
        uint64 id = openActive(1 ether, 4);
        uint64 claimId = claimAs(operator, id, 0, 1, 100_000_000); // 0.1 ether
        vm.assertEq(market.claimInfo(claimId).lock, 33_333333333333333334, "0.1 ether x 1000 / 3");
    }

    function test_claim_revertsWhenRangeOverlaps() public {
        uint64 id = openActive(1 ether, 4);
        submit(id, 5);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotNextSegment.selector, id, 5, 4));
        market.claim(id, 4, 2, 0, 1);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotNextSegment.selector, id, 5, 6));
        market.claim(id, 6, 2, 0, 1);
        submit(id, 1);
    }

    function test_claim_revertsOnBadCountUnitsOrSender() public {
        uint64 id = openActive(1 ether, 4);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, id, address(this)));
        market.claim(id, 0, 1, 0, 1);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadCount.selector, 0, 4096));
        market.claim(id, 0, 0, 0, 1);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadCount.selector, 4097, 4096));
        market.claim(id, 0, 4097, 0, 1);
        vm.prank(operator);
        vm.expectRevert(IJobMarket.ZeroUnits.selector);
        market.claim(id, 0, 1, 0, 0);
        claimAs(operator, id, 0, 4096, 1);
    }

    function test_claim_revertsWithoutFreeStake() public {
        uint64 id = openActive(1 ether, 4);
        vm.prank(operator);
        registry.unbond(MIN_BOND - START_LOCK - MIN_LOCK + 1);
        vm.prank(operator);
        vm.expectRevert(
            abi.encodeWithSelector(IStakeRegistry.InsufficientFree.selector, operator, MIN_LOCK - 1, MIN_LOCK)
        );
        market.claim(id, 0, 1, 0, 1);
    }

    function test_claim_whileDrainingUntilTheWindowEndsOrReleased() public {
        uint64 id = openAndAward(1 ether, 4);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobNotInState.selector, id, IJobMarket.JobState.Awarded));
        market.claim(id, 0, 1, 0, 1);
        vm.prank(operator);
        market.claimJob(id);
        vm.prank(client);
        market.closeJob(id);
        uint64 drainUntil = market.job(id).drainUntil;
        vm.roll(drainUntil);
        submit(id, 2);
        rollPast(drainUntil);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.DrainWindowOver.selector, id, drainUntil));
        market.claim(id, 2, 1, 0, 1);

        id = openActive(1 ether, 4);
        vm.prank(operator);
        market.releaseJob(id);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.AlreadyReleased.selector, id));
        market.claim(id, 0, 1, 0, 1);
    }

    // ---- seal ----

    function test_seal_fixesTheDraws() public {
        uint64 id = openActive(1 ether, 4);
        uint64 claimId = submit(id, 9);
        IJobMarket.Claim memory c = market.claimInfo(claimId);
        vm.roll(c.seedBlock);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.TooEarly.selector, claimId, c.seedBlock));
        market.seal(claimId);
        vm.expectRevert(inState(claimId, IJobMarket.ClaimState.Submitted));
        market.draws(claimId);
        rollPast(c.seedBlock);
        bytes32 seed = keccak256(abi.encode(blockhash(c.seedBlock), claimId));
        vm.expectEmit(address(market));
        emit IJobMarket.ClaimSealed(claimId, seed, c.deadline);
        vm.prank(stranger);
        market.seal(claimId);
        uint64[] memory drawn = market.draws(claimId);
        vm.assertEq(drawn.length, 4);
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(drawn[i], uint256(keccak256(abi.encode(seed, i))) % c.totalUnits);
        }
        vm.expectRevert(inState(claimId, IJobMarket.ClaimState.Sealed));
        market.seal(claimId);
    }

    function test_seal_revertsPastTheDeadline() public {
        uint64 id = openActive(1 ether, 4);
        uint64 claimId = submit(id, 9);
        uint64 deadline = market.claimInfo(claimId).deadline;
        rollPast(deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.TooLate.selector, claimId, deadline));
        market.seal(claimId);
    }

    function test_blockHashes_reachesAsFarAsTheHistoryContract() public {
        vm.roll(20_000);
        vm.assertEq(BlockHashes.get(20_000), bytes32(0), "not yet");
        vm.assertEq(BlockHashes.get(19_999), blockhash(19_999));
        vm.etch(BlockHashes.HISTORY, HISTORY_CODE);
        uint256 last = 20_000 - 8191;
        vm.store(BlockHashes.HISTORY, bytes32(uint256(19_743 % 8191)), keccak256("a"));
        vm.store(BlockHashes.HISTORY, bytes32(last % 8191), keccak256("b"));
        vm.assertEq(BlockHashes.get(19_743), keccak256("a"), "257 blocks back");
        vm.assertEq(BlockHashes.get(last), keccak256("b"));
        vm.assertEq(BlockHashes.get(last - 1), bytes32(0), "out of reach");
        vm.etch(BlockHashes.HISTORY, "");
        vm.assertEq(BlockHashes.get(19_743), bytes32(0), "a chain without the contract");
    }

    // ---- answer ----

    function test_answer_acceptsHonestOpeningsOfEverySize() public {
        uint64 id = openActive(100 ether, 4);
        uint32[5] memory counts = [uint32(1), 2, 3, 8, 33];
        for (uint256 i = 0; i < counts.length; ++i) {
            uint64 claimId = submitAndAnswer(id, counts[i]);
            vm.assertEq(uint256(market.claimInfo(claimId).state), uint256(IJobMarket.ClaimState.Answered));
            vm.assertEq(market.claimInfo(claimId).deadline, block.number + 4);
            vm.assertEq(market.draws(claimId).length, counts[i] < 4 ? counts[i] : 4);
        }
    }

    function test_answer_revertsForOthersTwiceOrLate() public {
        uint64 id = openActive(10 ether, 4);
        uint64 claimId = submitAndSeal(id, 8);
        IJobMarket.Opening[] memory openings = honest(claimId);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, id, client));
        market.answer(claimId, openings);
        vm.prank(operator);
        market.answer(claimId, openings);
        vm.prank(operator);
        vm.expectRevert(inState(claimId, IJobMarket.ClaimState.Answered));
        market.answer(claimId, openings);

        claimId = submit(id, 8);
        vm.prank(operator);
        vm.expectRevert(inState(claimId, IJobMarket.ClaimState.Submitted));
        market.answer(claimId, openings);
        rollPast(market.claimInfo(claimId).seedBlock);
        market.seal(claimId);
        openings = honest(claimId);
        uint64 deadline = market.claimInfo(claimId).deadline;
        rollPast(deadline);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.TooLate.selector, claimId, deadline));
        market.answer(claimId, openings);
    }

    /// @dev A sealed claim over 8 segments with its honest openings, to be spoiled by the cases below.
    function sealedClaim() internal returns (uint64 claimId, IJobMarket.Opening[] memory openings) {
        claimId = submitAndSeal(openActive(10 ether, 4), 8);
        openings = honest(claimId);
    }

    function refused(uint64 claimId, IJobMarket.Opening[] memory openings, bytes memory err) internal {
        vm.prank(operator);
        vm.expectRevert(err);
        market.answer(claimId, openings);
    }

    function test_answer_revertsOnWrongOpeningCount() public {
        (uint64 claimId, IJobMarket.Opening[] memory all) = sealedClaim();
        IJobMarket.Opening[] memory some = new IJobMarket.Opening[](3);
        for (uint256 i = 0; i < 3; ++i) {
            some[i] = all[i];
        }
        refused(claimId, some, abi.encodeWithSelector(IJobMarket.WrongOpeningCount.selector, claimId, 4, 3));
    }

    function test_answer_revertsWhenOpeningDoesNotCoverTheDraw() public {
        (uint64 claimId, IJobMarket.Opening[] memory openings) = sealedClaim();
        IJobMarket.Receipt[] memory r = receipts(1, 0, 8);
        uint64 drawn = market.draws(claimId)[2];
        uint256 wrong = (Tree.holder(r, drawn) + 1) % 8;
        openings[2] = opening(r, wrong);
        uint64 offset = 0;
        for (uint256 i = 0; i < wrong; ++i) {
            offset += r[i].units;
        }
        bytes4 selector = IJobMarket.DrawNotCovered.selector;
        refused(claimId, openings, abi.encodeWithSelector(selector, wrong, drawn, offset, r[wrong].units));
    }

    function test_answer_coversExactlyTheUnitsOfASegment() public {
        uint64 id = openActive(10 ether, 1);
        bool[2] memory seen;
        for (uint64 first = 0; !seen[0] || !seen[1]; first += 2) {
            IJobMarket.Receipt[] memory r = receipts(id, first, 2);
            (r[0].units, r[1].units) = (1, 1); // the draw is 0 or 1, each the edge of a segment
            (bytes32 root, uint64 total) = Tree.root(r);
            vm.prank(operator);
            uint64 claimId = market.claim(id, first, 2, root, total);
            rollPast(market.claimInfo(claimId).seedBlock);
            market.seal(claimId);
            uint64 drawn = market.draws(claimId)[0];
            seen[drawn] = true;
            IJobMarket.Opening[] memory openings = new IJobMarket.Opening[](1);
            openings[0] = opening(r, 1 - drawn);
            uint64 seq = first + 1 - drawn;
            bytes4 selector = IJobMarket.DrawNotCovered.selector;
            refused(claimId, openings, abi.encodeWithSelector(selector, seq, drawn, 1 - drawn, 1));
            openings[0] = opening(r, drawn);
            vm.prank(operator);
            market.answer(claimId, openings);
        }
    }

    function test_answer_revertsOnWrongClientSignature() public {
        (uint64 claimId, IJobMarket.Opening[] memory openings) = sealedClaim();
        IJobMarket.Opening memory o = openings[1];
        bytes memory good = o.clientSig;
        bytes32 digest = market.segmentDigest(1, o.seq, o.srcRoot, o.srcBytes, o.durationMs);
        bytes4 selector = IJobMarket.WrongClientSignature.selector;

        o.clientSig = signed(OPERATOR_KEY, digest);
        refused(claimId, openings, abi.encodeWithSelector(selector, 1, o.seq, operator));

        // The same signature in its high-s form, and in the 64-byte short form, are refused.
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CLIENT_KEY, digest);
        o.clientSig = abi.encodePacked(r, bytes32(N - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        refused(claimId, openings, abi.encodeWithSelector(selector, 1, o.seq, address(0)));
        o.clientSig = abi.encodePacked(r, bytes32(uint256(s) | (uint256(v - 27) << 255)));
        refused(claimId, openings, abi.encodeWithSelector(selector, 1, o.seq, address(0)));

        o.clientSig = good;
        vm.prank(operator);
        market.answer(claimId, openings);
    }

    function test_answer_revertsWhenSignedFieldsDiffer() public {
        (uint64 claimId, IJobMarket.Opening[] memory openings) = sealedClaim();
        openings[0].durationMs += 1;
        vm.prank(operator);
        (bool ok, bytes memory reason) = address(market).call(abi.encodeCall(IJobMarket.answer, (claimId, openings)));
        vm.assertTrue(!ok && bytes4(reason) == IJobMarket.WrongClientSignature.selector);
    }

    function test_answer_revertsWhenTheLeafIsNotInTheClaim() public {
        (uint64 claimId, IJobMarket.Opening[] memory openings) = sealedClaim();
        IJobMarket.Opening memory o = openings[3];
        bytes memory err = abi.encodeWithSelector(IJobMarket.NotInClaim.selector, claimId, o.seq);
        o.outRoot ^= bytes32(uint256(1));
        refused(claimId, openings, err);
        o.outRoot ^= bytes32(uint256(1));
        o.outBytes += 1;
        refused(claimId, openings, err);
        o.outBytes -= 1;
        o.path[1].sum += 1;
        refused(claimId, openings, err);
        o.path[1].sum -= 1;
        o.path[2].hash ^= bytes32(uint256(1));
        refused(claimId, openings, err);
    }

    function test_answer_revertsOnWrongPathLengthOrSegment() public {
        (uint64 claimId, IJobMarket.Opening[] memory openings) = sealedClaim();
        IJobMarket.Opening memory o = openings[0];
        IJobMarket.Sibling[] memory path = o.path;
        o.path = new IJobMarket.Sibling[](4);
        refused(claimId, openings, abi.encodeWithSelector(IJobMarket.WrongPathLength.selector, o.seq, 3, 4));
        o.path = path;
        o.seq = 8;
        refused(claimId, openings, abi.encodeWithSelector(IJobMarket.OpeningOutsideClaim.selector, claimId, 8));
    }

    function test_answer_revertsWhenTotalUnitsWereInflated() public {
        uint64 id = openActive(10 ether, 4);
        IJobMarket.Receipt[] memory r = receipts(id, 0, 2);
        (bytes32 root, uint64 total) = Tree.root(r);
        vm.prank(operator);
        uint64 claimId = market.claim(id, 0, 2, root, total * 2);
        rollPast(market.claimInfo(claimId).seedBlock);
        market.seal(claimId);
        IJobMarket.Opening[] memory openings = new IJobMarket.Opening[](2);
        (openings[0], openings[1]) = (opening(r, 0), opening(r, 1));
        refused(claimId, openings, abi.encodeWithSelector(IJobMarket.NotInClaim.selector, claimId, 0));
    }

    // ---- settle ----

    function test_settle_paysOnceAfterTheContestWindow() public {
        uint64 id = openActive(1 ether, 4);
        uint64 claimId = submitAndAnswer(id, 6);
        IJobMarket.Claim memory c = market.claimInfo(claimId);
        vm.roll(c.deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.TooEarly.selector, claimId, c.deadline));
        market.settle(claimId);
        rollPast(c.deadline);
        vm.prank(stranger);
        market.settle(claimId);
        vm.assertEq(market.owed(operator), c.fee);
        vm.assertEq(stakeOf(operator).locked, START_LOCK);
        IJobMarket.Job memory j = market.job(id);
        vm.assertEq(j.escrow, 1 ether - c.fee);
        vm.assertEq(j.reserved, 0);
        vm.assertEq(j.openClaims, 0);
        vm.expectRevert(inState(claimId, IJobMarket.ClaimState.Settled));
        market.settle(claimId);
        vm.prank(operator);
        market.withdraw();
        vm.assertEq(operator.balance, c.fee);
        vm.prank(operator);
        market.releaseJob(id);
        vm.prank(client);
        market.reclaim(id);
        vm.prank(client);
        market.withdraw();
        vm.assertEq(address(market).balance, 0);
        vm.assertEq(stakeOf(operator).locked, 0);
    }

    function test_settle_revertsBeforeTheAnswer() public {
        uint64 id = openActive(1 ether, 4);
        uint64 claimId = submitAndSeal(id, 6);
        vm.roll(block.number + 1000);
        vm.expectRevert(inState(claimId, IJobMarket.ClaimState.Sealed));
        market.settle(claimId);
        vm.expectRevert(inState(55, IJobMarket.ClaimState.None));
        market.settle(55);
    }

    function test_settle_ofOneClaimLeavesTheOthersAlone() public {
        uint64 id = openActive(1 ether, 4);
        uint64 a = submit(id, 2);
        uint64 b = submitAndAnswer(id, 3);
        vm.roll(block.number + 200);
        market.settle(b);
        market.slashMissed(a);
        vm.assertEq(market.owed(operator), market.claimInfo(b).fee);
        vm.assertEq(market.job(id).reserved, 0);
        vm.assertEq(market.job(id).escrow, 1 ether - market.claimInfo(b).fee);
    }

    function test_seal_revertsWhenTheSeedIsOutOfReach() public {
        IJobMarket.Params memory p = testParams();
        p.answerWindow = 8000;
        market = new JobMarket(registry, p);
        registry.announceSlasher(address(market), REACH);
        vm.warp(block.timestamp + UNBOND + 2 days);
        registry.activateSlasher(address(market));
        uint64 claimId = submit(openActive(1 ether, 4), 3);
        uint64 seedBlock = market.claimInfo(claimId).seedBlock;
        vm.roll(seedBlock + 257); // and no history contract here
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.SeedUnavailable.selector, claimId, seedBlock));
        market.seal(claimId);
        vm.assertEq(market.claimInfo(99).operator, address(0), "a claim nobody made");
    }

    // ---- hot keys ----

    function test_aHotKeyActsForItsOperatorAndTheOldOneNoLonger() public {
        address hot = vm.addr(0x407);
        uint64 id = openActive(1 ether, 4);
        IOperatorKeys keys = registry.keys();
        vm.prank(operator);
        keys.proposeSigner(operator, hot);
        vm.prank(hot);
        keys.acceptSigner(operator);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, id, operator));
        market.claim(id, 0, 1, 0, 1);
        vm.prank(hot);
        uint64 claimId = market.claim(id, 0, 1, 0, 1);
        vm.assertEq(market.claimInfo(claimId).operator, operator);
        uint64 unassigned = open(1, 1);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, unassigned, operator));
        market.claimJob(unassigned);
    }
}
