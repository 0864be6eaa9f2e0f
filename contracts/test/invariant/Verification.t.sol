// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Walk} from "./Walk.sol";
import {VerificationHandler} from "./VerificationHandler.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";

contract VerificationInvariants is Walk {
    VerificationHandler internal handler;
    IChallengeManager internal challenges;
    IClaimBook internal book;

    function setUp() public {
        handler = new VerificationHandler();
        (challenges, book) = handler.parts();
    }

    function walker() internal view override returns (address, bytes4) {
        return (address(handler), VerificationHandler.step.selector);
    }

    function name() internal pure override returns (string memory) {
        return "VerificationHandler";
    }

    function kinds() internal pure override returns (uint256, uint256) {
        return (uint256(type(VerificationHandler.Step).max) + 1, NO_KIND);
    }

    /// One invariant, so that one walk serves all rules.
    function invariant_everyRuleHolds() public view {
        locksAddUp();
        uint256 owed = 0;
        uint256 count = handler.claimCount();
        for (uint256 i = 0; i < count; ++i) {
            owed += claimAddsUp(handler.claims(i));
        }
        vm.assertEq(address(challenges).balance, owed, "coins");
    }

    /// What the registry has locked for the manager is what its record says, which is one lock less what was taken.
    function locksAddUp() internal view {
        for (uint256 i = 0; i < 6; ++i) {
            (address who, uint256 locked, uint256 expected) = handler.lockedNow(i);
            vm.assertEq(locked, expected, "lock");
            vm.assertEq(challenges.verifier(who).lock, expected, "record");
        }
    }

    /// Seats are who was drawn at first; those that revealed are counted; a claim is held once or not at all, and what it has
    /// for its verifiers and they have not taken is there.
    function claimAddsUp(uint64 id) internal view returns (uint256 owed) {
        (uint256 revealed, uint256 paid) = (0, 0);
        for (uint256 place = 0; place < 4; ++place) {
            IChallengeManager.Seat memory s = challenges.seat(id, place / 2, place % 2);
            if (s.state != IChallengeManager.SeatState.Drawn) {
                vm.assertEq(s.verifier, handler.seats(id, place), "seat");
            }
            if (s.state == IChallengeManager.SeatState.Revealed) ++revealed;
            if (s.paid) ++paid;
        }
        vm.assertEq(challenges.revealedCount(id), revealed, "revealed");
        IClaimBook.Claim memory c = book.claimInfo(id);
        (bool held,) = challenges.held(id);
        bool running = c.state == IClaimBook.ClaimState.Revealed;
        vm.assertEq(c.holds, running && held ? 1 : 0, "holds");
        if (c.state == IClaimBook.ClaimState.Settled) {
            vm.assertTrue(!held && !handler.anyOpen(id), "settled while held");
            vm.assertTrue(challenges.wrongDigest(id) == 0, "settled and wrong");
            if (revealed > 0) owed = book.verifiersPart(id) - paid * challenges.rewardOf(id);
        } else {
            vm.assertEq(paid, 0, "paid before it was settled");
        }
    }

    /// The walk is not vacuous: over a long fixed walk each kind of step succeeds, and not just now and then.
    function test_walk_everyStepSucceeds() public {
        for (uint256 i = 0; i < 4000; ++i) {
            handler.step(uint256(keccak256(abi.encode("verification", i))));
            if (i % 100 == 0) invariant_everyRuleHolds();
        }
        invariant_everyRuleHolds();
        for (uint256 i = 0; i <= uint256(type(VerificationHandler.Step).max); ++i) {
            string memory which = vm.toString(i);
            vm.assertGe(handler.successes(i), 5, which);
            vm.assertGe(handler.successes(i) * 5, handler.calls(i), which);
        }
    }
}
