// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {SumTree} from "../../src/staking/SumTree.sol";

/// @dev The tree beside a plain list of weights for each epoch.
contract SumTreeTest is Base {
    using SumTree for SumTree.Tree;

    uint256 internal constant PLAIN = SumTree.LEAVES;
    uint256 internal constant SPANS = SumTree.LEAVES / SumTree.SPAN;
    SumTree.Tree internal tree;
    mapping(uint256 epoch => mapping(uint256 leaf => uint256)) internal plain;
    uint256 internal now_ = 2;
    uint256[] internal leaves; // ever written

    function set(uint256 leaf, uint256 weight) internal {
        tree.set(leaf, weight, now_ + 1);
        plain[now_ + 1][leaf] = weight;
        leaves.push(leaf);
    }

    function next() internal {
        now_ += 1;
        for (uint256 i = 0; i < leaves.length; ++i) {
            plain[now_ + 1][leaves[i]] = plain[now_][leaves[i]];
        }
    }

    function check(uint256 epoch) internal view {
        uint256 total = 0;
        for (uint256 leaf = 0; leaf < PLAIN; ++leaf) {
            uint256 weight = plain[epoch][leaf];
            vm.assertEq(tree.weightOf(leaf, epoch), weight, "weight");
            if (weight == 0) continue;
            vm.assertEq(tree.find(total, epoch), leaf, "first point of a leaf");
            total += weight;
            vm.assertEq(tree.find(total - 1, epoch), leaf, "last point of a leaf");
        }
        vm.assertEq(tree.total(SPANS, epoch), total, "root");
    }

    function testFuzz_threeEpochsCanBeRead(uint256 seed) public {
        for (uint256 i = 0; i < 40; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            if (dice % 5 == 0) next();
            else set((dice >> 8) % (dice % 2 == 0 ? 12 : PLAIN), (dice >> 64) % 3 == 0 ? 0 : (dice >> 96) % 1e6);
        }
        check(now_ + 1);
        check(now_);
        check(now_ - 1);
    }

    /// What a version replaces is kept by whether its epoch is odd: every distance between versions, from both.
    function test_versionsSurviveQuietEpochs() public {
        for (uint256 first = 0; first < 2; ++first) {
            for (uint256 quiet = 1; quiet < 6; ++quiet) {
                set(3, 10 * quiet);
                for (uint256 i = 0; i < quiet; ++i) {
                    next();
                }
                set(3, 10 * quiet + 5);
                set(200, quiet);
                check(now_ - 1);
                check(now_);
                check(now_ + 1);
            }
            next();
        }
    }

    /// Every way in which writes can fall on ten epochs in a row, once or twice in each.
    function test_everyHistoryOfWritesCanBeRead() public {
        for (uint256 history = 0; history < 1024; ++history) {
            uint256 leaf = history % 512; // so that a node's first versions are part of histories, too
            for (uint256 day = 0; day < 10; ++day) {
                if (history >> day & 1 != 0) {
                    write(leaf, history + day + 1);
                    if (day % 3 == 0) write(leaf, history + day + 2);
                }
                for (uint256 epoch = now_ - 1; epoch <= now_ + 1; ++epoch) {
                    vm.assertEq(tree.weightOf(leaf, epoch), plain[epoch][leaf]);
                }
                now_ += 1;
                plain[now_ + 1][leaf] = plain[now_][leaf];
            }
            write(leaf, 0);
        }
    }

    function write(uint256 leaf, uint256 weight) internal {
        tree.set(leaf, weight, now_ + 1);
        plain[now_ + 1][leaf] = weight;
    }

    /// After 89 years a weight holds at once, and nothing is refused.
    function test_epochsThatOutgrowTheirBitsReadTheNewest() public {
        now_ = 2 ** 15 - 3;
        for (uint256 i = 0; i < 6; ++i) {
            tree.set(9, 100 + i, ++now_ + 1);
            vm.assertEq(tree.weightOf(9, now_ + 1), 100 + i);
            uint256 last = i == 0 ? 0 : 99 + i;
            vm.assertEq(tree.weightOf(9, now_), now_ + 1 < 2 ** 15 ? last : 100 + i);
            vm.assertEq(tree.total(SPANS, now_ + 1), 100 + i);
            vm.assertEq(tree.find(99 + i, now_ + 1), 9);
        }
    }

    /// A draw of the epoch before reads at most two words of a node, and so does everything else.
    function test_readsTakeTwoWordsAtMost() public {
        for (uint256 i = 0; i < 3; ++i) {
            set(7, 5 + i);
            next();
        }
        uint256 last = now_ - 1;
        for (uint256 back = 0; back < 3; ++back) {
            vm.record();
            tree.weightOf(7, last + 1 - back);
            (bytes32[] memory reads,) = vm.accesses(address(this));
            vm.assertEq(reads.length, back == 0 ? 1 : 2);
        }
    }

    function test_theWholeSupplyOnTheLastLeaf() public {
        set(511, SumTree.MAX_TOTAL);
        check(now_ + 1);
        vm.assertEq(tree.find(SumTree.MAX_TOTAL - 1, now_ + 1), 511);
        set(511, 0);
        set(0, SumTree.MAX_TOTAL);
        check(now_ + 1);
        vm.assertEq(tree.total(SPANS, now_), 0);
    }

    function test_anUnchangedWeightWritesNothing() public {
        set(7, 5);
        next();
        next();
        next();
        tree.set(7, 5, now_ + 1);
        vm.assertEq(tree.weightOf(7, 3), 5, "the version of the first epoch is still there");
    }
}
