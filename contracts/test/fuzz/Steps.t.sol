// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StepVectors} from "../StepVectors.sol";
import {Curve} from "../../src/steps/Curve.sol";
import {EquivocationStep} from "../../src/steps/EquivocationStep.sol";
import {ErrorSumStep} from "../../src/steps/ErrorSumStep.sol";
import {HeaderStep} from "../../src/steps/HeaderStep.sol";
import {IndexTree} from "../../src/steps/IndexTree.sol";
import {MerkleSum} from "../../src/lib/MerkleSum.sol";
import {IStepVerifier} from "../../src/steps/IStepVerifier.sol";
import {LeafStep} from "../../src/steps/LeafStep.sol";
import {ScaleStep} from "../../src/steps/ScaleStep.sol";

contract StepsFuzz is StepVectors {
    // Only the sound evidence that shows nothing wrong.
    mapping(uint256 => Vector[]) internal honest;
    IStepVerifier[5] internal steps;

    function setUp() public {
        steps = [
            IStepVerifier(new ScaleStep()),
            new ErrorSumStep(),
            new LeafStep(),
            new EquivocationStep(),
            new HeaderStep()
        ];
        string[5] memory files = ["scale", "error_sum", "leaf", "equivocation", "header"];
        for (uint256 s = 0; s < 5; ++s) {
            Vector[] memory all = read(files[s]);
            for (uint256 i = 0; i < all.length && honest[s].length < 8; ++i) {
                if (same(all[i].outcome, "NothingWrong")) honest[s].push(all[i]);
            }
        }
    }

    /// What somebody honest is bound to is not convicted by any evidence that is one bit or one word off.
    function testFuzz_changedEvidenceConvictsNobodyHonest(uint256 step, uint256 pick, uint256 where, uint8 bit) public view {
        step %= 5;
        Vector memory v = honest[step][pick % honest[step].length];
        bytes memory evidence = v.evidence;
        evidence[where % evidence.length] ^= bytes1(uint8(1) << (bit % 8));
        string memory have = outcome(steps[step], v.statement, evidence);
        vm.assertTrue(isRefusal(have), have);
    }

    function testFuzz_movedWordsConvictNobodyHonest(uint256 step, uint256 pick, uint256 from, uint256 to) public view {
        step %= 5;
        Vector memory v = honest[step][pick % honest[step].length];
        bytes memory evidence = v.evidence;
        uint256 words = evidence.length / 32;
        (from, to) = (32 * (from % words), 32 * (to % words));
        for (uint256 i = 0; i < 32; ++i) {
            evidence[to + i] = evidence[from + i];
        }
        string memory have = outcome(steps[step], v.statement, evidence);
        vm.assertTrue(isRefusal(have), have);
    }

    function climb(bytes32 leaf, uint256 index, uint256 count, bytes32[] memory path) external pure returns (bytes32) {
        return IndexTree.climb(leaf, index, count, path);
    }

    /// @dev All levels above the leaves, for trees of a test.
    function tree(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32 top, bytes32[] memory path) {
        path = new bytes32[](MerkleSum.depth(leaves.length));
        bytes32[] memory level = new bytes32[](1 << path.length);
        for (uint256 i = 0; i < leaves.length; ++i) {
            level[i] = leaves[i];
        }
        for (uint256 height = 0; height < path.length; ++height) {
            path[height] = level[(index >> height) ^ 1];
            for (uint256 i = 0; i < level.length >> (height + 1); ++i) {
                level[i] = IndexTree.node(level[2 * i], level[2 * i + 1]);
            }
        }
        top = level[0];
    }

    /// A leaf opens in its own place and in no other; what stands above leaves is none, and no leaf stands for a node.
    function testFuzz_indexTree_bindsThePlace(uint256 seed, uint256 count, uint256 index, uint256 other) public {
        count = bound(count, 1, 40);
        (index, other) = (index % count, other % count);
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = keccak256(abi.encode(seed, i));
        }
        (bytes32 top, bytes32[] memory path) = tree(leaves, index);
        vm.assertEq(this.climb(leaves[index], index, count, path), top);
        if (other != index) vm.assertTrue(this.climb(leaves[index], other, count, path) != top, "place");
        vm.expectRevert(IStepVerifier.OutOfShape.selector);
        this.climb(leaves[index], count, count, path);
        if (path.length == 0) return;
        // A node one level up with the rest of the path: too short. Padded by itself: another top.
        bytes32 above = index & 1 == 0 ? IndexTree.node(leaves[index], path[0]) : IndexTree.node(path[0], leaves[index]);
        bytes32[] memory rest = new bytes32[](path.length - 1);
        for (uint256 i = 0; i < rest.length; ++i) {
            rest[i] = path[i + 1];
        }
        vm.expectRevert(IStepVerifier.OutOfShape.selector);
        this.climb(above, index >> 1, count, rest);
        vm.assertTrue(this.climb(above, index, count, path) != top, "a node for a leaf");
    }

    function testFuzz_squaredError_isThePlainSum(bytes memory a, uint256 seed) public view {
        bytes memory b = new bytes(a.length);
        uint256 sum = 0;
        for (uint256 i = 0; i < a.length; ++i) {
            b[i] = bytes1(uint8(uint256(keccak256(abi.encode(seed, i)))));
            uint256 d = a[i] > b[i] ? uint8(a[i]) - uint8(b[i]) : uint8(b[i]) - uint8(a[i]);
            sum += d * d;
        }
        vm.assertEq(ErrorSumStep(address(steps[1])).squaredError(a, b), sum);
    }

    /// Whatever the sizes, the weights of a sample add up to one.
    function testFuzz_curve_weightsAddUpToOne(bool lanczos, uint256 src, uint256 dst, uint256 i, uint256 sited)
        public
        pure
    {
        src = bound(src, 1, 16_384);
        uint256 low = (src + 63) / 64;
        dst = bound(dst, low, src * 64 < 16_384 ? src * 64 : 16_384);
        Curve.Axis memory axis = Curve.Axis(lanczos ? 1 : 0, src, dst, Curve.Siting(sited % 3), Curve.Siting(sited / 3 % 3));
        (, int256[] memory coefs) = Curve.weights(axis, i % ((dst + 1) / 2));
        int256 sum = 0;
        for (uint256 t = 0; t < coefs.length; ++t) {
            sum += coefs[t];
        }
        vm.assertEq(sum, Curve.ONE, "sum");
    }
}
