// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {MerkleSum} from "../lib/MerkleSum.sol";
import {SignedTypes} from "../lib/SignedTypes.sol";
import {Work} from "../lib/Work.sol";

/// @title Whether an opening is the segment that was drawn, as it was claimed and ordered.
library Openings {
    /// What an opening is held against.
    struct Claimed {
        bytes32 domain; // EIP-712 separator of the market
        address client; // whose key orders segments
        uint64 jobId;
        uint64 first;
        uint32 count;
        uint64 totalUnits;
        bytes32 root;
        bytes32 seed;
    }

    /// @notice The unit that the seed draws for a slot: so many units lie before it.
    function drawn(bytes32 seed, uint256 slot, uint64 totalUnits) internal pure returns (uint64) {
        return uint64(uint256(keccak256(abi.encode(seed, slot))) % totalUnits); // below totalUnits
    }

    /// @notice Reverts unless opening j is the segment that covers unit drawn(seed, j), is in the claim, and was signed by the client.
    /// @return hashes keccak256(abi.encode(opening)) of each: what its bytes are, however the caller laid them out.
    function check(Claimed memory c, Work.Opening[] calldata openings) internal pure returns (bytes32[] memory hashes) {
        uint256 levels = MerkleSum.depth(c.count);
        hashes = new bytes32[](openings.length);
        for (uint256 i = 0; i < openings.length; ++i) {
            _check(c, levels, drawn(c.seed, i, c.totalUnits), openings[i]);
            hashes[i] = keccak256(abi.encode(openings[i]));
        }
    }

    function _check(Claimed memory c, uint256 levels, uint64 draw, Work.Opening calldata o) private pure {
        Work.Receipt memory leaf = o.leaf;
        uint64 seq = leaf.seq;
        bool inside = leaf.jobId == c.jobId && seq >= c.first && seq - c.first < c.count;
        require(inside, IClaimBook.OpeningOutsideClaim(leaf.jobId, seq));
        require(o.path.length == levels, IClaimBook.WrongPathLength(seq, levels, o.path.length));
        bytes32 hash = MerkleSum.leaf(leaf.jobId, seq, leaf.srcRoot, leaf.outRoot, leaf.units, leaf.outBytes);
        (bytes32 root, uint64 total, uint64 offset) = MerkleSum.climb(hash, leaf.units, seq - c.first, o.path);
        require(root == c.root && total == c.totalUnits, IClaimBook.NotInClaim(c.jobId, seq));
        bool covered = draw >= offset && draw - offset < leaf.units;
        require(covered, IClaimBook.DrawNotCovered(seq, draw, offset, leaf.units));
        bytes32 order = SignedTypes.segment(c.jobId, seq, leaf.srcRoot, o.srcBytes, o.durationMs);
        // 65 bytes with a low s, or else the signer is 0.
        (address signer,,) = ECDSA.tryRecoverCalldata(MessageHashUtils.toTypedDataHash(c.domain, order), o.clientSig);
        require(signer == c.client && signer != address(0), IClaimBook.WrongClientSignature(c.jobId, seq, signer));
    }
}
