// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Work} from "./Work.sol";

/// @title A Merkle tree over the segments of a claim whose nodes also commit to the units below them.
/// @notice Leaves are in segment order and padded with (hash 0, sum 0) to a power of two; one leaf is its own root.
/// Leaf and node start with different tags and differ in length, so neither passes for the other.
library MerkleSum {
    uint8 internal constant LEAF = 0;
    uint8 internal constant NODE = 1;

    function leaf(uint64 jobId, uint64 seq, bytes32 srcRoot, bytes32 outRoot, uint64 units, uint64 outBytes)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(LEAF, jobId, seq, srcRoot, outRoot, units, outBytes));
    }

    function node(bytes32 left, uint64 leftSum, bytes32 right, uint64 rightSum) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(NODE, left, leftSum, right, rightSum));
    }

    /// @notice Levels above the leaves of a tree with `count` leaves; 0 for none.
    function depth(uint256 count) internal pure returns (uint256) {
        return count < 2 ? 0 : Math.log2(count - 1) + 1;
    }

    /// @notice Walks from leaf `index` to the top. Sums that overflow 64 bits revert.
    /// @return root Hash of the top, `total` its sum, `offset` the units left of the leaf.
    function climb(bytes32 hash, uint64 units, uint256 index, Work.Sibling[] calldata path)
        internal
        pure
        returns (bytes32 root, uint64 total, uint64 offset)
    {
        (root, total) = (hash, units);
        for (uint256 i = 0; i < path.length; ++i) {
            Work.Sibling calldata sibling = path[i];
            if (index & 1 == 0) {
                root = node(root, total, sibling.hash, sibling.sum);
            } else {
                root = node(sibling.hash, sibling.sum, root, total);
                offset += sibling.sum;
            }
            total += sibling.sum;
            index >>= 1;
        }
    }
}
