// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {HeaderRlp} from "../HeaderRlp.sol";
import {BlockHeader} from "../../src/lib/BlockHeader.sol";

/// @dev The library's functions as calls.
contract HeaderReader {
    function mixHash(bytes calldata header) external pure returns (uint256) {
        return BlockHeader.mixHash(header);
    }

    function prevrandao(bytes calldata header, uint256 number) external view returns (uint256) {
        return BlockHeader.prevrandao(header, number);
    }
}

contract BlockHeaderTest is Base {
    HeaderReader internal reader = new HeaderReader();

    /// Of vectors/header.json, by the names of its fields.
    struct Mined {
        bytes32 hash;
        bytes header;
        uint256 mixHash;
    }

    function refuses(bytes memory header) internal {
        vm.expectRevert(BlockHeader.BadHeader.selector);
        reader.mixHash(header);
    }

    /// @dev 13 fields, of which `number` has the given bytes, then mixHash and a nonce.
    function withField(uint256 number, bytes memory field) internal pure returns (bytes memory payload) {
        for (uint256 i = 0; i < 13; ++i) {
            payload = bytes.concat(payload, i == number ? field : HeaderRlp.number(i));
        }
        return bytes.concat(payload, HeaderRlp.string_(abi.encode(uint256(0xA11CE))), HeaderRlp.string_(new bytes(8)));
    }

    // ---- what is read ----

    /// From the Merge (15 fields) to Prague (21) and beyond, with extra data of the main network and of longer kinds.
    function testFuzz_mixHash_readsHeadersOfEveryFork(bytes32 seed, uint8 extra, uint256 mix, uint8 fields)
        public
        view
    {
        bytes memory header = HeaderRlp.header(seed, extra, mix, fields % 10);
        vm.assertEq(reader.mixHash(header), mix);
    }

    /// Headers of other shapes: any field may have any length, as long as the encoding is the shortest.
    function testFuzz_mixHash_findsField13(uint256 number, uint256 length, bytes32 seed) public view {
        bytes memory content = new bytes(bound(length, 0, 70_000));
        if (content.length > 0) content[0] = bytes1(seed);
        bytes memory header = HeaderRlp.list(withField(number % 13, HeaderRlp.string_(content)));
        vm.assertEq(reader.mixHash(header), 0xA11CE);
    }

    function test_mixHash_readsTheBordersOfEachLength() public view {
        uint32[8] memory lengths = [uint32(0), 1, 55, 56, 255, 256, 65_535, 65_536];
        for (uint256 i = 0; i < 8; ++i) {
            bytes memory header = HeaderRlp.list(withField(12, HeaderRlp.string_(new bytes(lengths[i]))));
            vm.assertEq(reader.mixHash(header), 0xA11CE);
        }
    }

    // ---- what is not ----

    function testFuzz_mixHash_refusesATruncatedHeader(bytes32 seed, uint256 length) public {
        bytes memory header = HeaderRlp.header(seed, 4, 7, 7);
        length = bound(length, 0, header.length - 1);
        assembly ("memory-safe") {
            mstore(header, length)
        }
        refuses(header);
    }

    function testFuzz_mixHash_refusesWhatFollowsTheList(bytes32 seed, bytes calldata tail) public {
        vm.assume(tail.length > 0);
        refuses(bytes.concat(HeaderRlp.header(seed, 4, 7, 7), tail));
    }

    function testFuzz_mixHash_anyBytesAreReadOrRefused(bytes calldata header) public view {
        try reader.mixHash(header) returns (uint256) {}
        catch (bytes memory why) {
            vm.assertEq(bytes32(why), bytes32(BlockHeader.BadHeader.selector));
        }
    }

    function test_mixHash_refusesLengthsThatAreNotTheShortest() public {
        bytes memory long = new bytes(56);
        refuses(HeaderRlp.list(withField(3, hex"8105"))); // 5 is its own encoding
        refuses(HeaderRlp.list(withField(3, bytes.concat(hex"b837", new bytes(55))))); // fits the short form
        refuses(HeaderRlp.list(withField(3, bytes.concat(hex"b90038", long)))); // a leading zero
        refuses(bytes.concat(hex"f90014", new bytes(20)));
        refuses(bytes.concat(hex"f814", new bytes(20)));
    }

    function test_mixHash_refusesListsAmongTheFieldsAndStringsForTheList() public {
        refuses(HeaderRlp.list(withField(3, hex"c0")));
        refuses(HeaderRlp.list(withField(3, hex"ff")));
        refuses(HeaderRlp.string_(withField(3, hex"03")));
        refuses(hex"05");
        refuses("");
    }

    function test_mixHash_refusesAFieldThatIsNoWord() public {
        for (uint256 length = 0; length < 40; ++length) {
            bytes memory payload;
            for (uint256 i = 0; i < 13; ++i) {
                payload = bytes.concat(payload, HeaderRlp.number(i));
            }
            bytes memory header = HeaderRlp.list(bytes.concat(payload, HeaderRlp.string_(new bytes(length))));
            if (length == 32) vm.assertEq(reader.mixHash(header), 0);
            else refuses(header);
        }
    }

    function test_mixHash_refusesTooFewFields() public {
        bytes memory payload;
        for (uint256 i = 0; i < 13; ++i) {
            refuses(HeaderRlp.list(payload));
            payload = bytes.concat(payload, HeaderRlp.string_(abi.encode(i)));
        }
    }

    // ---- the proof ----

    function testFuzz_prevrandao_needsTheHeaderOfThatBlock(bytes32 seed, uint256 mix, uint8 back, uint256 flip) public {
        bytes memory header = HeaderRlp.header(seed, 4, mix, 7);
        vm.roll(1_000_000);
        uint256 number = block.number - 1 - back % 256;
        vm.setBlockhash(number, keccak256(header));
        vm.assertEq(reader.prevrandao(header, number), mix);
        flip %= header.length;
        header[flip] ^= 0x01;
        vm.expectPartialRevert(BlockHeader.WrongHeader.selector);
        reader.prevrandao(header, number);
    }

    function test_prevrandao_neitherOfTheRunningBlockNorOfOnesToCome() public {
        vm.roll(1000);
        for (uint256 number = 1000; number < 1002; ++number) {
            vm.expectRevert(abi.encodeWithSelector(BlockHeader.HeaderOutOfReach.selector, number));
            reader.prevrandao(HeaderRlp.header(0, 4, 5, 7), number);
        }
    }

    /// Block 7 of a development chain (anvil 1.7.1, Prague), as its node gives it.
    function test_prevrandao_readsAnvilsHeader() public {
        Mined memory block7 = abi.decode(vm.parseJson(vm.readFile("vectors/header.json")), (Mined));
        vm.assertEq(keccak256(block7.header), block7.hash);
        vm.roll(8);
        vm.setBlockhash(7, block7.hash);
        vm.assertEq(reader.prevrandao(block7.header, 7), block7.mixHash);
    }
}
