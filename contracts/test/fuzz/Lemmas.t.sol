// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";

/// @dev The rules that test/proof/Proof.sol assumes, over all of their ranges.
contract LemmasTest is Base {
    function testFuzz_lemmas(uint256 x, uint256 y, uint256 z, uint8 narrow) public pure {
        unchecked {
            uint256 d = z == 0 ? 1 : z;
            vm.assertTrue(x / d * d <= x && x - x / d * d < d, "quotient");
            vm.assertEq(x * (y + z), x * y + x * z, "distributes");
            vm.assertEq(x * y, y * x, "commutes");
            vm.assertTrue(x * 1 == x && x * 0 == 0, "chooses");
            // All sizes of numbers, and neighbours.
            uint256 shift = 132 + narrow % 100;
            (x, y, z) = (x >> shift, narrow & 1 == 0 ? (x >> shift) + 1 : y >> 132, z >> 131);
            if (y >= 2 ** 124) y = x;
            if (x <= y) vm.assertTrue(x * z <= y * z, "grows");
            if (x < y) vm.assertTrue(y * z - x * z >= z, "grows by one at least");
            vm.assertTrue(x * z < 2 ** 249, "fits");
            vm.assertTrue(x == 0 || x * z / x == z, "fits and goes back");
            vm.assertTrue(z == 0 || x * z / z == x, "fits and goes back");
        }
    }
}
