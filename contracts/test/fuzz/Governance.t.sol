// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {GovFixture} from "../GovFixture.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {StakeVotes} from "../../src/gov/StakeVotes.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

contract GovernanceFuzz is GovFixture {
    uint256 internal constant LITTLE = 250_000; // less than what telling the votes alone is given
    uint256 internal constant PLENTY = 480_000;

    /// Parts are by weight, rounded down, and together within the epoch's mint; what happens after its beginning does not
    /// matter.
    function testFuzz_rewards_staysWithinTheMint(uint128[3] memory stakes, uint128 more, uint32 rate) public {
        vm.prank(address(timelock));
        rewards.setParams(IRewards.Params(5000, 5000, uint32(bound(rate, 0, 261_120))));
        uint256 total = 0;
        for (uint256 i = 0; i < 3; ++i) {
            stakes[i] = uint128(bound(stakes[i], MIN_SELF, 400_000e18));
            bond(op(i), stakes[i]);
            total += stakes[i] / 4e18 * 4e18;
        }
        nextEpoch();
        bond(op(0), uint128(bound(more, 1, 500_000e18)));
        unbond(op(1), stakes[1]);
        nextEpoch();
        uint256 sum = 0;
        for (uint256 i = 0; i < 3; ++i) {
            uint256 part = rewards.rewardIn(op(i), i);
            uint256 mint = rewards.lastEpoch().mint;
            vm.assertEq(part, mint * (stakes[i] / 4e18 * 4e18) / total, "part");
            sum += part;
        }
        vm.assertEq(rewards.lastEpoch().weight, total, "weight");
        vm.assertLe(sum, rewards.lastEpoch().mint, "sum");
        vm.assertGe(sum + 3, rewards.lastEpoch().mint, "nothing but rounding is left");
    }

    /// The rate moves by a step at most, the right way, and never above what is allowed.
    function testFuzz_rate_movesTowardsTheTarget(uint256 bonded, uint16 target, uint32 step, uint32 most) public {
        bonded = bound(bonded, MIN_SELF, 9e26);
        token.transfer(op(0), bonded);
        bond(op(0), uint128(bonded));
        IRewards.Params memory p = IRewards.Params(
            uint16(bound(target, 1000, 9000)), uint32(bound(step, 0, 5000)), uint32(bound(most, 0, 261_120))
        );
        vm.prank(address(timelock));
        rewards.setParams(p);
        nextEpoch();
        for (uint256 i = 0; i < 3; ++i) {
            nextEpoch();
            (uint256 was, uint256 supply) = (rewards.lastEpoch().rate, token.totalSupply());
            rewards.reward(op(0));
            IRewards.Epoch memory e = rewards.lastEpoch();
            uint256 moved = uint256(e.weight) * 1e4 < supply * p.target ? was + p.step : was > p.step ? was - p.step : 0;
            vm.assertEq(e.rate, moved > p.most ? p.most : moved, "rate");
            vm.assertEq(e.mint, supply * e.rate / 1e9, "mint");
        }
    }

    /// The history against a plain list of what was told.
    function testFuzz_votes_historyIsWhatWasTold(uint256 seed) public {
        StakeVotes fresh = new StakeVotes(IStakeRegistry(address(this)));
        uint256[3][12] memory told; // of three owners, after each second
        uint256[2] memory amounts;
        uint256[2] memory owners;
        uint256 start = block.timestamp;
        for (uint256 t = 0; t < 12; ++t) {
            vm.warp(start + t * 7);
            for (uint256 n = 0; n < 1 + seed % 3; ++n) {
                seed = uint256(keccak256(abi.encode(seed)));
                uint256 i = seed % 2;
                (owners[i], amounts[i]) = ((seed >> 8) % 3, (seed >> 16) % 1e27);
                fresh.record(op(i), address(uint160(1 + owners[i])), amounts[i]);
            }
            for (uint256 i = 0; i < 2; ++i) {
                told[t][owners[i]] += amounts[i];
            }
        }
        vm.warp(start + 100);
        for (uint256 t = 0; t < 12; ++t) {
            for (uint256 i = 0; i < 3; ++i) {
                uint256 at = start + t * 7 + seed % 7;
                vm.assertEq(fresh.getPastVotes(address(uint160(1 + i)), at), told[t][i], "votes");
                vm.assertEq(fresh.getPastTotalSupply(at), told[t][0] + told[t][1] + told[t][2], "total");
            }
        }
    }

    /// Whatever gas a slash is given, it is done with the votes told, or not done.
    function testFuzz_slash_votesFollowWhateverGasThereIs(uint256 gas_, uint128 amount) public {
        enrolled(0, 5 * MIN_SELF);
        amount = uint128(bound(amount, 1, 6 * MIN_SELF));
        gas_ = bound(gas_, 50_000, 600_000);
        uint256 left = 5 * MIN_SELF - (amount < 5 * MIN_SELF ? amount : 5 * MIN_SELF);
        try registry.slash{gas: gas_}(op(0), amount, 0, noCuts, IStakeRegistry.Jail.No) {
            vm.assertEq(info(op(0)).bonded, left, "slashed");
            vm.assertGe(gas_, LITTLE, "with hardly any gas");
        } catch {
            vm.assertEq(info(op(0)).bonded, 5 * MIN_SELF, "slashed by half");
            vm.assertLe(gas_, PLENTY, "refused with plenty of gas");
        }
        vm.assertEq(votes.getVotes(op(0)), info(op(0)).bonded);
    }
}
