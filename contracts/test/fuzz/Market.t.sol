// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MarketFixture} from "../MarketFixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";

contract MarketFuzz is MarketFixture {
    /// 31. A fee is divided to the wei, whatever its size, and comes whole out of the escrow.
    function testFuzz_fees_areDividedExactly(uint64 units, uint72 price, uint96 more, uint16 share) public {
        vm.deal(client, 2 * uint256(type(uint96).max));
        price = uint72(bound(price, 0, market.MOST_PRICE()));
        uint256 fee = bound(uint256(units) * price, 0, type(uint96).max);
        units = price == 0 ? units : uint64(fee / price);
        fee = uint256(units) * price;
        uint256 escrow = fee + bound(more, 0, type(uint96).max - fee);
        IJobMarket.JobOrder memory order = newOrder();
        order.maxPrice = price;
        IJobMarket.Bid memory bid = newBid(market.orderHash(order), 0);
        bid.price = price;
        bytes memory signature = signedBid(bid, 0);
        vm.prank(client);
        uint64 jobId = market.openWithBid{value: escrow}(order, bid, signature);
        start(jobId, 0);
        vm.assertEq(reserve(jobId, 0, 1, units), fee);
        uint128 toVerifiers = uint128(fee * (share % 501) / 1e4);
        vm.prank(BOOK);
        market.pay(jobId, 1, uint128(fee), toVerifiers);
        vm.assertEq(market.feesOf(rig(0)) + address(challenges).balance, fee);
        vm.assertEq(address(market).balance, escrow - toVerifiers);
        release(jobId, 0);
        reclaim(jobId);
        vm.assertEq(market.owed(client), escrow - fee);
    }

    /// 22. A nonce is used once, and no other is used up with it.
    function testFuzz_nonces_areApart(uint256 a, uint256 b) public {
        vm.assume(a != b);
        uint64 jobId = open(1 ether);
        IJobMarket.Bid memory bid = newBid(orderOf(jobId), 0);
        bid.nonce = a;
        bytes memory signature = signedBid(bid, 0);
        vm.prank(client);
        market.acceptBid(jobId, bid, signature);
        vm.assertTrue(market.bidUsed(rig(0), a) && !market.bidUsed(rig(0), b));
        vm.prank(rig(0));
        market.cancelBids(b >> 8, 1 << (b % 256));
        vm.assertTrue(market.bidUsed(rig(0), b));
    }

    /// 22. Whatever is bid, the lowest of the fit ones wins, in every order of reveals.
    function testFuzz_auctions_theLowestWins(uint96[3] memory prices, uint256 first) public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        uint96 lowest = type(uint96).max;
        for (uint256 i = 0; i < 3; ++i) {
            prices[i] = uint96(bound(prices[i], MAX_PRICE - 5, MAX_PRICE + 2));
            commit(jobId, i, prices[i]);
            if (prices[i] <= MAX_PRICE && prices[i] < lowest) lowest = prices[i];
        }
        pass(201);
        for (uint256 n = 0; n < 3; ++n) {
            uint256 i = (first % 3 + n) % 3;
            reveal(jobId, i, prices[i]);
        }
        pass(200);
        market.awardAuction(jobId);
        IJobMarket.Job memory j = market.job(jobId);
        bool won = j.state == IJobMarket.JobState.Assigned;
        vm.assertTrue(won == (lowest <= MAX_PRICE));
        if (won) vm.assertEq(j.price, lowest);
        vm.assertEq(locked(0) + locked(1) + locked(2), won ? START_LOCK : 0);
    }

    /// The clock never goes back, stands still in pauses, and loses exactly them.
    function testFuzz_clock_losesThePauses(uint32[6] memory times) public {
        uint256 lost = 0;
        uint40 last = market.clock();
        for (uint256 i = 0; i + 1 < 6; i += 2) {
            pass(1 days + times[i] % 1 days);
            vm.assertEq(market.clock(), block.timestamp - lost);
            vm.assertTrue(market.clock() > last);
            last = market.clock();
            uint256 length = 1 + times[i + 1] % 7 days;
            vm.prank(GUARDIAN);
            market.pause(uint40(block.timestamp + length));
            uint256 spent = times[i] % length;
            pass(spent);
            vm.assertEq(market.clock(), last);
            if (times[i] % 2 == 0) {
                vm.prank(GUARDIAN);
                market.unpause();
                lost += spent;
            } else {
                pass(length - spent);
                lost += length;
            }
            vm.assertEq(market.clock(), last);
        }
    }
}
