// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Answers} from "../steps/Answers.sol";
import {IClaimBook} from "./IClaimBook.sol";

/// @title A dispute about what bytes decode to, narrowed down to one picture by 16-ary bisection of the committed tree.
/// @notice A challenger says that the pictures an operator committed to (of the source, or decoded from a rendition) are not
/// those of the bytes. The operator opens four levels of its own tree at a time, which the contract hashes; the challenger
/// names the child that is wrong. At one picture, or at the number of pictures, a judge decides (the jury; later a machine).
///
/// Opened -> (operator's turn <-> challenger's turn) -> AtLeaf -> Resolved. Whoever's clock runs out loses.
interface IDisputeGame {
    enum Side {
        Operator,
        Challenger
    }

    enum Status {
        None,
        Open,
        AtLeaf,
        OperatorWon,
        ChallengerWon
    }

    struct Params {
        uint32 clock; // seconds of each side for all its moves
        uint32 floor; // least seconds for a move
        uint128 bond; // stake tokens, plus bondShare of the claim's lock
        uint16 bondShare; // in 1e-4
    }

    /// What is disputed: pictures of the source, or those that rendition `rung` decodes to.
    struct Subject {
        bool source;
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
        uint32 count; // pictures
        uint32 first; // number of the first leaf below the node
        uint8 level; // levels below the node
        bytes32 parent; // hash of the last move, which the next has to name
        bytes32 pictures; // the committed root
    }

    event GameOpened(
        uint256 indexed gameId, uint64 indexed claimId, address indexed challenger, uint256 slot, Subject subject
    );
    event Moved(uint256 indexed gameId, Side by, bytes32 move, bytes32[] children, uint256 child);
    event AtLeaf(uint256 indexed gameId, uint256 picture, bytes32 hash);
    event Resolved(uint256 indexed gameId, Status status);

    /// @notice Anyone, in the claim's contest window, with a bond: `answer` is what the operator's digest is the hash of.
    function open(
        uint64 claimId,
        uint256 slot,
        IClaimBook.Answered calldata answered,
        Answers.Answer calldata answer,
        Subject calldata subject
    ) external returns (uint256 gameId);

    /// @notice Challenger, instead of a first bisection: the number of pictures is wrong.
    function disputeCount(uint256 gameId, bytes32 parent) external;

    /// @notice Operator's signer, on its turn: the first time the number of pictures and the top; then up to 16 children of the node.
    function bisect(uint256 gameId, bytes32 parent, uint32 count, bytes32[] calldata children) external;

    /// @notice Challenger, on its turn: the first child that is wrong.
    function choose(uint256 gameId, bytes32 parent, uint256 child) external;

    /// @notice Anyone: the side on turn has no time left.
    function timeout(uint256 gameId) external;

    /// @notice The judge alone.
    function decide(uint256 gameId, bool operatorRight) external;

    function game(uint256 gameId) external view returns (Game memory);

    /// @notice Last second of the side on turn.
    function turnUntil(uint256 gameId) external view returns (uint40);
    function params() external view returns (Params memory);

    /// @notice Longest time from a game's opening to its end, over all parameters within the bounds, the judge's among them.
    function reach() external view returns (uint32);
}
