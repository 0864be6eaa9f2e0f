// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Stake held in common: holders own shares, and gains and losses change what a share is worth.
/// @dev Both conversions round against whoever deposits or redeems. The virtual shares make a first holder who inflates
/// the price lose more than it can take from the next one. Products stay below 2^256: assets are below 2^92 (see
/// StakeRegistry) and a share is never worth less than 1e-9 assets (`lose`), so shares are below 2^123.
library SharePool {
    using SafeCast for uint256;

    uint256 internal constant VIRTUAL_SHARES = 1e3; // also the shares that a new pool gives for one asset: par
    uint256 internal constant VIRTUAL_ASSETS = 1;
    uint256 internal constant WIPE_BELOW = 1e6; // a share worth less than par over this is worth nothing

    /// @dev One word.
    struct Pool {
        uint96 assets;
        uint128 shares;
        uint32 nonce; // how often it was wiped: shares bought under another nonce are void
    }

    function toShares(Pool storage pool, uint256 assets) internal view returns (uint256) {
        return assets * (pool.shares + VIRTUAL_SHARES) / (pool.assets + VIRTUAL_ASSETS);
    }

    function toAssets(Pool storage pool, uint256 shares) internal view returns (uint256) {
        return shares * (pool.assets + VIRTUAL_ASSETS) / (pool.shares + VIRTUAL_SHARES);
    }

    function deposit(Pool storage pool, uint96 assets) internal returns (uint128 shares) {
        shares = toShares(pool, assets).toUint128();
        pool.assets += assets;
        pool.shares += shares;
    }

    /// @return assets What the shares are worth.
    /// @return dust What rounding left in a pool that has no holder any more; the caller takes it over.
    function redeem(Pool storage pool, uint128 shares) internal returns (uint96 assets, uint96 dust) {
        assets = toAssets(pool, shares).toUint96();
        uint96 left = pool.assets - assets;
        uint128 others = pool.shares - shares;
        if (others == 0) (dust, left) = (left, 0);
        (pool.assets, pool.shares) = (left, others);
    }

    /// @dev At most all assets.
    /// @return wiped The shares became worthless: the pool is empty, its holders have nothing, and its nonce has grown.
    /// @return dust What was left in a wiped pool; the caller takes it over.
    function lose(Pool storage pool, uint96 assets) internal returns (bool wiped, uint96 dust) {
        uint96 left = pool.assets - assets;
        wiped = uint256(left) * VIRTUAL_SHARES * WIPE_BELOW < pool.shares;
        if (wiped) {
            (pool.shares, pool.nonce) = (0, pool.nonce + 1);
            (dust, left) = (left, 0);
        }
        pool.assets = left;
    }
}
