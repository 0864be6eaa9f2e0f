// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStepVerifier} from "./IStepVerifier.sol";

/// @title What an operator commits to when a segment of its work is drawn: the pictures on the way from source to rendition.
/// @notice Pictures are committed as the source lies: those of a source that is shown turned are turned back first, and
/// the sizes here are those of the lying pictures.
library Answers {
    /// A rung may be made from another that is at least so many times larger in both directions.
    uint256 internal constant MIN_STEP = 4;
    uint256 internal constant MAX_RUNGS = 16;
    /// Made from the source.
    uint256 internal constant SOURCE = type(uint256).max;

    struct Answer {
        bytes32 source; // pictures of the decoded source
        uint8 filter; // a curve of Curve
        bool cascade; // small rungs are made from larger ones, as parent() says
        Rung[] rungs;
    }

    struct Rung {
        uint32 width;
        uint32 height;
        bytes32 content; // the rendition's bytes, of ByteTree: what an Ordered of HeaderStep is about
        bytes32 scaled; // pictures that the scaler makes of the source's
        bytes32 decoded; // pictures that the rendition decodes to
        bytes32 errors; // squared errors between these two
        bytes32 limits; // hash of the Limits that the order sets
    }

    /// The largest squared error allowed, luma and both planes of chroma together.
    struct Limits {
        uint64 tileLuma;
        uint64 tileChroma; // of one plane
        uint64 frameLuma;
        uint64 frameChroma;
        uint64 segmentLuma;
        uint64 segmentChroma;
    }

    /// @notice keccak256(abi.encode(answer)). Rungs are copied at once: the compiler's encoder goes through them field by field.
    function hash(Answer calldata answer) internal pure returns (bytes32 digest) {
        (bytes32 source, uint8 filter, bool cascade, Rung[] calldata rungs) =
            (answer.source, answer.filter, answer.cascade, answer.rungs);
        uint256 sides = 0; // all bits that any width or height has
        assembly ("memory-safe") {
            let m := mload(0x40) // behind what is in use
            mstore(m, 0x20)
            mstore(add(m, 0x20), source)
            mstore(add(m, 0x40), filter)
            mstore(add(m, 0x60), cascade)
            mstore(add(m, 0x80), 0x80) // where the rungs are
            mstore(add(m, 0xa0), rungs.length)
            let size := mul(rungs.length, 0xe0)
            calldatacopy(add(m, 0xc0), rungs.offset, size)
            for { let p := add(m, 0xc0) } lt(p, add(add(m, 0xc0), size)) { p := add(p, 0xe0) } {
                sides := or(sides, or(mload(p), mload(add(p, 0x20))))
            }
            digest := keccak256(m, add(0xc0, size))
        }
        require(sides <= type(uint32).max, IStepVerifier.OutOfShape());
    }

    /// @notice Reverts unless the answer is the statement.
    /// @return The rung asked for.
    function open(Answer memory answer, uint256 rung, bytes32 statement) internal pure returns (Rung memory) {
        bytes32 given = keccak256(abi.encode(answer));
        require(given == statement, IStepVerifier.OtherStatement(statement, given));
        require(rung < answer.rungs.length && answer.rungs.length <= MAX_RUNGS, IStepVerifier.OutOfShape());
        return answer.rungs[rung];
    }

    /// @notice The rung that `rung` is made from, or SOURCE: the one with the fewest samples (then the narrowest, then the
    /// first) that is MIN_STEP times as wide and high, no larger than the source in either direction and not its size.
    function parent(Answer memory answer, uint256 rung, uint256 width, uint256 height)
        internal
        pure
        returns (uint256 best)
    {
        best = SOURCE;
        if (!answer.cascade) return best;
        (uint256 leastArea, uint256 leastWidth) = (SOURCE, 0);
        (uint256 w, uint256 h) = (MIN_STEP * answer.rungs[rung].width, MIN_STEP * answer.rungs[rung].height);
        for (uint256 i = 0; i < answer.rungs.length; ++i) {
            (uint256 x, uint256 y) = (answer.rungs[i].width, answer.rungs[i].height);
            if (x < w || y < h || x > width || y > height || (x == width && y == height)) continue;
            if (x * y < leastArea || (x * y == leastArea && x < leastWidth)) {
                (best, leastArea, leastWidth) = (i, x * y, x);
            }
        }
    }
}
