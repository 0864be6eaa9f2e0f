// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Four levels of an IndexTree at a time.
library Bisection {
    uint256 internal constant STEP = 4; // levels

    /// @return Levels that are opened at once from a node with `level` levels below it.
    function depth(uint256 level) internal pure returns (uint256) {
        return level < STEP ? level : STEP;
    }

    /// @notice The node above 1, 2, 4, 8 or 16 children, which are overwritten. As IndexTree.node, in a loop without checks.
    function fold(bytes32[] memory children) internal pure returns (bytes32 node) {
        assembly ("memory-safe") {
            let base := add(children, 32)
            let at := mload(0x40) // behind the free memory pointer, which stays where it is
            mstore8(at, 1)
            for { let width := shr(1, mload(children)) } width { width := shr(1, width) } {
                for { let i := 0 } lt(i, width) { i := add(i, 1) } {
                    mcopy(add(at, 1), add(base, shl(6, i)), 64)
                    mstore(add(base, shl(5, i)), keccak256(at, 65))
                }
            }
            node := mload(base)
        }
    }
}
