// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Hashes of past blocks: the opcode for the last 256, the history contract of EIP-2935 for the last 8191.
library BlockHashes {
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    uint256 internal constant OPCODE_REACH = 256;
    uint256 internal constant HISTORY_REACH = 8191;

    /// @return hash The block's hash, or 0 when the chain no longer (or not yet) serves it.
    function get(uint256 number) internal view returns (bytes32 hash) {
        if (number >= block.number) return 0;
        if (block.number - number <= OPCODE_REACH) return blockhash(number);
        // The history contract takes the bare number, answers 32 bytes, and reverts outside its reach.
        (bool ok, bytes memory out) = HISTORY.staticcall(abi.encode(number));
        if (ok && out.length == 32) hash = abi.decode(out, (bytes32));
    }
}
