// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What is signed and claimed about a segment of work.
/// @notice A unit is 1000 output pixels: frames x width x height summed over all renditions, rounded down.
library Work {
    /// What an operator signs on delivery, and the leaf of a claim.
    struct Receipt {
        uint64 jobId;
        uint64 seq;
        bytes32 srcRoot;
        bytes32 outRoot;
        uint64 units;
        uint64 outBytes;
    }

    /// One level of a Merkle-sum proof, bottom up.
    struct Sibling {
        bytes32 hash;
        uint64 sum;
    }

    /// A claimed segment, opened: the leaf, the client's order for it and the way to the root.
    struct Opening {
        Receipt leaf;
        uint64 srcBytes;
        uint32 durationMs;
        bytes clientSig; // over Segment(jobId, seq, srcRoot, srcBytes, durationMs), 65 bytes, low s
        Sibling[] path;
    }
}
