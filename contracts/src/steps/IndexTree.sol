// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStepVerifier} from "./IStepVerifier.sol";
import {MerkleSum} from "../lib/MerkleSum.sol";

/// @title Merkle trees that prove a position, not only membership.
/// @notice Leaves are 32 bytes, in order, padded with zeros to a power of two; one leaf is its own top. A node is
/// keccak256(0x01 || left || right). The bits of the index choose the sides and the length of the path follows from the
/// number of leaves, which whoever holds the top binds too: a node cannot pass for a leaf, nor a leaf for another's.
library IndexTree {
    /// @return top Where the path leads from leaf `index` of `count`.
    function climb(bytes32 leaf, uint256 index, uint256 count, bytes32[] memory path)
        internal
        pure
        returns (bytes32 top)
    {
        require(index < count && path.length == MerkleSum.depth(count), IStepVerifier.OutOfShape());
        top = leaf;
        for (uint256 i = 0; i < path.length; ++i) {
            top = index & 1 == 0 ? node(top, path[i]) : node(path[i], top);
            index >>= 1;
        }
    }

    function node(bytes32 left, bytes32 right) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            // Behind the free memory pointer, which stays where it is.
            let at := mload(0x40)
            mstore8(at, 1)
            mstore(add(at, 1), left)
            mstore(add(at, 33), right)
            hash := keccak256(at, 65)
        }
    }
}
