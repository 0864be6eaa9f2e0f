// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {GovFixture} from "../GovFixture.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {StakeGovernor} from "../../src/gov/StakeGovernor.sol";
import {IHandover, Timelock} from "../../src/gov/Timelock.sol";

contract GovernorTest is GovFixture {
    function setUp() public override {
        super.setUp();
        enrolled(0, 4 * MIN_SELF);
        enrolled(1, 2 * MIN_SELF);
        pass(1);
    }

    function outOfBounds(uint256 value, uint256 least, uint256 most) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(StakeGovernor.ParamOutOfBounds.selector, value, least, most);
    }

    function inState(Decision memory d, IGovernor.ProposalState expected) internal view {
        vm.assertEq(uint256(governor.state(d.id)), uint256(expected));
    }

    function setMinSelf(uint128 value) internal view returns (Decision memory) {
        return decision(address(registry), abi.encodeCall(IStakeRegistry.setParams, (params(value))));
    }

    // ---- a whole proposal ----

    function test_proposal_movesAParameterWithinItsBounds() public {
        Decision memory d = setMinSelf(500e18);
        propose(op(0), d);
        inState(d, IGovernor.ProposalState.Pending);
        pass(VOTING_DELAY + 1);
        inState(d, IGovernor.ProposalState.Active);
        vote(op(0), d);
        pass(VOTING_PERIOD);
        inState(d, IGovernor.ProposalState.Succeeded);
        vm.assertTrue(governor.proposalNeedsQueuing(d.id));
        Decision memory other = setMinSelf(501e18);
        vm.expectPartialRevert(IGovernor.GovernorNonexistentProposal.selector);
        queue(other);
        queue(d);
        inState(d, IGovernor.ProposalState.Queued);
        pass(DELAY - 1);
        vm.expectPartialRevert(TimelockController.TimelockUnexpectedOperationState.selector);
        execute(d);
        vm.assertEq(registry.params().minSelf, MIN_SELF);
        pass(1);
        vm.prank(ALICE); // anyone
        execute(d);
        vm.assertEq(registry.params().minSelf, 500e18);
        inState(d, IGovernor.ProposalState.Executed);
    }

    function test_proposal_failsToMoveAParameterBeyondItsBounds() public {
        Decision memory d = setMinSelf(100e18 - 1);
        decide(op(0), d);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.ParamOutOfBounds.selector, 100e18 - 1, 100e18, 1e24));
        execute(d);
        vm.assertEq(registry.params().minSelf, MIN_SELF);
    }

    function test_proposal_reachesRewardsAndGuardian() public {
        Decision memory d =
            decision(address(rewards), abi.encodeCall(IRewards.setParams, (IRewards.Params(6000, 100, 1000))));
        decide(op(0), d);
        execute(d);
        vm.assertEq(rewards.params().target, 6000);
        d = decision(address(guardian), abi.encodeCall(guardian.setKey, (BOB)));
        decide(op(0), d);
        execute(d);
        vm.assertEq(guardian.key(), BOB);
    }

    function test_proposal_aSlasherWaitsForEverybodyWhoWantsToLeave() public {
        delegate(ALICE, op(1), 100e18);
        Decision memory d =
            decision(address(registry), abi.encodeCall(IStakeRegistry.announceSlasher, (address(0x51A5), 1 days)));
        decide(op(0), d);
        execute(d);
        undelegateAll(ALICE, op(1)); // she reads the news only now
        pass(UNBOND);
        withdrawDelegation(ALICE, op(1));
        vm.expectPartialRevert(IStakeRegistry.SlasherTooEarly.selector);
        registry.activateSlasher(address(0x51A5));
    }

    function test_guardian_stopsNobodyFromLeavingOrDeciding() public {
        delegate(ALICE, op(1), 100e18);
        vm.prank(GUARD);
        guardian.pause(7 days);
        undelegateAll(ALICE, op(1));
        unbond(op(1), MIN_SELF);
        vm.prank(op(1));
        registry.exit(op(1));
        vm.assertEq(slash(op(1), 1e18), 1e18);
        Decision memory d = decision(address(guardian), abi.encodeCall(guardian.setKey, (address(0))));
        decide(op(0), d);
        execute(d);
        vm.assertEq(guardian.key(), address(0));
        pass(UNBOND);
        withdraw(op(1));
        withdrawDelegation(ALICE, op(1));
    }

    function test_proposal_canBeTakenBackBeforeTheVote() public {
        Decision memory d = setMinSelf(500e18);
        propose(op(0), d);
        vm.prank(op(0));
        governor.cancel(d.targets, d.values, d.calls, keccak256("why"));
        inState(d, IGovernor.ProposalState.Canceled);
    }

    // ---- who proposes, and how much it takes ----

    function test_propose_needsTheThreshold() public {
        Decision memory d = setMinSelf(500e18);
        vm.expectPartialRevert(IGovernor.GovernorInsufficientProposerVotes.selector);
        propose(ALICE, d);
        unbond(op(1), MIN_SELF + 1); // had enough a second ago
        vm.expectPartialRevert(IGovernor.GovernorInsufficientProposerVotes.selector);
        propose(op(1), d);
        bond(op(1), 1);
        propose(op(1), d);
    }

    function test_quorum_isAThirdOfAllVotesAndNeverLessThanTheLeast() public {
        vm.assertEq(governor.quorum(block.timestamp - 1), 1800e18);
        unbond(op(0), 3 * MIN_SELF);
        pass(1);
        vm.assertEq(governor.quorum(block.timestamp - 1), LEAST_QUORUM); // 900 by percent
        Decision memory d = setMinSelf(500e18);
        propose(op(1), d);
        pass(VOTING_DELAY + 1);
        vote(op(0), d); // 1000, all for it
        pass(VOTING_PERIOD);
        inState(d, IGovernor.ProposalState.Defeated);
    }

    function test_vote_theMajorityOfTheCastDecides() public {
        Decision memory d = setMinSelf(500e18);
        propose(op(1), d);
        pass(VOTING_DELAY + 1);
        vote(op(1), d);
        vm.prank(op(0));
        governor.castVote(d.id, 0);
        (uint256 against, uint256 inFavour,) = governor.proposalVotes(d.id);
        vm.assertEq(against, 4 * MIN_SELF);
        vm.assertEq(inFavour, 2 * MIN_SELF);
        pass(VOTING_PERIOD);
        inState(d, IGovernor.ProposalState.Defeated);
    }

    function test_vote_countsWhatStoodThenAndStandsNow() public {
        Decision memory d = setMinSelf(500e18);
        propose(op(0), d);
        pass(VOTING_DELAY + 1);
        unbond(op(0), MIN_SELF);
        bond(op(1), 10 * MIN_SELF);
        vote(op(0), d);
        vote(op(1), d);
        (, uint256 inFavour,) = governor.proposalVotes(d.id);
        vm.assertEq(inFavour, (3 + 2) * MIN_SELF);
        vm.assertEq(governor.getVotes(op(0), block.timestamp - 1), 3 * MIN_SELF);
    }

    function test_vote_ofWhoHasNoneIsRefused() public {
        Decision memory d = setMinSelf(500e18);
        propose(op(0), d);
        pass(VOTING_DELAY + 1);
        vm.expectRevert(abi.encodeWithSelector(StakeGovernor.NoVotes.selector, ALICE));
        vote(ALICE, d);
        vote(op(0), d);
        vm.expectPartialRevert(IGovernor.GovernorAlreadyCastVote.selector);
        vote(op(0), d);
    }

    // ---- its own bounds ----

    function governs(bytes memory call) internal {
        Decision memory d = decision(address(governor), call);
        decide(op(0), d);
        execute(d);
    }

    function fails(bytes memory call, bytes memory why) internal {
        Decision memory d = decision(address(governor), call);
        decide(op(0), d);
        vm.expectRevert(why);
        execute(d);
    }

    function test_settings_moveWithinBoundsByTheirOwnDecisionsAlone() public {
        vm.expectPartialRevert(IGovernor.GovernorOnlyExecutor.selector);
        governor.setVotingDelay(1 days);
        governs(abi.encodeCall(governor.setVotingDelay, (1 days)));
        vm.assertEq(governor.votingDelay(), 1 days);
        governs(abi.encodeCall(governor.setProposalThreshold, (100e18)));
        governs(abi.encodeCall(governor.updateQuorumNumerator, (60)));
        governs(abi.encodeCall(governor.setVotingPeriod, (3 days)));
        vm.assertEq(governor.votingPeriod(), 3 days);
        vm.assertEq(governor.proposalThreshold(), 100e18);
        vm.assertEq(governor.quorumNumerator(), 60);
    }

    function test_settings_revertBeyondTheirBounds() public {
        fails(abi.encodeCall(governor.setVotingDelay, (1 days - 1)), outOfBounds(1 days - 1, 1 days, 14 days));
        fails(abi.encodeCall(governor.setVotingDelay, (14 days + 1)), outOfBounds(14 days + 1, 1 days, 14 days));
        fails(abi.encodeCall(governor.setVotingPeriod, (3 days - 1)), outOfBounds(3 days - 1, 3 days, 30 days));
        fails(abi.encodeCall(governor.setVotingPeriod, (30 days + 1)), outOfBounds(30 days + 1, 3 days, 30 days));
        fails(abi.encodeCall(governor.setProposalThreshold, (1e24 + 1)), outOfBounds(1e24 + 1, 100e18, 1e24));
        fails(abi.encodeCall(governor.setProposalThreshold, (100e18 - 1)), outOfBounds(100e18 - 1, 100e18, 1e24));
        fails(abi.encodeCall(governor.updateQuorumNumerator, (9)), outOfBounds(9, 10, 60));
        fails(abi.encodeCall(governor.updateQuorumNumerator, (61)), outOfBounds(61, 10, 60));
    }

    function test_timelock_staysTheAdmin() public {
        fails(
            abi.encodeCall(governor.updateTimelock, (timelock)),
            abi.encodeWithSelector(StakeGovernor.TimelockIsFixed.selector)
        );
    }

    // ---- the timelock ----

    function test_timelock_delayStaysWithinItsBounds() public {
        Decision memory d = decision(address(timelock), abi.encodeCall(timelock.updateDelay, (0)));
        decide(op(0), d);
        execute(d);
        vm.assertEq(timelock.getMinDelay(), 2 days);
        d = decision(address(timelock), abi.encodeCall(timelock.updateDelay, (365 days)));
        decide(op(0), d);
        execute(d);
        vm.assertEq(timelock.getMinDelay(), 30 days);
        IHandover[] memory none = new IHandover[](0);
        vm.expectRevert(abi.encodeWithSelector(Timelock.DelayOutOfBounds.selector, 2 days - 1, 2 days, 30 days));
        new Timelock(2 days - 1, ALICE, none);
        vm.expectRevert(abi.encodeWithSelector(Timelock.DelayOutOfBounds.selector, 30 days + 1, 2 days, 30 days));
        new Timelock(30 days + 1, ALICE, none);
    }

    function test_timelock_hearsTheGovernorAlone() public {
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        timelock.schedule(address(registry), 0, "", 0, 0, DELAY);
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        timelock.cancel(0);
        bytes32 proposer = timelock.PROPOSER_ROLE();
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        timelock.grantRole(proposer, address(this));
        vm.expectPartialRevert(TimelockController.TimelockUnauthorizedCaller.selector);
        timelock.updateDelay(0);
    }

    function test_constructor_revertsForATimelockThatDoesNotKnowIt() public {
        vm.expectRevert(abi.encodeWithSelector(StakeGovernor.NotProposer.selector, address(timelock)));
        new StakeGovernor(votes, timelock, governorParams());
    }

    /// Nobody holds a role that it should not have; the deployment's own test reads the same from events.
    function test_roles_areTheGovernorsAndTheTimelocks() public view {
        vm.assertEq(registry.admin(), address(timelock));
        vm.assertEq(rewards.admin(), address(timelock));
        vm.assertEq(guardian.admin(), address(timelock));
        vm.assertEq(governor.timelock(), address(timelock));
        vm.assertEq(token.minter(), address(rewards));
        address[4] memory who = [address(this), address(creator), address(0), ALICE];
        for (uint256 i = 0; i < who.length; ++i) {
            vm.assertTrue(!timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), who[i]));
            vm.assertTrue(!timelock.hasRole(timelock.PROPOSER_ROLE(), who[i]));
            vm.assertTrue(!timelock.hasRole(timelock.CANCELLER_ROLE(), who[i]));
        }
        vm.assertTrue(timelock.hasRole(timelock.PROPOSER_ROLE(), address(governor)));
        vm.assertTrue(timelock.hasRole(timelock.CANCELLER_ROLE(), address(governor)));
        vm.assertTrue(timelock.hasRole(timelock.EXECUTOR_ROLE(), address(0)));
        vm.assertTrue(timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), address(timelock)));
    }
}
