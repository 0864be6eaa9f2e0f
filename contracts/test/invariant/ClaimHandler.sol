// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "../ClaimFixture.sol";
import {JudgeDouble} from "../JudgeDouble.sol";
import {Packed} from "../Packed.sol";
import {Tree} from "../Tree.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {Work} from "../../src/lib/Work.sol";
import {ClaimBook} from "../../src/market/ClaimBook.sol";
import {JobMarket} from "../../src/market/JobMarket.sol";
import {StakeRegistry} from "../../src/staking/StakeRegistry.sol";

/// @dev Random operators, a client, judges and governance on market and claim book. Every step is a low-level call, so a
/// refusal is counted and nothing is undone; each looks for a claim or job in a fitting state first.
contract ClaimHandler is ClaimFixture {
    uint256 internal constant RIGS = 2;
    uint256 internal constant STEPS = 20;

    enum Step {
        Open,
        TopUp,
        Close,
        Release,
        Reclaim,
        Withdraw,
        Route,
        Claim,
        Seal,
        SealLate,
        Answer,
        Reveal,
        Settle,
        SlashMissed,
        Hold,
        LetGo,
        Punish,
        SlashElsewhere,
        Params,
        Bond
    }

    /// What a claim looked like when it was made, and what the walk knows of it.
    struct Ghost {
        uint128 fee;
        uint128 lock;
        uint64 end; // behind its last segment
        bytes32 seed;
        bytes32 draws;
        bytes32 over; // hash of everything about it once it ended
        uint8 holds;
        uint64 earlier; // the job's claim before it
        uint40 madeAt;
    }

    mapping(uint64 jobId => uint64) internal lastClaim;
    uint256[STEPS] public calls; // that reached a contract; a step that finds nothing to act on makes none
    uint256[STEPS] public successes;
    uint64[] public claims;
    mapping(uint64 claimId => Ghost) public ghosts;
    mapping(uint64 jobId => uint256) public deposited;
    mapping(uint64 jobId => uint256) public paid; // fees of settled claims
    mapping(uint64 jobId => uint256) public refunded;
    uint256 public paidOut; // wei that left the market for clients and the router
    string public broken; // the first rule that a step broke
    uint64 internal nonce;
    Step internal current;

    constructor() {
        vm.warp(2_000_000_000);
        deployStake(3);
        vm.roll(1000);
        deployMarket();
        for (uint256 i = 0; i < RIGS; ++i) {
            join(rig(i), 20 * MIN_SELF);
        }
    }

    function setUp() public override {}

    /// @dev Long to answer and short otherwise, so that waiting for one claim does not make all others late.
    function claimParams() internal pure override returns (IClaimBook.Params memory p) {
        p = super.claimParams();
        (p.answerWindow, p.attestWindow, p.revealWindow, p.contestWindow) = (20_000, 200, 600, 300);
    }

    function parts() external view returns (JobMarket, ClaimBook, StakeRegistry, JudgeDouble) {
        return (market, book, registry, judges);
    }

    function claimCount() external view returns (uint256) {
        return claims.length;
    }

    function ghost(uint64 claimId) external view returns (Ghost memory) {
        return ghosts[claimId];
    }

    function clientAddress() external view returns (address) {
        return client;
    }

    function rootOf(uint64 jobId, uint64 first, uint32 count) internal pure returns (bytes32 root) {
        (root,) = Tree.root(receipts(jobId, first, count));
    }

    function rigs() external pure returns (address[] memory out) {
        out = new address[](RIGS);
        for (uint256 i = 0; i < RIGS; ++i) {
            out[i] = rig(i);
        }
    }

    // ---- one random step ----

    /// @dev The whole walk goes through here, weighted towards the way to a settled claim.
    function step(uint256 dice) external {
        uint8[36] memory weighted = [
            0,
            0,
            7,
            7,
            7,
            7,
            8,
            8,
            8,
            9,
            10,
            10,
            10,
            10,
            11,
            11,
            11,
            11,
            12,
            12,
            13,
            13,
            14,
            14,
            14,
            15,
            15,
            16,
            1,
            2,
            3,
            4,
            5,
            6,
            17,
            18
        ];
        uint256 pick = dice % 37;
        current = pick == 36 ? Step.Bond : Step(weighted[pick]);
        dice = uint256(keccak256(abi.encode(dice, ++nonce)));
        if (run(current, dice)) successes[uint256(current)] += 1;
        vm.roll(block.number + (dice >> 8) % 3);
        vm.warp(block.timestamp + (dice >> 16) % 12);
        if (claims.length == 0) return;
        watch(claims.length - 1);
        for (uint256 i = 0; i < 3; ++i) {
            watch((dice >> 24 + 16 * i) % claims.length);
        }
    }

    /// @dev What a rule forbids stays visible, so a look at a few claims after each step and at all in the end is enough.
    function watchAll() external {
        for (uint256 i = 0; i < claims.length; ++i) {
            watch(i);
        }
    }

    function send(address from, address to, uint256 value, bytes memory data) internal returns (bool ok) {
        calls[uint256(current)] += 1;
        vm.prank(from);
        (ok,) = to.call{value: value}(data);
    }

    function run(Step which, uint256 dice) internal returns (bool) {
        if (which == Step.Open) return open_(dice);
        if (which <= Step.Reclaim) return onJob(which, dice);
        if (which == Step.Withdraw) return withdraw_();
        if (which == Step.Route) return route(dice % RIGS);
        if (which == Step.Claim) return claim_(dice);
        if (which <= Step.Punish) return onClaim(which, dice);
        if (which == Step.SlashElsewhere) return slashElsewhere(dice);
        if (which == Step.Params) return setParams(dice);
        return
            send(rig(dice % RIGS), address(registry), 0, abi.encodeCall(registry.bond, (uint128(1 + dice % 3000e18))));
    }

    // ---- jobs ----

    function open_(uint256 dice) internal returns (bool ok) {
        uint256 i = dice % RIGS;
        waitForJail(rig(i));
        uint256 escrow = 1 + (dice >> 8) % 0.1 ether;
        IJobMarket.JobOrder memory order = newOrder();
        (order.k, order.seedTip) = (uint8(1 + (dice >> 64) % 8), dice >> 72 & 1 == 0 ? link(LINKS) : bytes32(0));
        IJobMarket.Bid memory bid = newBid(market.orderHash(order), i);
        bytes memory signature = signedBid(bid, i);
        uint64 jobId = market.nextJobId();
        ok = send(client, address(market), escrow, abi.encodeCall(market.openWithBid, (order, bid, signature)));
        if (!ok) return false;
        deposited[jobId] = escrow;
        vm.prank(rig(i));
        market.startJob(jobId);
    }

    function jobIn(uint256 dice, IJobMarket.JobState a, IJobMarket.JobState b) internal view returns (uint64) {
        uint64 count = market.nextJobId() - 1;
        for (uint64 i = 0; i < count; ++i) {
            uint64 id = uint64((dice + i) % count) + 1;
            IJobMarket.JobState s = market.job(id).state;
            if (s == a || s == b) return id;
        }
        return 0;
    }

    function onJob(Step which, uint256 dice) internal returns (bool ok) {
        (IJobMarket.JobState a, IJobMarket.JobState b) = (IJobMarket.JobState.Active, IJobMarket.JobState.Draining);
        if (which == Step.Close) b = a;
        if (which == Step.Reclaim) a = b;
        uint64 id = jobIn(dice, a, b);
        if (id == 0) return false;
        IJobMarket.Job memory j = market.job(id);
        if (which == Step.TopUp) {
            uint256 amount = (dice >> 64) % 0.05 ether;
            ok = send(STRANGER, address(market), amount, abi.encodeCall(market.topUp, (id)));
            if (ok) deposited[id] += amount;
        } else if (which == Step.Close) {
            ok = send(client, address(market), 0, abi.encodeCall(market.closeJob, (id)));
        } else if (which == Step.Release) {
            ok = send(j.operator, address(market), 0, abi.encodeCall(market.releaseJob, (id)));
        } else {
            if (dice >> 64 & 1 == 0) vm.warp(block.timestamp + 300);
            ok = send(client, address(market), 0, abi.encodeCall(market.reclaim, (id)));
            if (ok) refunded[id] = j.escrow;
        }
    }

    function withdraw_() internal returns (bool ok) {
        if (market.owed(client) == 0) return false;
        uint256 before = client.balance;
        ok = send(client, address(market), 0, abi.encodeCall(market.withdraw, ()));
        paidOut += client.balance - before;
    }

    function route(uint256 i) internal returns (bool ok) {
        address who = market.feesOf(rig(i)) > 0 ? rig(i) : rig((i + 1) % RIGS);
        if (market.feesOf(who) == 0) return false;
        uint256 before = address(router).balance;
        ok = send(STRANGER, address(market), 0, abi.encodeCall(market.routeFees, (who)));
        paidOut += address(router).balance - before;
    }

    // ---- claims ----

    function claim_(uint256 dice) internal returns (bool ok) {
        uint64 id = jobIn(dice, IJobMarket.JobState.Active, IJobMarket.JobState.Draining);
        if (id == 0) return false;
        IJobMarket.Job memory j = market.job(id);
        uint32 count = uint32(1 + (dice >> 64) % 6);
        uint64 total = 0;
        for (uint64 i = 0; i < count; ++i) {
            total += receipt(id, j.nextSeq + i).units;
        }
        bytes32 root = rootOf(id, j.nextSeq, count);
        ok = send(j.operator, address(book), 0, abi.encodeCall(book.claim, (id, j.nextSeq, count, root, total)));
        if (!ok) return false;
        uint64 claimId = id << 32 | j.nextSeq;
        claims.push(claimId);
        (ghosts[claimId].earlier, lastClaim[id]) = (lastClaim[id], claimId);
        ghosts[claimId].madeAt = uint40(block.timestamp);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        (ghosts[claimId].fee, ghosts[claimId].lock, ghosts[claimId].end) = (c.fee, c.lock, j.nextSeq + count);
        if (c.first != j.nextSeq || c.fee != uint256(total) * PRICE) broken = "a claim is what was claimed";
    }

    enum Taste {
        Any,
        InTime,
        Overdue
    }

    /// @dev A claim in this state, or 0.
    function claimIn(uint256 dice, IClaimBook.ClaimState a, IClaimBook.ClaimState b, Taste taste)
        internal
        view
        returns (uint64)
    {
        for (uint256 i = 0; i < claims.length; ++i) {
            uint64 id = claims[(dice + i) % claims.length];
            IClaimBook.Claim memory c = book.claimInfo(id);
            if (c.state != a && c.state != b) continue;
            if (taste == Taste.Any || late(c) == (taste == Taste.Overdue)) return id;
        }
        return 0;
    }

    function late(IClaimBook.Claim memory c) internal view returns (bool) {
        if (c.state == IClaimBook.ClaimState.Revealed) return block.timestamp > c.contestUntil;
        return block.timestamp > (c.revealUntil == 0 ? c.answerUntil : c.revealUntil);
    }

    function onClaim(Step which, uint256 dice) internal returns (bool) {
        IClaimBook.ClaimState a = IClaimBook.ClaimState.Submitted;
        if (which == Step.Answer) a = IClaimBook.ClaimState.Sealed;
        if (which == Step.Reveal) a = IClaimBook.ClaimState.Answered;
        if (which == Step.Settle || which >= Step.Hold) a = IClaimBook.ClaimState.Revealed;
        IClaimBook.ClaimState b = a;
        if (which == Step.SlashMissed) {
            b = dice >> 136 & 1 == 0 ? IClaimBook.ClaimState.Sealed : IClaimBook.ClaimState.Answered;
        }
        if (which == Step.Punish) b = IClaimBook.ClaimState.Answered;
        Taste taste = dice >> 132 & 3 == 0 ? Taste.Any : Taste.InTime;
        if (which == Step.SlashMissed && taste == Taste.InTime) taste = Taste.Overdue;
        if (which == Step.LetGo) taste = Taste.Any;
        uint64 id = claimIn(dice, a, b, taste);
        if (which <= Step.SealLate && dice >> 130 & 3 != 0) id = sealable(dice);
        if (id == 0) return false;
        if (which <= Step.SealLate) return seal_(which, id);
        if (which == Step.Answer) return answer_(id, dice);
        if (which == Step.Reveal) return reveal_(id);
        if (which <= Step.SlashMissed) return end(which, id, dice);
        return judge(which, id, dice);
    }

    /// @dev A claim whose turn it is, or 0.
    function sealable(uint256 dice) internal view returns (uint64) {
        for (uint256 i = 0; i < claims.length; ++i) {
            uint64 id = claims[(dice + i) % claims.length];
            IClaimBook.Claim memory c = book.claimInfo(id);
            if (c.state != IClaimBook.ClaimState.Submitted || block.timestamp > c.answerUntil) continue;
            if (c.first == 0 || claimState(ghosts[id].earlier) != IClaimBook.ClaimState.Submitted) return id;
        }
        return 0;
    }

    /// @dev The sealer always has the link that is due, whether or not the claim's turn has come.
    function seal_(Step which, uint64 id) internal returns (bool ok) {
        IClaimBook.Claim memory c = book.claimInfo(id);
        rollPast(c.seedBlock);
        bytes32 preimage = which == Step.Seal ? nextLink(market.job(c.jobId).seedTip) : bytes32(0);
        uint256 after_ = ghosts[id].madeAt + 260; // behind any preimage window
        if (which == Step.SealLate && block.timestamp < after_) vm.warp(after_);
        bytes memory data = abi.encodeCall(book.seal, (id, header(c.seedBlock), preimage));
        ok = send(STRANGER, address(book), 0, data);
        if (!ok) return false;
        bytes32 seed = book.claimInfo(id).seed;
        ghosts[id].seed = seed;
        ghosts[id].draws = keccak256(abi.encode(book.draws(id)));
        if (seed != seedOf(c.seedBlock, preimage, id)) broken = "seed of block and link alone";
    }

    function nextLink(bytes32 tip) internal pure returns (bytes32) {
        for (uint256 n = 1; n <= LINKS; ++n) {
            if (link(n) == tip) return link(n - 1);
        }
        return 0;
    }

    function rigOf(uint64 id) internal view returns (address) {
        return book.claimInfo(id).operator;
    }

    function commitments(uint64 id) internal view returns (bytes32[] memory out) {
        (bytes32[] memory digests, bytes32[] memory salts_) = (digestsOf(id), saltsOf(id));
        out = new bytes32[](digests.length);
        for (uint256 j = 0; j < out.length; ++j) {
            out[j] = keccak256(abi.encode(digests[j], salts_[j], id, j, rigOf(id)));
        }
    }

    /// @dev One in four is wrong in one field.
    function answer_(uint64 id, uint256 dice) internal returns (bool ok) {
        Work.Opening[] memory openings = honest(id);
        bool wrong = dice >> 128 & 3 == 0;
        if (wrong) openings[0].leaf.outBytes ^= 1;
        bytes memory data = abi.encodeCall(book.answer, (id, Packed.openings(id, openings), commitments(id)));
        ok = send(rigOf(id), address(book), 0, data);
        if (ok && wrong) broken = "a wrong answer was taken";
    }

    function reveal_(uint64 id) internal returns (bool) {
        IClaimBook.Claim memory c = book.claimInfo(id);
        if (block.timestamp <= c.attestUntil) vm.warp(c.attestUntil + 1);
        IClaimBook.Answered memory a = IClaimBook.Answered(hashesOf(id), commitments(id));
        judges.reveal(id);
        bytes memory data = abi.encodeCall(book.reveal, (id, a, digestsOf(id), saltsOf(id)));
        return send(c.operator, address(book), 0, data);
    }

    function end(Step which, uint64 id, uint256 dice) internal returns (bool ok) {
        IClaimBook.Claim memory c = book.claimInfo(id);
        bool settles = which == Step.Settle;
        uint40 until = settles ? c.contestUntil : c.revealUntil != 0 ? c.revealUntil : c.answerUntil;
        // Waiting for the end of an answer window makes most other claims late, too.
        bool wait = settles ? dice >> 128 & 7 != 0 : dice >> 128 & 1 == 0;
        if (wait && block.timestamp <= until) vm.warp(until + 1);
        bool inTime = block.timestamp > until;
        bytes memory data =
            which == Step.Settle ? abi.encodeCall(book.settle, (id)) : abi.encodeCall(book.slashMissed, (id));
        ok = send(STRANGER, address(book), 0, data);
        if (ok && !inTime) broken = "ended before its time";
        if (ok && c.holds != 0) broken = "a held claim was settled";
        if (!ok) return false;
        if (which == Step.Settle) paid[c.jobId] += c.fee;
        over(id);
    }

    function judge(Step which, uint64 id, uint256 dice) internal returns (bool ok) {
        address by = dice >> 130 & 1 == 0 ? address(judges) : address(game);
        if (which == Step.Hold) {
            ok = send(by, address(book), 0, abi.encodeCall(book.hold, (id)));
            if (ok) ++ghosts[id].holds;
        } else if (which == Step.LetGo) {
            id = heldClaim(dice, id);
            if (book.claimInfo(id).holds == 0) return false;
            ok = send(by, address(book), 0, abi.encodeCall(book.letGo, (id)));
            if (ok) --ghosts[id].holds;
        } else {
            IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
            cuts[0] = IStakeRegistry.Cut(FINDER, 2500);
            IClaimBook.Fault fault = IClaimBook.Fault(dice >> 140 & 31 == 0 ? (dice >> 144) % 2 : 2);
            if (info(rigOf(id)).strikes == 2) fault = IClaimBook.Fault.Withheld; // a third strike is for good
            ok = send(by, address(book), 0, abi.encodeCall(book.punish, (id, fault, cuts)));
            if (ok) ghosts[id].holds = 0;
            if (ok) over(id);
        }
    }

    function heldClaim(uint256 dice, uint64 otherwise) internal view returns (uint64) {
        for (uint256 i = 0; i < claims.length; ++i) {
            uint64 id = claims[(dice + i) % claims.length];
            if (ghosts[id].holds > 0) return id;
        }
        return otherwise;
    }

    function over(uint64 id) internal {
        if (ghosts[id].over != 0) broken = "a claim ended twice";
        ghosts[id].over = keccak256(abi.encode(book.claimInfo(id)));
    }

    // ---- beside claims ----

    function waitForJail(address who) internal {
        uint256 until = info(who).jailedUntil;
        if (until > block.timestamp) vm.warp(until);
    }

    function bond_(address who, uint256 dice) internal returns (bool) {
        waitForJail(who);
        return send(who, address(registry), 0, abi.encodeCall(registry.bond, (uint128(1 + (dice >> 8) % 3000e18))));
    }

    function slashElsewhere(uint256 dice) internal returns (bool) {
        bytes memory data = abi.encodeCall(
            registry.slash, (rig(dice % RIGS), uint128((dice >> 8) % 500e18), 0, noCuts, IStakeRegistry.Jail.No)
        );
        return send(address(this), address(registry), 0, data);
    }

    function setParams(uint256 dice) internal returns (bool) {
        IClaimBook.Params memory p = claimParams();
        p.answerWindow = uint32(15_000 + dice % 10_000);
        p.preimageWindow = uint32(50 + (dice >> 16) % 200);
        p.attestWindow = uint32(200 + (dice >> 32) % 100);
        p.contestWindow = uint32(300 + (dice >> 48) % 100);
        p.minLock = uint128(1e18 + (dice >> 64) % 20e6 * 1e12);
        p.lockNum = uint64(1 + (dice >> 128) % 3000);
        p.verifierShare = uint16((dice >> 192) % 501);
        return send(TIMELOCK, address(book), 0, abi.encodeCall(book.setParams, (p)));
    }

    /// @dev Terms, seeds and draws never change, and what is over stays as it ended.
    function watch(uint256 i) internal {
        uint64 id = claims[i];
        Ghost memory g = ghosts[id];
        IClaimBook.Claim memory c = book.claimInfo(id);
        if (c.fee != g.fee || c.lock != g.lock) broken = "fee and lock never change";
        if (c.seed != g.seed) broken = "a seed is set once";
        if (g.seed != 0 && keccak256(abi.encode(book.draws(id))) != g.draws) broken = "draws never change";
        if (g.over != 0 && keccak256(abi.encode(c)) != g.over) broken = "over is over";
        if (g.over == 0 && c.state > IClaimBook.ClaimState.Revealed) broken = "ended by no step";
        if (c.holds != g.holds) broken = "holds are counted";
    }
}
