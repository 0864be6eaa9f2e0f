// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MarketFixture} from "../MarketFixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";

/// @dev What each call costs as a whole transaction on cold storage (run with --isolate), in a market that has worked before:
/// no word is fresh but those of the job. Held to the targets and, by snapshots/, to the last figures that were accepted.
contract MarketGas is MarketFixture {
    function setUp() public override {
        super.setUp();
        salts = 1000; // nonces of one word
        for (uint256 i = 0; i < 3; ++i) {
            bond(rig(i), MIN_SELF); // it stays active when it loses a lock
        }
        nextEpoch();
        uint64 jobId = openActive(1 ether, 0);
        uint128 fee = reserve(jobId, 0, 10, 1000);
        vm.prank(BOOK);
        market.pay(jobId, 1, fee, 0);
        openAssigned(1 ether, 1);
        setTerms(0, PRICE, 9);
        vm.roll(block.number + 1);
    }

    function measure(string memory name, uint256 target) internal {
        uint256 used = vm.snapshotGasLastCall("market", name);
        vm.assertLe(used, target, name);
    }

    function test_gas_direct() public {
        uint64 jobId = open(1 ether);
        measure("open a job, with a hash chain", 150_000);
        accept(jobId, 0);
        measure("accept a bid", 80_000);
        start(jobId, 0);
        measure("start a job", 60_000);
        market.topUp{value: 1}(jobId);
        measure("top up", 45_000);
        uint64 other = openAssigned(1 ether, 1);
        measure("open with a bid", 195_000);
        pass(101);
        market.defaultJob(other);
        measure("default", 180_000); // 117k of it a slash, and the first bounty of the client
    }

    /// A rig with nothing to do pays no more than another one.
    function test_gas_idleBidder() public {
        close(1);
        release(1, 0);
        vm.assertEq(registry.lockedBy(rig(0), address(market)), 0, "idle");
        uint64 jobId = open(1 ether);
        accept(jobId, 0);
        measure("accept a bid, of an idle operator", 80_000);
    }

    function test_gas_openWithoutChain() public {
        IJobMarket.JobOrder memory order = newOrder();
        order.seedTip = 0;
        vm.prank(client);
        market.openJob{value: 1 ether}(order, IJobMarket.Door.Direct);
        measure("open a job", 150_000);
    }

    function test_gas_end() public {
        uint64 jobId = openActive(1 ether, 0);
        close(jobId);
        measure("close", 40_000);
        release(jobId, 0);
        measure("release", 75_000);
        reclaim(jobId);
        measure("reclaim", 70_000);
        vm.prank(client);
        market.withdraw();
        measure("withdraw", 60_000);
        market.routeFees(rig(0));
        measure("route fees", 130_000);
    }

    /// The market's part of a claim and its settlement, of which 21,000 and the calldata are the transaction's.
    function test_gas_book() public {
        uint64 jobId = openActive(1 ether, 0);
        reserve(jobId, 0, 10, 1000);
        measure("reserve, first", 55_000);
        uint128 fee = reserve(jobId, 0, 10, 1000);
        measure("reserve", 50_000);
        vm.prank(BOOK);
        market.pay(jobId, 1, fee, 0);
        measure("pay", 45_000);
        vm.prank(BOOK);
        market.pay(jobId, 1, fee, fee / 50);
        measure("pay, with verifiers", 90_000);
        vm.prank(BOOK);
        market.popSeed(jobId, keccak256("link"));
        measure("pop a seed", 40_000);
    }

    function test_gas_auction() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        measure("open an auction", 185_000);
        commit(jobId, 0, PRICE);
        measure("commit to a bid", 110_000);
        commit(jobId, 1, PRICE - 1);
        pass(201);
        reveal(jobId, 0, PRICE);
        measure("reveal a bid", 150_000);
        reveal(jobId, 1, PRICE - 1);
        measure("reveal a lower bid", 160_000);
        pass(200);
        market.awardAuction(jobId);
        measure("award an auction", 70_000);
    }

    function test_gas_election() public {
        uint64 jobId = open(IJobMarket.Door.Election, 1 ether);
        measure("open an election", 190_000);
        for (uint256 i = 0; i < 3; ++i) {
            setTerms(i, PRICE, 9);
        }
        elect(jobId);
        measure("elect", 160_000);
    }
}
