// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {IStepVerifier} from "../src/steps/IStepVerifier.sol";
import {EquivocationStep} from "../src/steps/EquivocationStep.sol";

/// @dev Evidence that the Rust builders made, and what a step has to say of it.
abstract contract StepVectors is Base {
    /// Fields in the order of their names, as JSON is decoded.
    struct Vector {
        bytes evidence;
        string name;
        string outcome;
        bytes32 statement;
    }

    function read(string memory name) internal view returns (Vector[] memory) {
        string memory json = vm.readFile(string.concat("vectors/steps/", name, ".json"));
        return abi.decode(vm.parseJson(json), (Vector[]));
    }

    /// @dev A fault's own words, or the name of the refusal.
    function outcome(IStepVerifier step, bytes32 statement, bytes memory evidence)
        internal
        view
        returns (string memory)
    {
        bytes memory call = abi.encodeCall(IStepVerifier.prove, (statement, evidence));
        (bool ok, bytes memory out) = address(step).staticcall(call);
        if (ok) return text(abi.decode(out, (bytes32)));
        if (out.length < 4) return "Malformed";
        bytes4 selector = bytes4(out);
        if (selector == IStepVerifier.NothingWrong.selector) return "NothingWrong";
        if (selector == IStepVerifier.OutOfShape.selector) return "OutOfShape";
        if (selector == IStepVerifier.NotCommitted.selector) return "NotCommitted";
        if (selector == IStepVerifier.OtherStatement.selector) return "OtherStatement";
        return selector == EquivocationStep.NotSigned.selector ? "NotSigned" : "Panic";
    }

    function text(bytes32 word) internal pure returns (string memory) {
        uint256 length = 0;
        while (length < 32 && word[length] != 0) ++length;
        bytes memory out = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            out[i] = word[i];
        }
        return string(out);
    }

    function same(string memory a, string memory b) internal pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }

    /// @dev Whether it is the name of a refusal and no fault's.
    function isRefusal(string memory a) internal pure returns (bool) {
        return bytes(a).length > 0 && uint8(bytes(a)[0]) < 0x5b;
    }
}
