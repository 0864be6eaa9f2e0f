// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC5805} from "@openzeppelin/contracts/interfaces/IERC5805.sol";

/// @title Votes of operators' own stake, with their history.
/// @notice One vote is 1e-18 tokens that an enrolled operator has bonded itself. Its owner casts it. Stake that thaws and
/// stake of delegators has no vote; an operator that is jailed, exiting or has exited has none. Votes cannot be given to
/// somebody else. The clock counts seconds since 1970.
///
/// The registry tells of every change. Two things it does not see as they happen: rewards that vest count with the
/// operator's next change, and votes that jail took come back with the first change after its end. For both anyone
/// calls `IStakeRegistry.poke`.
interface IStakeVotes is IERC5805 {
    /// @dev An operator's votes and who has them.
    event VotesRecorded(address indexed operator, address indexed owner, uint256 amount);

    error NotRegistry(address caller);
    error NotYetPast(uint256 timepoint, uint48 now_);
    error VotesCannotBeGiven();

    /// @notice Registry only: the stake of `operator` that votes from now on, and its owner.
    function record(address operator, address owner, uint256 amount) external;

    /// @notice What an operator adds to the votes of its owner now, and who that is.
    function votesOf(address operator) external view returns (address owner, uint256 amount);

    /// @notice Changes of an account's votes so far.
    function numCheckpoints(address account) external view returns (uint256);
}
