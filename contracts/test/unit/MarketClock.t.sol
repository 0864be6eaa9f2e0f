// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MarketFixture} from "../MarketFixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {JobMarket} from "../../src/market/JobMarket.sol";
import {MarketStore} from "../../src/market/MarketStore.sol";

/// @dev Pauses and parameters: what they stop, and what they must leave alone.
contract MarketClockTest is MarketFixture {
    function refuseClaim(uint64 jobId, uint64 first, uint64 units, bytes memory why) internal {
        vm.prank(BOOK);
        vm.expectRevert(why);
        market.reserve(jobId, first, 1, units);
    }

    // ---- the clock and its pauses ----

    function pauseFor(uint40 time) internal {
        vm.prank(GUARDIAN);
        market.pause(uint40(block.timestamp) + time);
    }

    function test_pause_stopsTheClockAndEndsByItself() public {
        uint40 before = market.clock();
        vm.assertEq(before, block.timestamp);
        pauseFor(1000);
        vm.assertEq(market.pausedUntil(), block.timestamp + 1000);
        pass(999);
        vm.assertEq(market.clock(), before);
        pass(2);
        vm.assertEq(market.clock(), before + 1);
        pass(1 days);
        vm.expectEmit(address(market));
        emit IJobMarket.Paused(uint40(block.timestamp) + 500);
        pauseFor(500);
        pass(200);
        vm.expectEmit(address(market));
        emit IJobMarket.Unpaused();
        vm.prank(GUARDIAN);
        market.unpause();
        vm.assertEq(market.clock(), before + 1 + 1 days);
        pass(3);
        vm.assertEq(market.clock(), before + 4 + 1 days);
        vm.assertEq(market.clock(), block.timestamp - 1200);
    }

    function test_pause_isBounded() public {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotGuardian.selector, address(this)));
        market.pause(1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotGuardian.selector, address(this)));
        market.unpause();
        uint256 most = block.timestamp + 7 days;
        vm.startPrank(GUARDIAN);
        vm.expectRevert(IJobMarket.NotPaused.selector);
        market.unpause();
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.PauseTooLong.selector, block.timestamp, most));
        market.pause(uint40(block.timestamp));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.PauseTooLong.selector, most + 1, most));
        market.pause(uint40(most + 1));
        market.pause(uint40(most));
        vm.warp(most + 1 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.PauseTooSoon.selector, most + 1 days));
        market.pause(uint40(most + 2 days));
        pass(1);
        market.pause(uint40(block.timestamp + 1));
        vm.stopPrank();
    }

    function paused() internal view returns (bytes memory) {
        return abi.encodeWithSelector(IJobMarket.MarketPaused.selector, market.pausedUntil());
    }

    function test_pause_refusesWhatIsNew() public {
        uint64 jobId = open(1 ether);
        uint64 assigned = openAssigned(1 ether, 0);
        uint64 active = openActive(1 ether, 0);
        uint64 auction = open(IJobMarket.Door.Auction, 1 ether);
        uint64 election = open(IJobMarket.Door.Election, 1 ether);
        IJobMarket.JobOrder memory order = newOrder();
        bytes memory orderSignature = signed(CLIENT_KEY, market.orderHash(order));
        IJobMarket.Bid memory bid = newBid(orderOf(jobId), 0);
        bytes memory signature = signedBid(bid, 0);
        pauseFor(1000);
        bytes memory why = paused();
        vm.startPrank(client);
        vm.expectRevert(why);
        market.openJob(order, IJobMarket.Door.Direct);
        vm.expectRevert(why);
        market.openJobFor(order, IJobMarket.Door.Direct, orderSignature);
        vm.expectRevert(why);
        market.acceptBid(jobId, bid, signature);
        bid.order = market.orderHash(order);
        vm.expectRevert(why);
        market.openWithBid(order, bid, signature);
        vm.expectRevert(why);
        market.awardAuction(auction);
        vm.expectRevert(why);
        market.elect(election, "");
        vm.stopPrank();
        vm.prank(rig(0));
        vm.expectRevert(why);
        market.startJob(assigned);
        refuseClaim(active, 0, 1, why);
    }

    /// 29. What was begun can be ended, and everybody gets its own out.
    function test_pause_letsEverythingEnd() public {
        uint64 assigned = openAssigned(1 ether, 0);
        uint64 defaulting = openAssigned(1 ether, 1);
        uint64 active = openActive(1 ether, 0);
        uint64 second = openActive(1 ether, 0);
        uint64 auction = open(IJobMarket.Door.Auction, 1 ether);
        uint128 fee = reserve(active, 0, 1, 1000);
        uint128 other = reserve(active, 0, 1, 500);
        commit(auction, 0, PRICE);
        pass(201); // over before the pause
        pauseFor(1000);
        reveal(auction, 0, PRICE);
        commitWhilePaused();
        market.defaultJob(defaulting);
        vm.startPrank(client);
        market.cancelJob(assigned);
        market.closeJob(second);
        market.topUp{value: 1}(second);
        market.setSeedTip(second, 0);
        vm.stopPrank();
        vm.startPrank(BOOK);
        market.popSeed(active, keccak256("link"));
        market.pay(active, 1, fee, fee / 50);
        market.restore(active, other);
        vm.stopPrank();
        release(active, 0);
        release(second, 0);
        reclaim(active);
        reclaim(second);
        market.routeFees(rig(0));
        vm.prank(client);
        market.withdraw();
        vm.prank(rig(0));
        market.withdraw();
        vm.assertGe(market.pausedUntil(), block.timestamp + 1, "paused to the end");
        vm.assertEq(uint256(market.job(active).state), uint256(IJobMarket.JobState.Closed));
        vm.assertEq(uint256(market.job(second).state), uint256(IJobMarket.JobState.Closed));
        vm.assertEq(uint256(market.job(assigned).state), uint256(IJobMarket.JobState.Closed));
        vm.assertEq(uint256(market.job(defaulting).state), uint256(IJobMarket.JobState.Open), "to be assigned anew");
        vm.assertEq(market.auction(auction).best, rig(0));
        vm.assertEq(market.owed(client), 0);
        // Escrows come back whole but for the one fee that was paid; two jobs keep theirs, and a bidder got its deposit.
        vm.assertEq(client.balance, 1e6 ether - fee - 2 ether);
        vm.assertEq(rig(0).balance, DEPOSIT);
        vm.assertEq(router.owed(rig(0)), fee - fee / 50 - (fee - fee / 50) / 100);
        vm.assertEq(address(market).balance, 2 ether, "the escrows of those that are open");
    }

    /// @dev An auction whose commit window is open in the pause was opened before it, so there is none: bids wait.
    function commitWhilePaused() internal {
        vm.prank(rig(2));
        market.cancelBids(0, 1);
        setTerms(2, PRICE, 1);
    }

    function test_pause_runsNoWindowOut() public {
        uint64 assigned = openAssigned(1 ether, 0);
        uint64 draining = openActive(1 ether, 1);
        close(draining);
        uint64 active = openActive(1 ether, 2);
        uint64 auction = open(IJobMarket.Door.Auction, 1 ether);
        pass(100);
        pauseFor(7 days);
        pass(7 days - 1);
        vm.expectPartialRevert(IJobMarket.StartWindowOpen.selector);
        market.defaultJob(assigned);
        vm.prank(client);
        vm.expectPartialRevert(IJobMarket.DrainWindowOpen.selector);
        market.reclaim(draining);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, client, address(this)));
        market.closeJob(active); // its deadline is as far as it was
        commit(auction, 0, PRICE);
        pass(1);
        start(assigned, 0);
        reserve(draining, 1, 1, 1);
        reserve(active, 2, 1, 1);
    }

    // ---- parameters ----

    function outOfBounds(IJobMarket.Params memory p, uint256 value, uint256 least, uint256 most) internal {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ParamOutOfBounds.selector, value, least, most));
        market.setParams(p);
    }

    function test_setParams_movesWithinBounds() public {
        IJobMarket.Params memory p = marketParams();
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotAdmin.selector, STRANGER));
        market.setParams(p);
        vm.expectEmit(address(market));
        emit IJobMarket.ParamsChanged(2, leastParams());
        market.setParams(leastParams());
        market.setParams(mostParams());
        vm.assertEq(keccak256(abi.encode(market.params())), keccak256(abi.encode(mostParams())));
        vm.assertEq(market.reach(), 2 hours + 1 hours + 7 days);
        p.startWindow = 9;
        outOfBounds(p, 9, 10, 1 hours);
        p.startWindow = 1 hours + 1;
        outOfBounds(p, 1 hours + 1, 10, 1 hours);
        p = marketParams();
        p.drainWindow = 9;
        outOfBounds(p, 9, 10, 1 days);
        p = marketParams();
        p.commitWindow = 9;
        outOfBounds(p, 9, 10, 2 hours);
        p = marketParams();
        p.revealWindow = 2 hours + 1;
        outOfBounds(p, 2 hours + 1, 10, 2 hours);
        p = marketParams();
        p.electionDelay = 1;
        outOfBounds(p, 1, 2, 100);
        p = marketParams();
        p.startLock = 1e18 - 1;
        outOfBounds(p, 1e18 - 1, 1e18, 100e18);
        p = marketParams();
        p.deposit = 10 ether + 1;
        outOfBounds(p, 10 ether + 1, 0, 10 ether);
    }

    /// What is under way keeps its windows and locks.
    function test_setParams_shortensNothingThatRuns() public {
        uint64 assigned = openAssigned(1 ether, 0);
        uint64 active = openActive(1 ether, 1);
        uint64 auction = open(IJobMarket.Door.Auction, 1 ether);
        market.setParams(leastParams());
        pass(100);
        start(assigned, 0);
        close(active);
        vm.assertEq(market.job(active).drainUntil, market.clock() + 300);
        release(active, 1);
        vm.assertEq(locked(1), 0, "all that was locked");
        commit(auction, 1, PRICE); // with the deposit of then
        pass(101);
        reveal(auction, 1, PRICE);
        pass(200);
        vm.assertEq(locked(1), START_LOCK);
        market.awardAuction(auction);
        vm.assertEq(market.job(auction).startUntil, market.clock() + 100);
        uint64 later = openAssigned(1 ether, 2);
        vm.assertEq(locked(2), 1e18);
        vm.assertEq(market.job(later).startUntil, market.clock() + 10);
        market.setParams(mostParams());
        pass(11);
        market.defaultJob(later);
        vm.assertEq(locked(2), 0);
    }

    function construct(IJobMarket.Params memory least, IJobMarket.Params memory most) internal {
        MarketStore.Parts memory parts =
            MarketStore.Parts(registry, profiles, challenges, router, BOOK, GUARDIAN, address(this));
        new JobMarket(parts, least, most, marketParams());
    }

    function test_constructor_revertsOnUnusableBounds() public {
        IJobMarket.Params memory least = leastParams();
        IJobMarket.Params memory most = mostParams();
        least.electionDelay = 0;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ParamOutOfBounds.selector, 0, 1, type(uint16).max));
        construct(least, most);
        least = leastParams();
        most.startLock = 1 << 96;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ParamOutOfBounds.selector, 1 << 96, 0, type(uint96).max));
        construct(least, most);
        most = mostParams();
        most.deposit = 1 << 96;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ParamOutOfBounds.selector, 1 << 96, 0, type(uint96).max));
        construct(least, most);
        most = mostParams();
        most.drainWindow = 1 days + 1;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ParamOutOfBounds.selector, 1 days + 1, 0, 1 days));
        construct(least, most);
        most = mostParams();
        most.startWindow = 99;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ParamOutOfBounds.selector, 100, 10, 99));
        construct(least, most);
    }

    function test_digests_areEip712() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Headframe"),
                keccak256("1"),
                block.chainid,
                address(market)
            )
        );
        vm.assertEq(market.domainSeparator(), domain);
        IJobMarket.Bid memory bid = IJobMarket.Bid("order", rig(0), 1, 2, 3);
        bytes32 kind = keccak256("Bid(bytes32 order,address operator,uint96 price,uint40 expiry,uint256 nonce)");
        bytes32 content = keccak256(abi.encode(kind, bytes32("order"), rig(0), uint96(1), uint40(2), uint256(3)));
        vm.assertEq(market.bidHash(bid), keccak256(abi.encodePacked(hex"1901", domain, content)));
        IJobMarket.JobOrder memory o = IJobMarket.JobOrder(client, "profile", 1, 2, 3, "tip", 4);
        kind = keccak256(
            "JobOrder(address client,bytes32 profile,uint96 maxPrice,uint40 deadline,uint8 k,bytes32 seedTip,uint256 salt)"
        );
        content = keccak256(
            abi.encode(kind, client, bytes32("profile"), uint96(1), uint40(2), uint8(3), bytes32("tip"), uint256(4))
        );
        vm.assertEq(market.orderHash(o), keccak256(abi.encodePacked(hex"1901", domain, content)));
    }
}
