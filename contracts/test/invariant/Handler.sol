// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Fixture} from "../Fixture.sol";
import {Tree} from "../Tree.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

/// @dev Random actors on one market. Every step is a low-level call, so a refusal is counted and nothing is undone;
/// each step looks for an object in a fitting state first, so that most calls succeed and the walk gets deep.
contract Handler is Fixture {
    uint256 internal constant OPERATORS = 3;
    uint256 internal constant CLIENTS = 2;

    enum Step {
        OpenJob,
        Bid,
        Award,
        ClaimJob,
        TopUp,
        CloseJob,
        ReleaseJob,
        Reclaim,
        Claim,
        Seal,
        Answer,
        Settle,
        SlashMissed,
        Equivocate,
        Withdraw,
        Bond,
        Unbond,
        WithdrawStake,
        Wait
    }

    uint256[19] public calls; // that reached a contract; a step that finds nothing to act on makes none
    uint256[19] public successes;
    uint256 public deposited; // wei ever paid in
    uint256 public paidOut; // wei ever taken out
    uint64 internal nonce;
    Step internal current;

    constructor() {
        vm.roll(1000);
        vm.warp(2_000_000_000);
        deploySystem(2); // fewer slots than operators: displacement happens
        for (uint256 i = 0; i < CLIENTS; ++i) {
            vm.deal(clientAt(i), 1e6 ether);
        }
        for (uint256 i = 0; i < OPERATORS; ++i) {
            join(operatorAt(i), MIN_BOND * 2);
            token.transfer(operatorAt(i), 1e6 * 1e18);
            vm.prank(operatorAt(i));
            token.approve(address(registry), type(uint256).max);
        }
    }

    function setUp() public override {}

    // ---- what the invariants look at ----

    function parts() external view returns (IJobMarket, IStakeRegistry, address token_, uint128 startLock) {
        return (market, registry, address(token), START_LOCK);
    }

    function operators() external pure returns (address[] memory out) {
        out = new address[](OPERATORS);
        for (uint256 i = 0; i < OPERATORS; ++i) {
            out[i] = operatorAt(i);
        }
    }

    function totalOwed() external view returns (uint256 sum) {
        for (uint256 i = 0; i < CLIENTS; ++i) {
            sum += market.owed(clientAt(i));
        }
        for (uint256 i = 0; i < OPERATORS; ++i) {
            sum += market.owed(operatorAt(i));
        }
    }

    function bounties() external view returns (uint256) {
        return registry.bounty(stranger);
    }

    function operatorAt(uint256 i) internal pure returns (address) {
        return vm.addr(OPERATOR_KEY + i % OPERATORS);
    }

    function clientAt(uint256 i) internal pure returns (address) {
        return vm.addr(CLIENT_KEY + i % CLIENTS);
    }

    // ---- one random step ----

    /// @dev The whole walk goes through here, weighted towards the path to a settled claim.
    function step(uint256 dice) external {
        uint8[32] memory weighted = [
            0, 0, 1, 1, 1, 2, 2, 3, 3, 8, 8, 8, 8, 9, 9, 9, 10, 10, 10, 11, 11, 12, 4, 5, 6, 7, 13, 14, 15, 16, 17, 18
        ];
        Step which = Step(weighted[dice % 32]);
        dice = uint256(keccak256(abi.encode(dice, ++nonce)));
        current = which;
        if (run(which, dice)) successes[uint256(which)] += 1;
        if (dice % 3 == 0) vm.roll(block.number + 1 + (dice >> 8) % 3);
    }

    function run(Step which, uint256 dice) internal returns (bool) {
        if (which == Step.OpenJob) return openJob(dice);
        if (which < Step.Claim) return onJob(which, dice);
        if (which == Step.Claim) return claimRange(dice);
        if (which < Step.Equivocate) return onClaim(which, dice);
        if (which == Step.Equivocate) return equivocate(dice);
        if (which == Step.Wait) {
            calls[uint256(which)] += 1;
            vm.roll(block.number + 1 + dice % 12);
            vm.warp(block.timestamp + dice % 2 days);
            return true;
        }
        return onAccount(which, dice);
    }

    function send(address from, address to, uint256 value, bytes memory data) internal returns (bool ok) {
        calls[uint256(current)] += 1;
        vm.prank(from);
        (ok,) = to.call{value: value}(data);
        if (ok) deposited += value;
    }

    function openJob(uint256 dice) internal returns (bool) {
        uint8 k = uint8(1 + dice % 5);
        uint256 escrow = 1 + (dice >> 8) % 20 ether;
        vm.deal(address(this), address(this).balance + escrow);
        return send(clientAt(dice >> 128), address(market), escrow, abi.encodeCall(market.openJob, (PROFILE, PRICE, k)));
    }

    /// @dev A job in one of two states, searched from a random start; 0 when there is none.
    function jobIn(uint256 dice, IJobMarket.JobState a, IJobMarket.JobState b) internal view returns (uint64) {
        uint64 count = market.nextJobId() - 1;
        for (uint64 i = 0; i < count; ++i) {
            uint64 id = uint64((dice % count + count - i) % count) + 1;
            IJobMarket.JobState state = market.job(id).state;
            if (state == a || state == b) return id;
        }
        return 0;
    }

    function onJob(Step which, uint256 dice) internal returns (bool) {
        IJobMarket.JobState a = IJobMarket.JobState.Active;
        IJobMarket.JobState b = IJobMarket.JobState.Draining;
        if (which == Step.Bid) (a, b) = (IJobMarket.JobState.Open, IJobMarket.JobState.Open);
        if (which == Step.Award) (a, b) = (IJobMarket.JobState.Open, IJobMarket.JobState.Awarded);
        if (which == Step.ClaimJob) (a, b) = (IJobMarket.JobState.Awarded, IJobMarket.JobState.Awarded);
        if (which == Step.CloseJob) b = dice % 2 == 0 ? a : IJobMarket.JobState.Open;
        if (which == Step.Reclaim) a = b;
        if (market.nextJobId() == 1) return false;
        uint256 from = which <= Step.ClaimJob ? market.nextJobId() - 2 : dice; // older jobs are past their windows
        uint64 id = jobIn(from, a, b);
        if (id == 0) return false;
        IJobMarket.Job memory j = market.job(id);
        if (which == Step.Bid) {
            address[] memory active = registry.activeSet().members();
            address bidder = dice % 8 == 0 || active.length == 0 ? operatorAt(dice >> 32) : active[dice % active.length];
            return send(bidder, address(market), 0, abi.encodeCall(market.bid, (id, PRICE - nonce)));
        }
        if (which == Step.Award) {
            if (j.state == IJobMarket.JobState.Awarded && dice % 2 == 0) rollPast(j.startUntil);
            (address[] memory who,) = market.bids(id);
            if (who.length == 0) return false;
            address winner = who[dice % who.length];
            return send(j.client, address(market), 0, abi.encodeCall(market.award, (id, winner)));
        }
        if (which == Step.ClaimJob) return send(j.operator, address(market), 0, abi.encodeCall(market.claimJob, (id)));
        if (which == Step.TopUp) {
            return send(clientAt(dice), address(market), 1 + dice % 1 ether, abi.encodeCall(market.topUp, (id)));
        }
        if (which == Step.CloseJob) return send(j.client, address(market), 0, abi.encodeCall(market.closeJob, (id)));
        if (which == Step.Reclaim && dice % 4 != 0) rollPast(j.drainUntil);
        if (which == Step.Reclaim) return send(j.client, address(market), 0, abi.encodeCall(market.reclaim, (id)));
        return send(j.operator, address(market), 0, abi.encodeCall(market.releaseJob, (id)));
    }

    function claimRange(uint256 dice) internal returns (bool) {
        IJobMarket.JobState a = IJobMarket.JobState.Active;
        uint64 id = jobIn(dice, a, dice % 4 == 0 ? IJobMarket.JobState.Draining : a);
        if (id == 0) return false;
        IJobMarket.Job memory j = market.job(id);
        uint64 first = j.nextSeq;
        if (dice % 8 == 0 && first > 0) first -= 1; // a double claim, to be refused
        uint32 count = uint32(1 + (dice >> 16) % 5);
        (bytes32 root, uint64 total) = Tree.root(receipts(id, first, count));
        bytes memory data = abi.encodeCall(market.claim, (id, first, count, root, total));
        return send(j.operator, address(market), 0, data);
    }

    function claimIn(uint256 dice, IJobMarket.ClaimState a, IJobMarket.ClaimState b) internal view returns (uint64) {
        uint64 count = market.nextClaimId() - 1;
        for (uint64 i = 0; i < count; ++i) {
            uint64 id = uint64((dice + i) % count) + 1;
            IJobMarket.ClaimState state = market.claimInfo(id).state;
            if (state == a || state == b) return id;
        }
        return 0;
    }

    function onClaim(Step which, uint256 dice) internal returns (bool) {
        IJobMarket.ClaimState a = IJobMarket.ClaimState.Submitted;
        if (which == Step.Answer) a = IJobMarket.ClaimState.Sealed;
        if (which == Step.Settle) a = IJobMarket.ClaimState.Answered;
        IJobMarket.ClaimState b = which == Step.SlashMissed ? IJobMarket.ClaimState.Sealed : a;
        uint64 id = claimIn(dice, a, b);
        if (id == 0) return false;
        IJobMarket.Claim memory c = market.claimInfo(id);
        if (which == Step.Seal && dice % 4 != 0) rollPast(c.seedBlock);
        if (which == Step.Settle && dice % 4 != 0) rollPast(c.deadline);
        if (which == Step.SlashMissed && dice % 4 == 0) rollPast(c.deadline);
        if (which == Step.Seal) return send(stranger, address(market), 0, abi.encodeCall(market.seal, (id)));
        if (which == Step.Settle) return send(stranger, address(market), 0, abi.encodeCall(market.settle, (id)));
        if (which == Step.SlashMissed) {
            return send(stranger, address(market), 0, abi.encodeCall(market.slashMissed, (id)));
        }
        return send(c.operator, address(market), 0, abi.encodeCall(market.answer, (id, openingsOf(id))));
    }

    /// @dev Honest openings, signed by whichever client owns the job.
    function openingsOf(uint64 id) internal view returns (IJobMarket.Opening[] memory openings) {
        openings = honest(id);
        uint64 jobId = market.claimInfo(id).jobId;
        if (market.job(jobId).client == clientAt(0)) return openings;
        for (uint256 i = 0; i < openings.length; ++i) {
            IJobMarket.Opening memory o = openings[i];
            bytes32 digest = market.segmentDigest(jobId, o.seq, o.srcRoot, o.srcBytes, o.durationMs);
            o.clientSig = signed(CLIENT_KEY + 1, digest);
        }
    }

    function equivocate(uint256 dice) internal returns (bool) {
        uint64 id = jobIn(dice, IJobMarket.JobState.Active, IJobMarket.JobState.Closed);
        if (id == 0 || market.job(id).operator == address(0)) return false;
        IJobMarket.Receipt memory a = receipt(id, uint64(dice >> 64) % 8);
        IJobMarket.Receipt memory b = receipt(id, a.seq);
        b.outBytes += 1;
        uint256 key = OPERATOR_KEY;
        while (vm.addr(key) != market.job(id).operator) ++key;
        bytes memory sigA = signed(key, market.receiptDigest(a));
        bytes memory sigB = signed(key, market.receiptDigest(b));
        return send(stranger, address(market), 0, abi.encodeCall(market.slashEquivocation, (a, sigA, b, sigB)));
    }

    function onAccount(Step which, uint256 dice) internal returns (bool ok) {
        address who = operatorAt(dice);
        if (which == Step.Withdraw) {
            if (market.owed(who) == 0) who = clientAt(dice >> 8);
            uint256 before = who.balance;
            ok = send(who, address(market), 0, abi.encodeCall(market.withdraw, ()));
            paidOut += who.balance - before;
        } else if (which == Step.Bond) {
            uint128 amount = uint128(1 + (dice >> 8) % 500e18);
            ok = send(who, address(registry), 0, abi.encodeCall(registry.bond, (amount)));
        } else if (which == Step.Unbond) {
            uint128 amount = uint128(1 + (dice >> 8) % 200e18);
            ok = send(who, address(registry), 0, abi.encodeCall(registry.unbond, (amount)));
        } else {
            ok = send(who, address(registry), 0, abi.encodeCall(registry.withdraw, ()));
        }
    }
}
