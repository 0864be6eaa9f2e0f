// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStepVerifier} from "./IStepVerifier.sol";
import {MerkleSum} from "../lib/MerkleSum.sol";
import {SumPath} from "./SumPath.sol";

/// @title What squared errors are bound to: a tree whose nodes commit to the sums below them. Numbers are big-endian.
/// @notice Tile: keccak256(0x00 || error). Plane: a tree of MerkleSum nodes over its tiles, row after row. Frame: the hash
/// below, with the error of luma and that of both chroma planes. Segment: the hash of the number of frames and the top of
/// a tree over them whose nodes carry both sums. Trees are padded with zeros to a power of two, positions are bound as in
/// IndexTree. A sum that does not fit 64 bits reverts.
library ErrorTree {
    struct FrameNode {
        bytes32 hash;
        uint64 luma;
        uint64 chroma;
    }

    /// One frame in the tree of its segment.
    struct FrameOpening {
        uint32 index;
        uint32 count;
        SumPath.Node[3] planes; // tops of Y, U and V
        FrameNode[] path;
    }

    /// One tile in the tree of its plane.
    struct TileOpening {
        uint64 value;
        SumPath.Node[] path;
    }

    function leaf(uint64 value) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(0), value));
    }

    function frame(SumPath.Node[3] memory p) internal pure returns (FrameNode memory) {
        bytes32 hash =
            keccak256(abi.encodePacked(uint8(2), p[0].hash, p[0].sum, p[1].hash, p[1].sum, p[2].hash, p[2].sum));
        return FrameNode(hash, p[0].sum, p[1].sum + p[2].sum);
    }

    function frameNode(FrameNode memory l, FrameNode memory r) internal pure returns (FrameNode memory) {
        bytes32 hash = keccak256(abi.encodePacked(uint8(3), l.hash, l.luma, l.chroma, r.hash, r.luma, r.chroma));
        return FrameNode(hash, l.luma + r.luma, l.chroma + r.chroma);
    }

    function root(uint32 count, FrameNode memory top) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(4), count, top.hash, top.luma, top.chroma));
    }

    /// @notice Reverts unless the frame is part of the segment's errors.
    /// @return node Its sums.
    function openFrame(bytes32 committed, FrameOpening memory o) internal pure returns (FrameNode memory node) {
        node = frame(o.planes);
        bool fits = o.index < o.count && o.path.length == MerkleSum.depth(o.count);
        require(fits, IStepVerifier.OutOfShape());
        FrameNode memory top = node;
        uint256 index = o.index;
        for (uint256 i = 0; i < o.path.length; ++i) {
            top = index & 1 == 0 ? frameNode(top, o.path[i]) : frameNode(o.path[i], top);
            index >>= 1;
        }
        require(root(o.count, top) == committed, IStepVerifier.NotCommitted(committed));
    }

    /// @notice Reverts unless `o` is the error of tile `index` of `count` below the top of its plane.
    function openTile(SumPath.Node memory top, uint256 index, uint256 count, TileOpening memory o) internal pure {
        require(index < count && o.path.length == MerkleSum.depth(count), IStepVerifier.OutOfShape());
        (bytes32 hash, uint256 sum,) = SumPath.climb(leaf(o.value), o.value, index, o.path);
        require(hash == top.hash && sum == top.sum, IStepVerifier.NotCommitted(top.hash));
    }
}
