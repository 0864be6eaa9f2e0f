// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {JuryFixture} from "../JuryFixture.sol";
import {HeaderRlp} from "../HeaderRlp.sol";
import {BlockHeader} from "../../src/lib/BlockHeader.sol";
import {IActiveSet} from "../../src/interfaces/IActiveSet.sol";
import {IBonds} from "../../src/interfaces/IBonds.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../../src/interfaces/IDisputeGame.sol";
import {IJury} from "../../src/interfaces/IJury.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {Jury} from "../../src/verify/Jury.sol";

contract JuryTest is JuryFixture {
    function wrongStage(IJury.Stage stage) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IJury.WrongStage.selector, id, stage);
    }

    // ---- jurors ----

    function test_enlist_locksAndCountsFromTheNextEpoch() public {
        fund(op(8));
        bond(op(8), 2 * MIN_SELF);
        uint256 free = registry.free(op(8));
        enlist(op(8));
        vm.assertEq(free - registry.free(op(8)), JUROR_LOCK);
        IJury.Juror memory j = jury.juror(op(8));
        vm.assertEq(j.from, set.epoch() + 1);
        vm.assertEq(j.lock, JUROR_LOCK);
        vm.prank(op(8));
        vm.expectRevert(abi.encodeWithSelector(IJury.AlreadyEnlisted.selector, op(8)));
        jury.enlist();
    }

    function test_enlist_bySignerOnly() public {
        vm.prank(op(1));
        keys.proposeSigner(op(1), address(0x51));
        vm.prank(address(0x51));
        keys.acceptSigner(op(1));
        vm.prank(op(1)); // replaced: signs for nobody
        vm.expectRevert(abi.encodeWithSelector(IJury.NotSigner.selector, op(1)));
        jury.resign();
        vm.prank(address(0x51));
        jury.resign();
        vm.assertEq(jury.juror(op(1)).until, set.epoch() + 1);
    }

    function test_resign_keepsTheLockUntilNoSeatCanBeJudged() public {
        vm.prank(op(1));
        jury.resign();
        uint256 until = set.epoch() + 1;
        vm.prank(op(1));
        vm.expectRevert(abi.encodeWithSelector(IJury.NotEnlisted.selector, op(1)));
        jury.resign();
        vm.prank(op(9));
        vm.expectRevert(abi.encodeWithSelector(IJury.NotEnlisted.selector, op(9)));
        jury.resign();
        vm.expectRevert(abi.encodeWithSelector(IJury.NotEnlisted.selector, op(2)));
        jury.takeLock(op(2));
        for (uint256 i = 0; i < 3; ++i) {
            nextEpoch();
            vm.expectRevert(abi.encodeWithSelector(IJury.LockBound.selector, op(1), until + 3));
            jury.takeLock(op(1));
        }
        nextEpoch();
        jury.takeLock(op(1));
        vm.assertEq(registry.lockedBy(op(1), address(jury)), 0);
        vm.assertEq(jury.juror(op(1)).from, 0);
        enlist(op(1));
    }

    function test_enlist_againOnlyWhenNoDrawCanBeMadeOfTheOldTime() public {
        vm.prank(op(1));
        jury.resign();
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(op(1));
            vm.expectRevert(abi.encodeWithSelector(IJury.AlreadyEnlisted.selector, op(1)));
            jury.enlist();
            nextEpoch();
        }
        vm.prank(ADMIN);
        IJury.Params memory p = juryParams();
        p.jurorLock = 2 * JUROR_LOCK;
        jury.setParams(p);
        enlist(op(1)); // tops the lock up
        vm.assertEq(registry.lockedBy(op(1), address(jury)), 2 * JUROR_LOCK);
        vm.assertEq(jury.juror(op(1)).until, 0);
        // A lower lock frees nothing by itself.
        vm.prank(op(1));
        jury.resign();
        nextEpoch();
        nextEpoch();
        vm.prank(ADMIN);
        jury.setParams(juryParams());
        enlist(op(1));
        vm.assertEq(jury.juror(op(1)).lock, 2 * JUROR_LOCK);
    }

    // ---- the draw ----

    function test_summon_byTheGameAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IJury.NotGame.selector, address(this)));
        jury.summon(id);
        IJury.Trial memory t = jury.trial(id);
        expectStage(IJury.Stage.Drawing);
        vm.assertEq(t.until, block.timestamp + VOTE);
        vm.assertEq(t.seedBlock, block.number + DELAY);
        vm.assertEq(t.epoch, set.epoch());
        vm.assertEq(t.seats, 15);
        vm.assertEq(t.quorum, 11);
        vm.assertEq(uint256(jury.trial(id + 1).stage), uint256(IJury.Stage.None));
    }

    function test_seal_onlyTheBlockThatWasNamed() public {
        uint64 number = jury.trial(id).seedBlock;
        bytes memory header = HeaderRlp.header(bytes32(uint256(1)), 3, 77, 7);
        vm.roll(number);
        vm.expectRevert(abi.encodeWithSelector(BlockHeader.HeaderOutOfReach.selector, number));
        jury.seal(id, header);
        vm.roll(number + 1);
        vm.setBlockhash(number, keccak256("another"));
        vm.expectPartialRevert(BlockHeader.WrongHeader.selector);
        jury.seal(id, header);
        vm.setBlockhash(number, keccak256(header));
        jury.seal(id, header);
        vm.assertEq(jury.trial(id).seed, keccak256(abi.encode(uint256(77), id, false)));
        vm.expectRevert(wrongStage(IJury.Stage.Voting)); // there is never a second seed
        jury.seal(id, header);
    }

    function test_jurorOf_isDrawnAmongTheEnlistedAndNeverAParty() public {
        vm.assertEq(jury.jurorOf(id, 0), address(0)); // no seed yet
        sealWith(id, 5);
        uint256 taken = 0;
        uint256 kinds = 0;
        for (uint256 seat = 0; seat < 15; ++seat) {
            address juror = jury.jurorOf(id, seat);
            if (juror == address(0)) continue;
            ++taken;
            uint256 i = uint160(juror) - uint160(op(0));
            vm.assertTrue(i >= 1 && i <= 7);
            kinds |= 1 << i;
            vm.assertEq(juror, expectedJuror(seat));
        }
        vm.assertGe(taken, 14, "three quarters of the weight are enlisted");
        vm.assertTrue(kinds & (kinds - 1) != 0, "several operators");
        vm.assertEq(jury.jurorOf(id, 15), address(0)); // of an appeal
    }

    /// @dev The rule again, for parties without other operators.
    function expectedJuror(uint256 seat) internal view returns (address) {
        IJury.Trial memory t = jury.trial(id);
        for (uint256 i = 0; i < 4; ++i) {
            address drawn = set.draw(t.epoch, uint256(keccak256(abi.encode(t.seed, "juror", seat, i))));
            if (drawn != op(0)) return drawn;
        }
        return address(0);
    }

    function test_jurorOf_passesOverOwnersOfBothSides() public {
        sealWith(id, 5);
        // op(1) gets the operator's owner, op(2) the challenger's, op(3) is owned by the challenger itself.
        own(op(0), address(0xC01D));
        own(op(1), address(0xC01D));
        own(op(3), ALICE);
        for (uint256 seat = 0; seat < 15; ++seat) {
            address juror = jury.jurorOf(id, seat);
            vm.assertTrue(juror != op(1) && juror != op(3));
        }
        // A challenger that signs for op(4), whose owner also owns op(5).
        own(op(4), address(0xC02D));
        own(op(5), address(0xC02D));
        vm.prank(address(0xC02D));
        keys.proposeSigner(op(4), ALICE);
        vm.prank(ALICE);
        keys.acceptSigner(op(4));
        for (uint256 seat = 0; seat < 15; ++seat) {
            address juror = jury.jurorOf(id, seat);
            vm.assertTrue(juror != op(4) && juror != op(5));
        }
    }

    function own(address operator, address owner) internal {
        vm.prank(operator);
        registry.proposeOwner(operator, owner);
        vm.prank(owner);
        registry.acceptOwner(operator);
    }

    function test_jurorOf_theChallengerIsNoJuror() public {
        vm.prank(op(2));
        token.approve(address(game), type(uint256).max);
        own(op(2), address(0xC0FE)); // its owner is another, and still
        id = toTheJury(op(2), CLAIM);
        sealWith(id, 5);
        for (uint256 seat = 0; seat < 15; ++seat) {
            vm.assertTrue(jury.jurorOf(id, seat) != op(2));
        }
    }

    function test_jurorOf_nobodyEnlistedLeavesSeatsEmpty() public {
        for (uint256 i = 1; i < 8; ++i) {
            vm.prank(op(i));
            jury.resign();
        }
        nextEpoch();
        id = toTheJury(BOB, CLAIM);
        sealWith(id, 5);
        for (uint256 seat = 0; seat < 15; ++seat) {
            vm.assertEq(jury.jurorOf(id, seat), address(0));
        }
        vm.expectRevert(abi.encodeWithSelector(IJury.NotJuror.selector, id, 0, op(1)));
        vm.prank(op(1));
        jury.vote(id, 0, bytes32(uint256(1)));
        endStage();
        vm.expectRevert(abi.encodeWithSelector(IJury.NotAbsent.selector, id, 0));
        jury.reportAbsent(id, 0);
        endStage();
        finish();
        expectStatus(id, IDisputeGame.Status.OperatorWon);
    }

    // ---- voting ----

    /// Who seals in the last second would have the drawn punished for not voting.
    function test_seal_leavesHalfTheTimeToVote() public {
        uint40 last = jury.trial(id).until - VOTE / 2;
        bytes memory header = HeaderRlp.header(bytes32(uint256(1)), 3, 1, 7);
        uint64 number = jury.trial(id).seedBlock;
        vm.roll(number + 1);
        vm.setBlockhash(number, keccak256(header));
        vm.warp(last + 1);
        vm.expectRevert(wrongStage(IJury.Stage.Drawing));
        jury.seal(id, header);
        vm.warp(last);
        jury.seal(id, header);
        vm.assertEq(uint256(jury.trial(id).stage), uint256(IJury.Stage.Voting));
    }

    function test_vote_byTheSeatsJurorOnceAndInTime() public {
        vm.expectRevert(wrongStage(IJury.Stage.Drawing));
        jury.vote(id, 0, bytes32(uint256(1)));
        sealWith(id, 5);
        address juror = jury.jurorOf(id, 0);
        vm.expectRevert(abi.encodeWithSelector(IJury.NotJuror.selector, id, 0, BOB));
        vm.prank(BOB);
        jury.vote(id, 0, bytes32(uint256(1)));
        vote(0, true);
        vm.prank(juror);
        vm.expectRevert(abi.encodeWithSelector(IJury.AlreadyVoted.selector, id, 0));
        jury.vote(id, 0, bytes32(uint256(1)));
        vm.expectRevert(abi.encodeWithSelector(IJury.NotJuror.selector, id, 15, juror));
        vm.prank(juror);
        jury.vote(id, 15, bytes32(uint256(1)));
        vm.warp(jury.trial(id).until);
        vote(1, true); // the last second
        vm.warp(block.timestamp + 1);
        address second = jury.jurorOf(id, 2);
        vm.prank(second);
        vm.expectRevert(wrongStage(IJury.Stage.Revealing));
        jury.vote(id, 2, bytes32(uint256(1)));
        vm.assertEq(jury.jurorOf(id, 0), juror);
    }

    function test_revealVote_onlyWhatWasCommittedOnceAndInTime() public {
        sealWith(id, 5);
        vote(0, true);
        vm.expectRevert(wrongStage(IJury.Stage.Voting));
        jury.revealVote(id, 0, true, saltOf(0));
        endStage();
        bytes memory wrong = abi.encodeWithSelector(IJury.WrongReveal.selector, id, 0);
        vm.expectRevert(wrong);
        jury.revealVote(id, 0, false, saltOf(0));
        vm.expectRevert(wrong);
        jury.revealVote(id, 0, true, saltOf(1));
        vm.expectRevert(abi.encodeWithSelector(IJury.WrongReveal.selector, id, 1));
        jury.revealVote(id, 1, true, saltOf(1)); // nobody voted
        vm.expectRevert(abi.encodeWithSelector(IJury.WrongReveal.selector, id, 15));
        jury.revealVote(id, 15, true, saltOf(15));
        vm.warp(jury.trial(id).until);
        reveal(0, true);
        vm.assertEq(jury.trial(id).right, 1);
        vm.expectRevert(wrong);
        jury.revealVote(id, 0, true, saltOf(0));
        endStage();
        vm.expectRevert(wrongStage(IJury.Stage.Appealable));
        jury.revealVote(id, 0, true, saltOf(0));
    }

    // ---- verdicts ----

    function test_finish_elevenOfFifteenConvict() public {
        round(5, 0, 15, 11);
        expectStage(IJury.Stage.Appealable);
        vm.expectRevert(wrongStage(IJury.Stage.Appealable));
        jury.finish(id);
        endStage();
        expectStage(IJury.Stage.Final);
        jury.finish(id);
        expectStatus(id, IDisputeGame.Status.ChallengerWon);
        vm.expectRevert(wrongStage(IJury.Stage.Final));
        jury.finish(id);
        vm.assertEq(book.punished(CLAIM), 1);
        vm.assertEq(registry.bounty(ALICE), LOCK / 4);
        // A quarter of the lock for eleven seats; nothing for the four others.
        uint256 reward = LOCK / 4 / uint256(11);
        vm.assertEq(jury.trial(id).reward, reward);
        for (uint256 seat = 0; seat < 15; ++seat) {
            if (seat >= 11) {
                vm.expectRevert(abi.encodeWithSelector(IJury.NothingToTake.selector, id, seat));
                jury.takeReward(id, seat);
                continue;
            }
            address juror = jury.jurorOf(id, seat);
            uint256 before = token.balanceOf(juror);
            jury.takeReward(id, seat);
            vm.assertEq(token.balanceOf(juror) - before, reward);
            vm.expectRevert(abi.encodeWithSelector(IJury.NothingToTake.selector, id, seat));
            jury.takeReward(id, seat);
        }
        vm.assertLe(token.balanceOf(address(jury)), 10, "what rounding leaves");
    }

    function test_finish_tenOfFifteenAcquit() public {
        round(5, 0, 15, 10);
        finish();
        expectStatus(id, IDisputeGame.Status.OperatorWon);
        vm.assertEq(slashable(op(0)), 5 * MIN_SELF, "nothing of the operator's stake moves");
        vm.expectRevert(abi.encodeWithSelector(IJury.NothingToTake.selector, id, 12));
        jury.takeReward(id, 12);
    }

    function test_finish_tooFewVotesAcquit() public {
        round(5, 0, 10, 10);
        finish();
        expectStatus(id, IDisputeGame.Status.OperatorWon);
    }

    function test_finish_nobodySealed() public {
        endStage();
        vm.expectRevert(wrongStage(IJury.Stage.Revealing));
        jury.seal(id, "");
        vm.expectRevert(abi.encodeWithSelector(IJury.NotAbsent.selector, id, 0));
        jury.reportAbsent(id, 0);
        endStage();
        finish();
        expectStatus(id, IDisputeGame.Status.OperatorWon);
    }

    function test_finish_afterTheClaimEndedLeavesNobodyAnything() public {
        round(5, 0, 15, 15);
        book.end(CLAIM);
        game.close(id);
        finish();
        expectStatus(id, IDisputeGame.Status.Void);
        vm.assertEq(jury.trial(id).reward, 0);
        vm.expectRevert(abi.encodeWithSelector(IJury.NothingToTake.selector, id, 0));
        jury.takeReward(id, 0);
    }

    function test_finish_aBountyFromElsewhereStopsNothing() public {
        registry.lock(op(7), 10e18);
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(address(jury), 5000);
        registry.slash(op(7), 10e18, 10e18, cuts, IStakeRegistry.Jail.No);
        round(5, 0, 15, 0);
        finish();
        expectStatus(id, IDisputeGame.Status.OperatorWon);
    }

    // ---- appeals ----

    function test_appeal_byTheLosingSideOnceAndInTime() public {
        vm.expectRevert(wrongStage(IJury.Stage.Drawing));
        jury.appeal(id);
        round(5, 0, 15, 11);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IJury.NotLoser.selector, id, ALICE));
        jury.appeal(id);
        vm.warp(jury.trial(id).until);
        appeal(op(0));
        IJury.Trial memory t = jury.trial(id);
        vm.assertTrue(t.appealed);
        vm.assertEq(t.seats, 31);
        vm.assertEq(t.quorum, 23);
        vm.assertEq(t.appellant, op(0));
        vm.assertEq(t.seed, bytes32(0));
        vm.assertEq(token.balanceOf(address(jury)), APPEAL_BOND);
        round(6, 15, 31, 31);
        expectStage(IJury.Stage.Final); // no second appeal
        vm.prank(op(0));
        vm.expectRevert(wrongStage(IJury.Stage.Final));
        jury.appeal(id);
    }

    function test_appeal_byTheOperatorsOwnerToo() public {
        own(op(0), BOB);
        approveJury(BOB);
        round(5, 0, 15, 11);
        appeal(BOB);
        vm.assertEq(jury.trial(id).appellant, BOB);
    }

    function test_appeal_tooLate() public {
        round(5, 0, 15, 11);
        endStage();
        vm.prank(op(0));
        vm.expectRevert(wrongStage(IJury.Stage.Final));
        jury.appeal(id);
    }

    function test_appeal_operatorIsHeard() public {
        round(5, 0, 15, 11);
        appeal(op(0));
        round(6, 15, 31, 22); // one too few
        finish();
        expectStatus(id, IDisputeGame.Status.OperatorWon);
        vm.assertEq(jury.owed(op(0)), APPEAL_BOND);
    }

    function test_appeal_operatorLosesAgainAndItsBond() public {
        round(5, 0, 15, 11);
        appeal(op(0));
        uint256 supply = token.totalSupply();
        round(6, 15, 31, 23);
        finish();
        expectStatus(id, IDisputeGame.Status.ChallengerWon);
        vm.assertEq(jury.owed(ALICE), APPEAL_BOND / 2);
        registry.burnSlashed();
        vm.assertEq(supply - token.totalSupply(), APPEAL_BOND / 2 + LOCK / 2);
        // Seats of both rounds share.
        vm.assertEq(jury.trial(id).reward, LOCK / 4 / uint256(34));
        jury.takeReward(id, 0);
        jury.takeReward(id, 15);
        vm.expectRevert(abi.encodeWithSelector(IJury.NothingToTake.selector, id, 14));
        jury.takeReward(id, 14);
        vm.expectRevert(abi.encodeWithSelector(IJury.NothingToTake.selector, id, 45));
        jury.takeReward(id, 45);
        vm.prank(ALICE);
        jury.withdraw();
        vm.assertEq(jury.owed(ALICE), 0);
    }

    function test_appeal_challengerIsHeard() public {
        round(5, 0, 15, 0);
        vm.prank(op(0));
        vm.expectRevert(abi.encodeWithSelector(IJury.NotLoser.selector, id, op(0)));
        jury.appeal(id);
        appeal(ALICE);
        round(6, 15, 31, 31);
        finish();
        expectStatus(id, IDisputeGame.Status.ChallengerWon);
        vm.assertEq(jury.owed(ALICE), APPEAL_BOND);
        vm.assertEq(jury.trial(id).reward, LOCK / 4 / uint256(31));
    }

    function test_appeal_challengerLosesAgain() public {
        round(5, 0, 15, 0);
        appeal(ALICE);
        round(6, 15, 31, 0);
        finish();
        expectStatus(id, IDisputeGame.Status.OperatorWon);
        vm.assertEq(jury.owed(op(0)), APPEAL_BOND / 2);
    }

    function test_appeal_unsealedAgainGoesAgainstTheOperatorsAccusers() public {
        endStage();
        endStage();
        appeal(ALICE); // nobody sealed the first
        endStage();
        endStage();
        finish();
        expectStatus(id, IDisputeGame.Status.OperatorWon);
        vm.assertEq(jury.owed(op(0)), APPEAL_BOND / 2);
    }

    function test_appeal_bondComesBackWhenTheClaimEndedOtherwise() public {
        round(5, 0, 15, 11);
        appeal(op(0));
        book.end(CLAIM);
        round(6, 15, 31, 31);
        finish();
        expectStatus(id, IDisputeGame.Status.Void);
        vm.assertEq(jury.owed(op(0)), APPEAL_BOND);
    }

    // ---- absence ----

    function test_reportAbsent_whoNeverVoted() public {
        sealWith(id, 5);
        vm.expectRevert(abi.encodeWithSelector(IJury.NotAbsent.selector, id, 0));
        jury.reportAbsent(id, 0);
        vm.warp(jury.trial(id).until);
        vm.expectRevert(abi.encodeWithSelector(IJury.NotAbsent.selector, id, 0));
        jury.reportAbsent(id, 0);
        vm.warp(block.timestamp + 1);
        address absent = jury.jurorOf(id, 0);
        uint256 supply = token.totalSupply();
        jury.reportAbsent(id, 0);
        registry.burnSlashed();
        vm.assertEq(supply - token.totalSupply(), JUROR_LOCK / 10);
        IJury.Juror memory j = jury.juror(absent);
        vm.assertEq(j.lock, JUROR_LOCK - JUROR_LOCK / 10);
        vm.assertEq(registry.lockedBy(absent, address(jury)), j.lock);
        vm.assertEq(j.until, set.epoch() + 1);
        vm.expectRevert(abi.encodeWithSelector(IJury.NotAbsent.selector, id, 0));
        jury.reportAbsent(id, 0);
        // Once more for another seat of the same juror; it has resigned already.
        for (uint256 seat = 1; seat < 15; ++seat) {
            if (jury.jurorOf(id, seat) != absent) continue;
            jury.reportAbsent(id, seat);
            vm.assertEq(jury.juror(absent).lock, JUROR_LOCK - 2 * JUROR_LOCK / 10);
            return;
        }
        vm.assertTrue(false, "the juror has one seat only");
    }

    function test_reportAbsent_whoNeverRevealed() public {
        sealWith(id, 5);
        vote(0, true);
        vote(1, true);
        vm.warp(jury.trial(id).until + 1);
        reveal(1, true);
        vm.expectRevert(abi.encodeWithSelector(IJury.NotAbsent.selector, id, 0));
        jury.reportAbsent(id, 0);
        endStage();
        vm.expectRevert(abi.encodeWithSelector(IJury.NotAbsent.selector, id, 1));
        jury.reportAbsent(id, 1);
        address absent = jury.jurorOf(id, 0);
        jury.reportAbsent(id, 0);
        vm.assertEq(jury.juror(absent).lock, JUROR_LOCK - JUROR_LOCK / 10);
        vm.expectRevert(abi.encodeWithSelector(IJury.NotAbsent.selector, id, 0));
        jury.reportAbsent(id, 0);
    }

    function test_reportAbsent_ofTheFirstRoundDuringTheAppeal() public {
        sealWith(id, 5);
        vote(0, true);
        endStage();
        endStage();
        appeal(ALICE);
        address absent = jury.jurorOf(id, 0);
        jury.reportAbsent(id, 0);
        vm.assertEq(jury.juror(absent).lock, JUROR_LOCK - JUROR_LOCK / 10);
    }

    function test_reportAbsent_notOnceTheLockMayBeGone() public {
        sealWith(id, 5);
        vote(0, true);
        uint256 epoch = set.epoch();
        while (set.epoch() <= epoch + 3) {
            nextEpoch();
        }
        vm.expectRevert(abi.encodeWithSelector(IJury.NotAbsent.selector, id, 0));
        jury.reportAbsent(id, 0);
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.EpochNotKept.selector, epoch, epoch + 4));
        jury.reportAbsent(id, 1);
        vm.expectRevert(abi.encodeWithSelector(IJury.NotAbsent.selector, id + 1, 0));
        jury.reportAbsent(id + 1, 0);
    }

    function test_reportAbsent_takesNoMoreThanTheLock() public {
        sealWith(id, 5);
        vm.prank(ADMIN);
        IJury.Params memory p = juryParams();
        p.jurorLock = 100 * JUROR_LOCK;
        jury.setParams(p);
        endStage();
        address absent = jury.jurorOf(id, 0);
        jury.reportAbsent(id, 0);
        vm.assertEq(jury.juror(absent).lock, 0);
        vm.assertEq(registry.lockedBy(absent, address(jury)), 0);
    }

    // ---- governance ----

    function test_setParams_withinBoundsForLaterTrials() public {
        IJury.Params memory p = IJury.Params(2, 2 hours, 3 hours, 4 hours, 5e18, 6e18);
        vm.expectRevert(abi.encodeWithSelector(IBonds.NotAdmin.selector, address(this)));
        jury.setParams(p);
        vm.prank(ADMIN);
        jury.setParams(p);
        vm.assertEq(jury.params().voteWindow, 2 hours);
        vm.assertEq(jury.trial(id).until, block.timestamp + VOTE);
        uint256 later = toTheJury(BOB, CLAIM);
        vm.assertEq(jury.trial(later).until, block.timestamp + 2 hours);
        endStage();
        vm.assertEq(jury.trial(id).until, block.timestamp - 1 + REVEAL);
    }

    function test_setParams_revertsOutOfBounds() public {
        vm.startPrank(ADMIN);
        for (uint256 field = 0; field < 6; ++field) {
            for (uint256 up = 0; up < 2; ++up) {
                IJury.Params memory p = juryParams();
                if (field == 0) p.seedDelay = up == 1 ? 65 : 0;
                if (field == 1) p.voteWindow = up == 1 ? VOTE + 1 : 1 hours - 1;
                if (field == 2) p.revealWindow = up == 1 ? REVEAL + 1 : 1 hours - 1;
                if (field == 3) p.appealWindow = up == 1 ? APPEAL + 1 : 1 hours - 1;
                if (field == 4) p.jurorLock = up == 1 ? 1e24 + 1 : 1e18 - 1;
                if (field == 5) p.appealBond = up == 1 ? 1e24 + 1 : 1e18 - 1;
                vm.expectPartialRevert(IBonds.ParamOutOfBounds.selector);
                jury.setParams(p);
            }
        }
        vm.stopPrank();
    }

    function test_deploy_revertsWhenAVoteCouldOutlastTheDraws() public {
        IJury.Params memory most = juryParams();
        most.voteWindow = 1 days;
        vm.expectRevert(abi.encodeWithSelector(IBonds.ParamOutOfBounds.selector, 1 days, VOTE, 1 days - 1));
        new Jury(game, IClaimBook(address(book)), registry, token, ADMIN, juryParams(), juryParams(), most);
    }

    function test_reach_isThatOfTheBounds() public view {
        vm.assertEq(jury.reach(), 2 * (VOTE + REVEAL) + APPEAL);
        vm.assertEq(game.reach(), 2 * (24 hours + 4 * 1 hours) + jury.reach());
    }
}
