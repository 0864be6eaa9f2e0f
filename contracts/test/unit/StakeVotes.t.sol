// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {GovFixture} from "../GovFixture.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {IStakeVotes} from "../../src/interfaces/IStakeVotes.sol";

contract StakeVotesTest is GovFixture {
    address internal constant COLD = address(0xC01D);

    // ---- enrolment ----

    function test_enrol_isTheOwnersAndCountsBondedStake() public {
        bond(op(0), MIN_SELF);
        vm.assertEq(votes.getVotes(op(0)), 0);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotOwner.selector, op(0), ALICE));
        vm.prank(ALICE);
        registry.enrol(op(0), true);
        enrol(op(0));
        vm.assertEq(votes.getVotes(op(0)), MIN_SELF);
        (address owner, uint256 amount) = votes.votesOf(op(0));
        vm.assertEq(owner, op(0));
        vm.assertEq(amount, MIN_SELF);
        bond(op(1), MIN_SELF); // never enrolled
        vm.assertEq(votes.getVotes(op(1)), 0);
    }

    function test_enrol_canBeTakenBack() public {
        enrolled(0, MIN_SELF);
        vm.prank(op(0));
        registry.enrol(op(0), false);
        vm.assertEq(votes.getVotes(op(0)), 0);
        bond(op(0), 1e18);
        vm.assertEq(votes.getVotes(op(0)), 0);
        enrol(op(0));
        vm.assertEq(votes.getVotes(op(0)), MIN_SELF + 1e18);
    }

    function test_enrol_beforeBonding() public {
        enrol(op(0));
        vm.assertEq(votes.getVotes(op(0)), 0);
        bond(op(0), MIN_SELF);
        vm.assertEq(votes.getVotes(op(0)), MIN_SELF);
    }

    function test_record_isTheRegistrysAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeVotes.NotRegistry.selector, address(this)));
        votes.record(op(0), op(0), 1);
    }

    function test_setVotes_isTheAdminsOnce() public {
        vm.assertEq(registry.votes(), address(votes));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotAdmin.selector, address(this)));
        registry.setVotes(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.VotesAlreadySet.selector, address(votes)));
        vm.prank(address(timelock));
        registry.setVotes(ALICE);
    }

    // ---- what counts ----

    function test_votes_followBondedStakeAndNothingElse() public {
        enrolled(0, 2 * MIN_SELF);
        delegate(ALICE, op(0), 500e18);
        vm.assertEq(votes.getVotes(op(0)), 2 * MIN_SELF);
        vm.assertEq(votes.getVotes(ALICE), 0);
        unbond(op(0), 700e18); // thaws
        vm.assertEq(votes.getVotes(op(0)), 1300e18);
        bond(op(0), 200e18);
        vm.assertEq(votes.getVotes(op(0)), 1500e18);
        slash(op(0), 100e18);
        vm.assertEq(votes.getVotes(op(0)), info(op(0)).bonded);
        vm.assertTrue(info(op(0)).bonded < 1500e18);
    }

    function test_votes_rewardsThatVestCountWhenPoked() public {
        enrolled(0, MIN_SELF);
        registry.notify(op(0), 10e18);
        pass(2 days);
        vm.assertEq(votes.getVotes(op(0)), MIN_SELF);
        registry.poke(op(0));
        vm.assertEq(votes.getVotes(op(0)), MIN_SELF + 10e18);
    }

    function test_votes_ofTheJailedAreNoneUntilPokedAfterwards() public {
        enrolled(0, MIN_SELF);
        jail(op(0), IStakeRegistry.Jail.Short);
        vm.assertEq(votes.getVotes(op(0)), 0);
        bond(op(0), 1e18);
        vm.assertEq(votes.getVotes(op(0)), 0);
        pass(3 days);
        registry.poke(op(0));
        vm.assertEq(votes.getVotes(op(0)), MIN_SELF + 1e18);
    }

    function test_votes_ofTheExitingAndTheExitedAreNone() public {
        enrolled(0, MIN_SELF);
        registry.lock(op(0), 1e18);
        vm.prank(op(0));
        registry.exit(op(0));
        vm.assertEq(votes.getVotes(op(0)), 0);
        registry.release(op(0), 1e18);
        registry.poke(op(0));
        vm.assertEq(stateOf(op(0)), uint256(IStakeRegistry.State.Exited));
        vm.assertEq(votes.getVotes(op(0)), 0);
        bond(op(0), 1e18); // joins anew
        vm.assertEq(votes.getVotes(op(0)), MIN_SELF + 1e18);
    }

    // ---- owners ----

    function test_votes_goWithTheOwner() public {
        enrolled(0, MIN_SELF);
        changeOwner(op(0), COLD);
        vm.assertEq(votes.getVotes(op(0)), 0);
        vm.assertEq(votes.getVotes(COLD), MIN_SELF);
        enrolled(1, 2 * MIN_SELF);
        changeOwner(op(1), COLD);
        vm.assertEq(votes.getVotes(COLD), 3 * MIN_SELF);
        changeOwner(op(0), op(0));
        vm.assertEq(votes.getVotes(COLD), 2 * MIN_SELF);
        vm.assertEq(votes.getVotes(op(0)), MIN_SELF);
        changeOwner(op(2), COLD); // which is not enrolled
        vm.assertEq(votes.getVotes(COLD), 2 * MIN_SELF);
    }

    function test_votes_changeOwnerAndAmountAtOnce() public {
        enrolled(0, MIN_SELF);
        registry.notify(op(0), 10e18);
        pass(2 days);
        registry.notify(op(0), 10e18); // vested without the votes being told
        changeOwner(op(0), COLD);
        vm.assertEq(votes.getVotes(op(0)), 0);
        vm.assertEq(votes.getVotes(COLD), MIN_SELF + 10e18);
        pass(1);
        vm.assertEq(votes.getPastTotalSupply(block.timestamp - 1), MIN_SELF + 10e18);
    }

    // ---- history ----

    function test_history_isKeptBySecond() public {
        uint256 start = block.timestamp;
        enrolled(0, MIN_SELF);
        enrolled(1, MIN_SELF);
        pass(10);
        bond(op(0), 5e18);
        unbond(op(0), 1e18);
        pass(10);
        slash(op(1), 100e18);
        pass(10);
        vm.assertEq(votes.getPastVotes(op(0), start - 1), 0);
        vm.assertEq(votes.getPastVotes(op(0), start), MIN_SELF);
        vm.assertEq(votes.getPastVotes(op(0), start + 9), MIN_SELF);
        vm.assertEq(votes.getPastVotes(op(0), start + 10), MIN_SELF + 4e18);
        vm.assertEq(votes.numCheckpoints(op(0)), 2); // one for each second
        vm.assertEq(votes.getPastTotalSupply(start), 2 * MIN_SELF);
        vm.assertEq(votes.getPastTotalSupply(start + 19), 2 * MIN_SELF + 4e18);
        vm.assertEq(votes.getPastTotalSupply(start + 20), 2 * MIN_SELF - 96e18);
        vm.assertEq(votes.getPastVotes(op(1), start + 20), MIN_SELF - 100e18);
    }

    function test_history_ofTheRunningSecondIsNotKnownYet() public {
        enrolled(0, MIN_SELF);
        uint48 now_ = uint48(block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(IStakeVotes.NotYetPast.selector, now_, now_));
        votes.getPastVotes(op(0), now_);
        vm.expectRevert(abi.encodeWithSelector(IStakeVotes.NotYetPast.selector, now_ + 1, now_));
        votes.getPastTotalSupply(now_ + 1);
    }

    function test_history_changesThatChangeNothingLeaveNoTrace() public {
        enrolled(0, MIN_SELF);
        pass(10);
        registry.poke(op(0));
        delegate(ALICE, op(0), 500e18);
        vm.assertEq(votes.numCheckpoints(op(0)), 1);
    }

    function test_votes_cannotBeGivenAway() public {
        vm.assertEq(votes.delegates(op(0)), op(0));
        vm.expectRevert(IStakeVotes.VotesCannotBeGiven.selector);
        votes.delegate(ALICE);
        vm.expectRevert(IStakeVotes.VotesCannotBeGiven.selector);
        votes.delegateBySig(ALICE, 0, 0, 0, bytes32(0), bytes32(0));
        vm.assertEq(votes.clock(), block.timestamp);
        vm.assertEq(votes.CLOCK_MODE(), "mode=timestamp");
    }

    // ---- whatever the votes do, a slash goes through ----

    function slashDespite(bytes memory code) internal {
        enrolled(0, MIN_SELF);
        vm.etch(address(votes), code);
        vm.assertEq(slash(op(0), 100e18), 100e18);
        vm.assertEq(info(op(0)).bonded, MIN_SELF - 100e18);
    }

    function test_slash_goesThroughWhenTheVotesRevert() public {
        slashDespite(hex"5f5ffd");
    }

    function test_slash_goesThroughWhenTheVotesBurnAllGas() public {
        slashDespite(hex"fe");
    }

    function test_slash_goesThroughWhenTheVotesNeverEnd() public {
        slashDespite(hex"5b5f56");
    }

    function test_slash_goesThroughWhenTheVotesReturnMuch() public {
        slashDespite(hex"620010005ff3");
    }

    function test_slash_goesThroughWhenTheVotesAreGone() public {
        slashDespite(hex"");
    }

    /// With too little gas nothing happens at all: no slash leaves the votes behind.
    function test_slash_starvedOfGasUndoesAllOrNothing() public {
        enrolled(0, MIN_SELF);
        (uint256 through, uint256 refused) = (0, 0);
        for (uint256 gas_ = 60_000; gas_ < 500_000; gas_ += 4000) {
            try registry.slash{gas: gas_}(op(0), 1e18, 0, noCuts, IStakeRegistry.Jail.No) {
                through += 1;
            } catch {
                refused += 1;
            }
            vm.assertEq(votes.getVotes(op(0)), info(op(0)).bonded);
        }
        vm.assertGe(through, 10, "with enough");
        vm.assertGe(refused, 10, "with too little");
    }
}
