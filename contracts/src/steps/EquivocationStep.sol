// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimTree} from "./ClaimTree.sol";
import {Work} from "../lib/Work.sol";
import {IStepVerifier} from "./IStepVerifier.sol";
import {Signatures} from "./Signatures.sol";
import {SumPath} from "./SumPath.sol";

/// @title An operator's key vouches for two different things about one segment.
/// @notice The statement is the hash of an Accused. Faults: "two receipts" that differ for one segment; "claimed
/// otherwise", where the claim's leaf for a segment is not what the receipt says.
contract EquivocationStep is IStepVerifier {
    bytes32 public constant TWO_RECEIPTS = "two receipts";
    bytes32 public constant CLAIMED_OTHERWISE = "claimed otherwise";

    /// A receipt that the accused key did not sign.
    error NotSigned(bytes32 digest);

    enum Kind {
        TwoReceipts,
        ReceiptAndLeaf
    }

    struct Accused {
        bytes32 domain; // EIP-712 domain separator of the market
        address operator; // the key that signs receipts
        ClaimTree.Claim claim; // without meaning for two receipts, but for the job
    }

    /// @dev `detail` is the ABI encoding of the structure that has the kind's name.
    struct Evidence {
        Accused accused;
        Kind kind;
        bytes detail;
    }

    struct TwoReceipts {
        Work.Receipt a;
        bytes signatureA;
        Work.Receipt b;
        bytes signatureB;
    }

    struct ReceiptAndLeaf {
        Work.Receipt receipt;
        bytes signature;
        Work.Receipt leaf;
        SumPath.Node[] path;
    }

    function prove(bytes32 statement, bytes calldata evidence) external pure returns (bytes32 fault) {
        Evidence memory e = abi.decode(evidence, (Evidence));
        bytes32 given = keccak256(abi.encode(e.accused));
        require(given == statement, OtherStatement(statement, given));
        if (e.kind == Kind.TwoReceipts) return twoReceipts(e.accused, abi.decode(e.detail, (TwoReceipts)));
        return receiptAndLeaf(e.accused, abi.decode(e.detail, (ReceiptAndLeaf)));
    }

    function twoReceipts(Accused memory accused, TwoReceipts memory two) private pure returns (bytes32) {
        bytes32 a = signed(accused, two.a, two.signatureA);
        bytes32 b = signed(accused, two.b, two.signatureB);
        require(two.a.seq == two.b.seq, OutOfShape());
        require(a != b, NothingWrong());
        return TWO_RECEIPTS;
    }

    function receiptAndLeaf(Accused memory accused, ReceiptAndLeaf memory e) private pure returns (bytes32) {
        bytes32 digest = signed(accused, e.receipt, e.signature);
        ClaimTree.Claim memory claim = accused.claim;
        bool one = e.leaf.jobId == claim.jobId && e.leaf.seq == e.receipt.seq;
        require(one && e.leaf.seq >= claim.first && e.leaf.seq - claim.first < claim.count, OutOfShape());
        (bool held,) = ClaimTree.holds(claim, e.leaf, e.leaf.seq - claim.first, e.path);
        require(held, NotCommitted(claim.root));
        require(Signatures.receiptDigest(accused.domain, e.leaf) != digest, NothingWrong());
        return CLAIMED_OTHERWISE;
    }

    /// @dev Reverts unless the accused key signed this receipt for the accused job.
    function signed(Accused memory accused, Work.Receipt memory r, bytes memory signature)
        private
        pure
        returns (bytes32 digest)
    {
        require(r.jobId == accused.claim.jobId, OutOfShape());
        digest = Signatures.receiptDigest(accused.domain, r);
        require(Signatures.isFrom(accused.operator, digest, signature), NotSigned(digest));
    }
}
