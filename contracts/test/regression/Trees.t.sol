// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Base} from "../Base.sol";
import {IndexTree} from "../../src/steps/IndexTree.sol";

/// @dev What a path of hashes proves.
contract TreesRegression is Base {
    /// OpenZeppelin's `MerkleProof` sorts each pair, so its paths prove that a leaf is in the tree and not where: a tile of a
    /// picture would open as any other. Ours is bound to the place.
    function test_openZeppelin_aPathProvesAPlace() public pure {
        bytes32[4] memory leaves = [bytes32("north west"), "north east", "south west", "south east"];
        bytes32 sorted = Hashes.commutativeKeccak256(leaves[0], leaves[1]);
        sorted = Hashes.commutativeKeccak256(sorted, Hashes.commutativeKeccak256(leaves[2], leaves[3]));
        bytes32 ordered = IndexTree.node(IndexTree.node(leaves[0], leaves[1]), IndexTree.node(leaves[2], leaves[3]));
        bytes32[] memory path = new bytes32[](2);
        for (uint256 place = 0; place < 4; ++place) {
            uint256 far = place < 2 ? 2 : 0;
            (bytes32 a, bytes32 b) = (leaves[far], leaves[far + 1]);
            path[0] = leaves[place ^ 1];
            path[1] = Hashes.commutativeKeccak256(a, b);
            vm.assertTrue(MerkleProof.verify(path, sorted, leaves[place]), "wherever it is said to be");
            path[1] = IndexTree.node(a, b);
            for (uint256 said = 0; said < 4; ++said) {
                vm.assertEq(IndexTree.climb(leaves[place], said, 4, path) == ordered, said == place);
            }
        }
    }
}
