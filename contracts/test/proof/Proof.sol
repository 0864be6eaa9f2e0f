// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";

/// @dev Proofs by symbolic execution: each function named check_* has to hold for all arguments (test.sh --halmos).
/// The solver takes products and quotients of two unknowns for functions it knows nothing of. What a proof needs of them is
/// assumed here, rule by rule; each is a rule of whole numbers, and test/fuzz/Lemmas.t.sol tries them all.
abstract contract Proof is Base {
    /// x / d * d <= x < x / d * d + d, for d > 0.
    function lemmaQuotient(uint256 x, uint256 d) internal pure {
        unchecked {
            uint256 q = x / d;
            vm.assume(q * d <= x);
            vm.assume(x - q * d < d);
        }
    }

    /// x * (y + z) = x * y + x * z.
    function lemmaDistributes(uint256 x, uint256 y, uint256 z) internal pure {
        unchecked {
            vm.assume(x * (y + z) == x * y + x * z);
        }
    }

    /// x * y = y * x.
    function lemmaCommutes(uint256 x, uint256 y) internal pure {
        unchecked {
            vm.assume(x * y == y * x);
        }
    }

    /// x * z <= y * z for x <= y, and at least z less for x < y; for x, y < 2^124 and z < 2^125.
    function lemmaGrows(uint256 x, uint256 y, uint256 z) internal pure {
        require(x < 2 ** 124 && y < 2 ** 124 && z < 2 ** 125);
        unchecked {
            if (x <= y) vm.assume(x * z <= y * z);
            if (x < y) vm.assume(y * z - x * z >= z);
        }
    }

    /// x * y < 2^249, and x * y / x = y for x > 0; for x < 2^124 and y < 2^125.
    function lemmaFits(uint256 x, uint256 y) internal pure {
        require(x < 2 ** 124 && y < 2 ** 125);
        unchecked {
            vm.assume(x * y < 2 ** 249);
            vm.assume(x == 0 || x * y / x == y);
            vm.assume(y == 0 || x * y / y == x);
        }
    }

    /// x * 1 = x and x * 0 = 0, as Math.min chooses between a and b.
    function lemmaChooses(uint256 a, uint256 b) internal pure {
        unchecked {
            uint256 less;
            assembly ("memory-safe") {
                less := lt(a, b)
            }
            vm.assume((a ^ b) * less == (less == 0 ? 0 : a ^ b));
        }
    }
}
