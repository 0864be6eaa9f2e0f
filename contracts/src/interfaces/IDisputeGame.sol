// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Answers} from "../steps/Answers.sol";
import {IBonds} from "./IBonds.sol";
import {IClaimBook} from "./IClaimBook.sol";

/// @title A dispute about pictures that an operator committed to, narrowed down to one of them by 16-ary bisection.
/// @notice A challenger says that the pictures behind a root are not those that there should be. Four levels of the committed
/// tree are opened at a time, which the contract hashes; the challenger names a child that is wrong. At one picture, or at the
/// number of pictures, a judge decides (the jury; later a machine). What needs no judge is decided here: padding is zero.
///
/// Open: operator's turn <-> challenger's turn; then AtLeaf or AtCount; then OperatorWon, ChallengerWon, or Void when the
/// claim ended in another way meanwhile. Whoever's time runs out loses.
///
/// A game is known by a number that says what it is about: claimId, challenger << 64, what << 224, rung << 232, slot << 240.
/// So each challenger can dispute the same thing once. Each move names the hash of the position that it was made for: after
/// a reorganization of the chain it hits no other game and no other position.
interface IDisputeGame is IBonds {
    enum Side {
        Operator,
        Challenger
    }

    enum Status {
        None,
        Open,
        AtLeaf,
        AtCount,
        OperatorWon,
        ChallengerWon,
        Void
    }

    enum What {
        Source, // pictures that the source decodes to
        Scaled, // that the scaler makes of them for a rung; for those that are never opened, or else ScaleStep is quicker
        Decoded, // that a rung's rendition decodes to
        Errors // a rung's tree of errors: goes to the judge at once
    }

    struct Params {
        uint32 clock; // seconds of each side for all its moves
        uint32 floor; // least seconds for a move
        uint128 bond; // stake tokens, plus bondShare of the claim's lock; doubled for each hold above two
        uint16 bondShare; // in 1e-4
    }

    /// What is disputed; rung is 0 for the source.
    struct Subject {
        What what;
        uint8 rung;
    }

    struct Game {
        uint64 claimId;
        uint16 slot;
        Subject subject;
        Status status;
        Side turn;
        address challenger;
        uint128 bond;
        uint40 lastMove;
        uint32[2] spent; // of each side's clock
        bytes32 node; // the hash under dispute
        uint32 count; // pictures; 0 until the operator has told
        uint32 first; // number of the first leaf below the node
        uint8 level; // levels below the node
        bytes32 position; // which the next move has to name
        uint32 clock; // of the parameters that it was opened under
        uint32 floor;
    }

    event GameOpened(uint256 indexed gameId, uint64 indexed claimId, address indexed challenger, bytes32 root);
    event Bisected(uint256 indexed gameId, uint32 count, bytes32[] children);
    event Chosen(uint256 indexed gameId, uint256 child, bytes32 hash);
    event AtLeaf(uint256 indexed gameId, uint256 picture, bytes32 hash);
    event AtCount(uint256 indexed gameId, uint256 count);
    event Resolved(uint256 indexed gameId, Status status);
    event ParamsChanged(Params params);

    error NotContestable(uint64 claimId);
    error OtherAnswers(bytes32 answers, bytes32 given);
    error OtherDigest(bytes32 digest, bytes32 given);
    error NoSuchSubject(uint256 slot, uint256 rung);
    error GameExists(uint256 gameId);
    error TooManyGames(uint64 claimId);
    error NotOnTurn(uint256 gameId, Side side);
    error NotChallenger(uint256 gameId, address caller);
    error OtherPosition(bytes32 expected, bytes32 given);
    error TooLate(uint256 gameId, uint256 until);
    error NotYet(uint256 gameId, uint256 until);
    error NotTheTree(bytes32 expected, bytes32 given);
    error BadMove();
    error NotJudge(address caller);
    error NotOpen(uint256 gameId);
    error ClaimGoesOn(uint64 claimId);

    /// @notice Anyone, from the reveal to the end of the claim's contest window, with a bond: `answer` is what the revealed
    /// digest is the hash of.
    function open(
        uint64 claimId,
        uint256 slot,
        IClaimBook.Answered calldata answered,
        Answers.Answer calldata answer,
        Subject calldata subject
    ) external returns (uint256 gameId);

    /// @notice Anyone, on the operator's turn, for nothing but its own tree hashes to the node: up to 16 children of the
    /// node, four levels below it or at the leaves. The first time the node is the top, which with `count`, at most 65536,
    /// makes the root; later `count` is the same.
    function bisect(uint256 gameId, bytes32 position, uint32 count, bytes32[] calldata children) external;

    /// @notice Challenger, on its first turn: the number of pictures is wrong.
    function disputeCount(uint256 gameId, bytes32 position) external;

    /// @notice Challenger, on its turn: a child that is wrong, and its path among the children that were opened. A child
    /// that is a leaf behind the last picture decides the game: zero is right.
    function choose(uint256 gameId, bytes32 position, uint256 child, bytes32 hash, bytes32[] calldata path) external;

    /// @notice Anyone: the side on turn has no time left.
    function timeout(uint256 gameId) external;

    /// @notice Anyone: the claim has ended in another way; the challenger gets its bond back.
    function close(uint256 gameId) external;

    /// @notice The judge alone. Does nothing to a game that is Void.
    function decide(uint256 gameId, bool operatorRight) external;

    /// @notice Within bounds; running games keep theirs.
    function setParams(Params calldata params) external;

    function game(uint256 gameId) external view returns (Game memory);

    /// @notice Last second of the side on turn; 0 when nobody is.
    function turnUntil(uint256 gameId) external view returns (uint40);
    function params() external view returns (Params memory);

    /// @notice What opening a game on the claim takes now.
    function bondFor(uint64 claimId) external view returns (uint256);

    /// @notice Longest time by which a claim can be kept beyond its contest window, over all parameters within the bounds,
    /// the judge's among them.
    function reach() external view returns (uint32);
}
