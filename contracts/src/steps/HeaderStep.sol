// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AvcHeaders} from "./AvcHeaders.sol";
import {ByteTree} from "./ByteTree.sol";
import {IStepVerifier} from "./IStepVerifier.sol";
import {TransportStream} from "./TransportStream.sol";

/// @title The headers of a rendition, H.264 in a transport stream, are not what was ordered.
/// @notice The statement is the hash of an Ordered. Faults: "not packets" for a length or a byte that no transport stream
/// has there; "wrong profile", "wrong level", "wrong format" (not 8-bit 4:2:0) and "wrong size" of a sequence parameter set
/// anywhere; "not an IDR" and "no parameters" of the first picture, where it begins in the first two chunks.
contract HeaderStep is IStepVerifier {
    bytes32 public constant NOT_PACKETS = "not packets";
    bytes32 public constant WRONG_PROFILE = "wrong profile";
    bytes32 public constant WRONG_LEVEL = "wrong level";
    bytes32 public constant WRONG_FORMAT = "wrong format";
    bytes32 public constant WRONG_SIZE = "wrong size";
    bytes32 public constant NOT_IDR = "not an IDR";
    bytes32 public constant NO_PARAMETERS = "no parameters";

    enum Kind {
        Length, // nothing is opened but the length
        Sync, // of packet number `packet`
        Sequence, // the sequence parameter sets of the picture that begins in packet number `packet`
        First // the first picture
    }

    /// A rendition, and what its headers have to say.
    struct Ordered {
        bytes32 content; // of ByteTree
        uint256 profiles; // bit n: profile_idc n may be used
        uint8 level; // the highest level_idc
        uint32 width;
        uint32 height;
    }

    struct Evidence {
        Ordered ordered;
        Kind kind;
        uint64 length; // bytes of the rendition
        bytes32 top; // of the tree over its chunks; looked at for Length alone
        uint32 chunk; // number of the first chunk opened
        uint32 packet;
        ByteTree.ChunkOpening[] chunks; // one, or two neighbours
    }

    function prove(bytes32 statement, bytes calldata evidence) external pure returns (bytes32 fault) {
        Evidence memory e = abi.decode(evidence, (Evidence));
        bytes32 given = keccak256(abi.encode(e.ordered));
        require(given == statement, OtherStatement(statement, given));
        if (e.kind == Kind.Length) {
            require(ByteTree.root(e.length, e.top) == e.ordered.content, NotCommitted(e.ordered.content));
            fault = e.length == 0 || e.length % TransportStream.PACKET != 0 ? NOT_PACKETS : bytes32(0);
        } else {
            bytes memory data = ByteTree.open(e.ordered.content, e.length, e.chunk, e.chunks);
            TransportStream.Piece memory piece = TransportStream.Piece(data, e.chunk * ByteTree.CHUNK);
            if (e.kind == Kind.Sync) fault = sync(piece, e.packet);
            else if (e.kind == Kind.Sequence) fault = sequence(e.ordered, piece, e.packet);
            else fault = first(piece);
        }
        require(fault != 0, NothingWrong());
    }

    function sync(TransportStream.Piece memory piece, uint256 packet) private pure returns (bytes32) {
        uint256 pos = packet * TransportStream.PACKET;
        require(pos >= piece.base && pos - piece.base < piece.data.length, OutOfShape());
        bool right = uint8(piece.data[pos - piece.base]) == TransportStream.SYNC;
        return right ? bytes32(0) : NOT_PACKETS;
    }

    function sequence(Ordered memory ordered, TransportStream.Piece memory piece, uint256 packet)
        private
        pure
        returns (bytes32)
    {
        uint256 pos = TransportStream.locate(piece, packet);
        require(TransportStream.beginsVideo(piece.data, pos), OutOfShape());
        bytes memory stream = TransportStream.unit(piece.data, pos);
        // All of them: whichever comes last is in force. None follows a slice of the same picture.
        bool any = false;
        uint256 end = AvcHeaders.firstSlice(stream);
        for (uint256 unit = AvcHeaders.next(stream, 0); unit < end; unit = AvcHeaders.next(stream, unit)) {
            if (AvcHeaders.kind(stream, unit) != AvcHeaders.SEQUENCE) continue;
            any = true;
            bytes32 fault = judge(ordered, AvcHeaders.sequence(stream, unit));
            if (fault != 0) return fault;
        }
        require(any, OutOfShape());
        return 0;
    }

    function judge(Ordered memory ordered, AvcHeaders.Sequence memory s) private pure returns (bytes32) {
        if ((ordered.profiles >> s.profile) & 1 == 0) return WRONG_PROFILE;
        if (s.level > ordered.level) return WRONG_LEVEL;
        if (s.chroma != 1 || s.depth != 8) return WRONG_FORMAT;
        return s.width == ordered.width && s.height == ordered.height ? bytes32(0) : WRONG_SIZE;
    }

    function first(TransportStream.Piece memory piece) private pure returns (bytes32) {
        require(piece.base == 0, OutOfShape());
        uint256 packet = 0;
        uint256 pos = TransportStream.locate(piece, 0);
        while (!TransportStream.beginsVideo(piece.data, pos)) pos = TransportStream.locate(piece, ++packet);
        bytes memory stream = TransportStream.unit(piece.data, pos);
        uint256 slice = AvcHeaders.firstSlice(stream);
        require(slice != AvcHeaders.NONE, OutOfShape());
        if (AvcHeaders.kind(stream, slice) != AvcHeaders.IDR) return NOT_IDR;
        AvcHeaders.Bits memory b = AvcHeaders.bits(stream, slice, AvcHeaders.BEGIN);
        AvcHeaders.golomb(b); // first macroblock
        AvcHeaders.golomb(b); // kind of slice
        uint256 id = AvcHeaders.golomb(b);
        uint256 picture = AvcHeaders.parameters(stream, AvcHeaders.PICTURE, id, slice);
        if (picture == AvcHeaders.NONE) return NO_PARAMETERS;
        b = AvcHeaders.bits(stream, picture, AvcHeaders.BEGIN);
        AvcHeaders.golomb(b); // its own number
        id = AvcHeaders.golomb(b);
        bool found = AvcHeaders.parameters(stream, AvcHeaders.SEQUENCE, id, slice) != AvcHeaders.NONE;
        return found ? bytes32(0) : NO_PARAMETERS;
    }
}
