// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Work} from "./Work.sol";

/// @title EIP-712 struct hashes of what clients and operators sign. The domain is the market's.
library SignedTypes {
    bytes32 internal constant SEGMENT =
        keccak256("Segment(uint64 jobId,uint64 seq,bytes32 srcRoot,uint64 srcBytes,uint32 durationMs)");
    bytes32 internal constant RECEIPT =
        keccak256("Receipt(uint64 jobId,uint64 seq,bytes32 srcRoot,bytes32 outRoot,uint64 units,uint64 outBytes)");

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
