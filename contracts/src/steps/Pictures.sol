// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Curve} from "./Curve.sol";
import {IStepVerifier} from "./IStepVerifier.sol";
import {IndexTree} from "./IndexTree.sol";

/// @title What the pictures of a segment are bound to: tiles, planes, frames, the segment. Numbers are big-endian.
/// @notice Tile: SHA-256 of its samples, row after row; a byte each, or two where a picture has ten bits. Tiles have 32 by
/// 32 samples, less at the right and lower edge. Plane: an IndexTree over its tiles, row after row. Frame: the hash below.
/// Segment: the hash of the number of frames and the top of an IndexTree over them, in order of presentation.
library Pictures {
    uint256 internal constant TILE = 32;
    uint256 internal constant MAX_SIDE = Curve.MAX_SIDE;

    struct Frame {
        uint32 width; // of luma
        uint32 height;
        uint8 chroma; // as H.264 counts: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4
        uint8 bits; // 8 or 10
        int64 time; // of presentation, in ticks of 1/90000 s
        bytes32[3] planes; // Y, U, V; 0 for the chroma of grey
    }

    struct FrameOpening {
        uint32 index;
        uint32 count;
        Frame frame;
        bytes32[] path;
    }

    struct TileOpening {
        bytes samples;
        bytes32[] path;
    }

    function frameHash(Frame memory f) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                uint8(2), f.width, f.height, f.chroma, f.bits, f.time, f.planes[0], f.planes[1], f.planes[2]
            )
        );
    }

    function segmentRoot(uint32 count, bytes32 top) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(3), count, top));
    }

    /// @notice Reverts unless the frame is part of the segment's pictures.
    function openFrame(bytes32 root, FrameOpening memory o) internal pure {
        bytes32 top = IndexTree.climb(frameHash(o.frame), o.index, o.count, o.path);
        require(segmentRoot(o.count, top) == root, IStepVerifier.NotCommitted(root));
    }

    /// @notice Whether its sides and format are such that anything can be computed from it.
    function isSane(Frame memory f) internal pure returns (bool) {
        bool sides = f.width > 0 && f.width <= MAX_SIDE && f.height > 0 && f.height <= MAX_SIDE;
        return sides && f.chroma <= 3 && (f.bits == 8 || f.bits == 10);
    }

    /// @notice Whether it is an 8-bit 4:2:0 picture of this size, as every output is.
    function isOutput(Frame memory f, uint32 width, uint32 height) internal pure returns (bool) {
        return f.width == width && f.height == height && f.chroma == 1 && f.bits == 8;
    }

    /// @notice Samples across and down of plane 0 to 2.
    function size(Frame memory f, uint256 plane) internal pure returns (uint256 width, uint256 height) {
        (width, height) = (f.width, f.height);
        if (plane > 0 && f.chroma < 3) width = (width + 1) / 2;
        if (plane > 0 && f.chroma < 2) height = (height + 1) / 2;
    }

    /// @notice Reverts unless `o` is the tile in this column and row of tiles of a plane.
    /// @return width Samples to a row of the tile, `height` its rows.
    function openTile(Frame memory f, uint256 plane, uint256 column, uint256 row, TileOpening memory o)
        internal
        pure
        returns (uint256 width, uint256 height)
    {
        (width, height) = size(f, plane);
        (uint256 across, uint256 down) = ((width + TILE - 1) / TILE, (height + TILE - 1) / TILE);
        require(column < across && row < down, IStepVerifier.OutOfShape());
        width = cut(width, column);
        height = cut(height, row);
        require(o.samples.length == width * height * (f.bits == 8 ? 1 : 2), IStepVerifier.OutOfShape());
        bytes32 top = IndexTree.climb(sha256(o.samples), row * across + column, across * down, o.path);
        require(top == f.planes[plane], IStepVerifier.NotCommitted(f.planes[plane]));
    }

    /// @notice Samples of the tile number `n` along a side of `side` samples.
    function cut(uint256 side, uint256 n) internal pure returns (uint256) {
        uint256 rest = side - n * TILE;
        return rest < TILE ? rest : TILE;
    }
}
