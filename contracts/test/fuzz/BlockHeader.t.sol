// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {HeaderRlp} from "../HeaderRlp.sol";
import {BlockHeader} from "../../src/lib/BlockHeader.sol";

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

    function refuses(bytes memory header) internal {
        vm.expectRevert(BlockHeader.BadHeader.selector);
        reader.mixHash(header);
    }

    function testFuzz_mixHash_readsHeadersOfEveryFork(bytes32 seed, uint8 extra, uint256 mix, uint8 fields)
        public
        view
    {
        bytes memory header = HeaderRlp.header(seed, extra % 128, mix, fields % 10);
        vm.assertEq(reader.mixHash(header), mix);
    }
}
