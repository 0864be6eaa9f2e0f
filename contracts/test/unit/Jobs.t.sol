// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MarketFixture, ChallengesDouble} from "../MarketFixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

/// @dev A job's life from the assignment to the refund, and its money; every refusal.
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
        registry.burnSlashed();
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
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.DeadlineOver.selector, deadline + 3, uint256(deadline) + 4));
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
        vm.prank(rig(5));
        market.releaseJob(jobId);
        vm.assertEq(locked(0), 0);
    }

    // ---- the claim book ----

    function test_reserve_holdsTheFee() public {
        uint64 jobId = openActive(1 ether, 0);
        vm.startPrank(BOOK);
        (address from, address operator, uint128 fee, uint8 k, uint32 before) = market.reserve(jobId, 0, 7, 1000);
        vm.assertEq(from, client);
        vm.assertEq(operator, rig(0));
        vm.assertEq(fee, 1000 * PRICE);
        vm.assertEq(k, 4);
        vm.assertEq(before, 0);
        (,,,, before) = market.reserve(jobId, 7, 2, 500);
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
        market.reserve(jobId, first, 1, units);
    }

    function test_reserve_reverts() public {
        uint64 jobId = openAssigned(1 ether, 0);
        refuseClaim(jobId, 0, 1, inState(jobId, IJobMarket.JobState.Assigned));
        start(jobId, 0);
        refuseClaim(jobId, 1, 1, abi.encodeWithSelector(IJobMarket.NotNextSegment.selector, jobId, 0, 1));
        uint256 fee = (1e9 + 1) * uint256(PRICE);
        refuseClaim(jobId, 0, 1e9 + 1, abi.encodeWithSelector(IJobMarket.EscrowTooSmall.selector, jobId, 1 ether, fee));
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
        uint128 fee = reserve(jobId, 0, 1, 1);
        IJobMarket.Job memory j = market.job(jobId);
        vm.assertEq(uint256(j.state), uint256(IJobMarket.JobState.Draining));
        vm.assertEq(j.reserved, fee);
        vm.assertEq(j.nextSeq, 1);
        pass(1);
        refuseClaim(jobId, 1, 1, abi.encodeWithSelector(IJobMarket.DrainWindowOver.selector, jobId, j.drainUntil));
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
        market.reserve(1, 0, 1, 1);
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
}
