// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerkleSum} from "../lib/MerkleSum.sol";

/// @title The way through a Merkle-sum tree (MerkleSum) of evidence that was decoded into memory.
library SumPath {
    struct Node {
        bytes32 hash;
        uint64 sum;
    }

    /// @notice Walks from leaf `index` to the top. The caller checks the path's length against the number of leaves.
    /// @return top Hash of the top; 0, which no tree has, where a sum does not fit 64 bits.
    /// @return total The sum of the top.
    /// @return offset What is left of the leaf.
    function climb(bytes32 hash, uint64 sum, uint256 index, Node[] memory path)
        internal
        pure
        returns (bytes32 top, uint256 total, uint256 offset)
    {
        (top, total) = (hash, sum);
        for (uint256 i = 0; i < path.length; ++i) {
            Node memory sibling = path[i];
            if (index & 1 == 0) {
                top = MerkleSum.node(top, uint64(total), sibling.hash, sibling.sum);
            } else {
                top = MerkleSum.node(sibling.hash, sibling.sum, top, uint64(total));
                offset += sibling.sum;
            }
            total += sibling.sum;
            if (total > type(uint64).max) return (0, total, offset);
            index >>= 1;
        }
    }
}
