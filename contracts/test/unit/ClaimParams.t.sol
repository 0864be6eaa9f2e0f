// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "../ClaimFixture.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";

/// @dev Parameters, their bounds, and claims that keep theirs.
contract ClaimParamsTest is ClaimFixture {
    function setParams(IClaimBook.Params memory p) internal {
        vm.prank(TIMELOCK);
        book.setParams(p);
    }

    /// @dev The struct as its words, in order.
    function words(IClaimBook.Params memory p) internal pure returns (uint256[11] memory) {
        return abi.decode(abi.encode(p), (uint256[11]));
    }

    function fromWords(uint256[11] memory w) internal pure returns (IClaimBook.Params memory) {
        return abi.decode(abi.encode(w), (IClaimBook.Params));
    }

    function test_setParams_byTheAdminAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.NotAdmin.selector, address(this)));
        book.setParams(claimParams());
        vm.assertEq(book.admin(), TIMELOCK);
    }

    function test_setParams_atBothEndsOfTheBoundsAndNotBeyond() public {
        uint256[11] memory least = words(leastClaim());
        uint256[11] memory most = words(mostClaim());
        for (uint256 i = 0; i < 11; ++i) {
            uint256[11] memory w = words(claimParams());
            if (i == 1) w[2] = 2 * most[1]; // half of the answer window is the limit otherwise
            if (i == 2) w[1] = least[1];
            (uint256 a, uint256 b) = (least[i], most[i]);
            w[i] = a;
            setParams(fromWords(w));
            vm.assertEq(words(book.params())[i], a);
            w[i] = b;
            setParams(fromWords(w));
            vm.assertEq(words(book.params())[i], b);
            w[i] = b + 1;
            refuses(fromWords(w), b + 1, a, b);
            if (a == 0) continue;
            w[i] = a - 1;
            refuses(fromWords(w), a - 1, a, b);
        }
    }

    function refuses(IClaimBook.Params memory p, uint256 value, uint256 least, uint256 most) internal {
        vm.prank(TIMELOCK);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.ParamOutOfBounds.selector, value, least, most));
        book.setParams(p);
    }

    /// A word has room for as many millionths of a token, and for no parts of one.
    function test_setParams_locksAreMillionthsOfAToken() public {
        IClaimBook.Params memory p = claimParams();
        p.minLock += 1e12;
        p.verifierLock += 1e12;
        setParams(p);
        vm.assertEq(keccak256(abi.encode(book.params())), keccak256(abi.encode(p)));
        p.minLock += 1;
        refuses(p, 1, 0, 0);
        p.minLock -= 1;
        p.verifierLock -= 1;
        refuses(p, 1e12 - 1, 0, 0);
    }

    function test_setParams_preimageWindowIsAtMostHalfTheAnswerWindow() public {
        IClaimBook.Params memory p = claimParams();
        (p.answerWindow, p.preimageWindow) = (601, 301);
        refuses(p, 301, 0, 300);
        p.preimageWindow = 300;
        setParams(p);
    }

    function test_constructor_refusesBoundsThatContradictThemselves() public {
        for (uint256 i = 0; i < 8; ++i) {
            (IClaimBook.Params memory least, IClaimBook.Params memory most) = (leastClaim(), mostClaim());
            if (i == 0) least.seedDelay = 0;
            if (i == 1) least.attestWindow = 0;
            if (i == 2) least.revealWindow = 0;
            if (i == 3) least.contestWindow = 0;
            if (i == 4) least.lockDen = 0;
            if (i == 5) most.verifierShare = 10_001;
            if (i == 6) (most.answerWindow, most.attestWindow) = (8 hours, 16 hours);
            if (i == 7) most.preimageWindow = least.answerWindow + 1;
            vm.expectRevert(IClaimBook.BadBounds.selector);
            newBook(claimParams(), least, most);
        }
        IClaimBook.Params memory wide = mostClaim();
        (wide.answerWindow, wide.attestWindow) = (8 hours, 16 hours - 1);
        newBook(claimParams(), leastClaim(), wide);
        vm.expectRevert(abi.encodeWithSelector(IClaimBook.ParamOutOfBounds.selector, 3, 64, 1));
        newBook(claimParams(), mostClaim(), leastOf(mostClaim(), leastClaim()));
    }

    /// @dev `most` with another's seedDelay, below its least.
    function leastOf(IClaimBook.Params memory most, IClaimBook.Params memory other)
        internal
        pure
        returns (IClaimBook.Params memory)
    {
        (most.seedDelay, most.preimageWindow) = (other.seedDelay, other.preimageWindow);
        return most;
    }

    function test_constructor_refusesBoundsThatDoNotFitTheirWords() public {
        IClaimBook.Params memory most = mostClaim();
        most.contestWindow = 1 << 24;
        vm.expectPartialRevert(bytes4(keccak256("SafeCastOverflowedUintDowncast(uint8,uint256)")));
        newBook(claimParams(), leastClaim(), most);
        most = mostClaim();
        most.minLock = 1 << 96;
        vm.expectPartialRevert(bytes4(keccak256("SafeCastOverflowedUintDowncast(uint8,uint256)")));
        newBook(claimParams(), leastClaim(), most);
    }

    function test_reach_isTheLongestWayToTheLastVerdict() public view {
        vm.assertEq(book.reach(), 8 hours + 12 hours + 4 hours + 36 hours + 5 days);
    }

    /// Clocks, lock and share of a claim are those of the day it was made.
    function test_setParams_claimsKeepTheirOwn() public {
        uint64 id = activeJob(1 ether, 4);
        uint64 a = submitAndAnswer(id, 5);
        IClaimBook.Claim memory before = book.claimInfo(a);
        IClaimBook.Params memory p = IClaimBook.Params({
            seedDelay: 9,
            preimageWindow: 60,
            answerWindow: 500,
            attestWindow: 300,
            revealWindow: 150,
            contestWindow: 400,
            minLock: 50e18,
            verifierLock: 7e18,
            lockNum: 5,
            lockDen: 1,
            verifierShare: 500
        });
        vm.expectEmit(address(book));
        emit IClaimBook.ParamsChanged(2, p);
        setParams(p);
        vm.assertEq(keccak256(abi.encode(book.params())), keccak256(abi.encode(p)));
        vm.assertEq(keccak256(abi.encode(book.claimInfo(a))), keccak256(abi.encode(before)));
        vm.warp(before.attestUntil + 1);
        reveal(a);
        judges.reveal(a);

        uint64 b = submit(id, 5);
        IClaimBook.Claim memory next = book.claimInfo(b);
        vm.assertEq(next.seedBlock, block.number + 9);
        vm.assertEq(next.answerUntil, block.timestamp + 500);
        vm.assertEq(next.lock, 50e18);
        vm.warp(before.contestUntil + 1);
        book.settle(a);
        vm.assertEq(address(judges).balance, uint256(before.fee) * 200 / 10_000);
        vm.assertEq(registry.lockedBy(operator, address(book)), 50e18, "its own lock is free, the other is not");
        vm.warp(next.answerUntil + 1);
        book.slashMissed(b);
        vm.assertEq(registry.lockedBy(operator, address(book)), 0);
    }
}
