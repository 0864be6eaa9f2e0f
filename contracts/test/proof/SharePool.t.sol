// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Proof} from "./Proof.sol";
import {SharePool} from "../../src/staking/SharePool.sol";
import {VestingStream} from "../../src/staking/VestingStream.sol";

/// @dev For assets up to 2^92 and shares up to 2^123, which is all there can be: see SharePool.
contract SharePoolProof is Proof {
    using SharePool for SharePool.Pool;

    SharePool.Pool internal pool;

    function some(uint256 assets, uint256 shares) internal returns (SharePool.Pool storage) {
        vm.assume(assets <= 2 ** 92 && shares <= 2 ** 123);
        pool = SharePool.Pool(uint96(assets), uint128(shares), 0);
        return pool;
    }

    /// @dev What the conversion's product and quotient obey.
    function knowShares(SharePool.Pool storage p, uint256 assets) internal view {
        lemmaFits(assets, uint256(p.shares) + 1000);
        lemmaFits(uint256(p.shares) + 1000, assets);
        lemmaCommutes(assets, uint256(p.shares) + 1000);
        unchecked {
            lemmaQuotient(assets * (uint256(p.shares) + 1000), uint256(p.assets) + 1);
        }
    }

    function knowAssets(SharePool.Pool storage p, uint256 shares) internal view {
        lemmaFits(shares, uint256(p.assets) + 1);
        lemmaFits(uint256(p.assets) + 1, shares);
        lemmaCommutes(shares, uint256(p.assets) + 1);
        unchecked {
            lemmaQuotient(shares * (uint256(p.assets) + 1), uint256(p.shares) + 1000);
        }
    }

    function toShares(uint256 assets) external view returns (uint256) {
        return pool.toShares(assets);
    }

    function toAssets(uint256 shares) external view returns (uint256) {
        return pool.toAssets(shares);
    }

    /// Neither conversion reverts.
    function check_conversionsFit(uint128 assets, uint128 shares, uint128 given, uint128 held) public {
        SharePool.Pool storage p = some(assets, shares);
        vm.assume(given <= 2 ** 92 && held <= 2 ** 123);
        knowShares(p, given);
        knowAssets(p, held);
        try this.toShares(given) {}
        catch {
            assert(false);
        }
        try this.toAssets(held) {}
        catch {
            assert(false);
        }
    }

    /// Who puts more in gets no fewer shares.
    function check_sharesGrow(uint128 assets, uint128 shares, uint128 less, uint128 more) public {
        SharePool.Pool storage p = some(assets, shares);
        vm.assume(less <= more && more <= 2 ** 92);
        knowShares(p, less);
        knowShares(p, more);
        (uint256 few, uint256 many) = (p.toShares(less), p.toShares(more));
        vm.assume(few < 2 ** 124 && many < 2 ** 124);
        lemmaGrows(less, more, uint256(shares) + 1000);
        lemmaGrows(many, few, uint256(assets) + 1);
        assert(few <= many);
    }

    /// Putting in and taking out at once gains nothing.
    function check_roundTripGainsNothing(uint128 assets, uint128 shares, uint128 given) public {
        SharePool.Pool storage p = some(assets, shares);
        vm.assume(given <= 2 ** 92 && uint256(assets) + given <= 2 ** 92);
        knowShares(p, given);
        uint256 got = p.toShares(given);
        vm.assume(got + shares <= 2 ** 123); // deposit's SafeCast is wider
        pool = SharePool.Pool(uint96(assets + given), uint128(shares + got), 0);
        knowAssets(p, got);
        uint256 back = p.toAssets(got);
        vm.assume(back < 2 ** 124);
        (uint256 t, uint256 b) = (uint256(shares) + 1000, uint256(assets) + 1);
        lemmaDistributes(got, b, given);
        lemmaDistributes(given, t, got);
        lemmaCommutes(got, given);
        lemmaGrows(given, back, t + got);
        assert(back <= given);
    }

    /// Taking out and putting in again gives no more shares than were held.
    function check_roundTripOfSharesGainsNothing(uint128 assets, uint128 shares, uint128 held) public {
        SharePool.Pool storage p = some(assets, shares);
        vm.assume(held <= shares);
        knowAssets(p, held);
        uint256 out = p.toAssets(held);
        vm.assume(out <= assets);
        pool = SharePool.Pool(uint96(assets - out), shares - held, 0);
        knowShares(p, out);
        uint256 again = p.toShares(out);
        vm.assume(again < 2 ** 124);
        (uint256 t, uint256 b) = (uint256(p.shares) + 1000, uint256(p.assets) + 1);
        lemmaDistributes(out, t, held);
        lemmaDistributes(held, b, out);
        lemmaCommutes(held, out);
        lemmaGrows(held, again, b);
        assert(again <= held);
    }

    /// A loss is shared to the last wei, and a pool is emptied exactly when its shares are worth under a millionth of par.
    function check_loseAccountsForAll(uint128 assets, uint128 shares, uint128 loss) public {
        some(assets, shares);
        vm.assume(loss <= assets);
        (bool wiped, uint96 dust) = pool.lose(uint96(loss));
        assert(uint256(pool.assets) + dust + loss == assets);
        // Multiplied as the pool does it: that x * 1e3 * 1e6 is x * 1e9 takes the solver minutes, and is not the point.
        assert(wiped == (uint256(uint96(assets - loss)) * 1e3 * 1e6 < shares));
        if (wiped) assert(pool.assets == 0 && pool.shares == 0);
        else assert(pool.shares == shares && dust == 0);
    }

    /// What has vested is never more than there is.
    function check_vestedIsNoMoreThanLeft(uint96 left, uint40 since, uint24 rest, uint40 time) public pure {
        vm.assume(since <= time);
        VestingStream.Stream memory s;
        (s.left, s.since, s.rest) = (left, since, rest);
        if (time - since < rest) {
            (uint256 passed, uint256 all) = (time - since, rest);
            lemmaFits(left, passed);
            lemmaFits(passed, left);
            lemmaCommutes(left, passed);
            lemmaCommutes(left, all);
            unchecked {
                lemmaQuotient(uint256(left) * passed, all);
                uint256 q = uint256(left) * passed / all;
                vm.assume(q < 2 ** 124); // the quotient of a product below 2^120
                lemmaGrows(left, q, all);
                lemmaGrows(passed, all, left);
            }
        }
        assert(VestingStream.vested(s, time) <= left);
    }
}
