// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title New tokens for those who work, more of them while less of the supply does.
/// @notice Every epoch (a day, as ActiveSet counts) may mint `supply x rate`. The first reward of a day settles the epoch
/// before it: the rate moves by one step, up while the bonded share is below the target and down while it is above. The
/// bonded share is the weight of the active set at that epoch's beginning over the supply. An operator's part is the
/// epoch's mint by its weight, also as it was at the beginning: nothing that happens later moves it. Nobody has to
/// call anything for an epoch; one without any reward mints nothing and moves nothing.
interface IRewards {
    struct Params {
        uint16 target; // bonded share, in 1e-4
        uint32 step; // of the rate in an epoch, in 1e-9
        uint32 most; // highest rate, in 1e-9 of the supply in an epoch
    }

    struct Epoch {
        uint16 number; // the last one that was settled; 0 for none
        uint32 rate; // 1e-9 of the supply in an epoch
        uint96 mint; // what all its rewards may come to, 1e-18 tokens
        uint96 weight; // of all active operators at its beginning, 1e-18 tokens
    }

    event EpochSettled(uint256 indexed epoch, uint256 rate, uint256 mint, uint256 weight);
    /// @dev `part` is the operator's of this epoch, 1e-18 tokens. The registry tells nothing of its own when it gets it.
    event Rewarded(address indexed operator, uint256 indexed epoch, uint256 part);
    event ParamsChanged(uint16 target, uint32 step, uint32 most);

    error NotAdmin(address caller);
    error ParamOutOfBounds(uint256 value, uint256 least, uint256 most);
    error NotActiveThen(address operator, uint256 epoch);

    /// @notice Anyone, once for each operator and epoch: mints its part of the last epoch for the registry, however small.
    /// A part of 0 (at a rate of 0, or under a full cap) counts as paid like any other. Reverts for an operator that
    /// was not active when the epoch began or is exiting now, and with the registry's AlreadyRewarded. A day not
    /// called for is lost.
    function reward(address operator) external returns (uint256 part);

    /// @notice The same for one that has lost its slot since: which it held when the epoch began.
    function rewardIn(address operator, uint256 slot) external returns (uint256 part);

    /// @notice Admin: from the next epoch that is settled on.
    function setParams(Params calldata params) external;

    // ---- views ----

    function admin() external view returns (address);

    function params() external view returns (Params memory);

    function lastEpoch() external view returns (Epoch memory);

    /// @notice The last epoch an operator was rewarded for; 0 for none. The registry knows it.
    function rewarded(address operator) external view returns (uint256 epoch);
}
