// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BlockHashes} from "./BlockHashes.sol";

/// @title The randomness of a past block, out of its header, which the chain's history of hashes proves.
/// @notice A header is an RLP list of strings; field 13, once the proof of work's mixHash, is prevrandao (EIP-4399). Forks
/// add fields behind it, so what follows is not looked at. The hash alone decides which header is right; the reader is
/// strict (one encoding of each length, nothing behind the list) so that no other reading of the same bytes exists.
library BlockHeader {
    uint256 private constant MIX_HASH = 13;
    uint256 private constant STRING = 0x80;
    uint256 private constant LIST = 0xc0;
    uint256 private constant SHORT = 55; // longest item whose length is part of its first byte

    error HeaderOutOfReach(uint256 number);
    error WrongHeader(uint256 number, bytes32 expected, bytes32 given);
    error BadHeader();

    /// @param number Of a block whose hash the chain still serves: not the running one, and at most 8191 back.
    function prevrandao(bytes calldata header, uint256 number) internal view returns (uint256) {
        bytes32 expected = BlockHashes.get(number);
        require(expected != 0, HeaderOutOfReach(number));
        bytes32 given = keccak256(header);
        require(given == expected, WrongHeader(number, expected, given));
        return mixHash(header);
    }

    function mixHash(bytes calldata header) internal pure returns (uint256) {
        (uint256 pos, uint256 end) = _item(header, 0, LIST);
        require(end == header.length, BadHeader());
        unchecked {
            for (uint256 field = 0; field < MIX_HASH; ++field) {
                // Most are short strings, and not of one byte. What leads beyond the end is refused in the end.
                uint256 length = (_word(header, pos) >> 248) - STRING; // below zero it wraps
                if (length <= SHORT && length != 1) pos += 1 + length;
                else (, pos) = _item(header, pos, STRING);
            }
        }
        bool there = _word(header, pos) >> 248 == STRING + 32 && pos + 33 <= header.length;
        require(there, BadHeader());
        return _word(header, pos + 1);
    }

    /// @return from Where the content of the item at `pos` begins.
    /// @return to Where it ends, which is not behind the end of the header.
    function _item(bytes calldata header, uint256 pos, uint256 kind) private pure returns (uint256 from, uint256 to) {
        // Nothing overflows: `pos` is at most a few fields beyond the header, and a length has 64 bits.
        unchecked {
            uint256 word = _word(header, pos); // may reach beyond the header, which `to` then does, too
            uint256 tag = word >> 248;
            (from, to) = (pos, pos + 1);
            if (tag >= STRING || kind == LIST) {
                uint256 length = tag - kind;
                require(length < 0x40, BadHeader()); // of the other kind
                from = to;
                if (length > SHORT) {
                    uint256 bytes_ = length - SHORT; // 1..=8 that hold the length
                    length = word << 8 >> (256 - 8 * bytes_);
                    require(length > SHORT && length >> (8 * (bytes_ - 1)) != 0, BadHeader());
                    from += bytes_;
                } else if (length == 1 && kind == STRING) {
                    require(word << 8 >> 248 >= STRING, BadHeader()); // a small byte stands for itself
                }
                to = from + length;
            }
            require(to <= header.length, BadHeader());
        }
    }

    function _word(bytes calldata header, uint256 pos) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(header.offset, pos))
        }
    }
}
