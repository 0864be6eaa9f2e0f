// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {GovFixture} from "../GovFixture.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

/// @dev As StakingGas: whole transactions on cold storage, among 40 operators after five epochs of changes and rewards.
contract GovernanceGas is GovFixture {
    uint256 internal constant CROWD = 40;

    function setUp() public override {
        vm.warp(2_000_000_000);
        deployGovernance(128);
        for (uint256 i = 0; i < CROWD; ++i) {
            fund(op(i));
            bond(op(i), MIN_SELF + uint128(i) * 10e18);
        }
        for (uint256 i = 0; i < 3; ++i) {
            enrol(op(i));
        }
        delegate(BOB, op(0), 500e18);
        delegate(BOB, op(7), 500e18);
        nextEpoch();
        for (uint256 epochs = 0; epochs < 5; ++epochs) {
            nextEpoch();
            for (uint256 i = 0; i < CROWD; ++i) {
                bond(op(i), 8e18);
                rewards.reward(op(i));
            }
        }
        nextEpoch();
    }

    function measure(string memory name, uint256 target) internal {
        uint256 used = vm.snapshotGasLastCall("governance", name);
        vm.assertLe(used, target, name);
    }

    function test_gas_reward() public {
        rewards.reward(op(9));
        measure("reward, first of a day", 95_000);
        rewards.reward(op(7));
        measure("reward", 80_000);
    }

    function test_gas_rewardsAtOnce() public {
        rewards.reward(op(9));
        bytes[] memory calls = new bytes[](10);
        for (uint256 i = 0; i < 10; ++i) {
            calls[i] = abi.encodeCall(rewards.reward, (op(10 + i)));
        }
        rewards.multicall(calls);
        measure("reward, ten at once", 380_000);
    }

    function test_gas_votes() public {
        vm.prank(op(20));
        registry.enrol(op(20), true);
        measure("enrol", 145_000);
        bond(op(1), 10e18);
        measure("top up a bond, enrolled", 155_000);
        slash(op(2), 20e18);
        measure("slash, enrolled", 140_000);
    }

    function test_gas_proposal() public {
        Decision memory d = decision(address(registry), abi.encodeCall(IStakeRegistry.setParams, (params(500e18))));
        propose(op(0), d);
        measure("propose", 85_000);
        pass(VOTING_DELAY + 1);
        vote(op(0), d);
        measure("vote", 90_000);
        vote(op(1), d);
        measure("vote, not the first", 75_000);
        vote(op(2), d);
        pass(VOTING_PERIOD);
        queue(d);
        measure("queue", 150_000);
        pass(DELAY);
        execute(d);
        measure("execute", 130_000);
    }

    function test_gas_pause() public {
        vm.prank(GUARD);
        guardian.pause(1 days);
        measure("pause, of no contract", 35_000);
    }
}
