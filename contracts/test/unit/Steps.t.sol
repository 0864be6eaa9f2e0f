// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StepVectors} from "../StepVectors.sol";
import {EquivocationStep} from "../../src/steps/EquivocationStep.sol";
import {ErrorSumStep} from "../../src/steps/ErrorSumStep.sol";
import {HeaderStep} from "../../src/steps/HeaderStep.sol";
import {IStepVerifier} from "../../src/steps/IStepVerifier.sol";
import {LeafStep} from "../../src/steps/LeafStep.sol";
import {OrderedHeaderStep} from "../../src/verify/OrderedHeaderStep.sol";
import {ScaleStep} from "../../src/steps/ScaleStep.sol";
import {ShapeStep} from "../../src/verify/ShapeStep.sol";

/// @dev Every kind of evidence, sound and spoilt: contracts/tests/steps/vectors of the repository says what is in it.
contract StepsTest is StepVectors {
    function check(IStepVerifier step, string memory file, uint256 atLeast) internal view {
        Vector[] memory all = read(file);
        vm.assertGe(all.length, atLeast, "too few");
        for (uint256 i = 0; i < all.length; ++i) {
            vm.assertEq(outcome(step, all[i].statement, all[i].evidence), all[i].outcome, all[i].name);
        }
    }

    function test_scaleStep_vectors() public {
        check(new ScaleStep(), "scale", 70);
    }

    function test_errorSumStep_vectors() public {
        check(new ErrorSumStep(), "error_sum", 45);
    }

    function test_leafStep_vectors() public {
        check(new LeafStep(), "leaf", 25);
    }

    function test_equivocationStep_vectors() public {
        check(new EquivocationStep(), "equivocation", 14);
    }

    function test_headerStep_vectors() public {
        check(new HeaderStep(), "header", 60);
    }

    function test_shapeStep_vectors() public {
        check(new ShapeStep(), "shape", 10);
    }

    function test_orderedHeaderStep_vectors() public {
        check(new OrderedHeaderStep(new HeaderStep()), "ordered_header", 6);
    }

    function test_scaleStep_computesWithoutJudging() public {
        Vector memory v = read("scale")[0];
        ScaleStep step = new ScaleStep();
        vm.assertEq(step.scaled(v.evidence).length, 64);
        vm.assertEq(step.WRONG_SAMPLE(), bytes32("wrong sample"));
    }

    function test_errorSumStep_comparesTilesOfOneSize() public {
        ErrorSumStep step = new ErrorSumStep();
        vm.assertEq(step.squaredError(hex"00ff03", hex"ff0005"), 2 * 255 * 255 + 4);
        vm.expectRevert(IStepVerifier.OutOfShape.selector);
        step.squaredError(hex"00", hex"0000");
    }
}
