// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStepVerifier} from "./IStepVerifier.sol";

/// @title What a few packets of an MPEG transport stream (ISO/IEC 13818-1) say about its video.
/// @notice A PES packet of video is known by itself: its packet sets the unit start indicator and its payload begins with
/// 00 00 01 and a stream id of E0 to EF. Tables never begin so: behind their pointer field, in which a 0 stands for the next
/// byte, the third byte has its upper bits set. So no table has to be opened to find the video.
library TransportStream {
    uint256 internal constant PACKET = 188;
    uint8 internal constant SYNC = 0x47;

    /// A piece of the stream: `data` begins at byte `base` of it.
    struct Piece {
        bytes data;
        uint256 base;
    }

    /// @return pos Where packet `number` begins in the piece, all of which it has to lie in.
    function locate(Piece memory piece, uint256 number) internal pure returns (uint256 pos) {
        require(number * PACKET >= piece.base, IStepVerifier.OutOfShape());
        pos = number * PACKET - piece.base;
        require(pos + PACKET <= piece.data.length, IStepVerifier.OutOfShape());
    }

    /// @notice Whether a PES packet of video begins in this packet.
    function beginsVideo(bytes memory data, uint256 pos) internal pure returns (bool) {
        require(uint8(data[pos]) == SYNC, IStepVerifier.OutOfShape());
        uint256 from = payload(data, pos);
        if (uint8(data[pos + 1]) & 0x40 == 0 || from + 4 > pos + PACKET) return false;
        bool prefix = data[from] == 0 && data[from + 1] == 0 && uint8(data[from + 2]) == 1;
        return prefix && uint8(data[from + 3]) >> 4 == 0xe;
    }

    /// @notice The bytes of the PES packet that begins in the packet at `pos`, as far as the piece holds them, without
    /// its header. Packets that the piece cuts off do not count.
    function unit(bytes memory data, uint256 pos) internal pure returns (bytes memory out) {
        uint256 pid = packetId(data, pos);
        out = new bytes(data.length);
        uint256 length = 0;
        for (uint256 p = pos; p + PACKET <= data.length; p += PACKET) {
            require(uint8(data[p]) == SYNC, IStepVerifier.OutOfShape());
            if (packetId(data, p) != pid) continue;
            if (p != pos && uint8(data[p + 1]) & 0x40 != 0) break;
            uint256 from = payload(data, p);
            uint256 count = p + PACKET - from;
            assembly ("memory-safe") {
                // At most PACKET bytes for each PACKET bytes of `data`: they fit.
                mcopy(add(add(out, 32), length), add(add(data, 32), from), count)
            }
            length += count;
        }
        // 00 00 01, stream id, 2 bytes of length, 2 of flags, the length of what follows in the header.
        require(length >= 9, IStepVerifier.OutOfShape());
        uint256 header = 9 + uint256(uint8(out[8]));
        require(length >= header, IStepVerifier.OutOfShape());
        assembly ("memory-safe") {
            let rest := sub(length, header)
            mcopy(add(out, 32), add(add(out, 32), header), rest)
            mstore(out, rest)
        }
    }

    function packetId(bytes memory data, uint256 pos) private pure returns (uint256) {
        return (uint256(uint8(data[pos + 1]) & 0x1f) << 8) | uint8(data[pos + 2]);
    }

    /// @return from Where the payload begins; the packet's end where it has none.
    function payload(bytes memory data, uint256 pos) private pure returns (uint256 from) {
        uint256 control = (uint8(data[pos + 3]) >> 4) & 3;
        from = pos + 4;
        if (control & 2 != 0) from += 1 + uint256(uint8(data[pos + 4]));
        if (control & 1 == 0 || from > pos + PACKET) from = pos + PACKET;
    }
}
