// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MarketFixture} from "../MarketFixture.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {JobMarket} from "../../src/market/JobMarket.sol";

/// @dev Random clients, operators, bidders, governance and guardian, and a book that claims, settles and fails at random. Every
/// step is a low-level call, so a refusal is counted and nothing is undone; rules that speak of one step are checked after
/// it, those of states by the invariants.
contract MarketHandler is MarketFixture {
    uint256 internal constant RIGS = 3;
    uint256 internal constant STEPS = 31;
    uint256 internal constant OPEN_JOBS = 24; // no more at a time, so that the walk looks after each

    enum Step {
        OpenDirect,
        OpenAuction,
        OpenElection,
        OpenFor,
        OpenWithBid,
        Accept,
        CancelBids,
        Commit,
        Reveal,
        Award,
        TakeDeposit,
        Terms,
        Elect,
        Start,
        Default,
        TopUp,
        Extend,
        Tip,
        Cancel,
        Close,
        Release,
        Reclaim,
        Withdraw,
        RouteFees,
        Reserve,
        Pay,
        Restore,
        Params,
        Pause,
        Unpause,
        Wait
    }

    struct Claim {
        uint64 jobId;
        uint64 first;
        uint32 count;
        uint128 fee;
        bool open;
    }

    struct Ghost {
        uint256 deposited; // wei ever paid in for it
        uint256 paid; // as fees
        uint256 refunded;
        uint256 bound; // stake locked for it now
        uint96 lowest; // revealed and fit; 0 for none
    }

    uint256[STEPS] public calls; // that reached a contract; a step that finds nothing to act on makes none
    uint256[STEPS] public successes;
    uint256[STEPS] public pausedSuccesses;
    string public broken; // the first rule that a step broke
    Claim[] public claims;
    mapping(uint64 jobId => Ghost) public ghosts;
    mapping(uint64 jobId => IJobMarket.Params) internal opened; // the parameters under which it was
    mapping(uint64 jobId => uint32) internal lastCount;
    mapping(uint64 jobId => mapping(uint256 i => uint96)) internal sealedPrice;
    mapping(uint64 jobId => mapping(uint256 i => uint256)) internal deposits;
    uint256 public heldDeposits;
    uint256 public paidFees; // to operators and verifiers
    uint256 public toVerifiers;
    uint256 public wins; // auctions with a winner
    mapping(bytes32 bid => bool) internal accepted; // (operator, nonce)
    IJobMarket.Bid internal lastBid;
    bytes internal lastSignature;
    uint64 internal nonce;
    Step internal current;

    constructor() {
        vm.warp(2_000_000_000);
        vm.roll(1000);
        deployStake(3);
        deployMarket();
        for (uint256 i = 0; i < RIGS; ++i) {
            join(rig(i), 50 * MIN_SELF);
            vm.deal(rig(i), 1e6 ether);
        }
        nextEpoch();
    }

    function setUp() public override {}

    /// @dev Long enough that some jobs are started in spite of the waiting.
    function marketParams() internal pure override returns (IJobMarket.Params memory p) {
        p = super.marketParams();
        p.startWindow = 1 hours;
    }

    function theMarket() external view returns (JobMarket) {
        return market;
    }

    function routerBalance() external view returns (uint256) {
        return address(router).balance;
    }

    function verifiersBalance() external view returns (uint256) {
        return address(challenges).balance;
    }

    function lockedOf(uint256 i) external view returns (uint256) {
        return locked(i);
    }

    function rigAt(uint256 i) external pure returns (address) {
        return rig(i);
    }

    function theClient() external view returns (address) {
        return client;
    }

    function claimCount() external view returns (uint256) {
        return claims.length;
    }

    function breaks(string memory rule) internal {
        if (bytes(broken).length == 0) broken = rule;
    }

    // ---- one random step ----

    /// @dev Steps on the way to a settled claim come more often.
    function step(uint256 dice) external {
        // forgefmt: disable-next-item
        uint8[64] memory weighted = [
            0, 0, 255, 1, 1, 1, 1, 2, 2, 2, 3, 255, 4, 4, 4, 5, 5, 5, 5, 6, 7, 7, 7, 7, 20, 8, 8, 8, 8, 8, 9, 9,
            9, 9, 10, 10, 11, 11, 12, 12, 12, 13, 13, 13, 13, 13, 14, 15, 16, 17, 18, 19, 20, 21, 21, 22, 23, 24, 24, 24, 25, 25, 26, 255
        ];
        uint256 drawn = weighted[dice % 64];
        dice = uint256(keccak256(abi.encode(dice, ++nonce)));
        if (drawn == 255) drawn = 27 + dice % 4;
        current = Step(drawn);
        bool pausedNow = block.timestamp < market.pausedUntil();
        bool ok = run(current, dice >> 8);
        if (ok) {
            successes[drawn] += 1;
            if (pausedNow) pausedSuccesses[drawn] += 1;
        }
        if (dice % 3 == 0) pass(1 + (dice >> 16) % 60);
        if (dice % 2 == 0) vm.roll(block.number + 1 + (dice >> 32) % 4);
    }

    function run(Step which, uint256 dice) internal returns (bool) {
        if (which <= Step.OpenWithBid) return opening(which, dice);
        if (which == Step.CancelBids) {
            return send(rig(dice % RIGS), 0, abi.encodeCall(market.cancelBids, (1 << 200, 1 << (dice % 256))));
        }
        if (which == Step.Terms) return termsOf(dice);
        if (which >= Step.Withdraw && which <= Step.RouteFees) return onAccount(which, dice);
        if (which >= Step.Params) return governing(which, dice);
        if (which == Step.Pay || which == Step.Restore) return onClaim(which, dice);
        return onJob(which, dice);
    }

    function send(address from, uint256 value, bytes memory data) internal returns (bool ok) {
        calls[uint256(current)] += 1;
        vm.prank(from);
        (ok,) = address(market).call{value: value}(data);
    }

    // ---- opening ----

    function opening(Step which, uint256 dice) internal returns (bool ok) {
        uint64 jobId = market.nextJobId();
        uint256 escrow = (dice >> 8) % 20 ether;
        IJobMarket.JobOrder memory order = newOrder();
        order.k = uint8(dice % 8 + 1);
        if (dice % 2 == 0) order.seedTip = 0;
        if (which == Step.OpenFor) {
            bytes memory signature = signed(CLIENT_KEY, market.orderHash(order));
            bytes memory data = abi.encodeCall(market.openJobFor, (order, IJobMarket.Door.Direct, signature));
            ok = send(STRANGER, escrow, data);
            if (send(STRANGER, 0, data)) breaks("an order was relayed twice");
        } else if (which == Step.OpenWithBid) {
            uint256 i = (dice >> 16) % RIGS;
            ok = withBid(order, escrow, i);
            if (ok) ghosts[jobId].bound = market.params().startLock;
        } else {
            ok = send(client, escrow, abi.encodeCall(market.openJob, (order, IJobMarket.Door(uint8(which)))));
        }
        if (!ok) return false;
        (ghosts[jobId].deposited, opened[jobId]) = (escrow, market.params());
        notWhilePaused();
    }

    function withBid(IJobMarket.JobOrder memory order, uint256 escrow, uint256 i) internal returns (bool ok) {
        IJobMarket.Bid memory bid = newBid(market.orderHash(order), i);
        bytes memory signature = signedBid(bid, i);
        ok = send(client, escrow, abi.encodeCall(market.openWithBid, (order, bid, signature)));
        if (ok) remember(bid, signature);
    }

    function remember(IJobMarket.Bid memory bid, bytes memory signature) internal {
        bytes32 key = keccak256(abi.encode(bid.operator, bid.nonce));
        if (accepted[key]) breaks("a nonce was used twice");
        if (bid.price > MAX_PRICE || block.timestamp > bid.expiry) breaks("a bid that was not good");
        accepted[key] = true;
        (lastBid, lastSignature) = (bid, signature);
    }

    function notWhilePaused() internal {
        if (block.timestamp < market.pausedUntil()) breaks("something began in a pause");
    }

    // ---- jobs ----

    /// @dev A job in a state, and behind a door unless that is 3, searched from a random start among the last ones.
    function find(uint256 dice, IJobMarket.JobState wanted, uint256 door) internal view returns (uint64) {
        uint64 next = market.nextJobId();
        uint64 count = next > OPEN_JOBS ? uint64(OPEN_JOBS) : next - 1;
        for (uint64 n = 0; n < count; ++n) {
            uint64 id = next - 1 - uint64((dice % count + n) % count);
            IJobMarket.Job memory j = market.job(id);
            if (j.state == wanted && (door == 3 || uint256(j.door) == door)) return id;
        }
        return 0;
    }

    function onJob(Step which, uint256 dice) internal returns (bool) {
        IJobMarket.JobState wanted = IJobMarket.JobState.Open;
        uint256 door = 3;
        if (which == Step.Accept) door = 0;
        if (which >= Step.Commit && which <= Step.Award) door = 1;
        if (which == Step.Elect) door = 2;
        if (which == Step.Start || which == Step.Default) wanted = IJobMarket.JobState.Assigned;
        if (which >= Step.TopUp && which <= Step.Tip) {
            wanted = IJobMarket.JobState(1 + uint8(dice % 3));
        }
        if (which == Step.Cancel) wanted = IJobMarket.JobState(1 + uint8(dice % 2));
        if (which == Step.Close || which == Step.Reserve) wanted = IJobMarket.JobState.Active;
        if (which == Step.Release) wanted = IJobMarket.JobState(3 + uint8(dice % 2));
        if (which == Step.Reclaim || (which == Step.Reserve && dice % 4 == 0)) wanted = IJobMarket.JobState.Draining;
        if (which == Step.TakeDeposit) return takeDeposit(dice);
        uint64 id = find(dice >> 8, wanted, door);
        if (id == 0) return false;
        if (which == Step.Accept) return acceptFor(id, dice);
        if (which == Step.Commit) return commitFor(id, dice);
        if (which == Step.Reveal) return revealFor(id, dice);
        if (which == Step.Award) return award(id, dice);
        if (which == Step.Elect) return electFor(id, dice);
        if (which == Step.Reserve) return claimFor(id, dice);
        return living(which, id, dice);
    }

    function living(Step which, uint64 id, uint256 dice) internal returns (bool ok) {
        IJobMarket.Job memory j = market.job(id);
        Ghost storage g = ghosts[id];
        if (which == Step.Start) {
            if (market.clock() > j.startUntil && dice % 8 != 0) return false;
            ok = send(j.operator, 0, abi.encodeCall(market.startJob, (id)));
            if (ok) notWhilePaused();
        } else if (which == Step.Default) {
            if (dice % 4 != 0 && market.clock() <= j.startUntil) pass(j.startUntil - market.clock() + 1);
            ok = send(STRANGER, 0, abi.encodeCall(market.defaultJob, (id)));
            if (ok) g.bound = 0;
        } else if (which == Step.TopUp) {
            ok = send(STRANGER, 1 + dice % 1 ether, abi.encodeCall(market.topUp, (id)));
            if (ok) g.deposited += 1 + dice % 1 ether;
        } else if (which == Step.Extend) {
            ok = send(client, 0, abi.encodeCall(market.extendJob, (id, j.deadline + 1 + uint40(dice % 1000))));
        } else if (which == Step.Tip) {
            ok = send(client, 0, abi.encodeCall(market.setSeedTip, (id, bytes32(dice))));
        } else if (which == Step.Close) {
            ok = send(client, 0, abi.encodeCall(market.closeJob, (id)));
        } else if (which == Step.Release) {
            ok = send(j.operator, 0, abi.encodeCall(market.releaseJob, (id)));
            if (ok) g.bound = 0;
        } else {
            bytes memory data =
                which == Step.Cancel ? abi.encodeCall(market.cancelJob, (id)) : abi.encodeCall(market.reclaim, (id));
            if (which == Step.Reclaim && dice % 4 != 0 && market.clock() <= j.drainUntil) pass(301);
            ok = send(client, 0, data);
            if (ok) (g.bound, g.refunded) = (0, g.refunded + j.escrow);
        }
    }

    function acceptFor(uint64 id, uint256 dice) internal returns (bool ok) {
        // A used bid, now and then: it must be refused.
        if (dice % 8 == 0 && lastBid.operator != address(0)) {
            if (send(client, 0, abi.encodeCall(market.acceptBid, (id, lastBid, lastSignature)))) breaks("a bid twice");
            return false;
        }
        uint256 i = (dice >> 8) % RIGS;
        IJobMarket.Bid memory bid = newBid(orderOf(id), i);
        bytes memory signature = signedBid(bid, i);
        ok = send(client, 0, abi.encodeCall(market.acceptBid, (id, bid, signature)));
        if (!ok) return false;
        remember(bid, signature);
        notWhilePaused();
        ghosts[id].bound = market.params().startLock;
    }

    // ---- auctions ----

    function commitFor(uint64 id, uint256 dice) internal returns (bool ok) {
        if (market.clock() > market.auction(id).commitUntil && dice % 4 != 0) return false;
        uint256 i = dice % RIGS;
        if (sealedPrice[id][i] != 0) i = (i + 1) % RIGS;
        uint96 price = PRICE - uint96((dice >> 8) % 3); // often equal
        bytes32 commitment = keccak256(abi.encode(block.chainid, address(market), id, rig(i), price, bytes32(i + 1)));
        ok = send(rig(i), opened[id].deposit, abi.encodeCall(market.commitBid, (id, commitment)));
        if (!ok) return false;
        (sealedPrice[id][i], deposits[id][i]) = (price, opened[id].deposit);
        heldDeposits += opened[id].deposit;
    }

    function revealFor(uint64 id, uint256 dice) internal returns (bool ok) {
        uint40 from = market.auction(id).commitUntil;
        uint256 i = dice % RIGS;
        for (uint256 n = 0; n < RIGS && deposits[id][i] == 0; ++n) {
            i = (i + 1) % RIGS;
        }
        if (deposits[id][i] == 0 || (market.clock() <= from && dice % 4 == 0)) return false;
        if (market.clock() > market.auction(id).revealUntil && dice % 16 != 0) return false;
        if (market.clock() <= from) pass(from - market.clock() + 1);
        bytes memory data = abi.encodeCall(market.revealBid, (id, sealedPrice[id][i], bytes32(i + 1)));
        vm.prank(rig((i + 1) % RIGS));
        (ok,) = address(market).call(data);
        if (ok) breaks("a bid was stolen");
        bool fit = registry.isActive(rig(i)) && registry.free(rig(i)) >= opened[id].startLock;
        ok = send(rig(i), 0, data);
        if (!ok) return false;
        heldDeposits -= deposits[id][i];
        deposits[id][i] = 0;
        Ghost storage g = ghosts[id];
        if (fit && (g.lowest == 0 || sealedPrice[id][i] < g.lowest)) g.lowest = sealedPrice[id][i];
        if (market.auction(id).bestPrice != g.lowest) breaks("another than the lowest leads");
        if (g.lowest != 0) g.bound = opened[id].startLock;
    }

    function award(uint64 id, uint256 dice) internal returns (bool ok) {
        uint40 until = market.auction(id).revealUntil;
        if (market.clock() <= until && dice % 2 == 0) pass(until - market.clock() + 1);
        ok = send(STRANGER, 0, abi.encodeCall(market.awardAuction, (id)));
        if (!ok) return false;
        notWhilePaused();
        IJobMarket.Job memory j = market.job(id);
        if (j.state == IJobMarket.JobState.Assigned) {
            if (j.price != ghosts[id].lowest) breaks("another than the lowest won");
            wins += 1;
        } else {
            ghosts[id].bound = 0;
        }
    }

    /// @dev Of a bid that was not revealed in time, or whose job was cancelled.
    function takeDeposit(uint256 dice) internal returns (bool ok) {
        uint64 next = market.nextJobId();
        for (uint64 n = 1; n <= OPEN_JOBS && n < next; ++n) {
            uint256 i = (dice + n) % RIGS;
            uint64 id = next - n;
            if (deposits[id][i] == 0 || market.clock() <= market.auction(id).revealUntil) continue;
            ok = send(rig(i), 0, abi.encodeCall(market.takeDeposit, (id)));
            if (!ok) return false;
            heldDeposits -= deposits[id][i];
            deposits[id][i] = 0;
            return true;
        }
    }

    // ---- elections ----

    function termsOf(uint256 dice) internal returns (bool) {
        bytes memory data = abi.encodeCall(market.setTerms, (PRICE - uint96(dice % 100), uint16(2 + dice % 8)));
        return send(rig((dice >> 16) % RIGS), 0, data);
    }

    function electFor(uint64 id, uint256 dice) internal returns (bool ok) {
        uint64 number = market.electionBlock(id);
        if (block.number <= number && dice % 4 == 0) return false;
        if (block.number <= number) vm.roll(number + 1);
        if (block.number - number < 256) vm.setBlockhash(number, keccak256(headerOf(number)));
        ok = send(STRANGER, 0, abi.encodeCall(market.elect, (id, headerOf(number))));
        if (!ok) return false;
        notWhilePaused();
        IJobMarket.Job memory j = market.job(id);
        if (j.state != IJobMarket.JobState.Assigned) return false; // a new block was named
        if (j.price > j.maxPrice) breaks("an election above the highest price");
        ghosts[id].bound = market.params().startLock;
    }

    // ---- the book ----

    function claimFor(uint64 id, uint256 dice) internal returns (bool ok) {
        IJobMarket.Job memory j = market.job(id);
        uint64 units = uint64(dice % 1e9);
        uint32 count = uint32(1 + (dice >> 64) % 4096);
        uint64 first = dice % 8 == 0 ? j.nextSeq + 1 : j.nextSeq; // a gap, to be refused
        calls[uint256(current)] += 1;
        vm.prank(BOOK);
        bytes memory out;
        (ok, out) = address(market).call(abi.encodeCall(market.reserve, (id, first, count, units)));
        if (!ok) return false;
        notWhilePaused();
        if (dice % 8 == 0) breaks("a gap between claims");
        (address from, address operator, uint128 fee, uint8 k, uint32 before) =
            abi.decode(out, (address, address, uint128, uint8, uint32));
        if (from != j.client || operator != j.operator || fee != uint256(units) * j.price || k != j.k) {
            breaks("another fee");
        }
        if (before != lastCount[id]) breaks("another count before");
        lastCount[id] = count;
        claims.push(Claim(id, first, count, fee, true));
    }

    function onClaim(Step which, uint256 dice) internal returns (bool ok) {
        uint256 count = claims.length;
        for (uint256 n = 0; n < 16 && n < count; ++n) {
            Claim storage c = claims[count - 1 - (dice + n) % (count > 16 ? 16 : count)];
            if (!c.open) continue;
            c.open = false;
            if (which == Step.Restore) {
                ok = send(BOOK, 0, abi.encodeCall(market.restore, (c.jobId, c.fee)));
            } else {
                uint128 part = c.fee * uint128(dice % 3) / 50;
                ok = send(BOOK, 0, abi.encodeCall(market.pay, (c.jobId, uint64(count), c.fee, part)));
                ghosts[c.jobId].paid += c.fee;
                paidFees += c.fee;
                toVerifiers += part;
            }
            if (!ok) breaks("a claim that could not end");
            return ok;
        }
    }

    // ---- accounts, governance, time ----

    function onAccount(Step which, uint256 dice) internal returns (bool ok) {
        address who = dice % 2 == 0 ? client : rig((dice >> 8) % RIGS);
        if (which == Step.RouteFees) {
            who = rig((dice >> 8) % RIGS);
            if (market.feesOf(who) == 0) return false;
            return send(STRANGER, 0, abi.encodeCall(market.routeFees, (who)));
        }
        uint256 amount = market.owed(who);
        if (amount == 0) return false;
        ok = send(who, 0, abi.encodeCall(market.withdraw, ()));
        if (!ok) breaks("a withdrawal that failed");
    }

    function governing(Step which, uint256 dice) internal returns (bool) {
        if (which == Step.Params) {
            IJobMarket.Params memory p = marketParams();
            p.startLock = uint128(1e18 + dice % 20e18);
            p.deposit = uint128(dice % 2 ether);
            p.electionDelay = uint16(2 + dice % 10);
            p.drainWindow = uint32(100 + dice % 400);
            return send(address(this), 0, abi.encodeCall(market.setParams, (p)));
        }
        if (which == Step.Pause) {
            uint256 from = uint256(market.pausedUntil()) + 1 days;
            if (block.timestamp < from && dice % 2 == 0) return false;
            if (block.timestamp < from) vm.warp(from);
            return send(GUARDIAN, 0, abi.encodeCall(market.pause, (uint40(block.timestamp + 1 + dice % 2000))));
        }
        if (which == Step.Unpause) {
            if (block.timestamp >= market.pausedUntil()) {
                uint256 from = uint256(market.pausedUntil()) + 1 days;
                if (block.timestamp < from) vm.warp(from);
                vm.prank(GUARDIAN);
                market.pause(uint40(block.timestamp + 1000));
                pass(dice % 999);
            }
            return send(GUARDIAN, 0, abi.encodeCall(market.unpause, ()));
        }
        calls[uint256(which)] += 1;
        pass(dice % 2000);
        return true;
    }
}
