// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A contract that a guardian can keep from taking on new work for some days, and from nothing else.
/// @notice While paused it refuses new jobs and new claims. Everything that ends what was begun goes on: answers,
/// disputes, settlement, refunds, withdrawals. Windows in which somebody has to claim must not run out meanwhile: the
/// contract measures them by a clock of its own that stands still while paused.
/// @dev Only its guardian may call. A pause lasts from `pause` until `IGuardian(msg.sender).pausedUntil()` as of that call,
/// or until `unpause`, whichever is first; it ends by itself, without a transaction.
interface IPausable {
    function pause() external;
    function unpause() external;
}
