// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStepVerifier} from "./IStepVerifier.sol";

/// @title Where an output sample looks in the source, and with which weights: kernels/src/filter.rs and lanczos.rs.
/// @notice No table is committed anywhere: the weights that a proof needs are computed again, in the reference's integers.
library Curve {
    uint8 internal constant CATMULL_ROM = 0;
    uint8 internal constant LANCZOS3 = 1;
    uint256 internal constant MAX_SIDE = 16_384;
    uint256 internal constant MAX_RATIO = 64;
    /// One: 14 fractional bits.
    int256 internal constant ONE = 1 << 14;
    /// Fractional bits of sines.
    uint256 internal constant BITS = 60;
    int256 internal constant UNIT = 1 << 60;
    int256 internal constant PI = 0x3243f6a8885a308d;

    /// Where samples of a plane lie along one axis.
    enum Siting {
        Full, // on the luma samples
        Centre, // half way between two of them
        Left // on the even ones
    }

    /// One axis of one plane: luma samples of source and output, and where the plane's samples lie in both.
    struct Axis {
        uint8 filter;
        uint256 src;
        uint256 dst;
        Siting from;
        Siting to;
    }

    /// @return step Distance of two samples, `edge` that of the first from the picture's edge, in half luma samples.
    function grid(Siting siting) internal pure returns (int256 step, int256 edge) {
        if (siting == Siting.Full) return (2, 1);
        return siting == Siting.Centre ? (int256(4), int256(2)) : (int256(4), int256(1));
    }

    /// @return first The source sample of the first weight, which may lie outside the plane.
    /// @return coefs The weights of output sample `i`; they add up to ONE.
    function weights(Axis memory axis, uint256 i) internal pure returns (int256 first, int256[] memory coefs) {
        (int256 unit, int256 reach, int256 pos) = position(axis, i);
        int256 radius = axis.filter == CATMULL_ROM ? int256(2) : int256(3);
        unchecked {
            // Sides are at most 2^14: nothing here comes near 2^255.
            uint256 taps = uint256((2 * radius * reach + unit - 1) / unit);
            coefs = new int256[](taps + taps % 2);
            first = floor(pos - radius * reach, unit) + 1;
            int256 sum = 0;
            for (uint256 t = 0; t < coefs.length; ++t) {
                int256 a = (first + int256(t)) * unit - pos;
                if (a < 0) a = -a;
                coefs[t] = axis.filter == CATMULL_ROM ? cubic(a, reach) : lanczos(a, reach);
                sum += coefs[t];
            }
            round(coefs, sum);
        }
    }

    /// @return unit Positions are multiples of 1/unit, `reach` is the curve's unit width, `pos` the place of sample `i`.
    function position(Axis memory axis, uint256 i) private pure returns (int256 unit, int256 reach, int256 pos) {
        (uint256 src, uint256 dst) = (axis.src, axis.dst);
        (uint256 large, uint256 small) = src > dst ? (src, dst) : (dst, src);
        bool sane = small > 0 && large <= MAX_SIDE && large <= small * MAX_RATIO && axis.filter <= LANCZOS3;
        require(sane, IStepVerifier.OutOfShape());
        (int256 stepFrom, int256 edgeFrom) = grid(axis.from);
        (int256 stepTo, int256 edgeTo) = grid(axis.to);
        unit = stepFrom * int256(dst);
        reach = stepTo * int256(src);
        if (reach < unit) reach = unit;
        pos = (stepTo * int256(i) + edgeTo) * int256(src) - edgeFrom * int256(dst);
    }

    /// @dev Scales to a sum of ONE: nearest, halves away from zero; what is left over goes to the first of the largest.
    function round(int256[] memory coefs, int256 sum) private pure {
        unchecked {
            (int256 rest, uint256 largest) = (ONE, 0);
            for (uint256 t = 0; t < coefs.length; ++t) {
                int256 w = coefs[t];
                w = w < 0 ? -((-2 * w * ONE + sum) / (2 * sum)) : (2 * w * ONE + sum) / (2 * sum);
                coefs[t] = w;
                rest -= w;
                if (w > coefs[largest]) largest = t;
            }
            coefs[largest] += rest;
        }
    }

    /// @dev Catmull-Rom at a / q, times 2 q^3.
    function cubic(int256 a, int256 q) private pure returns (int256) {
        unchecked {
            if (a < q) return 3 * a * a * a - 5 * a * a * q + 2 * q * q * q;
            if (a < 2 * q) return 5 * a * a * q - a * a * a - 8 * a * q * q + 4 * q * q * q;
            return 0;
        }
    }

    /// @dev 3 sin(pi x) sin(pi x / 3) / (pi x)^2 for x = a / q, 0 from 3 on; 60 fractional bits.
    function lanczos(int256 a, int256 q) private pure returns (int256) {
        unchecked {
            if (a >= 3 * q) return 0;
            if (a == 0) return UNIT;
            return (sinc(a, q) * sinc(a, 3 * q)) >> BITS;
        }
    }

    function sinc(int256 a, int256 q) private pure returns (int256) {
        unchecked {
            return (sine(a, q) << BITS) / (PI * a / q);
        }
    }

    /// @dev sin(pi a / q) for 0 <= a < 3 q, folded to at most a quarter of pi.
    function sine(int256 a, int256 q) private pure returns (int256 value) {
        unchecked {
            int256 half = a % (2 * q);
            bool negative = half >= q;
            if (negative) half -= q;
            int256 folded = half < q - half ? half : q - half;
            value = 4 * folded <= q ? series(PI * folded / q, 0) : series(PI * (q - 2 * folded) / (2 * q), 1);
            if (negative) value = -value;
        }
    }

    /// @dev The Taylor series of the sine (`even` = 0) or the cosine (1) at `t`, in the reference's order of roundings. It
    /// ends where terms are nothing: for angles up to a quarter of pi before the twelfth, the reference's last.
    function series(int256 t, uint256 even) private pure returns (int256 sum) {
        int256 term = even == 0 ? t : UNIT;
        assembly ("memory-safe") {
            let square := sar(60, mul(t, t))
            sum := term
            for { let n := sub(2, even) } term { n := add(n, 2) } {
                term := sub(0, sdiv(sar(60, mul(term, square)), mul(n, add(n, 1))))
                sum := add(sum, term)
            }
        }
    }

    /// @dev Division rounded down; `b` is positive.
    function floor(int256 a, int256 b) private pure returns (int256) {
        unchecked {
            return a < 0 ? -((b - 1 - a) / b) : a / b;
        }
    }
}
