// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Answers} from "./Answers.sol";
import {IStepVerifier} from "./IStepVerifier.sol";
import {Pictures} from "./Pictures.sol";
import {Window} from "./Window.sol";

/// @title A committed output picture is not what the scaler makes of the committed source.
/// @notice The statement is the hash of an Answers.Answer. One wrong sample is enough: the evidence opens the output tile
/// that holds it and the source tiles that the scaler looks at, and the step computes up to 8 by 8 samples again.
/// Faults: "wrong sample"; "wrong shape" for an output picture that is not 8-bit 4:2:0 of the ordered size.
contract ScaleStep is IStepVerifier {
    bytes32 public constant WRONG_SAMPLE = "wrong sample";
    bytes32 public constant WRONG_SHAPE = "wrong shape";
    uint256 internal constant MAX_BLOCK = 8;

    struct Evidence {
        Answers.Answer answer;
        uint8 rung;
        Pictures.FrameOpening output; // in the rung's scaled pictures
        Pictures.FrameOpening source; // the source picture current at the output's time
        Pictures.FrameOpening[] next; // the one after it, unless it begins at that very time or is the last
        Pictures.FrameOpening[] parent; // of the rung that this one is made from, if it is not the source
        Window.Block place;
        Pictures.TileOpening outputTile; // holds the whole block
        Pictures.TileOpening[] tiles; // of source or parent: all that the scaler looks at, row after row, no other
    }

    function prove(bytes32 statement, bytes calldata evidence) external pure returns (bytes32 fault) {
        Evidence memory e = abi.decode(evidence, (Evidence));
        Answers.Rung memory rung = Answers.open(e.answer, e.rung, statement);
        Pictures.Frame memory to = e.output.frame;
        Pictures.openFrame(rung.scaled, e.output);
        if (!Pictures.isOutput(to, rung.width, rung.height)) return WRONG_SHAPE;
        bytes memory right = expected(e);
        if (differs(e, right)) return WRONG_SAMPLE;
        revert NothingWrong();
    }

    /// @notice What the scaler makes of the opened source tiles at this place, row after row. Whether the answer and the
    /// output picture are what somebody is bound to is not looked at: it is `prove` that does.
    function scaled(bytes calldata evidence) external pure returns (bytes memory) {
        Evidence memory e = abi.decode(evidence, (Evidence));
        return expected(e);
    }

    function expected(Evidence memory e) private pure returns (bytes memory) {
        Window.Block memory b = e.place;
        require(b.plane < 3 && b.width > 0 && b.height > 0, OutOfShape());
        require(b.width <= MAX_BLOCK && b.height <= MAX_BLOCK, OutOfShape());
        (uint256 width, uint256 height) = Pictures.size(e.output.frame, b.plane);
        require(uint256(b.x) + b.width <= width && uint256(b.y) + b.height <= height, OutOfShape());
        return Window.scaled(origin(e), e.output.frame, e.answer.filter, b, e.tiles);
    }

    /// @dev The picture that the output is made from.
    function origin(Evidence memory e) private pure returns (Pictures.Frame memory from) {
        from = e.source.frame;
        Pictures.openFrame(e.answer.source, e.source);
        require(Pictures.isSane(from) && isCurrent(e), OutOfShape());
        uint256 parent = Answers.parent(e.answer, e.rung, from.width, from.height);
        if (parent == Answers.SOURCE) {
            require(e.parent.length == 0, OutOfShape());
            return from;
        }
        require(e.parent.length == 1, OutOfShape());
        from = e.parent[0].frame;
        Answers.Rung memory rung = e.answer.rungs[parent];
        Pictures.openFrame(rung.scaled, e.parent[0]);
        // A parent of another shape is a fault of its own.
        bool fits = from.time == e.output.frame.time && Pictures.isOutput(from, rung.width, rung.height);
        require(fits, OutOfShape());
    }

    /// @dev Whether the source picture is the one shown at the output's time: until the next one's time.
    function isCurrent(Evidence memory e) private pure returns (bool) {
        int64 time = e.output.frame.time;
        if (e.source.frame.time == time) return e.next.length == 0;
        if (e.source.frame.time > time) return false;
        if (uint256(e.source.index) + 1 == e.source.count) return e.next.length == 0;
        if (e.next.length != 1 || uint256(e.next[0].index) != uint256(e.source.index) + 1) return false;
        Pictures.openFrame(e.answer.source, e.next[0]);
        return e.next[0].frame.time > time;
    }

    /// @dev Opens the output tile and compares.
    function differs(Evidence memory e, bytes memory right) private pure returns (bool) {
        Window.Block memory b = e.place;
        (uint256 column, uint256 row) = (b.x / Pictures.TILE, b.y / Pictures.TILE);
        bool inside = (b.x + b.width - 1) / Pictures.TILE == column && (b.y + b.height - 1) / Pictures.TILE == row;
        require(inside, OutOfShape());
        (uint256 width,) = Pictures.openTile(e.output.frame, b.plane, column, row, e.outputTile);
        uint256 pos = (b.y % Pictures.TILE) * width + b.x % Pictures.TILE;
        for (uint256 i = 0; i < right.length; ++i) {
            if (e.outputTile.samples[pos + (i / b.width) * width + i % b.width] != right[i]) return true;
        }
        return false;
    }
}
