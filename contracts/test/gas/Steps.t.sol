// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StepVectors} from "../StepVectors.sol";
import {EquivocationStep} from "../../src/steps/EquivocationStep.sol";
import {ErrorSumStep} from "../../src/steps/ErrorSumStep.sol";
import {HeaderStep} from "../../src/steps/HeaderStep.sol";
import {IStepVerifier} from "../../src/steps/IStepVerifier.sol";
import {LeafStep} from "../../src/steps/LeafStep.sol";
import {ScaleStep} from "../../src/steps/ScaleStep.sol";

/// @dev What each proof costs as a whole transaction (--isolate): snapshots/Steps.json, held to it by test.sh.
contract StepsGas is StepVectors {
    function record(IStepVerifier step, string memory file, string memory name, bool all) internal {
        Vector[] memory vectors = read(file);
        for (uint256 i = 0; i < vectors.length; ++i) {
            if (!all && isRefusal(vectors[i].outcome)) continue;
            // A call that could change state, because only such a one is taken for a transaction of its own.
            bytes memory call = abi.encodeCall(IStepVerifier.prove, (vectors[i].statement, vectors[i].evidence));
            (bool ok,) = address(step).call(call);
            vm.assertEq(ok, !isRefusal(vectors[i].outcome));
            vm.snapshotGasLastCall("Steps", string.concat(name, ": ", vectors[i].name));
        }
    }

    function test_gas_scaleStep() public {
        record(new ScaleStep(), "gas_scale", "ScaleStep", true);
    }

    function test_gas_errorSumStep() public {
        record(new ErrorSumStep(), "gas_error_sum", "ErrorSumStep", true);
    }

    function test_gas_leafStep() public {
        record(new LeafStep(), "leaf", "LeafStep", false);
    }

    function test_gas_equivocationStep() public {
        record(new EquivocationStep(), "equivocation", "EquivocationStep", false);
    }

    function test_gas_headerStep() public {
        record(new HeaderStep(), "gas_header", "HeaderStep", true);
    }
}
