// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @dev Writes what BlockHeader reads: RLP of strings and of one list, and headers in the form of several forks.
library HeaderRlp {
    function string_(bytes memory content) internal pure returns (bytes memory) {
        if (content.length == 1 && uint8(content[0]) < 0x80) return content;
        return bytes.concat(prefix(0x80, content.length), content);
    }

    function number(uint256 value) internal pure returns (bytes memory) {
        return string_(minimal(value));
    }

    function list(bytes memory payload) internal pure returns (bytes memory) {
        return bytes.concat(prefix(0xc0, payload.length), payload);
    }

    function prefix(uint8 kind, uint256 length) internal pure returns (bytes memory) {
        if (length <= 55) return abi.encodePacked(uint8(kind + length));
        bytes memory digits = minimal(length);
        return abi.encodePacked(uint8(kind + 55 + digits.length), digits);
    }

    function minimal(uint256 value) internal pure returns (bytes memory out) {
        while (value > 0) {
            out = bytes.concat(bytes1(uint8(value)), out);
            value >>= 8;
        }
    }

    /// @dev The 13 fields before mixHash, from a seed: fixed sizes for the first seven, numbers, and `extra` bytes of extraData.
    function before(bytes32 seed, uint256 extra) internal pure returns (bytes memory out) {
        out = bytes.concat(string_(abi.encode(seed)), string_(abi.encode(keccak256(abi.encode(seed, 1)))));
        out = bytes.concat(out, string_(abi.encodePacked(address(uint160(uint256(seed))))));
        for (uint256 i = 0; i < 3; ++i) {
            out = bytes.concat(out, string_(abi.encode(keccak256(abi.encode(seed, 2 + i)))));
        }
        out = bytes.concat(out, string_(new bytes(256)), number(0)); // bloom, difficulty
        for (uint256 i = 0; i < 4; ++i) {
            uint256 value = uint256(keccak256(abi.encode(seed, 5 + i)));
            out = bytes.concat(out, number(uint64(value) >> (value >> 250))); // number, gasLimit, gasUsed, timestamp
        }
        bytes memory data = new bytes(extra);
        if (extra > 0) data[0] = bytes1(seed);
        out = bytes.concat(out, string_(data));
    }

    /// @dev `fields` behind mixHash: nonce, baseFee, withdrawalsRoot, blobGasUsed, excessBlobGas, parentBeaconBlockRoot, requestsHash.
    function header(bytes32 seed, uint256 extra, uint256 mix, uint256 fields) internal pure returns (bytes memory) {
        bytes memory out = bytes.concat(before(seed, extra), string_(abi.encode(mix)));
        for (uint256 i = 0; i < fields; ++i) {
            bytes32 value = keccak256(abi.encode(seed, "behind", i));
            if (i == 0) out = bytes.concat(out, string_(new bytes(8)));
            else if (i == 1 || i == 3 || i == 4) out = bytes.concat(out, number(uint256(value) >> 200));
            else out = bytes.concat(out, string_(abi.encode(value)));
        }
        return list(out);
    }
}
