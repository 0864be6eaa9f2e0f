// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {VerifyFixture} from "../VerifyFixture.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";

contract Reluctant {
    receive() external payable {
        revert();
    }
}

/// @dev Takes its reward again while it is being paid.
contract Greedy {
    IChallengeManager internal immutable challenges;
    uint64 internal claimId;
    IClaimBook.Answered internal answered;
    bool internal refused;

    constructor(IChallengeManager challenges_) {
        challenges = challenges_;
    }

    function aim(uint64 claimId_, IClaimBook.Answered memory answered_) external {
        (claimId, answered) = (claimId_, answered_);
    }

    receive() external payable {
        try challenges.takeReward(claimId, 0, 0, answered) {}
        catch {
            refused = true;
        }
    }

    function wasRefused() external view returns (bool) {
        return refused;
    }
}

contract AttestationsTest is VerifyFixture {
    function seatState(uint64 claimId, uint256 slot, uint256 which) internal view returns (uint256) {
        return uint256(challenges.seat(claimId, slot, which).state);
    }

    function inState(uint64 claimId, IClaimBook.ClaimState state) internal {
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.ClaimInState.selector, claimId, state));
    }

    function inSeat(uint64 claimId, IChallengeManager.SeatState state) internal {
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.SeatInState.selector, claimId, 0, 0, state));
    }

    // ---- attest ----

    function test_attest_takesTheSeat() public {
        uint64 claimId = toAnswered();
        address who = challenges.verifierOf(claimId, 0, 0);
        vm.expectEmit(address(challenges));
        emit IChallengeManager.Attested(claimId, 0, 0, who);
        attest(claimId, 0, 0, "digest");
        IChallengeManager.Seat memory s = challenges.seat(claimId, 0, 0);
        vm.assertEq(s.verifier, who);
        vm.assertEq(s.commitment, seal("digest", claimId, 0, 0, who));
        vm.assertEq(s.digest, 0);
        inSeat(claimId, IChallengeManager.SeatState.Committed);
        vm.prank(who);
        challenges.attest(claimId, 0, 0, "another");
    }

    function test_attest_refusesAllOthers() public {
        uint64 claimId = toAnswered();
        address who = challenges.verifierOf(claimId, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotDrawn.selector, who, address(this)));
        challenges.attest(claimId, 0, 0, "x");
        vm.startPrank(who);
        vm.expectRevert(IChallengeManager.ZeroCommitment.selector);
        challenges.attest(claimId, 0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoSuchSeat.selector, 2, 0));
        challenges.attest(claimId, 2, 0, "x");
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoSuchSeat.selector, 0, 2));
        challenges.attest(claimId, 0, 2, "x");
        vm.stopPrank();
        inState(9, IClaimBook.ClaimState.None);
        challenges.attest(9, 0, 0, "x");
    }

    function test_attest_onlyWhileAnsweredUpToTheLastSecond() public {
        uint64 claimId = submit(openJob(), 5);
        seal(claimId);
        address who = challenges.verifierOf(claimId, 0, 0);
        inState(claimId, IClaimBook.ClaimState.Sealed);
        vm.prank(who);
        challenges.attest(claimId, 0, 0, "x");
        answerClaim(claimId);
        uint256 until = info(claimId).attestUntil;
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.TooLate.selector, until));
        vm.prank(who);
        challenges.attest(claimId, 0, 0, "x");
        vm.warp(until);
        attest(claimId, 0, 0, "x");
        revealClaim(claimId);
        inState(claimId, IClaimBook.ClaimState.Revealed);
        vm.prank(who);
        challenges.attest(claimId, 0, 0, "x");
    }

    // ---- reveal ----

    function test_reveal_showsTheDigestAndCounts() public {
        uint64 claimId = toAnswered();
        address who = attest(claimId, 0, 0, "digest");
        revealClaim(claimId);
        vm.expectEmit(address(challenges));
        emit IChallengeManager.AttestationRevealed(claimId, 0, 0, who, "digest");
        show(claimId, 0, 0, "digest");
        IChallengeManager.Seat memory s = challenges.seat(claimId, 0, 0);
        vm.assertEq(s.digest, "digest");
        vm.assertEq(s.commitment, 0);
        vm.assertEq(challenges.revealedCount(claimId), 1);
        inSeat(claimId, IChallengeManager.SeatState.Revealed);
        show(claimId, 0, 0, "digest");
    }

    function test_reveal_withinItsWindowAlone() public {
        uint64 claimId = toAnswered();
        attestBoth(claimId, 0, "digest");
        IClaimBook.Claim memory c = info(claimId);
        vm.warp(c.attestUntil);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.TooEarly.selector, uint256(c.attestUntil) + 1));
        show(claimId, 0, 0, "digest");
        vm.warp(uint256(c.attestUntil) + 1);
        show(claimId, 0, 0, "digest"); // the operator need not have revealed
        vm.warp(c.revealUntil);
        show(claimId, 0, 1, "digest");
        vm.warp(uint256(c.revealUntil) + 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.TooLate.selector, c.revealUntil));
        show(claimId, 0, 1, "digest");
    }

    function test_reveal_refusesWhatWasNotCommitted() public {
        uint64 claimId = toAnswered();
        attestBoth(claimId, 0, "digest");
        vm.warp(uint256(info(claimId).attestUntil) + 1);
        vm.expectRevert(IChallengeManager.WrongReveal.selector);
        show(claimId, 0, 0, "other");
        vm.expectRevert(IChallengeManager.WrongReveal.selector);
        challenges.revealAttestation(claimId, 0, 0, "digest", "another salt");
        vm.expectRevert(
            abi.encodeWithSelector(
                IChallengeManager.SeatInState.selector, claimId, 1, 0, IChallengeManager.SeatState.Drawn
            )
        );
        show(claimId, 1, 0, "digest");
    }

    /// A commitment copied from another seat cannot be revealed: it names seat and verifier.
    function test_reveal_copiesAreWorthNothing() public {
        uint64 claimId = toAnswered();
        address who = attest(claimId, 0, 0, "digest");
        address copier = challenges.verifierOf(claimId, 0, 1);
        bytes32 copied = challenges.seat(claimId, 0, 0).commitment;
        vm.prank(copier);
        challenges.attest(claimId, 0, 1, copied);
        vm.warp(uint256(info(claimId).attestUntil) + 1);
        vm.expectRevert(IChallengeManager.WrongReveal.selector);
        show(claimId, 0, 1, "digest");
        show(claimId, 0, 0, "digest");
        vm.assertTrue(who != copier);
    }

    // ---- rewards ----

    function take(uint64 claimId, uint256 slot, uint256 which) internal {
        IClaimBook.Answered memory a = answered(claimId);
        challenges.takeReward(claimId, slot, which, a);
    }

    function refusesToPay(uint64 claimId, uint256 slot, uint256 which) internal {
        IClaimBook.Answered memory a = answered(claimId);
        vm.expectRevert(IChallengeManager.NothingToTake.selector);
        challenges.takeReward(claimId, slot, which, a);
    }

    /// Equal parts for all that revealed; what a digest that differs would have got is the admin's.
    function test_takeReward_isAnEqualPartOfTheVerifiersShare() public {
        uint64 claimId = toAnswered();
        bytes32 right = digestFor(answer());
        attestBoth(claimId, 0, right);
        attest(claimId, 1, 0, "32 random bytes");
        revealClaim(claimId);
        showBoth(claimId, 0, right);
        show(claimId, 1, 0, "32 random bytes");
        refusesToPay(claimId, 0, 0); // not settled
        settle(claimId);
        uint256 pot = book.verifiersPart(claimId);
        vm.assertEq(pot, uint256(info(claimId).fee) * 200 / 1e4);
        vm.assertEq(address(challenges).balance, pot);
        vm.assertEq(challenges.rewardOf(claimId), pot / 3);
        for (uint256 i = 0; i < 3; ++i) {
            address to = i == 2 ? TIMELOCK : challenges.verifierOf(claimId, i / 2, i % 2);
            uint256 before = to.balance;
            take(claimId, i / 2, i % 2);
            vm.assertEq(to.balance - before, pot / 3);
            vm.assertTrue(challenges.seat(claimId, i / 2, i % 2).paid);
            refusesToPay(claimId, i / 2, i % 2);
        }
        vm.assertEq(address(challenges).balance, pot % 3, "what rounding leaves");
        refusesToPay(claimId, 1, 1); // did not reveal
    }

    function test_takeReward_needsWhatWasAnswered() public {
        uint64 claimId = toAnswered();
        bytes32 right = digestFor(answer());
        attest(claimId, 0, 0, right);
        revealClaim(claimId);
        show(claimId, 0, 0, right);
        settle(claimId);
        IClaimBook.Answered memory a = answered(claimId);
        a.digests[0] = ~right;
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotAnswered.selector, claimId));
        challenges.takeReward(claimId, 0, 0, a);
    }

    function test_takeReward_goesToTheOwnerAndHurtsNobodyWhenRefused() public {
        uint64 claimId = toAnswered();
        bytes32 right = digestFor(answer());
        address who = attest(claimId, 0, 0, right);
        revealClaim(claimId);
        show(claimId, 0, 0, right);
        settle(claimId);
        Greedy greedy = new Greedy(challenges);
        IClaimBook.Answered memory a = answered(claimId);
        greedy.aim(claimId, a);
        address[2] memory owners = [address(new Reluctant()), address(greedy)];
        vm.prank(who);
        registry.proposeOwner(who, owners[0]);
        vm.prank(owners[0]);
        registry.acceptOwner(who);
        vm.expectPartialRevert(bytes4(keccak256("FailedCall()")));
        challenges.takeReward(claimId, 0, 0, a);
        vm.prank(owners[0]);
        registry.proposeOwner(who, owners[1]);
        vm.prank(owners[1]);
        registry.acceptOwner(who);
        uint256 reward = challenges.rewardOf(claimId);
        challenges.takeReward(claimId, 0, 0, a);
        vm.assertEq(owners[1].balance, reward);
        vm.assertTrue(greedy.wasRefused());
    }

    function test_deposit_isTheMarketsAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NotMarket.selector, address(this)));
        challenges.deposit(1);
    }

    // ---- absence ----

    function test_reportAbsent_onceForEachSeatThatDidNotReveal() public {
        uint64 claimId = toAnswered();
        address silent = challenges.verifierOf(claimId, 0, 0);
        address half = attest(claimId, 0, 1, "digest");
        attest(claimId, 1, 0, "digest");
        revealClaim(claimId);
        show(claimId, 1, 0, "digest");
        uint256 until = info(claimId).revealUntil;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.TooEarly.selector, until + 1));
        challenges.reportAbsent(claimId, 0, 0);
        vm.warp(until + 1);
        vm.expectEmit(address(challenges));
        emit IChallengeManager.Absent(claimId, 0, 0, silent);
        challenges.reportAbsent(claimId, 0, 0);
        challenges.reportAbsent(claimId, 0, 1);
        vm.assertEq(challenges.verifierOf(claimId, 0, 0), silent);
        inSeat(claimId, IChallengeManager.SeatState.Absent);
        challenges.reportAbsent(claimId, 0, 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                IChallengeManager.SeatInState.selector, claimId, 1, 0, IChallengeManager.SeatState.Revealed
            )
        );
        challenges.reportAbsent(claimId, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.NoSuchSeat.selector, 2, 0));
        challenges.reportAbsent(claimId, 2, 0);
        vm.assertEq(ones(silent), 1);
        vm.assertEq(ones(half), 1);
    }

    function ones(address who) internal view returns (uint256 count) {
        for (uint24 bits = challenges.verifier(who).absences; bits != 0; bits >>= 1) {
            count += bits & 1;
        }
    }

    function test_reportAbsent_onlyOfClaimsThatWereAnsweredAndHadTheTime() public {
        uint64 claimId = submit(openJob(), 5);
        seal(claimId);
        inState(claimId, IClaimBook.ClaimState.Sealed);
        challenges.reportAbsent(claimId, 0, 0);
        // A claim that ends before its verifiers' time is over made nobody absent who had not attested.
        answerClaim(claimId);
        attest(claimId, 0, 0, "digest");
        vm.prank(address(challenges));
        book.punish(claimId, PROOF, noCuts);
        vm.warp(uint256(info(claimId).revealUntil) + 1);
        inState(claimId, IClaimBook.ClaimState.Slashed);
        challenges.reportAbsent(claimId, 0, 1);
        challenges.reportAbsent(claimId, 0, 0); // it could have revealed
    }

    /// A verifier may and has to reveal what it committed to when the claim has ended meanwhile.
    function test_reveal_ofAClaimThatHasEnded() public {
        uint64 claimId = toAnswered();
        attest(claimId, 0, 0, "digest");
        vm.prank(address(challenges));
        book.punish(claimId, PROOF, noCuts);
        vm.warp(uint256(info(claimId).attestUntil) + 1);
        show(claimId, 0, 0, "digest");
        refusesToPay(claimId, 0, 0);
    }

    /// A claim whose operator did not reveal is Missed, and its verifiers had their time.
    function test_reportAbsent_ofAMissedClaim() public {
        uint64 claimId = toAnswered();
        vm.warp(uint256(info(claimId).revealUntil) + 1);
        book.slashMissed(claimId);
        address absent = challenges.verifierOf(claimId, 0, 0);
        vm.assertEq(ones(absent), 0);
        challenges.reportAbsent(claimId, 0, 0);
        vm.assertEq(ones(absent), 1);
        vm.assertEq(seatState(claimId, 0, 0), uint256(IChallengeManager.SeatState.Absent));
        vm.assertEq(claimState(claimId), uint256(IClaimBook.ClaimState.Missed));
    }

    function test_reportAbsent_onlyWhileTheDrawCanBeRepeated() public {
        uint64 claimId = toAnswered();
        attest(claimId, 0, 0, "digest");
        revealClaim(claimId);
        uint256 last = uint256(info(claimId).epoch) + 1;
        nextEpoch();
        nextEpoch();
        vm.warp(block.timestamp - 1);
        challenges.reportAbsent(claimId, 0, 1);
        pass(1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeManager.TooLate.selector, last));
        challenges.reportAbsent(claimId, 0, 0);
        vm.expectPartialRevert(bytes4(keccak256("EpochNotKept(uint256,uint256)")));
        challenges.reportAbsent(claimId, 1, 0);
    }

    /// S6. The third of the last twenty costs a tenth and the office; the count begins anew.
    function test_reportAbsent_theThirdCostsATenth() public {
        address who = op(0);
        uint256 missed = 0;
        while (missed < 3) {
            uint64 claimId = toAnswered();
            revealClaim(claimId);
            vm.warp(uint256(info(claimId).revealUntil) + 1);
            for (uint256 seat = 0; seat < 4 && missed < 3; ++seat) {
                if (challenges.verifierOf(claimId, seat / 2, seat % 2) != who) continue;
                ++missed;
                if (missed == 3) {
                    vm.expectEmit(address(challenges));
                    emit IChallengeManager.VerifierSlashed(who, VERIFIER_LOCK / 10);
                }
                challenges.reportAbsent(claimId, seat / 2, seat % 2);
            }
            if (set.epoch() > info(claimId).epoch) continue;
        }
        IChallengeManager.Verifier memory v = challenges.verifier(who);
        vm.assertEq(v.absences, 0);
        vm.assertEq(v.lock, VERIFIER_LOCK * 9 / 10);
        vm.assertEq(v.until, set.epoch() + 1);
        vm.assertEq(registry.lockedBy(who, address(challenges)), v.lock);
        vm.assertEq(info(who).bonded, 2 * MIN_SELF - VERIFIER_LOCK / 10);
        vm.assertEq(registry.bounty(address(this)), 0, "all is burned");
    }

    /// Seats that were served push absences out of the twenty.
    function test_absences_areOfTheLastTwentySeats() public {
        address who = op(1);
        uint256 seats = 0;
        bool missed = false;
        while (seats < 21) {
            uint64 claimId = toAnswered();
            for (uint256 seat = 0; seat < 4; ++seat) {
                if (challenges.verifierOf(claimId, seat / 2, seat % 2) != who) continue;
                if (missed) attest(claimId, seat / 2, seat % 2, "digest");
            }
            revealClaim(claimId);
            for (uint256 seat = 0; seat < 4; ++seat) {
                if (challenges.verifierOf(claimId, seat / 2, seat % 2) != who) continue;
                IChallengeManager.Seat memory s = challenges.seat(claimId, seat / 2, seat % 2);
                if (s.state == IChallengeManager.SeatState.Committed) {
                    show(claimId, seat / 2, seat % 2, "digest");
                    ++seats;
                    vm.assertEq(ones(who), seats < 20 ? 1 : 0);
                } else if (!missed) {
                    vm.warp(uint256(info(claimId).revealUntil) + 1);
                    challenges.reportAbsent(claimId, seat / 2, seat % 2);
                    missed = true;
                }
            }
        }
    }
}
