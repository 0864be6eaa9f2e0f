// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStepVerifier} from "./IStepVerifier.sol";
import {Curve} from "./Curve.sol";
import {Pictures} from "./Pictures.sol";

/// @title The scaler on a few output samples: rows are mixed first, then samples, as kernels/src/reference.rs says.
library Window {
    /// Fractional bits dropped after the vertical pass over 8-bit samples; two more over 10-bit ones.
    uint256 internal constant VERTICAL_SHIFT = 8;
    uint256 internal constant HORIZONTAL_SHIFT = 20;

    /// A rectangle of output samples of one plane.
    struct Block {
        uint8 plane;
        uint32 x;
        uint32 y;
        uint32 width; // 1 to 8
        uint32 height;
    }

    /// The weights of one direction over the samples that exist.
    struct Span {
        int256[] first; // per output sample
        int256[][] coefs;
        uint256 low; // the source samples looked at, both included
        uint256 high;
    }

    /// Samples of the source picture, opened tile by tile.
    struct Source {
        uint256 width; // of the plane
        uint256 bits;
        uint256 low; // first and last column looked at
        uint256 high;
        uint256 column; // first column of tiles
        uint256 row;
        uint256 across; // tiles to a row of them
        bytes[] tiles; // row after row
    }

    /// @notice What the output samples have to be, row after row.
    /// @param tiles The tiles of `from` that hold all samples looked at, row after row of tiles, and no other.
    function scaled(
        Pictures.Frame memory from,
        Pictures.Frame memory to,
        uint8 filter,
        Block memory b,
        Pictures.TileOpening[] memory tiles
    ) internal pure returns (bytes memory out) {
        out = new bytes(b.width * b.height);
        if (b.plane > 0 && from.chroma == 0) {
            require(tiles.length == 0, IStepVerifier.OutOfShape());
            for (uint256 i = 0; i < out.length; ++i) {
                out[i] = 0x80;
            }
            return out;
        }
        (uint256 width, uint256 height) = Pictures.size(from, b.plane);
        (Curve.Axis memory columns, Curve.Axis memory rows) = axes(from, to, filter, b.plane);
        Span memory across = span(columns, b.x, b.width, width);
        Span memory down = span(rows, b.y, b.height, height);
        mix(out, opened(from, b.plane, across, down, tiles), across, down, height);
    }

    /// @notice Where the samples of a plane lie: chroma that is coarser across lies left, coarser down in the centre.
    function axes(Pictures.Frame memory from, Pictures.Frame memory to, uint8 filter, uint8 plane)
        internal
        pure
        returns (Curve.Axis memory columns, Curve.Axis memory rows)
    {
        (columns.filter, rows.filter) = (filter, filter);
        (columns.src, columns.dst) = (from.width, to.width);
        (rows.src, rows.dst) = (from.height, to.height);
        if (plane == 0) return (columns, rows); // Full is the first of its kind
        (columns.to, rows.to) = (Curve.Siting.Left, Curve.Siting.Centre);
        if (from.chroma < 3) columns.from = Curve.Siting.Left;
        if (from.chroma < 2) rows.from = Curve.Siting.Centre;
    }

    function span(Curve.Axis memory axis, uint256 from, uint256 count, uint256 side)
        private
        pure
        returns (Span memory s)
    {
        (s.first, s.coefs) = (new int256[](count), new int256[][](count));
        for (uint256 i = 0; i < count; ++i) {
            (s.first[i], s.coefs[i]) = Curve.weights(axis, from + i);
        }
        s.low = clamp(s.first[0], side);
        s.high = clamp(s.first[count - 1] + int256(s.coefs[0].length) - 1, side);
    }

    function opened(
        Pictures.Frame memory from,
        uint8 plane,
        Span memory across,
        Span memory down,
        Pictures.TileOpening[] memory tiles
    ) private pure returns (Source memory s) {
        (s.width,) = Pictures.size(from, plane);
        (s.bits, s.low, s.high) = (from.bits, across.low, across.high);
        (s.column, s.row) = (across.low / Pictures.TILE, down.low / Pictures.TILE);
        s.across = across.high / Pictures.TILE - s.column + 1;
        uint256 count = s.across * (down.high / Pictures.TILE - s.row + 1);
        require(tiles.length == count, IStepVerifier.OutOfShape());
        s.tiles = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            Pictures.openTile(from, plane, s.column + i % s.across, s.row + i / s.across, tiles[i]);
            s.tiles[i] = tiles[i].samples;
        }
    }

    function mix(bytes memory out, Source memory s, Span memory across, Span memory down, uint256 height) private pure {
        uint256 shift = VERTICAL_SHIFT + s.bits - 8;
        int256[] memory mid = new int256[](s.high - s.low + 1);
        uint256 pos = 0;
        for (uint256 i = 0; i < down.first.length; ++i) {
            for (uint256 c = 0; c < mid.length; ++c) {
                mid[c] = int256(1 << (shift - 1));
            }
            int256[] memory coefs = down.coefs[i];
            for (uint256 t = 0; t < coefs.length; ++t) {
                addRow(mid, s, clamp(down.first[i] + int256(t), height), coefs[t]);
            }
            for (uint256 c = 0; c < mid.length; ++c) {
                mid[c] >>= shift;
            }
            for (uint256 j = 0; j < across.first.length; ++j) {
                out[pos++] = sample(mid, across, j, s);
            }
        }
    }

    /// @dev Adds `coef` times a row of the source to the sums.
    function addRow(int256[] memory sums, Source memory s, uint256 row, int256 coef) private pure {
        unchecked {
            uint256 firstTile = (row / Pictures.TILE - s.row) * s.across;
            for (uint256 n = 0; n < s.across; ++n) {
                uint256 left = (s.column + n) * Pictures.TILE;
                uint256 width = Pictures.cut(s.width, s.column + n);
                uint256 begin = s.low > left ? s.low : left;
                uint256 end = s.high < left + width ? s.high + 1 : left + width;
                uint256 skip = (row % Pictures.TILE) * width + begin - left;
                addRun(sums, begin - s.low, end - begin, s.tiles[firstTile + n], skip, s.bits, coef);
            }
        }
    }

    /// @dev sums[pos + i] += coef * samples[skip + i] for i below `count`. The caller has checked both lengths.
    function addRun(
        int256[] memory sums,
        uint256 pos,
        uint256 count,
        bytes memory samples,
        uint256 skip,
        uint256 bits,
        int256 coef
    ) private pure {
        assembly ("memory-safe") {
            let sum := add(add(sums, 32), mul(pos, 32))
            let end := add(sum, mul(count, 32))
            switch bits
            case 8 {
                // The sample is the last byte of the word that ends with it.
                let from := add(add(samples, 1), skip)
                for {} lt(sum, end) {
                    sum := add(sum, 32)
                    from := add(from, 1)
                } { mstore(sum, add(mload(sum), mul(coef, and(mload(from), 0xff)))) }
            }
            default {
                let from := add(add(samples, 2), mul(skip, 2))
                for {} lt(sum, end) {
                    sum := add(sum, 32)
                    from := add(from, 2)
                } {
                    let value := and(mload(from), 0xffff)
                    if gt(value, 1023) { value := 1023 }
                    mstore(sum, add(mload(sum), mul(coef, value)))
                }
            }
        }
    }

    /// @dev One output sample from the mixed rows.
    function sample(int256[] memory mid, Span memory across, uint256 j, Source memory s) private pure returns (bytes1) {
        unchecked {
            int256[] memory coefs = across.coefs[j];
            int256 sum = int256(1 << (HORIZONTAL_SHIFT - 1));
            for (uint256 t = 0; t < coefs.length; ++t) {
                int256 pos = across.first[j] + int256(t);
                // Clamped to the samples looked at, which end at the plane's edges at the latest.
                uint256 c = pos < int256(s.low) ? s.low : uint256(pos);
                sum += coefs[t] * mid[(c > s.high ? s.high : c) - s.low];
            }
            sum >>= HORIZONTAL_SHIFT;
            if (sum < 0) return 0;
            return bytes1(uint8(sum > 255 ? 255 : uint256(sum)));
        }
    }

    function clamp(int256 pos, uint256 side) private pure returns (uint256) {
        if (pos < 0) return 0;
        return uint256(pos) < side ? uint256(pos) : side - 1;
    }
}
