// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {SharePool} from "../../src/staking/SharePool.sol";

contract SharePoolTest is Base {
    using SharePool for SharePool.Pool;

    uint256 internal constant MOST = 2 ** 92; // the largest supply
    SharePool.Pool internal pool;

    /// @dev Any pool that can come about: shares worth between 1e-6 and 1e6 of par.
    function start(uint256 assets, uint256 price) internal {
        pool.assets = uint96(bound(assets, 0, MOST));
        price = bound(price, 1, 1e12);
        uint256 shares = uint256(pool.assets) * SharePool.VIRTUAL_SHARES * 1e6 / price;
        pool.shares = uint128(shares);
    }

    function priceNotBelow(SharePool.Pool memory before) internal view {
        uint256 now_ = (uint256(pool.assets) + 1) * (uint256(before.shares) + 1e3);
        uint256 then = (uint256(before.assets) + 1) * (uint256(pool.shares) + 1e3);
        vm.assertGe(now_, then, "a share is worth less");
    }

    function testFuzz_deposit_neverLowersThePrice(uint256 assets, uint256 price, uint256 amount) public {
        start(assets, price);
        SharePool.Pool memory before = pool;
        pool.deposit(uint96(bound(amount, 0, MOST)));
        priceNotBelow(before);
    }

    function testFuzz_redeem_neverLowersThePriceAndNeverPaysTooMuch(uint256 assets, uint256 price, uint256 part)
        public
    {
        start(assets, price);
        SharePool.Pool memory before = pool;
        uint128 shares = uint128(bound(part, 0, pool.shares));
        (uint128 paid, uint128 dust) = pool.redeem(shares);
        vm.assertEq(uint256(pool.assets) + paid + dust, before.assets, "nothing appears or vanishes");
        if (pool.shares == 0) vm.assertEq(pool.assets, 0, "an empty pool holds nothing");
        else priceNotBelow(before);
    }

    function testFuzz_roundTrip_gainsNothing(uint256 assets, uint256 price, uint256 amount) public {
        start(assets, price);
        uint96 given = uint96(bound(amount, 1e18, MOST));
        uint128 shares = pool.deposit(given);
        (uint128 back,) = pool.redeem(shares);
        vm.assertLe(back, given, "a free round trip");
        // The loss is one share's worth of rounding and one wei.
        vm.assertGe(uint256(back) + pool.toAssets(1) + 2, given, "it costs more than rounding");
    }

    function testFuzz_lose_isSharedAndWipesOnlyWhatIsWorthless(uint256 assets, uint256 price, uint256 part) public {
        start(assets, price);
        SharePool.Pool memory before = pool;
        uint96 loss = uint96(bound(part, 0, pool.assets));
        (bool wiped, uint128 dust) = pool.lose(loss);
        vm.assertEq(uint256(pool.assets) + dust + loss, before.assets, "nothing appears or vanishes");
        if (wiped) {
            vm.assertEq(uint256(pool.assets) + pool.shares, 0, "empty");
            vm.assertTrue(uint256(dust) * 1e9 < before.shares, "it was worth something");
        } else {
            vm.assertEq(pool.shares, before.shares, "shares");
            vm.assertGe(uint256(pool.assets) * 1e9, pool.shares, "a worthless pool lives on");
        }
    }

    function test_sharesStayFarBelowTheirType() public {
        // The most shares there can be: a whole supply at the lowest price that is not wiped.
        pool.assets = 1e9;
        pool.shares = 1e18;
        uint256 most = pool.toShares(MOST);
        vm.assertLe(most, 2 ** 123, "shares");
        pool.deposit(uint96(MOST));
        vm.assertGe(uint256(2) ** 123 * (MOST + 1), pool.toAssets(pool.shares), "and their product fits");
    }
}
