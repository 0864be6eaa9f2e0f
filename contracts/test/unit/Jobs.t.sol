// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Fixture} from "../Fixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {JobMarket} from "../../src/JobMarket.sol";
import {Token} from "../../src/token/Token.sol";
import {StakeRegistry} from "../../src/staking/StakeRegistry.sol";

/// @dev Refuses money; what it is owed must stay its own problem.
contract Refuser {
    function open(JobMarket market) external payable returns (uint64 jobId) {
        jobId = market.openJob{value: msg.value}(0, 1, 1);
        market.closeJob(jobId);
    }

    function withdraw(JobMarket market) external {
        market.withdraw();
    }
}

/// @dev Tries to be paid twice by calling back while it is being paid.
contract Reenterer {
    JobMarket private immutable market;
    bool public reentered;

    constructor(JobMarket market_) {
        market = market_;
    }

    function run() external payable {
        market.closeJob(market.openJob{value: msg.value}(0, 1, 1));
        market.withdraw();
    }

    receive() external payable {
        (bool ok,) = address(market).call(abi.encodeCall(IJobMarket.withdraw, ()));
        reentered = ok;
    }
}

contract JobsTest is Fixture {
    function inState(uint64 jobId, IJobMarket.JobState expected) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IJobMarket.JobNotInState.selector, jobId, expected);
    }

    function state(uint64 jobId) internal view returns (uint256) {
        return uint256(market.job(jobId).state);
    }

    // ---- construction ----

    function badParams(IJobMarket.Params memory p) internal {
        vm.expectRevert(IJobMarket.BadParams.selector);
        new JobMarket(registry, p);
    }

    function test_constructor_revertsOnUnusableParams() public {
        IJobMarket.Params memory p = testParams();
        p.seedDelay = 0;
        badParams(p);
        p = testParams();
        p.answerWindow = 8191; // a seed could go out of reach before the deadline
        badParams(p);
        p = testParams();
        p.lockPerWeiDen = 0;
        badParams(p);
        p = testParams();
        p.drainWindow = 0;
        badParams(p);
        p.drainWindow = 1;
        p.answerWindow = 8190;
        vm.assertEq(new JobMarket(registry, p).params().answerWindow, 8190);
    }

    // ---- openJob, topUp ----

    function test_openJob_recordsTheJob() public {
        vm.expectEmit(address(market));
        emit IJobMarket.JobOpened(1, client, PROFILE, 2 * PRICE, 4, 5 ether, uint64(block.number) + 8);
        uint64 id = open(5 ether, 4);
        IJobMarket.Job memory j = market.job(id);
        vm.assertEq(j.client, client);
        vm.assertEq(uint256(j.state), uint256(IJobMarket.JobState.Open));
        vm.assertEq(j.k, 4);
        vm.assertEq(j.escrow, 5 ether);
        vm.assertEq(j.maxPrice, 2 * PRICE);
        vm.assertEq(j.profile, PROFILE);
        vm.assertEq(market.nextJobId(), id + 1);
        vm.assertEq(uint256(market.job(id + 1).state), 0, "unknown jobs read as None");
    }

    function test_openJob_revertsOnBadDrawCount() public {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadDrawCount.selector, 0, 16));
        market.openJob(PROFILE, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadDrawCount.selector, 17, 16));
        market.openJob(PROFILE, 1, 17);
    }

    function test_topUp_addsInEveryStateUntilClosed() public {
        uint64 id = openActive(1 ether, 4);
        vm.prank(stranger);
        market.topUp{value: 2 ether}(id);
        vm.assertEq(market.job(id).escrow, 3 ether);
        vm.expectRevert(IJobMarket.ZeroValue.selector);
        market.topUp(id);
        vm.prank(operator);
        market.releaseJob(id);
        vm.prank(client);
        market.reclaim(id);
        vm.expectRevert(inState(id, IJobMarket.JobState.Closed));
        market.topUp{value: 1}(id);
        vm.expectRevert(inState(99, IJobMarket.JobState.None));
        market.topUp{value: 1}(99);
    }

    // ---- bid ----

    function test_bid_canBeLoweredButNotRaised() public {
        uint64 id = openAndBid(1 ether, 4);
        vm.prank(operator);
        market.bid(id, PRICE - 1);
        (address[] memory who, uint96[] memory prices) = market.bids(id);
        vm.assertEq(who.length, 1);
        vm.assertEq(who[0], operator);
        vm.assertEq(prices[0], PRICE - 1);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BidNotLower.selector, id, PRICE - 1, PRICE));
        market.bid(id, PRICE);
    }

    function test_bid_revertsWhenOverpricedInactiveLateOrNotOpen() public {
        uint64 id = open(1 ether, 4);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.PriceTooHigh.selector, 2 * PRICE + 1, 2 * PRICE));
        market.bid(id, 2 * PRICE + 1);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotActive.selector, stranger));
        market.bid(id, PRICE);
        vm.roll(block.number + 9);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BiddingOver.selector, id, block.number - 1));
        market.bid(id, PRICE);
        vm.prank(operator);
        vm.expectRevert(inState(77, IJobMarket.JobState.None));
        market.bid(77, PRICE);
    }

    function test_bid_isBoundedToSixteenBidders() public {
        deploySystem(32);
        uint64 id = open(1 ether, 4);
        for (uint160 i = 1; i <= 17; ++i) {
            join(address(i), MIN_BOND);
            vm.prank(address(i));
            if (i == 17) vm.expectRevert(abi.encodeWithSelector(IJobMarket.TooManyBids.selector, id, 16));
            market.bid(id, PRICE);
        }
        vm.prank(address(16));
        market.bid(id, PRICE - 1); // those who are in may still improve
    }

    // ---- award, claimJob ----

    function test_award_beforeTheWindowEndsAndAfter() public {
        uint64 id = openAndAward(1 ether, 4);
        IJobMarket.Job memory j = market.job(id);
        vm.assertEq(j.operator, operator);
        vm.assertEq(j.price, PRICE);
        vm.assertEq(j.startUntil, block.number + 10);
        id = openAndBid(1 ether, 4);
        vm.roll(block.number + 100);
        vm.prank(client);
        market.award(id, operator);
        vm.assertEq(state(id), uint256(IJobMarket.JobState.Awarded));
    }

    function test_award_revertsForOthersNonBiddersAndInactive() public {
        uint64 id = openAndBid(1 ether, 4);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, id, address(this)));
        market.award(id, operator);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NoBid.selector, id, stranger));
        market.award(id, stranger);
        vm.prank(operator);
        registry.unbond(1);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotActive.selector, operator));
        market.award(id, operator);
    }

    function test_award_movesOnWhenTheFirstNeverStarts() public {
        uint64 id = openAndBid(1 ether, 4);
        address second = address(0x22);
        join(second, MIN_BOND);
        vm.prank(second);
        market.bid(id, PRICE - 5);
        vm.prank(client);
        market.award(id, operator);
        uint64 startUntil = market.job(id).startUntil;
        vm.roll(startUntil);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.StartWindowOpen.selector, id, startUntil));
        market.award(id, second);
        rollPast(startUntil);
        vm.prank(client);
        market.award(id, second);
        vm.assertEq(market.job(id).operator, second);
        vm.assertEq(market.job(id).price, PRICE - 5);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, id, operator));
        market.claimJob(id);
    }

    function test_award_revertsOnceTheJobRuns() public {
        uint64 id = openActive(1 ether, 4);
        vm.roll(block.number + 100);
        vm.prank(client);
        vm.expectRevert(inState(id, IJobMarket.JobState.Active));
        market.award(id, operator);
    }

    function test_claimJob_locksTheStartLock() public {
        uint64 id = openActive(1 ether, 4);
        vm.assertEq(stakeOf(operator).locked, START_LOCK);
        vm.prank(operator);
        vm.expectRevert(inState(id, IJobMarket.JobState.Active));
        market.claimJob(id);
    }

    function test_claimJob_revertsWhenLateOrWithoutFreeStake() public {
        uint64 id = openAndAward(1 ether, 4);
        vm.prank(operator);
        registry.unbond(MIN_BOND - START_LOCK + 1);
        vm.prank(operator);
        vm.expectRevert(
            abi.encodeWithSelector(IStakeRegistry.InsufficientFree.selector, operator, START_LOCK - 1, START_LOCK)
        );
        market.claimJob(id);
        uint64 startUntil = market.job(id).startUntil;
        rollPast(startUntil);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.StartWindowOver.selector, id, startUntil));
        market.claimJob(id);
    }

    // ---- closeJob, releaseJob, reclaim, withdraw ----

    function test_closeJob_refundsOpenAndUnclaimedAwards() public {
        uint64 a = open(2 ether, 4);
        uint64 b = openAndAward(3 ether, 4);
        vm.prank(client);
        market.closeJob(a);
        vm.prank(client);
        market.closeJob(b);
        vm.assertEq(market.owed(client), 5 ether);
        vm.assertEq(state(b), uint256(IJobMarket.JobState.Closed));
        vm.prank(operator);
        vm.expectRevert(inState(b, IJobMarket.JobState.Closed));
        market.claimJob(b);
        vm.prank(client);
        vm.expectRevert(inState(b, IJobMarket.JobState.Closed));
        market.closeJob(b);
        uint256 before = client.balance;
        vm.prank(client);
        market.withdraw();
        vm.assertEq(client.balance - before, 5 ether);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NothingOwed.selector, client));
        market.withdraw();
    }

    function test_closeJob_ofAJobNobodyWorksGivesTheMoneyBack() public {
        uint64 id = openActive(3 ether, 4);
        vm.prank(client);
        market.closeJob(id);
        uint64 drainUntil = market.job(id).drainUntil;
        vm.assertEq(drainUntil, block.number + 30);
        vm.roll(drainUntil);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.DrainWindowOpen.selector, id, drainUntil));
        market.reclaim(id);
        rollPast(drainUntil);
        vm.prank(client);
        market.reclaim(id);
        vm.assertEq(market.owed(client), 3 ether);
        vm.assertEq(stakeOf(operator).locked, 0, "the start lock is free again");
        vm.prank(operator);
        vm.expectRevert(inState(id, IJobMarket.JobState.Closed));
        market.releaseJob(id);
    }

    function test_closeJob_revertsForOthers() public {
        uint64 id = openActive(1 ether, 4);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, id, operator));
        market.closeJob(id);
        vm.prank(client);
        market.closeJob(id);
        vm.prank(client);
        vm.expectRevert(inState(id, IJobMarket.JobState.Draining));
        market.closeJob(id);
    }

    function test_releaseJob_freesTheStartLockOnce() public {
        uint64 id = openActive(3 ether, 4);
        vm.prank(operator);
        market.releaseJob(id);
        vm.assertEq(stakeOf(operator).locked, 0);
        vm.assertEq(state(id), uint256(IJobMarket.JobState.Draining));
        vm.assertTrue(market.job(id).released);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.AlreadyReleased.selector, id));
        market.releaseJob(id);
        vm.prank(client);
        market.reclaim(id); // at once: no claim is open and none can come
        vm.assertEq(market.owed(client), 3 ether);
        vm.assertEq(stakeOf(operator).locked, 0);
    }

    function test_releaseJob_whileDrainingLetsTheClientReclaimEarly() public {
        uint64 id = openActive(3 ether, 4);
        vm.prank(client);
        market.closeJob(id);
        uint64 drainUntil = market.job(id).drainUntil;
        vm.prank(operator);
        market.releaseJob(id);
        vm.assertEq(market.job(id).drainUntil, drainUntil);
        vm.prank(client);
        market.reclaim(id);
        vm.assertEq(state(id), uint256(IJobMarket.JobState.Closed));
    }

    function test_releaseJob_revertsForOthersAndBeforeTheStart() public {
        uint64 id = openAndAward(1 ether, 4);
        vm.prank(operator);
        vm.expectRevert(inState(id, IJobMarket.JobState.Awarded));
        market.releaseJob(id);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotOperator.selector, id, client));
        market.releaseJob(id);
    }

    function test_reclaim_revertsForOthersInOtherStatesAndWithOpenClaims() public {
        uint64 id = openActive(3 ether, 4);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, id, address(this)));
        market.reclaim(id);
        vm.prank(client);
        vm.expectRevert(inState(id, IJobMarket.JobState.Active));
        market.reclaim(id);
        submit(id, 3);
        vm.prank(operator);
        market.releaseJob(id);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ClaimsOpen.selector, id, 1));
        market.reclaim(id);
    }

    function test_withdraw_ofARefuserHurtsOnlyItself() public {
        Refuser refuser = new Refuser();
        refuser.open{value: 1 ether}(market);
        vm.assertEq(market.owed(address(refuser)), 1 ether);
        vm.expectRevert(bytes4(keccak256("FailedCall()")));
        refuser.withdraw(market);
        vm.assertEq(market.owed(address(refuser)), 1 ether);
    }

    function test_withdraw_cannotBeReentered() public {
        open(5 ether, 4); // somebody else's money
        Reenterer thief = new Reenterer(market);
        thief.run{value: 1 ether}();
        vm.assertTrue(!thief.reentered());
        vm.assertEq(address(thief).balance, 1 ether);
        vm.assertEq(address(market).balance, 5 ether);
    }
}
