// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

/// @dev What each call costs as a whole transaction on cold storage (run with --isolate), among 40 operators after five
/// epochs of changes, so that no word is fresh but those of whoever acts. Held to the targets and, by snapshots/, to the
/// last figures that were accepted.
abstract contract Crowd is StakeFixture {
    uint256 internal constant CROWD = 40;

    function setUp() public virtual override {
        vm.warp(2_000_000_000);
        deployStake(128);
        for (uint256 i = 0; i < CROWD; ++i) {
            fund(op(i));
            bond(op(i), MIN_SELF + uint128(i) * 10e18);
        }
        delegate(BOB, op(0), 500e18);
        fiveEpochs();
    }

    function fiveEpochs() internal {
        for (uint256 epochs = 0; epochs < 5; ++epochs) {
            nextEpoch();
            everyWeightChanges();
        }
        nextEpoch();
    }

    function everyWeightChanges() internal {
        for (uint256 i = 0; i < CROWD; ++i) {
            bond(op(i), 8e18);
        }
    }

    function measure(string memory name, uint256 target) internal {
        uint256 used = vm.snapshotGasLastCall("staking", name);
        vm.assertLe(used, target, name);
    }
}

/// @dev A draw of the last epoch, after every weight has changed in it and in the running one: three versions to look
/// through in each word of the tree.
contract BusyDrawGas is Crowd {
    function setUp() public override {
        super.setUp();
        everyWeightChanges();
        nextEpoch();
        everyWeightChanges();
    }

    function test_gas_draw() public {
        set.draw(set.epoch() - 1, uint256(keccak256("seed")));
        measure("draw of the last epoch, as a call", 30_000);
    }
}

contract StakingGas is Crowd {
    function test_gas_join() public {
        fund(op(100));
        bond(op(100), MIN_SELF);
        measure("join the active set", 240_000);
    }

    function test_gas_topUpBond() public {
        bond(op(7), 100e18);
        measure("top up a bond", 110_000);
    }

    function test_gas_delegate() public {
        delegate(ALICE, op(0), 100e18); // who has other delegators
        measure("first delegation", 130_000);
        nextEpoch();
        delegate(ALICE, op(0), 100e18);
        measure("top up a delegation", 100_000);
        delegate(ALICE, op(7), 100e18);
        measure("first delegation to an operator", 150_000);
    }

    function test_gas_undelegate() public {
        delegate(ALICE, op(0), 200e18);
        undelegate(BOB, op(0), uint128(50e18 * PAR));
        nextEpoch();
        undelegate(ALICE, op(0), uint128(50e18 * PAR));
        measure("unbond a delegation", 150_000);
        pass(UNBOND);
        withdrawDelegation(ALICE, op(0));
        measure("withdraw a delegation", 65_000);
    }

    function test_gas_unbond() public {
        unbond(op(7), 10e18);
        measure("unbond", 150_000);
        pass(UNBOND);
        withdraw(op(7));
        measure("withdraw", 65_000);
    }

    function test_gas_displace() public {
        deployStake(40);
        for (uint256 i = 0; i < CROWD; ++i) {
            fund(op(i));
            bond(op(i), MIN_SELF);
        }
        fiveEpochs();
        fund(op(100));
        bond(op(100), 2 * MIN_SELF);
        measure("join without a free slot", 240_000);
        vm.prank(op(100));
        set.displace(op(100), 9);
        measure("displace a slot", 90_000);
    }

    function test_gas_draw() public {
        set.draw(set.epoch(), uint256(keccak256("seed")));
        measure("draw, as a call", 30_000); // forge does not isolate calls to views
    }

    function test_gas_reward() public {
        registry.notify(op(0), 10e18);
        nextEpoch();
        registry.notify(op(0), 10e18);
        measure("reward of an epoch", 80_000);
    }

    function test_gas_lockAndRelease() public {
        registry.lock(op(7), 10e18);
        measure("lock, first of a slasher", 60_000);
        registry.lock(op(7), 10e18);
        measure("lock", 40_000);
        registry.release(op(7), 10e18);
        measure("release", 40_000);
    }

    function test_gas_slash() public {
        registry.lock(op(7), 30e18);
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(FINDER, 5000);
        registry.slash(op(7), 20e18, 20e18, cuts, IStakeRegistry.Jail.No);
        measure("slash", 140_000);
    }

    function test_gas_slashWithJail() public {
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(FINDER, 5000);
        registry.slash(op(7), 20e18, 0, cuts, IStakeRegistry.Jail.Strike);
        measure("slash and jail", 170_000);
    }

    function test_gas_fees() public {
        router.route{value: 1 ether}(op(0));
        measure("route a fee, first", 120_000);
        nextEpoch();
        router.route{value: 1 ether}(op(0));
        measure("route a fee", 90_000);
        nextEpoch();
        vm.prank(BOB);
        router.claim(op(0), 0);
        measure("withdraw a delegator's fees", 60_000);
        vm.prank(op(0));
        router.withdraw();
        measure("withdraw an owner's fees", 35_000);
        router.route{value: 1 ether}(op(0));
        vm.prank(BOB);
        router.withdrawFor(op(0));
        measure("pay an owner its fees", 35_000);
    }
}
