// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Bonds in stake tokens. Lost: half goes to the other side, half is burned. Everybody pulls what is theirs.
interface IBonds {
    event Withdrawn(address indexed account, uint256 amount);

    error NothingToWithdraw(address account);
    error NotAdmin(address caller);
    error ParamOutOfBounds(uint256 value, uint256 least, uint256 most);

    function withdraw() external;

    /// @notice 1e-18 tokens that the account may withdraw.
    function owed(address account) external view returns (uint256);
}
