// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Answers} from "../steps/Answers.sol";
import {EquivocationStep} from "../steps/EquivocationStep.sol";
import {IChallengeManager} from "../interfaces/IChallengeManager.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {Work} from "../lib/Work.sol";
import {ContentTree} from "./ContentTree.sol";

/// @title Reads for the challenge manager what it has no room to decode itself. Holds nothing, changes nothing.
contract EvidenceReader {
    using SafeCast for uint256;

    uint256 private constant STAKE_PART = 20; // of the own stake: one part in so many

    /// Chunk of a segment's content: what was answered, the drawn leaf, and the way from its root to the bytes. Where there
    /// is no such chunk, or no such rendition, the same shows that.
    struct Publication {
        IClaimBook.Answered answered;
        Work.Opening opening;
        IChallengeManager.Missing missing;
        bytes32[] contents; // content roots of all renditions, for a piece of one; the leaf binds their hash
        ContentTree.Opening chunk;
    }

    /// @notice Whether this is the piece that verifiers of a slot miss.
    /// @param answers Hash of the Answered. @param missing Hash of the Missing. @param proof ABI encoding of a Publication.
    function isPiece(bytes32 answers, uint256 slot, bytes32 missing, bytes calldata proof)
        external
        pure
        returns (bool)
    {
        Publication memory p = abi.decode(proof, (Publication));
        if (keccak256(abi.encode(p.answered)) != answers || missingDigest(p.missing) != missing) return false;
        if (keccak256(abi.encode(p.opening)) != p.answered.openings[slot]) return false;
        Work.Receipt memory leaf = p.opening.leaf;
        if (p.missing.source) return ContentTree.opens(leaf.srcRoot, p.missing.index, p.chunk);
        if (keccak256(abi.encodePacked(p.contents)) != leaf.outRoot) return false;
        if (p.missing.rung >= p.contents.length) return true;
        return ContentTree.opens(p.contents[p.missing.rung], p.missing.index, p.chunk);
    }

    /// @notice What a verifier reveals that could not get this piece.
    function missingDigest(IChallengeManager.Missing memory missing) public pure returns (bytes32) {
        return keccak256(abi.encode("missing", missing));
    }

    /// @notice The digest of an answer, ABI encoded. Of bytes that no step can read it is not their hash.
    function digest(bytes calldata answer) external pure returns (bytes32) {
        return keccak256(abi.encode(abi.decode(answer, (Answers.Answer))));
    }

    /// @notice The number of the segment that evidence of equivocation is about: both kinds begin with a signed receipt.
    function segment(bytes calldata evidence) external pure returns (uint64) {
        EquivocationStep.Evidence memory e = abi.decode(evidence, (EquivocationStep.Evidence));
        if (e.kind == EquivocationStep.Kind.TwoReceipts) {
            return abi.decode(e.detail, (EquivocationStep.TwoReceipts)).a.seq;
        }
        return abi.decode(e.detail, (EquivocationStep.ReceiptAndLeaf)).receipt.seq;
    }

    /// @notice What equivocation outside of an open claim costs: minLock and 5 % of the operator's own stake, rounded up.
    function equivocationCost(IStakeRegistry registry, IClaimBook book, address operator)
        external
        view
        returns (uint128)
    {
        return (book.params().minLock + Math.ceilDiv(registry.ownStake(operator), STAKE_PART)).toUint128();
    }
}
