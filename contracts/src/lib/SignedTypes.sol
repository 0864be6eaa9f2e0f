// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Work} from "./Work.sol";

/// @title EIP-712 struct hashes of what clients and operators sign. The domain is the market's.
library SignedTypes {
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant SEGMENT =
        keccak256("Segment(uint64 jobId,uint64 seq,bytes32 srcRoot,uint64 srcBytes,uint32 durationMs)");
    bytes32 internal constant RECEIPT =
        keccak256("Receipt(uint64 jobId,uint64 seq,bytes32 srcRoot,bytes32 outRoot,uint64 units,uint64 outBytes)");

    /// @return The separator of the market's domain, as the market itself tells it.
    function domain(address market) internal view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN, keccak256("Headframe"), keccak256("1"), block.chainid, market));
    }

    function segment(uint64 jobId, uint64 seq, bytes32 srcRoot, uint64 srcBytes, uint32 durationMs)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(SEGMENT, jobId, seq, srcRoot, srcBytes, durationMs));
    }

    function receipt(Work.Receipt memory r) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT, r.jobId, r.seq, r.srcRoot, r.outRoot, r.units, r.outBytes));
    }
}
