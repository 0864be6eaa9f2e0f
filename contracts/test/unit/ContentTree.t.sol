// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Contents} from "../Contents.sol";
import {ContentTree} from "../../src/verify/ContentTree.sol";

/// @dev vectors/content.json is what these contracts compute; the Rust side reads the same file.
/// HEADFRAME_WRITE_VECTORS=true writes it anew.
contract ContentTreeTest is Base {
    uint256 internal constant CHUNK = 16 * 1024;

    function sizes() internal pure returns (uint256[9] memory) {
        return [uint256(0), 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5, 4 * CHUNK, 5 * CHUNK];
    }

    function test_vectors_content() public {
        string memory list = "";
        bytes32[] memory roots = new bytes32[](9);
        for (uint256 i = 0; i < 9; ++i) {
            roots[i] = Contents.root(Contents.fill(sizes()[i]));
            string memory entry = string.concat('    {"length": ', vm.toString(sizes()[i]), ', "root": "');
            list = string.concat(list, i == 0 ? "" : ",\n", entry, vm.toString(roots[i]), '"}');
        }
        string memory output = vm.toString(keccak256(abi.encodePacked(roots)));
        string memory text = string.concat('{\n  "contents": [\n', list, '\n  ],\n  "output": "', output, '"\n}\n');
        if (vm.envOr("HEADFRAME_WRITE_VECTORS", false)) vm.writeFile("vectors/content.json", text);
        vm.assertEq(vm.readFile("vectors/content.json"), text);
    }

    function test_opens_everyChunkAndNoOther() public pure {
        for (uint256 i = 1; i < 9; ++i) {
            bytes memory data = Contents.fill(sizes()[i]);
            bytes32 root = Contents.root(data);
            uint256 count = (data.length + CHUNK - 1) / CHUNK;
            for (uint256 place = 0; place < count; ++place) {
                ContentTree.Opening memory o = Contents.opening(data, place);
                vm.assertTrue(ContentTree.opens(root, place, o));
                vm.assertTrue(!ContentTree.opens(~root, place, o));
                if (place + 1 < count) vm.assertTrue(!ContentTree.opens(root, place + 1, o));
                if (place > 0) vm.assertTrue(!ContentTree.opens(root, place - 1, o));
            }
        }
    }

    function test_opens_saysWhereTheContentEnds() public pure {
        bytes memory data = Contents.fill(2 * CHUNK);
        bytes32 root = Contents.root(data);
        ContentTree.Opening memory o = Contents.opening(data, 2);
        vm.assertTrue(ContentTree.opens(root, 2, o));
        vm.assertTrue(ContentTree.opens(root, type(uint32).max, o));
        vm.assertTrue(!ContentTree.opens(root, 1, o));
        o.length -= 1;
        vm.assertTrue(!ContentTree.opens(root, 2, o));
        // No content at all is none at any place.
        o = Contents.opening("", 0);
        vm.assertTrue(ContentTree.opens(Contents.root(""), 0, o));
    }

    /// A node is no chunk, a shorter or longer chunk is another, and so is a path of another length.
    function test_opens_refusesWhatIsCutWrongly() public pure {
        bytes memory data = Contents.fill(3 * CHUNK + 5);
        bytes32 root = Contents.root(data);
        ContentTree.Opening memory o = Contents.opening(data, 3);
        o.data = bytes.concat(o.data, hex"00");
        vm.assertTrue(!ContentTree.opens(root, 3, o));
        o = Contents.opening(data, 0);
        bytes32[] memory path = o.path;
        o.path = new bytes32[](1);
        o.path[0] = path[1];
        o.data = abi.encode(sha256(Contents.chunk(data, 0)), path[0]);
        vm.assertTrue(!ContentTree.opens(root, 0, o), "a node");
        o.length = 64;
        vm.assertTrue(!ContentTree.opens(root, 0, o), "a node of another length");
    }

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_opens_noChangedByte(uint256 place, uint8 change) public pure {
        bytes memory data = Contents.fill(2 * CHUNK + 77);
        bytes32 root = Contents.root(data);
        uint256 index = place % 3;
        ContentTree.Opening memory o = Contents.opening(data, index);
        uint256 byte_ = (place >> 8) % o.data.length;
        o.data[byte_] = bytes1(uint8(o.data[byte_]) ^ change);
        vm.assertEq(ContentTree.opens(root, index, o), change == 0);
    }
}
