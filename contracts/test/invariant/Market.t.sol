// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Walk} from "./Walk.sol";
import {MarketHandler} from "./MarketHandler.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {JobMarket} from "../../src/market/JobMarket.sol";

contract MarketInvariants is Walk {
    uint256 internal constant RIGS = 3;
    MarketHandler internal handler;
    JobMarket internal market;

    function setUp() public {
        handler = new MarketHandler();
        market = handler.theMarket();
    }

    function walker() internal view override returns (address, bytes4) {
        return (address(handler), MarketHandler.step.selector);
    }

    function name() internal pure override returns (string memory) {
        return "MarketHandler";
    }

    function kinds() internal pure override returns (uint256, uint256) {
        return (uint256(type(MarketHandler.Step).max) + 1, NO_KIND);
    }

    /// All rules after every step: one invariant, so that one walk serves them all, and each job is read once.
    function invariant_everyRuleHolds() public view {
        vm.assertEq(handler.broken(), ""); // 17, 22, 23, 29 where they speak of one step
        // By their ids; there is no job 0.
        IJobMarket.Job[] memory jobs = new IJobMarket.Job[](market.nextJobId());
        uint256[] memory bound = new uint256[](jobs.length);
        uint256 held = 0;
        for (uint64 id = 1; id < jobs.length; ++id) {
            IJobMarket.Job memory j = market.job(id);
            (uint256 deposited, uint256 paid, uint256 refunded, uint256 lock,) = handler.ghosts(id);
            (jobs[id], bound[id]) = (j, lock);
            uint256 inside = uint256(j.escrow) + j.reserved;
            vm.assertEq(deposited, paid + refunded + inside, "a job's money");
            if (j.state == IJobMarket.JobState.Closed) vm.assertEq(inside, 0, "closed is empty");
            held += inside;
        }
        moneyAddsUp(held);
        rangesTile(jobs);
        locksAddUp(jobs, bound);
    }

    /// 14. Every wei is in one escrow, reserved for one claim, a bid's deposit, or owed to one account. 15. What was paid in
    /// for a job was paid out, refunded, or is there. 31. Fees are those of operators and verifiers, to the wei.
    /// @param inJobs What all jobs hold.
    function moneyAddsUp(uint256 inJobs) internal view {
        uint256 held = inJobs + handler.heldDeposits();
        held += market.owed(handler.theClient()) + market.owed(address(0x5712A96E2));
        uint256 fees = 0;
        for (uint256 i = 0; i < RIGS; ++i) {
            held += market.owed(handler.rigAt(i));
            fees += market.feesOf(handler.rigAt(i));
        }
        vm.assertEq(address(market).balance, held + fees, "market balance");
        vm.assertEq(handler.verifiersBalance(), handler.toVerifiers(), "verifiers' part");
        vm.assertEq(fees + handler.routerBalance() + handler.toVerifiers(), handler.paidFees(), "fees");
    }

    /// 17. Claims of a job tile [0, nextSeq); those that are open are counted and their fees are reserved.
    function rangesTile(IJobMarket.Job[] memory jobs) internal view {
        uint256[] memory next = new uint256[](jobs.length);
        uint256[] memory reserved = new uint256[](jobs.length);
        uint256[] memory open = new uint256[](jobs.length);
        uint256 count = handler.claimCount();
        for (uint256 n = 0; n < count; ++n) {
            (uint64 jobId, uint64 first, uint32 segments, uint128 fee, bool isOpen) = handler.claims(n);
            vm.assertEq(first, next[jobId], "ranges tile");
            next[jobId] += segments;
            if (isOpen) (reserved[jobId], open[jobId]) = (reserved[jobId] + fee, open[jobId] + 1);
        }
        for (uint64 id = 1; id < jobs.length; ++id) {
            vm.assertEq(jobs[id].nextSeq, next[id], "next segment");
            vm.assertEq(jobs[id].reserved, reserved[id], "reserved");
            vm.assertEq(jobs[id].openClaims, open[id], "open claims");
        }
    }

    /// 4. An operator's lock is the sum over the jobs that bind it, at what each cost when it was bound; openJobs count those
    /// by election.
    function locksAddUp(IJobMarket.Job[] memory jobs, uint256[] memory bound) internal view {
        uint256[RIGS] memory locked;
        uint256[RIGS] memory elected;
        address[RIGS] memory rigs;
        for (uint256 i = 0; i < RIGS; ++i) {
            rigs[i] = handler.rigAt(i);
        }
        for (uint64 id = 1; id < jobs.length; ++id) {
            if (bound[id] == 0) continue;
            IJobMarket.Job memory j = jobs[id];
            bool auctioned = j.state == IJobMarket.JobState.Open && j.door == IJobMarket.Door.Auction;
            address who = auctioned ? market.auction(id).best : j.operator;
            for (uint256 i = 0; i < RIGS; ++i) {
                if (who != rigs[i]) continue;
                locked[i] += bound[id];
                if (j.door == IJobMarket.Door.Election) elected[i] += 1;
            }
        }
        for (uint256 i = 0; i < RIGS; ++i) {
            vm.assertEq(handler.lockedOf(i), locked[i], "locked");
            vm.assertEq(market.terms(rigs[i]).openJobs, elected[i], "open jobs");
        }
    }

    /// The walk is not vacuous: over a long fixed walk each kind of step succeeds, and what must go on in a pause does.
    function test_walk_everyStepSucceeds() public {
        for (uint256 i = 0; i < 2500; ++i) {
            handler.step(uint256(keccak256(abi.encode("market", i))));
            if (i % 250 == 249) invariant_everyRuleHolds();
        }
        for (uint256 i = 0; i <= uint256(type(MarketHandler.Step).max); ++i) {
            string memory which = vm.toString(i);
            vm.assertGe(handler.successes(i), 5, which);
            vm.assertGe(handler.successes(i) * 5, handler.calls(i), which);
        }
        vm.assertGe(handler.wins(), 1, "auctions were won");
        MarketHandler.Step[6] memory ends = [
            MarketHandler.Step.Release,
            MarketHandler.Step.Reclaim,
            MarketHandler.Step.Withdraw,
            MarketHandler.Step.RouteFees,
            MarketHandler.Step.Pay,
            MarketHandler.Step.Restore
        ];
        for (uint256 i = 0; i < ends.length; ++i) {
            vm.assertGe(handler.pausedSuccesses(uint256(ends[i])), 1, vm.toString(uint256(ends[i]))); // 29. in a pause
        }
    }
}
