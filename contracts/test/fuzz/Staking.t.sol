// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

contract StakingFuzzTest is StakeFixture {
    function setUp() public override {
        super.setUp();
        bond(op(0), 2 * MIN_SELF);
    }

    /// No free round trip: in, rewards aside, and out again never gains.
    function testFuzz_delegationRoundTrip_gainsNothing(uint256 other, uint256 loss, uint256 amount) public {
        delegate(BOB, op(0), uint128(bound(other, 1e18, 1e24)));
        slash(op(0), bound(loss, 0, 5000e18));
        if (info(op(0)).bonded < MIN_SELF) bond(op(0), MIN_SELF);
        uint256 before = token.balanceOf(ALICE);
        delegate(ALICE, op(0), uint128(bound(amount, 1e18, 1e24)));
        undelegateAll(ALICE, op(0));
        pass(UNBOND);
        withdrawDelegation(ALICE, op(0));
        vm.assertLe(token.balanceOf(ALICE), before, "gained");
        vm.assertGe(token.balanceOf(ALICE) + 4, before, "lost more than rounding");
    }

    /// Stake that began to thaw before a slash loses at the same rate as stake that stayed.
    function testFuzz_thawingIsSlashedLikeActive(uint256 staying, uint256 leaving, uint256 amount) public {
        uint128 a = uint128(bound(staying, 1e18, 1e24));
        uint128 b = uint128(bound(leaving, 1e18, 1e24));
        delegate(ALICE, op(0), a);
        delegate(BOB, op(0), b);
        undelegateAll(BOB, op(0));
        uint256 taken = slash(op(0), 2 * MIN_SELF + bound(amount, 0, 1e24)) - 2 * MIN_SELF;
        uint256 lostA = a - worthOf(ALICE, op(0));
        uint256 lostB = b - registry.delegationThaws(op(0), BOB)[0].amount;
        vm.assertLe(taken, (uint256(a) + b) / 10, "a tenth at most");
        // Each loses its part of what was taken, and two wei of rounding at most.
        vm.assertGe(lostA + 2, taken * a / (uint256(a) + b), "who stayed");
        vm.assertLe(lostA, taken * a / (uint256(a) + b) + 2, "who stayed");
        vm.assertGe(lostB + 2, taken * b / (uint256(a) + b), "who left");
        vm.assertLe(lostB, taken * b / (uint256(a) + b) + 2, "who left");
    }

    /// A slash takes min(x, slashable), burns what is not credited, and never reverts.
    function testFuzz_slash_takesTheLesserAndBurnsTheRest(uint256 thawing, uint256 delegated, uint256 x, uint16 share)
        public
    {
        unbond(op(0), uint128(bound(thawing, 1, 2 * MIN_SELF)));
        delegate(ALICE, op(0), uint128(bound(delegated, 1e18, 1e24)));
        uint256 most = slashable(op(0));
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(FINDER, uint16(bound(share, 0, 5000)));
        uint256 supply = token.totalSupply();
        x = bound(x, 0, 1e24);
        uint256 taken = registry.slash(op(0), uint128(x), 0, cuts, IStakeRegistry.Jail.No);
        vm.assertEq(taken, x < most ? x : most, "min(x, slashable)");
        registry.burnSlashed();
        vm.assertEq(supply - token.totalSupply(), taken - registry.bounty(FINDER), "burned");
        vm.assertLe(registry.bounty(FINDER), taken / 2, "half at most");
        IStakeRegistry.Operator memory o = info(op(0));
        uint256 held = uint256(o.bonded) + o.thawing + o.delegated + o.delegatedThawing + registry.bounty(FINDER);
        vm.assertEq(token.balanceOf(address(registry)), held, "the registry holds what it says");
    }

    /// UNBOND >= every slasher's reach + two days, for whatever governance asks.
    function testFuzz_unbondingOutlastsEveryReach(uint32 unbond_, uint32 reach, uint128 minSelf, uint32 next) public {
        // Around what is allowed, on both sides.
        unbond_ = uint32(bound(unbond_, 6 days, 61 days));
        reach = uint32(bound(reach, 0, 60 days));
        minSelf = uint128(bound(minSelf, 99e18, 1e24 + 1));
        next = uint32(bound(next, 6 days, 61 days));
        asks(minSelf, unbond_, REACH);
        uint256 longest = REACH;
        bool fits = reach <= registry.params().unbond - 2 days;
        try registry.announceSlasher(address(0x51A5), reach) {
            vm.assertTrue(fits, "a slasher that can outlast a thaw");
            if (reach > longest) longest = reach;
        } catch {
            vm.assertTrue(!fits, "refused a slasher that fits");
        }
        asks(MIN_SELF, next, longest);
        vm.assertGe(registry.params().unbond, longest + 2 days, "a slasher can outlast a thaw");
        vm.assertGe(registry.params().minSelf, 100e18, "least");
    }

    /// @dev What is within the bounds holds, and nothing else changes anything.
    function asks(uint128 minSelf, uint32 unbond_, uint256 longest) internal {
        IStakeRegistry.Params memory before = registry.params();
        bool fits = minSelf >= 100e18 && minSelf <= 1e24 && unbond_ >= longest + 2 days && unbond_ <= 60 days;
        try registry.setParams(IStakeRegistry.Params(minSelf, unbond_)) {
            vm.assertTrue(fits, "a parameter left its bounds");
            vm.assertTrue(registry.params().unbond == unbond_ && registry.params().minSelf == minSelf, "set");
        } catch {
            vm.assertTrue(!fits, "refused within the bounds");
            vm.assertTrue(keccak256(abi.encode(registry.params())) == keccak256(abi.encode(before)), "changed");
        }
    }

    /// What vests in pieces is what was notified, whoever pokes in between.
    function testFuzz_vesting_paysEverythingOnce(uint256 amount, uint256 seed) public {
        delegate(ALICE, op(0), 1000e18);
        uint128 reward = uint128(bound(amount, 1e18, 1e23));
        registry.notify(op(0), reward);
        for (uint256 i = 0; i < 6; ++i) {
            pass(uint256(keccak256(abi.encode(seed, i))) % 6 hours);
            registry.poke(op(0));
        }
        pass(1 days);
        registry.poke(op(0));
        IStakeRegistry.Operator memory o = info(op(0));
        vm.assertEq(o.rewardsVesting, 0);
        vm.assertEq(uint256(o.bonded) + o.delegated, 3000e18 + uint256(reward));
    }
}
