// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

/// @dev What auditors found in other staking protocols, each as a test that ours does not do it.
contract AuditsTest is StakeFixture {
    function setUp() public override {
        super.setUp();
        bond(op(0), 2 * MIN_SELF);
    }

    // ---- The Graph, Horizon ----

    /// H-2: the thaw requests of provider and delegators shared one list.
    function test_graphH2_ownAndDelegatedThawsAreApart() public {
        delegate(op(0), op(0), 50e18);
        undelegateAll(op(0), op(0));
        unbond(op(0), 70e18);
        vm.assertEq(registry.selfThaws(op(0)).length, 1);
        vm.assertEq(registry.delegationThaws(op(0), op(0)).length, 1);
        pass(UNBOND);
        uint256 before = token.balanceOf(op(0));
        withdraw(op(0));
        vm.assertEq(token.balanceOf(op(0)) - before, 70e18);
        withdrawDelegation(op(0), op(0));
        vm.assertEq(token.balanceOf(op(0)) - before, 120e18);
    }

    /// H-3: anyone could fill a victim's capped thaw list.
    function test_graphH3_nobodyFillsAnothersThawList() public {
        delegate(ALICE, op(0), 100e18);
        delegate(BOB, op(0), 100e18);
        for (uint256 i = 0; i < 32; ++i) {
            undelegate(BOB, op(0), uint128(COIN * PAR));
        }
        vm.assertEq(registry.delegationThaws(op(0), ALICE).length, 0);
        undelegateAll(ALICE, op(0));
    }

    /// H-4: rounding in a slash made the thawing sum larger than the stake, and the last withdrawal reverted.
    function test_graphH4_theLastWithdrawalNeverReverts() public {
        delegate(ALICE, op(0), 3e18 + 1);
        delegate(BOB, op(0), 7e18 + 3);
        undelegateAll(ALICE, op(0));
        for (uint256 i = 0; i < 9; ++i) {
            slash(op(0), 2 * MIN_SELF + 1 + i);
        }
        undelegateAll(BOB, op(0));
        slash(op(0), 5);
        pass(UNBOND);
        withdrawDelegation(BOB, op(0));
        withdrawDelegation(ALICE, op(0));
        IStakeRegistry.Operator memory o = info(op(0));
        vm.assertEq(uint256(o.delegated) + o.delegatedThawing, 0);
        registry.burnSlashed();
        vm.assertEq(token.balanceOf(address(registry)), o.bonded);
    }

    /// M-3: the first depositor donates and takes the next one's rounding.
    function test_graphM3_donatingAsTheFirstHolderGainsNothing() public {
        vm.prank(op(0));
        registry.unbond(2 * MIN_SELF - 1); // so that a reward goes to the pool
        delegate(BOB, op(0), COIN);
        undelegate(BOB, op(0), 0 + uint128(sharesOf(BOB, op(0))));
        delegate(BOB, op(0), COIN);
        token.transfer(address(registry), 1000e18); // a plain transfer counts for nobody
        vm.assertEq(worthOf(BOB, op(0)), COIN);
        vm.prank(BOB);
        registry.notify(op(0), 100_000e18);
        pass(1 days);
        registry.poke(op(0));
        delegate(ALICE, op(0), 10e18);
        vm.assertGe(worthOf(ALICE, op(0)) + 1e6, 10e18, "the victim loses next to nothing");
        vm.assertLe(worthOf(BOB, op(0)), 100_001e18, "and the attacker gains nothing");
    }

    /// M-9: thawing as long as the dispute left no time to slash.
    function test_graphM9_unbondingExceedsTheLongestReachByTwoDays() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IStakeRegistry.ParamOutOfBounds.selector, REACH + 2 days - 1, REACH + 2 days, 60 days
            )
        );
        registry.setParams(IStakeRegistry.Params(MIN_SELF, REACH + 2 days - 1));
    }

    /// OZ H-02: delegated stake could not be slashed once the provider's own was gone.
    function test_graphH02_delegationIsSlashableWithoutSelfStake() public {
        delegate(ALICE, op(0), 100e18);
        vm.assertEq(slash(op(0), 2 * MIN_SELF), 2 * MIN_SELF);
        vm.assertEq(slash(op(0), 5e18), 5e18);
        vm.assertEq(worthOf(ALICE, op(0)), 95e18);
    }

    /// M-01: an overflowing thaw time was an instant exit.
    function test_graphM01_noThawTimeOverflows() public {
        vm.expectRevert(
            abi.encodeWithSelector(IStakeRegistry.ParamOutOfBounds.selector, type(uint32).max, REACH + 2 days, 60 days)
        );
        registry.setParams(IStakeRegistry.Params(MIN_SELF, type(uint32).max));
    }

    /// M-02: a slash reverted after the cap of its reward had been moved.
    function test_graphM02_theCapOfCutsIsAConstant() public {
        vm.assertEq(registry.MAX_CUTS(), 5000);
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(FINDER, 5000);
        registry.retireSlasher(address(this));
        vm.assertEq(registry.slash(op(0), 10, 0, cuts, IStakeRegistry.Jail.No), 10);
    }

    /// L-03: a near-total slash let later shares grow until they overflowed.
    function test_graphL03_aNearlyWorthlessPoolIsWiped() public {
        delegate(ALICE, op(0), 1000e18);
        router.route{value: 1 ether}(op(0));
        pass(1 days);
        slash(op(0), type(uint128).max);
        uint256 rounds = 1;
        while (info(op(0)).poolNonce == 0) {
            vm.assertLe(info(op(0)).delegatedShares, uint256(info(op(0)).delegated) * 1e9, "price");
            slash(op(0), type(uint128).max);
            rounds += 1;
        }
        vm.assertTrue(rounds > 130 && rounds < 135);
        vm.assertEq(worthOf(ALICE, op(0)), 0);
        vm.assertEq(info(op(0)).delegatedShares, 0);
        bond(op(0), MIN_SELF);
        vm.assertEq(delegate(BOB, op(0), COIN), uint256(COIN) * PAR, "a new pool begins at par");
        uint256 before = ALICE.balance;
        vm.prank(ALICE);
        router.claim(op(0), 0);
        vm.assertGe(ALICE.balance, before + 0.32 ether, "fees of the old pool stay hers");
        vm.assertEq(registry.feesOf(op(0), BOB, 1), 0);
    }

    /// L-03, thawing: the requests of a wiped pool are void, and new ones are not.
    function test_graphL03_aWipedThawVoidsItsRequests() public {
        delegate(ALICE, op(0), 1000e18);
        undelegateAll(ALICE, op(0));
        for (uint256 i = 0; i < 140; ++i) {
            slash(op(0), type(uint128).max);
        }
        vm.assertEq(registry.delegationThaws(op(0), ALICE)[0].amount, 0);
        bond(op(0), MIN_SELF);
        delegate(ALICE, op(0), 10e18);
        undelegateAll(ALICE, op(0));
        withdrawDelegation(ALICE, op(0)); // clears the void one
        pass(UNBOND);
        uint256 before = token.balanceOf(ALICE);
        withdrawDelegation(ALICE, op(0));
        vm.assertEq(token.balanceOf(ALICE) - before, 10e18);
    }

    /// L-12: stepping in just before fees are collected and out after them.
    function test_graphL12_feesCannotBeSandwiched() public {
        delegate(ALICE, op(0), 1000e18);
        delegate(BOB, op(0), 1_000_000e18 - 1000e18);
        router.route{value: 1 ether}(op(0));
        undelegateAll(BOB, op(0));
        vm.assertEq(registry.feesOf(op(0), BOB, 0), 0);
        pass(1 days);
        registry.poke(op(0));
        vm.assertGe(registry.feesOf(op(0), ALICE, 0), 0.98 ether, "who stays has the fees");
    }

    /// L-18: verifier and provider collude to leave by slashing.
    function test_graphL18_slashingOneselfIsNoWayOut() public {
        uint256 supply = token.totalSupply();
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](2);
        (cuts[0], cuts[1]) = (IStakeRegistry.Cut(op(0), 5000), IStakeRegistry.Cut(op(0), 1));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.CutsTooLarge.selector, 5001, 5000));
        registry.slash(op(0), 2 * MIN_SELF, 0, cuts, IStakeRegistry.Jail.No);
        cuts[1].share = 0;
        registry.slash(op(0), 2 * MIN_SELF, 0, cuts, IStakeRegistry.Jail.No);
        registry.burnSlashed();
        vm.assertEq(supply - token.totalSupply(), MIN_SELF, "half is burned");
    }

    /// M-02 and OZ H-02 in another guise: nothing that others do may keep a slash from going through.
    function test_graph_noAmountOfFeesBlocksASlash() public {
        unbond(op(0), 2 * MIN_SELF - 1);
        delegate(BOB, op(0), COIN);
        vm.prank(BOB);
        registry.notify(op(0), 100_000e18);
        pass(1 days);
        registry.poke(op(0));
        undelegate(BOB, op(0), sharesOf(BOB, op(0)) - uint128(2e16)); // few shares, each worth much
        for (uint256 i = 0; i < 2; ++i) {
            vm.deal(address(this), 2 ** 127);
            router.route{value: 2 ** 127}(op(0));
            pass(1 days);
        }
        vm.assertEq(slash(op(0), 1), 1);
        undelegateAll(BOB, op(0));
    }

    /// Shares so few that one fee takes their index to its end, where it stays.
    function test_graph_noFeesOfAFewSharesBlockASlash() public {
        unbond(op(0), 2 * MIN_SELF - 1);
        delegate(BOB, op(0), COIN);
        for (uint256 i = 0; i < 2; ++i) {
            token.transfer(BOB, 1e26);
            vm.prank(BOB);
            registry.notify(op(0), 1e26);
            pass(1 days);
            registry.poke(op(0));
            (uint256 held, uint256 worth) = registry.delegation(op(0), BOB);
            undelegate(BOB, op(0), uint128(held - held * 2e18 / worth));
        }
        vm.deal(address(this), 2 ** 127);
        router.route{value: 2 ** 127}(op(0));
        pass(1 days);
        vm.assertEq(slash(op(0), 1), 1);
        vm.assertEq(registry.feesOf(op(0), BOB, 0), uint256(sharesOf(BOB, op(0))) * type(uint128).max >> 64);
        undelegateAll(BOB, op(0));
    }

    // ---- EigenLayer, slashing ----

    /// Slashes rounded down let dust escape; Cantina H-2: a rounded product left a small slash without effect.
    function test_eigenlayer_noSlashIsTooSmallToTake() public {
        unbond(op(0), 1);
        vm.assertEq(slash(op(0), 1), 1);
        vm.assertEq(info(op(0)).bonded + info(op(0)).thawing, 2 * MIN_SELF - 1);
        delegate(ALICE, op(0), COIN);
        slash(op(0), 2 * MIN_SELF);
        vm.assertEq(slash(op(0), 1), 1);
        vm.assertEq(info(op(0)).delegated, COIN - 2);
    }

    /// Queued withdrawals were left out of what can be slashed; livepeer #162: an unbonded operator could not be.
    function test_eigenlayer_thawingAndExitingStakeIsSlashable() public {
        vm.prank(op(0));
        registry.exit(op(0));
        unbond(op(0), 2 * MIN_SELF);
        pass(UNBOND); // ready, not withdrawn
        vm.assertEq(slashable(op(0)), 2 * MIN_SELF);
        vm.assertEq(slash(op(0), MIN_SELF), MIN_SELF);
        uint256 before = token.balanceOf(op(0));
        withdraw(op(0));
        vm.assertEq(token.balanceOf(op(0)) - before, MIN_SELF);
    }

    /// A full slash made the next deposit divide by zero.
    function test_eigenlayer_depositsWorkAfterAFullSlash() public {
        unbond(op(0), MIN_SELF);
        slash(op(0), type(uint128).max);
        bond(op(0), MIN_SELF);
        unbond(op(0), MIN_SELF);
        pass(UNBOND);
        uint256 before = token.balanceOf(op(0));
        withdraw(op(0));
        vm.assertEq(token.balanceOf(op(0)) - before, MIN_SELF);
    }

    /// Signed casts let amounts go negative: the largest amounts are refused or capped, not wrapped.
    function test_eigenlayer_theLargestAmountsAreNotWrapped() public {
        vm.assertEq(slash(op(0), type(uint128).max), 2 * MIN_SELF);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.InsufficientFree.selector, op(0), 0, type(uint128).max));
        registry.lock(op(0), type(uint128).max);
    }

    /// A slasher that may act at once: stake could not leave before it. Also when unbonding is shortened meanwhile.
    function test_eigenlayer_everybodyCanLeaveBeforeANewSlasherActs() public {
        registry.setParams(IStakeRegistry.Params(MIN_SELF, 40 days));
        registry.announceSlasher(FINDER, 1 days);
        pass(2 days);
        unbond(op(0), 2 * MIN_SELF); // 40 days from here
        registry.setParams(IStakeRegistry.Params(MIN_SELF, 11 days));
        pass(40 days - 1);
        vm.expectPartialRevert(IStakeRegistry.SlasherTooEarly.selector);
        registry.activateSlasher(FINDER);
        pass(1);
        withdraw(op(0));
        registry.activateSlasher(FINDER);
    }

    // ---- Livepeer ----

    /// 2024-03: bonding one wei for somebody put off their rewards; 2022: a third party changed whom one delegates to.
    function test_livepeer_aThirdPartyCannotTouchAPosition() public {
        delegate(ALICE, op(0), 10e18);
        undelegate(ALICE, op(0), uint128(5e18 * PAR));
        IStakeRegistry.Thaw memory before = registry.delegationThaws(op(0), ALICE)[0];
        pass(1 hours);
        delegate(BOB, op(0), 10e18);
        undelegateAll(BOB, op(0));
        registry.notify(op(0), COIN);
        registry.poke(op(0));
        vm.assertEq(sharesOf(ALICE, op(0)), 5e18 * PAR);
        IStakeRegistry.Thaw[] memory thaws = registry.delegationThaws(op(0), ALICE);
        vm.assertTrue(thaws.length == 1 && thaws[0].readyAt == before.readyAt && thaws[0].amount == before.amount);
    }

    /// 2021-01: cumulative factors of rounds that had never set them were read as 0, and took stake and fees. Here nothing has
    /// to be set: an operator that nobody ever paid, a pool that begins anew and a year without a call change no position.
    function test_livepeer2021_whatWasNeverSetCostsNobodyAnything() public {
        for (uint256 i = 0; i < 2; ++i) {
            delegate(ALICE, op(0), 1000e18);
            pass(400 days);
            registry.poke(op(0));
            vm.assertEq(worthOf(ALICE, op(0)), 1000e18, "never rewarded");
            vm.assertEq(registry.feesOf(op(0), ALICE, 0), 0, "never paid");
            if (i == 1) break;
            undelegateAll(ALICE, op(0)); // the pool is empty, and begins anew
            pass(UNBOND);
            uint256 before = token.balanceOf(ALICE);
            withdrawDelegation(ALICE, op(0));
            vm.assertEq(token.balanceOf(ALICE) - before, 1000e18);
        }
        registry.notify(op(0), 300e18);
        router.route{value: 3 ether}(op(0));
        pass(1 days);
        registry.poke(op(0));
        vm.assertGe(worthOf(ALICE, op(0)) + 2, 1100e18, "a third of the reward");
        vm.assertLe(worthOf(ALICE, op(0)), 1100e18, "and no more");
        // The index counts in 2^-64 of a wei for each of her 1e24 shares.
        vm.assertGe(registry.feesOf(op(0), ALICE, 0) + 1e5, 0.99 ether, "a third of the fee less the treasury's");
        vm.assertLe(registry.feesOf(op(0), ALICE, 0), 0.99 ether, "and no more");
        delegate(BOB, op(0), 1000e18);
        vm.assertEq(registry.feesOf(op(0), BOB, 0), 0, "nothing of before");
    }

    /// PR 657: a deposit of one wei delayed or burned what was due. Crumbs do not put off a vesting reward.
    function test_livepeer_crumbsDoNotDelayRewards() public {
        registry.notify(op(0), 100_000e18);
        for (uint256 i = 0; i < 48; ++i) {
            pass(30 minutes);
            registry.notify(op(0), COIN);
        }
        registry.poke(op(0));
        vm.assertGe(info(op(0)).bonded, 2 * MIN_SELF + 99_900e18, "a thousandth late at most");
    }

    /// Fees went to the pool of the round in which a job began; those who had claimed that round missed them.
    function test_livepeer_feesGoToWhoHoldsSharesWhileTheyVest() public {
        delegate(ALICE, op(0), 2000e18);
        pass(30 days);
        router.route{value: 1 ether}(op(0));
        undelegateAll(ALICE, op(0));
        delegate(BOB, op(0), 2000e18);
        pass(1 days);
        registry.poke(op(0));
        vm.assertEq(registry.feesOf(op(0), ALICE, 0), 0);
        vm.assertGe(registry.feesOf(op(0), BOB, 0), 0.49 ether, "all of the delegators' part");
    }

    /// `transferBond` to the null delegate: stake that belongs to nobody, or to nobody's operator.
    function test_livepeer_noStakeMovesToNobody() public {
        address[3] memory nobody = [address(0), ALICE, op(6)];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 before = token.balanceOf(BOB);
            vm.expectRevert(
                abi.encodeWithSelector(IStakeRegistry.NotAccepting.selector, nobody[i], IStakeRegistry.State.None)
            );
            delegate(BOB, nobody[i], COIN);
            vm.assertEq(token.balanceOf(BOB), before);
        }
        delegate(BOB, op(0), 10 * COIN);
        vm.assertEq(sharesOf(address(0), op(0)), 0);
        // Delegations have no owner but who made them: there is no call that moves one, and undelegating needs shares.
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.InsufficientShares.selector, 0, PAR));
        undelegate(address(0), op(0), uint128(PAR));
    }

    /// A slashed or resigned transcoder could not distribute what it had earned.
    function test_livepeer_feesReachOperatorsThatAreGone() public {
        delegate(ALICE, op(0), 2000e18);
        jail(op(0), IStakeRegistry.Jail.Strike);
        router.route{value: 1 ether}(op(0));
        vm.prank(op(0));
        registry.exit(op(0));
        router.route{value: 1 ether}(op(0));
        slash(op(0), type(uint128).max);
        router.route{value: 1 ether}(op(0));
        vm.assertGe(router.owed(op(0)), 0.99 ether, "the operator's part of all three");
        vm.prank(op(0));
        router.withdraw();
    }

    /// C4 2023: slashed or never registered operators kept a say. Neither can be drawn or take jobs.
    function test_livepeer_whoIsGoneIsNotDrawn() public {
        nextEpoch();
        vm.assertEq(set.elect(set.epoch(), bytes32(0), 1), op(0));
        slash(op(0), type(uint128).max);
        vm.assertEq(set.elect(set.epoch(), bytes32(0), 8), address(0));
        nextEpoch();
        vm.assertEq(set.totalWeight(set.epoch()), 0);
        vm.assertTrue(!registry.isActive(op(7)));
    }

    receive() external payable {}
}
