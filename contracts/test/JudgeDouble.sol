// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @dev A double of the challenge manager and of the dispute game: tests call the book as it.
contract JudgeDouble {
    mapping(uint64 => uint256) public revealedCount;
    uint32 public longestHold = 1 days;
    uint32 public reach = 5 days;

    function reveal(uint64 claimId) external {
        ++revealedCount[claimId];
    }

    function deposit(uint64) external payable {}
}
