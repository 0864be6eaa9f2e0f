// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Board, DisputeFixture} from "../DisputeFixture.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../../src/interfaces/IDisputeGame.sol";

/// @dev Games against a random liar on either side, before an honest judge. The honest side follows a few lines of strategy
/// and takes any time its clock allows; the liar commits, chooses and waits as the dice fall, and tries forbidden moves
/// now and then. An honest operator never loses; nor does an honest challenger of any wrong claim.
contract DisputesFuzz is DisputeFixture {
    using Board for bytes32[][];

    uint256 internal constant GAMES = 4; // in each run
    uint256 internal dice;
    uint64 internal next = CLAIM;

    /// @dev What a game is played about. `said` is what the operator committed to, unless it committed to nothing.
    struct Table {
        uint256 id;
        uint256 rightCount;
        uint256 saidCount;
        bytes32[][] right;
        bytes32[][] said;
        bool nothing; // the root has no tree at all
    }

    function roll(uint256 limit) internal returns (uint256) {
        dice = uint256(keccak256(abi.encode(dice)));
        return dice % limit;
    }

    /// @dev 1 to 4096, as likely below 64 as above, often a power of two or next to it.
    function rollCount() internal returns (uint256 count) {
        uint256 most = 1 << roll(13);
        count = roll(3) == 0 ? most : 1 + roll(most);
        if (roll(8) == 0 && count < 4096) ++count;
    }

    // ---- honest operator ----

    function testFuzz_honestOperatorNeverLoses(uint256 seed) public {
        dice = seed;
        for (uint256 i = 0; i < GAMES; ++i) {
            Table memory t;
            t.rightCount = rollCount();
            t.saidCount = t.rightCount;
            t.right = board(t.rightCount);
            t.said = t.right;
            begin(t);
            playLyingChallenger(t);
            expectStatus(t.id, IDisputeGame.Status.OperatorWon);
            vm.assertEq(book.punished(uint64(t.id)), 0);
        }
        settled();
    }

    function playLyingChallenger(Table memory t) internal {
        while (gameOf(t.id).status == IDisputeGame.Status.Open) {
            IDisputeGame.Game memory g = gameOf(t.id);
            if (g.turn == IDisputeGame.Side.Operator) {
                if (roll(4) == 0) forbiddenByChallenger(t, g);
                takeTime(t.id);
                bisectHonestly(t.id, t.saidCount, t.said);
                continue;
            }
            if (roll(6) == 0) forbiddenByOperator(t);
            uint256 what = roll(12);
            if (what == 0) return letTimeRunOut(t.id);
            if (what == 1 && isFirstTurn(t, g)) {
                vm.prank(ALICE);
                game.disputeCount(t.id, g.position);
                break;
            }
            takeTime(t.id);
            bytes32[] memory row = t.said.children(g.level, g.first);
            choose(ALICE, t.id, row, roll(row.length));
        }
        judgeHonestly(t);
    }

    // ---- honest challenger ----

    function testFuzz_honestChallengerOfAWrongClaimNeverLoses(uint256 seed) public {
        dice = seed;
        for (uint256 i = 0; i < GAMES; ++i) {
            Table memory t;
            t.rightCount = rollCount();
            t.right = board(t.rightCount);
            lie(t);
            begin(t);
            playLyingOperator(t);
            expectStatus(t.id, IDisputeGame.Status.ChallengerWon);
            vm.assertEq(book.punished(uint64(t.id)), 1);
            vm.assertEq(game.owed(ALICE), (i + 1) * bondOf());
        }
        settled();
    }

    /// @dev A wrong count, a wrong leaf, wrong padding, rubbish throughout, or a root without tree.
    function lie(Table memory t) internal {
        uint256 kind = roll(6);
        t.saidCount = t.rightCount;
        if (kind == 0) {
            t.saidCount = 1 + (t.rightCount + roll(4095)) % 4096; // another
            t.said = board(t.saidCount);
        } else {
            t.said = board(t.rightCount);
            uint256 width = t.said[0].length;
            if (kind == 1 || (kind == 2 && width == t.rightCount)) {
                t.said[0][roll(t.rightCount)] ^= bytes32(1 << roll(256));
            } else if (kind == 2) {
                t.said[0][t.rightCount + roll(width - t.rightCount)] = keccak256("padding");
            } else if (kind == 3) {
                for (uint256 i = 0; i < width; ++i) {
                    if (i == 0 || roll(2) == 0) t.said[0][i] = keccak256(abi.encode("rubbish", i));
                }
            } else if (kind == 4) {
                t.nothing = true;
            } else {
                (uint256 a, uint256 b) = (0, t.rightCount - 1); // two pictures have changed places
                if (a == b) t.said[0][0] = 0;
                (t.said[0][a], t.said[0][b]) = (t.said[0][b], t.said[0][a]);
            }
            Board.grow(t.said);
        }
    }

    function playLyingOperator(Table memory t) internal {
        while (gameOf(t.id).status == IDisputeGame.Status.Open) {
            IDisputeGame.Game memory g = gameOf(t.id);
            if (g.turn == IDisputeGame.Side.Operator) {
                if (roll(4) == 0) forbiddenByOperator(t);
                if (t.nothing || roll(12) == 0) return letTimeRunOut(t.id);
                takeTime(t.id);
                bisectHonestly(t.id, t.saidCount, t.said); // its own tree is all that it can show
                continue;
            }
            if (roll(6) == 0) forbiddenByChallenger(t, g);
            takeTime(t.id);
            chooseHonestly(t);
        }
        judgeHonestly(t);
    }

    /// @dev The strategy: the count first, then the first child that differs from one's own.
    function chooseHonestly(Table memory t) internal {
        IDisputeGame.Game memory g = gameOf(t.id);
        if (g.count != t.rightCount) {
            vm.prank(ALICE);
            game.disputeCount(t.id, g.position);
            return;
        }
        bytes32[] memory row = t.said.children(g.level, g.first);
        bytes32[] memory own = t.right.children(g.level, g.first);
        for (uint256 i = 0; i < row.length; ++i) {
            if (row[i] != own[i]) return choose(ALICE, t.id, row, i);
        }
        vm.assertTrue(false, "nothing differs");
    }

    // ---- liars on both sides ----

    function testFuzz_gamesAlwaysEndAndTheBondsAddUp(uint256 seed) public {
        dice = seed;
        for (uint256 i = 0; i < GAMES; ++i) {
            Table memory t;
            t.rightCount = rollCount();
            t.right = board(t.rightCount);
            lie(t);
            begin(t);
            if (t.nothing) letTimeRunOut(t.id);
            else playLyingChallenger(t);
            uint256 status = statusOf(t.id);
            vm.assertTrue(
                status == uint256(IDisputeGame.Status.OperatorWon)
                    || status == uint256(IDisputeGame.Status.ChallengerWon)
            );
        }
        settled();
    }

    // ---- parts ----

    function begin(Table memory t) internal {
        bytes32 root = t.nothing ? keccak256("no tree") : rootOf(t.saidCount, t.said.top());
        ++next;
        bytes32 answers = keccak256(abi.encode(answeredWith(answerWith(root))));
        IClaimBook.Claim memory c;
        (c.jobId, c.first, c.operator, c.lock) = (next >> 32, next & type(uint32).max, op(0), 1e18);
        (c.state, c.answers) = (IClaimBook.ClaimState.Revealed, answers);
        c.contestUntil = uint40(block.timestamp);
        book.put(next, c);
        t.id = openOn(ALICE, next, root);
    }

    function bondOf() internal pure returns (uint256) {
        return BOND + 0.1e18;
    }

    /// @dev Up to the last second of the side on turn.
    function takeTime(uint256 id) internal {
        uint256 left = game.turnUntil(id) - block.timestamp;
        uint256 how = roll(4);
        if (how == 0) pass(left);
        else if (how == 1) pass(roll(left + 1));
    }

    function letTimeRunOut(uint256 id) internal {
        vm.warp(game.turnUntil(id) + 1);
        game.timeout(id);
    }

    function judgeHonestly(Table memory t) internal {
        IDisputeGame.Game memory g = gameOf(t.id);
        if (g.status == IDisputeGame.Status.AtCount) {
            judge.decide(game, t.id, g.count == t.rightCount);
        } else if (g.status == IDisputeGame.Status.AtLeaf) {
            // A picture that there should not be is wrong.
            judge.decide(game, t.id, g.first < t.rightCount && g.node == t.right[0][g.first]);
        }
    }

    function isFirstTurn(Table memory t, IDisputeGame.Game memory g) internal pure returns (bool) {
        return g.first == 0 && g.level == t.said.length - 1;
    }

    /// @dev Children, a count or a position that are not the committed ones, from whoever.
    function forbiddenByOperator(Table memory t) internal {
        IDisputeGame.Game memory g = gameOf(t.id);
        uint256 level = g.count == 0 ? t.said.length - 1 : g.level;
        bytes32[] memory row = t.said.children(level, g.first);
        uint256 kind = t.nothing ? 3 : roll(3);
        if (kind == 0) row[roll(row.length)] ^= bytes32(uint256(1));
        bytes32 position = kind == 1 ? keccak256("elsewhere") : g.position;
        uint256 count = kind == 2 ? t.saidCount + 1 : t.saidCount;
        (bool ok,) = address(game).call(abi.encodeCall(IDisputeGame.bisect, (t.id, position, uint32(count), row)));
        vm.assertTrue(!ok, "another tree was opened");
    }

    function forbiddenByChallenger(Table memory t, IDisputeGame.Game memory g) internal {
        bytes32[] memory row = t.said.children(g.count == 0 ? t.said.length - 1 : g.level, g.first);
        uint256 child = roll(row.length);
        bytes32[] memory path = Board.path(row, child);
        row[child] ^= bytes32(uint256(1)); // no child of the node
        vm.prank(ALICE);
        (bool ok,) =
            address(game).call(abi.encodeCall(IDisputeGame.choose, (t.id, g.position, child, row[child], path)));
        vm.assertTrue(!ok, "a child that is none was chosen");
    }

    /// @dev 25. All bonds went back or were burned, once everybody has taken what is theirs.
    function settled() internal {
        address[2] memory who = [ALICE, op(0)];
        for (uint256 i = 0; i < 2; ++i) {
            if (game.owed(who[i]) == 0) continue;
            vm.prank(who[i]);
            game.withdraw();
        }
        vm.assertEq(token.balanceOf(address(game)), 0, "a bond is left");
    }
}
