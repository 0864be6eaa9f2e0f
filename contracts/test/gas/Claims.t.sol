// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "../ClaimFixture.sol";

/// @dev What each call on a claim costs as a whole transaction on cold storage (run with --isolate).
contract ClaimGas is ClaimFixture {
    uint32 internal constant HOUR = 1800; // segments of 2 s

    function measure(string memory name, uint256 target) internal {
        uint256 used = vm.snapshotGasLastCall("claims", name);
        vm.assertLe(used, target, name);
    }

    function test_gas_claim() public {
        uint64 id = activeJob(10_000 ether, 8);
        submit(id, 5);
        submit(id, HOUR);
        measure("claim", 110_000);
    }

    function way(uint8 k) internal {
        uint64 id = activeJob(0, 10_000 ether, k, link(LINKS));
        uint64 old = submit(id, 5);
        seal(old, link(LINKS - 1));
        uint64 claimId = submit(id, HOUR);
        seal(claimId, link(LINKS - 2));
        measure("seal", 175_000);
        answer(claimId);
        measure(string.concat("answer ", vm.toString(k)), k == 1 ? 176_000 : k == 4 ? 1134_000 : 1228_000);
        vm.warp(book.claimInfo(claimId).attestUntil + 1);
        reveal(claimId);
        measure(string.concat("reveal ", vm.toString(k)), 1100_000);
        vm.warp(book.claimInfo(claimId).contestUntil + 1);
        book.settle(claimId);
        measure("settle", 190_000);
    }

    function test_gas_way1() public {
        way(1);
    }

    function test_gas_way4() public {
        way(4);
    }

    function test_gas_way8() public {
        way(8);
    }

    function test_gas_slashMissed() public {
        uint64 id = activeJob(10_000 ether, 8);
        submit(id, 5);
        uint64 claimId = submit(id, HOUR);
        vm.warp(book.claimInfo(claimId).answerUntil + 1);
        vm.prank(STRANGER);
        book.slashMissed(claimId);
        measure("slash a missed claim", 1150_000);
    }
}
