// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MarketFixture} from "../MarketFixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IProfileRegistry} from "../../src/interfaces/IProfileRegistry.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {BlockHeader} from "../../src/lib/BlockHeader.sol";
import {MarketDoors} from "../../src/market/MarketDoors.sol";
import {MarketStore} from "../../src/market/MarketStore.sol";

/// @dev How jobs are ordered and find an operator; every way in which a door refuses.
contract DoorsTest is MarketFixture {
    // ---- orders ----

    function test_openJob_recordsTheOrder() public {
        IJobMarket.JobOrder memory order = newOrder();
        bytes32 id = market.orderHash(order);
        vm.expectEmit(address(market));
        emit IJobMarket.JobOpened(1, client, profileId, IJobMarket.Door.Direct, MAX_PRICE, order.deadline, 5 ether, id);
        vm.prank(client);
        uint64 jobId = market.openJob{value: 5 ether}(order, IJobMarket.Door.Direct);
        IJobMarket.Job memory j = market.job(jobId);
        vm.assertEq(j.client, client);
        vm.assertEq(uint256(j.state), uint256(IJobMarket.JobState.Open));
        vm.assertEq(uint256(j.door), uint256(IJobMarket.Door.Direct));
        vm.assertEq(j.k, 4);
        vm.assertEq(j.deadline, order.deadline);
        vm.assertEq(j.operator, address(0));
        vm.assertEq(j.maxPrice, MAX_PRICE);
        vm.assertEq(j.escrow, 5 ether);
        vm.assertEq(j.profile, profileId);
        vm.assertEq(market.profileOf(jobId), profileId);
        vm.assertEq(j.seedTip, TIP);
        vm.assertEq(bytes32(j.order), bytes32(bytes16(id)));
        vm.assertEq(market.nextJobId(), 2);
        (address c, address o, uint96 price) = market.parties(jobId);
        vm.assertEq(c, client);
        vm.assertEq(o, address(0));
        vm.assertEq(price, MAX_PRICE);
        (o, price) = market.assignment(jobId);
        vm.assertEq(o, address(0));
        vm.assertEq(price, MAX_PRICE);
        vm.assertEq(uint256(market.job(2).state), 0, "unknown jobs read as None");
    }

    function refuseOrder(IJobMarket.JobOrder memory order, bytes memory why) internal {
        vm.prank(client);
        vm.expectRevert(why);
        market.openJob(order, IJobMarket.Door.Direct);
    }

    function test_openJob_revertsWhenTheOrderIsUnsound() public {
        IJobMarket.JobOrder memory order = newOrder();
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, client, address(this)));
        market.openJob(order, IJobMarket.Door.Direct);
        order.deadline = market.clock();
        refuseOrder(
            order, abi.encodeWithSelector(IJobMarket.DeadlineOver.selector, order.deadline, uint256(order.deadline))
        );
        order = newOrder();
        order.k = 0;
        refuseOrder(order, abi.encodeWithSelector(IJobMarket.BadDrawCount.selector, 0, 8));
        order.k = 9;
        refuseOrder(order, abi.encodeWithSelector(IJobMarket.BadDrawCount.selector, 9, 8));
        order = newOrder();
        order.maxPrice = 1 << 72;
        refuseOrder(order, abi.encodeWithSelector(IJobMarket.PriceTooHigh.selector, 1 << 72, (1 << 72) - 1));
        order = newOrder();
        order.profile = "?";
        refuseOrder(order, abi.encodeWithSelector(IProfileRegistry.UnknownProfile.selector, bytes32("?")));
    }

    function test_openJob_withoutAHashChain() public {
        IJobMarket.JobOrder memory order = newOrder();
        order.seedTip = 0;
        vm.prank(client);
        vm.assertEq(market.job(market.openJob(order, IJobMarket.Door.Direct)).seedTip, bytes32(0));
    }

    function test_openJobFor_isRelayedOnce() public {
        IJobMarket.JobOrder memory order = newOrder();
        bytes32 id = market.orderHash(order);
        bytes memory signature = signed(CLIENT_KEY, id);
        vm.prank(STRANGER);
        uint64 jobId = market.openJobFor{value: 1 ether}(order, IJobMarket.Door.Direct, signature);
        vm.assertEq(market.job(jobId).client, client);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OrderUsed.selector, id));
        market.openJobFor(order, IJobMarket.Door.Direct, signature);
        vm.prank(client);
        market.cancelJob(jobId);
        vm.assertEq(market.owed(client), 1 ether, "the escrow was the caller's gift");
    }

    function test_openJobFor_revertsWithAnotherSignature() public {
        IJobMarket.JobOrder memory order = newOrder();
        bytes memory signature = signed(RIG_KEY, market.orderHash(order));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.WrongSignature.selector, client, rig(0)));
        market.openJobFor(order, IJobMarket.Door.Direct, signature);
        signature = signed(CLIENT_KEY, market.orderHash(order));
        order.maxPrice += 1;
        vm.expectPartialRevert(IJobMarket.WrongSignature.selector);
        market.openJobFor(order, IJobMarket.Door.Direct, signature);
        // A signature that is none recovers to nobody, whom an order must not name.
        order.client = address(0);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.WrongSignature.selector, address(0), address(0)));
        market.openJobFor(order, IJobMarket.Door.Direct, new bytes(64));
    }

    // ---- signed bids ----

    function test_acceptBid_assigns() public {
        uint64 jobId = open(1 ether);
        IJobMarket.Bid memory bid = newBid(orderOf(jobId), 0);
        bytes memory signature = signedBid(bid, 0);
        uint40 until = market.clock() + 100;
        vm.expectEmit(address(market));
        emit IJobMarket.JobAssigned(jobId, rig(0), PRICE, until);
        vm.prank(client);
        market.acceptBid(jobId, bid, signature);
        IJobMarket.Job memory j = market.job(jobId);
        vm.assertEq(uint256(j.state), uint256(IJobMarket.JobState.Assigned));
        vm.assertEq(j.operator, rig(0));
        vm.assertEq(j.price, PRICE);
        vm.assertEq(j.startUntil, until);
        vm.assertEq(locked(0), START_LOCK);
        vm.assertTrue(market.bidUsed(rig(0), bid.nonce));
        vm.assertTrue(!market.bidUsed(rig(0), bid.nonce + 1));
    }

    function refuseBid(uint64 jobId, IJobMarket.Bid memory bid, uint256 i, bytes memory why) internal {
        bytes memory signature = signedBid(bid, i);
        vm.prank(client);
        vm.expectRevert(why);
        market.acceptBid(jobId, bid, signature);
    }

    function test_acceptBid_revertsWhenTheBidIsNotForIt() public {
        uint64 jobId = open(1 ether);
        IJobMarket.Bid memory bid = newBid(keccak256("another order"), 0);
        refuseBid(jobId, bid, 0, abi.encodeWithSelector(IJobMarket.OtherOrder.selector, bid.order));
        bid = newBid(orderOf(jobId), 0);
        bid.price = MAX_PRICE + 1;
        refuseBid(jobId, bid, 0, abi.encodeWithSelector(IJobMarket.PriceTooHigh.selector, MAX_PRICE + 1, MAX_PRICE));
        bid.price = MAX_PRICE;
        refuseBid(jobId, bid, 1, abi.encodeWithSelector(IJobMarket.WrongSignature.selector, rig(0), rig(1)));
        bid.expiry = uint40(block.timestamp - 1);
        refuseBid(jobId, bid, 0, abi.encodeWithSelector(IJobMarket.BidExpired.selector, bid.expiry));
        bid.expiry = uint40(block.timestamp);
        bytes memory signature = signedBid(bid, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, client, address(this)));
        market.acceptBid(jobId, bid, signature);
        vm.prank(client);
        market.acceptBid(jobId, bid, signature); // at its last second, at the highest price
        refuseBid(jobId, bid, 0, inState(jobId, IJobMarket.JobState.Assigned));
        uint64 auction = open(IJobMarket.Door.Auction, 1 ether);
        bid = newBid(orderOf(auction), 0);
        refuseBid(
            auction, bid, 0, abi.encodeWithSelector(IJobMarket.OtherDoor.selector, auction, IJobMarket.Door.Auction)
        );
    }

    function test_acceptBid_revertsWhenTheOperatorIsNotFit() public {
        uint64 jobId = open(1 ether);
        IJobMarket.Bid memory bid = newBid(orderOf(jobId), 4); // has never bonded
        refuseBid(jobId, bid, 4, abi.encodeWithSelector(IJobMarket.NotActive.selector, rig(4)));
        registry.lock(rig(0), MIN_SELF - START_LOCK + 1);
        bid = newBid(orderOf(jobId), 0);
        refuseBid(
            jobId,
            bid,
            0,
            abi.encodeWithSelector(IStakeRegistry.InsufficientFree.selector, rig(0), START_LOCK - 1, START_LOCK)
        );
    }

    function test_acceptBid_revertsAfterTheDeadline() public {
        uint64 jobId = open(1 ether);
        pass(JOB_TIME + 1);
        uint40 deadline = market.job(jobId).deadline;
        refuseBid(
            jobId,
            newBid(orderOf(jobId), 0),
            0,
            abi.encodeWithSelector(IJobMarket.DeadlineOver.selector, deadline, uint256(deadline) + 1)
        );
    }

    function test_openWithBid_opensAndAssigns() public {
        uint64 jobId = openAssigned(2 ether, 1);
        IJobMarket.Job memory j = market.job(jobId);
        vm.assertEq(uint256(j.state), uint256(IJobMarket.JobState.Assigned));
        vm.assertEq(j.operator, rig(1));
        vm.assertEq(j.escrow, 2 ether);
        vm.assertEq(locked(1), START_LOCK);
    }

    function test_openWithBid_revertsForOthersAndOtherOrders() public {
        IJobMarket.JobOrder memory order = newOrder();
        IJobMarket.Bid memory bid = newBid(market.orderHash(order), 0);
        bytes memory signature = signedBid(bid, 0);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotClient.selector, client, STRANGER));
        market.openWithBid(order, bid, signature);
        order.k += 1;
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherOrder.selector, bid.order));
        market.openWithBid(order, bid, signature);
    }

    function test_cancelBids_usesNoncesUp() public {
        uint64 jobId = open(1 ether);
        IJobMarket.Bid memory bid = newBid(orderOf(jobId), 0);
        bid.nonce = 256 * 7 + 3;
        vm.expectEmit(address(market));
        emit IJobMarket.BidsCancelled(rig(0), 7, 12);
        vm.prank(rig(0));
        market.cancelBids(7, 12);
        refuseBid(jobId, bid, 0, abi.encodeWithSelector(IJobMarket.BidUsed.selector, rig(0), bid.nonce));
        bid.nonce += 1; // the next bit was not in the mask
        bytes memory signature = signedBid(bid, 0);
        vm.prank(client);
        market.acceptBid(jobId, bid, signature);
    }

    function changeSigner(uint256 i, uint256 to) internal {
        vm.prank(rig(i));
        keys.proposeSigner(rig(i), rig(to));
        vm.prank(rig(to));
        keys.acceptSigner(rig(i));
    }

    function test_acceptBid_bindsTheSignerOfTheMomentAlone() public {
        uint64 jobId = open(1 ether);
        IJobMarket.Bid memory bid = newBid(orderOf(jobId), 0);
        changeSigner(0, 5);
        refuseBid(jobId, bid, 0, abi.encodeWithSelector(IJobMarket.WrongSignature.selector, rig(5), rig(0)));
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotSigner.selector, rig(0)));
        market.cancelBids(0, 1);
        bytes memory signature = signedBid(bid, 5);
        vm.prank(client);
        market.acceptBid(jobId, bid, signature);
    }

    // ---- auctions ----

    function test_auction_theLowestRevealedBidWins() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 0, PRICE);
        commit(jobId, 1, PRICE - 1);
        commit(jobId, 2, PRICE - 2);
        vm.assertEq(market.auction(jobId).commits, 3);
        pass(201);
        reveal(jobId, 0, PRICE);
        vm.assertEq(locked(0), START_LOCK, "who leads is bound");
        vm.expectEmit(address(market));
        emit IJobMarket.BidRevealed(jobId, rig(1), PRICE - 1);
        reveal(jobId, 1, PRICE - 1);
        vm.assertEq(locked(0), 0, "and no longer when another leads");
        vm.assertEq(locked(1), START_LOCK);
        vm.assertEq(market.owed(rig(1)), DEPOSIT);
        vm.assertEq(market.auction(jobId).best, rig(1));
        vm.assertEq(market.auction(jobId).bestPrice, PRICE - 1);
        pass(200);
        market.awardAuction(jobId);
        IJobMarket.Job memory j = market.job(jobId);
        vm.assertEq(j.operator, rig(1));
        vm.assertEq(j.price, PRICE - 1);
        vm.assertEq(j.startUntil, market.clock() + 100);
        vm.assertEq(locked(1), START_LOCK);
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Assigned));
        market.awardAuction(jobId);
        // The third never revealed.
        vm.prank(rig(2));
        market.takeDeposit(jobId);
        vm.assertEq(market.owed(rig(2)), DEPOSIT * 9 / 10);
        vm.assertEq(market.owed(client), DEPOSIT / 10);
        vm.prank(rig(2));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NoDeposit.selector, jobId, rig(2)));
        market.takeDeposit(jobId);
    }

    function test_auction_higherBidsDoNotLead() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 0, PRICE);
        commit(jobId, 1, PRICE + 1);
        commit(jobId, 2, MAX_PRICE + 1);
        pass(201);
        reveal(jobId, 2, MAX_PRICE + 1);
        vm.assertEq(market.auction(jobId).best, address(0), "dearer than the order allows");
        reveal(jobId, 0, PRICE);
        reveal(jobId, 1, PRICE + 1);
        vm.assertEq(market.auction(jobId).best, rig(0));
        vm.assertEq(locked(1) + locked(2), 0);
        vm.assertEq(market.owed(rig(1)) + market.owed(rig(2)), 2 * DEPOSIT);
    }

    function test_auction_equalPricesAreToldApartByLot() public {
        uint256[2] memory wins;
        for (uint256 n = 0; n < 12; ++n) {
            uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
            commit(jobId, 0, PRICE);
            commit(jobId, 1, PRICE);
            pass(201);
            reveal(jobId, 0, PRICE);
            reveal(jobId, 1, PRICE);
            address best = market.auction(jobId).best;
            wins[best == rig(0) ? 0 : 1] += 1;
            vm.assertEq(locked(0) + locked(1), START_LOCK, "one is bound");
            vm.prank(client);
            market.cancelJob(jobId);
        }
        vm.assertTrue(wins[0] > 0 && wins[1] > 0, "neither the first nor the last has it");
    }

    function test_commitBid_reverts() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        vm.deal(rig(0), 10 ether);
        vm.deal(rig(4), 10 ether);
        bytes32 c = sealedBid(jobId, 0, PRICE);
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.WrongDeposit.selector, DEPOSIT - 1, DEPOSIT));
        market.commitBid{value: DEPOSIT - 1}(jobId, c);
        vm.prank(rig(4));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotActive.selector, rig(4)));
        market.commitBid{value: DEPOSIT}(jobId, c);
        vm.prank(rig(0));
        market.commitBid{value: DEPOSIT}(jobId, c);
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.AlreadyCommitted.selector, jobId, rig(0)));
        market.commitBid{value: DEPOSIT}(jobId, c);
        uint64 direct = open(1 ether);
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherDoor.selector, direct, IJobMarket.Door.Direct));
        market.commitBid{value: DEPOSIT}(direct, c);
        vm.prank(rig(0));
        vm.expectRevert(inState(99, IJobMarket.JobState.None));
        market.commitBid{value: DEPOSIT}(99, c);
        uint40 until = market.auction(jobId).commitUntil;
        pass(201);
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.CommitWindowOver.selector, jobId, until));
        market.commitBid{value: DEPOSIT}(jobId, c);
    }

    function refuseReveal(uint64 jobId, uint256 i, uint96 price, bytes memory why) internal {
        vm.prank(rig(i));
        vm.expectRevert(why);
        market.revealBid(jobId, price, "salt");
    }

    function test_revealBid_reverts() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 0, PRICE);
        IJobMarket.Auction memory a = market.auction(jobId);
        bytes memory closed =
            abi.encodeWithSelector(IJobMarket.RevealWindowClosed.selector, jobId, a.commitUntil, a.revealUntil);
        pass(200);
        refuseReveal(jobId, 0, PRICE, closed);
        pass(1);
        bytes memory other = abi.encodeWithSelector(IJobMarket.OtherCommitment.selector, jobId, rig(0));
        refuseReveal(jobId, 0, PRICE + 1, other);
        reveal(jobId, 0, PRICE);
        refuseReveal(jobId, 0, PRICE, other);
        refuseReveal(jobId, 1, PRICE, abi.encodeWithSelector(IJobMarket.OtherCommitment.selector, jobId, rig(1)));
        pass(200);
        refuseReveal(jobId, 0, PRICE, closed);
        market.awardAuction(jobId);
        refuseReveal(jobId, 0, PRICE, inState(jobId, IJobMarket.JobState.Assigned));
    }

    function test_revealBid_passesOverWhoCannotBeBound() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        for (uint256 i = 0; i < 3; ++i) {
            commit(jobId, i, PRICE - uint96(i));
        }
        registry.lock(rig(1), MIN_SELF - START_LOCK + 1);
        unbond(rig(2), 1);
        pass(201);
        for (uint256 i = 0; i < 3; ++i) {
            reveal(jobId, i, PRICE - uint96(i));
            vm.assertEq(market.owed(rig(i)), DEPOSIT, "the deposit comes back all the same");
        }
        vm.assertEq(market.auction(jobId).best, rig(0));
    }

    function test_revealBid_bindsNobodyWhenTheMarketMayNotLock() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 0, PRICE);
        registry.retireSlasher(address(market));
        pass(201);
        reveal(jobId, 0, PRICE);
        vm.assertEq(market.owed(rig(0)), DEPOSIT);
        vm.assertEq(market.auction(jobId).best, address(0));
    }

    function test_awardAuction_revertsBeforeItIsOver() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        uint40 until = market.auction(jobId).revealUntil;
        pass(400);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.AuctionRunning.selector, jobId, until));
        market.awardAuction(jobId);
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.AuctionRunning.selector, jobId, until));
        market.takeDeposit(jobId);
        uint64 direct = open(1 ether);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherDoor.selector, direct, IJobMarket.Door.Direct));
        market.awardAuction(direct);
    }

    function openedDirect(uint64 jobId) internal {
        vm.expectEmit(address(market));
        emit IJobMarket.DoorOpened(jobId, IJobMarket.Door.Direct);
        market.awardAuction(jobId);
        vm.assertEq(uint256(market.job(jobId).door), uint256(IJobMarket.Door.Direct));
        vm.assertEq(state(jobId), uint256(IJobMarket.JobState.Open));
        vm.assertEq(locked(0), 0);
    }

    function test_awardAuction_opensTheDirectDoorWhenNobodyIsFit() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        pass(401);
        openedDirect(jobId); // nobody came
        accept(jobId, 1);
        vm.assertEq(market.job(jobId).operator, rig(1));

        jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 0, PRICE);
        pass(201);
        reveal(jobId, 0, PRICE);
        uint256 snapshot = block.timestamp;
        pass(JOB_TIME);
        openedDirect(jobId); // too late for anybody

        vm.warp(snapshot + JOB_TIME + 1);
        jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 0, PRICE);
        pass(201);
        reveal(jobId, 0, PRICE);
        unbond(rig(0), 1);
        pass(200);
        openedDirect(jobId); // the winner is active no longer
    }

    function test_openJob_revertsWhenTheAuctionOutlastsTheDeadline() public {
        IJobMarket.JobOrder memory order = newOrder();
        order.deadline = market.clock() + 400;
        vm.prank(client);
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.DeadlineOver.selector, order.deadline, uint256(order.deadline))
        );
        market.openJob(order, IJobMarket.Door.Auction);
        order.deadline += 1;
        vm.prank(client);
        market.openJob(order, IJobMarket.Door.Auction);
    }

    function test_cancelJob_endsAnAuction() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 0, PRICE);
        commit(jobId, 1, PRICE);
        pass(201);
        reveal(jobId, 0, PRICE);
        vm.prank(client);
        market.cancelJob(jobId);
        vm.assertEq(locked(0), 0, "who led is free");
        vm.prank(rig(1));
        market.takeDeposit(jobId);
        vm.assertEq(market.owed(rig(1)), DEPOSIT, "it could not reveal any more");
        vm.assertEq(market.owed(client), 1 ether);
    }

    function test_cancelJob_afterTheAuctionDoesNotForgive() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 1, PRICE);
        pass(401);
        vm.prank(client);
        market.cancelJob(jobId);
        vm.prank(rig(1));
        market.takeDeposit(jobId);
        vm.assertEq(market.owed(rig(1)), DEPOSIT * 9 / 10);
        vm.assertEq(market.owed(client), 1 ether + DEPOSIT / 10);
    }

    function test_auction_theNewSignerGoesOn() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 0, PRICE);
        changeSigner(0, 5);
        pass(201);
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotSigner.selector, rig(0)));
        market.revealBid(jobId, PRICE, "salt");
        vm.prank(rig(5));
        market.revealBid(jobId, PRICE, "salt");
        vm.assertEq(market.owed(rig(0)), DEPOSIT, "to who paid it");
        vm.assertEq(market.auction(jobId).best, rig(0));
    }

    // ---- elections ----

    function openElection() internal returns (uint64 jobId) {
        nextEpoch(); // stake counts from the epoch after it came
        return open(IJobMarket.Door.Election, 1 ether);
    }

    function test_elect_drawsAmongThoseWhoTakeTheJob() public {
        setTerms(1, PRICE + 7, 1);
        setTerms(2, MAX_PRICE + 1, 1);
        vm.assertEq(market.terms(rig(1)).price, PRICE + 7);
        vm.assertEq(market.terms(rig(1)).maxJobs, 1);
        uint64 jobId = openElection();
        vm.assertEq(market.electionBlock(jobId), block.number + 8);
        electUntilDrawn(jobId);
        IJobMarket.Job memory j = market.job(jobId);
        vm.assertEq(j.operator, rig(1));
        vm.assertEq(j.price, PRICE + 7, "its own price");
        vm.assertEq(uint256(j.state), uint256(IJobMarket.JobState.Assigned));
        vm.assertEq(locked(1), START_LOCK);
        vm.assertEq(market.terms(rig(1)).openJobs, 1);
        vm.expectRevert(inState(jobId, IJobMarket.JobState.Assigned));
        market.elect(jobId, "");
    }

    function renamed(uint64 jobId) internal {
        uint64 number = market.electionBlock(jobId);
        elect(jobId);
        vm.assertEq(market.electionBlock(jobId), block.number + 8);
        vm.assertTrue(market.electionBlock(jobId) > number);
        vm.assertEq(state(jobId), uint256(IJobMarket.JobState.Open));
    }

    function test_elect_namesANewBlockWhenNobodyIsFit() public {
        uint64 jobId = openElection();
        renamed(jobId); // nobody has terms
        setTerms(0, PRICE, 1);
        vm.roll(block.number + 1);
        electUntilDrawn(jobId);
        uint64 second = open(IJobMarket.Door.Election, 1 ether);
        renamed(second); // it has as many as it takes
        setTerms(0, PRICE, 2);
        setTerms(1, PRICE, 2);
        unbond(rig(1), 1);
        registry.lock(rig(0), uint128(registry.free(rig(0)) - START_LOCK + 1));
        second = open(IJobMarket.Door.Election, 1 ether);
        renamed(second); // one has too little free stake, the other is not active
        registry.release(rig(0), 1);
        electUntilDrawn(second);
        vm.assertEq(market.terms(rig(0)).openJobs, 2);
    }

    function test_elect_namesANewBlockWhenTheOldOneIsOutOfReach() public {
        setTerms(0, PRICE, 1);
        uint64 jobId = openElection();
        uint64 number = market.electionBlock(jobId);
        vm.roll(number + 8192);
        market.elect(jobId, "");
        vm.assertEq(market.electionBlock(jobId), number + 8192 + 8);
        // The day out of reach: its weights are no longer kept.
        uint40 later = market.clock() + 10 days;
        vm.prank(client);
        market.extendJob(jobId, later);
        nextEpoch();
        nextEpoch();
        renamed(jobId);
        electUntilDrawn(jobId);
        vm.assertEq(market.job(jobId).operator, rig(0));
    }

    /// @dev Eight draws among three may all fall on the others.
    function electUntilDrawn(uint64 jobId) internal {
        while (state(jobId) == uint256(IJobMarket.JobState.Open)) elect(jobId);
    }

    function test_elect_reverts() public {
        uint64 jobId = openElection();
        uint64 number = market.electionBlock(jobId);
        vm.roll(number);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ElectionTooEarly.selector, jobId, number));
        market.elect(jobId, "");
        vm.roll(number + 1);
        vm.setBlockhash(number, keccak256(headerOf(number)));
        vm.expectPartialRevert(BlockHeader.WrongHeader.selector);
        market.elect(jobId, headerOf(number + 1));
        uint40 deadline = market.job(jobId).deadline;
        pass(JOB_TIME + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.DeadlineOver.selector, deadline, uint256(deadline) + 1));
        market.elect(jobId, headerOf(number));
        uint64 direct = open(1 ether);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherDoor.selector, direct, IJobMarket.Door.Direct));
        market.elect(direct, "");
    }

    function test_setTerms_revertsForDearPricesAndReplacedKeys() public {
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.PriceTooHigh.selector, 1 << 72, (1 << 72) - 1));
        market.setTerms(1 << 72, 1);
        changeSigner(0, 5);
        vm.prank(rig(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotSigner.selector, rig(0)));
        market.setTerms(1, 1);
        vm.expectEmit(address(market));
        emit IJobMarket.TermsSet(rig(0), 1, 2);
        vm.prank(rig(5));
        market.setTerms(1, 2);
    }

    /// Whoever knows that it is drawn can neither ask for more nor be bound to less.
    function test_elect_passesOverTermsThatAreTooNew() public {
        setTerms(0, PRICE, 1);
        uint64 jobId = openElection();
        vm.roll(market.electionBlock(jobId));
        setTerms(0, MAX_PRICE, 1);
        renamed(jobId);
        electUntilDrawn(jobId);
        vm.assertEq(market.job(jobId).price, MAX_PRICE);
    }

    /// openJobs is counted down exactly once, however a job ends.
    function test_openJobs_neverLeak() public {
        bond(rig(0), MIN_SELF); // so that it stays active when it has lost a lock
        setTerms(0, PRICE, 9);
        nextEpoch();
        uint64[5] memory ids;
        for (uint256 i = 0; i < 5; ++i) {
            ids[i] = open(IJobMarket.Door.Election, 1 ether);
            electUntilDrawn(ids[i]);
        }
        vm.assertEq(market.terms(rig(0)).openJobs, 5);
        vm.prank(client);
        market.cancelJob(ids[0]); // Assigned
        vm.assertEq(market.terms(rig(0)).openJobs, 4);
        for (uint256 i = 1; i < 4; ++i) {
            start(ids[i], 0);
        }
        close(ids[1]);
        release(ids[1], 0);
        reclaim(ids[1]);
        vm.assertEq(market.terms(rig(0)).openJobs, 3);
        release(ids[2], 0);
        reclaim(ids[2]);
        vm.assertEq(market.terms(rig(0)).openJobs, 2);
        close(ids[3]);
        pass(301);
        reclaim(ids[3]); // not released
        vm.assertEq(market.terms(rig(0)).openJobs, 1);
        market.defaultJob(ids[4]);
        vm.assertEq(market.terms(rig(0)).openJobs, 0);
        vm.assertEq(locked(0), 0);
        vm.assertEq(market.electionBlock(ids[4]), block.number + 8, "and a new block decides");
        electUntilDrawn(ids[4]);
        vm.assertEq(market.terms(rig(0)).openJobs, 1);
    }

    // ---- the code of auctions and elections ----

    function test_marketDoors_holdNothingByThemselves() public {
        MarketDoors doors =
            new MarketDoors(MarketStore.Parts(registry, profiles, challenges, router, BOOK, GUARDIAN, address(this)));
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        vm.deal(rig(0), 10 ether);
        vm.prank(rig(0));
        vm.expectRevert(inState(jobId, IJobMarket.JobState.None));
        doors.commitBid{value: DEPOSIT}(jobId, "");
        vm.expectRevert(inState(jobId, IJobMarket.JobState.None));
        doors.elect(jobId, "");
    }
}
