// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStepVerifier} from "./IStepVerifier.sol";
import {IndexTree} from "./IndexTree.sol";

/// @title What the bytes of a rendition are bound to, so that any 4 KiB of them can be shown.
/// @notice Chunk: its SHA-256; 4096 bytes, the last one less. All: the hash of the length and the top of an IndexTree over
/// the chunks, which is 0 where there are none.
library ByteTree {
    uint256 internal constant CHUNK = 4096;

    struct ChunkOpening {
        bytes data;
        bytes32[] path;
    }

    function root(uint64 length, bytes32 top) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(5), length, top));
    }

    /// @notice Opens one chunk or two neighbours.
    /// @return data Their bytes, one after the other.
    function open(bytes32 committed, uint64 length, uint256 first, ChunkOpening[] memory chunks)
        internal
        pure
        returns (bytes memory data)
    {
        require(chunks.length == 1 || chunks.length == 2, IStepVerifier.OutOfShape());
        uint256 count = (uint256(length) + CHUNK - 1) / CHUNK;
        for (uint256 i = 0; i < chunks.length; ++i) {
            bytes memory chunk = chunks[i].data;
            bytes32 top = IndexTree.climb(sha256(chunk), first + i, count, chunks[i].path);
            require(root(length, top) == committed, IStepVerifier.NotCommitted(committed));
            uint256 rest = length - (first + i) * CHUNK;
            require(chunk.length == (rest < CHUNK ? rest : CHUNK), IStepVerifier.OutOfShape());
        }
        return chunks.length == 1 ? chunks[0].data : bytes.concat(chunks[0].data, chunks[1].data);
    }
}
