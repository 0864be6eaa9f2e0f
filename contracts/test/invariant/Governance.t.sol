// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Walk} from "./Walk.sol";
import {GovHandler} from "./GovHandler.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {Rewards} from "../../src/token/Rewards.sol";
import {StakeGovernor} from "../../src/gov/StakeGovernor.sol";
import {StakeVotes} from "../../src/gov/StakeVotes.sol";
import {StakeRegistry} from "../../src/staking/StakeRegistry.sol";
import {Token} from "../../src/token/Token.sol";

contract GovernanceInvariants is Walk {
    GovHandler internal handler;
    StakeRegistry internal registry;
    StakeVotes internal votes;
    Rewards internal rewards;
    Token internal token;
    StakeGovernor internal governor;

    function setUp() public {
        handler = new GovHandler();
        (registry, votes, rewards, token, governor) = handler.parts();
    }

    function walker() internal view override returns (address, bytes4) {
        return (address(handler), GovHandler.step.selector);
    }

    function name() internal pure override returns (string memory) {
        return "GovHandler";
    }

    function kinds() internal pure override returns (uint256, uint256) {
        return (uint256(type(GovHandler.Step).max) + 1, NO_KIND);
    }

    function invariant_everyRuleHolds() public {
        handler.settle();
        vm.assertEq(handler.broken(), "");
        votesAreStake();
        parametersAreWithinBounds();
        supplyAddsUp();
    }

    /// 32. Votes are the bonded stake of enrolled operators in good standing, now and at every checkpoint.
    function votesAreStake() internal view {
        (uint256 sum, uint256 held) = (0, 0);
        for (uint256 i = 0; i < 4; ++i) {
            address who = handler.operator(i);
            IStakeRegistry.Operator memory o = registry.operatorInfo(who);
            bool stands = o.state <= IStakeRegistry.State.Active;
            (address owner, uint256 amount) = votes.votesOf(who);
            vm.assertEq(amount, handler.enrolledNow(who) && stands ? o.bonded : 0, "votes of an operator");
            if (amount > 0) vm.assertEq(owner, registry.ownerOf(who), "who votes");
            sum += amount;
        }
        for (uint256 i = 0; i < 6; ++i) {
            held += votes.getVotes(handler.account(i));
        }
        vm.assertEq(sum, held, "votes of all accounts");
        vm.assertTrue(handler.historyHolds(uint256(keccak256(abi.encode(block.timestamp, sum)))), "history");
    }

    /// 11, 30. Whatever was decided, every parameter is within its bounds.
    function parametersAreWithinBounds() internal view {
        IStakeRegistry.Params memory p = registry.params();
        vm.assertTrue(p.minSelf >= 100e18 && p.minSelf <= 1e24, "minSelf");
        vm.assertTrue(p.unbond >= 11 days && p.unbond <= 60 days, "unbond");
        IRewards.Params memory r = rewards.params();
        vm.assertTrue(r.target >= 1000 && r.target <= 9000 && r.step <= 5000 && r.most <= 261_120, "rewards");
        vm.assertLe(rewards.lastEpoch().rate, 261_120, "rate");
    }

    function supplyAddsUp() internal view {
        uint256 expected = 1e27 + handler.minted() - handler.burned();
        vm.assertEq(token.totalSupply(), expected, "supply");
        vm.assertLe(token.totalSupply(), token.cap(), "cap");
        vm.assertEq(token.balanceOf(address(rewards)), 0, "the minter keeps nothing");
    }

    /// The walk is not vacuous: each kind of step succeeds, and not just now and then.
    function test_walk_everyStepSucceeds() public {
        for (uint256 i = 0; i < 2000; ++i) {
            handler.step(uint256(keccak256(abi.encode("governance", i))));
            if (i % 50 == 0) invariant_everyRuleHolds();
        }
        invariant_everyRuleHolds();
        for (uint256 i = 0; i <= uint256(type(GovHandler.Step).max); ++i) {
            string memory which = vm.toString(i);
            vm.assertGe(handler.successes(i), 10, which);
            vm.assertGe(handler.successes(i) * 5, handler.calls(i), which);
        }
        vm.assertGe(handler.outOfBounds(), 10, "tries out of bounds");
        vm.assertGe(handler.minted(), 1e18, "rewards");
    }
}
