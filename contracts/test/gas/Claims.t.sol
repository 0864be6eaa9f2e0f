// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "../ClaimFixture.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";

/// @dev What each call on a claim costs as a whole transaction on cold storage (run with --isolate).
contract ClaimGas is ClaimFixture {
    uint32 internal constant HOUR = 1800; // segments of 2 s

    function measure(string memory name, uint256 target) internal {
        uint256 used = vm.snapshotGasLastCall("claims", name);
        vm.assertLe(used, target, name);
    }

    /// @dev A job whose first claim has been settled, so that nothing but the next claim's own words is fresh.
    function worked(uint8 k) internal returns (uint64 id) {
        id = activeJob(0, 10_000 ether, k, link(LINKS));
        uint64 claimId = submit(id, 5);
        submit(id, 5); // keeps a lock and a fee standing
        seal(claimId, link(LINKS - 1));
        answer(claimId);
        vm.warp(book.claimInfo(claimId).attestUntil + 1);
        reveal(claimId);
        vm.warp(book.claimInfo(claimId).contestUntil + 1);
        judges.reveal(claimId);
        book.settle(claimId);
    }

    function way(uint8 k, uint256 target) internal {
        uint64 id = worked(k);
        string memory n = vm.toString(k);
        uint64 claimId = submit(id, HOUR);
        if (k == 8) measure("claim", 110_000);
        seal(claimId, link(LINKS - 2)); // the claim before it is dead
        if (k == 8) measure("seal", 75_000);
        answer(claimId);
        measure(string.concat("answer ", n), target);
        vm.warp(book.claimInfo(claimId).attestUntil + 1);
        reveal(claimId);
        measure(string.concat("reveal ", n), 85_000);
        judges.reveal(claimId);
        vm.warp(book.claimInfo(claimId).contestUntil + 1);
        book.settle(claimId);
        if (k == 8) measure("settle", 90_000);
    }

    /// The first of a job, by an operator that has nothing locked.
    function test_gas_firstClaim() public {
        uint64 id = activeJob(0, 10_000 ether, 8, link(LINKS));
        uint64 claimId = submit(id, HOUR);
        measure("claim, the first of a job", 110_000);
        seal(claimId, link(LINKS - 1));
        measure("seal, the first of a job", 75_000);
        answer(claimId);
        vm.warp(book.claimInfo(claimId).attestUntil + 1);
        reveal(claimId);
        judges.reveal(claimId);
        vm.warp(book.claimInfo(claimId).contestUntil + 1);
        book.settle(claimId);
        measure("settle, the first of an operator", 90_000);
    }

    function test_gas_way1() public {
        way(1, 70_000);
    }

    function test_gas_way4() public {
        way(4, 134_000); // 110k and 6k for each of the client's signatures
    }

    function test_gas_way8() public {
        way(8, 228_000); // 180k and 6k for each
    }

    function test_gas_slashMissed() public {
        uint64 id = activeJob(10_000 ether, 8);
        uint64 first = submit(id, 5);
        uint64 second = submit(id, HOUR);
        submit(id, 5);
        vm.warp(book.claimInfo(second).answerUntil + 1);
        vm.prank(STRANGER);
        book.slashMissed(first);
        measure("slash a missed claim, first bounties", 150_000);
        vm.prank(STRANGER);
        book.slashMissed(second);
        measure("slash a missed claim", 150_000);
    }

    function test_gas_punish() public {
        uint64 id = activeJob(10_000 ether, 8);
        uint64 claimId = submitAndReveal(id, LONG);
        vm.prank(address(judges));
        book.punish(claimId, IClaimBook.Fault.Proof, noCuts);
        measure("punish a proof", 130_000);
    }
}
