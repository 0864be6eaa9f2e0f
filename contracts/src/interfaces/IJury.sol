// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A jury drawn by stake that says whether one picture is what the bytes decode to. A stated assumption of trust.
/// @notice 15 seats, 11 decide; once, either side may appeal to 31 seats, of which 23 decide. Fewer than that: the operator is
/// right. A verdict takes no more than the claim's lock.
///
/// Drawing (until the seed's block is sealed) -> Voting (commit) -> Revealing -> Appealable -> Final.
interface IJury {
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
        uint32 voteWindow;
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
        uint40 until; // of the stage
        bytes32 seed;
        uint64 seedBlock;
        uint16 epoch;
    }

    /// @notice The game alone, once it is at a leaf.
    function summon(uint256 gameId) external;

    /// @notice Anyone: the randomness of the seed's block.
    function seal(uint256 gameId, bytes calldata header) external;

    /// @notice Signer of the operator drawn for the seat: keccak256(abi.encode(right, salt, gameId, seat, operator)).
    function vote(uint256 gameId, uint256 seat, bytes32 commitment) external;
    function revealVote(uint256 gameId, uint256 seat, bool right, bytes32 salt) external;

    /// @notice The losing side, with a bond: 31 new seats, once.
    function appeal(uint256 gameId) external;

    /// @notice Anyone, once nothing can change the verdict: tells the game.
    function finish(uint256 gameId) external;

    /// @notice Seats of the majority share what the verdict leaves to jurors.
    function takeReward(uint256 gameId, uint256 seat) external;

    function jurorOf(uint256 gameId, uint256 seat) external view returns (address);
    function trial(uint256 gameId) external view returns (Trial memory);
    function params() external view returns (Params memory);
}
