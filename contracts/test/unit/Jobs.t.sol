// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MarketFixture, ChallengesDouble} from "../MarketFixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {JobMarket} from "../../src/market/JobMarket.sol";
import {MarketStore} from "../../src/market/MarketStore.sol";

/// @dev A job's life from the assignment to the refund, its money, the clock and the parameters; every refusal.
contract JobsTest is MarketFixture {
    // ---- startJob, defaultJob ----

    function test_startJob_uptoTheLastSecond() public {
        uint64 jobId = openAssigned(1 ether, 0);
        pass(100);
        vm.expectEmit(address(market));
        emit IJobMarket.JobStarted(jobId, rig(0));
        start(jobId, 0);
        IJobMarket.Job memory j = market.job(jobId);
        vm.assertEq(uint256(j.state), uint256(IJobMarket.JobState.Active));
        vm.assertEq(j.startUntil, 0);
        vm.assertEq(locked(0), START_LOCK);
    }

    function test_startJob_reverts() public {
        uint64 jobId = openAssigned(1 ether, 0);
        uint40 until = market.job(jobId).startUntil;
        vm.prank(rig(1));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, jobId, rig(1)));
        market.startJob(jobId);
        pass(101);
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.StartWindowOver.selector, jobId, until));
        market.startJob(jobId);
        jobId = openActive(1 ether, 1);
        vm.prank(rig(1));
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Active));
        market.startJob(jobId);
    }

    /// A window that was granted is not cut short by the deadline: the operator can always save its lock.
    function test_startJob_afterTheDeadline() public {
        uint64 jobId = open(1 ether);
        pass(JOB_TIME);
        accept(jobId, 0);
        pass(100);
        start(jobId, 0);
        market.closeJob(jobId);
        release(jobId, 0);
        vm.assertEq(locked(0), 0);
    }

    function test_defaultJob_costsTheStartLock() public {
        uint64 jobId = openAssigned(1 ether, 0);
        uint40 until = market.job(jobId).startUntil;
        pass(100);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.StartWindowOpen.selector, jobId, until));
        market.defaultJob(jobId);
        pass(1);
        uint256 supply = token.totalSupply();
        vm.expectEmit(address(market));
        emit IJobMarket.JobDefaulted(jobId, rig(0), START_LOCK);
        market.defaultJob(jobId);
        vm.assertEq(registry.bounty(client), START_LOCK / 2);
        vm.assertEq(supply - token.totalSupply(), START_LOCK / 2);
        vm.assertEq(info(rig(0)).bonded, MIN_SELF - START_LOCK);
        vm.assertEq(locked(0), 0);
        IJobMarket.Job memory j = market.job(jobId);
        vm.assertEq(uint256(j.state), uint256(IJobMarket.JobState.Open));
        vm.assertEq(j.operator, address(0));
        vm.assertEq(j.escrow, 1 ether);
        (,, uint96 price) = market.parties(jobId);
        vm.assertEq(price, MAX_PRICE);
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Open));
        market.defaultJob(jobId);
        accept(jobId, 1); // the client finds another
        start(jobId, 1);
    }

    function test_defaultJob_takesWhatIsLeft() public {
        uint64 jobId = openAssigned(1 ether, 0);
        slash(rig(0), MIN_SELF - 3); // below its locks
        pass(101);
        market.defaultJob(jobId);
        vm.assertEq(info(rig(0)).bonded, 0);
        vm.assertEq(registry.bounty(client), 1);
        vm.assertEq(state(jobId), uint256(IJobMarket.JobState.Open));
    }

    function test_defaultJob_ofAnAuctionOpensTheDirectDoor() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 0, PRICE);
        pass(201);
        reveal(jobId, 0, PRICE);
        pass(200);
        market.awardAuction(jobId);
        pass(101);
        market.defaultJob(jobId);
        vm.assertEq(uint256(market.job(jobId).door), uint256(IJobMarket.Door.Direct));
        vm.assertEq(locked(0), 0);
        vm.prank(client);
        market.cancelJob(jobId); // and gives no lock up twice
        vm.assertEq(market.owed(client), 1 ether);
    }

    // ---- cancelJob ----

    function test_cancelJob_refundsOpenAndAssigned() public {
        uint64 jobId = open(1 ether);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, client, address(this)));
        market.cancelJob(jobId);
        vm.expectEmit(address(market));
        emit IJobMarket.JobClosed(jobId, 1 ether);
        vm.prank(client);
        market.cancelJob(jobId);
        uint64 second = openAssigned(2 ether, 0);
        vm.prank(client);
        market.cancelJob(second);
        vm.assertEq(market.owed(client), 3 ether);
        vm.assertEq(locked(0), 0);
        vm.assertEq(state(second), uint256(IJobMarket.JobState.Closed));
        vm.prank(rig(0));
        vm.expectRevert(inState(second, IJobMarket.JobState.Closed));
        market.startJob(second);
    }

    function test_cancelJob_revertsOnceItRuns() public {
        uint64 jobId = openActive(1 ether, 0);
        vm.prank(client);
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Active));
        market.cancelJob(jobId);
        close(jobId);
        vm.prank(client);
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Draining));
        market.cancelJob(jobId);
    }

    // ---- topUp, extendJob, setSeedTip ----

    function test_topUp_inEveryStateUntilClosed() public {
        uint64 jobId = openActive(1 ether, 0);
        vm.expectEmit(address(market));
        emit IJobMarket.ToppedUp(jobId, 2 ether, 3 ether);
        vm.prank(STRANGER);
        market.topUp{value: 2 ether}(jobId);
        vm.expectRevert(IJobMarket.ZeroValue.selector);
        market.topUp(jobId);
        release(jobId, 0);
        vm.deal(address(this), 2);
        market.topUp{value: 1}(jobId);
        reclaim(jobId);
        vm.assertEq(market.owed(client), 3 ether + 1);
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Closed));
        market.topUp{value: 1}(jobId);
        vm.expectRevert(inState(99, IJobMarket.JobState.None));
        market.topUp{value: 1}(99);
    }

    function test_extendJob_whileItIsNotOver() public {
        uint64 jobId = open(1 ether);
        uint40 deadline = market.job(jobId).deadline;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, client, address(this)));
        market.extendJob(jobId, deadline + 1);
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.DeadlineNotLater.selector, deadline, deadline));
        market.extendJob(jobId, deadline);
        vm.expectEmit(address(market));
        emit IJobMarket.JobExtended(jobId, deadline + 1);
        market.extendJob(jobId, deadline + 1);
        vm.stopPrank();
        accept(jobId, 0);
        vm.prank(client);
        market.extendJob(jobId, deadline + 2);
        start(jobId, 0);
        vm.prank(client);
        market.extendJob(jobId, deadline + 3);
        vm.assertEq(market.job(jobId).deadline, deadline + 3);
        pass(JOB_TIME + 4);
        vm.prank(client);
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.DeadlineOver.selector, deadline + 3, uint256(deadline) + 4)
        );
        market.extendJob(jobId, deadline + 9);
        market.closeJob(jobId);
        vm.prank(client);
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Draining));
        market.extendJob(jobId, deadline + 9);
    }

    function test_setSeedTip_betweenClaims() public {
        uint64 jobId = openActive(1 ether, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, client, address(this)));
        market.setSeedTip(jobId, "new");
        vm.expectEmit(address(market));
        emit IJobMarket.SeedTipSet(jobId, "new");
        vm.prank(client);
        market.setSeedTip(jobId, "new");
        vm.assertEq(market.job(jobId).seedTip, "new");
        reserve(jobId, 0, 1, 1);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ClaimsOpen.selector, jobId, 1));
        market.setSeedTip(jobId, "newer");
        jobId = open(1 ether);
        vm.startPrank(client);
        market.cancelJob(jobId);
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Closed));
        market.setSeedTip(jobId, "new");
        vm.stopPrank();
    }

    // ---- closeJob, releaseJob, reclaim ----

    function test_closeJob_drains() public {
        uint64 jobId = openActive(1 ether, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, client, address(this)));
        market.closeJob(jobId);
        uint40 until = market.clock() + 300;
        vm.expectEmit(address(market));
        emit IJobMarket.JobDraining(jobId, until);
        close(jobId);
        vm.assertEq(market.job(jobId).drainUntil, until);
        vm.prank(client);
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Draining));
        market.closeJob(jobId);
        vm.assertEq(locked(0), START_LOCK, "until it is released or reclaimed");
        pass(300);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.DrainWindowOpen.selector, jobId, until));
        market.reclaim(jobId);
        pass(1);
        reclaim(jobId);
        vm.assertEq(market.owed(client), 1 ether);
        vm.assertEq(locked(0), 0);
        vm.prank(client);
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Closed));
        market.reclaim(jobId);
    }

    function test_closeJob_byAnyoneAfterTheDeadlineDrainsFromIt() public {
        uint64 jobId = openActive(1 ether, 0);
        uint40 deadline = market.job(jobId).deadline;
        pass(JOB_TIME);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, client, address(this)));
        market.closeJob(jobId);
        pass(1);
        market.closeJob(jobId);
        vm.assertEq(market.job(jobId).drainUntil, deadline + 300);
    }

    function test_releaseJob_endsItForTheOperator() public {
        uint64 jobId = openActive(1 ether, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, jobId, address(this)));
        market.releaseJob(jobId);
        vm.expectEmit(address(market));
        emit IJobMarket.JobReleased(jobId);
        release(jobId, 0);
        vm.assertEq(locked(0), 0);
        vm.assertTrue(market.job(jobId).released);
        vm.assertEq(state(jobId), uint256(IJobMarket.JobState.Draining));
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.AlreadyReleased.selector, jobId));
        market.releaseJob(jobId);
        reclaim(jobId); // at once
        vm.assertEq(locked(0), 0);
        vm.prank(rig(0));
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Closed));
        market.releaseJob(jobId);
    }

    function test_releaseJob_revertsBeforeItRuns() public {
        uint64 jobId = open(1 ether);
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, jobId, rig(0)));
        market.releaseJob(jobId);
        accept(jobId, 0);
        vm.prank(rig(0));
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Assigned));
        market.releaseJob(jobId);
    }

    function test_reclaim_waitsForOpenClaims() public {
        uint64 jobId = openActive(1 ether, 0);
        uint128 fee = reserve(jobId, 0, 1, 1000);
        release(jobId, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, client, address(this)));
        market.reclaim(jobId);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ClaimsOpen.selector, jobId, 1));
        market.reclaim(jobId);
        vm.prank(BOOK);
        market.pay(jobId, 1, fee, 0);
        reclaim(jobId);
        vm.assertEq(market.owed(client), 1 ether - fee);
        vm.assertEq(address(market).balance, 1 ether);
    }

    /// The signer of the moment acts for the job, whichever made the bid.
    function test_theSignerMayChangeMidJob() public {
        uint64 jobId = openAssigned(1 ether, 0);
        vm.prank(rig(0));
        keys.proposeSigner(rig(0), rig(5));
        vm.prank(rig(5));
        keys.acceptSigner(rig(0));
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, jobId, rig(0)));
        market.startJob(jobId);
        vm.prank(rig(5));
        market.startJob(jobId);
        vm.startPrank(BOOK);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, jobId, rig(0)));
        market.reserve(jobId, rig(0), 0, 1, 1);
        market.reserve(jobId, rig(5), 0, 1, 1);
        vm.stopPrank();
        vm.prank(rig(5));
        market.releaseJob(jobId);
        vm.assertEq(locked(0), 0);
    }

    // ---- the claim book ----

    function test_reserve_holdsTheFee() public {
        uint64 jobId = openActive(1 ether, 0);
        vm.startPrank(BOOK);
        (address operator, uint128 fee, uint8 k, uint32 before) = market.reserve(jobId, rig(0), 0, 7, 1000);
        vm.assertEq(operator, rig(0));
        vm.assertEq(fee, 1000 * PRICE);
        vm.assertEq(k, 4);
        vm.assertEq(before, 0);
        (,,, before) = market.reserve(jobId, rig(0), 7, 2, 500);
        vm.assertEq(before, 7);
        vm.stopPrank();
        IJobMarket.Job memory j = market.job(jobId);
        vm.assertEq(j.escrow, 1 ether - 1500 * PRICE);
        vm.assertEq(j.reserved, 1500 * PRICE);
        vm.assertEq(j.nextSeq, 9);
        vm.assertEq(j.openClaims, 2);
    }

    function refuseClaim(uint64 jobId, uint64 first, uint64 units, bytes memory why) internal {
        vm.prank(BOOK);
        vm.expectRevert(why);
        market.reserve(jobId, rig(0), first, 1, units);
    }

    function test_reserve_reverts() public {
        uint64 jobId = openAssigned(1 ether, 0);
        refuseClaim(jobId, 0, 1, inState(jobId, IJobMarket.JobState.Assigned));
        start(jobId, 0);
        refuseClaim(jobId, 1, 1, abi.encodeWithSelector(IJobMarket.NotNextSegment.selector, jobId, 0, 1));
        uint256 fee = (1e9 + 1) * uint256(PRICE);
        refuseClaim(
            jobId, 0, 1e9 + 1, abi.encodeWithSelector(IJobMarket.EscrowTooSmall.selector, jobId, 1 ether, fee)
        );
        vm.prank(BOOK);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, jobId, rig(1)));
        market.reserve(jobId, rig(1), 0, 1, 1);
        reserve(jobId, 0, 1, 1e9); // all of it
        close(jobId);
        uint256 until = market.job(jobId).drainUntil;
        pass(301);
        refuseClaim(jobId, 1, 0, abi.encodeWithSelector(IJobMarket.DrainWindowOver.selector, jobId, until));
        release(jobId, 0);
        refuseClaim(jobId, 1, 0, abi.encodeWithSelector(IJobMarket.AlreadyReleased.selector, jobId));
    }

    function test_reserve_drainsFromTheDeadlineThoughNobodyCloses() public {
        uint64 jobId = openActive(1 ether, 0);
        uint256 deadline = market.job(jobId).deadline;
        pass(JOB_TIME + 300);
        reserve(jobId, 0, 1, 1);
        pass(1);
        refuseClaim(jobId, 1, 1, abi.encodeWithSelector(IJobMarket.DrainWindowOver.selector, jobId, deadline + 300));
    }

    function test_reserve_whileDraining() public {
        uint64 jobId = openActive(1 ether, 0);
        close(jobId);
        pass(300);
        reserve(jobId, 0, 1, 1);
    }

    function test_pay_dividesTheFee() public {
        uint64 jobId = openActive(1 ether, 0);
        uint128 fee = reserve(jobId, 0, 1, 1000);
        vm.prank(BOOK);
        market.pay(jobId, 77, fee, fee / 50);
        vm.assertEq(market.feesOf(rig(0)), fee - fee / 50);
        vm.assertEq(ChallengesDouble(address(challenges)).deposited(77), fee / 50);
        vm.assertEq(market.job(jobId).reserved, 0);
        vm.assertEq(market.job(jobId).openClaims, 0);
        vm.expectEmit(address(market));
        emit IJobMarket.FeesRouted(rig(0), fee - fee / 50);
        market.routeFees(rig(0));
        vm.assertEq(address(router).balance, fee - fee / 50);
        vm.assertEq(address(market).balance, 1 ether - fee);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NothingOwed.selector, rig(0)));
        market.routeFees(rig(0));
    }

    function test_restore_givesTheFeeBack() public {
        uint64 jobId = openActive(1 ether, 0);
        uint128 fee = reserve(jobId, 0, 1, 1000);
        vm.prank(BOOK);
        market.restore(jobId, fee);
        IJobMarket.Job memory j = market.job(jobId);
        vm.assertEq(j.escrow, 1 ether);
        vm.assertEq(j.reserved, 0);
        vm.assertEq(j.openClaims, 0);
        vm.assertEq(j.nextSeq, 1, "segments are claimed once, whatever becomes of it");
    }

    function test_popSeed_goesDownTheChain() public {
        bytes32 link = keccak256("link"); // TIP is its hash
        uint64 jobId = openActive(1 ether, 0);
        vm.startPrank(BOOK);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherPreimage.selector, jobId));
        market.popSeed(jobId, "another");
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherPreimage.selector, jobId));
        market.popSeed(jobId, 0);
        market.popSeed(jobId, link);
        vm.assertEq(market.job(jobId).seedTip, link);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherPreimage.selector, jobId));
        market.popSeed(jobId, link);
        vm.stopPrank();
        vm.prank(client);
        market.setSeedTip(jobId, 0);
        vm.startPrank(BOOK);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherPreimage.selector, jobId));
        market.popSeed(jobId, "another");
        market.popSeed(jobId, 0);
        vm.stopPrank();
    }

    function test_theBookAloneMovesFees() public {
        bytes memory why = abi.encodeWithSelector(IJobMarket.NotBook.selector, address(this));
        vm.expectRevert(why);
        market.reserve(1, rig(0), 0, 1, 1);
        vm.expectRevert(why);
        market.pay(1, 1, 1, 1);
        vm.expectRevert(why);
        market.restore(1, 1);
        vm.expectRevert(why);
        market.popSeed(1, 0);
    }

    function test_withdraw_paysOnce() public {
        uint64 jobId = open(1 ether);
        vm.startPrank(client);
        market.cancelJob(jobId);
        uint256 before = client.balance;
        vm.expectEmit(address(market));
        emit IJobMarket.Withdrawn(client, 1 ether);
        market.withdraw();
        vm.assertEq(client.balance - before, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NothingOwed.selector, client));
        market.withdraw();
        vm.stopPrank();
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

    // ---- locks, when the market's time in the registry is over ----

    /// Locks that somebody freed, because the registry lets this market judge no more, keep no escrow.
    function test_reclaim_afterTheMarketsEndInTheRegistry() public {
        uint64 jobId = openActive(1 ether, 0);
        uint64 assigned = openAssigned(1 ether, 0);
        close(jobId);
        registry.retireSlasher(address(market));
        pass(uint256(market.reach()) + 1);
        registry.freeEnded(rig(0), address(market));
        vm.assertEq(locked(0), 0);
        reclaim(jobId);
        vm.expectPartialRevert(IStakeRegistry.SlasherInState.selector);
        market.defaultJob(assigned);
        vm.prank(client);
        market.cancelJob(assigned);
        vm.assertEq(market.owed(client), 2 ether);
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
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.ParamOutOfBounds.selector, 0, 1, type(uint16).max)
        );
        construct(least, most);
        least = leastParams();
        most.startLock = 1 << 96;
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.ParamOutOfBounds.selector, 1 << 96, 0, type(uint96).max)
        );
        construct(least, most);
        most = mostParams();
        most.deposit = 1 << 96;
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.ParamOutOfBounds.selector, 1 << 96, 0, type(uint96).max)
        );
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
