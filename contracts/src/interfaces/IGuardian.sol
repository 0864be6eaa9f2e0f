// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPausable} from "./IPausable.sol";

/// @title A key that can hold up new work while something is being found out, for 7 of any 30 days at most.
/// @notice It moves nothing, sets nothing, and stops nobody from leaving. Times are seconds since 1970.
interface IGuardian {
    event Paused(uint40 until);
    event Unpaused();
    /// @dev A contract refused; the others were told all the same.
    event TargetFailed(IPausable indexed target);
    event KeyChanged(address indexed key);
    event TargetAdded(IPausable indexed target);
    event TargetRemoved(IPausable indexed target);

    error NotKey(address caller);
    error NotAdmin(address caller);
    error BadDuration(uint256 duration, uint256 most);
    error TooSoon(uint256 again);
    error NotPaused();
    error NoSuchContract(IPausable target);
    error AlreadyTarget(IPausable target);
    error NotTarget(IPausable target);
    error TooManyTargets(uint256 limit);

    /// @notice Key: pauses all targets for `duration` seconds, at most 7 days, and at most once in 30 days.
    function pause(uint256 duration) external;

    /// @notice Key or admin: ends the pause now. The 30 days still count from its beginning.
    function unpause() external;

    /// @notice Admin: who holds the key; 0 for nobody.
    function setKey(address key) external;

    /// @notice Admin: one more contract, which must be there already; at most 8. A running pause does not reach it.
    function addTarget(IPausable target) external;

    /// @notice Admin: one fewer. A pause it is in ends at its time.
    function removeTarget(IPausable target) external;

    // ---- views ----

    /// @notice When the last pause ends or ended; 0 when there was none.
    function pausedUntil() external view returns (uint40);

    /// @notice When the next pause may begin.
    function nextPause() external view returns (uint40);

    function admin() external view returns (address);
    function key() external view returns (address);
    function targets() external view returns (IPausable[] memory);
}
