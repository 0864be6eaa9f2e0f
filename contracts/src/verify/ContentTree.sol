// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerkleSum} from "../lib/MerkleSum.sol";

/// @title What the content roots of a receipt bind: any 16 KiB of a source or rendition can be shown to be part of it.
/// @notice The tree of PPSPP static content (RFC 7574 section 5): leaves are the SHA-256 of chunks of 16 KiB, the last one
/// less, padded with zeros to a power of two; a node is SHA-256(left || right), or 0 above two zeros. The root is
/// SHA-256("headframe content" || length:8 || top). The length, which the root binds, says how long a path is, so that
/// no node passes for a chunk. `agent/market/src/content.rs` builds it.
library ContentTree {
    uint256 internal constant CHUNK = 16 * 1024;

    struct Opening {
        uint64 length; // bytes of the whole content
        bytes32 top; // of the tree; looked at only where there is no such chunk
        bytes data; // the chunk
        bytes32[] path; // bottom up
    }

    function root(uint64 length, bytes32 top) internal pure returns (bytes32) {
        return sha256(abi.encodePacked("headframe content", length, top));
    }

    /// @notice Whether this opens chunk `index` under a content root, or shows that the content ends before it.
    function opens(bytes32 committed, uint256 index, Opening memory o) internal pure returns (bool) {
        if (index * CHUNK >= o.length) return root(o.length, o.top) == committed;
        uint256 rest = o.length - index * CHUNK;
        uint256 count = (uint256(o.length) + CHUNK - 1) / CHUNK;
        bool whole = o.data.length == (rest < CHUNK ? rest : CHUNK) && o.path.length == MerkleSum.depth(count);
        return whole && root(o.length, climb(sha256(o.data), index, o.path)) == committed;
    }

    function climb(bytes32 leaf, uint256 index, bytes32[] memory path) private pure returns (bytes32 top) {
        top = leaf;
        for (uint256 i = 0; i < path.length; ++i) {
            top = index & 1 == 0 ? node(top, path[i]) : node(path[i], top);
            index >>= 1;
        }
    }

    function node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return left | right == 0 ? bytes32(0) : sha256(bytes.concat(left, right));
    }
}
