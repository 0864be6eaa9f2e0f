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
    /// @return hashes keccak256(abi.encode(opening)) of each: of what it says, however the caller laid it out.
    function check(Claimed memory c, Work.Opening[] calldata openings) internal pure returns (bytes32[] memory hashes) {
        uint256 levels = MerkleSum.depth(c.count);
        hashes = new bytes32[](openings.length);
        for (uint256 i = 0; i < openings.length; ++i) {
            Work.Opening calldata o = openings[i];
            Work.Receipt memory leaf = o.leaf;
            _requirePlace(c, levels, drawn(c.seed, i, c.totalUnits), leaf, o.path);
            _requireOrder(c, leaf, o);
            hashes[i] = _hash(o, o.clientSig, o.path);
        }
    }

    /// @dev The leaf is in the claim's tree, where its number says, and covers the drawn unit.
    function _requirePlace(
        Claimed memory c,
        uint256 levels,
        uint64 draw,
        Work.Receipt memory leaf,
        Work.Sibling[] calldata path
    ) private pure {
        uint64 seq = leaf.seq;
        bool inside = leaf.jobId == c.jobId && seq >= c.first && seq - c.first < c.count;
        require(inside, IClaimBook.OpeningOutsideClaim(leaf.jobId, seq));
        require(path.length == levels, IClaimBook.WrongPathLength(seq, levels, path.length));
        (bytes32 root, uint64 total, uint64 offset) = MerkleSum.climb(_leafHash(leaf), leaf.units, seq - c.first, path);
        require(root == c.root && total == c.totalUnits, IClaimBook.NotInClaim(leaf.jobId, seq));
        bool covered = draw >= offset && draw - offset < leaf.units;
        require(covered, IClaimBook.DrawNotCovered(seq, draw, offset, leaf.units));
    }

    function _requireOrder(Claimed memory c, Work.Receipt memory leaf, Work.Opening calldata o) private pure {
        bytes32 order = SignedTypes.segment(leaf.jobId, leaf.seq, leaf.srcRoot, o.srcBytes, o.durationMs);
        bytes32 digest = MessageHashUtils.toTypedDataHash(c.domain, order);
        // 65 bytes with a low s, or else the signer is 0, which no client is.
        (address signer,,) = ECDSA.tryRecoverCalldata(digest, o.clientSig);
        require(signer == c.client, IClaimBook.WrongClientSignature(leaf.jobId, leaf.seq, signer));
    }

    function _leafHash(Work.Receipt memory leaf) private pure returns (bytes32) {
        return MerkleSum.leaf(leaf.jobId, leaf.seq, leaf.srcRoot, leaf.outRoot, leaf.units, leaf.outBytes);
    }

    /// @dev keccak256(abi.encode(o)) of an opening whose fields have been read, so that each is within its type, and whose
    /// signature has 65 bytes. Copied in four pieces: the compiler's encoder goes through the path word by word.
    function _hash(Work.Opening calldata o, bytes calldata signature, Work.Sibling[] calldata path)
        private
        pure
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            let m := mload(0x40) // behind what is in use
            mstore(m, 0x20)
            calldatacopy(add(m, 0x20), o, 0x100) // leaf, srcBytes, durationMs
            mstore(add(m, 0x120), 0x140) // where the signature is,
            mstore(add(m, 0x140), 0x1c0) // and the path
            mstore(add(m, 0x160), 65)
            mstore(add(m, 0x1c0), 0)
            calldatacopy(add(m, 0x180), signature.offset, 65)
            mstore(add(m, 0x1e0), path.length)
            calldatacopy(add(m, 0x200), path.offset, shl(6, path.length))
            hash := keccak256(m, add(0x200, shl(6, path.length)))
        }
    }
}
