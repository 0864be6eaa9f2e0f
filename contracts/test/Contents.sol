// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerkleSum} from "../src/lib/MerkleSum.sol";
import {ContentTree} from "../src/verify/ContentTree.sol";

/// @dev Builds what ContentTree only checks: the whole tree over some bytes.
library Contents {
    uint256 internal constant CHUNK = 16 * 1024;

    function fill(uint256 length) internal pure returns (bytes memory out) {
        out = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            out[i] = bytes1(uint8(i * 7 + i / 251));
        }
    }

    function chunk(bytes memory data, uint256 index) internal pure returns (bytes memory out) {
        uint256 from = index * CHUNK;
        uint256 rest = data.length - from;
        out = new bytes(rest < CHUNK ? rest : CHUNK);
        assembly ("memory-safe") {
            mcopy(add(out, 32), add(add(data, 32), from), mload(out))
        }
    }

    function leaves(bytes memory data) internal pure returns (bytes32[] memory level) {
        uint256 count = (data.length + CHUNK - 1) / CHUNK;
        level = new bytes32[](1 << MerkleSum.depth(count));
        for (uint256 i = 0; i < count; ++i) {
            level[i] = sha256(chunk(data, i));
        }
    }

    function up(bytes32[] memory level) internal pure returns (bytes32[] memory next) {
        next = new bytes32[](level.length / 2);
        for (uint256 i = 0; i < next.length; ++i) {
            (bytes32 l, bytes32 r) = (level[2 * i], level[2 * i + 1]);
            next[i] = l == 0 && r == 0 ? bytes32(0) : sha256(abi.encode(l, r));
        }
    }

    function top(bytes memory data) internal pure returns (bytes32) {
        bytes32[] memory level = leaves(data);
        while (level.length > 1) level = up(level);
        return level[0];
    }

    function root(bytes memory data) internal pure returns (bytes32) {
        return ContentTree.root(uint64(data.length), top(data));
    }

    function opening(bytes memory data, uint256 index) internal pure returns (ContentTree.Opening memory o) {
        (o.length, o.top) = (uint64(data.length), top(data));
        if (index * CHUNK >= data.length) return o;
        o.data = chunk(data, index);
        bytes32[] memory level = leaves(data);
        o.path = new bytes32[](MerkleSum.depth((data.length + CHUNK - 1) / CHUNK));
        for (uint256 i = 0; i < o.path.length; ++i) {
            o.path[i] = level[index ^ 1];
            level = up(level);
            index /= 2;
        }
    }
}
