// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Work} from "../lib/Work.sol";
import {SignedTypes} from "../lib/SignedTypes.sol";

/// @title Who signed what, by key alone: 65 bytes, low s. A contract's opinion of a signature may change, a key's cannot.
library Signatures {
    /// @notice What an operator signs on delivery.
    function receiptDigest(bytes32 domain, Work.Receipt memory r) internal pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domain, SignedTypes.receipt(r));
    }

    function isFrom(address key, bytes32 digest, bytes memory signature) internal pure returns (bool) {
        (address signer, ECDSA.RecoverError failed,) = ECDSA.tryRecover(digest, signature);
        return failed == ECDSA.RecoverError.NoError && signer == key;
    }
}
