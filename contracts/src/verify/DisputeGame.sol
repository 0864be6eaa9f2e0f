// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {IDisputeGame} from "../interfaces/IDisputeGame.sol";
import {IJudge} from "../interfaces/IJudge.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {MerkleSum} from "../lib/MerkleSum.sol";
import {Answers} from "../steps/Answers.sol";
import {IndexTree} from "../steps/IndexTree.sol";
import {Pictures} from "../steps/Pictures.sol";
import {Bisection} from "./Bisection.sol";
import {Bonds} from "./Bonds.sol";
import {GameId} from "./GameId.sol";

/// @title See IDisputeGame.
/// @dev Keeps two words for a game. The children that were opened are not kept: the node binds them.
contract DisputeGame is IDisputeGame, Bonds {
    using GameId for uint256;
    using SafeCast for uint256;

    uint256 public constant MAX_PICTURES = 65536;
    uint256 public constant MAX_HOLDS = 15; // on a claim
    uint256 public constant FREE_HOLDS = 2; // each more doubles the bond
    uint16 public constant CHALLENGER_CUT = 2500; // of what a verdict or a time-out takes, in 1e-4
    uint256 private constant MOVES = 4; // of each side at most, for MAX_PICTURES
    uint256 private constant BOND_UNIT = 1e12;
    uint256 private constant WHOLE = 1e4;

    IClaimBook public immutable book;
    IStakeRegistry public immutable registry;
    IJudge public immutable judge;

    Params private _params;
    Params private _least;
    Params private _most;
    mapping(uint256 gameId => Stored) private _games;

    /// @dev Two words. What else a game has is in its id.
    struct Stored {
        bytes32 node;
        uint40 lastMove;
        uint24 clock; // seconds, like all here
        uint24 floor;
        uint24 spentOperator;
        uint24 spentChallenger;
        uint56 bond; // in BOND_UNIT
        uint24 count;
        uint16 first; // below MAX_PICTURES
        uint8 level;
        Status status;
        Side turn;
    }

    constructor(
        IClaimBook book_,
        IStakeRegistry registry_,
        ERC20Burnable token_,
        IJudge judge_,
        address admin_,
        Params memory first,
        Params memory least,
        Params memory most
    ) Bonds(token_, admin_) {
        (book, registry, judge) = (book_, registry_, judge_);
        (_least, _most) = (least, most);
        _setParams(first);
    }

    // ---- opening ----

    function open(
        uint64 claimId,
        uint256 slot,
        IClaimBook.Answered calldata answered,
        Answers.Answer calldata answer,
        Subject calldata subject
    ) external returns (uint256 gameId) {
        (uint8 holds, uint128 lock) = _requireContestable(claimId, answered);
        gameId = GameId.make(claimId, msg.sender, slot.toUint16(), subject);
        Stored memory g = _games[gameId];
        require(g.status == Status.None, GameExists(gameId));
        g.node = _root(slot, answered, answer, subject);
        Params memory p = _params;
        (g.clock, g.floor) = (uint256(p.clock).toUint24(), uint256(p.floor).toUint24());
        uint256 bond = _bond(lock, holds, p);
        g.bond = (bond / BOND_UNIT).toUint56();
        g.lastMove = block.timestamp.toUint40();
        g.status = Status.Open;
        emit GameOpened(gameId, claimId, msg.sender, g.node);
        if (subject.what == What.Errors) _toJudge(gameId, g, Status.AtLeaf);
        _games[gameId] = g;
        book.hold(claimId);
        _take(msg.sender, bond);
        if (g.status != Status.Open) judge.summon(gameId);
    }

    /// @return Holds on the claim before this one, and its lock.
    function _requireContestable(uint64 claimId, IClaimBook.Answered calldata answered)
        private
        view
        returns (uint8, uint128)
    {
        (IClaimBook.ClaimState state, uint40 until, uint8 held, bytes32 answers, uint128 lock) =
            book.contestAndLock(claimId);
        bool inTime = state == IClaimBook.ClaimState.Revealed && block.timestamp <= until;
        require(inTime, NotContestable(claimId));
        bytes32 given = keccak256(abi.encode(answered));
        require(given == answers, OtherAnswers(answers, given));
        require(held < MAX_HOLDS, TooManyGames(claimId));
        return (held, lock);
    }

    /// @dev The disputed root, out of the answer that the operator revealed.
    function _root(
        uint256 slot,
        IClaimBook.Answered calldata answered,
        Answers.Answer calldata answer,
        Subject calldata subject
    ) private pure returns (bytes32) {
        require(slot < answered.digests.length, NoSuchSubject(slot, subject.rung));
        bytes32 given = Answers.hash(answer);
        require(given == answered.digests[slot], OtherDigest(answered.digests[slot], given));
        if (subject.what == What.Source) {
            require(subject.rung == 0, NoSuchSubject(slot, subject.rung));
            return answer.source;
        }
        require(subject.rung < answer.rungs.length, NoSuchSubject(slot, subject.rung));
        Answers.Rung calldata rung = answer.rungs[subject.rung];
        if (subject.what == What.Scaled) return rung.scaled;
        return subject.what == What.Decoded ? rung.decoded : rung.errors;
    }

    /// @dev In whole units, rounded up.
    function _bond(uint128 lock, uint8 holds, Params memory p) private pure returns (uint256) {
        uint256 bond = p.bond + Math.ceilDiv(uint256(lock) * p.bondShare, WHOLE);
        if (holds > FREE_HOLDS) bond <<= holds - FREE_HOLDS;
        return Math.ceilDiv(bond, BOND_UNIT) * BOND_UNIT;
    }

    // ---- moves ----

    function bisect(uint256 gameId, bytes32 position, uint32 count, bytes32[] calldata children) external {
        Stored memory g = _move(gameId, position, Side.Operator);
        bool first = g.count == 0;
        if (first) {
            require(count > 0 && count <= MAX_PICTURES, BadMove());
            (g.count, g.level) = (uint24(count), uint8(MerkleSum.depth(count)));
        }
        require(count == g.count && children.length == 1 << Bisection.depth(g.level), BadMove());
        bytes32 node = Bisection.fold(children);
        bytes32 given = first ? Pictures.segmentRoot(count, node) : node;
        require(given == g.node, NotTheTree(g.node, given));
        g.node = node;
        _games[gameId] = g;
        emit Bisected(gameId, count, children);
    }

    function disputeCount(uint256 gameId, bytes32 position) external {
        Stored memory g = _move(gameId, position, Side.Challenger);
        require(g.first == 0 && g.level == MerkleSum.depth(g.count), BadMove());
        _toJudge(gameId, g, Status.AtCount);
        _games[gameId] = g;
        judge.summon(gameId);
    }

    function choose(uint256 gameId, bytes32 position, uint256 child, bytes32 hash, bytes32[] calldata path) external {
        Stored memory g = _move(gameId, position, Side.Challenger);
        uint256 depth = Bisection.depth(g.level);
        bytes32 above = IndexTree.climb(hash, child, 1 << depth, path);
        require(above == g.node, NotTheTree(g.node, above));
        g.node = hash;
        g.level -= uint8(depth);
        g.first += uint16(child << g.level); // below the padded count
        emit Chosen(gameId, child, hash);
        if (g.level > 0) {
            _games[gameId] = g;
        } else if (g.first >= g.count) {
            _resolve(gameId, g, hash == 0, false);
        } else {
            _toJudge(gameId, g, Status.AtLeaf);
            _games[gameId] = g;
            judge.summon(gameId);
        }
    }

    /// @dev The turn of `side` ends: what it took comes off its clock, and the other's begins.
    function _move(uint256 gameId, bytes32 position, Side side) private view returns (Stored memory g) {
        g = _games[gameId];
        require(g.status == Status.Open && g.turn == side, NotOnTurn(gameId, side));
        if (side == Side.Challenger) require(msg.sender == gameId.challengerOf(), NotChallenger(gameId, msg.sender));
        bytes32 expected = _position(gameId, g);
        require(position == expected, OtherPosition(expected, position));
        uint256 until = _turnUntil(g);
        require(block.timestamp <= until, TooLate(gameId, until));
        uint256 took = block.timestamp - g.lastMove;
        if (side == Side.Operator) {
            g.spentOperator = uint24(Math.min(g.clock, g.spentOperator + took));
            g.turn = Side.Challenger;
        } else {
            g.spentChallenger = uint24(Math.min(g.clock, g.spentChallenger + took));
            g.turn = Side.Operator;
        }
        g.lastMove = uint40(block.timestamp);
    }

    // ---- ends ----

    function timeout(uint256 gameId) external {
        Stored memory g = _games[gameId];
        require(g.status == Status.Open, NotOpen(gameId));
        uint256 until = _turnUntil(g);
        require(block.timestamp > until, NotYet(gameId, until));
        _resolve(gameId, g, g.turn == Side.Challenger, false);
    }

    function close(uint256 gameId) external {
        Stored memory g = _games[gameId];
        require(_isOpen(g.status), NotOpen(gameId));
        uint64 claimId = gameId.claimOf();
        require(_stateOf(claimId) != IClaimBook.ClaimState.Revealed, ClaimGoesOn(claimId));
        _resolve(gameId, g, false, false);
    }

    function decide(uint256 gameId, bool operatorRight) external {
        require(msg.sender == address(judge), NotJudge(msg.sender));
        Stored memory g = _games[gameId];
        if (g.status == Status.Void) return;
        require(g.status == Status.AtLeaf || g.status == Status.AtCount, NotOpen(gameId));
        _resolve(gameId, g, operatorRight, true);
    }

    function _toJudge(uint256 gameId, Stored memory g, Status status) private {
        g.status = status;
        if (status == Status.AtLeaf) emit AtLeaf(gameId, g.first, g.node);
        else emit AtCount(gameId, g.count);
    }

    /// @dev Whoever wins, a claim that is over meanwhile ends the game without a loser.
    function _resolve(uint256 gameId, Stored memory g, bool operatorRight, bool judged) private {
        (uint64 claimId, address challenger) = (gameId.claimOf(), gameId.challengerOf());
        uint256 bond = g.bond * BOND_UNIT;
        if (_stateOf(claimId) != IClaimBook.ClaimState.Revealed) g.status = Status.Void;
        else g.status = operatorRight ? Status.OperatorWon : Status.ChallengerWon;
        (g.node, g.bond) = (0, 0);
        _games[gameId] = g;
        emit Resolved(gameId, g.status);
        if (g.status == Status.OperatorWon) {
            book.letGo(claimId);
            _forfeit(bond, registry.ownerOf(book.operatorOf(claimId)));
            return;
        }
        owed[challenger] += bond;
        if (g.status == Status.Void) return;
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](judged ? 2 : 1);
        cuts[0] = IStakeRegistry.Cut(challenger, CHALLENGER_CUT);
        if (judged) cuts[1] = IStakeRegistry.Cut(address(judge), judge.share());
        book.punish(claimId, IClaimBook.Fault.Verdict, cuts);
    }

    // ---- governance ----

    function setParams(Params calldata p) external onlyAdmin {
        _setParams(p);
    }

    function _setParams(Params memory p) private {
        (Params memory least, Params memory most) = (_least, _most);
        _requireWithin(p.clock, least.clock, most.clock);
        _requireWithin(p.floor, least.floor, most.floor);
        _requireWithin(p.bond, least.bond, most.bond);
        _requireWithin(p.bondShare, least.bondShare, most.bondShare);
        _params = p;
        emit ParamsChanged(p);
    }

    // ---- views ----

    function game(uint256 gameId) external view returns (Game memory out) {
        Stored memory g = _games[gameId];
        if (g.status == Status.None) return out;
        (out.claimId, out.challenger) = (gameId.claimOf(), gameId.challengerOf());
        (out.slot, out.subject) = (gameId.slotOf(), gameId.subjectOf());
        (out.status, out.turn) = (g.status, g.turn);
        out.bond = (g.bond * BOND_UNIT).toUint128();
        out.lastMove = g.lastMove;
        out.spent = [uint32(g.spentOperator), g.spentChallenger];
        (out.node, out.count, out.first, out.level) = (g.node, g.count, g.first, g.level);
        (out.position, out.clock, out.floor) = (_position(gameId, g), g.clock, g.floor);
    }

    function turnUntil(uint256 gameId) external view returns (uint40) {
        Stored memory g = _games[gameId];
        return g.status == Status.Open ? _turnUntil(g).toUint40() : 0;
    }

    function params() external view returns (Params memory) {
        return _params;
    }

    function bondFor(uint64 claimId) external view returns (uint256) {
        IClaimBook.Claim memory claim = book.claimInfo(claimId);
        require(claim.holds < MAX_HOLDS, TooManyGames(claimId));
        return _bond(claim.lock, claim.holds, _params);
    }

    function reach() external view returns (uint32) {
        uint256 side = _most.clock + MOVES * _most.floor;
        return (2 * side + judge.reach()).toUint32();
    }

    /// @dev The rest of the clock, or the floor. The challenger's clock is as long as the operator's.
    function _turnUntil(Stored memory g) private pure returns (uint256) {
        uint256 spent = g.turn == Side.Operator ? g.spentOperator : g.spentChallenger;
        return g.lastMove + Math.max(g.clock - spent, g.floor);
    }

    /// @dev All that the moves have led to, without their times: replayed in other blocks they lead to the same.
    function _position(uint256 gameId, Stored memory g) private pure returns (bytes32) {
        return keccak256(abi.encode(gameId, g.node, g.count, g.first, g.level, g.status, g.turn));
    }

    function _stateOf(uint64 claimId) private view returns (IClaimBook.ClaimState state) {
        (state,,,) = book.contest(claimId);
    }

    function _isOpen(Status status) private pure returns (bool) {
        return status == Status.Open || status == Status.AtLeaf || status == Status.AtCount;
    }
}
