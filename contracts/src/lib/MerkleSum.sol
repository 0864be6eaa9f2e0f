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

    /// @notice Levels above the leaves of a tree with `count` leaves; 0 for none.
    function depth(uint256 count) internal pure returns (uint256) {
        return count < 2 ? 0 : Math.log2(count - 1) + 1;
    }

    /// @notice Walks from leaf `index` to the top. Sums that overflow 64 bits revert.
    /// @dev In assembly, 160 gas a level where the compiler's way takes 800: an answer climbs 11 levels up to 8 times. The
    /// compiler does not look at what assembly reads of calldata, so every sum is looked at here.
    /// @return root Hash of the top, `total` its sum, `offset` the units left of the leaf.
    function climb(bytes32 hash, uint64 units, uint256 index, Work.Sibling[] calldata path)
        internal
        pure
        returns (bytes32 root, uint64 total, uint64 offset)
    {
        uint256 sum = units;
        uint256 left = 0;
        uint256 seen = units; // all bits that any sum had
        root = hash;
        assembly ("memory-safe") {
            let m := mload(0x40) // 81 bytes behind what is in use, for node()
            mstore8(m, NODE)
            let end := add(path.offset, shl(6, path.length))
            for { let p := path.offset } lt(p, end) { p := add(p, 64) } {
                let sibling := calldataload(p)
                let siblingSum := calldataload(add(p, 32))
                switch and(index, 1)
                case 0 {
                    mstore(add(m, 1), root)
                    mstore(add(m, 33), shl(192, sum))
                    mstore(add(m, 41), sibling)
                    mstore(add(m, 73), shl(192, siblingSum))
                }
                default {
                    mstore(add(m, 1), sibling)
                    mstore(add(m, 33), shl(192, siblingSum))
                    mstore(add(m, 41), root)
                    mstore(add(m, 73), shl(192, sum))
                    left := add(left, siblingSum)
                }
                root := keccak256(m, 81)
                sum := add(sum, siblingSum)
                seen := or(seen, or(sum, siblingSum))
                index := shr(1, index)
            }
        }
        require(seen <= type(uint64).max, SumTooLarge());
        (total, offset) = (uint64(sum), uint64(left)); // left of the leaf is part of the sum
    }
}
