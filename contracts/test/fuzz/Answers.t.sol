// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Answers} from "../../src/steps/Answers.sol";
import {IStepVerifier} from "../../src/steps/IStepVerifier.sol";

/// @dev The library's function as a call.
contract AnswerHasher {
    function hash(Answers.Answer calldata answer) external pure returns (bytes32) {
        return Answers.hash(answer);
    }
}

contract AnswersTest is Base {
    AnswerHasher internal hasher = new AnswerHasher();

    function testFuzz_hash_isThatOfTheEncoding(Answers.Answer memory answer) public view {
        vm.assertEq(hasher.hash(answer), keccak256(abi.encode(answer)));
    }

    /// The compiler checks a side of calldata where it is read, and here it is only copied.
    function testFuzz_hash_refusesASideThatIsTooLarge(uint256 side, uint256 rung, bool height) public {
        Answers.Answer memory answer;
        answer.rungs = new Answers.Rung[](3);
        bytes memory data = abi.encodeCall(hasher.hash, (answer));
        // Behind length and selector: the answer's place, its four words and the number of rungs of seven words each.
        uint256 where = 0x24 + 0xc0 + rung % 3 * 0xe0 + (height ? 0x20 : 0);
        side = bound(side, uint256(type(uint32).max) + 1, type(uint256).max);
        assembly ("memory-safe") {
            mstore(add(data, where), side)
        }
        (bool ok, bytes memory why) = address(hasher).call(data);
        vm.assertTrue(!ok);
        vm.assertEq(bytes32(why), bytes32(IStepVerifier.OutOfShape.selector));
    }
}
