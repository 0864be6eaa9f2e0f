// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {FeeRouter} from "../../src/staking/FeeRouter.sol";
import {ThawQueue} from "../../src/staking/ThawQueue.sol";

contract DelegationTest is StakeFixture {
    function setUp() public override {
        super.setUp();
        bond(op(0), MIN_SELF);
    }

    function test_delegate_buysSharesAtParAndCountsUpToFourTimesTheSelfBond() public {
        vm.assertEq(delegate(ALICE, op(0), 500e18), 500e18 * PAR);
        vm.assertEq(worthOf(ALICE, op(0)), 500e18);
        vm.assertEq(info(op(0)).delegated, 500e18);
        vm.assertEq(weightOf(op(0)), 1500e18);
        delegate(BOB, op(0), 9000e18);
        vm.assertEq(weightOf(op(0)), 4000e18, "capped");
        vm.assertEq(info(op(0)).delegatedShares, 9500e18 * PAR);
    }

    function test_delegate_revertsWhenTooSmallOrNobodyIsThere() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.DelegationTooSmall.selector, COIN - 1, COIN));
        delegate(ALICE, op(0), COIN - 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotAccepting.selector, op(1), IStakeRegistry.State.None));
        delegate(ALICE, op(1), COIN);
    }

    function test_undelegate_thawsThenPays() public {
        delegate(ALICE, op(0), 500e18);
        uint128 shares = sharesOf(ALICE, op(0));
        undelegate(ALICE, op(0), shares / 5);
        vm.assertEq(info(op(0)).delegated, 400e18);
        vm.assertEq(info(op(0)).delegatedThawing, 100e18);
        vm.assertEq(weightOf(op(0)), 1400e18);
        vm.assertEq(registry.delegationThaws(op(0), ALICE)[0].amount, 100e18);
        vm.assertEq(registry.delegationThaws(op(0), ALICE)[0].readyAt, block.timestamp + UNBOND);
        pass(UNBOND - 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NothingToWithdraw.selector, ALICE));
        withdrawDelegation(ALICE, op(0));
        pass(1);
        uint256 before = token.balanceOf(ALICE);
        withdrawDelegation(ALICE, op(0));
        vm.assertEq(token.balanceOf(ALICE) - before, 100e18);
        vm.assertEq(info(op(0)).delegatedThawing, 0);
    }

    function test_undelegate_revertsBeyondTheSharesAndForCrumbs() public {
        delegate(ALICE, op(0), 5e18);
        uint128 shares = sharesOf(ALICE, op(0));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.InsufficientShares.selector, shares, shares + 1));
        undelegate(ALICE, op(0), shares + 1);
        vm.expectRevert(IStakeRegistry.ZeroAmount.selector);
        undelegate(ALICE, op(0), 0);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.DelegationTooSmall.selector, COIN - 1, COIN));
        undelegate(ALICE, op(0), shares - uint128(PAR) * COIN + 1);
        undelegate(ALICE, op(0), shares - uint128(PAR) * COIN);
        undelegate(ALICE, op(0), uint128(PAR) * COIN);
        vm.assertEq(sharesOf(ALICE, op(0)), 0);
    }

    function test_undelegate_allOfAPositionThatASlashMadeSmall() public {
        delegate(ALICE, op(0), COIN);
        slash(op(0), MIN_SELF + COIN); // takes all of the operator, a tenth of Alice
        vm.assertEq(worthOf(ALICE, op(0)), COIN * 9 / 10);
        undelegateAll(ALICE, op(0));
        pass(UNBOND);
        uint256 before = token.balanceOf(ALICE);
        withdrawDelegation(ALICE, op(0));
        vm.assertEq(token.balanceOf(ALICE) - before, COIN * 9 / 10);
    }

    function test_undelegate_isBoundedInOpenRequests() public {
        delegate(ALICE, op(0), 100e18);
        uint128 one = uint128(PAR) * COIN;
        for (uint256 i = 0; i < 32; ++i) {
            undelegate(ALICE, op(0), one);
        }
        vm.expectRevert(abi.encodeWithSelector(ThawQueue.QueueFull.selector, 32));
        undelegate(ALICE, op(0), one);
        pass(UNBOND);
        withdrawDelegation(ALICE, op(0));
        undelegate(ALICE, op(0), one);
        vm.assertEq(registry.delegationThaws(op(0), ALICE).length, 1);
    }

    function test_dust_ofTheLastHolderGoesToTheOperator() public {
        delegate(ALICE, op(0), 3e18);
        registry.notify(op(0), 7e18 + 13);
        pass(1 days);
        registry.poke(op(0));
        undelegateAll(ALICE, op(0));
        vm.assertEq(info(op(0)).delegated, 0);
        uint256 self = info(op(0)).bonded;
        uint256 paid = info(op(0)).delegatedThawing;
        vm.assertEq(self + paid, uint256(MIN_SELF) + 3e18 + 7e18 + 13, "nothing is left between them");
        pass(UNBOND);
        withdrawDelegation(ALICE, op(0));
        vm.assertEq(info(op(0)).delegatedThawing, 0);
        vm.assertEq(token.balanceOf(address(registry)), info(op(0)).bonded);
    }

    // ---- rewards ----

    function test_notify_vestsOverADayByStakeLessTheCut() public {
        delegate(ALICE, op(0), 1000e18);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.DelegationTooSmall.selector, 1, COIN));
        registry.notify(op(0), 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotAccepting.selector, op(1), IStakeRegistry.State.None));
        registry.notify(op(1), COIN);
        registry.notify(op(0), 100e18);
        vm.assertEq(info(op(0)).rewardsVesting, 100e18);
        vm.assertEq(worthOf(ALICE, op(0)), 1000e18);
        pass(12 hours);
        registry.poke(op(0));
        (uint256 weight, bool eligible) = registry.standing(op(0));
        vm.assertEq(weight, 2050e18);
        vm.assertTrue(eligible);
        vm.assertEq(info(op(0)).bonded, 1025e18);
        vm.assertEq(info(op(0)).delegated, 1025e18);
        pass(12 hours);
        registry.poke(op(0));
        vm.assertEq(info(op(0)).delegated, 1050e18);
        vm.assertEq(info(op(0)).rewardsVesting, 0);
        registry.poke(op(0));
        vm.assertEq(info(op(0)).delegated, 1050e18);
    }

    /// Without a poke in between: every change of the pool settles what has vested before it.
    function test_notify_whoComesGetsNothingOfBeforeAndWhoLeavesAllOfIt() public {
        delegate(ALICE, op(0), 1000e18);
        registry.notify(op(0), 100e18);
        pass(12 hours);
        delegate(BOB, op(0), 1025e18);
        about(worthOf(ALICE, op(0)), 1025e18);
        vm.assertLe(worthOf(BOB, op(0)), 1025e18, "bought at the price of now");
        pass(6 hours);
        undelegateAll(ALICE, op(0)); // a third of 25
        about(registry.delegationThaws(op(0), ALICE)[0].amount, 1025e18 + 25e18 / uint256(3));
        pass(6 hours);
        registry.poke(op(0));
        vm.assertGe(worthOf(BOB, op(0)), 1025e18 + 8e18 + 12e18, "and half of the rest");
    }

    function test_fees_whoComesGetsNothingOfBefore() public {
        delegate(ALICE, op(0), 1000e18);
        router.route{value: 1 ether}(op(0));
        pass(1 days);
        delegate(BOB, op(0), 100_000e18);
        vm.assertEq(registry.feesOf(op(0), BOB, 0), 0);
        near(registry.feesOf(op(0), ALICE, 0), 0.495 ether);
    }

    function test_notify_aSecondOneEndsAtTheWeightedMean() public {
        registry.notify(op(0), 100e18);
        pass(12 hours); // 50 left, 12 hours to go
        registry.notify(op(0), 50e18); // (50 * 12 + 50 * 24) / 100 = 18 hours
        pass(9 hours);
        registry.poke(op(0));
        vm.assertEq(info(op(0)).rewardsVesting, 50e18);
        pass(9 hours);
        registry.poke(op(0));
        vm.assertEq(info(op(0)).bonded, MIN_SELF + 150e18);
    }

    function test_notify_waitsWhileNobodyHasStake() public {
        registry.notify(op(0), 100e18);
        pass(6 hours);
        slash(op(0), type(uint128).max); // with the 25 that had vested
        vm.assertEq(info(op(0)).bonded, 0);
        pass(5 days);
        registry.poke(op(0));
        vm.assertEq(info(op(0)).rewardsVesting, 75e18);
        bond(op(0), MIN_SELF);
        vm.assertEq(info(op(0)).bonded, MIN_SELF, "the newcomer gets nothing for the time before");
        pass(18 hours);
        registry.poke(op(0));
        vm.assertEq(info(op(0)).bonded, MIN_SELF + 75e18);
    }

    function test_cuts_holdAfterTheUnbondingTime() public {
        delegate(ALICE, op(0), 1000e18);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotOwner.selector, op(0), address(this)));
        registry.announceCuts(op(0), 1, 1);
        vm.startPrank(op(0));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.CutTooLarge.selector, 10_001, 10_000));
        registry.announceCuts(op(0), 10_001, 0);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.CutTooLarge.selector, 10_001, 10_000));
        registry.announceCuts(op(0), 0, 10_001);
        registry.announceCuts(op(0), 2000, 10_000);
        vm.stopPrank();
        pass(UNBOND - 1);
        vm.assertEq(info(op(0)).rewardCut, 0);
        pass(1);
        vm.assertEq(info(op(0)).rewardCut, 2000);
        vm.assertEq(info(op(0)).feeCut, 10_000);
        vm.prank(op(0));
        registry.announceCuts(op(0), 5000, 0); // the present ones stay until then
        vm.assertEq(info(op(0)).rewardCut, 2000);
        registry.notify(op(0), 100e18);
        pass(1 days);
        registry.poke(op(0));
        vm.assertEq(info(op(0)).delegated, 1040e18, "50 by stake, a fifth of them to the operator");
        pass(UNBOND - 1 days);
        vm.assertEq(info(op(0)).rewardCut, 5000);
    }

    // ---- fees ----

    function test_fees_areSplitBetweenTreasuryOwnerAndDelegators() public {
        delegate(ALICE, op(0), 3000e18);
        router.route{value: 1 ether}(op(0));
        vm.assertEq(router.owed(TREASURY), 0.01 ether);
        vm.assertEq(router.owed(op(0)), 0.2475 ether, "a quarter of the stake is its own");
        vm.assertEq(registry.feesOf(op(0), ALICE, 0), 0);
        pass(12 hours);
        registry.poke(op(0));
        near(registry.feesOf(op(0), ALICE, 0), 0.37125 ether);
        delegate(BOB, op(0), 3000e18); // half of what is still to come
        pass(12 hours);
        uint256 paid = ALICE.balance;
        vm.prank(ALICE);
        router.claim(op(0), 0);
        near(ALICE.balance - paid, 0.37125 ether + 0.185625 ether);
        near(registry.feesOf(op(0), BOB, 0), 0.185625 ether);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(FeeRouter.NothingOwed.selector, ALICE));
        router.claim(op(0), 0);
        paid = op(0).balance;
        vm.prank(op(0));
        router.withdraw();
        vm.assertEq(op(0).balance - paid, 0.2475 ether);
        vm.prank(BOB);
        router.claim(op(0), 0);
        vm.prank(TREASURY);
        router.withdraw();
        vm.assertLe(address(router).balance, 1e6, "only what rounding kept");
    }

    function test_fees_goToTheOwnerWhenTheDelegatorsLeft() public {
        delegate(ALICE, op(0), 1000e18);
        router.route{value: 1 ether}(op(0));
        pass(12 hours);
        undelegateAll(ALICE, op(0));
        pass(12 hours);
        near(registry.feesOf(op(0), ALICE, 0), 0.2475 ether);
        uint256 before = op(0).balance;
        vm.prank(op(0));
        router.claim(op(0), 0);
        near(op(0).balance - before, 0.2475 ether);
    }

    /// Claiming leaves the stream as it is: it knows what has vested without writing it down.
    function test_fees_canBeClaimedAsTheyVestWithoutAPoke() public {
        delegate(ALICE, op(0), 1000e18);
        delegate(BOB, op(0), 3000e18);
        router.route{value: 1 ether}(op(0)); // 0.198 for Alice, 0.594 for Bob
        pass(6 hours);
        near(claim(ALICE), 0.0495 ether);
        vm.assertEq(registry.feesOf(op(0), ALICE, 0), 0);
        near(registry.feesOf(op(0), BOB, 0), 0.1485 ether);
        pass(6 hours);
        undelegateAll(BOB, op(0));
        near(registry.feesOf(op(0), BOB, 0), 0.297 ether);
        pass(6 hours);
        near(claim(ALICE), 0.0495 ether + 0.198 ether);
        near(claim(BOB), 0.297 ether);
        pass(6 hours);
        near(claim(ALICE), 0.198 ether);
        vm.assertEq(registry.feesOf(op(0), BOB, 0), 0);
        vm.assertLe(address(router).balance - router.owed(TREASURY) - router.owed(op(0)), 1e6, "all is paid");
    }

    /// @return paid What feesOf said.
    function claim(address who) internal returns (uint256 paid) {
        uint256 told = registry.feesOf(op(0), who, 0);
        paid = who.balance;
        vm.prank(who);
        router.claim(op(0), 0);
        paid = who.balance - paid;
        vm.assertEq(paid, told);
    }

    function test_fees_onlyTheRouterMayTouchThem() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotRouter.selector, address(this)));
        registry.creditFees(op(0), 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotRouter.selector, address(this)));
        registry.takeFees(op(0), ALICE, 0);
    }

    function near(uint256 a, uint256 b) internal pure {
        vm.assertTrue(a <= b && b - a <= 1e6, "within a million wei below");
    }

    function about(uint256 a, uint256 b) internal pure {
        vm.assertLe(a, b + 1e6, "above");
        vm.assertGe(a + 1e6, b, "below");
    }

    receive() external payable {}
}
