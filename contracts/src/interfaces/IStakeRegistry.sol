// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Who may work, and what they can lose.
/// @notice Amounts are 1e-18 stake tokens; every `...Block` is a block number. An operator's stake is `bonded` (of which
/// `locked` backs open work and cannot leave) plus `thawing` (on its way out, still slashable until withdrawn).
interface IStakeRegistry {
    struct Operator {
        uint128 bonded;
        uint128 thawing;
        uint128 locked;
        uint64 thawReadyBlock;
        bool active;
        string serviceUri;
    }

    event Registered(address indexed operator, string serviceUri);
    event Bonded(address indexed operator, uint256 amount);
    event Unbonded(address indexed operator, uint256 amount, uint64 thawReadyBlock);
    event Withdrawn(address indexed operator, uint256 amount);
    event Activated(address indexed operator);
    event Deactivated(address indexed operator);
    event Slashed(address indexed operator, uint256 taken, address indexed beneficiary, uint256 reward);
    event MarketSet(address indexed market);

    error BadSlotCount(uint256 slots, uint256 limit);
    error ServiceUriTooLong(uint256 length, uint256 limit);
    error ZeroAmount();
    error InsufficientFree(address operator, uint256 free, uint256 wanted);
    error StillThawing(address operator, uint64 thawReadyBlock);
    error NothingToWithdraw(address operator);
    error NoSlot(address operator, uint256 bonded, uint256 needed);
    error NotMarket(address caller);
    error NotDeployer(address caller);
    error MarketAlreadySet(address market);

    /// @notice Sets or changes where clients find the caller (at most 256 bytes). Allowed before bonding.
    function register(string calldata serviceUri) external;

    /// @notice Takes `amount` from the caller (needs an allowance) and enters the active set when entitled: at least
    /// `minBond` bonded, and a free slot or a strictly smaller member, which then makes room.
    function bond(uint128 amount) external;

    /// @notice Takes a slot that became free, or a smaller member's, without bonding more. Reverts when not entitled.
    function activate() external;

    /// @notice Starts the thaw of free stake. A second call restarts the clock of everything that is thawing.
    function unbond(uint128 amount) external;

    /// @notice Pays out what has thawed, keeping back whatever the locks need after a slash.
    function withdraw() external;

    /// @notice Names the market that may lock and slash. Once, by the deployer.
    function setMarket(address market) external;

    /// @notice Market only: backs work with `amount` of the operator's free stake.
    function lock(address operator, uint128 amount) external;

    /// @notice Market only: undoes a lock.
    function release(address operator, uint128 amount) external;

    /// @notice Market only: undoes a lock of `unlock` and takes up to `amount`, bonded stake first, then thawing stake.
    /// Never reverts for lack of stake. Half of what was taken, rounded down, goes to `finder`; the rest is burned.
    function slash(address operator, uint128 amount, uint128 unlock, address finder) external returns (uint256 taken);

    function operatorInfo(address operator) external view returns (Operator memory);
    function isActive(address operator) external view returns (bool);
    function activeSet() external view returns (address[] memory);

    /// @notice bonded - locked, or 0 when a slash took stake from under a lock.
    function free(address operator) external view returns (uint256);
}
