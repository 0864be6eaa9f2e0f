// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {MarketFixture} from "../MarketFixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {JobMarket} from "../../src/market/JobMarket.sol";
import {MarketStore} from "../../src/market/MarketStore.sol";

/// @dev A client that is a contract: it can sign no segments, but it can open and cancel. It refuses coins, or calls back while
/// it is being paid.
contract Payee {
    JobMarket private immutable market;
    bool private immutable refuses;
    bool public reentered;

    constructor(JobMarket market_, bool refuses_) {
        (market, refuses) = (market_, refuses_);
    }

    function open(IJobMarket.JobOrder calldata order) external payable returns (uint64 jobId) {
        jobId = market.openJob{value: msg.value}(order, IJobMarket.Door.Direct);
        market.cancelJob(jobId);
    }

    function withdraw() external {
        market.withdraw();
    }

    receive() external payable {
        require(!refuses);
        (reentered,) = address(market).call(abi.encodeCall(IJobMarket.withdraw, ()));
    }
}

/// @dev What went wrong in other markets, each as a test that ours does not do it.
contract MarketAuditsTest is MarketFixture {
    // ---- Livepeer v1: traps ----

    /// One slashed claim refunded the escrow of all pending claims of the job; honest ones could not be paid any more.
    function test_livepeerV1_aFailedClaimLeavesTheOthersTheirFees() public {
        uint64 jobId = openActive(3000 * uint256(PRICE), 0);
        uint128 first = reserve(jobId, 0, 1, 1000);
        uint128 second = reserve(jobId, 0, 1, 2000);
        vm.startPrank(BOOK);
        market.restore(jobId, first);
        vm.assertEq(market.job(jobId).reserved, second);
        market.pay(jobId, 2, second, 0);
        vm.stopPrank();
        vm.assertEq(market.feesOf(rig(0)), second);
    }

    /// A slashed or resigned transcoder could not distribute what it had earned.
    function test_livepeerV1_whoLeftOrWasSlashedIsPaid() public {
        uint64 jobId = openActive(1 ether, 0);
        uint128 fee = reserve(jobId, 0, 1, 1000);
        slash(rig(0), MIN_SELF);
        vm.prank(rig(0));
        registry.exit(rig(0));
        vm.prank(BOOK);
        market.pay(jobId, 1, fee, 0);
        market.routeFees(rig(0));
        vm.assertEq(router.owed(rig(0)), fee - fee / 100);
    }

    /// A shared deposit let a broadcaster promise the same coins to several transcoders.
    function test_livepeerV1_escrowIsPerJob() public {
        uint64 poor = openActive(1000 * uint256(PRICE), 0);
        openActive(1 ether, 1);
        reserve(poor, 0, 1, 1000);
        vm.prank(BOOK);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.EscrowTooSmall.selector, poor, 0, uint256(PRICE)));
        market.reserve(poor, 1, 1, 1);
    }

    /// Skipping a number cost the transcoder a claim for each range (protocol#182 and others): here ranges have no gaps.
    function test_livepeerV1_rangesNeitherOverlapNorSkip() public {
        uint64 jobId = openActive(1 ether, 0);
        reserve(jobId, 0, 10, 1);
        vm.startPrank(BOOK);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotNextSegment.selector, jobId, 10, 9));
        market.reserve(jobId, 9, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotNextSegment.selector, jobId, 10, 11));
        market.reserve(jobId, 11, 1, 1);
        market.reserve(jobId, 10, 1, 1);
        vm.stopPrank();
    }

    /// A claim near the end of a job (protocol#182): the drain window is for it, and then nothing is claimed any more.
    function test_livepeer182_claimsEndWithTheDrainWindow() public {
        uint64 jobId = openActive(1 ether, 0);
        close(jobId);
        pass(300);
        reserve(jobId, 0, 1, 1);
        pass(1);
        vm.prank(BOOK);
        vm.expectPartialRevert(IJobMarket.DrainWindowOver.selector);
        market.reserve(jobId, 1, 1, 1);
    }

    /// A job that nobody claimed in 256 blocks was lost (go-livepeer#521).
    function test_goLivepeer521_aJobWithoutAnOperatorIsNotLost() public {
        setTerms(0, PRICE, 9);
        nextEpoch();
        uint64 jobId = open(IJobMarket.Door.Election, 1 ether);
        vm.roll(block.number + 9000);
        market.elect(jobId, "");
        while (state(jobId) == uint256(IJobMarket.JobState.Open)) elect(jobId);
        vm.assertEq(market.job(jobId).operator, rig(0));
    }

    /// Livepeer, PR 657: one wei in the deposit made a ticket pay dust and burned the rest.
    function test_livepeer657_dustPaysNoPartOfAFee() public {
        uint64 jobId = openActive(0, 0);
        vm.deal(STRANGER, 1);
        vm.prank(STRANGER);
        market.topUp{value: 1}(jobId);
        vm.prank(BOOK);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.EscrowTooSmall.selector, jobId, 1, 1000 * uint256(PRICE)));
        market.reserve(jobId, 0, 1, 1000);
        vm.assertEq(market.job(jobId).nextSeq, 0, "nothing is used up");
        vm.prank(client);
        market.topUp{value: 1000 * uint256(PRICE)}(jobId);
        reserve(jobId, 0, 1, 1000);
    }

    /// EIP-2098 signatures were a second form of the same one, and tickets were known by them.
    function test_livepeerEip2098_aBidCountsOnceInAnyForm() public {
        uint64 jobId = open(1 ether);
        IJobMarket.Bid memory bid = newBid(orderOf(jobId), 0);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(RIG_KEY, market.bidHash(bid));
        bytes32 high = bytes32(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - uint256(s));
        bytes32 short = bytes32(uint256(v - 27) << 255 | uint256(s));
        vm.startPrank(client);
        vm.expectPartialRevert(IJobMarket.WrongSignature.selector);
        market.acceptBid(jobId, bid, abi.encodePacked(r, short));
        vm.expectPartialRevert(IJobMarket.WrongSignature.selector);
        market.acceptBid(jobId, bid, abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27)));
        market.acceptBid(jobId, bid, abi.encodePacked(r, s, v));
        market.cancelJob(jobId);
        vm.stopPrank();
        jobId = open(1 ether);
        vm.prank(client);
        vm.expectPartialRevert(IJobMarket.OtherOrder.selector);
        market.acceptBid(jobId, bid, abi.encodePacked(r, s, v));
    }

    // ---- ENS ----

    /// Bids of the first ENS auction could be revealed by whoever saw them: here a commitment is its bidder's.
    function test_ens_aCopiedCommitmentIsWorthNothing() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        bytes32 commitment = sealedBid(jobId, 0, PRICE);
        for (uint256 i = 0; i < 2; ++i) {
            vm.deal(rig(i), DEPOSIT);
            vm.prank(rig(i));
            market.commitBid{value: DEPOSIT}(jobId, commitment);
        }
        pass(201);
        reveal(jobId, 0, PRICE); // now the copier knows price and salt
        vm.prank(rig(1));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherCommitment.selector, jobId, rig(1)));
        market.revealBid(jobId, PRICE, "salt");
        vm.assertEq(market.auction(jobId).best, rig(0));
    }

    /// 23. Nor is it one on another job, in another market or on another chain.
    function test_commitments_holdForOneJobMarketAndChain() public {
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        uint64 second = open(IJobMarket.Door.Auction, 1 ether);
        bytes32[3] memory foreign = [
            sealedBid(second, 0, PRICE),
            keccak256(abi.encode(block.chainid, address(this), jobId, rig(0), PRICE, bytes32("salt"))),
            keccak256(abi.encode(block.chainid + 1, address(market), jobId, rig(0), PRICE, bytes32("salt")))
        ];
        for (uint256 i = 0; i < 3; ++i) {
            uint64 id = i == 0 ? jobId : open(IJobMarket.Door.Auction, 1 ether);
            vm.deal(rig(0), DEPOSIT);
            vm.prank(rig(0));
            market.commitBid{value: DEPOSIT}(id, foreign[i]);
            pass(201);
            vm.prank(rig(0));
            vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherCommitment.selector, id, rig(0)));
            market.revealBid(id, PRICE, "salt");
        }
    }

    // ---- pitfalls of the design ----

    /// 18. A bid is no free option: it expires, it can be withdrawn (test_acceptBid_revertsWhenTheBidIsNotForIt,
    /// test_cancelBids_usesNoncesUp), and of the bids of one nonce one is taken, whatever jobs the client opens.
    function test_pitfall18_bidsOfOneNonceStandForEachOther() public {
        IJobMarket.JobOrder memory order = newOrder();
        vm.startPrank(client);
        uint64 jobId = market.openJob(order, IJobMarket.Door.Direct);
        uint64 second = market.openJob(order, IJobMarket.Door.Direct);
        vm.stopPrank();
        IJobMarket.Bid memory dear = newBid(market.orderHash(order), 0);
        IJobMarket.Bid memory cheap = newBid(market.orderHash(order), 0);
        (cheap.nonce, cheap.price) = (dear.nonce, dear.price - 1);
        bytes memory signature = signedBid(cheap, 0);
        bytes memory dearSignature = signedBid(dear, 0);
        vm.startPrank(client);
        market.acceptBid(jobId, cheap, signature);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BidUsed.selector, rig(0), dear.nonce));
        market.acceptBid(second, dear, dearSignature);
        vm.stopPrank();
    }

    /// 18. Nor is a revealed bid: who leads has its stake locked, and cannot use it for something better meanwhile.
    function test_pitfall18_theLeaderIsBound() public {
        registry.lock(rig(0), MIN_SELF - START_LOCK);
        uint64 jobId = open(IJobMarket.Door.Auction, 1 ether);
        commit(jobId, 0, PRICE);
        pass(201);
        reveal(jobId, 0, PRICE);
        uint64 better = open(1 ether);
        IJobMarket.Bid memory bid = newBid(orderOf(better), 0);
        bytes memory signature = signedBid(bid, 0);
        vm.prank(client);
        vm.expectPartialRevert(IStakeRegistry.InsufficientFree.selector);
        market.acceptBid(better, bid, signature);
        pass(200);
        market.awardAuction(jobId);
        vm.assertEq(market.job(jobId).operator, rig(0));
    }

    /// 19. The client cannot take back what claims hold.
    function test_pitfall19_feesAreHeldAtTheClaim() public {
        uint64 jobId = openActive(1000 * uint256(PRICE), 0);
        reserve(jobId, 0, 1, 1000);
        close(jobId);
        pass(301);
        vm.prank(client);
        vm.expectPartialRevert(IJobMarket.ClaimsOpen.selector);
        market.reclaim(jobId);
    }

    /// 20. A payment is whole or not made: see test_livepeer657_dustPaysNoPartOfAFee. 21. A chain that is used up is followed
    /// by a new one, which cannot be chosen for a claim whose block is known.
    function test_pitfall21_aNewChainIsNoSecondDraw() public {
        uint64 jobId = openActive(1 ether, 0);
        uint128 fee = reserve(jobId, 0, 1, 1);
        vm.prank(BOOK);
        market.popSeed(jobId, keccak256("link"));
        vm.prank(client);
        vm.expectPartialRevert(IJobMarket.ClaimsOpen.selector);
        market.setSeedTip(jobId, "chosen");
        vm.prank(BOOK);
        market.pay(jobId, 1, fee, 0);
        vm.prank(client);
        market.setSeedTip(jobId, "new");
    }

    /// 22. Refunds are per claim: see test_livepeerV1_aFailedClaimLeavesTheOthersTheirFees. 23. Closing and claiming in one
    /// block: both orders end alike.
    function test_pitfall23_closeAndClaimInOneBlock() public {
        uint64 jobId = openActive(1 ether, 0);
        uint64 second = openActive(1 ether, 0);
        close(jobId);
        reserve(jobId, 0, 1, 1000);
        reserve(second, 0, 1, 1000);
        close(second);
        IJobMarket.Job memory a = market.job(jobId);
        IJobMarket.Job memory b = market.job(second);
        vm.assertEq(a.reserved, b.reserved);
        vm.assertEq(a.drainUntil, b.drainUntil);
        vm.assertEq(uint256(a.state), uint256(b.state));
    }

    /// 23. Cancelling and starting in one block: whichever comes first holds, and nobody loses stake or escrow by it.
    function test_pitfall23_cancelAndStartInOneBlock() public {
        uint64 jobId = openAssigned(1 ether, 0);
        vm.prank(client);
        market.cancelJob(jobId);
        vm.prank(rig(0));
        vm.expectPartialRevert(IJobMarket.JobNotInState.selector);
        market.startJob(jobId);
        uint64 second = openAssigned(1 ether, 0);
        start(second, 0);
        vm.prank(client);
        vm.expectPartialRevert(IJobMarket.JobNotInState.selector);
        market.cancelJob(second);
        release(second, 0);
        reclaim(second);
        vm.assertEq(market.owed(client), 2 ether);
        vm.assertEq(locked(0), 0);
        vm.assertEq(info(rig(0)).bonded, MIN_SELF);
    }

    /// 25. What is signed for one market or chain says nothing in another.
    function test_pitfall25_domainsBindMarketAndChain() public {
        IJobMarket.JobOrder memory order = newOrder();
        bytes memory signature = signed(CLIENT_KEY, market.orderHash(order));
        MarketStore.Parts memory parts =
            MarketStore.Parts(registry, profiles, challenges, router, BOOK, GUARDIAN, address(this));
        JobMarket other = new JobMarket(parts, leastParams(), mostParams(), marketParams());
        vm.expectPartialRevert(IJobMarket.WrongSignature.selector);
        other.openJobFor(order, IJobMarket.Door.Direct, signature);
    }

    /// 26. Every field that has a price is in what is signed.
    function test_pitfall26_everyFieldIsSigned() public {
        IJobMarket.JobOrder memory order = newOrder();
        bytes32 id = market.orderHash(order);
        bytes32[8] memory ids;
        ids[0] = id;
        order.client = address(1);
        ids[1] = market.orderHash(order);
        order.profile = "other";
        ids[2] = market.orderHash(order);
        order.maxPrice += 1;
        ids[3] = market.orderHash(order);
        order.deadline += 1;
        ids[4] = market.orderHash(order);
        order.k += 1;
        ids[5] = market.orderHash(order);
        order.seedTip = "other";
        ids[6] = market.orderHash(order);
        order.salt += 1;
        ids[7] = market.orderHash(order);
        for (uint256 i = 1; i < 8; ++i) {
            vm.assertTrue(ids[i] != ids[i - 1]);
        }
    }

    /// 30. An election's draw depends on nothing that can still change when its randomness is known: stake that came since
    /// does not count, and terms that came since are passed over.
    function test_pitfall30_theDrawIsFixedBeforeTheSeed() public {
        nextEpoch();
        setTerms(0, PRICE, 1);
        uint64 jobId = open(IJobMarket.Door.Election, 1 ether);
        uint64 number = market.electionBlock(jobId);
        vm.roll(number);
        setTerms(1, 1, 1); // cheaper, and too late
        fund(rig(1));
        bond(rig(1), 100 * MIN_SELF);
        vm.roll(number + 1);
        vm.setBlockhash(number, keccak256(headerOf(number)));
        market.elect(jobId, headerOf(number));
        vm.assertTrue(market.job(jobId).operator != rig(1));
    }

    /// 31. Nothing in the queue of transactions is worth copying: bids are taken by the order's client alone.
    function test_pitfall31_bidsAndOrdersAreTheirClients() public {
        IJobMarket.JobOrder memory order = newOrder();
        IJobMarket.Bid memory bid = newBid(market.orderHash(order), 0);
        bytes memory signature = signedBid(bid, 0);
        vm.startPrank(STRANGER);
        vm.expectPartialRevert(IJobMarket.NotClient.selector);
        market.openWithBid(order, bid, signature);
        order.client = STRANGER; // its own order, which the bid is not for
        vm.expectPartialRevert(IJobMarket.OtherOrder.selector);
        market.openWithBid(order, bid, signature);
        vm.stopPrank();
    }

    /// Optimism (Sherlock 2024): after a reorganisation a move hit another claim of the same number. A bid names the order's
    /// hash, so another client's job of the same number does not take it.
    function test_optimismReorg_aBidDoesNotFollowAJobsNumber() public {
        uint64 jobId = open(1 ether);
        IJobMarket.Bid memory bid = newBid(orderOf(jobId), 0);
        bytes memory signature = signedBid(bid, 0);
        uint64 again = open(1 ether); // what took the number after the reorganisation, with other content
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OtherOrder.selector, bid.order));
        market.acceptBid(again, bid, signature);
    }

    // ---- money ----

    /// An account that refuses coins is its own problem.
    function test_withdraw_whoRefusesHarmsNobody() public {
        Payee payee = new Payee(market, true);
        IJobMarket.JobOrder memory order = newOrder();
        order.client = address(payee);
        payee.open{value: 1 ether}(order);
        vm.expectRevert(Errors.FailedCall.selector);
        payee.withdraw();
        vm.assertEq(market.owed(address(payee)), 1 ether);
    }

    function test_withdraw_cannotBeReentered() public {
        Payee payee = new Payee(market, false);
        IJobMarket.JobOrder memory order = newOrder();
        order.client = address(payee);
        open(5 ether); // others' money
        payee.open{value: 1 ether}(order);
        payee.withdraw();
        vm.assertTrue(!payee.reentered());
        vm.assertEq(address(payee).balance, 1 ether);
        vm.assertEq(address(market).balance, 5 ether);
    }

    function test_coins_comeOnlyByName() public {
        vm.deal(STRANGER, 1 ether);
        vm.prank(STRANGER);
        (bool ok,) = address(market).call{value: 1}("");
        vm.assertTrue(!ok);
    }
}
