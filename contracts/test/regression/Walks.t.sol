// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {DisputeHandler} from "../invariant/DisputeHandler.sol";

/// @dev What was wrong with others' tests.
contract WalksRegression is Base {
    /// The solvency invariant of OP's game moved with a random bond where the exact one was wanted: nearly all of its calls
    /// reverted, and it held because nothing happened.
    function test_opVacuous_theActorsOfTheDisputeWalkAct() public {
        DisputeHandler handler = new DisputeHandler();
        for (uint256 i = 0; i < 400; ++i) {
            handler.step(uint256(keccak256(abi.encode("actors", i))));
        }
        DisputeHandler.Step[4] memory moves = [
            DisputeHandler.Step.Open, DisputeHandler.Step.Bisect, DisputeHandler.Step.Choose, DisputeHandler.Step.Withdraw
        ];
        for (uint256 i = 0; i < 4; ++i) {
            uint256 kind = uint256(moves[i]);
            vm.assertGe(handler.successes(kind), 5, "moves");
            vm.assertGe(handler.successes(kind) * 5, handler.calls(kind), "most are refused");
        }
        vm.assertGe(handler.taken(), 1, "bonds came in");
        vm.assertGe(handler.paid(), 1, "and went out");
        vm.assertEq(handler.broken(), "");
    }
}
