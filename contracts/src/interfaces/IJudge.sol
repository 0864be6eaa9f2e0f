// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Who decides at the end of a dispute: at first a jury of operators (IJury), later perhaps a machine.
/// @notice A dispute game is bound to one judge for good; it ends by the judge's call of IDisputeGame.decide.
interface IJudge {
    /// @notice The game alone: a game has come down to one hash, or to the number of pictures.
    function summon(uint256 gameId) external;

    /// @notice What the judge gets of a stake that is taken by its verdict, in 1e-4; with the challenger's at most a half.
    function share() external view returns (uint16);

    /// @notice Most seconds from the summons to the verdict, over all parameters within the bounds.
    function reach() external view returns (uint32);
}
