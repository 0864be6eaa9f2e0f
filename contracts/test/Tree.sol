// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Work} from "../src/lib/Work.sol";
import {MerkleSum} from "../src/lib/MerkleSum.sol";

/// @dev Builds what the contract only checks: the whole Merkle-sum tree of a claim, level by level.
library Tree {
    function leaves(Work.Receipt[] memory r) internal pure returns (Work.Sibling[] memory level) {
        uint256 width = 1;
        while (width < r.length) width *= 2;
        level = new Work.Sibling[](width); // padding: hash 0, sum 0
        for (uint256 i = 0; i < r.length; ++i) {
            bytes32 hash = MerkleSum.leaf(r[i].jobId, r[i].seq, r[i].srcRoot, r[i].outRoot, r[i].units, r[i].outBytes);
            level[i] = Work.Sibling(hash, r[i].units);
        }
    }

    function up(Work.Sibling[] memory level) internal pure returns (Work.Sibling[] memory next) {
        next = new Work.Sibling[](level.length / 2);
        for (uint256 i = 0; i < next.length; ++i) {
            Work.Sibling memory l = level[2 * i];
            Work.Sibling memory r = level[2 * i + 1];
            next[i] = Work.Sibling(MerkleSum.node(l.hash, l.sum, r.hash, r.sum), l.sum + r.sum);
        }
    }

    function root(Work.Receipt[] memory r) internal pure returns (bytes32, uint64) {
        Work.Sibling[] memory level = leaves(r);
        while (level.length > 1) level = up(level);
        return (level[0].hash, level[0].sum);
    }

    function path(Work.Receipt[] memory r, uint256 index)
        internal
        pure
        returns (Work.Sibling[] memory out)
    {
        Work.Sibling[] memory level = leaves(r);
        out = new Work.Sibling[](MerkleSum.depth(r.length));
        for (uint256 i = 0; i < out.length; ++i) {
            out[i] = level[index ^ 1];
            level = up(level);
            index /= 2;
        }
    }

    /// @return index The segment that holds the unit at `offset`.
    function holder(Work.Receipt[] memory r, uint64 offset) internal pure returns (uint256 index) {
        uint64 end = r[0].units;
        while (offset >= end) end += r[++index].units;
    }
}
