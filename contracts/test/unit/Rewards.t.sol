// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {GovFixture} from "../GovFixture.sol";
import {IActiveSet} from "../../src/interfaces/IActiveSet.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {Rewards} from "../../src/token/Rewards.sol";
import {Token} from "../../src/token/Token.sol";

contract RewardsTest is GovFixture {
    /// @dev Two operators with a quarter and three quarters of the weight; the first epoch they are in is over.
    function twoForAnEpoch() internal {
        bond(op(0), MIN_SELF);
        bond(op(1), 3 * MIN_SELF);
        epochs(2);
    }

    function epochs(uint256 n) internal {
        for (uint256 i = 0; i < n; ++i) {
            nextEpoch();
        }
    }

    function notActive(address who) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IRewards.NotActiveThen.selector, who, set.epoch() - 1);
    }

    function outOfBounds(uint256 value, uint256 least, uint256 most) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IRewards.ParamOutOfBounds.selector, value, least, most);
    }

    function govern(IRewards.Params memory p) internal {
        vm.prank(address(timelock));
        rewards.setParams(p);
    }

    /// @dev What the next settled epoch may mint at this rate.
    function mintAt(uint256 rate) internal view returns (uint256) {
        return token.totalSupply() * rate / 1e9;
    }

    // ---- parts ----

    function test_reward_paysByTheWeightsOfTheLastEpoch() public {
        twoForAnEpoch();
        uint256 supply = token.totalSupply();
        uint256 mint = mintAt(RATE + 500);
        vm.assertEq(rewards.reward(op(0)), mint / 4);
        vm.assertEq(rewards.reward(op(1)), mint * 3 / 4);
        vm.assertEq(info(op(0)).rewardsVesting, mint / 4);
        vm.assertEq(info(op(1)).rewardsVesting, mint * 3 / 4);
        vm.assertEq(token.totalSupply(), supply + mint / 4 + mint * 3 / 4);
        vm.assertEq(token.balanceOf(address(rewards)), 0);
        IRewards.Epoch memory e = rewards.lastEpoch();
        vm.assertEq(e.number, set.epoch() - 1);
        vm.assertEq(e.mint, mint);
        vm.assertEq(e.weight, 4 * MIN_SELF);
        vm.assertEq(rewards.rewarded(op(1)), e.number);
        vm.assertEq(registry.lastRewarded(op(1)), e.number);
        vm.assertEq(rewards.rewarded(op(2)), 0);
    }

    function test_reward_isPaidOnceForAnEpoch() public {
        twoForAnEpoch();
        rewards.reward(op(0));
        bytes memory err = abi.encodeWithSelector(IStakeRegistry.AlreadyRewarded.selector, op(0), set.epoch() - 1);
        vm.expectRevert(err);
        rewards.reward(op(0));
        vm.expectRevert(err);
        rewards.rewardIn(op(0), 0);
        nextEpoch();
        vm.assertTrue(rewards.reward(op(0)) > 0);
    }

    function test_multicall_rewardsSeveralAtOnceOrNone() public {
        twoForAnEpoch();
        bytes[] memory calls = new bytes[](2);
        (calls[0], calls[1]) = (abi.encodeCall(rewards.reward, (op(0))), abi.encodeCall(rewards.reward, (op(1))));
        vm.prank(ALICE);
        bytes[] memory parts = rewards.multicall(calls);
        vm.assertEq(abi.decode(parts[1], (uint256)), info(op(1)).rewardsVesting);
        nextEpoch();
        calls[1] = calls[0];
        vm.expectPartialRevert(IStakeRegistry.AlreadyRewarded.selector);
        rewards.multicall(calls);
    }

    function test_reward_stakeThatMovesLaterChangesNoPart() public {
        twoForAnEpoch();
        bond(op(0), 100 * MIN_SELF);
        unbond(op(1), 3 * MIN_SELF);
        uint256 mint = mintAt(RATE + 500);
        vm.assertEq(rewards.reward(op(0)), mint / 4);
        vm.expectRevert(notActive(op(1))); // it gave its slot up
        rewards.reward(op(1));
        vm.assertEq(rewards.rewardIn(op(1), 1), mint * 3 / 4);
    }

    function test_reward_isForThoseActiveWhenTheEpochBegan() public {
        twoForAnEpoch();
        bond(op(2), MIN_SELF);
        vm.expectRevert(notActive(op(2)));
        rewards.reward(op(2));
        nextEpoch();
        vm.expectRevert(notActive(op(2))); // it joined in the midst of it
        rewards.reward(op(2));
        nextEpoch();
        rewards.reward(op(2));
        vm.expectRevert(notActive(op(3)));
        rewards.reward(op(3));
    }

    /// New tokens reach the registry at once, and nobody but the token says so.
    function test_reward_isMintedForTheRegistry() public {
        twoForAnEpoch();
        uint256 held = token.balanceOf(address(registry));
        uint256 part = rewards.reward(op(0));
        vm.assertEq(token.balanceOf(address(registry)), held + part);
        vm.assertEq(info(op(0)).rewardsVesting, part);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotToken.selector, address(this)));
        registry.notifyMinted(op(0), COIN, 100);
        vm.expectRevert(abi.encodeWithSelector(Token.NotMinter.selector, address(this)));
        token.mintReward(registry, op(0), COIN, 100);
    }

    function test_rewardIn_takesTheSlotsHolderAlone() public {
        twoForAnEpoch();
        vm.expectRevert(notActive(op(1)));
        rewards.rewardIn(op(1), 0);
        vm.expectRevert(notActive(address(0)));
        rewards.rewardIn(address(0), 2); // nobody's
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.NoSuchSlot.selector, 3));
        rewards.rewardIn(op(1), 3);
    }

    function test_rewardIn_paysWhoWasDisplacedSince() public {
        twoForAnEpoch();
        bond(op(2), MIN_SELF);
        bond(op(3), 5 * MIN_SELF);
        vm.prank(op(3));
        set.displace(op(3), 0);
        nextEpoch();
        vm.expectRevert(notActive(op(0)));
        rewards.reward(op(0));
        vm.expectRevert(notActive(op(3)));
        rewards.reward(op(3)); // its first epoch is the running one
        vm.assertTrue(rewards.rewardIn(op(0), 0) > 0);
    }

    function test_reward_ofOneThatExitsIsNotMinted() public {
        twoForAnEpoch();
        vm.prank(op(0));
        registry.exit(op(0));
        uint256 supply = token.totalSupply();
        vm.expectPartialRevert(IStakeRegistry.NotAccepting.selector);
        rewards.rewardIn(op(0), 0);
        vm.assertEq(token.totalSupply(), supply);
    }

    /// A stranger's `notify` has to bring a token at least; a part of the mint is whatever it is.
    function test_reward_belowATokenIsHandedOverAsWell() public {
        token.transfer(op(4), 6e26);
        bond(op(4), 6e26);
        bond(op(0), MIN_SELF);
        epochs(2);
        uint256 supply = token.totalSupply();
        uint256 part = rewards.reward(op(0)); // a sixth of a token
        vm.assertTrue(part > 0 && part < 1e18);
        vm.assertEq(token.totalSupply(), supply + part);
        vm.assertEq(info(op(0)).rewardsVesting, part);
        epochs(1);
        registry.poke(op(0));
        vm.assertEq(info(op(0)).bonded, MIN_SELF + part);
    }

    function test_reward_ofNothingCountsAsPaid() public {
        twoForAnEpoch();
        govern(IRewards.Params(5000, 500, 0));
        vm.assertEq(rewards.reward(op(0)), 0);
        vm.assertEq(rewards.rewarded(op(0)), set.epoch() - 1);
        vm.assertEq(info(op(0)).rewardsVesting, 0);
        vm.expectPartialRevert(IStakeRegistry.AlreadyRewarded.selector);
        rewards.reward(op(0));
    }

    /// Neither a crumb nor nothing puts off what is under way.
    function test_notifyMinted_aCrumbPutsNothingOff() public {
        bond(op(0), MIN_SELF);
        token.transfer(address(registry), 101);
        minted(101, 1);
        pass(12 hours);
        minted(0, 2);
        vm.assertEq(info(op(0)).rewardsVesting, 51);
        minted(1, 3); // (51 * 12 + 24) / 52 = 12 hours and 14 minutes from now
        vm.assertEq(info(op(0)).rewardsVesting, 52);
        pass(12 hours);
        minted(0, 4);
        vm.assertEq(info(op(0)).rewardsVesting, 1);
        pass(1 hours);
        minted(0, 5);
        vm.assertEq(info(op(0)).rewardsVesting, 0);
        vm.assertEq(info(op(0)).bonded, MIN_SELF + 102);
    }

    function test_notifyMinted_goesByEpochsInTheirOrder() public {
        bond(op(0), MIN_SELF);
        minted(0, 5);
        minted(0, 7);
        for (uint16 epoch = 6; epoch < 8; ++epoch) {
            vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.AlreadyRewarded.selector, op(0), epoch));
            minted(0, epoch);
        }
        vm.assertEq(registry.lastRewarded(op(0)), 7);
    }

    function minted(uint128 amount, uint16 epoch) internal {
        vm.prank(address(token));
        registry.notifyMinted(op(0), amount, epoch);
    }

    // ---- the rate ----

    function settledRate() internal returns (uint256) {
        nextEpoch();
        rewards.reward(op(0));
        return rewards.lastEpoch().rate;
    }

    function test_rate_risesByAStepBelowTheTargetUpToTheMost() public {
        twoForAnEpoch();
        vm.assertEq(settledRate(), RATE + 500);
        vm.assertEq(settledRate(), RATE + 1000);
        epochs(5); // in which nobody is rewarded
        vm.assertEq(settledRate(), RATE + 1500);
        govern(IRewards.Params(5000, 500, RATE + 1700));
        vm.assertEq(settledRate(), RATE + 1700);
        vm.assertEq(settledRate(), RATE + 1700);
        govern(IRewards.Params(5000, 500, 10));
        vm.assertEq(settledRate(), 10);
    }

    function test_rate_fallsByAStepAboveTheTargetDownToZero() public {
        token.transfer(op(0), 6e26);
        bond(op(0), 6e26);
        nextEpoch();
        vm.assertEq(settledRate(), RATE - 500);
        govern(IRewards.Params(5000, 5000, 261_120));
        for (uint256 i = 0; i < 20; ++i) {
            settledRate();
        }
        vm.assertEq(settledRate(), 0);
        vm.assertEq(rewards.lastEpoch().mint, 0);
    }

    function test_rate_standsAtTheTarget() public {
        token.transfer(op(0), 5e26);
        bond(op(0), 5e26);
        nextEpoch();
        vm.assertEq(settledRate(), RATE);
    }

    function test_rate_isTheSameForAllOfAnEpochWhateverIsBurned() public {
        twoForAnEpoch();
        rewards.reward(op(0));
        uint256 mint = rewards.lastEpoch().mint;
        token.burn(SUPPLY / 2);
        vm.assertEq(rewards.reward(op(1)), mint * 3 / 4);
    }

    /// The highest rate, every day of a year, compounded.
    function test_rate_isTenPercentAYearAtMost() public view {
        uint256 supply = 1e27;
        for (uint256 i = 0; i < 365; ++i) {
            supply += supply * rewards.MOST_RATE() / 1e9;
        }
        vm.assertLe(supply, 1.1e27, "more than a tenth");
        vm.assertGe(supply, 1.099e27, "needlessly less");
    }

    // ---- parameters ----

    function test_params_moveWithinHardBoundsByTheAdminAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IRewards.NotAdmin.selector, address(this)));
        rewards.setParams(rewardParams());
        vm.expectRevert(outOfBounds(999, 1000, 9000));
        govern(IRewards.Params(999, 0, 0));
        vm.expectRevert(outOfBounds(9001, 1000, 9000));
        govern(IRewards.Params(9001, 0, 0));
        vm.expectRevert(outOfBounds(5001, 0, 5000));
        govern(IRewards.Params(1000, 5001, 0));
        vm.expectRevert(outOfBounds(261_121, 0, 261_120));
        govern(IRewards.Params(1000, 0, 261_121));
        govern(IRewards.Params(1000, 0, 0));
        govern(IRewards.Params(9000, 5000, 261_120));
        vm.assertEq(rewards.params().target, 9000);
        vm.assertEq(rewards.params().step, 5000);
        vm.assertEq(rewards.params().most, 261_120);
    }

    function test_constructor_revertsForAnotherMinterAndAnImpossibleRate() public {
        vm.expectPartialRevert(Token.NotMinter.selector);
        new Rewards(registry, address(timelock), RATE, rewardParams());
        vm.expectRevert(outOfBounds(261_121, 0, 261_120));
        new Rewards(registry, address(timelock), 261_121, rewardParams());
    }
}

contract RewardsAtTheCapTest is GovFixture {
    function cap() internal pure override returns (uint256) {
        return SUPPLY + 5e18;
    }

    function test_reward_sharesWhatIsLeftUnderTheCap() public {
        bond(op(0), MIN_SELF);
        bond(op(1), 3 * MIN_SELF);
        nextEpoch();
        nextEpoch();
        uint256 room = 5e18;
        vm.assertEq(rewards.reward(op(0)), room / 4);
        vm.assertEq(rewards.reward(op(1)), room * 3 / 4);
        nextEpoch();
        vm.assertTrue(rewards.reward(op(0)) <= 2); // the rounding of yesterday
        token.burn(40e18);
        nextEpoch();
        vm.assertTrue(rewards.reward(op(0)) >= 10e18);
        vm.assertTrue(token.totalSupply() <= token.cap());
    }
}
