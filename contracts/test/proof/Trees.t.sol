// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Proof} from "./Proof.sol";
import {MerkleSum} from "../../src/lib/MerkleSum.sol";
import {SumTree} from "../../src/staking/SumTree.sol";
import {IndexTree} from "../../src/steps/IndexTree.sol";
import {Pictures} from "../../src/steps/Pictures.sol";
import {SumPath} from "../../src/steps/SumPath.sol";

/// @dev Hashes are taken for functions without collisions.
contract TreesProof is Proof {
    using SumTree for SumTree.Tree;

    SumTree.Tree internal tree;

    struct Leaf {
        bytes32 hash;
        uint64 sum;
        uint8 index;
        bytes32[3] hashes;
        uint64[3] sums;
    }

    /// The least depth whose leaves are enough, for all numbers of 32 bits.
    function check_depthIsEnoughAndNotMore(uint32 count) public pure {
        uint256 depth = MerkleSum.depth(count);
        assert(1 << depth >= uint256(count));
        if (depth > 0) assert(1 << (depth - 1) < uint256(count));
    }

    function climb(Leaf memory l) internal pure returns (bytes32 top, uint256 total, uint256 offset) {
        SumPath.Node[] memory path = new SumPath.Node[](3);
        for (uint256 i = 0; i < 3; ++i) {
            path[i] = SumPath.Node(l.hashes[i], l.sums[i]);
        }
        return SumPath.climb(l.hash, l.sum, l.index, path);
    }

    /// What lies left of a leaf, the leaf and what lies right of it add up to the total; trees of eight leaves.
    function check_offsetsAreWithinTheTotal(Leaf memory l) public pure {
        vm.assume(l.index < 8);
        (bytes32 top, uint256 total, uint256 offset) = climb(l);
        if (top == 0) return;
        assert(offset + l.sum <= total);
        if (l.index == 7) assert(offset + l.sum == total);
        if (l.index == 0) assert(offset == 0);
    }

    /// Two leaves of one tree of eight do not overlap, whoever made the paths.
    function check_leavesDoNotOverlap(Leaf memory a, Leaf memory b) public pure {
        vm.assume(a.index < b.index && b.index < 8);
        (bytes32 top, uint256 total, uint256 offset) = climb(a);
        (bytes32 top2, uint256 total2, uint256 offset2) = climb(b);
        vm.assume(top != 0 && top == top2 && total == total2);
        assert(offset + a.sum <= offset2);
    }

    /// One place of a tree has one leaf; trees of five to eight leaves.
    function check_aPlaceHasOneLeaf(
        bytes32 a,
        bytes32 b,
        bytes32[3] memory left,
        bytes32[3] memory right,
        uint8 index,
        uint8 count
    ) public pure {
        vm.assume(count > 4 && count <= 8);
        vm.assume(index < count);
        (bytes32[] memory p, bytes32[] memory q) = (new bytes32[](3), new bytes32[](3));
        for (uint256 i = 0; i < 3; ++i) {
            (p[i], q[i]) = (left[i], right[i]);
        }
        vm.assume(IndexTree.climb(a, index, count, p) == IndexTree.climb(b, index, count, q));
        assert(a == b);
    }

    /// Two weights can be read as they were set, nothing else has any, and their sum is the total; both next to each other
    /// and far apart.
    function check_weightsAreKept(uint8 pick, uint32 weightA, uint32 weightB) public {
        vm.assume(uint256(weightA) + weightB <= SumTree.MAX_TOTAL);
        (uint256 a, uint256 b) = leaves(pick);
        tree.set(a, weightA, 1);
        tree.set(b, weightB, 1);
        assert(tree.weightOf(a, 1) == weightA && tree.weightOf(b, 1) == weightB && tree.weightOf(a ^ 3, 1) == 0);
        assert(tree.total(8, 1) == uint256(weightA) + weightB);
    }

    /// What is set for the next epoch leaves the running one as it was.
    function check_theRunningEpochStands(uint8 pick, uint32 before, uint32 later) public {
        vm.assume(before <= SumTree.MAX_TOTAL && later <= SumTree.MAX_TOTAL);
        (, uint256 leaf) = leaves(pick);
        tree.set(leaf, before, 1);
        tree.set(leaf, later, 2);
        plain(tree.groups[leaf / 8]);
        plain(tree.spans[leaf / 64]);
        assert(tree.weightOf(leaf, 1) == before && tree.total(8, 1) == before);
        assert(tree.weightOf(leaf, 2) == later && tree.total(8, 2) == later);
    }

    /// @dev Writes the newest version again as it is. Sums are added to a word as a whole, and then the solver does not see of
    /// which epoch the word is, and of which the one before it: that says where what it replaced was put.
    function plain(uint256[3] storage node) internal {
        uint256 word = node[0];
        for (uint256 label = 0; label <= 2 * 2 + 1; ++label) {
            if (word >> 240 != label) continue;
            node[0] = (word << 16 >> 16) | (label << 240);
            return;
        }
        assert(false);
    }

    /// A draw falls on the leaf that covers the point, whatever two weights and the point.
    function check_drawsFallWhereTheWeightIs(uint8 pick, uint32 weightA, uint32 weightB, uint32 point) public {
        vm.assume(uint256(weightA) + weightB <= SumTree.MAX_TOTAL);
        vm.assume(point < uint256(weightA) + weightB);
        (uint256 a, uint256 b) = leaves(pick);
        tree.set(a, weightA, 1);
        tree.set(b, weightB, 1);
        assert(tree.find(point, 1) == (point < weightA ? a : b));
    }

    /// @dev Below one node, at its ends, and in two nodes of each level.
    function leaves(uint8 pick) internal pure returns (uint256 a, uint256 b) {
        if (pick == 0) return (2, 5);
        if (pick == 1) return (0, 7);
        if (pick == 2) return (7, 8);
        return pick == 3 ? (63, 64) : (0, 511);
    }

    /// Tiles cover a side without gap, 32 samples each but the last.
    function check_tilesCoverTheSide(uint16 side, uint16 n) public pure {
        vm.assume(side > 0 && side <= Pictures.MAX_SIDE);
        uint256 tiles = (uint256(side) + 31) / 32;
        vm.assume(n < tiles);
        uint256 width = Pictures.cut(side, n);
        assert(width > 0 && width <= 32);
        assert(uint256(n) * 32 + width == (uint256(n) + 1 == tiles ? side : (uint256(n) + 1) * 32));
    }
}
