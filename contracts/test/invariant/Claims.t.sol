// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Walk} from "./Walk.sol";
import {ClaimHandler} from "./ClaimHandler.sol";
import {JudgeDouble} from "../JudgeDouble.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {ClaimBook} from "../../src/market/ClaimBook.sol";
import {JobMarket} from "../../src/market/JobMarket.sol";
import {StakeRegistry} from "../../src/staking/StakeRegistry.sol";

/// @dev Market and claim book together: money, ranges, locks, and claims that end once.
contract ClaimInvariants is Walk {
    ClaimHandler internal handler;
    JobMarket internal market;
    ClaimBook internal book;
    StakeRegistry internal registry;
    JudgeDouble internal judges;

    function setUp() public {
        handler = new ClaimHandler();
        (market, book, registry, judges) = handler.parts();
    }

    function walker() internal view override returns (address, bytes4) {
        return (address(handler), ClaimHandler.step.selector);
    }

    function name() internal pure override returns (string memory) {
        return "ClaimHandler";
    }

    function kinds() internal pure override returns (uint256, uint256) {
        return (uint256(type(ClaimHandler.Step).max) + 1, NO_KIND);
    }

    /// All rules after every step: one invariant, so that one walk serves them all, and each job and claim is read once.
    function invariant_everyRuleHolds() public view {
        vm.assertEq(handler.broken(), "");
        IJobMarket.Job[] memory jobs = allJobs();
        IClaimBook.Claim[] memory claims = allClaims();
        moneyAddsUp(jobs);
        claimsTileTheirJobs(jobs, claims);
        locksAddUp(claims);
    }

    /// @return jobs By their ids; there is no job 0.
    function allJobs() internal view returns (IJobMarket.Job[] memory jobs) {
        jobs = new IJobMarket.Job[](market.nextJobId());
        for (uint64 id = 1; id < jobs.length; ++id) {
            jobs[id] = market.job(id);
        }
    }

    /// @return claims In the handler's order.
    function allClaims() internal view returns (IClaimBook.Claim[] memory claims) {
        claims = new IClaimBook.Claim[](handler.claimCount());
        for (uint256 i = 0; i < claims.length; ++i) {
            claims[i] = book.claimInfo(handler.claims(i));
        }
    }

    /// 14. Coins held = escrow + reserved + owed + fees kept for the router. 15. For each job: deposited = open + paid + refunded.
    function moneyAddsUp(IJobMarket.Job[] memory jobs) internal view {
        uint256 held = market.owed(handler.clientAddress());
        uint256 deposits = 0;
        address[] memory who = handler.rigs();
        for (uint256 i = 0; i < who.length; ++i) {
            held += market.feesOf(who[i]);
        }
        for (uint64 id = 1; id < jobs.length; ++id) {
            uint256 inside = uint256(jobs[id].escrow) + jobs[id].reserved;
            uint256 deposited = handler.deposited(id);
            held += inside;
            deposits += deposited;
            vm.assertEq(deposited, inside + handler.paid(id) + handler.refunded(id), "a job's money");
        }
        vm.assertEq(address(market).balance, held, "the market's money");
        vm.assertEq(address(market).balance + handler.paidOut() + address(judges).balance, deposits, "in = held + out");
    }

    /// 16, 17. Claims of a job tile [0, nextSeq): so no segment is paid twice. 18. Reserved fees are those of open claims.
    function claimsTileTheirJobs(IJobMarket.Job[] memory jobs, IClaimBook.Claim[] memory claims) internal view {
        uint256[] memory next = new uint256[](jobs.length);
        uint256[] memory reserved = new uint256[](jobs.length);
        uint256[] memory open = new uint256[](jobs.length);
        uint256[] memory settled = new uint256[](jobs.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            uint64 id = handler.claims(i);
            IClaimBook.Claim memory c = claims[i];
            vm.assertEq(c.first, next[c.jobId], "ranges tile");
            vm.assertEq(id, c.jobId << 32 | c.first, "the id names the range");
            next[c.jobId] = handler.ghost(id).end;
            vm.assertEq(next[c.jobId], c.first + c.count, "ranges are kept");
            if (c.state == IClaimBook.ClaimState.Settled) settled[c.jobId] += c.fee;
            if (c.state > IClaimBook.ClaimState.Revealed) continue;
            reserved[c.jobId] += c.fee;
            open[c.jobId] += 1;
        }
        for (uint64 id = 1; id < jobs.length; ++id) {
            vm.assertEq(jobs[id].nextSeq, next[id], "next segment");
            vm.assertEq(jobs[id].reserved, reserved[id], "reserved");
            vm.assertEq(jobs[id].openClaims, open[id], "open claims");
            vm.assertEq(handler.paid(id), settled[id], "paid once");
        }
    }

    /// 4. What the book has locked of an operator's stake is the sum over its claims that are not over.
    function locksAddUp(IClaimBook.Claim[] memory claims) internal view {
        address[] memory who = handler.rigs();
        for (uint256 i = 0; i < who.length; ++i) {
            uint256 locked = 0;
            for (uint256 n = 0; n < claims.length; ++n) {
                IClaimBook.Claim memory c = claims[n];
                if (c.operator == who[i] && c.state <= IClaimBook.ClaimState.Revealed) locked += c.lock;
            }
            vm.assertEq(registry.lockedBy(who[i], address(book)), locked, "locks");
        }
    }

    /// The walk is not vacuous: over a long fixed walk each kind of step succeeds, and not just now and then.
    function test_walk_everyStepSucceeds() public {
        for (uint256 i = 0; i < 1500; ++i) {
            handler.step(uint256(keccak256(abi.encode("walk", i))));
            if (i % 250 == 0) invariant_everyRuleHolds();
        }
        handler.watchAll();
        invariant_everyRuleHolds();
        string memory all = "";
        uint256 kinds = uint256(type(ClaimHandler.Step).max) + 1;
        for (uint256 i = 0; i < kinds; ++i) {
            all = string.concat(all, " ", vm.toString(handler.successes(i)), "/", vm.toString(handler.calls(i)));
        }
        for (uint256 i = 0; i < kinds; ++i) {
            string memory which = string.concat(vm.toString(i), " of", all);
            vm.assertGe(handler.successes(i), 5, which);
            vm.assertGe(handler.successes(i) * 5, handler.calls(i), which);
        }
        uint256[5] memory ends;
        for (uint256 i = 0; i < handler.claimCount(); ++i) {
            IClaimBook.ClaimState s = book.claimInfo(handler.claims(i)).state;
            if (s > IClaimBook.ClaimState.Revealed) ends[uint256(s) - 5] += 1;
        }
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertGe(ends[i], 5, "every end was reached");
        }
    }
}
