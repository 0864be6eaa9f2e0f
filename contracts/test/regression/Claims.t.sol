// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "../ClaimFixture.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {BlockHashes} from "../../src/lib/BlockHashes.sol";
import {MerkleSum} from "../../src/lib/MerkleSum.sol";
import {Work} from "../../src/lib/Work.sol";
import {Packed} from "../Packed.sol";

/// @dev What went wrong elsewhere, by name: traps of Livepeer's protocol (v1, Streamflow) and findings of others' audits
/// that bear on claims. docs/protocol.md names the sources.
contract ClaimRegressions is ClaimFixture {
    bytes internal constant HISTORY_CODE =
        hex"3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";

    /// Livepeer v1: a claim not verified within 256 blocks could not be verified at all.
    function test_livepeer_a256BlockWindow() public {
        vm.etch(BlockHashes.HISTORY, HISTORY_CODE);
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        vm.store(BlockHashes.HISTORY, bytes32(uint256(seedBlock % 8191)), keccak256(header(seedBlock)));
        vm.roll(uint256(seedBlock) + 5000);
        vm.assertEq(blockhash(seedBlock), 0, "out of the opcode's reach");
        book.seal(claimId, header(seedBlock), 0);
        vm.assertEq(book.claimInfo(claimId).seed, seedOf(seedBlock, 0, claimId));
        answer(claimId);
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Answered);
    }

    /// Livepeer v1: 0.0001 % for a wrong answer, 0.5 % for none: answering wrongly was the cheaper fraud.
    function test_livepeer_aWrongAnswerCostsNoLessThanSilence() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 silent = submit(id, 5);
        uint64 wrong = submitAndReveal(activeJob(1 ether, 4), 5);
        IClaimBook.Fault[2] memory faults = [IClaimBook.Fault.Verdict, IClaimBook.Fault.Proof];
        uint256 lock = book.claimInfo(wrong).lock;
        uint256 stake = registry.ownStake(operator);
        vm.prank(address(judges));
        vm.assertTrue(book.punish(wrong, faults[1], noCuts) >= lock + stake / 20);
        stake = registry.ownStake(operator);
        vm.warp(book.claimInfo(silent).answerUntil + 1);
        lock = book.claimInfo(silent).lock;
        book.slashMissed(silent);
        vm.assertEq(stake - registry.ownStake(operator), lock);
    }

    /// Livepeer v1: one slash gave the broadcaster the whole deposit of the job back, and ended everything.
    function test_livepeer_aSlashRefundsTheFeeOfItsClaimAlone() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 good = submitAndReveal(id, 5);
        uint64 bad = submit(id, 5);
        uint256 escrow = market.job(id).escrow;
        vm.warp(book.claimInfo(bad).answerUntil + 1);
        book.slashMissed(bad);
        vm.assertEq(market.job(id).escrow - escrow, book.claimInfo(bad).fee);
        vm.assertEq(market.owed(client), 0);
        submit(id, 5); // the job goes on
        book.settle(good);
        vm.assertEq(market.feesOf(operator), book.claimInfo(good).fee);
    }

    /// Livepeer v1: leaves packed from two fields of any length, so that bytes could move from one to the other.
    function test_livepeer_packedLeavesHaveFieldsOfFixedLength() public pure {
        bytes memory leaf =
            abi.encodePacked(uint8(0), uint64(1), uint64(2), bytes32("a"), bytes32("b"), uint64(3), uint64(4));
        vm.assertEq(leaf.length, 97);
        vm.assertEq(MerkleSum.leaf(1, 2, bytes32("a"), bytes32("b"), 3, 4), keccak256(leaf));
        bytes memory node = abi.encodePacked(uint8(1), bytes32("a"), uint64(3), bytes32("b"), uint64(4));
        vm.assertEq(node.length, 81, "no leaf is a node");
        vm.assertEq(MerkleSum.node(bytes32("a"), 3, bytes32("b"), 4), keccak256(node));
    }

    /// Livepeer v1: the same segments could be claimed twice, and the proof of it accepted claim1 == claim2.
    function test_livepeer_noSegmentIsClaimedTwice() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 claimId = submit(id, 5);
        vm.prank(address(judges));
        book.punish(claimId, IClaimBook.Fault.Verdict, noCuts);
        for (uint64 first = 0; first < 5; ++first) {
            vm.prank(operator);
            vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotNextSegment.selector, id, 5, first));
            book.claim(id, first, 5, keccak256("root"), 1);
        }
    }

    /// Livepeer #162: who had unbonded could not be slashed any more.
    function test_livepeer_whoUnbondsIsSlashedForItsClaims() public {
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        uint256 free = registry.free(operator);
        vm.prank(operator);
        registry.exit(operator);
        vm.prank(operator);
        registry.unbond(uint128(free));
        vm.warp(book.claimInfo(claimId).answerUntil + 1);
        uint256 own = registry.ownStake(operator);
        book.slashMissed(claimId);
        vm.assertEq(own - registry.ownStake(operator), book.claimInfo(claimId).lock);
    }

    /// Livepeer #162, #163: who had been slashed was registered no more, and then could not be slashed for what else it had
    /// done; nor, at first, could anybody be slashed without a finder.
    function test_livepeer162_whoWasSlashedIsSlashedAgain() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 first = submitAndReveal(id, 5);
        uint64 second = submit(id, 5);
        vm.prank(address(judges));
        book.punish(first, IClaimBook.Fault.Proof, noCuts); // nobody found it
        vm.assertEq(uint256(info(operator).state), uint256(IStakeRegistry.State.Jailed));
        vm.assertEq(info(operator).slot, 0, "in no pool any more");
        uint64 third = submit(id, 5); // it may finish its job, and answers for that
        uint64[2] memory more = [second, third];
        for (uint256 i = 0; i < 2; ++i) {
            uint256 own = registry.ownStake(operator);
            vm.warp(book.claimInfo(more[i]).answerUntil + 1);
            book.slashMissed(more[i]);
            vm.assertEq(own - registry.ownStake(operator), book.claimInfo(more[i]).lock, "slashed again");
        }
    }

    /// The Graph M-10, M-15: a voucher counted once more when its payer was exchanged. What a client signs is for one job of
    /// its own: not for another client's, nor for another of its jobs.
    function test_graphM10_whatIsSignedIsForOneJobAlone() public {
        uint64 other = activeJob(1 ether, 4);
        uint64 claimId = submitAndSeal(activeJob(1 ether, 4), 5);
        Work.Opening[] memory openings = honest(claimId);
        bytes32[] memory commitments = commitmentsOf(claimId);
        Work.Opening memory o = openings[0];
        bytes32 here = segmentDigest(o);
        bytes32 there = book.segmentDigest(other, o.leaf.seq, o.leaf.srcRoot, o.srcBytes, o.durationMs);
        bytes[2] memory foreign = [signed(0xC11E27, here), signed(CLIENT_KEY, there)];
        for (uint256 i = 0; i < 2; ++i) {
            o.clientSig = foreign[i];
            vm.prank(operator);
            vm.expectPartialRevert(IClaimBook.NotInClaim.selector);
            book.answer(claimId, Packed.openings(claimId, openings), commitments);
        }
        o.clientSig = signed(CLIENT_KEY, here);
        vm.prank(operator);
        book.answer(claimId, Packed.openings(claimId, openings), commitments);
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Answered);
    }

    /// Livepeer, 2026: a ticket paid out of too small a deposit paid dust and was used up.
    function test_livepeer_aFeeThatIsNotCoveredLeavesTheClaimToBeMade() public {
        uint64 id = activeJob(1000, 4);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.EscrowTooSmall.selector, id, 1000, uint256(9) * PRICE));
        book.claim(id, 0, 5, keccak256("root"), 9);
        market.topUp{value: 1 ether}(id);
        vm.prank(operator);
        book.claim(id, 0, 5, keccak256("root"), 9);
    }

    /// Any beacon: a second seed for a claim makes cheating pay. Not after 256 blocks, nor with another link, nor by waiting.
    function test_seed_isNeverDrawnAgain() public {
        uint64 claimId = submit(activeJob(0, 1 ether, 4, link(LINKS)), 5);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        seal(claimId, link(LINKS - 1));
        bytes32 seed = book.claimInfo(claimId).seed;
        bytes32[2] memory preimages = [link(LINKS - 2), bytes32(0)];
        for (uint256 i = 0; i < 2; ++i) {
            vm.roll(block.number + 100);
            vm.warp(block.timestamp + 200 * i);
            vm.expectRevert(inState(claimId, IClaimBook.ClaimState.Sealed));
            book.seal(claimId, header(seedBlock), preimages[i]);
        }
        vm.assertEq(book.claimInfo(claimId).seed, seed);
    }

    /// A link that has become known must not be tried on several claims: they are sealed in order, and in the window with it.
    function test_seed_aKnownLinkFitsOneClaimAlone() public {
        uint64 id = activeJob(0, 1 ether, 4, link(LINKS));
        uint64 a = submit(id, 5);
        uint64 b = submit(id, 5);
        uint64 seedBlock = book.claimInfo(b).seedBlock;
        rollPast(seedBlock);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.EarlierClaimUnsealed.selector, b, a));
        book.seal(b, header(seedBlock), link(LINKS - 1));
        vm.warp(block.timestamp + 101); // nor once the first claim's window is over
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.EarlierClaimUnsealed.selector, b, a));
        book.seal(b, header(seedBlock), 0);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.PreimageTooLate.selector, a, block.timestamp - 1));
        book.seal(a, header(seedBlock), link(LINKS - 1));
    }

    /// Graph L-18: whoever slashes itself by a friend's hand loses at least half of what is taken.
    function test_graph_whoSlashesItselfLosesHalf() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(operator, 5000);
        vm.prank(address(judges));
        uint256 taken = book.punish(claimId, IClaimBook.Fault.Proof, cuts);
        vm.assertEq(registry.bounty(operator), taken / 2);
    }

    /// EigenLayer, Cantina: amounts are taken rounded up, so that no dust is out of reach.
    function test_eigenlayer_aSlashLeavesNoDustBehind() public {
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        uint256 lock = book.claimInfo(claimId).lock;
        slash(operator, info(operator).bonded - lock); // all but the lock
        vm.warp(book.claimInfo(claimId).answerUntil + 1);
        book.slashMissed(claimId);
        vm.assertEq(registry.ownStake(operator), 0);
    }

    /// A job that drains and a claim in the same block: the last segments are still paid for.
    function test_closeJob_andClaimInTheSameBlock() public {
        uint64 id = activeJob(1 ether, 4);
        close(id);
        uint64 claimId = submitAndReveal(id, 5);
        vm.warp(book.claimInfo(claimId).contestUntil + 1);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ClaimsOpen.selector, id, 1));
        market.reclaim(id);
        book.settle(claimId);
        reclaim(id);
        vm.assertEq(market.owed(client), 1 ether - book.claimInfo(claimId).fee);
    }
}
