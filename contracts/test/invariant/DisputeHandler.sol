// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Board, BookDouble, DisputeFixture} from "../DisputeFixture.sol";
import {IBonds} from "../../src/interfaces/IBonds.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../../src/interfaces/IDisputeGame.sol";
import {Answers} from "../../src/steps/Answers.sol";
import {DisputeGame} from "../../src/verify/DisputeGame.sol";
import {Token} from "../../src/token/Token.sol";

/// @dev Random challengers, operators, judges and proofs by others, over several claims. Every step is a low-level call, so a
/// refusal is counted and nothing is undone; after each step the rules that speak of one step are checked, those of states
/// by the invariants.
contract DisputeHandler is DisputeFixture {
    using Board for bytes32[][];

    uint256 internal constant STEPS = 12;

    enum Step {
        Open,
        Bisect,
        Choose,
        Count,
        Timeout,
        Decide,
        Close,
        EndClaim,
        Withdraw,
        Params,
        Wait,
        OutOfTurn
    }

    uint256[STEPS] public calls; // that reached the game; a step that finds nothing to act on makes none
    uint256[STEPS] public successes;
    string public broken; // the first rule that a step broke
    uint256 public taken; // tokens of bonds, ever
    uint256 public paid;
    uint256 public burned;
    uint256[] public games;
    uint64 public lastClaim = CLAIM;
    mapping(uint256 id => uint256) internal countOf;
    uint64 internal nonce;
    Step internal current;
    bytes internal refusal; // of the last call

    constructor() {
        DisputeFixture.setUp();
        newClaim(9);
    }

    function setUp() public override {}

    function parts() external view returns (DisputeGame, BookDouble, Token) {
        return (game, book, token);
    }

    function total() external view returns (uint256) {
        return games.length;
    }

    function accounts() public pure returns (address[4] memory) {
        return [ALICE, BOB, CAROL, op(0)];
    }

    function newClaim(uint256 dice) internal {
        uint256 count = [uint256(1), 2, 3, 17, 40, 300][dice % 6];
        ++lastClaim;
        putSmall(lastClaim, count);
        countOf[lastClaim] = count;
    }

    function putSmall(uint64 claimId, uint256 count) internal {
        IClaimBook.Claim memory c;
        (c.jobId, c.first, c.operator, c.lock) = (claimId >> 32, claimId & type(uint32).max, op(0), 1e18);
        (c.state, c.contestUntil) = (IClaimBook.ClaimState.Revealed, uint40(block.timestamp + 1 days));
        c.answers = keccak256(abi.encode(answeredWith(answerWith(rootOf(count, board(count).top())))));
        book.put(claimId, c);
    }

    // ---- one random step ----

    function step(uint256 dice) external {
        uint8[30] memory weighted =
            [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 4, 4, 5, 5, 6, 7, 8, 8, 9, 10, 10, 11];
        current = Step(weighted[dice % 30]);
        dice = uint256(keccak256(abi.encode(dice, ++nonce)));
        uint256 id = games.length == 0 ? 0 : pick(dice >> 128);
        IDisputeGame.Game memory before = gameOf(id);
        uint256 supply = token.totalSupply();
        bool ok = run(dice, id, before);
        if (ok) successes[uint256(current)] += 1;
        if (supply != token.totalSupply() && gameOf(id).status == IDisputeGame.Status.OperatorWon) {
            burned += supply - token.totalSupply();
        }
        compare(before, gameOf(id));
    }

    /// @dev A game that this kind of step may move, where there is one among a few.
    function pick(uint256 dice) internal view returns (uint256 id) {
        for (uint256 i = 0; i < 12; ++i) {
            id = games[uint256(keccak256(abi.encode(dice, i))) % games.length];
            IDisputeGame.Game memory g = gameOf(id);
            bool open = g.status == IDisputeGame.Status.Open;
            bool operators = g.turn == IDisputeGame.Side.Operator;
            if (current == Step.Bisect && open && operators) return id;
            if ((current == Step.Choose || current == Step.Count) && open && !operators) return id;
            if ((current == Step.Timeout || current == Step.OutOfTurn) && open) return id;
            if (current == Step.Decide && (atJudge(g))) return id;
            if (current == Step.Close && (open || atJudge(g)) && !revealed(g.claimId)) return id;
            if (current == Step.EndClaim && revealed(g.claimId)) return id;
        }
    }

    function atJudge(IDisputeGame.Game memory g) internal pure returns (bool) {
        return g.status == IDisputeGame.Status.AtLeaf || g.status == IDisputeGame.Status.AtCount;
    }

    function revealed(uint64 claimId) internal view returns (bool) {
        return book.claimInfo(claimId).state == IClaimBook.ClaimState.Revealed;
    }

    function run(uint256 dice, uint256 id, IDisputeGame.Game memory g) internal returns (bool) {
        if (current == Step.Open) return openAny(dice);
        if (current == Step.Withdraw) return withdraw(dice);
        if (current == Step.Params) {
            IDisputeGame.Params memory p = IDisputeGame.Params(
                uint32(1 hours + dice % 24 hours),
                uint32(10 minutes + dice % 55 minutes),
                uint128(1e18 + dice % 9e18),
                7
            );
            return send(ADMIN, address(game), abi.encodeCall(game.setParams, (p)));
        }
        if (current == Step.Wait) {
            calls[uint256(current)] += 1;
            pass(dice % (dice % 4 == 0 ? 12 hours : 1 hours));
            return true;
        }
        if (id == 0) return false;
        if (current == Step.EndClaim) {
            calls[uint256(current)] += 1;
            if (dice % 3 == 0) book.end(g.claimId);
            return true;
        }
        if (current == Step.Timeout) {
            uint256 until = game.turnUntil(id);
            if (dice % 8 > 0 && until >= block.timestamp) vm.warp(until + 1);
            return send(BOB, address(game), abi.encodeCall(game.timeout, (id)));
        }
        if (current == Step.Close) return send(BOB, address(game), abi.encodeCall(game.close, (id)));
        if (current == Step.Decide) {
            return send(address(judge), address(game), abi.encodeCall(game.decide, (id, dice % 2 == 0)));
        }
        return move(dice, id, g);
    }

    function send(address from, address to, bytes memory data) internal returns (bool ok) {
        calls[uint256(current)] += 1;
        vm.prank(from);
        (ok, refusal) = to.call(data);
    }

    function openAny(uint256 dice) internal returns (bool ok) {
        if (dice % 3 == 0) newClaim(dice >> 8);
        uint64 claimId = lastClaim - uint64((dice >> 16) % 2);
        if (claimId == CLAIM) claimId = lastClaim;
        uint256 count = countOf[claimId];
        Answers.Answer memory answer = answerWith(rootOf(count, board(count).top()));
        address who = accounts()[(dice >> 24) % 3];
        uint256 bonds = game.bondFor(claimId);
        ok = send(who, address(game), abi.encodeCall(game.open, (claimId, 3, answeredWith(answer), answer, decoded())));
        if (!ok) return false;
        uint256 id =
            uint256(claimId) | uint256(uint160(who)) << 64 | uint256(2) << 224 | uint256(1) << 232 | uint256(3) << 240;
        if (gameOf(id).status != IDisputeGame.Status.Open) breaks("no such game");
        games.push(id);
        taken += bonds;
    }

    function withdraw(uint256 dice) internal returns (bool ok) {
        address who = accounts()[dice % 4];
        uint256 owed = game.owed(who);
        if (owed == 0 && dice % 8 > 0) return false;
        ok = send(who, address(game), abi.encodeCall(IBonds.withdraw, ()));
        if (ok != (owed > 0)) breaks("withdraw");
        if (ok) paid += owed;
    }

    /// @dev A move that is right but for its side or time.
    function move(uint256 dice, uint256 id, IDisputeGame.Game memory g) internal returns (bool ok) {
        if (g.status != IDisputeGame.Status.Open) return false;
        uint256 count = countOf[g.claimId];
        bytes32[][] memory tree = board(count);
        bytes32[] memory row = tree.children(g.count == 0 ? tree.length - 1 : g.level, g.first);
        bool bisects = current == Step.Bisect;
        if (current == Step.OutOfTurn) bisects = g.turn == IDisputeGame.Side.Challenger;
        bytes memory data = abi.encodeCall(game.bisect, (id, g.position, uint32(count), row));
        uint256 child = (dice >> 64) % row.length;
        if (!bisects) data = abi.encodeCall(game.choose, (id, g.position, child, row[child], Board.path(row, child)));
        if (current == Step.Count) data = abi.encodeCall(game.disputeCount, (id, g.position));
        bool late = block.timestamp > game.turnUntil(id);
        bool turns = g.turn == (bisects ? IDisputeGame.Side.Operator : IDisputeGame.Side.Challenger);
        bool mayCount = current != Step.Count || (g.first == 0 && g.level == tree.length - 1);
        ok = send(g.challenger, address(game), data);
        if (ok != (turns && !late && mayCount)) {
            breaks(ok ? "a move out of turn or time" : string.concat("a fair move was refused: ", vm.toString(refusal)));
        }
    }

    // ---- 24. from one position to the next ----

    function compare(IDisputeGame.Game memory a, IDisputeGame.Game memory b) internal {
        if (a.status == IDisputeGame.Status.None) return;
        if (a.status >= IDisputeGame.Status.OperatorWon && b.status != a.status) breaks("an end that was none");
        for (uint256 side = 0; side < 2; ++side) {
            if (b.spent[side] < a.spent[side]) breaks("a clock grew");
            if (b.spent[side] > b.clock) breaks("more than the clock was spent");
        }
        if (a.count == 0) return;
        if (b.count != a.count || b.level > a.level) breaks("the node grew");
        bool within = b.first >= a.first && b.first + (1 << b.level) <= a.first + (1 << a.level);
        if (!within) breaks("the node moved away");
        bool chose = a.turn == IDisputeGame.Side.Challenger && b.turn == IDisputeGame.Side.Operator;
        if (chose && a.level > 0 && b.level == a.level && b.status == IDisputeGame.Status.Open) {
            breaks("it did not shrink");
        }
    }

    function breaks(string memory rule) internal {
        if (bytes(broken).length == 0) broken = rule;
    }
}
