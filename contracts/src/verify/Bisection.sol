// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IndexTree} from "../steps/IndexTree.sol";

/// @title Four levels of an IndexTree at a time.
library Bisection {
    uint256 internal constant STEP = 4; // levels

    /// @return Levels that are opened at once from a node with `level` levels below it.
    function depth(uint256 level) internal pure returns (uint256) {
        return level < STEP ? level : STEP;
    }

    /// @notice The node above 1, 2, 4, 8 or 16 children.
    function fold(bytes32[] memory children) internal pure returns (bytes32) {
        for (uint256 width = children.length; width > 1; width /= 2) {
            for (uint256 i = 0; i < width / 2; ++i) {
                children[i] = IndexTree.node(children[2 * i], children[2 * i + 1]);
            }
        }
        return children[0];
    }
}
