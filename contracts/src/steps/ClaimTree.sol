// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Work} from "../lib/Work.sol";
import {MerkleSum} from "../lib/MerkleSum.sol";
import {SumPath} from "./SumPath.sol";

/// @title One segment in the Merkle-sum tree of its claim.
library ClaimTree {
    /// The segments [first, first + count) of a job, as somebody claimed them.
    struct Claim {
        uint64 jobId;
        address client;
        address operator;
        uint64 first;
        uint32 count;
        uint64 totalUnits;
        bytes32 root;
    }

    /// @notice Whether the receipt is leaf `index` of the claim's tree, which may be one of the padding's.
    /// @return yes Whether it is.
    /// @return offset The units left of it.
    function holds(Claim memory claim, Work.Receipt memory r, uint256 index, SumPath.Node[] memory path)
        internal
        pure
        returns (bool yes, uint256 offset)
    {
        if (path.length != MerkleSum.depth(claim.count) || index >> path.length != 0) return (false, 0);
        bytes32 leaf = MerkleSum.leaf(r.jobId, r.seq, r.srcRoot, r.outRoot, r.units, r.outBytes);
        bytes32 top;
        uint256 total;
        (top, total, offset) = SumPath.climb(leaf, r.units, index, path);
        yes = MerkleSum.bound(top, claim.client, claim.operator) == claim.root && total == claim.totalUnits;
    }
}
