// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Answers} from "./Answers.sol";
import {ClaimTree} from "./ClaimTree.sol";
import {Work} from "../lib/Work.sol";
import {IStepVerifier} from "./IStepVerifier.sol";
import {Pictures} from "./Pictures.sol";
import {Signatures} from "./Signatures.sol";
import {SignedTypes} from "../lib/SignedTypes.sol";
import {SumPath} from "./SumPath.sol";

/// @title What an operator opened for a drawn unit is not what it claimed, or not what was ordered or done.
/// @notice The statement is the hash of a Drawn. Faults of the opening: "not in the claim"; "not drawn", where the leaf does
/// not cover the unit; "not ordered", where the client's key did not sign the segment; "wrong units", where they are not
/// those of the pictures answered with. Fault of any leaf of the claim: "wrong place", where it is another segment's.
contract LeafStep is IStepVerifier {
    bytes32 public constant NOT_IN_CLAIM = "not in the claim";
    bytes32 public constant NOT_DRAWN = "not drawn";
    bytes32 public constant NOT_ORDERED = "not ordered";
    bytes32 public constant WRONG_UNITS = "wrong units";
    bytes32 public constant WRONG_PLACE = "wrong place";
    /// Pixels of a unit of work.
    uint256 internal constant UNIT = 1000;

    enum Kind {
        Opening,
        Units,
        Place
    }

    /// A unit of a claim that was drawn, and what the operator answered.
    struct Drawn {
        bytes32 domain; // EIP-712 domain separator of the market
        ClaimTree.Claim claim; // its client orders segments
        uint64 draw; // units before the drawn one
        bytes32 opening; // hash of the Opening
        bytes32 answer; // hash of the Answers.Answer; 0 if there is none yet
    }

    struct Opening {
        Work.Receipt leaf;
        uint64 srcBytes;
        uint32 durationMs;
        bytes clientSig; // over Segment(jobId, seq, srcRoot, srcBytes, durationMs)
        SumPath.Node[] path;
    }

    /// @dev `detail`: an Opening, a Units or a Place.
    struct Evidence {
        Drawn drawn;
        Kind kind;
        bytes detail;
    }

    struct Units {
        Opening opening;
        Answers.Answer answer;
        Decoded[] decoded; // of every rung
    }

    /// How many pictures a rendition decodes to, and the top of the tree over them.
    struct Decoded {
        uint32 count;
        bytes32 top;
    }

    struct Place {
        Work.Receipt leaf;
        uint32 index;
        SumPath.Node[] path;
    }

    function prove(bytes32 statement, bytes calldata evidence) external pure returns (bytes32 fault) {
        Evidence memory e = abi.decode(evidence, (Evidence));
        bytes32 given = keccak256(abi.encode(e.drawn));
        require(given == statement, OtherStatement(statement, given));
        if (e.kind == Kind.Opening) fault = opening(e.drawn, abi.decode(e.detail, (Opening)));
        else if (e.kind == Kind.Units) fault = units(e.drawn, abi.decode(e.detail, (Units)));
        else fault = place(e.drawn.claim, abi.decode(e.detail, (Place)));
        require(fault != 0, NothingWrong());
    }

    function opening(Drawn memory d, Opening memory o) private pure returns (bytes32) {
        require(keccak256(abi.encode(o)) == d.opening, NotCommitted(d.opening));
        Work.Receipt memory leaf = o.leaf;
        bool inside = leaf.seq >= d.claim.first && leaf.seq - d.claim.first < d.claim.count;
        if (!inside || leaf.jobId != d.claim.jobId) return NOT_IN_CLAIM;
        (bool held, uint256 offset) = ClaimTree.holds(d.claim, leaf, leaf.seq - d.claim.first, o.path);
        if (!held) return NOT_IN_CLAIM;
        if (d.draw < offset || d.draw - offset >= leaf.units) return NOT_DRAWN;
        bytes32 order = SignedTypes.segment(leaf.jobId, leaf.seq, leaf.srcRoot, o.srcBytes, o.durationMs);
        bytes32 digest = MessageHashUtils.toTypedDataHash(d.domain, order);
        return Signatures.isFrom(d.claim.client, digest, o.clientSig) ? bytes32(0) : NOT_ORDERED;
    }

    function units(Drawn memory d, Units memory u) private pure returns (bytes32) {
        require(keccak256(abi.encode(u.opening)) == d.opening, NotCommitted(d.opening));
        require(keccak256(abi.encode(u.answer)) == d.answer, NotCommitted(d.answer));
        uint256 rungs = u.answer.rungs.length;
        require(u.decoded.length == rungs && rungs <= Answers.MAX_RUNGS, OutOfShape());
        uint256 pixels = 0;
        for (uint256 i = 0; i < rungs; ++i) {
            Answers.Rung memory rung = u.answer.rungs[i];
            bytes32 root = Pictures.segmentRoot(u.decoded[i].count, u.decoded[i].top);
            require(root == rung.decoded, NotCommitted(rung.decoded));
            pixels += uint256(u.decoded[i].count) * rung.width * rung.height;
        }
        return pixels / UNIT == u.opening.leaf.units ? bytes32(0) : WRONG_UNITS;
    }

    /// @dev Leaves behind the last segment have to be padding, which is no receipt.
    function place(ClaimTree.Claim memory claim, Place memory p) private pure returns (bytes32) {
        (bool held,) = ClaimTree.holds(claim, p.leaf, p.index, p.path);
        require(held, NotCommitted(claim.root));
        bool right =
            p.leaf.jobId == claim.jobId && p.index < claim.count && p.leaf.seq == uint256(claim.first) + p.index;
        return right ? bytes32(0) : WRONG_PLACE;
    }
}
