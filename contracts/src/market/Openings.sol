// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {MerkleSum} from "../lib/MerkleSum.sol";
import {SignedTypes} from "../lib/SignedTypes.sol";

/// @title Whether an opening is the segment that was drawn, as it was claimed and ordered.
/// @notice The claim's root is bound to its client and its operator, so one comparison tells whether the leaf is in the tree,
/// the order is the client's and the opening the operator's.
/// @notice Openings come packed, because the chain's price of a call is that of its bytes (EIP-7623): see IClaimBook.answer.
/// @dev The fields are read where they stand, and the preimages of leaf and nodes are copied from there: they are packed in
/// the same order; assembly cuts off what the compiler leaves above a number. A field is as wide as its type, so none has bits that do not belong to it. From the beginning of an
/// opening: place 0, srcRoot 2, outRoot 34, units 66, outBytes 74, srcBytes 82, durationMs 90, signature 94 (r, s, v), path 159.
library Openings {
    uint256 private constant PATH = 159; // where it begins
    uint256 private constant SIBLING = 40;
    uint256 private constant ENCODED = 0x200; // bytes of abi.encode(Work.Opening) before its siblings

    /// What an opening is held against.
    struct Claimed {
        bytes32 domain; // EIP-712 separator of the market
        address operator; // who opens
        uint64 claimId;
        uint32 count;
        uint64 totalUnits;
        bytes32 root;
        bytes32 seed;
    }

    /// @notice The unit that the seed draws for a slot: so many units lie before it.
    function drawn(bytes32 seed, uint256 slot, uint64 totalUnits) internal pure returns (uint64) {
        return uint64(uint256(keccak256(abi.encode(seed, slot))) % totalUnits); // below totalUnits
    }

    /// @notice Reverts unless there are n openings, and opening j is the segment that covers unit drawn(seed, j), is in the claim
    /// of that operator, and was signed by its client.
    /// @return hashes keccak256(abi.encode(Work.Opening)) of each.
    function check(Claimed memory c, bytes calldata packed, uint256 n) internal pure returns (bytes32[] memory hashes) {
        uint256 levels = MerkleSum.depth(c.count);
        uint256 size = PATH + SIBLING * levels;
        require(packed.length == n * size, IClaimBook.WrongLength(c.claimId, n * size, packed.length));
        hashes = new bytes32[](n);
        bytes memory room = new bytes(ENCODED + 64 * levels); // for one Work.Opening at a time
        (uint256 o, uint256 m) = (0, 0);
        assembly ("memory-safe") {
            o := packed.offset
            m := add(room, 0x20)
        }
        for (uint256 i = 0; i < n; ++i) {
            hashes[i] = _check(c, o + i * size, i, size, m);
        }
    }

    function _check(Claimed memory c, uint256 o, uint256 slot, uint256 size, uint256 m) private pure returns (bytes32) {
        uint64 jobId = c.claimId >> 32;
        (uint64 seq, bytes32 top) = _place(c, o, drawn(c.seed, slot, c.totalUnits), o + size, m + ENCODED);
        address client = _signer(c.domain, o, jobId, seq);
        if (MerkleSum.bound(top, client, c.operator) != c.root) revert IClaimBook.NotInClaim(jobId, seq);
        return _hash(m, o, jobId, seq, size);
    }

    /// @dev Reverts unless the leaf covers the drawn unit, in a tree of so many units.
    /// @return seq Of the segment.
    /// @return top Of the tree in which the leaf stands at its place.
    function _place(Claimed memory c, uint256 o, uint64 draw, uint256 end, uint256 copy)
        private
        pure
        returns (uint64 seq, bytes32 top)
    {
        uint256 place;
        uint64 units;
        assembly ("memory-safe") {
            place := shr(240, calldataload(o))
            units := shr(192, calldataload(add(o, 66)))
        }
        require(place < c.count, IClaimBook.OpeningOutsideClaim(c.claimId >> 32, uint32(c.claimId) + uint64(place)));
        seq = uint32(c.claimId) + uint64(place);
        bytes32 leaf = _leaf(o, c.claimId >> 32, seq);
        (uint256 total, uint256 offset) = (0, 0);
        (top, total, offset) = MerkleSum.climb(leaf, units, place, o + PATH, end, copy);
        if (total != c.totalUnits) revert IClaimBook.NotInClaim(c.claimId >> 32, seq);
        if (draw < offset || draw - offset >= units) {
            revert IClaimBook.DrawNotCovered(seq, draw, uint64(offset), units); // it is part of the total
        }
    }

    /// @return signer Of the order for the segment; 0, which no client is, unless s is low.
    function _signer(bytes32 domain, uint256 o, uint64 jobId, uint64 seq) private pure returns (address signer) {
        bytes32 srcRoot;
        uint64 srcBytes;
        uint32 durationMs;
        assembly ("memory-safe") {
            srcRoot := calldataload(add(o, 2))
            srcBytes := shr(192, calldataload(add(o, 82)))
            durationMs := shr(224, calldataload(add(o, 90)))
        }
        bytes32 order = SignedTypes.segment(jobId, seq, srcRoot, srcBytes, durationMs);
        bytes32 digest = MessageHashUtils.toTypedDataHash(domain, order);
        bytes32 r;
        bytes32 s;
        uint8 v;
        assembly ("memory-safe") {
            r := calldataload(add(o, 94))
            s := calldataload(add(o, 126))
            v := byte(0, calldataload(add(o, 158)))
        }
        (signer,,) = ECDSA.tryRecover(digest, v, r, s);
    }

    /// @dev As MerkleSum.leaf.
    function _leaf(uint256 o, uint64 jobId, uint64 seq) private pure returns (bytes32 leaf) {
        assembly ("memory-safe") {
            let m := mload(0x40) // 97 bytes behind what is in use
            // Behind a byte of 0, LEAF.
            mstore(m, or(shl(184, and(jobId, 0xffffffffffffffff)), shl(120, and(seq, 0xffffffffffffffff))))
            calldatacopy(add(m, 17), add(o, 2), 80) // srcRoot, outRoot, units, outBytes
            leaf := keccak256(m, 97)
        }
    }

    /// @param m Room for Work.Opening, in which the siblings stand already.
    /// @return hash keccak256(abi.encode(Work.Opening)).
    function _hash(uint256 m, uint256 o, uint64 jobId, uint64 seq, uint256 size) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            mstore(m, 0x20)
            mstore(add(m, 0x20), and(jobId, 0xffffffffffffffff))
            mstore(add(m, 0x40), and(seq, 0xffffffffffffffff))
            calldatacopy(add(m, 0x60), add(o, 2), 0x40) // srcRoot, outRoot
            mstore(add(m, 0xa0), shr(192, calldataload(add(o, 66)))) // units
            mstore(add(m, 0xc0), shr(192, calldataload(add(o, 74)))) // outBytes
            mstore(add(m, 0xe0), shr(192, calldataload(add(o, 82)))) // srcBytes
            mstore(add(m, 0x100), shr(224, calldataload(add(o, 90)))) // durationMs
            mstore(add(m, 0x120), 0x140) // where the signature is,
            mstore(add(m, 0x140), 0x1c0) // and the path
            mstore(add(m, 0x160), 65)
            mstore(add(m, 0x1c0), 0)
            calldatacopy(add(m, 0x180), add(o, 94), 65)
            let levels := div(sub(size, PATH), SIBLING)
            mstore(add(m, 0x1e0), levels)
            hash := keccak256(m, add(ENCODED, shl(6, levels)))
        }
    }
}
