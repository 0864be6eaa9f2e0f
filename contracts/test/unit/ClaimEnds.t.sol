// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "../ClaimFixture.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

/// @dev How claims end: settled, missed, punished; and what keeps them open.
contract ClaimEndsTest is ClaimFixture {
    IClaimBook.ClaimState[3] internal over =
        [IClaimBook.ClaimState.Settled, IClaimBook.ClaimState.Missed, IClaimBook.ClaimState.Slashed];

    function lockedByBook() internal view returns (uint256) {
        return registry.lockedBy(operator, address(book));
    }

    function cut(address to, uint16 share) internal pure returns (IStakeRegistry.Cut[] memory cuts) {
        cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(to, share);
    }

    function punish(uint64 claimId, IClaimBook.Fault fault, IStakeRegistry.Cut[] memory cuts)
        internal
        returns (uint256)
    {
        vm.prank(address(judges));
        return book.punish(claimId, fault, cuts);
    }

    function hold(address judge, uint64 claimId) internal {
        vm.prank(judge);
        book.hold(claimId);
    }

    function letGo(address judge, uint64 claimId) internal {
        vm.prank(judge);
        book.letGo(claimId);
    }

    function warpPast(uint256 time) internal {
        vm.warp(time + 1);
    }

    // ---- settle ----

    function test_settle_paysTheFeeAndFreesTheCollateral() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 claimId = submitAndReveal(id, 5);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        judges.reveal(claimId);
        warpPast(c.contestUntil);
        uint256 bonded = info(operator).bonded;
        vm.expectEmit(address(book));
        emit IClaimBook.ClaimSettled(claimId, operator, c.fee);
        vm.prank(STRANGER);
        book.settle(claimId);
        uint256 toVerifiers = uint256(c.fee) * 2 / 100;
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Settled);
        vm.assertEq(market.feesOf(operator), c.fee - toVerifiers);
        vm.assertEq(address(judges).balance, toVerifiers);
        vm.assertEq(book.verifiersPart(claimId), toVerifiers);
        vm.assertEq(market.job(id).escrow, 1 ether - c.fee);
        vm.assertEq(market.job(id).reserved, 0);
        vm.assertEq(market.job(id).openClaims, 0);
        vm.assertEq(lockedByBook(), 0);
        vm.assertEq(info(operator).bonded, bonded);
    }

    function test_settle_allOfTheFeeIsTheOperatorsWhenNobodyVerified() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        vm.assertEq(book.verifiersPart(claimId), 0, "not settled");
        warpPast(c.contestUntil);
        book.settle(claimId);
        vm.assertEq(market.feesOf(operator), c.fee);
        vm.assertEq(address(judges).balance, 0);
    }

    function test_settle_afterContestUntil() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        uint256 until = book.claimInfo(claimId).contestUntil;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.TooEarly.selector, claimId, until));
        book.settle(claimId);
        warpPast(until);
        book.settle(claimId);
    }

    function test_settle_revertsUntilRevealed() public {
        uint64 claimId = submitAndAnswer(activeJob(1 ether, 4), 5);
        warpPast(book.claimInfo(claimId).contestUntil);
        vm.expectRevert(inState(claimId, IClaimBook.ClaimState.Answered));
        book.settle(claimId);
    }

    function test_settle_evenWhenALaterSlashTookStakeFromUnderTheLock() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        slash(operator, type(uint96).max);
        vm.assertEq(info(operator).bonded, 0);
        warpPast(book.claimInfo(claimId).contestUntil);
        book.settle(claimId);
        vm.assertEq(lockedByBook(), 0);
    }

    // ---- missed ----

    function test_slashMissed_takesTheLockAndGivesTheFeeBack() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 claimId = submit(id, 5);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        vm.warp(c.answerUntil);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.TooEarly.selector, claimId, c.answerUntil));
        book.slashMissed(claimId);
        warpPast(c.answerUntil);
        (uint256 bonded, uint256 supply) = (info(operator).bonded, token.totalSupply());
        vm.expectEmit(address(book));
        emit IClaimBook.ClaimMissed(claimId, operator, c.lock);
        vm.prank(FINDER);
        book.slashMissed(claimId);
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Missed);
        vm.assertEq(bonded - info(operator).bonded, c.lock);
        vm.assertEq(registry.bounty(client), c.lock * 4 / 10);
        vm.assertEq(registry.bounty(FINDER), c.lock / 10);
        registry.burnSlashed();
        vm.assertEq(supply - token.totalSupply(), c.lock / 2);
        vm.assertEq(lockedByBook(), 0);
        vm.assertEq(market.job(id).escrow, 1 ether);
        vm.assertEq(market.job(id).reserved, 0);
        vm.assertEq(market.job(id).nextSeq, 5, "the segments are not claimed again");
        vm.assertTrue(!(info(operator).jailedUntil > block.timestamp));
    }

    function test_slashMissed_sealedAndNotAnswered() public {
        uint64 claimId = submitAndSeal(activeJob(1 ether, 4), 5);
        warpPast(book.claimInfo(claimId).answerUntil);
        book.slashMissed(claimId);
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Missed);
    }

    function test_slashMissed_answeredAndNotRevealed() public {
        uint64 claimId = submitAndAnswer(activeJob(1 ether, 4), 5);
        uint256 until = book.claimInfo(claimId).revealUntil;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.TooEarly.selector, claimId, until));
        book.slashMissed(claimId);
        warpPast(until);
        book.slashMissed(claimId);
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Missed);
    }

    function test_slashMissed_revertsWhenRevealed() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        warpPast(book.claimInfo(claimId).contestUntil);
        vm.expectRevert(inState(claimId, IClaimBook.ClaimState.Revealed));
        book.slashMissed(claimId);
        vm.expectRevert(inState(7, IClaimBook.ClaimState.None));
        book.slashMissed(7);
    }

    function test_slashMissed_takesWhatIsLeftOfAnOperatorSlashedElsewhere() public {
        uint64 claimId = submit(activeJob(1 ether, 4), 5);
        slash(operator, info(operator).bonded - 1e18);
        warpPast(book.claimInfo(claimId).answerUntil);
        vm.expectEmit(address(book));
        emit IClaimBook.ClaimMissed(claimId, operator, 1e18);
        book.slashMissed(claimId);
        vm.assertEq(lockedByBook(), 0);
    }

    // ---- holds ----

    function test_hold_keepsAClaimFromBeingSettled() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        uint256 until = book.claimInfo(claimId).contestUntil;
        vm.warp(until);
        hold(address(judges), claimId);
        hold(address(game), claimId);
        hold(address(game), claimId);
        vm.assertEq(book.claimInfo(claimId).holds, 3);
        warpPast(until);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.Held.selector, claimId, 3));
        book.settle(claimId);
        letGo(address(game), claimId);
        letGo(address(judges), claimId);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.Held.selector, claimId, 1));
        book.settle(claimId);
        letGo(address(game), claimId);
        book.settle(claimId);
        letGo(address(game), claimId); // over: nothing happens
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Settled);
        vm.assertEq(book.claimInfo(claimId).holds, 0);
    }

    function test_contest_saysWhatClaimInfoDoes() public {
        uint64 id = activeJob(1 ether, 4);
        requireContest(7);
        requireContest(submit(id, 5));
        requireContest(submitAndAnswer(activeJob(1 ether, 4), 5));
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        hold(address(game), claimId);
        requireContest(claimId);
        vm.assertEq(book.operatorOf(claimId), operator);
    }

    function requireContest(uint64 claimId) internal view {
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        (IClaimBook.ClaimState state_, uint40 until, uint8 held, bytes32 answers) = book.contest(claimId);
        vm.assertTrue(state_ == c.state);
        vm.assertEq(until, c.contestUntil);
        vm.assertEq(held, c.holds);
        vm.assertEq(answers, c.answers);
        uint128 lock;
        (state_, until, held, answers, lock) = book.contestAndLock(claimId);
        vm.assertTrue(state_ == c.state);
        vm.assertEq(until, c.contestUntil);
        vm.assertEq(held, c.holds);
        vm.assertEq(answers, c.answers);
        vm.assertEq(lock, state_ == IClaimBook.ClaimState.Revealed ? c.lock : 0);
    }

    function test_hold_inTheContestWindowOfARevealedClaim() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 claimId = submitAndAnswer(id, 5);
        vm.expectRevert(inState(claimId, IClaimBook.ClaimState.Answered));
        hold(address(game), claimId);
        vm.warp(book.claimInfo(claimId).attestUntil + 1);
        reveal(claimId);
        uint256 until = book.claimInfo(claimId).contestUntil;
        warpPast(until);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.TooLate.selector, claimId, until));
        hold(address(game), claimId);
    }

    function test_hold_fifteenOfEachJudge() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        address[2] memory both = [address(judges), address(game)];
        for (uint256 j = 0; j < 2; ++j) {
            for (uint256 i = 0; i < 15; ++i) {
                hold(both[j], claimId);
            }
            vm.expectRevert(abi.encodeWithSelector(IClaimBook.Held.selector, claimId, 15));
            hold(both[j], claimId);
        }
        vm.assertEq(book.claimInfo(claimId).holds, 30);
        for (uint256 j = 0; j < 2; ++j) {
            for (uint256 i = 0; i < 15; ++i) {
                letGo(both[j], claimId);
            }
            vm.expectRevert(abi.encodeWithSelector(IClaimBook.NotHeld.selector, claimId, both[j]));
            letGo(both[j], claimId);
        }
    }

    function test_judges_aloneHoldAndPunish() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        address[3] memory others = [STRANGER, operator, TIMELOCK];
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory why = abi.encodeWithSelector(IClaimBook.NotJudge.selector, others[i]);
            vm.expectRevert(why);
            hold(others[i], claimId);
            vm.expectRevert(why);
            letGo(others[i], claimId);
            vm.prank(others[i]);
            vm.expectRevert(why);
            book.punish(claimId, IClaimBook.Fault.Proof, noCuts);
        }
    }

    // ---- punish ----

    function test_punish_aProofTakesLockAndATwentiethAndStrikes() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 claimId = submitAndReveal(id, 5);
        vm.prank(operator);
        registry.unbond(3000e18);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        hold(address(game), claimId);
        uint256 own = registry.ownStake(operator);
        vm.assertEq(own, 10 * MIN_SELF);
        uint256 expected = c.lock + own / 20;
        vm.expectEmit(address(book));
        emit IClaimBook.ClaimSlashed(claimId, operator, IClaimBook.Fault.Proof, expected);
        vm.assertEq(punish(claimId, IClaimBook.Fault.Proof, cut(FINDER, 5000)), expected);
        vm.assertEq(own - registry.ownStake(operator), expected, "bonded and thawing alike");
        vm.assertEq(registry.bounty(FINDER), expected / 2);
        vm.assertEq(info(operator).strikes, 1);
        vm.assertEq(lockedByBook(), 0);
        vm.assertEq(market.job(id).escrow, 1 ether);
        vm.assertEq(book.claimInfo(claimId).holds, 0);
        letGo(address(game), claimId); // a game of a claim that is over may be closed
    }

    function test_punish_aVerdictTakesTheLockAndJailsShortly() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        vm.prank(address(game));
        vm.assertEq(book.punish(claimId, IClaimBook.Fault.Verdict, cut(FINDER, 2500)), c.lock);
        vm.assertEq(registry.bounty(FINDER), c.lock / 4);
        vm.assertEq(info(operator).strikes, 0);
        vm.assertEq(info(operator).jailedUntil, block.timestamp + 3 days);
    }

    function test_punish_withheldIsAsMissed() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        vm.assertEq(punish(claimId, IClaimBook.Fault.Withheld, cut(FINDER, 7777)), c.lock);
        vm.assertEq(registry.bounty(client), c.lock * 4 / 10);
        vm.assertEq(registry.bounty(FINDER), c.lock / 10);
        vm.assertEq(info(operator).jailedUntil, 0);
        vm.assertTrue(claimState(claimId) == IClaimBook.ClaimState.Slashed);
    }

    function test_punish_aTwentiethRoundsUp() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        slash(operator, 1);
        uint256 lock = book.claimInfo(claimId).lock;
        vm.assertEq(punish(claimId, IClaimBook.Fault.Proof, noCuts), lock + 500e18, "of 1e22 - 1");
    }

    function test_punish_anyClaimThatIsNotOver() public {
        uint64 id = activeJob(1 ether, 4);
        uint64[4] memory ids = [submitAndReveal(id, 5), submitAndAnswer(id, 5), submitAndSeal(id, 5), submit(id, 5)];
        for (uint256 i = 0; i < 4; ++i) {
            punish(ids[i], IClaimBook.Fault.Verdict, noCuts);
            vm.assertTrue(claimState(ids[i]) == IClaimBook.ClaimState.Slashed);
        }
        vm.assertEq(lockedByBook(), 0);
        vm.assertEq(market.job(id).openClaims, 0);
        vm.expectRevert(inState(7, IClaimBook.ClaimState.None));
        punish(7, IClaimBook.Fault.Verdict, noCuts);
    }

    function test_punish_revertsWhenCutsAreMoreThanHalf() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        IStakeRegistry.Cut[] memory cuts = cut(FINDER, 5001);
        vm.prank(address(judges));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.CutsTooLarge.selector, 5001, 5000));
        book.punish(claimId, IClaimBook.Fault.Verdict, cuts);
    }

    // ---- over is over ----

    function ended(uint64 id, uint256 how) internal returns (uint64 claimId) {
        claimId = submitAndReveal(id, 5);
        if (how == 0) {
            warpPast(book.claimInfo(claimId).contestUntil);
            book.settle(claimId);
        } else if (how == 1) {
            claimId = submit(id, 5);
            warpPast(book.claimInfo(claimId).answerUntil);
            book.slashMissed(claimId);
        } else {
            punish(claimId, IClaimBook.Fault.Verdict, noCuts);
        }
    }

    function test_terminalStatesAreAbsorbing() public {
        for (uint256 how = 0; how < 3; ++how) {
            uint64 id = activeJob(1 ether, 4);
            uint64 claimId = ended(id, how);
            IClaimBook.Claim memory c = book.claimInfo(claimId);
            IJobMarket.Job memory j = market.job(id);
            vm.assertTrue(c.state == over[how]);
            bytes memory why = inState(claimId, c.state);
            vm.warp(block.timestamp + 1 days);
            vm.roll(block.number + 300);
            vm.expectRevert(why);
            book.seal(claimId, "", 0);
            vm.expectRevert(why);
            book.settle(claimId);
            vm.expectRevert(why);
            book.slashMissed(claimId);
            vm.expectRevert(why);
            hold(address(game), claimId);
            vm.expectRevert(why);
            punish(claimId, IClaimBook.Fault.Proof, noCuts);
            letGo(address(judges), claimId);
            vm.assertEq(keccak256(abi.encode(book.claimInfo(claimId))), keccak256(abi.encode(c)));
            vm.assertEq(keccak256(abi.encode(market.job(id))), keccak256(abi.encode(j)));
        }
    }

    // ---- a book that has ended ----

    /// Anyone may free what a retired book has locked, once it can no longer slash; its last claims end all the same.
    function test_ends_evenWhenTheRegistryHasFreedTheLock() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 a = submitAndReveal(id, 5);
        uint64 b = submit(id, 5);
        uint64 c = submit(id, 5);
        registry.retireSlasher(address(book));
        vm.warp(block.timestamp + book.reach() + 1);
        registry.freeEnded(operator, address(book));
        IClaimBook.Claim memory settled = book.claimInfo(a);
        book.settle(a);
        vm.assertEq(market.feesOf(operator), settled.fee);
        vm.expectEmit(address(book));
        emit IClaimBook.ClaimMissed(b, operator, 0);
        book.slashMissed(b);
        vm.assertEq(punish(c, IClaimBook.Fault.Verdict, noCuts), 0);
        vm.assertEq(market.job(id).openClaims, 0);
        vm.assertEq(market.job(id).escrow, 1 ether - settled.fee);
        vm.assertEq(info(operator).bonded, 10 * MIN_SELF);
    }

    function test_settle_aRetiredBookPays() public {
        uint64 claimId = submitAndReveal(activeJob(1 ether, 4), 5);
        registry.retireSlasher(address(book));
        warpPast(book.claimInfo(claimId).contestUntil);
        book.settle(claimId);
        vm.assertEq(lockedByBook(), 0);
    }
}
