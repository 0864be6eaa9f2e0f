// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @dev A contract whose admin has proposed another one.
interface IHandover {
    function acceptAdmin() external;
}

/// @title What was decided waits here before it acts, and from here it acts: the admin of everything.
/// @notice Only the governor proposes and cancels; anyone executes what is due. Nobody was ever its admin but itself, so
/// nothing can have been scheduled before the governor was there. It takes over its contracts as it is created.
contract Timelock is TimelockController {
    uint256 public constant LEAST_DELAY = 2 days;
    uint256 public constant MOST_DELAY = 30 days;

    error DelayOutOfBounds(uint256 delay, uint256 least, uint256 most);

    /// @param governor May be the address of a contract that is yet to come.
    /// @param handed Contracts that have proposed this one's address as their admin.
    constructor(uint256 delay, address governor, IHandover[] memory handed)
        TimelockController(delay, _only(governor), _only(address(0)), address(0))
    {
        require(delay == getMinDelay(), DelayOutOfBounds(delay, LEAST_DELAY, MOST_DELAY));
        for (uint256 i = 0; i < handed.length; ++i) {
            handed[i].acceptAdmin();
        }
    }

    /// @notice Seconds from queueing to acting. A decision to go beyond the bounds goes as far as the bound.
    function getMinDelay() public view override returns (uint256) {
        return Math.max(LEAST_DELAY, Math.min(super.getMinDelay(), MOST_DELAY));
    }

    function _only(address account) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = account;
    }
}
