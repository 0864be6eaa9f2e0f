// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Walk} from "./Walk.sol";
import {OpenRegistry, StakeHandler} from "./StakeHandler.sol";
import {IActiveSet} from "../../src/interfaces/IActiveSet.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {FeeRouter} from "../../src/staking/FeeRouter.sol";
import {Token} from "../../src/token/Token.sol";

contract StakeInvariants is Walk {
    address internal constant FINDER = address(0xF1);
    StakeHandler internal handler;
    OpenRegistry internal registry;
    IActiveSet internal set;
    Token internal token;
    FeeRouter internal router;

    function setUp() public {
        handler = new StakeHandler();
        (registry, set, token, router) = handler.parts();
    }

    function walker() internal view override returns (address, bytes4) {
        return (address(handler), StakeHandler.step.selector);
    }

    function name() internal pure override returns (string memory) {
        return "StakeHandler";
    }

    function kinds() internal pure override returns (uint256, uint256) {
        return (uint256(type(StakeHandler.Step).max) + 1, NO_KIND);
    }

    /// All rules after every step: one invariant, so that one walk serves them all, and each operator is read once.
    function invariant_everyRuleHolds() public {
        address[] memory who = handler.operators();
        for (uint256 i = 0; i < who.length; ++i) {
            registry.poke(who[i]); // weights follow rewards that vest, and a higher minimum, only when asked to
        }
        vm.assertEq(handler.broken(), "");
        IStakeRegistry.Operator[] memory infos = new IStakeRegistry.Operator[](who.length);
        for (uint256 i = 0; i < who.length; ++i) {
            infos[i] = registry.operatorInfo(who[i]);
        }
        tokensAddUp(infos);
        sharesAddUp(who, infos);
        locksAddUp(who, infos);
        weightsAddUp(who, infos);
        feesAreCovered(who, infos);
    }

    /// 1. Tokens held are those of all stakes, rewards and bounties, and what slashes left to be burned; the supply fell by
    /// what was burned.
    function tokensAddUp(IStakeRegistry.Operator[] memory infos) internal view {
        uint256 held = registry.bounty(FINDER) + handler.unburned();
        for (uint256 i = 0; i < infos.length; ++i) {
            IStakeRegistry.Operator memory o = infos[i];
            held += uint256(o.bonded) + o.thawing + o.delegated + o.delegatedThawing + o.rewardsVesting;
        }
        vm.assertEq(token.balanceOf(address(registry)), held, "registry tokens");
        vm.assertEq(token.totalSupply() + handler.burned(), 1e9 * 1e18, "supply");
    }

    /// 2. Shares of all holders are those of the pool, for both pools; 3. they are never worth more than it holds.
    function sharesAddUp(address[] memory who, IStakeRegistry.Operator[] memory infos) internal view {
        address[] memory owners = handler.holders();
        for (uint256 i = 0; i < who.length; ++i) {
            IStakeRegistry.Operator memory o = infos[i];
            (uint256 shares, uint256 worth, uint256 thawing) = (0, 0, 0);
            for (uint256 j = 0; j < owners.length; ++j) {
                (uint256 held, uint256 amount) = registry.delegation(who[i], owners[j]);
                (shares, worth) = (shares + held, worth + amount);
                thawing += registry.requests(who[i], owners[j]);
            }
            vm.assertEq(shares, o.delegatedShares, "shares");
            vm.assertLe(worth, o.delegated, "worth");
            (uint256 own, uint256 delegated) = registry.thawPools(who[i]);
            vm.assertEq(thawing, delegated, "thawing shares");
            vm.assertEq(registry.ownRequests(who[i]), own, "own thawing shares");
            vm.assertTrue((own > 0 || o.thawing == 0) && (delegated > 0 || o.delegatedThawing == 0), "nobody's stake");
            vm.assertTrue(shares > 0 || o.delegated == 0, "nobody's stake");
        }
    }

    /// 4. Locked is the sum of locks that were not given up.
    function locksAddUp(address[] memory who, IStakeRegistry.Operator[] memory infos) internal view {
        uint256 slashers = handler.SLASHERS();
        for (uint256 i = 0; i < who.length; ++i) {
            uint256 sum = 0;
            for (uint256 j = 0; j < slashers; ++j) {
                address slasher = handler.slasher(j);
                uint256 locked = handler.lockedNow(who[i], slasher);
                vm.assertEq(registry.lockedBy(who[i], slasher), locked, "by slasher");
                sum += locked;
            }
            vm.assertEq(infos[i].locked, sum, "locked");
        }
    }

    /// 12. The next epoch's total is the sum over the slots; every slot has one holder; who may not work has no weight.
    function weightsAddUp(address[] memory who, IStakeRegistry.Operator[] memory infos) internal view {
        (uint256 sum, uint256 taken) = (0, 0);
        for (uint256 i = 0; i < who.length; ++i) {
            IStakeRegistry.Operator memory o = infos[i];
            weightsOfBothEpochs(who[i], o.slot);
            if (o.slot == 0) continue;
            vm.assertTrue(taken & (1 << o.slot) == 0, "two in one slot");
            vm.assertTrue(o.state != IStakeRegistry.State.Exiting && o.state != IStakeRegistry.State.Exited, "exiting");
            vm.assertTrue(o.state != IStakeRegistry.State.Jailed, "jailed");
            taken |= 1 << o.slot;
            (uint256 weight,) = registry.standing(who[i]);
            sum += weight / 4e18 * 4e18;
        }
        vm.assertEq(set.totalWeight(set.epoch() + 1), sum, "weights");
        membersAreTheActive(who);
    }

    /// In the running epoch and the last an operator weighs what its slot says, if that says its name.
    function weightsOfBothEpochs(address operator, uint256 slot) internal view {
        uint256 now_ = set.epoch();
        for (uint256 during = now_ - 1; during <= now_; ++during) {
            (address holder, uint256 weight) = (address(0), 0);
            if (slot != 0) (holder, weight) = set.slotIn(during, slot - 1);
            vm.assertEq(set.weightIn(during, operator), holder == operator ? weight : 0, "weight of an epoch");
        }
    }

    /// Each of them once, and never more than there are slots.
    function membersAreTheActive(address[] memory who) internal view {
        address[] memory members = set.members();
        uint256 active = 0;
        for (uint256 i = 0; i < who.length; ++i) {
            uint256 times = 0;
            for (uint256 j = 0; j < members.length; ++j) {
                if (members[j] == who[i]) times += 1;
            }
            vm.assertEq(times, registry.isActive(who[i]) ? 1 : 0, "members");
            active += times;
        }
        vm.assertEq(members.length, active, "members");
        vm.assertLe(active, 2, "slots");
    }

    /// 31. What delegators have taken and could take is within what was put there for them.
    function feesAreCovered(address[] memory who, IStakeRegistry.Operator[] memory infos) internal view {
        uint256 owed = router.owed(address(0x7EA5));
        for (uint256 i = 0; i < who.length; ++i) {
            owed += router.owed(who[i]);
        }
        vm.assertGe(address(router).balance, owed, "router");
        uint256 left = address(router).balance - owed;
        vm.assertEq(left, handler.routed() - handler.claimed(), "delegators' part");
        uint256 claimable = 0;
        address[] memory owners = handler.holders();
        for (uint256 i = 0; i < who.length; ++i) {
            claimable += claimableOf(who[i], infos[i].poolNonce, who[i]);
            for (uint256 j = 0; j < owners.length; ++j) {
                claimable += claimableOf(who[i], infos[i].poolNonce, owners[j]);
            }
        }
        vm.assertLe(claimable, left, "more than was put there");
    }

    /// @dev Over all pools that the operator ever had.
    function claimableOf(address operator, uint32 last, address account) internal view returns (uint256 sum) {
        uint256 settled = registry.feesOf(operator, account, type(uint32).max); // of no pool
        sum = settled;
        for (uint32 nonce = 0; nonce <= last; ++nonce) {
            sum += registry.feesOf(operator, account, nonce) - settled;
        }
    }

    /// The walk is not vacuous: over a long fixed walk each kind of step succeeds, and not just now and then. In the end
    /// everybody gets out.
    function test_walk_everyStepSucceedsAndTheLastWithdrawalToo() public {
        for (uint256 i = 0; i < 2500; ++i) {
            handler.step(uint256(keccak256(abi.encode("lots", i))));
            if (i % 100 == 0) invariant_everyRuleHolds();
        }
        invariant_everyRuleHolds();
        for (uint256 i = 0; i <= uint256(type(StakeHandler.Step).max); ++i) {
            string memory which = vm.toString(i);
            vm.assertGe(handler.successes(i), 10, which);
            vm.assertGe(handler.successes(i) * 5, handler.calls(i), which);
        }
        vm.assertGe(handler.claimed(), 1, "a delegator was paid");
        everybodyLeaves();
    }

    function everybodyLeaves() internal {
        address[] memory who = handler.operators();
        address[] memory owners = handler.holders();
        for (uint256 i = 0; i < who.length; ++i) {
            for (uint256 j = 0; j < handler.SLASHERS(); ++j) {
                address slasher = handler.slasher(j);
                uint256 locked = handler.lockedNow(who[i], slasher);
                vm.prank(slasher);
                registry.release(who[i], uint128(locked));
            }
            for (uint256 j = 0; j < owners.length; ++j) {
                (uint256 shares,) = registry.delegation(who[i], owners[j]);
                clear(who[i], owners[j]);
                if (shares == 0) continue;
                vm.prank(owners[j]);
                registry.undelegate(who[i], uint128(shares));
            }
        }
        vm.warp(block.timestamp + 61 days);
        for (uint256 i = 0; i < who.length; ++i) {
            for (uint256 j = 0; j < owners.length; ++j) {
                clear(who[i], owners[j]);
            }
            registry.poke(who[i]);
            IStakeRegistry.Operator memory o = registry.operatorInfo(who[i]);
            vm.assertEq(uint256(o.delegated) + o.delegatedThawing, 0, "delegators");
            vm.startPrank(who[i]);
            if (registry.selfThaws(who[i]).length > 0) registry.withdraw();
            uint128 bonded = registry.operatorInfo(who[i]).bonded;
            if (bonded > 0) {
                // or else slashes took all of it
                registry.unbond(bonded);
                vm.warp(block.timestamp + 61 days);
                registry.withdraw();
            }
            vm.stopPrank();
        }
        registry.burnSlashed();
        vm.assertLe(token.balanceOf(address(registry)), registry.bounty(FINDER), "what is left is owed");
    }

    function clear(address operator, address owner) internal {
        if (registry.delegationThaws(operator, owner).length == 0) return;
        vm.warp(block.timestamp + 61 days);
        vm.prank(owner);
        registry.withdrawDelegation(operator);
    }
}
