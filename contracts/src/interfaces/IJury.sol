// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IBonds} from "./IBonds.sol";
import {IJudge} from "./IJudge.sol";

/// @title A jury drawn by stake that says whether one picture is what it should be. A stated assumption of trust.
/// @notice 15 seats, 11 decide; once, the losing side may appeal to 31 seats, of which 23 decide. Fewer than that: the
/// operator is right. A verdict takes no more than the claim's lock. Jurors are operators in the active set that have
/// enlisted with a lock; an operator may have several seats. Who does not reveal a vote loses a tenth of the lock.
///
/// Drawing (until the seed's block is sealed) -> Voting (commit) -> Revealing -> Appealable -> Final. The vote's window runs
/// from the summons, whenever the seed is sealed, which has to be in its first half: the drawn need time to vote. The
/// seats of an appeal are numbered from 15 on.
interface IJury is IJudge, IBonds {
    enum Stage {
        None,
        Drawing,
        Voting,
        Revealing,
        Appealable,
        Final
    }

    struct Params {
        uint16 seedDelay; // blocks
        uint32 voteWindow; // seconds
        uint32 revealWindow;
        uint32 appealWindow;
        uint128 jurorLock; // stake of an enlisted juror
        uint128 appealBond; // stake tokens
    }

    struct Trial {
        Stage stage;
        bool appealed;
        uint8 seats;
        uint8 quorum;
        uint8 right; // revealed seats that say so
        uint8 wrong;
        uint40 until; // last second of the stage; 0 for Final
        bytes32 seed; // 0 until sealed
        uint64 seedBlock;
        uint16 epoch; // by whose weights it is drawn
        address appellant;
        uint128 reward; // of each seat that voted as the verdict came out
    }

    struct Juror {
        uint16 from; // epoch in which it is first drawn; 0 when not enlisted
        uint16 until; // epoch from which it is drawn no more; 0 for open end
        uint128 lock;
    }

    event Enlisted(address indexed operator, uint256 fromEpoch, uint256 lock);
    event Resigned(address indexed operator, uint256 fromEpoch);
    event JurorSlashed(address indexed operator, uint256 taken);
    event Summoned(uint256 indexed gameId, uint64 seedBlock, uint40 voteUntil);
    event Drawn(uint256 indexed gameId, bytes32 seed);
    event Voted(uint256 indexed gameId, uint256 seat, address indexed juror);
    event VoteRevealed(uint256 indexed gameId, uint256 seat, address indexed juror, bool right);
    event Appealed(uint256 indexed gameId, address indexed appellant, uint64 seedBlock, uint40 voteUntil);
    event Verdict(uint256 indexed gameId, bool operatorRight, uint256 reward);
    event Absent(uint256 indexed gameId, uint256 seat, address indexed juror);
    event Rewarded(uint256 indexed gameId, uint256 seat, address indexed owner, uint256 amount);
    event ParamsChanged(uint16 version, Params params);

    error NotGame(address caller);
    error WrongStage(uint256 gameId, Stage stage);
    error NotSigner(address caller);
    error NotJuror(uint256 gameId, uint256 seat, address caller);
    error AlreadyVoted(uint256 gameId, uint256 seat);
    error WrongReveal(uint256 gameId, uint256 seat);
    error NotLoser(uint256 gameId, address caller);
    error NotAbsent(uint256 gameId, uint256 seat);
    error NothingToTake(uint256 gameId, uint256 seat);
    error AlreadyEnlisted(address operator);
    error NotEnlisted(address operator);
    error LockBound(address operator, uint256 untilEpoch);

    // ---- jurors ----

    /// @notice Operator's signer: locks jurorLock; drawn from the next epoch on.
    function enlist() external;

    /// @notice Operator's signer: drawn no more from the next epoch on.
    function resign() external;

    /// @notice Anyone, three epochs later: the juror's lock is free again.
    function takeLock(address operator) external;

    // ---- a trial ----

    /// @notice Anyone: the randomness of the seed's block. seed = keccak256(abi.encode(prevrandao, gameId, appealed)).
    /// @param header RLP of the block's header.
    function seal(uint256 gameId, bytes calldata header) external;

    /// @notice Signer of the operator drawn for the seat: keccak256(abi.encode(right, salt, gameId, seat, operator)).
    function vote(uint256 gameId, uint256 seat, bytes32 commitment) external;

    /// @notice Anyone who knows the salt.
    function revealVote(uint256 gameId, uint256 seat, bool right, bytes32 salt) external;

    /// @notice The losing side (the challenger; the operator's signer or owner), with a bond: 31 new seats, once.
    function appeal(uint256 gameId) external;

    /// @notice Anyone, once nothing can change the verdict: tells the game.
    function finish(uint256 gameId) external;

    /// @notice Anyone, after the vote for a seat without vote (as long as the draw can be made again), after revealing for
    /// one that was not revealed: a tenth of jurorLock is burned, and the operator is drawn no more from the next epoch on.
    function reportAbsent(uint256 gameId, uint256 seat) external;

    /// @notice Anyone: pays the juror's owner. Seats of both rounds that voted as the verdict came out share what it leaves
    /// to jurors.
    function takeReward(uint256 gameId, uint256 seat) external;

    /// @notice Within bounds; running trials keep theirs.
    function setParams(Params calldata params) external;

    // ---- views ----

    /// @notice Who has the seat: up to 4 draws r = keccak256(abi.encode(seed, "juror", seat, t)), t from 0, until one falls
    /// on an operator that is enlisted for the epoch and no party: not the claim's operator or one of its owner, not the
    /// challenger, the operator that it signs for, or one of their owners. 0 when none does, or before the seal.
    function jurorOf(uint256 gameId, uint256 seat) external view returns (address);
    function trial(uint256 gameId) external view returns (Trial memory);
    function juror(address operator) external view returns (Juror memory);
    function params() external view returns (Params memory);
}
