// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Packed} from "../Packed.sol";
import {Tree} from "../Tree.sol";
import {Work} from "../../src/lib/Work.sol";
import {MerkleSum} from "../../src/lib/MerkleSum.sol";

contract MerkleSumFuzz is Base {
    function climb(bytes32 hash, uint64 units, uint256 index, Work.Sibling[] calldata path)
        external
        view
        returns (bytes32, uint64, uint64)
    {
        return this.climbPacked(hash, units, index, Packed.path(path));
    }

    function climbPacked(bytes32 hash, uint64 units, uint256 index, bytes calldata path)
        external
        pure
        returns (bytes32 root, uint64 total, uint64 offset)
    {
        uint256 at;
        uint256 copy;
        assembly {
            at := path.offset
            copy := add(mload(0x40), 0x80)
        }
        (uint256 sum, uint256 left) = (0, 0);
        (root, sum, left) = MerkleSum.climb(hash, units, index, at, at + path.length, copy);
        (total, offset) = (uint64(sum), uint64(left));
    }

    function make(uint256 seed, uint256 count) internal pure returns (Work.Receipt[] memory r) {
        r = new Work.Receipt[](count);
        for (uint64 i = 0; i < count; ++i) {
            bytes32 h = keccak256(abi.encode(seed, i));
            r[i] = Work.Receipt(7, 100 + i, h, ~h, uint64(uint256(h)) % 100, uint64(uint256(h) >> 64));
        }
    }

    function leafOf(Work.Receipt memory r) internal pure returns (bytes32) {
        return MerkleSum.leaf(r.jobId, r.seq, r.srcRoot, r.outRoot, r.units, r.outBytes);
    }

    /// Every leaf opens at its own offset, and the offsets tile the units of the root.
    function testFuzz_everyLeafOpensAndOffsetsTile(uint256 seed, uint256 count) public view {
        count = bound(count, 1, 20);
        Work.Receipt[] memory r = make(seed, count);
        (bytes32 root, uint64 total) = Tree.root(r);
        uint64 next = 0;
        for (uint256 i = 0; i < count; ++i) {
            Work.Sibling[] memory path = Tree.path(r, i);
            vm.assertEq(path.length, MerkleSum.depth(count));
            (bytes32 top, uint64 sum, uint64 offset) = this.climb(leafOf(r[i]), r[i].units, i, path);
            vm.assertEq(top, root);
            vm.assertEq(sum, total);
            vm.assertEq(offset, next);
            next += r[i].units;
        }
        vm.assertEq(next, total);
    }

    /// No other position, unit count or sibling sum reaches the same root.
    function testFuzz_anythingElseReachesAnotherRoot(uint256 seed, uint256 count, uint256 pick, uint64 delta)
        public
        view
    {
        count = bound(count, 2, 20);
        delta = uint64(bound(delta, 1, 1000));
        Work.Receipt[] memory r = make(seed, count);
        (bytes32 root,) = Tree.root(r);
        uint256 i = pick % count;
        Work.Sibling[] memory path = Tree.path(r, i);
        uint256 level = (pick >> 128) % path.length;

        (bytes32 top,,) = this.climb(leafOf(r[i]), r[i].units, i ^ (1 << level), path);
        vm.assertTrue(top != root, "position");
        (top,,) = this.climb(leafOf(r[i]), r[i].units + delta, i, path);
        vm.assertTrue(top != root, "units beside the leaf");
        r[i].units += delta;
        (top,,) = this.climb(leafOf(r[i]), r[i].units, i, path);
        vm.assertTrue(top != root, "units in the leaf");
        r[i].units -= delta;
        path[level].sum += delta;
        (top,,) = this.climb(leafOf(r[i]), r[i].units, i, path);
        vm.assertTrue(top != root, "sibling sum");
    }

    /// The assembly is node(), level by level.
    function testFuzz_climbIsNodeAfterNode(
        bytes32 hash,
        uint32 units,
        uint256 index,
        bytes32[6] memory hashes,
        uint8 levels
    ) public view {
        Work.Sibling[] memory path = new Work.Sibling[](levels % 7);
        (bytes32 root, uint64 total, uint64 offset) = (hash, units, 0);
        for (uint256 i = 0; i < path.length; ++i) {
            path[i] = Work.Sibling(hashes[i], uint64(uint256(hashes[i])) >> 4);
            bool right = index >> i & 1 == 1;
            if (right) root = MerkleSum.node(path[i].hash, path[i].sum, root, total);
            else root = MerkleSum.node(root, total, path[i].hash, path[i].sum);
            if (right) offset += path[i].sum;
            total += path[i].sum;
        }
        (bytes32 top, uint64 sum, uint64 left) = this.climb(hash, units, index, path);
        vm.assertEq(top, root);
        vm.assertEq(sum, total);
        vm.assertEq(left, offset);
    }

    function test_climb_revertsWhenSumsOverflow() public {
        Work.Sibling[] memory path = new Work.Sibling[](1);
        path[0].sum = type(uint64).max;
        (, uint64 total,) = this.climb(0, 0, 0, path);
        vm.assertEq(total, type(uint64).max);
        for (uint256 side = 0; side < 2; ++side) {
            vm.expectRevert(MerkleSum.SumTooLarge.selector);
            this.climb(0, 1, side, path);
        }
    }

    function test_depth_isTheCeilingOfTheLogarithm() public pure {
        uint16[10] memory counts = [1, 2, 3, 4, 5, 8, 9, 4095, 4096, 4097];
        uint8[10] memory depths = [0, 1, 2, 2, 3, 3, 4, 12, 12, 13];
        for (uint256 i = 0; i < 10; ++i) {
            vm.assertEq(MerkleSum.depth(counts[i]), depths[i]);
        }
    }
}
