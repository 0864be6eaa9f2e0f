// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {GovFixture} from "../GovFixture.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {StakeGovernor} from "../../src/gov/StakeGovernor.sol";

/// @dev What went wrong with votes and rewards by stake elsewhere, above all in Livepeer: the Code4rena contest of its
/// treasury (2023-08: H-02 and the findings on slashed transcoders) and what its changelog and pull requests mend.
contract VotesRegressionTest is GovFixture {
    Decision internal d;

    function setUp() public override {
        super.setUp();
        enrolled(0, 4 * MIN_SELF);
        enrolled(1, 2 * MIN_SELF);
        delegate(ALICE, op(0), 3000e18);
        pass(1);
        d = decision(address(registry), abi.encodeCall(IStakeRegistry.setParams, (params(500e18))));
        propose(op(0), d);
    }

    function begin() internal {
        pass(VOTING_DELAY + 1);
    }

    function inFavour() internal view returns (uint256 sum) {
        (, sum,) = governor.proposalVotes(d.id);
    }

    /// Livepeer H-02: by delegating to somebody who is no transcoder, a delegator could take its own weight out of the
    /// other's choice.
    function test_livepeerH02_delegatorTakesNothingFromAnothersChoice() public {
        delegate(BOB, op(1), 5000e18);
        begin();
        vote(op(1), d);
        vm.assertEq(inFavour(), 2 * MIN_SELF);
        delegate(BOB, op(1), 5000e18);
        undelegateAll(BOB, op(1));
        vm.assertEq(inFavour(), 2 * MIN_SELF);
        vm.expectRevert(abi.encodeWithSelector(StakeGovernor.NoVotes.selector, BOB));
        vm.prank(BOB);
        governor.castVote(d.id, 0);
    }

    /// The override that delegators had there: here no vote is ever taken out of a tally again.
    function test_livepeerOverride_delegatorsDoNotVoteWithOrAgainstTheirOperator() public {
        begin();
        vm.expectRevert(abi.encodeWithSelector(StakeGovernor.NoVotes.selector, ALICE));
        vm.prank(ALICE);
        governor.castVote(d.id, 0);
        vote(op(0), d);
        vm.assertEq(inFavour(), 4 * MIN_SELF);
        undelegateAll(ALICE, op(0)); // what she can do is leave before it acts
        vm.assertEq(inFavour(), 4 * MIN_SELF);
    }

    /// Livepeer: a fully slashed transcoder could vote, with no weight, and upset the tally.
    function test_livepeerSlashed_operatorWithNothingLeftCastsNothing() public {
        begin();
        slash(op(1), 2 * MIN_SELF);
        vm.assertEq(info(op(1)).bonded, 0);
        vm.expectRevert(abi.encodeWithSelector(StakeGovernor.NoVotes.selector, op(1)));
        vote(op(1), d);
        vm.assertTrue(!governor.hasVoted(d.id, op(1)));
    }

    /// Livepeer: one that was slashed and resigned kept its delegated amount and got it back as votes with its next bond.
    function test_livepeerSlashed_operatorThatBondsAgainHasWhatItBonded() public {
        slash(op(0), 4 * MIN_SELF);
        vm.assertEq(votes.getVotes(op(0)), 0);
        bond(op(0), 5e18);
        vm.assertEq(votes.getVotes(op(0)), 5e18);
        vm.assertEq(votes.getVotes(op(0)), info(op(0)).bonded);
    }

    function test_livepeerSlashed_jailedOrExitingOperatorCastsNothingWhateverItHadAtTheSnapshot() public {
        begin();
        jail(op(0), IStakeRegistry.Jail.Strike);
        vm.expectRevert(abi.encodeWithSelector(StakeGovernor.NoVotes.selector, op(0)));
        vote(op(0), d);
        vm.prank(op(1));
        registry.exit(op(1));
        vm.expectRevert(abi.encodeWithSelector(StakeGovernor.NoVotes.selector, op(1)));
        vote(op(1), d);
    }

    /// Livepeer: accounts that never registered as transcoders were counted as such.
    function test_livepeerNeverRegistered_accountHasNoVotesWhateverItHolds() public {
        token.transfer(BOB, SUPPLY / 4);
        enrol(BOB); // its own, but no operator
        begin();
        vm.assertEq(votes.getVotes(BOB), 0);
        vm.expectRevert(abi.encodeWithSelector(StakeGovernor.NoVotes.selector, BOB));
        vote(BOB, d);
    }

    /// Votes that exist for less than a second do not exist.
    function test_flashBond_isNoVoteAtTheSnapshot() public {
        pass(VOTING_DELAY); // the snapshot's second
        bond(op(1), 900_000e18);
        unbond(op(1), 900_000e18);
        pass(1);
        vm.assertEq(votes.getPastVotes(op(1), governor.proposalSnapshot(d.id)), 2 * MIN_SELF);
    }

    function test_sameStake_doesNotVoteTwiceByChangingItsOwner() public {
        begin();
        vote(op(0), d);
        changeOwner(op(0), BOB);
        vm.expectRevert(abi.encodeWithSelector(StakeGovernor.NoVotes.selector, BOB));
        vote(BOB, d);
        vm.assertEq(inFavour(), 4 * MIN_SELF);
    }

    function test_sameStake_doesNotVoteTwiceByMovingToAnotherOperator() public {
        begin();
        vote(op(0), d);
        unbond(op(0), 3 * MIN_SELF);
        pass(UNBOND);
        withdraw(op(0));
        Decision memory next = decision(address(registry), abi.encodeCall(IStakeRegistry.setParams, (params(600e18))));
        vm.expectPartialRevert(IGovernor.GovernorUnexpectedProposalState.selector);
        vote(op(1), d); // a thaw outlasts the vote
        bond(op(1), 3 * MIN_SELF);
        pass(1);
        propose(op(1), next);
        begin();
        vote(op(1), next);
        vote(op(0), next);
        (, uint256 sum,) = governor.proposalVotes(next.id);
        vm.assertEq(sum, 6 * MIN_SELF);
    }

    /// A percentage of few votes is next to nothing: who enrols first is no quorum.
    function test_fewVoters_doNotDecideForAll() public {
        vm.prank(op(1));
        registry.enrol(op(1), false);
        unbond(op(0), 3 * MIN_SELF);
        begin();
        vote(op(0), d); // all there is
        pass(VOTING_PERIOD);
        vm.assertEq(uint256(governor.state(d.id)), uint256(IGovernor.ProposalState.Defeated));
    }

    // ---- rewards ----

    /// Livepeer 2024-03: a bond of one wei by anybody could spoil an operator's reward of the round.
    function test_livepeerDust_nobodySpoilsAnothersReward() public {
        nextEpoch();
        nextEpoch();
        delegate(BOB, op(0), COIN);
        vm.prank(BOB);
        registry.notify(op(0), COIN);
        undelegateAll(BOB, op(0));
        uint256 before = info(op(0)).rewardsVesting;
        vm.prank(BOB);
        uint256 part = rewards.reward(op(0)); // nor by calling it for the operator
        IStakeRegistry.Operator memory o = info(op(0));
        vm.assertEq(o.rewardsVesting, before + part);
        vm.assertEq(part, uint256(rewards.lastEpoch().mint) * 7 / 9); // 7000 of 9000
    }

    /// Livepeer: a round that nobody initialises halts everything. Here there is nothing to initialise.
    function test_livepeerRounds_daysWithoutACallHaltNothing() public {
        pass(100 days);
        vm.assertTrue(rewards.reward(op(0)) > 0);
        vm.assertTrue(rewards.reward(op(1)) > 0);
    }

    /// Symbiotic: a hook that reverts, or eats all gas, could keep a slash from happening. The only code of others that a slash
    /// reaches is that of the votes.
    function test_symbiotic_noHookKeepsASlashFromHappening() public {
        bytes[4] memory hooks = [bytes(hex"5f5ffd"), hex"fe", hex"5b5f56", hex"620010005ff3"];
        for (uint256 i = 0; i < 4; ++i) {
            vm.etch(address(votes), hooks[i]); // reverts, burns all gas, never ends, returns much
            uint256 bonded = info(op(0)).bonded;
            vm.assertEq(slash(op(0), 100e18), 100e18);
            vm.assertEq(bonded - info(op(0)).bonded, 100e18);
        }
    }
}
