// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A contract that a guardian can keep from taking on new work for some days, and from nothing else.
/// @notice While paused it refuses new jobs and new claims. Everything that ends what was begun goes on: answers,
/// disputes, settlement, refunds, withdrawals. Windows in which somebody has to begin or claim must not run out
/// meanwhile: the contract measures them by a clock of its own that stands still while paused.
interface IPausable {
    /// @notice Its guardian: until a time in seconds since 1970, at which it ends by itself, without a transaction.
    function pause(uint40 until) external;

    /// @notice Its guardian: ends it now.
    function unpause() external;
}
