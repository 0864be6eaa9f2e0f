// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Answers} from "./Answers.sol";
import {ErrorTree} from "./ErrorTree.sol";
import {IStepVerifier} from "./IStepVerifier.sol";
import {Pictures} from "./Pictures.sol";

/// @title A committed error is not that of the committed pictures, or is larger than the order allows.
/// @notice The statement is the hash of an Answers.Answer. Faults: "wrong error" of a tile; "wrong shape" for a decoded
/// picture that has not the ordered size or not the time of the scaled one; "wrong count" where pictures or errors are
/// not of one number; "tile limit", "frame limit" and "segment limit" for sums above the order's.
contract ErrorSumStep is IStepVerifier {
    bytes32 public constant WRONG_COUNT = "wrong count";
    bytes32 public constant WRONG_ERROR = "wrong error";
    bytes32 public constant WRONG_SHAPE = "wrong shape";
    bytes32 public constant TILE_LIMIT = "tile limit";
    bytes32 public constant FRAME_LIMIT = "frame limit";
    bytes32 public constant SEGMENT_LIMIT = "segment limit";

    enum Kind {
        Count,
        Tile,
        TileLimit,
        FrameLimit,
        SegmentLimit
    }

    /// @dev `detail` is the ABI encoding of the structure that has the kind's name; both limits of sums use SumLimit.
    struct Evidence {
        Answers.Answer answer;
        uint8 rung;
        Kind kind;
        bytes detail;
    }

    /// Numbers and tops of the rung's three trees.
    struct Count {
        uint32 scaledCount;
        bytes32 scaledTop;
        uint32 decodedCount;
        bytes32 decodedTop;
        uint32 errorCount;
        ErrorTree.FrameNode errorTop;
    }

    struct Tile {
        uint8 plane;
        uint32 column; // of tiles
        uint32 row;
        Pictures.FrameOpening scaled;
        Pictures.FrameOpening decoded;
        ErrorTree.FrameOpening errors;
        Pictures.TileOpening scaledTile;
        Pictures.TileOpening decodedTile;
        ErrorTree.TileOpening tile;
    }

    struct TileLimit {
        Answers.Limits limits;
        uint8 plane;
        uint32 column;
        uint32 row;
        ErrorTree.FrameOpening errors;
        ErrorTree.TileOpening tile;
    }

    struct FrameLimit {
        Answers.Limits limits;
        ErrorTree.FrameOpening errors;
    }

    struct SegmentLimit {
        Answers.Limits limits;
        uint32 count;
        ErrorTree.FrameNode top;
    }

    function prove(bytes32 statement, bytes calldata evidence) external pure returns (bytes32 fault) {
        Evidence memory e = abi.decode(evidence, (Evidence));
        Answers.Rung memory rung = Answers.open(e.answer, e.rung, statement);
        if (e.kind == Kind.Count) fault = count(rung, abi.decode(e.detail, (Count)));
        else if (e.kind == Kind.Tile) fault = tile(rung, abi.decode(e.detail, (Tile)));
        else if (e.kind == Kind.TileLimit) fault = tileLimit(rung, abi.decode(e.detail, (TileLimit)));
        else if (e.kind == Kind.FrameLimit) fault = frameLimit(rung, abi.decode(e.detail, (FrameLimit)));
        else fault = segmentLimit(rung, abi.decode(e.detail, (SegmentLimit)));
        require(fault != 0, NothingWrong());
    }

    /// @notice Sum of squared differences of two tiles of 8-bit samples.
    function squaredError(bytes memory a, bytes memory b) public pure returns (uint64 sum) {
        require(a.length == b.length, OutOfShape());
        unchecked {
            // At most 65025 for each byte of an array that fits into memory.
            uint256 total = 0;
            for (uint256 i = 0; i < a.length; i += 32) {
                total += wordError(a, b, i);
            }
            return uint64(total);
        }
    }

    /// @dev The squared differences of up to 32 bytes from `pos` on.
    function wordError(bytes memory a, bytes memory b, uint256 pos) private pure returns (uint256 sum) {
        assembly ("memory-safe") {
            let x := mload(add(add(a, 32), pos))
            let y := mload(add(add(b, 32), pos))
            let left := sub(mload(a), pos)
            // Bytes behind the end do not count.
            if lt(left, 32) {
                let unused := mul(8, sub(32, left))
                x := shr(unused, x)
                y := shr(unused, y)
            }
            for { let n := 0 } lt(n, 32) { n := add(n, 8) } {
                let d := sub(byte(0, x), byte(0, y))
                sum := add(sum, mul(d, d))
                d := sub(byte(1, x), byte(1, y))
                sum := add(sum, mul(d, d))
                d := sub(byte(2, x), byte(2, y))
                sum := add(sum, mul(d, d))
                d := sub(byte(3, x), byte(3, y))
                sum := add(sum, mul(d, d))
                d := sub(byte(4, x), byte(4, y))
                sum := add(sum, mul(d, d))
                d := sub(byte(5, x), byte(5, y))
                sum := add(sum, mul(d, d))
                d := sub(byte(6, x), byte(6, y))
                sum := add(sum, mul(d, d))
                d := sub(byte(7, x), byte(7, y))
                sum := add(sum, mul(d, d))
                x := shl(64, x)
                y := shl(64, y)
            }
        }
    }

    function count(Answers.Rung memory rung, Count memory c) private pure returns (bytes32) {
        bool scaled = Pictures.segmentRoot(c.scaledCount, c.scaledTop) == rung.scaled;
        require(scaled, NotCommitted(rung.scaled));
        bool decoded = Pictures.segmentRoot(c.decodedCount, c.decodedTop) == rung.decoded;
        require(decoded, NotCommitted(rung.decoded));
        require(ErrorTree.root(c.errorCount, c.errorTop) == rung.errors, NotCommitted(rung.errors));
        bool one = c.scaledCount == c.decodedCount && c.scaledCount == c.errorCount;
        return one ? bytes32(0) : WRONG_COUNT;
    }

    function tile(Answers.Rung memory rung, Tile memory t) private pure returns (bytes32) {
        Pictures.openFrame(rung.scaled, t.scaled);
        Pictures.openFrame(rung.decoded, t.decoded);
        require(t.scaled.index == t.decoded.index, OutOfShape());
        Pictures.Frame memory frame = t.decoded.frame;
        bool shape = Pictures.isOutput(frame, rung.width, rung.height) && frame.time == t.scaled.frame.time;
        if (!shape) return WRONG_SHAPE;
        require(t.plane < 3 && t.scaled.index == t.errors.index, OutOfShape());
        Pictures.openTile(t.scaled.frame, t.plane, t.column, t.row, t.scaledTile);
        Pictures.openTile(frame, t.plane, t.column, t.row, t.decodedTile);
        ErrorTree.openFrame(rung.errors, t.errors);
        openError(rung, t.plane, t.column, t.row, t.errors, t.tile);
        bool right = squaredError(t.scaledTile.samples, t.decodedTile.samples) == t.tile.value;
        return right ? bytes32(0) : WRONG_ERROR;
    }

    function tileLimit(Answers.Rung memory rung, TileLimit memory t) private pure returns (bytes32) {
        open(rung, t.limits);
        require(t.plane < 3, OutOfShape());
        ErrorTree.openFrame(rung.errors, t.errors);
        openError(rung, t.plane, t.column, t.row, t.errors, t.tile);
        uint64 limit = t.plane == 0 ? t.limits.tileLuma : t.limits.tileChroma;
        return t.tile.value > limit ? TILE_LIMIT : bytes32(0);
    }

    function frameLimit(Answers.Rung memory rung, FrameLimit memory f) private pure returns (bytes32) {
        open(rung, f.limits);
        ErrorTree.FrameNode memory sums = ErrorTree.openFrame(rung.errors, f.errors);
        bool over = sums.luma > f.limits.frameLuma || sums.chroma > f.limits.frameChroma;
        return over ? FRAME_LIMIT : bytes32(0);
    }

    function segmentLimit(Answers.Rung memory rung, SegmentLimit memory s) private pure returns (bytes32) {
        open(rung, s.limits);
        require(ErrorTree.root(s.count, s.top) == rung.errors, NotCommitted(rung.errors));
        bool over = s.top.luma > s.limits.segmentLuma || s.top.chroma > s.limits.segmentChroma;
        return over ? SEGMENT_LIMIT : bytes32(0);
    }

    function open(Answers.Rung memory rung, Answers.Limits memory limits) private pure {
        require(keccak256(abi.encode(limits)) == rung.limits, NotCommitted(rung.limits));
    }

    function openError(
        Answers.Rung memory rung,
        uint256 plane,
        uint256 column,
        uint256 row,
        ErrorTree.FrameOpening memory errors,
        ErrorTree.TileOpening memory opening
    ) private pure {
        (uint256 width, uint256 height) = (rung.width, rung.height);
        if (plane > 0) (width, height) = ((width + 1) / 2, (height + 1) / 2);
        uint256 across = (width + Pictures.TILE - 1) / Pictures.TILE;
        uint256 down = (height + Pictures.TILE - 1) / Pictures.TILE;
        require(column < across && row < down, OutOfShape());
        ErrorTree.openTile(errors.planes[plane], row * across + column, across * down, opening);
    }
}
