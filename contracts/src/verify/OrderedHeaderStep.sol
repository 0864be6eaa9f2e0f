// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Answers} from "../steps/Answers.sol";
import {HeaderStep} from "../steps/HeaderStep.sol";
import {IProfileRegistry} from "../interfaces/IProfileRegistry.sol";
import {IStepVerifier} from "../steps/IStepVerifier.sol";
import {OrderedAnswer} from "./OrderedAnswer.sol";

/// @title The headers of a rendition are not what the profile orders.
/// @notice The statement is that of OrderedAnswer. The answer names the rendition's bytes, the profile says what they have
/// to show, and HeaderStep, whose faults these are, looks.
contract OrderedHeaderStep is IStepVerifier {
    IStepVerifier public immutable headerStep;

    struct Evidence {
        Answers.Answer answer;
        IProfileRegistry.Profile profile;
        uint8 rung;
        bytes headers; // HeaderStep's evidence
    }

    constructor(IStepVerifier headerStep_) {
        headerStep = headerStep_;
    }

    function prove(bytes32 statement, bytes calldata evidence) external view returns (bytes32 fault) {
        Evidence memory e = abi.decode(evidence, (Evidence));
        OrderedAnswer.open(e.answer, e.profile, statement);
        // An answer with another number of rungs is a fault of its own.
        bool both = e.rung < e.answer.rungs.length && e.rung < e.profile.rungs.length;
        require(both, OutOfShape());
        IProfileRegistry.Rung memory rung = e.profile.rungs[e.rung];
        HeaderStep.Ordered memory ordered = HeaderStep.Ordered({
            content: e.answer.rungs[e.rung].content,
            profiles: rung.profiles,
            level: rung.level,
            width: rung.width,
            height: rung.height
        });
        return headerStep.prove(keccak256(abi.encode(ordered)), e.headers);
    }
}
