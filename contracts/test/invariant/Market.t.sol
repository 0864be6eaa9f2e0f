// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Walk} from "./Walk.sol";
import {Handler} from "./Handler.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

contract MarketInvariants is Walk {
    Handler internal handler;
    IJobMarket internal market;
    IStakeRegistry internal registry;
    IERC20 internal token;
    uint128 internal startLock;

    function setUp() public {
        handler = new Handler();
        address token_;
        (market, registry, token_, startLock) = handler.parts();
        token = IERC20(token_);
    }

    function walker() internal view override returns (address, bytes4) {
        return (address(handler), Handler.step.selector);
    }

    /// One invariant, so that one walk serves all rules.
    function invariant_everyRuleHolds() public view {
        moneyIsConserved();
        claimsAddUpPerJob();
        locksAddUpPerOperator();
    }

    /// Every wei is in one escrow, reserved for one claim, or owed to one account; none appears or vanishes.
    function moneyIsConserved() internal view {
        uint256 held = 0;
        for (uint64 id = 1; id < market.nextJobId(); ++id) {
            IJobMarket.Job memory j = market.job(id);
            held += uint256(j.escrow) + j.reserved;
            if (j.state == IJobMarket.JobState.Closed) {
                vm.assertEq(uint256(j.escrow) + j.reserved, 0, "closed is empty");
            }
        }
        vm.assertEq(address(market).balance, held + handler.totalOwed(), "market balance");
        vm.assertEq(handler.deposited(), address(market).balance + handler.paidOut(), "in = held + out");
    }

    /// Reserved fees and open counts are those of the open claims; claims tile [0, nextSeq) of their job.
    function claimsAddUpPerJob() internal view {
        uint64 jobs = market.nextJobId();
        uint256[] memory reserved = new uint256[](jobs);
        uint256[] memory open = new uint256[](jobs);
        uint256[] memory next = new uint256[](jobs);
        for (uint64 id = 1; id < market.nextClaimId(); ++id) {
            IJobMarket.Claim memory c = market.claimInfo(id);
            vm.assertEq(c.first, next[c.jobId], "ranges tile");
            next[c.jobId] += c.count;
            if (isOpen(c)) {
                reserved[c.jobId] += c.fee;
                open[c.jobId] += 1;
            }
        }
        for (uint64 id = 1; id < jobs; ++id) {
            IJobMarket.Job memory j = market.job(id);
            vm.assertEq(j.reserved, reserved[id], "reserved");
            vm.assertEq(j.openClaims, open[id], "open claims");
            vm.assertEq(j.nextSeq, next[id], "next segment");
        }
    }

    /// An operator's lock is the sum over its open claims and the start locks of its unreleased jobs.
    function locksAddUpPerOperator() internal view {
        address[] memory who = handler.operators();
        uint256 stake = handler.bounties();
        uint256 active = 0;
        for (uint256 i = 0; i < who.length; ++i) {
            uint256 locked = 0;
            for (uint64 id = 1; id < market.nextClaimId(); ++id) {
                IJobMarket.Claim memory c = market.claimInfo(id);
                if (c.operator == who[i] && isOpen(c)) locked += c.lock;
            }
            for (uint64 id = 1; id < market.nextJobId(); ++id) {
                IJobMarket.Job memory j = market.job(id);
                bool running = j.state == IJobMarket.JobState.Active || j.state == IJobMarket.JobState.Draining;
                if (j.operator == who[i] && running && !j.released) locked += startLock;
            }
            IStakeRegistry.Operator memory o = registry.operatorInfo(who[i]);
            vm.assertEq(o.locked, locked, "locked");
            stake += uint256(o.bonded) + o.thawing;
            if (o.active) active += 1;
        }
        vm.assertEq(token.balanceOf(address(registry)), stake, "registry tokens");
        vm.assertEq(registry.activeSet().members().length, active, "active set");
    }

    function isOpen(IJobMarket.Claim memory c) internal pure returns (bool) {
        return c.state == IJobMarket.ClaimState.Submitted || c.state == IJobMarket.ClaimState.Sealed
            || c.state == IJobMarket.ClaimState.Answered;
    }

    /// The walk is not vacuous: over a long fixed walk each kind of step succeeds, and not just now and then.
    function test_walk_everyStepSucceeds() public {
        for (uint256 i = 0; i < 2000; ++i) {
            handler.step(uint256(keccak256(abi.encode("walk", i))));
            if (i % 250 != 0) continue;
            invariant_everyRuleHolds();
        }
        for (uint256 i = 0; i <= uint256(type(Handler.Step).max); ++i) {
            string memory which = vm.toString(i);
            vm.assertGe(handler.successes(i), 10, which);
            vm.assertGe(handler.successes(i) * 5, handler.calls(i), which);
        }
        vm.assertGe(handler.paidOut(), 1, "somebody was paid");
    }
}
