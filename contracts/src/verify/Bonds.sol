// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IBonds} from "../interfaces/IBonds.sol";

/// @title Bonds in stake tokens, and who is owed what of them. The token is the protocol's own and has no hooks.
abstract contract Bonds is IBonds {
    using SafeERC20 for ERC20Burnable;

    ERC20Burnable public immutable token;
    address public immutable admin;
    mapping(address account => uint256) public owed;

    modifier onlyAdmin() {
        require(msg.sender == admin, NotAdmin(msg.sender));
        _;
    }

    constructor(ERC20Burnable token_, address admin_) {
        token = token_;
        admin = admin_;
    }

    function withdraw() external {
        uint256 amount = owed[msg.sender];
        require(amount > 0, NothingToWithdraw(msg.sender));
        owed[msg.sender] = 0;
        emit Withdrawn(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    function _take(address from, uint256 amount) internal {
        token.safeTransferFrom(from, address(this), amount);
    }

    function _forfeit(uint256 amount, address winner) internal {
        owed[winner] += amount / 2;
        token.burn(amount - amount / 2);
    }

    function _requireWithin(uint256 value, uint256 least, uint256 most) internal pure {
        require(value >= least && value <= most, ParamOutOfBounds(value, least, most));
    }
}
