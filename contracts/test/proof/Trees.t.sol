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

    SumTree.Tree[5] internal trees;

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
    function check_weightsAreKept(uint32 weightA, uint32 weightB) public {
        vm.assume(uint256(weightA) + weightB <= SumTree.MAX_TOTAL);
        uint16[2][5] memory pairs = leaves();
        for (uint256 i = 0; i < 5; ++i) {
            SumTree.Tree storage t = trees[i];
            (uint256 a, uint256 b) = (pairs[i][0], pairs[i][1]);
            t.set(a, weightA, 1);
            t.set(b, weightB, 1);
            assert(t.weightOf(a, 1) == weightA && t.weightOf(b, 1) == weightB && t.weightOf(a ^ 3, 1) == 0);
            assert(t.total(1) == uint256(weightA) + weightB);
        }
    }

    /// What is set for the next epoch leaves the running one as it was, also when it is set twice.
    function check_theRunningEpochStands(uint32 before, uint32 other, uint32 later) public {
        vm.assume(before <= SumTree.MAX_TOTAL && other <= SumTree.MAX_TOTAL && later <= SumTree.MAX_TOTAL);
        uint16[2][5] memory pairs = leaves();
        for (uint256 i = 0; i < 5; ++i) {
            SumTree.Tree storage t = trees[i];
            t.set(pairs[i][1], before, 1);
            t.set(pairs[i][1], other, 2);
            t.set(pairs[i][1], later, 2);
            assert(t.weightOf(pairs[i][1], 1) == before && t.total(1) == before);
            assert(t.weightOf(pairs[i][1], 2) == later && t.total(2) == later);
        }
    }

    function leaves() internal pure returns (uint16[2][5] memory) {
        return [[uint16(2), 5], [uint16(0), 7], [uint16(7), 8], [uint16(63), 64], [uint16(0), 511]];
    }

    /// A draw falls on the leaf that covers the point, whatever two weights and the point; below one node, at its ends, and
    /// in two nodes of each level.
    function check_drawsFallWhereTheWeightIs(uint32 weightA, uint32 weightB, uint32 point) public {
        vm.assume(uint256(weightA) + weightB <= SumTree.MAX_TOTAL);
        vm.assume(point < uint256(weightA) + weightB);
        uint16[2][5] memory pairs = leaves();
        for (uint256 i = 0; i < 5; ++i) {
            SumTree.Tree storage t = trees[i];
            t.set(pairs[i][0], weightA, 1);
            t.set(pairs[i][1], weightB, 1);
            assert(t.find(point, 1) == (point < weightA ? pairs[i][0] : pairs[i][1]));
        }
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
