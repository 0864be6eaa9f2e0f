// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";

/// @title The stake token: 18 decimals, made by one contract for ever, never more at once than a cap.
/// @dev Slashing and burning reduce the supply, and so make room under the cap.
contract Token is ERC20, ERC20Burnable, ERC20Permit {
    address public immutable minter; // 0: the supply can only shrink
    uint256 public immutable cap; // 1e-18 tokens

    error HoldersAndAmountsDiffer(uint256 holders, uint256 amounts);
    error NotMinter(address caller);
    error CapExceeded(uint256 supply, uint256 cap);

    /// @param holders Receivers of the first supply, one for each of `amounts` (1e-18 tokens).
    /// @param minter_ May be the address of a contract that is yet to come; nobody can change it.
    constructor(address[] memory holders, uint256[] memory amounts, address minter_, uint256 cap_)
        ERC20("Headframe Stake", "HFS")
        ERC20Permit("Headframe Stake")
    {
        require(holders.length == amounts.length, HoldersAndAmountsDiffer(holders.length, amounts.length));
        (minter, cap) = (minter_, cap_);
        for (uint256 i = 0; i < holders.length; ++i) {
            _mint(holders[i], amounts[i]);
        }
        _requireCap();
    }

    /// @notice Minter only.
    function mint(address to, uint256 amount) public {
        require(msg.sender == minter, NotMinter(msg.sender));
        _mint(to, amount);
        _requireCap();
    }

    /// @notice Minter only: new tokens for the registry, as an operator's reward for an epoch. It takes nobody's word for them
    /// but ours.
    function mintReward(IStakeRegistry registry, address operator, uint128 amount, uint16 epoch) external {
        mint(address(registry), amount);
        registry.notifyMinted(operator, amount, epoch);
    }

    function _requireCap() private view {
        uint256 supply = totalSupply();
        require(supply <= cap, CapExceeded(supply, cap));
    }
}
