// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Answers} from "../steps/Answers.sol";
import {IProfileRegistry} from "../interfaces/IProfileRegistry.sol";

/// @title Whether an answer is one to the order: everything in it that the profile fixes.
library Shape {
    bytes32 internal constant WRONG_CURVE = "wrong curve";
    bytes32 internal constant WRONG_CASCADE = "wrong cascade";
    bytes32 internal constant WRONG_RUNGS = "wrong rungs";
    bytes32 internal constant WRONG_SIZE = "wrong size";
    bytes32 internal constant WRONG_LIMITS = "wrong limits";

    /// @return fault 0 when the answer is to the order.
    function judge(Answers.Answer memory answer, IProfileRegistry.Profile memory profile)
        internal
        pure
        returns (bytes32 fault)
    {
        if (answer.filter != profile.filter) return WRONG_CURVE;
        if (answer.cascade != profile.cascade) return WRONG_CASCADE;
        if (answer.rungs.length != profile.rungs.length) return WRONG_RUNGS;
        for (uint256 i = 0; i < answer.rungs.length; ++i) {
            Answers.Rung memory given = answer.rungs[i];
            IProfileRegistry.Rung memory ordered = profile.rungs[i];
            if (given.width != ordered.width || given.height != ordered.height) return WRONG_SIZE;
            if (given.limits != keccak256(abi.encode(ordered.limits))) return WRONG_LIMITS;
        }
    }
}
