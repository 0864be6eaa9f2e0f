// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Answers} from "../steps/Answers.sol";
import {IProfileRegistry} from "../interfaces/IProfileRegistry.sol";
import {IStepVerifier} from "../steps/IStepVerifier.sol";

/// @title An answer beside the profile that was ordered.
/// @notice The chain knows both by their hashes: keccak256(abi.encode(answer)) and keccak256(abi.encode(profile)).
library OrderedAnswer {
    /// @notice What somebody is bound to whose job has this profile and who gave this answer.
    function statement(bytes32 answer, bytes32 profile) internal pure returns (bytes32) {
        return keccak256(abi.encode(answer, profile));
    }

    /// @notice Reverts unless these are the answer and the profile of the statement.
    function open(Answers.Answer memory answer, IProfileRegistry.Profile memory profile, bytes32 expected)
        internal
        pure
    {
        bytes32 given = statement(keccak256(abi.encode(answer)), keccak256(abi.encode(profile)));
        require(given == expected, IStepVerifier.OtherStatement(expected, given));
    }
}
