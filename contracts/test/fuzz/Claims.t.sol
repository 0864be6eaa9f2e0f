// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "../ClaimFixture.sol";
import {Packed} from "../Packed.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {Work} from "../../src/lib/Work.sol";
import {Openings} from "../../src/market/Openings.sol";

/// @dev Draws as a function of the seed, and answers as they are taken or refused.
contract ClaimsFuzz is ClaimFixture {
    uint256 internal constant SEGMENTS = 8;
    uint256 internal constant DRAWS = 1000;

    // ---- draws ----

    /// How often each segment is drawn is in proportion to its units: chi-squared over 8 segments, which stays below 60 but for
    /// one seed in some billion.
    function testFuzz_draws_fallOnSegmentsByTheirUnits(bytes32 seed, uint32[8] calldata weights) public pure {
        uint256[] memory ends = new uint256[](SEGMENTS);
        uint64 total = 0;
        for (uint256 i = 0; i < SEGMENTS; ++i) {
            total += uint64(bound(weights[i], 30_000, 300_000));
            ends[i] = total;
        }
        uint256[] memory hits = new uint256[](SEGMENTS);
        for (uint256 j = 0; j < DRAWS; ++j) {
            uint256 drawn = Openings.drawn(seed, j, total);
            uint256 i = 0;
            while (drawn >= ends[i]) ++i;
            ++hits[i];
        }
        uint256 chi = 0; // times 1000
        for (uint256 i = 0; i < SEGMENTS; ++i) {
            uint256 units = ends[i] - (i == 0 ? 0 : ends[i - 1]);
            uint256 expected = DRAWS * units * 1000 / total;
            uint256 seen = hits[i] * 1000;
            uint256 off = seen > expected ? seen - expected : expected - seen;
            chi += off * off / expected;
        }
        vm.assertLe(chi, 60_000, "chi-squared");
    }

    /// A draw is within the claim, whatever the total.
    function testFuzz_draws_areBelowTheTotal(bytes32 seed, uint256 slot, uint64 total) public pure {
        vm.assume(total > 0);
        uint64 drawn = Openings.drawn(seed, slot, total);
        vm.assertTrue(drawn < total);
        vm.assertEq(drawn, uint256(keccak256(abi.encode(seed, slot))) % total);
    }

    /// Nobody's choice of when and by whom a claim is sealed changes what is drawn.
    function testFuzz_seed_isOfBlockLinkAndClaimAlone(uint256 blocks, uint256 time, address who, bool chain) public {
        vm.assume(who != address(0));
        uint64 claimId = submit(activeJob(0, 10 ether, 8, chain ? link(3) : bytes32(0)), 9);
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        vm.roll(seedBlock + bound(blocks, 1, 255));
        rollPast(seedBlock);
        time = bound(time, 0, 1000);
        vm.warp(block.timestamp + time);
        bytes32 preimage = chain && time <= 100 ? link(2) : bytes32(0);
        vm.prank(who);
        book.seal(claimId, header(seedBlock), preimage);
        vm.assertEq(book.claimInfo(claimId).seed, seedOf(seedBlock, preimage, claimId));
    }

    // ---- answers ----

    /// The honest answer to a claim of any length is taken; its openings are kept by the hash of what they say.
    function testFuzz_answer_takesTheHonestOne(uint32 count, uint8 k, uint256 roll) public {
        count = uint32(bound(count, 1, 40));
        vm.roll(1000 + roll % 1e6);
        uint64 claimId = submitAndSeal(activeJob(100 ether, uint8(bound(k, 1, 8))), count);
        answer(claimId);
        vm.assertEq(book.claimInfo(claimId).answers, keccak256(abi.encode(answered(claimId))));
    }

    /// Any one bit of an honest answer turned: it is refused, or says the same all the same (a bit of the call's own layout).
    function testFuzz_answer_takesNothingElse(uint32 count, uint256 bit) public {
        uint64 claimId = submitAndSeal(activeJob(100 ether, 8), uint32(bound(count, 1, 40)));
        bytes32 expected = keccak256(abi.encode(answered(claimId)));
        bytes32[] memory commitments = commitmentsOf(claimId);
        bytes memory data =
            abi.encodeCall(book.answer, (claimId, Packed.openings(claimId, honest(claimId)), commitments));
        // All but the commitments themselves, which stand last and may be anything.
        bit = bound(bit, 32, 8 * (data.length - 32 * commitments.length) - 1);
        data[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        vm.prank(operator);
        (bool ok,) = address(book).call(data);
        if (ok) vm.assertEq(book.claimInfo(claimId).answers, expected);
    }

    /// Any one field that is wrong is refused.
    function testFuzz_answer_refusesAnyWrongField(uint32 count, uint256 which, uint256 by) public {
        uint64 claimId = submitAndSeal(activeJob(100 ether, 8), uint32(bound(count, 3, 40)));
        Work.Opening[] memory openings = honest(claimId);
        Work.Opening memory o = openings[by % openings.length];
        uint64 delta = uint64(bound(by, 1, type(uint32).max));
        which %= 13;
        if (which == 0) o.leaf.seq += uint16(delta) == 0 ? 1 : delta;
        if (which == 1) o.path = new Work.Sibling[](o.path.length - 1);
        if (which == 2) o.leaf.srcRoot ^= bytes32(uint256(delta));
        if (which == 3) o.leaf.outRoot ^= bytes32(uint256(delta));
        if (which == 4) o.leaf.units += delta;
        if (which == 5) o.leaf.outBytes += delta;
        if (which == 6) o.srcBytes += delta;
        if (which == 7) o.durationMs ^= uint32(delta);
        if (which == 8) o.clientSig[by % 65] ^= 0x01;
        if (which == 9) o.clientSig = abi.encodePacked(o.clientSig, uint8(by));
        if (which == 10) o.path[by % o.path.length].hash ^= bytes32(uint256(delta));
        if (which == 11) o.path[by % o.path.length].sum += delta;
        if (which == 12) o.path = new Work.Sibling[](o.path.length + 1);
        bytes32[] memory commitments = commitmentsOf(claimId);
        vm.prank(operator);
        (bool ok,) =
            address(book).call(abi.encodeCall(book.answer, (claimId, Packed.openings(claimId, openings), commitments)));
        vm.assertTrue(!ok);
        answer(claimId);
    }

    // ---- locks ----

    /// What is released is what was locked, for fees and parameters of any size.
    function testFuzz_lock_isGivenBackToTheLastBit(uint64 units, uint32 count, uint64 num, uint64 den, bool missed)
        public
    {
        IClaimBook.Params memory p = claimParams();
        (p.lockNum, p.lockDen) = (uint64(bound(num, 1, 1e9)), uint64(bound(den, 1, 1e9)));
        (p.minLock, p.verifierLock) = (1e18, 1e18);
        vm.prank(TIMELOCK);
        book.setParams(p);
        count = uint32(bound(count, 1, 4096));
        uint256 rate = uint256(p.lockNum) * PRICE / p.lockDen + 1;
        units = uint64(bound(units, 1, 4000e18 / rate < 1e14 ? 4000e18 / rate + 1 : 1e14));
        uint64 id = activeJob(1e5 ether, 8);
        uint256 lockedBefore = info(operator).locked;
        vm.prank(operator);
        uint64 claimId = book.claim(id, 0, count, keccak256("root"), units);
        uint256 lock = book.claimInfo(claimId).lock;
        vm.assertEq(info(operator).locked - lockedBefore, lock);
        uint256 fee = uint256(units) * PRICE;
        uint256 drawn = book.claimInfo(claimId).drawn;
        uint256 den2 = uint256(p.lockDen) * (count >= LONG ? 2 : 1);
        vm.assertTrue((lock - drawn * 2e18) * den2 >= fee * p.lockNum, "never less than the ratio");
        vm.assertTrue((lock - drawn * 2e18 - 1) * den2 < fee * p.lockNum || lock == 1e18, "nor a wei more");
        vm.warp(book.claimInfo(claimId).answerUntil + 1);
        if (missed) {
            book.slashMissed(claimId);
        } else {
            vm.prank(address(judges));
            book.punish(claimId, IClaimBook.Fault.Verdict, noCuts);
        }
        vm.assertEq(info(operator).locked, lockedBefore);
        vm.assertEq(market.job(id).escrow, 1e5 ether);
    }
}
