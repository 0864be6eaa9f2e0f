// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {IDisputeGame} from "../interfaces/IDisputeGame.sol";
import {IJudge} from "../interfaces/IJudge.sol";
import {IJury} from "../interfaces/IJury.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {BlockHeader} from "../lib/BlockHeader.sol";
import {Bonds} from "./Bonds.sol";
import {GameId} from "./GameId.sol";
import {Jurors} from "./Jurors.sol";

/// @title See IJury.
/// @dev A slasher of the registry: it locks jurors' stake and takes of it. What verdicts take of operators the claim book does.
contract Jury is IJury, Bonds, Jurors {
    using GameId for uint256;
    using SafeCast for uint256;
    using SafeERC20 for ERC20Burnable;

    uint8 public constant SEATS = 15;
    uint8 public constant QUORUM = 11;
    uint8 public constant APPEAL_SEATS = 31;
    uint8 public constant APPEAL_QUORUM = 23;
    uint16 public constant share = 2500;
    /// With half of the active stake enlisted 94 of 100 seats are taken; a tenth that alone has enlisted gets 34 and
    /// decides nothing.
    uint256 public constant TRIES = 4;

    uint32 private constant MAX_VOTE = 1 days - 1; // draws of an epoch can be made to the end of the next
    IDisputeGame public immutable game;
    IClaimBook public immutable book;

    uint16 private _version;
    mapping(uint16 version => Params) private _params;
    Params private _least;
    Params private _most;
    mapping(uint256 gameId => Stored) private _trials;
    mapping(uint256 gameId => mapping(uint256 seat => Seat)) private _seats;

    struct Stored {
        uint64 seedBlock;
        uint40 voteUntil; // 0: not summoned
        uint16 epoch;
        uint16 version;
        uint8 right; // of the running round
        uint8 wrong;
        uint8 firstRight; // of the first, once there is a second
        uint8 firstWrong;
        bool appealed;
        bool finished;
        bool operatorRight; // once finished
        bytes32 seed;
        address operator; // of the claim, kept with the seed
        address appellant;
        uint96 reward; // as all amounts of stake
    }

    struct Seat {
        bytes32 commitment;
        address juror;
        uint16 epoch;
        bool revealed;
        bool right;
        bool closed; // rewarded, or reported absent
    }

    constructor(
        IDisputeGame game_,
        IClaimBook book_,
        IStakeRegistry registry_,
        ERC20Burnable token_,
        address admin_,
        Params memory first,
        Params memory least,
        Params memory most
    ) Bonds(token_, admin_) Jurors(registry_) {
        (game, book) = (game_, book_);
        (_least, _most) = (least, most);
        _requireWithin(most.voteWindow, least.voteWindow, MAX_VOTE);
        _setParams(first);
    }

    // ---- a round ----

    function summon(uint256 gameId) external {
        require(msg.sender == address(game), NotGame(msg.sender));
        Stored memory t;
        t.version = _version;
        _begin(t);
        _trials[gameId] = t;
        emit Summoned(gameId, t.seedBlock, t.voteUntil);
    }

    function seal(uint256 gameId, bytes calldata header) external {
        Stored memory t = _at(gameId, Stage.Drawing);
        // Who seals late would leave the drawn no time to vote, and have them punished for it.
        uint256 half = _params[t.version].voteWindow / 2;
        require(block.timestamp <= t.voteUntil - half, WrongStage(gameId, Stage.Drawing));
        uint256 random = BlockHeader.prevrandao(header, t.seedBlock);
        t.seed = keccak256(abi.encode(random, gameId, t.appealed));
        t.operator = book.operatorOf(gameId.claimOf());
        _trials[gameId] = t;
        emit Drawn(gameId, t.seed);
    }

    function vote(uint256 gameId, uint256 seat, bytes32 commitment) external {
        Stored memory t = _at(gameId, Stage.Voting);
        Seat storage s = _seats[gameId][seat];
        require(s.juror == address(0), AlreadyVoted(gameId, seat));
        address drawn = _drawn(gameId, seat, t);
        require(drawn != address(0) && keys.operatorOf(msg.sender) == drawn, NotJuror(gameId, seat, msg.sender));
        (s.commitment, s.juror, s.epoch) = (commitment, drawn, t.epoch);
        emit Voted(gameId, seat, drawn);
    }

    function revealVote(uint256 gameId, uint256 seat, bool right, bytes32 salt) external {
        Stored memory t = _at(gameId, Stage.Revealing);
        Seat storage s = _seats[gameId][seat];
        require(_inRound(seat, t) && !s.revealed, WrongReveal(gameId, seat));
        bytes32 commitment = keccak256(abi.encode(right, salt, gameId, seat, s.juror));
        require(s.juror != address(0) && s.commitment == commitment, WrongReveal(gameId, seat));
        (s.revealed, s.right) = (true, right);
        if (right) ++t.right;
        else ++t.wrong;
        _trials[gameId] = t;
        emit VoteRevealed(gameId, seat, s.juror, right);
    }

    function appeal(uint256 gameId) external {
        Stored memory t = _at(gameId, Stage.Appealable);
        require(_lost(gameId, t), NotLoser(gameId, msg.sender));
        (t.firstRight, t.firstWrong) = (t.right, t.wrong);
        (t.right, t.wrong, t.seed) = (0, 0, 0);
        (t.appealed, t.appellant) = (true, msg.sender);
        _begin(t);
        _trials[gameId] = t;
        emit Appealed(gameId, msg.sender, t.seedBlock, t.voteUntil);
        _take(msg.sender, _params[t.version].appealBond);
    }

    // ---- the end ----

    function finish(uint256 gameId) external {
        Stored memory t = _at(gameId, Stage.Final);
        require(!t.finished, WrongStage(gameId, Stage.Final));
        (t.finished, t.operatorRight) = (true, t.wrong < _quorum(t));
        _trials[gameId] = t;
        game.decide(gameId, t.operatorRight);
        if (t.appealed) _settleAppeal(gameId, t);
        if (!t.operatorRight) _share(gameId, t);
        emit Verdict(gameId, t.operatorRight, t.reward);
    }

    function reportAbsent(uint256 gameId, uint256 seat) external {
        Stored memory t = _trials[gameId];
        Seat storage s = _seats[gameId][seat];
        address absent = s.juror;
        if (absent == address(0)) {
            // Drawn and never voted; refused by the active set once the epoch is too old for a draw.
            require(block.timestamp > t.voteUntil && t.voteUntil != 0, NotAbsent(gameId, seat));
            absent = _drawn(gameId, seat, t);
            (s.juror, s.epoch) = (absent, t.epoch);
        } else {
            bool over = !_inRound(seat, t) || block.timestamp > t.voteUntil + _params[t.version].revealWindow;
            require(over && !s.revealed && !s.closed, NotAbsent(gameId, seat));
        }
        bool bound = activeSet.epoch() <= s.epoch + LOCK_EPOCHS;
        require(absent != address(0) && bound, NotAbsent(gameId, seat));
        s.closed = true;
        emit Absent(gameId, seat, absent);
        _penalise(absent);
    }

    function takeReward(uint256 gameId, uint256 seat) external {
        Stored memory t = _trials[gameId];
        Seat storage s = _seats[gameId][seat];
        bool won = s.revealed && s.right == t.operatorRight && !s.closed;
        require(won && t.reward > 0, NothingToTake(gameId, seat));
        s.closed = true;
        address owner = registry.ownerOf(s.juror);
        emit Rewarded(gameId, seat, owner, t.reward);
        token.safeTransfer(owner, t.reward);
    }

    /// @dev What the verdict left; nothing when the claim had ended before. A quorum of seats said wrong.
    function _share(uint256 gameId, Stored memory t) private {
        uint256 pot = registry.bounty(address(this));
        if (pot == 0) return;
        t.reward = (pot / (uint256(t.wrong) + t.firstWrong)).toUint96();
        _trials[gameId].reward = t.reward;
        registry.takeBounty();
    }

    /// @dev The bond comes back when the second verdict is another than the first, or when none was needed.
    function _settleAppeal(uint256 gameId, Stored memory t) private {
        uint256 bond = _params[t.version].appealBond;
        bool first = t.firstWrong < QUORUM;
        bool moot = game.game(gameId).status == IDisputeGame.Status.Void;
        if (moot || t.operatorRight != first) {
            owed[t.appellant] += bond;
        } else {
            _forfeit(bond, first ? registry.ownerOf(book.operatorOf(gameId.claimOf())) : gameId.challengerOf());
        }
    }

    // ---- governance ----

    function setParams(Params calldata p) external onlyAdmin {
        _setParams(p);
    }

    function _setParams(Params memory p) private {
        (Params memory least, Params memory most) = (_least, _most);
        _requireWithin(p.seedDelay, least.seedDelay, most.seedDelay);
        _requireWithin(p.voteWindow, least.voteWindow, most.voteWindow);
        _requireWithin(p.revealWindow, least.revealWindow, most.revealWindow);
        _requireWithin(p.appealWindow, least.appealWindow, most.appealWindow);
        _requireWithin(p.jurorLock, least.jurorLock, most.jurorLock);
        _requireWithin(p.appealBond, least.appealBond, most.appealBond);
        _params[++_version] = p;
        emit ParamsChanged(_version, p);
    }

    // ---- views ----

    function jurorOf(uint256 gameId, uint256 seat) external view returns (address) {
        address voted = _seats[gameId][seat].juror;
        return voted != address(0) ? voted : _drawn(gameId, seat, _trials[gameId]);
    }

    function trial(uint256 gameId) external view returns (Trial memory out) {
        Stored memory t = _trials[gameId];
        (out.stage, out.until) = _stage(t);
        if (out.stage == Stage.None) return out;
        out.appealed = t.appealed;
        (out.seats, out.quorum) = (t.appealed ? APPEAL_SEATS : SEATS, _quorum(t));
        (out.right, out.wrong) = (t.right, t.wrong);
        (out.seed, out.seedBlock, out.epoch) = (t.seed, t.seedBlock, t.epoch);
        (out.appellant, out.reward) = (t.appellant, t.reward);
    }

    function params() external view returns (Params memory) {
        return _params[_version];
    }

    function reach() external view returns (uint32) {
        return (2 * (uint256(_most.voteWindow) + _most.revealWindow) + _most.appealWindow).toUint32();
    }

    // ---- parts ----

    function _begin(Stored memory t) private view {
        Params memory p = _params[t.version];
        t.seedBlock = (block.number + p.seedDelay).toUint64();
        t.voteUntil = (block.timestamp + p.voteWindow).toUint40();
        t.epoch = activeSet.epoch().toUint16();
    }

    function _at(uint256 gameId, Stage wanted) private view returns (Stored memory t) {
        t = _trials[gameId];
        (Stage stage,) = _stage(t);
        require(stage == wanted, WrongStage(gameId, stage));
    }

    function _stage(Stored memory t) private view returns (Stage, uint40 until) {
        if (t.voteUntil == 0) return (Stage.None, 0);
        if (block.timestamp <= t.voteUntil) return (t.seed == 0 ? Stage.Drawing : Stage.Voting, t.voteUntil);
        Params memory p = _params[t.version];
        until = t.voteUntil + p.revealWindow;
        if (block.timestamp <= until) return (Stage.Revealing, until);
        until += p.appealWindow;
        if (!t.appealed && block.timestamp <= until) return (Stage.Appealable, until);
        return (Stage.Final, 0);
    }

    function _quorum(Stored memory t) private pure returns (uint8) {
        return t.appealed ? APPEAL_QUORUM : QUORUM;
    }

    function _inRound(uint256 seat, Stored memory t) private pure returns (bool) {
        return t.appealed ? seat >= SEATS && seat < SEATS + APPEAL_SEATS : seat < SEATS;
    }

    /// @dev Whether the caller is the side that loses as things stand.
    function _lost(uint256 gameId, Stored memory t) private view returns (bool) {
        if (t.wrong < QUORUM) return msg.sender == gameId.challengerOf();
        return keys.operatorOf(msg.sender) == t.operator || msg.sender == registry.ownerOf(t.operator);
    }

    function _drawn(uint256 gameId, uint256 seat, Stored memory t) private view returns (address) {
        if (t.seed == 0 || !_inRound(seat, t)) return address(0);
        address challenger = gameId.challengerOf();
        address owner = registry.ownerOf(t.operator);
        address challengers = registry.ownerOf(keys.operatorOf(challenger));
        for (uint256 i = 0; i < TRIES; ++i) {
            uint256 random = uint256(keccak256(abi.encode(t.seed, "juror", seat, i)));
            address drawn = activeSet.draw(t.epoch, random);
            if (!_enlisted(drawn, t.epoch) || drawn == challenger) continue;
            address its = registry.ownerOf(drawn);
            if (its != owner && its != challengers && its != challenger) return drawn;
        }
        return address(0);
    }

    function _jurorLock() internal view override returns (uint256) {
        return _params[_version].jurorLock;
    }
}
