//! The structures of `contracts/src/steps`, field for field.
#![allow(missing_docs)]

alloy_sol_types::sol! {
    // Pictures.sol
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Frame { uint32 width; uint32 height; uint8 chroma; uint8 bits; int64 time; bytes32[3] planes; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct FrameOpening { uint32 index; uint32 count; Frame frame; bytes32[] path; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct TileOpening { bytes samples; bytes32[] path; }

    // ErrorTree.sol
    #[derive(Debug, Default, PartialEq, Eq)]
    struct SumNode { bytes32 hash; uint64 sum; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct FrameSums { bytes32 hash; uint64 luma; uint64 chroma; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct FrameErrorOpening { uint32 index; uint32 count; SumNode[3] planes; FrameSums[] path; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct TileErrorOpening { uint64 value; SumNode[] path; }

    // Answers.sol
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Rung {
        uint32 width; uint32 height; bytes32 content; bytes32 scaled; bytes32 decoded; bytes32 errors; bytes32 limits;
    }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Answer { bytes32 source; uint8 filter; bool cascade; Rung[] rungs; }
    #[derive(Debug, Default, PartialEq, Eq, Copy)]
    struct Limits {
        uint64 tileLuma; uint64 tileChroma; uint64 frameLuma; uint64 frameChroma;
        uint64 segmentLuma; uint64 segmentChroma;
    }

    // Window.sol, ScaleStep.sol
    #[derive(Debug, Default, PartialEq, Eq, Copy)]
    struct Block { uint8 plane; uint32 x; uint32 y; uint32 width; uint32 height; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct ScaleEvidence {
        Answer answer; uint8 rung; FrameOpening output; FrameOpening source; FrameOpening[] next;
        FrameOpening[] parent; Block place; TileOpening outputTile; TileOpening[] tiles;
    }

    // ErrorSumStep.sol
    #[derive(Debug, Default, PartialEq, Eq)]
    struct ErrorEvidence { Answer answer; uint8 rung; uint8 kind; bytes detail; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Counts {
        uint32 scaledCount; bytes32 scaledTop; uint32 decodedCount; bytes32 decodedTop; uint32 errorCount;
        FrameSums errorTop;
    }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Tile {
        uint8 plane; uint32 column; uint32 row; FrameOpening scaled; FrameOpening decoded; FrameErrorOpening errors;
        TileOpening scaledTile; TileOpening decodedTile; TileErrorOpening tile;
    }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct TileLimit {
        Limits limits; uint8 plane; uint32 column; uint32 row; FrameErrorOpening errors; TileErrorOpening tile;
    }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct FrameLimit { Limits limits; FrameErrorOpening errors; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct SegmentLimit { Limits limits; uint32 count; FrameSums top; }

    // ClaimTree.sol, LeafStep.sol
    #[derive(Debug, Default, PartialEq, Eq, Copy)]
    struct Claim {
        uint64 jobId; address client; address operator; uint64 first; uint32 count; uint64 totalUnits; bytes32 root;
    }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Leaf {
        uint64 jobId; uint64 seq; bytes32 srcRoot; bytes32 outRoot; uint64 units; uint64 outBytes;
    }
    #[derive(Debug, Default, PartialEq, Eq, Copy)]
    struct Drawn {
        bytes32 domain; Claim claim; uint64 draw; bytes32 opening; bytes32 answer;
    }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Opening { Leaf leaf; uint64 srcBytes; uint32 durationMs; bytes clientSig; SumNode[] path; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct LeafEvidence { Drawn drawn; uint8 kind; bytes detail; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Decoded { uint32 count; bytes32 top; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct UnitsDetail { Opening opening; Answer answer; Decoded[] decoded; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct PlaceDetail { Leaf leaf; uint32 index; SumNode[] path; }

    // EquivocationStep.sol
    #[derive(Debug, Default, PartialEq, Eq, Copy)]
    struct Accused { bytes32 domain; address operator; Claim claim; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct EquivocationEvidence { Accused accused; uint8 kind; bytes detail; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct TwoReceipts { Leaf a; bytes signatureA; Leaf b; bytes signatureB; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct ReceiptAndLeaf { Leaf receipt; bytes signature; Leaf leaf; SumNode[] path; }

    // ByteTree.sol, HeaderStep.sol
    #[derive(Debug, Default, PartialEq, Eq)]
    struct ChunkOpening { bytes data; bytes32[] path; }
    #[derive(Debug, Default, PartialEq, Eq, Copy)]
    struct Ordered { bytes32 content; uint256 profiles; uint8 level; uint32 width; uint32 height; }
    #[derive(Debug, Default, PartialEq, Eq)]
    struct HeaderEvidence {
        Ordered ordered; uint8 kind; uint64 length; bytes32 top; uint32 chunk; uint32 packet; ChunkOpening[] chunks;
    }

    // IStepVerifier.sol
    function prove(bytes32 statement, bytes evidence) external view returns (bytes32 fault);
}
