// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BookDouble} from "../DisputeFixture.sol";
import {DisputeHandler} from "./DisputeHandler.sol";
import {Walk} from "./Walk.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../../src/interfaces/IDisputeGame.sol";
import {DisputeGame} from "../../src/verify/DisputeGame.sol";
import {Token} from "../../src/token/Token.sol";

contract DisputeInvariants is Walk {
    DisputeHandler internal handler;
    DisputeGame internal game;
    BookDouble internal book;
    Token internal token;

    function setUp() public {
        handler = new DisputeHandler();
        (game, book, token) = handler.parts();
    }

    function walker() internal view override returns (address, bytes4) {
        return (address(handler), DisputeHandler.step.selector);
    }

    function name() internal pure override returns (string memory) {
        return "DisputeHandler";
    }

    function kinds() internal pure override returns (uint256, uint256) {
        return (uint256(type(DisputeHandler.Step).max) + 1, uint256(DisputeHandler.Step.OutOfTurn));
    }

    /// All rules after every step: one invariant, so that one walk serves them all, and each game is read once.
    function invariant_everyRuleHolds() public view {
        vm.assertEq(handler.broken(), "");
        uint256[] memory ids = new uint256[](handler.total());
        IDisputeGame.Game[] memory games = new IDisputeGame.Game[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            ids[i] = handler.games(i);
            games[i] = game.game(ids[i]);
        }
        bondsAddUp(games);
        holdsAddUp(ids, games);
    }

    /// 25. What came in went out, was burned, is owed, or is the bond of an open game.
    function bondsAddUp(IDisputeGame.Game[] memory games) internal view {
        uint256 held = 0;
        for (uint256 i = 0; i < games.length; ++i) {
            held += games[i].bond;
        }
        address[4] memory who = handler.accounts();
        for (uint256 i = 0; i < who.length; ++i) {
            held += game.owed(who[i]);
        }
        vm.assertEq(token.balanceOf(address(game)), held, "tokens of the game");
        vm.assertEq(handler.taken(), handler.paid() + handler.burned() + held, "bonds");
    }

    /// 24. In an open game exactly one side is on turn, and its time is bounded; a game holds its claim as long as it is open.
    function holdsAddUp(uint256[] memory ids, IDisputeGame.Game[] memory games) internal view {
        for (uint256 i = 0; i < games.length; ++i) {
            IDisputeGame.Game memory g = games[i];
            uint256 until = game.turnUntil(ids[i]);
            vm.assertTrue((until != 0) == (g.status == IDisputeGame.Status.Open), "turn");
            vm.assertLe(until, uint256(g.lastMove) + 24 hours, "time");
            IClaimBook.Claim memory c = book.claimInfo(g.claimId);
            if (c.state != IClaimBook.ClaimState.Revealed) continue;
            uint256 open = 0;
            for (uint256 j = 0; j < games.length; ++j) {
                IDisputeGame.Game memory other = games[j];
                bool runs = other.status >= IDisputeGame.Status.Open && other.status <= IDisputeGame.Status.AtCount;
                if (other.claimId == g.claimId && runs) ++open;
            }
            vm.assertEq(c.holds, open, "holds");
            vm.assertEq(book.punished(g.claimId), 0, "punished and not over");
        }
    }

    /// The walk is not vacuous (OP's and Livepeer's was): each kind of step succeeds, and not just now and then; each end
    /// is reached. Out of turn nothing does. In the end everybody takes what is theirs, and nothing is left.
    function test_walk_everyStepSucceedsAndNothingIsLeft() public {
        for (uint256 i = 0; i < 900; ++i) {
            handler.step(uint256(keccak256(abi.encode("dispute", i))));
            if (i % 100 == 0) invariant_everyRuleHolds();
        }
        invariant_everyRuleHolds();
        for (uint256 i = 0; i <= uint256(type(DisputeHandler.Step).max); ++i) {
            string memory which = vm.toString(i);
            vm.assertGe(handler.calls(i), 8, which);
            if (i == uint256(DisputeHandler.Step.OutOfTurn)) {
                vm.assertEq(handler.successes(i), 0, which);
                continue;
            }
            vm.assertGe(handler.successes(i), 5, which);
            vm.assertGe(handler.successes(i) * 5, handler.calls(i), which);
        }
        uint256[7] memory ends;
        for (uint256 i = 0; i < handler.total(); ++i) {
            uint256 id = handler.games(i);
            IDisputeGame.Game memory g = game.game(id);
            if (g.status == IDisputeGame.Status.Open) {
                uint256 until = game.turnUntil(id);
                if (until >= block.timestamp) vm.warp(until + 1);
                game.timeout(id);
            } else if (g.status == IDisputeGame.Status.AtLeaf || g.status == IDisputeGame.Status.AtCount) {
                address judge = address(game.judge());
                vm.prank(judge);
                game.decide(id, i % 2 == 0);
            }
            ends[uint256(game.game(id).status)] += 1;
        }
        vm.assertGe(ends[uint256(IDisputeGame.Status.OperatorWon)], 5, "operators won");
        vm.assertGe(ends[uint256(IDisputeGame.Status.ChallengerWon)], 5, "challengers won");
        vm.assertGe(ends[uint256(IDisputeGame.Status.Void)], 5, "nobody lost");
        address[4] memory who = handler.accounts();
        for (uint256 i = 0; i < who.length; ++i) {
            if (game.owed(who[i]) == 0) continue;
            vm.prank(who[i]);
            game.withdraw();
        }
        vm.assertEq(token.balanceOf(address(game)), 0, "a bond is left");
    }
}
