// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MarketFixture} from "../MarketFixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";

contract JobsTest is MarketFixture {
    function test_wholeWay() public {
        uint64 jobId = openActive(1 ether, 0);
        uint128 fee = reserve(jobId, 0, 10, 1000);
        vm.assertEq(fee, 1000 * PRICE);
        vm.prank(BOOK);
        market.pay(jobId, 1, fee, fee / 50);
        vm.assertEq(market.feesOf(rig(0)), fee - fee / 50);
        market.routeFees(rig(0));
        fee = reserve(jobId, 0, 10, 1000);
        vm.prank(BOOK);
        market.restore(jobId, fee);
        close(jobId);
        pass(301);
        reclaim(jobId);
        vm.assertEq(locked(0), 0);
        vm.prank(client);
        market.withdraw();
        vm.assertEq(address(market).balance, 0);
    }

    function test_auctionAndElection() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        bytes32 c = keccak256(abi.encode(block.chainid, address(market), jobId, rig(0), PRICE, bytes32("s")));
        vm.deal(rig(0), 10 ether);
        vm.prank(rig(0));
        market.commitBid{value: DEPOSIT}(jobId, c);
        pass(201);
        vm.prank(rig(0));
        market.revealBid(jobId, PRICE, "s");
        pass(200);
        market.awardAuction(jobId);
        vm.assertEq(market.job(jobId).operator, rig(0));
    }
}
