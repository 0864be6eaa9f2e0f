// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Answers} from "../steps/Answers.sol";
import {IProfileRegistry} from "../interfaces/IProfileRegistry.sol";
import {IStepVerifier} from "../steps/IStepVerifier.sol";
import {OrderedAnswer} from "./OrderedAnswer.sol";

/// @title An answer is not one to the ordered profile.
/// @notice The statement is that of OrderedAnswer. Everything in an answer that the profile fixes is compared: faults are
/// "wrong curve", "wrong cascade", "wrong rungs" for their number, "wrong size" and "wrong limits" of a rung.
contract ShapeStep is IStepVerifier {
    bytes32 public constant WRONG_CURVE = "wrong curve";
    bytes32 public constant WRONG_CASCADE = "wrong cascade";
    bytes32 public constant WRONG_RUNGS = "wrong rungs";
    bytes32 public constant WRONG_SIZE = "wrong size";
    bytes32 public constant WRONG_LIMITS = "wrong limits";

    struct Evidence {
        Answers.Answer answer;
        IProfileRegistry.Profile profile;
    }

    function prove(bytes32 statement, bytes calldata evidence) external pure returns (bytes32 fault) {
        Evidence memory e = abi.decode(evidence, (Evidence));
        OrderedAnswer.open(e.answer, e.profile, statement);
        fault = judge(e.answer, e.profile);
        require(fault != 0, NothingWrong());
    }

    function judge(Answers.Answer memory answer, IProfileRegistry.Profile memory profile)
        private
        pure
        returns (bytes32)
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
        return 0;
    }
}
