// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The stake token: 18 decimals, a supply fixed at deployment that only slashing and burning reduce.
contract Token is ERC20, ERC20Burnable, ERC20Permit {
    error HoldersAndAmountsDiffer(uint256 holders, uint256 amounts);

    /// @param holders Receivers of the whole supply, one for each of `amounts` (1e-18 tokens).
    constructor(address[] memory holders, uint256[] memory amounts)
        ERC20("Headframe Stake", "HFS")
        ERC20Permit("Headframe Stake")
    {
        require(holders.length == amounts.length, HoldersAndAmountsDiffer(holders.length, amounts.length));
        for (uint256 i = 0; i < holders.length; ++i) {
            _mint(holders[i], amounts[i]);
        }
    }
}
