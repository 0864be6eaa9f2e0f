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

    error SumTooLarge();

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

    /// @notice What a claim keeps of its tree: its top, bound to who ordered the work and who did it.
    function bound(bytes32 top, address client, address operator) internal pure returns (bytes32 root) {
        assembly ("memory-safe") {
            let m := mload(0x40) // keccak256(abi.encode(top, client, operator)), behind what is in use
            mstore(m, top)
            mstore(add(m, 0x20), shr(96, shl(96, client)))
            mstore(add(m, 0x40), shr(96, shl(96, operator)))
            root := keccak256(m, 0x60)
        }
    }

    /// @notice Levels above the leaves of a tree with `count` leaves; 0 for none.
    function depth(uint256 count) internal pure returns (uint256) {
        return count < 2 ? 0 : Math.log2(count - 1) + 1;
    }

    /// @notice Walks from leaf `index` to the top. Sums that overflow 64 bits revert.
    /// @dev In assembly, 200 gas a level where the compiler's way takes 800: an answer climbs 11 levels up to 8 times.
    /// @param path Where in calldata the siblings stand, bottom up, each as its hash and 8 bytes of its sum, up to `end`.
    /// @param copy Where in memory the siblings are put as words; the caller has made room for them.
    /// @return root Hash of the top, `total` its sum, `offset` the units left of the leaf.
    function climb(bytes32 hash, uint64 units, uint256 index, uint256 path, uint256 end, uint256 copy)
        internal
        pure
        returns (bytes32 root, uint256 total, uint256 offset)
    {
        (root, total) = (hash, units);
        assembly ("memory-safe") {
            let tag := mload(0x40) // 105 bytes behind what is in use, for node()
            mstore8(tag, NODE)
            let m := add(tag, 1)
            for {} lt(path, end) { path := add(path, 40) } {
                let sibling := shr(192, calldataload(add(path, 32)))
                mstore(copy, calldataload(path))
                mstore(add(copy, 32), sibling)
                copy := add(copy, 64)
                let right := and(index, 1) // it is the right one of the two
                let own := mul(right, 40)
                mstore(add(m, own), root)
                mstore(add(m, add(own, 32)), shl(192, total)) // and 24 bytes of nothing, which what follows covers or leaves out
                calldatacopy(add(m, sub(40, own)), path, 40)
                root := keccak256(tag, 81)
                offset := add(offset, mul(right, sibling))
                total := add(total, sibling)
                index := shr(1, index)
            }
        }
        require(total <= type(uint64).max, SumTooLarge()); // no sum was larger than this one
    }
}
