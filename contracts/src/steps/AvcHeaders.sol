// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStepVerifier} from "./IStepVerifier.sol";

/// @title The few fields of H.264 headers (ITU-T H.264, 7.3) that an order speaks of.
library AvcHeaders {
    uint256 internal constant IDR = 5;
    uint256 internal constant SEQUENCE = 7;
    uint256 internal constant PICTURE = 8;
    /// No unit.
    uint256 internal constant NONE = type(uint256).max;
    /// Bytes of a sequence parameter set that are read at most; they are shorter.
    uint256 internal constant SET = 1024;
    /// Bytes that hold the first few numbers of any unit.
    uint256 internal constant BEGIN = 32;

    /// Bits of a unit without the bytes that prevent start codes, from behind its header on.
    struct Bits {
        bytes data;
        uint256 pos;
    }

    struct Sequence {
        uint256 profile;
        uint256 level;
        uint256 chroma;
        uint256 depth; // of luma and chroma, the larger one
        uint256 width;
        uint256 height;
    }

    // ---- units ----

    /// @return Where the unit after the next start code from `from` on begins, or NONE. Nothing follows the last start
    /// code that could be a header.
    function next(bytes memory stream, uint256 from) internal pure returns (uint256) {
        uint256 length = stream.length;
        uint256 pos = from;
        bool found = false;
        assembly ("memory-safe") {
            for {} lt(add(pos, 3), length) {} {
                let three := shr(232, mload(add(add(stream, 32), pos)))
                if eq(three, 1) {
                    found := 1
                    break
                }
                // A third byte above 1 is part of no start code.
                pos := add(pos, add(1, mul(2, gt(and(three, 0xff), 1))))
            }
        }
        return found ? pos + 3 : NONE;
    }

    function kind(bytes memory stream, uint256 pos) internal pure returns (uint256) {
        return uint8(stream[pos]) & 0x1f;
    }

    /// @return The first slice, or NONE.
    function firstSlice(bytes memory stream) internal pure returns (uint256) {
        uint256 pos = next(stream, 0);
        while (pos != NONE && (kind(stream, pos) == 0 || kind(stream, pos) > IDR)) pos = next(stream, pos);
        return pos;
    }

    /// @return last The last unit of this kind and number before `end`, or NONE. Parameter sets are replaced by later ones.
    function parameters(bytes memory stream, uint256 wanted, uint256 id, uint256 end)
        internal
        pure
        returns (uint256 last)
    {
        last = NONE;
        for (uint256 pos = next(stream, 0); pos < end; pos = next(stream, pos)) {
            if (kind(stream, pos) != wanted) continue;
            Bits memory b = bits(stream, pos, BEGIN);
            if (wanted == SEQUENCE) b.pos = 24; // profile, constraints, level
            if (golomb(b) == id) last = pos;
        }
    }

    /// @notice Reads the unit at `pos` up to the next start code, the end of what there is, or `most` bytes.
    function bits(bytes memory stream, uint256 pos, uint256 most) internal pure returns (Bits memory b) {
        uint256 end = stream.length - pos > most ? pos + most : stream.length;
        bytes memory data = new bytes(end - pos);
        uint256 count = 0;
        uint256 zeros = 0;
        for (uint256 i = pos + 1; i < end; ++i) {
            uint256 value = uint8(stream[i]);
            if (zeros >= 2 && value == 3) {
                zeros = 0;
                continue;
            }
            if (zeros >= 2 && value == 1) {
                // The next start code, and zeros before it that belong to no unit.
                count -= zeros;
                break;
            }
            zeros = value == 0 ? zeros + 1 : 0;
            data[count++] = bytes1(uint8(value));
        }
        assembly ("memory-safe") {
            mstore(data, count)
        }
        b.data = data;
    }

    // ---- fields ----

    function read(Bits memory b, uint256 count) internal pure returns (uint256 value) {
        require(b.pos + count <= b.data.length * 8, IStepVerifier.OutOfShape());
        for (uint256 i = 0; i < count; ++i) {
            value = (value << 1) | ((uint8(b.data[b.pos >> 3]) >> (7 - (b.pos & 7))) & 1);
            b.pos += 1;
        }
    }

    /// @notice Exp-Golomb (9.1); values past 32 bits are nobody's.
    function golomb(Bits memory b) internal pure returns (uint256) {
        uint256 zeros = 0;
        while (read(b, 1) == 0) ++zeros;
        require(zeros <= 32, IStepVerifier.OutOfShape());
        return (1 << zeros) - 1 + read(b, zeros);
    }

    /// @notice The sequence parameter set at `pos` (7.3.2.1.1).
    function sequence(bytes memory stream, uint256 pos) internal pure returns (Sequence memory s) {
        Bits memory b = bits(stream, pos, SET);
        s.profile = read(b, 8);
        read(b, 8); // constraints
        s.level = read(b, 8);
        golomb(b); // its number
        (s.chroma, s.depth) = (1, 8);
        if (isHigh(s.profile)) high(b, s);
        golomb(b); // bits of frame numbers
        order(b);
        golomb(b); // reference frames
        read(b, 1); // gaps in frame numbers
        extent(b, s);
    }

    /// @dev The profiles whose parameter sets name a chroma format.
    function isHigh(uint256 profile) private pure returns (bool) {
        if (profile == 100 || profile == 110 || profile == 122 || profile == 244 || profile == 44) return true;
        if (profile == 83 || profile == 86 || profile == 118 || profile == 128) return true;
        return profile == 138 || profile == 139 || profile == 134 || profile == 135;
    }

    function high(Bits memory b, Sequence memory s) private pure {
        s.chroma = golomb(b);
        if (s.chroma == 3) read(b, 1); // planes coded apart
        (uint256 luma, uint256 chroma) = (golomb(b), golomb(b));
        s.depth = 8 + (luma > chroma ? luma : chroma);
        read(b, 1); // lossless
        if (read(b, 1) == 0) return;
        for (uint256 i = 0; i < (s.chroma == 3 ? 12 : 8); ++i) {
            if (read(b, 1) == 1) scaling(b, i < 6 ? 16 : 64);
        }
    }

    /// @dev Skips a scaling list (7.3.2.1.1.1).
    function scaling(Bits memory b, uint256 size) private pure {
        (uint256 last, uint256 following) = (8, 8);
        for (uint256 i = 0; i < size && following != 0; ++i) {
            // A signed value: 0, 1, -1, 2, -2; modulo 256.
            uint256 code = golomb(b);
            uint256 delta = code & 1 == 1 ? (code + 1) / 2 : 256 - (code / 2) % 256;
            following = (last + delta) % 256;
            if (following != 0) last = following;
        }
    }

    /// @dev Skips what says in which order pictures are shown.
    function order(Bits memory b) private pure {
        uint256 type_ = golomb(b);
        if (type_ == 0) golomb(b);
        if (type_ != 1) return;
        read(b, 1);
        golomb(b);
        golomb(b);
        uint256 cycle = golomb(b);
        require(cycle < 256, IStepVerifier.OutOfShape());
        for (uint256 i = 0; i < cycle; ++i) {
            golomb(b);
        }
    }

    function extent(Bits memory b, Sequence memory s) private pure {
        (uint256 columns, uint256 rows) = (golomb(b) + 1, golomb(b) + 1);
        uint256 frames = read(b, 1); // only frames, no fields
        if (frames == 0) read(b, 1);
        read(b, 1); // direct prediction of 8x8
        (s.width, s.height) = (16 * columns, 16 * rows * (2 - frames));
        if (read(b, 1) == 0) return;
        (uint256 x, uint256 y) = (s.chroma == 1 || s.chroma == 2 ? 2 : 1, s.chroma == 1 ? 2 : 1);
        uint256 across = (golomb(b) + golomb(b)) * x;
        uint256 down = (golomb(b) + golomb(b)) * y * (2 - frames);
        require(across < s.width && down < s.height, IStepVerifier.OutOfShape());
        (s.width, s.height) = (s.width - across, s.height - down);
    }
}
